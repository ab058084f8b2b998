//! `jumelle rebuild`

use std::time::Instant;

use anyhow::Context as _;
use jumelle_engine::Options;

use crate::arguments::{Directory, Global};
use crate::output::{bold, spinner, table, yellow};

/// Replays the history of a stopped directory and compares.
pub fn run(global: &Global, directory: &Directory) -> anyhow::Result<()> {
    let started = Instant::now();
    let spinner = spinner(global, "replaying the history");
    let report = jumelle_engine::rebuild(&Options::new(&directory.data))
        .with_context(|| format!("rebuilding {}", directory.data.display()))?;
    spinner.finish_and_clear();
    if global.json {
        println!("{:#}", serde_json::to_value(&report)?);
        return Ok(());
    }
    let rows: Vec<Vec<String>> = report
        .rows
        .iter()
        .map(|(name, rows)| {
            let difference = report.differences.get(name);
            let verdict = difference.map_or_else(
                || "identical".to_owned(),
                |difference| format!("{} rows differ, first {}", difference.rows, difference.first_key),
            );
            vec![(*name).to_owned(), rows.to_string(), verdict]
        })
        .collect();
    println!("{}", table(&["table", "rows", ""], &rows));
    let seconds = started.elapsed().as_secs_f64();
    println!("\n{} entries replayed in {seconds:.1} s", report.entries);
    if report.identical {
        println!("{}", bold("the fresh tables are byte-identical to the live ones"));
    } else {
        println!("{}", yellow("the live tables differed; the fresh ones have taken their place"));
    }
    Ok(())
}
