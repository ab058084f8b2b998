//! Reconciliation: what a tool holds, compared with who may be there.

use std::collections::{BTreeSet, HashMap};

use jumelle_consent::{Asked, Party, Reason, Sent, decide};
use jumelle_model::Workspace;
use jumelle_model::ids::{DeliveryId, ProfileId};
use jumelle_model::time::Timestamp;
use jumelle_model::workspace::{Activation, FieldPath};
use jumelle_profile::{Held, Person};
use jumelle_store::{Result, Table};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::delivery::{Delivery, DeliveryState};
use crate::shared::Shared;

/// People of each kind who are named in a comparison; the counts are whole.
pub const NAMED_MAX: usize = 1_000;
/// Messages that one mending queues at most.
pub const MENDED_MAX: usize = 10_000;
/// Deliveries of one person looked at, the newest.
const LOOKED_AT_MAX: usize = 2_000;

/// What a comparison found.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Comparison {
    /// Names in the tool's list.
    pub held: u64,
    /// People who should be there.
    pub expected: u64,
    /// Of these, found.
    pub matched: u64,
    /// There, and must not be; nobody of ours among them.
    pub too_many: u64,
    /// Not there, and should be.
    pub too_few: u64,
    /// There, and nobody that we know.
    pub unknown: u64,
    /// Of the too many, those whose removal waits already.
    pub waiting: u64,
    /// Whoever is too many or too few, [`NAMED_MAX`] at most.
    pub people: Vec<Drift>,
    /// Names that nobody is known by, as the tool wrote them, [`NAMED_MAX`] at most.
    pub unknown_names: Vec<String>,
    /// What would mend it: deliveries to be made again.
    #[serde(skip)]
    pub mends: Vec<DeliveryId>,
}

/// One person too many or too few.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Drift {
    /// `too_many` or `too_few`.
    pub kind: &'static str,
    /// Who.
    pub profile: ProfileId,
    /// By which activation.
    pub activation: String,
    /// The name that the tool has, or should have.
    pub name: String,
    /// Why: `not_in_segment`, `old_name`, `lost`, or the gate's code.
    pub code: &'static str,
    /// In French.
    pub fr: String,
    /// In English.
    pub en: String,
    /// What will mend it; none: nothing that we sent can.
    pub delivery: Option<DeliveryId>,
}

impl Shared {
    /// Compares a tool's list with who may be there. Looks at everyone; names are compared without regard to case.
    pub fn reconcile(&self, destination: &str, names: &[String]) -> Result<Comparison> {
        let definitions = self.definitions();
        let workspace = &definitions.workspace;
        let now = self.now();
        // Name → whether somebody is known by it.
        let mut list: HashMap<String, bool> = names.iter().map(|name| (name.trim().to_lowercase(), false)).collect();
        list.remove("");
        let mut found = Comparison { held: list.len() as u64, ..Comparison::default() };
        let activations: Vec<&Activation> =
            workspace.activations.iter().filter(|activation| activation.destination == destination).collect();
        let mut outcome = Ok(());
        self.each_person(|person| {
            if outcome.is_ok() {
                outcome = self.compare(workspace, &definitions.plan, &activations, person, &mut list, &mut found, now);
            }
        })?;
        outcome?;
        let mut unknown: Vec<String> = list.into_iter().filter(|(_, known)| !known).map(|(name, _)| name).collect();
        found.unknown = unknown.len() as u64;
        unknown.sort_unstable();
        unknown.truncate(NAMED_MAX);
        found.unknown_names = unknown;
        Ok(found)
    }

    #[expect(clippy::too_many_arguments, reason = "one step of the loop above")]
    fn compare(
        &self,
        workspace: &Workspace,
        plan: &jumelle_segment::Plan,
        activations: &[&Activation],
        person: &Person,
        list: &mut HashMap<String, bool>,
        found: &mut Comparison,
        now: Timestamp,
    ) -> Result<()> {
        let (mut there, mut expected): (BTreeSet<String>, BTreeSet<String>) = Default::default();
        let mut missing: Vec<(&Activation, String)> = Vec::new();
        for activation in activations {
            let mut present = false;
            for name in names_of(person, activation) {
                if let Some(known) = list.get_mut(&name) {
                    *known = true;
                    present = true;
                    there.insert(name);
                }
            }
            let standing = person.activations.get(&activation.key);
            let Some(last) = standing.filter(|standing| standing.held == Held::In).and_then(|standing| standing.last.as_ref())
            else {
                continue;
            };
            let sent = sent_names(activation, last);
            found.expected += 1;
            found.matched += u64::from(present);
            if !sent.iter().any(|name| list.contains_key(name)) && !sent.is_empty() {
                missing.push((activation, sent.join(" ")));
            }
            expected.extend(sent);
        }
        let too_many: Vec<String> = there.difference(&expected).cloned().collect();
        if too_many.is_empty() && missing.is_empty() {
            return Ok(());
        }
        let deliveries = self.newest_deliveries_of(person.id)?;
        for name in too_many {
            // The activation that brought this very name in; else any.
            let brought = deliveries.iter().find(|delivery| {
                let message = &delivery.message;
                !message.kind.takes_back()
                    && activations
                        .iter()
                        .any(|one| one.key == message.activation && sent_names(one, &carried(delivery)).contains(&name))
            });
            let activation = activations.iter().find(|one| brought.is_some_and(|brought| brought.message.activation == one.key));
            let Some(activation) = activation.or(activations.first()) else { continue };
            let leaving = deliveries.iter().find(|delivery| {
                let message = &delivery.message;
                message.kind.takes_back()
                    && message.activation == activation.key
                    && sent_names(activation, &carried(delivery)).contains(&name)
            });
            let (code, fr, en) = why(workspace, plan, activation, person, now, expected.is_empty());
            let waits = leaving.is_some_and(|delivery| delivery.state == DeliveryState::Queued);
            let mend = leaving.filter(|delivery| delivery.state != DeliveryState::Queued).map(|delivery| delivery.message.id);
            found.too_many += 1;
            found.waiting += u64::from(waits);
            found.note(Drift {
                kind: "too_many",
                profile: person.id,
                activation: activation.key.clone(),
                name,
                code,
                fr,
                en,
                delivery: mend,
            });
        }
        for (activation, name) in missing {
            let newest = deliveries
                .iter()
                .find(|delivery| !delivery.message.kind.takes_back() && delivery.message.activation == activation.key);
            // What has not been sent yet is not lost.
            let Some(newest) = newest.filter(|delivery| delivery.state != DeliveryState::Queued) else { continue };
            found.too_few += 1;
            found.note(Drift {
                kind: "too_few",
                profile: person.id,
                activation: activation.key.clone(),
                name,
                code: "lost",
                fr: "l'outil l'a confirmée et ne l'a pas".into(),
                en: "the tool confirmed her and does not have her".into(),
                delivery: Some(newest.message.id),
            });
        }
        Ok(())
    }

    fn newest_deliveries_of(&self, id: ProfileId) -> Result<Vec<Delivery>> {
        let rows = self.behind.scan_back(Table::DeliveriesOfPerson, &id.0.to_be_bytes(), None, LOOKED_AT_MAX)?;
        let mut found = Vec::with_capacity(rows.len());
        for (_, delivery) in rows {
            found.extend(self.behind.get(Table::Deliveries, &delivery)?.and_then(|row| Delivery::decode(&row)));
        }
        Ok(found)
    }
}

impl Comparison {
    fn note(&mut self, drift: Drift) {
        if let Some(delivery) = drift.delivery.filter(|_| self.mends.len() < MENDED_MAX)
            && !self.mends.contains(&delivery)
        {
            self.mends.push(delivery);
        }
        if self.people.len() < NAMED_MAX {
            self.people.push(drift);
        }
    }

    /// The counts, without anybody's name: what is kept.
    pub fn counts(&self) -> Value {
        json!({
            "held": self.held, "expected": self.expected, "matched": self.matched, "too_many": self.too_many,
            "too_few": self.too_few, "unknown": self.unknown, "waiting": self.waiting,
        })
    }
}

fn carried(delivery: &Delivery) -> Sent {
    Sent { address: delivery.message.address.clone(), data: delivery.message.data.clone() }
}

/// Everything that a tool could know a person by, plain or hashed, in lower case: of the namespaces that the activation maps.
fn names_of(person: &Person, activation: &Activation) -> Vec<String> {
    let mut names = Vec::new();
    for (_, path) in &activation.map {
        if let FieldPath::Identifier(namespace) | FieldPath::HashedIdentifier(namespace) = path {
            for identifier in person.known.identifiers_of(namespace) {
                names.push(identifier.value.to_lowercase());
                names.push(Sha256::digest(identifier.value.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect());
            }
        }
    }
    names
}

/// The names that a message carried, plain and hashed.
fn sent_names(activation: &Activation, sent: &Sent) -> Vec<String> {
    let mut names = Vec::new();
    for (field, path) in &activation.map {
        let Some((_, text)) = sent.data.iter().find(|(name, _)| name == field) else { continue };
        let Ok(Value::String(value)) = serde_json::from_str::<Value>(text) else { continue };
        match path {
            FieldPath::HashedIdentifier(_) => names.push(value),
            FieldPath::Identifier(_) => {
                names.push(Sha256::digest(value.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect());
                names.push(value.to_lowercase());
            }
            _ => {}
        }
    }
    names
}

fn why(
    workspace: &Workspace,
    plan: &jumelle_segment::Plan,
    activation: &Activation,
    person: &Person,
    now: Timestamp,
    nowhere: bool,
) -> (&'static str, String, String) {
    if !nowhere {
        let (fr, en) = ("elle y est aussi sous un ancien nom", "she is there under a former name as well");
        return ("old_name", fr.into(), en.into());
    }
    let fields = jumelle_profile::fields(workspace, plan, activation, person, now);
    let asked = Asked {
        purpose: &activation.purpose,
        channel: activation.channel,
        address: fields.address.as_ref(),
        destination: Some(&activation.destination),
    };
    let party = Party { choices: &person.known.choices, circumstances: &fields.circumstances, contacts: &[] };
    match decide(workspace, asked, party, now).outcome {
        Err(reason) => {
            let reason: Reason = reason;
            (reason.code(), reason.sentence(jumelle_consent::Tongue::Fr), reason.sentence(jumelle_consent::Tongue::En))
        }
        Ok(_) if person.memberships.contains_key(&activation.segment) => (
            "never_sent",
            "elle peut y être, mais rien ne l'y a envoyée".into(),
            "she may be there, but nothing of ours sent her".into(),
        ),
        Ok(_) => (
            "not_in_segment",
            format!("elle n'est pas dans le segment {}", activation.segment),
            format!("she is not in the segment {}", activation.segment),
        ),
    }
}
