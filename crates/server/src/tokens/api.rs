//! `/v1/tokens`: made, listed and revoked by administrators.

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use jumelle_model::time::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Identity, TokenError, Wanted};
use crate::roles::Role;
use crate::{App, Problem};

/// `{"name": "call centre", "role": "agent", "expires": "2027-01-01"?}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenRequest {
    name: String,
    role: String,
    expires: Option<String>,
}

/// `POST /v1/tokens`: the answer is the only place where the secret is shown.
pub(crate) async fn create(
    State(app): State<App>,
    Extension(by): Extension<Identity>,
    body: String,
) -> Result<Response, Problem> {
    let request: TokenRequest = serde_json::from_str(&body).map_err(|error| {
        Problem::bad_request(format!(
            "{error}; write {{\"name\": \"call centre\", \"role\": \"agent\"}}, and \"expires\" if wanted"
        ))
    })?;
    let role = Role::parse(&request.role).ok_or_else(|| {
        let roles = Role::ALL.map(Role::as_str).join(", ");
        Problem::bad_request(format!("{:?} is not one of {roles}", request.role)).with("field", "role")
    })?;
    let expires = match request.expires.as_deref() {
        None => None,
        Some(text) => Some(Timestamp::parse(text).ok_or_else(|| {
            Problem::bad_request(format!("{text:?} is not an instant; write 2027-01-01T00:00:00Z")).with("field", "expires")
        })?),
    };
    let tokens = app.tokens.clone();
    let wanted = Wanted { name: request.name, role, expires };
    let (mut token, secret) = blocking(move || tokens.create(wanted)).await?;
    tracing::info!(token = token["id"].as_str(), %role, by = &*by.id, "token created");
    token["token"] = secret.into();
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(token)).into_response())
}

/// `GET /v1/tokens`
pub(crate) async fn list(State(app): State<App>) -> Json<Value> {
    Json(json!({"items": app.tokens.list(), "next": null}))
}

/// `DELETE /v1/tokens/{id}`: its sessions and streams end with it.
pub(crate) async fn revoke(
    State(app): State<App>,
    Extension(by): Extension<Identity>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let (tokens, revoked) = (app.tokens.clone(), id.clone());
    blocking(move || tokens.revoke(&revoked)).await?;
    tracing::info!(token = id, by = &*by.id, "token revoked");
    Ok(Json(json!({"revoked": id})))
}

/// The file is synced: not on a thread that answers others.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, TokenError> + Send + 'static) -> Result<T, Problem> {
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error", "the log says where"))?;
    done.map_err(|error| match error {
        TokenError::Refused(detail) => Problem::new(StatusCode::CONFLICT, "not possible", detail),
        TokenError::Unknown(_) => Problem::not_found(error.to_string()),
        TokenError::Io { .. } | TokenError::Damaged { .. } => {
            tracing::error!(%error, "the tokens could not be kept");
            Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the tokens could not be kept",
                "the disk refuses writes; the log says why. A token that was revoked is revoked until the next start",
            )
        }
    })
}
