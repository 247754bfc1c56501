//! Dates as the wall shows them: in the machine's time zone, which `time` does not look up in a program of several threads.

use time::{OffsetDateTime, UtcOffset};

/// The offset of the machine's time zone at that instant; UTC when the system does not know.
fn offset(at: OffsetDateTime) -> UtcOffset {
    let seconds: libc::time_t = at.unix_timestamp();
    // SAFETY: both pointers are to values of this frame, `localtime_r` writes to the second only, and nothing in this program changes
    // the environment, which it reads.
    let found = unsafe {
        let mut parts: libc::tm = std::mem::zeroed();
        (!libc::localtime_r(&raw const seconds, &raw mut parts).is_null()).then_some(parts.tm_gmtoff)
    };
    let seconds = found.and_then(|seconds| i32::try_from(seconds).ok());
    seconds.and_then(|seconds| UtcOffset::from_whole_seconds(seconds).ok()).unwrap_or(UtcOffset::UTC)
}

/// `2026-11-22 08:41`.
pub fn minute(at: OffsetDateTime) -> String {
    let format = time::macros::format_description!("[year]-[month]-[day] [hour]:[minute]");
    at.to_offset(offset(at)).format(&format).unwrap_or_default()
}

/// The first instant of a day of the machine's time zone: `2026-11-22`.
pub fn day(text: &str) -> Result<OffsetDateTime, String> {
    let format = time::macros::format_description!("[year]-[month]-[day]");
    let day = time::Date::parse(text, &format).map_err(|_| "write a day as 2027-01-31".to_owned())?;
    let near = day.midnight().assume_utc();
    Ok(day.midnight().assume_offset(offset(near)))
}

/// RFC 3339 in UTC, for JSON.
pub fn rfc3339(at: OffsetDateTime) -> String {
    at.to_offset(UtcOffset::UTC).format(&time::format_description::well_known::Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn a_day_begins_at_midnight() {
        let begin = day("2026-03-29").expect("a day");
        assert_eq!(minute(begin), "2026-03-29 00:00");
        assert!(day("29/03/2026").is_err());
        assert_eq!(rfc3339(datetime!(2026-03-29 01:00 +02:00)), "2026-03-28T23:00:00Z");
    }
}
