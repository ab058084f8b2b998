//! Writing behind: the tables catch up with the fold once a second, in one atomic batch with the position that they reflect.
//!
//! The fold's thread only takes references (people are `Arc`s, rows are set apart); encoding and writing happen on the flusher's.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use jumelle_model::ids::Position;
use jumelle_profile::Person;
use jumelle_store::{Result, Table};

use crate::behind::Flushing;
use crate::fold::Fold;
use crate::people::{Evicted, encode_into};
use crate::shared::{Shared, encode_chunk};

/// Room for the stored form of one person; it grows where it must.
const PERSON_BYTES: usize = 4 << 10;

/// Row of `Meta` that is there while the tables hold half of an entry.
pub(crate) const INCOMPLETE_ROW: &[u8] = b"incomplete";

/// What is written in one batch.
pub(crate) struct Job {
    flushing: Flushing,
    people: Vec<Arc<Person>>,
    position: Position,
    _spent: Option<Spent>,
}

/// What memory holds no longer: freed on the flusher's thread, not on the one that folds.
type Spent = (Flushing, Evicted);

impl Job {
    /// Writes it, all or nothing.
    pub(crate) fn write(self, shared: &Shared) -> Result<()> {
        let _entered = tracing::trace_span!(target: "jumelle::trace", "flush", people = self.people.len() as i64).entered();
        // Invariant: tables that reflect a choice or a result are not on disk before the ledger that has it.
        shared.ledger.checkpoint().map_err(crate::ledger::stored)?;
        let people = self.people;
        shared.behind.write(&self.flushing, self.position, |batch| {
            let mut bytes = Vec::with_capacity(PERSON_BYTES);
            for person in people {
                bytes.clear();
                bytes = encode_into(bytes, &person);
                batch.put(Table::People, &person.id.0.to_be_bytes(), &bytes);
            }
        })
    }
}

/// The flusher's side of the fold: at most one job is under way.
pub(crate) struct Flusher {
    jobs: Option<SyncSender<Job>>,
    results: Receiver<Result<()>>,
    under_way: bool,
    spent: Option<Spent>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Flusher {
    pub(crate) fn start(shared: Arc<Shared>) -> std::io::Result<Flusher> {
        let (jobs, queue) = sync_channel::<Job>(1);
        let (answer, results) = sync_channel(1);
        let thread = std::thread::Builder::new().name("jumelle-flush".into()).spawn(move || {
            for job in queue {
                let started = std::time::Instant::now();
                let written = job.write(&shared);
                crate::durations::FLUSH.record(started.elapsed().as_secs_f64());
                if answer.send(written).is_err() {
                    return;
                }
            }
        })?;
        Ok(Flusher { jobs: Some(jobs), results, under_way: false, spent: None, thread: Some(thread) })
    }

    /// Takes the result of a job that has ended. `true`: nothing is under way.
    pub(crate) fn settle(&mut self, shared: &Shared, wait: bool) -> Result<bool> {
        if !self.under_way {
            return Ok(true);
        }
        let result = match wait {
            true => self.results.recv().ok(),
            false => self.results.try_recv().ok(),
        };
        let Some(result) = result else { return Ok(false) };
        self.under_way = false;
        result?;
        self.spent = Some((shared.behind.written(), shared.people.evict()));
        Ok(true)
    }

    pub(crate) fn submit(&mut self, mut job: Job) {
        job._spent = self.spent.take();
        if let Some(jobs) = &self.jobs {
            self.under_way = jobs.send(job).is_ok();
        }
    }

    pub(crate) fn stop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A flusher that panicked has been reported by the panic hook; the history is whole without it.
            let _ = thread.join();
        }
    }
}

impl Fold {
    pub(crate) fn job(&mut self) -> Result<Job> {
        let shared = &self.shared;
        for (id, positions) in shared.timeline.lock().drain() {
            let (key, chunk) = encode_chunk(id, &positions);
            shared.behind.put(Table::Timeline, key, chunk);
        }
        // A segment that nobody is in any more is as one that nobody ever was in: after an erasure a replay knows no other.
        let counts: Vec<(String, u64)> =
            shared.counts.read().iter().filter(|(_, count)| **count > 0).map(|(key, count)| (key.clone(), *count)).collect();
        shared.behind.put(Table::Meta, b"counts".to_vec(), serde_json::to_vec(&counts).unwrap_or_default());
        let totals = *shared.totals.lock();
        shared.behind.put(Table::Meta, b"totals".to_vec(), serde_json::to_vec(&totals).unwrap_or_default());
        self.today.put(shared);
        shared.behind.put(Table::Meta, b"clock".to_vec(), self.clock.0.to_be_bytes());
        let people = shared.people.take_dirty()?;
        Ok(Job { flushing: shared.behind.begin_flush(), people, position: self.position(), _spent: None })
    }

    /// The position up to which this fold has come: within a block, that of the entry being folded.
    pub(crate) fn position(&self) -> Position {
        Position(self.folding.unwrap_or_else(|| self.shared.position.load(Ordering::Acquire)))
    }

    /// Writes everything and waits for it. Used where the tables must be complete (definitions, stop), not in the stream.
    pub(crate) fn flush_now(&mut self) -> Result<()> {
        let mut flusher = self.flusher.take();
        if let Some(flusher) = &mut flusher {
            flusher.settle(&self.shared, true)?;
        }
        let job = self.job()?;
        job.write(&self.shared)?;
        self.shared.behind.written();
        self.shared.people.evict();
        self.flusher = flusher;
        Ok(())
    }

    /// Bytes of what is changed and not on its way to the disk, about.
    pub(crate) fn gathered(&self) -> usize {
        crate::memory::unwritten(self.shared.people.dirty_len(), self.shared.behind.unwritten())
    }

    /// Within a long entry: writes when much has gathered. From then until [`Fold::complete`] the tables hold half of an entry,
    /// and say so: after a crash in between they are made anew from the history.
    pub(crate) fn make_room(&mut self) -> Result<()> {
        if self.gathered() > self.shared.unwritten_bytes / 2 {
            self.shared.behind.put(Table::Meta, INCOMPLETE_ROW, Vec::new());
            self.flush_now()?;
        }
        Ok(())
    }

    /// The long entry is through.
    pub(crate) fn complete(&mut self) -> Result<()> {
        if self.shared.behind.get(Table::Meta, INCOMPLETE_ROW)?.is_some() {
            self.shared.behind.remove(Table::Meta, INCOMPLETE_ROW);
        }
        Ok(())
    }

    /// In the stream: starts a flush if it is due and none is under way; waits for the one under way only when far too much has
    /// gathered.
    pub(crate) fn write_behind(&mut self, due: bool) -> Result<()> {
        let Some(mut flusher) = self.flusher.take() else { return Ok(()) };
        let (gathered, most) = (self.gathered(), self.shared.unwritten_bytes);
        // As much may be on its way to the disk as gathers meanwhile.
        let idle = flusher.settle(&self.shared, gathered > most / 2);
        let outcome = match idle {
            Ok(true) if gathered > 0 && (due || gathered > most / 4) => self.job().map(|job| flusher.submit(job)),
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        self.flusher = Some(flusher);
        outcome
    }
}
