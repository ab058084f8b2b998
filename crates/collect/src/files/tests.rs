//! Files that each test writes itself, the examples of the repository, and the real invoices.

mod formats;
mod mappings;
mod real;

use std::path::PathBuf;

use serde_json::Value;

use super::{Mapping, ReadError, events};

/// A file of this name and content, in a directory that goes away with the first value.
fn file(name: &str, content: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    std::fs::write(&path, content).unwrap();
    (directory, path)
}

fn mapping(text: &str) -> Mapping {
    Mapping::parse(text).unwrap_or_else(|problems| panic!("{problems}"))
}

/// What a file comes to: events, or the text of an error.
fn outcomes(name: &str, content: &[u8], text: &str) -> Vec<Result<Value, String>> {
    let (_directory, path) = file(name, content);
    match events(&path, Some(&mapping(text))) {
        Ok(events) => events.map(|event| event.map_err(|error| error.to_string())).collect(),
        Err(error) => vec![Err(error.to_string())],
    }
}

/// The events of a file without a bad row.
fn all(name: &str, content: &[u8], text: &str) -> Vec<Value> {
    outcomes(name, content, text).into_iter().collect::<Result<_, _>>().unwrap()
}

fn refused(name: &str, content: &[u8], text: Option<&str>) -> ReadError {
    let (_directory, path) = file(name, content);
    match events(&path, text.map(mapping).as_ref()) {
        Ok(_) => panic!("{name} was taken"),
        Err(error) => error,
    }
}
