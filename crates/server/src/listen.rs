//! Connections: how many, how long each may take over what, and TLS.
//!
//! hyper speaks HTTP; here stands what a stranger may cost us before and between the requests. Sketch: an idle connection holds two
//! buffers and a timer, a few KiB; its deadline is checked when its timer fires, not at each request.

use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::Request;
use axum::response::Response;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, Sleep};
use tower_service::Service as _;

use crate::HttpLimits;
use crate::tls::Tls;

/// How long requests under way may take when the server stops.
const DRAIN: Duration = Duration::from_secs(10);
/// Connections beyond the limit that are told so at once; further ones are closed without a word.
const TOLD_MAX: usize = 64;
/// How long being told may take.
const TOLD: Duration = Duration::from_secs(1);
/// After an error of `accept` (no file descriptors left), before the next try.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Between two lines of the log about it.
const ACCEPT_TOLD_EVERY: Duration = Duration::from_secs(10);

/// Bytes that a connection reads ahead of what is asked of it.
const READ_BYTES_MAX: usize = 64 << 10;

const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\n\
    content-type: application/problem+json\r\ncontent-length: 144\r\n\r\n\
    {\"type\":\"about:blank\",\"title\":\"too many connections\",\"status\":503,\
    \"detail\":\"all connections that this server takes are in use; come again soon\"}";

/// Who a connection came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Serves until `stop` resolves, then lets requests under way finish (10 s at most).
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Arc<HttpLimits>,
    tls: Option<Tls>,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    let permits = Arc::new(Semaphore::new(limits.connections));
    let told = Arc::new(Semaphore::new(TOLD_MAX));
    let (ending, ended) = watch::channel(false);
    let mut stop = pin!(stop);
    let mut accept_told: Option<Instant> = None;
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_of_one_connection(&error) => continue,
            Err(error) => {
                if accept_told.is_none_or(|at| at.elapsed() >= ACCEPT_TOLD_EVERY) {
                    tracing::error!(%error, "no connection can be accepted");
                    accept_told = Some(Instant::now());
                }
                refused("accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(permit) = permits.clone().try_acquire_owned() else {
            refused("connections");
            if tls.is_none()
                && let Ok(place) = told.clone().try_acquire_owned()
            {
                tokio::spawn(async move {
                    // Whether it listens to the end is its own affair.
                    let _ = tokio::time::timeout(TOLD, tell_full(stream)).await;
                    drop(place);
                });
            }
            continue;
        };
        // Without it a small answer may wait for the client's acknowledgement of the last one.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY on a connection");
        }
        let (router, limits, tls, ended) = (router.clone(), limits.clone(), tls.clone(), ended.clone());
        tokio::spawn(async move {
            metrics::gauge!("jumelle_connections").increment(1);
            match tls {
                None => converse(stream, Peer(peer), router, &limits, ended).await,
                Some(tls) => match tokio::time::timeout(limits.header_time, tls.accept(stream)).await {
                    Ok(Ok(stream)) => converse(stream, Peer(peer), router, &limits, ended).await,
                    // Scanners and plain HTTP on a TLS port: no news, but counted.
                    Ok(Err(_)) => cut("handshake"),
                    Err(_) => cut("handshake_timeout"),
                },
            }
            metrics::gauge!("jumelle_connections").decrement(1);
            drop(permit);
        });
    }
    drop(listener);
    // Every connection holds a receiver; none at all is nobody to tell.
    ending.send_replace(true);
    let all = permits.acquire_many(limits.connections.try_into().unwrap_or(u32::MAX));
    if tokio::time::timeout(DRAIN, all).await.is_err() {
        tracing::info!("requests under way were cut off at the stop");
    }
}

fn refused(why: &'static str) {
    metrics::counter!("jumelle_connections_refused_total", "why" => why).increment(1);
}

/// A connection that we ended.
fn cut(why: &'static str) {
    metrics::counter!("jumelle_connections_cut_total", "why" => why).increment(1);
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset)
}

/// Says that the server is full. What was sent is read first: closing over unread bytes would take the answer away again.
async fn tell_full(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(FULL).await?;
    stream.shutdown().await?;
    let mut unread = [0; 1_024];
    while stream.read(&mut unread).await? > 0 {}
    Ok(())
}

/// One connection, from its first byte to its last.
async fn converse<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    peer: Peer,
    router: Router,
    limits: &HttpLimits,
    mut ended: watch::Receiver<bool>,
) {
    let turn = Arc::new(Turn::default());
    let guarded = TokioIo::new(Guarded::new(stream, turn.clone(), limits));
    let body_time = limits.body_time;
    let service = service_fn(move |request: Request<Incoming>| {
        turn.begin();
        let mut request = request.map(|body| match body.is_end_stream() {
            true => Body::empty(),
            false => Body::new(Arriving::new(body, body_time)),
        });
        request.extensions_mut().insert(peer);
        let answer = router.clone().call(request);
        let turn = turn.clone();
        async move {
            let answer: Result<Response, Infallible> = answer.await;
            turn.end();
            answer
        }
    });
    let connection = http1::Builder::new()
        // The stream below keeps the time: it tells waiting for a request from waiting for the rest of one.
        .header_read_timeout(None)
        .max_header_size(limits.header_bytes)
        .max_buf_size(READ_BYTES_MAX.max(limits.header_bytes))
        .serve_connection(guarded, service);
    let mut connection = pin!(connection);
    let ending = async {
        // An error is a server that is gone.
        let _ = ended.wait_for(|ended| *ended).await;
    };
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = ending => {
            connection.as_mut().graceful_shutdown();
            connection.as_mut().await
        }
    };
    if let Err(error) = outcome {
        if error.is_parse_too_large() {
            cut("headers_too_large");
        } else if error.is_parse() {
            cut("not_http");
        }
    }
}

/// Whether a request is being answered. Shared between a connection's stream and its service.
#[derive(Default)]
struct Turn {
    answering: AtomicBool,
    /// Requests so far, so that the stream sees one that began and ended between two looks.
    requests: AtomicU32,
}

impl Turn {
    fn begin(&self) {
        self.answering.store(true, Ordering::Release);
        self.requests.fetch_add(1, Ordering::Release);
    }

    fn end(&self) {
        self.answering.store(false, Ordering::Release);
    }
}

/// A stream that ends when its client takes too long: between requests, over a head, or to take an answer.
///
/// An answer that streams counts as idle while nothing is written, so it says something within the idle time.
struct Guarded<S> {
    stream: S,
    turn: Arc<Turn>,
    seen_requests: u32,
    idle_time: Duration,
    header_time: Duration,
    write_time: Duration,
    /// The last byte in either direction.
    active: Instant,
    /// The first byte of a head that is not whole yet.
    head_since: Option<Instant>,
    /// Since when the client takes nothing.
    blocked_since: Option<Instant>,
    timer: Pin<Box<Sleep>>,
}

impl<S> Guarded<S> {
    fn new(stream: S, turn: Arc<Turn>, limits: &HttpLimits) -> Guarded<S> {
        let now = Instant::now();
        Guarded {
            stream,
            turn,
            seen_requests: 0,
            idle_time: limits.idle_time,
            header_time: limits.header_time,
            write_time: limits.write_time,
            active: now,
            // A connection that was just opened owes a request: nobody opens one to wait.
            head_since: Some(now),
            blocked_since: None,
            timer: Box::pin(tokio::time::sleep(limits.header_time)),
        }
    }

    fn notice_requests(&mut self) {
        let requests = self.turn.requests.load(Ordering::Acquire);
        if requests != self.seen_requests {
            self.seen_requests = requests;
            self.head_since = None;
        }
    }

    /// Errs when the deadline has passed, else wakes this task at it.
    fn wait(&mut self, context: &mut Context<'_>, deadline: Instant, why: &'static str) -> io::Result<()> {
        if Instant::now() >= deadline {
            cut(why);
            return Err(ErrorKind::TimedOut.into());
        }
        self.wake(context, deadline);
        Ok(())
    }

    /// Wakes this task at an instant, or earlier.
    fn wake(&mut self, context: &mut Context<'_>, deadline: Instant) {
        loop {
            // A timer that is set for earlier is left alone: when it fires, this is asked again. So a busy connection sets it rarely.
            if self.timer.is_elapsed() || self.timer.deadline() > deadline {
                self.timer.as_mut().reset(deadline);
            }
            if self.timer.as_mut().poll(context).is_pending() {
                return;
            }
        }
    }

    fn wrote(&mut self, context: &mut Context<'_>, is_pending: bool) -> io::Result<()> {
        if is_pending {
            let since = *self.blocked_since.get_or_insert_with(Instant::now);
            return self.wait(context, since + self.write_time, "answer_not_taken");
        }
        self.blocked_since = None;
        self.active = Instant::now();
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        this.notice_requests();
        let answering = this.turn.answering.load(Ordering::Acquire);
        if read.is_ready() {
            if buffer.filled().len() > before {
                this.active = Instant::now();
                if !answering {
                    this.head_since.get_or_insert(this.active);
                }
            }
            return read;
        }
        if answering || this.blocked_since.is_some() {
            // hyper looks for a client that has gone while it answers, and does not look again when it has answered: it knows that
            // there was nothing. So this look has to bring the next one about.
            this.wake(context, Instant::now() + this.idle_time);
        } else {
            match this.head_since {
                Some(since) => this.wait(context, since + this.header_time, "head_too_slow")?,
                None => this.wait(context, this.active + this.idle_time, "idle")?,
            }
        }
        Poll::Pending
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wrote(context, wrote.is_pending())?;
        wrote
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        if flushed.is_pending() {
            self.wrote(context, true)?;
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        if shut.is_pending() {
            self.wrote(context, true)?;
        }
        shut
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.wrote(context, wrote.is_pending())?;
        wrote
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// What a body that came too slowly says, in the chain of an error.
#[derive(thiserror::Error, Debug)]
#[error("the body came too slowly: it may take {0:?} from its head to its end")]
pub(crate) struct TooSlow(Duration);

/// A body that has to be whole in time, however it drips.
struct Arriving {
    body: Incoming,
    time: Duration,
    since: Instant,
    /// Made when the body has to be waited for: most are there with their head.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Arriving {
    fn new(body: Incoming, time: Duration) -> Arriving {
        Arriving { body, time, since: Instant::now(), timer: None }
    }
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let deadline = this.since + this.time;
        let timer = this.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        ready!(timer.as_mut().poll(context));
        cut("body_too_slow");
        Poll::Ready(Some(Err(TooSlow(this.time).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_of_a_full_server_has_the_length_that_it_says() {
        let text = std::str::from_utf8(FULL).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("content-length: {}", body.len())), "{}", body.len());
        serde_json::from_str::<serde_json::Value>(body).unwrap();
    }
}
