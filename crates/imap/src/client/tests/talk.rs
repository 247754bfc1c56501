//! Conversations with a scripted server.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex};

use crate::client::{Appended, ClientError, Code, Command, Connection, Patience, Resync, Sasl, Untagged, Wanted};

pub(super) type Pipe = Connection<DuplexStream>;

pub(super) fn short() -> Patience {
    Patience { silence: Duration::from_millis(300), answer: Duration::from_secs(2), more: Duration::ZERO }
}

/// A connection to a server that plays `script`: `C: ` lines are expected (`*` at the end: anything more), `S: ` lines are sent
/// with a line end, `R: ` without.
pub(super) fn play(script: &'static str) -> (Pipe, tokio::task::JoinHandle<()>) {
    let (ours, theirs) = duplex(1 << 16);
    let server = tokio::spawn(async move {
        let mut theirs = BufReader::new(theirs);
        for line in script.lines().map(str::trim_start) {
            if let Some(wanted) = line.strip_prefix("C: ") {
                let mut said = String::new();
                theirs.read_line(&mut said).await.expect("a line");
                let said = said.trim_end_matches("\r\n");
                match wanted.strip_suffix('*') {
                    Some(start) => assert!(said.starts_with(start), "{said:?} for {wanted:?}"),
                    None => assert_eq!(said, wanted),
                }
            } else if let Some(sent) = line.strip_prefix("S: ") {
                theirs.write_all(format!("{sent}\r\n").as_bytes()).await.expect("taken");
            } else if let Some(sent) = line.strip_prefix("R: ") {
                theirs.write_all(sent.replace("\\r\\n", "\r\n").as_bytes()).await.expect("taken");
            }
        }
        let mut rest = String::new();
        let _ = theirs.read_to_string(&mut rest).await;
        assert_eq!(rest, "", "more than the script has");
    });
    (Connection::new(ours, short()), server)
}

async fn end(connection: Pipe, server: tokio::task::JoinHandle<()>) {
    drop(connection);
    server.await.expect("the script was played");
}

const TOKEN: Sasl<'static> = Sasl::XOAuth2 { user: "marie@alpha", token: "good" };

#[tokio::test]
async fn xoauth2_with_an_initial_response() {
    let (mut client, server) = play(
        "S: * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] ready
         C: v1 AUTHENTICATE XOAUTH2 dXNlcj1tYXJpZUBhbHBoYQFhdXRoPUJlYXJlciBnb29kAQE=
         S: v1 OK [CAPABILITY IMAP4rev1 IDLE] in",
    );
    client.greeting().await.expect("greeted");
    client.authenticate(&TOKEN).await.expect("authenticated");
    assert!(client.capabilities().has("IDLE") && !client.capabilities().has("SASL-IR"));
    end(client, server).await;
}

#[tokio::test]
async fn xoauth2_without_and_the_capabilities_asked_anew() {
    let (mut client, server) = play(
        "S: * OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2] ready
         C: v1 AUTHENTICATE XOAUTH2
         S: +
         C: dXNlcj1tYXJpZUBhbHBoYQFhdXRoPUJlYXJlciBnb29kAQE=
         S: v1 OK in
         C: v2 CAPABILITY
         S: * CAPABILITY IMAP4rev1 MOVE
         S: v2 OK done",
    );
    client.greeting().await.expect("greeted");
    client.authenticate(&TOKEN).await.expect("authenticated");
    assert!(client.capabilities().has("MOVE"));
    end(client, server).await;
}

/// Both refusal styles, one after the other, on one connection that goes on.
#[tokio::test]
async fn xoauth2_refused() {
    let (mut client, server) = play(
        "S: * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] ready
         C: v1 AUTHENTICATE XOAUTH2 *
         S: + eyJzdGF0dXMiOiI0MDEifQ==
         C: 
         S: v1 NO [AUTHENTICATIONFAILED] refused
         C: v2 AUTHENTICATE XOAUTH2 *
         S: v2 NO [UNAVAILABLE] later
         C: v3 AUTHENTICATE XOAUTH2 *
         S: + e30=
         C: 
         S: + e30=
         C: 
         S: + e30=",
    );
    client.greeting().await.expect("greeted");
    let error = client.authenticate(&TOKEN).await.expect_err("refused");
    assert_eq!(error.code(), Some(&Code::AuthenticationFailed));
    assert!(error.is_clean());
    let error = client.authenticate(&TOKEN).await.expect_err("refused");
    assert_eq!(error.code(), Some(&Code::Unavailable));
    let error = client.authenticate(&TOKEN).await.expect_err("challenges without end");
    assert!(matches!(error, ClientError::Protocol(_)));
    drop((client, server));
}

#[tokio::test]
async fn external_with_and_without_initial_response() {
    let (mut client, server) = play(
        "S: * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=EXTERNAL] ready
         C: v1 AUTHENTICATE EXTERNAL YXBwQGFscGhh
         S: v1 NO [AUTHORIZATIONFAILED] not yours
         C: v2 AUTHENTICATE EXTERNAL =
         S: v2 OK [CAPABILITY IMAP4rev1] in",
    );
    client.greeting().await.expect("greeted");
    let refused = client.authenticate(&Sasl::External { authorization: "app@alpha" }).await.expect_err("refused");
    assert_eq!(refused.code(), Some(&Code::AuthorizationFailed));
    let missing = client.authenticate(&TOKEN).await.expect_err("not offered");
    assert!(matches!(missing, ClientError::NoMechanism("XOAUTH2")));
    client.authenticate(&Sasl::External { authorization: "" }).await.expect("in");
    end(client, server).await;
}

#[tokio::test]
async fn news_among_the_answers_is_not_lost() {
    let (mut client, server) = play(
        "C: v1 NOOP
         S: * 3 EXISTS
         S: * 2 FETCH (UID 5 FLAGS (\\Seen))
         S: * VANISHED 9
         S: v1 OK done",
    );
    let mut news = Vec::new();
    client.noop(&mut |untagged| news.push(untagged)).await.expect("done");
    assert!(matches!(news[..], [Untagged::Exists(3), Untagged::Fetch(_), Untagged::Vanished(false, _)]), "{news:?}");
    end(client, server).await;
}

/// News that comes while the server's permission for a literal is waited for is given with the answers.
#[tokio::test]
async fn a_literal_that_needs_permission() {
    let (mut client, server) = play(
        "C: v1 UID SEARCH SUBJECT {3}
         S: * 4 EXISTS
         S: + go
         C: é*
         C: 
         S: * SEARCH 7
         S: v1 OK done
         C: v2 UID SEARCH SUBJECT {3}
         S: v2 NO [BADCHARSET] no",
    );
    let mut news = Vec::new();
    let command = Command::new("UID SEARCH").text(" SUBJECT ").string("é\n");
    // The line feed in the string is part of the literal: read as a line of its own by the script.
    client.run(&command, &mut |untagged| news.push(untagged)).await.expect("done");
    assert_eq!(news, [Untagged::Exists(4), Untagged::Search(vec![7])]);
    let refused = client.run(&command, &mut |_| {}).await.expect_err("refused");
    assert!(refused.is_clean());
    drop((client, server));
}

#[tokio::test]
async fn commands_under_way_together() {
    let (mut client, server) = play(
        "C: v1 NOOP
         C: v2 NOOP
         S: * 1 EXISTS
         S: v1 OK done
         S: * 2 EXISTS
         S: v2 OK done",
    );
    let first = client.submit(&Command::new("NOOP")).await.expect("sent");
    let second = client.submit(&Command::new("NOOP")).await.expect("sent");
    let mut seen = Vec::new();
    client.complete(first, &mut |untagged| seen.push(untagged)).await.expect("done");
    assert_eq!(seen, [Untagged::Exists(1)]);
    client.complete(second, &mut |untagged| seen.push(untagged)).await.expect("done");
    end(client, server).await;
}

#[tokio::test]
async fn a_folder_opened_again() {
    let (mut client, server) = play(
        "S: * OK [CAPABILITY IMAP4rev1 ENABLE QRESYNC CONDSTORE] ready
         C: v1 ENABLE QRESYNC
         S: * ENABLED QRESYNC
         S: v1 OK done
         C: v2 SELECT \"&AMk-t&AOk-\" (QRESYNC (7 90))
         S: * 9 EXISTS
         S: * OK [CLOSED] the other
         S: * 5 EXISTS
         S: * OK [UIDVALIDITY 7] told
         S: * OK [UIDNEXT 20] told
         S: * OK [HIGHESTMODSEQ 95] told
         S: * VANISHED (EARLIER) 3:4
         S: * 2 FETCH (UID 6 FLAGS (\\Seen) MODSEQ (94))
         S: v2 OK [READ-ONLY] done",
    );
    client.greeting().await.expect("greeted");
    client.enable(&["QRESYNC", "UTF8=ACCEPT"]).await.expect("enabled");
    let mut changes = Vec::new();
    let resync = Resync { validity: 7, modseq: 90 };
    let selected = client.select("Été", Some(resync), &mut |untagged| changes.push(untagged)).await.expect("open");
    assert_eq!((selected.exists, selected.validity, selected.next, selected.modseq), (5, 7, 20, Some(95)));
    assert!(selected.read_only);
    assert_eq!(changes.len(), 2);
    end(client, server).await;
}

#[tokio::test]
async fn a_message_streams_and_goes_on() {
    let (mut client, server) = play(
        "C: v1 UID FETCH 5 (UID BODY.PEEK[])
         S: * 3 EXISTS
         R: * 2 FETCH (FLAGS (\\Seen) BODY[] {10}\\r\\n012345
         R: 6789 UID 5)\\r\\nv1 OK done\\r\\n
         C: v2 UID FETCH 5 (UID BODY.PEEK[]<4.4294967295>)
         R: * 2 FETCH (UID 5 BODY[]<4> {6}\\r\\n456789)\\r\\nv2 OK done\\r\\n
         C: v3 UID FETCH 6 (UID BODY.PEEK[])
         S: v3 OK nothing
         C: v4 UID FETCH 7 (UID BODY.PEEK[])
         S: * 2 FETCH (UID 7 BODY[] \"short\")
         S: v4 OK done
         C: v5 UID FETCH 8 (UID BODY.PEEK[])
         S: * 9 FETCH (UID 8 BODY[] {4000000000}",
    );
    let mut sink = Vec::new();
    let mut given = 0;
    client.message(Wanted { uid: 5, from: 0, limit: 10 }, &mut sink, &mut given).await.expect("given");
    assert_eq!((sink.as_slice(), given), (&b"0123456789"[..], 10));
    sink.truncate(4);
    given = 4;
    client.message(Wanted { uid: 5, from: 4, limit: 10 }, &mut sink, &mut given).await.expect("given");
    assert_eq!((sink.as_slice(), given), (&b"0123456789"[..], 10));
    let missing = client.message(Wanted { uid: 6, from: 0, limit: 10 }, &mut sink, &mut given).await;
    assert!(matches!(missing, Err(ClientError::Missing)));
    let mut sink = Vec::new();
    client.message(Wanted { uid: 7, from: 0, limit: 10 }, &mut sink, &mut given).await.expect("given");
    assert_eq!(sink, b"short");
    let large = client.message(Wanted { uid: 8, from: 0, limit: 10 }, &mut sink, &mut given).await;
    assert!(matches!(large, Err(ClientError::TooLarge { limit: 10 })));
    drop((client, server));
}

#[tokio::test]
async fn many_messages() {
    let (mut client, server) = play(
        "C: v1 UID FETCH 1:3 (UID BODY.PEEK[])
         R: * 1 FETCH (UID 1 BODY[] {3}\\r\\nabc)\\r\\n* 2 FETCH (UID 2 BODY[] {12}\\r\\nabcdefghijkl)\\r\\n
         S: * 3 FETCH (BODY[] \"q\" UID 3)
         S: v1 OK done",
    );
    let mut given = Vec::new();
    client.messages("1:3", "UID", 10, &mut |fetched, octets| given.push((fetched.uid, octets))).await.expect("given");
    assert_eq!(given, [(Some(1), Some("abc".into())), (Some(2), None), (Some(3), Some("q".into()))]);
    end(client, server).await;
}

#[tokio::test]
async fn a_message_is_appended() {
    let (mut client, server) = play(
        "S: * OK [CAPABILITY IMAP4rev1 UIDPLUS APPENDLIMIT=9] ready
         C: v1 APPEND \"Sent\" (\\Seen) {5}
         S: + go
         C: hello
         S: v1 OK [APPENDUID 7 12] done
         C: v2 APPEND \"Sent\" {5}
         S: v2 NO [OVERQUOTA] full",
    );
    client.greeting().await.expect("greeted");
    let mut begun = false;
    let seen = Appended { flags: &["\\Seen"], size: 5, ..Appended::default() };
    let uid = client.append("Sent", &seen, &mut &b"hello"[..], &mut begun).await.expect("put");
    assert_eq!((uid, begun), (Some((7, 12)), true));
    begun = false;
    let of = |size| Appended { size, ..Appended::default() };
    let full = client.append("Sent", &of(5), &mut &b"hello"[..], &mut begun).await.expect_err("full");
    assert_eq!((full.code(), begun), (Some(&Code::OverQuota), false));
    let large = client.append("Sent", &of(10), &mut &b"hello"[..], &mut begun).await;
    assert!(matches!(large, Err(ClientError::TooLarge { limit: 9 })));
    end(client, server).await;
}

#[tokio::test]
async fn idle_waits_longer_than_patience() {
    let (mut client, server) = play(
        "S: * OK [CAPABILITY IMAP4rev1 IDLE] ready
         C: v1 IDLE
         S: * 1 EXISTS
         S: + waiting
         S: * 2 EXISTS
         C: DONE
         S: * 3 EXISTS
         S: v1 OK done",
    );
    client.greeting().await.expect("greeted");
    let mut seen = Vec::new();
    let tag = client.idle(&mut |untagged| seen.push(untagged)).await.expect("waiting");
    seen.push(client.news().await.expect("news"));
    // Cancelled while it waits, nothing is lost.
    assert!(tokio::time::timeout(short().silence * 2, client.news()).await.is_err());
    client.idle_done(tag, &mut |untagged| seen.push(untagged)).await.expect("done");
    assert_eq!(seen, [Untagged::Exists(1), Untagged::Exists(2), Untagged::Exists(3)]);
    end(client, server).await;
}

#[tokio::test]
async fn a_password_for_a_server_of_elsewhere() {
    let (mut client, server) = play(
        "S: * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] ready
         C: v1 AUTHENTICATE PLAIN
         S: +
         C: AG1hcmllAHNlY3JldA==
         S: v1 NO [AUTHENTICATIONFAILED] no
         C: v2 LOGIN \"marie\" \"se\\\"cret\"
         S: v2 OK [CAPABILITY IMAP4rev1 LOGINDISABLED] in",
    );
    client.greeting().await.expect("greeted");
    let plain = Sasl::Plain { user: "marie", password: "secret" };
    let error = client.authenticate(&plain).await.expect_err("refused");
    assert_eq!(error.code(), Some(&Code::AuthenticationFailed));
    client.login("marie", "se\"cret").await.expect("in");
    assert!(matches!(client.login("marie", "x").await, Err(ClientError::NoMechanism("LOGIN"))));
    end(client, server).await;
}

/// RFC 6855 §4: a header in UTF-8 is said to be one, once UTF8=ACCEPT is enabled.
#[tokio::test]
async fn a_message_with_utf8_in_its_header_is_appended() {
    let (mut client, server) = play(
        "S: * OK [CAPABILITY IMAP4rev1 ENABLE UTF8=ACCEPT LITERAL+] ready
         C: v1 APPEND \"Sent\" {6+}
         C: hé!
         C: 
         S: v1 OK done
         C: v2 ENABLE UTF8=ACCEPT
         S: * ENABLED UTF8=ACCEPT
         S: v2 OK done
         C: v3 APPEND \"Sent\" UTF8 (~{6+}
         C: hé!
         C: )
         S: v3 OK done
         C: v4 APPEND \"Sent\" {6+}
         C: hey!
         C: 
         S: v4 OK done",
    );
    client.greeting().await.expect("greeted");
    let mut begun = false;
    let octets = "hé!\r\n";
    let utf8 = Appended { size: octets.len() as u64, utf8_header: true, ..Appended::default() };
    client.append("Sent", &utf8, &mut octets.as_bytes(), &mut begun).await.expect("put");
    client.enable(&["UTF8=ACCEPT"]).await.expect("enabled");
    client.append("Sent", &utf8, &mut octets.as_bytes(), &mut begun).await.expect("put");
    let ascii = Appended { size: 6, ..Appended::default() };
    client.append("Sent", &ascii, &mut &b"hey!\r\n"[..], &mut begun).await.expect("put");
    end(client, server).await;
}
