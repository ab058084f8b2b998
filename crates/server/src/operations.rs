//! Health, metrics, logs.

use std::any::Any;
use std::time::Instant;

use axum::Json;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use serde_json::{Value, json};
use tracing::Instrument as _;

use crate::headers::Protection;
use crate::health::{self, Signs};
use crate::{App, Problem};

/// Names of the metrics and what they say.
pub const METRICS: [(&str, &str); 72] = [
    ("jumelle_stored_events_total", "Events durably in the history"),
    ("jumelle_processed_events_total", "Events identified, folded, evaluated and gated"),
    ("jumelle_duplicate_events_total", "Events whose message id was known"),
    ("jumelle_rejected_events_total", "Events put in quarantine, by rule"),
    ("jumelle_set_aside_events_total", "Events of robots kept apart, by source and rule"),
    (
        "jumelle_reduced_events_total",
        "Events of which less was stored because their purpose was refused, by source, purpose and what is left",
    ),
    ("jumelle_heavy_people", "People with 10,000 events or more today (UTC), since the start of the process"),
    ("jumelle_unauthorized_total", "Calls without a valid key or token, or outside of its role, by what was missing"),
    ("jumelle_limited_total", "Requests answered with 429, by whose limit it was: address, write_key, token, sign_in"),
    ("jumelle_overloaded_total", "Collection requests answered with 503 because too much waits, by where: bodies, intake"),
    ("jumelle_connections", "Connections that are open"),
    ("jumelle_connections_refused_total", "Connections not taken because there are too many"),
    ("jumelle_connections_cut_total", "Connections ended by a limit, by why"),
    ("jumelle_unidentified_events_total", "Stored events that name nobody"),
    ("jumelle_ignored_identifiers_total", "Values not taken as identifiers, by namespace"),
    ("jumelle_people_created_total", "People seen for the first time"),
    ("jumelle_joins_total", "People found to be one"),
    ("jumelle_refused_joins_total", "Joins refused by a limit, by namespace"),
    ("jumelle_choices_total", "Consents recorded, by state"),
    ("jumelle_unusable_consents_total", "Consents for an address that is not one"),
    ("jumelle_segment_transitions_total", "Entries and exits, by direction"),
    ("jumelle_deliveries_total", "Deliveries, by destination and state"),
    ("jumelle_files_total", "Files put, by destination"),
    ("jumelle_erasures_total", "People erased"),
    ("jumelle_lapsed_people_total", "People erased because their time as a prospect was over"),
    ("jumelle_corrected_identifiers_total", "Wrong identifiers put right"),
    ("jumelle_splits_total", "People who were found to be one, taken apart"),
    ("jumelle_rights_requests_total", "What people asked about their rights, by kind"),
    ("jumelle_links_total", "Signed links: unsubscribed, expired, invalid"),
    ("jumelle_history_bytes_total", "Bytes appended to the history"),
    ("jumelle_commit_seconds", "Duration of a durable commit: one write and one fsync of the history"),
    ("jumelle_flush_seconds", "Duration of writing the tables behind"),
    ("jumelle_ledger_seconds", "Waiting for the ledger before something is let out"),
    ("jumelle_request_seconds", "Duration of an HTTP request, by route and status"),
    ("jumelle_processed_lag_seconds", "From the arrival of a block's first entry to the block being folded"),
    ("jumelle_sent_lag_seconds", "From a delivery's cause to the destination's having taken it"),
    ("jumelle_delivery_seconds", "Duration of a request to a destination"),
    ("jumelle_delivery_failures_total", "Requests to destinations that failed"),
    ("jumelle_delivery_queue", "Deliveries in memory that wait, by destination"),
    ("jumelle_outbox_oldest_seconds", "Since the cause of the delivery that waits longest, by destination"),
    ("jumelle_removals_waiting", "Removals that a destination has not confirmed"),
    ("jumelle_removals_overdue", "Of these, beyond the time that the destination has for it"),
    ("jumelle_connector_reloads_total", "Readings of a changed folder of connectors, by outcome: taken, refused"),
    ("jumelle_inbound_total", "Reports of tools about their messages, by destination"),
    ("jumelle_inbound_unknown_total", "Of them, about an address that nobody has, by destination"),
    ("jumelle_results_total", "What came of messages, by destination and outcome"),
    ("jumelle_replayed_deliveries_total", "Deliveries that somebody had queued again, by how they had ended"),
    ("jumelle_test_calls_total", "Test calls of destinations, by connector and outcome"),
    ("jumelle_reconciliation_drift", "People too many and too few at the last comparison, by destination and kind"),
    ("jumelle_alarms_total", "Alarms about removals that no tool confirms, by outcome"),
    ("jumelle_reconciliations_failed_total", "Scheduled comparisons that could not be made, by destination"),
    ("jumelle_census_seconds", "How long the last count of consents took"),
    ("jumelle_circuit_open", "1: the destination is left alone for a while"),
    ("jumelle_ready", "1: /readyz says ready"),
    ("jumelle_lag_entries", "Entries of the history that are not folded yet"),
    ("jumelle_lag_seconds", "Since the oldest entry that is not folded yet arrived"),
    ("jumelle_uptime_seconds", "Since the start of the process"),
    ("jumelle_resident_bytes", "Memory of the process"),
    ("jumelle_intake_queue", "Submissions that wait for the committer, 4,096 at most"),
    ("jumelle_unwritten_rows", "Rows and people that are changed and not in the tables yet"),
    ("jumelle_people_cached", "People in memory"),
    ("jumelle_people_lookups_total", "Look-ups of people, by where they were found: memory, tables"),
    ("jumelle_store_journals", "Journals kept, by store: history, tables"),
    ("jumelle_store_journal_bytes", "Bytes of the journals"),
    ("jumelle_store_level0_files", "Files of level 0 of the keyspace that has most"),
    ("jumelle_store_files", "Files of all levels"),
    ("jumelle_store_flushes_waiting", "Memory tables that wait to be written"),
    ("jumelle_store_compactions_running", "Compactions under way"),
    ("jumelle_store_disk_bytes", "Bytes on disk with the journals, by store"),
    ("jumelle_disk_bytes", "Bytes on disk without the journals, by store and part"),
    ("jumelle_store_compacting_seconds", "Time spent on compactions since the start, by store"),
    ("jumelle_store_compactions_total", "Compactions since the start, by store"),
];

/// Seconds that are read at one instant, where the others are measured one by one.
const GAUGES_OF_SECONDS: [&str; 4] =
    ["jumelle_lag_seconds", "jumelle_outbox_oldest_seconds", "jumelle_uptime_seconds", "jumelle_store_compacting_seconds"];

/// Spans that people wait for, seconds.
const LAG_BUCKETS: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0, 3_600.0];

/// Installs the recorder of this process; `Err` if there is one already.
pub fn install_metrics() -> Result<PrometheusHandle, String> {
    let handle = PrometheusBuilder::new()
        .set_buckets(&[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5])
        .map_err(|error| error.to_string())?
        .set_buckets_for_metric(Matcher::Suffix("_lag_seconds".into()), &LAG_BUCKETS)
        .map_err(|error| error.to_string())?
        .install_recorder()
        .map_err(|error| error.to_string())?;
    for (name, help) in METRICS {
        match name {
            name if name.ends_with("_total") => metrics::describe_counter!(name, help),
            name if GAUGES_OF_SECONDS.contains(&name) => metrics::describe_gauge!(name, help),
            name if name.ends_with("_seconds") => metrics::describe_histogram!(name, help),
            name => metrics::describe_gauge!(name, help),
        }
    }
    for name in ["jumelle_stored_events_total", "jumelle_processed_events_total", "jumelle_duplicate_events_total"] {
        metrics::counter!(name).absolute(0);
    }
    Ok(handle)
}

/// The process runs.
pub(crate) async fn healthz() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

/// It takes events and folds them.
pub(crate) async fn readyz(State(app): State<App>) -> Response {
    let signs = Signs::of(&app);
    if let Err(why) = signs.verdict(app.limits.ready_lag) {
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not ready", why).into_response();
    }
    Json(json!({"status": "ready", "lag_entries": signs.lag_entries, "computing": signs.computing})).into_response()
}

/// Prometheus text.
pub(crate) async fn metrics(State(app): State<App>) -> Response {
    // Reads the tables: not on a thread that answers requests. One that panics leaves the gauges as they were.
    let read = app.clone();
    let _ = tokio::task::spawn_blocking(move || health::set_gauges(&read)).await;
    app.metrics.run_upkeep();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], app.metrics.render()).into_response()
}

pub(crate) async fn openapi_json() -> Json<Value> {
    Json(crate::openapi())
}

pub(crate) fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    // The panic hook has logged where; what it said may hold personal data and stays in the house.
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error", "this should not happen; the log says where")
        .into_response()
}

/// Headers of every answer, and one line per request with an id, no query and no path values: they may hold personal data.
pub(crate) async fn log_requests(State(app): State<App>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let protection = Protection::of(request.uri().path(), app.is_tls());
    let id = format!("{:016x}", rand::random::<u64>());
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched".to_owned(), |path| path.as_str().to_owned());
    let span = tracing::trace_span!(
        target: "jumelle::trace",
        "request",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        http.request.method = %method,
        http.route = route,
        http.response.status_code = tracing::field::Empty,
        request_id = id,
    );
    if let Some(trace_parent) = app.trace_parent.as_ref().filter(|_| !span.is_disabled()) {
        trace_parent(&span, request.headers());
    }
    let mut response = next.run(request).instrument(span.clone()).await;
    let status = response.status();
    span.record("http.response.status_code", i64::from(status.as_u16()));
    drop(span);
    let seconds = started.elapsed().as_secs_f64();
    protection.add_to(response.headers_mut());
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert("x-request-id", value);
    }
    metrics::histogram!("jumelle_request_seconds", "route" => route.clone(), "status" => status.as_str().to_owned())
        .record(seconds);
    let milliseconds = seconds * 1_000.0;
    if status.is_server_error() {
        tracing::error!(request_id = %id, %method, route, status = status.as_u16(), milliseconds, "request failed");
    } else {
        tracing::debug!(request_id = %id, %method, route, status = status.as_u16(), milliseconds, "request");
    }
    response
}
