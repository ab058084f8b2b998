//! The mapping file: how rows become events.

use std::fmt;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jumelle_model::number::{Decimal, round_div};
use jumelle_model::time::Timestamp;
use serde_json::{Map, Value};

use super::read::{Cell, ReadError};

/// What is wrong with a mapping.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MappingProblem {
    /// `events[0].properties.total`
    pub path: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for MappingProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() { f.write_str(&self.message) } else { write!(f, "{}: {}", self.path, self.message) }
    }
}

impl std::error::Error for MappingProblem {}

/// A mapping, checked but not yet bound to a file's columns.
#[derive(Clone, PartialEq, Debug)]
pub struct Mapping {
    group_by: Vec<String>,
    timezone: TimeZone,
    events: Vec<EventMapping>,
}

#[derive(Clone, PartialEq, Debug)]
struct EventMapping {
    when: Vec<(String, Condition)>,
    fields: Vec<(String, Expression)>,
}

#[derive(Clone, PartialEq, Debug)]
enum Condition {
    Is(Vec<String>),
    StartsWith(Vec<String>),
    NotStartsWith(Vec<String>),
    Contains(String),
    Exists(bool),
}

/// Where a value comes from. Columns are names until bound, then numbers.
#[derive(Clone, PartialEq, Debug)]
enum Expression {
    Constant(Value),
    /// `"order-{id}"`: missing if any column is.
    Template(Vec<Part>),
    Column {
        column: String,
        cast: Cast,
    },
    /// Sum over the group's rows of a product of columns, each row rounded to two decimals.
    Sum(Vec<String>),
    /// How many rows.
    Rows,
    /// A list: one item per row of the group.
    Each(Vec<(String, Expression)>),
    /// The first that is there.
    AnyOf(Vec<Expression>),
    Object(Vec<(String, Expression)>),
    List(Vec<Expression>),
}

#[derive(Clone, PartialEq, Debug)]
enum Part {
    Text(String),
    Column(String),
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Cast {
    AsIs,
    Text,
    Integer,
    Number,
    Bool,
    Time,
}

const FIELDS: [&str; 12] = [
    "when",
    "type",
    "event",
    "messageId",
    "timestamp",
    "userId",
    "anonymousId",
    "previousId",
    "groupId",
    "properties",
    "traits",
    "context",
];

type Read<T> = Result<T, MappingProblem>;

fn problem<T>(path: &str, message: impl Into<String>) -> Read<T> {
    Err(MappingProblem { path: path.to_owned(), message: message.into() })
}

impl Mapping {
    /// Reads and checks a mapping file.
    pub fn parse(text: &str) -> Read<Mapping> {
        let root = jumelle_model::workspace::read_yaml(text)
            .map_err(|problems| MappingProblem { path: String::new(), message: problems.to_string() })?;
        let Value::Object(root) = root else { return problem("", "a mapping is a map with a list `events`") };
        for key in root.keys() {
            if !["group_by", "timezone", "events"].contains(&key.as_str()) {
                return problem(key, "there is no such key here; there are group_by, timezone, events");
            }
        }
        let group_by = match root.get("group_by") {
            None => Vec::new(),
            Some(Value::String(column)) => vec![column.clone()],
            Some(Value::Array(columns)) => columns
                .iter()
                .map(|column| match column {
                    Value::String(column) => Ok(column.clone()),
                    _ => problem("group_by", "a list of column names"),
                })
                .collect::<Read<_>>()?,
            Some(_) => return problem("group_by", "a column name, or a list of them"),
        };
        let timezone = match root.get("timezone") {
            None => TimeZone::UTC,
            Some(Value::String(name)) => match TimeZone::get(name) {
                Ok(zone) => zone,
                Err(_) => return problem("timezone", format!("{name:?} is not a time zone; write Europe/Paris")),
            },
            Some(_) => return problem("timezone", "a time zone is a text such as Europe/Paris"),
        };
        let Some(Value::Array(list)) = root.get("events") else { return problem("events", "a list of events is expected") };
        let events =
            list.iter().enumerate().map(|(n, event)| event_mapping(event, &format!("events[{n}]"))).collect::<Read<Vec<_>>>()?;
        if events.is_empty() {
            return problem("events", "at least one event is expected");
        }
        Ok(Mapping { group_by, timezone, events })
    }

    /// Rows are grouped into events.
    pub fn groups(&self) -> bool {
        !self.group_by.is_empty()
    }

    /// Finds the columns in a file.
    pub(crate) fn bind(&self, columns: &[String]) -> Result<Bound, ReadError> {
        let mut named: Vec<&str> = self.group_by.iter().map(String::as_str).collect();
        for event in &self.events {
            named.extend(event.when.iter().map(|(column, _)| column.as_str()));
            event.fields.iter().for_each(|(_, expression)| expression.columns(&mut named));
        }
        for name in named {
            if !columns.iter().any(|column| column == name) {
                return Err(ReadError::Mapping(format!("the file has no column {name:?}; it has {}", columns.join(", "))));
            }
        }
        Ok(Bound { mapping: self.clone(), columns: columns.to_vec() })
    }
}

fn event_mapping(value: &Value, path: &str) -> Read<EventMapping> {
    let Value::Object(entries) = value else { return problem(path, "an event is a map") };
    for key in entries.keys() {
        if !FIELDS.contains(&key.as_str()) {
            return problem(&format!("{path}.{key}"), format!("there is no such field; there are {}", FIELDS.join(", ")));
        }
    }
    for needed in ["type", "messageId"] {
        if !entries.contains_key(needed) {
            return problem(
                path,
                format!("an event has a {needed}; a messageId made of columns is what makes a second import change nothing"),
            );
        }
    }
    let mut when = Vec::new();
    if let Some(conditions) = entries.get("when") {
        let path = format!("{path}.when");
        let Value::Object(conditions) = conditions else { return problem(&path, "a map of columns is expected") };
        for (column, test) in conditions {
            when.push((column.clone(), condition(test, &format!("{path}.{column}"))?));
        }
    }
    let fields = entries
        .iter()
        .filter(|(key, _)| *key != "when")
        .map(|(key, value)| {
            let path = format!("{path}.{key}");
            let expression = match (key.as_str(), expression(value, &path)?) {
                ("timestamp", Expression::Column { column, cast: Cast::AsIs }) => Expression::Column { column, cast: Cast::Time },
                (_, expression) => expression,
            };
            Ok((key.clone(), expression))
        })
        .collect::<Read<_>>()?;
    Ok(EventMapping { when, fields })
}

fn condition(value: &Value, path: &str) -> Read<Condition> {
    let texts = |value: &Value| -> Vec<String> {
        match value {
            Value::Array(items) => items.iter().map(plain_text).collect(),
            other => vec![plain_text(other)],
        }
    };
    let Value::Object(test) = value else { return Ok(Condition::Is(texts(value))) };
    let mut entries = test.iter();
    match (entries.next(), entries.next()) {
        (Some((name, value)), None) => match (name.as_str(), value) {
            ("in", Value::Array(_)) => Ok(Condition::Is(texts(value))),
            ("starts_with", value) => Ok(Condition::StartsWith(texts(value))),
            ("not_starts_with", value) => Ok(Condition::NotStartsWith(texts(value))),
            ("contains", Value::String(text)) => Ok(Condition::Contains(text.clone())),
            ("exists", Value::Bool(flag)) => Ok(Condition::Exists(*flag)),
            _ => problem(path, "a condition is a value, or one of in, starts_with, not_starts_with, contains, exists"),
        },
        _ => problem(path, "one condition per column"),
    }
}

fn plain_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn expression(value: &Value, path: &str) -> Read<Expression> {
    match value {
        Value::String(text) if text.contains('{') => template(text, path),
        Value::Array(items) => Ok(Expression::List(
            items.iter().enumerate().map(|(n, item)| expression(item, &format!("{path}[{n}]"))).collect::<Read<_>>()?,
        )),
        Value::Object(entries) => object(entries, path),
        constant => Ok(Expression::Constant(constant.clone())),
    }
}

fn object(entries: &Map<String, Value>, path: &str) -> Read<Expression> {
    let fields = |entries: &Map<String, Value>, path: &str| -> Read<Vec<(String, Expression)>> {
        entries.iter().map(|(key, value)| Ok((key.clone(), expression(value, &format!("{path}.{key}"))?))).collect()
    };
    if let Some(column) = entries.get("column") {
        let Value::String(column) = column else { return problem(path, "column names a column") };
        let cast = match entries.get("as").map(plain_text).as_deref() {
            None => Cast::AsIs,
            Some("text") => Cast::Text,
            Some("integer") => Cast::Integer,
            Some("number") => Cast::Number,
            Some("bool") => Cast::Bool,
            Some("time") => Cast::Time,
            Some(other) => {
                return problem(&format!("{path}.as"), format!("{other:?} is not one of text, integer, number, bool, time"));
            }
        };
        if let Some(other) = entries.keys().find(|key| !["column", "as"].contains(&key.as_str())) {
            return problem(&format!("{path}.{other}"), "beside column there is only as");
        }
        return Ok(Expression::Column { column: column.clone(), cast });
    }
    match (entries.len(), entries.iter().next()) {
        (1, Some((name, value))) if name == "sum" => match value {
            Value::String(product) => Ok(Expression::Sum(product.split('*').map(|column| column.trim().to_owned()).collect())),
            _ => problem(path, "sum is a column, or a product of columns: \"Quantity * UnitPrice\""),
        },
        (1, Some((name, Value::String(what)))) if name == "count" && what == "rows" => Ok(Expression::Rows),
        (1, Some((name, Value::Object(item)))) if name == "each" => Ok(Expression::Each(fields(item, &format!("{path}.each"))?)),
        (1, Some((name, Value::Array(options)))) if name == "any_of" => Ok(Expression::AnyOf(
            options
                .iter()
                .enumerate()
                .map(|(n, option)| expression(option, &format!("{path}.any_of[{n}]")))
                .collect::<Read<_>>()?,
        )),
        _ => Ok(Expression::Object(fields(entries, path)?)),
    }
}

fn template(text: &str, path: &str) -> Read<Expression> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let Some(close) = rest[open..].find('}') else { return problem(path, format!("{text:?} has a {{ without a }}")) };
        if open > 0 {
            parts.push(Part::Text(rest[..open].to_owned()));
        }
        parts.push(Part::Column(rest[open + 1..open + close].to_owned()));
        rest = &rest[open + close + 1..];
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    Ok(Expression::Template(parts))
}

impl Expression {
    fn columns<'e>(&'e self, found: &mut Vec<&'e str>) {
        match self {
            Expression::Constant(_) | Expression::Rows => {}
            Expression::Template(parts) => found.extend(parts.iter().filter_map(|part| match part {
                Part::Column(column) => Some(column.as_str()),
                Part::Text(_) => None,
            })),
            Expression::Column { column, .. } => found.push(column),
            Expression::Sum(columns) => found.extend(columns.iter().map(String::as_str)),
            Expression::Each(fields) | Expression::Object(fields) => fields.iter().for_each(|(_, field)| field.columns(found)),
            Expression::AnyOf(list) | Expression::List(list) => list.iter().for_each(|item| item.columns(found)),
        }
    }
}

/// A mapping whose columns are all in the file.
pub(crate) struct Bound {
    mapping: Mapping,
    columns: Vec<String>,
}

impl Bound {
    fn cell<'r>(&self, row: &'r [Cell], column: &str) -> &'r Cell {
        let place = self.columns.iter().position(|name| name == column);
        place.and_then(|place| row.get(place)).unwrap_or(&Cell::Null)
    }

    /// What the rows of one group have in common.
    pub(crate) fn group_key(&self, row: &[Cell]) -> String {
        let parts: Vec<String> =
            self.mapping.group_by.iter().map(|column| text(self.cell(row, column)).unwrap_or_default()).collect();
        parts.join("\u{1f}")
    }

    /// The events of one group of rows: one for each definition whose `when` holds for the first row.
    pub(crate) fn events(&self, rows: &[Vec<Cell>]) -> Vec<Value> {
        let holding = self
            .mapping
            .events
            .iter()
            .filter(|event| event.when.iter().all(|(column, condition)| self.holds(&rows[0], column, condition)));
        holding
            .map(|event| {
                let fields = event
                    .fields
                    .iter()
                    .filter_map(|(name, expression)| Some((name.clone(), self.value(expression, &rows[0], rows)?)));
                Value::Object(fields.collect())
            })
            .collect()
    }

    fn holds(&self, row: &[Cell], column: &str, condition: &Condition) -> bool {
        let value = text(self.cell(row, column));
        match condition {
            Condition::Exists(wanted) => value.is_some() == *wanted,
            Condition::Is(options) => value.is_some_and(|value| options.contains(&value)),
            Condition::StartsWith(options) => value.is_some_and(|value| options.iter().any(|start| value.starts_with(start))),
            Condition::NotStartsWith(options) => value.is_none_or(|value| !options.iter().any(|start| value.starts_with(start))),
            Condition::Contains(part) => value.is_some_and(|value| value.contains(part)),
        }
    }

    /// `None`: there is nothing to write.
    fn value(&self, expression: &Expression, row: &[Cell], rows: &[Vec<Cell>]) -> Option<Value> {
        let object = |fields: &[(String, Expression)], row: &[Cell]| -> Value {
            Value::Object(fields.iter().filter_map(|(name, field)| Some((name.clone(), self.value(field, row, rows)?))).collect())
        };
        match expression {
            Expression::Constant(value) => Some(value.clone()),
            Expression::Template(parts) => {
                let mut filled = String::new();
                for part in parts {
                    match part {
                        Part::Text(text) => filled.push_str(text),
                        Part::Column(column) => filled.push_str(&text(self.cell(row, column))?),
                    }
                }
                Some(filled.into())
            }
            Expression::Column { column, cast } => self.cast(self.cell(row, column), *cast),
            Expression::Sum(columns) => {
                let total: i128 = rows.iter().filter_map(|row| self.product(row, columns)).sum();
                i64::try_from(total).ok().map(|total| Decimal(total).to_json())
            }
            Expression::Rows => Some(rows.len().into()),
            Expression::Each(fields) => Some(rows.iter().map(|row| object(fields, row)).collect()),
            Expression::AnyOf(options) => options.iter().find_map(|option| self.value(option, row, rows)),
            Expression::Object(fields) => Some(object(fields, row)),
            Expression::List(items) => Some(items.iter().filter_map(|item| self.value(item, row, rows)).collect()),
        }
    }

    /// A product of cells in millionths, rounded to hundredths, half away from zero.
    fn product(&self, row: &[Cell], columns: &[String]) -> Option<i128> {
        let mut product: i128 = 1_000_000;
        for column in columns {
            let factor = match self.cell(row, column) {
                Cell::Integer(number) => Decimal::from_integer(*number)?,
                Cell::Number(number) => Decimal::from_f64(*number)?,
                Cell::Text(text) => Decimal::parse(text.trim())?,
                _ => return None,
            };
            product = round_div(product.checked_mul(i128::from(factor.0))?, 1_000_000);
        }
        Some(round_div(product, 10_000) * 10_000)
    }

    fn cast(&self, cell: &Cell, cast: Cast) -> Option<Value> {
        match (cast, cell) {
            (_, Cell::Null) => None,
            (Cast::Time, Cell::Time(micros)) | (Cast::AsIs, Cell::Time(micros)) => {
                Some(self.in_zone(*micros)?.to_string().into())
            }
            (Cast::Time, cell) => {
                let text = text(cell)?;
                // What is no instant goes on as it is: collection refuses it, and quarantine keeps the row.
                Some(self.instant(&text).map_or_else(|| text.clone().into(), |at| at.to_string().into()))
            }
            (Cast::Text, cell) => text(cell).map(Value::from),
            (Cast::Integer | Cast::Number, cell) => {
                let text = text(cell)?;
                Some(Decimal::parse(text.trim()).map_or_else(|| text.clone().into(), Decimal::to_json))
            }
            (Cast::Bool, cell) => match text(cell)?.to_lowercase().as_str() {
                "true" | "1" | "yes" | "y" | "oui" | "o" => Some(true.into()),
                "false" | "0" | "no" | "n" | "non" => Some(false.into()),
                other => Some(other.into()),
            },
            (Cast::AsIs, Cell::Bool(flag)) => Some((*flag).into()),
            (Cast::AsIs, Cell::Integer(number)) => Some((*number).into()),
            (Cast::AsIs, Cell::Number(number)) => Decimal::from_f64(*number).map(Decimal::to_json),
            (Cast::AsIs, Cell::Text(text)) => Some(text.as_str().into()),
        }
    }

    /// Microseconds on the wall of the mapping's time zone.
    fn in_zone(&self, micros: i64) -> Option<Timestamp> {
        let wall = TimeZone::UTC.to_datetime(jiff::Timestamp::from_microsecond(micros).ok()?);
        self.on_the_wall(wall)
    }

    fn on_the_wall(&self, wall: DateTime) -> Option<Timestamp> {
        self.mapping.timezone.to_timestamp(wall).ok().map(|at| Timestamp(at.as_microsecond()))
    }

    fn instant(&self, text: &str) -> Option<Timestamp> {
        let text = text.trim();
        if let Ok(at) = text.parse::<jiff::Timestamp>() {
            return Some(Timestamp(at.as_microsecond()));
        }
        self.on_the_wall(text.parse::<DateTime>().ok()?)
    }
}

/// A cell as text; whole numbers without a fraction, so that a float column of customer numbers reads 17850.
fn text(cell: &Cell) -> Option<String> {
    match cell {
        Cell::Null => None,
        Cell::Bool(flag) => Some(flag.to_string()),
        Cell::Integer(number) => Some(number.to_string()),
        Cell::Number(number) => Some(number.to_string()),
        Cell::Text(text) => Some(text.clone()),
        Cell::Time(micros) => Some(Timestamp(*micros).to_string()),
    }
}
