//! The outbox.

use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use jumelle_activate::removal_none;
use jumelle_engine::{DeliveriesAsked, Delivery, DeliveryState, Draft, Order};
use jumelle_model::ids::{DeliveryId, ProfileId};
use jumelle_model::time::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::blocking::blocking;
use crate::definitions::veil;
use crate::results::reported_json;
use crate::roles::Role;
use crate::tokens::Identity;
use crate::{App, Problem};

/// `?destination=&state=&activation=&profile=&from=&to=&reason=&limit=&cursor=`
#[derive(Deserialize)]
pub struct DeliveriesQuery {
    state: Option<String>,
    #[serde(flatten)]
    about: About,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// Which deliveries, beside their state.
#[derive(Deserialize, Default)]
struct About {
    destination: Option<String>,
    activation: Option<String>,
    profile: Option<String>,
    from: Option<String>,
    to: Option<String>,
    reason: Option<String>,
}

/// The same, read.
struct Wanted {
    destinations: Vec<String>,
    activation: Option<String>,
    profile: Option<ProfileId>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    reason: Option<String>,
}

impl About {
    fn read(self, app: &App) -> Result<Wanted, Problem> {
        let shared = app.engine.shared();
        let destinations = match self.destination.filter(|key| !key.is_empty()) {
            Some(destination) => vec![destination],
            None => shared.definitions().workspace.destinations.iter().map(|destination| destination.key.clone()).collect(),
        };
        let instant = |field: &str, text: Option<String>| {
            let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
            Timestamp::parse(&text).map(Some).ok_or_else(|| {
                Problem::bad_request(format!("{text:?} is not an instant; write 2026-11-28T09:00:00Z")).with("field", field)
            })
        };
        // An id alone: with an address this would tell whether somebody is known, which is not for everyone who reads deliveries.
        let profile = match self.profile.filter(|profile| !profile.is_empty()) {
            Some(text) => {
                let id: ProfileId = text.parse().map_err(|error: String| Problem::bad_request(error).with("field", "profile"))?;
                Some(shared.people.surviving(id)?)
            }
            None => None,
        };
        Ok(Wanted {
            destinations,
            activation: self.activation.filter(|key| !key.is_empty()),
            profile,
            from: instant("from", self.from)?,
            to: instant("to", self.to)?,
            reason: self.reason.filter(|reason| !reason.trim().is_empty()).map(|reason| reason.trim().to_owned()),
        })
    }
}

impl Wanted {
    fn asked(&self, states: Vec<DeliveryState>) -> DeliveriesAsked<'_> {
        DeliveriesAsked {
            destinations: self.destinations.iter().map(String::as_str).collect(),
            states,
            activation: self.activation.as_deref(),
            profile: self.profile,
            from: self.from,
            to: self.to,
            reason: self.reason.as_deref(),
        }
    }
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
    // A table that cannot be read is the health page's business; here it shows as nothing reported.
    let reported = app.engine.shared().reported(message.id).unwrap_or_default();
    json!({
        "id": message.id, "activation": message.activation, "segment": message.segment, "destination": message.destination,
        "profile": message.profile, "type": message.kind.as_str(), "purpose": message.purpose, "channel": message.channel,
        "state": state, "reason": reason, "gate": gate, "attempts": attempts, "status": delivery.status,
        "caused_at": message.at, "at": delivery.at, "reported": reported_json(reported.as_ref()),
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
    let DeliveriesQuery { state, about, cursor, .. } = query;
    let wanted = about.read(&app)?;
    let shared = app.engine.shared().clone();
    let page =
        blocking(move || Ok(shared.deliveries(&wanted.asked(states), Order::NewestFirst, cursor.as_deref(), limit)?)).await?;
    let mut items: Vec<Value> = page.items.iter().map(|delivery| delivery_json(&app, delivery)).collect();
    if state.as_deref() == Some("failed") {
        items.retain(|item| item["state"] == "failed");
    }
    Ok(Json(json!({"items": items, "next": page.next})))
}

fn parse(id: &str) -> Result<DeliveryId, Problem> {
    id.parse().map_err(|error: String| Problem::bad_request(error).with("field", "id"))
}

/// `GET /v1/deliveries/{id}`, with every step that it has gone.
pub async fn one(State(app): State<App>, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    let delivery =
        app.engine.shared().delivery(parse(&id)?)?.ok_or_else(|| Problem::not_found(format!("there is no delivery {id}")))?;
    let mut answer = delivery_json(&app, &delivery);
    answer["steps"] = steps(&app, &delivery)?.into();
    Ok(Json(answer))
}

/// What became of a delivery, in order: its cause, how it ended and was tried again, and where it stands.
fn steps(app: &App, delivery: &Delivery) -> Result<Vec<Value>, Problem> {
    let ended = |state: DeliveryState, at: Timestamp, reason: Option<String>, attempts: u32, status: Option<u16>| {
        let (reason, gate) = jumelle_engine::told(reason);
        json!({"step": state, "at": at, "reason": reason, "gate": gate, "attempts": attempts, "status": status})
    };
    let mut steps = vec![json!({"step": "caused", "at": delivery.message.at})];
    for replayed in app.engine.shared().replays_of(delivery.message.id)? {
        steps.push(ended(replayed.state, replayed.ended_at, replayed.reason, replayed.attempts, replayed.status));
        let by = Some(replayed.by).filter(|by| !by.is_empty());
        steps.push(json!({"step": "replayed", "at": replayed.at, "by": by}));
    }
    match (delivery.state, app.engine.dispatcher().attempts(delivery.message.id)) {
        (DeliveryState::Queued, None) => {}
        (DeliveryState::Queued, Some(attempt)) => steps.push(json!({
            "step": "failed", "at": null, "reason": attempt.last_reason, "attempts": attempt.attempts, "next_at": attempt.next_at,
        })),
        (state, _) => steps.push(ended(state, delivery.at, delivery.reason.clone(), delivery.attempts, delivery.status)),
    }
    Ok(steps)
}

/// `POST /v1/deliveries/{id}/retry`: a dead or blocked one is queued again and passes the gate again.
pub async fn retry(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let number = parse(&id)?;
    let delivery =
        app.engine.shared().delivery(number)?.ok_or_else(|| Problem::not_found(format!("there is no delivery {id}")))?;
    match delivery.state {
        DeliveryState::Dead | DeliveryState::Blocked => {
            let draft = Draft::Replay { delivery: number, by: identity.name.clone() };
            app.engine.intake().submit(vec![draft], true).await?;
        }
        DeliveryState::Queued => app.engine.dispatcher().retry_now(&delivery.message.destination),
        DeliveryState::Sent => return Err(Problem::bad_request("the destination has taken it; there is nothing to try again")),
    }
    one(State(app), Path(id)).await
}

/// Deliveries looked at by one call at most.
const LOOKED_AT_MAX: usize = 100_000;

/// `{"state": "dead" | "blocked", "destination": …, "from": …, "dry_run": true}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetryRequest {
    state: String,
    destination: Option<String>,
    activation: Option<String>,
    profile: Option<String>,
    from: Option<String>,
    to: Option<String>,
    reason: Option<String>,
    #[serde(default)]
    dry_run: bool,
    cursor: Option<String>,
}

/// `POST /v1/deliveries/retry`: the dead or blocked ones that fit are queued again, the oldest first, and pass the gate again. One
/// call takes a page of them; `next` is where the following one goes on, with the same `to`.
pub async fn retry_matching(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    body: String,
) -> Result<Json<Value>, Problem> {
    let request: RetryRequest = serde_json::from_str(&body).map_err(|error| {
        Problem::bad_request(format!(
            "{error}; write {{\"state\": \"dead\" or \"blocked\"}} and, if wanted, destination, activation, profile, from, to, reason, \
             cursor, dry_run"
        ))
    })?;
    let RetryRequest { state, destination, activation, profile, from, to, reason, dry_run, cursor } = request;
    if let Some(key) = &destination
        && app.engine.shared().definitions().workspace.destination(key).is_none()
    {
        return Err(Problem::not_found(format!("there is no destination {key:?}")).with("field", "destination"));
    }
    let state = replayable(&state)?;
    let mut wanted = About { destination, activation, profile, from, to, reason }.read(&app)?;
    // What comes to stand there while this goes on is not taken a second time.
    let to = *wanted.to.get_or_insert_with(|| Timestamp(app.engine.shared().now().0 + 1));
    let page = replay_page(&app, wanted, state, cursor, dry_run, &identity).await?;
    Ok(Json(json!({
        "matching": page.matching, "replayed": if dry_run { 0 } else { page.matching }, "dry_run": dry_run,
        "next": page.next, "to": to,
    })))
}

fn replayable(state: &str) -> Result<DeliveryState, Problem> {
    match state {
        "dead" => Ok(DeliveryState::Dead),
        "blocked" => Ok(DeliveryState::Blocked),
        other => Err(Problem::bad_request(format!("{other:?} is not dead or blocked")).with("field", "state")),
    }
}

/// What one call took.
struct Taken {
    matching: usize,
    next: Option<String>,
}

async fn replay_page(
    app: &App,
    wanted: Wanted,
    state: DeliveryState,
    mut cursor: Option<String>,
    dry_run: bool,
    identity: &Identity,
) -> Result<Taken, Problem> {
    let (shared, by) = (app.engine.shared().clone(), identity.name.clone());
    let (drafts, next) = blocking(move || {
        let asked = wanted.asked(vec![state]);
        let mut drafts = Vec::new();
        for _ in 0..LOOKED_AT_MAX / jumelle_engine::DELIVERIES_SCANNED_MAX {
            let limit = jumelle_engine::PAGE_MAX.min(REPLAYED_MAX - drafts.len());
            let page = shared.deliveries(&asked, Order::OldestFirst, cursor.as_deref(), limit)?;
            drafts.extend(page.items.iter().map(|found| Draft::Replay { delivery: found.message.id, by: by.clone() }));
            cursor = page.next;
            if cursor.is_none() || drafts.len() >= REPLAYED_MAX {
                break;
            }
        }
        Ok((drafts, cursor))
    })
    .await?;
    let matching = drafts.len();
    if matching > 0 && !dry_run {
        app.engine.intake().submit(drafts, true).await?;
        metrics::counter!("jumelle_replayed_deliveries_total", "state" => state.as_str()).increment(matching as u64);
    }
    Ok(Taken { matching, next })
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
    Extension(identity): Extension<Identity>,
    Path(key): Path<String>,
    Json(request): Json<ReplayRequest>,
) -> Result<Json<Value>, Problem> {
    if app.engine.shared().definitions().workspace.destination(&key).is_none() {
        return Err(Problem::not_found(format!("there is no destination {key:?}")));
    }
    let state = replayable(&request.state)?;
    let wanted = About { destination: Some(key), ..About::default() }.read(&app)?;
    let page = replay_page(&app, wanted, state, None, false, &identity).await?;
    Ok(Json(json!({"replayed": page.matching, "more": page.next.is_some()})))
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
    let destination = definitions.workspace.destination(key);
    let untold = destination.and_then(|one| removal_none(&definitions.workspace, &app.engine.dispatcher().catalogue(), one));
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
        "cannot_be_told": untold,
        "activations": activations, "minutes": minutes, "status": status, "definition": definition,
    }))
}
