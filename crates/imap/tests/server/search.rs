//! SEARCH: every key, charsets, ESEARCH, what is read for what.

use std::sync::atomic::Ordering;

use mail::Flags;

use crate::support::Server;

async fn start() -> (Server, crate::support::Client) {
    let server = Server::start().await;
    let day = 86_400;
    let mail = &server.mailbox;
    mail.deliver_at("INBOX", "From: =?utf-8?q?Ren=C3=A9?= MARTIN <rene@alpha.test>\nTo: Marie <marie@alpha.test>\nSubject: =?utf-8?q?R=C3=A9sultats?= du jour\nDate: Wed, 17 Jul 1996 23:30:00 -0700\nX-Mss-Nature: biologie\nContent-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\nL'h=E9moglobine est =\nnormale\n", Flags::SEEN, 10 * day);
    mail.deliver_at("INBOX", "From: b@beta.test\nCc: c@beta.test\nBcc: d@beta.test\nSubject: two\nDate: Fri, 19 Jul 1996 00:00:00 +0000\nContent-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\nQ29tcHRlIHJlbmR1IMOpdMOp\n--x\nContent-Type: application/pdf; name=secret.pdf\nContent-Transfer-Encoding: base64\n\nbm9ybWFsZQ==\n--x--\n", Flags::FLAGGED, 20 * day);
    mail.deliver_at(
        "INBOX",
        &format!("Subject: three\n\n{}needle{}\n", "x".repeat(65_530), "y".repeat(70_000)),
        Flags::DRAFT,
        20 * day + 1,
    );
    let mut imap = server.inbox().await;
    imap.transact("OK", "STORE 3 +FLAGS.SILENT ($Label)").await;
    (server, imap)
}

#[tokio::test]
async fn keys() {
    let (_server, mut imap) = start().await;
    for (keys, wanted) in [
        ("ALL", "1 2 3"),
        ("SEEN", "1"),
        ("UNSEEN", "2 3"),
        ("FLAGGED", "2"),
        ("UNFLAGGED", "1 3"),
        ("DRAFT", "3"),
        ("DELETED", ""),
        ("UNANSWERED", "1 2 3"),
        ("KEYWORD $label", "3"),
        ("UNKEYWORD $Label", "1 2"),
        ("KEYWORD $None", ""),
        ("UNKEYWORD $None", "1 2 3"),
        ("NEW", ""),
        ("OLD", "1 2 3"),
        ("RECENT", ""),
        ("2:*", "2 3"),
        ("UID 1,3", "1 3"),
        ("NOT 2", "1 3"),
        ("OR SEEN FLAGGED", "1 2"),
        ("(SEEN FLAGGED)", ""),
        ("SEEN UID 1", "1"),
        ("LARGER 100000", "3"),
        ("SMALLER 100000", "1 2"),
        ("BEFORE 21-Jan-1970", "1"),
        ("ON 21-Jan-1970", "2 3"),
        ("SINCE 21-Jan-1970", "2 3"),
        ("SENTON 17-Jul-1996", "1"),
        ("SENTBEFORE 18-Jul-1996", "1"),
        ("SENTSINCE 18-Jul-1996", "2"),
        ("FROM martin", "1"),
        ("FROM \"MARTIN <rene\"", "1"),
        ("FROM beta", "2"),
        ("TO marie", "1"),
        ("CC c@", "2"),
        ("BCC d@", "2"),
        ("SUBJECT \"DU JOUR\"", "1"),
        ("SUBJECT t", "1 2 3"),
        ("HEADER X-Mss-Nature BIO", "1"),
        ("HEADER x-mss-nature \"\"", "1"),
        ("HEADER Subject \"\"", "1 2 3"),
        ("HEADER X-Nothing \"\"", ""),
        ("BODY NORMALE", "1"),
        ("BODY \"est normale\"", "1"),
        ("BODY Subject", ""),
        ("TEXT Subject", "1 2 3"),
        ("TEXT secret.pdf", "2"),
        ("BODY needle", "3"),
        ("BODY xneedley", "3"),
        ("NOT BODY needle", "1 2"),
        ("OR BODY needle SEEN", "1 3"),
        ("BODY \"\"", "1 2 3"),
        ("CHARSET US-ASCII SUBJECT two", "2"),
    ] {
        let lines = imap.transact("OK", &format!("SEARCH {keys}")).await;
        assert_eq!(lines[0].trim_end(), format!("* SEARCH {wanted}").trim_end(), "{keys}");
    }
    imap.transact("NO [BADCHARSET (US-ASCII UTF-8)]", "SEARCH CHARSET KOI8-R ALL").await;
    imap.transact("BAD", "SEARCH NONSENSE").await;
}

#[tokio::test]
async fn utf8_texts() {
    let (_server, mut imap) = start().await;
    for (key, text, wanted) in [
        ("BODY", "HÉMOGLOBINE", "1"),
        ("SUBJECT", "résul", "1"),
        ("FROM", "RENÉ", "1"),
        ("BODY", "été", "2"),
        ("TEXT", "zéro", ""),
    ] {
        let lines = imap.transact("OK", &format!("SEARCH CHARSET UTF-8 {key} {{{}+}}\r\n{text}", text.len())).await;
        assert_eq!(lines[0].trim_end(), format!("* SEARCH {wanted}").trim_end(), "{key} {text}");
    }
    let tag = imap.send("SEARCH CHARSET UTF-8 BODY {5}").await;
    assert!(imap.line().await.starts_with("+ "));
    imap.raw("été\r\n").await;
    assert_eq!(imap.answer(&tag, "OK").await[0], "* SEARCH 2");
}

#[tokio::test]
async fn esearch() {
    let (_server, mut imap) = start().await;
    let tag = imap.send("UID SEARCH RETURN (MIN MAX COUNT ALL) ALL").await;
    assert_eq!(imap.answer(&tag, "OK").await[0], format!("* ESEARCH (TAG \"{tag}\") UID MIN 1 MAX 3 COUNT 3 ALL 1:3"));
    let tag = imap.send("SEARCH RETURN () UNSEEN").await;
    assert_eq!(imap.answer(&tag, "OK").await[0], format!("* ESEARCH (TAG \"{tag}\") ALL 2:3"));
    let tag = imap.send("SEARCH RETURN (COUNT MIN) DELETED").await;
    assert_eq!(imap.answer(&tag, "OK").await[0], format!("* ESEARCH (TAG \"{tag}\") COUNT 0"));
}

#[tokio::test]
async fn reads_no_more_than_needed() {
    let (server, mut imap) = start().await;
    imap.transact("OK", "SEARCH UNSEEN LARGER 10").await;
    assert_eq!(server.mailbox.structures_read.load(Ordering::SeqCst), 0);
    imap.transact("OK", "SEARCH SENTSINCE 18-Jul-1996").await;
    assert_eq!(server.mailbox.structures_read.load(Ordering::SeqCst), 3);
    let sought = || server.mailbox.bodies_sought.load(Ordering::SeqCst);
    assert_eq!(sought(), 0, "nothing but dates");
    let lines = imap.transact("OK", "SEARCH SENTSINCE 18-Jul-1996 SUBJECT two").await;
    assert_eq!(lines[0], "* SEARCH 2");
    assert_eq!(sought(), 1, "the date leaves one message");
    imap.transact("OK", "SEARCH SMALLER 100000 HEADER X-Mss-Nature bio").await;
    assert_eq!(sought(), 3, "the size leaves two");
    let lines = imap.transact("OK", "SEARCH OR (SEEN BODY normale) (SENTON 19-Jul-1996 TEXT secret)").await;
    assert_eq!(lines[0], "* SEARCH 1 2");
}

/// A header of very many fields, a text nearly as long, and many short ones: each part of the message is looked through once
/// for each text, and not once for each field.
#[tokio::test]
async fn many_fields_and_texts() {
    let (server, mut imap) = start().await;
    server.mailbox.deliver("INBOX", &format!("{}Subject: last\n\nbody\n", "a: b\n".repeat(100_000)));
    imap.transact("OK", "NOOP").await;
    let long = "a: b\r\n".repeat(60_000) + "no";
    let short = "NOT TEXT zz ".repeat(300);
    let work = patience::Work::begin();
    let lines = imap.transact("OK", &format!("SEARCH {short}NOT TEXT {{{}+}}\r\n{long}", long.len())).await;
    assert_eq!(lines[0], "* SEARCH 1 2 3 4");
    assert!(work.spent() < std::time::Duration::from_secs(10), "{:?}", work.spent());
}
