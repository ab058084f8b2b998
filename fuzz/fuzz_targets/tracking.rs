//! Bodies of the tracking API: decoded, and what is stored is read back as the fold reads it.
#![no_main]

use jumelle_collect::{Limits, consents, decode_batch, decode_single, read_event};
use jumelle_model::Workspace;
use jumelle_model::event::EventKind;
use jumelle_model::time::Timestamp;
use jumelle_model::workspace::Vocabulary;
use libfuzzer_sys::fuzz_target;

const NOW: Timestamp = Timestamp(1_767_225_600_000_000);
/// Every signal has a meaning.
const WORKSPACE: &str = "
purposes: {marketing: {basis: consent, gcm: [ad_storage]}, analytics: {basis: consent, tcf: [8]}}
consent: {strings: {gpp: {choices: {marketing: {opt_outs: [sale]}}}, categories: {choices: {analytics: {categories: [A]}}}}}
";

fuzz_target!(|body: &str| {
    let workspace = Workspace::parse(WORKSPACE).expect("a workspace");
    let limits = Limits { signals: workspace.signals_read(), ..Limits::default() };
    let mut made = 0;
    let mut make_id = || {
        made += 1;
        format!("made-{made}")
    };
    let batch = decode_batch(body, &limits, NOW, &mut make_id);
    let single = decode_single(body, Some(EventKind::Track), &limits, NOW, &mut make_id);
    let free = decode_single(body, None, &limits, NOW, &mut make_id);
    for decoded in [batch, single, free].into_iter().flatten() {
        for event in &decoded.collected {
            assert!(event.time <= NOW, "never later than its arrival");
            assert!(!event.message_id.is_empty());
            for vocabulary in [Vocabulary::Segment, Vocabulary::Ga4] {
                let read = read_event(event.kind, "site", &event.message_id, (event.time, NOW), &event.body, vocabulary);
                let read = read.expect("what was taken can be read");
                let _ = consents(&read, &workspace);
            }
        }
    }
});
