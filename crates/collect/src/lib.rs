//! Wire formats and files to events. Knows nothing of profiles, storage or HTTP.
//!
//! The way of an event: [`decode`] checks the bytes of a request and gives what is stored; [`read_event`] reads what was stored
//! for the fold. Both are pure, so a replay reads the same events.

pub mod decode;
pub mod files;
pub mod inbound;
mod read;
pub mod reduced;
mod signals;
pub mod tool_list;
mod validate;
mod vocabulary;

pub use decode::{Claims, Collected, Decoded, Rejected, decode_batch, decode_single};
pub use read::{ConsentEntry, Shown, consents, read_event};
pub use signals::{Judged, ReadSignal, is_choice, with_sec_gpc};
pub use validate::Limits;
pub use vocabulary::{GA4_EVENTS, GA4_ONE_PRODUCT, GA4_PROPERTIES};
