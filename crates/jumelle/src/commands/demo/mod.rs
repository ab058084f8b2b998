//! `jumelle demo`: the simulated shop, live or as a load; or the story of one person.

mod inbox;
mod living;
mod load;
mod story;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use jumelle_simulate::calendar::parse_date;
use jumelle_simulate::{Plan, Shop};

use crate::arguments::{Demo, Language};
use crate::client::block_on;
use crate::output::Failure;
use crate::telemetry;

/// Ports tried after the one asked for.
const PORTS_TRIED: u16 = 50;
/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;
/// Days of a shop whose beginning is not said.
const DAYS: i64 = 60;

/// Does what the arguments say.
pub fn run(demo: &Demo) -> anyhow::Result<()> {
    // People read what the demo tells; warnings still show.
    if std::env::var_os("RUST_LOG").is_none() {
        tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_writer(std::io::stderr).init();
    } else {
        telemetry::start(false, None)?;
    }
    let french = demo.lang.map_or_else(language_is_french, |language| language == Language::Fr);
    if let Some(path) = &demo.to_file {
        return load::to_file(shop(demo)?, path);
    }
    if let Some(server) = &demo.to_server {
        return block_on(load::to_server(shop(demo)?, server, demo.speed));
    }
    let temporary = if demo.data.is_none() { Some(tempfile::tempdir().context("a temporary directory")?) } else { None };
    let data = match (&demo.data, &temporary) {
        (Some(data), _) => data.clone(),
        (None, Some(directory)) => directory.path().to_path_buf(),
        (None, None) => PathBuf::from("data"),
    };
    if demo.story { block_on(story::serve_and_play(demo, data, french)) } else { block_on(living::open(demo, data, french)) }
}

/// The shop of a load: reproducible, so its days do not depend on today.
fn shop(demo: &Demo) -> anyhow::Result<Shop> {
    let date = |text: &str| {
        parse_date(text).ok_or_else(|| Failure::refused(format!("{text:?} is not a date; write it like 2026-03-01")))
    };
    let to_ms = date(demo.to.as_deref().unwrap_or("2026-03-01"))?;
    let from_ms = demo.from.as_deref().map_or(Ok(to_ms - DAYS * DAY_MS), date)?;
    if from_ms >= to_ms {
        return Err(Failure::refused("--from must be before --to"));
    }
    Ok(Shop::new(Plan { seed: demo.seed, people: demo.people.unwrap_or(20_000), from_ms, to_ms, truth: demo.truth.clone() })?)
}

/// As the environment says, in the order of POSIX.
fn language_is_french() -> bool {
    let named =
        ["LC_ALL", "LC_MESSAGES", "LANG"].iter().find_map(|name| std::env::var(name).ok().filter(|text| !text.is_empty()));
    named.is_some_and(|name| name.starts_with("fr"))
}

/// Listens on an address, or on the next free port.
async fn listen(wanted: SocketAddr) -> anyhow::Result<tokio::net::TcpListener> {
    for offset in 0..=PORTS_TRIED {
        let address = SocketAddr::new(wanted.ip(), wanted.port().saturating_add(offset));
        match tokio::net::TcpListener::bind(address).await {
            Ok(listener) => return Ok(listener),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error).with_context(|| format!("listening on {address}")),
        }
    }
    anyhow::bail!("no free port from {} on", wanted.port())
}
