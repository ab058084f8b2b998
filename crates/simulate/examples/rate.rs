//! How many events a second one core makes and writes: `cargo run --release -p jumelle-simulate --example rate -- FILE`.

use std::io::{BufWriter, Write};
use std::time::Instant;

use jumelle_simulate::calendar::parse_date;
use jumelle_simulate::{Plan, Shop};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "/dev/null".into());
    let people = std::env::args().nth(2).map_or(Ok(100_000), |text| text.parse())?;
    let date = |text| parse_date(text).ok_or("not a date");
    let started = Instant::now();
    let mut shop = Shop::new(Plan { seed: 1, people, from_ms: date("2026-01-01")?, to_ms: date("2026-03-02")?, truth: None })?;
    let mut out = BufWriter::with_capacity(1 << 20, std::fs::File::create(&path)?);
    let (mut events, mut bytes) = (0_u64, 0_u64);
    while let Some(line) = shop.next_line() {
        out.write_all(line.json)?;
        out.write_all(b"\n")?;
        events += 1;
        bytes += line.json.len() as u64 + 1;
    }
    out.flush()?;
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{people} people: {events} events, {bytes} bytes in {seconds:.2} s to {path}: {:.0} events/s",
        events as f64 / seconds
    );
    Ok(())
}
