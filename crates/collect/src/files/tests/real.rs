//! The examples of the repository, and the data that they are for.

use std::path::{Path, PathBuf};

use jumelle_model::Workspace;
use jumelle_model::number::Decimal;
use serde_json::Value;

use super::super::fingerprint;
use super::{events, mapping};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn example(name: &str) -> super::Mapping {
    mapping(&std::fs::read_to_string(repository().join("examples").join(name)).unwrap())
}

/// `None`, with a line that says so: the data is not here, and nobody asked for it.
fn data(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("JUMELLE_TEST_DATA").map_or_else(|| repository().join("../shared/data"), PathBuf::from);
    let path = folder.join(name);
    if path.exists() {
        return Some(path);
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{} is not there, and CI=true asks for it", path.display());
    eprintln!("skipped: {} is not there; JUMELLE_TEST_DATA names another folder of data", path.display());
    None
}

#[test]
fn the_documentation_and_the_examples_are_understood() {
    let page = std::fs::read_to_string(repository().join("docs/guide/import.md")).unwrap();
    let mut fragments = 0;
    for language in ["```yaml\n", "```yml\n"] {
        for block in page.split(language).skip(1) {
            mapping(block.split("```").next().unwrap());
            fragments += 1;
        }
    }
    assert!(fragments > 0);
    for name in ["online_retail", "ecom"] {
        example(&format!("{name}/mapping.yaml"));
        let workspace = std::fs::read_to_string(repository().join(format!("examples/{name}/workspace.yaml"))).unwrap();
        Workspace::parse(&workspace).unwrap_or_else(|problems| panic!("{problems}"));
    }
}

/// What the right column holds was counted by DuckDB over the file.
#[test]
fn online_retail_becomes_orders_to_the_penny() {
    let Some(path) = data("online_retail/online_retail.parquet") else { return };
    let text = std::fs::read_to_string(repository().join("examples/online_retail/mapping.yaml")).unwrap();
    let (mut orders, mut cancellations, mut anonymous, mut lines) = (0, 0, 0, 0);
    let (mut sold, mut cancelled, mut largest) = (0_i64, 0_i64, 0);
    let mut last = String::new();
    for event in events(&path, Some(&mapping(&text))).unwrap() {
        let event = event.unwrap();
        let total = Decimal::parse(&event["properties"]["total"].to_string()).unwrap().0 / 10_000;
        let at = event["timestamp"].as_str().unwrap().to_owned();
        assert!(last <= at);
        last = at;
        if event["event"] == "Order Cancelled" {
            cancellations += 1;
            cancelled += total;
            continue;
        }
        orders += 1;
        sold += total;
        anonymous += i32::from(event["userId"] == Value::Null);
        let items = event["properties"]["products"].as_array().unwrap().len();
        lines += items;
        largest = largest.max(items);
        if event["messageId"] == "invoice-536365" {
            assert_eq!(event["properties"]["total"].to_string(), "139.12");
            assert_eq!(event["userId"], "17850");
        }
    }
    assert_eq!((orders, lines, anonymous, largest), (22_061, 532_618, 3_525, 1_114));
    assert_eq!(cancellations, 3_836);
    assert_eq!((sold, cancelled), (1_065_562_248, -89_681_249), "pence");
    let one = fingerprint(&path, Some(&text), "shop").unwrap();
    assert_eq!(one, fingerprint(&path, Some(&text), "shop").unwrap());
    assert_ne!(one, fingerprint(&path, Some(&text), "till").unwrap());
}

#[test]
fn every_row_of_the_clickstream_is_an_event() {
    let Some(path) = data("ecom/ecom.csv.gz") else { return };
    let read: Vec<Value> = events(&path, Some(&example("ecom/mapping.yaml"))).unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(read.len(), 31_106);
    let count = |name: &str| read.iter().filter(|event| event["event"] == name).count();
    assert_eq!((count("Product Viewed"), count("Product Added"), count("Order Completed")), (6_851, 1_346, 470));
    assert!(read.iter().all(|event| event["userId"] == Value::Null && event["anonymousId"].is_string()));
}
