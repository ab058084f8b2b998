//! Reading many people or deliveries takes a moment: not on a thread that answers others.

use axum::http::StatusCode;

use crate::Problem;

/// Runs it on a thread of its own.
pub(crate) async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(read)
        .await
        .map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "this could not be read", error.to_string()))?
}
