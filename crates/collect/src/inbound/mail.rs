//! Reports that come by mail: abuse reports (ARF, RFC 5965) and delivery status notifications (RFC 3464), as a mailbox hands them on.

use jumelle_model::time::Timestamp;
use mail_parser::{Address, Message, MessageParser, MimeHeaders, PartType};

use super::{NotUnderstood, Report, ReportKind, Reports, not_understood, ours};

/// Feedback types that are a complaint (RFC 5965, section 7.3; `opt-out` of RFC 6650).
const UNSUBSCRIBES: [&str; 2] = ["opt-out", "opt-out-list"];

pub fn read(body: &[u8]) -> Result<Reports, NotUnderstood> {
    let Some(message) = MessageParser::default().parse(body) else { return not_understood("body", "it is no e-mail message") };
    let (mut report, mut status, mut original, mut reported) = (None, None, Vec::new(), None);
    for part in &message.parts {
        let kind =
            part.content_type().map(|kind| (kind.ctype().to_lowercase(), kind.subtype().unwrap_or_default().to_lowercase()));
        let kind = kind.as_ref().map(|(kind, subtype)| (kind.as_str(), subtype.as_str()));
        match kind {
            Some(("message", "feedback-report")) => report = Some(String::from_utf8_lossy(part.contents()).into_owned()),
            Some(("message", "delivery-status")) => status = Some(String::from_utf8_lossy(part.contents()).into_owned()),
            Some(("message", "rfc822")) => {
                if let PartType::Message(inner) = &part.body {
                    original.extend(recipients(inner));
                    reported = reported.or(inner.message_id().map(str::to_owned));
                }
            }
            Some(("text", "rfc822-headers")) => {
                let headers = [part.contents(), b"\r\n\r\n"].concat();
                if let Some(inner) = MessageParser::default().parse(&headers) {
                    original.extend(recipients(&inner));
                    reported = reported.or(inner.message_id().map(str::to_owned));
                }
            }
            _ => {}
        }
    }
    let mut found = match (report, status) {
        (Some(report), _) => complaint(&report, original),
        (None, Some(status)) => Ok(bounce(&status)),
        (None, None) => not_understood("body", "it has no part message/feedback-report and none message/delivery-status"),
    }?;
    // A message that we sent ourselves has the delivery in its `Message-ID`; one message, one recipient.
    if let ([only], Some(reported)) = (&mut found.reports[..], reported) {
        only.delivery = ours(&reported);
    }
    Ok(found)
}

fn complaint(report: &str, original: Vec<String>) -> Result<Reports, NotUnderstood> {
    let fields = fields(report);
    let all = |name: &str| fields.iter().filter(|(key, _)| key == name).map(|(_, value)| value.clone()).collect::<Vec<_>>();
    let Some(called) = all("feedback-type").into_iter().next().map(|kind| kind.to_lowercase()) else {
        return not_understood("Feedback-Type", "an abuse report says its type (RFC 5965, section 3.1)");
    };
    let kind = match called.as_str() {
        "not-spam" => return Ok(Reports { ignored: 1, ..Reports::default() }),
        kind if UNSUBSCRIBES.contains(&kind) => ReportKind::Unsubscribed,
        _ => ReportKind::Complained,
    };
    let at = all("arrival-date").first().or(all("received-date").first()).and_then(|text| date(text));
    // The report's own word, else whom the reported message was for.
    let named: Vec<String> = all("original-rcpt-to").iter().filter_map(|text| address(text)).collect();
    let recipients = if named.is_empty() { original } else { named };
    if recipients.is_empty() {
        return not_understood("Original-Rcpt-To", "neither the report nor the message in it says who complains");
    }
    let reports =
        recipients.into_iter().map(|email| Report { at, ..Report::about("email", email, kind, called.clone()) }).collect();
    Ok(Reports { reports, ignored: 0 })
}

/// Blocks of fields, one for each recipient after the first, which is about the message (RFC 3464, section 2.1).
fn bounce(status: &str) -> Reports {
    let mut found = Reports::default();
    let text = status.replace("\r\n", "\n");
    for block in text.split("\n\n") {
        let fields = fields(block);
        let of = |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let Some(recipient) = of("original-recipient").or(of("final-recipient")).and_then(address) else { continue };
        let code = of("status").unwrap_or_default();
        // A delay is no end.
        if !of("action").is_some_and(|action| action.eq_ignore_ascii_case("failed")) {
            found.ignored += 1;
            continue;
        }
        // 5.x.x for good; 5.2.2, a mailbox that is full, passes.
        let is_final = code.starts_with('5') && !code.starts_with("5.2.2");
        let kind = if is_final { ReportKind::Bounced } else { ReportKind::SoftBounced };
        let at = of("last-attempt-date").and_then(date);
        found.reports.push(Report { at, ..Report::about("email", recipient, kind, code) });
    }
    found
}

/// `Name: value`, continued lines joined, names in lower case.
fn fields(text: &str) -> Vec<(String, String)> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        if line.starts_with([' ', '\t'])
            && let Some((_, value)) = fields.last_mut()
        {
            value.push(' ');
            value.push_str(line.trim());
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.trim().to_lowercase(), value.trim().to_owned()));
        }
    }
    fields
}

/// `rfc822;ana@example.org`, `<ana@example.org>`, or bare.
fn address(text: &str) -> Option<String> {
    let text = text.rsplit(';').next()?.trim().trim_start_matches('<').trim_end_matches('>').trim();
    text.contains('@').then(|| text.to_owned())
}

fn date(text: &str) -> Option<Timestamp> {
    let message = format!("Date: {text}\r\n\r\n");
    let parsed = MessageParser::default().parse(message.as_bytes())?;
    parsed.date().filter(|date| date.is_valid()).map(|date| Timestamp(date.to_timestamp().saturating_mul(1_000_000)))
}

fn recipients(message: &Message<'_>) -> Vec<String> {
    let of = |address: &Address<'_>| {
        address.iter().filter_map(|one| one.address().filter(|text| text.contains('@')).map(str::to_owned)).collect::<Vec<_>>()
    };
    message.to().map(of).unwrap_or_default()
}
