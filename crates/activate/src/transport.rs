//! Requests, by the wire of their address. What carries people goes out only if the gate has let them through: [`MaySend`] is a
//! type, not a check.

use std::time::Duration;

use jumelle_connect::{MaySend, Request, Response, Wire};

use crate::egress::{self, is_private_host};
use crate::last_look;
use crate::native::postgresql::Postgresql;
use crate::native::smtp::Smtp;
use crate::webhook::describe;

/// Answers about thousands of people take their time.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// Sends what connectors render, if the gate has let it through. What a preview renders is of another type, and does not compile:
///
/// ```compile_fail,E0277
/// async fn send(transport: &jumelle_activate::Transport, request: jumelle_connect::Request<jumelle_connect::Sample>) {
///     transport.transfer(request).await;
/// }
/// ```
pub struct Transport {
    client: reqwest::Client,
    base: Option<String>,
    allow_private: bool,
    smtp: Smtp,
    postgresql: Postgresql,
}

impl Transport {
    /// `base`: another host than the tools' own, for tests and gateways; `allow_private`: it may be a private one.
    pub fn new(base: Option<&str>, allow_private: bool) -> Result<Transport, String> {
        let client = egress::client(allow_private).map_err(|error| format!("HTTP client: {error}"))?;
        let base = base.filter(|base| !base.is_empty() && allow_private).map(str::to_owned);
        Ok(Transport { client, base, allow_private, smtp: Smtp::default(), postgresql: Postgresql::default() })
    }

    /// Sends one request. An answer that does not come is an answer without a status.
    pub async fn transfer<O: MaySend>(&self, request: Request<O>) -> Response {
        self.transfer_if(request, || true).await.unwrap_or_default()
    }

    /// As [`Transport::transfer`], with a last look when the connection is there. `None`: it said no, and nothing has left.
    pub async fn transfer_if<O: MaySend>(
        &self,
        request: Request<O>,
        still: impl FnOnce() -> bool + Send + 'static,
    ) -> Option<Response> {
        let failed = |error: String| Some(Response { error: Some(error), ..Response::default() });
        let request = match &self.base {
            Some(base) => request.through(base),
            None => request,
        };
        let (authorization, said) = (request.header("authorization"), (request.method.as_str(), request.body.as_slice()));
        match Wire::of(&request.url) {
            Some(Wire::Smtp) => return self.smtp.exchange(&request.url, authorization, said, self.allow_private, still).await,
            Some(Wire::Postgresql) => {
                return self.postgresql.exchange(&request.url, authorization, said, self.allow_private, still).await;
            }
            Some(Wire::Http) | None => {}
        }
        let Ok(url) = reqwest::Url::parse(&request.url) else { return failed("the address cannot be read".into()) };
        if !self.allow_private && (url.host_str().is_some_and(is_private_host) || url.scheme() != "https") {
            return failed("a private address, or one without TLS, needs allow_private: true".into());
        }
        let Ok(method) = request.method.parse::<reqwest::Method>() else { return failed("no such method".into()) };
        let mut call = self.client.request(method, url).timeout(TOTAL_TIMEOUT);
        for (name, value) in &request.headers {
            call = call.header(name, value);
        }
        match last_look::send_if(call, request.body, still).await? {
            Ok(answer) => Some(read(answer).await),
            Err(error) => failed(describe(&error)),
        }
    }
}

async fn read(mut answer: reqwest::Response) -> Response {
    let headers = answer
        .headers()
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
        .collect();
    let status = Some(answer.status().as_u16());
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_BYTES_MAX {
            break;
        }
    }
    Response { status, headers, body, error: None }
}
