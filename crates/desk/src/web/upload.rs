//! A form with a file (RFC 7578), read whole: one small file, a few fields.
//!
//! Invariant: nothing is read beyond [`LARGEST`] octets; what is not exactly of the form is refused.

/// Largest request: a signature with its certificates (256 KB) and the fields around it.
pub(crate) const LARGEST: usize = 300 * 1024;
/// Most parts.
const MOST_PARTS: usize = 20;
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn form(fields: &[(&str, &[u8])], boundary: &str) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, octets) in fields {
            out.extend(format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"f.p7s\"\r\nContent-Type: application/x\r\n\r\n").bytes());
            out.extend_from_slice(octets);
            out.extend(b"\r\n");
        }
        out.extend(format!("--{boundary}--\r\n").bytes());
        out
    }

    #[test]
    fn boundaries() {
        assert_eq!(boundary("multipart/form-data; boundary=----WebKit1").as_deref(), Some("----WebKit1"));
        assert_eq!(boundary("Multipart/Form-Data; charset=utf-8; boundary=\"a b\""), None);
        assert_eq!(boundary("multipart/form-data; boundary=\"ab\"").as_deref(), Some("ab"));
        for bad in [
            "",
            "multipart/form-data",
            "text/plain; boundary=a",
            "multipart/form-data; boundary=",
            &format!("multipart/form-data; boundary={}", "x".repeat(71)),
        ] {
            assert_eq!(boundary(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_no_form_is_refused() {
        let good = form(&[("cle", b"k"), ("fichier", b"\x30\x82\r\n--b")], "bb");
        let read = parts(&good, "bb").expect("a form");
        assert_eq!((read[0].name.as_str(), read[1].octets), ("cle", &b"\x30\x82\r\n--b"[..]));
        for cut in 0..good.len() - 4 {
            assert_eq!(parts(&good[..cut], "bb"), None, "cut at {cut}");
        }
        assert_eq!(parts(&good, "cc"), None);
        assert_eq!(parts(b"--bb\r\n\r\n\r\n--bb--", "bb"), None, "without a name");
        let many: Vec<(&str, &[u8])> = vec![("a", b""); MOST_PARTS + 1];
        assert_eq!(parts(&form(&many, "bb"), "bb"), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(values in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 0..6)) {
            let fields: Vec<(&str, &[u8])> = values.iter().map(|octets| ("n", octets.as_slice())).collect();
            let octets = form(&fields, "une-limite-que-rien-ne-contient");
            let read = parts(&octets, "une-limite-que-rien-ne-contient").expect("a form");
            prop_assert_eq!(read.iter().map(|part| part.octets.to_vec()).collect::<Vec<_>>(), values);
        }

        #[test]
        fn nothing_panics(body in proptest::collection::vec(prop_oneof![Just(b'-'), Just(b'a'), Just(b'\r'), Just(b'\n'), any::<u8>()], 0..200)) {
            let _ = parts(&body, "a");
        }
    }
}
