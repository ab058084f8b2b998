//! A data directory: its format, its names made durable, and its files held against the sums that the storage engine keeps.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use crate::{Result, StoreError};

/// Number of the on-disk format that this Jumelle writes. 1: no file `FORMAT`, rows without a checksum, the checksum of a block
/// covers its content only. 2: `FORMAT`, a checksum in every row, that of a block covers its position and number of entries too.
/// 3: what a person's choices share stands once in her row; rows of format 2 are read and become such when she changes.
pub const FORMAT: u32 = 3;

const FORMAT_FILE: &str = "FORMAT";
const FORMAT_WORD: &str = "jumelle-data";
const HISTORY: &str = "history";
const RETIRED: &str = "tables.old";
const TRAILER_BYTES: usize = 38;

/// Format of a directory; `None`: nothing is there yet.
pub fn format(directory: &Path) -> Result<Option<u32>> {
    let path = directory.join(FORMAT_FILE);
    let text = match std::fs::read(&path) {
        Ok(text) => String::from_utf8_lossy(&text).into_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(directory.join(HISTORY).exists().then_some(1));
        }
        Err(source) => return Err(io(&path, source)),
    };
    let number = text.strip_prefix(FORMAT_WORD).and_then(|rest| rest.trim().parse().ok());
    let found = number.filter(|number| *number > 0).ok_or_else(|| StoreError::Damaged {
        place: path.display().to_string(),
        what: format!("it should say {FORMAT_WORD} and a number"),
    })?;
    if found > FORMAT { Err(StoreError::TooNew { found, known: FORMAT }) } else { Ok(Some(found)) }
}

/// Says that the directory has today's format from now on.
pub(crate) fn set_format(directory: &Path) -> Result<()> {
    let (path, fresh) = (directory.join(FORMAT_FILE), directory.join("FORMAT.new"));
    let written = File::create(&fresh).and_then(|mut file| {
        file.write_all(format!("{FORMAT_WORD} {FORMAT}\n").as_bytes())?;
        file.sync_all()
    });
    written.and_then(|()| std::fs::rename(&fresh, &path)).map_err(|source| io(&path, source))?;
    sync(directory)
}

/// Makes a directory and its name durable.
pub(crate) fn create(directory: &Path) -> Result<()> {
    std::fs::create_dir_all(directory).map_err(|source| io(directory, source))?;
    let parent = directory.parent().map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent });
    match parent.map_or(Ok(()), sync) {
        // The folder around a data directory may be one that only root reads; whoever made the directory there has to see to it.
        Err(StoreError::Io { source, .. }) if source.kind() == std::io::ErrorKind::PermissionDenied => Ok(()),
        synced => synced,
    }
}

/// Makes the names in a directory durable.
pub(crate) fn sync(directory: &Path) -> Result<()> {
    File::open(directory).and_then(|file| file.sync_all()).map_err(|source| io(directory, source))
}

/// Puts the tables in `fresh` in the place of the live ones. After a crash at any point there is one whole set.
pub fn replace_tables(directory: &Path, fresh: &str) -> Result<()> {
    let (live, old) = (directory.join("tables"), directory.join(RETIRED));
    let moved = std::fs::rename(&live, &old).and_then(|()| std::fs::rename(directory.join(fresh), &live));
    moved.map_err(|source| io(&live, source))?;
    sync(directory)?;
    std::fs::remove_dir_all(&old).map_err(|source| io(&old, source))
}

/// Ends or undoes a [`replace_tables`] that a crash has interrupted.
pub(crate) fn settle_tables(directory: &Path) -> Result<()> {
    let (live, old) = (directory.join("tables"), directory.join(RETIRED));
    if !old.exists() {
        return Ok(());
    }
    let settled = if live.exists() { std::fs::remove_dir_all(&old) } else { std::fs::rename(&old, &live) };
    settled.map_err(|source| io(&old, source))?;
    sync(directory)
}

/// A file of a data directory that is not what was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadFile {
    /// Which file.
    pub path: PathBuf,
    /// What does not fit.
    pub what: String,
}

/// Holds the manifests of a database's keyspaces against their checksums. The storage engine keeps the sum and does not look at
/// it, and a manifest decides which rows there are.
pub fn bad_manifests(database: &Path) -> Result<Vec<BadFile>> {
    let mut bad = Vec::new();
    for keyspace in keyspaces(database)? {
        if let Err(file) = manifest(&keyspace)? {
            bad.push(file);
        }
    }
    Ok(bad)
}

/// Holds every file that the manifests name against its checksum: tables and blobs.
pub fn bad_files(database: &Path) -> Result<Vec<BadFile>> {
    let mut bad = Vec::new();
    for keyspace in keyspaces(database)? {
        match manifest(&keyspace)? {
            Err(file) => bad.push(file),
            Ok(bytes) => {
                for (path, sum) in listed(&keyspace, &bytes) {
                    match file_sum(&path) {
                        Ok(found) if found == sum => {}
                        Ok(_) => bad.push(BadFile { path, what: "its checksum does not match the one in the manifest".into() }),
                        Err(error) => bad.push(BadFile { path, what: error.to_string() }),
                    }
                }
            }
        }
    }
    Ok(bad)
}

fn keyspaces(database: &Path) -> Result<Vec<PathBuf>> {
    let root = database.join("keyspaces");
    if !root.exists() {
        return Ok(Vec::new());
    }
    // One without `current` was never finished: the engine makes it anew.
    Ok(children(&root)?.into_iter().filter(|path| path.join("current").exists()).collect())
}

/// The bytes of a keyspace's manifest. `current`: its number (u64 LE) and xxh3-128 (u128 LE).
fn manifest(keyspace: &Path) -> Result<std::result::Result<Vec<u8>, BadFile>> {
    let current = keyspace.join("current");
    let pointer = std::fs::read(&current).map_err(|source| io(&current, source))?;
    let bad = |path: PathBuf, what: &str| Ok(Err(BadFile { path, what: what.into() }));
    let (Some(number), Some(sum)) = (pointer.get(..8).map(u64_of), pointer.get(8..24).map(u128_of)) else {
        return bad(current, "it is too short");
    };
    let path = keyspace.join(format!("v{number}"));
    match std::fs::read(&path) {
        Ok(bytes) if xxh3_128(&bytes) == sum => Ok(Ok(bytes)),
        Ok(_) => bad(path, "the manifest and `current` do not fit together"),
        Err(_) => bad(current, "it names a manifest that is not there"),
    }
}

/// The tables and blobs that a manifest names, each with its xxh3-128; of a manifest whose checksum matched.
fn listed(keyspace: &Path, manifest: &[u8]) -> Vec<(PathBuf, u128)> {
    let mut files = Vec::new();
    let sections = sections(manifest).unwrap_or_default();
    let mut take = |mut at, folder: &str, entry_bytes: usize| {
        for _ in 0..take_u32(&mut at) {
            let (Some(id), Some(sum)) = (at.get(..8).map(u64_of), at.get(9..25).map(u128_of)) else { break };
            files.push((keyspace.join(folder).join(id.to_string()), sum));
            at = at.get(entry_bytes..).unwrap_or_default();
        }
        at
    };
    for (name, bytes) in sections {
        if name == b"blob_files" {
            take(bytes, "blobs", 25);
        } else if name == b"tables" {
            // Levels (u8), in each runs (u8), in each tables (u32) with id, kind of sum, sum, and a sequence number.
            let mut at = bytes;
            for _ in 0..take_u8(&mut at) {
                for _ in 0..take_u8(&mut at) {
                    at = take(at, "tables", 33);
                }
            }
        }
    }
    files
}

type Section<'a> = (&'a [u8], &'a [u8]);

/// The named sections of an sfa 1 archive: it ends with a trailer (`SFA!`, two bytes, u128 sum, u64 position and u64 length of the
/// contents), and the contents are `TOC!`, u32 entries, and for each u64 position, u64 length, u16 length of its name, name.
fn sections(archive: &[u8]) -> Option<Vec<Section<'_>>> {
    let trailer = archive.get(archive.len().checked_sub(TRAILER_BYTES)?..)?;
    let contents = u64_of(trailer.get(22..30)?) as usize;
    let (count, mut entry) = archive.get(contents..)?.strip_prefix(b"TOC!")?.split_at_checked(4)?;
    let mut sections = Vec::new();
    for _ in 0..u32_of(count) {
        let (from, len) = (u64_of(entry.get(..8)?) as usize, u64_of(entry.get(8..16)?) as usize);
        let name_len = u16::from_le_bytes(entry.get(16..18)?.try_into().ok()?) as usize;
        sections.push((entry.get(18..18 + name_len)?, archive.get(from..from.checked_add(len)?)?));
        entry = entry.get(18 + name_len..)?;
    }
    Some(sections)
}

fn file_sum(path: &Path) -> std::io::Result<u128> {
    let mut file = File::open(path)?;
    let (mut hasher, mut buffer) = (Xxh3::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.digest128()),
            read => hasher.update(&buffer[..read]),
        }
    }
}

fn children(directory: &Path) -> Result<Vec<PathBuf>> {
    let listed = std::fs::read_dir(directory).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    let mut paths: Vec<PathBuf> = listed.map_err(|source| io(directory, source))?;
    paths.sort();
    Ok(paths)
}

fn take_u8(at: &mut &[u8]) -> u8 {
    let Some((first, rest)) = at.split_first() else { return 0 };
    *at = rest;
    *first
}

fn take_u32(at: &mut &[u8]) -> u32 {
    let Some((first, rest)) = at.split_at_checked(4) else { return 0 };
    *at = rest;
    u32_of(first)
}

fn u32_of(bytes: &[u8]) -> u32 {
    bytes.try_into().map_or(0, u32::from_le_bytes)
}

fn u64_of(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(0, u64::from_le_bytes)
}

fn u128_of(bytes: &[u8]) -> u128 {
    bytes.try_into().map_or(0, u128::from_le_bytes)
}

fn io(path: &Path, source: std::io::Error) -> StoreError {
    StoreError::Io { path: path.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Table, Tables};
    use jumelle_model::ids::Position;

    /// Where a crash may come while tables are replaced: after each rename, before the old ones are gone.
    #[test]
    fn after_a_crash_while_tables_are_replaced_there_is_one_whole_set() {
        let room = tempfile::tempdir().unwrap();
        let at = |name: &str| room.path().join(name);
        let present = || (std::fs::read(at("tables/which")).unwrap(), at("tables.old").exists());
        let make = |name: &str| {
            std::fs::create_dir(at(name)).unwrap();
            std::fs::write(at(name).join("which"), name).unwrap();
        };
        make("tables.old");
        make("fresh");
        settle_tables(room.path()).unwrap();
        assert_eq!(present(), (b"tables.old".to_vec(), false), "undone");
        replace_tables(room.path(), "fresh").unwrap();
        assert_eq!(present(), (b"fresh".to_vec(), false));
        make("tables.old");
        settle_tables(room.path()).unwrap();
        assert_eq!(present(), (b"fresh".to_vec(), false), "ended");
    }

    #[test]
    fn a_changed_byte_in_a_file_of_the_engine_is_found() {
        let room = tempfile::tempdir().unwrap();
        let tables = Tables::open(room.path(), "tables", 1 << 20).unwrap();
        let mut batch = tables.batch();
        (0..50_u32).for_each(|n| batch.put(Table::People, &n.to_be_bytes(), &[7; 100]));
        batch.commit(Position(1)).unwrap();
        tables.compact().unwrap();
        drop(tables);
        let database = room.path().join("tables");
        assert_eq!(bad_files(&database).unwrap(), []);
        let keyspace = database.join("keyspaces/1");
        let files = |folder: &Path| children(folder).unwrap().into_iter().filter(|path| path.is_file()).collect::<Vec<_>>();
        let looked_at = files(&keyspace.join("tables"));
        assert!(!looked_at.is_empty(), "there is a table");
        let manifest = files(&keyspace).into_iter().max_by_key(|path| path.metadata().unwrap().len()).unwrap();
        for path in looked_at.into_iter().chain([manifest, keyspace.join("current")]) {
            let whole = std::fs::read(&path).unwrap();
            let mut changed = whole.clone();
            changed[whole.len() / 3] ^= 1;
            std::fs::write(&path, &changed).unwrap();
            assert_eq!(bad_files(&database).unwrap().len(), 1, "{}", path.display());
            std::fs::write(&path, &whole).unwrap();
        }
    }
}
