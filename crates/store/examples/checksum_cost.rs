//! What the checksums cost: encoding a block of 1 MiB beside the checksum of its stored bytes, and a row beside its own.
//! `cargo run --release -p jumelle-store --example checksum_cost`

use std::hint::black_box;
use std::time::{Duration, Instant};

use jumelle_model::event::EventKind;
use jumelle_model::ids::Position;
use jumelle_model::time::Timestamp;
use jumelle_store::{BlockBuilder, Entry, EventEntry, Record};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

const ROUNDS: u32 = 200;
const ROW_BYTES: usize = 300;

fn main() {
    let mut builder = BlockBuilder::default();
    for n in 0..900_u64 {
        let body = format!(
            r#"{{"type":"track","event":"Product Viewed","anonymousId":"b{n}","messageId":"{:032x}","properties":{{"product_id":"p{}","price":{},"url":"https://shop.example/{:016x}","text":"{}"}}}}"#,
            u128::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835),
            n % 97,
            n * 7 % 1_000,
            n.wrapping_mul(0x5851_f42d_4c95_7f2d),
            (0..54_u64).map(|k| format!("{:016x} ", (n * 54 + k).wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect::<String>(),
        );
        let event = EventEntry { kind: EventKind::Track, source: "site", message_id: "m", time: Timestamp(1), body: &body };
        builder.push(&Record { received: Timestamp(n as i64), entry: Entry::Event(event) });
    }
    let raw = builder.bytes();
    let (stored, block) = builder.finish(Position(7));
    let encode = mean(|| black_box(block.encode()).len());
    let sum = mean(|| xxh3_64_with_seed(black_box(&stored), xxh3_64(black_box(&[1; 13]))) as usize);
    let row = vec![7_u8; ROW_BYTES];
    let of_row = mean(|| xxh3_64_with_seed(black_box(&row), xxh3_64_with_seed(black_box(&[1; 16]), 3)) as usize);
    println!("block of {raw} bytes, {} stored: encode {encode:?}, of it the checksum {sum:?}", stored.len());
    println!("checksum of a row of {ROW_BYTES} bytes: {of_row:?}");
}

fn mean(mut work: impl FnMut() -> usize) -> Duration {
    let started = Instant::now();
    for _ in 0..ROUNDS {
        black_box(work());
    }
    started.elapsed() / ROUNDS
}
