//! Consent's words: the legal basis of a purpose, channels, and one choice of one person.

use serde::{Deserialize, Serialize};

use crate::ids::Stamp;
use crate::proof::Proof;
use crate::time::Timestamp;

/// Why a purpose may be pursued at all (GDPR, article 6).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// Only with a valid grant.
    Consent,
    /// Passes unless the person objected.
    Contract,
    /// Passes unless the person objected.
    LegitimateInterest,
    /// Passes unless the person objected.
    LegalObligation,
    /// Passes for existing customers who were told when their address was collected, by e-mail and text message, until they
    /// object; for others only with a valid grant.
    SoftOptIn,
}

/// Where a message meets the person.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// E-mail.
    Email,
    /// Text message.
    Sms,
    /// App or browser notification.
    Push,
    /// Telephone, by a human.
    Phone,
    /// Letter.
    Postal,
    /// On the brand's own pages.
    Onsite,
    /// Display advertising.
    Display,
    /// Social networks' audiences.
    Social,
    /// Advertising to visitors elsewhere.
    Retargeting,
    /// Outbound calls of the call centre.
    CallCenter,
    /// Content chosen for the person.
    Personalization,
    /// Handing data to a partner.
    PartnerSharing,
}

impl Channel {
    /// Every channel, in the order of the documentation.
    pub const ALL: [Channel; 12] = [
        Channel::Email,
        Channel::Sms,
        Channel::Push,
        Channel::Phone,
        Channel::Postal,
        Channel::Onsite,
        Channel::Display,
        Channel::Social,
        Channel::Retargeting,
        Channel::CallCenter,
        Channel::Personalization,
        Channel::PartnerSharing,
    ];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Channel::Email => "email",
            Channel::Sms => "sms",
            Channel::Push => "push",
            Channel::Phone => "phone",
            Channel::Postal => "postal",
            Channel::Onsite => "onsite",
            Channel::Display => "display",
            Channel::Social => "social",
            Channel::Retargeting => "retargeting",
            Channel::CallCenter => "call_center",
            Channel::Personalization => "personalization",
            Channel::PartnerSharing => "partner_sharing",
        }
    }

    /// The inverse of [`Channel::as_str`].
    pub fn parse(text: &str) -> Option<Channel> {
        Channel::ALL.into_iter().find(|channel| channel.as_str() == text)
    }

    /// The namespace of the address or device that a message of this channel uses; `None` where there is none of ours.
    pub fn address_namespace(self) -> Option<&'static str> {
        match self {
            Channel::Email => Some("email"),
            Channel::Sms | Channel::Phone | Channel::CallCenter => Some("phone"),
            Channel::Push
            | Channel::Onsite
            | Channel::Display
            | Channel::Social
            | Channel::Retargeting
            | Channel::Personalization => Some("anonymous_id"),
            Channel::Postal | Channel::PartnerSharing => None,
        }
    }
}

/// What the person chose. "Unknown" is the absence of a choice, never one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConsentState {
    /// Yes. Sorts below `Denied`, so that at equal times the denial wins.
    Granted,
    /// No.
    Denied,
}

/// What is reported about a person or an address beside her choices. Kept like a choice of a purpose that no workspace can declare:
/// on is a denial, lifted a grant, so it merges by the same laws.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// The address takes no messages: nothing goes there until it is lifted.
    Bounce,
    /// A message was reported as unwanted: closes marketing there until a later grant.
    Complaint,
    /// It stands on an opposition list: closes marketing there until a later grant.
    Opposition,
    /// The person objected to marketing (GDPR, article 21): closes it everywhere until a later grant.
    Objection,
    /// Her data is kept and not used (GDPR, article 18): nothing goes out until it is lifted.
    Restriction,
}

impl Signal {
    /// Every signal.
    pub const ALL: [Signal; 5] = [Signal::Bounce, Signal::Complaint, Signal::Opposition, Signal::Objection, Signal::Restriction];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        &self.purpose()[1..]
    }

    /// The inverse of [`Signal::as_str`].
    pub fn parse(text: &str) -> Option<Signal> {
        Signal::ALL.into_iter().find(|signal| signal.as_str() == text)
    }

    /// The purpose under which it is kept: no key of a workspace begins so.
    pub fn purpose(self) -> &'static str {
        match self {
            Signal::Bounce => "!bounce",
            Signal::Complaint => "!complaint",
            Signal::Opposition => "!opposition",
            Signal::Objection => "!objection",
            Signal::Restriction => "!restriction",
        }
    }

    /// The inverse of [`Signal::purpose`].
    pub fn of_purpose(purpose: &str) -> Option<Signal> {
        Signal::ALL.into_iter().find(|signal| signal.purpose() == purpose)
    }
}

/// Whose choice it is: a consent belongs to what it was given for (DESIGN §8.7).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Scope {
    /// The person as a whole.
    Person,
    /// One address or device: this e-mail, this telephone, this browser (namespace, normalised value).
    Address(String, String),
}

/// One choice, as it is folded: already resolved to a scope.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Choice {
    /// Purpose key of the workspace.
    pub purpose: String,
    /// `None`: all channels of the purpose.
    pub channel: Option<Channel>,
    /// Yes or no.
    pub state: ConsentState,
    /// For what it was given.
    pub scope: Scope,
    /// For a person's grant: the addresses and devices that she had at that moment, the only ones it covers.
    pub covers: Vec<(String, String)>,
    /// The time of the choice (never later than its arrival), its arrival, its message.
    pub stamp: Stamp,
    /// An undated import: loses against any dated choice.
    pub weak: bool,
    /// Which source reported it.
    pub source: String,
    /// What proves it.
    pub proof: Option<Proof>,
}

impl Choice {
    /// When it was made.
    pub fn at(&self) -> Timestamp {
        self.stamp.time
    }
}
