//! Entries of the history as they are folded, for people who watch.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::{Extension, Json};
use futures_util::stream::{self, Stream, StreamExt as _};
use jumelle_engine::Heard;
use jumelle_model::ids::Position;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;

use crate::tokens::Identity;
use crate::{App, Problem};

/// Effects of the past that a watcher may ask for.
const RECENT_MAX: usize = 1_000;
/// A comment now and then keeps proxies from closing a quiet stream.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// `?recent=100`
#[derive(Deserialize)]
pub struct LiveQuery {
    recent: Option<usize>,
}

/// `GET /v1/live`: `effect` for each entry; `skipped` where there were too many, or this watcher was too slow.
pub async fn stream(
    State(app): State<App>,
    Extension(identity): Extension<Identity>,
    Query(query): Query<LiveQuery>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let (recent, watcher) = app.engine.shared().live.watch(query.recent.unwrap_or(100).min(RECENT_MAX));
    let past = stream::iter(recent.into_iter().map(|effect| named("effect", &effect.json())));
    let to_come = stream::unfold(watcher, |mut watcher| async move {
        let event = match watcher.recv().await {
            Ok(Heard::Effect(effect)) => named("effect", &effect.json()),
            Ok(Heard::Skipped(count)) | Err(RecvError::Lagged(count)) => named("skipped", &json!({"count": count})),
            Err(RecvError::Closed) => return None,
        };
        Some((event, watcher))
    });
    // Whoever watches stops seeing at the instant at which the token ends.
    let shown = past.chain(to_come).map(Ok).take_until(app.tokens.ended(&identity));
    Sse::new(shown).keep_alive(KeepAlive::new().interval(HEARTBEAT))
}

fn named(name: &str, data: &Value) -> Event {
    Event::default().event(name).data(data.to_string())
}

/// `GET /v1/live/{position}`: what one entry did, while it is remembered.
pub async fn one(State(app): State<App>, Path(position): Path<u64>) -> Result<Json<Value>, Problem> {
    let effect = app.engine.shared().live.at(Position(position));
    effect.map(|effect| Json(effect.json())).ok_or_else(|| {
        Problem::not_found("what this entry did is not remembered any more; the person's page tells what stands now")
    })
}
