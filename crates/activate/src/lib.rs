//! Delivery: what is queued goes out, past the second gate, in order per person, as often as it takes.
//!
//! Architecture invariant: the webhook's `send` accepts nothing but [`jumelle_consent::Cleared`], and [`Transport`] no request that
//! carries people but one made of such (the doc tests of [`Webhook::send`] and [`Transport`]). Knows
//! neither segments nor how people are stored; the engine answers through [`House`].

mod attempt;
mod backoff;
mod batch;
mod bell;
mod breaker;
mod dispatch;
mod egress;
mod files;
mod house;
mod last_look;
mod line;
mod list;
mod native;
mod partner;
mod queue;
pub mod secrets;
mod shown;
mod slots;
mod transport;
mod trial;
mod webhook;

pub use backoff::{GIVE_UP_AFTER, REFUSED_ATTEMPTS_MAX, RETRY_DELAY_MAX};
pub use bell::{Bell, Facts, MailSettings, Notice};
pub use dispatch::{AttemptInfo, DestinationStatus, Dispatcher};
pub use egress::{install_crypto, is_private};
pub use files::FileStatus;
pub use house::{Clearance, Closed, DeliveryResult, FinalState, Folders, House, QueueKey, Queued, Standing};
pub use list::fetch_list;
pub use queue::QUEUE_MEMORY_MAX;
pub use shown::{Judged, Shown, cannot_be_told, removal_none, show};
pub use transport::Transport;
pub use trial::{Trial, test_connector, test_destination};
pub use webhook::{Outcome, Webhook, resolve_secret, sign};
