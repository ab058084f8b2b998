//! What a webhook puts on the wire, and what it makes of an answer.

mod support;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jumelle_activate::{Outcome, Webhook};
use jumelle_model::ids::ProfileId;
use jumelle_model::workspace::{Destination, Secret};
use sha2::{Digest, Sha256};
use support::*;

/// HMAC-SHA256 as RFC 2104 writes it, without the library that signs.
fn hmac_sha256(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut block = [0u8; 64];
    block[..key.len()].copy_from_slice(key);
    let inner = Sha256::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(block.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize().to_vec()
}

#[tokio::test]
async fn a_request_is_signed_and_carries_the_contract() {
    let receiver = Receiver::start(|_| status(204)).await;
    let key = b"twenty-four bytes, or so";
    let secret = Some(Secret::Plain(format!("whsec_{}", STANDARD.encode(key))));
    let webhook = Webhook::new(&Destination { secret, ..destination("tool", &receiver.url) }).unwrap();
    let outcome = webhook.send(cleared(message(id(7), ProfileId(3)))).await;
    assert_eq!(outcome, Outcome::Sent { status: 204 });

    let request = receiver.requests().remove(0);
    assert_eq!(request.line, "POST /hook HTTP/1.1");
    let header = |name: &str| request.headers[name].as_str();
    assert_eq!(header("webhook-id"), id(7).to_string());
    assert_eq!(header("content-type"), "application/json");
    assert_eq!(header("user-agent"), concat!("jumelle/", env!("CARGO_PKG_VERSION")));
    let timestamp_s: u64 = header("webhook-timestamp").parse().unwrap();
    let now_s = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert!(now_s.abs_diff(timestamp_s) <= 5);

    let mut signed = format!("{}.{timestamp_s}.", id(7)).into_bytes();
    signed.extend_from_slice(&request.body);
    assert_eq!(header("webhook-signature"), format!("v1,{}", STANDARD.encode(hmac_sha256(key, &signed))));

    let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(body["id"], id(7).to_string());
    assert_eq!(body["type"], "segment.entered");
    assert_eq!(body["data"], serde_json::json!({"size": 42}));
    assert_eq!(body["consent"]["basis"], "contract");
}

#[tokio::test]
async fn an_answer_is_the_destinations_the_messages_or_the_operators_matter() {
    for (code, kind) in [
        (200, "sent"),
        (202, "sent"),
        (302, "misconfigured"),
        (400, "refused"),
        (401, "misconfigured"),
        (403, "misconfigured"),
        (404, "refused"),
        (408, "retry"),
        (410, "misconfigured"),
        (422, "refused"),
        (425, "retry"),
        (429, "retry"),
        (500, "retry"),
        (503, "retry"),
        (599, "retry"),
    ] {
        let receiver = Receiver::start(move |_| status(code)).await;
        let webhook = Webhook::new(&destination("tool", &receiver.url)).unwrap();
        let found = match webhook.send(cleared(message(id(1), ProfileId(1)))).await {
            Outcome::Sent { .. } => "sent",
            Outcome::Retry { .. } => "retry",
            Outcome::Refused { .. } => "refused",
            Outcome::Misconfigured { .. } => "misconfigured",
            Outcome::Withheld => "withheld",
        };
        assert_eq!(found, kind, "{code}");
    }
}

#[tokio::test]
async fn a_name_that_leads_to_a_private_address_is_not_connected_to() {
    let receiver = Receiver::start(|_| status(200)).await;
    let named = receiver.url.replace("127.0.0.1", "localhost");
    let outside = Destination { allow_private: false, ..destination("tool", &named) };
    let outcome = Webhook::new(&outside).unwrap().send(cleared(message(id(1), ProfileId(1)))).await;
    assert!(matches!(&outcome, Outcome::Retry { reason, .. } if reason.contains("allow_private")), "{outcome:?}");
    assert_eq!(receiver.count(), 0);
}

#[tokio::test]
async fn a_destination_that_never_answers_is_given_fifteen_seconds() {
    let receiver = Receiver::start(|_| status(200).after(Duration::from_secs(3_600))).await;
    let webhook = Webhook::new(&destination("tool", &receiver.url)).unwrap();
    let sending = tokio::spawn(async move { webhook.send(cleared(message(id(1), ProfileId(1)))).await });
    until("the request is there", || receiver.count() == 1).await;
    jump(Duration::from_secs(14)).await;
    a_moment().await;
    assert!(!sending.is_finished());
    jump(Duration::from_secs(1)).await;
    let outcome = sending.await.unwrap();
    assert!(matches!(&outcome, Outcome::Retry { reason, .. } if reason.starts_with("timed out")), "{outcome:?}");
}

#[test]
fn a_destination_that_cannot_work_says_what_would() {
    for (url, secret, said) in [
        ("ftp://example.org/", None, "begins with https://"),
        ("not an address", None, "begins with https://"),
        ("https://example.org/", Some(Secret::Plain("short".into())), "5 bytes; it needs 16"),
        ("https://example.org/", Some(Secret::Plain("whsec_?".into())), "not base64"),
        ("https://example.org/", Some(Secret::Env("JUMELLE_TEST_NEVER_SET".into())), "JUMELLE_TEST_NEVER_SET is not set"),
    ] {
        let error = Webhook::new(&Destination { secret, ..destination("tool", url) }).err().unwrap().to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[tokio::test]
async fn the_last_look_is_made_with_the_connection_there_and_leaves_no_byte() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let webhook = Webhook::new(&destination("tool", &url)).unwrap();
    let sending = tokio::spawn(async move { webhook.send_if(cleared(message(id(1), ProfileId(1))), |_| false).await });
    let (mut connection, _) = listener.accept().await.unwrap();
    let mut read = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut connection, &mut read).await.unwrap();
    assert_eq!(read, b"", "not even a head");
    assert_eq!(sending.await.unwrap(), Outcome::Withheld);
}
