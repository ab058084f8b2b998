//! `backup.json`: what a backup holds. It carries its own checksum, and those of all other files.

use std::path::{Path, PathBuf};

use jumelle_model::ids::Position;
use jumelle_model::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::source::Mark;
use super::tombstone::Tombstone;
use super::{BackupError, Frame, FrameReader, Result, at, damaged};

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
    /// Of a directory; `None`: it has none.
    pub(crate) fn read(directory: &Path) -> Result<Option<Manifest>> {
        let path = directory.join(MANIFEST);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            // Bytes that are no text are bytes that were not written so.
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => return Err(damaged(MANIFEST, error.to_string())),
            Err(error) => return Err(at(&path)(error)),
        };
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
    pub(crate) fn write(&self, directory: &Path) -> Result<()> {
        let json = |error: serde_json::Error| damaged(MANIFEST, error.to_string());
        let backup = serde_json::value::to_raw_value(self).map_err(json)?;
        let sealed = Sealed { sha256: sha256(backup.get().as_bytes()), backup };
        let text = serde_json::to_string(&sealed).map_err(json)?;
        write_whole(&directory.join(MANIFEST), text.as_bytes())
    }

    /// Where this backup has come to.
    pub(crate) fn mark(&self) -> Result<Mark> {
        let history =
            u128::from_str_radix(&self.history, 16).map_err(|_| damaged(MANIFEST, "the history's id is not hexadecimal"))?;
        Ok(Mark { history, end: self.end, received: self.received })
    }

    /// Its tombstones.
    pub(crate) fn tombstones(&self, directory: &Path) -> Result<Vec<Tombstone>> {
        let bytes = self.erasures.read(directory)?;
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
    pub(crate) fn write(directory: &Path, name: impl Into<String>, bytes: &[u8]) -> Result<Listed> {
        let name = name.into();
        write_whole(&directory.join(&name), bytes)?;
        Ok(Listed { name, bytes: bytes.len() as u64, sha256: sha256(bytes) })
    }

    /// Its bytes, if they are those that were written.
    pub(crate) fn read(&self, directory: &Path) -> Result<Vec<u8>> {
        let path = directory.join(&self.name);
        let bytes = std::fs::read(&path).map_err(at(&path))?;
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
    pub(crate) fn read(&self, directory: &Path) -> Result<Vec<super::StoredBlock>> {
        let name = &self.file.name;
        let mut reader = FrameReader::default();
        reader.push(&self.file.read(directory)?);
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

/// The whole file or the one that was there before; on disk when this returns.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let partial: PathBuf = path.with_extension("partial");
    let written = std::fs::File::create(&partial).and_then(|mut file| {
        std::io::Write::write_all(&mut file, bytes)?;
        file.sync_all()
    });
    written.map_err(at(&partial))?;
    std::fs::rename(&partial, path).map_err(at(path))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(at(folder))
}
