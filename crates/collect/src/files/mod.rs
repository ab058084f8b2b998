//! Files to events of the tracking API: `jumelle import` (docs/guide/import.md).

mod mapping;
mod read;

use std::path::Path;

use serde_json::Value;

pub use mapping::{Mapping, MappingProblem};
pub use read::{Cell, ReadError, Rows};

/// Cells of a file that grouping may hold in memory; past it the file has to be cut.
pub const GROUPED_CELLS_MAX: usize = 50_000_000;

/// The events of a file, in the order of their times where the mapping groups, else in the order of the file.
pub fn events(path: &Path, mapping: Option<&Mapping>) -> Result<Box<dyn Iterator<Item = Result<Value, ReadError>>>, ReadError> {
    let Some(mapping) = mapping else { return read::json_lines(path) };
    let rows = Rows::open(path)?;
    let bound = mapping.bind(rows.columns())?;
    if mapping.groups() {
        return Ok(Box::new(grouped(rows, &bound)?.into_iter().map(Ok)));
    }
    Ok(Box::new(rows.flat_map(move |row| match row {
        Ok(row) => bound.events(&[row]).into_iter().map(Ok).collect::<Vec<_>>(),
        Err(error) => vec![Err(error)],
    })))
}

fn grouped(rows: Rows, bound: &mapping::Bound) -> Result<Vec<Value>, ReadError> {
    let mut groups: Vec<Vec<Vec<Cell>>> = Vec::new();
    let mut index: std::collections::HashMap<String, usize> = std::collections::HashMap::new();
    let mut cells = 0;
    for row in rows {
        let row = row?;
        cells += row.len();
        if cells > GROUPED_CELLS_MAX {
            return Err(ReadError::TooLarge(GROUPED_CELLS_MAX));
        }
        // Rows of one group may stand anywhere in the file.
        let group = *index.entry(bound.group_key(&row)).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[group].push(row);
    }
    let mut events: Vec<Value> = groups.iter().flat_map(|rows| bound.events(rows)).collect();
    // A stable sort: what has the same time stays in the order of the file. ISO instants of one form sort as text.
    events.sort_by(|a, b| a["timestamp"].as_str().cmp(&b["timestamp"].as_str()));
    Ok(events)
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
