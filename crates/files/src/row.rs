//! One person's line of a file.

use jumelle_consent::{Cleared, Evidence, Standing};
use jumelle_model::message::{Message, MessageType};
use jumelle_model::workspace::Activation;
use jumelle_model::workspace::file::{Column, Content, FileTerms};
use serde_json::Value;

/// The cells of one person, in the order of the columns. `None`: empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    pub(crate) cells: Vec<Option<String>>,
}

/// The columns of an activation's file: those that are declared, or the fields of its map, `op` and `consent_at`.
pub fn columns_of(terms: &FileTerms, activation: &Activation) -> Vec<Column> {
    if !terms.columns.is_empty() {
        return terms.columns.clone();
    }
    let own: &[&str] = match terms.content {
        Content::Difference if terms.removals.is_none() => &["op", "consent_at"],
        _ => &["consent_at"],
    };
    let fields = activation.map.iter().map(|(field, _)| field.as_str());
    let own = own.iter().copied().filter(|own| !activation.map.iter().any(|(field, _)| field == own));
    fields.chain(own).map(|field| Column { field: field.to_owned(), header: field.to_owned() }).collect()
}

impl Row {
    /// What a cleared message says in these columns. A field of the map comes before a column of the file's own of the same name.
    pub fn of(cleared: &Cleared, columns: &[Column]) -> Row {
        let standing = match cleared.evidence() {
            Evidence::Granted(standing) => Some(standing),
            _ => None,
        };
        let message = cleared.message();
        Row { cells: columns.iter().map(|column| cell(message, standing, cleared.unsubscribe(), column)).collect() }
    }

    /// Its cells, in the order of the columns.
    pub fn cells(&self) -> &[Option<String>] {
        &self.cells
    }

    /// As bytes: each cell by its length and itself.
    pub(crate) fn encode(&self, into: &mut Vec<u8>) {
        for cell in &self.cells {
            let length = cell.as_ref().map_or(u32::MAX, |cell| cell.len() as u32);
            into.extend_from_slice(&length.to_le_bytes());
            into.extend_from_slice(cell.as_deref().unwrap_or_default().as_bytes());
        }
    }

    /// The inverse of [`Row::encode`]. Only what a spool holds is read: it was a row.
    pub(crate) fn decode(mut bytes: &[u8]) -> Option<Row> {
        let mut cells = Vec::new();
        while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
            let length = u32::from_le_bytes(*length);
            if length == u32::MAX {
                cells.push(None);
                bytes = rest;
                continue;
            }
            let (cell, rest) = rest.split_at_checked(length as usize)?;
            cells.push(Some(String::from_utf8(cell.to_vec()).ok()?));
            bytes = rest;
        }
        bytes.is_empty().then_some(Row { cells })
    }
}

/// What the tool is to do.
/// The cells of a message that the gate holds back, for people to look at: no row, so that no file is made of it.
pub fn refused_cells(message: &Message, columns: &[Column]) -> Vec<Option<String>> {
    columns.iter().map(|column| cell(message, None, None, column)).collect()
}

fn cell(message: &Message, standing: Option<&Standing>, unsubscribe: Option<&str>, column: &Column) -> Option<String> {
    if let Some((_, json)) = message.data.iter().find(|(field, _)| *field == column.field) {
        return text_of(json);
    }
    match column.field.as_str() {
        "op" => Some(op(message.kind).to_owned()),
        "type" => Some(message.kind.as_str().to_owned()),
        "consent_at" => standing.map(|standing| standing.since.to_string()),
        "receipt" => standing.map(Standing::receipt),
        "purpose" => Some(message.purpose.clone()),
        "channel" => Some(message.channel.as_str().to_owned()),
        "profile" => Some(message.profile.to_string()),
        "delivery" => Some(message.id.to_string()),
        "unsubscribe" => unsubscribe.map(str::to_owned),
        _ => None,
    }
}

fn op(kind: MessageType) -> &'static str {
    match kind {
        MessageType::Entered => "add",
        MessageType::Updated => "update",
        MessageType::Exited | MessageType::Withdrawn => "remove",
        MessageType::Erased => "erase",
    }
}

/// A value as the text of a cell: a text is itself, what has parts is JSON.
fn text_of(json: &str) -> Option<String> {
    match serde_json::from_str(json) {
        Ok(Value::String(text)) => Some(text),
        Ok(Value::Null) => None,
        Ok(_) => Some(json.to_owned()),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_reads_back() {
        let row = Row { cells: vec![Some("é;\"\n".into()), None, Some(String::new())] };
        let mut bytes = Vec::new();
        row.encode(&mut bytes);
        assert_eq!(Row::decode(&bytes), Some(row));
        assert_eq!(Row::decode(&bytes[..bytes.len() - 1]), None);
    }
}
