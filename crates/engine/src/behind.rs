//! The tables with what is not written yet on top: rows live in memory until the flusher has written them, together with the
//! history position that they reflect.

use std::collections::BTreeMap;
use std::sync::Arc;

use jumelle_model::ids::Position;
use jumelle_store::{Table, Tables};
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
        // The iterator over the disk is made under the lock, so that no row falls between the layers and the disk.
        let (overlay, stored) = {
            let layer = self.layer(table).read();
            let mut overlay = Rows::new();
            for rows in [&*layer.in_flight, &layer.current] {
                let range =
                    rows.range((start.clone(), std::ops::Bound::Unbounded)).take_while(|(key, _)| key.starts_with(prefix));
                overlay.extend(range.map(|(key, row)| (key.clone(), row.clone())));
            }
            (overlay, self.tables.scan(table, prefix, after))
        };
        let mut stored = stored.peekable();
        let mut overlay = overlay.into_iter().peekable();
        let mut rows = Vec::new();
        while rows.len() < limit {
            let take_overlay = match (overlay.peek(), stored.peek()) {
                (None, None) => break,
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (Some((mine, _)), Some(Ok((theirs, _)))) => {
                    if mine == theirs {
                        stored.next();
                        true
                    } else {
                        mine < theirs
                    }
                }
                (Some(_), Some(Err(_))) => false,
            };
            if take_overlay {
                if let Some((key, Some(value))) = overlay.next() {
                    rows.push((key, value));
                }
            } else if let Some(row) = stored.next() {
                rows.push(row?);
            }
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

    /// Writes them, with the people given, and the position that all of it reflects.
    pub fn write(&self, flushing: &Flushing, people: &[(Vec<u8>, Vec<u8>)], position: Position) -> jumelle_store::Result<()> {
        let mut batch = self.tables.batch();
        for (table, rows) in &flushing.0 {
            for (key, row) in rows.iter() {
                match row {
                    Some(value) => batch.put(*table, key, value),
                    None => batch.remove(*table, key),
                }
            }
        }
        for (key, value) in people {
            batch.put(Table::People, key, value);
        }
        batch.commit(position)
    }

    /// They are on disk: reads find them there.
    pub fn written(&self) {
        for layer in &self.layers {
            layer.write().in_flight = Arc::default();
        }
    }
}
