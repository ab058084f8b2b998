//! Cases: given messages and settings → exact requests; given answers → what Jumelle does.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use jumelle_model::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::connector::Connector;
use crate::exchange::rehearse;
use crate::outcome::{Ending, Response, RowEnd};
use crate::request::{Moment, Request, batches, last_of_each};
use crate::row::{Incoming, Row, Sample};
use crate::settings::Settings;

/// One case.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it is about, in a few words.
    pub case: String,
    /// What it shows: `success`, `partial`, `rate_limit`, `removal`, `erase`, or `other`.
    pub shows: String,
    /// Settings of the destination.
    #[serde(default)]
    pub settings: BTreeMap<String, Value>,
    /// The workspace's country.
    #[serde(default = "france")]
    pub country: String,
    /// Messages in the shape of a webhook's body; `type`, `data`, and where it matters `consent` and `profile`.
    pub messages: Vec<Value>,
    /// When it is sent.
    #[serde(default = "instant")]
    pub at: String,
    /// What leaves, in order. Headers that are named here are equal, others may be there too.
    #[serde(default)]
    pub requests: Vec<Expected>,
    /// What comes back, in order; nothing written: an empty success.
    #[serde(default)]
    pub answers: Vec<Answered>,
    /// Per message `ok`, `drop`, `bounce`, `stop`, `again` or `at_once`; or `retry`, `auth`, `split`, `config` of the whole.
    #[serde(default)]
    pub outcome: Option<Value>,
    /// How many seconds the tool asks to wait.
    #[serde(default)]
    pub after_s: Option<u64>,
}

fn france() -> String {
    "FR".into()
}

fn instant() -> String {
    "2026-11-28T10:00:00Z".into()
}

/// A request that is expected.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// HTTP method.
    pub method: String,
    /// Address, whole.
    pub url: String,
    /// Some headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// JSON, or a text; a form may be written as a map.
    #[serde(default)]
    pub body: Value,
}

/// An answer that is given.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Answered {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// JSON or a text.
    #[serde(default)]
    pub body: Value,
}

/// How a case went.
#[derive(Clone, Debug, Serialize)]
pub struct CaseResult {
    /// The file.
    pub file: String,
    /// The case.
    pub case: String,
    /// What it shows.
    pub shows: String,
    /// What differs; none: it holds.
    pub difference: Option<String>,
}

impl Case {
    /// One case, or a list of them.
    pub fn read_all(text: &str) -> Result<Vec<Case>, String> {
        let value = jumelle_model::workspace::read_yaml(text).map_err(|problems| problems.to_string())?;
        let list = if value.is_array() { value } else { json!([value]) };
        serde_path_to_error::deserialize(list).map_err(|error| error.to_string())
    }

    /// Runs it.
    pub fn run(&self, connector: &Arc<Connector>) -> Result<(), String> {
        let given: Map<String, Value> = self.settings.clone().into_iter().collect();
        let faults = crate::settings::check(&connector.manifest, &given);
        if let Some(fault) = faults.first() {
            return Err(format!("settings.{fault}"));
        }
        let settings = Settings::new(&connector.manifest, given, &self.country);
        let now = Timestamp::parse(&self.at).ok_or_else(|| format!("at: {:?} is not an instant", self.at))?;
        let moment = Moment { now, nonce: "nonce".into() };
        let mut ends: Vec<(usize, String)> = Vec::new();
        let mut rows = Vec::new();
        for (nth, message) in self.messages.iter().enumerate() {
            match Row::sample(connector, nth, whole_message(nth, message)?, &self.country) {
                Ok(row) => rows.push(row),
                Err(_) => ends.push((nth, "drop".into())),
            }
        }
        let (rows, overtaken) = last_of_each(rows);
        ends.extend(overtaken.into_iter().map(|nth| (nth, "overtaken".into())));
        let mut sent: Vec<Request<Sample>> = Vec::new();
        let mut whole: Option<String> = None;
        let mut after = None;
        for batch in batches(connector, rows) {
            let answers: Vec<Response> = self.answers.iter().skip(sent.len()).map(Answered::response).collect();
            let nths: Vec<usize> = batch.iter().map(|row| row.nth).collect();
            match rehearse(connector, batch, &settings, Some("token"), &moment, &answers) {
                Ok((requests, ending)) => {
                    sent.extend(requests);
                    match ending {
                        Ending::Rows(rows) => ends.extend(rows.iter().map(|(nth, end)| (*nth, name(end).into()))),
                        Ending::Retry { after: found, .. } => {
                            whole = Some("retry".into());
                            after = found;
                        }
                        Ending::Auth(_) => whole = Some("auth".into()),
                        Ending::Split(_) => whole = Some("split".into()),
                        Ending::Config(_) => whole = Some("config".into()),
                    }
                }
                Err(crate::RenderError::Nothing(_)) => ends.extend(nths.into_iter().map(|nth| (nth, "nothing".into()))),
                Err(error) => return Err(error.to_string()),
            }
        }
        self.compare(&sent)?;
        if let Some(expected) = &self.outcome {
            ends.sort();
            let found = match whole {
                Some(whole) => Value::from(whole),
                None => ends.into_iter().map(|(_, end)| Value::from(end)).collect(),
            };
            if *expected != found {
                return Err(format!("outcome: expected {expected}, found {found}"));
            }
        }
        match self.after_s {
            Some(seconds) if after.map(|after| after.as_secs()) != Some(seconds) => {
                Err(format!("after_s: expected {seconds}, found {after:?}"))
            }
            _ => Ok(()),
        }
    }

    fn compare(&self, sent: &[Request<Sample>]) -> Result<(), String> {
        for (n, expected) in self.requests.iter().enumerate() {
            let Some(request) = sent.get(n) else { return Err(format!("requests[{n}]: nothing was sent")) };
            let mut wrong = String::new();
            for (what, expected, found) in [("method", &expected.method, &request.method), ("url", &expected.url, &request.url)] {
                if expected != found {
                    let _ = writeln!(wrong, "requests[{n}].{what}:\n  expected {expected}\n  found    {found}");
                }
            }
            for (name, value) in &expected.headers {
                let found = request.header(&name.to_ascii_lowercase());
                if found != Some(value) {
                    let _ = writeln!(wrong, "requests[{n}].headers.{name}:\n  expected {value}\n  found    {found:?}");
                }
            }
            let found = body_of(request, &expected.body);
            if found != expected.body {
                let _ = writeln!(wrong, "requests[{n}].body:\n  expected {}\n  found    {found}", expected.body);
            }
            if !wrong.is_empty() {
                return Err(wrong.trim_end().to_owned());
            }
        }
        if sent.len() > self.requests.len() {
            let more = &sent[self.requests.len()];
            return Err(format!("requests[{}]: not expected: {}", self.requests.len(), more.to_json()));
        }
        Ok(())
    }
}

/// A body in the form in which it is expected: JSON, a form as a map, or a text.
fn body_of(request: &Request<Sample>, expected: &Value) -> Value {
    let text = String::from_utf8_lossy(&request.body).into_owned();
    let is_form = request.header("content-type").is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    if is_form && expected.is_object() {
        let decode = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
        let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        return Value::Object(pairs.map(|(name, value)| (decode(name), decode(value).into())).collect());
    }
    if text.is_empty() {
        return Value::Null;
    }
    if expected.is_string() { text.into() } else { serde_json::from_str(&text).unwrap_or_else(|_| text.into()) }
}

fn name(end: &RowEnd) -> &'static str {
    match end {
        RowEnd::Ok => "ok",
        RowEnd::Drop(_) => "drop",
        RowEnd::Bounce(_) => "bounce",
        RowEnd::Stop(_) => "stop",
        RowEnd::Again(_) => "again",
        RowEnd::AtOnce => "at_once",
    }
}

/// A message with what is left out filled in: a grant of yesterday.
fn whole_message(nth: usize, message: &Value) -> Result<Incoming, String> {
    let mut whole = json!({
        "id": format!("dlv_{}", nth + 1), "type": "segment.entered", "activation": "vip", "segment": "vip",
        "at": "2026-11-28T09:59:00Z", "profile": format!("p_{}", nth + 1), "data": {},
        "consent": {
            "purpose": "marketing", "channel": "email", "state": "granted", "since": "2026-11-27T08:30:00Z", "receipt": "r_1",
        },
    });
    for (key, value) in message.as_object().ok_or("a message is a map")? {
        whole[key] = value.clone();
    }
    serde_json::from_value(whole).map_err(|error| error.to_string())
}

impl Answered {
    fn response(&self) -> Response {
        let body = match &self.body {
            Value::Null => Vec::new(),
            Value::String(text) => text.clone().into_bytes(),
            other => other.to_string().into_bytes(),
        };
        let headers = self.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect();
        Response { status: Some(self.status), headers, body, error: None }
    }
}

/// Runs all cases of a connector.
pub fn run_cases(connector: &Arc<Connector>) -> Vec<CaseResult> {
    let run = |(file, case): &(String, Case)| CaseResult {
        file: file.clone(),
        case: case.case.clone(),
        shows: case.shows.clone(),
        difference: case.run(connector).err(),
    };
    connector.cases.iter().map(run).collect()
}
