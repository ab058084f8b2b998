//! Providers' webhooks: Brevo (`event`, `email`, `ts_event`), Mailjet's Event API (`event`, `email`, `hard_bounce`, `time`), Twilio's
//! inbound messages (`OptOutType`, or the keyword in `Body`) and status callbacks (`ErrorCode` 21610).

use jumelle_model::time::Timestamp;
use serde_json::Value;

use super::{NotUnderstood, Report, ReportKind, Reports, form, not_understood};

/// Keywords that carriers and Twilio take for an opt-out; in French as well.
const STOP_WORDS: [&str; 9] = ["stop", "stopall", "unsubscribe", "cancel", "end", "quit", "revoke", "optout", "arret"];
/// Twilio: the number has sent STOP before.
const UNSUBSCRIBED_NUMBER: &str = "21610";

/// An object, or a list of them.
fn objects(body: &[u8]) -> Result<Vec<Value>, NotUnderstood> {
    match serde_json::from_slice(body) {
        Ok(Value::Array(items)) => Ok(items),
        Ok(item @ Value::Object(_)) => Ok(vec![item]),
        _ => not_understood("body", "it is a JSON object, or a list of them"),
    }
}

fn email(item: &Value) -> Result<String, NotUnderstood> {
    match item["email"].as_str() {
        Some(email) => Ok(email.to_owned()),
        None => not_understood("email", "an event names an e-mail address"),
    }
}

/// Seconds since 1970.
fn instant(seconds: &Value) -> Option<Timestamp> {
    seconds.as_i64().map(|seconds| Timestamp(seconds.saturating_mul(1_000_000)))
}

pub fn brevo(body: &[u8]) -> Result<Reports, NotUnderstood> {
    let mut found = Reports::default();
    for item in objects(body)? {
        let Some(event) = item["event"].as_str() else { return not_understood("event", "an event has a name") };
        let kind = match event {
            "hard_bounce" | "hardBounce" | "invalid_email" | "invalid" => ReportKind::Bounced,
            "spam" | "complaint" => ReportKind::Complained,
            "unsubscribed" | "unsubscribe" => ReportKind::Unsubscribed,
            _ => {
                found.ignored += 1;
                continue;
            }
        };
        let at = instant(&item["ts_event"]).or_else(|| instant(&item["ts"]));
        found.reports.push(Report { address: ("email", email(&item)?), kind, at, called: event.to_owned() });
    }
    Ok(found)
}

pub fn mailjet(body: &[u8]) -> Result<Reports, NotUnderstood> {
    let mut found = Reports::default();
    for item in objects(body)? {
        let Some(event) = item["event"].as_str() else { return not_understood("event", "an event has a name") };
        let kind = match event {
            "bounce" if item["hard_bounce"] == true => ReportKind::Bounced,
            "spam" => ReportKind::Complained,
            "unsub" => ReportKind::Unsubscribed,
            // A soft bounce, and `blocked`, which may be the sender's own doing.
            _ => {
                found.ignored += 1;
                continue;
            }
        };
        let at = instant(&item["time"]);
        found.reports.push(Report { address: ("email", email(&item)?), kind, at, called: event.to_owned() });
    }
    Ok(found)
}

pub fn twilio(body: &[u8]) -> Result<Reports, NotUnderstood> {
    let form = form(body);
    let of = |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let report = |number: &str, kind, called: String| Reports {
        // `whatsapp:+33…`
        reports: vec![Report {
            address: ("phone", number.rsplit(':').next().unwrap_or_default().to_owned()),
            kind,
            at: None,
            called,
        }],
        ignored: 0,
    };
    if of("ErrorCode") == Some(UNSUBSCRIBED_NUMBER) {
        let Some(to) = of("To") else { return not_understood("To", "a status callback names the number") };
        return Ok(report(to, ReportKind::Stopped, UNSUBSCRIBED_NUMBER.into()));
    }
    let Some(from) = of("From").filter(|_| of("MessageStatus").is_none()) else {
        return Ok(Reports { ignored: 1, ..Reports::default() });
    };
    let said: String = of("Body").unwrap_or_default().trim().to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect();
    let kind = match of("OptOutType") {
        Some("STOP") => Some(ReportKind::Stopped),
        Some("START") => Some(ReportKind::Started),
        _ if STOP_WORDS.contains(&said.as_str()) => Some(ReportKind::Stopped),
        _ => None,
    };
    match kind {
        Some(kind) => Ok(report(from, kind, of("OptOutType").map_or(said.to_uppercase(), str::to_owned))),
        None => Ok(Reports { ignored: 1, ..Reports::default() }),
    }
}
