//! `jumelle import`

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use jumelle_collect::files::{Mapping, events, fingerprint};
use jumelle_model::time::Timestamp;
use serde_json::{Value, json};

use crate::arguments::{Global, Import};
use crate::client::{Client, block_on, encode};
use crate::output::{Failure, dim, yellow};

/// Bytes of events sent together.
const BATCH_BYTES: usize = 1 << 20;
/// Events sent together at most.
const BATCH_EVENTS: usize = 2_000;
/// How often an overloaded server is asked again, and how long between.
const OVERLOADED_TRIES: u32 = 600;
const OVERLOADED_WAIT: std::time::Duration = std::time::Duration::from_millis(100);

/// What an import came to.
#[derive(Default, serde::Serialize)]
struct Summary {
    events: u64,
    accepted: u64,
    duplicates: u64,
    quarantined: u64,
    /// Rows that could not become events; they are printed, and stay in the file.
    left_out: u64,
    skipped: u64,
}

/// Sends a file's events in batches; each batch is durable with how far the import has come, so it can be stopped at any time.
pub fn run(global: &Global, import: &Import) -> anyhow::Result<()> {
    let mapping_text = match &import.mapping {
        Some(path) => Some(std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?),
        None => None,
    };
    let mapping = match (&import.mapping, &mapping_text) {
        (Some(path), Some(text)) => {
            Some(Mapping::parse(text).map_err(|problem| Failure::refused(format!("{}: {problem}", path.display())))?)
        }
        _ => None,
    };
    let until = match &import.until {
        Some(text) => Some(
            Timestamp::parse(text)
                .ok_or_else(|| Failure::refused(format!("--until {text:?} is not an instant; write 2011-09-01T00:00:00Z")))?,
        ),
        None => None,
    };
    let id = fingerprint(&import.file, mapping_text.as_deref(), &import.source)
        .with_context(|| format!("reading {}", import.file.display()))?;
    block_on(async {
        let client = Client::open(global, import.data.as_deref()).await?;
        let summary = send(global, &client, import, mapping.as_ref(), until, &id).await;
        client.close().await?;
        let summary = summary?;
        if global.json {
            println!("{}", json!(summary));
        } else if summary.events == summary.skipped && summary.quarantined + summary.left_out == 0 {
            println!("already imported: {} events, nothing to do", summary.events);
        } else {
            println!(
                "{} events: {} stored, {} known already, {} skipped as imported before",
                summary.events, summary.accepted, summary.duplicates, summary.skipped
            );
            if summary.left_out > 0 {
                println!("{}", yellow(&format!("{} rows left out, see above", summary.left_out)));
            }
            if summary.quarantined > 0 {
                println!("{}", yellow(&format!("{} not understood; see GET /v1/quarantine", summary.quarantined)));
            }
        }
        Ok(())
    })
}

async fn send(
    global: &Global,
    client: &Client,
    import: &Import,
    mapping: Option<&Mapping>,
    until: Option<Timestamp>,
    id: &str,
) -> anyhow::Result<Summary> {
    let source = encode(&import.source);
    let progress = client.get(&format!("/v1/imports/{source}/{id}")).await?;
    let before = progress["events"].as_u64().unwrap_or(0);
    let bar = progress_bar(global);
    bar.set_message(format!("reading {}", import.file.display()));
    let mut summary = Summary::default();
    let mut batch: Vec<Value> = Vec::new();
    let mut bytes = 0;
    let mut ended = true;
    for event in events(&import.file, mapping).map_err(|error| Failure::refused(format!("{}: {error}", import.file.display())))? {
        let event = match event {
            Ok(event) => event,
            Err(error) if error.is_fatal() => {
                // Not marked as done: mended, the file goes on from here.
                return Err(Failure::refused(format!("{}: {error}", import.file.display())));
            }
            Err(error) => {
                bar.suspend(|| eprintln!("{} {error}", yellow("left out:")));
                summary.left_out += 1;
                continue;
            }
        };
        if let Some(until) = until
            && event["timestamp"].as_str().and_then(Timestamp::parse).is_some_and(|at| at > until)
        {
            ended = false;
            break;
        }
        summary.events += 1;
        if summary.events <= before {
            summary.skipped += 1;
            continue;
        }
        bytes += event.to_string().len();
        batch.push(event);
        if bytes >= BATCH_BYTES || batch.len() >= BATCH_EVENTS {
            flush(client, &source, id, &mut batch, &mut summary, false).await?;
            bytes = 0;
            bar.set_position(summary.events);
            bar.set_message(import.source.clone());
        }
    }
    if !batch.is_empty() || (ended && progress["done"] != true) {
        flush(client, &source, id, &mut batch, &mut summary, ended).await?;
    }
    bar.finish_and_clear();
    Ok(summary)
}

async fn flush(
    client: &Client,
    source: &str,
    id: &str,
    batch: &mut Vec<Value>,
    summary: &mut Summary,
    last: bool,
) -> anyhow::Result<()> {
    let body = json!({"batch": std::mem::take(batch)}).to_string();
    let path = format!("/v1/imports/{source}?import={id}&events={}&done={last}", summary.events);
    let mut tries = 0;
    let answer = loop {
        match client.post(&path, body.clone()).await {
            Ok(answer) => break answer,
            Err(error) if is_overload(&error) && tries < OVERLOADED_TRIES => {
                tries += 1;
                tokio::time::sleep(OVERLOADED_WAIT).await;
            }
            Err(error) => return Err(error),
        }
    };
    summary.accepted += answer["accepted"].as_u64().unwrap_or(0);
    summary.duplicates += answer["duplicates"].as_u64().unwrap_or(0);
    summary.quarantined += answer["rejected"].as_array().map_or(0, Vec::len) as u64;
    Ok(())
}

fn is_overload(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Failure>().is_some_and(|failure| failure.details["status"] == 503)
}

fn progress_bar(global: &Global) -> ProgressBar {
    if global.json {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    if let Ok(style) =
        ProgressStyle::with_template(&format!("{} {{human_pos}} {}", "{spinner}", dim("events · {per_sec} · {elapsed} · {msg}")))
    {
        bar.set_style(style);
    }
    bar.enable_steady_tick(std::time::Duration::from_millis(100));
    bar
}
