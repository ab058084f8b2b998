//! Deliveries that are tried again: who asked, and how each had ended before.

use jumelle_model::ids::{DeliveryId, Position, ProfileId};
use jumelle_model::time::Timestamp;
use jumelle_store::{Result, Table};
use serde::{Deserialize, Serialize};

use crate::delivery::{Delivery, DeliveryState, ended_key, person_key};
use crate::fold::Fold;
use crate::shared::Shared;

/// Replays of one delivery that are told, the newest.
const TOLD_MAX: usize = 100;

/// A replay of a delivery, with the end that it had come to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Replayed {
    /// How it had ended.
    pub state: DeliveryState,
    /// Why.
    pub reason: Option<String>,
    /// Requests up to then.
    pub attempts: u32,
    /// HTTP status of the last one.
    pub status: Option<u16>,
    /// When it had ended.
    pub ended_at: Timestamp,
    /// When it was asked to be tried again.
    pub at: Timestamp,
    /// Name of the token with which that was asked; empty: written before that was kept.
    pub by: String,
}

impl Replayed {
    fn encode(&self) -> Vec<u8> {
        // Every part of it can be written; a Vec does not run out.
        postcard::to_allocvec(self).unwrap_or_default()
    }
}

fn key(delivery: DeliveryId, at: Position) -> [u8; 24] {
    let mut key = [0; 24];
    key[..16].copy_from_slice(&delivery.0.to_be_bytes());
    key[16..].copy_from_slice(&at.0.to_be_bytes());
    key
}

impl Fold {
    /// A dead or blocked delivery is tried again; it passes the gate like any other.
    pub(crate) fn replay(&mut self, id: DeliveryId, by: &str) -> Result<()> {
        let Some(mut delivery) = self.delivery(id)? else { return Ok(()) };
        // One that was taken is sent again where a comparison shows that the tool has lost it.
        if delivery.state == DeliveryState::Queued {
            return Ok(());
        }
        let owner = self.shared.whose(&delivery)?;
        if self.shared.is_of_joined(owner, &delivery)? && !self.says_what_stands(owner, &delivery)? {
            return Ok(());
        }
        let before = Replayed {
            state: delivery.state,
            reason: delivery.reason.take(),
            attempts: delivery.attempts,
            status: delivery.status,
            ended_at: delivery.at,
            at: self.clock,
            by: by.to_owned(),
        };
        self.shared.behind.put(Table::Replays, key(id, self.cause.position), before.encode());
        self.shared.behind.remove(Table::DeliveriesOfPerson, person_key(owner, delivery.key()));
        self.shared.behind.remove(Table::Ended, ended_key(&delivery.message.destination, delivery.state, delivery.key()));
        delivery.position = self.cause.position.0;
        delivery.ordinal = self.cause.next(owner, delivery.message.profile);
        delivery.state = DeliveryState::Queued;
        delivery.at = self.clock;
        self.shared.behind.put(Table::DeliveriesOfPerson, person_key(owner, delivery.key()), id.0.to_be_bytes());
        self.put_delivery(&delivery);
        self.announce(&delivery)
    }

    /// It carries what its destination was told last about this person.
    fn says_what_stands(&self, owner: ProfileId, delivery: &Delivery) -> Result<bool> {
        let message = &delivery.message;
        let person = self.shared.people.get(owner)?;
        let last = person.as_ref().and_then(|person| person.activations.get(&message.activation)?.last.as_ref());
        Ok(last.is_some_and(|last| (&last.address, &last.data) == (&message.address, &message.data)))
    }

    /// Of a delivery that is erased; `id`: as its key is.
    pub(crate) fn forget_replays(&self, id: &[u8]) -> Result<()> {
        for (key, _) in self.shared.behind.scan(Table::Replays, id, None, usize::MAX)? {
            self.shared.behind.remove(Table::Replays, key);
        }
        Ok(())
    }
}

impl Shared {
    /// When a delivery was tried again, the oldest first; of more than a hundred the newest.
    pub fn replays_of(&self, id: DeliveryId) -> Result<Vec<Replayed>> {
        let rows = self.behind.scan_back(Table::Replays, &id.0.to_be_bytes(), None, TOLD_MAX)?;
        Ok(rows.iter().rev().filter_map(|(_, row)| postcard::from_bytes(row).ok()).collect())
    }
}
