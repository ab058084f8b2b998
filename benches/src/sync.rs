//! `jumelle-bench sync`: everybody of a segment goes to a tool for the first time: one by one over HTTP, in batches over HTTP, into
//! a file. How many leave per second, beside the requests that an idle sender of this machine makes, and what memory it takes.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use tokio::net::TcpListener;

use crate::lookers;
use crate::machine::Usage;
use crate::server::{ADMIN_TOKEN, DATA, Observer, Server};
use crate::wire::{self, Connection};

/// People in one request of the load.
const LOAD_BATCH: u64 = 400;
/// What follows the number in an address.
const AT: &str = "@sync.example";
const LOOK: Duration = Duration::from_millis(50);
const SYNC_MAX: Duration = Duration::from_secs(3_600);
/// How long the ceiling is measured.
const CEILING: Duration = Duration::from_secs(3);
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// What is other than in the connector that `jumelle connector new` writes: a tool without a limit.
const WITHOUT_LIMIT: [(&str, &str); 3] =
    [("rate: {limit: 10/s}", "rate: {limit: 100000/s}"), ("linger: 5s", "linger: 1s"), ("rows: 100", "rows: 500")];

/// One tool.
#[derive(Debug, Serialize)]
pub struct Synced {
    /// How it takes people.
    pub tool: &'static str,
    /// From the activation's first breath until the last one was there.
    pub seconds: f64,
    /// People by that time.
    pub people_per_s: f64,
    /// Requests that reached the sink, or files.
    pub requests: u64,
    /// Most memory of the server meanwhile.
    pub memory_bytes_max: u64,
}

/// What a run came to.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// In the segment.
    pub people: u64,
    /// Requests per second that eight connections of this process make to the same sink, one at a time each.
    pub ceiling_requests_per_s: f64,
    /// Memory of the server before the first tool.
    pub memory_bytes_before: u64,
    /// Tool by tool.
    pub tools: Vec<Synced>,
}

#[derive(Default)]
struct Taken {
    people: AtomicU64,
    requests: AtomicU64,
}

/// Loads `people` into a server of our own and sends them to one tool after the other.
pub async fn sync(binary: &Path, directory: &Path, people: u64) -> Result<Outcome> {
    bulk(binary, directory)?;
    let taken = Arc::<Taken>::default();
    let sink = listen(taken.clone()).await?;
    let ceiling_requests_per_s = ceiling(sink).await?;
    taken.requests.store(0, Ordering::Relaxed);
    taken.people.store(0, Ordering::Relaxed);
    let server = Server::jumelle_now(binary, directory, &workspace(sink, &[])).await?;
    let outcome = async {
        load(&server, people).await?;
        let memory_bytes_before = fresh_peak(server.target.process);
        let mut tools = Vec::new();
        for n in 0..TOOLS.len() {
            tools.push(one(&server, binary, directory, sink, &taken, n, people).await?);
        }
        anyhow::Ok(Outcome { people, ceiling_requests_per_s, memory_bytes_before, tools })
    };
    outcome
        .await
        .with_context(|| format!("the server's log ends with:\n{}", crate::server::end_of(&directory.join("server.log"))))
}

/// Name, and whether a person arrives in the sink.
const TOOLS: [(&str, bool); 3] = [("single", true), ("bulk", true), ("file", false)];

fn workspace(sink: SocketAddr, tools: &[(&str, bool)]) -> String {
    let mut text = format!(
        "{}destinations:
  single: {{connector: webhook, url: \"http://{sink}/hook\", allow_private: true}}
  bulk: {{connector: bulk, settings: {{list: \"7\", api_key: {{env: JUMELLE_BENCH_SECRET}}}}, base_url: \"http://{sink}\", allow_private: true}}
  file: {{connector: file, to: \"folder:out\", content: full, when: {{after: 1s}}, name: \"{{activation}}_{{stamp}}.csv\"}}
",
        lookers::DEFINITIONS
    );
    if !tools.is_empty() {
        text += "activations:\n";
    }
    for (name, _) in tools {
        text += &format!(
            "  to_{name}: {{segment: lookers, destination: {name}, purpose: marketing, channel: email, initial: send, map: {{email: identifiers.email}}}}\n"
        );
    }
    text
}

/// A connector of one's own, beside the workspace file.
fn bulk(binary: &Path, directory: &Path) -> Result<()> {
    let made = Command::new(binary).args(["connector", "new", "bulk"]).current_dir(directory).output()?;
    if !made.status.success() {
        bail!("jumelle connector new: {}", String::from_utf8_lossy(&made.stderr));
    }
    let path = directory.join("connectors/bulk/connector.yaml");
    let mut manifest = std::fs::read_to_string(&path)?;
    for (from, to) in WITHOUT_LIMIT {
        if !manifest.contains(from) {
            bail!("jumelle connector new does not write {from:?} any more");
        }
        manifest = manifest.replace(from, to);
    }
    Ok(std::fs::write(path, manifest)?)
}

async fn one(
    server: &Server,
    binary: &Path,
    directory: &Path,
    sink: SocketAddr,
    taken: &Arc<Taken>,
    nth: usize,
    people: u64,
) -> Result<Synced> {
    let (tool, to_sink) = TOOLS[nth];
    let definitions = directory.join("next.yaml");
    std::fs::write(&definitions, workspace(sink, &TOOLS[..=nth]))?;
    let before = (taken.people.load(Ordering::Relaxed), taken.requests.load(Ordering::Relaxed));
    fresh_peak(server.target.process);
    let mut command = Command::new(binary);
    command.arg("apply").arg(&definitions).args(["--server", &format!("http://{}", server.target.address)]);
    command.env("JUMELLE_ADMIN_TOKEN", ADMIN_TOKEN);
    let started = Instant::now();
    let applied = tokio::task::spawn_blocking(move || command.output());
    tokio::pin!(applied);
    let mut has_applied = false;
    let files = directory.join(DATA).join("files/out");
    loop {
        tokio::select! {
            output = &mut applied, if !has_applied => {
                let output = output??;
                if !output.status.success() {
                    bail!("jumelle apply: {}", String::from_utf8_lossy(&output.stderr));
                }
                has_applied = true;
            }
            () = tokio::time::sleep(LOOK) => {}
        }
        let there = match to_sink {
            true => taken.people.load(Ordering::Relaxed) - before.0,
            false => rows_of(&files)?,
        };
        if there >= people {
            break;
        }
        if started.elapsed() > SYNC_MAX {
            bail!("{tool}: {there} of {people} after {} s", SYNC_MAX.as_secs());
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    let requests = if to_sink { taken.requests.load(Ordering::Relaxed) - before.1 } else { 1 };
    let memory_bytes_max = Usage::of(server.target.process).memory_bytes_max;
    Ok(Synced { tool, seconds, people_per_s: people as f64 / seconds, requests, memory_bytes_max })
}

/// Rows that the manifests in a folder speak of: a file is there when its manifest is.
fn rows_of(folder: &Path) -> Result<u64> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(0) };
    let mut rows = 0;
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            // One that is being written is read again.
            let manifest = serde_json::from_slice::<serde_json::Value>(&std::fs::read(&path)?).unwrap_or_default();
            rows += manifest["rows"].as_u64().unwrap_or_default();
        }
    }
    Ok(rows)
}

/// Forgets the most memory that a process has held, and says what it holds now.
fn fresh_peak(process: u32) -> u64 {
    // Where the kernel does not let us, the peak is of the whole run.
    let _ = std::fs::write(format!("/proc/{process}/clear_refs"), "5");
    Usage::of(process).memory_bytes_max
}

async fn listen(taken: Arc<Taken>) -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let taken = taken.clone();
            tokio::spawn(async move {
                let Ok(mut connection) = Connection::over(stream) else { return };
                while let Ok(Some(message)) = connection.receive().await {
                    let (mut rest, mut people) = (message.body, 0);
                    while let Some(at) = wire::find(rest, AT.as_bytes()) {
                        people += 1;
                        rest = &rest[at + AT.len()..];
                    }
                    taken.people.fetch_add(people, Ordering::Relaxed);
                    taken.requests.fetch_add(1, Ordering::Relaxed);
                    if connection.send(ANSWER).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    Ok(address)
}

async fn ceiling(sink: SocketAddr) -> Result<f64> {
    let started = Instant::now();
    let mut request = Vec::new();
    wire::post_into(&mut request, "/hook", "", &[br#"{"type":"segment.entered","data":{"email":"0@sync.example"}}"#]);
    let request = Arc::new(request);
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let request = request.clone();
        senders.spawn(async move {
            let mut connection = Connection::open(sink).await?;
            let mut sent = 0u64;
            while started.elapsed() < CEILING {
                connection.exchange(&request).await?;
                sent += 1;
            }
            anyhow::Ok(sent)
        });
    }
    let mut all = 0;
    while let Some(sent) = senders.join_next().await {
        all += sent??;
    }
    Ok(all as f64 / started.elapsed().as_secs_f64())
}

async fn load(server: &Server, people: u64) -> Result<()> {
    let mut observer = Observer::open(server.target.address).await?;
    let before = observer.counters().await?;
    let mut connection = Connection::open(server.target.address).await?;
    let mut next = 0;
    while next < people {
        let batch = next..(next + LOAD_BATCH).min(people);
        next = batch.end;
        let request = lookers::request(AT, &batch.collect::<Vec<_>>());
        loop {
            match connection.exchange(&request).await?.status()? {
                200 => break,
                429 | 503 => tokio::time::sleep(LOOK).await,
                other => bail!("newcomers were answered with {other}"),
            }
        }
    }
    observer.drained(before, people).await
}
