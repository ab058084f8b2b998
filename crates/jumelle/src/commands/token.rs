//! `jumelle token`

use reqwest::Method;
use serde_json::{Value, json};

use crate::arguments::{Global, Token};
use crate::client::{Client, block_on, encode};
use crate::output::{bold, table};

/// Makes one, lists all, or revokes one.
pub fn run(global: &Global, token: &Token) -> anyhow::Result<()> {
    block_on(async {
        let client = Client::remote(global)?;
        match token {
            Token::Create { name, role, expires } => {
                let mut request = json!({"name": name, "role": role.as_str()});
                if let Some(expires) = expires {
                    request["expires"] = expires.as_str().into();
                }
                let made = client.post("/v1/tokens", request.to_string()).await?;
                print(global, &made, || {
                    println!("{} ({}, {}); shown once, keep it:", text(&made["id"]), text(&made["name"]), text(&made["role"]));
                    println!("{}", bold(&text(&made["token"])));
                });
            }
            Token::List => {
                let answer = client.get("/v1/tokens").await?;
                print(global, &answer, || {
                    let columns = ["id", "name", "role", "created", "expires", "last_used"];
                    let items = answer["items"].as_array().into_iter().flatten();
                    let rows: Vec<Vec<String>> =
                        items.map(|item| columns.iter().map(|column| text(&item[*column])).collect()).collect();
                    println!("{}", table(&columns, &rows));
                });
            }
            Token::Revoke { id } => {
                let answer = client.call(Method::DELETE, &format!("/v1/tokens/{}", encode(id)), None).await?;
                print(global, &answer, || println!("revoked {id}; its sessions have ended"));
            }
        }
        Ok(())
    })
}

fn print(global: &Global, answer: &Value, people: impl Fn()) {
    if global.json { println!("{answer:#}") } else { people() }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or("–").to_owned()
}
