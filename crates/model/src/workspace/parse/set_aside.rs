//! `set_aside` of a source: whose events are not taken for a person's.

use super::Reader;
use crate::time::Span;
use crate::workspace::node::{Node, get, join};
use crate::workspace::{EventRate, SetAside};

/// Patterns of user agents of one source, at most.
const USER_AGENTS_MAX: usize = 1_000;
/// The longest time that a rate may be over.
const PER_MAX: Span = Span(86_400_000_000);

pub fn set_aside(reader: &mut Reader, node: &Node, path: &str) -> Option<SetAside> {
    let entries = reader.map(node, path)?;
    reader.only(entries, path, &["user_agents", "rate"]);
    if entries.is_empty() {
        reader.at(node, path, "say what is set aside: user_agents: [\"*bot*\"], rate: {events: 1000, per: 1m}");
    }
    let mut found = SetAside::default();
    if let Some(node) = get(entries, "user_agents") {
        let path = join(path, "user_agents");
        let items = reader.list(node, &path).unwrap_or_default();
        if items.len() > USER_AGENTS_MAX {
            reader.at(node, &path, format!("a source has {USER_AGENTS_MAX} patterns at most"));
        }
        for (n, item) in items.iter().enumerate() {
            let path = format!("{path}[{n}]");
            let Some(pattern) = reader.name(item, &path) else { continue };
            if pattern.chars().all(|c| c == '*') {
                reader.at(item, &path, "this pattern sets everybody aside");
            }
            found.user_agents.push(pattern);
        }
    }
    if let Some(node) = get(entries, "rate") {
        found.rate = rate(reader, node, &join(path, "rate"));
    }
    Some(found)
}

fn rate(reader: &mut Reader, node: &Node, path: &str) -> Option<EventRate> {
    let entries = reader.map(node, path)?;
    reader.only(entries, path, &["events", "per"]);
    let (Some(events), Some(per)) = (get(entries, "events"), get(entries, "per")) else {
        reader.at(node, path, "a rate has events and per: {events: 1000, per: 1m}");
        return None;
    };
    let events = reader.integer(events, &join(path, "events"), 1..=1_000_000);
    let path = join(path, "per");
    let text = reader.text(per, &path)?;
    let span = Span::parse(&text).filter(|span| *span <= PER_MAX);
    if span.is_none() {
        reader.at(per, &path, format!("{text:?} is not a duration of a day at most; write 1m"));
    }
    Some(EventRate { events: events?, per: span? })
}
