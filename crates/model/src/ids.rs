//! Identities of things: profiles, deliveries, places in the history, and the stamp that orders two versions of a fact.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::time::Timestamp;

/// The place of an entry in the history: 0, 1, 2 … without holes, in the order of received time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize)]
pub struct Position(pub u64);

/// 64 bits of a message id. Two ids may share one, so a hit is confirmed against the history before anything is dropped.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize)]
pub struct Fingerprint(pub u64);

impl Fingerprint {
    /// Of a message id.
    pub fn of(message_id: &str) -> Fingerprint {
        Fingerprint(xxh3_64(message_id.as_bytes()))
    }
}

/// Orders two versions of one fact: the later event time wins, then the later arrival, then the message id.
/// Never the place in a log, so that late events, merges and replays agree (DESIGN, rule 3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize)]
pub struct Stamp {
    /// When it happened, corrected for the sender's clock.
    pub time: Timestamp,
    /// When it arrived.
    pub received: Timestamp,
    /// Which message said so.
    pub message: Fingerprint,
}

const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

fn encode_base32(mut bits: u128) -> [u8; 26] {
    let mut text = [b'0'; 26];
    for place in text.iter_mut().rev() {
        *place = CROCKFORD[(bits & 31) as usize];
        bits >>= 5;
    }
    text
}

fn decode_base32(text: &str) -> Option<u128> {
    if text.len() != 26 {
        return None;
    }
    text.bytes().try_fold(0u128, |bits, byte| {
        let digit = CROCKFORD.iter().position(|&c| c == byte.to_ascii_uppercase())?;
        bits.checked_mul(32).map(|shifted| shifted | digit as u128)
    })
}

macro_rules! identity {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u128);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let text = encode_base32(self.0);
                write!(f, concat!($prefix, "{}"), std::str::from_utf8(&text).unwrap_or_default())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                text.strip_prefix($prefix)
                    .and_then(decode_base32)
                    .map($name)
                    .ok_or_else(|| format!(concat!("{:?} is not of the form ", $prefix, "<26 characters>"), text))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.serialize(serializer) }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
                } else {
                    u128::deserialize(deserializer).map($name)
                }
            }
        }
    };
}

identity!(
    /// A person. Made from her first evidence, never re-used; the smaller one is the older one and survives a join.
    ProfileId,
    "p_"
);
identity!(
    /// A delivery, derived from (activation, person, cause), so that catching up after a crash queues nothing twice.
    DeliveryId,
    "dlv_"
);

impl ProfileId {
    /// 48 bits of arrival in milliseconds, 10 bits of the microseconds within, then 70 bits of hash of the first message. Arrivals
    /// of one history differ by a microsecond at least, so ids sort by age exactly.
    pub fn of_first_evidence(received: Timestamp, message_id: &str) -> ProfileId {
        let mut seed = received.0.to_be_bytes().to_vec();
        seed.extend_from_slice(message_id.as_bytes());
        let millis = (received.as_millis() as u128) & 0xFFFF_FFFF_FFFF;
        let micros = received.0.rem_euclid(1_000) as u128;
        ProfileId((millis << 80) | (micros << 70) | (xxh3_128(&seed) >> 58))
    }
}

impl DeliveryId {
    /// `cause` names what made it: the position of the event or the due time of the timer, and the type of the message.
    pub fn derive(activation: &str, profile: ProfileId, cause: &str) -> DeliveryId {
        let mut seed = activation.as_bytes().to_vec();
        seed.push(0);
        seed.extend_from_slice(&profile.0.to_be_bytes());
        seed.extend_from_slice(cause.as_bytes());
        DeliveryId(xxh3_128(&seed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profile_ids_read_back_and_sort_by_age() {
        let older = ProfileId::of_first_evidence(Timestamp(1_700_000_000_000_000), "a");
        let newer = ProfileId::of_first_evidence(Timestamp(1_700_000_001_000_000), "a");
        assert!(older < newer && older.to_string() < newer.to_string());
        // Within one millisecond too, whatever the messages' hashes.
        for n in 0..999 {
            let [first, second] =
                [n, n + 1].map(|micros| ProfileId::of_first_evidence(Timestamp(1_700_000_000_000_000 + micros), "a"));
            assert!(first < second, "{n} µs");
        }
        assert_eq!(older.to_string().parse::<ProfileId>(), Ok(older));
        assert!("p_!".parse::<ProfileId>().is_err());
    }
}
