//! What came of messages: which message a report is about, what was reported of each, and what every day came to.
//!
//! A report is tied to its message where it is taken in ([`Shared::about`]) and is an event with that in it, so that a replay needs no
//! guess. Days are counts, nobody's name; like [`crate::days`] they outlive an erasure, what was reported of a delivery does not.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jumelle_collect::inbound::{Joined, JoinedBy};
use jumelle_model::Json;
use jumelle_model::event::{Event, lookup};
use jumelle_model::ids::DeliveryId;
use jumelle_model::message::{Message, MessageType};
use jumelle_model::outcome::{Outcome, REPORTED};
use jumelle_model::time::{Span, Timestamp};
use jumelle_store::{Result, Table};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::days::reason_kind;
use crate::delivery::{Delivery, DeliveryState};
use crate::fold::Fold;
use crate::shared::Shared;

/// Different destination × activation counted per day; more go into none.
const PAIRS_MAX: usize = 1_000;
/// Reasons of one destination × activation and day; more go into none.
const REASONS_MAX: usize = 100;
/// Reports of one delivery that are recognised when they come again; the oldest is forgotten first.
const SEEN_MAX: usize = 64;
/// Messages of a person among which the one of a report is looked for, the newest.
const LOOKED_AT_MAX: usize = 200;
/// A report that names no delivery is about one that is no older than this, or about whom the tool still has.
const JOIN_WITHIN: Span = Span(90 * 86_400 * 1_000_000);
/// A tool's clock may be behind ours by so much.
const CLOCK_SLACK: Span = Span(300 * 1_000_000);

/// One day.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ResultsDay {
    /// By destination and activation; an empty activation: reports that no message of ours was found for.
    pub by: BTreeMap<(String, String), Funnel>,
}

/// From queued to converted. Counted are messages that bring somebody in, since they are the ones that reach her.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Funnel {
    /// Queued.
    pub queued: u64,
    /// The destination took them.
    pub sent: u64,
    /// Given up: the destination refused them, or could not be reached.
    pub refused: u64,
    /// Held back by the gate, by reason.
    pub blocked: BTreeMap<String, u64>,
    /// What was reported.
    pub outcomes: BTreeMap<Outcome, Tally>,
}

/// How often something was reported.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Messages of which it was reported at all: one person each, counted on the day of the first report.
    pub people: u64,
    /// Reports.
    pub total: u64,
}

/// What was reported of one delivery.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Reported {
    /// Each outcome with its number, the first time and the last.
    pub outcomes: BTreeMap<Outcome, Times>,
    /// Fingerprints of the reports.
    seen: Vec<u64>,
}

/// When something was reported.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Times {
    /// How often.
    pub count: u64,
    /// The earliest, by the tool's clock.
    pub first: Timestamp,
    /// The latest.
    pub last: Timestamp,
}

/// A step of a message within the house.
pub(crate) enum Passed<'a> {
    Queued,
    Sent,
    Refused,
    Blocked(&'a str),
}

/// Whom and which message a report is about.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct About {
    /// Namespace and value that lead to the person; `None`: nobody is known by what the report says.
    pub who: Option<(String, String)>,
    /// The message.
    pub joined: Option<Joined>,
    /// This very report was taken before.
    pub known: bool,
}

impl ResultsDay {
    pub(crate) fn decode(bytes: &[u8]) -> Option<ResultsDay> {
        postcard::from_bytes(bytes).ok()
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        // Every part can be written; a Vec does not run out.
        postcard::to_allocvec(self).unwrap_or_default()
    }

    fn of(&mut self, destination: &str, activation: &str) -> Option<&mut Funnel> {
        let key = (destination.to_owned(), activation.to_owned());
        if self.by.len() >= PAIRS_MAX && !self.by.contains_key(&key) {
            return None;
        }
        Some(self.by.entry(key).or_default())
    }

    fn passed(&mut self, message: &Message, step: Passed<'_>) {
        let Some(funnel) = self.of(&message.destination, &message.activation) else { return };
        match step {
            Passed::Queued => funnel.queued += 1,
            Passed::Sent => funnel.sent += 1,
            Passed::Refused => funnel.refused += 1,
            Passed::Blocked(why) => {
                let reason = reason_kind(why);
                if funnel.blocked.len() < REASONS_MAX || funnel.blocked.contains_key(reason) {
                    *funnel.blocked.entry(reason.to_owned()).or_default() += 1;
                }
            }
        }
    }

    fn reported(&mut self, destination: &str, activation: &str, outcome: Outcome, is_first: bool) {
        let Some(funnel) = self.of(destination, activation) else { return };
        let tally = funnel.outcomes.entry(outcome).or_default();
        tally.total += 1;
        tally.people += u64::from(is_first);
    }
}

impl Funnel {
    /// Adds another day's.
    pub fn add(&mut self, other: &Funnel) {
        self.queued += other.queued;
        self.sent += other.sent;
        self.refused += other.refused;
        for (reason, count) in &other.blocked {
            *self.blocked.entry(reason.clone()).or_default() += count;
        }
        for (outcome, tally) in &other.outcomes {
            let mine = self.outcomes.entry(*outcome).or_default();
            mine.people += tally.people;
            mine.total += tally.total;
        }
    }
}

impl Reported {
    pub(crate) fn decode(bytes: &[u8]) -> Option<Reported> {
        postcard::from_bytes(bytes).ok()
    }

    fn encode(&self) -> Vec<u8> {
        // Every part can be written; a Vec does not run out.
        postcard::to_allocvec(self).unwrap_or_default()
    }

    fn has(&self, message_id: &str) -> bool {
        self.seen.contains(&xxh3_64(message_id.as_bytes()))
    }

    /// Takes a report; `None`: it was taken before. Else whether it is the first of its kind.
    fn take(&mut self, outcome: Outcome, at: Timestamp, message_id: &str) -> Option<bool> {
        if self.has(message_id) {
            return None;
        }
        if self.seen.len() >= SEEN_MAX {
            self.seen.remove(0);
        }
        self.seen.push(xxh3_64(message_id.as_bytes()));
        let is_first = !self.outcomes.contains_key(&outcome);
        let times = self.outcomes.entry(outcome).or_insert(Times { count: 0, first: at, last: at });
        times.count += 1;
        times.first = times.first.min(at);
        times.last = times.last.max(at);
        Some(is_first)
    }
}

impl Fold {
    pub(crate) fn note_step(&mut self, message: &Message, step: Passed<'_>) -> Result<()> {
        if message.kind == MessageType::Entered {
            self.results_today()?.passed(message, step);
        }
        Ok(())
    }

    /// Counts what a tool reports, and keeps it with the message that it is about.
    pub(crate) fn note_report(&mut self, event: &Event<'_>) -> Result<()> {
        if event.source != REPORTED {
            return Ok(());
        }
        let text = |name: &str| match lookup(&event.properties, name) {
            Some(Json::Str(text)) => Some(text.to_string()),
            _ => None,
        };
        let (Some(outcome), Some(destination)) = (text("outcome").as_deref().and_then(Outcome::parse), text("destination"))
        else {
            return Ok(());
        };
        let id = text("delivery").and_then(|id| id.parse::<DeliveryId>().ok());
        let found = match id {
            Some(id) => self.shared.delivery(id)?.map(|delivery| (id, delivery.message.activation)),
            None => None,
        };
        let (activation, is_first) = match found {
            None => (String::new(), false),
            Some((id, activation)) => {
                let mut reported = self.shared.reported(id)?.unwrap_or_default();
                let Some(is_first) = reported.take(outcome, event.time, event.message_id) else { return Ok(()) };
                self.shared.behind.put(Table::Reports, id.0.to_be_bytes(), reported.encode());
                (activation, is_first)
            }
        };
        self.results_today()?.reported(&destination, &activation, outcome, is_first);
        if self.is_live() {
            self.shared.flow.outcome(&destination, |minute| match outcome {
                Outcome::Delivered => minute.delivered += 1,
                Outcome::Bounced => minute.bounced += 1,
                _ => {}
            });
            metrics::counter!("jumelle_results_total", "destination" => destination, "outcome" => outcome.as_str()).increment(1);
        }
        Ok(())
    }
}

impl Shared {
    /// What was reported of a delivery.
    pub fn reported(&self, id: DeliveryId) -> Result<Option<Reported>> {
        Ok(self.behind.get(Table::Reports, &id.0.to_be_bytes())?.and_then(|row| Reported::decode(&row)))
    }

    /// The newest `limit` days on which anything came of a message, oldest first.
    pub fn results_days(&self, limit: usize) -> Result<Vec<(Date, ResultsDay)>> {
        self.by_day(Table::Results, limit, ResultsDay::decode)
    }

    /// Whom and which message a report of a destination is about: the delivery that it names, else the last one before `at` that
    /// went to the person by this destination. `Err`: the address is none.
    pub fn about(
        &self,
        destination: &str,
        delivery: Option<DeliveryId>,
        address: Option<(&str, &str)>,
        at: Timestamp,
        message_id: &str,
    ) -> std::result::Result<Result<About>, String> {
        let named = match delivery.map(|id| self.delivery(id)).transpose() {
            Ok(found) => found.flatten().filter(|delivery| delivery.message.destination == destination),
            Err(error) => return Ok(Err(error)),
        };
        let person = match address {
            Some((namespace, value)) => match self.find(namespace, value)? {
                Ok(person) => person,
                Err(error) => return Ok(Err(error)),
            },
            None => None,
        };
        let told = address.map(|(namespace, value)| (namespace.to_owned(), value.to_owned())).filter(|_| person.is_some());
        Ok(self.join(destination, named, person.map(|person| person.id), told, at, message_id))
    }

    fn join(
        &self,
        destination: &str,
        named: Option<Delivery>,
        person: Option<jumelle_model::ProfileId>,
        told: Option<(String, String)>,
        at: Timestamp,
        message_id: &str,
    ) -> Result<About> {
        let (found, by) = match (named, person) {
            (Some(delivery), _) => (Some(delivery), JoinedBy::Delivery),
            (None, Some(person)) => (self.last_before(destination, person, at)?, JoinedBy::Address),
            (None, None) => (None, JoinedBy::Address),
        };
        let Some(delivery) = found else { return Ok(About { who: told, ..About::default() }) };
        let id = delivery.message.id;
        let who = match told {
            Some(told) => Some(told),
            None => self.name_of(&delivery)?,
        };
        let known = self.reported(id)?.is_some_and(|reported| reported.has(message_id));
        Ok(About { who, joined: Some(Joined { delivery: id, activation: delivery.message.activation, by }), known })
    }

    /// What leads to the person of a delivery: where it went, else any identifier of hers.
    fn name_of(&self, delivery: &Delivery) -> Result<Option<(String, String)>> {
        let owner = self.people.surviving(delivery.message.profile)?;
        let Some(person) = self.people.get(owner)? else { return Ok(None) };
        let sent_to = delivery.message.address.clone();
        let holds = |(namespace, value): &(String, String)| {
            person.known.identifiers.keys().any(|known| known.namespace == *namespace && known.value == *value)
        };
        let any = || person.known.identifiers.keys().next().map(|known| (known.namespace.clone(), known.value.clone()));
        Ok(sent_to.filter(holds).or_else(any))
    }

    fn last_before(&self, destination: &str, person: jumelle_model::ProfileId, at: Timestamp) -> Result<Option<Delivery>> {
        let page = self.deliveries_of(person, None, LOOKED_AT_MAX)?;
        let is_candidate = |delivery: &Delivery| {
            let message = &delivery.message;
            message.destination == destination
                && message.kind == MessageType::Entered
                && delivery.state == DeliveryState::Sent
                && message.at <= at + CLOCK_SLACK
        };
        let Some(last) = page.items.into_iter().find(is_candidate) else { return Ok(None) };
        if last.at + JOIN_WITHIN >= at {
            return Ok(Some(last));
        }
        let still_there = self.people.get(person)?.is_some_and(|person| {
            person.activations.get(&last.message.activation).is_some_and(|standing| standing.received.is_some())
        });
        Ok(still_there.then_some(last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_report_counts_once_and_a_person_once_for_each_message() {
        let mut reported = Reported::default();
        assert_eq!(reported.take(Outcome::Opened, Timestamp(20), "a"), Some(true));
        assert_eq!(reported.take(Outcome::Opened, Timestamp(20), "a"), None, "delivered again");
        assert_eq!(reported.take(Outcome::Opened, Timestamp(10), "b"), Some(false), "an earlier one that came late");
        assert_eq!(reported.take(Outcome::Clicked, Timestamp(30), "c"), Some(true));
        assert_eq!(reported.outcomes[&Outcome::Opened], Times { count: 2, first: Timestamp(10), last: Timestamp(20) });
        for n in 0..SEEN_MAX + 5 {
            reported.take(Outcome::Opened, Timestamp(40), &n.to_string());
        }
        assert_eq!(reported.seen.len(), SEEN_MAX);
        assert_eq!(Reported::decode(&reported.encode()), Some(reported));
    }

    #[test]
    fn a_day_has_a_bound_and_adds_up() {
        let mut day = ResultsDay::default();
        for n in 0..PAIRS_MAX + 10 {
            day.reported("mailer", &format!("a{n}"), Outcome::Opened, true);
        }
        assert_eq!(day.by.len(), PAIRS_MAX);
        day.reported("mailer", "a0", Outcome::Opened, false);
        let mut sum = Funnel { queued: 1, blocked: BTreeMap::from([("denied".to_owned(), 2)]), ..Funnel::default() };
        sum.add(&sum.clone());
        sum.add(&day.by[&("mailer".to_owned(), "a0".to_owned())]);
        assert_eq!((sum.queued, sum.blocked["denied"]), (2, 4));
        assert_eq!(sum.outcomes[&Outcome::Opened], Tally { people: 1, total: 2 });
        assert_eq!(ResultsDay::decode(&day.encode()), Some(day));
    }
}
