//! Everybody counted once: who granted, who refused, who can be reached, and which grants are weak or grow old.
//!
//! What can be reached depends on the clock and on the policy as well as on choices, so no counter that events move stays right;
//! a census asks the gate about each person. It reads the tables like an export does, off the fold's thread. Per person it costs
//! one decoding and, per purpose × channel × address, one question to the gate. Whoever shows it keeps
//! the outcome and does not count anew for each look (`crates/server/src/oversight.rs`).

use std::collections::{BTreeMap, BTreeSet};

use jumelle_consent::{Asked, Circumstances, OkOrSoon, Party, Standing, decide};
use jumelle_model::consent::{Channel, ConsentState};
use jumelle_model::ids::ProfileId;
use jumelle_model::time::{Span, Timestamp};
use jumelle_model::workspace::policy::Case;
use jumelle_model::workspace::{Purpose, Workspace};
use jumelle_profile::Person;
use jumelle_segment::{Facts, Plan};
use jumelle_store::Result;
use serde::{Deserialize, Serialize};

use crate::retention::Clocks;
use crate::shared::Shared;
use crate::tools::there;

/// Grants that end within this are told apart.
pub const EXPIRING_SOON: Span = Span(30 * DAY);
/// Grants that are older than this are told apart, whether they end or not.
pub const OLD_AFTER: Span = Span(365 * DAY);
const DAY: i64 = 24 * 60 * 60 * 1_000_000;
/// People looked at for one page of those whose grant has an age.
const AGED_LOOKED_AT_MAX: usize = 20_000;
/// Different purpose × channel × source, at most; more go into none.
const STATES_MAX: usize = 10_000;

/// What a census found.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Census {
    /// The instant that it asks about.
    pub at: Timestamp,
    /// People looked at.
    pub people: u64,
    /// Who reported the choice that counts.
    pub states: Vec<CensusState>,
    /// Who can be reached, and how long that lasts.
    pub reach: Vec<CensusReach>,
    /// People whom a tool has, or will have when what waits arrives, by destination.
    pub inside: BTreeMap<String, u64>,
    /// Clocks of people who do nothing; `None`: there are none.
    pub clocks: Option<Clocks>,
}

/// People whose choice a source reported.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct CensusState {
    /// Purpose key.
    pub purpose: String,
    /// `None`: the purpose as a whole, where no channel is used.
    pub channel: Option<Channel>,
    /// Source key.
    pub source: String,
    /// Yes, at one address at least.
    pub granted: u64,
    /// No, and yes nowhere.
    pub denied: u64,
    /// Of the granted, those of undated imports.
    pub weak: u64,
}

/// One purpose × channel. Each person is counted once, whatever addresses she has.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct CensusReach {
    /// Purpose key.
    pub purpose: String,
    /// `None`: the purpose as a whole, where no channel is used.
    pub channel: Option<Channel>,
    /// Yes, at one address at least.
    pub granted: u64,
    /// No, and yes nowhere.
    pub denied: u64,
    /// No choice.
    pub unknown: u64,
    /// The gate would let a message through now, or at some hour, to an address that she has.
    pub reachable: u64,
    /// Granted by an undated import.
    pub weak: u64,
    /// Granted, and too old to count.
    pub expired: u64,
    /// Granted for a text that has been replaced.
    pub old_text: u64,
    /// Granted, and ends within [`EXPIRING_SOON`].
    pub expiring: u64,
    /// Granted longer ago than [`OLD_AFTER`].
    pub old: u64,
}

/// How a grant grows old, or is weak from the start. One grant may be several of these.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Age {
    /// Granted by an undated import.
    Weak,
    /// Granted for a text that has been replaced.
    OldText,
    /// Too old to count.
    Expired,
    /// Ends within [`EXPIRING_SOON`].
    Expiring,
    /// Granted longer ago than [`OLD_AFTER`].
    Old,
}

/// Somebody whose grant is weak or grows old.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Aged {
    /// Who.
    pub profile: ProfileId,
    /// A name that she goes by, `email:ana@example.org`.
    pub identifier: Option<String>,
    /// When she granted.
    pub since: Timestamp,
    /// Who reported it.
    pub source: String,
    /// When it ends, or ended.
    pub expires_at: Option<Timestamp>,
}

type Pair = (String, Option<Channel>);

/// How one person stands with one purpose × channel.
struct Stand {
    /// The choice that counts; `None`: no choice.
    standing: Option<Standing>,
    is_open: bool,
    ends: Option<Timestamp>,
    ages: Vec<Age>,
}

struct Count<'a> {
    workspace: &'a Workspace,
    plan: &'a Plan,
    at: Timestamp,
    reach: BTreeMap<Pair, CensusReach>,
    states: BTreeMap<(Pair, String), CensusState>,
    /// Where an activation sends, a purpose declares, or somebody chose: other pairs are not shown.
    used: BTreeSet<Pair>,
    inside: BTreeMap<String, u64>,
    clocks: Option<Clocks>,
}

impl Shared {
    /// Counts everyone. Blocks for as long as it takes; who first came within the last second may be missing.
    pub fn census(&self) -> Result<Census> {
        let definitions = self.definitions();
        let mut count = Count::new(&definitions.workspace, &definitions.plan, self.now());
        let mut people = 0;
        self.each_person(|person| {
            people += 1;
            if let Some(clocks) = &mut count.clocks {
                clocks.count(count.workspace, count.plan, person, count.at);
            }
            count.person(person);
        })?;
        Ok(count.finish(people))
    }
}

impl Shared {
    /// People whose grant for a purpose × channel has an age, by profile id, and where the next page begins. A page looks at
    /// [`AGED_LOOKED_AT_MAX`] people at most, so it may hold fewer than asked, or nobody, and there is a next one all the same.
    pub fn aged(
        &self,
        purpose: &Purpose,
        channel: Option<Channel>,
        age: Age,
        after: Option<ProfileId>,
        limit: usize,
    ) -> Result<(Vec<Aged>, Option<ProfileId>)> {
        let definitions = self.definitions();
        let (mut found, mut last) = (Vec::new(), None);
        let whole = self.people_after(after, AGED_LOOKED_AT_MAX, |person| {
            let stand = Her::of(person, &definitions.workspace, &definitions.plan, self.now()).stand(purpose, channel);
            if let Some(standing) = stand.standing.filter(|_| stand.ages.contains(&age)) {
                let named = |namespace: &&str| person.known.identifiers.keys().find(|known| known.namespace == **namespace);
                let name = ["email", "phone", "user_id"].iter().find_map(named).or(person.known.identifiers.keys().next());
                found.push(Aged {
                    profile: person.id,
                    identifier: name.map(|name| format!("{}:{}", name.namespace, name.value)),
                    since: standing.since,
                    source: standing.source.to_string(),
                    expires_at: stand.ends,
                });
            }
            last = Some(person.id);
            found.len() < limit
        })?;
        Ok((found, last.filter(|_| !whole)))
    }
}

impl<'a> Count<'a> {
    fn new(workspace: &'a Workspace, plan: &'a Plan, at: Timestamp) -> Count<'a> {
        let activated = workspace.activations.iter().map(|activation| (activation.purpose.clone(), Some(activation.channel)));
        let declared = workspace
            .purposes
            .iter()
            .flat_map(|purpose| purpose.terms.channels.iter().map(|channel| (purpose.key.clone(), Some(*channel))));
        let used = activated.chain(declared).collect();
        let inside = workspace.destinations.iter().map(|destination| (destination.key.clone(), 0)).collect();
        let has_clocks = workspace.policy.prospects.is_some() || workspace.has_retention();
        let clocks = has_clocks.then(Clocks::default);
        let pairs = workspace.purposes.iter().flat_map(|purpose| {
            let channels = match purpose.terms.channels.is_empty() {
                true => workspace.channels(),
                false => purpose.terms.channels.clone(),
            };
            let channels = channels.into_iter().map(Some).chain([None]);
            channels.map(|channel| {
                let reach = CensusReach { purpose: purpose.key.clone(), channel, ..CensusReach::default() };
                ((purpose.key.clone(), channel), reach)
            })
        });
        Count { workspace, plan, at, reach: pairs.collect(), states: BTreeMap::new(), used, inside, clocks }
    }

    fn person(&mut self, person: &Person) {
        let activations = self.workspace.activations.iter();
        let tools: BTreeSet<&str> = activations
            .filter(|activation| person.activations.get(&activation.key).and_then(there).is_some())
            .map(|activation| activation.destination.as_str())
            .collect();
        for tool in tools {
            *self.inside.entry(tool.to_owned()).or_default() += 1;
        }
        let her = Her::of(person, self.workspace, self.plan, self.at);
        for ((key, channel), reach) in &mut self.reach {
            let Some(purpose) = self.workspace.purpose(key) else { continue };
            let Stand { standing, is_open, ages, .. } = her.stand(purpose, *channel);
            reach.reachable += u64::from(is_open);
            let Some(standing) = standing else {
                reach.unknown += 1;
                continue;
            };
            if channel.is_some() && standing.channel == *channel {
                self.used.insert((key.clone(), *channel));
            }
            let is_granted = standing.state == ConsentState::Granted;
            match is_granted {
                true => reach.granted += 1,
                false => reach.denied += 1,
            }
            for age in ages {
                *match age {
                    Age::Weak => &mut reach.weak,
                    Age::OldText => &mut reach.old_text,
                    Age::Expired => &mut reach.expired,
                    Age::Expiring => &mut reach.expiring,
                    Age::Old => &mut reach.old,
                } += 1;
            }
            let of_source = ((key.clone(), *channel), standing.source.to_string());
            if self.states.len() >= STATES_MAX && !self.states.contains_key(&of_source) {
                continue;
            }
            let state = self.states.entry(of_source).or_default();
            state.granted += u64::from(is_granted);
            state.denied += u64::from(!is_granted);
            state.weak += u64::from(is_granted && standing.weak);
        }
    }

    fn finish(self, people: u64) -> Census {
        let shown = |pair: &Pair, has_choices: bool| match pair.1 {
            Some(_) => self.used.contains(pair),
            // As a whole: where somebody chose and no channel is used.
            None => has_choices && !self.used.iter().any(|(purpose, _)| *purpose == pair.0),
        };
        let reach: Vec<CensusReach> = self
            .reach
            .iter()
            .filter(|(pair, reach)| shown(pair, reach.granted + reach.denied > 0))
            .map(|(_, reach)| reach.clone())
            .collect();
        let states = self.states.iter().filter(|((pair, _), _)| shown(pair, true));
        let states = states.map(|(((purpose, channel), source), state)| CensusState {
            purpose: purpose.clone(),
            channel: *channel,
            source: source.clone(),
            ..state.clone()
        });
        Census { at: self.at, people, states: states.collect(), reach, inside: self.inside, clocks: self.clocks }
    }
}

/// One person as a census looks at her.
struct Her<'a> {
    person: &'a Person,
    workspace: &'a Workspace,
    plan: &'a Plan,
    at: Timestamp,
    circumstances: Circumstances,
    addresses: BTreeMap<&'a str, Vec<(String, String)>>,
}

impl<'a> Her<'a> {
    fn of(person: &'a Person, workspace: &'a Workspace, plan: &'a Plan, at: Timestamp) -> Her<'a> {
        let (circumstances, _) = person.circumstances(workspace, plan, at);
        let mut addresses: BTreeMap<&str, Vec<(String, String)>> = BTreeMap::new();
        for identifier in person.known.identifiers.keys() {
            let named = (identifier.namespace.clone(), identifier.value.clone());
            addresses.entry(identifier.namespace.as_str()).or_default().push(named);
        }
        Her { person, workspace, plan, at, circumstances, addresses }
    }

    fn stand(&self, purpose: &Purpose, channel: Option<Channel>) -> Stand {
        let (key, choices) = (purpose.key.as_str(), &self.person.known.choices);
        let party = Party { choices, circumstances: &self.circumstances, contacts: &[] };
        let of_channel = channel.and_then(Channel::address_namespace);
        let hers = of_channel.and_then(|namespace| self.addresses.get(namespace)).map(Vec::as_slice).unwrap_or_default();
        // Without an address of the channel her own choice is what there is; it reaches her only where none is needed.
        let asked: Vec<Option<&(String, String)>> = if hers.is_empty() { vec![None] } else { hers.iter().map(Some).collect() };
        let mut counts: Option<Standing> = None;
        let mut is_open = false;
        for address in asked {
            let standing = match channel {
                Some(channel) => choices.counting(purpose, channel, address, self.at, false),
                None => choices.standing(key, None, address, self.at),
            };
            if let Some(standing) = standing
                && counts.as_ref().is_none_or(|best| rank(best) < rank(&standing))
            {
                counts = Some(standing);
            }
            if let Some(channel) = channel
                && (of_channel.is_none() || address.is_some())
            {
                let asked = Asked { purpose: key, channel, address, destination: None };
                is_open |= decide(self.workspace, asked, party, self.at).outcome.is_ok_or_soon();
            }
        }
        if channel.is_none() {
            is_open = self.person.facts(self.workspace, self.plan).consent_open(key, None, self.at);
        }
        let granted = counts.as_ref().filter(|standing| standing.state == ConsentState::Granted);
        let ends = granted.and_then(|standing| self.ends(purpose, channel, standing));
        let ages = granted.map_or_else(Vec::new, |standing| self.ages(purpose, standing, ends));
        Stand { standing: counts, is_open, ends, ages }
    }

    fn ends(&self, purpose: &Purpose, channel: Option<Channel>, standing: &Standing) -> Option<Timestamp> {
        let country = self.circumstances.country.as_deref().unwrap_or(&self.workspace.settings.country);
        let business = self.circumstances.business;
        let case = channel.map(|channel| Case { purpose, channel, country, business, at: self.at });
        let expires_after = match case {
            Some(case) => self.workspace.policy.expires_after(case),
            None => purpose.terms.expires_after,
        };
        expires_after.map(|span| Timestamp(standing.since.0.saturating_add(span.0)))
    }

    fn ages(&self, purpose: &Purpose, standing: &Standing, ends: Option<Timestamp>) -> Vec<Age> {
        let ending = if !purpose.takes_version(|| standing.text_version()) {
            Some(Age::OldText)
        } else if ends.is_some_and(|ends| ends <= self.at) {
            Some(Age::Expired)
        } else if ends.is_some_and(|ends| ends.0 <= self.at.0.saturating_add(EXPIRING_SOON.0)) {
            Some(Age::Expiring)
        } else {
            None
        };
        let old = (self.at.0.saturating_sub(standing.since.0) > OLD_AFTER.0).then_some(Age::Old);
        let weak = standing.weak.then_some(Age::Weak);
        ending.into_iter().chain(old).chain(weak).collect()
    }
}

/// Of her addresses the one that is open counts; of those the one that was granted last.
fn rank(standing: &Standing) -> (bool, bool, Timestamp) {
    (standing.state == ConsentState::Granted, !standing.weak, standing.since)
}
