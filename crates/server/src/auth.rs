//! Who may call what. Collection has write keys; everything else a bearer token.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use sha2::{Digest, Sha256};

use crate::{App, Problem, session};

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

    /// Key for what is derived from the token, such as the console's cookies.
    pub(crate) fn key(&self) -> &[u8] {
        &self.0
    }

    /// Hashes are compared, so the time it takes says nothing of the token.
    pub fn allows(&self, headers: &HeaderMap) -> bool {
        bearer(headers).is_some_and(|token| self.is(token))
    }

    /// Whether this is the token.
    pub fn is(&self, token: &str) -> bool {
        token_hash(token) == self.0
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
    // Signing in and out is for those who are not signed in.
    let is_sign_in = request.uri().path() == "/v1/session" && matches!(*request.method(), Method::POST | Method::DELETE);
    match session::standing(&app.admin, request.headers(), request.method()) {
        _ if is_sign_in => return next.run(request).await,
        session::Standing::SignedIn => return next.run(request).await,
        session::Standing::Forged => {
            return Problem::new(
                StatusCode::FORBIDDEN,
                "not from the console",
                "a change made with the console's cookie needs the header `X-Jumelle-Console: 1`, which no other site can send",
            )
            .into_response();
        }
        session::Standing::Unknown => {}
    }
    metrics::counter!("jumelle_unauthorized_total", "what" => "token").increment(1);
    Problem::unauthorized(
        "send the header `Authorization: Bearer TOKEN`, with the token that `jumelle serve` printed or JUMELLE_ADMIN_TOKEN",
    )
    .into_response()
}
