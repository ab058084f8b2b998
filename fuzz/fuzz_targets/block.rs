//! Blocks of the history and frames of a backup: as they are, and with a checksum that fits, so that what lies behind it is
//! reached too.
#![no_main]

use jumelle_model::ids::Position;
use jumelle_store::Block;
use jumelle_store::backup::{Frame, FrameReader};
use libfuzzer_sys::fuzz_target;
use xxhash_rust::xxh3::xxh3_64;

fn read(block: &Block) {
    for record in block.records() {
        let Ok((position, _)) = record else { break };
        assert!(matches!(block.record(position), Ok(Some(_))));
    }
    let _ = block.record(Position(u64::MAX));
    let _ = block.end();
}

fn read_frames(bytes: &[u8]) {
    let mut reader = FrameReader::default();
    reader.push(bytes);
    while let Ok(Some(frame)) = reader.next() {
        if let Frame::Block(block) = &frame {
            let _ = block.end();
        }
        let mut again = FrameReader::default();
        again.push(&frame.encode());
        assert_eq!(again.next().expect("what was read can be written"), Some(frame));
    }
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(block) = Block::decode(Position(7), bytes) {
        read(&block);
    }
    read_frames(bytes);
    // The same bytes behind headers that fit.
    let mut stored = vec![1];
    stored.extend_from_slice(&(bytes.first().copied().unwrap_or(0) as u32).to_le_bytes());
    stored.extend_from_slice(&xxh3_64(bytes).to_le_bytes());
    stored.extend_from_slice(bytes);
    if let Ok(block) = Block::decode(Position(7), &stored) {
        read(&block);
    }
    if let Some((kind, payload)) = bytes.split_first() {
        let mut frame = vec![*kind];
        frame.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        frame.extend_from_slice(&xxh3_64(bytes).to_le_bytes());
        frame.extend_from_slice(payload);
        read_frames(&frame);
    }
    // The entries themselves, as they stand behind the compression.
    if let Ok(block) = Block::decode(Position(7), &compressed(bytes)) {
        read(&block);
    }
});

/// A block that holds these bytes as its entries: LZ4 literals alone.
fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut lz4 = (bytes.len() as u32).to_le_bytes().to_vec();
    if bytes.len() < 15 {
        lz4.push((bytes.len() as u8) << 4);
    } else {
        lz4.push(0xf0);
        let mut rest = bytes.len() - 15;
        while rest >= 255 {
            lz4.push(255);
            rest -= 255;
        }
        lz4.push(rest as u8);
    }
    lz4.extend_from_slice(bytes);
    let mut stored = vec![1];
    stored.extend_from_slice(&1u32.to_le_bytes());
    stored.extend_from_slice(&xxh3_64(&lz4).to_le_bytes());
    stored.extend_from_slice(&lz4);
    stored
}
