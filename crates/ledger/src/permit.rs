//! Permits: what the gate answered to somebody who asked, signed and short-lived, to keep as proof.
//!
//! A JSON Web Signature in compact form (RFC 7515) with EdDSA over Ed25519 (RFC 8037), by the key that signs the ledger's roots; any
//! JWT library that knows EdDSA checks it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jumelle_model::time::Timestamp;
use ring::signature::{ED25519, UnparsedPublicKey};
use serde_json::{Value, json};

use crate::merkle::{Hash, unhex};
use crate::root::SigningKey;

/// `typ` of its header: no other token of ours is taken for a permit.
const TYPE: &str = "jumelle-permit+jwt";
/// Bytes of a permit that are read.
const PERMIT_BYTES_MAX: usize = 8 * 1024;

/// Why a permit proves nothing.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PermitError {
    /// Three parts in base64url, the first two JSON.
    #[error("this is no permit: {0}")]
    Malformed(&'static str),
    /// Another key, or changed.
    #[error("the signature is not this key's: another key signed it, or it was changed")]
    Forged,
    /// Over.
    #[error("it was valid until {until}")]
    Expired {
        /// When it ended.
        until: Timestamp,
        /// What it said.
        claims: Value,
    },
}

pub(crate) fn issue(key: &SigningKey, claims: &Value) -> String {
    let public_key = key.public_key();
    let header = json!({"alg": "EdDSA", "typ": TYPE, "kid": public_key.get(..16)});
    let signed = format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
    let signature = encode(&key.sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

/// What a permit says, if this key (hexadecimal) signed it and it is not over at this instant.
pub fn verify(permit: &str, public_key: &str, now: Timestamp) -> Result<Value, PermitError> {
    let permit = permit.trim();
    let malformed = |what| PermitError::Malformed(what);
    if permit.len() > PERMIT_BYTES_MAX {
        return Err(malformed("it is too long"));
    }
    let (signed, signature) = permit.rsplit_once('.').ok_or(malformed("it has three parts with a full stop between them"))?;
    let (header, claims) = signed.split_once('.').ok_or(malformed("it has three parts with a full stop between them"))?;
    let json = |part: &str| decode(part).and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    let header = json(header).ok_or(malformed("its header is not JSON in base64url"))?;
    // The algorithm is ours to say, not the token's.
    if header["alg"] != "EdDSA" || header["typ"] != TYPE {
        return Err(malformed("its header is not that of a permit"));
    }
    let signature = decode(signature).ok_or(malformed("its signature is not base64url"))?;
    let key: Hash = unhex(public_key).ok_or(malformed("the public key has 64 hexadecimal digits"))?;
    UnparsedPublicKey::new(&ED25519, key).verify(signed.as_bytes(), &signature).map_err(|_| PermitError::Forged)?;
    let claims = json(claims).ok_or(malformed("its claims are not JSON in base64url"))?;
    let until = claims["exp"].as_i64().ok_or(malformed("it does not say until when it is valid"))?;
    let until = Timestamp(until.saturating_mul(1_000_000));
    if until <= now {
        return Err(PermitError::Expired { until, claims });
    }
    Ok(claims)
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use ring::rand::SystemRandom;
    use ring::signature::Ed25519KeyPair;

    use super::*;

    fn key() -> SigningKey {
        let der = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let text = base64::engine::general_purpose::STANDARD.encode(der.as_ref());
        let mut file = tempfile::NamedTempFile::new().unwrap();
        write!(file, "-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n").unwrap();
        SigningKey::read(file.path()).unwrap()
    }

    #[test]
    fn a_permit_is_its_keys_until_it_is_over_and_no_byte_of_it_can_be_changed() {
        let (key, other) = (key(), key());
        let permit = issue(&key, &json!({"exp": 1_000, "channel": "email"}));
        let at = |seconds: i64| Timestamp(seconds * 1_000_000);
        assert_eq!(verify(&permit, &key.public_key(), at(999)).unwrap()["channel"], "email");
        assert!(matches!(verify(&permit, &key.public_key(), at(1_000)), Err(PermitError::Expired { .. })));
        assert_eq!(verify(&permit, &other.public_key(), at(0)), Err(PermitError::Forged));
        for place in 0..permit.len() {
            let mut changed = permit.clone().into_bytes();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(verify(&changed, &key.public_key(), at(0)).is_err(), "byte {place}");
        }
        let none = format!("{}.{}.", encode(br#"{"alg":"none","typ":"jumelle-permit+jwt"}"#), encode(br#"{"exp":9}"#));
        assert!(matches!(verify(&none, &key.public_key(), at(0)), Err(PermitError::Malformed(_))));
    }
}
