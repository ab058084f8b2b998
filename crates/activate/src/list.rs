//! Reading what a tool says that it holds.

use std::time::Duration;

use jumelle_model::workspace::Destination;

use crate::egress::{self, is_private_host};
use crate::webhook::resolve_secret;

/// Bytes of a list that are read.
const LIST_BYTES_MAX: usize = 256 << 20;
/// From the request to the end of the list.
const LIST_TIMEOUT: Duration = Duration::from_secs(300);

/// The list of a destination, as text. Its secret is sent as a bearer token.
pub async fn fetch_list(destination: &Destination) -> Result<String, String> {
    let list = destination.take_back.list.as_ref().ok_or("the destination does not say where its list can be read")?;
    let url = reqwest::Url::parse(&list.url).map_err(|_| format!("{:?} is not a web address", list.url))?;
    let host = url.host_str().unwrap_or_default();
    if !destination.allow_private && is_private_host(host) {
        return Err(format!("{host} is a private address; say allow_private: true if it is meant"));
    }
    let client = egress::client(destination.allow_private).map_err(|error| format!("HTTP client: {error}"))?;
    let mut request = client.get(url).timeout(LIST_TIMEOUT);
    if let Some(secret) = &destination.secret {
        let secret = resolve_secret(secret, &destination.key).map_err(|error| error.to_string())?;
        request = request.bearer_auth(String::from_utf8_lossy(&secret));
    }
    let mut response = request.send().await.map_err(|error| format!("the list was not answered: {}", error.without_url()))?;
    if !response.status().is_success() {
        return Err(format!("the list was answered with {}", response.status()));
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| format!("the list broke off: {}", error.without_url()))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > LIST_BYTES_MAX {
            return Err(format!("the list has more than {LIST_BYTES_MAX} bytes"));
        }
    }
    String::from_utf8(bytes).map_err(|_| "the list is not UTF-8".into())
}
