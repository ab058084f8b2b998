//! The outbox.

use axum::Json;
use axum::extract::{Path, Query, State};
use jumelle_engine::{DeliveriesAsked, Delivery, DeliveryState, Draft};
use jumelle_model::ids::DeliveryId;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::definitions::veil;
use crate::roles::Role;
use crate::{App, Problem};

/// `?destination=&state=&limit=&cursor=`
#[derive(Deserialize)]
pub struct DeliveriesQuery {
    destination: Option<String>,
    state: Option<String>,
    activation: Option<String>,
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
    let (reason, gate) = jumelle_engine::told(reason);
    json!({
        "id": message.id, "activation": message.activation, "segment": message.segment, "destination": message.destination,
        "profile": message.profile, "type": message.kind.as_str(), "purpose": message.purpose, "channel": message.channel,
        "state": state, "reason": reason, "gate": gate, "attempts": attempts, "status": delivery.status,
        "caused_at": message.at, "at": delivery.at,
    })
}

/// `GET /v1/deliveries`
pub async fn list(State(app): State<App>, Query(query): Query<DeliveriesQuery>) -> Result<Json<Value>, Problem> {
    use DeliveryState::{Blocked, Dead, Queued, Sent};
    let states = match query.state.as_deref() {
        None => vec![Queued, Sent, Blocked, Dead],
        Some("queued" | "failed") => vec![Queued],
        Some("sent") => vec![Sent],
        Some("blocked") => vec![Blocked],
        Some("dead") => vec![Dead],
        Some(other) => {
            return Err(Problem::bad_request(format!("{other:?} is not one of queued, sent, blocked, failed, dead"))
                .with("field", "state"));
        }
    };
    let limit = query.limit.unwrap_or(100).clamp(1, jumelle_engine::PAGE_MAX);
    let definitions = app.engine.shared().definitions();
    let destinations = match &query.destination {
        Some(destination) => vec![destination.as_str()],
        None => definitions.workspace.destinations.iter().map(|destination| destination.key.as_str()).collect(),
    };
    let asked = DeliveriesAsked { destinations, states, activation: query.activation.as_deref() };
    let page = app.engine.shared().deliveries(&asked, query.cursor.as_deref(), limit)?;
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

/// Deliveries replayed by one call at most.
const REPLAYED_MAX: usize = 10_000;

/// `{"state": "dead" | "blocked"}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayRequest {
    state: String,
}

/// `POST /v1/destinations/{key}/replay`: everything dead (or blocked) is queued again and passes the gate again.
pub async fn replay(
    State(app): State<App>,
    Path(key): Path<String>,
    Json(request): Json<ReplayRequest>,
) -> Result<Json<Value>, Problem> {
    let shared = app.engine.shared();
    if shared.definitions().workspace.destination(&key).is_none() {
        return Err(Problem::not_found(format!("there is no destination {key:?}")));
    }
    let state = match request.state.as_str() {
        "dead" => DeliveryState::Dead,
        "blocked" => DeliveryState::Blocked,
        other => return Err(Problem::bad_request(format!("{other:?} is not dead or blocked")).with("field", "state")),
    };
    let asked = DeliveriesAsked { destinations: vec![&key], states: vec![state], activation: None };
    let mut cursor = None;
    let mut drafts = Vec::new();
    loop {
        let page = shared.deliveries(&asked, cursor.as_deref(), jumelle_engine::PAGE_MAX)?;
        drafts.extend(page.items.iter().map(|delivery| Draft::Replay(delivery.message.id)));
        cursor = page.next;
        if cursor.is_none() || drafts.len() >= REPLAYED_MAX {
            break;
        }
    }
    // The newest come first from the table; they leave in the order in which they were caused.
    drafts.truncate(REPLAYED_MAX);
    drafts.reverse();
    let replayed = drafts.len();
    if replayed > 0 {
        app.engine.intake().submit(drafts, true).await?;
    }
    Ok(Json(json!({"replayed": replayed, "more": cursor.is_some()})))
}

/// A destination with what goes through it; `minutes`: the last hour.
pub(crate) fn destination_json(app: &App, key: &str, hour: &[jumelle_engine::Minute], role: Role) -> Option<Value> {
    let shared = app.engine.shared();
    let definitions = shared.definitions();
    let mut definition = definitions.workspace.definition_json("destinations", key)?;
    veil(role, "destinations", &mut definition);
    let mut status = app.engine.dispatcher().status().into_iter().find(|status| status.key == key);
    // What a tool said may repeat what it was sent.
    let sees_errors = matches!(role, Role::Admin | Role::Marketer);
    if let Some(status) = status.as_mut().filter(|_| !sees_errors) {
        status.last_error = None;
    }
    let last_error = status.as_ref().and_then(|status| status.last_error.clone());
    let outcomes = |minute: &jumelle_engine::Minute| minute.deliveries.get(key).copied().unwrap_or_default();
    let sum = |of: fn(&jumelle_engine::Outcomes) -> u64| hour.iter().map(|minute| of(&outcomes(minute))).sum::<u64>();
    let minutes: Vec<Value> = hour
        .iter()
        .map(|minute| {
            let outcomes = outcomes(minute);
            json!({"at": minute.at, "sent": outcomes.sent, "failed": outcomes.failed, "blocked": outcomes.blocked})
        })
        .collect();
    let activations: Vec<&str> = definitions
        .workspace
        .activations
        .iter()
        .filter(|activation| activation.destination == key)
        .map(|activation| activation.key.as_str())
        .collect();
    // A table that cannot be read is the health page's business; here it shows as nothing waiting.
    let count = |state| shared.count_deliveries(key, state).unwrap_or_default();
    Some(json!({
        "key": key, "connector": definition["connector"], "url": definition["url"],
        "circuit": status.as_ref().map_or("closed", |status| status.circuit),
        "retry_at": status.as_ref().and_then(|status| status.open_until),
        "last_error": last_error,
        "queued": count(DeliveryState::Queued), "dead": count(DeliveryState::Dead),
        "oldest_queued_at": shared.oldest_queued(key).unwrap_or_default(),
        "sent_hour": sum(|outcomes| outcomes.sent), "failed_hour": sum(|outcomes| outcomes.failed),
        "blocked_hour": sum(|outcomes| outcomes.blocked),
        "removals": shared.removals(key, shared.now()).unwrap_or_default(),
        "cannot_be_told": shared.definitions().workspace.destination(key).and_then(|one| one.take_back.removal_none.clone()),
        "activations": activations, "minutes": minutes, "status": status, "definition": definition,
    }))
}
