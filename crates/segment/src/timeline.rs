//! The set-based evaluator: a rule over a person's list of events, written from the definitions.
//!
//! It keeps nothing and shares no state with the incremental one; what both share is the meaning of a comparison, of a property
//! and of money. It serves `segment preview --at` and is the incremental evaluator's oracle in tests.

use std::collections::BTreeMap;

use jumelle_model::Workspace;
use jumelle_model::event::{Event, Scalar};
use jumelle_model::ids::Stamp;
use jumelle_model::number::{DECIMAL_ONE, Decimal, round_div};
use jumelle_model::rule::{Aggregate, EventQuery, ORDER_CANCELLED, ORDER_COMPLETED, ORDER_REFUNDED, Rule};
use jumelle_model::time::Timestamp;

use crate::Facts;
use crate::property::{Exchange, ORDER_AMOUNTS, item_path, items, order_id, property};
use crate::test::{Patterns, holds};

/// Whether `rule` holds for a person with these events (in any order; later ones than `at` are ignored) at an instant.
pub fn evaluate_events(rule: &Rule, events: &[Event<'_>], facts: &dyn Facts, workspace: &Workspace, at: Timestamp) -> bool {
    let mut patterns = Patterns::default();
    patterns.add_rule(rule);
    for computed in &workspace.traits {
        computed.query.filters.iter().for_each(|filter| patterns.add(&filter.test));
    }
    let person = Timeline { events, facts, workspace, exchange: Exchange::of(&workspace.settings), patterns, at };
    person.holds(rule)
}

struct Timeline<'t, 'a> {
    events: &'t [Event<'a>],
    facts: &'t dyn Facts,
    workspace: &'t Workspace,
    exchange: Exchange,
    patterns: Patterns,
    at: Timestamp,
}

/// One value that counts: when, and what (nothing for a plain count).
type Counted = (Stamp, Option<Scalar>);

impl Timeline<'_, '_> {
    fn holds(&self, rule: &Rule) -> bool {
        match rule {
            Rule::All(rules) => rules.iter().all(|rule| self.holds(rule)),
            Rule::Any(rules) => rules.iter().any(|rule| self.holds(rule)),
            Rule::Not(rule) => !self.holds(rule),
            Rule::Did(did) => holds(&did.test, self.aggregate(&did.query).as_ref(), &self.patterns),
            Rule::Trait { path, test } => holds(test, self.facts.trait_value(path).as_ref(), &self.patterns),
            Rule::Computed { key, test } => {
                let value = self.workspace.computed(key).and_then(|computed| self.aggregate(&computed.query));
                holds(test, value.as_ref(), &self.patterns)
            }
            Rule::Consent { purpose, channel } => self.facts.consent_open(purpose, *channel, self.at),
        }
    }

    fn aggregate(&self, query: &EventQuery) -> Option<Scalar> {
        let mut counted = if query.event == ORDER_COMPLETED { self.orders(query) } else { self.plain(query) };
        counted.sort();
        let integer = |number: usize| Some(Scalar::Number(Decimal(number as i64 * DECIMAL_ONE)));
        let numbers = || {
            counted.iter().filter_map(|(_, value)| match value {
                Some(Scalar::Number(number)) => Some(i128::from(number.0)),
                _ => None,
            })
        };
        let mut frequency: BTreeMap<&Scalar, usize> = BTreeMap::new();
        for value in counted.iter().filter_map(|(_, value)| value.as_ref()) {
            *frequency.entry(value).or_default() += 1;
        }
        match query.aggregate {
            Aggregate::Count => integer(counted.len()),
            Aggregate::Distinct(_) => integer(frequency.len()),
            Aggregate::Sum(_) => Some(Scalar::Number(Decimal(numbers().sum::<i128>() as i64))),
            Aggregate::Avg(_) => match numbers().count() {
                0 => None,
                number => Some(Scalar::Number(Decimal(round_div(numbers().sum(), number as i128) as i64))),
            },
            Aggregate::Min(_) => frequency.keys().next().map(|value| (*value).clone()),
            Aggregate::Max(_) => frequency.keys().next_back().map(|value| (*value).clone()),
            Aggregate::First(_) => counted.iter().find_map(|(_, value)| value.clone()),
            Aggregate::Last(_) => counted.iter().rev().find_map(|(_, value)| value.clone()),
            Aggregate::MostFrequent(_) => {
                let most = frequency.values().max()?;
                frequency.iter().find(|(_, number)| *number == most).map(|(value, _)| (*value).clone())
            }
        }
    }

    fn in_time(&self, query: &EventQuery, time: Timestamp) -> bool {
        time <= self.at
            && query.within.is_none_or(|within| time > self.at - within)
            && query.since.is_none_or(|since| time >= since)
            && query.until.is_none_or(|until| time < until)
    }

    fn plain(&self, query: &EventQuery) -> Vec<Counted> {
        let in_scope = self.events.iter().filter(|event| event.name == query.event && self.in_time(query, event.time));
        in_scope.flat_map(|event| self.counted(query, event)).collect()
    }

    /// One entry per order id: its newest version, if not cancelled, its amounts net of refunds.
    fn orders(&self, query: &EventQuery) -> Vec<Counted> {
        let named = |name: &str, id: &str| {
            let name = name.to_owned();
            let id = id.to_owned();
            self.events.iter().filter(move |event| event.time <= self.at && event.name == name && order_id(event) == id)
        };
        let mut newest: BTreeMap<String, &Event<'_>> = BTreeMap::new();
        for event in self.events.iter().filter(|event| event.name == ORDER_COMPLETED && event.time <= self.at) {
            let known = newest.entry(order_id(event)).or_insert(event);
            if known.stamp() < event.stamp() {
                *known = event;
            }
        }
        let mut counted = Vec::new();
        for (id, event) in newest {
            if named(ORDER_CANCELLED, &id).next().is_some() || !self.in_time(query, event.time) {
                continue;
            }
            let is_amount = query.aggregate.of().is_some_and(|of| ORDER_AMOUNTS.contains(&of));
            for (stamp, value) in self.counted(query, event) {
                let value = match value {
                    Some(Scalar::Number(amount)) if is_amount => {
                        let mut left = amount.0;
                        for refund in named(ORDER_REFUNDED, &id) {
                            left = match property(&self.exchange, refund, &refund.properties, "total").value() {
                                Some(Scalar::Number(amount)) => left.saturating_sub(amount.0.saturating_abs()),
                                _ => i64::MIN,
                            };
                            if left == i64::MIN {
                                break;
                            }
                        }
                        Some(Scalar::Number(Decimal(left.max(0))))
                    }
                    other => other,
                };
                counted.push((stamp, value));
            }
        }
        counted
    }

    /// What one event counts for: nothing if it does not match, one entry for a count, else its values.
    fn counted(&self, query: &EventQuery, event: &Event<'_>) -> Vec<Counted> {
        let read = |root, path| property(&self.exchange, event, root, path).value();
        let (on_items, on_event): (Vec<_>, Vec<_>) = query.filters.iter().partition(|filter| item_path(&filter.path).is_some());
        if !on_event.iter().all(|filter| holds(&filter.test, read(&event.properties, &filter.path).as_ref(), &self.patterns)) {
            return Vec::new();
        }
        let of = query.aggregate.of();
        let needs_items = !on_items.is_empty() || of.is_some_and(|of| item_path(of).is_some());
        let matching: Vec<_> = items(event)
            .iter()
            .filter(|item| {
                on_items.iter().all(|filter| {
                    let path = item_path(&filter.path).unwrap_or_default();
                    holds(&filter.test, read(item, path).as_ref(), &self.patterns)
                })
            })
            .collect();
        if needs_items && matching.is_empty() {
            return Vec::new();
        }
        let values: Vec<Scalar> = match of {
            None => return vec![(event.stamp(), None)],
            Some(of) => match item_path(of) {
                Some(path) => matching.iter().filter_map(|item| read(item, path)).collect(),
                None => read(&event.properties, of).into_iter().collect(),
            },
        };
        values.into_iter().map(|value| (event.stamp(), Some(value))).collect()
    }
}
