//! Named negative tests for what hurt other servers. Slow readers and endless lines: `limits`; injection at STARTTLS: `starttls`;
//! bombs: `compress`.

use std::time::Duration;

use patience::Work;

use crate::support::{Server, one};

#[tokio::test]
async fn literals_before_authentication_are_small() {
    let server = Server::start().await;
    let mut imap = server.tls().await;
    for size in [20_000u64, u64::MAX] {
        imap.transact("BAD", &format!("ID ({{{size}}}")).await;
    }
    // Without waiting: read and forgotten as far as the limit, then the connection ends.
    imap.raw(format!("a ID ({{1000000000+}}\r\n{}", "x".repeat(100_000))).await;
    one(&imap.closes().await, "* BYE");
}

#[tokio::test]
async fn a_flood_of_literals_ends() {
    let server = Server::start().await;
    let mut imap = server.login().await;
    imap.raw(format!("a SEARCH {}ALL\r\n", "SUBJECT {1+}\r\nx ".repeat(300))).await;
    imap.answer("a", "BAD").await;
    imap.transact("OK", "NOOP").await;
    imap.raw(format!("b SEARCH SUBJECT {{2000000+}}\r\n{}", "x".repeat(100_000))).await;
    one(&imap.closes().await, "* BYE");
}

#[tokio::test]
async fn parentheses_without_end() {
    let server = Server::start().await;
    let mut imap = server.inbox().await;
    for deep in ["(", "NOT ", "OR ALL "] {
        imap.transact("BAD", &format!("SEARCH {}ALL", deep.repeat(60_000 / deep.len()))).await;
    }
    imap.transact("BAD", &format!("FETCH 1 {}", "(".repeat(60_000))).await;
    imap.transact("BAD", &format!("LIST {}", "(".repeat(60_000))).await;
    imap.transact("BAD", &format!("FETCH 1 BODY[{}]", "1.".repeat(30_000))).await;
    imap.transact("OK", "NOOP").await;
}

#[tokio::test]
async fn a_message_of_a_million_parts() {
    let server = Server::start().await;
    let many = format!("Content-Type: multipart/mixed; boundary=b\n\n{}--b--\n", "--b\n\nx\n".repeat(200_000));
    server.mailbox.deliver("INBOX", &many);
    let deep: String = (0..3000).map(|n| format!("Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n")).collect();
    server.mailbox.deliver("INBOX", &deep);
    let mut imap = server.inbox().await;
    let work = Work::begin();
    let lines = imap.transact("OK", "FETCH 1:2 (BODYSTRUCTURE PREVIEW)").await;
    assert!(lines[0].len() < 4 * 1024 * 1024, "{} octets", lines[0].len());
    assert!(lines[1].len() < 4 * 1024 * 1024, "{} octets", lines[1].len());
    assert!(work.spent() < Duration::from_secs(15), "{:?}", work.spent());
}

#[tokio::test]
async fn parameters_of_rfc_2231_gone_wild() {
    let server = Server::start().await;
    let mut pieces: String = (0..20_000).map(|n| format!(";\n name*{n}*=%41%zz%")).collect();
    pieces.push_str(";\n name*99999999999999999999*=x;\n name*-1=y;\n name*0*=utf-8''%ff%fe;\n name*=nothing'");
    server.mailbox.deliver("INBOX", &format!("Content-Type: text/plain{pieces}\n\nbody\n"));
    let mut imap = server.inbox().await;
    let lines = imap.transact("OK", "FETCH 1 (BODYSTRUCTURE BODY[1] PREVIEW)").await;
    assert!(lines[0].contains("PREVIEW \"body\""), "{}", &lines[0][lines[0].len().saturating_sub(200)..]);
}

#[tokio::test]
async fn base64_that_is_none() {
    let server = Server::start().await;
    let mut imap = server.tls().await;
    for bad in ["AAA*", "====", "A", "dXNlcj0\u{e9}", "dXNl=cj0="] {
        imap.transact("BAD", &format!("AUTHENTICATE XOAUTH2 {bad}")).await;
        let tag = imap.send("AUTHENTICATE XOAUTH2").await;
        assert_eq!(imap.line().await, "+ ");
        imap.raw(format!("{bad}\r\n")).await;
        imap.answer(&tag, "BAD").await;
    }
    imap.transact("OK", "NOOP").await;
}

/// Nothing a client sends in the place of a command's octets is answered twice or taken for a command.
#[tokio::test]
async fn commands_hidden_in_messages() {
    let server = Server::start().await;
    let mut imap = server.inbox().await;
    let hidden = "z DELETE Sent\r\n";
    imap.raw(format!(
        "a APPEND INBOX CATENATE (TEXT {{{0}+}}\r\n{hidden} URL /none/;UID=1 TEXT {{{0}+}}\r\n{hidden})\r\n",
        hidden.len()
    ))
    .await;
    imap.answer("a", "NO [BADURL").await;
    imap.raw(format!("b APPEND INBOX {{3+}}\r\nabc nonsense {{{}+}}\r\n{hidden}\r\n", hidden.len())).await;
    imap.answer("b", "BAD").await;
    imap.transact("OK", "STATUS Sent (MESSAGES)").await;
    assert!(server.mailbox.view("INBOX").is_empty());
}
