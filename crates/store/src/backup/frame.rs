//! Frames: what files of a backup and the stream of a running server are made of.
//!
//! Layout: kind (1 byte), length of the payload (u32 LE), xxh3 of kind and payload (u64 LE), payload.

use jumelle_model::ids::Position;
use jumelle_model::time::Timestamp;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::tombstone::Tombstone;
use super::{Result, damaged};

const HEADER_BYTES: usize = 13;
/// Bytes of one payload at most: a block is 1 MiB and one submission, a tombstone 10 bytes an event.
const PAYLOAD_BYTES_MAX: usize = 256 << 20;

/// What a stream begins with.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Head {
    /// Version of these frames.
    pub version: u32,
    /// Which history: 128 random bits made with the directory.
    pub history: u128,
    /// Format of the data directory.
    pub format: u32,
    /// Time moves with the events there.
    pub clock_follows_events: bool,
    /// The first entry that follows.
    pub from: Position,
    /// The position after the last one that follows.
    pub end: Position,
    /// Arrival of the last one.
    pub received: Timestamp,
}

/// A block as the history has it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StoredBlock {
    /// Position of its first entry.
    pub first: Position,
    /// Arrival of its last entry.
    pub received: Timestamp,
    /// Fingerprint of the message id of each entry, 0 for what is no event. What was erased keeps its own.
    pub fingerprints: Vec<u64>,
    /// The stored form, see [`crate::Block::decode`].
    pub bytes: Vec<u8>,
}

impl StoredBlock {
    /// The position after its last entry.
    pub fn end(&self) -> Position {
        Position(self.first.0 + self.fingerprints.len() as u64)
    }
}

/// One frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Frame {
    /// The first one.
    Head(Head),
    /// Entries.
    Block(StoredBlock),
    /// Somebody who was erased.
    Tombstone(Tombstone),
    /// The last one: without it a stream was cut off.
    End,
}

impl Frame {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let (kind, payload) = match self {
            Frame::Head(head) => (b'H', postcard::to_allocvec(head)),
            Frame::Block(block) => (b'B', postcard::to_allocvec(block)),
            Frame::Tombstone(tombstone) => (b'T', postcard::to_allocvec(tombstone)),
            Frame::End => (b'E', Ok(Vec::new())),
        };
        // Each of these types can be written, and a Vec takes it.
        let payload = payload.unwrap_or_default();
        let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len());
        bytes.push(kind);
        bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&checksum(kind, &payload).to_le_bytes());
        bytes.extend_from_slice(&payload);
        bytes
    }
}

fn checksum(kind: u8, payload: &[u8]) -> u64 {
    let mut sum = Xxh3::new();
    sum.update(&[kind]);
    sum.update(payload);
    sum.digest()
}

/// Reads frames from bytes that arrive in pieces.
#[derive(Default)]
pub struct FrameReader {
    bytes: Vec<u8>,
    read: usize,
}

impl FrameReader {
    /// More bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.read);
        self.read = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next frame; `None` when more bytes are needed.
    #[expect(clippy::should_implement_trait, reason = "it ends when nothing more is pushed, which it cannot know")]
    pub fn next(&mut self) -> Result<Option<Frame>> {
        let rest = &self.bytes[self.read..];
        let Some((header, rest)) = rest.split_at_checked(HEADER_BYTES) else { return Ok(None) };
        let kind = header[0];
        let length = u32::from_le_bytes(header[1..5].try_into().unwrap_or_default()) as usize;
        let sum = u64::from_le_bytes(header[5..13].try_into().unwrap_or_default());
        if length > PAYLOAD_BYTES_MAX {
            return Err(damaged("a frame", format!("{length} bytes are more than a frame can have")));
        }
        let Some(payload) = rest.get(..length) else { return Ok(None) };
        if checksum(kind, payload) != sum {
            return Err(damaged("a frame", "checksum does not match"));
        }
        let unreadable = |error: postcard::Error| damaged("a frame", error.to_string());
        let frame = match kind {
            b'H' => Frame::Head(postcard::from_bytes(payload).map_err(unreadable)?),
            b'B' => Frame::Block(postcard::from_bytes(payload).map_err(unreadable)?),
            b'T' => Frame::Tombstone(postcard::from_bytes(payload).map_err(unreadable)?),
            b'E' => Frame::End,
            other => return Err(damaged("a frame", format!("unknown kind {other}"))),
        };
        self.read += HEADER_BYTES + length;
        Ok(Some(frame))
    }

    /// Bytes that are no whole frame yet.
    pub fn is_empty(&self) -> bool {
        self.read == self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frames() -> impl Strategy<Value = Vec<Frame>> {
        let block =
            (any::<u64>(), any::<i64>(), prop::collection::vec(any::<u64>(), 0..9), prop::collection::vec(any::<u8>(), 0..99))
                .prop_map(|(first, received, fingerprints, bytes)| {
                    Frame::Block(StoredBlock { first: Position(first), received: Timestamp(received), fingerprints, bytes })
                });
        prop::collection::vec(prop_oneof![block, Just(Frame::End)], 1..6)
    }

    proptest! {
        #[test]
        fn frames_read_back_in_any_pieces_and_any_changed_byte_is_found(
            frames in frames(), piece in 1usize..40, at in any::<prop::sample::Index>(), flip in 1u8..
        ) {
            let mut bytes: Vec<u8> = frames.iter().flat_map(Frame::encode).collect();
            let read = |bytes: &[u8]| -> Result<(Vec<Frame>, bool)> {
                let (mut reader, mut read) = (FrameReader::default(), Vec::new());
                for piece in bytes.chunks(piece) {
                    reader.push(piece);
                    while let Some(frame) = reader.next()? {
                        read.push(frame);
                    }
                }
                Ok((read, reader.is_empty()))
            };
            prop_assert_eq!(read(&bytes).unwrap(), (frames, true));
            let place = at.index(bytes.len());
            bytes[place] ^= flip;
            // A longer length leaves a frame that never ends.
            prop_assert!(read(&bytes).map_or(true, |(_, whole)| !whole));
        }
    }
}
