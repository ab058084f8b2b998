//! What is derived from the history: written behind it, together with the position it reflects.

use std::path::Path;

use fjall::{Keyspace, KeyspaceCreateOptions, PersistMode};
use jumelle_model::ids::Position;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::view::View;
use crate::{Result, StoreError};

/// Bytes of the checksum at the end of a stored row.
const CHECKSUM_BYTES: usize = 4;
/// Row of `Meta` that says how rows are stored; in format 1 there was none.
pub(crate) const FORMAT_ROW: &[u8] = b"format";

/// The tables. Keys are byte strings that sort as the comment says.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Table {
    /// Profile id (16 BE) → person.
    People,
    /// Identifier key (16 BE) → profile id.
    Identifiers,
    /// Absorbed profile id → surviving profile id.
    Aliases,
    /// Profile id, first position of the chunk (8 BE) → positions as differences.
    Timeline,
    /// Segment key, 0, profile id → member since.
    Members,
    /// Due instant (8 BE, sign flipped), profile id → nothing.
    Timers,
    /// Delivery id → delivery.
    Deliveries,
    /// Destination key, 0, position (8 BE), profile id, ordinal (4 BE) → delivery id, profile id; only what waits.
    Queue,
    /// Profile id, position, profile id at that time, ordinal → delivery id.
    DeliveriesOfPerson,
    /// Quarantine id (8 BE) → item.
    Quarantine,
    /// Import id → progress.
    Imports,
    /// Names → definitions, position, clock, counts.
    Meta,
    /// Destination key, 0, state (1 byte), position (8 BE), profile id, ordinal (4 BE) → delivery id; only what does not wait.
    Ended,
    /// Arrival (8 BE), quarantine id (8 BE) → nothing.
    QuarantineOrder,
    /// Days since 1970-01-01 in the workspace's time zone (4 BE) → what the day came to.
    Days,
    /// Request id (8 BE) → request about a person's rights.
    Requests,
    /// Salted hash of an identifier's key (16) → when whoever had it was erased.
    Suppressed,
    /// Position of new definitions (8 BE) → their arrival (8 BE), who brought them.
    Applied,
    /// Days since 1970-01-01 in the workspace's time zone (4 BE) → what was chosen and which removals were confirmed that day.
    Chosen,
    /// Days since 1970-01-01 in the workspace's time zone (4 BE) → how many people were erased because their time was over (8 BE).
    Lapsed,
    /// Profile id, identifier key (16 BE) → nothing: what was found to be wrong of her.
    Corrected,
    /// Days since 1970-01-01 in the workspace's time zone (4 BE) → how many events were reduced that day.
    Reduced,
    /// Profile id, identifier key (16 BE) → the profile id that a split gave it to, position of the split (8 BE).
    Apart,
    /// Delivery id, position of the replay (8 BE) → how the delivery had ended before it, and who asked.
    Replays,
    /// Delivery id → what was reported of it.
    Reports,
    /// Days since 1970-01-01 in the workspace's time zone (4 BE) → what came of messages that day.
    Results,
    /// Identifier's key (16 BE), position (8 BE) of an entry in quarantine that names it → nothing; under the key 0: quarantine id
    /// (8 BE), all keys that the entry names (16 BE each).
    QuarantineNames,
}

impl Table {
    /// All of them.
    pub const ALL: [Table; 27] = [
        Table::People,
        Table::Identifiers,
        Table::Aliases,
        Table::Timeline,
        Table::Members,
        Table::Timers,
        Table::Deliveries,
        Table::Queue,
        Table::DeliveriesOfPerson,
        Table::Quarantine,
        Table::Imports,
        Table::Meta,
        Table::Ended,
        Table::QuarantineOrder,
        Table::Days,
        Table::Requests,
        Table::Suppressed,
        Table::Applied,
        Table::Chosen,
        Table::Lapsed,
        Table::Corrected,
        Table::Reduced,
        Table::Apart,
        Table::Replays,
        Table::Reports,
        Table::Results,
        Table::QuarantineNames,
    ];

    /// Bytes gathered in memory before they become a file. A new visitor's identifiers are looked for and not found: in memory
    /// that is a walk through a skip list, which is short here; files have filters.
    fn memtable_bytes(self) -> u64 {
        match self {
            Table::People => 32 << 20,
            Table::Identifiers => 8 << 20,
            _ => 16 << 20,
        }
    }

    /// Name on disk.
    pub fn name(self) -> &'static str {
        match self {
            Table::People => "people",
            Table::Identifiers => "identifiers",
            Table::Aliases => "aliases",
            Table::Timeline => "timeline",
            Table::Members => "members",
            Table::Timers => "timers",
            Table::Deliveries => "deliveries",
            Table::Queue => "queue",
            Table::DeliveriesOfPerson => "deliveries_of_person",
            Table::Quarantine => "quarantine",
            Table::Imports => "imports",
            Table::Meta => "meta",
            Table::Ended => "ended",
            Table::QuarantineOrder => "quarantine_order",
            Table::QuarantineNames => "quarantine_names",
            Table::Days => "days",
            Table::Requests => "requests",
            Table::Suppressed => "suppressed",
            Table::Applied => "applied",
            Table::Chosen => "chosen",
            Table::Lapsed => "lapsed",
            Table::Corrected => "corrected",
            Table::Reduced => "reduced",
            Table::Apart => "apart",
            Table::Replays => "replays",
            Table::Reports => "reports",
            Table::Results => "results",
        }
    }
}

/// The tables of one workspace.
pub struct Tables {
    pub(crate) database: fjall::Database,
    pub(crate) keyspaces: Vec<Keyspace>,
    /// Of each keyspace, in the same order.
    views: Vec<View>,
}

/// Changes that are written together.
pub struct TablesBatch<'a> {
    tables: &'a Tables,
    batch: fjall::OwnedWriteBatch,
}

impl Tables {
    /// Opens or makes the tables in `directory/name` (`tables`, or another name while they are rebuilt).
    pub fn open(directory: &Path, name: &str, cache_bytes: u64) -> Result<Tables> {
        let path = directory.join(name);
        let (database, repaired) = crate::open_checked(&path, cache_bytes, false)?;
        let keyspaces: Vec<Keyspace> = Table::ALL
            .iter()
            .map(|table| {
                let options = || KeyspaceCreateOptions::default().max_memtable_size(table.memtable_bytes());
                database.keyspace(table.name(), options)
            })
            .collect::<std::result::Result<_, _>>()?;
        crate::sync_keyspaces(&path)?;
        crate::check_sequence(&path, &keyspaces, repaired)?;
        let views = keyspaces.iter().map(View::of).collect();
        let tables = Tables { database, keyspaces, views };
        if tables.get(Table::Meta, FORMAT_ROW)?.is_none() {
            if tables.keyspace(Table::Meta).get("position")?.is_some() {
                // Of an older format: they are migrated before they are opened here.
                let what = "its rows have no checksums; start the server once, it brings them to today's format".to_owned();
                return Err(StoreError::Damaged { place: path.display().to_string(), what });
            }
            let mut batch = tables.batch();
            batch.put(Table::Meta, FORMAT_ROW, &crate::FORMAT.to_le_bytes());
            batch.write()?;
        }
        Ok(tables)
    }

    pub(crate) fn keyspace(&self, table: Table) -> &Keyspace {
        // `Table::ALL` is in the order of the enum, and `open` made one keyspace for each.
        &self.keyspaces[table as usize]
    }

    /// One row.
    pub fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let stored = self.views[table as usize].get(key)?;
        stored.map(|stored| read_row(table, key, &stored)).transpose()
    }

    /// Lets readers see what has been written, and go of files that are no more.
    fn renew(&self) {
        self.views.iter().for_each(View::renew);
    }

    /// The rows whose keys begin with `prefix`, from `after` on (exclusive), in order.
    pub fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        after: Option<&[u8]>,
    ) -> impl DoubleEndedIterator<Item = Result<(Vec<u8>, Vec<u8>)>> + use<> {
        let start = match after {
            Some(after) => std::ops::Bound::Excluded(after.to_vec()),
            None => std::ops::Bound::Included(prefix.to_vec()),
        };
        self.keyspace(table).range((start, after_prefix(prefix))).map(move |guard| {
            let (key, stored) = guard.into_inner()?;
            Ok((key.to_vec(), read_row(table, &key, &stored)?))
        })
    }

    /// Rows whose keys begin with `prefix` and come before `before`, the last first.
    pub fn scan_back(
        &self,
        table: Table,
        prefix: &[u8],
        before: Option<&[u8]>,
    ) -> impl Iterator<Item = Result<(Vec<u8>, Vec<u8>)>> + use<> {
        let end = match before {
            Some(before) => std::ops::Bound::Excluded(before.to_vec()),
            None => after_prefix(prefix),
        };
        self.keyspace(table).range((std::ops::Bound::Included(prefix.to_vec()), end)).rev().map(move |guard| {
            let (key, stored) = guard.into_inner()?;
            Ok((key.to_vec(), read_row(table, &key, &stored)?))
        })
    }

    /// Begins a set of changes.
    pub fn batch(&self) -> TablesBatch<'_> {
        TablesBatch { tables: self, batch: self.database.batch() }
    }

    /// The position up to which the tables reflect the history.
    pub fn position(&self) -> Result<Position> {
        let stored = self.get(Table::Meta, b"position")?;
        Ok(Position(stored.map_or(0, |bytes| u64::from_be_bytes(bytes.try_into().unwrap_or_default()))))
    }

    /// Makes everything written so far survive a power cut. Without it a crash only means more to catch up.
    pub fn sync(&self) -> Result<()> {
        Ok(self.database.persist(PersistMode::SyncAll)?)
    }

    /// Writes what is in memory into files and makes it durable, so that the next start reads no journal. For a clean stop.
    pub fn settle(&self) -> Result<()> {
        for keyspace in &self.keyspaces {
            keyspace.rotate_memtable_and_wait()?;
        }
        self.renew();
        self.sync()
    }

    /// Drops what was overwritten or removed.
    pub fn compact(&self) -> Result<()> {
        for keyspace in &self.keyspaces {
            keyspace.rotate_memtable_and_wait()?;
        }
        crate::let_go(self.keyspace(Table::Meta))?;
        for keyspace in &self.keyspaces {
            keyspace.major_compact()?;
        }
        self.renew();
        crate::let_go(self.keyspace(Table::Meta))
    }

    /// Makes the storage engine's journal forget what [`Tables::compact`] has dropped. Writes 64 MB.
    pub fn turn_journal(&self) -> Result<()> {
        crate::turn_journal(&self.database, &self.keyspaces.iter().collect::<Vec<_>>())?;
        self.renew();
        Ok(())
    }

    /// Bytes on disk.
    pub fn disk_bytes(&self) -> u64 {
        self.database.disk_space().unwrap_or(0)
    }

    /// Rows of a table, about.
    pub fn approximate_len(&self, table: Table) -> usize {
        self.keyspace(table).approximate_len()
    }
}

/// The first bytes of the xxh3 of the value, seeded with that of table and key: a row under another key, or in another table, is
/// damaged too.
fn checksum(table: Table, key: &[u8], value: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let sum = xxh3_64_with_seed(value, xxh3_64_with_seed(key, table as u64));
    (sum as u32).to_le_bytes()
}

fn read_row(table: Table, key: &[u8], stored: &[u8]) -> Result<Vec<u8>> {
    let row = stored.len().checked_sub(CHECKSUM_BYTES).map(|len| stored.split_at(len));
    match row {
        Some((value, sum)) if sum == checksum(table, key, value) => Ok(value.to_vec()),
        _ => Err(StoreError::Damaged {
            place: format!("a row of table {}", table.name()),
            what: "its checksum does not match".into(),
        }),
    }
}

/// The end of the keys that begin with a prefix.
pub fn after_prefix(prefix: &[u8]) -> std::ops::Bound<Vec<u8>> {
    let mut end = prefix.to_vec();
    while end.last() == Some(&u8::MAX) {
        end.pop();
    }
    match end.last_mut() {
        Some(last) => {
            *last += 1;
            std::ops::Bound::Excluded(end)
        }
        None => std::ops::Bound::Unbounded,
    }
}

impl TablesBatch<'_> {
    /// Writes a row.
    pub fn put(&mut self, table: Table, key: &[u8], value: &[u8]) {
        let mut stored = Vec::with_capacity(value.len() + CHECKSUM_BYTES);
        stored.extend_from_slice(value);
        stored.extend_from_slice(&checksum(table, key, value));
        self.batch.insert(self.tables.keyspace(table), key, stored);
    }

    /// Removes a row.
    pub fn remove(&mut self, table: Table, key: &[u8]) {
        self.batch.remove(self.tables.keyspace(table), key);
    }

    /// How many changes.
    pub(crate) fn len(&self) -> usize {
        self.batch.len()
    }

    /// Writes all of it, or nothing, with the position that it reflects.
    pub fn commit(mut self, position: Position) -> Result<()> {
        self.put(Table::Meta, b"position", &position.0.to_be_bytes());
        self.write()
    }

    /// Writes all of it, or nothing.
    pub(crate) fn write(self) -> Result<()> {
        self.batch.commit()?;
        self.tables.renew();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_or_misplaced_row_is_damaged() {
        let room = tempfile::tempdir().unwrap();
        let tables = Tables::open(room.path(), "tables", 1 << 20).unwrap();
        let mut batch = tables.batch();
        batch.put(Table::Members, b"a", b"since");
        batch.put(Table::Members, b"b", b"");
        batch.commit(Position(1)).unwrap();
        let members = tables.keyspace(Table::Members);
        let stored = members.get(b"a").unwrap().unwrap().to_vec();
        assert_eq!(tables.get(Table::Members, b"a").unwrap().as_deref(), Some(&b"since"[..]));
        assert_eq!(tables.get(Table::Members, b"b").unwrap().as_deref(), Some(&b""[..]));
        for at in 0..stored.len() {
            let mut changed = stored.clone();
            changed[at] ^= 1;
            members.insert(b"a", changed).unwrap();
            assert!(tables.get(Table::Members, b"a").is_err(), "byte {at}");
        }
        members.insert(b"b", stored.clone()).unwrap();
        assert!(tables.get(Table::Members, b"b").is_err(), "under another key");
        tables.keyspace(Table::Timers).insert(b"a", stored).unwrap();
        assert!(tables.get(Table::Timers, b"a").is_err(), "in another table");
        assert!(tables.scan(Table::Members, b"", None).any(|row| row.is_err()));
    }
}
