//! The catalogue of connectors: what there is, how each was checked, and what a destination of it is given.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use jumelle_connect::{Catalogue, Connector, OpName};
use serde_json::{Value, json};

use crate::{App, Problem};

/// `GET /v1/connectors`
pub async fn list(State(app): State<App>) -> Json<Value> {
    let catalogue = app.engine.dispatcher().catalogue();
    let items: Vec<Value> = catalogue.all().map(|connector| item(&catalogue, connector)).collect();
    Json(json!({"items": items, "next": null}))
}

/// `GET /v1/connectors/{key}`
pub async fn one(State(app): State<App>, Path(key): Path<String>) -> Result<Json<Value>, Problem> {
    let catalogue = app.engine.dispatcher().catalogue();
    let connector = catalogue.get(&key).ok_or_else(|| Problem::not_found(format!("there is no connector {key:?}")))?;
    let mut whole = item(&catalogue, connector);
    whole["readme"] = connector.readme.as_str().into();
    Ok(Json(whole))
}

fn item(catalogue: &Catalogue, connector: &Arc<Connector>) -> Value {
    let manifest = &connector.manifest;
    let ops = [OpName::Add, OpName::Update, OpName::Remove, OpName::Withdraw, OpName::Erase];
    let silent: serde_json::Map<String, Value> =
        ops.into_iter().filter_map(|op| Some((op.as_str().to_owned(), connector.sends_nothing(op)?.into()))).collect();
    json!({
        "key": manifest.connector, "version": manifest.version, "name": manifest.name, "about": manifest.about, "kind": manifest.kind,
        "channels": manifest.channels, "checked": manifest.checked, "settings": manifest.settings, "fields": manifest.fields,
        "require": manifest.require, "consent": manifest.consent, "removal": manifest.removal, "sends_nothing": silent,
        "batch_rows": manifest.batch.rows, "rate": manifest.rate, "has_test": connector.has_test(),
        "own": catalogue.is_own(&manifest.connector), "icon": connector.icon,
    })
}
