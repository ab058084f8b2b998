//! Places where a test ends the process, as a crash would, by name.
//!
//! In release binaries there are none: [`reach`] is empty there. In others `JUMELLE_CRASH_AT=name:n` ends the process when the place
//! is reached for the n-th time (from 1). No second build is needed for the tests, which run the development binary.

/// The names, in the order in which a batch and its messages pass them.
pub const PLACES: [&str; 14] = [
    "before history write",
    "after history write",
    "before acknowledgement",
    "after acknowledgement",
    "before flush",
    "after flush",
    "before compaction",
    "after compaction",
    "after ledger write",
    "before send",
    "after send",
    "before result",
    "after result",
    "before start",
];

/// A place is reached.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn reach(_place: &'static str) {}

/// A place is reached.
#[cfg(debug_assertions)]
pub fn reach(place: &'static str) {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static WANTED: LazyLock<Option<(String, AtomicU64)>> = LazyLock::new(|| {
        let wanted = std::env::var("JUMELLE_CRASH_AT").ok()?;
        let (name, times) = wanted.split_once(':')?;
        Some((name.to_owned(), AtomicU64::new(times.parse().ok()?)))
    });
    debug_assert!(PLACES.contains(&place), "{place} is not in the list that the tests go through");
    if let Some((name, left)) = &*WANTED
        && name == place
        && left.fetch_sub(1, Ordering::AcqRel) == 1
    {
        // No unwinding, no destructors, nothing flushed; what the kernel has, it keeps.
        std::process::abort();
    }
}
