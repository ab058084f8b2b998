//! The history's side: what is new since a mark, as frames.

use jumelle_model::ids::{Position, ProfileId};
use jumelle_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::frame::{Frame, Head, StoredBlock};
use super::tombstone::Tombstone;
use super::{BackupError, Result};
use crate::FORMAT;
use crate::StoreError;
use crate::entry::Entry;
use crate::history::{History, position_of, split_index};

/// Version of the frames.
pub(crate) const FRAMES_VERSION: u32 = 1;

/// Where a backup has come to: it goes on from there, if it is one of this history.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mark {
    /// The history that it is of.
    pub history: u128,
    /// The position after its last entry.
    pub end: Position,
    /// The arrival of its last entry.
    pub received: Timestamp,
}

/// A tombstone as it is kept: what stands in the history is not kept twice.
#[derive(Serialize, Deserialize)]
struct Kept {
    keys: Vec<u128>,
    events: Vec<u64>,
}

impl History {
    /// Which history this is: 128 random bits made with the directory. A restored one has another.
    pub fn id(&self) -> crate::Result<u128> {
        if let Some(id) = self.get_meta("id")? {
            return Ok(u128::from_be_bytes(id.try_into().unwrap_or_default()));
        }
        let id: u128 = rand::random();
        self.put_meta("id", &id.to_be_bytes())?;
        Ok(id)
    }

    /// Remembers where an erased person's events were, before they are blanked. Told again (a replay no longer finds the events),
    /// it forgets nothing.
    pub fn note_erasure(&self, position: Position, profile: ProfileId, keys: &[u128], events: &[u64]) -> crate::Result<()> {
        let key = [position.0.to_be_bytes().as_slice(), profile.0.to_be_bytes().as_slice()].concat();
        let before: Option<Kept> = self.erasures.get(&key)?.and_then(|row| postcard::from_bytes(&row).ok());
        let mut kept = before.unwrap_or(Kept { keys: Vec::new(), events: Vec::new() });
        let known = (kept.keys.len(), kept.events.len());
        kept.keys.extend_from_slice(keys);
        kept.events.extend_from_slice(events);
        kept.keys.sort_unstable();
        kept.keys.dedup();
        kept.events.sort_unstable();
        kept.events.dedup();
        if (kept.keys.len(), kept.events.len()) == known && known != (0, 0) {
            return Ok(());
        }
        let mut batch = self.database.batch().durability(Some(fjall::PersistMode::SyncData));
        batch.insert(&self.erasures, key, postcard::to_allocvec(&kept).unwrap_or_default());
        Ok(batch.commit()?)
    }

    /// Everyone who was erased, in order.
    pub fn tombstones(&self) -> impl Iterator<Item = crate::Result<Tombstone>> + use<'_> {
        self.erasures.iter().map(|guard| {
            let (key, row) = guard.into_inner()?;
            let damaged = || StoreError::Damaged { place: "a tombstone".into(), what: "not one".into() };
            let (position, profile) = key.split_at_checked(8).ok_or_else(damaged)?;
            let position = position_of(position);
            let profile = ProfileId(u128::from_be_bytes(profile.try_into().map_err(|_| damaged())?));
            let kept: Kept = postcard::from_bytes(&row).map_err(|_| damaged())?;
            let block = self.block_of(position)?;
            let record = block.as_ref().map(|block| block.record(position)).transpose()?.flatten();
            let notices = match record.map(|record| record.entry) {
                Some(Entry::Erased { profile: erased, notices, .. } | Entry::Lapsed { profile: erased, notices, .. })
                    if erased == profile =>
                {
                    Some(notices)
                }
                _ => None,
            };
            Ok(Tombstone { position, profile, keys: kept.keys, events: kept.events, notices })
        })
    }

    /// Frames of everything since `mark`, up to the end of the history at this instant: all that was acknowledged before.
    ///
    /// Tombstones come last, so that somebody erased meanwhile is among them or erased after this backup.
    pub fn backup(&self, mark: Option<Mark>) -> Result<impl Iterator<Item = Result<Frame>> + use<'_>> {
        let (end, received) = self.end()?;
        let history = self.id()?;
        let from = match mark {
            None => Position(0),
            Some(mark) if mark.history != history => {
                return Err(BackupError::Refused(
                    "the backup is one of another history (a restored one counts as another); choose an empty directory".into(),
                ));
            }
            Some(mark) if mark.end.0 > 0 && self.arrival_before(mark.end)? != Some(mark.received) => {
                return Err(BackupError::Refused(format!(
                    "the backup has come to entry {}, which is not where this history was then: it is one of a copy that went \
                     another way; choose an empty directory",
                    mark.end.0
                )));
            }
            Some(mark) => mark.end,
        };
        let clock_follows_events = self.clock_follows_events();
        let head = Head { version: FRAMES_VERSION, history, format: FORMAT, clock_follows_events, from, end, received };
        let blocks = self.stored_blocks(from).take_while(move |block| block.as_ref().map_or(true, |block| block.first < end));
        Ok(std::iter::once(Ok(Frame::Head(head)))
            .chain(blocks.map(|block| Ok(Frame::Block(block?))))
            .chain(self.tombstones().map(|tombstone| Ok(Frame::Tombstone(tombstone?))))
            .chain(std::iter::once(Ok(Frame::End))))
    }

    /// The arrival of the entry before `end`, if a block ends there.
    fn arrival_before(&self, end: Position) -> crate::Result<Option<Timestamp>> {
        let Some(guard) = self.fingerprints.range(..end.0.to_be_bytes()).next_back() else { return Ok(None) };
        let (key, index) = guard.into_inner()?;
        let (received, fingerprints) = split_index(position_of(&key), &index)?;
        Ok((position_of(&key).0 + fingerprints.len() as u64 / 8 == end.0).then_some(received))
    }

    fn stored_blocks(&self, from: Position) -> impl Iterator<Item = crate::Result<StoredBlock>> + use<'_> {
        self.blocks.range(from.0.to_be_bytes()..).map(|guard| {
            let (key, bytes) = guard.into_inner()?;
            let first = position_of(&key);
            let index = self.fingerprints.get(&key)?.unwrap_or_default();
            let (received, fingerprints) = split_index(first, &index)?;
            let fingerprints =
                fingerprints.chunks_exact(8).map(|chunk| u64::from_le_bytes(chunk.try_into().unwrap_or_default())).collect();
            Ok(StoredBlock { first, received, fingerprints, bytes: bytes.to_vec() })
        })
    }

    /// Puts a block of a backup at its place, without syncing: see [`History::sync`].
    pub(crate) fn put_restored(&self, block: &StoredBlock) -> crate::Result<()> {
        let mut index = block.received.0.to_le_bytes().to_vec();
        index.extend(block.fingerprints.iter().flat_map(|fingerprint| fingerprint.to_le_bytes()));
        let mut batch = self.database.batch();
        batch.insert(&self.blocks, block.first.0.to_be_bytes(), block.bytes.as_slice());
        batch.insert(&self.fingerprints, block.first.0.to_be_bytes(), index);
        Ok(batch.commit()?)
    }

    /// Everything written so far survives a power cut.
    pub(crate) fn sync(&self) -> crate::Result<()> {
        Ok(self.database.persist(fjall::PersistMode::SyncAll)?)
    }
}
