//! A rule: parsed, compiled, explained in both languages, and evaluated over somebody's events in two ways that must agree.
#![no_main]

use jumelle_collect::read_event;
use jumelle_model::Workspace;
use jumelle_model::consent::Channel;
use jumelle_model::event::{EventKind, Scalar};
use jumelle_model::time::Timestamp;
use jumelle_model::workspace::Vocabulary;
use jumelle_segment::{Facts, Language, Plan, States, evaluate_events, explain};
use libfuzzer_sys::fuzz_target;

const NOW: Timestamp = Timestamp(1_767_225_600_000_000);
const WORKSPACE: &str = "
workspace: {key: w, locale: en, timezone: Europe/Paris, currency: EUR}
identifiers: {user_id: {limit: 1}, email: {limit: 3, normalize: email}}
purposes: {marketing: {basis: consent}}
traits: {orders: {count: Order Completed, within: 365d}, spent: {sum: Order Completed.total}}
segments:
  other: {rule: {did: Product Viewed}}
  fuzzed:
    rule: ";
const EVENTS: [(&str, i64, &str); 3] = [
    (
        r#"{"type":"track","event":"Product Viewed","properties":{"category":"sneakers","price":120.5,"product_id":"p1"}}"#,
        3_600,
        "m1",
    ),
    (r#"{"type":"track","event":"Order Completed","properties":{"order_id":"o1","total":89.9,"currency":"EUR"}}"#, 86_400, "m2"),
    (r#"{"type":"track","event":"E","properties":{"a":[1,null,{"b":true}],"s":"text"}}"#, 10, "m3"),
];

struct Somebody(States);

impl Facts for Somebody {
    fn trait_value(&self, path: &str) -> Option<Scalar> {
        (path == "city").then(|| Scalar::Text("Lille".into()))
    }

    fn consent_open(&self, _: &str, _: Option<Channel>, _: Timestamp) -> bool {
        true
    }

    fn states(&self) -> &States {
        &self.0
    }
}

fuzz_target!(|rule: &str| {
    let Ok(workspace) = Workspace::parse(&format!("{WORKSPACE}{rule}\n")) else { return };
    let plan = Plan::compile(&workspace);
    let events: Vec<_> = EVENTS
        .iter()
        .filter_map(|(body, seconds_ago, id)| {
            let time = Timestamp(NOW.0 - seconds_ago * 1_000_000);
            read_event(EventKind::Track, "site", id, (time, NOW), body, Vocabulary::Segment)
        })
        .collect();
    let mut states = States::default();
    for event in &events {
        plan.observe(&mut states, event);
    }
    states.retain(&plan);
    let somebody = Somebody(states);
    for (n, segment) in workspace.segments.iter().enumerate() {
        let verdict = plan.evaluate(n, &somebody, NOW);
        assert!(verdict.next > NOW, "the next change lies ahead");
        assert_eq!(verdict.member, evaluate_events(&segment.rule, &events, &somebody, &workspace, NOW));
        for language in [Language::En, Language::Fr] {
            assert!(!explain(&segment.rule, &workspace, language).is_empty());
        }
    }
});
