//! Erasure: the one exception to "appended, never edited". Her events leave the history, a tombstone stays.

use jumelle_consent::Sent;
use jumelle_model::ids::{DeliveryId, Position, ProfileId};
use jumelle_model::message::{Message, MessageType};
use jumelle_model::time::Timestamp;
use jumelle_store::{Block, BlockBuilder, Entry, Notice, Record, Result, Table};

use crate::fold::Fold;
use crate::shared::{Shared, member_key};

/// What an erasure leaves of a person: her id, her identifiers' keys, and whom to tell.
pub(crate) struct Leaving {
    pub(crate) profile: ProfileId,
    pub(crate) keys: Vec<u128>,
    pub(crate) notices: Vec<Notice>,
}

/// What an erasure of this person will do. `None`: there is no such person.
pub(crate) fn plan(shared: &Shared, id: ProfileId) -> Result<Option<Leaving>> {
    let Some(person) = shared.people.get(id)? else { return Ok(None) };
    let definitions = shared.definitions();
    let keys = person.known.identifiers.keys().map(jumelle_model::Identifier::key).collect();
    let notices = person
        .activations
        .iter()
        .filter_map(|(key, standing)| {
            let Sent { address, data } = standing.received.clone().or_else(|| standing.last.clone())?;
            let activation = definitions.workspace.activation(key)?;
            Some(Notice {
                activation: key.clone(),
                segment: activation.segment.clone(),
                destination: activation.destination.clone(),
                purpose: activation.purpose.clone(),
                channel: activation.channel,
                address,
                data,
            })
        })
        .collect();
    Ok(Some(Leaving { profile: id, keys, notices }))
}

/// Row of `Meta` that is there once somebody was erased: from then on the days know of events that the history does not.
pub(crate) const ERASURES_ROW: &[u8] = b"erasures";

impl Fold {
    /// Takes a person out of the tables and of the history before this entry, and queues the notices to the tools.
    pub(crate) fn erased(&mut self, profile: ProfileId, keys: &[u128], notices: Vec<Notice>) -> Result<()> {
        let end = self.position();
        let id = self.shared.people.surviving(profile)?;
        let positions = self.shared.timeline_of(id)?;
        let events: Vec<u64> = positions.iter().filter(|position| **position < end).map(|position| position.0).collect();
        if !events.is_empty() {
            // Invariant: where her events were is known durably before they are gone, for backups made before.
            self.shared.history.note_erasure(end, profile, keys, &events)?;
            // Invariant: before her events are gone, the tables are on disk as they stand before this entry. A crash then folds the
            // erasure again on tables that know her whole; from older ones the events that led to her could not be folded any more,
            // and what they held of her would stay.
            self.flush_now()?;
            self.shared.behind.tables.sync()?;
        }
        let mut ids = vec![id];
        if let Some(person) = self.shared.people.remove(id)? {
            {
                let mut totals = self.shared.totals.lock();
                totals.people = totals.people.saturating_sub(1);
                totals.recognised = totals.recognised.saturating_sub(u64::from(person.is_recognised()));
            }
            ids.extend(person.known.absorbed.iter().copied());
            for identifier in person.known.identifiers.keys() {
                self.shared.people.unassign(identifier.key());
            }
            for segment in person.memberships.keys() {
                self.shared.behind.remove(Table::Members, member_key(segment, id));
                self.count(segment, -1);
            }
            if person.due != Timestamp::MAX {
                self.timers.unset(&self.shared.behind, person.due, id)?;
            }
        }
        for key in keys {
            self.shared.people.unassign(*key);
        }
        for &id in &ids {
            let prefix = id.0.to_be_bytes();
            self.shared.timeline.lock().remove(&id);
            for (key, _) in self.shared.behind.scan(Table::Timeline, &prefix, None, usize::MAX)? {
                self.shared.behind.remove(Table::Timeline, key);
            }
            self.shared.behind.remove(Table::Aliases, prefix);
            self.erase_deliveries(id)?;
            self.move_corrections(id, None)?;
            self.cause.forget(id);
        }
        // After her deliveries are gone: nothing about her can be let out, and so noted, any more.
        self.erase_from_ledger(&ids)?;
        for position in events {
            self.blank(Position(position), |_| Entry::Gone)?;
        }
        for notice in notices {
            let cause = format!("erased:{}", end.0);
            self.enqueue_notice(Message {
                id: DeliveryId::derive(&notice.activation, profile, &cause),
                kind: MessageType::Erased,
                activation: notice.activation,
                segment: notice.segment,
                destination: notice.destination,
                purpose: notice.purpose,
                channel: notice.channel,
                at: self.clock,
                profile,
                address: notice.address,
                data: notice.data,
            })?;
        }
        self.suppress(keys)?;
        crate::sweep::note(&self.shared)?;
        self.shared.live.forget(&ids);
        self.shared.behind.put(Table::Meta, ERASURES_ROW, Vec::new());
        metrics::counter!("jumelle_erasures_total").increment(1);
        Ok(())
    }

    fn erase_deliveries(&mut self, id: ProfileId) -> Result<()> {
        for (key, delivery) in self.shared.behind.scan(Table::DeliveriesOfPerson, &id.0.to_be_bytes(), None, usize::MAX)? {
            if let Some(bytes) = self.shared.behind.get(Table::Deliveries, &delivery)?
                && let Some(delivery) = crate::delivery::Delivery::decode(&bytes)
            {
                let queue = crate::delivery::queue_key(&delivery.message.destination, delivery.key());
                self.shared.behind.remove(Table::Queue, queue);
                let ended = crate::delivery::ended_key(&delivery.message.destination, delivery.state, delivery.key());
                self.shared.behind.remove(Table::Ended, ended);
            }
            self.shared.behind.remove(Table::Deliveries, delivery);
            self.shared.behind.remove(Table::DeliveriesOfPerson, key);
        }
        Ok(())
    }

    /// A tool has been told (or given up on): what it had received need not be kept any longer.
    pub(crate) fn forget_notice(&mut self, message: &Message) -> Result<()> {
        let told = message.clone();
        for (key, row) in self.shared.behind.scan(Table::Deliveries, &told.id.0.to_be_bytes(), None, 1)? {
            if let Some(mut delivery) = crate::delivery::Delivery::decode(&row) {
                delivery.message.address = None;
                delivery.message.data.clear();
                self.shared.behind.put(Table::Deliveries, key, delivery.encode());
                crate::sweep::note(&self.shared)?;
                self.blank(Position(delivery.position), |entry| match entry {
                    Entry::Erased { profile, keys, mut notices } => {
                        for notice in notices.iter_mut().filter(|notice| notice.activation == told.activation) {
                            notice.address = None;
                            notice.data.clear();
                        }
                        Entry::Erased { profile, keys, notices }
                    }
                    Entry::Lapsed { profile, keys, mut notices } => {
                        for notice in notices.iter_mut().filter(|notice| notice.activation == told.activation) {
                            notice.address = None;
                            notice.data.clear();
                        }
                        Entry::Lapsed { profile, keys, notices }
                    }
                    other => other,
                })?;
            }
        }
        Ok(())
    }

    /// Rewrites one entry of the history.
    fn blank(&self, position: Position, rewrite: impl for<'a> FnOnce(Entry<'a>) -> Entry<'a>) -> Result<()> {
        let Some(block) = self.shared.history.block_of(position)? else { return Ok(()) };
        let mut rewrite = Some(rewrite);
        let mut builder = BlockBuilder::default();
        for entry in block.records() {
            let (at, record) = entry?;
            let record = match (at == position).then(|| rewrite.take()).flatten() {
                Some(rewrite) => Record { received: record.received, entry: rewrite(record.entry) },
                None => record,
            };
            builder.push(&record);
        }
        let (_, block): (_, Block) = builder.finish(block.first);
        self.shared.history.replace(&block)
    }
}
