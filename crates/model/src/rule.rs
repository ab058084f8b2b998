//! The rule language's shape (DESIGN §6). Evaluation and explanation live in `jumelle-segment`.

use serde::{Deserialize, Serialize};

use crate::consent::Channel;
use crate::event::Scalar;
use crate::number::Decimal;
use crate::time::{Span, Timestamp};

/// Nesting of a rule, at most.
pub const RULE_DEPTH_MAX: usize = 16;
/// Conditions of one rule, at most.
pub const RULE_CONDITIONS_MAX: usize = 200;

/// A rule over one person.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Rule {
    /// Every one holds; true when empty.
    All(Vec<Rule>),
    /// At least one holds; false when empty.
    Any(Vec<Rule>),
    /// It does not hold.
    Not(Box<Rule>),
    /// Something about her events.
    Did(Did),
    /// A trait's value.
    Trait {
        /// Dotted path in her traits.
        path: String,
        /// What it must satisfy.
        test: Test,
    },
    /// A computed trait's value at the instant.
    Computed {
        /// Its key.
        key: String,
        /// What it must satisfy.
        test: Test,
    },
    /// Where her clock as a prospect stands (`policy.prospects`).
    Prospect(ProspectState),
    /// Her last act is older than a purpose's `retention`: the purpose keeps her no more.
    RetentionOver {
        /// Purpose key.
        purpose: String,
    },
    /// The gate's answer for a purpose and a channel is "open".
    Consent {
        /// Purpose key.
        purpose: String,
        /// `None`: granted for all channels of the purpose.
        channel: Option<Channel>,
    },
}

/// Where the clock of somebody who does nothing stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProspectState {
    /// It ends soon: within `warn_before` of the policy.
    Lapsing,
    /// It has ended.
    Lapsed,
}

impl ProspectState {
    /// As they are written.
    pub const WORDS: [(&'static str, ProspectState); 2] =
        [("lapsing", ProspectState::Lapsing), ("lapsed", ProspectState::Lapsed)];
}

/// `{did: EVENT, where: …, <aggregate>: …, within|since|until: …}`: an aggregate over matching events, compared.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Did {
    /// Which events, over which time, aggregated how.
    pub query: EventQuery,
    /// What the aggregate must satisfy. No aggregate in the text means `count ≥ 1`.
    pub test: Test,
}

/// Which events of a person, and what is made of them. Also the definition of a computed trait.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct EventQuery {
    /// Name of the event.
    pub event: String,
    /// All must hold, each on a property path. Paths below one array (`products.name`) are tested item by item.
    pub filters: Vec<Filter>,
    /// What is made of the matching events.
    pub aggregate: Aggregate,
    /// Sliding window: at T it holds the events with T − within < time ≤ T.
    pub within: Option<Span>,
    /// Event time ≥ since.
    pub since: Option<Timestamp>,
    /// Event time < until.
    pub until: Option<Timestamp>,
}

/// A test on one property of an event.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Filter {
    /// Dotted path below `properties`.
    pub path: String,
    /// What its value must satisfy.
    pub test: Test,
}

/// What is made of a set of events. Paths are dotted, below `properties`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Aggregate {
    /// How many.
    Count,
    /// Sum of a number or an amount of money (orders: net of refunds, in the workspace's currency).
    Sum(String),
    /// Smallest.
    Min(String),
    /// Largest.
    Max(String),
    /// Arithmetic mean.
    Avg(String),
    /// Value of the earliest event that has one.
    First(String),
    /// Value of the latest event that has one.
    Last(String),
    /// How many different values.
    Distinct(String),
    /// The value seen most often; ties: the smaller value.
    MostFrequent(String),
}

impl Aggregate {
    /// The key in `workspace.yaml`.
    pub fn name(&self) -> &'static str {
        match self {
            Aggregate::Count => "count",
            Aggregate::Sum(_) => "sum",
            Aggregate::Min(_) => "min",
            Aggregate::Max(_) => "max",
            Aggregate::Avg(_) => "avg",
            Aggregate::First(_) => "first",
            Aggregate::Last(_) => "last",
            Aggregate::Distinct(_) => "distinct",
            Aggregate::MostFrequent(_) => "most_frequent",
        }
    }

    /// The property it reads, if any.
    pub fn of(&self) -> Option<&str> {
        match self {
            Aggregate::Count => None,
            Aggregate::Sum(path)
            | Aggregate::Min(path)
            | Aggregate::Max(path)
            | Aggregate::Avg(path)
            | Aggregate::First(path)
            | Aggregate::Last(path)
            | Aggregate::Distinct(path)
            | Aggregate::MostFrequent(path) => Some(path),
        }
    }
}

/// A conjunction of comparisons on one value: `{gte: 3, lt: 10}`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Test(pub Vec<Comparison>);

/// One comparison. A missing or null value, or one of another type, satisfies none of them except `Exists(false)`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Comparison {
    /// Same type and value.
    Eq(Scalar),
    /// There, of the same type, and different.
    Ne(Scalar),
    /// Equal to one of them.
    In(Vec<Scalar>),
    /// There, and equal to none of them.
    NotIn(Vec<Scalar>),
    /// Numbers only.
    Gt(Decimal),
    /// Numbers only.
    Gte(Decimal),
    /// Numbers only.
    Lt(Decimal),
    /// Numbers only.
    Lte(Decimal),
    /// Text only, case-sensitive.
    Contains(String),
    /// Text only, case-sensitive.
    StartsWith(String),
    /// Text only: a regular expression (Rust `regex` syntax), found anywhere.
    Matches(String),
    /// There and not null, or not.
    Exists(bool),
}

/// Event names whose events are orders: kept by `order_id`, refunds and cancellations taken off (DESIGN §8.3).
pub const ORDER_COMPLETED: &str = "Order Completed";
/// Names an order and takes money off it.
pub const ORDER_REFUNDED: &str = "Order Refunded";
/// Names an order and takes it away.
pub const ORDER_CANCELLED: &str = "Order Cancelled";

/// Properties that are amounts of money in major units of `properties.currency` (Segment e-commerce specification).
pub const MONEY_PROPERTIES: [&str; 8] = ["total", "revenue", "value", "subtotal", "price", "shipping", "tax", "discount"];
