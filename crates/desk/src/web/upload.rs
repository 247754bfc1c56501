//! A form with a file (RFC 7578), read whole: one small file, a few fields.
//!
//! The fuzzer takes this very file (fuzz/fuzz_targets/desk_upload.rs); its tests are beside it, in `upload_tests.rs`.
//!
//! Invariant: nothing is read beyond [`LARGEST`] octets; what is not exactly of the form is refused.

/// Largest request: a signature with its certificates (256 KB) and the fields around it.
pub(crate) const LARGEST: usize = 300 * 1024;
/// Most parts.
pub(super) const MOST_PARTS: usize = 20;
/// Longest boundary (RFC 2046 §5.1.1).
const MAX_BOUNDARY: usize = 70;

/// A part of the form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part<'a> {
    /// The field.
    pub name: String,
    /// Its octets.
    pub octets: &'a [u8],
}

/// The boundary that a content type tells.
pub(super) fn boundary(content_type: &str) -> Option<String> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let value = parameters.split(';').find_map(|one| {
        let (name, value) = one.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"'))
    })?;
    let is_good = (1..=MAX_BOUNDARY).contains(&value.len()) && value.bytes().all(|octet| octet.is_ascii_graphic());
    is_good.then(|| value.to_owned())
}

/// The parts of a body; none when it is not a form of that boundary.
pub(super) fn parts<'a>(body: &'a [u8], boundary: &str) -> Option<Vec<Part<'a>>> {
    let opening = format!("--{boundary}");
    let between = format!("\r\n--{boundary}");
    let mut rest = body.strip_prefix(opening.as_bytes())?;
    let mut parts = Vec::new();
    loop {
        if rest.starts_with(b"--") {
            return Some(parts);
        }
        if parts.len() == MOST_PARTS {
            return None;
        }
        rest = rest.strip_prefix(b"\r\n")?;
        let end = find(rest, between.as_bytes())?;
        let part = &rest[..end];
        let head = find(part, b"\r\n\r\n")?;
        parts.push(Part { name: name(std::str::from_utf8(&part[..head]).ok()?)?, octets: &part[head + 4..] });
        rest = &rest[end + between.len()..];
    }
}

fn find(within: &[u8], what: &[u8]) -> Option<usize> {
    within.windows(what.len()).position(|window| window == what)
}

/// The name of a part's field.
fn name(head: &str) -> Option<String> {
    let value = head.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-disposition").then_some(value)
    })?;
    let mut words = value.split(';');
    if !words.next()?.trim().eq_ignore_ascii_case("form-data") {
        return None;
    }
    words.find_map(|word| Some(word.trim().strip_prefix("name=\"")?.strip_suffix('"')?.to_owned()))
}
