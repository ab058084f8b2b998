//! Erasing a person: her texts and salts go, the leaves stay, and an entry says which.

use std::collections::BTreeMap;
use std::path::Path;

use jumelle_model::ids::ProfileId;
use jumelle_model::time::Timestamp;

use crate::files::{self, Row, Rows, io};
use crate::ledger::Ledger;
use crate::statement::{Erasure, Statement};
use crate::{LedgerError, Result};

/// Bytes of a row of an index: subject (u128 BE), index in the day, offset of its text (u64 BE each).
const INDEX_BYTES: usize = 32;

/// An entry within its day, and where its row begins.
pub(crate) type Found = (u64, u64);

impl Ledger {
    /// Takes a person (all the ids that she had, the first one hers) out of the ledger because of the entry at `position` of the
    /// history: of what is said under these ids that which is `about_her`. Told again, it does nothing. Answers how many entries have lost their text.
    ///
    /// Nothing about her may be noted any more when this is called, but what [`Ledger::note`] is refused to.
    pub fn erase(&self, at: Timestamp, position: u64, ids: &[ProfileId], about_her: impl Fn(&Statement) -> bool) -> Result<u64> {
        let _erasing = self.erasing.lock();
        let (Some(first), true) = (ids.first(), self.is_new((position, 0))) else { return Ok(0) };
        let mut entries = BTreeMap::new();
        for (day, found) in self.about(ids)? {
            let path = files::text_path(&self.directory, &day);
            let mut indices = Vec::new();
            for (index, offset) in found {
                let row = files::row_at(&path, offset)?;
                if row.is_erasable() && row.statement().is_none_or(|statement| about_her(&statement)) {
                    indices.push(index);
                }
            }
            if !indices.is_empty() {
                entries.insert(day, indices);
            }
        }
        let erased = entries.values().map(|indices| indices.len() as u64).sum();
        let erasure = Erasure { at, position: Some(position), profile: *first, entries };
        // Invariant: which texts go is on disk before they go; a crash in between goes on at the next start.
        self.note(at, || Some(Statement::Erasure(erasure.clone())))?;
        self.sync()?;
        self.overwrite(&erasure.entries)?;
        Ok(erased)
    }

    /// Overwrites the texts of entries with zeros.
    pub(crate) fn overwrite(&self, entries: &BTreeMap<String, Vec<u64>>) -> Result<()> {
        overwrite(&self.directory, entries)
    }

    /// Entries about any of these people, day by day; all of them are on disk.
    pub(crate) fn about(&self, ids: &[ProfileId]) -> Result<Vec<(String, Vec<Found>)>> {
        self.sync()?;
        let open_day = self.pending.lock().day.clone();
        let mut days = Vec::new();
        for day in files::days(&self.directory)? {
            let found = if day == open_day {
                scan(&self.directory, &day)?.into_iter().filter(|(subject, _)| ids.contains(subject)).map(|(_, at)| at).collect()
            } else {
                look_up(&self.directory, &day, ids)?
            };
            if !found.is_empty() {
                days.push((day, found));
            }
        }
        Ok(days)
    }
}

pub(crate) fn overwrite(directory: &Path, entries: &BTreeMap<String, Vec<u64>>) -> Result<()> {
    for (day, indices) in entries {
        let path = files::text_path(directory, day);
        let Some(mut rows) = Rows::open(&path, 0)? else { continue };
        let (mut gone, mut index, mut offset) = (Vec::new(), 0, 0);
        while let Some(row) = rows.next().map_err(io(&path))? {
            if row.is_erasable() && indices.binary_search(&index).is_ok() {
                gone.push((offset, row.erased()));
            }
            (index, offset) = (index + 1, rows.offset);
        }
        if !gone.is_empty() {
            files::overwrite(&path, &gone)?;
        }
        // It says whose the entries were.
        let index = files::index_path(directory, day);
        match std::fs::remove_file(&index) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io(&index)(error)),
            _ => {}
        }
    }
    Ok(())
}

fn scan(directory: &Path, day: &str) -> Result<Vec<(ProfileId, Found)>> {
    let path = files::text_path(directory, day);
    let Some(mut rows) = Rows::open(&path, 0)? else { return Ok(Vec::new()) };
    let (mut all, mut index, mut offset) = (Vec::new(), 0, 0);
    while let Some(Row { subject, .. }) = rows.next().map_err(io(&path))? {
        if subject.0 != 0 {
            all.push((subject, (index, offset)));
        }
        (index, offset) = (index + 1, rows.offset);
    }
    Ok(all)
}

/// By the index of a day that is over, made when it is first asked for.
fn look_up(directory: &Path, day: &str, ids: &[ProfileId]) -> Result<Vec<Found>> {
    let path = files::index_path(directory, day);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let mut all = scan(directory, day)?;
            all.sort_unstable();
            let mut bytes = Vec::with_capacity(all.len() * INDEX_BYTES);
            for (subject, (index, offset)) in all {
                bytes.extend_from_slice(&subject.0.to_be_bytes());
                bytes.extend_from_slice(&index.to_be_bytes());
                bytes.extend_from_slice(&offset.to_be_bytes());
            }
            files::write_whole(&path, &bytes)?;
            bytes
        }
        Err(error) => return Err(io(&path)(error)),
    };
    let (rows, rest) = bytes.as_chunks::<INDEX_BYTES>();
    if !rest.is_empty() {
        return Err(LedgerError::Damaged { place: path.display().to_string(), what: "remove it: it is made anew".into() });
    }
    let mut found = Vec::new();
    for id in ids {
        let subject = id.0.to_be_bytes();
        let from = rows.partition_point(|row| row[..16] < subject[..]);
        for row in rows[from..].iter().take_while(|row| row[..16] == subject[..]) {
            let number = |at: usize| row[at..at + 8].try_into().map_or(0, u64::from_be_bytes);
            found.push((number(16), number(24)));
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}
