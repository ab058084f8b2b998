//! The ceiling of the HTTP side: an axum handler that stores nothing, in a process of its own as the server is.

use std::net::SocketAddr;

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::{get, post};
use serde_json::Value;

const ANSWER: &str = r#"{"success":true}"#;

/// Parses a batch and drops it; takes a single event and drops it unread.
pub fn router() -> Router {
    Router::new()
        .route("/readyz", get(async || ANSWER))
        .route("/v1/batch", post(parse_and_drop))
        .route("/v1/track", post(async |_: Bytes| ANSWER))
}

async fn parse_and_drop(body: Bytes) -> Result<&'static str, StatusCode> {
    match serde_json::from_slice::<Value>(&body) {
        Ok(_) => Ok(ANSWER),
        Err(_) => Err(StatusCode::BAD_REQUEST),
    }
}

/// Serves until the process is ended.
pub fn serve(address: SocketAddr) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        use axum::serve::ListenerExt;
        let listener = tokio::net::TcpListener::bind(address).await?.tap_io(|stream| {
            // Only latency suffers where the option cannot be set.
            let _ = stream.set_nodelay(true);
        });
        axum::serve(listener, router()).await?;
        Ok(())
    })
}
