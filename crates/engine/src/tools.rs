//! Which tools have a person, and how far her leaving them has come: read off what the outbox keeps, no state of its own.

use std::collections::BTreeMap;

use jumelle_consent::Sent;
use jumelle_model::Workspace;
use jumelle_model::consent::Channel;
use jumelle_model::ids::{DeliveryId, ProfileId};
use jumelle_model::message::MessageType;
use jumelle_model::time::Timestamp;
use jumelle_model::workspace::{Activation, Destination};
use jumelle_profile::{Activated, Held, Person, fields};
use jumelle_store::{Result, Table};
use serde::Serialize;

use crate::apart::is_of_joined;
use crate::delivery::{Delivery, DeliveryState, ended_prefix, queue_prefix};
use crate::fold::Fold;
use crate::keep::{Step, keep, names_otherwise};
use crate::parting::Side;
use crate::shared::Shared;

/// Deliveries of one person looked at, the newest.
const LOOKED_AT_MAX: usize = 2_000;
/// Waiting deliveries of one tool looked at for removals among them, the oldest.
const WAITING_LOOKED_AT_MAX: usize = 5_000;
/// People read at a time.
const PAGE: usize = 1_000;
/// People of one tool that are named, at most.
pub(crate) const NAMED_MAX: usize = 1_000;

/// Where a tool stands with a person, for one activation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ToolStanding {
    /// Activation key.
    pub activation: String,
    /// Destination key.
    pub destination: String,
    /// Purpose key.
    pub purpose: String,
    /// Channel.
    pub channel: Channel,
    /// How far it is.
    pub state: ToolState,
    /// Since when.
    pub since: Option<Timestamp>,
    /// What the tool knows her by: the fields as they were sent. None once it has confirmed that she is out.
    pub sent: Option<BTreeMap<String, serde_json::Value>>,
    /// The message that takes her out, if there is one.
    pub delivery: Option<DeliveryId>,
    /// What it is: `consent.withdrawn`, `segment.exited`.
    pub because: Option<MessageType>,
    /// By then it should be confirmed.
    pub due_at: Option<Timestamp>,
    /// Whom to ask, of a tool that cannot be told.
    pub contact: Option<String>,
    /// Why it cannot be told.
    pub why: Option<String>,
}

/// How far a tool is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolState {
    /// She is in it, and may be.
    In,
    /// What takes her out waits.
    Pending,
    /// What takes her out was sent, and not confirmed.
    Sent,
    /// The tool has confirmed that she is out.
    Confirmed,
    /// It has not confirmed in the time set.
    Overdue,
    /// It cannot be told.
    CannotBeTold,
    /// The tool is no longer among the destinations.
    Unreachable,
}

/// Removals of one tool that are not confirmed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Removals {
    /// All of them.
    pub waiting: u64,
    /// Of these, beyond the time set.
    pub overdue: u64,
    /// When the oldest was caused.
    pub oldest_at: Option<Timestamp>,
}

/// Somebody who is still in a tool.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct LeftBehind {
    /// Who.
    pub profile: ProfileId,
    /// By which activation.
    pub activation: String,
    /// What the tool knows her by.
    pub sent: BTreeMap<String, serde_json::Value>,
}

impl Fold {
    /// An activation is no longer: who is in the tool by it is taken out. Its queue goes on, since the destination is still there.
    pub(crate) fn end_activation(&mut self, id: ProfileId, activation: &Activation) -> Result<()> {
        let Some(person) = self.shared.people.get(id)? else { return Ok(()) };
        let Some(sent) = person.activations.get(&activation.key).and_then(there) else { return Ok(()) };
        drop(person);
        self.shared.people.change(id, |person| {
            let standing = person.activations.entry(activation.key.clone()).or_default();
            (standing.held, standing.last) = (Held::Out, None);
        })?;
        self.queue(activation, id, MessageType::Exited, sent, None)
    }

    /// Two people turn out to be one, and a tool has both: of the two names the other's is taken out, under the id that she had.
    pub(crate) fn take_back_the_other_name(&mut self, other: &Person, survivor: ProfileId) -> Result<()> {
        let Some(mine) = self.shared.people.get(survivor)? else { return Ok(()) };
        let definitions = self.definitions.clone();
        for activation in &definitions.workspace.activations {
            let of = |person: &Person| person.activations.get(&activation.key).and_then(there);
            let (Some(kept), Some(left)) = (of(&mine), of(other)) else { continue };
            if names_otherwise(activation, &left, &kept) {
                self.queue_about(activation, (other.id, survivor), MessageType::Exited, left, None)?;
            }
        }
        Ok(())
    }

    /// What a tool took under a name that she had left meanwhile is taken out again. Requests about one person are one at a time and
    /// in order, but for two that were under way when she was found to be one, or queued before a split; and a file may have her exit
    /// and, under the id that she had before a join, the addition that it follows: then the exit is held back as never received.
    pub(crate) fn take_back_what_came_late(&mut self, id: ProfileId, activation: &str, carried: &Sent) -> Result<()> {
        let definitions = self.definitions.clone();
        let Some(activation) = definitions.workspace.activation(activation) else { return Ok(()) };
        let Some(person) = self.shared.people.get(id)? else { return Ok(()) };
        let Some(standing) = person.activations.get(&activation.key) else { return Ok(()) };
        let is_same_name = |other: &Sent| !names_otherwise(activation, carried, other);
        if standing.held == Held::In && standing.last.as_ref().is_some_and(is_same_name) {
            return Ok(());
        }
        let Some(arrived) = standing.received.clone().filter(is_same_name) else { return Ok(()) };
        match self.is_under_way(id, activation, carried, MessageType::takes_back)? {
            true => Ok(()),
            false => self.queue(activation, id, MessageType::Exited, arrived, None),
        }
    }

    /// Whom a tool let go late, by a removal that went the same ways under another of her ids, and who has come in again meanwhile, is
    /// brought in once more.
    pub(crate) fn bring_back_what_left_late(&mut self, id: ProfileId, activation: &str, carried: &Sent) -> Result<()> {
        let definitions = self.definitions.clone();
        let Some(activation) = definitions.workspace.activation(activation) else { return Ok(()) };
        let Some(person) = self.shared.people.get(id)? else { return Ok(()) };
        let Some(standing) = person.activations.get(&activation.key) else { return Ok(()) };
        let is_same_name = |other: &&Sent| !names_otherwise(activation, carried, other);
        if standing.held != Held::In || standing.received.is_some() {
            return Ok(());
        }
        let Some(lost) = standing.last.as_ref().filter(is_same_name).cloned() else { return Ok(()) };
        match self.is_under_way(id, activation, carried, |kind| !kind.takes_back())? {
            true => Ok(()),
            false => self.queue(activation, id, MessageType::Entered, lost, None),
        }
    }

    /// Whether a message of some kind waits that carries her under this name, and will not be ended because she was taken apart.
    fn is_under_way(
        &self,
        id: ProfileId,
        activation: &Activation,
        name: &Sent,
        kind: impl Fn(MessageType) -> bool,
    ) -> Result<bool> {
        let (_, split) = self.shared.were_one_with(id)?;
        Ok(self.shared.newest_of(id)?.iter().any(|delivery| {
            let message = &delivery.message;
            let carried = Sent { address: message.address.clone(), data: message.data.clone() };
            delivery.state == DeliveryState::Queued
                && kind(message.kind)
                && message.activation == activation.key
                && !names_otherwise(activation, name, &carried)
                && !is_of_joined(delivery, split)
        }))
    }
}

/// What a split would do at one tool about one of the two.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ToolAfter {
    /// Activation key.
    pub activation: String,
    /// Destination key.
    pub destination: String,
    /// Purpose key.
    pub purpose: String,
    /// Channel.
    pub channel: Channel,
    /// What the tool has of her now: the fields as they were sent; none, if it has nothing of hers.
    pub sent: Option<BTreeMap<String, serde_json::Value>>,
    /// What it will be told, in order: `consent.withdrawn`, `segment.exited`, `profile.updated`, `segment.entered`.
    pub told: Vec<MessageType>,
    /// Why she does not come in, if she would.
    pub gate: Option<serde_json::Value>,
}

impl Shared {
    /// Where each tool would be with one of two people who are taken apart.
    pub fn tools_after(&self, side: &Side) -> Result<Vec<ToolAfter>> {
        let definitions = self.definitions();
        let (workspace, plan) = (&definitions.workspace, &definitions.plan);
        let at = self.now();
        let mut person = side.person.clone();
        person.memberships = side.segments.iter().map(|segment| (segment.clone(), at)).collect();
        let mut found = Vec::new();
        for activation in &workspace.activations {
            let before = person.activations.get(&activation.key).cloned().unwrap_or_default();
            let mapped = fields(workspace, plan, activation, &person, at);
            let (steps, _) = keep(workspace, activation, &person, &mapped, &[], &mut before.clone(), at);
            if steps.is_empty() && before.received.is_none() {
                continue;
            }
            let (mut told, mut gate) = (Vec::new(), None);
            for step in steps {
                match step {
                    Step::Queue(kind, _) => told.push(kind),
                    Step::Block(_, reason) => gate = Some(reason.to_json()),
                }
            }
            found.push(ToolAfter {
                activation: activation.key.clone(),
                destination: activation.destination.clone(),
                purpose: activation.purpose.clone(),
                channel: activation.channel,
                sent: before.received.as_ref().map(readable),
                told,
                gate,
            });
        }
        Ok(found)
    }
}

/// What a tool has, or will have when what waits arrives.
pub(crate) fn there(standing: &Activated) -> Option<Sent> {
    standing.last.clone().filter(|_| standing.held == Held::In).or_else(|| standing.received.clone())
}

fn readable(sent: &Sent) -> BTreeMap<String, serde_json::Value> {
    sent.data.iter().map(|(field, json)| (field.clone(), serde_json::from_str(json).unwrap_or_default())).collect()
}

impl Shared {
    fn newest_of(&self, id: ProfileId) -> Result<Vec<Delivery>> {
        self.newest_first(id)?.collect()
    }

    /// Deliveries about a person, each read when it is asked for.
    fn newest_first(&self, id: ProfileId) -> Result<impl Iterator<Item = Result<Delivery>>> {
        let rows = self.behind.scan_back(Table::DeliveriesOfPerson, &id.0.to_be_bytes(), None, LOOKED_AT_MAX)?;
        let read = |(_, delivery): (Vec<u8>, Vec<u8>)| match self.behind.get(Table::Deliveries, &delivery) {
            Ok(row) => row.and_then(|row| Delivery::decode(&row)).map(Ok),
            Err(error) => Some(Err(error)),
        };
        Ok(rows.into_iter().filter_map(read))
    }

    /// Whether a tool was sent exactly this about a person: a request was made, whatever came back.
    pub(crate) fn was_sent(&self, id: ProfileId, activation: &str, sent: &Sent) -> Result<bool> {
        for delivery in self.newest_first(id)? {
            let delivery = delivery?;
            let message = &delivery.message;
            let made = match delivery.state {
                DeliveryState::Sent => true,
                DeliveryState::Dead => delivery.attempts > 0,
                DeliveryState::Queued | DeliveryState::Blocked => false,
            };
            let is_it = made
                && !message.kind.takes_back()
                && message.activation == activation
                && message.address == sent.address
                && message.data == sent.data;
            if is_it {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Every tool that has, or had, a person. `tried`: whether a request was made for a delivery that waits.
    pub fn tools_of(&self, person: &Person, now: Timestamp, tried: impl Fn(DeliveryId) -> bool) -> Result<Vec<ToolStanding>> {
        let definitions = self.definitions();
        let deliveries = self.newest_of(person.id)?;
        let mut found: Vec<ToolStanding> = Vec::new();
        let mut seen: Vec<&str> = Vec::new();
        for delivery in &deliveries {
            let key = delivery.message.activation.as_str();
            if seen.contains(&key) {
                continue;
            }
            seen.push(key);
            let standing = person.activations.get(key);
            let of_it = || deliveries.iter().filter(|delivery| delivery.message.activation == key);
            found.extend(tool(&definitions.workspace, standing, of_it().collect(), now, &tried));
        }
        found.sort_by(|a, b| (&a.destination, &a.activation).cmp(&(&b.destination, &b.activation)));
        Ok(found)
    }

    /// Removals that a tool has not confirmed, among the [`WAITING_LOOKED_AT_MAX`] oldest that wait and those given up.
    pub fn removals(&self, destination: &str, now: Timestamp) -> Result<Removals> {
        let definitions = self.definitions();
        let within = definitions.workspace.destination(destination).map(|destination| destination.confirm_within());
        let within = within.unwrap_or(jumelle_model::workspace::take_back::CONFIRM_WITHIN);
        let mut removals = Removals::default();
        let waiting = self.behind.scan(Table::Queue, &queue_prefix(destination), None, WAITING_LOOKED_AT_MAX)?;
        let dead =
            self.behind.scan(Table::Ended, &ended_prefix(destination, DeliveryState::Dead), None, WAITING_LOOKED_AT_MAX)?;
        for (_, row) in waiting.into_iter().chain(dead) {
            let row = self.behind.get(Table::Deliveries, row.get(..16).unwrap_or_default())?;
            let Some(message) = row.and_then(|row| Delivery::decode(&row)).map(|delivery| delivery.message) else { continue };
            if !message.kind.takes_back() {
                continue;
            }
            removals.waiting += 1;
            removals.overdue += u64::from(message.at + within <= now);
            removals.oldest_at = Some(removals.oldest_at.map_or(message.at, |oldest| oldest.min(message.at)));
        }
        Ok(removals)
    }

    /// Who is in a tool still: how many, and the first of them. Looks at everyone.
    pub fn people_in(&self, destination: &str) -> Result<(u64, Vec<LeftBehind>)> {
        let definitions = self.definitions();
        let activations = &definitions.workspace.activations;
        let keys: Vec<&str> =
            activations.iter().filter(|one| one.destination == destination).map(|one| one.key.as_str()).collect();
        let (mut count, mut named) = (0, Vec::new());
        self.each_person(|person| {
            for key in &keys {
                let Some(sent) = person.activations.get(*key).and_then(there) else { continue };
                count += 1;
                if named.len() < NAMED_MAX {
                    named.push(LeftBehind { profile: person.id, activation: (*key).to_owned(), sent: readable(&sent) });
                }
            }
        })?;
        Ok((count, named))
    }

    /// Destinations that `after` no longer has, with the number of people who are in them or whose removal they have not confirmed.
    /// Looks at everyone, as [`Shared::people_in`] does.
    pub fn left_behind(&self, after: &Workspace) -> Result<Vec<(String, u64)>> {
        self.inside(|destination| after.destination(&destination.key).is_none())
    }

    /// Destinations that `after` pauses, with the number of people who stay in them meanwhile. Looks at everyone.
    pub fn pausing(&self, after: &Workspace) -> Result<Vec<(String, u64)>> {
        self.inside(|before| !before.paused && after.destination(&before.key).is_some_and(|after| after.paused))
    }

    fn inside(&self, concerned: impl Fn(&Destination) -> bool) -> Result<Vec<(String, u64)>> {
        let mut left = Vec::new();
        for destination in self.definitions().workspace.destinations.iter().filter(|destination| concerned(destination)) {
            let people = self.people_in(&destination.key)?.0.max(self.removals(&destination.key, self.now())?.waiting);
            if people > 0 {
                left.push((destination.key.clone(), people));
            }
        }
        Ok(left)
    }

    /// Calls for each person in the tables, as she is now. Who first came within the last second may be missing.
    pub fn each_person(&self, mut each: impl FnMut(&Person)) -> Result<()> {
        let whole = |person: &Person| {
            each(person);
            true
        };
        self.people_after(None, usize::MAX, whole).map(|_| ())
    }

    /// As [`Shared::each_person`], from behind a person on, until `more` says no or `looked_at_max` were looked at. Whether that
    /// was everybody.
    pub(crate) fn people_after(
        &self,
        after: Option<ProfileId>,
        looked_at_max: usize,
        mut more: impl FnMut(&Person) -> bool,
    ) -> Result<bool> {
        let mut after = after.map(|id| id.0.to_be_bytes().to_vec());
        let mut looked_at = 0;
        loop {
            let page = self.behind.scan(Table::People, &[], after.as_deref(), PAGE)?;
            let Some((last, _)) = page.last() else { return Ok(true) };
            after = Some(last.clone());
            for (key, _) in page {
                if looked_at >= looked_at_max {
                    return Ok(false);
                }
                looked_at += 1;
                let id = ProfileId(u128::from_be_bytes(key.try_into().unwrap_or_default()));
                if let Some(person) = self.people.get(id)?
                    && !more(&person)
                {
                    return Ok(false);
                }
            }
        }
    }
}

/// The state of one activation; `deliveries` are its own, the newest first.
fn tool(
    workspace: &Workspace,
    standing: Option<&Activated>,
    deliveries: Vec<&Delivery>,
    now: Timestamp,
    tried: &impl Fn(DeliveryId) -> bool,
) -> Option<ToolStanding> {
    let message = &deliveries.first()?.message;
    let destination = workspace.destination(&message.destination);
    let waiting = deliveries
        .iter()
        .filter(|delivery| delivery.message.kind.takes_back())
        .rfind(|delivery| delivery.state == DeliveryState::Queued);
    let received = standing.and_then(|standing| standing.received.as_ref());
    // One that was held back because the tool never had her says nothing of her leaving.
    let leaving = deliveries
        .iter()
        .find(|delivery| delivery.message.kind.takes_back() && (delivery.state != DeliveryState::Blocked || received.is_some()));
    // Until the tool has taken her she is not in it, whatever waits.
    let is_in = received.is_some() && standing.is_some_and(|standing| standing.held == Held::In);
    let within = destination.map(|destination| destination.confirm_within());
    let none = destination.and_then(|destination| destination.take_back.removal_none.as_ref());
    // What takes her out is looked at first: she may be in again under another name.
    let (state, told) = match (waiting, leaving) {
        (Some(waiting), _) => {
            let is_overdue = within.is_some_and(|within| waiting.message.at + within <= now);
            let state = match is_overdue {
                true => ToolState::Overdue,
                false if tried(waiting.message.id) => ToolState::Sent,
                false => ToolState::Pending,
            };
            (state, Some(*waiting))
        }
        (None, _) if is_in => (ToolState::In, None),
        (None, Some(leaving)) => match leaving.state {
            DeliveryState::Sent => (ToolState::Confirmed, Some(*leaving)),
            DeliveryState::Dead => (ToolState::Overdue, Some(*leaving)),
            _ => (ToolState::CannotBeTold, Some(*leaving)),
        },
        // Held back at the gate: it never had her.
        (None, None) => match received {
            None => return None,
            Some(_) => (ToolState::Unreachable, None),
        },
    };
    let state = match destination {
        None if state != ToolState::Confirmed => ToolState::Unreachable,
        _ => state,
    };
    let since = told
        .map(|delivery| delivery.at)
        .or_else(|| deliveries.iter().find(|delivery| delivery.message.kind == MessageType::Entered).map(|delivery| delivery.at));
    let knows = match state {
        ToolState::Confirmed => None,
        ToolState::In => standing.and_then(there),
        _ => told.map(|delivery| Sent { address: None, data: delivery.message.data.clone() }).or_else(|| received.cloned()),
    };
    let shown = matches!(state, ToolState::CannotBeTold | ToolState::Unreachable);
    Some(ToolStanding {
        activation: message.activation.clone(),
        destination: message.destination.clone(),
        purpose: message.purpose.clone(),
        channel: message.channel,
        state,
        since,
        sent: knows.as_ref().map(readable),
        delivery: told.map(|delivery| delivery.message.id),
        because: told.map(|delivery| delivery.message.kind),
        due_at: told.filter(|_| state != ToolState::Confirmed).and_then(|delivery| Some(delivery.message.at + within?)),
        contact: none.filter(|_| shown).map(|none| none.contact.clone()),
        why: none.filter(|_| shown).map(|none| none.reason.clone()),
    })
}
