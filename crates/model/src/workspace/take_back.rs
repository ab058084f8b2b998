//! How people are taken back out of a tool, how we learn what it holds, and what it tells us of them.

use serde::{Deserialize, Serialize};

use super::Secret;
use crate::time::Span;

/// A removal that no tool confirms within this is overdue, unless the destination says otherwise: a day.
pub const CONFIRM_WITHIN: Span = Span(86_400 * 1_000_000);

/// The part of a destination that is about leaving it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct TakeBack {
    /// `confirm_within: 4h`: a removal that is not confirmed by then raises an alarm. Default: [`CONFIRM_WITHIN`].
    pub confirm_within: Option<Span>,
    /// `removal: {none: WHY, contact: WHO}`: the tool has no way to be told; whoever leaves is removed by hand.
    pub removal_none: Option<RemovalNone>,
    /// `retire: true`: nobody new enters, everybody in it is taken out. Afterwards it can be deleted.
    pub retire: bool,
    /// `list: {url, every}`: where what it holds can be read.
    pub list: Option<ToolList>,
    /// `inbound: {format, secret}`: what came of its messages, as it reports that.
    pub inbound: Option<Inbound>,
}

/// Why a tool cannot be told that somebody leaves it, and who removes her there.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RemovalNone {
    /// Why.
    pub reason: String,
    /// Whom to ask.
    pub contact: String,
}

/// Where a tool's list of people can be read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ToolList {
    /// Answers a GET with CSV, JSON or JSON lines.
    pub url: String,
    /// How often it is compared. None: only when asked.
    pub every: Option<Span>,
    /// What is found out of step when it is due is mended at once.
    #[serde(default)]
    pub mend: bool,
}

/// What a tool reports to us.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Inbound {
    /// How it writes.
    pub format: InboundFormat,
    /// What proves that it is the tool.
    pub secret: Secret,
    /// `opens: PURPOSE`: openings are kept with the person where she has granted it for the channel, and are counted without her
    /// where she has not. `None`: they are passed over.
    #[serde(default)]
    pub opens: Option<String>,
}

/// How a tool writes what it reports.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InboundFormat {
    /// Our own shape, signed as Standard Webhooks 1.0 says.
    Standard,
    /// Brevo's transactional and marketing webhooks, with a bearer token.
    Brevo,
    /// Mailjet's Event API, with Basic authentication.
    Mailjet,
    /// SendGrid's Event Webhook, signed with the key whose public half is the secret here.
    SendGrid,
    /// Mailchimp Transactional (Mandrill), signed as `X-Mandrill-Signature` says.
    Mandrill,
    /// Customer.io's reporting webhooks, signed as `X-CIO-Signature` says.
    #[serde(rename = "customer_io")]
    CustomerIo,
    /// Twilio's inbound messages and status callbacks, signed as `X-Twilio-Signature` says.
    Twilio,
    /// Vonage's inbound messages, status and delivery receipts, with a JWT signed by the account's signature secret.
    Vonage,
    /// Aircall's calls that ended, with the webhook's token in the body.
    Aircall,
    /// Abuse reports (RFC 5965) and delivery status notifications (RFC 3464), with a bearer token or Basic authentication.
    Arf,
}

impl InboundFormat {
    /// With the names on the wire.
    pub const ALL: [(&'static str, InboundFormat); 10] = [
        ("standard", InboundFormat::Standard),
        ("brevo", InboundFormat::Brevo),
        ("mailjet", InboundFormat::Mailjet),
        ("sendgrid", InboundFormat::SendGrid),
        ("mandrill", InboundFormat::Mandrill),
        ("customer_io", InboundFormat::CustomerIo),
        ("twilio", InboundFormat::Twilio),
        ("vonage", InboundFormat::Vonage),
        ("aircall", InboundFormat::Aircall),
        ("arf", InboundFormat::Arf),
    ];
}
