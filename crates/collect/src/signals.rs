//! Consent signals in their standard form: `context.consent` (`tcf`, `gpp`, `gcm`, `gpc`, `categoryPreferences`), `context.gpc`, and
//! the header `Sec-GPC`, which collection writes into the event as `secGpc`.
//!
//! Checked where events come in (what is malformed is refused and never taken for a choice), read again by the fold, which knows
//! the workspace at that place of the history.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use jumelle_consent::signals::{DEVICE, Verdict, of_categories, of_gcm, of_gpc, of_gpp, of_tcf};
use jumelle_consent::strings::{GppString, TcString};
use jumelle_model::event::{Event, lookup};
use jumelle_model::time::Timestamp;
use jumelle_model::workspace::SignalsRead;
use jumelle_model::{ConsentState, Json, Workspace};
use serde::Serialize;

use crate::read::{ConsentEntry, Shown};
use crate::validate::{Problem, problem, type_of};

/// Events that are the moment of a choice; a signal in any other is repeated, not chosen.
const CHOICE_EVENTS: [&str; 2] = ["Consent Updated", "Segment Consent Preference Updated"];
/// The event's member that says that the request had `Sec-GPC: 1`.
pub const SEC_GPC: &str = "secGpc";
/// Our own tag reads Global Privacy Control itself, and knows of grants that were given in spite of it.
const TAG: &str = "jumelle-tag";
/// Categories or types of one event, at most.
const STATES_MAX: usize = 100;

/// The signals of one event, understood.
#[derive(Default)]
struct Signals<'e> {
    tcf: Option<Arc<TcString>>,
    gpp: Option<Arc<GppString>>,
    gcm: Vec<(&'e str, bool)>,
    gpc: bool,
    categories: Option<Vec<(&'e str, bool)>>,
    at: Option<Timestamp>,
}

/// Refuses what is malformed; answers whether the event carries a signal that the workspace reads.
pub(crate) fn check(event: &Json<'_>, read: SignalsRead) -> Result<bool, Problem> {
    let says = |object: &Json<'_>| {
        object.as_object().is_some_and(|object| object.iter().any(|(key, value)| key == SEC_GPC && *value == Json::Bool(true)))
    };
    let Some(context) = lookup(event, "context") else { return Ok(says(event) && read.gpc) };
    let signals = signals(context)?;
    Ok((says(event) || says(context)) && read.gpc
        || signals.tcf.is_some() && read.tcf
        || signals.gpp.is_some() && (read.gpp || read.tcf)
        || !signals.gcm.is_empty() && read.gcm
        || signals.gpc && read.gpc
        || signals.categories.is_some() && read.categories)
}

fn signals<'e>(context: &'e Json<'_>) -> Result<Signals<'e>, Problem> {
    let mut found = Signals { gpc: gpc(context, "gpc", "context.gpc")?, ..Signals::default() };
    let consent = match lookup(context, "consent") {
        None => return Ok(found),
        Some(consent @ Json::Object(_)) => consent,
        Some(other) => return problem("context.consent", "wrong_type", format!("consent is an object, not {}", type_of(other))),
    };
    found.gpc |= gpc(consent, "gpc", "context.consent.gpc")?;
    if let Some(text) = tc_string(consent)? {
        let string =
            TcString::known(text).or_else(|malformed| problem("context.consent.tcf", "tcf_string", malformed.to_string()))?;
        found.tcf = Some(string);
    }
    if let Some(text) = string(consent, "gpp", "gppString", "context.consent.gpp")? {
        let string =
            GppString::known(text).or_else(|malformed| problem("context.consent.gpp", "gpp_string", malformed.to_string()))?;
        found.gpp = Some(string);
    }
    found.gcm = states(consent, "gcm", "consent_mode", "\"granted\" or \"denied\"", &|value| match value {
        Json::Str(state) if state == "granted" => Some(true),
        Json::Str(state) if state == "denied" => Some(false),
        _ => None,
    })?
    .unwrap_or_default();
    found.categories = states(consent, "categoryPreferences", "category_preference", "true or false", &|value| value.as_bool())?;
    match lookup(consent, "at") {
        None => {}
        Some(Json::Str(text)) if Timestamp::parse(text).is_some() => found.at = Timestamp::parse(text),
        Some(_) => return problem("context.consent.at", "not_a_timestamp", "the time of a choice is an ISO 8601 instant"),
    }
    Ok(found)
}

/// A text, or the object that the browser's API gives. A banner that is still open, and a page that the GDPR does not concern, have a
/// string as well: it is nobody's choice.
fn tc_string<'e>(consent: &'e Json<'_>) -> Result<Option<&'e str>, Problem> {
    let data = lookup(consent, "tcf");
    let says = |field: &str| data.and_then(|data| data.is_object().then(|| lookup(data, field))).flatten();
    let is_open = matches!(says("eventStatus"), Some(Json::Str(status)) if status == "cmpuishown");
    let is_outside = matches!(says("gdprApplies"), Some(Json::Bool(false)));
    let text = string(consent, "tcf", "tcString", "context.consent.tcf")?;
    Ok(text.filter(|_| !is_open && !is_outside))
}

/// A text, or a text inside of an object. Empty: none.
fn string<'e>(consent: &'e Json<'_>, field: &str, inner: &str, path: &str) -> Result<Option<&'e str>, Problem> {
    let value = match lookup(consent, field) {
        Some(data @ Json::Object(_)) => lookup(data, inner),
        other => other,
    };
    match value {
        None => Ok(None),
        Some(Json::Str(text)) => Ok(Some(text.as_ref()).filter(|text| !text.is_empty())),
        Some(other) => problem(path, "wrong_type", format!("{field} is a text, not {}", type_of(other))),
    }
}

fn gpc(object: &Json<'_>, field: &str, path: &str) -> Result<bool, Problem> {
    match lookup(object, field) {
        None => Ok(false),
        Some(Json::Bool(on)) => Ok(*on),
        Some(other) => problem(path, "gpc_signal", format!("{field} is true or false, not {}", type_of(other))),
    }
}

type States<'e> = Option<Vec<(&'e str, bool)>>;

fn states<'e>(
    consent: &'e Json<'_>,
    field: &str,
    rule: &'static str,
    right: &str,
    read: &dyn Fn(&Json<'_>) -> Option<bool>,
) -> Result<States<'e>, Problem> {
    let path = format!("context.consent.{field}");
    let object = match lookup(consent, field) {
        None => return Ok(None),
        Some(Json::Object(object)) => object,
        Some(other) => return problem(path, "wrong_type", format!("{field} is an object, not {}", type_of(other))),
    };
    if object.len() > STATES_MAX {
        return problem(path, rule, format!("{field} has {STATES_MAX} members at most"));
    }
    let mut states = Vec::with_capacity(object.len());
    for (name, value) in object.iter() {
        match read(value) {
            // Of two members of one name the refusal counts, wherever it stands.
            Some(state) => match states.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => *known &= state,
                None => states.push((name, state)),
            },
            None => return problem(format!("{path}.{name}"), rule, format!("the state is {right}")),
        }
    }
    Ok(Some(states))
}

/// The choices that an event's signals come to, by the workspace's policy. Bound to the event's device; without one, grants are left
/// out and denials are the person's, for the channels that reach a device.
pub(crate) fn entries(event: &Event<'_>, workspace: &Workspace, judged: &mut Judged) -> Vec<ConsentEntry> {
    let from_header = matches!(lookup(&event.context, SEC_GPC), Some(Json::Bool(true)));
    let by_tag = matches!(lookup(&event.context, "library.name"), Some(Json::Str(name)) if name == TAG);
    let Ok(signals) = signals(&event.context) else { return Vec::new() };
    let told = signals.at.or_else(|| CHOICE_EVENTS.contains(&event.name.as_ref()).then_some(event.time));
    let mut entries = Vec::new();
    let mut add = |verdicts: &[Verdict], method: Method| {
        let signal = Rc::new(ReadSignal { method, message: event.message_id.to_owned(), written: OnceCell::new() });
        for verdict in verdicts {
            let (at, weak) = verdict.time(told, event.time);
            entries.extend(bound(workspace, verdict, event).into_iter().map(|(channel, target)| ConsentEntry {
                purpose: verdict.purpose.clone(),
                channel,
                state: verdict.state,
                at: Some(at),
                target,
                proof: Some(Shown::Signal(signal.clone(), verdict.because.clone())),
                weak,
                is_signal: true,
            }));
        }
    };
    let tcf = signals.tcf.as_ref().map(|string| judged.of_tcf(workspace, string, event.received));
    let gpp = signals.gpp.as_ref().map(|string| of_gpp(workspace, string, event.received));
    let (by_tcf, by_gpp) = (tcf.as_deref().unwrap_or_default(), gpp.as_deref().unwrap_or_default());
    if let Some(string) = &signals.tcf {
        add(&stricter(by_tcf, by_gpp, "gpp"), Method::Tcf(string.clone()));
    }
    if signals.gpp.is_some() {
        add(&stricter(by_gpp, by_tcf, "tcf"), Method::Named("gpp"));
    }
    if !signals.gcm.is_empty() {
        add(&of_gcm(workspace, &signals.gcm), Method::Named("gcm"));
    }
    if let Some(preferences) = &signals.categories {
        add(&of_categories(workspace, preferences), Method::Named("categories"));
    }
    if signals.gpc || from_header && !by_tag {
        add(&of_gpc(workspace), Method::Named("gpc"));
    }
    entries
}

/// Verdicts of one of an event's two strings, given those of the other: where they differ the refusal counts, whichever string is
/// younger, and says that there was another word. It is as young as the event: no day is known of what both say.
fn stricter<'v>(verdicts: &'v [Verdict], others: &[Verdict], other: &str) -> Cow<'v, [Verdict]> {
    let differs = |verdict: &Verdict| {
        others
            .iter()
            .any(|known| (&known.purpose, known.channel) == (&verdict.purpose, verdict.channel) && known.state != verdict.state)
    };
    if !verdicts.iter().any(differs) {
        return Cow::Borrowed(verdicts);
    }
    let settle = |verdict: &Verdict| match (differs(verdict), verdict.state) {
        (false, _) => Some(verdict.clone()),
        (true, ConsentState::Granted) => None,
        (true, ConsentState::Denied) => {
            let because = format!("{}; {other} says granted, the refusal counts", verdict.because).into();
            Some(Verdict { because, day: None, ..verdict.clone() })
        }
    };
    Cow::Owned(verdicts.iter().filter_map(settle).collect())
}

/// What a choice was read from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReadSignal {
    method: Method,
    /// Message id of the event.
    message: String,
    /// The proof, once it was asked for.
    written: OnceCell<Arc<str>>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Method {
    Tcf(Arc<TcString>),
    Named(&'static str),
}

impl ReadSignal {
    /// What proves its verdicts, as JSON text.
    pub(crate) fn proof(&self) -> Arc<str> {
        self.written.get_or_init(|| self.write().into()).clone()
    }

    fn write(&self) -> String {
        let message = self.message.as_str();
        let proof = match &self.method {
            Method::Tcf(string) => serde_json::to_string(&TcfProof {
                method: "tcf",
                message,
                cmp_id: string.cmp_id,
                cmp_version: string.cmp_version,
                consent_screen: string.consent_screen,
                consent_language: String::from_utf8_lossy(&string.consent_language),
                vendor_list_version: string.vendor_list_version,
                policy_version: string.policy_version,
                last_updated: string.last_updated,
            }),
            Method::Named(method) => serde_json::to_string(&NamedProof { method, message }),
        };
        // Texts and numbers: JSON has them all.
        proof.unwrap_or_default()
    }
}

/// The string itself stays with the event that the message names; what it says of its making is here.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TcfProof<'a> {
    method: &'static str,
    message: &'a str,
    cmp_id: u16,
    cmp_version: u16,
    consent_screen: u8,
    consent_language: Cow<'a, str>,
    vendor_list_version: u16,
    policy_version: u8,
    last_updated: Timestamp,
}

#[derive(Serialize)]
struct NamedProof<'a> {
    method: &'static str,
    message: &'a str,
}

/// What TC strings mean for one workspace, remembered: a string comes with each event. By where the string is in memory, so it is
/// kept there.
#[derive(Default)]
pub struct Judged(HashMap<usize, (Arc<TcString>, Arc<[Verdict]>)>);

/// Strings whose meaning is remembered; past it all are forgotten.
const JUDGED_MAX: usize = 1_024;

impl Judged {
    fn of_tcf(&mut self, workspace: &Workspace, string: &Arc<TcString>, arrival: Timestamp) -> Arc<[Verdict]> {
        // What a string from the future means changes when its time has come.
        if string.last_updated > arrival {
            return of_tcf(workspace, string, arrival).into();
        }
        if self.0.len() >= JUDGED_MAX {
            self.0.clear();
        }
        let known = self.0.entry(Arc::as_ptr(string) as usize);
        known.or_insert_with(|| (string.clone(), of_tcf(workspace, string, arrival).into())).1.clone()
    }
}

type Bound = (Option<jumelle_model::Channel>, Option<(String, String)>);

fn bound(workspace: &Workspace, verdict: &Verdict, event: &Event<'_>) -> Vec<Bound> {
    let of_device = verdict.is_of_device();
    match (of_device, &event.anonymous_id, verdict.state) {
        (true, Some(id), _) => vec![(verdict.channel, Some((DEVICE.to_owned(), id.as_ref().to_owned())))],
        (false, _, ConsentState::Denied) => vec![(verdict.channel, None)],
        (true, None, ConsentState::Denied) => match verdict.channel {
            Some(channel) => vec![(Some(channel), None)],
            None => workspace
                .channels()
                .into_iter()
                .filter(|channel| channel.address_namespace() == Some(DEVICE))
                .map(|channel| (Some(channel), None))
                .collect(),
        },
        (_, _, ConsentState::Granted) => Vec::new(),
    }
}

/// Whether an event is the moment of a choice.
pub fn is_choice(event: &Event<'_>) -> bool {
    CHOICE_EVENTS.contains(&event.name.as_ref())
}

/// An event's text with the header's signal in it.
pub fn with_sec_gpc(body: &str) -> Cow<'_, str> {
    match body.trim_start().strip_prefix('{') {
        Some(rest) => Cow::Owned(format!("{{\"{SEC_GPC}\":true,{rest}")),
        None => Cow::Borrowed(body),
    }
}
