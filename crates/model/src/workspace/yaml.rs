//! YAML to a tree of nodes. Aliases are refused: nothing here needs them, and they are how a small text becomes a huge tree.

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

use super::node::{Node, Tree, Value, unreadable};
use super::parse::Problems;

/// Reads one document.
pub fn read(text: &str, tree: &mut Tree) -> Result<(), Problems> {
    for next in Parser::new_from_str(text) {
        let (event, span) = next.map_err(|error| {
            let marker = error.marker();
            unreadable(marker.line(), marker.col() + 1, format!("not YAML: {}", error.info()))
        })?;
        let (line, column) = (span.start.line(), span.start.col() + 1);
        match event {
            Event::Alias(_) => return Err(unreadable(line, column, "aliases (*name) are not taken; write the value out")),
            Event::Scalar(text, style, _, tag) => {
                tree.put(Node { line, column, value: scalar(&text, style, tag.as_deref()) })?;
            }
            Event::SequenceStart(..) => tree.start_list(line, column)?,
            Event::MappingStart(..) => tree.start_map(line, column)?,
            Event::SequenceEnd | Event::MappingEnd => tree.end()?,
            Event::DocumentStart(_) if tree.is_done() => {
                return Err(unreadable(line, column, "one document only; remove what follows ---"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The core schema of YAML 1.2, but for two cases that are nearly always codes and not numbers, and so stay texts:
/// a leading zero (the postal code 01000) and a leading plus (+33612345678).
fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Value {
    let is_text = style != ScalarStyle::Plain || tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
    if is_text {
        return Value::Text(text.to_owned());
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ if is_number(text) => Value::Number(text.to_owned()),
        _ => Value::Text(text.to_owned()),
    }
}

/// `-12`, `3.50`, `.5`, `1e3`.
fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let is_code = whole.len() > 1 && whole.starts_with('0');
    digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && !is_code
        && exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent))
}
