//! Results in a table: a tool that only exports, or the list of calls of a call centre. Rows become events of our own shape
//! (`standard.rs`).

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use jumelle_model::time::Timestamp;
use serde_json::{Map, Value, json};

use super::standard::KINDS;
use super::{NotUnderstood, not_understood};

/// What a row may say.
pub const FIELDS: [&str; 9] = ["type", "email", "phone", "delivery", "at", "channel", "campaign", "link", "id"];
/// Words without a meaning that are named.
const WORDS_SHOWN: usize = 20;

/// How a table is read.
#[derive(Clone, Debug, Default)]
pub struct Mapping {
    /// Which column holds a field; one of the field's own name without.
    pub columns: BTreeMap<String, String>,
    /// What the tool's words mean: a type of ours for each. Ours themselves need none.
    pub words: BTreeMap<String, String>,
    /// The type of every row, for a table of one kind.
    pub all: Option<String>,
    /// How times are written (`%d/%m/%Y %H:%M`), and the zone of those without. Default: ISO 8601.
    pub time: Option<(String, TimeZone)>,
}

/// What a table holds.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Table {
    /// Events of our own shape.
    pub events: Vec<Value>,
    /// Rows of other types.
    pub passed_over: usize,
    /// Their words, some of them.
    pub words: BTreeSet<String>,
}

/// A zone of the IANA database.
pub fn zone(name: &str) -> Result<TimeZone, String> {
    TimeZone::get(name).map_err(|_| format!("{name:?} is no time zone; write Europe/Paris"))
}

/// Reads a CSV with a header; `,`, `;` or a tab between the cells.
pub fn read(text: &str, mapping: &Mapping) -> Result<Table, NotUnderstood> {
    let header = text.lines().next().unwrap_or_default();
    let count = |delimiter: char| header.matches(delimiter).count();
    let delimiter = [',', ';', '\t'].into_iter().max_by_key(|delimiter| count(*delimiter)).unwrap_or(',');
    let mut reader =
        csv::ReaderBuilder::new().delimiter(delimiter as u8).from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let headers = match reader.headers() {
        Ok(headers) => headers.clone(),
        Err(error) => return not_understood("header", error.to_string()),
    };
    let mut places = BTreeMap::new();
    for field in FIELDS {
        let column = mapping.columns.get(field).map_or(field, String::as_str);
        match headers.iter().position(|header| header.trim() == column) {
            Some(place) => _ = places.insert(field, place),
            None if mapping.columns.contains_key(field) => {
                return not_understood(field, format!("there is no column {column:?}; there are {}", names(&headers)));
            }
            None => {}
        }
    }
    if !places.contains_key("type") && mapping.all.is_none() {
        return not_understood(
            "type",
            format!("say which column has it, or one type for all rows; there are {}", names(&headers)),
        );
    }
    if !["email", "phone", "delivery"].iter().any(|field| places.contains_key(field)) {
        return not_understood("email", format!("a row has an email, a phone or a delivery; there are {}", names(&headers)));
    }
    let mut table = Table::default();
    for (n, row) in reader.records().enumerate() {
        // The header is line 1.
        let line = format!("line {}", n + 2);
        let row = match row {
            Ok(row) => row,
            Err(error) => return not_understood(line, error.to_string()),
        };
        let cell =
            |field: &str| places.get(field).and_then(|place| row.get(*place)).map(str::trim).filter(|text| !text.is_empty());
        let said = mapping.all.as_deref().or_else(|| cell("type")).unwrap_or_default();
        let called = mapping.words.get(said).map_or(said, String::as_str);
        if !KINDS.iter().any(|(name, ..)| *name == called) {
            table.passed_over += 1;
            if table.words.len() < WORDS_SHOWN {
                table.words.insert(said.to_owned());
            }
            continue;
        }
        let mut event = Map::from_iter([("type".to_owned(), json!(called))]);
        let address: Map<String, Value> =
            ["email", "phone"].iter().filter_map(|field| Some(((*field).to_owned(), json!(cell(field)?)))).collect();
        if !address.is_empty() {
            event.insert("address".into(), Value::Object(address));
        }
        for field in ["delivery", "channel", "campaign", "link", "id"] {
            if let Some(text) = cell(field) {
                event.insert(field.into(), json!(text));
            }
        }
        if let Some(text) = cell("at") {
            match time(text, mapping.time.as_ref()) {
                Some(at) => _ = event.insert("at".into(), json!(at)),
                None => return not_understood(line, format!("{text:?} is no time; say how it is written: %d/%m/%Y %H:%M")),
            }
        }
        // The same row has the same id, in whatever file it comes again.
        let id = event.get("id").cloned().unwrap_or_else(|| fingerprint(&event).into());
        event.insert("id".into(), id);
        table.events.push(Value::Object(event));
    }
    Ok(table)
}

fn fingerprint(event: &Map<String, Value>) -> String {
    let text = event.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("\0");
    format!("row-{:032x}", xxhash_rust::xxh3::xxh3_128(text.as_bytes()))
}

fn time(text: &str, written: Option<&(String, TimeZone)>) -> Option<Timestamp> {
    let Some((format, zone)) = written else { return Timestamp::parse(text) };
    let parsed = jiff::fmt::strtime::parse(format, text).ok()?;
    let instant = match parsed.to_timestamp() {
        Ok(instant) => instant,
        Err(_) => zone.to_timestamp(parsed.to_datetime().ok()?).ok()?,
    };
    Some(Timestamp(instant.as_microsecond()))
}

fn names(headers: &csv::StringRecord) -> String {
    headers.iter().map(|header| format!("{:?}", header.trim())).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_calls_is_read_with_the_words_of_the_call_centre() {
        let text = "\u{feff}Numéro;Issue;Date\n06 12 34 56 78;Décroché;28/11/2026 14:05\n06 12 34 56 79;Répondeur;28/11/2026 14:09\n06 12 34 56 70;Occupé;\n";
        let own = |pairs: &[(&str, &str)]| pairs.iter().map(|(one, other)| ((*one).to_owned(), (*other).to_owned())).collect();
        let mapping = Mapping {
            columns: own(&[("phone", "Numéro"), ("type", "Issue"), ("at", "Date")]),
            words: own(&[("Décroché", "answered"), ("Répondeur", "not_answered")]),
            time: Some(("%d/%m/%Y %H:%M".into(), TimeZone::get("Europe/Paris").unwrap())),
            ..Mapping::default()
        };
        let table = read(text, &mapping).unwrap();
        assert_eq!((table.events.len(), table.passed_over), (2, 1));
        assert_eq!(table.words, BTreeSet::from(["Occupé".to_owned()]));
        assert_eq!(table.events[0]["type"], "answered");
        assert_eq!(table.events[0]["address"]["phone"], "06 12 34 56 78");
        assert_eq!(table.events[0]["at"], "2026-11-28T13:05:00.000000Z");
        assert_eq!(read(text, &mapping).unwrap().events, table.events, "the same rows, the same ids");
        super::super::standard::read(json!({"events": table.events}).to_string().as_bytes()).unwrap();
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let problem = |text: &str, mapping: &Mapping| read(text, mapping).unwrap_err().to_string();
        assert!(problem("a,b\n1,2\n", &Mapping::default()).contains("\"a\", \"b\""));
        let all = Mapping { all: Some("clicked".into()), ..Mapping::default() };
        assert!(problem("a,b\n1,2\n", &all).starts_with("email"));
        assert!(problem("email,at\na@example.org,yesterday\n", &all).starts_with("line 2"));
        let wrong = Mapping { columns: [("email".to_owned(), "Mail".to_owned())].into(), ..all };
        assert!(problem("email\na@example.org\n", &wrong).contains("Mail"));
    }
}
