//! What stands beside a file and says what is in it, without anybody in it.

use std::io::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::spool::private;

/// Put beside the file, when that is there: `NAME.manifest.json`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// Name of the file.
    pub file: String,
    /// Lines with people in them.
    pub rows: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// SHA-256 of the file, lower-case hexadecimal digits.
    pub sha256: String,
    /// How many rows by what they ask for: `add`, `update`, `remove`, `erase`, or `member` of a full file.
    pub counts: std::collections::BTreeMap<String, u64>,
    /// `full`, `difference`, `removals` or `oppositions`.
    pub content: String,
    /// Activation key.
    pub activation: String,
    /// Segment key.
    pub segment: String,
    /// Purpose key: what the people in it may be contacted for.
    pub purpose: String,
    /// Channel: how.
    pub channel: String,
    /// Columns as the header has them.
    pub columns: Vec<String>,
    /// How rows are written.
    pub format: String,
    /// How characters are written.
    pub encoding: String,
    /// How the file is compressed.
    pub compress: String,
    /// Characters that the encoding does not have, written as `?`.
    pub characters_replaced: u64,
    /// The instant that the file was made for, as in its name.
    pub at: String,
    /// When the gate was last asked about everybody in it: their consents are those of this instant.
    pub consents_at: String,
    /// People whom the gate held back.
    pub held_back: u64,
}

impl Manifest {
    /// Its name beside a file.
    pub fn name_of(file: &str) -> String {
        format!("{file}.manifest.json")
    }

    /// Writes it to this machine's disk.
    pub(crate) fn write(&self, path: &Path) -> std::io::Result<()> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        let mut file = private(path)?;
        file.write_all(&text)?;
        file.sync_all()
    }
}
