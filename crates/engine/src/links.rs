//! Signed links: what a person may do without a token, sealed into the link itself. Nothing is stored per link.
//!
//! A token is version, key id and nonce in front of an AES-256-GCM box around the link. The nonce is a PRF of the content, so the
//! same link under the same key is the same text (a message that is sent again has the same bytes), and a nonce meets no other
//! content. The tag is compared in constant time by `ring`. The address is inside of the box: the URL shows nothing of it.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jumelle_model::consent::Channel;
use jumelle_model::time::Timestamp;
use parking_lot::RwLock;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The file with the keys, in the data directory, readable by its owner only.
pub const LINK_KEYS_FILE: &str = "links.json";
/// Keys kept at once: the newest seals, all of them open.
pub const LINK_KEYS_MAX: usize = 16;
/// Characters of a token that are looked at, at most.
pub const LINK_CHARS_MAX: usize = 2_048;
/// How long the links in messages live. An unsubscribe link must work for longer than anybody keeps a newsletter.
pub const LINK_DAYS: i64 = 400;
/// The longest that anybody may ask for.
pub const LINK_DAYS_MAX: i64 = 1_100;

const VERSION: u8 = 1;
const KEY_ID_BYTES: usize = 4;
const NONCE_BYTES: usize = 12;
const HEAD_BYTES: usize = 1 + KEY_ID_BYTES;
const FILE_VERSION: u32 = 1;

/// What a link lets its holder do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkScope {
    /// Refuse one purpose on one channel for one address, in one step.
    Unsubscribe,
    /// See and change choices; ask for rights, which then waits for an identity check.
    Preferences,
    /// As `Preferences`, and it is itself the identity check: short-lived, sent to the person when she asks.
    Rights,
}

/// What is sealed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Link {
    /// What it is for.
    pub scope: LinkScope,
    /// Whose: an identifier, normalised (namespace, value). Ids of profiles change when people turn out to be one.
    pub who: (String, String),
    /// For `Unsubscribe`: the purpose.
    pub purpose: Option<String>,
    /// For `Unsubscribe`: the channel; none: all of them.
    pub channel: Option<Channel>,
    /// It no longer counts from then on.
    pub expires: Timestamp,
}

/// Why a token opens nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LinkError {
    /// Not made here, cut short, changed, or of a key that is gone.
    #[error("this link is not one of ours, or was cut short")]
    Invalid,
    /// Its time has passed.
    #[error("this link has expired")]
    Expired,
}

/// Why the keys cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum LinkKeysError {
    /// The disk.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not one of ours. To go on without it would make every link in people's mail a dead one.
    #[error("{path} is damaged or of a newer version; restore it, or move it away and every link sent so far ends", path = path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    /// The newest first.
    keys: Vec<Line>,
}

#[derive(Serialize, Deserialize, Clone)]
#[serde(deny_unknown_fields)]
struct Line {
    created: Timestamp,
    secret: String,
}

struct Key {
    id: [u8; KEY_ID_BYTES],
    created: Timestamp,
    secret: [u8; 32],
    seal: LessSafeKey,
    nonce: hmac::Key,
}

/// The keys of a data directory.
pub struct Links {
    path: PathBuf,
    keys: RwLock<Vec<Key>>,
}

impl Key {
    fn new(created: Timestamp, secret: [u8; 32]) -> Option<Key> {
        let derive = |what: &str| Sha256::new().chain_update(secret).chain_update(what).finalize();
        let id = derive("id")[..KEY_ID_BYTES].try_into().ok()?;
        let seal = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &derive("seal")).ok()?);
        let nonce = hmac::Key::new(hmac::HMAC_SHA256, &derive("nonce"));
        Some(Key { id, created, secret, seal, nonce })
    }

    fn fresh(created: Timestamp) -> Option<Key> {
        let mut secret = [0; 32];
        SystemRandom::new().fill(&mut secret).ok()?;
        Key::new(created, secret)
    }

    fn head(&self) -> [u8; HEAD_BYTES] {
        let mut head = [VERSION; HEAD_BYTES];
        head[1..].copy_from_slice(&self.id);
        head
    }
}

impl Links {
    /// Reads the keys of a directory, or makes the first one.
    pub fn open(directory: &Path, now: Timestamp) -> Result<Links, LinkKeysError> {
        let path = directory.join(LINK_KEYS_FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(source) => return Err(LinkKeysError::Io { path, source }),
        };
        let damaged = || LinkKeysError::Damaged { path: path.clone() };
        let Some(text) = text else {
            let keys = RwLock::new(vec![Key::fresh(now).ok_or_else(damaged)?]);
            let links = Links { path, keys };
            links.keep(&links.keys.read())?;
            return Ok(links);
        };
        let file: File = serde_json::from_str(&text).map_err(|_| damaged())?;
        let read = |line: &Line| {
            let secret = URL_SAFE_NO_PAD.decode(&line.secret).ok()?;
            Key::new(line.created, secret.try_into().ok()?)
        };
        let keys: Option<Vec<Key>> = file.keys.iter().map(read).collect();
        match keys {
            Some(keys) if file.version == FILE_VERSION && !keys.is_empty() => Ok(Links { path, keys: RwLock::new(keys) }),
            _ => Err(damaged()),
        }
    }

    /// A new key seals from now on. `revoke`: the earlier ones are gone, and every link sent so far with them. Answers with how many
    /// keys open links now.
    pub fn rotate(&self, now: Timestamp, revoke: bool) -> Result<usize, LinkKeysError> {
        let mut keys = self.keys.write();
        let fresh = Key::fresh(now).ok_or_else(|| LinkKeysError::Damaged { path: self.path.clone() })?;
        let mut next = vec![fresh];
        if !revoke {
            let old = keys.iter().take(LINK_KEYS_MAX - 1);
            next.extend(old.filter_map(|key| Key::new(key.created, key.secret)));
        }
        // On disk before the first link is sealed with it.
        self.keep(&next)?;
        *keys = next;
        Ok(keys.len())
    }

    fn keep(&self, keys: &[Key]) -> Result<(), LinkKeysError> {
        let line = |key: &Key| Line { created: key.created, secret: URL_SAFE_NO_PAD.encode(key.secret) };
        let file = File { version: FILE_VERSION, keys: keys.iter().map(line).collect() };
        let fresh = self.path.with_extension("new");
        let written = || -> std::io::Result<()> {
            let mut options = std::fs::OpenOptions::new();
            options.write(true).create(true).truncate(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let mut out = options.open(&fresh)?;
            out.write_all(&serde_json::to_vec(&file)?)?;
            out.sync_all()?;
            std::fs::rename(&fresh, &self.path)?;
            std::fs::File::open(self.path.parent().unwrap_or(Path::new(".")))?.sync_all()
        };
        written().map_err(|source| LinkKeysError::Io { path: self.path.clone(), source })
    }

    /// The token of a link.
    pub fn seal(&self, link: &Link) -> String {
        let keys = self.keys.read();
        // There is one key at least, and every link can be written.
        let Some(key) = keys.first() else { return String::new() };
        let mut content = postcard::to_allocvec(link).unwrap_or_default();
        let tag = hmac::sign(&key.nonce, &content);
        let nonce: [u8; NONCE_BYTES] = tag.as_ref()[..NONCE_BYTES].try_into().unwrap_or_default();
        let head = key.head();
        if key.seal.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(head), &mut content).is_err() {
            return String::new();
        }
        URL_SAFE_NO_PAD.encode([&head[..], &nonce, &content].concat())
    }

    /// What a token holds at an instant.
    pub fn read(&self, token: &str, at: Timestamp) -> Result<Link, LinkError> {
        let token = Some(token).filter(|token| token.len() <= LINK_CHARS_MAX).ok_or(LinkError::Invalid)?;
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| LinkError::Invalid)?;
        let (head, rest) = bytes.split_at_checked(HEAD_BYTES).ok_or(LinkError::Invalid)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_BYTES).ok_or(LinkError::Invalid)?;
        let keys = self.keys.read();
        let key = keys.iter().find(|key| key.head() == head).ok_or(LinkError::Invalid)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| LinkError::Invalid)?;
        let mut sealed = sealed.to_vec();
        let content = key.seal.open_in_place(nonce, Aad::from(head), &mut sealed).map_err(|_| LinkError::Invalid)?;
        let link: Link = postcard::from_bytes(content).map_err(|_| LinkError::Invalid)?;
        if link.expires <= at { Err(LinkError::Expired) } else { Ok(link) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn link(value: &str, scope: LinkScope, expires: i64) -> Link {
        let who = ("email".to_owned(), value.to_owned());
        Link { scope, who, purpose: Some("marketing".into()), channel: Some(Channel::Email), expires: Timestamp(expires) }
    }

    fn links() -> (tempfile::TempDir, Links) {
        let room = tempfile::tempdir().unwrap();
        let links = Links::open(room.path(), Timestamp(0)).unwrap();
        (room, links)
    }

    #[test]
    fn keys_outlive_a_restart_and_a_rotation_but_not_a_revocation() {
        let (room, links) = links();
        let sealed = links.seal(&link("ana@example.org", LinkScope::Rights, 100));
        assert_eq!(sealed, links.seal(&link("ana@example.org", LinkScope::Rights, 100)), "the same link is the same text");
        let links = Links::open(room.path(), Timestamp(1)).unwrap();
        assert!(links.read(&sealed, Timestamp(1)).is_ok());
        for _ in 0..LINK_KEYS_MAX - 1 {
            links.rotate(Timestamp(2), false).unwrap();
        }
        assert!(links.read(&sealed, Timestamp(1)).is_ok());
        assert_ne!(sealed, links.seal(&link("ana@example.org", LinkScope::Rights, 100)));
        assert_eq!(links.rotate(Timestamp(2), false).unwrap(), LINK_KEYS_MAX);
        assert_eq!(links.read(&sealed, Timestamp(1)), Err(LinkError::Invalid), "the oldest key has gone");
        let sealed = links.seal(&link("ana@example.org", LinkScope::Rights, 100));
        assert_eq!(links.rotate(Timestamp(2), true).unwrap(), 1);
        assert_eq!(links.read(&sealed, Timestamp(1)), Err(LinkError::Invalid));
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_reads_the_keys() {
        use std::os::unix::fs::PermissionsExt as _;
        let (room, _links) = links();
        let mode = std::fs::metadata(room.path().join(LINK_KEYS_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_file_is_refused() {
        let (room, links) = links();
        drop(links);
        std::fs::write(room.path().join(LINK_KEYS_FILE), "{\"version\":1,\"keys\":[]}").unwrap();
        assert!(matches!(Links::open(room.path(), Timestamp(0)), Err(LinkKeysError::Damaged { .. })));
    }

    proptest! {
        #[test]
        fn a_link_reads_back_until_it_expires_and_shows_nothing(value in "[a-z]{4,20}@[a-z]{4,20}\\.org", expires in 1i64..1_000) {
            let (_room, links) = links();
            let made = link(&value, LinkScope::Unsubscribe, expires);
            let token = links.seal(&made);
            prop_assert_eq!(links.read(&token, Timestamp(expires - 1)), Ok(made));
            prop_assert_eq!(links.read(&token, Timestamp(expires)), Err(LinkError::Expired));
            let bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
            prop_assert!(!bytes.windows(4).any(|window| value.as_bytes().windows(4).any(|part| part == window)));
        }

        #[test]
        fn nothing_but_the_whole_token_opens(value in "[a-z]{1,20}", at in any::<prop::sample::Index>(), bit in 0u8..8, cut in 1usize..40) {
            let (_room, links) = links();
            let token = links.seal(&link(&value, LinkScope::Preferences, 100));
            let mut bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert_eq!(links.read(&URL_SAFE_NO_PAD.encode(&bytes), Timestamp(1)), Err(LinkError::Invalid));
            prop_assert_eq!(links.read(&token[..token.len() - cut.min(token.len())], Timestamp(1)), Err(LinkError::Invalid));
            let (_other, others) = self::links();
            prop_assert_eq!(others.read(&token, Timestamp(1)), Err(LinkError::Invalid));
        }

        #[test]
        fn any_text_is_refused_and_nothing_panics(text in ".{0,300}") {
            let (_room, links) = links();
            prop_assert_eq!(links.read(&text, Timestamp(1)), Err(LinkError::Invalid));
        }
    }
}
