//! The steps of an event's way, one by one: `cargo bench -p jumelle-bench`.
//!
//! Each works on what Maison Lumière sends, with people as they are after its first ten thousand events. Time and allocations are
//! of one event (decode: of one event of a batch of 100).

#[path = "../tests/input/mod.rs"]
mod input;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

use divan::Bencher;
use divan::counter::ItemsCount;
use input::{BATCH_EVENTS, batches, workspace};
use jumelle_collect::{Collected, Judged, Limits, consents, decode_batch, read_event};
use jumelle_consent::{Asked, Party, decide};
use jumelle_identify::{Evidence, Graph, evidence, resolve};
use jumelle_model::Workspace;
use jumelle_model::event::Event;
use jumelle_model::identifier::Identifier;
use jumelle_model::ids::ProfileId;
use jumelle_model::time::Timestamp;
use jumelle_model::workspace::Vocabulary;
use jumelle_profile::Person;
use jumelle_segment::Plan;

#[global_allocator]
static ALLOCATOR: divan::AllocProfiler<mimalloc::MiMalloc> = divan::AllocProfiler::new(mimalloc::MiMalloc);

fn main() {
    LazyLock::force(&SHOP);
    divan::main();
}

/// Batches from which people are made, and those that are measured.
const BEFORE: usize = 100;
const MEASURED: usize = 10;

static SHOP: LazyLock<World> = LazyLock::new(World::new);

/// The house without its storage: who is who, and what is known of each.
struct World {
    workspace: Workspace,
    plan: Plan,
    limits: Limits,
    now: Timestamp,
    /// Bodies that are measured.
    bodies: Vec<String>,
    stored: Vec<(&'static str, Collected)>,
    owners: HashMap<Identifier, ProfileId>,
    people: HashMap<ProfileId, Person>,
}

impl Graph for World {
    fn owner(&self, identifier: &Identifier) -> Option<ProfileId> {
        self.owners.get(identifier).copied()
    }

    fn counts(&self, person: ProfileId) -> BTreeMap<String, u32> {
        let mut counts = BTreeMap::new();
        for identifier in self.people.get(&person).iter().flat_map(|person| person.known.identifiers.keys()) {
            *counts.entry(identifier.namespace.clone()).or_default() += 1;
        }
        counts
    }
}

impl World {
    fn new() -> World {
        let workspace = workspace();
        let limits = Limits { signals: workspace.signals_read(), ..Limits::default() };
        let mut world = World {
            plan: Plan::compile(&workspace),
            limits,
            workspace,
            now: Timestamp::parse("2026-10-01T00:00:00Z").unwrap(),
            bodies: Vec::new(),
            stored: Vec::new(),
            owners: HashMap::new(),
            people: HashMap::new(),
        };
        for (n, batch) in batches(BEFORE + MEASURED).into_iter().enumerate() {
            let collected = world.decode(&batch.body);
            if n < BEFORE {
                collected.iter().for_each(|event| world.take(batch.source, event));
            } else {
                world.stored.extend(collected.into_iter().map(|event| (batch.source, event)));
                world.bodies.push(batch.body);
            }
        }
        world
    }

    fn decode(&self, body: &str) -> Vec<Collected> {
        decode_batch(body, &self.limits, self.now, &mut || "made".to_owned()).unwrap().collected
    }

    fn read<'a>(&self, source: &'a str, event: &'a Collected) -> Event<'a> {
        let times = (event.time, self.now);
        read_event(event.kind, source, &event.message_id, times, &event.body, Vocabulary::Segment).unwrap()
    }

    fn take(&mut self, source: &str, collected: &Collected) {
        let event = self.read(source, collected);
        let evidence = evidence(&self.workspace, &event);
        let Some(found) = resolve(&self.workspace, self, &evidence, self.now, &collected.message_id) else { return };
        let mut person = self.people.remove(&found.person).unwrap_or_else(|| Person::new(found.person));
        for absorbed in &found.absorbed {
            person.absorb(self.people.remove(absorbed).unwrap());
        }
        for identifier in found.seen {
            person.known.see(&identifier, event.stamp(), source);
        }
        person.known.fold(&self.plan, &event);
        self.owners.extend(person.known.identifiers.keys().map(|identifier| (identifier.clone(), found.person)));
        self.people.insert(found.person, person);
    }

    /// The measured events with what is known of whose they are.
    fn measured(&self) -> Vec<(Event<'_>, Evidence, Option<&Person>)> {
        let events = self.stored.iter().map(|(source, event)| self.read(source, event));
        events
            .map(|event| {
                let evidence = evidence(&self.workspace, &event);
                let owner = evidence.identifiers.iter().find_map(|identifier| self.owner(identifier));
                (event, evidence, owner.and_then(|owner| self.people.get(&owner)))
            })
            .collect()
    }
}

/// A request's bytes to checked events.
#[divan::bench]
fn decode(bencher: Bencher<'_, '_>) {
    let bodies = &SHOP.bodies;
    let mut next = bodies.iter().cycle();
    bencher
        .counter(ItemsCount::new(BATCH_EVENTS))
        .with_inputs(|| next.next().unwrap())
        .bench_local_refs(|body| SHOP.decode(body));
}

/// What was stored, read again.
#[divan::bench]
fn read(bencher: Bencher<'_, '_>) {
    let mut next = SHOP.stored.iter().cycle();
    bencher
        .counter(ItemsCount::new(1u32))
        .with_inputs(|| next.next().unwrap())
        .bench_local_values(|(source, event)| SHOP.read(source, event));
}

/// Identifiers found and normalised.
#[divan::bench]
fn normalise(bencher: Bencher<'_, '_>) {
    let measured = SHOP.measured();
    let mut next = measured.iter().cycle();
    bencher
        .counter(ItemsCount::new(1u32))
        .with_inputs(|| next.next().unwrap())
        .bench_local_values(|(event, ..)| evidence(&SHOP.workspace, event));
}

/// Who it is, on a graph in memory.
#[divan::bench]
fn identify(bencher: Bencher<'_, '_>) {
    let measured = SHOP.measured();
    let mut next = measured.iter().cycle();
    bencher
        .counter(ItemsCount::new(1u32))
        .with_inputs(|| next.next().unwrap())
        .bench_local_values(|(event, evidence, _)| resolve(&SHOP.workspace, &*SHOP, evidence, SHOP.now, event.message_id));
}

/// Choices and signals read.
#[divan::bench]
fn consent(bencher: Bencher<'_, '_>) {
    let measured = SHOP.measured();
    let mut next = measured.iter().cycle();
    let mut judged = Judged::default();
    bencher
        .counter(ItemsCount::new(1u32))
        .with_inputs(|| next.next().unwrap())
        .bench_local_values(|(event, ..)| consents(event, &SHOP.workspace, &mut judged));
}

/// Taken into what is known of the person.
#[divan::bench]
fn fold(bencher: Bencher<'_, '_>) {
    let measured = SHOP.measured();
    let mut next = measured.iter().filter_map(|(event, _, person)| Some((event, (*person)?))).cycle();
    bencher
        .counter(ItemsCount::new(1u32))
        .with_inputs(|| {
            let (event, person) = next.next().unwrap();
            (event, person.known.clone())
        })
        .bench_local_refs(|(event, known)| known.fold(&SHOP.plan, event));
}

/// All 20 segments.
#[divan::bench]
fn evaluate(bencher: Bencher<'_, '_>) {
    let measured = SHOP.measured();
    let people: Vec<&Person> = measured.iter().filter_map(|(_, _, person)| *person).collect();
    let mut next = people.iter().cycle();
    bencher.counter(ItemsCount::new(1u32)).with_inputs(|| next.next().unwrap()).bench_local_values(|person| {
        let facts = person.facts(&SHOP.workspace, &SHOP.plan);
        let segments = 0..SHOP.workspace.segments.len();
        segments.filter(|segment| SHOP.plan.evaluate(*segment, &facts, SHOP.now).member).count()
    });
}

/// All three activations at the gate.
#[divan::bench]
fn gate(bencher: Bencher<'_, '_>) {
    let measured = SHOP.measured();
    let people: Vec<_> = measured
        .iter()
        .filter_map(|(_, _, person)| *person)
        .map(|person| (person, Arc::new(person.circumstances(&SHOP.workspace, &SHOP.plan, SHOP.now).0)))
        .collect();
    let mut next = people.iter().cycle();
    bencher.counter(ItemsCount::new(1u32)).with_inputs(|| next.next().unwrap()).bench_local_values(|(person, circumstances)| {
        let party = Party { choices: &person.known.choices, circumstances, contacts: &[] };
        let open = |activation: &jumelle_model::workspace::Activation| {
            let asked = Asked {
                purpose: &activation.purpose,
                channel: activation.channel,
                address: None,
                destination: Some(activation.destination.as_str()),
            };
            decide(&SHOP.workspace, asked, party, SHOP.now).outcome.is_ok()
        };
        SHOP.workspace.activations.iter().filter(|activation| open(activation)).count()
    });
}
