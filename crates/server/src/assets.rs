//! The console and the browser tag, inside the binary.
//!
//! `scripts/web.sh` builds them (`console/dist`, `tag/dist`) before the binary is built; a binary built without them says so.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::Problem;

#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/../../console/dist"]
#[allow_missing = true]
struct Console;

#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/../../tag/dist"]
#[allow_missing = true]
struct Tag;

/// No script but ours, no request to anyone else. Styles may be inline: the component library sets them on elements.
const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                              font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; \
                              frame-ancestors 'none'";

/// Files with their hash in their name never change.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// Asked again at each use; the answer is 304 while nothing has changed.
const ASK_AGAIN: &str = "no-cache";
/// A shop's pages ask for the tag at each view: not more often than this.
const TAG_AGE: &str = "public, max-age=300, stale-while-revalidate=86400";

/// Every path that is none of the API: a file of the console, or the console's page for a browser that asks for one.
pub(crate) async fn console(request: Request) -> Response {
    let path = request.uri().path().trim_start_matches('/');
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if !reads || path.starts_with("v1/") {
        return not_found(&request);
    }
    if let Some(file) = Console::get(path).filter(|_| !path.is_empty()) {
        let age = if path.starts_with("assets/") { FOR_EVER } else { ASK_AGAIN };
        return answer(path, file, age, request.headers());
    }
    let accepts = request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if !path.is_empty() && !accepts.contains("text/html") {
        return not_found(&request);
    }
    let Some(page) = Console::get("index.html") else {
        return Problem::not_found(
            "this binary was built without the console; `make run` and `make release` build it. See /docs",
        )
        .into_response();
    };
    let mut response = answer("index.html", page, ASK_AGAIN, request.headers());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_POLICY));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// `GET /tag.js`: what a shop's pages load.
pub(crate) async fn tag(headers: HeaderMap) -> Response {
    let Some(file) = Tag::get("tag.js") else {
        return Problem::not_found("this binary was built without the browser tag; `make run` and `make release` build it")
            .into_response();
    };
    let mut response = answer("tag.js", file, TAG_AGE, &headers);
    // Pages of other origins load it.
    response.headers_mut().insert("cross-origin-resource-policy", HeaderValue::from_static("cross-origin"));
    response
}

fn not_found(request: &Request) -> Response {
    Problem::not_found(format!("{} {} is no path of this API; see /docs", request.method(), request.uri().path())).into_response()
}

fn answer(path: &str, file: EmbeddedFile, age: &'static str, asked: &HeaderMap) -> Response {
    let hash = file.metadata.sha256_hash();
    let tag: String = hash[..12].iter().map(|byte| format!("{byte:02x}")).collect();
    // Weak: the same content may travel compressed.
    let tag = format!("W/\"{tag}\"");
    let known = asked.get(header::IF_NONE_MATCH).and_then(|known| known.to_str().ok());
    let known = known.is_some_and(|known| known.split(',').any(|one| one.trim() == tag));
    let kind = mime_guess::from_path(path).first_or_octet_stream();
    let kind = match kind.type_() {
        mime_guess::mime::TEXT => format!("{kind}; charset=utf-8"),
        _ => kind.to_string(),
    };
    let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, age.to_owned()), (header::ETAG, tag)];
    if known {
        return (StatusCode::NOT_MODIFIED, headers, Body::empty()).into_response();
    }
    (StatusCode::OK, headers, file.data).into_response()
}
