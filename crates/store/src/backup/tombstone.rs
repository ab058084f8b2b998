//! What remains of a person who was erased, and how it takes her out of blocks that were copied before.

use std::collections::{BTreeMap, BTreeSet};

use jumelle_model::ids::{Position, ProfileId};
use serde::{Deserialize, Serialize};

use crate::block::{Block, BlockBuilder};
use crate::entry::{Entry, Notice, Record};

/// One erasure.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Tombstone {
    /// Of the entry that says so.
    pub position: Position,
    /// Her id at that time.
    pub profile: ProfileId,
    /// The identifiers' keys (128-bit hashes) that were hers.
    pub keys: Vec<u128>,
    /// Where her events were, in order.
    pub events: Vec<u64>,
    /// Who still has to be told, as the entry says now: what a tool had received goes once the tool knows. `None`: the entry is
    /// not in this history (it was restored to an instant before it).
    pub notices: Option<Vec<Notice>>,
}

/// Erasures, ready to be applied to blocks.
#[derive(Default)]
pub(crate) struct Erasing<'a> {
    gone: BTreeSet<u64>,
    notices: BTreeMap<u64, &'a [Notice]>,
}

impl<'a> Erasing<'a> {
    pub(crate) fn new(tombstones: impl IntoIterator<Item = &'a Tombstone>) -> Erasing<'a> {
        let mut erasing = Erasing::default();
        for tombstone in tombstones {
            erasing.gone.extend(&tombstone.events);
            if let Some(notices) = &tombstone.notices {
                erasing.notices.insert(tombstone.position.0, notices);
            }
        }
        erasing
    }

    /// Whether it may change an entry of this range.
    pub(crate) fn touches(&self, first: Position, end: Position) -> bool {
        self.gone.range(first.0..end.0).next().is_some() || self.notices.range(first.0..end.0).next().is_some()
    }

    /// The block without what is erased; `None`: nothing of it was left in there.
    pub(crate) fn apply(&self, block: &Block) -> crate::Result<Option<Block>> {
        if !self.touches(block.first, block.end()) {
            return Ok(None);
        }
        let mut changed = false;
        let mut builder = BlockBuilder::default();
        for entry in block.records() {
            let (position, Record { received, entry }) = entry?;
            let entry = match entry {
                Entry::Event(_) | Entry::Corrected { .. } | Entry::Quarantined { .. } if self.gone.contains(&position.0) => {
                    changed = true;
                    Entry::Gone
                }
                Entry::Erased { profile, keys, notices } => match self.notices.get(&position.0) {
                    Some(now) if *now != notices => {
                        changed = true;
                        Entry::Erased { profile, keys, notices: now.to_vec() }
                    }
                    _ => Entry::Erased { profile, keys, notices },
                },
                Entry::Lapsed { profile, keys, notices } => match self.notices.get(&position.0) {
                    Some(now) if *now != notices => {
                        changed = true;
                        Entry::Lapsed { profile, keys, notices: now.to_vec() }
                    }
                    _ => Entry::Lapsed { profile, keys, notices },
                },
                entry => entry,
            };
            builder.push(&Record { received, entry });
        }
        Ok(changed.then(|| builder.finish(block.first).1))
    }
}
