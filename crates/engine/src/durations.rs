//! How long the steps take: each as a histogram for Prometheus, and the last ones for the health page.
//!
//! One set per process, as the recorder of the metrics is.

use parking_lot::Mutex;

/// Measurements kept of each step.
pub const KEPT_MAX: usize = 1_024;

/// One synced write of the history, which is one fsync.
pub static COMMIT: Durations = Durations::new("jumelle_commit_seconds");
/// The tables written behind.
pub static FLUSH: Durations = Durations::new("jumelle_flush_seconds");
/// From the arrival of a block's first entry to the block being folded.
pub static PROCESSED: Durations = Durations::new("jumelle_processed_lag_seconds");
/// From a delivery's cause to the destination's having taken it.
pub static SENT: Durations = Durations::new("jumelle_sent_lag_seconds");

/// All of them, with the name that the API gives.
pub const ALL: [(&str, &Durations); 4] = [("commit", &COMMIT), ("processed", &PROCESSED), ("sent", &SENT), ("flush", &FLUSH)];

/// The durations of one step.
pub struct Durations {
    metric: &'static str,
    recent: Mutex<Recent>,
}

struct Recent {
    seconds: Vec<f32>,
    /// How many there have been: the next one stands at this place, counted around.
    count: u64,
}

/// What the last measurements come to.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Summary {
    /// Measurements since the start.
    pub count: u64,
    /// Of the last [`KEPT_MAX`], seconds; nearest rank.
    pub p50_s: f64,
    /// Likewise.
    pub p99_s: f64,
    /// The longest of them.
    pub max_s: f64,
}

impl Durations {
    const fn new(metric: &'static str) -> Durations {
        Durations { metric, recent: Mutex::new(Recent { seconds: Vec::new(), count: 0 }) }
    }

    /// One more.
    pub fn record(&self, seconds: f64) {
        metrics::histogram!(self.metric).record(seconds);
        let mut recent = self.recent.lock();
        let place = (recent.count % KEPT_MAX as u64) as usize;
        recent.count += 1;
        match recent.seconds.get_mut(place) {
            Some(oldest) => *oldest = seconds as f32,
            None => recent.seconds.push(seconds as f32),
        }
    }

    /// `None`: there has been none.
    pub fn summary(&self) -> Option<Summary> {
        let (mut seconds, count) = {
            let recent = self.recent.lock();
            (recent.seconds.clone(), recent.count)
        };
        seconds.sort_unstable_by(f32::total_cmp);
        let max_s = f64::from(*seconds.last()?);
        let rank = |share: f64| f64::from(seconds[((seconds.len() as f64 * share).ceil() as usize).clamp(1, seconds.len()) - 1]);
        Some(Summary { count, p50_s: rank(0.50), p99_s: rank(0.99), max_s })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_summed_up() {
        let durations = Durations::new("jumelle_test_seconds");
        assert_eq!(durations.summary(), None);
        for n in 1..=100 {
            durations.record(f64::from(n));
        }
        assert_eq!(durations.summary(), Some(Summary { count: 100, p50_s: 50.0, p99_s: 99.0, max_s: 100.0 }));
        for _ in 0..KEPT_MAX {
            durations.record(7.0);
        }
        assert_eq!(durations.summary(), Some(Summary { count: 100 + KEPT_MAX as u64, p50_s: 7.0, p99_s: 7.0, max_s: 7.0 }));
    }
}
