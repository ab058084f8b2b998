//! `backup.json`: what a backup holds. It carries its own checksum, and those of all other files.

use jumelle_model::ids::Position;
use jumelle_model::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::place::{Claim, Place};
use super::source::Mark;
use super::tombstone::Tombstone;
use super::{BackupError, Frame, FrameReader, Result, damaged};

/// Format of a backup directory.
pub(crate) const FORMAT: u32 = 1;
/// The file that says what there is.
pub(crate) const MANIFEST: &str = "backup.json";
/// Folder of the blocks.
pub(crate) const BLOCKS: &str = "blocks";
/// File of the tombstones; the number of the run follows, so that the one of the run before stays whole.
pub(crate) const ERASURES: &str = "erasures";
/// File of the definitions; likewise.
pub(crate) const DEFINITIONS: &str = "workspace";

/// A file and what is in it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Listed {
    /// Path within the backup.
    pub(crate) name: String,
    pub(crate) bytes: u64,
    /// SHA-256, hexadecimal.
    pub(crate) sha256: String,
}

/// A file of blocks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct BlocksFile {
    #[serde(flatten)]
    pub(crate) file: Listed,
    pub(crate) first: Position,
    pub(crate) end: Position,
    /// Arrival of its last entry.
    pub(crate) received: Timestamp,
    /// How often somebody was taken out of it.
    pub(crate) generation: u32,
}

/// What a backup holds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) format: u32,
    /// Which history, hexadecimal.
    pub(crate) history: String,
    /// Format of its directory.
    pub(crate) history_format: u32,
    pub(crate) clock_follows_events: bool,
    /// When the last run began, by the clock of the machine that made it.
    pub(crate) taken_at: Timestamp,
    /// The position after the last entry.
    pub(crate) end: Position,
    /// Arrival of the last entry.
    pub(crate) received: Timestamp,
    pub(crate) blocks: Vec<BlocksFile>,
    pub(crate) erasures: Listed,
    pub(crate) definitions: Option<Listed>,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    sha256: String,
    backup: Box<RawValue>,
}

/// SHA-256 in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Manifest {
    /// Of a place; `None`: it has none.
    pub(crate) fn read(place: &Place) -> Result<Option<Manifest>> {
        let Some(bytes) = place.find(MANIFEST)? else { return Ok(None) };
        // Bytes that are no text are bytes that were not written so.
        let text = String::from_utf8(bytes).map_err(|error| damaged(MANIFEST, error.to_string()))?;
        let sealed: Sealed = serde_json::from_str(&text).map_err(|error| damaged(MANIFEST, error.to_string()))?;
        if sha256(sealed.backup.get().as_bytes()) != sealed.sha256 {
            return Err(damaged(MANIFEST, "checksum does not match"));
        }
        #[derive(Deserialize)]
        struct Versioned {
            format: u32,
        }
        let versioned: Versioned =
            serde_json::from_str(sealed.backup.get()).map_err(|error| damaged(MANIFEST, error.to_string()))?;
        if versioned.format > FORMAT {
            let found = versioned.format;
            return Err(BackupError::Refused(format!(
                "the backup has format {found}, this Jumelle knows {FORMAT}: use a newer one"
            )));
        }
        serde_json::from_str(sealed.backup.get()).map(Some).map_err(|error| damaged(MANIFEST, error.to_string()))
    }

    /// Takes the place of the one before at once, and only when everything that it names is on disk.
    pub(crate) fn write(&self, place: &Place, claim: &Claim) -> Result<()> {
        let json = |error: serde_json::Error| damaged(MANIFEST, error.to_string());
        let backup = serde_json::value::to_raw_value(self).map_err(json)?;
        let sealed = Sealed { sha256: sha256(backup.get().as_bytes()), backup };
        let text = serde_json::to_string(&sealed).map_err(json)?;
        place.replace(MANIFEST, text.into_bytes(), claim)
    }

    /// Where this backup has come to.
    pub(crate) fn mark(&self) -> Result<Mark> {
        let history =
            u128::from_str_radix(&self.history, 16).map_err(|_| damaged(MANIFEST, "the history's id is not hexadecimal"))?;
        Ok(Mark { history, end: self.end, received: self.received })
    }

    /// Its tombstones.
    pub(crate) fn tombstones(&self, place: &Place) -> Result<Vec<Tombstone>> {
        let bytes = self.erasures.read(place)?;
        let mut reader = FrameReader::default();
        reader.push(&bytes);
        let mut tombstones = Vec::new();
        while let Some(frame) = reader.next()? {
            match frame {
                Frame::Tombstone(tombstone) => tombstones.push(tombstone),
                _ => return Err(damaged(ERASURES, "something else than tombstones")),
            }
        }
        if reader.is_empty() { Ok(tombstones) } else { Err(damaged(ERASURES, "cut off")) }
    }
}

impl Listed {
    /// Writes a file and lists it.
    pub(crate) fn write(place: &Place, name: String, bytes: Vec<u8>) -> Result<Listed> {
        let (length, sum) = (bytes.len() as u64, sha256(&bytes));
        place.write(&name, bytes)?;
        Ok(Listed { name, bytes: length, sha256: sum })
    }

    /// Its bytes, if they are those that were written.
    pub(crate) fn read(&self, place: &Place) -> Result<Vec<u8>> {
        let bytes = place.read(&self.name)?;
        if bytes.len() as u64 != self.bytes {
            return Err(damaged(&self.name, format!("{} bytes instead of {}", bytes.len(), self.bytes)));
        }
        if sha256(&bytes) != self.sha256 {
            return Err(damaged(&self.name, "SHA-256 does not match"));
        }
        Ok(bytes)
    }
}

impl BlocksFile {
    /// Its blocks.
    pub(crate) fn read(&self, place: &Place) -> Result<Vec<super::StoredBlock>> {
        let name = &self.file.name;
        let mut reader = FrameReader::default();
        reader.push(&self.file.read(place)?);
        let mut blocks = Vec::new();
        let mut expected = self.first;
        while let Some(frame) = reader.next()? {
            let Frame::Block(block) = frame else { return Err(damaged(name, "something else than blocks")) };
            if block.first != expected {
                return Err(damaged(name, format!("block {} follows entry {}", block.first.0, expected.0)));
            }
            expected = block.end();
            blocks.push(block);
        }
        if !reader.is_empty() || expected != self.end {
            return Err(damaged(name, format!("ends at entry {} instead of {}", expected.0, self.end.0)));
        }
        Ok(blocks)
    }
}
