//! What tools report back: bounces, complaints, unsubscribes, STOP, refusals at the telephone; each becomes entries of
//! `context.consents`, events of the history like any other.
//!
//! Formats were read in the providers' documentation and in RFC 5965 and 3464. Who sends them is checked before (`server`).

mod mail;
mod providers;
mod standard;

use jumelle_model::consent::{Channel, Signal};
use jumelle_model::time::Timestamp;
use jumelle_model::workspace::take_back::InboundFormat;
use serde_json::{Value, json};

/// Reports of one call, at most.
pub const REPORTS_MAX: usize = 1_000;

/// One thing that a tool reports of an address.
#[derive(Clone, PartialEq, Debug)]
pub struct Report {
    /// Namespace and value of the address.
    pub address: (&'static str, String),
    /// What it is.
    pub kind: ReportKind,
    /// When it happened, if said.
    pub at: Option<Timestamp>,
    /// What the tool calls it, for the proof.
    pub called: String,
}

/// What a report means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReportKind {
    /// Nothing reaches the address: hard bounce, invalid, refused for good.
    Bounced,
    /// A message was reported as unwanted.
    Complained,
    /// She unsubscribed from e-mail.
    Unsubscribed,
    /// STOP by text message, or a number that had sent it (Twilio 21610).
    Stopped,
    /// START by text message: the STOP is lifted. It is no consent.
    Started,
    /// She does not want to be called.
    RefusedCalls,
}

/// What a body holds.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Reports {
    /// What means something.
    pub reports: Vec<Report>,
    /// How many entries mean nothing here (opened, delivered, soft bounce, …).
    pub ignored: usize,
}

/// Why a body is not understood.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{field}: {message}")]
pub struct NotUnderstood {
    /// Where.
    pub field: String,
    /// What would be right.
    pub message: String,
}

pub(crate) fn not_understood<T>(field: impl Into<String>, message: impl Into<String>) -> Result<T, NotUnderstood> {
    Err(NotUnderstood { field: field.into(), message: message.into() })
}

/// Reads a body.
pub fn read(format: InboundFormat, body: &[u8]) -> Result<Reports, NotUnderstood> {
    let reports = match format {
        InboundFormat::Standard => standard::read(body),
        InboundFormat::Brevo => providers::brevo(body),
        InboundFormat::Mailjet => providers::mailjet(body),
        InboundFormat::Twilio => providers::twilio(body),
        InboundFormat::Arf => mail::read(body),
    }?;
    if reports.reports.len() > REPORTS_MAX {
        return not_understood("body", format!("{REPORTS_MAX} reports at most in one call"));
    }
    Ok(reports)
}

/// `name=value&…` of a form, decoded, in the order of the body.
pub fn form(body: &[u8]) -> Vec<(String, String)> {
    let decode = |text: &[u8]| {
        let mut bytes = Vec::with_capacity(text.len());
        let mut at = 0;
        while at < text.len() {
            let hex = (text[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
            let byte = hex.and_then(|hex| std::str::from_utf8(hex).ok()).and_then(|hex| u8::from_str_radix(hex, 16).ok());
            match byte {
                Some(byte) => {
                    bytes.push(byte);
                    at += 3;
                }
                None => {
                    bytes.push(if text[at] == b'+' { b' ' } else { text[at] });
                    at += 1;
                }
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    };
    body.split(|byte| *byte == b'&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let mut parts = pair.splitn(2, |byte| *byte == b'=');
            (decode(parts.next().unwrap_or_default()), decode(parts.next().unwrap_or_default()))
        })
        .collect()
}

impl Report {
    /// The signal, the channels that it is for, and whether it is on.
    fn meaning(&self) -> (Signal, &'static [Channel], &'static str) {
        match self.kind {
            ReportKind::Bounced => (Signal::Bounce, &[Channel::Email], "on"),
            ReportKind::Complained => (Signal::Complaint, &[Channel::Email], "on"),
            ReportKind::Unsubscribed => (Signal::Opposition, &[Channel::Email], "on"),
            ReportKind::Stopped => (Signal::Opposition, &[Channel::Sms], "on"),
            ReportKind::Started => (Signal::Opposition, &[Channel::Sms], "lifted"),
            ReportKind::RefusedCalls => (Signal::Opposition, &[Channel::Phone, Channel::CallCenter], "on"),
        }
    }

    /// As entries of `context.consents`; `tool`: who reports it.
    pub fn entries(&self, tool: &str) -> Vec<Value> {
        let (signal, channels, state) = self.meaning();
        let (namespace, value) = &self.address;
        let entry = |channel: &Channel| {
            let mut entry = json!({
                "signal": signal.as_str(), "channel": channel, "state": state, "for": {*namespace: value},
                "proof": {"method": "inbound", "tool": tool, "reported": self.called},
            });
            if let Some(at) = self.at {
                entry["at"] = json!(at);
            }
            entry
        };
        channels.iter().map(entry).collect()
    }
}
