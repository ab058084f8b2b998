//! What went through in the last hour, minute by minute: for people who watch, in memory, since the start of the process.

use std::collections::{BTreeMap, VecDeque};

use jumelle_model::time::Timestamp;
use parking_lot::Mutex;

/// Minutes kept.
pub const MINUTES: usize = 60;
/// Minutes shown right after the start.
const MINUTES_SHOWN_MIN: i64 = 10;
const MINUTE_US: i64 = 60_000_000;

/// One minute of the wall's clock.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Minute {
    /// Its beginning.
    pub at: Timestamp,
    /// Events folded, by source.
    pub events: BTreeMap<String, u64>,
    /// Items put in quarantine.
    pub quarantined: u64,
    /// By destination.
    pub deliveries: BTreeMap<String, Outcomes>,
}

/// What became of a destination's messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Outcomes {
    /// It took them.
    pub sent: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Given up.
    pub refused: u64,
    /// The gate held them back.
    pub blocked: u64,
    /// It reports that they reached somebody.
    pub delivered: u64,
    /// It reports that they did not.
    pub bounced: u64,
}

/// The last minutes.
pub struct Flow {
    /// The minute since which it counts.
    began: Mutex<Timestamp>,
    minutes: Mutex<VecDeque<Minute>>,
    last: Mutex<BTreeMap<String, Timestamp>>,
}

impl Default for Flow {
    fn default() -> Flow {
        Flow { began: Mutex::new(this_minute()), minutes: Mutex::default(), last: Mutex::default() }
    }
}

fn this_minute() -> Timestamp {
    Timestamp(Timestamp::now().0.div_euclid(MINUTE_US) * MINUTE_US)
}

impl Flow {
    /// Changes the minute that the wall's clock is in.
    pub(crate) fn now(&self, change: impl FnOnce(&mut Minute)) {
        let minute = this_minute();
        let mut minutes = self.minutes.lock();
        // A clock set back goes on in the youngest minute.
        if minutes.back().is_none_or(|last| last.at < minute) {
            minutes.push_back(Minute { at: minute, ..Minute::default() });
            if minutes.len() > MINUTES {
                minutes.pop_front();
            }
        }
        if let Some(last) = minutes.back_mut() {
            change(last);
        }
    }

    pub(crate) fn heard(&self, source: &str, at: Timestamp) {
        let mut last = self.last.lock();
        match last.get_mut(source) {
            Some(known) => *known = at.max(*known),
            None => {
                last.insert(source.to_owned(), at);
            }
        }
    }

    pub(crate) fn outcome(&self, destination: &str, count: impl FnOnce(&mut Outcomes)) {
        self.now(|minute| count(minute.deliveries.entry(destination.to_owned()).or_default()));
    }

    /// Begins anew: what went through so far was history being loaded, not the hour.
    pub fn clear(&self) {
        *self.began.lock() = this_minute();
        self.minutes.lock().clear();
    }

    /// The last hour, or what there is of it since the start ([`MINUTES_SHOWN_MIN`] at least), oldest first, with the minutes in
    /// which nothing went through.
    pub fn hour(&self) -> Vec<Minute> {
        let now = this_minute();
        let since_began = (now.0 - self.began.lock().0) / MINUTE_US + 1;
        let minutes = self.minutes.lock();
        (0..since_began.clamp(MINUTES_SHOWN_MIN, MINUTES as i64))
            .rev()
            .map(|ago| {
                let at = Timestamp(now.0 - ago * MINUTE_US);
                let known = minutes.iter().find(|minute| minute.at == at).cloned();
                known.unwrap_or(Minute { at, ..Minute::default() })
            })
            .collect()
    }

    /// When the last event of each source was folded, since the start.
    pub fn last_events(&self) -> BTreeMap<String, Timestamp> {
        self.last.lock().clone()
    }
}
