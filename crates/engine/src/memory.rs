//! One setting for what the server keeps in memory, and what it comes to.
//!
//! The shares follow from what was measured under load (decision 0012): a person takes some 8 KB, a known message id 24 bytes.
//! Beside them are the process itself and what the storage engine gathers before it writes a file, which no setting moves.

/// The process, its connections, and the memory tables of the storage engine.
const FIXED_BYTES: u64 = 330 << 20;
/// One person, decoded.
const PERSON_BYTES: u64 = 8 << 10;
/// One message id of the window, with its place in a map that is seven eighths full at most.
const ID_BYTES: u64 = 24;
/// One row that is not written yet, in its tree and once more on its way to the disk.
const ROW_BYTES: usize = 512;
/// One changed person: as she is, and her stored form on its way to the disk.
const CHANGED_BYTES: usize = 12 << 10;

/// What so many bytes allow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Memory {
    /// People kept, about.
    pub people: usize,
    /// Message ids remembered.
    pub ids: usize,
    /// Blocks of the tables' files.
    pub table_cache_bytes: u64,
    /// What is changed and not written.
    pub unwritten_bytes: usize,
}

impl Memory {
    /// Without a setting.
    pub const DEFAULT_BYTES: u64 = 1_536 << 20;
    /// Less leaves too little beside what is fixed.
    pub const LEAST_BYTES: u64 = 448 << 20;

    /// The shares of a number of bytes ([`Memory::LEAST_BYTES`] at least).
    pub fn of(bytes: u64) -> Memory {
        let free = bytes.max(Memory::LEAST_BYTES) - FIXED_BYTES;
        let share = |percent: u64| free * percent / 100;
        Memory {
            people: (share(30) / PERSON_BYTES) as usize,
            ids: (share(25) / ID_BYTES) as usize,
            table_cache_bytes: share(15),
            unwritten_bytes: share(30) as usize,
        }
    }
}

impl Default for Memory {
    fn default() -> Memory {
        Memory::of(Memory::DEFAULT_BYTES)
    }
}

/// Bytes of changed people and of rows, about.
pub(crate) fn unwritten(people: usize, rows: usize) -> usize {
    people * CHANGED_BYTES + rows * ROW_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_shares_and_what_is_fixed_are_the_setting() {
        for bytes in [Memory::LEAST_BYTES, 600_000_000, Memory::DEFAULT_BYTES, 32 << 30] {
            let Memory { people, ids, table_cache_bytes, unwritten_bytes } = Memory::of(bytes);
            let all = people as u64 * PERSON_BYTES + ids as u64 * ID_BYTES + table_cache_bytes + unwritten_bytes as u64;
            assert!((bytes - FIXED_BYTES) - all < 2 * PERSON_BYTES, "{all} of {bytes}");
            assert!(people >= 4_000 && ids >= 1_000_000, "{bytes} are enough for a small shop");
        }
        assert_eq!(Memory::of(0), Memory::of(Memory::LEAST_BYTES));
    }
}
