//! A backup to a history again: tombstones first, then blocks.

use std::path::Path;

use jumelle_model::ids::Position;
use jumelle_model::time::Timestamp;
use serde::Serialize;

use super::manifest::{MANIFEST, Manifest};
use super::place::Place;
use super::tombstone::{Erasing, Tombstone};
use super::verify::no_backup;
use super::{BackupError, Result, StoredBlock, damaged};
use crate::FORMAT;
use crate::block::{Block, BlockBuilder};
use crate::history::History;

/// What was restored.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Restored {
    /// Entries of the history.
    pub entries: u64,
    /// Entries of the backup that are later than the instant asked for.
    pub left_out: u64,
    /// Arrival of the last entry.
    pub received: Option<Timestamp>,
    /// People who were erased, by now.
    pub erasures: usize,
}

/// Writes the history of a backup into `data`, which must not exist or be empty.
///
/// `until`: only what had arrived by then. `newer`: other backups of the same history whose tombstones are applied too, so that
/// whoever was erased after this backup stays erased.
pub fn restore_history(backup: &Place, data: &Path, until: Option<Timestamp>, newer: &[Place]) -> Result<Restored> {
    let manifest = Manifest::read(backup)?.ok_or_else(|| no_backup(backup))?;
    if manifest.history_format > FORMAT {
        return Err(crate::StoreError::TooNew { found: manifest.history_format, known: FORMAT }.into());
    }
    let mut tombstones = manifest.tombstones(backup)?;
    for other in newer {
        let theirs = Manifest::read(other)?.ok_or_else(|| no_backup(other))?;
        if theirs.history != manifest.history {
            return Err(BackupError::Refused(format!(
                "{other} is a backup of another history: its erasures say nothing of this one"
            )));
        }
        tombstones.extend(theirs.tombstones(other)?);
    }
    let erasing = Erasing::new(&tombstones);
    crate::prepare(data)?;
    let history = History::open(data, Some(manifest.clock_follows_events))?;
    let mut restored = Restored { entries: 0, left_out: 0, received: None, erasures: 0 };
    let mut end = Position(0);
    'files: for file in &manifest.blocks {
        if file.first != end {
            return Err(damaged(MANIFEST, format!("entries {} to {} are in no file", end.0, file.first.0)));
        }
        for block in file.read(backup)? {
            let last = until.is_some_and(|until| block.received > until);
            let Some(block) = prepare(block, &erasing, until)? else { break 'files };
            end = block.end();
            restored.received = Some(block.received);
            history.put_restored(&block)?;
            if last {
                break 'files;
            }
        }
    }
    restored.entries = end.0;
    restored.left_out = manifest.end.0 - end.0;
    // What this history does not reach is another's: its own entries will stand at those positions.
    for tombstone in &tombstones {
        let events: Vec<u64> = tombstone.events.iter().copied().filter(|event| *event < end.0).collect();
        if !events.is_empty() {
            history.note_erasure(tombstone.position, tombstone.profile, &tombstone.keys, &events)?;
        }
    }
    restored.erasures = tombstones
        .iter()
        .map(|tombstone: &Tombstone| (tombstone.position, tombstone.profile))
        .collect::<std::collections::BTreeSet<_>>()
        .len();
    history.sync()?;
    Ok(restored)
}

/// A block without what was erased and what came later; `None`: nothing is left of it.
fn prepare(mut stored: StoredBlock, erasing: &Erasing<'_>, until: Option<Timestamp>) -> Result<Option<StoredBlock>> {
    let block = Block::decode(stored.first, &stored.bytes)?;
    let without = erasing.apply(&block)?;
    let changed = without.is_some();
    let mut block = without.unwrap_or(block);
    let Some(until) = until.filter(|until| stored.received > *until) else {
        if changed {
            stored.bytes = block.encode();
        }
        return Ok(Some(stored));
    };
    let mut builder = BlockBuilder::default();
    for record in block.records() {
        let (_, record) = record?;
        if record.received > until {
            break;
        }
        stored.received = record.received;
        builder.push(&record);
    }
    if builder.is_empty() {
        return Ok(None);
    }
    stored.fingerprints.truncate(builder.len());
    (stored.bytes, block) = builder.finish(stored.first);
    debug_assert_eq!(block.len, stored.fingerprints.len());
    Ok(Some(stored))
}
