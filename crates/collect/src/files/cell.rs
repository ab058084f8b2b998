//! A value of a row, and what it converts to.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jumelle_model::number::Decimal;
use jumelle_model::time::Timestamp;

/// A value of a row.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Cell {
    /// Nothing, or an empty field of a CSV.
    Null,
    Bool(bool),
    Integer(i64),
    /// Any other number; what a [`Decimal`] cannot hold stays a text.
    Number(Decimal),
    Text(Arc<str>),
    /// An instant: microseconds since the epoch.
    Instant(i64),
    /// A date and time without a zone: microseconds since the epoch as if it were UTC.
    Wall(i64),
}

/// How a column's texts write a time.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum TimeFormat {
    /// ISO 8601, with or without a zone.
    Iso,
    /// Seconds since the epoch.
    Unix,
    /// Milliseconds since the epoch.
    UnixMillis,
    /// `%d/%m/%Y %H:%M`, as strptime has it.
    Pattern(String),
}

impl TimeFormat {
    /// `None`: the pattern has a directive that does not exist.
    pub(crate) fn parse(text: &str) -> Option<TimeFormat> {
        match text {
            "iso" => Some(TimeFormat::Iso),
            "unix" => Some(TimeFormat::Unix),
            "unix_ms" => Some(TimeFormat::UnixMillis),
            // Writing any time by it shows whether its directives exist.
            pattern if pattern.contains('%') => {
                jiff::fmt::strtime::format(pattern, &jiff::Timestamp::UNIX_EPOCH.to_zoned_datetime(TimeZone::UTC))
                    .is_ok()
                    .then(|| TimeFormat::Pattern(pattern.to_owned()))
            }
            _ => None,
        }
    }
}

impl Cell {
    /// Shortest decimal text of a float; NaN is how data frames write a missing number.
    pub(crate) fn from_f64(number: f64) -> Cell {
        const EXACT_INTEGERS: f64 = 9_007_199_254_740_992.0;
        const TEN_THOUSANDTHS_MAX: f64 = 1e15;
        if number.is_nan() {
            return Cell::Null;
        }
        if number.fract() == 0.0 && number.abs() <= EXACT_INTEGERS {
            return Cell::Integer(number as i64);
        }
        // With up to 15 digits there is one shortest decimal that reads back as the float: prices take this quick way.
        let scaled = (number * 1e4).round();
        if scaled.abs() < TEN_THOUSANDTHS_MAX && scaled / 1e4 == number {
            return Cell::Number(Decimal(scaled as i64 * 100));
        }
        Decimal::from_f64(number).map_or_else(|| Cell::Text(number.to_string().into()), Cell::Number)
    }

    /// From JSON; objects and lists as their JSON text.
    pub(crate) fn from_json(value: &serde_json::Value) -> Cell {
        match value {
            serde_json::Value::Null => Cell::Null,
            serde_json::Value::Bool(flag) => Cell::Bool(*flag),
            serde_json::Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(integer), _) => Cell::Integer(integer),
                (None, Some(float)) if number.is_f64() => Cell::from_f64(float),
                _ => Cell::Text(number.to_string().into()),
            },
            serde_json::Value::String(text) => Cell::Text(text.as_str().into()),
            other => Cell::Text(other.to_string().into()),
        }
    }

    /// As text; whole numbers without a fraction, so that a float column of customer numbers reads 17850.
    pub(crate) fn text(&self) -> Option<Arc<str>> {
        Some(match self {
            Cell::Null => return None,
            Cell::Bool(flag) => flag.to_string().into(),
            Cell::Integer(number) => number.to_string().into(),
            Cell::Number(number) => number.to_string().into(),
            Cell::Text(text) => text.clone(),
            Cell::Instant(micros) => Timestamp(*micros).to_string().into(),
            Cell::Wall(micros) => Timestamp(*micros).to_string().trim_end_matches('Z').into(),
        })
    }

    /// As a number. `mark` is the decimal mark of texts.
    pub(crate) fn decimal(&self, mark: char) -> Option<Decimal> {
        match self {
            Cell::Integer(number) => Decimal::from_integer(*number),
            Cell::Number(number) => Some(*number),
            Cell::Text(text) if mark == '.' => Decimal::parse(text.trim()),
            Cell::Text(text) if text.contains('.') => None,
            Cell::Text(text) => Decimal::parse(&text.trim().replacen(mark, ".", 1)),
            _ => None,
        }
    }

    /// As an instant. `zone` is that of times without one.
    pub(crate) fn instant(&self, format: &TimeFormat, zone: &TimeZone) -> Option<Timestamp> {
        let on_the_wall = |wall: DateTime| zone.to_timestamp(wall).ok().map(|at| Timestamp(at.as_microsecond()));
        match (self, format) {
            (Cell::Instant(micros), _) => Some(Timestamp(*micros)),
            (Cell::Wall(micros), _) => on_the_wall(TimeZone::UTC.to_datetime(jiff::Timestamp::from_microsecond(*micros).ok()?)),
            (cell, TimeFormat::Unix) => Some(Timestamp(cell.decimal('.')?.0)),
            (cell, TimeFormat::UnixMillis) => Some(Timestamp::from_millis(cell.decimal('.')?.0 / 1_000_000)),
            (cell, TimeFormat::Pattern(pattern)) => {
                let text = cell.text()?;
                let read = jiff::fmt::strtime::parse(pattern, text.trim()).ok()?;
                if read.offset().is_some() {
                    return read.to_timestamp().ok().map(|at| Timestamp(at.as_microsecond()));
                }
                on_the_wall(read.to_datetime().or_else(|_| read.to_date().map(DateTime::from)).ok()?)
            }
            (Cell::Text(text), TimeFormat::Iso) => {
                let text = text.trim();
                match text.parse::<jiff::Timestamp>() {
                    Ok(at) => Some(Timestamp(at.as_microsecond())),
                    Err(_) => on_the_wall(text.parse::<DateTime>().ok()?),
                }
            }
            _ => None,
        }
    }
}

/// Different texts of one column that share their memory; past it, each has its own.
const INTERNED_MAX: usize = 1 << 16;

/// Shares equal texts of a column: a grouped file is held in memory, and most of its texts repeat.
#[derive(Default)]
pub(crate) struct Interner(HashSet<Arc<str>>);

impl Interner {
    pub(crate) fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return known.clone();
        }
        let shared: Arc<str> = text.into();
        if self.0.len() < INTERNED_MAX {
            self.0.insert(shared.clone());
        }
        shared
    }
}
