//! The last look: to connect may take seconds, and a withdrawal does not wait for it. The gate is asked when the connection is there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::header::CONTENT_LENGTH;
use reqwest::{RequestBuilder, Response};

/// Sends a request whose body is asked for with the connection made. `None`: `still` said no, and nothing of it has left.
pub(crate) async fn send_if(
    request: RequestBuilder,
    body: Vec<u8>,
    still: impl FnOnce() -> bool + Send + 'static,
) -> Option<reqwest::Result<Response>> {
    // A stream without an end in the head would be sent in chunks; one of nothing is none.
    if body.is_empty() {
        return match still() {
            true => Some(request.send().await),
            false => None,
        };
    }
    let withheld = Arc::new(AtomicBool::new(false));
    let noted = withheld.clone();
    let request = request.header(CONTENT_LENGTH, body.len());
    // Invariant: the body is asked for when the connection is there, before the head is written; an error here leaves both unsent.
    let at_the_last = futures_util::stream::once(async move {
        if still() {
            return Ok(body);
        }
        noted.store(true, Ordering::Release);
        Err(std::io::Error::other("the gate has closed"))
    });
    let answer = request.body(reqwest::Body::wrap_stream(at_the_last)).send().await;
    (answer.is_ok() || !withheld.load(Ordering::Acquire)).then_some(answer)
}
