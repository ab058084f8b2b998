//! The console's sign-in: a token for a cookie that scripts cannot read.
//!
//! The cookie is `expiry.HMAC-SHA256(key, expiry)`, the key being the token's hash: it survives a restart, ends with the token, and
//! nothing is kept on the server.

use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, body::Bytes};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jumelle_model::time::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::auth::AdminToken;
use crate::{App, Problem};

const COOKIE: &str = "jumelle_session";
/// What no other site can send without being allowed to.
const CONSOLE_HEADER: &str = "x-jumelle-console";
/// How long a sign-in lasts.
const SESSION_S: i64 = 12 * 60 * 60;

/// What the cookies of a request come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Standing {
    /// A sign-in that holds.
    SignedIn,
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
pub(crate) fn standing(admin: &AdminToken, headers: &HeaderMap, method: &Method) -> Standing {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mine = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|cookie| cookie.trim().split_once('='));
    let now_s = Timestamp::now().0 / 1_000_000;
    if !mine.into_iter().any(|(name, value)| name == COOKIE && holds(admin, value, now_s)) {
        return Standing::Unknown;
    }
    let reads = *method == Method::GET || *method == Method::HEAD;
    if reads || headers.contains_key(CONSOLE_HEADER) { Standing::SignedIn } else { Standing::Forged }
}

fn mac(admin: &AdminToken, expiry_s: i64) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(admin.key()).ok()?;
    mac.update(&expiry_s.to_be_bytes());
    Some(mac)
}

fn holds(admin: &AdminToken, cookie: &str, now_s: i64) -> bool {
    let checked = || {
        let (expiry, signature) = cookie.split_once('.')?;
        let expiry: i64 = expiry.parse().ok()?;
        let signature = u8s(signature)?;
        mac(admin, expiry)?.verify_slice(&signature).ok()?;
        (now_s < expiry).then_some(())
    };
    checked().is_some()
}

fn u8s(hex: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = hex.chars().map(|digit| digit.to_digit(16).map(|digit| digit as u8)).collect();
    Some(digits?.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect())
}

fn cookie(value: &str, seconds: i64, headers: &HeaderMap) -> String {
    // Behind a proxy that speaks TLS the cookie must not travel without it.
    let secure = headers.get("x-forwarded-proto").is_some_and(|proto| proto == "https");
    let secure = if secure { "; Secure" } else { "" };
    format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}")
}

/// `POST /v1/session`
pub async fn sign_in(State(app): State<App>, headers: HeaderMap, body: Bytes) -> Result<Response, Problem> {
    let request: SignIn = serde_json::from_slice(&body)
        .map_err(|_| Problem::bad_request("write {\"token\": \"…\"}, the token of the administrator").with("field", "token"))?;
    if !app.admin.is(request.token.trim()) {
        metrics::counter!("jumelle_unauthorized_total", "what" => "sign_in").increment(1);
        return Err(Problem::unauthorized(
            "this is not the token; it is the one that `jumelle serve` printed at its first start, or JUMELLE_ADMIN_TOKEN",
        ));
    }
    let expiry = Timestamp::now().0 / 1_000_000 + SESSION_S;
    let signature = mac(&app.admin, expiry).map(|mac| mac.finalize().into_bytes()).unwrap_or_default();
    let hex: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
    let cookie = cookie(&format!("{expiry}.{hex}"), SESSION_S, &headers);
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}

/// `DELETE /v1/session`
pub async fn sign_out(headers: HeaderMap) -> Response {
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie("", 0, &headers))]).into_response()
}

/// `GET /v1/session`: who is signed in, and to what.
pub async fn who(State(app): State<App>) -> Json<Value> {
    let definitions = app.engine.shared().definitions();
    let settings = &definitions.workspace.settings;
    Json(json!({
        "role": "admin", "version": env!("CARGO_PKG_VERSION"),
        "workspace": {
            "key": settings.key, "locale": settings.locale, "currency": settings.currency, "timezone": settings.timezone,
        },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(admin: &AdminToken, expiry: i64) -> String {
        let bytes = mac(admin, expiry).unwrap().finalize().into_bytes();
        format!("{expiry}.{}", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    }

    #[test]
    fn a_cookie_holds_until_it_ends_and_only_with_its_token() {
        let admin = AdminToken::from_hash(crate::token_hash("a token"));
        let other = AdminToken::from_hash(crate::token_hash("another"));
        let cookie = signed(&admin, 1_000);
        assert!(holds(&admin, &cookie, 999));
        assert!(!holds(&admin, &cookie, 1_000), "it has ended");
        assert!(!holds(&other, &cookie, 999), "another token");
        assert!(!holds(&admin, &cookie.replace("1000", "2000"), 999), "a later end needs another signature");
        for wrong in ["", ".", "1000.", "x.00", "1000.zz", "1000.é"] {
            assert!(!holds(&admin, wrong, 1), "{wrong}");
        }
    }

    #[test]
    fn a_change_needs_the_consoles_header() {
        let admin = AdminToken::from_hash(crate::token_hash("a token"));
        let mut headers = HeaderMap::new();
        assert_eq!(standing(&admin, &headers, &Method::GET), Standing::Unknown);
        let value = format!("other=1; {COOKIE}={}", signed(&admin, i64::MAX));
        headers.insert(header::COOKIE, value.parse().unwrap());
        assert_eq!(standing(&admin, &headers, &Method::GET), Standing::SignedIn);
        assert_eq!(standing(&admin, &headers, &Method::POST), Standing::Forged);
        headers.insert(CONSOLE_HEADER, "1".parse().unwrap());
        assert_eq!(standing(&admin, &headers, &Method::POST), Standing::SignedIn);
    }
}
