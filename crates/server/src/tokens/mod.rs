//! Tokens: who calls, with which role, until when.
//!
//! They are no facts about people, so they are not in the history: one small file beside it (`tokens.json`, mode 0600) is replaced
//! whole, synced, at each change (docs/decisions/0009). Only hashes are kept; what a token is, is shown once.

pub(crate) mod api;

use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jumelle_model::time::Timestamp;
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use crate::auth::{AdminToken, token_hash};
use crate::roles::Role;

/// Tokens at once.
pub const TOKENS_MAX: usize = 1_000;
/// Characters of a name.
const NAME_CHARS_MAX: usize = 100;
/// The first administrator's token, which `serve` was given or has made.
pub(crate) const FIRST: &str = "first";
const FILE: &str = "tokens.json";
const FILE_VERSION: u32 = 1;
const DAY_US: i64 = 86_400 * 1_000_000;

/// Why tokens could not be read, kept or changed.
#[derive(thiserror::Error, Debug)]
pub enum TokenError {
    /// The disk.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not one of ours. To go on without it would bring revoked tokens back.
    #[error("{path} is damaged or of a newer version ({detail}); restore it, or move it away and make the tokens anew", path = path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What was wrong.
        detail: String,
    },
    /// What was asked for is not possible.
    #[error("{0}")]
    Refused(String),
    /// No token has this id.
    #[error("there is no token {0:?}")]
    Unknown(String),
}

/// Who makes a request.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Id of the token.
    pub id: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// What it is for.
    pub role: Role,
    /// Until when, if it ends.
    pub expires: Option<Timestamp>,
}

struct Token {
    identity: Identity,
    hash: [u8; 32],
    created: Option<Timestamp>,
    /// Days since 1970 of the last use; 0: never.
    used_day: AtomicI64,
}

impl Token {
    fn stands(&self, now: Timestamp) -> bool {
        self.identity.expires.is_none_or(|expires| now < expires)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: String,
    name: String,
    role: Role,
    sha256: String,
    created: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<Timestamp>,
    /// Days since 1970; 0: never.
    used_day: i64,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    /// Hash of a first token that was revoked: the history still knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first_revoked: Option<String>,
    tokens: Vec<Line>,
    /// SHA-256 of all of the above: a bit that flips on the disk must not prolong a token.
    sum: String,
}

impl File {
    fn sum(&self) -> String {
        // Every part can be written as JSON.
        let content = serde_json::to_vec(&(self.version, &self.first_revoked, &self.tokens)).unwrap_or_default();
        hex(&<[u8; 32]>::from(Sha256::digest(content)))
    }

    /// The file of a directory; none is there before the first token is made.
    fn read(path: &Path) -> Result<Option<File>, TokenError> {
        let damaged = |detail: String| TokenError::Damaged { path: path.to_owned(), detail };
        let file = match std::fs::read(path) {
            Ok(bytes) => serde_json::from_slice::<File>(&bytes).map_err(|error| damaged(error.to_string()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(TokenError::Io { path: path.to_owned(), source }),
        };
        if file.version != FILE_VERSION {
            return Err(damaged(format!("version {}", file.version)));
        }
        if file.sum != file.sum() {
            return Err(damaged("its sum does not match".into()));
        }
        Ok(Some(file))
    }
}

/// Whether the tokens of a data directory can be read; `Ok` as well if there are none.
pub fn check_tokens(directory: &Path) -> Result<(), TokenError> {
    File::read(&directory.join(FILE)).map(|_| ())
}

#[derive(Default)]
struct Held {
    tokens: Vec<Arc<Token>>,
    by_hash: HashMap<[u8; 32], Arc<Token>>,
    first_revoked: Option<[u8; 32]>,
}

impl Held {
    fn by_id(&self, id: &str) -> Option<&Arc<Token>> {
        self.tokens.iter().find(|token| &*token.identity.id == id)
    }

    fn add(&mut self, token: Token) {
        let token = Arc::new(token);
        self.by_hash.insert(token.hash, token.clone());
        self.tokens.push(token);
    }

    fn remove(&mut self, id: &str) -> Option<Arc<Token>> {
        let place = self.tokens.iter().position(|token| &*token.identity.id == id)?;
        let token = self.tokens.remove(place);
        self.by_hash.remove(&token.hash);
        Some(token)
    }
}

/// All tokens of this server.
pub(crate) struct Tokens {
    held: RwLock<Held>,
    /// Held while the file is written, so that an older state never replaces a newer one.
    path: Mutex<Option<PathBuf>>,
    changed: watch::Sender<()>,
    first_is_chosen: bool,
}

/// What a caller wants a token to be.
pub(crate) struct Wanted {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) expires: Option<Timestamp>,
}

impl Tokens {
    /// The first token alone, kept nowhere.
    pub(crate) fn new(first: AdminToken) -> Tokens {
        let mut held = Held::default();
        let identity = Identity { id: FIRST.into(), name: "first administrator".into(), role: Role::Admin, expires: None };
        held.add(Token { identity, hash: first.hash(), created: None, used_day: AtomicI64::new(0) });
        Tokens {
            held: RwLock::new(held),
            path: Mutex::new(None),
            changed: watch::Sender::new(()),
            first_is_chosen: first.is_chosen(),
        }
    }

    /// Reads the tokens of a directory and keeps them there from now on.
    pub(crate) fn keep_in(&self, directory: &Path) -> Result<(), TokenError> {
        let path = directory.join(FILE);
        let damaged = |detail: String| TokenError::Damaged { path: path.clone(), detail };
        let file = File::read(&path)?.unwrap_or_default();
        let mut held = self.held.write();
        for line in file.tokens {
            let hash = from_hex(&line.sha256).ok_or_else(|| damaged(format!("the hash of {}", line.id)))?;
            let identity = Identity { id: line.id.into(), name: line.name.into(), role: line.role, expires: line.expires };
            held.add(Token { identity, hash, created: Some(line.created), used_day: AtomicI64::new(line.used_day) });
        }
        if let Some(revoked) = file.first_revoked {
            let revoked = from_hex(&revoked).ok_or_else(|| damaged("first_revoked".into()))?;
            held.first_revoked = Some(revoked);
            // One that the operator gives again by name is wanted again.
            let is_first = held.by_id(FIRST).is_some_and(|first| first.hash == revoked);
            if is_first && !self.first_is_chosen {
                held.remove(FIRST);
            }
        }
        drop(held);
        *self.path.lock() = Some(path);
        Ok(())
    }

    /// Who a token is, if it stands. Notes the day of its use.
    pub(crate) fn identify(self: &Arc<Tokens>, token: &str, now: Timestamp) -> Option<Identity> {
        // Found by its hash: how long that takes says nothing of the token.
        let token = self.held.read().by_hash.get(&token_hash(token)).cloned()?;
        self.used(&token, now)
    }

    /// Who a session's token is, with the hash that signs its cookies.
    pub(crate) fn by_id(self: &Arc<Tokens>, id: &str, now: Timestamp) -> Option<(Identity, [u8; 32])> {
        let token = self.held.read().by_id(id).cloned()?;
        Some((self.used(&token, now)?, token.hash))
    }

    fn used(self: &Arc<Tokens>, token: &Token, now: Timestamp) -> Option<Identity> {
        if !token.stands(now) {
            return None;
        }
        let day = now.0 / DAY_US;
        if token.used_day.load(Ordering::Relaxed) != day && token.used_day.swap(day, Ordering::Relaxed) != day {
            // Once a day and token; the request does not wait for it, and a failure loses a date only.
            let tokens = self.clone();
            tokio::task::spawn_blocking(move || {
                if let Err(error) = tokens.save() {
                    tracing::warn!(%error, "the day of a token's last use could not be kept");
                }
            });
        }
        Some(token.identity.clone())
    }

    /// Whether somebody chose it, so that it could be guessed.
    pub(crate) fn may_be_weak(&self, identity: &Identity) -> bool {
        self.first_is_chosen && &*identity.id == FIRST
    }

    /// Resolves when a token does not stand any more.
    pub(crate) fn ended(self: &Arc<Tokens>, identity: &Identity) -> impl Future<Output = ()> + Send + use<> {
        let (tokens, identity, mut changes) = (self.clone(), identity.clone(), self.changed.subscribe());
        let left = identity.expires.map(|expires| expires.0.saturating_sub(Timestamp::now().0).max(0));
        async move {
            let expiry = async {
                match left {
                    Some(us) => tokio::time::sleep(std::time::Duration::from_micros(us as u64)).await,
                    None => std::future::pending().await,
                }
            };
            let revoked = async {
                while tokens.held.read().by_id(&identity.id).is_some() {
                    if changes.changed().await.is_err() {
                        return;
                    }
                }
            };
            tokio::select! { () = expiry => {}, () = revoked => {} }
        }
    }

    /// Makes one; gives its secret, which is not kept.
    pub(crate) fn create(&self, wanted: Wanted) -> Result<(Value, String), TokenError> {
        let name = wanted.name.trim();
        if name.is_empty() || name.chars().count() > NAME_CHARS_MAX || name.chars().any(char::is_control) {
            return Err(TokenError::Refused(format!(
                "a name has 1 to {NAME_CHARS_MAX} characters, none of them a control character"
            )));
        }
        let now = Timestamp::now();
        if wanted.expires.is_some_and(|expires| expires <= now) {
            return Err(TokenError::Refused("it would have ended already".into()));
        }
        let secret = format!("jt_{:032x}", rand::random::<u128>());
        let identity = Identity {
            id: format!("tok_{:016x}", rand::random::<u64>()).into(),
            name: name.into(),
            role: wanted.role,
            expires: wanted.expires,
        };
        let id = identity.id.clone();
        let token = Token { identity, hash: token_hash(&secret), created: Some(now), used_day: AtomicI64::new(0) };
        let shown = token_json(&token);
        {
            let mut held = self.held.write();
            if held.tokens.len() >= TOKENS_MAX {
                return Err(TokenError::Refused(format!("there are {TOKENS_MAX} tokens, the most there may be; revoke some")));
            }
            held.add(token);
        }
        // Its secret is not known to anybody yet: nobody can use it before it is kept.
        if let Err(error) = self.save() {
            self.held.write().remove(&id);
            return Err(error);
        }
        Ok((shown, secret))
    }

    /// Ends one, with its sessions and streams, at once.
    pub(crate) fn revoke(&self, id: &str) -> Result<(), TokenError> {
        {
            let mut held = self.held.write();
            if id == FIRST && held.by_id(FIRST).is_some() {
                if self.first_is_chosen {
                    return Err(TokenError::Refused("it is set by JUMELLE_ADMIN_TOKEN: change it there and start again".into()));
                }
                let other = held.tokens.iter().any(|token| {
                    &*token.identity.id != FIRST && token.identity.role == Role::Admin && token.identity.expires.is_none()
                });
                if !other {
                    return Err(TokenError::Refused("it is the only lasting admin token: create another one first".into()));
                }
            }
            let token = held.remove(id).ok_or_else(|| TokenError::Unknown(id.to_owned()))?;
            if id == FIRST {
                held.first_revoked = Some(token.hash);
            }
        }
        // Ended in any case; if it cannot be kept, the caller hears that a restart would bring it back.
        self.changed.send_replace(());
        self.save()
    }

    /// All of them, oldest first.
    pub(crate) fn list(&self) -> Vec<Value> {
        self.held.read().tokens.iter().map(|token| token_json(token)).collect()
    }

    fn save(&self) -> Result<(), TokenError> {
        let path = self.path.lock();
        let Some(path) = path.as_ref() else { return Ok(()) };
        let file = {
            let held = self.held.read();
            let kept = held.tokens.iter().filter_map(|token| {
                Some(Line {
                    id: token.identity.id.to_string(),
                    name: token.identity.name.to_string(),
                    role: token.identity.role,
                    sha256: hex(&token.hash),
                    created: token.created?,
                    expires: token.identity.expires,
                    used_day: token.used_day.load(Ordering::Relaxed),
                })
            });
            let first_revoked = held.first_revoked.map(|hash| hex(&hash));
            let mut file = File { version: FILE_VERSION, first_revoked, tokens: kept.collect(), sum: String::new() };
            file.sum = file.sum();
            file
        };
        replace(path, &serde_json::to_vec_pretty(&file).unwrap_or_default())
            .map_err(|source| TokenError::Io { path: path.clone(), source })
    }
}

/// Writes a file beside the old one, syncs it, and puts it in its place: after a power cut there is the old one or the new one.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let new = path.with_extension("json.new");
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    match path.parent() {
        Some(directory) => std::fs::File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

fn token_json(token: &Token) -> Value {
    let day = token.used_day.load(Ordering::Relaxed);
    let used = (day > 0).then(|| Timestamp(day * DAY_US).to_string()[..10].to_owned());
    json!({
        "id": &*token.identity.id, "name": &*token.identity.name, "role": token.identity.role, "created": token.created,
        "expires": token.identity.expires, "last_used": used,
    })
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn from_hex(hex: &str) -> Option<[u8; 32]> {
    if hex.len() != 64 {
        return None;
    }
    let digits: Option<Vec<u8>> = hex.chars().map(|digit| digit.to_digit(16).map(|digit| digit as u8)).collect();
    let bytes: Vec<u8> = digits?.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect();
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(role: Role, expires: Option<Timestamp>) -> Wanted {
        Wanted { name: "a name".into(), role, expires }
    }

    fn made() -> AdminToken {
        AdminToken::from_hash(token_hash("made at the first start"))
    }

    #[tokio::test]
    async fn a_token_is_kept_as_a_hash_and_only_while_it_stands() {
        let directory = tempfile::tempdir().unwrap();
        let tokens = Arc::new(Tokens::new(made()));
        tokens.keep_in(directory.path()).unwrap();
        let now = Timestamp::now();
        let later = Timestamp(now.0 + DAY_US);
        let (shown, secret) = tokens.create(wanted(Role::Agent, Some(later))).unwrap();
        let text = std::fs::read_to_string(directory.path().join(FILE)).unwrap();
        assert!(!text.contains(&secret[3..]) && text.contains(&hex(&token_hash(&secret))));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(directory.path().join(FILE)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        let again = Arc::new(Tokens::new(made()));
        again.keep_in(directory.path()).unwrap();
        assert_eq!(again.identify(&secret, now).unwrap().role, Role::Agent);
        assert!(again.identify(&secret, later).is_none(), "it has ended");
        again.revoke(shown["id"].as_str().unwrap()).unwrap();
        assert!(again.identify(&secret, now).is_none());
        let third = Arc::new(Tokens::new(made()));
        third.keep_in(directory.path()).unwrap();
        assert!(third.identify(&secret, now).is_none(), "a restart does not bring it back");
    }

    #[tokio::test]
    async fn the_first_token_goes_only_when_another_lasts() {
        let directory = tempfile::tempdir().unwrap();
        let tokens = Arc::new(Tokens::new(made()));
        tokens.keep_in(directory.path()).unwrap();
        let now = Timestamp::now();
        tokens.create(wanted(Role::Admin, Some(Timestamp(now.0 + DAY_US)))).unwrap();
        assert!(matches!(tokens.revoke(FIRST), Err(TokenError::Refused(_))), "the other one ends");
        tokens.create(wanted(Role::Admin, None)).unwrap();
        tokens.revoke(FIRST).unwrap();
        assert!(tokens.identify("made at the first start", now).is_none());
        let again = Arc::new(Tokens::new(made()));
        again.keep_in(directory.path()).unwrap();
        assert!(again.identify("made at the first start", now).is_none(), "a restart does not bring it back");
        let chosen = Arc::new(Tokens::new(AdminToken::chosen("made at the first start")));
        chosen.keep_in(directory.path()).unwrap();
        assert!(chosen.identify("made at the first start", now).is_some(), "the operator wants it");
        assert!(matches!(chosen.revoke(FIRST), Err(TokenError::Refused(_))));
    }

    #[test]
    fn a_damaged_file_is_no_empty_file() {
        let directory = tempfile::tempdir().unwrap();
        for text in ["", "{}", "{\"version\": 2, \"tokens\": []}", "{\"version\": 1, \"tokens\": [], \"more\": 1}"] {
            std::fs::write(directory.path().join(FILE), text).unwrap();
            assert!(matches!(Tokens::new(made()).keep_in(directory.path()), Err(TokenError::Damaged { .. })), "{text}");
        }
    }

    #[tokio::test]
    async fn a_stream_ends_with_its_token() {
        let tokens = Arc::new(Tokens::new(made()));
        let (shown, secret) = tokens.create(wanted(Role::Read, None)).unwrap();
        let identity = tokens.identify(&secret, Timestamp::now()).unwrap();
        let ended = tokio::spawn(tokens.ended(&identity));
        tokens.create(wanted(Role::Read, None)).unwrap();
        tokens.revoke(shown["id"].as_str().unwrap()).unwrap();
        ended.await.unwrap();
    }
}
