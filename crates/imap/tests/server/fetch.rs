//! FETCH: items, sections, partials, `\Seen`, what is read for what; streaming with back-pressure.

use std::sync::atomic::Ordering;

use crate::support::{Server, one, with};

const MULTIPART: &str = "From: =?utf-8?q?Ren=C3=A9?= <rene@alpha.test>\nTo: marie@alpha.test\nSubject: r=?utf-8?q?=C3=A9?=sultats\nMessage-ID: <1@alpha>\nDate: Wed, 17 Jul 1996 02:23:25 -0700\nX-Mss-Nature: test\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain; charset=utf-8\n\nfirst part\n--b\nContent-Type: application/zip; name=IHE_XDM.zip\nContent-Transfer-Encoding: base64\nContent-Disposition: attachment; filename=IHE_XDM.zip\n\nUEsDBA==\n--b\nContent-Type: message/rfc822\n\nSubject: inner\n\ninner text\n--b--\n";

async fn start() -> (Server, crate::support::Client) {
    let server = Server::start().await;
    server.mailbox.deliver("INBOX", MULTIPART);
    let imap = server.inbox().await;
    (server, imap)
}

/// What comes after `{n}` CRLF, without the closing parenthesis.
fn literal(line: &str) -> &str {
    line.split_once("}\r\n")
        .and_then(|(_, rest)| rest.strip_suffix(')'))
        .unwrap_or_else(|| panic!("a literal in {line}"))
}

#[tokio::test]
async fn what_the_view_knows_reads_nothing() {
    let (server, mut imap) = start().await;
    let lines = imap.transact("OK", "FETCH 1:* (FLAGS UID INTERNALDATE RFC822.SIZE)").await;
    let size = MULTIPART.replace('\n', "\r\n").len();
    assert_eq!(
        lines[0],
        format!("* 1 FETCH (FLAGS () UID 1 INTERNALDATE \"14-Nov-2023 22:13:20 +0000\" RFC822.SIZE {size})")
    );
    assert_eq!(server.mailbox.structures_read.load(Ordering::SeqCst), 0);
    let lines = imap.transact("OK", "FETCH 1 ALL").await;
    let envelope = one(&lines, "ENVELOPE");
    assert!(envelope.contains("\"rene\" \"alpha.test\"") && envelope.contains("\"<1@alpha>\""), "{envelope}");
    let lines = imap.transact("OK", "FETCH 1 (BODYSTRUCTURE)").await;
    let structure = lines[0].to_uppercase();
    assert!(structure.contains("\"APPLICATION\" \"ZIP\"") && structure.contains("\"MIXED\""), "{structure}");
    imap.transact("OK", "FETCH 1 BODY").await;
    assert_eq!(server.mailbox.octets_read.load(Ordering::SeqCst), 0, "no message was read");
}

#[tokio::test]
async fn sections() {
    let (_server, mut imap) = start().await;
    let whole = MULTIPART.replace('\n', "\r\n");
    for (section, wanted) in [
        ("", whole.as_str()),
        ("TEXT", whole.split_once("\r\n\r\n").expect("a header").1),
        ("1", "first part"),
        ("1.MIME", "Content-Type: text/plain; charset=utf-8\r\n\r\n"),
        ("2", "UEsDBA=="),
        ("3", "Subject: inner\r\n\r\ninner text"),
        ("3.HEADER", "Subject: inner\r\n\r\n"),
        ("3.TEXT", "inner text"),
        ("3.1", "inner text"),
        ("HEADER.FIELDS (X-MSS-Nature)", "X-Mss-Nature: test\r\n\r\n"),
        ("HEADER.FIELDS (Nothing)", "\r\n"),
        ("3.HEADER.FIELDS.NOT (To)", "Subject: inner\r\n\r\n"),
    ] {
        let lines = imap.transact("OK", &format!("FETCH 1 BODY.PEEK[{section}]")).await;
        assert_eq!(literal(&lines[0]), wanted, "{section}");
    }
    for missing in ["9", "2.HEADER", "1.1.1"] {
        let lines = imap.transact("OK", &format!("FETCH 1 BODY.PEEK[{missing}]")).await;
        assert_eq!(lines[0], format!("* 1 FETCH (BODY[{missing}] NIL)"));
    }
    for (partial, origin, wanted) in
        [("<0.4>", 0, &whole[..4]), ("<5.7>", 5, &whole[5..12]), ("<100000.5>", 100_000, "")]
    {
        let lines = imap.transact("OK", &format!("FETCH 1 BODY.PEEK[]{partial}")).await;
        assert!(lines[0].starts_with(&format!("* 1 FETCH (BODY[]<{origin}> {{{}}}", wanted.len())), "{lines:?}");
        assert_eq!(literal(&lines[0]), wanted);
    }
    for (old, wanted) in [("RFC822.HEADER", "From:"), ("RFC822.TEXT", "--b"), ("RFC822", "From:")] {
        let lines = imap.transact("OK", &format!("FETCH 1 {old}")).await;
        assert!(
            lines[0].starts_with(&format!("* 1 FETCH ({old} {{")) && literal(&lines[0]).starts_with(wanted),
            "{lines:?}"
        );
    }
    // Several at once keep their order.
    let lines = imap.transact("OK", "UID FETCH 1 (BODY.PEEK[1] FLAGS BODY.PEEK[2])").await;
    assert_eq!(lines[0], "* 1 FETCH (UID 1 BODY[1] {10}\r\nfirst part FLAGS (\\Seen) BODY[2] {8}\r\nUEsDBA==)");
}

#[tokio::test]
async fn seen_is_set_and_told() {
    let (server, mut imap) = start().await;
    imap.transact("OK", "FETCH 1 (BODY.PEEK[] RFC822.HEADER)").await;
    assert_eq!(server.mailbox.view("INBOX").unseen(), 1);
    let lines = imap.transact("OK", "FETCH 1 BODY[1]").await;
    one(&lines, "* 1 FETCH (FLAGS (\\Seen))");
    assert_eq!(server.mailbox.view("INBOX").unseen(), 0);
    assert_eq!(imap.transact("OK", "FETCH 1 BODY[1]").await.len(), 2, "told once");
}

#[tokio::test]
async fn numbers_and_uids() {
    let (server, mut imap) = start().await;
    imap.transact("BAD", "FETCH 2 FLAGS").await;
    imap.transact("BAD", "FETCH 0 FLAGS").await;
    assert_eq!(imap.transact("OK", "UID FETCH 2:10 FLAGS").await.len(), 1);
    assert_eq!(imap.transact("OK", "UID FETCH 9:* FLAGS").await[0], "* 1 FETCH (UID 1 FLAGS ())");
    server.mailbox.remove("INBOX", &[1]);
    imap.transact("OK", "NOOP").await;
    assert_eq!(imap.transact("OK", "FETCH 1:* FLAGS").await.len(), 1, "an empty folder is no error");
}

#[tokio::test]
async fn many_messages_stream_from_the_view() {
    let server = Server::start().await;
    for _ in 0..3000 {
        server.mailbox.deliver("INBOX", "Subject: x\n\n");
    }
    let mut imap = server.inbox().await;
    let lines = imap.transact("OK", "FETCH 1:* (UID FLAGS)").await;
    assert_eq!(lines.len(), 3001);
    assert_eq!(lines[2999], "* 3000 FETCH (UID 3000 FLAGS ())");
    assert_eq!(server.mailbox.octets_read.load(Ordering::SeqCst), 0);
}

/// A slow reader of 20 MB: the server reads ahead no more than sockets and one piece hold.
#[tokio::test]
async fn back_pressure() {
    let server = Server::start().await;
    let (_, len) = server.mailbox.deliver_large(20 * 1024 * 1024);
    let mut imap = server.inbox().await;
    let tag = imap.send("FETCH 1 BODY.PEEK[]").await;
    let start = imap.octets("* 1 FETCH (BODY[] {20971538}\r\n".len()).await;
    assert_eq!(start, b"* 1 FETCH (BODY[] {20971538}\r\n");
    // Until nothing moves any more.
    let mut read = 0;
    loop {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        match server.mailbox.octets_read.load(Ordering::SeqCst) {
            now if now == read => break,
            now => read = now,
        }
    }
    assert!(read < 12 * 1024 * 1024, "{read} octets were read for a client that takes none");
    let body = imap.octets(len as usize).await;
    assert!(body.starts_with(b"Subject: large\r\n\r\nxxx") && body.ends_with(b"xxx"));
    assert_eq!(imap.octets(3).await, b")\r\n");
    imap.answer(&tag, "OK").await;
    assert_eq!(server.mailbox.octets_read.load(Ordering::SeqCst), len, "each octet was read once");
    assert!(with(&imap.transact("OK", "NOOP").await, "FETCH").is_empty());
}
