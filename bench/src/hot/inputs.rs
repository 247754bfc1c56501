//! The inputs of the hot paths.

use mail::{Entry, Flags, Keywords, ModSeq, Uid, UidValidity, View};

use crate::imap::messages;

/// A message of 20 KB: text, HTML, an attachment.
pub fn message(number: usize) -> String {
    messages::message(number, 16_900)
}

/// A folder of `count` messages, some of them read, flagged or marked with a keyword.
pub fn entries(count: u32) -> Vec<Entry> {
    (1..=count).map(entry).collect()
}

/// One message of it.
pub fn entry(uid: u32) -> Entry {
    let keyword = Flags::keyword(0).filter(|_| uid.is_multiple_of(11)).unwrap_or(Flags::NONE);
    let seen = if uid.is_multiple_of(3) { Flags::SEEN } else { Flags::NONE };
    let flagged = if uid.is_multiple_of(7) { Flags::FLAGGED } else { Flags::NONE };
    Entry {
        uid: Uid(uid),
        size: 20_000,
        flags: seen.with(flagged).with(keyword),
        modseq: ModSeq(uid.into()),
        internal_date: 1_790_000_000 + i64::from(uid),
        body: uid.into(),
        saved: 1_790_000_000,
        thread: uid / 4,
    }
}

/// That folder, filled.
pub fn view(count: u32) -> View {
    let mut view = empty();
    view.extend(entries(count));
    view
}

/// Before anything is in it.
pub fn empty() -> View {
    View::empty(UidValidity(1), Uid(1), ModSeq(1), Keywords::new(["$Envoye".into()]))
}

/// What clients send most.
pub const COMMANDS: [&[u8]; 20] = [
    b"a1 CAPABILITY",
    b"a2 ID (\"name\" \"Thunderbird\" \"version\" \"128.0\")",
    b"a3 ENABLE CONDSTORE QRESYNC",
    b"a4 NAMESPACE",
    b"a5 LIST (SUBSCRIBED) \"\" \"*\" RETURN (SPECIAL-USE STATUS (MESSAGES UNSEEN))",
    b"a6 LIST \"\" INBOX",
    b"a7 STATUS \"Envoy&AOk-s\" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ)",
    b"a8 SELECT INBOX (QRESYNC (1790000000 123456 1:40000))",
    b"a9 FETCH 1:* (FLAGS)",
    b"a10 UID FETCH 40001:* (UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS (From To Cc Subject Date Message-ID References)])",
    b"a11 UID FETCH 1,3,5,7:12,19,40002 (ENVELOPE BODYSTRUCTURE INTERNALDATE)",
    b"a12 UID FETCH 40002 (UID BODY.PEEK[]<0.65536>)",
    b"a13 UID STORE 40002 +FLAGS.SILENT (\\Seen $Forwarded)",
    b"a14 UID STORE 1:400 (UNCHANGEDSINCE 123456) +FLAGS (\\Deleted)",
    b"a15 UID MOVE 17,19,23:29 \"Trash\"",
    b"a16 UID SEARCH RETURN (ALL COUNT) SINCE 1-Jan-2026 UNSEEN OR FROM \"martin\" SUBJECT \"compte rendu\"",
    b"a17 UID SORT (REVERSE DATE) UTF-8 ALL",
    b"a18 UID EXPUNGE 17,19",
    b"a19 IDLE",
    b"a20 LOGOUT",
];
