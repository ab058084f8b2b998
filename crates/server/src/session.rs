//! The console's sign-in: a token for a cookie that scripts cannot read.
//!
//! The cookie is `id.expiry.HMAC-SHA256(key, id, expiry)`, the key being the hash of the token with this id: it survives a restart,
//! ends with the token, has the token's role, and nothing is kept on the server.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest as _, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jumelle_model::time::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::tokens::{Identity, Tokens, from_hex, hex};
use crate::{App, Problem, auth};

const COOKIE: &str = "jumelle_session";
/// What no other site can send without being allowed to.
const CONSOLE_HEADER: &str = "x-jumelle-console";
/// How long a sign-in lasts.
const SESSION_S: i64 = 12 * 60 * 60;

/// What the cookies of a request come to.
#[derive(Clone, Debug)]
pub(crate) enum Standing {
    /// A sign-in that holds, with the token that was signed in with.
    SignedIn(Identity),
    /// A sign-in that holds, but a change without the console's own header: another site may have sent it.
    Forged,
    /// None, or one that does not hold.
    Unknown,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignIn {
    token: String,
}

/// Whether a request comes from somebody who is signed in.
pub(crate) fn standing(tokens: &Arc<Tokens>, headers: &HeaderMap, method: &Method) -> Standing {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mine = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|cookie| cookie.trim().split_once('='));
    // A browser sends ours once or, after a path was shadowed, twice; nobody needs more looked at.
    let mut mine = mine.filter(|(name, _)| *name == COOKIE).take(2);
    let Some(identity) = mine.find_map(|(_, value)| holds(tokens, value, Timestamp::now())) else { return Standing::Unknown };
    let reads = *method == Method::GET || *method == Method::HEAD;
    if reads || headers.contains_key(CONSOLE_HEADER) { Standing::SignedIn(identity) } else { Standing::Forged }
}

fn mac(hash: &[u8; 32], id: &str, expiry_s: i64) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(hash).ok()?;
    mac.update(id.as_bytes());
    mac.update(&expiry_s.to_be_bytes());
    Some(mac)
}

fn holds(tokens: &Arc<Tokens>, cookie: &str, now: Timestamp) -> Option<Identity> {
    let (id, rest) = cookie.split_once('.')?;
    let (expiry, signature) = rest.split_once('.')?;
    let expiry: i64 = expiry.parse().ok()?;
    let signature = from_hex(signature)?;
    let (identity, hash) = tokens.by_id(id, now)?;
    mac(&hash, id, expiry)?.verify_slice(&signature).ok()?;
    (now.0 / 1_000_000 < expiry).then_some(identity)
}

fn cookie(value: &str, seconds: i64, is_tls: bool, headers: &HeaderMap) -> String {
    // Behind a proxy that speaks TLS the cookie must not travel without it.
    let secure = is_tls || headers.get("x-forwarded-proto").is_some_and(|proto| proto == "https");
    let secure = if secure { "; Secure" } else { "" };
    format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}")
}

/// `POST /v1/session`
pub async fn sign_in(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let from = auth::counted(&app, &request);
    let headers = request.headers().clone();
    let body = Bytes::from_request(request, &()).await.map_err(|error| Problem::bad_request(error.to_string()))?;
    let wanted: SignIn = serde_json::from_slice(&body)
        .map_err(|_| Problem::bad_request("write {\"token\": \"…\"}, the token to sign in with").with("field", "token"))?;
    let identity = auth::identify(&app, wanted.token.trim(), from)?;
    let now_s = Timestamp::now().0 / 1_000_000;
    let expiry = identity.expires.map_or(i64::MAX, |expires| expires.0 / 1_000_000).min(now_s + SESSION_S);
    let signed = app.tokens.by_id(&identity.id, Timestamp::now()).and_then(|(_, hash)| mac(&hash, &identity.id, expiry));
    let signature = signed.ok_or_else(|| Problem::unauthorized("the token was revoked just now"))?.finalize().into_bytes();
    let value = format!("{}.{expiry}.{}", identity.id, hex(&signature));
    let cookie = cookie(&value, expiry - now_s, app.is_tls(), &headers);
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}

/// `DELETE /v1/session`
pub async fn sign_out(State(app): State<App>, headers: HeaderMap) -> Response {
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie("", 0, app.is_tls(), &headers))]).into_response()
}

/// `GET /v1/session`: who is signed in, and to what.
pub async fn who(State(app): State<App>, Extension(identity): Extension<Identity>) -> Json<Value> {
    let definitions = app.engine.shared().definitions();
    let settings = &definitions.workspace.settings;
    Json(json!({
        "role": identity.role, "token": &*identity.id, "name": &*identity.name, "version": env!("CARGO_PKG_VERSION"),
        "workspace": {
            "key": settings.key, "locale": settings.locale, "currency": settings.currency, "timezone": settings.timezone,
        },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{AdminToken, token_hash};
    use crate::roles::Role;

    fn signed(token: &str, expiry: i64) -> String {
        format!("first.{expiry}.{}", hex(&mac(&token_hash(token), "first", expiry).unwrap().finalize().into_bytes()))
    }

    fn tokens(token: &str) -> Arc<Tokens> {
        Arc::new(Tokens::new(AdminToken::chosen(token)))
    }

    #[tokio::test]
    async fn a_cookie_holds_until_it_ends_and_only_with_its_token() {
        let (mine, other) = (tokens("a token"), tokens("another"));
        let cookie = signed("a token", 1_000);
        let at = |second: i64| Timestamp(second * 1_000_000);
        assert_eq!(holds(&mine, &cookie, at(999)).unwrap().role, Role::Admin);
        assert!(holds(&mine, &cookie, at(1_000)).is_none(), "it has ended");
        assert!(holds(&other, &cookie, at(999)).is_none(), "another token");
        assert!(holds(&mine, &cookie.replace("1000", "2000"), at(999)).is_none(), "a later end needs another signature");
        assert!(holds(&mine, &cookie.replace("first", "tok_0"), at(999)).is_none(), "another id needs another signature");
        for wrong in ["", ".", "1000.", "first.x.00", "first.1000.zz", "first.1000.é", "first.1000."] {
            assert!(holds(&mine, wrong, at(1)).is_none(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_change_needs_the_consoles_header() {
        let tokens = tokens("a token");
        let mut headers = HeaderMap::new();
        assert!(matches!(standing(&tokens, &headers, &Method::GET), Standing::Unknown));
        let value = format!("other=1; {COOKIE}={}", signed("a token", i64::MAX));
        headers.insert(header::COOKIE, value.parse().unwrap());
        assert!(matches!(standing(&tokens, &headers, &Method::GET), Standing::SignedIn(_)));
        assert!(matches!(standing(&tokens, &headers, &Method::POST), Standing::Forged));
        headers.insert(CONSOLE_HEADER, "1".parse().unwrap());
        assert!(matches!(standing(&tokens, &headers, &Method::POST), Standing::SignedIn(_)));
    }
}
