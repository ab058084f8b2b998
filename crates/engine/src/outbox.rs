//! The outbox: deliveries as the fold queues them, and what their results mean for the person.

use jumelle_activate::Queued;
use jumelle_consent::{Reason, Sent};
use jumelle_model::ids::{DeliveryId, ProfileId};
use jumelle_model::message::{Message, MessageType};
use jumelle_model::workspace::Activation;
use jumelle_profile::Held;
use jumelle_store::{Result, ResultState, Table};

use crate::days::told;
use crate::delivery::{Delivery, DeliveryState, ended_key, person_key, queue_key};
use crate::fold::{Announcement, Fold};
use crate::keep::names_otherwise;
use crate::results::Passed;

impl Fold {
    /// Queues a delivery, or records one that the gate blocked.
    pub(crate) fn queue(
        &mut self,
        activation: &Activation,
        profile: ProfileId,
        kind: MessageType,
        sent: Sent,
        blocked: Option<String>,
    ) -> Result<()> {
        let known_as =
            self.known_as.filter(|(leaves, _)| *leaves == profile && kind.takes_back()).map_or(profile, |(_, as_id)| as_id);
        self.queue_about(activation, (known_as, profile), kind, sent, blocked)
    }

    /// As [`Fold::queue`], about somebody whom the tool knows by another id: the one that she had before a join, or until a split.
    pub(crate) fn queue_about(
        &mut self,
        activation: &Activation,
        (known_as, owner): (ProfileId, ProfileId),
        kind: MessageType,
        sent: Sent,
        blocked: Option<String>,
    ) -> Result<()> {
        let destination = self.definitions.workspace.destination(&activation.destination);
        let cannot_be_told = destination.and_then(|destination| destination.take_back.removal_none.as_ref());
        let blocked = blocked.or_else(|| {
            let none = cannot_be_told.filter(|_| kind.takes_back())?;
            let destination = activation.destination.clone();
            Some(Reason::CannotBeTold { destination, contact: none.contact.clone(), why: None }.write())
        });
        let profile = known_as;
        // One cause may take her out of a tool under two names.
        let name = match known_as == owner {
            true => String::new(),
            false => format!(":{owner}"),
        };
        let cause = format!("{}:{}:{}{name}", kind.as_str(), self.cause.position.0, self.clock.0);
        let message = Message {
            id: DeliveryId::derive(&activation.key, profile, &cause),
            kind,
            activation: activation.key.clone(),
            segment: activation.segment.clone(),
            destination: activation.destination.clone(),
            purpose: activation.purpose.clone(),
            channel: activation.channel,
            at: self.clock,
            profile,
            address: sent.address,
            data: sent.data,
        };
        self.enqueue(owner, message, blocked)
    }

    fn enqueue(&mut self, owner: ProfileId, message: Message, blocked: Option<String>) -> Result<()> {
        let delivery = Delivery {
            position: self.cause.position.0,
            ordinal: self.cause.next(owner, message.profile),
            state: if blocked.is_some() { DeliveryState::Blocked } else { DeliveryState::Queued },
            reason: blocked,
            attempts: 0,
            status: None,
            at: self.clock,
            message,
        };
        let id = delivery.message.id;
        self.shared.behind.put(Table::DeliveriesOfPerson, person_key(owner, delivery.key()), id.0.to_be_bytes());
        self.put_delivery(&delivery);
        if let Some(effect) = &mut self.effect {
            let message = &delivery.message;
            let (reason, gate) = told(delivery.reason.clone());
            effect.deliveries.push(serde_json::json!({
                "id": id, "activation": message.activation, "destination": message.destination, "purpose": message.purpose,
                "channel": message.channel, "type": message.kind.as_str(), "state": delivery.state, "reason": reason, "gate": gate,
            }));
        }
        match &delivery.reason {
            Some(reason) => self.held_back(&delivery.message, reason)?,
            None => {
                self.day()?.queued += 1;
                self.note_step(&delivery.message, Passed::Queued)?;
            }
        }
        if delivery.state == DeliveryState::Blocked {
            metrics::counter!("jumelle_deliveries_total", "destination" => delivery.message.destination.clone(), "state" => "blocked")
                .increment(1);
        } else {
            self.announce(&delivery)?;
        }
        Ok(())
    }

    /// The gate held a message back, at the first passage or the second.
    fn held_back(&mut self, message: &Message, reason: &str) -> Result<()> {
        self.day()?.held_back(&message.activation, reason);
        self.note_step(message, Passed::Blocked(reason))?;
        if self.is_live() {
            self.shared.flow.outcome(&message.destination, |outcomes| outcomes.blocked += 1);
        }
        Ok(())
    }

    pub(crate) fn put_delivery(&self, delivery: &Delivery) {
        let id = delivery.message.id.0.to_be_bytes();
        let key = queue_key(&delivery.message.destination, delivery.key());
        if delivery.state == DeliveryState::Queued {
            let mut row = id.to_vec();
            row.extend_from_slice(&delivery.message.profile.0.to_be_bytes());
            self.shared.behind.put(Table::Queue, key, row);
        } else {
            self.shared.behind.remove(Table::Queue, key);
            let ended = ended_key(&delivery.message.destination, delivery.state, delivery.key());
            self.shared.behind.put(Table::Ended, ended, id);
        }
        self.shared.behind.put(Table::Deliveries, id, delivery.encode());
    }

    pub(crate) fn announce(&self, delivery: &Delivery) -> Result<()> {
        if let Some(announce) = &self.announce {
            let queued = Queued {
                key: delivery.key(),
                id: delivery.message.id,
                // Not the owner's: after a split what the tool knows by one id stays in one order, whosever it is.
                profile: self.shared.people.surviving(delivery.message.profile)?,
                destination: delivery.message.destination.clone(),
            };
            announce(Announcement::Queued(queued, delivery.message.kind));
        }
        Ok(())
    }

    pub(crate) fn delivery(&self, id: DeliveryId) -> Result<Option<Delivery>> {
        Ok(self.shared.behind.get(Table::Deliveries, &id.0.to_be_bytes())?.and_then(|bytes| Delivery::decode(&bytes)))
    }

    /// A delivery's fate is an event of the person.
    pub(crate) fn result(
        &mut self,
        id: DeliveryId,
        state: ResultState,
        attempts: u32,
        status: Option<u16>,
        reason: Option<&str>,
    ) -> Result<()> {
        let Some(mut delivery) = self.delivery(id)? else { return Ok(()) };
        if delivery.state != DeliveryState::Queued {
            return Ok(());
        }
        let id = self.shared.whose(&delivery)?;
        delivery.state = match state {
            ResultState::Sent => DeliveryState::Sent,
            ResultState::Blocked => DeliveryState::Blocked,
            ResultState::Dead => DeliveryState::Dead,
        };
        delivery.attempts = attempts;
        delivery.status = status;
        delivery.reason = reason.map(str::to_owned);
        delivery.at = self.clock;
        self.note_outcome(&delivery)?;
        self.put_delivery(&delivery);
        let message = delivery.message;
        match state {
            ResultState::Sent => {
                self.day()?.sent += 1;
                self.note_step(&message, Passed::Sent)?;
                if message.kind.takes_back() {
                    self.chosen_today()?.confirmed(&message.destination);
                }
                if self.is_live() {
                    self.shared.flow.outcome(&message.destination, |outcomes| outcomes.sent += 1);
                    if !self.shared.clock_follows_events {
                        crate::durations::SENT.record(self.clock.0.saturating_sub(message.at.0).max(0) as f64 / 1e6);
                    }
                }
            }
            ResultState::Blocked => self.held_back(&message, reason.unwrap_or_default())?,
            ResultState::Dead => {
                self.note_step(&message, Passed::Refused)?;
                if self.is_live() {
                    self.shared.flow.outcome(&message.destination, |outcomes| outcomes.refused += 1);
                }
            }
        }
        if message.kind == MessageType::Erased {
            return self.forget_notice(&message);
        }
        if self.shared.people.get(id)?.is_none() {
            return Ok(());
        }
        // Each of two who were one was looked at by herself since: what was told of her last is not this.
        let why = reason.and_then(Reason::read);
        let is_of_joined = why == Some(Reason::TakenApart);
        // To queue another removal would end as this one did, again and again.
        let cannot_be_told = matches!(why, Some(Reason::CannotBeTold { .. }));
        let carried = Sent { address: message.address.clone(), data: message.data.clone() };
        let definitions = self.definitions.clone();
        let activation = definitions.workspace.activation(&message.activation);
        let names_her_otherwise = |other: &Sent| activation.is_none_or(|activation| names_otherwise(activation, &carried, other));
        self.shared.people.change(id, |person| {
            let standing = person.activations.entry(message.activation.clone()).or_default();
            match (message.kind.takes_back(), state) {
                // Another copy of her may be there: under the name that she has now, or had before a join.
                (true, ResultState::Sent)
                    if standing.held == Held::In
                        && standing.received == standing.last
                        && standing
                            .received
                            .as_ref()
                            .is_none_or(|received| *received != carried && names_her_otherwise(received)) => {}
                (true, ResultState::Sent) => standing.received = None,
                (true, _) => {}
                // A request that was made may have arrived, whatever came back: it will be taken back all the same.
                (false, ResultState::Sent) => standing.received = Some(carried.clone()),
                (false, _) if attempts > 0 => standing.received = Some(carried.clone()),
                (false, _) => {}
            }
            if is_of_joined {
                return;
            }
            if message.kind == MessageType::Updated && state == ResultState::Blocked && standing.last.as_ref() == Some(&carried) {
                // The destination still has what it had; once the gate opens, that is compared again.
                standing.last = standing.received.clone();
                if standing.last.is_none() {
                    standing.held = Held::Blocked;
                }
            }
            if message.kind == MessageType::Entered
                && state == ResultState::Blocked
                && standing.held == Held::In
                && standing.last.as_ref() == Some(&carried)
            {
                standing.held = Held::Blocked;
                standing.last = None;
            }
        })?;
        let may_be_there = match (message.kind.takes_back(), state) {
            (false, ResultState::Sent) => true,
            (true, ResultState::Blocked) => !cannot_be_told,
            (false, _) => attempts > 0,
            (true, _) => false,
        };
        if may_be_there {
            self.take_back_what_came_late(id, &message.activation, &carried)?;
        } else if message.kind.takes_back() && state == ResultState::Sent {
            self.bring_back_what_left_late(id, &message.activation, &carried)?;
        }
        self.evaluate(id)
    }

    /// Used by an erasure: a message without an activation in force.
    pub(crate) fn enqueue_notice(&mut self, message: Message) -> Result<()> {
        self.enqueue(message.profile, message, None)
    }
}
