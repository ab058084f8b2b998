//! Wires other than HTTP. What is told is the manifest's; how it is said to the server is here.
//!
//! Each answers with a [`Response`] as a tool over HTTP would: a status and a JSON body, so that manifests say what answers mean.

pub(crate) mod postgresql;
pub(crate) mod smtp;

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jumelle_connect::Response;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::time::Instant;

use crate::egress::is_private;

/// To look up a name and connect.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection is kept that nothing uses.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// Connections kept for later requests.
const KEPT_MAX: usize = 16;

/// Whose connection it is: the server, and what was said to be let in.
pub(crate) type Login = (Server, Option<String>);

/// Connections that nothing uses at the moment.
pub(crate) struct Kept<C>(Mutex<Vec<(Login, Instant, C)>>);

impl<C> Default for Kept<C> {
    fn default() -> Kept<C> {
        Kept(Mutex::default())
    }
}

impl<C> Kept<C> {
    /// The one that was used last, if it is not too old.
    pub(crate) fn take(&self, login: &Login) -> Option<C> {
        let mut kept = self.0.lock();
        kept.retain(|(of, since, _)| of == login && since.elapsed() < IDLE_MAX);
        kept.pop().map(|(.., connection)| connection)
    }

    /// For the next request.
    pub(crate) fn keep(&self, login: Login, connection: C) {
        let mut kept = self.0.lock();
        if kept.len() < KEPT_MAX {
            kept.push((login, Instant::now(), connection));
        }
    }
}

/// A server, as its address says it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Server {
    /// `smtps`
    pub scheme: String,
    /// Without the brackets of an IPv6 address.
    pub host: String,
    /// As said, or what the scheme has by custom.
    pub port: u16,
    /// Behind the first slash.
    pub path: String,
}

impl Server {
    /// Reads `scheme://host:port/path`.
    pub(crate) fn of(url: &str, port: impl Fn(&str) -> u16) -> Option<Server> {
        let (scheme, rest) = url.split_once("://")?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, given) = match authority.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
            Some((host, behind)) => (host, behind.strip_prefix(':')),
            None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
        };
        let port = given.map_or(Some(port(scheme)), |given| given.parse().ok())?;
        Some(Server { scheme: scheme.to_owned(), host: host.to_owned(), port, path: path.to_owned() })
            .filter(|_| !host.is_empty())
    }

    /// Its addresses, without private ones unless they are allowed. What is connected to is what was looked at: a name that changes
    /// its address between check and use gains nothing.
    pub(crate) async fn addresses(&self, allow_private: bool) -> Result<Vec<SocketAddr>, Failure> {
        let looked_up = tokio::time::timeout(CONNECT_TIMEOUT, tokio::net::lookup_host((self.host.as_str(), self.port))).await;
        let found = looked_up.map_err(|_| Failure::Away("the name of the server is not answered".into()))?;
        let found: Vec<SocketAddr> = found.map_err(|error| Failure::Away(format!("{}: {error}", self.host)))?.collect();
        let allowed: Vec<SocketAddr> = found.into_iter().filter(|one| allow_private || !is_private(one.ip())).collect();
        if allowed.is_empty() {
            let message = format!("{} has no public address; a private one needs allow_private: true", self.host);
            return Err(Failure::Refused(message));
        }
        Ok(allowed)
    }
}

/// Why nothing was said to a server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Failure {
    /// It is not there, or broke off.
    Away(String),
    /// It does not let us in, or cannot be used as it is declared: an operator has to look.
    Refused(String),
}

impl Failure {
    /// As an answer: none came, or one that says that we may not.
    pub(crate) fn response(self) -> Response {
        match self {
            Failure::Away(error) => Response { error: Some(error), ..Response::default() },
            Failure::Refused(error) => answer(403, &serde_json::json!({"stage": "connection", "message": error})),
        }
    }
}

/// An answer.
pub(crate) fn answer(status: u16, body: &Value) -> Response {
    Response { status: Some(status), body: body.to_string().into_bytes(), ..Response::default() }
}

/// User and password of `Authorization: Basic`, if there is a user.
pub(crate) fn credentials(authorization: Option<&str>) -> Option<(String, String)> {
    let bytes = STANDARD.decode(authorization?.strip_prefix("Basic ")?).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (user, password) = text.split_once(':')?;
    (!user.is_empty()).then(|| (user.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_scheme_host_port_and_path() {
        let of = |url: &str| Server::of(url, |scheme| if scheme == "smtps" { 465 } else { 587 });
        let server = |scheme: &str, host: &str, port, path: &str| {
            Some(Server { scheme: scheme.into(), host: host.into(), port, path: path.into() })
        };
        assert_eq!(of("smtps://mail.example.org"), server("smtps", "mail.example.org", 465, ""));
        assert_eq!(of("smtp://mail.example.org:2525"), server("smtp", "mail.example.org", 2525, ""));
        assert_eq!(of("smtp://[::1]:25/x/y"), server("smtp", "::1", 25, "x/y"));
        assert_eq!((of("smtp://"), of("mail.example.org"), of("smtp://a:b")), (None, None, None));
    }

    #[tokio::test]
    async fn a_private_address_needs_to_be_allowed() {
        for host in ["127.0.0.1", "localhost", "169.254.169.254", "::1"] {
            let server = Server { scheme: "smtp".into(), host: host.into(), port: 25, path: String::new() };
            let found = server.addresses(false).await;
            assert!(matches!(&found, Err(Failure::Refused(said)) if said.contains("allow_private")), "{host}: {found:?}");
            assert!(server.addresses(true).await.is_ok(), "{host}");
        }
    }

    #[test]
    fn credentials_are_those_of_basic() {
        let of = |pair: &str| credentials(Some(&format!("Basic {}", STANDARD.encode(pair))));
        assert_eq!(of("ana:a:b"), Some(("ana".into(), "a:b".into())));
        assert_eq!((of(":"), credentials(None), credentials(Some("Bearer x"))), (None, None, None));
    }
}
