//! Who may call what. Collection has write keys; everything else a bearer token, or the console's session, with a role.

use std::net::IpAddr;
use std::time::Duration;

use axum::RequestExt as _;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use jumelle_model::time::Timestamp;
use sha2::{Digest, Sha256};

use crate::listen::Peer;
use crate::roles::{self, Entry};
use crate::tokens::Identity;
use crate::{App, Problem, session};

/// The first administrator's token, as a hash: the token itself is never kept.
#[derive(Clone, Copy)]
pub struct AdminToken {
    hash: [u8; 32],
    is_chosen: bool,
}

/// SHA-256 of a token. Tokens are long and random, so a plain hash is enough.
pub fn token_hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

impl AdminToken {
    /// One that Jumelle made, from its hash.
    pub fn from_hash(hash: [u8; 32]) -> AdminToken {
        AdminToken { hash, is_chosen: false }
    }

    /// One that the operator chose. It may be weak: guesses at it are slowed. It is not revoked here but where it is set.
    pub fn chosen(token: &str) -> AdminToken {
        AdminToken { hash: token_hash(token), is_chosen: true }
    }

    pub(crate) fn hash(&self) -> [u8; 32] {
        self.hash
    }

    pub(crate) fn is_chosen(&self) -> bool {
        self.is_chosen
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

/// Whom a collection request is counted for, as its handler sees it.
#[derive(Clone, Copy)]
pub(crate) struct Counted(Option<IpAddr>);

impl Counted {
    pub(crate) fn is_limited(self) -> bool {
        self.0.is_some()
    }
}

/// Whom a request is counted for; `None`: nobody who is limited.
pub(crate) fn counted(app: &App, request: &Request) -> Option<IpAddr> {
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0.ip());
    app.rates.counted(peer, request.headers())
}

/// 429, counted.
pub(crate) fn too_many(what: &'static str, wait: Duration) -> Problem {
    metrics::counter!("jumelle_limited_total", "what" => what).increment(1);
    Problem::too_many(what, wait)
}

/// A token as somebody at an address gives it. Wrong ones are counted, and one that may be weak is not even looked at while an
/// address has given too many of them; one that Jumelle made cannot be guessed, so nobody's guesses lock it out.
pub(crate) fn identify(app: &App, token: &str, from: Option<IpAddr>) -> Result<Identity, Problem> {
    let guesses = app.rates.sign_in.as_ref().zip(from);
    let known = app.tokens.identify(token, Timestamp::now());
    let may_be_weak = known.as_ref().is_none_or(|identity| app.tokens.may_be_weak(identity));
    if let Some((limiter, address)) = guesses
        && may_be_weak
    {
        limiter.peek(address).map_err(|wait| too_many("sign_in", wait))?;
        if known.is_none() {
            // Refused above if there was none left; a race costs nothing.
            let _ = limiter.take(address);
        }
    }
    known.ok_or_else(|| {
        metrics::counter!("jumelle_unauthorized_total", "what" => "token").increment(1);
        Problem::unauthorized(
            "send the header `Authorization: Bearer TOKEN`, with a token of `jumelle token create` or the first one, which \
             `jumelle serve` printed or JUMELLE_ADMIN_TOKEN sets",
        )
    })
}

/// Lets through whom the table of roles lets through; everybody else hears why not.
pub(crate) async fn require_role(State(app): State<App>, mut request: Request, next: Next) -> Response {
    match judge(&app, &request) {
        Ok(Some(identity)) => {
            request.extensions_mut().insert(identity);
            next.run(request).await
        }
        Ok(None) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// Who calls; `None` where nobody needs to be known.
fn judge(app: &App, request: &Request) -> Result<Option<Identity>, Problem> {
    let (method, asked) = (request.method(), request.uri().path());
    // Signing in and out is for those who are not signed in.
    if asked == "/v1/session" && matches!(*method, Method::POST | Method::DELETE) {
        return Ok(None);
    }
    let identity = caller(app, request)?;
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    match roles::entry(method, route, asked) {
        Entry::Granted(grant) if grant.allows(identity.role) => {}
        Entry::Granted(grant) => {
            metrics::counter!("jumelle_unauthorized_total", "what" => "role").increment(1);
            return Err(Problem::forbidden(format!(
                "this token's role is {}; {} {} is for {}",
                identity.role,
                grant.method.to_uppercase(),
                grant.path,
                grant.roles().join(", ")
            )));
        }
        Entry::OtherMethod => {
            return Err(Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "not this method",
                format!("{method} is not for this path; see /docs"),
            ));
        }
        Entry::Unlisted => {
            return Err(Problem::not_found(format!("{asked} is no path of this API, or in no role's rights; see /docs")));
        }
    }
    if let Some(limiter) = &app.rates.token
        && counted(app, request).is_some()
    {
        limiter.take(&*identity.id).map_err(|wait| too_many("token", wait))?;
    }
    Ok(Some(identity))
}

fn caller(app: &App, request: &Request) -> Result<Identity, Problem> {
    let headers = request.headers();
    if let Some(token) = bearer(headers) {
        return identify(app, token, counted(app, request));
    }
    match session::standing(&app.tokens, headers, request.method()) {
        session::Standing::SignedIn(identity) => Ok(identity),
        session::Standing::Forged => Err(Problem::new(
            StatusCode::FORBIDDEN,
            "not from the console",
            "a change made with the console's cookie needs the header `X-Jumelle-Console: 1`, which no other site can send",
        )),
        session::Standing::Unknown => {
            metrics::counter!("jumelle_unauthorized_total", "what" => "token").increment(1);
            Err(Problem::unauthorized("send the header `Authorization: Bearer TOKEN`, or sign the console in"))
        }
    }
}

/// Collection, per address: before the body is read. What is decompressed is bounded here as well as what comes of it: a body may be
/// endless and yet come to nothing.
pub(crate) async fn limit_address(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let counted = counted(&app, &request);
    request.extensions_mut().insert(Counted(counted));
    if let Some(limiter) = &app.rates.address
        && let Some(address) = counted
        && let Err(wait) = limiter.take(address)
    {
        return too_many("address", wait).with_code().into_response();
    }
    let is_compressed = request.headers().contains_key(header::CONTENT_ENCODING);
    next.run(if is_compressed { request.with_limited_body() } else { request }).await
}
