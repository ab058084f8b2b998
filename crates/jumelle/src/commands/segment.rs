//! `jumelle segment`

use std::path::Path;

use serde_json::{Value, json};

use crate::arguments::{Global, Segment};
use crate::client::{Client, block_on};
use crate::output::{Failure, bold, dim, spinner, table};

/// Previews one or lists all.
pub fn run(global: &Global, segment: &Segment) -> anyhow::Result<()> {
    block_on(async {
        let client = Client::remote(global)?;
        match segment {
            Segment::Preview { segment, at } => preview(global, &client, segment, at.as_deref()).await,
            Segment::List => list(global, &client).await,
        }
    })
}

async fn preview(global: &Global, client: &Client, segment: &str, at: Option<&str>) -> anyhow::Result<()> {
    let mut request = if Path::new(segment).is_file() {
        let text = std::fs::read_to_string(segment)?;
        let rule: Value = serde_json::from_str(&text).map_err(|error| Failure::refused(format!("{segment}: {error}")))?;
        json!({"rule": rule.get("rule").unwrap_or(&rule)})
    } else {
        json!({"segment": segment})
    };
    if let Some(at) = at {
        request["at"] = at.into();
    }
    let spinner = spinner(global, "reading the history");
    let answer = client.post("/v1/segments/preview", request.to_string()).await?;
    spinner.finish_and_clear();
    if global.json {
        println!("{answer:#}");
        return Ok(());
    }
    println!(
        "{} of {} people {}",
        bold(&answer["count"].to_string()),
        answer["people"],
        dim(&format!("at {}", answer["at"].as_str().unwrap_or_default()))
    );
    for id in answer["sample"].as_array().into_iter().flatten() {
        println!("  {}", id.as_str().unwrap_or_default());
    }
    Ok(())
}

async fn list(global: &Global, client: &Client) -> anyhow::Result<()> {
    let answer = client.get("/v1/segments").await?;
    if global.json {
        println!("{answer:#}");
        return Ok(());
    }
    let rows: Vec<Vec<String>> = answer["items"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|item| {
            let cell = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            vec![cell(&item["key"]), cell(&item["count"]), cell(&item["status"])]
        })
        .collect();
    println!("{}", table(&["segment", "members", "status"], &rows));
    Ok(())
}
