//! Committer, fold and outbox under one seed: the clock, the order of what happens, the destination's faults and the crashes all
//! come from it, on one thread, and a recorder beside the system (`recorder.rs`) says what must hold.
//!
//! `JUMELLE_SEED=7` runs that one; `JUMELLE_SEEDS=5000` as many from 0 on (`make soak`). A failure prints its seed.

mod ledger;
mod recorder;
mod replay;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

/// Seeds of `make test`.
const SEEDS: u64 = 200;
/// Things that happen under one seed.
const STEPS: usize = 120;
/// Seeds run at the same time.
const THREADS: usize = 2;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Runs one seed to its end.
fn run(seed: u64, steps: usize) -> world::Counts {
    let mut world = world::World::new(seed);
    for _ in 0..steps {
        world.step();
    }
    world.finish()
}

#[test]
fn whatever_happens_in_whatever_order() {
    let seeds = match number("JUMELLE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("JUMELLE_SEEDS").unwrap_or(SEEDS),
    };
    let next = AtomicU64::new(seeds.start);
    let totals = std::sync::Mutex::new(world::Counts::default());
    let failed = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    match catch_unwind(AssertUnwindSafe(|| run(seed, STEPS))) {
                        Ok(counts) => totals.lock().unwrap().add(&counts),
                        Err(_) => failed.lock().unwrap().push(seed),
                    }
                }
            });
        }
    });
    let (failed, totals) = (failed.into_inner().unwrap(), totals.into_inner().unwrap());
    println!("{} seeds: {totals:?}", seeds.end - seeds.start);
    assert!(failed.is_empty(), "seeds that fail: {failed:?}; JUMELLE_SEED={} runs the first of them alone", failed[0]);
    // A simulation in which nothing goes wrong proves nothing.
    if seeds.end - seeds.start >= SEEDS {
        let least =
            [totals.crashes, totals.repeated, totals.sent, totals.received_twice, totals.blocked, totals.dead, totals.erased];
        assert!(least.iter().all(|count| *count > 0), "{totals:?}");
        assert!(totals.moved > 0 && totals.joined > 0 && totals.applied > 0, "{totals:?}");
    }
}

/// One seed gives one run: else printing it would be of no use.
#[test]
fn a_seed_gives_the_same_run_again() {
    for seed in [1, 2] {
        assert_eq!(run(seed, STEPS), run(seed, STEPS));
    }
}

/// A long history replayed in blocks of one entry and of ten thousand gives the bytes of the live tables.
#[test]
fn blocks_of_any_size_give_the_same_tables() {
    let mut world = world::World::new(11);
    world.send_in_a_row(12_000);
    for _ in 0..20 {
        world.step();
    }
    world.compare_replays(&[1, 10_000]);
}
