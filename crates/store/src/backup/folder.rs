//! A folder of a place whose files another room writes (the ledger's): as files of this machine, and back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::manifest::sha256;
use super::place::Place;
use super::{Result, at};

/// A folder as files of this machine: itself, or in object storage a copy of all of it.
pub struct Folder {
    name: String,
    path: PathBuf,
    staged: Option<Staged>,
}

/// A copy that goes away with this, and what it was made from.
struct Staged {
    _directory: tempfile::TempDir,
    hashes: BTreeMap<String, String>,
}

impl Place {
    /// A folder of the place. There may be none: then there is nothing at its path.
    pub fn folder(&self, name: &str) -> Result<Folder> {
        let Place::Bucket(_) = self else {
            return Ok(Folder { name: name.to_owned(), path: self.local(name), staged: None });
        };
        let directory = tempfile::tempdir().map_err(at(&std::env::temp_dir()))?;
        let path = directory.path().join(name);
        let mut hashes = BTreeMap::new();
        for file in self.names(name)? {
            let bytes = self.read(&format!("{name}/{file}"))?;
            std::fs::create_dir_all(&path).map_err(at(&path))?;
            let to = path.join(&file);
            std::fs::write(&to, &bytes).map_err(at(&to))?;
            hashes.insert(file, sha256(&bytes));
        }
        Ok(Folder { name: name.to_owned(), path, staged: Some(Staged { _directory: directory, hashes }) })
    }

    /// Brings the place's folder to what its files on this machine have become. `last`: the file that speaks for the others.
    pub fn put_back(&self, folder: &Folder, last: &str) -> Result<()> {
        let Some(Staged { hashes, .. }) = &folder.staged else { return Ok(()) };
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&folder.path).map_err(at(&folder.path))? {
            names.push(entry.map_err(at(&folder.path))?.file_name().to_string_lossy().into_owned());
        }
        names.sort_by_key(|name| (name == last, name.clone()));
        for name in &names {
            let path = folder.path.join(name);
            let bytes = std::fs::read(&path).map_err(at(&path))?;
            if hashes.get(name) != Some(&sha256(&bytes)) {
                self.write(&format!("{}/{name}", folder.name), bytes)?;
            }
        }
        for name in hashes.keys().filter(|name| !names.contains(name)) {
            self.remove(&format!("{}/{name}", folder.name))?;
        }
        Ok(())
    }
}

impl Folder {
    /// Where its files are.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
