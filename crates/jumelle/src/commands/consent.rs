//! `jumelle consent`

mod tools;

use std::path::Path;

use jumelle_consent::signals::AnyString;
use jumelle_model::Workspace;
use jumelle_model::time::Timestamp;
use serde_json::{Value, json};

use crate::arguments::{Consent, Global, Permit};
use crate::client::{Client, block_on};
use crate::output::{Failure, bold, dim, green, table, yellow};

/// Ids of one set that are shown to people; `--json` has all.
const IDS_SHOWN: usize = 40;

/// `jumelle consent …`
pub fn run(global: &Global, consent: &Consent) -> anyhow::Result<()> {
    match consent {
        Consent::Decode { string, workspace } => decode(global, string, workspace.as_deref()),
        Consent::Reconcile { destination, export, column, mend } => {
            tools::reconcile(global, destination, export.as_deref(), column.as_deref(), *mend)
        }
        Consent::Suppress { file, list, channels, column, sha256, at } => {
            let list = list.clone().unwrap_or_else(|| file.file_name().unwrap_or_default().to_string_lossy().into_owned());
            tools::suppress(global, file, &list, channels, column.as_deref(), *sha256, at.as_deref())
        }
        Consent::Allowed { identifier, destination, purpose, channel, permit } => {
            tools::allowed(global, identifier, [destination, purpose, channel], *permit)
        }
        Consent::Permit(Permit::Verify { permit, public_key, expired }) => tools::verify(global, permit, public_key, *expired),
    }
}

/// Decodes a string.
fn decode(global: &Global, string: &str, workspace: Option<&Path>) -> anyhow::Result<()> {
    let explained = match (workspace, &global.token) {
        (Some(file), _) => of_file(string, file)?,
        // What it says of itself needs neither.
        (None, None) => {
            let mut explained = explain(string, &Workspace::empty())?;
            explained["policy"] = Value::Null;
            explained
        }
        (None, Some(_)) => block_on(async {
            let client = Client::remote(global)?;
            let kind = if string.starts_with('D') { "gpp" } else { "tcf" };
            client.post("/v1/consents/decode", json!({kind: string}).to_string()).await
        })?,
    };
    if global.json {
        println!("{explained:#}");
    } else {
        show(&explained);
    }
    Ok(())
}

fn of_file(string: &str, file: &Path) -> anyhow::Result<Value> {
    let text = std::fs::read_to_string(file).map_err(|error| Failure::refused(format!("{}: {error}", file.display())))?;
    let workspace = Workspace::parse(&text).map_err(|problems| Failure::refused(format!("{}: {problems}", file.display())))?;
    explain(string, &workspace)
}

fn explain(string: &str, workspace: &Workspace) -> anyhow::Result<Value> {
    let string = AnyString::decode(string).map_err(|malformed| Failure::refused(malformed.to_string()))?;
    Ok(string.explain(workspace, Timestamp::now()))
}

fn show(explained: &Value) {
    for (field, value) in explained.as_object().into_iter().flatten() {
        match field.as_str() {
            "policy" | "defects" => {}
            "sections" => {
                for (name, section) in value.as_object().into_iter().flatten() {
                    println!("{}", bold(name));
                    for (field, value) in section.as_object().into_iter().flatten() {
                        println!("  {} {}", dim(field), shown(value));
                    }
                }
            }
            _ => println!("{} {}", dim(field), shown(value)),
        }
    }
    for defect in explained["defects"].as_array().into_iter().flatten() {
        println!("{} {}", yellow("grants nothing:"), shown(defect));
    }
    let rows: Vec<Vec<String>> = explained["policy"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|row| {
            let state = shown(&row["state"]);
            let state = if state == "granted" { green(&state) } else { yellow(&state) };
            vec![shown(&row["purpose"]), shown(&row["channel"]), state, shown(&row["because"])]
        })
        .collect();
    if explained["policy"].is_null() {
        println!("{}", dim("what it means for your purposes: --workspace FILE, or the running server's JUMELLE_ADMIN_TOKEN"));
    } else if rows.is_empty() {
        println!("{}", dim("this says nothing for the purposes of this workspace"));
    } else {
        println!("{}", table(&["purpose", "channel", "state", "because"], &rows));
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) if items.len() > IDS_SHOWN => {
            let first: Vec<String> = items.iter().take(IDS_SHOWN).map(shown).collect();
            format!("{} … ({} in all)", first.join(" "), items.len())
        }
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}
