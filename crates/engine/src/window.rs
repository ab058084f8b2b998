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
    /// And when there are more than this, the oldest ones. Default 10 million.
    pub ids: usize,
}

impl WindowLimits {
    /// Ids of one part: as many as fill a hash map of a power of two, so that a full part is a full map.
    fn part_ids(self) -> usize {
        let share = (self.ids / PARTS).max(1);
        let slots = (share * 8 / 7).checked_ilog2().map_or(1, |log| 1usize << log);
        if slots < 16 { share } else { slots / 8 * 7 }
    }
}

impl Default for WindowLimits {
    fn default() -> WindowLimits {
        WindowLimits { span: Span(24 * 3_600_000_000), ids: 10_000_000 }
    }
}

const HOUR: i64 = 3_600_000_000;
/// A full window has so many parts at least; the oldest is forgotten whole. Whoever is not found was looked for in each.
const PARTS: usize = 4;

/// 64-bit fingerprints, in a part for each hour, and in several for a busy one. A hit is a question, not an answer: the caller
/// compares with the history entry.
pub struct Window {
    limits: WindowLimits,
    parts: VecDeque<Part>,
    len: usize,
}

struct Part {
    hour: i64,
    ids: HashMap<u64, Position>,
}

impl Window {
    /// Knows nothing yet.
    pub fn empty(limits: WindowLimits) -> Window {
        Window { limits, parts: VecDeque::new(), len: 0 }
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

    /// Where an id with this fingerprint was last seen, newest part first.
    pub fn find(&self, fingerprint: u64) -> Option<Position> {
        self.parts.iter().rev().find_map(|part| part.ids.get(&fingerprint).copied())
    }

    /// Keeps one.
    pub fn insert(&mut self, fingerprint: u64, position: Position, received: Timestamp) {
        let hour = received.0.div_euclid(HOUR);
        let full = self.parts.back().is_some_and(|newest| newest.ids.len() >= self.limits.part_ids());
        if full || self.parts.back().is_none_or(|newest| newest.hour < hour) {
            // Behind a full part comes another one, which need not grow while somebody waits.
            let ids = HashMap::with_capacity(if full { self.limits.part_ids() } else { 0 });
            self.parts.push_back(Part { hour, ids });
            self.forget(received);
        }
        if let Some(newest) = self.parts.back_mut() {
            self.len += usize::from(newest.ids.insert(fingerprint, position).is_none());
        }
        if self.len > self.limits.ids && self.parts.len() > 1 {
            self.drop_oldest();
        }
    }

    fn forget(&mut self, now: Timestamp) {
        let oldest = (now - self.limits.span).0.div_euclid(HOUR);
        while self.parts.front().is_some_and(|part| part.hour < oldest) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.parts.pop_front() {
            self.len -= oldest.ids.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_hour_stays_within_the_bound_and_forgets_its_oldest() {
        for ids in [1, 3, 50, 1_000, 10_000] {
            let limits = WindowLimits { span: Span(24 * HOUR), ids };
            let mut window = Window::empty(limits);
            for n in 0..5 * ids as u64 {
                window.insert(n, Position(n), Timestamp(n as i64));
                assert!(window.len <= ids, "{} of {ids} after {n}", window.len);
            }
            // The bound less the part that has just been forgotten.
            let kept = window.len as u64;
            assert!(kept as usize >= ids - ids / PARTS - 1, "{kept} of {ids}");
            let end = 5 * ids as u64;
            assert!((end - kept..end).all(|n| window.find(n) == Some(Position(n))));
            assert!((0..end - kept).all(|n| window.find(n).is_none()));
        }
    }

    #[test]
    fn hours_go_by() {
        let mut window = Window::empty(WindowLimits { span: Span(2 * HOUR), ids: 100 });
        for hour in 0..5 {
            window.insert(hour as u64, Position(hour as u64), Timestamp(hour * HOUR));
        }
        let known: Vec<u64> = (0..5).filter(|n| window.find(*n).is_some()).collect();
        assert_eq!((known, window.len), (vec![2, 3, 4], 3));
    }
}
