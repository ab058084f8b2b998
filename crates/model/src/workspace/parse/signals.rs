//! `consent.strings`.

use super::Reader;
use super::definition::{Known, channel_words};
use crate::consent::Channel;
use crate::workspace::node::{Key, Node, Value, get, join};
use crate::workspace::signals::{CategoryChoice, GppChoice, OptOut, Strings, TcfChoice};

/// Names of categories of one purpose, at most.
const CATEGORIES_MAX: usize = 100;
/// The namespace of a device.
const DEVICE: &str = "anonymous_id";

/// `consent: {strings: …}`
pub fn consent(reader: &mut Reader, known: &Known<'_>, root: &[(Key, Node)], node: &Node) -> Strings {
    let mut found = Strings::default();
    let Some(entries) = reader.map(node, "consent") else { return found };
    reader.only(entries, "consent", &["strings"]);
    let Some(node) = get(entries, "strings") else { return found };
    let path = "consent.strings";
    let Some(entries) = reader.map(node, path) else { return found };
    reader.only(entries, path, &["tcf", "gpp", "categories"]);
    if let Some(node) = get(entries, "tcf") {
        let path = join(path, "tcf");
        let entries = reader.map(node, &path).unwrap_or_default();
        reader.only(entries, &path, &["vendor", "choices"]);
        // 65,535 at most, so that it fits.
        found.vendor = get(entries, "vendor")
            .and_then(|node| reader.integer(node, &join(&path, "vendor"), 1..=u32::from(u16::MAX)))
            .map(|id| id as u16);
        found.tcf = choices(reader, known, entries, &path, tcf);
        for (purpose, node) in get(entries, "choices").map(map_of).unwrap_or_default() {
            if is_written_at_the_purpose(root, &purpose.text) {
                let path = join(&join(&path, "choices"), &purpose.text);
                reader.at(node, &path, format!("purposes.{}.tcf says what TC strings mean, too; write it once", purpose.text));
            }
        }
    }
    if let Some(node) = get(entries, "gpp") {
        let path = join(path, "gpp");
        let entries = reader.map(node, &path).unwrap_or_default();
        reader.only(entries, &path, &["choices"]);
        found.gpp = choices(reader, known, entries, &path, gpp);
    }
    if let Some(node) = get(entries, "categories") {
        let path = join(path, "categories");
        let entries = reader.map(node, &path).unwrap_or_default();
        reader.only(entries, &path, &["choices"]);
        found.categories = choices(reader, known, entries, &path, categories);
    }
    found
}

/// `choices: {PURPOSE: {…}}`
fn choices<T>(
    reader: &mut Reader,
    known: &Known<'_>,
    entries: &[(Key, Node)],
    path: &str,
    mut read: impl FnMut(&mut Reader, &str, &[(Key, Node)], &str) -> Option<T>,
) -> Vec<T> {
    let Some(node) = get(entries, "choices") else { return Vec::new() };
    reader.each(node, &join(path, "choices"), |reader, purpose, node, path| {
        reader.is_known(node, path, "purpose", purpose, known.purposes.iter().copied());
        let entries = reader.map(node, path)?;
        let choice = read(reader, purpose, entries, path);
        if choice.is_none() {
            reader.at(node, path, "a choice names what must have been chosen");
        }
        choice
    })
}

fn map_of(node: &Node) -> &[(Key, Node)] {
    match &node.value {
        Value::Map(entries) => entries,
        _ => &[],
    }
}

fn is_written_at_the_purpose(root: &[(Key, Node)], purpose: &str) -> bool {
    let written = get(root, "purposes").and_then(|node| get(map_of(node), purpose)).and_then(|node| get(map_of(node), "tcf"));
    written.is_some_and(|node| !matches!(&node.value, Value::List(items) if items.is_empty()))
}

fn tcf(reader: &mut Reader, purpose: &str, entries: &[(Key, Node)], path: &str) -> Option<TcfChoice> {
    let fields = ["channels", "purposes", "publisher", "custom", "special_features", "legitimate_interests"];
    reader.only(entries, path, &fields);
    let choice = TcfChoice {
        purpose: purpose.to_owned(),
        channels: channels(reader, entries, path, false),
        purposes: ids(reader, entries, path, "purposes", 24),
        publisher: ids(reader, entries, path, "publisher", 24),
        custom: ids(reader, entries, path, "custom", 63),
        special_features: ids(reader, entries, path, "special_features", 12),
        legitimate_interests: ids(reader, entries, path, "legitimate_interests", 24),
    };
    fields[1..].iter().any(|field| get(entries, field).is_some()).then_some(choice)
}

fn gpp(reader: &mut Reader, purpose: &str, entries: &[(Key, Node)], path: &str) -> Option<GppChoice> {
    reader.only(entries, path, &["channels", "opt_outs"]);
    let channels = channels(reader, entries, path, true);
    let opt_outs = items(reader, entries, path, "opt_outs", |reader, node, path| reader.choice(node, path, &OptOut::ALL));
    get(entries, "opt_outs").map(|_| GppChoice { purpose: purpose.to_owned(), channels, opt_outs })
}

fn categories(reader: &mut Reader, purpose: &str, entries: &[(Key, Node)], path: &str) -> Option<CategoryChoice> {
    reader.only(entries, path, &["channels", "categories"]);
    let channels = channels(reader, entries, path, false);
    let categories = items(reader, entries, path, "categories", Reader::name);
    get(entries, "categories").map(|_| CategoryChoice { purpose: purpose.to_owned(), channels, categories })
}

/// What a browser says is the device's: it opens no address.
fn channels(reader: &mut Reader, entries: &[(Key, Node)], path: &str, sharing: bool) -> Vec<Channel> {
    let every = channel_words(reader);
    let words: Vec<(&str, Channel)> = every
        .iter()
        .map(|(_, channel)| *channel)
        .filter(|channel| channel.address_namespace() == Some(DEVICE) || sharing && *channel == Channel::PartnerSharing)
        .map(|channel| (channel.as_str(), channel))
        .collect();
    items(reader, entries, path, "channels", |reader, node, path| {
        let text = reader.text(node, path)?;
        if let Some((_, channel)) = every.iter().find(|(word, _)| *word == text)
            && !words.iter().any(|(_, known)| known == channel)
        {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let message =
                format!("what is chosen in a browser is the device's and does not reach {text}, only {}", known.join(", "));
            reader.at(node, path, message);
            return None;
        }
        reader.choice(node, path, &words)
    })
}

fn ids(reader: &mut Reader, entries: &[(Key, Node)], path: &str, field: &str, last: u32) -> Vec<u8> {
    // 63 at most, so that it fits.
    items(reader, entries, path, field, |reader, node, path| reader.integer(node, path, 1..=last).map(|id| id as u8))
}

/// A list that is not empty, each item once.
fn items<T: PartialEq>(
    reader: &mut Reader,
    entries: &[(Key, Node)],
    path: &str,
    field: &str,
    mut read: impl FnMut(&mut Reader, &Node, &str) -> Option<T>,
) -> Vec<T> {
    let mut found = Vec::new();
    let Some(node) = get(entries, field) else { return found };
    let path = join(path, field);
    let items = reader.list(node, &path).unwrap_or_default();
    if items.is_empty() {
        reader.at(node, &path, "an empty list says nothing; leave it out");
    }
    if items.len() > CATEGORIES_MAX {
        reader.at(node, &path, format!("there are {CATEGORIES_MAX} at most"));
        return found;
    }
    for (n, item) in items.iter().enumerate() {
        let Some(value) = read(reader, item, &format!("{path}[{n}]")) else { continue };
        if found.contains(&value) {
            reader.at(item, &format!("{path}[{n}]"), "this is in the list already");
        } else {
            found.push(value);
        }
    }
    found
}
