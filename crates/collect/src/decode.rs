//! The bodies of the tracking API (compatible with Segment's HTTP API) to what is stored.

use jumelle_model::event::EventKind;
use jumelle_model::time::Timestamp;
use jumelle_model::workspace::Heard;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::validate::{Limits, Problem, too_large, validate};

/// An event that passed the checks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Collected {
    /// Which call.
    pub kind: EventKind,
    /// The sender's, or made here.
    pub message_id: String,
    /// When it happened, corrected for the sender's clock; not later than the `now` of the check.
    pub time: Timestamp,
    /// The JSON object as sent (with the batch's context where it had none of its own).
    pub body: String,
    /// It carries consents: the answer waits until the gate knows of them.
    pub has_consents: bool,
    /// What its choices claim beyond what anybody may say.
    pub claims: Claims,
}

/// The first of an event's choices (its place among them) that not every source may make.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Claims {
    /// A signal is lifted.
    pub lifts: Option<usize>,
    /// A yes that is not the event's own device's.
    pub grants: Option<usize>,
}

impl Claims {
    /// What a source may not say of it, whose word goes so far.
    pub fn beyond(&self, heard: Heard) -> Option<Beyond> {
        match (heard, self.lifts, self.grants) {
            (Heard::Choices | Heard::Device, Some(nth), _) => Some(Beyond::Lifts(nth)),
            (Heard::Device, None, Some(nth)) => Some(Beyond::Grants(nth)),
            _ => None,
        }
    }
}

/// What goes beyond a source's word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Beyond {
    /// This choice lifts a signal.
    Lifts(usize),
    /// This yes is for more than the device.
    Grants(usize),
}

impl Decoded {
    /// Puts with the rejected what goes beyond the word of their source.
    pub fn hear(&mut self, source: &str, heard: Heard) {
        if self.collected.iter().all(|event| event.claims.beyond(heard).is_none()) {
            return;
        }
        // Their places in the batch are those that no rejected one has.
        let taken: BTreeSet<usize> = self.rejected.iter().map(|rejected| rejected.index).collect();
        let places = (0..).filter(|index| !taken.contains(index));
        let mut kept = Vec::with_capacity(self.collected.len());
        for (index, event) in places.zip(std::mem::take(&mut self.collected)) {
            let (nth, rule, what) = match event.claims.beyond(heard) {
                None => {
                    kept.push(event);
                    continue;
                }
                Some(Beyond::Lifts(nth)) => {
                    (nth, "lifts_signal", "lifts no signal: that is for a source with a secret key, or the API")
                }
                Some(Beyond::Grants(nth)) => {
                    (nth, "grants_beyond_device", "grants for its own device alone: \"for\": {\"anonymous_id\": …}")
                }
            };
            let message = format!("the source {source} {what}");
            let field = format!("context.consents[{nth}].state");
            self.rejected.push(Rejected { index, field, rule, message, body: event.body });
        }
        self.collected = kept;
        self.rejected.sort_by_key(|rejected| rejected.index);
    }
}

/// An event that did not.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Rejected {
    /// Place in the batch, from 0.
    pub index: usize,
    /// Path of the field, `properties.total`; empty for the whole.
    pub field: String,
    /// Name of the rule, as in the metrics.
    pub rule: &'static str,
    /// What was wrong and what would be right.
    pub message: String,
    /// As sent.
    #[serde(skip)]
    pub body: String,
}

/// What a request came to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Decoded {
    /// `writeKey` of the body, if any.
    pub write_key: Option<String>,
    /// To be stored.
    pub collected: Vec<Collected>,
    /// To be put in quarantine.
    pub rejected: Vec<Rejected>,
}

#[derive(Deserialize)]
struct BatchBody<'a> {
    #[serde(borrow)]
    batch: Vec<&'a RawValue>,
    #[serde(borrow, default, rename = "sentAt")]
    sent_at: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "writeKey")]
    write_key: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    context: Option<&'a RawValue>,
}

/// Decodes `{"batch": […], "sentAt": …, "writeKey": …}`. `Err`: the body as a whole is not understood (field, rule, message).
///
/// `make_id` gives a message id to an event without one.
pub fn decode_batch(
    body: &str,
    limits: &Limits,
    now: Timestamp,
    make_id: &mut dyn FnMut() -> String,
) -> Result<Decoded, Rejected> {
    let batch: BatchBody<'_> = serde_json::from_str(body).map_err(|error| whole(body, &error, "batch"))?;
    let mut decoded = Decoded { write_key: batch.write_key.map(Cow::into_owned), ..Decoded::default() };
    if batch.batch.len() > limits.batch_events {
        return Err(Rejected {
            index: 0,
            field: "batch".into(),
            rule: "too_many_events",
            message: format!("a batch has {} events at most, this one has {}", limits.batch_events, batch.batch.len()),
            body: String::new(),
        });
    }
    for (index, raw) in batch.batch.iter().enumerate() {
        take(&mut decoded, index, raw.get(), None, batch.sent_at.as_deref(), batch.context, limits, now, make_id);
    }
    Ok(decoded)
}

/// Decodes one call, whose kind the path gave (or, for the pixel, its `type`).
pub fn decode_single(
    body: &str,
    kind: Option<EventKind>,
    limits: &Limits,
    now: Timestamp,
    make_id: &mut dyn FnMut() -> String,
) -> Result<Decoded, Rejected> {
    #[derive(Deserialize)]
    struct Single<'a> {
        #[serde(borrow, default, rename = "writeKey")]
        write_key: Option<Cow<'a, str>>,
        #[serde(borrow, default, rename = "sentAt")]
        sent_at: Option<Cow<'a, str>>,
    }
    let raw: &RawValue = serde_json::from_str(body).map_err(|error| whole(body, &error, ""))?;
    // A `writeKey` or `sentAt` of the wrong type is reported by the check of the event below.
    let single: Single<'_> = serde_json::from_str(body).unwrap_or(Single { write_key: None, sent_at: None });
    let mut decoded = Decoded { write_key: single.write_key.map(Cow::into_owned), ..Decoded::default() };
    take(&mut decoded, 0, raw.get(), kind, single.sent_at.as_deref(), None, limits, now, make_id);
    Ok(decoded)
}

#[expect(clippy::too_many_arguments, reason = "the parts of one request; a struct would only rename them")]
fn take(
    decoded: &mut Decoded,
    index: usize,
    raw: &str,
    kind: Option<EventKind>,
    sent_at: Option<&str>,
    context: Option<&RawValue>,
    limits: &Limits,
    now: Timestamp,
    make_id: &mut dyn FnMut() -> String,
) {
    let body = match context {
        Some(context) => with_context(raw, context.get(), limits.event_bytes),
        None => Ok(Cow::Borrowed(raw)),
    };
    let mut reject = |problem: Problem, body: &str| {
        decoded.rejected.push(Rejected {
            index,
            field: problem.field,
            rule: problem.rule,
            message: problem.message,
            body: body.to_owned(),
        });
    };
    let body = match body {
        Ok(body) => body,
        Err(problem) => return reject(problem, raw),
    };
    // The batch's context is checked as the event's own: it may name the person and carry consents.
    match validate(&body, kind, sent_at, limits, now) {
        Ok(valid) => decoded.collected.push(Collected {
            kind: valid.kind,
            message_id: valid.message_id.unwrap_or_else(make_id),
            time: valid.time,
            body: body.into_owned(),
            has_consents: valid.has_consents,
            claims: valid.claims,
        }),
        Err(problem) => reject(problem, &body),
    }
}

/// The event with the batch's context, unless it has its own. Refused before it is written out if that makes it too large: one
/// large context is not multiplied by the events of a batch.
fn with_context<'a>(raw: &'a str, context: &str, bytes_max: usize) -> Result<Cow<'a, str>, Problem> {
    #[derive(Deserialize)]
    struct Own {
        #[serde(default, deserialize_with = "present")]
        context: bool,
    }
    fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| true)
    }
    // An event that is no object, or has two contexts, is refused by the check that follows.
    let Some(rest) = raw.trim_start().strip_prefix('{').filter(|_| serde_json::from_str(raw).is_ok_and(|own: Own| !own.context))
    else {
        return Ok(Cow::Borrowed(raw));
    };
    let comma = if rest.trim_start().starts_with('}') { "" } else { "," };
    let bytes = "{\"context\":".len() + context.len() + comma.len() + rest.len();
    if bytes > bytes_max {
        return Err(too_large(bytes, bytes_max));
    }
    Ok(Cow::Owned(format!("{{\"context\":{context}{comma}{rest}")))
}

fn whole(body: &str, error: &serde_json::Error, expected: &str) -> Rejected {
    let (field, rule, message) = if error.is_data() && !expected.is_empty() {
        (expected, "wrong_type", format!("the body must be an object with a list `{expected}` of events: {error}"))
    } else {
        ("", "invalid_json", format!("the body is not JSON: {error}"))
    };
    Rejected { index: 0, field: field.to_owned(), rule, message, body: body.to_owned() }
}
