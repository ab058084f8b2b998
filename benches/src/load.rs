//! Load on one address: connections that send as fast as they are answered, or at a given pace.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use tokio::task::JoinSet;

use crate::requests::Requests;
use crate::wire::{self, Connection};

/// How much later than its end a load may still wait for answers.
const ANSWERS_WAIT_MAX: Duration = Duration::from_secs(60);
/// Times that one request is sent again after a 429 or 503.
const RESENDS_MAX: u32 = 100;
/// The pause before that, whatever `Retry-After` says.
const RESEND_PAUSE_MAX: Duration = Duration::from_secs(2);
/// A timer may be this late without the request counting as late: later than that, waiting counts as latency.
const TIMER_GRAIN: Duration = Duration::from_millis(2);
/// Bytes of an unexpected answer that are shown.
const SHOWN_BYTES_MAX: usize = 400;

/// When requests are sent.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// The next one as soon as the last one is answered.
    FlatOut,
    /// So many per second over all connections, whether the server keeps up or not.
    PerSecond(u32),
}

/// One request and its answer.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Number of its (last) message.
    pub sequence: u64,
    /// When it was sent, or should have been.
    pub started: Instant,
    /// Until the whole answer was there.
    pub took: Duration,
}

/// What came of a load.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Events that were sent.
    pub events: u64,
    /// Of them, those that the server says it has stored: the shop sends bad ones and some twice.
    pub accepted: u64,
    /// Answers 429 and 503; the request was sent again.
    pub pushed_back: u64,
    /// Answers 404.
    pub not_found: u64,
    /// Every answered request.
    pub samples: Vec<Sample>,
}

impl Outcome {
    fn add(&mut self, other: Outcome) {
        self.events += other.events;
        self.accepted += other.accepted;
        self.pushed_back += other.pushed_back;
        self.not_found += other.not_found;
        self.samples.extend(other.samples);
    }

    /// Latency until the answer.
    pub fn latency(&self) -> Quantiles {
        Quantiles::of(self.samples.iter().map(|sample| sample.took).collect())
    }
}

/// Latencies in milliseconds; zero where nothing was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Quantiles {
    /// Half of them is at most this.
    pub p50_ms: f64,
    /// 99 of 100 are at most this.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl Quantiles {
    /// Nearest-rank quantiles.
    pub fn of(mut all: Vec<Duration>) -> Quantiles {
        all.sort_unstable();
        let at = |percent: usize| {
            let rank = (all.len() * percent).div_ceil(100).max(1);
            all.get(rank - 1).map_or(0.0, |duration| duration.as_secs_f64() * 1e3)
        };
        Quantiles { p50_ms: at(50), p99_ms: at(99), max_ms: at(100) }
    }
}

/// Connections that share a source of requests.
pub struct Load {
    senders: Vec<Sender>,
    requests: Requests,
}

struct Sender {
    connection: Connection,
    request: Vec<u8>,
}

impl Load {
    /// Opens the connections.
    pub async fn open(address: SocketAddr, connections: usize, requests: Requests) -> Result<Load> {
        let mut senders = Vec::with_capacity(connections);
        for _ in 0..connections {
            senders.push(Sender { connection: Connection::open(address).await?, request: Vec::new() });
        }
        Ok(Load { senders, requests })
    }

    /// Sends for a while and waits for every answer. May be called again.
    pub async fn run(&mut self, pace: Pace, during: Duration) -> Result<Outcome> {
        let started = Instant::now();
        let end = started + during;
        let connections = self.senders.len() as u32;
        let mut tasks = JoinSet::new();
        for (index, mut sender) in self.senders.drain(..).enumerate() {
            let requests = self.requests.clone();
            let due = match pace {
                Pace::FlatOut => None,
                Pace::PerSecond(rate) => {
                    let between_all = Duration::from_secs(1) / rate;
                    Some((started + between_all * index as u32, between_all * connections))
                }
            };
            tasks.spawn(async move {
                let outcome = sender.run(&requests, due, end).await?;
                anyhow::Ok((sender, outcome))
            });
        }
        let mut total = Outcome::default();
        let all_answers = async {
            while let Some(done) = tasks.join_next().await {
                let (sender, outcome) = done??;
                self.senders.push(sender);
                total.add(outcome);
            }
            anyhow::Ok(())
        };
        tokio::time::timeout_at((end + ANSWERS_WAIT_MAX).into(), all_answers)
            .await
            .with_context(|| format!("the server leaves requests unanswered for more than {} s", ANSWERS_WAIT_MAX.as_secs()))??;
        Ok(total)
    }
}

impl Sender {
    async fn run(&mut self, requests: &Requests, mut due: Option<(Instant, Duration)>, end: Instant) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        loop {
            let mut started = Instant::now();
            if let Some((at, between)) = &mut due {
                if *at >= end {
                    return Ok(outcome);
                }
                tokio::time::sleep_until((*at).into()).await;
                started = Instant::now();
                if started > *at + TIMER_GRAIN {
                    started = *at;
                }
                *at += *between;
            } else if started >= end {
                return Ok(outcome);
            }
            let written = requests.next(&mut self.request)?;
            send(&mut self.connection, &self.request, written.events, &mut outcome).await?;
            outcome.samples.push(Sample { sequence: written.sequence, started, took: started.elapsed() });
        }
    }
}

/// Sends a request until it is taken.
async fn send(connection: &mut Connection, request: &[u8], events: u64, outcome: &mut Outcome) -> Result<()> {
    for _ in 0..=RESENDS_MAX {
        let answer = connection.exchange(request).await?;
        match answer.status()? {
            200 => {
                outcome.events += events;
                outcome.accepted += wire::number(answer.body, "accepted").unwrap_or(events);
                return Ok(());
            }
            // A request whose events are all bad; the server has them in quarantine.
            400 if events > 0 && wire::find(answer.body, br#""rejected":[{"#).is_some() => {
                outcome.events += events;
                return Ok(());
            }
            404 if events == 0 => {
                outcome.not_found += 1;
                return Ok(());
            }
            429 | 503 => {
                outcome.pushed_back += 1;
                let asked = answer.header("retry-after").and_then(|seconds| seconds.parse().ok()).unwrap_or(1);
                tokio::time::sleep(Duration::from_secs(asked).min(RESEND_PAUSE_MAX)).await;
            }
            status => {
                let shown = &answer.body[..answer.body.len().min(SHOWN_BYTES_MAX)];
                bail!("the server answered {status} to a request of the bench: {}", String::from_utf8_lossy(shown));
            }
        }
    }
    bail!("the server refused a request {RESENDS_MAX} times with 429 or 503")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use axum::Router;
    use axum::http::StatusCode;
    use axum::routing::post;

    use super::*;
    use crate::shop::{BATCH_EVENTS, Stream};

    async fn serving(router: Router) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async { axum::serve(listener, router).await });
        address
    }

    #[test]
    fn quantiles_are_nearest_ranks() {
        let milliseconds = |range: std::ops::RangeInclusive<u64>| range.rev().map(Duration::from_millis).collect();
        assert_eq!(Quantiles::of(milliseconds(1..=100)), Quantiles { p50_ms: 50.0, p99_ms: 99.0, max_ms: 100.0 });
        assert_eq!(Quantiles::of(milliseconds(7..=7)), Quantiles { p50_ms: 7.0, p99_ms: 7.0, max_ms: 7.0 });
        assert_eq!(Quantiles::of(Vec::new()), Quantiles::default());
    }

    #[tokio::test]
    async fn a_load_flat_out_counts_what_was_answered_and_can_go_on() {
        let address = serving(crate::noop::router()).await;
        let shop = Requests::Shop(Stream::new(1, 1_000).unwrap());
        let mut load = Load::open(address, 3, shop).await.unwrap();
        for _ in 0..2 {
            let outcome = load.run(Pace::FlatOut, Duration::from_millis(50)).await.unwrap();
            assert!(!outcome.samples.is_empty());
            assert_eq!(outcome.events, outcome.samples.len() as u64 * BATCH_EVENTS as u64);
        }
    }

    #[tokio::test]
    async fn a_paced_load_sends_what_is_due() {
        let address = serving(crate::noop::router()).await;
        let mut load = Load::open(address, 4, Requests::triggers(Arc::default())).await.unwrap();
        let outcome = load.run(Pace::PerSecond(200), Duration::from_millis(500)).await.unwrap();
        assert_eq!((outcome.events, outcome.samples.len()), (100, 100));
    }

    #[tokio::test]
    async fn a_request_that_is_pushed_back_is_sent_again() {
        let calls = Arc::new(AtomicU32::new(0));
        let counted = calls.clone();
        let busy_once = post(move || {
            let first = counted.fetch_add(1, Ordering::SeqCst) == 0;
            async move {
                if first {
                    (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "0")])
                } else {
                    (StatusCode::OK, [("retry-after", "")])
                }
            }
        });
        let address = serving(Router::new().route("/v1/track", busy_once)).await;
        let mut load = Load::open(address, 1, Requests::triggers(Arc::default())).await.unwrap();
        let outcome = load.run(Pace::PerSecond(10), Duration::from_millis(50)).await.unwrap();
        assert_eq!((outcome.events, outcome.pushed_back, calls.load(Ordering::SeqCst)), (1, 1, 2));
    }

    #[tokio::test]
    async fn an_answer_that_is_not_understood_ends_the_load() {
        for (status, body, expected) in [
            (StatusCode::BAD_REQUEST, "no", "answered 400 to a request of the bench: no"),
            (StatusCode::NOT_FOUND, "no", "answered 404"),
        ] {
            let address = serving(Router::new().route("/v1/track", post(move || async move { (status, body) }))).await;
            let mut load = Load::open(address, 1, Requests::triggers(Arc::default())).await.unwrap();
            let error = load.run(Pace::FlatOut, Duration::from_millis(50)).await.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
