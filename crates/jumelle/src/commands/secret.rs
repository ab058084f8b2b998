//! `jumelle secret`

use std::io::Read as _;

use anyhow::Context as _;
use jumelle_activate::secrets::Keys;
use serde_json::json;

use crate::arguments::{Global, Secret};
use crate::client::{Client, block_on};
use crate::output::Failure;

/// Makes a key, or seals a secret with the server's.
pub fn run(global: &Global, secret: &Secret) -> anyhow::Result<()> {
    match secret {
        Secret::Key => {
            println!("{}", Keys::generate().map_err(Failure::refused)?);
            Ok(())
        }
        Secret::Seal { destination } => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("reading the secret from standard input")?;
            let text = text.trim_end_matches(['\n', '\r']);
            block_on(async {
                let client = Client::remote(global)?;
                let request = json!({"destination": destination, "secret": text});
                let answer = client.post("/v1/secrets/seal", request.to_string()).await?;
                match (global.json, answer["sealed"].as_str()) {
                    (false, Some(sealed)) => println!("{{sealed: {sealed}}}"),
                    _ => println!("{answer:#}"),
                }
                Ok(())
            })
        }
    }
}
