//! Webhooks of those who send e-mail:
//!
//! - Brevo, transactional and marketing: `event`, `email`, `ts_event`, `message-id`, `X-Mailin-custom` or `tags`; `proxy_open` is a
//!   machine's ([documentation](https://developers.brevo.com/docs/transactional-webhooks)).
//! - Mailjet's Event API: `event`, `email`, `time`, `MessageID`, `CustomID` or `Payload`, `hard_bounce`.
//! - SendGrid's Event Webhook: `event`, `email`, `timestamp`, `sg_event_id`, custom arguments at the top level; `sg_machine_open`.
//! - Mailchimp Transactional (Mandrill): the form field `mandrill_events`, `event`, `ts`, `msg.email`, `msg.metadata`.
//! - Customer.io's reporting webhooks: `object_type`, `metric`, `timestamp`, `data.recipient`.

use serde_json::Value;

use super::{NotUnderstood, Report, ReportKind, Reports, form, instant, link, named, not_understood, objects, ours};
use jumelle_model::outcome::Medium;

/// Name of the custom argument or metadata in which our delivery's id goes along.
const OURS: &str = "jumelle_delivery";
/// What Apple's Mail Privacy Protection says it is: this, and nothing behind it.
const BARE_AGENT: &str = "Mozilla/5.0";

/// `at` names the field in messages: `[3].email`.
fn email<'a>(item: &'a Value, index: usize, field: &str) -> Result<&'a str, NotUnderstood> {
    match item[field].as_str() {
        Some(email) => Ok(email),
        None => not_understood(format!("[{index}].{field}"), "an event names an e-mail address"),
    }
}

fn event(item: &Value, index: usize) -> Result<&str, NotUnderstood> {
    match item["event"].as_str() {
        Some(event) => Ok(event),
        None => not_understood(format!("[{index}].event"), "an event has a name"),
    }
}

/// The parts that tell one report of a tool from another, as one text. `None` without the tool's id of the message.
fn id_of(message: Option<String>, kind: ReportKind, at: &Value) -> Option<String> {
    message.map(|message| format!("{message} {kind:?} {}", named(at).unwrap_or_default()))
}

pub fn brevo(body: &[u8]) -> Result<Reports, NotUnderstood> {
    let mut found = Reports::default();
    for (index, item) in objects(body)?.iter().enumerate() {
        let called = event(item, index)?;
        let kind = match called {
            "delivered" => ReportKind::Delivered,
            // The first one is said twice where both are asked for: one id, one report.
            "opened" | "unique_opened" | "uniqueOpened" => ReportKind::Opened,
            "proxy_open" | "unique_proxy_open" | "proxyOpen" | "uniqueProxyOpen" => ReportKind::OpenedByMachine,
            "click" => ReportKind::Clicked,
            "soft_bounce" | "softBounce" | "blocked" | "error" => ReportKind::SoftBounced,
            "hard_bounce" | "hardBounce" | "invalid_email" | "invalid" => ReportKind::Bounced,
            "spam" | "complaint" => ReportKind::Complained,
            "unsubscribed" | "unsubscribe" => ReportKind::Unsubscribed,
            _ => {
                found.ignored += 1;
                continue;
            }
        };
        let at = if item["ts_event"].is_null() { &item["ts"] } else { &item["ts_event"] };
        let message = named(&item["message-id"]).or_else(|| named(&item["camp_id"]));
        let tags = [&item["X-Mailin-custom"], &item["tag"]].into_iter().chain(item["tags"].as_array().into_iter().flatten());
        found.reports.push(Report {
            at: instant(at),
            delivery: tags.filter_map(Value::as_str).find_map(ours),
            id: id_of(message, kind, at),
            campaign: named(&item["campaign name"]).or_else(|| named(&item["camp_id"])),
            link: link(&item["link"]).or_else(|| link(&item["URL"])),
            ..Report::about("email", email(item, index, "email")?, kind, called)
        });
    }
    Ok(found)
}

pub fn mailjet(body: &[u8]) -> Result<Reports, NotUnderstood> {
    let mut found = Reports::default();
    for (index, item) in objects(body)?.iter().enumerate() {
        let called = event(item, index)?;
        let kind = match called {
            "sent" => ReportKind::Delivered,
            "open" if item["agent"] == BARE_AGENT => ReportKind::OpenedByMachine,
            "open" => ReportKind::Opened,
            "click" => ReportKind::Clicked,
            "bounce" if item["hard_bounce"] == true => ReportKind::Bounced,
            // `blocked` may be the sender's own doing.
            "bounce" | "blocked" => ReportKind::SoftBounced,
            "spam" => ReportKind::Complained,
            "unsub" => ReportKind::Unsubscribed,
            _ => {
                found.ignored += 1;
                continue;
            }
        };
        let own = [&item["CustomID"], &item["Payload"]];
        found.reports.push(Report {
            at: instant(&item["time"]),
            delivery: own.into_iter().filter_map(Value::as_str).find_map(ours),
            id: id_of(named(&item["MessageID"]), kind, &item["time"]),
            campaign: named(&item["customcampaign"])
                .or_else(|| named(&item["mj_campaign_id"]).filter(|campaign| campaign != "0")),
            link: link(&item["url"]),
            ..Report::about("email", email(item, index, "email")?, kind, called)
        });
    }
    Ok(found)
}

pub fn sendgrid(body: &[u8]) -> Result<Reports, NotUnderstood> {
    let mut found = Reports::default();
    for (index, item) in objects(body)?.iter().enumerate() {
        let called = event(item, index)?;
        let kind = match called {
            "delivered" => ReportKind::Delivered,
            "open" if item["sg_machine_open"] == true => ReportKind::OpenedByMachine,
            "open" => ReportKind::Opened,
            "click" => ReportKind::Clicked,
            "bounce" if item["type"] != "blocked" => ReportKind::Bounced,
            // Not even tried: on a suppression list, or refused by the receiving server for now.
            "bounce" | "blocked" | "dropped" => ReportKind::SoftBounced,
            "spamreport" => ReportKind::Complained,
            "unsubscribe" | "group_unsubscribe" => ReportKind::Unsubscribed,
            _ => {
                found.ignored += 1;
                continue;
            }
        };
        let campaign = ["singlesend_name", "marketing_campaign_name", "singlesend_id", "marketing_campaign_id"];
        found.reports.push(Report {
            at: instant(&item["timestamp"]),
            delivery: item[OURS].as_str().and_then(ours),
            id: named(&item["sg_event_id"]),
            campaign: campaign.into_iter().find_map(|name| named(&item[name])),
            link: link(&item["url"]),
            ..Report::about("email", email(item, index, "email")?, kind, called)
        });
    }
    Ok(found)
}

pub fn mandrill(body: &[u8]) -> Result<Reports, NotUnderstood> {
    let fields = form(body);
    let Some((_, events)) = fields.iter().find(|(name, _)| name == "mandrill_events") else {
        return not_understood("mandrill_events", "the body is a form with the field mandrill_events");
    };
    let mut found = Reports::default();
    for (index, item) in objects(events.as_bytes())?.iter().enumerate() {
        let Some(called) = item["event"].as_str() else {
            // Changes of the lists of what is refused carry `type`, and no message.
            found.ignored += 1;
            continue;
        };
        let kind = match called {
            "delivered" => ReportKind::Delivered,
            "open" if item["user_agent"] == BARE_AGENT => ReportKind::OpenedByMachine,
            "open" => ReportKind::Opened,
            "click" => ReportKind::Clicked,
            "soft_bounce" | "reject" => ReportKind::SoftBounced,
            "hard_bounce" => ReportKind::Bounced,
            "spam" => ReportKind::Complained,
            "unsub" => ReportKind::Unsubscribed,
            _ => {
                found.ignored += 1;
                continue;
            }
        };
        let message = &item["msg"];
        let Some(email) = message["email"].as_str() else {
            return not_understood(format!("mandrill_events[{index}].msg.email"), "an event names an e-mail address");
        };
        found.reports.push(Report {
            at: instant(&item["ts"]),
            delivery: message["metadata"][OURS].as_str().and_then(ours),
            id: id_of(named(&message["_id"]).or_else(|| named(&item["_id"])), kind, &item["ts"]),
            campaign: named(&message["tags"][0]),
            link: link(&item["url"]),
            ..Report::about("email", email, kind, called)
        });
    }
    Ok(found)
}

pub fn customer_io(body: &[u8]) -> Result<Reports, NotUnderstood> {
    let mut found = Reports::default();
    for (index, item) in objects(body)?.iter().enumerate() {
        let Some(called) = item["metric"].as_str() else {
            return not_understood(format!("[{index}].metric"), "an event has a metric");
        };
        let medium = match item["object_type"].as_str() {
            Some("email") => Medium::Email,
            Some("sms") => Medium::Sms,
            Some("push") => Medium::Push,
            _ => {
                found.ignored += 1;
                continue;
            }
        };
        let kind = match (called, medium) {
            ("delivered", _) => ReportKind::Delivered,
            ("opened", _) => ReportKind::Opened,
            ("clicked", _) => ReportKind::Clicked,
            ("converted", _) => ReportKind::Converted,
            ("bounced", Medium::Email) => ReportKind::Bounced,
            ("bounced" | "dropped" | "failed" | "undeliverable", _) => ReportKind::SoftBounced,
            ("spammed", Medium::Email) => ReportKind::Complained,
            ("unsubscribed", Medium::Email) => ReportKind::Unsubscribed,
            ("unsubscribed", Medium::Sms) => ReportKind::Stopped,
            _ => {
                found.ignored += 1;
                continue;
            }
        };
        let data = &item["data"];
        let recipient = data["recipient"].as_str().or_else(|| data["identifiers"]["email"].as_str());
        let address = match medium {
            Medium::Email => recipient.filter(|recipient| recipient.contains('@')).map(|email| ("email", email)),
            Medium::Sms => recipient.map(|phone| ("phone", phone)),
            // A device's token is no address of ours; the profile of the tool is her e-mail address as often as not.
            _ => data["identifiers"]["email"].as_str().map(|email| ("email", email)),
        };
        let Some((namespace, value)) = address else {
            found.ignored += 1;
            continue;
        };
        found.reports.push(Report {
            medium,
            at: instant(&item["timestamp"]),
            id: named(&item["event_id"]),
            campaign: ["campaign_id", "broadcast_id", "newsletter_id", "transactional_message_id"]
                .into_iter()
                .find_map(|name| named(&data[name])),
            link: link(&data["href"]),
            ..Report::about(namespace, value, kind, called)
        });
    }
    Ok(found)
}
