//! How many events came to less than they were ([`crate::door`]): in one block, and on each day.
//!
//! Counts, nobody's name; like [`crate::days`] they outlive an erasure. A row has at most [`COUNTS_MAX`] entries of about 60 bytes.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;
use jumelle_collect::Collected;
use jumelle_model::workspace::reduce::Reduction;
use jumelle_store::{Entry, ReducedCount, Result, Table};
use serde::{Deserialize, Serialize};

use crate::committer::event_entry;
use crate::door::{Kept, Reduced};
use crate::shared::Shared;

/// Different source × event × purpose × reduction counted per day; more are counted as other events of theirs, then not at all.
const COUNTS_MAX: usize = 5_000;

/// What is reduced in one block. It stands at the block's end and sorted: the order within a request would tell a visit.
#[derive(Default)]
pub(crate) struct Block {
    counts: BTreeMap<(Arc<str>, String, String, Reduction), u64>,
    pub(crate) of_nobody: Vec<(Arc<str>, Collected)>,
}

impl Block {
    pub(crate) fn add(&mut self, one: &Reduced) {
        let key = (one.source.clone(), one.event.clone(), one.purpose.clone(), one.to);
        *self.counts.entry(key).or_default() += 1;
        if let Kept::OfNobody(event) = &one.kept {
            self.of_nobody.push((one.source.clone(), event.clone()));
        }
    }

    /// The entries. Of what is dropped there is none.
    pub(crate) fn entries(&mut self) -> impl Iterator<Item = Entry<'_>> {
        self.of_nobody.sort_by(|(_, one), (_, other)| (one.time, &one.body).cmp(&(other.time, &other.body)));
        // The beginning of an hour in the past is never later than its arrival.
        let of_nobody = self.of_nobody.iter().map(|(source, event)| event_entry(source, event, event.time));
        let kept = self.counts.iter().filter(|((.., to), _)| *to != Reduction::Dropped);
        of_nobody.chain(kept.map(|((source, event, purpose, to), events)| {
            Entry::Reduced(ReducedCount { source, event, purpose, to: *to, events: *events })
        }))
    }

    /// Into the metrics, once it is on disk.
    pub(crate) fn count(&self) {
        for ((source, _, purpose, to), events) in &self.counts {
            let labels = [("source", source.to_string()), ("purpose", purpose.clone()), ("to", to.as_str().to_owned())];
            metrics::counter!("jumelle_reduced_events_total", &labels).increment(*events);
        }
    }
}

/// One day.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ReducedDay {
    /// By source, event, purpose and what they came to.
    pub counts: BTreeMap<(String, String, String, Reduction), u64>,
}

impl ReducedDay {
    pub(crate) fn decode(bytes: &[u8]) -> Option<ReducedDay> {
        postcard::from_bytes(bytes).ok()
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        // Every part can be written; a Vec does not run out.
        postcard::to_allocvec(self).unwrap_or_default()
    }

    pub(crate) fn add(&mut self, count: &ReducedCount<'_>) {
        let key = |event: &str| (count.source.to_owned(), event.to_owned(), count.purpose.to_owned(), count.to);
        let mut at = key(count.event);
        if self.counts.len() >= COUNTS_MAX && !self.counts.contains_key(&at) {
            at = key(jumelle_collect::reduced::OTHER_EVENT);
            if !self.counts.contains_key(&at) && self.counts.len() >= 2 * COUNTS_MAX {
                return;
            }
        }
        *self.counts.entry(at).or_default() += count.events;
    }
}

impl Shared {
    /// The newest `limit` days on which anything was reduced, oldest first.
    pub fn reduced_days(&self, limit: usize) -> Result<Vec<(Date, ReducedDay)>> {
        self.by_day(Table::Reduced, limit, ReducedDay::decode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_a_bound_and_loses_no_count_at_it() {
        let mut day = ReducedDay::default();
        for n in 0..COUNTS_MAX + 10 {
            let (event, purpose) = (format!("e{n}"), "analytics");
            day.add(&ReducedCount { source: "site", event: &event, purpose, to: Reduction::Counted, events: 2 });
        }
        assert_eq!(day.counts.len(), COUNTS_MAX + 1);
        assert_eq!(day.counts.values().sum::<u64>(), 2 * (COUNTS_MAX as u64 + 10));
        assert_eq!(ReducedDay::decode(&day.encode()), Some(day));
    }
}
