//! What an entry says. Its text is the JSON of one of these, on one line; the text is what is hashed, never the struct.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jumelle_model::consent::{Channel, ConsentState};
use jumelle_model::identifier::identifier_key;
use jumelle_model::ids::{DeliveryId, ProfileId};
use jumelle_model::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One fact.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Statement {
    /// From here on the entries are of this history.
    Begin(Begin),
    /// Somebody chose.
    Choice(Box<Choice>),
    /// A signal came in that says several things of one device or person: choices that share all but what was chosen.
    Signal(Box<Signal>),
    /// The words of a purpose's text, as definitions that came into force have them: what was shown under its version.
    Text(Box<Text>),
    /// The gate let something out; written before it leaves.
    Release(Box<Release>),
    /// What became of it.
    Outcome(Outcome),
    /// A person was erased: the texts of these entries are gone, their hashes stay.
    Erasure(Erasure),
    /// The end of the ledger was cut off at a start: entries that no one had been told are written.
    Recovered(Recovered),
}

/// See [`Statement::Begin`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Begin {
    /// When.
    pub at: Timestamp,
    /// Id of the history, hexadecimal.
    pub history: String,
    /// Choices and outcomes from this position on.
    pub from: u64,
}

/// See [`Statement::Choice`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Choice {
    /// When it was made.
    pub at: Timestamp,
    /// When it arrived.
    pub received: Timestamp,
    /// Its event's place in the history.
    pub position: u64,
    /// Which of the event's choices.
    pub ordinal: u32,
    /// Whose.
    pub profile: ProfileId,
    /// For what.
    pub purpose: String,
    /// `None`: every channel of the purpose.
    pub channel: Option<Channel>,
    /// Yes or no.
    pub state: ConsentState,
    /// The address or device that it was given for (namespace, value); `None`: the person.
    pub address: Option<(String, String)>,
    /// Addresses and devices that a person's grant covered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub covers: Vec<(String, String)>,
    /// Who reported it.
    pub source: String,
    /// An undated import.
    pub weak: bool,
    /// What was shown, where, by which method: as it was sent.
    pub proof: Option<Value>,
    /// The names under which a release refers to it.
    pub receipts: Vec<String>,
}

/// See [`Statement::Signal`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Signal {
    /// When the choices were made.
    pub at: Timestamp,
    /// When they arrived.
    pub received: Timestamp,
    /// The event's place in the history.
    pub position: u64,
    /// Which of the event's choices the first of them is.
    pub ordinal: u32,
    /// Whose.
    pub profile: ProfileId,
    /// The address or device that they were given for (namespace, value); `None`: the person.
    pub address: Option<(String, String)>,
    /// Who reported them.
    pub source: String,
    /// An undated signal.
    pub weak: bool,
    /// What the signal says of its making.
    pub proof: Option<Value>,
    /// What was chosen.
    pub choices: Vec<Chosen>,
}

/// One choice of a signal.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Chosen {
    /// For what.
    pub purpose: String,
    /// `None`: every channel that reaches the device.
    pub channel: Option<Channel>,
    /// Yes or no.
    pub state: ConsentState,
    /// What of the signal decided.
    pub because: Option<String>,
    /// The name under which a release refers to it.
    pub receipt: String,
}

/// See [`Statement::Text`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Text {
    /// Since when.
    pub at: Timestamp,
    /// Place of the definitions in the history.
    pub position: u64,
    /// Which of their texts.
    pub ordinal: u32,
    /// Purpose key.
    pub purpose: String,
    /// Its version, as the proof of a choice names it.
    pub version: String,
    /// Language → words.
    pub words: BTreeMap<String, String>,
}

impl Text {
    /// Under which its entries are found: an id of nobody, made of its name.
    pub fn subject_of(purpose: &str, version: &str) -> ProfileId {
        ProfileId(identifier_key("text", &format!("{purpose}\u{1}{version}")))
    }
}

/// See [`Statement::Release`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Release {
    /// The instant of the gate's decision.
    pub at: Timestamp,
    /// Delivery id, the same at each attempt.
    pub delivery: DeliveryId,
    /// About whom.
    pub profile: ProfileId,
    /// `segment.entered` …
    #[serde(rename = "type")]
    pub kind: String,
    /// Activation key.
    pub activation: String,
    /// Segment key.
    pub segment: String,
    /// Where to.
    pub destination: String,
    /// For what.
    pub purpose: String,
    /// How it reaches the person.
    pub channel: Channel,
    /// The address or device that it carries.
    pub address: Option<(String, String)>,
    /// The fields that it carries.
    pub data: BTreeMap<String, Value>,
    /// SHA-256 of the body, hexadecimal; left out where the text must hold nothing of the person.
    pub body_sha256: Option<String>,
    /// What let it through.
    pub under: Under,
}

/// What let a message through.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Under {
    /// A choice: its receipt, and since when it stands.
    Choice {
        /// One of the choice's receipts.
        receipt: String,
        /// Since when.
        since: Timestamp,
    },
    /// A legal basis that asks for no grant.
    Basis(String),
    /// It takes the person out of the tool again.
    TakesBack,
}

/// See [`Statement::Outcome`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// When it was recorded.
    pub at: Timestamp,
    /// Its place in the history.
    pub position: u64,
    /// Which delivery.
    pub delivery: DeliveryId,
    /// About whom.
    pub profile: ProfileId,
    /// Where to.
    pub destination: String,
    /// `sent`, `blocked` or `dead`.
    pub state: String,
    /// Requests that it took.
    pub attempts: u32,
    /// HTTP status of the last one.
    pub status: Option<u16>,
    /// Why it was blocked or given up.
    pub reason: Option<String>,
}

/// See [`Statement::Erasure`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Erasure {
    /// When.
    pub at: Timestamp,
    /// Its place in the history; `None`: taken over from a later copy of the ledger.
    pub position: Option<u64>,
    /// Who; an id made of a hash, that names nobody any more.
    pub profile: ProfileId,
    /// Day → indices of the entries without text from now on.
    pub entries: BTreeMap<String, Vec<u64>>,
}

/// See [`Statement::Recovered`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Recovered {
    /// When.
    pub at: Timestamp,
    /// Bytes of hashes that were cut off.
    pub chain_bytes: u64,
    /// Bytes of texts that were cut off.
    pub text_bytes: u64,
}

impl Choice {
    /// The version of the text that was shown, if its proof names it.
    pub fn text_version(&self) -> Option<String> {
        match self.proof.as_ref()?.get("text_version")? {
            Value::String(version) => Some(version.clone()),
            Value::Number(version) => Some(version.to_string()),
            _ => None,
        }
    }
}

impl Signal {
    fn choice(&self, chosen: &Chosen) -> Choice {
        let mut proof = self.proof.clone();
        if let (Some(Value::Object(proof)), Some(because)) = (&mut proof, &chosen.because) {
            proof.insert("because".into(), because.as_str().into());
        }
        Choice {
            at: self.at,
            received: self.received,
            position: self.position,
            ordinal: self.ordinal,
            profile: self.profile,
            purpose: chosen.purpose.clone(),
            channel: chosen.channel,
            state: chosen.state,
            address: self.address.clone(),
            covers: Vec::new(),
            source: self.source.clone(),
            weak: self.weak,
            proof,
            receipts: vec![chosen.receipt.clone()],
        }
    }
}

/// Position and ordinal of what is derived from the history: such an entry is written once, however often it is folded.
pub type Place = (u64, u32);

impl Statement {
    /// Its place in the history, if it is derived from there.
    pub fn place(&self) -> Option<Place> {
        match self {
            Statement::Choice(choice) => Some((choice.position, choice.ordinal)),
            Statement::Signal(signal) => Some((signal.position, signal.ordinal)),
            Statement::Outcome(outcome) => Some((outcome.position, 0)),
            Statement::Text(text) => Some((text.position, text.ordinal)),
            Statement::Erasure(erasure) => erasure.position.map(|position| (position, 0)),
            Statement::Begin(_) | Statement::Release(_) | Statement::Recovered(_) => None,
        }
    }

    /// Whom it is about.
    pub fn subject(&self) -> ProfileId {
        match self {
            Statement::Choice(choice) => choice.profile,
            Statement::Signal(signal) => signal.profile,
            Statement::Release(release) => release.profile,
            Statement::Outcome(outcome) => outcome.profile,
            Statement::Erasure(erasure) => erasure.profile,
            Statement::Text(text) => Text::subject_of(&text.purpose, &text.version),
            Statement::Begin(_) | Statement::Recovered(_) => ProfileId(0),
        }
    }

    /// An erasure takes its text away.
    pub fn is_erasable(&self) -> bool {
        matches!(self, Statement::Choice(_) | Statement::Signal(_) | Statement::Release(_) | Statement::Outcome(_))
    }

    /// The choices that it says, each with its proof whole; none if it says something else.
    pub fn choices(&self) -> Vec<Cow<'_, Choice>> {
        match self {
            Statement::Choice(choice) => vec![Cow::Borrowed(choice)],
            Statement::Signal(signal) => signal.choices.iter().map(|chosen| Cow::Owned(signal.choice(chosen))).collect(),
            _ => Vec::new(),
        }
    }
}
