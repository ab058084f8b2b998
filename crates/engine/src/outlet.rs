//! The dispatcher's way into the house: what waits, the second gate, and where results go.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use jumelle_activate::{Clearance, Closed, DeliveryResult, FinalState, Folders, House, QueueKey, Queued, Standing};
use jumelle_collect::inbound::{Joined, JoinedBy, Report, ReportKind};
use jumelle_collect::{Limits, decode_single};
use jumelle_consent::{Choices, Circumstances, Cleared, Evidence, Party, Reason, Sent, clear};
use jumelle_model::Workspace;
use jumelle_model::consent::Channel;
use jumelle_model::event::EventKind;
use jumelle_model::ids::{DeliveryId, ProfileId};
use jumelle_model::message::{Message, MessageType};
use jumelle_model::outcome::REPORTED;
use jumelle_model::time::Timestamp;
use jumelle_model::workspace::{Activation, ConsentString};
use jumelle_profile::Held;
use jumelle_store::{Table, failpoint};

use crate::committer::{Draft, Intake, SubmitError};
use crate::delivery::{Delivery, DeliveryState, queue_key, queue_prefix, read_place};
use crate::links::{LINK_DAYS, Link, LinkScope};
use crate::said::without_her;
use crate::shared::{Shared, member_key, member_prefix};

/// How long a result waits before it is offered to a busy history again.
const RECORD_AGAIN: Duration = Duration::from_millis(50);
/// Events of a person among which the one with her string is looked for, at most: it comes with nearly every one of a site's.
const STRING_LOOK_BACK: usize = 1_000;

pub(crate) struct Outlet {
    pub(crate) shared: Arc<Shared>,
    pub(crate) intake: Intake,
    pub(crate) folders: Option<Folders>,
}

impl Outlet {
    /// A result without what the tool repeated of her: it outlives her in the history. Our own reasons name nobody.
    fn without_her(&self, mut result: DeliveryResult) -> DeliveryResult {
        if let Some(said) = result.reason.take_if(|_| result.state != FinalState::Blocked) {
            let row = self.shared.behind.get(Table::Deliveries, &result.id.0.to_be_bytes());
            // Of whom nothing can be read, nothing is repeated.
            let delivery = row.ok().flatten().and_then(|row| Delivery::decode(&row));
            result.reason = delivery.and_then(|delivery| without_her(&said, &delivery.message));
        }
        result
    }

    fn try_clear(&self, queued: &Queued) -> jumelle_store::Result<Clearance> {
        let Some(row) = self.shared.behind.get(Table::Deliveries, &queued.id.0.to_be_bytes())? else {
            return Ok(Clearance::Superseded);
        };
        let Some(delivery) = Delivery::decode(&row).filter(|delivery| delivery.state == DeliveryState::Queued) else {
            return Ok(Clearance::Superseded);
        };
        let key = delivery.key();
        let id = self.shared.whose(&delivery)?;
        let is_of_joined = self.shared.is_of_joined(id, &delivery)?;
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
        let Some(person) = self.shared.people.get(id)? else { return Ok(Clearance::Superseded) };
        if is_of_joined {
            return Ok(Clearance::Blocked(Reason::TakenApart.write()));
        }
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
        let cleared = cleared.map(|cleared| self.with_unsubscribe(workspace, cleared));
        Ok(answer(match cleared {
            Ok(cleared) => Ok(self.shared.with_strings(workspace, id, cleared)?),
            Err(refused) => Err(refused),
        }))
    }

    /// Somebody who is in the tool, as the next file of everybody would have her: what she was last told with is what she is in with.
    fn try_clear_standing(&self, standing: &Standing) -> jumelle_store::Result<Clearance> {
        let definitions = self.shared.definitions();
        let workspace = &definitions.workspace;
        let Some(activation) = workspace.activation(&standing.activation) else { return Ok(Clearance::Superseded) };
        let Some(person) = self.shared.people.get(standing.profile)? else { return Ok(Clearance::Superseded) };
        let Some(sent) = person.activations.get(&activation.key).filter(|standing| standing.held == Held::In) else {
            return Ok(Clearance::Superseded);
        };
        let Some(sent) = sent.last.clone() else { return Ok(Clearance::Superseded) };
        let now = self.shared.now();
        let message = Message {
            id: DeliveryId::derive(&activation.key, standing.profile, &format!("file:{}", standing.at.0)),
            kind: MessageType::Updated,
            activation: activation.key.clone(),
            segment: activation.segment.clone(),
            destination: activation.destination.clone(),
            purpose: activation.purpose.clone(),
            channel: activation.channel,
            at: standing.at,
            profile: standing.profile,
            address: sent.address,
            data: sent.data,
        };
        let (circumstances, _) = person.circumstances(workspace, &definitions.plan, now);
        let party = Party { choices: &person.known.choices, circumstances: &circumstances, contacts: Default::default() };
        Ok(answer(clear(workspace, message, party, None, now).map(|cleared| self.with_unsubscribe(workspace, cleared))))
    }

    fn try_members(
        &self,
        activation: &str,
        after: Option<ProfileId>,
        limit: usize,
    ) -> jumelle_store::Result<(Vec<ProfileId>, Option<ProfileId>)> {
        let definitions = self.shared.definitions();
        let Some(activation) = definitions.workspace.activation(activation) else { return Ok((Vec::new(), None)) };
        let after = after.map(|profile| member_key(&activation.segment, profile));
        let rows = self.shared.behind.scan(Table::Members, &member_prefix(&activation.segment), after.as_deref(), limit)?;
        let (mut members, mut last) = (Vec::new(), None);
        for (key, _) in &rows {
            let Some(id) = key.last_chunk::<16>().map(|id| ProfileId(u128::from_be_bytes(*id))) else { continue };
            last = Some(id);
            let Some(person) = self.shared.people.get(id)? else { continue };
            let standing = person.activations.get(&activation.key);
            if standing.is_some_and(|standing| standing.held == Held::In && standing.received.is_some()) {
                members.push(id);
            }
        }
        Ok((members, last.filter(|_| rows.len() >= limit)))
    }

    /// Waits for the ledger's disk.
    fn committed(
        &self,
        noted: Result<Option<u64>, jumelle_ledger::LedgerError>,
    ) -> Pin<Box<dyn Future<Output = Result<bool, String>> + Send>> {
        let (shared, intake) = (self.shared.clone(), self.intake.clone());
        Box::pin(async move {
            let outcome = match noted {
                Ok(None) => return Ok(false),
                Ok(Some(noted)) => {
                    // Whose turn it is writes for all who have noted something by then: they wait here, not a thread each.
                    let _turn = shared.ledger_turn.lock().await;
                    match shared.ledger.is_synced(noted) {
                        true => Ok(Ok(())),
                        false => {
                            let writing = shared.clone();
                            tokio::task::spawn_blocking(move || writing.commit_ledger(noted)).await
                        }
                    }
                }
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

    /// A message that a mailer will turn into an e-mail carries the link that stops them (RFC 8058).
    fn with_unsubscribe(&self, workspace: &Workspace, cleared: Cleared) -> Cleared {
        let Some((base, who)) = unsubscribed_at(workspace, cleared.message()) else { return cleared };
        let message = cleared.message();
        let link = Link {
            scope: LinkScope::Unsubscribe,
            who,
            purpose: Some(message.purpose.clone()),
            channel: Some(message.channel),
            // From the cause, not from now: a message that is sent again has the same bytes.
            expires: Timestamp(message.at.0.saturating_add(LINK_DAYS * 86_400_000_000)),
        };
        let url = format!("{base}/l/{}", self.shared.links.seal(&link));
        cleared.with_unsubscribe(url)
    }
}

/// Where the link begins that stops such messages, and whose it is; `None`: they carry none.
pub(crate) fn unsubscribed_at(workspace: &Workspace, message: &Message) -> Option<(String, (String, String))> {
    let (base, who) = (workspace.preferences.url.clone()?, message.address.clone()?);
    (message.channel.like() == Channel::Email && !message.kind.takes_back()).then_some((base, who))
}

impl Shared {
    /// The strings on which a grant rests, for a tool that is to have them: they are read from the event that brought them, so what
    /// leaves is what came.
    pub(crate) fn with_strings(&self, workspace: &Workspace, id: ProfileId, cleared: Cleared) -> jumelle_store::Result<Cleared> {
        let wanted =
            workspace.destination(&cleared.message().destination).map(|found| found.strings.as_slice()).unwrap_or_default();
        let Evidence::Granted(standing) = cleared.evidence() else { return Ok(cleared) };
        let Some(message) = standing.string_message().filter(|_| !wanted.is_empty()) else { return Ok(cleared) };
        let positions = self.timeline_of(id)?;
        for position in positions.iter().rev().take(STRING_LOOK_BACK) {
            let Some(event) = self.event_at(*position)?.filter(|event| event["messageId"] == message.as_str()) else {
                continue;
            };
            let of = |which: &ConsentString| {
                let told = &event["context"]["consent"][which.as_str()];
                // The browser's object, or the string alone.
                let string = told.as_str().or_else(|| told[which.member()].as_str())?;
                Some((*which, string.to_owned()))
            };
            let strings = wanted.iter().filter_map(of).collect();
            return Ok(cleared.with_strings(strings));
        }
        Ok(cleared)
    }
}

/// A tool's word that it writes to an address no more, as the event that a report of it would be ([`jumelle_collect::inbound`]).
/// Derived from the delivery: said twice it is one event.
fn closing(cleared: &Cleared, why: Closed, said: &str) -> Option<Draft> {
    let message = cleared.message();
    let (namespace, value) = message.address.clone()?;
    let (kind, word) = match why {
        Closed::Bounced => (ReportKind::Bounced, "bounce"),
        Closed::Stopped => (ReportKind::Stopped, "stop"),
    };
    let reaching: &'static str = match namespace.as_str() {
        "email" => "email",
        "phone" => "phone",
        _ => return None,
    };
    // The codes, not the sentence: it repeats the address.
    let is_code = |word: &&str| word.chars().all(|c| c.is_ascii_digit() || ".:".contains(c));
    let called = said.split(' ').take_while(is_code).collect::<Vec<_>>().join(" ");
    let report = Report::about(reaching, value.as_str(), kind, called);
    let joined = Joined { delivery: message.id, activation: message.activation.clone(), by: JoinedBy::Delivery };
    let event = report.as_event(&message.destination, &format!("{word}-{}", message.id), (&namespace, &value), Some(&joined));
    // It has a message id.
    let mut no_id = String::new;
    let decoded =
        decode_single(&event.to_string(), Some(EventKind::Track), &Limits::default(), Timestamp::now(), &mut no_id).ok()?;
    let event = decoded.collected.into_iter().next()?;
    Some(Draft::Event { source: REPORTED.into(), event })
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
                let key = read_place(&key)?;
                let id = DeliveryId(u128::from_be_bytes(*row.first_chunk()?));
                // Of what cannot be read the gate tells.
                let profile = self.shared.people.surviving(key.profile).unwrap_or(key.profile);
                Some(Queued { key, id, profile, destination: destination.to_owned() })
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
        self.committed(self.note_release(cleared))
    }

    fn note_many(&self, cleared: &[(Cleared, bool)]) -> Pin<Box<dyn Future<Output = Result<Vec<bool>, String>> + Send>> {
        let mut last = Ok(None);
        let mut noted = Vec::with_capacity(cleared.len());
        for (cleared, stands) in cleared {
            let one = match stands {
                true => self.note_standing(cleared),
                false => self.note_release(cleared),
            };
            match one {
                Ok(at) => {
                    noted.push(at.is_some());
                    last = Ok(at.or(last.unwrap_or_default()));
                }
                Err(error) => {
                    last = Err(error);
                    break;
                }
            }
        }
        let committed = self.committed(last);
        Box::pin(async move {
            // With nothing noted there is nothing to wait for.
            committed.await?;
            Ok(noted)
        })
    }

    fn about(&self, queued: &Queued) -> Option<(String, MessageType)> {
        let row = self.shared.behind.get(Table::Deliveries, &queued.id.0.to_be_bytes()).ok()??;
        let delivery = Delivery::decode(&row).filter(|delivery| delivery.state == DeliveryState::Queued)?;
        Some((delivery.message.activation, delivery.message.kind))
    }

    fn ids_of(&self, profile: ProfileId) -> Vec<ProfileId> {
        let id = self.shared.people.surviving(profile).unwrap_or(profile);
        let person = self.shared.people.get(id).ok().flatten();
        person.iter().flat_map(|person| person.known.absorbed.iter().copied()).chain([profile, id]).collect()
    }

    fn activations(&self, destination: &str) -> Vec<Activation> {
        let definitions = self.shared.definitions();
        definitions.workspace.activations.iter().filter(|activation| activation.destination == destination).cloned().collect()
    }

    fn members(&self, activation: &str, after: Option<ProfileId>, limit: usize) -> (Vec<ProfileId>, Option<ProfileId>) {
        self.try_members(activation, after, limit).unwrap_or_else(|error| {
            tracing::error!(%error, activation, "the members cannot be read");
            (Vec::new(), None)
        })
    }

    fn clear_standing(&self, standing: &Standing) -> Clearance {
        self.try_clear_standing(standing).unwrap_or_else(|error| {
            tracing::error!(%error, "the gate cannot read the person; nothing is sent");
            Clearance::Superseded
        })
    }

    fn timezone(&self) -> String {
        self.shared.definitions().workspace.settings.timezone.clone()
    }

    fn folders(&self) -> Option<Folders> {
        self.folders.clone()
    }

    fn record_many(&self, results: Vec<DeliveryResult>) -> Pin<Box<dyn Future<Output = bool> + Send>> {
        let intake = self.intake.clone();
        let results: Vec<DeliveryResult> = results.into_iter().map(|result| self.without_her(result)).collect();
        Box::pin(async move {
            failpoint::reach("before result");
            loop {
                let drafts = results.iter().cloned().map(Draft::Result).collect();
                match intake.submit(drafts, true).await {
                    Err(SubmitError::Overloaded) => tokio::time::sleep(RECORD_AGAIN).await,
                    Ok(_) => {
                        failpoint::reach("after result");
                        return true;
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the results of a file were not recorded");
                        return false;
                    }
                }
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

    fn closed(&self, cleared: &Cleared, why: Closed, said: &str) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let destination = cleared.message().destination.clone();
        let (intake, draft) = (self.intake.clone(), closing(cleared, why, said));
        Box::pin(async move {
            let Some(draft) = draft else { return };
            metrics::counter!("jumelle_inbound_total", "destination" => destination.clone()).increment(1);
            loop {
                match intake.submit(vec![draft.clone()], true).await {
                    Err(SubmitError::Overloaded) => tokio::time::sleep(RECORD_AGAIN).await,
                    Ok(_) => return,
                    Err(error) => {
                        // The delivery's own result says it too; the next message to the address bounces again.
                        tracing::warn!(%error, destination, "a bounce or a STOP was not recorded");
                        return;
                    }
                }
            }
        })
    }

    fn record(&self, result: DeliveryResult) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let intake = self.intake.clone();
        let result = self.without_her(result);
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
