//! The clock of prospects: of each person the newest act and the newest order, kept like the states of queries.
//!
//! Two states of 16 bytes a person, only under a policy with a clock; an event costs the look at its name.

use std::collections::{BTreeMap, VecDeque};

use jumelle_model::Workspace;
use jumelle_model::event::Event;
use jumelle_model::rule::ORDER_COMPLETED;
use jumelle_model::time::Timestamp;
use jumelle_model::workspace::SourceKind;
use jumelle_model::workspace::policy::prospects::PASSIVE;
use jumelle_model::workspace::policy::{Acts, Prospects};

use crate::plan::{Plan, QueryId};
use crate::state::{Kept, Part, States, keep_newest};

/// The clock, compiled.
pub(crate) struct Clock {
    pub(crate) prospects: Prospects,
    sources: BTreeMap<String, SourceKind>,
    acts: QueryId,
    orders: QueryId,
}

impl Clock {
    pub(crate) fn of(workspace: &Workspace) -> Option<Clock> {
        let prospects = workspace.policy.prospects.clone()?;
        let sources: BTreeMap<String, SourceKind> =
            workspace.sources.iter().map(|source| (source.key.clone(), source.kind)).collect();
        // Which events are acts is part of what the state means; how long they count is not. A source that is added has no
        // events yet, and must not have the whole history read again.
        let Ok(text) = serde_json::to_string(&(&prospects.acts, &prospects.passive, PASSIVE)) else {
            unreachable!("it is made of texts and lists, which JSON has")
        };
        let id = |kind, text: &str| QueryId(jumelle_model::identifier::identifier_key(kind, text) as u64);
        Some(Clock { prospects, sources, acts: id("acts", &text), orders: id("acts", ORDER_COMPLETED) })
    }

    /// The ids of its states.
    pub(crate) fn ids(&self) -> [QueryId; 2] {
        [self.acts, self.orders]
    }

    /// Takes in one event; `only`: a backfill of these states.
    pub(crate) fn observe(&self, states: &mut States, event: &Event<'_>, only: Option<&[QueryId]>) {
        let kind = self.sources.get(event.source).copied();
        for (id, counts) in [(self.acts, self.prospects.is_act(kind, event)), (self.orders, event.name == ORDER_COMPLETED)] {
            if !counts || only.is_some_and(|only| !only.contains(&id)) {
                continue;
            }
            let empty = || Kept { unconverted: 0, part: Part::Times { keep: 1, newest: VecDeque::new() } };
            if let Part::Times { keep, newest } = &mut states.0.entry(id).or_insert_with(empty).part {
                keep_newest(newest, *keep, event.time);
            }
        }
    }

    /// What the clock of a person starts from.
    pub(crate) fn acts(&self, collected: Option<Timestamp>, states: &States) -> Acts {
        let newest = |id| match &states.0.get(&id)?.part {
            Part::Times { newest, .. } => newest.back().copied(),
            _ => None,
        };
        Acts { collected, last: newest(self.acts), ordered: newest(self.orders) }
    }
}

impl Plan {
    /// The ids of what the clock of prospects keeps; none without such a clock.
    pub fn clock_ids(&self) -> Vec<QueryId> {
        self.clock.iter().flat_map(Clock::ids).collect()
    }

    /// What her clock as a prospect starts from; `None`: the policy has no such clock.
    pub fn acts(&self, collected: Option<Timestamp>, states: &States) -> Option<Acts> {
        Some(self.clock.as_ref()?.acts(collected, states))
    }
}
