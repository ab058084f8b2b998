//! Feeding the ledger: choices and outcomes as they are folded, what the gate lets out before it leaves.

use jumelle_consent::{Cleared, Evidence, receipts};
use jumelle_ledger::{Chosen, LedgerError, Outcome, Release, Statement, Text, Under, merkle};
use jumelle_model::Workspace;
use jumelle_model::consent::{Choice, Scope};
use jumelle_model::ids::ProfileId;
use jumelle_model::message::MessageType;
use jumelle_model::time::Timestamp;
use jumelle_store::{Result, StoreError, Table};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::apart::AboutHer;
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
    /// Choices of one event, the first of them its `ordinal`-th: those of a signal are one entry, another one stands alone. A replay
    /// notes nothing twice: the ledger knows the place.
    pub(crate) fn note_choices(&self, owner: ProfileId, choices: Vec<Choice>, of_signal: bool, ordinal: u32) -> Result<()> {
        if choices.is_empty() {
            return Ok(());
        }
        let (received, position) = (self.cause.received, self.cause.position.0);
        let noted = self.shared.ledger.note_later(received, (position, ordinal), move || {
            let place = Place { owner, received, position, ordinal };
            match <[Choice; 1]>::try_from(choices) {
                Ok([choice]) if !of_signal => Statement::Choice(Box::new(place.choice(choice))),
                Ok(one) => Statement::Signal(Box::new(place.signal(one.into()))),
                Err(several) => Statement::Signal(Box::new(place.signal(several))),
            }
        });
        noted.map(drop).map_err(stored)
    }

    /// The words that definitions have for each version of a purpose's text: a choice names the version that was shown.
    pub(crate) fn note_texts(&self, workspace: &Workspace) -> Result<()> {
        let (at, position) = (self.cause.received, self.cause.position.0);
        let texts = workspace.purposes.iter().flat_map(|purpose| purpose.terms.texts.iter().map(|text| (&purpose.key, text)));
        for (ordinal, (purpose, text)) in (0..).zip(texts) {
            let words = [("fr", &text.words.fr), ("en", &text.words.en)];
            let words = words.into_iter().filter_map(|(lang, words)| Some((lang.to_owned(), words.clone()?))).collect();
            let (purpose, version) = (purpose.clone(), text.version.clone());
            let statement = Text { at, position, ordinal, purpose, version, words };
            let noted = self.shared.ledger.note_later(at, (position, ordinal), move || Statement::Text(Box::new(statement)));
            noted.map_err(stored)?;
        }
        Ok(())
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

    /// Texts and salts of a person, by all the ids that she had or shared.
    pub(crate) fn erase_from_ledger(&self, ids: &[ProfileId], about_her: AboutHer) -> Result<()> {
        let erased = self.shared.ledger.erase(self.cause.received, self.cause.position.0, ids, about_her);
        erased.map(drop).map_err(stored)
    }
}

/// Whose choices, and where in the history.
struct Place {
    owner: ProfileId,
    received: Timestamp,
    position: u64,
    ordinal: u32,
}

impl Place {
    fn choice(self, choice: Choice) -> jumelle_ledger::Choice {
        jumelle_ledger::Choice {
            receipts: receipts(&choice),
            at: choice.stamp.time,
            received: self.received,
            position: self.position,
            ordinal: self.ordinal,
            profile: self.owner,
            purpose: choice.purpose,
            channel: choice.channel,
            state: choice.state,
            address: address(choice.scope),
            covers: choice.covers,
            source: choice.source,
            weak: choice.weak,
            proof: choice.proof.map(|proof| json(&proof.to_json())),
        }
    }

    /// Choices that share all but what was chosen.
    fn signal(self, choices: Vec<Choice>) -> jumelle_ledger::Signal {
        let chosen = choices.iter().map(|choice| Chosen {
            purpose: choice.purpose.clone(),
            channel: choice.channel,
            state: choice.state,
            because: choice.proof.as_ref().and_then(|proof| proof.parts().1).map(|because| because.to_string()),
            receipt: receipts(choice).swap_remove(0),
        });
        let chosen = chosen.collect();
        let first = choices.into_iter().next();
        let (at, weak) = first.as_ref().map_or((Timestamp::default(), false), |first| (first.stamp.time, first.weak));
        let proof = first.as_ref().and_then(|first| first.proof.as_ref()).map(|proof| json(proof.parts().0));
        let (address, source) = first.map(|first| (address(first.scope), first.source)).unwrap_or_default();
        let Place { owner: profile, received, position, ordinal } = self;
        jumelle_ledger::Signal { at, received, position, ordinal, profile, address, source, weak, proof, choices: chosen }
    }
}

fn address(scope: Scope) -> Option<(String, String)> {
    match scope {
        Scope::Person => None,
        Scope::Address(namespace, value) => Some((namespace, value)),
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
            Evidence::Granted(standing) => Under::Choice { receipt: standing.receipt(), since: standing.since },
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
