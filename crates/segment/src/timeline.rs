//! The set-based evaluator: a rule over a person's list of events, written from the definitions.
//!
//! It keeps nothing and shares no state with the incremental one; what both share is the meaning of a comparison, of a property
//! and of money. It serves `segment preview --at` and is the incremental evaluator's oracle in tests.

use std::collections::{BTreeMap, BTreeSet};

use jumelle_model::Workspace;
use jumelle_model::event::{Event, Scalar};
use jumelle_model::ids::Stamp;
use jumelle_model::number::{DECIMAL_ONE, Decimal};
use jumelle_model::rule::{Aggregate, EventQuery, ORDER_CANCELLED, ORDER_COMPLETED, ORDER_REFUNDED, Rule};
use jumelle_model::time::Timestamp;
use jumelle_model::workspace::policy::Acts;

use crate::Facts;
use crate::comparison::{Patterns, Value, holds};
use crate::property::{Exchange, Refund, item_path, items, order_id};

/// Whether `rule` holds for a person with these events (in any order; later ones than `at` are ignored) at an instant.
/// To ask the same of many people, make the [`Question`] once.
pub fn evaluate_events(rule: &Rule, events: &[Event<'_>], facts: &dyn Facts, workspace: &Workspace, at: Timestamp) -> bool {
    Question::new(rule, workspace).holds(events, facts, at)
}

/// A rule made ready to be asked of many people's events.
pub struct Question<'q> {
    rule: &'q Rule,
    workspace: &'q Workspace,
    exchange: Exchange,
    patterns: Patterns,
}

impl<'q> Question<'q> {
    /// Compiles the patterns of the rule and of the computed traits that it may name.
    pub fn new(rule: &'q Rule, workspace: &'q Workspace) -> Question<'q> {
        let mut patterns = Patterns::default();
        patterns.add_rule(rule);
        workspace.traits.iter().for_each(|computed| patterns.add_query(&computed.query));
        Question { rule, workspace, exchange: Exchange::of(&workspace.settings), patterns }
    }

    /// Whether it holds for a person with these events (in any order; later ones than `at` are ignored) at an instant.
    pub fn holds(&self, events: &[Event<'_>], facts: &dyn Facts, at: Timestamp) -> bool {
        Timeline { question: self, events, facts, at }.holds(self.rule)
    }
}

struct Timeline<'t, 'a> {
    question: &'t Question<'t>,
    events: &'t [Event<'a>],
    facts: &'t dyn Facts,
    at: Timestamp,
}

/// One thing that counts: when, and its value (none for a plain count).
type Counted = (Stamp, Option<Scalar>);

impl Timeline<'_, '_> {
    fn holds(&self, rule: &Rule) -> bool {
        let patterns = &self.question.patterns;
        match rule {
            Rule::All(rules) => rules.iter().all(|rule| self.holds(rule)),
            Rule::Any(rules) => rules.iter().any(|rule| self.holds(rule)),
            Rule::Not(rule) => !self.holds(rule),
            Rule::Did(did) => self.compare(&did.query, &did.test),
            Rule::Trait { path, test } => match self.facts.trait_value(path) {
                None if self.facts.trait_exists(path) => holds(test, Value::Opaque, patterns),
                found => holds(test, Value::of(found.as_ref()), patterns),
            },
            Rule::Computed { key, test } => {
                let computed = self.question.workspace.computed(key);
                computed.is_some_and(|computed| self.compare(&computed.query, test))
            }
            Rule::Prospect(state) => {
                let Some(prospects) = &self.question.workspace.policy.prospects else { return false };
                prospects.state(&self.acts(), self.at).0 == Some(*state)
            }
            Rule::RetentionOver { purpose } => {
                let purpose = self.question.workspace.purpose(purpose);
                purpose.and_then(|purpose| purpose.keeps_until(&self.acts())).is_some_and(|until| until <= self.at)
            }
            Rule::Consent { purpose, channel } => self.facts.consent_open(purpose, *channel, self.at),
        }
    }

    fn acts(&self) -> Acts {
        let workspace = self.question.workspace;
        let newest = |counts: &dyn Fn(&Event<'_>) -> bool| {
            self.events.iter().filter(|event| event.time <= self.at && counts(event)).map(|event| event.time).max()
        };
        let (kind, names) =
            (|event: &Event<'_>| workspace.source(event.source).map(|source| source.kind), workspace.policy.act_names());
        Acts {
            collected: self.facts.collected(),
            last: newest(&|event| names.is_act(kind(event), event)),
            ordered: newest(&|event| event.name == ORDER_COMPLETED),
        }
    }

    fn compare(&self, query: &EventQuery, test: &jumelle_model::rule::Test) -> bool {
        let mut counted = if query.event == ORDER_COMPLETED { self.orders(query) } else { self.plain(query) };
        counted.sort();
        let values: Vec<&Scalar> = counted.iter().filter_map(|(_, value)| value.as_ref()).collect();
        let numbers: Vec<Decimal> = values
            .iter()
            .filter_map(|value| match value {
                Scalar::Number(number) => Some(*number),
                _ => None,
            })
            .collect();
        let sum: i128 = numbers.iter().map(|number| i128::from(number.0)).sum();
        let integer = |number: usize| Value::Number(Decimal(number as i64 * DECIMAL_ONE));
        let number = |found: Option<&Decimal>| found.map_or(Value::Missing, |number| Value::Number(*number));
        let value = match query.aggregate {
            Aggregate::Count => integer(counted.len()),
            Aggregate::Distinct(_) => integer(values.iter().collect::<BTreeSet<_>>().len()),
            Aggregate::Sum(_) => Value::Ratio { sum, number: 1 },
            Aggregate::Avg(_) if numbers.is_empty() => Value::Missing,
            Aggregate::Avg(_) => Value::Ratio { sum, number: numbers.len() as u64 },
            Aggregate::Min(_) => number(numbers.iter().min()),
            Aggregate::Max(_) => number(numbers.iter().max()),
            Aggregate::First(_) => Value::of(values.first().copied()),
            Aggregate::Last(_) => Value::of(values.last().copied()),
            Aggregate::MostFrequent(_) => {
                let mut frequency: BTreeMap<&Scalar, usize> = BTreeMap::new();
                values.iter().for_each(|value| *frequency.entry(value).or_default() += 1);
                let most = frequency.values().max();
                Value::of(frequency.iter().find(|(_, number)| Some(*number) == most).map(|(value, _)| *value))
            }
        };
        holds(test, value, &self.question.patterns)
    }

    /// Events of a name up to the instant.
    fn named(&self, name: &str) -> impl Iterator<Item = &Event<'_>> {
        self.events.iter().filter(move |event| event.time <= self.at && event.name == name)
    }

    fn in_time(&self, query: &EventQuery, time: Timestamp) -> bool {
        query.within.is_none_or(|within| time > self.at - within)
            && query.since.is_none_or(|since| time >= since)
            && query.until.is_none_or(|until| time < until)
    }

    fn plain(&self, query: &EventQuery) -> Vec<Counted> {
        let in_scope = self.named(&query.event).filter(|event| self.in_time(query, event.time));
        in_scope.flat_map(|event| self.counted(query, event)).collect()
    }

    /// One entry per order id: its newest version, if not cancelled, its amounts net of refunds.
    fn orders(&self, query: &EventQuery) -> Vec<Counted> {
        let mut newest: BTreeMap<String, &Event<'_>> = BTreeMap::new();
        for event in self.named(ORDER_COMPLETED) {
            let known = newest.entry(order_id(event)).or_insert(event);
            if known.stamp() < event.stamp() {
                *known = event;
            }
        }
        for event in self.named(ORDER_CANCELLED) {
            newest.remove(&order_id(event));
        }
        let mut refunds: BTreeMap<String, Vec<Refund>> = BTreeMap::new();
        for event in self.named(ORDER_REFUNDED) {
            refunds.entry(order_id(event)).or_default().push(self.question.exchange.refund(event));
        }
        let reads_amount = matches!(query.aggregate.of(), Some("total" | "revenue" | "value"));
        let is_reduced = reads_amount && ["sum", "avg", "min", "max"].contains(&query.aggregate.name());
        let mut counted = Vec::new();
        for (id, event) in newest.into_iter().filter(|(_, event)| self.in_time(query, event.time)) {
            for (stamp, value) in self.counted(query, event) {
                let reduced = match (value, refunds.get(&id)) {
                    (Some(Scalar::Number(amount)), Some(refunds)) if is_reduced && amount.0 > 0 => {
                        let is_full = refunds.contains(&Refund::Full);
                        let back: i128 = refunds
                            .iter()
                            .map(|refund| if let Refund::Amount(part) = refund { i128::from(part.0) } else { 0 })
                            .sum();
                        let left = if is_full { 0 } else { (i128::from(amount.0) - back).max(0) };
                        Some(Scalar::Number(Decimal(left as i64)))
                    }
                    (value, _) => value,
                };
                counted.push((stamp, reduced));
            }
        }
        counted
    }

    /// What one event counts for: nothing if it does not match, one entry for a count, else its values.
    fn counted(&self, query: &EventQuery, event: &Event<'_>) -> Vec<Counted> {
        let Question { exchange, patterns, .. } = self.question;
        let (on_items, on_event): (Vec<_>, Vec<_>) = query.filters.iter().partition(|filter| item_path(&filter.path).is_some());
        if !on_event.iter().all(|filter| holds(&filter.test, exchange.of_event(event, &filter.path), patterns)) {
            return Vec::new();
        }
        let of = query.aggregate.of();
        let needs_items = !on_items.is_empty() || of.is_some_and(|of| item_path(of).is_some());
        let matching: Vec<_> = items(event)
            .iter()
            .filter(|item| {
                on_items.iter().all(|filter| {
                    let path = item_path(&filter.path).unwrap_or_default();
                    holds(&filter.test, exchange.of_item(event, item, path), patterns)
                })
            })
            .collect();
        if needs_items && matching.is_empty() {
            return Vec::new();
        }
        let values: Vec<Scalar> = match of {
            None => return vec![(event.stamp(), None)],
            Some(of) => match item_path(of) {
                Some(path) => matching.iter().filter_map(|item| exchange.of_item(event, item, path).to_scalar()).collect(),
                None => exchange.of_event(event, of).to_scalar().into_iter().collect(),
            },
        };
        values.into_iter().map(|value| (event.stamp(), Some(value))).collect()
    }
}
