//! Names and layouts of the files.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use jumelle_model::ids::ProfileId;
use jumelle_model::time::Timestamp;

use crate::merkle::{Hash, hash};
use crate::root::Root;
use crate::statement::{Place, Statement};
use crate::{LedgerError, Result};

/// Bytes of an entry in the chain: leaf, link.
pub(crate) const LINK_BYTES: u64 = 64;
/// Bytes before a text: its length (u32 LE), what it is (1), place in the history (u64, u32 LE), subject (u128 LE), salt (16).
pub(crate) const ROW_BYTES: usize = 49;
/// Bytes of a text at most; what is longer was never written.
pub(crate) const TEXT_BYTES_MAX: u32 = 64 << 20;
/// In the place of a position: the entry is not derived from the history.
const NO_POSITION: u64 = u64::MAX;

const ERASED: u8 = 0;
const OF_A_PERSON: u8 = 1;
const KEPT: u8 = 2;

/// An entry's salt and text, as they are stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Row {
    what: u8,
    pub(crate) place: Option<Place>,
    pub(crate) subject: ProfileId,
    pub(crate) salt: [u8; 16],
    pub(crate) text: Vec<u8>,
}

impl Row {
    pub(crate) fn new(statement: &Statement) -> Row {
        Row {
            what: if statement.is_erasable() { OF_A_PERSON } else { KEPT },
            place: statement.place(),
            subject: statement.subject(),
            salt: rand::random(),
            // Every statement can be written; a Vec does not run out.
            text: serde_json::to_vec(statement).unwrap_or_default(),
        }
    }

    pub(crate) fn is_erased(&self) -> bool {
        self.what == ERASED
    }

    /// Nothing is left of it but how long it was.
    pub(crate) fn is_empty(&self) -> bool {
        self.place == Some((0, 0)) && self.subject.0 == 0 && self.salt == [0; 16] && self.text.iter().all(|byte| *byte == 0)
    }

    pub(crate) fn is_erasable(&self) -> bool {
        self.what == OF_A_PERSON
    }

    pub(crate) fn leaf(&self) -> Hash {
        crate::merkle::leaf(&[&self.salt, &self.text])
    }

    pub(crate) fn statement(&self) -> Option<Statement> {
        serde_json::from_slice(&self.text).ok()
    }

    /// What stands before the text fits what the text says.
    pub(crate) fn fits(&self, statement: &Statement) -> bool {
        let what = if statement.is_erasable() { OF_A_PERSON } else { KEPT };
        self.what == what && self.place == statement.place() && self.subject == statement.subject()
    }

    pub(crate) fn encode(&self, bytes: &mut Vec<u8>) {
        let (position, ordinal) = self.place.unwrap_or((NO_POSITION, 0));
        bytes.extend_from_slice(&(self.text.len() as u32).to_le_bytes());
        bytes.push(self.what);
        bytes.extend_from_slice(&position.to_le_bytes());
        bytes.extend_from_slice(&ordinal.to_le_bytes());
        bytes.extend_from_slice(&self.subject.0.to_le_bytes());
        bytes.extend_from_slice(&self.salt);
        bytes.extend_from_slice(&self.text);
    }

    pub(crate) fn bytes(&self) -> u64 {
        ROW_BYTES as u64 + self.text.len() as u64
    }

    /// The stored form without anything but its length.
    pub(crate) fn erased(&self) -> Vec<u8> {
        let nothing =
            Row { what: ERASED, place: Some((0, 0)), subject: ProfileId(0), salt: [0; 16], text: vec![0; self.text.len()] };
        let mut bytes = Vec::with_capacity(ROW_BYTES + self.text.len());
        nothing.encode(&mut bytes);
        bytes
    }
}

/// Reads rows one after the other.
pub(crate) struct Rows {
    file: BufReader<File>,
    /// Where the next row begins.
    pub(crate) offset: u64,
    end: u64,
}

impl Rows {
    /// From `offset` to the end of the file as it is now; none if there is no file.
    pub(crate) fn open(path: &Path, offset: u64) -> Result<Option<Rows>> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io(path)(error)),
        };
        let end = file.metadata().map_err(io(path))?.len();
        std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(offset)).map_err(io(path))?;
        Ok(Some(Rows { file: BufReader::with_capacity(1 << 18, file), offset, end }))
    }

    /// The next row; `None` at the end, and where what is left is no whole row.
    pub(crate) fn next(&mut self) -> std::io::Result<Option<Row>> {
        if self.end.saturating_sub(self.offset) < ROW_BYTES as u64 {
            return Ok(None);
        }
        let mut head = [0; ROW_BYTES];
        self.file.read_exact(&mut head)?;
        let length = u32::from_le_bytes(take(&head[..4]));
        let whole = length <= TEXT_BYTES_MAX && self.offset + ROW_BYTES as u64 + u64::from(length) <= self.end;
        if !whole {
            return Ok(None);
        }
        let mut text = vec![0; length as usize];
        self.file.read_exact(&mut text)?;
        self.offset += ROW_BYTES as u64 + u64::from(length);
        Ok(Some(decode(&head, text)))
    }

    /// Bytes that are no whole row.
    pub(crate) fn rest(&self) -> u64 {
        self.end - self.offset
    }
}

fn decode(head: &[u8; ROW_BYTES], text: Vec<u8>) -> Row {
    let place = (u64::from_le_bytes(take(&head[5..13])), u32::from_le_bytes(take(&head[13..17])));
    Row {
        what: head[4],
        place: (place != (NO_POSITION, 0)).then_some(place),
        subject: ProfileId(u128::from_le_bytes(take(&head[17..33]))),
        salt: take(&head[33..49]),
        text,
    }
}

fn take<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().unwrap_or([0; N])
}

/// Reads the row at a place.
pub(crate) fn row_at(path: &Path, offset: u64) -> Result<Row> {
    let short = || LedgerError::Damaged { place: path.display().to_string(), what: format!("no row at byte {offset}") };
    Rows::open(path, offset)?.ok_or_else(short)?.next().map_err(io(path))?.ok_or_else(short)
}

/// Overwrites bytes in place; on disk when this returns.
pub(crate) fn overwrite(path: &Path, rows: &[(u64, Vec<u8>)]) -> Result<()> {
    let file = OpenOptions::new().write(true).open(path).map_err(io(path))?;
    for (offset, bytes) in rows {
        file.write_all_at(bytes, *offset).map_err(io(path))?;
    }
    file.sync_data().map_err(io(path))
}

/// Leaves and links of a day, those in a range.
pub(crate) fn links(path: &Path, range: Range<u64>) -> Result<Vec<(Hash, Hash)>> {
    let bytes = match File::open(path) {
        Ok(mut file) => {
            let mut bytes = Vec::new();
            file.seek(SeekFrom::Start(range.start * LINK_BYTES)).map_err(io(path))?;
            let limit = (range.end - range.start).saturating_mul(LINK_BYTES);
            file.take(limit).read_to_end(&mut bytes).map_err(io(path))?;
            bytes
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(io(path)(error)),
    };
    Ok(bytes.chunks_exact(LINK_BYTES as usize).map(|link| (take(&link[..32]), take(&link[32..]))).collect())
}

/// What the first link of a day follows.
pub(crate) fn first_link(previous: &Hash, day: &str) -> Hash {
    hash(2, &[previous, day.as_bytes()])
}

/// The link of a leaf.
pub(crate) fn link(before: &Hash, leaf: &Hash) -> Hash {
    hash(2, &[before, leaf])
}

pub(crate) fn chain_path(directory: &Path, day: &str) -> PathBuf {
    directory.join(format!("{day}.chain"))
}

pub(crate) fn text_path(directory: &Path, day: &str) -> PathBuf {
    directory.join(format!("{day}.text"))
}

pub(crate) fn index_path(directory: &Path, day: &str) -> PathBuf {
    directory.join(format!("{day}.index"))
}

pub(crate) fn roots_path(directory: &Path) -> PathBuf {
    directory.join("roots.jsonl")
}

pub(crate) fn head_path(directory: &Path) -> PathBuf {
    directory.join("head")
}

/// Days that have a chain or texts, in order.
pub(crate) fn days(directory: &Path) -> Result<Vec<String>> {
    let mut days = std::collections::BTreeSet::new();
    for entry in std::fs::read_dir(directory).map_err(io(directory))? {
        let name = entry.map_err(io(directory))?.file_name().to_string_lossy().into_owned();
        if let Some(day) = name.strip_suffix(".chain").or_else(|| name.strip_suffix(".text")) {
            days.insert(day.to_owned());
        }
    }
    Ok(days.into_iter().collect())
}

/// Roots of the days that are over, and how many bytes of whole lines there are.
pub(crate) fn roots(directory: &Path) -> Result<(Vec<Root>, u64)> {
    let path = roots_path(directory);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok((Vec::new(), 0)),
        Err(error) => return Err(io(&path)(error)),
    };
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let mut roots = Vec::new();
    for (n, line) in bytes[..whole].split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty()) {
        let root = serde_json::from_slice(line).map_err(|error| LedgerError::Damaged {
            place: path.display().to_string(),
            what: format!("line {}: {error}", n + 1),
        })?;
        roots.push(root);
    }
    Ok((roots, whole as u64))
}

/// The whole file or the one that was there before; on disk when this returns.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let fresh = path.with_extension("new");
    let written = File::create(&fresh).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.and_then(|()| std::fs::rename(&fresh, path)).map_err(io(path))?;
    sync_folder(path.parent().unwrap_or(Path::new(".")))
}

/// Opens a file to append to it; its name is durable when this returns.
pub(crate) fn append_to(path: &Path) -> Result<File> {
    let is_new = !path.exists();
    let file = OpenOptions::new().create(true).append(true).open(path).map_err(io(path))?;
    if is_new {
        sync_folder(path.parent().unwrap_or(Path::new(".")))?;
    }
    Ok(file)
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io(folder))
}

/// Date of an instant, UTC.
pub(crate) fn day_of(at: Timestamp) -> String {
    at.to_string().chars().take(10).collect()
}

pub(crate) fn io(path: &Path) -> impl Fn(std::io::Error) -> LedgerError + use<'_> {
    move |source| LedgerError::Io { path: path.display().to_string(), source }
}
