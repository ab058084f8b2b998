//! Headers that every answer carries, whoever made it.

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::App;

/// An answer of the API is no page: if a browser shows it as one, nothing in it runs.
const NOTHING: &str = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
/// Swagger UI sets styles on elements; its scripts are files of ours.
const DOCS: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                    connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// Two years, as browsers' preload lists ask for; only under our own TLS.
const TRANSPORT: &str = "max-age=63072000";

/// Adds what is missing; a handler that has said something of its own is not corrected.
pub(crate) async fn protect(State(app): State<App>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let is_docs = path == "/docs" || path.starts_with("/docs/");
    let is_collection = !is_docs && is_collection(path);
    let is_api = path.starts_with("/v1/");
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let mut add = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    add(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    add(header::X_FRAME_OPTIONS, "DENY");
    add(header::REFERRER_POLICY, "no-referrer");
    add(header::CONTENT_SECURITY_POLICY, if is_docs { DOCS } else { NOTHING });
    // Shops' pages call collection; nobody else's page has business here.
    add(HeaderName::from_static("cross-origin-resource-policy"), if is_collection { "cross-origin" } else { "same-origin" });
    add(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    if is_api {
        // Answers are about people, or say who asked.
        add(header::CACHE_CONTROL, "no-store");
    }
    if app.is_tls() {
        add(header::STRICT_TRANSPORT_SECURITY, TRANSPORT);
    }
    response
}

fn is_collection(path: &str) -> bool {
    let Some(rest) = path.strip_prefix("/v1/") else { return false };
    rest.starts_with("pixel/")
        || rest.starts_with("projects/")
        || rest == "batch"
        || rest == "b"
        || rest == "import"
        || crate::CALLS.contains(&rest)
}
