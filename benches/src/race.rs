//! `jumelle-bench race`: withdrawals raced against sends (issue: no request begins later than 100 ms after an acknowledged withdrawal).
//!
//! People enter a segment that four slow tools are kept in step with; each takes her consent back at an instant of its own, while her
//! messages wait, are on the wire, or wait for a retry. What arrives is noted by a recorder on a thread of its own, beside the server
//! and not by it. An instant of the recorder is a little later than the request's beginning (where a tool keeps connections waiting, the
//! sender's end of the connection says when, see `dialled.rs`), so it errs to the strict side; when its
//! thread was not run for a while (this machine has other work), what it saw in that while is told apart and not judged.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use tokio::net::TcpSocket;

use crate::dialled::Dialled;
use crate::lookers;
use crate::server::{ADMIN_TOKEN, Server};
use crate::wire::{self, Connection};

/// After an acknowledgement no request begins later than this.
const BOUND: Duration = Duration::from_millis(100);
/// A thread that was not run for longer than this cannot say when something happened meanwhile.
const STALL: Duration = Duration::from_millis(20);
const STALL_LOOK: Duration = Duration::from_millis(5);
/// Between two batches of newcomers.
const BATCH_EVERY: Duration = Duration::from_millis(50);
/// She withdraws at most so long after her batch was acknowledged.
const WITHDRAWN_WITHIN_MS: u64 = 1_500;
/// Calls of withdrawals under way at once.
const WITHDRAWERS: usize = 32;
/// How long the tools have to hear of everybody who left.
const TAKEN_BACK_MAX: Duration = Duration::from_secs(600);
/// What follows the number in an address.
const AT: &str = "@race.example";

/// A tool and its manners.
#[derive(Clone, Copy)]
struct Tool {
    name: &'static str,
    /// Requests at once.
    concurrency: u32,
    /// How long it takes to answer, in milliseconds: from, to.
    answer_ms: (u64, u64),
    /// Of a hundred requests so many are answered with 503.
    refused_percent: u64,
    /// It closes each connection, takes new ones one at a time and with a pause: a connect waits.
    late: bool,
}

const TOOLS: [Tool; 4] = [
    Tool { name: "quick", concurrency: 64, answer_ms: (1, 20), refused_percent: 0, late: false },
    Tool { name: "slow", concurrency: 128, answer_ms: (100, 400), refused_percent: 0, late: false },
    Tool { name: "failing", concurrency: 64, answer_ms: (5, 60), refused_percent: 20, late: false },
    Tool { name: "late", concurrency: 32, answer_ms: (5, 30), refused_percent: 0, late: true },
];

/// What a race came to.
#[derive(Debug, Default, Serialize)]
pub struct Outcome {
    /// People who withdrew, each once.
    pub withdrawals: u64,
    /// Requests that brought somebody into a tool.
    pub sends: u64,
    /// Per second, while people came.
    pub sends_per_s: f64,
    /// Of these, begun after the acknowledgement and within the bound.
    pub within_the_bound: u64,
    /// The latest of them after its acknowledgement, in milliseconds.
    pub latest_ms: f64,
    /// Begun later than 100 ms after the acknowledgement: must be none.
    pub too_late: u64,
    /// The worst of these, in milliseconds.
    pub too_late_ms_max: f64,
    /// Of these, by tool.
    pub too_late_by_tool: HashMap<&'static str, u64>,
    /// Would be too late, but the recorder's thread was not run in that while: not judged.
    pub undecided: u64,
    /// How long the recorder's thread was not run, in all, in milliseconds.
    pub stalled_ms: u64,
    /// Requests that a tool's own queue held up for longer than that, after they had begun.
    pub held_up: u64,
    /// People whom a tool had received (or may have), tool by tool.
    pub received: u64,
    /// Of these, taken back from it.
    pub taken_back: u64,
    /// Messages that never left, because the gate was closed in time.
    pub stayed: u64,
}

/// What arrived, by person and tool.
#[derive(Default)]
struct Recorded {
    /// Person × tool → the last request that brought her in.
    begun: HashMap<(u64, usize), (Instant, u64)>,
    /// Person × tool → taken back.
    back: HashMap<(u64, usize), u64>,
    stalls: Vec<(Instant, Instant)>,
    held_up: u64,
}

type Shared<T> = Arc<Mutex<T>>;

fn lock<T>(shared: &Shared<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// SplitMix64: the same seed, the same instants.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound.max(1)
    }
}

/// Races `people` against `sends_per_s` over a server of our own.
pub async fn race(binary: &Path, directory: &Path, people: u64, sends_per_s: u64, seed: u64) -> Result<Outcome> {
    let recorded: Shared<Recorded> = Arc::default();
    let over = Arc::new(AtomicBool::new(false));
    let (addresses, recorder) = record(recorded.clone(), over.clone(), seed)?;
    let server = Server::jumelle_now(binary, directory, &workspace(&addresses)).await?;
    let outcome = run(&server, &recorded, people, sends_per_s, seed).await;
    over.store(true, Ordering::Release);
    drop(server);
    if recorder.join().is_err() {
        bail!("the recorder panicked");
    }
    outcome.with_context(|| format!("the server's log ends with:\n{}", crate::server::end_of(&directory.join("server.log"))))
}

fn workspace(addresses: &[SocketAddr]) -> String {
    let mut text = lookers::DEFINITIONS.to_owned();
    text += "destinations:\n";
    for (tool, address) in TOOLS.iter().zip(addresses) {
        let Tool { name, concurrency, .. } = tool;
        text += &format!(
            "  {name}: {{connector: webhook, url: \"http://{address}/hook\", allow_private: true, concurrency: {concurrency}}}\n"
        );
    }
    text += "activations:\n";
    for Tool { name, .. } in TOOLS {
        text += &format!(
            "  to_{name}: {{segment: lookers, destination: {name}, purpose: marketing, channel: email, map: {{email: identifiers.email}}}}\n"
        );
    }
    text
}

// ── the recorder ─────────────────────────────────────────────────────────────────────────────────────────────────────

type Recorder = std::thread::JoinHandle<()>;

/// Listens for every tool, on a thread of its own.
fn record(recorded: Shared<Recorded>, over: Arc<AtomicBool>, seed: u64) -> Result<(Vec<SocketAddr>, Recorder)> {
    let (tell, told) = std::sync::mpsc::channel();
    let thread = std::thread::Builder::new().name("recorder".into()).spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        runtime.block_on(async move {
            let mut addresses = Vec::new();
            for number in 0..TOOLS.len() {
                match listen(number, recorded.clone(), seed) {
                    Ok(address) => addresses.push(address),
                    Err(error) => return drop(tell.send(Err(error))),
                }
            }
            let _ = tell.send(Ok(addresses));
            let mut looked = Instant::now();
            while !over.load(Ordering::Acquire) {
                tokio::time::sleep(STALL_LOOK).await;
                let now = Instant::now();
                if now - looked > STALL + STALL_LOOK {
                    lock(&recorded).stalls.push((looked, now));
                }
                looked = now;
            }
        });
    })?;
    Ok((told.recv().context("the recorder did not start")??, thread))
}

fn listen(number: usize, recorded: Shared<Recorded>, seed: u64) -> Result<SocketAddr> {
    let tool = TOOLS[number];
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    let listener = socket.listen(if tool.late { 1 } else { 1_024 })?;
    let address = listener.local_addr()?;
    let dialled = if tool.late { Some(Dialled::to(address.port())?) } else { None };
    let connections = AtomicU64::new(0);
    tokio::spawn(async move {
        while let Ok((stream, sender)) = listener.accept().await {
            let since = dialled.as_ref().and_then(|dialled| dialled.since(sender.port()));
            let chance = Chance(seed ^ (connections.fetch_add(1, Ordering::Relaxed) << 8) ^ number as u64);
            let recorded = recorded.clone();
            tokio::spawn(async move {
                if let Ok(connection) = Connection::over(stream) {
                    // A connection that breaks is the sender's to notice.
                    let _ = take(connection, number, since, &recorded, chance).await;
                }
            });
            if tool.late {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    });
    Ok(address)
}

/// `since`: the sender's end of the connection stands, and sends what it has been given.
async fn take(
    mut connection: Connection,
    number: usize,
    since: Option<Instant>,
    recorded: &Shared<Recorded>,
    mut chance: Chance,
) -> Result<()> {
    let tool = TOOLS[number];
    while let Some(message) = connection.receive().await? {
        let arrived = Instant::now();
        let at = since.unwrap_or(arrived);
        let person = person_of(message.body).context("a message about nobody of the race")?;
        let back = wire::find(message.body, br#""type":"consent.withdrawn""#).is_some();
        let refused = chance.below(100) < tool.refused_percent;
        {
            let mut recorded = lock(recorded);
            recorded.held_up += u64::from(arrived - at > BOUND);
            if !back {
                let (last, times) = recorded.begun.entry((person, number)).or_insert((at, 0));
                (*last, *times) = (at, *times + 1);
            } else if !refused {
                *recorded.back.entry((person, number)).or_default() += 1;
            }
        }
        let (from, to) = tool.answer_ms;
        tokio::time::sleep(Duration::from_millis(from + chance.below(to - from))).await;
        let status = if refused { "503 Service Unavailable" } else { "200 OK" };
        let connection_header = if tool.late { "connection: close\r\n" } else { "" };
        connection.send(format!("HTTP/1.1 {status}\r\n{connection_header}content-length: 0\r\n\r\n").as_bytes()).await?;
        if tool.late {
            return Ok(());
        }
    }
    Ok(())
}

/// The number in `"email":"12@race.example"`.
fn person_of(body: &[u8]) -> Option<u64> {
    let end = wire::find(body, AT.as_bytes())?;
    let start = body[..end].iter().rposition(|byte| !byte.is_ascii_digit())? + 1;
    std::str::from_utf8(&body[start..end]).ok()?.parse().ok()
}

// ── the people ───────────────────────────────────────────────────────────────────────────────────────────────────────

async fn run(server: &Server, recorded: &Shared<Recorded>, people: u64, sends_per_s: u64, seed: u64) -> Result<Outcome> {
    let address = server.target.address;
    let of_a_batch = (sends_per_s * BATCH_EVERY.as_millis() as u64 / 1_000 / TOOLS.len() as u64).max(1);
    let (acknowledged, failures) = (Shared::<HashMap<u64, Instant>>::default(), Shared::<Vec<String>>::default());
    let (queue, waiting) = tokio::sync::mpsc::unbounded_channel::<u64>();
    let waiting = Arc::new(tokio::sync::Mutex::new(waiting));
    let withdrawers: Vec<_> = (0..WITHDRAWERS)
        .map(|_| {
            let (waiting, acknowledged, failures) = (waiting.clone(), acknowledged.clone(), failures.clone());
            tokio::spawn(async move {
                let outcome: Result<()> = async {
                    let mut connection = Connection::open(address).await?;
                    loop {
                        let Some(person) = waiting.lock().await.recv().await else { return Ok(()) };
                        let answer = connection.exchange(&withdrawal(person)).await?;
                        let (at, status) = (Instant::now(), answer.status()?);
                        if status != 200 {
                            bail!("a withdrawal was answered with {status}: {}", String::from_utf8_lossy(answer.body));
                        }
                        lock(&acknowledged).insert(person, at);
                    }
                }
                .await;
                if let Err(error) = outcome {
                    lock(&failures).push(format!("{error:#}"));
                }
            })
        })
        .collect();

    let (mut chance, mut connection) = (Chance(seed), Connection::open(address).await?);
    let (started, mut next, mut batches) = (Instant::now(), 0u64, 0u32);
    while next < people {
        let batch: Vec<u64> = (next..(next + of_a_batch).min(people)).collect();
        next += batch.len() as u64;
        let answer = connection.exchange(&lookers::request(AT, &batch)).await?;
        if answer.status()? != 200 {
            bail!("newcomers were answered with {}", answer.head);
        }
        for person in batch {
            let (queue, wait) = (queue.clone(), Duration::from_millis(chance.below(WITHDRAWN_WITHIN_MS)));
            tokio::spawn(async move {
                tokio::time::sleep(wait).await;
                let _ = queue.send(person);
            });
        }
        batches += 1;
        tokio::time::sleep_until((started + BATCH_EVERY * batches).into()).await;
    }
    let came = started.elapsed();
    drop(queue);
    for withdrawer in withdrawers {
        withdrawer.await?;
    }
    if let Some(failure) = lock(&failures).first() {
        bail!("{failure}");
    }
    until_taken_back(server, recorded).await?;

    let (acknowledged, recorded) = (lock(&acknowledged), lock(recorded));
    Ok(judge(&acknowledged, &recorded, came))
}

fn judge(acknowledged: &HashMap<u64, Instant>, recorded: &Recorded, came: Duration) -> Outcome {
    let mut outcome = Outcome { withdrawals: acknowledged.len() as u64, ..Outcome::default() };
    for (&(person, tool), &(last, times)) in &recorded.begun {
        outcome.sends += times;
        outcome.received += 1;
        outcome.taken_back += u64::from(recorded.back.contains_key(&(person, tool)));
        let Some(after) = acknowledged.get(&person).and_then(|at| last.checked_duration_since(*at)) else { continue };
        let after_ms = after.as_secs_f64() * 1e3;
        if after <= BOUND {
            outcome.within_the_bound += 1;
            outcome.latest_ms = outcome.latest_ms.max(after_ms);
        } else if recorded.stalls.iter().any(|(from, to)| *from <= last && last <= *to + STALL_LOOK) {
            outcome.undecided += 1;
        } else {
            outcome.too_late += 1;
            outcome.too_late_ms_max = outcome.too_late_ms_max.max(after_ms);
            *outcome.too_late_by_tool.entry(TOOLS[tool].name).or_default() += 1;
        }
    }
    outcome.sends_per_s = outcome.sends as f64 / came.as_secs_f64();
    outcome.stalled_ms = recorded.stalls.iter().map(|(from, to)| (*to - *from).as_millis() as u64).sum();
    outcome.held_up = recorded.held_up;
    outcome.stayed = outcome.withdrawals * TOOLS.len() as u64 - outcome.received;
    outcome
}

/// Waits until every tool has heard of everybody whom it had received. Circuits that the failing tool has opened are closed now and
/// then, as an operator would.
async fn until_taken_back(server: &Server, recorded: &Shared<Recorded>) -> Result<()> {
    let deadline = Instant::now() + TAKEN_BACK_MAX;
    let mut connection = Connection::open(server.target.address).await?;
    loop {
        let left = {
            let recorded = lock(recorded);
            recorded.begun.keys().filter(|who| !recorded.back.contains_key(*who)).count()
        };
        if left == 0 || Instant::now() > deadline {
            return Ok(());
        }
        for Tool { name, .. } in TOOLS {
            connection.exchange(&post(&format!("/v1/destinations/{name}/retry"), "")).await?;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn post(path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {ADMIN_TOKEN}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

fn withdrawal(person: u64) -> Vec<u8> {
    let body = format!(
        r#"{{"identifiers":{{"email":"{person}{AT}"}},"consents":[{{"purpose":"marketing","channel":"email","state":"denied"}}]}}"#
    );
    post("/v1/consents", &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_request_is_told_from_one_within_the_bound_and_from_one_in_a_stall() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut recorded = Recorded::default();
        for (person, begun) in [(1, 50), (2, 1_099), (3, 1_101), (4, 5_000)] {
            recorded.begun.insert((person, 0), (at(begun), 1));
        }
        recorded.back.insert((1, 0), 1);
        recorded.stalls.push((at(4_900), at(5_001)));
        let acknowledged = (1..=5).map(|person| (person, at(1_000))).collect();
        let outcome = judge(&acknowledged, &recorded, Duration::from_secs(1));
        assert_eq!((outcome.within_the_bound, outcome.too_late, outcome.undecided), (1, 1, 1), "{outcome:?}");
        assert_eq!((outcome.received, outcome.taken_back, outcome.stayed), (4, 1, 16), "{outcome:?}");
    }

    #[test]
    fn a_message_names_its_person() {
        assert_eq!(person_of(br#"{"data":{"email":"42@race.example"}}"#), Some(42));
        assert_eq!(person_of(br#"{"data":{"email":"ana@example.org"}}"#), None);
    }
}
