//! Segments: preview and members.

use axum::Json;
use axum::extract::{Path, Query, State};
use jumelle_model::Workspace;
use jumelle_model::time::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::profiles::ListQuery;
use crate::{App, Problem};

/// `{"segment": KEY}` or `{"rule": {…}}`, with `"at": INSTANT` if wanted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreviewRequest {
    segment: Option<String>,
    rule: Option<Value>,
    at: Option<String>,
}

/// `POST /v1/segments/preview`: who would be in it at an instant, from the history.
pub async fn preview(State(app): State<App>, body: String) -> Result<Json<Value>, Problem> {
    let request: PreviewRequest = serde_json::from_str(&body).map_err(|error| {
        Problem::bad_request(format!("{error}; write {{\"segment\": KEY}} or {{\"rule\": {{…}}}}, and \"at\" if wanted"))
    })?;
    let definitions = app.engine.shared().definitions();
    let rule = match (&request.segment, &request.rule) {
        (Some(key), None) => match definitions.workspace.segment(key) {
            Some(segment) => segment.rule.clone(),
            None => return Err(Problem::not_found(format!("there is no segment {key:?}")).with("field", "segment")),
        },
        (None, Some(rule)) => {
            const TRIED: &str = "preview_rule";
            let text = json!({"rule": rule}).to_string();
            let tried: Workspace = definitions.workspace.replace("segments", TRIED, Some(&text))?;
            match tried.segment(TRIED) {
                Some(segment) => segment.rule.clone(),
                None => return Err(Problem::bad_request("the rule is not understood")),
            }
        }
        _ => return Err(Problem::bad_request("give one of \"segment\" and \"rule\"")),
    };
    let at = match &request.at {
        None => app.engine.shared().now(),
        Some(text) => Timestamp::parse(text).ok_or_else(|| {
            Problem::bad_request(format!("{text:?} is not an instant; write 2011-09-01T00:00:00Z")).with("field", "at")
        })?,
    };
    let shared = app.engine.shared().clone();
    let preview = tokio::task::spawn_blocking(move || jumelle_engine::preview(&shared, &rule, at))
        .await
        .map_err(|_| Problem::bad_request("the preview could not be computed"))??;
    Ok(Json(json!(preview)))
}

/// `GET /v1/segments/{key}/members`
pub async fn members(
    State(app): State<App>,
    Path(key): Path<String>,
    Query(list): Query<ListQuery>,
) -> Result<Json<Value>, Problem> {
    if app.engine.shared().definitions().workspace.segment(&key).is_none() {
        return Err(Problem::not_found(format!("there is no segment {key:?}")));
    }
    let page = app.engine.shared().members(&key, list.cursor.as_deref(), list.limit())?;
    let shared = app.engine.shared();
    let workspace = &shared.definitions().workspace;
    let mut items: Vec<Value> = Vec::with_capacity(page.items.len());
    for (id, since) in page.items {
        let person = shared.people.get(id)?;
        let label = person.as_ref().and_then(|person| jumelle_profile::label(workspace, person));
        items.push(json!({"profile": id, "since": since, "label": label}));
    }
    Ok(Json(json!({"items": items, "next": page.next})))
}

/// A segment's last days, oldest first; those in which it was not there are left out.
pub(crate) fn days_json(key: &str, days: &[(jiff::civil::Date, jumelle_engine::Day)]) -> Value {
    let of = |(date, day): &(jiff::civil::Date, jumelle_engine::Day)| {
        let segment = day.segments.get(key)?;
        Some(json!({"day": date.to_string(), "count": segment.count, "entered": segment.entered, "left": segment.left}))
    };
    days.iter().filter_map(of).collect()
}
