//! `jumelle export`

use std::io::Write;

use anyhow::Context as _;
use reqwest::Method;

use crate::arguments::{Export, Exported, Global};
use crate::client::{Client, block_on, encode};
use crate::output::spinner;

/// Streams JSON lines to a file or standard output.
pub fn run(global: &Global, export: &Export) -> anyhow::Result<()> {
    block_on(async {
        let client = Client::open(global, export.data.as_deref()).await?;
        let what = match export.what {
            Exported::Events => "events",
            Exported::Profiles => "profiles",
        };
        let query = export.segment.as_deref().map(|key| format!("?segment={}", encode(key))).unwrap_or_default();
        let mut response = client.send(Method::GET, &format!("/v1/export/{what}{query}"), None).await?;
        let mut out: Box<dyn Write> = match &export.to {
            Some(path) => Box::new(std::io::BufWriter::new(
                std::fs::File::create(path).with_context(|| format!("writing {}", path.display()))?,
            )),
            None => Box::new(std::io::stdout().lock()),
        };
        let spinner = spinner(global, "exporting");
        while let Some(chunk) = response.chunk().await? {
            out.write_all(&chunk)?;
        }
        out.flush()?;
        spinner.finish_and_clear();
        drop(response);
        client.close().await
    })
}
