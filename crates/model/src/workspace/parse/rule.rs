//! Rules and computed traits of `workspace.yaml`.

use super::{Reader, Workspace, get, instant, join, suggestion};
use crate::consent::Channel;
use crate::event::Scalar;
use crate::number::Decimal;
use crate::rule::*;
use crate::time::Span;
use crate::workspace::yaml::{Key, Node, Value};

/// Items of an `in` list at most.
const LIST_MAX: usize = 1_000;
/// `count` in a window compares with this at most: the state keeps that many times.
const WINDOW_COUNT_MAX: i64 = 10_000;
const COMPARISONS: [&str; 12] =
    ["eq", "ne", "in", "not_in", "gt", "gte", "lt", "lte", "contains", "starts_with", "matches", "exists"];
const AGGREGATES: [&str; 9] = ["count", "sum", "min", "max", "avg", "first", "last", "distinct", "most_frequent"];
const CONDITIONS: [&str; 8] = ["all", "any", "not", "did", "trait", "computed", "consent", "in_segment"];
const LATER: [&str; 3] = ["sequence", "affinity", "score"];

/// The rules of all segments, so that one can name another.
pub(super) struct Rules {
    nodes: Vec<(String, Node)>,
    purposes: Vec<String>,
    computed: Vec<String>,
}

struct Depth<'s> {
    levels: usize,
    conditions: usize,
    segments: Vec<&'s str>,
}

impl Rules {
    pub(super) fn new(segments: &[(Key, Node)], workspace: &Workspace) -> Rules {
        let rule_of = |node: &Node| match &node.value {
            Value::Map(entries) => get(entries, "rule").cloned(),
            _ => None,
        };
        Rules {
            nodes: segments.iter().filter_map(|(key, node)| Some((key.text.clone(), rule_of(node)?))).collect(),
            purposes: workspace.purposes.iter().map(|purpose| purpose.key.clone()).collect(),
            computed: workspace.traits.iter().map(|computed| computed.key.clone()).collect(),
        }
    }

    pub(super) fn segment(&self, reader: &mut Reader, key: &str, node: &Node, path: &str) -> Option<Rule> {
        let mut depth = Depth { levels: 0, conditions: 0, segments: vec![key] };
        self.rule(reader, node, path, &mut depth)
    }

    fn rule<'s>(&'s self, reader: &mut Reader, node: &Node, path: &str, depth: &mut Depth<'s>) -> Option<Rule> {
        depth.conditions += 1;
        if depth.levels >= RULE_DEPTH_MAX || depth.conditions > RULE_CONDITIONS_MAX {
            reader.at(node, path, format!("a rule has {RULE_DEPTH_MAX} levels and {RULE_CONDITIONS_MAX} conditions at most"));
            return None;
        }
        depth.levels += 1;
        let rule = self.condition(reader, node, path, depth);
        depth.levels -= 1;
        rule
    }

    fn condition<'s>(&'s self, reader: &mut Reader, node: &Node, path: &str, depth: &mut Depth<'s>) -> Option<Rule> {
        let entries = reader.map(node, path);
        let kinds: Vec<&str> = CONDITIONS.into_iter().chain(LATER).filter(|kind| get(entries, kind).is_some()).collect();
        let [kind] = kinds.as_slice() else {
            let unknown: Vec<&str> = entries.iter().map(|(key, _)| key.text.as_str()).collect();
            let hint = unknown.first().map(|word| suggestion(word, &CONDITIONS)).unwrap_or_default();
            reader.at(node, path, format!("a condition is one of {}{hint}", CONDITIONS.join(", ")));
            return None;
        };
        let inner = get(entries, kind)?;
        let inner_path = join(path, kind);
        match *kind {
            "all" | "any" => {
                reader.only(entries, path, &[kind]);
                let mut rules = Vec::new();
                for (n, item) in reader.list(inner, &inner_path).iter().enumerate() {
                    rules.extend(self.rule(reader, item, &format!("{inner_path}[{n}]"), depth));
                }
                Some(if *kind == "all" { Rule::All(rules) } else { Rule::Any(rules) })
            }
            "not" => {
                reader.only(entries, path, &["not"]);
                self.rule(reader, inner, &inner_path, depth).map(|rule| Rule::Not(Box::new(rule)))
            }
            "did" => did(reader, node, entries, path).map(Rule::Did),
            "trait" => {
                let trait_path = reader.text(inner, &inner_path)?;
                let test = test_beside(reader, entries, path, "trait")?;
                Some(Rule::Trait { path: trait_path, test })
            }
            "computed" => {
                let key = reader.text(inner, &inner_path)?;
                if !self.computed.contains(&key) {
                    let known: Vec<&str> = self.computed.iter().map(String::as_str).collect();
                    reader.at(inner, &inner_path, format!("there is no computed trait {key:?}{}", suggestion(&key, &known)));
                }
                let test = test_beside(reader, entries, path, "computed")?;
                Some(Rule::Computed { key, test })
            }
            "consent" => {
                reader.only(entries, path, &["consent"]);
                self.consent(reader, inner, &inner_path)
            }
            "in_segment" => {
                reader.only(entries, path, &["in_segment"]);
                let key = reader.text(inner, &inner_path)?;
                let Some((name, rule)) = self.nodes.iter().find(|(name, _)| *name == key) else {
                    let known: Vec<&str> = self.nodes.iter().map(|(name, _)| name.as_str()).collect();
                    reader.at(inner, &inner_path, format!("there is no segment {key:?}{}", suggestion(&key, &known)));
                    return None;
                };
                if depth.segments.contains(&name.as_str()) {
                    reader.at(
                        inner,
                        &inner_path,
                        format!("the segments {} name each other in a circle", depth.segments.join(", ")),
                    );
                    return None;
                }
                depth.segments.push(name);
                let found = self.rule(reader, rule, &inner_path, depth);
                depth.segments.pop();
                found
            }
            later => {
                reader.at(inner, &inner_path, format!("{later} is not available yet; it will be"));
                None
            }
        }
    }

    fn consent(&self, reader: &mut Reader, node: &Node, path: &str) -> Option<Rule> {
        let entries = reader.map(node, path);
        reader.only(entries, path, &["purpose", "channel"]);
        let Some(purpose_node) = get(entries, "purpose") else {
            reader.at(node, path, "a consent names its purpose");
            return None;
        };
        let purpose = reader.text(purpose_node, &join(path, "purpose"))?;
        if !self.purposes.contains(&purpose) {
            let known: Vec<&str> = self.purposes.iter().map(String::as_str).collect();
            reader.at(
                purpose_node,
                &join(path, "purpose"),
                format!("there is no purpose {purpose:?}{}", suggestion(&purpose, &known)),
            );
        }
        let channels: Vec<(&str, Channel)> = Channel::ALL.iter().map(|channel| (channel.as_str(), *channel)).collect();
        let channel = match get(entries, "channel") {
            Some(node) => Some(reader.choice(node, &join(path, "channel"), &channels)?),
            None => None,
        };
        Some(Rule::Consent { purpose, channel })
    }
}

/// `{did: EVENT, where: {…}, <aggregate>: …, within | since | until: …}`
fn did(reader: &mut Reader, node: &Node, entries: &[(Key, Node)], path: &str) -> Option<Did> {
    let known = ["did", "where", "within", "since", "until"].into_iter().chain(AGGREGATES).collect::<Vec<_>>();
    reader.only(entries, path, &known);
    let event = reader.text(get(entries, "did")?, &join(path, "did"))?;
    let (filters, within, since, until) = scope(reader, entries, path)?;
    let aggregates: Vec<&str> = AGGREGATES.into_iter().filter(|name| get(entries, name).is_some()).collect();
    let (aggregate, test) = match aggregates.as_slice() {
        [] => (Aggregate::Count, Test(vec![Comparison::Gte(Decimal(crate::number::DECIMAL_ONE))])),
        ["count"] => {
            let inner = get(entries, "count")?;
            (Aggregate::Count, test_of(reader, inner, &join(path, "count"))?)
        }
        [name] => {
            let inner = get(entries, name)?;
            let inner_path = join(path, name);
            let inner_entries = reader.map(inner, &inner_path);
            let Some(of) = get(inner_entries, "of") else {
                reader.at(inner, &inner_path, format!("{name} says of what: {{of: total, gte: 100}}"));
                return None;
            };
            let of = reader.text(of, &join(&inner_path, "of"))?;
            (aggregate_of(name, of)?, test_beside(reader, inner_entries, &inner_path, "of")?)
        }
        several => {
            reader.at(node, path, format!("one of {} at most; these are {}", AGGREGATES.join(", "), several.join(", ")));
            return None;
        }
    };
    if aggregate == Aggregate::Count && within.is_some() {
        let largest = test.0.iter().filter_map(bound).max().unwrap_or(0);
        if largest > WINDOW_COUNT_MAX {
            reader.at(node, path, format!("a count in a window compares with {WINDOW_COUNT_MAX} at most"));
        }
    }
    Some(Did { query: EventQuery { event, filters, aggregate, within, since, until }, test })
}

fn bound(comparison: &Comparison) -> Option<i64> {
    let decimal = match comparison {
        Comparison::Gt(number) | Comparison::Gte(number) | Comparison::Lt(number) | Comparison::Lte(number) => *number,
        Comparison::Eq(Scalar::Number(number)) | Comparison::Ne(Scalar::Number(number)) => *number,
        _ => return None,
    };
    Some(decimal.0 / crate::number::DECIMAL_ONE)
}

fn aggregate_of(name: &str, of: String) -> Option<Aggregate> {
    Some(match name {
        "sum" => Aggregate::Sum(of),
        "min" => Aggregate::Min(of),
        "max" => Aggregate::Max(of),
        "avg" => Aggregate::Avg(of),
        "first" => Aggregate::First(of),
        "last" => Aggregate::Last(of),
        "distinct" => Aggregate::Distinct(of),
        "most_frequent" => Aggregate::MostFrequent(of),
        _ => return None,
    })
}

type Scope = (Vec<Filter>, Option<Span>, Option<crate::Timestamp>, Option<crate::Timestamp>);

fn scope(reader: &mut Reader, entries: &[(Key, Node)], path: &str) -> Option<Scope> {
    let mut filters = Vec::new();
    if let Some(node) = get(entries, "where") {
        let path = join(path, "where");
        for (key, node) in reader.map(node, &path) {
            let test = test_of(reader, node, &join(&path, &key.text))?;
            filters.push(Filter { path: key.text.clone(), test });
        }
    }
    let within = match get(entries, "within") {
        None => None,
        Some(node) => {
            let path = join(path, "within");
            let text = reader.text(node, &path)?;
            let span = Span::parse(&text);
            if span.is_none() {
                let number: String = text.chars().take_while(char::is_ascii_digit).collect();
                let unit = text[number.len()..].trim().chars().next().filter(|unit| "smhdw".contains(*unit)).unwrap_or('d');
                let right = if number.is_empty() { "14d".to_owned() } else { format!("{number}{unit}") };
                reader.at(node, &path, format!("{text:?} is not a duration; write {right}"));
            }
            Some(span?)
        }
    };
    let mut moment = |field: &str| match get(entries, field) {
        None => Some(None),
        Some(node) => instant(reader, node, &join(path, field)).map(Some),
    };
    let (since, until) = (moment("since")?, moment("until")?);
    if within.is_some() && (since.is_some() || until.is_some()) {
        let (key, _) = entries.iter().find(|(key, _)| key.text == "within")?;
        reader.report(
            (key.line, key.column),
            &join(path, "within"),
            "within slides with time; it cannot stand beside since or until",
        );
    }
    Some((filters, within, since, until))
}

/// Comparisons that stand beside `but`; none: it exists.
fn test_beside(reader: &mut Reader, entries: &[(Key, Node)], path: &str, but: &str) -> Option<Test> {
    let known: Vec<&str> = COMPARISONS.into_iter().chain([but]).collect();
    reader.only(entries, path, &known);
    let mut comparisons = Vec::new();
    for (key, node) in entries.iter().filter(|(key, _)| COMPARISONS.contains(&key.text.as_str())) {
        comparisons.push(comparison(reader, &key.text, node, &join(path, &key.text))?);
    }
    if comparisons.is_empty() {
        comparisons.push(Comparison::Exists(true));
    }
    Some(Test(comparisons))
}

/// A scalar (equal to it), a list (one of it), or a map of comparisons.
fn test_of(reader: &mut Reader, node: &Node, path: &str) -> Option<Test> {
    match &node.value {
        Value::Map(entries) => {
            if entries.is_empty() {
                reader.at(node, path, format!("a comparison is one of {}", COMPARISONS.join(", ")));
                return None;
            }
            reader.only(entries, path, &COMPARISONS);
            let mut comparisons = Vec::new();
            for (key, node) in entries {
                if COMPARISONS.contains(&key.text.as_str()) {
                    comparisons.push(comparison(reader, &key.text, node, &join(path, &key.text))?);
                }
            }
            Some(Test(comparisons))
        }
        Value::List(_) => comparison(reader, "in", node, path).map(|comparison| Test(vec![comparison])),
        _ => scalar(reader, node, path).map(|scalar| Test(vec![Comparison::Eq(scalar)])),
    }
}

fn comparison(reader: &mut Reader, name: &str, node: &Node, path: &str) -> Option<Comparison> {
    Some(match name {
        "eq" => Comparison::Eq(scalar(reader, node, path)?),
        "ne" => Comparison::Ne(scalar(reader, node, path)?),
        "in" => Comparison::In(scalars(reader, node, path)?),
        "not_in" => Comparison::NotIn(scalars(reader, node, path)?),
        "gt" => Comparison::Gt(number(reader, node, path)?),
        "gte" => Comparison::Gte(number(reader, node, path)?),
        "lt" => Comparison::Lt(number(reader, node, path)?),
        "lte" => Comparison::Lte(number(reader, node, path)?),
        "contains" => Comparison::Contains(reader.text(node, path)?),
        "starts_with" => Comparison::StartsWith(reader.text(node, path)?),
        "matches" => Comparison::Matches(pattern(reader, node, path)?),
        _ => Comparison::Exists(reader.flag(node, path)?),
    })
}

fn pattern(reader: &mut Reader, node: &Node, path: &str) -> Option<String> {
    const PATTERN_BYTES_MAX: usize = 1_000;
    let text = reader.text(node, path)?;
    if text.len() > PATTERN_BYTES_MAX {
        reader.at(node, path, format!("a pattern has {PATTERN_BYTES_MAX} bytes at most"));
    } else if let Err(error) = regex::Regex::new(&text) {
        let what = error.to_string();
        let last = what.lines().last().unwrap_or_default().trim().to_owned();
        reader.at(node, path, format!("{text:?} is not a regular expression: {last}"));
    }
    Some(text)
}

fn scalar(reader: &mut Reader, node: &Node, path: &str) -> Option<Scalar> {
    match &node.value {
        Value::Bool(flag) => Some(Scalar::Bool(*flag)),
        Value::Number(text) => Decimal::parse(text).map(Scalar::Number),
        Value::Text(text) => Some(Scalar::Text(text.clone())),
        _ => {
            reader.at(node, path, format!("a text, a number, true or false is expected here, not {}", node.kind()));
            None
        }
    }
}

fn scalars(reader: &mut Reader, node: &Node, path: &str) -> Option<Vec<Scalar>> {
    let items = reader.list(node, path);
    if items.len() > LIST_MAX {
        reader.at(node, path, format!("a list has {LIST_MAX} items at most"));
        return None;
    }
    items.iter().enumerate().map(|(n, item)| scalar(reader, item, &format!("{path}[{n}]"))).collect()
}

fn number(reader: &mut Reader, node: &Node, path: &str) -> Option<Decimal> {
    match &node.value {
        Value::Number(text) => Decimal::parse(text),
        _ => {
            reader.at(node, path, format!("a number is expected here, not {}", node.kind()));
            None
        }
    }
}

/// `{count: Order Completed, within: 365d}`, `{sum: Order Completed.total}`, or long: `{sum: {event: "A.b", of: total}}`.
pub(super) fn computed(reader: &mut Reader, node: &Node, entries: &[(Key, Node)], path: &str) -> Option<EventQuery> {
    let known = ["where", "within", "since", "until"].into_iter().chain(AGGREGATES).collect::<Vec<_>>();
    reader.only(entries, path, &known);
    let aggregates: Vec<&str> = AGGREGATES.into_iter().filter(|name| get(entries, name).is_some()).collect();
    let [name] = aggregates.as_slice() else {
        reader.at(node, path, format!("a computed trait is one of {}", AGGREGATES.join(", ")));
        return None;
    };
    let inner = get(entries, name)?;
    let inner_path = join(path, name);
    let (event, of) = match &inner.value {
        Value::Map(long) => {
            reader.only(long, &inner_path, &["event", "of"]);
            let event = get(long, "event").and_then(|node| reader.text(node, &join(&inner_path, "event")));
            let of = get(long, "of").and_then(|node| reader.text(node, &join(&inner_path, "of")));
            (event, of)
        }
        _ => {
            let text = reader.text(inner, &inner_path)?;
            match text.split_once('.') {
                Some((event, of)) if *name != "count" => (Some(event.to_owned()), Some(of.to_owned())),
                _ => (Some(text), None),
            }
        }
    };
    let event = event?;
    let aggregate = if *name == "count" {
        Aggregate::Count
    } else {
        let Some(of) = of else {
            reader.at(inner, &inner_path, format!("{name} says of what: {event}.total"));
            return None;
        };
        aggregate_of(name, of)?
    };
    let (filters, within, since, until) = scope(reader, entries, path)?;
    Some(EventQuery { event, filters, aggregate, within, since, until })
}
