//! `jumelle export`

use std::io::Write;

use anyhow::Context as _;
use reqwest::Method;
use sha2::{Digest, Sha256};

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
            Exported::Oppositions => "oppositions",
        };
        let manifest = match (export.what, &export.to) {
            (Exported::Oppositions, Some(to)) => Some((client.get("/v1/oppositions/manifest").await?, to)),
            _ => None,
        };
        let query = export.segment.as_deref().map(|key| format!("?segment={}", encode(key))).unwrap_or_default();
        let path = match export.what {
            Exported::Oppositions => "/v1/oppositions".to_owned(),
            _ => format!("/v1/export/{what}{query}"),
        };
        let mut response = client.send(Method::GET, &path, None).await?;
        let mut out: Box<dyn Write> = match &export.to {
            Some(path) => Box::new(std::io::BufWriter::new(
                std::fs::File::create(path).with_context(|| format!("writing {}", path.display()))?,
            )),
            None => Box::new(std::io::stdout().lock()),
        };
        let spinner = spinner(global, "exporting");
        let mut digest = Sha256::new();
        while let Some(chunk) = response.chunk().await? {
            digest.update(&chunk);
            out.write_all(&chunk)?;
        }
        out.flush()?;
        spinner.finish_and_clear();
        drop(response);
        if let Some((mut manifest, to)) = manifest {
            // Of what was written: somebody may have objected since the manifest was asked for.
            manifest["sha256"] = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>().into();
            let path = to.with_added_extension("manifest.json");
            std::fs::write(&path, format!("{manifest:#}\n")).with_context(|| format!("writing {}", path.display()))?;
        }
        client.close().await
    })
}
