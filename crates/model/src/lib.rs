//! The words of Jumelle, and nothing that does I/O: events, identifiers, consents, rules and the definitions of a workspace.
//!
//! Architecture invariant: this crate knows neither storage nor HTTP, and reads no clock except through [`Timestamp::now`].

pub mod consent;
pub mod event;
pub mod identifier;
pub mod ids;
pub mod message;
pub mod number;
pub mod outcome;
pub mod proof;
pub mod rule;
pub mod time;
pub mod workspace;

pub use consent::{Basis, Channel, Choice, ConsentState, Scope, Signal};
pub use event::{Event, EventKind};
pub use identifier::Identifier;
pub use ids::{DeliveryId, Fingerprint, Position, ProfileId, Stamp};
pub use number::{Currency, Decimal, Money};
pub use outcome::{Medium, Outcome};
pub use proof::Proof;
pub use rule::Rule;
pub use time::{Span, Timestamp};
pub use workspace::Workspace;

/// A borrowed JSON value: what an event's properties are read as.
pub use serde_json_borrow::Value as Json;
