//! Telling the operator. A notice is about a tool and carries counts: nothing of a person fits into it.

use std::time::Duration;

use jumelle_model::time::Timestamp;
use serde::Serialize;

use crate::egress;
use crate::webhook::{describe, secret_bytes, sign};

/// From the connection to the end of the answer.
const TIMEOUT: Duration = Duration::from_secs(15);

/// What is told of a destination's removals.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Notice {
    /// `removals.overdue`, or `removals.mended` when none is any more.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Key of the destination.
    pub destination: String,
    /// Removals that the tool has not confirmed in the time it has.
    pub overdue: u64,
    /// All that it has not confirmed.
    pub waiting: u64,
    /// When the oldest was caused.
    pub oldest_at: Option<Timestamp>,
    /// The time that the tool has, in seconds.
    pub confirm_within_s: i64,
    /// It was told before, and still stands.
    pub reminder: bool,
    /// When this was found.
    pub at: Timestamp,
}

/// The operator's own webhook, signed as Standard Webhooks 1.0 says. Private addresses are allowed: whoever starts the server wrote
/// it, and no workspace can.
pub struct Bell {
    client: reqwest::Client,
    url: reqwest::Url,
    secret: Vec<u8>,
}

impl Bell {
    /// A bell at an address. The secret is `whsec_` and base64, or a text of 16 bytes at least.
    pub fn new(url: &str, secret: &str) -> Result<Bell, String> {
        let parsed = reqwest::Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let url = parsed.ok_or_else(|| format!("alarm_url: {url:?} is not a web address"))?;
        let secret = secret_bytes(secret.to_owned()).map_err(|error| format!("alarm_secret: {error}"))?;
        let client = egress::client(true).map_err(|error| format!("HTTP client: {error}"))?;
        Ok(Bell { client, url, secret })
    }

    /// Tells; `Err` says why it was not taken (anything but 2xx within 15 s).
    pub async fn ring(&self, id: &str, notice: &Notice) -> Result<(), String> {
        let body = serde_json::to_vec(notice).map_err(|error| error.to_string())?;
        let timestamp_s = Timestamp::now().0 / 1_000_000;
        let request = self
            .client
            .post(self.url.clone())
            .timeout(TIMEOUT)
            .header("content-type", "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp_s)
            .header("webhook-signature", sign(&self.secret, id, timestamp_s, &body))
            .body(body);
        let answer = request.send().await.map_err(|error| describe(&error))?;
        if answer.status().is_success() { Ok(()) } else { Err(format!("it answered {}", answer.status())) }
    }
}
