//! The fields that an activation maps, for one person at an instant.

use jumelle_consent::{Asked, Circumstances, OkOrSoon, Party, decide};
use jumelle_model::Workspace;
use jumelle_model::time::Timestamp;
use jumelle_model::workspace::{Activation, FieldPath};
use jumelle_segment::Plan;
use sha2::{Digest, Sha256};

use crate::person::Person;
use crate::view::computed_json;

/// Mapped fields, the address they carry, and when time alone may next change them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fields {
    /// The address or device of the activation's channel among the fields.
    pub address: Option<(String, String)>,
    /// Field → JSON text, in the order of the map. Fields without a value are left out.
    pub data: Vec<(String, String)>,
    /// When a computed field may change by itself.
    pub next: Timestamp,
    /// What the gate looks at beside her choices.
    pub circumstances: Circumstances,
    /// When time alone may next change them.
    pub circumstances_next: Timestamp,
}

/// Of several addresses the one that the gate lets through is taken, the latest seen first; if none passes, the latest seen.
pub fn fields(workspace: &Workspace, plan: &Plan, activation: &Activation, person: &Person, at: Timestamp) -> Fields {
    let (circumstances, circumstances_next) = person.circumstances(workspace, plan, at);
    let mut fields = Fields {
        address: None,
        data: Vec::with_capacity(activation.map.len()),
        next: Timestamp::MAX,
        circumstances,
        circumstances_next,
    };
    for (field, path) in &activation.map {
        let json = match path {
            FieldPath::Identifier(namespace) | FieldPath::HashedIdentifier(namespace) => {
                let candidates = person.known.identifiers_of(namespace);
                let carries_channel = activation.channel.address_namespace() == Some(namespace);
                let passes = |value: &str| {
                    let address = (namespace.clone(), value.to_owned());
                    let party = Party { choices: &person.known.choices, circumstances: &fields.circumstances, contacts: &[] };
                    let asked = Asked {
                        purpose: &activation.purpose,
                        channel: activation.channel,
                        address: Some(&address),
                        destination: Some(&activation.destination),
                    };
                    decide(workspace, asked, party, at).outcome.is_ok_or_soon()
                };
                let chosen = match carries_channel {
                    true => candidates.iter().find(|candidate| passes(&candidate.value)).or(candidates.first()),
                    false => candidates.first(),
                };
                if carries_channel && fields.address.is_none() {
                    fields.address = chosen.map(|identifier| (namespace.clone(), identifier.value.clone()));
                }
                chosen.map(|identifier| match path {
                    FieldPath::HashedIdentifier(_) => serde_json::Value::from(sha256_hex(&identifier.value)).to_string(),
                    _ => serde_json::Value::from(identifier.value.as_str()).to_string(),
                })
            }
            FieldPath::Trait(path) => match path.split_once('.') {
                None => person.known.traits.get(path).map(|value| value.json.clone()),
                Some(_) => person.known.trait_scalar(path).map(|scalar| scalar.to_json().to_string()),
            },
            FieldPath::Computed(key) => {
                let (value, next) = computed_json(plan, workspace, key, person, at);
                fields.next = fields.next.min(next);
                Some(value.to_string())
            }
        };
        if let Some(json) = json.filter(|json| json != "null") {
            fields.data.push((field.clone(), json));
        }
    }
    fields
}

/// SHA-256 of a normalised value, in lower-case hexadecimal digits: what advertising tools match on.
pub fn sha256_hex(value: &str) -> String {
    Sha256::digest(value.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
