//! What is remembered of a destination's files, on disk: the last one, and the one that is being put.

use std::io;
use std::path::{Path, PathBuf};

use jumelle_files::Manifest;
use jumelle_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::Put;

const STATE_FILE: &str = "state.json";

/// Kept in `state.json`, changed by renaming.
pub(crate) struct State {
    folder: PathBuf,
    kept: Kept,
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct Kept {
    /// Since when the schedule runs, or the instant of the last file.
    since: Timestamp,
    last_at: Option<Timestamp>,
    last: Vec<Put>,
    /// The instant of a file that was begun and is not done.
    begun: Option<Timestamp>,
    /// What is being put: after a crash nobody knows whether it is there.
    ready: Option<Vec<Ready>>,
}

/// A file as it is being put.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Ready {
    pub put: Put,
    pub manifest: Manifest,
}

impl State {
    pub fn open(folder: &Path, now: Timestamp) -> io::Result<State> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join(STATE_FILE);
        let kept = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Kept { since: now, ..Kept::default() },
            Err(error) => return Err(error),
        };
        let state = State { folder: folder.to_owned(), kept };
        state.write()?;
        Ok(state)
    }

    pub fn since(&self) -> Timestamp {
        self.kept.since
    }

    pub fn last_at(&self) -> Option<Timestamp> {
        self.kept.last_at
    }

    pub fn last_put(&self) -> Vec<Put> {
        self.kept.last.clone()
    }

    pub fn begun(&self) -> Option<Timestamp> {
        self.kept.begun
    }

    /// What was being put when the process ended.
    pub fn ready(&self) -> Option<Vec<Ready>> {
        self.kept.ready.clone()
    }

    /// A file is begun: whatever happens, it keeps its instant and with it its name.
    pub fn begin(&mut self, at: Timestamp) -> io::Result<()> {
        self.kept.begun = Some(at);
        self.write()
    }

    /// It is whole, and about to be put. `None`: it was not there after all.
    pub fn put(&mut self, ready: Option<Vec<Ready>>) -> io::Result<()> {
        self.kept.ready = ready;
        self.write()
    }

    /// It is there, and so recorded.
    pub fn end(&mut self, at: Timestamp, put: Vec<Put>) -> io::Result<()> {
        self.kept = Kept { since: at, last_at: Some(at), last: put, begun: None, ready: None };
        self.write()
    }

    fn write(&self) -> io::Result<()> {
        use std::io::Write as _;
        let (path, next) = (self.folder.join(STATE_FILE), self.folder.join("state.json.next"));
        let mut file = std::fs::File::create(&next)?;
        file.write_all(&serde_json::to_vec(&self.kept)?)?;
        file.sync_all()?;
        std::fs::rename(&next, &path)?;
        std::fs::File::open(&self.folder)?.sync_all()
    }
}
