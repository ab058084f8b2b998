//! A row: what one message says, written as the connector's fields are.

use std::marker::PhantomData;

use jumelle_consent::Cleared;
use jumelle_model::number::Money;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::connector::{Connector, Require};
use crate::manifest::{GateSignal, OpName};
use crate::template::text;

/// From a message that the gate has let through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Gated {}
/// From a text: for previews and cases. What is rendered of it cannot be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sample {}
/// About nobody: a token, a test call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Nobody {}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Gated {}
    impl Sealed for super::Nobody {}
}

/// What may leave the house. Sealed: a [`Sample`] may not.
pub trait MaySend: sealed::Sealed {}
impl MaySend for Gated {}
impl MaySend for Nobody {}

/// The body of a webhook (DESIGN §6).
#[derive(Clone, Debug, Deserialize)]
pub struct Incoming {
    /// Delivery id.
    #[serde(default)]
    pub id: String,
    /// `segment.entered` …
    #[serde(rename = "type")]
    pub kind: String,
    /// Activation key.
    #[serde(default)]
    pub activation: String,
    /// Segment key.
    #[serde(default)]
    pub segment: String,
    /// Instant of its cause.
    #[serde(default)]
    pub at: String,
    /// About whom.
    #[serde(default)]
    pub profile: String,
    /// Mapped fields.
    #[serde(default)]
    pub data: Map<String, Value>,
    /// What let it through.
    #[serde(default)]
    pub consent: Value,
    /// The signed link that stops such messages: `url`, and the `headers` of RFC 8058.
    #[serde(default)]
    pub unsubscribe: Value,
}

/// A row of a request. `O` says where it comes from.
#[derive(Clone, PartialEq, Debug)]
pub struct Row<O> {
    /// Which message, in the caller's count.
    pub nth: usize,
    /// What is to be done.
    pub op: OpName,
    /// About whom: the last operation about a person wins within a batch.
    pub profile: String,
    /// What templates read.
    pub(crate) values: Value,
    origin: PhantomData<O>,
}

/// The operation that a type of message asks for.
pub fn op_of(kind: &str) -> Option<OpName> {
    Some(match kind {
        "segment.entered" => OpName::Add,
        "profile.updated" => OpName::Update,
        "segment.exited" => OpName::Remove,
        "consent.withdrawn" => OpName::Withdraw,
        "profile.erased" => OpName::Erase,
        _ => return None,
    })
}

impl Row<Gated> {
    /// Of a message that the gate has let through. `Err`: why the tool cannot be told of her.
    pub fn of(connector: &Connector, nth: usize, cleared: &Cleared, country: &str) -> Result<Row<Gated>, String> {
        let incoming = serde_json::from_slice(&cleared.body()).map_err(|error| error.to_string())?;
        build(connector, nth, incoming, country)
    }
}

impl Row<Sample> {
    /// Of a text.
    pub fn sample(connector: &Connector, nth: usize, incoming: Incoming, country: &str) -> Result<Row<Sample>, String> {
        build(connector, nth, incoming, country)
    }
}

fn build<O>(connector: &Connector, nth: usize, incoming: Incoming, country: &str) -> Result<Row<O>, String> {
    let op = op_of(&incoming.kind).ok_or_else(|| format!("{:?} is not a type of message", incoming.kind))?;
    let manifest = &connector.manifest;
    let mut row = Map::new();
    for (name, field) in &manifest.fields {
        let from = field.from.as_deref().unwrap_or(name);
        let given = incoming.data.get(from).filter(|value| !value.is_null());
        let hashed = field.hashed_from.as_ref().and_then(|from| incoming.data.get(from)?.as_str());
        let value = match (given, hashed, field.hash) {
            (_, Some(hashed), Some(hash)) if hash.read(hashed).is_some() => hash.read(hashed).map(Value::String),
            (Some(value), ..) if field.raw => Some(value.clone()),
            (Some(value), _, hash) => {
                let written = text(value);
                let normal = match field.normalize {
                    Some(normalize) => normalize.apply(&written, country),
                    None => Some(written).filter(|text| !text.is_empty()),
                };
                normal.map(|text| hash.map_or_else(|| text.clone(), |hash| hash.of(&text))).map(Value::String)
            }
            _ => None,
        };
        if let Some(value) = value {
            row.insert(name.clone(), value);
        }
    }
    let missing = match &connector.require {
        Require::Nothing => None,
        Require::Any(names) if names.iter().any(|name| row.contains_key(name)) => None,
        Require::Any(names) => Some(format!("none of {} is usable", names.join(", "))),
        Require::All(names) => names.iter().find(|name| !row.contains_key(*name)).map(|name| format!("{name} is not usable")),
    };
    if let Some(missing) = missing {
        return Err(format!("{missing}: {} cannot tell who she is", manifest.name));
    }
    let reads = connector.reads();
    let attributes: Map<String, Value> = incoming
        .data
        .iter()
        .filter(|(key, value)| !reads.contains(key.as_str()) && !value.is_null())
        .map(|(key, value)| (key.clone(), in_major_units(value)))
        .collect();
    let mut values = json!({
        "row": row,
        "message": {
            "id": incoming.id, "type": incoming.kind, "activation": incoming.activation, "segment": incoming.segment,
            "at": incoming.at, "profile": incoming.profile,
        },
        "consent": consent(connector, op, &incoming.consent),
    });
    if !incoming.unsubscribe.is_null() {
        values["unsubscribe"] = incoming.unsubscribe;
    }
    // A removal carries no more than who is to be removed.
    if !op.takes_back() || manifest.require.is_none() {
        values["data"] = Value::Object(incoming.data);
        if !attributes.is_empty() {
            values["attributes"] = Value::Object(attributes);
        }
    }
    let profile = if incoming.profile.is_empty() { format!("#{nth}") } else { incoming.profile };
    Ok(Row { nth, op, profile, values, origin: PhantomData })
}

/// The house's money as a number that a tool's template can show; anything else as it is.
fn in_major_units(value: &Value) -> Value {
    serde_json::from_value::<Money>(value.clone()).map_or_else(|_| value.clone(), |money| money.to_major().to_json())
}

/// What the tool is told, from what the gate knows and nothing else.
fn consent(connector: &Connector, op: OpName, gate: &Value) -> Map<String, Value> {
    let state = match op {
        OpName::Remove => "left",
        OpName::Withdraw => "withdrawn",
        OpName::Erase => "erased",
        OpName::Add | OpName::Update => match gate["state"].as_str() {
            Some("granted") => "granted",
            // A basis that needs no grant; anything else has not passed the gate.
            Some("unknown") if gate["basis"].is_string() => "basis",
            _ => "none",
        },
    };
    let mut told = Map::new();
    for (name, field) in &connector.manifest.consent.fields {
        if field.channel.as_deref().is_some_and(|channel| gate["channel"] != channel) {
            continue;
        }
        let value = match field.gate {
            GateSignal::State => match state {
                "granted" => field.granted.clone(),
                "basis" => field.basis.clone(),
                "left" => field.left.clone(),
                "withdrawn" => field.withdrawn.clone(),
                "erased" => field.erased.clone(),
                _ => None,
            },
            GateSignal::Since => gate.get("since").cloned(),
            GateSignal::Receipt => gate.get("receipt").cloned(),
            GateSignal::Purpose => gate.get("purpose").cloned(),
            GateSignal::Channel => gate.get("channel").cloned(),
            GateSignal::Tcf => gate.get("tcf").cloned(),
            GateSignal::Gpp => gate.get("gpp").cloned(),
        };
        if let Some(value) = value {
            told.insert(name.clone(), value);
        }
    }
    told
}
