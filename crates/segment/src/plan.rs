//! Definitions compiled: which queries an event touches, and how segments follow from their states.

use std::collections::{BTreeMap, HashMap};

use jumelle_model::Workspace;
use jumelle_model::consent::Channel;
use jumelle_model::event::{Event, Scalar};
use jumelle_model::ids::Fingerprint;
use jumelle_model::number::{DECIMAL_ONE, Decimal, round_div};
use jumelle_model::rule::{Aggregate, Comparison, EventQuery, ORDER_CANCELLED, ORDER_COMPLETED, ORDER_REFUNDED, Rule, Test};
use jumelle_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::property::{Exchange, ORDER_AMOUNTS, Property, is_money, item_path, items, order_id, property};
use crate::state::{Entries, HOUR, Order, State, States, Version, trim_orders, trim_times, trim_values};
use crate::test::{Patterns, holds};
use crate::{ENTRIES_MAX, Facts};

/// Names a query by its content, so that a state survives a change of other definitions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct QueryId(u64);

/// A workspace's rules, compiled.
pub struct Plan {
    queries: Vec<Query>,
    by_event: HashMap<String, Vec<usize>>,
    segments: Vec<Node>,
    computed: BTreeMap<String, usize>,
    patterns: Patterns,
    exchange: Exchange,
}

struct Query {
    id: QueryId,
    query: EventQuery,
    /// For a windowed count with a bound: how many times are enough.
    keep: Option<u32>,
}

pub(crate) enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Query { query: usize, test: Test },
    Trait { path: String, test: Test },
    Consent { purpose: String, channel: Option<Channel> },
}

/// Whether a person is a member at an instant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// She is.
    pub member: bool,
    /// The earliest later instant at which time alone may change that; [`Timestamp::MAX`]: never.
    pub next: Timestamp,
}

/// A computed trait at an instant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Computed {
    /// Its value; counts, sums and distinct counts of nothing are 0, the others `None`.
    pub value: Option<Scalar>,
    /// It is an amount in the workspace's currency.
    pub is_money: bool,
    /// The earliest later instant at which time alone may change it.
    pub next: Timestamp,
    /// Amounts left out for want of a rate of exchange.
    pub unconverted: u64,
    /// Past [`ENTRIES_MAX`]: the window's edge is within the hour, or the oldest values are gone.
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
        };
        for computed in &workspace.traits {
            computed.query.filters.iter().for_each(|filter| plan.patterns.add(&filter.test));
            let query = plan.query(&computed.query, None);
            plan.computed.insert(computed.key.clone(), query);
        }
        for segment in &workspace.segments {
            plan.patterns.add_rule(&segment.rule);
            let node = plan.node(&segment.rule);
            plan.segments.push(node);
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
            Rule::Consent { purpose, channel } => Node::Consent { purpose: purpose.clone(), channel: *channel },
        }
    }

    fn query(&mut self, query: &EventQuery, keep: Option<u32>) -> usize {
        let windowed_count = query.aggregate == Aggregate::Count && query.within.is_some() && query.event != ORDER_COMPLETED;
        let keep = keep.filter(|_| windowed_count);
        // Amounts are kept converted, so the rates are part of what a state means.
        let money = query.aggregate.of().is_some_and(is_money) || query.filters.iter().any(|filter| is_money(&filter.path));
        let text = if money { format!("{query:?}|{keep:?}|{:?}", self.exchange) } else { format!("{query:?}|{keep:?}") };
        let id = QueryId(jumelle_model::identifier::identifier_key("query", &text) as u64);
        if let Some(found) = self.queries.iter().position(|known| known.id == id) {
            return found;
        }
        let index = self.queries.len();
        self.by_event.entry(query.event.clone()).or_default().push(index);
        if query.event == ORDER_COMPLETED {
            for name in [ORDER_CANCELLED, ORDER_REFUNDED] {
                self.by_event.entry(name.to_owned()).or_default().push(index);
            }
        }
        self.queries.push(Query { id, query: query.clone(), keep });
        index
    }

    /// The queries' ids.
    pub fn query_ids(&self) -> Vec<QueryId> {
        self.queries.iter().map(|query| query.id).collect()
    }

    pub(crate) fn knows(&self, id: QueryId) -> bool {
        self.queries.iter().any(|query| query.id == id)
    }

    /// Takes in one event. Any order of events gives the same states.
    pub fn observe(&self, states: &mut States, event: &Event<'_>) {
        for &index in self.by_event.get(event.name.as_ref()).into_iter().flatten() {
            self.observe_query(states, event, &self.queries[index]);
        }
    }

    /// As [`Plan::observe`], for some queries only: a backfill.
    pub fn observe_only(&self, states: &mut States, event: &Event<'_>, only: &[QueryId]) {
        for &index in self.by_event.get(event.name.as_ref()).into_iter().flatten() {
            if only.contains(&self.queries[index].id) {
                self.observe_query(states, event, &self.queries[index]);
            }
        }
    }

    fn observe_query(&self, states: &mut States, event: &Event<'_>, compiled: &Query) {
        let query = &compiled.query;
        if query.event == ORDER_COMPLETED {
            let State::Orders(orders) = states.0.entry(compiled.id).or_insert_with(|| State::Orders(BTreeMap::new())) else {
                return;
            };
            let order = orders.entry(order_id(event)).or_default();
            match event.name.as_ref() {
                ORDER_CANCELLED => order.cancelled = true,
                ORDER_REFUNDED => {
                    order.refunds.insert(Fingerprint::of(event.message_id), self.refund(event));
                }
                _ => {
                    let found = self.matching(query, event);
                    let version = match found {
                        Some((values, unconverted)) => Version { matches: true, values, unconverted },
                        None => Version { matches: false, values: Vec::new(), unconverted: 0 },
                    };
                    order.complete(event.stamp(), version);
                }
            }
            trim_orders(orders);
            return;
        }
        if query.since.is_some_and(|since| event.time < since) || query.until.is_some_and(|until| event.time >= until) {
            return;
        }
        let Some((values, unconverted)) = self.matching(query, event) else { return };
        self.add(states, compiled, event, values, unconverted);
    }

    fn add(&self, states: &mut States, compiled: &Query, event: &Event<'_>, values: Vec<Scalar>, unconverted: u64) {
        let query = &compiled.query;
        let stamp = event.stamp();
        let mut put = |state: State| match states.0.get_mut(&compiled.id) {
            Some(mine) => mine.absorb(state),
            None => {
                states.0.insert(compiled.id, state);
            }
        };
        match (&query.aggregate, query.within) {
            (Aggregate::Count, None) => put(State::Count(1)),
            (Aggregate::Count, Some(_)) if compiled.keep.is_some() => {
                let keep = compiled.keep.unwrap_or_default();
                match states.0.entry(compiled.id).or_insert_with(|| State::Times { keep, newest: Vec::new() }) {
                    State::Times { keep, newest } => {
                        let place = newest.partition_point(|other| *other < stamp.time);
                        newest.insert(place, stamp.time);
                        trim_times(newest, *keep);
                    }
                    _ => unreachable!("a query's id fixes the kind of its state"),
                }
            }
            (Aggregate::Distinct(_), _) | (Aggregate::MostFrequent(_), None) => {
                match states.0.entry(compiled.id).or_insert_with(|| State::Values(BTreeMap::new())) {
                    State::Values(known) => {
                        for value in values {
                            let mine = known.entry(value).or_insert((stamp.time, 0));
                            *mine = (mine.0.max(stamp.time), mine.1 + 1);
                        }
                        trim_values(known);
                    }
                    _ => unreachable!("a query's id fixes the kind of its state"),
                }
            }
            (_, Some(_)) => match states.0.entry(compiled.id).or_insert_with(|| State::Entries(Entries::default())) {
                State::Entries(entries) => {
                    entries.unconverted += unconverted;
                    if query.aggregate == Aggregate::Count {
                        entries.insert(stamp, None);
                    }
                    for value in values {
                        entries.insert(stamp, Some(value));
                    }
                }
                _ => unreachable!("a query's id fixes the kind of its state"),
            },
            (Aggregate::Sum(_) | Aggregate::Avg(_), None) => {
                let numbers: Vec<i64> = values.iter().filter_map(number_of).collect();
                let sum = numbers.iter().map(|number| i128::from(*number)).sum();
                put(State::Total { number: numbers.len() as u64, sum, unconverted });
            }
            (Aggregate::Min(_), None) => values.into_iter().for_each(|value| put(State::Least(value))),
            (Aggregate::Max(_), None) => values.into_iter().for_each(|value| put(State::Greatest(value))),
            (Aggregate::First(_), None) => values.into_iter().for_each(|value| put(State::Earliest(stamp, value))),
            (Aggregate::Last(_), None) => values.into_iter().for_each(|value| put(State::Latest(stamp, value))),
        }
    }

    /// The values that an event gives a query, and how many amounts had no rate; `None` if it does not match.
    fn matching(&self, query: &EventQuery, event: &Event<'_>) -> Option<(Vec<Scalar>, u64)> {
        let of_items = |path: &str| item_path(path).is_some();
        for filter in query.filters.iter().filter(|filter| !of_items(&filter.path)) {
            let value = property(&self.exchange, event, &event.properties, &filter.path).value();
            if !holds(&filter.test, value.as_ref(), &self.patterns) {
                return None;
            }
        }
        let item_filters: Vec<_> =
            query.filters.iter().filter_map(|filter| Some((item_path(&filter.path)?, &filter.test))).collect();
        let aggregated_item = query.aggregate.of().and_then(item_path);
        let mut values = Vec::new();
        let mut unconverted = 0;
        let mut take = |found: Property| match found {
            Property::Value(value) => values.push(value),
            Property::Unconverted => unconverted += 1,
            Property::None => {}
        };
        if item_filters.is_empty() && aggregated_item.is_none() {
            if let Some(path) = query.aggregate.of() {
                take(property(&self.exchange, event, &event.properties, path));
            }
            return Some((values, unconverted));
        }
        let mut any = false;
        for item in items(event) {
            let all_hold = item_filters
                .iter()
                .all(|(path, test)| holds(test, property(&self.exchange, event, item, path).value().as_ref(), &self.patterns));
            if !all_hold {
                continue;
            }
            any = true;
            if let Some(path) = aggregated_item {
                take(property(&self.exchange, event, item, path));
            }
        }
        if !any {
            return None;
        }
        if let (Some(path), None) = (query.aggregate.of(), aggregated_item) {
            take(property(&self.exchange, event, &event.properties, path));
        }
        Some((values, unconverted))
    }

    fn refund(&self, event: &Event<'_>) -> Option<Decimal> {
        match property(&self.exchange, event, &event.properties, ORDER_AMOUNTS[0]).value() {
            Some(Scalar::Number(amount)) => Some(Decimal(amount.0.saturating_abs())),
            _ => None,
        }
    }

    /// Whether a person is in segment number `segment` at an instant.
    pub fn evaluate(&self, segment: usize, facts: &dyn Facts, at: Timestamp) -> Verdict {
        let mut next = Timestamp::MAX;
        let member = self.segments.get(segment).is_some_and(|node| self.holds(node, facts, at, &mut next));
        Verdict { member, next }
    }

    pub(crate) fn segment_node(&self, segment: usize) -> Option<&Node> {
        self.segments.get(segment)
    }

    pub(crate) fn holds(&self, node: &Node, facts: &dyn Facts, at: Timestamp, next: &mut Timestamp) -> bool {
        match node {
            // No short cut: each part says when it may change.
            Node::All(nodes) => nodes.iter().fold(true, |all, node| self.holds(node, facts, at, next) & all),
            Node::Any(nodes) => nodes.iter().fold(false, |any, node| self.holds(node, facts, at, next) | any),
            Node::Not(node) => !self.holds(node, facts, at, next),
            Node::Query { query, test } => {
                let computed = self.value(*query, facts.states(), at);
                *next = (*next).min(computed.next);
                holds(test, computed.value.as_ref(), &self.patterns)
            }
            Node::Trait { path, test } => holds(test, facts.trait_value(path).as_ref(), &self.patterns),
            Node::Consent { purpose, channel } => facts.consent_open(purpose, *channel, at),
        }
    }

    /// A computed trait at an instant.
    pub fn computed(&self, key: &str, states: &States, at: Timestamp) -> Computed {
        match self.computed.get(key) {
            Some(&query) => self.value(query, states, at),
            None => Computed { value: None, is_money: false, next: Timestamp::MAX, unconverted: 0, coarse: false },
        }
    }

    pub(crate) fn value(&self, query: usize, states: &States, at: Timestamp) -> Computed {
        let compiled = &self.queries[query];
        let query = &compiled.query;
        let mut reading = Reading::new(query, at);
        match states.0.get(&compiled.id) {
            None => {}
            Some(State::Count(number)) => reading.count = *number,
            Some(State::Total { number, sum, unconverted }) => {
                (reading.numbers, reading.sum, reading.unconverted) = (*number, *sum, *unconverted);
            }
            Some(State::Least(value)) => reading.min = Some(value.clone()),
            Some(State::Greatest(value)) => reading.max = Some(value.clone()),
            Some(State::Earliest(stamp, value)) => reading.first = Some((*stamp, value.clone())),
            Some(State::Latest(stamp, value)) => reading.last = Some((*stamp, value.clone())),
            Some(State::Times { newest, .. }) => {
                for time in newest {
                    if reading.inside(*time) {
                        reading.count += 1;
                    }
                }
            }
            Some(State::Values(values)) => {
                reading.coarse = values.len() >= ENTRIES_MAX;
                for (value, (newest, number)) in values {
                    if reading.inside(*newest) {
                        reading.values.insert(value.clone(), *number);
                    }
                }
            }
            Some(State::Entries(entries)) => {
                reading.unconverted = entries.unconverted;
                for (stamp, value) in &entries.items {
                    if reading.inside(stamp.time) {
                        reading.take(*stamp, value.as_ref());
                    }
                }
                for (hour, bucket) in &entries.buckets {
                    if reading.inside(Timestamp((hour + 1) * HOUR - 1)) {
                        reading.coarse = true;
                        reading.count += bucket.number;
                        reading.numbers += bucket.numbers;
                        reading.sum += bucket.sum;
                        reading.min = [reading.min.take(), bucket.min.clone()].into_iter().flatten().min();
                        reading.max = [reading.max.take(), bucket.max.clone()].into_iter().flatten().max();
                    }
                }
            }
            Some(State::Orders(orders)) => {
                reading.coarse = orders.len() >= ENTRIES_MAX;
                for order in orders.values() {
                    reading.order(query, order);
                }
            }
        }
        reading.finish(query)
    }
}

fn number_of(value: &Scalar) -> Option<i64> {
    match value {
        Scalar::Number(number) => Some(number.0),
        _ => None,
    }
}

/// How many of the newest times decide a test on a count. `None`: all of them.
fn times_needed(test: &Test) -> Option<u32> {
    let mut needed = 0i64;
    for comparison in &test.0 {
        let (number, more) = match comparison {
            Comparison::Gte(number) | Comparison::Lt(number) => (number, 0),
            Comparison::Gt(number) | Comparison::Lte(number) => (number, 1),
            Comparison::Eq(Scalar::Number(number)) | Comparison::Ne(Scalar::Number(number)) => (number, 1),
            _ => return None,
        };
        // A bound that is no whole number is met or missed by the next whole one.
        needed = needed.max(number.0.div_euclid(DECIMAL_ONE) + 1 + more - i64::from(number.0 % DECIMAL_ONE == 0));
    }
    u32::try_from(needed.max(1)).ok().filter(|needed| *needed as usize <= ENTRIES_MAX + 1)
}

/// What is gathered from a state at an instant.
struct Reading {
    at: Timestamp,
    after: Timestamp,
    within: Option<jumelle_model::Span>,
    next: Timestamp,
    count: u64,
    numbers: u64,
    sum: i128,
    min: Option<Scalar>,
    max: Option<Scalar>,
    first: Option<(jumelle_model::Stamp, Scalar)>,
    last: Option<(jumelle_model::Stamp, Scalar)>,
    values: BTreeMap<Scalar, u64>,
    unconverted: u64,
    coarse: bool,
}

impl Reading {
    fn new(query: &EventQuery, at: Timestamp) -> Reading {
        Reading {
            at,
            after: query.within.map_or(Timestamp::MIN, |within| at - within),
            within: query.within,
            next: Timestamp::MAX,
            count: 0,
            numbers: 0,
            sum: 0,
            min: None,
            max: None,
            first: None,
            last: None,
            values: BTreeMap::new(),
            unconverted: 0,
            coarse: false,
        }
    }

    /// Whether a time is in the window (T − W < time ≤ T), and when that changes.
    fn inside(&mut self, time: Timestamp) -> bool {
        if self.within.is_none() {
            return true;
        }
        if time > self.at {
            self.next = self.next.min(time);
            return false;
        }
        if time <= self.after {
            return false;
        }
        if let Some(within) = self.within {
            self.next = self.next.min(time + within);
        }
        true
    }

    fn take(&mut self, stamp: jumelle_model::Stamp, value: Option<&Scalar>) {
        self.count += 1;
        let Some(value) = value else { return };
        if let Scalar::Number(number) = value {
            self.numbers += 1;
            self.sum += i128::from(number.0);
        }
        if self.min.as_ref().is_none_or(|min| value < min) {
            self.min = Some(value.clone());
        }
        if self.max.as_ref().is_none_or(|max| value > max) {
            self.max = Some(value.clone());
        }
        let pair = (stamp, value.clone());
        if self.first.as_ref().is_none_or(|first| pair < *first) {
            self.first = Some(pair.clone());
        }
        if self.last.as_ref().is_none_or(|last| pair > *last) {
            self.last = Some(pair);
        }
        *self.values.entry(value.clone()).or_default() += 1;
    }

    fn order(&mut self, query: &EventQuery, order: &Order) {
        let Some((stamp, version)) = &order.version else { return };
        let outside = query.since.is_some_and(|since| stamp.time < since) || query.until.is_some_and(|until| stamp.time >= until);
        if order.cancelled || !version.matches || outside || !self.inside(stamp.time) {
            return;
        }
        self.unconverted += version.unconverted;
        if query.aggregate == Aggregate::Count {
            self.take(*stamp, None);
            return;
        }
        let net = query.aggregate.of().is_some_and(|of| ORDER_AMOUNTS.contains(&of));
        for value in &version.values {
            match value {
                Scalar::Number(amount) if net => {
                    let left = order
                        .refunds
                        .values()
                        .try_fold(amount.0, |left, refund| refund.map(|refund| left.saturating_sub(refund.0)));
                    self.take(*stamp, Some(&Scalar::Number(Decimal(left.unwrap_or(0).max(0)))));
                }
                value => self.take(*stamp, Some(value)),
            }
        }
    }

    fn finish(self, query: &EventQuery) -> Computed {
        let whole = |number: u64| Some(Scalar::Number(Decimal((number as i64).saturating_mul(DECIMAL_ONE))));
        let decimal = |sum: i128| Some(Scalar::Number(Decimal(sum.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64)));
        let (value, of) = match &query.aggregate {
            Aggregate::Count => (whole(self.count), None),
            Aggregate::Distinct(_) => (whole(self.values.len() as u64), None),
            Aggregate::Sum(of) => (decimal(self.sum), Some(of)),
            // To the nearest millionth, half away from zero.
            Aggregate::Avg(of) if self.numbers > 0 => (decimal(round_div(self.sum, i128::from(self.numbers))), Some(of)),
            Aggregate::Avg(of) => (None, Some(of)),
            Aggregate::Min(of) => (self.min, Some(of)),
            Aggregate::Max(of) => (self.max, Some(of)),
            Aggregate::First(of) => (self.first.map(|(_, value)| value), Some(of)),
            Aggregate::Last(of) => (self.last.map(|(_, value)| value), Some(of)),
            Aggregate::MostFrequent(of) => {
                let mut best: Option<(Scalar, u64)> = None;
                for (value, number) in self.values {
                    if best.as_ref().is_none_or(|(_, most)| number > *most) {
                        best = Some((value, number));
                    }
                }
                (best.map(|(value, _)| value), Some(of))
            }
        };
        Computed {
            value,
            is_money: of.is_some_and(|of| is_money(of)),
            next: self.next,
            unconverted: self.unconverted,
            coarse: self.coarse,
        }
    }
}
