//! The consent ledger: every choice, everything that the gate let out and what became of it, append-only.
//!
//! Per day (UTC) two files. `DAY.chain` holds for each entry its leaf, `SHA-256(0x00 ‖ salt ‖ text)`, and a link of a chain over
//! all leaves; it is only ever appended to. `DAY.text` holds salts and texts; an erasure overwrites those of a person with zeros,
//! and a leaf without its salt says nothing of her any more. `roots.jsonl` has a line for each day that is over: Merkle root
//! (RFC 6962), last link, and the line before. `head` says, about once a second, how far the day that is not over had come.
//!
//! Architecture invariant: knows files, hashes and what entries say; no people, no rules, no async.
//!
//! Cost of an entry: about 0.5 KB of text, 64 bytes of chain, three SHA-256; of a group, two fdatasync.

mod copy;
mod erase;
mod files;
mod ledger;
pub mod merkle;
pub mod permit;
mod proof;
mod recover;
mod root;
mod statement;
mod verify;

pub use copy::{CopyWriter, Piece, pieces_of};
pub use ledger::{Ledger, QUEUED_MAX, Settings};
pub use proof::{Proof, Proved};
pub use root::{NO_ROOT, Root, SigningKey};
pub use statement::{Begin, Choice, Chosen, Erasure, Outcome, Place, Recovered, Release, Signal, Statement, Text, Under};
pub use verify::{Against, Problem, Verified, kept_roots, verify};

/// Folder of the ledger in a data directory.
pub const FOLDER: &str = "ledger";

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The operating system refused.
    #[error("{path}: {source}")]
    Io {
        /// Where.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Bytes that are not what was written.
    #[error("{place} is damaged: {what}; `jumelle ledger verify --data` names every place")]
    Damaged {
        /// Which file.
        place: String,
        /// What does not fit.
        what: String,
    },
    /// The signing key cannot be used.
    #[error("{path} is no Ed25519 key: {what}; make one with `openssl genpkey -algorithm ed25519`")]
    Key {
        /// Which file.
        path: String,
        /// Why not.
        what: String,
    },
    /// An earlier write has failed; nothing more is written.
    #[error("the ledger refused a write; nothing leaves until the process is restarted: {0}")]
    Failed(String),
}

/// Shorthand.
pub type Result<T> = std::result::Result<T, LedgerError>;
