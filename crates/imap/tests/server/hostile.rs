//! Named negative tests for what hurt other servers. Slow readers and endless lines: `limits`; injection at STARTTLS: `starttls`;
//! bombs: `compress`.

#[path = "../../../mail/tests/hostile/cyclic.rs"]
mod cyclic;

use std::time::Duration;

use patience::Work;

use crate::support::{Server, one, with};

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
    const PARTS: usize = 1_000_000;
    let server = Server::start().await;
    let mut imap = server.inbox().await;
    let work = Work::begin();
    // With a body each, and with nothing at all; far below the limit of a message.
    for part in ["--b\n\nx\n", "--b\n"] {
        let many = format!("Subject: many\nContent-Type: multipart/mixed; boundary=b\n\n{}--b--\n", part.repeat(PARTS));
        imap.append("OK [APPENDUID", "INBOX", &many).await;
    }
    let deep: String = (0..3000).map(|n| format!("Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n")).collect();
    server.mailbox.deliver("INBOX", &deep);
    let lines = imap.transact("OK", "FETCH 1:3 (ENVELOPE BODYSTRUCTURE PREVIEW BODY.PEEK[1.MIME])").await;
    assert_eq!(with(&lines, " FETCH (").len(), 3);
    for line in &lines {
        assert!(line.len() < 4 * 1024 * 1024, "{} octets", line.len());
    }
    one(&imap.transact("OK", "FETCH 1 BODY.PEEK[1000000]").await, "BODY[1000000] NIL");
    assert_eq!(imap.transact("OK", "SEARCH SUBJECT many").await[0], "* SEARCH 1 2");
    assert_eq!(imap.transact("OK", "SEARCH BODY introuvable").await[0], "* SEARCH");
    assert!(work.spent() < Duration::from_secs(30), "{:?}", work.spent());
}

/// How deep the parentheses of a response go, quoted strings aside.
fn depth(line: &str) -> usize {
    let (mut deep, mut deepest, mut quoted, mut escaped) = (0usize, 0, false, false);
    for octet in line.bytes() {
        match octet {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'(' if !quoted => {
                deep += 1;
                deepest = deepest.max(deep);
            }
            b')' if !quoted => deep = deep.checked_sub(1).expect("closed as often as opened"),
            _ => {}
        }
    }
    assert_eq!((deep, quoted), (0, false), "closed in the end");
    deepest
}

#[tokio::test]
async fn cyclic_mime_ends() {
    let server = Server::start().await;
    let messages = cyclic::messages();
    for (_, message) in &messages {
        server.mailbox.deliver("INBOX", &message.replace("\r\n", "\n"));
    }
    let mut imap = server.inbox().await;
    let work = Work::begin();
    let beyond = "1.".repeat(60);
    for (number, (what, message)) in (1..).zip(&messages) {
        let lines = imap.transact("OK", &format!("FETCH {number} (ENVELOPE BODYSTRUCTURE BODY PREVIEW)")).await;
        let line = one(&lines, " FETCH (");
        // A level is a parenthesis, and an embedded message's envelope and addresses some more.
        let levels = mail::mime::Limits::default().depth;
        assert!(depth(line) < 2 * levels + 10, "{what}: {}", depth(line));
        assert!(line.len() < 4 * 1024 * 1024, "{what}: {} octets", line.len());
        let sections = format!("BODY.PEEK[1] BODY.PEEK[1.1.1.1.1] BODY.PEEK[1.MIME] BODY.PEEK[{beyond}1]");
        let lines = imap.transact("OK", &format!("FETCH {number} ({sections} BINARY.SIZE[1.1])")).await;
        assert!(lines[0].contains(&format!("BODY[{beyond}1] NIL")), "{what}");
        assert!(lines.iter().map(String::len).sum::<usize>() < 3 * message.len() + 4096, "{what}");
    }
    let all: Vec<String> = (1..=messages.len()).map(|n| n.to_string()).collect();
    assert_eq!(imap.transact("OK", "SEARCH SUBJECT cyclique").await[0], format!("* SEARCH {}", all.join(" ")));
    assert_eq!(imap.transact("OK", "SEARCH TEXT introuvable").await[0], "* SEARCH");
    let found = imap.transact("OK", "SEARCH BODY trouvable").await;
    assert!(found[0].len() > "* SEARCH".len(), "{found:?}");
    // Each once, though they are all one another's answers.
    let threads = imap.transact("OK", "THREAD REFERENCES UTF-8 ALL").await;
    let mut threaded: Vec<&str> = threads[0].split(|c: char| !c.is_ascii_digit()).filter(|n| !n.is_empty()).collect();
    threaded.sort_by_key(|n| n.parse::<u32>().ok());
    assert_eq!(threaded, all);
    assert!(work.spent() < Duration::from_secs(30), "{:?}", work.spent());
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
