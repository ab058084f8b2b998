//! A destination of the connector `file`: where its files go, what stands in them, when and how they are written.

use super::Reader;
use super::definition::secret;
use super::policy;
use super::take_back;
use crate::time::Span;
use crate::workspace::file::{Column, Compress, Content, Csv, Encoding, FileTerms, Format, Newline, OWN_COLUMNS, Quote};
use crate::workspace::node::{Key, Node, Value, get, join};
use crate::workspace::schedule::{Cron, When};
use crate::workspace::{Activation, Destination, Workspace};

/// Fields of a destination that are about its files.
const TERMS: [&str; 17] = [
    "to",
    "user",
    "host_key",
    "endpoint",
    "region",
    "content",
    "when",
    "name",
    "removals",
    "oppositions",
    "format",
    "separator",
    "quote",
    "newline",
    "header",
    "encoding",
    "formulas",
];
/// What every destination says.
const OF_EVERY: [&str; 7] = ["connector", "secret", "allow_private", "country", "transfer", "compress", "columns"];
/// Where files may go.
const PLACES: &str = "folder:NAME, sftp://HOST/PATH, ftps://HOST/PATH, ftp://HOST/PATH, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX";
/// Holes of a template of names.
const HOLES: [&str; 7] = ["destination", "activation", "segment", "content", "date", "time", "stamp"];
/// Bytes of a file's name at most; what is added to it has room.
const NAME_BYTES_MAX: usize = 180;
const COLUMNS_MAX: usize = 120;
/// A file is written once a second at most.
const AFTER_MIN: Span = Span(1_000_000);

pub fn destination(reader: &mut Reader, key: &str, entries: &[(Key, Node)], node: &Node, path: &str) -> Option<Destination> {
    reader.only(entries, path, &[TERMS.as_slice(), OF_EVERY.as_slice(), take_back::TERMS.as_slice()].concat());
    let allow_private = get(entries, "allow_private").map_or(Some(false), |node| reader.flag(node, &join(path, "allow_private")));
    let url = match get(entries, "to") {
        Some(node) => {
            let text = reader.text(node, &join(path, "to"))?;
            if let Some(problem) = place_problem(&text) {
                reader.at(node, &join(path, "to"), problem);
            }
            text
        }
        None => {
            reader.at(node, path, format!("a file says where it goes: to: {PLACES}"));
            return None;
        }
    };
    let text = |reader: &mut Reader, field: &str| get(entries, field).and_then(|node| reader.name(node, &join(path, field)));
    let host_key = text(reader, "host_key");
    if url.starts_with("sftp://") {
        for (field, why) in [("user", "who logs in"), ("secret", "the password or the private key, {env: NAME}")] {
            if get(entries, field).is_none() {
                reader.at(node, path, format!("sftp asks for {field}: {why}"));
            }
        }
        let is_fingerprint = |text: &str| text.strip_prefix("SHA256:").is_some_and(|hash| hash.len() == 43);
        if !host_key.as_deref().is_some_and(is_fingerprint) {
            let message = "sftp asks for host_key: the server's fingerprint SHA256:… as `ssh-keygen -l` shows it; no unknown server is trusted";
            reader.at(get(entries, "host_key").unwrap_or(node), &join(path, "host_key"), message);
        }
    } else if host_key.is_some() {
        reader.at(get(entries, "host_key").unwrap_or(node), &join(path, "host_key"), "only sftp has a host_key");
    }
    if url.starts_with("ftp://") && allow_private == Some(false) {
        let message = "ftp sends people and passwords in clear: use ftps:// or sftp://; within a network of one's own it needs allow_private: true";
        reader.at(get(entries, "to").unwrap_or(node), &join(path, "to"), message);
    }
    let endpoint = get(entries, "endpoint").and_then(|node| {
        let text = reader.text(node, &join(path, "endpoint"))?;
        if let Some(problem) = super::definition::url_problem(&text) {
            reader.at(node, &join(path, "endpoint"), problem);
        }
        Some(text)
    });
    let content = match get(entries, "content") {
        Some(node) => reader.choice(node, &join(path, "content"), &Content::NAMES),
        None => {
            reader.at(node, path, "a file says what stands in it: content: full, or content: difference");
            None
        }
    };
    let when = match get(entries, "when") {
        Some(node) => when(reader, node, &join(path, "when")),
        None => {
            let example = "when: {cron: \"0 6 * * *\", timezone: Europe/Paris}, or when: {after: 5m}";
            reader.at(node, path, format!("a file says when it is written: {example}"));
            None
        }
    };
    let format = format(reader, entries, path);
    let compress = match get(entries, "compress") {
        Some(node) => reader.choice(node, &join(path, "compress"), &Compress::NAMES),
        None => Some(Compress::None),
    };
    if format == Some(Format::Parquet) && compress.is_some_and(|compress| compress != Compress::None) {
        let node = get(entries, "compress").unwrap_or(node);
        reader.at(node, &join(path, "compress"), "parquet compresses its columns itself: leave compress out");
    }
    let must_differ = content == Some(Content::Difference);
    let name = match get(entries, "name") {
        Some(_) => template(reader, entries, path, "name", must_differ),
        None => format.as_ref().map(|format| format!("{{activation}}_{{content}}_{{stamp}}.{}", format.extension())),
    };
    let removals = template(reader, entries, path, "removals", true);
    let oppositions = template(reader, entries, path, "oppositions", true);
    let names: Vec<&String> = [&name, &removals, &oppositions].into_iter().flatten().collect();
    if names.iter().enumerate().any(|(n, name)| names[..n].contains(name)) {
        reader.at(node, path, "name, removals and oppositions are different names");
    }
    let columns = columns(reader, entries, path);
    Some(Destination {
        key: key.to_owned(),
        connector: "file".into(),
        url,
        settings: Vec::new(),
        secret: get(entries, "secret").and_then(|node| secret(reader, node, &join(path, "secret"))),
        allow_private: allow_private?,
        concurrency: 1,
        country: get(entries, "country").and_then(|node| policy::country(reader, node, &join(path, "country"), false)),
        transfer: text(reader, "transfer"),
        // The next file is how a tool of files learns who left: one that gets none is retired.
        paused: false,
        strings: Vec::new(),
        take_back: take_back::take_back(reader, entries, path, true),
        file: Some(Box::new(FileTerms {
            user: text(reader, "user"),
            host_key,
            endpoint,
            region: text(reader, "region"),
            content: content?,
            when: when?,
            name: name?,
            removals,
            oppositions,
            format: format?,
            compress: compress?,
            columns,
        })),
    })
}

/// `None`: a file can go there.
fn place_problem(to: &str) -> Option<String> {
    let plain = |text: &str| {
        !text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\') && text.split('/').all(|part| part != "..")
    };
    let wrong = || Some(format!("{to:?} is no place for files; write {PLACES}"));
    if let Some(name) = to.strip_prefix("folder:") {
        let holds = plain(name) && !name.is_empty() && name.split('/').all(|part| !part.is_empty() && !part.starts_with('.'));
        let message = "a folder is named below the server's folder for files (serve --files): folder:splio, without .. and /";
        return (!holds).then(|| message.into());
    }
    let Some((scheme, rest)) = to.split_once("://") else { return wrong() };
    let (host, _) = rest.split_once('/').unwrap_or((rest, ""));
    if !["sftp", "ftp", "ftps", "s3", "gs", "az"].contains(&scheme) || host.is_empty() || !plain(rest) {
        return wrong();
    }
    if host.contains('@') {
        return Some("user and password do not belong in an address; use user and secret".into());
    }
    None
}

fn when(reader: &mut Reader, node: &Node, path: &str) -> Option<When> {
    let entries = reader.map(node, path)?;
    reader.only(entries, path, &["cron", "timezone", "after"]);
    match (get(entries, "cron"), get(entries, "after")) {
        (Some(node), None) => {
            let cron = reader.text(node, &join(path, "cron"))?;
            if let Err(problem) = Cron::parse(&cron) {
                reader.at(node, &join(path, "cron"), problem);
            }
            let timezone = get(entries, "timezone").and_then(|node| {
                let name = reader.text(node, &join(path, "timezone"))?;
                if jiff::tz::TimeZone::get(&name).is_err() {
                    let message = format!("{name:?} is not a time zone; write an IANA name such as Europe/Paris");
                    reader.at(node, &join(path, "timezone"), message);
                }
                Some(name)
            });
            Some(When::Cron { cron, timezone })
        }
        (None, Some(node)) => {
            let text = reader.text(node, &join(path, "after"))?;
            let span = Span::parse(&text).filter(|span| *span >= AFTER_MIN);
            if span.is_none() {
                reader.at(node, &join(path, "after"), format!("{text:?} is not a duration of a second or more; write 5m"));
            }
            span.map(When::After)
        }
        _ => {
            reader.at(node, path, "either cron (and timezone) or after is said here");
            None
        }
    }
}

fn format(reader: &mut Reader, entries: &[(Key, Node)], path: &str) -> Option<Format> {
    let kinds = Format::all();
    let names: Vec<(&str, usize)> = kinds.iter().enumerate().map(|(nth, kind)| (kind.extension(), nth)).collect();
    let mut format = match get(entries, "format") {
        Some(node) => kinds[reader.choice(node, &join(path, "format"), &names)?].clone(),
        None => Format::Csv(Csv::default()),
    };
    let of_csv = ["separator", "quote", "newline", "header", "encoding", "formulas"];
    let Format::Csv(csv) = &mut format else {
        for (key, node) in entries.iter().filter(|(key, _)| of_csv.contains(&key.text.as_str())) {
            reader.at(node, &join(path, &key.text), "only a csv has this");
        }
        return Some(format);
    };
    let found = |field: &str| get(entries, field).map(|node| (node, join(path, field)));
    if let Some((node, path)) = found("separator") {
        let text = reader.text(node, &path)?;
        let text = if text == "\\t" || text == "tab" { "\t".into() } else { text };
        let mut characters = text.chars();
        match (characters.next(), characters.next()) {
            (Some(one), None) if one.is_ascii() && !one.is_alphanumeric() && !"\"\r\n\0".contains(one) => csv.separator = one,
            _ => reader.at(node, &path, format!("{text:?} is no separator; write one character such as ; , | or tab")),
        }
    }
    if let Some((node, path)) = found("quote") {
        csv.quote = reader.choice(node, &path, &Quote::NAMES)?;
    }
    if let Some((node, path)) = found("newline") {
        csv.newline = reader.choice(node, &path, &Newline::NAMES)?;
    }
    if let Some((node, path)) = found("header") {
        csv.header = reader.flag(node, &path)?;
    }
    if let Some((node, path)) = found("encoding") {
        csv.encoding = reader.choice(node, &path, &Encoding::NAMES)?;
    }
    if let Some((node, path)) = found("formulas") {
        csv.escape_formulas = reader.choice(node, &path, &[("escape", true), ("keep", false)])?;
    }
    Some(format)
}

/// A template of names. `must_differ`: a later file must not take the place of one that nobody has read yet.
fn template(reader: &mut Reader, entries: &[(Key, Node)], path: &str, field: &str, must_differ: bool) -> Option<String> {
    let node = get(entries, field)?;
    let path = join(path, field);
    let text = reader.text(node, &path)?;
    let mut rest = text.as_str();
    let mut holes = Vec::new();
    while let Some((_, behind)) = rest.split_once('{') {
        let Some((hole, behind)) = behind.split_once('}') else {
            reader.at(node, &path, "a { is not closed");
            return None;
        };
        if !HOLES.contains(&hole) {
            let known = HOLES.map(|hole| format!("{{{hole}}}")).join(", ");
            reader.at(node, &path, format!("{{{hole}}} is not known in a name; there is {known}"));
        }
        holes.push(hole);
        rest = behind;
    }
    let plain = |c: char| c.is_alphanumeric() || "._-{}".contains(c);
    if text.is_empty() || text.len() > NAME_BYTES_MAX || text.starts_with('.') || !text.chars().all(plain) {
        let message =
            format!("a name has letters, digits, ., _ and -, {NAME_BYTES_MAX} bytes at most, and does not begin with a dot");
        reader.at(node, &path, message);
    }
    let differs = holes.contains(&"stamp") || (holes.contains(&"date") && holes.contains(&"time"));
    if must_differ && !differs {
        let message = "the next file would take the place of one that may not have been read: put {stamp}, or {date} and {time}, into the name";
        reader.at(node, &path, message);
    }
    Some(text)
}

fn columns(reader: &mut Reader, entries: &[(Key, Node)], path: &str) -> Vec<Column> {
    let Some(node) = get(entries, "columns") else { return Vec::new() };
    let path = join(path, "columns");
    let items = reader.list(node, &path).unwrap_or_default();
    if items.is_empty() || items.len() > COLUMNS_MAX {
        reader.at(node, &path, format!("a file has 1 to {COLUMNS_MAX} columns"));
    }
    let mut columns: Vec<Column> = Vec::new();
    for (n, item) in items.iter().enumerate() {
        let path = format!("{path}[{n}]");
        let column = match &item.value {
            Value::Map(pair) => match pair.as_slice() {
                [(field, header)] => reader.name(header, &path).map(|header| Column { field: field.text.clone(), header }),
                _ => {
                    reader.at(item, &path, "a column is a field, or {field: NAME IN THE HEADER}");
                    None
                }
            },
            _ => reader.name(item, &path).map(|field| Column { header: field.clone(), field }),
        };
        if let Some(column) = column {
            if columns.iter().any(|other| other.header == column.header) {
                reader.at(item, &path, format!("two columns are called {:?}", column.header));
            }
            columns.push(column);
        }
    }
    columns
}

/// What can be seen only with the activations there.
pub fn files(reader: &mut Reader, workspace: &Workspace, node: &Node) {
    for (key, node) in reader.map(node, "destinations").unwrap_or_default() {
        let Some(destination) = workspace.destination(&key.text) else { continue };
        let Some(file) = &destination.file else { continue };
        let entries = reader.map(node, "destinations").unwrap_or_default();
        let path = join("destinations", &key.text);
        let of_it = || workspace.activations.iter().filter(|activation| activation.destination == destination.key);
        for (field, name) in
            [("name", Some(&file.name)), ("removals", file.removals.as_ref()), ("oppositions", file.oppositions.as_ref())]
        {
            if name.is_some_and(|name| !name.contains("{activation}")) && of_it().count() > 1 {
                let message = "several activations write here, each its own file: put {activation} into the name";
                reader.at(get(entries, field).unwrap_or(node), &join(&path, field), message);
            }
        }
        let columns = get(entries, "columns").unwrap_or(node);
        for activation in of_it() {
            for column in &file.columns {
                if !has(activation, &column.field) {
                    let own = OWN_COLUMNS.join(", ");
                    let message = format!(
                        "the activation {} maps no field {:?}; a column is a field of its map, or one of {own}",
                        activation.key, column.field
                    );
                    reader.at(columns, &join(&path, "columns"), message);
                }
            }
            let says_op =
                file.removals.is_some() || file.columns.is_empty() || file.columns.iter().any(|column| column.field == "op");
            if file.content == Content::Difference && !says_op {
                let message = "a difference says who leaves: have a column op, or a file of its own for them (removals)";
                reader.at(columns, &join(&path, "columns"), message);
            }
        }
    }
}

fn has(activation: &Activation, field: &str) -> bool {
    OWN_COLUMNS.contains(&field) || activation.map.iter().any(|(name, _)| name == field)
}
