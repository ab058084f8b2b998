//! What waits for one destination, in memory: a window on the queue table, ordered per person.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use jumelle_model::ids::{DeliveryId, ProfileId};
use tokio::time::Instant;

use crate::house::{QueueKey, Queued};
use crate::line::{Line, Waiting};

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

/// Just before everything that a position caused. Positions are offered in order, but what one position causes for many people is
/// offered in any order, while the table has it by person: so a position is read whole, or again. What is known is left alone, and
/// what has ended meanwhile is superseded at the gate.
fn before(position: u64) -> Option<QueueKey> {
    let position = position.checked_sub(1)?;
    Some(QueueKey { position, profile: ProfileId(u128::MAX), ordinal: u32::MAX })
}

/// Two people who turn out to be one.
struct Join {
    absorbed: ProfileId,
    survivor: ProfileId,
    /// The house knows it: whatever page is asked for from here on knows it too.
    known: bool,
}

/// The window. A person with something to send is in one of four places: `leaving`, `ready`, `later`, or under way.
pub(crate) struct Queue {
    people: HashMap<ProfileId, Line>,
    ready: VecDeque<ProfileId>,
    /// Ready before those.
    leaving: VecDeque<ProfileId>,
    later: BTreeMap<(Instant, ProfileId), ()>,
    /// In whose line each one is. By place, not by id: a delivery that is replayed has a new place and must not be taken for the one
    /// that just ended.
    known: HashMap<QueueKey, ProfileId>,
    /// Where the table is read on: all before has been taken in.
    cursor: Option<QueueKey>,
    /// There may be more in the table than in memory.
    more: bool,
    /// Offered while there was more in the table; taken in when its end is reached.
    beside: VecDeque<Queued>,
    /// When `beside` last ran over, and the first position that did: the table is read again from there once it must show it.
    spilled: Option<(Instant, u64)>,
    look_again: Option<Instant>,
    /// Joins that a page, or an offer, may not know of.
    joins: Vec<Join>,
    /// A page is being read.
    reading: bool,
}

impl Queue {
    /// Begins with what the table holds.
    pub(crate) fn new() -> Queue {
        Queue {
            people: HashMap::new(),
            ready: VecDeque::new(),
            leaving: VecDeque::new(),
            later: BTreeMap::new(),
            known: HashMap::new(),
            cursor: None,
            more: true,
            beside: VecDeque::new(),
            spilled: None,
            look_again: None,
            joins: Vec::new(),
            reading: false,
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

    /// The ids of those that are not under way.
    pub(crate) fn ids(&self) -> impl Iterator<Item = DeliveryId> {
        self.people.values().flat_map(|line| &line.waiting).map(|waiting| waiting.queued.id)
    }

    /// Takes one in, beside while the table is ahead. Never more than a window: what runs over is found in the table.
    pub(crate) fn offer(&mut self, mut queued: Queued, now: Instant) {
        queued.profile = self.now(queued.profile);
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
    pub(crate) fn wants_page(&mut self, now: Instant) -> Option<Option<QueueKey>> {
        let due = self.has_room() && self.look_again.is_none_or(|at| at <= now);
        due.then(|| {
            self.reading = true;
            self.cursor
        })
    }

    /// When the table is to be read again, if not at once.
    pub(crate) fn look_again_at(&self) -> Option<Instant> {
        self.look_again.filter(|_| self.has_room())
    }

    /// Takes in what the table held after the place wanted; it was asked at `asked`.
    pub(crate) fn take_in(&mut self, page: Vec<Queued>, asked: Instant) {
        self.look_again = None;
        let full = page.len() >= PAGE;
        // A line has what one cause queued in another order than the table: of a full page its last cause is read again, whole.
        let last = page.last().map(|queued| queued.key.position);
        let cut = last.filter(|last| full && page.first().is_some_and(|first| first.key.position < *last));
        for mut queued in page {
            if cut == Some(queued.key.position) {
                break;
            }
            queued.profile = self.now(queued.profile);
            self.cursor = self.cursor.max(Some(queued.key));
            self.admit(queued);
        }
        self.reading = false;
        self.joins.retain(|join| !join.known);
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
        if self.known.contains_key(&queued.key) {
            return;
        }
        let profile = queued.profile;
        self.known.insert(queued.key, profile);
        let line = self.people.entry(profile).or_default();
        line.insert(Waiting { queued, attempts: 0, first_attempt: None });
        if line.waiting.len() == 1 && line.under_way.is_empty() {
            self.ready.push_back(profile);
        }
    }

    /// Whose line it is: a join that is under way counts.
    fn now(&self, profile: ProfileId) -> ProfileId {
        self.joins.iter().fold(profile, |profile, join| if profile == join.absorbed { join.survivor } else { profile })
    }

    /// Two people turn out to be one: what waits for both is one line from now on, in the order of the causes. Else what takes her out,
    /// queued under one of her ids, could overtake what brings her in under the other. Said twice: before the house knows of it, so
    /// that nothing is taken in between, and when it does (`known`).
    pub(crate) fn join(&mut self, absorbed: ProfileId, survivor: ProfileId, known: bool) {
        let same = |join: &Join| (join.absorbed, join.survivor) == (absorbed, survivor);
        match self.joins.iter().position(same) {
            Some(at) if known && !self.reading => drop(self.joins.remove(at)),
            Some(at) => self.joins[at].known |= known,
            None if known && !self.reading => {}
            None => self.joins.push(Join { absorbed, survivor, known }),
        }
        for queued in self.beside.iter_mut().filter(|queued| queued.profile == absorbed) {
            queued.profile = survivor;
        }
        let Some(mut other) = self.people.remove(&absorbed) else { return };
        other.first |= self.take_out(absorbed, other.not_before);
        let hers = self.people.get(&survivor).and_then(|line| line.not_before);
        let is_first = self.take_out(survivor, hers);
        let places = other.waiting.iter().map(|waiting| waiting.queued.key).chain(other.under_way.iter().copied());
        for key in places {
            self.known.insert(key, survivor);
        }
        let line = self.people.entry(survivor).or_default();
        line.first |= is_first;
        line.merge(other);
        self.settle(survivor);
    }

    /// Out of the places where who has something to send is looked for. Whether she was among those who go before others.
    fn take_out(&mut self, profile: ProfileId, not_before: Option<Instant>) -> bool {
        if let Some(at) = not_before {
            self.later.remove(&(at, profile));
        }
        self.ready.retain(|waiting| *waiting != profile);
        let leaving = self.leaving.len();
        self.leaving.retain(|waiting| *waiting != profile);
        self.leaving.len() < leaving
    }

    /// Where a person belongs of whom nothing is under way.
    fn settle(&mut self, profile: ProfileId) {
        let Some(line) = self.people.get_mut(&profile).filter(|line| line.under_way.is_empty()) else { return };
        let first = std::mem::take(&mut line.first);
        if line.waiting.is_empty() {
            self.people.remove(&profile);
        } else if first {
            line.not_before = None;
            self.leaving.push_back(profile);
        } else if let Some(at) = line.not_before {
            self.later.insert((at, profile), ());
        } else {
            self.ready.push_back(profile);
        }
    }

    /// How many people could leave now.
    pub(crate) fn ready(&mut self, now: Instant) -> usize {
        self.fall_due(now);
        self.ready.len() + self.leaving.len()
    }

    fn fall_due(&mut self, now: Instant) {
        while self.next_at().is_some_and(|at| at <= now) {
            self.falls_due();
        }
    }

    /// The first of those that wait for a retry is ready.
    fn falls_due(&mut self) -> bool {
        let Some(((_, profile), ())) = self.later.pop_first() else { return false };
        if let Some(line) = self.people.get_mut(&profile) {
            line.not_before = None;
        }
        self.ready.push_back(profile);
        true
    }

    /// The next one to send; its person is under way until [`Queue::done`] or [`Queue::again`].
    pub(crate) fn take(&mut self, now: Instant) -> Option<Waiting> {
        self.fall_due(now);
        let profile = self.leaving.pop_front().or_else(|| self.ready.pop_front())?;
        let line = self.people.get_mut(&profile)?;
        let waiting = line.waiting.pop_front()?;
        line.under_way.push(waiting.queued.key);
        Some(waiting)
    }

    /// Her messages before those of others, now. The look through the window costs microseconds.
    pub(crate) fn first(&mut self, profile: ProfileId) {
        let profile = self.now(profile);
        let Some(line) = self.people.get_mut(&profile) else { return };
        if line.under_way.is_empty() && self.leaving.contains(&profile) {
            return;
        }
        line.first = true;
        if line.under_way.is_empty() {
            let not_before = line.not_before;
            self.take_out(profile, not_before);
            self.settle(profile);
        }
    }

    /// A delivery has ended; the person's next one is ready.
    pub(crate) fn done(&mut self, waiting: &Waiting) {
        if let Some(profile) = self.known.remove(&waiting.queued.key) {
            self.ended(profile, waiting.queued.key, None);
        }
    }

    /// The same one again, at an instant.
    pub(crate) fn again(&mut self, waiting: Waiting, at: Instant) {
        if let Some(profile) = self.known.get(&waiting.queued.key).copied() {
            self.ended(profile, waiting.queued.key, Some((waiting, at)));
        }
    }

    fn ended(&mut self, profile: ProfileId, key: QueueKey, again: Option<(Waiting, Instant)>) {
        let Some(line) = self.people.get_mut(&profile) else { return };
        line.under_way.retain(|under_way| *under_way != key);
        if let Some((waiting, at)) = again {
            line.not_before = line.not_before.max(Some(at));
            line.insert(waiting);
        }
        self.settle(profile);
    }

    /// An operator wants everything tried now.
    pub(crate) fn hurry(&mut self) {
        while self.falls_due() {}
        self.people.values_mut().for_each(|line| line.not_before = None);
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

    use proptest::prelude::*;

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

    /// What happens to a queue in which people turn out to be one.
    #[derive(Clone, Debug)]
    enum Happens {
        Cause(usize),
        Join(usize, usize),
        JoinIsKnown,
        PageIsAsked,
        PageComes,
        Take,
        Ends(usize),
        Again(usize, u64),
        First(usize),
        Passes(u64),
    }

    const PEOPLE: usize = 5;

    fn happens() -> impl Strategy<Value = Happens> {
        prop_oneof![
            4 => (0..PEOPLE).prop_map(Happens::Cause),
            1 => (0..PEOPLE, 0..PEOPLE).prop_map(|(a, b)| Happens::Join(a, b)),
            1 => Just(Happens::JoinIsKnown),
            1 => Just(Happens::PageIsAsked),
            2 => Just(Happens::PageComes),
            4 => Just(Happens::Take),
            3 => (0..8usize).prop_map(Happens::Ends),
            1 => (0..8usize, 0..5u64).prop_map(|(nth, seconds)| Happens::Again(nth, seconds)),
            1 => (0..PEOPLE).prop_map(Happens::First),
            1 => (0..3u64).prop_map(Happens::Passes),
        ]
    }

    /// The house: whose each id is, and what waits.
    #[derive(Default)]
    struct Rows {
        owner: HashMap<ProfileId, ProfileId>,
        waiting: BTreeMap<QueueKey, Queued>,
        /// A join that the fold is at: pages and offers do not say so yet.
        under_way: Option<(ProfileId, ProfileId)>,
    }

    impl Rows {
        fn owner(&self, profile: ProfileId) -> ProfileId {
            self.owner.get(&profile).map_or(profile, |owner| self.owner(*owner))
        }

        /// Who she will have been.
        fn in_the_end(&self, profile: ProfileId) -> ProfileId {
            let owner = self.owner(profile);
            self.under_way.filter(|(absorbed, _)| *absorbed == owner).map_or(owner, |(_, survivor)| survivor)
        }

        fn join_is_known(&mut self, queue: &mut Queue) {
            if let Some((absorbed, survivor)) = self.under_way.take() {
                self.owner.insert(absorbed, survivor);
                queue.join(absorbed, survivor, true);
            }
        }

        fn page(&self, after: Option<QueueKey>) -> Vec<Queued> {
            let rows = self.waiting.range((after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded));
            rows.map(|(key, queued)| Queued { profile: self.owner(key.profile), ..queued.clone() }).collect()
        }
    }

    proptest! {
        /// Whoever was joined with whom, and whenever: nothing of hers leaves while something of hers is under way or waits that was
        /// caused earlier, and everything leaves once.
        #[test]
        fn messages_of_one_person_do_not_overtake_each_other_whoever_she_was(story in prop::collection::vec(happens(), 1..120)) {
            let mut now = Instant::now();
            let (mut queue, mut rows) = (Queue::new(), Rows::default());
            let (mut page, mut under_way) = (None, Vec::new());
            let end = [Happens::JoinIsKnown, Happens::PageComes, Happens::PageIsAsked, Happens::PageComes];
            let drains = (0..500).flat_map(|_| [Happens::Take, Happens::Ends(0), Happens::Passes(3)]);
            for (position, happens) in story.into_iter().chain(end).chain(drains).enumerate() {
                match happens {
                    Happens::Cause(person) => {
                        let queued = delivery(position as u64, person as u64);
                        rows.waiting.insert(queued.key, queued.clone());
                        queue.offer(Queued { profile: rows.owner(queued.profile), ..queued }, now);
                    }
                    Happens::Join(absorbed, survivor) => {
                        let of = |person: usize| rows.owner(ProfileId(person as u128));
                        let (absorbed, survivor) = (of(absorbed), of(survivor));
                        if absorbed != survivor && rows.under_way.is_none() {
                            rows.under_way = Some((absorbed, survivor));
                            queue.join(absorbed, survivor, false);
                        }
                    }
                    Happens::JoinIsKnown => rows.join_is_known(&mut queue),
                    Happens::PageIsAsked if page.is_none() => page = queue.wants_page(now).map(|after| (rows.page(after), now)),
                    Happens::PageComes => page.take().into_iter().for_each(|(rows, asked)| queue.take_in(rows, asked)),
                    Happens::Take => {
                        let Some(waiting) = queue.take(now) else { continue };
                        let (key, owner) = (waiting.queued.key, rows.in_the_end(waiting.queued.key.profile));
                        let is_hers = |other: &&QueueKey| rows.in_the_end(other.profile) == owner;
                        prop_assert!(rows.waiting.contains_key(&key), "once");
                        prop_assert_eq!(rows.waiting.range(..key).map(|(key, _)| key).find(is_hers), None, "in order");
                        let hers = under_way.iter().map(|waiting: &Waiting| &waiting.queued.key).find(is_hers);
                        prop_assert_eq!(hers, None, "one at a time");
                        under_way.push(waiting);
                    }
                    Happens::Ends(nth) if !under_way.is_empty() => {
                        let waiting = under_way.swap_remove(nth % under_way.len());
                        rows.waiting.remove(&waiting.queued.key);
                        queue.done(&waiting);
                    }
                    Happens::Again(nth, seconds) if !under_way.is_empty() => {
                        let waiting = under_way.swap_remove(nth % under_way.len());
                        queue.again(waiting, now + Duration::from_secs(seconds));
                    }
                    Happens::First(person) => queue.first(rows.owner(ProfileId(person as u128))),
                    Happens::Passes(seconds) => now += Duration::from_secs(seconds),
                    Happens::PageIsAsked | Happens::Ends(_) | Happens::Again(..) => {}
                }
            }
            prop_assert!(rows.waiting.is_empty() && queue.len() == 0 && queue.people.is_empty(), "everything has left");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_one_cause_queued_under_two_ids_leaves_in_the_order_of_its_ordinals() {
        let now = Instant::now();
        let mut queue = Queue::new();
        let of = |profile: u128, ordinal| {
            let key = QueueKey { position: 7, profile: ProfileId(profile), ordinal };
            Queued { key, id: DeliveryId(profile), profile: ProfileId(1), destination: "tool".into() }
        };
        // The table has them by id: she came in under the younger one.
        queue.take_in(vec![of(1, 1), of(2, 0)], now);
        let mut order = Vec::new();
        while let Some(waiting) = queue.take(now) {
            order.push(waiting.queued.key.ordinal);
            queue.done(&waiting);
        }
        assert_eq!(order, [0, 1]);
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
