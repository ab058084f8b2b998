//! `reduce` of a source: what is left of events whose purpose is refused.

use super::Reader;
use super::definition::{Known, channel_words};
use crate::workspace::node::{Node, Value, get, join};
use crate::workspace::reduce::{Reduce, ReduceWhen, Reduction};
use crate::workspace::{Source, Workspace};

/// Rules of one source, at most.
const RULES_MAX: usize = 50;
/// Names of one rule, at most.
const NAMES_MAX: usize = 200;

pub fn reduce(reader: &mut Reader, known: &Known<'_>, node: &Node, path: &str) -> Vec<Reduce> {
    let items = reader.list(node, path).unwrap_or_default();
    if items.len() > RULES_MAX {
        reader.at(node, path, format!("a source has {RULES_MAX} rules at most"));
    }
    items.iter().enumerate().filter_map(|(n, item)| rule(reader, known, item, &format!("{path}[{n}]"))).collect()
}

fn rule(reader: &mut Reader, known: &Known<'_>, node: &Node, path: &str) -> Option<Reduce> {
    let entries = reader.map(node, path)?;
    reader.only(entries, path, &["purpose", "channel", "to", "when", "events", "except"]);
    let (Some(purpose), Some(to)) = (get(entries, "purpose"), get(entries, "to")) else {
        reader.at(node, path, "a rule has purpose and to: {purpose: analytics, to: counted}");
        return None;
    };
    let purpose = reader.reference(purpose, &join(path, "purpose"), "purpose", known.purposes.iter().copied());
    let to = reader.choice(to, &join(path, "to"), &Reduction::NAMES);
    let when = match get(entries, "when") {
        Some(node) => reader.choice(node, &join(path, "when"), &ReduceWhen::NAMES),
        None => Some(ReduceWhen::default()),
    };
    let channel = get(entries, "channel").and_then(|node| {
        let words = channel_words(reader);
        reader.choice(node, &join(path, "channel"), &words)
    });
    let events = names(reader, get(entries, "events"), &join(path, "events"));
    let except = names(reader, get(entries, "except"), &join(path, "except"));
    if let (Some(_), Some(node)) = (get(entries, "events"), get(entries, "except")) {
        reader.at(node, &join(path, "except"), "a rule names events or those it leaves out, not both");
    }
    Some(Reduce { purpose: purpose?, channel, to: to?, when: when?, events, except })
}

fn names(reader: &mut Reader, node: Option<&Node>, path: &str) -> Vec<String> {
    let Some(node) = node else { return Vec::new() };
    let items = reader.list(node, path).unwrap_or_default();
    if items.is_empty() || items.len() > NAMES_MAX {
        reader.at(node, path, format!("1 to {NAMES_MAX} names of events are expected here, such as [Page Viewed]"));
    }
    let mut found: Vec<String> = Vec::new();
    for (n, item) in items.iter().enumerate() {
        let path = format!("{path}[{n}]");
        let Some(name) = reader.name(item, &path) else { continue };
        if let Some(call) = ["page", "screen"].iter().find(|call| **call == name) {
            let known = if *call == "page" { "Page Viewed" } else { "Screen Viewed" };
            reader.at(item, &path, format!("rules know {call} calls as {known:?}; write that"));
        }
        if found.contains(&name) {
            reader.at(item, &path, format!("{name:?} stands here twice"));
        }
        found.push(name);
    }
    found
}

/// What can be said only when the purposes are known.
pub fn sources(reader: &mut Reader, found: &Workspace, node: &Node) {
    for Source { key, reduce, .. } in &found.sources {
        // What is no map or list has been said, and so has a rule that could not be read: then places would not fit.
        let inner = |node: Option<&Node>, key: &str| match node.map(|node| &node.value) {
            Some(Value::Map(entries)) => get(entries, key).cloned(),
            _ => None,
        };
        let items = match inner(inner(Some(node), key).as_ref(), "reduce").map(|list| list.value) {
            Some(Value::List(items)) if items.len() == reduce.len() => items,
            _ => continue,
        };
        for (n, (rule, node)) in reduce.iter().zip(&items).enumerate() {
            let path = format!("sources.{key}.reduce[{n}]");
            let Some(purpose) = found.purpose(&rule.purpose) else { continue };
            if rule.when == ReduceWhen::NotGranted && !purpose.can_be_granted() {
                let message =
                    format!("nobody grants {}: its basis is not consent. Leave when out, so that objections count", purpose.key);
                reader.at(node, &join(&path, "when"), message);
            }
            let declared = &purpose.terms.channels;
            if let Some(channel) = rule.channel.filter(|channel| !declared.is_empty() && !declared.contains(channel)) {
                let message = format!("{} has no channel {}", purpose.key, channel.as_str());
                reader.at(node, &join(&path, "channel"), message);
            }
            let hidden = reduce[..n].iter().position(|before| covers(before, rule));
            if let Some(before) = hidden {
                reader.at(node, &path, format!("this rule never decides: reduce[{before}] holds before it"));
            }
        }
    }
}

/// Whenever the second holds, the first does: of all events, for the same choice.
fn covers(before: &Reduce, rule: &Reduce) -> bool {
    before.events.is_empty()
        && before.except.is_empty()
        && before.purpose == rule.purpose
        && before.channel == rule.channel
        && (before.when == rule.when || before.when == ReduceWhen::NotGranted)
}
