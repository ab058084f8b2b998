//! The simulated shop as a load: to a file, or to a server by several connections.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use jumelle_model::time::Timestamp;
use jumelle_simulate::{Compression, Line, Shop, Source};
use tokio::sync::mpsc;

/// Connections that send at the same time.
const CONNECTIONS: usize = 4;
/// Batches that wait for a connection.
const BATCHES_AHEAD_MAX: usize = 8;
/// Bytes of a batch; a server takes 500 KiB by default.
const BATCH_BYTES: usize = 200 * 1024;
/// How long an event waits for its batch to fill up when time is real.
const BATCH_WAIT_MS: i64 = 200;
/// Times that a batch is tried before the load gives up.
const TRIES_MAX: u32 = 60;
/// Longest wait that is granted to a server that asks for one, in seconds.
const RETRY_AFTER_S_MAX: u64 = 30;

/// Writes every event to a file.
pub fn to_file(mut shop: Shop, path: &Path) -> anyhow::Result<()> {
    let started = Instant::now();
    let name = path.to_string_lossy();
    let plain: Box<dyn Write> = if name == "-" {
        Box::new(std::io::stdout().lock())
    } else {
        Box::new(std::fs::File::create(path).with_context(|| format!("writing {name}"))?)
    };
    let mut out: Box<dyn Write> =
        if name.ends_with(".gz") { Box::new(flate2::write::GzEncoder::new(plain, flate2::Compression::fast())) } else { plain };
    let (mut events, mut bytes) = (0_u64, 0_u64);
    {
        let mut out = BufWriter::with_capacity(1 << 20, &mut out);
        while let Some(line) = shop.next_line() {
            out.write_all(line.json)?;
            out.write_all(b"\n")?;
            events += 1;
            bytes += line.json.len() as u64 + 1;
        }
        out.flush()?;
    }
    out.flush()?;
    drop(out);
    let elapsed = started.elapsed();
    shop.finish()?;
    report("written", events, bytes, elapsed);
    Ok(())
}

fn report(what: &str, events: u64, bytes: u64, elapsed: Duration) {
    let seconds = elapsed.as_secs_f64().max(0.001);
    eprintln!(
        "{events} events {what} in {seconds:.1} s: {:.0} events/s, {:.1} MB/s, {} bytes each",
        events as f64 / seconds,
        bytes as f64 / seconds / 1e6,
        bytes.checked_div(events).unwrap_or(0)
    );
}

/// A batch under construction, one for each source: a write key counts for a whole batch.
pub struct Batches {
    bodies: Vec<Batch>,
}

#[derive(Default)]
struct Batch {
    body: Vec<u8>,
    events: u64,
    since_ms: i64,
}

/// A full batch.
pub struct Full {
    /// The request's body.
    pub body: Vec<u8>,
    /// How many events.
    pub events: u64,
}

impl Batches {
    /// Empty ones.
    pub fn new() -> Batches {
        Batches { bodies: Source::ALL.iter().map(|_| Batch::default()).collect() }
    }

    /// Adds an event; gives the batch back when it is full. `now_ms`: on the wall; an event with a device's own `sentAt` is
    /// shifted so that the server corrects it to the simulated time.
    pub fn add(&mut self, line: &Line<'_>, now_ms: i64) -> Option<Full> {
        let batch = &mut self.bodies[line.source as usize];
        if batch.events == 0 {
            batch.body.extend_from_slice(b"{\"writeKey\":\"");
            batch.body.extend_from_slice(line.source.write_key().as_bytes());
            batch.body.extend_from_slice(b"\",\"batch\":[");
            batch.since_ms = now_ms;
        } else {
            batch.body.push(b',');
        }
        push_as_sent(&mut batch.body, line, now_ms);
        batch.events += 1;
        if batch.body.len() >= BATCH_BYTES { batch.take() } else { None }
    }

    /// Batches whose first event has waited long enough; with `None`, all of them.
    pub fn due(&mut self, now_ms: Option<i64>) -> Vec<Full> {
        let due = |batch: &Batch| now_ms.is_none_or(|now_ms| batch.since_ms + BATCH_WAIT_MS <= now_ms);
        self.bodies.iter_mut().filter(|batch| due(batch)).filter_map(Batch::take).collect()
    }
}

impl Batch {
    fn take(&mut self) -> Option<Full> {
        if self.events == 0 {
            return None;
        }
        let Batch { mut body, events, .. } = std::mem::take(self);
        body.extend_from_slice(b"]}");
        Some(Full { body, events })
    }
}

/// The event as its device would send it now: `sentAt` keeps its distance from the arrival.
fn push_as_sent(body: &mut Vec<u8>, line: &Line<'_>, now_ms: i64) {
    const SENT_AT: &[u8] = b"\"sentAt\":\"";
    /// It stands in the head of the event, before anything that could be long.
    const HEAD_BYTES: usize = 400;
    /// `2026-03-01T10:00:00.000Z`
    const INSTANT_BYTES: usize = 24;
    let head = &line.json[..line.json.len().min(HEAD_BYTES)];
    let found = head.windows(SENT_AT.len()).position(|window| window == SENT_AT).map(|at| at + SENT_AT.len());
    let sent_at = found.and_then(|at| {
        let text = std::str::from_utf8(line.json.get(at..at + INSTANT_BYTES)?).ok()?;
        Some((at, Timestamp::parse(text)?))
    });
    match sent_at {
        None => body.extend_from_slice(line.json),
        Some((at, sent_at)) => {
            body.extend_from_slice(&line.json[..at]);
            let shifted = Timestamp(sent_at.0 + (now_ms - line.arrival_ms) * 1_000);
            body.extend_from_slice(shifted.to_string().as_bytes());
            body.extend_from_slice(&line.json[at + INSTANT_BYTES..]);
        }
    }
}

/// Connections that send what they are given.
pub struct Senders {
    queue: mpsc::Sender<Full>,
    tasks: Vec<tokio::task::JoinHandle<anyhow::Result<()>>>,
    /// Events that the server has taken.
    pub sent: Arc<AtomicU64>,
}

impl Senders {
    /// To a server.
    pub fn start(server: &str, connections: usize) -> anyhow::Result<Senders> {
        jumelle_activate::install_crypto();
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().context("HTTP client")?;
        let url = format!("{}/v1/batch", server.trim_end_matches('/'));
        let (queue, batches) = mpsc::channel::<Full>(BATCHES_AHEAD_MAX);
        let batches = Arc::new(tokio::sync::Mutex::new(batches));
        let sent = Arc::new(AtomicU64::new(0));
        let tasks = (0..connections)
            .map(|_| {
                let (http, url, batches, sent) = (http.clone(), url.clone(), batches.clone(), sent.clone());
                tokio::spawn(async move {
                    loop {
                        let Some(batch) = batches.lock().await.recv().await else { return Ok(()) };
                        let events = batch.events;
                        post(&http, &url, batch).await?;
                        sent.fetch_add(events, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        Ok(Senders { queue, tasks, sent })
    }

    /// Hands a batch over, and waits for room if the connections are behind.
    pub async fn send(&self, batch: Full) -> anyhow::Result<()> {
        if self.queue.send(batch).await.is_err() {
            anyhow::bail!("no connection is left");
        }
        Ok(())
    }

    /// Waits until everything is sent.
    pub async fn finish(self) -> anyhow::Result<u64> {
        drop(self.queue);
        for task in self.tasks {
            task.await.context("a connection")??;
        }
        Ok(self.sent.load(Ordering::Relaxed))
    }
}

async fn post(http: &reqwest::Client, url: &str, batch: Full) -> anyhow::Result<()> {
    let body = Arc::new(batch.body);
    for attempt in 1..=TRIES_MAX {
        let answer = http.post(url).header("content-type", "application/json").body(body.as_ref().clone()).send().await;
        let wait_s = match answer {
            Ok(answer) => match answer.status().as_u16() {
                200 => return Ok(()),
                // A batch of nothing but bad events is refused as a whole, and is in quarantine.
                400 => return Ok(()),
                429 | 503 => {
                    let asked = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
                    asked.unwrap_or(1).min(RETRY_AFTER_S_MAX)
                }
                status => anyhow::bail!("{url} answered {status}: {}", answer.text().await.unwrap_or_default()),
            },
            Err(error) if attempt == TRIES_MAX => return Err(error).with_context(|| format!("sending to {url}")),
            Err(_) => 1,
        };
        tokio::time::sleep(Duration::from_secs(wait_s.max(1))).await;
    }
    anyhow::bail!("{url} took no batch in {TRIES_MAX} tries")
}

/// Sends every event to a server.
pub async fn to_server(mut shop: Shop, server: &str, speed: Option<u32>) -> anyhow::Result<()> {
    let started = Instant::now();
    let started_ms = Timestamp::now().0 / 1_000;
    if let Some(speed) = speed {
        shop.compress(Compression { from_ms: shop.from_ms(), shown_ms: started_ms, speed: i64::from(speed.max(1)) });
    }
    let senders = Senders::start(server, CONNECTIONS)?;
    let mut batches = Batches::new();
    let mut bytes = 0_u64;
    while let Some(line) = shop.next_line() {
        let mut now_ms = Timestamp::now().0 / 1_000;
        if speed.is_some() {
            while line.arrival_ms > now_ms {
                for batch in batches.due(Some(now_ms)) {
                    senders.send(batch).await?;
                }
                tokio::time::sleep(Duration::from_millis((line.arrival_ms - now_ms).clamp(1, 50) as u64)).await;
                now_ms = Timestamp::now().0 / 1_000;
            }
        }
        bytes += line.json.len() as u64;
        if let Some(batch) = batches.add(&line, now_ms) {
            senders.send(batch).await?;
        }
    }
    for batch in batches.due(None) {
        senders.send(batch).await?;
    }
    let sent = senders.finish().await?;
    let elapsed = started.elapsed();
    shop.finish()?;
    report("sent", sent, bytes, elapsed);
    Ok(())
}
