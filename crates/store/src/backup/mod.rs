//! Backups: the history is the truth, so a backup is its blocks, in files named by position, and the tombstones of erasures apart.
//!
//! ```text
//! PLACE/backup.json                          what there is, with the SHA-256 of each file; written last, so a cut-off run leaves the one before
//! PLACE/blocks/FIRST-END.GENERATION.blocks   frames of blocks; a file never changes once it is named in backup.json
//! PLACE/erasures.RUN                         frames of tombstones, all of them
//! PLACE/workspace.RUN.yaml                   the definitions in force at the end, for people
//! ```
//!
//! A place is a directory or a bucket. Decision 0008 says why it is so. What travels from a running server is the same frames, one after the other.

mod bucket;
mod folder;
mod frame;
mod manifest;
mod place;
mod restore;
mod source;
mod tombstone;
mod verify;
mod writer;

pub use bucket::Bucket;
pub use folder::Folder;
pub use frame::{Frame, FrameReader, Head, StoredBlock};
pub use place::Place;
pub use restore::{Restored, restore_history};
pub use source::Mark;
pub use tombstone::Tombstone;
pub use verify::{Verified, verify};
pub use writer::{BackupReport, BackupWriter};

/// Why a backup is not made, not trusted or not restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The history.
    #[error(transparent)]
    Store(#[from] crate::StoreError),
    /// A file of the backup.
    #[error("{path}: {source}")]
    File {
        /// Where.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The backup is not what was written.
    #[error("{place} is damaged: {what}")]
    Damaged {
        /// Which file, and where in it.
        place: String,
        /// What does not fit.
        what: String,
    },
    /// It cannot be done as asked.
    #[error("{0}")]
    Refused(String),
}

/// Shorthand.
pub type Result<T> = std::result::Result<T, BackupError>;

pub(crate) fn at(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> BackupError {
    let path = path.display().to_string();
    move |source| BackupError::File { path, source }
}

pub(crate) fn damaged(place: impl std::fmt::Display, what: impl Into<String>) -> BackupError {
    BackupError::Damaged { place: place.to_string(), what: what.into() }
}
