//! The seven steps, in order, for each entry of the history: clock, identify, fold, consent, evaluate, keep in step, queue.
//!
//! One thread runs it; a replay runs the same code. Whatever the size of the blocks, the same history gives the same tables.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use jumelle_activate::Queued;
use jumelle_collect::read_event;
use jumelle_identify::{Evidence, Graph, Resolution, evidence, resolve};
use jumelle_model::event::Event;
use jumelle_model::identifier::Identifier;
use jumelle_model::ids::{Position, ProfileId, Stamp};
use jumelle_model::message::MessageType;
use jumelle_model::time::Timestamp;
use jumelle_model::workspace::{Activation, Initial, Vocabulary};
use jumelle_model::{EventKind, Workspace};
use jumelle_profile::{Held, fields};
use jumelle_store::{Block, Entry, EventEntry, Record, Result, StoreError, Table};

use crate::cause::Cause;
use crate::chosen::ChosenDay;
use crate::consents::Signals;
use crate::days::{Day, Today};
use crate::definitions::Definitions;
use crate::effects::note_identity;
use crate::flush::Flusher;
use crate::keep::{Step, keep};
use crate::live::{Effect, Recorder};
use crate::people::People;
use crate::quarantine::Item;
use crate::results::ResultsDay;
use crate::shared::{Shared, member_key};
use crate::timers::Timers;

/// The fold over one history.
pub struct Fold {
    pub(crate) shared: Arc<Shared>,
    pub(crate) definitions: Arc<Definitions>,
    pub(crate) clock: Timestamp,
    pub(crate) timers: Timers,
    pub(crate) cause: Cause,
    pub(crate) signals: Signals,
    /// Position of the entry being folded.
    pub(crate) folding: Option<u64>,
    /// Whoever is being taken apart, with the id under which the tools have her.
    pub(crate) known_as: Option<(ProfileId, ProfileId)>,
    /// Something was found to be wrong of somebody: events are looked at for it.
    pub(crate) has_corrections: bool,
    /// Somebody was erased: new identifiers are looked for on the list.
    pub(crate) has_suppressed: bool,
    pub(crate) flusher: Option<Flusher>,
    pub(crate) today: Today,
    pub(crate) recorder: Recorder,
    /// What the entry being folded does, if somebody may want to see it.
    pub(crate) effect: Option<Box<Effect>>,
    /// Who sends is told here; none while catching up.
    pub(crate) announce: Option<Box<dyn Fn(Announcement) + Send>>,
}

/// What the fold tells those who send.
pub(crate) enum Announcement {
    /// A delivery waits, of this kind.
    Queued(Queued, MessageType),
    /// Two people turn out to be one, whose deliveries answer to `survivor` from now on; `known`: and every reader finds it so.
    Join { absorbed: ProfileId, survivor: ProfileId, known: bool },
}

/// The graph as `identify` asks for it. It cannot say that a table is not readable, so that is kept here: an identifier whose
/// owner cannot be read is not nobody's.
struct PeopleGraph<'a> {
    people: &'a People,
    failed: RefCell<Option<StoreError>>,
}

impl PeopleGraph<'_> {
    fn read<T>(&self, answer: Result<Option<T>>) -> Option<T> {
        answer.unwrap_or_else(|error| {
            self.failed.borrow_mut().get_or_insert(error);
            None
        })
    }
}

impl Graph for PeopleGraph<'_> {
    fn owner(&self, identifier: &Identifier) -> Option<ProfileId> {
        self.read(self.people.owner(identifier))
    }

    fn counts(&self, person: ProfileId) -> BTreeMap<String, u32> {
        let mut counts = BTreeMap::new();
        if let Some(person) = self.read(self.people.hold(person)) {
            for identifier in person.known.identifiers.keys() {
                *counts.entry(identifier.namespace.clone()).or_default() += 1;
            }
        }
        counts
    }
}

impl Fold {
    /// A fold that goes on where the tables stand.
    pub fn new(shared: Arc<Shared>) -> Result<Fold> {
        let definitions = shared.definitions();
        let clock = Timestamp(shared.clock.load(Ordering::Acquire));
        Ok(Fold {
            timers: Timers::load(&shared.behind)?,
            has_corrections: !shared.behind.scan(Table::Corrected, &[], None, 1)?.is_empty(),
            has_suppressed: !shared.behind.scan(Table::Suppressed, &[], None, 1)?.is_empty(),
            shared,
            definitions,
            clock,
            cause: Cause::default(),
            signals: Signals::default(),
            folding: None,
            known_as: None,
            flusher: None,
            today: Today::default(),
            recorder: Recorder::default(),
            effect: None,
            announce: None,
        })
    }

    /// The instant of the next timer.
    pub fn next_due(&self) -> Timestamp {
        self.timers.next_due()
    }

    /// Folds a block from `from` on.
    pub fn block(&mut self, block: &Block, from: Position) -> Result<()> {
        let span = tracing::trace_span!(target: "jumelle::trace", "fold", position = block.first.0 as i64, events = tracing::field::Empty);
        let _entered = span.enter();
        let mut events = 0;
        let mut by_source: BTreeMap<&str, u64> = BTreeMap::new();
        let mut first_received = None;
        for entry in block.records() {
            let (position, record) = entry?;
            if position < from {
                continue;
            }
            if let Entry::Event(event) = &record.entry {
                events += 1;
                *by_source.entry(event.source).or_default() += 1;
            }
            first_received.get_or_insert(record.received);
            self.folding = Some(position.0);
            self.entry(position, record)?;
        }
        self.folding = None;
        span.record("events", events as i64);
        self.shared.position.store(block.end().0, Ordering::Release);
        self.shared.clock.store(self.clock.0, Ordering::Release);
        metrics::counter!("jumelle_processed_events_total").increment(events);
        if self.is_live() {
            self.today.put(&self.shared);
            if let Some(received) = first_received {
                // Strictly increasing arrivals may run ahead of the wall by the length of a block.
                let lag = self.shared.wall.now().0.saturating_sub(received.0).max(0);
                crate::durations::PROCESSED.record(lag as f64 / 1e6);
            }
        }
        if self.is_live() && events > 0 {
            self.shared.flow.now(|minute| {
                for (source, events) in by_source {
                    match minute.events.get_mut(source) {
                        Some(known) => *known += events,
                        None => {
                            minute.events.insert(source.to_owned(), events);
                        }
                    }
                }
            });
        }
        Ok(())
    }

    /// Not catching up and not rebuilding: people may watch.
    pub(crate) fn is_live(&self) -> bool {
        self.announce.is_some()
    }

    pub(crate) fn day(&mut self) -> Result<&mut Day> {
        self.today.at(&self.shared, self.clock)
    }

    /// What was chosen on the day that the clock is in.
    pub(crate) fn chosen_today(&mut self) -> Result<&mut ChosenDay> {
        self.today.at(&self.shared, self.clock)?;
        Ok(self.today.chosen())
    }

    /// What came of messages on the day that the clock is in.
    pub(crate) fn results_today(&mut self) -> Result<&mut ResultsDay> {
        self.today.at(&self.shared, self.clock)?;
        Ok(self.today.results())
    }

    fn entry(&mut self, position: Position, record: Record<'_>) -> Result<()> {
        self.cause = Cause::new(position, record.received);
        let at = match (&record.entry, self.shared.clock_follows_events) {
            (Entry::Event(event), true) => self.clock.max(event.time),
            (_, true) => self.clock,
            (_, false) => self.clock.max(record.received),
        };
        self.fire_timers(at)?;
        self.clock = at;
        self.effect = self.begin_effect(position, &record);
        self.take(record)?;
        self.publish_effect()
    }

    fn take(&mut self, record: Record<'_>) -> Result<()> {
        match record.entry {
            Entry::Event(event) => self.event(record.received, &event),
            Entry::Apply { text } => self.apply(text, ""),
            Entry::AppliedBy { text, by } => self.apply(text, by),
            Entry::Tick | Entry::Gone => Ok(()),
            Entry::Result { delivery, state, attempts, status, reason, .. } => {
                self.result(delivery, state, attempts, status, reason)
            }
            Entry::Replay { delivery } => self.replay(delivery, ""),
            Entry::ReplayedBy { delivery, by } => self.replay(delivery, by),
            Entry::Quarantined { id, source, field, rule, message, body } => {
                self.quarantined(record.received, Item { id, source, field, rule, message, body })
            }
            Entry::QuarantineSettled { id, .. } => self.quarantine_settled(id),
            Entry::Import(progress) => {
                let row = serde_json::json!({"events": progress.events, "done": progress.done});
                self.shared.behind.put(Table::Imports, progress.id, row.to_string());
                Ok(())
            }
            Entry::Request { id, profile, step } => self.request(record.received, id, profile, step),
            Entry::Erased { profile, keys, notices } => self.erased(profile, &keys, notices),
            Entry::Corrected { profile, namespace, wrong, right } => {
                self.corrected(profile, &Identifier::new(namespace, wrong), &Identifier::new(namespace, right))
            }
            Entry::Split { profile, staying, leaving, .. } => self.split(profile, &staying, &leaving),
            Entry::Lapsed { profile, keys, notices } => self.lapsed(profile, &keys, notices),
            Entry::Reduced(count) => {
                if self.is_live() {
                    self.shared.flow.heard(count.source, record.received);
                }
                self.today.at(&self.shared, self.clock)?;
                self.today.reduced().add(&count);
                Ok(())
            }
        }
    }

    // ── clock ────────────────────────────────────────────────────────────────────────────────────────────────────────

    /// Evaluates everyone whose time has come by `at`, each at her own instant, in the order of the instants.
    fn fire_timers(&mut self, at: Timestamp) -> Result<()> {
        while let Some((instant, id)) = self.timers.fire(&self.shared.behind, at)? {
            self.clock = instant;
            self.effect = self.begin_timer_effect(id);
            self.evaluate(id)?;
            if self.effect.as_ref().is_some_and(|effect| effect.did_something()) {
                self.publish_effect()?;
            }
            self.effect = None;
        }
        Ok(())
    }

    // ── identify ─────────────────────────────────────────────────────────────────────────────────────────────────────

    fn event(&mut self, received: Timestamp, entry: &EventEntry<'_>) -> Result<()> {
        let definitions = self.definitions.clone();
        self.day()?.events += 1;
        if self.is_live() {
            self.shared.flow.heard(entry.source, received);
        }
        let Some(event) = read_entry(&definitions.workspace, entry, received) else { return Ok(()) };
        let mut evidence = evidence(&definitions.workspace, &event);
        self.leave_out_corrected(&mut evidence)?;
        // What it says of choices it says of every address that it names, whoever has it.
        let named = self.shared.has_apart.load(Ordering::Acquire).then(|| evidence.clone());
        let apart = self.leave_out_apart(&mut evidence, received)?;
        for ignored in &evidence.ignored {
            metrics::counter!("jumelle_ignored_identifiers_total", "namespace" => ignored.namespace.clone()).increment(1);
        }
        let Some(person) = self.identify(&evidence, event.stamp(), event.source, event.message_id)? else {
            metrics::counter!("jumelle_unidentified_events_total").increment(1);
            return Ok(());
        };
        if let Some(effect) = &mut self.effect {
            effect.profile = Some(person);
            effect.name = Some(event.name.to_string()).filter(|name| !name.is_empty());
        }
        self.shared.timeline.lock().entry(person).or_default().push(self.cause.position.0);
        match apart.is_empty() {
            true => self.shared.people.change(person, |person| person.known.fold(&definitions.plan, &event))?,
            false => self.fold_but_apart(person, &event, apart)?,
        }
        if self.is_live() {
            self.shared.heavy.note(person, received);
        }
        self.note_report(&event)?;
        let mut touched = vec![person];
        let chose = self.consents(person, &event, named.as_ref().unwrap_or(&evidence), &mut touched)?;
        for id in touched {
            if chose || id != person || !self.may_wait(id)? {
                self.evaluate(id)?;
            }
        }
        Ok(())
    }

    /// Finds the person, joins and attaches. `None`: nothing in the evidence names anyone.
    pub(crate) fn identify(
        &mut self,
        evidence: &Evidence,
        stamp: Stamp,
        source: &str,
        message_id: &str,
    ) -> Result<Option<ProfileId>> {
        let definitions = self.definitions.clone();
        let graph = PeopleGraph { people: &self.shared.people, failed: RefCell::default() };
        let resolution = resolve(&definitions.workspace, &graph, evidence, stamp.received, message_id);
        if let Some(error) = graph.failed.into_inner() {
            return Err(error);
        }
        let Some(resolution) = resolution else {
            return Ok(None);
        };
        let id = resolution.person;
        let grows = resolution.created || !resolution.absorbed.is_empty() || !resolution.attached.is_empty();
        let mut recognised_before = 0;
        if resolution.created {
            self.shared.people.create(id);
        } else if grows {
            for known in std::iter::once(&id).chain(&resolution.absorbed) {
                let person = self.shared.people.hold(*known)?;
                recognised_before += u64::from(person.is_some_and(|person| person.is_recognised()));
            }
        }
        for absorbed in &resolution.absorbed {
            self.join(*absorbed, id)?;
        }
        for identifier in &resolution.attached {
            self.shared.people.assign(identifier, id);
            self.keep_suppressed(id, identifier)?;
        }
        if resolution.created {
            metrics::counter!("jumelle_people_created_total").increment(1);
        }
        for refusal in &resolution.refusals {
            metrics::counter!("jumelle_refused_joins_total", "namespace" => refusal.namespace.clone()).increment(1);
        }
        self.shared.people.change(id, |person| {
            for identifier in &resolution.seen {
                person.known.see(identifier, stamp, source);
            }
            for refusal in &resolution.refusals {
                person.known.refuse(refusal.clone());
            }
        })?;
        if grows {
            let person = self.shared.people.get(id)?;
            let recognised = u64::from(person.is_some_and(|person| person.is_recognised()));
            self.grown(&resolution, recognised_before, recognised)?;
        }
        if let Some(effect) = &mut self.effect {
            note_identity(effect, resolution);
        }
        Ok(Some(id))
    }

    /// Counts people: somebody new, found to be one with another, or recognised.
    fn grown(&mut self, resolution: &Resolution, recognised_before: u64, recognised: u64) -> Result<()> {
        let absorbed = resolution.absorbed.len() as u64;
        {
            let mut totals = self.shared.totals.lock();
            totals.people = (totals.people + u64::from(resolution.created)).saturating_sub(absorbed);
            totals.recognised = (totals.recognised + recognised).saturating_sub(recognised_before);
        }
        let day = self.day()?;
        day.people += u64::from(resolution.created);
        day.joins += absorbed;
        day.recognised += recognised.saturating_sub(recognised_before);
        Ok(())
    }

    fn announce_join(&self, absorbed: ProfileId, survivor: ProfileId, known: bool) {
        if let Some(announce) = &self.announce {
            announce(Announcement::Join { absorbed, survivor, known });
        }
    }

    pub(crate) fn join(&mut self, absorbed: ProfileId, survivor: ProfileId) -> Result<()> {
        let Some(other) = self.shared.people.get(absorbed)? else { return Ok(()) };
        self.announce_join(absorbed, survivor, false);
        self.take_back_the_other_name(&other, survivor)?;
        // For a reader nobody is ever missing: first the survivor knows it all, then the names lead to her, then the other goes.
        let (before, after) = self.shared.people.change(survivor, |person| {
            let before: Vec<String> = person.memberships.keys().cloned().collect();
            person.absorb((*other).clone());
            (before, person.memberships.clone())
        })?;
        self.move_corrections(absorbed, Some(survivor))?;
        self.copy_apart(absorbed, survivor)?;
        self.shared.people.alias(absorbed, survivor);
        for identifier in other.known.identifiers.keys() {
            self.shared.people.assign(identifier, survivor);
        }
        self.shared.people.remove(absorbed)?;
        for segment in other.memberships.keys() {
            self.shared.behind.remove(Table::Members, member_key(segment, absorbed));
            self.count(segment, -1);
        }
        if other.due != Timestamp::MAX {
            self.timers.unset(&self.shared.behind, other.due, absorbed)?;
        }
        // Deliveries of the absorbed keep their messages; they are listed and resolved under the survivor.
        for (key, delivery) in self.shared.behind.scan(Table::DeliveriesOfPerson, &absorbed.0.to_be_bytes(), None, usize::MAX)? {
            let mut moved = survivor.0.to_be_bytes().to_vec();
            moved.extend_from_slice(&key[16..]);
            self.shared.behind.put(Table::DeliveriesOfPerson, moved, delivery);
            self.shared.behind.remove(Table::DeliveriesOfPerson, key);
        }
        self.cause.join(absorbed, survivor);
        self.announce_join(absorbed, survivor, true);
        for (segment, since) in after {
            if !before.contains(&segment) {
                self.count(&segment, 1);
            }
            self.shared.behind.put(Table::Members, member_key(&segment, survivor), since.0.to_be_bytes());
        }
        metrics::counter!("jumelle_joins_total").increment(1);
        Ok(())
    }

    // ── evaluate ─────────────────────────────────────────────────────────────────────────────────────────────────────

    /// Where a person stands now: segments entered and left, destinations kept in step, the next timer.
    pub(crate) fn evaluate(&mut self, id: ProfileId) -> Result<()> {
        let Some(person) = self.shared.people.get(id)? else { return Ok(()) };
        let definitions = self.definitions.clone();
        let (workspace, plan) = (&definitions.workspace, &definitions.plan);
        let mut next = Timestamp::MAX;
        let mut transitions: Vec<(&str, bool)> = Vec::new();
        next = next.min(person.known.choices.next_expiry(self.clock, |purpose| {
            workspace.purpose(purpose).map_or_else(Vec::new, |purpose| workspace.policy.validities(purpose))
        }));
        // Whose processing is restricted stays where she is: nothing is computed until it is lifted (GDPR, article 18).
        if !person.known.choices.is_restricted() {
            let facts = person.facts(workspace, plan);
            for (n, segment) in workspace.segments.iter().enumerate() {
                let verdict = plan.evaluate(n, &facts, self.clock);
                next = next.min(verdict.next);
                if verdict.member != person.memberships.contains_key(&segment.key) {
                    transitions.push((&segment.key, verdict.member));
                }
            }
        }
        let relevant = |activation: &&Activation| {
            person.memberships.contains_key(&activation.segment)
                || person.activations.contains_key(&activation.key)
                || transitions.iter().any(|(segment, entered)| *entered && *segment == activation.segment)
        };
        let activations: Vec<&Activation> = workspace.activations.iter().filter(relevant).collect();
        if transitions.is_empty() && activations.is_empty() && next == person.due {
            return Ok(());
        }
        drop(person);

        let clock = self.clock;
        for (segment, entered) in &transitions {
            let key = member_key(segment, id);
            if *entered {
                self.shared.behind.put(Table::Members, key, clock.0.to_be_bytes());
                self.count(segment, 1);
            } else {
                self.shared.behind.remove(Table::Members, key);
                self.count(segment, -1);
            }
            self.day()?.moved(segment, *entered);
            if let Some(effect) = &mut self.effect {
                let moved = if *entered { &mut effect.entered } else { &mut effect.left };
                moved.push((*segment).to_owned());
            }
            let direction = if *entered { "entered" } else { "left" };
            metrics::counter!("jumelle_segment_transitions_total", "direction" => direction).increment(1);
        }
        if !transitions.is_empty() {
            self.shared.people.change(id, |person| {
                for (segment, entered) in &transitions {
                    person.transition(clock, segment, *entered);
                }
            })?;
        }
        for activation in activations {
            next = next.min(self.keep_in_step(id, workspace, plan, activation)?);
        }
        let before = self.shared.people.get(id)?.map_or(Timestamp::MAX, |person| person.due);
        self.set_due(id, before, next)
    }

    /// Moves her timer.
    pub(crate) fn set_due(&mut self, id: ProfileId, before: Timestamp, next: Timestamp) -> Result<()> {
        if before == next {
            return Ok(());
        }
        if before != Timestamp::MAX {
            self.timers.unset(&self.shared.behind, before, id)?;
        }
        if next != Timestamp::MAX {
            self.timers.set(&self.shared.behind, next, id);
        }
        self.shared.people.change(id, |person| person.due = next)
    }

    fn keep_in_step(
        &mut self,
        id: ProfileId,
        workspace: &Workspace,
        plan: &jumelle_segment::Plan,
        activation: &Activation,
    ) -> Result<Timestamp> {
        let Some(person) = self.shared.people.get(id)? else { return Ok(Timestamp::MAX) };
        let mapped = fields(workspace, plan, activation, &person, self.clock);
        let before = person.activations.get(&activation.key).cloned().unwrap_or_default();
        let mut standing = before.clone();
        let contacts = match person.memberships.contains_key(&activation.segment) {
            true => self.shared.contacts(workspace, id, None)?,
            false => Vec::new(),
        };
        let (steps, gate_next) = keep(workspace, activation, &person, &mapped, &contacts, &mut standing, self.clock);
        let next = if standing.held == Held::In { mapped.next.min(gate_next) } else { gate_next };
        drop(person);
        if standing != before || !steps.is_empty() {
            self.shared.people.change(id, |person| person.activations.insert(activation.key.clone(), standing))?;
        }
        for step in steps {
            match step {
                Step::Queue(kind, sent) => self.queue(activation, id, kind, sent, None)?,
                Step::Block(sent, reason) => self.queue(activation, id, MessageType::Entered, sent, Some(reason.write()))?,
            }
        }
        Ok(next)
    }

    pub(crate) fn count(&self, segment: &str, change: i64) {
        let mut counts = self.shared.counts.write();
        let count = counts.entry(segment.to_owned()).or_default();
        *count = count.saturating_add_signed(change);
    }

    /// An activation that starts with the members present: told, or skipped as it says.
    pub(crate) fn start_activation(&mut self, id: ProfileId, activation: &Activation) -> Result<()> {
        if activation.initial == Initial::Skip {
            self.shared.people.change(id, |person| {
                let member = person.memberships.contains_key(&activation.segment);
                let standing = person.activations.entry(activation.key.clone()).or_default();
                if member && standing.held == Held::Out {
                    standing.held = Held::Skipped;
                }
            })?;
        }
        Ok(())
    }
}

/// Reads a stored event with its source's vocabulary under these definitions.
pub(crate) fn read_entry<'a>(workspace: &Workspace, entry: &EventEntry<'a>, received: Timestamp) -> Option<Event<'a>> {
    let vocabulary = workspace.source(entry.source).map_or(Vocabulary::Segment, |source| source.vocabulary);
    let kind: EventKind = entry.kind;
    read_event(kind, entry.source, entry.message_id, (entry.time, received), entry.body, vocabulary)
}
