//! What proves that a report comes from the tool. Each provider signs in its own way; a report that does not fit says no more than that.
//!
//! Formats without a time in what is signed (Twilio, Mandrill, a shared secret) can be replayed by whoever saw a call; a replay is
//! recognised by its id and counts nothing.

use axum::http::{HeaderMap, StatusCode, Uri, header};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use jumelle_activate::resolve_secret;
use jumelle_collect::inbound::form;
use jumelle_model::time::Timestamp;
use jumelle_model::workspace::take_back::{Inbound, InboundFormat};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::Problem;

/// A signed message is as old as this, at most (Standard Webhooks: the receiver's choice; its libraries take five minutes).
const AGE_S_MAX: i64 = 300;
/// The same for providers that try again for a day and do not say whether they sign anew: as long as ids are remembered.
const AGE_OF_RETRIES_S_MAX: i64 = 86_400;
/// What stands before the 65 bytes of a P-256 key in its DER form (RFC 5480).
const P256_HEAD: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03,
    0x01, 0x07, 0x03, 0x42, 0x00,
];

pub(super) fn refused() -> Problem {
    metrics::counter!("jumelle_unauthorized_total", "what" => "inbound").increment(1);
    Problem::unauthorized("this is no tool that may report here, or its signature does not fit; see inbound of its destination")
}

pub(super) fn prove(destination: &str, inbound: &Inbound, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Result<(), Problem> {
    let secret = resolve_secret(&inbound.secret, destination)
        .map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the secret cannot be read", error.to_string()))?;
    if fits(inbound.format, &secret, uri, headers, body) { Ok(()) } else { Err(refused()) }
}

fn fits(format: InboundFormat, secret: &[u8], uri: &Uri, headers: &HeaderMap, body: &[u8]) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match format {
        InboundFormat::Standard => {
            let (id, at) = (text("webhook-id"), text("webhook-timestamp"));
            let signed = [format!("{id}.{at}.").as_bytes(), body].concat();
            let mut signatures = text("webhook-signature").split(' ').filter_map(|one| one.strip_prefix("v1,"));
            let decoded = |one: &str| STANDARD.decode(one).unwrap_or_default();
            is_fresh(at, AGE_S_MAX) && !id.is_empty() && signatures.any(|one| hmac_sha256_fits(secret, &signed, &decoded(one)))
        }
        InboundFormat::Brevo | InboundFormat::Mailjet | InboundFormat::Arf => shared_secret_fits(headers, secret),
        InboundFormat::SendGrid => {
            let at = text("x-twilio-email-event-webhook-timestamp");
            let signed = [at.as_bytes(), body].concat();
            is_fresh(at, AGE_OF_RETRIES_S_MAX)
                && ecdsa_fits(secret, &signed, text("x-twilio-email-event-webhook-signature")).unwrap_or(false)
        }
        InboundFormat::Mandrill => form_fits(secret, uri, headers, body, text("x-mandrill-signature")),
        InboundFormat::Twilio => form_fits(secret, uri, headers, body, text("x-twilio-signature")),
        InboundFormat::CustomerIo => {
            let at = text("x-cio-timestamp");
            let signed = [format!("v0:{at}:").as_bytes(), body].concat();
            let signature = unhex(text("x-cio-signature")).unwrap_or_default();
            is_fresh(at, AGE_OF_RETRIES_S_MAX) && hmac_sha256_fits(secret, &signed, &signature)
        }
        InboundFormat::Vonage => jwt_fits(secret, text(header::AUTHORIZATION.as_str()), body).unwrap_or(false),
        InboundFormat::Aircall => {
            #[derive(Deserialize)]
            struct Call {
                token: String,
            }
            serde_json::from_slice::<Call>(body).is_ok_and(|call| is_same(call.token.as_bytes(), secret))
        }
    }
}

/// `at`: seconds since 1970.
fn is_fresh(at: &str, age_s_max: i64) -> bool {
    let now_s = Timestamp::now().0 / 1_000_000;
    at.parse::<i64>().is_ok_and(|at| (now_s.saturating_sub(at)).abs() <= age_s_max)
}

/// Compared as hashes, so that time tells nothing.
fn is_same(given: &[u8], secret: &[u8]) -> bool {
    !secret.is_empty() && Sha256::digest(given) == Sha256::digest(secret)
}

fn hmac_sha256_fits(secret: &[u8], signed: &[u8], signature: &[u8]) -> bool {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else { return false };
    mac.update(signed);
    mac.verify_slice(signature).is_ok()
}

fn hmac_sha1_fits(secret: &[u8], signed: &[u8], signature: &str) -> bool {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    STANDARD.decode(signature).is_ok_and(|signature| ring::hmac::verify(&key, signed, &signature).is_ok())
}

/// Twilio and Mandrill sign the address that they call and the sorted fields of the form.
fn form_fits(secret: &[u8], uri: &Uri, headers: &HeaderMap, body: &[u8], signature: &str) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let path = uri.path_and_query().map_or("", |path| path.as_str());
    let mut fields = form(body);
    fields.sort();
    let fields: String = fields.into_iter().flat_map(|(name, value)| [name, value]).collect();
    // Whatever a caller says of host and scheme: without the secret no signature fits.
    let (host, forwarded) = (text(header::HOST.as_str()), text("x-forwarded-proto"));
    let schemes: &[&str] = if forwarded.is_empty() { &["https", "http"] } else { &[forwarded] };
    schemes.iter().any(|scheme| hmac_sha1_fits(secret, format!("{scheme}://{host}{path}{fields}").as_bytes(), signature))
}

/// ECDSA over P-256 and SHA-256; the key is the base64 of its DER form, the signature the base64 of its own.
fn ecdsa_fits(key: &[u8], signed: &[u8], signature: &str) -> Option<bool> {
    let text: Vec<u8> = key.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let key = STANDARD.decode(text).ok()?;
    let point = key.strip_prefix(&P256_HEAD)?;
    let signature = STANDARD.decode(signature).ok()?;
    let key = ring::signature::UnparsedPublicKey::new(&ring::signature::ECDSA_P256_SHA256_ASN1, point);
    Some(key.verify(signed, &signature).is_ok())
}

/// A JWT (HS256) that was made for this very body. `None`: it is none.
fn jwt_fits(secret: &[u8], authorization: &str, body: &[u8]) -> Option<bool> {
    #[derive(Deserialize)]
    struct Head {
        alg: String,
    }
    #[derive(Deserialize)]
    struct Claims {
        iat: i64,
        payload_hash: String,
    }
    let (scheme, token) = authorization.split_once(' ')?;
    let (signed, signature) = token.trim().rsplit_once('.')?;
    let (head, claims) = signed.split_once('.')?;
    let head: Head = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(head).ok()?).ok()?;
    let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    let body_hash = Sha256::digest(body);
    Some(
        scheme.eq_ignore_ascii_case("bearer")
            && head.alg == "HS256"
            && hmac_sha256_fits(secret, signed.as_bytes(), &signature)
            && is_fresh(&claims.iat.to_string(), AGE_OF_RETRIES_S_MAX)
            && unhex(&claims.payload_hash)? == body_hash.as_slice(),
    )
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.len().is_multiple_of(2).then(|| digits.chunks(2).map(byte).collect())?
}

/// As a bearer token, or as the password of Basic authentication.
fn shared_secret_fits(headers: &HeaderMap, secret: &[u8]) -> bool {
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let given = match authorization.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim().as_bytes().to_vec(),
        Some((scheme, encoded)) if scheme.eq_ignore_ascii_case("basic") => {
            let decoded = STANDARD.decode(encoded.trim()).unwrap_or_default();
            let colon = decoded.iter().position(|byte| *byte == b':').map_or(decoded.len(), |at| at + 1);
            decoded[colon..].to_vec()
        }
        _ => return false,
    };
    is_same(&given, secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_secret_is_a_bearer_token_or_a_password() {
        let with = |value: &str| HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]);
        assert!(shared_secret_fits(&with("Bearer a-long-enough-secret"), b"a-long-enough-secret"));
        assert!(shared_secret_fits(
            &with(&format!("Basic {}", STANDARD.encode("x:a-long-enough-secret"))),
            b"a-long-enough-secret"
        ));
        for wrong in ["Bearer a-long-enough-secreT", "Bearer", "Basic !", "a-long-enough-secret"] {
            assert!(!shared_secret_fits(&with(wrong), b"a-long-enough-secret"), "{wrong}");
        }
        assert!(!shared_secret_fits(&HeaderMap::new(), b""));
    }

    /// The vector of SendGrid's own library (sendgrid-nodejs, packages/eventwebhook, MIT).
    const SENDGRID: (&str, &str, &str, &str) = (
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g==",
        "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM=",
        "1600112502",
        "[{\"email\":\"hello@world.com\",\"event\":\"dropped\",\"reason\":\"Bounced Address\",\"sg_event_id\":\"ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA\",\"sg_message_id\":\"LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0\",\"smtp-id\":\"<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>\",\"timestamp\":1600112492}]\r\n",
    );

    #[test]
    fn sendgrid_signs_the_time_and_the_body_with_its_key() {
        let (key, signature, at, body) = SENDGRID;
        let fits = |key: &str, at: &str, body: &str| ecdsa_fits(key.as_bytes(), format!("{at}{body}").as_bytes(), signature);
        assert_eq!(fits(key, at, body), Some(true));
        assert_eq!(fits(key, "1600112503", body), Some(false));
        assert_eq!(fits(key, at, body.trim_end()), Some(false));
        assert_eq!(fits("a-long-enough-secret", at, body), None);
        assert!(!is_fresh(at, AGE_OF_RETRIES_S_MAX), "of the year 2020");
    }

    #[test]
    fn a_jwt_is_for_this_body_and_signed_with_hs256() {
        let secret = b"a-signature-secret-of-vonage-0001";
        let token = |alg: &str, iat: i64, body: &[u8], key: &[u8]| {
            let hash: String = Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
            let part = |json: String| URL_SAFE_NO_PAD.encode(json);
            let signed = format!(
                "{}.{}",
                part(format!(r#"{{"alg":"{alg}","typ":"JWT"}}"#)),
                part(format!(r#"{{"iat":{iat},"payload_hash":"{hash}"}}"#))
            );
            let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
            mac.update(signed.as_bytes());
            format!("Bearer {signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
        };
        let now = Timestamp::now().0 / 1_000_000;
        assert_eq!(jwt_fits(secret, &token("HS256", now, b"{}", secret), b"{}"), Some(true));
        for wrong in [
            token("HS256", now, b"{ }", secret),
            token("HS256", now, b"{}", b"another-secret"),
            token("none", now, b"{}", secret),
            token("HS256", now - 2 * AGE_OF_RETRIES_S_MAX, b"{}", secret),
        ] {
            assert_eq!(jwt_fits(secret, &wrong, b"{}"), Some(false), "{wrong}");
        }
        for none in ["", "Bearer", "Bearer a.b", "Bearer a.b.c"] {
            assert_eq!(jwt_fits(secret, none, b"{}"), None, "{none}");
        }
    }

    #[test]
    fn hexadecimal_is_read_and_nothing_else() {
        assert_eq!(unhex("00fF"), Some(vec![0, 255]));
        assert_eq!((unhex("0"), unhex("0g"), unhex("é0")), (None, None, None));
    }
}
