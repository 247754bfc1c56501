//! SEARCH, SORT (RFC 3501 §7.2.5, RFC 5256 §4) and ESEARCH (RFC 4731 §3, RFC 7162, RFC 9394), piece by piece: whoever tells a
//! long list writes out between the numbers.

use std::fmt;

use mail::ModSeq;

use super::text::{decimal, put, quoted};
use crate::command::{Numbers, Window};

/// Numbers in an order that means something, as IMAP writes it: runs that go up by one as ranges. Of ascending numbers that
/// is their shortest sequence set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runs(Vec<(u32, u32)>);

impl Runs {
    /// The runs.
    pub fn iter(&self) -> impl Iterator<Item = Run> + '_ {
        self.0.iter().map(|(from, to)| Run(*from, *to))
    }

    /// Adds numbers that follow each other, after those there are.
    pub fn push(&mut self, from: u32, to: u32) {
        match self.0.last_mut() {
            Some((_, end)) if end.checked_add(1) == Some(from) => *end = to,
            _ => self.0.push((from, to)),
        }
    }

    /// Whether there is no number.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<u32> for Runs {
    fn from_iter<I: IntoIterator<Item = u32>>(numbers: I) -> Self {
        let mut runs = Runs::default();
        numbers.into_iter().for_each(|n| runs.push(n, n));
        runs
    }
}

/// A number, or a range of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run(u32, u32);

impl Run {
    /// Appends it.
    pub fn write(self, out: &mut Vec<u8>) {
        decimal(out, self.0.into());
        if self.0 != self.1 {
            out.push(b':');
            decimal(out, self.1.into());
        }
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == self.1 { write!(f, "{}", self.0) } else { write!(f, "{}:{}", self.0, self.1) }
    }
}

/// Writes numbers, each after a space: quickly those that are a little more than the one before, of which the last digit alone is
/// another. Fifty thousand numbers are most of what a search of everything costs.
#[derive(Clone, Copy, Debug)]
pub struct NumberWriter {
    /// The last number, and how many more have its other digits.
    last: u32,
    left: u32,
    /// The octets written for it, the first in the lowest, and how many.
    octets: u64,
    count: usize,
}

impl Default for NumberWriter {
    fn default() -> Self {
        // Further from every number it writes than any digit is from nine.
        NumberWriter { last: u32::MAX, left: 0, octets: 0, count: 0 }
    }
}

impl NumberWriter {
    /// Appends the numbers from one to another, both included.
    #[inline]
    pub fn write(&mut self, out: &mut Vec<u8>, from: u32, to: u32) {
        let mut next = Some(from).filter(|from| *from <= to);
        while let Some(number) = next {
            if number > MOST {
                out.push(b' ');
                decimal(out, number.into());
                next = number.checked_add(1).filter(|next| *next <= to);
                continue;
            }
            let more = number.wrapping_sub(self.last);
            if more > self.left {
                self.begin(number);
            } else {
                self.octets += u64::from(more) << (8 * (self.count - 1));
                self.left -= more;
                self.last = number;
            }
            // All of these have the same length and other last digits.
            let same = self.left.min(to - number);
            for _ in 0..same {
                self.put(out);
                self.octets += 1 << (8 * (self.count - 1));
            }
            self.put(out);
            self.left -= same;
            self.last = number + same;
            next = Some(self.last + 1).filter(|next| *next <= to);
        }
    }

    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        let end = out.len() + self.count;
        out.extend_from_slice(&self.octets.to_le_bytes());
        out.truncate(end);
    }

    fn begin(&mut self, number: u32) {
        let mut digits = [0; 8];
        let (mut at, mut rest) = (digits.len(), number);
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        // At most seven digits: there is an octet before them.
        at -= 1;
        digits[at] = b' ';
        *self = NumberWriter {
            last: number,
            left: 9 - number % 10,
            octets: u64::from_le_bytes(digits) >> (8 * at),
            count: 8 - at,
        };
    }
}

/// Numbers up to this fit eight octets with their space; larger ones are written one by one.
const MOST: u32 = 9_999_999;

/// What ESEARCH tells beside the lists; what is `None` is not told. RFC 4731 §3.1: MIN and MAX are left out when nothing was
/// found, COUNT is not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Esearch {
    /// The lowest number, or the first in the order of SORT.
    pub min: Option<u32>,
    /// The highest number, or the last.
    pub max: Option<u32>,
    /// How many.
    pub count: Option<u64>,
    /// The highest mod-sequence of what is told (RFC 7162 §3.1.10).
    pub modseq: Option<ModSeq>,
}

/// The beginning of the ESEARCH response to the command with that tag: all but lists and the line end.
pub fn esearch(out: &mut Vec<u8>, tag: &str, numbers: Numbers, found: &Esearch) {
    out.extend_from_slice(b"* ESEARCH (TAG ");
    quoted(out, tag);
    out.push(b')');
    if numbers == Numbers::Uid {
        out.extend_from_slice(b" UID");
    }
    if let Some(min) = found.min {
        put(out, format_args!(" MIN {min}"));
    }
    if let Some(max) = found.max {
        put(out, format_args!(" MAX {max}"));
    }
    if let Some(count) = found.count {
        put(out, format_args!(" COUNT {count}"));
    }
    if let Some(ModSeq(modseq)) = found.modseq {
        put(out, format_args!(" MODSEQ {modseq}"));
    }
}

/// The name of a list of ESEARCH and what stands before its numbers; `None` is ALL.
pub fn esearch_list(out: &mut Vec<u8>, window: Option<Window>) {
    match window {
        None => out.extend_from_slice(b" ALL "),
        Some(window) => put(out, format_args!(" PARTIAL ({window} ")),
    }
}
