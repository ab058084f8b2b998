//! After an erasure the storage engine still has, in files that it will merge some day, what was overwritten and removed. It is made
//! to drop that: at once where it is little, within the hour where it is much.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use jumelle_store::Result;

use crate::shared::Shared;

/// How often it is looked whether there is something to drop.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Up to so many bytes on disk, everything is merged at once.
const AT_ONCE_BYTES_MAX: u64 = 256 << 20;
/// Above, as often as this at most: to merge all files reads and writes all of them.
const MERGE_EVERY: Duration = Duration::from_secs(3_600);

/// Drops what erasures left, as long as the engine runs.
pub(crate) fn start(shared: Arc<Shared>) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let mut last: Option<Instant> = None;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            if !shared.to_sweep.load(Ordering::Acquire) {
                continue;
            }
            let bytes = shared.behind.tables.disk_bytes().saturating_add(shared.history.upkeep().disk_bytes);
            if bytes > AT_ONCE_BYTES_MAX && last.is_some_and(|last| last.elapsed() < MERGE_EVERY) {
                continue;
            }
            shared.to_sweep.store(false, Ordering::Release);
            last = Some(Instant::now());
            let swept = shared.clone();
            match tokio::task::spawn_blocking(move || sweep(&swept)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(%error, "what an erasure overwrote could not be dropped; it is tried again");
                    shared.to_sweep.store(true, Ordering::Release);
                }
                Err(_) => return,
            }
        }
    })
}

fn sweep(shared: &Shared) -> Result<()> {
    shared.history.compact()?;
    // Rows that are removed are removed in the tables only when they are written behind.
    std::thread::sleep(crate::FLUSH_EVERY * 2);
    shared.behind.tables.compact()
}
