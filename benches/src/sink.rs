//! The other end of a webhook: takes everything, remembers when.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::net::TcpListener;

use crate::requests::trigger_of;
use crate::wire::Connection;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
/// Between two looks at what arrived.
const POLL_PAUSE: Duration = Duration::from_millis(20);

/// What arrived.
#[derive(Debug, Default)]
struct Arrivals {
    /// Of triggers, by number: when first, and how often.
    triggers: HashMap<u64, (Instant, u32)>,
    /// All messages.
    messages: u64,
}

/// A sink that runs as long as the runtime.
#[derive(Clone)]
pub struct Sink {
    /// Where it listens.
    pub address: SocketAddr,
    arrivals: Arc<Mutex<Arrivals>>,
}

impl Sink {
    /// Listens on a free port of this machine.
    pub async fn start() -> Result<Sink> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let sink = Sink { address: listener.local_addr()?, arrivals: Arc::default() };
        let accepting = sink.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let sink = accepting.clone();
                tokio::spawn(async move {
                    if let Ok(connection) = Connection::over(stream) {
                        // A connection that breaks is the sender's to notice: what it did not see answered, it sends again.
                        let _ = sink.take(connection).await;
                    }
                });
            }
        });
        Ok(sink)
    }

    async fn take(&self, mut connection: Connection) -> Result<()> {
        while let Some(message) = connection.receive().await? {
            let at = Instant::now();
            let trigger = trigger_of(message.body);
            self.note(|arrivals| {
                arrivals.messages += 1;
                if let Some(number) = trigger {
                    arrivals.triggers.entry(number).or_insert((at, 0)).1 += 1;
                }
            });
            connection.send(ANSWER).await?;
        }
        Ok(())
    }

    fn note<T>(&self, look: impl FnOnce(&mut Arrivals) -> T) -> T {
        // Nothing panics while the lock is held, so a poisoned one holds sound data.
        look(&mut self.arrivals.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Messages so far.
    pub fn messages(&self) -> u64 {
        self.note(|arrivals| arrivals.messages)
    }

    /// Triggers so far, each once.
    pub fn triggers(&self) -> usize {
        self.note(|arrivals| arrivals.triggers.len())
    }

    /// When a trigger's first message arrived.
    pub fn arrival(&self, trigger: u64) -> Option<Instant> {
        self.note(|arrivals| arrivals.triggers.get(&trigger).map(|(at, _)| *at))
    }

    /// Messages about triggers beyond the first one of each.
    pub fn repeats(&self) -> u64 {
        self.note(|arrivals| arrivals.triggers.values().map(|(_, times)| u64::from(times - 1)).sum())
    }

    /// Waits until so many triggers have arrived, or for `at_most`.
    pub async fn until_triggers(&self, wanted: usize, at_most: Duration) {
        let deadline = Instant::now() + at_most;
        while self.triggers() < wanted && Instant::now() < deadline {
            tokio::time::sleep(POLL_PAUSE).await;
        }
    }

    /// Waits until nothing has arrived for `calm`, or for `at_most`.
    pub async fn until_calm(&self, calm: Duration, at_most: Duration) {
        let deadline = Instant::now() + at_most;
        let (mut seen, mut since) = (self.messages(), Instant::now());
        while since.elapsed() < calm && Instant::now() < deadline {
            tokio::time::sleep(POLL_PAUSE).await;
            let now = self.messages();
            if now != seen {
                (seen, since) = (now, Instant::now());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn triggers_are_noted_once_and_repeats_are_counted() {
        let sink = Sink::start().await.unwrap();
        let mut connection = Connection::open(sink.address).await.unwrap();
        let before = Instant::now();
        for body in [r#"{"email":"trigger.00000000000a@mail.example"}"#, r#"{"email":"x@mail.example"}"#] {
            for _ in 0..2 {
                let mut request = Vec::new();
                crate::wire::post_into(&mut request, "/hook", "", &[body.as_bytes()]);
                let answer = connection.exchange(&request).await.unwrap();
                assert_eq!(answer.status().unwrap(), 200);
            }
        }
        sink.until_triggers(1, Duration::from_secs(5)).await;
        sink.until_calm(Duration::from_millis(50), Duration::from_secs(5)).await;
        assert_eq!((sink.messages(), sink.repeats()), (4, 1));
        assert!(sink.arrival(10).unwrap() >= before);
        assert_eq!(sink.arrival(11), None);
    }
}
