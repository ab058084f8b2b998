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

/// As what a request left. Requests that were under way when the circuit opened come back while it is open: they must neither be
/// taken for the probe, nor close what a `Retry-After` asked to keep closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ticket {
    /// Through a closed circuit.
    Ordinary,
    /// Through a half-open one.
    Probe,
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

    /// A ticket for one request, if one may leave at `now`.
    pub fn ticket(&mut self, now: Instant) -> Option<Ticket> {
        match self.passage(now) {
            Passage::All => Some(Ticket::Ordinary),
            Passage::Probe => {
                self.probing = true;
                Some(Ticket::Probe)
            }
            Passage::None(_) => None,
        }
    }

    /// The destination answered as it should, or refused one message: it is there.
    pub fn answered(&mut self, ticket: Ticket) {
        match ticket {
            Ticket::Probe => *self = Breaker::default(),
            Ticket::Ordinary if self.open_until.is_none() => self.failures = 0,
            Ticket::Ordinary => {}
        }
    }

    /// The destination did not answer, or said that it cannot.
    pub fn failed(&mut self, ticket: Ticket, now: Instant) {
        match (ticket, self.open_until) {
            (Ticket::Probe, Some(_)) => {
                self.cooldown = (self.cooldown * 2).clamp(COOLDOWN_MIN, COOLDOWN_MAX);
                self.open_until = Some(now + self.cooldown);
                self.probing = false;
            }
            (_, None) => {
                self.failures += 1;
                if self.failures >= FAILURES_TO_OPEN {
                    self.cooldown = COOLDOWN_MIN;
                    self.open_until = Some(now + COOLDOWN_MIN);
                }
            }
            // It is open already, for as long as was found right then.
            (Ticket::Ordinary, Some(_)) => {}
        }
    }

    /// Nothing leaves before `until`: the destination asked for it, or is misconfigured.
    pub fn hold(&mut self, ticket: Ticket, until: Instant) {
        self.open_until = Some(self.open_until.map_or(until, |open| open.max(until)));
        self.cooldown = self.cooldown.max(COOLDOWN_MIN);
        self.undecided(ticket);
    }

    /// The request said nothing about the destination, or was not made: another one may be the probe.
    pub fn undecided(&mut self, ticket: Ticket) {
        if ticket == Ticket::Probe {
            self.probing = false;
        }
    }

    /// An operator says that the destination works.
    pub fn close(&mut self) {
        *self = Breaker::default();
    }

    /// Until when it is open.
    pub fn open_until(&self) -> Option<Instant> {
        self.open_until
    }

    /// Closed, open or half open.
    pub fn name(&self, now: Instant) -> &'static str {
        match self.passage(now) {
            Passage::All => "closed",
            Passage::Probe | Passage::None(None) => "half_open",
            Passage::None(Some(_)) => "open",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..FAILURES_TO_OPEN {
            breaker.failed(Ticket::Ordinary, now);
        }
        breaker
    }

    #[tokio::test(start_paused = true)]
    async fn opens_after_failures_probes_after_the_cooldown_and_closes_on_success() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..FAILURES_TO_OPEN - 1 {
            breaker.failed(Ticket::Ordinary, now);
            assert_eq!(breaker.passage(now), Passage::All);
        }
        breaker.failed(Ticket::Ordinary, now);
        assert_eq!(breaker.passage(now), Passage::None(Some(now + COOLDOWN_MIN)));
        let later = now + COOLDOWN_MIN;
        assert_eq!(breaker.ticket(later), Some(Ticket::Probe));
        assert_eq!(breaker.ticket(later), None, "one probe at a time");
        breaker.failed(Ticket::Probe, later);
        assert_eq!(breaker.passage(later), Passage::None(Some(later + COOLDOWN_MIN * 2)));
        assert_eq!(breaker.ticket(later + COOLDOWN_MIN * 2), Some(Ticket::Probe));
        breaker.answered(Ticket::Probe);
        assert_eq!(breaker.passage(later), Passage::All);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_in_between_begins_the_count_again() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..FAILURES_TO_OPEN * 2 {
            breaker.failed(Ticket::Ordinary, now);
            breaker.answered(Ticket::Ordinary);
        }
        assert_eq!(breaker.passage(now), Passage::All);
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_back_late_changes_nothing_while_it_is_open() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let asked = now + Duration::from_secs(3_600);
        breaker.hold(Ticket::Ordinary, asked);
        breaker.failed(Ticket::Ordinary, now);
        breaker.answered(Ticket::Ordinary);
        assert_eq!(breaker.passage(now), Passage::None(Some(asked)));
        assert_eq!(breaker.ticket(asked), Some(Ticket::Probe));
        breaker.failed(Ticket::Ordinary, asked);
        breaker.undecided(Ticket::Ordinary);
        assert_eq!(breaker.passage(asked), Passage::None(None), "the probe is still under way");
        breaker.undecided(Ticket::Probe);
        assert_eq!(breaker.passage(asked), Passage::Probe);
    }

    #[tokio::test(start_paused = true)]
    async fn cooldowns_double_to_their_bound() {
        let mut now = Instant::now();
        let mut breaker = opened(now);
        for expected_s in [10, 20, 40, 60, 60] {
            now = breaker.open_until().unwrap();
            assert_eq!(breaker.ticket(now), Some(Ticket::Probe));
            breaker.failed(Ticket::Probe, now);
            assert_eq!(breaker.open_until(), Some(now + Duration::from_secs(expected_s)));
        }
    }
}
