//! The definitions, one function for each collection.

use super::Reader;
use super::policy;
use super::reduce::reduce;
use super::rule;
use super::rule::Rules;
use super::set_aside::set_aside;
use super::take_back;
use crate::consent::{Basis, Channel};
use crate::workspace::ConsentString;
use crate::workspace::node::{Key, Node, Value, get, join};
use crate::workspace::policy::prospects::{LAPSED, LAPSING};
use crate::workspace::policy::retention::RETENTION_OVER;
use crate::workspace::text::node_to_json;
use crate::workspace::{
    Activation, ComputedTrait, Destination, FieldPath, Heard, Initial, Label, NamespaceRule, Normalizer, Purpose, SEALED_PREFIX,
    Secret, Segment, Source, SourceKind, Vocabulary,
};

/// Patterns of blocked values in one namespace, at most.
const BLOCK_MAX: usize = 1_000;
/// Bytes of a url, at most.
const URL_BYTES_MAX: usize = 2_048;
/// Bytes of a secret, at least.
const SECRET_BYTES_MIN: usize = 16;
/// Fields of one activation, at most.
const MAP_FIELDS_MAX: usize = 100;
/// The types of Google Consent Mode v2.
const GCM_TYPES: [&str; 7] = [
    "ad_storage",
    "ad_user_data",
    "ad_personalization",
    "analytics_storage",
    "functionality_storage",
    "personalization_storage",
    "security_storage",
];
/// How a secret is shown in place of its text.
pub const SECRET_SHOWN: &str = "…";

/// What definitions may name: the keys of the collections, as they are written.
pub struct Known<'n> {
    pub segments: Vec<&'n str>,
    pub destinations: Vec<&'n str>,
    pub purposes: Vec<&'n str>,
    pub traits: Vec<&'n str>,
    pub namespaces: Vec<&'n str>,
    /// The policy has a clock for prospects.
    pub has_prospects: bool,
    /// Purposes that say how long they keep people.
    pub retained: Vec<&'n str>,
}

impl<'n> Known<'n> {
    pub fn of(entries: &'n [(Key, Node)]) -> Known<'n> {
        let keys = |collection| match get(entries, collection) {
            Some(Node { value: Value::Map(items), .. }) => items.iter().map(|(key, _)| key.text.as_str()).collect(),
            _ => Vec::new(),
        };
        let namespaces = match get(entries, "identifiers") {
            Some(_) => keys("identifiers"),
            None => DEFAULT_NAMESPACES.iter().map(|(key, _)| *key).collect(),
        };
        let has = |node: Option<&Node>, key| matches!(node, Some(Node { value: Value::Map(map), .. }) if get(map, key).is_some());
        let policy = get(entries, "policy");
        let (has_prospects, has_retention) = (has(policy, "prospects"), has(policy, "retention"));
        let built_in = [(has_prospects, LAPSING), (has_prospects, LAPSED), (has_retention, RETENTION_OVER)];
        let built_in = built_in.into_iter().filter_map(|(is_there, key)| is_there.then_some(key));
        let retained = match get(entries, "purposes") {
            Some(Node { value: Value::Map(purposes), .. }) => {
                purposes.iter().filter(|(_, purpose)| has(Some(purpose), "retention")).map(|(key, _)| key.text.as_str()).collect()
            }
            _ => Vec::new(),
        };
        Known {
            has_prospects,
            retained,
            segments: keys("segments").into_iter().chain(built_in).collect(),
            destinations: keys("destinations"),
            purposes: keys("purposes"),
            traits: keys("traits"),
            namespaces,
        }
    }
}

const DEFAULT_NAMESPACES: [(&str, u32); 4] = [("user_id", 1), ("email", 5), ("phone", 5), ("anonymous_id", 500)];

pub fn default_identifiers() -> Vec<NamespaceRule> {
    DEFAULT_NAMESPACES
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

pub fn sources(reader: &mut Reader, known: &Known<'_>, node: &Node) -> Vec<Source> {
    let mut write_keys: Vec<(String, String)> = Vec::new();
    reader.each(node, "sources", |reader, key, node, path| {
        let source = source(reader, known, key, node, path)?;
        if let Some(write_key) = &source.write_key {
            match write_keys.iter().find(|(other, _)| other == write_key) {
                Some((_, other)) => {
                    let message = format!("the source {other} has the same write key; each source has its own");
                    let place = reader.map(node, path).and_then(|entries| get(entries, "write_key")).unwrap_or(node);
                    reader.at(place, &join(path, "write_key"), message);
                }
                None => write_keys.push((write_key.clone(), key.to_owned())),
            }
        }
        Some(source)
    })
}

fn source(reader: &mut Reader, known: &Known<'_>, key: &str, node: &Node, path: &str) -> Option<Source> {
    let entries = reader.map(node, path)?;
    reader.only(entries, path, &["kind", "write_key", "vocabulary", "consents", "requires", "set_aside", "reduce"]);
    let words = [("web", SourceKind::Web), ("app", SourceKind::App), ("server", SourceKind::Server), ("file", SourceKind::File)];
    let kind = match get(entries, "kind") {
        Some(kind) => reader.choice(kind, &join(path, "kind"), &words),
        None => {
            reader.at(node, path, "a source has a kind: web, app, server or file");
            None
        }
    };
    let write_key = get(entries, "write_key").and_then(|node| {
        let path = join(path, "write_key");
        let text = reader.text(node, &path)?;
        if text.is_empty() || text.len() > 128 || text.contains(|c: char| c.is_whitespace() || c.is_control() || c == ':') {
            reader.at(node, &path, "a write key has 1 to 128 characters, no space and no colon");
        }
        Some(text)
    });
    if get(entries, "write_key").is_none() && kind.is_some_and(|kind| kind != SourceKind::File) {
        reader.at(node, path, "a source that is not a file has a write_key");
    }
    let words = [("segment", Vocabulary::Segment), ("ga4", Vocabulary::Ga4)];
    let vocabulary = match get(entries, "vocabulary") {
        Some(node) => reader.choice(node, &join(path, "vocabulary"), &words),
        None => Some(Vocabulary::Segment),
    };
    let words = [("any", Heard::Any), ("choices", Heard::Choices), ("device", Heard::Device)];
    let consents = get(entries, "consents").and_then(|node| reader.choice(node, &join(path, "consents"), &words));
    let requires = get(entries, "requires").and_then(|node| {
        let path = join(path, "requires");
        if kind.is_some_and(|kind| kind != SourceKind::Web) {
            reader.at(node, &path, "only a source of kind web requires a purpose: its browser tag waits for it");
        }
        reader.reference(node, &path, "purpose", known.purposes.iter().copied())
    });
    let set_aside = get(entries, "set_aside").and_then(|node| {
        let path = join(path, "set_aside");
        if kind == Some(SourceKind::File) {
            reader.at(node, &path, "what a file holds is not set aside: it is imported on purpose");
        }
        set_aside(reader, node, &path)
    });
    let reduce = get(entries, "reduce").map(|node| reduce(reader, known, node, &join(path, "reduce"))).unwrap_or_default();
    Some(Source { key: key.to_owned(), kind: kind?, write_key, vocabulary: vocabulary?, consents, requires, set_aside, reduce })
}

pub fn namespace(reader: &mut Reader, key: &str, node: &Node, path: &str) -> Option<NamespaceRule> {
    let entries = reader.map(node, path)?;
    reader.only(entries, path, &["limit", "normalize", "block"]);
    let limit = match get(entries, "limit") {
        Some(node) => reader.integer(node, &join(path, "limit"), 1..=10_000),
        None => Some(100),
    };
    let words = [
        ("trim", Normalizer::Trim),
        ("lowercase", Normalizer::Lowercase),
        ("email", Normalizer::Email),
        ("e164", Normalizer::E164),
    ];
    let normalize = match get(entries, "normalize") {
        Some(node) => reader.choice(node, &join(path, "normalize"), &words),
        None => Some(default_normalizer(key)),
    };
    let mut block = Vec::new();
    if let Some(node) = get(entries, "block") {
        let path = join(path, "block");
        let items = reader.list(node, &path).unwrap_or_default();
        if items.len() > BLOCK_MAX {
            reader.at(node, &path, format!("a namespace blocks {BLOCK_MAX} patterns at most"));
        }
        for (n, item) in items.iter().enumerate() {
            block.extend(reader.name(item, &format!("{path}[{n}]")));
        }
    }
    Some(NamespaceRule { key: key.to_owned(), limit: limit?, normalize: normalize?, block })
}

pub fn purpose(reader: &mut Reader, known: &Known<'_>, key: &str, node: &Node, path: &str) -> Option<Purpose> {
    let entries = reader.map(node, path)?;
    reader.only(entries, path, &[&["basis", "tcf", "gcm", "gpc"], policy::TERMS.as_slice()].concat());
    let words = [
        ("consent", Basis::Consent),
        ("contract", Basis::Contract),
        ("legitimate_interest", Basis::LegitimateInterest),
        ("legal_obligation", Basis::LegalObligation),
        ("soft_opt_in", Basis::SoftOptIn),
    ];
    let basis = match get(entries, "basis") {
        Some(basis) => reader.choice(basis, &join(path, "basis"), &words),
        None => {
            reader.at(
                node,
                path,
                "a purpose has a basis: consent, contract, legitimate_interest, legal_obligation or soft_opt_in",
            );
            None
        }
    };
    let mut tcf = Vec::new();
    if let Some(node) = get(entries, "tcf") {
        let path = join(path, "tcf");
        for (n, item) in reader.list(node, &path).unwrap_or_default().iter().enumerate() {
            // 24 at most, so that it fits.
            tcf.extend(reader.integer(item, &format!("{path}[{n}]"), 1..=24).map(|id| id as u8));
        }
    }
    let mut gcm: Vec<String> = Vec::new();
    if let Some(node) = get(entries, "gcm") {
        let path = join(path, "gcm");
        let words = GCM_TYPES.map(|name| (name, name));
        for (n, item) in reader.list(node, &path).unwrap_or_default().iter().enumerate() {
            gcm.extend(reader.choice(item, &format!("{path}[{n}]"), &words).map(str::to_owned));
        }
    }
    let gpc = match get(entries, "gpc") {
        Some(node) => reader.flag(node, &join(path, "gpc")),
        None => Some(basis == Some(Basis::Consent)),
    };
    let terms = policy::terms(reader, known, entries, path);
    if basis == Some(Basis::SoftOptIn) && get(entries, "customer").is_none() {
        reader.at(
            node,
            path,
            "a soft opt-in names who is a customer: customer: {has: computed.orders, informed: traits.informed}",
        );
    }
    Some(Purpose { key: key.to_owned(), basis: basis?, tcf, gcm, gpc: gpc?, terms })
}

pub fn label(reader: &mut Reader, entries: &[(Key, Node)], path: &str) -> Label {
    let Some(node) = get(entries, "label") else { return Label::default() };
    let path = join(path, "label");
    match &node.value {
        Value::Text(text) | Value::Number(text) => Label { fr: Some(text.clone()), en: Some(text.clone()) },
        Value::Map(entries) => {
            reader.only(entries, &path, &["fr", "en"]);
            let mut of = |language: &str| get(entries, language).and_then(|node| reader.text(node, &join(&path, language)));
            Label { fr: of("fr"), en: of("en") }
        }
        _ => {
            reader.at(node, &path, format!("a label is a text or {{fr: …, en: …}}, not {}", node.kind()));
            Label::default()
        }
    }
}

pub fn computed_trait(reader: &mut Reader, key: &str, node: &Node, path: &str) -> Option<ComputedTrait> {
    let entries = reader.map(node, path)?;
    let label = label(reader, entries, path);
    let query = rule::computed(reader, node, entries, path)?;
    Some(ComputedTrait { key: key.to_owned(), label, query })
}

pub fn segment(reader: &mut Reader, rules: &mut Rules<'_>, key: &str, node: &Node, path: &str) -> Option<Segment> {
    let entries = reader.map(node, path)?;
    let comes_with = match key {
        LAPSING | LAPSED => Some("prospects"),
        RETENTION_OVER => Some("retention"),
        _ => None,
    };
    if let Some(part) = comes_with {
        reader.at(node, path, format!("{key} is the name of a segment that comes with policy.{part}; choose another"));
        return None;
    }
    reader.only(entries, path, &["label", "rule"]);
    let label = label(reader, entries, path);
    if get(entries, "rule").is_none() {
        reader.at(node, path, "a segment has a rule");
        return None;
    }
    Some(Segment { key: key.to_owned(), label, rule: rules.segment(reader, key)? })
}

/// What every destination of a declared connector may say; the rest are its settings.
const OF_EVERY_DESTINATION: [&str; 9] =
    ["connector", "settings", "base_url", "allow_private", "concurrency", "country", "transfer", "paused", "strings"];
/// Requests at once to a tool that says nothing else.
const CONCURRENCY_OF_A_TOOL: u32 = 2;

pub fn destination(reader: &mut Reader, key: &str, node: &Node, path: &str) -> Option<Destination> {
    let entries = reader.map(node, path)?;
    let connector = match get(entries, "connector") {
        Some(connector) => reader.name(connector, &join(path, "connector")),
        None => {
            reader.at(node, path, "a destination has a connector: webhook, file, or one of `jumelle connector list`");
            None
        }
    };
    if connector.as_deref() == Some("file") {
        return super::file::destination(reader, key, entries, node, path);
    }
    let is_webhook = connector.as_deref().is_none_or(|connector| connector == "webhook");
    let allow_private = match get(entries, "allow_private") {
        Some(node) => reader.flag(node, &join(path, "allow_private")),
        None => Some(false),
    };
    let mut settings = Vec::new();
    let url = if is_webhook {
        reader.only(
            entries,
            path,
            &[
                &["connector", "url", "secret", "allow_private", "concurrency", "country", "transfer", "paused", "strings"],
                take_back::TERMS.as_slice(),
            ]
            .concat(),
        );
        if get(entries, "url").is_none() {
            reader.at(node, path, "a webhook has a url");
        }
        get(entries, "url").map(|node| (node, join(path, "url")))
    } else {
        settings = connector_settings(reader, entries, path);
        if let (Some(node), Some(false)) = (get(entries, "base_url"), allow_private) {
            let message = "another host than the tool's own is for tests and gateways of one's own: it needs allow_private: true";
            reader.at(node, &join(path, "base_url"), message);
        }
        get(entries, "base_url").map(|node| (node, join(path, "base_url")))
    };
    let url = url.map(|(node, path)| {
        let text = reader.text(node, &path);
        if let Some(problem) = text.as_deref().and_then(url_problem) {
            reader.at(node, &path, problem);
        }
        text
    });
    let secret = get(entries, "secret").filter(|_| is_webhook).and_then(|node| secret(reader, node, &join(path, "secret")));
    let concurrency = match get(entries, "concurrency") {
        Some(node) => reader.integer(node, &join(path, "concurrency"), 1..=256),
        None => Some(if is_webhook { 8 } else { CONCURRENCY_OF_A_TOOL }),
    };
    let paused = get(entries, "paused").and_then(|node| reader.flag(node, &join(path, "paused")));
    let strings = get(entries, "strings").map(|node| {
        let words = [ConsentString::Tcf, ConsentString::Gpp].map(|string| (string.as_str(), string));
        policy::items(reader, node, &join(path, "strings"), |reader, node, path| reader.choice(node, path, &words))
    });
    Some(Destination {
        key: key.to_owned(),
        connector: connector?,
        url: match url {
            Some(url) => url?,
            None if is_webhook => return None,
            None => String::new(),
        },
        settings,
        secret,
        allow_private: allow_private?,
        concurrency: concurrency?,
        country: get(entries, "country").and_then(|node| policy::country(reader, node, &join(path, "country"), false)),
        transfer: get(entries, "transfer").and_then(|node| reader.name(node, &join(path, "transfer"))),
        paused: paused.unwrap_or(false),
        strings: strings.unwrap_or_default(),
        take_back: take_back::take_back(reader, entries, path, is_webhook),
        file: None,
    })
}

/// `settings: {list: 7}`, or the same beside `connector`. Texts, numbers, flags, and `{env: NAME}` or `{sealed: …}` for what is secret.
fn connector_settings(reader: &mut Reader, entries: &[(Key, Node)], path: &str) -> Vec<(String, String)> {
    let mut given: Vec<(&Key, &Node, String)> = Vec::new();
    if let Some(node) = get(entries, "settings") {
        let path = join(path, "settings");
        given.extend(reader.map(node, &path).unwrap_or_default().iter().map(|(key, node)| (key, node, join(&path, &key.text))));
    }
    let beside = entries
        .iter()
        .filter(|(key, node)| !OF_EVERY_DESTINATION.contains(&key.text.as_str()) && !take_back::is_term(&key.text, node, false));
    given.extend(beside.map(|(key, node)| (key, node, join(path, &key.text))));
    let mut settings: Vec<(String, String)> = Vec::new();
    for (key, node, path) in given {
        let value = match &node.value {
            Value::Map(_) => {
                // The same rule as for every secret.
                secret(reader, node, &path);
                node_to_json(node)
            }
            Value::List(_) | Value::Null => {
                reader.at(node, &path, "a setting is a text, a number, true or false, {env: NAME} or {sealed: …}");
                continue;
            }
            _ => node_to_json(node),
        };
        if settings.iter().any(|(other, _)| *other == key.text) {
            reader.at(node, &path, "the setting is given twice: beside connector and in settings");
        }
        settings.push((key.text.clone(), value.to_string()));
    }
    settings.sort();
    settings
}

/// Looks at the parts that matter here; the HTTP client reads it again.
pub(super) fn url_problem(url: &str) -> Option<String> {
    if url.len() > URL_BYTES_MAX {
        return Some(format!("a url has {URL_BYTES_MAX} bytes at most"));
    }
    let wrong = || Some(format!("{url:?} is not a web address; write https://host/path"));
    let Some(rest) = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")) else { return wrong() };
    if url.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return wrong();
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Some("a password does not belong in a url; use secret".into());
    }
    // `[::1]:8080` has its port behind the bracket.
    let (host, port) = match authority.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        Some((address, port)) => (address, port.strip_prefix(':').or((!port.is_empty()).then_some("?"))),
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let port_holds = port.is_none_or(|port| port.parse::<u16>().is_ok());
    if host.is_empty() || host.contains(['[', ']', '\\', '<', '>', '"']) || !port_holds {
        return wrong();
    }
    None
}

pub(super) fn secret(reader: &mut Reader, node: &Node, path: &str) -> Option<Secret> {
    match &node.value {
        Value::Text(text) => {
            if text == SECRET_SHOWN {
                reader.at(
                    node,
                    path,
                    format!("{text:?} is how a secret is shown, not the secret; write it again, or {{env: NAME}}"),
                );
            } else if text.len() < SECRET_BYTES_MIN {
                let message =
                    format!("a secret has {SECRET_BYTES_MIN} bytes at least; better {{env: NAME}}, which keeps it out of here");
                reader.at(node, path, message);
            } else if text.strip_prefix("whsec_").is_some_and(|encoded| !is_base64(encoded.trim())) {
                reader.at(node, path, "what follows whsec_ is base64");
            }
            Some(Secret::Plain(text.clone()))
        }
        Value::Map(entries) => {
            reader.only(entries, path, &["env", "sealed"]);
            if let (Some(sealed), None) = (get(entries, "sealed"), get(entries, "env")) {
                let path = join(path, "sealed");
                let text = reader.text(sealed, &path)?;
                if !text.strip_prefix(SEALED_PREFIX).is_some_and(is_base64_url) {
                    reader.at(
                        sealed,
                        &path,
                        format!("a sealed secret begins with {SEALED_PREFIX}; `jumelle secret seal` makes one"),
                    );
                }
                return Some(Secret::Sealed(text));
            }
            let (Some(name_node), None) = (get(entries, "env"), get(entries, "sealed")) else {
                reader.at(node, path, "a secret is {env: NAME}, {sealed: …} or a text");
                return None;
            };
            let name = reader.text(name_node, &join(path, "env"))?;
            let well_formed = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            if !well_formed {
                let message = format!("{name:?} is not the name of an environment variable; write letters, digits and _");
                reader.at(name_node, &join(path, "env"), message);
            }
            Some(Secret::Env(name))
        }
        _ => {
            reader.at(node, path, "a secret is {env: NAME}, {sealed: …} or a text");
            None
        }
    }
}

/// The alphabet of URLs, without padding.
fn is_base64_url(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// The standard alphabet with its padding.
fn is_base64(text: &str) -> bool {
    let data = text.trim_end_matches('=');
    !data.is_empty()
        && text.len().is_multiple_of(4)
        && text.len() - data.len() <= 2
        && data.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/')
}

/// `(name, channel)` of every channel that the workspace has.
pub fn channel_words(reader: &Reader) -> Vec<(&'static str, Channel)> {
    Channel::ALL.into_iter().chain(reader.declared.iter().copied()).map(|channel| (channel.as_str(), channel)).collect()
}

pub fn activation(reader: &mut Reader, known: &Known<'_>, key: &str, node: &Node, path: &str) -> Option<Activation> {
    let entries = reader.map(node, path)?;
    reader.only(entries, path, &["segment", "destination", "purpose", "channel", "initial", "map"]);
    let mut reference = |field: &str, known: &[&str]| match get(entries, field) {
        Some(found) => reader.reference(found, &join(path, field), field, known.iter().copied()),
        None => {
            reader.at(node, path, format!("an activation names its {field}"));
            None
        }
    };
    let segment = reference("segment", &known.segments);
    let destination = reference("destination", &known.destinations);
    let purpose = reference("purpose", &known.purposes);
    let channel = match get(entries, "channel") {
        Some(node) => {
            let words = channel_words(reader);
            reader.choice(node, &join(path, "channel"), &words)
        }
        None => {
            reader.at(node, path, "an activation names its channel");
            None
        }
    };
    let initial = match get(entries, "initial") {
        Some(node) => reader.choice(node, &join(path, "initial"), &[("send", Initial::Send), ("skip", Initial::Skip)]),
        None => Some(Initial::Skip),
    };
    let mut map = Vec::new();
    if let Some(node) = get(entries, "map") {
        let path = join(path, "map");
        let fields = reader.map(node, &path).unwrap_or_default();
        if fields.len() > MAP_FIELDS_MAX {
            reader.at(node, &path, format!("an activation maps {MAP_FIELDS_MAX} fields at most"));
        }
        for (field, source) in fields {
            let path = join(&path, &field.text);
            if field.text.is_empty() {
                reader.at_key(field, &path, "a field has a name");
            }
            map.extend(field_path(reader, known, source, &path).map(|found| (field.text.clone(), found)));
        }
    }
    Some(Activation {
        key: key.to_owned(),
        segment: segment?,
        destination: destination?,
        purpose: purpose?,
        channel: channel?,
        initial: initial?,
        map,
    })
}

pub fn field_path(reader: &mut Reader, known: &Known<'_>, node: &Node, path: &str) -> Option<FieldPath> {
    let text = reader.text(node, path)?;
    let found = FieldPath::parse(&text);
    let holds = match &found {
        Some(FieldPath::Identifier(key) | FieldPath::HashedIdentifier(key)) => {
            reader.is_known(node, path, "namespace", key, known.namespaces.iter().copied())
        }
        Some(FieldPath::Trait(trait_path)) => reader.is_dotted(node, path, trait_path),
        Some(FieldPath::Computed(key)) => reader.is_known(node, path, "computed trait", key, known.traits.iter().copied()),
        None => {
            reader.at(node, path, format!("{text:?} is not a field; write identifiers.email, traits.city or computed.orders"));
            false
        }
    };
    found.filter(|_| holds)
}
