//! Consent on the way in: which rule of a source reduces an event, by what was chosen when it arrives.
//!
//! Pure: the caller says whose choices count and which addresses and devices the event names.

use jumelle_model::Workspace;
use jumelle_model::consent::{Channel, ConsentState};
use jumelle_model::event::EventKind;
use jumelle_model::time::{Span, Timestamp};
use jumelle_model::workspace::Purpose;
use jumelle_model::workspace::reduce::{Reduce, Stands};

use crate::choices::{Choices, Standing};

/// An event at the door.
#[derive(Clone, Copy, Debug)]
pub struct Arriving<'a> {
    /// Which call.
    pub kind: EventKind,
    /// As rules know it; empty for calls without a name.
    pub name: &'a str,
    /// Addresses and devices that it names (namespace, normalised value).
    pub addresses: &'a [(String, String)],
    /// What its own signals refuse: purpose, and the channel or all that reach a device.
    pub refuses: &'a [(String, Option<Channel>)],
    /// What was chosen by everybody whom it names, its own choices among them.
    pub choices: &'a Choices,
    /// When it arrives.
    pub at: Timestamp,
}

/// The rule that decides about an event. `None`: all of it is kept.
pub fn deciding<'r>(workspace: &Workspace, rules: &'r [Reduce], event: Arriving<'_>) -> Option<&'r Reduce> {
    rules.iter().find(|rule| rule.speaks_of(event.kind, event.name) && rule.when.holds(stands(workspace, rule, event)))
}

/// How the choice that a rule asks about stands.
///
/// What the event's own signals refuse is refused, whatever was chosen since: it was collected under that refusal. Else the newest
/// choice counts, as at the gate, for each device (or address of the rule's channel) that the event names; one that is refused
/// is enough.
pub fn stands(workspace: &Workspace, rule: &Reduce, event: Arriving<'_>) -> Stands {
    // Definitions are validated: it is declared.
    let Some(purpose) = workspace.purpose(&rule.purpose) else { return Stands::Unknown };
    let channels = rule.channels(workspace, purpose);
    let is_asked = |channel: &Option<Channel>| channel.is_none_or(|channel| channels.contains(&channel));
    if event.refuses.iter().any(|(refused, channel)| *refused == purpose.key && is_asked(channel)) {
        return Stands::Denied;
    }
    let mut is_granted = false;
    for &channel in &channels {
        for address in addresses(event.addresses, channel) {
            match event.choices.counting(purpose, channel, address, event.at, false) {
                Some(standing) if standing.state == ConsentState::Denied => return Stands::Denied,
                Some(standing) => is_granted |= counts(workspace, purpose, &standing, event.at),
                None => {}
            }
        }
    }
    if is_granted { Stands::Granted } else { Stands::Unknown }
}

/// Those of the channel; without one, the person is asked.
fn addresses(named: &[(String, String)], channel: Channel) -> Vec<Option<&(String, String)>> {
    let of_channel = |(namespace, _): &&(String, String)| channel.address_namespace() == Some(namespace.as_str());
    let found: Vec<_> = named.iter().filter(of_channel).map(Some).collect();
    if found.is_empty() { vec![None] } else { found }
}

/// A grant ages, and a new text may ask for another one. Who it is is not looked up for this: of several terms the shortest counts.
fn counts(workspace: &Workspace, purpose: &Purpose, grant: &Standing, at: Timestamp) -> bool {
    let shortest: Option<Span> = workspace.policy.validities(purpose).into_iter().min();
    let is_young = shortest.is_none_or(|span| at.0 < grant.since.0.saturating_add(span.0));
    is_young && purpose.takes_version(|| grant.text_version())
}
