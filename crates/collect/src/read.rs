//! What was stored, read for the fold.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use jumelle_model::event::{Event, EventKind, json_text, lookup};
use jumelle_model::time::Timestamp;
use jumelle_model::workspace::Vocabulary;
use jumelle_model::{Channel, ConsentState, Json, Proof, Signal, Workspace};

use crate::signals::{self, Judged, ReadSignal, SEC_GPC};
use crate::vocabulary::{translate_name, translate_properties};

/// Reads a stored event. `None`: the stored text is not a JSON object, which collection never lets in.
pub fn read_event<'a>(
    kind: EventKind,
    source: &'a str,
    message_id: &'a str,
    (time, received): (Timestamp, Timestamp),
    body: &'a str,
    vocabulary: Vocabulary,
) -> Option<Event<'a>> {
    let Json::Object(object) = serde_json::from_str::<Json<'a>>(body).ok()? else { return None };
    let mut event = Event {
        kind,
        source,
        message_id,
        time,
        received,
        name: match kind {
            EventKind::Page => Cow::Borrowed("Page Viewed"),
            EventKind::Screen => Cow::Borrowed("Screen Viewed"),
            _ => Cow::Borrowed(""),
        },
        properties: Json::Null,
        traits: Json::Null,
        context: Json::Null,
        user_id: None,
        anonymous_id: None,
        previous_id: None,
    };
    let mut sec_gpc = false;
    for (key, value) in object.into_vec() {
        match (key.as_ref(), value) {
            ("event", Json::Str(name)) if kind == EventKind::Track => event.name = name,
            ("properties", value @ Json::Object(_)) => event.properties = value,
            ("traits", value @ Json::Object(_)) => event.traits = value,
            ("context", value @ Json::Object(_)) => event.context = value,
            (SEC_GPC, Json::Bool(true)) => sec_gpc = true,
            ("userId", value) => event.user_id = id_text(value),
            ("anonymousId", value) => event.anonymous_id = id_text(value),
            ("previousId", value) => event.previous_id = id_text(value),
            _ => {}
        }
    }
    if sec_gpc {
        let mut context = std::mem::replace(&mut event.context, Json::Null);
        if !context.is_object() {
            context = Json::Object(Default::default());
        }
        if let Json::Object(members) = &mut context {
            members.insert(SEC_GPC, Json::Bool(true));
        }
        event.context = context;
    }
    if vocabulary == Vocabulary::Ga4 {
        event.name = translate_name(event.name);
        event.properties = translate_properties(&event.name, event.properties);
    }
    Some(event)
}

fn id_text(value: Json<'_>) -> Option<Cow<'_, str>> {
    match value {
        Json::Str(text) if !text.is_empty() => Some(text),
        Json::Number(number) => number
            .as_i64()
            .map(|integer| Cow::Owned(integer.to_string()))
            .or_else(|| number.as_u64().map(|integer| Cow::Owned(integer.to_string()))),
        _ => None,
    }
}

/// One entry of `context.consents`, as sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsentEntry {
    /// Purpose key.
    pub purpose: String,
    /// `None`: all channels.
    pub channel: Option<Channel>,
    /// Yes or no.
    pub state: ConsentState,
    /// When it was chosen, if said.
    pub at: Option<Timestamp>,
    /// The address or device it is for (namespace, value as sent), if said.
    pub target: Option<(String, String)>,
    /// What proves it.
    pub proof: Option<Shown>,
    /// An imported flag without a date (`"undated": true`): as a grant it loses against any dated choice and any refusal.
    pub weak: bool,
    /// From a signal that may come with each event (a TC string …), not from `context.consents`.
    pub is_signal: bool,
}

/// What proves a choice. A signal that comes with each event is mostly no news: what it proves is written down when it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Shown {
    /// As sent.
    Sent(Proof),
    /// A signal, and why it comes to this choice.
    Signal(Rc<ReadSignal>, Arc<str>),
}

impl Shown {
    /// Written down; a signal's choices share what they can.
    pub fn into_proof(self) -> Proof {
        match self {
            Shown::Sent(proof) => proof,
            Shown::Signal(signal, because) => Proof::shared(signal.proof(), because),
        }
    }
}

/// The consents that an event carries, written out or as signals that the workspace gives a meaning; entries that collection would
/// have refused are left out.
///
/// `judged` is of this workspace alone.
pub fn consents(event: &Event<'_>, workspace: &Workspace, judged: &mut Judged) -> Vec<ConsentEntry> {
    let mut found = match lookup(&event.context, "consents") {
        Some(Json::Array(entries)) => entries.iter().filter_map(|entry| consent(entry, workspace)).collect(),
        _ => Vec::new(),
    };
    if ["consent", "gpc", SEC_GPC].iter().any(|field| lookup(&event.context, field).is_some()) {
        found.extend(signals::entries(event, workspace, judged));
    }
    found
}

fn consent(entry: &Json<'_>, workspace: &Workspace) -> Option<ConsentEntry> {
    let text = |field: &str| match lookup(entry, field) {
        Some(Json::Str(text)) => Some(text.as_ref()),
        _ => None,
    };
    let signal = match text("signal") {
        Some(name) => Some(Signal::parse(name)?),
        None => None,
    };
    Some(ConsentEntry {
        purpose: match signal {
            Some(signal) => signal.purpose().to_owned(),
            // No workspace declares such a purpose; it must not be taken for a signal.
            None => text("purpose").filter(|purpose| Signal::of_purpose(purpose).is_none())?.to_owned(),
        },
        channel: match text("channel") {
            Some(name) => Some(workspace.channel(name)?),
            None => None,
        },
        state: match text("state").or(signal.map(|_| "on"))? {
            "on" if signal.is_some() => ConsentState::Denied,
            "lifted" if signal.is_some() => ConsentState::Granted,
            _ if signal.is_some() => return None,
            "granted" => ConsentState::Granted,
            "denied" => ConsentState::Denied,
            _ => return None,
        },
        at: text("at").and_then(Timestamp::parse),
        target: match lookup(entry, "for") {
            Some(Json::Object(target)) => {
                target.iter().next().and_then(|(namespace, value)| Some((namespace.to_owned(), value.as_str()?.to_owned())))
            }
            _ => None,
        },
        proof: lookup(entry, "proof").map(|proof| Shown::Sent(Proof::from_json(&json_text(proof)))),
        weak: matches!(lookup(entry, "undated"), Some(Json::Bool(true))),
        is_signal: false,
    })
}
