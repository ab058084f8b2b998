//! Writing a backup: frames go in, a place that is whole after each run comes out.

use std::collections::HashMap;

use jumelle_model::ids::{Position, ProfileId};
use jumelle_model::time::Timestamp;
use serde::Serialize;

use super::frame::{Frame, Head, StoredBlock};
use super::manifest::{BLOCKS, BlocksFile, DEFINITIONS, ERASURES, FORMAT, Listed, MANIFEST, Manifest};
use super::place::{Claim, Place};
use super::source::{FRAMES_VERSION, Mark};
use super::tombstone::{Erasing, Tombstone};
use super::{BackupError, Result, damaged};
use crate::block::Block;

/// Bytes of one file of blocks at most (one block more may be on top): what a check or a restore holds in memory.
const FILE_BYTES_MAX: usize = 64 << 20;

/// What a run added.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct BackupReport {
    /// Entries that the backup did not have.
    pub new_entries: u64,
    /// Files that were added.
    pub new_files: usize,
    /// Bytes that were added.
    pub new_bytes: u64,
    /// Older files that were written again without somebody who was erased since.
    pub rewritten_files: usize,
    /// The position after the last entry.
    pub end: u64,
    /// Arrival of the last entry: with `restore --until`, the latest instant there is.
    pub received: Option<Timestamp>,
    /// People erased so far.
    pub erasures: usize,
}

/// One run.
pub struct BackupWriter {
    place: Place,
    before: Option<Manifest>,
    head: Option<Head>,
    taken_at: Timestamp,
    pending: Vec<u8>,
    pending_first: Position,
    next: Position,
    received: Timestamp,
    files: Vec<BlocksFile>,
    definitions: Option<String>,
    tombstones: Vec<Tombstone>,
    ended: bool,
    report: BackupReport,
    /// Two runs into one place would overwrite each other.
    claim: Claim,
    /// In the names of the files that a run writes.
    run_name: String,
}

impl BackupWriter {
    /// Opens or makes a backup. Refuses a place that holds something else, or that another run is writing.
    pub fn open(place: Place, now: Timestamp) -> Result<BackupWriter> {
        if Manifest::read(&place)?.is_none() {
            for name in place.names("")? {
                // A first run that was cut off leaves some of these.
                if name != "lock" && name != BLOCKS && !is_ours(&name) {
                    return Err(BackupError::Refused(format!(
                        "{place} is neither empty nor a backup: it holds {name}; choose another place"
                    )));
                }
            }
        }
        let claim = place.claim(BLOCKS, MANIFEST)?;
        // Read after the claim: what another run has written before it is what this one goes on from.
        let before = Manifest::read(&place)?;
        let next = before.as_ref().map_or(Position(0), |manifest| manifest.end);
        Ok(BackupWriter {
            run_name: place.run_name(),
            place,
            files: before.as_ref().map_or_else(Vec::new, |manifest| manifest.blocks.clone()),
            received: before.as_ref().map_or(Timestamp(0), |manifest| manifest.received),
            before,
            head: None,
            taken_at: now,
            pending: Vec::new(),
            pending_first: next,
            next,
            definitions: None,
            tombstones: Vec::new(),
            ended: false,
            report: BackupReport::default(),
            claim,
        })
    }

    /// Where the run goes on from; `None`: from the start.
    pub fn mark(&self) -> Result<Option<Mark>> {
        self.before.as_ref().map(Manifest::mark).transpose()
    }

    /// Takes one frame. Blocks are read before they are kept: damage is found now, not at the restore.
    pub fn take(&mut self, frame: Frame) -> Result<()> {
        match frame {
            Frame::Head(head) => {
                if head.version != FRAMES_VERSION {
                    let (found, known) = (head.version, FRAMES_VERSION);
                    return Err(BackupError::Refused(format!(
                        "the server speaks version {found} of backups, this command {known}"
                    )));
                }
                if head.from != self.next {
                    return Err(damaged("the stream", format!("begins at {} instead of {}", head.from.0, self.next.0)));
                }
                self.head = Some(head);
            }
            Frame::Block(block) => self.block(&block)?,
            Frame::Tombstone(tombstone) => self.tombstones.push(tombstone),
            Frame::End => self.ended = true,
        }
        Ok(())
    }

    fn block(&mut self, block: &StoredBlock) -> Result<()> {
        if block.first != self.next {
            return Err(damaged("the stream", format!("block {} follows entry {}", block.first.0, self.next.0)));
        }
        for record in Block::decode(block.first, &block.bytes)?.records() {
            if let Some(text) = record?.1.entry.definitions() {
                self.definitions = Some(text.to_owned());
            }
        }
        self.next = block.end();
        self.received = block.received;
        self.pending.extend_from_slice(&Frame::Block(block.clone()).encode());
        if self.pending.len() >= FILE_BYTES_MAX { self.close_file() } else { Ok(()) }
    }

    fn close_file(&mut self) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let bytes = std::mem::take(&mut self.pending);
        let file = self.blocks_file((self.pending_first, self.next), 0, self.received, bytes)?;
        self.pending_first = self.next;
        self.report.new_files += 1;
        self.report.new_bytes += file.file.bytes;
        self.files.push(file);
        Ok(())
    }

    /// Ends the run: from here on the backup is the new one. A stream that was cut off changes nothing. Gives the
    /// place back; the claim on it has ended.
    pub fn finish(mut self) -> Result<(BackupReport, Place)> {
        let head = self.head.clone().filter(|head| self.ended && head.end == self.next);
        let head = head.ok_or_else(|| damaged("the stream", "cut off before its end; the backup is as it was before"))?;
        self.close_file()?;
        self.erase_from_older_files()?;
        let generation = generation(&self.before) + 1;
        let frames: Vec<u8> = self.tombstones.iter().flat_map(|tombstone| Frame::Tombstone(tombstone.clone()).encode()).collect();
        let erasures = Listed::write(&self.place, format!("{ERASURES}{}.{generation}", self.run_name), frames)?;
        let definitions = match (&self.definitions, &self.before) {
            (Some(text), _) => {
                let name = format!("{DEFINITIONS}{}.{generation}.yaml", self.run_name);
                Some(Listed::write(&self.place, name, pretty(text).into_bytes())?)
            }
            (None, Some(before)) => before.definitions.clone(),
            (None, None) => None,
        };
        let manifest = Manifest {
            format: FORMAT,
            history: format!("{:032x}", head.history),
            history_format: head.format,
            clock_follows_events: head.clock_follows_events,
            taken_at: self.taken_at,
            end: self.next,
            received: self.received,
            blocks: self.files,
            erasures,
            definitions,
        };
        manifest.write(&self.place, &self.claim)?;
        sweep(&self.place, &manifest)?;
        self.report.new_entries = self.next.0 - head.from.0;
        self.report.end = self.next.0;
        self.report.received = (self.next.0 > 0).then_some(self.received);
        self.report.erasures = self.tombstones.len();
        Ok((self.report, self.place))
    }

    /// Writes the files that still hold somebody erased again, under another name.
    fn erase_from_older_files(&mut self) -> Result<()> {
        let Some(before) = &self.before else { return Ok(()) };
        let applied: HashMap<(Position, ProfileId), Tombstone> = before
            .tombstones(&self.place)?
            .into_iter()
            .map(|tombstone| ((tombstone.position, tombstone.profile), tombstone))
            .collect();
        let changed = self.tombstones.iter().filter(|now| applied.get(&(now.position, now.profile)) != Some(now));
        let erasing = Erasing::new(changed);
        let mut files = std::mem::take(&mut self.files);
        for file in &mut files {
            if !erasing.touches(file.first, file.end) {
                continue;
            }
            let mut bytes = Vec::with_capacity(file.file.bytes as usize);
            let mut rewritten = false;
            for mut block in file.read(&self.place)? {
                if let Some(without) = erasing.apply(&Block::decode(block.first, &block.bytes)?)? {
                    block.bytes = without.encode();
                    rewritten = true;
                }
                bytes.extend_from_slice(&Frame::Block(block).encode());
            }
            if rewritten {
                let range = (file.first, file.end);
                *file = self.blocks_file(range, file.generation + 1, file.received, bytes)?;
                self.report.rewritten_files += 1;
            }
        }
        self.files = files;
        Ok(())
    }

    fn blocks_file(
        &self,
        (first, end): (Position, Position),
        generation: u32,
        received: Timestamp,
        bytes: Vec<u8>,
    ) -> Result<BlocksFile> {
        let name = format!("{BLOCKS}/{:020}-{:020}{}.{generation}.blocks", first.0, end.0, self.run_name);
        Ok(BlocksFile { file: Listed::write(&self.place, name, bytes)?, first, end, received, generation })
    }
}

/// The number in the name of the file of tombstones.
fn generation(before: &Option<Manifest>) -> u64 {
    before.as_ref().and_then(|manifest| manifest.erasures.name.rsplit('.').next()?.parse().ok()).unwrap_or(0)
}

/// JSON is YAML; on several lines people can read it.
fn pretty(text: &str) -> String {
    serde_json::from_str::<serde_json::Value>(text)
        .ok()
        .and_then(|value| serde_json::to_string_pretty(&value).ok())
        .unwrap_or_else(|| text.to_owned())
}

/// A file that only a run of ours leaves beside the blocks.
fn is_ours(name: &str) -> bool {
    name.ends_with(".partial")
        || name.starts_with(&format!("{ERASURES}."))
        || (name.starts_with(&format!("{DEFINITIONS}.")) && name.ends_with(".yaml"))
}

/// Removes what earlier runs have left and the manifest does not name.
fn sweep(place: &Place, manifest: &Manifest) -> Result<()> {
    let listed = |name: &str| {
        manifest.erasures.name == name
            || manifest.definitions.as_ref().is_some_and(|file| file.name == name)
            || manifest.blocks.iter().any(|file| file.file.name == name)
    };
    let of_blocks = place.names(BLOCKS)?.into_iter().map(|name| format!("{BLOCKS}/{name}"));
    for name in place.names("")?.into_iter().filter(|name| is_ours(name)).chain(of_blocks) {
        if !listed(&name) {
            place.remove(&name)?;
        }
    }
    Ok(())
}
