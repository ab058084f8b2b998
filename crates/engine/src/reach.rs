//! Who would become reachable or unreachable by new definitions, per purpose × channel.

use jumelle_model::Workspace;
use jumelle_model::consent::Channel;
use jumelle_model::ids::ProfileId;
use jumelle_model::time::Timestamp;
use jumelle_model::workspace::policy::{Acts, Then};
use jumelle_profile::Person;
use jumelle_segment::{Facts, Plan};
use jumelle_store::{Result, Table};
use serde::Serialize;

use crate::retention::{acts, ends};
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
    /// What the clocks of people who do nothing would change; `None`: they do not change.
    pub lapse: Option<LapseChange>,
    /// What people did is read from the history only when the definitions are applied: whom a retention that is new closes is not
    /// among the changes.
    pub retention_unread: bool,
}

/// People whose time is over, as a prospect or for every purpose, before and after. Where the clock is new, or other events are acts, what people did is
/// read from the history only when the definitions are applied: until then there is a least and a most.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct LapseChange {
    /// What would happen to them.
    pub then: Option<Then>,
    /// Under the definitions in force.
    pub before: u64,
    /// Under the new ones, at least.
    pub after_min: u64,
    /// And at most.
    pub after_max: u64,
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

/// `marketing/email: 3 people become reachable, 12 unreachable`, a line each; before them the clocks.
impl std::fmt::Display for Reach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let of = if self.sampled { format!(" (of the first {} looked at)", self.looked_at) } else { String::new() };
        let of_changes = self.changes.iter().map(|change| {
            let (purpose, channel) = (&change.purpose, change.channel.as_str());
            format!("  {purpose}/{channel}: {} people become reachable, {} unreachable{of}", change.reachable, change.unreachable)
        });
        let unread = "  retention: what people did is read when this is applied; whom it closes then is not counted here";
        let unread = self.retention_unread.then(|| unread.to_owned());
        let lines: Vec<String> =
            self.lapse.iter().map(|lapse| format!("  {lapse}{of}")).chain(unread).chain(of_changes).collect();
        f.write_str(&lines.join("\n"))
    }
}

/// `retention: the time of 3 people is over (now 0): they will be erased`
impl std::fmt::Display for LapseChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let people = match self.after_min == self.after_max {
            true => self.after_min.to_string(),
            false => format!("{} to {}", self.after_min, self.after_max),
        };
        let what = match self.then {
            None => return write!(f, "retention: no clock any more; it had ended for {} people", self.before),
            Some(Then::Report) => "they are reported",
            Some(Then::Ask) => "they are to be asked",
            Some(Then::Erase) => "they will be erased",
        };
        write!(f, "retention: the time of {people} people is over (now {}): {what}", self.before)
    }
}

/// Compares the definitions in force with others, for the people known at this moment. Someone is reachable if the gate would let
/// something through to one of her addresses of the channel, at some hour. A computed trait that is new has no values yet, and who
/// first came within the last second may not be in the tables yet.
pub fn reach(shared: &Shared, after: &Workspace) -> Result<Reach> {
    let before = shared.definitions();
    let pairs = pairs(&before.workspace, after);
    let mut reach = Reach::default();
    let clocks = |workspace: &Workspace| {
        let policy = &workspace.policy;
        (policy.prospects.clone(), policy.retention.map(|then| (then, workspace.kept_for())))
    };
    let mut lapse = (clocks(&before.workspace) != clocks(after)).then(|| {
        let thens = ends(after, &Acts::default()).into_iter().filter_map(|(_, then, _)| then);
        LapseChange { then: thens.max(), ..LapseChange::default() }
    });
    if pairs.is_empty() && lapse.is_none() {
        return Ok(reach);
    }
    let (plan, at) = (Plan::compile(after), shared.now());
    let acts_are_known = plan.clock_ids().iter().all(|id| before.plan.query_ids().contains(id));
    reach.retention_unread = !acts_are_known && after.has_retention();
    let reading = if reach.retention_unread { &without_retention(after) } else { after };
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
            if let Some(lapse) = &mut lapse {
                let has_ended = |workspace: &Workspace, acts: Option<Acts>| {
                    let ends = acts.map_or_else(Vec::new, |acts| ends(workspace, &acts).to_vec());
                    u64::from(ends.into_iter().any(|(.., ends_at)| ends_at.is_some_and(|ends_at| ends_at <= at)))
                };
                let now = acts(&plan, &person);
                // Her newest event of any kind may have been an act.
                let last = |acts: Acts| if acts_are_known { acts } else { Acts { last: person.known.last_seen, ..acts } };
                lapse.before += has_ended(&before.workspace, acts(&before.plan, &person));
                lapse.after_min += has_ended(after, now.map(last));
                lapse.after_max += has_ended(after, now);
            }
            for ((purpose, channel), count) in pairs.iter().zip(&mut counts) {
                let was = is_reachable(&person, &before.workspace, &before.plan, purpose, *channel, at);
                let is = is_reachable(&person, reading, &plan, purpose, *channel, at);
                count.0 += u64::from(is && !was);
                count.1 += u64::from(was && !is);
            }
        }
        if reach.sampled {
            break;
        }
    }
    reach.lapse = lapse;
    reach.changes = pairs
        .into_iter()
        .zip(counts)
        .filter(|(_, (reachable, unreachable))| reachable + unreachable > 0)
        .map(|((purpose, channel), (reachable, unreachable))| ReachChange { purpose, channel, reachable, unreachable })
        .collect();
    Ok(reach)
}

fn without_retention(workspace: &Workspace) -> Workspace {
    let mut workspace = workspace.clone();
    workspace.purposes.iter_mut().for_each(|purpose| purpose.terms.retention = None);
    workspace
}

/// Where an answer can differ: every channel of purposes that differ, of all of them if what holds for all differs.
fn pairs(before: &Workspace, after: &Workspace) -> Vec<(String, Channel)> {
    let home = |workspace: &Workspace| (workspace.settings.country.clone(), workspace.settings.timezone.clone());
    let all = before.policy != after.policy || home(before) != home(after);
    let gone = before.purposes.iter().filter(|purpose| after.purpose(&purpose.key).is_none());
    let keys = after.purposes.iter().chain(gone).map(|purpose| &purpose.key);
    let differing = keys.filter(|key| all || before.purpose(key) != after.purpose(key));
    let channels = after.channels();
    differing.flat_map(|key| channels.iter().map(|channel| (key.clone(), *channel)).collect::<Vec<_>>()).collect()
}

fn is_reachable(person: &Person, workspace: &Workspace, plan: &Plan, purpose: &str, channel: Channel, at: Timestamp) -> bool {
    let has_address = channel
        .address_namespace()
        .is_none_or(|namespace| person.known.identifiers.keys().any(|known| known.namespace == namespace));
    has_address && person.facts(workspace, plan).consent_open(purpose, Some(channel), at)
}
