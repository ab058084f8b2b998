//! Whoever changes the files is found: each way, tried on the raw bytes.

mod support;

use std::path::Path;

use jumelle_ledger::{Against, Root, verify};
use support::{DAY, Room};

fn found(room: &Room) -> Vec<String> {
    let verified = verify(&room.directory, &Against::default()).unwrap();
    assert_eq!(verified.problems.len() as u64, verified.problem_count);
    verified.problems.into_iter().map(|problem| format!("{:?} {:?} {}", problem.day, problem.index, problem.what)).collect()
}

/// Three days of twenty entries, one of somebody erased, the third day open.
fn three_days() -> Room {
    let room = Room::new();
    let ledger = room.open();
    for day in 0..3 {
        for n in 0..20 {
            room.release(&ledger, day * DAY, n % 5);
        }
    }
    ledger.sync().unwrap();
    ledger.erase(room.at(2 * DAY), 7, &[support::person(4)], |_| true).unwrap();
    support::stop(ledger);
    let verified = verify(&room.directory, &Against::default()).unwrap();
    assert_eq!((verified.days, verified.entries, verified.erased, verified.problem_count), (3, 62, 12, 0), "{verified:?}");
    room
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    let before = bytes.clone();
    change(&mut bytes);
    assert_ne!(before, bytes, "the test must change something");
    std::fs::write(path, bytes).unwrap();
}

/// Where the rows of a file of texts begin, and its end.
fn rows(bytes: &[u8]) -> Vec<usize> {
    let mut starts = vec![0];
    while let Some(head) = bytes.get(*starts.last().unwrap()..).filter(|rest| rest.len() >= 4) {
        let length = u32::from_le_bytes(head[..4].try_into().unwrap()) as usize;
        starts.push(starts.last().unwrap() + 49 + length);
    }
    starts
}

#[test]
fn a_flipped_bit_anywhere_is_found() {
    let room = three_days();
    let mut tried = 0;
    for name in room.files() {
        // An index is derived; it is made anew.
        let path = room.directory.join(&name);
        let whole = std::fs::read(&path).unwrap();
        let step = (whole.len() / 400).max(1);
        for at in (0..whole.len()).step_by(step) {
            let mut changed = whole.clone();
            changed[at] ^= 0x04;
            std::fs::write(&path, &changed).unwrap();
            assert!(!found(&room).is_empty(), "{name}, byte {at} of {}", whole.len());
            assert!(named(&room).iter().any(|problem| problem.contains(&name)), "{name} is not named: {:?}", named(&room));
            tried += 1;
        }
        std::fs::write(&path, &whole).unwrap();
    }
    assert!(tried > 1_500, "{tried}");
    assert_eq!(found(&room), Vec::<String>::new());
}

/// As people read it.
fn named(room: &Room) -> Vec<String> {
    verify(&room.directory, &Against::default()).unwrap().problems.iter().map(ToString::to_string).collect()
}

#[test]
fn a_changed_text_is_found_at_its_place() {
    let room = three_days();
    change(&room.text(0), |bytes| {
        let starts = rows(bytes);
        bytes[starts[3] + 60] ^= 1;
    });
    assert_eq!(found(&room).len(), 1);
    assert!(found(&room)[0].contains("Some(3) the text is not the one that was hashed"), "{:?}", found(&room));
}

#[test]
fn a_text_and_its_hash_changed_together_are_found() {
    let room = three_days();
    // The chain is written again from there on, so that it fits: only the root of the day, and the head, know better.
    for day in [0, 2] {
        let (text, chain) = (std::fs::read(room.text(day)).unwrap(), std::fs::read(room.chain(day)).unwrap());
        support::forge(&room, day, 3);
        assert!(!found(&room).is_empty(), "day {day}");
        std::fs::write(room.text(day), text).unwrap();
        std::fs::write(room.chain(day), chain).unwrap();
    }
    assert_eq!(found(&room), Vec::<String>::new());
}

#[test]
fn a_removed_entry_is_found() {
    for day in 0..3 {
        for at in [0, 7, 19] {
            let room = three_days();
            change(&room.chain(day), |bytes| drop(bytes.drain(at * 64..at * 64 + 64)));
            change(&room.text(day), |bytes| {
                let starts = rows(bytes);
                bytes.drain(starts[at]..starts[at + 1]);
            });
            assert!(!found(&room).is_empty(), "day {day}, entry {at}");
        }
    }
}

#[test]
fn an_inserted_entry_is_found() {
    for day in 0..3 {
        for at in [0, 7, 20] {
            let room = three_days();
            change(&room.chain(day), |bytes| {
                let copy = bytes[5 * 64..6 * 64].to_vec();
                bytes.splice(at * 64..at * 64, copy);
            });
            change(&room.text(day), |bytes| {
                let starts = rows(bytes);
                let copy = bytes[starts[5]..starts[6]].to_vec();
                bytes.splice(starts[at]..starts[at], copy);
            });
            assert!(!found(&room).is_empty(), "day {day}, before {at}");
        }
    }
}

#[test]
fn an_inserted_text_is_found() {
    let room = three_days();
    change(&room.text(1), |bytes| {
        let starts = rows(bytes);
        let copy = bytes[starts[5]..starts[6]].to_vec();
        bytes.extend(copy);
    });
    assert!(found(&room)[0].contains("more texts than entries"), "{:?}", found(&room));
}

#[test]
fn two_entries_that_change_places_are_found() {
    let room = three_days();
    change(&room.chain(1), |bytes| {
        let (a, b) = (bytes[64..128].to_vec(), bytes[128..192].to_vec());
        bytes[64..128].copy_from_slice(&b);
        bytes[128..192].copy_from_slice(&a);
    });
    change(&room.text(1), |bytes| {
        let starts = rows(bytes);
        let (a, b) = (bytes[starts[1]..starts[2]].to_vec(), bytes[starts[2]..starts[3]].to_vec());
        bytes.splice(starts[1]..starts[3], [b, a].concat());
    });
    assert!(!found(&room).is_empty());
}

#[test]
fn a_cut_end_is_found() {
    for day in 0..3 {
        for entries in [1, 5, 20] {
            let room = three_days();
            let left = std::fs::read(room.chain(day)).unwrap().len() / 64 - entries;
            change(&room.chain(day), |bytes| bytes.truncate(left * 64));
            change(&room.text(day), |bytes| {
                let starts = rows(bytes);
                bytes.truncate(starts[left]);
            });
            assert!(!found(&room).is_empty(), "day {day}, {entries} entries");
        }
    }
}

#[test]
fn exchanged_removed_and_foreign_days_are_found() {
    let room = three_days();
    for (a, b) in [(room.chain(0), room.chain(1)), (room.text(0), room.text(1))] {
        let (first, second) = (std::fs::read(&a).unwrap(), std::fs::read(&b).unwrap());
        std::fs::write(&a, second).unwrap();
        std::fs::write(&b, first).unwrap();
    }
    assert!(!found(&room).is_empty(), "exchanged");

    for day in 0..3 {
        let room = three_days();
        std::fs::remove_file(room.chain(day)).unwrap();
        std::fs::remove_file(room.text(day)).unwrap();
        assert!(!found(&room).is_empty(), "day {day} removed");
    }

    let room = three_days();
    for (from, to) in [(room.chain(0), "2025-01-01.chain"), (room.text(0), "2025-01-01.text")] {
        std::fs::copy(from, room.directory.join(to)).unwrap();
    }
    assert!(!found(&room).is_empty(), "put in before");
}

/// The first day removed with its root, or the last ones.
#[test]
fn a_day_removed_with_its_root_is_found() {
    for removed in [0, 1] {
        let room = three_days();
        std::fs::remove_file(room.chain(removed)).unwrap();
        std::fs::remove_file(room.text(removed)).unwrap();
        change(&room.directory.join("roots.jsonl"), |bytes| {
            let text = String::from_utf8(bytes.clone()).unwrap();
            let lines: Vec<&str> = text.lines().enumerate().filter(|(n, _)| *n != removed).map(|(_, line)| line).collect();
            *bytes = format!("{}\n", lines.join("\n")).into_bytes();
        });
        assert!(!found(&room).is_empty(), "day {removed}");
    }
}

#[test]
fn a_text_zeroed_without_an_erasure_is_no_erasure() {
    let room = three_days();
    change(&room.text(1), |bytes| {
        let starts = rows(bytes);
        let (from, to) = (starts[2], starts[3]);
        bytes[from + 4] = 0;
        bytes[from + 5..to].fill(0);
    });
    assert!(found(&room)[0].contains("no erasure says so"), "{:?}", found(&room));
}

/// Somebody who writes the whole ledger anew, with other contents, is found by what was exported before, and by the key.
#[test]
fn a_whole_forged_ledger_is_found_by_the_exported_roots_and_the_key() {
    let mut room = Room::new();
    room.sign();
    let ledger = room.open();
    (0..20).for_each(|n| room.release(&ledger, 0, n));
    room.release(&ledger, DAY, 1);
    let exported: Vec<Root> = ledger.roots(room.at(DAY)).unwrap();
    let key = exported[0].public_key.clone().unwrap();
    support::stop(ledger);
    let against = Against { keys: vec![key], roots: exported };
    let verified = verify(&room.directory, &against).unwrap();
    assert_eq!((verified.problem_count, verified.signed, verified.exported), (0, 1, 2), "{verified:?}");

    let mut forged = Room::new();
    forged.sign();
    let ledger = forged.open();
    (0..19).for_each(|n| forged.release(&ledger, 0, n));
    forged.release(&ledger, DAY, 1);
    support::stop(ledger);
    assert_eq!(verify(&forged.directory, &Against::default()).unwrap().problem_count, 0, "alone it is consistent");
    for against in
        [Against { keys: against.keys.clone(), ..Against::default() }, Against { roots: against.roots, ..Against::default() }]
    {
        assert_ne!(verify(&forged.directory, &against).unwrap().problem_count, 0, "{against:?}");
    }
}
