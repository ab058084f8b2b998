//! An activation before it goes live: what would leave for one person, and whom it would reach. Nothing is queued, noted or sent.

use std::collections::BTreeMap;

use jumelle_activate::{Judged, Shown, cannot_be_told, show};
use jumelle_connect::Catalogue;
use jumelle_consent::{Cleared, Evidence, Party, Reason, Refused, clear};
use jumelle_model::Workspace;
use jumelle_model::ids::{DeliveryId, ProfileId};
use jumelle_model::message::{Message, MessageType};
use jumelle_model::time::Timestamp;
use jumelle_model::workspace::Activation;
use jumelle_profile::{Person, fields};
use jumelle_segment::Plan;
use jumelle_store::{Result, Table};
use serde::Serialize;

use crate::outlet::unsubscribed_at;
use crate::shared::{Shared, member_key, member_prefix};

/// Members looked at, at most. Ids are spread like hashes, so the first ones are a fair sample; above it the answer says so.
pub const AUDIENCE_MAX: usize = 20_000;
/// Members read at a time.
const PAGE: usize = 1_000;
/// Different reasons that are told, at most; more go into none.
const REASONS_MAX: usize = 100;

/// A definition that may not be in force: the workspace with it, compiled, and the connectors.
pub struct ActivationDraft<'a> {
    /// With the activation in it.
    pub workspace: &'a Workspace,
    /// Of that workspace.
    pub plan: &'a Plan,
    /// Connectors.
    pub catalogue: &'a Catalogue,
    /// The activation.
    pub activation: &'a Activation,
}

/// What would leave for one person if she came in now.
#[derive(Debug)]
pub struct Look {
    /// Who.
    pub profile: ProfileId,
    /// She is in the segment.
    pub is_member: bool,
    /// What would open the gate, or why it is closed.
    pub gate: std::result::Result<Evidence, Reason>,
    /// Fields that the map names and she has no value for.
    pub empty: Vec<String>,
    /// What would leave, or what would leave if the gate were open.
    pub shown: Shown,
    /// When this was asked.
    pub at: Timestamp,
}

/// Whom an activation would reach.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Audience {
    /// Members of the segment.
    pub members: u64,
    /// Of these, looked at.
    pub looked_at: u64,
    /// There are more than were looked at.
    pub sampled: bool,
    /// The gate is open.
    pub reachable: u64,
    /// The gate is closed for a moment only (hours, frequency, a pause of the tool).
    pub later: u64,
    /// The gate is closed, by its code, the most people first.
    pub closed: Vec<Counted>,
    /// Of the reachable, those of whom the tool cannot be told, by why.
    pub untold: Vec<Counted>,
}

/// How many people share a reason.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Counted {
    /// Code of the gate, or a sentence.
    pub reason: String,
    /// How many.
    pub people: u64,
}

impl Shared {
    /// What would leave for one person.
    pub fn look(&self, draft: &ActivationDraft<'_>, person: &Person) -> Result<Look> {
        let at = self.now();
        let judged = self.judge(draft, person, at)?;
        let (gate, shown, data) = match &judged {
            Ok(cleared) => {
                let shown = show(draft.workspace, draft.catalogue, draft.activation, Judged::Open(cleared));
                (Ok(cleared.evidence().clone()), shown, &cleared.message().data)
            }
            Err(refused) => {
                let shown = show(draft.workspace, draft.catalogue, draft.activation, Judged::Closed(&refused.message));
                (Err(refused.reason.clone()), shown, &refused.message.data)
            }
        };
        let has = |field: &str| data.iter().any(|(name, _)| name == field);
        let empty = draft.activation.map.iter().filter(|(field, _)| !has(field)).map(|(field, _)| field.clone()).collect();
        let is_member = self.behind.get(Table::Members, &member_key(&draft.activation.segment, person.id))?.is_some();
        Ok(Look { profile: person.id, is_member, gate, empty, shown, at })
    }

    /// Counts the members of the segment by what the gate says of each. Blocks for as long as it takes: not for the fold's thread.
    pub fn audience(&self, draft: &ActivationDraft<'_>) -> Result<Audience> {
        let at = self.now();
        let prefix = member_prefix(&draft.activation.segment);
        let mut audience = Audience::default();
        let (mut closed, mut untold): (BTreeMap<String, u64>, BTreeMap<String, u64>) = Default::default();
        let count = |reasons: &mut BTreeMap<String, u64>, reason: String| {
            if reasons.len() < REASONS_MAX || reasons.contains_key(&reason) {
                *reasons.entry(reason).or_default() += 1;
            }
        };
        let mut last: Option<Vec<u8>> = None;
        'members: loop {
            let rows = self.behind.scan(Table::Members, &prefix, last.as_deref(), PAGE)?;
            if rows.is_empty() {
                break;
            }
            for (key, _) in rows {
                if audience.looked_at >= AUDIENCE_MAX as u64 {
                    audience.sampled = true;
                    break 'members;
                }
                let id = key.last_chunk::<16>().map(|id| ProfileId(u128::from_be_bytes(*id)));
                last = Some(key);
                let Some(id) = id else { continue };
                let Some(person) = self.people.get(id)? else { continue };
                audience.looked_at += 1;
                match self.judge(draft, &person, at)? {
                    Ok(cleared) => {
                        audience.reachable += 1;
                        if let Some(reason) = cannot_be_told(draft.workspace, draft.catalogue, &cleared) {
                            count(&mut untold, reason);
                        }
                    }
                    Err(refused) if refused.reason.is_momentary() => audience.later += 1,
                    Err(refused) => count(&mut closed, refused.reason.code().to_owned()),
                }
            }
        }
        let counted = self.counts.read().get(&draft.activation.segment).copied().unwrap_or_default();
        audience.members = if audience.sampled { counted.max(audience.looked_at) } else { audience.looked_at };
        audience.closed = sorted(closed);
        audience.untold = sorted(untold);
        Ok(audience)
    }

    fn judge(
        &self,
        draft: &ActivationDraft<'_>,
        person: &Person,
        at: Timestamp,
    ) -> Result<std::result::Result<Cleared, Refused>> {
        let ActivationDraft { workspace, plan, activation, .. } = draft;
        let mapped = fields(workspace, plan, activation, person, at);
        let message = Message {
            id: DeliveryId::derive(&activation.key, person.id, "preview"),
            kind: MessageType::Entered,
            activation: activation.key.clone(),
            segment: activation.segment.clone(),
            destination: activation.destination.clone(),
            purpose: activation.purpose.clone(),
            channel: activation.channel,
            at,
            profile: person.id,
            address: mapped.address,
            data: mapped.data,
        };
        let contacts = self.contacts(workspace, person.id, None)?;
        let party = Party { choices: &person.known.choices, circumstances: &mapped.circumstances, contacts: &contacts };
        match clear(workspace, message, party, None, at) {
            Ok(cleared) => {
                let cleared = match unsubscribed_at(workspace, cleared.message()) {
                    // Not her own link: whoever looks at this could use it.
                    Some((base, _)) => cleared.with_unsubscribe(format!("{base}/l/{}", jumelle_connect::settings::MASK)),
                    None => cleared,
                };
                Ok(Ok(self.with_strings(workspace, person.id, cleared)?))
            }
            Err(refused) => Ok(Err(refused)),
        }
    }
}

fn sorted(reasons: BTreeMap<String, u64>) -> Vec<Counted> {
    let mut all: Vec<Counted> = reasons.into_iter().map(|(reason, people)| Counted { reason, people }).collect();
    all.sort_by(|a, b| b.people.cmp(&a.people).then_with(|| a.reason.cmp(&b.reason)));
    all
}
