//! What must hold, kept beside the system and without its code: who was acknowledged, who chose what, what the tool has.

use std::collections::{BTreeMap, BTreeSet};

use jumelle_activate::QueueKey;
use jumelle_collect::Collected;
use jumelle_model::ids::{DeliveryId, Position};
use jumelle_model::message::{Message, MessageType};
use jumelle_model::time::Timestamp;
use jumelle_store::{Block, Entry, Table};
use serde_json::Value;

use super::world::{Counts, surviving};
use crate::{DeliveryState, Shared, delivery::Delivery};

/// The rule of the segment, said again: two views within a minute.
const LOOKERS_VIEWS: usize = 2;
const LOOKERS_WITHIN: i64 = 60_000_000;

#[derive(Default)]
pub struct Recorder {
    sent: BTreeSet<String>,
    acknowledged: BTreeSet<String>,
    stored: BTreeMap<String, Position>,
    /// Erasures in the history.
    pub erasures: u64,
    /// Newest choice of each address that the fold knows of: time, denied.
    choices: BTreeMap<String, (i64, bool)>,
    /// Deliveries that the tool took: what they said, and how often.
    received: BTreeMap<DeliveryId, (String, u32)>,
    /// The last place taken of each person.
    places: BTreeMap<String, QueueKey>,
}

impl Recorder {
    pub fn sent(&mut self, events: &[Collected]) {
        self.sent.extend(events.iter().map(|event| event.message_id.clone()));
    }

    pub fn acknowledged(&mut self, events: &[Collected]) {
        self.acknowledged.extend(events.iter().map(|event| event.message_id.clone()));
    }

    /// Invariant: one message id is stored once.
    pub fn committed(&mut self, block: &Block) {
        for record in block.records() {
            let (position, record) = record.unwrap();
            self.erasures += u64::from(matches!(record.entry, Entry::Erased { .. }));
            if let Entry::Event(event) = record.entry {
                let before = self.stored.insert(event.message_id.to_owned(), position);
                assert_eq!(before, None, "{} is stored twice", event.message_id);
            }
        }
    }

    pub fn folded(&mut self, block: &Block) {
        for record in block.records() {
            let (_, record) = record.unwrap();
            let Entry::Event(event) = record.entry else { continue };
            let body: Value = serde_json::from_str(event.body).unwrap();
            let choice = &body["context"]["consents"][0];
            if let Some(email) = choice["for"]["email"].as_str() {
                let new = (event.time.0, choice["state"] == "denied");
                let known = self.choices.entry(email.to_owned()).or_insert(new);
                *known = new.max(*known);
            }
        }
    }

    /// The tool takes a message. Invariants: who gets one has agreed, as far as the fold knows; the same id says the same; one
    /// person's messages come in order.
    pub fn received(&mut self, message: &Message, key: QueueKey, at: Timestamp) -> bool {
        let email = message.address.as_ref().map(|(_, email)| email.clone()).unwrap_or_default();
        if message.activation == "mail" && matches!(message.kind, MessageType::Entered | MessageType::Updated) {
            let choice = self.choices.get(&email);
            assert!(matches!(choice, Some((_, false))), "{email} got {:?} at {at} and chose {choice:?}", message.kind);
        }
        let said = format!("{:?} {} {} {:?}", message.kind, message.activation, message.profile, message.at);
        let times = {
            let (before, times) = self.received.entry(message.id).or_insert_with(|| (said.clone(), 0));
            assert_eq!(*before, said, "one id, two messages");
            *times += 1;
            *times
        };
        let last = self.places.entry(message.profile.to_string()).or_insert(key);
        assert!(*last <= key, "{:?} {message:?} comes after {last:?}", key);
        *last = key;
        times > 1
    }

    /// At the end: nothing is under way any more.
    pub fn check(&self, shared: &Shared, clock: Timestamp, counts: &mut Counts) {
        let lost: Vec<_> = self.acknowledged.iter().filter(|id| !self.stored.contains_key(*id)).collect();
        assert!(lost.is_empty(), "acknowledged and never stored: {lost:?}");
        // What is stored is what is there after all crashes, but for people who were erased.
        let (mut there, mut erased) = (BTreeMap::new(), BTreeSet::new());
        let mut events: Vec<(i64, Value)> = Vec::new();
        for block in shared.history.blocks(Position(0)) {
            for record in block.unwrap().records() {
                let (position, record) = record.unwrap();
                match record.entry {
                    Entry::Event(event) => {
                        let before = there.insert(event.message_id.to_owned(), position);
                        assert_eq!(before, None, "{} is there twice", event.message_id);
                        events.push((event.time.0, serde_json::from_str(event.body).unwrap()));
                    }
                    Entry::Gone => {
                        erased.insert(position);
                    }
                    _ => {}
                }
            }
        }
        for (id, position) in &self.stored {
            assert!(
                there.get(id) == Some(position) || erased.contains(position),
                "{id} was stored at {position:?} and is not there"
            );
        }
        assert_eq!(there.len() + erased.len(), self.stored.len(), "nothing that was not committed");
        assert!(there.keys().all(|id| self.sent.contains(id)));
        if erased.is_empty() {
            self.check_members(shared, clock, &events, counts);
        }
        for (_, row) in shared.behind.scan(Table::Deliveries, &[], None, usize::MAX).unwrap() {
            let delivery = Delivery::decode(&row).unwrap();
            let taken = self.received.contains_key(&delivery.message.id);
            match delivery.state {
                DeliveryState::Sent => assert!(taken, "{} is said to be sent and never arrived", delivery.message.id),
                DeliveryState::Queued => panic!("{} waits for ever", delivery.message.id),
                _ => {}
            }
        }
    }

    /// Members of the segment, counted from the events: browsers belong to the address that they were seen with.
    fn check_members(&self, shared: &Shared, clock: Timestamp, events: &[(i64, Value)], counts: &mut Counts) {
        let mut owner: BTreeMap<String, String> = BTreeMap::new();
        for (_, body) in events {
            if let (Some(browser), Some(email)) = (body["anonymousId"].as_str(), body["traits"]["email"].as_str()) {
                counts.joined += u64::from(owner.insert(browser.to_owned(), email.to_owned()).is_none());
            }
        }
        let mut views: BTreeMap<String, usize> = BTreeMap::new();
        for (time, body) in events {
            let browser = body["anonymousId"].as_str().unwrap_or_default();
            let key = owner.get(browser).cloned().unwrap_or_else(|| browser.to_owned());
            if body["event"] == "Product Viewed" && *time > clock.0 - LOOKERS_WITHIN && *time <= clock.0 {
                *views.entry(key).or_default() += 1;
            }
        }
        let expected: BTreeSet<String> =
            views.into_iter().filter(|(_, views)| *views >= LOOKERS_VIEWS).map(|(key, _)| key).collect();
        let mut found = BTreeSet::new();
        for (id, _) in shared.members("lookers", None, usize::MAX >> 1).unwrap().items {
            let person = shared.people.get(surviving(shared, id)).unwrap().unwrap();
            let named = |namespace: &str| {
                person.known.identifiers.keys().find(|known| known.namespace == namespace).map(|known| known.value.clone())
            };
            found.insert(named("email").or_else(|| named("anonymous_id")).unwrap());
        }
        counts.moved += found.len() as u64;
        assert_eq!(found, expected, "members at {clock}");
    }
}
