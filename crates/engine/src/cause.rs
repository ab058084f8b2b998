//! What an entry of the history causes, and in which order: the place of a delivery is the entry's, and a number among those of one
//! person.

use std::collections::HashMap;

use jumelle_model::ids::{Position, ProfileId};
use jumelle_model::time::Timestamp;

/// The entry that is being folded, and how many deliveries it has caused for each person.
#[derive(Default)]
pub(crate) struct Cause {
    pub(crate) position: Position,
    /// Its arrival.
    pub(crate) received: Timestamp,
    ordinals: HashMap<ProfileId, u32>,
}

impl Cause {
    /// An entry that has caused nothing yet.
    pub(crate) fn new(position: Position, received: Timestamp) -> Cause {
        Cause { position, received, ordinals: HashMap::new() }
    }

    /// The next place among what this entry causes for a person, whom a tool knows by this id.
    pub(crate) fn next(&mut self, owner: ProfileId, known_as: ProfileId) -> u32 {
        let of = |profile| self.ordinals.get(&profile).copied().unwrap_or_default();
        let next = of(owner).max(of(known_as));
        self.ordinals.extend([owner, known_as].map(|profile| (profile, next + 1)));
        next
    }

    /// What this entry causes from here on for one of two who turned out to be one comes after what it caused for the other.
    pub(crate) fn join(&mut self, absorbed: ProfileId, survivor: ProfileId) {
        let Some(other) = self.ordinals.get(&absorbed).copied() else { return };
        let next = self.ordinals.entry(survivor).or_default();
        *next = other.max(*next);
    }

    /// Nothing that it caused for a person is left (timers that fired on its way): a replay without her counts from the start.
    pub(crate) fn forget(&mut self, profile: ProfileId) {
        self.ordinals.remove(&profile);
    }
}
