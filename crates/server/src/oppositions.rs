//! `GET /v1/oppositions`: who must not be contacted, for tools that pull: a table, and a dated manifest of it.

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use jumelle_engine::{Opposed, Oppositions};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use crate::{App, Problem};

/// Lines sent together.
const CHUNK_BYTES: usize = 64 * 1024;
/// Chunks made ahead of the client.
const CHUNKS_AHEAD_MAX: usize = 8;

/// `?purpose=&channel=&format=jsonl|csv&plain=true`
#[derive(Deserialize, Clone)]
pub struct OppositionsQuery {
    purpose: Option<String>,
    channel: Option<String>,
    format: Option<String>,
    plain: Option<String>,
}

/// What a table is asked to hold.
struct Asked {
    oppositions: Oppositions,
    is_csv: bool,
    is_plain: bool,
}

fn asked(app: &App, query: &OppositionsQuery) -> Result<Asked, Problem> {
    let workspace = app.engine.shared().definitions();
    if let Some(purpose) = &query.purpose
        && workspace.workspace.purpose(purpose).is_none()
    {
        return Err(Problem::bad_request(format!("there is no purpose {purpose:?}")).with("field", "purpose"));
    }
    let channel = match query.channel.as_deref() {
        None => None,
        Some(name) => Some(
            workspace
                .workspace
                .channel(name)
                .ok_or_else(|| Problem::bad_request(format!("{name:?} is no channel")).with("field", "channel"))?,
        ),
    };
    let is_csv = match query.format.as_deref() {
        None | Some("jsonl") => false,
        Some("csv") => true,
        Some(other) => return Err(Problem::bad_request(format!("{other:?} is not jsonl or csv")).with("field", "format")),
    };
    let oppositions = Oppositions { purpose: query.purpose.clone(), channel };
    Ok(Asked { oppositions, is_csv, is_plain: query.plain.as_deref() == Some("true") })
}

impl Asked {
    fn head(&self) -> &'static str {
        match self.is_csv {
            true => "namespace,value,sha256,purpose,channel,since,code\n",
            false => "",
        }
    }

    fn line(&self, one: &Opposed) -> String {
        let sha256: String = Sha256::digest(one.value.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        // Hashed by default: whoever already has the address finds it, nobody learns one.
        let value = if self.is_plain { one.value.as_str() } else { "" };
        let since = one.since.map(|since| since.to_string()).unwrap_or_default();
        if self.is_csv {
            let cell = |text: &str| match text.contains([',', '"', '\n', '\r']) {
                true => format!("\"{}\"", text.replace('"', "\"\"")),
                false => text.to_owned(),
            };
            let (namespace, purpose, channel) = (&one.namespace, &one.purpose, one.channel.as_str());
            return format!("{},{},{sha256},{},{channel},{since},{}\n", cell(namespace), cell(value), cell(purpose), one.code);
        }
        let line = json!({
            "namespace": one.namespace, "value": self.is_plain.then_some(value), "sha256": sha256, "purpose": one.purpose,
            "channel": one.channel, "since": one.since, "code": one.code,
        });
        format!("{line}\n")
    }
}

/// `GET /v1/oppositions`
pub async fn table(State(app): State<App>, Query(query): Query<OppositionsQuery>) -> Result<Response, Problem> {
    let asked = asked(&app, &query)?;
    let kind = if asked.is_csv { "text/csv; charset=utf-8" } else { "application/x-ndjson" };
    let (sender, receiver) = mpsc::channel::<Result<Bytes, std::io::Error>>(CHUNKS_AHEAD_MAX);
    tokio::task::spawn_blocking(move || {
        let mut chunk = asked.head().to_owned();
        let mut gone = false;
        let outcome = app.engine.shared().oppositions(&asked.oppositions, |one| {
            chunk.push_str(&asked.line(one));
            if chunk.len() >= CHUNK_BYTES && !gone {
                gone = sender.blocking_send(Ok(std::mem::take(&mut chunk).into())).is_err();
            }
        });
        // A broken stream, so that nobody takes half a table for a whole one.
        let last = outcome.map(|()| chunk.into()).map_err(|error| std::io::Error::other(error.to_string()));
        drop(sender.blocking_send(last));
    });
    let stream =
        futures_util::stream::unfold(
            receiver,
            |mut receiver| async move { receiver.recv().await.map(|chunk| (chunk, receiver)) },
        );
    Ok(([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-store")], Body::from_stream(stream)).into_response())
}

/// `GET /v1/oppositions/manifest`: the table's date, place in the history, number of rows and SHA-256.
pub async fn manifest(State(app): State<App>, Query(query): Query<OppositionsQuery>) -> Result<Json<Value>, Problem> {
    let asked = asked(&app, &query)?;
    let made = tokio::task::spawn_blocking(move || -> Result<Value, Problem> {
        let shared = app.engine.shared();
        let (at, position) = (shared.now(), shared.position());
        let (mut rows, mut bytes, mut digest) = (0u64, asked.head().len(), Sha256::new());
        digest.update(asked.head());
        shared.oppositions(&asked.oppositions, |one| {
            let line = asked.line(one);
            rows += 1;
            bytes += line.len();
            digest.update(line);
        })?;
        let sha256: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(json!({
            "at": at, "position": position, "rows": rows, "bytes": bytes, "sha256": sha256,
            "format": if asked.is_csv { "csv" } else { "jsonl" }, "plain": asked.is_plain,
            "purpose": asked.oppositions.purpose, "channel": asked.oppositions.channel,
        }))
    });
    made.await.map_err(|_| Problem::bad_request("the people could not be read"))?.map(Json)
}
