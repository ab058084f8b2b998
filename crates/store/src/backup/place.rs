//! Where a backup lies: a directory, or a bucket. Both hold the same files under the same names.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::bucket::{Bucket, Version};
use super::{BackupError, Result, at};

/// Where a backup lies.
#[derive(Debug)]
pub enum Place {
    /// On a disk.
    Directory(PathBuf),
    /// In object storage.
    Bucket(Bucket),
}

/// Keeps two runs out of each other's way, as far as the place can.
pub(crate) enum Claim {
    /// Held while the run lasts.
    Lock {
        /// It ends with this.
        _lock: std::fs::File,
    },
    /// Object storage has no locks: the manifest that the run began with must still be there at its end.
    Unless(Option<Version>),
}

impl Place {
    /// `s3://BUCKET/PREFIX`, or a directory. `endpoint`: of storage that speaks like S3 and is not Amazon's.
    pub fn parse(text: &str, endpoint: Option<&str>) -> Result<Place> {
        if let Some(rest) = text.strip_prefix("s3://") {
            return Bucket::open(rest, endpoint).map(Place::Bucket);
        }
        if text.contains("://") {
            return Err(BackupError::Refused(format!("{text}: neither a directory nor s3://BUCKET/PREFIX")));
        }
        Ok(Place::Directory(text.into()))
    }

    /// The bytes of a file; `None`: there is none.
    pub(crate) fn find(&self, name: &str) -> Result<Option<Vec<u8>>> {
        match self {
            Place::Directory(directory) => {
                let path = directory.join(name);
                match std::fs::read(&path) {
                    Ok(bytes) => Ok(Some(bytes)),
                    Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                    Err(error) => Err(at(&path)(error)),
                }
            }
            Place::Bucket(bucket) => Ok(bucket.get(name)?.map(|(bytes, _)| bytes)),
        }
    }

    /// The bytes of a file that has to be there.
    pub(crate) fn read(&self, name: &str) -> Result<Vec<u8>> {
        self.find(name)?.ok_or_else(|| BackupError::File { path: self.at(name), source: ErrorKind::NotFound.into() })
    }

    /// Writes a file, whole or not at all; it survives a power cut when this returns.
    pub(crate) fn write(&self, name: &str, bytes: Vec<u8>) -> Result<()> {
        match self {
            Place::Directory(directory) => write_whole(&directory.join(name), &bytes),
            Place::Bucket(bucket) => bucket.put(name, bytes),
        }
    }

    /// Begins a run: makes what has to be there, and sees to it that no other run writes at the same time.
    pub(crate) fn claim(&self, folder: &str, manifest: &str) -> Result<Claim> {
        match self {
            Place::Directory(directory) => {
                let folder = directory.join(folder);
                std::fs::create_dir_all(&folder).map_err(at(&folder))?;
                let path = directory.join("lock");
                let lock = std::fs::File::create(&path).map_err(at(&path))?;
                lock.try_lock()
                    .map_err(|_| BackupError::Refused(format!("another run is writing into {}", directory.display())))?;
                Ok(Claim::Lock { _lock: lock })
            }
            Place::Bucket(bucket) => Ok(Claim::Unless(bucket.version(manifest)?)),
        }
    }

    /// Replaces a file that other runs replace too, as [`Place::claim`] has it.
    pub(crate) fn replace(&self, name: &str, bytes: Vec<u8>, claim: &Claim) -> Result<()> {
        match (self, claim) {
            (Place::Bucket(bucket), Claim::Unless(version)) => bucket.replace(name, bytes, version.clone()),
            _ => self.write(name, bytes),
        }
    }

    /// What makes the names of a run's files its own, where two runs may write at the same time.
    pub(crate) fn run_name(&self) -> String {
        match self {
            Place::Directory(_) => String::new(),
            Place::Bucket(_) => format!(".{:08x}", rand::random::<u32>()),
        }
    }

    /// Names of the files of a folder (`""`: of the backup itself); none if it is not there.
    pub(crate) fn names(&self, folder: &str) -> Result<Vec<String>> {
        match self {
            Place::Directory(directory) => {
                let path = if folder.is_empty() { directory.clone() } else { directory.join(folder) };
                match std::fs::read_dir(&path) {
                    Ok(entries) => {
                        entries.map(|entry| Ok(entry.map_err(at(&path))?.file_name().to_string_lossy().into_owned())).collect()
                    }
                    Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
                    Err(error) => Err(at(&path)(error)),
                }
            }
            Place::Bucket(bucket) => bucket.names(folder),
        }
    }

    /// Removes a file.
    pub(crate) fn remove(&self, name: &str) -> Result<()> {
        match self {
            Place::Directory(directory) => {
                let path = directory.join(name);
                std::fs::remove_file(&path).map_err(at(&path))
            }
            Place::Bucket(bucket) => bucket.remove(name),
        }
    }

    /// Where a file or folder is on this machine; nowhere, in object storage.
    pub(crate) fn local(&self, name: &str) -> PathBuf {
        match self {
            Place::Directory(directory) => directory.join(name),
            Place::Bucket(_) => PathBuf::new(),
        }
    }

    fn at(&self, name: &str) -> String {
        match self {
            Place::Directory(directory) => directory.join(name).display().to_string(),
            Place::Bucket(bucket) => format!("{bucket}/{name}"),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Directory(directory) => write!(formatter, "{}", directory.display()),
            Place::Bucket(bucket) => write!(formatter, "{bucket}"),
        }
    }
}

/// The whole file or the one that was there before; on disk when this returns.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let partial: PathBuf = path.with_extension("partial");
    let written = std::fs::File::create(&partial).and_then(|mut file| {
        std::io::Write::write_all(&mut file, bytes)?;
        file.sync_all()
    });
    written.map_err(at(&partial))?;
    std::fs::rename(&partial, path).map_err(at(path))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(at(folder))
}
