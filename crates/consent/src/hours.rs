//! Local hours in which a person may be contacted.

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jumelle_model::time::Timestamp;
use jumelle_model::workspace::policy::{Calendar, Hours};

/// Days looked ahead for the next opening: hours open on one day of the week at least, and no run of holidays is as long.
const DAYS_AHEAD_MAX: usize = 30;

/// `None`: they are open at `at`; else when they open next.
pub fn closed_until(hours: &Hours, zone: &TimeZone, at: Timestamp) -> Option<Timestamp> {
    let Ok(instant) = jiff::Timestamp::from_microsecond(at.0) else { return Some(Timestamp::MAX) };
    let local = zone.to_datetime(instant);
    let mut day = local.date();
    let now = minutes(local.time());
    if is_open_on(hours, day) && hours.between.iter().any(|(from, until)| (*from..*until).contains(&now)) {
        return None;
    }
    for ahead in 0..DAYS_AHEAD_MAX {
        if is_open_on(hours, day) {
            // An opening may fall into the hour that a change of clocks skips; then the zone gives the instant behind it.
            let openings = hours.between.iter().filter(|(from, _)| ahead > 0 || *from > now);
            let opening = openings.filter_map(|(from, _)| instant_of(day, *from, zone)).find(|opening| *opening > at);
            if let Some(opening) = opening {
                return Some(opening);
            }
        }
        let Ok(next) = day.tomorrow() else { break };
        day = next;
    }
    Some(Timestamp::MAX)
}

fn minutes(time: Time) -> u16 {
    // Both are small and not negative.
    u16::from(time.hour().unsigned_abs()) * 60 + u16::from(time.minute().unsigned_abs())
}

fn instant_of(day: Date, minutes: u16, zone: &TimeZone) -> Option<Timestamp> {
    let time = Time::new((minutes / 60) as i8, (minutes % 60) as i8, 0, 0).ok()?;
    zone.to_timestamp(day.to_datetime(time)).ok().map(|instant| Timestamp(instant.as_microsecond()))
}

fn is_open_on(hours: &Hours, day: Date) -> bool {
    let bit = day.weekday().to_monday_zero_offset().unsigned_abs();
    let is_holiday = hours.holidays.is_some_and(|calendar| match calendar {
        Calendar::France => is_french_holiday(day),
    });
    hours.days & (1 << bit) != 0 && !is_holiday
}

/// The eleven days of article L. 3133-1 of the Code du travail.
fn is_french_holiday(day: Date) -> bool {
    let fixed = [(1, 1), (5, 1), (5, 8), (7, 14), (8, 15), (11, 1), (11, 11), (12, 25)];
    if fixed.contains(&(day.month(), day.day())) {
        return true;
    }
    let Some(easter) = easter(day.year()) else { return false };
    // Easter Monday, Ascension, Whit Monday.
    [1, 39, 50].into_iter().any(|days| easter.checked_add(jiff::Span::new().days(days)).is_ok_and(|then| then == day))
}

/// Easter Sunday: Meeus, Astronomical Algorithms (1991), chapter 8, the Gregorian calendar.
fn easter(year: i16) -> Option<Date> {
    let year_number = i32::from(year);
    let (a, b, c) = (year_number % 19, year_number / 100, year_number % 100);
    let (d, e, f) = (b / 4, b % 4, (b + 8) / 25);
    let g = (b - f + 1) / 3;
    let h = (19 * a + b - d - g + 15) % 30;
    let (i, k) = (c / 4, c % 4);
    let l = (32 + 2 * e + 2 * i - h - k) % 7;
    let m = (a + 11 * h + 22 * l) / 451;
    let (month, day) = ((h + l - 7 * m + 114) / 31, (h + l - 7 * m + 114) % 31 + 1);
    let easter = Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?;
    debug_assert_eq!(easter.weekday(), Weekday::Sunday);
    Some(easter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn easter_and_what_hangs_on_it() {
        for (year, month, day) in [(1961, 4, 2), (2000, 4, 23), (2024, 3, 31), (2026, 4, 5), (2038, 4, 25), (2285, 3, 22)] {
            assert_eq!(easter(year), Some(Date::constant(year, month, day)));
        }
        for (month, day) in [(1, 1), (4, 6), (5, 1), (5, 8), (5, 14), (5, 25), (7, 14), (8, 15), (11, 1), (11, 11), (12, 25)] {
            assert!(is_french_holiday(Date::constant(2026, month, day)), "{day}/{month}");
        }
        assert!(!is_french_holiday(Date::constant(2026, 4, 5)), "Easter Sunday is a Sunday");
        assert!(!is_french_holiday(Date::constant(2026, 12, 24)));
    }

    #[test]
    fn calls_are_made_on_weekdays_at_the_place_of_the_called() {
        let (paris, reunion) = (TimeZone::get("Europe/Paris").unwrap(), TimeZone::get("Indian/Reunion").unwrap());
        let calls = Hours { days: 0b1_1111, between: vec![(600, 780), (840, 1_200)], holidays: Some(Calendar::France) };
        for (zone, instant, until) in [
            // Wednesday 25 November 2026, 10:00 in Paris.
            (&paris, "2026-11-25T09:00:00Z", None),
            (&paris, "2026-11-25T08:59:59Z", Some("2026-11-25T09:00:00Z")),
            (&paris, "2026-11-25T11:59:59Z", None),
            (&paris, "2026-11-25T12:00:00Z", Some("2026-11-25T13:00:00Z")),
            (&paris, "2026-11-25T19:00:00Z", Some("2026-11-26T09:00:00Z")),
            (&reunion, "2026-11-25T09:00:00Z", Some("2026-11-25T10:00:00Z")),
            (&reunion, "2026-11-25T06:00:00Z", None),
            // Friday evening, Saturday, Sunday.
            (&paris, "2026-11-27T19:30:00Z", Some("2026-11-30T09:00:00Z")),
            // Thursday 24 December 2026, 20:00: Friday is Christmas.
            (&paris, "2026-12-24T19:00:00Z", Some("2026-12-28T09:00:00Z")),
            // Friday before the clocks go forward: on Monday 10:00 is 8:00 UTC.
            (&paris, "2026-03-27T19:00:00Z", Some("2026-03-30T08:00:00Z")),
        ] {
            assert_eq!(closed_until(&calls, zone, at(instant)), until.map(at), "{instant}");
        }
    }

    #[test]
    fn an_opening_in_the_hour_that_does_not_exist_is_the_instant_behind_it() {
        let paris = TimeZone::get("Europe/Paris").unwrap();
        let night = Hours { days: 0b111_1111, between: vec![(150, 200)], holidays: None };
        // 29 March 2026: 02:00 to 03:00 is left out.
        let opening = closed_until(&night, &paris, at("2026-03-29T00:00:00Z")).unwrap();
        assert!(opening > at("2026-03-29T00:00:00Z") && opening <= at("2026-03-30T00:30:00Z"), "{opening}");
    }

    #[test]
    fn open_all_day_is_open_until_midnight_and_after() {
        let always = Hours { days: 0b111_1111, between: vec![(0, 1_440)], holidays: None };
        for instant in ["2026-11-25T22:59:59Z", "2026-11-25T23:00:00Z", "2026-11-26T12:00:00Z"] {
            assert_eq!(closed_until(&always, &TimeZone::get("Europe/Paris").unwrap(), at(instant)), None);
        }
    }
}
