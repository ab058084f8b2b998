//! A delivery, as the outbox keeps it.

use jumelle_activate::QueueKey;
use jumelle_model::ids::ProfileId;
use jumelle_model::message::Message;
use jumelle_model::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A message with its fate.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Delivery {
    /// What is to be sent.
    pub message: Message,
    /// Place in the queue.
    pub position: u64,
    /// Order among the messages of one cause about this person.
    pub ordinal: u32,
    /// Where it stands.
    pub state: DeliveryState,
    /// Why it stands there.
    pub reason: Option<String>,
    /// Requests so far, of a final result.
    pub attempts: u32,
    /// HTTP status of the last request, of a final result.
    pub status: Option<u16>,
    /// When it came to stand there.
    pub at: Timestamp,
}

/// Where a delivery stands. `failed` (waiting for a retry) is a queued one with attempts behind it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    /// Waits its turn.
    Queued,
    /// The destination took it.
    Sent,
    /// The gate was closed.
    Blocked,
    /// Given up; can be replayed.
    Dead,
}

impl DeliveryState {
    /// Name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            DeliveryState::Queued => "queued",
            DeliveryState::Sent => "sent",
            DeliveryState::Blocked => "blocked",
            DeliveryState::Dead => "dead",
        }
    }
}

impl Delivery {
    /// Its place.
    pub fn key(&self) -> QueueKey {
        QueueKey { position: self.position, profile: self.message.profile, ordinal: self.ordinal }
    }

    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        // Every type of a delivery can be written; a Vec does not run out.
        postcard::to_allocvec(self).unwrap_or_default()
    }

    /// Reads the stored form.
    pub fn decode(bytes: &[u8]) -> Option<Delivery> {
        postcard::from_bytes(bytes).ok()
    }
}

/// Bytes of a place in a key: position, profile, ordinal.
const PLACE_BYTES: usize = 8 + 16 + 4;

/// A place as bytes that sort like it.
pub fn place(key: QueueKey) -> [u8; PLACE_BYTES] {
    let mut bytes = [0; PLACE_BYTES];
    bytes[..8].copy_from_slice(&key.position.to_be_bytes());
    bytes[8..24].copy_from_slice(&key.profile.0.to_be_bytes());
    bytes[24..].copy_from_slice(&key.ordinal.to_be_bytes());
    bytes
}

/// The place at the end of a key of the queue table or of a person's deliveries.
pub fn read_place(key: &[u8]) -> Option<QueueKey> {
    let tail = key.get(key.len().checked_sub(PLACE_BYTES)?..)?;
    Some(QueueKey {
        position: u64::from_be_bytes(tail[..8].try_into().ok()?),
        profile: ProfileId(u128::from_be_bytes(tail[8..24].try_into().ok()?)),
        ordinal: u32::from_be_bytes(tail[24..].try_into().ok()?),
    })
}

/// Key in the queue table: destination, 0, place.
pub fn queue_key(destination: &str, key: QueueKey) -> Vec<u8> {
    let mut bytes = queue_prefix(destination);
    bytes.extend_from_slice(&place(key));
    bytes
}

/// Prefix of a destination in the queue table.
pub fn queue_prefix(destination: &str) -> Vec<u8> {
    let mut bytes = destination.as_bytes().to_vec();
    bytes.push(0);
    bytes
}

/// Key in the table of deliveries that do not wait: destination, 0, state, place.
pub fn ended_key(destination: &str, state: DeliveryState, key: QueueKey) -> Vec<u8> {
    let mut bytes = ended_prefix(destination, state);
    bytes.extend_from_slice(&place(key));
    bytes
}

/// Prefix of a destination and a state in the table of deliveries that do not wait.
pub fn ended_prefix(destination: &str, state: DeliveryState) -> Vec<u8> {
    let mut bytes = queue_prefix(destination);
    bytes.push(match state {
        DeliveryState::Queued => 0,
        DeliveryState::Sent => 1,
        DeliveryState::Blocked => 2,
        DeliveryState::Dead => 3,
    });
    bytes
}

/// Key in the table of a person's deliveries.
pub fn person_key(profile: ProfileId, key: QueueKey) -> Vec<u8> {
    let mut bytes = profile.0.to_be_bytes().to_vec();
    bytes.extend_from_slice(&place(key));
    bytes
}
