//! What a query keeps of a person's events: parts that merge, in any order, to the same bytes (DESIGN, rule 3).
//!
//! Each part is a function of the *set* of events: a sum, a maximum, the newest k of a set, a set cut at an edge that follows from
//! its own newest time. What lies before the edge of a window can be dropped for good, because a state is read at no instant
//! before its newest event. The edge is taken at whole hours, so that a bucket is kept or dropped as one.
//!
//! Past [`ENTRIES_MAX`] this stays true of all parts but one: an order that was dropped as the oldest, and is named again by a
//! later refund, comes back without what was known of it.

use std::collections::{BTreeMap, VecDeque};

use jumelle_model::event::Scalar;
use jumelle_model::identifier::identifier_key;
use jumelle_model::ids::{Fingerprint, Stamp};
use jumelle_model::number::Decimal;
use jumelle_model::time::{Span, Timestamp};
use litemap::LiteMap;
use serde::{Deserialize, Serialize};

use crate::oldest::Oldest;
use crate::plan::QueryId;
use crate::property::Refund;

/// Entries (or values, or orders) of one query and person that are kept one by one. Past it the oldest entries go into hourly
/// buckets, the oldest values and orders go, and the reading is marked `coarse`.
pub const ENTRIES_MAX: usize = 10_000;

/// Refunds of one order that are kept.
pub const REFUNDS_MAX: usize = 1_000;

/// Bytes of a text that is only told apart from others; a longer one is known by its hash.
const DISTINCT_BYTES_MAX: usize = 64;

pub(crate) const HOUR: i64 = 3_600_000_000;

/// What all queries keep of one person.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct States(pub(crate) LiteMap<QueryId, Kept>);

/// What one query keeps of one person.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// Amounts left out for want of a rate, where the part does not keep them itself.
    pub(crate) unconverted: u64,
    pub(crate) part: Part,
}

/// The part that a query's aggregate and window ask for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Part {
    /// All time: how many.
    Count(u64),
    /// All time: how many numbers, and their sum in millionths.
    Total { number: u64, sum: i128 },
    /// All time: the smallest number.
    Least(Option<Decimal>),
    /// All time: the largest number.
    Greatest(Option<Decimal>),
    /// All time: the value of the earliest event that has one.
    Earliest(Option<(Stamp, Scalar)>),
    /// All time: the value of the latest.
    Latest(Option<(Stamp, Scalar)>),
    /// All time: how many times each value was seen.
    Frequencies(BTreeMap<Scalar, u64>),
    /// A window's count compared with a bound: the newest times, sorted, `keep` at most.
    Times { keep: u32, newest: VecDeque<Timestamp> },
    /// Any other aggregate in a window.
    Entries(Entries),
    /// Different values, in a window or of all time.
    Values(Values),
    /// Orders by id.
    Orders(Orders),
}

/// Entries of a window, sorted. A value that is not there stands for an event (count) or for an unconverted amount.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Entries {
    within: Span,
    pub(crate) items: VecDeque<(Stamp, Option<Scalar>)>,
    pub(crate) buckets: BTreeMap<i64, Bucket>,
}

/// The entries of one hour that are no longer kept one by one.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Bucket {
    /// Entries without a value.
    pub(crate) bare: u64,
    pub(crate) numbers: u64,
    pub(crate) sum: i128,
    pub(crate) min: Option<Decimal>,
    pub(crate) max: Option<Decimal>,
}

/// Per value its newest time.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Values {
    within: Option<Span>,
    newest: Timestamp,
    pub(crate) times: BTreeMap<Scalar, Timestamp>,
    #[serde(skip)]
    oldest: Oldest<Scalar>,
}

/// Orders by id. Stored as the map alone.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Orders {
    pub(crate) by_id: BTreeMap<String, Order>,
    #[serde(skip)]
    oldest: Oldest<String>,
}

/// An order: its newest version, and what was taken off it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    /// Newest time of an event that named it: what makes it old.
    touched: Timestamp,
    pub(crate) version: Option<(Stamp, Version)>,
    pub(crate) cancelled: bool,
    pub(crate) refunds: BTreeMap<Fingerprint, Refund>,
}

/// What a version of an order comes to under one query.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub(crate) struct Version {
    pub(crate) matches: bool,
    pub(crate) values: Vec<Scalar>,
    pub(crate) unconverted: u64,
}

impl States {
    /// Joins what was kept of two people. Commutative and associative.
    pub fn merge(&mut self, other: States) {
        for (id, theirs) in other.0 {
            match self.0.get_mut(&id) {
                None => {
                    self.0.insert(id, theirs);
                }
                Some(mine) => {
                    mine.unconverted += theirs.unconverted;
                    mine.part.merge(theirs.part);
                }
            }
        }
    }

    /// How many entries, values and orders are kept: what reading them all costs.
    pub fn entries(&self) -> usize {
        self.0.values().map(|kept| kept.part.entries()).sum()
    }

    /// Drops what no query of the plan asks for.
    pub fn retain(&mut self, plan: &crate::Plan) {
        self.0.retain(|id, _| plan.knows(*id));
    }
}

impl Part {
    fn entries(&self) -> usize {
        match self {
            Part::Frequencies(frequencies) => frequencies.len(),
            Part::Entries(entries) => entries.items.len(),
            Part::Values(values) => values.times.len(),
            Part::Orders(orders) => orders.by_id.len(),
            // Read without looking at each.
            Part::Times { .. } => 1,
            Part::Count(_) | Part::Total { .. } | Part::Least(_) | Part::Greatest(_) | Part::Earliest(_) | Part::Latest(_) => 1,
        }
    }

    fn merge(&mut self, other: Part) {
        match (self, other) {
            (Part::Count(mine), Part::Count(theirs)) => *mine += theirs,
            (Part::Total { number, sum }, Part::Total { number: more, sum: addend }) => {
                *number += more;
                *sum += addend;
            }
            (Part::Least(mine), Part::Least(theirs)) => *mine = mine.iter().copied().chain(theirs).min(),
            (Part::Greatest(mine), Part::Greatest(theirs)) => *mine = (*mine).max(theirs),
            (Part::Earliest(mine), Part::Earliest(theirs)) => *mine = mine.take().into_iter().chain(theirs).min(),
            (Part::Latest(mine), Part::Latest(theirs)) => *mine = mine.take().max(theirs),
            (Part::Frequencies(mine), Part::Frequencies(theirs)) => {
                theirs.into_iter().for_each(|(value, number)| count_value(mine, value, number));
            }
            (Part::Times { keep, newest }, Part::Times { newest: theirs, .. }) => {
                theirs.into_iter().for_each(|time| keep_newest(newest, *keep, time));
            }
            (Part::Entries(mine), Part::Entries(theirs)) => mine.merge(theirs),
            (Part::Values(mine), Part::Values(theirs)) => {
                theirs.times.into_iter().for_each(|(value, time)| mine.see(value, time));
            }
            (Part::Orders(mine), Part::Orders(theirs)) => {
                for (id, order) in theirs.by_id {
                    mine.by_id.entry(id).or_insert_with(Order::new).merge(order);
                }
                mine.oldest.forget();
                mine.trim();
            }
            // A query's id fixes the kind of its part, so two parts of one id are of one kind.
            _ => {}
        }
    }
}

/// Counts a value. Past the bound the greatest values go: whether one stays does not depend on when it was seen.
pub(crate) fn count_value(frequencies: &mut BTreeMap<Scalar, u64>, value: Scalar, number: u64) {
    *frequencies.entry(value).or_default() += number;
    if frequencies.len() > ENTRIES_MAX {
        frequencies.pop_last();
    }
}

/// Adds a time, in its place, and keeps the newest `keep`.
pub(crate) fn keep_newest(newest: &mut VecDeque<Timestamp>, keep: u32, time: Timestamp) {
    let place = newest.partition_point(|other| *other < time);
    newest.insert(place, time);
    if newest.len() > keep as usize {
        newest.pop_front();
    }
}

/// The first hour that a window can still reach into.
fn edge(newest: Timestamp, within: Span) -> i64 {
    hour(newest - within)
}

fn hour(time: Timestamp) -> i64 {
    time.0.div_euclid(HOUR)
}

impl Entries {
    pub(crate) fn new(within: Span) -> Entries {
        Entries { within, items: VecDeque::new(), buckets: BTreeMap::new() }
    }

    /// Adds one, in its place.
    pub(crate) fn insert(&mut self, stamp: Stamp, value: Option<Scalar>) {
        let entry = (stamp, value);
        let place = self.items.partition_point(|other| *other < entry);
        self.items.insert(place, entry);
        self.trim();
    }

    fn merge(&mut self, other: Entries) {
        for (hour, bucket) in other.buckets {
            self.buckets.entry(hour).or_default().merge(bucket);
        }
        let mut items: Vec<_> = std::mem::take(&mut self.items).into();
        items.extend(other.items);
        items.sort();
        self.items = items.into();
        self.trim();
    }

    fn trim(&mut self) {
        let Some((newest, _)) = self.items.back() else { return };
        let edge = edge(newest.time, self.within);
        while self.items.front().is_some_and(|(stamp, _)| hour(stamp.time) < edge) {
            self.items.pop_front();
        }
        while self.buckets.first_key_value().is_some_and(|(hour, _)| *hour < edge) {
            self.buckets.pop_first();
        }
        while self.items.len() > ENTRIES_MAX
            && let Some((stamp, value)) = self.items.pop_front()
        {
            self.buckets.entry(hour(stamp.time)).or_default().add(value);
        }
    }
}

impl Bucket {
    fn add(&mut self, value: Option<Scalar>) {
        match value {
            None => self.bare += 1,
            Some(Scalar::Number(number)) => {
                let one = Bucket { bare: 0, numbers: 1, sum: i128::from(number.0), min: Some(number), max: Some(number) };
                self.merge(one);
            }
            // Texts and flags are read by first, last and most_frequent only, which an hour's bucket cannot answer.
            Some(_) => {}
        }
    }

    fn merge(&mut self, other: Bucket) {
        self.bare += other.bare;
        self.numbers += other.numbers;
        self.sum += other.sum;
        self.min = self.min.into_iter().chain(other.min).min();
        self.max = self.max.max(other.max);
    }
}

impl Values {
    pub(crate) fn new(within: Option<Span>) -> Values {
        Values { within, newest: Timestamp::MIN, times: BTreeMap::new(), oldest: Oldest::default() }
    }

    /// Notes that a value was there at a time. Past the bound the value whose newest time is the oldest goes.
    pub(crate) fn see(&mut self, value: Scalar, time: Timestamp) {
        let value = match value {
            Scalar::Text(text) if text.len() > DISTINCT_BYTES_MAX => {
                Scalar::Text(format!("hash:{:032x}", identifier_key("value", &text)))
            }
            other => other,
        };
        let before = self.times.get(&value).copied();
        let latest = before.map_or(time, |before| before.max(time));
        self.oldest.note(&value, before, latest);
        self.times.insert(value, latest);
        let newest = self.newest.max(time);
        if let Some(within) = self.within {
            let edge = edge(newest, within);
            if hour(time) < edge || (self.newest != Timestamp::MIN && edge != self::edge(self.newest, within)) {
                self.times.retain(|_, time| hour(*time) >= edge);
                self.oldest.forget();
            }
        }
        self.newest = newest;
        if self.times.len() > ENTRIES_MAX {
            let all = self.times.iter().map(|(value, time)| (*time, value.clone()));
            self.oldest.pop(all).and_then(|value| self.times.remove(&value));
        }
    }
}

impl Order {
    pub(crate) fn new() -> Order {
        Order { touched: Timestamp::MIN, version: None, cancelled: false, refunds: BTreeMap::new() }
    }

    pub(crate) fn touch(&mut self, time: Timestamp) {
        self.touched = self.touched.max(time);
    }

    pub(crate) fn complete(&mut self, stamp: Stamp, version: Version) {
        if self.version.as_ref().is_none_or(|(mine, known)| (*mine, known) < (stamp, &version)) {
            self.version = Some((stamp, version));
        }
    }

    pub(crate) fn refund(&mut self, message: Fingerprint, refund: Refund) {
        let known = self.refunds.entry(message).or_insert(refund);
        *known = (*known).max(refund);
        if self.refunds.len() > REFUNDS_MAX {
            self.refunds.pop_last();
        }
    }

    /// What is left of an amount after the refunds: they take nothing below zero. An amount that was sent negative stays.
    pub(crate) fn left_of(&self, amount: Decimal) -> Decimal {
        if amount.0 <= 0 {
            return amount;
        }
        let mut left = amount.0;
        for refund in self.refunds.values() {
            match refund {
                Refund::Full => return Decimal(0),
                Refund::Amount(part) => left = left.saturating_sub(part.0),
                Refund::Unconverted => {}
            }
        }
        Decimal(left.max(0))
    }

    fn merge(&mut self, other: Order) {
        self.touch(other.touched);
        if let Some((stamp, version)) = other.version {
            self.complete(stamp, version);
        }
        self.cancelled |= other.cancelled;
        other.refunds.into_iter().for_each(|(message, refund)| self.refund(message, refund));
    }
}

impl Orders {
    /// An event names an order: what it says of it.
    pub(crate) fn touch(&mut self, id: String, time: Timestamp, say: impl FnOnce(&mut Order)) {
        let before = self.by_id.get(&id).map(|order| order.touched);
        self.oldest.note(&id, before, before.map_or(time, |before| before.max(time)));
        let order = self.by_id.entry(id).or_insert_with(Order::new);
        order.touch(time);
        say(order);
        self.trim();
    }

    fn trim(&mut self) {
        while self.by_id.len() > ENTRIES_MAX {
            let all = self.by_id.iter().map(|(id, order)| (order.touched, id.clone()));
            let Some(id) = self.oldest.pop(all) else { return };
            self.by_id.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(n: usize) -> Timestamp {
        Timestamp(n as i64 * 1_000)
    }

    /// Past the bound, whatever the order of arrival and however it was merged or stored between, the same ones are kept.
    #[test]
    fn the_oldest_go_in_any_order() {
        let count = ENTRIES_MAX + 300;
        let fold = |order: &mut dyn Iterator<Item = usize>| {
            let (mut orders, mut values) = (Orders::default(), Values::new(None));
            for n in order {
                orders.touch(format!("o{n}"), at(n), |_| {});
                values.see(Scalar::Text(format!("v{n}")), at(n));
                // Each third comes again later: it is as young as its newest time.
                if n % 3 == 0 {
                    orders.touch(format!("o{n}"), at(n + count), |_| {});
                    values.see(Scalar::Text(format!("v{n}")), at(n + count));
                }
            }
            (orders, values)
        };
        let forwards = fold(&mut (0..count));
        let backwards = fold(&mut (0..count).rev());
        let shuffled = fold(&mut (0..count).map(|n| n * 7_919 % count));
        assert_eq!(forwards.0.by_id.len(), ENTRIES_MAX);
        assert_eq!(forwards, backwards);
        assert_eq!(forwards, shuffled);
        let young = (0..count).filter(|n| n % 3 == 0).all(|n| forwards.0.by_id.contains_key(&format!("o{n}")));
        assert!(young, "those that came again are kept");
        let (mut odd, even) = (fold(&mut (0..count).filter(|n| n % 2 == 1)), fold(&mut (0..count).filter(|n| n % 2 == 0)));
        let mut part = Part::Orders(std::mem::take(&mut odd.0));
        part.merge(Part::Orders(even.0));
        assert_eq!(part, Part::Orders(forwards.0.clone()));
        let bytes = postcard::to_allocvec(&forwards.0).unwrap();
        assert_eq!(bytes, postcard::to_allocvec(&forwards.0.by_id).unwrap(), "stored as the map alone");
        let mut read: Orders = postcard::from_bytes(&bytes).unwrap();
        read.touch("last".into(), at(3 * count), |_| {});
        let mut kept = forwards.0;
        kept.touch("last".into(), at(3 * count), |_| {});
        assert_eq!(read, kept);
    }
}
