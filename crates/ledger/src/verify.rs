//! Looking for every changed, removed, inserted or moved entry.

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::files::{self, Rows, first_link, io, link};
use crate::ledger::Ledger;
use crate::merkle::{Frontier, Hash, hex, unhex};
use crate::recover;
use crate::root::{NO_ROOT, Root};
use crate::statement::Statement;
use crate::{LedgerError, Result};

/// Problems named, at most; they are counted beyond.
pub const PROBLEMS_MAX: usize = 100;

/// What a ledger is held against, beside itself.
#[derive(Clone, Debug, Default)]
pub struct Against {
    /// Ed25519 keys, hexadecimal: a root must be signed by one of them. None: a signature must be one of the key it names.
    pub keys: Vec<String>,
    /// Roots that were exported, perhaps time-stamped: each must still hold.
    pub roots: Vec<Root>,
}

/// Something that is not as it was written.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Problem {
    /// Its day, if it is one day's.
    pub day: Option<String>,
    /// The file that shows it.
    pub file: String,
    /// Which entry of the day.
    pub index: Option<u64>,
    /// What does not fit.
    pub what: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.file)?;
        match (&self.day, self.index) {
            (_, Some(index)) => write!(f, ", entry {index}")?,
            (Some(day), None) if !self.file.starts_with(day.as_str()) => write!(f, ", {day}")?,
            _ => {}
        }
        write!(f, ": {}", self.what)
    }
}

/// What was found.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Verified {
    /// Days.
    pub days: u64,
    /// Entries, with the erased ones.
    pub entries: u64,
    /// Entries without text because somebody was erased; an entry says so.
    pub erased: u64,
    /// Days that are over and signed.
    pub signed: u64,
    /// Days that are over and not signed.
    pub unsigned: u64,
    /// Entries that a crash had left unfinished, and that nobody was told are written; the next start cuts them off.
    pub unfinished: u64,
    /// Exported roots that hold.
    pub exported: u64,
    /// Everything that does not fit, at most [`PROBLEMS_MAX`].
    pub problems: Vec<Problem>,
    /// As many as there are.
    pub problem_count: u64,
}

impl Verified {
    fn problem(&mut self, file: &str, day: &str, index: Option<u64>, what: impl Into<String>) {
        // Of a day's own files, the ending.
        let file = if file.starts_with('.') { format!("{day}{file}") } else { file.to_owned() };
        self.problem_count += 1;
        if self.problems.len() < PROBLEMS_MAX {
            let day = Some(day.to_owned()).filter(|day| !day.is_empty());
            self.problems.push(Problem { day, file, index, what: what.into() });
        }
    }
}

impl Ledger {
    /// Verifies the running ledger, as it stands now; what is noted meanwhile is left out.
    pub fn verify(&self, against: &Against) -> Result<Verified> {
        self.checkpoint()?;
        // Not during an erasure: it has been noted and is not through.
        let _erasing = self.erasing.lock();
        self.sync()?;
        let open = self.pending.lock().root(false);
        let work = Work::new(&self.directory, against, Some(open));
        work.run()
    }
}

/// Roots of the ledger of a stopped directory: of the days that are over, and what the file `head` says of the last one.
pub fn kept_roots(directory: &Path) -> Result<Vec<Root>> {
    if !directory.exists() {
        return Ok(Vec::new());
    }
    let mut roots = files::roots(directory)?.0;
    let open = recover::head(directory)?.map(|head| head.root);
    roots.extend(open.filter(|open| open.size > 0 && roots.last().is_none_or(|last| last.day < open.day)));
    Ok(roots)
}

/// Verifies the ledger of a stopped directory.
pub fn verify(directory: &Path, against: &Against) -> Result<Verified> {
    if !directory.exists() {
        let mut verified = Verified::default();
        verified.problem("ledger", "", None, format!("there is no ledger in {}", directory.display()));
        return Ok(verified);
    }
    Work::new(directory, against, None).run()
}

struct Work<'a> {
    directory: &'a Path,
    against: &'a Against,
    /// How far a running ledger has come.
    until: Option<Root>,
    verified: Verified,
    /// Entries without text, and those that erasures name.
    gone: BTreeSet<(String, u64)>,
    named: BTreeSet<(String, u64)>,
}

impl<'a> Work<'a> {
    fn new(directory: &'a Path, against: &'a Against, until: Option<Root>) -> Work<'a> {
        let (gone, named) = (BTreeSet::new(), BTreeSet::new());
        Work { directory, against, until, verified: Verified::default(), gone, named }
    }

    fn run(mut self) -> Result<Verified> {
        let (roots, _) = match files::roots(self.directory) {
            Ok(read) => read,
            Err(LedgerError::Damaged { what, .. }) => {
                self.verified.problem("roots.jsonl", "", None, format!("roots.jsonl: {what}"));
                (Vec::new(), 0)
            }
            Err(error) => return Err(error),
        };
        let roots: Vec<Root> = match &self.until {
            Some(open) => roots.into_iter().filter(|root| root.day < open.day).collect(),
            None => roots,
        };
        let until = self.until.as_ref().map(|open| open.day.clone());
        let mut days: BTreeSet<String> = files::days(self.directory)?.into_iter().collect();
        days.extend(roots.iter().map(|root| root.day.clone()));
        days.retain(|day| until.as_ref().is_none_or(|until| day <= until));
        self.order(&roots);
        let mut previous = NO_ROOT;
        let last = days.last().cloned();
        for day in &days {
            let root = roots.iter().find(|root| root.day == *day);
            if root.is_none() && Some(day) != last.as_ref() {
                self.verified.problem(
                    "roots.jsonl",
                    day,
                    None,
                    "the day is over and has no root: the day was put in, or its root taken away",
                );
            }
            self.day(day, root, &previous)?;
            previous = root.map_or(previous, Root::digest);
        }
        self.head(&roots)?;
        self.exported(&roots)?;
        self.erasures();
        Ok(self.verified)
    }

    /// The roots are those of later and later days, each names the one before, and signatures hold.
    fn order(&mut self, roots: &[Root]) {
        let mut before: Option<&Root> = None;
        for root in roots {
            if before.is_some_and(|before| before.day >= root.day) {
                self.verified.problem("roots.jsonl", &root.day, None, "the roots are not in the order of their days");
            }
            let digest = before.map_or(NO_ROOT, Root::digest);
            if root.previous != hex(&digest) {
                self.verified.problem(
                    "roots.jsonl",
                    &root.day,
                    None,
                    "the root does not follow the one before: a day was changed, removed or put in",
                );
            }
            match root.is_signed() {
                Some(true) => self.verified.signed += 1,
                Some(false) => {
                    self.verified.problem("roots.jsonl", &root.day, None, "the signature of the root is not one of its key")
                }
                None => self.verified.unsigned += 1,
            }
            if !self.against.keys.is_empty() && !self.is_by_a_key(root) {
                self.verified.problem("roots.jsonl", &root.day, None, "the root is not signed by a key that was given");
            }
            before = Some(root);
        }
    }

    fn is_by_a_key(&self, root: &Root) -> bool {
        root.public_key.as_ref().is_some_and(|key| self.against.keys.contains(key))
    }

    fn day(&mut self, day: &str, root: Option<&Root>, previous: &Hash) -> Result<()> {
        let chain = files::chain_path(self.directory, day);
        let limit = self.until.as_ref().filter(|open| open.day == day).map_or(u64::MAX, |open| open.size);
        let mut links = files::links(&chain, 0..limit)?;
        let bytes = std::fs::metadata(&chain).map(|metadata| metadata.len()).unwrap_or(0);
        let is_open = root.is_none();
        if limit == u64::MAX && !bytes.is_multiple_of(files::LINK_BYTES) {
            match is_open {
                true => self.verified.unfinished += 1,
                false => self.verified.problem(".chain", day, None, "the chain ends in the middle of an entry"),
            }
        }
        if is_open && limit == u64::MAX {
            self.leave_unfinished(day, &mut links)?;
        }
        self.verified.days += 1;
        self.verified.entries += links.len() as u64;
        let mut frontier = Frontier::default();
        let mut before = first_link(previous, day);
        let mut broken = false;
        for (index, (leaf, after)) in links.iter().enumerate() {
            if link(&before, leaf) != *after {
                broken = true;
                let what = "the chain breaks here: an entry was changed, removed, inserted or moved";
                self.verified.problem(".chain", day, Some(index as u64), what);
            }
            before = *after;
            frontier.push(*leaf);
        }
        if let Some(root) = root {
            if root.size != links.len() as u64 {
                let what = format!("the day has {} entries, and {} by roots.jsonl", links.len(), root.size);
                self.verified.problem(".chain", day, None, what);
            }
            if !broken && (root.root != hex(&frontier.root()) || (root.size > 0 && root.chain != hex(&before))) {
                self.verified.problem(".chain", day, None, "the root in roots.jsonl is not that of its entries");
            }
            if !root.closed {
                self.verified.problem(".chain", day, None, "roots.jsonl says that the day is not over");
            }
        }
        self.texts(day, &links, is_open)
    }

    /// What a crash left: written hashes without their texts or the other way round, at the end, after what `head` tells.
    fn leave_unfinished(&mut self, day: &str, links: &mut Vec<(Hash, Hash)>) -> Result<()> {
        let told = recover::head(self.directory)?.filter(|head| head.root.day == day).map_or(0, |head| head.root.size);
        let path = files::text_path(self.directory, day);
        let mut rows_count = 0;
        if let Some(mut rows) = Rows::open(&path, 0)? {
            while rows.next().map_err(io(&path))?.is_some() {
                rows_count += 1;
            }
            self.verified.unfinished += u64::from(rows.rest() > 0 && rows_count >= told);
        }
        let whole = rows_count.max(told).min(links.len() as u64);
        self.verified.unfinished += links.len() as u64 - whole + rows_count.saturating_sub(links.len().max(told as usize) as u64);
        links.truncate(whole as usize);
        Ok(())
    }

    fn texts(&mut self, day: &str, links: &[(Hash, Hash)], is_open: bool) -> Result<()> {
        let path = files::text_path(self.directory, day);
        let mut rows = Rows::open(&path, 0)?;
        for (index, (leaf, _)) in links.iter().enumerate() {
            let index = index as u64;
            let row = match &mut rows {
                Some(rows) => rows.next().map_err(io(&path))?,
                None => None,
            };
            let Some(row) = row else {
                let missing = links.len() as u64 - index;
                self.verified.problem(
                    ".text",
                    day,
                    Some(index),
                    format!("from here on {missing} texts are missing or cannot be read"),
                );
                return Ok(());
            };
            if row.is_erased() {
                self.gone.insert((day.to_owned(), index));
                if !row.is_empty() {
                    self.verified.problem(".text", day, Some(index), "something stands where a text was erased");
                }
                continue;
            }
            if row.leaf() != *leaf {
                self.verified.problem(".text", day, Some(index), "the text is not the one that was hashed");
                continue;
            }
            let Some(statement) = row.statement() else {
                self.verified.problem(".text", day, Some(index), "the text is no statement");
                continue;
            };
            if !row.fits(&statement) {
                self.verified.problem(".text", day, Some(index), "what stands before the text is not what the text says");
            }
            if let Statement::Erasure(erasure) = statement {
                for (day, indices) in erasure.entries {
                    self.named.extend(indices.into_iter().map(|index| (day.clone(), index)));
                }
            }
        }
        // On the open day a crash may have left texts whose hashes were never written, or more comes while this is read.
        let more = rows.as_mut().map_or(Ok(None), Rows::next).map_err(io(&path))?.is_some();
        let rest = rows.as_ref().map_or(0, Rows::rest);
        if (more || rest > 0) && !is_open {
            self.verified.problem(".text", day, Some(links.len() as u64), "there are more texts than entries: one was inserted");
        }
        Ok(())
    }

    /// What `head` told is still there.
    fn head(&mut self, roots: &[Root]) -> Result<()> {
        let Some(head) = recover::head(self.directory)? else {
            if self.verified.entries > 0 {
                self.verified.problem(
                    "head",
                    "",
                    None,
                    "the file head is missing or cannot be read: the end may have been cut off",
                );
            }
            return Ok(());
        };
        let signed = head.root.is_signed();
        if signed == Some(false) || (!self.against.keys.is_empty() && !self.is_by_a_key(&head.root)) {
            self.verified.problem("head", &head.root.day, None, "the file head is not signed by a key that was given");
        }
        let is_over = roots.iter().any(|root| root.day == head.root.day);
        let before = roots.iter().rfind(|root| root.day < head.root.day).map_or(NO_ROOT, Root::digest);
        if !is_over && head.root.previous != hex(&before) {
            self.verified.problem(
                "head",
                &head.root.day,
                None,
                "the day before is not the one that it followed: roots were removed or changed",
            );
        }
        self.holds(&head.root, "the file head").map(drop)
    }

    fn exported(&mut self, roots: &[Root]) -> Result<()> {
        for exported in &self.against.roots.clone() {
            let held = match roots.iter().find(|root| root.day == exported.day) {
                Some(root) if exported.closed => {
                    let same = root.statement() == exported.statement();
                    if !same {
                        self.verified.problem("roots.jsonl", &exported.day, None, "the root is not the one that was exported");
                    }
                    same
                }
                _ => self.holds(exported, "the exported root")?,
            };
            self.verified.exported += u64::from(held);
        }
        Ok(())
    }

    /// The first entries of a day are those of a root.
    fn holds(&mut self, root: &Root, name: &str) -> Result<bool> {
        let links = files::links(&files::chain_path(self.directory, &root.day), 0..root.size)?;
        if (links.len() as u64) < root.size {
            let what = format!("{name} knows of {} entries, there are {}: the end was cut off", root.size, links.len());
            self.verified.problem(".chain", &root.day, Some(links.len() as u64), what);
            return Ok(false);
        }
        let mut frontier = Frontier::default();
        links.iter().for_each(|(leaf, _)| frontier.push(*leaf));
        let chain = links.last().map(|(_, link)| *link);
        let same = hex(&frontier.root()) == root.root && chain.is_none_or(|chain| Some(chain) == unhex(&root.chain));
        if !same {
            self.verified.problem(".chain", &root.day, None, format!("the entries are not those of {name}"));
        }
        Ok(same)
    }

    fn erasures(&mut self) {
        let (gone, named) = (std::mem::take(&mut self.gone), std::mem::take(&mut self.named));
        for (day, index) in gone.difference(&named) {
            self.verified.problem(".text", day, Some(*index), "the text was removed, and no erasure says so");
        }
        for (day, index) in named.difference(&gone) {
            self.verified.problem(".text", day, Some(*index), "an erasure says that the text is gone, and it is there");
        }
        self.verified.erased = gone.intersection(&named).count() as u64;
    }
}
