//! One task per destination: takes what is ready, passes it through the gate, sends, records, tries again.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use jumelle_model::ids::DeliveryId;
use jumelle_model::time::Timestamp;
use jumelle_model::workspace::Destination;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use crate::backoff::{GIVE_UP_AFTER, REFUSED_ATTEMPTS_MAX, delay};
use crate::breaker::{Breaker, COOLDOWN_CONFIGURATION, Passage};
use crate::house::{Clearance, DeliveryResult, FinalState, House, Queued};
use crate::queue::{QUEUE_MEMORY_MAX, Queue, Waiting};
use crate::webhook::{Outcome, Webhook};

/// How long a stop waits for requests under way.
const STOP_WAIT: Duration = Duration::from_secs(5);
/// Deliveries read from the table at a time.
const PAGE: usize = 1_000;

/// What is known of a delivery that waits for a retry.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct AttemptInfo {
    /// Requests so far.
    pub attempts: u32,
    /// Why the last one failed.
    pub last_reason: String,
    /// When the next one is due.
    pub next_at: Timestamp,
}

/// How a destination does.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct DestinationStatus {
    /// Its key.
    pub key: String,
    /// Deliveries in memory; there may be more in the table.
    pub queued_in_memory: usize,
    /// More wait in the table.
    pub more_waiting: bool,
    /// Requests under way.
    pub in_flight: u64,
    /// closed, open or half_open.
    pub circuit: &'static str,
    /// When an open circuit is tried again.
    pub open_until: Option<Timestamp>,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// Since the start of the process.
    pub sent: u64,
    /// Failed requests since the start of the process.
    pub failed: u64,
}

/// All destinations' tasks.
#[derive(Clone)]
pub struct Dispatcher {
    inner: Arc<Inner>,
}

struct Inner {
    house: Arc<dyn House>,
    runtime: tokio::runtime::Handle,
    lanes: Mutex<HashMap<String, RunningLane>>,
    attempts: Arc<Attempts>,
}

/// A lane and its task.
type RunningLane = (Arc<Lane>, JoinHandle<()>);
/// Deliveries that wait for a retry.
type Attempts = Mutex<HashMap<DeliveryId, AttemptInfo>>;

/// One destination.
struct Lane {
    destination: Destination,
    queue: Mutex<Queue>,
    breaker: Mutex<Breaker>,
    wake: Notify,
    stopping: AtomicBool,
    in_flight: AtomicU64,
    sent: AtomicU64,
    failed: AtomicU64,
    last_error: Mutex<Option<String>>,
}

/// How one attempt ended.
enum Attempt {
    /// Recorded, or no longer waiting.
    Ended,
    /// To be looked at by the lane.
    Failed(Outcome),
}

impl Dispatcher {
    /// Without destinations yet. Must be called on a tokio runtime.
    pub fn start(house: Arc<dyn House>) -> Dispatcher {
        let runtime = tokio::runtime::Handle::current();
        Dispatcher { inner: Arc::new(Inner { house, runtime, lanes: Mutex::default(), attempts: Arc::default() }) }
    }

    /// Adds, changes and removes destinations to match the definitions. What waits for a changed one goes on with it.
    pub fn configure(&self, destinations: Vec<Destination>) {
        let mut lanes = self.inner.lanes.lock();
        lanes.retain(|key, (lane, _)| {
            let keep = destinations.iter().any(|destination| destination == &lane.destination && &destination.key == key);
            if !keep {
                lane.stop();
            }
            keep
        });
        for destination in destinations {
            if lanes.contains_key(&destination.key) {
                continue;
            }
            let key = destination.key.clone();
            let lane = Arc::new(Lane::new(destination));
            let task = run(lane.clone(), self.inner.house.clone(), self.inner.attempts.clone());
            lanes.insert(key, (lane, self.inner.runtime.spawn(task)));
        }
    }

    /// A delivery has been queued (it is in the table already). Never blocks, never drops.
    pub fn offer(&self, queued: Queued) {
        let lanes = self.inner.lanes.lock();
        if let Some((lane, _)) = lanes.get(&queued.destination) {
            lane.queue.lock().offer(queued);
            lane.wake.notify_one();
        }
    }

    /// What is known of a delivery that waits for a retry.
    pub fn attempts(&self, id: DeliveryId) -> Option<AttemptInfo> {
        self.inner.attempts.lock().get(&id).cloned()
    }

    /// How all destinations do, by key.
    pub fn status(&self) -> Vec<DestinationStatus> {
        let lanes = self.inner.lanes.lock();
        let mut all: Vec<DestinationStatus> = lanes.values().map(|(lane, _)| lane.status()).collect();
        all.sort_by(|a, b| a.key.cmp(&b.key));
        all
    }

    /// Closes the circuit of a destination and tries everything at once.
    pub fn retry_now(&self, destination: &str) {
        if let Some((lane, _)) = self.inner.lanes.lock().get(destination) {
            lane.breaker.lock().succeeded();
            lane.queue.lock().hurry();
            lane.wake.notify_one();
        }
    }

    /// Begins nothing new, and waits for what is under way, [`STOP_WAIT`] at most.
    pub async fn stop(&self) {
        let lanes: Vec<_> = self.inner.lanes.lock().drain().collect();
        for (_, (lane, _)) in &lanes {
            lane.stop();
        }
        let all = async {
            for (_, (_, task)) in lanes {
                // A lane that panicked has nothing under way.
                let _ = task.await;
            }
        };
        if tokio::time::timeout(STOP_WAIT, all).await.is_err() {
            tracing::warn!("requests under way were left; they are repeated under the same id");
        }
    }
}

impl Lane {
    fn new(destination: Destination) -> Lane {
        Lane {
            destination,
            queue: Mutex::new(Queue::new()),
            breaker: Mutex::default(),
            wake: Notify::new(),
            stopping: AtomicBool::new(false),
            in_flight: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            last_error: Mutex::default(),
        }
    }

    fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    fn status(&self) -> DestinationStatus {
        let now = Instant::now();
        let breaker = self.breaker.lock();
        let queue = self.queue.lock();
        DestinationStatus {
            key: self.destination.key.clone(),
            queued_in_memory: queue.len(),
            more_waiting: queue.more,
            in_flight: self.in_flight.load(Ordering::Relaxed),
            circuit: breaker.name(now),
            open_until: breaker.open_until().map(|until| on_the_wall(until, now)),
            last_error: self.last_error.lock().clone(),
            sent: self.sent.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
        }
    }

    /// Reads on in the table while there is room.
    fn fill(&self, house: &dyn House) {
        let mut queue = self.queue.lock();
        // Under the lock, so that an offer made meanwhile is either in the page or comes after it.
        while queue.more && queue.len() <= QUEUE_MEMORY_MAX / 2 {
            let page = house.queued(&self.destination.key, queue.last(), PAGE);
            queue.more = page.len() == PAGE;
            for queued in page {
                queue.admit(queued);
            }
        }
        metrics::gauge!("jumelle_delivery_queue", "destination" => self.destination.key.clone()).set(queue.len() as f64);
    }
}

fn on_the_wall(instant: Instant, now: Instant) -> Timestamp {
    let ahead = instant.saturating_duration_since(now);
    Timestamp(Timestamp::now().0 + ahead.as_micros() as i64)
}

async fn run(lane: Arc<Lane>, house: Arc<dyn House>, attempts: Arc<Attempts>) {
    let mut connector: Option<Arc<Webhook>> = None;
    let mut under_way: JoinSet<(Waiting, Attempt)> = JoinSet::new();
    loop {
        let stopping = lane.stopping.load(Ordering::Acquire);
        if stopping && under_way.is_empty() {
            return;
        }
        if !stopping {
            lane.fill(&*house);
            start_ready(&lane, &house, &mut connector, &mut under_way);
        }
        lane.in_flight.store(under_way.len() as u64, Ordering::Relaxed);
        let wake_at = next_wake(&lane);
        tokio::select! {
            Some(joined) = under_way.join_next(), if !under_way.is_empty() => {
                match joined {
                    Ok((waiting, attempt)) => settle(&lane, &house, &attempts, waiting, attempt).await,
                    Err(error) => tracing::error!(destination = lane.destination.key, %error, "a delivery's task failed"),
                }
            }
            () = lane.wake.notified() => {}
            () = sleep_until(wake_at) => {}
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// When something may leave that may not now.
fn next_wake(lane: &Lane) -> Option<Instant> {
    let queue = lane.queue.lock();
    let retry = queue.next_at();
    match lane.breaker.lock().passage(Instant::now()) {
        Passage::None(Some(until)) if queue.has_ready() || retry.is_some() => Some(until),
        Passage::None(_) => None,
        _ => retry,
    }
}

fn start_ready(
    lane: &Arc<Lane>,
    house: &Arc<dyn House>,
    connector: &mut Option<Arc<Webhook>>,
    under_way: &mut JoinSet<(Waiting, Attempt)>,
) {
    while under_way.len() < lane.destination.concurrency as usize {
        let now = Instant::now();
        let passage = lane.breaker.lock().passage(now);
        if matches!(passage, Passage::None(_)) {
            return;
        }
        if connector.is_none() {
            match Webhook::new(&lane.destination) {
                Ok(made) => *connector = Some(Arc::new(made)),
                Err(error) => {
                    *lane.last_error.lock() = Some(error.to_string());
                    if lane.queue.lock().has_ready() {
                        tracing::error!(destination = lane.destination.key, %error, "the destination cannot be used");
                        lane.breaker.lock().hold(now + COOLDOWN_CONFIGURATION);
                    }
                    return;
                }
            }
        }
        let Some(connector) = connector.clone() else { return };
        let Some(mut waiting) = lane.queue.lock().take(now) else { return };
        if passage == Passage::Probe {
            lane.breaker.lock().probe();
        }
        waiting.first_attempt.get_or_insert(now);
        under_way.spawn(attempt(lane.clone(), house.clone(), connector, waiting));
    }
}

async fn attempt(lane: Arc<Lane>, house: Arc<dyn House>, connector: Arc<Webhook>, mut waiting: Waiting) -> (Waiting, Attempt) {
    // The second gate, right before the request.
    let cleared = match house.clear(&waiting.queued) {
        Clearance::Cleared(cleared) => *cleared,
        Clearance::Superseded => return (waiting, Attempt::Ended),
        Clearance::Blocked(reason) => {
            record(&*house, &waiting, FinalState::Blocked, None, Some(reason)).await;
            return (waiting, Attempt::Ended);
        }
    };
    waiting.attempts += 1;
    let started = Instant::now();
    let outcome = connector.send(cleared).await;
    metrics::histogram!("jumelle_delivery_seconds", "destination" => lane.destination.key.clone())
        .record(started.elapsed().as_secs_f64());
    match outcome {
        Outcome::Sent { status } => {
            lane.breaker.lock().succeeded();
            lane.sent.fetch_add(1, Ordering::Relaxed);
            record(&*house, &waiting, FinalState::Sent, Some(status), None).await;
            (waiting, Attempt::Ended)
        }
        failed => (waiting, Attempt::Failed(failed)),
    }
}

async fn record(house: &dyn House, waiting: &Waiting, state: FinalState, status: Option<u16>, reason: Option<String>) {
    let queued = &waiting.queued;
    let name = match state {
        FinalState::Sent => "sent",
        FinalState::Blocked => "blocked",
        FinalState::Dead => "dead",
    };
    metrics::counter!("jumelle_deliveries_total", "destination" => queued.destination.clone(), "state" => name).increment(1);
    house
        .record(DeliveryResult {
            id: queued.id,
            profile: queued.profile,
            key: queued.key,
            destination: queued.destination.clone(),
            state,
            attempts: waiting.attempts,
            status,
            reason,
        })
        .await;
}

/// After an attempt: the person's next message, the same one again, or the end of it.
async fn settle(lane: &Lane, house: &Arc<dyn House>, attempts: &Attempts, waiting: Waiting, attempt: Attempt) {
    let id = waiting.queued.id;
    let Attempt::Failed(outcome) = attempt else {
        attempts.lock().remove(&id);
        lane.breaker.lock().undecided();
        lane.queue.lock().done(&waiting);
        return;
    };
    let now = Instant::now();
    lane.failed.fetch_add(1, Ordering::Relaxed);
    metrics::counter!("jumelle_delivery_failures_total", "destination" => lane.destination.key.clone()).increment(1);
    let own_delay = delay(waiting.attempts, rand::random());
    let age = waiting.first_attempt.map_or(Duration::ZERO, |first| now.saturating_duration_since(first));
    let (reason, status, at, dead) = match outcome {
        Outcome::Retry { reason, status, after } => {
            let mut breaker = lane.breaker.lock();
            breaker.failed(now);
            if let Some(after) = after {
                breaker.hold(now + after);
            }
            (reason, status, now + after.unwrap_or_default().max(own_delay), age >= GIVE_UP_AFTER)
        }
        Outcome::Refused { reason, status } => {
            // The destination works; it is this message that it does not want.
            lane.breaker.lock().undecided();
            (reason, Some(status), now + own_delay, waiting.attempts >= REFUSED_ATTEMPTS_MAX)
        }
        Outcome::Misconfigured { reason, status } => {
            lane.breaker.lock().hold(now + COOLDOWN_CONFIGURATION);
            (reason, status, now + COOLDOWN_CONFIGURATION, age >= GIVE_UP_AFTER)
        }
        Outcome::Sent { .. } => return,
    };
    *lane.last_error.lock() = Some(reason.clone());
    tracing::warn!(destination = lane.destination.key, attempts = waiting.attempts, status, dead, "delivery failed");
    if dead {
        record(&**house, &waiting, FinalState::Dead, status, Some(reason)).await;
        attempts.lock().remove(&id);
        lane.queue.lock().done(&waiting);
    } else {
        let info = AttemptInfo { attempts: waiting.attempts, last_reason: reason, next_at: on_the_wall(at, now) };
        attempts.lock().insert(id, info);
        lane.queue.lock().again(waiting, at);
    }
}
