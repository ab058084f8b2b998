//! What was not understood, or is set aside: kept until somebody settles it, and found again by the names that stand in it.
//!
//! Its body stays in the history after it was settled; whoever is erased leaves it as well (`erase.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use jumelle_identify::identifier_of;
use jumelle_model::Workspace;
use jumelle_model::ids::Position;
use jumelle_model::time::Timestamp;
use jumelle_store::{Entry, Result, Table};
use regex::Regex;
use serde_json::{Value, json};

use crate::fold::Fold;
use crate::shared::Shared;

/// Names kept of one body, at most.
const NAMES_MAX: usize = 500;
/// In the place of an identifier's key: all that an entry names.
const NOBODY: u128 = 0;

/// One item, as the history has it.
pub(crate) struct Item<'a> {
    pub(crate) id: u64,
    pub(crate) source: &'a str,
    pub(crate) field: &'a str,
    pub(crate) rule: &'a str,
    pub(crate) message: &'a str,
    pub(crate) body: &'a str,
}

/// Where an entry of the history names somebody.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Naming {
    pub(crate) position: u64,
    id: u64,
    /// All keys of identifiers that it names, hers among them.
    keys: Vec<u128>,
}

impl Item<'_> {
    /// As the API gives it.
    pub(crate) fn to_json(&self, received: Timestamp) -> Value {
        json!({
            "id": format!("q_{:016x}", self.id), "at": received, "source": self.source, "field": self.field, "rule": self.rule,
            "message": self.message, "body": self.body,
        })
    }
}

impl Fold {
    pub(crate) fn quarantined(&mut self, received: Timestamp, item: Item<'_>) -> Result<()> {
        let id = item.id;
        self.forget_place_in_quarantine(id)?;
        self.shared.behind.put(Table::QuarantineOrder, place(received, id), Vec::new());
        self.shared.behind.put(Table::Quarantine, id.to_be_bytes(), item.to_json(received).to_string());
        let keys = named_in(&self.definitions.workspace, item.body);
        if !keys.is_empty() {
            let all = [&id.to_be_bytes()[..], &keys.iter().flat_map(|key| key.to_be_bytes()).collect::<Vec<_>>()].concat();
            self.shared.behind.put(Table::QuarantineNames, name_row(NOBODY, self.position().0), all);
        }
        for key in keys {
            self.shared.behind.put(Table::QuarantineNames, name_row(key, self.position().0), Vec::new());
        }
        self.day()?.quarantined += 1;
        if self.is_live() {
            self.shared.flow.now(|minute| minute.quarantined += 1);
        }
        Ok(())
    }

    pub(crate) fn quarantine_settled(&mut self, id: u64) -> Result<()> {
        self.forget_place_in_quarantine(id)?;
        self.shared.behind.remove(Table::Quarantine, id.to_be_bytes());
        Ok(())
    }

    /// The same item may come again: it stands where it came last.
    fn forget_place_in_quarantine(&self, id: u64) -> Result<()> {
        let Some(row) = self.shared.behind.get(Table::Quarantine, &id.to_be_bytes())? else { return Ok(()) };
        let item: Value = serde_json::from_slice(&row).unwrap_or_default();
        if let Some(at) = item["at"].as_str().and_then(Timestamp::parse) {
            self.shared.behind.remove(Table::QuarantineOrder, place(at, id));
        }
        Ok(())
    }

    /// Takes an item out of the tables and of the history, whoever else it names.
    pub(crate) fn erase_quarantined(&mut self, naming: &Naming) -> Result<()> {
        self.quarantine_settled(naming.id)?;
        for key in naming.keys.iter().chain(&[NOBODY]) {
            self.shared.behind.remove(Table::QuarantineNames, name_row(*key, naming.position));
        }
        self.blank(Position(naming.position), |_, _| Entry::Gone)
    }
}

impl Shared {
    /// Every entry in quarantine that names one of these identifiers, settled ones too.
    pub(crate) fn quarantined_naming(&self, keys: &[u128]) -> Result<BTreeSet<Naming>> {
        let mut found = BTreeSet::new();
        for key in keys {
            for (row, _) in self.behind.scan(Table::QuarantineNames, &key.to_be_bytes(), None, usize::MAX)? {
                let Some(position) = row.last_chunk().map(|position| u64::from_be_bytes(*position)) else { continue };
                let all = self.behind.get(Table::QuarantineNames, &name_row(NOBODY, position))?;
                found.extend(all.and_then(|all| read(position, &all)));
            }
        }
        Ok(found)
    }

    /// The items that wait there and name one of these identifiers, as the API gives them. The body of one that names somebody else as
    /// well is left out.
    pub fn quarantined_about(&self, keys: &[u128]) -> Result<Vec<Value>> {
        let mut found: BTreeMap<u64, Value> = BTreeMap::new();
        for naming in self.quarantined_naming(keys)? {
            let Some(row) = self.behind.get(Table::Quarantine, &naming.id.to_be_bytes())? else { continue };
            let mut item: Value = serde_json::from_slice(&row).unwrap_or_default();
            if naming.keys.iter().any(|key| !keys.contains(key)) {
                item["body"] = Value::Null;
            }
            found.insert(naming.id, item);
        }
        Ok(found.into_values().collect())
    }
}

/// Arrival and id: items sort by it.
fn place(at: Timestamp, id: u64) -> Vec<u8> {
    [at.0.to_be_bytes(), id.to_be_bytes()].concat()
}

fn name_row(key: u128, position: u64) -> Vec<u8> {
    [&key.to_be_bytes()[..], &position.to_be_bytes()].concat()
}

fn read(position: u64, all: &[u8]) -> Option<Naming> {
    let (id, keys) = all.split_first_chunk()?;
    let keys = keys.chunks_exact(16).filter_map(|key| Some(u128::from_be_bytes(key.try_into().ok()?))).collect();
    Some(Naming { position, id: u64::from_be_bytes(*id), keys })
}

/// Keys of the identifiers that a body names, wherever an event has them. It may be no JSON, or cut off: what is looked for is a
/// member's name and its value, and what looks like an address or a telephone number.
fn named_in(workspace: &Workspace, body: &str) -> BTreeSet<u128> {
    static MEMBER: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r#""([A-Za-z_][\w-]*)"\s*:\s*(?:("(?:[^"\\]|\\.)*")|(\d{1,20}))"#).ok());
    static FLAT: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r#"\{[^{}]*"id"[^{}]*\}"#).ok());
    static ADDRESS: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r#"[^\s"'<>()\[\],;:=\\]+@[^\s"'<>()\[\],;:=\\]+|\+?\d[\d .-]{7,18}\d"#).ok());
    let mut keys = BTreeSet::new();
    let mut take = |namespace: &str, raw: &str| {
        if keys.len() < NAMES_MAX {
            keys.extend(identifier_of(workspace, namespace, raw).map(|found| found.key()));
        }
    };
    for found in MEMBER.iter().flat_map(|members| members.captures_iter(body)) {
        let field = found.get(1).map_or("", |field| field.as_str());
        let namespaces: &[&str] = match field {
            "userId" => &["user_id"],
            "anonymousId" => &["anonymous_id"],
            "previousId" => &["user_id", "anonymous_id"],
            own => &[own],
        };
        let value = match (found.get(2), found.get(3)) {
            (Some(text), _) => serde_json::from_str(text.as_str()).unwrap_or_default(),
            (None, number) => number.map_or(String::new(), |number| number.as_str().to_owned()),
        };
        namespaces.iter().filter(|key| workspace.namespace(key).is_some()).for_each(|namespace| take(namespace, &value));
    }
    // An external id: its namespace stands beside it.
    for found in FLAT.iter().flat_map(|objects| objects.find_iter(body)) {
        let object: Value = serde_json::from_str(found.as_str()).unwrap_or_default();
        let id = object["id"].as_str().map(str::to_owned).or_else(|| object["id"].as_u64().map(|id| id.to_string()));
        if let (Some(namespace), Some(id)) = (object["type"].as_str(), id) {
            take(namespace, &id);
        }
    }
    for found in ADDRESS.iter().flat_map(|addresses| addresses.find_iter(body)) {
        let namespace = if found.as_str().contains('@') { "email" } else { "phone" };
        take(namespace, found.as_str());
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_what_is_no_event() {
        let workspace = Workspace::parse(
            "workspace: {key: shop, timezone: UTC, country: FR}\nidentifiers:\n  user_id: {limit: 1}\n  email: {limit: 3, normalize: email}\n  phone: {limit: 3, normalize: e164}\n  card: {limit: 1}\n  anonymous_id: {limit: 9}\n",
        )
        .unwrap();
        let key = |namespace, value: &str| jumelle_model::Identifier::new(namespace, value).key();
        let named = |body| named_in(&workspace, body);
        let whole = r#"{"userId": 17, "anonymousId":"a\"b","traits":{"email":"Ana@Example.org","phone":"+33612345678"},"context":{"externalIds":[{"type":"card","id":"C-1"}]}}"#;
        for wanted in [
            key("user_id", "17"),
            key("anonymous_id", "a\"b"),
            key("email", "ana@example.org"),
            key("phone", "+33612345678"),
            key("card", "C-1"),
        ] {
            assert!(named(whole).contains(&wanted), "{wanted:x}");
        }
        // Cut off in the middle, and a line of a file.
        assert!(named(&whole[..80]).contains(&key("email", "ana@example.org")));
        let line = named("bea;bea@example.org;06 12 34 56 78;Lille");
        assert!(line.contains(&key("email", "bea@example.org")) && line.contains(&key("phone", "+33612345678")));
        // A product's number is nobody's, and so many of them hide nobody.
        let products = r#"{"id":"C-1","name":"Shoes"},"#.repeat(400);
        let order = format!(r#"{{"products":[{products}{{}}],"userId":"u1"}}"#);
        assert_eq!(named(&order), BTreeSet::from([key("user_id", "u1")]));
        assert!(named(r#"{"event":"Page Viewed","properties":{"title":"Shoes"}}"#).is_empty());
    }
}
