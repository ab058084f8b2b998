//! Webhooks of those who send text messages and place calls:
//!
//! - Twilio's inbound messages (`OptOutType`, or the keyword in `Body`) and status callbacks (`MessageStatus`, `ErrorCode` 21610).
//! - Vonage's inbound messages and status of the Messages API (`status`, `to`, `client_ref`), and delivery receipts of its SMS API
//!   (`msisdn`, `client-ref`).
//! - Aircall's `call.ended`: whether an outbound call was taken (`answered_at`).

use jumelle_model::time::Timestamp;
use serde_json::Value;

use super::{NotUnderstood, Report, ReportKind, Reports, form, instant, named, not_understood, objects, ours};

/// Keywords that carriers and Twilio take for an opt-out; in French as well.
const STOP_WORDS: [&str; 10] = ["stop", "stopall", "unsubscribe", "cancel", "end", "quit", "revoke", "optout", "arret", "arrêt"];
/// Twilio: the number has sent STOP before.
const UNSUBSCRIBED_NUMBER: &str = "21610";

fn one(report: Report) -> Reports {
    Reports { reports: vec![report], ignored: 0 }
}

fn nothing() -> Reports {
    Reports { ignored: 1, ..Reports::default() }
}

/// The text without all but its letters and digits, in lower case.
fn word(text: &str) -> String {
    text.trim().to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect()
}

pub fn twilio(body: &[u8]) -> Result<Reports, NotUnderstood> {
    let form = form(body);
    let of = |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let message = of("MessageSid").or(of("SmsSid")).unwrap_or_default();
    let report = |number: &str, kind: ReportKind, called: String| {
        one(Report {
            id: (!message.is_empty()).then(|| format!("{message} {kind:?}")),
            // `whatsapp:+33…`
            ..Report::about("phone", number.rsplit(':').next().unwrap_or_default(), kind, called)
        })
    };
    if let Some(status) = of("MessageStatus") {
        let Some(to) = of("To") else { return not_understood("To", "a status callback names the number") };
        let error = of("ErrorCode").filter(|code| !code.is_empty());
        let kind = match status {
            _ if error == Some(UNSUBSCRIBED_NUMBER) => ReportKind::Stopped,
            "delivered" => ReportKind::Delivered,
            "read" => ReportKind::Opened,
            "undelivered" | "failed" => ReportKind::SoftBounced,
            _ => return Ok(nothing()),
        };
        return Ok(report(to, kind, error.unwrap_or(status).to_owned()));
    }
    if of("ErrorCode") == Some(UNSUBSCRIBED_NUMBER) {
        let Some(to) = of("To") else { return not_understood("To", "a status callback names the number") };
        return Ok(report(to, ReportKind::Stopped, UNSUBSCRIBED_NUMBER.into()));
    }
    let Some(from) = of("From") else { return Ok(nothing()) };
    let said = word(of("Body").unwrap_or_default());
    let kind = match of("OptOutType") {
        Some("STOP") => Some(ReportKind::Stopped),
        Some("START") => Some(ReportKind::Started),
        _ if STOP_WORDS.contains(&said.as_str()) => Some(ReportKind::Stopped),
        _ => None,
    };
    Ok(match kind {
        Some(kind) => report(from, kind, of("OptOutType").map_or(said.to_uppercase(), str::to_owned)),
        None => nothing(),
    })
}

/// Numbers come without the plus sign.
fn international(digits: &str) -> String {
    format!("+{}", digits.trim_start_matches('+'))
}

pub fn vonage(body: &[u8]) -> Result<Reports, NotUnderstood> {
    let mut found = Reports::default();
    for (index, item) in objects(body)?.iter().enumerate() {
        let text = |name: &str| item[name].as_str();
        // The Messages API once wrapped numbers: {"type": "sms", "number": "33…"}.
        let number = |name: &str| text(name).or_else(|| item[name]["number"].as_str());
        let message = text("message_uuid").or(text("messageId")).or(text("message-id")).unwrap_or_default();
        let (to, kind, called) = match text("status") {
            Some(status) => {
                // Of a receipt of the SMS API the recipient is `msisdn`, and `to` is the sender.
                let Some(to) = text("msisdn").or(number("to")) else {
                    return not_understood(format!("[{index}].to"), "a status names the number");
                };
                let kind = match status {
                    "delivered" => ReportKind::Delivered,
                    "read" => ReportKind::Opened,
                    "rejected" | "undeliverable" | "failed" | "expired" => ReportKind::SoftBounced,
                    _ => {
                        found.ignored += 1;
                        continue;
                    }
                };
                (to, kind, status.to_owned())
            }
            None => {
                let said = word(text("text").unwrap_or_default());
                let Some(from) = text("msisdn").or(number("from")).filter(|_| STOP_WORDS.contains(&said.as_str())) else {
                    found.ignored += 1;
                    continue;
                };
                (from, ReportKind::Stopped, said.to_uppercase())
            }
        };
        found.reports.push(Report {
            at: text("timestamp").and_then(Timestamp::parse),
            delivery: text("client_ref").or(text("client-ref")).and_then(ours),
            id: (!message.is_empty()).then(|| format!("{message} {kind:?}")),
            ..Report::about("phone", international(to), kind, called)
        });
    }
    Ok(found)
}

pub fn aircall(body: &[u8]) -> Result<Reports, NotUnderstood> {
    let Ok(item) = serde_json::from_slice::<Value>(body) else { return not_understood("body", "it is a JSON object") };
    let call = &item["data"];
    if item["event"] != "call.ended" || call["direction"] != "outbound" {
        return Ok(nothing());
    }
    let Some(number) = call["raw_digits"].as_str() else { return not_understood("data.raw_digits", "a call names the number") };
    let kind = if instant(&call["answered_at"]).is_some() { ReportKind::Answered } else { ReportKind::NotAnswered };
    Ok(one(Report {
        at: instant(&call["started_at"]),
        id: named(&call["id"]),
        ..Report::about("phone", number, kind, call["missed_call_reason"].as_str().unwrap_or("ended"))
    }))
}
