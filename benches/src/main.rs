//! `make bench`: one table of throughput and latency, with this machine's ceilings measured in the same run.
//!
//! It knows the server as an outsider does: a binary, HTTP, `/metrics`, and the operating system's figures of a process.
//! Load generator and server share the cores, as the numbers say; a run asserts that nothing is lost, never how fast it is.

mod dialled;
mod disk;
mod load;
mod lookers;
mod machine;
mod noop;
mod phases;
mod race;
mod redis;
mod report;
mod requests;
mod server;
mod shop;
mod sink;
mod sync;
mod wire;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};

use crate::load::Load;
use crate::machine::{Machine, Usage};
use crate::phases::{BATCH_CONNECTIONS, SINGLE_CONNECTIONS};
use crate::redis::Redis;
use crate::report::Report;
use crate::requests::Requests;
use crate::server::{Observer, Server};
use crate::shop::{Kind, Stream};
use crate::sink::Sink;

// The server's allocator, so that the no-op handler is a ceiling for it and not for another one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Definitions that the server runs on, with a port in place of the sink's.
const WORKSPACE: &str = include_str!("../workspace.yaml");
/// The sink's place in it.
const SINK_PLACE: &str = "127.0.0.1:9797";
/// Events that are compressed for comparison.
const ZSTD_EVENTS: u64 = 200_000;
/// Definitions and mapping of the import.
const EXAMPLE: &str = "examples/online_retail";
/// How long a ceiling is measured.
const CEILING_MAX: Duration = Duration::from_secs(5);

/// Measures a `jumelle` binary beside this machine's ceilings.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Length of the measured phase of batches, in seconds.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// Length of each of the others: a sixth of it, if nothing is said.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    others_seconds: Option<u64>,
    /// The binary.
    #[arg(long, default_value = "target/release/jumelle")]
    server: PathBuf,
    /// Where the data goes while it runs: a directory on the disk to be measured.
    #[arg(long, env = "CARGO_TARGET_DIR", hide_env_values = true, default_value = "target")]
    directory: PathBuf,
    /// Seed of the load: the same seed, the same requests.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// People of the shop.
    #[arg(long, default_value_t = 1_000_000)]
    people: u32,
    /// Events before the first measurement: until the storage engine's compactions have begun.
    #[arg(long, default_value_t = 1_000_000)]
    warm_up: u64,
    /// A file of real orders to import (UCI Online Retail as Parquet); left out where it is missing.
    #[arg(long, default_value = "../shared/data/online_retail/online_retail.parquet")]
    orders: PathBuf,
    /// A Python that has DuckDB, to compare the import with.
    #[arg(long, default_value = ".venv/bin/python")]
    python: PathBuf,
    /// One JSON object in place of the table.
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Subcommand)]
enum Role {
    /// The process that the bench starts for its ceilings.
    #[command(hide = true)]
    Noop { address: SocketAddr, redis: Option<SocketAddr> },
    /// Withdrawals raced against sends over slow tools; one JSON object. Fails if a request began later than 100 ms after a
    /// withdrawal was acknowledged.
    Race {
        /// People, each of whom consents, is sent to four tools, and withdraws.
        #[arg(long, default_value_t = 5_000)]
        race_people: u64,
        /// Messages per second that the people come to.
        #[arg(long, default_value_t = 1_000)]
        sends_per_s: u64,
    },
    /// Everybody of a segment goes to a tool for the first time: one by one, in batches, into a file; one JSON object.
    Sync {
        /// People in the segment.
        #[arg(long, default_value_t = 1_000_000)]
        sync_people: u64,
    },
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("jumelle-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    match arguments.role {
        Some(Role::Noop { address, redis }) => return noop::serve(address, redis),
        Some(Role::Race { race_people, sends_per_s }) => return run_race(arguments, race_people, sends_per_s),
        Some(Role::Sync { sync_people }) => return run_sync(arguments, sync_people),
        None => {}
    }
    // One thread: the generator never takes more than one core from the server.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(async {
        tokio::select! {
            report = measure(arguments) => report,
            // Ends the servers and removes the data on the way out.
            stopped = tokio::signal::ctrl_c() => stopped.map_err(Into::into).and_then(|()| bail!("stopped")),
        }
    })?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    Ok(())
}

fn run_race(arguments: &Arguments, people: u64, sends_per_s: u64) -> Result<()> {
    std::fs::create_dir_all(&arguments.directory)?;
    let directory = tempfile::Builder::new().prefix("jumelle-race-").tempdir_in(&arguments.directory)?;
    let directory_path = directory.path().canonicalize()?;
    let binary = arguments.server.canonicalize()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(race::race(&binary, &directory_path, people, sends_per_s, arguments.seed))?;
    println!("{}", serde_json::to_string(&outcome)?);
    if outcome.too_late > 0 {
        bail!("{} requests began too late", outcome.too_late);
    }
    Ok(())
}

fn run_sync(arguments: &Arguments, people: u64) -> Result<()> {
    std::fs::create_dir_all(&arguments.directory)?;
    let directory = tempfile::Builder::new().prefix("jumelle-sync-").tempdir_in(&arguments.directory)?;
    let directory_path = directory.path().canonicalize()?;
    let binary = arguments.server.canonicalize()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(sync::sync(&binary, &directory_path, people))?;
    println!("{}", serde_json::to_string_pretty(&outcome)?);
    Ok(())
}

async fn measure(arguments: &Arguments) -> Result<Report> {
    let phase = Duration::from_secs(arguments.seconds);
    let version = version_of(&arguments.server)?;
    std::fs::create_dir_all(&arguments.directory)?;
    let directory = tempfile::Builder::new().prefix("jumelle-bench-").tempdir_in(&arguments.directory)?;
    let directory_path = directory.path().canonicalize()?;

    let short = arguments.others_seconds.map_or((phase / 6).max(Duration::from_secs(1)), Duration::from_secs);
    let ceiling = short.min(CEILING_MAX);
    say("ceilings: the disk");
    let fdatasync_per_s = disk::syncs_per_s(&directory_path, ceiling)?;
    let sequential_mb_per_s = disk::sequential_mb_per_s(&directory_path, ceiling)?;

    say("ceilings: a handler that does nothing");
    let stream = Stream::new(arguments.seed, arguments.people)?;
    let noop = Server::noop(&directory_path, None).await?;
    let mut load = Load::open(noop.target.address, BATCH_CONNECTIONS, Requests::Shop(stream.clone())).await?;
    let noop_batches = phases::throughput(&mut load, noop.target, ceiling, None).await?;
    shop::lock(&stream).pack(Kind::Singles);
    let mut load = Load::open(noop.target.address, SINGLE_CONNECTIONS, Requests::Shop(stream)).await?;
    let noop_singles = phases::throughput(&mut load, noop.target, ceiling, None).await?;
    drop((noop, load));

    let sink = Sink::start().await?;
    let workspace = WORKSPACE.replace(SINK_PLACE, &sink.address.to_string());
    let jumelle = Server::jumelle(&arguments.server, &directory_path, &workspace).await?;
    let target = jumelle.target;
    let stream = Stream::new(arguments.seed, arguments.people)?;
    let measured = async {
        let mut observer = Observer::open(target.address).await?;
        say("warming up");
        let mut load = Load::open(target.address, BATCH_CONNECTIONS, Requests::Shop(stream.clone())).await?;
        let warm_up_events = phases::warm_up(&mut load, arguments.warm_up, &mut observer).await?;
        say("batches of 100");
        let batches = phases::throughput(&mut load, target, phase, Some(&mut observer)).await?;
        say("single events");
        shop::lock(&stream).pack(Kind::Singles);
        let mut load = Load::open(target.address, SINGLE_CONNECTIONS, Requests::Shop(stream.clone())).await?;
        let singles = phases::throughput(&mut load, target, short, Some(&mut observer)).await?;
        shop::lock(&stream).pack(Kind::Batches);
        drop(load);
        say("event → webhook");
        let triggers = Requests::triggers(shop::lock(&stream).clock());
        let webhooks = phases::webhooks(target, &sink, &stream, &triggers, 0, short).await?;
        let half = (batches.events_per_s / 2.0) as u32;
        let webhooks_at_half = phases::webhooks(target, &sink, &stream, &triggers, half, short).await?;
        say("profile reads");
        let reads = phases::reads(target, stream.clone(), short).await?;
        let visitors = shop::lock(&stream).visitors();
        let flat_out_reads = phases::flat_out_reads(target, visitors.clone(), ceiling).await?;
        let redis_reads = match Redis::start(&directory_path).await? {
            None => None,
            Some(redis) => {
                redis.fill(target, &visitors).await?;
                let noop = Server::noop(&directory_path, Some(redis.address)).await?;
                Some(phases::flat_out_reads(noop.target, visitors, ceiling).await?)
            }
        };
        say("the gate, as other tools ask it");
        let questions = phases::questions(target, stream, short).await?;
        let hooks = [webhooks, webhooks_at_half];
        anyhow::Ok((warm_up_events, batches, singles, hooks, reads, flat_out_reads, redis_reads, questions))
    };
    let (warm_up_events, batches, singles, [webhooks, webhooks_at_half], reads, flat_out_reads, redis_reads, questions) =
        measured
            .await
            .with_context(|| format!("the server's log ends with:\n{}", server::end_of(&directory_path.join("server.log"))))?;
    let server_memory_bytes_max = Usage::of(target.process).memory_bytes_max;
    say("disk, starts, rebuild");
    let zstd_bytes_per_event = shop::zstd_bytes_per_event(arguments.seed, arguments.people, ZSTD_EVENTS)?;
    let rest = phases::rest(jumelle, &arguments.server, &directory_path, zstd_bytes_per_event).await?;
    let import = match arguments.orders.exists() {
        false => None,
        true => {
            say("import");
            let (example, python) = (Path::new(EXAMPLE), &arguments.python);
            Some(phases::import(&arguments.server, &directory_path, &arguments.orders, example, python).await?)
        }
    };
    Ok(Report {
        rest,
        machine: Machine::of(&directory_path),
        server: version,
        bench_build: if cfg!(debug_assertions) { "debug" } else { "release" },
        seed: arguments.seed,
        phase_s: arguments.seconds,
        warm_up_events,
        people: arguments.people,
        fdatasync_per_s,
        sequential_mb_per_s,
        noop_batches,
        noop_singles,
        batches,
        singles,
        webhooks,
        webhooks_at_half,
        reads,
        flat_out_reads,
        redis_reads,
        questions: questions[0],
        batches_of_questions: questions[1],
        import,
        other_webhooks: sink.messages() - sink.triggers() as u64 - sink.repeats(),
        server_memory_bytes_max,
    })
}

/// What the binary says it is.
fn version_of(binary: &Path) -> Result<String> {
    let output = Command::new(binary).arg("--version").output();
    let output = output.with_context(|| format!("cannot run {}; build it with `make release`", binary.display()))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn say(what: &str) {
    eprintln!("· {what}");
}
