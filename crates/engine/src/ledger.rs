//! Feeding the ledger: choices and outcomes as they are folded, what the gate lets out before it leaves.

use jumelle_consent::{Cleared, Evidence, receipts};
use jumelle_ledger::{LedgerError, Outcome, Release, Statement, Under, merkle};
use jumelle_model::consent::{Choice, Scope};
use jumelle_model::ids::ProfileId;
use jumelle_model::message::MessageType;
use jumelle_store::{Result, StoreError, Table};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::delivery::{Delivery, DeliveryState};
use crate::fold::Fold;
use crate::outlet::Outlet;
use crate::shared::Shared;

/// The fold knows one kind of disk.
pub(crate) fn stored(error: LedgerError) -> StoreError {
    match error {
        LedgerError::Io { path, source } => StoreError::Io { path, source },
        other => StoreError::Damaged { place: "the ledger".into(), what: other.to_string() },
    }
}

impl Fold {
    /// One choice, the `ordinal`-th of its event. A replay notes nothing twice: the ledger knows the place.
    pub(crate) fn note_choice(&self, owner: ProfileId, choice: Choice, ordinal: u32) -> Result<()> {
        let (received, position) = (self.cause.received, self.cause.position.0);
        let noted = self.shared.ledger.note_later(received, (position, ordinal), move || {
            let receipts = receipts(&choice);
            Statement::Choice(Box::new(jumelle_ledger::Choice {
                at: choice.stamp.time,
                received,
                position,
                ordinal,
                profile: owner,
                purpose: choice.purpose,
                channel: choice.channel,
                state: choice.state,
                address: match choice.scope {
                    Scope::Person => None,
                    Scope::Address(namespace, value) => Some((namespace, value)),
                },
                covers: choice.covers,
                source: choice.source,
                weak: choice.weak,
                proof: choice.proof.as_deref().map(json),
                receipts,
            }))
        });
        noted.map(drop).map_err(stored)
    }

    /// What became of a delivery.
    pub(crate) fn note_outcome(&self, delivery: &Delivery) -> Result<()> {
        let state = match delivery.state {
            DeliveryState::Queued => return Ok(()),
            other => other.as_str(),
        };
        let statement = || Outcome {
            at: self.cause.received,
            position: self.cause.position.0,
            delivery: delivery.message.id,
            profile: delivery.message.profile,
            destination: delivery.message.destination.clone(),
            state: state.into(),
            attempts: delivery.attempts,
            status: delivery.status,
            reason: delivery.reason.clone(),
        };
        self.shared.ledger.note(self.cause.received, || Some(Statement::Outcome(statement()))).map(drop).map_err(stored)
    }

    /// Texts and salts of a person, by all the ids that she had.
    pub(crate) fn erase_from_ledger(&self, ids: &[ProfileId]) -> Result<()> {
        let erased = self.shared.ledger.erase(self.cause.received, self.cause.position.0, ids);
        erased.map(drop).map_err(stored)
    }
}

impl Outlet {
    /// Notes what leaves; `None`: it is not waiting any more. The entry is not on disk yet.
    pub(crate) fn note_release(&self, cleared: &Cleared) -> std::result::Result<Option<u64>, LedgerError> {
        let at = self.shared.wall.now();
        let id = cleared.message().id;
        self.shared.ledger.note(at, || {
            // Under the ledger's lock: whoever is erased meanwhile has lost her deliveries before the ledger is asked for her.
            let row = self.shared.behind.get(Table::Deliveries, &id.0.to_be_bytes()).ok()??;
            Delivery::decode(&row).filter(|delivery| delivery.state == DeliveryState::Queued)?;
            Some(Statement::Release(Box::new(release(cleared, at))))
        })
    }

    /// As [`Outlet::note_release`], of somebody who stands in a file again and has no delivery that waits.
    pub(crate) fn note_standing(&self, cleared: &Cleared) -> std::result::Result<Option<u64>, LedgerError> {
        let at = self.shared.wall.now();
        self.shared.ledger.note(at, || {
            // Under the ledger's lock: whoever is erased meanwhile is gone before the ledger is asked for her.
            self.shared.people.get(cleared.message().profile).ok()??;
            Some(Statement::Release(Box::new(release(cleared, at))))
        })
    }
}

impl Shared {
    /// Returns when the first `noted` entries of the ledger are on disk.
    pub(crate) fn commit_ledger(&self, noted: u64) -> std::result::Result<(), LedgerError> {
        let started = std::time::Instant::now();
        let outcome = self.ledger.commit(noted);
        metrics::histogram!("jumelle_ledger_seconds").record(started.elapsed().as_secs_f64());
        outcome
    }
}

fn release(cleared: &Cleared, at: jumelle_model::Timestamp) -> Release {
    let message = cleared.message();
    // What tells of an erasure comes after it: nothing of the person may be written down again, nor a hash that one could guess.
    let bare = message.kind == MessageType::Erased;
    let data = message.data.iter().map(|(field, text)| (field.clone(), if bare { Value::Null } else { json(text) }));
    Release {
        at,
        delivery: message.id,
        profile: message.profile,
        kind: message.kind.as_str().into(),
        activation: message.activation.clone(),
        segment: message.segment.clone(),
        destination: message.destination.clone(),
        purpose: message.purpose.clone(),
        channel: message.channel,
        address: message.address.clone().filter(|_| !bare),
        data: data.collect(),
        body_sha256: (!bare).then(|| merkle::hex(&Sha256::digest(cleared.body()))),
        under: match cleared.evidence() {
            Evidence::Granted(standing) => Under::Choice { receipt: standing.receipt.clone(), since: standing.since },
            Evidence::Basis(basis) => Under::Basis(
                serde_json::to_value(basis).ok().and_then(|basis| Some(basis.as_str()?.to_owned())).unwrap_or_default(),
            ),
            Evidence::TakesBack => Under::TakesBack,
        },
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}
