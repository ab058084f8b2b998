//! Ringing for whoever runs the server when something is wrong with a tool: once when it begins, again as a reminder until it is
//! mended, and once then. Every way to tell is told by itself: one that is down keeps no other from hearing.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jumelle_activate::{Bell, Facts, Notice};
use jumelle_engine::{DeliveryState, Minute, Outcomes, Shared};
use jumelle_model::time::{Span, Timestamp};
use jumelle_model::workspace::Destination;

use crate::App;

/// File of the data directory that remembers what was told, so that a restart tells nothing twice.
const FILE: &str = "alarms.json";
/// How often the tools are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The pause after a notice that was not taken.
const RING_AGAIN: Duration = Duration::from_secs(15);
/// A share of fewer messages says nothing.
const MESSAGES_MIN: u64 = 20;

/// Where to ring, how often a standing fault is told again, and what is one.
pub struct Alarms {
    /// The ways.
    pub bells: Vec<Bell>,
    /// From one reminder to the next.
    pub every: Span,
    /// The least share of messages that gets through.
    pub delivered_below: AlarmLimits<f64>,
    /// Over which time the share is measured: an hour at most.
    pub delivered_over: Span,
    /// Nothing was sent for so long, though messages wait.
    pub silent_after: AlarmLimits<Span>,
}

/// A limit for every destination, and others for some.
#[derive(Clone, PartialEq, Debug)]
pub struct AlarmLimits<T> {
    /// For those that are not named. `None`: no alarm.
    pub others: Option<T>,
    /// By key.
    pub named: BTreeMap<String, Option<T>>,
}

impl<T> Default for AlarmLimits<T> {
    fn default() -> AlarmLimits<T> {
        AlarmLimits { others: None, named: BTreeMap::new() }
    }
}

impl<T: Copy> AlarmLimits<T> {
    /// `0.9,mailer=0.8,archive=off`: each reads with `read`.
    pub fn parse(text: &str, read: impl Fn(&str) -> Option<T>) -> Result<AlarmLimits<T>, String> {
        let mut limits = AlarmLimits::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').map_or((None, part), |(key, value)| (Some(key.trim()), value.trim()));
            let limit = match value {
                "off" => None,
                value => Some(read(value).ok_or_else(|| format!("{value:?} is no limit"))?),
            };
            match key {
                Some(key) => _ = limits.named.insert(key.to_owned(), limit),
                None => limits.others = limit,
            }
        }
        Ok(limits)
    }

    fn of(&self, destination: &str) -> Option<T> {
        self.named.get(destination).copied().unwrap_or(self.others)
    }
}

/// What can be wrong with a tool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Rule {
    Removals,
    Share,
    Silence,
}

impl Rule {
    /// As it is remembered.
    fn as_str(self) -> &'static str {
        match self {
            Rule::Removals => "removals",
            Rule::Share => "share",
            Rule::Silence => "silence",
        }
    }

    /// Types of the notices when it begins and when it is over.
    fn kinds(self) -> (&'static str, &'static str) {
        match self {
            Rule::Removals => ("removals.overdue", "removals.mended"),
            Rule::Share => ("deliveries.low", "deliveries.mended"),
            Rule::Silence => ("sending.stopped", "sending.resumed"),
        }
    }
}

/// What a look at a tool found.
#[derive(Clone, PartialEq, Debug)]
struct Finding {
    rule: Rule,
    destination: String,
    /// `None`: it cannot be told now, so what was told stands.
    is_wrong: Option<bool>,
    facts: Facts,
}

/// When each alarm that stands was told of last: way, rule and destination, with `|` between them.
type Told = BTreeMap<String, Timestamp>;

/// Looks and rings for as long as the server runs. What was not taken is told again after a pause.
pub(crate) async fn watch(app: App, alarms: Arc<Alarms>) {
    let directory = app.engine.directory().to_owned();
    let mut told = read(&directory);
    let started = app.engine.shared().now();
    let mut began = Told::new();
    let mut sent: BTreeMap<String, Timestamp> = BTreeMap::new();
    let mut pause = LOOK_EVERY;
    loop {
        tokio::time::sleep(pause).await;
        pause = LOOK_EVERY;
        let shared = app.engine.shared().clone();
        let (definitions, now) = (shared.definitions(), shared.now());
        let hour = shared.flow.hour();
        for minute in &hour {
            for (key, _) in minute.deliveries.iter().filter(|(_, outcomes)| outcomes.sent > 0) {
                let at = sent.entry(key.clone()).or_default();
                // Within the minute that is not over it may have been just now.
                *at = (*at).max(Timestamp(minute.at.0 + 60_000_000).min(now));
            }
        }
        let (asked, last_sent) = (alarms.clone(), sent.clone());
        let look = move || {
            let definitions = shared.definitions();
            let of = |destination: &Destination| {
                look_at(&shared, &asked, destination, &hour, last_sent.get(&destination.key).copied(), (started, now))
            };
            definitions.workspace.destinations.iter().flat_map(of).collect::<Vec<_>>()
        };
        let Ok(found) = tokio::task::spawn_blocking(look).await else { continue };
        let before = told.clone();
        // Of a tool that is gone nothing more is heard.
        told.retain(|key, _| key.rsplit('|').next().is_some_and(|key| definitions.workspace.destination(key).is_some()));
        for finding in &found {
            for bell in &alarms.bells {
                let key = format!("{}|{}|{}", bell.name(), finding.rule.as_str(), finding.destination);
                let Some((kind, reminder)) = due(finding, told.get(&key).copied(), alarms.every, now) else {
                    continue;
                };
                // The same notice told again has the same id.
                let since = told.get(&key).copied().unwrap_or_else(|| *began.entry(key.clone()).or_insert(now));
                let id = format!("alm_{}_{kind}_{}", finding.destination, since.0);
                let facts = finding.facts.clone();
                let notice = Notice { kind, destination: finding.destination.clone(), facts, reminder, at: now };
                let rung = bell.ring(&id, &notice).await;
                let outcome = if rung.is_ok() { "told" } else { "failed" };
                metrics::counter!("jumelle_alarms_total", "outcome" => outcome, "way" => bell.name()).increment(1);
                match rung {
                    Ok(()) if finding.is_wrong == Some(true) => _ = told.insert(key, now),
                    Ok(()) => {
                        told.remove(&key);
                        began.remove(&key);
                    }
                    Err(reason) => {
                        pause = RING_AGAIN;
                        let (destination, way) = (&finding.destination, bell.name());
                        tracing::warn!(destination, way, reason, "the alarm was not taken; it is told again");
                    }
                }
            }
        }
        if told != before
            && let Err(error) = write(&directory, &told)
        {
            tracing::warn!(%error, "what was told could not be kept: a restart may tell it again");
        }
    }
}

/// `(started, now)`: since when this process looks.
fn look_at(
    shared: &Shared,
    alarms: &Alarms,
    destination: &Destination,
    hour: &[Minute],
    last_sent: Option<Timestamp>,
    (started, now): (Timestamp, Timestamp),
) -> Vec<Finding> {
    let key = &destination.key;
    let finding = |rule, is_wrong, facts| Finding { rule, destination: key.clone(), is_wrong, facts };
    let mut found = Vec::new();
    if let Ok(removals) = shared.removals(key, now) {
        let facts = Facts::Removals {
            overdue: removals.overdue,
            waiting: removals.waiting,
            oldest_at: removals.oldest_at,
            confirm_within_s: destination.confirm_within().0 / 1_000_000,
        };
        found.push(finding(Rule::Removals, Some(removals.overdue > 0), facts));
    }
    if let Some(below) = alarms.delivered_below.of(key) {
        let since = now - alarms.delivered_over;
        let recent = hour.iter().filter(|minute| minute.at >= since);
        let outcomes: Vec<Outcomes> = recent.filter_map(|minute| minute.deliveries.get(key).copied()).collect();
        let (measured, share, messages) = share_of(&outcomes);
        let is_wrong = (messages >= MESSAGES_MIN).then_some(share < below);
        let facts = Facts::Share { measured, share, below, messages, within_s: alarms.delivered_over.0 / 1_000_000 };
        found.push(finding(Rule::Share, is_wrong, facts));
    }
    // A destination that receives files sends at its hours, and one that is held still sends nothing by intent.
    let silent_after = alarms.silent_after.of(key).filter(|_| destination.file.is_none() && !destination.paused);
    if let Some(after) = silent_after
        && let (Ok(oldest_at), Ok(waiting)) = (shared.oldest_queued(key), shared.count_deliveries(key, DeliveryState::Queued))
    {
        let is_wrong = is_silent(oldest_at, last_sent, after, (started, now));
        let facts = Facts::Silence { waiting: waiting as u64, oldest_at, after_s: after.0 / 1_000_000 };
        found.push(finding(Rule::Silence, is_wrong, facts));
    }
    found
}

/// The worse of two shares: what the tool took of what it answered for, and what reached somebody of what the tool reports an end of.
fn share_of(minutes: &[Outcomes]) -> (&'static str, f64, u64) {
    let sum = |of: fn(&Outcomes) -> u64| minutes.iter().map(of).sum::<u64>();
    let share = |measured, good: u64, bad: u64| {
        (measured, if good + bad == 0 { 1.0 } else { good as f64 / (good + bad) as f64 }, good + bad)
    };
    let taken = share("taken", sum(|one| one.sent), sum(|one| one.refused));
    let reached = share("reached", sum(|one| one.delivered), sum(|one| one.bounced));
    if reached.2 >= MESSAGES_MIN && (taken.2 < MESSAGES_MIN || reached.1 < taken.1) { reached } else { taken }
}

fn is_silent(
    oldest_at: Option<Timestamp>,
    last_sent: Option<Timestamp>,
    after: Span,
    (started, now): (Timestamp, Timestamp),
) -> Option<bool> {
    let Some(oldest_at) = oldest_at else { return Some(false) };
    if last_sent.is_some_and(|at| at + after > now) {
        return Some(false);
    }
    (oldest_at + after <= now && started + after <= now).then_some(true)
}

/// What is to be told of a finding now, and whether it is a reminder.
fn due(finding: &Finding, told: Option<Timestamp>, every: Span, now: Timestamp) -> Option<(&'static str, bool)> {
    let (begins, ends) = finding.rule.kinds();
    match (finding.is_wrong?, told) {
        (true, None) => Some((begins, false)),
        (true, Some(last)) if last + every <= now => Some((begins, true)),
        (false, Some(_)) => Some((ends, false)),
        _ => None,
    }
}

fn read(directory: &Path) -> Told {
    // What cannot be read is told again: rather twice than never.
    let told: Told =
        std::fs::read(directory.join(FILE)).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    // Before there were other ways and rules, the key was the destination's.
    let key = |key: String| if key.contains('|') { key } else { format!("webhook|{}|{key}", Rule::Removals.as_str()) };
    told.into_iter().map(|(known, at)| (key(known), at)).collect()
}

fn write(directory: &Path, told: &Told) -> std::io::Result<()> {
    let fresh = directory.join("alarms.json.new");
    std::fs::write(&fresh, serde_json::to_vec(told)?)?;
    std::fs::rename(fresh, directory.join(FILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_then_reminders_then_once_that_it_is_mended() {
        let finding = |is_wrong| Finding {
            rule: Rule::Removals,
            destination: "mailer".into(),
            is_wrong,
            facts: Facts::Removals { overdue: 0, waiting: 3, oldest_at: None, confirm_within_s: 60 },
        };
        let (every, at) = (Span(100), Timestamp(1_000));
        let due = |is_wrong, told: Option<i64>| due(&finding(is_wrong), told.map(Timestamp), every, at);
        assert_eq!(due(Some(false), None), None);
        assert_eq!(due(Some(true), None), Some(("removals.overdue", false)));
        assert_eq!(due(Some(true), Some(950)), None);
        assert_eq!(due(Some(true), Some(900)), Some(("removals.overdue", true)));
        assert_eq!(due(Some(false), Some(999)), Some(("removals.mended", false)));
        assert_eq!(due(None, Some(1)), None, "what cannot be told now leaves what was told");
    }

    #[test]
    fn the_worse_share_counts_and_few_messages_say_nothing() {
        let minute = |sent, refused, delivered, bounced| Outcomes { sent, refused, delivered, bounced, ..Outcomes::default() };
        assert_eq!(share_of(&[]), ("taken", 1.0, 0));
        assert_eq!(share_of(&[minute(10, 0, 0, 0), minute(20, 10, 0, 0)]), ("taken", 0.75, 40));
        assert_eq!(share_of(&[minute(40, 0, 10, 10)]), ("reached", 0.5, 20));
        assert_eq!(share_of(&[minute(40, 0, 0, 10)]), ("taken", 1.0, 40), "ten bounces are few");
    }

    #[test]
    fn silent_is_who_has_something_to_send_and_does_not() {
        let after = Span(100);
        let silent = |oldest: Option<i64>, sent: Option<i64>, started: i64| {
            is_silent(oldest.map(Timestamp), sent.map(Timestamp), after, (Timestamp(started), Timestamp(1_000)))
        };
        assert_eq!(silent(None, None, 0), Some(false));
        assert_eq!(silent(Some(800), None, 0), Some(true));
        assert_eq!(silent(Some(800), Some(950), 0), Some(false), "others leave");
        assert_eq!(silent(Some(950), None, 0), None, "not for long enough");
        assert_eq!(silent(Some(800), None, 950), None, "nobody has looked for long enough");
    }

    #[test]
    fn limits_are_for_all_and_for_some() {
        let limits = AlarmLimits::parse("0.9, mailer=0.8,archive=off", |text| text.parse::<f64>().ok()).unwrap();
        assert_eq!((limits.of("mailer"), limits.of("archive"), limits.of("sms")), (Some(0.8), None, Some(0.9)));
        assert!(AlarmLimits::parse("mailer=much", |text| text.parse::<f64>().ok()).unwrap_err().contains("much"));
    }
}
