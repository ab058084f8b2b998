//! Secrets of destinations, read at the moment of use: from the environment, or sealed in the definitions and opened with a key
//! that is not beside them.
//!
//! A sealed secret is AES-256-GCM over the text, with the destination's key as associated data, so that it opens at its own
//! destination and at no other: `jumelle1.` and, in base64 (URL alphabet, no padding), 4 bytes that name the key, 12 of nonce, then
//! the ciphertext with its tag of 16.

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jumelle_model::Workspace;
use jumelle_model::workspace::{SEALED_PREFIX, Secret};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Bytes of a key.
const KEY_BYTES: usize = 32;
/// Bytes that name a key: the first of its SHA-256.
const NAME_BYTES: usize = 4;

/// Keys that open secrets; the first one seals. Never written anywhere.
pub struct Keys(Vec<([u8; NAME_BYTES], LessSafeKey)>);

/// The process's keys, as its environment variables are the process's.
static KEYS: OnceLock<Keys> = OnceLock::new();

/// Gives the process its keys, once, before anything reads a secret. `false`: it has some already.
pub fn hold(keys: Keys) -> bool {
    KEYS.set(keys).is_ok()
}

/// The process's keys.
pub fn held() -> Option<&'static Keys> {
    KEYS.get()
}

/// The secret that a setting names: `{"env": "NAME"}` or `{"sealed": "…"}`. `None`: it is a plain value.
pub fn of_setting(value: &Value) -> Option<Secret> {
    match (&value["env"], &value["sealed"]) {
        (Value::String(variable), _) => Some(Secret::Env(variable.clone())),
        (_, Value::String(sealed)) => Some(Secret::Sealed(sealed.clone())),
        _ => None,
    }
}

/// Reads a destination's secret at the moment of use.
pub fn read(secret: &Secret, destination: &str) -> Result<String, String> {
    match secret {
        Secret::Plain(text) => Ok(text.clone()),
        Secret::Env(name) => std::env::var(name)
            .map_err(|_| format!("the environment variable {name} is not set; the destination's secret is read from it")),
        Secret::Sealed(sealed) => match held() {
            Some(keys) => keys.open(destination, sealed),
            None => Err("the secret is sealed, and the server has no key for secrets (secrets_key)".into()),
        },
    }
}

/// Seals what definitions hold as plain text, and anew what an older key has sealed. What `before` has sealed of the same text
/// stays as it is, so that the same definitions are no change. Answers with the destinations whose secret stays plain: all of them
/// where there is no key.
pub fn seal_all(keys: Option<&Keys>, workspace: &mut Workspace, before: &Workspace) -> Vec<String> {
    let known: Vec<(String, Secret)> =
        before.clone().secrets_mut().into_iter().map(|(destination, secret)| (destination, secret.clone())).collect();
    let mut plain = Vec::new();
    for (destination, secret) in workspace.secrets_mut() {
        let Some(keys) = keys else {
            if matches!(secret, Secret::Plain(_)) {
                plain.push(destination);
            }
            continue;
        };
        let text = match &*secret {
            Secret::Env(_) => continue,
            Secret::Plain(text) => text.clone(),
            Secret::Sealed(sealed) if keys.seals_as(sealed) => continue,
            // What cannot be opened is said when it is used; it is not lost here.
            Secret::Sealed(sealed) => match keys.open(&destination, sealed) {
                Ok(text) => text,
                Err(_) => continue,
            },
        };
        let same = known.iter().find_map(|(other, secret)| match secret {
            Secret::Sealed(sealed) if *other == destination && keys.seals_as(sealed) => {
                (keys.open(&destination, sealed).as_deref() == Ok(text.as_str())).then(|| sealed.clone())
            }
            _ => None,
        });
        *secret = Secret::Sealed(same.unwrap_or_else(|| keys.seal(&destination, &text)));
    }
    plain.dedup();
    plain
}

impl Keys {
    /// A new one, as [`Keys::parse`] reads it.
    pub fn generate() -> Result<String, String> {
        let mut key = [0; KEY_BYTES];
        SystemRandom::new().fill(&mut key).map_err(|_| "the system gives no random bytes".to_owned())?;
        Ok(STANDARD.encode(key))
    }

    /// Keys in base64, one a line (or separated by spaces): the first one seals, all of them open.
    pub fn parse(text: &str) -> Result<Keys, String> {
        let mut keys = Vec::new();
        for (n, word) in text.split_whitespace().enumerate() {
            let bytes = STANDARD.decode(word).ok().filter(|bytes| bytes.len() == KEY_BYTES);
            let key = bytes.as_deref().and_then(|bytes| UnboundKey::new(&AES_256_GCM, bytes).ok());
            let (Some(bytes), Some(key)) = (&bytes, key) else {
                return Err(format!("key {} is not {KEY_BYTES} bytes in base64; `jumelle secret key` makes one", n + 1));
            };
            let mut name = [0; NAME_BYTES];
            name.copy_from_slice(&Sha256::digest(bytes)[..NAME_BYTES]);
            keys.push((name, LessSafeKey::new(key)));
        }
        if keys.is_empty() {
            return Err("there is no key; `jumelle secret key` makes one".into());
        }
        Ok(Keys(keys))
    }

    /// Seals a text for a destination, each time into other bytes.
    pub fn seal(&self, destination: &str, text: &str) -> String {
        let (name, key) = &self.0[0];
        let mut nonce = [0; NONCE_LEN];
        let mut sealed = text.as_bytes().to_vec();
        let done = SystemRandom::new().fill(&mut nonce).and_then(|()| {
            key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(destination), &mut sealed)
        });
        // Neither fails where the process could have started: TLS needs the same.
        assert!(done.is_ok(), "no random bytes, or a text of gigabytes");
        format!("{SEALED_PREFIX}{}", URL_SAFE_NO_PAD.encode([&name[..], &nonce[..], &sealed[..]].concat()))
    }

    /// Whether the key that seals has sealed this.
    pub fn seals_as(&self, sealed: &str) -> bool {
        parts(sealed).is_some_and(|(name, ..)| name == self.0[0].0)
    }

    /// Opens what was sealed for this destination.
    pub fn open(&self, destination: &str, sealed: &str) -> Result<String, String> {
        let (name, nonce, mut bytes) = parts(sealed).ok_or("this is no sealed secret")?;
        let Some((_, key)) = self.0.iter().find(|(other, _)| *other == name) else {
            return Err("the secret is sealed with a key that the server does not have".into());
        };
        let opened = key.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(destination), &mut bytes);
        let text = opened.map_err(|_| format!("the secret was not sealed for {destination}, or has been changed"))?;
        String::from_utf8(text.to_vec()).map_err(|_| "the sealed secret is no text".into())
    }
}

/// Name of the key, nonce, ciphertext with its tag.
fn parts(sealed: &str) -> Option<([u8; NAME_BYTES], [u8; NONCE_LEN], Vec<u8>)> {
    let bytes = URL_SAFE_NO_PAD.decode(sealed.strip_prefix(SEALED_PREFIX)?).ok()?;
    let (name, rest) = bytes.split_first_chunk()?;
    let (nonce, rest) = rest.split_first_chunk()?;
    Some((*name, *nonce, rest.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys(count: usize) -> (Vec<String>, Keys) {
        let texts: Vec<String> = (0..count).map(|_| Keys::generate().unwrap()).collect();
        let keys = Keys::parse(&texts.join("\n")).unwrap();
        (texts, keys)
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_at_its_own_destination_only(text in ".{0,80}", place in "[a-z_]{1,12}", other in "[a-z_]{1,12}") {
            let (_, keys) = keys(1);
            let sealed = keys.seal(&place, &text);
            prop_assert!(text.is_empty() || text.len() < 4 || !sealed.contains(&text));
            prop_assert_ne!(&sealed, &keys.seal(&place, &text));
            prop_assert_eq!(keys.open(&place, &sealed), Ok(text));
            prop_assert_eq!(keys.open(&other, &sealed).is_ok(), other == place);
        }

        #[test]
        fn a_changed_character_does_not_open(at in 0usize..60, with in "[A-Za-z0-9_-]") {
            let (_, keys) = keys(1);
            let sealed = keys.seal("crm", "a secret of some length, more or less");
            let mut changed = sealed.clone();
            let at = SEALED_PREFIX.len() + at;
            changed.replace_range(at..=at, &with);
            prop_assert_eq!(keys.open("crm", &changed).is_ok(), changed == sealed);
        }

        #[test]
        fn no_text_breaks_the_opening(text in "\\PC{0,60}") {
            let (_, keys) = keys(1);
            prop_assert!(keys.open("crm", &text).is_err());
            let prefixed = [SEALED_PREFIX, &text].concat();
            prop_assert!(keys.open("crm", &prefixed).is_err());
        }
    }

    const BEFORE: &str = "destinations: {crm: {connector: webhook, url: https://crm.example/, secret: 'sixteen bytes or more'}}";

    #[test]
    fn the_same_definitions_are_sealed_once() {
        let (texts, old) = keys(1);
        let plain = Workspace::parse(BEFORE).unwrap();
        let mut first = plain.clone();
        assert!(seal_all(Some(&old), &mut first, &Workspace::empty()).is_empty());
        assert_ne!(plain, first);
        let mut again = plain.clone();
        seal_all(Some(&old), &mut again, &first);
        assert_eq!(first, again, "the same text stays sealed as it was");

        // A new key before the old one: what comes by is sealed anew.
        let newer = Keys::parse(&format!("{} {}", Keys::generate().unwrap(), texts[0])).unwrap();
        let mut rotated = first.clone();
        seal_all(Some(&newer), &mut rotated, &first);
        assert_ne!(first, rotated);
        let secret = rotated.destinations[0].secret.clone().unwrap();
        assert!(matches!(&secret, Secret::Sealed(sealed) if newer.seals_as(sealed) && old.open("crm", sealed).is_err()));
    }

    #[test]
    fn without_a_key_it_is_said_whose_secret_stays_plain() {
        let mut workspace = Workspace::parse(BEFORE).unwrap();
        assert_eq!(seal_all(None, &mut workspace, &Workspace::empty()), ["crm"]);
        assert_eq!(workspace, Workspace::parse(BEFORE).unwrap());
    }

    #[test]
    fn keys_that_are_none_say_so() {
        for (text, said) in [("", "there is no key"), ("short", "key 1 is not 32 bytes"), ("a b", "key 1 is not 32 bytes")] {
            assert!(Keys::parse(text).err().is_some_and(|error| error.starts_with(said)), "{text:?}");
        }
    }
}
