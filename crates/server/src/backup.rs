//! `GET /v1/backup`: the history as frames, for `jumelle backup`.

use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use jumelle_model::ids::Position;
use jumelle_model::time::Timestamp;
use jumelle_store::backup::{BackupError, Mark};
use serde::Deserialize;
use tokio::sync::{mpsc, oneshot};

use crate::{App, Problem};

/// Frames read ahead of the client: a frame is a block, 1 MiB and one submission at most.
const FRAMES_AHEAD_MAX: usize = 4;

/// `?history=ID&from=POSITION&received=INSTANT`: where an earlier backup has come to; all three or none.
#[derive(Deserialize)]
pub struct BackupQuery {
    history: Option<String>,
    from: Option<u64>,
    received: Option<i64>,
}

impl BackupQuery {
    fn mark(&self) -> Result<Option<Mark>, Problem> {
        match (&self.history, self.from, self.received) {
            (None, None, None) => Ok(None),
            (Some(history), Some(from), Some(received)) => {
                let history = u128::from_str_radix(history, 16).map_err(|_| Problem::bad_request("history is hexadecimal"))?;
                Ok(Some(Mark { history, end: Position(from), received: Timestamp(received) }))
            }
            _ => Err(Problem::bad_request("history, from and received go together, or none of them for a first backup")),
        }
    }
}

/// A stream at the client's pace. Collection goes on meanwhile; what arrives after the stream began is for the next backup.
pub async fn backup(State(app): State<App>, Query(query): Query<BackupQuery>) -> Result<Response, Problem> {
    let mark = query.mark()?;
    let (sender, receiver) = mpsc::channel::<Result<Bytes, std::io::Error>>(FRAMES_AHEAD_MAX);
    let (begun, accepted) = oneshot::channel();
    tokio::task::spawn_blocking(move || {
        let frames = match app.engine.shared().history.backup(mark) {
            Ok(frames) => frames,
            Err(error) => return drop(begun.send(Err(error))),
        };
        if begun.send(Ok(())).is_err() {
            return;
        }
        for frame in frames {
            // An error breaks the stream, so that nobody takes half a backup for a whole one.
            let failed = frame.is_err();
            let piece = frame.map(|frame| frame.encode().into()).map_err(|error| std::io::Error::other(error.to_string()));
            if sender.blocking_send(piece).is_err() || failed {
                return;
            }
        }
    });
    match accepted.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(error.into()),
        Err(_) => return Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error", "the backup did not begin")),
    }
    Ok(([(header::CONTENT_TYPE, "application/vnd.jumelle.backup")], stream(receiver)).into_response())
}

/// `?after=DAY`
#[derive(Deserialize)]
pub struct LedgerQuery {
    after: Option<String>,
}

/// Bytes of one piece of a file.
const PIECE_BYTES: usize = 1 << 18;

/// `GET /v1/backup/ledger`: for each file a line of JSON (name, bytes) and its bytes; a last line says how many files are of days
/// that are over: when there were any, the copy asks again.
pub async fn ledger(State(app): State<App>, Query(query): Query<LedgerQuery>) -> Result<Response, Problem> {
    let shared = app.engine.shared().clone();
    let pieces = tokio::task::spawn_blocking(move || shared.ledger.pieces(query.after.as_deref())).await;
    let stopped = |_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error", "the copy did not begin");
    let (pieces, over) = pieces.map_err(stopped)??;
    let (sender, receiver) = mpsc::channel::<Result<Bytes, std::io::Error>>(FRAMES_AHEAD_MAX);
    tokio::task::spawn_blocking(move || {
        let mut buffer = vec![0; PIECE_BYTES];
        for piece in pieces {
            let line = format!("{}\n", serde_json::json!({"name": piece.name, "bytes": piece.bytes}));
            if sender.blocking_send(Ok(line.into())).is_err() {
                return;
            }
            let (mut file, mut left) = (piece.file, piece.bytes);
            while left > 0 {
                let wanted = PIECE_BYTES.min(usize::try_from(left).unwrap_or(PIECE_BYTES));
                let read = std::io::Read::read_exact(&mut file, &mut buffer[..wanted]);
                let failed = read.is_err();
                let bytes = read.map(|()| Bytes::copy_from_slice(&buffer[..wanted]));
                if sender.blocking_send(bytes).is_err() || failed {
                    return;
                }
                left -= wanted as u64;
            }
        }
        let _ = sender.blocking_send(Ok(format!("{}\n", serde_json::json!({"over": over})).into()));
    });
    Ok(([(header::CONTENT_TYPE, "application/vnd.jumelle.backup")], stream(receiver)).into_response())
}

fn stream(receiver: mpsc::Receiver<Result<Bytes, std::io::Error>>) -> Body {
    Body::from_stream(futures_util::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|piece| (piece, receiver))
    }))
}

impl From<BackupError> for Problem {
    fn from(error: BackupError) -> Problem {
        match error {
            BackupError::Store(error) => error.into(),
            BackupError::Refused(why) => Problem::new(StatusCode::CONFLICT, "another history", why),
            other => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "storage error", other.to_string()),
        }
    }
}
