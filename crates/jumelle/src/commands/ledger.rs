//! `jumelle ledger`

use std::path::Path;

use anyhow::Context as _;
use jumelle_ledger::{Against, FOLDER, Root, Verified, kept_roots};
use reqwest::Method;
use serde_json::{Value, json};

use crate::arguments::{Global, Ledger};
use crate::client::{Client, block_on, encode};
use crate::output::{DAMAGED, Failure, bold, dim, spinner};

/// Verifies, lists, exports, proves.
pub fn run(global: &Global, ledger: &Ledger) -> anyhow::Result<()> {
    match ledger {
        Ledger::Verify { key, roots, data } => {
            let roots = roots.as_deref().map(read_roots).transpose()?.unwrap_or_default();
            verify(global, Against { keys: key.iter().map(|key| key.to_lowercase()).collect(), roots }, data.as_deref())
        }
        Ledger::Roots { data } => list(global, &roots(global, data.as_deref())?),
        Ledger::Export { to, data } => export(global, &roots(global, data.as_deref())?, to),
        Ledger::Proof { identifier, html, pdf, lang } => {
            let document = html.as_deref().map(|file| ("html", file)).or(pdf.as_deref().map(|file| ("pdf", file)));
            proof(global, identifier, document, lang.as_deref())
        }
    }
}

fn verify(global: &Global, against: Against, data: Option<&Path>) -> anyhow::Result<()> {
    let spinner = spinner(global, "reading every entry");
    let verified: Value = match data {
        Some(data) => serde_json::to_value(jumelle_ledger::verify(&data.join(FOLDER), &against)?)?,
        None => block_on(async {
            let body = json!({"keys": against.keys, "roots": against.roots}).to_string();
            Client::remote(global)?.post("/v1/ledger/verify", body).await
        })?,
    };
    spinner.finish_and_clear();
    let verified: Verified = serde_json::from_value(verified).context("reading the answer")?;
    if global.json && verified.problem_count == 0 {
        println!("{:#}", serde_json::to_value(&verified)?);
        return Ok(());
    }
    let Verified { days, entries, erased, signed, unsigned, exported, problem_count, .. } = verified;
    let message: Vec<String> = verified.problems.iter().map(ToString::to_string).collect();
    if problem_count > 0 {
        let count = if problem_count == 1 { "1 place does".to_owned() } else { format!("{problem_count} places do") };
        let message = format!("{}\n{count} not fit", message.join("\n"));
        return Err(Failure { code: DAMAGED, message, details: serde_json::to_value(&verified)? }.into());
    }
    println!("{entries} entries of {days} days, {erased} of them erased; {signed} days signed, {unsigned} not");
    if !against.roots.is_empty() {
        println!("{exported} of {} exported roots hold", against.roots.len());
    }
    if verified.unfinished > 0 {
        println!("{}", dim("a crash has left an unfinished end; the next start cuts it off"));
    }
    println!("{}", bold("nothing was changed, removed or inserted"));
    Ok(())
}

fn roots(global: &Global, data: Option<&Path>) -> anyhow::Result<Vec<Root>> {
    if let Some(data) = data {
        return Ok(kept_roots(&data.join(FOLDER))?);
    }
    let answer = block_on(async { Client::remote(global)?.get("/v1/ledger/roots").await })?;
    serde_json::from_value(answer["items"].clone()).context("reading the answer")
}

fn list(global: &Global, roots: &[Root]) -> anyhow::Result<()> {
    if global.json {
        println!("{:#}", json!({"items": roots}));
        return Ok(());
    }
    for root in roots {
        let state = if root.closed { "" } else { "  (not over)" };
        let key = root.public_key.as_deref().map_or("not signed".to_owned(), |key| format!("signed by {key}"));
        println!("{}  {}  {} entries{state}  {}", bold(&root.day), root.root, root.size, dim(&key));
    }
    Ok(())
}

fn read_roots(path: &Path) -> anyhow::Result<Vec<Root>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let line = |(n, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|error| Failure::refused(format!("{}:{}: {error}", path.display(), n + 1)))
    };
    text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(line).collect()
}

/// One file with all roots, and for each the text that was signed, for a time-stamping authority.
fn export(global: &Global, roots: &[Root], to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to).with_context(|| format!("making {}", to.display()))?;
    let write = |name: String, text: String| {
        let path = to.join(name);
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    };
    let mut lines = String::new();
    for root in roots {
        lines.push_str(&serde_json::to_string(root)?);
        lines.push('\n');
        if root.closed {
            write(format!("{}.root", root.day), root.statement())?;
        }
    }
    write("roots.jsonl".into(), lines)?;
    let over = roots.iter().filter(|root| root.closed).count();
    match global.json {
        true => println!("{:#}", json!({"roots": roots.len(), "closed": over, "directory": to})),
        false => println!("{} roots are in {}; {over} of them of days that are over", roots.len(), to.display()),
    }
    Ok(())
}

/// As JSON to standard output, or as a document of a format to a file.
fn proof(global: &Global, identifier: &str, document: Option<(&str, &Path)>, lang: Option<&str>) -> anyhow::Result<()> {
    block_on(async {
        let client = Client::remote(global)?;
        let path = format!("/v1/privacy/proof?identifier={}", encode(identifier));
        let Some((format, file)) = document else {
            println!("{:#}", client.get(&path).await?);
            return Ok(());
        };
        let lang = lang.map(|lang| format!("&lang={}", encode(lang))).unwrap_or_default();
        let answer = client.send(Method::GET, &format!("{path}&format={format}{lang}"), None).await?;
        std::fs::write(file, answer.bytes().await?).with_context(|| format!("writing {}", file.display()))
    })
}
