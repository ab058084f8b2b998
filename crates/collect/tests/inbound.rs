//! Reports of tools, as their documentation shows them, and what is not one.

use jumelle_collect::inbound::{ReportKind, read};
use jumelle_model::workspace::take_back::InboundFormat::{self, Arf, Brevo, Mailjet, Standard, Twilio};

fn found(format: InboundFormat, body: &str) -> Result<Vec<(ReportKind, String)>, String> {
    let reports = read(format, body.as_bytes()).map_err(|error| error.to_string())?;
    Ok(reports.reports.into_iter().map(|report| (report.kind, report.address.1)).collect())
}

const ARF: &str = "From: <abusedesk@example.com>\r\nDate: Thu, 8 Mar 2005 17:40:36 EDT\r\nSubject: FW: Earn money\r\nTo: <abuse@example.net>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=feedback-report;\r\n     boundary=\"part1_13d.2e68ed54_boundary\"\r\n\r\n--part1_13d.2e68ed54_boundary\r\nContent-Type: text/plain; charset=\"US-ASCII\"\r\nContent-Transfer-Encoding: 7bit\r\n\r\nThis is an email abuse report.\r\n\r\n--part1_13d.2e68ed54_boundary\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nUser-Agent: SomeGenerator/1.0\r\nVersion: 1\r\nORIGINAL\r\n--part1_13d.2e68ed54_boundary\r\nContent-Type: message/rfc822\r\nContent-Disposition: inline\r\n\r\nFrom: <somespammer@example.net>\r\nTo: <Undisclosed Recipients>, <ana@example.org>\r\nSubject: Earn money\r\nDate: Thu, 8 Mar 2005 14:00:00 EDT\r\n\r\nSpam Spam Spam\r\n--part1_13d.2e68ed54_boundary--\r\n";
const DSN: &str = "From: MAILER-DAEMON@example.com\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=\"B\"\r\n\r\n--B\r\n\r\nIt could not be delivered.\r\n--B\r\ncontent-type: message/delivery-status\r\n\r\nReporting-MTA: dns; example.com\r\n\r\nFinal-Recipient: rfc822;gone@example.org\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\nFinal-Recipient: rfc822;full@example.org\r\nAction: failed\r\nStatus: 5.2.2\r\n\r\nFinal-Recipient: rfc822;slow@example.org\r\nAction: delayed\r\nStatus: 4.4.7\r\n--B--\r\n";

#[test]
fn each_format_says_what_it_says() {
    use ReportKind::*;
    let arf = ARF.replace("ORIGINAL", "Original-Rcpt-To: <bia@example.org>\r\nArrival-Date: Thu, 8 Mar 2005 14:00:00 EDT");
    let cases = [
        (
            Brevo,
            r#"{"event":"hard_bounce","email":"a@example.org","id":1,"ts_event":1604933654}"#,
            vec![(Bounced, "a@example.org")],
        ),
        (Brevo, r#"{"event":"spam","email":"a@example.org"}"#, vec![(Complained, "a@example.org")]),
        (Brevo, r#"{"event":"unsubscribed","email":"a@example.org"}"#, vec![(Unsubscribed, "a@example.org")]),
        (Brevo, r#"{"event":"opened","email":"a@example.org"}"#, vec![]),
        (
            Mailjet,
            r#"[{"event":"bounce","time":1430812195,"email":"a@example.org","hard_bounce":true},{"event":"bounce","email":"b@example.org","hard_bounce":false},{"event":"unsub","email":"c@example.org"}]"#,
            vec![(Bounced, "a@example.org"), (Unsubscribed, "c@example.org")],
        ),
        (Twilio, "From=%2B33612345678&Body=Stop&To=%2B33700000000&OptOutType=STOP", vec![(Stopped, "+33612345678")]),
        (Twilio, "From=%2B33612345678&Body=+ARRET+", vec![(Stopped, "+33612345678")]),
        (Twilio, "From=%2B33612345678&Body=Stop+by+tomorrow", vec![]),
        (Twilio, "From=%2B33612345678&Body=START&OptOutType=START", vec![(Started, "+33612345678")]),
        (
            Twilio,
            "MessageStatus=failed&ErrorCode=21610&From=%2B337&To=whatsapp%3A%2B33612345678",
            vec![(Stopped, "+33612345678")],
        ),
        (Twilio, "MessageStatus=delivered&From=%2B337&To=%2B336", vec![]),
        (Standard, r#"{"type":"call_refused","address":{"phone":"+33612345678"}}"#, vec![(RefusedCalls, "+33612345678")]),
        (Arf, arf.as_str(), vec![(Complained, "bia@example.org")]),
        (Arf, DSN, vec![(Bounced, "gone@example.org")]),
    ];
    for (format, body, expected) in cases {
        let expected: Vec<_> = expected.into_iter().map(|(kind, value)| (kind, value.to_owned())).collect();
        assert_eq!(found(format, body), Ok(expected), "{body}");
    }
}

#[test]
fn a_report_without_a_recipient_is_about_whom_the_message_was_for() {
    assert_eq!(found(Arf, &ARF.replace("ORIGINAL\r\n", "")), Ok(vec![(ReportKind::Complained, "ana@example.org".into())]));
    let opt_out = ARF.replace("Feedback-Type: abuse", "Feedback-Type: opt-out").replace("ORIGINAL\r\n", "");
    assert_eq!(found(Arf, &opt_out), Ok(vec![(ReportKind::Unsubscribed, "ana@example.org".into())]));
    let not_spam = ARF.replace("Feedback-Type: abuse", "Feedback-Type: not-spam").replace("ORIGINAL\r\n", "");
    assert_eq!(found(Arf, &not_spam), Ok(vec![]));
}

#[test]
fn what_is_no_report_is_refused_and_names_the_field() {
    for (format, body, field) in [
        (Brevo, "[1", "body"),
        (Brevo, r#"{"event":"spam"}"#, "email"),
        (Mailjet, r#"{"email":"a@example.org"}"#, "event"),
        (Standard, r#"{"type":"opened","address":{"email":"a@example.org"}}"#, "type"),
        (Standard, r#"{"type":"stopped","address":{"email":"a@example.org"}}"#, "address"),
        (Standard, r#"{"type":"bounced","address":{"email":"a@example.org"},"at":"yesterday"}"#, "at"),
        (Arf, "Subject: hello\r\n\r\nHello\r\n", "body"),
    ] {
        let error = found(format, body).unwrap_err();
        assert!(error.contains(field), "{body}: {error}");
    }
    // Cut anywhere, nothing panics, and nobody but her (or the beginning of her address) is named.
    for end in 0..ARF.len() {
        if let Ok(reports) = found(Arf, &ARF[..end]) {
            assert!(reports.iter().all(|(_, who)| "ana@example.org".starts_with(who.as_str())), "{reports:?}");
        }
    }
}
