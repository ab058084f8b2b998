//! Requests over HTTP. What carries people goes out only if the gate has let them through: [`MaySend`] is a type, not a check.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use jumelle_connect::{MaySend, Request, Response};

use crate::egress::{PublicOnly, is_private};
use crate::webhook::{describe, install_crypto};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
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
}

impl Transport {
    /// `base`: another host than the tools' own, for tests and gateways; `allow_private`: it may be a private one.
    pub fn new(base: Option<&str>, allow_private: bool) -> Result<Transport, String> {
        install_crypto();
        let mut client = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TOTAL_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .http1_only()
            .tcp_nodelay(true)
            .user_agent(concat!("jumelle/", env!("CARGO_PKG_VERSION")));
        if !allow_private {
            client = client.dns_resolver(Arc::new(PublicOnly));
        }
        let client = client.build().map_err(|error| format!("HTTP client: {error}"))?;
        Ok(Transport { client, base: base.filter(|base| !base.is_empty() && allow_private).map(str::to_owned), allow_private })
    }

    /// Sends one request. An answer that does not come is an answer without a status.
    pub async fn transfer<O: MaySend>(&self, request: Request<O>) -> Response {
        let failed = |error: String| Response { error: Some(error), ..Response::default() };
        let request = match &self.base {
            Some(base) => request.through(base),
            None => request,
        };
        let Ok(url) = reqwest::Url::parse(&request.url) else { return failed("the address cannot be read".into()) };
        let literal: Option<IpAddr> =
            url.host_str().and_then(|host| host.trim_start_matches('[').trim_end_matches(']').parse().ok());
        if !self.allow_private && (literal.is_some_and(is_private) || url.scheme() != "https") {
            return failed("a private address, or one without TLS, needs allow_private: true".into());
        }
        let Ok(method) = request.method.parse::<reqwest::Method>() else { return failed("no such method".into()) };
        let mut call = self.client.request(method, url);
        for (name, value) in &request.headers {
            call = call.header(name, value);
        }
        match call.body(request.body).send().await {
            Ok(answer) => read(answer).await,
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
