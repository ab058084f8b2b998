//! E-mail over SMTP (RFC 5321): one message a request, connections kept for the next one.
//!
//! `smtps://` speaks TLS from the first byte (RFC 8314). `smtp://` asks for STARTTLS and goes no further without it, except within a
//! network of one's own (`allow_private: true`). Nothing of a message is said before the gate has been asked with the connection
//! there and logged in.

use std::time::{Duration, SystemTime};

use jumelle_connect::Response;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Noop, Rcpt, Rset};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use lettre::transport::smtp::response::Response as Said;
use lettre::{Address, Message};
use serde::Deserialize;
use serde_json::json;

use super::{CONNECT_TIMEOUT, Failure, Kept, Login, Server, answer, credentials};

/// From `MAIL FROM` to the answer to the message's last byte: servers look at messages before they answer (RFC 5321, 4.5.3.2).
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(120);
/// Characters of a server's answer that are kept.
const SAID_CHARS_MAX: usize = 200;

/// The body of a request.
#[derive(Deserialize)]
struct Letter {
    /// Delivery id: the local part of `Message-ID`.
    id: String,
    from: String,
    reply_to: Option<String>,
    to: String,
    subject: String,
    text: String,
    html: Option<String>,
    /// Further header fields, as they are: ASCII, without line ends.
    #[serde(default)]
    headers: std::collections::BTreeMap<String, String>,
}

/// A mail server's connections.
#[derive(Default)]
pub(crate) struct Smtp {
    kept: Kept<AsyncSmtpConnection>,
}

impl Smtp {
    /// Sends one message, or nothing (`NOOP`). `None`: `still` said no, and nothing of it was said.
    pub(crate) async fn exchange(
        &self,
        url: &str,
        authorization: Option<&str>,
        (method, body): (&str, &[u8]),
        allow_private: bool,
        still: impl FnOnce() -> bool + Send,
    ) -> Option<Response> {
        let port = |scheme: &str| if scheme == "smtps" { 465 } else { 587 };
        let Some(server) = Server::of(url, port) else {
            return Some(Failure::Refused("the address of the server cannot be read".into()).response());
        };
        let letter = match method {
            "MAIL" => match serde_json::from_slice::<Letter>(body).map_err(|error| error.to_string()).and_then(write) {
                Ok(letter) => Some(letter),
                Err(reason) => return Some(answer(400, &json!({"stage": "writing", "message": reason}))),
            },
            _ => None,
        };
        let of = (server, authorization.map(str::to_owned));
        let mut connection = match self.connection(&of, allow_private).await {
            Ok(connection) => connection,
            Err(failure) => return Some(failure.response()),
        };
        // Invariant: the gate is asked with the connection there, and the first byte about her follows its yes.
        if !still() {
            self.keep(of, connection);
            return None;
        }
        let said = tokio::time::timeout(MESSAGE_TIMEOUT, async {
            match &letter {
                Some(letter) => deliver(&mut connection, letter).await,
                None => connection.command(Noop).await.map(|said| ("noop", said)).map_err(|error| ("noop", error)),
            }
        })
        .await;
        let Ok(said) = said else {
            return Some(Failure::Away("the server did not answer in time".into()).response());
        };
        match said {
            Ok((stage, said)) => {
                let response = judged(stage, u16::from(said.code()), &said.message().collect::<Vec<_>>().join(" "));
                self.keep(of, connection);
                Some(response)
            }
            Err((stage, error)) => match error.status() {
                Some(code) => {
                    // What was begun is taken back, so that the next message begins anew.
                    if connection.command(Rset).await.is_ok() {
                        self.keep(of, connection);
                    }
                    Some(judged(stage, u16::from(code), &written(&error)))
                }
                None => Some(Failure::Away(written(&error)).response()),
            },
        }
    }

    /// One that is kept and still answers, or a new one, logged in.
    async fn connection(&self, of: &Login, allow_private: bool) -> Result<AsyncSmtpConnection, Failure> {
        while let Some(mut kept) = self.kept.take(of) {
            if tokio::time::timeout(CONNECT_TIMEOUT, kept.test_connected()).await == Ok(true) {
                return Ok(kept);
            }
        }
        let within = tokio::time::timeout(CONNECT_TIMEOUT * 3, connect(&of.0, of.1.as_deref(), allow_private)).await;
        within.map_err(|_| Failure::Away("the server did not answer in time".into()))?
    }

    fn keep(&self, of: Login, connection: AsyncSmtpConnection) {
        if !connection.has_broken() {
            self.kept.keep(of, connection);
        }
    }
}

async fn connect(server: &Server, authorization: Option<&str>, allow_private: bool) -> Result<AsyncSmtpConnection, Failure> {
    let addresses = server.addresses(allow_private).await?;
    let failed = |error: SmtpError| match error.status() {
        // 421 and 4xx: not now. 5xx to a greeting or to EHLO: not us.
        Some(code) if u16::from(code) >= 500 => Failure::Refused(written(&error)),
        None if error.is_tls() => Failure::Refused(written(&error)),
        _ => Failure::Away(written(&error)),
    };
    let parameters = || TlsParameters::new(server.host.clone()).map_err(|error| Failure::Refused(written(&error)));
    let hello = ClientId::default();
    let implicit = server.scheme == "smtps";
    let tls = implicit.then(parameters).transpose()?;
    let connected = AsyncSmtpConnection::connect_tokio1(addresses.as_slice(), Some(CONNECT_TIMEOUT), &hello, tls, None).await;
    let mut connection = connected.map_err(failed)?;
    if !implicit {
        if connection.can_starttls() {
            connection.starttls(parameters()?, &hello).await.map_err(failed)?;
        } else if !allow_private {
            return Err(Failure::Refused(format!(
                "{} offers no STARTTLS: people and passwords would go in clear; use smtps://, or allow_private: true within a network of one's own",
                server.host
            )));
        }
    }
    if let Some((user, password)) = credentials(authorization) {
        let logged_in = connection.auth(DEFAULT_MECHANISMS, &Credentials::new(user, password)).await;
        logged_in.map_err(|error| match error.status() {
            Some(code) if u16::from(code) < 500 => Failure::Away(written(&error)),
            Some(_) => Failure::Refused(format!("the server does not let us in: {}", written(&error))),
            None if error.is_client() => Failure::Refused(written(&error)),
            None => Failure::Away(written(&error)),
        })?;
    }
    Ok(connection)
}

/// A message as it leaves, and between whom.
#[derive(Debug)]
struct Written {
    from: Address,
    to: Address,
    bytes: Vec<u8>,
}

type Stage = &'static str;

async fn deliver(connection: &mut AsyncSmtpConnection, letter: &Written) -> Result<(Stage, Said), (Stage, SmtpError)> {
    let mut parameters = Vec::new();
    let info = connection.server_info();
    if !letter.bytes.is_ascii() && info.supports_feature(Extension::EightBitMime) {
        parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    let is_ascii = |address: &Address| AsRef::<str>::as_ref(address).is_ascii();
    if !(is_ascii(&letter.from) && is_ascii(&letter.to)) && info.supports_feature(Extension::SmtpUtfEight) {
        parameters.push(MailParameter::SmtpUtfEight);
    }
    connection.command(Mail::new(Some(letter.from.clone()), parameters)).await.map_err(|error| ("sender", error))?;
    connection.command(Rcpt::new(letter.to.clone(), Vec::new())).await.map_err(|error| ("recipient", error))?;
    connection.command(Data).await.map_err(|error| ("message", error))?;
    let said = connection.message(&letter.bytes).await.map_err(|error| ("message", error))?;
    Ok(("message", said))
}

fn write(letter: Letter) -> Result<Written, String> {
    let mailbox = |what: &str, text: &str| text.parse::<Mailbox>().map_err(|error| format!("{what} is not an address: {error}"));
    let from = mailbox("from", &letter.from)?;
    let to = mailbox("the recipient's address", &letter.to)?;
    let one_line =
        |text: &str| text.split(|c: char| c.is_control()).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
    let mut message = Message::builder()
        .from(from.clone())
        .to(to.clone())
        .subject(one_line(&letter.subject))
        .date(SystemTime::now())
        .message_id(Some(format!("<{}@{}>", letter.id, from.email.domain())));
    if let Some(reply_to) = &letter.reply_to {
        message = message.reply_to(mailbox("reply_to", reply_to)?);
    }
    for (name, value) in &letter.headers {
        let header = HeaderName::new_from_ascii(name.clone()).map_err(|_| format!("{name:?} is not the name of a header"))?;
        if !value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return Err(format!("the header {name} holds more than printable ASCII"));
        }
        // Folded nowhere: a signed link has no place to break at.
        message = message.raw_header(HeaderValue::dangerous_new_pre_encoded(header, value.clone(), value.clone()));
    }
    let plain = SinglePart::plain(letter.text);
    let message = match letter.html {
        Some(html) => message.multipart(MultiPart::alternative().singlepart(plain).singlepart(SinglePart::html(html))),
        None => message.singlepart(plain),
    };
    let message = message.map_err(|error| error.to_string())?;
    Ok(Written { from: from.email, to: to.email, bytes: message.formatted() })
}

/// `{stage, code, enhanced, message}`: a manifest looks at them.
fn judged(stage: &str, code: u16, said: &str) -> Response {
    let said: String = said.chars().filter(|c| !c.is_control()).take(SAID_CHARS_MAX).collect();
    let mut body = json!({"stage": stage, "code": code, "message": said});
    if let Some(enhanced) = enhanced(&said) {
        body["enhanced"] = enhanced.into();
    }
    answer(code, &body)
}

/// RFC 3463: `5.1.1`, where an answer has one.
fn enhanced(said: &str) -> Option<&str> {
    said.split([' ', ':', ';', '(', ')']).find(|word| {
        let mut parts = word.split('.');
        let class = parts.next().is_some_and(|class| ["2", "4", "5"].contains(&class));
        let number = |part: Option<&str>| {
            part.is_some_and(|part| (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit()))
        };
        class && number(parts.next()) && number(parts.next()) && parts.next().is_none()
    })
}

/// What went wrong, down to the first cause.
fn written(error: &SmtpError) -> String {
    let mut source: &dyn std::error::Error = error;
    while let Some(inner) = source.source() {
        source = inner;
    }
    source.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(subject: &str, headers: &[(&str, &str)]) -> Letter {
        Letter {
            id: "d_1".into(),
            from: "Maison Jumelle <bonjour@example.org>".into(),
            reply_to: None,
            to: "ana@example.org".into(),
            subject: subject.into(),
            text: "Bonjour Zoé".into(),
            html: Some("<p>Bonjour Zoé</p>".into()),
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        }
    }

    #[test]
    fn a_subject_ends_no_header_and_the_id_is_the_deliverys() {
        let link = format!("<https://example.org/l/{}>", "x".repeat(300));
        let written = write(letter("Été\r\nBcc: eve@example.org", &[("List-Unsubscribe", &link)])).unwrap();
        let text = String::from_utf8(written.bytes).unwrap();
        let head = text.split("\r\n\r\n").next().unwrap();
        assert!(!head.lines().any(|line| line.starts_with("Bcc:")), "{head}");
        assert!(head.contains("Message-ID: <d_1@example.org>\r\n"), "{head}");
        assert!(head.contains(&format!("List-Unsubscribe: {link}\r\n")), "{head}");
        assert!(head.contains("multipart/alternative"), "{head}");
        assert!(write(letter("x", &[("List-Unsubscribe", "a\r\nBcc: eve@example.org")])).is_err());
        assert!(write(letter("x", &[("List Unsubscribe", "a")])).is_err());
    }

    #[test]
    fn enhanced_codes_are_read_where_there_are_some() {
        assert_eq!(enhanced("5.1.1 <ana@example.org>: user unknown"), Some("5.1.1"));
        assert_eq!(enhanced("permanent error (550): 5.7.1 no"), Some("5.7.1"));
        assert_eq!(enhanced("mailbox at 10.0.0.1 unavailable"), None);
        assert_eq!(enhanced("no such user"), None);
    }
}
