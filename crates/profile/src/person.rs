//! One person: what her events say ([`Known`], which merges), and where she stands (memberships, activations).

use std::collections::BTreeSet;

use jumelle_consent::{Asked, Choices, OkOrSoon, Party, Sent, decide};
use jumelle_identify::Refusal;
use jumelle_model::consent::Channel;
use jumelle_model::event::{Event, EventKind, Scalar, json_text};
use jumelle_model::identifier::Identifier;
use jumelle_model::ids::{ProfileId, Stamp};
use jumelle_model::time::{Span, Timestamp};
use jumelle_model::{Json, Workspace};
use jumelle_segment::{Facts, Plan, States};
use litemap::LiteMap;
use serde::{Deserialize, Serialize};

/// Traits of one person at most; past it the oldest go.
pub const TRAITS_MAX: usize = 1_000;
/// The namespace of the ids that browsers and apps make themselves.
pub const ANONYMOUS_ID: &str = "anonymous_id";
/// Refused joins kept per person, the newest.
pub const REFUSALS_MAX: usize = 20;
/// Entries and exits kept per person, the newest.
pub const TRANSITIONS_MAX: usize = 100;

/// A person, as stored.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Person {
    /// The oldest of the ids that she had.
    pub id: ProfileId,
    /// What her events say.
    pub known: Known,
    /// Segments that she is in, and since when.
    pub memberships: LiteMap<String, Timestamp>,
    /// Entries and exits, oldest first.
    pub transitions: Vec<Transition>,
    /// What each activation has done about her.
    pub activations: LiteMap<String, Activated>,
    /// When the passing of time alone may next change something.
    pub due: Timestamp,
}

/// What a person's events say: every part merges.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Known {
    /// Her identifiers.
    pub identifiers: LiteMap<Identifier, Seen>,
    /// People who turned out to be her.
    pub absorbed: BTreeSet<ProfileId>,
    /// Latest value of each trait.
    pub traits: LiteMap<String, TraitValue>,
    /// What she chose.
    pub choices: Choices,
    /// What the conditions and computed traits need.
    pub states: States,
    /// Joins that were refused.
    pub refusals: BTreeSet<Refusal>,
    /// How many events.
    pub events: u64,
    /// Earliest event time.
    pub first_seen: Option<Timestamp>,
    /// Latest event time.
    pub last_seen: Option<Timestamp>,
}

/// When and by whom an identifier was seen.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Seen {
    /// Stamp of the earliest event that named it, with its source.
    pub first: (Stamp, String),
    /// Stamp of the latest.
    pub last: Stamp,
}

/// A trait with its provenance.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct TraitValue {
    /// Which fact it comes from; the later one wins.
    pub stamp: Stamp,
    /// Source key.
    pub source: String,
    /// JSON text.
    pub json: String,
}

/// She entered or left a segment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Transition {
    /// When.
    pub at: Timestamp,
    /// Segment key.
    pub segment: String,
    /// Entered, or left.
    pub entered: bool,
}

/// What an activation has told its destination about her.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Activated {
    /// Where things stand on our side.
    pub held: Held,
    /// What the last message queued to put her there carries.
    pub last: Option<Sent>,
    /// What the destination has received (or may have), until it is taken back.
    pub received: Option<Sent>,
}

/// Where an activation stands with one person.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Held {
    /// Not a member: nothing to keep in step.
    #[default]
    Out,
    /// A member, the gate is closed.
    Blocked,
    /// A member from before the activation, which skips those.
    Skipped,
    /// A member, and told.
    In,
}

impl Person {
    /// Nothing known yet.
    pub fn new(id: ProfileId) -> Person {
        Person {
            id,
            known: Known::default(),
            memberships: LiteMap::new(),
            transitions: Vec::new(),
            activations: LiteMap::new(),
            due: Timestamp::MAX,
        }
    }

    /// Takes in a person who turned out to be the same. Where both stand somewhere, the earlier membership counts, and what a
    /// destination has received of either stays known, so that it can be taken back.
    pub fn absorb(&mut self, other: Person) {
        self.known.absorbed.insert(other.id);
        self.known.merge(other.known);
        for (segment, since) in other.memberships {
            let mine = self.memberships.entry(segment).or_insert(since);
            *mine = since.min(*mine);
        }
        self.transitions.extend(other.transitions);
        self.transitions.sort_by(|a, b| (a.at, &a.segment, a.entered).cmp(&(b.at, &b.segment, b.entered)));
        self.trim_transitions();
        for (key, theirs) in other.activations {
            let mine = self.activations.entry(key).or_default();
            if mine.held != Held::In && theirs.held != Held::Out {
                mine.held = theirs.held;
                mine.last = theirs.last;
            }
            mine.received = mine.received.take().or(theirs.received);
        }
    }

    /// Records an entry or an exit.
    pub fn transition(&mut self, at: Timestamp, segment: &str, entered: bool) {
        if entered {
            self.memberships.insert(segment.to_owned(), at);
        } else {
            self.memberships.remove(segment);
        }
        self.transitions.push(Transition { at, segment: segment.to_owned(), entered });
        self.trim_transitions();
    }

    fn trim_transitions(&mut self) {
        let over = self.transitions.len().saturating_sub(TRANSITIONS_MAX);
        self.transitions.drain(..over);
    }

    /// Known by more than a browser's or an app's own id.
    pub fn is_recognised(&self) -> bool {
        self.known.identifiers.keys().any(|identifier| identifier.namespace != ANONYMOUS_ID)
    }

    /// What rules may ask, under the definitions of `workspace`.
    pub fn facts<'a>(&'a self, workspace: &'a Workspace, plan: &'a Plan) -> impl Facts + 'a {
        PersonFacts { person: self, workspace, plan }
    }
}

impl Known {
    /// Takes in one event: counts it, its traits, and what the conditions need of it. Any order gives the same.
    pub fn fold(&mut self, plan: &Plan, event: &Event<'_>) {
        self.events += 1;
        self.first_seen = Some(self.first_seen.map_or(event.time, |first| first.min(event.time)));
        self.last_seen = Some(self.last_seen.map_or(event.time, |last| last.max(event.time)));
        let stamp = event.stamp();
        if event.kind != EventKind::Group {
            self.fold_traits(&event.traits, stamp, event.source);
        }
        if let Some(traits) = jumelle_model::event::lookup(&event.context, "traits") {
            self.fold_traits(traits, stamp, event.source);
        }
        plan.observe(&mut self.states, event);
    }

    fn fold_traits(&mut self, traits: &Json<'_>, stamp: Stamp, source: &str) {
        let Json::Object(object) = traits else { return };
        for (key, value) in object.iter() {
            let newer = self.traits.get(key).is_none_or(|mine| mine.stamp <= stamp);
            if newer {
                let value = TraitValue { stamp, source: source.to_owned(), json: json_text(value) };
                merge_trait(&mut self.traits, key, value);
            }
        }
        self.trim_traits();
    }

    fn trim_traits(&mut self) {
        while self.traits.len() > TRAITS_MAX {
            let oldest = self.traits.iter().min_by_key(|(key, value)| (value.stamp, *key)).map(|(key, _)| key.clone());
            if let Some(key) = oldest {
                self.traits.remove(&key);
            }
        }
    }

    /// An identifier was named by an event.
    pub fn see(&mut self, identifier: &Identifier, stamp: Stamp, source: &str) {
        match self.identifiers.get_mut(identifier) {
            Some(mine) => {
                if (stamp, source) < (mine.first.0, mine.first.1.as_str()) {
                    mine.first = (stamp, source.to_owned());
                }
                mine.last = mine.last.max(stamp);
            }
            None => {
                self.identifiers.insert(identifier.clone(), Seen { first: (stamp, source.to_owned()), last: stamp });
            }
        }
    }

    /// Puts an identifier in the place of a wrong one; `repeated`: also in the trait of that name.
    pub fn correct(&mut self, wrong: &Identifier, right: &Identifier, stamp: Stamp, source: &str, repeated: bool) {
        self.identifiers.remove(wrong);
        self.see(right, stamp, source);
        if repeated {
            let json = Scalar::Text(right.value.clone()).to_json().to_string();
            merge_trait(&mut self.traits, &right.namespace, TraitValue { stamp, source: source.to_owned(), json });
        }
    }

    /// Keeps a refused join.
    pub fn refuse(&mut self, refusal: Refusal) {
        self.refusals.insert(refusal);
        while self.refusals.len() > REFUSALS_MAX {
            self.refusals.pop_first();
        }
    }

    /// Joins what is known of two people.
    pub fn merge(&mut self, other: Known) {
        for (identifier, seen) in other.identifiers {
            merge_seen(&mut self.identifiers, identifier, seen);
        }
        self.absorbed.extend(other.absorbed);
        for (key, value) in other.traits {
            merge_trait(&mut self.traits, &key, value);
        }
        self.trim_traits();
        self.choices.merge(other.choices);
        self.states.merge(other.states);
        for refusal in other.refusals {
            self.refuse(refusal);
        }
        self.events += other.events;
        self.first_seen = [self.first_seen, other.first_seen].into_iter().flatten().min();
        self.last_seen = self.last_seen.max(other.last_seen);
    }

    /// A trait by dotted path, as a single value.
    pub fn trait_scalar(&self, path: &str) -> Option<Scalar> {
        let (key, rest) = match path.split_once('.') {
            Some((key, rest)) => (key, Some(rest)),
            None => (path, None),
        };
        let value: Json<'_> = serde_json::from_str(&self.traits.get(key)?.json).ok()?;
        match rest {
            Some(rest) => jumelle_model::event::lookup(&value, rest).and_then(Scalar::from_json),
            None => Scalar::from_json(&value),
        }
    }

    /// Whether a trait is there and not null; a list or an object is.
    pub fn trait_exists(&self, path: &str) -> bool {
        let (key, rest) = path.split_once('.').map_or((path, None), |(key, rest)| (key, Some(rest)));
        let Some(value) = self.traits.get(key).and_then(|value| serde_json::from_str::<Json<'_>>(&value.json).ok()) else {
            return false;
        };
        match rest {
            Some(rest) => jumelle_model::event::lookup(&value, rest).is_some(),
            None => !value.is_null(),
        }
    }

    /// When she was first collected: her earliest event, or the earliest that named one of her identifiers.
    pub fn collected(&self) -> Option<Timestamp> {
        self.identifiers.values().map(|seen| seen.first.0.time).chain(self.first_seen).min()
    }

    /// Her identifiers of a namespace, the latest seen first.
    pub fn identifiers_of<'a>(&'a self, namespace: &str) -> Vec<&'a Identifier> {
        let mut found: Vec<(&Identifier, &Seen)> =
            self.identifiers.iter().filter(|(identifier, _)| identifier.namespace == namespace).collect();
        found.sort_by(|a, b| b.1.last.cmp(&a.1.last).then_with(|| a.0.cmp(b.0)));
        found.into_iter().map(|(identifier, _)| identifier).collect()
    }
}

fn merge_trait(traits: &mut LiteMap<String, TraitValue>, key: &str, value: TraitValue) {
    match traits.get_mut(key) {
        Some(mine) if *mine >= value => {}
        Some(mine) => *mine = value,
        None => {
            traits.insert(key.to_owned(), value);
        }
    }
}

fn merge_seen(identifiers: &mut LiteMap<Identifier, Seen>, identifier: Identifier, seen: Seen) {
    match identifiers.get_mut(&identifier) {
        Some(mine) => {
            if seen.first < mine.first {
                mine.first = seen.first;
            }
            mine.last = mine.last.max(seen.last);
        }
        None => {
            identifiers.insert(identifier, seen);
        }
    }
}

struct PersonFacts<'a> {
    person: &'a Person,
    workspace: &'a Workspace,
    plan: &'a Plan,
}

impl Facts for PersonFacts<'_> {
    fn trait_value(&self, path: &str) -> Option<Scalar> {
        self.person.known.trait_scalar(path)
    }

    fn trait_exists(&self, path: &str) -> bool {
        self.person.known.trait_exists(path)
    }

    /// Open if the gate would let a message through to one of her addresses of the channel, or to her where there is none, at
    /// some hour; without a channel, if she granted the purpose as a whole and that counts.
    fn consent_open(&self, purpose: &str, channel: Option<Channel>, at: Timestamp) -> bool {
        let choices = &self.person.known.choices;
        let Some(channel) = channel else {
            let declared = self.workspace.purpose(purpose);
            return choices.standing(purpose, None, None, at).is_some_and(|standing| {
                let age = Span(at.0.saturating_sub(standing.since.0));
                standing.state == jumelle_model::ConsentState::Granted
                    && declared.is_none_or(|declared| {
                        declared.takes_version(|| standing.text_version())
                            && declared.terms.expires_after.is_none_or(|expires_after| age < expires_after)
                    })
            });
        };
        let (circumstances, _) = self.person.circumstances(self.workspace, self.plan, at);
        let party = Party { choices, circumstances: &circumstances, contacts: &[] };
        let addresses =
            channel.address_namespace().map(|namespace| self.person.known.identifiers_of(namespace)).unwrap_or_default();
        let open = |address: Option<&(String, String)>| {
            let asked = Asked { purpose, channel, address, destination: None };
            decide(self.workspace, asked, party, at).outcome.is_ok_or_soon()
        };
        if addresses.is_empty() {
            return open(None);
        }
        addresses.iter().any(|address| open(Some(&(address.namespace.clone(), address.value.clone()))))
    }

    fn collected(&self) -> Option<Timestamp> {
        self.person.known.collected()
    }

    fn states(&self) -> &States {
        &self.person.known.states
    }
}
