//! Talking to a running server; or, with `--data`, to one that is started in this process on a free loopback port.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use jumelle_engine::{Engine, Options};
use jumelle_server::{AdminToken, App, HttpLimits, token_hash};
use reqwest::{Method, Response};
use serde_json::Value;

use crate::arguments::Global;
use crate::output::Failure;

/// A connection to a server.
pub struct Client {
    http: reqwest::Client,
    server: String,
    token: String,
    own: Option<Own>,
}

/// A server of our own over a stopped directory.
struct Own {
    engine: Arc<Engine>,
    stop: tokio::sync::oneshot::Sender<()>,
    served: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Client {
    /// To the server of `--server`.
    pub fn remote(global: &Global) -> anyhow::Result<Client> {
        let token = global.token.clone().ok_or_else(|| Failure {
            code: 5,
            message: "no token: set JUMELLE_ADMIN_TOKEN, or --token".into(),
            details: Value::Null,
        })?;
        Client::to(global.server.trim_end_matches('/'), &token)
    }

    /// To an address.
    pub fn to(server: &str, token: &str) -> anyhow::Result<Client> {
        jumelle_activate::install_crypto();
        let http = reqwest::Client::builder().no_proxy().http1_only().build().context("HTTP client")?;
        Ok(Client { http, server: server.to_owned(), token: token.to_owned(), own: None })
    }

    /// To a stopped directory, if one is named, else to the server.
    pub async fn open(global: &Global, data: Option<&Path>) -> anyhow::Result<Client> {
        let Some(data) = data else { return Client::remote(global) };
        let key = |name| std::env::var(name).ok();
        crate::secrets_key::take(
            key("JUMELLE_SECRETS_KEY_FILE").as_deref().map(Path::new),
            key("JUMELLE_SECRETS_KEY_COMMAND").as_deref(),
        )?;
        let ledger_key = std::env::var_os("JUMELLE_LEDGER_KEY").map(Into::into);
        let options = Options { ledger_key, acts: false, ..Options::new(data) };
        let engine = Engine::open(&options).with_context(|| format!("opening {}", data.display()))?;
        let token = format!("{:032x}", rand::random::<u128>());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let metrics = jumelle_server::install_metrics().map_err(anyhow::Error::msg)?;
        let limits = HttpLimits { admin_bytes: 64 << 20, ..HttpLimits::default() };
        let app = App::new(engine.clone(), AdminToken::from_hash(token_hash(&token)), limits, metrics);
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let served = tokio::spawn(app.serve(listener, async move {
            // Dropping the sender stops it as well.
            let _ = stopped.await;
        }));
        let mut client = Client::to(&format!("http://{address}"), &token)?;
        client.own = Some(Own { engine, stop, served });
        Ok(client)
    }

    /// Ends a server of our own.
    pub async fn close(self) -> anyhow::Result<()> {
        if let Some(own) = self.own {
            drop(self.http);
            let _ = own.stop.send(());
            own.served.abort();
            own.engine.stop().await;
        }
        Ok(())
    }

    /// One call; problem details become a failure with the right exit code.
    pub async fn call(&self, method: Method, path: &str, body: Option<String>) -> anyhow::Result<Value> {
        let response = self.send(method, path, body).await?;
        let text = response.text().await.context("reading the answer")?;
        serde_json::from_str(&text).with_context(|| format!("the answer is not JSON: {text}"))
    }

    /// One call, answered with a stream.
    pub async fn send(&self, method: Method, path: &str, body: Option<String>) -> anyhow::Result<Response> {
        let mut request = self.http.request(method, format!("{}{path}", self.server)).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        let response = request.send().await.map_err(|error| {
            let what = if error.is_connect() { "is it running?" } else { "the call failed" };
            Failure { code: 5, message: format!("{}: {what} ({error})", self.server), details: Value::Null }
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let text = response.text().await.unwrap_or_default();
        let details: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        let message = details["detail"].as_str().map_or_else(|| format!("{status}: {text}"), str::to_owned);
        let code = match status.as_u16() {
            401 | 403 => 5,
            404 => 4,
            400..=499 => 3,
            _ => 1,
        };
        Err(Failure { code, message, details }.into())
    }

    /// `GET`
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.call(Method::GET, path, None).await
    }

    /// `POST`
    pub async fn post(&self, path: &str, body: String) -> anyhow::Result<Value> {
        self.call(Method::POST, path, Some(body)).await
    }
}

/// A path segment, percent-encoded.
pub fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b':' | b'@' => encoded.push(byte as char),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// Adds up what the answers to several calls count.
pub fn add_counts(sums: &mut Value, answer: &Value, fields: &[&str]) {
    for field in fields {
        sums[*field] = (sums[*field].as_u64().unwrap_or_default() + answer[*field].as_u64().unwrap_or_default()).into();
    }
}

/// Runs a future on a small runtime.
pub fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    runtime()?.block_on(future)
}

/// A small runtime.
pub fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
}
