//! Choices that people make, as events carry them and as the truth knows them.

use crate::context::DeviceChoice;
use crate::line::{Head, Outbox};
use crate::person::Persona;

/// For what a choice is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum For {
    /// The e-mail of the account.
    Email,
    /// The e-mail given in the store.
    StoreEmail,
    /// The telephone.
    Phone,
    /// The device that sends the event.
    Device,
    /// The person as a whole.
    Person,
}

/// One choice.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    /// Purpose of the workspace.
    pub purpose: &'static str,
    /// `None`: all channels.
    pub channel: Option<&'static str>,
    /// Yes or no.
    pub granted: bool,
    /// For what.
    pub target: For,
}

/// A choice about advertising mail to an address.
pub fn marketing(channel: &'static str, granted: bool, target: For) -> Choice {
    Choice { purpose: "marketing", channel: Some(channel), granted, target }
}

/// What a banner's answer means, for the device.
pub fn of_device(choice: DeviceChoice) -> [Choice; 4] {
    let one = |purpose, channel, granted| Choice { purpose, channel: Some(channel), granted, target: For::Device };
    [
        one("analytics", "onsite", choice.analytics),
        one("personalisation", "personalization", choice.personalisation),
        one("advertising", "retargeting", choice.advertising),
        one("advertising", "display", choice.advertising),
    ]
}

/// Appends `,"consents":[…]` to a context and writes the truth. `place`: where the choice was made. A choice for an address names
/// it (`for`) when the event's own address might be another one or none.
pub fn write(outbox: &mut Outbox, out: &mut Vec<u8>, head: &Head, who: &Persona, place: &str, choices: &[Choice]) {
    out.extend_from_slice(b",\"consents\":[");
    for (n, choice) in choices.iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"purpose\":\"");
        out.extend_from_slice(choice.purpose.as_bytes());
        if let Some(channel) = choice.channel {
            out.extend_from_slice(b"\",\"channel\":\"");
            out.extend_from_slice(channel.as_bytes());
        }
        out.extend_from_slice(b"\",\"state\":\"");
        let state = if choice.granted { "granted" } else { "denied" };
        out.extend_from_slice(state.as_bytes());
        out.push(b'"');
        // A device whose clock is wrong cannot date a choice; the event's corrected time counts then.
        if head.clock_off_ms == 0 {
            out.extend_from_slice(b",\"at\":\"");
            outbox.instant(out, head.at);
            out.push(b'"');
        }
        let mut address = Vec::new();
        let namespace = match choice.target {
            For::Email => {
                who.email(&mut address);
                Some("email")
            }
            For::StoreEmail => {
                who.store_email(&mut address);
                Some("email")
            }
            For::Phone => {
                address = phone(who);
                Some("phone")
            }
            For::Device => head.anonymous.as_ref().map(|anonymous| {
                address = anonymous.0.to_vec();
                "anonymous_id"
            }),
            For::Person => None,
        };
        if let (Some(namespace), For::Email | For::StoreEmail | For::Phone) = (namespace, choice.target) {
            out.extend_from_slice(b",\"for\":{\"");
            out.extend_from_slice(namespace.as_bytes());
            out.extend_from_slice(b"\":\"");
            out.extend_from_slice(&address);
            out.extend_from_slice(b"\"}");
        }
        out.extend_from_slice(b",\"proof\":{\"place\":\"");
        out.extend_from_slice(place.as_bytes());
        out.extend_from_slice(b"\",\"text\":\"2026-1\"}}");
        if let Some(truth) = &mut outbox.truth {
            truth.consents.push([
                who.number.into(),
                choice.purpose.into(),
                choice.channel.into(),
                namespace.into(),
                namespace.map_or(crate::truth::Value::Text(None), |_| address.as_slice().into()),
                state.into(),
                head.at.into(),
                head.arrival.into(),
            ]);
        }
    }
    out.push(b']');
}

/// The telephone in its normal form.
pub fn phone(who: &Persona) -> Vec<u8> {
    format!("+3361{:07}", who.number % 10_000_000).into_bytes()
}
