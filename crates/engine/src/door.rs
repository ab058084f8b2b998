//! Consent on the way in: what of an event is stored at all. Before the history, so a replay finds what was kept.
//!
//! A source without `reduce` costs one look at its definition; with it, each event is read once more and its people are looked up.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use jumelle_collect::reduced::{choice_alone, counted_name, of_nobody};
use jumelle_collect::{Collected, ConsentEntry, Judged, Rejected, Shown, consents, is_choice};
use jumelle_consent::Choices;
use jumelle_consent::reduction::{Arriving, deciding};
use jumelle_consent::signals::DEVICE;
use jumelle_identify::{evidence, identifier_of};
use jumelle_model::consent::{Choice, ConsentState, Scope, Signal};
use jumelle_model::event::{Event, EventKind};
use jumelle_model::identifier::Identifier;
use jumelle_model::ids::{ProfileId, Stamp};
use jumelle_model::time::Timestamp;
use jumelle_model::workspace::reduce::{Reduce, Reduction};
use jumelle_profile::Person;
use jumelle_store::{EventEntry, Result};

use crate::committer::Draft;
use crate::consents::ADDRESS_NAMESPACES;
use crate::definitions::Definitions;
use crate::fold::read_entry;
use crate::shared::Shared;

/// An event that is not stored as it came.
#[derive(Clone, Debug)]
pub struct Reduced {
    /// Source key.
    pub source: Arc<str>,
    /// The sender's message id: known in memory for as long as repeats are, and written nowhere.
    pub message_id: String,
    /// The name that it is counted under.
    pub event: String,
    /// The purpose that is refused.
    pub purpose: String,
    /// What is left.
    pub to: Reduction,
    /// Beside a count.
    pub kept: Kept,
}

/// What is stored of a reduced event, beside a count.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kept {
    /// Nothing.
    Nothing,
    /// An event of nobody.
    OfNobody(Collected),
    /// The choice that it carries, which is news.
    Choice(Collected),
}

/// Decides about the events of one request, in their order: what an earlier one refuses counts for the later ones.
pub struct Door<'s> {
    shared: &'s Shared,
    definitions: Arc<Definitions>,
    source: Arc<str>,
    rules: Arc<[Reduce]>,
    judged: Judged,
    heard: Heard,
    now: Timestamp,
}

/// What was chosen in this request so far. What an event asks of it has a bound, however many choices came before: its person's,
/// and those of the addresses that it names itself.
#[derive(Default)]
struct Heard {
    /// Of persons: those whom events name together are one.
    of_persons: Vec<Choices>,
    person: HashMap<Name, usize>,
    of_addresses: HashMap<(String, String), Choices>,
}

/// What makes two events of a request speak of one person.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Name {
    Identifier(Identifier),
    Profile(ProfileId),
}

/// What the door makes of one event.
struct Judgement {
    rule: Option<Reduce>,
    /// It carries a choice that is not known yet.
    is_news: bool,
    /// It carries one that is not a device's.
    of_person: bool,
    /// Values that name the person.
    names: Vec<String>,
}

impl Reduced {
    /// About how many it has.
    pub(crate) fn bytes(&self) -> usize {
        let kept = match &self.kept {
            Kept::Nothing => 0,
            Kept::OfNobody(event) | Kept::Choice(event) => event.body.len(),
        };
        kept + 256
    }
}

impl Shared {
    /// The door for one request of a source. `None`: the source reduces nothing.
    pub fn door(&self, source: &Arc<str>) -> Option<Door<'_>> {
        let definitions = self.definitions();
        let rules = definitions.workspace.reductions(source);
        if rules.is_empty() {
            return None;
        }
        Some(Door {
            rules: rules.into(),
            shared: self,
            definitions,
            source: source.clone(),
            judged: Judged::default(),
            heard: Heard::default(),
            // Arrivals are stamped later, and no choice is younger than its arrival.
            now: Timestamp(self.wall.now().0.max(self.now().0)),
        })
    }

    /// What is stored of events of a source.
    pub fn admit(&self, source: &Arc<str>, collected: Vec<Collected>, make_id: &mut dyn FnMut() -> String) -> Result<Vec<Draft>> {
        match self.door(source) {
            None => Ok(collected.into_iter().map(|event| Draft::Event { source: source.clone(), event }).collect()),
            Some(mut door) => collected.into_iter().map(|event| door.admit(event, make_id)).collect(),
        }
    }
}

impl Door<'_> {
    /// What is stored of an event.
    pub fn admit(&mut self, event: Collected, make_id: &mut dyn FnMut() -> String) -> Result<Draft> {
        let definitions = self.definitions.clone();
        let (source, workspace) = (self.source.clone(), &definitions.workspace);
        let entry =
            EventEntry { kind: event.kind, source: &source, message_id: &event.message_id, time: event.time, body: &event.body };
        // Collection lets in nothing that cannot be read.
        let Some(read) = read_entry(workspace, &entry, self.now) else {
            return Ok(Draft::Event { source: source.clone(), event });
        };
        let judgement = self.judge(&definitions, &read)?;
        let Some(rule) = judgement.rule else {
            drop(read);
            return Ok(Draft::Event { source: source.clone(), event });
        };
        if is_choice(&read) && event.has_consents {
            // It is the choice itself: nothing is left out of the counts by keeping it.
            let event = choice_alone(&read, &event, judgement.of_person);
            return Ok(Draft::Event { source: source.clone(), event });
        }
        let names: Vec<&str> = judgement.names.iter().map(String::as_str).collect();
        // Beside the choice in its block, an event of nobody would be hers: then it is counted only.
        let kept = match rule.to {
            _ if judgement.is_news => Kept::Choice(choice_alone(&read, &event, judgement.of_person)),
            Reduction::Anonymous => of_nobody(&read, workspace, &names, make_id()).map_or(Kept::Nothing, Kept::OfNobody),
            Reduction::Dropped | Reduction::Counted => Kept::Nothing,
        };
        Ok(Draft::Reduced(Box::new(Reduced {
            event: counted_name(&read, workspace).to_owned(),
            message_id: event.message_id.clone(),
            purpose: rule.purpose.clone(),
            to: rule.to,
            source: source.clone(),
            kept,
        })))
    }

    /// Whether what was not understood, or is set aside, may be kept as it came: not if it is reduced, nor if that cannot be said.
    pub fn may_keep(&mut self, rejected: &Rejected) -> Result<bool> {
        if rejected.field.starts_with("context.consent") || rejected.field.starts_with("context.gpc") {
            return Ok(false);
        }
        let definitions = self.definitions.clone();
        let source = self.source.clone();
        let call: serde_json::Value = serde_json::from_str(&rejected.body).unwrap_or_default();
        let Some(kind) = call.is_object().then(|| call["type"].as_str().and_then(EventKind::parse).unwrap_or(EventKind::Track))
        else {
            return Ok(false);
        };
        let entry = EventEntry { kind, source: &source, message_id: "", time: self.now, body: &rejected.body };
        let Some(read) = read_entry(&definitions.workspace, &entry, self.now) else { return Ok(false) };
        Ok(self.judge(&definitions, &read)?.rule.is_none())
    }

    fn judge(&mut self, definitions: &Definitions, event: &Event<'_>) -> Result<Judgement> {
        let workspace = &definitions.workspace;
        let evidence = evidence(workspace, event);
        let mut identifiers = evidence.identifiers;
        if let Some(previous) = &evidence.previous {
            identifiers.extend(["user_id", "anonymous_id"].iter().filter_map(|of| identifier_of(workspace, of, previous).ok()));
        }
        let mut names: Vec<Name> = identifiers.iter().cloned().map(Name::Identifier).collect();
        let mut people: Vec<Arc<Person>> = Vec::new();
        for identifier in &identifiers {
            let Some(person) = self.shared.person_named(identifier)? else { continue };
            if people.iter().all(|known| known.id != person.id) {
                names.push(Name::Profile(person.id));
                people.push(person);
            }
        }
        let own = identifiers.iter();
        let covered: Vec<&Identifier> = own.chain(people.iter().flat_map(|person| person.known.identifiers.keys())).collect();
        let addresses: Vec<(String, String)> =
            identifiers.iter().map(|identifier| (identifier.namespace.clone(), identifier.value.clone())).collect();
        // Mostly there is one person, and nothing to add to what she chose.
        let mut choices = match people.as_slice() {
            [person] => Cow::Borrowed(&person.known.choices),
            people => Cow::Owned(people.iter().fold(Choices::default(), |mut all, person| {
                all.merge(person.known.choices.clone());
                all
            })),
        };
        let person = self.heard.person(names);
        self.heard.add_to(&mut choices, person, &addresses);

        let (mut is_news, mut of_person, mut refuses) = (false, false, Vec::new());
        for entry in consents(event, workspace, &mut self.judged) {
            if entry.is_signal && entry.state == ConsentState::Denied {
                refuses.push((entry.purpose.clone(), entry.channel));
            }
            of_person |= entry.target.as_ref().is_none_or(|(namespace, _)| namespace != DEVICE);
            let Some(choice) = self.choice(event, &identifiers, &covered, &entry) else { continue };
            is_news |= take_in(choices.to_mut(), &choice, &entry, event);
            self.heard.take_in(person, choice);
        }
        let arriving = Arriving {
            kind: event.kind,
            name: &event.name,
            addresses: &addresses,
            refuses: &refuses,
            choices: &choices,
            at: self.now,
        };
        let sent = [&event.user_id, &event.anonymous_id, &event.previous_id].into_iter().flatten().map(|id| id.to_string());
        let rule = deciding(workspace, &self.rules, arriving).cloned();
        let names = match rule {
            Some(_) => covered.into_iter().map(|identifier| identifier.value.clone()).chain(sent).collect(),
            None => Vec::new(),
        };
        Ok(Judgement { rule, is_news, of_person, names })
    }

    /// As the fold would note it (`consents.rs`); without a proof, which decides nothing.
    fn choice(
        &self,
        event: &Event<'_>,
        identifiers: &[Identifier],
        covered: &[&Identifier],
        entry: &ConsentEntry,
    ) -> Option<Choice> {
        let of_channel = entry.channel.and_then(|channel| channel.address_namespace());
        let scope = match &entry.target {
            Some((namespace, raw)) => {
                let identifier = identifier_of(&self.definitions.workspace, namespace, raw).ok()?;
                match entry.purpose == Signal::Restriction.purpose() {
                    true => Scope::Person,
                    false => Scope::Address(identifier.namespace, identifier.value),
                }
            }
            None => {
                let named: Vec<&Identifier> =
                    identifiers.iter().filter(|identifier| of_channel == Some(identifier.namespace.as_str())).collect();
                match named.as_slice() {
                    [one] => Scope::Address(one.namespace.clone(), one.value.clone()),
                    _ => Scope::Person,
                }
            }
        };
        let covers = covered
            .iter()
            .filter(|identifier| ADDRESS_NAMESPACES.contains(&identifier.namespace.as_str()))
            .map(|identifier| (identifier.namespace.clone(), identifier.value.clone()));
        let time = entry.at.unwrap_or(event.time).min(event.received);
        // A text's version decides whether a grant still counts; a signal's proof has none.
        let proof = match &entry.proof {
            Some(Shown::Sent(proof)) => Some(proof.clone()),
            _ => None,
        };
        Some(Choice {
            purpose: entry.purpose.clone(),
            channel: entry.channel,
            state: entry.state,
            covers: match (&scope, entry.state) {
                (Scope::Person, ConsentState::Granted) => covers.collect(),
                _ => Vec::new(),
            },
            scope,
            stamp: Stamp { time, ..event.stamp() },
            weak: entry.weak,
            source: event.source.to_owned(),
            proof,
        })
    }
}

/// Takes in a choice. Whether it is news: a string that comes with each event says the same each time, and noted each time it would
/// say where somebody is who refused to be followed.
fn take_in(known: &mut Choices, choice: &Choice, entry: &ConsentEntry, event: &Event<'_>) -> bool {
    let stands = |known: &Choices| known.stands(&choice.purpose, choice.channel, &choice.scope);
    let before = stands(known);
    known.fold(choice);
    let state = |standing: Option<(ConsentState, Timestamp, bool)>| standing.map(|(state, ..)| state);
    let Some((stood, since, weak)) = before.filter(|_| state(before) == state(stands(known))) else { return true };
    let is_younger = since < choice.stamp.time;
    match choice.state {
        // It is older than what counts, or weaker.
        _ if stood != choice.state => is_choice(event),
        // A refusal is renewed by an act alone: a choice event, or one that says when it was made.
        ConsentState::Denied => !entry.is_signal && is_younger && (is_choice(event) || entry.at.is_some()),
        ConsentState::Granted => !choice.weak && (weak || is_younger),
    }
}

impl Heard {
    /// The person whom these names lead to; those whom they led to before are one from now on.
    fn person(&mut self, names: Vec<Name>) -> usize {
        let mut known: Vec<usize> = names.iter().filter_map(|name| self.person.get(name).copied()).collect();
        known.sort_unstable();
        known.dedup();
        let person = known.first().copied().unwrap_or_else(|| {
            self.of_persons.push(Choices::default());
            self.of_persons.len() - 1
        });
        for other in known.into_iter().skip(1) {
            let choices = std::mem::take(&mut self.of_persons[other]);
            self.of_persons[person].merge(choices);
            self.person.values_mut().filter(|of| **of == other).for_each(|of| *of = person);
        }
        self.person.extend(names.into_iter().map(|name| (name, person)));
        person
    }

    /// Adds what was said of a person and of these addresses.
    fn add_to(&self, choices: &mut Cow<'_, Choices>, person: usize, addresses: &[(String, String)]) {
        let of_addresses = addresses.iter().filter_map(|address| self.of_addresses.get(address));
        for said in self.of_persons.get(person).into_iter().chain(of_addresses).filter(|said| !said.is_empty()) {
            choices.to_mut().merge(said.clone());
        }
    }

    /// Takes in a choice: a grant of the person is one of each address that it covers, too.
    fn take_in(&mut self, person: usize, choice: Choice) {
        let alone = Choice { covers: Vec::new(), ..choice.clone() };
        for address in choice.covers {
            let of_address = Choice { scope: Scope::Address(address.0.clone(), address.1.clone()), ..alone.clone() };
            self.of_addresses.entry(address).or_default().fold(&of_address);
        }
        match &alone.scope {
            Scope::Person => self.of_persons[person].fold(&alone),
            Scope::Address(namespace, value) => {
                self.of_addresses.entry((namespace.clone(), value.clone())).or_default().fold(&alone);
            }
        }
    }
}
