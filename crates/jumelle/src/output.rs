//! What people and machines read, and exit codes.

use std::fmt;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use jumelle_engine::OpenError;
use jumelle_store::StoreError;
use serde_json::Value;

use crate::arguments::{Color, Global};

static COLOUR: AtomicBool = AtomicBool::new(false);

/// Decides once whether output is coloured.
pub fn set_colour(global: &Global) {
    let on = match global.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() && !global.json,
    };
    COLOUR.store(on, Ordering::Relaxed);
}

fn paint(code: &str, text: &str) -> String {
    if COLOUR.load(Ordering::Relaxed) { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

/// Stands out.
pub fn bold(text: &str) -> String {
    paint("1", text)
}

/// Steps back.
pub fn dim(text: &str) -> String {
    paint("2", text)
}

/// Good.
pub fn green(text: &str) -> String {
    paint("32", text)
}

/// Held back.
pub fn yellow(text: &str) -> String {
    paint("33", text)
}

/// Exit code of damaged data.
pub const DAMAGED: u8 = 7;

/// A failure with the exit code that belongs to it.
#[derive(Debug)]
pub struct Failure {
    /// See `jumelle --help`.
    pub code: u8,
    /// For people.
    pub message: String,
    /// For machines: problem details, if there are any.
    pub details: Value,
}

impl Failure {
    /// Exit code 3: a file or request was refused.
    pub fn refused(message: impl Into<String>) -> anyhow::Error {
        Failure { code: 3, message: message.into(), details: Value::Null }.into()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Prints an error as people or machines want it, and gives the exit code.
pub fn finish(global: &Global, outcome: anyhow::Result<()>) -> ExitCode {
    let Err(error) = outcome else { return ExitCode::SUCCESS };
    let failure = error.downcast_ref::<Failure>();
    let code = failure.map_or_else(|| storage_code(&error), |failure| failure.code);
    if global.json {
        let details = failure.map_or(Value::Null, |failure| failure.details.clone());
        eprintln!("{}", serde_json::json!({"error": format!("{error:#}"), "details": details}));
    } else {
        eprintln!("{} {error:#}", paint("1;31", "error:"));
    }
    ExitCode::from(code)
}

/// Exit code of an error that is none of the command's own: 6 for a directory of a newer format, 7 for damaged data, else 1.
fn storage_code(error: &anyhow::Error) -> u8 {
    let store = match error.downcast_ref::<OpenError>() {
        Some(OpenError::Tables { .. }) => return DAMAGED,
        Some(OpenError::Store(store)) => Some(store),
        _ => error.downcast_ref::<StoreError>(),
    };
    match store {
        Some(StoreError::TooNew { .. }) => 6,
        Some(StoreError::Damaged { .. }) => DAMAGED,
        _ => 1,
    }
}

/// Something turns while a command takes its time; nothing for machines, or where nobody looks.
pub fn spinner(global: &Global, message: &str) -> indicatif::ProgressBar {
    if global.json || !std::io::stderr().is_terminal() {
        return indicatif::ProgressBar::hidden();
    }
    let spinner = indicatif::ProgressBar::new_spinner();
    if let Ok(style) = indicatif::ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
        spinner.set_style(style);
    }
    spinner.set_message(message.to_owned());
    spinner.enable_steady_tick(std::time::Duration::from_millis(100));
    spinner
}

/// A table with aligned columns; numbers to the right.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = header.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: Vec<String>| -> String {
        let padded: Vec<String> = cells
            .iter()
            .zip(&widths)
            .map(|(cell, width)| {
                let space = " ".repeat(width - cell.chars().count());
                let number = !cell.is_empty() && cell.chars().all(|c| c.is_ascii_digit() || c == '.' || c == '%');
                if number { format!("{space}{cell}") } else { format!("{cell}{space}") }
            })
            .collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut text = dim(&line(header.iter().map(|cell| (*cell).to_owned()).collect()));
    for row in rows {
        text.push('\n');
        text.push_str(&line(row.clone()));
    }
    text
}
