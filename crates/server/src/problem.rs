//! Errors on the wire: RFC 9457 problem details. An inner layer says what was wrong; only here it becomes a status.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jumelle_engine::SubmitError;
use jumelle_store::StoreError;
use serde_json::{Map, Value};

/// An answer that is not a success.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    title: &'static str,
    detail: String,
    more: Box<Map<String, Value>>,
    retry_after_s: Option<u32>,
}

impl Problem {
    /// Of a status, with what was wrong and what would be right.
    pub fn new(status: StatusCode, title: &'static str, detail: impl Into<String>) -> Problem {
        Problem { status, title, detail: detail.into(), more: Box::default(), retry_after_s: None }
    }

    /// 400.
    pub fn bad_request(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "the request is not understood", detail)
    }

    /// 404.
    pub fn not_found(what: impl Into<String>) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "there is no such thing", what)
    }

    /// 401.
    pub fn unauthorized(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::UNAUTHORIZED, "who are you?", detail)
    }

    /// 403.
    pub fn forbidden(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::FORBIDDEN, "not with this token", detail)
    }

    /// 429, with when to come again (whole seconds, 1 at least).
    pub fn too_many(what: &str, wait: std::time::Duration) -> Problem {
        let seconds = (wait.as_secs_f64().ceil() as u32).max(1);
        let detail = match what {
            "sign_in" => "too many wrong tokens came from this address",
            "token" => "this token makes more calls than it may",
            "write_key" => "this write key sends more requests than it may",
            _ => "this address sends more requests than it may",
        };
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many requests", format!("{detail}; try again in {seconds} s"))
            .with("rule", "too_many_requests")
            .after(seconds)
    }

    /// 503, to come again in a second.
    pub(crate) fn overloaded(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", detail).after(1)
    }

    /// Adds a member (`field`, `rule`, `errors` …).
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Problem {
        self.more.insert(key.to_owned(), value.into());
        self
    }

    /// Adds `code` and `message`, which SDKs read in a refusal. Without them rudder-sdk-python takes it for a broken network and
    /// sends the same refused batch again for minutes, while what comes after it waits.
    pub(crate) fn with_code(self) -> Problem {
        let code = self.more.get("rule").cloned().unwrap_or_else(|| self.title.into());
        let message = self.detail.clone();
        self.with("code", code).with("message", message)
    }

    /// With the seconds after which to try again.
    pub(crate) fn after(mut self, seconds: u32) -> Problem {
        self.retry_after_s = Some(seconds);
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = Map::new();
        body.insert("type".into(), "about:blank".into());
        body.insert("title".into(), self.title.into());
        body.insert("status".into(), self.status.as_u16().into());
        body.insert("detail".into(), self.detail.into());
        body.extend(*self.more);
        let mut response = (self.status, Json(Value::Object(body))).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Problem {
        let (title, seconds) = match &error {
            SubmitError::Overloaded => ("overloaded", 1),
            SubmitError::Failed(_) => ("the disk refuses writes", 30),
            SubmitError::Stopping => ("stopping", 5),
        };
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, title, error.to_string()).after(seconds)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        tracing::error!(%error, "storage error while answering");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "storage error", error.to_string())
    }
}

impl From<jumelle_engine::EraseError> for Problem {
    fn from(error: jumelle_engine::EraseError) -> Problem {
        match error {
            jumelle_engine::EraseError::Store(error) => error.into(),
            jumelle_engine::EraseError::Submit(error) => error.into(),
        }
    }
}

impl From<jumelle_model::workspace::Problems> for Problem {
    fn from(problems: jumelle_model::workspace::Problems) -> Problem {
        let detail = problems.to_string();
        let errors = serde_json::to_value(&problems.0).unwrap_or_default();
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "the definitions do not hold", detail).with("errors", errors)
    }
}

impl Problem {
    /// Trying again changes nothing.
    pub fn is_final(&self) -> bool {
        self.status.is_client_error() && self.status != StatusCode::TOO_MANY_REQUESTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_the_rule_or_what_it_is_called() {
        let refused = Problem::bad_request("too long").with("rule", "too_long").with_code();
        assert_eq!((&refused.more["code"], &refused.more["message"]), (&"too_long".into(), &"too long".into()));
        assert_eq!(Problem::unauthorized("no key").with_code().more["code"], "who are you?");
    }

    #[test]
    fn overload_says_when_to_come_again() {
        let response = Problem::from(SubmitError::Overloaded).into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    }
}
