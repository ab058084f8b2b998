//! The history (one durable step) and the tables (written behind), on disk.
//!
//! Architecture invariant: knows nothing of HTTP, people or rules. Two databases, each with its own journal, so that the
//! acknowledgement of a batch (one synced write of the history) never waits for the bulk of the tables.

pub mod backup;
mod block;
mod directory;
mod entry;
pub mod failpoint;
mod history;
mod journal;
mod migrate;
mod tables;
mod upkeep;
mod view;

pub use block::{Block, BlockBuilder};
pub use directory::{BadFile, FORMAT, bad_files, bad_manifests, format, replace_tables};
pub use entry::{Entry, EventEntry, ImportProgress, Notice, QuarantineEnd, Record, ReducedCount, ResultState};
pub use history::History;
pub use journal::{JournalScan, cut_damage, journals, scan as scan_journal};
pub use migrate::prepare;
pub use tables::{Table, Tables, TablesBatch, after_prefix};
pub use upkeep::Upkeep;

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::time::Duration;

use fjall::AbstractTree as _;

/// What can go wrong on disk. After `Disk`, stop rather than continue on doubtful state.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The storage engine failed.
    #[error("storage: {0}")]
    Disk(#[from] fjall::Error),
    /// The operating system refused.
    #[error("{path}: {source}")]
    Io {
        /// Where.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Bytes that are not what was written.
    #[error("{place} is damaged: {what}; run `jumelle doctor`")]
    Damaged {
        /// Which block or row.
        place: String,
        /// What does not fit.
        what: String,
    },
    /// Another process has the directory.
    #[error("the directory {0} is in use by another Jumelle; stop it first, or talk to it with --server")]
    Locked(String),
    /// The directory was written by a newer Jumelle.
    #[error("the directory has format {found}, this Jumelle knows {known}: use a newer one")]
    TooNew {
        /// On disk.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// The directory was made with another clock.
    #[error("the directory was made with --clock {found}; it cannot be opened with --clock {asked}")]
    OtherClock {
        /// On disk.
        found: String,
        /// On the command line.
        asked: String,
    },
}

/// Shorthand.
pub type Result<T> = std::result::Result<T, StoreError>;

/// How often a lock is tried, and how long is waited in between.
const LOCK_TRIES: u32 = 3;
const LOCK_AGAIN: Duration = Duration::from_millis(100);

/// Bytes of journals before the storage engine writes out what keeps the oldest of them. All of it is read at each start, by us
/// (for damage) and by the engine (to have it in memory again).
const JOURNALS_BYTES: u64 = 128 << 20;

pub(crate) fn open_database(path: &Path, cache_bytes: u64) -> Result<fjall::Database> {
    directory::create(path)?;
    fjall::Database::builder(path).cache_size(cache_bytes).max_journaling_size(JOURNALS_BYTES).worker_threads(1).open().map_err(
        |error| match error {
            fjall::Error::Locked => StoreError::Locked(path.display().to_string()),
            other => StoreError::Disk(other),
        },
    )
}

/// Opens a database after its journals and manifests have been looked at. `synced`: every batch was synced before the next.
pub(crate) fn open_checked(path: &Path, cache_bytes: u64, synced: bool) -> Result<(fjall::Database, journal::Repaired)> {
    let repaired = {
        // Whoever has the database open is writing its journal: look at it only when nobody does.
        let _lock = lock(path)?;
        if let Some(bad) = bad_manifests(path)?.into_iter().next() {
            return Err(StoreError::Damaged { place: bad.path.display().to_string(), what: bad.what });
        }
        journal::repair(path, synced)?
    };
    Ok((open_database(path, cache_bytes)?, repaired))
}

/// Makes the names of the keyspaces' folders durable: the storage engine does not, and drops the journal's rows of a folder that
/// has vanished as if it never was.
pub(crate) fn sync_keyspaces(path: &Path) -> Result<()> {
    directory::sync(&path.join("keyspaces"))
}

fn lock(path: &Path) -> Result<Option<File>> {
    let lock = path.join("lock");
    if !lock.exists() {
        return Ok(None);
    }
    let io = |source| StoreError::Io { path: lock.display().to_string(), source };
    let file = OpenOptions::new().write(true).open(&lock).map_err(io)?;
    for tries in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            // Whoever has just closed it may need a moment.
            Err(TryLockError::WouldBlock) if tries + 1 < LOCK_TRIES => std::thread::sleep(LOCK_AGAIN),
            Err(TryLockError::WouldBlock) => break,
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
    }
    Err(StoreError::Locked(path.display().to_string()))
}

/// After an end was cut off: no keyspace may hold on disk what the journals have lost, or it would be ahead of the others.
pub(crate) fn check_sequence<'a>(
    path: &Path,
    keyspaces: impl IntoIterator<Item = &'a fjall::Keyspace>,
    repaired: journal::Repaired,
) -> Result<()> {
    let Some(last) = repaired.last_sequence.filter(|_| repaired.cut_bytes > 0) else { return Ok(()) };
    let ahead = keyspaces.into_iter().filter_map(|keyspace| keyspace.tree.get_highest_persisted_seqno()).max();
    if ahead.is_none_or(|ahead| ahead <= last) {
        return Ok(());
    }
    Err(StoreError::Damaged {
        place: path.display().to_string(),
        what: "its journal has lost batches that some of its tables hold".into(),
    })
}

/// Bytes after which the storage engine begins another journal, at its next flush (fjall 3, `worker_pool.rs`).
const JOURNAL_BYTES: usize = 64_000_000;
const NOISE_BYTES: usize = 1 << 20;
/// Bytes between two syncs: whoever waits for a commit meanwhile waits for no more than these.
const NOISE_SYNC_BYTES: usize = 4 << 20;

/// The storage engine keeps in its journal what went through it until [`JOURNAL_BYTES`] more have, and has no call for less. Here
/// they go through it, of nobody; afterwards no journal has anything that `keyspaces` have dropped.
pub(crate) fn turn_journal(database: &fjall::Database, keyspaces: &[&fjall::Keyspace]) -> Result<()> {
    let options = || fjall::KeyspaceCreateOptions::default().max_memtable_size(NOISE_SYNC_BYTES as u64);
    let filler = database.keyspace("filler", options)?;
    let mut noise = vec![0; NOISE_BYTES];
    for written in (0..=JOURNAL_BYTES).step_by(NOISE_BYTES) {
        // What can be compressed would be.
        rand::Rng::fill(&mut rand::rng(), noise.as_mut_slice());
        filler.insert(b"noise", noise.as_slice())?;
        if written % NOISE_SYNC_BYTES == 0 {
            database.persist(fjall::PersistMode::SyncData)?;
        }
    }
    // The flush begins the new journal; the old one goes when what it holds is in tables.
    filler.rotate_memtable_and_wait()?;
    for keyspace in keyspaces {
        keyspace.rotate_memtable_and_wait()?;
    }
    filler.remove(b"noise")?;
    filler.rotate_memtable_and_wait()?;
    filler.major_compact()?;
    let_go(&filler)
}

/// The storage engine keeps files that a compaction has replaced until a memory table of the same database is next written, and
/// what was overwritten until it knows that nobody reads it: here it looks. The row was never there.
fn let_go(keyspace: &fjall::Keyspace) -> Result<()> {
    keyspace.remove(b"let go")?;
    Ok(keyspace.rotate_memtable_and_wait()?)
}
