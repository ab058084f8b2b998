//! The history (one durable step) and the tables (written behind), on disk.
//!
//! Architecture invariant: knows nothing of HTTP, people or rules. Two databases, each with its own journal, so that the
//! acknowledgement of a batch (one synced write of the history) never waits for the bulk of the tables.

pub mod backup;
mod block;
mod entry;
mod history;
mod tables;

pub use block::{Block, BlockBuilder};
pub use entry::{Entry, EventEntry, ImportProgress, Notice, QuarantineEnd, Record, ResultState};
pub use history::{History, HistorySettings};
pub use tables::{Table, Tables, TablesBatch, after_prefix};

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

pub(crate) fn open_database(path: &std::path::Path, cache_bytes: u64, journal_bytes: u64) -> Result<fjall::Database> {
    std::fs::create_dir_all(path).map_err(|source| StoreError::Io { path: path.display().to_string(), source })?;
    fjall::Database::builder(path).cache_size(cache_bytes).max_journaling_size(journal_bytes).worker_threads(1).open().map_err(
        |error| match error {
            fjall::Error::Locked => StoreError::Locked(path.display().to_string()),
            other => StoreError::Disk(other),
        },
    )
}
