//! Consent's words: the legal basis of a purpose, channels, and one choice of one person.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use serde::de::{EnumAccess, Error as _, VariantAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

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

/// Where a message meets the person: one of those that every workspace has, or one that it has declared like one of them.
///
/// Written as its name in JSON; in compact form a declared one also says what it is like, so that a row is read without the
/// workspace.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
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
    /// One of the workspace's own (`policy.channels`).
    Declared(Declared),
}

impl Channel {
    /// Those that every workspace has, in the order of the documentation.
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
            Channel::Declared(declared) => declared.key,
        }
    }

    /// The inverse of [`Channel::as_str`] for those that every workspace has; [`crate::Workspace::channel`] knows its own as well.
    pub fn parse(text: &str) -> Option<Channel> {
        Channel::ALL.into_iter().find(|channel| channel.as_str() == text)
    }

    /// A channel of a workspace's own, like one that every workspace has. `None`: its name is one of theirs, or is no name.
    pub fn declared(key: &str, like: Channel) -> Option<Channel> {
        let well_formed = key.starts_with(|c: char| c.is_ascii_lowercase())
            && key.len() <= DECLARED_BYTES_MAX
            && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        let like = Channel::ALL.iter().position(|known| *known == like)?;
        (well_formed && Channel::parse(key).is_none())
            .then(|| Channel::Declared(Declared { key: interned(key), like: like as u8 }))
    }

    /// The one of [`Channel::ALL`] whose address, hours, frequency and silence hold for it too: itself, if it is one of them.
    pub fn like(self) -> Channel {
        match self {
            Channel::Declared(declared) => Channel::ALL[usize::from(declared.like)],
            known => known,
        }
    }

    /// The namespace of the address or device that a message of this channel uses; `None` where there is none of ours.
    pub fn address_namespace(self) -> Option<&'static str> {
        match self.like() {
            Channel::Email => Some("email"),
            Channel::Sms | Channel::Phone | Channel::CallCenter => Some("phone"),
            Channel::Push
            | Channel::Onsite
            | Channel::Display
            | Channel::Social
            | Channel::Retargeting
            | Channel::Personalization => Some("anonymous_id"),
            Channel::Postal | Channel::PartnerSharing | Channel::Declared(_) => None,
        }
    }
}

/// Bytes of a declared channel's name, at most.
const DECLARED_BYTES_MAX: usize = 40;

/// A channel of a workspace's own. Two of one name are one, whatever they are like: a choice that was made before the definition
/// changed goes on counting.
#[derive(Clone, Copy, Debug)]
pub struct Declared {
    key: &'static str,
    /// Place in [`Channel::ALL`].
    like: u8,
}

impl PartialEq for Declared {
    fn eq(&self, other: &Declared) -> bool {
        self.key == other.key
    }
}

impl Eq for Declared {}

impl PartialOrd for Declared {
    fn partial_cmp(&self, other: &Declared) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Declared {
    fn cmp(&self, other: &Declared) -> std::cmp::Ordering {
        self.key.cmp(other.key)
    }
}

impl std::hash::Hash for Declared {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

/// Names of declared channels, each once for the life of the process: a channel stays a word that is copied. There are as many as
/// definitions and rows have named.
fn interned(key: &str) -> &'static str {
    static KEYS: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    // Nothing panics while the lock is held.
    let mut keys = KEYS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = keys.get(key) {
        return known;
    }
    let kept: &'static str = Box::leak(key.to_owned().into_boxed_str());
    keys.insert(kept);
    kept
}

/// Compact, a channel is the variant of its place in [`Channel::ALL`]: the order is that of the files. A declared one comes after them.
const DECLARED: u32 = Channel::ALL.len() as u32;

impl Serialize for Channel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.serialize_str(self.as_str());
        }
        if let Channel::Declared(Declared { key, like }) = self {
            return serializer.serialize_newtype_variant("Channel", DECLARED, "declared", &(key, like));
        }
        let place = (0..).zip(Channel::ALL).find_map(|(place, known)| (known == *self).then_some(place));
        serializer.serialize_unit_variant("Channel", place.unwrap_or(DECLARED), self.as_str())
    }
}

impl<'de> Deserialize<'de> for Channel {
    /// From JSON a name that every workspace does not know is taken for one that some workspace had: what is kept of it is read.
    /// What comes from outside is asked of [`crate::Workspace::channel`].
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Channel, D::Error> {
        if deserializer.is_human_readable() {
            let key = String::deserialize(deserializer)?;
            let known = Channel::parse(&key).or_else(|| Channel::declared(&key, Channel::PartnerSharing));
            return known.ok_or_else(|| D::Error::custom(format!("{key:?} is no channel")));
        }
        deserializer.deserialize_enum("Channel", &[], Compact)
    }
}

struct Compact;

impl<'de> Visitor<'de> for Compact {
    type Value = Channel;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a channel")
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<Channel, A::Error> {
        let (place, variant): (u32, A::Variant) = data.variant()?;
        let known = |place: usize| Channel::ALL.get(place).copied();
        let unknown = || A::Error::custom("no channel");
        if place != DECLARED {
            variant.unit_variant()?;
            return known(place as usize).ok_or_else(unknown);
        }
        let (key, like): (String, u8) = variant.newtype_variant()?;
        known(like.into()).and_then(|like| Channel::declared(&key, like)).ok_or_else(unknown)
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
    /// An undated import: as a grant it loses against any dated choice and any refusal.
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
