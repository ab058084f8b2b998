//! The tables with what is not written yet on top: rows live in memory until the flusher has written them, together with the
//! history position that they reflect.

use std::collections::BTreeMap;
use std::sync::Arc;

use jumelle_model::ids::Position;
use jumelle_store::{Table, Tables, TablesBatch, failpoint};
use parking_lot::RwLock;

type Rows = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// Tables written behind. One thread writes, any thread reads.
pub struct Behind {
    /// What is on disk.
    pub tables: Arc<Tables>,
    layers: Vec<RwLock<Layer>>,
}

#[derive(Default)]
struct Layer {
    current: Rows,
    in_flight: Arc<Rows>,
}

/// Rows that are being written.
pub struct Flushing(Vec<(Table, Arc<Rows>)>);

impl Behind {
    /// Nothing unwritten yet.
    pub fn new(tables: Arc<Tables>) -> Behind {
        Behind { tables, layers: Table::ALL.iter().map(|_| RwLock::default()).collect() }
    }

    fn layer(&self, table: Table) -> &RwLock<Layer> {
        &self.layers[table as usize]
    }

    /// One row, wherever it is.
    pub fn get(&self, table: Table, key: &[u8]) -> jumelle_store::Result<Option<Vec<u8>>> {
        {
            let layer = self.layer(table).read();
            if let Some(row) = layer.current.get(key).or_else(|| layer.in_flight.get(key)) {
                return Ok(row.clone());
            }
        }
        self.tables.get(table, key)
    }

    /// Writes a row.
    pub fn put(&self, table: Table, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.layer(table).write().current.insert(key.into(), Some(value.into()));
    }

    /// Removes a row.
    pub fn remove(&self, table: Table, key: impl Into<Vec<u8>>) {
        self.layer(table).write().current.insert(key.into(), None);
    }

    /// Rows whose keys begin with `prefix` after `after`, in order, at most `limit`.
    pub fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> jumelle_store::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let start = match after {
            Some(after) => std::ops::Bound::Excluded(after.to_vec()),
            None => std::ops::Bound::Included(prefix.to_vec()),
        };
        // The lock is held while merging, so that no row falls between the layers and the disk; a page is short.
        let layer = self.layer(table).read();
        let range = (start, std::ops::Bound::Unbounded);
        let mut current =
            layer.current.range::<Vec<u8>, _>(range.clone()).take_while(|(key, _)| key.starts_with(prefix)).peekable();
        let mut in_flight = layer.in_flight.range::<Vec<u8>, _>(range).take_while(|(key, _)| key.starts_with(prefix)).peekable();
        let mut stored = self.tables.scan(table, prefix, after).peekable();
        let mut rows = Vec::new();
        while rows.len() < limit {
            let disk = match stored.peek() {
                Some(Ok((key, _))) => Some(key),
                Some(Err(_)) => {
                    stored.next().transpose()?;
                    None
                }
                None => None,
            };
            let heads = [current.peek().map(|(key, _)| *key), in_flight.peek().map(|(key, _)| *key), disk];
            let Some(key) = heads.into_iter().flatten().min().cloned() else { break };
            // The same key in several layers: the youngest counts, the others are passed over.
            let from_disk = stored.next_if(|row| row.as_ref().is_ok_and(|(other, _)| *other == key)).transpose()?;
            let from_flight = in_flight.next_if(|(other, _)| **other == key).map(|(_, row)| row.clone());
            let from_current = current.next_if(|(other, _)| **other == key).map(|(_, row)| row.clone());
            let row = from_current.or(from_flight).unwrap_or_else(|| from_disk.map(|(_, value)| value));
            if let Some(value) = row {
                rows.push((key, value));
            }
        }
        Ok(rows)
    }

    /// Rows whose keys begin with `prefix` and come before `before`, the last first, at most `limit`.
    pub fn scan_back(
        &self,
        table: Table,
        prefix: &[u8],
        before: Option<&[u8]>,
        limit: usize,
    ) -> jumelle_store::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let end = match before {
            Some(before) => std::ops::Bound::Excluded(before.to_vec()),
            None => jumelle_store::after_prefix(prefix),
        };
        let layer = self.layer(table).read();
        let range = (std::ops::Bound::Included(prefix.to_vec()), end);
        let mut current = layer.current.range::<Vec<u8>, _>(range.clone()).rev().peekable();
        let mut in_flight = layer.in_flight.range::<Vec<u8>, _>(range).rev().peekable();
        let mut stored = self.tables.scan_back(table, prefix, before).peekable();
        let mut rows = Vec::new();
        while rows.len() < limit {
            if let Some(Err(_)) = stored.peek() {
                stored.next().transpose()?;
            }
            let disk = stored.peek().and_then(|row| row.as_ref().ok()).map(|(key, _)| key);
            let heads = [current.peek().map(|(key, _)| *key), in_flight.peek().map(|(key, _)| *key), disk];
            let Some(key) = heads.into_iter().flatten().max().cloned() else { break };
            // The same key in several layers: the youngest counts, the others are passed over.
            let from_disk = stored.next_if(|row| row.as_ref().is_ok_and(|(other, _)| *other == key)).transpose()?;
            let from_flight = in_flight.next_if(|(other, _)| **other == key).map(|(_, row)| row.clone());
            let from_current = current.next_if(|(other, _)| **other == key).map(|(_, row)| row.clone());
            let row = from_current.or(from_flight).unwrap_or_else(|| from_disk.map(|(_, value)| value));
            rows.extend(row.map(|value| (key, value)));
        }
        Ok(rows)
    }

    /// Rows not yet written.
    pub fn unwritten(&self) -> usize {
        self.layers.iter().map(|layer| layer.read().current.len()).sum()
    }

    /// Sets the unwritten rows apart for writing. The previous ones must have been written ([`Behind::written`]).
    pub fn begin_flush(&self) -> Flushing {
        let mut flushing = Vec::new();
        for table in Table::ALL {
            let mut layer = self.layer(table).write();
            let rows = Arc::new(std::mem::take(&mut layer.current));
            layer.in_flight = rows.clone();
            flushing.push((table, rows));
        }
        Flushing(flushing)
    }

    /// Writes them, with what `more` adds, and the position that all of it reflects.
    pub fn write(
        &self,
        flushing: &Flushing,
        position: Position,
        more: impl FnOnce(&mut TablesBatch<'_>),
    ) -> jumelle_store::Result<()> {
        let mut batch = self.tables.batch();
        for (table, rows) in &flushing.0 {
            for (key, row) in rows.iter() {
                match row {
                    Some(value) => batch.put(*table, key, value),
                    None => batch.remove(*table, key),
                }
            }
        }
        more(&mut batch);
        failpoint::reach("before flush");
        batch.commit(position)?;
        failpoint::reach("after flush");
        Ok(())
    }

    /// They are on disk: reads find them there. What is given back is to be dropped, at leisure.
    pub fn written(&self) -> Flushing {
        let taken = Table::ALL.map(|table| (table, std::mem::take(&mut self.layer(table).write().in_flight)));
        Flushing(taken.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever is on disk, in flight or unwritten, reads see one table.
        #[test]
        fn reads_see_the_youngest_row(steps in prop::collection::vec((0u8..6, 0u8..12, any::<u8>()), 1..60)) {
            let directory = tempfile::tempdir().unwrap();
            let behind = Behind::new(Arc::new(Tables::open(directory.path(), "tables", 1 << 20).unwrap()));
            let mut model: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
            let mut flushing = None;
            for (step, key, value) in steps {
                match step {
                    0..3 => {
                        behind.put(Table::Members, vec![key], vec![value]);
                        model.insert(vec![key], vec![value]);
                    }
                    3 => {
                        behind.remove(Table::Members, vec![key]);
                        model.remove(&vec![key]);
                    }
                    4 if flushing.is_none() => flushing = Some(behind.begin_flush()),
                    _ => if let Some(flushing) = flushing.take() {
                        behind.write(&flushing, Position(0), |_| {}).unwrap();
                        behind.written();
                    },
                }
                prop_assert_eq!(behind.get(Table::Members, &[key]).unwrap(), model.get(&vec![key]).cloned());
                let all: Vec<_> = model.clone().into_iter().collect();
                prop_assert_eq!(behind.scan(Table::Members, &[], None, usize::MAX).unwrap(), all.clone());
                let after: Vec<_> = all.into_iter().filter(|(other, _)| *other > vec![key]).take(2).collect();
                prop_assert_eq!(behind.scan(Table::Members, &[], Some(&[key]), 2).unwrap(), after);
                let before: Vec<_> = model.clone().into_iter().rev().filter(|(other, _)| *other < vec![key]).take(2).collect();
                prop_assert_eq!(behind.scan_back(Table::Members, &[], Some(&[key]), 2).unwrap(), before);
                let back: Vec<_> = model.clone().into_iter().rev().collect();
                prop_assert_eq!(behind.scan_back(Table::Members, &[], None, usize::MAX).unwrap(), back);
            }
        }
    }
}
