//! `preferences:` the page by which people change what they chose.

use super::reader::{Reader, is_key, not_a_key};
use super::{definition, policy};
use crate::workspace::Label;
use crate::workspace::node::{Key, Node, Value, get, join};
use crate::workspace::preferences::{PreferenceField, Preferences};

/// Traits that people may change, at most.
const FIELDS_MAX: usize = 50;
/// Options of one of them, at most.
const OPTIONS_MAX: usize = 500;

pub fn preferences(reader: &mut Reader, node: &Node) -> Preferences {
    let path = "preferences";
    let mut found = Preferences::default();
    let Some(entries) = reader.map(node, path) else { return found };
    reader.only(entries, path, &["url", "name", "colour", "logo", "contact", "notice", "frequencies", "fields"]);
    let text = |reader: &mut Reader, key: &str| {
        let node = get(entries, key)?;
        reader.name(node, &join(path, key)).map(|text| (node, text))
    };
    if let Some((node, url)) = text(reader, "url") {
        let plain = url.trim_end_matches('/').to_owned();
        let local = ["http://127.0.0.1", "http://localhost"].iter().any(|prefix| plain.starts_with(prefix));
        if !is_address(&plain) && !local {
            reader.at(node, "preferences.url", "people's links need an https address, such as https://choices.example.org");
        }
        found.url = Some(plain);
    }
    for (key, slot) in [("logo", &mut found.logo), ("notice", &mut found.notice)] {
        if let Some((node, url)) = text(reader, key) {
            if !is_address(&url) {
                reader.at(node, &join(path, key), "an https address without spaces or quotes is expected here");
            }
            *slot = Some(url);
        }
    }
    if let Some((node, colour)) = text(reader, "colour") {
        let is_colour = colour.len() == 7 && colour.starts_with('#') && colour[1..].chars().all(|c| c.is_ascii_hexdigit());
        if !is_colour {
            reader.at(node, "preferences.colour", format!("{colour:?} is not a colour; write \"#7a1f2b\""));
        } else if contrast_with_white(&colour) < 4.5 {
            reader.at(
                node,
                "preferences.colour",
                "white text on it is not readable (WCAG 2.2 asks for a contrast of 4.5); take a darker one",
            );
        }
        found.colour = Some(colour);
    }
    found.name = text(reader, "name").map(|(_, text)| text);
    found.contact = text(reader, "contact").map(|(_, text)| text);
    if let Some(node) = get(entries, "frequencies") {
        for (n, node) in reader.list(node, "preferences.frequencies").unwrap_or_default().iter().enumerate() {
            found.frequencies.extend(policy::frequency(reader, node, &format!("preferences.frequencies[{n}]")));
        }
    }
    if let Some(node) = get(entries, "fields") {
        let fields = reader.map(node, "preferences.fields").unwrap_or_default();
        if fields.len() > FIELDS_MAX {
            reader.at(node, "preferences.fields", format!("{FIELDS_MAX} fields at most"));
        }
        found.fields = fields.iter().take(FIELDS_MAX).filter_map(|(key, node)| field(reader, key, node)).collect();
    }
    found
}

fn field(reader: &mut Reader, key: &Key, node: &Node) -> Option<PreferenceField> {
    let path = join("preferences.fields", &key.text);
    if !is_key(&key.text) {
        reader.at_key(key, &path, not_a_key(&key.text));
    }
    let entries = reader.map(node, &path)?;
    reader.only(entries, &path, &["label", "options", "many"]);
    let label = definition::label(reader, entries, &path);
    let many = get(entries, "many").and_then(|node| reader.flag(node, &join(&path, "many"))).unwrap_or(false);
    let mut options = Vec::new();
    if let Some(node) = get(entries, "options") {
        let path = join(&path, "options");
        match &node.value {
            Value::List(items) => {
                for (n, item) in items.iter().enumerate() {
                    options.extend(reader.name(item, &format!("{path}[{n}]")).map(|text| (text, Label::default())));
                }
            }
            _ => {
                for (key, node) in reader.map(node, &path).unwrap_or_default() {
                    let path = join(&path, &key.text);
                    let label = match &node.value {
                        Value::Text(text) | Value::Number(text) => Label { fr: Some(text.clone()), en: Some(text.clone()) },
                        _ => {
                            let entries = reader.map(node, &path).unwrap_or_default();
                            reader.only(entries, &path, &["fr", "en"]);
                            let mut of =
                                |tongue: &str| get(entries, tongue).and_then(|node| reader.text(node, &join(&path, tongue)));
                            Label { fr: of("fr"), en: of("en") }
                        }
                    };
                    options.push((key.text.clone(), label));
                }
            }
        }
        if options.len() > OPTIONS_MAX {
            reader.at(node, &path, format!("{OPTIONS_MAX} options at most"));
        }
    }
    if many && options.is_empty() {
        reader.at(node, &path, "several can be chosen only among options");
    }
    Some(PreferenceField { key: key.text.clone(), label, options, many })
}

fn is_address(url: &str) -> bool {
    url.starts_with("https://")
        && url.len() > 8
        && !url.contains(|c: char| c.is_whitespace() || c.is_control() || "\"'<>;,\\".contains(c))
}

/// WCAG 2.2, "contrast ratio".
fn contrast_with_white(colour: &str) -> f64 {
    let part = |at: usize| {
        let part = f64::from(u8::from_str_radix(colour.get(at..at + 2).unwrap_or("ff"), 16).unwrap_or(255)) / 255.0;
        if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
    };
    let luminance = 0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5);
    1.05 / (luminance + 0.05)
}
