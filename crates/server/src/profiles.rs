//! One person.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use jumelle_consent::{Asked, Party, Reason, Tongue, decide};
use jumelle_model::ids::{Position, ProfileId};
use jumelle_profile::{Person, consents_json, fields, profile_json, signals_json};
use jumelle_segment::{Language, explain_verdict};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::deliveries::delivery_json;
use crate::{App, Problem};

/// How long a request about a person waits for her newest events.
const FOLD_PATIENCE: Duration = Duration::from_secs(20);

/// `?limit=&cursor=&query=&lang=`
#[derive(Deserialize)]
pub struct ListQuery {
    /// Items of a page, 1 to 1,000. Default 100.
    pub limit: Option<usize>,
    /// Where the last page ended.
    pub cursor: Option<String>,
    /// What is searched.
    pub query: Option<String>,
    /// `fr` or `en`.
    pub lang: Option<String>,
}

impl ListQuery {
    pub(crate) fn limit(&self) -> usize {
        self.limit.unwrap_or(100).clamp(1, jumelle_engine::PAGE_MAX)
    }

    fn language(&self, app: &App) -> Language {
        let locale = app.engine.shared().definitions().workspace.settings.locale.clone();
        match self.lang.as_deref().unwrap_or(&locale) {
            "fr" => Language::Fr,
            _ => Language::En,
        }
    }
}

/// Finds a person by `namespace:value`.
pub(crate) fn find(app: &App, id: &str) -> Result<Arc<Person>, Problem> {
    let Some((namespace, value)) = id.split_once(':') else {
        if id.parse::<ProfileId>().is_err() {
            return Err(Problem::bad_request(format!("{id:?} is not NAMESPACE:VALUE, for instance email:ana@example.org")));
        }
        return find_by(app, "profile_id", id);
    };
    find_by(app, namespace, value)
}

/// As [`find`], once everything that was taken before is folded: for what must not miss the person's newest event.
pub(crate) async fn find_caught_up(app: &App, id: &str) -> Result<Arc<Person>, Problem> {
    if !app.engine.caught_up(FOLD_PATIENCE).await? {
        let detail = "her newest events are not folded yet; try again in a moment";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "behind", detail).after(5));
    }
    find(app, id)
}

fn find_by(app: &App, namespace: &str, value: &str) -> Result<Arc<Person>, Problem> {
    let found = app.engine.shared().find(namespace, value).map_err(Problem::bad_request)??;
    found.ok_or_else(|| Problem::not_found(format!("nobody is known by this {namespace}")))
}

/// `GET /v1/profiles/{ns}:{value}`
pub async fn profile(State(app): State<App>, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    let person = find(&app, &id)?;
    let definitions = app.engine.shared().definitions();
    Ok(Json(profile_json(&definitions.workspace, &definitions.plan, &person, app.engine.shared().now())))
}

/// `GET /v1/profiles?query=`
pub async fn search(State(app): State<App>, Query(list): Query<ListQuery>) -> Result<Json<Value>, Problem> {
    let Some(query) = list.query.as_deref().map(str::trim).filter(|query| !query.is_empty()) else {
        return Err(Problem::bad_request("say what to search: ?query=ana@example.org").with("field", "query"));
    };
    let definitions = app.engine.shared().definitions();
    let now = app.engine.shared().now();
    let page = app.engine.shared().search(query, list.cursor.as_deref(), list.limit())?;
    let items: Vec<Value> =
        page.items.iter().map(|person| profile_json(&definitions.workspace, &definitions.plan, person, now)).collect();
    Ok(Json(json!({"items": items, "next": page.next})))
}

/// `GET /v1/profiles/{…}/events`: the newest first.
pub async fn events(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(list): Query<ListQuery>,
) -> Result<Json<Value>, Problem> {
    let person = find(&app, &id)?;
    let before = list.cursor.as_deref().and_then(|cursor| cursor.parse().ok()).map(Position);
    let page = app.engine.shared().events_of(person.id, before, list.limit())?;
    Ok(Json(json!({"items": page.items, "next": page.next})))
}

/// `GET /v1/profiles/{…}/segments`: where she is, and her entries and exits.
pub async fn segments(State(app): State<App>, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    let person = find(&app, &id)?;
    let items: Vec<Value> = person.memberships.iter().map(|(key, since)| json!({"key": key, "since": since})).collect();
    let history: Vec<Value> = person
        .transitions
        .iter()
        .rev()
        .map(|transition| {
            let kind = if transition.entered { "segment.entered" } else { "segment.exited" };
            json!({"type": kind, "segment": transition.segment, "at": transition.at})
        })
        .collect();
    Ok(Json(json!({"items": items, "next": null, "history": history})))
}

/// `GET /v1/profiles/{…}/joins`: how her identifiers came together, and her splits, oldest first.
pub async fn joins(State(app): State<App>, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    let person = find(&app, &id)?;
    let shared = app.engine.shared();
    Ok(Json(json!({"items": shared.joins_of(person.id)?, "splits": shared.splits_of(person.id)?})))
}

/// `GET /v1/profiles/{…}/consents`
pub async fn consents(State(app): State<App>, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    let person = find(&app, &id)?;
    let definitions = app.engine.shared().definitions();
    let items = consents_json(&definitions.workspace, &definitions.plan, &person, app.engine.shared().now());
    Ok(Json(json!({"items": items, "signals": signals_json(&person.known.choices), "next": null})))
}

/// `GET /v1/profiles/{…}/deliveries`: the newest first.
pub async fn deliveries(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(list): Query<ListQuery>,
) -> Result<Json<Value>, Problem> {
    let person = find(&app, &id)?;
    let page = app.engine.shared().deliveries_of(person.id, list.cursor.as_deref(), list.limit())?;
    let items: Vec<Value> = page.items.iter().map(|delivery| delivery_json(&app, delivery)).collect();
    Ok(Json(json!({"items": items, "next": page.next})))
}

/// `GET /v1/profiles/{…}/explain`: why each segment and each gate decision stands.
pub async fn explain(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(list): Query<ListQuery>,
) -> Result<Json<Value>, Problem> {
    let person = find(&app, &id)?;
    let definitions = app.engine.shared().definitions();
    let (workspace, plan) = (&definitions.workspace, &definitions.plan);
    let now = app.engine.shared().now();
    let language = list.language(&app);
    let facts = person.facts(workspace, plan);
    let segments: Vec<Value> = workspace
        .segments
        .iter()
        .enumerate()
        .map(|(n, segment)| {
            let verdict = plan.evaluate(n, &facts, now);
            json!({
                "key": segment.key,
                "member": person.memberships.contains_key(&segment.key),
                "since": person.memberships.get(&segment.key),
                "changes_at": (verdict.next != jumelle_model::Timestamp::MAX).then_some(verdict.next),
                "why": explain_verdict(plan, workspace, n, &facts, now, language),
            })
        })
        .collect();
    let gate: Vec<Value> = workspace
        .activations
        .iter()
        .map(|activation| {
            let mapped = fields(workspace, plan, activation, &person, now);
            let asked = Asked {
                purpose: &activation.purpose,
                channel: activation.channel,
                address: mapped.address.as_ref(),
                destination: Some(&activation.destination),
            };
            // Frequency is counted where messages are queued; what is open here may have to wait for it.
            let party = Party { choices: &person.known.choices, circumstances: &mapped.circumstances, contacts: &[] };
            let verdict = decide(workspace, asked, party, now);
            let decision = &verdict.outcome;
            let said = |tongue| match decision {
                Ok(evidence) => evidence.sentence(tongue),
                Err(reason) => reason.sentence(tongue),
            };
            let standing = person.activations.get(&activation.key);
            json!({
                "activation": activation.key, "destination": activation.destination, "purpose": activation.purpose,
                "channel": activation.channel, "address": mapped.address,
                "open": decision.is_ok(),
                "changes_at": (verdict.next != jumelle_model::Timestamp::MAX).then_some(verdict.next),
                "gate": decision.as_ref().err().map(Reason::to_json), "fr": said(Tongue::Fr), "en": said(Tongue::En),
                "reason": match decision { Ok(evidence) => json!(evidence), Err(reason) => json!(reason.to_string()) },
                "state": standing.map(|standing| format!("{:?}", standing.held).to_lowercase()),
                "received": standing.is_some_and(|standing| standing.received.is_some()),
            })
        })
        .collect();
    Ok(Json(json!({
        "profile": person.id, "at": now, "segments": segments, "gate": gate,
        "refused_joins": person.known.refusals.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })))
}
