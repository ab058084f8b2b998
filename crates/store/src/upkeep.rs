//! What the storage engine has still to do: the work that writes have put off, and the disk that each part takes.

use crate::{History, Tables};

/// Of one database.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Upkeep {
    /// Bytes on disk with the journals.
    pub disk_bytes: u64,
    /// Journals kept: more than a few mean that writing the tables' files does not keep up.
    pub journals: u64,
    /// Bytes of the journals.
    pub journal_bytes: u64,
    /// Memory tables that wait to be written.
    pub flushes_waiting: u64,
    /// Files of level 0 of the keyspace that has most: each is looked at by a read, and compactions bring them down.
    pub level0_files: u64,
    /// Files of all levels.
    pub files: u64,
    /// Compactions under way.
    pub compactions_running: u64,
    /// Compactions since the start.
    pub compactions: u64,
    /// Seconds spent on them since the start.
    pub compacting_s: f64,
    /// Bytes on disk by keyspace, without the journals.
    pub parts: Vec<(String, u64)>,
}

fn upkeep<'a>(database: &fjall::Database, keyspaces: impl Iterator<Item = &'a fjall::Keyspace>) -> Upkeep {
    let mut found = Upkeep {
        disk_bytes: database.disk_space().unwrap_or(0),
        journals: database.journal_count() as u64,
        journal_bytes: database.journal_disk_space().unwrap_or(0),
        flushes_waiting: database.outstanding_flushes() as u64,
        compactions_running: database.active_compactions() as u64,
        compactions: database.compactions_completed() as u64,
        compacting_s: database.time_compacting().as_secs_f64(),
        ..Upkeep::default()
    };
    for keyspace in keyspaces {
        found.level0_files = found.level0_files.max(keyspace.l0_table_count() as u64);
        found.files += (keyspace.table_count() + keyspace.blob_file_count()) as u64;
        found.parts.push((keyspace.name().to_string(), keyspace.disk_space()));
    }
    found
}

impl History {
    /// What is put off, and the disk taken.
    pub fn upkeep(&self) -> Upkeep {
        upkeep(&self.database, [&self.blocks, &self.fingerprints, &self.erasures].into_iter())
    }
}

impl Tables {
    /// What is put off, and the disk taken.
    pub fn upkeep(&self) -> Upkeep {
        upkeep(&self.database, self.keyspaces.iter())
    }
}
