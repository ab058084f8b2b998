//! Strict JSON to a tree of nodes. YAML readers stumble over some of what JSON allows (surrogate pairs in escapes, tabs as
//! indentation, keys longer than 1,024 characters), and what `Workspace::to_text` writes must read back whatever it holds.

use serde::de::IgnoredAny;

use super::node::{Node, Tree, Value, unreadable};
use super::parse::Problems;

/// A JSON object or array and nothing else (nested 128 levels at most: serde_json's bound, above ours).
pub fn is_json(text: &str) -> bool {
    text.trim_start().starts_with(['{', '[']) && serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// Reads a text that [`is_json`] holds for: only the places are found here, the grammar is already proved.
pub fn read(text: &str, tree: &mut Tree) -> Result<(), Problems> {
    let (mut line, mut column) = (1, 1);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => text_length(rest),
            '{' | '}' | '[' | ']' | ',' | ':' | ' ' | '\t' | '\r' | '\n' => 1,
            _ => rest.find(['}', ']', ',', ' ', '\t', '\r', '\n']).unwrap_or(rest.len()),
        };
        let (token, after) = rest.split_at(length);
        match first {
            '{' => tree.start_map(line, column)?,
            '[' => tree.start_list(line, column)?,
            '}' | ']' => tree.end()?,
            ',' | ':' | ' ' | '\t' | '\r' | '\n' => {}
            _ => tree.put(Node { line, column, value: value(token).map_err(|what| unreadable(line, column, what))? })?,
        }
        if first == '\n' {
            (line, column) = (line + 1, 1);
        } else {
            column += token.chars().count();
        }
        rest = after;
    }
    Ok(())
}

/// Bytes of the string that starts here, both quotes included.
fn text_length(rest: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in rest.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

fn value(token: &str) -> Result<Value, String> {
    Ok(match token {
        "null" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ if token.starts_with('"') => {
            Value::Text(serde_json::from_str(token).map_err(|_| "not JSON: a text with half a surrogate pair".to_owned())?)
        }
        _ => Value::Number(token.to_owned()),
    })
}
