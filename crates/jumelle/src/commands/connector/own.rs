//! A team's own connectors: the folder that they are in, read at the start and again when it has changed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use jumelle_connect::{Catalogue, Files, check_workspace};
use jumelle_engine::Engine;

use crate::output::Failure;

/// Bytes of one file of a connector's folder, at most.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// How often a running server looks at the folder.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Where they are: the folder that was named, or `connectors` beside the workspace file, which need not be there.
pub fn place(folder: Option<&Path>, workspace: Option<&Path>) -> Option<PathBuf> {
    let beside = || workspace.and_then(Path::parent).map(|parent| parent.join("connectors"));
    folder.map(Path::to_path_buf).or_else(beside)
}

/// The connectors there are: those in the binary, and a team's own.
pub fn catalogue(folder: Option<&Path>, workspace: Option<&Path>) -> anyhow::Result<Catalogue> {
    match place(folder, workspace).filter(|place| folder.is_some() || place.is_dir()) {
        Some(place) => read(&place, &Catalogue::built_in()),
        None => Ok(Catalogue::built_in()),
    }
}

fn read(place: &Path, before: &Catalogue) -> anyhow::Result<Catalogue> {
    let refused = |broken| Failure::refused(format!("{}: {broken}", place.display()));
    Catalogue::with_own(read_folders(place)?, before).map_err(refused)
}

/// Takes in what is changed in the folder while the server runs. What does not hold, or does not fit the definitions in force, is said
/// and left: messages go on with the connector as it was.
pub async fn follow(engine: Arc<Engine>, place: PathBuf) {
    // Looked at once more after the start: something may have been written since it was read.
    let (mut taken, mut seen) = (Stamp::new(), Stamp::new());
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let now = stamp(&place);
        // Whoever is still writing is waited for.
        let rests = std::mem::replace(&mut seen, now.clone()) == now;
        if !rests || now == taken {
            continue;
        }
        taken = now;
        let outcome = match take_in(&engine, &place) {
            Ok(changed) if changed.is_empty() => continue,
            Ok(changed) => {
                tracing::info!(folder = %place.display(), changed = changed.join(", "), "connectors were read again");
                "taken"
            }
            Err(error) => {
                tracing::error!(folder = %place.display(), error = format!("{error:#}"), "changed connectors were not taken");
                "refused"
            }
        };
        metrics::counter!("jumelle_connector_reloads_total", "outcome" => outcome).increment(1);
    }
}

/// The keys of those that are changed, new or gone.
fn take_in(engine: &Engine, place: &Path) -> anyhow::Result<Vec<String>> {
    let before = engine.dispatcher().catalogue();
    let fresh = match place.is_dir() {
        true => read(place, &before)?,
        false => Catalogue::built_in(),
    };
    check_workspace(&fresh, &engine.shared().definitions().workspace, "")?;
    let mut keys: Vec<&str> = fresh.all().chain(before.all()).map(|connector| connector.manifest.connector.as_str()).collect();
    keys.sort_unstable();
    keys.dedup();
    let is_same = |key: &str| matches!((before.get(key), fresh.get(key)), (Some(was), Some(is)) if Arc::ptr_eq(was, is));
    let changed: Vec<String> = keys.into_iter().filter(|key| !is_same(key)).map(str::to_owned).collect();
    if !changed.is_empty() {
        engine.dispatcher().take_catalogue(Arc::new(fresh));
    }
    Ok(changed)
}

/// What tells one state of a folder from another: its files, when each was written, and its length.
type Stamp = BTreeMap<PathBuf, (Option<SystemTime>, u64)>;

fn stamp(place: &Path) -> Stamp {
    let mut stamp = Stamp::new();
    let mut folders = vec![(place.to_path_buf(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        // One that is not there, or goes meanwhile, has nothing in it.
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            match metadata.is_dir() {
                // connectors/KEY/cases
                true if depth < 2 => folders.push((entry.path(), depth + 1)),
                true => {}
                false => {
                    stamp.insert(entry.path(), (metadata.modified().ok(), metadata.len()));
                }
            }
        }
    }
    stamp
}

/// The connectors of a folder, by key.
pub fn read_folders(folder: &Path) -> anyhow::Result<BTreeMap<String, Files>> {
    let mut folders = BTreeMap::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.join("connector.yaml").is_file() {
            folders.insert(key_of(&path), read_folder(&path)?);
        }
    }
    Ok(folders)
}

/// Name of a connector's folder, or of a case.
pub fn key_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The text files of one connector.
pub fn read_folder(path: &Path) -> anyhow::Result<Files> {
    let mut files = Files::new();
    let mut take = |name: String, path: &Path| -> anyhow::Result<()> {
        let size = std::fs::metadata(path)?.len();
        if size > FILE_BYTES_MAX {
            return Err(Failure::refused(format!("{}: {size} bytes; a file of a connector has 1 MiB at most", path.display())));
        }
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        files.insert(name, text);
        Ok(())
    };
    for name in ["connector.yaml", "README.md", "icon.svg"] {
        if path.join(name).is_file() {
            take(name.to_owned(), &path.join(name))?;
        }
    }
    if path.join("cases").is_dir() {
        for entry in std::fs::read_dir(path.join("cases"))? {
            let file = entry?.path();
            if file.extension().is_some_and(|end| end == "yaml" || end == "json") {
                take(format!("cases/{}", key_of(&file)), &file)?;
            }
        }
    }
    Ok(files)
}
