//! `jumelle connector`

pub mod own;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use jumelle_activate::{Transport, Trial, secrets, test_connector};
use jumelle_connect::{
    Catalogue, Connector as Loaded, Files, Incoming, Moment, Row, Sample, Secrets, Settings, batches, last_of_each, run_cases,
};
use jumelle_model::time::Timestamp;
use jumelle_model::workspace::{Secret, read_yaml};
use serde_json::{Map, Value, json};

use self::own::{catalogue, key_of, read_folder, read_folders};
use crate::arguments::{Connector, Global};
use crate::client::block_on;
use crate::output::{Failure, bold, dim, green, table, yellow};

/// Runs a subcommand.
pub fn run(global: &Global, connector: &Connector) -> anyhow::Result<()> {
    match connector {
        Connector::List { own } => list(global, &catalogue(own.connectors.as_deref(), None)?),
        Connector::New { key, own } => new(key, own.connectors.as_deref().unwrap_or(Path::new("connectors"))),
        Connector::Check { key, own } => check(global, key.as_deref(), own.connectors.as_deref()),
        Connector::Test { key, own } => test(global, key.as_deref(), own.connectors.as_deref()),
        Connector::Preview { key, settings, messages, country, show_secrets, at, own } => {
            let connector = find(key, own.connectors.as_deref())?;
            let given = settings.as_deref().map(read_map).transpose()?.unwrap_or_default().0;
            let secrets = if *show_secrets { Secrets::Shown } else { Secrets::Masked };
            let now = match at {
                Some(text) => {
                    Timestamp::parse(text).ok_or_else(|| Failure::refused(format!("--at: {text:?} is not an instant")))?
                }
                None => Timestamp::now(),
            };
            preview(global, &connector, given, &read_messages(messages)?, country, secrets, now)
        }
        Connector::Try { key, settings, base_url, own } => {
            let connector = find(key, own.connectors.as_deref())?;
            block_on(try_out(global, &connector, read_map(settings)?, base_url.as_deref()))
        }
        Connector::Schema { case } => {
            let schema = if *case { jumelle_connect::case_schema() } else { jumelle_connect::schema() };
            println!("{schema:#}");
            Ok(())
        }
        Connector::Reference => {
            print!("{}", reference(&Catalogue::built_in()));
            Ok(())
        }
    }
}

/// Folders that a command is about: one by key or path, or all of them.
fn chosen(key: Option<&str>, folder: Option<&Path>) -> anyhow::Result<BTreeMap<String, Files>> {
    if let Some(path) = key.map(Path::new).filter(|path| path.join("connector.yaml").is_file()) {
        let path = path.canonicalize()?;
        return Ok(BTreeMap::from([(key_of(&path), read_folder(&path)?)]));
    }
    let mut all = jumelle_connect::built_in_files();
    if let Some(folder) = folder {
        all.extend(read_folders(folder)?);
    }
    let Some(key) = key else { return Ok(all) };
    match all.remove(key) {
        Some(files) => Ok(BTreeMap::from([(key.to_owned(), files)])),
        None => Err(not_found(key)),
    }
}

fn not_found(key: &str) -> anyhow::Error {
    let message = match Path::new(key).is_dir() {
        true => format!("{key}: there is no connector.yaml in this folder; `jumelle connector new` writes one to begin with"),
        false => format!("there is no connector {key:?}, and no folder of this name; see `jumelle connector list`"),
    };
    Failure { code: 4, message, details: Value::Null }.into()
}

fn find(key: &str, folder: Option<&Path>) -> anyhow::Result<Arc<Loaded>> {
    let (key, files) = chosen(Some(key), folder)?.pop_first().ok_or_else(|| not_found(key))?;
    let connector = Loaded::load(&key, &files).map_err(|faults| Failure::refused(format!("{key}:\n{faults}")))?;
    Ok(Arc::new(connector))
}

fn strongest(connector: &Loaded) -> &'static str {
    use jumelle_connect::manifest::CheckedBy::{Documentation, OutsideSuite, PeerCode, RealServer, Unchecked, VendorLibrary};
    match connector.manifest.checked.iter().map(|checked| checked.by).min() {
        Some(RealServer) => "real server",
        Some(OutsideSuite) => "outside suite",
        Some(VendorLibrary) => "vendor's library",
        Some(Documentation) => "documentation",
        Some(PeerCode) => "peer code",
        Some(Unchecked) | None => "unchecked",
    }
}

fn list(global: &Global, catalogue: &Catalogue) -> anyhow::Result<()> {
    if global.json {
        let items: Vec<Value> = catalogue
            .all()
            .map(|connector| {
                let manifest = &connector.manifest;
                json!({
                    "key": manifest.connector, "name": manifest.name, "about": manifest.about, "kind": manifest.kind,
                    "checked": manifest.checked, "own": catalogue.is_own(&manifest.connector),
                })
            })
            .collect();
        println!("{:#}", Value::Array(items));
        return Ok(());
    }
    let row = |connector: &Arc<Loaded>| {
        let manifest = &connector.manifest;
        vec![manifest.connector.clone(), manifest.name.clone(), strongest(connector).to_owned(), manifest.about.en.clone()]
    };
    let rows: Vec<Vec<String>> = catalogue.all().map(row).collect();
    println!("{}", table(&["connector", "name", "checked by", "what it does"], &rows));
    Ok(())
}

fn check(global: &Global, key: Option<&str>, folder: Option<&Path>) -> anyhow::Result<()> {
    let mut faults: Map<String, Value> = Map::new();
    let mut lines = Vec::new();
    let chosen = chosen(key, folder)?;
    for (key, files) in &chosen {
        if let Err(found) = Loaded::load(key, files) {
            lines.extend(found.0.iter().map(|fault| format!("{key}: {fault}")));
            faults.insert(key.clone(), json!(found.0));
        }
    }
    if !faults.is_empty() {
        return Err(Failure { code: 3, message: lines.join("\n"), details: Value::Object(faults) }.into());
    }
    if global.json {
        println!("{:#}", json!({"checked": chosen.keys().collect::<Vec<_>>(), "faults": {}}));
    } else {
        println!("{} {}", green("holds:"), chosen.keys().cloned().collect::<Vec<_>>().join(", "));
    }
    Ok(())
}

fn test(global: &Global, key: Option<&str>, folder: Option<&Path>) -> anyhow::Result<()> {
    let mut results = Vec::new();
    for (key, files) in chosen(key, folder)? {
        let connector = Loaded::load(&key, &files).map_err(|faults| Failure::refused(format!("{key}:\n{faults}")))?;
        results.extend(run_cases(&Arc::new(connector)).into_iter().map(|result| (key.clone(), result)));
    }
    let failed = results.iter().filter(|(_, result)| result.difference.is_some()).count();
    if global.json {
        let items: Vec<Value> = results.iter().map(|(key, result)| json!({"connector": key, "result": result})).collect();
        println!("{:#}", json!({"cases": items, "failed": failed}));
    } else {
        for (key, result) in &results {
            match &result.difference {
                None => println!("{} {key}: {}", green("ok"), result.case),
                Some(difference) => println!("{} {key}: {}\n{difference}", yellow("differs"), result.case),
            }
        }
        println!("{}", bold(&format!("{} cases, {failed} differ", results.len())));
    }
    if failed > 0 {
        return Err(Failure { code: 1, message: format!("{failed} cases differ"), details: Value::Null }.into());
    }
    Ok(())
}

fn read_text(path: &Path) -> anyhow::Result<String> {
    if path == Path::new("-") {
        return std::io::read_to_string(std::io::stdin()).context("reading standard input");
    }
    std::fs::read_to_string(path).map_err(|error| Failure::refused(format!("{}: {error}", path.display())))
}

/// Settings, and whether private addresses are allowed beside them.
fn read_map(path: &Path) -> anyhow::Result<(Map<String, Value>, bool)> {
    let value = read_yaml(&read_text(path)?).map_err(|problems| Failure::refused(format!("{}: {problems}", path.display())))?;
    match value {
        Value::Object(mut map) => {
            // A whole destination is understood as well.
            let nested = map.remove("settings");
            let allow_private = map.get("allow_private") == Some(&Value::Bool(true));
            let of_every = ["connector", "allow_private", "concurrency", "country", "transfer", "base_url"];
            for name in of_every.into_iter().chain(["removal", "confirm_within", "retire", "inbound"]) {
                map.remove(name);
            }
            if let Some(Value::Object(nested)) = nested {
                map.extend(nested);
            }
            Ok((map, allow_private))
        }
        _ => Err(Failure::refused(format!("{}: settings are a map", path.display()))),
    }
}

/// One message, a list, or one per line.
fn read_messages(path: &Path) -> anyhow::Result<Vec<Value>> {
    let text = read_text(path)?;
    if let Ok(value) = serde_json::from_str::<Value>(&text) {
        return Ok(match value {
            Value::Array(items) => items,
            one => vec![one],
        });
    }
    let lines: Result<Vec<Value>, _> = text.lines().filter(|line| !line.trim().is_empty()).map(serde_json::from_str).collect();
    if let Ok(lines) = lines {
        return Ok(lines);
    }
    let value = read_yaml(&text).map_err(|problems| Failure::refused(format!("{}: {problems}", path.display())))?;
    Ok(match value {
        Value::Array(items) => items,
        one => vec![one],
    })
}

fn preview(
    global: &Global,
    connector: &Arc<Loaded>,
    given: Map<String, Value>,
    messages: &[Value],
    country: &str,
    secrets: Secrets,
    now: Timestamp,
) -> anyhow::Result<()> {
    // What is missing is shown as a placeholder; what is wrong is not.
    let faults: Vec<_> = jumelle_connect::settings::check(&connector.manifest, &given)
        .into_iter()
        .filter(|fault| given.contains_key(&fault.path))
        .collect();
    if !faults.is_empty() {
        let lines: Vec<String> = faults.iter().map(|fault| format!("settings.{fault}")).collect();
        return Err(Failure { code: 3, message: lines.join("\n"), details: json!(faults) }.into());
    }
    let given = given.into_iter().filter(|(_, value)| value.get("env").is_none()).collect();
    let settings = Settings::preview(&connector.manifest, given, country, secrets);
    let mut dropped = Vec::new();
    let mut rows: Vec<Row<Sample>> = Vec::new();
    for (nth, message) in messages.iter().enumerate() {
        let incoming: Incoming = serde_json::from_value(message.clone())
            .map_err(|error| Failure::refused(format!("messages[{nth}]: {error}; a message is as a webhook receives it")))?;
        let id = incoming.id.clone();
        match Row::sample(connector, nth, incoming, country) {
            Ok(row) => rows.push(row),
            Err(reason) => dropped.push(json!({"message": nth, "id": id, "reason": reason})),
        }
    }
    let (rows, overtaken) = last_of_each(rows);
    dropped.extend(
        overtaken.into_iter().map(|nth| json!({"message": nth, "reason": "a later message about the same person stands"})),
    );
    let moment = Moment { now, nonce: format!("{:032x}", rand::random::<u128>()) };
    let mut requests = Vec::new();
    for batch in batches(connector, rows) {
        let nths: Vec<usize> = batch.iter().map(|row| row.nth).collect();
        let op = batch[0].op.as_str();
        match jumelle_connect::preview(connector, batch, &settings, &moment) {
            Ok(sent) => requests.extend(sent.iter().map(|request| {
                let mut shown = request.to_json();
                shown["op"] = op.into();
                shown["messages"] = json!(nths);
                shown
            })),
            Err(error) => dropped.extend(nths.iter().map(|nth| json!({"message": nth, "op": op, "reason": error.to_string()}))),
        }
    }
    if global.json {
        println!("{:#}", json!({"connector": connector.manifest.connector, "requests": requests, "dropped": dropped}));
        return Ok(());
    }
    for request in &requests {
        println!("{} {}", bold(request["method"].as_str().unwrap_or_default()), request["url"].as_str().unwrap_or_default());
        for (name, value) in request["headers"].as_object().into_iter().flatten() {
            println!("{}", dim(&format!("{name}: {}", value.as_str().unwrap_or_default())));
        }
        match &request["body"] {
            Value::Null => println!(),
            Value::String(text) => println!("\n{text}\n"),
            body => println!("\n{body:#}\n"),
        }
    }
    for one in &dropped {
        println!("{} message {}: {}", yellow("nothing for"), one["message"], one["reason"].as_str().unwrap_or_default());
    }
    Ok(())
}

async fn try_out(
    global: &Global,
    connector: &Arc<Loaded>,
    (given, allow_private): (Map<String, Value>, bool),
    base: Option<&str>,
) -> anyhow::Result<()> {
    let faults = jumelle_connect::settings::check(&connector.manifest, &given);
    if !faults.is_empty() {
        let lines: Vec<String> = faults.iter().map(|fault| format!("settings.{fault}")).collect();
        return Err(Failure { code: 3, message: lines.join("\n"), details: json!(faults) }.into());
    }
    let mut read = Map::new();
    for (name, value) in given {
        let value = match secrets::of_setting(&value) {
            Some(Secret::Sealed(_)) => {
                let message = format!("settings.{name} is sealed, and only the server opens it: write {{env: NAME}} here");
                return Err(Failure::refused(message));
            }
            Some(secret) => {
                let read = secrets::read(&secret, &connector.manifest.connector);
                read.map_err(|error| Failure::refused(format!("settings.{name}: {error}")))?.into()
            }
            None => value,
        };
        read.insert(name, value);
    }
    let settings = Settings::new(&connector.manifest, read, "FR");
    let transport = Transport::new(base, allow_private || base.is_some()).map_err(anyhow::Error::msg)?;
    let name = &connector.manifest.name;
    match test_connector(connector, &settings, &transport).await {
        Trial::Ok { status } => {
            let message = format!("{name} answers {status}: the settings are right");
            println!("{}", if global.json { json!({"ok": true, "status": status}).to_string() } else { green(&message) });
            Ok(())
        }
        Trial::NoTest { said } => {
            println!("{}", if global.json { json!({"ok": true, "note": said}).to_string() } else { said });
            Ok(())
        }
        Trial::Refused { status: Some(status), said } => Err(Failure::refused(format!("{name} answers {status}: {said}"))),
        Trial::Refused { status: None, said } | Trial::Unusable { said } => Err(Failure::refused(said)),
        Trial::Away { said } => Err(anyhow::anyhow!("{name} does not answer: {said}")),
    }
}

/// A folder that passes `check` and `test`, to be changed step by step.
fn new(key: &str, folder: &Path) -> anyhow::Result<()> {
    let is_key = key.starts_with(|c: char| c.is_ascii_lowercase())
        && key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if !is_key {
        return Err(Failure::refused(format!("{key:?} is not a key: small letters, digits and dashes")));
    }
    let path = folder.join(key);
    if path.exists() {
        return Err(Failure::refused(format!("{} is there already", path.display())));
    }
    std::fs::create_dir_all(path.join("cases"))?;
    let files = [
        ("connector.yaml", include_str!("connector/connector.yaml")),
        ("README.md", include_str!("connector/README.md")),
        ("icon.svg", include_str!("connector/icon.svg")),
        ("cases/contacts.yaml", include_str!("connector/cases.yaml")),
    ];
    for (name, text) in files {
        let file = path.join(name);
        std::fs::write(&file, text.replace("NEW_KEY", key)).with_context(|| format!("writing {}", file.display()))?;
    }
    println!("{}", path.display());
    println!("{}", dim(&format!("next: jumelle connector check {0} && jumelle connector test {0}", path.display())));
    Ok(())
}

/// `docs/connectors.md`
fn reference(catalogue: &Catalogue) -> String {
    let mut text = String::from(
        "# Connectors\n\nGenerated from the folders in `connectors/` by `make docs`. *Checked by* is the strongest of what each folder \
         cites: **outside suite** compares requests with another implementation, **vendor's library** and **documentation** were read, \
         **peer code** is another project's. None has been run against a paid account of the tool unless it says *real server*.\n\n\
         | connector | tool | checked by | people a request | removal | consent told |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    for connector in catalogue.all() {
        let manifest = &connector.manifest;
        let removal = match (&manifest.removal.mode, &manifest.removal.longest_delay) {
            (jumelle_connect::manifest::RemovalMode::Row, Some(delay)) => format!("by request, ≤ {delay}"),
            (_, Some(delay)) => format!("≤ {delay}"),
            _ => "none".into(),
        };
        let consent = if manifest.consent.fields.is_empty() { "no field; says why" } else { "from the gate" };
        text.push_str(&format!(
            "| [`{}`](#{}) | {} | {} | {} | {removal} | {consent} |\n",
            manifest.connector,
            manifest.connector,
            manifest.name,
            strongest(connector),
            manifest.batch.rows,
        ));
    }
    for connector in catalogue.all() {
        let manifest = &connector.manifest;
        text.push_str(&format!("\n## {}\n\n{}: {}\n\n", manifest.connector, manifest.name, manifest.about.en));
        for (name, setting) in &manifest.settings {
            let secret = if setting.secret { ", secret" } else { "" };
            let required = if setting.required { ", required" } else { "" };
            text.push_str(&format!("- `{name}`: {}{required}{secret}\n", setting.label.en));
        }
        let fields: Vec<String> = connector.reads().into_iter().map(|field| format!("`{field}`")).collect();
        if !fields.is_empty() {
            let needs = manifest.require.as_ref().map(|require| format!("; needs `{require}`")).unwrap_or_default();
            text.push_str(&format!("- reads from `map`: {}{needs}\n", fields.join(", ")));
        }
        if let Some(reason) = &manifest.consent.none {
            text.push_str(&format!("- no consent field: {reason}\n"));
        }
        if let Some(reason) = &manifest.removal.reason {
            text.push_str(&format!("- removal: {reason}\n"));
        }
        for op in [jumelle_connect::OpName::Remove, jumelle_connect::OpName::Erase] {
            if let Some(reason) = connector.sends_nothing(op) {
                text.push_str(&format!("- {}: {reason}\n", op.as_str()));
            }
        }
        for checked in &manifest.checked {
            let by = json!(checked.by).as_str().unwrap_or_default().replace('_', " ");
            let note = checked.note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
            text.push_str(&format!("- {by}, {}: {}{note}\n", checked.on, checked.source));
        }
    }
    text
}
