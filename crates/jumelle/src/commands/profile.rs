//! `jumelle profile`

use serde_json::Value;

use crate::arguments::{Global, Profile};
use crate::client::{Client, block_on, encode};
use crate::output::{bold, dim, green, table, yellow};

/// Shows one person.
pub fn run(global: &Global, profile: &Profile) -> anyhow::Result<()> {
    block_on(async {
        let client = Client::remote(global)?;
        let path = format!("/v1/profiles/{}", encode(&profile.identifier));
        let person = client.get(&path).await?;
        let explained = if profile.explain {
            let lang = profile.lang.as_deref().map(|lang| format!("?lang={}", encode(lang))).unwrap_or_default();
            Some(client.get(&format!("{path}/explain{lang}")).await?)
        } else {
            None
        };
        if global.json {
            let answer = match explained {
                Some(explained) => serde_json::json!({"profile": person, "explain": explained}),
                None => person,
            };
            println!("{answer:#}");
            return Ok(());
        }
        print_person(&person);
        if let Some(explained) = explained {
            print_explained(&explained);
        }
        Ok(())
    })
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Object(money) if money.contains_key("currency") => {
            format!("{:.2} {}", money["amount"].as_f64().unwrap_or(0.0) / 100.0, text(&money["currency"]))
        }
        other => other.to_string(),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn print_person(person: &Value) {
    println!(
        "{}  {}",
        bold(&text(&person["id"])),
        dim(&format!("{} events, last seen {}", person["events"], text(&person["last_seen"])))
    );
    let rows: Vec<Vec<String>> = list(&person["identifiers"])
        .iter()
        .map(|item| ["namespace", "value", "source", "first_seen"].map(|field| text(&item[field])).to_vec())
        .collect();
    println!("\n{}", table(&["identifier", "value", "source", "first seen"], &rows));
    for (title, field) in [("trait", "traits"), ("computed", "computed")] {
        let rows: Vec<Vec<String>> =
            person[field].as_object().into_iter().flatten().map(|(key, value)| vec![key.clone(), text(value)]).collect();
        if !rows.is_empty() {
            println!("\n{}", table(&[title, "value"], &rows));
        }
    }
    let rows: Vec<Vec<String>> =
        list(&person["segments"]).iter().map(|item| vec![text(&item["key"]), text(&item["since"])]).collect();
    if !rows.is_empty() {
        println!("\n{}", table(&["segment", "since"], &rows));
    }
    let rows: Vec<Vec<String>> = list(&person["consents"])
        .iter()
        .map(|item| ["purpose", "channel", "for", "state", "since", "source"].map(|field| text(&item[field])).to_vec())
        .collect();
    if !rows.is_empty() {
        println!("\n{}", table(&["purpose", "channel", "for", "state", "since", "source"], &rows));
    }
    for refusal in list(&person["refused_joins"]) {
        println!("\n{} {}", yellow("not joined:"), text(refusal));
    }
}

fn print_explained(explained: &Value) {
    for segment in list(&explained["segments"]) {
        let mark = if segment["member"] == true { green("●") } else { dim("○") };
        println!("\n{mark} {} {}", bold(&text(&segment["key"])), dim(&text(&segment["since"])));
        print_why(&segment["why"], 1);
    }
    for decision in list(&explained["gate"]) {
        let open = decision["open"] == true;
        let mark = if open { green("open") } else { yellow("closed") };
        println!(
            "\ngate {} for {}/{}: {mark}{}",
            bold(&text(&decision["activation"])),
            text(&decision["purpose"]),
            text(&decision["channel"]),
            if open { String::new() } else { format!(", {}", text(&decision["reason"])) }
        );
    }
}

fn print_why(why: &Value, depth: usize) {
    let mark = if why["holds"] == true { green("✓") } else { dim("✗") };
    let observed = text(&why["observed"]);
    let observed = if observed.is_empty() { observed } else { dim(&format!(" ({observed})")) };
    println!("{}{mark} {}{observed}", "  ".repeat(depth), text(&why["sentence"]));
    for part in list(&why["parts"]) {
        print_why(part, depth + 1);
    }
}
