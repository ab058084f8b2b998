//! The key of sealed secrets: from the environment, a file, or a command that asks whoever keeps it.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context as _;
use jumelle_activate::secrets::{Keys, hold};

use crate::output::Failure;

/// The variable that holds it. It is no flag: flags are seen by everybody on the machine.
pub const VARIABLE: &str = "JUMELLE_SECRETS_KEY";

/// Reads it from where it is, and gives it to the process. None anywhere: nothing is sealed.
pub fn take(file: Option<&Path>, command: Option<&str>) -> anyhow::Result<()> {
    let variable = std::env::var(VARIABLE).ok().filter(|text| !text.trim().is_empty());
    let (text, place) = match (variable, file, command) {
        (None, None, None) => return Ok(()),
        (Some(text), None, None) => (text, VARIABLE.to_owned()),
        (None, Some(file), None) => {
            let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
            (text, file.display().to_string())
        }
        (None, None, Some(command)) => (answer_of(command)?, "secrets_key_command".to_owned()),
        _ => {
            let message = format!("the key of secrets comes from one place: {VARIABLE}, secrets_key_file or secrets_key_command");
            return Err(Failure::refused(message));
        }
    };
    hold(Keys::parse(&text).map_err(|error| Failure::refused(format!("{place}: {error}")))?);
    Ok(())
}

/// What a command of the operator's prints.
fn answer_of(command: &str) -> anyhow::Result<String> {
    let done = Command::new("sh").args(["-c", command]).stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let done = done.context("secrets_key_command cannot be run")?;
    if !done.status.success() {
        return Err(Failure::refused(format!("secrets_key_command ended with {}", done.status)));
    }
    String::from_utf8(done.stdout).map_err(|_| Failure::refused("secrets_key_command printed what is no text"))
}
