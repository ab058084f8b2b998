//! Requests at once to one destination, and the messages that get ready beside them.
//!
//! A message waits for two disks: before its request until the ledger has it, after it until the history has the result. Neither
//! is the tool's time, so neither takes one of the requests that it is sent at once. How many messages get ready ahead is Little's
//! law: as many as leave while one is noted. A slow tool has none ahead, so that who leaves it waits for nobody else's request.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

/// Messages that get ready ahead, at most.
const AHEAD_MAX: u64 = 64;
/// Results that wait for the history, at most.
const RECORDING_MAX: usize = 512;
/// A mean forgets: each new duration is so much of it (one in).
const MEAN_OF: u64 = 8;

/// Places for requests.
pub(crate) struct Slots {
    free: Semaphore,
    at_once: usize,
    /// Attempts whose request is over, and whose result is not recorded yet.
    recording: AtomicUsize,
    /// Moving means, in microseconds.
    noting_us: AtomicU64,
    request_us: AtomicU64,
}

/// A request under way.
pub(crate) struct Slot<'a> {
    slots: &'a Slots,
    since: Instant,
    // There is always one: nobody closes the semaphore.
    _permit: Option<SemaphorePermit<'a>>,
}

/// A result being recorded.
pub(crate) struct Recording<'a>(&'a Slots);

impl Slots {
    pub(crate) fn new(at_once: u32) -> Slots {
        Slots {
            free: Semaphore::new(at_once as usize),
            at_once: at_once as usize,
            recording: AtomicUsize::new(0),
            noting_us: AtomicU64::new(0),
            request_us: AtomicU64::new(0),
        }
    }

    /// Whether one more attempt may begin beside so many.
    pub(crate) fn has_room(&self, attempts: usize) -> bool {
        let recording = self.recording.load(Ordering::Relaxed);
        recording < RECORDING_MAX && attempts.saturating_sub(recording) < self.at_once + self.ahead()
    }

    fn ahead(&self) -> usize {
        let request_us = self.request_us.load(Ordering::Relaxed).max(1);
        let leave = self.at_once as u64 * self.noting_us.load(Ordering::Relaxed) / request_us;
        leave.min(AHEAD_MAX) as usize
    }

    /// How long it took until the ledger had a message.
    pub(crate) fn noted(&self, took: Duration) {
        moves(&self.noting_us, took);
    }

    /// Waits for a place.
    pub(crate) async fn request(&self) -> Slot<'_> {
        let permit = self.free.acquire().await.ok();
        Slot { slots: self, since: Instant::now(), _permit: permit }
    }

    /// Requests under way.
    pub(crate) fn under_way(&self) -> u64 {
        self.at_once.saturating_sub(self.free.available_permits()) as u64
    }

    /// What follows a request makes room for the next.
    pub(crate) fn recording(&self) -> Recording<'_> {
        self.recording.fetch_add(1, Ordering::Relaxed);
        Recording(self)
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        moves(&self.slots.request_us, self.since.elapsed());
    }
}

impl Drop for Recording<'_> {
    fn drop(&mut self) {
        self.0.recording.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Another thread may move it meanwhile: a mean need not have every value.
fn moves(mean_us: &AtomicU64, took: Duration) {
    let (before, took) = (mean_us.load(Ordering::Relaxed), took.as_micros() as u64);
    let after = if before == 0 { took } else { (before * (MEAN_OF - 1) + took) / MEAN_OF };
    mean_us.store(after, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn paced(at_once: u32, noting_ms: u64, request_ms: u64) -> Slots {
        let slots = Slots::new(at_once);
        slots.noted(Duration::from_millis(noting_ms));
        let slot = slots.request().await;
        tokio::time::advance(Duration::from_millis(request_ms)).await;
        drop(slot);
        slots
    }

    #[tokio::test(start_paused = true)]
    async fn as_many_get_ready_as_leave_meanwhile() {
        // Eight at once, a millisecond each: 40 leave in the five that it takes to note one.
        assert_eq!(paced(8, 5, 1).await.ahead(), 40);
        assert_eq!(paced(256, 5, 1).await.ahead(), AHEAD_MAX as usize);
        // Whoever leaves a slow tool waits for no request but those under way.
        assert_eq!(paced(8, 5, 400).await.ahead(), 0);
        assert_eq!(Slots::new(8).ahead(), 0, "nothing is known yet");
    }

    #[tokio::test(start_paused = true)]
    async fn requests_at_once_are_as_many_as_the_destination_allows() {
        let slots = Slots::new(2);
        let (first, _second) = (slots.request().await, slots.request().await);
        assert_eq!(slots.under_way(), 2);
        assert!(tokio::time::timeout(Duration::from_secs(1), slots.request()).await.is_err(), "a third waits");
        drop(first);
        assert!(tokio::time::timeout(Duration::from_secs(1), slots.request()).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_recorded_takes_no_place_but_is_bounded() {
        let slots = Slots::new(2);
        assert!(slots.has_room(1) && !slots.has_room(2));
        let recording = slots.recording();
        assert!(slots.has_room(2) && !slots.has_room(3));
        drop(recording);
        assert!(!slots.has_room(2));
        let all: Vec<_> = (0..RECORDING_MAX).map(|_| slots.recording()).collect();
        assert!(!slots.has_room(all.len()));
    }
}
