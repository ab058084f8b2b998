//! What the engine's thread and everybody else look at together.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use jumelle_ledger::Ledger;
use jumelle_model::ids::{Position, ProfileId};
use jumelle_model::time::Timestamp;
use jumelle_store::{History, Table};
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};

use crate::behind::Behind;
use crate::definitions::Definitions;
use crate::flow::Flow;
use crate::heavy::Heavy;
use crate::links::Links;
use crate::live::Live;
use crate::people::People;
use crate::pulse::Pulse;
use crate::wall::Wall;

/// How many people there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Totals {
    /// All.
    pub people: u64,
    /// Known by more than a browser's id.
    pub recognised: u64,
}

/// Read by the API while the engine's thread changes it.
pub struct Shared {
    /// The facts.
    pub history: Arc<History>,
    /// What was chosen and what was let out.
    pub ledger: Arc<Ledger>,
    /// Held by the one message that has the ledger written.
    pub ledger_turn: tokio::sync::Mutex<()>,
    /// Keys of signed links.
    pub links: Links,
    /// What is derived from them.
    pub behind: Arc<Behind>,
    /// People and identifiers.
    pub people: People,
    /// Definitions in force.
    pub definitions: RwLock<Arc<Definitions>>,
    /// Members per segment.
    pub counts: RwLock<BTreeMap<String, u64>>,
    /// How many people there are.
    pub totals: Mutex<Totals>,
    /// What went through in the last hour.
    pub flow: Flow,
    /// Who has the most events today.
    pub heavy: Heavy,
    /// What the last entries did.
    pub live: Live,
    /// Whether the fold still turns.
    pub pulse: Pulse,
    /// Positions of people's events that are not in the timeline table yet.
    pub timeline: Mutex<HashMap<ProfileId, Vec<u64>>>,
    /// The position up to which everything is folded.
    pub position: AtomicU64,
    /// The clock of the fold, microseconds.
    pub clock: AtomicI64,
    /// A backfill is under way.
    pub computing: AtomicBool,
    /// The fold has stopped on an error.
    pub stopped: AtomicBool,
    /// Something was erased that files of the storage engine still hold.
    pub to_sweep: AtomicBool,
    /// Position of the last entry that erased something: files are merged when the tables reflect it.
    pub sweep_after: AtomicU64,
    /// Changes that wait to be written take so many bytes at most, about.
    pub unwritten_bytes: usize,
    /// Somebody was taken apart: events and deliveries are looked at for it.
    pub has_apart: AtomicBool,
    /// Time moves with the events.
    pub clock_follows_events: bool,
    /// What time it is outside.
    pub wall: Wall,
}

impl Shared {
    /// Definitions in force.
    pub fn definitions(&self) -> Arc<Definitions> {
        self.definitions.read().clone()
    }

    /// The instant that reads are made at: the wall, or the fold's clock where time moves with the events.
    pub fn now(&self) -> Timestamp {
        if self.clock_follows_events { Timestamp(self.clock.load(Ordering::Acquire)) } else { self.wall.now() }
    }

    /// Everything before it is folded.
    pub fn position(&self) -> Position {
        Position(self.position.load(Ordering::Acquire))
    }

    /// When the oldest entry that is not folded yet arrived; `None`: all are.
    pub fn oldest_unfolded(&self) -> jumelle_store::Result<Option<Timestamp>> {
        let position = self.position();
        let Some(block) = self.history.block_of(position)? else { return Ok(None) };
        Ok(block.record(position)?.map(|record| record.received))
    }

    /// Positions of a person's events (and of those she absorbed), in order.
    pub fn timeline_of(&self, id: ProfileId) -> jumelle_store::Result<Vec<Position>> {
        let mut ids = vec![id];
        if let Some(person) = self.people.get(id)? {
            ids.extend(person.known.absorbed.iter().copied());
        }
        let mut positions = Vec::new();
        for id in ids {
            let unwritten = self.timeline.lock().get(&id).cloned().unwrap_or_default();
            for (key, chunk) in self.behind.scan(Table::Timeline, &id.0.to_be_bytes(), None, usize::MAX)? {
                positions.extend(decode_chunk(&key, &chunk));
            }
            positions.extend(unwritten);
        }
        positions.sort_unstable();
        positions.dedup();
        Ok(positions.into_iter().map(Position).collect())
    }
}

/// A chunk of a timeline: key (person, first position) and the differences to it, as variable-length integers.
pub fn encode_chunk(id: ProfileId, positions: &[u64]) -> (Vec<u8>, Vec<u8>) {
    let mut key = id.0.to_be_bytes().to_vec();
    key.extend_from_slice(&positions[0].to_be_bytes());
    let mut chunk = Vec::with_capacity(positions.len() * 2);
    for pair in positions.windows(2) {
        let mut difference = pair[1] - pair[0];
        while difference >= 0x80 {
            chunk.push(difference as u8 | 0x80);
            difference >>= 7;
        }
        chunk.push(difference as u8);
    }
    (key, chunk)
}

/// The inverse of [`encode_chunk`].
pub fn decode_chunk(key: &[u8], chunk: &[u8]) -> Vec<u64> {
    let mut at = u64::from_be_bytes(key.get(16..24).and_then(|bytes| bytes.try_into().ok()).unwrap_or_default());
    let mut positions = vec![at];
    let (mut difference, mut shift) = (0u64, 0);
    for byte in chunk {
        difference |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            at += difference;
            positions.push(at);
            (difference, shift) = (0, 0);
        } else {
            shift += 7;
        }
    }
    positions
}

/// Key in the members table: segment, 0, profile.
pub fn member_key(segment: &str, id: ProfileId) -> Vec<u8> {
    let mut key = member_prefix(segment);
    key.extend_from_slice(&id.0.to_be_bytes());
    key
}

/// Prefix of a segment in the members table.
pub fn member_prefix(segment: &str) -> Vec<u8> {
    let mut key = segment.as_bytes().to_vec();
    key.push(0);
    key
}

/// Key in the timers table: due (sortable), profile.
pub fn timer_key(due: Timestamp, id: ProfileId) -> Vec<u8> {
    let mut key = ((due.0 as u64) ^ (1 << 63)).to_be_bytes().to_vec();
    key.extend_from_slice(&id.0.to_be_bytes());
    key
}

/// The inverse of [`timer_key`].
pub fn read_timer_key(key: &[u8]) -> Option<(Timestamp, ProfileId)> {
    let due = u64::from_be_bytes(key.get(..8)?.try_into().ok()?) ^ (1 << 63);
    let id = u128::from_be_bytes(key.get(8..24)?.try_into().ok()?);
    Some((Timestamp(due as i64), ProfileId(id)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_oldest_unfolded_entry_is_known_until_it_is_folded() {
        use jumelle_store::{BlockBuilder, Entry, Record};
        let room = tempfile::tempdir().unwrap();
        {
            let history = History::open(room.path(), None).unwrap();
            let mut builder = BlockBuilder::default();
            builder.push(&Record { received: Timestamp(7), entry: Entry::Tick });
            builder.push(&Record { received: Timestamp(9), entry: Entry::Tick });
            let (stored, block) = builder.finish(Position(0));
            history.append(block.first, &stored, Timestamp(9), &[0, 0]).unwrap();
        }
        let shared = crate::open_shared(&crate::Options::new(room.path()), "tables").unwrap();
        assert_eq!(shared.oldest_unfolded().unwrap(), Some(Timestamp(7)));
        shared.position.store(1, Ordering::Release);
        assert_eq!(shared.oldest_unfolded().unwrap(), Some(Timestamp(9)));
        shared.position.store(0, Ordering::Release);
        crate::catch_up(&mut crate::fold::Fold::new(shared.clone()).unwrap()).unwrap();
        assert_eq!(shared.oldest_unfolded().unwrap(), None);
    }

    #[tokio::test]
    async fn a_running_fold_beats_and_a_stopped_one_does_not() {
        let room = tempfile::tempdir().unwrap();
        let engine = crate::Engine::open(&crate::Options::new(room.path())).unwrap();
        let pulse = &engine.shared().pulse;
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        let mut beats = 0;
        let mut before = pulse.still();
        while beats < 3 {
            assert!(std::time::Instant::now() < deadline, "the fold's loop does not come round");
            tokio::task::yield_now().await;
            let now = pulse.still();
            beats += usize::from(now < before);
            before = now;
        }
        engine.stop().await;
        let stopped = pulse.still();
        tokio::task::yield_now().await;
        assert!(pulse.still() >= stopped);
    }

    proptest! {
        #[test]
        fn a_timeline_chunk_reads_back(mut positions in prop::collection::btree_set(any::<u64>(), 1..50)) {
            let positions: Vec<u64> = std::mem::take(&mut positions).into_iter().collect();
            let (key, chunk) = encode_chunk(ProfileId(7), &positions);
            prop_assert_eq!(decode_chunk(&key, &chunk), positions);
        }

        #[test]
        fn timers_sort_by_due(a in any::<i64>(), b in any::<i64>()) {
            let key = |due| timer_key(Timestamp(due), ProfileId(1));
            prop_assert_eq!(a.cmp(&b), key(a).cmp(&key(b)));
            prop_assert_eq!(read_timer_key(&key(a)), Some((Timestamp(a), ProfileId(1))));
        }
    }
}
