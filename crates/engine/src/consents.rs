//! The fourth step of the fold: the consents that an event carries, and whose they are (DESIGN §8.7).

use std::sync::Arc;

use jumelle_collect::{Judged, Proof, consents};
use jumelle_identify::{Evidence, identifier_of};
use jumelle_model::Signal;
use jumelle_model::consent::{Choice, ConsentState, Scope};
use jumelle_model::event::Event;
use jumelle_model::identifier::Identifier;
use jumelle_model::ids::{ProfileId, Stamp};
use jumelle_store::Result;

use crate::definitions::Definitions;
use crate::fold::Fold;

/// Namespaces that a grant of the person covers at its moment.
const ADDRESS_NAMESPACES: [&str; 3] = ["email", "phone", "anonymous_id"];

/// What strings mean, under the definitions in force.
#[derive(Default)]
pub(crate) struct Signals {
    under: Option<Arc<Definitions>>,
    judged: Judged,
}

impl Signals {
    fn under(&mut self, definitions: &Arc<Definitions>) -> &mut Judged {
        if !self.under.as_ref().is_some_and(|under| Arc::ptr_eq(under, definitions)) {
            *self = Signals { under: Some(definitions.clone()), judged: Judged::default() };
        }
        &mut self.judged
    }
}

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
        // Most choices of an event are for one and the same address.
        let mut resolved: Option<((String, String), (ProfileId, Identifier))> = None;
        let entries = consents(event, &definitions.workspace, self.signals.under(&definitions));
        for (n, entry) in entries.into_iter().enumerate() {
            // The time of the choice, never later than its arrival.
            let time = entry.at.unwrap_or(event.time).min(event.received);
            let stamp = Stamp { time, ..event.stamp() };
            let (owner, scope) = match &entry.target {
                Some(target) => {
                    let known = resolved.as_ref().filter(|(of, _)| of == target).map(|(_, found)| found.clone());
                    let Some((owner, identifier)) = (match known {
                        Some(found) => Some(found),
                        None => self.owner_of_target(target, person, event, evidence, n)?,
                    }) else {
                        continue;
                    };
                    resolved = Some((target.clone(), (owner, identifier.clone())));
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
            // A string that comes with each event is noted and told once, not each time.
            let before = match entry.is_signal {
                true => self
                    .shared
                    .people
                    .get(owner)?
                    .and_then(|person| person.known.choices.stands(&entry.purpose, entry.channel, &scope)),
                false => None,
            };
            let repeated = before.filter(|(state, ..)| *state == entry.state);
            if let Some((_, since, weak)) = repeated
                && entry.state == ConsentState::Granted
                && (entry.weak || !weak && since >= time)
            {
                // It adds nothing, and what was let out names the grant that is noted.
                continue;
            }
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
                proof: entry.proof.map(Proof::into_json),
            };
            // A repeated refusal is as young as its event; nothing is let out under it.
            if repeated.is_none() || choice.state == ConsentState::Granted {
                // Before anything can be let out under it.
                self.note_choice(owner, choice.clone(), n as u32)?;
            }
            let (stood, stands) = self.shared.people.change(owner, |person| {
                let choices = &mut person.known.choices;
                let stood = choices.stands(&choice.purpose, choice.channel, &choice.scope).map(|(state, ..)| state);
                choices.fold(&choice);
                (stood, choices.stands(&choice.purpose, choice.channel, &choice.scope).map(|(state, ..)| state))
            })?;
            // A choice that is repeated, or older than the one that counts, turns nothing.
            if let Some(state) = stands.filter(|_| stands != stood) {
                self.chosen_today()?.turned(&choice.purpose, choice.channel, &choice.source, stood, state);
            }
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

    /// Whose the address is that the `n`-th choice of an event names. `None`: it is no address, which is counted.
    fn owner_of_target(
        &mut self,
        (namespace, raw): &(String, String),
        person: ProfileId,
        event: &Event<'_>,
        evidence: &Evidence,
        n: usize,
    ) -> Result<Option<(ProfileId, Identifier)>> {
        let Ok(identifier) = identifier_of(&self.definitions.workspace, namespace, raw) else {
            metrics::counter!("jumelle_unusable_consents_total").increment(1);
            return Ok(None);
        };
        // Mostly it is one of the event's own, which is the person's already.
        if evidence.identifiers.contains(&identifier) && self.shared.people.owner(&identifier)? == Some(person) {
            return Ok(Some((person, identifier)));
        }
        let alone = Evidence { identifiers: vec![identifier.clone()], ..Evidence::default() };
        let seed = format!("{}#{n}", event.message_id);
        let owner = self.identify(&alone, event.stamp(), event.source, &seed)?;
        Ok(owner.map(|owner| (owner, identifier)))
    }
}
