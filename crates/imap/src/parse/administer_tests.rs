//! ACL, QUOTA, METADATA, UNAUTHENTICATE: what is understood and what is refused.

use mail::FolderName;
use proptest::prelude::*;

use super::tests::{read, refuse};
use super::*;
use crate::administration::{EntryName, Modification};
use crate::command::{Administer, Depth, Name};

fn asked(text: &str) -> Administer {
    match read(text) {
        Command::Administer(asked) => asked,
        other => panic!("{text}: {other:?}"),
    }
}

fn name(text: &str) -> Name {
    FolderName::new(text)
}

fn entry(text: &str) -> EntryName {
    EntryName::parse(text.as_bytes()).expect("an entry")
}

#[test]
fn access_lists() {
    let set = |how, rights: &str| Administer::SetAcl {
        folder: name("INBOX"),
        identifier: "899700000017".into(),
        how,
        rights: rights.parse().expect("rights"),
    };
    assert_eq!(asked("SETACL INBOX 899700000017 lrs"), set(Modification::Replace, "lrs"));
    assert_eq!(asked("setacl inbox \"899700000017\" +e"), set(Modification::Add, "e"));
    assert_eq!(asked("SETACL {5}\r\nINBOX 899700000017 -cd"), set(Modification::Remove, "kxte"));
    assert_eq!(asked("SETACL INBOX 899700000017 \"\""), set(Modification::Replace, ""));
    let identifier = String::from("anyone");
    assert_eq!(
        asked("DELETEACL a/b anyone"),
        Administer::DeleteAcl { folder: name("a/b"), identifier: "anyone".into() }
    );
    assert_eq!(asked("LISTRIGHTS a anyone"), Administer::ListRights { folder: name("a"), identifier });
    assert_eq!(asked("GETACL a"), Administer::GetAcl(name("a")));
    assert_eq!(asked("MYRIGHTS \"&AOk-\""), Administer::MyRights(name("é")));
    for bad in
        ["SETACL INBOX x lrz", "SETACL INBOX x LR", "SETACL INBOX x", "SETACL INBOX x +", "GETACL", "MYRIGHTS a b"]
    {
        if bad.ends_with('+') {
            read(bad);
        } else {
            refuse(bad.as_bytes());
        }
    }
}

#[test]
fn quotas() {
    assert_eq!(asked("GETQUOTA \"\""), Administer::GetQuota(Vec::new()));
    assert_eq!(asked("GETQUOTAROOT inbox"), Administer::GetQuotaRoot(name("INBOX")));
    assert_eq!(asked("SETQUOTA \"\" (STORAGE 512 MESSAGE 3)"), Administer::SetQuota);
    assert_eq!(asked("SETQUOTA \"\" ()"), Administer::SetQuota);
    for bad in ["GETQUOTA", "SETQUOTA \"\"", "SETQUOTA \"\" (STORAGE)", "SETQUOTA \"\" (STORAGE x)"] {
        refuse(bad.as_bytes());
    }
}

#[test]
fn annotations() {
    let get = |of: Option<&str>, max_size, depth, entries: &[&str]| Administer::GetMetadata {
        of: of.map(name),
        max_size,
        depth,
        entries: entries.iter().map(|e| entry(e)).collect(),
    };
    assert_eq!(asked("GETMETADATA \"\" /Shared/Comment"), get(None, None, Depth::Zero, &["/shared/comment"]));
    let both = ["/shared/comment", "/private/comment"];
    let wanted = get(Some("INBOX"), Some(1024), Depth::One, &both);
    assert_eq!(asked("GETMETADATA (DEPTH 1 MAXSIZE 1024) INBOX (/shared/comment /private/comment)"), wanted);
    assert_eq!(asked("GETMETADATA \"INBOX\" (maxsize 1024 depth 1) (/shared/comment \"/private/comment\")"), wanted);
    assert_eq!(asked("GETMETADATA (DEPTH infinity) a /private"), get(Some("a"), None, Depth::Infinity, &["/private"]));
    let set = asked("SETMETADATA INBOX (/private/comment {3}\r\nabc /shared/comment NIL /shared/x ~{1+}\r\ny)");
    let change = |name: &str, value: Option<&[u8]>| (entry(name), value.map(<[u8]>::to_vec));
    assert_eq!(
        set,
        Administer::SetMetadata {
            of: Some(name("INBOX")),
            changes: vec![
                change("/private/comment", Some(b"abc")),
                change("/shared/comment", None),
                change("/shared/x", Some(b"y"))
            ],
        }
    );
    for bad in [
        "GETMETADATA INBOX",
        "GETMETADATA INBOX ()",
        "GETMETADATA INBOX comment",
        "GETMETADATA INBOX /other/comment",
        "GETMETADATA INBOX /shared/a*",
        "GETMETADATA INBOX /shared//a",
        "GETMETADATA (DEPTH 2) INBOX /shared/a",
        "GETMETADATA (SIZE 2) INBOX /shared/a",
        "SETMETADATA INBOX ()",
        "SETMETADATA INBOX (/shared/a)",
        "SETMETADATA INBOX (/shared x)",
        "SETMETADATA INBOX (/shared/a atom)",
        "SETMETADATA INBOX (/shared/a ~\"x\")",
        "SETMETADATA INBOX (/shared NIL)",
    ] {
        refuse(bad.as_bytes());
    }
    let many = vec!["/shared/a"; 101].join(" ");
    assert_eq!(refuse(format!("GETMETADATA INBOX ({many})").as_bytes()), ErrorKind::TooMany("entries"));
}

#[test]
fn the_end_of_authentication() {
    assert_eq!(read("UNAUTHENTICATE"), Command::Unauthenticate);
    refuse(b"UNAUTHENTICATE x");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_words(text in "a (SETACL|DELETEACL|LISTRIGHTS|GETQUOTA|SETQUOTA|GETMETADATA|SETMETADATA)( ([-a-z0-9()/{}+*%~\"\r\n]{0,12}|/shared/[a-z]|NIL|\\(DEPTH 1\\))){0,6}") {
        let _ = parse(text.as_bytes());
    }

    /// What is read as an entry can be written and read again.
    #[test]
    fn entries_come_back(text in "/(private|SHARED)(/[!-~]{1,8}){0,3}") {
        if let Some(entry) = EntryName::parse(text.as_bytes()) {
            prop_assert_eq!(EntryName::parse(entry.to_string().as_bytes()), Some(entry));
        }
    }
}
