//! What waits for one destination about one person.

use std::collections::VecDeque;

use jumelle_model::ids::ProfileId;
use tokio::time::Instant;

use crate::house::{QueueKey, Queued};

/// A delivery with its attempts so far.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) queued: Queued,
    pub(crate) attempts: u32,
    pub(crate) first_attempt: Option<Instant>,
}

/// One person's messages, in the order of their causes: the next one does not begin before the last has ended.
#[derive(Default)]
pub(crate) struct Line {
    pub(crate) waiting: VecDeque<Waiting>,
    /// One at a time; at a join of two people there may be one of each.
    pub(crate) under_way: Vec<QueueKey>,
    /// The first one is to be tried again, and not before.
    pub(crate) not_before: Option<Instant>,
    /// To go before others when nothing is under way.
    pub(crate) first: bool,
}

/// Order in a line: what one cause queued for two who turned out to be one is ordered by the ordinals that they share.
fn place(waiting: &Waiting) -> (u64, u32, ProfileId) {
    let QueueKey { position, profile, ordinal } = waiting.queued.key;
    (position, ordinal, profile)
}

impl Line {
    pub(crate) fn insert(&mut self, waiting: Waiting) {
        // Nearly always the last.
        let at = self.waiting.partition_point(|other| place(other) < place(&waiting));
        self.waiting.insert(at, waiting);
    }

    /// Takes in another line. A retry is waited for if what is tried again comes first.
    pub(crate) fn merge(&mut self, mut other: Line) {
        let first = |line: &Line| line.waiting.front().map(place);
        self.not_before = match (first(self), first(&other)) {
            (Some(mine), Some(others)) if others < mine => other.not_before,
            (None, Some(_)) => other.not_before,
            _ => self.not_before,
        };
        self.first |= other.first;
        self.under_way.append(&mut other.under_way);
        self.waiting.append(&mut other.waiting);
        self.waiting.make_contiguous().sort_by_key(place);
    }
}
