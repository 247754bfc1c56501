//! Every verb in and out of order, limits, times. MX sessions with a good certificate unless said otherwise.

use std::time::Duration;

use patience::{BRIEF, PATIENCE};
use smtp::{BodyType, ForwardPath, ReversePath, Role};

use crate::recorder::Server;
use crate::talk::Talk;

async fn mx() -> (Server, Talk) {
    let server = Server::mx().await;
    let talk = Talk::secure(server.address, Some("peer")).await;
    (server, talk)
}

// OPE-03, OPE-07: a message comes through octet for octet.
#[tokio::test]
async fn a_message_is_taken_whole() {
    let (server, mut talk) = mx().await;
    talk.transact("250 2.1.0", "MAIL FROM:<a@alpha.mssante.fr> SIZE=30 BODY=8BITMIME RET=HDRS ENVID=e1 AUTH=<>").await;
    talk.transact("250 2.1.5", "RCPT TO:<b@beta.mssante.fr> NOTIFY=NEVER ORCPT=rfc822;x@y.fr").await;
    talk.transact("354 ", "DATA").await;
    talk.send("Subject: é\r\n\r\n..dot\r\nend\r\n.\r\n").await;
    talk.expect("250 2.0.0 Ok: queued as q1").await;
    // Another on the same connection, from nobody, to the postmaster; empty.
    talk.transact("250", "MAIL FROM:<>").await;
    talk.transact("250", "RCPT TO:<postmaster>").await;
    talk.transact("354", "DATA").await;
    talk.transact("250", ".").await;
    talk.transact("221 2.0.0", "QUIT").await;
    talk.closed().await;
    let messages = server.recorder.messages();
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[0].body, "Subject: é\r\n\r\n.dot\r\nend\r\n".as_bytes());
    assert!(messages[0].received.eight_bit);
    assert_eq!(messages[0].received.octets, messages[0].body.len() as u64);
    assert_eq!((messages[0].from.size, messages[0].from.body), (Some(30), BodyType::EightBit));
    assert_eq!((messages[0].helo.as_str(), messages[0].protocol), ("test.example", "ESMTPSA"));
    assert_eq!((&messages[1].from.path, &messages[1].to[0].path), (&ReversePath::Null, &ForwardPath::Postmaster));
    assert!(messages[1].body.is_empty());
}

// OPE-01, OPE-02, SMA-01, LPS-NOPLAIN
#[tokio::test]
async fn before_tls_nothing_is_possible() {
    for role in [Role::Mx, Role::Submission] {
        let server = Server::start(role, |_| {}).await;
        let mut talk = Talk::connect(server.address).await;
        let ehlo = talk.transact("250-smtp.alpha", "EHLO x").await;
        assert!(ehlo.contains("STARTTLS") && !ehlo.contains("AUTH"), "{ehlo}");
        for line in ["MAIL FROM:<a@b.fr>", "RCPT TO:<a@b.fr>", "DATA", "AUTH XOAUTH2", "AUTH XOAUTH2 dXNlcg=="] {
            talk.transact("530 5.7.0 Must issue a STARTTLS command first", line).await;
        }
        talk.transact("530 5.7.0", &format!("AUTH XOAUTH2 {}", "A".repeat(8000))).await;
        talk.transact("250", "NOOP").await;
        talk.transact("250", "RSET").await;
        talk.starttls(&crate::pki::connector(Some("peer"))).await;
        // The name given in clear is forgotten.
        talk.transact("503", "MAIL FROM:<a@b.fr>").await;
        let ehlo = talk.transact("250-smtp.alpha", "EHLO x").await;
        assert!(!ehlo.contains("STARTTLS"), "{ehlo}");
        assert_eq!(ehlo.contains("250 AUTH XOAUTH2 EXTERNAL"), role == Role::Submission, "{ehlo}");
        for keyword in ["PIPELINING", "SIZE 37748736", "8BITMIME", "SMTPUTF8", "CHUNKING", "ENHANCEDSTATUSCODES", "DSN"]
        {
            assert!(
                ehlo.contains(&format!("250-{keyword}")) || ehlo.contains(&format!("250 {keyword}")),
                "{keyword} in {ehlo}"
            );
        }
        talk.transact("503 5.5.1", "STARTTLS").await;
        assert!(server.recorder.credentials.lock().expect("no panic").is_empty());
    }
}

// LPS-NOPLAIN: what is sent ahead of the handshake is not read inside it.
#[tokio::test]
async fn what_follows_starttls_in_clear_ends_the_connection() {
    let server = Server::mx().await;
    let mut talk = Talk::connect(server.address).await;
    talk.send("EHLO x\r\nSTARTTLS\r\nEHLO evil\r\nMAIL FROM:<a@b.fr>\r\n").await;
    talk.expect("250").await;
    talk.expect("554 5.5.1").await;
    talk.closed().await;
}

// OPE-09
#[tokio::test]
async fn verbs_out_of_order_are_refused_and_change_nothing() {
    let (server, mut talk) = mx().await;
    talk.transact("503 5.5.1", "RCPT TO:<b@beta.mssante.fr>").await;
    talk.transact("503 5.5.1", "DATA").await;
    talk.transact("250", "MAIL FROM:<a@alpha.mssante.fr>").await;
    talk.transact("503 5.5.1", "MAIL FROM:<a@alpha.mssante.fr>").await;
    talk.transact("503 5.5.1", "DATA").await;
    talk.transact("550 5.1.1", "RCPT TO:<unknown@beta.mssante.fr>").await;
    talk.transact("503 5.5.1", "DATA").await;
    talk.transact("250", "RCPT TO:<b@beta.mssante.fr>").await;
    talk.transact("250 2.0.0", "RSET").await;
    talk.transact("503 5.5.1", "DATA").await;
    talk.envelope().await;
    // EHLO is a RSET too.
    talk.transact("250", "EHLO y").await;
    talk.transact("503", "DATA").await;
    talk.transact("502", "AUTH XOAUTH2").await;
    talk.transact("500 5.5.1", "WHAT").await;
    talk.transact("502 5.5.1", "EXPN list").await;
    talk.transact("252", "VRFY a@b.fr").await;
    talk.transact("214", "HELP").await;
    talk.transact("250", "noop x").await;
    talk.transact("555 5.5.4", "MAIL FROM:<a@b.fr> WHAT=1").await;
    talk.transact("501 5.1.7", "MAIL FROM:<a@@b.fr>").await;
    talk.transact("250", "MAIL FROM:<a@b.fr>").await;
    talk.transact("501 5.1.3", "RCPT TO:<b>").await;
    talk.transact("553 5.6.7", "RCPT TO:<é@b.fr>").await;
    assert!(server.recorder.messages().is_empty());
}

#[tokio::test]
async fn helo_works_without_extensions() {
    let (server, mut talk) = mx().await;
    assert_eq!(talk.transact("250 ", "HELO old").await.lines().count(), 1);
    talk.envelope().await;
    talk.transact("354", "DATA").await;
    talk.transact("250", "x\r\n.").await;
    assert_eq!(server.recorder.messages()[0].protocol, "SMTP");
}

#[tokio::test]
async fn a_pipelined_group_is_answered_in_order() {
    let (server, mut talk) = mx().await;
    talk.send("MAIL FROM:<a@alpha.mssante.fr>\r\nRCPT TO:<unknown@b.fr>\r\nRCPT TO:<b@beta.mssante.fr>\r\nRCPT TO:<b@>\r\nRCPT TO:<later@b.fr>\r\nDATA\r\n").await;
    for code in ["250", "550 5.1.1", "250", "501", "451", "354"] {
        talk.expect(code).await;
    }
    talk.send("a\r\n.\r\nMAIL FROM:<a@alpha.mssante.fr>\r\nRCPT TO:<c@beta.mssante.fr>\r\nDATA\r\n").await;
    for code in ["250 2.0.0", "250", "250", "354"] {
        talk.expect(code).await;
    }
    talk.send("b\r\n.\r\nQUIT\r\n").await;
    talk.expect("250").await;
    talk.expect("221").await;
    let messages = server.recorder.messages();
    assert_eq!(messages.iter().map(|m| m.to.len()).collect::<Vec<_>>(), [1, 1]);
    assert_eq!(messages[1].body, b"b\r\n");
}

// The text of a client that does not wait for 354 must never become commands when DATA is refused.
#[tokio::test]
async fn what_follows_data_unanswered_ends_the_connection() {
    let (server, mut talk) = mx().await;
    talk.send("MAIL FROM:<a@b.fr>\r\nRCPT TO:<unknown@b.fr>\r\nDATA\r\nMAIL FROM:<x@y.fr>\r\n.\r\n").await;
    for code in ["250", "550", "554 5.5.1"] {
        talk.expect(code).await;
    }
    talk.closed().await;
    assert!(server.recorder.messages().is_empty());
}

// SMA-07, OPE-09
#[tokio::test]
async fn too_big_is_told_at_mail_and_at_the_end() {
    let server = Server::start(Role::Mx, |config| config.max_size = 1000).await;
    let mut talk = Talk::secure(server.address, Some("peer")).await;
    talk.transact("250", "MAIL FROM:<a@alpha.mssante.fr> SIZE=1000").await;
    talk.transact("250", "RSET").await;
    talk.transact("552 5.3.4", "MAIL FROM:<a@alpha.mssante.fr> SIZE=1001").await;
    for (lines, code) in [(100, "250"), (101, "552 5.3.4"), (50_000, "552 5.3.4"), (1, "250")] {
        talk.envelope().await;
        talk.transact("354", "DATA").await;
        talk.send(format!("{}.\r\n", "12345678\r\n".repeat(lines))).await;
        talk.expect(code).await;
    }
    assert_eq!(server.recorder.messages().len(), 2);
}

#[tokio::test]
async fn a_refusal_of_the_backend_is_passed_on_and_leaves_the_connection_usable() {
    let (server, mut talk) = mx().await;
    talk.transact("550 5.7.1", "MAIL FROM:<refused@alpha.mssante.fr>").await;
    talk.transact("250", "MAIL FROM:<nodata@alpha.mssante.fr>").await;
    talk.transact("250", "RCPT TO:<b@beta.mssante.fr>").await;
    talk.transact("452 4.3.1", "DATA").await;
    for (name, code) in [("full", "452 4.3.1"), ("commit", "451 4.3.0"), ("a", "250")] {
        talk.transact("250", &format!("MAIL FROM:<{name}@alpha.mssante.fr>")).await;
        talk.transact("250", "RCPT TO:<b@beta.mssante.fr>").await;
        talk.transact("354", "DATA").await;
        talk.send("x\r\n.\r\n").await;
        talk.expect(code).await;
    }
    assert_eq!(server.recorder.messages().len(), 1);
}

// OPE-09: lines of commands and of text.
#[tokio::test]
async fn long_lines_are_refused_and_the_session_goes_on() {
    let (server, mut talk) = mx().await;
    talk.transact("250", &format!("NOOP {}", "x".repeat(993))).await;
    talk.transact("500 5.5.2", &format!("NOOP {}", "x".repeat(994))).await;
    talk.transact("500 5.5.2", &format!("NOOP {}", "x".repeat(100_000))).await;
    talk.envelope().await;
    talk.transact("354", "DATA").await;
    talk.transact("554 5.6.0", &format!("{}\r\n.", "x".repeat(999))).await;
    talk.envelope().await;
    talk.transact("354", "DATA").await;
    talk.transact("250", &format!("{}\r\n.", "x".repeat(998))).await;
    talk.envelope().await;
    talk.transact("354", "DATA").await;
    talk.transact("554 5.6.0", "a\0b\r\n.").await;
    assert_eq!(server.recorder.messages().len(), 1);
    talk.send(vec![b'x'; 600_000]).await;
    talk.expect("500 5.5.2").await;
    talk.expect("421 4.7.0").await;
}

#[tokio::test]
async fn a_binary_command_is_refused() {
    let (_server, mut talk) = mx().await;
    talk.transact("500 5.5.2", "NO\0OP").await;
    talk.send(b"NOOP \xff\xfe\r\n").await;
    talk.expect("500 5.5.2").await;
    talk.transact("250", "NOOP").await;
}

#[tokio::test]
async fn recipients_errors_and_messages_have_their_limits() {
    let server = Server::start(Role::Mx, |config| {
        config.max_recipients = 2;
        config.max_errors = 3;
        config.max_refused_recipients = 3;
        config.max_messages = 1;
        config.max_idle_commands = 10;
    })
    .await;
    let mut talk = Talk::secure(server.address, Some("peer")).await;
    talk.envelope().await;
    talk.transact("250", "RCPT TO:<c@beta.mssante.fr>").await;
    talk.transact("452 4.5.3", "RCPT TO:<d@beta.mssante.fr>").await;
    // However many are too many: the client sends to them separately.
    for _ in 0..5 {
        talk.transact("452 4.5.3", "RCPT TO:<unknown@beta.mssante.fr>").await;
    }
    talk.transact("354", "DATA").await;
    talk.transact("250", ".").await;
    talk.transact("421 4.7.0", "MAIL FROM:<a@b.fr>").await;
    talk.closed().await;

    let mut errors = Talk::secure(server.address, Some("peer")).await;
    errors.send("A\r\nB\r\nC\r\nD\r\nNOOP\r\n").await;
    for code in ["500", "500", "500", "500", "421 4.7.0"] {
        errors.expect(code).await;
    }
    errors.closed().await;

    let mut guessing = Talk::secure(server.address, Some("peer")).await;
    guessing.transact("250", "MAIL FROM:<a@b.fr>").await;
    guessing.send("RCPT TO:<unknown@b.fr>\r\n".repeat(5)).await;
    for code in ["550", "550", "550", "550", "421"] {
        guessing.expect(code).await;
    }
    guessing.closed().await;

    let mut idle = Talk::secure(server.address, Some("peer")).await;
    idle.send("NOOP\r\n".repeat(20)).await;
    let replies = idle.rest().await;
    assert!(replies.len() < 12 && replies.last().is_some_and(|r| r.starts_with("421")), "{replies:?}");
}

#[tokio::test]
async fn a_slow_peer_gets_421() {
    let server = Server::start(Role::Mx, |config| config.timeouts.before_auth = Duration::from_millis(300)).await;
    let mut silent = Talk::connect(server.address).await;
    silent.expect("421 4.4.2").await;
    silent.closed().await;
    // The handshake and what is said before come within it.
    let server = Server::start(Role::Mx, |config| {
        config.timeouts.before_auth = BRIEF;
        config.timeouts.command = BRIEF;
    })
    .await;
    let mut half = Talk::secure(server.address, Some("peer")).await;
    half.send("MAIL FR").await;
    half.expect("421 4.4.2").await;
    half.closed().await;
    let server = Server::start(Role::Mx, |config| config.timeouts.data_block = Duration::from_millis(300)).await;
    let mut data = Talk::secure(server.address, Some("peer")).await;
    data.envelope().await;
    data.transact("354", "DATA").await;
    data.send("half a message\r\n").await;
    data.expect("421 4.4.2").await;
    data.closed().await;
    assert!(server.recorder.messages().is_empty());
}

#[tokio::test]
async fn octet_by_octet_does_not_keep_a_connection_that_may_not_send() {
    let server = Server::start(Role::Submission, |config| {
        config.timeouts.before_auth = 2 * PATIENCE;
        config.timeouts.before_auth_total = BRIEF;
    })
    .await;
    let mut talk = Talk::connect(server.address).await;
    talk.transact("250", "NOOP").await;
    talk.expect("421 4.4.2").await;
    talk.closed().await;
}

#[tokio::test]
async fn stopping_says_421_and_drops_the_message_under_way() {
    let (server, mut talk) = mx().await;
    let mut other = Talk::connect(server.address).await;
    talk.envelope().await;
    talk.transact("354", "DATA").await;
    talk.send("half\r\n").await;
    server.shutdown.cancel();
    talk.expect("421 4.3.2").await;
    talk.closed().await;
    other.expect("421 4.3.2").await;
    other.closed().await;
    assert!(server.recorder.messages().is_empty());
}

#[tokio::test]
async fn a_message_cut_short_is_not_taken() {
    let (server, mut talk) = mx().await;
    talk.envelope().await;
    talk.transact("354", "DATA").await;
    talk.send("half\r\n.\r").await;
    drop(talk);
    let mut other = Talk::secure(server.address, Some("peer")).await;
    other.transact("250", "NOOP").await;
    assert!(server.recorder.messages().is_empty());
}

#[tokio::test]
async fn smtputf8_is_kept() {
    let (server, mut talk) = mx().await;
    talk.transact("553 5.6.7", "MAIL FROM:<é@alpha.mssante.fr>").await;
    talk.transact("250", "MAIL FROM:<é@alpha.mssante.fr> SMTPUTF8").await;
    talk.transact("250", "RCPT TO:<è@beta.mssante.fr>").await;
    talk.transact("354", "DATA").await;
    talk.transact("250", "x\r\n.").await;
    let message = &server.recorder.messages()[0];
    assert_eq!((message.from.path.to_string().as_str(), message.protocol), ("é@alpha.mssante.fr", "UTF8SMTPSA"));
}
