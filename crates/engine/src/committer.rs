//! One durable step: drafts from any thread become one block, one synced write, many acknowledgements.
//!
//! Cost on the back of an envelope: one fdatasync (0.3 to 1.5 ms) per block of up to 1 MiB; LZ4 at ~700 MB/s; the fold's thread
//! is not waited for, except when it is [`BLOCKS_AHEAD_MAX`] blocks behind.

use std::hash::BuildHasher as _;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, OnceLock};

use jumelle_collect::Collected;
use jumelle_model::ids::{Fingerprint, Position};
use jumelle_model::time::Timestamp;
use jumelle_store::{
    Block, BlockBuilder, Entry, EventEntry, History, ImportProgress, Notice, QuarantineEnd, Record, ResultState, StoreError,
    failpoint,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::door::{Kept, Reduced};
use crate::reductions::Block as ReducedBlock;
use crate::splits::SplitReason;
use crate::wall::Wall;
use crate::window::Window;

/// Bytes of one block at most, before compression (one submission more may be on top).
pub const BLOCK_BYTES_MAX: usize = 1 << 20;
/// Blocks that the fold may be behind before commits wait for it.
pub const BLOCKS_AHEAD_MAX: usize = 64;
/// Submissions waiting for the committer at most.
pub const SUBMISSIONS_MAX: usize = 4_096;
/// Bytes waiting for the committer at most.
pub const SUBMITTED_BYTES_MAX: usize = 64 << 20;

/// An entry before it has its arrival.
#[derive(Clone, Debug)]
pub enum Draft {
    /// An event of a source.
    Event {
        /// Source key.
        source: Arc<str>,
        /// What was collected.
        event: Collected,
    },
    /// An event that is not stored as it came.
    Reduced(Box<Reduced>),
    /// New definitions.
    Apply {
        /// Canonical text.
        text: String,
        /// Who brings them: the name of a token, or of a file.
        by: String,
    },
    /// A timer is due.
    Tick,
    /// A delivery's result.
    Result(jumelle_activate::DeliveryResult),
    /// Try again.
    Replay {
        /// Which delivery.
        delivery: jumelle_model::DeliveryId,
        /// Who asks: the name of a token.
        by: Arc<str>,
    },
    /// Not understood.
    Quarantined {
        /// Its id.
        id: u64,
        /// Source key.
        source: Arc<str>,
        /// What was wrong.
        rejected: jumelle_collect::Rejected,
    },
    /// A quarantined item was settled.
    Settled(u64, QuarantineEnd),
    /// An import went on.
    Import {
        /// Its id.
        id: String,
        /// Events so far.
        events: u64,
        /// Through.
        done: bool,
    },
    /// A step of what a person asks about her rights.
    Request {
        /// Which request.
        id: u64,
        /// Her id.
        profile: jumelle_model::ProfileId,
        /// JSON.
        step: String,
    },
    /// An identifier of a person was wrong.
    Corrected {
        /// Her id.
        profile: jumelle_model::ProfileId,
        /// What was wrong.
        wrong: jumelle_model::Identifier,
        /// What is right, of the same namespace.
        right: String,
    },
    /// One person turned out to be two.
    Split(crate::splits::Split),
    /// Erasure of a person whose time as a prospect is over.
    Lapsed {
        /// Her id.
        profile: jumelle_model::ProfileId,
        /// Her identifiers' keys.
        keys: Vec<u128>,
        /// Who must be told.
        notices: Vec<Notice>,
    },
    /// Erasure of a person.
    Erased {
        /// Her id.
        profile: jumelle_model::ProfileId,
        /// Her identifiers' keys.
        keys: Vec<u128>,
        /// Who must be told.
        notices: Vec<Notice>,
    },
}

impl Draft {
    /// It carries a choice: the answer waits until the gate knows of it.
    pub fn carries_choice(&self) -> bool {
        match self {
            Draft::Event { event, .. } => event.has_consents,
            Draft::Reduced(reduced) => matches!(reduced.kept, Kept::Choice(_)),
            _ => false,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Draft::Event { event, .. } => event.body.len() + 128,
            Draft::Reduced(reduced) => reduced.bytes(),
            Draft::Apply { text, by } => text.len() + by.len() + 64,
            Draft::Quarantined { rejected, .. } => rejected.body.len() + rejected.message.len() + 128,
            Draft::Split(split) => 16 * (split.staying.len() + split.leaving.len()) + split.by.len() + 128,
            _ => 256,
        }
    }
}

/// What a commit answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Receipt {
    /// Events that were known already.
    pub duplicates: usize,
    /// Events that were not stored as they came.
    pub reduced: usize,
    /// The position after the block.
    pub end: Position,
}

/// Why nothing was committed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SubmitError {
    /// Try again in a moment.
    #[error("too much is waiting to be written; try again in a moment")]
    Overloaded,
    /// The disk refused; nothing is taken until a restart.
    #[error("the disk refused a write; nothing more is taken until the process is restarted: {0}")]
    Failed(String),
    /// The server is going down.
    #[error("the server is stopping")]
    Stopping,
}

/// Why nothing more is taken, once something has failed: it is not tried again.
type Failure = Arc<OnceLock<String>>;

type Reply = oneshot::Sender<Result<Receipt, SubmitError>>;

enum Request {
    Commit(Submission),
    Stop,
}

struct Submission {
    drafts: Vec<Draft>,
    wait_processed: bool,
    reply: Reply,
    _bytes: OwnedSemaphorePermit,
}

/// A block on its way to the fold, and who waits for it to be folded.
pub struct Committed {
    /// The entries.
    pub block: Block,
    /// Answered once the block is folded.
    pub waiting: Vec<Waiting>,
}

/// Somebody who waits for a block to be folded.
pub struct Waiting {
    reply: Reply,
    receipt: Receipt,
}

impl Waiting {
    /// It is folded.
    pub fn done(self) {
        // A client that has gone away needs no answer.
        let _ = self.reply.send(Ok(self.receipt));
    }
}

/// The way into the history.
#[derive(Clone)]
pub struct Intake {
    queue: mpsc::Sender<Request>,
    bytes: Arc<Semaphore>,
    failed: Failure,
}

impl Intake {
    /// Commits drafts in one block. When this answers `Ok`, they survive a power cut; with `wait_processed` they are also
    /// identified, folded and at the gate.
    pub async fn submit(&self, drafts: Vec<Draft>, wait_processed: bool) -> Result<Receipt, SubmitError> {
        let receiver = self.enqueue(drafts, wait_processed)?;
        receiver.await.unwrap_or(Err(SubmitError::Stopping))
    }

    /// As [`Intake::submit`], without waiting for the answer.
    pub fn enqueue(
        &self,
        drafts: Vec<Draft>,
        wait_processed: bool,
    ) -> Result<oneshot::Receiver<Result<Receipt, SubmitError>>, SubmitError> {
        if let Some(reason) = self.failure() {
            return Err(SubmitError::Failed(reason.to_owned()));
        }
        let bytes = drafts.iter().map(Draft::bytes).sum::<usize>().clamp(1, SUBMITTED_BYTES_MAX) as u32;
        let permit = self.bytes.clone().try_acquire_many_owned(bytes).map_err(|_| SubmitError::Overloaded)?;
        let (reply, receiver) = oneshot::channel();
        self.queue.try_send(Request::Commit(Submission { drafts, wait_processed, reply, _bytes: permit })).map_err(|error| {
            match error {
                mpsc::error::TrySendError::Full(_) => SubmitError::Overloaded,
                mpsc::error::TrySendError::Closed(_) => SubmitError::Stopping,
            }
        })?;
        Ok(receiver)
    }

    /// Why nothing more is taken until a restart.
    pub fn failure(&self) -> Option<&str> {
        self.failed.get().map(String::as_str)
    }

    /// Nothing more is taken. The first reason counts.
    pub fn fail(&self, reason: String) {
        self.failed.get_or_init(|| reason);
    }

    /// Commits what was submitted before, then ends the committer and with it the fold.
    pub async fn stop(&self) {
        // A committer that is gone has stopped already.
        let _ = self.queue.send(Request::Stop).await;
    }

    /// Submissions waiting.
    pub fn waiting(&self) -> usize {
        SUBMISSIONS_MAX - self.queue.capacity()
    }
}

/// Owns the end of the history.
pub struct Committer {
    history: Arc<History>,
    window: Window,
    /// Message ids of reduced events: in memory alone.
    reduced: ReducedIds,
    next: Position,
    last_received: Timestamp,
    queue: mpsc::Receiver<Request>,
    failed: Failure,
    to_fold: SyncSender<Committed>,
    wall: Wall,
}

impl Committer {
    /// A committer at the end of the history, and the way to it.
    pub fn new(
        history: Arc<History>,
        window: Window,
        (next, last_received): (Position, Timestamp),
        to_fold: SyncSender<Committed>,
        wall: Wall,
    ) -> (Committer, Intake) {
        let (sender, queue) = mpsc::channel(SUBMISSIONS_MAX);
        let failed = Failure::default();
        let intake = Intake { queue: sender, bytes: Arc::new(Semaphore::new(SUBMITTED_BYTES_MAX)), failed: failed.clone() };
        let reduced = ReducedIds::new(window.limits());
        (Committer { history, window, reduced, next, last_received, queue, failed, to_fold, wall }, intake)
    }

    /// Commits until [`Intake::stop`].
    pub fn run(mut self) {
        while let Some(Request::Commit(first)) = self.queue.blocking_recv() {
            let (group, stopping) = self.gather(first);
            if !self.commit(group) || stopping {
                return;
            }
        }
    }

    /// Commits what waits now, on the caller's thread: how the simulation runs it.
    #[cfg(test)]
    pub(crate) fn run_pending(&mut self) {
        while let Ok(Request::Commit(first)) = self.queue.try_recv() {
            let (group, _) = self.gather(first);
            self.commit(group);
        }
    }

    /// What goes into one block with a submission; `true`: the last one.
    fn gather(&mut self, first: Submission) -> (Vec<Submission>, bool) {
        let mut bytes: usize = first.drafts.iter().map(Draft::bytes).sum();
        let mut group = vec![first];
        while bytes < BLOCK_BYTES_MAX {
            match self.queue.try_recv() {
                Ok(Request::Commit(next)) => {
                    bytes += next.drafts.iter().map(Draft::bytes).sum::<usize>();
                    group.push(next);
                }
                Ok(Request::Stop) => return (group, true),
                Err(_) => break,
            }
        }
        (group, false)
    }

    /// `false`: the fold is gone, nothing more can be done.
    fn commit(&mut self, group: Vec<Submission>) -> bool {
        if let Some(reason) = self.failed.get() {
            for submission in group {
                let _ = submission.reply.send(Err(SubmitError::Failed(reason.clone())));
            }
            return true;
        }
        let mut builder = BlockBuilder::default();
        let mut fingerprints = Vec::new();
        let mut fresh: std::collections::HashMap<u64, Vec<String>> = std::collections::HashMap::new();
        let mut reduced = ReducedBlock::default();
        let mut replies = Vec::with_capacity(group.len());
        let mut unreadable = None;
        let now = self.wall.now();
        for submission in group {
            let mut receipt = Receipt::default();
            for draft in &submission.drafts {
                let message_id = match draft {
                    Draft::Event { event, .. } => Some(event.message_id.as_str()),
                    Draft::Reduced(reduced) => Some(reduced.message_id.as_str()),
                    _ => None,
                };
                let fingerprint = message_id.map_or(0, |message_id| Fingerprint::of(message_id).0);
                if let Some(message_id) = message_id
                    && (self.reduced.has(message_id)
                        || self.is_duplicate(fingerprint, message_id, &fresh).unwrap_or_else(|error| {
                            // Taken for new it might count twice, taken for known it might be lost.
                            unreadable.get_or_insert(error);
                            true
                        }))
                {
                    receipt.duplicates += 1;
                    continue;
                }
                if let Draft::Reduced(one) = draft {
                    receipt.reduced += 1;
                    self.reduced.insert(&one.message_id, now);
                    reduced.add(one);
                }
                // Strictly increasing, so that the order of arrival is the order of positions and no two entries tie.
                let received = Timestamp(now.0.max(self.last_received.0 + 1));
                let Some(entry) = entry(draft, received) else { continue };
                self.last_received = received;
                builder.push(&Record { received, entry });
                fingerprints.push(fingerprint);
                if let (Some(message_id), true) = (message_id, fingerprint != 0) {
                    fresh.entry(fingerprint).or_default().push(message_id.to_owned());
                }
            }
            replies.push((submission.reply, submission.wait_processed, receipt));
        }
        if let Some(error) = unreadable {
            tracing::error!(%error, "the history cannot be read; taking no more writes");
            self.refuse(replies, &error);
            return true;
        }
        for entry in reduced.entries() {
            let received = Timestamp(now.0.max(self.last_received.0 + 1));
            self.last_received = received;
            builder.push(&Record { received, entry });
            fingerprints.push(0);
        }
        let end = Position(self.next.0 + builder.len() as u64);
        let block = if builder.is_empty() {
            None
        } else {
            let events = fingerprints.iter().filter(|fingerprint| **fingerprint != 0).count() + reduced.of_nobody.len();
            let (stored, block) = builder.finish(self.next);
            let started = std::time::Instant::now();
            failpoint::reach("before history write");
            if let Err(error) = self.history.append(self.next, &stored, self.last_received, &fingerprints) {
                // After a failed sync nobody knows what is on disk: stop rather than try again and pretend.
                tracing::error!(%error, "history append failed; taking no more writes");
                self.refuse(replies, &error);
                return true;
            }
            failpoint::reach("after history write");
            crate::durations::COMMIT.record(started.elapsed().as_secs_f64());
            metrics::counter!("jumelle_stored_events_total").increment(events as u64);
            metrics::counter!("jumelle_history_bytes_total").increment(stored.len() as u64);
            for (offset, fingerprint) in fingerprints.into_iter().enumerate().filter(|(_, fingerprint)| *fingerprint != 0) {
                self.window.insert(fingerprint, Position(self.next.0 + offset as u64), self.last_received);
            }
            self.next = end;
            Some(block)
        };
        reduced.count();
        failpoint::reach("before acknowledgement");
        let mut waiting = Vec::new();
        for (reply, wait_processed, mut receipt) in replies {
            receipt.end = end;
            metrics::counter!("jumelle_duplicate_events_total").increment(receipt.duplicates as u64);
            if wait_processed && block.is_some() {
                waiting.push(Waiting { reply, receipt });
            } else {
                let _ = reply.send(Ok(receipt));
            }
        }
        failpoint::reach("after acknowledgement");
        match block {
            Some(block) => self.to_fold.send(Committed { block, waiting }).is_ok(),
            None => true,
        }
    }

    /// Tells everybody of this group, and of every later one, that nothing is taken any more.
    fn refuse(&self, replies: Vec<(Reply, bool, Receipt)>, error: &StoreError) {
        let reason = self.failed.get_or_init(|| error.to_string());
        for (reply, _, _) in replies {
            let _ = reply.send(Err(SubmitError::Failed(reason.clone())));
        }
    }

    /// A fingerprint that is known is confirmed against the message id itself: a collision loses no event.
    fn is_duplicate(
        &self,
        fingerprint: u64,
        message_id: &str,
        fresh: &std::collections::HashMap<u64, Vec<String>>,
    ) -> Result<bool, StoreError> {
        if let Some(ids) = fresh.get(&fingerprint) {
            return Ok(ids.iter().any(|id| id == message_id));
        }
        let Some(position) = self.window.find(fingerprint) else { return Ok(false) };
        let Some(block) = self.history.block_of(position)? else { return Ok(false) };
        Ok(match block.record(position)? {
            Some(Record { entry: Entry::Event(event), .. }) => event.message_id == message_id,
            // Erased since: the fingerprint is all that is left of it.
            Some(Record { entry: Entry::Gone, .. }) => true,
            _ => false,
        })
    }
}

pub(crate) fn event_entry<'a>(source: &'a str, event: &'a Collected, received: Timestamp) -> Entry<'a> {
    Entry::Event(EventEntry {
        kind: event.kind,
        source,
        message_id: &event.message_id,
        time: event.time.min(received),
        body: &event.body,
    })
}

/// What is written at a draft's place. Of a reduced event it is the choice that it carries, or nothing.
fn entry(draft: &Draft, received: Timestamp) -> Option<Entry<'_>> {
    Some(match draft {
        Draft::Event { source, event } => event_entry(source, event, received),
        Draft::Reduced(reduced) => match &reduced.kept {
            Kept::Choice(event) => event_entry(&reduced.source, event, received),
            Kept::OfNobody(_) | Kept::Nothing => return None,
        },
        Draft::Apply { text, by } => Entry::AppliedBy { text, by },
        Draft::Tick => Entry::Tick,
        Draft::Result(result) => Entry::Result {
            delivery: result.id,
            profile: result.profile,
            destination: &result.destination,
            state: match result.state {
                jumelle_activate::FinalState::Sent => ResultState::Sent,
                jumelle_activate::FinalState::Blocked => ResultState::Blocked,
                jumelle_activate::FinalState::Dead => ResultState::Dead,
            },
            attempts: result.attempts,
            status: result.status,
            reason: result.reason.as_deref(),
        },
        Draft::Replay { delivery, by } => Entry::ReplayedBy { delivery: *delivery, by },
        Draft::Quarantined { id, source, rejected } => Entry::Quarantined {
            id: *id,
            source,
            field: &rejected.field,
            rule: rejected.rule,
            message: &rejected.message,
            body: &rejected.body,
        },
        Draft::Settled(id, end) => Entry::QuarantineSettled { id: *id, end: *end },
        Draft::Import { id, events, done } => Entry::Import(ImportProgress { id, events: *events, done: *done }),
        Draft::Request { id, profile, step } => crate::requests::entry(*id, *profile, step),
        Draft::Corrected { profile, wrong, right } => {
            Entry::Corrected { profile: *profile, namespace: &wrong.namespace, wrong: &wrong.value, right }
        }
        Draft::Split(split) => Entry::Split {
            profile: split.profile,
            staying: split.staying.clone(),
            leaving: split.leaving.clone(),
            reason: split.reason.map_or("", SplitReason::as_str),
            by: &split.by,
        },
        Draft::Lapsed { profile, keys, notices } => {
            Entry::Lapsed { profile: *profile, keys: keys.clone(), notices: notices.clone() }
        }
        Draft::Erased { profile, keys, notices } => {
            Entry::Erased { profile: *profile, keys: keys.clone(), notices: notices.clone() }
        }
    })
}

/// Message ids of reduced events seen lately. Kept in memory alone, under a key of this process: a repeat counts once, and nothing on
/// disk tells one that was counted. What was counted before a restart is not known after it.
struct ReducedIds {
    key: std::hash::RandomState,
    window: Window,
}

impl ReducedIds {
    fn new(limits: crate::window::WindowLimits) -> ReducedIds {
        ReducedIds { key: std::hash::RandomState::new(), window: Window::empty(limits) }
    }

    /// Two ids share a hash once in 10¹² with 10 million of them known: then one event is taken for a repeat.
    fn has(&self, message_id: &str) -> bool {
        !self.window.is_empty() && self.window.find(self.key.hash_one(message_id)).is_some()
    }

    fn insert(&mut self, message_id: &str, now: Timestamp) {
        self.window.insert(self.key.hash_one(message_id), Position(0), now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::WindowLimits;
    use jumelle_model::event::EventKind;

    fn event(id: usize, bytes: usize) -> Draft {
        let event = Collected {
            kind: EventKind::Track,
            message_id: format!("m{id}"),
            time: Timestamp(1),
            body: "x".repeat(bytes),
            has_consents: false,
            claims: jumelle_collect::Claims::default(),
        };
        Draft::Event { source: "site".into(), event }
    }

    /// With a disk that does not keep up, what waits is bounded in bytes and in number; the rest is told to come again.
    #[test]
    fn overload_is_an_answer_not_memory() {
        let directory = tempfile::tempdir().unwrap();
        let history = Arc::new(History::open(directory.path(), None).unwrap());
        for (bytes, accepted_max) in [(1 << 20, SUBMITTED_BYTES_MAX >> 20), (0, SUBMISSIONS_MAX)] {
            let window = Window::rebuild(&history, WindowLimits::default(), Timestamp(0)).unwrap();
            let (to_fold, _blocks) = std::sync::mpsc::sync_channel(1);
            // Nobody runs the committer: nothing is ever taken from the queue.
            let (_committer, intake) =
                Committer::new(history.clone(), window, (Position(0), Timestamp(0)), to_fold, Wall::default());
            let accepted = (0..2 * SUBMISSIONS_MAX).take_while(|n| intake.enqueue(vec![event(*n, bytes)], false).is_ok()).count();
            assert!(accepted <= accepted_max && accepted > 0, "{accepted} of {bytes} bytes");
            assert_eq!(intake.enqueue(vec![event(0, bytes)], false).err(), Some(SubmitError::Overloaded));
        }
    }
}
