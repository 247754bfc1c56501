//! MSS-7.2, LPS-ERR, LPS-APP: XOAUTH2 and EXTERNAL, with and without initial response; what a refusal looks like.

use std::time::Duration;

use imap::backend::Mechanism;
use patience::BRIEF;

use crate::support::{GOOD, Options, Server, base64, one};

const BAD: &str = "user=marie@alpha\x01auth=Bearer stolen\x01\x01";

#[tokio::test]
async fn xoauth2_with_and_without_initial_response() {
    let server = Server::start().await;
    let mut imap = server.tls().await;
    imap.transact("OK [CAPABILITY", &format!("AUTHENTICATE XOAUTH2 {}", base64(GOOD))).await;
    imap.transact("BAD", &format!("AUTHENTICATE XOAUTH2 {}", base64(GOOD))).await;

    let mut imap = server.tls().await;
    let tag = imap.send("authenticate xoauth2").await;
    assert_eq!(imap.line().await, "+ ");
    imap.raw(format!("{}\r\n", base64(GOOD))).await;
    imap.answer(&tag, "OK [CAPABILITY").await;
    imap.transact("OK", "SELECT INBOX").await;
}

/// LPS-ERR: challenge, empty answer, NO; the connection is as good as before.
#[tokio::test]
async fn a_refusal_leaves_the_connection_usable() {
    let server = Server::start().await;
    let mut imap = server.tls().await;
    for attempt in 0..3 {
        let tag = imap.send(&format!("AUTHENTICATE XOAUTH2 {}", base64(BAD))).await;
        let challenge = imap.line().await;
        assert_eq!(challenge, format!("+ {}", base64(r#"{"status":"401","schemes":"bearer","scope":"mail"}"#)));
        // An empty line, or a cancellation: refused either way.
        imap.raw(if attempt == 1 { "*\r\n" } else { "\r\n" }).await;
        let lines = imap.answer(&tag, "NO [AUTHENTICATIONFAILED]").await;
        assert_eq!(lines.len(), 1);
    }
    imap.transact("OK", "NOOP").await;
    imap.transact("OK", &format!("AUTHENTICATE XOAUTH2 {}", base64(GOOD))).await;
}

#[tokio::test]
async fn temporary_trouble_is_no_refusal() {
    let server = Server::start().await;
    let mut imap = server.tls().await;
    let down = base64("user=marie@alpha\x01auth=Bearer down\x01\x01");
    for _ in 0..10 {
        let lines = imap.transact("NO [UNAVAILABLE]", &format!("AUTHENTICATE XOAUTH2 {down}")).await;
        assert_eq!(lines.len(), 1, "no challenge: a client would throw its token away");
    }
    imap.transact("OK", &format!("AUTHENTICATE XOAUTH2 {}", base64(GOOD))).await;
}

#[tokio::test]
async fn tries_are_counted() {
    let server = Server::start().await;
    let mut imap = server.tls().await;
    for _ in 0..5 {
        let tag = imap.send(&format!("AUTHENTICATE XOAUTH2 {}", base64(BAD))).await;
        imap.line().await;
        imap.raw("\r\n").await;
        // The final answer comes before the end (LPS-ERR).
        imap.answer(&tag, "NO [AUTHENTICATIONFAILED]").await;
    }
    assert!(one(&imap.closes().await, "* BYE").contains("attempts"));
}

#[tokio::test]
async fn malformed_exchanges() {
    let server = Server::start().await;
    let mut imap = server.tls().await;
    imap.transact("NO [CANNOT]", "AUTHENTICATE PLAIN AGEAYg==").await;
    imap.transact("BAD", "AUTHENTICATE XOAUTH2 !!!").await;
    let tag = imap.send("AUTHENTICATE XOAUTH2").await;
    imap.line().await;
    imap.raw("*\r\n").await;
    imap.answer(&tag, "BAD").await;
    let tag = imap.send("AUTHENTICATE XOAUTH2").await;
    imap.line().await;
    imap.raw(format!("{}\r\n", "A".repeat(20_000))).await;
    imap.answer(&tag, "BAD").await;
    imap.transact("OK", "NOOP").await;
}

#[tokio::test]
async fn external() {
    let server = Server::start().await;
    for (command, status) in [
        ("AUTHENTICATE EXTERNAL =".to_owned(), "OK"),
        (format!("AUTHENTICATE EXTERNAL {}", base64("labo@alpha")), "OK"),
        (format!("AUTHENTICATE EXTERNAL {}", base64("other@alpha")), "NO [AUTHENTICATIONFAILED]"),
        (format!("AUTHENTICATE EXTERNAL {}", base64("a\0b")), "BAD"),
    ] {
        server.tls().await.transact(status, &command).await;
    }
    for identity in ["", "labo@alpha"] {
        let mut imap = server.tls().await;
        let tag = imap.send("AUTHENTICATE EXTERNAL").await;
        assert_eq!(imap.line().await, "+ ");
        imap.raw(format!("{}\r\n", base64(identity))).await;
        imap.answer(&tag, "OK").await;
    }
}

#[tokio::test]
async fn only_what_the_entry_point_has_is_offered() {
    let server = Server::with(Options { mechanisms: vec![Mechanism::External], ..Options::default() }).await;
    let mut imap = server.tls().await;
    let lines = imap.transact("OK", "CAPABILITY").await;
    let capability = one(&lines, "* CAPABILITY");
    assert!(capability.contains("AUTH=EXTERNAL") && !capability.contains("XOAUTH2"));
    imap.transact("NO", &format!("AUTHENTICATE XOAUTH2 {}", base64(GOOD))).await;
}

/// LPS-APP: by switch, the certificate is enough.
#[tokio::test]
async fn a_certificate_can_be_enough() {
    let server = Server::with(Options { preauthenticated: true, ..Options::default() }).await;
    let mut imap = server.tls().await;
    let lines = imap.transact("OK", "CAPABILITY").await;
    assert!(one(&lines, "* CAPABILITY").contains("IDLE") && !lines[0].contains("AUTH="));
    imap.transact("OK", "SELECT INBOX").await;
}

#[tokio::test]
async fn who_does_not_authenticate_is_dropped() {
    let configure = |c: &mut imap::Config| c.login_timeout = Duration::from_millis(300);
    let server = Server::with(Options { configure, ..Options::default() }).await;
    let mut imap = server.plain().await;
    assert!(one(&imap.closes().await, "* BYE").contains("slow"));
    // The handshake comes within it.
    let configure = |c: &mut imap::Config| c.login_timeout = BRIEF;
    let server = Server::with(Options { configure, ..Options::default() }).await;
    let mut imap = server.tls().await;
    assert!(one(&imap.closes().await, "* BYE").contains("authenticated"));
}
