//! What people ask about their rights (GDPR, articles 15 to 22): each request is steps in the history, folded into one row.
//!
//! Invariant: no step holds a free text or an identifier, so that a request outlives the person's erasure and proves it.

use jumelle_model::ids::ProfileId;
use jumelle_model::message::MessageType;
use jumelle_model::time::Timestamp;
use jumelle_store::{Entry, Result, Table};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::committer::Draft;
use crate::delivery::DeliveryState;
use crate::fold::Fold;
use crate::shared::Shared;

/// Requests read for one list, at most.
pub const REQUESTS_MAX: usize = 10_000;
/// Deliveries of one person looked at for the tools that had received her, the newest.
const DELIVERIES_MAX: usize = 10_000;

/// What is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RequestKind {
    /// A copy of everything (article 15).
    Access,
    /// What she provided, for a machine (article 20).
    Portability,
    /// Correction (article 16).
    Rectify,
    /// Erasure (article 17).
    Erase,
    /// Data kept and not used (article 18).
    Restrict,
    /// The end of a restriction.
    Lift,
    /// No marketing any more (article 21).
    Object,
}

/// How it is known that it is she who asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentityCheck {
    /// Not known yet: nothing is handed out, and nothing erased.
    Pending,
    /// A short-lived link sent to her address.
    Link,
    /// She is signed in to her account.
    Account,
    /// Called back at a known number.
    Callback,
    /// In a shop, in person.
    InPerson,
    /// A document that was seen and not kept.
    Document,
    /// Staff says so.
    Staff,
}

/// Why an answer takes longer (article 12(3)).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExtensionReason {
    /// The request is complex.
    Complexity,
    /// There are many of them.
    Number,
}

/// Why a request is not followed (article 12(5), 17(3) and others).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalReason {
    /// It could not be shown that it is she.
    Identity,
    /// Manifestly unfounded.
    Unfounded,
    /// Excessive, above all by repetition.
    Excessive,
    /// A law asks to keep the data.
    LegalObligation,
    /// Needed for legal claims.
    LegalClaims,
    /// She took it back.
    Withdrawn,
}

/// A tool that had received the person.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Recipient {
    /// Destination key.
    pub destination: String,
    /// Purposes for which it received her.
    pub purposes: Vec<String>,
    /// When the first message arrived there.
    pub first: Timestamp,
    /// When the last one did.
    pub last: Timestamp,
}

/// One step, as the history holds it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "lowercase")]
pub enum RequestStep {
    /// It came in.
    Asked {
        /// What.
        kind: RequestKind,
        /// Whether it is she.
        identity: IdentityCheck,
        /// `link`, or the name of the token.
        by: String,
        /// The tools that had received her then.
        recipients: Vec<Recipient>,
    },
    /// It is she.
    Identified {
        /// How that is known.
        identity: IdentityCheck,
        /// Name of the token.
        by: String,
    },
    /// It will take up to two months longer.
    Extended {
        /// Months more: 1 or 2.
        months: u8,
        /// Why.
        reason: ExtensionReason,
        /// Name of the token.
        by: String,
    },
    /// It was done; tools may still be on their way (`fan_out`).
    Done {
        /// `link`, or the name of the token.
        by: String,
    },
    /// It is not followed.
    Refused {
        /// Why.
        reason: RefusalReason,
        /// Name of the token.
        by: String,
    },
}

/// A request with what became of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RightsRequest {
    /// Its id.
    pub id: u64,
    /// The person's id at that time.
    pub profile: ProfileId,
    /// What is asked.
    pub kind: RequestKind,
    /// Whether it is she.
    pub identity: IdentityCheck,
    /// `received`, `done` or `refused`.
    pub state: RequestState,
    /// When it came in.
    pub asked_at: Timestamp,
    /// One month after, or up to three if extended.
    pub deadline: Timestamp,
    /// Where in the history it came in.
    pub position: u64,
    /// The tools that had received her then.
    pub recipients: Vec<Recipient>,
    /// Its steps.
    pub log: Vec<(Timestamp, RequestStep)>,
}

/// Where a request stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RequestState {
    /// To be dealt with.
    Received,
    /// Done.
    Done,
    /// Not followed.
    Refused,
}

/// A calendar month (or more) after an instant; the last day of a shorter month (Regulation 1182/71, article 3).
pub fn months_after(at: Timestamp, months: u8) -> Timestamp {
    let utc = jiff::tz::TimeZone::UTC;
    let later = jiff::Timestamp::from_microsecond(at.0)
        .and_then(|at| utc.to_datetime(at).checked_add(jiff::Span::new().months(i64::from(months))))
        .and_then(|later| utc.to_timestamp(later));
    later.map_or(Timestamp::MAX, |later| Timestamp(later.as_microsecond()))
}

/// A step as an entry of the history.
pub fn step_draft(id: u64, profile: ProfileId, step: &RequestStep) -> Draft {
    // Every step can be written.
    Draft::Request { id, profile, step: serde_json::to_string(step).unwrap_or_default() }
}

impl RightsRequest {
    /// Bytes of a row.
    fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    fn decode(bytes: &[u8]) -> Option<RightsRequest> {
        serde_json::from_slice(bytes).ok()
    }

    /// As the API writes it; `fan_out`: what the tools were told since.
    pub fn to_json(&self, fan_out: Vec<Value>, now: Timestamp) -> Value {
        let log: Vec<Value> = self
            .log
            .iter()
            .map(|(at, step)| {
                let mut json = json!(step);
                json["at"] = json!(at);
                if let Some(json) = json.as_object_mut() {
                    json.remove("recipients");
                }
                json
            })
            .collect();
        json!({
            "id": format!("req_{:016x}", self.id), "profile": self.profile, "kind": self.kind, "identity": self.identity,
            "state": self.state, "asked_at": self.asked_at, "deadline": self.deadline,
            "overdue": self.state == RequestState::Received && self.deadline < now,
            "recipients": self.recipients, "fan_out": fan_out, "log": log,
        })
    }
}

impl Fold {
    /// One step of a request. A step about a request that nobody made is nothing.
    pub(crate) fn request(&mut self, received: Timestamp, id: u64, profile: ProfileId, step: &str) -> Result<()> {
        let Ok(step) = serde_json::from_str::<RequestStep>(step) else { return Ok(()) };
        let known = self.shared.behind.get(Table::Requests, &id.to_be_bytes())?;
        let mut request = match (known.as_deref().and_then(RightsRequest::decode), &step) {
            (None, RequestStep::Asked { kind, identity, recipients, .. }) => RightsRequest {
                id,
                profile,
                kind: *kind,
                identity: *identity,
                state: RequestState::Received,
                asked_at: received,
                deadline: months_after(received, 1),
                position: self.cause.position.0,
                recipients: recipients.clone(),
                log: Vec::new(),
            },
            (Some(request), _) => request,
            (None, _) => return Ok(()),
        };
        match &step {
            RequestStep::Asked { .. } => {}
            RequestStep::Identified { identity, .. } => request.identity = *identity,
            RequestStep::Extended { months, .. } => request.deadline = months_after(request.asked_at, 1 + (*months).clamp(1, 2)),
            RequestStep::Done { .. } => request.state = RequestState::Done,
            RequestStep::Refused { .. } => request.state = RequestState::Refused,
        }
        request.log.push((received, step));
        self.shared.behind.put(Table::Requests, id.to_be_bytes(), request.encode());
        Ok(())
    }
}

impl Shared {
    /// One request.
    pub fn request(&self, id: u64) -> Result<Option<RightsRequest>> {
        let row = self.behind.get(Table::Requests, &id.to_be_bytes())?;
        Ok(row.as_deref().and_then(RightsRequest::decode))
    }

    /// All requests, the nearest deadline first.
    pub fn requests(&self) -> Result<Vec<RightsRequest>> {
        let rows = self.behind.scan(Table::Requests, &[], None, REQUESTS_MAX)?;
        let mut requests: Vec<RightsRequest> = rows.iter().filter_map(|(_, row)| RightsRequest::decode(row)).collect();
        requests.sort_by_key(|request| (request.state != RequestState::Received, request.deadline, request.id));
        Ok(requests)
    }

    /// The tools that have received a person, by name, with the first and the last time.
    pub fn recipients_of(&self, id: ProfileId) -> Result<Vec<Recipient>> {
        let mut found: Vec<Recipient> = Vec::new();
        for delivery in self.deliveries_of(id, None, DELIVERIES_MAX)?.items {
            let message = delivery.message;
            if delivery.state != DeliveryState::Sent || !matches!(message.kind, MessageType::Entered | MessageType::Updated) {
                continue;
            }
            match found.iter_mut().find(|known| known.destination == message.destination) {
                Some(known) => {
                    (known.first, known.last) = (known.first.min(delivery.at), known.last.max(delivery.at));
                    if !known.purposes.contains(&message.purpose) {
                        known.purposes.push(message.purpose);
                    }
                }
                None => found.push(Recipient {
                    destination: message.destination,
                    purposes: vec![message.purpose],
                    first: delivery.at,
                    last: delivery.at,
                }),
            }
        }
        found.sort_by(|a, b| a.destination.cmp(&b.destination));
        Ok(found)
    }

    /// What the tools were told since a request came in, and whether they took it.
    pub fn fan_out(&self, request: &RightsRequest) -> Result<Vec<Value>> {
        let id = self.people.surviving(request.profile)?;
        let mut told = Vec::new();
        for delivery in self.deliveries_of(id, None, DELIVERIES_MAX)?.items {
            let message = &delivery.message;
            let kinds = match request.kind {
                RequestKind::Erase => message.kind == MessageType::Erased,
                RequestKind::Restrict | RequestKind::Object => message.kind.takes_back(),
                // A tool that knew her by a wrong identifier is told that she goes, and under the right one that she comes.
                RequestKind::Rectify => true,
                RequestKind::Lift => message.kind == MessageType::Entered,
                RequestKind::Access | RequestKind::Portability => false,
            };
            if kinds && delivery.position >= request.position {
                told.push(json!({
                    "destination": message.destination, "activation": message.activation, "type": message.kind,
                    "delivery": message.id, "state": delivery.state, "at": delivery.at, "status": delivery.status,
                    "reason": delivery.reason,
                }));
            }
        }
        Ok(told)
    }
}

/// Source of the objection that an erasure leaves.
pub(crate) const OF_ERASURE: &str = "erasure";

// ── who was erased stays out of marketing ────────────────────────────────────────────────────────────────────────────────

impl Shared {
    /// When somebody who had this identifier was erased, if so.
    pub fn suppressed_since(&self, identifier: &jumelle_model::Identifier) -> Result<Option<Timestamp>> {
        let row = self.suppression_row(identifier.key())?;
        let found = self.behind.get(Table::Suppressed, &row)?;
        Ok(found.map(|bytes| Timestamp(i64::from_be_bytes(bytes.try_into().unwrap_or_default()))))
    }

    /// What an identifier on the list means for whoever has it: an objection stands since the erasure. A choice that she makes herself
    /// afterwards opens it; an old one that an import brings back does not.
    pub(crate) fn suppression(&self, identifier: &jumelle_model::Identifier) -> Result<Option<jumelle_model::consent::Choice>> {
        use jumelle_model::consent::{Choice, ConsentState, Scope, Signal};
        use jumelle_model::ids::Stamp;
        Ok(self.suppressed_since(identifier)?.map(|since| Choice {
            purpose: Signal::Objection.purpose().to_owned(),
            channel: None,
            state: ConsentState::Denied,
            scope: Scope::Person,
            covers: Vec::new(),
            stamp: Stamp { time: since, received: since, ..Stamp::default() },
            weak: false,
            source: OF_ERASURE.into(),
            proof: None,
        }))
    }

    /// Row of an identifier on the suppression list: salted with the history's id, so that lists of two houses cannot be compared.
    fn suppression_row(&self, key: u128) -> Result<[u8; 16]> {
        use sha2::{Digest as _, Sha256};
        let salt = self.history.id()?;
        let hash = Sha256::new().chain_update(format!("{salt:?}")).chain_update(key.to_be_bytes()).finalize();
        Ok(hash[..16].try_into().unwrap_or_default())
    }
}

impl Fold {
    /// Puts the identifiers of somebody who was erased on the list.
    pub(crate) fn suppress(&mut self, keys: &[u128]) -> Result<()> {
        self.has_suppressed |= !keys.is_empty();
        for key in keys {
            let row = self.shared.suppression_row(*key)?;
            self.shared.behind.put(Table::Suppressed, row, self.cause.received.0.to_be_bytes());
        }
        Ok(())
    }

    /// Somebody new has an identifier that is on the list.
    pub(crate) fn keep_suppressed(&mut self, id: ProfileId, identifier: &jumelle_model::Identifier) -> Result<()> {
        if !self.has_suppressed {
            return Ok(());
        }
        let Some(choice) = self.shared.suppression(identifier)? else { return Ok(()) };
        self.shared.people.change(id, |person| person.known.choices.fold(&choice))
    }
}

/// An entry of the history, if it is a step.
pub(crate) fn entry<'a>(id: u64, profile: ProfileId, step: &'a str) -> Entry<'a> {
    Entry::Request { id, profile, step }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_a_month_of_the_calendar() {
        let at = |text: &str| Timestamp::parse(text).unwrap();
        assert_eq!(months_after(at("2026-01-31T10:00:00Z"), 1), at("2026-02-28T10:00:00Z"));
        assert_eq!(months_after(at("2026-01-31T10:00:00Z"), 3), at("2026-04-30T10:00:00Z"));
        assert_eq!(months_after(at("2024-01-31T10:00:00Z"), 1), at("2024-02-29T10:00:00Z"));
    }
}
