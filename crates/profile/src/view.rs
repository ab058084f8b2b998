//! A person as the API gives her (DESIGN §6).

use jumelle_consent::{Choices, Standing};
use jumelle_model::consent::{ConsentState, Scope};
use jumelle_model::time::{Span, Timestamp};
use jumelle_model::workspace::policy::{Case, Policy};
use jumelle_model::{Identifier, Money, Workspace};
use jumelle_segment::Plan;
use serde_json::{Map, Value, json};

use crate::person::{ANONYMOUS_ID, Person, Seen};

/// Her identifiers, each with when and by whom it was seen.
pub fn identifiers_json(person: &Person) -> Vec<Value> {
    let json = |(identifier, seen): (&Identifier, &Seen)| {
        json!({
            "namespace": identifier.namespace, "value": identifier.value,
            "first_seen": seen.first.0.time, "last_seen": seen.last.time, "source": seen.first.1,
        })
    };
    person.known.identifiers.iter().map(json).collect()
}

/// The profile at an instant: computed traits as of then, everything else as folded.
pub fn profile_json(workspace: &Workspace, plan: &Plan, person: &Person, at: Timestamp) -> Value {
    let known = &person.known;
    let mut traits = Map::new();
    let mut provenance = Map::new();
    for (key, value) in &known.traits {
        traits.insert(key.clone(), serde_json::from_str(&value.json).unwrap_or(Value::Null));
        provenance.insert(key.clone(), json!({"source": value.source, "at": value.stamp.time}));
    }
    // Nothing is computed while processing is restricted.
    let is_restricted = known.choices.is_restricted();
    let computed: Map<String, Value> = workspace
        .traits
        .iter()
        .filter(|_| !is_restricted)
        .map(|computed| (computed.key.clone(), computed_json(plan, workspace, &computed.key, person, at).0))
        .collect();
    let segments: Vec<Value> = person.memberships.iter().map(|(key, since)| json!({"key": key, "since": since})).collect();
    json!({
        "id": person.id,
        "identifiers": identifiers_json(person),
        "traits": traits,
        "provenance": provenance,
        "computed": computed,
        "affinities": {},
        "scores": {},
        "segments": segments,
        "consents": consents_json(workspace, plan, person, at),
        "signals": signals_json(&known.choices),
        "absorbed": known.absorbed,
        "refused_joins": known.refusals.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "restricted": is_restricted,
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

fn target_json(scope: &Scope) -> Value {
    match scope {
        Scope::Person => Value::from("person"),
        Scope::Address(namespace, value) => Value::Object(Map::from_iter([(namespace.clone(), Value::from(value.as_str()))])),
    }
}

/// Bounces, complaints, oppositions, objections and restrictions, per channel and scope.
pub fn signals_json(choices: &Choices) -> Vec<Value> {
    let signals = choices.list().into_iter().filter_map(|standing| Some((standing.signal()?, standing)));
    signals
        .map(|(signal, standing)| {
            json!({
                "signal": signal, "channel": standing.channel, "for": target_json(&standing.scope),
                "state": if standing.state == ConsentState::Denied { "on" } else { "lifted" },
                "since": standing.since, "source": standing.source, "receipt": standing.receipt(),
            })
        })
        .collect()
}

/// When a span of the policy is over that begins with a choice: for all channels, the shortest of any.
pub fn choice_ends(
    workspace: &Workspace,
    plan: &Plan,
    person: &Person,
    standing: &Standing,
    at: Timestamp,
    span: fn(&Policy, Case<'_>) -> Option<Span>,
) -> Option<Timestamp> {
    let (circumstances, _) = person.circumstances(workspace, plan, at);
    let country = circumstances.country.as_deref().unwrap_or(&workspace.settings.country);
    let purpose = workspace.purpose(&standing.purpose)?;
    let own = |channel| span(&workspace.policy, Case { purpose, channel, country, business: circumstances.business, at });
    let span = match standing.channel {
        Some(channel) => own(channel),
        None => workspace.channels().into_iter().filter_map(own).min(),
    }?;
    Some(Timestamp(standing.since.0.saturating_add(span.0)))
}

/// Every choice that counts, per purpose, channel and scope; when it stops counting and when she may be asked again, as far as the
/// policy says so for the channel that it names.
pub fn consents_json(workspace: &Workspace, plan: &Plan, person: &Person, at: Timestamp) -> Vec<Value> {
    let after = |standing: &Standing, span| choice_ends(workspace, plan, person, standing, at, span);
    let choices = person.known.choices.list().into_iter().filter(|standing| standing.signal().is_none());
    choices
        .map(|standing| {
            let target = target_json(&standing.scope);
            let granted = standing.state == ConsentState::Granted;
            json!({
                "expires_at": granted.then(|| after(&standing, Policy::expires_after)).flatten(),
                "ask_again_at": after(&standing, Policy::ask_again_after),
                "text_version": standing.text_version(),
                "purpose": standing.purpose,
                "channel": standing.channel,
                "for": target,
                "state": standing.state,
                "since": standing.since,
                "source": standing.source,
                "weak": standing.weak,
                "receipt": standing.receipt(),
                "proof": standing.proof_json(),
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
