//! Instants and spans. Jumelle's one clock unit is the microsecond, UTC.

use std::fmt;
use std::ops::{Add, Sub};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An instant: microseconds since 1970-01-01T00:00:00Z. Written as RFC 3339 for people, as an integer in tables.
///
/// In JSON it always has six digits after the point, so that texts sort as the instants do ("…05.123Z" stands behind
/// "…05.123456Z"). `Display`, which is read and not sorted, leaves three zeros out; message ids made for files rest on it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

/// A length of time in microseconds, written `30d`, `24h`, `15m`, `10s` or `2w`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub i64);

impl Timestamp {
    /// Earlier than every event.
    pub const MIN: Timestamp = Timestamp(i64::MIN);
    /// Later than every event: "never" where a due time is kept.
    pub const MAX: Timestamp = Timestamp(i64::MAX);

    /// The wall clock. Only the shell (server, engine) may call it, never the fold.
    pub fn now() -> Timestamp {
        Timestamp(jiff::Timestamp::now().as_microsecond())
    }

    /// Parses RFC 3339 / ISO 8601 with an offset, or a bare date (`2011-09-01`), which means midnight UTC.
    pub fn parse(text: &str) -> Option<Timestamp> {
        if let Ok(at) = text.parse::<jiff::Timestamp>() {
            return Some(Timestamp(at.as_microsecond()));
        }
        let date: jiff::civil::DateTime = text.parse().ok()?;
        let at = jiff::tz::TimeZone::UTC.to_timestamp(date).ok()?;
        Some(Timestamp(at.as_microsecond()))
    }

    /// From milliseconds since the epoch.
    pub fn from_millis(millis: i64) -> Timestamp {
        Timestamp(millis.saturating_mul(1_000))
    }

    /// Milliseconds since the epoch, rounded down.
    pub fn as_millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }
}

impl Add<Span> for Timestamp {
    type Output = Timestamp;
    fn add(self, span: Span) -> Timestamp {
        Timestamp(self.0.saturating_add(span.0))
    }
}

impl Sub<Span> for Timestamp {
    type Output = Timestamp;
    fn sub(self, span: Span) -> Timestamp {
        Timestamp(self.0.saturating_sub(span.0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            // Six digits only where the third to last three say something: a reader of milliseconds is the rule.
            Ok(at) if self.0 % 1_000 == 0 => write!(f, "{at:.3}"),
            Ok(at) => write!(f, "{at:.6}"),
            Err(_) => write!(f, "{}", if self.0 < 0 { "-infinity" } else { "infinity" }),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            return self.0.serialize(serializer);
        }
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(at) => serializer.collect_str(&format_args!("{at:.6}")),
            Err(_) => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            Timestamp::parse(&text).ok_or_else(|| serde::de::Error::custom(format!("{text:?} is not an RFC 3339 instant")))
        } else {
            i64::deserialize(deserializer).map(Timestamp)
        }
    }
}

impl Span {
    /// Parses `15s`, `10m`, `24h`, `30d`, `2w`: a whole positive number and one unit, nothing else.
    pub fn parse(text: &str) -> Option<Span> {
        let split = text.find(|c: char| !c.is_ascii_digit())?;
        let (number, unit) = text.split_at(split);
        let seconds: i64 = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            "w" => 604_800,
            _ => return None,
        };
        let span = number.parse::<i64>().ok()?.checked_mul(seconds)?.checked_mul(1_000_000)?;
        (span > 0).then_some(Span(span))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 / 1_000_000;
        for (unit, size) in [("d", 86_400), ("h", 3_600), ("m", 60)] {
            if seconds % size == 0 {
                return write!(f, "{}{unit}", seconds / size);
            }
        }
        write!(f, "{seconds}s")
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.serialize(serializer) }
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            Span::parse(&text).ok_or_else(|| serde::de::Error::custom(format!("{text:?} is not a duration; write 14d")))
        } else {
            i64::deserialize(deserializer).map(Span)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_reads_back_as_it_was_written() {
        for text in ["2011-09-01T00:00:00.000Z", "2026-11-25T05:05:58.123Z", "1969-12-31T23:59:59.000Z"] {
            assert_eq!(Timestamp::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Timestamp::parse("2011-09-01"), Timestamp::parse("2011-09-01T00:00:00Z"));
        assert_eq!(Timestamp::parse("2011-09-01T02:00:00+02:00"), Timestamp::parse("2011-09-01T00:00:00Z"));
        assert_eq!(Timestamp::parse("yesterday"), None);
    }

    #[test]
    fn instants_in_json_sort_as_texts() {
        let whole = 1_764_050_645_123_000;
        let texts: Vec<String> = (whole - 2..whole + 3).map(|at| serde_json::to_string(&Timestamp(at)).unwrap()).collect();
        assert!(texts.is_sorted(), "{texts:?}");
        assert_eq!(texts[2], "\"2025-11-25T06:04:05.123000Z\"");
        assert_eq!(serde_json::from_str::<Timestamp>(&texts[2]).unwrap(), Timestamp(whole));
    }

    #[test]
    fn a_span_is_a_whole_number_and_a_unit() {
        assert_eq!(Span::parse("14d").unwrap().to_string(), "14d");
        assert_eq!(Span::parse("36h").unwrap().to_string(), "36h");
        for wrong in ["14 days", "d", "-3d", "0d", "1.5h", "99999999999999999d", ""] {
            assert_eq!(Span::parse(wrong), None, "{wrong}");
        }
    }
}
