//! What the API reads: people by identifier, their events, members, deliveries, quarantine.

use std::sync::Arc;

use jumelle_identify::identifier_of;
use jumelle_model::Identifier;
use jumelle_model::ids::{DeliveryId, Position, ProfileId};
use jumelle_model::time::Timestamp;
use jumelle_profile::Person;
use jumelle_store::{Entry, Result, StoreError, Table};
use serde_json::{Value, json};

use crate::days::{reason_kind, told};
use crate::delivery::{Delivery, DeliveryState, ended_prefix, queue_prefix};
use crate::shared::{Shared, member_prefix};

/// Items of one page at most.
pub const PAGE_MAX: usize = 1_000;

/// What is counted one by one is counted up to here.
pub const COUNTED_MAX: usize = 10_000;
/// People looked at for one page of a search by trait.
pub const SEARCHED_MAX: usize = 20_000;
/// Deliveries looked at for one page at most.
pub const DELIVERIES_SCANNED_MAX: usize = 20_000;
/// Quarantined items looked at for one page at most.
pub const QUARANTINE_SCANNED_MAX: usize = 20_000;
const DELIVERY_ID_BYTES: usize = 16;

/// Which deliveries.
#[derive(Clone, Debug)]
pub struct DeliveriesAsked<'a> {
    /// Keys of destinations.
    pub destinations: Vec<&'a str>,
    /// States.
    pub states: Vec<DeliveryState>,
    /// Of one activation only.
    pub activation: Option<&'a str>,
    /// About one person only, by the id that she has now.
    pub profile: Option<ProfileId>,
    /// That came to stand there at this instant or later.
    pub from: Option<Timestamp>,
    /// That came to stand there before this instant.
    pub to: Option<Timestamp>,
    /// With this reason: a code of the gate (`denied`), or words of what is told, in any case.
    pub reason: Option<&'a str>,
}

/// In which order deliveries are read: that of their places in the queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// As a list shows them.
    NewestFirst,
    /// As they are to leave again.
    OldestFirst,
}

impl DeliveriesAsked<'_> {
    fn fits(&self, delivery: &Delivery) -> bool {
        let message = &delivery.message;
        let by_person = self.profile.is_none()
            || self.states.contains(&delivery.state) && self.destinations.contains(&message.destination.as_str());
        by_person
            && self.activation.is_none_or(|key| message.activation == key)
            && self.from.is_none_or(|from| delivery.at >= from)
            && self.to.is_none_or(|to| delivery.at < to)
            && self.reason.is_none_or(|asked| delivery.reason.as_deref().is_some_and(|reason| is_about(reason, asked)))
    }

    /// The indexes in which they stand.
    fn indexes(&self) -> Vec<(Table, Vec<u8>)> {
        if let Some(profile) = self.profile {
            return vec![(Table::DeliveriesOfPerson, profile.0.to_be_bytes().to_vec())];
        }
        let of = |destination: &&str| {
            let destination = *destination;
            let of_state = move |state: &DeliveryState| match state {
                DeliveryState::Queued => (Table::Queue, queue_prefix(destination)),
                ended => (Table::Ended, ended_prefix(destination, *ended)),
            };
            self.states.iter().map(of_state).collect::<Vec<_>>()
        };
        self.destinations.iter().flat_map(of).collect()
    }
}

fn is_about(reason: &str, asked: &str) -> bool {
    if reason_kind(reason) == asked {
        return true;
    }
    let told = told(Some(reason.to_owned())).0.unwrap_or_default();
    told.to_lowercase().contains(&asked.to_lowercase())
}

/// A page of a list and where the next one begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Opaque; none at the end.
    pub next: Option<String>,
}

/// One event of the history, as exported.
pub struct EventRow {
    /// Its place.
    pub position: Position,
    /// The sender's JSON with `type`, `messageId`, `source`, `timestamp` (corrected) and `receivedAt`.
    pub json: Value,
}

impl Shared {
    /// A person by any identifier, or by profile id with the namespace `profile_id`. `Err(text)`: the identifier is malformed.
    pub fn find(&self, namespace: &str, value: &str) -> std::result::Result<Result<Option<Arc<Person>>>, String> {
        if namespace == "profile_id" {
            let id: ProfileId = value.parse()?;
            return Ok(self.people.surviving(id).and_then(|id| self.people.get(id)));
        }
        let identifier = identifier_of(&self.definitions().workspace, namespace, value)?;
        Ok(self.person_named(&identifier))
    }

    /// The owner of an identifier. Between the look-ups here the fold may join her with somebody else; then she is found under the
    /// other's id the next time round, since the fold leaves the old one only after everything leads to the new one.
    pub(crate) fn person_named(&self, identifier: &Identifier) -> Result<Option<Arc<Person>>> {
        const JOINS_IN_A_ROW_MAX: usize = 16;
        for _ in 0..JOINS_IN_A_ROW_MAX {
            let Some(owner) = self.people.owner_beside(identifier)? else { return Ok(None) };
            // Nearly always she still has the id that the name leads to.
            let person = match self.people.get(owner)? {
                None => self.people.get(self.people.surviving(owner)?)?,
                found => found,
            };
            if person.is_some() {
                return Ok(person);
            }
        }
        Ok(None)
    }

    /// People whose identifier of any namespace equals `query`; if there are none, those with such a trait (`city:Lille`, or a
    /// value alone). Traits have no index: one page looks at [`SEARCHED_MAX`] people at most, and may be short and have a next one.
    pub fn search(&self, query: &str, cursor: Option<&str>, limit: usize) -> Result<Page<Arc<Person>>> {
        if cursor.is_none() {
            let items = self.search_identifiers(query)?;
            if !items.is_empty() {
                return Ok(Page { items, next: None });
            }
        }
        self.search_traits(query, cursor.and_then(unhex), limit)
    }

    fn search_identifiers(&self, query: &str) -> Result<Vec<Arc<Person>>> {
        let definitions = self.definitions();
        let mut found: Vec<Arc<Person>> = Vec::new();
        let (namespaces, raw): (Vec<&str>, &str) = match query.split_once(':') {
            Some((namespace, value)) if definitions.workspace.namespace(namespace).is_some() => (vec![namespace], value),
            _ => (definitions.workspace.identifiers.iter().map(|rule| rule.key.as_str()).collect(), query),
        };
        for namespace in namespaces {
            if let Ok(identifier) = identifier_of(&definitions.workspace, namespace, raw)
                && let Some(person) = self.person_named(&identifier)?
                && !found.iter().any(|known| known.id == person.id)
            {
                found.push(person);
            }
        }
        if let Ok(id) = query.parse::<ProfileId>()
            && let Some(person) = self.people.get(self.people.surviving(id)?)?
        {
            found.push(person);
        }
        Ok(found)
    }

    fn search_traits(&self, query: &str, mut after: Option<Vec<u8>>, limit: usize) -> Result<Page<Arc<Person>>> {
        let (named, value) = match query.split_once(':') {
            Some((key, value)) => (Some(key.trim()), value.trim()),
            None => (None, query),
        };
        let wanted = Value::from(value).to_string().to_lowercase();
        let is_wanted = |json: &str| json == value || json.to_lowercase() == wanted;
        let mut items = Vec::new();
        let mut searched = 0;
        while searched < SEARCHED_MAX {
            let rows = self.behind.scan(Table::People, &[], after.as_deref(), PAGE_MAX)?;
            if rows.is_empty() {
                return Ok(Page { items, next: None });
            }
            searched += rows.len();
            for (key, bytes) in rows {
                let id = ProfileId(u128::from_be_bytes(key.as_slice().try_into().unwrap_or_default()));
                let person = crate::people::decode(id, &bytes)?;
                after = Some(key);
                let found = match named {
                    Some(named) => person.known.traits.get(named).is_some_and(|known| is_wanted(&known.json)),
                    None => person.known.traits.values().any(|known| is_wanted(&known.json)),
                };
                if found {
                    items.push(Arc::new(person));
                    if items.len() == limit {
                        return Ok(Page { items, next: after.map(|key| hex(&key)) });
                    }
                }
            }
        }
        Ok(Page { items, next: after.map(|key| hex(&key)) })
    }

    /// Events of a person, the newest first.
    pub fn events_of(&self, id: ProfileId, before: Option<Position>, limit: usize) -> Result<Page<Value>> {
        let mut positions = self.timeline_of(id)?;
        positions.retain(|position| before.is_none_or(|before| *position < before));
        let rest = positions.len().saturating_sub(limit);
        let mut items = Vec::new();
        for position in positions[rest..].iter().rev() {
            let Some(block) = self.history.block_of(*position)? else { continue };
            if let Some(record) = block.record(*position)?
                && let Entry::Event(event) = &record.entry
            {
                items.push(event_json(*position, event, record.received));
            }
        }
        let next = (rest > 0).then(|| positions[rest].0.to_string());
        Ok(Page { items, next })
    }

    /// Events of the history from a position on, in order; calls `each` until it says stop.
    pub fn each_event(&self, from: Position, mut each: impl FnMut(EventRow) -> bool) -> Result<()> {
        for block in self.history.blocks(from) {
            let block = block?;
            for entry in block.records() {
                let (position, record) = entry?;
                if position < from {
                    continue;
                }
                if let Entry::Event(event) = &record.entry {
                    let json = event_json(position, event, record.received);
                    if !each(EventRow { position, json }) {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// Members of a segment, in the order of their ids.
    pub fn members(&self, segment: &str, cursor: Option<&str>, limit: usize) -> Result<Page<(ProfileId, Timestamp)>> {
        let prefix = member_prefix(segment);
        let after = cursor.and_then(|cursor| cursor.parse::<ProfileId>().ok()).map(|id| {
            let mut key = prefix.clone();
            key.extend_from_slice(&id.0.to_be_bytes());
            key
        });
        let rows = self.behind.scan(Table::Members, &prefix, after.as_deref(), limit + 1)?;
        let more = rows.len() > limit;
        let items: Vec<(ProfileId, Timestamp)> = rows
            .into_iter()
            .take(limit)
            .filter_map(|(key, since)| {
                let id = u128::from_be_bytes(key[prefix.len()..].try_into().ok()?);
                Some((ProfileId(id), Timestamp(i64::from_be_bytes(since.try_into().ok()?))))
            })
            .collect();
        let next = if more { items.last().map(|(id, _)| id.to_string()) } else { None };
        Ok(Page { items, next })
    }

    /// One delivery.
    pub fn delivery(&self, id: DeliveryId) -> Result<Option<Delivery>> {
        Ok(self.behind.get(Table::Deliveries, &id.0.to_be_bytes())?.and_then(|bytes| Delivery::decode(&bytes)))
    }

    /// Deliveries of a person, the newest cause first.
    pub fn deliveries_of(&self, id: ProfileId, cursor: Option<&str>, limit: usize) -> Result<Page<Delivery>> {
        let prefix = id.0.to_be_bytes();
        let before = cursor.and_then(unhex).map(|place| [prefix.as_slice(), &place].concat());
        let rows = self.behind.scan_back(Table::DeliveriesOfPerson, &prefix, before.as_deref(), limit + 1)?;
        let next = (rows.len() > limit).then(|| hex(&rows[limit - 1].0[prefix.len()..]));
        let mut items = Vec::new();
        for (_, id) in rows.into_iter().take(limit) {
            if let Some(bytes) = self.behind.get(Table::Deliveries, &id)? {
                items.extend(Delivery::decode(&bytes));
            }
        }
        Ok(Page { items, next })
    }

    /// Deliveries as asked for, in their order. At most [`DELIVERIES_SCANNED_MAX`] are looked at for one page, which may then be short
    /// and still have a next one.
    pub fn deliveries(
        &self,
        asked: &DeliveriesAsked<'_>,
        order: Order,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<Delivery>> {
        let mut last = cursor.and_then(unhex);
        let mut items = Vec::new();
        let mut scanned = 0;
        while scanned < DELIVERIES_SCANNED_MAX {
            let page = self.places(asked, order, last.as_deref(), limit)?;
            let whole = page.len() == limit;
            for (place, id) in page {
                scanned += 1;
                last = Some(place);
                let found = self.behind.get(Table::Deliveries, &id)?.and_then(|bytes| Delivery::decode(&bytes));
                items.extend(found.filter(|delivery| asked.fits(delivery)));
                if items.len() == limit {
                    return Ok(Page { items, next: last.map(|place| hex(&place)) });
                }
            }
            if !whole {
                return Ok(Page { items, next: None });
            }
        }
        Ok(Page { items, next: last.map(|place| hex(&place)) })
    }

    /// Places and ids of the next `limit` deliveries after a place, from one index per destination and state.
    fn places(
        &self,
        asked: &DeliveriesAsked<'_>,
        order: Order,
        last: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut places: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        for (table, prefix) in asked.indexes() {
            let last = last.map(|place| [prefix.as_slice(), place].concat());
            let rows = match order {
                Order::NewestFirst => self.behind.scan_back(table, &prefix, last.as_deref(), limit)?,
                Order::OldestFirst => self.behind.scan(table, &prefix, last.as_deref(), limit)?,
            };
            for (key, row) in rows {
                places.push((key[prefix.len()..].to_vec(), row[..DELIVERY_ID_BYTES.min(row.len())].to_vec()));
            }
        }
        match order {
            Order::NewestFirst => places.sort_unstable_by(|a, b| b.0.cmp(&a.0)),
            Order::OldestFirst => places.sort_unstable_by(|a, b| a.0.cmp(&b.0)),
        }
        places.truncate(limit);
        Ok(places)
    }

    /// How many deliveries of a destination are in a state, counted up to [`COUNTED_MAX`].
    pub fn count_deliveries(&self, destination: &str, state: DeliveryState) -> Result<usize> {
        let (table, prefix) = match state {
            DeliveryState::Queued => (Table::Queue, queue_prefix(destination)),
            ended => (Table::Ended, ended_prefix(destination, ended)),
        };
        Ok(self.behind.scan(table, &prefix, None, COUNTED_MAX)?.len())
    }

    /// When the cause of the delivery that waits longest for a destination happened.
    pub fn oldest_queued(&self, destination: &str) -> Result<Option<Timestamp>> {
        let rows = self.behind.scan(Table::Queue, &queue_prefix(destination), None, 1)?;
        let Some((_, row)) = rows.first() else { return Ok(None) };
        let delivery = self.behind.get(Table::Deliveries, &row[..DELIVERY_ID_BYTES.min(row.len())])?;
        Ok(delivery.and_then(|bytes| Delivery::decode(&bytes)).map(|delivery| delivery.at))
    }

    /// What was not understood or is set aside, of a source and a rule if asked, the newest first. A page may have fewer items than
    /// asked for, or none, and a next one: [`QUARANTINE_SCANNED_MAX`] are looked at.
    pub fn quarantine(
        &self,
        source: Option<&str>,
        rule: Option<&str>,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<Value>> {
        let is_asked =
            |item: &Value| source.is_none_or(|source| item["source"] == source) && rule.is_none_or(|rule| item["rule"] == rule);
        let mut before = cursor.and_then(unhex);
        let (mut items, mut scanned) = (Vec::new(), 0);
        loop {
            let rows = self.behind.scan_back(Table::QuarantineOrder, &[], before.as_deref(), limit)?;
            for (key, _) in &rows {
                let row = self.behind.get(Table::Quarantine, key.get(8..).unwrap_or_default())?;
                items.extend(row.and_then(|row| serde_json::from_slice::<Value>(&row).ok()).filter(is_asked));
                before = Some(key.clone());
                if items.len() == limit {
                    break;
                }
            }
            scanned += rows.len();
            let is_through = rows.len() < limit && items.len() < limit;
            if is_through || items.len() == limit || scanned >= QUARANTINE_SCANNED_MAX {
                let next = if is_through { None } else { before.as_deref().map(hex) };
                return Ok(Page { items, next });
            }
        }
    }

    /// How many items are in quarantine, counted up to [`COUNTED_MAX`].
    pub fn count_quarantine(&self) -> Result<usize> {
        Ok(self.behind.scan(Table::QuarantineOrder, &[], None, COUNTED_MAX)?.len())
    }

    /// One quarantined item by `q_…`.
    pub fn quarantined(&self, id: &str) -> Result<Option<(u64, Value)>> {
        let Some(number) = quarantine_id(id) else { return Ok(None) };
        let row = self.behind.get(Table::Quarantine, &number.to_be_bytes())?;
        Ok(row.and_then(|row| serde_json::from_slice(&row).ok()).map(|item| (number, item)))
    }

    /// How far an import has come.
    pub fn import(&self, id: &str) -> Result<Option<Value>> {
        let row = self.behind.get(Table::Imports, id.as_bytes())?;
        row.map(|row| {
            serde_json::from_slice(&row)
                .map_err(|error| StoreError::Damaged { place: format!("import {id}"), what: error.to_string() })
        })
        .transpose()
    }
}

/// `q_` and 16 hexadecimal digits.
pub(crate) fn quarantine_id(id: &str) -> Option<u64> {
    u64::from_str_radix(id.strip_prefix("q_")?, 16).ok()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

pub(crate) fn event_json(position: Position, event: &jumelle_store::EventEntry<'_>, received: Timestamp) -> Value {
    let mut body: Value = serde_json::from_str(event.body).unwrap_or(Value::Null);
    if let Value::Object(object) = &mut body {
        object.insert("type".into(), event.kind.as_str().into());
        object.insert("messageId".into(), event.message_id.into());
        object.insert("source".into(), event.source.into());
        object.insert("timestamp".into(), json!(event.time));
        object.insert("receivedAt".into(), json!(received));
        object.insert("position".into(), position.0.into());
        object.remove("writeKey");
    }
    body
}

#[cfg(test)]
mod tests {
    use jumelle_consent::Reason;

    use super::*;

    #[test]
    fn a_reason_is_asked_for_by_its_code_or_its_words() {
        let restricted = Reason::Restricted { since: Timestamp(1) }.write();
        assert!(is_about(&restricted, "restricted"));
        assert!(!is_about(&restricted, "denied"));
        assert!(is_about("422: Unknown audience", "unknown AUDIENCE"));
        assert!(is_about("no consent for marketing/email: denied since 2026-01-01T00:00:00Z", "denied"));
        assert!(!is_about("422: unknown audience", "timeout"));
    }
}
