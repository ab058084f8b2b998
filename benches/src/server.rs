//! The processes that are measured, and what they say of themselves. Each is ended by its own id when it is dropped.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::wire::{self, Connection};

/// The administrator of the measured server.
pub const ADMIN_TOKEN: &str = "bench-token-0123456789abcdef";
/// Signs what the server sends to the sink, which does not check it: signing is the server's work.
const HOOK_SECRET: &str = "bench-secret-0123456789abcdef";
/// Names below the bench's directory.
const DEFINITIONS: &str = "workspace.yaml";
/// The same.
pub const DATA: &str = "data";
/// From start to ready, at most.
const START_WAIT_MAX: Duration = Duration::from_secs(600);
/// From the last answer until everything is processed, at most.
const DRAIN_WAIT_MAX: Duration = Duration::from_secs(120);
/// Between two looks at the counters.
const POLL_PAUSE: Duration = Duration::from_millis(10);
/// Lines of the server's log that are shown when it fails.
const LOG_LINES_SHOWN: usize = 30;

/// Where load goes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its process, to see what it uses.
    pub process: u32,
}

/// A process on a port of its own.
pub struct Server {
    child: Child,
    /// Where it is.
    pub target: Target,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It is measured, not kept: its directory goes with it. Both calls fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// `jumelle serve` on an empty directory below `directory`, with the definitions of `workspace`.
    pub async fn jumelle(binary: &Path, directory: &Path, workspace: &str) -> Result<Server> {
        std::fs::write(directory.join(DEFINITIONS), workspace)?;
        Server::serve(binary, directory, free_address()?).await
    }

    /// The same, by the wall's clock.
    pub async fn jumelle_now(binary: &Path, directory: &Path, workspace: &str) -> Result<Server> {
        std::fs::write(directory.join(DEFINITIONS), workspace)?;
        Server::serve_by(binary, directory, free_address()?, &["--clock", "wall"]).await
    }

    async fn serve(binary: &Path, directory: &Path, address: SocketAddr) -> Result<Server> {
        // Time moves with the shop's events, so that windows slide and timers fire as often per event as they would in its life.
        Server::serve_by(binary, directory, address, &["--clock", "events"]).await
    }

    async fn serve_by(binary: &Path, directory: &Path, address: SocketAddr, clock: &[&str]) -> Result<Server> {
        let mut command = Command::new(binary);
        command.arg("serve").args(clock).args(["--listen", &address.to_string(), "--data"]).arg(directory.join(DATA));
        command.arg("--workspace").arg(directory.join(DEFINITIONS));
        command.env("JUMELLE_ADMIN_TOKEN", ADMIN_TOKEN).env("JUMELLE_BENCH_SECRET", HOOK_SECRET);
        Server::start(command, address, &directory.join("server.log")).await
    }

    /// Ends it, by a signal that it can answer (`TERM`) or by one that it cannot (`KILL`), and starts it anew on what it has
    /// written: how long until it says that it is ready.
    pub async fn again(mut self, signal: &str, binary: &Path, directory: &Path) -> Result<(Server, Duration)> {
        let id = self.target.process.to_string();
        if !Command::new("kill").args(["-s", signal, &id]).status()?.success() {
            bail!("kill -s {signal} {id} failed");
        }
        self.child.wait()?;
        let started = Instant::now();
        let server = Server::serve(binary, directory, self.target.address).await?;
        Ok((server, started.elapsed()))
    }

    /// The no-op handler, in a process made of this very binary; with profiles from a Redis, if there is one.
    pub async fn noop(directory: &Path, redis: Option<SocketAddr>) -> Result<Server> {
        let address = free_address()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["noop", &address.to_string()]).args(redis.map(|redis| redis.to_string()));
        Server::start(command, address, &directory.join("noop.log")).await
    }

    async fn start(mut command: Command, address: SocketAddr, log: &Path) -> Result<Server> {
        let output = File::create(log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = command.spawn().with_context(|| format!("cannot start {}", command.get_program().display()))?;
        let mut server = Server { target: Target { address, process: child.id() }, child };
        let deadline = Instant::now() + START_WAIT_MAX;
        loop {
            if let Some(status) = server.child.try_wait()? {
                bail!("{} ended with {status}:\n{}", command.get_program().display(), end_of(log));
            }
            if is_ready(address).await {
                return Ok(server);
            }
            if Instant::now() > deadline {
                bail!("not ready after {} s:\n{}", START_WAIT_MAX.as_secs(), end_of(log));
            }
            tokio::time::sleep(POLL_PAUSE).await;
        }
    }
}

/// The last lines of a log.
pub fn end_of(log: &Path) -> String {
    let text = std::fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
}

async fn is_ready(address: SocketAddr) -> bool {
    let asked = async { Connection::open(address).await?.exchange(&wire::get("/readyz", None)).await?.status() };
    matches!(asked.await, Ok(200))
}

/// A port that was free a moment ago.
pub fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// The server's counters of events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counters {
    /// Of them, those that are durable.
    pub stored: u64,
    /// Of them, those that are folded.
    pub processed: u64,
}

/// Looks at the counters over a connection of its own.
pub struct Observer(Connection);

impl Observer {
    /// Connects.
    pub async fn open(address: SocketAddr) -> Result<Observer> {
        Ok(Observer(Connection::open(address).await?))
    }

    /// As they stand.
    pub async fn counters(&mut self) -> Result<Counters> {
        let answer = self.0.exchange(&wire::get("/metrics", None)).await?;
        let (status, text) = (answer.status()?, String::from_utf8_lossy(answer.body));
        if status != 200 {
            bail!("/metrics answered {status}");
        }
        let counter = |name: &str| counter(&text, name).with_context(|| format!("/metrics does not show {name}"));
        Ok(Counters { stored: counter("jumelle_stored_events_total")?, processed: counter("jumelle_processed_events_total")? })
    }

    /// Bytes of everything on disk, journals too.
    pub async fn disk_bytes(&mut self) -> Result<u64> {
        let answer = self.0.exchange(&wire::get("/metrics", None)).await?;
        let text = String::from_utf8_lossy(answer.body);
        counter(&text, "jumelle_store_disk_bytes").context("/metrics does not show jumelle_store_disk_bytes")
    }

    /// Waits until `accepted` events beyond `before` are both stored and processed.
    pub async fn drained(&mut self, before: Counters, accepted: u64) -> Result<()> {
        let deadline = Instant::now() + DRAIN_WAIT_MAX;
        loop {
            let now = self.counters().await?;
            let (stored, processed) = (now.stored - before.stored, now.processed - before.processed);
            if stored == accepted && processed == accepted {
                return Ok(());
            }
            if stored > accepted || Instant::now() > deadline {
                bail!(
                    "{accepted} events were acknowledged, {stored} are stored and {processed} processed (after {} s at most)",
                    DRAIN_WAIT_MAX.as_secs()
                );
            }
            tokio::time::sleep(POLL_PAUSE).await;
        }
    }
}

/// Sum over all labels of a counter in Prometheus' text format.
fn counter(text: &str, name: &str) -> Option<u64> {
    let values = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let value = if rest.starts_with('{') { rest.rsplit_once("} ")?.1 } else { rest.strip_prefix(' ')? };
        value.trim().parse::<u64>().ok()
    });
    values.reduce(|sum, value| sum + value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_summed_over_labels_and_not_mixed_up() {
        let text = "# HELP a_total x\n# TYPE a_total counter\na_total{source=\"s} t\"} 3\na_total{source=\"u\"} 4\na_total_more 9\nb 2\n";
        assert_eq!(counter(text, "a_total"), Some(7));
        assert_eq!(counter(text, "b"), Some(2));
        assert_eq!(counter(text, "c"), None);
    }

    #[tokio::test]
    async fn a_binary_that_ends_at_once_is_reported_with_its_log() {
        let directory = tempfile::tempdir().unwrap();
        let error = Server::jumelle(Path::new("/bin/false"), directory.path(), "").await.err().unwrap().to_string();
        assert!(error.contains("/bin/false ended with exit status: 1"), "{error}");
        let error = Server::jumelle(Path::new("/no/such"), directory.path(), "").await.err().unwrap().to_string();
        assert_eq!(error, "cannot start /no/such");
    }
}
