//! Which entry of a full part is the oldest, without looking at all of them: what a person keeps is bounded, and so must be the cost
//! of her next event.

use std::collections::BTreeSet;

use jumelle_model::time::Timestamp;

/// The entries of a part by age. Derived from them: it is not stored, says nothing about equality, and is made when it is first asked.
#[derive(Clone, Debug)]
pub(crate) struct Oldest<K>(Option<BTreeSet<(Timestamp, K)>>);

impl<K> Default for Oldest<K> {
    fn default() -> Oldest<K> {
        Oldest(None)
    }
}

impl<K> PartialEq for Oldest<K> {
    fn eq(&self, _: &Oldest<K>) -> bool {
        true
    }
}

impl<K> Eq for Oldest<K> {}

impl<K: Ord + Clone> Oldest<K> {
    /// An entry is new (`before` is none), or has become younger.
    pub(crate) fn note(&mut self, key: &K, before: Option<Timestamp>, now: Timestamp) {
        let Some(ages) = &mut self.0 else { return };
        if before != Some(now) {
            before.and_then(|before| ages.take(&(before, key.clone())));
            ages.insert((now, key.clone()));
        }
    }

    /// Many entries have changed at once.
    pub(crate) fn forget(&mut self) {
        self.0 = None;
    }

    /// Takes the oldest one; of those of one age the smallest. `all`: the entries that there are.
    pub(crate) fn pop(&mut self, all: impl Iterator<Item = (Timestamp, K)>) -> Option<K> {
        self.0.get_or_insert_with(|| all.collect()).pop_first().map(|(_, key)| key)
    }
}
