//! The append-only history: one block per commit, one synced write per block.

use std::path::Path;

use fjall::{Keyspace, KeyspaceCreateOptions, KvSeparationOptions, PersistMode};
use jumelle_model::ids::Position;
use jumelle_model::time::Timestamp;

use crate::block::Block;
use crate::{Result, StoreError};

/// What moves time, as the directory has it.
const EVENTS: &[u8] = b"events";
const WALL: &[u8] = b"wall";

fn clock(follows_events: bool) -> &'static [u8] {
    if follows_events { EVENTS } else { WALL }
}

/// The history of one workspace.
pub struct History {
    pub(crate) database: fjall::Database,
    pub(crate) blocks: Keyspace,
    pub(crate) fingerprints: Keyspace,
    /// Tombstones: where erased people's events were, for backups made before.
    pub(crate) erasures: Keyspace,
    meta: Keyspace,
    clock_follows_events: bool,
}

impl History {
    /// Opens or makes the history in `directory`. `asked`: time moves with the received events (`--clock events`), or with the wall;
    /// that does not change once it is made. `None`: as it was made; a new one follows the wall.
    pub fn open(directory: &Path, asked: Option<bool>) -> Result<History> {
        let path = directory.join("history");
        let (database, repaired) = crate::open_checked(&path, 16 << 20, true)?;
        let blocks = database
            .keyspace("blocks", || KeyspaceCreateOptions::default().with_kv_separation(Some(KvSeparationOptions::default())))?;
        let fingerprints = database.keyspace("fingerprints", KeyspaceCreateOptions::default)?;
        let erasures = database.keyspace("erasures", KeyspaceCreateOptions::default)?;
        let meta = database.keyspace("meta", KeyspaceCreateOptions::default)?;
        crate::sync_keyspaces(&path)?;
        crate::check_sequence(&path, [&blocks, &fingerprints, &erasures, &meta], repaired)?;
        let made_with = meta.get("clock")?;
        let clock_follows_events = match &made_with {
            None => asked.unwrap_or(false),
            Some(clock) => clock.as_ref() == EVENTS,
        };
        match meta.get("format")? {
            None => {
                let mut batch = database.batch().durability(Some(PersistMode::SyncAll));
                batch.insert(&meta, "format", crate::FORMAT.to_le_bytes());
                batch.insert(&meta, "clock", clock(clock_follows_events));
                batch.commit()?;
            }
            Some(found) => {
                let found = u32::from_le_bytes(found.as_ref().try_into().unwrap_or_default());
                if found > crate::FORMAT {
                    return Err(StoreError::TooNew { found, known: crate::FORMAT });
                }
                let made_with = made_with.unwrap_or_default();
                if let Some(asked) = asked.map(clock).filter(|asked| *asked != made_with.as_ref()) {
                    let name = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                    return Err(StoreError::OtherClock { found: name(&made_with), asked: name(asked) });
                }
                if found < crate::FORMAT {
                    // An older Jumelle looks here, and must not write its blocks between ours.
                    let mut batch = database.batch().durability(Some(PersistMode::SyncAll));
                    batch.insert(&meta, "format", crate::FORMAT.to_le_bytes());
                    batch.commit()?;
                }
            }
        }
        let history = History { database, blocks, fingerprints, erasures, meta, clock_follows_events };
        // Made with the directory, so that a copy of it has the same.
        history.id()?;
        history.check_end(&path)?;
        Ok(history)
    }

    /// Blocks and fingerprints are written together: one that ends before the other has lost something.
    fn check_end(&self, path: &Path) -> Result<()> {
        let (end, _) = self.end()?;
        let last = match self.blocks.last_key_value() {
            None => Position(0),
            Some(guard) => {
                let (key, stored) = guard.into_inner()?;
                Block::decode(position_of(&key), &stored)?.end()
            }
        };
        if last == end {
            return Ok(());
        }
        Err(StoreError::Damaged {
            place: format!("the end of the history, {},", path.display()),
            what: format!("its blocks end at entry {}, their fingerprints at {}", last.0, end.0),
        })
    }

    /// Appends one block and syncs it: when this returns, the block survives a power cut.
    ///
    /// `fingerprints`: one per entry, 0 for entries that are not events, so that the window of known message ids can be rebuilt
    /// at start without reading the blocks.
    // Invariant: an acknowledged block is on disk before its position is published.
    pub fn append(&self, first: Position, stored: &[u8], received: Timestamp, fingerprints: &[u64]) -> Result<()> {
        let mut index = Vec::with_capacity(8 + fingerprints.len() * 8);
        index.extend_from_slice(&received.0.to_le_bytes());
        for fingerprint in fingerprints {
            index.extend_from_slice(&fingerprint.to_le_bytes());
        }
        let key = first.0.to_be_bytes();
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        batch.insert(&self.blocks, key, stored);
        batch.insert(&self.fingerprints, key, index);
        Ok(batch.commit()?)
    }

    /// Puts another block in the place of one, for erasure. The number of entries must be the same.
    pub fn replace(&self, block: &Block) -> Result<()> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        batch.insert(&self.blocks, block.first.0.to_be_bytes(), block.encode());
        Ok(batch.commit()?)
    }

    /// Makes the storage engine drop what [`History::replace`] has overwritten.
    pub fn compact(&self) -> Result<()> {
        crate::failpoint::reach("before compaction");
        self.blocks.rotate_memtable_and_wait()?;
        crate::let_go(&self.erasures)?;
        self.blocks.major_compact()?;
        crate::let_go(&self.erasures)?;
        crate::failpoint::reach("after compaction");
        Ok(())
    }

    /// Makes the storage engine's journal forget what [`History::compact`] has dropped. Writes 64 MB.
    pub fn turn_journal(&self) -> Result<()> {
        crate::turn_journal(&self.database, &[&self.blocks, &self.fingerprints, &self.erasures, &self.meta])
    }

    /// The position after the last entry, and the arrival of the last block.
    pub fn end(&self) -> Result<(Position, Timestamp)> {
        let Some(guard) = self.fingerprints.last_key_value() else { return Ok((Position(0), Timestamp::MIN)) };
        let (key, index) = guard.into_inner()?;
        let first = position_of(&key);
        let (received, fingerprints) = split_index(first, &index)?;
        Ok((Position(first.0 + fingerprints.len() as u64 / 8), received))
    }

    /// The blocks from the one that holds `from`, in order. A block that is missing between two others is an error.
    pub fn blocks(&self, from: Position) -> impl Iterator<Item = Result<Block>> + use<> {
        let (start, failed) = match self.start_of_block(from) {
            Ok(start) => (start.unwrap_or(from), None),
            Err(error) => (from, Some(Err(error))),
        };
        let mut expected = None;
        let blocks = self.blocks.range(start.0.to_be_bytes()..).map(move |guard| {
            let (key, stored) = guard.into_inner()?;
            let first = position_of(&key);
            let before = expected.replace(first);
            let block = Block::decode(first, &stored)?;
            expected = Some(block.end());
            match before.unwrap_or(start) {
                before if before == first => Ok(block),
                before => Err(missing(before, first)),
            }
        });
        let refused = failed.is_some();
        failed.into_iter().chain(blocks.take_while(move |_| !refused))
    }

    /// The block that holds a position.
    pub fn block_of(&self, position: Position) -> Result<Option<Block>> {
        match self.blocks.range(..=position.0.to_be_bytes()).next_back() {
            None => Ok(None),
            Some(guard) => {
                let (key, stored) = guard.into_inner()?;
                let block = Block::decode(position_of(&key), &stored)?;
                Ok((position < block.end()).then_some(block))
            }
        }
    }

    fn start_of_block(&self, position: Position) -> Result<Option<Position>> {
        let Some(guard) = self.blocks.range(..=position.0.to_be_bytes()).next_back() else { return Ok(None) };
        Ok(Some(position_of(&guard.key()?)))
    }

    /// Fingerprints of the blocks that arrived at or after an instant, with each entry's position, newest block first; stops
    /// after `limit` fingerprints.
    pub fn recent_fingerprints(&self, since: Timestamp, limit: usize) -> Result<Vec<(Position, Timestamp, Vec<u64>)>> {
        let mut recent = Vec::new();
        let mut taken = 0;
        for guard in self.fingerprints.iter().rev() {
            let (key, index) = guard.into_inner()?;
            let first = position_of(&key);
            let (received, bytes) = split_index(first, &index)?;
            if received < since || taken >= limit {
                break;
            }
            let fingerprints: Vec<u64> =
                bytes.chunks_exact(8).map(|chunk| u64::from_le_bytes(chunk.try_into().unwrap_or_default())).collect();
            taken += fingerprints.len();
            recent.push((first, received, fingerprints));
        }
        Ok(recent)
    }

    /// Bytes on disk.
    pub fn disk_bytes(&self) -> u64 {
        self.database.disk_space().unwrap_or(0)
    }

    /// Time moves with the received events instead of the wall.
    pub fn clock_follows_events(&self) -> bool {
        self.clock_follows_events
    }

    /// A small value beside the history that is not derived from it (hash of the first admin token).
    pub fn get_meta(&self, key: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.meta.get(key)?.map(|value| value.to_vec()))
    }

    /// See [`History::get_meta`].
    pub fn put_meta(&self, key: &str, value: &[u8]) -> Result<()> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncAll));
        batch.insert(&self.meta, key, value);
        Ok(batch.commit()?)
    }
}

fn missing(from: Position, to: Position) -> StoreError {
    StoreError::Damaged {
        place: format!("history entries {} to {}", from.0, to.0.saturating_sub(1)),
        what: "they are missing".into(),
    }
}

pub(crate) fn position_of(key: &[u8]) -> Position {
    Position(u64::from_be_bytes(key.try_into().unwrap_or_default()))
}

pub(crate) fn split_index(first: Position, index: &[u8]) -> Result<(Timestamp, &[u8])> {
    let damaged = || StoreError::Damaged { place: format!("fingerprints of block {}", first.0), what: "too short".into() };
    let (received, fingerprints) = index.split_at_checked(8).ok_or_else(damaged)?;
    Ok((Timestamp(i64::from_le_bytes(received.try_into().unwrap_or_default())), fingerprints))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BlockBuilder, Entry, Record};

    fn history(directory: &Path, blocks: u64) -> History {
        let history = History::open(directory, None).unwrap();
        for n in 0..blocks {
            let mut builder = BlockBuilder::default();
            builder.push(&Record { received: Timestamp(n as i64), entry: Entry::Tick });
            builder.push(&Record { received: Timestamp(n as i64), entry: Entry::Gone });
            let (stored, block) = builder.finish(Position(n * 2));
            history.append(block.first, &stored, Timestamp(n as i64), &[0, 0]).unwrap();
        }
        history
    }

    fn read(history: &History, from: u64) -> Vec<std::result::Result<u64, String>> {
        history.blocks(Position(from)).map(|block| block.map(|block| block.first.0).map_err(|error| error.to_string())).collect()
    }

    #[test]
    fn a_block_that_is_missing_is_an_error_and_not_a_step() {
        let directory = tempfile::tempdir().unwrap();
        let history = history(directory.path(), 4);
        assert_eq!(read(&history, 0), [Ok(0), Ok(2), Ok(4), Ok(6)]);
        assert_eq!(read(&history, 5), [Ok(4), Ok(6)]);
        history.blocks.remove(2_u64.to_be_bytes()).unwrap();
        let found = read(&history, 0);
        assert_eq!((found.len(), &found[0]), (3, &Ok(0)));
        assert!(found[1].as_ref().is_err_and(|error| error.contains("history entries 2 to 3 is damaged")), "{found:?}");
    }

    #[test]
    fn a_block_in_the_place_of_another_is_damaged() {
        let directory = tempfile::tempdir().unwrap();
        let history = history(directory.path(), 3);
        let other = history.blocks.get(2_u64.to_be_bytes()).unwrap().unwrap();
        history.blocks.insert(4_u64.to_be_bytes(), other).unwrap();
        assert!(history.block_of(Position(4)).is_err());
    }

    #[test]
    fn an_end_that_only_the_fingerprints_know_is_no_start() {
        let directory = tempfile::tempdir().unwrap();
        let history = history(directory.path(), 3);
        history.blocks.remove(4_u64.to_be_bytes()).unwrap();
        drop(history);
        let error = History::open(directory.path(), None).err().unwrap();
        assert!(error.to_string().contains("its blocks end at entry 4, their fingerprints at 6"), "{error}");
    }
}
