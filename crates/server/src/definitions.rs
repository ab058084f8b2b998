//! Definitions: the whole workspace, or one of them, in the shapes of `workspace.yaml`.

use std::sync::atomic::Ordering;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use jiff::civil::Date;
use jumelle_activate::removal_none;
use jumelle_activate::secrets::{held, seal_all};
use jumelle_connect::check_workspace;
use jumelle_engine::{Day, Minute};
use jumelle_model::Workspace;
use jumelle_model::workspace::Difference;
use jumelle_segment::{Language, explain};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::roles::Role;
use crate::tokens::Identity;
use crate::{App, Problem, deliveries};

/// `?dry_run=true`
#[derive(Deserialize)]
pub struct ApplyQuery {
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    leave_behind: bool,
}

/// Days of which segments tell.
pub(crate) const DAYS: usize = 30;

/// Kinds of definitions.
pub(crate) const COLLECTIONS: [&str; 7] =
    ["sources", "identifiers", "purposes", "traits", "segments", "destinations", "activations"];

/// `GET /v1/workspace`: as a `workspace.yaml` that can be put back; secrets are not shown.
pub async fn whole(State(app): State<App>, Extension(identity): Extension<Identity>) -> Json<Value> {
    let definitions = app.engine.shared().definitions();
    let mut whole = definitions.workspace.shown();
    for collection in COLLECTIONS {
        if identity.role == Role::Privacy && matches!(collection, "segments" | "traits") {
            whole.as_object_mut().map(|whole| whole.remove(collection));
        } else if let Some(items) = whole[collection].as_object_mut() {
            items.values_mut().for_each(|definition| veil(identity.role, collection, definition));
        }
    }
    Json(whole)
}

/// `PUT /v1/workspace` with the text of a `workspace.yaml`: validated whole, applied whole or not at all.
pub async fn apply(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Query(query): Query<ApplyQuery>,
    body: String,
) -> Result<Json<Value>, Problem> {
    let workspace = Workspace::parse(&body)?;
    if workspace == Workspace::empty() {
        // An upload that went wrong must not take every definition away.
        return Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "the definitions do not hold",
            "the body defines nothing at all; send the text of a workspace.yaml (delete definitions one by one if that is meant)",
        ));
    }
    check_workspace(&app.engine.dispatcher().catalogue(), &workspace, &body)?;
    take(&app, &identity, workspace, &query).await
}

/// Destinations by key, and how many people are in them.
type Inside = Vec<(String, u64)>;

async fn take(app: &App, identity: &Identity, mut workspace: Workspace, query: &ApplyQuery) -> Result<Json<Value>, Problem> {
    let dry_run = query.dry_run;
    let before = app.engine.shared().definitions();
    let unsealed = seal_all(held(), &mut workspace, &before.workspace);
    let difference = Difference::between(&before.workspace, &workspace);
    // Looked at before: afterwards there is nothing to compare with.
    let (shared, after) = (app.engine.shared().clone(), workspace.clone());
    let reach = tokio::task::spawn_blocking(move || jumelle_engine::reach(&shared, &after)).await.map_err(|error| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "who can be reached was not found out", error.to_string())
    })??;
    let (left_behind, pausing) = still_inside(app, &workspace).await?;
    if !dry_run
        && !query.leave_behind
        && let Some((key, people)) = left_behind.first()
    {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "people are still there",
            format!(
                "{people} people are still in {key}; give it `retire: true`, which takes them out, and remove it once \
                 GET /v1/destinations/{key}/people counts none; or repeat with leave_behind=true"
            ),
        )
        .with("destination", key.clone())
        .with("people", *people));
    }
    let applied = !dry_run && !difference.changes.is_empty();
    if applied {
        app.engine.apply(&workspace, &identity.name).await?;
    }
    let mut text = difference.to_string();
    if !reach.changes.is_empty() || reach.lapse.is_some() || reach.retention_unread {
        text = format!("{text}\n{reach}");
    }
    for (key, people) in &left_behind {
        text = format!("{text}\n! {people} people are still in {key}: give it `retire: true` first, which takes them out");
    }
    for (key, people) in &pausing {
        text = format!(
            "{text}\n! {people} people stay in {key} while it is paused, and are taken out when they leave: to take them out first, \
             `retire: true`"
        );
    }
    for key in &unsealed {
        text = format!(
            "{text}\n! the secret of {key} stands in the history as it is: write {{env: NAME}}, or give the server a key"
        );
    }
    let catalogue = app.engine.dispatcher().catalogue();
    let risks: Vec<Value> = workspace
        .destinations
        .iter()
        .filter_map(|destination| {
            let none = removal_none(&workspace, &catalogue, destination)?;
            let key = &destination.key;
            text = format!("{text}\n! {key} cannot be told that somebody leaves it ({}): ask {}", none.reason, none.contact);
            Some(json!({"destination": key, "reason": none.reason, "contact": none.contact}))
        })
        .collect();
    let listed = |inside: &Inside| -> Vec<Value> {
        inside.iter().map(|(key, people)| json!({"destination": key, "people": people})).collect()
    };
    Ok(Json(json!({
        "applied": applied, "changes": difference.changes, "reach": reach, "left_behind": listed(&left_behind),
        "pausing": listed(&pausing), "risks": risks, "unsealed": unsealed, "text": text,
    })))
}

/// Destinations that would go while people are in them, and those that would pause with people in them.
async fn still_inside(app: &App, after: &Workspace) -> Result<(Inside, Inside), Problem> {
    let (shared, after) = (app.engine.shared().clone(), after.clone());
    let counted =
        tokio::task::spawn_blocking(move || shared.left_behind(&after).and_then(|left| Ok((left, shared.pausing(&after)?))))
            .await;
    Ok(counted.map_err(|_| Problem::bad_request("the people could not be read"))??)
}

/// `GET /v1/{collection}`
pub async fn list(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path(collection): Path<String>,
) -> Result<Json<Value>, Problem> {
    check(&collection)?;
    let shared = app.engine.shared();
    let definitions = shared.definitions();
    let (days, hour) = (shared.days(DAYS)?, shared.flow.hour());
    let known = Known { days: &days, hour: &hour, role: identity.role };
    let items: Vec<Value> =
        keys(&definitions.workspace, &collection).iter().filter_map(|key| item(&app, &collection, key, &known)).collect();
    Ok(Json(json!({"items": items, "next": null})))
}

/// `GET /v1/{collection}/{key}`
pub async fn one(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path((collection, key)): Path<(String, String)>,
) -> Result<Json<Value>, Problem> {
    check(&collection)?;
    let shared = app.engine.shared();
    let (days, hour) = (shared.days(DAYS)?, shared.flow.hour());
    let known = Known { days: &days, hour: &hour, role: identity.role };
    item(&app, &collection, &key, &known).map(Json).ok_or_else(|| Problem::not_found(format!("{collection} has no {key:?}")))
}

/// `PUT /v1/{collection}/{key}`
pub async fn put(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path((collection, key)): Path<(String, String)>,
    Query(query): Query<ApplyQuery>,
    body: String,
) -> Result<Json<Value>, Problem> {
    check(&collection)?;
    let workspace = app.engine.shared().definitions().workspace.replace(&collection, &key, Some(&body))?;
    check_workspace(&app.engine.dispatcher().catalogue(), &workspace, "")?;
    take(&app, &identity, workspace, &query).await
}

/// `DELETE /v1/{collection}/{key}`: refused while another definition names it.
pub async fn delete(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Path((collection, key)): Path<(String, String)>,
    Query(query): Query<ApplyQuery>,
) -> Result<Json<Value>, Problem> {
    check(&collection)?;
    let before = app.engine.shared().definitions();
    if before.workspace.definition_json(&collection, &key).is_none() {
        return Err(Problem::not_found(format!("{collection} has no {key:?}")));
    }
    let workspace = before.workspace.replace(&collection, &key, None)?;
    take(&app, &identity, workspace, &query).await
}

fn check(collection: &str) -> Result<(), Problem> {
    if COLLECTIONS.contains(&collection) {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::NOT_FOUND,
        "there is no such collection",
        format!("{collection:?} is not one of {}", COLLECTIONS.join(", ")),
    ))
}

fn keys(workspace: &Workspace, collection: &str) -> Vec<String> {
    let keys = |items: Vec<&String>| items.into_iter().cloned().collect();
    match collection {
        "sources" => keys(workspace.sources.iter().map(|item| &item.key).collect()),
        "identifiers" => keys(workspace.identifiers.iter().map(|item| &item.key).collect()),
        "purposes" => keys(workspace.purposes.iter().map(|item| &item.key).collect()),
        "traits" => keys(workspace.traits.iter().map(|item| &item.key).collect()),
        "segments" => keys(workspace.segments.iter().map(|item| &item.key).collect()),
        "destinations" => keys(workspace.destinations.iter().map(|item| &item.key).collect()),
        "activations" => keys(workspace.activations.iter().map(|item| &item.key).collect()),
        _ => Vec::new(),
    }
}

/// What all items of a list have in common, read once.
struct Known<'a> {
    days: &'a [(Date, Day)],
    hour: &'a [Minute],
    role: Role,
}

/// Takes out of a definition what is the administrator's alone: write keys, with which one speaks as a source, and of a tool's
/// address everything behind its host, where some tools have their secret.
pub(crate) fn veil(role: Role, collection: &str, definition: &mut Value) {
    let Some(definition) = definition.as_object_mut().filter(|_| role != Role::Admin) else { return };
    match collection {
        "sources" => {
            definition.remove("write_key");
        }
        "destinations" => {
            for name in ["url", "base_url"] {
                if let Some(url) = definition.get_mut(name) {
                    *url = origin(url.as_str().unwrap_or_default()).into();
                }
            }
            if let Some(url) = definition.get_mut("list").and_then(|list| list.get_mut("url")) {
                *url = origin(url.as_str().unwrap_or_default()).into();
            }
        }
        _ => {}
    }
}

/// Scheme, host and port of an address.
pub(crate) fn origin(url: &str) -> String {
    let Ok(uri) = url.parse::<axum::http::Uri>() else { return String::new() };
    match (uri.scheme_str(), uri.host(), uri.port()) {
        (Some(scheme), Some(host), Some(port)) => format!("{scheme}://{host}:{port}"),
        (Some(scheme), Some(host), None) => format!("{scheme}://{host}"),
        _ => String::new(),
    }
}

/// A definition with what the engine knows of it: a segment's count and status, a destination's circuit and queue.
fn item(app: &App, collection: &str, key: &str, known: &Known<'_>) -> Option<Value> {
    let shared = app.engine.shared();
    let definitions = shared.definitions();
    let mut item = json!({"key": key, "definition": definitions.workspace.definition_json(collection, key)?});
    veil(known.role, collection, &mut item["definition"]);
    match collection {
        "segments" => {
            item["count"] = shared.counts.read().get(key).copied().unwrap_or(0).into();
            item["updated_at"] = json!(definitions.at);
            item["status"] = if shared.computing.load(Ordering::Acquire) { "computing".into() } else { "ready".into() };
            let segment = definitions.workspace.segment(key)?;
            item["label"] = json!(segment.label);
            item["sentence"] = json!({
                "fr": explain(&segment.rule, &definitions.workspace, Language::Fr),
                "en": explain(&segment.rule, &definitions.workspace, Language::En),
            });
            item["days"] = crate::segments::days_json(key, known.days);
        }
        "destinations" => return deliveries::destination_json(app, key, known.hour, known.role),
        _ => {}
    }
    Some(item)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_has_nothing_behind_the_host() {
        for (url, shown) in [
            ("https://hooks.example.org/services/T0/B0/secret", "https://hooks.example.org"),
            ("http://user:secret@127.0.0.1:9000/x?token=secret", "http://127.0.0.1:9000"),
            ("http://[::1]:80/x", "http://[::1]:80"),
            ("secret", ""),
        ] {
            assert_eq!(origin(url), shown);
        }
    }
}
