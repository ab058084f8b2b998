//! Destinations that receive files: one task each, that waits for the hour, makes the file, asks the gate about everybody in it
//! with the connection there, and puts it.
//!
//! What is made and put in one go is a [`cycle`]. What must be remembered over a crash is in [`state`].

mod cycle;
mod plan;
mod state;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jumelle_files::{Network, Place, PlaceError};
use jumelle_model::time::{Span, Timestamp};
use jumelle_model::workspace::schedule::When;
use serde::Serialize;
use tokio::time::Instant;

use crate::backoff::delay;
use crate::breaker::{COOLDOWN_CONFIGURATION, Ticket};
use crate::dispatch::Lane;
use crate::egress;
use crate::house::{Folders, House};
use crate::secrets;

use cycle::Cycle;
use state::State;

/// How long nobody looks at the clock: a suspended machine wakes up within it.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
const SECOND: i64 = 1_000_000;

/// How a destination's files do.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct FileStatus {
    /// The instant of the last file.
    pub last_at: Option<Timestamp>,
    /// Names and rows of what was put then.
    pub last: Vec<Put>,
    /// When the next one is due; of a destination that writes when something waits: none while nothing does.
    pub next_at: Option<Timestamp>,
    /// How long who leaves may stay in the tool at worst, until she is missing in a file or removed by one.
    pub longest_delay: Option<Span>,
}

/// One file that was put.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, serde::Deserialize)]
pub struct Put {
    /// Its name.
    pub name: String,
    /// People in it.
    pub rows: u64,
    /// Its bytes.
    pub bytes: u64,
    /// SHA-256, lower-case hexadecimal digits.
    pub sha256: String,
}

/// Why a file is not there.
pub(crate) enum Trouble {
    /// It is tried again.
    Away(String),
    /// An operator has to look.
    Refused(String),
}

impl From<PlaceError> for Trouble {
    fn from(error: PlaceError) -> Trouble {
        match error {
            PlaceError::Away(reason) => Trouble::Away(reason),
            PlaceError::Refused(reason) => Trouble::Refused(reason),
        }
    }
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Trouble {
        Trouble::Away(format!("this machine's disk: {error}"))
    }
}

/// Until the lane is told to stop.
pub(crate) async fn run(lane: Arc<Lane>, house: Arc<dyn House>) {
    let mut clock = match Clock::new(&lane, &*house) {
        Ok(clock) => clock,
        Err(reason) => {
            tracing::error!(destination = lane.destination.key, reason, "files cannot be made");
            *lane.last_error.lock() = Some(reason);
            return;
        }
    };
    let mut attempts = 0;
    while !lane.stopping.load(Ordering::Acquire) {
        let due = clock.due(&lane, &*house);
        let now = Instant::now();
        let held = lane.breaker.lock().open_until().filter(|until| *until > now);
        let due = match (due, held) {
            (Some(due), Some(until)) => Some(due.max(until)),
            (due, _) => due,
        };
        if due.is_none_or(|due| due > now) {
            let until = due.unwrap_or(now + LOOK_AGAIN).min(now + LOOK_AGAIN);
            tokio::select! {
                () = lane.wake.notified() => {}
                () = tokio::time::sleep_until(until) => {}
            }
            continue;
        }
        lane.file_now.store(false, Ordering::Release);
        let at = clock.instant();
        let ticket = lane.breaker.lock().ticket(now).unwrap_or(Ticket::Ordinary);
        let slot = lane.slots.request().await;
        let started = Instant::now();
        let outcome = attempt(&lane, &house, &mut clock, at).await;
        drop(slot);
        metrics::histogram!("jumelle_delivery_seconds", "destination" => lane.destination.key.clone())
            .record(started.elapsed().as_secs_f64());
        let now = Instant::now();
        match outcome {
            Ok(()) => {
                attempts = 0;
                lane.breaker.lock().answered(ticket);
                *lane.last_error.lock() = None;
                clock.waiting_since = None;
            }
            Err(trouble) => {
                attempts += 1;
                let (reason, pause) = match trouble {
                    Trouble::Away(reason) => (reason, delay(attempts, rand::random())),
                    Trouble::Refused(reason) => (reason, COOLDOWN_CONFIGURATION),
                };
                {
                    let mut breaker = lane.breaker.lock();
                    breaker.failed(ticket, now);
                    breaker.hold(ticket, now + pause);
                }
                tracing::warn!(destination = lane.destination.key, reason, "the file was not put; it is tried again");
                lane.count_failure(&*house, &reason);
                *lane.last_error.lock() = Some(reason);
            }
        }
    }
}

async fn attempt(lane: &Arc<Lane>, house: &Arc<dyn House>, clock: &mut Clock, at: Timestamp) -> Result<(), Trouble> {
    let destination = &lane.destination;
    let secret = destination
        .secret
        .as_ref()
        .map(|secret| secrets::read(secret, &destination.key))
        .transpose()
        .map_err(Trouble::Refused)?;
    let http = egress::client(destination.allow_private).map_err(|error| Trouble::Refused(error.to_string()))?;
    let network = Network {
        allow_private: destination.allow_private,
        is_private: egress::is_private,
        http: object_store::client::HttpClient::new(http),
    };
    if let Some(host) = destination.file.as_ref().and_then(|file| file.endpoint.as_deref()).and_then(host_of)
        && !destination.allow_private
        && egress::is_private_host(&host)
    {
        return Err(Trouble::Refused(format!("{host} is a private address; say allow_private: true if it is meant")));
    }
    let place = Place::of(destination, &clock.folders.root, secret, network)?;
    clock.state.begin(at)?;
    let cycle = Cycle::new(lane.clone(), house.clone(), clock.folders.scratch.clone(), at);
    let put = cycle.run(&place, &mut clock.state).await?;
    clock.state.end(at, put)?;
    Ok(())
}

fn host_of(url: &str) -> Option<String> {
    reqwest::Url::parse(url).ok()?.host_str().map(str::to_owned)
}

/// When the next file is due.
struct Clock {
    folders: Folders,
    state: State,
    timezone: String,
    when: When,
    terms: jumelle_model::workspace::file::FileTerms,
    /// Since when something waits, of a destination that writes so long after.
    waiting_since: Option<Timestamp>,
}

impl Clock {
    fn new(lane: &Lane, house: &dyn House) -> Result<Clock, String> {
        let terms = lane.destination.file.as_deref().ok_or("it receives no files")?.clone();
        let mut folders = house.folders().ok_or("there is no folder to make them in")?;
        folders.scratch.push(&lane.destination.key);
        let state =
            State::open(&folders.scratch, Timestamp::now()).map_err(|error| format!("{}: {error}", folders.scratch.display()))?;
        Ok(Clock { folders, state, timezone: house.timezone(), when: terms.when.clone(), terms, waiting_since: None })
    }

    /// When it is due; what is past is due now.
    fn due(&mut self, lane: &Lane, house: &dyn House) -> Option<Instant> {
        let now = Timestamp::now();
        let next_at = match &self.when {
            // One that was begun is ended first, under its own name.
            _ if self.state.begun().is_some() => self.state.begun(),
            When::Cron { .. } => self.terms.next_after(self.state.since(), &self.timezone),
            When::After(span) => {
                if self.waiting_since.is_none() && !house.queued(&lane.destination.key, None, 1).is_empty() {
                    self.waiting_since = Some(now);
                }
                self.waiting_since.map(|since| since + *span)
            }
        };
        *lane.file.lock() = Some(FileStatus {
            last_at: self.state.last_at(),
            last: self.state.last_put(),
            next_at,
            longest_delay: Some(self.terms.longest_delay()),
        });
        if lane.file_now.load(Ordering::Acquire) {
            return Some(Instant::now());
        }
        let ahead = next_at?.0.saturating_sub(now.0).max(0);
        Some(Instant::now() + Duration::from_micros(ahead as u64))
    }

    /// The instant that the file is made for: of a schedule, the last one that has come. Whole seconds, and each later than the last.
    fn instant(&self) -> Timestamp {
        if let Some(begun) = self.state.begun() {
            return begun;
        }
        let now = Timestamp::now();
        let mut at = Timestamp(now.0 / SECOND * SECOND);
        let mut scheduled = self.terms.next_after(self.state.since(), &self.timezone).filter(|next| *next <= now);
        while let Some(next) = scheduled {
            at = next;
            scheduled = self.terms.next_after(next, &self.timezone).filter(|next| *next <= now);
        }
        match self.state.last_at() {
            Some(last) if at <= last => Timestamp(last.0 + SECOND),
            _ => at,
        }
    }
}
