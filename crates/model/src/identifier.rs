//! Identifiers: a namespace and a normalised value.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

/// One way to name a person. After this type is built, the value is normalised; nobody asks again.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Identifier {
    /// Key of `identifiers` in the workspace.
    pub namespace: String,
    /// Normalised value.
    pub value: String,
}

impl Identifier {
    /// Takes an already normalised value.
    pub fn new(namespace: impl Into<String>, value: impl Into<String>) -> Identifier {
        Identifier { namespace: namespace.into(), value: value.into() }
    }

    /// 128 bits that stand for it in tables and maps.
    pub fn key(&self) -> u128 {
        identifier_key(&self.namespace, &self.value)
    }
}

/// See [`Identifier::key`].
pub fn identifier_key(namespace: &str, value: &str) -> u128 {
    let mut bytes = Vec::with_capacity(namespace.len() + 1 + value.len());
    bytes.extend_from_slice(namespace.as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(value.as_bytes());
    xxh3_128(&bytes)
}

impl std::fmt::Display for Identifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.namespace, self.value)
    }
}
