//! One destination of a declared connector: its settings, its token, and how many requests it allows.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jumelle_connect::{Connector, Moment, Settings, auth};
use jumelle_model::time::Timestamp;
use jumelle_model::workspace::Destination;
use parking_lot::Mutex;
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::secrets;
use crate::transport::Transport;

/// Ready to send.
pub(crate) struct Partner {
    pub connector: Arc<Connector>,
    pub settings: Settings,
    pub transport: Transport,
    limit: Option<(u32, Duration)>,
    token: tokio::sync::Mutex<Option<(String, Instant)>>,
    /// When the last requests left, as many as the limit counts, and until when the tool wants none.
    turns: Mutex<(VecDeque<Instant>, Option<Instant>)>,
}

/// Why there is no token.
pub(crate) enum TokenError {
    /// The tool did not answer: try again.
    Away(String),
    /// It refuses: an operator has to look.
    Refused(String),
}

impl Partner {
    /// Reads secrets at the moment of use.
    pub fn new(destination: &Destination, connector: Arc<Connector>, country: &str) -> Result<Partner, String> {
        let mut given = Map::new();
        for (name, text) in &destination.settings {
            let value: Value = serde_json::from_str(text).unwrap_or_default();
            let value = match secrets::of_setting(&value) {
                Some(secret) => {
                    secrets::read(&secret, &destination.key).map_err(|error| format!("setting {name}: {error}"))?.into()
                }
                None => value,
            };
            given.insert(name.clone(), value);
        }
        let faults = jumelle_connect::settings::check(&connector.manifest, &given);
        if let Some(fault) = faults.first() {
            return Err(fault.to_string());
        }
        let settings = Settings::new(&connector.manifest, given, country);
        let transport = Transport::new(Some(&destination.url), destination.allow_private)?;
        let limit = connector.limit_of(&settings);
        Ok(Partner { connector, settings, transport, limit, token: Default::default(), turns: Default::default() })
    }

    /// Waits until the tool's limit lets one more request leave.
    pub async fn turn(&self) {
        loop {
            let now = Instant::now();
            let wait = {
                let mut turns = self.turns.lock();
                let (left, held) = &mut *turns;
                let held = held.filter(|until| *until > now);
                match (held, self.limit) {
                    (Some(until), _) => until,
                    (None, None) => return,
                    (None, Some((most, within))) => {
                        while left.front().is_some_and(|at| *at + within <= now) {
                            left.pop_front();
                        }
                        if left.len() < most as usize {
                            left.push_back(now);
                            return;
                        }
                        left.front().map_or(now, |at| *at + within)
                    }
                }
            };
            tokio::time::sleep_until(wait).await;
        }
    }

    /// The tool's headers say that it wants nothing for a while.
    pub fn hold(&self, time: Option<Duration>) {
        if let Some(time) = time {
            self.turns.lock().1 = Some(Instant::now() + time);
        }
    }

    /// A token that holds, fetched if there is none.
    pub async fn token(&self) -> Result<Option<String>, TokenError> {
        if !auth::needs_token(&self.connector) {
            return Ok(None);
        }
        let mut kept = self.token.lock().await;
        if let Some((token, until)) = &*kept
            && *until > Instant::now()
        {
            return Ok(Some(token.clone()));
        }
        let request = auth::token_request(&self.connector, &self.settings, &moment()).map_err(TokenError::Refused)?;
        let answer = self.transport.transfer(request).await;
        let Some(status) = answer.status.filter(|status| *status < 500 && *status != 429) else {
            let why = answer.error.unwrap_or_else(|| "the server of tokens cannot".into());
            return Err(TokenError::Away(format!("no token: {why}")));
        };
        let token = auth::read_token(&self.connector, status, &answer.body).map_err(TokenError::Refused)?;
        let holds = Duration::from_secs(token.expires_in_s.saturating_sub(auth::RENEW_BEFORE_S).max(1));
        *kept = Some((token.text.clone(), Instant::now() + holds));
        Ok(Some(token.text))
    }

    /// The token was refused: the next one is fetched anew. `false`: there is none to renew.
    pub async fn forget_token(&self, used: Option<&str>) -> bool {
        let mut kept = self.token.lock().await;
        // Somebody else may have renewed it meanwhile.
        if kept.as_ref().is_some_and(|(token, _)| Some(token.as_str()) == used) {
            *kept = None;
        }
        auth::needs_token(&self.connector)
    }
}

pub(crate) fn moment() -> Moment {
    Moment { now: Timestamp::now(), nonce: format!("{:032x}", rand::random::<u128>()) }
}
