//! `policy.prospects`: how long somebody who does nothing stays, what counts as an act of hers, and what happens then.
//!
//! The clock starts when she was first collected and starts anew with each act *of the person*. What is done to her (a message
//! that was sent, delivered, opened by a mail client, a file that was imported) is none.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Label;
use crate::event::{Event, EventKind, lookup};
use crate::rule::{ORDER_COMPLETED, ProspectState};
use crate::time::{Span, Timestamp};
use crate::workspace::SourceKind;
use crate::{Json, Signal};

/// Warned before, unless the policy says another time.
pub const WARN_BEFORE: Span = Span(30 * 86_400 * 1_000_000);
/// Key of the segment of people whose clock ends soon.
pub const LAPSING: &str = "prospects_lapsing";
/// Key of the segment of people whose clock has ended.
pub const LAPSED: &str = "prospects_lapsed";
/// Segments that come with the clock.
pub const BUILT_IN: [(&str, ProspectState); 2] = [(LAPSING, ProspectState::Lapsing), (LAPSED, ProspectState::Lapsed)];
/// Tracked events that tools and mail clients report of themselves (Segment's e-mail, push and SMS specifications): no act of hers.
pub const PASSIVE: [&str; 17] = [
    "Email Sent",
    "Email Delivered",
    "Email Opened",
    "Email Bounced",
    "Email Marked as Spam",
    "Message Sent",
    "Message Delivered",
    "Message Opened",
    "SMS Sent",
    "SMS Delivered",
    "SMS Bounced",
    "Push Notification Sent",
    "Push Notification Received",
    "Push Notification Bounced",
    "Email Opened by Machine",
    "Call Not Answered",
    "Conversion Reported",
];
/// The source of what people do on the pages that signed links open.
const LINK: &str = "link";
/// The tracked event that carries choices alone.
const CONSENT_RECORDED: &str = "Consent Recorded";

/// `prospects: {after: 1095d, then: erase, warn_before: 30d, customers: 1825d, acts: [Store Visited], passive: [Ad Shown]}`
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Prospects {
    /// Without an act of hers for so long, her clock has ended.
    pub after: Span,
    /// What happens then.
    pub then: Then,
    /// She is among those whose clock ends soon for so long before.
    pub warn_before: Span,
    /// An order younger than this makes a customer, whose clock does not end. Default: `after`.
    pub customers: Option<Span>,
    /// Which events are acts.
    pub names: ActNames,
}

/// Events whose names the policy adds to those that are acts, or takes away.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ActNames {
    /// Further events that are acts, whatever the source.
    pub acts: Vec<String>,
    /// Further events that are none.
    pub passive: Vec<String>,
}

/// What happens when the clock has ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Then {
    /// She is counted and listed.
    Report,
    /// She is listed as one to ask whether she wants to stay.
    Ask,
    /// She is erased, as if she had asked for it.
    Erase,
}

impl Then {
    /// As they are written.
    pub const WORDS: [(&'static str, Then); 3] = [("report", Then::Report), ("ask", Then::Ask), ("erase", Then::Erase)];
}

/// What the clock of one person starts from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Acts {
    /// When she was first collected.
    pub collected: Option<Timestamp>,
    /// Her last act.
    pub last: Option<Timestamp>,
    /// Her last order.
    pub ordered: Option<Timestamp>,
}

impl Acts {
    /// When she last did something, and be it that she came in; an order is an act.
    pub fn newest(&self) -> Option<Timestamp> {
        self.collected.max(self.last)
    }
}

impl ActNames {
    /// Whether an event is an act of the person. `kind`: of its source, where that is declared.
    pub fn is_act(&self, kind: Option<SourceKind>, event: &Event<'_>) -> bool {
        let name = event.name.as_ref();
        if name == ORDER_COMPLETED || self.acts.iter().any(|act| act == name) {
            return true;
        }
        if kind == Some(SourceKind::File) || PASSIVE.contains(&name) || self.passive.iter().any(|passive| passive == name) {
            return false;
        }
        // What she does on a page that a signed link opens.
        if event.source == LINK {
            return true;
        }
        match event.kind {
            EventKind::Page | EventKind::Screen => true,
            EventKind::Track if name == CONSENT_RECORDED => has_choice(&event.context),
            EventKind::Track => true,
            // A form, or a sign-in; from a server it is a synchronisation.
            EventKind::Identify => matches!(kind, Some(SourceKind::Web | SourceKind::App)),
            EventKind::Group | EventKind::Alias => false,
        }
    }
}

impl Prospects {
    /// When her clock ends; `None`: it has not started.
    pub fn ends_at(&self, acts: &Acts) -> Option<Timestamp> {
        let of_acts = acts.newest().map(|from| from + self.after);
        let of_orders = acts.ordered.map(|at| at + self.customers.unwrap_or(self.after));
        of_acts.max(of_orders)
    }

    /// Where she stands at an instant, and when that changes by itself.
    pub fn state(&self, acts: &Acts, at: Timestamp) -> (Option<ProspectState>, Timestamp) {
        let Some(ends_at) = self.ends_at(acts) else { return (None, Timestamp::MAX) };
        let warned_at = Timestamp(ends_at.0.saturating_sub(self.warn_before.0));
        match at {
            at if at >= ends_at => (Some(ProspectState::Lapsed), Timestamp::MAX),
            at if at >= warned_at => (Some(ProspectState::Lapsing), ends_at),
            _ => (None, warned_at),
        }
    }

    /// As it would be written.
    pub fn to_json(&self) -> Value {
        let mut json = json!({"after": self.after, "then": self.then, "warn_before": self.warn_before});
        if let Some(customers) = self.customers {
            json["customers"] = json!(customers);
        }
        for (name, list) in [("acts", &self.names.acts), ("passive", &self.names.passive)] {
            if !list.is_empty() {
                json[name] = json!(list);
            }
        }
        json
    }
}

/// The labels of the two segments.
pub(crate) fn label(state: ProspectState) -> Label {
    let (fr, en) = match state {
        ProspectState::Lapsing => ("Prospects bientôt au terme de leur durée", "Prospects whose time ends soon"),
        ProspectState::Lapsed => ("Prospects au terme de leur durée", "Prospects whose time is over"),
    };
    Label { fr: Some(fr.into()), en: Some(en.into()) }
}

/// A choice of hers, or an objection; not a bounce, a complaint, a list or a restriction that somebody reports.
fn has_choice(context: &Json<'_>) -> bool {
    let Some(Json::Array(entries)) = lookup(context, "consents") else { return false };
    entries.iter().any(|entry| {
        lookup(entry, "purpose").is_some()
            || matches!(lookup(entry, "signal"), Some(Json::Str(signal)) if signal.as_ref() == Signal::Objection.as_str())
    })
}
