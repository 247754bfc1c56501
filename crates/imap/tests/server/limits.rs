//! Bad input, patience and endings.

use std::time::Duration;

use patience::{BRIEF, PATIENCE};

use crate::support::{Options, Server, one, with};

#[tokio::test]
async fn errors_are_told_and_counted() {
    let server = Server::start().await;
    let mut imap = server.inbox().await;
    imap.transact("BAD", "NONSENSE").await;
    imap.raw("* x\r\n").await;
    assert!(imap.line().await.starts_with("* BAD"));
    imap.transact("BAD", &format!("SEARCH SUBJECT {}", "a".repeat(100_000))).await;
    imap.transact("BAD", "SEARCH SUBJECT {99999999}").await;
    imap.transact("OK", "NOOP").await;
    for _ in 0..19 {
        imap.transact("BAD", "NONSENSE").await;
    }
    imap.transact("OK", "NOOP").await;
    for _ in 0..20 {
        imap.transact("BAD", "NONSENSE").await;
    }
    assert!(one(&imap.closes().await, "* BYE").contains("errors"));
}

#[tokio::test]
async fn a_line_without_end_is_not_kept() {
    let server = Server::start().await;
    let mut imap = server.plain().await;
    let piece = "a".repeat(16 * 1024);
    // More than is ever forgotten: the connection ends, before or after the client is done.
    for _ in 0..8 {
        imap.raw(&piece).await;
    }
    one(&imap.closes().await, "* BYE");
}

#[tokio::test]
async fn the_last_word_is_heard_by_a_client_that_does_not_wait() {
    let server = Server::start().await;
    for mut imap in [server.plain().await, server.tls().await, server.login().await] {
        // Closed on all that is left of it, the connection would be reset and the last word lost with it.
        imap.raw("a NONSENSE\r\n".repeat(20_000)).await;
        assert!(one(&imap.closes().await, "* BYE").contains("errors"));
    }
}

#[tokio::test]
async fn stopping_says_bye() {
    let server = Server::start().await;
    let (mut plain, mut waiting, mut idling) = (server.plain().await, server.inbox().await, server.inbox().await);
    idling.send("IDLE").await;
    idling.line().await;
    server.shutdown.cancel();
    for imap in [&mut plain, &mut waiting, &mut idling] {
        one(&imap.closes().await, "* BYE");
    }
}

#[tokio::test]
async fn patience_has_an_end() {
    // LPS-SESSION
    let configure = |c: &mut imap::Config| {
        c.idle_timeout = BRIEF;
        c.max_session = Some(BRIEF * 2);
    };
    let server = Server::with(Options { configure, ..Options::default() }).await;
    let mut imap = server.inbox().await;
    assert!(one(&imap.closes().await, "* BYE").contains("Idle"));
    // IDLE is patient for as long as any command. LPS-SESSION: the longest session counts whatever the client does.
    let mut imap = server.inbox().await;
    let started = std::time::Instant::now();
    loop {
        imap.raw("x NOOP\r\n").await;
        let line = imap.line().await;
        if line.starts_with("* BYE") {
            assert!(line.contains("long enough"), "{line}");
            break;
        }
        assert!(started.elapsed() < PATIENCE, "the session never ended");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A client that takes nothing does not keep its session.
#[tokio::test]
async fn a_client_that_never_reads_is_dropped() {
    let configure = |c: &mut imap::Config| c.stall_timeout = BRIEF;
    let server = Server::with(Options { configure, ..Options::default() }).await;
    let (_, len) = server.mailbox.deliver_large(30 * 1024 * 1024);
    let mut imap = server.inbox().await;
    imap.send("FETCH 1 BODY.PEEK[]").await;
    // It gives up by itself: nobody reads.
    server.ended(1).await;
    assert!(server.mailbox.octets_read.load(std::sync::atomic::Ordering::SeqCst) < len);
    // What was on its way comes, then the end, and no word in the middle of the literal.
    let rest = imap.rest().await;
    assert!((rest.len() as u64) < len && !rest.windows(5).any(|w| w == b"* BYE"));
}

#[tokio::test]
async fn commands_may_be_pipelined() {
    let server = Server::start().await;
    server.mailbox.deliver("INBOX", "Subject: one\n\nbody\n");
    let mut imap = server.login().await;
    imap.raw("a SELECT INBOX\r\nb FETCH 1 FLAGS\r\nc NOOP\r\nd LOGOUT\r\n").await;
    let lines = imap.closes().await;
    let tagged: Vec<&str> = with(&lines, " OK ").into_iter().filter(|l| !l.starts_with('*')).map(|l| &l[..1]).collect();
    assert_eq!(tagged, ["a", "b", "c", "d"]);
}

/// Thousands of sessions wait: what each task takes is counted. The buffers of OpenSSL come on top.
#[tokio::test]
async fn a_waiting_session_is_small() {
    let size = Server::task_size().await;
    assert!(size < 4096, "{size} octets");
}
