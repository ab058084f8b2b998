//! One attempt about one message: the second gate, the ledger, the request, its result. Several people in one request: `batch.rs`.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jumelle_consent::Cleared;
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::backoff::{GIVE_UP_AFTER, REFUSED_ATTEMPTS_MAX, delay};
use crate::breaker::{COOLDOWN_CONFIGURATION, Ticket};
use crate::dispatch::Lane;
use crate::house::{Clearance, DeliveryResult, FinalState, House, Queued};
use crate::line::Waiting;
use crate::webhook::{Outcome, Webhook};

/// How often what lets a message through is noted anew because it has changed meanwhile.
const NOTES_MAX: u32 = 4;
/// How long a message waits that could not be noted.
pub(crate) const NOTE_AGAIN: Duration = Duration::from_secs(1);
/// Why a message goes again that waited for its turn when its destination was stopped.
pub(crate) const LEFT: &str = "the destination was stopped or changed before its turn";

/// How one attempt ended.
pub(crate) enum Verdict {
    /// Recorded, or no longer waiting.
    Ended,
    /// To be tried again.
    Again { reason: String, at: Instant },
}

/// One attempt, with all that it changes; only the person's place in the queue is left to the lane.
pub(crate) async fn attempt(
    lane: Arc<Lane>,
    house: Arc<dyn House>,
    connector: Arc<Webhook>,
    mut waiting: Waiting,
    ticket: Ticket,
) -> (Waiting, Verdict) {
    let noting = Instant::now();
    let passed = pass(&*house, &waiting.queued).instrument(tracing::trace_span!(target: "jumelle::trace", "gate")).await;
    lane.slots.noted(noting.elapsed());
    let cleared = match passed {
        Ok(Clearance::Cleared(cleared)) => *cleared,
        Err(reason) => {
            lane.breaker.lock().undecided(ticket);
            *lane.last_error.lock() = Some(reason.clone());
            return (waiting, Verdict::Again { reason, at: Instant::now() + NOTE_AGAIN });
        }
        Ok(Clearance::Superseded) => {
            lane.breaker.lock().undecided(ticket);
            return (waiting, Verdict::Ended);
        }
        Ok(Clearance::Blocked(reason)) => {
            lane.breaker.lock().undecided(ticket);
            let _recording = lane.recording();
            record(&*house, &waiting, FinalState::Blocked, None, Some(reason)).await;
            return (waiting, Verdict::Ended);
        }
    };
    let slot = lane.slots.request().await;
    if lane.stopping.load(Ordering::Acquire) {
        lane.breaker.lock().undecided(ticket);
        return (waiting, Verdict::Again { reason: LEFT.into(), at: Instant::now() });
    }
    waiting.attempts += 1;
    let started = Instant::now();
    house.reached("before send");
    // A removal that is not acknowledged is tried for ever: nobody stays in a tool because it refused to listen.
    let takes_back = cleared.message().kind.takes_back();
    let (asked, queued) = (house.clone(), waiting.queued.clone());
    let still = move |cleared: &Cleared| matches!(asked.clear(&queued), Clearance::Cleared(again) if *again == *cleared);
    let outcome = connector.send_if(cleared, still).instrument(tracing::trace_span!(target: "jumelle::trace", "send")).await;
    house.reached("after send");
    drop(slot);
    let now = Instant::now();
    metrics::histogram!("jumelle_delivery_seconds", "destination" => lane.destination.key.clone())
        .record((now - started).as_secs_f64());
    if outcome == Outcome::Withheld {
        // Nothing was sent: the gate says why when it is asked anew.
        waiting.attempts -= 1;
        lane.breaker.lock().undecided(ticket);
        return (waiting, Verdict::Again { reason: "the gate closed while the connection was made".into(), at: now });
    }
    let verdict = judge(&lane, &waiting, (ticket, takes_back), outcome, now);
    if ticket == Ticket::Probe {
        // The others need not wait until the probe's result is recorded.
        lane.wake.notify_one();
    }
    if !matches!(verdict, Judgement::Final { state: FinalState::Sent, .. }) {
        house.failed(&lane.destination.key);
    }
    match verdict {
        Judgement::Final { state, status, reason } => {
            let _recording = lane.recording();
            record(&*house, &waiting, state, status, reason).await;
            (waiting, Verdict::Ended)
        }
        Judgement::Again { reason, at } => (waiting, Verdict::Again { reason, at }),
    }
}

/// The second gate, right before the request. What it lets out is noted first, durably; that takes its time, and a withdrawal does
/// not wait for it, so the gate is asked again: no request begins on an answer that is older than a write.
pub(crate) async fn pass(house: &dyn House, queued: &Queued) -> Result<Clearance, String> {
    let mut answer = house.clear(queued);
    for _ in 0..NOTES_MAX {
        let Clearance::Cleared(cleared) = &answer else { return Ok(answer) };
        if !house.note(cleared).await? {
            return Ok(Clearance::Superseded);
        }
        let again = house.clear(queued);
        if matches!(&again, Clearance::Cleared(again) if again == cleared) {
            return Ok(again);
        }
        // Another choice lets it through now: that is noted too.
        answer = again;
    }
    match answer {
        Clearance::Cleared(_) => Err("her choices change faster than they can be noted".into()),
        other => Ok(other),
    }
}

/// What an outcome means for its message.
enum Judgement {
    Final { state: FinalState, status: Option<u16>, reason: Option<String> },
    Again { reason: String, at: Instant },
}

/// Tells the breaker and the counters, and decides about the message.
fn judge(lane: &Lane, waiting: &Waiting, (ticket, takes_back): (Ticket, bool), outcome: Outcome, now: Instant) -> Judgement {
    let own_delay = delay(waiting.attempts, rand::random());
    let age = waiting.first_attempt.map_or(Duration::ZERO, |first| now.saturating_duration_since(first));
    let mut breaker = lane.breaker.lock();
    let (reason, status, at, dead) = match outcome {
        Outcome::Sent { status } => {
            breaker.answered(ticket);
            lane.sent.fetch_add(1, Ordering::Relaxed);
            return Judgement::Final { state: FinalState::Sent, status: Some(status), reason: None };
        }
        Outcome::Retry { reason, status, after } => {
            breaker.failed(ticket, now);
            if let Some(after) = after {
                breaker.hold(ticket, now + after);
            }
            (reason, status, now + after.unwrap_or_default().max(own_delay), age >= GIVE_UP_AFTER)
        }
        Outcome::Refused { reason, status } => {
            // The destination works; it is this message that it does not want.
            breaker.answered(ticket);
            (reason, Some(status), now + own_delay, waiting.attempts >= REFUSED_ATTEMPTS_MAX)
        }
        // Looked at before; as good as not tried.
        Outcome::Withheld => ("the gate closed".into(), None, now, false),
        Outcome::Misconfigured { reason, status } => {
            // Not the message's fault: it waits for the operator, however long.
            breaker.hold(ticket, now + COOLDOWN_CONFIGURATION);
            (reason, status, now + COOLDOWN_CONFIGURATION, false)
        }
    };
    drop(breaker);
    let dead = dead && !takes_back;
    lane.failed.fetch_add(1, Ordering::Relaxed);
    metrics::counter!("jumelle_delivery_failures_total", "destination" => lane.destination.key.clone()).increment(1);
    *lane.last_error.lock() = Some(reason.clone());
    tracing::warn!(destination = lane.destination.key, attempts = waiting.attempts, status, dead, "delivery failed");
    if dead {
        Judgement::Final { state: FinalState::Dead, status, reason: Some(reason) }
    } else {
        Judgement::Again { reason, at }
    }
}

/// Hands a final result to the history.
pub(crate) async fn record(house: &dyn House, waiting: &Waiting, state: FinalState, status: Option<u16>, reason: Option<String>) {
    let queued = &waiting.queued;
    let name = match state {
        FinalState::Sent => "sent",
        FinalState::Blocked => "blocked",
        FinalState::Dead => "dead",
    };
    metrics::counter!("jumelle_deliveries_total", "destination" => queued.destination.clone(), "state" => name).increment(1);
    house
        .record(DeliveryResult {
            id: queued.id,
            profile: queued.key.profile,
            key: queued.key,
            destination: queued.destination.clone(),
            state,
            attempts: waiting.attempts,
            status,
            reason,
        })
        .await;
}
