//! The scanner against hand-made messages, its invariants on any bytes, and `mail-parser` on well-formed messages.

use super::*;
use crate::header::Address;
use proptest::prelude::*;
use std::ops::Range;

fn scan(message: &[u8], chunk: usize, limits: Limits) -> Structure {
    let mut scanner = Scanner::new(limits);
    for piece in message.chunks(chunk.max(1)) {
        scanner.push(piece);
    }
    scanner.finish()
}

fn slice<'m>(message: &'m [u8], range: &Range<u64>) -> &'m [u8] {
    &message[usize::try_from(range.start).expect("small")..usize::try_from(range.end).expect("small")]
}

/// The bodies of the leaves, in order.
fn leaves<'m>(message: &'m [u8], part: &Part, out: &mut Vec<(String, &'m str)>) {
    match &part.content {
        Content::Leaf => out.push((
            format!("{}/{}", part.media_type, part.subtype),
            std::str::from_utf8(slice(message, &part.body)).expect("UTF-8"),
        )),
        Content::Multipart(parts) => parts.iter().for_each(|p| leaves(message, p, out)),
        Content::Message(inner) => leaves(message, &inner.root, out),
    }
}

fn leaves_of(message: &str) -> Vec<(String, &str)> {
    let mut out = Vec::new();
    leaves(message.as_bytes(), &Structure::of(message.as_bytes()).root, &mut out);
    out
}

fn pairs<'a>(list: &[(&str, &'a str)]) -> Vec<(String, &'a str)> {
    list.iter().map(|(a, b)| ((*a).to_owned(), *b)).collect()
}

#[test]
fn a_simple_message() {
    let message = "From: =?utf-8?Q?L=C3=A9a?= <l@a.fr>\r\nTo: x@b, y@c\r\nTo: z@d\r\nSubject: a\r\n\tb\r\nMessage-ID: <1@a>\r\n\
        Date: Fri, 21 Nov 1997 09:55:06 -0600\r\nContent-Type: TEXT/Plain; Charset=UTF-8\r\nContent-Transfer-Encoding: 8BIT\r\n\
        Content-Language: fr, en\r\nContent-Disposition: Inline; filename=\"a b.txt\"\r\n\r\nl1\r\nl2\r\n";
    let s = Structure::of(message.as_bytes());
    assert_eq!(s.envelope.subject.as_deref(), Some("a\tb"));
    assert_eq!(s.envelope.to.len(), 3);
    assert_eq!(s.envelope.sender, s.envelope.from);
    assert_eq!(s.envelope.reply_to, s.envelope.from);
    let name = Some("=?utf-8?Q?L=C3=A9a?=".to_owned());
    assert_eq!(s.envelope.from, [Address::Mailbox { name, route: None, local: "l".into(), domain: "a.fr".into() }]);
    assert_eq!(s.sent.map(|m| (m.unix, m.offset_minutes)), Some((880_127_706, -360)));
    assert!(s.root.is("text", "plain") && s.root.is_text());
    assert_eq!((s.root.lines, s.root.size(), &*s.root.encoding), (2, 8, "8bit"));
    assert_eq!(s.root.params, [Param { name: "Charset".into(), value: "UTF-8".into() }]);
    assert_eq!(s.root.param("charset").as_deref(), Some("UTF-8"));
    assert_eq!(s.root.filename().as_deref(), Some("a b.txt"));
    assert_eq!(s.root.languages, ["fr", "en"]);
    assert_eq!(s.root.disposition.as_ref().map(|d| &*d.kind), Some("inline"));
    assert!(s.encode().len() < 400, "{}", s.encode().len());
}

#[test]
fn boundaries() {
    let head = "Content-Type: multipart/mixed; boundary=\"b\"\r\n\r\n";
    for (body, wanted) in [
        (
            "pre\r\n--b\r\n\r\none\r\n--b\r\nContent-Type: a/b\r\n\r\ntwo\r\n\r\n--b--\r\nepi\r\n--b\r\n\r\nno",
            &[("text/plain", "one"), ("a/b", "two\r\n")][..],
        ),
        // Missing last boundary; boundary with blanks; a boundary that begins like it.
        ("--b \t\r\n\r\none\r\n--bb\r\n-- b\r\n--b- -", &[("text/plain", "one\r\n--bb\r\n-- b\r\n--b- -")]),
        // LF only.
        ("--b\n\none\n--b\n\ntwo\n--b--\n", &[("text/plain", "one"), ("text/plain", "two")]),
        // Empty parts: no header end, nothing at all, nothing after the boundary.
        (
            "--b\r\nContent-Type: a/b\r\n--b\r\n--b\r\n\r\n--b",
            &[("a/b", ""), ("text/plain", ""), ("text/plain", ""), ("text/plain", "")],
        ),
        // No part: what is there is text.
        ("nothing\r\n--c\r\n", &[("text/plain", "nothing\r\n--c\r\n")]),
        ("--b--\r\nnothing", &[("text/plain", "--b--\r\nnothing")]),
    ] {
        assert_eq!(leaves_of(&format!("{head}{body}")), pairs(wanted), "{body}");
    }
    assert_eq!(leaves_of("Content-Type: multipart/mixed\r\n\r\nx"), pairs(&[("text/plain", "x")]));
    assert_eq!(leaves_of("Content-Type: nonsense\r\n\r\nx"), pairs(&[("text/plain", "x")]));
}

#[test]
fn nested_boundaries() {
    // The inner boundary begins like the outer one, the inner multipart has no last boundary.
    let message = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: multipart/alternative; boundary=bb\r\n\r\n\
        --bb\r\n\r\n1\r\n--bb\r\nContent-Type: text/html\r\n\r\n2\r\n--b\r\n\r\n3\r\n--b--\r\n";
    assert_eq!(leaves_of(message), pairs(&[("text/plain", "1"), ("text/html", "2"), ("text/plain", "3")]));
    // The same boundary twice: the inner one ends first.
    let message = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
        --b\r\n\r\n1\r\n--b--\r\n--b\r\n\r\n2\r\n--b--\r\n";
    assert_eq!(leaves_of(message), pairs(&[("text/plain", "1"), ("text/plain", "2")]));
}

#[test]
fn embedded_messages() {
    let digest = "Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: in\r\n\r\n1\r\n--b\r\nContent-Type: text/x\r\n\r\n2\r\n--b--";
    let s = Structure::of(digest.as_bytes());
    let [first, second] = s.root.children() else { panic!("two parts") };
    assert!(matches!(&first.content, Content::Message(m) if m.envelope.subject.as_deref() == Some("in")));
    assert!(first.is("message", "rfc822") && second.is("text", "x"));
    // The empty line that ends the inner header is also the line end of the boundary: ranges stay nested.
    let message = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\n--b--";
    check(message.as_bytes(), &Structure::of(message.as_bytes()));
    let encoded = "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nU3ViamVjdDogaW4=\r\n";
    let root = Structure::of(encoded.as_bytes()).root;
    assert!(root.content == Content::Leaf && root.is("application", "octet-stream"));
}

#[test]
fn limits_hold() {
    let deep = "Content-Type: message/rfc822\r\n\r\n".repeat(5000);
    let mut s = &Structure::of(deep.as_bytes());
    let mut depth = 1;
    while let Content::Message(inner) = &s.root.content {
        (s, depth) = (inner, depth + 1);
    }
    assert_eq!(depth, Limits::default().depth);
    assert!(s.root.is("application", "octet-stream"));

    let many = format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{}", "--b\r\n\r\nx\r\n".repeat(3000));
    let s = Structure::of(many.as_bytes());
    assert_eq!(s.root.children().len(), Limits::default().parts - 1);
    let last = s.root.children().last().expect("many");
    assert!(last.is("application", "octet-stream"));
    assert_eq!(last.body.end, many.len() as u64);

    let large = format!("To: {}\r\nSubject: after\r\n\r\nbody", "a@b,".repeat(100_000));
    let s = Structure::of(large.as_bytes());
    assert!(s.envelope.to.len() <= 4000 && s.envelope.subject.is_none());
    assert_eq!(s.root.size(), 4);

    let heavy = format!(
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n{}",
        format!("--b\r\nContent-Description: {}\r\n\r\n", "d".repeat(60_000)).repeat(100)
    );
    assert!(Structure::of(heavy.as_bytes()).encode().len() < 1_200_000);
}

#[test]
fn decoding_refuses_damage() {
    let s = Structure::of(b"Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n1\r\n--b--\r\n");
    let good = s.encode();
    for cut in 0..good.len() {
        assert!(Structure::decode(&good[..cut]).is_err());
    }
    assert_eq!(Structure::decode(&[&good[..], &[0]].concat()), Err(DecodeError::Damaged));
    assert_eq!(Structure::decode(&[&[9], &good[1..]].concat()), Err(DecodeError::Version(9)));
}

/// The invariants of the module.
fn check(message: &[u8], s: &Structure) {
    fn part(p: &Part, within: &Range<u64>) {
        assert!(p.header.start <= p.header.end && p.header.end == p.body.start && p.body.start <= p.body.end, "{p:?}");
        assert!(within.start <= p.header.start && p.body.end <= within.end, "{p:?} not within {within:?}");
        assert_eq!(p.media_type == "multipart", matches!(p.content, Content::Multipart(_)));
        assert_eq!(p.is("message", "rfc822"), matches!(p.content, Content::Message(_)));
        match &p.content {
            Content::Leaf => {}
            Content::Multipart(parts) => {
                assert!(!parts.is_empty());
                for pair in parts.windows(2) {
                    assert!(pair[0].body.end <= pair[1].header.start);
                }
                parts.iter().for_each(|child| part(child, &p.body));
            }
            Content::Message(inner) => {
                assert_eq!(inner.root.header.start..inner.root.body.end, p.body);
                part(&inner.root, &p.body);
            }
        }
    }
    fn lines(message: &[u8], p: &Part) {
        assert_eq!(p.lines, slice(message, &p.body).iter().filter(|b| **b == b'\n').count() as u64, "{p:?}");
        match &p.content {
            Content::Leaf => {}
            Content::Multipart(parts) => parts.iter().for_each(|child| lines(message, child)),
            Content::Message(inner) => lines(message, &inner.root),
        }
    }
    assert_eq!(s.root.header.start..s.root.body.end, 0..message.len() as u64);
    part(&s.root, &(0..message.len() as u64));
    lines(message, &s.root);
    let encoded = s.encode();
    assert_eq!(Structure::decode(&encoded).as_ref(), Ok(s));
    // What is borrowed says the same.
    let borrowed = Structure::borrow(&encoded).expect("just encoded");
    assert_eq!((borrowed.size(), borrowed.sent), (s.size(), s.sent));
    assert_eq!(borrowed.root.params.len(), s.root.params.len());
    let (envelope, sent) = Envelope::borrow(&encoded).expect("just encoded");
    assert_eq!((&envelope, sent), (&borrowed.envelope, s.sent));
    assert_eq!(envelope.subject, s.envelope.subject.as_deref());
    assert_eq!(envelope.references, s.envelope.references.as_deref());
    assert_eq!(envelope.to.len(), s.envelope.to.len());
}

/// Lines that make interesting messages.
fn messy() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        Just("--b"),
        Just("--b--"),
        Just("--bb"),
        Just("--bb--"),
        Just("--b  "),
        Just(""),
        Just(""),
        Just("text"),
        Just("Content-Type: multipart/mixed; boundary=b"),
        Just("Content-Type: multipart/digest; boundary=bb"),
        Just("Content-Type: message/rfc822"),
        Just("Content-Type: text/html; charset=x; n*0*=a"),
        Just("Content-Transfer-Encoding: base64"),
        Just("From: a <b@c>, d: e;"),
        Just("Subject: x"),
        Just(" folded"),
        Just("-"),
        Just("\r"),
    ];
    let eol = prop_oneof![8 => Just("\r\n"), 2 => Just("\n"), 1 => Just("\r"), 1 => Just("")];
    proptest::collection::vec((line, eol), 0..60)
        .prop_map(|lines| lines.into_iter().flat_map(|(l, e)| [l, e].concat().into_bytes()).collect())
}

proptest! {
    #[test]
    fn invariants_on_messy_messages(body in messy(), chunk in 1usize..40, depth in 1usize..6, parts in 1usize..12) {
        let message = [b"Content-Type: multipart/mixed; boundary=b\r\n\r\n", &body[..]].concat();
        for message in [&message, &body] {
            for limits in [Limits::default(), Limits { depth, parts, header: 64, budget: 2000 }] {
                let whole = scan(message, usize::MAX, limits);
                check(message, &whole);
                prop_assert_eq!(&scan(message, chunk, limits), &whole);
                prop_assert_eq!(&scan(message, 1, limits), &whole);
            }
        }
    }

    #[test]
    fn any_bytes_have_a_structure(message: Vec<u8>, chunk in 1usize..9) {
        let whole = Structure::of(&message);
        check(&message, &whole);
        prop_assert_eq!(scan(&message, chunk, Limits::default()), whole);
        let _ = Structure::decode(&message);
    }

    #[test]
    fn damaged_records_never_panic(body in messy(), at in 0usize..400, octet: u8) {
        let mut record = Structure::of(&body).encode();
        let at = at % record.len();
        record[at] = octet;
        if let Ok(s) = Structure::decode(&record) { let _ = s.encode(); }
    }

    #[test]
    fn long_lines_do_not_depend_on_chunks(length in 500usize..530, crlf: bool, chunk in 1usize..600) {
        let eol = if crlf { "\r\n" } else { "\n" };
        let message = format!("Content-Type: multipart/mixed; boundary=b\n\n--b\n\n{}{eol}--b{}{eol}--b--", "x".repeat(length), " ".repeat(length));
        let s = scan(message.as_bytes(), chunk, Limits::default());
        check(message.as_bytes(), &s);
        prop_assert_eq!(s, Structure::of(message.as_bytes()));
    }
}

/// A well-formed entity; boundaries are unique by their number.
#[derive(Clone, Debug)]
enum Entity {
    Text(String),
    Binary(Vec<u8>),
    Multipart(Vec<Entity>),
    Message(Box<Entity>),
}

impl Entity {
    fn write(&self, out: &mut String, next: &mut u32) {
        use base64::Engine;
        match self {
            Entity::Text(text) => out.push_str(&format!("Content-Type: text/plain; charset=utf-8\r\n\r\n{text}")),
            Entity::Binary(octets) => out.push_str(&format!(
                "Content-Type: application/pdf; name=\"a.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\n{}",
                base64::engine::general_purpose::STANDARD.encode(octets)
            )),
            Entity::Multipart(parts) => {
                *next += 1;
                let boundary = format!("=_{next}_");
                out.push_str(&format!("Content-Type: multipart/mixed;\r\n boundary=\"{boundary}\"\r\n\r\n"));
                for part in parts {
                    out.push_str(&format!("--{boundary}\r\n"));
                    part.write(out, next);
                    out.push_str("\r\n");
                }
                out.push_str(&format!("--{boundary}--\r\n"));
            }
            Entity::Message(inner) => {
                out.push_str("Content-Type: message/rfc822\r\n\r\nSubject: inner\r\nMIME-Version: 1.0\r\n");
                inner.write(out, next);
            }
        }
    }
}

fn entity() -> impl Strategy<Value = Entity> {
    let leaf = prop_oneof![
        "[a-z é]{1,20}(\r\n[a-z-]{1,9}){0,3}".prop_map(Entity::Text),
        proptest::collection::vec(any::<u8>(), 1..60).prop_map(Entity::Binary),
    ];
    leaf.prop_recursive(4, 20, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 1..4).prop_map(Entity::Multipart),
            // mail-parser 0.11.9 panics on a message that is itself `message/rfc822` inside a multipart.
            inner.prop_map(|e| match e {
                Entity::Message(_) => Entity::Message(Box::new(Entity::Multipart(vec![e]))),
                other => Entity::Message(Box::new(other)),
            }),
        ]
    })
}

/// Type and raw body of the leaves as `mail-parser` sees them.
fn other_leaves<'m>(message: &mail_parser::Message<'m>, raw: &'m [u8], out: &mut Vec<(String, &'m str)>) {
    use mail_parser::{MimeHeaders, PartType};
    for part in &message.parts {
        match &part.body {
            PartType::Multipart(_) => {}
            PartType::Message(inner) => other_leaves(inner, raw, out),
            _ => {
                let ct = part.content_type().expect("every generated leaf has a type");
                let kind = format!("{}/{}", ct.ctype(), ct.subtype().unwrap_or_default());
                let body = &raw[part.raw_body_offset() as usize..part.raw_end_offset() as usize];
                out.push((kind, std::str::from_utf8(body).expect("UTF-8")));
            }
        }
    }
}

proptest! {
    #[test]
    fn agrees_with_mail_parser(entity in entity()) {
        let mut text = "From: a@b\r\nSubject: outer\r\nMIME-Version: 1.0\r\n".to_owned();
        entity.write(&mut text, &mut 0);
        let s = Structure::of(text.as_bytes());
        check(text.as_bytes(), &s);
        let mut ours = Vec::new();
        leaves(text.as_bytes(), &s.root, &mut ours);
        let parsed = mail_parser::MessageParser::default().parse(text.as_bytes()).expect("well formed");
        let mut theirs = Vec::new();
        other_leaves(&parsed, text.as_bytes(), &mut theirs);
        prop_assert_eq!(ours, theirs, "{}", text);
    }
}

/// Structures kept before References were (version 1) are read as they were.
#[test]
fn the_first_version_is_read() {
    let new = Structure::of(b"Subject: x\r\nContent-Type: text/plain\r\n\r\ny\r\n");
    let mut old = new.encode();
    // No Date, Subject, no In-Reply-To, no Message-ID, no References.
    assert_eq!(old[..7], [2, 0, 2, b'x', 0, 0, 0]);
    old.remove(6);
    old[0] = 1;
    assert_eq!(Structure::decode(&old), Ok(new));
    let s = Structure::of(b"References: <a@b>\r\n <c@d>\r\nReferences: <not@this>\r\n\r\n");
    assert_eq!(s.envelope.references.as_deref(), Some("<a@b> <c@d>"));
    assert_eq!(Structure::decode(&s.encode()), Ok(s));
}
