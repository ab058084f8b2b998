//! Reading a backup to the end without restoring it.

use std::collections::BTreeSet;

use jumelle_model::ids::Position;
use jumelle_model::time::Timestamp;
use serde::Serialize;

use super::manifest::{BLOCKS, MANIFEST, Manifest};
use super::place::Place;
use super::{BackupError, Result, StoredBlock, damaged};
use crate::block::Block;
use crate::entry::Entry;

/// What there is, and what is wrong with it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Verified {
    /// Blocks read.
    pub blocks: u64,
    /// Entries read.
    pub entries: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// People erased.
    pub erasures: usize,
    /// When the last run began.
    pub taken_at: Timestamp,
    /// Arrival of the last entry.
    pub received: Timestamp,
    /// What is damaged or missing, by file; empty: it can be restored whole.
    pub damages: Vec<String>,
    /// Files that belong to nothing: of a run that was cut off.
    pub stray: Vec<String>,
}

/// Reads every file, block and entry, and compares every checksum.
pub fn verify(place: &Place) -> Result<Verified> {
    let manifest = Manifest::read(place)?.ok_or_else(|| no_backup(place))?;
    let mut verified = Verified {
        blocks: 0,
        entries: 0,
        bytes: 0,
        erasures: 0,
        taken_at: manifest.taken_at,
        received: manifest.received,
        damages: Vec::new(),
        stray: Vec::new(),
    };
    let tombstones = manifest.tombstones(place).unwrap_or_else(|error| {
        verified.damages.push(error.to_string());
        Vec::new()
    });
    verified.erasures = tombstones.len();
    let gone: BTreeSet<u64> = tombstones.iter().flat_map(|tombstone| tombstone.events.iter().copied()).collect();
    let mut expected = Position(0);
    for file in &manifest.blocks {
        if file.first != expected {
            verified.damages.push(format!("{MANIFEST}: entries {} to {} are in no file", expected.0, file.first.0));
        }
        expected = file.end;
        verified.bytes += file.file.bytes;
        let read = file.read(place).and_then(|blocks| {
            verified.blocks += blocks.len() as u64;
            for block in &blocks {
                verified.entries += check_block(block, &gone).map_err(|error| damaged(&file.file.name, error.to_string()))?;
            }
            Ok(())
        });
        if let Err(error) = read {
            verified.damages.push(error.to_string());
        }
    }
    if expected != manifest.end {
        verified.damages.push(format!("{MANIFEST}: ends at {} but its files at {}", manifest.end.0, expected.0));
    }
    verified.bytes += manifest.erasures.bytes;
    if let Some(definitions) = &manifest.definitions {
        verified.bytes += definitions.bytes;
        if let Err(error) = definitions.read(place) {
            verified.damages.push(error.to_string());
        }
    }
    for name in place.names(BLOCKS)? {
        let name = format!("{BLOCKS}/{name}");
        if !manifest.blocks.iter().any(|file| file.file.name == name) {
            verified.stray.push(name);
        }
    }
    Ok(verified)
}

/// Entries of a block that can all be read, of which none is erased.
pub(crate) fn check_block(stored: &StoredBlock, gone: &BTreeSet<u64>) -> Result<u64> {
    let block = Block::decode(stored.first, &stored.bytes)?;
    let place = || format!("block {}", stored.first.0);
    let mut entries = 0;
    for record in block.records() {
        let (position, record) = record?;
        entries += 1;
        if matches!(record.entry, Entry::Event(_)) && gone.contains(&position.0) {
            return Err(damaged(place(), format!("entry {} was erased and is still there", position.0)));
        }
    }
    if entries != stored.fingerprints.len() as u64 {
        return Err(damaged(place(), format!("{entries} entries instead of {}", stored.fingerprints.len())));
    }
    Ok(entries)
}

pub(crate) fn no_backup(place: &Place) -> BackupError {
    BackupError::Refused(format!("{place} is no backup: it has no {MANIFEST}"))
}
