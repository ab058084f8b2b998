//! The rule language: compiled once, evaluated incrementally from mergeable states, or over a list of events.
//!
//! Architecture invariant: knows no storage, reads no clock. The two evaluators are held equal by `tests/differential.rs`, the
//! merge laws of the states by `tests/merge.rs`, the meaning of each operator by the table in `tests/operators.rs`.

mod clock;
mod comparison;
mod explain;
mod observe;
mod oldest;
mod plan;
mod property;
mod reading;
mod state;
mod timeline;

pub use explain::{Language, Why, explain, explain_verdict};
pub use plan::{Computed, Dependencies, Plan, QueryId, Verdict};
pub use state::{ENTRIES_MAX, REFUNDS_MAX, States};
pub use timeline::{Question, evaluate_events};

use jumelle_model::consent::Channel;
use jumelle_model::event::Scalar;
use jumelle_model::time::Timestamp;

/// What a rule may ask of a person besides her events.
pub trait Facts {
    /// A trait by dotted path.
    fn trait_value(&self, path: &str) -> Option<Scalar>;
    /// Whether the trait is there and not null; a list or an object is there without having a single value.
    fn trait_exists(&self, path: &str) -> bool {
        self.trait_value(path).is_some()
    }
    /// Whether the gate is open for a purpose and channel at an instant.
    fn consent_open(&self, purpose: &str, channel: Option<Channel>, at: Timestamp) -> bool;
    /// When she was first collected.
    fn collected(&self) -> Option<Timestamp> {
        None
    }
    /// What the conditions have kept of her events.
    fn states(&self) -> &States;
}
