//! Files, as `jumelle import` sends them: batches of events of a file source, with how far the import has come.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use jumelle_collect::decode_batch;
use jumelle_engine::Draft;
use jumelle_model::time::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::collect::{Admitted, admit, make_message_id};
use crate::{App, Problem};

/// Bytes of one event of a file.
const IMPORTED_EVENT_BYTES_MAX: usize = 1 << 20;

/// `?import=ID&events=N&done=BOOL`
#[derive(Deserialize)]
pub struct RowsQuery {
    import: String,
    events: u64,
    #[serde(default)]
    done: bool,
}

/// `POST /v1/imports/{source}`: a batch as for collection. What is not understood goes to quarantine.
pub async fn rows(
    State(app): State<App>,
    Path(source): Path<String>,
    Query(query): Query<RowsQuery>,
    body: String,
) -> Result<Json<Value>, Problem> {
    let source = known(&app, &source)?;
    // An order of a thousand lines is one event: files may hold larger events than browsers send.
    let limits = jumelle_collect::Limits { event_bytes: IMPORTED_EVENT_BYTES_MAX, ..app.collect_limits() };
    let mut decoded = decode_batch(&body, &limits, Timestamp::now(), &mut make_message_id)
        .map_err(|rejected| Problem::bad_request(rejected.message).with("rule", rejected.rule))?;
    // Whoever imports has a token; what the definition says of the source holds all the same.
    let definitions = app.engine.shared().definitions();
    if let Some(heard) = definitions.workspace.source(&source).and_then(|definition| definition.consents) {
        decoded.hear(&source, heard);
    }
    let count = decoded.collected.len();
    let rejected = json!(decoded.rejected);
    let Admitted { mut drafts, rejected: not_understood, .. } = admit(&app, &source, decoded, Vec::new()).await?;
    // What this part of the file refuses must be known when the next one comes.
    let wait_processed = query.done || drafts.iter().any(|draft| matches!(draft, Draft::Reduced(_)));
    for (one, _) in not_understood.into_iter().filter(|(_, may_be_kept)| *may_be_kept) {
        metrics::counter!("jumelle_rejected_events_total", "rule" => one.rule).increment(1);
        let id = xxhash_rust::xxh3::xxh3_64(format!("{}\0{}\0{}", one.field, one.rule, one.body).as_bytes());
        drafts.push(Draft::Quarantined { id, source: source.clone(), rejected: one });
    }
    drafts.push(Draft::Import { id: query.import, events: query.events, done: query.done });
    let receipt = app.engine.intake().submit(drafts, wait_processed).await?;
    let mut told = json!({"accepted": count - receipt.duplicates, "duplicates": receipt.duplicates, "rejected": rejected});
    if receipt.reduced > 0 {
        told["reduced"] = receipt.reduced.into();
    }
    Ok(Json(told))
}

/// `GET /v1/imports/{source}/{id}`: how far it has come.
pub async fn progress(State(app): State<App>, Path((source, id)): Path<(String, String)>) -> Result<Json<Value>, Problem> {
    known(&app, &source)?;
    let progress = app.engine.shared().import(&id)?;
    Ok(Json(progress.unwrap_or_else(|| json!({"events": 0, "done": false}))))
}

fn known(app: &App, source: &str) -> Result<Arc<str>, Problem> {
    let definitions = app.engine.shared().definitions();
    match definitions.workspace.source(source) {
        Some(source) => Ok(source.key.as_str().into()),
        None => {
            let keys: Vec<&str> = definitions.workspace.sources.iter().map(|source| source.key.as_str()).collect();
            Err(Problem::not_found(format!("there is no source {source:?}; there are {}", keys.join(", "))))
        }
    }
}
