//! What was not understood, or is set aside: kept until somebody settles it, and found again by the names that stand in it.
//!
//! Its body stays in the history after it was settled; whoever is erased leaves it as well (`erase.rs`).

use std::collections::BTreeSet;
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

/// Names looked for in one body, at most.
const NAMES_MAX: usize = 200;

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
        let row = [&id.to_be_bytes()[..], &keys.iter().flat_map(|key| key.to_be_bytes()).collect::<Vec<_>>()].concat();
        for key in keys {
            self.shared.behind.put(Table::QuarantineNames, name_row(key, self.position().0), row.clone());
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
        for key in &naming.keys {
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
            for (row, value) in self.behind.scan(Table::QuarantineNames, &key.to_be_bytes(), None, usize::MAX)? {
                found.extend(read(&row, &value));
            }
        }
        Ok(found)
    }

    /// The items that wait there and name one of these identifiers, as the API gives them.
    pub fn quarantined_about(&self, keys: &[u128]) -> Result<Vec<Value>> {
        let ids: BTreeSet<u64> = self.quarantined_naming(keys)?.into_iter().map(|naming| naming.id).collect();
        let rows = ids.into_iter().map(|id| self.behind.get(Table::Quarantine, &id.to_be_bytes()));
        rows.filter_map(|row| row.map(|row| serde_json::from_slice(&row?).ok()).transpose()).collect()
    }
}

/// Arrival and id: items sort by it.
fn place(at: Timestamp, id: u64) -> Vec<u8> {
    [at.0.to_be_bytes(), id.to_be_bytes()].concat()
}

fn name_row(key: u128, position: u64) -> Vec<u8> {
    [&key.to_be_bytes()[..], &position.to_be_bytes()].concat()
}

fn read(row: &[u8], value: &[u8]) -> Option<Naming> {
    let (id, keys) = value.split_first_chunk()?;
    Some(Naming {
        position: u64::from_be_bytes(*row.last_chunk()?),
        id: u64::from_be_bytes(*id),
        keys: keys.chunks_exact(16).filter_map(|key| Some(u128::from_be_bytes(key.try_into().ok()?))).collect(),
    })
}

/// Keys of the identifiers that a body names, wherever an event has them. It may be no JSON, or cut off: what is looked for is a
/// member's name and its value, and what looks like an address.
fn named_in(workspace: &Workspace, body: &str) -> BTreeSet<u128> {
    static MEMBER: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r#""([A-Za-z_][\w-]*)"\s*:\s*(?:("(?:[^"\\]|\\.)*")|(\d{1,20}))"#).ok());
    static ADDRESS: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r#"[^\s"'<>()\[\],;:=\\]+@[^\s"'<>()\[\],;:=\\]+"#).ok());
    let mut keys = BTreeSet::new();
    let mut take = |namespace: &str, raw: &str| keys.extend(identifier_of(workspace, namespace, raw).map(|found| found.key()));
    for found in MEMBER.iter().flat_map(|members| members.captures_iter(body)).take(NAMES_MAX) {
        let field = found.get(1).map_or("", |field| field.as_str());
        let value = match (found.get(2), found.get(3)) {
            (Some(text), _) => serde_json::from_str(text.as_str()).unwrap_or_default(),
            (None, number) => number.map_or(String::new(), |number| number.as_str().to_owned()),
        };
        match field {
            "userId" => take("user_id", &value),
            "anonymousId" => take("anonymous_id", &value),
            "previousId" => ["user_id", "anonymous_id"].iter().for_each(|namespace| take(namespace, &value)),
            // Of an external id the namespace stands beside it.
            "id" => workspace.identifiers.iter().for_each(|rule| take(&rule.key, &value)),
            namespace => take(namespace, &value),
        }
    }
    for found in ADDRESS.iter().flat_map(|addresses| addresses.find_iter(body)).take(NAMES_MAX) {
        take("email", found.as_str());
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_what_is_no_event() {
        let workspace = Workspace::parse(
            "workspace: {key: shop, timezone: UTC}\nidentifiers:\n  user_id: {limit: 1}\n  email: {limit: 3, normalize: email}\n  phone: {limit: 3, normalize: e164}\n  card: {limit: 1}\n  anonymous_id: {limit: 9}\n",
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
        assert!(named("bea;bea@example.org;Lille").contains(&key("email", "bea@example.org")));
        assert!(named(r#"{"event":"Page Viewed","properties":{"title":"Shoes"}}"#).is_empty());
    }
}
