//! What an `apply` would change.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::Workspace;

/// The changes between two sets of definitions.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Difference {
    /// In the order of the collections.
    pub changes: Vec<Change>,
}

/// One definition that is added, removed or changed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Change {
    /// `segments` …
    pub collection: String,
    /// Its key.
    pub key: String,
    /// `added`, `removed`, `changed` or `reordered`.
    pub kind: ChangeKind,
    /// Paths of what differs, for a changed one: `map.email`. Never values, which may be secrets.
    pub fields: Vec<String>,
}

/// What happened to a definition.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// Not there before.
    Added,
    /// Not there any more.
    Removed,
    /// Says something else.
    Changed,
    /// Same, at another place where the order means something (identifiers: trust).
    Reordered,
}

impl Difference {
    /// From one workspace to another.
    pub fn between(before: &Workspace, after: &Workspace) -> Difference {
        let read = |workspace: &Workspace| serde_json::from_str::<Value>(&workspace.to_text()).unwrap_or_default();
        let (old, new) = (read(before), read(after));
        let mut changes = Vec::new();
        let mut fields = Vec::new();
        differ("", &old["workspace"], &new["workspace"], &mut fields);
        if !fields.is_empty() {
            changes.push(Change {
                collection: "workspace".into(),
                key: after.settings.key.clone(),
                kind: ChangeKind::Changed,
                fields,
            });
        }
        let mut fields = Vec::new();
        differ("", &old["consent"]["strings"], &new["consent"]["strings"], &mut fields);
        if !fields.is_empty() {
            changes.push(Change { collection: "consent".into(), key: "strings".into(), kind: ChangeKind::Changed, fields });
        }
        let mut fields = Vec::new();
        differ("", &old["policy"], &new["policy"], &mut fields);
        if !fields.is_empty() {
            changes.push(Change {
                collection: "policy".into(),
                key: after.settings.key.clone(),
                kind: ChangeKind::Changed,
                fields,
            });
        }
        let mut fields = Vec::new();
        differ("", &old["preferences"], &new["preferences"], &mut fields);
        if !fields.is_empty() {
            let key = after.settings.key.clone();
            changes.push(Change { collection: "preferences".into(), key, kind: ChangeKind::Changed, fields });
        }
        for collection in ["sources", "identifiers", "purposes", "traits", "segments", "destinations", "activations"] {
            let empty = serde_json::Map::new();
            let old = old[collection].as_object().unwrap_or(&empty);
            let new = new[collection].as_object().unwrap_or(&empty);
            let mut change = |key: &String, kind, fields| {
                changes.push(Change { collection: collection.into(), key: key.clone(), kind, fields });
            };
            for (key, definition) in new {
                match old.get(key) {
                    None => change(key, ChangeKind::Added, Vec::new()),
                    Some(was) => {
                        let mut fields = Vec::new();
                        differ("", was, definition, &mut fields);
                        if !fields.is_empty() {
                            change(key, ChangeKind::Changed, fields);
                        }
                    }
                }
            }
            for key in old.keys().filter(|key| !new.contains_key(*key)) {
                change(key, ChangeKind::Removed, Vec::new());
            }
        }
        let order = |workspace: &Workspace| workspace.identifiers.iter().map(|rule| rule.key.clone()).collect::<Vec<_>>();
        let (was, is) = (order(before), order(after));
        if was != is && was.iter().all(|key| is.contains(key)) && is.len() == was.len() {
            let key = is.join(", ");
            changes.push(Change { collection: "identifiers".into(), key, kind: ChangeKind::Reordered, fields: Vec::new() });
        }
        Difference { changes }
    }
}

fn differ(path: &str, old: &Value, new: &Value, fields: &mut Vec<String>) {
    let join = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            for (key, value) in new {
                differ(&join(key), old.get(key).unwrap_or(&Value::Null), value, fields);
            }
            for key in old.keys().filter(|key| !new.contains_key(*key)) {
                fields.push(join(key));
            }
        }
        // Items of lists of one length are compared in place: `rule.all[1].within`.
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (n, (old, new)) in old.iter().zip(new).enumerate() {
                differ(&format!("{path}[{n}]"), old, new, fields);
            }
        }
        _ if old != new => fields.push(if path.is_empty() { "all of it".into() } else { path.to_owned() }),
        _ => {}
    }
}

/// A plan: `+ segment sneakers`, `~ activation mail: purpose, map.email`, `- source till`; `no change`.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.changes.is_empty() {
            return f.write_str("no change");
        }
        for (n, change) in self.changes.iter().enumerate() {
            if n > 0 {
                writeln!(f)?;
            }
            let sign = match change.kind {
                ChangeKind::Added => "+",
                ChangeKind::Removed => "-",
                ChangeKind::Changed | ChangeKind::Reordered => "~",
            };
            let singular = change.collection.strip_suffix('s').unwrap_or(&change.collection);
            write!(f, "{sign} {singular} {}", change.key)?;
            if change.kind == ChangeKind::Reordered {
                f.write_str(": new order of trust")?;
            } else if !change.fields.is_empty() {
                write!(f, ": {}", change.fields.join(", "))?;
            }
        }
        Ok(())
    }
}
