//! A folder of this machine, below the server's folder for files.

use std::path::{Path, PathBuf};

use super::{PART, PlaceError, local};

/// A folder.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    pub(super) fn new(root: &Path, name: &str) -> Folder {
        Folder { path: root.join(name) }
    }

    pub(super) async fn make(&self) -> Result<(), PlaceError> {
        tokio::fs::create_dir_all(&self.path).await.map_err(local(&self.path))
    }

    /// Copied beside (it may be another disk), on disk, then renamed, and the folder on disk.
    pub(super) async fn put(&self, from: &Path, name: &str) -> Result<(), PlaceError> {
        let (part, path) = (self.path.join(format!("{name}{PART}")), self.path.join(name));
        let failed = local(&path);
        tokio::fs::copy(from, &part).await.map_err(&failed)?;
        let file = tokio::fs::OpenOptions::new().write(true).open(&part).await.map_err(&failed)?;
        file.sync_all().await.map_err(&failed)?;
        tokio::fs::rename(&part, &path).await.map_err(&failed)?;
        let folder = tokio::fs::File::open(&self.path).await.map_err(&failed)?;
        folder.sync_all().await.map_err(&failed)
    }

    pub(super) async fn size_of(&self, name: &str) -> Result<Option<u64>, PlaceError> {
        let path = self.path.join(name);
        match tokio::fs::metadata(&path).await {
            Ok(found) => Ok(Some(found.len())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(local(&path)(error)),
        }
    }
}
