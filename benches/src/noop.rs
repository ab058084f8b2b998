//! The ceiling of the HTTP side: an axum handler that stores nothing, in a process of its own as the server is; and one that reads
//! from Redis.

use std::net::SocketAddr;

use ::redis::AsyncCommands;
use ::redis::aio::MultiplexedConnection;
use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use serde_json::Value;

const ANSWER: &str = r#"{"success":true}"#;

/// A profile as the fastest of stores would give it: the bytes that Redis holds under its name.
fn profiles(redis: MultiplexedConnection) -> Router {
    let read = async |State(mut redis): State<MultiplexedConnection>, Path(name): Path<String>| match redis
        .get::<_, Option<Vec<u8>>>(name)
        .await
    {
        Ok(Some(profile)) => Ok(profile),
        Ok(None) => Err(StatusCode::NOT_FOUND),
        Err(_) => Err(StatusCode::BAD_GATEWAY),
    };
    Router::new().route("/v1/profiles/{name}", get(read)).with_state(redis)
}

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

/// Serves until the process is ended; with profiles, if there is a Redis that has them.
pub fn serve(address: SocketAddr, redis: Option<SocketAddr>) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let router = match redis {
            Some(redis) => router().merge(profiles(crate::redis::connect(redis).await?)),
            None => router(),
        };
        use axum::serve::ListenerExt;
        let listener = tokio::net::TcpListener::bind(address).await?.tap_io(|stream| {
            // Only latency suffers where the option cannot be set.
            let _ = stream.set_nodelay(true);
        });
        axum::serve(listener, router).await?;
        Ok(())
    })
}
