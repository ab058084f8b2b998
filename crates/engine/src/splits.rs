//! Two people who were found to be one by mistake, taken apart (decision 0022): each is folded again from her own events, no grant
//! crosses over, and nothing joins them again.
//!
//! Whoever stays keeps the id; the other gets one made from the split's own place, as a person met for the first time gets one from
//! her first event. Ids that she had before the join lead to her again where her events tell.

use jumelle_consent::Sent;
use jumelle_model::ids::ProfileId;
use jumelle_model::time::Timestamp;
use jumelle_store::{Result, Table};
use serde::{Deserialize, Serialize};

use crate::delivery::Delivery;
use crate::fold::Fold;
use crate::parting::{Parted, Side, Which};
use crate::shared::{Shared, member_key};

/// Events of a person who can be taken apart, at most: the fold reads them all in one go, some hundred thousand a second.
pub const SPLIT_EVENTS_MAX: u64 = 1_000_000;

/// Why somebody is taken apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SplitReason {
    /// A till's tablet, a family's computer.
    SharedDevice,
    /// An e-mail address or telephone that several use.
    SharedAddress,
    /// A wrong number, address or card was typed in.
    TypingError,
    /// Something else.
    Other,
}

impl SplitReason {
    /// All of them.
    pub const ALL: [SplitReason; 4] =
        [SplitReason::SharedDevice, SplitReason::SharedAddress, SplitReason::TypingError, SplitReason::Other];

    /// Name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            SplitReason::SharedDevice => "shared_device",
            SplitReason::SharedAddress => "shared_address",
            SplitReason::TypingError => "typing_error",
            SplitReason::Other => "other",
        }
    }
}

/// A split on its way into the history. Identifiers are told by their keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Split {
    /// The joined person.
    pub profile: ProfileId,
    /// Of the one who keeps the id.
    pub staying: Vec<u128>,
    /// Of the one who gets her own.
    pub leaving: Vec<u128>,
    /// Why.
    pub reason: Option<SplitReason>,
    /// Name of the token of whoever asks for it.
    pub by: String,
}

/// A split that happened to a person.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct SplitStep {
    /// When.
    pub at: Timestamp,
    /// Its place in the history.
    pub position: u64,
    /// The other one, by the id that she has now.
    pub other: ProfileId,
    /// Why.
    pub reason: Option<String>,
    /// Who asked for it.
    pub by: String,
}

impl Shared {
    /// What a split would come to now. Changes nothing.
    pub fn would_part(&self, joined: &jumelle_profile::Person, leaving: &[u128]) -> Result<Parted> {
        self.part(&self.definitions(), joined, leaving, self.now())
    }

    /// The splits of a person, oldest first.
    pub fn splits_of(&self, id: ProfileId) -> Result<Vec<SplitStep>> {
        let mut steps: Vec<SplitStep> = Vec::new();
        for apart in self.apart_from(id)? {
            let other = self.people.surviving(apart.other)?;
            if steps.iter().any(|step| step.position == apart.position.0) {
                continue;
            }
            let Some(block) = self.history.block_of(apart.position)? else { continue };
            let Some(record) = block.record(apart.position)? else { continue };
            if let jumelle_store::Entry::Split { reason, by, .. } = record.entry {
                let reason = Some(reason.to_owned()).filter(|reason| !reason.is_empty());
                steps.push(SplitStep { at: record.received, position: apart.position.0, other, reason, by: by.to_owned() });
            }
        }
        steps.sort_by_key(|step| step.position);
        Ok(steps)
    }
}

impl Fold {
    /// Takes a person apart. What names nobody of hers (any more) is only kept apart from now on.
    pub(crate) fn split(&mut self, profile: ProfileId, staying: &[u128], leaving: &[u128]) -> Result<()> {
        let other = ProfileId::of_first_evidence(self.cause.received, &format!("split:{}", self.cause.position.0));
        let Some(id) = self.as_she_was(profile, staying.iter().chain(leaving))? else { return Ok(()) };
        let Some(joined) = self.shared.people.get(id)? else { return Ok(()) };
        let definitions = self.definitions.clone();
        let parted = self.shared.part(&definitions, &joined, leaving, self.clock)?;
        self.copy_apart(id, other)?;
        self.mark_apart((id, staying), (other, leaving));
        if parted.leaves().person.known.identifiers.is_empty() {
            return Ok(());
        }
        self.part_deliveries(id, other, &parted)?;
        self.part_corrections((id, other), &parted.wrong)?;
        let recognised_before = u64::from(joined.is_recognised());
        let absorbed = joined.known.absorbed.clone();
        drop(joined);
        for one in std::iter::once(id).chain(absorbed) {
            self.shared.timeline.lock().remove(&one);
            for (key, _) in self.shared.behind.scan(Table::Timeline, &one.0.to_be_bytes(), None, usize::MAX)? {
                self.shared.behind.remove(Table::Timeline, key);
            }
        }
        let [stays, leaves] = parted.into_sides();
        // For a reader nobody is ever missing: first she is there, then the names lead to her, then the other lets go.
        let mut recognised = u64::from(leaves.person.is_recognised());
        self.arrive(other, leaves)?;
        let is_somebody = !stays.person.known.identifiers.is_empty();
        recognised += u64::from(is_somebody && stays.person.is_recognised());
        self.stay(id, stays)?;
        {
            let mut totals = self.shared.totals.lock();
            totals.people += u64::from(is_somebody);
            totals.recognised = (totals.recognised + recognised).saturating_sub(recognised_before);
        }
        self.day()?.people += 1;
        metrics::counter!("jumelle_splits_total").increment(1);
        // Who leaves is taken out of the tools under the id that they know, before the one who stays may come in under it.
        self.known_as = Some((other, id));
        let evaluated = self.evaluate(other);
        self.known_as = None;
        evaluated?;
        self.evaluate(id)
    }

    /// The joined person. In a replay she may have another id, where whoever gave her this one was erased since; then whoever is left
    /// of her is given it back. `None`: nobody is left.
    fn as_she_was<'k>(&mut self, profile: ProfileId, keys: impl Iterator<Item = &'k u128>) -> Result<Option<ProfileId>> {
        let id = self.shared.people.surviving(profile)?;
        if self.shared.people.get(id)?.is_some() {
            return Ok(Some(id));
        }
        for key in keys {
            if let Some(owner) = self.shared.people.owner_of(*key)? {
                self.shared.people.create(id);
                self.join(owner, id)?;
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    fn arrive(&mut self, id: ProfileId, side: Side) -> Result<()> {
        let Side { mut person, timeline, .. } = side;
        person.id = id;
        self.shared.people.create(id);
        if !timeline.is_empty() {
            self.shared.timeline.lock().insert(id, timeline);
        }
        let identifiers: Vec<_> = person.known.identifiers.keys().cloned().collect();
        let absorbed: Vec<_> = person.known.absorbed.iter().copied().collect();
        for (segment, since) in &person.memberships {
            self.shared.behind.put(Table::Members, member_key(segment, id), since.0.to_be_bytes());
            self.count(segment, 1);
        }
        self.shared.people.change(id, |known| *known = person)?;
        for former in absorbed {
            self.shared.people.alias(former, id);
        }
        for identifier in &identifiers {
            self.shared.people.assign(identifier, id);
        }
        Ok(())
    }

    /// She stands where she stood until she is evaluated; nobody, if she is somebody who was erased since.
    fn stay(&mut self, id: ProfileId, side: Side) -> Result<()> {
        let Side { person, timeline, .. } = side;
        if !timeline.is_empty() {
            self.shared.timeline.lock().insert(id, timeline);
        }
        if !person.known.identifiers.is_empty() {
            return self.shared.people.change(id, |joined| {
                joined.known = person.known;
                joined.activations = person.activations;
            });
        }
        if let Some(gone) = self.shared.people.remove(id)? {
            for segment in gone.memberships.keys() {
                self.shared.behind.remove(Table::Members, member_key(segment, id));
                self.count(segment, -1);
            }
            if gone.due != Timestamp::MAX {
                self.timers.unset(&self.shared.behind, gone.due, id)?;
            }
        }
        Ok(())
    }

    /// Deliveries of the joined person keep their messages; each is listed under whoever it names, and judged by her choices.
    fn part_deliveries(&mut self, id: ProfileId, other: ProfileId, parted: &Parted) -> Result<()> {
        for (key, row) in self.shared.behind.scan(Table::DeliveriesOfPerson, &id.0.to_be_bytes(), None, usize::MAX)? {
            let Some(delivery) = self.shared.behind.get(Table::Deliveries, &row)?.and_then(|row| Delivery::decode(&row)) else {
                continue;
            };
            let carried = Sent { address: delivery.message.address, data: delivery.message.data };
            if parted.whose(&carried) == Which::Leaves {
                let moved = [&other.0.to_be_bytes(), key.get(16..).unwrap_or_default()].concat();
                self.shared.behind.put(Table::DeliveriesOfPerson, moved, row);
                self.shared.behind.remove(Table::DeliveriesOfPerson, key);
            }
        }
        Ok(())
    }
}
