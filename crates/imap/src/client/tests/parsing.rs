//! Responses as servers write them, and as they should not.

use bytes::Bytes;
use proptest::prelude::*;

use crate::client::{Code, Fetched, Response, Status, Untagged, parse, uid_sets};

fn read(text: &str) -> Response {
    parse(&Bytes::copy_from_slice(text.as_bytes()), false).unwrap_or_else(|_| panic!("{text:?} is a response"))
}

fn untagged(text: &str) -> Untagged {
    match read(text) {
        Response::Untagged(untagged) => untagged,
        other => panic!("{other:?}"),
    }
}

fn fetched(text: &str) -> Fetched {
    match untagged(text) {
        Untagged::Fetch(fetched) => fetched,
        other => panic!("{other:?}"),
    }
}

fn is_refused(text: &str) -> bool {
    parse(&Bytes::copy_from_slice(text.as_bytes()), false).is_err()
}

fn code(text: &str) -> Option<Code> {
    match untagged(&format!("* OK {text} words\r\n")) {
        Untagged::Status(told) => told.code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn codes() {
    assert_eq!(code("[UIDVALIDITY 12]"), Some(Code::UidValidity(12)));
    assert_eq!(code("[HIGHESTMODSEQ 99999999999]"), Some(Code::HighestModSeq(99_999_999_999)));
    assert_eq!(
        code("[PERMANENTFLAGS (\\Seen $Fait \\*)]"),
        Some(Code::PermanentFlags(vec!["\\Seen".into(), "$Fait".into(), "\\*".into()]))
    );
    assert_eq!(code("[APPENDUID 3 12]"), Some(Code::AppendUid { validity: 3, uids: vec![12..=12] }));
    assert_eq!(
        code("[COPYUID 3 1,4:5 10:12]"),
        Some(Code::CopyUid { validity: 3, from: vec![1..=1, 4..=5], to: vec![10..=12] })
    );
    let Some(Code::Capability(capabilities)) = code("[CAPABILITY IMAP4rev1 idle AUTH=XOAUTH2 APPENDLIMIT=31457280]")
    else {
        panic!("capabilities")
    };
    assert!(capabilities.has("IDLE") && capabilities.offers("xoauth2"));
    assert_eq!(capabilities.value("appendlimit"), Some("31457280"));
    assert_eq!(code("[BADCHARSET (\"a]b\" UTF-8)]"), Some(Code::Other("BADCHARSET".into())));
    assert_eq!(code("[UIDNEXT zwölf]"), Some(Code::Other("UIDNEXT".into())));
    assert_eq!(code("[not a code"), None, "text for people");
    assert_eq!(code("hello [ALERT]"), None);
    let Response::Tagged { tag, told } = read("v7 NO [AUTHENTICATIONFAILED] no such {5}\r\n") else { panic!("tagged") };
    assert_eq!((tag.as_str(), told.status, told.code), ("v7", Status::No, Some(Code::AuthenticationFailed)));
    assert_eq!(told.text, "no such {5}");
}

#[test]
fn what_dovecot_and_others_write() {
    let told = fetched(
        "* 7 FETCH (FLAGS (\\Seen $Fait) UID 12 MODSEQ (99) INTERNALDATE \"21-Nov-2026 12:00:00 +0000\" RFC822.SIZE 99 \
         BODY[HEADER.FIELDS (FROM \"To]\")] {9}\r\nFrom: a\r\n X-OTHER ((a) \"b)\" {1}\r\n)) BODY[]<5> \"q\\\"\")\r\n",
    );
    assert_eq!((told.sequence, told.uid, told.modseq, told.size), (7, Some(12), Some(99), Some(99)));
    assert_eq!(told.flags.as_deref(), Some(&["\\Seen".to_owned(), "$Fait".to_owned()][..]));
    assert_eq!(told.internal_date.map(|d| d.unix), Some(1_795_262_400));
    assert_eq!(told.section("header.fields").map(|o| &o[..]), Some(&b"From: a\r\n"[..]));
    assert_eq!(told.sections[1].origin, Some(5));
    assert_eq!(told.section("").map(|o| &o[..]), Some(&b"q\""[..]));
    assert_eq!(fetched("* 1 FETCH (BODY[] NIL UID 3)\r\n").section(""), None);
    assert_eq!(fetched("* 3 UIDFETCH (FLAGS ())\r\n").uid, Some(3));
    let Untagged::List(listed) = untagged("* LIST (\\HasNoChildren \\Sent) \".\" \"INBOX.&AMk-l&AOk-ments\"\r\n")
    else {
        panic!("list")
    };
    assert_eq!((listed.name.as_str(), listed.separator), ("INBOX.Éléments", Some('.')));
    assert!(listed.has("\\sent"));
    let Untagged::List(listed) = untagged("* LIST () NIL {5}\r\ninbox (CHILDINFO (\"SUBSCRIBED\"))\r\n") else {
        panic!("list")
    };
    assert_eq!((listed.name.as_str(), listed.separator), ("INBOX", None));
    assert_eq!(untagged("* LIST () \"/\" {3}\r\na\nb\r\n"), Untagged::Other("LIST".into()), "a command in a name");
    assert_eq!(untagged("* SEARCH 3 1 2 (MODSEQ 9)\r\n"), Untagged::Search(vec![3, 1, 2]));
    assert_eq!(untagged("* SEARCH\r\n"), Untagged::Search(Vec::new()));
    assert_eq!(
        untagged("* ESEARCH (TAG \"v2\") UID COUNT 4 ALL 1:3,9\r\n"),
        Untagged::ESearch(Some("v2".into()), vec![1..=3, 9..=9])
    );
    assert_eq!(untagged("* ESEARCH (TAG v2) UID\r\n"), Untagged::ESearch(Some("v2".into()), Vec::new()));
    assert_eq!(untagged("* VANISHED (EARLIER) 5:4\r\n"), Untagged::Vanished(true, vec![4..=5]));
    assert_eq!(untagged("* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n"), Untagged::Other("NAMESPACE".into()));
    let Untagged::Counts(counts) = untagged("* STATUS \"INBOX\" (MESSAGES 2 UNSEEN 1 SIZE 99 X (1 2))\r\n") else {
        panic!("status")
    };
    assert_eq!((counts.messages, counts.unseen, counts.size, counts.uid_next), (Some(2), Some(1), Some(99), None));
    assert_eq!(read("+ eyJ9\r\n"), Response::Continue(Bytes::from_static(b"eyJ9")));
    assert_eq!(read("+\r\n"), Response::Continue(Bytes::new()));
}

#[test]
fn structures() {
    let told = fetched(
        "* 1 FETCH (UID 1 BODYSTRUCTURE ((\"text\" \"plain\" (\"charset\" \"utf-8\") NIL NIL \"8bit\" 12 1 NIL NIL NIL NIL)\
         (\"APPLICATION\" \"zip\" (\"name\" \"IHE_XDM.ZIP\") NIL NIL \"base64\" 4096 NIL (\"attachment\" (\"filename*0*\" \
         \"utf-8''r%C3%A9\" \"filename*1\" \"sum.zip\")) NIL NIL)(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 90 \
         (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL) (\"text\" \"html\" NIL NIL NIL \"7bit\" 3 1) 5 NIL (\"inline\" NIL)) \
         \"mixed\" (\"boundary\" \"x\") NIL NIL))\r\n",
    );
    let structure = told.structure.expect("a structure");
    let all: Vec<_> = structure.all().iter().map(|p| (p.path.as_str(), p.media_type.as_str(), p.size)).collect();
    assert_eq!(
        all,
        [
            ("", "multipart/mixed", 0),
            ("1", "text/plain", 12),
            ("2", "application/zip", 4096),
            ("3", "message/rfc822", 90),
            ("3.1", "text/html", 3)
        ]
    );
    assert_eq!(structure.children[1].name.as_deref(), Some("résum.zip"));
    assert_eq!(structure.children[2].disposition.as_deref(), Some("inline"));
    // One that makes no sense is none, and the rest is told.
    let told = fetched("* 1 FETCH (BODYSTRUCTURE (NIL (a) b) UID 4)\r\n");
    assert_eq!((told.structure, told.uid), (None, Some(4)));
}

#[test]
fn depth_and_numbers_are_bounded() {
    let deep = |depth: usize| format!("* 1 FETCH (BODYSTRUCTURE {}{} UID 4)\r\n", "(".repeat(depth), ")".repeat(depth));
    for depth in [10, 50, 51, 100_000] {
        assert_eq!(fetched(&deep(depth)).uid, Some(4), "{depth}");
    }
    let wide = format!("* 1 FETCH (BODYSTRUCTURE ({}) UID 4)\r\n", "a ".repeat(100_000));
    assert_eq!(fetched(&wide).uid, Some(4));
    let flags = format!("* 1 FETCH (FLAGS ({}))\r\n", "a ".repeat(100_000));
    assert_eq!(fetched(&flags).flags.expect("flags").len(), super::super::MAX_FLAGS);
    assert!(is_refused("* VANISHED 1:4294967295\r\n"), "four thousand million numbers");
    assert!(is_refused("* ESEARCH UID ALL 1:3000000,1:3000000\r\n"));
    for wrong in [
        "\r\n",
        "*\r\n",
        "* \r\n",
        "* 1 FETCH\r\n",
        "* 1 FETCH (UID\r\n",
        "* 4294967296 EXISTS\r\n",
        "v1 MAYBE so\r\n",
        "* 1 FETCH (UID 1) {\r\n)",
        "* LIST (\\a \"/\" b\r\n",
        "* 1 FETCH (BODY[] {99}\r\nx)\r\n",
        "* SEARCH x\r\n",
        "* STATUS a (MESSAGES)\r\n",
        "* VANISHED 0\r\n",
        "* 1 FETCH (BODY[ \r\n",
        "* FLAGS \"(a\r\n",
        "* 1 FETCH (BODY[\"\r\n",
    ] {
        assert!(is_refused(wrong) || matches!(read(wrong), Response::Untagged(Untagged::Fetch(_))), "{wrong:?}");
    }
}

#[test]
fn sets_of_uids() {
    assert_eq!(uid_sets(&[], 10), Vec::<String>::new());
    assert_eq!(uid_sets(&[1, 2, 3, 7, 9, 10], 10), ["1:3,7,9:10"]);
    assert_eq!(uid_sets(&[1, 2, 3, 4, 5], 2), ["1:2", "3:4", "5"]);
    assert_eq!(uid_sets(&[u32::MAX - 1, u32::MAX], 9), ["4294967294:4294967295"]);
    let every_other: Vec<u32> = (1..20_000).step_by(2).collect();
    assert!(uid_sets(&every_other, usize::MAX).iter().all(|set| set.len() < 8_000));
}

proptest! {
    #[test]
    fn nothing_panics(text in "(\\* )?([0-9]{1,3} )?(FETCH |LIST |OK \\[|STATUS |ESEARCH |VANISHED )?[ -~\r\n]{0,60}\r\n") {
        let _ = parse(&Bytes::from(text), false);
    }

    #[test]
    fn sets_hold_every_uid_once(mut uids in proptest::collection::vec(1u32..500, 0..200), most in 1usize..50) {
        uids.sort_unstable();
        uids.dedup();
        let mut told = Vec::new();
        for set in uid_sets(&uids, most) {
            let Untagged::Vanished(_, ranges) = untagged(&format!("* VANISHED {set}\r\n")) else { panic!("ranges") };
            let before = told.len();
            told.extend(ranges.into_iter().flatten());
            prop_assert!(told.len() - before <= most);
        }
        prop_assert_eq!(told, uids);
    }
}
