//! New definitions take effect at their place in the history (DESIGN §8.4): as if they had always been there, seen from then on.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use jumelle_identify::evidence;
use jumelle_model::Workspace;
use jumelle_model::ids::{Position, ProfileId};
use jumelle_model::workspace::Activation;
use jumelle_store::{Entry, Result, StoreError, Table};

use crate::definitions::Definitions;
use crate::fold::{Fold, read_entry};

/// People visited between two looks at the memory that they take.
const PEOPLE_PAGE: usize = 1_000;

/// Row of `Meta` that holds the definitions in force.
pub(crate) const DEFINITIONS_ROW: &[u8] = b"definitions";

impl Fold {
    /// Compiles, backfills what is new from the history, and looks at everyone anew.
    ///
    /// The backfill runs on the fold's thread: collection goes on and stays durable meanwhile, the fold waits. Decision 0003
    /// says why, and what it would take to run it beside the stream.
    pub(crate) fn apply(&mut self, text: &str, by: &str) -> Result<()> {
        let position = self.position();
        let workspace = Workspace::parse(text).map_err(|problems| StoreError::Damaged {
            place: format!("definitions at {}", position.0),
            what: problems.to_string(),
        })?;
        let before = self.definitions.clone();
        let now = Arc::new(Definitions::new(workspace, position, self.clock));
        let known: HashSet<_> = before.plan.query_ids().into_iter().collect();
        let added: Vec<_> = now.plan.query_ids().into_iter().filter(|id| !known.contains(id)).collect();
        let starting: Vec<Activation> = now
            .workspace
            .activations
            .iter()
            .filter(|activation| before.workspace.activation(&activation.key).is_none())
            .cloned()
            .collect();

        let gone = |activation: &&Activation| {
            now.workspace.activation(&activation.key).is_none() && now.workspace.destination(&activation.destination).is_some()
        };
        let ending: Vec<Activation> = before.workspace.activations.iter().filter(gone).cloned().collect();

        self.shared.computing.store(true, Ordering::Release);
        // Everyone must be in the table to be found there; and up to here the tables are whole.
        if position.0 > 0 {
            self.flush_now()?;
        }
        self.definitions = now.clone();
        *self.shared.definitions.write() = now.clone();
        self.shared.behind.put(Table::Meta, DEFINITIONS_ROW, definitions_row(&now, text));
        self.note_applied(position, by);
        self.note_texts(&now.workspace)?;
        if !added.is_empty() && position.0 > 0 {
            self.backfill(&now, &added, position)?;
        }
        self.visit_everyone(&now, &starting, &ending)?;
        self.drop_retired_segments(&before, &now)?;
        self.complete()?;
        self.shared.computing.store(false, Ordering::Release);
        Ok(())
    }

    /// Folds the events before `end` into the queries `added`. An event belongs to the owner of its most trusted identifier
    /// under the definitions of its time (what `identify::resolve` guarantees), so no index from events to people is needed.
    fn backfill(&mut self, now: &Definitions, added: &[jumelle_segment::QueryId], end: Position) -> Result<()> {
        let mut then = Workspace::empty();
        for block in self.shared.history.blocks(Position(0)) {
            let block = block?;
            for entry in block.records() {
                let (position, record) = entry?;
                if position >= end {
                    return Ok(());
                }
                match &record.entry {
                    Entry::Apply { text } | Entry::AppliedBy { text, .. } => {
                        if let Ok(workspace) = Workspace::parse(text) {
                            then = workspace;
                        }
                    }
                    Entry::Event(event) => {
                        let Some(event) = read_entry(&now.workspace, event, record.received) else { continue };
                        let evidence = evidence(&then, &event);
                        let Some(first) = evidence.identifiers.first() else { continue };
                        if let Some(owner) = self.shared.people.owner(first)? {
                            self.shared
                                .people
                                .change(owner, |person| now.plan.observe_only(&mut person.known.states, &event, added))?;
                        }
                    }
                    _ => {}
                }
            }
            self.make_room()?;
        }
        Ok(())
    }

    /// Drops what no query asks for any more, starts new activations, and evaluates.
    fn visit_everyone(&mut self, now: &Definitions, starting: &[Activation], ending: &[Activation]) -> Result<()> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.shared.behind.scan(Table::People, &[], after.as_deref(), PEOPLE_PAGE)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            for (key, _) in &page {
                let id = ProfileId(u128::from_be_bytes(key.as_slice().try_into().unwrap_or_default()));
                self.shared.people.change(id, |person| person.known.states.retain(&now.plan))?;
                self.drop_retired_memberships(now, id)?;
                if !starting.is_empty() {
                    self.enter_before_activations(id)?;
                    for activation in starting {
                        self.start_activation(id, activation)?;
                    }
                }
                for activation in ending {
                    self.end_activation(id, activation)?;
                }
                self.evaluate(id)?;
            }
            self.make_room()?;
        }
    }

    /// Memberships as of this instant, without keeping destinations in step yet: who is present when an activation starts.
    fn enter_before_activations(&mut self, id: ProfileId) -> Result<()> {
        let definitions = self.definitions.clone();
        let mut quiet = definitions.workspace.clone();
        quiet.activations.clear();
        // The same plan serves: activations are no part of it.
        self.definitions = Arc::new(Definitions::new(quiet, definitions.position, definitions.at));
        let evaluated = self.evaluate(id);
        self.definitions = definitions;
        evaluated
    }

    fn drop_retired_memberships(&mut self, now: &Definitions, id: ProfileId) -> Result<()> {
        self.shared.people.change(id, |person| {
            person.memberships.retain(|segment, _| now.workspace.segment(segment).is_some());
        })
    }

    fn drop_retired_segments(&mut self, before: &Definitions, now: &Definitions) -> Result<()> {
        for segment in &before.workspace.segments {
            if now.workspace.segment(&segment.key).is_some() {
                continue;
            }
            let prefix = crate::shared::member_prefix(&segment.key);
            for (key, _) in self.shared.behind.scan(Table::Members, &prefix, None, usize::MAX)? {
                self.shared.behind.remove(Table::Members, key);
            }
            self.shared.counts.write().remove(&segment.key);
        }
        Ok(())
    }
}

/// Position, instant, text.
pub(crate) fn definitions_row(definitions: &Definitions, text: &str) -> Vec<u8> {
    let mut row = definitions.position.0.to_be_bytes().to_vec();
    row.extend_from_slice(&definitions.at.0.to_be_bytes());
    row.extend_from_slice(text.as_bytes());
    row
}

/// The inverse of [`definitions_row`].
pub(crate) fn read_definitions_row(row: &[u8]) -> Option<Definitions> {
    let position = Position(u64::from_be_bytes(row.get(..8)?.try_into().ok()?));
    let at = jumelle_model::Timestamp(i64::from_be_bytes(row.get(8..16)?.try_into().ok()?));
    let text = std::str::from_utf8(row.get(16..)?).ok()?;
    Some(Definitions::new(Workspace::parse(text).ok()?, position, at))
}
