//! What an event costs in allocations and written bytes, on a fixed input: guards speed without a clock.
//!
//! A figure that grows by more than a tenth fails. If that is meant, the commit that changes the figure here says why; if one has
//! shrunk, lower it, so that what was gained is kept.

mod input;

use std::path::Path;
use std::sync::Arc;

use allocation_counter::AllocationInfo;
use input::{BATCH_EVENTS, batches, workspace};
use jumelle_collect::{Collected, Limits, decode_batch};
use jumelle_engine::{Draft, Engine, Loss, Options, rebuild};
use jumelle_model::time::Timestamp;
use jumelle_store::History;

const BATCHES: usize = 100;
/// In percent of what stands below.
const MAY_GROW: f64 = 110.0;

/// Allocations while a batch is decoded and checked.
const DECODE_ALLOCATIONS: f64 = 21.6;
/// Allocations while an event is read from the history, identified, folded and evaluated, and its tables are written.
const FOLD_ALLOCATIONS: f64 = 136.1;
/// Bytes of the history's blocks, packed: what is synced before the answer.
const HISTORY_BYTES: f64 = 185.3;
/// Bytes that a replay writes: tables, their journal, and the files made of it.
const TABLES_BYTES: f64 = 326.1;

#[test]
fn no_event_allocates_or_writes_more_than_it_did() {
    let directory = tempfile::tempdir().unwrap();
    let mut options = Options::new(directory.path());
    options.clock_follows_events = Some(true);
    let events = (BATCHES * BATCH_EVENTS) as f64;

    let (decoded, of_decoding) = decode();
    let stored = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(store(&options, decoded));
    let history = History::open(directory.path(), Some(true)).unwrap();
    let packed: usize = history.blocks(jumelle_model::ids::Position(0)).map(|block| block.unwrap().encode().len()).sum();
    drop(history);

    let before = written();
    let mut report = None;
    let of_replay = allocation_counter::measure(|| report = Some(rebuild(&options, Loss::Refuse).unwrap()));
    let bytes = written() - before;
    let report = report.unwrap();
    assert!(report.identical, "{report:?}");
    assert!(report.entries >= stored, "{report:?}");

    let measured = [
        ("allocations an event, decoded", of_decoding.count_total as f64 / events, DECODE_ALLOCATIONS),
        ("allocations an event, folded and written", of_replay.count_total as f64 / events, FOLD_ALLOCATIONS),
        ("bytes an event, history", packed as f64 / events, HISTORY_BYTES),
        ("bytes an event, tables", bytes as f64 / events, TABLES_BYTES),
    ];
    for (what, now, known) in measured {
        println!("{what}: {now:.1} (known: {known})");
    }
    for (what, now, known) in measured {
        assert!(now * 100.0 <= known * MAY_GROW, "{what}: {now:.1}, {known} known");
    }
}

fn decode() -> (Vec<(&'static str, Vec<Collected>)>, AllocationInfo) {
    let limits = Limits { signals: workspace().signals_read(), ..Limits::default() };
    let now = Timestamp::parse("2026-10-01T00:00:00Z").unwrap();
    let batches = batches(BATCHES);
    let mut decoded = Vec::with_capacity(BATCHES);
    let cost = allocation_counter::measure(|| {
        for batch in &batches {
            let mut ids = 0;
            let made = decode_batch(&batch.body, &limits, now, &mut || {
                ids += 1;
                format!("made-{ids}")
            });
            decoded.push((batch.source, made.unwrap().collected));
        }
    });
    (decoded, cost)
}

/// Answers how many events were new.
async fn store(options: &Options, decoded: Vec<(&'static str, Vec<Collected>)>) -> u64 {
    let engine = Engine::open(options).unwrap();
    engine.apply(&workspace(), "bench").await.unwrap();
    let mut stored = 0;
    for (source, collected) in decoded {
        let source: Arc<str> = source.into();
        let drafts: Vec<Draft> = collected.into_iter().map(|event| Draft::Event { source: source.clone(), event }).collect();
        let events = drafts.len();
        let receipt = engine.intake().submit(drafts, true).await.unwrap();
        stored += (events - receipt.duplicates) as u64;
    }
    engine.stop().await;
    stored
}

/// Bytes that this process has handed to `write` so far.
fn written() -> u64 {
    let text = std::fs::read_to_string(Path::new("/proc/self/io")).expect("the kernel counts a process's writes");
    let line = text.lines().find_map(|line| line.strip_prefix("wchar: ")).unwrap();
    line.parse().unwrap()
}
