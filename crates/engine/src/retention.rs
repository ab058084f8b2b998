//! The clocks act: who has done nothing for as long as `policy.prospects` says, or longer than any purpose keeps people
//! (`policy.retention`), is counted, listed, and erased if the policy says so.
//!
//! Finding them costs no scan: each person's timer fires at her own instant and puts her into the segment `prospects_lapsed` or
//! `retention_over`, whose members are rows of an index. What erases them takes [`AT_ONCE`] a round, a round a second: 72,000 an hour; each is one durable
//! step of its own kind, at which the fold looks at her clock again, so nobody who acted meanwhile is erased.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::civil::Date;
use jumelle_model::Workspace;
use jumelle_model::ids::ProfileId;
use jumelle_model::time::{Span, Timestamp};
use jumelle_model::workspace::policy::prospects::LAPSED;
use jumelle_model::workspace::policy::retention::RETENTION_OVER;
use jumelle_model::workspace::policy::{Acts, Then};
use jumelle_profile::Person;
use jumelle_segment::Plan;
use jumelle_store::{Notice, Result, Table};
use serde::Serialize;

use crate::committer::{Draft, Intake};
use crate::definitions::Definitions;
use crate::erase::{self, Leaving};
use crate::fold::Fold;
use crate::shared::{Shared, member_prefix};

/// How often it is looked whether somebody's time is over.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// People erased in one round, at most: each costs the fold's thread a flush and the rewriting of her events' blocks.
const AT_ONCE: usize = 20;
/// Whose clock ends within these spans is told apart.
pub const DUE_WITHIN: [Span; 2] = [Span(30 * DAY), Span(90 * DAY)];
const DAY: i64 = 86_400 * 1_000_000;

/// How many people's clocks as prospects have ended or will soon, and how many are past a retention.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Clocks {
    /// People with a running or ended clock.
    pub running: u64,
    /// It has ended.
    pub lapsed: u64,
    /// Of these, kept as they are because processing is restricted.
    pub restricted: u64,
    /// It ends within 30 days.
    pub due_30d: u64,
    /// It ends within 90 days, those within 30 included.
    pub due_90d: u64,
    /// People whose last act is older than a purpose's retention, by purpose.
    pub past_retention: BTreeMap<String, u64>,
    /// No purpose keeps them any more.
    pub past_every: u64,
}

/// Erased on one day because their time was over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LapsedDay {
    /// In the workspace's time zone.
    pub day: Date,
    /// How many.
    pub people: u64,
}

impl Clocks {
    /// Counts a person.
    pub(crate) fn count(&mut self, workspace: &Workspace, plan: &Plan, person: &Person, at: Timestamp) {
        let Some(acts) = acts(plan, person) else { return };
        let (mut purposes, mut past) = (0, 0);
        for purpose in &workspace.purposes {
            purposes += 1;
            if purpose.terms.retention.is_some() {
                let is_past = u64::from(purpose.keeps_until(&acts).is_some_and(|until| until <= at));
                *self.past_retention.entry(purpose.key.clone()).or_default() += is_past;
                past += is_past;
            }
        }
        self.past_every += u64::from(purposes > 0 && past == purposes);
        let Some(ends_at) = workspace.policy.prospects.as_ref().and_then(|prospects| prospects.ends_at(&acts)) else { return };
        self.running += 1;
        if ends_at <= at {
            self.lapsed += 1;
            self.restricted += u64::from(person.known.choices.is_restricted());
            return;
        }
        for (within, due) in DUE_WITHIN.iter().zip([&mut self.due_30d, &mut self.due_90d]) {
            *due += u64::from(ends_at.0 <= at.0.saturating_add(within.0));
        }
    }
}

/// What her clocks start from.
pub(crate) fn acts(plan: &Plan, person: &Person) -> Option<Acts> {
    plan.acts(person.known.collected(), &person.known.states)
}

/// What the policy does with somebody who has done nothing, and when: each clock that it has, with its segment.
pub(crate) fn ends(workspace: &Workspace, acts: &Acts) -> [(&'static str, Option<Then>, Option<Timestamp>); 2] {
    let prospects = workspace.policy.prospects.as_ref();
    [
        (LAPSED, prospects.map(|prospects| prospects.then), prospects.and_then(|prospects| prospects.ends_at(acts))),
        (RETENTION_OVER, workspace.policy.retention, workspace.retention_ends_at(acts)),
    ]
}

/// Whether she is to be erased: a clock has ended, the policy says erase, and nothing asks to keep her as she is.
fn is_over(definitions: &Definitions, person: &Person, at: Timestamp) -> bool {
    let Some(acts) = acts(&definitions.plan, person) else { return false };
    let has_ended = |ends_at: Option<Timestamp>| ends_at.is_some_and(|ends_at| ends_at <= at);
    !person.known.choices.is_restricted()
        && ends(&definitions.workspace, &acts).into_iter().any(|(_, then, at)| then == Some(Then::Erase) && has_ended(at))
}

impl Fold {
    /// Erases somebody whose clock had ended, unless she has acted since that was looked at.
    pub(crate) fn lapsed(&mut self, profile: ProfileId, keys: &[u128], notices: Vec<Notice>) -> Result<()> {
        let id = self.shared.people.surviving(profile)?;
        // A replay after her erasure does not find her.
        if let Some(person) = self.shared.people.get(id)?
            && !is_over(&self.definitions, &person, self.clock)
        {
            return Ok(());
        }
        self.erased(profile, keys, notices)?;
        let day = self.today.number(&self.shared, self.clock)?.to_be_bytes();
        let people = self.shared.behind.get(Table::Lapsed, &day)?.map_or(0, |row| read_count(&row)) + 1;
        self.shared.behind.put(Table::Lapsed, day, people.to_be_bytes());
        metrics::counter!("jumelle_lapsed_people_total").increment(1);
        Ok(())
    }
}

impl Shared {
    /// The newest `limit` days on which somebody was erased because her time was over, oldest first.
    pub fn lapsed_days(&self, limit: usize) -> Result<Vec<LapsedDay>> {
        let days = self.by_day(Table::Lapsed, limit, |row| Some(read_count(row)))?;
        Ok(days.into_iter().map(|(day, people)| LapsedDay { day, people }).collect())
    }

    /// The next ones of a segment to be erased, after a place in the index, and the place to go on from; `None`: from the start.
    fn lapsed_people(&self, segment: &str, after: Option<&[u8]>) -> Result<(Vec<Leaving>, Option<Vec<u8>>)> {
        let definitions = self.definitions();
        let prefix = member_prefix(segment);
        let page = self.behind.scan(Table::Members, &prefix, after, AT_ONCE)?;
        let at = self.now();
        let mut leaving = Vec::new();
        for (key, _) in &page {
            let id = key.get(prefix.len()..).and_then(|id| id.try_into().ok()).map(u128::from_be_bytes).map(ProfileId);
            let Some(person) = id.map(|id| self.people.get(id)).transpose()?.flatten() else { continue };
            if is_over(&definitions, &person, at) {
                leaving.extend(erase::plan(self, person.id)?);
            }
        }
        Ok((leaving, page.last().filter(|_| page.len() == AT_ONCE).map(|(key, _)| key.clone())))
    }

    /// The segments whose members are to be erased, if they have any.
    fn erases(&self) -> Vec<&'static str> {
        let definitions = self.definitions();
        let counts = self.counts.read();
        let has_members = |segment: &str| counts.get(segment).is_some_and(|count| *count > 0);
        ends(&definitions.workspace, &Acts::default())
            .into_iter()
            .filter(|(segment, then, _)| *then == Some(Then::Erase) && has_members(segment))
            .map(|(segment, ..)| segment)
            .collect()
    }
}

/// Erases those whose time is over, as long as the engine runs. It keeps no state: a restart goes on with who is still there.
pub(crate) fn start(shared: std::sync::Arc<Shared>, intake: Intake) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let mut after: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            for segment in shared.erases() {
                let (leaving, next) = match shared.lapsed_people(segment, after.remove(segment).as_deref()) {
                    Ok(found) => found,
                    Err(error) => {
                        tracing::warn!(%error, "people whose time is over could not be looked up; it is tried again");
                        continue;
                    }
                };
                after.extend(next.map(|next| (segment, next)));
                if leaving.is_empty() {
                    continue;
                }
                let drafts = leaving
                    .into_iter()
                    .map(|Leaving { profile, keys, notices }| Draft::Lapsed { profile, keys, notices })
                    .collect::<Vec<_>>();
                // The next round begins when these are folded.
                if let Err(error) = intake.submit(drafts, true).await {
                    tracing::warn!(%error, "people whose time is over could not be erased; it is tried again");
                }
            }
        }
    })
}

fn read_count(row: &[u8]) -> u64 {
    row.try_into().map(u64::from_be_bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use jumelle_collect::{Claims, Collected};
    use jumelle_model::Workspace;
    use jumelle_model::event::EventKind;

    use super::*;
    use crate::{Engine, Options, Wall};

    const POLICY: &str = "workspace: {key: shop}\nsources: {site: {kind: web, write_key: wk}}\n\
                          policy: {prospects: {after: 100d, then: THEN}}\n";

    fn event(id: &str, name: &str, time: Timestamp) -> Draft {
        let body = format!(r#"{{"type": "track", "event": "{name}", "anonymousId": "ana"}}"#);
        let event = Collected {
            kind: EventKind::Track,
            message_id: id.to_owned(),
            time,
            body,
            has_consents: false,
            claims: Claims::default(),
        };
        Draft::Event { source: "site".into(), event }
    }

    /// Between the look at her clock and the erasure there is time: what she did then counts, and so does a policy that changed.
    #[tokio::test]
    async fn who_acted_after_she_was_looked_up_is_not_erased() {
        let room = tempfile::tempdir().unwrap();
        let day = |days: i64| Timestamp(1_700_000_000_000_000 + days * DAY);
        let wall = Arc::new(AtomicI64::new(day(0).0));
        let mut options = Options::new(room.path());
        options.wall = Wall::simulated(wall.clone());
        let engine = Engine::open(&options).unwrap();
        let (shared, intake) = (engine.shared().clone(), engine.intake().clone());
        // `report` first: nothing but this test submits erasures.
        let of = |then: &str| Workspace::parse(&POLICY.replace("THEN", then)).unwrap();
        engine.apply(&of("report"), "test").await.unwrap();
        intake.submit(vec![event("m1", "Product Viewed", day(0))], true).await.unwrap();
        let ana = || shared.find("anonymous_id", "ana").unwrap().unwrap();
        let lapsed = || {
            let Leaving { profile, keys, notices } = erase::plan(&shared, ana().unwrap().id).unwrap().unwrap();
            Draft::Lapsed { profile, keys, notices }
        };
        wall.store(day(101).0, Ordering::Release);
        intake.submit(vec![lapsed()], true).await.unwrap();
        assert!(ana().is_some(), "the policy reports");

        let erasing = Draft::Apply { text: of("erase").to_text(), by: "test".into() };
        let acted = event("m2", "Email Link Clicked", day(101));
        intake.submit(vec![erasing, acted, lapsed()], true).await.unwrap();
        assert!(ana().is_some(), "she clicked a moment before");
        assert!(shared.lapsed_days(10).unwrap().is_empty());

        wall.store(day(202).0, Ordering::Release);
        intake.submit(vec![event("m3", "Email Opened", day(202)), lapsed()], true).await.unwrap();
        assert!(ana().is_none(), "an open is no act of hers");
        assert_eq!(shared.lapsed_days(10).unwrap().iter().map(|day| day.people).sum::<u64>(), 1);
        engine.stop().await;
    }
}
