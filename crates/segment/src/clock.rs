//! The clock of people who do nothing: of each person the newest act and the newest order, kept like the states of queries.
//!
//! Two states of 16 bytes a person, only where prospects or a purpose's retention need them; an event costs the look at its name.

use std::collections::{BTreeMap, VecDeque};

use jumelle_model::Workspace;
use jumelle_model::event::Event;
use jumelle_model::rule::ORDER_COMPLETED;
use jumelle_model::time::{Span, Timestamp};
use jumelle_model::workspace::SourceKind;
use jumelle_model::workspace::policy::prospects::PASSIVE;
use jumelle_model::workspace::policy::{ActNames, Acts, Prospects};

use crate::Facts;
use crate::plan::{Plan, QueryId};
use crate::state::{Kept, Part, States, keep_newest};

/// The clock, compiled.
pub(crate) struct Clock {
    pub(crate) prospects: Option<Prospects>,
    /// By purpose.
    retentions: BTreeMap<String, Span>,
    names: ActNames,
    sources: BTreeMap<String, SourceKind>,
    acts: QueryId,
    orders: QueryId,
}

impl Clock {
    pub(crate) fn of(workspace: &Workspace) -> Option<Clock> {
        let prospects = workspace.policy.prospects.clone();
        if prospects.is_none() && !workspace.has_retention() {
            return None;
        }
        let names = workspace.policy.act_names();
        let retentions = workspace.purposes.iter().filter_map(|purpose| Some((purpose.key.clone(), purpose.terms.retention?)));
        let sources: BTreeMap<String, SourceKind> =
            workspace.sources.iter().map(|source| (source.key.clone(), source.kind)).collect();
        // Which events are acts is part of what the state means; how long they count is not. A source that is added has no
        // events yet, and must not have the whole history read again.
        let Ok(text) = serde_json::to_string(&(&names.acts, &names.passive, PASSIVE)) else {
            unreachable!("it is made of texts and lists, which JSON has")
        };
        let id = |kind, text: &str| QueryId(jumelle_model::identifier::identifier_key(kind, text) as u64);
        let (acts, orders) = (id("acts", &text), id("acts", ORDER_COMPLETED));
        Some(Clock { prospects, retentions: retentions.collect(), names, sources, acts, orders })
    }

    /// The ids of its states.
    pub(crate) fn ids(&self) -> [QueryId; 2] {
        [self.acts, self.orders]
    }

    /// Takes in one event; `only`: a backfill of these states.
    pub(crate) fn observe(&self, states: &mut States, event: &Event<'_>, only: Option<&[QueryId]>) {
        let kind = self.sources.get(event.source).copied();
        for (id, counts) in [(self.acts, self.names.is_act(kind, event)), (self.orders, event.name == ORDER_COMPLETED)] {
            if !counts || only.is_some_and(|only| !only.contains(&id)) {
                continue;
            }
            let empty = || Kept { unconverted: 0, part: Part::Times { keep: 1, newest: VecDeque::new() } };
            if let Part::Times { keep, newest } = &mut states.0.entry(id).or_insert_with(empty).part {
                keep_newest(newest, *keep, event.time);
            }
        }
    }

    /// When a purpose ceases to keep a person; `None`: never.
    pub(crate) fn keeps_until(&self, purpose: &str, facts: &dyn Facts) -> Option<Timestamp> {
        let retention = *self.retentions.get(purpose)?;
        Some(self.acts(facts.collected(), facts.states()).newest()? + retention)
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
    /// The ids of what the clock keeps; none without one.
    pub fn clock_ids(&self) -> Vec<QueryId> {
        self.clock.iter().flat_map(Clock::ids).collect()
    }

    /// What her clock starts from; `None`: nothing looks at one.
    pub fn acts(&self, collected: Option<Timestamp>, states: &States) -> Option<Acts> {
        Some(self.clock.as_ref()?.acts(collected, states))
    }
}
