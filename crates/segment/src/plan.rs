//! Definitions compiled: which queries an event touches, and how segments follow from their states.
//!
//! Cost: an event that no query names is one look-up; one that is named costs its filters and one insertion per query. Nothing
//! is compiled, hashed or formatted per event but the order's id.

use std::collections::{BTreeMap, HashMap};

use jumelle_model::Workspace;
use jumelle_model::consent::Channel;
use jumelle_model::event::Scalar;
use jumelle_model::number::DECIMAL_ONE;
use jumelle_model::rule::{Aggregate, Comparison, EventQuery, ORDER_COMPLETED, ProspectState, Rule, Test};
use jumelle_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::comparison::{Patterns, Value, holds};
use crate::observe::other_events;
use crate::property::{Exchange, is_money};
use crate::reading::Reading;
use crate::state::States;
use crate::{ENTRIES_MAX, Facts};

/// Names a query by its content, so that a state survives a change of other definitions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct QueryId(pub(crate) u64);

/// A workspace's rules, compiled. An instant given to it is never before the newest event that the states have taken in.
pub struct Plan {
    pub(crate) queries: Vec<Query>,
    by_event: HashMap<String, Vec<usize>>,
    segments: Vec<(Node, Dependencies)>,
    computed: BTreeMap<String, usize>,
    pub(crate) patterns: Patterns,
    pub(crate) exchange: Exchange,
    pub(crate) clock: Option<Clock>,
}

pub(crate) struct Query {
    pub(crate) id: QueryId,
    pub(crate) query: EventQuery,
    /// For a windowed count with a bound: how many times are enough.
    pub(crate) keep: Option<u32>,
}

pub(crate) enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Query { query: usize, test: Test },
    Trait { path: String, test: Test },
    Prospect(ProspectState),
    RetentionOver(String),
    Consent { purpose: String, channel: Option<Channel> },
}

/// What a segment's membership follows from, besides time.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Dependencies {
    /// Queries on events, sorted.
    pub queries: Vec<QueryId>,
    /// It asks for a trait.
    pub traits: bool,
    /// It asks for a consent.
    pub consent: bool,
}

/// Whether a person is a member at an instant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// She is.
    pub member: bool,
    /// No earlier instant changes that by time alone; [`Timestamp::MAX`]: never.
    pub next: Timestamp,
}

/// A computed trait at an instant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Computed {
    /// Its value; counts, sums and distinct counts of nothing are 0, the others `None`. An average is rounded to the millionth,
    /// half away from zero.
    pub value: Option<Scalar>,
    /// It is an amount in the workspace's currency, in major units.
    pub is_money: bool,
    /// No earlier instant changes it by time alone.
    pub next: Timestamp,
    /// Amounts left out for want of a rate of exchange.
    pub unconverted: u64,
    /// At [`ENTRIES_MAX`]: the window's edge is within the hour, or the oldest values may be gone.
    pub coarse: bool,
}

impl Plan {
    /// Compiles the segments and computed traits of a workspace.
    pub fn compile(workspace: &Workspace) -> Plan {
        let mut plan = Plan {
            queries: Vec::new(),
            by_event: HashMap::new(),
            segments: Vec::new(),
            computed: BTreeMap::new(),
            patterns: Patterns::default(),
            exchange: Exchange::of(&workspace.settings),
            clock: Clock::of(workspace),
        };
        for computed in &workspace.traits {
            plan.patterns.add_query(&computed.query);
            let query = plan.query(&computed.query, None);
            plan.computed.insert(computed.key.clone(), query);
        }
        for segment in &workspace.segments {
            plan.patterns.add_rule(&segment.rule);
            let node = plan.node(&segment.rule);
            let mut dependencies = Dependencies::default();
            plan.depend(&node, &mut dependencies);
            dependencies.queries.sort_unstable();
            dependencies.queries.dedup();
            plan.segments.push((node, dependencies));
        }
        plan
    }

    fn node(&mut self, rule: &Rule) -> Node {
        match rule {
            Rule::All(rules) => Node::All(rules.iter().map(|rule| self.node(rule)).collect()),
            Rule::Any(rules) => Node::Any(rules.iter().map(|rule| self.node(rule)).collect()),
            Rule::Not(rule) => Node::Not(Box::new(self.node(rule))),
            Rule::Did(did) => Node::Query { query: self.query(&did.query, times_needed(&did.test)), test: did.test.clone() },
            Rule::Trait { path, test } => Node::Trait { path: path.clone(), test: test.clone() },
            // `Workspace::parse` lets only declared computed traits through.
            Rule::Computed { key, test } => match self.computed.get(key) {
                Some(&query) => Node::Query { query, test: test.clone() },
                None => Node::Any(Vec::new()),
            },
            Rule::Prospect(state) => Node::Prospect(*state),
            Rule::RetentionOver { purpose } => Node::RetentionOver(purpose.clone()),
            Rule::Consent { purpose, channel } => Node::Consent { purpose: purpose.clone(), channel: *channel },
        }
    }

    fn depend(&self, node: &Node, on: &mut Dependencies) {
        match node {
            Node::All(nodes) | Node::Any(nodes) => nodes.iter().for_each(|node| self.depend(node, on)),
            Node::Not(node) => self.depend(node, on),
            Node::Query { query, .. } => on.queries.push(self.queries[*query].id),
            Node::Trait { .. } => on.traits = true,
            Node::Prospect(_) | Node::RetentionOver(_) => on.queries.extend(self.clock.iter().flat_map(Clock::ids)),
            Node::Consent { .. } => on.consent = true,
        }
    }

    fn query(&mut self, query: &EventQuery, keep: Option<u32>) -> usize {
        let is_windowed_count = query.aggregate == Aggregate::Count && query.within.is_some() && query.event != ORDER_COMPLETED;
        let keep = keep.filter(|_| is_windowed_count);
        // Amounts are kept converted, so the rates are part of what a state means.
        let has_money = query.aggregate.of().is_some_and(is_money) || query.filters.iter().any(|filter| is_money(&filter.path));
        let exchange = has_money.then_some(&self.exchange);
        let Ok(text) = serde_json::to_string(&(query, keep, exchange)) else {
            unreachable!("a query is made of texts, numbers and lists, which JSON has")
        };
        let id = QueryId(jumelle_model::identifier::identifier_key("query", &text) as u64);
        if let Some(found) = self.queries.iter().position(|known| known.id == id) {
            return found;
        }
        let index = self.queries.len();
        self.by_event.entry(query.event.clone()).or_default().push(index);
        for name in other_events(query) {
            self.by_event.entry((*name).to_owned()).or_default().push(index);
        }
        self.queries.push(Query { id, query: query.clone(), keep });
        index
    }

    pub(crate) fn queries_of(&self, event: &str) -> &[usize] {
        self.by_event.get(event).map_or(&[], Vec::as_slice)
    }

    /// The queries' ids: what there are states of.
    pub fn query_ids(&self) -> Vec<QueryId> {
        self.queries.iter().map(|query| query.id).chain(self.clock.iter().flat_map(Clock::ids)).collect()
    }

    /// What segment number `segment` depends on.
    pub fn dependencies(&self, segment: usize) -> Option<&Dependencies> {
        self.segments.get(segment).map(|(_, dependencies)| dependencies)
    }

    /// Whether an event of this name changes any state at all.
    pub fn is_touched_by(&self, event: &str) -> bool {
        self.clock.is_some() || self.by_event.contains_key(event)
    }

    pub(crate) fn knows(&self, id: QueryId) -> bool {
        self.queries.iter().any(|query| query.id == id) || self.clock.iter().flat_map(Clock::ids).any(|known| known == id)
    }

    /// Whether a person is in segment number `segment` at an instant.
    pub fn evaluate(&self, segment: usize, facts: &dyn Facts, at: Timestamp) -> Verdict {
        let mut next = Timestamp::MAX;
        let member = self.segments.get(segment).is_some_and(|(node, _)| self.holds(node, facts, at, &mut next));
        Verdict { member, next }
    }

    pub(crate) fn segment_node(&self, segment: usize) -> Option<&Node> {
        self.segments.get(segment).map(|(node, _)| node)
    }

    pub(crate) fn holds(&self, node: &Node, facts: &dyn Facts, at: Timestamp, next: &mut Timestamp) -> bool {
        match node {
            // No short cut: each part says when it may change.
            Node::All(nodes) => nodes.iter().fold(true, |all, node| self.holds(node, facts, at, next) & all),
            Node::Any(nodes) => nodes.iter().fold(false, |any, node| self.holds(node, facts, at, next) | any),
            Node::Not(node) => !self.holds(node, facts, at, next),
            Node::Query { query, test } => {
                let reading = self.reading(*query, facts.states(), at);
                *next = (*next).min(reading.next_change(test, &self.patterns));
                holds(test, reading.value(), &self.patterns)
            }
            Node::Trait { path, test } => {
                let found = facts.trait_value(path);
                let value = match &found {
                    None if facts.trait_exists(path) => Value::Opaque,
                    found => Value::of(found.as_ref()),
                };
                holds(test, value, &self.patterns)
            }
            Node::Prospect(state) => {
                let Some((clock, prospects)) = self.clock.as_ref().and_then(|clock| Some((clock, clock.prospects.as_ref()?)))
                else {
                    return false;
                };
                let (found, changes) = prospects.state(&clock.acts(facts.collected(), facts.states()), at);
                *next = (*next).min(changes);
                found == Some(*state)
            }
            Node::RetentionOver(purpose) => match self.keeps_until(purpose, facts) {
                Some(until) if until <= at => true,
                until => {
                    *next = (*next).min(until.unwrap_or(Timestamp::MAX));
                    false
                }
            },
            Node::Consent { purpose, channel } => {
                let is_open = facts.consent_open(purpose, *channel, at);
                if is_open {
                    *next = (*next).min(self.keeps_until(purpose, facts).unwrap_or(Timestamp::MAX));
                }
                is_open
            }
        }
    }

    fn keeps_until(&self, purpose: &str, facts: &dyn Facts) -> Option<Timestamp> {
        self.clock.as_ref()?.keeps_until(purpose, facts)
    }

    /// A computed trait at an instant.
    pub fn computed(&self, key: &str, states: &States, at: Timestamp) -> Computed {
        match self.computed.get(key) {
            Some(&query) => self.reading(query, states, at).computed(),
            None => Computed { value: None, is_money: false, next: Timestamp::MAX, unconverted: 0, coarse: false },
        }
    }

    pub(crate) fn reading<'s>(&'s self, query: usize, states: &'s States, at: Timestamp) -> Reading<'s> {
        let compiled = &self.queries[query];
        Reading::new(&compiled.query, states.0.get(&compiled.id), at)
    }
}

/// How many of the newest times decide a test on a count. `None`: all of them.
fn times_needed(test: &Test) -> Option<u32> {
    let mut needed = 1i64;
    for comparison in &test.0 {
        let (number, more) = match comparison {
            Comparison::Gte(number) | Comparison::Lt(number) => (number, 0),
            Comparison::Gt(number) | Comparison::Lte(number) => (number, 1),
            Comparison::Eq(Scalar::Number(number)) | Comparison::Ne(Scalar::Number(number)) => (number, 1),
            Comparison::Exists(_) => continue,
            _ => return None,
        };
        // A bound that is no whole number is met or missed by the next whole one.
        let up = number.0.div_euclid(DECIMAL_ONE) + i64::from(number.0.rem_euclid(DECIMAL_ONE) != 0);
        needed = needed.max(up + more);
    }
    u32::try_from(needed).ok().filter(|needed| *needed as usize <= ENTRIES_MAX + 1)
}
