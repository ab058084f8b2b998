//! The dispatcher's way into the house: what waits, the second gate, and where results go.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use jumelle_activate::{Clearance, DeliveryResult, House, QueueKey, Queued};
use jumelle_consent::{Choices, Circumstances, Cleared, Party, Sent, clear};
use jumelle_model::Workspace;
use jumelle_model::consent::Channel;
use jumelle_model::ids::{DeliveryId, ProfileId};
use jumelle_model::message::MessageType;
use jumelle_model::time::Timestamp;
use jumelle_store::{Table, failpoint};

use crate::committer::{Draft, Intake, SubmitError};
use crate::delivery::{Delivery, DeliveryState, queue_key, queue_prefix, read_place};
use crate::links::{LINK_DAYS, Link, LinkScope};
use crate::shared::Shared;

/// How long a result waits before it is offered to a busy history again.
const RECORD_AGAIN: Duration = Duration::from_millis(50);

pub(crate) struct Outlet {
    pub(crate) shared: Arc<Shared>,
    pub(crate) intake: Intake,
}

impl Outlet {
    fn try_clear(&self, queued: &Queued) -> jumelle_store::Result<Clearance> {
        let Some(row) = self.shared.behind.get(Table::Deliveries, &queued.id.0.to_be_bytes())? else {
            return Ok(Clearance::Superseded);
        };
        let Some(delivery) = Delivery::decode(&row).filter(|delivery| delivery.state == DeliveryState::Queued) else {
            return Ok(Clearance::Superseded);
        };
        let key = delivery.key();
        let mut message = delivery.message;
        let definitions = self.shared.definitions();
        let workspace = &definitions.workspace;
        let now = self.shared.now();
        if message.kind == MessageType::Erased {
            let carried = Sent { address: message.address.clone(), data: message.data.clone() };
            let nobody =
                Party { choices: &Choices::default(), circumstances: &Circumstances::default(), contacts: Default::default() };
            return Ok(answer(clear(workspace, message, nobody, Some(&carried), now)));
        }
        let id = self.shared.people.surviving(message.profile)?;
        let Some(person) = self.shared.people.get(id)? else { return Ok(Clearance::Superseded) };
        let received = person.activations.get(&message.activation).and_then(|standing| standing.received.clone());
        let mut received = received;
        // What is taken back is what the tool has, under the identifiers that it was sent with.
        if message.kind.takes_back() {
            let asked = Sent { address: message.address.clone(), data: message.data.clone() };
            if received.as_ref() != Some(&asked) && self.shared.was_sent(id, &message.activation, &asked)? {
                received = Some(asked);
            }
            if let Some(received) = &received {
                message.address = received.address.clone();
                message.data = received.data.clone();
            }
        }
        let (circumstances, _) = person.circumstances(workspace, &definitions.plan, now);
        // Only what brings her into a tool is a contact; what she is in already is kept up to date.
        let contacts = match message.kind {
            MessageType::Entered => self.shared.contacts(workspace, id, Some(key))?,
            _ => Vec::new(),
        };
        let party = Party { choices: &person.known.choices, circumstances: &circumstances, contacts: &contacts };
        let cleared = clear(workspace, message, party, received.as_ref(), now);
        Ok(answer(cleared.map(|cleared| self.with_unsubscribe(workspace, cleared))))
    }

    /// A message that a mailer will turn into an e-mail carries the link that stops them (RFC 8058).
    fn with_unsubscribe(&self, workspace: &Workspace, cleared: Cleared) -> Cleared {
        let message = cleared.message();
        let (Some(base), Some(who)) = (&workspace.preferences.url, &message.address) else { return cleared };
        if message.channel != Channel::Email || message.kind.takes_back() {
            return cleared;
        }
        let link = Link {
            scope: LinkScope::Unsubscribe,
            who: who.clone(),
            purpose: Some(message.purpose.clone()),
            channel: Some(message.channel),
            // From the cause, not from now: a message that is sent again has the same bytes.
            expires: Timestamp(message.at.0.saturating_add(LINK_DAYS * 86_400_000_000)),
        };
        let url = format!("{base}/l/{}", self.shared.links.seal(&link));
        cleared.with_unsubscribe(url)
    }
}

fn answer(outcome: Result<jumelle_consent::Cleared, jumelle_consent::Refused>) -> Clearance {
    match outcome {
        Ok(cleared) => Clearance::Cleared(Box::new(cleared)),
        Err(refused) => Clearance::Blocked(refused.reason.write()),
    }
}

impl House for Outlet {
    fn queued(&self, destination: &str, after: Option<QueueKey>, limit: usize) -> Vec<Queued> {
        let prefix = queue_prefix(destination);
        let after = after.map(|key| queue_key(destination, key));
        let rows = match self.shared.behind.scan(Table::Queue, &prefix, after.as_deref(), limit) {
            Ok(rows) => rows,
            Err(error) => {
                tracing::error!(%error, destination, "the queue cannot be read");
                return Vec::new();
            }
        };
        rows.into_iter()
            .filter_map(|(key, row)| {
                let number = |from: usize| Some(u128::from_be_bytes(row.get(from..from + 16)?.try_into().ok()?));
                Some(Queued {
                    key: read_place(&key)?,
                    id: DeliveryId(number(0)?),
                    profile: ProfileId(number(16)?),
                    destination: destination.to_owned(),
                })
            })
            .collect()
    }

    fn clear(&self, queued: &Queued) -> Clearance {
        self.try_clear(queued).unwrap_or_else(|error| {
            // It stays in the queue table, and is looked at again at the next start or change of its destination.
            tracing::error!(%error, "the gate cannot read the person; nothing is sent");
            Clearance::Superseded
        })
    }

    fn note(&self, cleared: &Cleared) -> Pin<Box<dyn Future<Output = Result<bool, String>> + Send>> {
        let noted = self.note_release(cleared);
        let (shared, intake) = (self.shared.clone(), self.intake.clone());
        Box::pin(async move {
            let outcome = match noted {
                Ok(None) => return Ok(false),
                Ok(Some(noted)) => tokio::task::spawn_blocking(move || shared.commit_ledger(noted)).await,
                Err(error) => Ok(Err(error)),
            };
            failpoint::reach("after ledger write");
            match outcome {
                Ok(Ok(())) => Ok(true),
                Ok(Err(error)) => {
                    tracing::error!(%error, "the ledger cannot be written; nothing leaves");
                    intake.fail(format!("the ledger: {error}"));
                    Err(error.to_string())
                }
                Err(_) => Err("the server is stopping".into()),
            }
        })
    }

    fn country(&self) -> String {
        self.shared.definitions().workspace.settings.country.clone()
    }

    fn failed(&self, destination: &str) {
        self.shared.flow.outcome(destination, |outcomes| outcomes.failed += 1);
    }

    fn reached(&self, place: &'static str) {
        failpoint::reach(place);
    }

    fn record(&self, result: DeliveryResult) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let intake = self.intake.clone();
        Box::pin(async move {
            failpoint::reach("before result");
            loop {
                match intake.submit(vec![Draft::Result(result.clone())], true).await {
                    Err(SubmitError::Overloaded) => tokio::time::sleep(RECORD_AGAIN).await,
                    Ok(_) => {
                        failpoint::reach("after result");
                        return;
                    }
                    Err(error) => {
                        // After a restart the delivery is sent again under the same id: at least once, recognisable.
                        tracing::warn!(%error, destination = %result.destination, "a delivery's result was not recorded");
                        return;
                    }
                }
            }
        })
    }
}
