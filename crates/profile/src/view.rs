//! A person as the API gives her (DESIGN §6).

use jumelle_consent::Choices;
use jumelle_model::consent::Scope;
use jumelle_model::time::Timestamp;
use jumelle_model::{Money, Workspace};
use jumelle_segment::Plan;
use serde_json::{Map, Value, json};

use crate::person::{ANONYMOUS_ID, Person};

/// The profile at an instant: computed traits as of then, everything else as folded.
pub fn profile_json(workspace: &Workspace, plan: &Plan, person: &Person, at: Timestamp) -> Value {
    let known = &person.known;
    let identifiers: Vec<Value> = known
        .identifiers
        .iter()
        .map(|(identifier, seen)| {
            json!({
                "namespace": identifier.namespace, "value": identifier.value,
                "first_seen": seen.first.0.time, "last_seen": seen.last.time, "source": seen.first.1,
            })
        })
        .collect();
    let mut traits = Map::new();
    let mut provenance = Map::new();
    for (key, value) in &known.traits {
        traits.insert(key.clone(), serde_json::from_str(&value.json).unwrap_or(Value::Null));
        provenance.insert(key.clone(), json!({"source": value.source, "at": value.stamp.time}));
    }
    let computed: Map<String, Value> = workspace
        .traits
        .iter()
        .map(|computed| (computed.key.clone(), computed_json(plan, workspace, &computed.key, person, at).0))
        .collect();
    let segments: Vec<Value> = person.memberships.iter().map(|(key, since)| json!({"key": key, "since": since})).collect();
    json!({
        "id": person.id,
        "identifiers": identifiers,
        "traits": traits,
        "provenance": provenance,
        "computed": computed,
        "affinities": {},
        "scores": {},
        "segments": segments,
        "consents": consents_json(&known.choices),
        "absorbed": known.absorbed,
        "refused_joins": known.refusals.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "events": known.events,
        "first_seen": known.first_seen,
        "last_seen": known.last_seen,
    })
}

/// The name under which people of the house know her: an e-mail address if there is one, else her most trusted identifier; none
/// while only a browser's id is known.
pub fn label<'a>(workspace: &Workspace, person: &'a Person) -> Option<&'a str> {
    let trusted = workspace.identifiers.iter().map(|rule| rule.key.as_str()).filter(|key| *key != ANONYMOUS_ID);
    std::iter::once("email").chain(trusted).find_map(|namespace| {
        let identifiers = person.known.identifiers_of(namespace);
        identifiers.first().map(|identifier| identifier.value.as_str())
    })
}

/// Every choice that counts, per purpose, channel and scope.
pub fn consents_json(choices: &Choices) -> Vec<Value> {
    choices
        .list()
        .into_iter()
        .map(|standing| {
            let target = match &standing.scope {
                Scope::Person => Value::from("person"),
                Scope::Address(namespace, value) => {
                    Value::Object(Map::from_iter([(namespace.clone(), Value::from(value.as_str()))]))
                }
            };
            json!({
                "purpose": standing.purpose,
                "channel": standing.channel,
                "for": target,
                "state": standing.state,
                "since": standing.since,
                "source": standing.source,
                "weak": standing.weak,
                "receipt": standing.receipt,
                "proof": standing.proof.as_deref().and_then(|proof| serde_json::from_str::<Value>(proof).ok()),
            })
        })
        .collect()
}

/// A computed trait at an instant, and when time alone may change it.
pub(crate) fn computed_json(plan: &Plan, workspace: &Workspace, key: &str, person: &Person, at: Timestamp) -> (Value, Timestamp) {
    let computed = plan.computed(key, &person.known.states, at);
    let value = match computed.value {
        None => Value::Null,
        Some(jumelle_model::event::Scalar::Number(number)) if computed.is_money => {
            json!(Money::from_major(number, workspace.settings.currency))
        }
        Some(scalar) => scalar.to_json(),
    };
    (value, computed.next)
}
