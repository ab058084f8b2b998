//! Segments whose members the simulator knows, by plain code over its own facts. It shares nothing with the rule language: a test
//! compares both.

use crate::parameters::DAY_MS;

/// What happened, as far as a reference segment asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fact {
    /// `Product Viewed`; of sneakers or not.
    Look {
        /// The product is sneakers.
        sneakers: bool,
    },
    /// `Product Added`
    Added,
    /// `Order Completed`
    Order {
        /// Number of the order; the same one may be reported twice.
        order: u64,
        /// Its total.
        cents: i64,
        /// Bought in a store.
        store: bool,
    },
    /// `Order Refunded`
    Refund {
        /// Number of the order.
        order: u64,
        /// How much; `None`: all.
        cents: Option<i64>,
    },
    /// An answer to "would you recommend us", 0 to 10.
    Recommends(i64),
    /// `Email Opened`
    Opened,
}

/// A fact, when it was and when it arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FactAt {
    /// What.
    pub fact: Fact,
    /// When it happened.
    pub at: i64,
    /// When the collector received it.
    pub arrival: i64,
}

/// The reference segments, under the keys of `examples/maison/workspace.yaml`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Segment {
    /// At least 3 looks at sneakers in 30 days, no order in 14.
    SneakersUndecided,
    /// An order in 30 days.
    RecentBuyers,
    /// Orders of 150 euros or more in 60 days, refunds taken off.
    GoodCustomers,
    /// Her last answer to "would you recommend us" is 6 or less.
    Unhappy,
    /// Put something into the basket in 2 days, no order in 2.
    BasketLeft,
    /// Opened 2 newsletters or more in 30 days.
    Readers,
    /// Looked at a product and bought in a store, both in 30 days.
    WebToStore,
    /// Ordered once; no look and no order in 21 days.
    Sleeping,
}

/// All of them.
pub const SEGMENTS: [Segment; 8] = [
    Segment::SneakersUndecided,
    Segment::RecentBuyers,
    Segment::GoodCustomers,
    Segment::Unhappy,
    Segment::BasketLeft,
    Segment::Readers,
    Segment::WebToStore,
    Segment::Sleeping,
];

impl Segment {
    /// Its key in the workspace.
    pub fn key(self) -> &'static str {
        match self {
            Segment::SneakersUndecided => "sneakers_undecided",
            Segment::RecentBuyers => "recent_buyers",
            Segment::GoodCustomers => "good_customers",
            Segment::Unhappy => "unhappy",
            Segment::BasketLeft => "basket_left",
            Segment::Readers => "readers",
            Segment::WebToStore => "web_to_store",
            Segment::Sleeping => "sleeping",
        }
    }

    fn windows(self) -> &'static [i64] {
        match self {
            Segment::SneakersUndecided => &[30, 14],
            Segment::RecentBuyers | Segment::Readers | Segment::WebToStore => &[30],
            Segment::GoodCustomers => &[60],
            Segment::Unhappy => &[],
            Segment::BasketLeft => &[2],
            Segment::Sleeping => &[21],
        }
    }
}

/// Whether a person with these facts (in the order of time) is a member at an instant.
pub fn holds(segment: Segment, facts: &[FactAt], at: i64) -> bool {
    let past = || facts.iter().filter(move |fact| fact.at <= at);
    let within = |days: i64| past().filter(move |fact| fact.at > at - days * DAY_MS);
    let is_order = |fact: &&FactAt| matches!(fact.fact, Fact::Order { .. });
    let is_look = |fact: &&FactAt| matches!(fact.fact, Fact::Look { .. });
    match segment {
        Segment::SneakersUndecided => {
            within(30).filter(|fact| fact.fact == Fact::Look { sneakers: true }).count() >= 3
                && !within(14).any(|fact| is_order(&fact))
        }
        Segment::RecentBuyers => within(30).any(|fact| is_order(&fact)),
        Segment::GoodCustomers => {
            let mut counted = Vec::new();
            let mut sum = 0;
            for fact in within(60) {
                let Fact::Order { order, cents, .. } = fact.fact else { continue };
                if counted.contains(&order) {
                    continue;
                }
                counted.push(order);
                let refunds = past().filter_map(|fact| match fact.fact {
                    Fact::Refund { order: refunded, cents } if refunded == order => Some(cents),
                    _ => None,
                });
                let refunded: i64 = refunds.map(|refund| refund.unwrap_or(cents)).sum();
                sum += (cents - refunded).max(0);
            }
            sum >= 15_000
        }
        Segment::Unhappy => {
            let mut answers =
                past().rev().filter_map(|fact| if let Fact::Recommends(score) = fact.fact { Some(score) } else { None });
            answers.next().is_some_and(|score| score <= 6)
        }
        Segment::BasketLeft => within(2).any(|fact| fact.fact == Fact::Added) && !within(2).any(|fact| is_order(&fact)),
        Segment::Readers => within(30).filter(|fact| fact.fact == Fact::Opened).count() >= 2,
        Segment::WebToStore => {
            within(30).any(|fact| is_look(&fact)) && within(30).any(|fact| matches!(fact.fact, Fact::Order { store: true, .. }))
        }
        Segment::Sleeping => {
            past().any(|fact| is_order(&fact))
                && !within(21).any(|fact| is_order(&fact))
                && !within(21).any(|fact| is_look(&fact))
        }
    }
}

/// When a person was a member, from and up to (`None`: still is at `to`), knowing everything that ever arrived.
pub fn intervals(segment: Segment, facts: &[FactAt], to: i64) -> Vec<(i64, Option<i64>)> {
    let mut instants: Vec<i64> = facts
        .iter()
        .flat_map(|fact| std::iter::once(fact.at).chain(segment.windows().iter().map(move |days| fact.at + days * DAY_MS)))
        .filter(|at| *at <= to)
        .collect();
    instants.sort_unstable();
    instants.dedup();
    let mut found: Vec<(i64, Option<i64>)> = Vec::new();
    let mut inside = false;
    for at in instants {
        match (inside, holds(segment, facts, at)) {
            (false, true) => found.push((at, None)),
            (true, false) => {
                if let Some(last) = found.last_mut() {
                    last.1 = Some(at);
                }
            }
            _ => continue,
        }
        inside = !inside;
    }
    found
}

/// The instants for which `members` are written: the four quarters of the simulated time, each at the start of a day.
pub fn checkpoints(from: i64, to: i64) -> Vec<i64> {
    (1..=4).map(|quarter| (from + (to - from) * quarter / 4).div_euclid(DAY_MS) * DAY_MS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(fact: Fact, day: i64) -> FactAt {
        FactAt { fact, at: day * DAY_MS, arrival: day * DAY_MS }
    }

    #[test]
    fn windows_run_out_and_orders_end_indecision() {
        let look = Fact::Look { sneakers: true };
        let order = Fact::Order { order: 1, cents: 9_000, store: true };
        let facts = [day(look, 1), day(look, 2), day(look, 3), day(order, 5), day(look, 20)];
        // In at the third look, out with the order, in again when that is 14 days old, out when two of the four looks are too old.
        assert_eq!(
            intervals(Segment::SneakersUndecided, &facts, 100 * DAY_MS),
            [(3 * DAY_MS, Some(5 * DAY_MS)), (19 * DAY_MS, Some(32 * DAY_MS))]
        );
        assert_eq!(intervals(Segment::RecentBuyers, &facts, 100 * DAY_MS), [(5 * DAY_MS, Some(35 * DAY_MS))]);
        assert_eq!(intervals(Segment::WebToStore, &facts, 100 * DAY_MS), [(5 * DAY_MS, Some(35 * DAY_MS))]);
        assert_eq!(intervals(Segment::Sleeping, &facts, 100 * DAY_MS), [(41 * DAY_MS, None)]);
    }

    #[test]
    fn an_order_counts_once_and_its_refund_is_taken_off() {
        let order = Fact::Order { order: 1, cents: 16_000, store: false };
        let facts = [day(order, 1), day(order, 1), day(Fact::Refund { order: 1, cents: Some(2_000) }, 4)];
        assert_eq!(intervals(Segment::GoodCustomers, &facts, 100 * DAY_MS), [(DAY_MS, Some(4 * DAY_MS))]);
        let whole = [day(order, 1), day(Fact::Refund { order: 1, cents: None }, 4)];
        assert!(!holds(Segment::GoodCustomers, &whole, 5 * DAY_MS));
    }
}
