//! People with more events than any person makes: a robot, a till's own account. They must not slow the others, and are reported.
//!
//! Sketch: what is kept of a person is bounded (10,000 entries a condition), but reading it all at each of her events takes
//! milliseconds on the one thread that folds everybody. So past [`ENTRIES_PER_EVENT`] entries she is not evaluated at each event: at
//! every n-th, so that an event pays for that many entries, and within [`WAIT`] in any case. Whether an event is such a one follows
//! from what is known of her, so that a replay does the same.

use std::collections::HashMap;

use jumelle_model::ids::ProfileId;
use jumelle_model::time::{Span, Timestamp};
use jumelle_store::Result;
use parking_lot::Mutex;

use crate::fold::Fold;

/// Entries that are read for one event, on average, at most.
const ENTRIES_PER_EVENT: u64 = 256;
/// How long a heavy person's segments may be behind her events.
const WAIT: Span = Span(1_000_000);
/// People whose events are counted at a time.
const COUNTED_MAX: usize = 1_024;
/// Events of a day (UTC) from which on a person is called heavy.
pub const HEAVY_EVENTS_MIN: u64 = 10_000;
const DAY_US: i64 = 86_400_000_000;

impl Fold {
    /// Whether her evaluation waits for a later event, or for a second from now.
    pub(crate) fn may_wait(&mut self, id: ProfileId) -> Result<bool> {
        let Some(person) = self.shared.people.get(id)? else { return Ok(false) };
        let every = person.known.states.entries() as u64 / ENTRIES_PER_EVENT;
        if every < 2 || person.known.events.is_multiple_of(every) {
            return Ok(false);
        }
        let before = person.due;
        drop(person);
        let due = self.clock + WAIT;
        if before > due {
            self.set_due(id, before, due)?;
        }
        Ok(true)
    }
}

/// Who has had the most events today, in bounded memory: each count is at most as high as the truth, and short of it by at most
/// one 1,024th of all events (Misra and Gries, "Finding repeated elements", 1982). Since the start of the process.
#[derive(Default)]
pub struct Heavy(Mutex<Today>);

#[derive(Default)]
struct Today {
    day: i64,
    counts: HashMap<ProfileId, u64>,
}

impl Heavy {
    /// One more event of a person.
    pub(crate) fn note(&self, person: ProfileId, at: Timestamp) {
        let mut today = self.0.lock();
        let day = at.0.div_euclid(DAY_US);
        if day > today.day {
            *today = Today { day, counts: HashMap::new() };
        }
        if let Some(count) = today.counts.get_mut(&person) {
            *count += 1;
        } else if today.counts.len() < COUNTED_MAX {
            today.counts.insert(person, 1);
        } else {
            // Everybody loses one, and so does the newcomer: each such round was paid for by as many events.
            today.counts.retain(|_, count| {
                *count -= 1;
                *count > 0
            });
        }
    }

    /// People with [`HEAVY_EVENTS_MIN`] events or more today, most first.
    pub fn people(&self, now: Timestamp) -> Vec<(ProfileId, u64)> {
        let today = self.0.lock();
        if today.day != now.0.div_euclid(DAY_US) {
            return Vec::new();
        }
        let mut heavy: Vec<_> =
            today.counts.iter().map(|(id, count)| (*id, *count)).filter(|(_, count)| *count >= HEAVY_EVENTS_MIN).collect();
        heavy.sort_by_key(|(id, count)| (std::cmp::Reverse(*count), *id));
        heavy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_robot_among_a_million_others_is_found_and_nobody_else() {
        let heavy = Heavy::default();
        let at = Timestamp(5 * DAY_US);
        for n in 0..1_000_000 {
            heavy.note(ProfileId(1_000 + n % 300_000), at);
            if n % 20 == 0 {
                heavy.note(ProfileId(1), at);
            }
        }
        let found = heavy.people(at);
        assert_eq!(found.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [ProfileId(1)]);
        let short = 50_000 - found[0].1;
        assert!(short <= 1_050_000 / 1_024, "short by {short}");
        assert_eq!(heavy.people(Timestamp(6 * DAY_US)), []);
        heavy.note(ProfileId(2), Timestamp(6 * DAY_US));
        assert_eq!(heavy.people(at), [], "a new day begins at nothing");
    }
}
