//! The ledger beside what really happened: every choice that the history has, everything that left, nothing twice.

use std::collections::{BTreeMap, BTreeSet};

use jumelle_ledger::{Against, Statement, Verified};
use jumelle_model::ids::{DeliveryId, Position, ProfileId};
use jumelle_model::time::Timestamp;
use jumelle_store::Entry;

use crate::Shared;

/// Compares, and answers what the ledger says of itself.
pub fn check(shared: &Shared, let_out: &BTreeSet<(ProfileId, DeliveryId)>, now: Timestamp) -> Verified {
    let verified = shared.ledger.verify(&Against::default()).unwrap();
    assert_eq!(verified.problems, []);
    let (mut choices, mut erasures) = (0, 0);
    for block in shared.history.blocks(Position(0)) {
        for record in block.unwrap().records() {
            match record.unwrap().1.entry {
                Entry::Event(event) => {
                    let body: serde_json::Value = serde_json::from_str(event.body).unwrap();
                    choices += body["context"]["consents"].as_array().map_or(0, Vec::len);
                }
                Entry::Erased { .. } => erasures += 1,
                _ => {}
            }
        }
    }
    let mut noted: BTreeMap<&str, usize> = BTreeMap::new();
    for kind in ["choice", "erasure"] {
        noted.insert(kind, texts_of(shared, kind));
    }
    assert_eq!(noted, [("choice", choices), ("erasure", erasures)].into());
    for (profile, delivery) in let_out {
        let proof = shared.ledger.prove(&[*profile], now, |_| true).unwrap();
        let releases = proof.entries.iter().filter_map(|entry| match entry.statement() {
            Some(Statement::Release(release)) => Some(release.delivery),
            _ => None,
        });
        let is_noted = releases.into_iter().any(|noted| noted == *delivery);
        assert!(is_noted || (erasures > 0 && verified.erased > 0), "{delivery} of {profile} left and is not in the ledger");
    }
    verified
}

/// How many statements of a kind stand in the raw files.
fn texts_of(shared: &Shared, kind: &str) -> usize {
    let needle = format!("{{\"kind\":\"{kind}\"");
    let folder = shared.ledger.directory();
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let texts = files.filter(|path| path.extension().is_some_and(|ending| ending == "text"));
    texts
        .map(|path| std::fs::read(path).unwrap().windows(needle.len()).filter(|window| *window == needle.as_bytes()).count())
        .sum()
}
