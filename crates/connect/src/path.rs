//! Paths into JSON (`$.errors[*].index`, `row.email`) and conditions over an answer (`status in [400, 413] or $.code != 0`).
//!
//! A closed language: no loops, no functions, no code. Bounded by the length of the manifest.

use serde_json::Value;

/// One step of a path.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Step {
    Member(String),
    Item(usize),
    Every,
}

/// A path into a JSON value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Path(Vec<Step>);

impl Path {
    /// Reads `$.a.b[0].c[*]`; the `$.` may be left out.
    pub fn parse(text: &str) -> Result<Path, String> {
        let rest = text.strip_prefix('$').unwrap_or(text);
        let mut steps = Vec::new();
        for part in rest.split('.').filter(|part| !part.is_empty()) {
            let (name, mut brackets) = match part.find('[') {
                Some(at) => part.split_at(at),
                None => (part, ""),
            };
            if !name.is_empty() {
                let fits = name.chars().all(|c| c.is_alphanumeric() || "_-$@:#".contains(c));
                if !fits {
                    return Err(format!("{text:?} is not a path; write $.errors[*].index"));
                }
                steps.push(Step::Member(name.to_owned()));
            }
            while let Some((inner, after)) = brackets.strip_prefix('[').and_then(|open| open.split_once(']')) {
                steps.push(match inner {
                    "*" => Step::Every,
                    number => Step::Item(number.parse().map_err(|_| format!("{text:?}: [{number}] is neither a number nor *"))?),
                });
                brackets = after;
            }
            if !brackets.is_empty() {
                return Err(format!("{text:?} is not a path; a bracket is open"));
            }
        }
        Ok(Path(steps))
    }

    /// The first member's name: what the path begins with.
    pub fn root(&self) -> &str {
        match self.0.first() {
            Some(Step::Member(name)) => name,
            _ => "",
        }
    }

    /// The second member's name, if it has one.
    pub fn member(&self) -> Option<&str> {
        match self.0.get(1) {
            Some(Step::Member(name)) => Some(name),
            _ => None,
        }
    }

    /// All values that it leads to.
    pub fn all<'v>(&self, value: &'v Value) -> Vec<&'v Value> {
        let mut found = vec![value];
        for step in &self.0 {
            found = found
                .into_iter()
                .flat_map(|value| -> Vec<&Value> {
                    match step {
                        Step::Member(name) => value.get(name).into_iter().collect(),
                        Step::Item(n) => value.get(n).into_iter().collect(),
                        Step::Every => match value {
                            Value::Array(items) => items.iter().collect(),
                            Value::Object(members) => members.values().collect(),
                            _ => Vec::new(),
                        },
                    }
                })
                .collect();
        }
        found
    }

    /// The first value that it leads to; null is none.
    pub fn first<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        self.all(value).into_iter().find(|value| !value.is_null())
    }
}

/// As it is written, without `$.`.
impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (n, step) in self.0.iter().enumerate() {
            match step {
                Step::Member(name) if n == 0 => write!(f, "{name}")?,
                Step::Member(name) => write!(f, ".{name}")?,
                Step::Item(item) => write!(f, "[{item}]")?,
                Step::Every => write!(f, "[*]")?,
            }
        }
        Ok(())
    }
}

/// What a condition looks at.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// HTTP status; none: no answer came.
    pub status: Option<u16>,
    /// The body, if it is JSON.
    pub body: &'a Value,
    /// The body as text.
    pub text: &'a str,
}

/// A condition over an answer.
#[derive(Clone, PartialEq, Debug)]
pub enum Condition {
    /// Any of them holds.
    Any(Vec<Condition>),
    /// All of them hold.
    All(Vec<Condition>),
    /// It does not hold.
    Not(Box<Condition>),
    /// No answer came.
    Network,
    /// The path leads somewhere.
    Exists(Path),
    /// The text contains this, case aside.
    Text(String),
    /// Compares.
    Compare(Operand, Comparison),
}

/// The left side of a comparison.
#[derive(Clone, PartialEq, Debug)]
pub enum Operand {
    /// HTTP status.
    Status,
    /// A value of the body.
    Body(Path),
}

/// The right side.
#[derive(Clone, PartialEq, Debug)]
pub enum Comparison {
    /// Equal to one of these.
    In(Vec<Value>),
    /// Equal to none of these.
    NotIn(Vec<Value>),
    /// Within, both ends included.
    Range(f64, f64),
}

impl Condition {
    /// Reads `status in 200..299 and $.code == 0`.
    pub fn parse(text: &str) -> Result<Condition, String> {
        let alternatives = split_words(text, " or ");
        if alternatives.len() > 1 {
            return alternatives.into_iter().map(Condition::parse).collect::<Result<_, _>>().map(Condition::Any);
        }
        let parts = split_words(text, " and ");
        if parts.len() > 1 {
            return parts.into_iter().map(Condition::parse).collect::<Result<_, _>>().map(Condition::All);
        }
        let text = text.trim();
        if let Some(rest) = text.strip_prefix("not ") {
            return Ok(Condition::Not(Box::new(Condition::parse(rest)?)));
        }
        if text == "network" {
            return Ok(Condition::Network);
        }
        if let Some(path) = text.strip_prefix("exists ") {
            return Ok(Condition::Exists(Path::parse(path.trim())?));
        }
        if let Some(words) = text.strip_prefix("text contains ") {
            return match literal(words.trim())? {
                Value::String(words) => Ok(Condition::Text(words.to_lowercase())),
                other => Err(format!("{other} is not a text")),
            };
        }
        let wrong = || format!("{text:?} is not a condition; write status == 429, status in 200..299, $.code != 0, network");
        let (left, rest) = text.split_once(' ').ok_or_else(wrong)?;
        let operand = match left {
            "status" => Operand::Status,
            path if path.starts_with('$') => Operand::Body(Path::parse(path)?),
            _ => return Err(wrong()),
        };
        let (operator, right) = rest.trim().split_once(' ').ok_or_else(wrong)?;
        let right = right.trim();
        let comparison = match operator {
            "==" => Comparison::In(vec![literal(right)?]),
            "!=" => Comparison::NotIn(vec![literal(right)?]),
            ">=" => Comparison::Range(right.parse().map_err(|_| wrong())?, f64::INFINITY),
            "<=" => Comparison::Range(f64::NEG_INFINITY, right.parse().map_err(|_| wrong())?),
            "in" if right.starts_with('[') => {
                let items = right.trim_start_matches('[').trim_end_matches(']').split(',');
                Comparison::In(items.map(|item| literal(item.trim())).collect::<Result<_, _>>()?)
            }
            "in" => {
                let (low, high) = right.split_once("..").ok_or_else(wrong)?;
                Comparison::Range(low.parse().map_err(|_| wrong())?, high.parse().map_err(|_| wrong())?)
            }
            _ => return Err(wrong()),
        };
        Ok(Condition::Compare(operand, comparison))
    }

    /// Whether it holds.
    pub fn holds(&self, answer: Answer<'_>) -> bool {
        match self {
            Condition::Any(all) => all.iter().any(|one| one.holds(answer)),
            Condition::All(all) => all.iter().all(|one| one.holds(answer)),
            Condition::Not(one) => !one.holds(answer),
            Condition::Network => answer.status.is_none(),
            Condition::Exists(path) => path.first(answer.body).is_some(),
            Condition::Text(words) => answer.text.to_lowercase().contains(words),
            Condition::Compare(operand, comparison) => {
                let value = match operand {
                    Operand::Status => answer.status.map_or(Value::Null, Value::from),
                    Operand::Body(path) => path.first(answer.body).cloned().unwrap_or(Value::Null),
                };
                match comparison {
                    Comparison::In(items) => items.iter().any(|item| same(item, &value)),
                    Comparison::NotIn(items) => !items.iter().any(|item| same(item, &value)),
                    Comparison::Range(low, high) => value.as_f64().is_some_and(|n| (*low..=*high).contains(&n)),
                }
            }
        }
    }
}

/// Numbers are equal as numbers.
fn same(a: &Value, b: &Value) -> bool {
    a == b || matches!((a.as_f64(), b.as_f64()), (Some(a), Some(b)) if a == b)
}

fn literal(text: &str) -> Result<Value, String> {
    let inner = text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    match inner {
        Some(inner) => Ok(inner.into()),
        None => serde_json::from_str(text).map_err(|_| format!("{text:?} is not a value; write a number, true, null or 'text'")),
    }
}

/// Splits at a word that stands outside quotes.
fn split_words<'t>(text: &'t str, word: &str) -> Vec<&'t str> {
    let mut parts = Vec::new();
    let (mut start, mut quoted) = (0, false);
    for (at, c) in text.char_indices() {
        if c == '\'' || c == '"' {
            quoted = !quoted;
        }
        if !quoted && at >= start && text[at..].starts_with(word) {
            parts.push(&text[start..at]);
            start = at + word.len();
        }
    }
    parts.push(&text[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_lead_where_they_say() {
        let value = json!({"errors": [{"index": 3}, {"index": 5}], "a": {"b": null}});
        let all = Path::parse("$.errors[*].index").unwrap();
        assert_eq!(all.all(&value), [&json!(3), &json!(5)]);
        assert_eq!(Path::parse("errors[1].index").unwrap().first(&value), Some(&json!(5)));
        assert_eq!(Path::parse("$.a.b").unwrap().first(&value), None);
        assert!(Path::parse("$.a[").is_err() && Path::parse("$.a b").is_err());
    }

    #[test]
    fn conditions_hold_as_written() {
        let body = json!({"code": 40105, "ok": true, "note": "User is a or b"});
        for (text, status, holds) in [
            ("status in 200..299", Some(204), true),
            ("status in 200..299 and $.code == 0", Some(200), false),
            ("status in [400, 413] or $.code in [40105]", Some(200), true),
            ("$.ok == true and status != 429", Some(200), true),
            ("network", None, true),
            ("network or status >= 500", Some(503), true),
            ("$.note == 'User is a or b'", Some(200), true),
            ("text contains 'user is'", Some(200), true),
            ("exists $.missing", Some(200), false),
            ("not exists $.code", Some(200), false),
        ] {
            let answer = Answer { status, body: &body, text: &body.to_string() };
            assert_eq!(Condition::parse(text).unwrap().holds(answer), holds, "{text}");
        }
        for text in ["status", "status ~ 3", "stat == 3", "status == x y", "$.code in 3"] {
            assert!(Condition::parse(text).is_err(), "{text}");
        }
    }
}
