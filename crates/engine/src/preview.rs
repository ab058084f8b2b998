//! Who would be in a segment at an instant: the set-based evaluator over the history.
//!
//! It reads every event once, gathers each person's events up to the instant, and evaluates the rule over them with
//! `jumelle_segment::Question`, which shares nothing with the incremental evaluator but the meaning of a comparison.

use std::collections::HashMap;

use jumelle_identify::evidence;
use jumelle_model::consent::Channel;
use jumelle_model::event::Scalar;
use jumelle_model::ids::{Position, ProfileId};
use jumelle_model::rule::Rule;
use jumelle_model::time::Timestamp;
use jumelle_model::{Event, Workspace};
use jumelle_profile::Person;
use jumelle_segment::{Facts, Plan, Question, States};
use jumelle_store::{Block, Entry, Result};

use crate::fold::read_entry;
use crate::shared::Shared;

/// Ids given as a sample.
pub const SAMPLE_MAX: usize = 20;

/// Who a rule takes in.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Preview {
    /// Instant of the evaluation.
    pub at: Timestamp,
    /// How many people.
    pub count: u64,
    /// Of how many with an event up to then.
    pub people: u64,
    /// A few of them.
    pub sample: Vec<ProfileId>,
}

/// Facts other than events: traits and consents as they are known now, restricted to what was known at the instant.
struct AsOf<'a> {
    plan: &'a Plan,
    person: Option<&'a Person>,
    workspace: &'a Workspace,
    at: Timestamp,
    states: States,
}

impl Facts for AsOf<'_> {
    fn trait_value(&self, path: &str) -> Option<Scalar> {
        let key = path.split('.').next().unwrap_or(path);
        let person = self.person?;
        person.known.traits.get(key).filter(|value| value.stamp.time <= self.at)?;
        person.known.trait_scalar(path)
    }

    fn trait_exists(&self, path: &str) -> bool {
        self.trait_value(path).is_some() || self.person.is_some_and(|person| person.known.trait_exists(path))
    }

    fn consent_open(&self, purpose: &str, channel: Option<Channel>, at: Timestamp) -> bool {
        self.person.is_some_and(|person| person.facts(self.workspace, self.plan).consent_open(purpose, channel, at))
    }

    fn collected(&self) -> Option<Timestamp> {
        self.person.and_then(|person| person.known.collected())
    }

    fn states(&self) -> &States {
        &self.states
    }
}

/// Evaluates `rule` for everyone at `at`. Holds the events up to `at` in memory: for millions of events, until the lake is there.
pub fn preview(shared: &Shared, rule: &Rule, at: Timestamp) -> Result<Preview> {
    let definitions = shared.definitions();
    let end = shared.position();
    let blocks: Vec<Block> = {
        let mut blocks = Vec::new();
        for block in shared.history.blocks(Position(0)) {
            let block = block?;
            if block.first >= end {
                break;
            }
            blocks.push(block);
        }
        blocks
    };
    let mut then = definitions.workspace.clone();
    let mut of_person: HashMap<ProfileId, Vec<Event<'_>>> = HashMap::new();
    for block in &blocks {
        for entry in block.records() {
            let (position, record) = entry?;
            if position >= end {
                break;
            }
            match record.entry {
                Entry::Apply { text } | Entry::AppliedBy { text, .. } => {
                    if let Ok(workspace) = Workspace::parse(text) {
                        then = workspace;
                    }
                }
                Entry::Event(stored) => {
                    if stored.time > at {
                        continue;
                    }
                    let Some(event) = read_entry(&definitions.workspace, &stored, record.received) else { continue };
                    let evidence = evidence(&then, &event);
                    let Some(first) = evidence.identifiers.first() else { continue };
                    if let Some(owner) = shared.people.owner_beside(first)? {
                        of_person.entry(owner).or_default().push(event);
                    }
                }
                _ => {}
            }
        }
    }
    let people = of_person.len() as u64;
    let question = Question::new(rule, &definitions.workspace);
    let mut members = Vec::new();
    for (id, events) in of_person {
        let person = shared.people.get(id)?;
        let facts = AsOf {
            plan: &definitions.plan,
            person: person.as_deref(),
            workspace: &definitions.workspace,
            at,
            states: States::default(),
        };
        if question.holds(&events, &facts, at) {
            members.push(id);
        }
    }
    members.sort_unstable();
    let count = members.len() as u64;
    members.truncate(SAMPLE_MAX);
    Ok(Preview { at, count, people, sample: members })
}
