//! Who would become reachable or unreachable by new definitions, per purpose × channel.

use jumelle_model::Workspace;
use jumelle_model::consent::Channel;
use jumelle_model::ids::ProfileId;
use jumelle_model::time::Timestamp;
use jumelle_profile::Person;
use jumelle_segment::{Facts, Plan};
use jumelle_store::{Result, Table};
use serde::Serialize;

use crate::shared::Shared;

/// People looked at, at most. Ids are spread like hashes, so the first ones are a fair sample; above it the answer says so.
pub const REACH_PEOPLE_MAX: usize = 10_000;
/// People read at a time.
const PAGE: usize = 1_000;

/// What an `apply` would change of who can be reached.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Reach {
    /// Where something changes, in the order of the purposes and channels.
    pub changes: Vec<ReachChange>,
    /// People looked at.
    pub looked_at: u64,
    /// There are more people than that.
    pub sampled: bool,
}

/// One purpose × channel.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ReachChange {
    /// Purpose key.
    pub purpose: String,
    /// Channel.
    pub channel: Channel,
    /// People who become reachable.
    pub reachable: u64,
    /// People who can no longer be reached.
    pub unreachable: u64,
}

/// `marketing/email: 3 people become reachable, 12 unreachable`, a line each.
impl std::fmt::Display for Reach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (n, change) in self.changes.iter().enumerate() {
            if n > 0 {
                writeln!(f)?;
            }
            let of = if self.sampled { format!(" (of the first {} looked at)", self.looked_at) } else { String::new() };
            let (purpose, channel) = (&change.purpose, change.channel.as_str());
            write!(
                f,
                "  {purpose}/{channel}: {} people become reachable, {} unreachable{of}",
                change.reachable, change.unreachable
            )?;
        }
        Ok(())
    }
}

/// Compares the definitions in force with others, for the people known at this moment. Someone is reachable if the gate would let
/// something through to one of her addresses of the channel, at some hour. A computed trait that is new has no values yet, and who
/// first came within the last second may not be in the tables yet.
pub fn reach(shared: &Shared, after: &Workspace) -> Result<Reach> {
    let before = shared.definitions();
    let pairs = pairs(&before.workspace, after);
    let mut reach = Reach::default();
    if pairs.is_empty() {
        return Ok(reach);
    }
    let (plan, at) = (Plan::compile(after), shared.now());
    let mut counts = vec![(0u64, 0u64); pairs.len()];
    let mut last: Option<Vec<u8>> = None;
    loop {
        let page = shared.behind.scan(Table::People, &[], last.as_deref(), PAGE)?;
        let Some((key, _)) = page.last() else { break };
        last = Some(key.clone());
        for (key, _) in &page {
            if reach.looked_at >= REACH_PEOPLE_MAX as u64 {
                reach.sampled = true;
                break;
            }
            let id = ProfileId(u128::from_be_bytes(key.as_slice().try_into().unwrap_or_default()));
            let Some(person) = shared.people.get(id)? else { continue };
            reach.looked_at += 1;
            for ((purpose, channel), count) in pairs.iter().zip(&mut counts) {
                let was = is_reachable(&person, &before.workspace, &before.plan, purpose, *channel, at);
                let is = is_reachable(&person, after, &plan, purpose, *channel, at);
                count.0 += u64::from(is && !was);
                count.1 += u64::from(was && !is);
            }
        }
        if reach.sampled {
            break;
        }
    }
    reach.changes = pairs
        .into_iter()
        .zip(counts)
        .filter(|(_, (reachable, unreachable))| reachable + unreachable > 0)
        .map(|((purpose, channel), (reachable, unreachable))| ReachChange { purpose, channel, reachable, unreachable })
        .collect();
    Ok(reach)
}

/// Where an answer can differ: every channel of purposes that differ, of all of them if what holds for all differs.
fn pairs(before: &Workspace, after: &Workspace) -> Vec<(String, Channel)> {
    let home = |workspace: &Workspace| (workspace.settings.country.clone(), workspace.settings.timezone.clone());
    let all = before.policy != after.policy || home(before) != home(after);
    let gone = before.purposes.iter().filter(|purpose| after.purpose(&purpose.key).is_none());
    let keys = after.purposes.iter().chain(gone).map(|purpose| &purpose.key);
    let differing = keys.filter(|key| all || before.purpose(key) != after.purpose(key));
    differing.flat_map(|key| Channel::ALL.map(|channel| (key.clone(), channel))).collect()
}

fn is_reachable(person: &Person, workspace: &Workspace, plan: &Plan, purpose: &str, channel: Channel, at: Timestamp) -> bool {
    let has_address = channel
        .address_namespace()
        .is_none_or(|namespace| person.known.identifiers.keys().any(|known| known.namespace == namespace));
    has_address && person.facts(workspace, plan).consent_open(purpose, Some(channel), at)
}
