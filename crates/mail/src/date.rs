//! Dates of Internet mail: RFC 5322 §3.3 and §4.3 (`Date:`), and those of IMAP (RFC 3501 `date` and `date-time`).
//!
//! Years 1900 to 9999; every field is range-checked; nothing here panics on any text.

use time::{Date, Month, OffsetDateTime, Time, UtcOffset};

/// A point in time and the zone it was told in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Moment {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub unix: i64,
    /// Minutes east of UTC, −1439 to 1439; what is outside counts as 0.
    pub offset_minutes: i16,
}

/// First and last years understood.
const YEARS: std::ops::RangeInclusive<i32> = 1900..=9999;
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
/// Longest `Date:` read: dates have some 31 characters, comments included far less than this.
const MAX_TEXT: usize = 512;

impl Moment {
    /// A moment told in UTC.
    pub const fn utc(unix: i64) -> Moment {
        Moment { unix, offset_minutes: 0 }
    }

    /// The day in the zone it was told in.
    pub fn date(self) -> Date {
        self.local().date()
    }

    /// The date and time in its zone, brought into the years understood.
    pub(crate) fn local(self) -> OffsetDateTime {
        // A day is left before the end of 9999, so that no offset leaves the years that `time` can hold.
        let first = -2_208_988_800 - 86_400;
        let last = 253_402_300_799 - 86_400;
        let offset = UtcOffset::from_whole_seconds(i32::from(self.offset_minutes) * 60)
            .ok()
            .filter(|o| o.whole_minutes().abs() < 24 * 60)
            .unwrap_or(UtcOffset::UTC);
        OffsetDateTime::from_unix_timestamp(self.unix.clamp(first, last))
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
            .to_offset(offset)
    }

    fn new(date: Date, clock: Time, offset_minutes: i16) -> Option<Moment> {
        let offset = UtcOffset::from_whole_seconds(i32::from(offset_minutes) * 60).ok()?;
        let unix = date.with_time(clock).assume_offset(offset).unix_timestamp();
        Some(Moment { unix, offset_minutes })
    }
}

/// Reads the value of a `Date:` field: comments, obsolete zones and years, and a wrong day of the week are accepted.
pub fn parse_rfc5322(text: &str) -> Option<Moment> {
    if text.len() > MAX_TEXT {
        return None;
    }
    let plain = without_comments(text)?;
    // `Fri,` and `Fri ,` alike; the day of the week itself is not believed.
    let plain = match plain.split_once(',') {
        Some((day, rest)) if DAYS.iter().any(|d| name_is(day.trim(), d)) => rest.to_owned(),
        Some(_) => return None,
        None => plain,
    };
    // Obsolete syntax allows blanks around the colons of the time.
    let mut joined = String::with_capacity(plain.len());
    for word in plain.split(':') {
        if !joined.is_empty() {
            joined.push(':');
        }
        joined.push_str(word.trim());
    }
    let mut words = joined.split_ascii_whitespace().peekable();
    if words.peek().is_some_and(|w| DAYS.iter().any(|d| name_is(w, d))) {
        words.next();
    }
    let day = number(words.next()?, 1..=2)?;
    let month = month(words.next()?)?;
    let year_text = words.next()?;
    let year = match (number(year_text, 2..=4)?, year_text.len()) {
        (y, 2) if y < 50 => 2000 + y,
        (y, 2 | 3) => 1900 + y,
        (y, _) => y,
    };
    let date = civil(year, month, day)?;
    let clock = clock(words.next()?, 1..=2)?;
    // A date without a zone is not RFC 5322, yet common; `-0000` is what it means.
    let offset = match words.next() {
        None => 0,
        Some(zone) => self::zone(zone)?,
    };
    if words.next().is_some() {
        return None;
    }
    Moment::new(date, clock, offset)
}

/// Writes the value of a `Date:` field, e.g. `Wed, 17 Jul 1996 02:23:25 -0700`.
pub fn format_rfc5322(moment: Moment) -> String {
    let t = moment.local();
    let weekday = DAYS[usize::from(t.weekday().number_days_from_monday())];
    let month = MONTHS[usize::from(u8::from(t.month())) - 1];
    format!("{weekday}, {} {month} {:04} {}", t.day(), t.year(), clock_and_zone(t))
}

/// Reads an IMAP `date-time` without its quotes: `17-Jul-1996 02:44:25 -0700`, the day padded with a blank or a zero.
pub fn parse_imap_date_time(text: &str) -> Option<Moment> {
    if !text.is_ascii() || text.len() != 26 || text.as_bytes()[11] != b' ' || text.as_bytes()[20] != b' ' {
        return None;
    }
    let (date, rest) = text.split_at(11);
    let date = imap_date(date.strip_prefix(' ').unwrap_or(date))?;
    let clock = clock(&rest[1..9], 2..=2)?;
    Moment::new(date, clock, numeric_zone(&rest[10..])?)
}

/// Writes an IMAP `date-time` without its quotes, e.g. ` 7-Jul-1996 02:44:25 -0700`.
pub fn format_imap_date_time(moment: Moment) -> String {
    let t = moment.local();
    let month = MONTHS[usize::from(u8::from(t.month())) - 1];
    format!("{:>2}-{month}-{:04} {}", t.day(), t.year(), clock_and_zone(t))
}

/// Reads an IMAP `date` without quotes: `1-Feb-1994`.
pub fn parse_imap_date(text: &str) -> Option<Date> {
    imap_date(text)
}

/// Writes an IMAP `date`.
pub fn format_imap_date(date: Date) -> String {
    format!("{}-{}-{:04}", date.day(), MONTHS[usize::from(u8::from(date.month())) - 1], date.year())
}

fn clock_and_zone(t: OffsetDateTime) -> String {
    let minutes = t.offset().whole_minutes();
    let sign = if minutes < 0 { '-' } else { '+' };
    let minutes = minutes.abs();
    format!("{:02}:{:02}:{:02} {sign}{:02}{:02}", t.hour(), t.minute(), t.second(), minutes / 60, minutes % 60)
}

fn imap_date(text: &str) -> Option<Date> {
    let mut parts = text.split('-');
    let day = number(parts.next()?, 1..=2)?;
    let month = month(parts.next()?)?;
    let year = number(parts.next()?, 4..=4)?;
    if parts.next().is_some() {
        return None;
    }
    civil(year, month, day)
}

/// An unsigned number with that many digits and nothing else.
fn number(text: &str, digits: std::ops::RangeInclusive<usize>) -> Option<i32> {
    if !digits.contains(&text.len()) || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// Whether a word begins with the three letters of a day or month and has nothing but letters (`Tuesday`, `Sept`).
fn name_is(word: &str, name: &str) -> bool {
    word.len() <= 9
        && word.bytes().all(|b| b.is_ascii_alphabetic())
        && word.get(..3).is_some_and(|w| w.eq_ignore_ascii_case(name))
}

fn month(word: &str) -> Option<Month> {
    let index = MONTHS.iter().position(|m| m.eq_ignore_ascii_case(word))?;
    Month::try_from(u8::try_from(index + 1).ok()?).ok()
}

fn civil(year: i32, month: Month, day: i32) -> Option<Date> {
    if !YEARS.contains(&year) {
        return None;
    }
    Date::from_calendar_date(year, month, u8::try_from(day).ok()?).ok()
}

/// `hh:mm` or `hh:mm:ss`; a leap second is told as the second before it.
fn clock(text: &str, hour_digits: std::ops::RangeInclusive<usize>) -> Option<Time> {
    let strict = *hour_digits.start() == 2;
    let mut parts = text.split(':');
    let hour = number(parts.next()?, hour_digits)?;
    let minute = number(parts.next()?, 2..=2)?;
    let second = match parts.next() {
        Some(s) => number(s, 2..=2)?,
        None if strict => return None,
        None => 0,
    };
    if parts.next().is_some() || second > 60 {
        return None;
    }
    Time::from_hms(u8::try_from(hour).ok()?, u8::try_from(minute).ok()?, u8::try_from(second.min(59)).ok()?).ok()
}

fn numeric_zone(text: &str) -> Option<i16> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ => return None,
    };
    let n = i16::try_from(number(digits, 4..=4)?).ok()?;
    let (hours, minutes) = (n / 100, n % 100);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))
}

/// Numeric or obsolete zone. Military letters and unknown names mean `-0000` (RFC 5322 §4.3).
fn zone(text: &str) -> Option<i16> {
    if text.starts_with(['+', '-']) {
        return numeric_zone(text);
    }
    if !text.bytes().all(|b| b.is_ascii_alphabetic()) {
        return None;
    }
    let hours = match text.to_ascii_uppercase().as_str() {
        "EDT" => -4,
        "EST" | "CDT" => -5,
        "CST" | "MDT" => -6,
        "MST" | "PDT" => -7,
        "PST" => -8,
        _ => 0,
    };
    Some(hours * 60)
}

/// The text with each comment replaced by a blank; `None` when a comment is not closed.
fn without_comments(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut depth = 0usize;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '(' => depth += 1,
            ')' if depth > 0 => {
                depth -= 1;
                plain.push(' ');
            }
            '\\' if depth > 0 => {
                chars.next();
            }
            _ if depth == 0 => plain.push(c),
            _ => {}
        }
    }
    (depth == 0).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dates_of_the_rfc() {
        let wanted = Some(Moment { unix: 880_127_706, offset_minutes: -360 });
        assert_eq!(parse_rfc5322("Fri, 21 Nov 1997 09:55:06 -0600"), wanted);
        assert_eq!(parse_rfc5322("21 Nov 97 09:55:06 CST"), wanted);
        assert_eq!(parse_rfc5322("Fri, 21 Nov 1997 09(comment):   55  :  06 (a \\) b) -0600"), wanted);
        assert_eq!(parse_rfc5322("Friday , 21 nov 1997 09:55:06 -0600"), wanted);
        assert_eq!(parse_rfc5322("1 Jan 2020 00:00 Z"), Some(Moment::utc(1_577_836_800)));
        assert_eq!(parse_rfc5322("1 Jan 120 0:00"), Some(Moment::utc(1_577_836_800)));
        assert_eq!(parse_rfc5322("31 Dec 1998 23:59:60 +0000"), Some(Moment::utc(915_148_799)));
        for bad in [
            "",
            "Fri",
            "32 Jan 2020 00:00 Z",
            "29 Feb 2023 00:00 Z",
            "1 Jan 1899 00:00 Z",
            "1 Jan 10000 00:00 Z",
            "1 Jan 2020 24:00 Z",
            "1 Jan 2020 00:60 Z",
            "1 Jan 2020 00:00:61 Z",
            "1 Jan 2020 00:00 +2400",
            "1 Jan 2020 00:00 +0060",
            "1 Jan 2020 00:00 Z x",
            "1 Jan 2020 (00:00 Z",
            "é Jan 2020 00:00 Z",
        ] {
            assert_eq!(parse_rfc5322(bad), None, "{bad}");
        }
    }

    #[test]
    fn dates_of_imap() {
        let m = parse_imap_date_time("17-Jul-1996 02:44:25 -0700").expect("valid");
        assert_eq!(m, Moment { unix: 837_596_665, offset_minutes: -420 });
        assert_eq!(format_imap_date_time(m), "17-Jul-1996 02:44:25 -0700");
        assert_eq!(format_rfc5322(m), "Wed, 17 Jul 1996 02:44:25 -0700");
        assert_eq!(m.date().to_string(), "1996-07-17");
        assert_eq!(
            parse_imap_date_time(" 7-Jul-1996 02:44:25 +0000").map(format_imap_date_time).as_deref(),
            Some(" 7-Jul-1996 02:44:25 +0000")
        );
        for bad in [
            "17-Jul-1996 2:44:25 -0700",
            "7-Jul-1996 02:44:25 -0700",
            "17-Jul-1996 02:44:25 -07:0",
            "17-Jul-1996 02:44:2é -070",
            "17 Jul 1996 02:44:25 -0700",
        ] {
            assert_eq!(parse_imap_date_time(bad), None, "{bad}");
        }
        assert_eq!(parse_imap_date("1-Feb-1994").map(format_imap_date).as_deref(), Some("1-Feb-1994"));
        assert_eq!(parse_imap_date("30-Feb-1994"), None);
        assert_eq!(parse_imap_date("1-Feb-94"), None);
    }

    proptest! {
        #[test]
        fn round_trips(unix in -2_000_000_000i64..250_000_000_000, offset_minutes in -1439i16..=1439) {
            let m = Moment { unix, offset_minutes };
            prop_assert_eq!(parse_rfc5322(&format_rfc5322(m)), Some(m));
            prop_assert_eq!(parse_imap_date_time(&format_imap_date_time(m)), Some(m));
            prop_assert_eq!(parse_imap_date(&format_imap_date(m.date())), Some(m.date()));
        }

        #[test]
        fn never_panics(text in "\\PC{0,40}", unix: i64, offset_minutes: i16) {
            let _ = (parse_rfc5322(&text), parse_imap_date(&text), parse_imap_date_time(&text));
            let m = Moment { unix, offset_minutes };
            let _ = (format_rfc5322(m), format_imap_date_time(m), m.date());
        }

        #[test]
        fn near_dates_never_panic(text in "[0-9a-zA-Z:, ()+-]{0,40}", exact in "[0-9JanFeb: +-]{26}") {
            let _ = (parse_rfc5322(&text), parse_imap_date(&text), parse_imap_date_time(&exact));
        }
    }
}
