//! What waits for one destination, in memory: a window on the queue table, ordered per person.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::Duration;

use jumelle_model::ids::{DeliveryId, ProfileId};
use tokio::time::Instant;

use crate::house::{QueueKey, Queued};

/// Deliveries of one destination held in memory at most; the rest waits in the table.
pub const QUEUE_MEMORY_MAX: usize = 10_000;
/// Deliveries read from the table at a time.
pub(crate) const PAGE: usize = 1_000;
/// Offers kept beside while the table is being read. With half a window and a page it makes exactly a window.
const BESIDE_MAX: usize = QUEUE_MEMORY_MAX / 2 - PAGE;
/// An offer is found in the table this long after it was made, at the latest.
const TABLE_LAG_MAX: Duration = Duration::from_secs(2);
/// How soon the table's end is read again, when it may not show everything yet.
const TABLE_LOOK_AGAIN: Duration = Duration::from_millis(250);

/// A delivery with its attempts so far.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) queued: Queued,
    pub(crate) attempts: u32,
    pub(crate) first_attempt: Option<Instant>,
}

/// Just before everything that a position caused. Positions are offered in order, but what one position causes for many people is
/// offered in any order, while the table has it by person: so a position is read whole, or again. What is known is left alone, and
/// what has ended meanwhile is superseded at the gate.
fn before(position: u64) -> Option<QueueKey> {
    let position = position.checked_sub(1)?;
    Some(QueueKey { position, profile: ProfileId(u128::MAX), ordinal: u32::MAX })
}

/// The window. A person is in one of three places: `ready`, `later`, or under way.
pub(crate) struct Queue {
    people: HashMap<ProfileId, VecDeque<Waiting>>,
    ready: VecDeque<ProfileId>,
    /// Ready before those.
    leaving: VecDeque<ProfileId>,
    later: BTreeMap<(Instant, ProfileId), ()>,
    /// Under way, and to go before others afterwards.
    next: HashSet<ProfileId>,
    /// By place, not by id: a delivery that is replayed has a new place and must not be taken for the one that just ended.
    known: HashSet<QueueKey>,
    /// Where the table is read on: all before has been taken in.
    cursor: Option<QueueKey>,
    /// There may be more in the table than in memory.
    more: bool,
    /// Offered while there was more in the table; taken in when its end is reached.
    beside: VecDeque<Queued>,
    /// When `beside` last ran over, and the first position that did: the table is read again from there once it must show it.
    spilled: Option<(Instant, u64)>,
    look_again: Option<Instant>,
}

impl Queue {
    /// Begins with what the table holds.
    pub(crate) fn new() -> Queue {
        Queue {
            people: HashMap::new(),
            ready: VecDeque::new(),
            leaving: VecDeque::new(),
            next: HashSet::new(),
            later: BTreeMap::new(),
            known: HashSet::new(),
            cursor: None,
            more: true,
            beside: VecDeque::new(),
            spilled: None,
            look_again: None,
        }
    }

    /// Deliveries in memory.
    pub(crate) fn len(&self) -> usize {
        self.known.len() + self.beside.len()
    }

    /// There may be more in the table than in memory.
    pub(crate) fn more(&self) -> bool {
        self.more
    }

    /// Their ids.
    pub(crate) fn ids(&self) -> impl Iterator<Item = DeliveryId> {
        self.people.values().flatten().map(|waiting| waiting.queued.id)
    }

    /// Takes one in, beside while the table is ahead. Never more than a window: what runs over is found in the table.
    pub(crate) fn offer(&mut self, queued: Queued, now: Instant) {
        if !self.more && self.known.len() < QUEUE_MEMORY_MAX {
            self.cursor = self.cursor.max(before(queued.key.position));
            self.admit(queued);
            return;
        }
        self.more = true;
        if self.beside.len() >= BESIDE_MAX {
            let first = self.beside.drain(..).map(|queued| queued.key.position).min().unwrap_or_default();
            self.spilled = Some((now, self.spilled.map_or(first, |(_, earlier)| earlier.min(first))));
        }
        self.beside.push_back(queued);
    }

    fn has_room(&self) -> bool {
        self.more && self.known.len() <= QUEUE_MEMORY_MAX / 2
    }

    /// Where the table is to be read on now, if it is: after a place, or from the start.
    pub(crate) fn wants_page(&self, now: Instant) -> Option<Option<QueueKey>> {
        let due = self.has_room() && self.look_again.is_none_or(|at| at <= now);
        due.then_some(self.cursor)
    }

    /// When the table is to be read again, if not at once.
    pub(crate) fn look_again_at(&self) -> Option<Instant> {
        self.look_again.filter(|_| self.has_room())
    }

    /// Takes in what the table held after the place wanted; it was asked at `asked`.
    pub(crate) fn take_in(&mut self, page: Vec<Queued>, asked: Instant) {
        self.look_again = None;
        let full = page.len() >= PAGE;
        for queued in page {
            self.cursor = self.cursor.max(Some(queued.key));
            self.admit(queued);
        }
        if full {
            return;
        }
        match self.spilled {
            Some((at, _)) if asked < at + TABLE_LAG_MAX => self.look_again = Some(asked + TABLE_LOOK_AGAIN),
            Some((_, first)) => {
                self.spilled = None;
                self.cursor = before(first);
            }
            None => {
                self.more = false;
                for queued in std::mem::take(&mut self.beside) {
                    self.cursor = self.cursor.max(before(queued.key.position));
                    self.admit(queued);
                }
            }
        }
    }

    /// Takes one in. Known ones are left alone: no delivery is under way twice.
    fn admit(&mut self, queued: Queued) {
        if !self.known.insert(queued.key) {
            return;
        }
        let profile = queued.profile;
        let line = self.people.entry(profile).or_default();
        line.push_back(Waiting { queued, attempts: 0, first_attempt: None });
        if line.len() == 1 {
            self.ready.push_back(profile);
        }
    }

    /// How many people could leave now.
    pub(crate) fn ready(&mut self, now: Instant) -> usize {
        self.fall_due(now);
        self.ready.len() + self.leaving.len()
    }

    fn fall_due(&mut self, now: Instant) {
        while let Some((&(at, profile), ())) = self.later.first_key_value() {
            if at > now {
                break;
            }
            self.later.pop_first();
            self.ready.push_back(profile);
        }
    }

    /// The next one to send; its person is under way until [`Queue::done`] or [`Queue::again`].
    pub(crate) fn take(&mut self, now: Instant) -> Option<Waiting> {
        self.fall_due(now);
        let profile = self.leaving.pop_front().or_else(|| self.ready.pop_front())?;
        self.people.get(&profile).and_then(|line| line.front()).cloned()
    }

    /// Her messages before those of others, now. The look through the window costs microseconds.
    pub(crate) fn first(&mut self, profile: ProfileId) {
        if !self.people.contains_key(&profile) || self.leaving.contains(&profile) {
            return;
        }
        if let Some(at) = self.ready.iter().position(|waiting| *waiting == profile) {
            self.ready.remove(at);
            self.leaving.push_back(profile);
        } else if let Some(&key) = self.later.keys().find(|(_, waiting)| *waiting == profile) {
            self.later.remove(&key);
            self.leaving.push_back(profile);
        } else {
            self.next.insert(profile);
        }
    }

    /// A delivery has ended; the person's next one is ready.
    pub(crate) fn done(&mut self, waiting: &Waiting) {
        let profile = waiting.queued.profile;
        let goes_next = self.next.remove(&profile);
        self.known.remove(&waiting.queued.key);
        if let Some(line) = self.people.get_mut(&profile) {
            line.pop_front();
            if line.is_empty() {
                self.people.remove(&profile);
            } else if goes_next {
                self.leaving.push_back(profile);
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
        if self.next.remove(&profile) {
            self.leaving.push_back(profile);
        } else {
            self.later.insert((at, profile), ());
        }
    }

    /// An operator wants everything tried now.
    pub(crate) fn hurry(&mut self) {
        while let Some(((_, profile), ())) = self.later.pop_first() {
            self.ready.push_back(profile);
        }
    }

    /// When the next retry is due.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.later.first_key_value().map(|((at, _), ())| *at)
    }

    /// Whether something could leave at once.
    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty() || !self.leaving.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Bound;

    use super::*;

    fn delivery(position: u64, person: u64) -> Queued {
        let profile = ProfileId(u128::from(person));
        Queued {
            key: QueueKey { position, profile, ordinal: 0 },
            id: DeliveryId(u128::from(position) << 64 | u128::from(person)),
            profile,
            destination: "tool".into(),
        }
    }

    /// Causes that each queue for `people`, offered in an order that is not the table's, while `leave` of ten offers leave. Then
    /// everything leaves; the table shows what had been offered `lag` before.
    fn drained(causes: u64, people: u64, leave: u64, lag: Duration) {
        let mut now = Instant::now();
        let mut queue = Queue::new();
        queue.take_in(Vec::new(), now);
        let mut table: BTreeMap<QueueKey, (Instant, Queued)> = BTreeMap::new();
        let mut left: HashMap<ProfileId, u64> = HashMap::new();
        let mut step = |queue: &mut Queue, table: &mut BTreeMap<QueueKey, (Instant, Queued)>, now: Instant| {
            while let Some(after) = queue.wants_page(now) {
                let rows = table.range((after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded));
                let shown = rows.filter(|(_, (at, _))| *at + lag <= now).map(|(_, (_, queued))| queued.clone());
                queue.take_in(shown.take(PAGE).collect(), now);
            }
            let Some(waiting) = queue.take(now) else { return false };
            // What is not in the table has ended before: superseded at the gate.
            if table.remove(&waiting.queued.key).is_some() {
                let next = left.entry(waiting.queued.profile).or_default();
                assert_eq!(waiting.queued.key.position, *next, "in order, each once");
                *next += 1;
            }
            queue.done(&waiting);
            true
        };
        for position in 0..causes {
            for nth in 0..people {
                let queued = delivery(position, (nth * 7_919 + position) % people);
                table.insert(queued.key, (now, queued.clone()));
                queue.offer(queued, now);
                assert!(queue.len() <= QUEUE_MEMORY_MAX + BESIDE_MAX, "bounded");
                if nth % 10 < leave {
                    step(&mut queue, &mut table, now);
                }
            }
            now += Duration::from_millis(100);
        }
        loop {
            if step(&mut queue, &mut table, now) {
                continue;
            }
            let Some(at) = queue.look_again_at() else { break };
            now = now.max(at);
        }
        assert!(table.is_empty(), "{causes} × {people}, lag {lag:?}: {} are lost", table.len());
        assert!(left.values().all(|&next| next == causes));
        assert!(!queue.more() && queue.len() == 0);
    }

    #[tokio::test(start_paused = true)]
    async fn beyond_the_window_nothing_is_lost_sent_twice_or_out_of_order() {
        let window = QUEUE_MEMORY_MAX as u64;
        let beside = BESIDE_MAX as u64;
        for (causes, people) in [
            (3, 1),
            (window + 1, 1),
            (1, window),
            (1, window + 1),
            (1, window + beside),
            (1, window + beside + 1),
            (1, 3 * window + 7),
            (9, window / 3 + 1),
            (40, 997),
        ] {
            for lag in [Duration::ZERO, Duration::from_secs(1)] {
                for leave in [0, 3, 9] {
                    drained(causes, people, leave, lag);
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_known_is_not_taken_in_twice_but_a_replay_is() {
        let now = Instant::now();
        let mut queue = Queue::new();
        queue.offer(delivery(1, 1), now);
        queue.take_in(vec![delivery(1, 1)], now);
        queue.offer(delivery(1, 1), now);
        let first = queue.take(now).unwrap();
        assert!(queue.take(now).is_none(), "one at a time");
        let replayed = Queued { key: QueueKey { position: 9, ..delivery(1, 1).key }, ..delivery(1, 1) };
        queue.offer(replayed.clone(), now);
        assert!(queue.take(now).is_none(), "not before the first has ended");
        queue.done(&first);
        assert_eq!(queue.take(now).map(|waiting| waiting.queued), Some(replayed));
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_goes_before_others_and_does_not_wait_for_a_retry() {
        let now = Instant::now();
        let mut queue = Queue::new();
        queue.take_in(Vec::new(), now);
        for (position, person) in [(1, 1), (2, 2), (3, 3), (4, 1), (5, 3)] {
            queue.offer(delivery(position, person), now);
        }
        let tried = queue.take(now).unwrap();
        assert_eq!(tried.queued, delivery(1, 1));
        queue.again(tried, now + Duration::from_secs(3_600));
        queue.first(ProfileId(1));
        queue.first(ProfileId(3));
        let mut order = Vec::new();
        while let Some(waiting) = queue.take(now) {
            // She leaves while a message of hers is under way: the next one follows at once.
            if waiting.queued == delivery(3, 3) {
                queue.first(ProfileId(3));
            }
            order.push((waiting.queued.key.position, waiting.queued.key.profile.0));
            queue.done(&waiting);
        }
        assert_eq!(order, [(1, 1), (3, 3), (5, 3), (2, 2), (4, 1)]);
    }
}
