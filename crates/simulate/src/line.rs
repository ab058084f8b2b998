//! Events as lines of JSON, in the order of their arrival.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::calendar::write_instant;
use crate::dice::{Dice, mix};
use crate::parameters::{DUPLICATED, HOUR_MS, SECOND_MS};
use crate::person::write_number;
use crate::truth::Truth;

/// Where an event comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// The web shop.
    Site,
    /// The app.
    App,
    /// Tills of the stores.
    Till,
    /// Customer service, surveys, the ERP.
    Crm,
    /// The newsletter tool.
    Mail,
    /// The call centre.
    Call,
}

impl Source {
    /// All of them.
    pub const ALL: [Source; 6] = [Source::Site, Source::App, Source::Till, Source::Crm, Source::Mail, Source::Call];

    /// Its key in the workspace.
    pub fn key(self) -> &'static str {
        ["site", "app", "till", "crm", "mail", "call"][self as usize]
    }

    /// Its write key.
    pub fn write_key(self) -> &'static str {
        ["wk_site", "wk_app", "wk_till", "wk_crm", "wk_mail", "wk_call"][self as usize]
    }
}

/// A browser's or an app's id, as SDKs make them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Anonymous(pub [u8; 36]);

impl Anonymous {
    /// The id of a device in one of its lives (a deleted cookie ends one).
    pub fn of(seed: u64, device: u64, life: u64) -> Anonymous {
        let mut dice = Dice::of(seed, 41, mix(device).wrapping_add(life));
        let bits = u128::from(dice.roll()) << 64 | u128::from(dice.roll());
        let mut text = [b'-'; 36];
        let mut at = 0;
        for nibble in 0..32 {
            if matches!(at, 8 | 13 | 18 | 23) {
                at += 1;
            }
            text[at] = hex((bits >> (nibble * 4)) as u8 & 15);
            at += 1;
        }
        Anonymous(text)
    }
}

fn hex(nibble: u8) -> u8 {
    b"0123456789abcdef"[nibble as usize & 15]
}

/// The head of an event.
#[derive(Clone, Debug)]
pub struct Head {
    /// Who sends it.
    pub source: Source,
    /// `track`, `identify` …
    pub kind: &'static str,
    /// Name of a track call; of a page or screen.
    pub name: &'static str,
    /// Whose it truly is; `None` for a bot.
    pub person: Option<u32>,
    /// The device's id.
    pub anonymous: Option<Anonymous>,
    /// The account's number.
    pub user: Option<u32>,
    /// When it happened.
    pub at: i64,
    /// When it arrives.
    pub arrival: i64,
    /// How far the device's clock is off.
    pub clock_off_ms: i64,
}

/// One line, ready to be sent.
#[derive(Debug)]
pub struct Line<'a> {
    /// When it arrives, in milliseconds since 1970.
    pub arrival_ms: i64,
    /// Who sends it.
    pub source: Source,
    /// The JSON object, without a line feed.
    pub json: &'a [u8],
}

/// From some instant on, simulated time is shown compressed: the live shop.
#[derive(Clone, Copy, Debug)]
pub struct Compression {
    /// Simulated instant from which on it holds.
    pub from_ms: i64,
    /// What that instant is shown as.
    pub shown_ms: i64,
    /// Simulated milliseconds in a shown one, at least 1.
    pub speed: i64,
}

impl Compression {
    /// What a simulated instant is shown as.
    pub fn show(self, at_ms: i64) -> i64 {
        if at_ms < self.from_ms { at_ms.min(self.shown_ms) } else { self.shown_ms + (at_ms - self.from_ms) / self.speed }
    }
}

/// Written events, waiting for the simulated time to reach their arrival.
#[derive(Debug)]
pub struct Outbox {
    seed: u64,
    waiting: BinaryHeap<Reverse<(i64, u64, usize)>>,
    texts: Vec<(Vec<u8>, Source)>,
    free: Vec<usize>,
    written: u64,
    dice: Dice,
    /// How instants are shown.
    pub compression: Option<Compression>,
    /// What is recorded beside the events.
    pub truth: Option<Truth>,
}

impl Outbox {
    /// An empty one.
    pub fn new(seed: u64, truth: Option<Truth>) -> Outbox {
        Outbox {
            seed,
            waiting: BinaryHeap::new(),
            texts: Vec::new(),
            free: Vec::new(),
            written: 0,
            dice: Dice::of(seed, 42, 0),
            compression: None,
            truth,
        }
    }

    fn show(&self, at_ms: i64) -> i64 {
        self.compression.map_or(at_ms, |compression| compression.show(at_ms))
    }

    /// Appends an instant as the events show it.
    pub fn instant(&self, out: &mut Vec<u8>, at_ms: i64) {
        write_instant(out, self.show(at_ms));
    }

    /// Begins an event: everything up to where `,"properties":…` and `,"context":…` follow.
    pub fn open(&mut self, head: &Head) -> Vec<u8> {
        // The text of a free slot is written over, its memory used again.
        let mut out = match self.free.last() {
            Some(&slot) => std::mem::take(&mut self.texts[slot].0),
            None => Vec::with_capacity(2_048),
        };
        out.clear();
        out.extend_from_slice(b"{\"type\":\"");
        out.extend_from_slice(head.kind.as_bytes());
        match head.kind {
            "track" => text(&mut out, "event", head.name),
            "page" | "screen" => text(&mut out, "name", head.name),
            _ => {}
        }
        out.extend_from_slice(b"\",\"messageId\":\"");
        self.message_id(&mut out, self.written);
        out.push(b'"');
        if let Some(anonymous) = &head.anonymous {
            out.extend_from_slice(b",\"anonymousId\":\"");
            out.extend_from_slice(&anonymous.0);
            out.push(b'"');
        }
        if let Some(user) = head.user {
            out.extend_from_slice(b",\"userId\":\"");
            user_id(&mut out, user);
            out.push(b'"');
        }
        out.extend_from_slice(b",\"timestamp\":\"");
        self.instant(&mut out, head.at + head.clock_off_ms);
        out.push(b'"');
        if head.clock_off_ms != 0 {
            out.extend_from_slice(b",\"sentAt\":\"");
            self.instant(&mut out, head.arrival + head.clock_off_ms);
            out.push(b'"');
        }
        out.extend_from_slice(b",\"receivedAt\":\"");
        self.instant(&mut out, head.arrival);
        out.extend_from_slice(b"\",\"writeKey\":\"");
        out.extend_from_slice(head.source.write_key().as_bytes());
        out.push(b'"');
        out
    }

    fn message_id(&self, out: &mut Vec<u8>, number: u64) {
        let mut dice = Dice::of(self.seed, 43, number);
        for _ in 0..2 {
            let bits = dice.roll();
            for nibble in 0..16 {
                out.push(hex((bits >> (nibble * 4)) as u8 & 15));
            }
        }
    }

    /// Ends an event; some arrive twice.
    pub fn close(&mut self, head: &Head, mut out: Vec<u8>) {
        out.push(b'}');
        if self.truth.is_some() {
            let mut message_id = Vec::with_capacity(32);
            self.message_id(&mut message_id, self.written);
            if let Some(truth) = &mut self.truth {
                truth.event(message_id, head);
            }
        }
        self.written += 1;
        if self.dice.chance(DUPLICATED) {
            let later = head.arrival + self.dice.between(SECOND_MS, HOUR_MS);
            self.wait(later, head.source, out.clone());
        }
        self.wait(head.arrival, head.source, out);
    }

    /// A line that is no event: the truth does not know of it.
    pub fn bad(&mut self, arrival: i64, source: Source, text: Vec<u8>) {
        self.wait(arrival, source, text);
    }

    fn wait(&mut self, arrival: i64, source: Source, text: Vec<u8>) {
        let slot = match self.free.pop() {
            Some(slot) => {
                self.texts[slot] = (text, source);
                slot
            }
            None => {
                self.texts.push((text, source));
                self.texts.len() - 1
            }
        };
        self.waiting.push(Reverse((arrival, self.written << 1, slot)));
    }

    /// Whether a line arrives up to an instant.
    pub fn arrives_up_to(&self, up_to_ms: i64) -> bool {
        self.waiting.peek().is_some_and(|Reverse((arrival, ..))| *arrival <= up_to_ms)
    }

    /// The next line that arrives up to an instant.
    pub fn next(&mut self, up_to_ms: i64) -> Option<Line<'_>> {
        let Reverse((arrival, _, slot)) = *self.waiting.peek()?;
        if arrival > up_to_ms {
            return None;
        }
        self.waiting.pop();
        self.free.push(slot);
        let arrival_ms = self.show(arrival);
        let (text, source) = &self.texts[slot];
        Some(Line { arrival_ms, source: *source, json: text })
    }
}

/// Appends a member to an object whose last text is still open, and leaves this one open too.
fn text(out: &mut Vec<u8>, key: &str, value: &str) {
    out.extend_from_slice(b"\",\"");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":\"");
    out.extend_from_slice(value.as_bytes());
}

/// Appends the id of an account.
pub fn user_id(out: &mut Vec<u8>, user: u32) {
    out.extend_from_slice(b"u-");
    write_number(out, u64::from(user) + 100_000);
}

/// Appends an amount in major units: `89.90`.
pub fn money(out: &mut Vec<u8>, cents: i64) {
    write_number(out, cents.unsigned_abs() / 100);
    let rest = cents.unsigned_abs() % 100;
    out.extend_from_slice(&[b'.', b'0' + (rest / 10) as u8, b'0' + (rest % 10) as u8]);
}
