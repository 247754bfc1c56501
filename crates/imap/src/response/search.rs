//! SEARCH, SORT (RFC 3501 §7.2.5, RFC 5256 §4) and ESEARCH (RFC 4731 §3, RFC 7162, RFC 9394), piece by piece: whoever tells a
//! long list writes out between the numbers.

use std::fmt;

use mail::ModSeq;

use super::text::{put, quoted};
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

    /// Whether there is no number.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<u32> for Runs {
    fn from_iter<I: IntoIterator<Item = u32>>(numbers: I) -> Self {
        let mut runs: Vec<(u32, u32)> = Vec::new();
        for n in numbers {
            match runs.last_mut() {
                Some((_, end)) if end.checked_add(1) == Some(n) => *end = n,
                _ => runs.push((n, n)),
            }
        }
        Runs(runs)
    }
}

/// A number, or a range of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run(u32, u32);

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == self.1 { write!(f, "{}", self.0) } else { write!(f, "{}:{}", self.0, self.1) }
    }
}

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
