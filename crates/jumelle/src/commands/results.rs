//! `jumelle results`

use anyhow::Context as _;
use jumelle_collect::inbound::table::{FIELDS, Mapping, read};
use serde_json::json;

use crate::arguments::{Global, Results};
use crate::client::{Client, add_counts, block_on, encode};
use crate::output::{Failure, bold, yellow};

/// Rows of one call, as many as the server takes.
const ROWS_AT_ONCE: usize = jumelle_collect::inbound::REPORTS_MAX;
/// What the server counts.
const COUNTS: [&str; 6] = ["recorded", "reduced", "known", "ignored", "unusable", "unknown"];

/// Reads a table and hands it in, a thousand rows at a time. Cut off and begun again, what was taken is known.
pub fn run(global: &Global, asked: &Results) -> anyhow::Result<()> {
    if let Some((field, _)) = asked.columns.iter().find(|(field, _)| !FIELDS.contains(&field.as_str())) {
        return Err(Failure::refused(format!("--column: {field:?} is not one of {}", FIELDS.join(", "))));
    }
    let zone = jumelle_collect::inbound::table::zone(&asked.timezone)
        .map_err(|error| Failure::refused(format!("--timezone: {error}")))?;
    let mapping = Mapping {
        columns: asked.columns.iter().cloned().collect(),
        words: asked.words.iter().cloned().collect(),
        all: asked.all.clone(),
        time: asked.time.clone().map(|format| (format, zone)),
    };
    let text = std::fs::read_to_string(&asked.file).with_context(|| format!("reading {}", asked.file.display()))?;
    let table = read(&text, &mapping).map_err(|error| Failure::refused(format!("{}: {error}", asked.file.display())))?;
    let mut sums =
        json!({"rows": table.events.len() + table.passed_over, "passed_over": table.passed_over, "words": table.words});
    block_on(async {
        let client = Client::remote(global)?;
        for part in table.events.chunks(ROWS_AT_ONCE) {
            let path = format!("/v1/destinations/{}/results", encode(&asked.destination));
            let answer = client.post(&path, json!({"events": part}).to_string()).await?;
            add_counts(&mut sums, &answer, &COUNTS);
        }
        Ok(())
    })?;
    if global.json {
        println!("{sums:#}");
        return Ok(());
    }
    let count = |field: &str| sums[field].as_u64().unwrap_or_default();
    println!("{}", bold(&format!("{} rows: {} recorded, {} known already", count("rows"), count("recorded"), count("known"))));
    if table.passed_over > 0 {
        let words: Vec<&str> = table.words.iter().map(String::as_str).collect();
        println!(
            "{}",
            yellow(&format!(
                "{} rows say something else ({}); --word WORD=TYPE says what that is",
                table.passed_over,
                words.join(", ")
            ))
        );
    }
    for (field, what) in [
        ("ignored", "mean nothing here"),
        ("unusable", "have an address that is none"),
        ("unknown", "are of nobody that we know"),
    ] {
        if count(field) > 0 {
            println!("{}", yellow(&format!("{} {what}", count(field))));
        }
    }
    Ok(())
}
