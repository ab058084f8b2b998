//! How long people who do nothing stay: how many clocks have ended or will soon, who they are, and how many were erased for it.

use axum::Json;
use axum::extract::{Query, State};
use jumelle_model::workspace::policy::prospects::{LAPSED, LAPSING};
use jumelle_model::workspace::policy::retention::RETENTION_OVER;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::oversight::{ConsentsQuery, days};
use crate::profiles::ListQuery;
use crate::{App, Problem};

/// `GET /v1/privacy/retention?days=30&fresh=true`
pub async fn retention(State(app): State<App>, Query(query): Query<ConsentsQuery>) -> Result<Json<Value>, Problem> {
    let days = days(query.days)?;
    let (counted, counting) = app.censuses.of(&app, query.fresh).await?;
    let shared = app.engine.shared();
    let definitions = shared.definitions();
    let clocks = counted.as_ref().and_then(|census| census.clocks.as_ref());
    let purposes: Vec<Value> = definitions
        .workspace
        .purposes
        .iter()
        .map(|purpose| {
            let past = clocks.and_then(|clocks| clocks.past_retention.get(&purpose.key));
            json!({"purpose": purpose.key, "retention": purpose.terms.retention, "past": past})
        })
        .collect();
    let erased: Vec<Value> =
        shared.lapsed_days(days)?.iter().map(|lapsed| json!({"day": lapsed.day.to_string(), "people": lapsed.people})).collect();
    Ok(Json(json!({
        "prospects": definitions.workspace.policy.prospects.as_ref().map(|prospects| prospects.to_json()),
        "then": definitions.workspace.policy.retention,
        "at": counted.as_ref().map(|census| census.at), "counting": counting, "clocks": clocks, "purposes": purposes,
        "erased": erased,
    })))
}

/// `?state=lapsed&limit=&cursor=`
#[derive(Deserialize)]
pub struct StateQuery {
    state: Option<String>,
}

/// `GET /v1/privacy/retention/people`: whose time is over, or ends soon, by their ids.
pub async fn people(
    State(app): State<App>,
    Query(query): Query<StateQuery>,
    Query(list): Query<ListQuery>,
) -> Result<Json<Value>, Problem> {
    let segment = match query.state.as_deref() {
        None | Some("lapsed") => LAPSED,
        Some("lapsing") => LAPSING,
        Some(RETENTION_OVER) => RETENTION_OVER,
        Some(other) => {
            let problem = format!("{other:?} is not lapsed, lapsing or {RETENTION_OVER}");
            return Err(Problem::bad_request(problem).with("field", "state"));
        }
    };
    let page = app.engine.shared().members(segment, list.cursor.as_deref(), list.limit())?;
    let items: Vec<Value> = page.items.iter().map(|(id, since)| json!({"profile": id, "since": since})).collect();
    Ok(Json(json!({"items": items, "next": page.next})))
}
