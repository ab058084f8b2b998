//! Copies of a ledger for backups: whole files, of a running one too, and erasures that come after.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use jumelle_model::time::Timestamp;

use crate::files::{self, Rows, io};
use crate::ledger::Ledger;
use crate::merkle::Hash;
use crate::statement::{Erasure, Statement};
use crate::{LedgerError, Result, erase};

/// One file of a copy: its name, how many of its bytes belong to the copy, and where they are read.
pub struct Piece {
    /// Name in the ledger's folder.
    pub name: String,
    /// Bytes from the start.
    pub bytes: u64,
    /// Open at its start.
    pub file: File,
}

impl Ledger {
    /// The files of all days after one that a copy has whole, and how many of them are of days that are over.
    ///
    /// The last day is as of this instant. Somebody may be erased while days that are over are read: a copy asks again until
    /// there are none, so that the entry which says so is in it.
    pub fn pieces(&self, after: Option<&str>) -> Result<(Vec<Piece>, usize)> {
        self.checkpoint()?;
        let _erasing = self.erasing.lock();
        // One instant for chain, texts and head: the ledger goes on being written while they are read.
        let (head, noted) = {
            let pending = self.pending.lock();
            (pending.head(), pending.noted)
        };
        self.commit(noted)?;
        let day = &head.root.day;
        let mut pieces = pieces(&self.directory, after, Some(day))?;
        let over = pieces.len();
        // What may change while it is read is set apart: a few days' worth of bytes at most, in an unnamed file.
        for (name, whole) in [
            (format!("{day}.chain"), head.root.size * files::LINK_BYTES),
            (format!("{day}.text"), head.text_bytes),
            ("roots.jsonl".into(), u64::MAX),
        ] {
            pieces.extend(set_apart(&self.directory, &self.directory.join(&name), name, whole)?);
        }
        let encoded = head.encode();
        let mut file = tempfile::tempfile_in(&self.directory).map_err(io(&self.directory))?;
        file.write_all(&encoded).and_then(|()| file.rewind()).map_err(io(&self.directory))?;
        pieces.push(Piece { name: "head".into(), bytes: encoded.len() as u64, file });
        Ok((pieces, over))
    }
}

/// The files of a stopped directory, of all days after one that a copy has whole.
pub fn pieces_of(directory: &Path, after: Option<&str>) -> Result<Vec<Piece>> {
    if !directory.exists() {
        return Ok(Vec::new());
    }
    let mut all = pieces(directory, after, None)?;
    for name in ["roots.jsonl", "head"] {
        all.extend(open(&directory.join(name), name.into())?);
    }
    Ok(all)
}

fn pieces(directory: &Path, after: Option<&str>, before: Option<&str>) -> Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    for day in files::days(directory)? {
        if after.is_none_or(|after| day.as_str() > after) && before.is_none_or(|before| day.as_str() < before) {
            pieces.extend(open(&files::chain_path(directory, &day), format!("{day}.chain"))?);
            pieces.extend(open(&files::text_path(directory, &day), format!("{day}.text"))?);
        }
    }
    Ok(pieces)
}

fn open(path: &Path, name: String) -> Result<Option<Piece>> {
    match File::open(path) {
        Ok(file) => Ok(Some(Piece { name, bytes: file.metadata().map_err(io(path))?.len(), file })),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io(path)(error)),
    }
}

fn set_apart(directory: &Path, path: &Path, name: String, limit: u64) -> Result<Option<Piece>> {
    let Some(piece) = open(path, name)? else { return Ok(None) };
    let mut file = tempfile::tempfile_in(directory).map_err(io(directory))?;
    let bytes = std::io::copy(&mut piece.file.take(limit), &mut file).map_err(io(path))?;
    file.rewind().map_err(io(path))?;
    Ok(Some(Piece { name: piece.name, bytes, file }))
}

/// A copy that is being brought up to date.
pub struct CopyWriter {
    directory: PathBuf,
    partial: PathBuf,
}

impl CopyWriter {
    /// Of the ledger in `directory`, which need not be there yet.
    pub fn open(directory: &Path) -> Result<CopyWriter> {
        let partial = directory.with_extension("partial");
        if partial.exists() {
            std::fs::remove_dir_all(&partial).map_err(io(&partial))?;
        }
        std::fs::create_dir_all(&partial).map_err(io(&partial))?;
        Ok(CopyWriter { directory: directory.to_owned(), partial })
    }

    /// The last day that it has whole.
    pub fn after(&self) -> Result<Option<String>> {
        let received = files::roots(&self.partial)?.0;
        let kept = if received.is_empty() && self.directory.exists() { files::roots(&self.directory)?.0 } else { received };
        Ok(kept.last().map(|root| root.day.clone()))
    }

    /// Takes a file; one of this name that came before is replaced.
    pub fn take(&self, name: &str, mut bytes: impl Read) -> Result<()> {
        let day = name.strip_suffix(".chain").or_else(|| name.strip_suffix(".text"));
        let is_day = day.is_some_and(|day| day.len() == 10 && day.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-'));
        if !is_day && name != "roots.jsonl" && name != "head" {
            return Err(LedgerError::Damaged { place: "the copy".into(), what: format!("{name:?} is no file of a ledger") });
        }
        let path = self.partial.join(name);
        let written = File::create(&path).and_then(|mut file| {
            std::io::copy(&mut bytes, &mut file)?;
            file.flush()?;
            file.sync_all()
        });
        written.map_err(io(&path))
    }

    /// Puts what was taken in its place, and applies the erasures that it tells of to everything.
    pub fn finish(self) -> Result<()> {
        std::fs::create_dir_all(&self.directory).map_err(io(&self.directory))?;
        let mut days = files::days(&self.partial)?;
        let mut names: Vec<PathBuf> = Vec::new();
        for entry in std::fs::read_dir(&self.partial).map_err(io(&self.partial))? {
            names.push(entry.map_err(io(&self.partial))?.path());
        }
        // `head` last: it claims what the others hold.
        names.sort_by_key(|path| (path.ends_with("head"), path.clone()));
        for path in names {
            let to = self.directory.join(path.file_name().unwrap_or_default());
            std::fs::rename(&path, &to).map_err(io(&to))?;
        }
        files::sync_folder(&self.directory)?;
        std::fs::remove_dir(&self.partial).map_err(io(&self.partial))?;
        days.sort();
        for day in days {
            for erasure in erasures(&self.directory, &day)? {
                erase::overwrite(&self.directory, &erasure.entries)?;
            }
        }
        Ok(())
    }
}

/// What the entries of a day say of erasures.
fn erasures(directory: &Path, day: &str) -> Result<Vec<Erasure>> {
    let path = files::text_path(directory, day);
    let mut all = Vec::new();
    let Some(mut rows) = Rows::open(&path, 0)? else { return Ok(all) };
    while let Some(row) = rows.next().map_err(io(&path))? {
        if !row.is_erased() && !row.is_erasable() {
            all.extend(row.statement().and_then(|statement| match statement {
                Statement::Erasure(erasure) => Some(erasure),
                _ => None,
            }));
        }
    }
    Ok(all)
}

impl Ledger {
    /// Takes over the erasures that another copy of this ledger, a later one, tells of: a restored older one must not know more.
    pub fn adopt_erasures(&self, other: &Path, now: Timestamp) -> Result<()> {
        if !other.exists() {
            return Ok(());
        }
        let _erasing = self.erasing.lock();
        self.sync()?;
        for day in files::days(other)? {
            for theirs in erasures(other, &day)? {
                let mut entries = BTreeMap::new();
                for (day, indices) in &theirs.entries {
                    let mine = self.erasable(other, day, indices)?;
                    if !mine.is_empty() {
                        entries.insert(day.clone(), mine);
                    }
                }
                if entries.is_empty() {
                    continue;
                }
                let erasure = Erasure { at: now, position: None, entries, ..theirs };
                self.note(now, || Some(Statement::Erasure(erasure.clone())))?;
                self.sync()?;
                self.overwrite(&erasure.entries)?;
            }
        }
        Ok(())
    }

    /// Those of these entries that are the same here and there, and have a text here.
    fn erasable(&self, other: &Path, day: &str, indices: &[u64]) -> Result<Vec<u64>> {
        let leaves = |directory: &Path| -> Result<Vec<Hash>> {
            let links = files::links(&files::chain_path(directory, day), 0..u64::MAX)?;
            Ok(links.into_iter().map(|(leaf, _)| leaf).collect())
        };
        let (mine, theirs) = (leaves(&self.directory)?, leaves(other)?);
        let path = files::text_path(&self.directory, day);
        let Some(mut rows) = Rows::open(&path, 0)? else { return Ok(Vec::new()) };
        let (mut found, mut index) = (Vec::new(), 0u64);
        while let Some(row) = rows.next().map_err(io(&path))? {
            let at = index as usize;
            let same = mine.get(at).is_some_and(|leaf| theirs.get(at) == Some(leaf));
            if row.is_erasable() && same && indices.binary_search(&index).is_ok() {
                found.push(index);
            }
            index += 1;
        }
        Ok(found)
    }
}
