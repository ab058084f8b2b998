//! The fold: what is known about one person, as parts that merge.
//!
//! Architecture invariant: a pure function of the person's events and the definitions; reads no clock, knows no storage.
//! `merge(fold(A), fold(B)) = fold(A ∪ B)` for what [`Known`] holds (property test in `tests/merge.rs`).

mod circumstances;
mod fields;
mod person;
mod view;

pub use fields::{Fields, fields, sha256_hex};
pub use person::{ANONYMOUS_ID, Activated, Held, Known, Person, Seen, TRAITS_MAX, TraitValue, Transition};
pub use view::{choice_ends, consents_json, identifiers_json, label, profile_json, signals_json};
