//! `POST /v1/inbound/{destination}`: what a tool reports back. No token of ours: each format proves itself in its own way.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use jumelle_activate::resolve_secret;
use jumelle_collect::inbound::{Reports, form, read};
use jumelle_collect::{Rejected, decode_batch};
use jumelle_model::time::Timestamp;
use jumelle_model::workspace::take_back::{Inbound, InboundFormat};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::collect::{make_message_id, submit};
use crate::{App, Problem};

/// A signed message is as old as this, at most (Standard Webhooks: the receiver's choice; its libraries take five minutes).
const AGE_S_MAX: i64 = 300;
/// Where events of tools come from.
const SOURCE: &str = "inbound";
/// Entries of one event.
const ENTRIES_OF_EVENT: usize = 50;

/// Each report is an event of the history; the answer comes when the gate knows of it.
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
    let reports =
        read(inbound.format, &body).map_err(|error| Problem::bad_request(error.message.clone()).with("field", error.field))?;
    // Its own id, else the whole body: a second STOP after a grant is another event, the same one delivered again is not.
    let id = headers.get("webhook-id").and_then(|value| value.to_str().ok()).map_or_else(|| hex(&body), str::to_owned);
    record(&app, &key, reports, &id).await
}

fn refused() -> Problem {
    metrics::counter!("jumelle_unauthorized_total", "what" => "inbound").increment(1);
    Problem::unauthorized("this is no tool that may report here, or its signature does not fit; see inbound of its destination")
}

fn prove(destination: &str, inbound: &Inbound, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Result<(), Problem> {
    let secret = resolve_secret(&inbound.secret, destination)
        .map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the secret cannot be read", error.to_string()))?;
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let proved = match inbound.format {
        InboundFormat::Standard => {
            let (id, at) = (text("webhook-id"), text("webhook-timestamp"));
            let now_s = Timestamp::now().0 / 1_000_000;
            let fresh = at.parse::<i64>().is_ok_and(|at| (now_s - at).abs() <= AGE_S_MAX);
            let signed = [format!("{id}.{at}.").as_bytes(), body].concat();
            let mut signatures = text("webhook-signature").split(' ').filter_map(|one| one.strip_prefix("v1,"));
            fresh && !id.is_empty() && signatures.any(|signature| hmac_sha256_fits(&secret, &signed, signature))
        }
        InboundFormat::Brevo | InboundFormat::Mailjet | InboundFormat::Arf => shared_secret_fits(headers, &secret),
        InboundFormat::Twilio => {
            let forwarded = text("x-forwarded-proto");
            let path = uri.path_and_query().map_or("", |path| path.as_str());
            let mut fields = form(body);
            fields.sort();
            let fields: String = fields.into_iter().flat_map(|(name, value)| [name, value]).collect();
            // Whatever a caller says of host and scheme: without the token no signature fits.
            let schemes: &[&str] = if forwarded.is_empty() { &["https", "http"] } else { &[forwarded] };
            let host = text(header::HOST.as_str());
            schemes.iter().any(|scheme| {
                hmac_sha1_fits(&secret, format!("{scheme}://{host}{path}{fields}").as_bytes(), text("x-twilio-signature"))
            })
        }
    };
    if proved { Ok(()) } else { Err(refused()) }
}

fn hmac_sha256_fits(secret: &[u8], signed: &[u8], signature: &str) -> bool {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else { return false };
    mac.update(signed);
    STANDARD.decode(signature).is_ok_and(|signature| mac.verify_slice(&signature).is_ok())
}

fn hmac_sha1_fits(secret: &[u8], signed: &[u8], signature: &str) -> bool {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    STANDARD.decode(signature).is_ok_and(|signature| ring::hmac::verify(&key, signed, &signature).is_ok())
}

/// As a bearer token, or as the password of Basic authentication. Compared as hashes, so that time tells nothing.
fn shared_secret_fits(headers: &HeaderMap, secret: &[u8]) -> bool {
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let given = match authorization.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim().as_bytes().to_vec(),
        Some((scheme, encoded)) if scheme.eq_ignore_ascii_case("basic") => {
            let decoded = STANDARD.decode(encoded.trim()).unwrap_or_default();
            let colon = decoded.iter().position(|byte| *byte == b':').map_or(decoded.len(), |at| at + 1);
            decoded[colon..].to_vec()
        }
        _ => return false,
    };
    Sha256::digest(given) == Sha256::digest(secret)
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn record(app: &App, tool: &str, reports: Reports, id: &str) -> Result<Json<Value>, Problem> {
    let Reports { reports, ignored } = reports;
    let (mut entries, mut unusable) = (Vec::new(), 0);
    let definitions = app.engine.shared().definitions();
    for report in &reports {
        let (namespace, value) = &report.address;
        match jumelle_identify::identifier_of(&definitions.workspace, namespace, value) {
            Ok(_) => entries.push((report.address.clone(), report.entries(tool))),
            Err(_) => unusable += 1,
        }
        metrics::counter!("jumelle_inbound_total", "destination" => tool.to_owned()).increment(1);
    }
    let count = entries.len();
    if count > 0 {
        record_entries(app, SOURCE, &format!("Reported by {tool}"), id, entries).await?;
    }
    Ok(Json(json!({"recorded": count, "ignored": ignored, "unusable": unusable})))
}

type AboutAddress = ((&'static str, String), Vec<Value>);

/// One event for each address, in one durable step. The same report again is the same event.
pub(crate) async fn record_entries(
    app: &App,
    source: &str,
    name: &str,
    id: &str,
    entries: Vec<AboutAddress>,
) -> Result<(usize, usize), Problem> {
    let batch: Vec<Value> = entries
        .into_iter()
        .map(|((namespace, value), consents)| {
            let said = format!("{source}\0{name}\0{}\0{namespace}\0{value}\0{}", id, json!(consents));
            let digest = hex(said.as_bytes());
            json!({
                "type": "track", "event": name, "messageId": format!("{source}-{digest}"),
                "context": {
                    "externalIds": [{"type": namespace, "id": value, "collection": "users", "encoding": "none"}],
                    "consents": consents,
                },
            })
        })
        .collect();
    let (mut accepted, mut duplicates) = (0, 0);
    for part in batch.chunks(ENTRIES_OF_EVENT * 20) {
        let body = json!({"batch": part}).to_string();
        let limits = jumelle_collect::Limits { batch_events: part.len().max(1), ..app.collect_limits() };
        let decoded = decode_batch(&body, &limits, Timestamp::now(), &mut make_message_id)
            .map_err(|rejected: Rejected| Problem::bad_request(rejected.message))?;
        let answer = submit(app, &Arc::from(source), decoded, Vec::new()).await?;
        accepted += answer.accepted;
        duplicates += answer.duplicates;
    }
    Ok((accepted, duplicates))
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
    let (recorded, known) = record_entries(&app, SOURCE, "Opposition list", &id, entries).await?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_secret_is_a_bearer_token_or_a_password() {
        let with = |value: &str| HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]);
        assert!(shared_secret_fits(&with("Bearer a-long-enough-secret"), b"a-long-enough-secret"));
        assert!(shared_secret_fits(
            &with(&format!("Basic {}", STANDARD.encode("x:a-long-enough-secret"))),
            b"a-long-enough-secret"
        ));
        for wrong in ["Bearer a-long-enough-secreT", "Bearer", "Basic !", "a-long-enough-secret"] {
            assert!(!shared_secret_fits(&with(wrong), b"a-long-enough-secret"), "{wrong}");
        }
        assert!(!shared_secret_fits(&HeaderMap::new(), b""));
    }
}
