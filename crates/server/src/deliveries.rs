//! The outbox.

use axum::Json;
use axum::extract::{Path, Query, State};
use jumelle_engine::{Delivery, DeliveryState, Draft};
use jumelle_model::ids::DeliveryId;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{App, Problem};

/// `?destination=&state=&limit=&cursor=`
#[derive(Deserialize)]
pub struct DeliveriesQuery {
    destination: Option<String>,
    state: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// A delivery as the API gives it. `failed`: it waits for its next try.
pub(crate) fn delivery_json(app: &App, delivery: &Delivery) -> Value {
    let message = &delivery.message;
    let attempt = match delivery.state {
        DeliveryState::Queued => app.engine.dispatcher().attempts(message.id),
        _ => None,
    };
    let (state, reason, attempts) = match &attempt {
        Some(attempt) => ("failed", Some(attempt.last_reason.clone()), attempt.attempts),
        None => (delivery.state.as_str(), delivery.reason.clone(), delivery.attempts),
    };
    json!({
        "id": message.id, "activation": message.activation, "segment": message.segment, "destination": message.destination,
        "profile": message.profile, "type": message.kind.as_str(), "purpose": message.purpose, "channel": message.channel,
        "state": state, "reason": reason, "attempts": attempts, "status": delivery.status,
        "caused_at": message.at, "at": delivery.at,
    })
}

/// `GET /v1/deliveries`
pub async fn list(State(app): State<App>, Query(query): Query<DeliveriesQuery>) -> Result<Json<Value>, Problem> {
    let state = match query.state.as_deref() {
        None => None,
        Some("queued" | "failed") => Some(DeliveryState::Queued),
        Some("sent") => Some(DeliveryState::Sent),
        Some("blocked") => Some(DeliveryState::Blocked),
        Some("dead") => Some(DeliveryState::Dead),
        Some(other) => {
            return Err(Problem::bad_request(format!("{other:?} is not one of queued, sent, blocked, failed, dead"))
                .with("field", "state"));
        }
    };
    let limit = query.limit.unwrap_or(100).clamp(1, jumelle_engine::PAGE_MAX);
    let page = app.engine.shared().deliveries(query.destination.as_deref(), state, query.cursor.as_deref(), limit)?;
    let mut items: Vec<Value> = page.items.iter().map(|delivery| delivery_json(&app, delivery)).collect();
    if query.state.as_deref() == Some("failed") {
        items.retain(|item| item["state"] == "failed");
    }
    Ok(Json(json!({"items": items, "next": page.next})))
}

fn parse(id: &str) -> Result<DeliveryId, Problem> {
    id.parse().map_err(|error: String| Problem::bad_request(error).with("field", "id"))
}

/// `GET /v1/deliveries/{id}`
pub async fn one(State(app): State<App>, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    let delivery =
        app.engine.shared().delivery(parse(&id)?)?.ok_or_else(|| Problem::not_found(format!("there is no delivery {id}")))?;
    Ok(Json(delivery_json(&app, &delivery)))
}

/// `POST /v1/deliveries/{id}/retry`: a dead or blocked one is queued again and passes the gate again.
pub async fn retry(State(app): State<App>, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    let number = parse(&id)?;
    let delivery =
        app.engine.shared().delivery(number)?.ok_or_else(|| Problem::not_found(format!("there is no delivery {id}")))?;
    match delivery.state {
        DeliveryState::Dead | DeliveryState::Blocked => {
            app.engine.intake().submit(vec![Draft::Replay(number)], true).await?;
        }
        DeliveryState::Queued => app.engine.dispatcher().retry_now(&delivery.message.destination),
        DeliveryState::Sent => return Err(Problem::bad_request("the destination has taken it; there is nothing to try again")),
    }
    one(State(app), Path(id)).await
}

/// `POST /v1/destinations/{key}/retry`: closes the circuit and tries at once.
pub async fn retry_destination(State(app): State<App>, Path(key): Path<String>) -> Result<Json<Value>, Problem> {
    if app.engine.shared().definitions().workspace.destination(&key).is_none() {
        return Err(Problem::not_found(format!("there is no destination {key:?}")));
    }
    app.engine.dispatcher().retry_now(&key);
    Ok(Json(json!({"destination": key, "retrying": true})))
}
