//! What an answer means for each person of a request.

use std::time::Duration;

use serde_json::Value;

use crate::connector::{Connector, RowErrors, Rule};
use crate::manifest::Then;
use crate::path::Answer;
use crate::row::Row;
use crate::template::text;

/// Characters of a reason that are kept.
const REASON_CHARS_MAX: usize = 200;

/// What came back.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// HTTP status; none: no answer came.
    pub status: Option<u16>,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Bytes, as many as were read.
    pub body: Vec<u8>,
    /// Why no answer came.
    pub error: Option<String>,
}

impl Response {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// A number of seconds in a header.
    fn seconds(&self, name: &str) -> Option<Duration> {
        let seconds: f64 = self.header(name)?.trim().parse().ok()?;
        // Some tools write the instant, others how long it takes.
        (0.0..=86_400.0).contains(&seconds).then(|| Duration::from_secs_f64(seconds))
    }
}

/// How it ended for one person.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RowEnd {
    /// Taken.
    Ok,
    /// Refused for good.
    Drop(String),
    /// Refused for good: nothing reaches the address.
    Bounce(String),
    /// Refused for good: the tool holds a STOP of the number.
    Stop(String),
    /// To be sent again after a while.
    Again(String),
    /// To be sent again at once: another one of the request was the reason.
    AtOnce,
}

/// How a request ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ending {
    /// For each person, by her place in the caller's count.
    Rows(Vec<(usize, RowEnd)>),
    /// All again.
    Retry {
        /// Why.
        reason: String,
        /// The tool said when.
        after: Option<Duration>,
    },
    /// A fresh token is needed.
    Auth(String),
    /// One of them is guilty: each half again.
    Split(String),
    /// An operator has to look.
    Config(String),
}

/// What HTTP itself says, where no rule of the connector does.
fn by_status(status: Option<u16>) -> Then {
    match status {
        None => Then::Retry,
        Some(200..=299) => Then::Ok,
        Some(401) => Then::Auth,
        Some(300..=399 | 402 | 403 | 404 | 405 | 410) => Then::Config,
        Some(408 | 425 | 429) => Then::Wait,
        Some(status) if status >= 500 => Then::Retry,
        Some(_) => Then::Split,
    }
}

/// How long nothing may be sent, by what the answer says of the limit.
pub(crate) fn hold(connector: &Connector, response: &Response) -> Option<Duration> {
    let rate = &connector.manifest.rate;
    let remaining: f64 = response.header(rate.remaining.as_deref()?)?.trim().parse().ok()?;
    if remaining > 0.0 {
        return None;
    }
    response.seconds(rate.reset.as_deref()?)
}

/// Judges an answer about rows.
pub(crate) fn judge<O>(connector: &Connector, rows: &[&Row<O>], response: &Response) -> Ending {
    let written = String::from_utf8_lossy(&response.body);
    let body: Value = serde_json::from_str(&written).unwrap_or_default();
    let answer = Answer { status: response.status, body: &body, text: &written };
    let rule = connector.outcome.iter().find(|rule| rule.when.holds(answer));
    let then = rule.map_or_else(|| by_status(response.status), |rule| rule.then);
    let reason = reason(rule, response, &body, &written);
    match then {
        Then::Ok => match rule.and_then(|rule| rule.rows.as_ref()) {
            None => all(rows, &RowEnd::Ok),
            Some(errors) => named(errors, rows, &body, &RowEnd::Ok, &reason).0,
        },
        Then::Row => {
            let Some(errors) = rule.and_then(|rule| rule.rows.as_ref()) else { return Ending::Split(reason) };
            match named(errors, rows, &body, &RowEnd::AtOnce, &reason) {
                (ending, 1..) => ending,
                // It names nobody whom we know: found by halves.
                (_, 0) if rows.len() > 1 => Ending::Split(reason),
                (_, 0) => all(rows, &RowEnd::Drop(reason)),
            }
        }
        Then::Retry => Ending::Retry { reason, after: response.seconds("retry-after") },
        Then::Wait => {
            let rate = &connector.manifest.rate;
            let own = || rate.reset.as_deref().and_then(|name| response.seconds(name));
            Ending::Retry { reason, after: response.seconds("retry-after").or_else(own).or(Some(Duration::from_secs(10))) }
        }
        Then::Auth => Ending::Auth(reason),
        Then::Split if rows.len() > 1 => Ending::Split(reason),
        Then::Split | Then::Drop => all(rows, &RowEnd::Drop(reason)),
        Then::Again => all(rows, &RowEnd::Again(reason)),
        Then::Bounce => all(rows, &RowEnd::Bounce(reason)),
        Then::Stop => all(rows, &RowEnd::Stop(reason)),
        Then::Config => Ending::Config(reason),
    }
}

fn all<O>(rows: &[&Row<O>], end: &RowEnd) -> Ending {
    Ending::Rows(rows.iter().map(|row| (row.nth, end.clone())).collect())
}

/// A reason without line breaks; never a header, which may hold a token.
fn reason(rule: Option<&Rule>, response: &Response, body: &Value, written: &str) -> String {
    let said = rule.and_then(|rule| rule.message.as_ref()).and_then(|path| path.first(body)).map(text);
    let said = said.or_else(|| response.error.clone()).unwrap_or_else(|| written.trim().to_owned());
    let said: String = said.chars().filter(|c| !c.is_control()).take(REASON_CHARS_MAX).collect();
    match response.status {
        Some(status) if said.is_empty() => status.to_string(),
        Some(status) => format!("{status}: {said}"),
        None => said,
    }
}

/// Which rows an answer names, and how many. Invariant: a place is one in this request, not in the caller's count.
fn named<O>(errors: &RowErrors, rows: &[&Row<O>], body: &Value, others: &RowEnd, whole: &str) -> (Ending, usize) {
    let mut ends: Vec<(usize, RowEnd)> = rows.iter().map(|row| (row.nth, others.clone())).collect();
    let mut found = 0;
    for (place, error) in errors.errors.all(body).into_iter().enumerate() {
        if let Some((only, is)) = &errors.only {
            let value = only.first(error);
            let counts = match is {
                Some(is) => value == Some(is),
                None => {
                    value.is_some_and(|value| *value != Value::Bool(false) && value != "" && *value != Value::Array(Vec::new()))
                }
            };
            if !counts {
                continue;
            }
        }
        let at: Vec<usize> = if errors.by_place {
            vec![place]
        } else if let Some(index) = &errors.index {
            let written = index.first(error).map(text).unwrap_or_default();
            let number = match &errors.index_regex {
                Some(regex) => regex.captures(&written).and_then(|found| found.get(1)).map(|found| found.as_str().to_owned()),
                None => Some(written),
            };
            let number = number.and_then(|number| number.parse::<usize>().ok());
            number.and_then(|number| number.checked_sub(errors.first)).into_iter().collect()
        } else if let Some((key, field)) = &errors.key {
            let wanted = key.first(error).map(text).unwrap_or_default().to_lowercase();
            let holds = |row: &&Row<O>| text(&row.values["row"][field]).to_lowercase() == wanted;
            rows.iter().enumerate().filter(|(_, row)| holds(row)).map(|(at, _)| at).collect()
        } else {
            Vec::new()
        };
        let said = errors.message.as_ref().and_then(|path| path.first(error)).map(text).unwrap_or_else(|| whole.to_owned());
        let said: String = said.chars().filter(|c| !c.is_control()).take(REASON_CHARS_MAX).collect();
        let again = errors.retry.iter().any(|part| said.to_lowercase().contains(part));
        for at in at {
            if let Some((_, end)) = ends.get_mut(at) {
                found += 1;
                *end = if again { RowEnd::Again(said.clone()) } else { RowEnd::Drop(said.clone()) };
            }
        }
    }
    (Ending::Rows(ends), found)
}
