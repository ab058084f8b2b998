//! Collection: compatible with Segment's HTTP API.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{MatchedPath, Path, Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use base64::Engine as _;
use jumelle_collect::{Decoded, Limits, Rejected, decode_batch, decode_single, with_sec_gpc};
use jumelle_engine::{Draft, SubmitError};
use jumelle_model::event::EventKind;
use jumelle_model::time::Timestamp;
use jumelle_model::workspace::SourceKind;
use serde::Deserialize;
use serde_json::{Value, json};
use tracing::Instrument as _;

use crate::auth::{Counted, basic_user, too_many};
use crate::{App, Problem};

/// Bytes of a rejected body that quarantine keeps.
const QUARANTINED_BYTES_MAX: usize = 64 * 1024;

/// How long a browser may start with settings that it has, and for how long it may do so while it asks for new ones. Segment's
/// browser SDK asks once and drops the page's calls when it gets none: with these, a page that a visitor opens again while the
/// server restarts still collects, and her calls wait in the browser.
const SETTINGS_CACHE: &str = "public, max-age=300, stale-while-revalidate=86400";

/// A transparent GIF of one pixel.
const PIXEL: &[u8] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\x00\x00\x00!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";

/// `POST /v1/batch`, `/v1/b`, `/v1/import`.
pub async fn batch(
    State(app): State<App>,
    Extension(counted): Extension<Counted>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (body, _held) = app.bodies.read(body).await.map_err(Problem::with_code)?;
    let limits = app.collect_limits();
    let decoded = tracing::trace_span!(target: "jumelle::trace", "decode", bytes = body.len() as i64)
        .in_scope(|| decode_batch(&body, &limits, Timestamp::now(), &mut make_message_id));
    drop(body);
    store(&app, counted, &headers, decoded, None).await.map_err(Problem::with_code)
}

/// `POST /v1/track` … and their short forms.
pub async fn single(
    State(app): State<App>,
    path: MatchedPath,
    Extension(counted): Extension<Counted>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let call = path.as_str().rsplit('/').next().unwrap_or_default();
    let kind = kind_of(call).ok_or_else(|| Problem::not_found(format!("{call} is no call of the tracking API")))?;
    let (body, _held) = app.bodies.read(body).await.map_err(Problem::with_code)?;
    let limits = app.collect_limits();
    let decoded = decode_single(&body, Some(kind), &limits, Timestamp::now(), &mut make_message_id);
    drop(body);
    store(&app, counted, &headers, decoded, None).await.map_err(Problem::with_code)
}

fn kind_of(call: &str) -> Option<EventKind> {
    EventKind::parse(call).or(match call {
        "t" => Some(EventKind::Track),
        "i" => Some(EventKind::Identify),
        "p" => Some(EventKind::Page),
        "s" => Some(EventKind::Screen),
        "g" => Some(EventKind::Group),
        "a" => Some(EventKind::Alias),
        _ => None,
    })
}

/// What the pixel may carry.
#[derive(Deserialize)]
pub struct PixelQuery {
    data: String,
    #[serde(rename = "writeKey")]
    write_key: Option<String>,
}

/// `GET /v1/pixel/{kind}?data=BASE64`: answers with the image even when the event is refused, so that no page shows a broken one.
pub async fn pixel(
    State(app): State<App>,
    Path(kind): Path<String>,
    Query(query): Query<PixelQuery>,
    Extension(counted): Extension<Counted>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let kind = kind_of(&kind).ok_or_else(|| Problem::not_found(format!("{kind} is no call of the tracking API")))?;
    let padded = query.data.trim_end_matches('=');
    let bytes = base64::engine::general_purpose::STANDARD_NO_PAD
        .decode(padded)
        .or_else(|_| base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(padded));
    let decoded = match bytes.ok().and_then(|bytes| String::from_utf8(bytes).ok()) {
        Some(body) => decode_single(&body, Some(kind), &app.collect_limits(), Timestamp::now(), &mut make_message_id),
        None => Err(Rejected {
            index: 0,
            field: "data".into(),
            rule: "not_base64",
            message: "data is the event's JSON in base64".into(),
            body: query.data.clone(),
        }),
    };
    match store(&app, counted, &headers, decoded, query.write_key).await {
        Err(problem) if problem.is_final() => {}
        Err(problem) => return Err(problem),
        Ok(_) => {}
    }
    Ok(([(header::CONTENT_TYPE, "image/gif"), (header::CACHE_CONTROL, "no-store")], PIXEL).into_response())
}

/// `GET /v1/projects/{write_key}/settings`: what Segment's browser SDK asks for at its start, and our tag (`jumelle`).
pub async fn settings(State(app): State<App>, Path(write_key): Path<String>) -> Result<Response, Problem> {
    let definitions = app.engine.shared().definitions();
    let Some(source) = definitions.workspace.source_by_write_key(&write_key) else {
        return Err(Problem::not_found("no source has this write key"));
    };
    let settings = Json(json!({
        "jumelle": crate::tag::settings(&definitions.workspace, source),
        "integrations": {"Segment.io": {"apiKey": write_key, "unbundledIntegrations": [], "addBundledMetadata": true, "versionSettings": {"version": "4.4.7", "componentTypes": ["browser"]}}},
        "plan": {"track": {"__default": {"enabled": true, "integrations": {}}}, "identify": {"__default": {"enabled": true}}, "group": {"__default": {"enabled": true}}},
        "edgeFunction": {}, "analyticsNextEnabled": true, "middlewareSettings": {}, "enabledMiddleware": {}, "metrics": {"sampleRate": 0}, "legacyVideoPluginsEnabled": false, "remotePlugins": []
    }));
    Ok(([(header::CACHE_CONTROL, SETTINGS_CACHE)], settings).into_response())
}

async fn store(
    app: &App,
    counted: Counted,
    headers: &HeaderMap,
    decoded: Result<Decoded, Rejected>,
    query_key: Option<String>,
) -> Result<Response, Problem> {
    let in_body = decoded.as_ref().ok().and_then(|decoded| decoded.write_key.clone());
    let Some(write_key) = basic_user(headers).or(query_key).or(in_body) else {
        metrics::counter!("jumelle_unauthorized_total", "what" => "write_key").increment(1);
        // A body that is not JSON may have had a key in it; say what is wrong with the body, which is of more use.
        return Err(match decoded {
            Err(rejected) => count_and_refuse(&rejected),
            Ok(_) => Problem::unauthorized(
                "send the source's write key by HTTP Basic authentication (as the user name) or as writeKey in the body",
            ),
        });
    };
    let definitions = app.engine.shared().definitions();
    let Some(source) = definitions.workspace.source_by_write_key(&write_key) else {
        metrics::counter!("jumelle_unauthorized_total", "what" => "write_key").increment(1);
        return Err(Problem::unauthorized("no source of this workspace has this write key").with("rule", "wrong_write_key"));
    };
    if let Some(limiter) = &app.rates.write_key
        && counted.is_limited()
    {
        limiter.take(&source.key).map_err(|wait| too_many("write_key", wait))?;
    }
    let definition = source;
    let source: Arc<str> = definition.key.as_str().into();
    let (mut decoded, whole) = match decoded {
        Ok(mut decoded) => {
            if sec_gpc(headers) && definitions.workspace.signals_read().gpc {
                for event in &mut decoded.collected {
                    event.body = with_sec_gpc(&event.body).into_owned();
                    event.has_consents = true;
                }
                // Tried again from quarantine, they still have it.
                decoded.rejected.iter_mut().for_each(|rejected| rejected.body = with_sec_gpc(&rejected.body).into_owned());
            }
            (decoded, None)
        }
        Err(rejected) => (Decoded { rejected: vec![rejected.clone()], ..Decoded::default() }, Some(rejected)),
    };
    decoded.hear(&definition.key, definition.hears());
    let user_agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    let aside = app.setting_aside.sort(definition, user_agent, &mut decoded.collected);
    let set_aside = aside.len();
    let tells = matches!(definition.kind, SourceKind::Server | SourceKind::File);
    let answer = submit(app, &source, decoded, aside).await?;
    if let Some(rejected) = whole {
        return Err(count_and_refuse(&rejected).with("rejected", answer.rejected));
    }
    if answer.accepted == 0 && answer.duplicates == 0 && set_aside == 0 && !answer.rejected.is_empty() {
        let first = answer.rejected[0].clone();
        let detail = first["message"].as_str().unwrap_or_default().to_owned();
        let mut problem = Problem::bad_request(detail).with("rejected", answer.rejected);
        for member in ["field", "rule"] {
            problem = problem.with(member, first[member].clone());
        }
        return Err(problem);
    }
    let mut told = json!({
        "success": true, "accepted": answer.accepted, "duplicates": answer.duplicates, "rejected": answer.rejected,
    });
    if set_aside > 0 {
        told["set_aside"] = set_aside.into();
    }
    // A web or app key is public: whoever has it must not learn by an event with somebody's id whether she refused.
    if answer.reduced > 0 && tells {
        told["reduced"] = answer.reduced.into();
    }
    Ok(Json(told).into_response())
}

/// `Sec-GPC: 1` (W3C Global Privacy Control, section 3.1): no other value counts, and one that comes twice counts once.
fn sec_gpc(headers: &HeaderMap) -> bool {
    headers.get_all("sec-gpc").iter().any(|value| value.as_bytes() == b"1")
}

fn count_and_refuse(rejected: &Rejected) -> Problem {
    Problem::bad_request(rejected.message.clone()).with("field", rejected.field.clone()).with("rule", rejected.rule)
}

/// What was stored of a request.
pub(crate) struct Answer {
    /// Understood and new, whole or reduced.
    pub(crate) accepted: usize,
    pub(crate) duplicates: usize,
    /// Of them, not stored as they came.
    pub(crate) reduced: usize,
    pub(crate) rejected: Vec<Value>,
}

/// Commits what was decoded: events and, in the same durable step, what was not understood and what is set aside. What consent lets
/// in is decided here, before anything is stored.
pub(crate) async fn submit(app: &App, source: &Arc<str>, decoded: Decoded, aside: Vec<Rejected>) -> Result<Answer, Problem> {
    let collected = decoded.collected.len();
    let Admitted { mut drafts, rejected: not_understood, aside } = admit(app, source, decoded, aside).await?;
    let wait_processed = drafts.iter().any(Draft::carries_choice);
    let mut rejected = Vec::with_capacity(not_understood.len());
    for (mut one, may_be_kept) in not_understood {
        metrics::counter!("jumelle_rejected_events_total", "rule" => one.rule).increment(1);
        let mut told = json!({"index": one.index, "field": one.field, "rule": one.rule, "message": one.message});
        if may_be_kept {
            let id = quarantine_id(&one);
            told["quarantine"] = format!("q_{id:016x}").into();
            truncate(&mut one.body, QUARANTINED_BYTES_MAX);
            drafts.push(Draft::Quarantined { id, source: source.clone(), rejected: one });
        }
        rejected.push(told);
    }
    drafts.extend(aside.into_iter().map(|one| Draft::Quarantined {
        id: quarantine_id(&one),
        source: source.clone(),
        rejected: one,
    }));
    let span = tracing::trace_span!(target: "jumelle::trace", "commit", entries = drafts.len() as i64, waits_for_the_fold = wait_processed);
    let receipt = app.engine.intake().submit(drafts, wait_processed).instrument(span).await.inspect_err(|error| {
        if *error == SubmitError::Overloaded {
            metrics::counter!("jumelle_overloaded_total", "what" => "intake").increment(1);
        }
    })?;
    Ok(Answer { accepted: collected - receipt.duplicates, duplicates: receipt.duplicates, reduced: receipt.reduced, rejected })
}

/// What consent lets in of a request.
pub(crate) struct Admitted {
    /// The events, whole or reduced.
    pub(crate) drafts: Vec<Draft>,
    /// What was not understood, and whether it may be kept as it came.
    pub(crate) rejected: Vec<(Rejected, bool)>,
    /// What is set aside and may be kept.
    pub(crate) aside: Vec<Rejected>,
}

/// Passes a request by the door of its source. Where nothing is reduced, everything goes through.
pub(crate) async fn admit(app: &App, source: &Arc<str>, decoded: Decoded, aside: Vec<Rejected>) -> Result<Admitted, Problem> {
    let (shared, source) = (app.engine.shared().clone(), source.clone());
    if shared.door(&source).is_none() {
        return Ok(Admitted {
            drafts: decoded.collected.into_iter().map(|event| Draft::Event { source: source.clone(), event }).collect(),
            rejected: decoded.rejected.into_iter().map(|one| (one, true)).collect(),
            aside,
        });
    }
    // Whoever an event names may have to be read from disk.
    let admitted = tokio::task::spawn_blocking(move || -> jumelle_store::Result<Option<Admitted>> {
        let Some(mut door) = shared.door(&source) else { return Ok(None) };
        let mut drafts = Vec::with_capacity(decoded.collected.len());
        for event in decoded.collected {
            drafts.push(door.admit(event, &mut make_message_id)?);
        }
        let mut rejected = Vec::with_capacity(decoded.rejected.len());
        for one in decoded.rejected {
            let may_be_kept = door.may_keep(&one)?;
            rejected.push((one, may_be_kept));
        }
        let mut kept = Vec::with_capacity(aside.len());
        for one in aside {
            if door.may_keep(&one)? {
                kept.push(one);
            }
        }
        Ok(Some(Admitted { drafts, rejected, aside: kept }))
    });
    match admitted.await {
        Ok(Ok(Some(admitted))) => Ok(admitted),
        Ok(Err(error)) => Err(error.into()),
        // Its rules went while it waited, or the thread is gone with the server: it is sent again, and judged anew.
        Ok(Ok(None)) | Err(_) => Err(SubmitError::Overloaded.into()),
    }
}

/// The same content rejected for the same reason is the same item, however often it is sent again.
fn quarantine_id(rejected: &Rejected) -> u64 {
    xxhash_rust::xxh3::xxh3_64(format!("{}\0{}\0{}", rejected.field, rejected.rule, rejected.body).as_bytes())
}

fn truncate(text: &mut String, bytes: usize) {
    if text.len() > bytes {
        let mut end = bytes;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
}

/// An id for an event that came without one.
pub(crate) fn make_message_id() -> String {
    format!("made-{:032x}", rand::random::<u128>())
}

impl App {
    /// Bounds of collection with the purposes that are declared now.
    pub(crate) fn collect_limits(&self) -> Limits {
        let definitions = self.engine.shared().definitions();
        Limits {
            event_bytes: self.limits.event_bytes,
            signals: definitions.workspace.signals_read(),
            purposes: definitions.workspace.purposes.iter().map(|purpose| purpose.key.clone()).collect(),
            channels: definitions.workspace.channels(),
            ..Limits::default()
        }
    }
}
