//! The fourth step of the fold: the consents that an event carries, and whose they are (DESIGN §8.7).

use std::sync::Arc;

use jumelle_collect::{ConsentEntry, Judged, Shown, consents};
use jumelle_consent::Choices;
use jumelle_identify::{Evidence, identifier_of};
use jumelle_model::consent::{Choice, ConsentState, Scope};
use jumelle_model::event::Event;
use jumelle_model::identifier::Identifier;
use jumelle_model::ids::{ProfileId, Stamp};
use jumelle_model::time::Timestamp;
use jumelle_model::{Proof, Signal};
use jumelle_store::Result;

use crate::definitions::Definitions;
use crate::fold::Fold;

/// Namespaces that a grant of the person covers at its moment.
pub(crate) const ADDRESS_NAMESPACES: [&str; 3] = ["email", "phone", "anonymous_id"];

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

/// The time of the choice, never later than its arrival.
pub(crate) fn chosen_at(entry: &ConsentEntry, event: &Event<'_>) -> Stamp {
    Stamp { time: entry.at.unwrap_or(event.time).min(event.received), ..event.stamp() }
}

/// The address of the choice's channel, if the event names exactly one.
pub(crate) fn sole_address<'e>(entry: &ConsentEntry, evidence: &'e Evidence) -> Option<&'e Identifier> {
    let namespace = entry.channel.and_then(|channel| channel.address_namespace())?;
    let mut named = evidence.identifiers.iter().filter(|identifier| identifier.namespace == namespace);
    named.next().filter(|_| named.next().is_none())
}

/// A string says again what stands (since when, and whether it is weak): it adds nothing, and what was let out names the grant
/// that is noted.
pub(crate) fn adds_nothing(stands: Option<(ConsentState, Timestamp, bool)>, entry: &ConsentEntry, stamp: Stamp) -> bool {
    stands.is_some_and(|(state, since, weak)| {
        (state, entry.state) == (ConsentState::Granted, ConsentState::Granted) && (entry.weak || !weak && since >= stamp.time)
    })
}

/// What an event says, as a choice.
pub(crate) fn chosen(entry: ConsentEntry, source: &str, scope: Scope, covers: Vec<(String, String)>, stamp: Stamp) -> Choice {
    Choice {
        purpose: entry.purpose,
        channel: entry.channel,
        state: entry.state,
        scope,
        covers,
        stamp,
        weak: entry.weak,
        source: source.to_owned(),
        proof: entry.proof.map(Shown::into_proof),
    }
}

/// The addresses and devices among what a person has: what a grant of hers covers.
pub(crate) fn covered<'i>(identifiers: impl Iterator<Item = &'i Identifier>) -> Vec<(String, String)> {
    identifiers
        .filter(|identifier| ADDRESS_NAMESPACES.contains(&identifier.namespace.as_str()))
        .map(|identifier| (identifier.namespace.clone(), identifier.value.clone()))
        .collect()
}

/// Choices of one event that are noted and folded together: those of one signal for one device, or one alone.
struct Together {
    owner: ProfileId,
    /// Place of the first one among the event's choices.
    ordinal: u32,
    of_signal: bool,
    choices: Vec<Heard>,
}

/// A choice, and whether it stood like this before.
struct Heard {
    choice: Choice,
    repeated: bool,
}

impl Together {
    /// It says no more than what was chosen that the others have not said, and nothing of what they have.
    fn takes(&self, owner: ProfileId, choice: &Choice, of_signal: bool) -> bool {
        let of_one_signal = |mine: &Option<Proof>| match (mine, &choice.proof) {
            (Some(mine), Some(other)) => Arc::ptr_eq(mine.parts().0, other.parts().0),
            _ => false,
        };
        let shares = |mine: &Choice| {
            mine.scope == choice.scope && mine.stamp == choice.stamp && mine.weak == choice.weak && of_one_signal(&mine.proof)
        };
        self.of_signal
            && of_signal
            && self.owner == owner
            && self.choices.first().is_some_and(|first| shares(&first.choice))
            && self.choices.iter().all(|mine| (&mine.choice.purpose, mine.choice.channel) != (&choice.purpose, choice.channel))
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
        let mut together: Option<Together> = None;
        let entries = consents(event, &definitions.workspace, self.signals.under(&definitions));
        for (n, entry) in entries.into_iter().enumerate() {
            let stamp = chosen_at(&entry, event);
            let (owner, scope) = match &entry.target {
                Some(target) => {
                    let known = resolved.as_ref().filter(|(of, _)| of == target).map(|(_, found)| found.clone());
                    let Some((owner, identifier)) = (match known {
                        Some(found) => Some(found),
                        None => {
                            // An address may join people: what was said of one of them before is hers first.
                            chose |= self.settle(together.take(), touched)?;
                            self.owner_of_target(target, person, event, evidence, n)?
                        }
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
                None => match sole_address(&entry, evidence) {
                    Some(one) => {
                        let owner = self.shared.people.owner(one)?.unwrap_or(person);
                        (owner, Scope::Address(one.namespace.clone(), one.value.clone()))
                    }
                    None => (person, Scope::Person),
                },
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
            if adds_nothing(repeated, &entry, stamp) {
                continue;
            }
            let covers = match (&scope, entry.state) {
                (Scope::Person, ConsentState::Granted) => {
                    let person = self.shared.people.get(owner)?;
                    covered(person.iter().flat_map(|person| person.known.identifiers.keys()))
                }
                _ => Vec::new(),
            };
            let of_signal = entry.is_signal && covers.is_empty();
            let choice = chosen(entry, event.source, scope, covers, stamp);
            if !together.as_ref().is_some_and(|together| together.takes(owner, &choice, of_signal)) {
                chose |= self.settle(together.take(), touched)?;
            }
            let ordinal = n as u32;
            let together = together.get_or_insert_with(|| Together { owner, ordinal, of_signal, choices: Vec::new() });
            together.choices.push(Heard { choice, repeated: repeated.is_some() });
        }
        chose |= self.settle(together, touched)?;
        Ok(chose)
    }

    /// Notes choices in the ledger, before anything can be let out under them, and folds them. Whether one of them is new.
    fn settle(&mut self, together: Option<Together>, touched: &mut Vec<ProfileId>) -> Result<bool> {
        let Some(Together { owner, ordinal, of_signal, choices }) = together else { return Ok(false) };
        // A repeated refusal is as young as its event; nothing is let out under it.
        let news = choices.iter().filter(|heard| !heard.repeated || heard.choice.state == ConsentState::Granted);
        self.note_choices(owner, news.map(|heard| heard.choice.clone()).collect(), of_signal, ordinal)?;
        let turns = self.shared.people.change(owner, |person| {
            let known = &mut person.known.choices;
            let fold = |Heard { choice, .. }: &Heard| {
                let state =
                    |known: &Choices| known.stands(&choice.purpose, choice.channel, &choice.scope).map(|(state, ..)| state);
                let stood = state(known);
                known.fold(choice);
                (stood, state(known))
            };
            choices.iter().map(fold).collect::<Vec<_>>()
        })?;
        // A choice that is repeated, or older than the one that counts, turns nothing.
        for (Heard { choice, .. }, (stood, stands)) in choices.iter().zip(turns) {
            if let Some(state) = stands.filter(|_| stands != stood) {
                self.chosen_today()?.turned(&choice.purpose, choice.channel, &choice.source, stood, state);
            }
        }
        if !touched.contains(&owner) {
            touched.push(owner);
        }
        let mut chose = false;
        for Heard { choice, .. } in choices.into_iter().filter(|heard| !heard.repeated) {
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
