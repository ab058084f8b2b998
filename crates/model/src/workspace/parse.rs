//! `workspace.yaml` → [`Workspace`]: all problems at once, each with line, column, path, and what would be right.

mod definition;
mod file;
mod policy;
mod preferences;
mod reader;
mod reduce;
mod rule;
mod set_aside;
mod settings;
mod signals;
mod take_back;

use std::fmt;

use serde::Serialize;

use super::node::{Node, get, read};
use super::policy::Policy;
use super::policy::prospects::{BUILT_IN, label};
use super::policy::retention;
use super::*;
pub(super) use definition::SECRET_SHOWN;
use reader::Reader;

/// Problems reported at once, at most.
pub const PROBLEMS_MAX: usize = 100;

/// One thing that does not hold.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Problem {
    /// From 1; 0 where it is not in the text given, but in a definition that stands beside it ([`Workspace::replace`]).
    pub line: usize,
    /// From 1, in characters; 0 like `line`.
    pub column: usize,
    /// `segments.sneakers.rule.all[1].within`
    pub path: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// Everything that does not hold, in the order of the text.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Problems(pub Vec<Problem>);

/// `12:15: segments.sneakers.rule.all[1].within: "14 days" is not a duration; write 14d`. Who knows the file's name puts it
/// before.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "{}:{}: ", self.line, self.column)?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.0.iter().enumerate() {
            if n > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl Workspace {
    /// Nothing defined but the default namespaces: what a fresh directory starts with.
    pub fn empty() -> Workspace {
        Workspace {
            settings: settings::by_default(),
            sources: Vec::new(),
            identifiers: definition::default_identifiers(),
            purposes: Vec::new(),
            strings: Strings::default(),
            policy: Default::default(),
            preferences: Default::default(),
            traits: Vec::new(),
            segments: Vec::new(),
            destinations: Vec::new(),
            activations: Vec::new(),
            written: Default::default(),
        }
    }

    /// Reads and validates a whole `workspace.yaml` (or the same as JSON), at most 1 MiB and 64 levels deep. Reports up to
    /// 100 problems at once; a text that is not YAML at all is one problem.
    pub fn parse(text: &str) -> Result<Workspace, Problems> {
        let (root, problems) = read(text)?;
        Workspace::from_node(&root, problems)
    }

    /// Validates a tree. `problems` are those that its text has shown already.
    pub(super) fn from_node(root: &Node, problems: Vec<Problem>) -> Result<Workspace, Problems> {
        let mut reader = Reader::new(problems);
        let found = workspace(&mut reader, root);
        match (found, reader.finish()) {
            (Some(workspace), problems) if problems.0.is_empty() => Ok(workspace),
            (_, problems) => Err(problems),
        }
    }
}

fn workspace(reader: &mut Reader, root: &Node) -> Option<Workspace> {
    let entries = reader.map(root, "")?;
    let sections = [
        "workspace",
        "sources",
        "identifiers",
        "purposes",
        "policy",
        "consent",
        "preferences",
        "traits",
        "segments",
        "destinations",
        "activations",
    ];
    reader.only(entries, "", &sections);
    // Keys as written, so that a wrong definition does not make those that name it look wrong as well.
    let known = definition::Known::of(entries);
    let mut found = Workspace::empty();
    let declared = get(entries, "policy").map(|node| policy::declared_channels(reader, node)).unwrap_or_default();
    reader.declared = declared.iter().map(|declared| declared.channel).collect();
    if let Some(node) = get(entries, "workspace") {
        found.settings = settings::settings(reader, node);
    }
    if let Some(node) = get(entries, "sources") {
        found.sources = definition::sources(reader, &known, node);
    }
    if let Some(node) = get(entries, "identifiers") {
        found.identifiers = reader.each(node, "identifiers", definition::namespace);
        if known.namespaces.is_empty() {
            reader.at(node, "identifiers", "a workspace has one namespace at least; leave identifiers out for the usual four");
        }
    }
    if let Some(node) = get(entries, "purposes") {
        found.purposes =
            reader.each(node, "purposes", |reader, key, node, path| definition::purpose(reader, &known, key, node, path));
    }
    if let Some(node) = get(entries, "sources") {
        reduce::sources(reader, &found, node);
    }
    if let Some(node) = get(entries, "policy") {
        found.policy = Policy { channels: declared, ..policy::policy(reader, &known, node) };
    }
    if let Some(node) = get(entries, "consent") {
        found.strings = signals::consent(reader, &known, entries, node);
    }
    if let Some(node) = get(entries, "preferences") {
        found.preferences = preferences::preferences(reader, node);
    }
    if let Some(node) = get(entries, "traits") {
        found.traits = reader.each(node, "traits", definition::computed_trait);
    }
    if let Some(node) = get(entries, "segments") {
        let mut rules = rule::Rules::new(node, &known);
        found.segments =
            reader.each(node, "segments", |reader, key, node, path| definition::segment(reader, &mut rules, key, node, path));
        found.written = rules.written();
    }
    if found.policy.prospects.is_some() {
        for (key, state) in BUILT_IN {
            found.segments.push(Segment { key: key.into(), label: label(state), rule: Rule::Prospect(state) });
        }
    }
    if found.policy.retention.is_some() {
        let rule = retention::over(found.purposes.iter().map(|purpose| purpose.key.as_str()));
        found.segments.push(Segment { key: retention::RETENTION_OVER.into(), label: retention::label(), rule });
    }
    if let Some(node) = get(entries, "destinations") {
        found.destinations = reader.each(node, "destinations", definition::destination);
    }
    if let Some(node) = get(entries, "activations") {
        found.activations =
            reader.each(node, "activations", |reader, key, node, path| definition::activation(reader, &known, key, node, path));
        policy::activations(reader, &found, node);
    }
    if let Some(node) = get(entries, "destinations") {
        policy::destinations(reader, &found, node);
        take_back::destinations(reader, &found, node);
        file::files(reader, &found, node);
    }
    Some(found)
}
