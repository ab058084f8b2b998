//! Tools and the people in them: how far a removal has come, who is there, what they hold compared with who may be there.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use jumelle_engine::{Draft, MENDED_MAX};
use jumelle_model::time::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::blocking::blocking;
use crate::profiles::find;
use crate::tokens::Identity;
use crate::{App, Problem};

/// File of the data directory with what each comparison came to: counts, nobody's name.
const FILE: &str = "reconciliations.jsonl";
/// Results that are read back.
const KEPT_MAX: usize = 1_000;
/// How often the schedule is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// `GET /v1/profiles/{…}/tools`
pub async fn of_person(State(app): State<App>, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    let person = find(&app, &id)?;
    let shared = app.engine.shared();
    let tried = |delivery| app.engine.dispatcher().attempts(delivery).is_some_and(|attempt| attempt.attempts > 0);
    Ok(Json(json!({"items": shared.tools_of(&person, shared.now(), tried)?, "next": null})))
}

/// `GET /v1/destinations/{key}/people`: who is there still.
pub async fn people(State(app): State<App>, Path(key): Path<String>) -> Result<Json<Value>, Problem> {
    known(&app, &key)?;
    let shared = app.engine.shared().clone();
    let asked = key.clone();
    let (count, items) = blocking(move || Ok(shared.people_in(&asked)?)).await?;
    Ok(Json(json!({"destination": key, "count": count, "items": items, "next": null})))
}

/// `?mend=true&column=NAME`
#[derive(Deserialize)]
pub struct ReconcileQuery {
    mend: Option<String>,
    column: Option<String>,
}

/// `POST /v1/destinations/{key}/reconcile`: the body is what the tool holds; an empty one reads the list that the destination names.
pub async fn reconcile(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path(key): Path<String>,
    Query(query): Query<ReconcileQuery>,
    body: String,
) -> Result<Json<Value>, Problem> {
    known(&app, &key)?;
    let (from, text) = match body.trim().is_empty() {
        false => ("export", body),
        true => ("list", fetch(&app, &key).await?),
    };
    let mend = Some(&*identity.name).filter(|_| query.mend.as_deref() == Some("true"));
    compare(&app, &key, from, text, query.column, mend).await.map(Json)
}

/// `GET /v1/destinations/{key}/reconciliations`: the newest first.
pub async fn reconciliations(State(app): State<App>, Path(key): Path<String>) -> Result<Json<Value>, Problem> {
    known(&app, &key)?;
    Ok(Json(json!({"items": kept(&app, &key)?, "next": null})))
}

fn known(app: &App, key: &str) -> Result<(), Problem> {
    match app.engine.shared().definitions().workspace.destination(key) {
        Some(_) => Ok(()),
        None => Err(Problem::not_found(format!("there is no destination {key:?}"))),
    }
}

async fn fetch(app: &App, key: &str) -> Result<String, Problem> {
    let definitions = app.engine.shared().definitions();
    let destination = definitions.workspace.destination(key).cloned();
    let Some(destination) = destination.filter(|destination| destination.take_back.list.is_some()) else {
        return Err(Problem::bad_request(format!(
            "send what {key} holds (CSV, JSON or JSON lines), or let its definition say where: list: {{url: …}}"
        )));
    };
    jumelle_activate::fetch_list(&destination).await.map_err(Problem::bad_request)
}

async fn compare(
    app: &App,
    key: &str,
    from: &'static str,
    text: String,
    column: Option<String>,
    mend: Option<&str>,
) -> Result<Value, Problem> {
    let names = jumelle_collect::tool_list::names(&text, column.as_deref())
        .map_err(|error| Problem::bad_request(error).with("field", "column"))?;
    drop(text);
    let (shared, asked) = (app.engine.shared().clone(), key.to_owned());
    let found = blocking(move || Ok(shared.reconcile(&asked, &names)?)).await?;
    let mended = if mend.is_some() { found.mends.len() } else { 0 };
    if let Some(by) = mend.filter(|_| mended > 0) {
        // Each passes the gate again: nobody is brought in who may not be there.
        let drafts = found.mends.iter().map(|delivery| Draft::Replay { delivery: *delivery, by: by.into() }).collect();
        app.engine.intake().submit(drafts, true).await?;
    }
    let mut counts = found.counts();
    for (field, value) in
        [("at", json!(app.engine.shared().now())), ("destination", json!(key)), ("from", json!(from)), ("mended", json!(mended))]
    {
        counts[field] = value;
    }
    for (kind, count) in [("too_many", found.too_many), ("too_few", found.too_few), ("unknown", found.unknown)] {
        metrics::gauge!("jumelle_reconciliation_drift", "destination" => key.to_owned(), "kind" => kind).set(count as f64);
    }
    keep(app, &counts)?;
    let mut answer = counts;
    answer["people"] = json!(found.people);
    answer["unknown_names"] = json!(found.unknown_names);
    answer["more_to_mend"] = json!(found.mends.len() >= MENDED_MAX);
    Ok(answer)
}

fn file(app: &App) -> PathBuf {
    app.engine.directory().join(FILE)
}

fn keep(app: &App, counts: &Value) -> Result<(), Problem> {
    let write = || -> std::io::Result<()> {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(file(app))?;
        file.write_all(format!("{counts}\n").as_bytes())?;
        file.sync_data()
    };
    write().map_err(|error| {
        let status = axum::http::StatusCode::INTERNAL_SERVER_ERROR;
        Problem::new(status, "the comparison was not kept", error.to_string())
    })
}

/// The kept results of one destination, the newest first. A line that was cut off by a crash is left out.
pub(crate) fn kept(app: &App, key: &str) -> Result<Vec<Value>, Problem> {
    let text = match std::fs::read_to_string(file(app)) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Problem::bad_request(format!("{FILE}: {error}"))),
    };
    let lines = text.lines().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    Ok(lines.filter(|line| line["destination"] == key).take(KEPT_MAX).collect())
}

/// Compares the lists that are due, for as long as the server runs.
pub(crate) async fn schedule(app: App) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let definitions = app.engine.shared().definitions();
        for destination in &definitions.workspace.destinations {
            let Some(list) = &destination.take_back.list else { continue };
            let Some(every) = list.every else { continue };
            let last =
                kept(&app, &destination.key).unwrap_or_default().first().and_then(|line| Timestamp::parse(line["at"].as_str()?));
            if last.is_some_and(|last| last + every > app.engine.shared().now()) {
                continue;
            }
            let outcome = match fetch(&app, &destination.key).await {
                Ok(text) => compare(&app, &destination.key, "schedule", text, None, list.mend.then_some("schedule")).await,
                Err(problem) => Err(problem),
            };
            if let Err(problem) = outcome {
                metrics::counter!("jumelle_reconciliations_failed_total", "destination" => destination.key.clone()).increment(1);
                tracing::warn!(destination = destination.key, ?problem, "the list was not compared");
            }
        }
    }
}
