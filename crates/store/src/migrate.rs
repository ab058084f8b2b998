//! From the formats of older versions to today's.

use std::path::Path;

use fjall::KeyspaceCreateOptions;

use crate::tables::FORMAT_ROW;
use crate::{FORMAT, Result, StoreError, Table, Tables, directory};

const MIGRATED: &str = "tables.migrated";
/// Rows written in one batch of a migration.
const BATCH_ROWS: usize = 10_000;

/// Makes a directory ready to be opened: there, of today's format, and with one set of tables. Refuses a newer format.
pub fn prepare(directory: &Path) -> Result<()> {
    directory::create(directory)?;
    let format = directory::format(directory)?;
    directory::settle_tables(directory)?;
    if format == Some(FORMAT) {
        return Ok(());
    }
    if let Some(format) = format {
        tracing::info!(format, to = FORMAT, "bringing the directory to today's format");
        tables(directory)?;
    }
    directory::set_format(directory)
}

/// Format 1 to 2: each row gets its checksum. Blocks of the history are read in both formats and stay as they are.
fn tables(directory: &Path) -> Result<()> {
    let (live, fresh) = (directory.join("tables"), directory.join(MIGRATED));
    if fresh.exists() {
        std::fs::remove_dir_all(&fresh).map_err(|source| StoreError::Io { path: fresh.display().to_string(), source })?;
    }
    if !live.exists() {
        return Ok(());
    }
    {
        let (old, _) = crate::open_checked(&live, 8 << 20, false)?;
        if old.keyspace(Table::Meta.name(), KeyspaceCreateOptions::default)?.get(FORMAT_ROW)?.is_some() {
            return Ok(());
        }
        let new = Tables::open(directory, MIGRATED, 8 << 20)?;
        for table in Table::ALL {
            let mut batch = new.batch();
            for guard in old.keyspace(table.name(), KeyspaceCreateOptions::default)?.iter() {
                let (key, value) = guard.into_inner()?;
                batch.put(table, &key, &value);
                if batch.len() >= BATCH_ROWS {
                    std::mem::replace(&mut batch, new.batch()).write()?;
                }
            }
            batch.write()?;
        }
        new.sync()?;
    }
    directory::replace_tables(directory, MIGRATED)
}
