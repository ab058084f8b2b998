//! Since when the sender's end of a connection stands, by the kernel's own table of sockets.
//!
//! A tool whose queue of new connections is full drops the last packet of a handshake: the sender is connected and sends, and the tool
//! hears of it when the packets are sent again, seconds later. A request has begun by then: nothing can recall what the sender's kernel
//! has, not even a sender that gives up and closes: what it has sent arrives all the same. What this says is at most a look too late, so whoever judges by it errs to the strict side.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;

const LOOK_EVERY: Duration = Duration::from_millis(5);
/// State of a socket in `/proc/net/tcp` whose handshake is under way. In every other one it stands, or stood and was closed.
const SYN_SENT: &str = "02";

/// Sender's port → when it was first seen connected to the tool.
#[derive(Clone, Default)]
pub struct Dialled(Arc<Mutex<HashMap<u16, Instant>>>);

impl Dialled {
    /// Looks from now on at who is connected to `tool`, until the process ends.
    pub fn to(tool: u16) -> Result<Dialled> {
        let dialled = Dialled::default();
        let looking = dialled.clone();
        std::thread::Builder::new().name("dialled".into()).spawn(move || {
            loop {
                if let Ok(table) = std::fs::read_to_string("/proc/net/tcp") {
                    looking.look(&table, tool, Instant::now());
                }
                std::thread::sleep(LOOK_EVERY);
            }
        })?;
        Ok(dialled)
    }

    /// When a sender's end was first seen to stand; none: it came and went between two looks.
    pub fn since(&self, sender: u16) -> Option<Instant> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&sender).copied()
    }

    fn look(&self, table: &str, tool: u16, now: Instant) {
        let port = |address: &str| u16::from_str_radix(address.rsplit(':').next()?, 16).ok();
        let stood = table.lines().skip(1).filter_map(|line| {
            let mut words = line.split_whitespace().skip(1);
            let (own, other, state) = (words.next()?, words.next()?, words.next()?);
            (state != SYN_SENT && port(other)? == tool).then(|| port(own))?
        });
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A port that is not connected any more may be another connection's next time.
        *known = stood.map(|sender| (sender, known.get(&sender).copied().unwrap_or(now))).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_senders_end_counts_from_when_it_was_first_seen() {
        const HEAD: &str = "  sl  local_address rem_address   st\n";
        let line =
            |own: u16, other: u16, state: &str| format!("   0: 0100007F:{own:04X} 0100007F:{other:04X} {state} 00000000\n");
        let (dialled, start) = (Dialled::default(), Instant::now());
        let later = start + LOOK_EVERY;
        dialled.look(&format!("{HEAD}{}{}", line(40_000, 9_000, "02"), line(40_001, 9_000, "01")), 9_000, start);
        assert_eq!((dialled.since(40_000), dialled.since(40_001)), (None, Some(start)), "a handshake is no connection");
        let both = format!("{HEAD}{}{}{}", line(40_000, 9_000, "01"), line(40_001, 9_000, "01"), line(40_002, 9_001, "01"));
        dialled.look(&both, 9_000, later);
        assert_eq!((dialled.since(40_000), dialled.since(40_001)), (Some(later), Some(start)));
        assert_eq!(dialled.since(40_002), None, "another tool's");
        dialled.look(&format!("{HEAD}{}", line(40_001, 9_000, "05")), 9_000, later + LOOK_EVERY);
        assert_eq!(dialled.since(40_001), Some(start), "the sender has given up; what it had sent may still arrive");
        dialled.look(HEAD, 9_000, later);
        assert_eq!(dialled.since(40_001), None);
    }
}
