//! `jumelle apply`

use anyhow::Context as _;
use reqwest::Method;

use super::serve::parse_file;
use crate::arguments::{Apply, Global};
use crate::client::{Client, block_on};
use crate::output::{bold, dim};

/// Validates here (so that problems name the file), then lets the server compare and apply.
pub fn run(global: &Global, apply: &Apply) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(&apply.file).with_context(|| format!("reading {}", apply.file.display()))?;
    parse_file(&apply.file, &text)?;
    block_on(async {
        let client = Client::remote(global)?;
        let answer = client
            .call(
                Method::PUT,
                &format!("/v1/workspace?dry_run={}&leave_behind={}", apply.dry_run, apply.leave_behind),
                Some(text),
            )
            .await?;
        if global.json {
            println!("{answer:#}");
            return Ok(());
        }
        println!("{}", answer["text"].as_str().unwrap_or_default());
        if answer["applied"] == true {
            println!("{}", bold("applied"));
        } else if apply.dry_run {
            println!("{}", dim("nothing applied (--dry-run)"));
        }
        Ok(())
    })
}
