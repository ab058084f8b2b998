//! What was not understood: look, fix, try again.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use jumelle_collect::{Collected, decode_batch, decode_single};
use jumelle_engine::Draft;
use jumelle_model::time::Timestamp;
use jumelle_store::QuarantineEnd;
use serde_json::{Value, json};

use crate::collect::make_message_id;
use crate::profiles::ListQuery;
use crate::{App, Problem};

/// `GET /v1/quarantine`
pub async fn list(State(app): State<App>, Query(list): Query<ListQuery>) -> Result<Json<Value>, Problem> {
    let page = app.engine.shared().quarantine(list.cursor.as_deref(), list.limit())?;
    Ok(Json(json!({"items": page.items, "next": page.next})))
}

fn find(app: &App, id: &str) -> Result<(u64, Value), Problem> {
    app.engine.shared().quarantined(id)?.ok_or_else(|| Problem::not_found(format!("there is no quarantined item {id:?}")))
}

/// `GET /v1/quarantine/{id}`
pub async fn one(State(app): State<App>, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    find(&app, &id).map(|(_, item)| Json(item))
}

/// `POST /v1/quarantine/{id}/retry`, with the corrected JSON as body, or none to try the same again.
pub async fn retry(State(app): State<App>, Path(id): Path<String>, body: String) -> Result<Json<Value>, Problem> {
    let (number, item) = find(&app, &id)?;
    let source: Arc<str> = item["source"].as_str().unwrap_or_default().into();
    let text = if body.trim().is_empty() { item["body"].as_str().unwrap_or_default().to_owned() } else { body };
    let limits = app.collect_limits();
    let now = Timestamp::now();
    let is_batch = serde_json::from_str::<Value>(&text).is_ok_and(|value| value.get("batch").is_some());
    let decoded = match is_batch {
        true => decode_batch(&text, &limits, now, &mut make_message_id),
        false => decode_single(&text, None, &limits, now, &mut make_message_id),
    }
    .map_err(|rejected| Problem::bad_request(rejected.message).with("field", rejected.field).with("rule", rejected.rule))?;
    if let Some(rejected) = decoded.rejected.first() {
        return Err(Problem::bad_request(rejected.message.clone())
            .with("field", rejected.field.clone())
            .with("rule", rejected.rule));
    }
    let events: Vec<Collected> = decoded.collected;
    let count = events.len();
    let mut drafts: Vec<Draft> = events.into_iter().map(|event| Draft::Event { source: source.clone(), event }).collect();
    drafts.push(Draft::Settled(number, QuarantineEnd::Replayed));
    app.engine.intake().submit(drafts, true).await?;
    Ok(Json(json!({"success": true, "accepted": count})))
}

/// `DELETE /v1/quarantine/{id}`
pub async fn delete(State(app): State<App>, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    let (number, _) = find(&app, &id)?;
    app.engine.intake().submit(vec![Draft::Settled(number, QuarantineEnd::Deleted)], true).await?;
    Ok(Json(json!({"deleted": id})))
}
