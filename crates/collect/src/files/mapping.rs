//! The mapping file: how rows become events. Parsed once, with every problem of the text; [`super::fill`] applies it.

use std::fmt;

use jiff::tz::TimeZone;
use jumelle_model::consent::Channel;
use jumelle_model::event::EventKind;
use jumelle_model::number::Decimal;
use serde_json::{Map, Value};

use super::cell::TimeFormat;

/// Problems reported at once, at most.
const PROBLEMS_MAX: usize = 100;
/// Factors of a `sum`, at most: three times six decimal places fit into 128 bits.
const FACTORS_MAX: usize = 3;
/// Nesting of an expression, at most.
const DEPTH_MAX: usize = 16;

/// What is wrong with a mapping.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MappingProblem {
    /// `events[0].properties.total`
    pub path: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// Everything that is wrong with a mapping, up to 100 problems.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MappingProblems(pub Vec<MappingProblem>);

impl fmt::Display for MappingProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() { f.write_str(&self.message) } else { write!(f, "{}: {}", self.path, self.message) }
    }
}

impl fmt::Display for MappingProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.0.iter().enumerate() {
            if n > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for MappingProblem {}
impl std::error::Error for MappingProblems {}

/// A mapping, checked but not yet bound to a file. Columns are places in `columns`.
#[derive(Clone, PartialEq, Debug)]
pub struct Mapping {
    pub(crate) file: FileOptions,
    pub(crate) zone: TimeZone,
    pub(crate) group_by: Vec<usize>,
    pub(crate) events: Vec<EventMapping>,
    /// Names of the columns that are used.
    pub(crate) columns: Vec<String>,
}

/// How a file is written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct FileOptions {
    pub(crate) format: Option<Format>,
    pub(crate) delimiter: Option<u8>,
    pub(crate) quote: u8,
    pub(crate) encoding: Encoding,
    /// Texts that mean nothing, beside the empty one.
    pub(crate) empty: Vec<String>,
    /// Decimal mark of texts.
    pub(crate) decimal: char,
}

impl Default for FileOptions {
    fn default() -> FileOptions {
        FileOptions { format: None, delimiter: None, quote: b'"', encoding: Encoding::Utf8, empty: Vec::new(), decimal: '.' }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Format {
    Csv,
    Parquet,
    JsonLines,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Encoding {
    Utf8,
    Latin1,
}

/// One event that a row, or a group of rows, makes.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct EventMapping {
    pub(crate) when: Vec<(usize, Condition)>,
    pub(crate) fields: Vec<(String, Expression)>,
    pub(crate) consents: Vec<ConsentMapping>,
}

/// One entry of `context.consents`; left out where its state is.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct ConsentMapping {
    pub(crate) state: Expression,
    pub(crate) at: Option<Expression>,
    pub(crate) rest: Vec<(String, Expression)>,
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Condition {
    Is(Vec<String>),
    IsNot(Vec<String>),
    StartsWith(Vec<String>),
    NotStartsWith(Vec<String>),
    Contains(String),
    Exists(bool),
    /// Compared as numbers.
    Gt(Decimal),
    Gte(Decimal),
    Lt(Decimal),
    Lte(Decimal),
}

/// Where a value comes from.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Expression {
    Constant(Value),
    /// `"order-{id}"`: missing if any column is.
    Template(Vec<Part>),
    Column(Box<ColumnValue>),
    /// Over the group's rows, a product, each row rounded to so many digits.
    Sum {
        factors: Vec<Factor>,
        digits: u32,
    },
    /// How many rows.
    Rows,
    /// A list: one item per row of the group.
    Each(Vec<(String, Expression)>),
    /// The first that is there.
    AnyOf(Vec<Expression>),
    Object(Vec<(String, Expression)>),
    List(Vec<Expression>),
}

/// `{column: …, as: …, trim: …, format: …, map: {…}}`
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct ColumnValue {
    pub(crate) column: usize,
    pub(crate) cast: Cast,
    pub(crate) trim: bool,
    pub(crate) format: TimeFormat,
    /// Text of the cell → value.
    pub(crate) map: Option<Vec<(String, Value)>>,
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Part {
    Text(String),
    Column(usize),
    /// `{$row}`: the row's number.
    RowNumber,
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Factor {
    Column(usize),
    Number(Decimal),
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Cast {
    AsIs,
    Text,
    Integer,
    Number,
    Bool,
    Time,
}

const ROOT: [&str; 4] = ["file", "group_by", "timezone", "events"];
const FILE: [&str; 6] = ["format", "delimiter", "quote", "encoding", "empty", "decimal"];
const FIELDS: [&str; 15] = [
    "when",
    "type",
    "event",
    "name",
    "messageId",
    "timestamp",
    "userId",
    "anonymousId",
    "previousId",
    "groupId",
    "properties",
    "traits",
    "context",
    "consents",
    "category",
];
const CONSENT: [&str; 6] = ["purpose", "channel", "state", "at", "for", "proof"];
const CONDITIONS: [&str; 12] =
    ["eq", "ne", "in", "not_in", "starts_with", "not_starts_with", "contains", "exists", "gt", "gte", "lt", "lte"];
const COLUMN: [&str; 5] = ["column", "as", "trim", "format", "map"];
const SUM: [&str; 2] = ["sum", "digits"];
const CASTS: [(&str, Cast); 6] = [
    ("text", Cast::Text),
    ("integer", Cast::Integer),
    ("number", Cast::Number),
    ("decimal", Cast::Number),
    ("bool", Cast::Bool),
    ("time", Cast::Time),
];

impl Mapping {
    /// Reads and checks a mapping file.
    pub fn parse(text: &str) -> Result<Mapping, MappingProblems> {
        let root = jumelle_model::workspace::read_yaml(text)
            .map_err(|problems| MappingProblems(vec![MappingProblem { path: String::new(), message: problems.to_string() }]))?;
        let mut check = Check::default();
        let mapping = check.mapping(&root);
        match (mapping, check.problems.is_empty()) {
            (Some(mapping), true) => Ok(Mapping { columns: check.columns, ..mapping }),
            _ => Err(MappingProblems(check.problems)),
        }
    }

    /// Rows are grouped into events.
    pub fn groups(&self) -> bool {
        !self.group_by.is_empty()
    }
}

/// Collects problems and the names of columns while reading.
#[derive(Default)]
struct Check {
    problems: Vec<MappingProblem>,
    columns: Vec<String>,
    depth: usize,
}

impl Check {
    fn report<T>(&mut self, path: &str, message: impl Into<String>) -> Option<T> {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(MappingProblem { path: path.to_owned(), message: message.into() });
        }
        None
    }

    fn column(&mut self, name: &str) -> usize {
        self.columns.iter().position(|known| known == name).unwrap_or_else(|| {
            self.columns.push(name.to_owned());
            self.columns.len() - 1
        })
    }

    fn map<'v>(&mut self, value: &'v Value, path: &str, known: &[&str]) -> Option<&'v Map<String, Value>> {
        let Value::Object(entries) = value else {
            return self.report(path, format!("a map is expected here; its keys are {}", known.join(", ")));
        };
        for key in entries.keys().filter(|key| !known.contains(&key.as_str())) {
            let near = known.iter().find(|word| alike(word, key));
            let hint = near.map_or_else(String::new, |word| format!("; did you mean {word}?"));
            self.report::<()>(&join(path, key), format!("there is no {key:?} here; there are {}{hint}", known.join(", ")));
        }
        Some(entries)
    }

    /// A text, or a list of texts.
    fn texts(&mut self, value: &Value, path: &str) -> Option<Vec<String>> {
        let texts: Option<Vec<String>> = match value {
            Value::Array(items) => items.iter().map(plain_text).collect(),
            other => plain_text(other).map(|text| vec![text]),
        };
        texts.or_else(|| {
            self.report(path, "a text is expected here, or a list of texts; quote what YAML takes for something else: \"NULL\"")
        })
    }

    fn mapping(&mut self, root: &Value) -> Option<Mapping> {
        let root = self.map(root, "", &ROOT)?;
        let file = root.get("file").and_then(|file| self.file(file)).unwrap_or_default();
        let group_by = root.get("group_by").and_then(|columns| self.texts(columns, "group_by")).unwrap_or_default();
        let group_by = group_by.iter().map(|column| self.column(column)).collect();
        let zone = match root.get("timezone") {
            None => TimeZone::UTC,
            Some(name) => match name.as_str().and_then(|name| TimeZone::get(name).ok()) {
                Some(zone) => zone,
                None => self.report("timezone", format!("{name} is not a time zone; write Europe/Paris"))?,
            },
        };
        let Some(Value::Array(list)) = root.get("events") else { return self.report("events", "a list of events is expected") };
        if list.is_empty() {
            return self.report("events", "at least one event is expected");
        }
        let events = list.iter().enumerate().filter_map(|(n, event)| self.event(event, &format!("events[{n}]"))).collect();
        Some(Mapping { file, zone, group_by, events, columns: Vec::new() })
    }

    fn file(&mut self, value: &Value) -> Option<FileOptions> {
        let entries = self.map(value, "file", &FILE)?;
        let mut options = FileOptions::default();
        for (key, value) in entries {
            let path = join("file", key);
            let text = plain_text(value).unwrap_or_default();
            match (key.as_str(), text.as_str()) {
                ("format", "csv") => options.format = Some(Format::Csv),
                ("format", "parquet") => options.format = Some(Format::Parquet),
                ("format", "jsonl") => options.format = Some(Format::JsonLines),
                ("format", _) => self.report(&path, "the format is one of csv, parquet, jsonl").unwrap_or_default(),
                ("delimiter", "tab" | "\t") => options.delimiter = Some(b'\t'),
                ("delimiter" | "quote", one) if one.len() == 1 => match key.as_str() {
                    "quote" => options.quote = one.as_bytes()[0],
                    _ => options.delimiter = Some(one.as_bytes()[0]),
                },
                ("delimiter" | "quote", _) => {
                    self.report(&path, "one ASCII character is expected here, or tab").unwrap_or_default()
                }
                ("encoding", "utf-8") => options.encoding = Encoding::Utf8,
                ("encoding", "latin-1") => options.encoding = Encoding::Latin1,
                ("encoding", _) => self.report(&path, "the encoding is utf-8 or latin-1").unwrap_or_default(),
                ("empty", _) => options.empty = self.texts(value, &path).unwrap_or_default(),
                ("decimal", ".") => options.decimal = '.',
                ("decimal", ",") => options.decimal = ',',
                ("decimal", _) => self.report(&path, "the decimal mark is \".\" or \",\"").unwrap_or_default(),
                _ => {}
            }
        }
        Some(options)
    }

    fn event(&mut self, value: &Value, path: &str) -> Option<EventMapping> {
        let entries = self.map(value, path, &FIELDS)?;
        let kind = match entries.get("type").and_then(Value::as_str).map(EventKind::parse) {
            Some(Some(kind)) => kind,
            _ => {
                let kinds = EventKind::ALL.map(EventKind::as_str).join(", ");
                return self.report(&join(path, "type"), format!("an event has a type, one of {kinds}"));
            }
        };
        let mut needed = vec![("messageId", "made of columns, it is what makes a second import change nothing: \"order-{id}\"")];
        if kind == EventKind::Track {
            needed.push(("event", "a track call has a name: Order Completed"));
        }
        if matches!(kind, EventKind::Track | EventKind::Page | EventKind::Screen) {
            needed.push(("timestamp", "what happened has a time: {column: date}"));
        }
        for (field, why) in needed {
            if !entries.contains_key(field) {
                self.report::<()>(&join(path, field), format!("missing; {why}"));
            }
        }
        if let Some(Value::String(text)) = entries.get("messageId") {
            // Two files with the same ids: the second would be taken for a repetition, and be lost without a word.
            let others = text.replace("{$row}", "");
            if !others.contains('{') {
                let whose = if *text == others { "every row" } else { "the rows of another file" };
                let message = format!("{whose} would have the same; make it of columns: \"order-{{id}}\"");
                self.report::<()>(&join(path, "messageId"), message);
            }
        }
        let when = entries.get("when").map(|when| self.when(when, &join(path, "when"))).unwrap_or_default();
        let consents = match entries.get("consents") {
            None => Vec::new(),
            Some(Value::Array(items)) => {
                let path = join(path, "consents");
                items.iter().enumerate().filter_map(|(n, item)| self.consent(item, &format!("{path}[{n}]"))).collect()
            }
            Some(_) => self.report(&join(path, "consents"), "a list is expected here").unwrap_or_default(),
        };
        let mut fields = Vec::new();
        for (key, value) in entries.iter().filter(|(key, _)| !["when", "consents"].contains(&key.as_str())) {
            let path = join(path, key);
            let Some(mut expression) = self.expression(value, &path) else { continue };
            if key == "timestamp" {
                as_time(&mut expression);
            }
            fields.push((key.clone(), expression));
        }
        Some(EventMapping { when, fields, consents })
    }

    fn consent(&mut self, value: &Value, path: &str) -> Option<ConsentMapping> {
        let entries = self.map(value, path, &CONSENT)?;
        if !entries.contains_key("purpose") {
            self.report::<()>(&join(path, "purpose"), "a consent names its purpose");
        }
        if let Some(Value::String(channel)) = entries.get("channel")
            && Channel::parse(channel).is_none()
            // Whether the workspace has declared it is known where the events arrive.
            && Channel::declared(channel, Channel::Postal).is_none()
        {
            let known = Channel::ALL.map(Channel::as_str).join(", ");
            let message = format!("{channel:?} is not one of {known}, nor the name of a channel of the workspace's own");
            self.report::<()>(&join(path, "channel"), message);
        }
        let state_path = join(path, "state");
        let state = match entries.get("state") {
            None => self.report(
                &state_path,
                "a consent has a state: granted, denied, or {column: optin, map: {yes: granted, no: denied}}",
            ),
            Some(Value::String(state)) if !["granted", "denied"].contains(&state.as_str()) => {
                self.report(&state_path, format!("{state:?} is not granted or denied"))
            }
            Some(state) => self.expression(state, &state_path),
        };
        let at = entries.get("at").and_then(|at| self.expression(at, &join(path, "at"))).map(|mut at| {
            as_time(&mut at);
            at
        });
        let mut rest = Vec::new();
        for (key, value) in entries.iter().filter(|(key, _)| !["state", "at"].contains(&key.as_str())) {
            rest.extend(self.expression(value, &join(path, key)).map(|expression| (key.clone(), expression)));
        }
        Some(ConsentMapping { state: state?, at, rest })
    }

    fn when(&mut self, value: &Value, path: &str) -> Vec<(usize, Condition)> {
        let mut conditions = Vec::new();
        let Value::Object(columns) = value else {
            return self.report(path, "a map of columns is expected here: {InvoiceNo: {starts_with: C}}").unwrap_or_default();
        };
        for (name, tests) in columns {
            let (path, column) = (join(path, name), self.column(name));
            let Value::Object(_) = tests else {
                conditions.extend(self.texts(tests, &path).map(|texts| (column, Condition::Is(texts))));
                continue;
            };
            for (test, value) in self.map(tests, &path, &CONDITIONS).into_iter().flatten() {
                conditions.extend(self.condition(test, value, &join(&path, test)).map(|condition| (column, condition)));
            }
        }
        conditions
    }

    fn condition(&mut self, test: &str, value: &Value, path: &str) -> Option<Condition> {
        let number = |value: &Value| plain_text(value).and_then(|text| Decimal::parse(&text));
        let condition = match test {
            "eq" | "in" => Condition::Is(self.texts(value, path)?),
            "ne" | "not_in" => Condition::IsNot(self.texts(value, path)?),
            "starts_with" => Condition::StartsWith(self.texts(value, path)?),
            "not_starts_with" => Condition::NotStartsWith(self.texts(value, path)?),
            "contains" => Condition::Contains(plain_text(value)?),
            "exists" => match value {
                Value::Bool(flag) => Condition::Exists(*flag),
                _ => return self.report(path, "true or false is expected here"),
            },
            // An unknown test is reported with its map.
            _ if !CONDITIONS.contains(&test) => return None,
            _ => match (test, number(value)) {
                ("gt", Some(number)) => Condition::Gt(number),
                ("gte", Some(number)) => Condition::Gte(number),
                ("lt", Some(number)) => Condition::Lt(number),
                ("lte", Some(number)) => Condition::Lte(number),
                _ => return self.report(path, "a number is expected here"),
            },
        };
        Some(condition)
    }

    fn expression(&mut self, value: &Value, path: &str) -> Option<Expression> {
        if self.depth >= DEPTH_MAX {
            return self.report(path, format!("nested more than {DEPTH_MAX} levels"));
        }
        self.depth += 1;
        let expression = match value {
            Value::String(text) if text.contains(['{', '}']) => self.template(text, path),
            Value::Array(items) => self.list(items, path).map(Expression::List),
            Value::Object(entries) => self.object(entries, path),
            constant => Some(Expression::Constant(constant.clone())),
        };
        self.depth -= 1;
        expression
    }

    fn list(&mut self, items: &[Value], path: &str) -> Option<Vec<Expression>> {
        items.iter().enumerate().map(|(n, item)| self.expression(item, &format!("{path}[{n}]"))).collect()
    }

    fn fields(&mut self, entries: &Map<String, Value>, path: &str) -> Option<Vec<(String, Expression)>> {
        entries.iter().map(|(key, value)| Some((key.clone(), self.expression(value, &join(path, key))?))).collect()
    }

    /// A map is an expression if it has one of their words, else an object.
    fn object(&mut self, entries: &Map<String, Value>, path: &str) -> Option<Expression> {
        if entries.contains_key("column") {
            return self.column_value(entries, path);
        }
        if let Some(product) = entries.get("sum") {
            self.map(&Value::Object(entries.clone()), path, &SUM)?;
            return self.sum(product, entries.get("digits"), path);
        }
        match (entries.len(), entries.iter().next()) {
            (1, Some((name, Value::String(what)))) if name == "count" && what == "rows" => Some(Expression::Rows),
            (1, Some((name, Value::Object(item)))) if name == "each" => {
                self.fields(item, &join(path, "each")).map(Expression::Each)
            }
            (1, Some((name, Value::Array(options)))) if name == "any_of" => {
                self.list(options, &join(path, "any_of")).map(Expression::AnyOf)
            }
            _ => self.fields(entries, path).map(Expression::Object),
        }
    }

    fn column_value(&mut self, entries: &Map<String, Value>, path: &str) -> Option<Expression> {
        self.map(&Value::Object(entries.clone()), path, &COLUMN)?;
        let Some(column) = entries.get("column").and_then(plain_text) else {
            return self.report(&join(path, "column"), "the name of a column is expected here");
        };
        let column = self.column(&column);
        let cast = match entries.get("as") {
            None => Cast::AsIs,
            Some(word) => match CASTS.iter().find(|(name, _)| word == name) {
                Some((_, cast)) => *cast,
                None => {
                    return self.report(&join(path, "as"), format!("{word} is not one of text, integer, decimal, bool, time"));
                }
            },
        };
        let trim = match entries.get("trim") {
            None => false,
            Some(Value::Bool(flag)) => *flag,
            Some(_) => return self.report(&join(path, "trim"), "true or false is expected here"),
        };
        let (cast, format) = match entries.get("format") {
            None => (cast, TimeFormat::Iso),
            Some(text) => match (cast, text.as_str().and_then(TimeFormat::parse)) {
                (Cast::AsIs | Cast::Time, Some(format)) => (Cast::Time, format),
                (_, Some(_)) => return self.report(&join(path, "format"), "a format is that of a time; write as: time"),
                (_, None) => {
                    let right = "write iso, unix, unix_ms, or directives such as \"%d/%m/%Y %H:%M\"";
                    return self.report(&join(path, "format"), format!("{text} is not a format of times; {right}"));
                }
            },
        };
        let map = match entries.get("map") {
            None => None,
            Some(Value::Object(pairs)) => Some(pairs.iter().map(|(from, to)| (from.clone(), to.clone())).collect()),
            Some(_) => {
                return self
                    .report(&join(path, "map"), "a map from texts to values is expected here: {yes: granted, no: denied}");
            }
        };
        Some(Expression::Column(Box::new(ColumnValue { column, cast, trim, format, map })))
    }

    fn sum(&mut self, product: &Value, digits: Option<&Value>, path: &str) -> Option<Expression> {
        let digits = match digits.map_or(Some(2), Value::as_u64).and_then(|digits| u32::try_from(digits).ok()) {
            Some(digits) if digits <= 6 => digits,
            _ => return self.report(&join(path, "digits"), "a whole number from 0 to 6 is expected here"),
        };
        let Some(text) = product.as_str() else {
            return self
                .report(&join(path, "sum"), "a column, or a product of columns, is expected here: \"Quantity * UnitPrice\"");
        };
        let factors: Vec<Factor> = text
            .split('*')
            .map(str::trim)
            .map(|factor| Decimal::parse(factor).map_or_else(|| Factor::Column(self.column(factor)), Factor::Number))
            .collect();
        if factors.len() > FACTORS_MAX || text.split('*').any(|factor| factor.trim().is_empty()) {
            return self
                .report(&join(path, "sum"), format!("{text:?} is not a product of one to {FACTORS_MAX} columns or numbers"));
        }
        Some(Expression::Sum { factors, digits })
    }

    fn template(&mut self, text: &str, path: &str) -> Option<Expression> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            let Some(close) = rest[open..].find('}') else { return self.report(path, format!("{text:?} has a {{ without a }}")) };
            if open > 0 {
                parts.push(Part::Text(rest[..open].to_owned()));
            }
            parts.push(match &rest[open + 1..open + close] {
                "$row" => Part::RowNumber,
                "" => return self.report(path, format!("{text:?} names no column between {{ and }}")),
                column => Part::Column(self.column(column)),
            });
            rest = &rest[open + close + 1..];
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Some(Expression::Template(parts))
    }
}

/// A bare column is read as a time where a time belongs.
fn as_time(expression: &mut Expression) {
    match expression {
        Expression::Column(value) if value.cast == Cast::AsIs => value.cast = Cast::Time,
        Expression::AnyOf(options) => options.iter_mut().for_each(as_time),
        _ => {}
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The same word in another writing: `message_id`, `MessageID`.
fn alike(a: &str, b: &str) -> bool {
    let letters = |word: &str| word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect::<String>();
    letters(a) == letters(b)
}

fn plain_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}
