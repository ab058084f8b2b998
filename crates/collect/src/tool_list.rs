//! What a tool's export says it holds: names, plain or hashed, out of CSV, JSON or JSON lines.

use serde_json::Value;

/// Names of one list, at most.
pub const NAMES_MAX: usize = 10_000_000;
/// Columns that are taken where none is named: the first of these that is there.
const COLUMNS: [&str; 10] =
    ["email", "e-mail", "email_sha256", "hashed_email", "sha256", "phone", "phone_sha256", "hashed_phone", "identifier", "id"];

/// The names of a list. `column`: the field that holds them; without it one of the usual names, or the only column.
pub fn names(text: &str, column: Option<&str>) -> Result<Vec<String>, String> {
    let start = text.trim_start_matches('\u{feff}').trim_start();
    let names = match start.chars().next() {
        None => Vec::new(),
        Some('[') => {
            let items: Vec<Value> = serde_json::from_str(start).map_err(|error| format!("the list is not JSON: {error}"))?;
            of_json(items.into_iter(), column)?
        }
        Some('{') => match serde_json::from_str::<Value>(start) {
            // One object around the list, as most APIs answer.
            Ok(Value::Object(object)) => match object.values().find_map(Value::as_array).cloned() {
                Some(items) => of_json(items.into_iter(), column)?,
                None => of_json(std::iter::once(Value::Object(object)), column)?,
            },
            _ => {
                let lines = start.lines().filter(|line| !line.trim().is_empty()).map(serde_json::from_str);
                let items: Result<Vec<Value>, _> = lines.collect();
                of_json(items.map_err(|error| format!("the list is not JSON lines: {error}"))?.into_iter(), column)?
            }
        },
        Some(_) => of_csv(start, column)?,
    };
    match names.len() > NAMES_MAX {
        true => Err(format!("a list has {NAMES_MAX} names at most")),
        false => Ok(names),
    }
}

fn of_json(items: impl Iterator<Item = Value>, column: Option<&str>) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    for (n, item) in items.enumerate() {
        let found = match &item {
            Value::String(text) => Some(text.clone()),
            Value::Object(object) => {
                let wanted = |name: &str| {
                    object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).and_then(|(_, value)| value.as_str())
                };
                match column {
                    Some(column) => wanted(column),
                    None => COLUMNS.iter().find_map(|name| wanted(name)),
                }
                .map(str::to_owned)
            }
            _ => None,
        };
        names.push(found.ok_or_else(|| format!("item {n} has no name; say which field holds it"))?);
    }
    Ok(names)
}

fn of_csv(text: &str, column: Option<&str>) -> Result<Vec<String>, String> {
    let first = text.lines().next().unwrap_or_default();
    let delimiter = [b',', b';', b'\t', b'|'].into_iter().max_by_key(|byte| first.bytes().filter(|other| other == byte).count());
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter.unwrap_or(b','))
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes());
    let mut rows = reader.records();
    let Some(header) = rows.next() else { return Ok(Vec::new()) };
    let header = header.map_err(|error| format!("the list is not CSV: {error}"))?;
    let place = |name: &str| header.iter().position(|known| known.trim().eq_ignore_ascii_case(name));
    let at = match column {
        Some(column) => Some(place(column).ok_or_else(|| format!("the list has no column {column:?}"))?),
        None => COLUMNS.iter().find_map(|name| place(name)),
    };
    let mut names = Vec::new();
    let at = match (at, header.len()) {
        (Some(at), _) => at,
        // A list without a header.
        (None, 1) => {
            names.extend(header.get(0).map(|name| name.trim().to_owned()));
            0
        }
        (None, _) => {
            return Err(format!("say which column holds the names; there are {}", header.iter().collect::<Vec<_>>().join(", ")));
        }
    };
    for row in rows {
        let row = row.map_err(|error| format!("the list is not CSV: {error}"))?;
        names.extend(row.get(at).map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()));
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_every_form() {
        let wanted = vec!["ana@example.org".to_owned(), "bia@example.org".to_owned()];
        for text in [
            "email,city\nana@example.org,Lille\nbia@example.org,Lens\n",
            "\u{feff}city;Email\r\nLille;ana@example.org\r\nLens;bia@example.org\r\n",
            "ana@example.org\nbia@example.org\n",
            r#"["ana@example.org", "bia@example.org"]"#,
            r#"{"contacts": [{"id": "7", "email": "ana@example.org"}, {"email": "bia@example.org"}], "count": 2}"#,
            "{\"email\": \"ana@example.org\"}\n{\"email\": \"bia@example.org\"}\n",
        ] {
            assert_eq!(names(text, None).unwrap(), wanted, "{text}");
        }
        assert_eq!(names("a,b\n1,2\n", Some("b")).unwrap(), ["2"]);
        assert_eq!(names("", None).unwrap(), Vec::<String>::new());
        for (text, column) in [("a,b\n1,2\n", None), ("a,b\n1,2\n", Some("c")), ("[1]", None), ("{\"a\"", None)] {
            assert!(names(text, column).is_err(), "{text}");
        }
    }
}
