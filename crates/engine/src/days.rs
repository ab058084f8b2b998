//! What each day came to: one row per day of the fold's clock, in the workspace's time zone.
//!
//! Aggregates, not facts about a person: they outlive an erasure, so after one a rebuild takes them over instead of counting anew.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jumelle_consent::Reason;
use jumelle_model::time::Timestamp;
use jumelle_store::{Result, Table};
use serde::{Deserialize, Serialize};

use crate::chosen::ChosenDay;
use crate::reductions::ReducedDay;
use crate::results::ResultsDay;
use crate::shared::Shared;

/// Different (activation, reason) pairs counted per day; more go into none.
const REASONS_MAX: usize = 1_000;

/// One day.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Day {
    /// Events folded.
    pub events: u64,
    /// People seen for the first time.
    pub people: u64,
    /// People known by more than a browser's id for the first time.
    pub recognised: u64,
    /// People found to be one with another.
    pub joins: u64,
    /// Items put in quarantine.
    pub quarantined: u64,
    /// Deliveries queued.
    pub queued: u64,
    /// Deliveries that a destination took.
    pub sent: u64,
    /// Deliveries that the gate held back.
    pub blocked: u64,
    /// By segment.
    pub segments: BTreeMap<String, SegmentDay>,
    /// Held back, by activation and reason.
    pub reasons: BTreeMap<(String, String), u64>,
}

/// One day of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct SegmentDay {
    /// Members at its end.
    pub count: u64,
    /// Entries.
    pub entered: u64,
    /// Exits.
    pub left: u64,
}

/// The day that the fold's clock is in, and its row.
#[derive(Default)]
pub(crate) struct Today {
    day: i32,
    /// The first instant of the next day.
    until: Timestamp,
    zone: Option<(String, TimeZone)>,
    row: Day,
    chosen: ChosenDay,
    chosen_changed: bool,
    reduced: ReducedDay,
    reduced_changed: bool,
    results: ResultsDay,
    results_changed: bool,
}

impl Day {
    fn decode(bytes: &[u8]) -> Option<Day> {
        postcard::from_bytes(bytes).ok()
    }

    fn encode(&self) -> Vec<u8> {
        // Every part of a day can be written; a Vec does not run out.
        postcard::to_allocvec(self).unwrap_or_default()
    }

    /// A delivery was held back. `why`: as the gate says it; instants are left out, so that equal reasons add up.
    pub(crate) fn held_back(&mut self, activation: &str, why: &str) {
        self.blocked += 1;
        let key = (activation.to_owned(), reason_kind(why).to_owned());
        if self.reasons.len() < REASONS_MAX || self.reasons.contains_key(&key) {
            *self.reasons.entry(key).or_default() += 1;
        }
    }

    pub(crate) fn moved(&mut self, segment: &str, entered: bool) {
        let day = match self.segments.get_mut(segment) {
            Some(day) => day,
            None => self.segments.entry(segment.to_owned()).or_default(),
        };
        if entered {
            day.entered += 1;
        } else {
            day.left += 1;
        }
    }
}

/// A kept reason as people read it in English, and what the gate says of it (code, inputs, both sentences) if it is one of its own.
pub fn told(reason: Option<String>) -> (Option<String>, Option<serde_json::Value>) {
    match reason.as_deref().and_then(Reason::read) {
        Some(of_gate) => (Some(of_gate.to_string()), Some(of_gate.to_json())),
        None => (reason, None),
    }
}

/// `no consent for marketing/email: denied since 2026-…` → `denied`.
pub(crate) fn reason_kind(why: &str) -> &str {
    if let Some(reason) = Reason::read(why) {
        return reason.code();
    }
    let without_instant = why.split(" since ").next().unwrap_or(why);
    without_instant.rsplit(": ").next().unwrap_or(without_instant)
}

impl Today {
    /// The row of the day that `clock` is in. Days never go back: the fold's clock does not.
    pub(crate) fn at(&mut self, shared: &Shared, clock: Timestamp) -> Result<&mut Day> {
        if clock >= self.until {
            self.turn(shared, clock)?;
        }
        Ok(&mut self.row)
    }

    fn turn(&mut self, shared: &Shared, clock: Timestamp) -> Result<()> {
        if self.until > Timestamp(0) {
            self.put(shared);
        }
        let definitions = shared.definitions();
        let name = &definitions.workspace.settings.timezone;
        if self.zone.as_ref().is_none_or(|(known, _)| known != name) {
            // Definitions are validated: the name is one of the IANA database.
            self.zone = Some((name.clone(), TimeZone::get(name).unwrap_or(TimeZone::UTC)));
        }
        let zone = self.zone.as_ref().map_or(TimeZone::UTC, |(_, zone)| zone.clone());
        (self.day, self.until) = day_of(clock, &zone);
        let key = self.day.to_be_bytes();
        self.row = shared.behind.get(Table::Days, &key)?.and_then(|row| Day::decode(&row)).unwrap_or_default();
        self.chosen = shared.behind.get(Table::Chosen, &key)?.and_then(|row| ChosenDay::decode(&row)).unwrap_or_default();
        self.reduced = shared.behind.get(Table::Reduced, &key)?.and_then(|row| ReducedDay::decode(&row)).unwrap_or_default();
        self.results = shared.behind.get(Table::Results, &key)?.and_then(|row| ResultsDay::decode(&row)).unwrap_or_default();
        Ok(())
    }

    /// The number of the day that `clock` is in.
    pub(crate) fn number(&mut self, shared: &Shared, clock: Timestamp) -> Result<i32> {
        self.at(shared, clock)?;
        Ok(self.day)
    }

    /// What was chosen on the day of the last [`Today::at`].
    pub(crate) fn chosen(&mut self) -> &mut ChosenDay {
        self.chosen_changed = true;
        &mut self.chosen
    }

    /// What was reduced on the day of the last [`Today::at`].
    pub(crate) fn reduced(&mut self) -> &mut ReducedDay {
        self.reduced_changed = true;
        &mut self.reduced
    }

    /// What came of messages on the day of the last [`Today::at`].
    pub(crate) fn results(&mut self) -> &mut ResultsDay {
        self.results_changed = true;
        &mut self.results
    }

    /// Writes the row behind, with how many members each segment has now.
    pub(crate) fn put(&mut self, shared: &Shared) {
        if self.until <= Timestamp(0) {
            return;
        }
        for (segment, count) in shared.counts.read().iter() {
            match self.row.segments.get_mut(segment) {
                Some(day) => day.count = *count,
                None => {
                    self.row.segments.insert(segment.clone(), SegmentDay { count: *count, ..SegmentDay::default() });
                }
            }
        }
        shared.behind.put(Table::Days, self.day.to_be_bytes(), self.row.encode());
        if std::mem::take(&mut self.chosen_changed) && !self.chosen.is_empty() {
            shared.behind.put(Table::Chosen, self.day.to_be_bytes(), self.chosen.encode());
        }
        if std::mem::take(&mut self.reduced_changed) {
            shared.behind.put(Table::Reduced, self.day.to_be_bytes(), self.reduced.encode());
        }
        if std::mem::take(&mut self.results_changed) {
            shared.behind.put(Table::Results, self.day.to_be_bytes(), self.results.encode());
        }
    }
}

/// Days are counted from it.
const EPOCH: Date = Date::constant(1970, 1, 1);

/// Days since 1970-01-01 of an instant in a zone, and when that day ends. Before 1970 and beyond the calendar: day 0, for ever.
fn day_of(clock: Timestamp, zone: &TimeZone) -> (i32, Timestamp) {
    let found = || {
        let instant = jiff::Timestamp::from_microsecond(clock.0).ok()?;
        let day = zone.to_datetime(instant).date();
        let end = zone.to_timestamp(day.tomorrow().ok()?.to_datetime(jiff::civil::Time::midnight())).ok()?;
        let number = day.since(EPOCH).ok()?.get_days();
        (number > 0).then_some((number, Timestamp(end.as_microsecond())))
    };
    found().unwrap_or((0, Timestamp(i64::MIN)))
}

/// The day with this number.
fn date_of(number: i32) -> Option<Date> {
    EPOCH.checked_add(jiff::Span::new().days(number)).ok()
}

impl Shared {
    /// The day of an instant, in the workspace's zone.
    pub fn day_of(&self, at: Timestamp) -> Date {
        let zone = TimeZone::get(&self.definitions().workspace.settings.timezone).unwrap_or(TimeZone::UTC);
        let (number, _) = day_of(at, &zone);
        date_of(number).unwrap_or(EPOCH)
    }

    /// The newest `limit` rows of a table that is kept by day and can be read, oldest first.
    pub(crate) fn by_day<T>(&self, table: Table, limit: usize, decode: impl Fn(&[u8]) -> Option<T>) -> Result<Vec<(Date, T)>> {
        let rows = self.behind.scan_back(table, &[], None, limit)?;
        let day = |(key, row): &(Vec<u8>, Vec<u8>)| {
            let number = i32::from_be_bytes(key.as_slice().try_into().ok()?);
            Some((date_of(number)?, decode(row)?))
        };
        Ok(rows.iter().rev().filter_map(day).collect())
    }

    /// The last days with a row, oldest first, as dates.
    pub fn days(&self, limit: usize) -> Result<Vec<(Date, Day)>> {
        self.by_day(Table::Days, limit, Day::decode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_ends_at_midnight_of_its_zone() {
        let paris = TimeZone::get("Europe/Paris").unwrap();
        let at = |text: &str| Timestamp::parse(text).unwrap();
        let (summer, until) = day_of(at("2026-07-01T21:59:59.999Z"), &paris);
        assert_eq!(until, at("2026-07-01T22:00:00Z"));
        assert_eq!(day_of(at("2026-07-01T22:00:00Z"), &paris).0, summer + 1);
        // The day on which the clocks go back has 25 hours.
        let (_, until) = day_of(at("2026-10-25T12:00:00Z"), &paris);
        assert_eq!(until, at("2026-10-25T23:00:00Z"));
        assert_eq!(day_of(Timestamp::MIN, &paris), (0, Timestamp::MIN));
    }

    #[test]
    fn a_reason_is_named_without_its_instant() {
        assert_eq!(reason_kind("no consent for marketing/email: denied since 2026-01-01T00:00:00Z"), "denied");
        assert_eq!(reason_kind("no consent for marketing/email: unknown since ever"), "unknown");
        let reason = Reason::Restricted { since: Timestamp(1) };
        assert_eq!(reason_kind(&reason.write()), "restricted");
        assert_eq!(reason_kind("the purpose marketing is not declared"), "the purpose marketing is not declared");
    }
}
