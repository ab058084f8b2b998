//! `jumelle rebuild`

use std::time::Instant;

use anyhow::Context as _;
use jumelle_engine::{Loss, Options};

use crate::arguments::{Global, Rebuild};
use crate::output::{bold, spinner, table, yellow};

/// Replays the history of a stopped directory and compares.
pub fn run(global: &Global, rebuild: &Rebuild) -> anyhow::Result<()> {
    let started = Instant::now();
    let spinner = spinner(global, "replaying the history");
    let data = &rebuild.directory.data;
    let loss = if rebuild.accept_loss { Loss::Accept } else { Loss::Refuse };
    let report = jumelle_engine::rebuild(&Options::new(data), loss).with_context(|| format!("rebuilding {}", data.display()))?;
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
                || if report.unreadable.is_some() { "fresh" } else { "identical" }.to_owned(),
                |difference| format!("{} rows differ, first {}", difference.rows, difference.first_key),
            );
            vec![(*name).to_owned(), rows.to_string(), verdict]
        })
        .collect();
    println!("{}", table(&["table", "rows", ""], &rows));
    let seconds = started.elapsed().as_secs_f64();
    println!("\n{} entries replayed in {seconds:.1} s", report.entries);
    if let Some(why) = &report.unreadable {
        println!("{}", yellow(&format!("the live tables could not be read ({why}); the fresh ones have taken their place")));
    } else if report.identical {
        println!("{}", bold("the fresh tables are byte-identical to the live ones"));
    } else {
        println!("{}", yellow("the live tables differed; the fresh ones have taken their place"));
    }
    Ok(())
}
