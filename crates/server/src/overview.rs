//! What flows, who is recognised, what left, what was held back, and whether all is well.

use axum::extract::State;
use axum::{Extension, Json};
use jumelle_engine::{Day, HEAVY_EVENTS_MIN, Minute, Outcomes};
use serde_json::{Value, json};

use crate::definitions::DAYS;
use crate::deliveries::destination_json;
use crate::health::{Signs, resident_bytes};
use crate::roles::Role;
use crate::tokens::Identity;
use crate::{App, Problem};

/// People with many events that are shown.
const HEAVY_SHOWN_MAX: usize = 20;

/// `GET /v1/overview`
pub async fn overview(State(app): State<App>, Extension(identity): Extension<Identity>) -> Result<Json<Value>, Problem> {
    tokio::task::spawn_blocking(move || read(&app, identity.role))
        .await
        .map_err(|_| Problem::bad_request("the overview could not be read"))?
}

fn read(app: &App, role: Role) -> Result<Json<Value>, Problem> {
    let shared = app.engine.shared();
    let definitions = shared.definitions();
    let workspace = &definitions.workspace;
    let totals = *shared.totals.lock();
    let days = shared.days(usize::MAX)?;
    let hour = shared.flow.hour();
    let last_events = shared.flow.last_events();
    let destinations: Vec<Value> =
        workspace.destinations.iter().filter_map(|destination| destination_json(app, &destination.key, &hour, role)).collect();
    let sources: Vec<Value> = workspace
        .sources
        .iter()
        .map(|source| {
            let events: u64 = hour.iter().filter_map(|minute| minute.events.get(&source.key)).sum();
            let last_at = last_events.get(&source.key);
            json!({"key": source.key, "kind": source.kind, "events_hour": events, "last_at": last_at})
        })
        .collect();
    let signs = Signs::of(app);
    let oldest = destinations.iter().filter_map(|destination| destination["oldest_queued_at"].as_str()).min();
    let queued: u64 = destinations.iter().filter_map(|destination| destination["queued"].as_u64()).sum();
    let recent = days.len().saturating_sub(2);
    Ok(Json(json!({
        "at": shared.now(), "people": totals.people, "recognised": totals.recognised,
        "events": days.iter().map(|(_, day)| day.events).sum::<u64>(),
        "quarantine": shared.count_quarantine()?,
        "heavy": heavy(app, role),
        "minutes": hour.iter().map(minute_json).collect::<Vec<_>>(),
        "days": days[days.len().saturating_sub(DAYS)..].iter().map(|(date, day)| day_json(date, day)).collect::<Vec<_>>(),
        "sources": sources,
        "blocked": blocked(app, days[recent..].iter().map(|(_, day)| day)),
        "health": {
            "ready": signs.verdict(app.limits.ready_lag).is_ok(),
            "computing": signs.computing,
            "lag_entries": signs.lag_entries,
            "intake_waiting": app.engine.intake().waiting(),
            "queued": queued, "oldest_queued_at": oldest,
            "people_cached": shared.people.cached(),
            "memory_bytes": resident_bytes(),
            "disk_bytes": shared.history.disk_bytes() + shared.behind.tables.disk_bytes(),
            "uptime_s": app.started.elapsed().as_secs(),
        },
        "destinations": destinations,
    })))
}

/// People with more events today than anybody makes, most first; who they are, for those who may look at a person.
fn heavy(app: &App, role: Role) -> Value {
    let shared = app.engine.shared();
    let people = shared.heavy.people(shared.now());
    let may_look = matches!(role, Role::Admin | Role::Privacy);
    let shown: Vec<Value> = people
        .iter()
        .take(if may_look { HEAVY_SHOWN_MAX } else { 0 })
        .map(|(id, events)| json!({"profile": id, "events": events}))
        .collect();
    json!({"people": people.len(), "events_min": HEAVY_EVENTS_MIN, "items": shown})
}

fn minute_json(minute: &Minute) -> Value {
    let sum = |of: fn(&Outcomes) -> u64| minute.deliveries.values().map(of).sum::<u64>();
    json!({
        "at": minute.at, "events": minute.events.values().sum::<u64>(), "quarantined": minute.quarantined,
        "sent": sum(|outcomes| outcomes.sent), "failed": sum(|outcomes| outcomes.failed),
        "blocked": sum(|outcomes| outcomes.blocked),
    })
}

fn day_json(date: &jiff::civil::Date, day: &Day) -> Value {
    json!({
        "day": date.to_string(), "events": day.events, "people": day.people, "recognised": day.recognised, "joins": day.joins,
        "quarantined": day.quarantined, "queued": day.queued, "sent": day.sent, "blocked": day.blocked,
    })
}

/// What was held back on some days, by activation and reason, most first.
pub(crate) fn blocked<'a>(app: &App, days: impl Iterator<Item = &'a Day>) -> Vec<Value> {
    let definitions = app.engine.shared().definitions();
    let mut reasons = std::collections::BTreeMap::<&(String, String), u64>::new();
    for (reason, count) in days.flat_map(|day| &day.reasons) {
        *reasons.entry(reason).or_default() += count;
    }
    let mut reasons: Vec<_> = reasons.into_iter().collect();
    reasons.sort_by_key(|(key, count)| (std::cmp::Reverse(*count), *key));
    reasons
        .into_iter()
        .filter_map(|((key, reason), count)| {
            let activation = definitions.workspace.activation(key)?;
            Some(json!({
                "activation": key, "destination": activation.destination, "purpose": activation.purpose,
                "channel": activation.channel, "reason": reason, "count": count,
            }))
        })
        .collect()
}
