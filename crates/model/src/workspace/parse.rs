//! `workspace.yaml` → [`Workspace`]: all problems at once, each with line, column, path, and what would be right.

mod rule;

use std::fmt;

use serde::Serialize;

use super::yaml::{Key, Node, Value, read};
use super::*;
use crate::time::Timestamp;

/// Problems reported at once, at most.
pub const PROBLEMS_MAX: usize = 100;

/// One thing that does not hold.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Problem {
    /// From 1.
    pub line: usize,
    /// From 1.
    pub column: usize,
    /// `segments.sneakers.rule.all[1].within`
    pub path: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// Everything that does not hold.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.line, self.column)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.0.iter().enumerate() {
            if n > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Collects problems while reading.
pub(super) struct Reader {
    problems: Vec<Problem>,
}

impl Reader {
    fn report(&mut self, (line, column): (usize, usize), path: &str, message: impl Into<String>) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(Problem { line, column, path: path.to_owned(), message: message.into() });
        }
    }

    fn at(&mut self, node: &Node, path: &str, message: impl Into<String>) {
        self.report((node.line, node.column), path, message);
    }

    /// The entries of a map; anything else is a problem.
    fn map<'n>(&mut self, node: &'n Node, path: &str) -> &'n [(Key, Node)] {
        match &node.value {
            Value::Map(entries) => entries,
            Value::Null => &[],
            _ => {
                self.at(node, path, format!("a map is expected here, not {}", node.kind()));
                &[]
            }
        }
    }

    fn list<'n>(&mut self, node: &'n Node, path: &str) -> &'n [Node] {
        match &node.value {
            Value::List(items) => items,
            _ => {
                self.at(node, path, format!("a list is expected here, not {}", node.kind()));
                &[]
            }
        }
    }

    fn text(&mut self, node: &Node, path: &str) -> Option<String> {
        match &node.value {
            Value::Text(text) | Value::Number(text) => Some(text.clone()),
            _ => {
                self.at(node, path, format!("a text is expected here, not {}", node.kind()));
                None
            }
        }
    }

    fn flag(&mut self, node: &Node, path: &str) -> Option<bool> {
        match node.value {
            Value::Bool(flag) => Some(flag),
            _ => {
                self.at(node, path, format!("true or false is expected here, not {}", node.kind()));
                None
            }
        }
    }

    fn integer(&mut self, node: &Node, path: &str, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
        let number = match &node.value {
            Value::Number(text) => text.parse::<i64>().ok(),
            _ => None,
        };
        if number.is_none_or(|number| !range.contains(&number)) {
            self.at(node, path, format!("a whole number from {} to {} is expected here", range.start(), range.end()));
            return None;
        }
        number
    }

    /// One of a closed set of words.
    fn choice<T: Copy>(&mut self, node: &Node, path: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(node, path)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.at(node, path, format!("{text:?} is not one of {}{}", known.join(", "), suggestion(&text, &known)));
        }
        found
    }

    /// Reports keys that nobody knows.
    fn only(&mut self, entries: &[(Key, Node)], path: &str, known: &[&str]) {
        for (key, _) in entries {
            if !known.contains(&key.text.as_str()) {
                let message =
                    format!("there is no {:?} here; there are {}{}", key.text, known.join(", "), suggestion(&key.text, known));
                self.report((key.line, key.column), &join(path, &key.text), message);
            }
        }
    }

    /// A key of a definition: lower-case letters, digits and underscores.
    fn key(&mut self, key: &Key, path: &str) {
        let text = &key.text;
        let well_formed = text.len() <= 64
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if !well_formed {
            self.report(
                (key.line, key.column),
                path,
                format!("the key {text:?} may have lower-case letters, digits and _ only, a letter first, 64 at most"),
            );
        }
    }
}

fn get<'n>(entries: &'n [(Key, Node)], key: &str) -> Option<&'n Node> {
    entries.iter().find(|(found, _)| found.text == key).map(|(_, node)| node)
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// ` — did you mean …?` when a known word is near.
fn suggestion(text: &str, known: &[&str]) -> String {
    let near = known.iter().map(|word| (distance(text, word), word)).min();
    match near {
        Some((distance, word)) if distance <= 2 && distance < word.len() => format!("; did you mean {word}?"),
        _ => String::new(),
    }
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let next = (diagonal + usize::from(ca != *cb)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], next);
        }
    }
    row[b.len()]
}

impl Workspace {
    /// Nothing defined but the default namespaces: what a fresh directory starts with.
    pub fn empty() -> Workspace {
        Workspace {
            settings: default_settings(),
            sources: Vec::new(),
            identifiers: default_identifiers(),
            purposes: Vec::new(),
            traits: Vec::new(),
            segments: Vec::new(),
            destinations: Vec::new(),
            activations: Vec::new(),
        }
    }

    /// Reads and validates a whole `workspace.yaml` (or the same as JSON). Reports up to [`PROBLEMS_MAX`] problems.
    pub fn parse(text: &str) -> Result<Workspace, Problems> {
        let root = read(text)?;
        let mut reader = Reader { problems: Vec::new() };
        let workspace = workspace(&mut reader, &root);
        if reader.problems.is_empty() { Ok(workspace) } else { Err(Problems(reader.problems)) }
    }
}

fn default_settings() -> Settings {
    Settings {
        key: "default".into(),
        locale: "en".into(),
        timezone: "UTC".into(),
        country: "GB".into(),
        currency: Currency::EUR,
        rates: Vec::new(),
    }
}

fn default_identifiers() -> Vec<NamespaceRule> {
    [("user_id", 1), ("email", 5), ("phone", 5), ("anonymous_id", 500)]
        .into_iter()
        .map(|(key, limit)| NamespaceRule { key: key.into(), limit, normalize: default_normalizer(key), block: Vec::new() })
        .collect()
}

fn default_normalizer(namespace: &str) -> Normalizer {
    match namespace {
        "email" => Normalizer::Email,
        "phone" => Normalizer::E164,
        _ => Normalizer::Trim,
    }
}

fn workspace(reader: &mut Reader, root: &Node) -> Workspace {
    let entries = reader.map(root, "");
    let known = ["workspace", "sources", "identifiers", "purposes", "traits", "segments", "destinations", "activations"];
    reader.only(entries, "", &known);
    let mut found = Workspace::empty();
    if let Some(node) = get(entries, "workspace") {
        found.settings = settings(reader, node);
    }
    if let Some(node) = get(entries, "sources") {
        found.sources = each(reader, node, "sources", source);
        let mut keys: Vec<&str> = Vec::new();
        for source in &found.sources {
            if let Some(write_key) = &source.write_key {
                if keys.contains(&write_key.as_str()) {
                    reader.at(node, &format!("sources.{}.write_key", source.key), "another source has the same write key");
                }
                keys.push(write_key);
            }
        }
    }
    if let Some(node) = get(entries, "identifiers") {
        found.identifiers = each(reader, node, "identifiers", namespace);
    }
    if let Some(node) = get(entries, "purposes") {
        found.purposes = each(reader, node, "purposes", purpose);
    }
    if let Some(node) = get(entries, "traits") {
        found.traits = each(reader, node, "traits", |reader, key, node, path| {
            let (label, rest) = label_and_rest(reader, node, path);
            let query = rule::computed(reader, node, &rest, path)?;
            Some(ComputedTrait { key: key.to_owned(), label, query })
        });
    }
    if let Some(node) = get(entries, "segments") {
        let rules = rule::Rules::new(reader.map(node, "segments"), &found);
        found.segments = each(reader, node, "segments", |reader, key, node, path| {
            let entries = reader.map(node, path);
            reader.only(entries, path, &["label", "rule"]);
            let label = get(entries, "label").map(|node| label(reader, node, &join(path, "label"))).unwrap_or_default();
            let Some(rule) = get(entries, "rule") else {
                reader.at(node, path, "a segment has a rule");
                return None;
            };
            let rule = rules.segment(reader, key, rule, &join(path, "rule"))?;
            Some(Segment { key: key.to_owned(), label, rule })
        });
    }
    if let Some(node) = get(entries, "destinations") {
        found.destinations = each(reader, node, "destinations", destination);
    }
    if let Some(node) = get(entries, "activations") {
        let segments: Vec<String> = get(entries, "segments")
            .map(|node| reader.map(node, "segments").iter().map(|(key, _)| key.text.clone()).collect())
            .unwrap_or_default();
        let context = found.clone();
        found.activations =
            each(reader, node, "activations", |reader, key, node, path| activation(reader, &context, &segments, key, node, path));
    }
    found
}

/// Reads each entry of a collection.
fn each<T>(
    reader: &mut Reader,
    node: &Node,
    path: &str,
    mut read: impl FnMut(&mut Reader, &str, &Node, &str) -> Option<T>,
) -> Vec<T> {
    let mut items = Vec::new();
    for (key, node) in reader.map(node, path) {
        let path = join(path, &key.text);
        reader.key(key, &path);
        items.extend(read(reader, &key.text, node, &path));
    }
    items
}

fn settings(reader: &mut Reader, node: &Node) -> Settings {
    let entries = reader.map(node, "workspace");
    reader.only(entries, "workspace", &["key", "locale", "timezone", "country", "currency", "rates"]);
    let mut settings = default_settings();
    let mut country_given = false;
    for (key, node) in entries {
        let path = join("workspace", &key.text);
        match key.text.as_str() {
            "key" => {
                if let Some(text) = reader.text(node, &path) {
                    settings.key = text;
                }
            }
            "locale" => {
                if let Some(locale) = reader.choice(node, &path, &[("fr", "fr"), ("en", "en")]) {
                    settings.locale = locale.to_owned();
                }
            }
            "timezone" => {
                if let Some(text) = reader.text(node, &path) {
                    if jiff::tz::TimeZone::get(&text).is_err() {
                        reader.at(node, &path, format!("{text:?} is not a time zone; write an IANA name such as Europe/Paris"));
                    }
                    settings.timezone = text;
                }
            }
            "country" => {
                if let Some(text) = reader.text(node, &path) {
                    country_given = true;
                    if text.parse::<phonenumber::country::Id>().is_err() {
                        reader.at(node, &path, format!("{text:?} is not a country; write two letters such as FR"));
                    }
                    settings.country = text;
                }
            }
            "currency" => settings.currency = currency(reader, node, &path).unwrap_or(settings.currency),
            "rates" => settings.rates = rates(reader, node, &path),
            _ => {}
        }
    }
    if !country_given {
        settings.country = if settings.locale == "fr" { "FR".into() } else { "GB".into() };
    }
    settings
}

fn currency(reader: &mut Reader, node: &Node, path: &str) -> Option<Currency> {
    let text = reader.text(node, path)?;
    let currency = Currency::parse(&text);
    if currency.is_none() {
        reader.at(node, path, format!("{text:?} is not a currency; write three letters such as EUR"));
    }
    currency
}

fn rates(reader: &mut Reader, node: &Node, path: &str) -> Vec<ExchangeRate> {
    let mut rates = Vec::new();
    for (key, list) in reader.map(node, path) {
        let path = join(path, &key.text);
        let Some(other) = Currency::parse(&key.text) else {
            reader.report(
                (key.line, key.column),
                &path,
                format!("{:?} is not a currency; write three letters such as GBP", key.text),
            );
            continue;
        };
        for (n, entry) in reader.list(list, &path).iter().enumerate() {
            let path = format!("{path}[{n}]");
            let entries = reader.map(entry, &path);
            reader.only(entries, &path, &["from", "rate"]);
            let from = get(entries, "from").and_then(|node| instant(reader, node, &join(&path, "from")));
            let rate = get(entries, "rate").and_then(|node| match &node.value {
                Value::Number(text) => Decimal::parse(text).filter(|rate| rate.0 > 0),
                _ => None,
            });
            match (from, rate) {
                (Some(from), Some(rate)) => rates.push(ExchangeRate { currency: other, from, rate }),
                _ => reader.at(entry, &path, "a rate is {from: 2011-01-01, rate: 1.17}"),
            }
        }
    }
    rates.sort_by_key(|rate| (rate.currency, rate.from));
    rates
}

fn instant(reader: &mut Reader, node: &Node, path: &str) -> Option<Timestamp> {
    let text = reader.text(node, path)?;
    let at = Timestamp::parse(&text);
    if at.is_none() {
        reader.at(node, path, format!("{text:?} is not an instant; write 2026-01-01T00:00:00Z"));
    }
    at
}

fn source(reader: &mut Reader, key: &str, node: &Node, path: &str) -> Option<Source> {
    let entries = reader.map(node, path);
    reader.only(entries, path, &["kind", "write_key", "vocabulary"]);
    let Some(kind) = get(entries, "kind") else {
        reader.at(node, path, "a source has a kind: web, app, server or file");
        return None;
    };
    let words = [("web", SourceKind::Web), ("app", SourceKind::App), ("server", SourceKind::Server), ("file", SourceKind::File)];
    let kind = reader.choice(kind, &join(path, "kind"), &words)?;
    let write_key = get(entries, "write_key").and_then(|node| {
        let path = join(path, "write_key");
        let text = reader.text(node, &path)?;
        if text.is_empty() || text.len() > 128 || text.contains(|c: char| c.is_whitespace() || c == ':') {
            reader.at(node, &path, "a write key has 1 to 128 characters, no space and no colon");
        }
        Some(text)
    });
    if write_key.is_none() && kind != SourceKind::File {
        reader.at(node, path, "a source that is not a file has a write_key");
    }
    let vocabulary = get(entries, "vocabulary")
        .and_then(|node| {
            reader.choice(node, &join(path, "vocabulary"), &[("segment", Vocabulary::Segment), ("ga4", Vocabulary::Ga4)])
        })
        .unwrap_or(Vocabulary::Segment);
    Some(Source { key: key.to_owned(), kind, write_key, vocabulary })
}

fn namespace(reader: &mut Reader, key: &str, node: &Node, path: &str) -> Option<NamespaceRule> {
    let entries = reader.map(node, path);
    reader.only(entries, path, &["limit", "normalize", "block"]);
    let limit = get(entries, "limit").and_then(|node| reader.integer(node, &join(path, "limit"), 1..=10_000)).unwrap_or(100);
    let words = [
        ("trim", Normalizer::Trim),
        ("lowercase", Normalizer::Lowercase),
        ("email", Normalizer::Email),
        ("e164", Normalizer::E164),
    ];
    let normalize = get(entries, "normalize")
        .and_then(|node| reader.choice(node, &join(path, "normalize"), &words))
        .unwrap_or_else(|| default_normalizer(key));
    let mut block = Vec::new();
    if let Some(node) = get(entries, "block") {
        let path = join(path, "block");
        for (n, item) in reader.list(node, &path).iter().enumerate() {
            block.extend(reader.text(item, &format!("{path}[{n}]")));
        }
    }
    Some(NamespaceRule { key: key.to_owned(), limit: limit as u32, normalize, block })
}

fn purpose(reader: &mut Reader, key: &str, node: &Node, path: &str) -> Option<Purpose> {
    let entries = reader.map(node, path);
    reader.only(entries, path, &["basis", "tcf"]);
    let Some(basis) = get(entries, "basis") else {
        reader.at(node, path, "a purpose has a basis: consent, contract or legitimate_interest");
        return None;
    };
    let words = [("consent", Basis::Consent), ("contract", Basis::Contract), ("legitimate_interest", Basis::LegitimateInterest)];
    let basis = reader.choice(basis, &join(path, "basis"), &words)?;
    let mut tcf = Vec::new();
    if let Some(node) = get(entries, "tcf") {
        let path = join(path, "tcf");
        for (n, item) in reader.list(node, &path).iter().enumerate() {
            tcf.extend(reader.integer(item, &format!("{path}[{n}]"), 1..=24).map(|id| id as u8));
        }
    }
    Some(Purpose { key: key.to_owned(), basis, tcf })
}

fn label(reader: &mut Reader, node: &Node, path: &str) -> Label {
    if let Value::Text(text) = &node.value {
        return Label { fr: Some(text.clone()), en: Some(text.clone()) };
    }
    let entries = reader.map(node, path);
    reader.only(entries, path, &["fr", "en"]);
    let mut of = |language: &str| get(entries, language).and_then(|node| reader.text(node, &join(path, language)));
    Label { fr: of("fr"), en: of("en") }
}

fn label_and_rest(reader: &mut Reader, node: &Node, path: &str) -> (Label, Vec<(Key, Node)>) {
    let entries = reader.map(node, path);
    let label = get(entries, "label").map(|node| label(reader, node, &join(path, "label"))).unwrap_or_default();
    (label, entries.iter().filter(|(key, _)| key.text != "label").cloned().collect())
}

fn destination(reader: &mut Reader, key: &str, node: &Node, path: &str) -> Option<Destination> {
    let entries = reader.map(node, path);
    reader.only(entries, path, &["connector", "url", "secret", "allow_private", "concurrency"]);
    let Some(connector) = get(entries, "connector") else {
        reader.at(node, path, "a destination has a connector: webhook");
        return None;
    };
    let connector = reader.choice(connector, &join(path, "connector"), &[("webhook", "webhook")])?;
    let Some(url_node) = get(entries, "url") else {
        reader.at(node, path, "a webhook has a url");
        return None;
    };
    let url_path = join(path, "url");
    let url = reader.text(url_node, &url_path)?;
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    if host.is_none_or(|rest| rest.is_empty() || rest.starts_with('/') || url.contains(char::is_whitespace)) {
        reader.at(url_node, &url_path, format!("{url:?} is not a web address; write https://host/path"));
    } else if host.and_then(|rest| rest.split('/').next()).is_some_and(|authority| authority.contains('@')) {
        reader.at(url_node, &url_path, "a password does not belong in a url; use secret");
    }
    let secret = get(entries, "secret").and_then(|node| secret(reader, node, &join(path, "secret")));
    let allow_private =
        get(entries, "allow_private").and_then(|node| reader.flag(node, &join(path, "allow_private"))).unwrap_or(false);
    let concurrency =
        get(entries, "concurrency").and_then(|node| reader.integer(node, &join(path, "concurrency"), 1..=256)).unwrap_or(8);
    Some(Destination {
        key: key.to_owned(),
        connector: connector.to_owned(),
        url,
        secret,
        allow_private,
        concurrency: concurrency as u32,
    })
}

fn secret(reader: &mut Reader, node: &Node, path: &str) -> Option<Secret> {
    match &node.value {
        Value::Text(text) => {
            if text.len() < 16 {
                reader.at(node, path, "a secret has 16 bytes at least; better {env: NAME}, which keeps it out of the file");
            }
            Some(Secret::Plain(text.clone()))
        }
        Value::Map(entries) => {
            reader.only(entries, path, &["env"]);
            let name = get(entries, "env").and_then(|node| reader.text(node, &join(path, "env")));
            if name.is_none() {
                reader.at(node, path, "a secret is {env: NAME}");
            }
            name.map(Secret::Env)
        }
        _ => {
            reader.at(node, path, "a secret is {env: NAME} or a text");
            None
        }
    }
}

fn activation(
    reader: &mut Reader,
    workspace: &Workspace,
    segments: &[String],
    key: &str,
    node: &Node,
    path: &str,
) -> Option<Activation> {
    let entries = reader.map(node, path);
    reader.only(entries, path, &["segment", "destination", "purpose", "channel", "initial", "map"]);
    let destinations: Vec<String> = workspace.destinations.iter().map(|item| item.key.clone()).collect();
    let purposes: Vec<String> = workspace.purposes.iter().map(|item| item.key.clone()).collect();
    let mut reference = |field: &str, known: &[String]| -> Option<String> {
        let path = join(path, field);
        let Some(found) = get(entries, field) else {
            reader.at(node, &path, format!("an activation names its {field}"));
            return None;
        };
        let text = reader.text(found, &path)?;
        if !known.contains(&text) {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let there = if known.is_empty() { "there is none".to_owned() } else { format!("there are {}", known.join(", ")) };
            reader.at(found, &path, format!("there is no {field} {text:?}; {there}{}", suggestion(&text, &known)));
        }
        Some(text)
    };
    let segment = reference("segment", segments);
    let destination = reference("destination", &destinations);
    let purpose = reference("purpose", &purposes);
    let channels: Vec<(&str, Channel)> = Channel::ALL.iter().map(|channel| (channel.as_str(), *channel)).collect();
    let channel = match get(entries, "channel") {
        Some(node) => reader.choice(node, &join(path, "channel"), &channels),
        None => {
            reader.at(node, &join(path, "channel"), "an activation names its channel");
            None
        }
    };
    let initial = get(entries, "initial")
        .and_then(|node| reader.choice(node, &join(path, "initial"), &[("send", Initial::Send), ("skip", Initial::Skip)]))
        .unwrap_or(Initial::Skip);
    let mut map = Vec::new();
    if let Some(node) = get(entries, "map") {
        let path = join(path, "map");
        for (field, source) in reader.map(node, &path) {
            let path = join(&path, &field.text);
            let Some(text) = reader.text(source, &path) else { continue };
            if let Some(found) = field_path(reader, workspace, source, &path, &text) {
                map.push((field.text.clone(), found));
            }
        }
    }
    Some(Activation {
        key: key.to_owned(),
        segment: segment?,
        destination: destination?,
        purpose: purpose?,
        channel: channel?,
        initial,
        map,
    })
}

fn field_path(reader: &mut Reader, workspace: &Workspace, node: &Node, path: &str, text: &str) -> Option<FieldPath> {
    match text.split_once('.') {
        Some(("identifiers", namespace)) => {
            if workspace.namespace(namespace).is_none() {
                let known: Vec<&str> = workspace.identifiers.iter().map(|rule| rule.key.as_str()).collect();
                reader.at(
                    node,
                    path,
                    format!(
                        "there is no namespace {namespace:?}; there are {}{}",
                        known.join(", "),
                        suggestion(namespace, &known)
                    ),
                );
            }
            Some(FieldPath::Identifier(namespace.to_owned()))
        }
        Some(("traits", trait_path)) if !trait_path.is_empty() => Some(FieldPath::Trait(trait_path.to_owned())),
        Some(("computed", key)) => {
            if workspace.computed(key).is_none() {
                let known: Vec<&str> = workspace.traits.iter().map(|item| item.key.as_str()).collect();
                reader.at(node, path, format!("there is no computed trait {key:?}{}", suggestion(key, &known)));
            }
            Some(FieldPath::Computed(key.to_owned()))
        }
        _ => {
            reader.at(node, path, format!("{text:?} is not a field; write identifiers.email, traits.city or computed.orders"));
            None
        }
    }
}
