//! A lean HTTP/1.1 connection for both ends: the load generator shares the cores with what it measures, so that every
//! microsecond that it spends is one that the server lacks.
//!
//! It knows what the bench meets and no more: kept-alive connections, one request under way, bodies with a `Content-Length`.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Bytes of one message, at most.
const MESSAGE_BYTES_MAX: usize = 4 << 20;
/// Bytes of room for one read.
const READ_BYTES: usize = 16 << 10;

/// One kept-alive connection.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Where the message that was received last ends in the buffer.
    taken: usize,
}

/// A request or an answer, as received.
pub struct Message<'a> {
    /// The first line and the headers.
    pub head: &'a str,
    /// What follows.
    pub body: &'a [u8],
}

impl Message<'_> {
    /// The status code of an answer.
    pub fn status(&self) -> Result<u16> {
        let code = self.head.get(9..12).and_then(|digits| digits.parse().ok());
        code.with_context(|| format!("{:?} is no status line", self.head.lines().next().unwrap_or_default()))
    }

    /// A header's value; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(self.head, name)
    }
}

impl Connection {
    /// Connects, without delaying small writes.
    pub async fn open(address: SocketAddr) -> Result<Connection> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
        Connection::over(stream)
    }

    /// Takes over an accepted stream.
    pub fn over(stream: TcpStream) -> Result<Connection> {
        stream.set_nodelay(true)?;
        Ok(Connection { stream, buffer: Vec::with_capacity(READ_BYTES), taken: 0 })
    }

    /// Sends bytes that were rendered before.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(bytes).await?)
    }

    /// Sends a request and receives its answer.
    pub async fn exchange(&mut self, request: &[u8]) -> Result<Message<'_>> {
        self.send(request).await?;
        self.receive().await?.context("the server closed the connection instead of answering")
    }

    /// The next message; `None` if the other end closed the connection between two messages.
    pub async fn receive(&mut self) -> Result<Option<Message<'_>>> {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        let mut searched = 0;
        let head_bytes = loop {
            if let Some(at) = find(&self.buffer[searched..], b"\r\n\r\n") {
                break searched + at + 4;
            }
            searched = self.buffer.len().saturating_sub(3);
            if !self.read_more().await? {
                if self.buffer.is_empty() {
                    return Ok(None);
                }
                bail!("the connection was closed in the middle of a message's head");
            }
        };
        let head = std::str::from_utf8(&self.buffer[..head_bytes]).context("the head of a message is not UTF-8")?;
        let body_bytes: usize = match header(head, "content-length") {
            Some(digits) => digits.parse().with_context(|| format!("content-length is {digits:?}"))?,
            None if header(head, "transfer-encoding").is_some() => bail!("chunked messages are not understood here: {head}"),
            None => 0,
        };
        let end = head_bytes.saturating_add(body_bytes);
        if end > MESSAGE_BYTES_MAX {
            bail!("a message of {end} bytes; at most {MESSAGE_BYTES_MAX} are taken");
        }
        while self.buffer.len() < end {
            if !self.read_more().await? {
                bail!("the connection was closed in the middle of a message's body");
            }
        }
        self.taken = end;
        let head = std::str::from_utf8(&self.buffer[..head_bytes])?;
        Ok(Some(Message { head, body: &self.buffer[head_bytes..end] }))
    }

    async fn read_more(&mut self) -> Result<bool> {
        if self.buffer.len() > MESSAGE_BYTES_MAX {
            bail!("a message of more than {MESSAGE_BYTES_MAX} bytes");
        }
        self.buffer.reserve(READ_BYTES);
        Ok(self.stream.read_buf(&mut self.buffer).await? > 0)
    }
}

/// A `GET` as bytes; `token` is sent as bearer.
pub fn get(path: &str, token: Option<&str>) -> Vec<u8> {
    let authorization = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    format!("GET {path} HTTP/1.1\r\nhost: bench\r\n{authorization}\r\n").into_bytes()
}

/// Writes a `POST` of JSON, whose body comes in parts, to the end of `request`; `basic` is the credentials of Basic
/// authentication, encoded.
pub fn post_into(request: &mut Vec<u8>, path: &str, basic: &str, body: &[&[u8]]) {
    post_as_into(request, path, &format!("Basic {basic}"), body);
}

/// As [`post_into`], with a whole `Authorization`.
pub fn post_as_into(request: &mut Vec<u8>, path: &str, authorization: &str, body: &[&[u8]]) {
    use std::io::Write as _;
    let length: usize = body.iter().map(|part| part.len()).sum();
    // Writing to a Vec cannot fail.
    let _ = write!(
        request,
        "POST {path} HTTP/1.1\r\nhost: bench\r\nauthorization: {authorization}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    for part in body {
        request.extend_from_slice(part);
    }
}

/// The place of the first occurrence.
pub fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, wanted)
}

/// The number after `"name":` in an answer of JSON.
pub fn number(body: &[u8], name: &str) -> Option<u64> {
    let field = format!("\"{name}\":");
    let rest = &body[find(body, field.as_bytes())? + field.len()..];
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.split("\r\n").skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a reader makes of bytes that arrive one write after the other.
    async fn received(writes: &[&[u8]]) -> Vec<Result<Option<(u16, String)>, String>> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut writer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut connection = Connection::over(listener.accept().await.unwrap().0).unwrap();
        let writes: Vec<Vec<u8>> = writes.iter().map(|bytes| bytes.to_vec()).collect();
        tokio::spawn(async move {
            for bytes in writes {
                writer.write_all(&bytes).await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        let mut all = Vec::new();
        loop {
            let one = match connection.receive().await {
                Ok(Some(message)) => Ok(Some((message.status().unwrap(), String::from_utf8_lossy(message.body).into_owned()))),
                Ok(None) => Ok(None),
                Err(error) => Err(error.to_string()),
            };
            let more = matches!(one, Ok(Some(_)));
            all.push(one);
            if !more {
                return all;
            }
        }
    }

    #[tokio::test]
    async fn answers_are_read_however_they_are_cut() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 503 Busy\r\nretry-after: 1\r\n\r\n";
        for cut in 0..whole.len() {
            let answers = received(&[&whole[..cut], &whole[cut..]]).await;
            assert_eq!(answers, [Ok(Some((200, "hello".into()))), Ok(Some((503, String::new()))), Ok(None)], "cut at {cut}");
        }
    }

    #[tokio::test]
    async fn what_is_not_understood_is_an_error() {
        let cases: [(&[u8], &str); 4] = [
            (b"HTTP/1.1 200 OK\r\ntransfer-enc", "middle of a message's head"),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc", "middle of a message's body"),
            (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "chunked"),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n", "at most 4194304"),
        ];
        for (bytes, expected) in cases {
            let answers = received(&[bytes]).await;
            assert!(answers[0].as_ref().is_err_and(|error| error.contains(expected)), "{answers:?}");
        }
    }

    #[tokio::test]
    async fn headers_are_found_in_any_case() {
        let message = Message { head: "HTTP/1.1 429 Slow\r\nRETRY-After:  2 \r\n\r\n", body: b"" };
        assert_eq!((message.status().unwrap(), message.header("retry-after"), message.header("etag")), (429, Some("2"), None));
    }
}
