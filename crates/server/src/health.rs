//! Whether the house is well: the verdict of `/readyz`, the gauges of `/metrics`, and all of it for the console's page.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use jumelle_engine::{DeliveryState, durations};
use jumelle_model::time::Timestamp;
use jumelle_store::Upkeep;
use serde_json::{Value, json};

use crate::{App, Problem};

/// How long the fold's loop may stand at one place before it counts as stalled. New definitions and erasures are announced as
/// `computing` and may take longer.
const STALLED_AFTER: Duration = Duration::from_secs(10);

/// Counters of what was not taken, or not as what it seemed, with the label that says why.
const DROPPED: [(&str, &str, &str); 9] = [
    ("quarantined", "jumelle_rejected_events_total", "rule"),
    ("duplicate", "jumelle_duplicate_events_total", ""),
    ("unidentified", "jumelle_unidentified_events_total", ""),
    ("identifier_ignored", "jumelle_ignored_identifiers_total", "namespace"),
    ("consent_unusable", "jumelle_unusable_consents_total", ""),
    ("unauthorized", "jumelle_unauthorized_total", "what"),
    ("limited", "jumelle_limited_total", "what"),
    ("connection_refused", "jumelle_connections_refused_total", "why"),
    ("connection_cut", "jumelle_connections_cut_total", "why"),
];

/// What the verdict is made of.
#[derive(Debug, Default)]
pub(crate) struct Signs {
    /// Why no more writes are taken.
    refusing: Option<String>,
    /// Why the history cannot be read.
    unreadable: Option<String>,
    /// Entries that are not folded yet.
    pub(crate) lag_entries: u64,
    /// Since the oldest of them arrived.
    pub(crate) lag: Duration,
    /// Since the fold's loop came round last.
    still: Duration,
    /// A backfill is under way.
    pub(crate) computing: bool,
}

impl Signs {
    pub(crate) fn of(app: &App) -> Signs {
        let shared = app.engine.shared();
        // The position is read before the end, so that entries folded in between do not count as waiting.
        let position = shared.position();
        let mut signs = Signs {
            refusing: app.engine.intake().failure().map(str::to_owned),
            still: shared.pulse.still(),
            computing: shared.computing.load(Ordering::Acquire),
            ..Signs::default()
        };
        match shared.history.end().and_then(|(end, _)| Ok((end, shared.oldest_unfolded()?))) {
            Ok((end, oldest)) => {
                signs.lag_entries = end.0.saturating_sub(position.0);
                let waited = oldest.map_or(0, |received| shared.wall.now().0.saturating_sub(received.0).max(0));
                signs.lag = Duration::from_micros(waited as u64);
            }
            Err(error) => signs.unreadable = Some(error.to_string()),
        }
        signs
    }

    /// `Err`: why it is not ready, in one sentence.
    pub(crate) fn verdict(&self, lag_max: Duration) -> Result<(), String> {
        if let Some(reason) = &self.refusing {
            return Err(format!("no more writes are taken until the process is restarted: {reason}"));
        }
        if let Some(error) = &self.unreadable {
            return Err(format!("the history cannot be read: {error}"));
        }
        if self.still > STALLED_AFTER && !self.computing {
            return Err(format!("the fold has stood still for {} s", self.still.as_secs()));
        }
        if self.lag > lag_max {
            let (entries, seconds, max) = (self.lag_entries, self.lag.as_secs(), lag_max.as_secs());
            return Err(format!("{entries} entries are not folded, the oldest since {seconds} s; the bound is {max} s"));
        }
        Ok(())
    }
}

/// Sets the gauges that are read, not counted, right before they are given.
pub(crate) fn set_gauges(app: &App) {
    let shared = app.engine.shared();
    let signs = Signs::of(app);
    metrics::gauge!("jumelle_ready").set(f64::from(u8::from(signs.verdict(app.limits.ready_lag).is_ok())));
    metrics::gauge!("jumelle_lag_entries").set(signs.lag_entries as f64);
    metrics::gauge!("jumelle_lag_seconds").set(signs.lag.as_secs_f64());
    metrics::gauge!("jumelle_uptime_seconds").set(app.started.elapsed().as_secs_f64());
    metrics::gauge!("jumelle_resident_bytes").set(resident_bytes().unwrap_or_default() as f64);
    metrics::gauge!("jumelle_intake_queue").set(app.engine.intake().waiting() as f64);
    metrics::gauge!("jumelle_unwritten_rows").set((shared.behind.unwritten() + shared.people.dirty_len()) as f64);
    metrics::gauge!("jumelle_heavy_people").set(shared.heavy.people(shared.now()).len() as f64);
    metrics::gauge!("jumelle_people_cached").set(shared.people.cached() as f64);
    let lookups = shared.people.lookups();
    metrics::counter!("jumelle_people_lookups_total", "found" => "memory").absolute(lookups.hits);
    metrics::counter!("jumelle_people_lookups_total", "found" => "tables").absolute(lookups.misses);
    for (store, upkeep) in stores(app) {
        let gauge = |name: &'static str, value: u64| metrics::gauge!(name, "store" => store).set(value as f64);
        gauge("jumelle_store_journals", upkeep.journals);
        gauge("jumelle_store_journal_bytes", upkeep.journal_bytes);
        gauge("jumelle_store_level0_files", upkeep.level0_files);
        gauge("jumelle_store_files", upkeep.files);
        gauge("jumelle_store_flushes_waiting", upkeep.flushes_waiting);
        gauge("jumelle_store_compactions_running", upkeep.compactions_running);
        metrics::counter!("jumelle_store_compactions_total", "store" => store).absolute(upkeep.compactions);
        metrics::gauge!("jumelle_store_compacting_seconds", "store" => store).set(upkeep.compacting_s);
        gauge("jumelle_store_disk_bytes", upkeep.disk_bytes);
        for (part, bytes) in upkeep.parts {
            metrics::gauge!("jumelle_disk_bytes", "store" => store, "part" => part).set(bytes as f64);
        }
    }
    for status in app.engine.dispatcher().status() {
        let oldest = shared.oldest_queued(&status.key).unwrap_or_default();
        let waited = oldest.map_or(0, |at| shared.now().0.saturating_sub(at.0).max(0));
        let removals = shared.removals(&status.key, shared.now()).unwrap_or_default();
        metrics::gauge!("jumelle_removals_waiting", "destination" => status.key.clone()).set(removals.waiting as f64);
        metrics::gauge!("jumelle_removals_overdue", "destination" => status.key.clone()).set(removals.overdue as f64);
        metrics::gauge!("jumelle_outbox_oldest_seconds", "destination" => status.key).set(waited as f64 / 1e6);
    }
}

fn stores(app: &App) -> [(&'static str, Upkeep); 2] {
    let shared = app.engine.shared();
    [("history", shared.history.upkeep()), ("tables", shared.behind.tables.upkeep())]
}

/// `GET /v1/health/details`
pub async fn details(State(app): State<App>) -> Result<Json<Value>, Problem> {
    tokio::task::spawn_blocking(move || read(&app)).await.map_err(|_| Problem::bad_request("the health could not be read"))?
}

fn read(app: &App) -> Result<Json<Value>, Problem> {
    let shared = app.engine.shared();
    let signs = Signs::of(app);
    let verdict = signs.verdict(app.limits.ready_lag);
    let milliseconds = |seconds: f64| (seconds * 1e6).round() / 1e3;
    let durations: Vec<Value> = durations::ALL
        .iter()
        .map(|(key, durations)| {
            let summary = durations.summary();
            let part = |of: fn(durations::Summary) -> f64| summary.map(|summary| milliseconds(of(summary)));
            json!({
                "key": key, "count": summary.map_or(0, |summary| summary.count),
                "p50_ms": part(|summary| summary.p50_s), "p99_ms": part(|summary| summary.p99_s),
                "max_ms": part(|summary| summary.max_s),
            })
        })
        .collect();
    let outboxes: Vec<Value> = app
        .engine
        .dispatcher()
        .status()
        .into_iter()
        .map(|status| {
            Ok(json!({
                "destination": status.key, "queued": shared.count_deliveries(&status.key, DeliveryState::Queued)?,
                "dead": shared.count_deliveries(&status.key, DeliveryState::Dead)?, "in_flight": status.in_flight,
                "removals": shared.removals(&status.key, shared.now())?,
                "oldest_queued_at": shared.oldest_queued(&status.key)?, "circuit": status.circuit, "retry_at": status.open_until,
            }))
        })
        .collect::<Result<_, Problem>>()?;
    let stores: Vec<Value> = stores(app).into_iter().map(|(key, upkeep)| store_json(key, upkeep)).collect();
    let lookups = shared.people.lookups();
    Ok(Json(json!({
        "at": Timestamp::now(), "ready": verdict.is_ok(), "why": verdict.err(), "computing": signs.computing,
        "uptime_s": app.started.elapsed().as_secs(), "memory_bytes": resident_bytes(),
        "lag": {"entries": signs.lag_entries, "seconds": milliseconds(signs.lag.as_secs_f64()) / 1e3},
        "durations": durations,
        "queues": {
            "intake": app.engine.intake().waiting(), "fold_entries": signs.lag_entries,
            "unwritten_rows": shared.behind.unwritten(), "unwritten_people": shared.people.dirty_len(),
        },
        "outboxes": outboxes,
        "people": {"cached": shared.people.cached(), "hits": lookups.hits, "misses": lookups.misses},
        "stores": stores,
        "dropped": dropped(&app.metrics.render()),
    })))
}

fn store_json(key: &str, upkeep: Upkeep) -> Value {
    let parts: Vec<Value> = upkeep.parts.iter().map(|(part, bytes)| json!({"part": part, "bytes": bytes})).collect();
    json!({
        "key": key, "disk_bytes": upkeep.disk_bytes, "journals": upkeep.journals, "journal_bytes": upkeep.journal_bytes,
        "level0_files": upkeep.level0_files, "files": upkeep.files, "flushes_waiting": upkeep.flushes_waiting,
        "compactions_running": upkeep.compactions_running, "compactions": upkeep.compactions,
        "compacting_s": upkeep.compacting_s, "parts": parts,
    })
}

/// What was dropped and why, most first, out of the text of `/metrics`: the page says what the monitoring says.
fn dropped(text: &str) -> Vec<Value> {
    let mut found = Vec::new();
    for line in text.lines() {
        let Some((series, value)) = line.rsplit_once(' ') else { continue };
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let Some((what, _, label)) = DROPPED.iter().find(|(_, metric, _)| *metric == name) else { continue };
        let count = value.parse::<f64>().unwrap_or(0.0) as u64;
        // The values of these labels are names of ours or keys of the workspace: no quotation marks in them.
        let reason = labels.split_once(&format!("{label}=\"")).and_then(|(_, rest)| rest.split('"').next());
        if count > 0 {
            found.push((count, what, reason.filter(|_| !label.is_empty())));
        }
    }
    found.sort_by_key(|(count, what, reason)| (std::cmp::Reverse(*count), **what, *reason));
    found.into_iter().map(|(count, what, reason)| json!({"what": what, "reason": reason, "count": count})).collect()
}

/// Memory of this process, where the system tells (Linux).
pub(crate) fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_secs(60);

    #[test]
    fn readiness_is_refused_for_each_reason() {
        let seconds = Duration::from_secs;
        let cases = [
            (Signs::default(), None),
            (Signs { lag: seconds(60), lag_entries: 9, still: seconds(10), ..Signs::default() }, None),
            (Signs { refusing: Some("fsync: EIO".into()), ..Signs::default() }, Some("no more writes are taken")),
            (Signs { unreadable: Some("EIO".into()), ..Signs::default() }, Some("the history cannot be read: EIO")),
            (Signs { still: seconds(11), ..Signs::default() }, Some("the fold has stood still for 11 s")),
            (Signs { still: seconds(11), computing: true, ..Signs::default() }, None),
            (
                Signs { lag: seconds(61), lag_entries: 9, ..Signs::default() },
                Some("9 entries are not folded, the oldest since 61 s; the bound is 60 s"),
            ),
            (Signs { lag: seconds(61), computing: true, ..Signs::default() }, Some("the bound is 60 s")),
        ];
        for (signs, wanted) in cases {
            let why = signs.verdict(BOUND).err();
            match wanted {
                None => assert_eq!(why, None, "{signs:?}"),
                Some(words) => assert!(why.as_deref().is_some_and(|why| why.contains(words)), "{signs:?}: {why:?}"),
            }
        }
    }

    #[test]
    fn what_was_dropped_is_read_from_the_metrics() {
        let text = "# HELP jumelle_rejected_events_total x\njumelle_rejected_events_total{rule=\"not_utf8\"} 2\n\
                    jumelle_rejected_events_total{rule=\"not_a_number\"} 7\njumelle_duplicate_events_total 3\n\
                    jumelle_unidentified_events_total 0\njumelle_stored_events_total 99\n";
        let wanted = json!([
            {"what": "quarantined", "reason": "not_a_number", "count": 7}, {"what": "duplicate", "reason": null, "count": 3},
            {"what": "quarantined", "reason": "not_utf8", "count": 2},
        ]);
        assert_eq!(Value::from(dropped(text)), wanted);
    }
}
