//! Replaying the history into fresh tables, and comparing them with the live ones byte by byte.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use jumelle_ledger::{Against, CopyWriter, FOLDER, pieces_of};
use jumelle_model::ids::ProfileId;
use jumelle_model::time::Timestamp;
use jumelle_store::backup::{BackupError, Place, Restored, restore_history};
use jumelle_store::{Result, StoreError, Table, Tables};

use crate::erase::ERASURES_ROW;
use crate::fold::Fold;
use crate::people::{decode, encode_into};
use crate::shared::decode_chunk;
use crate::{OpenError, Options, catch_up, open_shared};

const FRESH: &str = "tables.rebuilt";

/// What a rebuild came to.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct RebuildReport {
    /// Entries of the history that were folded.
    pub entries: u64,
    /// The live tables had the same bytes.
    pub identical: bool,
    /// Why the live tables could not be read, and so not compared.
    pub unreadable: Option<String>,
    /// Rows per table in the fresh tables.
    pub rows: BTreeMap<&'static str, u64>,
    /// Tables that differ: how many rows, and the first key (hexadecimal).
    pub differences: BTreeMap<&'static str, Difference>,
}

/// How two tables differ.
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct Difference {
    /// Rows that differ, or are in one only.
    pub rows: u64,
    /// The first of their keys.
    pub first_key: String,
}

/// What a rebuild may do about a damaged history.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loss {
    /// Nothing: it is refused.
    Refuse,
    /// Go on with what stands before the damage.
    Accept,
}

/// Rebuilds the tables of a stopped directory; the fresh ones take the place of the live ones, also of damaged ones.
pub fn rebuild(options: &Options, loss: Loss) -> std::result::Result<RebuildReport, OpenError> {
    jumelle_store::prepare(&options.directory)?;
    let fresh_path = options.directory.join(FRESH);
    if fresh_path.exists() {
        std::fs::remove_dir_all(&fresh_path)?;
    }
    if loss == Loss::Accept {
        let bytes = jumelle_store::cut_damage(&options.directory.join("history"))?;
        tracing::warn!(bytes, "going on without what the history has lost");
    }
    let caught_up = open_shared(options, "tables").and_then(|live| {
        // The live tables first catch up, so that both reflect the same history.
        catch_up(&mut Fold::new(live.clone())?)?;
        Ok(live.behind.tables.sync()?)
    });
    let unreadable = match caught_up {
        Ok(()) => None,
        Err(OpenError::Tables { place, what }) => Some(format!("{place}: {what}")),
        Err(error) if loss == Loss::Accept => Some(error.to_string()),
        Err(error) => return Err(error),
    };
    let shared = open_shared(options, FRESH)?;
    let entries = catch_up(&mut Fold::new(shared.clone())?)?;
    let fresh = shared.behind.tables.clone();
    fresh.sync()?;
    let mut report = RebuildReport {
        entries,
        identical: unreadable.is_none(),
        unreadable,
        rows: BTreeMap::new(),
        differences: BTreeMap::new(),
    };
    if report.unreadable.is_none() {
        compare_all(options, &fresh, &mut report)?;
    } else {
        for table in Table::ALL {
            let rows = fresh.scan(table, &[], None).try_fold(0, |rows, row| row.map(|_| rows + 1))?;
            report.rows.insert(table.name(), rows);
        }
    }
    drop((fresh, shared));
    jumelle_store::replace_tables(&options.directory, FRESH)?;
    Ok(report)
}

/// Tables that directories of earlier versions do not have.
const NEWER: [Table; 10] = [
    Table::Applied,
    Table::Chosen,
    Table::Lapsed,
    Table::Corrected,
    Table::Reduced,
    Table::Apart,
    Table::Replays,
    Table::Reports,
    Table::Results,
    Table::QuarantineNames,
];

fn compare_all(options: &Options, fresh: &Tables, report: &mut RebuildReport) -> std::result::Result<(), OpenError> {
    let live = Tables::open(&options.directory, "tables", options.memory.table_cache_bytes)?;
    if live.get(Table::Meta, ERASURES_ROW)?.is_some() {
        take_over_days(&live, fresh)?;
    }
    // Whoever was erased before there was a list of the erased stands on the fresh one only.
    let is_older = live.get(Table::Meta, ERASURES_ROW)?.is_some() && live.scan(Table::Suppressed, &[], None).next().is_none();
    for table in Table::ALL {
        let (rows, mut difference) = compare(&live, fresh, table)?;
        // Tables of a directory from before there were these: what they would hold is made now.
        let is_new = NEWER.contains(&table) && live.scan(table, &[], None).next().is_none();
        if is_new || is_older && table == Table::Suppressed {
            difference = Difference::default();
        }
        report.rows.insert(table.name(), rows);
        if difference.rows > 0 {
            report.identical = false;
            report.differences.insert(table.name(), difference);
        }
    }
    Ok(())
}

/// Restores a backup to a directory that must not exist or be empty, and makes its tables from the restored history.
///
/// The directory appears whole or not at all: everything is written beside it first.
pub fn restore(
    backup: &Place,
    directory: &Path,
    until: Option<Timestamp>,
    newer: &[Place],
) -> std::result::Result<Restored, RestoreError> {
    if directory.exists() && std::fs::read_dir(directory)?.next().is_some() {
        return Err(RestoreError::NotEmpty(directory.to_owned()));
    }
    let mut name = directory.file_name().ok_or_else(|| RestoreError::NotEmpty(directory.to_owned()))?.to_owned();
    name.push(".restoring");
    let beside = directory.with_file_name(name);
    if beside.exists() {
        std::fs::remove_dir_all(&beside)?;
    }
    let restored = restore_into(backup, &beside, until, newer);
    if restored.is_err() {
        // What is left of a restore that failed is of no use; that it cannot be removed would hide why it failed.
        let _ = std::fs::remove_dir_all(&beside);
    }
    let restored = restored?;
    if directory.exists() {
        std::fs::remove_dir(directory)?;
    }
    std::fs::rename(&beside, directory)?;
    let parent = directory.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(parent)?.sync_all()?;
    Ok(restored)
}

fn restore_into(
    backup: &Place,
    directory: &Path,
    until: Option<Timestamp>,
    newer: &[Place],
) -> std::result::Result<Restored, RestoreError> {
    let restored = restore_history(backup, directory, until, newer)?;
    // All of it, also what came after `until`: what has left the house has left it.
    restore_ledger(backup.folder(FOLDER)?.path(), &directory.join(FOLDER))?;
    let shared = open_shared(&Options::new(directory), "tables")?;
    for other in newer {
        shared.ledger.adopt_erasures(other.folder(FOLDER)?.path(), shared.wall.now()).map_err(OpenError::from)?;
    }
    catch_up(&mut Fold::new(shared.clone())?)?;
    shared.behind.tables.sync()?;
    Ok(restored)
}

fn restore_ledger(copy: &Path, directory: &Path) -> std::result::Result<(), RestoreError> {
    if !copy.exists() {
        return Ok(());
    }
    let verified = jumelle_ledger::verify(copy, &Against::default()).map_err(OpenError::from)?;
    if verified.problem_count > 0 {
        return Err(RestoreError::Ledger(verified.problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")));
    }
    let writer = CopyWriter::open(directory).map_err(OpenError::from)?;
    for piece in pieces_of(copy, None).map_err(OpenError::from)? {
        writer.take(&piece.name, piece.file.take(piece.bytes)).map_err(OpenError::from)?;
    }
    Ok(writer.finish().map_err(OpenError::from)?)
}

/// Why a backup was not restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// Something is there already.
    #[error("{} is not empty; name a directory that does not exist, and put it in place of the old one afterwards", .0.display())]
    NotEmpty(PathBuf),
    /// The backup.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The copy of the ledger.
    #[error("the backup's ledger was changed or damaged:\n{0}")]
    Ledger(String),
    /// The restored directory does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The tables could not be made.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file system.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// The number of rows of a table and a checksum of what they mean: equal tables have equal ones, however they were flushed.
pub fn table_digest(tables: &Tables, table: Table) -> Result<(u64, u64)> {
    let (mut rows, mut sum) = (0, xxhash_rust::xxh3::Xxh3::new());
    for row in logical(tables, table) {
        let (key, value) = row?;
        rows += 1;
        for part in [key, value] {
            sum.update(&(part.len() as u64).to_le_bytes());
            sum.update(&part);
        }
    }
    Ok((rows, sum.digest()))
}

/// Days are aggregates that outlive an erasure: the history does not have them whole any more.
fn take_over_days(live: &Tables, fresh: &Tables) -> Result<()> {
    let mut batch = fresh.batch();
    for (table, row) in [Table::Days, Table::Chosen, Table::Reduced, Table::Results]
        .into_iter()
        .flat_map(|table| live.scan(table, &[], None).map(move |row| (table, row)))
    {
        let (day, row) = row?;
        batch.put(table, &day, &row);
    }
    batch.commit(fresh.position()?)
}

fn compare(live: &Tables, fresh: &Tables, table: Table) -> Result<(u64, Difference)> {
    let mut live = logical(live, table).peekable();
    let mut fresh = logical(fresh, table).peekable();
    let (mut rows, mut difference) = (0, Difference::default());
    let mut differ = |key: &[u8]| {
        if difference.rows == 0 {
            difference.first_key = key.iter().map(|byte| format!("{byte:02x}")).collect();
        }
        difference.rows += 1;
    };
    loop {
        let order = match (live.peek(), fresh.peek()) {
            (None, None) => break,
            (Some(Err(_)), _) | (_, None) => std::cmp::Ordering::Less,
            (_, Some(Err(_))) | (None, _) => std::cmp::Ordering::Greater,
            (Some(Ok((mine, _))), Some(Ok((theirs, _)))) => mine.cmp(theirs),
        };
        match order {
            std::cmp::Ordering::Less => differ(&live.next().transpose()?.unwrap_or_default().0),
            std::cmp::Ordering::Greater => {
                rows += 1;
                differ(&fresh.next().transpose()?.unwrap_or_default().0);
            }
            std::cmp::Ordering::Equal => {
                rows += 1;
                let (key, mine) = live.next().transpose()?.unwrap_or_default();
                let (_, theirs) = fresh.next().transpose()?.unwrap_or_default();
                if mine != theirs && !(table == Table::People && todays_form(&mine).as_ref() == Some(&theirs)) {
                    differ(&key);
                }
            }
        }
    }
    Ok((rows, difference))
}

/// A person's row as it would be written now: rows of an earlier format are there until she changes.
fn todays_form(row: &[u8]) -> Option<Vec<u8>> {
    Some(encode_into(Vec::new(), &decode(ProfileId(0), row).ok()?))
}

pub(crate) type Row = (Vec<u8>, Vec<u8>);

/// Rows as they mean; a timeline is cut into chunks wherever a flush happened to fall, so its chunks are read as positions.
pub(crate) fn logical(tables: &Tables, table: Table) -> Box<dyn Iterator<Item = Result<Row>>> {
    let rows = tables.scan(table, &[], None);
    if table != Table::Timeline {
        return Box::new(rows);
    }
    Box::new(rows.flat_map(|row| {
        match row {
            Ok((key, chunk)) => decode_chunk(&key, &chunk)
                .into_iter()
                .map(|position| {
                    let mut whole = key[..16].to_vec();
                    whole.extend_from_slice(&position.to_be_bytes());
                    Ok((whole, Vec::new()))
                })
                .collect::<Vec<_>>(),
            Err(error) => vec![Err(error)],
        }
    }))
}
