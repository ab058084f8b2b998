//! The connectors there are: those that come with Jumelle, and a team's own.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use rust_embed::RustEmbed;
use serde_json::{Map, Value};

use crate::connector::{Connector, Files};
use crate::problem::{Fault, Faults};

/// `connectors/` of the repository, in the binary.
#[derive(RustEmbed)]
#[folder = "../../connectors"]
struct Folders;

/// Connectors by key.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    connectors: BTreeMap<String, Arc<Connector>>,
    /// A team's own, as they were written.
    own: BTreeMap<String, Files>,
}

/// A connector that does not hold.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("connector {key}:\n{faults}")]
pub struct Broken {
    /// Its key.
    pub key: String,
    /// Why.
    pub faults: Faults,
}

/// The texts of the connectors that come with Jumelle, by key.
pub fn built_in_files() -> BTreeMap<String, Files> {
    let mut all: BTreeMap<String, Files> = BTreeMap::new();
    for path in Folders::iter() {
        let Some((key, name)) = path.split_once('/') else { continue };
        let Some(file) = Folders::get(&path) else { continue };
        let text = String::from_utf8_lossy(&file.data).into_owned();
        all.entry(key.to_owned()).or_default().insert(name.to_owned(), text);
    }
    all
}

impl Catalogue {
    /// Those that come with Jumelle. Read once per process.
    pub fn built_in() -> Catalogue {
        static READ: OnceLock<Catalogue> = OnceLock::new();
        READ.get_or_init(|| {
            let mut catalogue = Catalogue::default();
            for (key, files) in built_in_files() {
                // A test holds each of them to be whole (`tests/built_in.rs`).
                if let Ok(connector) = Connector::load(&key, &files) {
                    catalogue.connectors.insert(key, Arc::new(connector));
                }
            }
            catalogue
        })
        .clone()
    }

    /// Those that come with Jumelle and a team's own, which stand before those of the same key. `before`: what was there; a connector
    /// that is as it was stays the same one.
    pub fn with_own(folders: BTreeMap<String, Files>, before: &Catalogue) -> Result<Catalogue, Broken> {
        let mut catalogue = Catalogue::built_in();
        for (key, files) in &folders {
            let same = before.get(key).filter(|_| before.own.get(key) == Some(files));
            let connector = match same {
                Some(connector) => connector.clone(),
                None => Connector::load(key, files).map(Arc::new).map_err(|faults| Broken { key: key.clone(), faults })?,
            };
            catalogue.connectors.insert(key.clone(), connector);
        }
        catalogue.own = folders;
        Ok(catalogue)
    }

    /// By key.
    pub fn get(&self, key: &str) -> Option<&Arc<Connector>> {
        self.connectors.get(key)
    }

    /// All of them, by key.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Connector>> {
        self.connectors.values()
    }

    /// Whether a team wrote it.
    pub fn is_own(&self, key: &str) -> bool {
        self.own.contains_key(key)
    }

    /// What does not hold in a destination: its connector is known, and the settings are what the manifest says.
    pub fn check(&self, connector: &str, settings: &Map<String, Value>) -> Vec<Fault> {
        match self.get(connector) {
            Some(found) => crate::settings::check(&found.manifest, settings),
            None => {
                let known: Vec<&str> = self.connectors.keys().map(String::as_str).collect();
                let message = format!("{connector:?} is not a connector; there are webhook, {}", known.join(", "));
                vec![Fault::at("connector", message)]
            }
        }
    }
}
