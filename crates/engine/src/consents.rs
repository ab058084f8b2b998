//! The fourth step of the fold: the consents that an event carries, and whose they are (DESIGN §8.7).

use jumelle_collect::consents;
use jumelle_identify::{Evidence, identifier_of};
use jumelle_model::Signal;
use jumelle_model::consent::{Choice, ConsentState, Scope};
use jumelle_model::event::Event;
use jumelle_model::identifier::Identifier;
use jumelle_model::ids::{ProfileId, Stamp};
use jumelle_store::Result;

use crate::fold::Fold;

/// Namespaces that a grant of the person covers at its moment.
const ADDRESS_NAMESPACES: [&str; 3] = ["email", "phone", "anonymous_id"];

impl Fold {
    /// Folds the consents that an event carries into the people they are about (DESIGN §8.7). Whether one of them is new.
    pub(crate) fn consents(
        &mut self,
        person: ProfileId,
        event: &Event<'_>,
        evidence: &Evidence,
        touched: &mut Vec<ProfileId>,
    ) -> Result<bool> {
        let definitions = self.definitions.clone();
        let mut chose = false;
        for (n, entry) in consents(event, &definitions.workspace).into_iter().enumerate() {
            // The time of the choice, never later than its arrival.
            let time = entry.at.unwrap_or(event.time).min(event.received);
            let stamp = Stamp { time, ..event.stamp() };
            let (owner, scope) = match &entry.target {
                Some((namespace, raw)) => {
                    let Ok(identifier) = identifier_of(&definitions.workspace, namespace, raw) else {
                        metrics::counter!("jumelle_unusable_consents_total").increment(1);
                        continue;
                    };
                    // Mostly it is one of the event's own, which is the person's already.
                    let is_own =
                        evidence.identifiers.contains(&identifier) && self.shared.people.owner(&identifier)? == Some(person);
                    let owner = if is_own {
                        person
                    } else {
                        let alone = Evidence { identifiers: vec![identifier.clone()], ..Evidence::default() };
                        let seed = format!("{}#{n}", event.message_id);
                        let Some(owner) = self.identify(&alone, event.stamp(), event.source, &seed)? else { continue };
                        owner
                    };
                    // A restriction is of the person, by whichever name she is given.
                    match entry.purpose == Signal::Restriction.purpose() {
                        true => (owner, Scope::Person),
                        false => (owner, Scope::Address(identifier.namespace, identifier.value)),
                    }
                }
                None => {
                    let named: Vec<&Identifier> = evidence
                        .identifiers
                        .iter()
                        .filter(|identifier| {
                            entry.channel.and_then(|channel| channel.address_namespace()) == Some(identifier.namespace.as_str())
                        })
                        .collect();
                    match named.as_slice() {
                        [one] => {
                            let owner = self.shared.people.owner(one)?.unwrap_or(person);
                            (owner, Scope::Address(one.namespace.clone(), one.value.clone()))
                        }
                        _ => (person, Scope::Person),
                    }
                }
            };
            let covers = match (&scope, entry.state) {
                (Scope::Person, ConsentState::Granted) => {
                    let person = self.shared.people.get(owner)?;
                    let identifiers = person.iter().flat_map(|person| person.known.identifiers.keys());
                    identifiers
                        .filter(|identifier| ADDRESS_NAMESPACES.contains(&identifier.namespace.as_str()))
                        .map(|identifier| (identifier.namespace.clone(), identifier.value.clone()))
                        .collect()
                }
                _ => Vec::new(),
            };
            let choice = Choice {
                purpose: entry.purpose,
                channel: entry.channel,
                state: entry.state,
                scope,
                covers,
                stamp,
                weak: entry.weak,
                source: event.source.to_owned(),
                proof: entry.proof,
            };
            // A string that comes with each event is noted and told once, not each time.
            let before = match entry.is_signal {
                true => self.shared.people.get(owner)?.and_then(|person| {
                    let address = match &choice.scope {
                        Scope::Address(namespace, value) => Some((namespace.clone(), value.clone())),
                        Scope::Person => None,
                    };
                    person.known.choices.stands(&choice.purpose, choice.channel, address.as_ref())
                }),
                false => None,
            };
            let repeated = before.filter(|(state, ..)| *state == choice.state);
            if let Some((_, since, weak)) = repeated
                && choice.state == ConsentState::Granted
                && (choice.weak || !weak && since >= choice.stamp.time)
            {
                // It adds nothing, and what was let out names the grant that is noted.
                continue;
            }
            // A repeated refusal is as young as its event; nothing is let out under it.
            if repeated.is_none() || choice.state == ConsentState::Granted {
                // Before anything can be let out under it.
                self.note_choice(owner, &choice, n as u32)?;
            }
            self.shared.people.change(owner, |person| person.known.choices.fold(&choice))?;
            if !touched.contains(&owner) {
                touched.push(owner);
            }
            if repeated.is_some() {
                continue;
            }
            chose = true;
            metrics::counter!("jumelle_choices_total", "state" => match choice.state {
                ConsentState::Granted => "granted",
                ConsentState::Denied => "denied",
            })
            .increment(1);
            if let Some(effect) = &mut self.effect {
                effect
                    .consents
                    .push(serde_json::json!({"purpose": choice.purpose, "channel": choice.channel, "state": choice.state}));
            }
        }
        Ok(chose)
    }
}
