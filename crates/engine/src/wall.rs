//! The clock on the wall, which only the shell reads: a seam, so that a simulation has one of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jumelle_model::time::Timestamp;

/// What time it is.
#[derive(Clone, Debug, Default)]
pub struct Wall(Option<Arc<AtomicI64>>);

impl Wall {
    /// A clock that stands where it is set, in microseconds since 1970.
    pub fn simulated(at: Arc<AtomicI64>) -> Wall {
        Wall(Some(at))
    }

    /// This instant.
    pub fn now(&self) -> Timestamp {
        self.0.as_ref().map_or_else(Timestamp::now, |at| Timestamp(at.load(Ordering::Acquire)))
    }
}
