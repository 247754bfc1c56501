//! LPS-NOPLAIN: nothing is offered or accepted before TLS, nothing injected before it survives.

use crate::support::{GOOD, Server, base64, one, with};

#[tokio::test]
async fn nothing_but_five_commands_before_tls() {
    let server = Server::start().await;
    let mut imap = server.plain().await;
    assert!(imap.greeting.contains("STARTTLS LOGINDISABLED"), "{}", imap.greeting);
    let lines = imap.transact("OK", "CAPABILITY").await;
    let capability = one(&lines, "* CAPABILITY");
    assert!(capability.contains(" STARTTLS") && capability.contains(" LOGINDISABLED"));
    assert!(!capability.contains("AUTH=") && !capability.contains("SASL-IR"));
    imap.transact("OK", "NOOP").await;
    imap.transact("OK", "ID NIL").await;
    imap.transact("NO [PRIVACYREQUIRED]", "LOGIN marie secret").await;
    imap.transact("NO [PRIVACYREQUIRED]", &format!("AUTHENTICATE XOAUTH2 {}", base64(GOOD))).await;
    imap.transact("NO [PRIVACYREQUIRED]", "AUTHENTICATE XOAUTH2").await;
    imap.transact("BAD", "SELECT INBOX").await;
    imap.transact("BAD", "NONSENSE").await;
    let lines = imap.transact("OK", "LOGOUT").await;
    assert!(lines[0].starts_with("* BYE"));
    assert!(imap.closes().await.is_empty());
}

#[tokio::test]
async fn capabilities_change_with_tls_and_with_login() {
    let server = Server::start().await;
    let mut imap = server.tls().await;
    let lines = imap.transact("OK", "CAPABILITY").await;
    let before = one(&lines, "* CAPABILITY");
    for wanted in [" AUTH=XOAUTH2", " AUTH=EXTERNAL", " SASL-IR", " LOGINDISABLED"] {
        assert!(before.contains(wanted), "{before}");
    }
    assert!(!before.contains("STARTTLS"));
    imap.transact("BAD", "STARTTLS").await;
    imap.transact("NO", "LOGIN marie secret").await;
    imap.transact("BAD", "SELECT INBOX").await;
    let lines = imap.transact("OK [CAPABILITY IMAP4rev1 ", &format!("AUTHENTICATE XOAUTH2 {}", base64(GOOD))).await;
    let after = &lines[0];
    for wanted in [
        "IDLE",
        "NAMESPACE",
        "UIDPLUS",
        "MOVE",
        "UNSELECT",
        "ENABLE",
        "SPECIAL-USE",
        "CHILDREN",
        "ESEARCH",
        "LIST-EXTENDED",
        "LIST-STATUS",
        "STATUS=SIZE",
        "APPENDLIMIT=31457280",
        "LITERAL+",
    ] {
        assert!(after.contains(wanted), "{wanted} in {after}");
    }
    assert!(!after.contains("AUTH="));
}

/// CVE-2011-0411: a command sent in the same packet as STARTTLS.
#[tokio::test]
async fn what_follows_starttls_in_clear_is_refused() {
    let server = Server::start().await;
    let mut imap = server.plain().await;
    imap.raw("a STARTTLS\r\nb NOOP\r\n").await;
    let lines = imap.closes().await;
    assert!(with(&lines, "a BAD").len() == 1 && with(&lines, "OK").is_empty(), "{lines:?}");
}

/// Half a command counts too: it would be completed under TLS.
#[tokio::test]
async fn half_a_command_after_starttls_is_refused() {
    let server = Server::start().await;
    let mut imap = server.plain().await;
    imap.raw("a STARTTLS\r\nb").await;
    assert!(with(&imap.closes().await, "OK").is_empty());
}

/// What arrives after the answer but before the handshake is taken for TLS, and is none.
#[tokio::test]
async fn clear_text_instead_of_a_handshake_ends_the_connection() {
    let server = Server::start().await;
    let mut imap = server.plain().await;
    imap.transact("OK", "STARTTLS").await;
    imap.raw("b NOOP\r\nc CAPABILITY\r\n").await;
    // An alert may come, but no IMAP.
    let rest = imap.rest().await;
    assert!(!rest.windows(2).any(|w| w == b"OK"), "{rest:?}");
}
