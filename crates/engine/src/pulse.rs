//! Whether the fold's thread still turns.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The instant at which the fold's loop came round last.
pub struct Pulse {
    since: Instant,
    last_ms: AtomicU64,
}

impl Default for Pulse {
    fn default() -> Pulse {
        Pulse { since: Instant::now(), last_ms: AtomicU64::new(0) }
    }
}

impl Pulse {
    /// The loop came round.
    pub fn beat(&self) {
        self.last_ms.store(self.since.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    /// How long ago that was.
    pub fn still(&self) -> Duration {
        self.since.elapsed().saturating_sub(Duration::from_millis(self.last_ms.load(Ordering::Relaxed)))
    }
}
