//! Who may not be joined again, and whose a delivery is that was made while two were one (decision 0022).
//!
//! A split leaves a row for each identifier of one side under the id of the other. No later event that names both joins them, and an
//! identifier that a split gave away is not taken back, whoever has it by then.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use jumelle_identify::{Evidence, Refusal, identifier_of};
use jumelle_ledger::Statement;
use jumelle_model::Identifier;
use jumelle_model::event::Event;
use jumelle_model::ids::{Position, ProfileId};
use jumelle_model::time::Timestamp;
use jumelle_store::{Entry, Result, Table};

use crate::delivery::{Delivery, person_key};
use crate::fold::{Fold, read_entry};
use crate::parting::fold_without;
use crate::shared::Shared;

/// One identifier that is not hers since a split.
pub(crate) struct Apart {
    /// Its key.
    pub(crate) key: u128,
    /// Whom the split gave it to.
    pub(crate) other: ProfileId,
    /// The split.
    pub(crate) position: Position,
}

pub(crate) fn apart_key(person: ProfileId, identifier: u128) -> Vec<u8> {
    [person.0.to_be_bytes(), identifier.to_be_bytes()].concat()
}

pub(crate) fn apart_row(other: ProfileId, position: Position) -> Vec<u8> {
    [other.0.to_be_bytes().as_slice(), &position.0.to_be_bytes()].concat()
}

fn read(key: &[u8], row: &[u8]) -> Option<Apart> {
    Some(Apart {
        key: u128::from_be_bytes(key.get(16..32)?.try_into().ok()?),
        other: ProfileId(u128::from_be_bytes(row.get(..16)?.try_into().ok()?)),
        position: Position(u64::from_be_bytes(row.get(16..24)?.try_into().ok()?)),
    })
}

/// It would bring somebody in with what was known of two, before the newest split of her: each of them is looked at by herself since.
pub(crate) fn is_of_joined(delivery: &Delivery, newest: Option<Position>) -> bool {
    !delivery.message.kind.takes_back() && newest.is_some_and(|split| Position(delivery.position) < split)
}

impl Shared {
    /// What splits took from a person.
    pub(crate) fn apart_from(&self, person: ProfileId) -> Result<Vec<Apart>> {
        if !self.has_apart.load(Ordering::Acquire) {
            return Ok(Vec::new());
        }
        let rows = self.behind.scan(Table::Apart, &person.0.to_be_bytes(), None, usize::MAX)?;
        Ok(rows.iter().filter_map(|(key, row)| read(key, row)).collect())
    }

    /// Everybody who was one with a person until a split, by the ids that answer now, and the newest of these splits.
    pub(crate) fn were_one_with(&self, person: ProfileId) -> Result<(Vec<ProfileId>, Option<Position>)> {
        let mut newest = None;
        let mut found = vec![person];
        let mut looked_at = 0;
        while let Some(&one) = found.get(looked_at) {
            looked_at += 1;
            for apart in self.apart_from(one)? {
                if one == person {
                    newest = newest.max(Some(apart.position));
                }
                let other = self.people.surviving(apart.other)?;
                if !found.contains(&other) {
                    found.push(other);
                }
            }
        }
        found.remove(0);
        Ok((found, newest))
    }

    /// Whose a delivery is: hers who has its message's id, unless a split gave the delivery to somebody who was one with her.
    pub(crate) fn whose(&self, delivery: &Delivery) -> Result<ProfileId> {
        let id = self.people.surviving(delivery.message.profile)?;
        let (others, _) = self.were_one_with(id)?;
        for one in others {
            if self.behind.get(Table::DeliveriesOfPerson, &person_key(one, delivery.key()))?.is_some() {
                return Ok(one);
            }
        }
        Ok(id)
    }

    /// As [`is_of_joined`], of somebody whose splits are not known yet.
    pub(crate) fn is_of_joined(&self, owner: ProfileId, delivery: &Delivery) -> Result<bool> {
        Ok(is_of_joined(delivery, self.were_one_with(owner)?.1))
    }

    /// All ids under which the ledger may speak of a person: those that she has and had, and of whoever was one with her. Which of
    /// these statements are about her says the second answer.
    pub fn in_ledger(&self, own: &[ProfileId]) -> Result<(Vec<ProfileId>, AboutHer)> {
        let mut ids = own.to_vec();
        let others = match own.first() {
            Some(id) => self.were_one_with(*id)?.0,
            None => Vec::new(),
        };
        if others.is_empty() {
            return Ok((ids, Box::new(|_| true)));
        }
        for other in &others {
            ids.push(*other);
            ids.extend(self.people.get(*other)?.iter().flat_map(|other| other.known.absorbed.iter().copied()));
        }
        let (mine, theirs) = (self.hers(&own[..1])?, self.hers(&others)?);
        let own = own.to_vec();
        let about_her = move |statement: &Statement| {
            // A choice for an address is hers whose address it is, whoever's event said so.
            let address = match statement {
                Statement::Choice(choice) => choice.address.as_ref(),
                Statement::Signal(signal) => signal.address.as_ref(),
                _ => None,
            };
            let address = address.filter(|address| mine.addresses.contains(*address) || theirs.addresses.contains(*address));
            let is_in = |hers: &Hers| match (address, statement) {
                (Some(address), _) => hers.addresses.contains(address),
                (None, Statement::Choice(choice)) => hers.positions.contains(&choice.position),
                (None, Statement::Signal(signal)) => hers.positions.contains(&signal.position),
                (None, Statement::Release(release)) => hers.deliveries.contains(&release.delivery.0),
                (None, Statement::Outcome(outcome)) => hers.deliveries.contains(&outcome.delivery.0),
                _ => false,
            };
            if own.contains(&statement.subject()) { !is_in(&theirs) } else { is_in(&mine) }
        };
        Ok((ids, Box::new(about_her)))
    }

    fn hers(&self, people: &[ProfileId]) -> Result<Hers> {
        let mut hers = Hers::default();
        for person in people {
            hers.positions.extend(self.timeline_of(*person)?.into_iter().map(|position| position.0));
            for (_, id) in self.behind.scan(Table::DeliveriesOfPerson, &person.0.to_be_bytes(), None, usize::MAX)? {
                hers.deliveries.extend(id.try_into().map(u128::from_be_bytes));
            }
            if let Some(person) = self.people.get(*person)? {
                let names = person.known.identifiers.keys();
                hers.addresses.extend(names.map(|identifier| (identifier.namespace.clone(), identifier.value.clone())));
            }
        }
        Ok(hers)
    }
}

/// Whether a statement is about one person.
pub type AboutHer = Box<dyn Fn(&Statement) -> bool + Send>;

/// Where the events of somebody are, which deliveries are about her, and what she is called.
#[derive(Default)]
struct Hers {
    positions: BTreeSet<u64>,
    deliveries: BTreeSet<u128>,
    addresses: BTreeSet<(String, String)>,
}

impl Fold {
    /// Leaves out of an event what a split took from whom it names otherwise, the less trusted first; says what was left out, and of
    /// whom. What is left joins nobody who was taken apart.
    pub(crate) fn leave_out_apart(&self, evidence: &mut Evidence, received: Timestamp) -> Result<Vec<Refusal>> {
        if !self.shared.has_apart.load(Ordering::Acquire) {
            return Ok(Vec::new());
        }
        let mut refusals = Vec::new();
        let mut named: Vec<ProfileId> = Vec::new();
        let mut keys: Vec<u128> = Vec::new();
        let mut taken = Vec::new();
        for identifier in std::mem::take(&mut evidence.identifiers) {
            match self.is_apart(&named, &keys, &identifier)? {
                Some(refusal) => refusals.push(Refusal { at: received, ..refusal }),
                None => {
                    named.extend(self.shared.people.owner(&identifier)?);
                    keys.push(identifier.key());
                    taken.push(identifier);
                }
            }
        }
        evidence.identifiers = taken;
        if let Some(raw) = evidence.previous.clone() {
            for namespace in ["user_id", "anonymous_id"] {
                let Ok(identifier) = identifier_of(&self.definitions.workspace, namespace, &raw) else { continue };
                if let Some(refusal) = self.is_apart(&named, &keys, &identifier)? {
                    refusals.push(Refusal { at: received, ..refusal });
                    evidence.previous = None;
                    break;
                }
            }
        }
        Ok(refusals)
    }

    /// Whether an identifier, or whoever has it, was taken apart from somebody among `named`, or from one of the identifiers `keys`.
    fn is_apart(&self, named: &[ProfileId], keys: &[u128], identifier: &Identifier) -> Result<Option<Refusal>> {
        let owner = self.shared.people.owner(identifier)?;
        if keys.is_empty() || owner.is_some_and(|owner| named.contains(&owner)) {
            return Ok(None);
        }
        let refused = |other: ProfileId| Refusal {
            at: Timestamp::default(),
            identifier: identifier.clone(),
            other: Some(other),
            namespace: identifier.namespace.clone(),
            limit: Refusal::APART,
        };
        for person in named {
            for apart in self.shared.apart_from(*person)? {
                let other = self.shared.people.surviving(apart.other)?;
                if apart.key == identifier.key() || owner == Some(other) {
                    return Ok(Some(refused(owner.unwrap_or(other))));
                }
            }
        }
        let Some(owner) = owner else { return Ok(None) };
        for apart in self.shared.apart_from(owner)? {
            let other = self.shared.people.surviving(apart.other)?;
            if keys.contains(&apart.key) || named.contains(&other) {
                return Ok(Some(refused(owner)));
            }
        }
        Ok(None)
    }

    /// Folds an event without the names that a split gave to somebody else, and keeps why.
    pub(crate) fn fold_but_apart(&mut self, person: ProfileId, event: &Event<'_>, refusals: Vec<Refusal>) -> Result<()> {
        let definitions = self.definitions.clone();
        let left_out: Vec<Identifier> = refusals.iter().map(|refusal| refusal.identifier.clone()).collect();
        for refusal in &refusals {
            metrics::counter!("jumelle_refused_joins_total", "namespace" => refusal.namespace.clone()).increment(1);
            if let Some(effect) = &mut self.effect {
                effect.refused.push(refusal.to_string());
            }
        }
        self.shared.people.change(person, |person| {
            fold_without(&definitions.workspace, &definitions.plan, &mut person.known, event, &left_out);
            for refusal in refusals {
                person.known.refuse(refusal);
            }
        })
    }

    /// Notes that two people may not be joined again.
    pub(crate) fn mark_apart(&self, stays: (ProfileId, &[u128]), leaves: (ProfileId, &[u128])) {
        let position = self.cause.position;
        for ((person, _), (other, keys)) in [(stays, leaves), (leaves, stays)] {
            for key in keys {
                self.shared.behind.put(Table::Apart, apart_key(person, *key), apart_row(other, position));
            }
        }
        self.shared.has_apart.store(true, Ordering::Release);
    }

    /// What splits took from somebody is not hers either who she turns out to be, or who leaves her.
    pub(crate) fn copy_apart(&self, from: ProfileId, to: ProfileId) -> Result<()> {
        for Apart { key, other, position } in self.shared.apart_from(from)? {
            self.shared.behind.put(Table::Apart, apart_key(to, key), apart_row(other, position));
        }
        Ok(())
    }

    /// Events of others that name somebody who is erased: those by which she was joined with whom she was taken apart from.
    pub(crate) fn events_naming(&self, id: ProfileId, keys: &[u128]) -> Result<Vec<u64>> {
        let mut found = Vec::new();
        let (others, _) = self.shared.were_one_with(id)?;
        for other in others {
            for position in self.shared.timeline_of(other)? {
                let Some(block) = self.shared.history.block_of(position)? else { continue };
                let Some(record) = block.record(position)? else { continue };
                let Entry::Event(entry) = &record.entry else { continue };
                let Some(event) = read_entry(&self.definitions.workspace, entry, record.received) else { continue };
                let evidence = jumelle_identify::evidence(&self.definitions.workspace, &event);
                if evidence.identifiers.iter().any(|identifier| keys.contains(&identifier.key())) {
                    found.push(position.0);
                }
            }
        }
        Ok(found)
    }
}
