//! The loop: commit, identify, fold, evaluate, gate, queue; and everything that the API asks of it.
//!
//! Threads: the committer (one durable step), the fold (order), the flusher (tables written behind), and the dispatcher's tasks on
//! the caller's runtime. Architecture invariant: knows nothing of HTTP but what a delivery's result says.

mod allowed;
mod apart;
mod applied;
mod apply;
mod behind;
mod cause;
mod census;
mod chosen;
mod committer;
mod consents;
mod contacts;
mod corrections;
mod days;
mod definitions;
mod delivery;
mod door;
mod drafts;
pub mod durations;
mod effects;
mod erase;
mod flow;
mod flush;
mod fold;
mod heavy;
mod joins;
mod keep;
mod ledger;
mod links;
mod live;
mod memory;
mod oppositions;
mod outbox;
mod outlet;
mod parting;
mod people;
mod preview;
mod pulse;
mod quarantine;
mod query;
mod reach;
mod rebuild;
mod reconcile;
mod reductions;
mod replays;
mod requests;
mod results;
mod retention;
mod said;
mod shared;
#[cfg(test)]
mod simulation;
mod splits;
mod sweep;
mod timers;
mod tools;
mod wall;
mod window;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use jumelle_activate::{Dispatcher, Folders};
use jumelle_connect::Catalogue;
use jumelle_ledger::{Ledger, LedgerError, SigningKey};
use jumelle_model::Workspace;
use jumelle_model::ids::Position;
use jumelle_model::time::Timestamp;
use jumelle_store::{History, StoreError, Table, Tables, failpoint};
use parking_lot::{Mutex, RwLock};

pub use allowed::{Answer, Question};
pub use apart::AboutHer;
pub use applied::{APPLIED_MAX, Applied};
pub use census::{Age, Aged, Census, CensusReach, CensusState, EXPIRING_SOON, OLD_AFTER};
pub use chosen::{ChosenDay, Turns};
pub use committer::{Draft, Intake, Receipt, SubmitError};
pub use days::{Day, SegmentDay, told};
pub use definitions::Definitions;
pub use delivery::{Delivery, DeliveryState};
pub use door::{Door, Kept, Reduced};
pub use drafts::{AUDIENCE_MAX, ActivationDraft, Audience, Counted, Look};
pub use flow::{Flow, Minute, Outcomes};
pub use heavy::{HEAVY_EVENTS_MIN, Heavy};
pub use joins::{JoinKind, JoinStep};
pub use links::{LINK_DAYS, LINK_DAYS_MAX, LINK_KEYS_FILE, Link, LinkError, LinkKeysError, LinkScope, Links};
pub use live::{Effect, Heard, Live};
pub use memory::Memory;
pub use oppositions::{Opposed, Oppositions};
pub use parting::{Parted, Side};
pub use preview::{Preview, preview};
pub use query::{COUNTED_MAX, DELIVERIES_SCANNED_MAX, DeliveriesAsked, EventRow, Order, PAGE_MAX, Page};
pub use reach::{LapseChange, REACH_PEOPLE_MAX, Reach, ReachChange, reach};
pub use rebuild::{Loss, RebuildReport, RestoreError, rebuild, restore, table_digest};
pub use reconcile::{Comparison, Drift, MENDED_MAX};
pub use reductions::ReducedDay;
pub use replays::Replayed;
pub use requests::{
    ExtensionReason, IdentityCheck, Recipient, RefusalReason, RequestKind, RequestState, RequestStep, RightsRequest, step_draft,
};
pub use results::{About, Funnel, Reported, ResultsDay, Tally, Times};
pub use retention::{Clocks, DUE_WITHIN, LapsedDay};
pub use shared::{Shared, Totals};
pub use splits::{SPLIT_EVENTS_MAX, Split, SplitReason, SplitStep};
pub use tools::{LeftBehind, Removals, ToolAfter, ToolStanding, ToolState};
pub use wall::Wall;
pub use window::WindowLimits;

use behind::Behind;
use committer::{BLOCKS_AHEAD_MAX, Committed, Committer};
use flush::Flusher;
use fold::{Announcement, Fold};
use people::People;
use window::Window;

/// How often the tables are written behind.
const FLUSH_EVERY: Duration = Duration::from_secs(1);
/// How often the loop looks at the clock when nothing arrives.
const IDLE_WAIT: Duration = Duration::from_millis(20);

/// How to open a data directory.
#[derive(Clone, Debug)]
pub struct Options {
    /// The directory.
    pub directory: PathBuf,
    /// `None`: as the directory was made; a new one follows the wall.
    pub clock_follows_events: Option<bool>,
    /// Known message ids.
    pub window: WindowLimits,
    /// What is kept in memory.
    pub memory: Memory,
    /// What time it is; a simulation has its own.
    pub wall: Wall,
    /// File with the Ed25519 key that signs the ledger's roots.
    pub ledger_key: Option<PathBuf>,
    /// The connectors that destinations may name.
    pub catalogue: Arc<Catalogue>,
    /// Folders of destinations that receive files here are below it. `None`: `files` in the directory.
    pub files: Option<PathBuf>,
    /// Sends what is due, asks tools for their lists, and writes down that time has passed: what a server does. A command on the
    /// directory of a stopped server does not, nor on one restored to look at: what it queues leaves when a server starts on it.
    pub acts: bool,
}

impl Options {
    /// The defaults for a directory.
    pub fn new(directory: impl Into<PathBuf>) -> Options {
        Options {
            directory: directory.into(),
            clock_follows_events: None,
            window: WindowLimits::default(),
            memory: Memory::default(),
            wall: Wall::default(),
            ledger_key: None,
            catalogue: Arc::new(Catalogue::built_in()),
            files: None,
            acts: true,
        }
    }
}

/// Why the engine does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The storage.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The tables are damaged, the history is not known to be.
    #[error("{place} is damaged: {what}; nothing is lost by it: `jumelle rebuild` makes the tables anew from the history")]
    Tables {
        /// Which file or row.
        place: String,
        /// What does not fit.
        what: String,
    },
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The keys of signed links.
    #[error(transparent)]
    Links(#[from] LinkKeysError),
    /// A thread could not be started, a directory not be removed.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// A running engine.
pub struct Engine {
    shared: Arc<Shared>,
    intake: Intake,
    dispatcher: Dispatcher,
    acts: bool,
    threads: Mutex<Vec<std::thread::JoinHandle<()>>>,
    sweeper: tokio::task::JoinHandle<()>,
    retention: Option<tokio::task::JoinHandle<()>>,
    directory: PathBuf,
}

impl Engine {
    /// Opens a directory, catches the tables up with the history, and starts. Deliveries start after the catching-up, so that
    /// what was sent before a crash is known to be. Must be called on a tokio runtime.
    pub fn open(options: &Options) -> Result<Arc<Engine>, OpenError> {
        let shared = open_shared(options, "tables")?;
        let mut fold = Fold::new(shared.clone())?;
        catch_up(&mut fold)?;
        failpoint::reach("before start");
        let end = shared.history.end()?;
        let window = Window::rebuild(&shared.history, options.window, end.1)?;
        let (to_fold, blocks) = sync_channel(BLOCKS_AHEAD_MAX);
        let (committer, intake) = Committer::new(shared.history.clone(), window, end, to_fold, shared.wall.clone());

        let folders = Some(Folders {
            root: options.files.clone().unwrap_or_else(|| options.directory.join("files")),
            scratch: options.directory.join("outgoing"),
        });
        let outlet = Arc::new(outlet::Outlet { shared: shared.clone(), intake: intake.clone(), folders });
        let dispatcher = Dispatcher::start_with(outlet, options.catalogue.clone());
        if options.acts {
            dispatcher.configure(shared.definitions().workspace.destinations.clone());
        }
        let offer = dispatcher.clone();
        fold.announce = Some(Box::new(move |announcement| match announcement {
            Announcement::Queued(queued, kind) => {
                let leaves = kind.takes_back().then(|| (queued.destination.clone(), queued.profile));
                offer.offer(queued);
                if let Some((destination, profile)) = leaves {
                    offer.first(&destination, profile);
                }
            }
            Announcement::Join { absorbed, survivor, known } => offer.join(absorbed, survivor, known),
        }));
        fold.flusher = Some(Flusher::start(shared.clone())?);

        let mut threads = Vec::new();
        threads.push(std::thread::Builder::new().name("jumelle-commit".into()).spawn(move || committer.run())?);
        let (ticks, state, acts) = (intake.clone(), shared.clone(), options.acts);
        threads.push(std::thread::Builder::new().name("jumelle-fold".into()).spawn(move || {
            if let Err(error) = run(fold, &blocks, &ticks, acts) {
                // Nobody understands the tables any more: stop rather than go on with doubtful state.
                tracing::error!(%error, "the fold has stopped; taking no more events");
                state.stopped.store(true, Ordering::Release);
                ticks.fail(format!("the tables: {error}"));
            }
        })?);
        let directory = options.directory.clone();
        let sweeper = sweep::start(shared.clone());
        let retention = acts.then(|| retention::start(shared.clone(), intake.clone()));
        let threads = Mutex::new(threads);
        Ok(Arc::new(Engine { shared, intake, dispatcher, acts, threads, sweeper, retention, directory }))
    }

    /// What reads go through.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The way into the history.
    pub fn intake(&self) -> &Intake {
        &self.intake
    }

    /// The deliveries' side.
    pub fn dispatcher(&self) -> &Dispatcher {
        &self.dispatcher
    }

    /// Whether it does of itself what a server does ([`Options::acts`]).
    pub fn acts(&self) -> bool {
        self.acts
    }

    /// The data directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Waits until everything that was durable when this was called is folded, at most for `patience`; whether it is. For whom a
    /// stale answer would be a wrong one: "nothing of you is here" to a person whose event was taken a moment ago.
    pub async fn caught_up(&self, patience: Duration) -> jumelle_store::Result<bool> {
        let (end, _) = self.shared.history.end()?;
        let folded = async {
            while self.shared.position() < end {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        Ok(tokio::time::timeout(patience, folded).await.is_ok())
    }

    /// Takes new definitions, already validated; `by`: the name of whoever brings them, for the history of policies: durable and in force when this answers.
    pub async fn apply(&self, workspace: &Workspace, by: &str) -> Result<Receipt, SubmitError> {
        let receipt = self.intake.submit(vec![Draft::Apply { text: workspace.to_text(), by: by.to_owned() }], true).await?;
        if self.acts {
            self.dispatcher.configure(workspace.destinations.clone());
        }
        Ok(receipt)
    }

    /// Erases a person, with the steps of the request before and after it in the same durable step. `None`: there is no such person.
    pub async fn erase(
        &self,
        id: jumelle_model::ProfileId,
        before: Vec<Draft>,
        after: Vec<Draft>,
    ) -> Result<Option<Receipt>, EraseError> {
        let Some(erase::Leaving { profile, keys, notices }) = erase::plan(&self.shared, id)? else { return Ok(None) };
        let draft = Draft::Erased { profile, keys, notices };
        let drafts = before.into_iter().chain([draft]).chain(after).collect();
        let receipt = self.intake.submit(drafts, true).await?;
        let history = self.shared.history.clone();
        // Overwritten blocks stay in the files until they are compacted.
        let compacted = tokio::task::spawn_blocking(move || history.compact()).await;
        if let Ok(Err(error)) = compacted {
            tracing::warn!(%error, "compaction after an erasure failed; it will happen with the next one");
        }
        Ok(Some(receipt))
    }

    /// Finishes what is in flight, writes the tables, and stops.
    pub async fn stop(&self) {
        self.sweeper.abort();
        if let Some(retention) = &self.retention {
            retention.abort();
        }
        self.dispatcher.stop().await;
        self.intake.stop().await;
        let threads: Vec<_> = self.threads.lock().drain(..).collect();
        let joined = tokio::task::spawn_blocking(move || threads.into_iter().for_each(|thread| drop(thread.join()))).await;
        if joined.is_err() {
            tracing::error!("a thread ended in a panic");
        }
    }
}

/// Why a person was not erased.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// The storage.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The history does not take it.
    #[error(transparent)]
    Submit(#[from] SubmitError),
}

fn run(mut fold: Fold, blocks: &Receiver<Committed>, ticks: &Intake, acts: bool) -> jumelle_store::Result<()> {
    let mut flushed = Instant::now();
    let mut tick = None;
    loop {
        fold.shared.pulse.beat();
        match blocks.recv_timeout(IDLE_WAIT) {
            Ok(committed) => {
                fold.block(&committed.block, Position(0))?;
                committed.waiting.into_iter().for_each(committer::Waiting::done);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        tick = tick.filter(|pending: &tokio::sync::oneshot::Receiver<_>| pending.is_empty() && !pending.is_terminated());
        // A tick is written only when a timer is due: an idle server writes nothing.
        if acts && !fold.shared.clock_follows_events && tick.is_none() && fold.next_due() <= fold.shared.wall.now() {
            tick = ticks.enqueue(vec![Draft::Tick], true).ok();
        }
        let due = flushed.elapsed() >= FLUSH_EVERY;
        if due {
            flushed = Instant::now();
        }
        fold.write_behind(due)?;
    }
    fold.flush_now()?;
    if let Some(mut flusher) = fold.flusher.take() {
        flusher.stop();
    }
    fold.shared.behind.tables.settle()
}

/// Opens history and tables; tables that hold half of an entry are thrown away, to be made anew.
pub(crate) fn open_shared(options: &Options, tables_name: &str) -> Result<Arc<Shared>, OpenError> {
    jumelle_store::prepare(&options.directory)?;
    let history = Arc::new(History::open(&options.directory, options.clock_follows_events)?);
    let clock_follows_events = history.clock_follows_events();
    let mut tables = open_tables(options, tables_name)?;
    let (end, reflected) = (history.end()?.0, tables.position()?);
    if reflected > end {
        // What the tables reflect was synced before: the history has lost acknowledged entries. The tables are the proof of it.
        return Err(OpenError::Store(StoreError::Damaged {
            place: "the end of the history".into(),
            what: format!(
                "it ends at entry {} and the tables know of entries up to {}: acknowledged ones are lost",
                end.0, reflected.0
            ),
        }));
    }
    if tables.get(Table::Meta, flush::INCOMPLETE_ROW)?.is_some() {
        tracing::warn!("the tables are incomplete after a crash; making them anew from the history");
        drop(tables);
        std::fs::remove_dir_all(options.directory.join(tables_name))?;
        tables = open_tables(options, tables_name)?;
    }
    let tables = Arc::new(tables);
    let position = tables.position()?;
    let ledger = Arc::new(Ledger::open(
        &options.directory.join(jumelle_ledger::FOLDER),
        jumelle_ledger::Settings {
            key: options.ledger_key.as_deref().map(SigningKey::read).transpose()?,
            history: history.id()?,
            end: end.0,
            folded: position.0,
            now: options.wall.now(),
        },
    )?);
    let clock = tables
        .get(Table::Meta, b"clock")?
        .map_or(Timestamp::MIN.0, |bytes| i64::from_be_bytes(bytes.try_into().unwrap_or_default()));
    let definitions = tables
        .get(Table::Meta, apply::DEFINITIONS_ROW)?
        .and_then(|row| apply::read_definitions_row(&row))
        .unwrap_or_else(|| Definitions::new(Workspace::empty(), Position(0), Timestamp::MIN));
    let counts: Vec<(String, u64)> =
        tables.get(Table::Meta, b"counts")?.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    let totals = tables.get(Table::Meta, b"totals")?.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    let erased_before = tables.get(Table::Meta, erase::ERASURES_ROW)?.is_some();
    let to_sweep = AtomicBool::new(sweep::is_left(&history, erased_before)?);
    let behind = Arc::new(Behind::new(tables));
    let has_apart = AtomicBool::new(!behind.scan(Table::Apart, &[], None, 1)?.is_empty());
    Ok(Arc::new(Shared {
        links: Links::open(&options.directory, options.wall.now())?,
        history,
        ledger,
        ledger_turn: tokio::sync::Mutex::default(),
        people: People::new(behind.clone(), options.memory.people),
        behind,
        definitions: RwLock::new(Arc::new(definitions)),
        counts: RwLock::new(counts.into_iter().collect()),
        totals: Mutex::new(totals),
        flow: Flow::default(),
        heavy: Heavy::default(),
        live: Live::default(),
        pulse: pulse::Pulse::default(),
        timeline: Mutex::default(),
        position: AtomicU64::new(position.0),
        clock: AtomicI64::new(clock),
        computing: AtomicBool::new(false),
        stopped: AtomicBool::new(false),
        to_sweep,
        // An erasure that is not in the tables yet is folded again, and notes itself.
        sweep_after: AtomicU64::new(0),
        unwritten_bytes: options.memory.unwritten_bytes,
        has_apart,
        clock_follows_events,
        wall: options.wall.clone(),
    }))
}

fn open_tables(options: &Options, name: &str) -> Result<Tables, OpenError> {
    Tables::open(&options.directory, name, options.memory.table_cache_bytes).map_err(|error| match error {
        StoreError::Damaged { place, what } => OpenError::Tables { place, what },
        StoreError::Disk(error) => {
            OpenError::Tables { place: options.directory.join(name).display().to_string(), what: error.to_string() }
        }
        other => OpenError::Store(other),
    })
}

/// Folds what the history has beyond the tables.
pub(crate) fn catch_up(fold: &mut Fold) -> jumelle_store::Result<u64> {
    let from = fold.shared.position();
    let mut blocks = 0u64;
    for block in fold.shared.history.blocks(from) {
        let block = block?;
        if block.end() <= from {
            continue;
        }
        fold.block(&block, from)?;
        blocks += 1;
        if fold.gathered() > fold.shared.unwritten_bytes / 2 {
            fold.flush_now()?;
        }
    }
    if blocks > 0 {
        fold.flush_now()?;
    }
    Ok(fold.shared.position().0 - from.0)
}
