//! The same plan gives the same bytes, in the order of arrival, as JSON that a collector understands.

use std::collections::BTreeMap;
use std::path::Path;

use jumelle_simulate::calendar::parse_date;
use jumelle_simulate::{Compression, Plan, Shop};
use parquet::file::reader::{FileReader, SerializedFileReader};
use serde_json::Value;

fn plan(seed: u64, truth: Option<&Path>) -> Plan {
    let at = |date| parse_date(date).unwrap();
    Plan { seed, people: 500, from_ms: at("2026-05-01"), to_ms: at("2026-07-01"), truth: truth.map(Path::to_owned) }
}

fn lines(shop: &mut Shop) -> Vec<(i64, String)> {
    let mut found = Vec::new();
    while let Some(line) = shop.next_line() {
        found.push((line.arrival_ms, String::from_utf8(line.json.to_vec()).unwrap()));
    }
    found
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let all = |seed| lines(&mut Shop::new(plan(seed, None)).unwrap());
    let first = all(7);
    assert_eq!(first, all(7));
    assert_ne!(first, all(8));
}

#[test]
fn events_are_json_and_come_in_the_order_of_arrival() {
    let found = lines(&mut Shop::new(plan(1, None)).unwrap());
    assert!(found.is_sorted_by_key(|(arrival, _)| *arrival));
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    let mut bytes = 0;
    for (_, line) in &found {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(event["writeKey"].is_string() && event["receivedAt"].is_string(), "{line}");
        *names.entry(event["event"].as_str().or(event["type"].as_str()).unwrap_or("?").to_owned()).or_default() += 1;
        bytes += line.len();
    }
    for name in [
        "page",
        "screen",
        "identify",
        "Product Viewed",
        "Product Added",
        "Products Searched",
        "Order Completed",
        "Order Refunded",
        "Survey Answered",
        "Complaint Filed",
        "Call Ended",
        "Email Opened",
        "Email Link Clicked",
        "Consent Updated",
    ] {
        assert!(names.contains_key(name), "no {name} in {names:?}");
    }
    let mean = bytes / found.len();
    assert!((1_000..1_500).contains(&mean), "{mean} bytes an event");
}

#[test]
fn the_truth_has_a_row_for_each_event_and_changes_none_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut shop = Shop::new(plan(7, Some(folder.path()))).unwrap();
    let found = lines(&mut shop);
    shop.finish().unwrap();
    assert_eq!(found, lines(&mut Shop::new(plan(7, None)).unwrap()));
    let rows = |table: &str| -> i64 {
        let file = std::fs::File::open(folder.path().join(format!("{table}.parquet"))).unwrap();
        SerializedFileReader::new(file).unwrap().metadata().file_metadata().num_rows()
    };
    let ids: std::collections::BTreeSet<String> = found
        .iter()
        .filter_map(|(_, line)| serde_json::from_str::<Value>(line).unwrap()["messageId"].as_str().map(str::to_owned))
        .collect();
    assert!(ids.len() < found.len(), "some come twice, some are bad");
    // What is made before the end and would arrive after it is in the truth as well.
    assert!(
        rows("events") >= ids.len() as i64 && rows("events") < ids.len() as i64 * 102 / 100,
        "{} {}",
        rows("events"),
        ids.len()
    );
    assert_eq!(rows("people"), 500);
    for table in ["identifiers", "consents", "exposures", "purchases", "products", "memberships", "members"] {
        assert!(rows(table) > 0, "{table} is empty");
    }
}

#[test]
fn the_living_shop_goes_on_compressed() {
    let mut shop = Shop::new(plan(3, None)).unwrap();
    while shop.next_line().is_some() {}
    let end = parse_date("2026-07-01").unwrap();
    let now = end + 20_000;
    shop.compress(Compression { from_ms: end, shown_ms: now, speed: 1_000 });
    shop.extend(end + 10 * 86_400_000);
    let found = lines(&mut shop);
    assert!(!found.is_empty());
    // Ten days are shown as 864 seconds.
    assert!(found.iter().all(|(arrival, _)| (now..=now + 864_000).contains(arrival)));
}
