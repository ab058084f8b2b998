//! What is sent: requests that are rendered before the clock runs, with gaps of fixed width that are filled at the last
//! moment (who, which message, when). Filling costs a few copies per event; rendering would cost the server its CPU.
//!
//! The shop: 200,000 visitors, visited in a Zipf-like way, of whom 15 % are identified (user id, e-mail, loyalty card).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::wire;

/// People of the shop.
pub const VISITORS: u32 = 200_000;
/// Events of a batch.
pub const BATCH_EVENTS: usize = 100;
/// The write key of `workspace.yaml`, as HTTP Basic authentication sends it: `wk_bench:` in base64.
const BASIC: &str = "d2tfYmVuY2g6";
/// Weight of a visitor by rank: (rank + shift)^-exponent (Zipf-Mandelbrot). The shift keeps the most frequent ones human:
/// without it the first one alone would make 1 event of 50.
const ZIPF_EXPONENT: f64 = 0.8;
const ZIPF_SHIFT: f64 = 50.0;
/// Draws that are made before the clock runs; afterwards they are gone through in a circle. A power of two.
const DRAWS: usize = 1 << 20;
/// Of 20 visitors in a row, the first 3 are identified.
const GROUP: u32 = 20;
const IDENTIFIED_OF_GROUP: u32 = 3;

const VISITOR_GAP: &str = "@VVVVV";
const SEQUENCE_GAP: &str = "@SSSSSSSSSSS";
const TIME_GAP: &str = "@TTTTTTTTTTTTTTTTTTTTTTT";

/// Numbers of visitors and messages, shared by all connections.
pub struct Supply {
    draws: Vec<u32>,
    drawn: AtomicU64,
    sequence: AtomicU64,
}

impl Supply {
    /// The same draws for the same seed.
    pub fn new(seed: u64) -> Arc<Supply> {
        let mut random = StdRng::seed_from_u64(seed);
        let mut total = 0.0;
        let cumulated: Vec<f64> = (1..=VISITORS)
            .map(|rank| {
                total += (f64::from(rank) + ZIPF_SHIFT).powf(-ZIPF_EXPONENT);
                total
            })
            .collect();
        let draws = (0..DRAWS).map(|_| {
            let point = random.random_range(0.0..total);
            let rank = cumulated.partition_point(|&sum| sum <= point) as u32;
            // Neighbours in rank are scattered over the numbers, so that a group of 20 is not all frequent visitors.
            (u64::from(rank) * 7_919 % u64::from(VISITORS)) as u32
        });
        Arc::new(Supply { draws: draws.collect(), drawn: AtomicU64::new(0), sequence: AtomicU64::new(0) })
    }

    fn visitor(&self, who: Who) -> u32 {
        let at = self.drawn.fetch_add(1, Ordering::Relaxed) as usize % DRAWS;
        let drawn = self.draws[at];
        let first = drawn / GROUP * GROUP;
        match who {
            Who::Anyone => drawn,
            Who::Identified => first + drawn % IDENTIFIED_OF_GROUP,
            Who::Anonymous => first + IDENTIFIED_OF_GROUP + drawn % (GROUP - IDENTIFIED_OF_GROUP),
        }
    }

    /// The next message; also how many there were before.
    pub fn next_sequence(&self) -> u64 {
        self.sequence.fetch_add(1, Ordering::Relaxed)
    }
}

/// Which visitors an event can be of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Who {
    Anyone,
    Identified,
    Anonymous,
}

/// The gaps of one event, as offsets in the request.
struct Gaps {
    who: Who,
    visitor: Vec<usize>,
    sequence: Vec<usize>,
    time: Vec<usize>,
}

/// A rendered request.
pub struct Request {
    bytes: Vec<u8>,
    gaps: Vec<Gaps>,
    /// Events that it carries.
    pub events: u64,
}

impl Request {
    fn new(events: u64, head: &str, parts: &[(Who, String)], tail: &str, render: impl FnOnce(&str) -> Vec<u8>) -> Request {
        let mut body = head.to_owned();
        let mut ends = Vec::with_capacity(parts.len());
        for (index, (_, part)) in parts.iter().enumerate() {
            if index > 0 {
                body.push(',');
            }
            body.push_str(part);
            ends.push(body.len());
        }
        body.push_str(tail);
        if let Some(end) = ends.last_mut() {
            *end = body.len();
        }
        let bytes = render(&body);
        let before = bytes.len() - body.len();
        let mut start = 0;
        let mut gaps = Vec::with_capacity(parts.len());
        for ((who, _), end) in parts.iter().zip(ends) {
            let of = |gap| body[start..end].match_indices(gap).map(|(at, _)| before + start + at).collect();
            gaps.push(Gaps { who: *who, visitor: of(VISITOR_GAP), sequence: of(SEQUENCE_GAP), time: of(TIME_GAP) });
            start = end;
        }
        Request { bytes, gaps, events }
    }

    /// Fills the gaps anew; gives the bytes to send and the number of the (last) message in them.
    pub fn fill(&mut self, supply: &Supply, now: Timestamp) -> (&[u8], u64) {
        let time = now.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string();
        let mut sequence = 0;
        for gaps in &self.gaps {
            if !gaps.visitor.is_empty() {
                let digits = decimal(supply.visitor(gaps.who));
                put(&mut self.bytes, &gaps.visitor, &digits);
            }
            if !gaps.sequence.is_empty() {
                sequence = supply.next_sequence();
                put(&mut self.bytes, &gaps.sequence, &hexadecimal(sequence));
            }
            put(&mut self.bytes, &gaps.time, time.as_bytes());
        }
        (&self.bytes, sequence)
    }

    /// The bytes as they were filled last.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

fn put(bytes: &mut [u8], offsets: &[usize], value: &[u8]) {
    for &at in offsets {
        bytes[at..at + value.len()].copy_from_slice(value);
    }
}

fn decimal(mut number: u32) -> [u8; VISITOR_GAP.len()] {
    let mut digits = [b'0'; VISITOR_GAP.len()];
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
    digits
}

fn hexadecimal(mut number: u64) -> [u8; SEQUENCE_GAP.len()] {
    let mut digits = [b'0'; SEQUENCE_GAP.len()];
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(number % 16) as usize];
        number /= 16;
    }
    digits
}

/// Batches of [`BATCH_EVENTS`] events of all kinds, for `POST /v1/batch`.
pub fn batches(random: &mut StdRng, count: usize) -> Vec<Request> {
    let batch = |_| {
        let events: Vec<(Who, String)> = (0..BATCH_EVENTS).map(|_| event(random)).collect();
        let tail = format!(r#"],"sentAt":"{TIME_GAP}"}}"#);
        Request::new(BATCH_EVENTS as u64, r#"{"batch":["#, &events, &tail, |body| wire::post("/v1/batch", BASIC, body))
    };
    (0..count).map(batch).collect()
}

/// Single events, for `POST /v1/track`.
pub fn singles(random: &mut StdRng, count: usize) -> Vec<Request> {
    let single = |_| {
        let (who, body) = track(random);
        Request::new(1, "", &[(who, body)], "", |body| wire::post("/v1/track", BASIC, body))
    };
    (0..count).map(single).collect()
}

/// What comes before the number in the e-mail address of a trigger's person.
pub const TRIGGER_MARK: &str = "trigger.";

/// `Bench Trigger`, each from a person who was never seen before.
pub fn triggers(count: usize) -> Vec<Request> {
    let body = format!(
        r#"{{"type":"track","event":"Bench Trigger","messageId":"trigger-{SEQUENCE_GAP}","anonymousId":"trigger-{SEQUENCE_GAP}","timestamp":"{TIME_GAP}","sentAt":"{TIME_GAP}","properties":{{"category":"bench"}},"context":{{"traits":{{"email":"{TRIGGER_MARK}{SEQUENCE_GAP}@mail.example"}},"library":{{"name":"analytics.js","version":"4.1.0"}}}}}}"#
    );
    let trigger = |_| Request::new(1, "", &[(Who::Anyone, body.clone())], "", |body| wire::post("/v1/track", BASIC, body));
    (0..count).map(trigger).collect()
}

/// The number of the trigger that a webhook's body is about.
pub fn trigger_of(body: &[u8]) -> Option<u64> {
    let at = wire::find(body, TRIGGER_MARK.as_bytes())? + TRIGGER_MARK.len();
    let digits = std::str::from_utf8(body.get(at..at + SEQUENCE_GAP.len())?).ok()?;
    u64::from_str_radix(digits, 16).ok()
}

/// A read of the profile of whichever visitor is drawn.
pub fn read(token: &str) -> Request {
    let path = format!("/v1/profiles/anonymous_id:{}", anonymous_id());
    let whole = String::from_utf8_lossy(&wire::get(&path, Some(token))).into_owned();
    Request::new(0, "", &[(Who::Anyone, whole)], "", |whole| whole.as_bytes().to_vec())
}

fn anonymous_id() -> String {
    format!("6f1c2a9e-58d3-4b7a-9c41-7d20e8{VISITOR_GAP}")
}

/// Generator of the templates' content; the same for the same seed.
pub fn random(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

/// One event of the mix: half of them looks at a product, a third is a page, the rest carts, orders and identifications.
fn event(random: &mut StdRng) -> (Who, String) {
    match random.random_range(0..100) {
        0..33 => page(random),
        33..95 => track(random),
        _ => identify(random),
    }
}

/// Product Viewed 48, Product Added 11, Order Completed 3 of 62.
fn track(random: &mut StdRng) -> (Who, String) {
    match random.random_range(0..62) {
        0..48 => {
            let product = product(random);
            let rest =
                format!(r#""list":"{}","image_url":"https://img.shop.example/p/640/front.jpg"{product}"#, pick(random, &LISTS));
            tracked(random, "Product Viewed", Who::Anonymous, &rest)
        }
        48..59 => {
            let product = product(random);
            let rest =
                format!(r#""cart_id":"c-{VISITOR_GAP}","quantity":1,"image_url":"https://img.shop.example/p/640.jpg"{product}"#);
            tracked(random, "Product Added", Who::Anonymous, &rest)
        }
        _ => {
            let (first, second) = (product(random), product(random));
            let total = random.random_range(30..400);
            let rest = format!(
                r#""order_id":"O-{SEQUENCE_GAP}","total":{total}.90,"revenue":{total}.90,"shipping":4.90,"tax":12.40,"currency":"EUR","payment":"card","products":[{{"quantity":1{first}}},{{"quantity":2{second}}}]"#
            );
            tracked(random, "Order Completed", Who::Identified, &rest)
        }
    }
}

fn tracked(random: &mut StdRng, name: &str, usually: Who, properties: &str) -> (Who, String) {
    // Identified visitors browse as well; buyers are all identified.
    let who = if random.random_range(0..100) < 15 { Who::Identified } else { usually };
    let context = context(random, "");
    (who, format!(r#"{{"type":"track","event":"{name}",{},"properties":{{{properties}}},{context}}}"#, envelope(who)))
}

fn page(random: &mut StdRng) -> (Who, String) {
    let who = if random.random_range(0..100) < 15 { Who::Identified } else { Who::Anonymous };
    let category = pick(random, &CATEGORIES);
    let (width, depth) = (random.random_range(320..2_560), random.random_range(1..9));
    let context = context(random, "");
    let properties = format!(
        r#""name":"Category","path":"/en/women/{category}","url":"https://www.shop.example/en/women/{category}?sort=new","title":"{category} for women | Shop","referrer":"https://www.search.example/","search":"?sort=new","viewport_width":{width},"depth":{depth}"#
    );
    (who, format!(r#"{{"type":"page","name":"Category",{},"properties":{{{properties}}},{context}}}"#, envelope(who)))
}

fn identify(random: &mut StdRng) -> (Who, String) {
    let state = if random.random_range(0..100) < 70 { "granted" } else { "denied" };
    let consents = format!(
        r#","consents":[{{"purpose":"marketing","channel":"email","state":"{state}","at":"{TIME_GAP}","proof":{{"form":"account","text":"v7"}}}}]"#
    );
    let context = context(random, &consents);
    let traits = format!(
        r#""email":"visitor.{VISITOR_GAP}@mail.example","first_name":"{}","city":"{}","shoe_size":"{}","language":"fr","newsletter":true"#,
        pick(random, &NAMES),
        pick(random, &CITIES),
        random.random_range(35..47),
    );
    (Who::Identified, format!(r#"{{"type":"identify",{},"traits":{{{traits}}},{context}}}"#, envelope(Who::Identified)))
}

/// What every event has around its content.
fn envelope(who: Who) -> String {
    let user = if who == Who::Identified { format!(r#""userId":"u-{VISITOR_GAP}","#) } else { String::new() };
    format!(
        r#"{user}"anonymousId":"{}","messageId":"ajs-next-1767225600000-{SEQUENCE_GAP}","timestamp":"{TIME_GAP}","originalTimestamp":"{TIME_GAP}","integrations":{{"All":true}}"#,
        anonymous_id()
    )
}

/// The context of analytics.js, with the loyalty card where consents are.
fn context(random: &mut StdRng, consents: &str) -> String {
    let category = pick(random, &CATEGORIES);
    let card = if consents.is_empty() {
        String::new()
    } else {
        format!(r#","externalIds":[{{"id":"2900{VISITOR_GAP}","type":"loyalty_card","collection":"users","encoding":"none"}}]"#)
    };
    format!(
        r#""context":{{"page":{{"path":"/en/{category}","url":"https://www.shop.example/en/{category}","title":"{category} | Shop","referrer":"https://www.search.example/","search":""}},"userAgent":"{}","userAgentData":{{"brands":[{{"brand":"Chromium","version":"126"}}],"mobile":false}},"library":{{"name":"analytics.js","version":"npm:next-1.70.0"}},"campaign":{{"source":"{}","medium":"cpc","name":"autumn"}},"locale":"fr-FR","timezone":"Europe/Paris"{card}{consents}}}"#,
        pick(random, &BROWSERS),
        pick(random, &CAMPAIGNS),
    )
}

fn product(random: &mut StdRng) -> String {
    let number: u32 = random.random_range(10_000..13_000);
    let category = CATEGORIES[number as usize % CATEGORIES.len()];
    let brand = BRANDS[number as usize / 7 % BRANDS.len()];
    let (price, size) = (20 + number % 160, 35 + number % 12);
    format!(
        r#","product_id":"{number}","sku":"{number}-{size}","category":"{category}","name":"{brand} {category} {number}","brand":"{brand}","price":{price}.95,"currency":"EUR","variant":"{size}""#
    )
}

fn pick<'a>(random: &mut StdRng, from: &[&'a str]) -> &'a str {
    from[random.random_range(0..from.len())]
}

const CATEGORIES: [&str; 8] = ["sneakers", "boots", "sandals", "loafers", "derbies", "pumps", "slippers", "ballerinas"];
const BRANDS: [&str; 6] = ["Azur", "Bellac", "Corvin", "Dunois", "Estran", "Falaise"];
const LISTS: [&str; 4] = ["new arrivals", "best sellers", "search", "seen together"];
const CAMPAIGNS: [&str; 4] = ["search", "newsletter", "social", "affiliate"];
const NAMES: [&str; 6] = ["Ana", "Léa", "Hugo", "Inès", "Paul", "Zoé"];
const CITIES: [&str; 5] = ["Lille", "Roubaix", "Lyon", "Nantes", "Orléans"];
const BROWSERS: [&str; 3] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:127.0) Gecko/20100101 Firefox/127.0 (desktop, private browsing off)",
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::Value;

    use super::*;

    fn filled_body(request: &mut Request, supply: &Supply) -> Value {
        let (bytes, _) = request.fill(supply, "2026-01-02T03:04:05.678Z".parse().unwrap());
        let start = wire::find(bytes, b"\r\n\r\n").unwrap() + 4;
        serde_json::from_slice(&bytes[start..]).unwrap()
    }

    #[test]
    fn batches_are_realistic_in_size_and_mix() {
        let supply = Supply::new(1);
        let (mut bytes, mut events, mut names) = (0, 0, HashSet::new());
        for request in &mut batches(&mut random(1), 20) {
            let body = filled_body(request, &supply);
            let batch = body["batch"].as_array().unwrap();
            assert_eq!(batch.len(), BATCH_EVENTS);
            for event in batch {
                let size = event.to_string().len();
                assert!((900..1_500).contains(&size), "{size} bytes: {event}");
                bytes += size;
                events += 1;
                names.insert(event.get("event").unwrap_or(&event["type"]).as_str().unwrap().to_owned());
                assert_eq!(event["timestamp"], "2026-01-02T03:04:05.678Z");
                assert!(!event.to_string().contains('@') || event["type"] == "identify", "a gap is left: {event}");
                if event["type"] == "identify" {
                    assert_eq!(event["context"]["consents"][0]["purpose"], "marketing");
                    assert_eq!(event["context"]["externalIds"][0]["type"], "loyalty_card");
                }
            }
        }
        let mean = bytes / events;
        assert!((1_024..=1_229).contains(&mean), "{mean} bytes an event on average");
        assert_eq!(names.len(), 5, "{names:?}");
    }

    #[test]
    fn message_ids_and_orders_are_new_each_time_and_people_are_consistent() {
        let supply = Supply::new(2);
        let mut requests = batches(&mut random(2), 10);
        let mut ids = HashSet::new();
        for _ in 0..3 {
            for request in &mut requests {
                for event in filled_body(request, &supply)["batch"].as_array().unwrap() {
                    assert!(ids.insert(event["messageId"].to_string()));
                    let visitor = &event["anonymousId"].as_str().unwrap()[30..];
                    let number: u32 = visitor.parse().unwrap();
                    let identified = number % GROUP < IDENTIFIED_OF_GROUP;
                    let expected = if identified { format!("u-{visitor}").into() } else { Value::Null };
                    assert_eq!(event.get("userId").cloned().unwrap_or_default(), expected);
                    assert!(number < VISITORS);
                    if event["event"] == "Order Completed" {
                        let sequence = event["messageId"].as_str().unwrap().rsplit_once('-').unwrap().1;
                        assert_eq!(event["properties"]["order_id"], format!("O-{sequence}"));
                    }
                }
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_one_others() {
        let bytes = |seed| batches(&mut random(seed), 2).into_iter().map(|request| request.bytes).collect::<Vec<_>>();
        assert_eq!(bytes(7), bytes(7));
        assert_ne!(bytes(7), bytes(8));
        assert_eq!(Supply::new(7).draws, Supply::new(7).draws);
    }

    #[test]
    fn visitors_are_drawn_in_a_zipf_like_way() {
        let supply = Supply::new(3);
        let mut visits = vec![0_u32; VISITORS as usize];
        for &visitor in &supply.draws {
            visits[visitor as usize] += 1;
        }
        visits.sort_unstable_by(|a, b| b.cmp(a));
        assert!(visits[0] < DRAWS as u32 / 500, "one visitor makes {} of {DRAWS} visits", visits[0]);
        let top: u32 = visits[..VISITORS as usize / 100].iter().sum();
        let share = f64::from(top) / DRAWS as f64;
        assert!((0.15..0.5).contains(&share), "the most frequent 1 % make {share} of the visits");
    }

    #[test]
    fn a_trigger_is_recognised_in_the_webhook() {
        let supply = Supply::new(4);
        let request = &mut triggers(1)[0];
        for expected in 0..3 {
            let (bytes, sequence) = request.fill(&supply, Timestamp::UNIX_EPOCH);
            assert_eq!((sequence, trigger_of(bytes)), (expected, Some(expected)));
        }
        assert_eq!(trigger_of(b"{}"), None);
        assert_eq!(trigger_of(b"trigger.00"), None);
    }

    #[test]
    fn the_write_key_is_the_one_of_the_workspace() {
        assert!(include_str!("../workspace.yaml").contains("write_key: wk_bench}"));
        assert_eq!(BASIC, "d2tfYmVuY2g6");
    }

    #[test]
    fn reads_go_to_visitors() {
        let supply = Supply::new(5);
        let mut request = read("token");
        let (bytes, _) = request.fill(&supply, Timestamp::UNIX_EPOCH);
        let text = std::str::from_utf8(bytes).unwrap();
        assert!(text.starts_with("GET /v1/profiles/anonymous_id:6f1c2a9e-58d3-4b7a-9c41-7d20e8"), "{text}");
        assert!(!text.contains('@') && text.contains("authorization: Bearer token\r\n"), "{text}");
    }
}
