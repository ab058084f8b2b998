//! Bodies of collection on their way in: all of them together have a bound, whatever the number of connections.
//!
//! Sketch: a body is held twice while it is decoded, once as it came and once as what will be stored, which the intake counts in turn
//! (64 MiB). So collection holds about three times [`BODIES_BYTES_MAX`] at the worst.

use std::pin::pin;
use std::sync::Arc;

use axum::body::Body;
use axum::http::StatusCode;
use futures_util::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::Problem;
use crate::listen::TooSlow;

/// Bytes of bodies that are being read or stored, after decompression.
const BODIES_BYTES_MAX: usize = 64 << 20;
/// Whatever the largest body is, so many of them fit.
const LARGEST_MIN: usize = 4;

/// What all bodies together may still take.
#[derive(Clone)]
pub(crate) struct Bodies {
    left: Arc<Semaphore>,
    body_bytes_max: usize,
}

/// A body's part of what all may take, until it is stored.
pub(crate) struct Held(Option<OwnedSemaphorePermit>);

impl Bodies {
    /// `body_bytes_max`: of one body.
    pub(crate) fn new(body_bytes_max: usize) -> Bodies {
        let bytes = BODIES_BYTES_MAX.max(body_bytes_max.saturating_mul(LARGEST_MIN)).min(Semaphore::MAX_PERMITS);
        Bodies { left: Arc::new(Semaphore::new(bytes)), body_bytes_max }
    }

    /// Reads a body to its end. Errs for what is too large, too slow, not readable, or too much beside all the others.
    pub(crate) async fn read(&self, body: Body) -> Result<(String, Held), Problem> {
        let mut held = Held(None);
        let mut bytes = Vec::new();
        let mut is_overloaded = false;
        let mut pieces = pin!(body.into_data_stream());
        let mut length = 0;
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|error| self.unreadable(error))?;
            length += piece.len();
            if length > self.body_bytes_max {
                return Err(self.too_large());
            }
            if is_overloaded {
                continue;
            }
            if held.grow(&self.left, piece.len()) {
                bytes.extend_from_slice(&piece);
            } else {
                // The rest is read and forgotten: a connection that is closed over unread bytes takes the answer away.
                (is_overloaded, bytes, held) = (true, Vec::new(), Held(None));
            }
        }
        if is_overloaded {
            metrics::counter!("jumelle_overloaded_total", "what" => "bodies").increment(1);
            return Err(Problem::overloaded("too much is being sent at once; try again in a moment"));
        }
        let text = String::from_utf8(bytes).map_err(|_| {
            metrics::counter!("jumelle_rejected_events_total", "rule" => "not_utf8").increment(1);
            Problem::bad_request("the body is not UTF-8").with("rule", "not_utf8")
        })?;
        Ok((text, held))
    }

    fn too_large(&self) -> Problem {
        metrics::counter!("jumelle_rejected_events_total", "rule" => "body_too_large").increment(1);
        let limit = self.body_bytes_max;
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the body is too large",
            format!("a body has {limit} bytes at most after decompression; send smaller batches"),
        )
        .with("rule", "body_too_large")
    }

    fn unreadable(&self, error: axum::Error) -> Problem {
        let mut source: Option<&(dyn std::error::Error + 'static)> = Some(&error);
        while let Some(inner) = source {
            if inner.is::<TooSlow>() {
                return Problem::new(StatusCode::REQUEST_TIMEOUT, "the body came too slowly", inner.to_string())
                    .with("rule", "body_too_slow");
            }
            if inner.to_string().contains("length limit") {
                return self.too_large();
            }
            source = inner.source();
        }
        metrics::counter!("jumelle_rejected_events_total", "rule" => "unreadable_body").increment(1);
        Problem::bad_request(format!("the body could not be read (is its Content-Encoding right?): {error}"))
            .with("rule", "unreadable_body")
    }
}

impl Held {
    /// Takes more, if there is so much.
    fn grow(&mut self, left: &Arc<Semaphore>, bytes: usize) -> bool {
        let Ok(bytes) = u32::try_from(bytes) else { return false };
        let Ok(more) = left.clone().try_acquire_many_owned(bytes) else { return false };
        match &mut self.0 {
            Some(permit) => permit.merge(more),
            None => self.0 = Some(more),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Bytes;
    use axum::response::IntoResponse as _;

    async fn status(problem: Problem) -> u16 {
        problem.into_response().status().as_u16()
    }

    #[tokio::test]
    async fn what_all_hold_is_bounded_and_given_back() {
        let (one, count) = (8 << 20, BODIES_BYTES_MAX / (8 << 20));
        let bodies = Bodies::new(one);
        let body = || Body::from_stream(futures_util::stream::iter([Ok::<_, axum::Error>(Bytes::from(vec![b'x'; one]))]));
        let mut held = Vec::new();
        for _ in 0..count {
            held.push(bodies.read(body()).await.unwrap().1);
        }
        assert_eq!(status(bodies.read(body()).await.err().unwrap()).await, 503);
        held.pop();
        let (text, last) = bodies.read(body()).await.unwrap();
        assert_eq!(text.len(), one);
        drop((held, last));
        assert_eq!(bodies.left.available_permits(), BODIES_BYTES_MAX);
    }

    #[tokio::test]
    async fn one_that_is_too_large_holds_nothing() {
        let bodies = Bodies::new(10);
        assert_eq!(status(bodies.read(Body::from("12345678901")).await.err().unwrap()).await, 413);
        assert_eq!(status(bodies.read(Body::from(vec![0xff])).await.err().unwrap()).await, 400);
        assert_eq!(bodies.left.available_permits(), BODIES_BYTES_MAX);
    }
}
