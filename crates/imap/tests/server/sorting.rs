//! SORT and THREAD (RFC 5256, 5267, 5957), against what a naive reading of the RFC gives.

use mail::Flags;

use crate::support::{Client, Server};

async fn start() -> (Server, Client) {
    let server = Server::start().await;
    let mail = &server.mailbox;
    let day = 86_400;
    for (at, message) in [
        (
            9,
            "From: Zoé <zoe@a.test>\nTo: b@x.test\nCc: k@x.test\nSubject: Re: beta\nDate: Wed, 3 Jan 2024 10:00:00 +0000\nMessage-ID: <3@t>\nReferences: <1@t> <2@t>\n\n3\n",
        ),
        (
            2,
            "From: =?utf-8?q?=C3=89lise?= <elise@a.test>\nTo: c@x.test\nSubject: beta\nDate: Tue, 2 Jan 2024 23:30:00 -0100\nMessage-ID: <2@t>\nIn-Reply-To: <1@t>\n\n2 longer than the others, by far\n",
        ),
        (
            3,
            "From: adam@a.test\nTo: a@x.test\nSubject: Alpha\nDate: Tue, 2 Jan 2024 23:30:00 +0000\nMessage-ID: <1@t>\n\n1\n",
        ),
        // No date: the internal one counts. No subject, no addresses.
        (4, "X: y\n\n4\n"),
        (
            5,
            "From: Bob <zz@a.test>\nSubject: [list] fwd: ALPHA (fwd)\nDate: Thu, 4 Jan 2024 00:00:00 +0000\nMessage-ID: <5@t>\n\n5\n",
        ),
    ] {
        mail.deliver_at("INBOX", message, Flags::NONE, at * day);
    }
    let imap = server.inbox().await;
    (server, imap)
}

#[tokio::test]
async fn orders() {
    let (_server, mut imap) = start().await;
    for (criteria, wanted) in [
        ("ARRIVAL", "2 3 4 5 1"),
        ("REVERSE ARRIVAL", "1 5 4 3 2"),
        // Two was sent at 00:30 UTC.
        ("DATE", "4 3 2 1 5"),
        ("REVERSE DATE", "5 1 2 3 4"),
        ("SUBJECT", "4 3 5 1 2"),
        ("SUBJECT DATE", "4 3 5 2 1"),
        ("REVERSE SUBJECT REVERSE DATE", "1 2 5 3 4"),
        ("FROM", "4 3 2 1 5"),
        ("TO", "4 5 3 1 2"),
        ("CC", "2 3 4 5 1"),
        ("SIZE", "4 3 5 1 2"),
        // The accent decides after the letter: Élise before Zoé.
        ("DISPLAYFROM", "4 3 5 2 1"),
        ("DISPLAYTO", "4 5 3 1 2"),
    ] {
        let lines = imap.transact("OK", &format!("SORT ({criteria}) UTF-8 ALL")).await;
        assert_eq!(lines[0], format!("* SORT {wanted}"), "{criteria}");
    }
    let lines = imap.transact("OK", "UID SORT (REVERSE ARRIVAL) US-ASCII 2:4 NOT BODY longer").await;
    assert_eq!(lines[0], "* SORT 4 3");
    let lines = imap.transact("OK", "SORT (DATE) UTF-8 DELETED").await;
    assert_eq!(lines[0], "* SORT");
    imap.transact("NO [BADCHARSET (US-ASCII UTF-8)]", "SORT (DATE) KOI8-R ALL").await;
    imap.transact("BAD", "SORT (NONSENSE) UTF-8 ALL").await;
    imap.transact("BAD", "SORT (DATE) ALL").await;
}

/// RFC 5267: the lists of ESEARCH are in the order of SORT, MIN is the first and MAX the last.
#[tokio::test]
async fn returns() {
    let (_server, mut imap) = start().await;
    let tag = imap.send("UID SORT RETURN (MIN MAX COUNT ALL) (REVERSE ARRIVAL) UTF-8 ALL").await;
    let lines = imap.answer(&tag, "OK").await;
    assert_eq!(lines[0], format!("* ESEARCH (TAG \"{tag}\") UID MIN 1 MAX 2 COUNT 5 ALL 1,5,4,3,2"));
    let tag = imap.send("SORT RETURN (PARTIAL 2:3 SAVE) (ARRIVAL) UTF-8 ALL").await;
    let lines = imap.answer(&tag, "OK").await;
    assert_eq!(lines[0], format!("* ESEARCH (TAG \"{tag}\") PARTIAL (2:3 3:4)"));
    let lines = imap.transact("OK", "SEARCH $").await;
    assert_eq!(lines[0], "* SEARCH 3 4");
    let tag = imap.send("SORT RETURN (PARTIAL -1:-2) (ARRIVAL) UTF-8 ALL").await;
    let lines = imap.answer(&tag, "OK").await;
    assert_eq!(lines[0], format!("* ESEARCH (TAG \"{tag}\") PARTIAL (-1:-2 5,1)"));
}

#[tokio::test]
async fn threads() {
    let (_server, mut imap) = start().await;
    let lines = imap.transact("OK", "THREAD REFERENCES UTF-8 ALL").await;
    // Three answers two, which answers one; five is about the same subject, forwarded.
    assert_eq!(lines[0], "* THREAD (4)(3 (2 1)(5))");
    let lines = imap.transact("OK", "UID THREAD REFERENCES UTF-8 1:2").await;
    assert_eq!(lines[0], "* THREAD (2 1)", "what is not searched is not told");
    let lines = imap.transact("OK", "THREAD ORDEREDSUBJECT US-ASCII ALL").await;
    assert_eq!(lines[0], "* THREAD (4)(3 5)(2 1)");
    let lines = imap.transact("OK", "THREAD REFERENCES UTF-8 DELETED").await;
    assert_eq!(lines[0], "* THREAD");
    imap.transact("NO [BADCHARSET (US-ASCII UTF-8)]", "THREAD REFERENCES X ALL").await;
    imap.transact("BAD", "THREAD REFS UTF-8 ALL").await;
}
