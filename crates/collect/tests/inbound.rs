//! Reports of tools, as their documentation shows them, and what is not one.

use jumelle_collect::inbound::{Report, ReportKind, read};
use jumelle_model::ids::DeliveryId;
use jumelle_model::workspace::take_back::InboundFormat::{
    self, Aircall, Arf, Brevo, CustomerIo, Mailjet, Mandrill, SendGrid, Standard, Twilio, Vonage,
};

fn found(format: InboundFormat, body: &str) -> Result<Vec<(ReportKind, String)>, String> {
    let reports = read(format, "", body.as_bytes()).map_err(|error| error.to_string())?;
    Ok(reports
        .reports
        .into_iter()
        .map(|report| (report.kind, report.address.map_or_else(String::new, |(_, value)| value)))
        .collect())
}

fn one(format: InboundFormat, query: &str, body: &str) -> Report {
    let reports = read(format, query, body.as_bytes()).unwrap_or_else(|error| panic!("{error}: {body}"));
    assert_eq!(reports.reports.len(), 1, "{body}");
    reports.reports.into_iter().next().unwrap()
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
        (Brevo, r#"{"event":"opened","email":"a@example.org"}"#, vec![(Opened, "a@example.org")]),
        (Brevo, r#"{"event":"unique_proxy_open","email":"a@example.org"}"#, vec![(OpenedByMachine, "a@example.org")]),
        (Brevo, r#"{"event":"request","email":"a@example.org"}"#, vec![]),
        (Mailjet, r#"{"event":"open","email":"a@example.org","agent":"Mozilla/5.0"}"#, vec![(OpenedByMachine, "a@example.org")]),
        (
            SendGrid,
            r#"[{"event":"open","email":"a@example.org","sg_machine_open":true},{"event":"open","email":"a@example.org","sg_machine_open":false},{"event":"processed","email":"a@example.org"},{"event":"bounce","type":"blocked","email":"b@example.org"},{"event":"bounce","type":"bounce","email":"c@example.org"},{"event":"group_unsubscribe","email":"d@example.org"}]"#,
            vec![
                (OpenedByMachine, "a@example.org"),
                (Opened, "a@example.org"),
                (SoftBounced, "b@example.org"),
                (Bounced, "c@example.org"),
                (Unsubscribed, "d@example.org"),
            ],
        ),
        (
            Mandrill,
            "mandrill_events=%5B%7B%22event%22%3A%22click%22%2C%22msg%22%3A%7B%22email%22%3A%22a%40example.org%22%7D%7D%2C%7B%22type%22%3A%22blacklist%22%7D%5D",
            vec![(Clicked, "a@example.org")],
        ),
        (
            CustomerIo,
            r#"{"event_id":"01E","object_type":"email","metric":"converted","timestamp":1613063089,"data":{"recipient":"a@example.org"}}"#,
            vec![(Converted, "a@example.org")],
        ),
        (
            CustomerIo,
            r#"{"event_id":"01E","object_type":"sms","metric":"unsubscribed","data":{"recipient":"+33612345678"}}"#,
            vec![(Stopped, "+33612345678")],
        ),
        (CustomerIo, r#"{"event_id":"01E","object_type":"customer","metric":"subscribed","data":{}}"#, vec![]),
        (
            Vonage,
            r#"{"message_uuid":"u","to":"33612345678","from":"337","status":"delivered"}"#,
            vec![(Delivered, "+33612345678")],
        ),
        (
            Vonage,
            r#"{"msisdn":"33612345678","to":"337","messageId":"u","status":"expired"}"#,
            vec![(SoftBounced, "+33612345678")],
        ),
        (Vonage, r#"{"message_uuid":"u","to":"337","from":"33612345678","text":"Stop"}"#, vec![(Stopped, "+33612345678")]),
        (Vonage, r#"{"message_uuid":"u","to":"337","from":"33612345678","text":"Hello"}"#, vec![]),
        (
            Aircall,
            r#"{"event":"call.ended","data":{"id":1,"direction":"outbound","raw_digits":"+33 6 12 34 56 78","answered_at":1609459200}}"#,
            vec![(Answered, "+33 6 12 34 56 78")],
        ),
        (
            Aircall,
            r#"{"event":"call.ended","data":{"id":1,"direction":"outbound","raw_digits":"+33612345678","answered_at":null}}"#,
            vec![(NotAnswered, "+33612345678")],
        ),
        (Aircall, r#"{"event":"call.ended","data":{"id":1,"direction":"inbound","raw_digits":"+33612345678"}}"#, vec![]),
        (
            Mailjet,
            r#"[{"event":"bounce","time":1430812195,"email":"a@example.org","hard_bounce":true},{"event":"bounce","email":"b@example.org","hard_bounce":false},{"event":"unsub","email":"c@example.org"}]"#,
            vec![(Bounced, "a@example.org"), (SoftBounced, "b@example.org"), (Unsubscribed, "c@example.org")],
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
        (Twilio, "MessageStatus=sent&From=%2B337&To=%2B336", vec![]),
        (Twilio, "MessageStatus=delivered&From=%2B337&To=%2B336", vec![(Delivered, "+336")]),
        (Twilio, "MessageStatus=undelivered&ErrorCode=30005&From=%2B337&To=%2B336", vec![(SoftBounced, "+336")]),
        (Standard, r#"{"type":"call_refused","address":{"phone":"+33612345678"}}"#, vec![(RefusedCalls, "+33612345678")]),
        (Arf, arf.as_str(), vec![(Complained, "bia@example.org")]),
        (Standard, r#"{"type":"delivered","address":{"phone":"+33612345678"}}"#, vec![(Delivered, "+33612345678")]),
        (Standard, r#"{"type":"converted","delivery":"dlv_00000000000000000000000007"}"#, vec![(Converted, "")]),
        (Arf, DSN, vec![(Bounced, "gone@example.org"), (SoftBounced, "full@example.org")]),
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
        (Standard, r#"{"type":"seen","address":{"email":"a@example.org"}}"#, "type"),
        (Standard, r#"{"type":"opened"}"#, "address"),
        (Standard, r#"{"type":"opened","delivery":"7"}"#, "delivery"),
        (Standard, r#"{"type":"opened","address":{"email":"a@example.org"},"channel":"fax"}"#, "channel"),
        (SendGrid, r#"[{"event":"open","email":"a@example.org"},{"event":"open"}]"#, "[1].email"),
        (Mandrill, "x=1", "mandrill_events"),
        (Vonage, r#"{"status":"delivered"}"#, "[0].to"),
        (Aircall, r#"{"event":"call.ended","data":{"direction":"outbound"}}"#, "data.raw_digits"),
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

#[test]
fn our_delivery_comes_back_in_the_field_that_each_provider_returns() {
    let id = DeliveryId(7);
    let form =
        |text: &str| text.replace('{', "%7B").replace('}', "%7D").replace('"', "%22").replace('[', "%5B").replace(']', "%5D");
    let mandrill = format!(
        "mandrill_events={}",
        form(&format!(r#"[{{"event":"open","msg":{{"email":"a@example.org","metadata":{{"jumelle_delivery":"{id}"}}}}}}]"#))
    );
    let cases = [
        (Brevo, "", format!(r#"{{"event":"opened","email":"a@example.org","X-Mailin-custom":"jumelle:{id}|shop:1"}}"#)),
        (Brevo, "", format!(r#"{{"event":"opened","email":"a@example.org","tags":["spring","{id}"]}}"#)),
        (Mailjet, "", format!(r#"{{"event":"open","email":"a@example.org","CustomID":"{id}"}}"#)),
        (Mailjet, "", format!(r#"{{"event":"open","email":"a@example.org","Payload":"{{\"delivery\":\"{id}\"}}"}}"#)),
        (SendGrid, "", format!(r#"[{{"event":"open","email":"a@example.org","jumelle_delivery":"{id}"}}]"#)),
        (Mandrill, "", mandrill),
        (Vonage, "", format!(r#"{{"status":"delivered","to":"336","client_ref":"{id}"}}"#)),
        (Standard, "", format!(r#"{{"type":"opened","delivery":"{id}"}}"#)),
        (Twilio, "delivery=DLV", "MessageStatus=delivered&To=%2B336&MessageSid=SM1".to_owned()),
        (
            Arf,
            "",
            ARF.replace("ORIGINAL\r\n", "").replace(
                "Subject: Earn money\r\nDate: Thu, 8 Mar 2005 14",
                &format!("Message-ID: <{id}@shop.example>\r\nDate: Thu, 8 Mar 2005 14"),
            ),
        ),
    ];
    for (format, query, body) in cases {
        assert_eq!(one(format, &query.replace("DLV", &id.to_string()), &body).delivery, Some(id), "{body}");
    }
}

#[test]
fn the_first_opening_said_twice_and_a_report_delivered_again_have_one_id() {
    let brevo = |event: &str, at: u64| {
        one(Brevo, "", &format!(r#"{{"event":"{event}","email":"a@example.org","message-id":"<m@b>","ts_event":{at}}}"#)).id
    };
    assert_eq!(brevo("opened", 7), brevo("unique_opened", 7));
    assert_ne!(brevo("opened", 7), brevo("opened", 8));
    assert_ne!(brevo("opened", 7), brevo("click", 7));
    let twilio = |status: &str| one(Twilio, "", &format!("MessageStatus={status}&To=%2B336&MessageSid=SM1")).id;
    assert_eq!(twilio("delivered"), twilio("delivered"));
    assert_ne!(twilio("delivered"), twilio("read"));
}
