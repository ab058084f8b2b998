//! Tools and lists: reconcile, suppress, allowed, permits.

use std::path::Path;

use anyhow::Context as _;
use jumelle_ledger::permit::{self, PermitError};
use jumelle_model::consent::Channel;
use jumelle_model::time::Timestamp;
use serde_json::{Value, json};

use super::shown;
use crate::arguments::Global;
use crate::client::{Client, add_counts, block_on, encode};
use crate::output::{Failure, bold, dim, green, table, yellow};

/// People of one comparison that are shown; `--json` has more.
const PEOPLE_SHOWN: usize = 20;
/// Addresses of one call.
const SUPPRESSED_AT_ONCE: usize = 10_000;

/// Compares and prints; drift ends with exit code 1 unless it is mended.
pub fn reconcile(
    global: &Global,
    destination: &str,
    export: Option<&Path>,
    column: Option<&str>,
    mend: bool,
) -> anyhow::Result<()> {
    let body = match export {
        Some(file) => std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?,
        None => String::new(),
    };
    if export.is_some() && body.trim().is_empty() {
        return Err(Failure::refused("the export is empty; a tool that really holds nobody exports a header or []"));
    }
    let found = block_on(async {
        let client = Client::remote(global)?;
        let column = column.map(|column| format!("&column={}", encode(column))).unwrap_or_default();
        client.post(&format!("/v1/destinations/{}/reconcile?mend={mend}{column}", encode(destination)), body).await
    })?;
    if global.json {
        println!("{found:#}");
    } else {
        let count = |field: &str| found[field].as_u64().unwrap_or_default();
        let (many, few, unknown) = (count("too_many"), count("too_few"), count("unknown"));
        let line = format!(
            "{} names in {destination}, {} people expected: {many} too many, {few} too few, {unknown} nobody that we know",
            count("held"),
            count("expected")
        );
        println!("{}", if many + few + unknown == 0 { green(&line) } else { yellow(&line) });
        let people: Vec<Vec<String>> = found["people"]
            .as_array()
            .into_iter()
            .flatten()
            .take(PEOPLE_SHOWN)
            .map(|row| ["kind", "profile", "activation", "code", "en"].map(|field| shown(&row[field])).to_vec())
            .collect();
        if !people.is_empty() {
            println!("{}", table(&["", "profile", "activation", "code", "why"], &people));
        }
        if mend {
            println!("{}", bold(&format!("{} messages queued to mend it", count("mended"))));
        } else if many + few > 0 {
            println!("{}", dim("--mend queues the removals and additions"));
        }
    }
    Ok(())
}

/// Sends a list in parts.
pub fn suppress(
    global: &Global,
    file: &Path,
    list: &str,
    channels: &[String],
    column: Option<&str>,
    sha256: bool,
    at: Option<&str>,
) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let values = jumelle_collect::tool_list::names(&text, column).map_err(Failure::refused)?;
    let first = channels.first().and_then(|channel| Channel::parse(channel));
    let namespace = first.and_then(Channel::address_namespace).filter(|namespace| matches!(*namespace, "email" | "phone"));
    let Some(namespace) = namespace else {
        return Err(Failure::refused("--channel is email, sms, phone or call_center"));
    };
    let at = at.map_or_else(|| Timestamp::now().to_string(), str::to_owned);
    let mut sums = json!({"list": list, "values": values.len()});
    block_on(async {
        let client = Client::remote(global)?;
        for part in values.chunks(SUPPRESSED_AT_ONCE) {
            let body = json!({
                "list": list, "channels": channels, "namespace": namespace, "values": part, "sha256": sha256, "at": at,
            });
            let answer = client.post("/v1/oppositions", body.to_string()).await?;
            add_counts(&mut sums, &answer, &["recorded", "known", "unmatched", "unusable"]);
        }
        Ok(())
    })?;
    if global.json {
        println!("{sums:#}");
        return Ok(());
    }
    println!("{}", bold(&format!("{}: {} recorded, {} known already", list, sums["recorded"], sums["known"])));
    if sums["unmatched"].as_u64().is_some_and(|count| count > 0) {
        println!(
            "{}",
            yellow(&format!("{} hashes are of nobody known yet; take the list in again after an import", sums["unmatched"]))
        );
    }
    if sums["unusable"].as_u64().is_some_and(|count| count > 0) {
        println!("{}", yellow(&format!("{} are no {namespace}", sums["unusable"])));
    }
    Ok(())
}

/// Asks and prints the sentence.
pub fn allowed(global: &Global, identifier: &str, about: [&String; 3], permit: bool) -> anyhow::Result<()> {
    let [destination, purpose, channel] = about.map(|text| encode(text));
    let path = format!(
        "/v1/allowed?destination={destination}&purpose={purpose}&channel={channel}&id={}&permit={permit}",
        encode(identifier)
    );
    let answer = block_on(async { Client::remote(global)?.get(&path).await })?;
    if global.json {
        println!("{answer:#}");
        return Ok(());
    }
    let sentence = shown(&answer["en"]);
    match answer["allowed"] == true {
        true => println!("{} {sentence}", green("yes:")),
        false => println!("{} {sentence}", yellow("no:")),
    }
    if let Some(permit) = answer["permit"].as_str() {
        println!("{permit}");
    }
    Ok(())
}

/// Checks a permit.
pub fn verify(global: &Global, text: &str, public_key: &str, expired: bool) -> anyhow::Result<()> {
    let claims = match permit::verify(text, public_key, Timestamp::now()) {
        Ok(claims) => claims,
        Err(PermitError::Expired { claims, .. }) if expired => claims,
        Err(error) => return Err(Failure { code: 1, message: error.to_string(), details: Value::Null }.into()),
    };
    if global.json {
        println!("{claims:#}");
    } else {
        println!("{}", green("the signature holds"));
        for (field, value) in claims.as_object().into_iter().flatten() {
            println!("{} {}", dim(field), shown(value));
        }
    }
    Ok(())
}
