//! What hostile input meets: limits, broken commands, any octets.

use proptest::prelude::*;

use super::tests::{read, refuse};
use super::*;

#[test]
fn nesting_is_bounded() {
    let nested = |open: &str, close: &str, n: usize| format!("SEARCH {}ALL{}", open.repeat(n), close.repeat(n));
    for (open, close, each) in
        [("(", ")", 1), ("NOT ", "", 1), ("OR ALL ", "", 1), ("OR ", " ALL", 1), ("NOT (", ")", 2)]
    {
        read(&nested(open, close, MAX_DEPTH / each));
        assert_eq!(refuse(nested(open, close, MAX_DEPTH / each + 1).as_bytes()), ErrorKind::TooDeep, "{open}");
        assert_eq!(refuse(nested(open, close, 100_000).as_bytes()), ErrorKind::TooDeep, "{open}");
    }
    assert_eq!(refuse(&[&b"SEARCH "[..], &b"(".repeat(1_000_000)].concat()), ErrorKind::TooDeep);
    let wide = |n: usize| format!("SEARCH {}", vec!["ALL"; n].join(" "));
    read(&wide(MAX_KEYS));
    assert_eq!(refuse(wide(MAX_KEYS + 1).as_bytes()), ErrorKind::TooMany("search keys"));
    let ranges = format!("SEARCH {}", vec!["1"; 20_001].join(","));
    assert_eq!(refuse(ranges.as_bytes()), ErrorKind::TooMany("ranges in the sequence set"));
}

/// Commands to break.
const SAMPLES: [&[u8]; 9] = [
    b"a SEARCH RETURN (MIN) CHARSET UTF-8 OR (NOT FROM {3+}\r\nabc SINCE 1-Feb-1994) HEADER \"x\" y UID 1:*,4",
    b"a FETCH 1:* (BODY.PEEK[1.2.HEADER.FIELDS.NOT (Date \"x\")]<1.2> FLAGS RFC822.SIZE)",
    b"a APPEND {1}\r\nx (\\Seen k) \"17-Jul-1996 02:44:25 -0700\" {310+}",
    b"a LIST (SUBSCRIBED) \"\" (\"a\" %) RETURN (STATUS (MESSAGES SIZE))",
    b"a UID STORE 1,2 +FLAGS.SILENT (\\Seen $x)",
    b"a ID (\"name\" \"x\" \"version\" NIL)",
    b"a CREATE &AOk- (USE (\\Sent))",
    b"a AUTHENTICATE XOAUTH2 AAAA==",
    b"a UID MOVE 1:2 \"b\\\"c\"",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_octets(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&octets);
    }

    #[test]
    fn any_words(text in "a ((UID )?(SEARCH|FETCH|STORE|APPEND|LIST|ID|STATUS|CREATE|SELECT))( [-A-Z0-9()\\[\\]<>{}+*%.:,\"\\\\\r\n]{0,12}){0,6}") {
        let _ = parse(text.as_bytes());
    }

    /// A command with one octet changed, taken out or put in is understood or refused, with its tag.
    #[test]
    fn broken_samples(sample in 0..SAMPLES.len(), at in 2usize..200, octet in any::<u8>(), how in 0..3) {
        let mut text = SAMPLES[sample].to_vec();
        prop_assert!(parse(&text).is_ok());
        let at = 2 + at % (text.len() - 2);
        match how {
            0 => text[at] = octet,
            1 => { text.remove(at); }
            _ => text.insert(at, octet),
        }
        match parse(&text) {
            Ok(read) => prop_assert_eq!(read.tag, "a"),
            Err(error) => prop_assert_eq!(error.tag.as_deref(), Some("a")),
        }
        let _ = parse(&text[..at]);
    }

    /// NUL, a lone CR and a lone LF are let through nowhere but in what LOGIN carries, which nobody reads.
    #[test]
    fn control_characters(sample in 0..SAMPLES.len(), at in 0usize..200, octet in prop_oneof![Just(0u8), Just(b'\r'), Just(b'\n')]) {
        let mut text = SAMPLES[sample].to_vec();
        // A literal may hold CR and LF.
        let literals = text.windows(2).any(|w| w == b"\r\n");
        prop_assume!(!literals || octet == 0);
        let at = at % (text.len() + 1);
        text.insert(at, octet);
        prop_assert!(parse(&text).is_err());
    }
}
