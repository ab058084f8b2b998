//! Templates: JSON with holes. What is put into a hole stays one value, so no text of a person can change a request's structure.
//!
//! `{$: path}` is a value, `{$: [a, b]}` the first of several that is there; `"…${path}…"` is a text with holes. `{$each: rows, $as: T}`
//! repeats per row (`$unique: true` leaves equal ones out, `$join: ","` makes a text of them); `{$if: path, $then: T, $else: T}`
//! chooses; `{$json: T}` writes JSON into a text; `{$merge: [T, T]}` lays maps over each other, those of a list one by one;
//! `{$entry: "in_${path}", $is: T}` is a map of one member whose name has holes; `{$named: T}` is a map as a list of
//! `{name, value}`. Missing members and items are left out, and with them maps and lists that held nothing else. `{$or: T}` beside `$`
//! says what stands for a missing value.
//! After a path, `|` names a function of [`Function`], or at the end what stands for a missing value: `${data.first_name|or you}`.
//! `{$fill: settings.text}` is a text with holes that a destination gives (a setting of type `template`); it sees what is about the
//! person and no setting. `$as: html` escapes what is put into it. A value that is missing there is an error, not an empty place.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jumelle_model::Money;
use serde_json::{Map, Value, json};

use crate::normalize::Hash;
use crate::path::Path;

/// Nesting of a template, at most.
const DEPTH_MAX: usize = 24;

/// What a hole may do with its value. A closed set, all pure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Function {
    /// Lower case.
    Lower,
    /// Upper case.
    Upper,
    /// As a text.
    Text,
    /// As a number.
    Number,
    /// An amount in major units: the house's money (`{amount: 5990, currency: EUR}`, in cents) as 59.9; a number or text as `number` has it.
    Major,
    /// As an integer, the fraction cut off.
    Integer,
    /// As JSON in a text.
    Json,
    /// Base64.
    Base64,
    /// SHA-256, hexadecimal.
    Sha256,
    /// MD5, hexadecimal.
    Md5,
    /// Names of members in upper case.
    UpperKeys,
    /// The first item, if it is a list.
    First,
    /// A list of it, if it is none.
    List,
    /// Seconds since 1970 of an instant.
    Unix,
    /// Milliseconds since 1970 of an instant.
    UnixMs,
    /// Microseconds since 1970 of an instant.
    UnixUs,
    /// An instant as Google Ads writes it: `2026-11-28 09:59:00+00:00`.
    GoogleTime,
    /// The day of an instant.
    Day,
    /// A map as a list of `{key, value}`.
    Entries,
    /// Texts with a plus sign taken off.
    NoPlus,
    /// The part of a text before a colon.
    BeforeColon,
}

impl Function {
    fn parse(name: &str) -> Result<Function, String> {
        Ok(match name {
            "lower" => Function::Lower,
            "upper" => Function::Upper,
            "text" => Function::Text,
            "number" => Function::Number,
            "major" => Function::Major,
            "integer" => Function::Integer,
            "json" => Function::Json,
            "base64" => Function::Base64,
            "sha256" => Function::Sha256,
            "md5" => Function::Md5,
            "upper_keys" => Function::UpperKeys,
            "first" => Function::First,
            "list" => Function::List,
            "unix" => Function::Unix,
            "unix_ms" => Function::UnixMs,
            "unix_us" => Function::UnixUs,
            "google_time" => Function::GoogleTime,
            "day" => Function::Day,
            "entries" => Function::Entries,
            "no_plus" => Function::NoPlus,
            "before_colon" => Function::BeforeColon,
            _ => return Err(format!("{name:?} is not a function of templates")),
        })
    }

    fn apply(self, value: Value) -> Option<Value> {
        let micros = |value: &Value| jumelle_model::time::Timestamp::parse(value.as_str()?).map(|instant| instant.0);
        Some(match self {
            Function::Lower => text(&value).to_lowercase().into(),
            Function::Upper => text(&value).to_uppercase().into(),
            Function::Text => text(&value).into(),
            Function::Number => match &value {
                Value::String(text) => serde_json::from_str::<Value>(text.trim()).ok().filter(Value::is_number)?,
                Value::Number(_) => value,
                _ => return None,
            },
            Function::Major => match serde_json::from_value::<Money>(value.clone()) {
                Ok(money) => money.to_major().to_json(),
                Err(_) => return Function::Number.apply(value),
            },
            Function::Integer => Value::from(match &value {
                Value::String(text) => text.trim().parse::<f64>().ok()? as i64,
                other => other.as_f64()? as i64,
            }),
            Function::Json => value.to_string().into(),
            Function::Base64 => STANDARD.encode(text(&value)).into(),
            Function::Sha256 => Hash::Sha256Hex.of(&text(&value)).into(),
            Function::Md5 => Hash::Md5Hex.of(&text(&value)).into(),
            Function::UpperKeys => match value {
                Value::Object(members) => {
                    Value::Object(members.into_iter().map(|(key, value)| (key.to_uppercase(), value)).collect())
                }
                other => other,
            },
            Function::First => match value {
                Value::Array(items) => items.into_iter().next()?,
                other => other,
            },
            Function::List => match value {
                Value::Array(_) => value,
                other => Value::Array(vec![other]),
            },
            Function::Unix => (micros(&value)? / 1_000_000).into(),
            Function::UnixMs => (micros(&value)? / 1_000).into(),
            Function::UnixUs => micros(&value)?.into(),
            Function::GoogleTime => {
                let seconds = micros(&value)?.div_euclid(1_000_000) * 1_000_000;
                let iso = jumelle_model::time::Timestamp(seconds).to_string();
                let (day, time) = iso.split_once('T')?;
                format!("{day} {}+00:00", time.get(..8)?).into()
            }
            Function::Day => text(&value).split('T').next()?.into(),
            Function::Entries => match value {
                Value::Object(members) => members
                    .into_iter()
                    .map(|(key, value)| Value::Object(Map::from_iter([("key".into(), key.into()), ("value".into(), value)])))
                    .collect(),
                _ => return None,
            },
            Function::NoPlus => text(&value).trim_start_matches('+').into(),
            Function::BeforeColon => text(&value).split(':').next()?.into(),
        })
    }
}

/// A text of a scalar; of a list or a map, its JSON.
pub fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// A path and what is done with what it leads to.
#[derive(Clone, PartialEq, Debug)]
pub struct Hole {
    path: Path,
    functions: Vec<Function>,
    /// Stands for a missing value.
    or: Option<String>,
}

impl Hole {
    fn parse(written: &str) -> Result<Hole, String> {
        let mut parts = written.split('|').map(str::trim);
        let path = Path::parse(parts.next().unwrap_or_default())?;
        let mut hole = Hole { path, functions: Vec::new(), or: None };
        for part in parts {
            if hole.or.is_some() {
                return Err(format!("{written:?}: what stands for a missing value is said at the end"));
            }
            match part.strip_prefix("or ") {
                Some(or) => hole.or = Some(or.trim().to_owned()),
                None => hole.functions.push(Function::parse(part)?),
            }
        }
        Ok(hole)
    }

    fn value(&self, scope: &Scope<'_>) -> Option<Value> {
        let found = scope.get(&self.path).filter(|found| self.or.is_none() || !text(found).is_empty());
        let made = found.and_then(|found| self.functions.iter().try_fold(found.clone(), |value, function| function.apply(value)));
        made.or_else(|| self.or.clone().map(Value::String))
    }
}

/// What holes look at: a row's values before those of the whole request.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// `settings`, `op`, `step`, `now`.
    pub whole: &'a Value,
    /// `row`, `data`, `message`, `consent`, `attributes`, of one person.
    pub row: Option<&'a Value>,
    /// All rows of the request.
    pub rows: &'a [Value],
}

impl Scope<'_> {
    fn get(&self, path: &Path) -> Option<&Value> {
        self.row.and_then(|row| path.first(row)).or_else(|| path.first(self.whole))
    }
}

/// A piece of a text.
#[derive(Clone, PartialEq, Debug)]
enum Piece {
    Text(String),
    Hole(Hole),
}

/// A template, read and checked.
#[derive(Clone, PartialEq, Debug)]
pub enum Template {
    /// As it is.
    Literal(Value),
    /// A text with holes.
    Text(Line),
    /// The first of these that is there, or what stands for it.
    Value(Vec<Hole>, Option<Box<Template>>),
    /// A list.
    List(Vec<Template>),
    /// A map.
    Map(Vec<(String, Template)>),
    /// Once per row.
    Each { each: Box<Template>, unique: bool, join: Option<String> },
    /// One or the other.
    If { test: Vec<Hole>, then: Box<Template>, other: Option<Box<Template>> },
    /// JSON in a text.
    Json(Box<Template>),
    /// Maps over each other.
    Merge(Vec<Template>),
    /// A map as a list of `{name, value}`.
    Named(Box<Template>),
    /// A map of one member, whose name has holes.
    Entry(Line, Box<Template>),
    /// A text that a setting gives, with holes about the person.
    Fill { from: Path, html: bool },
}

/// A text with holes.
#[derive(Clone, PartialEq, Debug)]
pub struct Line(Vec<Piece>);

impl Line {
    /// Reads `https://host/lists/${settings.list}`.
    pub fn parse(written: &str) -> Result<Line, String> {
        let mut pieces = Vec::new();
        let mut rest = written;
        while let Some((before, after)) = rest.split_once("${") {
            let (inner, after) = after.split_once('}').ok_or_else(|| format!("{written:?}: a hole ${{ is not closed"))?;
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            pieces.push(Piece::Hole(Hole::parse(inner)?));
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Line(pieces))
    }

    /// The text, with every value written by `escape`. `None`: a value is missing.
    pub fn write(&self, scope: &Scope<'_>, escape: fn(&str) -> String) -> Option<String> {
        let mut written = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => written.push_str(text),
                Piece::Hole(hole) => written.push_str(&escape(&text(&hole.value(scope)?))),
            }
        }
        Some(written)
    }

    /// The first hole whose value is missing, as a path.
    pub fn missing(&self, scope: &Scope<'_>) -> Option<&Path> {
        self.0.iter().find_map(|piece| match piece {
            Piece::Hole(hole) if hole.value(scope).is_none() => Some(&hole.path),
            _ => None,
        })
    }

    /// Paths of its holes that nothing stands for when their value is missing.
    pub fn needed(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Hole(hole) if hole.or.is_none() => Some(&hole.path),
            _ => None,
        })
    }

    /// Paths of its holes.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Hole(hole) => Some(&hole.path),
            Piece::Text(_) => None,
        })
    }

    /// The text before its first hole.
    pub fn prefix(&self) -> &str {
        match self.0.first() {
            Some(Piece::Text(text)) => text,
            _ => "",
        }
    }

    /// Its pieces before the first slash behind `://`, as text and holes: the host.
    pub fn host(&self) -> (String, Vec<&Path>) {
        let mut text = String::new();
        let mut holes = Vec::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(part) => {
                    let from = if text.contains("://") { 0 } else { part.find("://").map_or(0, |at| at + 3) };
                    if let Some(at) = part[from..].find('/') {
                        text.push_str(&part[..from + at]);
                        return (text, holes);
                    }
                    text.push_str(part);
                }
                Piece::Hole(hole) => {
                    text.push('*');
                    holes.push(&hole.path);
                }
            }
        }
        (text, holes)
    }
}

fn holes(value: &Value) -> Result<Vec<Hole>, String> {
    match value {
        Value::String(text) => Ok(vec![Hole::parse(text)?]),
        Value::Array(items) => items.iter().map(|item| Hole::parse(item.as_str().unwrap_or_default())).collect(),
        other => Err(format!("{other} is not a path")),
    }
}

impl Template {
    /// Reads a template; an error says where.
    pub fn parse(value: &Value) -> Result<Template, String> {
        Template::read(value, 0)
    }

    fn read(value: &Value, depth: usize) -> Result<Template, String> {
        if depth > DEPTH_MAX {
            return Err(format!("nested more than {DEPTH_MAX} levels"));
        }
        let boxed = |value: &Value| Template::read(value, depth + 1).map(Box::new);
        match value {
            Value::String(text) if text.contains("${") => Ok(Template::Text(Line::parse(text)?)),
            Value::Array(items) => {
                items.iter().map(|item| Template::read(item, depth + 1)).collect::<Result<_, _>>().map(Template::List)
            }
            Value::Object(members) => {
                let only = |known: &[&str]| match members.keys().find(|key| !known.contains(&key.as_str())) {
                    Some(key) => Err(format!("{key:?} does not stand beside {}; {} do", known[0], known.join(", "))),
                    None => Ok(()),
                };
                if let Some(path) = members.get("$") {
                    only(&["$", "$or"])?;
                    return Ok(Template::Value(holes(path)?, members.get("$or").map(boxed).transpose()?));
                }
                if let Some(each) = members.get("$each") {
                    only(&["$each", "$as", "$unique", "$join"])?;
                    if each != "rows" {
                        return Err(format!("$each: {each}: only rows repeat"));
                    }
                    let each = boxed(members.get("$as").ok_or("$each has $as: what stands for each row")?)?;
                    let unique = members.get("$unique") == Some(&Value::Bool(true));
                    let join = members.get("$join").map(text);
                    return Ok(Template::Each { each, unique, join });
                }
                if let Some(from) = members.get("$fill") {
                    only(&["$fill", "$as"])?;
                    let from = Path::parse(from.as_str().unwrap_or_default())?;
                    if from.root() != "settings" || from.member().is_none() {
                        return Err("$fill names a setting of type template: settings.NAME".into());
                    }
                    let html = match members.get("$as").map(text).as_deref() {
                        None | Some("text") => false,
                        Some("html") => true,
                        Some(other) => return Err(format!("$as: {other:?} is neither text nor html")),
                    };
                    return Ok(Template::Fill { from, html });
                }
                if let Some(test) = members.get("$if") {
                    only(&["$if", "$then", "$else"])?;
                    let then = boxed(members.get("$then").ok_or("$if has $then")?)?;
                    return Ok(Template::If { test: holes(test)?, then, other: members.get("$else").map(boxed).transpose()? });
                }
                if let Some(inner) = members.get("$json") {
                    only(&["$json"])?;
                    return Ok(Template::Json(boxed(inner)?));
                }
                if let Some(inner) = members.get("$named") {
                    only(&["$named"])?;
                    return Ok(Template::Named(boxed(inner)?));
                }
                if let Some(inner) = members.get("$merge") {
                    only(&["$merge"])?;
                    let Template::List(parts) = Template::read(inner, depth + 1)? else { return Err("$merge has a list".into()) };
                    return Ok(Template::Merge(parts));
                }
                if let Some(name) = members.get("$entry") {
                    only(&["$entry", "$is"])?;
                    let name = Line::parse(name.as_str().ok_or("$entry is a text with holes: the member's name")?)?;
                    return Ok(Template::Entry(name, boxed(members.get("$is").ok_or("$entry has $is: the member's value")?)?));
                }
                let fields = members
                    .iter()
                    .map(|(key, value)| {
                        // A partner's own field may begin with a dollar (PostHog's $set): only ours are looked at.
                        let ours = ["$or", "$as", "$then", "$else", "$unique", "$join", "$is"].contains(&key.as_str());
                        if ours {
                            return Err(format!("{key}: stands alone"));
                        }
                        Template::read(value, depth + 1)
                            .map(|template| (key.clone(), template))
                            .map_err(|error| format!("{key}: {error}"))
                    })
                    .collect::<Result<_, _>>()?;
                Ok(Template::Map(fields))
            }
            other => Ok(Template::Literal(other.clone())),
        }
    }

    /// What it makes of a scope; `None`: nothing.
    pub fn render(&self, scope: &Scope<'_>) -> Option<Value> {
        match self {
            Template::Literal(value) => Some(value.clone()),
            Template::Text(line) => line.write(scope, str::to_owned).map(Value::String),
            Template::Value(holes, or) => holes
                .iter()
                .find_map(|hole| hole.value(scope).filter(|value| !value.is_null()))
                .or_else(|| or.as_ref().and_then(|or| or.render(scope))),
            Template::List(items) => {
                let found: Vec<Value> = items.iter().filter_map(|item| item.render(scope)).collect();
                (!found.is_empty() || items.is_empty()).then_some(Value::Array(found))
            }
            Template::Map(fields) => {
                let found: Map<String, Value> =
                    fields.iter().filter_map(|(key, field)| Some((key.clone(), field.render(scope)?))).collect();
                (!found.is_empty() || fields.is_empty()).then_some(Value::Object(found))
            }
            Template::Each { each, unique, join } => {
                let mut found: Vec<Value> = Vec::new();
                let of_row = |row| each.render(&Scope { row: Some(row), ..*scope });
                for value in scope.rows.iter().filter_map(of_row) {
                    if !(*unique && found.contains(&value)) {
                        found.push(value);
                    }
                }
                match join {
                    Some(between) => Some(found.iter().map(text).collect::<Vec<_>>().join(between).into()),
                    None => Some(Value::Array(found)),
                }
            }
            Template::If { test, then, other } => {
                let truth = |value: Value| !matches!(value, Value::Null | Value::Bool(false)) && value != "" && value != "false";
                if test.iter().any(|hole| hole.value(scope).is_some_and(truth)) {
                    then.render(scope)
                } else {
                    other.as_ref()?.render(scope)
                }
            }
            Template::Json(inner) => Some(inner.render(scope)?.to_string().into()),
            Template::Named(inner) => {
                let Value::Object(members) = inner.render(scope)? else { return None };
                let pairs = members.into_iter().map(|(name, value)| json!({"name": name, "value": value}));
                Some(Value::Array(pairs.collect())).filter(|pairs| pairs.as_array().is_some_and(|pairs| !pairs.is_empty()))
            }
            Template::Merge(parts) => {
                let mut whole = Map::new();
                for part in parts.iter().filter_map(|part| part.render(scope)) {
                    let maps = match part {
                        Value::Array(maps) => maps,
                        map => vec![map],
                    };
                    for map in maps {
                        if let Value::Object(members) = map {
                            whole.extend(members);
                        }
                    }
                }
                Some(Value::Object(whole))
            }
            Template::Entry(name, inner) => {
                let member = (name.write(scope, str::to_owned)?, inner.render(scope)?);
                Some(Value::Object(Map::from_iter([member])))
            }
            Template::Fill { from, html } => {
                let escape: fn(&str) -> String = if *html { escape_html } else { str::to_owned };
                line_of(from, scope)?.write(&about_her(scope), escape).map(Value::String)
            }
        }
    }

    /// The first value that a text of a setting needs and that is missing: the setting and the path.
    pub fn unfilled(&self, scope: &Scope<'_>) -> Option<String> {
        let mut found = None;
        self.visit(&mut |seen| {
            if found.is_none()
                && let Seen::Fill(from) = seen
            {
                let line = line_of(from, scope);
                let missing = line.as_ref().and_then(|line| line.missing(&about_her(scope)));
                found = missing.map(|path| format!("{from}: ${{{path}}}"));
            }
        });
        found
    }

    /// Calls `see` with every path in it, and every member with a literal value.
    pub fn visit(&self, see: &mut dyn FnMut(Seen<'_>)) {
        match self {
            Template::Literal(_) => {}
            Template::Text(line) => line.paths().for_each(|path| see(Seen::Path(path))),
            Template::Value(holes, or) => {
                holes.iter().for_each(|hole| see(Seen::Path(&hole.path)));
                or.iter().for_each(|or| or.visit(see));
            }
            Template::List(items) | Template::Merge(items) => items.iter().for_each(|item| item.visit(see)),
            Template::Map(fields) => {
                for (key, field) in fields {
                    see(Seen::Member(key, field));
                    field.visit(see);
                }
            }
            Template::Each { each, .. } => each.visit(see),
            Template::If { test, then, other } => {
                test.iter().for_each(|hole| see(Seen::Path(&hole.path)));
                then.visit(see);
                other.iter().for_each(|other| other.visit(see));
            }
            Template::Json(inner) | Template::Named(inner) => inner.visit(see),
            Template::Fill { from, .. } => see(Seen::Fill(from)),
            Template::Entry(name, inner) => {
                name.paths().for_each(|path| see(Seen::Path(path)));
                see(Seen::Named(name.prefix()));
                inner.visit(see);
            }
        }
    }

    /// The paths that are looked up once for all rows of a request.
    pub fn shared_paths(&self, see: &mut dyn FnMut(&Path)) {
        match self {
            Template::Literal(_) | Template::Each { .. } | Template::Fill { .. } => {}
            Template::Text(line) => line.paths().for_each(see),
            Template::Value(holes, or) => {
                holes.iter().for_each(|hole| see(&hole.path));
                or.iter().for_each(|or| or.shared_paths(see));
            }
            Template::List(items) | Template::Merge(items) => items.iter().for_each(|item| item.shared_paths(see)),
            Template::Map(fields) => fields.iter().for_each(|(_, field)| field.shared_paths(see)),
            Template::If { test, then, other } => {
                test.iter().for_each(|hole| see(&hole.path));
                then.shared_paths(see);
                other.iter().for_each(|other| other.shared_paths(see));
            }
            Template::Json(inner) | Template::Named(inner) => inner.shared_paths(see),
            Template::Entry(name, inner) => {
                name.paths().for_each(&mut *see);
                inner.shared_paths(see);
            }
        }
    }

    /// Whether any value in it is such: `None` one that is written down and not looked up, else where it is looked up. What only
    /// decides (`$if`) is no value.
    pub fn has_value(&self, is: &dyn Fn(Option<&Path>) -> bool) -> bool {
        match self {
            Template::Literal(_) => is(None),
            Template::Text(line) => match line.paths().next() {
                None => is(None),
                Some(_) => line.paths().any(|path| is(Some(path))),
            },
            Template::Value(holes, or) => or.is_some() && is(None) || holes.iter().any(|hole| is(Some(&hole.path))),
            Template::List(items) | Template::Merge(items) => items.iter().any(|item| item.has_value(is)),
            Template::Map(fields) => fields.iter().any(|(_, field)| field.has_value(is)),
            Template::Each { each, .. } => each.has_value(is),
            Template::Fill { from, .. } => is(Some(from)),
            Template::If { then, other, .. } => then.has_value(is) || other.as_ref().is_some_and(|other| other.has_value(is)),
            Template::Json(inner) | Template::Named(inner) | Template::Entry(_, inner) => inner.has_value(is),
        }
    }
}

/// The text that a setting gives; settings are checked before.
fn line_of(from: &Path, scope: &Scope<'_>) -> Option<Line> {
    Line::parse(from.first(scope.whole)?.as_str()?).ok()
}

/// No text of a setting sees another setting: a password is one.
fn about_her<'a>(scope: &Scope<'a>) -> Scope<'a> {
    Scope { whole: &Value::Null, ..*scope }
}

fn escape_html(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => written.push_str("&amp;"),
            '<' => written.push_str("&lt;"),
            '>' => written.push_str("&gt;"),
            '"' => written.push_str("&quot;"),
            '\'' => written.push_str("&#39;"),
            c => written.push(c),
        }
    }
    written
}

/// What [`Template::visit`] comes by.
pub enum Seen<'t> {
    /// A path of a hole.
    Path(&'t Path),
    /// A setting that is filled.
    Fill(&'t Path),
    /// A member of a map.
    Member(&'t str, &'t Template),
    /// A member whose name has holes: what it begins with.
    Named(&'t str),
}
