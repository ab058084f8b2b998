//! What goes back and forth about one batch: look-ups, steps, polling, judgement. Plain data in and out; the caller sends.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::connector::{Connector, Step};
use crate::manifest::{Missing, OpName};
use crate::outcome::{Ending, Response, RowEnd, hold, judge};
use crate::request::{Moment, RenderError, Request, render, whole};
use crate::row::Row;
use crate::settings::Settings;

/// What is to be done next.
#[derive(Debug)]
pub enum Next<O> {
    /// Send this, and tell [`Exchange::answer`] what came back.
    Send(Request<O>),
    /// Wait, then ask again.
    Wait(Duration),
    /// It is over.
    Done(Ending),
}

/// One batch under way.
pub struct Exchange<O> {
    connector: Arc<Connector>,
    op: OpName,
    rows: Vec<Row<O>>,
    /// Rows that ended on the way.
    ended: Vec<(usize, RowEnd)>,
    saved: Map<String, Value>,
    stage: Stage,
    polls: u32,
    hold: Option<Duration>,
}

#[derive(Debug)]
enum Stage {
    /// Looks up the row of this place.
    Lookup(usize),
    /// Sends this step.
    Step(usize),
    /// Waits before this step is asked again.
    Waiting(usize, Duration),
    Over(Ending),
    Told,
}

impl<O> Exchange<O> {
    /// About rows of one operation (see [`crate::batches`]).
    pub fn new(connector: Arc<Connector>, rows: Vec<Row<O>>) -> Exchange<O> {
        let op = rows.first().map_or(OpName::Add, |row| row.op);
        let stage = match connector.ops.get(&op).map(|op| op.lookup.is_some()) {
            Some(true) => Stage::Lookup(0),
            _ => Stage::Step(0),
        };
        Exchange { connector, op, rows, ended: Vec::new(), saved: Map::new(), stage, polls: 0, hold: None }
    }

    /// What is to be done.
    pub fn next(&mut self, settings: &Settings, token: Option<&str>, moment: &Moment) -> Result<Next<O>, RenderError> {
        let connector = self.connector.clone();
        let Some(op) = connector.ops.get(&self.op) else {
            return Err(RenderError::Nothing(format!("{} has no operation {}", connector.manifest.connector, self.op.as_str())));
        };
        if let Some(reason) = &op.none {
            return Err(RenderError::Nothing(reason.clone()));
        }
        let saved = Value::Object(self.saved.clone());
        let whole = whole(settings, &op.with, &saved, moment, self.rows.len());
        match std::mem::replace(&mut self.stage, Stage::Told) {
            Stage::Lookup(at) => {
                let (Some(lookup), Some(row)) = (&op.lookup, self.rows.get(at)) else {
                    self.stage = if self.rows.is_empty() { Stage::Over(Ending::Rows(Vec::new())) } else { Stage::Step(0) };
                    return self.next(settings, token, moment);
                };
                let request = render(&connector, &lookup.request, &[row], &whole, settings, token, moment)?;
                self.stage = Stage::Lookup(at);
                Ok(Next::Send(request))
            }
            Stage::Step(n) => {
                let Some(n) = (n..op.steps.len()).find(|&n| self.applies(&op.steps[n])) else {
                    self.stage = Stage::Over(self.all_taken());
                    return self.next(settings, token, moment);
                };
                let rows: Vec<&Row<O>> = self.rows.iter().collect();
                let request = render(&connector, &op.steps[n].request, &rows, &whole, settings, token, moment)?;
                self.stage = Stage::Step(n);
                Ok(Next::Send(request))
            }
            Stage::Waiting(n, every) => {
                self.stage = Stage::Step(n);
                Ok(Next::Wait(every))
            }
            Stage::Over(ending) => {
                let ending = match ending {
                    Ending::Rows(mut rows) => {
                        rows.append(&mut self.ended);
                        Ending::Rows(rows)
                    }
                    other => other,
                };
                Ok(Next::Done(ending))
            }
            Stage::Told => Ok(Next::Done(Ending::Rows(Vec::new()))),
        }
    }

    /// Takes in what came back.
    pub fn answer(&mut self, response: &Response) {
        let connector = self.connector.clone();
        let Some(op) = connector.ops.get(&self.op) else { return };
        self.hold = hold(&connector, response).or(self.hold);
        let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        match self.stage {
            Stage::Lookup(at) => {
                let Some(lookup) = &op.lookup else { return };
                let found = lookup.value.first(&body).cloned();
                let there = response.status.is_some_and(|status| (200..300).contains(&status));
                match (there, found) {
                    (true, Some(value)) => {
                        self.rows[at].values["row"][&lookup.name] = value;
                        self.stage = Stage::Lookup(at + 1);
                    }
                    (there, _) if there || response.status == Some(404) => match lookup.missing {
                        Missing::Continue => self.stage = Stage::Lookup(at + 1),
                        Missing::Done => self.ended.push((self.rows.remove(at).nth, RowEnd::Ok)),
                        Missing::Drop => {
                            let reason = format!("{} does not know her", connector.manifest.name);
                            self.ended.push((self.rows.remove(at).nth, RowEnd::Drop(reason)));
                        }
                    },
                    _ => self.stage = Stage::Over(self.judged(response)),
                }
            }
            Stage::Step(n) => {
                let judged = self.judged(response);
                let step = &op.steps[n];
                let last = !op.steps[n + 1..].iter().any(|step| self.applies(step));
                if !matches!(judged, Ending::Rows(_)) {
                    self.stage = Stage::Over(judged);
                    return;
                }
                for (name, path) in &step.save {
                    if let Some(value) = path.first(&body) {
                        self.saved.insert(name.clone(), value.clone());
                    }
                }
                if let Some((until, every, times)) = &step.poll {
                    let written = String::from_utf8_lossy(&response.body);
                    let answer = crate::path::Answer { status: response.status, body: &body, text: &written };
                    if !until.holds(answer) {
                        self.polls += 1;
                        self.stage = if self.polls >= *times {
                            Stage::Over(Ending::Retry { reason: "the tool did not finish in time".into(), after: None })
                        } else {
                            Stage::Waiting(n, *every)
                        };
                        return;
                    }
                    self.polls = 0;
                }
                // An answer before the last may name people already.
                let refused = matches!(&judged, Ending::Rows(rows) if rows.iter().any(|(_, end)| *end != RowEnd::Ok));
                self.stage = if last || refused { Stage::Over(judged) } else { Stage::Step(n + 1) };
            }
            _ => {}
        }
    }

    fn applies(&self, step: &Step) -> bool {
        step.when.as_ref().is_none_or(|(field, wanted)| {
            let there = |row: &Row<O>| row.values["row"].get(field).is_some_and(|value| !value.is_null());
            self.rows.iter().all(|row| there(row) == *wanted)
        })
    }

    fn all_taken(&self) -> Ending {
        Ending::Rows(self.rows.iter().map(|row| (row.nth, RowEnd::Ok)).collect())
    }

    /// Takes every request for answered as it should be: `<name>` stands for what the tool would have said.
    fn pretend(&mut self) {
        let connector = self.connector.clone();
        let Some(op) = connector.ops.get(&self.op) else { return };
        match self.stage {
            Stage::Lookup(at) => {
                if let Some(lookup) = &op.lookup {
                    self.rows[at].values["row"][&lookup.name] = format!("<{}>", lookup.name).into();
                }
                self.stage = Stage::Lookup(at + 1);
            }
            Stage::Step(n) => {
                for (name, _) in &op.steps[n].save {
                    self.saved.insert(name.clone(), format!("<{name}>").into());
                }
                self.stage = if n + 1 == op.steps.len() { Stage::Over(Ending::Rows(Vec::new())) } else { Stage::Step(n + 1) };
            }
            _ => {}
        }
    }

    fn judged(&self, response: &Response) -> Ending {
        judge(&self.connector, &self.rows.iter().collect::<Vec<_>>(), response)
    }

    /// How long the tool asks for nothing more, by its headers.
    pub fn hold(&self) -> Option<Duration> {
        self.hold
    }
}

/// Every request of a batch, as if the tool answered each as it should.
pub fn preview<O>(
    connector: &Arc<Connector>,
    rows: Vec<Row<O>>,
    settings: &Settings,
    moment: &Moment,
) -> Result<Vec<Request<O>>, RenderError> {
    let mut exchange = Exchange::new(connector.clone(), rows);
    let mut sent = Vec::new();
    while let Next::Send(request) = exchange.next(settings, None, moment)? {
        exchange.pretend();
        sent.push(request);
    }
    Ok(sent)
}

/// Renders a batch without sending: each request as it would leave if the tool answered with what `answers` says (or an empty
/// success). For previews and cases.
pub fn rehearse<O: Clone>(
    connector: &Arc<Connector>,
    rows: Vec<Row<O>>,
    settings: &Settings,
    token: Option<&str>,
    moment: &Moment,
    answers: &[Response],
) -> Result<(Vec<Request<O>>, Ending), RenderError> {
    let mut exchange = Exchange::new(connector.clone(), rows);
    let mut sent = Vec::new();
    loop {
        match exchange.next(settings, token, moment)? {
            Next::Send(request) => {
                let empty = Response { status: Some(200), body: b"{}".to_vec(), ..Response::default() };
                exchange.answer(answers.get(sent.len()).unwrap_or(&empty));
                sent.push(request);
            }
            Next::Wait(_) => {}
            Next::Done(ending) => return Ok((sent, ending)),
        }
    }
}
