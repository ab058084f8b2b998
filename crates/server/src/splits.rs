//! Two people who were found to be one, taken apart.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use jumelle_engine::{Draft, SPLIT_EVENTS_MAX, Side, Split, SplitReason};
use jumelle_identify::identifier_of;
use jumelle_model::Identifier;
use jumelle_profile::{Person, consents_json, identifiers_json, profile_json, signals_json};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::profiles::find_caught_up;
use crate::tokens::Identity;
use crate::{App, Problem};

/// `{"identifiers": ["email:leo@example.org"], "reason": "shared_device"?, "dry_run": true?}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SplitRequest {
    /// Of the one who leaves; the others stay.
    identifiers: Vec<String>,
    reason: Option<String>,
    #[serde(default)]
    dry_run: bool,
}

/// `POST /v1/profiles/{…}/split`: the identifiers named get a profile of their own, with the events and choices that are theirs.
pub async fn split(
    State(app): State<App>,
    Extension(caller): Extension<Identity>,
    Path(id): Path<String>,
    body: String,
) -> Result<Json<Value>, Problem> {
    let request: SplitRequest = serde_json::from_str(&body).map_err(|error| {
        Problem::bad_request(format!("{error}; write {{\"identifiers\": [\"email:leo@example.org\"], \"dry_run\": true}}"))
    })?;
    let reason = request.reason.as_deref().map(read_reason).transpose()?;
    let joined = find_caught_up(&app, &id).await?;
    let leaving = leaving(&app, &joined, &request.identifiers)?;
    let (leaving, staying): (Vec<u128>, Vec<u128>) =
        joined.known.identifiers.keys().map(Identifier::key).partition(|key| leaving.contains(key));
    if joined.known.events > SPLIT_EVENTS_MAX {
        let detail = format!("she has {} events; somebody with {SPLIT_EVENTS_MAX} at most is taken apart", joined.known.events);
        return Err(Problem::new(StatusCode::CONFLICT, "too many events", detail).with("rule", "too_many_events"));
    }
    let (shared, person, keys) = (app.engine.shared().clone(), joined.clone(), leaving.clone());
    let parted = tokio::task::spawn_blocking(move || shared.would_part(&person, &keys)).await;
    let parted =
        parted.map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error", "the events were not read"))??;
    let mut other = Value::Null;
    if !request.dry_run {
        let split = Split { profile: joined.id, staying, leaving, reason, by: caller.name.to_string() };
        app.engine.intake().submit(vec![Draft::Split(split)], true).await?;
        other = json!(app.engine.shared().splits_of(joined.id)?.last().map(|step| step.other));
    }
    Ok(Json(json!({
        "dry_run": request.dry_run, "profile": joined.id, "other": other, "naming_both": parted.naming_both,
        "stays": side_json(&app, parted.stays())?, "leaves": side_json(&app, parted.leaves())?,
    })))
}

fn read_reason(text: &str) -> Result<SplitReason, Problem> {
    let known = SplitReason::ALL.into_iter().find(|reason| reason.as_str() == text);
    known.ok_or_else(|| {
        let names: Vec<&str> = SplitReason::ALL.into_iter().map(SplitReason::as_str).collect();
        wrong("reason", "unknown_reason", format!("{text:?} is not one of {}", names.join(", ")))
    })
}

fn wrong(field: &str, rule: &str, detail: impl Into<String>) -> Problem {
    Problem::bad_request(detail).with("field", field).with("rule", rule)
}

/// Keys of the identifiers named, all of them hers, and not all of hers.
fn leaving(app: &App, joined: &Person, named: &[String]) -> Result<Vec<u128>, Problem> {
    let definitions = app.engine.shared().definitions();
    let mut keys = Vec::with_capacity(named.len());
    for (n, text) in named.iter().enumerate() {
        let field = format!("identifiers[{n}]");
        let unreadable = |detail: String| wrong(&field, "unreadable_identifier", detail);
        let (namespace, value) = text.split_once(':').ok_or_else(|| unreadable("an identifier is NAMESPACE:VALUE".into()))?;
        let identifier = identifier_of(&definitions.workspace, namespace, value).map_err(unreadable)?;
        if !joined.known.identifiers.contains_key(&identifier) {
            return Err(wrong(&field, "not_hers", format!("this {namespace} is not one of this person")));
        }
        keys.push(identifier.key());
    }
    keys.sort_unstable();
    keys.dedup();
    if keys.is_empty() {
        return Err(wrong("identifiers", "none_named", "name the identifiers of the one who leaves, one at least"));
    }
    if keys.len() == joined.known.identifiers.len() {
        return Err(wrong("identifiers", "all_named", "these are all that she has; leave one at least to the one who stays"));
    }
    Ok(keys)
}

fn side_json(app: &App, side: &Side) -> Result<Value, Problem> {
    let shared = app.engine.shared();
    let definitions = shared.definitions();
    let (workspace, plan, person) = (&definitions.workspace, &definitions.plan, &side.person);
    let now = shared.now();
    Ok(json!({
        "identifiers": identifiers_json(person), "events": person.known.events, "absorbed": person.known.absorbed,
        "consents": consents_json(workspace, plan, person, now), "signals": signals_json(&person.known.choices),
        "traits": profile_json(workspace, plan, person, now)["traits"], "segments": side.segments, "tools": shared.tools_after(side)?,
    }))
}
