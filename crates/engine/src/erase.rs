//! Erasure: the one exception to "appended, never edited". Her events leave the history, a tombstone stays.

use jumelle_consent::Sent;
use jumelle_identify::identifier_of;
use jumelle_model::ids::{DeliveryId, Position, ProfileId};
use jumelle_model::message::{Message, MessageType};
use jumelle_model::time::Timestamp;
use jumelle_store::{Block, BlockBuilder, Entry, EventEntry, Notice, Record, Result, Table};

use serde_json::{Map, Value};

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
        // Somebody else's, with her names in them: only these go.
        let naming_her = self.events_naming(id, keys)?;
        let set_aside = self.shared.quarantined_naming(keys)?;
        if !events.is_empty() || !naming_her.is_empty() || !set_aside.is_empty() {
            // Invariant: where her events were is known durably before they are gone, for backups made before.
            let set_aside = set_aside.iter().map(|naming| &naming.position);
            let in_backups: Vec<u64> = events.iter().chain(&naming_her).chain(set_aside).copied().collect();
            self.shared.history.note_erasure(end, profile, keys, &in_backups)?;
            // Invariant: before her events are gone, the tables are on disk as they stand before this entry. A crash then folds the
            // erasure again on tables that know her whole; from older ones the events that led to her could not be folded any more,
            // and what they held of her would stay.
            self.flush_now()?;
            self.shared.behind.tables.sync()?;
        }
        let mut ids = vec![id];
        let absorbed = self.shared.people.get(id)?.map(|person| person.known.absorbed.clone()).unwrap_or_default();
        let own: Vec<ProfileId> = std::iter::once(id).chain(absorbed).collect();
        let (in_ledger, about_her) = self.shared.in_ledger(&own)?;
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
        self.erase_from_ledger(&in_ledger, about_her)?;
        for position in events {
            self.blank(Position(position), |_, _| Entry::Gone)?;
        }
        for naming in &set_aside {
            self.erase_quarantined(naming)?;
        }
        let workspace = &self.definitions.workspace;
        let is_hers = |namespace: &str, raw: &str| {
            identifier_of(workspace, namespace, raw).is_ok_and(|identifier| keys.contains(&identifier.key()))
        };
        for position in naming_her {
            self.blank(Position(position), |body, entry| match entry {
                Entry::Event(event) => {
                    *body = without_names(event.body, is_hers);
                    Entry::Event(EventEntry { body, ..event })
                }
                other => other,
            })?;
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
        crate::sweep::note(&self.shared, self.cause.position)?;
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
            self.forget_replays(&delivery)?;
            self.shared.behind.remove(Table::Reports, delivery.clone());
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
                crate::sweep::note(&self.shared, self.cause.position)?;
                self.blank(Position(delivery.position), |_, entry| match entry {
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

    /// Rewrites one entry of the history; the text is room for what it says instead.
    pub(crate) fn blank(
        &self,
        position: Position,
        rewrite: impl for<'a> FnOnce(&'a mut String, Entry<'a>) -> Entry<'a>,
    ) -> Result<()> {
        let Some(block) = self.shared.history.block_of(position)? else { return Ok(()) };
        let (mut rewrite, mut text) = (Some(rewrite), String::new());
        let mut room = Some(&mut text);
        let mut builder = BlockBuilder::default();
        for entry in block.records() {
            let (at, record) = entry?;
            let record = match (at == position).then(|| rewrite.take().zip(room.take())).flatten() {
                Some((rewrite, room)) => Record { received: record.received, entry: rewrite(room, record.entry) },
                None => record,
            };
            builder.push(&record);
        }
        let (_, block): (_, Block) = builder.finish(block.first);
        self.shared.history.replace(&block)
    }
}

/// An event's JSON without the names for which `is_hers` holds (namespace and value as sent), wherever evidence is read from, and
/// without choices that are for one of them. Not JSON: as it is.
fn without_names(body: &str, is_hers: impl Fn(&str, &str) -> bool) -> String {
    let Ok(mut json) = serde_json::from_str::<Value>(body) else { return body.to_owned() };
    let names = |value: &Value, namespace: &str| match value {
        Value::String(raw) => is_hers(namespace, raw),
        Value::Number(raw) => is_hers(namespace, &raw.to_string()),
        _ => false,
    };
    let drop_from = |object: Option<&mut Value>, field: &str, namespaces: &[&str]| {
        if let Some(object) = object.and_then(Value::as_object_mut)
            && object.get(field).is_some_and(|value| namespaces.iter().any(|namespace| names(value, namespace)))
        {
            object.remove(field);
        }
    };
    for (field, namespaces) in
        [("userId", &["user_id"][..]), ("anonymousId", &["anonymous_id"]), ("previousId", &["user_id", "anonymous_id"])]
    {
        drop_from(Some(&mut json), field, namespaces);
    }
    for path in ["/traits", "/context/traits"] {
        let fields: Vec<String> =
            json.pointer(path).and_then(Value::as_object).into_iter().flat_map(Map::keys).cloned().collect();
        for field in fields {
            drop_from(json.pointer_mut(path), &field, &[&field]);
        }
    }
    if let Some(external) = json.pointer_mut("/context/externalIds").and_then(Value::as_array_mut) {
        external.retain(|entry| !entry["type"].as_str().is_some_and(|namespace| names(&entry["id"], namespace)));
    }
    if let Some(choices) = json.pointer_mut("/context/consents").and_then(Value::as_array_mut) {
        let is_for_her = |choice: &Value| {
            let whom = choice["for"].as_object();
            whom.is_some_and(|whom| whom.iter().any(|(namespace, value)| names(value, namespace)))
        };
        choices.retain(|choice| !is_for_her(choice));
    }
    json.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_loses_the_names_of_who_was_erased_and_nothing_else() {
        let body = r#"{"userId":"u1","anonymousId":"tablet","traits":{"email":"leo@example.org","size":41,"user_id":"u1"},
            "context":{"traits":{"email":"ana@example.org"},"externalIds":[{"type":"card","id":7},{"type":"card","id":"8"}],
            "consents":[{"purpose":"marketing","for":{"email":"leo@example.org"}},{"purpose":"marketing"}]}}"#;
        let hers = [("email", "leo@example.org"), ("anonymous_id", "tablet"), ("card", "7")];
        let left: Value = serde_json::from_str(&without_names(body, |namespace, raw| hers.contains(&(namespace, raw)))).unwrap();
        let expected = serde_json::json!({"userId": "u1", "traits": {"size": 41, "user_id": "u1"}, "context": {
            "traits": {"email": "ana@example.org"}, "externalIds": [{"type": "card", "id": "8"}], "consents": [{"purpose": "marketing"}]}});
        assert_eq!(left, expected);
        assert_eq!(without_names("no json", |_, _| true), "no json");
    }
}
