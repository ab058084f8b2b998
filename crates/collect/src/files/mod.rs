//! Files to events of the tracking API: `jumelle import` (docs/guide/import.md).
//!
//! [`read`] gives rows of typed cells, [`Mapping`] says what they mean, [`fill`] makes the events. The same file and mapping give
//! the same events in the same order, so an import that was stopped goes on by counting.
//!
//! Cost: 541,909 Parquet lines of 8 columns, grouped into 25,897 events, take about a second of one core in a development build
//! and 125 MB at most (the test `online_retail_becomes_orders_to_the_penny`, under `time -v`).

mod cell;
mod columnar;
mod error;
mod fill;
mod mapping;
mod read;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::path::Path;

use jumelle_model::time::Timestamp;
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_128;

use cell::Cell;
pub use error::{ReadError, RowProblem};
use fill::RowRef;
pub use mapping::{Mapping, MappingProblem, MappingProblems};
use read::{JsonLines, Rows};

/// Cells of a file that grouping may hold in memory (24 bytes each, and their texts); past it the file has to be cut.
pub const GROUPED_CELLS_MAX: usize = 50_000_000;
/// Message ids of one file that are compared with each other (16 bytes each); the ids of later rows are not.
pub const MESSAGE_IDS_COMPARED_MAX: usize = 4_000_000;
/// Columns named in an example for a file that has no mapping.
const EXAMPLE_COLUMNS_MAX: usize = 3;

/// The events of a file, in the order of their times where the mapping groups, else in the order of the file.
///
/// A row that makes no event is an `Err`, and the next ones follow; after an error that [is fatal](ReadError::is_fatal) nothing
/// does. Rows to which no definition applies give nothing.
pub fn events(
    path: &Path,
    mapping: Option<&Mapping>,
) -> Result<Box<dyn Iterator<Item = Result<Value, ReadError>> + Send>, ReadError> {
    let Some(mapping) = mapping else { return events_as_they_are(path) };
    let rows = Rows::open(path, &mapping.file, &mapping.columns)?;
    let mapping = mapping.clone();
    let mut seen = MessageIds::default();
    if mapping.groups() {
        let (groups, unreadable) = Groups::read(rows, &mapping)?;
        let filled = (0..groups.order.len()).flat_map(move |n| {
            let rows = groups.rows(n);
            let number = rows[0].number;
            mapping.fill(&rows).into_iter().map(move |event| (number, event))
        });
        let events = filled.map(move |(number, event)| seen.check(number, event));
        return Ok(Box::new(unreadable.into_iter().map(Err).chain(events)));
    }
    Ok(Box::new(rows.flat_map(move |row| match row {
        Ok(row) => {
            let filled = mapping.fill(&[RowRef { number: row.number, cells: &row.cells }]);
            filled.into_iter().map(|event| seen.check(row.number, event)).collect()
        }
        Err(error) => vec![Err(error)],
    })))
}

/// Finds events that would be taken for one and the same: a message id made of too few columns loses rows without a word.
#[derive(Default)]
struct MessageIds(HashSet<u128>);

impl MessageIds {
    fn check(&mut self, row: u64, event: Result<Value, Box<RowProblem>>) -> Result<Value, ReadError> {
        let event = event.map_err(ReadError::Row)?;
        let id = event["messageId"].as_str().unwrap_or_default();
        let hash = xxh3_128(id.as_bytes());
        let is_new = if self.0.len() < MESSAGE_IDS_COMPARED_MAX { self.0.insert(hash) } else { !self.0.contains(&hash) };
        if is_new {
            return Ok(event);
        }
        let message = format!("another row of this file makes the messageId {id:?} too; add a column to it, or {{$row}}");
        let (field, rule) = ("messageId".into(), "duplicate_message_id");
        Err(ReadError::Row(Box::new(RowProblem { row, field, column: None, rule, message })))
    }
}

/// A whole file in memory: its rows one after the other, and which of them belong together.
struct Groups {
    width: usize,
    cells: Vec<Cell>,
    numbers: Vec<u64>,
    groups: Vec<Vec<u32>>,
    /// Groups in the order of their times; equal times in the order of the file.
    order: Vec<usize>,
}

impl Groups {
    fn read(rows: Rows, mapping: &Mapping) -> Result<(Groups, Vec<ReadError>), ReadError> {
        let width = mapping.columns.len();
        let mut all = Groups { width, cells: Vec::new(), numbers: Vec::new(), groups: Vec::new(), order: Vec::new() };
        let mut unreadable = Vec::new();
        let mut index: HashMap<Box<str>, usize> = HashMap::new();
        let mut key = String::new();
        for row in rows {
            let row = match row {
                Ok(row) => row,
                Err(error) if error.is_fatal() => return Err(error),
                Err(error) => {
                    unreadable.push(error);
                    continue;
                }
            };
            if all.cells.len() + width > GROUPED_CELLS_MAX {
                return Err(ReadError::TooLarge(GROUPED_CELLS_MAX));
            }
            key.clear();
            for &column in &mapping.group_by {
                // A length before each part, so that ("a", "bc") and ("ab", "c") are two groups; nothing is not the empty text.
                match row.cells[column].text() {
                    Some(text) => key.push_str(&format!("{}:{text}", text.len())),
                    None => key.push('-'),
                }
            }
            // Rows of one group may stand anywhere in the file.
            let group = match index.get(key.as_str()) {
                Some(group) => *group,
                None => {
                    index.insert(key.as_str().into(), all.groups.len());
                    all.groups.push(Vec::new());
                    all.groups.len() - 1
                }
            };
            // A cell at least per row, so the bound on cells keeps the count below 2³².
            all.groups[group].push(all.numbers.len() as u32);
            all.numbers.push(row.number);
            all.cells.extend(row.cells);
        }
        let times: Vec<Option<Timestamp>> = all.groups.iter().map(|group| mapping.time_of(&all.row_refs(&group[..1]))).collect();
        all.order = (0..all.groups.len()).collect();
        all.order.sort_by_key(|group| times[*group]);
        Ok((all, unreadable))
    }

    fn rows(&self, place: usize) -> Vec<RowRef<'_>> {
        self.row_refs(&self.groups[self.order[place]])
    }

    fn row_refs(&self, rows: &[u32]) -> Vec<RowRef<'_>> {
        let row = |row: &u32| {
            let place = *row as usize;
            RowRef { number: self.numbers[place], cells: &self.cells[place * self.width..(place + 1) * self.width] }
        };
        rows.iter().map(row).collect()
    }
}

/// JSON lines that are events already. Any other file needs a mapping.
fn events_as_they_are(path: &Path) -> Result<Box<dyn Iterator<Item = Result<Value, ReadError>> + Send>, ReadError> {
    if read::format_of(path)? != mapping::Format::JsonLines {
        return Err(ReadError::Mapping(example_for(path)));
    }
    let mut lines = JsonLines::open(path)?;
    let mut ended = false;
    Ok(Box::new(std::iter::from_fn(move || {
        if ended {
            return None;
        }
        let found = lines.next_value();
        ended = found.as_ref().map_or_else(ReadError::is_fatal, Option::is_none);
        match found {
            Ok(Some(event)) => Some(Ok(with_message_id(event, lines.line()))),
            Ok(None) => None,
            Err(error) => Some(Err(error)),
        }
    })))
}

/// Without a message id a second import would count everything twice, so an event gets one of its content and its line.
fn with_message_id(mut event: Value, line: u64) -> Value {
    if event.get("messageId").is_none_or(Value::is_null) {
        let id = xxh3_128(format!("{line}\0{event}").as_bytes());
        event["messageId"] = json!(format!("line-{id:032x}"));
    }
    event
}

fn example_for(path: &Path) -> String {
    let names = read::columns(path).unwrap_or_default();
    let name = |n: usize, other: &str| names.get(n).map_or_else(|| other.to_owned(), String::clone);
    let (id, date) = (name(0, "id"), names.iter().find(|name| name.to_lowercase().contains("date")).cloned());
    let date = date.unwrap_or_else(|| name(1, "date"));
    let has = match names.len() {
        0 => String::new(),
        _ => format!(" Its columns are {}.", names.join(", ")),
    };
    let mut properties = String::new();
    for column in names.iter().take(EXAMPLE_COLUMNS_MAX) {
        properties.push_str(&format!("      {}: {{column: {column:?}}}\n", column.to_lowercase().replace(' ', "_")));
    }
    format!(
        "this file needs a mapping (--mapping FILE) that says how its rows become events.{has} For instance:\n\
         events:\n  - type: track\n    event: Order Completed\n    messageId: \"order-{{{id}}}\"\n    timestamp: {{column: {date:?}}}\n    \
         userId: \"{{{id}}}\"\n    properties:\n{properties}"
    )
}

/// Names an import: the same file with the same mapping and source is the same import.
pub fn fingerprint(path: &Path, mapping: Option<&str>, source: &str) -> std::io::Result<String> {
    use std::io::Read;
    let mut hash = xxhash_rust::xxh3::Xxh3::new();
    let mut file = std::fs::File::open(path)?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
    }
    hash.update(mapping.unwrap_or_default().as_bytes());
    hash.update(source.as_bytes());
    Ok(format!("imp_{:032x}", hash.digest128()))
}
