//! Our own shape: `{"events": [{"type": "complained", "address": {"email": "ana@example.org"}, "at": "…"}]}`, or one event alone. Beside
//! them `delivery` (the id of our message, instead of the address or with it), `channel`, `campaign`, `link` and `id`.

use jumelle_model::outcome::Medium;
use jumelle_model::time::Timestamp;
use serde_json::Value;

use super::{NotUnderstood, Report, ReportKind, Reports, link, named, not_understood, ours};

/// Names, and the namespaces of the addresses that they may be about.
pub(super) const KINDS: [(&str, ReportKind, &[&str]); 14] = [
    ("delivered", ReportKind::Delivered, &["email", "phone"]),
    ("opened", ReportKind::Opened, &["email", "phone"]),
    ("opened_by_machine", ReportKind::OpenedByMachine, &["email"]),
    ("clicked", ReportKind::Clicked, &["email", "phone"]),
    ("soft_bounced", ReportKind::SoftBounced, &["email", "phone"]),
    ("bounced", ReportKind::Bounced, &["email"]),
    ("complained", ReportKind::Complained, &["email"]),
    ("unsubscribed", ReportKind::Unsubscribed, &["email"]),
    ("stopped", ReportKind::Stopped, &["phone"]),
    ("started", ReportKind::Started, &["phone"]),
    ("call_refused", ReportKind::RefusedCalls, &["phone"]),
    ("converted", ReportKind::Converted, &["email", "phone"]),
    ("answered", ReportKind::Answered, &["phone"]),
    ("not_answered", ReportKind::NotAnswered, &["phone"]),
];
const CHANNELS: [(&str, Medium); 4] =
    [("email", Medium::Email), ("sms", Medium::Sms), ("push", Medium::Push), ("call", Medium::Call)];

pub fn read(body: &[u8]) -> Result<Reports, NotUnderstood> {
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return not_understood("body", "it is not JSON") };
    let events = match body.get("events") {
        Some(Value::Array(events)) => events.clone(),
        Some(_) => return not_understood("events", "events is a list"),
        None => vec![body],
    };
    let mut found = Reports::default();
    for (n, event) in events.iter().enumerate() {
        found.reports.push(one(event, |name| format!("events[{n}].{name}"))?);
    }
    Ok(found)
}

fn one(event: &Value, field: impl Fn(&str) -> String) -> Result<Report, NotUnderstood> {
    let called = event["type"].as_str().unwrap_or_default();
    let Some((_, kind, namespaces)) = KINDS.iter().find(|(name, ..)| *name == called) else {
        let names = KINDS.map(|(name, ..)| name).join(", ");
        return not_understood(field("type"), format!("{called:?} is not one of {names}"));
    };
    let delivery = match &event["delivery"] {
        Value::Null => None,
        given => match given.as_str().and_then(ours) {
            Some(delivery) => Some(delivery),
            None => return not_understood(field("delivery"), "it is the id of a message of ours, dlv_…"),
        },
    };
    let address =
        ["email", "phone"].into_iter().find_map(|namespace| Some((namespace, event["address"][namespace].as_str()?.to_owned())));
    let fits = address.as_ref().is_some_and(|(namespace, _)| namespaces.contains(namespace));
    if !fits && (address.is_some() || delivery.is_none()) {
        let shapes: Vec<String> = namespaces.iter().map(|namespace| format!("{{\"{namespace}\": …}}")).collect();
        return not_understood(field("address"), format!("{called} is about {}", shapes.join(" or ")));
    }
    let medium = match &event["channel"] {
        Value::Null => None,
        given => match CHANNELS.iter().find(|(name, _)| given.as_str() == Some(name)) {
            Some((_, medium)) => Some(*medium),
            None => return not_understood(field("channel"), format!("{given} is not one of email, sms, push, call")),
        },
    };
    let at = match &event["at"] {
        Value::Null => None,
        at => match at.as_str().and_then(Timestamp::parse) {
            Some(at) => Some(at),
            None => return not_understood(field("at"), "the time is an ISO 8601 instant"),
        },
    };
    let (namespace, value) = address.clone().unwrap_or((namespaces[0], String::new()));
    let report = Report::about(namespace, value, *kind, called);
    Ok(Report {
        address,
        medium: medium.unwrap_or(report.medium),
        at,
        delivery,
        id: named(&event["id"]),
        campaign: named(&event["campaign"]),
        link: link(&event["link"]),
        ..report
    })
}
