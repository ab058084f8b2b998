//! What came of a message, as tools report it: the words of the results, and the events that they are in the history.
//!
//! Names of events are those of Segment's e-mail specification (`Email Delivered`, `Email Link Clicked`, `Email Marked as Spam`, …);
//! where it has none (a text message, a call, an opening by a machine) they are made alike.

use serde::{Deserialize, Serialize};

use crate::consent::Channel;

/// Source of the events that tools report.
pub const REPORTED: &str = "inbound";

/// Tracked events that say that she, or a machine for her, opened a message, and the channel of the consent that they ask for when they
/// are measured person by person.
pub const OPENINGS: [(&str, Channel); 3] =
    [("Email Opened", Channel::Email), ("Email Opened by Machine", Channel::Email), ("Message Opened", Channel::Sms)];

/// What came of a message.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It reached the mailbox or the device.
    Delivered,
    /// She opened it.
    Opened,
    /// A machine opened it: a mail client that loads pictures for everybody, a scanner.
    OpenedByMachine,
    /// She followed a link in it.
    Clicked,
    /// It did not reach her, for now or for good.
    Bounced,
    /// She called it unwanted.
    Complained,
    /// She wants no more of them.
    Unsubscribed,
    /// She did what it was for.
    Converted,
    /// She took the call.
    Answered,
    /// She did not take the call.
    NotAnswered,
}

/// What carried the message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Medium {
    /// E-mail.
    Email,
    /// Text message.
    Sms,
    /// Notification on a device.
    Push,
    /// Telephone call.
    Call,
}

impl Outcome {
    /// With the names on the wire, in the order of a funnel.
    pub const ALL: [(&'static str, Outcome); 10] = [
        ("delivered", Outcome::Delivered),
        ("opened", Outcome::Opened),
        ("opened_by_machine", Outcome::OpenedByMachine),
        ("clicked", Outcome::Clicked),
        ("bounced", Outcome::Bounced),
        ("complained", Outcome::Complained),
        ("unsubscribed", Outcome::Unsubscribed),
        ("converted", Outcome::Converted),
        ("answered", Outcome::Answered),
        ("not_answered", Outcome::NotAnswered),
    ];

    /// Name on the wire.
    pub fn as_str(self) -> &'static str {
        Outcome::ALL.iter().find(|(_, one)| *one == self).map_or("", |(name, _)| name)
    }

    /// From its name.
    pub fn parse(name: &str) -> Option<Outcome> {
        Outcome::ALL.iter().find(|(known, _)| *known == name).map(|(_, one)| *one)
    }

    /// Name of the tracked event.
    pub fn event(self, medium: Medium) -> &'static str {
        use Medium::{Call, Email, Push, Sms};
        match (self, medium) {
            (Outcome::Delivered, Email) => "Email Delivered",
            (Outcome::Delivered, Sms) => "SMS Delivered",
            (Outcome::Delivered, Push) => "Push Notification Received",
            (Outcome::Delivered | Outcome::Answered, Call) => "Call Answered",
            (Outcome::Opened, Email) => "Email Opened",
            (Outcome::Opened, Sms | Call) => "Message Opened",
            (Outcome::Opened, Push) => "Push Notification Tapped",
            (Outcome::OpenedByMachine, _) => "Email Opened by Machine",
            (Outcome::Clicked, Email) => "Email Link Clicked",
            (Outcome::Clicked, Sms | Call) => "SMS Link Clicked",
            (Outcome::Clicked, Push) => "Push Notification Tapped",
            (Outcome::Bounced, Email) => "Email Bounced",
            (Outcome::Bounced, Sms) => "SMS Bounced",
            (Outcome::Bounced, Push) => "Push Notification Bounced",
            (Outcome::Complained, _) => "Email Marked as Spam",
            (Outcome::Unsubscribed, Call) => "Call Refused",
            (Outcome::Unsubscribed, _) => "Unsubscribed",
            (Outcome::Converted, _) => "Conversion Reported",
            (Outcome::Answered, _) => "Message Answered",
            (Outcome::Bounced | Outcome::NotAnswered, _) => "Call Not Answered",
        }
    }
}
