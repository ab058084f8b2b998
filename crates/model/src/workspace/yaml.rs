//! YAML (and JSON, which is a part of it) to nodes that know their line and column.

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::parse::{Problem, Problems};

/// Bytes of a definitions text at most.
pub const TEXT_BYTES_MAX: usize = 1 << 20;
/// Nesting of a definitions text at most.
pub const DEPTH_MAX: usize = 64;

/// A value with its place: line and column from 1.
#[derive(Clone, Debug)]
pub struct Node {
    pub line: usize,
    pub column: usize,
    pub value: Value,
}

/// What a node holds.
#[derive(Clone, Debug)]
pub enum Value {
    Null,
    Bool(bool),
    /// A plain scalar that reads as a decimal number, as written.
    Number(String),
    Text(String),
    List(Vec<Node>),
    /// In the order written; keys are unique.
    Map(Vec<(Key, Node)>),
}

/// A key with its place.
#[derive(Clone, Debug)]
pub struct Key {
    pub text: String,
    pub line: usize,
    pub column: usize,
}

impl Node {
    /// What it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
}

enum Open {
    List(Node, Vec<Node>),
    Map(Node, Vec<(Key, Node)>, Option<Key>),
}

/// Reads one document. Aliases are refused: nothing here needs them, and they are how a small text becomes a huge tree.
pub fn read(text: &str) -> Result<Node, Problems> {
    let problem =
        |line: usize, column: usize, message: String| Problems(vec![Problem { line, column, path: String::new(), message }]);
    if text.len() > TEXT_BYTES_MAX {
        return Err(problem(1, 1, format!("the text has {} bytes; definitions have {TEXT_BYTES_MAX} at most", text.len())));
    }
    let mut parser = Parser::new_from_str(text);
    let mut open: Vec<Open> = Vec::new();
    let mut root: Option<Node> = None;
    while let Some(next) = parser.next_event() {
        let (event, span) = next.map_err(|error| {
            let marker = error.marker();
            problem(marker.line(), marker.col() + 1, format!("not YAML: {}", error.info()))
        })?;
        let (line, column) = (span.start.line(), span.start.col() + 1);
        let node = |value| Node { line, column, value };
        let done = match event {
            Event::Alias(_) => return Err(problem(line, column, "aliases (*name) are not taken; write the value out".into())),
            Event::Scalar(text, style, _, _) => Some(node(scalar(&text, style))),
            Event::SequenceStart(..) => {
                open.push(Open::List(node(Value::Null), Vec::new()));
                None
            }
            Event::MappingStart(..) => {
                open.push(Open::Map(node(Value::Null), Vec::new(), None));
                None
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::List(start, items)) => Some(Node { value: Value::List(items), ..start }),
                Some(Open::Map(start, items, _)) => Some(Node { value: Value::Map(items), ..start }),
                None => None,
            },
            Event::DocumentStart(_) if root.is_some() => {
                return Err(problem(line, column, "one document only".into()));
            }
            _ => None,
        };
        if open.len() > DEPTH_MAX {
            return Err(problem(line, column, format!("nested more than {DEPTH_MAX} levels")));
        }
        let Some(done) = done else { continue };
        match open.last_mut() {
            None => root = Some(done),
            Some(Open::List(_, items)) => items.push(done),
            Some(Open::Map(_, items, key)) => match key.take() {
                Some(key) => items.push((key, done)),
                None => {
                    let text = match done.value {
                        Value::Text(text) | Value::Number(text) => text,
                        Value::Bool(flag) => flag.to_string(),
                        Value::Null => String::new(),
                        Value::List(_) | Value::Map(_) => return Err(problem(line, column, "a key is a text".into())),
                    };
                    if items.iter().any(|(other, _)| other.text == text) {
                        return Err(problem(line, column, format!("the key {text:?} stands here twice")));
                    }
                    *key = Some(Key { text, line, column });
                }
            },
        }
    }
    Ok(root.unwrap_or(Node { line: 1, column: 1, value: Value::Null }))
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    if style != ScalarStyle::Plain {
        return Value::Text(text.to_owned());
    }
    match text {
        "" | "~" | "null" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ if crate::number::Decimal::parse(text).is_some() => Value::Number(text.to_owned()),
        _ => Value::Text(text.to_owned()),
    }
}
