//! What can be told of a command without its grammar: its tag, whether it is APPEND, whether a literal follows.

/// Longest tag, in octets: [`Tagged`](crate::command::Tagged) promises it.
pub(crate) const MAX_TAG: usize = 32;
/// Octets at the end of a line in which the announcement of a literal fits: `{`, 20 digits, `+`, `}`, CRLF and some zeros.
pub(super) const ANNOUNCEMENT: usize = 40;

/// A literal announced at the end of a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Announced {
    /// Octets; what does not fit a `u64` is the largest one, which no limit lets pass.
    pub size: u64,
    /// `{n}`: the client waits.
    pub synchronizing: bool,
    /// Where `{` stands.
    pub at: usize,
}

/// The literal announced at the end of `line`, which has no line end.
pub(super) fn announced(line: &[u8]) -> Option<Announced> {
    let inner = line.strip_suffix(b"}")?;
    let (inner, synchronizing) = match inner.strip_suffix(b"+") {
        Some(inner) => (inner, false),
        None => (inner, true),
    };
    let at = inner.iter().rposition(|b| !b.is_ascii_digit())?;
    let digits = &inner[at + 1..];
    if inner[at] != b'{' || digits.is_empty() {
        return None;
    }
    let size =
        digits.iter().try_fold(0u64, |n, d| n.checked_mul(10)?.checked_add(u64::from(d - b'0'))).unwrap_or(u64::MAX);
    Some(Announced { size, synchronizing, at })
}

/// Whether an octet may stand in a tag (RFC 3501 `tag`: ASTRING-CHAR but `+`).
pub(crate) fn is_tag_char(b: u8) -> bool {
    b.is_ascii_graphic() && !matches!(b, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\' | b'+')
}

/// The tag with which a command begins, if it has a valid one followed by a space or the end.
pub fn tag(command: &[u8]) -> Option<String> {
    let word = command.split(|b| matches!(b, b' ' | b'\r' | b'\n')).next()?;
    if word.is_empty() || word.len() > MAX_TAG || !word.iter().copied().all(is_tag_char) {
        return None;
    }
    // Every octet was seen to be ASCII.
    Some(word.iter().map(|b| char::from(*b)).collect())
}

/// What follows `tag SP word SP` at the start of a command, when `word` (any case) is the one given.
pub(super) fn after_word<'c>(command: &'c [u8], word: &[u8]) -> Option<&'c [u8]> {
    let space = command.iter().position(|b| *b == b' ')?;
    let rest = &command[space + 1..];
    let (first, rest) = rest.split_at_checked(word.len())?;
    (first.eq_ignore_ascii_case(word) && rest.first() == Some(&b' ')).then(|| &rest[1..])
}

/// Whether the literal announced at `at` is a message of APPEND or REPLACE, not the name of the folder.
pub(super) fn is_message(command: &[u8], at: usize) -> bool {
    // The name is the first argument of APPEND (`tag APPEND {`) and the second of REPLACE (`tag UID REPLACE 4 {`); anything
    // announced later is a message, or part of one.
    let name = after_word(command, b"APPEND").or_else(|| {
        let rest = after_word(command, b"REPLACE").or_else(|| {
            let rest = after_word(command, b"UID")?;
            let (word, rest) = rest.split_at_checked(b"REPLACE ".len())?;
            word.eq_ignore_ascii_case(b"REPLACE ").then_some(rest)
        })?;
        let space = rest.iter().position(|b| *b == b' ')?;
        Some(&rest[space + 1..])
    });
    name.is_some_and(|rest| at > command.len() - rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announcements() {
        let some = |size, synchronizing, at| Some(Announced { size, synchronizing, at });
        assert_eq!(announced(b"a {12}"), some(12, true, 2));
        assert_eq!(announced(b"a {12+}"), some(12, false, 2));
        assert_eq!(announced(b"{0}"), some(0, true, 0));
        assert_eq!(announced(b"~{7+}"), some(7, false, 1));
        assert_eq!(announced(b"{99999999999999999999999999}"), some(u64::MAX, true, 0));
        for none in [&b"a {}"[..], b"{+}", b"{-1}", b"{1-}", b"{1++}", b"12}", b"{1} ", b"\"x{1}\"", b"", b"}", b"{1 }"]
        {
            assert_eq!(announced(none), None);
        }
    }

    #[test]
    fn tags() {
        assert_eq!(tag(b"a.1] NOOP").as_deref(), Some("a.1]"));
        assert_eq!(tag(b"a1").as_deref(), Some("a1"));
        for none in
            [&b""[..], b" NOOP", b"+ NOOP", b"a+ NOOP", b"* NOOP", b"a\"b NOOP", b"\xe9 NOOP", b"a\0 NOOP", &[b'a'; 33]]
        {
            assert_eq!(tag(none), None);
        }
    }

    #[test]
    fn the_message_of_append() {
        let message = |command: &[u8]| is_message(command, announced(command).expect("a literal").at);
        assert!(!message(b"a append {5}"));
        assert!(message(b"a APPEND inbox {5}"));
        assert!(message(b"a APPEND {5}\r\ninbox {5}"));
        assert!(message(b"a APPEND inbox (\\Seen) ~{5+}"));
        assert!(message(b"a REPLACE 4 inbox {5}"));
        assert!(message(b"a uid replace 4 inbox ~{5}"));
        assert!(message(b"a REPLACE 4 {5}\r\ninbox {5}"));
        assert!(!message(b"a REPLACE 4 {5}"));
        assert!(!message(b"a UID REPLACE 4 {5}"));
        assert!(!message(b"a UID REPLACEX 4 inbox {5}"));
        assert!(!message(b"a APPENDX inbox {5}"));
        assert!(!message(b"a SELECT {5}"));
    }
}
