//! What was not understood: look, fix, try again.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use jumelle_collect::{Decoded, decode_batch, decode_single};
use jumelle_engine::{Draft, PAGE_MAX, Page};
use jumelle_model::time::Timestamp;
use jumelle_model::workspace::{Heard, Source};
use jumelle_store::QuarantineEnd;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::collect::{admit, make_message_id};
use crate::{App, Problem};

/// Bytes that are tried again in one call, about.
const RETRIED_BYTES_MAX: usize = 8 << 20;

/// Which items.
#[derive(Deserialize)]
pub struct QuarantineQuery {
    /// Items of a page, 1 to 1,000. Default 100.
    limit: Option<usize>,
    /// Where the last page ended.
    cursor: Option<String>,
    /// Key of a source.
    source: Option<String>,
    /// Name of a rule.
    rule: Option<String>,
}

impl QuarantineQuery {
    fn page(&self, app: &App) -> Result<Page<Value>, Problem> {
        let limit = self.limit.unwrap_or(100).clamp(1, PAGE_MAX);
        Ok(app.engine.shared().quarantine(self.source.as_deref(), self.rule.as_deref(), self.cursor.as_deref(), limit)?)
    }
}

/// `GET /v1/quarantine`
pub async fn list(State(app): State<App>, Query(asked): Query<QuarantineQuery>) -> Result<Json<Value>, Problem> {
    let page = asked.page(&app)?;
    Ok(Json(json!({"items": page.items, "next": page.next})))
}

/// `POST /v1/quarantine/retry?rule=&source=&limit=`: a page of items of a rule as they are, those that are understood now and those
/// that were set aside. Call again with `next` until it is null.
pub async fn retry_all(State(app): State<App>, Query(asked): Query<QuarantineQuery>) -> Result<Json<Value>, Problem> {
    if asked.rule.is_none() {
        return Err(Problem::bad_request("say which: ?rule=set_aside_rate").with("field", "rule"));
    }
    let page = asked.page(&app)?;
    let limits = app.collect_limits();
    let now = Timestamp::now();
    let (mut accepted, mut rejected, mut bytes) = (0, 0, 0);
    let mut drafts = Vec::new();
    let mut pending = page.items.into_iter().peekable();
    while let Some(item) = pending.next() {
        let text = item["body"].as_str().unwrap_or_default();
        let decoded =
            decode_single(text, None, &limits, now, &mut make_message_id).ok().map(|decoded| heard(&app, &item, decoded));
        let decoded = decoded.filter(|decoded| decoded.rejected.is_empty());
        let number = item["id"].as_str().and_then(|id| u64::from_str_radix(id.strip_prefix("q_")?, 16).ok());
        match (decoded, number) {
            (Some(decoded), Some(number)) => {
                let source: Arc<str> = item["source"].as_str().unwrap_or_default().into();
                accepted += decoded.collected.len();
                bytes += text.len();
                drafts.extend(admit(&app, &source, decoded, Vec::new()).await?.drafts);
                drafts.push(Draft::Settled(number, QuarantineEnd::Replayed));
            }
            _ => rejected += 1,
        }
        if !drafts.is_empty() && (bytes >= RETRIED_BYTES_MAX || pending.peek().is_none()) {
            app.engine.intake().submit(std::mem::take(&mut drafts), true).await?;
            bytes = 0;
        }
    }
    Ok(Json(json!({"success": true, "accepted": accepted, "rejected": rejected, "next": page.next})))
}

/// What its source may say; one that is no more, as much as a public key.
fn heard(app: &App, item: &Value, mut decoded: Decoded) -> Decoded {
    let definitions = app.engine.shared().definitions();
    let key = item["source"].as_str().unwrap_or_default();
    let heard = definitions.workspace.source(key).map_or(Heard::Choices, Source::hears);
    decoded.hear(key, heard);
    decoded
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
    let decoded = heard(&app, &item, decoded);
    if let Some(rejected) = decoded.rejected.first() {
        return Err(Problem::bad_request(rejected.message.clone())
            .with("field", rejected.field.clone())
            .with("rule", rejected.rule));
    }
    let count = decoded.collected.len();
    let mut drafts = admit(&app, &source, decoded, Vec::new()).await?.drafts;
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
