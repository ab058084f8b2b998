//! What a load sends next, written into a buffer when it is sent.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::Result;
use jiff::Timestamp;

use crate::server::ADMIN_TOKEN;
use crate::shop::{self, Stream};
use crate::wire;

/// The write key of `workspace.yaml` that triggers come by, as HTTP Basic authentication sends it: `wk_site:` in base64.
const BASIC: &str = "d2tfc2l0ZTo=";
/// What comes before the number in the e-mail address of a trigger's person.
const TRIGGER_MARK: &str = "trigger.";
/// Digits of that number.
const TRIGGER_DIGITS: usize = 12;

/// A source of requests that all connections of a load share.
#[derive(Clone)]
pub enum Requests {
    /// What the shop sends.
    Shop(Arc<Mutex<Stream>>),
    /// `Bench Trigger`, each from a person who was never seen before, dated like the shop's last events.
    Triggers(Arc<AtomicU64>, Arc<AtomicI64>),
    /// A read of the profile of each visitor in turn.
    Reads(Arc<Vec<[u8; 36]>>, Arc<AtomicU64>),
    /// The gate asked about so many visitors at once, each in turn.
    Allowed(Arc<Vec<[u8; 36]>>, Arc<AtomicU64>, usize),
}

/// What the gate is asked, of the definitions of `workspace.yaml`.
const ASKED: [(&str, &str); 3] = [("destination", "mail_tool"), ("purpose", "personalisation"), ("channel", "onsite")];

/// A request that was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Written {
    /// Events that it carries.
    pub events: u64,
    /// Number of the trigger or the read.
    pub sequence: u64,
}

impl Requests {
    /// Numbered from 0; `clock` is the shop's, in milliseconds since 1970.
    pub fn triggers(clock: Arc<AtomicI64>) -> Requests {
        Requests::Triggers(Arc::default(), clock)
    }

    /// Reads of these visitors.
    pub fn reads(visitors: Vec<[u8; 36]>) -> Requests {
        Requests::Reads(Arc::new(visitors), Arc::default())
    }

    /// Questions about these visitors: one by one, or `at_once` in a batch.
    pub fn allowed(mut visitors: Vec<[u8; 36]>, at_once: usize) -> Requests {
        // Of a shorter id the kept bytes go on behind its end; as a profile nobody has it, in a body it would be no JSON.
        visitors.retain(|visitor| visitor.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-'));
        Requests::Allowed(Arc::new(visitors), Arc::default(), at_once)
    }

    /// Writes the next request into the buffer.
    pub fn next(&self, request: &mut Vec<u8>) -> Result<Written> {
        match self {
            Requests::Shop(stream) => Ok(Written { events: shop::lock(stream).next(request)?, sequence: 0 }),
            Requests::Triggers(next, clock) => {
                let sequence = next.fetch_add(1, Ordering::Relaxed);
                let now = Timestamp::from_millisecond(clock.load(Ordering::Relaxed))?;
                let body = format!(
                    r#"{{"event":"Bench Trigger","messageId":"trigger-{sequence:012x}","anonymousId":"trigger-{sequence:012x}","timestamp":"{now}","sentAt":"{now}","properties":{{"category":"bench"}},"context":{{"traits":{{"email":"{TRIGGER_MARK}{sequence:012x}@mail.example"}},"library":{{"name":"analytics.js","version":"4.1.0"}}}}}}"#
                );
                request.clear();
                wire::post_into(request, "/v1/track", BASIC, &[body.as_bytes()]);
                Ok(Written { events: 1, sequence })
            }
            Requests::Reads(visitors, next) => {
                let sequence = next.fetch_add(1, Ordering::Relaxed);
                // A prime stride, so that neighbours in time are not read one after the other.
                let visitor = visitors[(sequence as usize * 7_919) % visitors.len()];
                let path = format!("/v1/profiles/anonymous_id:{}", String::from_utf8_lossy(&visitor));
                *request = wire::get(&path, Some(ADMIN_TOKEN));
                Ok(Written { events: 0, sequence })
            }
            Requests::Allowed(visitors, next, at_once) => {
                let sequence = next.fetch_add(1, Ordering::Relaxed);
                let name = |nth: usize| {
                    let visitor = visitors[(sequence as usize * *at_once + nth) * 7_919 % visitors.len()];
                    format!("anonymous_id:{}", String::from_utf8_lossy(&visitor))
                };
                if *at_once == 1 {
                    let asked = ASKED.map(|(field, value)| format!("{field}={value}")).join("&");
                    *request = wire::get(&format!("/v1/allowed?{asked}&id={}", name(0)), Some(ADMIN_TOKEN));
                } else {
                    let asked = ASKED.map(|(field, value)| format!("\"{field}\":\"{value}\"")).join(",");
                    let ids: Vec<String> = (0..*at_once).map(|nth| format!("\"{}\"", name(nth))).collect();
                    let body = format!("{{{asked},\"ids\":[{}]}}", ids.join(","));
                    request.clear();
                    wire::post_as_into(request, "/v1/allowed", &format!("Bearer {ADMIN_TOKEN}"), &[body.as_bytes()]);
                }
                Ok(Written { events: 0, sequence })
            }
        }
    }
}

/// The number of the trigger that a webhook's body is about.
pub fn trigger_of(body: &[u8]) -> Option<u64> {
    let at = wire::find(body, TRIGGER_MARK.as_bytes())? + TRIGGER_MARK.len();
    let digits = std::str::from_utf8(body.get(at..at + TRIGGER_DIGITS)?).ok()?;
    u64::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trigger_is_recognised_in_the_webhook() {
        let (triggers, mut request) = (Requests::triggers(Arc::default()), Vec::new());
        for expected in 0..3 {
            assert_eq!(triggers.next(&mut request).unwrap(), Written { events: 1, sequence: expected });
            assert_eq!(trigger_of(&request), Some(expected));
        }
        assert_eq!(trigger_of(b"{}"), None);
        assert_eq!(trigger_of(b"trigger.00"), None);
    }

    #[test]
    fn reads_go_to_visitors_in_turn() {
        let reads = Requests::reads(vec![*b"6f1c2a9e-58d3-4b7a-9c41-7d20e8000001", *b"6f1c2a9e-58d3-4b7a-9c41-7d20e8000002"]);
        let mut request = Vec::new();
        for end in ["1", "2", "1"] {
            reads.next(&mut request).unwrap();
            let text = String::from_utf8_lossy(&request);
            let expected = format!("GET /v1/profiles/anonymous_id:6f1c2a9e-58d3-4b7a-9c41-7d20e800000{end} HTTP/1.1\r\n");
            assert!(text.starts_with(&expected) && text.contains("authorization: Bearer "), "{text}");
        }
    }

    #[test]
    fn the_gate_is_asked_about_visitors_in_turn_one_or_many() {
        let visitors = vec![
            *b"6f1c2a9e-58d3-4b7a-9c41-7d20e8000001",
            *b"6f1c2a9e-58d3-4b7a-9c41-7d20\",\"at\":1",
            *b"6f1c2a9e-58d3-4b7a-9c41-7d20e8000002",
        ];
        let mut request = Vec::new();
        Requests::allowed(visitors.clone(), 1).next(&mut request).unwrap();
        let text = String::from_utf8_lossy(&request).into_owned();
        let expected = "GET /v1/allowed?destination=mail_tool&purpose=personalisation&channel=onsite&id=anonymous_id:6f1c2a9e-58d3-4b7a-9c41-7d20e8000001 ";
        assert!(text.starts_with(expected), "{text}");
        Requests::allowed(visitors, 2).next(&mut request).unwrap();
        let text = String::from_utf8_lossy(&request).into_owned();
        assert!(text.starts_with("POST /v1/allowed ") && text.contains("authorization: Bearer "), "{text}");
        assert!(text.contains(r#""ids":["anonymous_id:6f1c2a9e-58d3-4b7a-9c41-7d20e8000001","anonymous_id:6f1c2a9e-58d3-4b7a-9c41-7d20e8000002"]"#), "{text}");
        for (_, key) in ASKED {
            assert!(include_str!("../workspace.yaml").contains(&format!("  {key}:")) || key == "onsite");
        }
    }

    #[test]
    fn the_write_key_is_the_one_of_the_workspace() {
        assert!(include_str!("../workspace.yaml").contains("write_key: wk_site}"));
        assert_eq!(BASIC, "d2tfc2l0ZTo=");
    }
}
