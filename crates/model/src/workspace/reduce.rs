//! `reduce:` of a source: what is left of events whose purpose is refused, before anything of them is stored.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Basis, Purpose, Workspace};
use crate::consent::Channel;
use crate::event::EventKind;
use crate::outcome::OPENINGS;
use crate::rule::Rule;

/// One rule. Of a source's rules the first that holds decides.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Reduce {
    /// Key of the purpose that the events are collected for.
    pub purpose: String,
    /// The channel whose choice counts. None: those that reach a device; a refusal of one of them is one.
    pub channel: Option<Channel>,
    /// What is left.
    pub to: Reduction,
    /// Which choice makes it hold. Default: a refusal.
    pub when: ReduceWhen,
    /// Names of events, or kinds of calls without a name (`identify`). Empty: all.
    pub events: Vec<String>,
    /// Those that it does not speak of.
    pub except: Vec<String>,
}

/// What is left of an event.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reduction {
    /// Nothing; the process counts how many.
    Dropped,
    /// One more of its name on its day.
    Counted,
    /// Besides, an event of nobody: its hour, and of its properties those that describe wares and pages.
    Anonymous,
}

/// Which choice makes a rule hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReduceWhen {
    /// A refusal or an objection; silence is none.
    #[default]
    Refused,
    /// Anything but a grant that counts.
    NotGranted,
}

/// How a choice stands when an event arrives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stands {
    /// Yes.
    Granted,
    /// No.
    Denied,
    /// Nothing was chosen, or it no longer counts.
    Unknown,
}

impl Reduction {
    /// With the names in a definition.
    pub const NAMES: [(&'static str, Reduction); 3] =
        [("dropped", Reduction::Dropped), ("anonymous", Reduction::Anonymous), ("counted", Reduction::Counted)];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        super::file::named(&Reduction::NAMES, self)
    }
}

impl ReduceWhen {
    /// With the names in a definition.
    pub const NAMES: [(&'static str, ReduceWhen); 2] =
        [("refused", ReduceWhen::Refused), ("not_granted", ReduceWhen::NotGranted)];

    /// Whether a choice that stands so makes a rule hold.
    pub fn holds(self, stands: Stands) -> bool {
        match self {
            ReduceWhen::Refused => stands == Stands::Denied,
            ReduceWhen::NotGranted => stands != Stands::Granted,
        }
    }
}

impl Reduce {
    /// Whether it speaks of a call. `name`: as rules know it (`Page Viewed`); of a call without one, its kind counts.
    pub fn speaks_of(&self, kind: EventKind, name: &str) -> bool {
        let called = if name.is_empty() { kind.as_str() } else { name };
        let is_in = |names: &[String]| names.iter().any(|one| one == called);
        (self.events.is_empty() || is_in(&self.events)) && !is_in(&self.except)
    }

    /// The channels whose choice counts.
    pub fn channels(&self, workspace: &Workspace, purpose: &Purpose) -> Vec<Channel> {
        if let Some(channel) = self.channel {
            return vec![channel];
        }
        let reaches_device = |channel: &Channel| channel.address_namespace() == Some("anonymous_id");
        let declared: Vec<Channel> = purpose.terms.channels.iter().copied().filter(reaches_device).collect();
        match declared.is_empty() {
            true => workspace.channels().into_iter().filter(reaches_device).collect(),
            false => declared,
        }
    }

    pub(super) fn to_json(&self) -> Value {
        let mut json = Map::from_iter([
            ("purpose".to_owned(), json!(self.purpose)),
            ("to".to_owned(), json!(self.to)),
            ("when".to_owned(), json!(self.when)),
        ]);
        if let Some(channel) = self.channel {
            json.insert("channel".into(), json!(channel));
        }
        for (key, names) in [("events", &self.events), ("except", &self.except)] {
            if !names.is_empty() {
                json.insert(key.into(), json!(names));
            }
        }
        Value::Object(json)
    }
}

impl Purpose {
    /// Whether silence may be taken for a no: only what rests on consent can be granted.
    pub(super) fn can_be_granted(&self) -> bool {
        matches!(self.basis, Basis::Consent | Basis::SoftOptIn)
    }
}

impl Workspace {
    /// Whether the definitions speak of an event by this name: it is a word of the house, not of a person.
    pub fn names_event(&self, name: &str) -> bool {
        let in_reduce = |rule: &Reduce| rule.events.iter().chain(&rule.except).any(|known| known == name);
        self.sources.iter().any(|source| source.reduce.iter().any(in_reduce))
            || OPENINGS.iter().any(|(known, _)| *known == name)
            || self.traits.iter().any(|computed| computed.query.event == name)
            || self.segments.iter().any(|segment| in_rule(&segment.rule, name))
    }
}

fn in_rule(rule: &Rule, name: &str) -> bool {
    match rule {
        Rule::All(rules) | Rule::Any(rules) => rules.iter().any(|rule| in_rule(rule, name)),
        Rule::Not(rule) => in_rule(rule, name),
        Rule::Did(did) => did.query.event == name,
        Rule::Trait { .. } | Rule::Computed { .. } | Rule::Consent { .. } | Rule::Prospect(_) | Rule::RetentionOver { .. } => {
            false
        }
    }
}
