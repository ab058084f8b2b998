//! A mapping applied: a group of rows to events.

use std::sync::Arc;

use jumelle_model::number::{DECIMAL_ONE, Decimal, round_div};
use jumelle_model::time::Timestamp;
use serde_json::{Map, Value};

use super::cell::{Cell, TimeFormat};
use super::error::RowProblem;
use super::mapping::{Cast, ColumnValue, Condition, ConsentMapping, EventMapping, Expression, Factor, Mapping, Part};

/// A row of the group: its number in the file, and its cells in the order of the mapping's columns.
#[derive(Clone, Copy)]
pub(crate) struct RowRef<'r> {
    pub(crate) number: u64,
    pub(crate) cells: &'r [Cell],
}

/// What goes wrong in one place, before its path is known.
struct Fault {
    row: u64,
    column: Option<usize>,
    rule: &'static str,
    message: String,
    /// Path below the field, innermost first.
    path: Vec<String>,
}

type Filled<T> = Result<T, Box<Fault>>;

impl Fault {
    fn below(mut self: Box<Self>, part: &str) -> Box<Fault> {
        self.path.push(part.to_owned());
        self
    }
}

impl Mapping {
    /// The time of a group's first event, to order groups by.
    pub(crate) fn time_of(&self, rows: &[RowRef<'_>]) -> Option<Timestamp> {
        let first = *rows.first()?;
        let event = self.events.iter().find(|event| self.applies(event, first))?;
        let (_, expression) = event.fields.iter().find(|(name, _)| name == "timestamp")?;
        match self.value(expression, first, rows) {
            Ok(Some(Value::String(text))) => Timestamp::parse(&text),
            _ => None,
        }
    }

    /// The events of one group of rows (not empty): one for each definition whose `when` holds for the first row.
    pub(crate) fn fill(&self, rows: &[RowRef<'_>]) -> Vec<Result<Value, Box<RowProblem>>> {
        let mut filled = Vec::new();
        for (n, event) in self.events.iter().enumerate().filter(|(_, event)| self.applies(event, rows[0])) {
            filled.push(self.event(event, rows).map_err(|fault| {
                let mut field = format!("events[{n}]");
                for part in fault.path.iter().rev() {
                    field = if part.starts_with('[') { format!("{field}{part}") } else { format!("{field}.{part}") };
                }
                let column = fault.column.map(|column| self.columns[column].clone());
                Box::new(RowProblem { row: fault.row, field, column, rule: fault.rule, message: fault.message })
            }));
        }
        filled
    }

    fn applies(&self, event: &EventMapping, row: RowRef<'_>) -> bool {
        event.when.iter().all(|(column, condition)| self.holds(&row.cells[*column], condition))
    }

    fn event(&self, mapping: &EventMapping, rows: &[RowRef<'_>]) -> Filled<Value> {
        let row = rows[0];
        let mut event = Map::new();
        for (name, expression) in &mapping.fields {
            match self.value(expression, row, rows).map_err(|fault| fault.below(name))? {
                // Ids and names are texts; a column of numbers may hold them.
                Some(Value::Number(number)) if name.ends_with("Id") || name == "event" => {
                    event.insert(name.clone(), number.to_string().into());
                }
                Some(value) => {
                    event.insert(name.clone(), value);
                }
                None if matches!(name.as_str(), "messageId" | "event" | "timestamp") => {
                    let column = expression.first_empty(row);
                    let what = column.map_or("nothing", |column| self.columns[column].as_str());
                    let message = format!("{name} comes to nothing: {what:?} is empty");
                    return Err(Box::new(Fault { row: row.number, column, rule: "missing", message, path: vec![name.clone()] }));
                }
                None => {}
            }
        }
        if !mapping.consents.is_empty() {
            let mut consents = Vec::new();
            for (n, consent) in mapping.consents.iter().enumerate() {
                let entry = self.consent(consent, row, rows);
                consents.extend(entry.map_err(|fault| fault.below(&format!("[{n}]")).below("consents"))?);
            }
            if !consents.is_empty() {
                let context = event.entry("context").or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(context) = context {
                    context.insert("consents".into(), consents.into());
                }
            }
        }
        Ok(Value::Object(event))
    }

    fn consent(&self, consent: &ConsentMapping, row: RowRef<'_>, rows: &[RowRef<'_>]) -> Filled<Option<Value>> {
        let Some(state) = self.value(&consent.state, row, rows).map_err(|fault| fault.below("state"))? else { return Ok(None) };
        let mut entry = Map::new();
        for (name, expression) in &consent.rest {
            if let Some(value) = self.value(expression, row, rows).map_err(|fault| fault.below(name))? {
                entry.insert(name.clone(), value);
            }
        }
        entry.insert("state".into(), state);
        let at = match &consent.at {
            Some(at) => self.value(at, row, rows).map_err(|fault| fault.below("at"))?,
            None => None,
        };
        match at {
            Some(at) => entry.insert("at".into(), at),
            // A yes without a date loses against any dated choice.
            None => entry.insert("undated".into(), true.into()),
        };
        Ok(Some(Value::Object(entry)))
    }

    fn holds(&self, cell: &Cell, condition: &Condition) -> bool {
        let text = || cell.text();
        let number = || cell.decimal(self.file.decimal);
        match condition {
            Condition::Exists(wanted) => (*cell != Cell::Null) == *wanted,
            Condition::Is(options) => text().is_some_and(|text| options.iter().any(|option| **option == *text)),
            Condition::IsNot(options) => text().is_none_or(|text| !options.iter().any(|option| **option == *text)),
            Condition::StartsWith(starts) => text().is_some_and(|text| starts.iter().any(|start| text.starts_with(start))),
            Condition::NotStartsWith(starts) => text().is_none_or(|text| !starts.iter().any(|start| text.starts_with(start))),
            Condition::Contains(part) => text().is_some_and(|text| text.contains(part)),
            Condition::Gt(bound) => number().is_some_and(|number| number > *bound),
            Condition::Gte(bound) => number().is_some_and(|number| number >= *bound),
            Condition::Lt(bound) => number().is_some_and(|number| number < *bound),
            Condition::Lte(bound) => number().is_some_and(|number| number <= *bound),
        }
    }

    /// `None`: there is nothing to write.
    fn value(&self, expression: &Expression, row: RowRef<'_>, rows: &[RowRef<'_>]) -> Filled<Option<Value>> {
        Ok(match expression {
            Expression::Constant(Value::Null) => None,
            Expression::Constant(value) => Some(value.clone()),
            Expression::Template(parts) => filled(parts, row).map(Value::from),
            Expression::Column(value) => self.column(value, row)?,
            Expression::Sum { factors, digits } => Some(self.sum(factors, *digits, rows)?),
            Expression::Rows => Some(rows.len().into()),
            Expression::Each(fields) => {
                let mut items = Vec::with_capacity(rows.len());
                for (n, row) in rows.iter().enumerate() {
                    // An item's own row is also its group.
                    let own = std::slice::from_ref(row);
                    items.push(self.object(fields, *row, own).map_err(|fault| fault.below(&format!("[{n}]")))?);
                }
                Some(items.into())
            }
            Expression::AnyOf(options) => {
                for option in options {
                    if let Some(value) = self.value(option, row, rows)? {
                        return Ok(Some(value));
                    }
                }
                None
            }
            Expression::Object(fields) => Some(self.object(fields, row, rows)?),
            Expression::List(items) => {
                let mut list = Vec::with_capacity(items.len());
                for (n, item) in items.iter().enumerate() {
                    list.extend(self.value(item, row, rows).map_err(|fault| fault.below(&format!("[{n}]")))?);
                }
                Some(list.into())
            }
        })
    }

    fn object(&self, fields: &[(String, Expression)], row: RowRef<'_>, rows: &[RowRef<'_>]) -> Filled<Value> {
        let mut object = Map::with_capacity(fields.len());
        for (name, expression) in fields {
            if let Some(value) = self.value(expression, row, rows).map_err(|fault| fault.below(name))? {
                object.insert(name.clone(), value);
            }
        }
        Ok(Value::Object(object))
    }

    fn column(&self, value: &ColumnValue, row: RowRef<'_>) -> Filled<Option<Value>> {
        let trimmed;
        let cell = match &row.cells[value.column] {
            Cell::Text(text) if value.trim => {
                let short = text.trim();
                trimmed = if short.is_empty() { Cell::Null } else { Cell::Text(short.into()) };
                &trimmed
            }
            cell => cell,
        };
        if *cell == Cell::Null {
            return Ok(None);
        }
        let fault =
            |rule, message| Err(Box::new(Fault { row: row.number, column: Some(value.column), rule, message, path: Vec::new() }));
        let text = || cell.text().unwrap_or_else(|| Arc::from(""));
        if let Some(map) = &value.map {
            let text = text();
            return match map.iter().find(|(from, _)| **from == *text) {
                Some((_, to)) => Ok((!to.is_null()).then(|| to.clone())),
                None => {
                    let known: Vec<&str> = map.iter().map(|(from, _)| from.as_str()).collect();
                    fault("not_in_map", format!("{text:?} is not one of {}", known.join(", ")))
                }
            };
        }
        let decimal = || cell.decimal(self.file.decimal);
        let written = match value.cast {
            Cast::AsIs => match cell {
                Cell::Bool(flag) => (*flag).into(),
                Cell::Integer(number) => (*number).into(),
                Cell::Number(number) => number.to_json(),
                Cell::Text(text) => text.as_ref().into(),
                cell => match cell.instant(&TimeFormat::Iso, &self.zone) {
                    Some(at) => at.to_string().into(),
                    None => return fault("not_a_timestamp", format!("{:?} is beyond the times that there are", text())),
                },
            },
            Cast::Text => text().as_ref().into(),
            Cast::Integer => match (cell, decimal()) {
                (Cell::Integer(number), _) => (*number).into(),
                (_, Some(number)) if number.0 % DECIMAL_ONE == 0 => (number.0 / DECIMAL_ONE).into(),
                _ => return fault("not_an_integer", format!("{:?} is not a whole number", text())),
            },
            Cast::Number => match decimal() {
                Some(number) => number.to_json(),
                None => return fault("not_a_number", format!("{:?} is not a number such as 12{}5", text(), self.file.decimal)),
            },
            Cast::Bool => match text().to_lowercase().as_str() {
                "true" | "1" | "yes" | "y" | "oui" | "o" => true.into(),
                "false" | "0" | "no" | "n" | "non" => false.into(),
                other => return fault("not_a_bool", format!("{other:?} is not true or false, 1 or 0, yes or no")),
            },
            Cast::Time => match cell.instant(&value.format, &self.zone) {
                Some(at) => at.to_string().into(),
                None => {
                    let wanted = match &value.format {
                        TimeFormat::Iso => "like 2011-09-01T12:30:00; for others write format: \"%d/%m/%Y %H:%M\"".to_owned(),
                        TimeFormat::Unix => "of seconds since 1970".to_owned(),
                        TimeFormat::UnixMillis => "of milliseconds since 1970".to_owned(),
                        TimeFormat::Pattern(pattern) => format!("of the form {pattern}"),
                    };
                    return fault("not_a_timestamp", format!("{:?} is not a time {wanted}", text()));
                }
            },
        };
        Ok(Some(written))
    }

    /// Exact; a row with an empty factor adds nothing, one that is no number is a fault: nothing is left out of a sum in silence.
    fn sum(&self, factors: &[Factor], digits: u32, rows: &[RowRef<'_>]) -> Filled<Value> {
        let unit = 10_i128.pow(6 - digits);
        let scale = i128::from(DECIMAL_ONE).pow(factors.len() as u32 - 1) * unit;
        let mut total: i128 = 0;
        'rows: for row in rows {
            let fault =
                |column, rule, message| Err(Box::new(Fault { row: row.number, column, rule, message, path: vec!["sum".into()] }));
            let mut product: i128 = 1;
            for factor in factors {
                let number = match factor {
                    Factor::Number(number) => *number,
                    Factor::Column(column) => match &row.cells[*column] {
                        Cell::Null => continue 'rows,
                        cell => match cell.decimal(self.file.decimal) {
                            Some(number) => number,
                            None => {
                                let text = cell.text().unwrap_or_else(|| Arc::from(""));
                                return fault(Some(*column), "not_a_number", format!("{text:?} is not a number"));
                            }
                        },
                    },
                };
                match product.checked_mul(i128::from(number.0)) {
                    Some(next) => product = next,
                    None => return fault(None, "too_large", "the product is beyond ±9.2 × 10¹²".into()),
                }
            }
            total = total.saturating_add(round_div(product, scale));
        }
        match total.checked_mul(unit).and_then(|millionths| i64::try_from(millionths).ok()) {
            Some(millionths) => Ok(Decimal(millionths).to_json()),
            None => {
                let message = "the sum is beyond ±9.2 × 10¹²".into();
                Err(Box::new(Fault { row: rows[0].number, column: None, rule: "too_large", message, path: vec!["sum".into()] }))
            }
        }
    }
}

impl Expression {
    /// The column that made it come to nothing, for the message.
    fn first_empty(&self, row: RowRef<'_>) -> Option<usize> {
        let empty = |column: &usize| (row.cells[*column] == Cell::Null).then_some(*column);
        match self {
            Expression::Template(parts) => parts.iter().find_map(|part| match part {
                Part::Column(column) => empty(column),
                Part::Text(_) | Part::RowNumber => None,
            }),
            Expression::Column(value) => empty(&value.column),
            Expression::AnyOf(options) => options.iter().find_map(|option| option.first_empty(row)),
            _ => None,
        }
    }
}

fn filled(parts: &[Part], row: RowRef<'_>) -> Option<String> {
    let mut text = String::new();
    for part in parts {
        match part {
            Part::Text(fixed) => text.push_str(fixed),
            Part::RowNumber => text.push_str(&row.number.to_string()),
            Part::Column(column) => text.push_str(&row.cells[*column].text()?),
        }
    }
    Some(text)
}
