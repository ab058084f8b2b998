//! A block: the entries of one commit, compressed together.
//!
//! Layout: version (1 byte), number of entries (u32 LE), checksum (u64 LE), then LZ4 with its size before it, of: for each entry
//! its length (u32 LE) and its postcard bytes. The checksum is the xxh3 of the LZ4, seeded with the xxh3 of version, number of
//! entries and position: a block under another position than its own is damaged too. In version 1 there was no seed.

use jumelle_model::ids::Position;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::entry::Record;
use crate::{Result, StoreError};

const VERSION: u8 = 2;
const VERSION_WITHOUT_SEED: u8 = 1;
const HEADER_BYTES: usize = 13;

/// Entries of one commit, ready to be read.
#[derive(Clone)]
pub struct Block {
    /// Position of its first entry.
    pub first: Position,
    /// How many entries.
    pub len: usize,
    bytes: Vec<u8>,
}

/// Collects the entries of one commit.
#[derive(Default)]
pub struct BlockBuilder {
    bytes: Vec<u8>,
    len: usize,
}

impl BlockBuilder {
    /// Adds one entry.
    pub fn push(&mut self, record: &Record<'_>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        // Writing to a Vec cannot fail, and every type of an entry can be written.
        let bytes = std::mem::take(&mut self.bytes);
        self.bytes = postcard::to_extend(record, bytes).unwrap_or_default();
        let length = (self.bytes.len() - start - 4) as u32;
        self.bytes[start..start + 4].copy_from_slice(&length.to_le_bytes());
        self.len += 1;
    }

    /// How many entries so far.
    pub fn len(&self) -> usize {
        self.len
    }

    /// None so far.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes so far, before compression.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The stored form and the readable form.
    pub fn finish(self, first: Position) -> (Vec<u8>, Block) {
        let block = Block { first, len: self.len, bytes: self.bytes };
        (block.encode(), block)
    }
}

impl Block {
    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        let compressed = lz4_flex::compress_prepend_size(&self.bytes);
        let mut stored = Vec::with_capacity(HEADER_BYTES + compressed.len());
        stored.push(VERSION);
        stored.extend_from_slice(&(self.len as u32).to_le_bytes());
        stored.extend_from_slice(&checksum(self.first, self.len as u32, &compressed).to_le_bytes());
        stored.extend_from_slice(&compressed);
        stored
    }

    /// Reads the stored form; any changed byte is found.
    pub fn decode(first: Position, stored: &[u8]) -> Result<Block> {
        let damaged = |what: &str| StoreError::Damaged { place: format!("history block {}", first.0), what: what.to_owned() };
        if stored.len() < HEADER_BYTES {
            return Err(damaged("shorter than its header"));
        }
        let (header, compressed) = stored.split_at(HEADER_BYTES);
        let len = u32::from_le_bytes(header[1..5].try_into().unwrap_or_default());
        let sum = u64::from_le_bytes(header[5..13].try_into().unwrap_or_default());
        let found = match header[0] {
            VERSION => checksum(first, len, compressed),
            VERSION_WITHOUT_SEED => xxh3_64(compressed),
            _ => return Err(damaged("unknown version")),
        };
        if found != sum {
            return Err(damaged("checksum does not match"));
        }
        let bytes = lz4_flex::decompress_size_prepended(compressed).map_err(|error| damaged(&error.to_string()))?;
        Ok(Block { first, len: len as usize, bytes })
    }

    /// The entries, in order, each with its position.
    pub fn records(&self) -> impl Iterator<Item = Result<(Position, Record<'_>)>> {
        let mut rest: &[u8] = &self.bytes;
        let mut next = self.first.0;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let position = Position(next);
            next += 1;
            let record = split_record(rest).and_then(|(bytes, after)| {
                rest = after;
                postcard::from_bytes::<Record<'_>>(bytes).ok()
            });
            if record.is_none() {
                rest = &[];
            }
            Some(record.map(|record| (position, record)).ok_or_else(|| StoreError::Damaged {
                place: format!("history entry {}", position.0),
                what: "not an entry".into(),
            }))
        })
    }

    /// One entry.
    pub fn record(&self, position: Position) -> Result<Option<Record<'_>>> {
        let Some(skip) = position.0.checked_sub(self.first.0) else { return Ok(None) };
        let mut rest: &[u8] = &self.bytes;
        for _ in 0..skip {
            match split_record(rest) {
                Some((_, after)) => rest = after,
                None => return Ok(None),
            }
        }
        let Some((bytes, _)) = split_record(rest) else { return Ok(None) };
        postcard::from_bytes(bytes)
            .map(Some)
            .map_err(|error| StoreError::Damaged { place: format!("history entry {}", position.0), what: error.to_string() })
    }

    /// The position after its last entry.
    pub fn end(&self) -> Position {
        Position(self.first.0 + self.len as u64)
    }
}

fn checksum(first: Position, len: u32, compressed: &[u8]) -> u64 {
    let mut head = [0; 13];
    head[0] = VERSION;
    head[1..5].copy_from_slice(&len.to_le_bytes());
    head[5..].copy_from_slice(&first.0.to_le_bytes());
    xxh3_64_with_seed(compressed, xxh3_64(&head))
}

fn split_record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_at_checked(4)?;
    rest.split_at_checked(u32::from_le_bytes(length.try_into().ok()?) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{Entry, EventEntry};
    use jumelle_model::event::EventKind;
    use jumelle_model::time::Timestamp;
    use proptest::prelude::*;

    fn block(bodies: &[String]) -> (Vec<u8>, Block) {
        let mut builder = BlockBuilder::default();
        for (n, body) in bodies.iter().enumerate() {
            let event = EventEntry { kind: EventKind::Track, source: "site", message_id: "m", time: Timestamp(1), body };
            builder.push(&Record { received: Timestamp(n as i64), entry: Entry::Event(event) });
        }
        builder.finish(Position(7))
    }

    proptest! {
        #[test]
        fn entries_read_back_and_any_changed_byte_is_found(bodies in prop::collection::vec(".{0,60}", 1..20), at in any::<prop::sample::Index>(), flip in 1u8..) {
            let (mut stored, written) = block(&bodies);
            let read = Block::decode(Position(7), &stored).unwrap();
            let texts: Vec<String> = read.records().map(|r| match r.unwrap().1.entry {
                Entry::Event(event) => event.body.to_owned(),
                _ => unreachable!(),
            }).collect();
            prop_assert_eq!(&texts, &bodies);
            prop_assert_eq!(read.end(), written.end());
            let last = Position(7 + bodies.len() as u64 - 1);
            prop_assert!(read.record(last).unwrap().is_some());
            prop_assert!(read.record(Position(last.0 + 1)).unwrap().is_none());
            let place = at.index(stored.len());
            prop_assert!(Block::decode(Position(8), &stored).is_err(), "under another position");
            stored[place] ^= flip;
            prop_assert!(Block::decode(Position(7), &stored).is_err());
        }
    }
}
