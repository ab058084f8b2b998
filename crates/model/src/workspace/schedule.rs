//! When a file is written: cron's five fields in a time zone, or a while after something waits.

use jiff::ToSpan as _;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::time::{Span, Timestamp};

/// Days looked ahead for the next instant: `0 0 29 2 *` comes every eight years at worst.
const DAYS_AHEAD_MAX: u32 = 366 * 8 + 1;
/// Instants compared for the longest pause between two of them.
const PAUSES_COMPARED: usize = 400;

/// When the file is written.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum When {
    /// `{cron: "0 6 * * 1-5", timezone: Europe/Paris}`: minute, hour, day of month, month, day of week.
    Cron {
        /// As written.
        cron: String,
        /// IANA name; none: the workspace's.
        timezone: Option<String>,
    },
    /// `{after: 5m}`: so long after the first message waits.
    After(Span),
}

/// Cron's five fields, read. Days are chosen as cron does: with both a day of the month and a day of the week, either will do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cron {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    either_day: bool,
}

impl Cron {
    /// Reads `*`, numbers, ranges, lists and steps; names of months and days in English. `Err`: which field does not hold, and why.
    pub fn parse(text: &str) -> Result<Cron, String> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            return Err(format!(
                "{text:?} has {} fields; cron has five: minute, hour, day of month, month, day of week",
                fields.len()
            ));
        };
        const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
        const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
        let mut weekdays = field("day of week", weekday, 0, 7, &WEEKDAYS)?;
        // Sunday is 0 and 7.
        weekdays |= weekdays >> 7 & 1;
        let cron = Cron {
            minutes: field("minute", minute, 0, 59, &[])?,
            hours: field("hour", hour, 0, 23, &[])?,
            days: field("day of month", day, 1, 31, &[])?,
            months: field("month", month, 1, 12, &MONTHS)?,
            weekdays,
            either_day: !day.starts_with('*') && !weekday.starts_with('*'),
        };
        if cron.after(Timestamp(0), &TimeZone::UTC).is_none() {
            return Err(format!("{text:?} never comes"));
        }
        Ok(cron)
    }

    /// The first instant after one. A time that the clocks skip comes an hour later, one that they repeat comes once.
    pub fn after(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let from = jiff::Timestamp::from_microsecond(after.0).ok()?.to_zoned_datetime(zone.clone());
        let mut day = from.date();
        for _ in 0..DAYS_AHEAD_MAX {
            if self.has_day(day) {
                for hour in (0..24).filter(|hour| self.hours >> hour & 1 == 1) {
                    for minute in (0..60).filter(|minute| self.minutes >> minute & 1 == 1) {
                        let time = Time::new(hour, minute, 0, 0).ok()?;
                        let at = zone
                            .to_ambiguous_zoned_datetime(day.to_datetime(time))
                            .compatible()
                            .ok()?
                            .timestamp()
                            .as_microsecond();
                        if at > after.0 {
                            return Some(Timestamp(at));
                        }
                    }
                }
            }
            day = day.checked_add(1.day()).ok()?;
        }
        None
    }

    fn has_day(&self, day: Date) -> bool {
        let of_month = self.days >> day.day() & 1 == 1;
        let of_week = self.weekdays >> day.weekday().to_sunday_zero_offset() & 1 == 1;
        let holds = if self.either_day { of_month || of_week } else { of_month && of_week };
        holds && self.months >> day.month() & 1 == 1
    }

    /// The longest pause between two instants, of those that come next.
    pub fn longest_pause(&self, from: Timestamp, zone: &TimeZone) -> Span {
        let mut longest = 0;
        let mut last = self.after(from, zone);
        for _ in 0..PAUSES_COMPARED {
            let Some(next) = last.and_then(|last| Some((last, self.after(last, zone)?))) else { break };
            longest = longest.max(next.1.0 - next.0.0);
            last = Some(next.1);
        }
        Span(longest)
    }
}

/// One field as a set of bits.
fn field(what: &str, text: &str, min: u32, max: u32, names: &[&str]) -> Result<u64, String> {
    let wrong = |part: &str| {
        format!("{part:?} is no {what}; write a number from {min} to {max}, *, a range (1-5), a step (*/2) or a list (1,3)")
    };
    let mut bits = 0;
    for part in text.split(',') {
        let number = |text: &str| -> Option<u32> {
            let named = names.iter().position(|name| name.eq_ignore_ascii_case(text));
            let number = match named {
                Some(at) => at as u32 + min,
                None => text.parse().ok()?,
            };
            (min..=max).contains(&number).then_some(number)
        };
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse().ok().filter(|step| *step > 0).ok_or_else(|| wrong(part))?),
            None => (part, 1),
        };
        let ends = match range.split_once('-') {
            Some((low, high)) => number(low).zip(number(high)),
            None if range == "*" => Some((min, max)),
            None if part.contains('/') => number(range).map(|low| (low, max)),
            None => number(range).map(|at| (at, at)),
        };
        let (low, high) = ends.filter(|(low, high)| low <= high).ok_or_else(|| wrong(part))?;
        (low..=high).step_by(step).for_each(|at| bits |= 1_u64 << at);
    }
    Ok(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(cron: &str, zone: &str, after: &str) -> String {
        let zone = TimeZone::get(zone).unwrap();
        Cron::parse(cron).unwrap().after(Timestamp::parse(after).unwrap(), &zone).unwrap().to_string()
    }

    #[test]
    fn comes_when_cron_says() {
        for (cron, zone, after, expected) in [
            ("0 6 * * *", "Europe/Paris", "2026-01-10T05:00:00Z", "2026-01-11T05:00:00.000000Z"),
            ("0 6 * * *", "Europe/Paris", "2026-01-10T04:59:59Z", "2026-01-10T05:00:00.000000Z"),
            ("0 6 * * 1-5", "Europe/Paris", "2026-07-03T12:00:00Z", "2026-07-06T04:00:00.000000Z"),
            ("*/20 8-9 * * *", "UTC", "2026-01-01T08:40:00Z", "2026-01-01T09:00:00.000000Z"),
            ("0 0 1 * mon", "UTC", "2026-06-02T00:00:00Z", "2026-06-08T00:00:00.000000Z"),
            ("0 0 * * 7", "UTC", "2026-06-01T00:00:00Z", "2026-06-07T00:00:00.000000Z"),
            ("0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z", "2104-02-29T00:00:00.000000Z"),
            // The clocks skip 02:30 on 29 March 2026, and repeat it on 25 October.
            ("30 2 * * *", "Europe/Paris", "2026-03-28T12:00:00Z", "2026-03-29T01:30:00.000000Z"),
            ("30 2 * * *", "Europe/Paris", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00.000000Z"),
            ("30 2 * * *", "Europe/Paris", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00.000000Z"),
        ] {
            let expected = Timestamp::parse(expected).unwrap().to_string();
            assert_eq!(next(cron, zone, after), expected, "{cron} in {zone} after {after}");
        }
    }

    #[test]
    fn what_is_no_cron_says_which_field() {
        for (text, said) in [
            ("0 6 * *", "4 fields"),
            ("60 6 * * *", "\"60\" is no minute"),
            ("0 6 * 13 *", "\"13\" is no month"),
            ("0 5-2 * * *", "\"5-2\" is no hour"),
            ("*/0 * * * *", "\"*/0\" is no minute"),
            ("0 0 31 2 *", "never comes"),
            ("0 0 * * 18446744073709551616", "no day of week"),
        ] {
            let error = Cron::parse(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn the_longest_pause_is_that_of_a_week_end() {
        let cron = Cron::parse("0 6 * * 1-5").unwrap();
        let pause = cron.longest_pause(Timestamp::parse("2026-06-01T00:00:00Z").unwrap(), &TimeZone::UTC);
        assert_eq!(pause, Span(3 * 86_400_000_000));
    }
}
