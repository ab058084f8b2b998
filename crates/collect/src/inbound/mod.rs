//! What tools report back: delivered, opened, clicked, bounced, a complaint, an unsubscribe, STOP, the outcome of a call. Each becomes
//! an event of the history, and what closes the gate becomes entries of its `context.consents` as well.
//!
//! Formats were read in the providers' documentation and in RFC 5965 and 3464. Who sends them is checked before (`server`).

mod mail;
mod mailers;
mod standard;
pub mod table;
mod telephone;

use jumelle_model::consent::{Channel, Signal};
use jumelle_model::ids::DeliveryId;
use jumelle_model::outcome::{Medium, OPENINGS, Outcome};
use jumelle_model::time::Timestamp;
use jumelle_model::workspace::take_back::InboundFormat;
use serde_json::{Value, json};

/// Reports of one call, at most.
pub const REPORTS_MAX: usize = 1_000;
/// Characters of a campaign's name or a link that are kept.
const TEXT_MAX: usize = 200;

/// One thing that a tool reports of a message, or of an address.
#[derive(Clone, PartialEq, Debug)]
pub struct Report {
    /// Namespace and value of the address. `None`: the delivery says whom it is about.
    pub address: Option<(&'static str, String)>,
    /// What carried the message.
    pub medium: Medium,
    /// What it is.
    pub kind: ReportKind,
    /// When it happened, if said.
    pub at: Option<Timestamp>,
    /// What the tool calls it, for the proof.
    pub called: String,
    /// Our delivery, where the tool gives back what it was sent with.
    pub delivery: Option<DeliveryId>,
    /// What the tool calls this very report: the same one delivered again has the same.
    pub id: Option<String>,
    /// The tool's own name or number of the campaign.
    pub campaign: Option<String>,
    /// The link that was followed, without its query: that may name her.
    pub link: Option<String>,
}

/// What a report means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReportKind {
    /// It reached the mailbox or the device.
    Delivered,
    /// She opened it.
    Opened,
    /// A machine opened it.
    OpenedByMachine,
    /// She followed a link in it.
    Clicked,
    /// It did not reach her this time: a full mailbox, a refusal that may pass.
    SoftBounced,
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
    /// She did what the message was for.
    Converted,
    /// She took the call.
    Answered,
    /// She did not take the call.
    NotAnswered,
}

/// The message that a report is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Joined {
    /// Our delivery.
    pub delivery: DeliveryId,
    /// Its activation.
    pub activation: String,
    /// How it was found.
    pub by: JoinedBy,
}

/// How the message of a report was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JoinedBy {
    /// The tool gave our delivery's id back.
    Delivery,
    /// It is the last one before the report that went to the address by this tool: a guess, and marked as one.
    Address,
}

impl JoinedBy {
    /// As the event has it.
    pub fn as_str(self) -> &'static str {
        match self {
            JoinedBy::Delivery => "delivery",
            JoinedBy::Address => "address",
        }
    }
}

impl ReportKind {
    /// What is counted; `None`: nothing came of a message (START).
    pub fn outcome(self) -> Option<Outcome> {
        Some(match self {
            ReportKind::Delivered => Outcome::Delivered,
            ReportKind::Opened => Outcome::Opened,
            ReportKind::OpenedByMachine => Outcome::OpenedByMachine,
            ReportKind::Clicked => Outcome::Clicked,
            ReportKind::SoftBounced | ReportKind::Bounced => Outcome::Bounced,
            ReportKind::Complained => Outcome::Complained,
            ReportKind::Unsubscribed | ReportKind::Stopped | ReportKind::RefusedCalls => Outcome::Unsubscribed,
            ReportKind::Started => return None,
            ReportKind::Converted => Outcome::Converted,
            ReportKind::Answered => Outcome::Answered,
            ReportKind::NotAnswered => Outcome::NotAnswered,
        })
    }
}

/// What a body holds.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Reports {
    /// What means something.
    pub reports: Vec<Report>,
    /// How many entries mean nothing here (queued, deferred, …).
    pub ignored: usize,
}

impl Reports {
    /// Measured person by person openings ask for their own consent: without a purpose for that they mean nothing here.
    pub fn pass_over_openings(&mut self) {
        let before = self.reports.len();
        self.reports.retain(|report| OPENINGS.iter().all(|(name, _)| *name != report.event()));
        self.ignored += before - self.reports.len();
    }
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

/// Reads a body. `query`: of the address that was called; `delivery=dlv_…` in it is ours, for tools that give nothing else back.
pub fn read(format: InboundFormat, query: &str, body: &[u8]) -> Result<Reports, NotUnderstood> {
    let mut found = match format {
        InboundFormat::Standard => standard::read(body),
        InboundFormat::Brevo => mailers::brevo(body),
        InboundFormat::Mailjet => mailers::mailjet(body),
        InboundFormat::SendGrid => mailers::sendgrid(body),
        InboundFormat::Mandrill => mailers::mandrill(body),
        InboundFormat::CustomerIo => mailers::customer_io(body),
        InboundFormat::Twilio => telephone::twilio(body),
        InboundFormat::Vonage => telephone::vonage(body),
        InboundFormat::Aircall => telephone::aircall(body),
        InboundFormat::Arf => mail::read(body),
    }?;
    if found.reports.len() > REPORTS_MAX {
        return not_understood("body", format!("{REPORTS_MAX} reports at most in one call"));
    }
    if let [only] = &mut found.reports[..]
        && only.delivery.is_none()
    {
        only.delivery = form(query.as_bytes()).iter().filter(|(name, _)| name == "delivery").find_map(|(_, value)| ours(value));
    }
    Ok(found)
}

/// The id of a delivery of ours in a text, wherever it stands: `dlv_…`, `jumelle:dlv_…|shop:7`.
fn ours(text: &str) -> Option<DeliveryId> {
    let (_, rest) = text.split_once("dlv_")?;
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
    format!("dlv_{}", &rest[..end]).parse().ok()
}

/// A text or a number, as a text of bounded length.
fn named(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    (!text.is_empty()).then(|| text.chars().take(TEXT_MAX).collect())
}

/// A link without its query and fragment.
fn link(value: &Value) -> Option<String> {
    let text = value.as_str()?;
    let end = text.find(['?', '#']).unwrap_or(text.len());
    named(&Value::String(text[..end].to_owned()))
}

/// Seconds since 1970, as a number or as digits.
fn instant(seconds: &Value) -> Option<Timestamp> {
    let seconds =
        seconds.as_i64().or_else(|| seconds.as_f64().map(|seconds| seconds as i64)).or_else(|| seconds.as_str()?.parse().ok())?;
    (seconds > 0).then(|| Timestamp(seconds.saturating_mul(1_000_000)))
}

/// An object, or a list of them.
fn objects(body: &[u8]) -> Result<Vec<Value>, NotUnderstood> {
    match serde_json::from_slice(body) {
        Ok(Value::Array(items)) => Ok(items),
        Ok(item @ Value::Object(_)) => Ok(vec![item]),
        _ => not_understood("body", "it is a JSON object, or a list of them"),
    }
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
    /// A report about an address, of which nothing else is known.
    pub fn about(namespace: &'static str, value: impl Into<String>, kind: ReportKind, called: impl Into<String>) -> Report {
        let medium = match (namespace, kind) {
            ("email", _) => Medium::Email,
            (_, ReportKind::RefusedCalls | ReportKind::Answered | ReportKind::NotAnswered) => Medium::Call,
            _ => Medium::Sms,
        };
        Report {
            address: Some((namespace, value.into())),
            medium,
            kind,
            at: None,
            called: called.into(),
            delivery: None,
            id: None,
            campaign: None,
            link: None,
        }
    }

    /// Name of the tracked event.
    pub fn event(&self) -> &'static str {
        self.kind.outcome().map_or("Unsubscription Lifted", |outcome| outcome.event(self.medium))
    }

    /// The signal, the channels that it is for, and whether it is on. `None`: it says nothing about what may be sent.
    fn meaning(&self) -> Option<(Signal, &'static [Channel], &'static str)> {
        Some(match self.kind {
            // Of a number that nothing reaches there is no signal.
            ReportKind::Bounced if self.medium == Medium::Email => (Signal::Bounce, &[Channel::Email], "on"),
            ReportKind::Complained => (Signal::Complaint, &[Channel::Email], "on"),
            ReportKind::Unsubscribed => (Signal::Opposition, &[Channel::Email], "on"),
            ReportKind::Stopped => (Signal::Opposition, &[Channel::Sms], "on"),
            ReportKind::Started => (Signal::Opposition, &[Channel::Sms], "lifted"),
            ReportKind::RefusedCalls => (Signal::Opposition, &[Channel::Phone, Channel::CallCenter], "on"),
            _ => return None,
        })
    }

    /// As the event that it is in the history. `who`: namespace and value of whom it is about.
    pub fn as_event(&self, tool: &str, message_id: &str, who: (&str, &str), joined: Option<&Joined>) -> Value {
        let mut properties = json!({"destination": tool, "reported": self.called});
        let told = [
            ("outcome", self.kind.outcome().map(|outcome| outcome.as_str().to_owned())),
            ("campaign", self.campaign.clone()),
            ("link_url", self.link.clone()),
            ("activation", joined.map(|joined| joined.activation.clone())),
            ("delivery", joined.map(|joined| joined.delivery.to_string())),
            ("joined_by", joined.map(|joined| joined.by.as_str().to_owned())),
        ];
        for (name, value) in told {
            if let Some(value) = value {
                properties[name] = value.into();
            }
        }
        if self.kind.outcome() == Some(Outcome::Bounced) {
            properties["permanent"] = (self.kind == ReportKind::Bounced).into();
        }
        let (namespace, value) = who;
        let mut event = json!({
            "type": "track", "event": self.event(), "messageId": message_id, "properties": properties,
            "context": {"externalIds": [{"type": namespace, "id": value, "collection": "users", "encoding": "none"}]},
        });
        let entries = self.entries(tool);
        if !entries.is_empty() {
            event["context"]["consents"] = entries.into();
        }
        if let Some(at) = self.at {
            event["timestamp"] = json!(at);
        }
        event
    }

    /// As entries of `context.consents`; `tool`: who reports it. Without an address there is nothing to close.
    pub fn entries(&self, tool: &str) -> Vec<Value> {
        let (Some((signal, channels, state)), Some((namespace, value))) = (self.meaning(), &self.address) else {
            return Vec::new();
        };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_delivery_is_found_wherever_a_tool_gives_it_back() {
        let id = DeliveryId(7);
        for text in [id.to_string(), format!("jumelle:{id}|shop:7"), format!("{{\"delivery\":\"{id}\"}}")] {
            assert_eq!(ours(&text), Some(id), "{text}");
        }
        for text in ["", "dlv_", "dlv_!", "something else"] {
            assert_eq!(ours(text), None, "{text}");
        }
    }

    #[test]
    fn a_link_is_kept_without_what_may_name_her() {
        let value = |text: &str| Value::String(text.to_owned());
        assert_eq!(link(&value("https://shop.example/shoes?e=ana@example.org#x")).as_deref(), Some("https://shop.example/shoes"));
        assert_eq!(link(&value("?x")), None);
    }
}
