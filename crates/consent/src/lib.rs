//! Choices and the gate.
//!
//! Architecture invariant: [`Cleared`] has no public constructor; the only way to one is [`gate::clear`]. A connector's send
//! function accepts nothing else, so a path around the gate does not compile (the doc tests of [`Cleared`] and of the webhook).
//! This crate knows no connector, does no I/O and reads no clock.

mod choices;
mod gate;
mod hours;
mod reason;
pub mod reduction;
pub mod signals;
mod stored;
pub mod strings;

pub use choices::{Choices, Standing, receipts};
pub use gate::{
    Asked, Circumstances, Cleared, Contact, Evidence, OkOrSoon, Party, Refused, Sent, Verdict, clear, decide, refused_body,
    unsubscribe_json,
};
pub use reason::{Reason, Tongue};
