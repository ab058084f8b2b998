//! A request, rendered: method, address, headers and body, exactly as they leave.

use std::marker::PhantomData;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::auth;
use crate::connector::{self, Body, Connector};
use crate::manifest::OpName;
use crate::row::{Nobody, Row};
use crate::settings::Settings;
use crate::template::{Line, Scope, text};
use crate::wire::Wire;

/// RFC 3986: unreserved characters stay.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Percent-encoded as RFC 3986 has it.
pub(crate) fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// When, and what is drawn at random: the caller's.
#[derive(Clone, Debug)]
pub struct Moment {
    /// Now.
    pub now: jumelle_model::time::Timestamp,
    /// A text that is not used twice (OAuth 1.0a).
    pub nonce: String,
}

/// A request. `O` says whose data it carries: only what [`crate::MaySend`] names can be sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request<O> {
    /// HTTP method, or what another wire calls it.
    pub method: String,
    /// Address; its scheme says by which wire it travels.
    pub url: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Bytes.
    pub body: Vec<u8>,
    origin: PhantomData<O>,
}

/// Why a request cannot be rendered.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RenderError {
    /// A value that the address or a header needs.
    #[error("{0} needs a value that is missing")]
    Missing(String),
    /// The operation sends nothing.
    #[error("nothing is sent: {0}")]
    Nothing(String),
    /// The key that signs.
    #[error("{0}")]
    Sign(String),
}

impl<O> Request<O> {
    /// For people and machines: the body as JSON or text.
    pub fn to_json(&self) -> Value {
        let body = match std::str::from_utf8(&self.body) {
            Ok("") => Value::Null,
            Ok(text) => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
            Err(_) => STANDARD.encode(&self.body).into(),
        };
        let headers: serde_json::Map<String, Value> =
            self.headers.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
        json!({"method": self.method, "url": self.url, "headers": headers, "body": body})
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn new(method: &str, url: String, headers: Vec<(String, String)>, body: Vec<u8>) -> Request<O> {
        Request { method: method.to_owned(), url, headers, body, origin: PhantomData }
    }

    /// The same to another host: for tests, and for gateways that the team runs itself. Over HTTP alone: elsewhere the host is the
    /// team's own already.
    pub fn through(mut self, base: &str) -> Request<O> {
        if Wire::of(&self.url) != Some(Wire::Http) {
            return self;
        }
        if let Some(at) = self.url.find("://").and_then(|at| Some(at + 3 + self.url[at + 3..].find('/')?)) {
            self.url = format!("{}{}", base.trim_end_matches('/'), &self.url[at..]);
        }
        self
    }
}

/// What templates read beside rows.
pub(crate) fn whole(settings: &Settings, with: &Value, saved: &Value, moment: &Moment, count: usize) -> Value {
    let iso = moment.now.to_string();
    json!({
        "settings": settings.values, "op": with, "step": saved, "count": count,
        "now": {
            "unix": moment.now.0.div_euclid(1_000_000), "unix_ms": moment.now.as_millis(),
            "day": iso.split('T').next().unwrap_or_default(), "iso": iso,
        },
    })
}

/// One request about rows.
pub(crate) fn render<O>(
    connector: &Connector,
    request: &connector::Request,
    rows: &[&Row<O>],
    whole: &Value,
    settings: &Settings,
    token: Option<&str>,
    moment: &Moment,
) -> Result<Request<O>, RenderError> {
    let values: Vec<Value> = rows.iter().map(|row| row.values.clone()).collect();
    let scope = Scope {
        whole,
        row: (values.len() == 1).then(|| &values[0]).or(values.first().filter(|_| grouped(connector))),
        rows: &values,
    };
    let id = rows.first().map(|row| text(&row.values["message"]["id"])).unwrap_or_default();
    from_scope(connector, request, &scope, settings, token, moment, &id)
}

/// Rows that are grouped share what they are grouped by, so the first one speaks for all.
fn grouped(connector: &Connector) -> bool {
    !connector.group_by.is_empty()
}

/// The test call.
pub fn render_test(
    connector: &Connector,
    settings: &Settings,
    token: Option<&str>,
    moment: &Moment,
) -> Result<Request<Nobody>, RenderError> {
    let Some(request) = &connector.test else { return Err(RenderError::Nothing("the connector has no test call".into())) };
    let whole = whole(settings, &Value::Null, &Value::Null, moment, 0);
    let scope = Scope { whole: &whole, row: None, rows: &[] };
    from_scope(connector, request, &scope, settings, token, moment, "msg_test")
}

fn from_scope<O>(
    connector: &Connector,
    request: &connector::Request,
    scope: &Scope<'_>,
    settings: &Settings,
    token: Option<&str>,
    moment: &Moment,
    id: &str,
) -> Result<Request<O>, RenderError> {
    let url = request.url.host();
    // A setting of type url is an address, not a part of one.
    let is_url = url.0.starts_with('*');
    let mut url = write_url(&request.url, scope, is_url).ok_or_else(|| RenderError::Missing("the address".into()))?;
    let query: Vec<String> = request
        .query
        .iter()
        .filter_map(|(name, template)| Some(format!("{}={}", encode(name), encode(&text(&template.render(scope)?)))))
        .collect();
    if !query.is_empty() {
        url.push(if url.contains('?') { '&' } else { '?' });
        url.push_str(&query.join("&"));
    }
    let mut headers = Vec::new();
    let (content_type, body) = match &request.body {
        None => (None, Vec::new()),
        Some(Body::Json(template)) => {
            if let Some(missing) = template.unfilled(scope) {
                return Err(RenderError::Missing(missing));
            }
            (Some("application/json"), template.render(scope).unwrap_or(json!({})).to_string().into_bytes())
        }
        Some(Body::Form(template)) => {
            let fields = match template.render(scope) {
                Some(Value::Object(fields)) => fields,
                _ => Default::default(),
            };
            let pairs = fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(&text(value))));
            (Some("application/x-www-form-urlencoded"), pairs.collect::<Vec<_>>().join("&").into_bytes())
        }
        Some(Body::Csv(columns)) => (Some("text/csv; charset=utf-8"), csv(columns, scope)),
        Some(Body::Lines(template)) => (Some("text/plain; charset=utf-8"), lines(template, scope, text)),
        Some(Body::Jsonl(template)) => (Some("application/x-ndjson"), lines(template, scope, Value::to_string)),
        Some(Body::Xml(template)) => {
            let mut written = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
            xml(&template.render(scope).unwrap_or(Value::Null), &mut written);
            (Some("application/xml; charset=utf-8"), written.into_bytes())
        }
    };
    headers.extend(content_type.map(|found| ("content-type".to_owned(), found.to_owned())));
    for (name, line) in &request.headers {
        let Some(value) = line.write(scope, str::to_owned) else { continue };
        let value: String = value.chars().filter(|c| !c.is_control()).collect();
        headers.retain(|(other, _)| other != name);
        headers.push((name.clone(), value));
    }
    let mut made = Request::new(&request.method, url, headers, body);
    auth::sign(connector, settings, &mut made, token, moment, id).map_err(RenderError::Sign)?;
    Ok(made)
}

fn write_url(line: &Line, scope: &Scope<'_>, is_url: bool) -> Option<String> {
    if !is_url {
        return line.write(scope, encode);
    }
    line.write(scope, str::to_owned).filter(|url| !url.contains(char::is_whitespace))
}

fn csv(columns: &[(String, crate::template::Template)], scope: &Scope<'_>) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::Any(b'\n')).from_writer(Vec::new());
    // A Vec takes everything.
    let _ = writer.write_record(columns.iter().map(|(name, _)| name));
    for row in scope.rows {
        let scope = Scope { row: Some(row), ..*scope };
        let cells =
            columns.iter().map(|(_, template)| harmless(template.render(&scope).map(|value| text(&value)).unwrap_or_default()));
        let _ = writer.write_record(cells);
    }
    writer.into_inner().unwrap_or_default()
}

/// A cell that a spreadsheet would take for a formula gets an apostrophe before it; telephone numbers are none.
fn harmless(cell: String) -> String {
    let formula = cell.starts_with(['=', '-', '@', '\t', '\r'])
        || (cell.starts_with('+') && !cell[1..].bytes().all(|b| b.is_ascii_digit()));
    if formula { format!("'{cell}") } else { cell }
}

fn lines(template: &crate::template::Template, scope: &Scope<'_>, write: fn(&Value) -> String) -> Vec<u8> {
    let mut body = String::new();
    for row in scope.rows {
        if let Some(value) = template.render(&Scope { row: Some(row), ..*scope }) {
            body.push_str(&write(&value).replace(['\n', '\r'], " "));
            body.push('\n');
        }
    }
    body.into_bytes()
}

/// `{Envelope: {"@xmlns": "…", Body: [{…}, {…}]}}`: members are elements, lists repeat them.
fn xml(value: &Value, written: &mut String) {
    match value {
        Value::Object(members) => {
            for (name, inner) in members.iter().filter(|(name, _)| !name.starts_with(['@', '#'])) {
                let items = match inner {
                    Value::Array(items) => items.as_slice(),
                    one => std::slice::from_ref(one),
                };
                for item in items {
                    written.push_str(&format!("<{name}"));
                    for (attribute, value) in item.as_object().into_iter().flatten() {
                        if let Some(attribute) = attribute.strip_prefix('@') {
                            written.push_str(&format!(" {attribute}=\"{}\"", escape_xml(&text(value))));
                        }
                    }
                    written.push('>');
                    xml(item, written);
                    written.push_str(&format!("</{name}>"));
                }
            }
            if let Some(inner) = members.get("#text") {
                written.push_str(&escape_xml(&text(inner)));
            }
        }
        other => written.push_str(&escape_xml(&text(other))),
    }
}

fn escape_xml(text: &str) -> String {
    let mut written = String::new();
    for c in text.chars() {
        match c {
            '<' => written.push_str("&lt;"),
            '>' => written.push_str("&gt;"),
            '&' => written.push_str("&amp;"),
            '"' => written.push_str("&quot;"),
            c if c.is_control() && !"\n\t\r".contains(c) => {}
            c => written.push(c),
        }
    }
    written
}

/// Rows about the same person: the last one stands, and keeps its place. The others' places are given back.
pub fn last_of_each<O>(rows: Vec<Row<O>>) -> (Vec<Row<O>>, Vec<usize>) {
    let mut kept: Vec<Row<O>> = Vec::new();
    let mut overtaken = Vec::new();
    for row in rows {
        if let Some(at) = kept.iter().position(|other| other.profile == row.profile) {
            overtaken.push(kept.remove(at).nth);
        }
        kept.push(row);
    }
    (kept, overtaken)
}

/// Rows in requests: of one operation and one group each, no more than fit, removals first.
pub fn batches<O>(connector: &Connector, rows: Vec<Row<O>>) -> Vec<Vec<Row<O>>> {
    let mut groups: Vec<(OpName, Vec<Value>, Vec<Row<O>>)> = Vec::new();
    for row in rows {
        let group: Vec<Value> =
            connector.group_by.iter().map(|path| path.first(&row.values).cloned().unwrap_or_default()).collect();
        match groups.iter_mut().find(|(op, other, _)| *op == row.op && *other == group) {
            Some((_, _, rows)) => rows.push(row),
            None => groups.push((row.op, group, vec![row])),
        }
    }
    groups.sort_by_key(|(op, ..)| !op.takes_back());
    let mut all = Vec::new();
    for (op, _, rows) in groups {
        let most = connector.rows_max(op).max(1);
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            all.push(rows.by_ref().take(most).collect());
        }
    }
    all
}
