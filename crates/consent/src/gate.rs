//! The gate: the one place where a message becomes sendable.

use std::fmt;

use jumelle_model::consent::{Basis, Channel, ConsentState};
use jumelle_model::message::Message;
use jumelle_model::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::choices::{Choices, Standing};

/// A message that the gate has let through, with what let it through. Only [`clear`] makes one; it is not `Clone`, and it is
/// meant to be used at once: a later sending passes the gate again.
#[derive(PartialEq, Eq, Debug)]
pub struct Cleared {
    message: Message,
    evidence: Evidence,
}

/// What let a message through.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// A grant that stands.
    Granted(Standing),
    /// The purpose's legal basis asks for no grant, and nobody objected.
    Basis(Basis),
    /// It takes the person back out of a tool that had received her: allowed always.
    TakesBack,
}

/// Why the gate is closed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Reason {
    /// Nobody chose anything: unknown is not yes.
    Unknown {
        /// Purpose key.
        purpose: String,
        /// Channel.
        channel: Channel,
    },
    /// A refusal or withdrawal stands.
    Denied {
        /// Purpose key.
        purpose: String,
        /// Channel.
        channel: Channel,
        /// When it was made.
        since: Timestamp,
    },
    /// The purpose is not declared (any more).
    NoPurpose {
        /// Purpose key.
        purpose: String,
    },
    /// A message that takes back what was never sent.
    NeverSent,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Unknown { purpose, channel } => {
                write!(f, "no consent for {purpose}/{}: unknown since ever", channel.as_str())
            }
            Reason::Denied { purpose, channel, since } => {
                write!(f, "no consent for {purpose}/{}: denied since {since}", channel.as_str())
            }
            Reason::NoPurpose { purpose } => write!(f, "the purpose {purpose} is not declared"),
            Reason::NeverSent => f.write_str("nothing to take back: the destination never received this person"),
        }
    }
}

/// A message that stays in the house, and why.
#[derive(Debug)]
pub struct Refused {
    /// What would have been sent.
    pub message: Message,
    /// Why not.
    pub reason: Reason,
}

/// What a destination last received about a person for an activation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Sent {
    /// The address or device it carried.
    pub address: Option<(String, String)>,
    /// The fields it carried.
    pub data: Vec<(String, String)>,
}

/// Whether the gate is open for a purpose, a channel and an address at an instant. `basis`: `None` if not declared.
pub fn check(
    choices: &Choices,
    purpose: &str,
    basis: Option<Basis>,
    channel: Channel,
    address: Option<&(String, String)>,
    at: Timestamp,
) -> Result<Evidence, Reason> {
    let Some(basis) = basis else { return Err(Reason::NoPurpose { purpose: purpose.to_owned() }) };
    let standing = choices.standing(purpose, Some(channel), address, at);
    match (standing, basis) {
        (Some(standing), _) if standing.state == ConsentState::Denied => {
            Err(Reason::Denied { purpose: purpose.to_owned(), channel, since: standing.since })
        }
        (Some(standing), _) => Ok(Evidence::Granted(standing)),
        (None, Basis::Consent | Basis::SoftOptIn) => Err(Reason::Unknown { purpose: purpose.to_owned(), channel }),
        (None, Basis::Contract | Basis::LegitimateInterest | Basis::LegalObligation) => Ok(Evidence::Basis(basis)),
    }
}

/// Passes a message through the gate at an instant. A message that takes a person back needs no consent, but must carry exactly
/// what `sent` says the destination had received, and no more.
#[expect(clippy::result_large_err, reason = "a refusal hands the message back, and is as ordinary as a passage")]
pub fn clear(
    message: Message,
    choices: &Choices,
    basis: Option<Basis>,
    sent: Option<&Sent>,
    at: Timestamp,
) -> Result<Cleared, Refused> {
    if message.kind.takes_back() {
        let same = sent.is_some_and(|sent| sent.data == message.data && sent.address == message.address);
        return if same {
            Ok(Cleared { message, evidence: Evidence::TakesBack })
        } else {
            Err(Refused { message, reason: Reason::NeverSent })
        };
    }
    match check(choices, &message.purpose, basis, message.channel, message.address.as_ref(), at) {
        Ok(evidence) => Ok(Cleared { message, evidence }),
        Err(reason) => Err(Refused { message, reason }),
    }
}

impl Cleared {
    /// What is sent.
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// What let it through.
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// The JSON body that a webhook receives (DESIGN §6): computed from the choices, never from a setting.
    pub fn body(&self) -> Vec<u8> {
        let message = &self.message;
        let mut data = Map::new();
        for (field, json) in &message.data {
            data.insert(field.clone(), serde_json::from_str(json).unwrap_or(Value::Null));
        }
        let mut consent = Map::new();
        consent.insert("purpose".into(), message.purpose.as_str().into());
        consent.insert("channel".into(), message.channel.as_str().into());
        match &self.evidence {
            Evidence::Granted(standing) => {
                consent.insert("state".into(), "granted".into());
                consent.insert("since".into(), standing.since.to_string().into());
                consent.insert("receipt".into(), standing.receipt.as_str().into());
            }
            Evidence::Basis(basis) => {
                consent.insert("state".into(), "unknown".into());
                consent.insert("basis".into(), serde_json::to_value(basis).unwrap_or(Value::Null));
            }
            Evidence::TakesBack => {
                consent.insert("state".into(), "taken_back".into());
            }
        }
        let body = serde_json::json!({
            "id": message.id.to_string(),
            "type": message.kind.as_str(),
            "activation": message.activation,
            "segment": message.segment,
            "at": message.at.to_string(),
            "profile": message.profile.to_string(),
            "data": data,
            "consent": consent,
        });
        body.to_string().into_bytes()
    }
}
