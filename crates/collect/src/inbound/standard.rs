//! Our own shape: `{"events": [{"type": "complained", "address": {"email": "ana@example.org"}, "at": "…"}]}`, or one event alone.

use jumelle_model::time::Timestamp;
use serde_json::Value;

use super::{NotUnderstood, Report, ReportKind, Reports, not_understood};

const KINDS: [(&str, ReportKind, &str); 6] = [
    ("bounced", ReportKind::Bounced, "email"),
    ("complained", ReportKind::Complained, "email"),
    ("unsubscribed", ReportKind::Unsubscribed, "email"),
    ("stopped", ReportKind::Stopped, "phone"),
    ("started", ReportKind::Started, "phone"),
    ("call_refused", ReportKind::RefusedCalls, "phone"),
];

pub fn read(body: &[u8]) -> Result<Reports, NotUnderstood> {
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return not_understood("body", "it is not JSON") };
    let events = match body.get("events") {
        Some(Value::Array(events)) => events.clone(),
        Some(_) => return not_understood("events", "events is a list"),
        None => vec![body],
    };
    let mut found = Reports::default();
    for (n, event) in events.iter().enumerate() {
        let field = |name: &str| format!("events[{n}].{name}");
        let called = event["type"].as_str().unwrap_or_default();
        let Some((_, kind, namespace)) = KINDS.iter().find(|(name, ..)| *name == called) else {
            let names = KINDS.map(|(name, ..)| name).join(", ");
            return not_understood(field("type"), format!("{called:?} is not one of {names}"));
        };
        let Some(value) = event["address"][namespace].as_str() else {
            return not_understood(field("address"), format!("{called} is about {{\"{namespace}\": …}}"));
        };
        let at = match &event["at"] {
            Value::Null => None,
            at => match at.as_str().and_then(Timestamp::parse) {
                Some(at) => Some(at),
                None => return not_understood(field("at"), "the time is an ISO 8601 instant"),
            },
        };
        found.reports.push(Report { address: (namespace, value.to_owned()), kind: *kind, at, called: called.to_owned() });
    }
    Ok(found)
}
