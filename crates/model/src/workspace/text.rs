//! Definitions written again, in the shape of `workspace.yaml`, as JSON (which is YAML).

use serde_json::{Map, Value, json};

use super::node::{Key, Node, Value as Written, join, read, unreadable};
use super::parse::{Problem, Problems, SECRET_SHOWN};
use super::*;
use crate::event::Scalar;
use crate::rule::{Aggregate, Comparison, Did, Filter, Test};

const COLLECTIONS: [&str; 7] = ["sources", "identifiers", "purposes", "traits", "segments", "destinations", "activations"];

impl Workspace {
    /// The canonical text: [`Workspace::parse`] reads back an equal workspace. Holds plain secrets: for the history only.
    pub fn to_text(&self) -> String {
        self.to_json(&|secret| match secret {
            Secret::Env(name) => json!({"env": name}),
            Secret::Plain(text) => json!(text),
            Secret::Sealed(text) => json!({"sealed": text}),
        })
        .to_string()
    }

    /// As `workspace.yaml` would have it, secrets not shown.
    pub fn shown(&self) -> Value {
        self.to_json(&|secret| match secret {
            Secret::Env(name) => json!({"env": name}),
            Secret::Plain(_) => json!(SECRET_SHOWN),
            Secret::Sealed(text) => json!({"sealed": text}),
        })
    }

    /// One definition of [`Workspace::shown`]. `None`: there is none.
    pub fn definition_json(&self, collection: &str, key: &str) -> Option<Value> {
        self.shown().get(collection)?.get(key).cloned()
    }

    /// With one definition put in the place of another, added (last), or, with `None`, removed; validated whole, so one that
    /// others name is not removed. The places of problems are those in `definition`; problems of other definitions have none.
    pub fn replace(&self, collection: &str, key: &str, definition: Option<&str>) -> Result<Workspace, Problems> {
        if !COLLECTIONS.contains(&collection) {
            return Err(unreadable(0, 0, format!("{collection:?} is not one of {}", COLLECTIONS.join(", "))));
        }
        let (definition, problems) = match definition {
            Some(text) => read(text).map(|(node, problems)| (Some(node), problems))?,
            None => (None, Vec::new()),
        };
        let prefix = format!("{collection}.{key}");
        let problems = problems.into_iter().map(|problem| Problem { path: join(&prefix, &problem.path), ..problem }).collect();
        let (whole, _) = read(&self.to_text())?;
        let mut root = whole.unplaced();
        let items = match &mut root.value {
            Written::Map(collections) => collections.iter_mut().find(|(found, _)| found.text == collection),
            _ => None,
        };
        // `to_text` writes a map of every collection.
        if let Some((_, Node { value: Written::Map(items), .. })) = items {
            let place = items.iter().position(|(found, _)| found.text == key);
            match (place, definition) {
                (Some(place), Some(node)) => items[place].1 = node,
                (None, Some(node)) => items.push((Key { text: key.to_owned(), line: 0, column: 0 }, node)),
                // The order is kept: that of identifiers is their trust.
                (Some(place), None) => drop(items.remove(place)),
                (None, None) => return Err(unreadable(0, 0, format!("{collection} has no {key:?}"))),
            }
        }
        Workspace::from_node(&root, problems)
    }

    /// A segment that names others is written so, not with what they say at the moment: they may change.
    fn written_rule(&self, segment: &Segment) -> Value {
        let written = self.written.get(&segment.key).and_then(|text| serde_json::from_str(text).ok());
        written.unwrap_or_else(|| rule_json(&segment.rule))
    }

    fn to_json(&self, secret: &dyn Fn(&Secret) -> Value) -> Value {
        let mut whole = Map::new();
        whole.insert("workspace".into(), settings_json(&self.settings));
        if self.policy != policy::Policy::default() {
            whole.insert("policy".into(), self.policy.to_json());
        }
        if self.preferences != preferences::Preferences::default() {
            whole.insert("preferences".into(), self.preferences.to_json());
        }
        for collection in COLLECTIONS {
            let items: Map<String, Value> = match collection {
                "sources" => self.sources.iter().map(|item| (item.key.clone(), source_json(item))).collect(),
                "identifiers" => self
                    .identifiers
                    .iter()
                    .map(|item| {
                        (item.key.clone(), json!({"limit": item.limit, "normalize": item.normalize, "block": item.block}))
                    })
                    .collect(),
                "purposes" => self.purposes.iter().map(|item| (item.key.clone(), purpose_json(item))).collect(),
                "traits" => self.traits.iter().map(|item| (item.key.clone(), computed_json(item))).collect(),
                "segments" => self
                    .segments
                    .iter()
                    .filter(|item| !self.is_built_in(&item.key))
                    .map(|item| {
                        let rule = json!({"label": label_json(&item.label), "rule": self.written_rule(item)});
                        (item.key.clone(), rule)
                    })
                    .collect(),
                "destinations" => {
                    self.destinations.iter().map(|item| (item.key.clone(), destination_json(item, secret))).collect()
                }
                _ => self.activations.iter().map(|item| (item.key.clone(), activation_json(item))).collect(),
            };
            whole.insert(collection.into(), Value::Object(items));
            if collection == "purposes" && self.strings != Strings::default() {
                whole.insert("consent".into(), json!({"strings": strings_json(&self.strings)}));
            }
        }
        Value::Object(whole)
    }
}

/// Where a path (`destinations.mail.list`) stands in a text: line and column from 1, of the last part that is there.
pub fn place_of(text: &str, path: &str) -> (usize, usize) {
    let Ok((mut node, _)) = read(text) else { return (1, 1) };
    for part in path.split('.') {
        let Written::Map(entries) = node.value else { break };
        let Some((_, inner)) = entries.into_iter().find(|(key, _)| key.text == part) else { break };
        node = inner;
    }
    (node.line, node.column)
}

/// Reads YAML (or JSON) as JSON: aliases refused, keys unique, 1 MiB and 64 levels at most.
pub fn read_yaml(text: &str) -> Result<Value, Problems> {
    let (node, problems) = read(text)?;
    if problems.is_empty() { Ok(node_to_json(&node)) } else { Err(Problems(problems)) }
}

pub(super) fn node_to_json(node: &Node) -> Value {
    match &node.value {
        Written::Null => Value::Null,
        Written::Bool(flag) => json!(flag),
        Written::Number(text) => serde_json::from_str(text)
            // Numbers that YAML has and JSON has not, such as `.5`.
            .unwrap_or_else(|_| Decimal::parse(text).map_or_else(|| json!(text), Decimal::to_json)),
        Written::Text(text) => json!(text),
        Written::List(items) => items.iter().map(node_to_json).collect(),
        Written::Map(entries) => {
            Value::Object(entries.iter().map(|(key, node)| (key.text.clone(), node_to_json(node))).collect())
        }
    }
}

fn settings_json(settings: &Settings) -> Value {
    let mut rates: Map<String, Value> = Map::new();
    for rate in &settings.rates {
        let list = rates.entry(rate.currency.code()).or_insert_with(|| json!([]));
        if let Some(list) = list.as_array_mut() {
            list.push(json!({"from": rate.from, "rate": rate.rate.to_json()}));
        }
    }
    json!({
        "key": settings.key, "locale": settings.locale, "timezone": settings.timezone, "country": settings.country,
        "currency": settings.currency, "rates": rates,
    })
}

fn purpose_json(purpose: &Purpose) -> Value {
    let mut json = Map::from_iter([
        ("basis".into(), json!(purpose.basis)),
        ("tcf".into(), json!(purpose.tcf)),
        ("gcm".into(), json!(purpose.gcm)),
        ("gpc".into(), json!(purpose.gpc)),
    ]);
    super::policy::terms_json(&purpose.terms, &mut json);
    Value::Object(json)
}

/// Empty lists are left out.
fn strings_json(strings: &Strings) -> Value {
    let choice = |channels: &[Channel], fields: &[(&str, Value)]| {
        let channels: Vec<&str> = channels.iter().map(|channel| channel.as_str()).collect();
        let all = [("channels", json!(channels))].into_iter().chain(fields.iter().cloned());
        all.filter(|(_, list)| list.as_array().is_some_and(|list| !list.is_empty()))
            .map(|(field, list)| (field.to_owned(), list))
            .collect::<Map<_, _>>()
    };
    let tcf: Map<String, Value> = strings
        .tcf
        .iter()
        .map(|one| {
            let fields = [
                ("purposes", json!(one.purposes)),
                ("publisher", json!(one.publisher)),
                ("custom", json!(one.custom)),
                ("special_features", json!(one.special_features)),
                ("legitimate_interests", json!(one.legitimate_interests)),
            ];
            (one.purpose.clone(), choice(&one.channels, &fields).into())
        })
        .collect();
    let gpp: Map<String, Value> = strings
        .gpp
        .iter()
        .map(|one| (one.purpose.clone(), choice(&one.channels, &[("opt_outs", json!(one.opt_outs))]).into()))
        .collect();
    let categories: Map<String, Value> = strings
        .categories
        .iter()
        .map(|one| (one.purpose.clone(), choice(&one.channels, &[("categories", json!(one.categories))]).into()))
        .collect();
    let mut json = json!({"tcf": {"choices": tcf}, "gpp": {"choices": gpp}, "categories": {"choices": categories}});
    if let Some(vendor) = strings.vendor {
        json["tcf"]["vendor"] = vendor.into();
    }
    json
}

fn source_json(source: &Source) -> Value {
    let mut json = json!({"kind": source.kind, "vocabulary": source.vocabulary});
    if let Some(write_key) = &source.write_key {
        json["write_key"] = json!(write_key);
    }
    if let Some(consents) = &source.consents {
        json["consents"] = json!(consents);
    }
    if let Some(requires) = &source.requires {
        json["requires"] = json!(requires);
    }
    if let Some(SetAside { user_agents, rate }) = &source.set_aside {
        let mut aside = Map::new();
        if !user_agents.is_empty() {
            aside.insert("user_agents".into(), json!(user_agents));
        }
        if let Some(EventRate { events, per }) = rate {
            aside.insert("rate".into(), json!({"events": events, "per": per.to_string()}));
        }
        json["set_aside"] = Value::Object(aside);
    }
    if !source.reduce.is_empty() {
        json["reduce"] = source.reduce.iter().map(reduce::Reduce::to_json).collect();
    }
    json
}

pub(super) fn label_json(label: &Label) -> Value {
    let mut map = Map::new();
    for (language, text) in [("fr", &label.fr), ("en", &label.en)] {
        if let Some(text) = text {
            map.insert(language.into(), json!(text));
        }
    }
    Value::Object(map)
}

fn scope_json(query: &EventQuery, json: &mut Map<String, Value>) {
    if !query.filters.is_empty() {
        let filters: Map<String, Value> =
            query.filters.iter().map(|Filter { path, test }| (path.clone(), test_json(test))).collect();
        json.insert("where".into(), Value::Object(filters));
    }
    if let Some(within) = query.within {
        json.insert("within".into(), json!(within));
    }
    for (name, moment) in [("since", query.since), ("until", query.until)] {
        if let Some(moment) = moment {
            json.insert(name.into(), json!(moment));
        }
    }
}

fn computed_json(computed: &ComputedTrait) -> Value {
    let mut json = Map::new();
    json.insert("label".into(), label_json(&computed.label));
    let query = &computed.query;
    let inner = match query.aggregate.of() {
        None => json!({"event": query.event}),
        Some(of) => json!({"event": query.event, "of": of}),
    };
    json.insert(query.aggregate.name().into(), inner);
    scope_json(query, &mut json);
    Value::Object(json)
}

/// A rule as it would be written.
pub fn rule_json(rule: &Rule) -> Value {
    match rule {
        Rule::All(rules) => json!({"all": rules.iter().map(rule_json).collect::<Vec<_>>()}),
        Rule::Any(rules) => json!({"any": rules.iter().map(rule_json).collect::<Vec<_>>()}),
        Rule::Not(rule) => json!({"not": rule_json(rule)}),
        Rule::Did(Did { query, test }) => {
            let mut json = Map::new();
            json.insert("did".into(), json!(query.event));
            let mut inner = comparisons_json(test);
            if let (Some(of), Some(map)) = (query.aggregate.of(), inner.as_object_mut()) {
                map.insert("of".into(), json!(of));
            }
            if query.aggregate != Aggregate::Count || !test.0.is_empty() {
                json.insert(query.aggregate.name().into(), inner);
            }
            scope_json(query, &mut json);
            Value::Object(json)
        }
        Rule::Trait { path, test } => {
            let mut json = comparisons_json(test);
            json["trait"] = json!(path);
            json
        }
        Rule::Computed { key, test } => {
            let mut json = comparisons_json(test);
            json["computed"] = json!(key);
            json
        }
        Rule::Prospect(state) => json!({"prospect": state}),
        Rule::RetentionOver { purpose } => json!({"retention_over": purpose}),
        Rule::Consent { purpose, channel } => {
            let mut inner = json!({"purpose": purpose});
            if let Some(channel) = channel {
                inner["channel"] = json!(channel);
            }
            json!({"consent": inner})
        }
    }
}

fn test_json(test: &Test) -> Value {
    match test.0.as_slice() {
        [Comparison::Eq(scalar)] => scalar.to_json(),
        _ => comparisons_json(test),
    }
}

fn comparisons_json(test: &Test) -> Value {
    let list = |scalars: &[Scalar]| Value::Array(scalars.iter().map(Scalar::to_json).collect());
    let map: Map<String, Value> = test
        .0
        .iter()
        .map(|comparison| {
            let (name, value) = match comparison {
                Comparison::Eq(scalar) => ("eq", scalar.to_json()),
                Comparison::Ne(scalar) => ("ne", scalar.to_json()),
                Comparison::In(scalars) => ("in", list(scalars)),
                Comparison::NotIn(scalars) => ("not_in", list(scalars)),
                Comparison::Gt(number) => ("gt", number.to_json()),
                Comparison::Gte(number) => ("gte", number.to_json()),
                Comparison::Lt(number) => ("lt", number.to_json()),
                Comparison::Lte(number) => ("lte", number.to_json()),
                Comparison::Contains(text) => ("contains", json!(text)),
                Comparison::StartsWith(text) => ("starts_with", json!(text)),
                Comparison::Matches(text) => ("matches", json!(text)),
                Comparison::Exists(flag) => ("exists", json!(flag)),
            };
            (name.to_owned(), value)
        })
        .collect();
    Value::Object(map)
}

fn destination_json(destination: &Destination, secret: &dyn Fn(&Secret) -> Value) -> Value {
    let mut json = json!({
        "connector": destination.connector, "allow_private": destination.allow_private, "concurrency": destination.concurrency,
    });
    if let Some(file) = &destination.file {
        json = file_json(file);
        json["to"] = json!(destination.url);
        json["allow_private"] = json!(destination.allow_private);
    } else if destination.connector == "webhook" {
        json["url"] = json!(destination.url);
    } else {
        let settings = destination.settings.iter();
        let settings = settings.map(|(name, text)| (name.clone(), serde_json::from_str(text).unwrap_or(Value::Null)));
        json["settings"] = Value::Object(settings.collect());
        if !destination.url.is_empty() {
            json["base_url"] = json!(destination.url);
        }
    }
    if let Some(found) = &destination.secret {
        json["secret"] = secret(found);
    }
    for (name, found) in [("country", &destination.country), ("transfer", &destination.transfer)] {
        if let Some(found) = found {
            json[name] = json!(found);
        }
    }
    if destination.paused {
        json["paused"] = json!(true);
    }
    if !destination.strings.is_empty() {
        json["strings"] = json!(destination.strings);
    }
    let back = &destination.take_back;
    if let Some(span) = back.confirm_within {
        json["confirm_within"] = json!(span);
    }
    if let Some(none) = &back.removal_none {
        json["removal"] = json!({"none": none.reason, "contact": none.contact});
    }
    if back.retire {
        json["retire"] = json!(true);
    }
    if let Some(list) = &back.list {
        json["list"] = json!({"url": list.url});
        if let Some(every) = list.every {
            json["list"]["every"] = json!(every);
            if list.mend {
                json["list"]["mend"] = json!(true);
            }
        }
    }
    if let Some(inbound) = &back.inbound {
        json["inbound"] = json!({"format": inbound.format, "secret": secret(&inbound.secret)});
        if let Some(opens) = &inbound.opens {
            json["inbound"]["opens"] = json!(opens);
        }
    }
    json
}

fn file_json(file: &file::FileTerms) -> Value {
    use file::{Compress, Encoding, Format, Newline, Quote, named};
    let mut json = json!({
        "connector": "file", "content": file.content.as_str(), "name": file.name, "format": file.format.extension(),
        "compress": named(&Compress::NAMES, file.compress),
    });
    json["when"] = match &file.when {
        schedule::When::After(span) => json!({"after": span}),
        schedule::When::Cron { cron, timezone: Some(timezone) } => json!({"cron": cron, "timezone": timezone}),
        schedule::When::Cron { cron, timezone: None } => json!({"cron": cron}),
    };
    if let Format::Csv(csv) = &file.format {
        json["separator"] = json!(csv.separator);
        json["quote"] = json!(named(&Quote::NAMES, csv.quote));
        json["newline"] = json!(named(&Newline::NAMES, csv.newline));
        json["header"] = json!(csv.header);
        json["encoding"] = json!(named(&Encoding::NAMES, csv.encoding));
        json["formulas"] = json!(if csv.escape_formulas { "escape" } else { "keep" });
    }
    if file.format == Format::Parquet {
        json.as_object_mut().map(|json| json.shift_remove("compress"));
    }
    for (name, found) in [
        ("user", &file.user),
        ("host_key", &file.host_key),
        ("endpoint", &file.endpoint),
        ("region", &file.region),
        ("removals", &file.removals),
        ("oppositions", &file.oppositions),
    ] {
        if let Some(found) = found {
            json[name] = json!(found);
        }
    }
    if !file.columns.is_empty() {
        json["columns"] = file.columns.iter().map(|column| json!({(&column.field): column.header})).collect();
    }
    json
}

fn activation_json(activation: &Activation) -> Value {
    let map: Map<String, Value> = activation.map.iter().map(|(field, path)| (field.clone(), json!(path.to_string()))).collect();
    json!({
        "segment": activation.segment, "destination": activation.destination, "purpose": activation.purpose,
        "channel": activation.channel, "initial": activation.initial, "map": map,
    })
}
