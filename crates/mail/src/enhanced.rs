//! Enhanced status codes (RFC 3463): in replies of SMTP and in reports of delivery.

use std::fmt;
use std::str::FromStr;

/// An enhanced status code: class, subject, detail; `5.1.1`.
///
/// What is read has the class 2, 4 or 5 and numbers of at most three digits; what is made by hand is trusted to.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Enhanced(pub u8, pub u16, pub u16);

impl fmt::Display for Enhanced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

impl fmt::Debug for Enhanced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not an enhanced status code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an enhanced status code")]
pub struct NotEnhanced;

impl FromStr for Enhanced {
    type Err = NotEnhanced;

    fn from_str(text: &str) -> Result<Self, NotEnhanced> {
        let mut numbers = text.split('.').map(|part| {
            let plain = (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
            plain.then(|| part.parse::<u16>().ok()).flatten().ok_or(NotEnhanced)
        });
        let mut next = || numbers.next().unwrap_or(Err(NotEnhanced));
        let (class, subject, detail) = (next()?, next()?, next()?);
        let class = match class {
            2 => 2,
            4 => 4,
            5 => 5,
            _ => return Err(NotEnhanced),
        };
        if numbers.next().is_some() { Err(NotEnhanced) } else { Ok(Enhanced(class, subject, detail)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_in_bounds() {
        for bad in
            ["", "5", "5.1", "5.1.1.1", "3.1.1", "5.1000.1", "5.1.1234", "5..1", "+5.1.1", "5.+1.1", "5.1.-1", "5.1.1 "]
        {
            assert_eq!(bad.parse::<Enhanced>(), Err(NotEnhanced), "{bad}");
        }
        assert_eq!("4.2.02".parse(), Ok(Enhanced(4, 2, 2)));
        assert_eq!(Enhanced(5, 7, 13).to_string(), "5.7.13");
    }
}
