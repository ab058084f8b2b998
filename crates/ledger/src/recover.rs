//! Opening: where the ledger stands, after an orderly stop or a crash.

use std::fs::OpenOptions;
use std::path::Path;

use crate::files::{self, Row, Rows, first_link, io};
use crate::ledger::Head;
use crate::merkle::{Frontier, Hash, hex};
use crate::root::NO_ROOT;
use crate::statement::{Erasure, Place, Statement};
use crate::{LedgerError, Result};

/// Where a ledger stands.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) open_day: Option<String>,
    pub(crate) closed_day: Option<String>,
    pub(crate) frontier: Frontier,
    pub(crate) link: Hash,
    pub(crate) previous: Hash,
    pub(crate) text_bytes: u64,
    pub(crate) place: Option<Place>,
    pub(crate) history: String,
    /// Bytes of the unfinished end that were cut off: chain, texts.
    pub(crate) cut: Option<(u64, u64)>,
    /// Noted after the last `head`: perhaps their texts are still there.
    pub(crate) erasures: Vec<Erasure>,
}

impl Found {
    fn take(&mut self, row: &Row) {
        self.place = self.place.max(row.place);
        if row.is_erased() || row.is_erasable() {
            return;
        }
        match row.statement() {
            Some(Statement::Begin(begin)) => {
                // From here on the positions are another history's.
                self.place = begin.from.checked_sub(1).map(|position| (position, u32::MAX));
                self.history = begin.history;
            }
            Some(Statement::Erasure(erasure)) => self.erasures.push(erasure),
            _ => {}
        }
    }
}

fn damaged(path: &Path, what: impl Into<String>) -> LedgerError {
    LedgerError::Damaged { place: path.display().to_string(), what: what.into() }
}

/// The file `head`; `None`: it is not there or was not finished.
pub(crate) fn head(directory: &Path) -> Result<Option<Head>> {
    let path = files::head_path(directory);
    match std::fs::read(&path) {
        Ok(bytes) => Ok(Head::decode(&bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io(&path)(error)),
    }
}

/// Reads what is needed, and cuts off an unfinished end.
pub(crate) fn recover(directory: &Path) -> Result<Found> {
    let (roots, whole) = files::roots(directory)?;
    cut(&files::roots_path(directory), whole)?;
    let days = files::days(directory)?;
    let closed = roots.last().map(|root| root.day.clone());
    let mut open = days.iter().filter(|day| !roots.iter().any(|root| root.day == **day));
    let open_day = open.next().cloned();
    if let Some(second) = open.next() {
        return Err(damaged(&files::roots_path(directory), format!("it has no line for a day before {second}")));
    }
    if open_day.is_some() && open_day <= closed {
        return Err(damaged(&files::roots_path(directory), "it lacks the line of a day in between"));
    }
    let head = head(directory)?;
    let mut found = Found {
        closed_day: closed,
        previous: roots.last().map_or(NO_ROOT, |root| root.digest()),
        place: head.as_ref().and_then(|head| head.place),
        history: head.as_ref().map(|head| head.history.clone()).unwrap_or_default(),
        ..Found::default()
    };
    let since = head.as_ref().map(|head| (head.root.day.clone(), head.text_bytes)).unwrap_or_default();
    for day in days.iter().filter(|day| Some(*day) != open_day.as_ref() && **day >= since.0) {
        let path = files::text_path(directory, day);
        let offset = if *day == since.0 { since.1 } else { 0 };
        let Some(mut rows) = Rows::open(&path, offset)? else { continue };
        while let Some(row) = rows.next().map_err(io(&path))? {
            found.take(&row);
        }
    }
    if let Some(head) = &head {
        let is_there = open_day.as_ref() == Some(&head.root.day) || found.closed_day.as_ref() >= Some(&head.root.day);
        if head.root.size > 0 && !is_there {
            return Err(damaged(&files::chain_path(directory, &head.root.day), "the whole day is gone"));
        }
    }
    match open_day {
        Some(day) => recover_day(directory, day, head.as_ref(), &mut found)?,
        None => found.link = NO_ROOT,
    }
    Ok(found)
}

/// Leaves and links of a day, from one of them on.
#[derive(Default)]
struct Links {
    first: u64,
    read: Vec<(Hash, Hash)>,
}

impl Links {
    fn get(&self, nth: u64) -> Option<&(Hash, Hash)> {
        self.read.get(nth.checked_sub(self.first)? as usize)
    }
}

fn recover_day(directory: &Path, day: String, head: Option<&Head>, found: &mut Found) -> Result<()> {
    let (chain, texts) = (files::chain_path(directory, &day), files::text_path(directory, &day));
    let (mut count, mut offset) = (0, 0);
    let mut links = Links::default();
    if let Some(head) = head.filter(|head| head.root.day == day) {
        if head.root.previous != hex(&found.previous) {
            return Err(damaged(&files::roots_path(directory), format!("it does not end with the day that {day} follows")));
        }
        let size = head.root.size;
        let tree = Frontier::read(size, &head.peaks).filter(|tree| hex(&tree.root()) == head.root.root);
        if let Some(tree) = tree {
            // A busy day has hundreds of millions of leaves: read from its last known one on.
            links.first = size.saturating_sub(1);
            found.frontier = tree;
        }
        links.read = files::links(&chain, links.first..u64::MAX)?;
        let last = size.checked_sub(1).map(|last| links.get(last).map(|(_, link)| hex(link)));
        if last.is_some_and(|link| link.as_ref() != Some(&head.root.chain)) {
            return Err(damaged(&chain, format!("it is not the one that had {size} entries")));
        }
        (count, offset) = (size, head.text_bytes);
    } else {
        links.read = files::links(&chain, 0..u64::MAX)?;
    }
    let short = || damaged(&texts, "it is shorter than it was");
    let end = std::fs::metadata(&texts).map(|metadata| metadata.len()).unwrap_or(0);
    if end < offset {
        return Err(short());
    }
    if let Some(mut rows) = Rows::open(&texts, offset)? {
        while let Some(row) = rows.next().map_err(io(&texts))? {
            let written = links.get(count).is_some_and(|(leaf, _)| row.is_erased() || row.leaf() == *leaf);
            if !written {
                break;
            }
            found.take(&row);
            count += 1;
            offset = rows.offset;
        }
    }
    let cut_off = (cut(&chain, count * files::LINK_BYTES)?, cut(&texts, offset)?);
    found.cut = (cut_off != (0, 0)).then_some(cut_off);
    for nth in found.frontier.size()..count {
        if let Some((leaf, _)) = links.get(nth) {
            found.frontier.push(*leaf);
        }
    }
    let last = count.checked_sub(1).and_then(|last| links.get(last));
    found.link = last.map_or_else(|| first_link(&found.previous, &day), |(_, link)| *link);
    found.text_bytes = offset;
    found.open_day = Some(day);
    Ok(())
}

/// Cuts a file to its first `bytes`; how many were behind them.
fn cut(path: &Path, bytes: u64) -> Result<u64> {
    let file = match OpenOptions::new().write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(io(path)(error)),
    };
    let behind = file.metadata().map_err(io(path))?.len().saturating_sub(bytes);
    if behind > 0 {
        file.set_len(bytes).and_then(|()| file.sync_all()).map_err(io(path))?;
    }
    Ok(behind)
}
