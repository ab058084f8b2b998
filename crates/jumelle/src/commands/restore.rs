//! `jumelle restore`

use jumelle_engine::RestoreError;
use jumelle_model::time::Timestamp;

use super::backup::{place, refused};
use crate::arguments::{Global, Restore};
use crate::output::{Failure, bold, spinner};

/// Makes a data directory from a backup.
pub fn run(global: &Global, restore: &Restore) -> anyhow::Result<()> {
    let backup = place(&restore.place, &restore.storage)?;
    let newer = restore.erasures.iter().map(|text| place(text, &restore.storage)).collect::<anyhow::Result<Vec<_>>>()?;
    let until = match &restore.until {
        None => None,
        Some(text) => Some(Timestamp::parse(text).ok_or_else(|| {
            Failure::refused(format!("--until {text:?} is not an instant; write 2026-03-01T08:00:00Z or 2026-03-01"))
        })?),
    };
    let spinner = spinner(global, "restoring the history and making the tables");
    let restored = jumelle_engine::restore(&backup, &restore.data, until, &newer).map_err(|error| match error {
        RestoreError::NotEmpty(_) => Failure::refused(error.to_string()),
        RestoreError::Backup(error) => refused(error),
        other => other.into(),
    })?;
    spinner.finish_and_clear();
    if global.json {
        println!("{:#}", serde_json::to_value(&restored)?);
        return Ok(());
    }
    let last = restored.received.map_or_else(|| "nothing had arrived by then".to_owned(), |at| format!("the last arrived {at}"));
    println!("{} entries restored, {} later ones left out; {last}", restored.entries, restored.left_out);
    println!("{}", bold(&format!("start it: jumelle serve --data {}", restore.data.display())));
    Ok(())
}
