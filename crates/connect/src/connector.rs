//! A connector that holds: what the manifest says, ready to render.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use regex::Regex;
use serde_json::Value;

use crate::cases::Case;
use crate::check::parse_rate;
use crate::manifest::{Manifest, Missing, OpName, Then};
use crate::path::{Condition, Path};
use crate::settings::Settings;
use crate::template::{Line, Template};
use crate::wire::Wire;

/// A connector that holds.
#[derive(Debug)]
pub struct Connector {
    /// As written.
    pub manifest: Manifest,
    /// How to get the credentials.
    pub readme: String,
    /// SVG.
    pub icon: String,
    /// What it must send and understand.
    pub cases: Vec<(String, Case)>,
    pub(crate) ops: BTreeMap<OpName, Op>,
    pub(crate) require: Require,
    pub(crate) outcome: Vec<Rule>,
    pub(crate) test: Option<Request>,
    pub(crate) auth: AuthLines,
    pub(crate) group_by: Vec<Path>,
    /// Bytes of a body, at most.
    pub bytes_max: usize,
    /// How long a request waits for more people.
    pub linger: Duration,
    /// Requests in so much time.
    pub limit: Option<(u32, Duration)>,
    /// Whether what it sends carries the link that stops it.
    pub(crate) says_how_to_stop: bool,
}

/// Fields that a person needs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Require {
    /// None.
    Nothing,
    /// One of them.
    Any(Vec<String>),
    /// All of them.
    All(Vec<String>),
}

/// An operation, with what it is like worked in.
#[derive(Debug)]
pub(crate) struct Op {
    pub with: Value,
    pub lookup: Option<Lookup>,
    pub steps: Vec<Step>,
    pub none: Option<String>,
    pub rows: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Lookup {
    pub request: Request,
    pub value: Path,
    pub name: String,
    pub missing: Missing,
}

#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub request: Request,
    pub save: Vec<(String, Path)>,
    pub poll: Option<(Condition, Duration, u32)>,
    /// A field of the row, and whether it has to be there.
    pub when: Option<(String, bool)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub method: String,
    pub url: Line,
    pub headers: Vec<(String, Line)>,
    pub query: Vec<(String, Template)>,
    pub body: Option<Body>,
}

#[derive(Clone, Debug)]
pub(crate) enum Body {
    Json(Template),
    Form(Template),
    Csv(Vec<(String, Template)>),
    Lines(Template),
    Jsonl(Template),
    Xml(Template),
}

#[derive(Debug)]
pub(crate) struct Rule {
    pub when: Condition,
    pub then: Then,
    pub rows: Option<RowErrors>,
    pub message: Option<Path>,
}

#[derive(Debug)]
pub(crate) struct RowErrors {
    pub errors: Path,
    pub only: Option<(Path, Option<Value>)>,
    pub index: Option<Path>,
    /// The number of the first place.
    pub first: usize,
    pub index_regex: Option<Regex>,
    pub by_place: bool,
    pub key: Option<(Path, String)>,
    pub message: Option<Path>,
    pub retry: Vec<String>,
}

/// Texts with holes of the authentication, by name.
pub(crate) type AuthLines = BTreeMap<String, Line>;

/// The text files of a connector's folder, by name (`connector.yaml`, `cases/add.yaml`).
pub type Files = BTreeMap<String, String>;

impl Connector {
    /// Whether it says how to test the settings.
    pub fn has_test(&self) -> bool {
        self.test.is_some()
    }

    /// Requests in so much time: what a destination says, else what is known of the tool.
    pub fn limit_of(&self, settings: &Settings) -> Option<(u32, Duration)> {
        let said = self.manifest.rate.setting.as_deref().and_then(|name| settings.text(name)).and_then(parse_rate);
        said.or(self.limit)
    }

    /// Whether a destination of it has its tool's address among its settings, and travels by another wire than HTTP.
    pub fn is_native(&self) -> bool {
        self.manifest
            .settings
            .values()
            .any(|setting| setting.schemes.iter().any(|scheme| Wire::of_scheme(scheme) != Some(Wire::Http)))
    }

    /// Why an operation sends nothing, if so.
    pub fn sends_nothing(&self, op: OpName) -> Option<&str> {
        self.ops.get(&op)?.none.as_deref()
    }

    /// People of one request of an operation, at most.
    pub fn rows_max(&self, op: OpName) -> usize {
        self.ops.get(&op).map_or(1, |op| op.rows)
    }

    /// Fields of a `map` that the connector reads by name.
    pub fn reads(&self) -> BTreeSet<&str> {
        let fields = self.manifest.fields.iter();
        fields
            .flat_map(|(name, field)| [Some(field.from.as_deref().unwrap_or(name)), field.hashed_from.as_deref()])
            .flatten()
            .collect()
    }

    /// What is missing in an activation's `map`, as a sentence. `None`: nothing.
    pub fn missing_in(&self, map: &[&str]) -> Option<String> {
        let given = |name: &String| {
            let field = self.manifest.fields.get(name);
            let from = field.and_then(|field| field.from.as_deref()).unwrap_or(name);
            map.contains(&from) || field.and_then(|field| field.hashed_from.as_deref()).is_some_and(|from| map.contains(&from))
        };
        match &self.require {
            Require::Nothing => None,
            Require::Any(names) if names.iter().any(given) => None,
            Require::Any(names) => Some(format!("{} needs one of the fields {}", self.manifest.connector, names.join(", "))),
            Require::All(names) => {
                let missing: Vec<&str> = names.iter().filter(|name| !given(name)).map(String::as_str).collect();
                (!missing.is_empty()).then(|| format!("{} needs the fields {}", self.manifest.connector, missing.join(", ")))
            }
        }
    }
}
