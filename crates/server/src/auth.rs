//! Who may call what. Collection has write keys; everything else a bearer token.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use sha2::{Digest, Sha256};

use crate::{App, Problem};

/// The administrator's token, as a hash: the token itself is never kept.
#[derive(Clone, Copy)]
pub struct AdminToken([u8; 32]);

/// SHA-256 of a token. Tokens are long and random, so a plain hash is enough.
pub fn token_hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

impl AdminToken {
    /// From its hash.
    pub fn from_hash(hash: [u8; 32]) -> AdminToken {
        AdminToken(hash)
    }

    /// Hashes are compared, so the time it takes says nothing of the token.
    pub fn allows(&self, headers: &HeaderMap) -> bool {
        bearer(headers).is_some_and(|token| token_hash(token) == self.0)
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The write key of HTTP Basic authentication (its user name).
pub(crate) fn basic_user(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(encoded.trim()).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let user = text.split(':').next().unwrap_or_default();
    (!user.is_empty()).then(|| user.to_owned())
}

/// Lets administrators through.
pub(crate) async fn require_admin(State(app): State<App>, request: Request, next: Next) -> Response {
    if app.admin.allows(request.headers()) {
        return next.run(request).await;
    }
    metrics::counter!("jumelle_unauthorized_total", "what" => "token").increment(1);
    Problem::unauthorized(
        "send the header `Authorization: Bearer TOKEN`, with the token that `jumelle serve` printed or JUMELLE_ADMIN_TOKEN",
    )
    .into_response()
}
