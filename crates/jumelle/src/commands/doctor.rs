//! `jumelle doctor`

use std::collections::BTreeMap;

use anyhow::Context as _;
use jumelle_engine::table_digest;
use jumelle_model::ids::Position;
use jumelle_store::{Entry, History, HistorySettings, Table, Tables};
use serde_json::json;

use crate::arguments::{Directory, Global};
use crate::output::{Failure, bold, spinner, table};

/// Reads every block of a stopped directory and says what there is and what is damaged.
pub fn run(global: &Global, directory: &Directory) -> anyhow::Result<()> {
    if !directory.data.join("history").exists() {
        return Err(Failure {
            code: 4,
            message: format!("{} is no data directory", directory.data.display()),
            details: json!(null),
        }
        .into());
    }
    let spinner = spinner(global, "reading every block and row");
    let settings = History::settings_of(&directory.data)?.unwrap_or(HistorySettings { clock_follows_events: false });
    let history = History::open(&directory.data, settings).context("opening the history")?;
    let (mut blocks, mut entries) = (0u64, 0u64);
    let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
    let mut damages: Vec<String> = Vec::new();
    let mut expected = Position(0);
    for block in history.blocks(Position(0)) {
        blocks += 1;
        let block = match block {
            Ok(block) => block,
            Err(error) => {
                damages.push(error.to_string());
                continue;
            }
        };
        if block.first != expected && damages.is_empty() {
            damages.push(format!("history entries {} to {} are missing", expected.0, block.first.0));
        }
        expected = block.end();
        for record in block.records() {
            entries += 1;
            match record {
                Ok((_, record)) => *kinds.entry(kind(&record.entry)).or_default() += 1,
                Err(error) => damages.push(error.to_string()),
            }
        }
    }
    let tables = Tables::open(&directory.data, "tables", 8 << 20).context("opening the tables")?;
    let position = tables.position()?;
    let mut rows: BTreeMap<&str, u64> = BTreeMap::new();
    let mut digests: BTreeMap<&str, String> = BTreeMap::new();
    for table in Table::ALL {
        match table_digest(&tables, table) {
            Ok((count, digest)) => {
                rows.insert(table.name(), count);
                digests.insert(table.name(), format!("{digest:016x}"));
            }
            Err(error) => damages.push(format!("table {}: {error}; `jumelle rebuild` makes it anew", table.name())),
        }
    }
    spinner.finish_and_clear();
    if global.json {
        println!(
            "{:#}",
            json!({
                "blocks": blocks, "entries": entries, "kinds": kinds, "tables": rows, "digests": digests,
                "tables_position": position.0, "damages": damages,
            })
        );
    } else {
        println!("history: {blocks} blocks, {entries} entries; the tables reflect {}", position.0);
        let cells =
            |map: &BTreeMap<&str, u64>| map.iter().map(|(name, n)| vec![(*name).to_owned(), n.to_string()]).collect::<Vec<_>>();
        println!("\n{}\n\n{}", table(&["entry", "number"], &cells(&kinds)), table(&["table", "rows"], &cells(&rows)));
        if damages.is_empty() {
            println!("\n{}", bold("nothing is damaged"));
        }
    }
    if damages.is_empty() { Ok(()) } else { Err(Failure::refused(damages.join("\n"))) }
}

fn kind(entry: &Entry<'_>) -> &'static str {
    match entry {
        Entry::Event(_) => "event",
        Entry::Apply { .. } => "definitions",
        Entry::Tick => "tick",
        Entry::Result { .. } => "delivery result",
        Entry::Replay { .. } => "delivery replay",
        Entry::Quarantined { .. } => "quarantined",
        Entry::QuarantineSettled { .. } => "quarantine settled",
        Entry::Import(_) => "import progress",
        Entry::Erased { .. } => "erasure",
        Entry::Gone => "erased event",
    }
}
