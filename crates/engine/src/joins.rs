//! How a person's identifiers came together, read from her timeline.

use std::collections::BTreeMap;

use jumelle_identify::evidence;
use jumelle_model::Identifier;
use jumelle_model::ids::{Position, ProfileId};
use jumelle_model::time::Timestamp;
use jumelle_store::{Entry, Result};
use serde::Serialize;

use crate::fold::read_entry;
use crate::shared::Shared;

/// Events looked at, the oldest; a person with more of them has her first joins told.
const EVENTS_MAX: usize = 10_000;
/// Steps told.
const STEPS_MAX: usize = 200;

/// One event that brought identifiers together.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct JoinStep {
    /// When it happened.
    pub at: Timestamp,
    /// Source key.
    pub source: String,
    /// The sender's id of it.
    pub message_id: String,
    /// Its place in the history.
    pub position: u64,
    /// What it did.
    pub kind: JoinKind,
    /// The identifiers it named together.
    pub identifiers: Vec<Identifier>,
    /// Those of them that were not known before.
    pub new: Vec<Identifier>,
    /// Events of the smaller side that came along, where two sides were joined.
    pub brought: usize,
}

/// What an event did to the set of identifiers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum JoinKind {
    /// The first of its group.
    First,
    /// Another identifier of somebody known.
    Attached,
    /// Two who were known apart turned out to be one.
    Joined,
}

impl Shared {
    /// The steps, oldest first, under the definitions in force.
    pub fn joins_of(&self, id: ProfileId) -> Result<Vec<JoinStep>> {
        let definitions = self.definitions();
        let known = self.people.get(id)?.map(|person| person.known.identifiers.clone()).unwrap_or_default();
        let mut groups: BTreeMap<Identifier, usize> = BTreeMap::new();
        let mut sizes: Vec<usize> = Vec::new();
        let mut steps = Vec::new();
        for position in self.timeline_of(id)?.into_iter().take(EVENTS_MAX) {
            let Some(block) = self.history.block_of(position)? else { continue };
            let Some(record) = block.record(position)? else { continue };
            let Entry::Event(entry) = &record.entry else { continue };
            let Some(event) = read_entry(&definitions.workspace, entry, record.received) else { continue };
            let mut named = evidence(&definitions.workspace, &event).identifiers;
            // A refused one belongs to somebody else.
            named.retain(|identifier| known.contains_key(identifier));
            named.dedup();
            let mut found: Vec<usize> = named.iter().filter_map(|identifier| groups.get(identifier).copied()).collect();
            found.sort_unstable();
            found.dedup();
            let new: Vec<Identifier> = named.iter().filter(|identifier| !groups.contains_key(*identifier)).cloned().collect();
            let group = match found.first() {
                Some(group) => *group,
                None if named.is_empty() => continue,
                None => {
                    sizes.push(0);
                    sizes.len() - 1
                }
            };
            let kind = match (found.len(), new.is_empty()) {
                (0, _) => Some(JoinKind::First),
                (1, true) => None,
                (1, false) => Some(JoinKind::Attached),
                _ => Some(JoinKind::Joined),
            };
            let brought = match found.as_slice() {
                [_, _, ..] => {
                    let all: usize = found.iter().map(|group| sizes[*group]).sum();
                    all - found.iter().map(|group| sizes[*group]).max().unwrap_or(0)
                }
                _ => 0,
            };
            for other in found.iter().skip(1) {
                sizes[group] += std::mem::take(&mut sizes[*other]);
                groups.values_mut().filter(|of| **of == *other).for_each(|of| *of = group);
            }
            sizes[group] += 1;
            for identifier in &named {
                groups.insert(identifier.clone(), group);
            }
            if let Some(kind) = kind {
                steps.push(JoinStep {
                    at: event.time,
                    source: event.source.to_owned(),
                    message_id: event.message_id.to_owned(),
                    position: position.0,
                    kind,
                    identifiers: named,
                    new,
                    brought,
                });
                if steps.len() == STEPS_MAX {
                    break;
                }
            }
        }
        Ok(steps)
    }

    /// The event at a position, as the API gives it; none if there is no event.
    pub fn event_at(&self, position: Position) -> Result<Option<serde_json::Value>> {
        let Some(block) = self.history.block_of(position)? else { return Ok(None) };
        let Some(record) = block.record(position)? else { return Ok(None) };
        Ok(match &record.entry {
            Entry::Event(event) => Some(crate::query::event_json(position, event, record.received)),
            _ => None,
        })
    }
}
