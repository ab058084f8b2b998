//! One task per destination: takes what is ready, has it attempted, tries again.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use jumelle_connect::{Catalogue, Connector};
use jumelle_model::ids::{DeliveryId, ProfileId};
use jumelle_model::time::Timestamp;
use jumelle_model::workspace::Destination;
use parking_lot::{Mutex, RwLock};
use serde::Serialize;
use tokio::sync::Notify;
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::attempt::{Verdict, attempt};
use crate::backoff::delay;
use crate::batch;
use crate::breaker::{Breaker, COOLDOWN_CONFIGURATION, Passage, Ticket};
use crate::files::{self, FileStatus};
use crate::house::{DeliveryResult, FinalState, House, Queued};
use crate::line::Waiting;
use crate::partner::Partner;
use crate::queue::{PAGE, Queue};
use crate::slots::{Recording, Slots};
use crate::webhook::Webhook;

/// How long a stop waits for requests under way.
const STOP_WAIT: Duration = Duration::from_secs(5);

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
    /// Of a destination that receives files: the last one, and when the next is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<FileStatus>,
}

/// All destinations' tasks.
#[derive(Clone)]
pub struct Dispatcher {
    inner: Arc<Inner>,
}

struct Inner {
    house: Arc<dyn House>,
    catalogue: RwLock<Arc<Catalogue>>,
    runtime: tokio::runtime::Handle,
    lanes: Mutex<Lanes>,
    attempts: Arc<Attempts>,
}

#[derive(Default)]
struct Lanes {
    running: HashMap<String, RunningLane>,
    /// Told to stop, with requests under way: their successors wait for them, so that no delivery is under way twice.
    leaving: HashMap<String, JoinHandle<()>>,
}

/// A lane and its task.
type RunningLane = (Arc<Lane>, JoinHandle<()>);
/// Deliveries that wait for a retry.
type Attempts = Mutex<HashMap<DeliveryId, AttemptInfo>>;

/// One destination.
pub(crate) struct Lane {
    pub(crate) destination: Destination,
    /// As it was when the lane began; none for those that are not declared in a folder, and for one that there is not.
    connector: Option<Arc<Connector>>,
    queue: Mutex<Queue>,
    /// Since when a request waits for more people.
    gathering: Mutex<Option<Instant>>,
    pub(crate) breaker: Mutex<Breaker>,
    pub(crate) wake: Notify,
    pub(crate) stopping: AtomicBool,
    pub(crate) slots: Slots,
    pub(crate) sent: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) last_error: Mutex<Option<String>>,
    /// Of a destination that receives files.
    pub(crate) file: Mutex<Option<FileStatus>>,
    /// An operator wants its file now.
    pub(crate) file_now: AtomicBool,
}

/// How a destination is reached.
#[derive(Clone)]
enum Tool {
    Webhook(Arc<Webhook>),
    Partner(Arc<Partner>),
}

/// What is under way, by task.
#[derive(Default)]
struct UnderWay {
    tasks: JoinSet<Vec<(Waiting, Verdict)>>,
    /// The same by task, for the one that panics: its people and the probe must not wait for it for ever.
    left: HashMap<tokio::task::Id, (Vec<Waiting>, Ticket)>,
}

impl Dispatcher {
    /// Without destinations yet, with the connectors that come with Jumelle. Must be called on a tokio runtime.
    pub fn start(house: Arc<dyn House>) -> Dispatcher {
        Dispatcher::start_with(house, Arc::new(Catalogue::built_in()))
    }

    /// With these connectors.
    pub fn start_with(house: Arc<dyn House>, catalogue: Arc<Catalogue>) -> Dispatcher {
        let runtime = tokio::runtime::Handle::current();
        let catalogue = RwLock::new(catalogue);
        Dispatcher { inner: Arc::new(Inner { house, catalogue, runtime, lanes: Mutex::default(), attempts: Arc::default() }) }
    }

    /// The connectors there are.
    pub fn catalogue(&self) -> Arc<Catalogue> {
        self.inner.catalogue.read().clone()
    }

    /// Other connectors from here on: destinations whose connector is another one now go on with it, the others are left alone.
    pub fn take_catalogue(&self, catalogue: Arc<Catalogue>) {
        let mut lanes = self.inner.lanes.lock();
        *self.inner.catalogue.write() = catalogue;
        let destinations = lanes.running.values().map(|(lane, _)| lane.destination.clone()).collect();
        self.arrange(&mut lanes, destinations);
    }

    /// Adds, changes and removes destinations to match the definitions. What waits for a changed one goes on with it.
    pub fn configure(&self, destinations: Vec<Destination>) {
        self.arrange(&mut self.inner.lanes.lock(), destinations);
    }

    fn arrange(&self, Lanes { running, leaving }: &mut Lanes, destinations: Vec<Destination>) {
        let catalogue = self.catalogue();
        leaving.retain(|_, task| !task.is_finished());
        let stays = |lane: &Lane| destinations.contains(&lane.destination) && lane.is_of(&catalogue);
        let gone = running.extract_if(|_, (lane, _)| !stays(lane));
        for (key, (lane, task)) in gone {
            lane.stop();
            leaving.insert(key, task);
        }
        for destination in destinations {
            if running.contains_key(&destination.key) {
                continue;
            }
            let key = destination.key.clone();
            let predecessor = leaving.remove(&key);
            let lane = Arc::new(Lane::new(destination, &catalogue));
            let (house, attempts, of) = (self.inner.house.clone(), self.inner.attempts.clone(), lane.clone());
            let task = self.inner.runtime.spawn(async move {
                if let Some(predecessor) = predecessor {
                    // One that panicked has nothing under way.
                    let _ = predecessor.await;
                }
                match of.destination.file.is_some() {
                    true => files::run(of, house).await,
                    false => run(of, house, attempts).await,
                }
            });
            running.insert(key, (lane, task));
        }
    }

    /// A delivery has been queued (it is in the table already). Never blocks, never drops.
    pub fn offer(&self, queued: Queued) {
        let lanes = self.inner.lanes.lock();
        if let Some((lane, _)) = lanes.running.get(&queued.destination) {
            // A file is made of what the table holds.
            if lane.destination.file.is_none() {
                lane.queue.lock().offer(queued, Instant::now());
            }
            lane.wake.notify_one();
        }
    }

    /// A person leaves a tool: her messages go before those of others, and what waits for a retry is looked at now. The gate is
    /// closed for what would bring her in, so that what takes her out is next.
    pub fn first(&self, destination: &str, profile: ProfileId) {
        if let Some((lane, _)) = self.inner.lanes.lock().running.get(destination) {
            lane.queue.lock().first(profile);
            lane.wake.notify_one();
        }
    }

    /// Two people turn out to be one: what waits for both leaves in one order. Said before the house knows of it, and when it does.
    pub fn join(&self, absorbed: ProfileId, survivor: ProfileId, known: bool) {
        for (lane, _) in self.inner.lanes.lock().running.values() {
            lane.queue.lock().join(absorbed, survivor, known);
        }
    }

    /// What is known of a delivery that waits for a retry.
    pub fn attempts(&self, id: DeliveryId) -> Option<AttemptInfo> {
        self.inner.attempts.lock().get(&id).cloned()
    }

    /// How all destinations do, by key.
    pub fn status(&self) -> Vec<DestinationStatus> {
        let lanes = self.inner.lanes.lock();
        let mut all: Vec<DestinationStatus> = lanes.running.values().map(|(lane, _)| lane.status()).collect();
        all.sort_by(|a, b| a.key.cmp(&b.key));
        all
    }

    /// Closes the circuit of a destination and tries everything at once.
    pub fn retry_now(&self, destination: &str) {
        if let Some((lane, _)) = self.inner.lanes.lock().running.get(destination) {
            lane.breaker.lock().close();
            lane.queue.lock().hurry();
            lane.file_now.store(true, Ordering::Release);
            lane.wake.notify_one();
        }
    }

    /// Begins nothing new, and waits for what is under way, [`STOP_WAIT`] at most.
    pub async fn stop(&self) {
        let Lanes { running, leaving } = std::mem::take(&mut *self.inner.lanes.lock());
        let mut tasks: Vec<JoinHandle<()>> = leaving.into_values().collect();
        for (lane, task) in running.into_values() {
            lane.stop();
            tasks.push(task);
        }
        let deadline = Instant::now() + STOP_WAIT;
        for mut task in tasks {
            if tokio::time::timeout_at(deadline, &mut task).await.is_err() {
                tracing::warn!("requests under way were left; they are repeated under the same id");
                task.abort();
            }
        }
    }
}

impl Lane {
    fn new(destination: Destination, catalogue: &Catalogue) -> Lane {
        Lane {
            slots: Slots::new(destination.concurrency),
            connector: catalogue.get(&destination.connector).cloned(),
            destination,
            queue: Mutex::new(Queue::new()),
            gathering: Mutex::default(),
            breaker: Mutex::default(),
            wake: Notify::new(),
            stopping: AtomicBool::new(false),
            sent: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            last_error: Mutex::default(),
            file: Mutex::default(),
            file_now: AtomicBool::new(false),
        }
    }

    /// Its connector is the one that the catalogue has.
    fn is_of(&self, catalogue: &Catalogue) -> bool {
        match (&self.connector, catalogue.get(&self.destination.connector)) {
            (Some(mine), Some(known)) => Arc::ptr_eq(mine, known),
            (None, None) => true,
            _ => false,
        }
    }

    /// Reads secrets at the moment of use. `Err`: why it cannot be used.
    fn tool(&self, country: &str) -> Result<Tool, String> {
        if self.destination.connector == "webhook" {
            return Webhook::new(&self.destination).map(|made| Tool::Webhook(Arc::new(made))).map_err(|error| error.to_string());
        }
        let connector = self.connector.as_ref();
        let connector = connector.ok_or_else(|| format!("there is no connector {:?}", self.destination.connector))?;
        Partner::new(&self.destination, connector.clone(), country).map(|made| Tool::Partner(Arc::new(made)))
    }

    /// People who leave now in one load, and none while it is worth waiting for more.
    fn gather(&self, partner: &Partner, now: Instant) -> Vec<Waiting> {
        let most = partner.connector.manifest.batch.rows;
        let mut queue = self.queue.lock();
        let ready = queue.ready(now);
        let mut gathering = self.gathering.lock();
        if ready == 0 {
            *gathering = None;
            return Vec::new();
        }
        if ready < most && now < *gathering.get_or_insert(now) + partner.connector.linger {
            return Vec::new();
        }
        *gathering = None;
        std::iter::from_fn(|| queue.take(now)).take(most).collect()
    }

    /// A message has ended.
    pub(crate) fn count(&self, waiting: &Waiting, state: FinalState, house: &dyn House) {
        match state {
            FinalState::Sent => {
                self.sent.fetch_add(1, Ordering::Relaxed);
            }
            FinalState::Dead => self.count_failure(house, "given up"),
            FinalState::Blocked => {}
        }
        tracing::debug!(destination = self.destination.key, attempts = waiting.attempts, "delivery ended");
    }

    /// A message of a file has ended.
    pub(crate) fn count_result(&self, result: &DeliveryResult) {
        let state = match result.state {
            FinalState::Sent => {
                self.sent.fetch_add(1, Ordering::Relaxed);
                "sent"
            }
            FinalState::Blocked => "blocked",
            FinalState::Dead => "dead",
        };
        metrics::counter!("jumelle_deliveries_total", "destination" => self.destination.key.clone(), "state" => state)
            .increment(1);
    }

    /// An attempt has failed.
    pub(crate) fn count_failure(&self, house: &dyn House, reason: &str) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        metrics::counter!("jumelle_delivery_failures_total", "destination" => self.destination.key.clone()).increment(1);
        house.failed(&self.destination.key);
        tracing::debug!(destination = self.destination.key, reason, "delivery failed");
    }

    /// A request is over: the next one may begin while its result is recorded.
    pub(crate) fn recording(&self) -> Recording<'_> {
        let recording = self.slots.recording();
        self.wake.notify_one();
        recording
    }

    fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    fn status(&self) -> DestinationStatus {
        let now = Instant::now();
        // One lock at a time: the lane's task takes them in its own order.
        let (circuit, open_until) = {
            let breaker = self.breaker.lock();
            (breaker.name(now), breaker.open_until())
        };
        let (queued_in_memory, more_waiting) = {
            let queue = self.queue.lock();
            (queue.len(), queue.more())
        };
        DestinationStatus {
            key: self.destination.key.clone(),
            queued_in_memory,
            more_waiting,
            in_flight: self.slots.under_way(),
            circuit,
            open_until: open_until.map(|until| on_the_wall(until, now)),
            last_error: self.last_error.lock().clone(),
            sent: self.sent.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            file: self.file.lock().clone(),
        }
    }

    /// Reads on in the table while there is room.
    fn fill(&self, house: &dyn House) {
        loop {
            let asked = Instant::now();
            let Some(after) = self.queue.lock().wants_page(asked) else { return };
            // Not under the lock: the engine's thread must not wait for the disk to make an offer.
            let page = house.queued(&self.destination.key, after, PAGE);
            self.queue.lock().take_in(page, asked);
        }
    }

    fn gauge(&self) {
        let open = self.breaker.lock().open_until().is_some();
        let key = &self.destination.key;
        metrics::gauge!("jumelle_circuit_open", "destination" => key.clone()).set(f64::from(u8::from(open)));
        let queued = self.queue.lock().len();
        metrics::gauge!("jumelle_delivery_queue", "destination" => key.clone()).set(queued as f64);
    }
}

pub(crate) fn on_the_wall(instant: Instant, now: Instant) -> Timestamp {
    let ahead = instant.saturating_duration_since(now);
    Timestamp(Timestamp::now().0 + ahead.as_micros() as i64)
}

async fn run(lane: Arc<Lane>, house: Arc<dyn House>, attempts: Arc<Attempts>) {
    let mut tool: Option<Tool> = None;
    let mut under_way = UnderWay::default();
    loop {
        let stopping = lane.stopping.load(Ordering::Acquire);
        if stopping && under_way.tasks.is_empty() {
            break;
        }
        if !stopping {
            lane.fill(&*house);
            start_ready(&lane, &house, &mut tool, &mut under_way);
        }
        lane.gauge();
        let full = !lane.slots.has_room(under_way.tasks.len());
        // With every place taken a retry that is due waits for a place, not for an instant that has passed.
        let wake_at = if stopping || full { None } else { next_wake(&lane, tool.as_ref()) };
        tokio::select! {
            Some(joined) = under_way.tasks.join_next_with_id(), if !under_way.tasks.is_empty() => {
                settle(&lane, &attempts, &mut under_way.left, joined);
            }
            () = lane.wake.notified() => {}
            () = sleep_until(wake_at) => {}
        }
    }
    let mut attempts = attempts.lock();
    for id in lane.queue.lock().ids() {
        attempts.remove(&id);
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// When something may leave that may not now, or the table is to be read again.
fn next_wake(lane: &Lane, tool: Option<&Tool>) -> Option<Instant> {
    let (retry, ready, look_again) = {
        let queue = lane.queue.lock();
        (queue.next_at(), queue.has_ready(), queue.look_again_at())
    };
    let leave = match lane.breaker.lock().passage(Instant::now()) {
        Passage::None(Some(until)) if ready || retry.is_some() => {
            Some(retry.filter(|_| !ready).map_or(until, |at| at.max(until)))
        }
        // Nothing waits, or the end of the probe wakes the lane.
        Passage::None(_) => None,
        Passage::All | Passage::Probe => retry,
    };
    let gathered = match tool {
        Some(Tool::Partner(partner)) => lane.gathering.lock().map(|since| since + partner.connector.linger),
        _ => None,
    };
    leave.into_iter().chain(look_again).chain(gathered).min()
}

fn start_ready(lane: &Arc<Lane>, house: &Arc<dyn House>, tool: &mut Option<Tool>, under_way: &mut UnderWay) {
    while lane.slots.has_room(under_way.tasks.len()) {
        let now = Instant::now();
        if matches!(lane.breaker.lock().passage(now), Passage::None(_)) {
            *lane.gathering.lock() = None;
            return;
        }
        if tool.is_none() {
            match lane.tool(&house.country()) {
                Ok(made) => *tool = Some(made),
                Err(error) => {
                    *lane.last_error.lock() = Some(error.clone());
                    if lane.queue.lock().has_ready() {
                        tracing::error!(destination = lane.destination.key, %error, "the destination cannot be used");
                        lane.breaker.lock().hold(Ticket::Ordinary, now + COOLDOWN_CONFIGURATION);
                    }
                    return;
                }
            }
        }
        let Some(tool) = tool.clone() else { return };
        let mut taken = match &tool {
            Tool::Webhook(_) => lane.queue.lock().take(now).into_iter().collect(),
            Tool::Partner(partner) => lane.gather(partner, now),
        };
        if taken.is_empty() {
            return;
        }
        let Some(ticket) = lane.breaker.lock().ticket(now) else {
            // It closed right now: a straggler's failure.
            let mut queue = lane.queue.lock();
            taken.into_iter().for_each(|waiting| queue.again(waiting, now));
            return;
        };
        for waiting in &mut taken {
            waiting.first_attempt.get_or_insert(now);
        }
        let left = (taken.clone(), ticket);
        let (lane, house) = (lane.clone(), house.clone());
        let span = tracing::trace_span!(
            target: "jumelle::trace", "deliver", destination = lane.destination.key, messages = taken.len() as i64,
        );
        let task = match tool {
            Tool::Webhook(webhook) => {
                let attempts = async move {
                    let mut ended = Vec::new();
                    for waiting in taken {
                        ended.push(attempt(lane.clone(), house.clone(), webhook.clone(), waiting, ticket).await);
                    }
                    ended
                };
                under_way.tasks.spawn(attempts.instrument(span))
            }
            Tool::Partner(partner) => under_way.tasks.spawn(batch::attempt(lane, house, partner, taken, ticket).instrument(span)),
        };
        under_way.left.insert(task.id(), left);
    }
}

/// After an attempt: each person's next message, or the same one again.
fn settle(
    lane: &Lane,
    attempts: &Attempts,
    left: &mut HashMap<tokio::task::Id, (Vec<Waiting>, Ticket)>,
    joined: Result<(tokio::task::Id, Vec<(Waiting, Verdict)>), JoinError>,
) {
    let now = Instant::now();
    let ended = match joined {
        Ok((task, ended)) => {
            left.remove(&task);
            ended
        }
        Err(error) => {
            tracing::error!(destination = lane.destination.key, %error, "a delivery's task failed");
            let Some((waiting, ticket)) = left.remove(&error.id()) else { return };
            lane.breaker.lock().undecided(ticket);
            let again = |waiting: Waiting| {
                let waiting = Waiting { attempts: waiting.attempts + 1, ..waiting };
                let at = now + delay(waiting.attempts, rand::random());
                (waiting, Verdict::Again { reason: "a fault of our own; see the log".into(), at })
            };
            waiting.into_iter().map(again).collect()
        }
    };
    for (waiting, verdict) in ended {
        let id = waiting.queued.id;
        match verdict {
            Verdict::Ended => {
                attempts.lock().remove(&id);
                lane.queue.lock().done(&waiting);
            }
            Verdict::Again { reason, at } => {
                let info = AttemptInfo { attempts: waiting.attempts, last_reason: reason, next_at: on_the_wall(at, now) };
                attempts.lock().insert(id, info);
                lane.queue.lock().again(waiting, at);
            }
        }
    }
}
