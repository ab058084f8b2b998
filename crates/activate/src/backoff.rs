//! When to try again, and when to give up.

use std::time::Duration;

/// First delay; it doubles with each attempt.
pub const RETRY_DELAY_MIN: Duration = Duration::from_secs(1);
/// Longest delay of our own making.
pub const RETRY_DELAY_MAX: Duration = Duration::from_secs(300);
/// Longest `Retry-After` that is honoured.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 3_600);
/// A message that meets nothing but failures this long after its first attempt is dead (it can be replayed).
pub const GIVE_UP_AFTER: Duration = Duration::from_secs(3 * 24 * 3_600);
/// A message that the destination refuses (4xx) this often is dead.
pub const REFUSED_ATTEMPTS_MAX: u32 = 5;

/// Exponential with full jitter: between half and all of `min × 2^(attempts − 1)`, at most [`RETRY_DELAY_MAX`].
pub fn delay(attempts: u32, jitter: f64) -> Duration {
    let doubled = RETRY_DELAY_MIN.saturating_mul(1u32 << attempts.saturating_sub(1).min(16));
    doubled.min(RETRY_DELAY_MAX).mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_to_their_bound() {
        assert_eq!(delay(1, 1.0), Duration::from_secs(1));
        assert_eq!(delay(4, 1.0), Duration::from_secs(8));
        assert_eq!(delay(4, 0.0), Duration::from_secs(4));
        assert_eq!(delay(60, 1.0), RETRY_DELAY_MAX);
    }
}
