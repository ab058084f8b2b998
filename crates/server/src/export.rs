//! Everything out again, as JSON lines.

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use jumelle_model::ids::{Position, ProfileId};
use jumelle_profile::profile_json;
use jumelle_store::Table;
use serde::Deserialize;
use tokio::sync::mpsc;

use crate::{App, Problem};

/// Lines sent together.
const CHUNK_BYTES: usize = 64 * 1024;
/// Chunks made ahead of the client.
const CHUNKS_AHEAD_MAX: usize = 8;

/// `?segment=KEY&from=POSITION`
#[derive(Deserialize)]
pub struct ExportQuery {
    segment: Option<String>,
    from: Option<u64>,
}

/// `GET /v1/export/{events,profiles}`: a stream that follows the client's pace.
pub async fn export(
    State(app): State<App>,
    Path(what): Path<String>,
    Query(query): Query<ExportQuery>,
) -> Result<Response, Problem> {
    if let Some(key) = &query.segment
        && app.engine.shared().definitions().workspace.segment(key).is_none()
    {
        return Err(Problem::not_found(format!("there is no segment {key:?}")));
    }
    let (sender, receiver) = mpsc::channel::<Result<Bytes, std::io::Error>>(CHUNKS_AHEAD_MAX);
    let mut lines = Lines { sender, chunk: Vec::with_capacity(CHUNK_BYTES + 4096) };
    match what.as_str() {
        "events" => tokio::task::spawn_blocking(move || {
            let from = Position(query.from.unwrap_or(0));
            let outcome = app.engine.shared().each_event(from, |row| lines.push(&row.json));
            lines.end(outcome);
        }),
        "profiles" => tokio::task::spawn_blocking(move || {
            let outcome = people(&app, query.segment.as_deref(), &mut lines);
            lines.end(outcome);
        }),
        other => return Err(Problem::not_found(format!("{other:?} is not one of events, profiles"))),
    };
    let stream =
        futures_util::stream::unfold(
            receiver,
            |mut receiver| async move { receiver.recv().await.map(|chunk| (chunk, receiver)) },
        );
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(stream)).into_response())
}

fn people(app: &App, segment: Option<&str>, lines: &mut Lines) -> jumelle_store::Result<()> {
    let shared = app.engine.shared();
    let definitions = shared.definitions();
    let now = shared.now();
    let mut put = |id: ProfileId| -> jumelle_store::Result<bool> {
        Ok(match shared.people.get(id)? {
            Some(person) => lines.push(&profile_json(&definitions.workspace, &definitions.plan, &person, now)),
            None => true,
        })
    };
    if let Some(segment) = segment {
        let mut cursor = None;
        loop {
            let page = shared.members(segment, cursor.as_deref(), jumelle_engine::PAGE_MAX)?;
            for (id, _) in page.items {
                if !put(id)? {
                    return Ok(());
                }
            }
            match page.next {
                Some(next) => cursor = Some(next),
                None => return Ok(()),
            }
        }
    }
    // People who have arrived within the last second are in memory only; they are exported with the next call.
    let mut after: Option<Vec<u8>> = None;
    loop {
        let rows = shared.behind.scan(Table::People, &[], after.as_deref(), jumelle_engine::PAGE_MAX)?;
        let Some((last, _)) = rows.last() else { return Ok(()) };
        after = Some(last.clone());
        for (key, _) in rows {
            if !put(ProfileId(u128::from_be_bytes(key.try_into().unwrap_or_default())))? {
                return Ok(());
            }
        }
    }
}

struct Lines {
    sender: mpsc::Sender<Result<Bytes, std::io::Error>>,
    chunk: Vec<u8>,
}

impl Lines {
    /// `false`: the client has gone.
    fn push(&mut self, value: &serde_json::Value) -> bool {
        self.chunk.extend_from_slice(value.to_string().as_bytes());
        self.chunk.push(b'\n');
        self.chunk.len() < CHUNK_BYTES || self.flush()
    }

    fn flush(&mut self) -> bool {
        self.sender.blocking_send(Ok(std::mem::take(&mut self.chunk).into())).is_ok()
    }

    fn end(mut self, outcome: jumelle_store::Result<()>) {
        match outcome {
            Ok(()) => {
                self.flush();
            }
            // A broken stream, so that nobody takes half an export for a whole one.
            Err(error) => drop(self.sender.blocking_send(Err(std::io::Error::other(error.to_string())))),
        }
    }
}
