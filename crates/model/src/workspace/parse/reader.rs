//! Reading nodes as what they should be, and collecting what they are not.

use super::{PROBLEMS_MAX, Problem, Problems};
use crate::consent::Channel;
use crate::workspace::node::{Key, Node, Value, join};

/// Definitions of one collection, at most.
const DEFINITIONS_MAX: usize = 2_000;
/// Words that a message lists, at most.
const WORDS_MAX: usize = 20;
/// Longer words are not compared: nobody means them.
const WORD_CHARS_MAX: usize = 64;

/// Collects problems while reading. What cannot be read is reported and answered with `None`; reading goes on beside it.
pub struct Reader {
    problems: Vec<Problem>,
    /// The channels that the workspace has declared.
    pub declared: Vec<Channel>,
}

impl Reader {
    pub fn new(problems: Vec<Problem>) -> Reader {
        Reader { problems, declared: Vec::new() }
    }

    /// All problems in the order of the text; those outside of it last.
    pub fn finish(mut self) -> Problems {
        self.problems.sort_by_key(|problem| (problem.line == 0, problem.line, problem.column));
        Problems(self.problems)
    }

    pub fn at(&mut self, node: &Node, path: &str, message: impl Into<String>) {
        self.report(node.line, node.column, path, message.into());
    }

    pub fn at_key(&mut self, key: &Key, path: &str, message: impl Into<String>) {
        self.report(key.line, key.column, path, message.into());
    }

    fn report(&mut self, line: usize, column: usize, path: &str, message: String) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(Problem { line, column, path: path.to_owned(), message });
        }
    }

    fn expected(&mut self, node: &Node, path: &str, what: &str) {
        self.at(node, path, format!("{what} is expected here, not {}", node.kind()));
    }

    /// The entries of a map; nothing (`segments:` with nothing below) is an empty one.
    pub fn map<'n>(&mut self, node: &'n Node, path: &str) -> Option<&'n [(Key, Node)]> {
        match &node.value {
            Value::Map(entries) => Some(entries),
            Value::Null => Some(&[]),
            _ => {
                self.expected(node, path, "a map");
                None
            }
        }
    }

    pub fn list<'n>(&mut self, node: &'n Node, path: &str) -> Option<&'n [Node]> {
        match &node.value {
            Value::List(items) => Some(items),
            _ => {
                self.expected(node, path, "a list");
                None
            }
        }
    }

    /// A text; a number is taken as it is written.
    pub fn text(&mut self, node: &Node, path: &str) -> Option<String> {
        match &node.value {
            Value::Text(text) | Value::Number(text) => Some(text.clone()),
            _ => {
                self.expected(node, path, "a text");
                None
            }
        }
    }

    /// The name of an event, a field: a text that is not empty.
    pub fn name(&mut self, node: &Node, path: &str) -> Option<String> {
        let text = self.text(node, path)?;
        if text.is_empty() {
            self.at(node, path, "a name is expected here, not an empty text");
            return None;
        }
        Some(text)
    }

    /// Where a value is found: names with dots between, such as `products.name`.
    pub fn dotted(&mut self, node: &Node, path: &str) -> Option<String> {
        let text = self.text(node, path)?;
        self.is_dotted(node, path, &text).then_some(text)
    }

    pub fn is_dotted(&mut self, node: &Node, path: &str, text: &str) -> bool {
        let holds = text.split('.').all(|part| !part.is_empty());
        if !holds {
            self.at(node, path, format!("{text:?} is not a path; write names with dots between, such as products.name"));
        }
        holds
    }

    pub fn flag(&mut self, node: &Node, path: &str) -> Option<bool> {
        match node.value {
            Value::Bool(flag) => Some(flag),
            _ => {
                self.expected(node, path, "true or false");
                None
            }
        }
    }

    pub fn integer(&mut self, node: &Node, path: &str, range: std::ops::RangeInclusive<u32>) -> Option<u32> {
        let number = match &node.value {
            Value::Number(text) => text.parse().ok().filter(|number| range.contains(number)),
            _ => None,
        };
        if number.is_none() {
            self.at(node, path, format!("a whole number from {} to {} is expected here", range.start(), range.end()));
        }
        number
    }

    /// One of a closed set of words.
    pub fn choice<T: Copy>(&mut self, node: &Node, path: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(node, path)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.at(node, path, format!("{text:?} is not one of {}{}", listed(&known), suggestion(&text, &known)));
        }
        found
    }

    /// A reference to one of `known`, by key.
    pub fn reference<'k>(
        &mut self,
        node: &Node,
        path: &str,
        what: &str,
        known: impl IntoIterator<Item = &'k str>,
    ) -> Option<String> {
        let text = self.text(node, path)?;
        self.is_known(node, path, what, &text, known).then_some(text)
    }

    pub fn is_known<'k>(
        &mut self,
        node: &Node,
        path: &str,
        what: &str,
        text: &str,
        known: impl IntoIterator<Item = &'k str>,
    ) -> bool {
        let known: Vec<&str> = known.into_iter().collect();
        if known.contains(&text) {
            return true;
        }
        let others = match known.as_slice() {
            [] => "none is defined".to_owned(),
            known => format!("there is {}{}", listed(known), suggestion(text, known)),
        };
        self.at(node, path, format!("there is no {what} {text:?}; {others}"));
        false
    }

    /// Reports keys that nobody knows.
    pub fn only(&mut self, entries: &[(Key, Node)], path: &str, known: &[&str]) {
        for (key, _) in entries {
            if self.problems.len() < PROBLEMS_MAX && !known.contains(&key.text.as_str()) {
                let message = format!("there is no {:?} here, only {}{}", key.text, listed(known), suggestion(&key.text, known));
                self.at_key(key, &join(path, &key.text), message);
            }
        }
    }

    /// Reads each definition of a collection.
    pub fn each<T>(
        &mut self,
        node: &Node,
        path: &str,
        mut read: impl FnMut(&mut Reader, &str, &Node, &str) -> Option<T>,
    ) -> Vec<T> {
        let mut items = Vec::new();
        let entries = self.map(node, path).unwrap_or_default();
        if entries.len() > DEFINITIONS_MAX {
            self.at(node, path, format!("a workspace has {DEFINITIONS_MAX} {path} at most, not {}", entries.len()));
            return items;
        }
        for (key, node) in entries {
            let path = join(path, &key.text);
            if !is_key(&key.text) {
                self.at_key(key, &path, not_a_key(&key.text));
            }
            let found = read(self, &key.text, node, &path);
            if found.is_none() && self.problems.is_empty() {
                // Every branch that gives up has said why; were one forgotten, the definition must not vanish in silence.
                self.at(node, &path, "this is not a definition");
            }
            items.extend(found);
        }
        items
    }
}

/// Lower-case letters, digits and underscores, a letter first, 64 at most.
pub fn is_key(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

pub fn not_a_key(text: &str) -> String {
    format!("{text:?} is not a key; write lower-case letters, digits and _, a letter first, 64 at most")
}

pub fn listed(words: &[&str]) -> String {
    let shown = words.get(..WORDS_MAX).unwrap_or(words).join(", ");
    if words.len() > WORDS_MAX { format!("{shown}, …") } else { shown }
}

/// `; did you mean …?` when a known word is near.
pub fn suggestion(text: &str, known: &[&str]) -> String {
    if text.chars().count() > WORD_CHARS_MAX {
        return String::new();
    }
    let near = known
        .iter()
        .filter(|word| word.chars().count() <= WORD_CHARS_MAX)
        .map(|word| (distance(text, word), word))
        .min()
        .filter(|(distance, word)| *distance <= 2 && *distance < word.chars().count());
    near.map(|(_, word)| format!("; did you mean {word}?")).unwrap_or_default()
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let next = (diagonal + usize::from(ca != *cb)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], next);
        }
    }
    row[b.len()]
}
