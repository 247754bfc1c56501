//! What is written: the examples of the RFCs, and that another codec reads it back.

use imap_codec::ResponseCodec;
use imap_codec::decode::Decoder;
use imap_codec::imap_types::core::{IString, NString};
use imap_codec::imap_types::fetch::MessageDataItem;
use imap_codec::imap_types::response::{Data, Response};
use mail::header::Address;
use mail::mime::{Envelope, Structure};
use mail::{FolderName, ModSeq, Uid};
use proptest::prelude::*;

use super::*;
use crate::command::{Numbers, Rfc822, Section, SectionText, StatusItem, Window};
use crate::parse::Names;

fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).expect("UTF-8 here")
}

fn read_back(octets: &[u8]) -> Response<'_> {
    match ResponseCodec::default().decode(octets) {
        Ok((b"", response)) => response,
        other => panic!("{}: {other:?}", octets.escape_ascii()),
    }
}

#[test]
fn strings_fit_or_become_literals() {
    let s = |text: &str| written(|out| string(out, text.as_bytes()));
    assert_eq!(s("a \"b\\"), "\"a \\\"b\\\\\"");
    assert_eq!(s(""), "\"\"");
    assert_eq!(s("é"), "{2}\r\né");
    assert_eq!(s("a\r\n* BYE"), "{8}\r\na\r\n* BYE");
    assert_eq!(s("a\0b\t"), "{4}\r\na?b\t");
    assert!(s(&"x".repeat(1001)).starts_with("{1001}\r\n"));
    assert_eq!(written(|out| nstring(out, None::<&str>)), "NIL");
    assert_eq!(written(|out| nstring(out, Some("NIL"))), "\"NIL\"");
    let a = |text: &str| written(|out| astring(out, text.as_bytes()));
    assert_eq!(
        (a("Message-ID"), a("nil"), a(""), a("a]b"), a("a:b")),
        ("Message-ID".into(), "\"nil\"".into(), "\"\"".into(), "\"a]b\"".into(), "\"a:b\"".into())
    );
    assert_eq!(written(|out| quoted(out, "a\r\n\"é")), "\"a??\\\"??\"");
}

#[test]
fn folders() {
    let name = FolderName::new("Éléments \"x\"").expect("valid");
    assert_eq!(written(|out| folder(out, &name, Names::Utf7)), "\"&AMk-l&AOk-ments \\\"x\\\"\"");
    let line = |line: &ListLine<'_>| written(|out| list(out, line));
    let mut one = ListLine {
        kind: ListKind::List,
        attributes: &["\\HasNoChildren", "\\Sent"],
        name: "Envoyés",
        child_subscribed: false,
        old_name: None,
        names: Names::Utf7,
    };
    assert_eq!(line(&one), "* LIST (\\HasNoChildren \\Sent) \"/\" \"Envoy&AOk-s\"\r\n");
    one.child_subscribed = true;
    assert_eq!(
        line(&one),
        "* LIST (\\HasNoChildren \\Sent) \"/\" \"Envoy&AOk-s\" (\"CHILDINFO\" (\"SUBSCRIBED\"))\r\n"
    );
    one.old_name = Some("Ré\"x");
    assert!(
        line(&one).ends_with(" (\"CHILDINFO\" (\"SUBSCRIBED\") \"OLDNAME\" (\"R&AOk-\\\"x\"))\r\n"),
        "{}",
        line(&one)
    );
    one.child_subscribed = false;
    one.names = Names::Utf8;
    assert!(line(&one).ends_with(" (\"OLDNAME\" (\"Ré\\\"x\"))\r\n"), "{}", line(&one));
    let root = ListLine {
        kind: ListKind::Lsub,
        attributes: &["\\Noselect"],
        name: "",
        child_subscribed: false,
        old_name: None,
        names: Names::Utf7,
    };
    assert_eq!(line(&root), "* LSUB (\\Noselect) \"/\" \"\"\r\n");
    assert_eq!(
        written(|out| status(
            out,
            &name,
            Names::Utf7,
            &[(StatusItem::Messages, 231), (StatusItem::Size, 1 << 40)],
            None
        )),
        "* STATUS \"&AMk-l&AOk-ments \\\"x\\\"\" (MESSAGES 231 SIZE 1099511627776)\r\n"
    );
}

#[test]
fn searches() {
    let e = |tag, numbers, found| written(|out| esearch(out, tag, numbers, &found));
    assert_eq!(
        e(
            "A282",
            Numbers::Uid,
            Esearch { min: Some(2), max: Some(11), count: Some(3), modseq: Some(ModSeq(917_162_500)) }
        ),
        "* ESEARCH (TAG \"A282\") UID MIN 2 MAX 11 COUNT 3 MODSEQ 917162500"
    );
    assert_eq!(e("A284", Numbers::Sequence, Esearch::default()), "* ESEARCH (TAG \"A284\")");
    let window = Window { from_end: true, first: 1, last: 100 };
    assert_eq!(written(|out| esearch_list(out, Some(window))), " PARTIAL (-1:-100 ");
    let runs: Runs = [5, 6, 7, 3, 2, 9].into_iter().collect();
    assert_eq!(runs.iter().map(|r| r.to_string()).collect::<Vec<_>>(), ["5:7", "3", "2", "9"]);
    assert_eq!(written(|out| runs.iter().for_each(|r| r.write(out))), "5:7329");
}

proptest! {
    /// What is written quickly is what is written one by one, whatever comes after what.
    #[test]
    fn numbers_as_one_by_one(
        runs in proptest::collection::vec(
            (prop_oneof![0..200u32, 9_999_900..10_000_100u32, any::<u32>(), u32::MAX - 40..=u32::MAX], 0..130u32), 0..20),
        ascending in proptest::collection::btree_set(0..100_100u32, 0..200),
    ) {
        let ascending: Vec<(u32, u32)> = ascending.into_iter().map(|n| (n, 0)).collect();
        for runs in [[runs, ascending.clone()].concat(), ascending] {
            let (mut writer, mut quick, mut one_by_one) = (NumberWriter::default(), Vec::new(), String::new());
            for (from, more) in runs {
                let to = from.saturating_add(more);
                writer.write(&mut quick, from, to);
                (from..=to).for_each(|n| one_by_one.push_str(&format!(" {n}")));
            }
            prop_assert_eq!(String::from_utf8(quick).expect("digits"), one_by_one);
        }
    }
}

#[test]
fn fetch_items() {
    let text = written(|out| {
        let mut fetch = Fetch::begin(out, 23);
        fetch.flags(out, ["\\Seen", "$Done", "bad)\r\n"]);
        fetch.uid(out, Uid(4_827_313));
        fetch.internal_date(out, 837_596_665);
        fetch.size(out, 44_827);
        fetch.modseq(out, ModSeq(624_140_003));
        fetch.body_nil(out, &Section { part: vec![1, 2], text: SectionText::Mime }, Some(7));
        fetch.rfc822_literal(out, Rfc822::Header, 3);
        out.extend_from_slice(b"a\r\n");
        fetch.body_literal(out, &Section { part: vec![], text: SectionText::Whole }, None, 0);
        fetch.end(out);
    });
    assert_eq!(
        text,
        "* 23 FETCH (FLAGS (\\Seen $Done bad___) UID 4827313 INTERNALDATE \"17-Jul-1996 09:44:25 +0000\" RFC822.SIZE 44827 \
         MODSEQ (624140003) BODY[1.2.MIME]<7> NIL RFC822.HEADER {3}\r\na\r\n BODY[] {0}\r\n)\r\n"
    );
    assert_eq!(written(|out| Fetch::begin(out, 1).end(out)), "* 1 FETCH ()\r\n");
    let label =
        |part: &[u32], text, origin| written(|out| section(out, &Section { part: part.to_vec(), text }, origin));
    assert_eq!(label(&[], SectionText::Header, None), "BODY[HEADER]");
    assert_eq!(label(&[3], SectionText::Text, Some(0)), "BODY[3.TEXT]<0>");
    assert_eq!(
        label(&[4, 1], SectionText::HeaderFields(vec!["DATE".into(), "x\r\ny".into()]), None),
        "BODY[4.1.HEADER.FIELDS (DATE {4}\r\nx\r\ny)]"
    );
    assert_eq!(label(&[], SectionText::HeaderFieldsNot(vec!["a b".into()]), None), "BODY[HEADER.FIELDS.NOT (\"a b\")]");
}

const MIXED: &[u8] = b"Date: Wed, 17 Jul 1996 02:23:25 -0700\r\nFrom: Terry Gray <gray@cac.washington.edu>\r\n\
    Subject: =?utf-8?q?=C3=A9t=C3=A9?= \"x\"\r\nTo: imap@cac.washington.edu, team: a@b, c@d;\r\nMessage-ID: <B27397@cac>\r\n\
    Content-Type: multipart/mixed; boundary=\"o\"\r\nContent-Language: fr, en\r\n\r\n\
    --o\r\nContent-Type: text/plain; charset=utf-8\r\n\r\none\r\ntwo\r\n\
    --o\r\nContent-Type: application/pdf; name=\"a\\\"b.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\
    Content-Disposition: attachment; filename=a.pdf\r\nContent-ID: <i@x>\r\nContent-Description: d\xc3\xa9j\xc3\xa0\r\n\
    Content-MD5: Q2hlY2s=\r\nContent-Location: http://x\r\n\r\nAAAA\r\n\
    --o\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nhello\r\n--o--\r\n";

#[test]
fn structures() {
    let structure = Structure::of(MIXED);
    assert_eq!(
        written(|out| envelope(out, &structure.envelope)),
        "(\"Wed, 17 Jul 1996 02:23:25 -0700\" \"=?utf-8?q?=C3=A9t=C3=A9?= \\\"x\\\"\" \
         ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) \
         ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) \
         ((NIL NIL \"imap\" \"cac.washington.edu\")(NIL NIL \"team\" NIL)(NIL NIL \"a\" \"b\")(NIL NIL \"c\" \"d\")(NIL NIL NIL NIL)) \
         NIL NIL NIL \"<B27397@cac>\")"
    );
    assert_eq!(
        written(|out| body_structure(out, &structure, false)),
        "((\"text\" \"plain\" (\"charset\" \"utf-8\") NIL NIL \"7bit\" 8 1)\
         (\"application\" \"pdf\" (\"name\" \"a\\\"b.pdf\") \"<i@x>\" {6}\r\ndéjà \"base64\" 4)\
         (\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 20 \
         (NIL \"in\" NIL NIL NIL NIL NIL NIL NIL NIL) (\"text\" \"plain\" NIL NIL NIL \"7bit\" 5 0) 2) \"mixed\")"
            .replace("\"text\" \"plain\" NIL NIL NIL", INNER)
    );
    assert_eq!(
        written(|out| body_structure(out, &structure, true)),
        "((\"text\" \"plain\" (\"charset\" \"utf-8\") NIL NIL \"7bit\" 8 1 NIL NIL NIL NIL)\
         (\"application\" \"pdf\" (\"name\" \"a\\\"b.pdf\") \"<i@x>\" {6}\r\ndéjà \"base64\" 4 \"Q2hlY2s=\" \
         (\"attachment\" (\"filename\" \"a.pdf\")) NIL \"http://x\")\
         (\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 20 \
         (NIL \"in\" NIL NIL NIL NIL NIL NIL NIL NIL) (\"text\" \"plain\" NIL NIL NIL \"7bit\" 5 0 NIL NIL NIL NIL) 2 NIL NIL NIL NIL) \
         \"mixed\" (\"boundary\" \"o\") NIL (\"fr\" \"en\") NIL)"
            .replace("\"text\" \"plain\" NIL NIL NIL", INNER)
    );
}

/// What a part without Content-Type is told as (RFC 2045 §5.2).
const INNER: &str = "\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL";

fn text_of(nstring: &NString<'_>) -> Option<String> {
    nstring.0.as_ref().map(|s| match s {
        IString::Literal(l) => String::from_utf8(l.data().to_vec()).expect("UTF-8"),
        IString::Quoted(q) => q.inner().to_owned(),
    })
}

/// Headers and bodies with all that must not get through.
fn messages() -> impl Strategy<Value = Vec<u8>> {
    let nasty = "[ -~\u{e9}\u{0}\r\n\t\"\\\\(){}]{0,40}";
    let head = (nasty, nasty, nasty).prop_map(|(a, b, c)| {
        format!("Subject: {a}\r\nFrom: \"{b}\" <{a}@x>\r\nTo: {c}\r\nContent-Type: text/x; n=\"{c}\"; m={b}\r\nContent-ID: {b}\r\nContent-Language: {a}, x\r\nContent-Disposition: {c}; f={a}\r\n")
    });
    let parts = ("[ -~\r\n]{0,60}", nasty).prop_map(|(text, value)| {
        format!("Subject: s\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nX: {value}\r\n\r\n{text}\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: {value}\r\n\r\n{text}\r\n--b--\r\n")
    });
    prop_oneof![
        head.prop_map(String::into_bytes),
        parts.prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..300)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Whatever the message, another codec reads what is told of it, and the texts are the same.
    #[test]
    fn another_codec_reads_structures(message in messages()) {
        let structure = Structure::of(&message);
        let mut out = Vec::new();
        let mut fetch = Fetch::begin(&mut out, 1);
        fetch.uid(&mut out, Uid(7));
        fetch.envelope(&mut out, &structure.envelope);
        fetch.body_structure(&mut out, &structure, false);
        fetch.body_structure(&mut out, &structure, true);
        fetch.end(&mut out);
        let Response::Data(Data::Fetch { items, .. }) = read_back(&out) else { panic!("no FETCH") };
        let items = items.into_inner();
        prop_assert_eq!(items.len(), 4);
        let MessageDataItem::Envelope(read) = &items[1] else { panic!("no ENVELOPE") };
        prop_assert_eq!(text_of(&read.subject), structure.envelope.subject.clone());
        prop_assert_eq!(text_of(&read.message_id), structure.envelope.message_id.clone());
        prop_assert_eq!(read.to.len(), structure.envelope.to.len());
    }

    /// An envelope made up, addresses of every kind.
    #[test]
    fn another_codec_reads_envelopes(texts in proptest::collection::vec(any::<String>(), 6)) {
        let mailbox = |i: usize| Address::Mailbox {
            name: Some(texts[i].clone()),
            route: None,
            local: texts[i + 1].clone(),
            domain: texts[i + 2].clone(),
        };
        let made = Envelope {
            subject: Some(texts[0].clone()),
            from: vec![mailbox(1)],
            to: vec![Address::GroupStart(texts[2].clone()), mailbox(3), Address::GroupEnd],
            ..Envelope::default()
        };
        let mut out = Vec::new();
        let mut fetch = Fetch::begin(&mut out, 1);
        fetch.envelope(&mut out, &made);
        fetch.end(&mut out);
        let Response::Data(Data::Fetch { items, .. }) = read_back(&out) else { panic!("no FETCH") };
        let MessageDataItem::Envelope(read) = &items.as_ref()[0] else { panic!("no ENVELOPE") };
        prop_assert_eq!(text_of(&read.subject), Some(texts[0].replace('\0', "?")));
        prop_assert_eq!(text_of(&read.from[0].host), Some(texts[3].replace('\0', "?")));
        prop_assert_eq!(read.to.len(), 3);
        prop_assert_eq!(text_of(&read.to[1].name), Some(texts[3].replace('\0', "?")));
        prop_assert_eq!(text_of(&read.to[2].mailbox), None);
    }

    /// A section label read as a FETCH item is the section that was asked for.
    #[test]
    fn section_labels_are_fetch_items(part in proptest::collection::vec(1u32.., 0..5), names in proptest::collection::vec(any::<String>(), 1..4), which in 0..5) {
        let names: Vec<String> = names.into_iter().map(|n| n.replace('\0', "")).collect();
        let text = match which {
            0 => SectionText::Whole,
            1 => SectionText::Header,
            2 => SectionText::HeaderFields(names),
            3 => SectionText::HeaderFieldsNot(names),
            _ => SectionText::Text,
        };
        let asked = Section { part, text };
        let mut out = b"a FETCH 1 ".to_vec();
        section(&mut out, &asked, None);
        let read = crate::parse::parse(&out).expect("a section").command;
        let crate::command::Command::Fetch { items, .. } = read else { panic!("no FETCH") };
        prop_assert_eq!(items, vec![crate::command::FetchItem::Body { peek: false, section: asked, partial: None }]);
    }
}
