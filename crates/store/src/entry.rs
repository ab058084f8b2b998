//! What the history is made of: every fact is an entry (DESIGN, rule 1).

use jumelle_model::event::EventKind;
use jumelle_model::ids::{DeliveryId, ProfileId};
use jumelle_model::time::Timestamp;
use jumelle_model::workspace::reduce::Reduction;
use serde::{Deserialize, Serialize};

/// One entry with the instant of its arrival, which no other entry of this history has.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Record<'a> {
    /// Stamped by the committer, strictly increasing.
    pub received: Timestamp,
    /// What it says.
    #[serde(borrow)]
    pub entry: Entry<'a>,
}

/// The kinds of facts. New kinds go to the end: the number of a kind is its place on disk.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Entry<'a> {
    /// An event of a source.
    #[serde(borrow)]
    Event(EventEntry<'a>),
    /// New definitions, whole (the text of a workspace).
    Apply {
        /// As `Workspace::to_text` writes it.
        text: &'a str,
    },
    /// The clock, because a timer was due.
    Tick,
    /// The final result of a delivery.
    Result {
        /// Which delivery.
        delivery: DeliveryId,
        /// About whom.
        profile: ProfileId,
        /// Where to.
        destination: &'a str,
        /// What became of it.
        state: ResultState,
        /// How many requests it took.
        attempts: u32,
        /// HTTP status of the last one.
        status: Option<u16>,
        /// Why it was blocked or given up.
        reason: Option<&'a str>,
    },
    /// A delivery that was dead or blocked is tried again. `ReplayedBy` says by whom; this is how histories held it before.
    Replay {
        /// Which one.
        delivery: DeliveryId,
    },
    /// Something that was not understood.
    Quarantined {
        /// Its id: derived from its content and arrival.
        id: u64,
        /// Source key, if the write key was known.
        source: &'a str,
        /// JSON path of the field.
        field: &'a str,
        /// Name of the rule it broke, as in the metrics.
        rule: &'a str,
        /// For people.
        message: &'a str,
        /// As sent, at most 64 KiB of it.
        body: &'a str,
    },
    /// A quarantined item was settled.
    QuarantineSettled {
        /// Which one.
        id: u64,
        /// How.
        end: QuarantineEnd,
    },
    /// An import went on (written with the events it covers, in one commit).
    Import(ImportProgress<'a>),
    /// A person was erased. Her events are gone from the history; this remains.
    Erased {
        /// Her id at that time.
        profile: ProfileId,
        /// The identifiers' keys (128-bit hashes) that were hers.
        keys: Vec<u128>,
        /// Destinations that must be told, with what each had received; emptied once told.
        notices: Vec<Notice>,
    },
    /// What stood here belonged to a person who was erased.
    Gone,
    /// A step of what a person asks about her rights.
    Request {
        /// Which request.
        id: u64,
        /// Her id at that time.
        profile: ProfileId,
        /// JSON; names nobody.
        step: &'a str,
    },
    /// New definitions, whole, with who brought them. `Apply` is how histories held them before they said so.
    AppliedBy {
        /// As `Workspace::to_text` writes it.
        text: &'a str,
        /// Name of the token, or of the file at the server's start.
        by: &'a str,
    },
    /// A person whose clock as a prospect had ended was erased, as in `Erased`; nothing if she had acted before it came to that.
    Lapsed {
        /// Her id at that time.
        profile: ProfileId,
        /// The identifiers' keys (128-bit hashes) that were hers.
        keys: Vec<u128>,
        /// Destinations that must be told, with what each had received; emptied once told.
        notices: Vec<Notice>,
    },
    /// An identifier of a person was wrong.
    Corrected {
        /// Her id at that time.
        profile: ProfileId,
        /// Its namespace.
        namespace: &'a str,
        /// What was wrong, normalised.
        wrong: &'a str,
        /// What is right, normalised.
        right: &'a str,
    },
    /// Events of which no more was kept than that there were so many.
    Reduced(ReducedCount<'a>),
    /// One person turned out to be two. Names nobody, so an erasure of either leaves it.
    Split {
        /// The joined person's id at that time; whoever stays keeps it.
        profile: ProfileId,
        /// Keys (128-bit hashes) of the identifiers of the one who stays.
        staying: Vec<u128>,
        /// Keys of the identifiers of the one who leaves.
        leaving: Vec<u128>,
        /// Code of the reason; empty: none was given.
        reason: &'a str,
        /// Name of the token of whoever asked for it.
        by: &'a str,
    },
    /// A delivery that was dead or blocked, or that a tool has lost, is tried again.
    ReplayedBy {
        /// Which one.
        delivery: DeliveryId,
        /// Name of the token with which it was asked for.
        by: &'a str,
    },
}

/// How many events of one name came to less, in one commit. Nobody is named.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct ReducedCount<'a> {
    /// Source key.
    pub source: &'a str,
    /// A word of the specification or of the workspace.
    pub event: &'a str,
    /// Purpose key.
    pub purpose: &'a str,
    /// What they came to.
    pub to: Reduction,
    /// How many.
    pub events: u64,
}

impl<'a> Entry<'a> {
    /// The definitions that it brings, if it brings any.
    pub fn definitions(&self) -> Option<&'a str> {
        match self {
            Entry::Apply { text } | Entry::AppliedBy { text, .. } => Some(text),
            _ => None,
        }
    }
}

/// An event as it was collected: the envelope and the sender's own JSON.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct EventEntry<'a> {
    /// Which call.
    pub kind: EventKind,
    /// Source key.
    pub source: &'a str,
    /// The sender's message id, or the one made at collection.
    pub message_id: &'a str,
    /// When it happened, corrected for clock skew, never later than its arrival.
    pub time: Timestamp,
    /// The event's JSON object, as sent.
    pub body: &'a str,
}

/// What became of a delivery.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResultState {
    /// The destination took it.
    Sent,
    /// The gate was closed at the moment of sending.
    Blocked,
    /// Given up.
    Dead,
}

/// How a quarantined item ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum QuarantineEnd {
    /// It was understood this time and is in the history as an event.
    Replayed,
    /// An operator threw it away.
    Deleted,
}

/// How far an import has come.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ImportProgress<'a> {
    /// Fingerprint of file content, mapping and source.
    pub id: &'a str,
    /// Events of the file that are in the history.
    pub events: u64,
    /// The file is through.
    pub done: bool,
}

/// Who must be told of an erasure.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Notice {
    /// Activation that had sent her.
    pub activation: String,
    /// Its segment.
    pub segment: String,
    /// Where to.
    pub destination: String,
    /// Its purpose.
    pub purpose: String,
    /// Its channel.
    pub channel: jumelle_model::Channel,
    /// What it had received.
    pub address: Option<(String, String)>,
    /// What it had received.
    pub data: Vec<(String, String)>,
}
