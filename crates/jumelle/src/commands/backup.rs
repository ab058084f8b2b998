//! `jumelle backup`

use std::io::{BufRead, Read, Seek, Write};
use std::path::Path;

use anyhow::Context as _;
use jumelle_ledger::{Against, CopyWriter, FOLDER, pieces_of};
use jumelle_model::time::Timestamp;
use jumelle_store::History;
use jumelle_store::backup::{BackupReport, BackupWriter, FrameReader, Mark, Place, verify};
use reqwest::Method;
use serde_json::json;

use crate::arguments::{Backup, Global, Storage};
use crate::client::{Client, block_on, runtime};
use crate::output::{Failure, bold, spinner};

/// Brings a backup up to date, or checks it.
pub fn run(global: &Global, backup: &Backup) -> anyhow::Result<()> {
    let place = place(&backup.place, &backup.storage)?;
    if backup.verify {
        return check(global, &place);
    }
    let spinner = spinner(global, "backing up");
    let writer = BackupWriter::open(place, Timestamp::now()).map_err(refused)?;
    // The ledger after the history: what the history has and the ledger lacks is noted at the restore.
    let (report, place) = match &backup.data {
        Some(data) => from_directory(data, writer)?,
        None => from_server(global, writer)?,
    };
    let folder = place.folder(FOLDER).map_err(refused)?;
    match &backup.data {
        Some(data) => ledger_from_directory(data, folder.path())?,
        None => block_on(ledger_from_server(global, folder.path()))?,
    }
    place.put_back(&folder, LEDGER_LAST).map_err(refused)?;
    spinner.finish_and_clear();
    if global.json {
        println!("{:#}", serde_json::to_value(&report)?);
        return Ok(());
    }
    let (entries, files, bytes) = (report.new_entries, report.new_files, report.new_bytes);
    println!("{} entries, {files} files, {bytes} bytes are new; the backup holds {} entries", entries, report.end);
    if report.rewritten_files > 0 {
        println!("{} older files were written again without people erased since", report.rewritten_files);
    }
    if let Some(received) = report.received {
        println!("{}", bold(&format!("everything acknowledged up to {received} is in it")));
    }
    Ok(())
}

/// Where a backup lies, as the arguments say.
pub fn place(text: &str, storage: &Storage) -> anyhow::Result<Place> {
    // Object storage is spoken to over TLS.
    jumelle_activate::install_crypto();
    Place::parse(text, storage.s3_endpoint.as_deref()).map_err(refused)
}

/// What cannot be done as asked is refused (3); the rest has failed (1).
pub fn refused(error: jumelle_store::backup::BackupError) -> anyhow::Error {
    match error {
        jumelle_store::backup::BackupError::Refused(_) => Failure::refused(error.to_string()),
        other => other.into(),
    }
}

/// The writer waits for disks and storage, so it stays outside of the runtime that carries the stream.
fn from_server(global: &Global, mut writer: BackupWriter) -> anyhow::Result<(BackupReport, Place)> {
    let runtime = runtime()?;
    let client = Client::remote(global)?;
    let query = writer.mark().map_err(refused)?.map_or_else(String::new, |Mark { history, end, received }| {
        format!("?history={history:032x}&from={}&received={}", end.0, received.0)
    });
    let mut response = runtime.block_on(client.send(Method::GET, &format!("/v1/backup{query}"), None))?;
    let mut reader = FrameReader::default();
    while let Some(piece) = runtime.block_on(response.chunk()).context("the stream broke; the backup is as it was before")? {
        reader.push(&piece);
        while let Some(frame) = reader.next()? {
            writer.take(frame).map_err(refused)?;
        }
    }
    writer.finish().map_err(refused)
}

/// The file of the ledger that claims what the others hold.
const LEDGER_LAST: &str = "head";
/// How often a copy asks again, at most: a day does not end that often.
const LEDGER_PASSES_MAX: usize = 5;

async fn ledger_from_server(global: &Global, directory: &Path) -> anyhow::Result<()> {
    let client = Client::remote(global)?;
    let copy = CopyWriter::open(directory)?;
    for _ in 0..LEDGER_PASSES_MAX {
        let after = copy.after()?.map(|day| format!("?after={day}")).unwrap_or_default();
        let mut response = client.send(Method::GET, &format!("/v1/backup/ledger{after}"), None).await?;
        // Files may be large: what arrives goes to a file, and is taken apart there.
        let mut spool = tempfile::tempfile()?;
        while let Some(piece) = response.chunk().await.context("the stream broke; the ledger's copy is as it was before")? {
            spool.write_all(&piece)?;
        }
        spool.rewind()?;
        let mut spool = std::io::BufReader::new(spool);
        let over = loop {
            let mut line = String::new();
            spool.read_line(&mut line)?;
            let head: serde_json::Value = serde_json::from_str(&line).context("the ledger's stream was cut off")?;
            if let Some(over) = head["over"].as_u64() {
                break over;
            }
            let (name, bytes) = (head["name"].as_str().unwrap_or_default(), head["bytes"].as_u64().unwrap_or_default());
            copy.take(name, (&mut spool).take(bytes))?;
        };
        if over == 0 {
            return Ok(copy.finish()?);
        }
    }
    anyhow::bail!("the ledger changed faster than it could be copied")
}

fn ledger_from_directory(data: &Path, directory: &Path) -> anyhow::Result<()> {
    let copy = CopyWriter::open(directory)?;
    for piece in pieces_of(&data.join(FOLDER), copy.after()?.as_deref())? {
        copy.take(&piece.name, piece.file.take(piece.bytes))?;
    }
    Ok(copy.finish()?)
}

fn from_directory(data: &Path, mut writer: BackupWriter) -> anyhow::Result<(BackupReport, Place)> {
    if !data.join("history").exists() {
        let message = format!("{} is no data directory", data.display());
        return Err(Failure { code: 4, message, details: json!(null) }.into());
    }
    let history = History::open(data, None).context("opening the history")?;
    for frame in history.backup(writer.mark().map_err(refused)?).map_err(refused)? {
        writer.take(frame?).map_err(refused)?;
    }
    writer.finish().map_err(refused)
}

fn check(global: &Global, place: &Place) -> anyhow::Result<()> {
    let spinner = spinner(global, "reading every block");
    let mut verified = verify(place).map_err(|error| Failure::refused(error.to_string()))?;
    let copy = place.folder(FOLDER).map_err(refused)?;
    if copy.path().exists() {
        let ledger = jumelle_ledger::verify(copy.path(), &Against::default())?;
        verified.damages.extend(ledger.problems.iter().map(|problem| format!("{FOLDER}: {problem}")));
    }
    spinner.finish_and_clear();
    if global.json {
        println!("{:#}", serde_json::to_value(&verified)?);
    } else {
        println!(
            "{} blocks, {} entries, {} bytes; the last entry arrived {}",
            verified.blocks, verified.entries, verified.bytes, verified.received
        );
        for stray in &verified.stray {
            println!("{stray} is of a run that was cut off; the next one removes it");
        }
        if verified.damages.is_empty() {
            println!("{}", bold("nothing is damaged"));
        }
    }
    if verified.damages.is_empty() { Ok(()) } else { Err(Failure::refused(verified.damages.join("\n"))) }
}
