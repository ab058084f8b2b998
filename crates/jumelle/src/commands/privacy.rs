//! `jumelle privacy` and `jumelle record-of-processing`

use std::path::Path;

use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::arguments::{Global, Privacy, RecordOfProcessing};
use crate::client::{Client, block_on, encode};
use crate::output::{Failure, table, yellow};

/// One right of one person, or a step of a request.
pub fn run(global: &Global, privacy: &Privacy) -> anyhow::Result<()> {
    block_on(async {
        let client = Client::remote(global)?;
        let right = |path: &'static str, body: Value| {
            let client = &client;
            async move { client.post(path, body.to_string()).await.map(|answer| answer["request"].clone()) }
        };
        let step = |id: &str, body: Value| {
            let (client, path) = (&client, format!("/v1/privacy/requests/{}", encode(id)));
            async move { client.post(&path, body.to_string()).await }
        };
        let request = match privacy {
            Privacy::Access { identifier, portable, format, lang, to } => {
                let scope = if *portable { "portability" } else { "access" };
                let mut body = json!({"identifier": identifier, "scope": scope, "format": format});
                if let Some(lang) = lang {
                    body["lang"] = lang.as_str().into();
                }
                let answer = client.send(Method::POST, "/v1/privacy/access", Some(body.to_string())).await?;
                return write(&answer.text().await?, to.as_deref());
            }
            Privacy::Receipts { identifier } => {
                let answer = client.get(&format!("/v1/privacy/receipts?identifier={}", encode(identifier))).await?;
                println!("{answer:#}");
                return Ok(());
            }
            Privacy::Requests => {
                let answer = client.get("/v1/privacy/requests").await?;
                if global.json {
                    println!("{answer:#}");
                } else {
                    requests(&answer);
                }
                return Ok(());
            }
            Privacy::Retention { days } => {
                let path = format!("/v1/privacy/retention?fresh=true&days={days}");
                let mut answer = client.get(&path).await?;
                while answer["at"].is_null() {
                    tokio::time::sleep(COUNTING).await;
                    answer = client.get(&path).await?;
                }
                if global.json {
                    println!("{answer:#}");
                } else {
                    retention(&answer);
                }
                return Ok(());
            }
            Privacy::Restrict { identifier } => right("/v1/privacy/restrict", json!({"identifier": identifier})).await?,
            Privacy::Lift { identifier } => {
                right("/v1/privacy/restrict", json!({"identifier": identifier, "lift": true})).await?
            }
            Privacy::Object { identifier, purpose } => {
                let mut body = json!({"identifier": identifier});
                if let Some(purpose) = purpose {
                    body["purpose"] = purpose.as_str().into();
                }
                right("/v1/privacy/object", body).await?
            }
            Privacy::Rectify { identifier, traits, replace } => {
                let traits = traits.iter().map(|text| named(text)).collect::<anyhow::Result<Map<String, Value>>>()?;
                let replaced = replace.iter().map(|text| replacement(text)).collect::<anyhow::Result<Vec<Value>>>()?;
                right("/v1/privacy/rectify", json!({"identifier": identifier, "traits": traits, "identifiers": replaced})).await?
            }
            Privacy::Identify { id, how } => step(id, json!({"do": "identify", "identity": how})).await?,
            Privacy::Extend { id, months, reason } => {
                step(id, json!({"do": "extend", "months": months, "reason": reason})).await?
            }
            Privacy::Fulfil { id } => step(id, json!({"do": "fulfil"})).await?,
            Privacy::Refuse { id, reason } => step(id, json!({"do": "refuse", "reason": reason})).await?,
        };
        if global.json {
            println!("{request:#}");
        } else {
            requests(&json!({"items": [request]}));
        }
        Ok(())
    })
}

/// The record of processing.
pub fn record(global: &Global, record: &RecordOfProcessing) -> anyhow::Result<()> {
    block_on(async {
        let client = Client::remote(global)?;
        let lang = record.lang.as_deref().map(|lang| format!("&lang={}", encode(lang))).unwrap_or_default();
        let path = format!("/v1/privacy/record?format={}{lang}", encode(&record.format));
        let answer = client.send(Method::GET, &path, None).await?;
        write(&answer.text().await?, record.to.as_deref())
    })
}

/// How often a count that is under way is asked for.
const COUNTING: std::time::Duration = std::time::Duration::from_millis(500);

fn retention(answer: &Value) {
    let prospects = &answer["prospects"];
    if prospects.is_null() {
        println!(
            "The policy has no clock of prospects: nobody is found or erased by it. policy.prospects: {{after: 1095d, then: report}}"
        );
    } else {
        let (clocks, text) = (&answer["clocks"], |name: &str| prospects[name].as_str().unwrap_or("–").to_owned());
        println!("after {} without an act of the person: {}", text("after"), text("then"));
        let rows = [
            ("time is over", &clocks["lapsed"]),
            ("of these, restricted and kept", &clocks["restricted"]),
            ("ends within 30 days", &clocks["due_30d"]),
            ("ends within 90 days", &clocks["due_90d"]),
            ("people with a clock", &clocks["running"]),
        ];
        println!("{}", table(&["clock", "people"], &rows.map(|(name, count)| vec![name.to_owned(), count.to_string()])));
    }
    let list = |name: &str| answer[name].as_array().cloned().unwrap_or_default();
    let purposes = list("purposes").into_iter().map(|row| {
        let text = |name: &str| row[name].as_str().unwrap_or("–").to_owned();
        vec![text("purpose"), text("retention"), row["past"].as_u64().map_or("–".into(), |past| past.to_string())]
    });
    println!("{}", table(&["purpose", "retention", "people beyond it"], &purposes.collect::<Vec<_>>()));
    if let (Some(then), Some(past)) = (answer["then"].as_str(), answer["clocks"]["past_every"].as_u64()) {
        println!("beyond every retention: {past}; {then}");
    }
    let erased = list("erased");
    if !erased.is_empty() {
        let rows = erased.iter().map(|row| vec![row["day"].as_str().unwrap_or("–").to_owned(), row["people"].to_string()]);
        println!("{}", table(&["day", "people erased"], &rows.collect::<Vec<_>>()));
    }
}

/// `shoe_size=42`: JSON if it is, else a text.
fn named(text: &str) -> anyhow::Result<(String, Value)> {
    let (name, value) = text.split_once('=').ok_or_else(|| Failure::refused(format!("{text:?} is not NAME=VALUE")))?;
    Ok((name.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| value.into())))
}

/// `email:ana@exmaple.org=email:ana@example.org`
fn replacement(text: &str) -> anyhow::Result<Value> {
    let (from, to) = text.split_once('=').ok_or_else(|| Failure::refused(format!("{text:?} is not WRONG=RIGHT")))?;
    Ok(json!({"from": from, "to": to}))
}

fn write(text: &str, to: Option<&Path>) -> anyhow::Result<()> {
    match to {
        None => println!("{text}"),
        Some(path) => {
            std::fs::write(path, text).map_err(|error| Failure::refused(format!("{}: {error}", path.display())))?;
            println!("written to {}", path.display());
        }
    }
    Ok(())
}

fn requests(answer: &Value) {
    let text = |value: &Value| value.as_str().unwrap_or("–").to_owned();
    let rows: Vec<Vec<String>> = answer["items"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|request| {
            let told = request["fan_out"].as_array().map_or(&[][..], Vec::as_slice);
            let took = told.iter().filter(|delivery| delivery["state"] == "sent").count();
            let deadline = text(&request["deadline"]);
            let deadline = if request["overdue"] == true { yellow(&deadline) } else { deadline };
            let tools = format!("{took} of {}", told.len());
            vec![
                text(&request["id"]),
                text(&request["kind"]),
                text(&request["state"]),
                text(&request["identity"]),
                deadline,
                tools,
            ]
        })
        .collect();
    println!("{}", table(&["request", "right", "state", "identity", "deadline", "tools told"], &rows));
}
