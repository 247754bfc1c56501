//! HL7 timestamps of CDA and XDS: `AAAA[MM[JJ[hh[mm[ss[.f]]]]]][±zzzz]`.

use std::fmt;
use std::str::FromStr;

use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

/// The text is not an HL7 timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an HL7 timestamp")]
pub struct BadTimestamp;

/// A point in time as precise as its author made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Timestamp {
    /// First day of the period that the text gives.
    date: Date,
    /// Digits given in the date: 4, 6 or 8.
    date_digits: u8,
    /// Time of the day, when given, to the second.
    time: Option<Time>,
    /// Offset from UTC, when given.
    offset: Option<UtcOffset>,
}

impl Timestamp {
    /// The day, when the text is precise enough.
    #[must_use]
    pub fn date(&self) -> Option<Date> {
        (self.date_digits == 8).then_some(self.date)
    }

    /// The instant, when the text gives a time; without an offset, UTC is assumed.
    #[must_use]
    pub fn instant(&self) -> Option<OffsetDateTime> {
        let offset = self.offset.unwrap_or(UtcOffset::UTC);
        self.time.map(|time| PrimitiveDateTime::new(self.date, time).assume_offset(offset))
    }

    /// The form of XDS metadata: in UTC, to the second when there is a time (`AAAAMMJJhhmmss`), to the
    /// given precision otherwise.
    #[must_use]
    pub fn to_xds(&self) -> String {
        match self.instant() {
            Some(instant) => xds_utc(instant),
            None => {
                let full = digits_of(self.date);
                full[..usize::from(self.date_digits)].to_owned()
            }
        }
    }
}

/// An instant as XDS writes it: UTC, `AAAAMMJJhhmmss`.
pub(crate) fn xds_utc(instant: OffsetDateTime) -> String {
    // The offset may carry a date out of the calendar's range; such a date is left as it is.
    let utc = instant.checked_to_offset(UtcOffset::UTC).unwrap_or(instant);
    format!("{}{:02}{:02}{:02}", digits_of(utc.date()), utc.hour(), utc.minute(), utc.second())
}

fn digits_of(date: Date) -> String {
    format!("{:04}{:02}{:02}", date.year(), u8::from(date.month()), date.day())
}

impl FromStr for Timestamp {
    type Err = BadTimestamp;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Longest: 14 digits, a point, six decimals, a sign, four digits.
        if text.len() > 26 || !text.is_ascii() {
            return Err(BadTimestamp);
        }
        let (stamp, offset) = match text.find(['+', '-']) {
            Some(at) => (&text[..at], Some(offset(&text[at..])?)),
            None => (text, None),
        };
        let (stamp, fraction) = stamp.split_once('.').map_or((stamp, None), |(s, f)| (s, Some(f)));
        if fraction.is_some_and(|f| stamp.len() != 14 || f.is_empty() || !f.bytes().all(|b| b.is_ascii_digit())) {
            return Err(BadTimestamp);
        }
        if !matches!(stamp.len(), 4 | 6 | 8 | 10 | 12 | 14) || !stamp.bytes().all(|b| b.is_ascii_digit()) {
            return Err(BadTimestamp);
        }
        let pair =
            |at: usize| stamp.get(at..at + 2).map(|digits| digits.parse::<u8>().map_err(|_| BadTimestamp)).transpose();
        let year: i32 = stamp[..4].parse().map_err(|_| BadTimestamp)?;
        let month = Month::try_from(pair(4)?.unwrap_or(1)).map_err(|_| BadTimestamp)?;
        let date = Date::from_calendar_date(year, month, pair(6)?.unwrap_or(1)).map_err(|_| BadTimestamp)?;
        let time = match pair(8)? {
            Some(hour) => {
                let (minute, second) = (pair(10)?.unwrap_or(0), pair(12)?.unwrap_or(0));
                Some(Time::from_hms(hour, minute, second).map_err(|_| BadTimestamp)?)
            }
            None => None,
        };
        let date_digits = u8::try_from(stamp.len().min(8)).map_err(|_| BadTimestamp)?;
        Ok(Self { date, date_digits, time, offset })
    }
}

/// `+0100`, `-0330`, `+01`.
fn offset(text: &str) -> Result<UtcOffset, BadTimestamp> {
    let (sign, digits) = text.split_at(1);
    if !matches!(digits.len(), 2 | 4) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(BadTimestamp);
    }
    let sign = if sign == "-" { -1 } else { 1 };
    let number = |range: &str| range.parse::<i8>().map_err(|_| BadTimestamp);
    let hours = number(&digits[..2])?;
    let minutes = digits.get(2..).filter(|m| !m.is_empty()).map(number).transpose()?.unwrap_or(0);
    UtcOffset::from_hms(sign * hours, sign * minutes, 0).map_err(|_| BadTimestamp)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_xds())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_precision() {
        for (text, xds) in [
            ("20191203133000+0100", "20191203123000"),
            ("20191203133000.123456-0330", "20191203170000"),
            ("201912031330", "20191203133000"),
            ("2019120323-02", "20191204010000"),
            ("19790328", "19790328"),
            ("197903", "197903"),
            ("1979", "1979"),
        ] {
            assert_eq!(text.parse::<Timestamp>().expect(text).to_xds(), xds, "{text}");
        }
        assert_eq!("197903".parse::<Timestamp>().expect("month").date(), None);
    }

    #[test]
    fn refusals() {
        for bad in [
            "",
            "197",
            "19791",
            "19791301",
            "19790230",
            "1979032825",
            "2019120313300",
            "20191203+1",
            "20191203.5",
            "2019é",
        ] {
            assert_eq!(bad.parse::<Timestamp>(), Err(BadTimestamp), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "[0-9.+-]{0,28}") {
            if let Ok(stamp) = text.parse::<Timestamp>() {
                prop_assert!(stamp.to_xds().parse::<Timestamp>().is_ok());
            }
        }
    }
}
