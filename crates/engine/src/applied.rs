//! Which definitions were in force when, and who brought them. The rows are places; the texts stay in the history.

use jumelle_model::ids::Position;
use jumelle_model::time::Timestamp;
use jumelle_store::{Result, Table};

use crate::fold::Fold;
use crate::shared::Shared;

/// Versions read at a time, at most: each is a whole `workspace.yaml`.
pub const APPLIED_MAX: usize = 50;

/// One version of the definitions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Applied {
    /// Where in the history.
    pub position: Position,
    /// When it arrived.
    pub at: Timestamp,
    /// Name of the token or file that brought it; none: written before that was kept.
    pub by: Option<String>,
    /// As `Workspace::to_text` writes it.
    pub text: String,
}

impl Fold {
    pub(crate) fn note_applied(&self, position: Position, by: &str) {
        let mut row = self.cause.received.0.to_be_bytes().to_vec();
        row.extend_from_slice(by.as_bytes());
        self.shared.behind.put(Table::Applied, position.0.to_be_bytes(), row);
    }
}

impl Shared {
    /// The newest versions before a position, the newest first, at most [`APPLIED_MAX`].
    pub fn applied(&self, before: Option<Position>, limit: usize) -> Result<Vec<Applied>> {
        let before = before.map(|position| position.0.to_be_bytes());
        let rows = self.behind.scan_back(Table::Applied, &[], before.as_ref().map(|key| &key[..]), limit.min(APPLIED_MAX))?;
        let mut versions = Vec::with_capacity(rows.len());
        for (key, row) in rows {
            let position = Position(u64::from_be_bytes(key.try_into().unwrap_or_default()));
            let at = row.get(..8).and_then(|bytes| bytes.try_into().ok()).map(i64::from_be_bytes).unwrap_or_default();
            let by = String::from_utf8_lossy(row.get(8..).unwrap_or_default()).into_owned();
            let Some(block) = self.history.block_of(position)? else { continue };
            let Some(record) = block.record(position)? else { continue };
            let Some(text) = record.entry.definitions() else { continue };
            let by = Some(by).filter(|by| !by.is_empty());
            versions.push(Applied { position, at: Timestamp(at), by, text: text.to_owned() });
        }
        Ok(versions)
    }
}
