//! Earlier messages to a person, for the frequency that a policy allows.

use jumelle_activate::QueueKey;
use jumelle_consent::Contact;
use jumelle_model::Workspace;
use jumelle_model::ids::ProfileId;
use jumelle_model::message::MessageType;
use jumelle_store::{Result, Table};

use crate::delivery::{Delivery, DeliveryState, person_key};
use crate::shared::Shared;

/// Deliveries of one person looked at, the newest: no rule counts more than half as many contacts.
const CONTACTS_SCANNED_MAX: usize = 2_000;

impl Shared {
    /// Messages that brought the person into a tool, or will: queued, sent, or given up after a request that may have arrived.
    /// `before`: only those queued earlier, so that of two which wait the first one goes. Nothing is read where no rule counts.
    pub(crate) fn contacts(&self, workspace: &Workspace, person: ProfileId, before: Option<QueueKey>) -> Result<Vec<Contact>> {
        if !workspace.policy.counts_contacts() && workspace.preferences.frequencies.is_empty() {
            return Ok(Vec::new());
        }
        let before = before.map(|key| person_key(person, QueueKey { profile: key.profile, ..key }));
        let rows =
            self.behind.scan_back(Table::DeliveriesOfPerson, &person.0.to_be_bytes(), before.as_deref(), CONTACTS_SCANNED_MAX)?;
        let mut contacts = Vec::new();
        for (_, id) in rows {
            let row = self.behind.get(Table::Deliveries, &id)?;
            let Some(delivery) = row.and_then(|row| Delivery::decode(&row)) else { continue };
            let may_have_arrived = match delivery.state {
                DeliveryState::Queued | DeliveryState::Sent => true,
                DeliveryState::Dead => delivery.attempts > 0,
                DeliveryState::Blocked => false,
            };
            if may_have_arrived && delivery.message.kind == MessageType::Entered {
                contacts.push(Contact { at: delivery.at, channel: delivery.message.channel, purpose: delivery.message.purpose });
            }
        }
        Ok(contacts)
    }
}
