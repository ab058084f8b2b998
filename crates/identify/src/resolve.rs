//! The decision: join, attach, or refuse.

use std::collections::BTreeMap;
use std::fmt;

use jumelle_model::Workspace;
use jumelle_model::identifier::Identifier;
use jumelle_model::ids::ProfileId;
use jumelle_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::evidence::Evidence;
use crate::normalize::normalize;

/// The identity graph so far.
pub trait Graph {
    /// The person an identifier belongs to.
    fn owner(&self, identifier: &Identifier) -> Option<ProfileId>;
    /// How many different values a person has, by namespace.
    fn counts(&self, person: ProfileId) -> BTreeMap<String, u32>;
}

/// What one event's evidence comes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resolution {
    /// Whose event it is: the owner of its most trusted identifier, after the joins.
    pub person: ProfileId,
    /// She was not known before.
    pub created: bool,
    /// People who turn out to be her; their ids answer with hers from now on.
    pub absorbed: Vec<ProfileId>,
    /// Identifiers that become hers.
    pub attached: Vec<Identifier>,
    /// Identifiers of the event that are hers, new or not.
    pub seen: Vec<Identifier>,
    /// What was not joined, and why.
    pub refusals: Vec<Refusal>,
}

/// A join that would have broken a limit.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Refusal {
    /// When the evidence arrived.
    pub at: Timestamp,
    /// The identifier that would have joined.
    pub identifier: Identifier,
    /// Whose it is, if anyone's.
    pub other: Option<ProfileId>,
    /// The namespace whose limit it would have broken.
    pub namespace: String,
    /// That limit; [`Refusal::APART`]: no limit, they were taken apart.
    pub limit: u32,
}

impl Refusal {
    /// In the place of a limit, where a split keeps two people apart. No workspace sets such a limit.
    pub const APART: u32 = 0;
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Refusal { at, identifier, other, namespace, limit } = self;
        match other {
            Some(other) if *limit == Refusal::APART => {
                write!(f, "{at}: not joined with {other} by {}: they were taken apart", identifier.namespace)
            }
            Some(other) => write!(
                f,
                "{at}: not joined with {other} by {}: one person may have {limit} {namespace} at most",
                identifier.namespace
            ),
            None => {
                write!(f, "{at}: another {} was not taken: one person may have {limit} {namespace} at most", identifier.namespace)
            }
        }
    }
}

/// Takes identifiers in the order of trust. The first one decides whose event it is; each next one is joined unless a limit of
/// any namespace would be broken. `None` if nothing in the evidence names a person.
pub fn resolve(
    workspace: &Workspace,
    graph: &dyn Graph,
    evidence: &Evidence,
    received: Timestamp,
    message_id: &str,
) -> Option<Resolution> {
    let mut people: Vec<ProfileId> = Vec::new();
    // What is found so far, counted when there is something to count it against.
    let mut counts: Option<BTreeMap<String, u32>> = None;
    let mut attached: Vec<Identifier> = Vec::new();
    let mut seen: Vec<Identifier> = Vec::new();
    let mut refusals: Vec<Refusal> = Vec::new();

    let previous = evidence.previous.as_deref().and_then(|raw| previous_identifier(workspace, graph, raw));
    let counted = |owner: Option<ProfileId>, identifier: &Identifier| match owner {
        Some(owner) => graph.counts(owner),
        None => BTreeMap::from([(identifier.namespace.clone(), 1)]),
    };
    for identifier in evidence.identifiers.iter().chain(&previous) {
        if seen.contains(identifier) {
            continue;
        }
        let owner = graph.owner(identifier);
        if owner.is_some_and(|owner| people.contains(&owner)) {
            seen.push(identifier.clone());
            continue;
        }
        if let Some(first) = seen.first() {
            let counts = counts.get_or_insert_with(|| counted(people.first().copied(), first));
            let more = counted(owner, identifier);
            if let Some((namespace, limit)) = broken_limit(workspace, counts, &more) {
                refusals.push(Refusal { at: received, identifier: identifier.clone(), other: owner, namespace, limit });
                continue;
            }
            for (namespace, number) in more {
                *counts.entry(namespace).or_default() += number;
            }
        }
        seen.push(identifier.clone());
        match owner {
            Some(owner) => people.push(owner),
            None => attached.push(identifier.clone()),
        }
    }
    if seen.is_empty() {
        return None;
    }
    let created = people.is_empty();
    let person = match people.iter().min() {
        Some(&oldest) => oldest,
        None => ProfileId::of_first_evidence(received, message_id),
    };
    people.retain(|&other| other != person);
    Some(Resolution { person, created, absorbed: people, attached, seen, refusals })
}

fn previous_identifier(workspace: &Workspace, graph: &dyn Graph, raw: &str) -> Option<Identifier> {
    let candidate = |namespace: &str| {
        let (_, rule) = workspace.namespace(namespace)?;
        normalize(rule, &workspace.settings.country, raw).ok().map(|value| Identifier::new(namespace, value))
    };
    let as_user = candidate("user_id").filter(|identifier| graph.owner(identifier).is_some());
    as_user.or_else(|| candidate("anonymous_id"))
}

fn broken_limit(workspace: &Workspace, counts: &BTreeMap<String, u32>, more: &BTreeMap<String, u32>) -> Option<(String, u32)> {
    more.iter().find_map(|(namespace, number)| {
        let (_, rule) = workspace.namespace(namespace)?;
        let together = counts.get(namespace).copied().unwrap_or(0) + number;
        (together > rule.limit).then(|| (namespace.clone(), rule.limit))
    })
}
