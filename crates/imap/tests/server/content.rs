//! What the extensions about content do: MULTIAPPEND, CATENATE, REPLACE, BINARY, PREVIEW, OBJECTID, SAVEDATE.

use std::sync::atomic::Ordering;

use crate::support::{Client, Server, memory::APPEND_LIMIT, one, with};

const TWO: &str = "Subject: two\r\n\r\nsecond\r\n";

/// Sends octets, then waits for the continuation that they announce.
async fn announce(imap: &mut Client, text: &str) {
    imap.raw(text).await;
    let go = imap.line().await;
    assert!(go.starts_with("+ "), "wanted a continuation: {go}");
}

#[tokio::test]
async fn several_messages_in_one_append() {
    let server = Server::start().await;
    let mut imap = server.inbox().await;
    announce(&mut imap, "a APPEND INBOX (\\Seen) {5}\r\n").await;
    announce(&mut imap, "A: b\n (\\Flagged $Done) \"17-Jul-1996 02:44:25 -0700\" {24}\r\n").await;
    imap.raw(format!("{TWO} ~{{3+}}\r\n\0\r\n\r\n")).await;
    let lines = imap.answer("a", "OK [APPENDUID 100 1:3]").await;
    one(&lines, "* 3 EXISTS");
    let lines = imap.transact("OK", "FETCH 1:* (FLAGS RFC822.SIZE)").await;
    assert!(lines[0].contains("(\\Seen)") && lines[0].contains("SIZE 5"), "{lines:?}");
    assert!(lines[1].contains("\\Flagged $Done") && lines[1].contains("SIZE 24"), "{lines:?}");
    assert!(lines[2].contains("FLAGS ()") && lines[2].contains("SIZE 3"), "{lines:?}");
}

#[tokio::test]
async fn all_of_them_or_none() {
    let server = Server::start().await;
    let mut imap = server.inbox().await;
    for (refused, rest) in [
        ("NO [TOOBIG]", format!("A: b\n {{{}}}\r\n", APPEND_LIMIT + 1)),
        ("NO [CANNOT]", "A: b\n {0}\r\n".into()),
        ("BAD", "A: b\n nonsense {5+}\r\nabcde\r\n".into()),
        ("BAD", "A: b\n nonsense\r\n".into()),
        ("BAD", "A: b\n (\\Recent) {5}\r\n".into()),
        ("BAD", "A: b\n {5+}\r\nabcdex\r\n".into()),
        ("BAD", format!("A: b\n {}\r\n", "x".repeat(70_000))),
        ("BAD", "A: b\n {5+}\nabcde\r\n".into()),
    ] {
        announce(&mut imap, "a APPEND INBOX {5}\r\n").await;
        imap.raw(rest).await;
        imap.answer("a", refused).await;
        imap.transact("OK", "NOOP").await;
        assert!(server.mailbox.view("INBOX").is_empty(), "{refused}");
    }
    server.mailbox.disk_full.store(true, Ordering::SeqCst);
    imap.raw(format!("a APPEND INBOX {{24+}}\r\n{TWO} {{24+}}\r\n{TWO}\r\n")).await;
    imap.answer("a", "NO [UNAVAILABLE]").await;
    server.mailbox.disk_full.store(false, Ordering::SeqCst);
    imap.transact("OK", "NOOP").await;
    assert!(server.mailbox.view("INBOX").is_empty());
}

#[tokio::test]
async fn only_so_many_at_once() {
    let server = Server::start().await;
    let mut imap = server.inbox().await;
    let many = |n: usize| format!("a APPEND INBOX{}\r\n", " {1+}\r\nx".repeat(n));
    imap.raw(many(100)).await;
    imap.answer("a", "OK [APPENDUID 100 1:100]").await;
    imap.raw(many(101)).await;
    imap.answer("a", "NO [LIMIT]").await;
    imap.transact("OK", "NOOP").await;
    assert_eq!(server.mailbox.view("INBOX").len(), 100);
}

#[tokio::test]
async fn messages_made_of_others() {
    let server = Server::start().await;
    server.mailbox.deliver("INBOX", "Subject: old\nX: y\n\nold text\n");
    let mut imap = server.inbox().await;
    // RFC 4469 §5: texts and URLs, absolute, by path and relative to the selected folder; a URL may be a literal.
    announce(&mut imap, "a APPEND INBOX (\\Draft) CATENATE (TEXT {16}\r\n").await;
    imap.raw("Subject: new\r\n\r\n URL {6+}\r\n;UID=9)\r\n").await;
    imap.answer("a", "NO [BADURL ;UID=9]").await;
    imap.transact("OK", "NOOP").await;
    assert_eq!(server.mailbox.view("INBOX").len(), 1);
    let url = "imap://marie%40alpha@imap.alpha.test/INBOX/;UID=1/;SECTION=HEADER";
    imap.raw(format!(
        "b APPEND INBOX CATENATE (TEXT {{16+}}\r\nSubject: new\r\n\r\n URL \"/INBOX;UIDVALIDITY=100/;UID=1/;SECTION=TEXT\" \
         URL ;UID=1/;PARTIAL=9.3 TEXT {{2+}}\r\n\r\n URL {{{}+}}\r\n{url})\r\n",
        url.len()
    ))
    .await;
    imap.answer("b", "OK [APPENDUID 100 2]").await;
    let lines = imap.transact("OK", "FETCH 2 BODY.PEEK[]").await;
    let wanted = "Subject: new\r\n\r\nold text\r\nold\r\nSubject: old\r\nX: y\r\n\r\n";
    assert_eq!(lines[0], format!("* 2 FETCH (BODY[] {{{}}}\r\n{wanted})", wanted.len()));

    // Without any literal, and with others in one command.
    imap.transact("OK [APPENDUID 100 3]", "APPEND INBOX (\\Seen) CATENATE (URL \"/INBOX/;UID=1\")").await;
    imap.raw(format!("c APPEND INBOX CATENATE (URL /INBOX/;UID=1) {{24+}}\r\n{TWO} CATENATE (TEXT {{1+}}\r\nx)\r\n"))
        .await;
    imap.answer("c", "OK [APPENDUID 100 4:6]").await;
}

#[tokio::test]
async fn bad_urls() {
    let server = Server::start().await;
    server.mailbox.deliver("INBOX", "Subject: old\n\nold text\n");
    let mut imap = server.login().await;
    for bad in [
        "/INBOX;UIDVALIDITY=99/;UID=1",
        "/INBOX/;UID=2",
        "/Nothing/;UID=1",
        "/INBOX/;UID=1/;SECTION=4",
        ";UID=1",
        "imap://pierre%40alpha@imap.alpha.test/INBOX/;UID=1",
        "imap://marie%40alpha@elsewhere.test/INBOX/;UID=1",
        "imap://marie%40alpha@imap.alpha.test/INBOX/;UID=1/;URLAUTH=anonymous",
        "http://x",
    ] {
        let lines = imap.transact("NO [BADURL ", &format!("APPEND INBOX CATENATE (URL \"{bad}\")")).await;
        assert!(lines[0].contains(&format!("[BADURL {bad}]")) || bad.contains('\r'), "{lines:?}");
    }
    // What the client sent cannot end the code.
    let lines = imap.transact("NO [BADURL ", "APPEND INBOX CATENATE (URL \"x] OK \")").await;
    assert!(lines[0].contains("[BADURL x%5D%20OK%20]"), "{lines:?}");
    for bad in [
        "CATENATE ()",
        "CATENATE",
        "CATENATE (URL)",
        "CATENATE (FILE x)",
        "CATENATE (URL /INBOX/;UID=1",
        "CATENATE (URL /x)x",
    ] {
        imap.transact("BAD", &format!("APPEND INBOX {bad}")).await;
    }
    assert_eq!(server.mailbox.view("INBOX").len(), 1);
}

#[tokio::test]
async fn a_catenated_message_has_a_limit() {
    let server = Server::start().await;
    let (_, len) = server.mailbox.deliver_large(APPEND_LIMIT - 100);
    assert!(len < APPEND_LIMIT);
    let mut imap = server.inbox().await;
    imap.transact("NO [TOOBIG]", "APPEND INBOX CATENATE (URL /INBOX/;UID=1 URL /INBOX/;UID=1)").await;
    imap.transact("NO [TOOBIG]", "APPEND INBOX CATENATE (URL /INBOX/;UID=1 TEXT {500}").await;
    imap.transact("OK", "NOOP").await;
    assert_eq!(server.mailbox.view("INBOX").len(), 1);
}

#[tokio::test]
async fn a_message_is_replaced() {
    let server = Server::start().await;
    for text in ["one", "two", "three"] {
        server.mailbox.deliver("INBOX", &format!("Subject: {text}\n\n"));
    }
    let mut imap = server.inbox().await;
    announce(&mut imap, "a REPLACE 2 INBOX (\\Draft) {24}\r\n").await;
    imap.raw(format!("{TWO}\r\n")).await;
    let lines = imap.answer("a", "OK").await;
    let place =
        |text: &str| lines.iter().position(|l| l.contains(text)).unwrap_or_else(|| panic!("{text} in {lines:?}"));
    assert!(place("* OK [APPENDUID 100 4]") < place("* 2 EXPUNGE"));
    one(&lines, "* 3 EXISTS");
    imap.raw(format!("b UID REPLACE 4 Sent {{24+}}\r\n{TWO}\r\n")).await;
    let lines = imap.answer("b", "OK").await;
    one(&lines, "* OK [APPENDUID 101 1]");
    one(&lines, "* 3 EXPUNGE");
    imap.transact("OK", "REPLACE * INBOX CATENATE (URL /INBOX/;UID=1)").await;
    let uids: Vec<u32> = server.mailbox.view("INBOX").iter().map(|e| e.uid.0).collect();
    assert_eq!(uids, [1, 5]);
}

#[tokio::test]
async fn refused_replacements_change_nothing() {
    let server = Server::start().await;
    server.mailbox.deliver("INBOX", "Subject: one\n\n");
    let mut imap = server.login().await;
    imap.transact("BAD", "REPLACE 1 INBOX {5}").await;
    imap.transact("OK", "EXAMINE INBOX").await;
    imap.transact("NO [CANNOT]", "REPLACE 1 INBOX {5}").await;
    imap.transact("OK", "SELECT INBOX").await;
    imap.transact("BAD", "REPLACE 2 INBOX {5}").await;
    imap.transact("BAD", "REPLACE 0 INBOX {5}").await;
    imap.transact("BAD", "REPLACE 1:2 INBOX {5}").await;
    imap.transact("NO [NONEXISTENT]", "UID REPLACE 2 INBOX {5}").await;
    imap.transact("NO [TRYCREATE]", "REPLACE 1 Nothing {5}").await;
    imap.transact("NO [TOOBIG]", &format!("REPLACE 1 INBOX {{{}}}", APPEND_LIMIT + 1)).await;
    // One message only.
    imap.raw(format!("a REPLACE 1 INBOX {{24+}}\r\n{TWO} {{24+}}\r\n{TWO}\r\n")).await;
    imap.answer("a", "NO [LIMIT]").await;
    imap.transact("BAD", "REPLACE 1 INBOX CATENATE (URL /INBOX/;UID=1) CATENATE (URL /INBOX/;UID=1)").await;
    // Another session is faster.
    announce(&mut imap, "b REPLACE 1 INBOX {24}\r\n").await;
    server.mailbox.remove("INBOX", &[1]);
    imap.raw(format!("{TWO}\r\n")).await;
    imap.answer("b", "NO [EXPUNGEISSUED]").await;
    assert!(server.mailbox.view("INBOX").is_empty());
}

const PARTS: &str = "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Transfer-Encoding: base64\n\nQm9uam91cgBSZW7D\nqQ==\n--b\nContent-Transfer-Encoding: quoted-printable\n\nl=E9gende=\n ici\n--b\nContent-Transfer-Encoding: x-uuencode\n\nbegin 644 x\n--b\nContent-Type: message/rfc822\n\nContent-Transfer-Encoding: base64\n\nb2s=\n--b--\n";

#[tokio::test]
async fn decoded_parts() {
    let server = Server::start().await;
    server.mailbox.deliver("INBOX", PARTS);
    let mut imap = server.inbox().await;
    let lines = imap.transact("OK", "FETCH 1 (BINARY.SIZE[1] BINARY.PEEK[1])").await;
    assert_eq!(lines[0], "* 1 FETCH (BINARY.SIZE[1] 13 BINARY[1] ~{13}\r\nBonjour\0René)");
    let lines = imap.transact("OK", "FETCH 1 BINARY.PEEK[1]<8.3>").await;
    assert_eq!(lines[0], "* 1 FETCH (BINARY[1]<8> {3}\r\nRen)");
    let lines = imap.transact("OK", "FETCH 1 BINARY.PEEK[1]<100.3>").await;
    assert_eq!(lines[0], "* 1 FETCH (BINARY[1]<100> {0}\r\n)");
    let lines = imap.transact("OK", "FETCH 1 BINARY.SIZE[2]").await;
    assert_eq!(lines[0], "* 1 FETCH (BINARY.SIZE[2] 11)");
    imap.transact("NO [UNKNOWN-CTE]", "FETCH 1 BINARY.PEEK[3]").await;
    imap.transact("NO [UNKNOWN-CTE]", "FETCH 1 BINARY.SIZE[3]").await;
    let inner = "Content-Transfer-Encoding: base64\r\n\r\nb2s=";
    let lines = imap.transact("OK", "FETCH 1 BINARY.PEEK[4]").await;
    assert_eq!(lines[0], format!("* 1 FETCH (BINARY[4] ~{{{}}}\r\n{inner})", inner.len()));
    assert_eq!(imap.transact("OK", "FETCH 1 BINARY.PEEK[4.1]").await[0], "* 1 FETCH (BINARY[4.1] {2}\r\nok)");
    let whole = PARTS.replace('\n', "\r\n");
    let lines = imap.transact("OK", "FETCH 1 BINARY.PEEK[]").await;
    assert_eq!(lines[0], format!("* 1 FETCH (BINARY[] ~{{{}}}\r\n{whole})", whole.len()));
    assert_eq!(imap.transact("OK", "FETCH 1 BINARY.PEEK[9]").await[0], "* 1 FETCH (BINARY[9] NIL)");
    assert_eq!(server.mailbox.view("INBOX").unseen(), 1);
    imap.transact("OK", "FETCH 1 BINARY[1]").await;
    assert_eq!(server.mailbox.view("INBOX").unseen(), 0);
    for bad in [
        "BINARY",
        "BINARY[TEXT]",
        "BINARY[1.MIME]",
        "BINARY[1]<0>",
        "BINARY[1]<0.0>",
        "BINARY.SIZE[1]<0.4>",
        "BINARY.SIZE",
    ] {
        imap.transact("BAD", &format!("FETCH 1 {bad}")).await;
    }
}

/// A part far larger than what is kept: counted, then sent, in bounded memory.
#[tokio::test]
async fn large_parts_are_decoded_as_they_go() {
    use base64::Engine as _;
    let server = Server::start().await;
    let octets: Vec<u8> = (0..=255u8).cycle().take(700_000).collect();
    let text = base64::engine::general_purpose::STANDARD.encode(&octets);
    let lines: Vec<&str> = text.as_bytes().chunks(76).map(|l| std::str::from_utf8(l).expect("ASCII")).collect();
    server.mailbox.deliver("INBOX", &format!("Content-Transfer-Encoding: base64\n\n{}\n", lines.join("\n")));
    let mut imap = server.inbox().await;
    let tag = imap.send("FETCH 1 BINARY.PEEK[1]").await;
    let head = "* 1 FETCH (BINARY[1] ~{700000}\r\n";
    assert_eq!(imap.octets(head.len()).await, head.as_bytes());
    assert!(imap.octets(700_000).await == octets);
    assert_eq!(imap.octets(3).await, b")\r\n");
    imap.answer(&tag, "OK").await;
    let tag = imap.send("FETCH 1 BINARY.PEEK[1]<300001.200000>").await;
    let head = "* 1 FETCH (BINARY[1]<300001> ~{200000}\r\n";
    assert_eq!(imap.octets(head.len()).await, head.as_bytes());
    assert!(imap.octets(200_000).await == octets[300_001..500_001]);
    assert_eq!(imap.octets(3).await, b")\r\n");
    imap.answer(&tag, "OK").await;
}

#[tokio::test]
async fn previews() {
    let server = Server::start().await;
    server.mailbox.deliver(
        "INBOX",
        "Content-Type: text/html; charset=utf-8\n\n<style>p{}</style><p>Cher coll&egrave;gue,<br>ci-joint</p>\n",
    );
    server.mailbox.deliver("INBOX", "Content-Type: image/png\n\nx\n");
    server.mailbox.deliver("INBOX", &format!("Subject: long\n\n{}\n", "mot ".repeat(100)));
    let mut imap = server.inbox().await;
    let lines = imap.transact("OK", "FETCH 1:* (UID PREVIEW)").await;
    assert_eq!(
        lines[0],
        "* 1 FETCH (UID 1 PREVIEW {26}\r\nCher collègue, ci-joint)"
            .replace("{26}", &format!("{{{}}}", "Cher collègue, ci-joint".len()))
    );
    assert_eq!(lines[1], "* 2 FETCH (UID 2 PREVIEW \"\")");
    assert!(lines[2].ends_with("mot mot\")"), "{lines:?}");
    assert_eq!(server.mailbox.view("INBOX").unseen(), 3);
    let lines = imap.transact("OK", "FETCH 2 (PREVIEW (LAZY) UID)").await;
    assert_eq!(lines[0], "* 2 FETCH (PREVIEW \"\" UID 2)");
    imap.transact("OK", "FETCH 2 PREVIEW (LAZY)").await;
    for bad in ["PREVIEW (FAST)", "PREVIEW ()", "PREVIEW (LAZY", "(PREVIEW LAZY)"] {
        imap.transact("BAD", &format!("FETCH 1 {bad}")).await;
    }
    // LAZY is held to a number of them; without it each is made.
    for _ in 0..150 {
        server.mailbox.deliver("INBOX", "Subject: x\n\ntext\n");
    }
    imap.transact("OK", "NOOP").await;
    let lines = imap.transact("OK", "FETCH 4:* PREVIEW (LAZY)").await;
    let made = with(&lines, "PREVIEW \"text\"").len();
    assert!((100..150).contains(&made), "{made}");
    assert_eq!(with(&lines, "PREVIEW NIL").len(), 150 - made);
    assert_eq!(with(&imap.transact("OK", "FETCH 4:* PREVIEW").await, "PREVIEW \"text\"").len(), 150);
}

#[tokio::test]
async fn object_ids_and_save_dates() {
    let server = Server::start().await;
    server.mailbox.deliver("INBOX", "Subject: one\n\n");
    let mut imap = server.login().await;
    let lines = imap.transact("OK", "SELECT INBOX").await;
    one(&lines, "* OK [MAILBOXID (F1-64)]");
    let lines = imap.transact("OK", "STATUS INBOX (MESSAGES MAILBOXID)").await;
    assert_eq!(lines[0], "* STATUS \"INBOX\" (MESSAGES 1 MAILBOXID (F1-64))");
    assert_eq!(imap.transact("OK", "STATUS INBOX (MAILBOXID)").await[0], "* STATUS \"INBOX\" (MAILBOXID (F1-64))");
    imap.transact("OK [MAILBOXID (F1-66)]", "CREATE New").await;
    imap.transact("OK", "RENAME New Newer").await;
    assert!(imap.transact("OK", "STATUS Newer (MAILBOXID)").await[0].contains("(F1-66)"));
    imap.transact("OK", "COPY 1 Newer").await;
    let lines = imap.transact("OK", "FETCH 1 (EMAILID THREADID SAVEDATE)").await;
    assert_eq!(lines[0], "* 1 FETCH (EMAILID (M1) THREADID NIL SAVEDATE NIL)");
    imap.transact("OK", "SELECT Newer").await;
    let lines = imap.transact("OK", "FETCH 1 EMAILID").await;
    assert_eq!(lines[0], "* 1 FETCH (EMAILID (M1))", "a copy is the same message");
}

#[tokio::test]
async fn what_is_whole_is_announced() {
    let server = Server::start().await;
    let mut imap = server.login().await;
    let lines = imap.transact("OK", "CAPABILITY").await;
    let words: Vec<&str> = lines[0].split(' ').collect();
    for wanted in ["MULTIAPPEND", "CATENATE", "REPLACE", "BINARY", "PREVIEW", "OBJECTID", "SAVEDATE"] {
        assert!(words.contains(&wanted), "{wanted} in {lines:?}");
    }
    assert!(!words.contains(&"LITERAL-"), "RFC 7888 §5: not both");
}
