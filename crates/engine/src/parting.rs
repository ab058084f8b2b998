//! One person's timeline, folded again as two: what a split does, and what it would do. Reads, changes nothing.
//!
//! Cost: her events are read once, a block (1 MiB) at a time; in memory are the two sides and 16 bytes an event.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use jumelle_collect::{Judged, consents};
use jumelle_consent::Sent;
use jumelle_identify::{Evidence, evidence, identifier_of};
use jumelle_model::consent::{ConsentState, Scope};
use jumelle_model::event::Event;
use jumelle_model::identifier::Identifier;
use jumelle_model::ids::{Position, ProfileId, Stamp};
use jumelle_model::{Signal, Workspace};
use jumelle_profile::{Activated, Held, Known, Person};
use jumelle_segment::Plan;
use jumelle_store::{Block, Entry, Result, Table};

use crate::consents::{adds_nothing, chosen, chosen_at, covered, sole_address};
use crate::corrections::SOURCE as OF_CORRECTION;
use crate::definitions::Definitions;
use crate::fold::read_entry;
use crate::requests::OF_ERASURE;
use crate::shared::Shared;

/// One of the two.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Which {
    /// Keeps the joined person's id.
    Stays,
    /// Gets an id of her own.
    Leaves,
}

/// One of the two, as she would be.
pub struct Side {
    /// What is known of her, where she is a member, and what each tool has of her. Her id is the joined person's still.
    pub person: Person,
    /// Segments that she would be in.
    pub segments: Vec<String>,
    /// Positions of her events.
    pub(crate) timeline: Vec<u64>,
    /// Identifiers that her events have named so far.
    seen: BTreeSet<Identifier>,
}

/// What a split comes to.
pub struct Parted {
    sides: [Side; 2],
    /// Events that name identifiers of both: each is hers whose most trusted one it names.
    pub naming_both: u64,
    /// Keys of identifiers that were found to be wrong of one of the two.
    pub(crate) wrong: HashMap<u128, Which>,
    names: Names,
}

/// Whose each name of a message is.
struct Names {
    leaving: HashSet<u128>,
    known: HashSet<u128>,
    wrong: HashMap<u128, Which>,
    /// JSON text of a value or of its hash, with the rank of its namespace: the most trusted counts.
    texts: HashMap<String, (usize, Which)>,
}

impl Parted {
    /// The one who keeps the id.
    pub fn stays(&self) -> &Side {
        &self.sides[0]
    }

    /// The other one.
    pub fn leaves(&self) -> &Side {
        &self.sides[1]
    }

    pub(crate) fn into_sides(self) -> [Side; 2] {
        self.sides
    }

    fn side(&mut self, which: Which) -> &mut Side {
        match which {
            Which::Stays => &mut self.sides[0],
            Which::Leaves => &mut self.sides[1],
        }
    }

    /// Whose the copy is that a tool has under these names: hers whose address it carries, else hers whose most trusted identifier.
    pub(crate) fn whose(&self, sent: &Sent) -> Which {
        self.names.of_sent(sent)
    }
}

impl Names {
    fn new(workspace: &Workspace, joined: &Person, leaving: &[u128], wrong: HashMap<u128, Which>) -> Names {
        let mut names = Names {
            leaving: leaving.iter().copied().collect(),
            known: joined.known.identifiers.keys().map(Identifier::key).collect(),
            wrong,
            texts: HashMap::new(),
        };
        for identifier in joined.known.identifiers.keys() {
            let rank = workspace.namespace(&identifier.namespace).map_or(usize::MAX, |(rank, _)| rank);
            let Some(which) = names.of(identifier) else { continue };
            for value in [identifier.value.clone(), jumelle_profile::sha256_hex(&identifier.value)] {
                let known = names.texts.entry(serde_json::Value::from(value).to_string()).or_insert((rank, which));
                *known = (rank, which).min(*known);
            }
        }
        names
    }

    fn of(&self, identifier: &Identifier) -> Option<Which> {
        let key = identifier.key();
        if !self.known.contains(&key) {
            return self.wrong.get(&key).copied();
        }
        Some(if self.leaving.contains(&key) { Which::Leaves } else { Which::Stays })
    }

    fn of_sent(&self, sent: &Sent) -> Which {
        let of_address = sent.address.as_ref().and_then(|(namespace, value)| self.of(&Identifier::new(namespace, value)));
        let of_data = || sent.data.iter().filter_map(|(_, json)| self.texts.get(json)).min().map(|(_, which)| *which);
        of_address.or_else(of_data).unwrap_or(Which::Stays)
    }
}

/// The definitions under which an event was folded: who it is and what it chose were decided by them.
struct Then<'a> {
    shared: &'a Shared,
    applied: Vec<Position>,
    taken: usize,
    workspace: Arc<Workspace>,
    judged: Judged,
}

impl<'a> Then<'a> {
    fn new(shared: &'a Shared, now: &Definitions) -> Result<Then<'a>> {
        let rows = shared.behind.scan(Table::Applied, &[], None, usize::MAX)?;
        let applied: Vec<Position> =
            rows.iter().filter_map(|(key, _)| Some(Position(u64::from_be_bytes(key.as_slice().try_into().ok()?)))).collect();
        // A directory from before positions of definitions were kept knows the newest only.
        let workspace = Arc::new(if applied.is_empty() { now.workspace.clone() } else { Workspace::empty() });
        Ok(Then { shared, applied, taken: 0, workspace, judged: Judged::default() })
    }

    fn at(&mut self, position: Position) -> Result<Arc<Workspace>> {
        let until = self.applied.partition_point(|applied| *applied <= position);
        if until > self.taken {
            self.taken = until;
            let applied = self.applied[until - 1];
            if let Some(block) = self.shared.history.block_of(applied)?
                && let Some(record) = block.record(applied)?
                && let Some(workspace) = record.entry.definitions().and_then(|text| Workspace::parse(text).ok())
            {
                self.workspace = Arc::new(workspace);
                self.judged = Judged::default();
            }
        }
        Ok(self.workspace.clone())
    }
}

impl Shared {
    /// Folds a person's events again as those of two: the one who has the identifiers with the keys `leaving`, and the one who has
    /// the others. Memberships are those of the joined person that each would have at `at` under `definitions`.
    pub(crate) fn part(
        &self,
        definitions: &Definitions,
        joined: &Person,
        leaving: &[u128],
        at: jumelle_model::Timestamp,
    ) -> Result<Parted> {
        let timeline = self.timeline_of(joined.id)?;
        let wrong = self.corrected_of(joined, leaving, &timeline)?;
        let names = Names::new(&definitions.workspace, joined, leaving, wrong.clone());
        let mut reading = Reading {
            plan: &definitions.plan,
            joined,
            parted: Parted { sides: [Side::new(joined.id), Side::new(joined.id)], naming_both: 0, wrong, names },
            own: HashSet::with_capacity(timeline.len()),
            let_go: HashSet::new(),
        };
        let mut then = Then::new(self, definitions)?;
        let mut block: Option<Block> = None;
        for position in timeline {
            if !block.as_ref().is_some_and(|block| block.first <= position && position < block.end()) {
                block = self.history.block_of(position)?;
            }
            let Some(record) = (match &block {
                Some(block) => block.record(position)?,
                None => None,
            }) else {
                continue;
            };
            match &record.entry {
                Entry::Event(entry) => {
                    let workspace = then.at(position)?;
                    match read_entry(&workspace, entry, record.received) {
                        Some(event) => reading.event(&workspace, &mut then.judged, position, &event),
                        None => reading.parted.side(Which::Stays).timeline.push(position.0),
                    }
                }
                Entry::Corrected { namespace, wrong, right, .. } => {
                    let (wrong, right) = (Identifier::new(*namespace, *wrong), Identifier::new(*namespace, *right));
                    reading.corrected(&definitions.workspace, position, record.received, &wrong, &right);
                }
                _ => {}
            }
        }
        self.complete_sides(definitions, joined, reading, at)
    }

    /// What is not read from events.
    fn complete_sides(
        &self,
        definitions: &Definitions,
        joined: &Person,
        reading: Reading<'_>,
        at: jumelle_model::Timestamp,
    ) -> Result<Parted> {
        let Reading { mut parted, own, .. } = reading;
        for (identifier, seen) in &joined.known.identifiers {
            if let Some(which) = parted.names.of(identifier) {
                parted.side(which).person.known.identifiers.insert(identifier.clone(), seen.clone());
                if let Some(choice) = self.suppression(identifier)? {
                    parted.side(which).person.known.choices.fold(&choice);
                }
            }
        }
        for which in [Which::Stays, Which::Leaves] {
            let of_events = |stamp: &Stamp, source: &str| own.contains(&stamp.received.0) || source == OF_ERASURE;
            let is_hers = |namespace: &str, value: &str| parted.names.of(&Identifier::new(namespace, value)) == Some(which);
            let elsewhere = joined.known.choices.said_elsewhere(of_events, is_hers);
            parted.side(which).person.known.choices.merge(elsewhere);
        }
        // Ids whose first event it cannot be told stay, and so do joins that were refused.
        let told = parted.sides[1].person.known.absorbed.clone();
        parted.sides[0].person.known.absorbed = joined.known.absorbed.difference(&told).copied().collect();
        parted.sides[0].person.known.refusals = joined.known.refusals.clone();
        parted.sides[0].person.transitions = joined.transitions.clone();
        part_tools(&mut parted, joined);
        for side in &mut parted.sides {
            let (workspace, plan) = (&definitions.workspace, &definitions.plan);
            let facts = side.person.facts(workspace, plan);
            let is_in = |n: &usize| plan.evaluate(*n, &facts, at).member;
            let segments: Vec<String> =
                (0..workspace.segments.len()).filter(is_in).map(|n| workspace.segments[n].key.clone()).collect();
            drop(facts);
            let since = |segment: &String| Some((segment.clone(), *joined.memberships.get(segment)?));
            side.person.memberships = segments.iter().filter_map(since).collect();
            side.segments = segments;
        }
        Ok(parted)
    }

    /// Whose the identifiers were that turned out to be wrong: of the one who has the right one.
    fn corrected_of(&self, joined: &Person, leaving: &[u128], timeline: &[Position]) -> Result<HashMap<u128, Which>> {
        let mut wrong: HashMap<u128, Which> = HashMap::new();
        if self.behind.scan(Table::Corrected, &joined.id.0.to_be_bytes(), None, 1)?.is_empty() {
            return Ok(wrong);
        }
        for position in timeline.iter().rev() {
            let Some(block) = self.history.block_of(*position)? else { continue };
            let Some(record) = block.record(*position)? else { continue };
            if let Entry::Corrected { namespace, wrong: before, right, .. } = &record.entry {
                let right = Identifier::new(*namespace, *right).key();
                let is_leaving = leaving.contains(&right) || wrong.get(&right) == Some(&Which::Leaves);
                let which = if is_leaving { Which::Leaves } else { Which::Stays };
                wrong.insert(Identifier::new(*namespace, *before).key(), which);
            }
        }
        Ok(wrong)
    }
}

impl Side {
    fn new(id: ProfileId) -> Side {
        Side { person: Person::new(id), segments: Vec::new(), timeline: Vec::new(), seen: BTreeSet::new() }
    }
}

/// Her events on their way to the two sides.
struct Reading<'a> {
    plan: &'a Plan,
    joined: &'a Person,
    parted: Parted,
    /// Arrivals of her events: no two entries have the same.
    own: HashSet<i64>,
    /// Wrong identifiers that were replaced up to here.
    let_go: HashSet<u128>,
}

impl Reading<'_> {
    fn event(&mut self, workspace: &Workspace, judged: &mut Judged, position: Position, event: &Event<'_>) {
        let mut evidence = evidence(workspace, event);
        if evidence.identifiers.len() > 1 {
            evidence.identifiers.retain(|identifier| !self.let_go.contains(&identifier.key()));
        }
        let previous = evidence.previous.iter().flat_map(|raw| {
            ["user_id", "anonymous_id"].into_iter().filter_map(|namespace| identifier_of(workspace, namespace, raw).ok())
        });
        let named: Vec<(Identifier, Which)> = evidence
            .identifiers
            .iter()
            .cloned()
            .chain(previous)
            .filter_map(|identifier| self.parted.names.of(&identifier).map(|which| (identifier, which)))
            .collect();
        let which = named.first().map_or(Which::Stays, |(_, which)| *which);
        let (hers, others): (Vec<_>, Vec<_>) = named.into_iter().partition(|(_, of)| *of == which);
        let left_out: Vec<Identifier> = others.into_iter().map(|(identifier, _)| identifier).collect();
        self.parted.naming_both += u64::from(!left_out.is_empty());
        self.own.insert(event.received.0);
        let plan = self.plan;
        let side = self.parted.side(which);
        side.timeline.push(position.0);
        side.seen.extend(hers.into_iter().map(|(identifier, _)| identifier));
        fold_without(workspace, plan, &mut side.person.known, event, &left_out);
        let chosen = consents(event, workspace, judged);
        self.place_ids(which, event, chosen.len());
        for entry in chosen {
            self.choose(workspace, which, event, &evidence, entry);
        }
    }

    /// An id is made from the first evidence: the event that it was made from says whose it was.
    fn place_ids(&mut self, which: Which, event: &Event<'_>, choices: usize) {
        if self.joined.known.absorbed.is_empty() {
            return;
        }
        let of_choices = (0..choices).map(|n| format!("{}#{n}", event.message_id));
        for seed in std::iter::once(event.message_id.to_owned()).chain(of_choices) {
            let id = ProfileId::of_first_evidence(event.received, &seed);
            if self.joined.known.absorbed.contains(&id) {
                self.parted.side(which).person.known.absorbed.insert(id);
            }
        }
    }

    /// As `Fold::consents` takes a choice, with two sides as all the people that there are.
    fn choose(
        &mut self,
        workspace: &Workspace,
        of_event: Which,
        event: &Event<'_>,
        evidence: &Evidence,
        entry: jumelle_collect::ConsentEntry,
    ) {
        let stamp = chosen_at(&entry, event);
        let (owner, scope) = match &entry.target {
            Some((namespace, raw)) => {
                let Ok(identifier) = identifier_of(workspace, namespace, raw) else { return };
                // Somebody else's: it was given to her.
                let Some(owner) = self.parted.names.of(&identifier) else { return };
                match entry.purpose == Signal::Restriction.purpose() {
                    true => (owner, Scope::Person),
                    false => (owner, Scope::Address(identifier.namespace, identifier.value)),
                }
            }
            None => match sole_address(&entry, evidence) {
                Some(one) => {
                    (self.parted.names.of(one).unwrap_or(of_event), Scope::Address(one.namespace.clone(), one.value.clone()))
                }
                None => (of_event, Scope::Person),
            },
        };
        let joined = self.joined;
        let is_hers = |names: &Names, identifier: &Identifier| names.of(identifier) == Some(owner);
        let mut had = BTreeSet::new();
        if scope == Scope::Person && entry.state == ConsentState::Granted {
            had.clone_from(&self.parted.side(owner).seen);
            let known = joined.known.identifiers.iter().filter(|(_, seen)| seen.first.0.received <= event.received);
            had.extend(known.map(|(identifier, _)| identifier.clone()).filter(|one| is_hers(&self.parted.names, one)));
        }
        let side = self.parted.side(owner);
        let stands = side.person.known.choices.stands(&entry.purpose, entry.channel, &scope).filter(|_| entry.is_signal);
        if adds_nothing(stands, &entry, stamp) {
            return;
        }
        let covers = match (&scope, entry.state) {
            (Scope::Person, ConsentState::Granted) => covered(had.iter()),
            _ => Vec::new(),
        };
        side.person.known.choices.fold(&chosen(entry, event.source, scope, covers, stamp));
    }

    /// As `Fold::corrected`; what was refused for the wrong one went with it then.
    fn corrected(
        &mut self,
        workspace: &Workspace,
        position: Position,
        received: jumelle_model::Timestamp,
        wrong: &Identifier,
        right: &Identifier,
    ) {
        let which = self.parted.names.of(right).unwrap_or(Which::Stays);
        self.let_go.insert(wrong.key());
        self.own.insert(received.0);
        let side = self.parted.side(which);
        side.timeline.push(position.0);
        side.seen.remove(wrong);
        side.seen.insert(right.clone());
        let known = &mut side.person.known;
        let repeated = known.trait_scalar(&wrong.namespace).is_some_and(|value| {
            identifier_of(workspace, &wrong.namespace, &value.to_string()).is_ok_and(|known| known == *wrong)
        });
        let stamp = Stamp { time: received, received, ..Stamp::default() };
        known.correct(wrong, right, stamp, OF_CORRECTION, repeated);
        known.choices.let_go(&wrong.namespace, &wrong.value);
    }
}

/// Folds an event that names somebody else too: a trait that repeats the other's name is as little hers as the name.
pub(crate) fn fold_without(workspace: &Workspace, plan: &Plan, known: &mut Known, event: &Event<'_>, left_out: &[Identifier]) {
    let namespaces: BTreeSet<&str> = left_out.iter().map(|identifier| identifier.namespace.as_str()).collect();
    let before: BTreeMap<&str, _> =
        namespaces.iter().map(|namespace| (*namespace, known.traits.get(*namespace).cloned())).collect();
    known.fold(plan, event);
    for (namespace, value) in before {
        let repeats = known.trait_scalar(namespace).is_some_and(|now| {
            identifier_of(workspace, namespace, &now.to_string()).is_ok_and(|identifier| left_out.contains(&identifier))
        });
        match value {
            _ if !repeats => {}
            Some(value) => drop(known.traits.insert(namespace.to_owned(), value)),
            None => drop(known.traits.remove(namespace)),
        }
    }
}

/// A tool knows the joined person by one name: that copy is hers whose name it is. What waits to bring somebody in is ended at the
/// gate ([`jumelle_consent::Reason::TakenApart`]), so what was told last is what was received.
fn part_tools(parted: &mut Parted, joined: &Person) {
    for (activation, standing) in &joined.activations {
        if let Some(received) = &standing.received {
            let is_in = standing.held == Held::In;
            let kept = Activated {
                held: if is_in { Held::In } else { Held::Out },
                last: is_in.then(|| received.clone()),
                received: Some(received.clone()),
            };
            let whose = parted.whose(received);
            parted.side(whose).person.activations.insert(activation.clone(), kept);
        } else if standing.held == Held::Skipped {
            for side in &mut parted.sides {
                side.person.activations.insert(activation.clone(), standing.clone());
            }
        } else if standing.held == Held::Blocked {
            // Why was recorded once.
            parted.sides[0].person.activations.insert(activation.clone(), standing.clone());
        }
    }
}
