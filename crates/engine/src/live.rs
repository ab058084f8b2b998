//! What each entry of the history did, for people who watch: the last ones in memory, and a stream of those to come.
//!
//! Kept out of the way of the data: at most [`RECORDED_PER_S`] entries a second are looked at so closely, the others are counted
//! as skipped; nothing here is part of the tables.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use jumelle_model::ids::{Position, ProfileId};
use jumelle_model::time::Timestamp;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::sync::broadcast;

/// Entries kept.
pub const RECENT_MAX: usize = 5_000;
/// Entries recorded per second; the rest is counted.
pub const RECORDED_PER_S: u32 = 500;
const ENTRY: u64 = 1_000_000;
const FULL: u64 = RECORDED_PER_S as u64 * ENTRY;
/// Entries that a slow watcher may be behind before he skips some.
const BEHIND_MAX: usize = 1_024;
/// Traits and bytes of a body shown.
const TRAITS_MAX: usize = 50;
const BODY_BYTES_MAX: usize = 32 * 1024;

/// What an entry did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Effect {
    /// Its place.
    pub position: u64,
    /// When it arrived.
    pub received: Timestamp,
    /// When it happened.
    pub time: Timestamp,
    /// Source key.
    pub source: Option<String>,
    /// event, quarantined, result, timer, erased, apply.
    pub kind: &'static str,
    /// track, identify, page, screen, group, alias.
    #[serde(rename = "type")]
    pub call: Option<&'static str>,
    /// Name of a tracked event, page or screen.
    pub name: Option<String>,
    /// The sender's id of it.
    pub message_id: Option<String>,
    /// Whose it is.
    pub profile: Option<ProfileId>,
    /// Her most speaking name.
    pub label: Option<String>,
    /// She was not known before.
    pub created: bool,
    /// People who turned out to be her.
    pub joined: Vec<ProfileId>,
    /// Identifiers it named.
    pub identifiers: Vec<Named>,
    /// Joins refused.
    pub refused: Vec<String>,
    /// Traits it set.
    pub traits: Map<String, Value>,
    /// Segments entered.
    pub entered: Vec<String>,
    /// Segments left.
    pub left: Vec<String>,
    /// Choices it carried.
    pub consents: Vec<Value>,
    /// Deliveries queued or held back.
    pub deliveries: Vec<Value>,
    /// Why it was not understood.
    pub problem: Option<Value>,
    /// What became of a delivery.
    pub result: Option<Value>,
    /// The sender's JSON; parsed when it is looked at.
    #[serde(skip)]
    body: String,
}

/// An identifier that an entry named.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Named {
    /// Namespace.
    pub namespace: String,
    /// Value.
    pub value: String,
    /// It was not hers before.
    pub new: bool,
}

/// What a watcher hears.
#[derive(Clone, Debug)]
pub enum Heard {
    /// An entry and what it did.
    Effect(Arc<Effect>),
    /// So many were not recorded, because there were too many.
    Skipped(u64),
}

/// The last effects, and those who watch.
pub struct Live {
    recent: Mutex<VecDeque<Arc<Effect>>>,
    watchers: broadcast::Sender<Heard>,
}

/// The fold's side: how much may still be recorded. It fills up evenly, so that after a burst what comes next is seen again.
pub(crate) struct Recorder {
    filled: Instant,
    /// In millionths of an entry.
    left: u64,
    skipped: u64,
}

impl Default for Live {
    fn default() -> Live {
        Live { recent: Mutex::default(), watchers: broadcast::Sender::new(BEHIND_MAX) }
    }
}

impl Default for Recorder {
    fn default() -> Recorder {
        Recorder { filled: Instant::now(), left: FULL, skipped: 0 }
    }
}

impl Effect {
    pub(crate) fn new(kind: &'static str, position: Position, received: Timestamp) -> Effect {
        Effect { kind, position: position.0, received, time: received, ..Effect::default() }
    }

    pub(crate) fn keep_body(&mut self, body: &str) {
        if body.len() <= BODY_BYTES_MAX {
            self.body = body.to_owned();
        }
    }

    pub(crate) fn set_trait(&mut self, key: &str, json: &str) {
        if self.traits.len() < TRAITS_MAX {
            self.traits.insert(key.to_owned(), serde_json::from_str(json).unwrap_or(Value::Null));
        }
    }

    /// It moved something: somebody new, joined, in or out of a segment, a message.
    pub(crate) fn did_something(&self) -> bool {
        !self.entered.is_empty() || !self.left.is_empty() || !self.deliveries.is_empty()
    }

    /// As the API gives it.
    pub fn json(&self) -> Value {
        let mut json = json!(self);
        json["body"] = serde_json::from_str(&self.body).unwrap_or_else(|_| Value::from(self.body.as_str()));
        json
    }
}

impl Recorder {
    /// Whether the next entry may be recorded.
    pub(crate) fn allows(&mut self, live: &Live) -> bool {
        let now = Instant::now();
        let elapsed_us = u64::try_from((now - self.filled).as_micros()).unwrap_or(u64::MAX);
        self.filled = now;
        self.left = self.left.saturating_add(elapsed_us.saturating_mul(u64::from(RECORDED_PER_S))).min(FULL);
        let Some(left) = self.left.checked_sub(ENTRY) else {
            self.skipped += 1;
            return false;
        };
        self.left = left;
        if self.skipped > 0 {
            // Nobody watches: nobody to tell.
            let _ = live.watchers.send(Heard::Skipped(std::mem::take(&mut self.skipped)));
        }
        true
    }
}

impl Live {
    pub(crate) fn publish(&self, effect: Effect) {
        let effect = Arc::new(effect);
        let mut recent = self.recent.lock();
        if recent.len() >= RECENT_MAX {
            recent.pop_front();
        }
        recent.push_back(effect.clone());
        // Under the lock, so that a watcher who begins now sees each effect once. Nobody watches: nobody to tell.
        let _ = self.watchers.send(Heard::Effect(effect));
    }

    /// The last `recent` effects, oldest first, and all that come after them.
    pub fn watch(&self, recent: usize) -> (Vec<Arc<Effect>>, broadcast::Receiver<Heard>) {
        let kept = self.recent.lock();
        let first = kept.len().saturating_sub(recent);
        (kept.range(first..).cloned().collect(), self.watchers.subscribe())
    }

    /// What the entry at a position did, while it is remembered.
    pub fn at(&self, position: Position) -> Option<Arc<Effect>> {
        let recent = self.recent.lock();
        recent.iter().rev().find(|effect| effect.position == position.0 && effect.kind != "timer").cloned()
    }

    /// Forgets what it remembers of people who were erased.
    pub(crate) fn forget(&self, ids: &[ProfileId]) {
        let gone = |effect: &Arc<Effect>| effect.profile.is_some_and(|profile| ids.contains(&profile));
        self.recent.lock().retain(|effect| !gone(effect));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_kept_and_a_watcher_misses_none() {
        let live = Live::default();
        for position in 0..RECENT_MAX as u64 + 10 {
            live.publish(Effect::new("event", Position(position), Timestamp(0)));
        }
        assert!(live.at(Position(9)).is_none());
        assert!(live.at(Position(10)).is_some());
        let (recent, mut stream) = live.watch(3);
        assert_eq!(recent.len(), 3);
        live.publish(Effect::new("event", Position(99_999), Timestamp(0)));
        assert!(matches!(stream.try_recv(), Ok(Heard::Effect(effect)) if effect.position == 99_999));
    }

    #[test]
    fn past_the_rate_entries_are_counted_and_watchers_are_told() {
        let live = Live::default();
        let (_, mut stream) = live.watch(0);
        let mut recorder = Recorder::default();
        let asked = u64::from(RECORDED_PER_S) * 3;
        let recorded = (0..asked).filter(|_| recorder.allows(&live)).count() as u64;
        let mut told = 0;
        while let Ok(Heard::Skipped(count)) = stream.try_recv() {
            told += count;
        }
        assert!(recorded >= u64::from(RECORDED_PER_S));
        assert_eq!(recorded + recorder.skipped + told, asked);
    }
}
