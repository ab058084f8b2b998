//! `jumelle erase`

use std::io::{BufRead, IsTerminal, Write};

use serde_json::json;

use crate::arguments::{Erase, Global};
use crate::client::{Client, block_on};
use crate::output::Failure;

/// Asks, then erases.
pub fn run(global: &Global, erase: &Erase) -> anyhow::Result<()> {
    if !erase.yes {
        if !std::io::stdin().is_terminal() {
            return Err(Failure::refused("erasing cannot be undone; say --yes where nobody can be asked"));
        }
        print!("Erase {} from history and tables? This cannot be undone. [y/N] ", erase.identifier);
        std::io::stdout().flush()?;
        let mut answer = String::new();
        std::io::stdin().lock().read_line(&mut answer)?;
        if !matches!(answer.trim(), "y" | "Y" | "yes" | "o" | "oui") {
            return Err(Failure::refused("nothing was erased"));
        }
    }
    block_on(async {
        let client = Client::remote(global)?;
        let answer = client.post("/v1/privacy/erase", json!({"identifier": erase.identifier}).to_string()).await?;
        if global.json {
            println!("{answer:#}");
        } else {
            println!("erased {} and {} events", answer["erased"].as_str().unwrap_or_default(), answer["events"]);
        }
        Ok(())
    })
}
