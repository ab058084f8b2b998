//! What leaves the house: the body of a message to a destination, before the gate has cleared it.

use serde::{Deserialize, Serialize};

use crate::consent::Channel;
use crate::ids::{DeliveryId, ProfileId};
use crate::time::Timestamp;

/// Why a message is sent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum MessageType {
    /// She became a member (or the gate opened while she was one).
    #[serde(rename = "segment.entered")]
    Entered,
    /// She is a member no longer; only to those who had received her.
    #[serde(rename = "segment.exited")]
    Exited,
    /// Mapped fields changed while she is a member.
    #[serde(rename = "profile.updated")]
    Updated,
    /// The gate closed; only to those who had received her.
    #[serde(rename = "consent.withdrawn")]
    Withdrawn,
    /// She was erased; only to those who had received her.
    #[serde(rename = "profile.erased")]
    Erased,
}

impl MessageType {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            MessageType::Entered => "segment.entered",
            MessageType::Exited => "segment.exited",
            MessageType::Updated => "profile.updated",
            MessageType::Withdrawn => "consent.withdrawn",
            MessageType::Erased => "profile.erased",
        }
    }

    /// A message that takes a person back out of a tool: allowed without consent, carries what was sent before and no more.
    pub fn takes_back(self) -> bool {
        matches!(self, MessageType::Exited | MessageType::Withdrawn | MessageType::Erased)
    }
}

/// A message for one destination about one person. Only `jumelle_consent` can turn it into something sendable.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Message {
    /// Delivery id; the same at each repeat.
    pub id: DeliveryId,
    /// Why.
    pub kind: MessageType,
    /// Activation key.
    pub activation: String,
    /// Segment key.
    pub segment: String,
    /// Destination key.
    pub destination: String,
    /// For what.
    pub purpose: String,
    /// How it will reach the person.
    pub channel: Channel,
    /// Instant of its cause.
    pub at: Timestamp,
    /// About whom.
    pub profile: ProfileId,
    /// The address or device of the channel that it carries (namespace, value), if any: the gate asks for its consent.
    pub address: Option<(String, String)>,
    /// The fields of the activation's `map`, in its order, each a JSON text.
    pub data: Vec<(String, String)>,
}
