//! A ledger in a room of its own.
#![allow(dead_code, reason = "each test uses its part")]

use std::path::PathBuf;

use jumelle_ledger::{Ledger, Release, Settings, SigningKey, Statement, Under, merkle};
use jumelle_model::Channel;
use jumelle_model::ids::{DeliveryId, ProfileId};
use jumelle_model::time::Timestamp;
use tempfile::TempDir;

/// Microseconds.
pub const DAY: i64 = 86_400_000_000;
/// 2026-03-01T12:00:00Z.
const START: i64 = 1_772_366_400_000_000;

pub struct Room {
    pub directory: PathBuf,
    pub key: Option<SigningKey>,
    pub history: u128,
    pub folded: u64,
    pub end: u64,
    pub now: i64,
    folder: TempDir,
}

/// An orderly stop.
pub fn stop(ledger: Ledger) {
    ledger.checkpoint().unwrap();
}

pub fn person(n: u64) -> ProfileId {
    ProfileId(1_000 + u128::from(n))
}

impl Room {
    pub fn new() -> Room {
        let folder = tempfile::tempdir().unwrap();
        Room { directory: folder.path().join("ledger"), key: None, history: 7, folded: 0, end: 0, now: 0, folder }
    }

    /// Signs from now on, with a key of its own.
    pub fn sign(&mut self) {
        let path = self.folder.path().join("key.pem");
        let made = std::process::Command::new("openssl").args(["genpkey", "-algorithm", "ed25519", "-out"]).arg(&path).status();
        assert!(made.unwrap().success());
        self.key = Some(SigningKey::read(&path).unwrap());
    }

    pub fn open(&self) -> Ledger {
        self.try_open().unwrap()
    }

    pub fn try_open(&self) -> jumelle_ledger::Result<Ledger> {
        let Room { history, folded, end, .. } = *self;
        let key = self.key.clone();
        Ledger::open(&self.directory, Settings { key, history, folded, end, now: self.at(self.now) })
    }

    pub fn at(&self, after: i64) -> Timestamp {
        Timestamp(START + after)
    }

    pub fn release(&self, ledger: &Ledger, after: i64, n: u64) {
        let release = Release {
            at: self.at(after),
            delivery: DeliveryId(u128::from(n)),
            profile: person(n),
            kind: "segment.entered".into(),
            activation: "mail".into(),
            segment: "lookers".into(),
            destination: "tool".into(),
            purpose: "marketing".into(),
            channel: Channel::Email,
            address: Some(("email".into(), format!("p{n}@example.org"))),
            data: [("email".to_owned(), serde_json::json!(format!("p{n}@example.org")))].into(),
            body_sha256: None,
            under: Under::Choice { receipt: format!("r_{n:032x}"), since: self.at(0) },
        };
        ledger.note(self.at(after), || Some(Statement::Release(Box::new(release)))).unwrap().unwrap();
    }

    pub fn date(&self, day: i64) -> String {
        self.at(day * DAY).to_string()[..10].to_owned()
    }

    pub fn chain(&self, day: impl TryInto<i64>) -> PathBuf {
        self.directory.join(format!("{}.chain", self.date(day.try_into().ok().unwrap())))
    }

    pub fn text(&self, day: impl TryInto<i64>) -> PathBuf {
        self.directory.join(format!("{}.text", self.date(day.try_into().ok().unwrap())))
    }

    /// Files that count.
    pub fn files(&self) -> Vec<String> {
        let names = std::fs::read_dir(&self.directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| !name.ends_with(".index")).collect()
    }
}

/// Writes another text in the place of an entry, with its right hash, and the chain anew from there on.
pub fn forge(room: &Room, day: i64, at: usize) {
    let mut texts = std::fs::read(room.text(day)).unwrap();
    let mut start = 0;
    for _ in 0..at {
        start += 49 + u32::from_le_bytes(texts[start..start + 4].try_into().unwrap()) as usize;
    }
    let end = start + 49 + u32::from_le_bytes(texts[start..start + 4].try_into().unwrap()) as usize;
    let text = String::from_utf8(texts[start + 49..end].to_vec()).unwrap().replace("marketing", "marketinG");
    texts[start + 49..end].copy_from_slice(text.as_bytes());
    let mut chain = std::fs::read(room.chain(day)).unwrap();
    let leaf = merkle::leaf(&[&texts[start + 33..end]]);
    chain[at * 64..at * 64 + 32].copy_from_slice(&leaf);
    let link = |before: &[u8], leaf: &[u8]| -> Vec<u8> {
        use sha2::{Digest, Sha256};
        Sha256::new().chain_update([2]).chain_update(before).chain_update(leaf).finalize().to_vec()
    };
    for n in at..chain.len() / 64 {
        let next = link(&chain[n * 64 - 32..n * 64], &chain[n * 64..n * 64 + 32]);
        chain[n * 64 + 32..n * 64 + 64].copy_from_slice(&next);
    }
    std::fs::write(room.text(day), texts).unwrap();
    std::fs::write(room.chain(day), chain).unwrap();
}
