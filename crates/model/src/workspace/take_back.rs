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
    /// `inbound: {format, secret}`: bounces, complaints and unsubscribes that it reports.
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
}

/// What a tool reports to us.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Inbound {
    /// How it writes.
    pub format: InboundFormat,
    /// What proves that it is the tool.
    pub secret: Secret,
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
    /// Twilio's inbound messages and status callbacks, signed as `X-Twilio-Signature` says.
    Twilio,
    /// Abuse reports (RFC 5965) and delivery status notifications (RFC 3464), with a bearer token or Basic authentication.
    Arf,
}

impl InboundFormat {
    /// With the names on the wire.
    pub const ALL: [(&'static str, InboundFormat); 5] = [
        ("standard", InboundFormat::Standard),
        ("brevo", InboundFormat::Brevo),
        ("mailjet", InboundFormat::Mailjet),
        ("twilio", InboundFormat::Twilio),
        ("arf", InboundFormat::Arf),
    ];
}
