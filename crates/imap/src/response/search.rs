//! SEARCH (RFC 3501 §7.2.5) and ESEARCH (RFC 4731 §3).

use mail::sequence::Ranges;

use super::text::{put, quoted};
use crate::command::Numbers;

/// What ESEARCH tells; what is `None` is not told. RFC 4731 §3.1: MIN, MAX and ALL are left out when nothing was found,
/// COUNT is not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Esearch<'a> {
    /// The lowest number.
    pub min: Option<u32>,
    /// The highest number.
    pub max: Option<u32>,
    /// All numbers; not told when empty, which no sequence set can be.
    pub all: Option<&'a Ranges>,
    /// How many.
    pub count: Option<u64>,
}

/// The old SEARCH response.
pub fn search(out: &mut Vec<u8>, numbers: impl IntoIterator<Item = u32>) {
    out.extend_from_slice(b"* SEARCH");
    for n in numbers {
        put(out, format_args!(" {n}"));
    }
    out.extend_from_slice(b"\r\n");
}

/// The ESEARCH response to the command with that tag.
pub fn esearch(out: &mut Vec<u8>, tag: &str, numbers: Numbers, found: &Esearch<'_>) {
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
    if let Some(all) = found.all.filter(|all| !all.is_empty()) {
        put(out, format_args!(" ALL {all}"));
    }
    if let Some(count) = found.count {
        put(out, format_args!(" COUNT {count}"));
    }
    out.extend_from_slice(b"\r\n");
}
