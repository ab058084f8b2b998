//! What Maison Lumière sends on its first days: the same for everyone who asks, on every machine.

use jumelle_model::Workspace;
use jumelle_simulate::calendar::parse_date;
use jumelle_simulate::{Plan, Shop};

/// Events of a batch.
pub const BATCH_EVENTS: usize = 100;

/// One request.
pub struct Batch {
    /// Key of the source in the workspace.
    pub source: &'static str,
    /// `{"batch": […]}`.
    pub body: String,
}

/// What `make bench` runs on.
pub fn workspace() -> Workspace {
    Workspace::parse(include_str!("../../workspace.yaml")).unwrap_or_else(|problems| panic!("{problems}"))
}

/// So many whole batches of a shop of 2,000 people, each from one source, in the order in which they fill.
pub fn batches(count: usize) -> Vec<Batch> {
    let from_ms = parse_date("2026-03-02").unwrap();
    let plan = Plan { seed: 1, people: 2_000, from_ms, to_ms: from_ms + 60 * 86_400_000, truth: None };
    let mut shop = Shop::new(plan).unwrap();
    let mut open: Vec<(&'static str, Vec<String>)> = Vec::new();
    let mut full = Vec::new();
    while full.len() < count {
        let line = shop.next_line().expect("the shop is open");
        let source = line.source.write_key().strip_prefix("wk_").unwrap();
        let at = open.iter().position(|(known, _)| *known == source).unwrap_or_else(|| {
            open.push((source, Vec::new()));
            open.len() - 1
        });
        open[at].1.push(String::from_utf8(line.json.to_vec()).unwrap());
        if open[at].1.len() == BATCH_EVENTS {
            let events = std::mem::take(&mut open[at].1);
            full.push(Batch { source, body: format!("{{\"batch\":[{}]}}", events.join(",")) });
        }
    }
    full
}
