//! After an erasure the storage engine still has, in files that it will merge some day and in its journals, what was overwritten and
//! removed. It is made to drop that: at once where it is little, within the hour where it is much.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use jumelle_model::ids::Position;
use jumelle_store::{History, Result};

use crate::shared::Shared;

/// How often it is looked whether there is something to drop.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Up to so many bytes on disk, everything is merged at once.
const AT_ONCE_BYTES_MAX: u64 = 256 << 20;
/// Above, as often as this at most: to merge all files reads and writes all of them.
const MERGE_EVERY: Duration = Duration::from_secs(3_600);
/// Journals are turned over as often as this at most: each time writes 64 MB to each.
const TURN_EVERY: Duration = Duration::from_secs(600);
/// And this often where there is little on disk: a tool confirms an erasure some seconds after it, and then her address goes.
const TURN_LITTLE_EVERY: Duration = Duration::from_secs(20);
/// Of the history's own settings: whether an erasure has left something. It survives a crash.
const MARK: &str = "to_sweep";

/// Notes that what the entry at `position` removes is left to be dropped.
pub(crate) fn note(shared: &Shared, position: Position) -> Result<()> {
    shared.sweep_after.fetch_max(position.0, Ordering::AcqRel);
    if !shared.to_sweep.swap(true, Ordering::AcqRel) {
        shared.history.put_meta(MARK, b"1")?;
    }
    Ok(())
}

/// Whether an earlier run has left something. `erased_before`: what a directory without the mark says.
pub(crate) fn is_left(history: &History, erased_before: bool) -> Result<bool> {
    Ok(history.get_meta(MARK)?.map_or(erased_before, |mark| mark == b"1"))
}

/// Drops what erasures left, as long as the engine runs.
pub(crate) fn start(shared: Arc<Shared>) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let (mut merged, mut turned): (Option<Instant>, Option<Instant>) = (None, None);
        let mut to_turn = false;
        let is_due = |last: Option<Instant>, every: Duration| last.is_none_or(|last| last.elapsed() >= every);
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let bytes = shared.behind.tables.disk_bytes().saturating_add(shared.history.upkeep().disk_bytes);
            let merge = shared.to_sweep.load(Ordering::Acquire) && (bytes <= AT_ONCE_BYTES_MAX || is_due(merged, MERGE_EVERY));
            to_turn |= merge;
            let turn = to_turn && is_due(turned, if bytes <= AT_ONCE_BYTES_MAX { TURN_LITTLE_EVERY } else { TURN_EVERY });
            if !merge && !turn {
                continue;
            }
            if merge {
                shared.to_sweep.store(false, Ordering::Release);
                merged = Some(Instant::now());
            }
            let swept = shared.clone();
            match tokio::task::spawn_blocking(move || sweep(&swept, merge, turn)).await {
                Ok(Ok(())) if turn => (to_turn, turned) = (false, Some(Instant::now())),
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

fn sweep(shared: &Shared, merge: bool, turn: bool) -> Result<()> {
    if merge {
        shared.history.compact()?;
        // Rows that are removed are removed in the tables only when they are written behind.
        let after = shared.sweep_after.load(Ordering::Acquire);
        while shared.behind.tables.position()?.0 <= after && !shared.stopped.load(Ordering::Acquire) {
            std::thread::sleep(crate::FLUSH_EVERY / 10);
        }
        shared.behind.tables.compact()?;
    }
    if turn {
        shared.history.turn_journal()?;
        shared.behind.tables.turn_journal()?;
        shared.history.put_meta(MARK, b"0")?;
        // Another erasure meanwhile may have noted itself before this.
        if shared.to_sweep.load(Ordering::Acquire) {
            shared.history.put_meta(MARK, b"1")?;
        }
    }
    Ok(())
}
