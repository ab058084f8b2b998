//! `jumelle link`

use serde_json::json;

use crate::arguments::{Global, Link};
use crate::client::{Client, block_on};
use crate::output::bold;

/// Makes a link, or a new key for those to come.
pub fn run(global: &Global, link: &Link) -> anyhow::Result<()> {
    block_on(async {
        let client = Client::remote(global)?;
        match link {
            Link::Create { identifier, scope, purpose, channel, expires_in } => {
                let mut request = json!({"identifier": identifier, "scope": scope});
                for (field, value) in [("purpose", purpose), ("channel", channel), ("expires_in", expires_in)] {
                    if let Some(value) = value {
                        request[field] = value.as_str().into();
                    }
                }
                let made = client.post("/v1/links", request.to_string()).await?;
                if global.json {
                    println!("{made:#}");
                } else {
                    let shown = made["url"].as_str().or(made["path"].as_str()).unwrap_or_default();
                    println!("{}", bold(shown));
                    println!("until {}", made["expires"].as_str().unwrap_or_default());
                    for (name, value) in made["headers"].as_object().into_iter().flatten() {
                        println!("{name}: {}", value.as_str().unwrap_or_default());
                    }
                }
            }
            Link::Rotate { revoke } => {
                let answer = client.post("/v1/links/keys", json!({"revoke": revoke}).to_string()).await?;
                if global.json {
                    println!("{answer:#}");
                } else if *revoke {
                    println!("a new key; every link sent so far has ended");
                } else {
                    println!("a new key; links of {} keys open", answer["keys"]);
                }
            }
        }
        Ok(())
    })
}
