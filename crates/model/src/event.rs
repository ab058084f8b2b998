//! One event as the fold reads it: borrowed from the stored bytes.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::Json;
use crate::ids::{Fingerprint, Stamp};
use crate::number::Decimal;
use crate::time::Timestamp;

/// The calls of the tracking API.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventKind {
    /// Something happened; has a name.
    Track,
    /// Who it is, and traits.
    Identify,
    /// A web page was seen; rules know it as `Page Viewed`.
    Page,
    /// An app screen was seen; rules know it as `Screen Viewed`.
    Screen,
    /// Belongs to an account.
    Group,
    /// Two ids are one person.
    Alias,
}

impl EventKind {
    /// The six kinds, in the order of the documentation.
    pub const ALL: [EventKind; 6] =
        [EventKind::Track, EventKind::Identify, EventKind::Page, EventKind::Screen, EventKind::Group, EventKind::Alias];

    /// `track`, `identify` …
    pub fn as_str(self) -> &'static str {
        match self {
            EventKind::Track => "track",
            EventKind::Identify => "identify",
            EventKind::Page => "page",
            EventKind::Screen => "screen",
            EventKind::Group => "group",
            EventKind::Alias => "alias",
        }
    }

    /// The inverse of [`EventKind::as_str`].
    pub fn parse(text: &str) -> Option<EventKind> {
        EventKind::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// An event that passed collection: its kind is known, its time corrected, its properties an object or absent.
#[derive(Clone, Debug)]
pub struct Event<'a> {
    /// Which call it was.
    pub kind: EventKind,
    /// The source's key in the workspace.
    pub source: &'a str,
    /// The sender's message id, or the one made at collection.
    pub message_id: &'a str,
    /// When it happened, corrected for clock skew, never later than `received`.
    pub time: Timestamp,
    /// When it arrived; unique in one history.
    pub received: Timestamp,
    /// The name that rules know it by: the track call's name, `Page Viewed`, `Screen Viewed`, or empty.
    pub name: Cow<'a, str>,
    /// `properties` (track, page, screen) as an object, or null.
    pub properties: Json<'a>,
    /// `traits` (identify, group) or `context.traits`, as an object, or null.
    pub traits: Json<'a>,
    /// `context` as an object, or null.
    pub context: Json<'a>,
    /// `userId`, if given.
    pub user_id: Option<Cow<'a, str>>,
    /// `anonymousId`, if given.
    pub anonymous_id: Option<Cow<'a, str>>,
    /// `previousId` of an alias call.
    pub previous_id: Option<Cow<'a, str>>,
}

impl Event<'_> {
    /// What orders this event's facts against others'.
    pub fn stamp(&self) -> Stamp {
        Stamp { time: self.time, received: self.received, message: Fingerprint::of(self.message_id) }
    }
}

/// Follows `a.b.c` through objects. `None` where a part is missing or null.
pub fn lookup<'v, 'a>(value: &'v Json<'a>, path: &str) -> Option<&'v Json<'a>> {
    let mut at = value;
    for part in path.split('.') {
        at = at.as_object()?.iter().find(|(key, _)| *key == part).map(|(_, inner)| inner)?;
    }
    (!at.is_null()).then_some(at)
}

/// A value as JSON text. Its own `Display` makes a tree of another kind first.
pub fn json_text(value: &Json<'_>) -> String {
    // Every value can be written.
    serde_json::to_string(value).unwrap_or_default()
}

/// A single value as rules and computed traits compare and keep it. Objects and arrays have none.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Scalar {
    /// JSON true or false.
    Bool(bool),
    /// JSON number.
    Number(Decimal),
    /// JSON string.
    Text(String),
}

impl Scalar {
    /// `None` for null, arrays, objects and numbers beyond ±9.2 × 10¹².
    pub fn from_json(value: &Json<'_>) -> Option<Scalar> {
        match value {
            Json::Bool(flag) => Some(Scalar::Bool(*flag)),
            Json::Number(_) => Decimal::from_json(value).map(Scalar::Number),
            Json::Str(text) => Some(Scalar::Text(text.to_string())),
            _ => None,
        }
    }

    /// As JSON.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Scalar::Bool(flag) => (*flag).into(),
            Scalar::Number(number) => number.to_json(),
            Scalar::Text(text) => text.as_str().into(),
        }
    }
}

impl std::fmt::Display for Scalar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Scalar::Bool(flag) => write!(f, "{flag}"),
            Scalar::Number(number) => write!(f, "{number}"),
            Scalar::Text(text) => write!(f, "{text}"),
        }
    }
}
