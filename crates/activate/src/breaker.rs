//! A circuit breaker per destination: while a tool is down, nothing is thrown at it but one probe at a time.

use std::time::Duration;

use tokio::time::Instant;

/// Failures in a row that open the circuit.
pub const FAILURES_TO_OPEN: u32 = 5;
/// First cooldown; it doubles with each failed probe.
pub const COOLDOWN_MIN: Duration = Duration::from_secs(5);
/// Longest cooldown.
pub const COOLDOWN_MAX: Duration = Duration::from_secs(60);
/// Cooldown when the destination is gone or misconfigured: only an operator mends that.
pub const COOLDOWN_CONFIGURATION: Duration = Duration::from_secs(300);

/// The state of a circuit.
#[derive(Debug, Default)]
pub struct Breaker {
    failures: u32,
    open_until: Option<Instant>,
    cooldown: Duration,
    probing: bool,
}

/// What may leave now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Passage {
    /// As many as the destination takes.
    All,
    /// One, to see.
    Probe,
    /// None before this instant (or, while a probe is under way, before its end).
    None(Option<Instant>),
}

impl Breaker {
    /// What may leave at `now`.
    pub fn passage(&self, now: Instant) -> Passage {
        match self.open_until {
            None => Passage::All,
            Some(_) if self.probing => Passage::None(None),
            Some(until) if until <= now => Passage::Probe,
            Some(until) => Passage::None(Some(until)),
        }
    }

    /// A probe is under way.
    pub fn probe(&mut self) {
        self.probing = true;
    }

    /// The destination answered as it should.
    pub fn succeeded(&mut self) {
        *self = Breaker::default();
    }

    /// The destination did not answer, or said that it cannot.
    pub fn failed(&mut self, now: Instant) {
        self.failures += 1;
        if self.probing || self.failures >= FAILURES_TO_OPEN {
            self.cooldown = if self.probing { (self.cooldown * 2).min(COOLDOWN_MAX) } else { COOLDOWN_MIN };
            self.open_until = Some(now + self.cooldown);
        }
        self.probing = false;
    }

    /// Nothing leaves before `until`: the destination asked for it, or is misconfigured.
    pub fn hold(&mut self, until: Instant) {
        self.open_until = Some(self.open_until.map_or(until, |open| open.max(until)));
        self.cooldown = self.cooldown.max(COOLDOWN_MIN);
        self.probing = false;
    }

    /// The one probe said nothing about the destination (it was blocked here, or its message was refused).
    pub fn undecided(&mut self) {
        self.probing = false;
    }

    /// Until when it is open.
    pub fn open_until(&self) -> Option<Instant> {
        self.open_until
    }

    /// Closed, open or half open.
    pub fn name(&self, now: Instant) -> &'static str {
        match self.passage(now) {
            Passage::All => "closed",
            Passage::Probe => "half_open",
            Passage::None(_) if self.probing => "half_open",
            Passage::None(_) => "open",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn opens_after_failures_probes_after_the_cooldown_and_closes_on_success() {
        let mut breaker = Breaker::default();
        let now = Instant::now();
        for _ in 0..FAILURES_TO_OPEN - 1 {
            breaker.failed(now);
            assert_eq!(breaker.passage(now), Passage::All);
        }
        breaker.failed(now);
        assert_eq!(breaker.passage(now), Passage::None(Some(now + COOLDOWN_MIN)));
        let later = now + COOLDOWN_MIN;
        assert_eq!(breaker.passage(later), Passage::Probe);
        breaker.probe();
        assert_eq!(breaker.passage(later), Passage::None(None));
        breaker.failed(later);
        assert_eq!(breaker.passage(later), Passage::None(Some(later + COOLDOWN_MIN * 2)));
        breaker.probe();
        breaker.succeeded();
        assert_eq!(breaker.passage(later), Passage::All);
    }
}
