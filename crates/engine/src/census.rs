//! Everybody counted once: who granted, who refused, who can be reached, and which grants are weak or grow old.
//!
//! What can be reached depends on the clock and on the policy as well as on choices, so no counter that events move stays right;
//! a census asks the gate about each person. It reads the tables like an export does, off the fold's thread. Per person it costs
//! one decoding and, per purpose × channel × address, one question to the gate. Whoever shows it keeps
//! the outcome and does not count anew for each look (`crates/server/src/oversight.rs`).

use std::collections::{BTreeMap, BTreeSet};

use jumelle_consent::{Asked, OkOrSoon, Party, Standing, decide};
use jumelle_model::Workspace;
use jumelle_model::consent::{Channel, ConsentState};
use jumelle_model::time::{Span, Timestamp};
use jumelle_model::workspace::policy::Case;
use jumelle_profile::Person;
use jumelle_segment::{Facts, Plan};
use jumelle_store::Result;
use serde::Serialize;

use crate::retention::Clocks;
use crate::shared::Shared;
use crate::tools::there;

/// Grants that end within this are told apart.
pub const EXPIRING_SOON: Span = Span(30 * DAY);
/// Grants that are older than this are told apart, whether they end or not.
pub const OLD_AFTER: Span = Span(365 * DAY);
const DAY: i64 = 24 * 60 * 60 * 1_000_000;
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
    /// Clocks of prospects; `None`: the policy has none.
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

type Pair = (String, Option<Channel>);

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

impl<'a> Count<'a> {
    fn new(workspace: &'a Workspace, plan: &'a Plan, at: Timestamp) -> Count<'a> {
        let activated = workspace.activations.iter().map(|activation| (activation.purpose.clone(), Some(activation.channel)));
        let declared = workspace
            .purposes
            .iter()
            .flat_map(|purpose| purpose.terms.channels.iter().map(|channel| (purpose.key.clone(), Some(*channel))));
        let used = activated.chain(declared).collect();
        let inside = workspace.destinations.iter().map(|destination| (destination.key.clone(), 0)).collect();
        let clocks = workspace.policy.prospects.is_some().then(Clocks::default);
        let pairs = workspace.purposes.iter().flat_map(|purpose| {
            let channels = match purpose.terms.channels.is_empty() {
                true => Channel::ALL.to_vec(),
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
        let choices = &person.known.choices;
        let (circumstances, _) = person.circumstances(self.workspace, self.plan, self.at);
        let party = Party { choices, circumstances: &circumstances, contacts: &[] };
        let country = circumstances.country.as_deref().unwrap_or(&self.workspace.settings.country);
        let mut addresses: BTreeMap<&str, Vec<(String, String)>> = BTreeMap::new();
        for identifier in person.known.identifiers.keys() {
            let named = (identifier.namespace.clone(), identifier.value.clone());
            addresses.entry(identifier.namespace.as_str()).or_default().push(named);
        }
        let activations = self.workspace.activations.iter();
        let tools: BTreeSet<&str> = activations
            .filter(|activation| person.activations.get(&activation.key).and_then(there).is_some())
            .map(|activation| activation.destination.as_str())
            .collect();
        for tool in tools {
            *self.inside.entry(tool.to_owned()).or_default() += 1;
        }
        for ((key, channel), reach) in &mut self.reach {
            let Some(purpose) = self.workspace.purpose(key) else { continue };
            let of_channel = channel.and_then(Channel::address_namespace);
            let hers = of_channel.and_then(|namespace| addresses.get(namespace)).map(Vec::as_slice).unwrap_or_default();
            // Without an address of the channel her own choice is what there is; it reaches her only where none is needed.
            let asked: Vec<Option<&(String, String)>> =
                if hers.is_empty() { vec![None] } else { hers.iter().map(Some).collect() };
            let mut counts: Option<Standing> = None;
            let mut is_open = false;
            for address in asked {
                let standing = match channel {
                    Some(channel) if purpose.is_marketing() => choices.standing_for_marketing(key, *channel, address, self.at),
                    channel => choices.standing(key, *channel, address, self.at),
                };
                if let Some(standing) = standing
                    && counts.as_ref().is_none_or(|best| rank(best) < rank(&standing))
                {
                    counts = Some(standing);
                }
                if let Some(channel) = channel
                    && (of_channel.is_none() || address.is_some())
                {
                    let asked = Asked { purpose: key, channel: *channel, address, destination: None };
                    is_open |= decide(self.workspace, asked, party, self.at).outcome.is_ok_or_soon();
                }
            }
            if channel.is_none() {
                is_open = person.facts(self.workspace, self.plan).consent_open(key, None, self.at);
            }
            reach.reachable += u64::from(is_open);
            let Some(standing) = counts else {
                reach.unknown += 1;
                continue;
            };
            if channel.is_some() && standing.channel == *channel {
                self.used.insert((key.clone(), *channel));
            }
            let is_granted = standing.state == ConsentState::Granted;
            if is_granted {
                reach.granted += 1;
                let case =
                    channel.map(|channel| Case { purpose, channel, country, business: circumstances.business, at: self.at });
                let expires_after = match case {
                    Some(case) => self.workspace.policy.expires_after(case),
                    None => purpose.terms.expires_after,
                };
                let ends = expires_after.map(|span| standing.since.0.saturating_add(span.0));
                if !purpose.takes_version(standing.text_version().as_deref()) {
                    reach.old_text += 1;
                } else if ends.is_some_and(|ends| ends <= self.at.0) {
                    reach.expired += 1;
                } else if ends.is_some_and(|ends| ends <= self.at.0.saturating_add(EXPIRING_SOON.0)) {
                    reach.expiring += 1;
                }
                reach.old += u64::from(self.at.0.saturating_sub(standing.since.0) > OLD_AFTER.0);
                reach.weak += u64::from(standing.weak);
            } else {
                reach.denied += 1;
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

/// Of her addresses the one that is open counts; of those the one that was granted last.
fn rank(standing: &Standing) -> (bool, bool, Timestamp) {
    (standing.state == ConsentState::Granted, !standing.weak, standing.since)
}
