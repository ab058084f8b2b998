//! The checks on one event of the tracking API. Each refusal names the field, the rule, and what would be right.

use jumelle_consent::signals::DEVICE;
use jumelle_model::Json;
use jumelle_model::consent::{Channel, Signal};
use jumelle_model::event::{EventKind, lookup};
use jumelle_model::number::Decimal;
use jumelle_model::rule::MONEY_PROPERTIES;
use jumelle_model::time::{Span, Timestamp};
use jumelle_model::workspace::SignalsRead;

use crate::decode::Claims;

/// Bounds of collection, and the purposes that consents may name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes of one event. Default 32 KiB.
    pub event_bytes: usize,
    /// Events of one batch. Default 10,000; the body's size is bounded before.
    pub batch_events: usize,
    /// Declared purposes; empty: none is checked (there are no definitions yet).
    pub purposes: Vec<String>,
    /// Channels that there are. Default: those of every workspace.
    pub channels: Vec<Channel>,
    /// Signals that the workspace reads; what is malformed is refused all the same.
    pub signals: SignalsRead,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            event_bytes: 32 * 1024,
            batch_events: 10_000,
            purposes: Vec::new(),
            channels: Channel::ALL.to_vec(),
            signals: SignalsRead::default(),
        }
    }
}

/// Longest message id, user id or anonymous id, in bytes.
pub const ID_BYTES_MAX: usize = 512;
/// Longest event name, in bytes.
pub const NAME_BYTES_MAX: usize = 256;
/// Deepest nesting of an event.
pub const DEPTH_MAX: usize = 64;
/// 1990-01-01: nothing that a shop sends is older; zero and negative clocks are.
pub const TIME_MIN: Timestamp = Timestamp(631_152_000_000_000);
/// How far ahead of us a corrected time may be; it then counts as now.
pub const TIME_AHEAD_MAX: Span = Span(48 * 3_600_000_000);

pub(crate) struct Valid {
    pub kind: EventKind,
    pub message_id: Option<String>,
    pub time: Timestamp,
    pub has_consents: bool,
    pub claims: Claims,
}

pub(crate) struct Problem {
    pub field: String,
    pub rule: &'static str,
    pub message: String,
}

pub(crate) fn problem<T>(field: impl Into<String>, rule: &'static str, message: impl Into<String>) -> Result<T, Problem> {
    Err(Problem { field: field.into(), rule, message: message.into() })
}

pub(crate) fn too_large(bytes: usize, bytes_max: usize) -> Problem {
    Problem {
        field: String::new(),
        rule: "too_large",
        message: format!("an event has {bytes_max} bytes at most, this one has {bytes}"),
    }
}

pub(crate) fn validate(
    raw: &str,
    kind: Option<EventKind>,
    sent_at: Option<&str>,
    limits: &Limits,
    now: Timestamp,
) -> Result<Valid, Problem> {
    if raw.len() > limits.event_bytes {
        return Err(too_large(raw.len(), limits.event_bytes));
    }
    let event: Json<'_> = match serde_json::from_str(raw) {
        Ok(event) => event,
        Err(error) if error.to_string().contains("recursion limit") => {
            return problem("", "too_deep", format!("an event is nested {DEPTH_MAX} levels at most"));
        }
        Err(error) => return problem("", "invalid_json", format!("the event is not JSON: {error}")),
    };
    if !event.is_object() {
        return problem("", "wrong_type", format!("an event is an object, not {}", type_of(&event)));
    }
    if depth_over(&event, DEPTH_MAX) {
        return problem("", "too_deep", format!("an event is nested {DEPTH_MAX} levels at most"));
    }
    check_fields(&event)?;
    let kind = match (kind, text(&event, "type")?) {
        (Some(kind), _) => kind,
        (None, Some(name)) => match EventKind::parse(name) {
            Some(kind) => kind,
            None => {
                return problem(
                    "type",
                    "unknown_type",
                    format!("{name:?} is not one of track, identify, page, screen, group, alias"),
                );
            }
        },
        (None, None) => return problem("type", "missing", "an event has a type: track, identify, page, screen, group or alias"),
    };
    let message_id = identifier(&event, "messageId", true)?;
    let user_id = identifier(&event, "userId", false)?;
    let anonymous_id = identifier(&event, "anonymousId", false)?;
    for field in ["properties", "traits", "context"] {
        match lookup(&event, field) {
            None | Some(Json::Object(_)) => {}
            Some(other) => return problem(field, "wrong_type", format!("{field} is an object, not {}", type_of(other))),
        }
    }
    match kind {
        EventKind::Track => match text(&event, "event")? {
            None => return problem("event", "missing", "a track call has an event name"),
            Some(name) => check_name("event", name)?,
        },
        EventKind::Alias => {
            if identifier(&event, "previousId", false)?.is_none() {
                return problem("previousId", "missing", "an alias call has a previousId and a userId");
            }
            if user_id.is_none() {
                return problem("userId", "missing", "an alias call has a previousId and a userId");
            }
        }
        EventKind::Group => {
            if identifier(&event, "groupId", false)?.is_none() {
                return problem("groupId", "missing", "a group call has a groupId");
            }
        }
        EventKind::Identify | EventKind::Page | EventKind::Screen => {}
    }
    let named = user_id.is_some()
        || anonymous_id.is_some()
        || lookup(&event, "context.externalIds").is_some()
        || ["traits.email", "traits.phone", "context.traits.email", "context.traits.phone"]
            .iter()
            .any(|path| lookup(&event, path).is_some());
    if !named {
        return problem("userId", "missing", "an event needs a userId, an anonymousId or another identifier of the person");
    }
    check_numbers(&event)?;
    let claims = check_consents(&event, limits)?;
    let has_consents = claims.is_some() | crate::signals::check(&event, limits.signals)?;
    let time = corrected_time(&event, sent_at, now)?;
    Ok(Valid { kind, message_id, time, has_consents, claims: claims.unwrap_or_default() })
}

/// Segment's rule: received − (sentAt − timestamp), so that a wrong clock does not matter.
fn corrected_time(event: &Json<'_>, batch_sent_at: Option<&str>, now: Timestamp) -> Result<Timestamp, Problem> {
    let field = if lookup(event, "timestamp").is_some() { "timestamp" } else { "originalTimestamp" };
    let Some(claimed) = instant(event, field)? else { return Ok(now) };
    let sent_at = match batch_sent_at {
        // The batch's own `sentAt` counts; SDKs repeat it in the events, or leave an older one of a first try there.
        Some(text) => Some(parse_instant("sentAt", text)?),
        None => instant(event, "sentAt")?,
    };
    let time = match sent_at {
        Some(sent_at) => Timestamp(claimed.0.saturating_add(now.0.saturating_sub(sent_at.0))),
        None => claimed,
    };
    if time < TIME_MIN {
        return problem(field, "too_old", format!("{claimed} is before 1990: a clock that was never set?"));
    }
    if time > now + TIME_AHEAD_MAX {
        return problem(field, "in_the_future", format!("{claimed} is more than 48 h ahead of our clock"));
    }
    Ok(time.min(now))
}

fn instant(event: &Json<'_>, field: &str) -> Result<Option<Timestamp>, Problem> {
    match lookup(event, field) {
        None => Ok(None),
        Some(Json::Str(text)) => parse_instant(field, text).map(Some),
        Some(other) => problem(
            field,
            "wrong_type",
            format!("{field} is an ISO 8601 text such as \"2026-11-25T10:00:00.000Z\", not {}", type_of(other)),
        ),
    }
}

fn parse_instant(field: &str, text: &str) -> Result<Timestamp, Problem> {
    match Timestamp::parse(text) {
        Some(at) => Ok(at),
        None => problem(
            field,
            "not_a_timestamp",
            format!("{text:?} is not an ISO 8601 instant; write it like 2026-11-25T10:00:00.000Z"),
        ),
    }
}

fn text<'v>(event: &'v Json<'_>, field: &str) -> Result<Option<&'v str>, Problem> {
    match lookup(event, field) {
        None => Ok(None),
        Some(Json::Str(text)) => Ok(Some(text)),
        Some(other) => problem(field, "wrong_type", format!("{field} is a text, not {}", type_of(other))),
    }
}

/// A text, or (not for message ids) a whole number, which SDKs of typed languages send.
fn identifier(event: &Json<'_>, field: &str, text_only: bool) -> Result<Option<String>, Problem> {
    let value = match lookup(event, field) {
        None => return Ok(None),
        Some(Json::Str(text)) => text.to_string(),
        Some(Json::Number(number)) if !text_only && !number.is_f64() => {
            number.as_i64().map_or_else(|| number.as_u64().unwrap_or_default().to_string(), |integer| integer.to_string())
        }
        Some(other) => return problem(field, "wrong_type", format!("{field} is a text, not {}", type_of(other))),
    };
    if value.is_empty() {
        return Ok(None);
    }
    if value.len() > ID_BYTES_MAX {
        return problem(field, "too_long", format!("{field} has {ID_BYTES_MAX} bytes at most"));
    }
    if value.chars().any(char::is_control) {
        return problem(field, "control_character", format!("{field} contains a control character"));
    }
    Ok(Some(value))
}

/// The checks see the first of two fields of one name, other readers may take the last: neither is right.
fn check_fields(event: &Json<'_>) -> Result<(), Problem> {
    const READ: [&str; 14] = [
        "type",
        "event",
        "messageId",
        "userId",
        "anonymousId",
        "previousId",
        "groupId",
        "timestamp",
        "originalTimestamp",
        "sentAt",
        "properties",
        "traits",
        "context",
        "writeKey",
    ];
    let mut seen = [false; READ.len()];
    for (key, _) in event.as_object().into_iter().flat_map(|object| object.iter()) {
        if let Some(n) = READ.iter().position(|field| *field == key)
            && std::mem::replace(&mut seen[n], true)
        {
            return problem(key, "duplicate_field", format!("{key} stands in the event twice; write it once"));
        }
    }
    Ok(())
}

fn check_name(field: &str, name: &str) -> Result<(), Problem> {
    if name.trim().is_empty() {
        return problem(field, "missing", format!("{field} is empty"));
    }
    if name.len() > NAME_BYTES_MAX {
        return problem(field, "too_long", format!("{field} has {NAME_BYTES_MAX} bytes at most"));
    }
    if let Some(control) = name.chars().find(|c| c.is_control()) {
        return problem(field, "control_character", format!("{field} contains the control character {control:?}"));
    }
    Ok(())
}

/// An amount written as a text would be left out of every sum without a word: better said at the door.
fn check_numbers(event: &Json<'_>) -> Result<(), Problem> {
    let Some(properties) = lookup(event, "properties") else { return Ok(()) };
    check_amounts(properties, "properties")?;
    match lookup(properties, "products") {
        None => Ok(()),
        Some(Json::Array(items)) => {
            for (n, item) in items.iter().enumerate() {
                if !item.is_object() {
                    return problem(format!("properties.products[{n}]"), "wrong_type", "a product is an object");
                }
                check_amounts(item, &format!("properties.products[{n}]"))?;
            }
            Ok(())
        }
        Some(other) => {
            problem("properties.products", "wrong_type", format!("products is a list of objects, not {}", type_of(other)))
        }
    }
}

fn check_amounts(object: &Json<'_>, path: &str) -> Result<(), Problem> {
    for property in MONEY_PROPERTIES.iter().chain(&["quantity"]) {
        if let Some(Json::Str(text)) = lookup(object, property)
            && Decimal::parse(text.trim()).is_some()
        {
            return problem(
                format!("{path}.{property}"),
                "number_as_text",
                format!("{property} is the text {text:?}; write the number without quotes: {}", text.trim()),
            );
        }
    }
    Ok(())
}

/// `{"signal": "bounce", "state": "on", …}` in the place of a purpose.
fn check_signal(signal: &Json<'_>, entry: &Json<'_>, n: usize) -> Result<(), Problem> {
    let path = |field: &str| format!("context.consents[{n}].{field}");
    if !matches!(signal, Json::Str(text) if Signal::parse(text).is_some()) {
        let known = Signal::ALL.map(Signal::as_str).join(", ");
        return problem(path("signal"), "unknown_signal", format!("the signal is one of {known}"));
    }
    if lookup(entry, "purpose").is_some() {
        return problem(path("purpose"), "signal_and_purpose", "a signal is about every purpose; leave purpose out");
    }
    match lookup(entry, "state") {
        None => Ok(()),
        Some(Json::Str(state)) if matches!(state.as_ref(), "on" | "lifted") => Ok(()),
        Some(_) => problem(path("state"), "signal_state", "the state of a signal is \"on\" (if left out) or \"lifted\""),
    }
}

/// `context.consents`: a choice that is not understood is never taken for one. `None`: there are none.
fn check_consents(event: &Json<'_>, limits: &Limits) -> Result<Option<Claims>, Problem> {
    let Some(consents) = lookup(event, "context.consents") else { return Ok(None) };
    let Json::Array(entries) = consents else {
        return problem("context.consents", "wrong_type", format!("consents is a list, not {}", type_of(consents)));
    };
    if lookup(event, "context").is_some_and(|context| says_twice(context, "consents")) {
        return problem("context.consents", "duplicate_field", "consents stands in the context twice; write it once");
    }
    let device = lookup(event, "anonymousId").and_then(Json::as_str);
    let mut claims = Claims::default();
    for (n, entry) in entries.iter().enumerate() {
        let path = |field: &str| format!("context.consents[{n}].{field}");
        // Of two members of one name each reader might take another one.
        for field in ["signal", "purpose", "state", "channel", "for", "at", "undated", "proof"] {
            if says_twice(entry, field) {
                return problem(path(field), "duplicate_field", format!("{field} stands in the choice twice; write it once"));
            }
        }
        let says = |state: &str| matches!(lookup(entry, "state"), Some(Json::Str(said)) if said == state);
        if let Some(signal) = lookup(entry, "signal") {
            check_signal(signal, entry, n)?;
            claims.lifts = claims.lifts.or(says("lifted").then_some(n));
        } else if says("granted") && !is_of_device(entry, device) {
            claims.grants = claims.grants.or(Some(n));
        }
        match lookup(entry, "purpose") {
            None if lookup(entry, "signal").is_some() => {}
            Some(Json::Str(purpose)) => {
                let declared = || limits.purposes.iter().any(|known| known.as_str() == purpose.as_ref());
                // What begins so is kept for signals, also where no purpose is declared.
                if purpose.starts_with('!') || (!limits.purposes.is_empty() && !declared()) {
                    let known = limits.purposes.join(", ");
                    return problem(
                        path("purpose"),
                        "unknown_purpose",
                        format!("{purpose:?} is not a declared purpose; there are {known}"),
                    );
                }
            }
            _ => return problem(path("purpose"), "missing", "a consent names its purpose"),
        }
        match lookup(entry, "state") {
            _ if lookup(entry, "signal").is_some() => {}
            Some(Json::Str(state)) if matches!(state.as_ref(), "granted" | "denied") => {}
            _ => return problem(path("state"), "consent_state", "the state of a consent is \"granted\" or \"denied\""),
        }
        match lookup(entry, "channel") {
            None => {}
            Some(Json::Str(channel)) if limits.channels.iter().any(|known| known.as_str() == channel.as_ref()) => {}
            Some(_) => {
                let known: Vec<&str> = limits.channels.iter().map(|channel| channel.as_str()).collect();
                return problem(path("channel"), "unknown_channel", format!("the channel is one of {}", known.join(", ")));
            }
        }
        match lookup(entry, "at") {
            None => {}
            Some(Json::Str(at)) if Timestamp::parse(at).is_some() => {}
            Some(_) => return problem(path("at"), "not_a_timestamp", "the time of a choice is an ISO 8601 instant"),
        }
        match lookup(entry, "for") {
            None => {}
            Some(Json::Object(target)) if target.len() == 1 && target.iter().all(|(_, value)| value.is_string()) => {}
            Some(_) => {
                return problem(path("for"), "wrong_type", "for names one address or device: {\"email\": \"ana@example.org\"}");
            }
        }
    }
    Ok((!entries.is_empty()).then_some(claims))
}

fn says_twice(object: &Json<'_>, field: &str) -> bool {
    object.as_object().is_some_and(|object| object.iter().filter(|(key, _)| *key == field).count() > 1)
}

/// Whether a choice is for the device that the event names, and says so.
fn is_of_device(entry: &Json<'_>, device: Option<&str>) -> bool {
    let Some(device) = device else { return false };
    let target = lookup(entry, "for").and_then(Json::as_object);
    target.is_some_and(|target| {
        target.len() == 1 && target.iter().all(|(key, value)| key == DEVICE && value.as_str() == Some(device))
    })
}

fn depth_over(value: &Json<'_>, limit: usize) -> bool {
    match value {
        Json::Array(items) => limit == 0 || items.iter().any(|item| depth_over(item, limit - 1)),
        Json::Object(object) => limit == 0 || object.iter().any(|(_, item)| depth_over(item, limit - 1)),
        _ => false,
    }
}

pub(crate) fn type_of(value: &Json<'_>) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "true or false",
        Json::Number(_) => "a number",
        Json::Str(_) => "a text",
        Json::Array(_) => "a list",
        Json::Object(_) => "an object",
    }
}
