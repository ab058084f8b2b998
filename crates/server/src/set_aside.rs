//! Robots at the door: by their user agent, or by more events than people make. Their events are kept apart, in quarantine, and can be
//! taken in later; they are not folded.
//!
//! It is decided once, here, and recorded with the event, so a replay decides nothing anew. A choice is never set aside: whoever
//! withdraws is heard, however often.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use jumelle_collect::{Collected, Rejected};
use jumelle_identify::glob;
use jumelle_model::workspace::{EventRate, SetAside, Source};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Rule of a quarantined event.
pub(crate) const BY_USER_AGENT: &str = "set_aside_user_agent";
/// Likewise.
pub(crate) const BY_RATE: &str = "set_aside_rate";

/// Ids whose rate is known, about; of more, those that were not heard of for the longest begin anew.
const METERED_MAX: usize = 200_000;

/// What decides, of an event.
#[derive(Deserialize)]
struct Sender<'a> {
    #[serde(borrow, default, rename = "userId")]
    user_id: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "anonymousId")]
    anonymous_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    context: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Context<'a> {
    #[serde(borrow, default, rename = "userAgent")]
    user_agent: Option<Cow<'a, str>>,
}

/// Who sends how fast.
pub(crate) struct SettingAside {
    meter: Mutex<Meter>,
    started: Instant,
}

/// Per id, in microseconds since the start, when its budget is whole again (a leaky bucket). Two generations: what is heard of moves to the
/// young one; when that is full, the old one goes. So memory is bounded, and nobody's budget is somebody else's.
#[derive(Default)]
struct Meter {
    young: HashMap<u128, u64>,
    old: HashMap<u128, u64>,
}

impl SettingAside {
    pub(crate) fn new() -> SettingAside {
        SettingAside { meter: Mutex::default(), started: Instant::now() }
    }

    /// Takes out of `collected` what is set aside. `user_agent`: of the request, for events that carry none.
    pub(crate) fn sort(&self, source: &Source, user_agent: Option<&str>, collected: &mut Vec<Collected>) -> Vec<Rejected> {
        let Some(rule) = &source.set_aside else { return Vec::new() };
        let elapsed = self.started.elapsed();
        let mut aside = Vec::new();
        let mut index = 0;
        collected.retain(|event| {
            let decided = self.decide(rule, &source.key, user_agent, event, elapsed);
            if let Some((field, rule, message)) = decided {
                metrics::counter!("jumelle_set_aside_events_total", "source" => source.key.clone(), "rule" => rule).increment(1);
                aside.push(Rejected { index, field: field.into(), rule, message, body: whole(event) });
            }
            index += 1;
            aside.last().is_none_or(|last| last.index + 1 != index)
        });
        aside
    }

    /// Field, rule and message; `None`: it is taken for a person's.
    fn decide(
        &self,
        rule: &SetAside,
        source: &str,
        user_agent: Option<&str>,
        event: &Collected,
        elapsed: Duration,
    ) -> Option<(&'static str, &'static str, String)> {
        if event.has_consents {
            return None;
        }
        let sender: Sender<'_> = serde_json::from_str(&event.body).ok()?;
        if !rule.user_agents.is_empty() {
            let own: Option<Context<'_>> = sender.context.and_then(|context| serde_json::from_str(context.get()).ok());
            let own = own.and_then(|context| context.user_agent);
            if let Some(agent) = own.as_deref().or(user_agent).map(str::to_lowercase)
                && let Some(pattern) = rule.user_agents.iter().find(|pattern| glob(&pattern.to_lowercase(), &agent))
            {
                return Some((
                    "context.userAgent",
                    BY_USER_AGENT,
                    format!("the user agent matches {pattern}, which is set aside"),
                ));
            }
        }
        let rate = rule.rate?;
        let (field, id) = match (sender.user_id, sender.anonymous_id) {
            (Some(id), _) => ("userId", id),
            (None, Some(id)) => ("anonymousId", id),
            (None, None) => return None,
        };
        let key = xxhash_rust::xxh3::xxh3_128(format!("{source}\0{field}\0{}", id.get()).as_bytes());
        if self.meter.lock().is_within(key, rate, elapsed) {
            return None;
        }
        let EventRate { events, per } = rate;
        Some((
            field,
            BY_RATE,
            format!("more than {events} events in {per} of one {field}; the rest is set aside until it is quiet"),
        ))
    }
}

impl Meter {
    /// Counts an event. Beyond the rate events count too, so that what never pauses stays beyond it; it is within again one `per` after
    /// it has become quiet, at the latest.
    fn is_within(&mut self, key: u128, rate: EventRate, elapsed: Duration) -> bool {
        let now = elapsed.as_micros() as u64;
        let burst = rate.per.0 as u64;
        let cost = (burst / u64::from(rate.events)).max(1);
        let known = self.young.get(&key).copied().or_else(|| self.old.remove(&key)).unwrap_or_default();
        let next = known.max(now) + cost;
        let is_within = next <= now + burst;
        if self.young.len() >= METERED_MAX / 2 && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, next.min(now + 2 * burst));
        is_within
    }
}

/// The event so that it can be read again by itself: with what the path and the batch said of it.
fn whole(event: &Collected) -> String {
    let Ok(serde_json::Value::Object(mut body)) = serde_json::from_str(&event.body) else { return event.body.clone() };
    // Its time is corrected for the sender's clock already.
    body.remove("sentAt");
    body.insert("type".into(), event.kind.as_str().into());
    body.insert("messageId".into(), event.message_id.as_str().into());
    body.insert("timestamp".into(), serde_json::json!(event.time));
    serde_json::Value::Object(body).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jumelle_model::event::EventKind;
    use jumelle_model::time::{Span, Timestamp};
    use jumelle_model::workspace::{SourceKind, Vocabulary};

    const RATE: EventRate = EventRate { events: 10, per: Span(60_000_000) };

    fn source(user_agents: &[&str], rate: Option<EventRate>) -> Source {
        let user_agents = user_agents.iter().map(|pattern| (*pattern).to_owned()).collect();
        Source {
            consents: None,
            key: "site".into(),
            kind: SourceKind::Web,
            write_key: Some("wk".into()),
            vocabulary: Vocabulary::Segment,
            requires: None,
            set_aside: Some(SetAside { user_agents, rate }),
            reduce: Vec::new(),
        }
    }

    fn event(body: &str) -> Collected {
        let (kind, message_id, time) = (EventKind::Track, "m".into(), Timestamp(0));
        Collected { kind, message_id, time, body: body.into(), has_consents: false, claims: jumelle_collect::Claims::default() }
    }

    #[test]
    fn by_rate_and_until_it_is_quiet() {
        let mut meter = Meter::default();
        let mut within = |key: u128, second: u64| meter.is_within(key, RATE, Duration::from_secs(1_000 + second));
        assert_eq!((0..25).filter(|_| within(1, 0)).count(), 10);
        assert!(within(2, 0), "somebody else");
        assert_eq!((1..600).filter(|second| within(1, *second)).count(), 0, "one a second is still six times too many");
        assert!(!within(1, 601) && within(1, 601 + 70), "and after a pause");
        assert_eq!((0..600).filter(|n| within(3, n * 7)).count(), 600, "less than the rate is never too much");
    }

    #[test]
    fn memory_is_bounded() {
        let mut meter = Meter::default();
        for n in 0..1_000_000 {
            meter.is_within(n, RATE, Duration::ZERO);
            if n % 1_000 == 0 {
                meter.is_within(u128::MAX, RATE, Duration::ZERO);
            }
        }
        assert!(meter.young.len() + meter.old.len() <= METERED_MAX + 1);
        assert!(!meter.is_within(u128::MAX, RATE, Duration::ZERO), "what goes on is not forgotten");
    }

    #[test]
    fn by_user_agent_and_never_a_choice() {
        let setting = SettingAside::new();
        let site = source(&["*Bot*"], None);
        let mut chose = event(r#"{"userId":"u","context":{"userAgent":"robot"}}"#);
        chose.has_consents = true;
        let mut collected = vec![
            event(r#"{"userId":"u","n":0}"#),
            event(r#"{"userId":"u","n":1,"sentAt":"x","context":{"userAgent":"Some-BOT/2.1 (+http://x)"}}"#),
            chose,
            event(r#"{"userId":"u","n":3,"context":{"userAgent":"Mozilla/5.0"}}"#),
        ];
        let aside = setting.sort(&site, Some("curl/8"), &mut collected);
        assert_eq!(collected.len(), 3);
        assert_eq!((aside.len(), aside[0].index, aside[0].rule), (1, 1, BY_USER_AGENT));
        let kept: serde_json::Value = serde_json::from_str(&aside[0].body).unwrap();
        assert_eq!((&kept["type"], &kept["messageId"], &kept["n"]), (&"track".into(), &"m".into(), &1.into()));
        assert!(kept["sentAt"].is_null() && kept["timestamp"].is_string());
        assert_eq!(
            setting.sort(&site, Some("Googlebot/2.1"), &mut collected).len(),
            1,
            "of the request where the event has none"
        );
        assert_eq!(setting.sort(&Source { set_aside: None, ..site }, Some("Googlebot/2.1"), &mut collected), []);
    }
}
