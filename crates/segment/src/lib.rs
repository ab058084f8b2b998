//! The rule language: compiled once, evaluated incrementally from mergeable states, or over a list of events.
//!
//! Architecture invariant: knows no storage, reads no clock. The two evaluators are held equal by `tests/differential.rs`.

mod explain;
mod plan;
mod property;
mod state;
mod test;
mod timeline;

pub use explain::{Language, Why, explain, explain_verdict};
pub use plan::{Computed, Plan, QueryId, Verdict};
pub use state::{ENTRIES_MAX, States};
pub use timeline::evaluate_events;

use jumelle_model::consent::Channel;
use jumelle_model::event::Scalar;
use jumelle_model::time::Timestamp;

/// What a rule may ask of a person besides her events.
pub trait Facts {
    /// A trait by dotted path.
    fn trait_value(&self, path: &str) -> Option<Scalar>;
    /// Whether the gate is open for a purpose and channel at an instant.
    fn consent_open(&self, purpose: &str, channel: Option<Channel>, at: Timestamp) -> bool;
    /// What the conditions have kept of her events.
    fn states(&self) -> &States;
}
