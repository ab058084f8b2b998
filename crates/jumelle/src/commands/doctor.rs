//! `jumelle doctor`

use std::collections::BTreeMap;
use std::path::Path;

use jumelle_engine::table_digest;
use jumelle_model::ids::Position;
use jumelle_store::{BadFile, Entry, FORMAT, History, StoreError, Table, Tables};
use serde::Serialize;
use serde_json::json;

use crate::arguments::{Directory, Global};
use crate::output::{DAMAGED, Failure, bold, spinner, table};

/// Damages listed at most; a disk that fails everywhere need not be told row by row.
const DAMAGES_MAX: usize = 200;
const RESTORE: &str = "restore a backup; or `jumelle rebuild --accept-loss` goes on with what stands before it";
const LINKS: &str =
    "put a copy in its place, or move it away: new keys are made, and the links that were sent open nothing any more";
const TOKENS: &str = "put a copy in its place, or move it away and make the tokens anew: it holds no data about people";
const LEDGER: &str = "restore a backup: what was chosen is in the history as well, what was let out under it only there";
const REBUILD: &str = "nothing is lost: `jumelle rebuild` makes the tables anew from the history";

/// Something that is not as it was written.
#[derive(Serialize)]
struct Damage {
    /// Which file, block or row.
    place: String,
    /// What does not fit.
    what: String,
    /// What is lost, and what brings it back.
    remedy: &'static str,
}

/// What was found so far.
#[derive(Default)]
struct Findings {
    damages: Vec<Damage>,
    notes: Vec<String>,
    blocks: u64,
    entries: u64,
    kinds: BTreeMap<&'static str, u64>,
    /// A digest of each table's rows: equal tables have equal ones.
    digests: BTreeMap<&'static str, String>,
    rows: BTreeMap<&'static str, u64>,
    position: u64,
}

impl Findings {
    fn add(&mut self, place: impl Into<String>, what: impl Into<String>, remedy: &'static str) {
        if self.damages.len() < DAMAGES_MAX {
            self.damages.push(Damage { place: place.into(), what: what.into(), remedy });
        }
    }

    fn add_error(&mut self, place: &Path, error: StoreError, remedy: &'static str) {
        match error {
            StoreError::Damaged { place, what } => self.add(place, what, remedy),
            other => self.add(place.display().to_string(), other.to_string(), remedy),
        }
    }
}

/// Reads every file, block and row of a stopped directory and says what there is, what is damaged and what can be restored.
pub fn run(global: &Global, directory: &Directory) -> anyhow::Result<()> {
    let path = &directory.data;
    let Some(format) = jumelle_store::format(path)?.filter(|_| path.join("history").exists()) else {
        return Err(Failure { code: 4, message: format!("{} is no data directory", path.display()), details: json!(null) }.into());
    };
    let spinner = spinner(global, "reading every file, block and row");
    let mut found = Findings::default();
    if format < FORMAT {
        found.notes.push(format!("the directory has format {format}; `jumelle serve` brings it to {FORMAT}"));
    } else {
        jumelle_store::prepare(path)?;
    }
    if check_files(&mut found, &path.join("history"), RESTORE, true)? {
        check_history(&mut found, path)?;
    }
    if check_files(&mut found, &path.join("tables"), REBUILD, false)? && format == FORMAT {
        check_tables(&mut found, path);
    }
    if let Err(error) = jumelle_server::check_tokens(path) {
        found.add(path.join("tokens.json").display().to_string(), error.to_string(), TOKENS);
    }
    if path.join(jumelle_engine::LINK_KEYS_FILE).exists()
        && let Err(error) = jumelle_engine::Links::open(path, jumelle_model::Timestamp::now())
    {
        found.add(path.join(jumelle_engine::LINK_KEYS_FILE).display().to_string(), error.to_string(), LINKS);
    }
    check_ledger(&mut found, &path.join(jumelle_ledger::FOLDER));
    spinner.finish_and_clear();
    print(global, &found);
    match found.damages.is_empty() {
        true => Ok(()),
        false => {
            let lines: Vec<String> = found
                .damages
                .iter()
                .map(|damage| format!("{} is damaged: {}; {}", damage.place, damage.what, damage.remedy))
                .collect();
            Err(Failure { code: DAMAGED, message: lines.join("\n"), details: json!(null) }.into())
        }
    }
}

/// Holds the ledger against its chain, its trees and its roots. A directory of before there was one has none.
fn check_ledger(found: &mut Findings, ledger: &Path) {
    if !ledger.exists() {
        return;
    }
    match jumelle_ledger::verify(ledger, &jumelle_ledger::Against::default()) {
        Ok(verified) => {
            for problem in verified.problems {
                let entry = problem.index.map(|index| format!(", entry {index}")).unwrap_or_default();
                found.add(format!("{}{entry}", ledger.join(&problem.file).display()), problem.what, LEDGER);
            }
        }
        Err(error) => found.add(ledger.display().to_string(), error.to_string(), LEDGER),
    }
}

/// Holds the files of a database against the sums beside them, before anything opens (and cuts) them. `true`: it can be opened.
fn check_files(found: &mut Findings, database: &Path, remedy: &'static str, synced: bool) -> anyhow::Result<bool> {
    let mut usable = true;
    for BadFile { path, what } in jumelle_store::bad_files(database)? {
        // A blob holds values only, each with its own checksum: the others can still be read, and the lost ones be named.
        usable &= path.parent().is_some_and(|parent| parent.ends_with("blobs"));
        found.add(path.display().to_string(), what, remedy);
    }
    let journals = jumelle_store::journals(database)?;
    let mut last_sequence = None;
    for (n, path) in journals.iter().enumerate() {
        let scan = jumelle_store::scan_journal(path, last_sequence)?;
        last_sequence = scan.last_sequence;
        if scan.is_whole() {
            continue;
        }
        let at = format!("{} at byte {}", path.display(), scan.valid_bytes);
        if n + 1 == journals.len() && (scan.whole_again_at.is_none() || !synced) {
            found
                .notes
                .push(format!("{at}: the end is torn ({} bytes), as a power cut leaves it; it is cut off", scan.torn_bytes));
        } else {
            found.add(at, format!("{} bytes from here on do not match their checksums", scan.torn_bytes), remedy);
            usable = false;
        }
    }
    Ok(usable)
}

fn check_history(found: &mut Findings, directory: &Path) -> anyhow::Result<()> {
    let history = match History::open(directory, None) {
        Ok(history) => history,
        Err(error @ (StoreError::Locked(_) | StoreError::TooNew { .. })) => return Err(error.into()),
        Err(error) => {
            found.add_error(&directory.join("history"), error, RESTORE);
            return Ok(());
        }
    };
    for block in history.blocks(Position(0)) {
        found.blocks += 1;
        let block = match block {
            Ok(block) => block,
            Err(error) => {
                found.add_error(&directory.join("history"), error, RESTORE);
                if found.damages.len() >= DAMAGES_MAX {
                    break;
                }
                continue;
            }
        };
        for record in block.records() {
            found.entries += 1;
            match record {
                Ok((_, record)) => *found.kinds.entry(kind(&record.entry)).or_default() += 1,
                Err(error) => found.add_error(&directory.join("history"), error, RESTORE),
            }
        }
    }
    found.position = history.end()?.0.0;
    Ok(())
}

fn check_tables(found: &mut Findings, directory: &Path) {
    let place = directory.join("tables");
    let opened = Tables::open(directory, "tables", 8 << 20).and_then(|tables| Ok((tables.position()?, tables)));
    let (reflected, tables) = match opened {
        Ok(opened) => opened,
        Err(error) => return found.add_error(&place, error, REBUILD),
    };
    let end = std::mem::replace(&mut found.position, reflected.0);
    if reflected.0 > end && found.damages.is_empty() {
        let what =
            format!("it ends at entry {end} and the tables know of entries up to {}: acknowledged ones are lost", reflected.0);
        found.add(format!("the end of the history, {},", directory.join("history").display()), what, RESTORE);
    }
    for table in Table::ALL {
        match table_digest(&tables, table) {
            Ok((count, digest)) => {
                found.rows.insert(table.name(), count);
                found.digests.insert(table.name(), format!("{digest:016x}"));
            }
            Err(error) => found.add_error(&place, error, REBUILD),
        }
    }
}

fn print(global: &Global, found: &Findings) {
    let Findings { damages, notes, blocks, entries, kinds, rows, digests, position } = found;
    if global.json {
        println!(
            "{:#}",
            json!({
                "blocks": blocks, "entries": entries, "kinds": kinds, "tables": rows, "digests": digests,
                "tables_position": position, "damages": damages, "notes": notes,
            })
        );
        return;
    }
    println!("history: {blocks} blocks, {entries} entries; the tables reflect {position}");
    let cells =
        |map: &BTreeMap<&str, u64>| map.iter().map(|(name, n)| vec![(*name).to_owned(), n.to_string()]).collect::<Vec<_>>();
    println!("\n{}\n\n{}", table(&["entry", "number"], &cells(kinds)), table(&["table", "rows"], &cells(rows)));
    for note in notes {
        println!("\n{note}");
    }
    if damages.is_empty() {
        println!("\n{}", bold("nothing is damaged"));
    }
}

fn kind(entry: &Entry<'_>) -> &'static str {
    match entry {
        Entry::Event(_) => "event",
        Entry::Apply { .. } | Entry::AppliedBy { .. } => "definitions",
        Entry::Tick => "tick",
        Entry::Result { .. } => "delivery result",
        Entry::Replay { .. } | Entry::ReplayedBy { .. } => "delivery replay",
        Entry::Quarantined { .. } => "quarantined",
        Entry::QuarantineSettled { .. } => "quarantine settled",
        Entry::Import(_) => "import progress",
        Entry::Erased { .. } => "erasure",
        Entry::Lapsed { .. } => "erasure at the end of a prospect's time",
        Entry::Corrected { .. } => "correction of an identifier",
        Entry::Split { .. } => "split of a person",
        Entry::Gone => "erased event",
        Entry::Request { .. } => "rights request",
        Entry::Reduced(_) => "reduced events",
    }
}
