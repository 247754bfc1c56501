//! Dates and durations as people read them in French, in the time of Paris.

use time::{Month, OffsetDateTime, UtcOffset};

const MONTHS: [&str; 12] = [
    "janvier",
    "février",
    "mars",
    "avril",
    "mai",
    "juin",
    "juillet",
    "août",
    "septembre",
    "octobre",
    "novembre",
    "décembre",
];

/// `21 janvier 2026 à 13 h 55`, from seconds since 1970.
#[must_use]
pub fn instant(seconds: i64) -> String {
    let Ok(utc) = OffsetDateTime::from_unix_timestamp(seconds) else { return String::new() };
    let local = utc.to_offset(paris(utc));
    let month = MONTHS[usize::from(local.month() as u8) - 1];
    let day = if local.day() == 1 { "1er".to_owned() } else { local.day().to_string() };
    format!("{day} {month} {} à {} h {:02}", local.year(), local.hour(), local.minute())
}

/// The day it is in Paris at an instant.
pub(crate) fn day_in_paris(seconds: i64) -> time::Date {
    let utc = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    utc.to_offset(paris(utc)).date()
}

/// The instant of a minute of the day in Paris, on the day it is there at an instant.
pub(crate) fn at_minute_in_paris(seconds: i64, minute: i64) -> i64 {
    let Ok(utc) = OffsetDateTime::from_unix_timestamp(seconds) else { return seconds };
    let midnight = utc.to_offset(paris(utc)).date().midnight().assume_utc() + time::Duration::minutes(minute);
    // The offset of that instant is one of two; the time that the change of March leaves out is an hour later.
    let winter = midnight - time::Duration::hours(1);
    let summer = midnight - time::Duration::hours(2);
    let found = if paris(summer).whole_hours() == 2 { summer } else { winter };
    found.unix_timestamp()
}

/// Summer time from the last Sunday of March to that of October, at 1:00 UTC (directive 2000/84/CE).
fn paris(utc: OffsetDateTime) -> UtcOffset {
    let change = |month: Month| {
        let last = time::Date::from_calendar_date(utc.year(), month, 31).ok()?;
        let sunday = last - time::Duration::days(i64::from(last.weekday().number_days_from_sunday()));
        Some(sunday.with_hms(1, 0, 0).ok()?.assume_utc())
    };
    let is_summer = match (change(Month::March), change(Month::October)) {
        (Some(begin), Some(end)) => utc >= begin && utc < end,
        _ => false,
    };
    UtcOffset::from_hms(if is_summer { 2 } else { 1 }, 0, 0).unwrap_or(UtcOffset::UTC)
}

/// `3 min 20 s`, from seconds.
#[must_use]
pub fn duration(seconds: i64) -> String {
    match seconds.max(0) {
        s if s < 60 => format!("{s} s"),
        s if s < 3600 => format!("{} min {:02} s", s / 60, s % 60),
        s => format!("{} h {:02} min", s / 3600, s % 3600 / 60),
    }
}

/// `s` when there are several, or none.
#[must_use]
pub fn plural(count: usize) -> &'static str {
    if count >= 2 { "s" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paris_time() {
        let at = |text: &str| {
            let when = OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).expect("a date");
            instant(when.unix_timestamp())
        };
        assert_eq!(at("2026-01-21T12:55:00Z"), "21 janvier 2026 à 13 h 55");
        assert_eq!(at("2026-07-01T22:05:00Z"), "2 juillet 2026 à 0 h 05");
        // Changes of 2026: 29 March and 25 October.
        assert_eq!(at("2026-03-29T00:59:59Z"), "29 mars 2026 à 1 h 59");
        assert_eq!(at("2026-03-29T01:00:00Z"), "29 mars 2026 à 3 h 00");
        assert_eq!(at("2026-10-25T00:59:59Z"), "25 octobre 2026 à 2 h 59");
        assert_eq!(at("2026-10-25T01:00:00Z"), "25 octobre 2026 à 2 h 00");
        assert_eq!(at("2026-12-01T00:00:00+01:00"), "1er décembre 2026 à 0 h 00");
    }

    #[test]
    fn durations() {
        assert_eq!(
            (duration(5), duration(200), duration(7260)),
            ("5 s".into(), "3 min 20 s".into(), "2 h 01 min".into())
        );
    }
}
