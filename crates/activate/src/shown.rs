//! What would leave for a destination, for people to look at. Written by the code that writes what is sent; nothing that can be sent
//! comes of it.

use jumelle_connect::manifest::RemovalMode;
use jumelle_connect::settings::MASK;
use jumelle_connect::{Catalogue, Incoming, Row, Secrets, Settings, batches, preview};
use jumelle_consent::{Cleared, refused_body};
use jumelle_files::{columns_of, refused_cells};
use jumelle_model::Workspace;
use jumelle_model::message::Message;
use jumelle_model::workspace::take_back::RemovalNone;
use jumelle_model::workspace::{Activation, Destination};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::partner::moment;
use crate::secrets;
use crate::webhook::head;

/// What would leave.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(tag = "as", rename_all = "snake_case")]
pub enum Shown {
    /// Requests, in their order, as if the tool answered each as it should: `method`, `url`, `headers`, `body`. Secrets are veiled.
    Requests {
        /// Each of them.
        requests: Vec<Value>,
    },
    /// A line of a file.
    Line {
        /// Header of a column and its cell.
        cells: Vec<(String, Option<String>)>,
    },
    /// Nothing, and why.
    Nothing {
        /// In English.
        reason: String,
    },
}

/// A message as the gate judged it.
#[derive(Clone, Copy, Debug)]
pub enum Judged<'a> {
    /// It would let it through.
    Open(&'a Cleared),
    /// It would hold it back: what is shown is what would leave if it did not.
    Closed(&'a Message),
}

impl Judged<'_> {
    fn body(self) -> Vec<u8> {
        match self {
            Judged::Open(cleared) => cleared.body(),
            Judged::Closed(message) => refused_body(message),
        }
    }
}

/// What a destination would be sent of a message.
pub fn show(workspace: &Workspace, catalogue: &Catalogue, activation: &Activation, judged: Judged<'_>) -> Shown {
    let nothing = |reason: String| Shown::Nothing { reason };
    let Some(destination) = workspace.destination(&activation.destination) else {
        return nothing(format!("there is no destination {:?}", activation.destination));
    };
    let country = &workspace.settings.country;
    match (destination.connector.as_str(), &destination.file) {
        (_, Some(terms)) => {
            let columns = columns_of(terms, activation);
            let cells = match judged {
                Judged::Open(cleared) => jumelle_files::Row::of(cleared, &columns).cells().to_vec(),
                Judged::Closed(message) => refused_cells(message, &columns),
            };
            Shown::Line { cells: columns.into_iter().map(|column| column.header).zip(cells).collect() }
        }
        ("webhook", None) => Shown::Requests { requests: vec![webhook(destination, judged)] },
        (key, None) => match catalogue.get(key) {
            None => nothing(format!("there is no connector {key:?}")),
            Some(connector) => {
                let row = serde_json::from_slice::<Incoming>(&judged.body()).map_err(|error| error.to_string());
                let row = row.and_then(|incoming| Row::sample(connector, 0, incoming, country));
                let settings = Settings::preview(&connector.manifest, settings_of(destination), country, Secrets::Masked);
                let requests = row.and_then(|row| {
                    let mut requests = Vec::new();
                    for batch in batches(connector, vec![row]) {
                        requests.extend(preview(connector, batch, &settings, &moment()).map_err(|error| error.to_string())?);
                    }
                    Ok(requests)
                });
                match requests {
                    Ok(requests) => Shown::Requests {
                        requests: requests
                            .into_iter()
                            .map(|request| match destination.url.is_empty() {
                                true => request.to_json(),
                                false => request.through(&destination.url).to_json(),
                            })
                            .collect(),
                    },
                    Err(reason) => nothing(reason),
                }
            }
        },
    }
}

/// Why a tool cannot be told that somebody leaves it, and whom to ask: as the destination says, or else as its connector does.
pub fn removal_none(workspace: &Workspace, catalogue: &Catalogue, destination: &Destination) -> Option<RemovalNone> {
    destination.take_back.removal_none.clone().or_else(|| {
        let removal = &catalogue.get(&destination.connector)?.manifest.removal;
        (removal.mode == RemovalMode::None).then(|| RemovalNone {
            reason: removal.reason.clone().unwrap_or_default(),
            contact: workspace.preferences.contact.clone().unwrap_or_else(|| destination.key.clone()),
        })
    })
}

/// Why a destination cannot be told of a message that the gate lets through; `None`: it can.
pub fn cannot_be_told(workspace: &Workspace, catalogue: &Catalogue, cleared: &Cleared) -> Option<String> {
    let destination = workspace.destination(&cleared.message().destination)?;
    let connector = catalogue.get(&destination.connector)?;
    Row::of(connector, 0, cleared, &workspace.settings.country).err()
}

fn webhook(destination: &Destination, judged: Judged<'_>) -> Value {
    let body = judged.body();
    let (id, at) = match judged {
        Judged::Open(cleared) => (cleared.message().id, cleared.message().at),
        Judged::Closed(message) => (message.id, message.at),
    };
    let signature = destination.secret.as_ref().map(|_| format!("v1,{MASK}"));
    let headers: Map<String, Value> = head(&id.to_string(), at.0 / 1_000_000, signature)
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    json!({"method": "POST", "url": destination.url, "headers": headers, "body": body})
}

/// Without those that are read elsewhere: a name in angle brackets stands for them.
fn settings_of(destination: &Destination) -> Map<String, Value> {
    let read = |(name, text): &(String, String)| Some((name.clone(), serde_json::from_str::<Value>(text).ok()?));
    destination.settings.iter().filter_map(read).filter(|(_, value)| secrets::of_setting(value).is_none()).collect()
}
