//! `POST /v1/inbound/{destination}`: what a tool reports back. No token of ours: each format proves itself in its own way (`prove.rs`).

mod prove;

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri};
use jumelle_collect::inbound::{Report, Reports, read};
use jumelle_collect::{Rejected, decode_batch};
use jumelle_engine::About;
use jumelle_model::outcome::REPORTED;
use jumelle_model::time::Timestamp;
use jumelle_model::workspace::take_back::InboundFormat;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use self::prove::{prove, refused};
use crate::collect::{make_message_id, submit};
use crate::{App, Problem};

/// Events of one durable step.
const BATCH_EVENTS: usize = 1_000;
/// Rule of a report that nobody is known by, in the quarantine.
const NOBODY: &str = "reported_of_nobody";

/// Each report is an event of the history; the answer comes when it is there, and where it closes the gate, when the gate knows.
pub async fn receive(
    State(app): State<App>,
    Path(key): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, Problem> {
    let definitions = app.engine.shared().definitions();
    let inbound = definitions.workspace.destination(&key).and_then(|destination| destination.take_back.inbound.clone());
    // The same answer for a tool that is not there and one that may not report.
    let Some(inbound) = inbound else { return Err(refused()) };
    prove(&key, &inbound, &uri, &headers, &body)?;
    let mut reports = read(inbound.format, uri.query().unwrap_or_default(), &body)
        .map_err(|error| Problem::bad_request(error.message.clone()).with("field", error.field))?;
    if inbound.opens.is_none() {
        reports.pass_over_openings();
    }
    // Its own id, else the whole body: a second STOP after a grant is another event, the same one delivered again is not.
    let id = headers.get("webhook-id").and_then(|value| value.to_str().ok()).map_or_else(|| hex(&body), str::to_owned);
    record(&app, &key, reports, &id).await
}

/// `POST /v1/destinations/{key}/results`: results that a tool only exports, in our own shape; a token instead of a signature.
pub async fn take(State(app): State<App>, Path(key): Path<String>, body: Bytes) -> Result<Json<Value>, Problem> {
    let definitions = app.engine.shared().definitions();
    let Some(destination) = definitions.workspace.destination(&key) else {
        return Err(Problem::not_found(format!("there is no destination {key:?}")));
    };
    let mut reports = read(InboundFormat::Standard, "", &body)
        .map_err(|error| Problem::bad_request(error.message.clone()).with("field", error.field))?;
    if destination.take_back.inbound.as_ref().is_none_or(|inbound| inbound.opens.is_none()) {
        reports.pass_over_openings();
    }
    record(&app, &key, reports, &hex(&body)).await
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Takes reports of a tool in: joined with their messages, once each, in one durable step. `id`: of the call.
async fn record(app: &App, tool: &str, reports: Reports, id: &str) -> Result<Json<Value>, Problem> {
    let Reports { reports, ignored } = reports;
    metrics::counter!("jumelle_inbound_total", "destination" => tool.to_owned()).increment(reports.len() as u64);
    let (shared, destination, call) = (app.engine.shared().clone(), tool.to_owned(), id.to_owned());
    // People and their messages may have to be read from disk.
    let joined = tokio::task::spawn_blocking(move || {
        let join = |(index, report): (usize, Report)| {
            let message_id = message_id(&destination, &call, index, &report);
            let address = report.address.as_ref().map(|(namespace, value)| (*namespace, value.as_str()));
            let at = report.at.unwrap_or_else(|| shared.now());
            let about = shared.about(&destination, report.delivery, address, at, &message_id);
            (report, message_id, about)
        };
        reports.into_iter().enumerate().map(join).collect::<Vec<_>>()
    })
    .await
    .map_err(|_| Problem::bad_request("the people could not be read"))?;

    let (mut events, mut of_nobody, mut known, mut unusable) = (Vec::new(), Vec::new(), 0, 0);
    for (report, message_id, about) in joined {
        let Ok(about) = about else {
            unusable += 1;
            continue;
        };
        let About { who, joined, known: is_known } = about?;
        if is_known {
            known += 1;
            continue;
        }
        // What closes an address counts also where nobody has it yet.
        let closes = !report.entries(tool).is_empty();
        let told = report.address.as_ref().filter(|_| closes).map(|(namespace, value)| ((*namespace).to_owned(), value.clone()));
        match told.or(who) {
            Some((namespace, value)) => events.push(report.as_event(tool, &message_id, (&namespace, &value), joined.as_ref())),
            None => of_nobody.push(set_aside(tool, &report)),
        }
    }
    let unknown = of_nobody.len();
    metrics::counter!("jumelle_inbound_unknown_total", "destination" => tool.to_owned()).increment(unknown as u64);
    let taken = record_events(app, REPORTED, events, of_nobody).await?;
    Ok(Json(json!({
        "recorded": taken.accepted, "reduced": taken.reduced, "known": known + taken.known, "ignored": ignored, "unusable": unusable, "unknown": unknown,
    })))
}

/// The same report has the same id: the tool's own of the report, else the one of the call and the place in it.
fn message_id(tool: &str, call: &str, index: usize, report: &Report) -> String {
    let (namespace, value) = report.address.as_ref().map_or(("", ""), |(namespace, value)| (*namespace, value.as_str()));
    let own = report.id.clone().unwrap_or_else(|| format!("{call}\0{index}"));
    let said = [tool, &own, namespace, value, report.event()].join("\0");
    format!("{REPORTED}-{}", hex(said.as_bytes()))
}

/// A report about an address that nobody has: kept without the address, which is none of our business.
fn set_aside(tool: &str, report: &Report) -> Rejected {
    let body = json!({
        "event": report.event(), "destination": tool, "reported": report.called, "at": report.at, "campaign": report.campaign,
        "delivery": report.delivery, "report": report.id.as_deref().map(|id| hex(id.as_bytes())),
    });
    Rejected {
        index: 0,
        field: "address".into(),
        rule: NOBODY,
        message: format!(
            "{tool} reports {:?} of an address that nobody has, about no message of ours; the address is not kept",
            report.event()
        ),
        body: body.to_string(),
    }
}

type AboutAddress = ((&'static str, String), Vec<Value>);

/// One event for each address, in one durable step. The same list again is the same event.
async fn record_entries(app: &App, name: &str, id: &str, entries: Vec<AboutAddress>) -> Result<Taken, Problem> {
    let event = |((namespace, value), consents): AboutAddress| {
        let said = format!("{REPORTED}\0{name}\0{id}\0{namespace}\0{value}\0{}", json!(consents));
        json!({
            "type": "track", "event": name, "messageId": format!("{REPORTED}-{}", hex(said.as_bytes())),
            "context": {
                "externalIds": [{"type": namespace, "id": value, "collection": "users", "encoding": "none"}],
                "consents": consents,
            },
        })
    };
    record_events(app, REPORTED, entries.into_iter().map(event).collect(), Vec::new()).await
}

/// What became of events.
#[derive(Clone, Copy, Default)]
struct Taken {
    /// New ones.
    accepted: usize,
    /// Of them, counted without the person.
    reduced: usize,
    /// Those that were taken before.
    known: usize,
}

/// Takes events in, and puts aside what is of nobody.
async fn record_events(app: &App, source: &str, events: Vec<Value>, mut of_nobody: Vec<Rejected>) -> Result<Taken, Problem> {
    let mut taken = Taken::default();
    let parts = events.chunks(BATCH_EVENTS).map(<[Value]>::to_vec).chain(events.is_empty().then(Vec::new));
    for part in parts {
        let aside = std::mem::take(&mut of_nobody);
        if part.is_empty() && aside.is_empty() {
            continue;
        }
        let body = json!({"batch": part}).to_string();
        let limits = jumelle_collect::Limits { batch_events: part.len().max(1), ..app.collect_limits() };
        let decoded = decode_batch(&body, &limits, Timestamp::now(), &mut make_message_id)
            .map_err(|rejected: Rejected| Problem::bad_request(rejected.message))?;
        let answer = submit(app, &Arc::from(source), decoded, aside).await?;
        taken.accepted += answer.accepted;
        taken.reduced += answer.reduced;
        taken.known += answer.duplicates;
    }
    Ok(taken)
}

/// `{"list": NAME, "channels": ["phone"], "namespace": "phone", "values": […], "sha256": false, "at": INSTANT?}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuppressRequest {
    list: String,
    channels: Vec<jumelle_model::consent::Channel>,
    namespace: String,
    values: Vec<String>,
    #[serde(default)]
    sha256: bool,
    at: Option<Timestamp>,
}

/// Values of one call, at most.
const SUPPRESSED_MAX: usize = 100_000;

/// `POST /v1/oppositions`: an opposition list, plain or hashed.
pub async fn suppress(State(app): State<App>, body: String) -> Result<Json<Value>, Problem> {
    let request: SuppressRequest = serde_json::from_str(&body).map_err(|error| {
        Problem::bad_request(format!(
            "{error}; write {{\"list\": NAME, \"channels\": [\"phone\"], \"namespace\": \"phone\", \"values\": […], \"sha256\": false}}"
        ))
    })?;
    if request.values.len() > SUPPRESSED_MAX {
        return Err(Problem::bad_request(format!("{SUPPRESSED_MAX} values at most in one call")).with("field", "values"));
    }
    let namespace = match request.namespace.as_str() {
        "email" => "email",
        "phone" => "phone",
        other => {
            return Err(Problem::bad_request(format!("{other:?} is not one of email, phone")).with("field", "namespace"));
        }
    };
    if request.channels.is_empty() || request.channels.iter().any(|channel| channel.address_namespace() != Some(namespace)) {
        return Err(Problem::bad_request(format!("the channels are some that reach a {namespace}")).with("field", "channels"));
    }
    let (plain, unmatched) = match request.sha256 {
        false => (request.values, 0),
        true => {
            let (shared, hashes) = (app.engine.shared().clone(), request.values);
            tokio::task::spawn_blocking(move || matching(&shared, namespace, &hashes))
                .await
                .map_err(|_| Problem::bad_request("the people could not be read"))??
        }
    };
    let definitions = app.engine.shared().definitions();
    let (mut entries, mut unusable) = (Vec::new(), 0);
    for value in plain {
        if jumelle_identify::identifier_of(&definitions.workspace, namespace, &value).is_err() {
            unusable += 1;
            continue;
        }
        let consents = request.channels.iter().map(|channel| {
            let mut entry = json!({
                "signal": "opposition", "channel": channel, "for": {namespace: value},
                "proof": {"method": "opposition_list", "list": request.list, "hashed": request.sha256},
            });
            if let Some(at) = request.at {
                entry["at"] = json!(at);
            }
            entry
        });
        let consents = consents.collect();
        entries.push(((namespace, value), consents));
    }
    // A list without a date is as of now, also the same one again.
    let id = format!("{}\0{}", request.list, request.at.unwrap_or_else(Timestamp::now));
    let Taken { accepted: recorded, known, .. } = record_entries(&app, "Opposition list", &id, entries).await?;
    Ok(Json(json!({"recorded": recorded, "known": known, "unmatched": unmatched, "unusable": unusable})))
}

/// Known values with these hashes (SHA-256 of the normalised value, or of its digits without the plus sign, hexadecimal).
fn matching(shared: &jumelle_engine::Shared, namespace: &str, hashes: &[String]) -> jumelle_store::Result<(Vec<String>, usize)> {
    let wanted: std::collections::HashSet<String> = hashes.iter().map(|hash| hash.trim().to_lowercase()).collect();
    let (mut found, mut matched) = (Vec::new(), std::collections::HashSet::new());
    shared.each_person(|person| {
        for identifier in person.known.identifiers_of(namespace) {
            let value = &identifier.value;
            for hash in [hex(value.as_bytes()), hex(value.trim_start_matches('+').as_bytes())] {
                if wanted.contains(&hash) {
                    matched.insert(hash);
                    found.push(value.clone());
                    break;
                }
            }
        }
    })?;
    Ok((found, wanted.len() - matched.len()))
}

/// `GET /.well-known/gpc.json` (W3C Global Privacy Control, section 4): whether the signal means something here.
pub async fn gpc(State(app): State<App>) -> Json<Value> {
    let definitions = app.engine.shared().definitions();
    let date = definitions.at.to_string().split('T').next().unwrap_or_default().to_owned();
    Json(json!({"gpc": definitions.workspace.gpc_purposes().next().is_some(), "lastUpdate": date}))
}
