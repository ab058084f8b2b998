//! Headers that every answer carries, whoever made it.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

/// Headers that are added at most, with the request's id.
const ADDED_MAX: usize = 9;
/// An answer of the API is no page: if a browser shows it as one, nothing in it runs.
const NOTHING: &str = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
/// Swagger UI sets styles on elements; its scripts are files of ours.
const DOCS: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                    connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// Two years, as browsers' preload lists ask for; only under our own TLS.
const TRANSPORT: &str = "max-age=63072000";

/// Which headers an answer needs, by what was asked for.
pub(crate) struct Protection {
    policy: &'static str,
    resource: &'static str,
    is_api: bool,
    is_tls: bool,
}

impl Protection {
    /// Of a path.
    pub(crate) fn of(path: &str, is_tls: bool) -> Protection {
        let is_docs = path == "/docs" || path.starts_with("/docs/");
        Protection {
            policy: if is_docs { DOCS } else { NOTHING },
            // Shops' pages call collection; nobody else's page has business here.
            resource: if is_collection(path) { "cross-origin" } else { "same-origin" },
            is_api: path.starts_with("/v1/"),
            is_tls,
        }
    }

    /// Adds what is missing; a handler that has said something of its own is not corrected.
    pub(crate) fn add_to(&self, headers: &mut HeaderMap) {
        headers.reserve(ADDED_MAX);
        let mut add = |name: HeaderName, value: &'static str| {
            headers.entry(name).or_insert(HeaderValue::from_static(value));
        };
        add(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        add(header::X_FRAME_OPTIONS, "DENY");
        add(header::REFERRER_POLICY, "no-referrer");
        add(header::CONTENT_SECURITY_POLICY, self.policy);
        add(HeaderName::from_static("cross-origin-resource-policy"), self.resource);
        add(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
        if self.is_api {
            // Answers are about people, or say who asked.
            add(header::CACHE_CONTROL, "no-store");
        }
        if self.is_tls {
            add(header::STRICT_TRANSPORT_SECURITY, TRANSPORT);
        }
    }
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
