//! Dates without a library: milliseconds since 1970 in UTC, and how they are written.

use crate::parameters::DAY_MS;

/// Year, month, day of a number of days since 1970 (Hinnant, "chrono-compatible low-level date algorithms").
pub fn civil(days: i64) -> (i64, u32, u32) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * shifted_month + 2) / 5 + 1) as u32;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 } as u32;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Days since 1970 of a date.
pub fn days(year: i64, month: u32, day: u32) -> i64 {
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let era = shifted_year.div_euclid(400);
    let year_of_era = shifted_year.rem_euclid(400);
    let shifted_month = i64::from(if month > 2 { month - 3 } else { month + 9 });
    let day_of_year = (153 * shifted_month + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// `2026-03-01` to milliseconds. `None` if it is not a date.
pub fn parse_date(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, '-');
    let (year, month, day) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let at = days(year, month, day);
    (civil(at) == (year, month, day)).then_some(at * DAY_MS)
}

/// Appends `2026-03-01T10:00:00.000Z`.
pub fn write_instant(out: &mut Vec<u8>, at_ms: i64) {
    let (year, month, day) = civil(at_ms.div_euclid(DAY_MS));
    let of_day = at_ms.rem_euclid(DAY_MS) as u32;
    let (hour, minute, second, milli) = (of_day / 3_600_000, of_day / 60_000 % 60, of_day / 1_000 % 60, of_day % 1_000);
    let digit = |number: u32| b'0' + (number % 10) as u8;
    let year = year as u32;
    out.extend_from_slice(&[
        digit(year / 1000),
        digit(year / 100),
        digit(year / 10),
        digit(year),
        b'-',
        digit(month / 10),
        digit(month),
        b'-',
        digit(day / 10),
        digit(day),
        b'T',
        digit(hour / 10),
        digit(hour),
        b':',
        digit(minute / 10),
        digit(minute),
        b':',
        digit(second / 10),
        digit(second),
        b'.',
        digit(milli / 100),
        digit(milli / 10),
        digit(milli),
        b'Z',
    ]);
}

/// `None`, or the percentage taken off during the sales of a day: winter and summer sales, and the week of Black Friday.
pub fn sales(day: i64) -> Option<u32> {
    let (_, month, of_month) = civil(day);
    match (month, of_month) {
        (1, 8..) | (2, ..=4) => Some(40),
        (6, 25..) | (7, ..=22) => Some(30),
        (11, 23..=30) => Some(20),
        _ => None,
    }
}

/// The season of a day: two a year, counted from spring 2000.
pub fn season(day: i64) -> i64 {
    let (year, month, _) = civil(day);
    (year - 2_000) * 2
        + if (2..8).contains(&month) {
            0
        } else if month == 1 {
            -1
        } else {
            1
        }
}

/// 0 is Monday.
pub fn weekday(day: i64) -> i64 {
    (day + 3).rem_euclid(7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (text, day) in [("1970-01-01", 0), ("2024-02-29", 19_782), ("2026-11-25", 20_782), ("2100-03-01", 47_541)] {
            assert_eq!(parse_date(text), Some(day * DAY_MS), "{text}");
        }
        assert_eq!(parse_date("2026-02-29"), None);
        let mut out = Vec::new();
        write_instant(&mut out, 20_782 * DAY_MS + 37_512_345);
        assert_eq!(String::from_utf8(out).unwrap(), "2026-11-25T10:25:12.345Z");
        assert_eq!(weekday(20_782), 2, "a Wednesday");
        assert_eq!((season(20_782) - season(20_782 - 365), season(days(2026, 1, 5))), (2, season(days(2025, 12, 5))));
    }
}
