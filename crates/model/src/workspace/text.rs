//! Definitions written again, in the shape of `workspace.yaml`, as JSON (which is YAML).

use serde_json::{Map, Value, json};

use super::parse::Problems;
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
        })
        .to_string()
    }

    /// One definition as `workspace.yaml` would have it, secrets not shown. `None`: there is none.
    pub fn definition_json(&self, collection: &str, key: &str) -> Option<Value> {
        let whole = self.to_json(&|secret| match secret {
            Secret::Env(name) => json!({"env": name}),
            Secret::Plain(_) => json!("…"),
        });
        whole.get(collection)?.get(key).cloned()
    }

    /// With one definition put in the place of another, added, or (with `None`) removed; validated whole.
    pub fn replace(&self, collection: &str, key: &str, definition: Option<&str>) -> Result<Workspace, Problems> {
        let mut whole: Value = serde_json::from_str(&self.to_text()).unwrap_or_default();
        // A definition that does not read by itself is reported with its own lines.
        let value = match definition {
            Some(text) => Some(yaml_to_json(&super::yaml::read(text)?)),
            None => None,
        };
        if let Some(items) = whole.get_mut(collection).and_then(Value::as_object_mut) {
            match value {
                Some(value) => {
                    items.insert(key.to_owned(), value);
                }
                None => {
                    items.remove(key);
                }
            }
        }
        Workspace::parse(&whole.to_string())
    }

    fn to_json(&self, secret: &dyn Fn(&Secret) -> Value) -> Value {
        let mut whole = Map::new();
        whole.insert("workspace".into(), settings_json(&self.settings));
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
                "purposes" => {
                    self.purposes.iter().map(|item| (item.key.clone(), json!({"basis": item.basis, "tcf": item.tcf}))).collect()
                }
                "traits" => self.traits.iter().map(|item| (item.key.clone(), computed_json(item))).collect(),
                "segments" => self
                    .segments
                    .iter()
                    .map(|item| (item.key.clone(), json!({"label": label_json(&item.label), "rule": rule_json(&item.rule)})))
                    .collect(),
                "destinations" => {
                    self.destinations.iter().map(|item| (item.key.clone(), destination_json(item, secret))).collect()
                }
                _ => self.activations.iter().map(|item| (item.key.clone(), activation_json(item))).collect(),
            };
            whole.insert(collection.into(), Value::Object(items));
        }
        Value::Object(whole)
    }
}

/// Reads YAML (or JSON) as JSON: aliases refused, keys unique, size and depth bounded.
pub fn read_yaml(text: &str) -> Result<Value, Problems> {
    super::yaml::read(text).map(|node| yaml_to_json(&node))
}

fn yaml_to_json(node: &super::yaml::Node) -> Value {
    use super::yaml::Value as Yaml;
    match &node.value {
        Yaml::Null => Value::Null,
        Yaml::Bool(flag) => json!(flag),
        Yaml::Number(text) => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
        Yaml::Text(text) => json!(text),
        Yaml::List(items) => items.iter().map(yaml_to_json).collect(),
        Yaml::Map(entries) => Value::Object(entries.iter().map(|(key, node)| (key.text.clone(), yaml_to_json(node))).collect()),
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

fn source_json(source: &Source) -> Value {
    let mut json = json!({"kind": source.kind, "vocabulary": source.vocabulary});
    if let Some(write_key) = &source.write_key {
        json["write_key"] = json!(write_key);
    }
    json
}

fn label_json(label: &Label) -> Value {
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
        "connector": destination.connector, "url": destination.url, "allow_private": destination.allow_private,
        "concurrency": destination.concurrency,
    });
    if let Some(found) = &destination.secret {
        json["secret"] = secret(found);
    }
    json
}

fn activation_json(activation: &Activation) -> Value {
    let map: Map<String, Value> = activation
        .map
        .iter()
        .map(|(field, path)| {
            let text = match path {
                FieldPath::Identifier(namespace) => format!("identifiers.{namespace}"),
                FieldPath::Trait(path) => format!("traits.{path}"),
                FieldPath::Computed(key) => format!("computed.{key}"),
            };
            (field.clone(), json!(text))
        })
        .collect();
    json!({
        "segment": activation.segment, "destination": activation.destination, "purpose": activation.purpose,
        "channel": activation.channel, "initial": activation.initial, "map": map,
    })
}
