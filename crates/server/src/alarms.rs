//! Ringing for whoever runs the server when a tool does not confirm removals in the time it has: once when it begins, again as a
//! reminder until it is mended, and once then.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jumelle_activate::{Bell, Notice};
use jumelle_engine::Removals;
use jumelle_model::time::{Span, Timestamp};

use crate::App;

/// File of the data directory that remembers what was told, so that a restart tells nothing twice.
const FILE: &str = "alarms.json";
/// How often the tools are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The pause after a notice that was not taken.
const RING_AGAIN: Duration = Duration::from_secs(15);

/// Where to ring, and how often a standing fault is told again.
pub struct Alarms {
    /// The operator's webhook.
    pub bell: Bell,
    /// From one reminder to the next.
    pub every: Span,
}

/// When each destination with a standing alarm was told of last.
type Told = BTreeMap<String, Timestamp>;

/// Looks and rings for as long as the server runs. What was not taken is told again after a pause.
pub(crate) async fn watch(app: App, alarms: Arc<Alarms>) {
    let directory = app.engine.directory().to_owned();
    let mut told = read(&directory);
    let mut pause = LOOK_EVERY;
    loop {
        tokio::time::sleep(pause).await;
        pause = LOOK_EVERY;
        let shared = app.engine.shared().clone();
        let (definitions, now) = (shared.definitions(), shared.now());
        let keys: Vec<String> = definitions.workspace.destinations.iter().map(|destination| destination.key.clone()).collect();
        let look = move || keys.into_iter().filter_map(|key| Some((shared.removals(&key, now).ok()?, key))).collect::<Vec<_>>();
        let Ok(found) = tokio::task::spawn_blocking(look).await else { continue };
        let before = told.clone();
        // Of a tool that is gone nothing more is heard.
        told.retain(|key, _| definitions.workspace.destination(key).is_some());
        for (removals, key) in found {
            let Some((kind, reminder)) = due(removals, told.get(&key).copied(), alarms.every, now) else { continue };
            let confirm_within = definitions.workspace.destination(&key).map_or(0, |destination| destination.confirm_within().0);
            let notice = Notice {
                kind,
                destination: key.clone(),
                overdue: removals.overdue,
                waiting: removals.waiting,
                oldest_at: removals.oldest_at,
                confirm_within_s: confirm_within / 1_000_000,
                reminder,
                at: now,
            };
            // The same notice told again has the same id.
            let since = told.get(&key).copied().or(removals.oldest_at).unwrap_or_default();
            let rung = alarms.bell.ring(&format!("alm_{key}_{}_{}", removals.overdue > 0, since.0), &notice).await;
            let outcome = if rung.is_ok() { "told" } else { "failed" };
            metrics::counter!("jumelle_alarms_total", "outcome" => outcome).increment(1);
            match rung {
                Ok(()) if removals.overdue > 0 => _ = told.insert(key, now),
                Ok(()) => _ = told.remove(&key),
                Err(reason) => {
                    pause = RING_AGAIN;
                    tracing::warn!(destination = key, reason, "the alarm was not taken; it is told again");
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

/// What is to be told of a tool now, and whether it is a reminder.
fn due(removals: Removals, told: Option<Timestamp>, every: Span, now: Timestamp) -> Option<(&'static str, bool)> {
    match (removals.overdue > 0, told) {
        (true, None) => Some(("removals.overdue", false)),
        (true, Some(last)) if last + every <= now => Some(("removals.overdue", true)),
        (false, Some(_)) => Some(("removals.mended", false)),
        _ => None,
    }
}

fn read(directory: &Path) -> Told {
    // What cannot be read is told again: rather twice than never.
    std::fs::read(directory.join(FILE)).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
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
        let removals = |overdue| Removals { waiting: 3, overdue, oldest_at: None };
        let (every, at) = (Span(100), Timestamp(1_000));
        assert_eq!(due(removals(0), None, every, at), None);
        assert_eq!(due(removals(2), None, every, at), Some(("removals.overdue", false)));
        assert_eq!(due(removals(3), Some(Timestamp(950)), every, at), None);
        assert_eq!(due(removals(3), Some(Timestamp(900)), every, at), Some(("removals.overdue", true)));
        assert_eq!(due(removals(0), Some(Timestamp(999)), every, at), Some(("removals.mended", false)));
    }
}
