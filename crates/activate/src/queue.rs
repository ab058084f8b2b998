//! What waits for one destination, in memory: a window on the queue table, ordered per person.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use jumelle_model::ids::{DeliveryId, ProfileId};
use tokio::time::Instant;

use crate::house::{QueueKey, Queued};

/// Deliveries of one destination held in memory at most; the rest waits in the table.
pub const QUEUE_MEMORY_MAX: usize = 10_000;

/// A delivery with its attempts so far.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) queued: Queued,
    pub(crate) attempts: u32,
    pub(crate) first_attempt: Option<Instant>,
}

/// The window. A person is in one of three places: `ready`, `later`, or under way.
pub(crate) struct Queue {
    people: HashMap<ProfileId, VecDeque<Waiting>>,
    ready: VecDeque<ProfileId>,
    later: BTreeMap<(Instant, ProfileId), ()>,
    known: HashSet<DeliveryId>,
    last: Option<QueueKey>,
    /// There may be more in the table than in memory.
    pub(crate) more: bool,
}

impl Queue {
    /// Begins with what the table holds.
    pub(crate) fn new() -> Queue {
        Queue {
            people: HashMap::new(),
            ready: VecDeque::new(),
            later: BTreeMap::new(),
            known: HashSet::new(),
            last: None,
            more: true,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    /// Where the table is read on.
    pub(crate) fn last(&self) -> Option<QueueKey> {
        self.last
    }

    /// Takes one in if there is room; else it is found in the table later.
    pub(crate) fn offer(&mut self, queued: Queued) {
        if self.more {
            return;
        }
        if self.known.len() >= QUEUE_MEMORY_MAX {
            self.more = true;
            return;
        }
        self.admit(queued);
    }

    /// Takes one in. Known ones are left alone: no delivery is under way twice.
    pub(crate) fn admit(&mut self, queued: Queued) {
        self.last = self.last.max(Some(queued.key));
        if !self.known.insert(queued.id) {
            return;
        }
        let profile = queued.profile;
        let line = self.people.entry(profile).or_default();
        line.push_back(Waiting { queued, attempts: 0, first_attempt: None });
        if line.len() == 1 {
            self.ready.push_back(profile);
        }
    }

    /// The next one to send; its person is under way until [`Queue::done`] or [`Queue::again`].
    pub(crate) fn take(&mut self, now: Instant) -> Option<Waiting> {
        while let Some((&(at, profile), ())) = self.later.first_key_value() {
            if at > now {
                break;
            }
            self.later.pop_first();
            self.ready.push_back(profile);
        }
        let profile = self.ready.pop_front()?;
        self.people.get(&profile).and_then(|line| line.front()).cloned()
    }

    /// A delivery has ended; the person's next one is ready.
    pub(crate) fn done(&mut self, waiting: &Waiting) {
        let profile = waiting.queued.profile;
        self.known.remove(&waiting.queued.id);
        if let Some(line) = self.people.get_mut(&profile) {
            line.pop_front();
            if line.is_empty() {
                self.people.remove(&profile);
            } else {
                self.ready.push_back(profile);
            }
        }
    }

    /// The same one again, at an instant.
    pub(crate) fn again(&mut self, waiting: Waiting, at: Instant) {
        let profile = waiting.queued.profile;
        if let Some(front) = self.people.get_mut(&profile).and_then(VecDeque::front_mut) {
            *front = waiting;
        }
        self.later.insert((at, profile), ());
    }

    /// An operator wants everything tried now.
    pub(crate) fn hurry(&mut self) {
        while let Some(((_, profile), ())) = self.later.pop_first() {
            self.ready.push_back(profile);
        }
    }

    /// Whether something is ready, and when the next one will be.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.later.first_key_value().map(|((at, _), ())| *at)
    }

    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }
}
