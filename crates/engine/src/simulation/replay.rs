//! Replaying a history in blocks of another size than it was committed in.

use std::collections::{BTreeMap, BTreeSet};

use jumelle_model::ids::{Position, ProfileId};
use jumelle_store::{Block, BlockBuilder, History, Table, Tables};

use crate::delivery::Delivery;
use crate::fold::Fold;
use crate::people::decode;
use crate::rebuild::logical;
use crate::{Options, open_shared};

const FRESH: &str = "tables.replayed";

/// The history, for somebody who looks for the reason of a difference.
pub fn print(history: &History) {
    for block in history.blocks(Position(0)) {
        for record in block.unwrap().records() {
            let (position, record) = record.unwrap();
            println!("{:5} {} {:?}", position.0, record.received, record.entry);
        }
    }
}

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// What each table means.
pub fn contents(tables: &Tables) -> BTreeMap<&'static str, Rows> {
    Table::ALL.iter().map(|table| (table.name(), logical(tables, *table).map(Result::unwrap).collect())).collect()
}

/// The first row of a table that differs, as somebody who looks for the reason wants to see it.
pub fn first_difference(table: &str, live: &Rows, fresh: &Rows) -> Option<String> {
    let keys: BTreeSet<&Vec<u8>> = live.keys().chain(fresh.keys()).collect();
    let key = keys.into_iter().find(|key| live.get(*key) != fresh.get(*key))?;
    let shown = |row: Option<&Vec<u8>>| match (row, table) {
        (None, _) => "nothing".to_owned(),
        (Some(row), "deliveries") => format!("{:?}", Delivery::decode(row)),
        (Some(row), "people") => format!("{:?}", decode(ProfileId(0), row)),
        (Some(row), _) => String::from_utf8_lossy(row).into_owned(),
    };
    let key_text: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(format!("{table}, row {key_text}\n  live:     {}\n  replayed: {}", shown(live.get(key)), shown(fresh.get(key))))
}

/// Folds the history of a directory into fresh tables, in blocks of `size` entries. Where folds run on several threads one day,
/// their number comes beside the size.
pub fn replay(options: &Options, size: usize) -> BTreeMap<&'static str, Rows> {
    let path = options.directory.join(FRESH);
    let contents = {
        let shared = open_shared(options, FRESH).unwrap();
        let mut fold = Fold::new(shared.clone()).unwrap();
        let mut builder = BlockBuilder::default();
        let mut first = Position(0);
        let mut take = |builder: &mut BlockBuilder, end: Position| {
            let (_, block): (_, Block) = std::mem::take(builder).finish(first);
            fold.block(&block, Position(0)).unwrap();
            first = end;
        };
        for block in shared.history.blocks(Position(0)) {
            for record in block.unwrap().records() {
                let (position, record) = record.unwrap();
                builder.push(&record);
                if builder.len() == size {
                    take(&mut builder, Position(position.0 + 1));
                }
            }
        }
        if !builder.is_empty() {
            let end = shared.history.end().unwrap().0;
            take(&mut builder, end);
        }
        fold.flush_now().unwrap();
        contents(&shared.behind.tables)
    };
    std::fs::remove_dir_all(path).unwrap();
    contents
}
