//! Rules and computed traits of `workspace.yaml`.

use std::collections::BTreeMap;

use super::Reader;
use super::definition::{Known, channel_words};
use super::reader::{listed, suggestion};
use super::settings::{instant, number};
use crate::event::Scalar;
use crate::number::{DECIMAL_ONE, Decimal};
use crate::rule::*;
use crate::time::{Span, Timestamp};
use crate::workspace::node::{Key, Node, Value, get, join};
use crate::workspace::policy::prospects::BUILT_IN;
use crate::workspace::policy::retention::{self, RETENTION_OVER};
use crate::workspace::text::node_to_json;

/// Items of an `in` list at most.
const LIST_MAX: usize = 1_000;
/// `count` in a window compares with this at most: the state keeps that many times.
const WINDOW_COUNT_MAX: i64 = 10_000;
/// Bytes of a regular expression at most.
const PATTERN_BYTES_MAX: usize = 1_000;
const COMPARISONS: [&str; 12] =
    ["eq", "ne", "in", "not_in", "gt", "gte", "lt", "lte", "contains", "starts_with", "matches", "exists"];
const AGGREGATES: [&str; 9] = ["count", "sum", "min", "max", "avg", "first", "last", "distinct", "most_frequent"];
const CONDITIONS: [&str; 10] =
    ["all", "any", "not", "did", "trait", "computed", "consent", "in_segment", "prospect", "retention_over"];
/// Words of the language that nothing evaluates yet.
const LATER: [&str; 3] = ["sequence", "affinity", "score"];

/// The rules of all segments. One that names another takes in its rule; each is read once, whoever asks first.
pub struct Rules<'n> {
    nodes: BTreeMap<&'n str, &'n Node>,
    read: BTreeMap<&'n str, Progress>,
    known: &'n Known<'n>,
    /// The segments that are being read, each named by the one before it.
    open: Vec<&'n str>,
    written: BTreeMap<String, String>,
}

enum Progress {
    Reading,
    /// The rule (`None`: it has a problem, reported), and through how many segments it goes.
    Done(Option<Rule>, usize),
}

/// What one rule has used of its bounds.
#[derive(Default)]
struct Extent {
    levels: usize,
    conditions: usize,
    through: usize,
    /// Reported once.
    exceeded: bool,
}

impl<'n> Rules<'n> {
    pub fn new(segments: &'n Node, known: &'n Known<'n>) -> Rules<'n> {
        let mut nodes = BTreeMap::new();
        if let Value::Map(entries) = &segments.value {
            for (key, node) in entries {
                if let Value::Map(inner) = &node.value
                    && let Some(rule) = get(inner, "rule")
                {
                    nodes.entry(key.text.as_str()).or_insert(rule);
                }
            }
        }
        Rules { nodes, read: BTreeMap::new(), known, open: Vec::new(), written: BTreeMap::new() }
    }

    /// The rules that name other segments, as they are written (JSON).
    pub fn written(self) -> BTreeMap<String, String> {
        self.written
    }

    /// The rule of a segment, those that it names taken in.
    pub fn segment(&mut self, reader: &mut Reader, key: &str) -> Option<Rule> {
        let (key, node) = self.nodes.get_key_value(key).map(|(key, node)| (*key, *node))?;
        if let Some(Progress::Done(rule, _)) = self.read.get(key) {
            return rule.clone();
        }
        self.read.insert(key, Progress::Reading);
        self.open.push(key);
        let mut extent = Extent::default();
        let rule = self.rule(reader, node, &format!("segments.{key}.rule"), &mut extent);
        self.open.pop();
        if extent.through > 0 {
            self.written.insert(key.to_owned(), node_to_json(node).to_string());
        }
        self.read.insert(key, Progress::Done(rule.clone(), extent.through));
        rule
    }

    fn rule(&mut self, reader: &mut Reader, node: &Node, path: &str, extent: &mut Extent) -> Option<Rule> {
        extent.conditions += 1;
        extent.levels += 1;
        let rule = if self.is_within(reader, node, path, extent, 0) { self.condition(reader, node, path, extent) } else { None };
        extent.levels -= 1;
        rule
    }

    /// Holds the bounds of a rule, `below` more levels included.
    fn is_within(&self, reader: &mut Reader, node: &Node, path: &str, extent: &mut Extent, below: usize) -> bool {
        let problem = if extent.levels + below > RULE_DEPTH_MAX {
            format!("a rule has {RULE_DEPTH_MAX} levels at most, those of the segments that it names included")
        } else if extent.conditions > RULE_CONDITIONS_MAX {
            format!("a rule has {RULE_CONDITIONS_MAX} conditions at most, those of the segments that it names included")
        } else {
            return true;
        };
        if !extent.exceeded {
            reader.at(node, path, problem);
        }
        extent.exceeded = true;
        false
    }

    fn condition(&mut self, reader: &mut Reader, node: &Node, path: &str, extent: &mut Extent) -> Option<Rule> {
        let entries = reader.map(node, path)?;
        let kinds: Vec<&str> = CONDITIONS.into_iter().chain(LATER).filter(|kind| get(entries, kind).is_some()).collect();
        let kind = match kinds.as_slice() {
            [kind] => *kind,
            [] => {
                let hint = entries.first().map(|(key, _)| suggestion(&key.text, &CONDITIONS)).unwrap_or_default();
                reader.at(node, path, format!("a condition has one of {}{hint}", listed(&CONDITIONS)));
                return None;
            }
            several => {
                let message = format!("{} are several conditions; put each in a list below all or any", several.join(" and "));
                reader.at(node, path, message);
                return None;
            }
        };
        let inner = get(entries, kind)?;
        let inner_path = join(path, kind);
        match kind {
            "all" | "any" => {
                reader.only(entries, path, &[kind]);
                let mut rules = Vec::new();
                for (n, item) in reader.list(inner, &inner_path)?.iter().enumerate() {
                    rules.extend(self.rule(reader, item, &format!("{inner_path}[{n}]"), extent));
                }
                Some(if kind == "all" { Rule::All(rules) } else { Rule::Any(rules) })
            }
            "not" => {
                reader.only(entries, path, &["not"]);
                self.rule(reader, inner, &inner_path, extent).map(|rule| Rule::Not(Box::new(rule)))
            }
            "did" => did(reader, node, entries, path).map(Rule::Did),
            "trait" => {
                let trait_path = reader.dotted(inner, &inner_path);
                let test = test_beside(reader, entries, path, "trait");
                Some(Rule::Trait { path: trait_path?, test: test? })
            }
            "computed" => {
                let key = reader.reference(inner, &inner_path, "computed trait", self.known.traits.iter().copied());
                let test = test_beside(reader, entries, path, "computed");
                Some(Rule::Computed { key: key?, test: test? })
            }
            "consent" => {
                reader.only(entries, path, &["consent"]);
                self.consent(reader, inner, &inner_path)
            }
            "prospect" => {
                reader.only(entries, path, &["prospect"]);
                if !self.known.has_prospects {
                    reader.at(
                        inner,
                        &inner_path,
                        "there is no clock of prospects; declare policy.prospects: {after: 1095d, then: report}",
                    );
                    return None;
                }
                reader.choice(inner, &inner_path, &ProspectState::WORDS).map(Rule::Prospect)
            }
            "retention_over" => {
                reader.only(entries, path, &["retention_over"]);
                let purpose = reader.reference(inner, &inner_path, "purpose", self.known.purposes.iter().copied())?;
                if !self.known.retained.contains(&purpose.as_str()) {
                    let problem =
                        format!("{purpose} keeps people for good; say for how long: purposes.{purpose}.retention: 1095d");
                    reader.at(inner, &inner_path, problem);
                    return None;
                }
                Some(Rule::RetentionOver { purpose })
            }
            "in_segment" => {
                reader.only(entries, path, &["in_segment"]);
                self.in_segment(reader, inner, &inner_path, extent)
            }
            later => {
                let (key, _) = entries.iter().find(|(key, _)| key.text == later)?;
                reader.at_key(key, &inner_path, format!("{later} is a word of the rule language that is not available yet"));
                None
            }
        }
    }

    fn consent(&self, reader: &mut Reader, node: &Node, path: &str) -> Option<Rule> {
        let entries = reader.map(node, path)?;
        reader.only(entries, path, &["purpose", "channel"]);
        let purpose = match get(entries, "purpose") {
            Some(node) => reader.reference(node, &join(path, "purpose"), "purpose", self.known.purposes.iter().copied()),
            None => {
                reader.at(node, path, "a consent names its purpose");
                None
            }
        };
        let channel = match get(entries, "channel") {
            Some(node) => {
                let words = channel_words(reader);
                Some(reader.choice(node, &join(path, "channel"), &words)?)
            }
            None => None,
        };
        Some(Rule::Consent { purpose: purpose?, channel })
    }

    fn in_segment(&mut self, reader: &mut Reader, node: &Node, path: &str, extent: &mut Extent) -> Option<Rule> {
        extent.through = extent.through.max(1);
        let key = reader.reference(node, path, "segment", self.known.segments.iter().copied())?;
        if let Some((_, state)) = BUILT_IN.into_iter().find(|(built_in, _)| *built_in == key) {
            return Some(Rule::Prospect(state));
        }
        if key == RETENTION_OVER && !self.nodes.contains_key(RETENTION_OVER) {
            return Some(retention::over(self.known.purposes.iter().copied()));
        }
        // One that is there without a rule is a problem of its own, reported there.
        let (key, _) = self.nodes.get_key_value(key.as_str())?;
        let key = *key;
        if let Some(Progress::Reading) = self.read.get(key) {
            let from = self.open.iter().position(|open| *open == key).unwrap_or(0);
            let circle = self.open[from..].join(" → ");
            reader.at(node, path, format!("segments name each other in a circle: {circle} → {key}"));
            return None;
        }
        let too_far = format!("segments name each other through {RULE_DEPTH_MAX} others at most");
        if self.open.len() > RULE_DEPTH_MAX {
            reader.at(node, path, too_far);
            return None;
        }
        let rule = self.segment(reader, key)?;
        if let Some(Progress::Done(_, through)) = self.read.get(key) {
            extent.through = extent.through.max(through + 1);
        }
        if extent.through > RULE_DEPTH_MAX {
            reader.at(node, path, too_far);
            return None;
        }
        // The condition that names it stands for its topmost one.
        let (levels, conditions) = size(&rule);
        extent.conditions += conditions - 1;
        self.is_within(reader, node, path, extent, levels - 1).then_some(rule)
    }
}

/// Levels and conditions of a rule.
fn size(rule: &Rule) -> (usize, usize) {
    match rule {
        Rule::All(rules) | Rule::Any(rules) => {
            rules.iter().map(size).fold((1, 1), |(levels, conditions), (below, more)| (levels.max(below + 1), conditions + more))
        }
        Rule::Not(rule) => {
            let (levels, conditions) = size(rule);
            (levels + 1, conditions + 1)
        }
        _ => (1, 1),
    }
}

/// `{did: EVENT, where: {…}, <aggregate>: …, within | since | until: …}`
fn did(reader: &mut Reader, node: &Node, entries: &[(Key, Node)], path: &str) -> Option<Did> {
    let known: Vec<&str> = ["did", "where", "within", "since", "until"].into_iter().chain(AGGREGATES).collect();
    reader.only(entries, path, &known);
    let event = reader.name(get(entries, "did")?, &join(path, "did"));
    let scope = scope(reader, entries, path);
    let aggregates: Vec<&str> = AGGREGATES.into_iter().filter(|name| get(entries, name).is_some()).collect();
    let (aggregate, test) = match aggregates.as_slice() {
        [] => (Aggregate::Count, Test(vec![Comparison::Gte(Decimal(DECIMAL_ONE))])),
        [name] => {
            let inner = get(entries, name)?;
            let inner_path = join(path, name);
            let (aggregate, test) = aggregate(reader, name, inner, &inner_path)?;
            check_numeric(reader, &aggregate, &test, inner, &inner_path, get(entries, "within").is_some());
            (aggregate, test)
        }
        several => {
            reader.at(
                node,
                path,
                format!("{} are several; one condition has one of {}", several.join(" and "), listed(&AGGREGATES)),
            );
            return None;
        }
    };
    let Scope { filters, within, since, until } = scope?;
    Some(Did { query: EventQuery { event: event?, filters, aggregate, within, since, until }, test })
}

/// `count: {gte: 3}` or `sum: {of: total, gte: 2000}`
fn aggregate(reader: &mut Reader, name: &str, node: &Node, path: &str) -> Option<(Aggregate, Test)> {
    if name == "count" {
        return Some((Aggregate::Count, test_of(reader, node, path)?));
    }
    let entries = reader.map(node, path)?;
    let of = match get(entries, "of") {
        Some(of) => reader.dotted(of, &join(path, "of")),
        None => {
            reader.at(node, path, format!("{name} says of what: {{of: total, gte: 100}}"));
            None
        }
    };
    let test = test_beside(reader, entries, path, "of");
    Some((aggregate_of(name, of?)?, test?))
}

/// What is always a number is compared with numbers; a count in a window with what its state keeps.
fn check_numeric(reader: &mut Reader, aggregate: &Aggregate, test: &Test, node: &Node, path: &str, windowed: bool) {
    let name = aggregate.name();
    let is_whole = match aggregate {
        Aggregate::Count | Aggregate::Distinct(_) => true,
        Aggregate::Sum(_) | Aggregate::Avg(_) => false,
        _ => return,
    };
    let mut bounds: Vec<Decimal> = Vec::new();
    for comparison in &test.0 {
        let scalars = match comparison {
            Comparison::Exists(_) => continue,
            Comparison::Gt(bound) | Comparison::Gte(bound) | Comparison::Lt(bound) | Comparison::Lte(bound) => {
                bounds.push(*bound);
                continue;
            }
            Comparison::Eq(scalar) | Comparison::Ne(scalar) => std::slice::from_ref(scalar),
            Comparison::In(scalars) | Comparison::NotIn(scalars) => scalars.as_slice(),
            Comparison::Contains(_) | Comparison::StartsWith(_) | Comparison::Matches(_) => &[Scalar::Bool(false)],
        };
        for scalar in scalars {
            let Scalar::Number(bound) = scalar else {
                reader.at(node, path, format!("{name} is a number; compare it with a number: {{gte: 3}}"));
                return;
            };
            bounds.push(*bound);
        }
    }
    if is_whole && bounds.iter().any(|bound| bound.0 < 0 || bound.0 % DECIMAL_ONE != 0) {
        reader.at(node, path, format!("{name} is a whole number, 0 or more; compare it with one"));
    } else if *aggregate == Aggregate::Count && windowed && bounds.iter().any(|bound| bound.0 > WINDOW_COUNT_MAX * DECIMAL_ONE) {
        reader.at(node, path, format!("a count within a window compares with {WINDOW_COUNT_MAX} at most"));
    }
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

/// Which events, over which time.
struct Scope {
    filters: Vec<Filter>,
    within: Option<Span>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

fn scope(reader: &mut Reader, entries: &[(Key, Node)], path: &str) -> Option<Scope> {
    let mut filters = Vec::new();
    if let Some(node) = get(entries, "where") {
        let path = join(path, "where");
        for (key, node) in reader.map(node, &path).unwrap_or_default() {
            let path = join(&path, &key.text);
            if key.text.split('.').any(str::is_empty) {
                reader.at_key(
                    key,
                    &path,
                    format!("{:?} is not a path; write names with dots between, such as products.name", key.text),
                );
            }
            filters.extend(test_of(reader, node, &path).map(|test| Filter { path: key.text.clone(), test }));
        }
    }
    let within = get(entries, "within").and_then(|node| span(reader, node, &join(path, "within")));
    let since = get(entries, "since").and_then(|node| instant(reader, node, &join(path, "since")));
    let until = get(entries, "until").and_then(|node| instant(reader, node, &join(path, "until")));
    if let Some(node) = get(entries, "within")
        && (get(entries, "since").is_some() || get(entries, "until").is_some())
    {
        reader.at(node, &join(path, "within"), "within slides with time; it does not stand beside since or until");
    }
    if let (Some(since), Some(until), Some(node)) = (since, until, get(entries, "until"))
        && until <= since
    {
        reader.at(node, &join(path, "until"), "until is after since");
    }
    Some(Scope { filters, within, since, until })
}

pub fn span(reader: &mut Reader, node: &Node, path: &str) -> Option<Span> {
    let text = reader.text(node, path)?;
    let span = Span::parse(&text);
    if span.is_none() {
        reader.at(node, path, format!("{text:?} is not a duration; write {}", likely_span(&text)));
    }
    span
}

/// What `14 days` or `2 months` was meant to be.
fn likely_span(text: &str) -> String {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim().to_ascii_lowercase();
    let number: i64 = number.parse().unwrap_or(0);
    let (times, unit) = match unit.chars().next() {
        Some('m') if unit.starts_with("mo") => (30, 'd'),
        Some('y') => (365, 'd'),
        Some(unit) if "smhdw".contains(unit) => (1, unit),
        _ => (1, 'd'),
    };
    let likely = number.checked_mul(times).map(|number| format!("{number}{unit}"));
    likely.filter(|likely| Span::parse(likely).is_some()).unwrap_or_else(|| "14d".into())
}

/// Comparisons that stand beside `but`; none: it exists.
fn test_beside(reader: &mut Reader, entries: &[(Key, Node)], path: &str, but: &str) -> Option<Test> {
    let known: Vec<&str> = [but].into_iter().chain(COMPARISONS).collect();
    reader.only(entries, path, &known);
    let test = comparisons(reader, entries, path)?;
    Some(if test.is_empty() { Test(vec![Comparison::Exists(true)]) } else { Test(test) })
}

/// A scalar (equal to it), a list (one of it), or a map of comparisons.
fn test_of(reader: &mut Reader, node: &Node, path: &str) -> Option<Test> {
    match &node.value {
        Value::Map(entries) => {
            reader.only(entries, path, &COMPARISONS);
            if entries.is_empty() {
                reader.at(node, path, format!("a comparison is one of {}", listed(&COMPARISONS)));
            }
            comparisons(reader, entries, path).map(Test)
        }
        Value::List(_) => comparison(reader, "in", node, path).map(|comparison| Test(vec![comparison])),
        _ => scalar(reader, node, path).map(|scalar| Test(vec![Comparison::Eq(scalar)])),
    }
}

/// All that are known, so that each wrong one is reported.
fn comparisons(reader: &mut Reader, entries: &[(Key, Node)], path: &str) -> Option<Vec<Comparison>> {
    let known = entries.iter().filter(|(key, _)| COMPARISONS.contains(&key.text.as_str()));
    let read: Vec<Option<Comparison>> =
        known.map(|(key, node)| comparison(reader, &key.text, node, &join(path, &key.text))).collect();
    read.into_iter().collect()
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
    let text = reader.text(node, path)?;
    if text.len() > PATTERN_BYTES_MAX {
        reader.at(node, path, format!("a regular expression has {PATTERN_BYTES_MAX} bytes at most"));
    } else if let Err(error) = regex::Regex::new(&text) {
        // The last line says what; those before draw where.
        let what = error.to_string();
        let last = what.lines().last().unwrap_or_default().trim_start_matches("error:").trim();
        reader.at(node, path, format!("{text:?} is not a regular expression: {last}"));
    }
    Some(text)
}

fn scalar(reader: &mut Reader, node: &Node, path: &str) -> Option<Scalar> {
    match &node.value {
        Value::Bool(flag) => Some(Scalar::Bool(*flag)),
        Value::Number(_) => number(reader, node, path).map(Scalar::Number),
        Value::Text(text) => Some(Scalar::Text(text.clone())),
        _ => {
            reader.at(node, path, format!("a text, a number, true or false is expected here, not {}", node.kind()));
            None
        }
    }
}

fn scalars(reader: &mut Reader, node: &Node, path: &str) -> Option<Vec<Scalar>> {
    let items = reader.list(node, path)?;
    if items.is_empty() || items.len() > LIST_MAX {
        reader.at(node, path, format!("a list to compare with has 1 to {LIST_MAX} items, not {}", items.len()));
        return None;
    }
    let read: Vec<Option<Scalar>> =
        items.iter().enumerate().map(|(n, item)| scalar(reader, item, &format!("{path}[{n}]"))).collect();
    read.into_iter().collect()
}

/// `{count: Order Completed, within: 365d}`, `{sum: Order Completed.total}`, or long: `{sum: {event: "A.b", of: total}}`.
pub fn computed(reader: &mut Reader, node: &Node, entries: &[(Key, Node)], path: &str) -> Option<EventQuery> {
    let known: Vec<&str> = AGGREGATES.into_iter().chain(["where", "within", "since", "until", "label"]).collect();
    reader.only(entries, path, &known);
    let scope = scope(reader, entries, path);
    let aggregates: Vec<&str> = AGGREGATES.into_iter().filter(|name| get(entries, name).is_some()).collect();
    let name = match aggregates.as_slice() {
        [name] => *name,
        [] => {
            reader.at(node, path, format!("a computed trait has one of {}", listed(&AGGREGATES)));
            return None;
        }
        several => {
            reader.at(node, path, format!("{} are several; a computed trait has one", several.join(" and ")));
            return None;
        }
    };
    let inner = get(entries, name)?;
    let inner_path = join(path, name);
    let (event, of) = match &inner.value {
        Value::Map(long) => long_form(reader, name, inner, long, &inner_path)?,
        _ => short_form(reader, name, inner, &inner_path)?,
    };
    let aggregate = match of {
        Some(of) => aggregate_of(name, of)?,
        None => Aggregate::Count,
    };
    let Scope { filters, within, since, until } = scope?;
    Some(EventQuery { event, filters, aggregate, within, since, until })
}

/// `{event: "A.b", of: total}`; `count` has no `of`.
fn long_form(
    reader: &mut Reader,
    name: &str,
    node: &Node,
    entries: &[(Key, Node)],
    path: &str,
) -> Option<(String, Option<String>)> {
    let parts: &[&str] = if name == "count" { &["event"] } else { &["event", "of"] };
    reader.only(entries, path, parts);
    for part in parts.iter().filter(|part| get(entries, part).is_none()) {
        reader.at(node, path, format!("the long form of {name} has {}; {part} is missing", parts.join(" and ")));
    }
    let event = get(entries, "event").and_then(|node| reader.name(node, &join(path, "event")));
    if name == "count" {
        return Some((event?, None));
    }
    let of = get(entries, "of").and_then(|node| reader.dotted(node, &join(path, "of")));
    Some((event?, Some(of?)))
}

/// `Order Completed.total`: the event is what stands before the first dot.
fn short_form(reader: &mut Reader, name: &str, node: &Node, path: &str) -> Option<(String, Option<String>)> {
    let text = reader.name(node, path)?;
    if name == "count" {
        return Some((text, None));
    }
    match text.split_once('.') {
        Some((event, of)) if !event.is_empty() => {
            reader.is_dotted(node, path, of).then(|| (event.to_owned(), Some(of.to_owned())))
        }
        _ => {
            reader.at(node, path, format!("{name} says of what, behind a dot: Order Completed.total"));
            None
        }
    }
}
