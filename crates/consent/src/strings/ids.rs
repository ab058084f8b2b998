//! Sets of ids: of purposes (few) and of vendors (many, in ranges).

use serde::{Serialize, Serializer};

/// Ids from 1 to 64.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Few(u64);

impl Few {
    /// `width` bits as they stand in a string: the highest of them is id 1.
    pub(super) fn from_bits(bits: u64, width: usize) -> Few {
        Few(if width == 0 { 0 } else { bits.reverse_bits() >> (64 - width) })
    }

    /// The inverse of [`Few::from_bits`].
    pub(super) fn to_bits(self, width: usize) -> u64 {
        if width == 0 { 0 } else { self.0.reverse_bits() >> (64 - width) }
    }

    /// The ids of an iterator; those outside of 1 to 64 are left out.
    pub fn of(ids: impl IntoIterator<Item = u8>) -> Few {
        Few(ids.into_iter().filter(|id| (1..=64).contains(id)).fold(0, |bits, id| bits | 1 << (id - 1)))
    }

    /// Whether an id is in it.
    pub fn has(self, id: u8) -> bool {
        (1..=64).contains(&id) && self.0 >> (id - 1) & 1 == 1
    }

    /// The ids, the lowest first.
    pub fn list(self) -> Vec<u8> {
        (1..=64).filter(|id| self.has(*id)).collect()
    }
}

impl Serialize for Few {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.list())
    }
}

/// Ids from 1 to 65,535 as ranges: sorted, apart from each other, so equal sets are equal values however they were encoded.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Ids(Vec<(u16, u16)>);

impl Ids {
    /// From ranges (first and last id) in any order, which may overlap.
    pub fn of(mut ranges: Vec<(u16, u16)>) -> Ids {
        ranges.retain(|(start, end)| *start > 0 && start <= end);
        ranges.sort_unstable();
        let mut ids = Ids::default();
        for (start, end) in ranges {
            ids.push(start, end);
        }
        ids
    }

    /// Appends a range that does not begin before the last one.
    pub(super) fn push(&mut self, start: u16, end: u16) {
        match self.0.last_mut() {
            Some(last) if start <= last.1.saturating_add(1) => last.1 = last.1.max(end),
            _ => self.0.push((start, end)),
        }
    }

    /// Both sets.
    pub fn with(&self, other: &Ids) -> Ids {
        Ids::of(self.0.iter().chain(&other.0).copied().collect())
    }

    /// Whether an id is in it.
    pub fn has(&self, id: u16) -> bool {
        let after = self.0.partition_point(|(start, _)| *start <= id);
        after > 0 && self.0[after - 1].1 >= id
    }

    /// First and last ids of the ranges.
    pub fn ranges(&self) -> &[(u16, u16)] {
        &self.0
    }

    /// The highest id.
    pub fn last(&self) -> Option<u16> {
        self.0.last().map(|(_, end)| *end)
    }

    /// All ids, the lowest first: 65,535 at most.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        self.0.iter().flat_map(|&(start, end)| start..=end)
    }
}

impl Serialize for Ids {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}
