//! The part of a destination that is about leaving it: `confirm_within`, `removal`, `retire`, `list`, `inbound`.

use super::Reader;
use super::definition::{secret, url_problem};
use crate::time::Span;
use crate::workspace::Workspace;
use crate::workspace::node::{Key, Node, Value, get, join};
use crate::workspace::take_back::{Inbound, InboundFormat, RemovalNone, TakeBack, ToolList};

/// Fields of a destination that are read here.
pub const TERMS: [&str; 5] = ["confirm_within", "removal", "retire", "list", "inbound"];
/// A list is compared every minute at most.
const EVERY_MIN: Span = Span(60 * 1_000_000);

/// Whether a field is one of these. A connector may have a setting `list`: a name or a number, not `{url, every}`.
pub fn is_term(key: &str, node: &Node, is_webhook: bool) -> bool {
    TERMS.contains(&key) && (is_webhook || key != "list" || matches!(node.value, Value::Map(_)))
}

pub fn take_back(reader: &mut Reader, entries: &[(Key, Node)], path: &str, is_webhook: bool) -> TakeBack {
    TakeBack {
        confirm_within: get(entries, "confirm_within").and_then(|node| span(reader, node, &join(path, "confirm_within"))),
        removal_none: get(entries, "removal").and_then(|node| removal(reader, node, &join(path, "removal"))),
        retire: get(entries, "retire").and_then(|node| reader.flag(node, &join(path, "retire"))).unwrap_or(false),
        list: get(entries, "list")
            .filter(|node| is_term("list", node, is_webhook))
            .and_then(|node| list(reader, node, &join(path, "list"))),
        inbound: get(entries, "inbound").and_then(|node| inbound(reader, node, &join(path, "inbound"))),
    }
}

fn span(reader: &mut Reader, node: &Node, path: &str) -> Option<Span> {
    let text = reader.text(node, path)?;
    let span = Span::parse(&text);
    if span.is_none() {
        reader.at(node, path, format!("{text:?} is not a duration; write 4h"));
    }
    span
}

fn removal(reader: &mut Reader, node: &Node, path: &str) -> Option<RemovalNone> {
    let entries = reader.map(node, path)?;
    reader.only(entries, path, &["none", "contact"]);
    let (Some(none), Some(contact)) = (get(entries, "none"), get(entries, "contact")) else {
        reader.at(node, path, "a tool that cannot be told says why and whom to ask: removal: {none: WHY, contact: WHO}");
        return None;
    };
    let (reason, contact) = (reader.name(none, &join(path, "none")), reader.name(contact, &join(path, "contact")));
    Some(RemovalNone { reason: reason?, contact: contact? })
}

fn list(reader: &mut Reader, node: &Node, path: &str) -> Option<ToolList> {
    let entries = reader.map(node, path)?;
    reader.only(entries, path, &["url", "every", "mend"]);
    let Some(url_node) = get(entries, "url") else {
        reader.at(node, path, "a list has a url: list: {url: \"https://…\", every: 24h}");
        return None;
    };
    let url_path = join(path, "url");
    let url = reader.text(url_node, &url_path)?;
    if let Some(problem) = url_problem(&url) {
        reader.at(url_node, &url_path, problem);
    }
    let every = get(entries, "every").and_then(|node| {
        let path = join(path, "every");
        let every = span(reader, node, &path)?;
        if every < EVERY_MIN {
            reader.at(node, &path, "a list is compared once a minute at most");
        }
        Some(every)
    });
    let mend = get(entries, "mend").and_then(|node| reader.flag(node, &join(path, "mend"))).unwrap_or(false);
    Some(ToolList { url, every, mend })
}

fn inbound(reader: &mut Reader, node: &Node, path: &str) -> Option<Inbound> {
    let entries = reader.map(node, path)?;
    reader.only(entries, path, &["format", "secret", "opens"]);
    let (Some(format), Some(secret_node)) = (get(entries, "format"), get(entries, "secret")) else {
        reader.at(node, path, "what a tool reports has a format and a secret: inbound: {format: brevo, secret: {env: NAME}}");
        return None;
    };
    let format = reader.choice(format, &join(path, "format"), &InboundFormat::ALL);
    let secret = secret(reader, secret_node, &join(path, "secret"));
    let opens = get(entries, "opens").and_then(|node| reader.name(node, &join(path, "opens")));
    Some(Inbound { format: format?, secret: secret?, opens })
}

/// What can be said only when the purposes are known.
pub fn destinations(reader: &mut Reader, workspace: &Workspace, node: &Node) {
    for (key, node) in reader.map(node, "destinations").unwrap_or_default() {
        let inbound = workspace.destination(&key.text).and_then(|destination| destination.take_back.inbound.as_ref());
        let Some(opens) = inbound.and_then(|inbound| inbound.opens.as_ref()) else { continue };
        let path = format!("destinations.{}.inbound.opens", key.text);
        match workspace.purpose(opens) {
            None => reader.at(
                node,
                &path,
                format!("{opens:?} is no purpose; declare it: purposes: {{{opens}: {{basis: consent, channels: [email]}}}}"),
            ),
            Some(purpose) if !purpose.can_be_granted() => {
                reader.at(
                    node,
                    &path,
                    format!("{opens} does not rest on consent; openings are kept of those who agreed to that"),
                );
            }
            Some(_) => {}
        }
    }
}
