//! Rows on this machine's disk while their file is being made: as many as there are, in the memory of one.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use crate::row::Row;

/// Bytes of one entry at most; what is longer is damage.
const ENTRY_BYTES_MAX: usize = 64 << 20;

/// Being filled. An entry is a tag, which is the caller's, and a row or none.
pub struct Spool {
    path: PathBuf,
    file: BufWriter<File>,
    entries: u64,
    buffer: Vec<u8>,
}

/// Being read.
pub struct SpoolReader {
    file: BufReader<File>,
}

impl Spool {
    /// A new one, only for its owner's eyes.
    pub fn create(path: &Path) -> io::Result<Spool> {
        let file = BufWriter::with_capacity(1 << 16, private(path)?);
        Ok(Spool { path: path.to_owned(), file, entries: 0, buffer: Vec::new() })
    }

    /// Adds an entry.
    pub fn push(&mut self, tag: &[u8], row: Option<&Row>) -> io::Result<()> {
        self.buffer.clear();
        if let Some(row) = row {
            row.encode(&mut self.buffer);
        }
        let has_row = u8::from(row.is_some());
        self.file.write_all(&(tag.len() as u32).to_le_bytes())?;
        self.file.write_all(&(self.buffer.len() as u32).to_le_bytes())?;
        self.file.write_all(&[has_row])?;
        self.file.write_all(tag)?;
        self.file.write_all(&self.buffer)?;
        self.entries += 1;
        Ok(())
    }

    /// Entries so far.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Written and on disk.
    pub fn finish(mut self) -> io::Result<PathBuf> {
        self.file.flush()?;
        self.file.get_ref().sync_data()?;
        Ok(self.path)
    }
}

impl SpoolReader {
    /// From its start.
    pub fn open(path: &Path) -> io::Result<SpoolReader> {
        Ok(SpoolReader { file: BufReader::with_capacity(1 << 16, File::open(path)?) })
    }

    /// The next entry; `None`: that was all.
    pub fn next_entry(&mut self) -> io::Result<Option<(Vec<u8>, Option<Row>)>> {
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "the spool is damaged");
        let mut head = [0; 9];
        match self.file.read_exact(&mut head) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            other => other?,
        }
        let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]) as usize;
        let (of_tag, of_row) = (number(0), number(4));
        if of_tag + of_row > ENTRY_BYTES_MAX {
            return Err(damaged());
        }
        let mut bytes = vec![0; of_tag + of_row];
        self.file.read_exact(&mut bytes)?;
        let row = match head[8] {
            0 => None,
            _ => Some(Row::decode(&bytes[of_tag..]).ok_or_else(damaged)?),
        };
        bytes.truncate(of_tag);
        Ok(Some((bytes, row)))
    }
}

/// A new file that only its owner reads: it holds people.
pub(crate) fn private(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}
