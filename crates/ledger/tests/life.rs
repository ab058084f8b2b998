//! Openings, crashes, erasures and proofs.

mod support;

use std::io::Read;

use jumelle_ledger::{Against, CopyWriter, Erasure, Ledger, Outcome, Statement, merkle, verify};
use jumelle_model::ids::{DeliveryId, ProfileId};
use sha2::{Digest, Sha256};
use support::{DAY, Room, person};

fn outcome(room: &Room, ledger: &Ledger, position: u64, n: u64) -> Option<u64> {
    let outcome = Outcome {
        at: room.at(0),
        position,
        delivery: DeliveryId(u128::from(n)),
        profile: person(n),
        destination: "tool".into(),
        state: "sent".into(),
        attempts: 1,
        status: Some(200),
        reason: None,
    };
    ledger.note(room.at(0), || Some(Statement::Outcome(outcome))).unwrap()
}

fn entries(room: &Room) -> u64 {
    let verified = verify(&room.directory, &Against::default()).unwrap();
    assert_eq!(verified.problems, [], "{verified:?}");
    verified.entries
}

/// A copy of the files as they are: what a kill leaves.
fn killed(room: &Room) -> Room {
    let copy = Room::new();
    std::fs::create_dir(&copy.directory).unwrap();
    for name in room.files() {
        std::fs::copy(room.directory.join(&name), copy.directory.join(&name)).unwrap();
    }
    copy
}

#[test]
fn what_is_derived_is_written_once_however_often_it_is_folded() {
    let room = Room::new();
    let ledger = room.open();
    for position in 0..10 {
        assert!(outcome(&room, &ledger, position, 1).is_some());
    }
    assert_eq!(outcome(&room, &ledger, 4, 1), None);
    support::stop(ledger);
    assert_eq!(entries(&room), 11, "ten and the beginning");
    for _ in 0..2 {
        let ledger = room.open();
        assert!((0..10).all(|position| outcome(&room, &ledger, position, 1).is_none()));
        support::stop(ledger);
    }
    assert_eq!(entries(&room), 11);
}

#[test]
fn what_was_committed_survives_a_kill_and_what_follows_it_is_written_again() {
    let room = Room::new();
    let ledger = room.open();
    (0..5).for_each(|position| assert!(outcome(&room, &ledger, position, 1).is_some()));
    ledger.sync().unwrap();
    (5..8).for_each(|position| assert!(outcome(&room, &ledger, position, 1).is_some()));
    let copy = killed(&room);
    let again = copy.open();
    assert_eq!((0..10).filter(|position| outcome(&copy, &again, *position, 1).is_some()).count(), 5);
    support::stop(again);
    assert_eq!(entries(&copy), 11);
}

#[test]
fn an_end_torn_at_any_byte_is_cut_to_what_was_whole() {
    let room = Room::new();
    let ledger = room.open();
    ledger.checkpoint().unwrap();
    (0..4).for_each(|n| room.release(&ledger, 0, n));
    ledger.sync().unwrap();
    let (chain, texts) = (std::fs::read(room.chain(0)).unwrap(), std::fs::read(room.text(0)).unwrap());
    for torn in (64..chain.len()).step_by(13) {
        for text_torn in [texts.len(), texts.len() - 5, texts.len() / 2] {
            let copy = killed(&room);
            std::fs::write(copy.chain(0), &chain[..torn]).unwrap();
            std::fs::write(copy.text(0), &texts[..text_torn]).unwrap();
            verify(&copy.directory, &Against::default()).map(|verified| assert_eq!(verified.problems, [])).unwrap();
            let again = copy.open();
            copy.release(&again, 0, 9);
            support::stop(again);
            assert!((2..=6).contains(&entries(&copy)), "{torn} {text_torn}");
        }
    }
}

#[test]
fn what_the_head_tells_is_never_cut_off() {
    let room = Room::new();
    let ledger = room.open();
    (0..4).for_each(|n| room.release(&ledger, 0, n));
    support::stop(ledger);
    let chain = std::fs::read(room.chain(0)).unwrap();
    std::fs::write(room.chain(0), &chain[..chain.len() - 64]).unwrap();
    let refused = room.try_open().err().unwrap().to_string();
    assert!(refused.contains("damaged"), "{refused}");
}

/// A busy day has hundreds of millions of leaves: a start goes on from the tree of the head, without the leaves before it. One whose
/// head has no tree, or not the one of its root, reads them all.
#[test]
fn a_start_goes_on_from_the_tree_of_the_head() {
    let ended = || {
        let room = Room::new();
        let ledger = room.open();
        (0..37).for_each(|n| room.release(&ledger, 0, n));
        support::stop(ledger);
        room
    };
    let root = |room: &Room| {
        let ledger = room.open();
        room.release(&ledger, 1, 99);
        ledger.roots(room.at(1)).unwrap().pop().unwrap()
    };
    let (whole, without_leaves) = (ended(), ended());
    let head = std::fs::read_to_string(whole.directory.join("head")).unwrap();
    assert!(head.contains("peaks"), "{head}");
    let mut chain = std::fs::read(without_leaves.chain(0)).unwrap();
    chain[..30 * 64].fill(0);
    std::fs::write(without_leaves.chain(0), chain).unwrap();
    let before: serde_json::Value = serde_json::from_str(head.lines().next().unwrap()).unwrap();
    let grown = root(&without_leaves);
    assert_eq!(grown.size, before["root"]["size"].as_u64().unwrap() + 1);

    // Salts are drawn: only the same room has the same root.
    let with_head = root(&whole);
    for peaks in ["", &"00".repeat(32 * 3)] {
        let room = ended();
        let mut head: serde_json::Value =
            serde_json::from_str(std::fs::read_to_string(room.directory.join("head")).unwrap().lines().next().unwrap()).unwrap();
        head["peaks"] = peaks.into();
        let line = head.to_string();
        let sum = merkle::hex(&Sha256::digest(&line));
        std::fs::write(room.directory.join("head"), format!("{line}\n{sum}\n")).unwrap();
        assert_eq!(root(&room).size, with_head.size);
        assert_eq!(entries(&room), with_head.size, "the root is that of its leaves");
    }
    assert_eq!(entries(&whole), with_head.size);
}

#[test]
fn days_follow_each_other_and_a_clock_that_goes_back_opens_none_again() {
    let mut room = Room::new();
    let ledger = room.open();
    room.release(&ledger, 0, 1);
    room.release(&ledger, 3 * DAY, 2);
    room.release(&ledger, DAY, 3);
    let roots = ledger.roots(room.at(5 * DAY)).unwrap();
    assert_eq!(
        roots.iter().map(|root| (root.day.clone(), root.closed)).collect::<Vec<_>>(),
        [(room.date(0), true), (room.date(3), true)]
    );
    support::stop(ledger);
    room.now = 2 * DAY;
    let ledger = room.open();
    room.release(&ledger, 2 * DAY, 4);
    support::stop(ledger);
    assert_eq!(entries(&room), 5);
}

#[test]
fn an_erasure_takes_text_and_salt_and_keeps_the_hash() {
    let room = Room::new();
    let ledger = room.open();
    for day in 0..3 {
        (0..6).for_each(|n| room.release(&ledger, day * DAY, n));
    }
    let before = ledger.prove(&[person(2)], room.at(2 * DAY), |_| true).unwrap();
    assert_eq!(ledger.erase(room.at(2 * DAY), 40, &[person(2), person(3)], |_| true).unwrap(), 6);
    assert_eq!(ledger.erase(room.at(2 * DAY), 40, &[person(2), person(3)], |_| true).unwrap(), 0, "told again");
    support::stop(ledger);
    let verified = verify(&room.directory, &Against::default()).unwrap();
    assert_eq!((verified.erased, verified.problems), (6, vec![]));
    for name in std::fs::read_dir(&room.directory).unwrap() {
        let bytes = std::fs::read(name.unwrap().path()).unwrap();
        let holds = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
        assert!(!holds(b"p2@example.org") && !holds(b"p3@example.org"));
        for entry in &before.entries {
            let salt = merkle::unhex::<16>(entry.salt.as_ref().unwrap()).unwrap();
            assert!(!holds(&salt), "a salt is left");
        }
    }
    let ledger = room.open();
    let proof = ledger.prove(&[person(2)], room.at(2 * DAY), |_| true).unwrap();
    let erasures = proof.entries.iter().filter(|entry| matches!(entry.statement(), Some(Statement::Erasure(_)))).count();
    let hashes = proof.entries.iter().filter(|entry| entry.text.is_none()).count();
    assert_eq!((erasures, hashes), (1, 6));
    let old: Vec<&String> = before.entries.iter().map(|entry| &entry.leaf).collect();
    assert!(old.iter().all(|leaf| proof.entries.iter().any(|entry| entry.leaf == **leaf && entry.salt.is_none())));
}

/// The erasure is noted, the texts are still there: the next start goes on.
#[test]
fn an_erasure_that_a_crash_interrupts_goes_on() {
    let room = Room::new();
    let ledger = room.open();
    room.release(&ledger, 0, 1);
    ledger.checkpoint().unwrap();
    let entries = [(room.date(0), vec![1])].into();
    let erasure = Erasure { at: room.at(0), position: Some(3), profile: person(1), entries };
    ledger.note(room.at(0), || Some(Statement::Erasure(erasure))).unwrap();
    ledger.sync().unwrap();
    let copy = killed(&room);
    assert_ne!(verify(&copy.directory, &Against::default()).unwrap().problem_count, 0);
    drop(copy.open());
    assert_eq!(
        verify(&copy.directory, &Against::default()).map(|verified| (verified.erased, verified.problem_count)).unwrap(),
        (1, 0)
    );
}

#[test]
fn a_restored_history_goes_on_where_it_ends() {
    let mut room = Room::new();
    let ledger = room.open();
    (0..10).for_each(|position| assert!(outcome(&room, &ledger, position, 1).is_some()));
    support::stop(ledger);
    // Restored to an instant at which it had six entries; folded from the start.
    (room.history, room.end) = (8, 6);
    let ledger = room.open();
    assert_eq!((0..10).filter(|position| outcome(&room, &ledger, *position, 1).is_some()).count(), 4);
    support::stop(ledger);
    assert!((0..10).all(|position| outcome(&room, &room.open(), position, 1).is_none()));
}

#[test]
fn a_ledger_in_an_older_directory_begins_where_the_tables_stand() {
    let mut room = Room::new();
    (room.folded, room.end) = (5, 8);
    let ledger = room.open();
    assert_eq!((0..8).filter(|position| outcome(&room, &ledger, *position, 1).is_some()).count(), 3);
}

#[test]
fn a_proof_leads_to_the_roots_of_its_days() {
    let mut room = Room::new();
    room.sign();
    let ledger = room.open();
    for day in 0..2 {
        (0..37).for_each(|n| room.release(&ledger, day * DAY, n));
    }
    let proof = ledger.prove(&[person(5), ProfileId(5)], room.at(DAY), |_| true).unwrap();
    assert_eq!(proof.entries.len(), 2);
    for entry in &proof.entries {
        let root = &proof.roots[&entry.day];
        assert_eq!(root.is_signed(), Some(true));
        let salt = merkle::unhex::<16>(entry.salt.as_ref().unwrap()).unwrap();
        let leaf = merkle::leaf(&[&salt, entry.text.as_ref().unwrap().as_bytes()]);
        assert_eq!(merkle::hex(&leaf), entry.leaf);
        let path: Vec<merkle::Hash> = entry.path.iter().map(|hash| merkle::unhex(hash).unwrap()).collect();
        let top = merkle::root_of_path(leaf, entry.index, root.size, &path).unwrap();
        assert_eq!(merkle::hex(&top), root.root);
    }
}

#[test]
fn many_who_wait_share_a_write() {
    let room = Room::new();
    let ledger = room.open();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (room, ledger) = (&room, &ledger);
            scope.spawn(move || {
                for n in 0..50 {
                    room.release(ledger, 0, thread * 50 + n);
                    let noted = ledger.noted();
                    ledger.commit(noted).unwrap();
                    assert!(ledger.is_synced(noted));
                }
            });
        }
    });
    support::stop(ledger);
    assert_eq!(entries(&room), 401);
}

fn copy(from: &Ledger, to: &Room) {
    let writer = CopyWriter::open(&to.directory).unwrap();
    let mut over = 1;
    while over > 0 {
        let (pieces, days_over) = from.pieces(writer.after().unwrap().as_deref()).unwrap();
        over = days_over;
        pieces.into_iter().for_each(|piece| writer.take(&piece.name, piece.file.take(piece.bytes)).unwrap());
    }
    writer.finish().unwrap();
}

/// Nothing in a copy stands beyond its chain, where no hash would notice a change of it; and its head says no more than it has.
#[test]
fn a_copy_of_a_ledger_that_is_being_written_is_of_one_instant() {
    let room = Room::new();
    let ledger = room.open();
    let copying = std::sync::atomic::AtomicBool::new(true);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..20_000 {
                room.release(&ledger, 0, n);
                ledger.commit(ledger.noted()).unwrap();
                if !copying.load(std::sync::atomic::Ordering::Acquire) {
                    return;
                }
            }
        });
        for _ in 0..40 {
            let backup = Room::new();
            copy(&ledger, &backup);
            let verified = verify(&backup.directory, &Against::default()).unwrap();
            assert_eq!((&verified.problems, verified.unfinished), (&vec![], 0), "{verified:?}");
        }
        copying.store(false, std::sync::atomic::Ordering::Release);
    });
    support::stop(ledger);
}

#[test]
fn a_copy_is_whole_goes_on_and_loses_whom_the_original_loses() {
    let (room, backup, mut restored) = (Room::new(), Room::new(), Room::new());
    let ledger = room.open();
    for day in 0..2 {
        (0..6).for_each(|n| room.release(&ledger, day * DAY, n));
    }
    copy(&ledger, &backup);
    assert_eq!(entries(&backup), 13);
    copy(&ledger, &restored);
    (0..6).for_each(|n| room.release(&ledger, 2 * DAY, n));
    ledger.erase(room.at(2 * DAY), 40, &[person(2)], |_| true).unwrap();
    copy(&ledger, &backup);
    assert_eq!(entries(&backup), 20);
    assert_eq!(verify(&backup.directory, &Against::default()).unwrap().erased, 3);

    // The older copy, restored, with the erasures of the newer one.
    restored.history = 8;
    let again = restored.open();
    again.adopt_erasures(&backup.directory, restored.at(3 * DAY)).unwrap();
    again.adopt_erasures(&backup.directory, restored.at(3 * DAY)).unwrap();
    support::stop(again);
    let verified = verify(&restored.directory, &Against::default()).unwrap();
    assert_eq!((verified.erased, verified.problems), (2, vec![]));
}
