//! What a query keeps of a person's events: parts that merge, in any order, to the same bytes (DESIGN, rule 3).

use std::collections::BTreeMap;

use jumelle_model::event::Scalar;
use jumelle_model::ids::{Fingerprint, Stamp};
use jumelle_model::number::Decimal;
use jumelle_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::plan::QueryId;

/// Entries (or values, or orders) of one query and person that are kept one by one. Past it, entries go into hourly buckets (the
/// window's edge is then within the hour), the oldest values and orders go; `coarse` says so.
pub const ENTRIES_MAX: usize = 10_000;

/// What all queries keep of one person.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct States(pub(crate) BTreeMap<QueryId, State>);

/// What one query keeps of one person.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum State {
    /// All time: how many.
    Count(u64),
    /// All time: how many values, and their sum in millionths.
    Total { number: u64, sum: i128, unconverted: u64 },
    /// All time: the smallest.
    Least(Scalar),
    /// All time: the largest.
    Greatest(Scalar),
    /// All time: the value of the earliest event that has one.
    Earliest(Stamp, Scalar),
    /// All time: the value of the latest.
    Latest(Stamp, Scalar),
    /// The newest times, sorted: `keep` at most, as many as the comparison needs.
    Times { keep: u32, newest: Vec<Timestamp> },
    /// A window's entries.
    Entries(Entries),
    /// Per value the newest time and how many.
    Values(BTreeMap<Scalar, (Timestamp, u64)>),
    /// Orders by id.
    Orders(BTreeMap<String, Order>),
}

/// Entries of a window, sorted.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Entries {
    pub(crate) items: Vec<(Stamp, Option<Scalar>)>,
    pub(crate) buckets: BTreeMap<i64, Bucket>,
    pub(crate) unconverted: u64,
}

/// The entries of one hour that are no longer kept one by one.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Bucket {
    pub(crate) number: u64,
    pub(crate) numbers: u64,
    pub(crate) sum: i128,
    pub(crate) min: Option<Scalar>,
    pub(crate) max: Option<Scalar>,
}

/// An order: its newest version, and what was taken off it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) version: Option<(Stamp, Version)>,
    pub(crate) cancelled: bool,
    /// `None`: all of it.
    pub(crate) refunds: BTreeMap<Fingerprint, Option<Decimal>>,
}

/// What a version of an order comes to under one query.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub(crate) struct Version {
    pub(crate) matches: bool,
    pub(crate) values: Vec<Scalar>,
    pub(crate) unconverted: u64,
}

pub(crate) const HOUR: i64 = 3_600_000_000;

impl States {
    /// Joins what was kept of two people. Commutative and associative.
    pub fn merge(&mut self, other: States) {
        for (id, theirs) in other.0 {
            match self.0.remove(&id) {
                None => {
                    self.0.insert(id, theirs);
                }
                Some(mine) => {
                    self.0.insert(id, mine.merge(theirs));
                }
            }
        }
    }

    /// Drops what no query of the plan asks for.
    pub fn retain(&mut self, plan: &crate::Plan) {
        self.0.retain(|id, _| plan.knows(*id));
    }
}

impl State {
    fn merge(self, other: State) -> State {
        match (self, other) {
            (State::Count(a), State::Count(b)) => State::Count(a + b),
            (
                State::Total { number, sum, unconverted },
                State::Total { number: number_b, sum: sum_b, unconverted: unconverted_b },
            ) => State::Total { number: number + number_b, sum: sum + sum_b, unconverted: unconverted + unconverted_b },
            (State::Times { keep, newest: mut a }, State::Times { newest: b, .. }) => {
                a.extend(b);
                a.sort_unstable();
                trim_times(&mut a, keep);
                State::Times { keep, newest: a }
            }
            (State::Entries(mut a), State::Entries(b)) => {
                a.items.extend(b.items);
                a.items.sort();
                for (hour, bucket) in b.buckets {
                    a.buckets.entry(hour).or_default().merge(bucket);
                }
                a.unconverted += b.unconverted;
                a.trim();
                State::Entries(a)
            }
            (State::Values(mut a), State::Values(b)) => {
                for (value, (newest, number)) in b {
                    let mine = a.entry(value).or_insert((newest, 0));
                    *mine = (mine.0.max(newest), mine.1 + number);
                }
                trim_values(&mut a);
                State::Values(a)
            }
            (State::Orders(mut a), State::Orders(b)) => {
                for (id, order) in b {
                    a.entry(id).or_default().merge(order);
                }
                trim_orders(&mut a);
                State::Orders(a)
            }
            (State::Least(a), State::Least(b)) => State::Least(a.min(b)),
            (State::Greatest(a), State::Greatest(b)) => State::Greatest(a.max(b)),
            (State::Earliest(at, a), State::Earliest(other, b)) => {
                let (at, value) = (at, a).min((other, b));
                State::Earliest(at, value)
            }
            (State::Latest(at, a), State::Latest(other, b)) => {
                let (at, value) = (at, a).max((other, b));
                State::Latest(at, value)
            }
            // A query's id fixes the kind of its state, so two states of one id are of one kind.
            (mine, _) => mine,
        }
    }

    /// Takes in what one event adds: the same as joining with a person who has this event only.
    pub(crate) fn absorb(&mut self, other: State) {
        let mine = std::mem::replace(self, State::Count(0));
        *self = mine.merge(other);
    }
}

pub(crate) fn trim_times(times: &mut Vec<Timestamp>, keep: u32) {
    let over = times.len().saturating_sub(keep as usize);
    times.drain(..over);
}

impl Entries {
    /// Adds one, in its place.
    pub(crate) fn insert(&mut self, stamp: Stamp, value: Option<Scalar>) {
        let entry = (stamp, value);
        let place = self.items.partition_point(|other| *other < entry);
        self.items.insert(place, entry);
        self.trim();
    }

    fn trim(&mut self) {
        let over = self.items.len().saturating_sub(ENTRIES_MAX);
        for (stamp, value) in self.items.drain(..over) {
            self.buckets.entry(stamp.time.0.div_euclid(HOUR)).or_default().add(value);
        }
    }
}

impl Bucket {
    fn add(&mut self, value: Option<Scalar>) {
        self.number += 1;
        if let Some(Scalar::Number(number)) = &value {
            self.numbers += 1;
            self.sum += i128::from(number.0);
        }
        self.merge_extremes(value.clone(), value);
    }

    fn merge(&mut self, other: Bucket) {
        self.number += other.number;
        self.numbers += other.numbers;
        self.sum += other.sum;
        self.merge_extremes(other.min, other.max);
    }

    fn merge_extremes(&mut self, min: Option<Scalar>, max: Option<Scalar>) {
        self.min = [self.min.take(), min].into_iter().flatten().min();
        self.max = [self.max.take(), max].into_iter().flatten().max();
    }
}

impl Order {
    pub(crate) fn complete(&mut self, stamp: Stamp, version: Version) {
        if self.version.as_ref().is_none_or(|(mine, known)| (*mine, known) < (stamp, &version)) {
            self.version = Some((stamp, version));
        }
    }

    fn merge(&mut self, other: Order) {
        if let Some((stamp, version)) = other.version {
            self.complete(stamp, version);
        }
        self.cancelled |= other.cancelled;
        self.refunds.extend(other.refunds);
    }
}

pub(crate) fn trim_values(values: &mut BTreeMap<Scalar, (Timestamp, u64)>) {
    while values.len() > ENTRIES_MAX {
        let oldest = values.iter().min_by_key(|(value, (newest, _))| (*newest, *value)).map(|(value, _)| value.clone());
        if let Some(value) = oldest {
            values.remove(&value);
        }
    }
}

pub(crate) fn trim_orders(orders: &mut BTreeMap<String, Order>) {
    while orders.len() > ENTRIES_MAX {
        let age = |order: &Order| order.version.as_ref().map(|(stamp, _)| *stamp);
        let oldest = orders.iter().min_by_key(|(id, order)| (age(order), *id)).map(|(id, _)| id.clone());
        if let Some(id) = oldest {
            orders.remove(&id);
        }
    }
}
