//! The grammar: the examples of the RFCs, what must be refused, limits.

use mail::Flags;
use mail::FolderName;
use mail::folder::FolderNameError;
use mail::sequence::SequenceSet;
use time::macros::date;

use super::*;
use crate::command::*;

pub(super) fn read(text: &str) -> Command {
    match parse(format!("A1 {text}").as_bytes()) {
        Ok(Tagged { tag, command }) => {
            assert_eq!(tag, "A1");
            command
        }
        Err(error) => panic!("{text}: {error}"),
    }
}

pub(super) fn refuse(text: &[u8]) -> ErrorKind {
    match parse(&[b"A1 ", text].concat()) {
        Err(ParseError { tag: Some(tag), kind }) => {
            assert_eq!(tag, "A1");
            kind
        }
        other => panic!("{}: {other:?}", text.escape_ascii()),
    }
}

fn name(text: &str) -> Name {
    FolderName::new(text)
}

pub(super) fn set(text: &str) -> SequenceSet {
    SequenceSet::parse(text).expect("a set")
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|t| (*t).to_owned()).collect()
}

fn key(text: &str) -> SearchKey {
    match read(&format!("SEARCH {text}")) {
        Command::Search { key, numbers: Numbers::Sequence, options: None, charset: None } => key,
        other => panic!("{other:?}"),
    }
}

fn items(text: &str) -> Vec<FetchItem> {
    match read(&format!("FETCH 1 {text}")) {
        Command::Fetch { items, .. } => items,
        other => panic!("{other:?}"),
    }
}

#[test]
fn plain_commands() {
    for (text, command) in [
        ("CAPABILITY", Command::Capability),
        ("noop", Command::Noop),
        ("LogOut", Command::Logout),
        ("STARTTLS", Command::StartTls),
        ("NAMESPACE", Command::Namespace),
        ("UNSELECT", Command::Unselect),
        ("CLOSE", Command::Close),
        ("CHECK", Command::Check),
        ("IDLE", Command::Idle),
        ("EXPUNGE", Command::Expunge(None)),
        ("UID EXPUNGE 3000:3002", Command::Expunge(Some(set("3000:3002")))),
        ("ENABLE CONDSTORE x-Good", Command::Enable(strings(&["CONDSTORE", "X-GOOD"]))),
    ] {
        assert_eq!(read(text), command);
        assert!(parse(format!("A1 {text} ").as_bytes()).is_err(), "{text}: a space at the end");
        assert!(parse(format!("A1  {text}").as_bytes()).is_err(), "{text}: two spaces");
    }
    assert_eq!(refuse(b"NOOP 1"), ErrorKind::Expected("the end of the command"));
    assert_eq!(refuse(b"XYZZY"), ErrorKind::UnknownCommand);
    assert_eq!(
        refuse(b"UID NOOP"),
        ErrorKind::Expected("COPY, EXPUNGE, FETCH, MOVE, REPLACE, SEARCH, SORT, STORE or THREAD after UID")
    );
    assert_eq!(refuse(b"EXPUNGE 1"), ErrorKind::Expected("the end of the command"));
}

#[test]
fn tags() {
    for bad in [&b""[..], b" NOOP", b"+ NOOP", b"a+b NOOP", b"{1} NOOP", b"\xff NOOP", &[b'a'; 33]] {
        assert_eq!(parse(bad), Err(ParseError { tag: None, kind: ErrorKind::Expected("a tag") }));
    }
    assert_eq!(parse(b"a"), Err(ParseError { tag: Some("a".into()), kind: ErrorKind::Expected("a space") }));
    assert_eq!(parse(b"a\r\nNOOP").map_err(|e| e.tag), Err(Some("a".into())));
}

/// LPS-NOPLAIN: LOGIN is only ever refused, and no error tells what came.
#[test]
fn secrets_are_not_repeated() {
    assert_eq!(read("LOGIN joe \"secret\""), Command::Login);
    assert_eq!(read("LOGIN {3+}\r\njoe {6+}\r\nsecret"), Command::Login);
    assert_eq!(read("LOGIN"), Command::Login);
    let initial = |command| match command {
        Command::Authenticate { mechanism, initial } => (mechanism, initial.map(|i| i.to_string())),
        other => panic!("{other:?}"),
    };
    assert_eq!(initial(read("authenticate xoauth2")), ("XOAUTH2".into(), None));
    assert_eq!(initial(read("AUTHENTICATE EXTERNAL =")), ("EXTERNAL".into(), Some("=".into())));
    assert_eq!(initial(read("AUTHENTICATE XOAUTH2 dXNlcj1h+/==")), ("XOAUTH2".into(), Some("dXNlcj1h+/==".into())));
    for bad in ["AUTHENTICATE XOAUTH2 secret!", "AUTHENTICATE XOAUTH2 secret secret", "AUTHENTICATE XOAUTH2 "] {
        let error = parse(format!("A1 {bad}").as_bytes()).expect_err("refused");
        assert!(!format!("{error} {error:?}").contains("secret"));
    }
    let long = format!("AUTHENTICATE XOAUTH2 {}", "A".repeat(MAX_INITIAL));
    assert!(initial(read(&long)).1.is_some_and(|i| i.len() == 16 * 1024));
    assert!(parse(format!("A1 {long}A").as_bytes()).is_err());
}

#[test]
fn names() {
    let select = |text: &str| match read(&format!("SELECT {text}")) {
        Command::Select { folder, read_only: false, .. } => folder,
        other => panic!("{other:?}"),
    };
    assert_eq!(select("inbox"), name("INBOX"));
    assert_eq!(select("\"iNbOx\""), name("INBOX"));
    assert_eq!(select("{5}\r\ninbox"), name("INBOX"));
    assert_eq!(select("{5+}\r\ninbox"), name("INBOX"));
    assert_eq!(select("\"a \\\"b\\\\\""), name("a \"b\\"));
    assert_eq!(select("a]b"), name("a]b"));
    assert_eq!(select("&AMk-l&AOk-ments"), name("Éléments"));
    assert_eq!(select("\"Éléments\""), name("Éléments"));
    assert_eq!(select("{11}\r\nÉléments&"), name("Éléments&"));
    assert_eq!(select("R&-D"), name("R&D"));
    // A name no folder can have is told as such, the command itself is well formed.
    assert_eq!(select("R&D"), Err(FolderNameError::Forbidden));
    assert_eq!(select("\"a*\""), Err(FolderNameError::Forbidden));
    assert_eq!(select("\"\""), Err(FolderNameError::Empty));
    assert!(matches!(
        parse(b"A1 SELECT \"\xff\"").map(|t| t.command),
        Ok(Command::Select { folder: Err(FolderNameError::Forbidden), read_only: false, .. })
    ));
    assert_eq!(
        read("EXAMINE x"),
        Command::Select { folder: name("x"), read_only: true, modifiers: Default::default() }
    );
    assert_eq!(read("RENAME a \"b c\""), Command::Rename { from: name("a"), to: name("b c") });
    assert_eq!(read("DELETE blurdybloop"), Command::Delete(name("blurdybloop")));
    assert_eq!(read("SUBSCRIBE #news.x"), Command::Subscribe(name("#news.x")));
    assert_eq!(read("UNSUBSCRIBE x"), Command::Unsubscribe(name("x")));
    for bad in [
        &b"SELECT"[..],
        b"SELECT ",
        b"SELECT a*",
        b"SELECT \xc3\xa9",
        b"SELECT \"a",
        b"SELECT \"a\rb\"",
        b"SELECT \"a\nb\"",
        b"SELECT \"a\0b\"",
        b"SELECT \"a\\b\"",
        b"SELECT \"a\"b",
        b"SELECT {3}\r\nab",
        b"SELECT {3}ab",
        b"SELECT {3-}\r\nabc",
        b"SELECT {}\r\n",
        b"SELECT ~{1}\r\na",
        b"SELECT {3}\r\na\0b",
        b"SELECT {99999999999999999999999}\r\na",
        b"SELECT a\0",
        b"SELECT a\r\n",
        b"SELECT a (X)",
        b"RENAME a",
    ] {
        refuse(bad);
    }
}

#[test]
fn create_and_status() {
    assert_eq!(read("CREATE owatagusiam/"), Command::Create { folder: name("owatagusiam"), special_use: vec![] });
    assert_eq!(
        read("CREATE MySent (USE (\\Sent \\archive))"),
        Command::Create { folder: name("MySent"), special_use: strings(&["\\Sent", "\\archive"]) }
    );
    assert_eq!(read("CREATE x (USE ())"), Command::Create { folder: name("x"), special_use: vec![] });
    for bad in [
        "CREATE x (USE \\Sent)",
        "CREATE x (USE (Sent))",
        "CREATE x ()",
        "CREATE x (USE (\\Sent)",
        "CREATE x USE (\\Sent)",
    ] {
        refuse(bad.as_bytes());
    }
    use StatusItem as S;
    assert_eq!(
        read("STATUS blurdybloop (UIDNEXT messages RECENT UIDVALIDITY UNSEEN DELETED SIZE HIGHESTMODSEQ APPENDLIMIT)"),
        Command::Status {
            folder: name("blurdybloop"),
            items: vec![
                S::UidNext,
                S::Messages,
                S::Recent,
                S::UidValidity,
                S::Unseen,
                S::Deleted,
                S::Size,
                S::HighestModSeq,
                S::AppendLimit
            ],
        }
    );
    for bad in ["STATUS x", "STATUS x ()", "STATUS x MESSAGES", "STATUS x (MESSAGES )"] {
        refuse(bad.as_bytes());
    }
}

#[test]
fn append_before_its_message() {
    assert_eq!(
        read("APPEND saved-messages (\\Seen $Done) {310}"),
        Command::Append(Append {
            folder: name("saved-messages"),
            parts: vec![
                AppendPart::Message { flags: strings(&["\\Seen", "$Done"]), date: None, catenate: false },
                AppendPart::Octets(Announced { size: 310, synchronizing: true, binary: false }),
            ],
            state: AppendState::Message,
        })
    );
    assert_eq!(
        read("APPEND {5}\r\nINBOX () \" 7-Jul-1996 02:44:25 -0700\" {18446744073709551615+}"),
        Command::Append(Append {
            folder: name("INBOX"),
            parts: vec![
                AppendPart::Message { flags: vec![], date: Some(836_732_665), catenate: false },
                AppendPart::Octets(Announced { size: u64::MAX, synchronizing: false, binary: false }),
            ],
            state: AppendState::Message,
        })
    );
    for bad in [
        "APPEND x",
        "APPEND x \"hello\"",
        "APPEND x {3} {3}",
        "APPEND x {3}\r\nabc",
        "APPEND x {18446744073709551616}",
        "APPEND x \"7-Jul-1996 02:44:25 -0700\" {3}",
        "APPEND x \"31-Feb-1996 02:44:25 -0700\" {3}",
        "APPEND x (\\Seen {3}",
        "APPEND x UTF8 ({3}",
    ] {
        refuse(bad.as_bytes());
    }
    refuse("APPEND x \"17-Jul-1996 02:44:25 é070\" {3}".as_bytes());
}

#[test]
fn list_in_all_its_forms() {
    let list = |text: &str| match read(&format!("LIST {text}")) {
        Command::List(list) => list,
        other => panic!("{other:?}"),
    };
    let plain = |reference: &str, pattern: &str| List {
        reference: reference.into(),
        patterns: strings(&[pattern]),
        ..List::default()
    };
    assert_eq!(list("\"\" *"), plain("", "*"));
    assert_eq!(list("\"\" \"\""), plain("", ""));
    assert_eq!(list("~/Mail/ %/&AOk-*"), plain("~/Mail/", "%/é*"));
    assert_eq!(list("\"\" {2}\r\nA%"), plain("", "A%"));
    // RFC 5258 §5, RFC 5819 §2, RFC 6154 §5.
    assert_eq!(
        list(
            "(SUBSCRIBED RECURSIVEMATCH) \"\" (\"INBOX\" Drafts a/%) RETURN (CHILDREN STATUS (MESSAGES UNSEEN) special-use SUBSCRIBED)"
        ),
        List {
            select_subscribed: true,
            select_recursive: true,
            patterns: strings(&["INBOX", "Drafts", "a/%"]),
            return_children: true,
            return_special_use: true,
            return_subscribed: true,
            return_status: vec![StatusItem::Messages, StatusItem::Unseen],
            extended: true,
            ..List::default()
        }
    );
    assert_eq!(list("() \"\" %"), List { extended: true, ..plain("", "%") });
    assert_eq!(list("\"\" % RETURN ()"), List { extended: true, ..plain("", "%") });
    assert_eq!(
        list("(SPECIAL-USE REMOTE) \"\" %"),
        List { extended: true, select_special_use: true, select_remote: true, ..plain("", "%") }
    );
    for bad in [
        "LIST \"\"",
        "LIST \"\" ()",
        "LIST (RECURSIVEMATCH) \"\" *",
        "LIST (REMOTE RECURSIVEMATCH) \"\" *",
        "LIST (WHATEVER) \"\" *",
        "LIST \"\" * RETURN (STATUS)",
        "LIST \"\" * RETURN (NORIGHTS)",
        "LIST \"\" * RETURN",
        "LIST \"\" * (CHILDREN)",
        "LIST \"\" R&D",
    ] {
        refuse(bad.as_bytes());
    }
    let many = |n: usize| format!("LIST \"\" ({})", vec!["a"; n].join(" "));
    read(&many(MAX_PATTERNS));
    assert_eq!(refuse(many(MAX_PATTERNS + 1).as_bytes()), ErrorKind::TooMany("mailbox patterns"));
    assert_eq!(
        read("LSUB \"#news.\" \"comp.mail.*\""),
        Command::Lsub { reference: "#news.".into(), pattern: "comp.mail.*".into() }
    );
    refuse(b"LSUB \"\" (a b)");
}

#[test]
fn id_is_cut_short() {
    assert_eq!(read("ID NIL"), Command::Id(vec![]));
    assert_eq!(read("ID ()"), Command::Id(vec![]));
    assert_eq!(
        read("ID (\"name\" \"so\\\"dr\" \"support-url\" {5}\r\na\r\nb! \"VERSION\" nil)"),
        Command::Id(vec![("name".into(), Some("so\"dr".into())), ("version".into(), None)])
    );
    let long = format!("ID (\"name\" {{200}}\r\n{})", "\r\n".repeat(100));
    assert_eq!(read(&long), Command::Id(vec![("name".into(), Some("?".repeat(MAX_ID_KEPT)))]));
    let many = |n: usize| format!("ID ({})", vec!["\"a\" NIL"; n].join(" "));
    read(&many(MAX_ID_PAIRS));
    assert_eq!(refuse(many(MAX_ID_PAIRS + 1).as_bytes()), ErrorKind::TooMany("ID fields"));
    for bad in ["ID", "ID (\"name\")", "ID (name \"x\")", "ID (\"name\" x)", "ID (\"name\" NILL)", "ID \"name\""] {
        refuse(bad.as_bytes());
    }
}

#[test]
fn store_copy_move() {
    let store = |how, silent, flags: &[&str]| Command::Store {
        numbers: Numbers::Sequence,
        set: set("2:4"),
        how,
        silent,
        flags: strings(flags),
        modifiers: Default::default(),
    };
    assert_eq!(read("STORE 2:4 +FLAGS (\\Deleted)"), store(FlagOperation::Add, false, &["\\Deleted"]));
    assert_eq!(read("STORE 2:4 -flags.silent \\Seen $A"), store(FlagOperation::Remove, true, &["\\Seen", "$A"]));
    assert_eq!(read("STORE 2:4 FLAGS ()"), store(FlagOperation::Replace, false, &[]));
    for bad in [
        "STORE 2:4 FLAGS",
        "STORE 2:4 FLAGS ",
        "STORE 2:4 +X (\\Seen)",
        "STORE 2:4 FLAGS (\\)",
        "STORE 2:4 FLAGS (\\*)",
        "STORE 0 FLAGS ()",
        "STORE 2:4 (UNCHANGEDSINCE) FLAGS ()",
        "STORE 2:4 (UNCHANGEDSINCE 3)FLAGS ()",
        "STORE 2:4 (CHANGEDSINCE 3) FLAGS ()",
        "STORE 2:4 () FLAGS ()",
    ] {
        refuse(bad.as_bytes());
    }
    for (open, close) in [("(", ")"), ("", "")] {
        let many = |n: usize| format!("STORE 1 FLAGS {open}{}{close}", vec!["a"; n].join(" "));
        read(&many(MAX_FLAGS));
        assert_eq!(refuse(many(MAX_FLAGS + 1).as_bytes()), ErrorKind::TooMany("flags"));
    }
    assert_eq!(
        read("UID COPY 1,3:*,*:2 MEETING"),
        Command::Copy { numbers: Numbers::Uid, set: set("1,3:*,*:2"), to: name("MEETING") }
    );
    assert_eq!(
        read("MOVE 42:69 foo"),
        Command::Move { numbers: Numbers::Sequence, set: set("42:69"), to: name("foo") }
    );
    for bad in [
        "COPY 0 x",
        "COPY 1: x",
        "COPY 4294967296 x",
        "COPY 99999999999999999999 x",
        "COPY 1;2 x",
        "COPY 01 x",
        "COPY 1",
    ] {
        refuse(bad.as_bytes());
    }
}

#[test]
fn fetch_items() {
    use FetchItem as I;
    assert_eq!(items("FAST"), [I::Flags, I::InternalDate, I::Size]);
    assert_eq!(items("all"), [I::Flags, I::InternalDate, I::Size, I::Envelope]);
    assert_eq!(items("FULL"), [I::Flags, I::InternalDate, I::Size, I::Envelope, I::BodyStructureShort]);
    assert_eq!(
        items("(FLAGS Uid RFC822 RFC822.HEADER rfc822.text BODY BODYSTRUCTURE MODSEQ)"),
        [
            I::Flags,
            I::Uid,
            I::Rfc822(Rfc822::All),
            I::Rfc822(Rfc822::Header),
            I::Rfc822(Rfc822::Text),
            I::BodyStructureShort,
            I::BodyStructure,
            I::ModSeq
        ]
    );
    let body = |peek, part: &[u32], text, partial| {
        vec![I::Body { peek, section: Section { part: part.to_vec(), text }, partial }]
    };
    assert_eq!(items("BODY[]"), body(false, &[], SectionText::Whole, None));
    assert_eq!(items("body.peek[header]<0.4294967295>"), body(true, &[], SectionText::Header, Some((0, u32::MAX))));
    assert_eq!(items("BODY[4.2.2.1]"), body(false, &[4, 2, 2, 1], SectionText::Whole, None));
    assert_eq!(items("BODY[1.MIME]"), body(false, &[1], SectionText::Mime, None));
    assert_eq!(items("BODY[4.2.TEXT]<512.1>"), body(false, &[4, 2], SectionText::Text, Some((512, 1))));
    assert_eq!(
        items("(BODY[HEADER.FIELDS (DATE \"From\" {2}\r\nto)])"),
        body(false, &[], SectionText::HeaderFields(strings(&["DATE", "From", "to"])), None)
    );
    assert_eq!(
        items("BODY.PEEK[3.HEADER.FIELDS.NOT (x)]"),
        body(true, &[3], SectionText::HeaderFieldsNot(strings(&["x"])), None)
    );
    for bad in [
        "()",
        "(ALL)",
        "FLAGS UID",
        "ALLX",
        "BODY[",
        "BODY[MIME]",
        "BODY[0]",
        "BODY[1.]",
        "BODY[.1]",
        "BODY[1.0]",
        "BODY[4294967296]",
        "BODY[HEADERS]",
        "BODY[HEADER.FIELDS]",
        "BODY[HEADER.FIELDS ()]",
        "BODY[HEADER.FIELDS (a]",
        "BODY[1.2",
        "BODY[]<0.0>",
        "BODY[]<0>",
        "BODY[]<1.4294967296>",
        "BODY.PEEK",
        "BODYSTRUCTURE[]",
        "FLAGS (X 1)",
        "X",
    ] {
        refuse(format!("FETCH 1 {bad}").as_bytes());
    }
    let many = |n: usize| format!("FETCH 1 ({})", vec!["UID"; n].join(" "));
    read(&many(MAX_ITEMS));
    assert_eq!(refuse(many(MAX_ITEMS + 1).as_bytes()), ErrorKind::TooMany("FETCH items"));
    let deep = |n: usize| format!("FETCH 1 BODY[{}]", vec!["1"; n].join("."));
    read(&deep(MAX_PARTS));
    assert_eq!(refuse(deep(MAX_PARTS + 1).as_bytes()), ErrorKind::TooMany("part numbers"));
    let fields = |n: usize| format!("FETCH 1 BODY[HEADER.FIELDS ({})]", vec!["a"; n].join(" "));
    read(&fields(MAX_FIELDS));
    assert_eq!(refuse(fields(MAX_FIELDS + 1).as_bytes()), ErrorKind::TooMany("header field names"));
}

#[test]
fn search_keys() {
    use SearchKey as K;
    let header = |field: &str, text: &str| K::Header(field.into(), text.into());
    assert_eq!(
        key("FLAGGED SINCE 1-Feb-1994 NOT FROM \"Smith\""),
        K::And(vec![
            K::Flag(Flags::FLAGGED, true),
            K::Internal(DateTest::Since, date!(1994 - 02 - 01)),
            K::Not(Box::new(header("from", "Smith"))),
        ])
    );
    assert_eq!(
        key("or (1:3 unseen) OR ALL UID *"),
        K::Or(
            Box::new(K::And(vec![K::Sequence(set("1:3")), K::Flag(Flags::SEEN, false)])),
            Box::new(K::Or(Box::new(K::All), Box::new(K::Uid(set("*"))))),
        )
    );
    assert_eq!(key("((DRAFT))"), K::Flag(Flags::DRAFT, true));
    assert_eq!(key("NEW"), K::Recent(true));
    assert_eq!(key("OLD"), K::Recent(false));
    assert_eq!(key("HEADER Message-ID \"\""), header("message-id", ""));
    assert_eq!(key("SUBJECT {6}\r\nété "), header("subject", "été "));
    assert_eq!(key("SENTON \"7-Jul-1996\""), K::Sent(DateTest::On, date!(1996 - 07 - 07)));
    assert_eq!(key("BEFORE 29-feb-2024"), K::Internal(DateTest::Before, date!(2024 - 02 - 29)));
    assert_eq!(key("UNKEYWORD $Junk"), K::Keyword("$Junk".into(), false));
    assert_eq!(key("LARGER 0 SMALLER 9223372036854775807"), K::And(vec![K::Larger(0), K::Smaller(i64::MAX as u64)]));
    assert_eq!(key("MODSEQ \"/flags/\\\\draft\" all 620162338"), K::ModSeq(620_162_338));
    assert_eq!(key("MODSEQ 0"), K::ModSeq(0));
    for bad in [
        "SEARCH",
        "SEARCH ",
        "SEARCH ()",
        "SEARCH (ALL",
        "SEARCH ALL)",
        "SEARCH NOT",
        "SEARCH OR ALL",
        "SEARCH FROM",
        "SEARCH HEADER x",
        "SEARCH LARGER 9223372036854775808",
        "SEARCH LARGER -1",
        "SEARCH SINCE 30-Feb-2024",
        "SEARCH SINCE \"1-Feb-2024",
        "SEARCH SINCE 1-Feb-24",
        "SEARCH 0",
        "SEARCH KEYWORD \\Seen",
        "SEARCH FUZZY ALL",
        "SEARCH CHARSET UTF-8",
        "SEARCH ALL CHARSET UTF-8",
    ] {
        refuse(bad.as_bytes());
    }
    assert_eq!(refuse(b"SEARCH TEXT \"\xff\""), ErrorKind::Expected("text in UTF-8"));
}

#[test]
fn search_options_and_charset() {
    let search = |text: &str| match read(text) {
        Command::Search { numbers, options, charset, key } => (numbers, options, charset, key),
        other => panic!("{other:?}"),
    };
    use SearchReturn as R;
    assert_eq!(
        search("UID SEARCH RETURN (MIN count MIN) charset utf-8 ALL"),
        (Numbers::Uid, Some(vec![R::Min, R::Count]), Some("UTF-8".into()), SearchKey::All)
    );
    assert_eq!(search("SEARCH RETURN () ALL"), (Numbers::Sequence, Some(vec![R::All]), None, SearchKey::All));
    refuse(b"SEARCH RETURN ALL");
    // The text of an unknown charset is let through, for the server to answer BADCHARSET.
    let command = parse(b"A1 SEARCH CHARSET \"iso-8859-1\" TEXT \"\xe9\"").expect("well formed").command;
    assert!(matches!(command, Command::Search { charset: Some(c), .. } if c == "ISO-8859-1"));
}
