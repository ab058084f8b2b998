//! What Maison Lumière sends (`jumelle-simulate`): its sources each send batches as they fill, in the order of their arrival,
//! generated while the clock runs: seventy million events fit into no memory. Making an event takes about a microsecond and a
//! half of the machine that is measured; the ceilings pay it too.

use std::io::Write;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use base64::Engine as _;
use jumelle_simulate::calendar::parse_date;
use jumelle_simulate::{Plan, Shop, Source};

use crate::wire;

/// Events of a batch.
pub const BATCH_EVENTS: usize = 100;
/// The shop's first day; where the server's clock follows the events, nothing depends on today's date.
const FIRST_DAY: &str = "2025-01-01";
/// As many days as the shop may live: no event of it may lie in the future.
const DAYS: i64 = 690;
/// Visitors remembered for the profile reads.
const VISITORS_KEPT: usize = 16_384;

/// The shop's events as requests.
pub struct Stream {
    shop: Shop,
    kind: Kind,
    batches: Vec<Batch>,
    visitors: Vec<[u8; 36]>,
    clock: Arc<AtomicI64>,
    seen: usize,
}

/// How events are packed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// [`BATCH_EVENTS`] to a request.
    Batches,
    /// One to a request.
    Singles,
}

struct Batch {
    basic: String,
    body: Vec<u8>,
    events: usize,
}

impl Stream {
    /// A shop of so many people; the same seed gives the same requests.
    pub fn new(seed: u64, people: u32) -> Result<Arc<Mutex<Stream>>> {
        let from_ms = parse_date(FIRST_DAY).context("the first day is no date")?;
        let plan = Plan { seed, people, from_ms, to_ms: from_ms + DAYS * 86_400_000, truth: None };
        let batches = Source::ALL.map(|source| Batch {
            basic: base64::engine::general_purpose::STANDARD.encode(format!("{}:", source.write_key())),
            body: Vec::new(),
            events: 0,
        });
        Ok(Arc::new(Mutex::new(Stream {
            shop: Shop::new(plan)?,
            kind: Kind::Batches,
            batches: batches.into(),
            visitors: Vec::new(),
            clock: Arc::new(AtomicI64::new(from_ms)),
            seen: 0,
        })))
    }

    /// From now on packed like this; what waits in unfinished batches waits on.
    pub fn pack(&mut self, kind: Kind) {
        self.kind = kind;
    }

    /// Writes the next request into `request`; its number of events.
    pub fn next(&mut self, request: &mut Vec<u8>) -> Result<u64> {
        loop {
            let line = self.shop.next_line().context("the shop has closed: more days than it lives were asked of it")?;
            self.clock.store(line.arrival_ms, Ordering::Relaxed);
            note_visitor(&mut self.visitors, &mut self.seen, line.json);
            let batch = &mut self.batches[line.source as usize];
            request.clear();
            if self.kind == Kind::Singles {
                // Only a batch takes events of every kind: a batch of one, as SDKs send it when little happens.
                wire::post_into(request, "/v1/batch", &batch.basic, &[b"{\"batch\":[", line.json, b"]}"]);
                return Ok(1);
            }
            batch.body.extend_from_slice(if batch.events == 0 { b"{\"batch\":[" } else { b"," });
            batch.body.extend_from_slice(line.json);
            batch.events += 1;
            if batch.events == BATCH_EVENTS {
                wire::post_into(request, "/v1/batch", &batch.basic, &[&batch.body, b"]}"]);
                batch.body.clear();
                batch.events = 0;
                return Ok(BATCH_EVENTS as u64);
            }
        }
    }

    /// The arrival of the last event, in milliseconds since 1970.
    pub fn clock(&self) -> Arc<AtomicI64> {
        self.clock.clone()
    }

    /// Browsers' ids that were among the last events.
    pub fn visitors(&self) -> Vec<[u8; 36]> {
        self.visitors.clone()
    }
}

/// Bytes per event of the shop's events as lines of JSON in one zstd stream.
pub fn zstd_bytes_per_event(seed: u64, people: u32, events: u64) -> Result<f64> {
    let stream = Stream::new(seed, people)?;
    let mut stream = lock(&stream);
    let mut packed = zstd::Encoder::new(Counted(0), 3)?;
    for _ in 0..events {
        let line = stream.shop.next_line().context("the shop has closed")?;
        packed.write_all(line.json)?;
        packed.write_all(b"\n")?;
    }
    Ok(packed.finish()?.0 as f64 / events as f64)
}

/// Counts what is written.
struct Counted(u64);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Takes a stream to look at or to draw from.
pub fn lock(stream: &Mutex<Stream>) -> std::sync::MutexGuard<'_, Stream> {
    // A panic while it is held ends the bench with it.
    stream.lock().unwrap_or_else(PoisonError::into_inner)
}

fn note_visitor(visitors: &mut Vec<[u8; 36]>, seen: &mut usize, json: &[u8]) {
    const FIELD: &[u8] = b"\"anonymousId\":\"";
    *seen += 1;
    // One of four is enough, and the field stands in the first bytes.
    if !seen.is_multiple_of(4) {
        return;
    }
    let head = &json[..json.len().min(300)];
    let Some(at) = wire::find(head, FIELD).map(|at| at + FIELD.len()) else { return };
    let Some(id) = json.get(at..at + 36).and_then(|id| <[u8; 36]>::try_from(id).ok()) else { return };
    if visitors.len() < VISITORS_KEPT {
        visitors.push(id);
    } else {
        visitors[*seen / 4 % VISITORS_KEPT] = id;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_requests_of_the_shops_size() {
        let take = |seed| {
            let stream = Stream::new(seed, 2_000).unwrap();
            let mut stream = lock(&stream);
            let (mut request, mut all, mut events) = (Vec::new(), Vec::new(), 0);
            for _ in 0..30 {
                events += stream.next(&mut request).unwrap();
                all.extend_from_slice(&request);
            }
            (all, events, stream.visitors().len())
        };
        let (bytes, events, visitors) = take(7);
        assert_eq!((bytes.clone(), events, visitors), take(7));
        assert_ne!(bytes, take(8).0);
        assert_eq!(events, 3_000);
        assert!(visitors > 100, "{visitors}");
        assert!((900..1_500).contains(&(bytes.len() / 3_000)), "{} bytes an event", bytes.len() / 3_000);
    }

    #[test]
    fn a_request_is_http_with_json() {
        let stream = Stream::new(7, 500).unwrap();
        let mut stream = lock(&stream);
        let mut request = Vec::new();
        for (kind, events) in [(Kind::Batches, BATCH_EVENTS), (Kind::Singles, 1)] {
            stream.pack(kind);
            assert_eq!(stream.next(&mut request).unwrap(), events as u64);
            let start = wire::find(&request, b"\r\n\r\n").unwrap() + 4;
            let head = std::str::from_utf8(&request[..start]).unwrap();
            assert!(head.contains(&format!("content-length: {}\r\n", request.len() - start)), "{head}");
            let body: serde_json::Value = serde_json::from_slice(&request[start..]).unwrap();
            assert_eq!(body["batch"].as_array().unwrap().len(), events);
        }
    }
}
