//! Reading a state at an instant: the aggregate's value, and when time alone may change it.

use std::collections::{BTreeMap, VecDeque};

use jumelle_model::event::Scalar;
use jumelle_model::ids::Stamp;
use jumelle_model::number::{DECIMAL_ONE, Decimal, round_div};
use jumelle_model::rule::{Aggregate, EventQuery, Test};
use jumelle_model::time::Timestamp;

use crate::ENTRIES_MAX;
use crate::comparison::{Patterns, Value, holds};
use crate::plan::Computed;
use crate::property::{is_money, is_net};
use crate::state::{Entries, HOUR, Kept, Order, Part};

/// What is gathered from a state at an instant: only what the aggregate asks for.
pub(crate) struct Reading<'s> {
    query: &'s EventQuery,
    at: Timestamp,
    pub(crate) next: Timestamp,
    count: u64,
    numbers: u64,
    sum: i128,
    extreme: Option<Decimal>,
    end: Option<(Stamp, &'s Scalar)>,
    values: BTreeMap<&'s Scalar, u64>,
    /// The times in the window, where the query keeps no more than its comparison needs.
    times: Option<(&'s VecDeque<Timestamp>, std::ops::Range<usize>)>,
    pub(crate) unconverted: u64,
    pub(crate) coarse: bool,
    /// There may be more: only as many times are kept as the comparison needs.
    pub(crate) at_least: bool,
}

impl<'s> Reading<'s> {
    pub(crate) fn new(query: &'s EventQuery, kept: Option<&'s Kept>, at: Timestamp) -> Reading<'s> {
        let mut reading = Reading {
            query,
            at,
            next: Timestamp::MAX,
            count: 0,
            numbers: 0,
            sum: 0,
            extreme: None,
            end: None,
            values: BTreeMap::new(),
            times: None,
            unconverted: kept.map_or(0, |kept| kept.unconverted),
            coarse: false,
            at_least: false,
        };
        if let Some(kept) = kept {
            reading.gather(&kept.part);
        }
        reading
    }

    fn gather(&mut self, part: &'s Part) {
        match part {
            Part::Count(number) => self.count = *number,
            Part::Total { number, sum } => (self.numbers, self.sum) = (*number, *sum),
            Part::Least(value) | Part::Greatest(value) => self.extreme = *value,
            Part::Earliest(end) | Part::Latest(end) => self.end = end.as_ref().map(|(stamp, value)| (*stamp, value)),
            Part::Frequencies(values) => {
                self.coarse = values.len() >= ENTRIES_MAX;
                self.values = values.iter().map(|(value, number)| (value, *number)).collect();
            }
            Part::Times { keep, newest } => {
                let range = self.range(newest.len(), |n| newest[n]);
                self.count = range.len() as u64;
                self.at_least = range.len() == *keep as usize;
                self.times = Some((newest, range));
            }
            Part::Values(values) => {
                self.coarse = values.times.len() >= ENTRIES_MAX;
                for time in values.times.values() {
                    self.count += u64::from(self.inside(*time));
                }
            }
            Part::Entries(entries) => self.entries(entries),
            Part::Orders(orders) => {
                self.coarse = orders.by_id.len() >= ENTRIES_MAX;
                orders.by_id.values().for_each(|order| self.order(order));
            }
        }
    }

    /// Whether a time is in the window (T − W < time ≤ T), and when that changes.
    fn inside(&mut self, time: Timestamp) -> bool {
        let Some(within) = self.query.within else { return true };
        if time > self.at {
            self.next = self.next.min(time);
            return false;
        }
        if time <= self.at - within {
            return false;
        }
        self.next = self.next.min(time + within);
        true
    }

    /// Those of `len` sorted times that are in the window.
    fn range(&mut self, len: usize, time: impl Fn(usize) -> Timestamp) -> std::ops::Range<usize> {
        let first_after = |edge: Timestamp| {
            let (mut low, mut high) = (0, len);
            while low < high {
                let middle = low + (high - low) / 2;
                if time(middle) <= edge { low = middle + 1 } else { high = middle }
            }
            low
        };
        let start = self.query.within.map_or(0, |within| first_after(self.at - within));
        let end = first_after(self.at);
        // The first one in the window and the first one after it say when the window's content changes.
        for n in [start, end] {
            if n < len {
                self.inside(time(n));
            }
        }
        start..end.max(start)
    }

    fn entries(&mut self, entries: &'s Entries) {
        let range = self.range(entries.items.len(), |n| entries.items[n].0.time);
        if self.query.aggregate == Aggregate::Count {
            self.count = range.len() as u64;
        } else {
            for (stamp, value) in entries.items.range(range) {
                match value {
                    Some(value) => self.take(*stamp, value),
                    None => self.unconverted += 1,
                }
            }
        }
        for (hour, bucket) in &entries.buckets {
            // An hour leaves when its last instant does.
            if !self.inside(Timestamp(((hour + 1) * HOUR).saturating_sub(1))) {
                continue;
            }
            let is_whole = self.query.within.is_none_or(|within| Timestamp(hour * HOUR) > self.at - within);
            let is_additive = matches!(
                self.query.aggregate,
                Aggregate::Count | Aggregate::Sum(_) | Aggregate::Avg(_) | Aggregate::Min(_) | Aggregate::Max(_)
            );
            self.coarse |= !is_whole || !is_additive;
            if self.query.aggregate == Aggregate::Count {
                self.count += bucket.bare;
                continue;
            }
            self.unconverted += bucket.bare;
            self.numbers += bucket.numbers;
            self.sum += bucket.sum;
            match self.query.aggregate {
                Aggregate::Min(_) => bucket.min.into_iter().for_each(|number| self.extreme(number)),
                Aggregate::Max(_) => bucket.max.into_iter().for_each(|number| self.extreme(number)),
                _ => {}
            }
        }
    }

    fn take(&mut self, stamp: Stamp, value: &'s Scalar) {
        let candidate = (stamp, value);
        match &self.query.aggregate {
            Aggregate::Count => {}
            Aggregate::Sum(_) | Aggregate::Avg(_) | Aggregate::Min(_) | Aggregate::Max(_) => {
                if let Scalar::Number(number) = value {
                    self.number(*number);
                }
            }
            Aggregate::First(_) => self.end = self.end.into_iter().chain([candidate]).min(),
            Aggregate::Last(_) => self.end = self.end.max(Some(candidate)),
            Aggregate::Distinct(_) | Aggregate::MostFrequent(_) => *self.values.entry(value).or_default() += 1,
        }
    }

    fn number(&mut self, number: Decimal) {
        self.numbers += 1;
        self.sum += i128::from(number.0);
        self.extreme(number);
    }

    fn extreme(&mut self, number: Decimal) {
        let is_min = matches!(self.query.aggregate, Aggregate::Min(_));
        self.extreme = Some(match self.extreme {
            Some(known) if is_min => known.min(number),
            Some(known) => known.max(number),
            None => number,
        });
    }

    fn order(&mut self, order: &'s Order) {
        let query = self.query;
        let Some((stamp, version)) = &order.version else { return };
        let is_outside =
            query.since.is_some_and(|since| stamp.time < since) || query.until.is_some_and(|until| stamp.time >= until);
        if order.cancelled || !version.matches || is_outside || !self.inside(stamp.time) {
            return;
        }
        if query.aggregate == Aggregate::Count {
            self.count += 1;
            return;
        }
        self.unconverted += version.unconverted;
        if is_net(&query.aggregate) {
            let refunds = order.refunds.values();
            self.unconverted += refunds.filter(|refund| **refund == crate::property::Refund::Unconverted).count() as u64;
        }
        for value in &version.values {
            match value {
                Scalar::Number(amount) if is_net(&query.aggregate) => self.number(order.left_of(*amount)),
                value => self.take(*stamp, value),
            }
        }
    }

    /// The value to compare. Counts and sums of nothing are 0, the others are missing.
    pub(crate) fn value(&self) -> Value<'s> {
        let count = |number: u64| Value::Number(whole(number));
        match &self.query.aggregate {
            Aggregate::Count => count(self.count),
            // Values are counted in `count`, those of orders in `values`.
            Aggregate::Distinct(_) => count(self.count + self.values.len() as u64),
            Aggregate::Sum(_) => Value::Ratio { sum: self.sum, number: 1 },
            Aggregate::Avg(_) if self.numbers == 0 => Value::Missing,
            Aggregate::Avg(_) => Value::Ratio { sum: self.sum, number: self.numbers },
            Aggregate::Min(_) | Aggregate::Max(_) => self.extreme.map_or(Value::Missing, Value::Number),
            Aggregate::First(_) | Aggregate::Last(_) => Value::of(self.end.map(|(_, value)| value)),
            Aggregate::MostFrequent(_) => {
                let mut best: Option<(&Scalar, u64)> = None;
                for (value, number) in &self.values {
                    if best.is_none_or(|(_, most)| *number > most) {
                        best = Some((value, *number));
                    }
                }
                Value::of(best.map(|(value, _)| value))
            }
        }
    }

    /// When the outcome of `test` may change by time alone: exactly for a count whose times are kept, else with the first entry
    /// that leaves.
    pub(crate) fn next_change(&self, test: &Test, patterns: &Patterns) -> Timestamp {
        let (Some((times, range)), Some(within)) = (&self.times, self.query.within) else { return self.next };
        if range.end < times.len() {
            return self.next;
        }
        let now = holds(test, Value::Number(whole(range.len() as u64)), patterns);
        for n in range.clone() {
            let left_after = (range.end - n - 1) as u64;
            let leaves = times[n] + within;
            let leaves_with_next = n + 1 < range.end && times[n + 1] == times[n];
            if !leaves_with_next && holds(test, Value::Number(whole(left_after)), patterns) != now {
                return leaves;
            }
        }
        Timestamp::MAX
    }

    /// As a computed trait.
    pub(crate) fn computed(&self) -> Computed {
        let value = match self.value() {
            // To the nearest millionth, half away from zero.
            Value::Ratio { sum, number } => {
                let rounded = round_div(sum, i128::from(number)).clamp(i128::from(i64::MIN), i128::from(i64::MAX));
                Some(Scalar::Number(Decimal(rounded as i64)))
            }
            other => other.to_scalar(),
        };
        let is_amount = !matches!(self.query.aggregate, Aggregate::Count | Aggregate::Distinct(_));
        Computed {
            value,
            is_money: is_amount && self.query.aggregate.of().is_some_and(is_money),
            next: self.next,
            unconverted: self.unconverted,
            coarse: self.coarse,
        }
    }
}

fn whole(number: u64) -> Decimal {
    Decimal(i64::try_from(number).unwrap_or(i64::MAX).saturating_mul(DECIMAL_ONE))
}
