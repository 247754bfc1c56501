//! APPEND: literals of both kinds, limits, failures; nothing of a message is ever taken for a command.

use std::sync::atomic::Ordering;

use crate::support::{Server, memory::APPEND_LIMIT, one};

const MESSAGE: &str = "Subject: hello\n\nbody\n";

#[tokio::test]
async fn both_kinds_of_literals() {
    let server = Server::start().await;
    let mut imap = server.inbox().await;
    let lines =
        imap.append("OK [APPENDUID 100 1]", "INBOX (\\Seen $Urgent) \"17-Jul-1996 02:44:25 -0700\"", MESSAGE).await;
    one(&lines, "* 1 EXISTS");
    let message = MESSAGE.replace('\n', "\r\n");
    let lines =
        imap.transact("OK [APPENDUID 100 2]", &format!("APPEND INBOX {{{}+}}\r\n{message}", message.len())).await;
    one(&lines, "* 2 EXISTS");
    let lines = imap.transact("OK", "FETCH 1 (FLAGS INTERNALDATE BODY.PEEK[])").await;
    let fetch = one(&lines, "* 1 FETCH");
    assert!(fetch.contains("FLAGS (\\Seen $Urgent)") && fetch.contains("\"17-Jul-1996 09:44:25 +0000\""), "{fetch}");
    assert!(fetch.ends_with(&format!("{{{}}}\r\n{message})", message.len())), "{fetch}");
}

#[tokio::test]
async fn refused_before_the_message_is_sent() {
    let server = Server::start().await;
    let mut imap = server.login().await;
    // No continuation: the client does not send anything.
    imap.transact("NO [TRYCREATE]", "APPEND Nothing {10}").await;
    imap.transact("NO [TOOBIG]", &format!("APPEND INBOX {{{}}}", APPEND_LIMIT + 1)).await;
    imap.transact("NO", "APPEND INBOX {0}").await;
    imap.transact("BAD", "APPEND INBOX (\\Recent) {10}").await;
    imap.transact("OK", "NOOP").await;
}

#[tokio::test]
async fn refused_messages_are_not_commands() {
    let server = Server::start().await;
    let mut imap = server.login().await;
    let evil = "x DELETE Sent\r\n";
    imap.transact("NO [TRYCREATE]", &format!("APPEND Nothing {{{}+}}\r\n{evil}", evil.len())).await;
    imap.transact("OK", "STATUS Sent (MESSAGES)").await;
    // The disk fills in the middle: the rest is read and forgotten, the connection goes on, nothing is kept.
    server.mailbox.disk_full.store(true, Ordering::SeqCst);
    let large = "x DELETE Sent\r\n".repeat(20_000);
    imap.transact("NO [UNAVAILABLE]", &format!("APPEND INBOX {{{}+}}\r\n{large}", large.len())).await;
    server.mailbox.disk_full.store(false, Ordering::SeqCst);
    imap.transact("OK", "STATUS Sent (MESSAGES)").await;
    assert!(server.mailbox.view("INBOX").is_empty());
    imap.transact("OK", "NOOP").await;
}

#[tokio::test]
async fn a_message_cut_short_leaves_nothing() {
    let server = Server::start().await;
    let mut imap = server.login().await;
    imap.raw("a APPEND INBOX {100+}\r\nSubject: half").await;
    drop(imap);
    let mut imap = server.inbox().await;
    imap.transact("OK", "NOOP").await;
    assert!(server.mailbox.view("INBOX").is_empty());
}
