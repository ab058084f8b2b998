//! A text of definitions as a tree of nodes that know their place. Read from YAML or JSON by the sibling modules.

use std::collections::BTreeSet;

use super::parse::{PROBLEMS_MAX, Problem, Problems};

/// Bytes of a definitions text at most.
pub const TEXT_BYTES_MAX: usize = 1 << 20;
/// Nesting of a definitions text at most.
pub const DEPTH_MAX: usize = 64;

/// A value with its place: line and column from 1; both 0 where it comes from no text (see [`Node::unplaced`]).
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
    /// A number as written; it may be too large for a `Decimal`.
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

    /// The same without places: for definitions that stand beside the text that the reader sees.
    pub fn unplaced(self) -> Node {
        let value = match self.value {
            Value::List(items) => Value::List(items.into_iter().map(Node::unplaced).collect()),
            Value::Map(entries) => Value::Map(
                entries.into_iter().map(|(key, node)| (Key { text: key.text, line: 0, column: 0 }, node.unplaced())).collect(),
            ),
            other => other,
        };
        Node { line: 0, column: 0, value }
    }
}

/// The value of a key.
pub fn get<'n>(entries: &'n [(Key, Node)], key: &str) -> Option<&'n Node> {
    entries.iter().find(|(found, _)| found.text == key).map(|(_, node)| node)
}

/// `segments` and `sneakers`: `segments.sneakers`.
pub fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// One problem with no path: the text as a whole cannot be read.
pub fn unreadable(line: usize, column: usize, message: impl Into<String>) -> Problems {
    Problems(vec![Problem { line, column, path: String::new(), message: message.into() }])
}

/// Reads a text: strict JSON as JSON (so that every JSON string reads as JSON says), anything else as YAML.
/// The problems beside the tree are keys that stand twice; a text that cannot be read at all is an error.
pub fn read(text: &str) -> Result<(Node, Vec<Problem>), Problems> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(unreadable(1, 1, format!("the text has {} bytes; definitions have {TEXT_BYTES_MAX} at most", text.len())));
    }
    let mut tree = Tree::default();
    if super::json::is_json(text) {
        super::json::read(text, &mut tree)?;
    } else {
        super::yaml::read(text, &mut tree)?;
    }
    Ok((tree.root.unwrap_or(Node { line: 1, column: 1, value: Value::Null }), tree.problems))
}

enum Open {
    List(Node, Vec<Node>),
    Map(Node, Vec<(Key, Node)>, BTreeSet<String>, Option<Key>),
}

/// Grows from a reader's events; bounded by [`DEPTH_MAX`].
#[derive(Default)]
pub struct Tree {
    open: Vec<Open>,
    root: Option<Node>,
    problems: Vec<Problem>,
}

impl Tree {
    pub fn is_done(&self) -> bool {
        self.root.is_some()
    }

    pub fn start_list(&mut self, line: usize, column: usize) -> Result<(), Problems> {
        self.start(line, column, Open::List(Node { line, column, value: Value::Null }, Vec::new()))
    }

    pub fn start_map(&mut self, line: usize, column: usize) -> Result<(), Problems> {
        self.start(line, column, Open::Map(Node { line, column, value: Value::Null }, Vec::new(), BTreeSet::new(), None))
    }

    fn start(&mut self, line: usize, column: usize, open: Open) -> Result<(), Problems> {
        if self.open.len() >= DEPTH_MAX {
            return Err(unreadable(line, column, format!("nested more than {DEPTH_MAX} levels")));
        }
        self.open.push(open);
        Ok(())
    }

    /// The innermost list or map is complete.
    pub fn end(&mut self) -> Result<(), Problems> {
        match self.open.pop() {
            Some(Open::List(start, items)) => self.put(Node { value: Value::List(items), ..start }),
            Some(Open::Map(start, items, ..)) => self.put(Node { value: Value::Map(items), ..start }),
            None => Ok(()),
        }
    }

    /// A key or a value, whichever is due.
    pub fn put(&mut self, node: Node) -> Result<(), Problems> {
        let path = match self.open.last() {
            Some(Open::Map(_, _, seen, None)) => match &node.value {
                Value::Text(text) | Value::Number(text) if seen.contains(text) => Some(self.path()),
                _ => None,
            },
            _ => None,
        };
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List(_, items)) => items.push(node),
            Some(Open::Map(_, items, seen, key)) => match key.take() {
                Some(key) => items.push((key, node)),
                None => {
                    let (line, column) = (node.line, node.column);
                    let text = match node.value {
                        Value::Text(text) | Value::Number(text) => text,
                        Value::Bool(flag) => flag.to_string(),
                        Value::Null => String::new(),
                        Value::List(_) | Value::Map(_) => return Err(unreadable(line, column, "a key is a text")),
                    };
                    if !seen.insert(text.clone()) && self.problems.len() < PROBLEMS_MAX {
                        let path = join(&path.unwrap_or_default(), &text);
                        self.problems.push(Problem {
                            line,
                            column,
                            path,
                            message: format!("the key {text:?} stands here twice"),
                        });
                    }
                    *key = Some(Key { text, line, column });
                }
            },
        }
        Ok(())
    }

    /// The path of the innermost open list or map.
    fn path(&self) -> String {
        self.open.iter().fold(String::new(), |path, open| match open {
            Open::Map(_, _, _, Some(key)) => join(&path, &key.text),
            Open::Map(..) => path,
            // The innermost one of a key that is due is a map, so a list here has an item that is being read.
            Open::List(_, items) => format!("{path}[{}]", items.len()),
        })
    }
}
