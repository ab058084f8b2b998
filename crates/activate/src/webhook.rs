//! The webhook connector: JSON, signed as Standard Webhooks 1.0 says.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use jumelle_consent::Cleared;
use jumelle_model::time::Timestamp;
use jumelle_model::workspace::{Destination, Secret};
use reqwest::StatusCode;
use reqwest::header::RETRY_AFTER;
use sha2::Sha256;

use crate::backoff::RETRY_AFTER_MAX;
use crate::egress::{self, is_private_host};
use crate::{last_look, secrets};

const TOTAL_TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes of an answer that are read; one that says more costs its connection.
const ANSWER_BYTES_MAX: usize = 4 * 1024;
/// A secret is at least this long.
const SECRET_BYTES_MIN: usize = 16;
/// Bytes of an answer that are kept as a reason.
const REASON_BYTES_MAX: usize = 200;

/// What a destination made of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Taken.
    Sent {
        /// 2xx.
        status: u16,
    },
    /// The destination is not there, or cannot: try again.
    Retry {
        /// Why.
        reason: String,
        /// HTTP status, if it answered.
        status: Option<u16>,
        /// It said when.
        after: Option<Duration>,
    },
    /// This message is refused.
    Refused {
        /// Why.
        reason: String,
        /// 4xx.
        status: u16,
    },
    /// The last look at the gate, with the connection made, found it closed: not a byte has left.
    Withheld,
    /// The destination is gone (410) or does not let us in (401, 403): an operator has to look.
    Misconfigured {
        /// Why.
        reason: String,
        /// HTTP status, if it answered.
        status: Option<u16>,
    },
}

/// Why a connector could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// Not a usable address.
    #[error("{0:?} is not a web address; it begins with https:// or http://")]
    Url(String),
    /// A private address that is not allowed.
    #[error("{0} is a private address; say allow_private: true if it is meant")]
    Private(String),
    /// The secret cannot be read.
    #[error("{0}")]
    Secret(String),
    /// The HTTP client.
    #[error("HTTP client: {0}")]
    Client(String),
}

/// One webhook destination.
pub struct Webhook {
    client: reqwest::Client,
    url: reqwest::Url,
    secret: Option<Vec<u8>>,
}

/// Reads a destination's secret at the moment of use, as [`secret_bytes`].
pub fn resolve_secret(secret: &Secret, destination: &str) -> Result<Vec<u8>, WebhookError> {
    secret_bytes(secrets::read(secret, destination).map_err(WebhookError::Secret)?)
}

/// `whsec_<base64>` is decoded, other text is taken as it is.
pub(crate) fn secret_bytes(text: String) -> Result<Vec<u8>, WebhookError> {
    let bytes = match text.strip_prefix("whsec_") {
        Some(encoded) => {
            STANDARD.decode(encoded.trim()).map_err(|_| WebhookError::Secret("what follows whsec_ is not base64".into()))?
        }
        None => text.into_bytes(),
    };
    if bytes.len() < SECRET_BYTES_MIN {
        let length = bytes.len();
        return Err(WebhookError::Secret(format!("the secret has {length} bytes; it needs {SECRET_BYTES_MIN} at least")));
    }
    Ok(bytes)
}

/// `v1,` and base64 of HMAC-SHA256 over `id.timestamp.body` (Standard Webhooks, "Signature scheme").
pub fn sign(secret: &[u8], id: &str, timestamp_s: i64, body: &[u8]) -> String {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else { return String::new() };
    mac.update(format!("{id}.{timestamp_s}.").as_bytes());
    mac.update(body);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

impl Webhook {
    /// A connector for a destination. Private literal addresses are refused here, names that resolve to such at each connection.
    pub fn new(destination: &Destination) -> Result<Webhook, WebhookError> {
        let url = reqwest::Url::parse(&destination.url).map_err(|_| WebhookError::Url(destination.url.clone()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(WebhookError::Url(destination.url.clone()));
        }
        let host = url.host_str().ok_or_else(|| WebhookError::Url(destination.url.clone()))?;
        if !destination.allow_private && is_private_host(host) {
            return Err(WebhookError::Private(host.to_owned()));
        }
        let secret = destination.secret.as_ref().map(|secret| resolve_secret(secret, &destination.key)).transpose()?;
        let client = egress::client(destination.allow_private).map_err(|error| WebhookError::Client(error.to_string()))?;
        Ok(Webhook { client, url, secret })
    }

    /// Sends one message that the gate has cleared, once:
    ///
    /// ```
    /// # use {jumelle_activate::Webhook, jumelle_consent::Cleared};
    /// async fn send(webhook: &Webhook, cleared: Cleared) {
    ///     webhook.send(cleared).await;
    /// }
    /// ```
    ///
    /// Nothing else is accepted:
    ///
    /// ```compile_fail,E0308
    /// # use {jumelle_activate::Webhook, jumelle_model::message::Message};
    /// async fn send(webhook: &Webhook, message: Message) {
    ///     webhook.send(message).await;
    /// }
    /// ```
    ///
    /// And a second sending passes the gate again:
    ///
    /// ```compile_fail,E0382
    /// # use {jumelle_activate::Webhook, jumelle_consent::Cleared};
    /// async fn send(webhook: &Webhook, cleared: Cleared) {
    ///     webhook.send(cleared).await;
    ///     webhook.send(cleared).await;
    /// }
    /// ```
    pub async fn send(&self, cleared: Cleared) -> Outcome {
        self.send_if(cleared, |_| true).await
    }

    /// As [`Webhook::send`], with a last look. To connect may take seconds, and a withdrawal does not wait for it: `still` is asked
    /// when the connection is there, and the request begins only if it says yes.
    pub async fn send_if(&self, cleared: Cleared, still: impl FnOnce(&Cleared) -> bool + Send + 'static) -> Outcome {
        let id = cleared.message().id.to_string();
        let body = cleared.body();
        let request = self.request(&id, &body);
        match last_look::send_if(request, body, move || still(&cleared)).await {
            Some(Ok(response)) => outcome(response).await,
            None => Outcome::Withheld,
            Some(Err(error)) => Outcome::Retry { reason: describe(&error), status: None, after: None },
        }
    }
}

impl Webhook {
    fn request(&self, id: &str, body: &[u8]) -> reqwest::RequestBuilder {
        let timestamp_s = Timestamp::now().0 / 1_000_000;
        let signature = self.secret.as_ref().map(|secret| sign(secret, id, timestamp_s, body));
        let request = self.client.post(self.url.clone()).timeout(TOTAL_TIMEOUT);
        head(id, timestamp_s, signature).into_iter().fold(request, |request, (name, value)| request.header(name, value))
    }

    /// Asks the address to take a message about nobody, signed as any other: `{"type": "test"}`.
    pub(crate) async fn test(&self) -> Outcome {
        const ID: &str = "msg_test";
        let body = serde_json::json!({"id": ID, "type": "test", "at": Timestamp::now().to_string(), "data": {}}).to_string();
        let body = body.into_bytes();
        let request = self.request(ID, &body);
        match last_look::send_if(request, body, || true).await {
            Some(Ok(response)) => outcome(response).await,
            Some(Err(error)) => Outcome::Retry { reason: describe(&error), status: None, after: None },
            None => Outcome::Withheld,
        }
    }
}

/// The headers of a message, in their order.
pub(crate) fn head(id: &str, timestamp_s: i64, signature: Option<String>) -> Vec<(&'static str, String)> {
    let mut head = vec![
        ("content-type", "application/json".to_owned()),
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", timestamp_s.to_string()),
    ];
    head.extend(signature.map(|signature| ("webhook-signature", signature)));
    head
}

async fn outcome(mut response: reqwest::Response) -> Outcome {
    let status = response.status();
    let code = status.as_u16();
    if status.is_success() {
        // Read to the end (it is short), so that the connection serves again.
        let mut read = 0;
        while let Ok(Some(chunk)) = response.chunk().await {
            read += chunk.len();
            if read > ANSWER_BYTES_MAX {
                break;
            }
        }
        return Outcome::Sent { status: code };
    }
    let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).and_then(retry_after);
    let mut text = match response.chunk().await {
        Ok(Some(chunk)) => String::from_utf8_lossy(&chunk[..chunk.len().min(REASON_BYTES_MAX)]).into_owned(),
        _ => String::new(),
    };
    text.retain(|c| !c.is_control());
    let reason = format!("{status}{}{text}", if text.is_empty() { "" } else { ": " });
    match status {
        StatusCode::GONE | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Outcome::Misconfigured { reason, status: Some(code) }
        }
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            Outcome::Retry { reason, status: Some(code), after }
        }
        status if status.is_server_error() => Outcome::Retry { reason, status: Some(code), after },
        status if status.is_redirection() => {
            Outcome::Misconfigured { reason: format!("{reason} (redirects are not followed)"), status: Some(code) }
        }
        _ => Outcome::Refused { reason, status: code },
    }
}

/// Seconds, or an HTTP date; at most [`RETRY_AFTER_MAX`].
fn retry_after(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX));
    }
    let date = httpdate::parse_http_date(text.trim()).ok()?;
    Some(date.duration_since(std::time::SystemTime::now()).unwrap_or_default().min(RETRY_AFTER_MAX))
}

/// An error without the address it went to: it stands with the destination already.
pub(crate) fn describe(error: &reqwest::Error) -> String {
    let mut source: &dyn std::error::Error = error;
    while let Some(inner) = source.source() {
        source = inner;
    }
    if error.is_timeout() { format!("timed out: {source}") } else { source.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_standard_webhooks_libraries() {
        let secret = resolve_secret(&Secret::Plain("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()), "crm").unwrap();
        let signature = sign(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_within_a_day() {
        assert_eq!(retry_after("120"), Some(Duration::from_secs(120)));
        assert_eq!(retry_after("99999999"), Some(RETRY_AFTER_MAX));
        assert_eq!(retry_after("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        assert_eq!(retry_after("soon"), None);
    }

    #[test]
    fn a_private_address_needs_to_be_allowed() {
        let destination = |url: &str, allow_private| Destination {
            key: "d".into(),
            connector: "webhook".into(),
            url: url.into(),
            settings: Vec::new(),
            secret: None,
            allow_private,
            concurrency: 1,
            country: None,
            transfer: None,
            paused: false,
            strings: Vec::new(),
            take_back: Default::default(),
            file: None,
        };
        for url in ["http://127.0.0.1/x", "http://[::1]/x", "https://169.254.169.254/latest"] {
            assert!(matches!(Webhook::new(&destination(url, false)), Err(WebhookError::Private(_))), "{url}");
            assert!(Webhook::new(&destination(url, true)).is_ok(), "{url}");
        }
    }
}
