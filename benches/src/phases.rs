//! What is measured, one function each, on whatever listens at the target.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde::Serialize;

use crate::load::{Load, Outcome, Pace, Quantiles};
use crate::machine::Usage;
use crate::requests::Requests;
use crate::server::{ADMIN_TOKEN, DATA, Observer, Server, Target};
use crate::shop::{self, Stream};
use crate::sink::Sink;

/// Connections that send batches flat out: enough for a group commit, few enough for an acknowledgement in milliseconds.
pub const BATCH_CONNECTIONS: usize = 16;
/// Connections that send single events flat out.
pub const SINGLE_CONNECTIONS: usize = 64;
/// Events whose way to the webhook is timed, per second.
pub const TRIGGERS_PER_S: u32 = 1_000;
/// Profiles read, per second.
pub const READS_PER_S: u32 = 2_000;
/// Questions to the gate, per second.
pub const QUESTIONS_PER_S: u32 = 2_000;
/// Questions of many, per second, and how many people each is about.
pub const BATCHES_OF_QUESTIONS_PER_S: u32 = 50;
pub const QUESTIONS_AT_ONCE: usize = 100;
/// Events sent meanwhile, per second.
pub const EVENTS_UNDER_READS_PER_S: u32 = 5_000;
/// Connections of a load with a pace, so that one slow answer does not delay the next request.
const PACED_CONNECTIONS: usize = 16;
/// Between two looks at how much has been sent to warm up.
const WARM_UP_STEP: Duration = Duration::from_millis(500);
/// Between two looks at what is processed, under load.
const MARK: Duration = Duration::from_secs(1);
/// Throughput must hold in every window of this length.
const WINDOW: Duration = Duration::from_secs(10);
/// How long the last webhooks may take.
const WEBHOOKS_WAIT_MAX: Duration = Duration::from_secs(30);
/// Before latencies are measured, what earlier phases left in the outbox goes out: nothing for this long.
const CALM: Duration = Duration::from_millis(500);

/// A load flat out.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Throughput {
    /// Events sent.
    pub events: u64,
    /// From the first send until everything is answered and, where it is stored, processed.
    pub seconds: f64,
    /// Events by that time.
    pub events_per_s: f64,
    /// Requests answered, by the time until the last answer.
    pub requests_per_s: f64,
    /// From sending a request to its answer.
    pub answer: Quantiles,
    /// Answers 429 and 503.
    pub pushed_back: u64,
    /// The worst window of ten seconds, where the load lasted that long: events processed per second.
    pub slowest_10s_events_per_s: Option<f64>,
    /// CPU of the load generator, of all cores.
    pub generator_cpu_percent: f64,
    /// CPU of the server, of all cores.
    pub server_cpu_percent: f64,
    /// What the server wrote to the disk.
    pub written_bytes_per_event: f64,
}

/// Sends flat out. With an observer: until every event is stored and processed.
pub async fn throughput(
    load: &mut Load,
    target: Target,
    during: Duration,
    observer: Option<&mut Observer>,
) -> Result<Throughput> {
    let (own, its) = (Usage::own(), Usage::of(target.process));
    let started = Instant::now();
    let (outcome, answered, marks) = match observer {
        None => (load.run(Pace::FlatOut, during).await?, started.elapsed(), Vec::new()),
        Some(observer) => {
            let before = observer.counters().await?;
            let mut marks = vec![(Duration::ZERO, 0)];
            let running = load.run(Pace::FlatOut, during);
            tokio::pin!(running);
            let outcome = loop {
                tokio::select! {
                    outcome = &mut running => break outcome?,
                    () = tokio::time::sleep(MARK) => {
                        let now = observer.counters().await?;
                        marks.push((started.elapsed(), now.processed - before.processed));
                    }
                }
            };
            let answered = started.elapsed();
            observer.drained(before, outcome.accepted).await?;
            (outcome, answered, marks)
        }
    };
    let all = started.elapsed();
    let (own_after, its_after) = (Usage::own(), Usage::of(target.process));
    let events = outcome.events;
    Ok(Throughput {
        events,
        seconds: all.as_secs_f64(),
        events_per_s: events as f64 / all.as_secs_f64(),
        requests_per_s: outcome.samples.len() as f64 / answered.as_secs_f64(),
        answer: outcome.latency(),
        pushed_back: outcome.pushed_back,
        slowest_10s_events_per_s: slowest(&marks),
        generator_cpu_percent: cpu_percent(own, own_after, all),
        server_cpu_percent: cpu_percent(its, its_after, all),
        written_bytes_per_event: (its_after.written_bytes - its.written_bytes) as f64 / events.max(1) as f64,
    })
}

/// The slowest window of ten seconds or a little more between two marks (since the start, events by then).
fn slowest(marks: &[(Duration, u64)]) -> Option<f64> {
    let rates = marks.iter().enumerate().filter_map(|(index, (from, events))| {
        let (to, later) = marks[index..].iter().find(|(to, _)| *to >= *from + WINDOW)?;
        Some((later - events) as f64 / (*to - *from).as_secs_f64())
    });
    rates.min_by(f64::total_cmp)
}

fn cpu_percent(before: Usage, after: Usage, during: Duration) -> f64 {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    (after.cpu - before.cpu).as_secs_f64() * 100.0 / (during.as_secs_f64() * cores as f64)
}

/// Sends so many events or a little more without measuring, and waits until all of it is processed: people exist, caches are
/// warm, compactions have begun.
pub async fn warm_up(load: &mut Load, events: u64, observer: &mut Observer) -> Result<u64> {
    let before = observer.counters().await?;
    let mut sent = 0;
    let mut accepted = 0;
    while sent < events {
        let outcome = load.run(Pace::FlatOut, WARM_UP_STEP).await?;
        sent += outcome.events;
        accepted += outcome.accepted;
    }
    observer.drained(before, accepted).await?;
    Ok(sent)
}

/// From an event to the webhook that it causes.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Webhooks {
    /// Events sent.
    pub events: usize,
    /// Webhooks that arrived, each for another event.
    pub arrived: usize,
    /// Webhooks that arrived again.
    pub repeats: u64,
    /// From sending the event to receiving the webhook.
    pub latency: Quantiles,
    /// From sending the event to its acknowledgement.
    pub answer: Quantiles,
    /// Events of the shop sent meanwhile, in batches.
    pub beside: u64,
}

/// Sends triggers at their pace, beside so many of the shop's events per second, and waits for what they cause.
pub async fn webhooks(
    target: Target,
    sink: &Sink,
    stream: &Arc<Mutex<Stream>>,
    triggers: &Requests,
    beside_per_s: u32,
    during: Duration,
) -> Result<Webhooks> {
    sink.until_calm(CALM, WEBHOOKS_WAIT_MAX).await;
    let before = (sink.triggers(), sink.repeats());
    let mut load = Load::open(target.address, PACED_CONNECTIONS, triggers.clone()).await?;
    let mut shop = Load::open(target.address, PACED_CONNECTIONS, Requests::Shop(stream.clone())).await?;
    let beside = async {
        match beside_per_s / shop::BATCH_EVENTS as u32 {
            0 => Ok(Outcome::default()),
            batches_per_s => shop.run(Pace::PerSecond(batches_per_s), during).await,
        }
    };
    let (outcome, beside) = tokio::try_join!(load.run(Pace::PerSecond(TRIGGERS_PER_S), during), beside)?;
    sink.until_triggers(before.0 + outcome.samples.len(), WEBHOOKS_WAIT_MAX).await;
    let took = outcome.samples.iter().filter_map(|sample| Some(sink.arrival(sample.sequence)?.duration_since(sample.started)));
    let took: Vec<Duration> = took.collect();
    Ok(Webhooks {
        events: outcome.samples.len(),
        arrived: took.len(),
        repeats: sink.repeats() - before.1,
        latency: Quantiles::of(took),
        answer: outcome.latency(),
        beside: beside.events,
    })
}

/// Reads, of profiles or of what the gate says, beside a steady stream of events.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Reads {
    /// Requests made.
    pub reads: usize,
    /// Of them, not there.
    pub not_found: u64,
    /// By the time until the last answer.
    pub reads_per_s: f64,
    /// From sending the request to the whole answer.
    pub latency: Quantiles,
    /// Events taken meanwhile.
    pub events: u64,
    /// From sending a batch to its acknowledgement.
    pub answer: Quantiles,
}

/// Reads profiles at their pace under a load of batches at theirs.
pub async fn reads(target: Target, stream: Arc<Mutex<Stream>>, during: Duration) -> Result<Reads> {
    let requests = Requests::reads(shop::lock(&stream).visitors());
    beside_events(target, stream, requests, READS_PER_S, during).await
}

/// Asks the gate at its pace under the same load: one by one, then many at once.
pub async fn questions(target: Target, stream: Arc<Mutex<Stream>>, during: Duration) -> Result<[Reads; 2]> {
    let asked = |at_once| Requests::allowed(shop::lock(&stream).visitors(), at_once);
    let (one, many) = (asked(1), asked(QUESTIONS_AT_ONCE));
    Ok([
        beside_events(target, stream.clone(), one, QUESTIONS_PER_S, during).await?,
        beside_events(target, stream, many, BATCHES_OF_QUESTIONS_PER_S, during).await?,
    ])
}

async fn beside_events(
    target: Target,
    stream: Arc<Mutex<Stream>>,
    requests: Requests,
    per_s: u32,
    during: Duration,
) -> Result<Reads> {
    let mut reading = Load::open(target.address, PACED_CONNECTIONS, requests).await?;
    let mut writing = Load::open(target.address, PACED_CONNECTIONS, Requests::Shop(stream)).await?;
    let batches_per_s = EVENTS_UNDER_READS_PER_S / shop::BATCH_EVENTS as u32;
    let started = Instant::now();
    let (read, written): (Outcome, Outcome) =
        tokio::try_join!(reading.run(Pace::PerSecond(per_s), during), writing.run(Pace::PerSecond(batches_per_s), during))?;
    let elapsed = started.elapsed().max(during);
    Ok(Reads {
        reads: read.samples.len(),
        not_found: read.not_found,
        reads_per_s: read.samples.len() as f64 / elapsed.as_secs_f64(),
        latency: read.latency(),
        events: written.events,
        answer: written.latency(),
    })
}

/// Profile reads flat out, with nothing beside them.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct FlatOutReads {
    /// Answered per second.
    pub reads_per_s: f64,
    /// From sending the request to the whole profile.
    pub latency: Quantiles,
}

/// Reads the profiles of these visitors as fast as they are answered.
pub async fn flat_out_reads(target: Target, visitors: Vec<[u8; 36]>, during: Duration) -> Result<FlatOutReads> {
    let mut load = Load::open(target.address, PACED_CONNECTIONS, Requests::reads(visitors)).await?;
    let started = Instant::now();
    let outcome = load.run(Pace::FlatOut, during).await?;
    let elapsed = started.elapsed();
    Ok(FlatOutReads { reads_per_s: outcome.samples.len() as f64 / elapsed.as_secs_f64(), latency: outcome.latency() })
}

/// The import of a file of real orders, beside what DuckDB makes of it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Import {
    /// Events that came of the file.
    pub events: u64,
    /// Events imported and processed, by the time of the whole command.
    pub events_per_s: f64,
    /// The file's rows.
    pub rows: u64,
    /// `COPY` of the file into a table of DuckDB, if Python has it: rows per second.
    pub duckdb_rows_per_s: Option<f64>,
}

/// Prints the rows of a Parquet file, and the seconds that `COPY` takes to bring them into a table on the disk.
const DUCKDB: &str = "\
import sys, time, duckdb
file, place = sys.argv[1:]
database = duckdb.connect(place)
database.execute('CREATE TABLE lines AS SELECT * FROM read_parquet(?) LIMIT 0', [file])
started = time.perf_counter()
database.execute(f\"COPY lines FROM '{file}' (FORMAT parquet)\")
database.execute('CHECKPOINT')
print(database.execute('SELECT count(*) FROM lines').fetchone()[0], time.perf_counter() - started)
";

/// Imports `file` with the definitions and the mapping of `example`, and copies it into DuckDB with this `python`.
pub async fn import(binary: &Path, directory: &Path, file: &Path, example: &Path, python: &Path) -> Result<Import> {
    let directory = directory.join("import");
    std::fs::create_dir_all(&directory)?;
    let server = Server::jumelle(binary, &directory, &std::fs::read_to_string(example.join("workspace.yaml"))?).await?;
    let mut observer = Observer::open(server.target.address).await?;
    let before = observer.counters().await?;
    let started = Instant::now();
    let mut command = Command::new(binary);
    command.arg("import").arg(file).args(["--source", "shop", "--mapping"]).arg(example.join("mapping.yaml"));
    command.args(["--server", &format!("http://{}", server.target.address)]).env("JUMELLE_ADMIN_TOKEN", ADMIN_TOKEN);
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    if !output.status.success() {
        bail!("jumelle import: {}", String::from_utf8_lossy(&output.stderr));
    }
    let stored = observer.counters().await?.stored - before.stored;
    observer.drained(before, stored).await?;
    let seconds = started.elapsed().as_secs_f64();
    drop(server);
    let copied = Command::new(python).args(["-c", DUCKDB]).arg(file).arg(directory.join("lines.duckdb")).output();
    let copied = copied.ok().filter(|output| output.status.success());
    let text = copied.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let duckdb = text.split_once(' ').and_then(|(rows, took)| Some((rows.parse().ok()?, took.trim().parse::<f64>().ok()?)));
    Ok(Import {
        events: stored,
        events_per_s: stored as f64 / seconds,
        rows: duckdb.map_or(0, |(rows, _)| rows),
        duckdb_rows_per_s: duckdb.map(|(rows, took): (u64, f64)| rows as f64 / took),
    })
}

/// What is left on the disk, and how long it takes to come back to it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Rest {
    /// Events of the history.
    pub events: u64,
    /// All stores with their journals, per event, before the server was stopped.
    pub disk_bytes_per_event: f64,
    /// The shop's events as lines of JSON, compressed by zstd (level 3): bytes per event.
    pub zstd_bytes_per_event: f64,
    /// From starting to ready, after a clean stop.
    pub start_s: f64,
    /// The same after `kill -9` under nothing but what came before.
    pub start_after_kill_s: f64,
    /// `jumelle rebuild`: events per second of the whole command, comparison included.
    pub rebuild_events_per_s: f64,
}

/// Stops, kills, starts and rebuilds. The server is gone afterwards.
pub async fn rest(server: Server, binary: &Path, directory: &Path, zstd_bytes_per_event: f64) -> Result<Rest> {
    let mut observer = Observer::open(server.target.address).await?;
    let (events, disk) = (observer.counters().await?.stored, observer.disk_bytes().await?);
    let (server, start) = server.again("TERM", binary, directory).await?;
    let (server, start_after_kill) = server.again("KILL", binary, directory).await?;
    drop(server);
    let started = Instant::now();
    let rebuilt = Command::new(binary).arg("rebuild").arg("--data").arg(directory.join(DATA)).output()?;
    if !rebuilt.status.success() {
        bail!("jumelle rebuild: {}", String::from_utf8_lossy(&rebuilt.stderr));
    }
    Ok(Rest {
        events,
        disk_bytes_per_event: disk as f64 / events.max(1) as f64,
        zstd_bytes_per_event,
        start_s: start.as_secs_f64(),
        start_after_kill_s: start_after_kill.as_secs_f64(),
        rebuild_events_per_s: events as f64 / started.elapsed().as_secs_f64(),
    })
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::atomic::{AtomicU64, Ordering};

    use axum::Router;
    use axum::body::Bytes;
    use axum::http::StatusCode;
    use axum::routing::{get, post};

    use super::*;
    use crate::wire::{self, Connection};

    /// Stands in for the server: stores nothing, "processes" with a delay of one look, loses what it is told to.
    async fn stand_in(sink: SocketAddr, lost: u64) -> Target {
        let (stored, shown) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let batches = stored.clone();
        let batch = post(move |_: Bytes| {
            batches.fetch_add(100 - lost, Ordering::SeqCst);
            async { r#"{"success":true,"rejected":[]}"# }
        });
        let singles = stored.clone();
        let track = post(move |body: Bytes| {
            singles.fetch_add(1, Ordering::SeqCst);
            async move {
                let mut hook = Connection::open(sink).await.unwrap();
                let mut request = Vec::new();
                wire::post_into(&mut request, "/hook", "", &[&body]);
                hook.exchange(&request).await.unwrap();
                r#"{"success":true}"#
            }
        });
        let metrics = get(move || {
            let stored = stored.load(Ordering::SeqCst);
            let processed = shown.swap(stored, Ordering::SeqCst);
            async move { format!("jumelle_stored_events_total {stored}\njumelle_processed_events_total {processed}\n") }
        });
        let profile = get(|axum::extract::Path(id): axum::extract::Path<String>| async move {
            if id.ends_with('1') { StatusCode::NOT_FOUND } else { StatusCode::OK }
        });
        let router = Router::new().route("/v1/batch", batch).route("/v1/track", track).route("/metrics", metrics);
        let router = router.route("/v1/profiles/{id}", profile);
        let router = router.route("/v1/allowed", get(|| async { "{}" }).post(|_: Bytes| async { "{}" }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async { axum::serve(listener, router).await });
        Target { address, process: std::process::id() }
    }

    const SHORT: Duration = Duration::from_millis(100);

    #[tokio::test]
    async fn every_phase_measures_a_server_that_does_its_work() {
        let sink = Sink::start().await.unwrap();
        let target = stand_in(sink.address, 0).await;
        // So many that no machine hears of all their days while it measures flat out.
        let stream = Stream::new(1, 40_000).unwrap();
        let mut load = Load::open(target.address, 2, Requests::Shop(stream.clone())).await.unwrap();
        let mut observer = Observer::open(target.address).await.unwrap();
        assert!(warm_up(&mut load, 1, &mut observer).await.unwrap() > 0);
        let flat_out = throughput(&mut load, target, SHORT, Some(&mut observer)).await.unwrap();
        assert!(flat_out.events >= 100 && flat_out.seconds >= 0.1 && flat_out.answer.p50_ms > 0.0, "{flat_out:?}");

        let triggers = Requests::triggers(Arc::default());
        let hooks = webhooks(target, &sink, &stream, &triggers, 0, SHORT).await.unwrap();
        assert_eq!((hooks.events, hooks.arrived, hooks.repeats, hooks.beside), (100, 100, 0, 0));
        let beside = webhooks(target, &sink, &stream, &triggers, 1_000, SHORT).await.unwrap();
        assert_eq!((beside.events, beside.arrived, beside.repeats, beside.beside), (100, 100, 0, 100));
        assert!(hooks.latency.p50_ms > 0.0 && hooks.latency.p50_ms <= hooks.answer.max_ms, "{hooks:?}");

        let visitors = shop::lock(&stream).visitors();
        let flat_out = flat_out_reads(target, visitors, SHORT).await.unwrap();
        assert!(flat_out.reads_per_s > 100.0 && flat_out.latency.p50_ms > 0.0, "{flat_out:?}");
        let read = reads(target, stream.clone(), SHORT).await.unwrap();
        assert_eq!((read.reads, read.events), (200, 500));
        assert!((1..200).contains(&read.not_found), "{read:?}");

        let [one, many] = questions(target, stream, SHORT).await.unwrap();
        assert_eq!((one.reads, one.not_found, one.events), (200, 0, 500));
        assert_eq!((many.reads, many.events), (5, 500));
    }

    #[tokio::test]
    async fn a_server_that_counts_more_than_was_sent_is_caught() {
        let sink = Sink::start().await.unwrap();
        let target = stand_in(sink.address, 0).await;
        let mut observer = Observer::open(target.address).await.unwrap();
        let before = observer.counters().await.unwrap();
        let shop = Requests::Shop(Stream::new(1, 2_000).unwrap());
        let mut load = Load::open(target.address, 1, shop).await.unwrap();
        let sent = load.run(Pace::PerSecond(10), SHORT).await.unwrap().events;
        let error = observer.drained(before, sent - 1).await.unwrap_err().to_string();
        assert!(error.starts_with("99 events were acknowledged, 100 are stored"), "{error}");
    }

    #[tokio::test]
    async fn a_server_that_loses_events_is_caught() {
        let sink = Sink::start().await.unwrap();
        let target = stand_in(sink.address, 3).await;
        let mut observer = Observer::open(target.address).await.unwrap();
        let before = observer.counters().await.unwrap();
        let shop = Requests::Shop(Stream::new(1, 2_000).unwrap());
        let mut load = Load::open(target.address, 1, shop).await.unwrap();
        let sent = load.run(Pace::PerSecond(10), SHORT).await.unwrap().events;
        let waiting = tokio::time::timeout(SHORT, observer.drained(before, sent));
        assert!(waiting.await.is_err(), "97 of 100 are not all");
    }
}
