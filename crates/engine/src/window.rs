//! Message ids seen lately, so that the same one counts once (DESIGN §8.6).

use std::collections::{HashMap, VecDeque};

use jumelle_model::ids::Position;
use jumelle_model::time::{Span, Timestamp};
use jumelle_store::History;

/// How long and how many.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WindowLimits {
    /// Ids older than this are forgotten. Default 24 h.
    pub span: Span,
    /// And when there are more than this, the oldest hours. Default 10 million.
    pub ids: usize,
}

impl Default for WindowLimits {
    fn default() -> WindowLimits {
        WindowLimits { span: Span(24 * 3_600_000_000), ids: 10_000_000 }
    }
}

const HOUR: i64 = 3_600_000_000;

/// 64-bit fingerprints in hourly sets. A hit is a question, not an answer: the caller compares with the history entry.
pub struct Window {
    limits: WindowLimits,
    hours: VecDeque<(i64, HashMap<u64, Position>)>,
    len: usize,
}

impl Window {
    /// Knows nothing yet.
    pub fn empty(limits: WindowLimits) -> Window {
        Window { limits, hours: VecDeque::new(), len: 0 }
    }

    /// What it was made with.
    pub fn limits(&self) -> WindowLimits {
        self.limits
    }

    /// Whether it knows nothing.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Rebuilt from the history.
    pub fn rebuild(history: &History, limits: WindowLimits, end: Timestamp) -> jumelle_store::Result<Window> {
        let mut window = Window::empty(limits);
        let mut recent = history.recent_fingerprints(end - limits.span, limits.ids)?;
        recent.reverse();
        for (first, received, fingerprints) in recent {
            for (offset, fingerprint) in fingerprints.into_iter().enumerate().filter(|(_, fingerprint)| *fingerprint != 0) {
                window.insert(fingerprint, Position(first.0 + offset as u64), received);
            }
        }
        Ok(window)
    }

    /// Where an id with this fingerprint was last seen, newest hour first.
    pub fn find(&self, fingerprint: u64) -> Option<Position> {
        self.hours.iter().rev().find_map(|(_, ids)| ids.get(&fingerprint).copied())
    }

    /// Keeps one.
    pub fn insert(&mut self, fingerprint: u64, position: Position, received: Timestamp) {
        let hour = received.0.div_euclid(HOUR);
        if self.hours.back().is_none_or(|(newest, _)| *newest < hour) {
            self.hours.push_back((hour, HashMap::new()));
            self.forget(received);
        }
        if let Some((_, ids)) = self.hours.back_mut() {
            self.len += usize::from(ids.insert(fingerprint, position).is_none());
        }
        if self.len > self.limits.ids && self.hours.len() > 1 {
            self.drop_oldest();
        }
    }

    fn forget(&mut self, now: Timestamp) {
        let oldest = (now - self.limits.span).0.div_euclid(HOUR);
        while self.hours.front().is_some_and(|(hour, _)| *hour < oldest) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((_, ids)) = self.hours.pop_front() {
            self.len -= ids.len();
        }
    }
}
