//! Several people in one request: each passes the gate right before the transfer, and each has an end of her own.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use jumelle_connect::{Ending, Exchange, Gated, Next, RenderError, Row, RowEnd, batches};
use jumelle_consent::{Cleared, Reason};
use jumelle_model::message::MessageType;
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::attempt::{LEFT, NOTE_AGAIN, Verdict, pass, record};
use crate::backoff::{GIVE_UP_AFTER, delay};
use crate::breaker::{COOLDOWN_CONFIGURATION, Ticket};
use crate::dispatch::Lane;
use crate::house::{Clearance, Closed, FinalState, House};
use crate::line::Waiting;
use crate::partner::{Partner, TokenError, moment};

/// One person of a load.
struct Member {
    waiting: Waiting,
    /// What the gate let out and the ledger has; the gate must say the same again right before each request.
    noted: Option<Arc<Cleared>>,
    verdict: Option<Verdict>,
    /// What is to be recorded.
    end: Option<(FinalState, Option<String>)>,
    /// The tool writes to her address no more.
    closed: Option<Closed>,
    tried: bool,
}

impl Member {
    fn takes_back(&self) -> bool {
        self.noted.as_ref().is_some_and(|noted| noted.message().kind.takes_back())
    }

    /// Nothing more is to be hoped for, but that a removal has to arrive one day: it is tried until the tool confirms it. The notice
    /// of an erasure holds what the tool had received, and that goes after a while.
    fn give_up(&mut self, reason: String, now: Instant) {
        let is_notice = self.noted.as_ref().is_some_and(|noted| noted.message().kind == MessageType::Erased);
        if !self.takes_back() || is_notice && self.is_old(now) {
            self.end = Some((FinalState::Dead, Some(reason)));
            return;
        }
        // One that could not even be written counts as an attempt, so that the next ones come later and later.
        self.tried = true;
        self.verdict = Some(Verdict::Again { reason, at: now + delay(self.waiting.attempts + 1, rand::random()) });
    }

    /// Whether it has met nothing but failures for as long as one tries.
    fn is_old(&self, now: Instant) -> bool {
        self.waiting.first_attempt.is_some_and(|first| now.saturating_duration_since(first) >= GIVE_UP_AFTER)
    }
}

/// A load under way.
struct Load<'a> {
    lane: &'a Lane,
    house: &'a Arc<dyn House>,
    partner: &'a Partner,
    members: Vec<Member>,
    country: String,
    status: Option<u16>,
    renewed: bool,
}

/// What stops a load: the rest of it goes again.
struct Stop {
    reason: String,
    at: Instant,
    /// It counts against the time after which a message is given up.
    counts: bool,
}

/// One attempt about several people.
pub(crate) async fn attempt(
    lane: Arc<Lane>,
    house: Arc<dyn House>,
    partner: Arc<Partner>,
    waiting: Vec<Waiting>,
    ticket: Ticket,
) -> Vec<(Waiting, Verdict)> {
    let gate = tracing::trace_span!(target: "jumelle::trace", "gate");
    let noting = Instant::now();
    let passages = join_all(waiting.iter().map(|waiting| pass(&*house, &waiting.queued))).instrument(gate).await;
    lane.slots.noted(noting.elapsed());
    let members = waiting.into_iter().zip(passages).map(|(waiting, passage)| {
        let mut member = Member { waiting, noted: None, verdict: None, end: None, closed: None, tried: false };
        match passage {
            Ok(Clearance::Cleared(cleared)) => member.noted = Some(cleared.into()),
            Ok(Clearance::Superseded) => member.verdict = Some(Verdict::Ended),
            Ok(Clearance::Blocked(reason)) => member.end = Some((FinalState::Blocked, Some(reason))),
            Err(reason) => member.verdict = Some(Verdict::Again { reason, at: Instant::now() + NOTE_AGAIN }),
        }
        member
    });
    let mut load = Load {
        lane: &lane,
        house: &house,
        partner: &partner,
        members: members.collect(),
        country: house.country(),
        status: None,
        renewed: false,
    };
    let slot = lane.slots.request().await;
    let started = Instant::now();
    let stop = match lane.stopping.load(Ordering::Acquire) {
        true => Err(Stop { reason: LEFT.into(), at: started, counts: false }),
        false => load.send().instrument(tracing::trace_span!(target: "jumelle::trace", "send")).await,
    };
    metrics::histogram!("jumelle_delivery_seconds", "destination" => lane.destination.key.clone())
        .record(started.elapsed().as_secs_f64());
    drop(slot);
    let _recording = lane.recording();
    load.settle(ticket, stop).await
}

impl Load<'_> {
    /// Everybody, in as many requests as it takes, removals first. `Err`: nothing more may leave now.
    async fn send(&mut self) -> Result<(), Stop> {
        let everybody: Vec<usize> = (0..self.members.len()).collect();
        let mut work: VecDeque<Vec<usize>> =
            batches(&self.partner.connector, self.rows(&everybody)).iter().map(|rows| nths(rows)).collect();
        while let Some(batch) = work.pop_front() {
            let rows = self.rows(&batch);
            // Who is not let through any more has left; the others are still of one operation and group.
            for rows in batches(&self.partner.connector, rows) {
                self.exchange(rows, &mut work).await?;
            }
        }
        Ok(())
    }

    /// Asks the gate about each, now, and writes the rows of those whom it lets through as it did before.
    fn rows(&mut self, nths: &[usize]) -> Vec<Row<Gated>> {
        let mut rows = Vec::new();
        for &nth in nths {
            let member = &mut self.members[nth];
            let Some(noted) = member.noted.as_ref().filter(|_| member.end.is_none() && member.verdict.is_none()) else {
                continue;
            };
            match self.house.clear(&member.waiting.queued) {
                Clearance::Cleared(now) if *now == **noted => match Row::of(&self.partner.connector, nth, &now, &self.country) {
                    Ok(row) => match self.partner.connector.sends_nothing(row.op) {
                        Some(why) if now.message().kind.takes_back() => {
                            let destination = now.message().destination.clone();
                            let reason = Reason::CannotBeTold { destination, contact: String::new(), why: Some(why.to_owned()) };
                            member.end = Some((FinalState::Blocked, Some(reason.write())));
                        }
                        Some(reason) => member.end = Some((FinalState::Dead, Some(format!("the tool cannot be told: {reason}")))),
                        None => rows.push(row),
                    },
                    Err(reason) => member.give_up(reason, Instant::now()),
                },
                // Something else lets it through now: noted anew before it leaves.
                Clearance::Cleared(_) => {
                    member.verdict = Some(Verdict::Again { reason: "her choices changed".into(), at: Instant::now() });
                }
                Clearance::Blocked(reason) => member.end = Some((FinalState::Blocked, Some(reason))),
                Clearance::Superseded => member.verdict = Some(Verdict::Ended),
            }
        }
        rows
    }

    /// Invariant: no request begins with a person in it whom the gate holds back at that moment.
    fn still_cleared(&self, nths: &[usize]) -> impl FnOnce() -> bool + Send + 'static {
        let house = self.house.clone();
        let people = nths.iter().map(|&nth| (self.members[nth].waiting.queued.clone(), self.members[nth].noted.clone()));
        let people: Vec<_> = people.collect();
        move || {
            people.iter().all(|(queued, noted)| match (house.clear(queued), noted) {
                (Clearance::Cleared(now), Some(noted)) => *now == **noted,
                _ => false,
            })
        }
    }

    async fn exchange(&mut self, rows: Vec<Row<Gated>>, work: &mut VecDeque<Vec<usize>>) -> Result<(), Stop> {
        let who = nths(&rows);
        let token = match self.partner.token().await {
            Ok(token) => token,
            Err(TokenError::Away(reason)) => return Err(Stop { reason, at: Instant::now(), counts: true }),
            Err(TokenError::Refused(reason)) => return Err(self.configuration(reason)),
        };
        let many = who.len() > 1;
        let mut exchange = Exchange::new(self.partner.connector.clone(), rows);
        let ending = loop {
            match exchange.next(&self.partner.settings, token.as_deref(), &moment()) {
                Ok(Next::Send(request)) => {
                    if request.body.len() > self.partner.connector.bytes_max && many {
                        break Ending::Split("larger than the tool takes".into());
                    }
                    self.partner.turn().await;
                    self.house.reached("before send");
                    let Some(answer) = self.partner.transport.transfer_if(request, self.still_cleared(&who)).await else {
                        // Asked one by one again: who is held back now leaves the batch.
                        work.push_front(who);
                        return Ok(());
                    };
                    who.iter().for_each(|&nth| self.members[nth].tried = true);
                    self.house.reached("after send");
                    self.status = answer.status;
                    exchange.answer(&answer);
                    self.partner.hold(exchange.hold());
                }
                Ok(Next::Wait(time)) => tokio::time::sleep(time).await,
                Ok(Next::Done(ending)) => break ending,
                Err(RenderError::Sign(reason)) => return Err(self.configuration(reason)),
                Err(error) if many => break Ending::Split(error.to_string()),
                Err(error) => break Ending::Rows(vec![(who[0], RowEnd::Drop(error.to_string()))]),
            }
        };
        match ending {
            Ending::Rows(ends) => {
                let mut at_once = Vec::new();
                for (nth, end) in ends {
                    let member = &mut self.members[nth];
                    match end {
                        RowEnd::Ok => member.end = Some((FinalState::Sent, None)),
                        RowEnd::Drop(reason) => member.give_up(reason, Instant::now()),
                        RowEnd::Bounce(reason) => {
                            (member.end, member.closed) = (Some((FinalState::Dead, Some(reason))), Some(Closed::Bounced));
                        }
                        RowEnd::Stop(reason) => {
                            (member.end, member.closed) = (Some((FinalState::Dead, Some(reason))), Some(Closed::Stopped));
                        }
                        RowEnd::Again(reason) => {
                            let now = Instant::now();
                            match member.is_old(now) {
                                true => member.give_up(reason, now),
                                false => {
                                    let at = now + delay(member.waiting.attempts + 1, rand::random());
                                    member.verdict = Some(Verdict::Again { reason, at });
                                }
                            }
                        }
                        RowEnd::AtOnce => at_once.push(nth),
                    }
                }
                if !at_once.is_empty() {
                    work.push_front(at_once);
                }
                Ok(())
            }
            Ending::Split(_) => {
                let (left, right) = who.split_at(who.len().div_ceil(2));
                work.push_front(right.to_vec());
                work.push_front(left.to_vec());
                Ok(())
            }
            Ending::Auth(reason) => {
                if !self.renewed && self.partner.forget_token(token.as_deref()).await {
                    self.renewed = true;
                    work.push_front(who);
                    return Ok(());
                }
                Err(self.configuration(reason))
            }
            Ending::Config(reason) => Err(self.configuration(reason)),
            Ending::Retry { reason, after } => {
                let at = Instant::now() + after.unwrap_or(Duration::ZERO);
                Err(Stop { reason, at, counts: true })
            }
        }
    }

    fn configuration(&self, reason: String) -> Stop {
        Stop { reason, at: Instant::now() + COOLDOWN_CONFIGURATION, counts: false }
    }

    /// Tells the breaker, the counters and the history; gives each person's message back to the queue.
    async fn settle(mut self, ticket: Ticket, outcome: Result<(), Stop>) -> Vec<(Waiting, Verdict)> {
        let now = Instant::now();
        let (lane, house) = (self.lane, &**self.house);
        let tried = self.members.iter().any(|member| member.tried);
        {
            let mut breaker = lane.breaker.lock();
            match &outcome {
                Ok(()) if tried => breaker.answered(ticket),
                Ok(()) => breaker.undecided(ticket),
                Err(stop) => {
                    if stop.counts {
                        breaker.failed(ticket, now);
                    }
                    if stop.at > now {
                        breaker.hold(ticket, stop.at);
                    }
                }
            }
        }
        for member in &mut self.members {
            member.waiting.attempts += u32::from(member.tried);
            if member.end.is_some() || member.verdict.is_some() {
                continue;
            }
            let Err(stop) = &outcome else {
                member.verdict = Some(Verdict::Again { reason: "left over".into(), at: now });
                continue;
            };
            let own = if stop.counts { now + delay(member.waiting.attempts.max(1), rand::random()) } else { now };
            if stop.counts && member.is_old(now) {
                member.give_up(stop.reason.clone(), now);
            } else {
                member.verdict = Some(Verdict::Again { reason: stop.reason.clone(), at: stop.at.max(own) });
            }
        }
        if let Err(stop) = &outcome {
            *lane.last_error.lock() = Some(stop.reason.clone());
            let destination = &lane.destination.key;
            tracing::warn!(destination, people = self.members.len(), status = self.status, "delivery failed");
        }
        let status = self.status;
        let records = self.members.iter_mut().filter_map(|member| {
            let (state, reason) = member.end.take()?;
            lane.count(&member.waiting, state, house);
            let status = status.filter(|_| member.tried);
            member.verdict = Some(Verdict::Ended);
            let closed = member.noted.clone().zip(member.closed);
            let waiting = &member.waiting;
            Some(async move {
                // Before the result: nobody who looks at it finds the address open.
                if let Some((noted, why)) = closed {
                    house.closed(&noted, why, reason.as_deref().unwrap_or_default()).await;
                }
                record(house, waiting, state, status, reason).await;
            })
        });
        join_all(records.collect::<Vec<_>>()).await;
        for member in &self.members {
            if let Some(Verdict::Again { reason, .. }) = &member.verdict {
                lane.count_failure(house, reason);
            }
        }
        let again = |member: Member| {
            let verdict = member.verdict.unwrap_or(Verdict::Ended);
            (member.waiting, verdict)
        };
        self.members.into_iter().map(again).collect()
    }
}

fn nths(rows: &[Row<Gated>]) -> Vec<usize> {
    rows.iter().map(|row| row.nth).collect()
}
