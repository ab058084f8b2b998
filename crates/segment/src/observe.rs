//! Taking in an event: which queries it touches, and what it adds to their states.

use std::collections::{BTreeMap, VecDeque};

use jumelle_model::event::{Event, Scalar};
use jumelle_model::ids::Fingerprint;
use jumelle_model::rule::{Aggregate, EventQuery, ORDER_CANCELLED, ORDER_COMPLETED, ORDER_REFUNDED};

use crate::comparison::{Value, holds};
use crate::plan::{Plan, Query, QueryId};
use crate::property::{is_net, item_path, items, order_id};
use crate::state::{Entries, Kept, Orders, Part, States, Values, Version, count_value, keep_newest};

/// What an event that matches gives a query.
#[derive(Default)]
struct Found {
    values: Vec<Scalar>,
    unconverted: u64,
}

impl Found {
    fn take(&mut self, value: Value<'_>) {
        match value {
            Value::Unconverted => self.unconverted += 1,
            other => self.values.extend(other.to_scalar()),
        }
    }
}

impl Plan {
    /// Takes in one event. Any order of events gives the same states.
    pub fn observe(&self, states: &mut States, event: &Event<'_>) {
        if let Some(clock) = &self.clock {
            clock.observe(states, event, None);
        }
        for &index in self.queries_of(event.name.as_ref()) {
            self.observe_query(states, event, &self.queries[index]);
        }
    }

    /// As [`Plan::observe`], for some queries only: a backfill.
    pub fn observe_only(&self, states: &mut States, event: &Event<'_>, only: &[QueryId]) {
        if let Some(clock) = &self.clock {
            clock.observe(states, event, Some(only));
        }
        for &index in self.queries_of(event.name.as_ref()) {
            if only.contains(&self.queries[index].id) {
                self.observe_query(states, event, &self.queries[index]);
            }
        }
    }

    fn observe_query(&self, states: &mut States, event: &Event<'_>, compiled: &Query) {
        let query = &compiled.query;
        if query.event == ORDER_COMPLETED {
            return self.observe_order(states, event, compiled);
        }
        if query.since.is_some_and(|since| event.time < since) || query.until.is_some_and(|until| event.time >= until) {
            return;
        }
        let Some(found) = self.matching(query, event) else { return };
        let adds = query.aggregate == Aggregate::Count || !found.values.is_empty() || found.unconverted > 0;
        if adds {
            let kept = states.0.entry(compiled.id).or_insert_with(|| Kept { unconverted: 0, part: empty(compiled) });
            add(kept, query, event, found);
        }
    }

    /// `since` and `until` are asked when the state is read: of the newest version of the order, whichever that will be.
    fn observe_order(&self, states: &mut States, event: &Event<'_>, compiled: &Query) {
        let kept = states.0.entry(compiled.id).or_insert_with(|| Kept { unconverted: 0, part: empty(compiled) });
        let Part::Orders(orders) = &mut kept.part else { return };
        orders.touch(order_id(event), event.time, |order| match event.name.as_ref() {
            ORDER_CANCELLED => order.cancelled = true,
            ORDER_REFUNDED => order.refund(Fingerprint::of(event.message_id), self.exchange.refund(event)),
            _ => {
                let found = self.matching(&compiled.query, event);
                let matches = found.is_some();
                let Found { values, unconverted } = found.unwrap_or_default();
                order.complete(event.stamp(), Version { matches, values, unconverted });
            }
        });
    }

    /// What an event gives a query; `None` if it does not match. Tests on items and the aggregate's item are about the same item.
    fn matching(&self, query: &EventQuery, event: &Event<'_>) -> Option<Found> {
        let mut on_items = query.aggregate.of().is_some_and(|of| item_path(of).is_some());
        for filter in &query.filters {
            if item_path(&filter.path).is_some() {
                on_items = true;
            } else if !holds(&filter.test, self.exchange.of_event(event, &filter.path), &self.patterns) {
                return None;
            }
        }
        let mut found = Found::default();
        let mut is_matched = !on_items;
        let items = if on_items { items(event) } else { &[] };
        for item in items {
            let all_hold = query.filters.iter().all(|filter| match item_path(&filter.path) {
                Some(path) => holds(&filter.test, self.exchange.of_item(event, item, path), &self.patterns),
                None => true,
            });
            if all_hold {
                is_matched = true;
                if let Some(path) = query.aggregate.of().and_then(item_path) {
                    found.take(self.exchange.of_item(event, item, path));
                }
            }
        }
        match query.aggregate.of() {
            Some(path) if is_matched && item_path(path).is_none() => found.take(self.exchange.of_event(event, path)),
            _ => {}
        }
        is_matched.then_some(found)
    }
}

/// The part that a query keeps, before any event.
fn empty(compiled: &Query) -> Part {
    let query = &compiled.query;
    if query.event == ORDER_COMPLETED {
        return Part::Orders(Orders::default());
    }
    match (&query.aggregate, query.within) {
        (Aggregate::Distinct(_), within) => Part::Values(Values::new(within)),
        (Aggregate::Count, Some(within)) => match compiled.keep {
            Some(keep) => Part::Times { keep, newest: VecDeque::new() },
            None => Part::Entries(Entries::new(within)),
        },
        (_, Some(within)) => Part::Entries(Entries::new(within)),
        (Aggregate::Count, None) => Part::Count(0),
        (Aggregate::Sum(_) | Aggregate::Avg(_), None) => Part::Total { number: 0, sum: 0 },
        (Aggregate::Min(_), None) => Part::Least(None),
        (Aggregate::Max(_), None) => Part::Greatest(None),
        (Aggregate::First(_), None) => Part::Earliest(None),
        (Aggregate::Last(_), None) => Part::Latest(None),
        (Aggregate::MostFrequent(_), None) => Part::Frequencies(BTreeMap::new()),
    }
}

fn add(kept: &mut Kept, query: &EventQuery, event: &Event<'_>, found: Found) {
    let stamp = event.stamp();
    let Found { values, unconverted } = found;
    if !matches!(kept.part, Part::Entries(_)) {
        kept.unconverted += unconverted;
    }
    let numbers = values.iter().filter_map(|value| match value {
        Scalar::Number(number) => Some(*number),
        _ => None,
    });
    match &mut kept.part {
        Part::Count(number) => *number += 1,
        Part::Times { keep, newest } => keep_newest(newest, *keep, stamp.time),
        Part::Total { number, sum } => numbers.for_each(|value| {
            *number += 1;
            *sum += i128::from(value.0);
        }),
        Part::Least(least) => *least = least.iter().copied().chain(numbers).min(),
        Part::Greatest(greatest) => *greatest = greatest.iter().copied().chain(numbers).max(),
        Part::Earliest(earliest) => {
            let all = values.into_iter().map(|value| (stamp, value));
            *earliest = earliest.take().into_iter().chain(all).min();
        }
        Part::Latest(latest) => {
            let all = values.into_iter().map(|value| (stamp, value));
            *latest = latest.take().into_iter().chain(all).max();
        }
        Part::Frequencies(frequencies) => values.into_iter().for_each(|value| count_value(frequencies, value, 1)),
        Part::Values(known) => values.into_iter().for_each(|value| known.see(value, stamp.time)),
        Part::Entries(entries) => {
            let bare = if query.aggregate == Aggregate::Count { 1 } else { unconverted };
            (0..bare).for_each(|_| entries.insert(stamp, None));
            let needs_number =
                matches!(query.aggregate, Aggregate::Sum(_) | Aggregate::Avg(_) | Aggregate::Min(_) | Aggregate::Max(_));
            for value in values {
                if !needs_number || matches!(value, Scalar::Number(_)) {
                    entries.insert(stamp, Some(value));
                }
            }
        }
        Part::Orders(_) => {}
    }
}

/// Names of events besides the query's own that change its state.
pub(crate) fn other_events(query: &EventQuery) -> &'static [&'static str] {
    match query.event == ORDER_COMPLETED {
        true if is_net(&query.aggregate) => &[ORDER_CANCELLED, ORDER_REFUNDED],
        true => &[ORDER_CANCELLED],
        false => &[],
    }
}
