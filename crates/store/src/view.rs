//! Point reads that wait for nobody.
//!
//! The storage engine (lsm-tree 3.1) makes each new list of a keyspace's files durable, with four syncs, while it holds the lock
//! that every read of that keyspace takes: on a disk that needs 10 ms for a sync, readers stood for 60 to 130 ms, once in some
//! seconds of load. So what a point read needs is kept beside: the memory tables and the list of files, as they were after the
//! last commit. What is committed later into the same memory table is seen as well.
//!
//! Stands on parts of lsm-tree that are public and undocumented; `Cargo.toml` says which release, and the tests here hold it
//! against the engine's own reads.

use std::sync::Arc;

use fjall::AbstractTree as _;
use fjall::Keyspace;
use lsm_tree::table::filter::standard_bloom::Builder as Filter;
use lsm_tree::{InternalValue, Memtable, SeqNo, Slice};
use parking_lot::{Mutex, RwLock};

/// Looks for a key in files, the newest first.
type Files = Box<dyn Fn(&[u8]) -> lsm_tree::Result<Option<InternalValue>> + Send + Sync>;

/// What point reads of one keyspace look at.
pub(crate) struct View {
    keyspace: Keyspace,
    current: RwLock<Arc<Parts>>,
    /// One renewal at a time, or an older one could be put after a newer.
    renewing: Mutex<()>,
}

struct Parts {
    /// The newest first: the one that is written to, then those that are being made files.
    memory: Vec<Arc<Memtable>>,
    files: Files,
    /// No memory table is missing. One is if it came and went between two looks; it can be had from the engine alone, and is not
    /// missed any more once it is a file.
    whole: bool,
}

impl Parts {
    fn of(keyspace: &Keyspace, known: &[Arc<Memtable>]) -> Parts {
        let tree = &keyspace.tree;
        loop {
            let active = tree.active_memtable();
            let waiting = tree.sealed_memtable_count();
            let version = tree.current_version();
            // Another one would have come between, and the count be of its time. What becomes a file between is in both.
            if tree.active_memtable().id() != active.id() {
                continue;
            }
            // Numbered one after the other; those that wait are the newest.
            let numbers = active.id().saturating_sub(waiting as u64)..active.id();
            let sealed: Vec<Arc<Memtable>> = known.iter().filter(|memtable| numbers.contains(&memtable.id())).cloned().collect();
            let whole = sealed.len() == waiting;
            let memory = std::iter::once(active).chain(sealed).collect();
            let files: Files = Box::new(move |key| {
                let hash = Filter::get_hash(key);
                let runs = version.iter_levels().flat_map(|level| level.iter());
                for file in runs.filter_map(|run| run.get_for_key(key)) {
                    if let Some(found) = file.get(key, SeqNo::MAX, hash)? {
                        return Ok(Some(found));
                    }
                }
                Ok(None)
            });
            return Parts { memory, files, whole };
        }
    }
}

impl View {
    pub(crate) fn of(keyspace: &Keyspace) -> View {
        let current = RwLock::new(Arc::new(Parts::of(keyspace, &[])));
        View { keyspace: keyspace.clone(), current, renewing: Mutex::new(()) }
    }

    /// After each commit and each merge: what has been replaced is let go, and what has been written since is seen.
    pub(crate) fn renew(&self) {
        let _alone = self.renewing.lock();
        let before = self.current.read().clone();
        let parts = Arc::new(Parts::of(&self.keyspace, &before.memory));
        *self.current.write() = parts;
    }

    /// The newest value of a key.
    pub(crate) fn get(&self, key: &[u8]) -> fjall::Result<Option<Slice>> {
        let parts = self.current.read().clone();
        if !parts.whole {
            return self.keyspace.get(key);
        }
        let found = match parts.memory.iter().find_map(|memtable| memtable.get(key, SeqNo::MAX)) {
            Some(found) => Some(found),
            None => (parts.files)(key)?,
        };
        Ok(found.filter(|found| !found.is_tombstone()).map(|found| found.value))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    use std::sync::mpsc;
    use std::time::Duration;

    use jumelle_model::ids::Position;
    use proptest::prelude::*;

    use super::*;
    use crate::{Table, Tables};

    fn tables(room: &tempfile::TempDir) -> Tables {
        Tables::open(room.path(), "tables", 1 << 20).unwrap()
    }

    fn put(tables: &Tables, key: u8, value: Option<u64>) {
        let mut batch = tables.batch();
        match value {
            Some(value) => batch.put(Table::People, &[key], &value.to_be_bytes()),
            None => batch.remove(Table::People, &[key]),
        }
        batch.commit(Position(1)).unwrap();
    }

    fn read(tables: &Tables, key: u8) -> Option<u64> {
        tables.get(Table::People, &[key]).unwrap().map(|row| u64::from_be_bytes(row.try_into().unwrap()))
    }

    #[derive(Clone, Debug)]
    enum Step {
        Put(u8, Option<u64>),
        /// A memory table is closed, and made a file some time later.
        Close,
        /// The same, while rows come in which nobody is told of.
        CloseTwice,
        Flush,
        Compact,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            8 => (0..12u8, proptest::option::weighted(0.8, any::<u64>())).prop_map(|(key, value)| Step::Put(key, value)),
            2 => Just(Step::Close),
            1 => Just(Step::CloseTwice),
            1 => Just(Step::Flush),
            1 => Just(Step::Compact),
        ];
        proptest::collection::vec(step, 1..60)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn reads_what_was_written_whatever_became_a_file(steps in steps()) {
            let room = tempfile::tempdir().unwrap();
            let tables = tables(&room);
            let people = tables.keyspace(Table::People);
            let mut expected = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Put(key, value) => {
                        put(&tables, key, value);
                        match value {
                            Some(value) => expected.insert(key, value),
                            None => expected.remove(&key),
                        };
                    }
                    Step::Close => drop(people.rotate_memtable().unwrap()),
                    Step::CloseTwice => {
                        for _ in 0..2 {
                            people.insert([255], [0]).unwrap();
                            people.rotate_memtable().unwrap();
                        }
                    }
                    Step::Flush => people.rotate_memtable_and_wait().unwrap(),
                    Step::Compact => tables.compact().unwrap(),
                }
                for key in 0..12 {
                    prop_assert_eq!(read(&tables, key), expected.get(&key).copied(), "{}", key);
                }
            }
            drop(tables);
            let tables = self::tables(&room);
            for key in 0..12 {
                prop_assert_eq!(read(&tables, key), expected.get(&key).copied(), "opened again: {}", key);
            }
        }
    }

    #[test]
    fn a_read_waits_for_no_list_of_files() {
        let room = tempfile::tempdir().unwrap();
        let tables = tables(&room);
        put(&tables, 1, Some(1));
        tables.settle().unwrap();
        put(&tables, 2, Some(2));
        // As long as the engine makes a list durable, it holds this.
        let held = tables.keyspace(Table::People).tree.get_version_history_lock();
        std::thread::scope(|scope| {
            let (told, hears) = mpsc::channel();
            let tables = &tables;
            scope.spawn(move || told.send((read(tables, 1), read(tables, 2), read(tables, 3))));
            let heard = hears.recv_timeout(Duration::from_secs(10));
            drop(held);
            assert_eq!(heard, Ok((Some(1), Some(2), None)));
        });
    }

    #[test]
    fn a_merge_lets_go_of_what_it_replaced() {
        let room = tempfile::tempdir().unwrap();
        let tables = tables(&room);
        for round in 0..3 {
            put(&tables, round, Some(1));
            tables.settle().unwrap();
        }
        tables.compact().unwrap();
        let people = tables.keyspace(Table::People);
        let on_disk = std::fs::read_dir(people.path().join("tables")).unwrap().count();
        assert_eq!((1, 1), (people.table_count(), on_disk));
    }

    #[test]
    fn a_reader_sees_what_was_committed_before_it_looked() {
        let room = tempfile::tempdir().unwrap();
        let tables = tables(&room);
        put(&tables, 1, Some(0));
        let (committed, done) = (AtomicU64::new(0), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let readers: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        while !done.load(Ordering::Acquire) {
                            let at_least = committed.load(Ordering::Acquire);
                            let found = read(&tables, 1).expect("it is there");
                            assert!(found >= at_least, "{found} is older than {at_least}");
                        }
                    })
                })
                .collect();
            let closer = scope.spawn(|| {
                while !done.load(Ordering::Acquire) {
                    tables.keyspace(Table::People).rotate_memtable().unwrap();
                    std::thread::sleep(Duration::from_micros(300));
                }
            });
            for value in 1..4_000 {
                put(&tables, 1, Some(value));
                committed.store(value, Ordering::Release);
            }
            done.store(true, Ordering::Release);
            for reader in readers {
                reader.join().unwrap();
            }
            closer.join().unwrap();
        });
    }
}
