//! The storage engine's journals, read by us before it reads them.
//!
//! fjall ends the replay of a journal at the first record that it cannot decode and cuts the file there without a word, and does
//! not open at all when a whole record has the wrong checksum. For a journal that a power cut has torn the first is right and the
//! second is not; for one with a flipped bit the first loses every acknowledged block behind it. So each journal is checked
//! first: what is torn at the end is cut off and told, what is damaged before the end is an error that names the place.
//!
//! Layout (fjall 3, `journal/entry.rs`): batches of a start (1, u32 items, u64 sequence number), items (2, value type, compression,
//! u64 keyspace, u16 key length, u32 value length, u32 stored length, key, value) or clears (4, u64 keyspace), and an end (3, xxh3
//! of the items' bytes, `FJL` 3). Behind the last one the file may be filled with zeros.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use crate::{Result, StoreError};

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
const START_BYTES: usize = 13;
const ITEM_HEADER_BYTES: usize = 21;
const END_BYTES: usize = 13;
const CLEAR_BYTES: usize = 9;
const TRAILER: &[u8] = b"FJL\x03";
/// Where in an item the lengths stand.
const KEY_LENGTH_AT: usize = 11;
const STORED_LENGTH_AT: usize = 17;

/// What a journal holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JournalScan {
    /// Bytes that are whole batches.
    pub valid_bytes: u64,
    /// Bytes behind them that are neither whole nor zero.
    pub torn_bytes: u64,
    /// Where whole batches begin again behind the first damage; `None`: nowhere, as after a power cut.
    pub whole_again_at: Option<u64>,
    /// Sequence number of the last whole batch before the damage.
    pub last_sequence: Option<u64>,
}

impl JournalScan {
    /// Every batch is whole.
    pub fn is_whole(&self) -> bool {
        self.torn_bytes == 0
    }
}

/// The journals of a database, the oldest first; the last one is being written.
pub fn journals(database: &Path) -> Result<Vec<PathBuf>> {
    if !database.exists() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(database).map_err(|source| io(database, source))? {
        let path = entry.map_err(|source| io(database, source))?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<u64>().ok());
        if path.extension().is_some_and(|extension| extension == "jnl")
            && let Some(number) = number
        {
            found.push((number, path));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// Reads a journal to its end, changing nothing. `after`: the sequence number of the last batch of the journal before it.
pub fn scan(path: &Path, after: Option<u64>) -> Result<JournalScan> {
    let mut bytes = Vec::new();
    File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)).map_err(|source| io(path, source))?;
    Ok(scan_bytes(&bytes, after))
}

fn scan_bytes(bytes: &[u8], after: Option<u64>) -> JournalScan {
    // The file is made long before it is full: what is zero to the end was never written.
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let (mut at, mut last_sequence) = (0, after);
    while at < used {
        // The checksum does not cover the sequence number; that it grows does.
        match batch(&bytes[at..]).filter(|(_, sequence)| last_sequence.is_none_or(|last| *sequence > last)) {
            Some((length, sequence)) => {
                at += length;
                last_sequence = Some(sequence);
            }
            None => break,
        }
    }
    let torn_bytes = used.saturating_sub(at) as u64;
    let whole_again_at = (at + 1..used).find(|again| batch(&bytes[*again..]).is_some()).map(|again| again as u64);
    JournalScan { valid_bytes: at as u64, torn_bytes, whole_again_at, last_sequence }
}

/// Length and sequence number of the whole batch at the beginning of `bytes`.
fn batch(bytes: &[u8]) -> Option<(usize, u64)> {
    let start = bytes.get(..START_BYTES)?;
    if start[0] != START {
        return None;
    }
    let items = u32::from_le_bytes(start[1..5].try_into().ok()?);
    let sequence = u64::from_le_bytes(start[5..].try_into().ok()?);
    let mut at = START_BYTES;
    for _ in 0..items {
        at += match *bytes.get(at)? {
            ITEM => {
                let header = bytes.get(at..at + ITEM_HEADER_BYTES)?;
                let key = u16::from_le_bytes(header[KEY_LENGTH_AT..KEY_LENGTH_AT + 2].try_into().ok()?) as usize;
                let value = u32::from_le_bytes(header[STORED_LENGTH_AT..].try_into().ok()?) as usize;
                ITEM_HEADER_BYTES + key + value
            }
            CLEAR => CLEAR_BYTES,
            _ => return None,
        };
    }
    let end = bytes.get(at..at + END_BYTES)?;
    let sum = u64::from_le_bytes(end[1..9].try_into().ok()?);
    let whole = end[0] == END && &end[9..] == TRAILER && xxh3_64(&bytes[START_BYTES..at]) == sum;
    whole.then_some((at + END_BYTES, sequence))
}

/// What [`repair`] found and cut off.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Repaired {
    /// Bytes cut off, 0 if nothing was torn.
    pub(crate) cut_bytes: u64,
    /// Sequence number of the last batch that is left.
    pub(crate) last_sequence: Option<u64>,
}

/// Makes the journals ready to be opened: cuts a torn end off the last one. Damage anywhere else is an error, except that in a
/// journal that nobody syncs (`synced` false: the tables) a power cut may leave whole batches behind a torn one; they go too.
pub(crate) fn repair(database: &Path, synced: bool) -> Result<Repaired> {
    let mut repaired = Repaired::default();
    let journals = journals(database)?;
    for (n, path) in journals.iter().enumerate() {
        let scan = scan(path, repaired.last_sequence)?;
        repaired.last_sequence = scan.last_sequence;
        if scan.is_whole() {
            continue;
        }
        let last = n + 1 == journals.len();
        if !last || (synced && scan.whole_again_at.is_some()) {
            return Err(StoreError::Damaged {
                place: format!("{} at byte {}", path.display(), scan.valid_bytes),
                what: format!(
                    "a batch does not match its checksum, and {}",
                    match scan.whole_again_at {
                        Some(again) => format!("whole ones follow from byte {again}"),
                        None => "newer journals follow".into(),
                    }
                ),
            });
        }
        cut(path, scan.valid_bytes)?;
        tracing::warn!(
            journal = %path.display(), bytes = scan.torn_bytes, at = scan.valid_bytes,
            "the end of the journal was torn, as a power cut leaves it, and is cut off; nothing acknowledged was in it"
        );
        repaired.cut_bytes = scan.torn_bytes;
    }
    Ok(repaired)
}

/// Goes on without what is damaged: ends the journals at the first damage and removes the newer ones. Gives how many bytes went.
pub fn cut_damage(database: &Path) -> Result<u64> {
    let (mut cut_bytes, mut last_sequence) = (0, None);
    for path in journals(database)? {
        if cut_bytes > 0 {
            cut_bytes += path.metadata().map_or(0, |metadata| metadata.len());
            std::fs::remove_file(&path).map_err(|source| io(&path, source))?;
            continue;
        }
        let scan = scan(&path, last_sequence)?;
        last_sequence = scan.last_sequence;
        if !scan.is_whole() {
            cut(&path, scan.valid_bytes)?;
            cut_bytes += scan.torn_bytes;
        }
    }
    Ok(cut_bytes)
}

/// Ends a journal at a byte, for good.
fn cut(path: &Path, at: u64) -> Result<()> {
    let ended = OpenOptions::new().write(true).open(path).and_then(|file| {
        file.set_len(at)?;
        file.sync_all()
    });
    ended.map_err(|source| io(path, source))
}

fn io(path: &Path, source: std::io::Error) -> StoreError {
    StoreError::Io { path: path.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fjall::{KeyspaceCreateOptions, PersistMode};

    /// A journal as the storage engine itself writes it: three batches of two items.
    fn journal(directory: &Path) -> Vec<u8> {
        let database = crate::open_database(directory, 1 << 20).unwrap();
        let keyspace = database.keyspace("blocks", KeyspaceCreateOptions::default).unwrap();
        for n in 0..3u8 {
            let mut batch = database.batch().durability(Some(PersistMode::SyncData));
            batch.insert(&keyspace, [n], vec![n + 7; 3_000]);
            batch.insert(&keyspace, [n, n], b"".as_slice());
            batch.commit().unwrap();
        }
        drop((keyspace, database));
        let mut bytes = std::fs::read(journals(directory).unwrap().pop().unwrap()).unwrap();
        // A few of the zeros behind it will do.
        bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).unwrap() + 100);
        bytes
    }

    #[test]
    fn what_the_engine_wrote_is_whole() {
        let directory = tempfile::tempdir().unwrap();
        let bytes = journal(directory.path());
        let scan = scan_bytes(&bytes, None);
        assert!(scan.is_whole() && scan.last_sequence.is_some());
        assert_eq!(scan.valid_bytes, bytes.iter().rposition(|byte| *byte == 3).unwrap() as u64 + 1);
    }

    #[test]
    fn any_flipped_bit_is_found_and_known_from_a_torn_end() {
        let directory = tempfile::tempdir().unwrap();
        let mut bytes = journal(directory.path());
        let whole = scan_bytes(&bytes, None);
        let batch_bytes = whole.valid_bytes as usize / 3;
        for at in (0..whole.valid_bytes as usize).step_by(11) {
            for bit in [0, 5] {
                bytes[at] ^= 1 << bit;
                let scan = scan_bytes(&bytes, None);
                let sequence = (5..START_BYTES).contains(&(at % batch_bytes));
                // In the last batch a greater sequence number cannot be told from a true one, and changes nothing.
                assert!(!scan.is_whole() || (sequence && at >= 2 * batch_bytes), "bit {bit} of byte {at}");
                if !scan.is_whole() && !sequence {
                    assert_eq!(scan.whole_again_at.is_some(), at < 2 * batch_bytes, "bit {bit} of byte {at}");
                }
                bytes[at] ^= 1 << bit;
            }
        }
    }

    #[test]
    fn a_torn_end_is_cut_off_and_damage_before_it_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let bytes = journal(directory.path());
        let path = journals(directory.path()).unwrap().pop().unwrap();
        let whole = scan_bytes(&bytes, None).valid_bytes as usize;
        for end in [whole - 1, whole - 2_000, whole - 3_040] {
            let mut torn = bytes.clone();
            torn[end..].fill(0);
            std::fs::write(&path, &torn).unwrap();
            assert!(repair(directory.path(), true).unwrap().cut_bytes > 0);
            assert_eq!(std::fs::metadata(&path).unwrap().len() as usize, whole / 3 * 2);
            assert_eq!(repair(directory.path(), true).unwrap().cut_bytes, 0);
        }
        let mut damaged = bytes;
        damaged[whole / 2] ^= 1;
        std::fs::write(&path, &damaged).unwrap();
        let error = repair(directory.path(), true).unwrap_err().to_string();
        assert!(error.contains(".jnl at byte") && error.contains("whole ones follow"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), damaged, "nothing is cut off there");
    }
}
