//! A test call: is a destination set up rightly? Nobody's data is in it, and no secret in what is answered.

use std::sync::Arc;

use jumelle_connect::{Catalogue, Connector, Settings, auth, render_test};
use jumelle_model::workspace::Destination;
use serde::Serialize;

use crate::partner::{Partner, moment};
use crate::secrets;
use crate::transport::Transport;
use crate::webhook::{Outcome, Webhook, resolve_secret};

/// Characters of an answer that are told.
const SAID_CHARS_MAX: usize = 200;
/// Secrets shorter than this are not looked for in an answer: they would be found everywhere.
const VEILED_BYTES_MIN: usize = 4;

/// What a test call came to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Trial {
    /// The tool answered as it should.
    Ok {
        /// 2xx.
        status: u16,
    },
    /// There is nothing that could be asked; what is given is well-formed.
    NoTest {
        /// Why.
        said: String,
    },
    /// The tool answered that something is wrong.
    Refused {
        /// 3xx, 4xx or 5xx; none: it is the server of tokens that refuses.
        status: Option<u16>,
        /// What it said, without secrets.
        said: String,
    },
    /// Nobody answered, or nobody could be asked.
    Away {
        /// Why.
        said: String,
    },
    /// A setting cannot be used: nothing was asked.
    Unusable {
        /// Why.
        said: String,
    },
}

/// Makes the test call of a destination, by the way that its messages take: same address rules, same timeouts, same secrets.
pub async fn test_destination(destination: &Destination, catalogue: &Catalogue, country: &str) -> Trial {
    let trial = match destination.connector.as_str() {
        "file" => Trial::NoTest { said: "a file is put there when it is due; there is no call that tries it before".into() },
        "webhook" => match Webhook::new(destination) {
            Ok(webhook) => webhook.test().await.into(),
            Err(error) => Trial::Unusable { said: error.to_string() },
        },
        key => match catalogue.get(key) {
            None => Trial::Unusable { said: format!("there is no connector {key:?}") },
            Some(connector) => match Partner::new(destination, connector.clone(), country) {
                Ok(partner) => test_connector(&partner.connector, &partner.settings, &partner.transport).await,
                Err(said) => Trial::Unusable { said },
            },
        },
    };
    trial.without(&secrets_of(destination))
}

/// Makes the test call of a declared connector.
pub async fn test_connector(connector: &Arc<Connector>, settings: &Settings, transport: &Transport) -> Trial {
    let moment = moment();
    let mut token = None;
    if auth::needs_token(connector) {
        let request = match auth::token_request(connector, settings, &moment) {
            Ok(request) => request,
            Err(said) => return Trial::Unusable { said },
        };
        let answer = transport.transfer(request).await;
        let Some(status) = answer.status else { return Trial::Away { said: answer.error.unwrap_or_default() } };
        token = match auth::read_token(connector, status, &answer.body) {
            Ok(token) => Some(token.text),
            Err(said) => return Trial::Refused { status: None, said },
        };
    }
    if !connector.has_test() {
        return Trial::NoTest { said: "the connector has no test call; its settings are well-formed".into() };
    }
    let request = match render_test(connector, settings, token.as_deref(), &moment) {
        Ok(request) => request,
        Err(error) => return Trial::Unusable { said: error.to_string() },
    };
    let answer = transport.transfer(request).await;
    let trial = match answer.status {
        Some(status @ 200..=299) => Trial::Ok { status },
        Some(status) => Trial::Refused { status: Some(status), said: told(&answer.body) },
        None => Trial::Away { said: answer.error.unwrap_or_default() },
    };
    trial.without(&token.into_iter().collect::<Vec<_>>())
}

fn told(body: &[u8]) -> String {
    String::from_utf8_lossy(body).chars().filter(|c| !c.is_control()).collect()
}

impl Trial {
    /// With everything that a tool repeated of these taken out, and no longer than a line.
    fn without(mut self, secrets: &[String]) -> Trial {
        let said = match &mut self {
            Trial::Ok { .. } => return self,
            Trial::NoTest { said } | Trial::Refused { said, .. } | Trial::Away { said } | Trial::Unusable { said } => said,
        };
        for secret in secrets.iter().filter(|secret| secret.len() >= VEILED_BYTES_MIN) {
            *said = said.replace(secret.as_str(), jumelle_connect::settings::MASK);
        }
        *said = said.chars().take(SAID_CHARS_MAX).collect();
        self
    }
}

impl From<Outcome> for Trial {
    fn from(outcome: Outcome) -> Trial {
        match outcome {
            Outcome::Sent { status } => Trial::Ok { status },
            Outcome::Retry { reason, status: None, .. } => Trial::Away { said: reason },
            Outcome::Retry { reason, status, .. } | Outcome::Misconfigured { reason, status } => {
                Trial::Refused { status, said: reason }
            }
            Outcome::Refused { reason, status } => Trial::Refused { status: Some(status), said: reason },
            Outcome::Withheld => Trial::Away { said: "nothing was asked".into() },
        }
    }
}

/// What must not be told: the secrets themselves, and as they may be written in a header or an address.
fn secrets_of(destination: &Destination) -> Vec<String> {
    use base64::Engine as _;
    let mut plain = Vec::new();
    if let Some(secret) = &destination.secret {
        plain.extend(secrets::read(secret, &destination.key).ok());
        plain.extend(resolve_secret(secret, &destination.key).ok().and_then(|bytes| String::from_utf8(bytes).ok()));
    }
    for (_, text) in &destination.settings {
        let value = serde_json::from_str(text).unwrap_or_default();
        plain.extend(secrets::of_setting(&value).and_then(|secret| secrets::read(&secret, &destination.key).ok()));
    }
    let encoded = |secret: &String| base64::engine::general_purpose::STANDARD.encode(secret);
    let mut all: Vec<String> = plain.iter().flat_map(|secret| [secret.clone(), encoded(secret)]).collect();
    // The longest first: one may be a part of another.
    all.sort_unstable_by_key(|secret| std::cmp::Reverse(secret.len()));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_tool_repeats_of_a_secret_is_not_told() {
        let said = "the key sk-123456 is unknown (c2stMTIzNDU2)".to_owned();
        let secrets = ["sk-123456".to_owned(), "c2stMTIzNDU2".to_owned(), "is".to_owned()];
        let Trial::Refused { said, .. } = (Trial::Refused { status: Some(401), said }).without(&secrets) else { panic!() };
        assert_eq!(said, "the key •••••• is unknown (••••••)");
    }
}
