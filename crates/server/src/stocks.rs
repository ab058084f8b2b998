//! How consent stood at the end of each day: the last census of a day, kept for the trend. Counts, nobody's name.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jumelle_engine::{Census, Shared};
use serde_json::{Value, json};

use crate::App;

/// File of the data directory: a line a day, the oldest first.
const FILE: &str = "stocks.jsonl";
/// Days kept: three years.
const DAYS_MAX: usize = 1_096;

/// The kept days of one data directory.
pub(crate) struct Stocks(PathBuf);

impl Stocks {
    pub(crate) fn of(app: &App) -> Stocks {
        Stocks(app.engine.directory().join(FILE))
    }

    /// Takes the place of an earlier census of the same day.
    pub(crate) fn keep(&self, shared: &Shared, census: &Census) -> std::io::Result<()> {
        let mut days = self.read();
        let day = shared.day_of(census.at).to_string();
        days.insert(day.clone(), json!({"day": day, "at": census.at, "people": census.people, "reach": census.reach}));
        while days.len() > DAYS_MAX {
            days.pop_first();
        }
        let text: String = days.values().map(|line| format!("{line}\n")).collect();
        let fresh = self.0.with_extension("new");
        std::fs::write(&fresh, text)?;
        std::fs::rename(fresh, &self.0)
    }

    /// The newest days, the oldest first.
    pub(crate) fn newest(&self, limit: usize) -> Vec<Value> {
        let days = self.read();
        let skipped = days.len().saturating_sub(limit);
        days.into_values().skip(skipped).collect()
    }

    pub(crate) fn has_today(&self, shared: &Shared) -> bool {
        self.read().contains_key(&shared.day_of(shared.now()).to_string())
    }

    /// By day. What cannot be read is not there: it is a picture, and no fact rests on it.
    fn read(&self) -> BTreeMap<String, Value> {
        let text = std::fs::read_to_string(&self.0).unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter_map(|line| Some((line["day"].as_str()?.to_owned(), line))).collect()
    }
}
