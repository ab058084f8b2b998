//! Sealing a secret for the definitions.

use axum::http::StatusCode;
use axum::{Extension, Json};
use jumelle_activate::secrets::held;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Problem;
use crate::tokens::Identity;

/// `{"destination": "crm", "secret": "…"}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SealRequest {
    /// Where it will be used: it opens nowhere else.
    destination: String,
    /// The secret itself.
    secret: String,
}

/// `POST /v1/secrets/seal`: the text to write into the definitions as `{sealed: …}`.
pub async fn seal(Extension(caller): Extension<Identity>, body: String) -> Result<Json<Value>, Problem> {
    // What does not parse is not repeated: it may hold the secret.
    let request: SealRequest = serde_json::from_str(&body)
        .map_err(|_| Problem::bad_request("write {\"destination\": \"crm\", \"secret\": \"the secret\"}"))?;
    for (field, text) in [("destination", &request.destination), ("secret", &request.secret)] {
        if text.is_empty() {
            return Err(Problem::bad_request(format!("{field} is empty")).with("field", field));
        }
    }
    let keys = held().ok_or_else(|| {
        let detail = "the server has no key for secrets: make one with `jumelle secret key`, and give it as \
                      JUMELLE_SECRETS_KEY, secrets_key_file or secrets_key_command";
        Problem::new(StatusCode::CONFLICT, "there is no key", detail)
    })?;
    tracing::info!(by = %caller.name, destination = %request.destination, "a secret was sealed");
    Ok(Json(json!({"sealed": keys.seal(&request.destination, &request.secret)})))
}
