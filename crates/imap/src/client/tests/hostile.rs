//! Servers that mean harm: every one ends in a typed error, in bounded memory and time.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use trust::revocation::Revocation;
use trust::tls::{Anchors, ClientTls, Connector, Profile, Tls13};
use trust::{SystemClock, pki};

use super::talk::{play, short};
use crate::client::{
    ClientError, Code, Connection, MAX_LITERALS, MAX_TEXT, MAX_TEXT_BEFORE, Patience, Piece, ResponseReader, Wanted,
    open,
};

/// What reading `piece` again and again comes to.
async fn endless(piece: &'static [u8], authenticated: bool) -> ClientError {
    let (ours, mut theirs) = duplex(1 << 16);
    tokio::spawn(async move { while theirs.write_all(piece).await.is_ok() {} });
    let mut reader = ResponseReader::new(ours, Patience::default());
    if authenticated {
        reader.authenticated();
    }
    for _ in 0..10_000 {
        match reader.next().await {
            Ok(Piece::Response(octets)) => assert!(octets.len() <= MAX_TEXT + MAX_LITERALS as usize),
            Ok(Piece::Message(_)) => panic!("nobody asked for a message"),
            Err(error) => return error,
        }
    }
    panic!("{piece:?} is read without end")
}

#[tokio::test]
async fn endless_responses() {
    for authenticated in [false, true] {
        for piece in
            [&b"a"[..], b"* ", b"\"", b"(((((((((( ", b"* X {0}\r\n", b"* X {1}\r\nx", b"* X {1+}\r\n ", b"{000"]
        {
            let error = endless(piece, authenticated).await;
            assert!(matches!(error, ClientError::TooMuch(_)), "{piece:?}: {error}");
        }
    }
}

async fn first(octets: &'static [u8]) -> ClientError {
    let mut reader = ResponseReader::new(octets, short());
    reader.authenticated();
    reader.next().await.expect_err("no response")
}

#[tokio::test]
async fn announcements_that_are_too_large() {
    for octets in [
        &b"* 1 FETCH (BODY[] {4294967296}\r\nx"[..],
        b"* 1 FETCH (BODY[HEADER] {2097153}\r\n",
        b"* 1 FETCH (BODY[] {99999999999999999999999}\r\n",
        b"* 1 FETCH (A {2000000}\r\n",
    ] {
        let error = first(octets).await;
        assert!(matches!(error, ClientError::TooMuch(_) | ClientError::Closed), "{error}");
    }
    // Announced and not sent: no memory for it, and the end is the end.
    assert!(matches!(first(b"* 1 FETCH (BODY[HEADER] {2000000}\r\nx").await, ClientError::Closed));
    // Before the login literals are smaller.
    let mut reader = ResponseReader::new(&b"* LIST () NIL {100000}\r\n"[..], short());
    assert!(matches!(reader.next().await, Err(ClientError::TooMuch(_))));
    const { assert!(MAX_TEXT_BEFORE < 100_000) };
}

/// What people are told may look like a literal.
#[tokio::test]
async fn braces_in_text_are_text() {
    let mut reader = ResponseReader::new(&b"* OK hello {99}\r\nv1 NO no {7}\r\n+ go {3}\r\n* BYE {1}\r\n"[..], short());
    for _ in 0..4 {
        assert!(matches!(reader.next().await, Ok(Piece::Response(_))));
    }
}

#[tokio::test]
async fn one_octet_at_a_time() {
    let (ours, mut theirs) = duplex(1);
    let text = b"* 1 FETCH (UID 7 BODY[HEADER] {6}\r\na: b\r\n FLAGS ())\r\nv1 OK done\r\n";
    tokio::spawn(async move {
        for octet in text {
            theirs.write_all(&[*octet]).await.expect("taken");
        }
        let mut rest = Vec::new();
        let _ = theirs.read_to_end(&mut rest).await;
    });
    let mut reader = ResponseReader::new(ours, short());
    let Ok(Piece::Response(response)) = reader.next().await else { panic!("a response") };
    assert_eq!(&response[..], &text[..text.len() - 12]);
    let Ok(Piece::Response(response)) = reader.next().await else { panic!("a response") };
    assert_eq!(&response[..], b"v1 OK done\r\n");
}

#[tokio::test]
async fn silence_and_a_slow_drip_end() {
    let (ours, theirs) = duplex(64);
    let mut reader = ResponseReader::new(ours, short());
    assert!(matches!(reader.next().await, Err(ClientError::Silent)));
    drop(theirs);
    let (ours, mut theirs) = duplex(64);
    tokio::spawn(async move {
        while theirs.write_all(b"a").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    let began = tokio::time::Instant::now();
    let mut reader = ResponseReader::new(ours, short());
    assert!(matches!(reader.next().await, Err(ClientError::Silent)));
    assert!(began.elapsed() >= short().silence * 2, "it was not silent");
    // A server that takes nothing.
    let (ours, _theirs) = duplex(8);
    let mut reader = ResponseReader::new(ours, short());
    assert!(matches!(reader.send(&[b'a'; 100]).await, Err(ClientError::Silent)));
}

#[tokio::test]
async fn answers_to_nothing() {
    for script in [
        "C: v1 NOOP\nS: v2 OK done",
        "C: v1 NOOP\nS: + go on",
        "C: v1 NOOP\nR: * 1 FETCH (UID 1\\r\\n",
        "C: v1 NOOP\nS: garbage",
        "C: v1 NOOP\nS: * 1 FETCH (UID 99999999999)",
    ] {
        let (mut client, server) = play(script);
        let error = client.noop(&mut |_| {}).await.expect_err("no answer");
        assert!(matches!(error, ClientError::Protocol(_)), "{script}: {error}");
        assert!(!error.is_clean());
        drop((client, server));
    }
}

#[tokio::test]
async fn bye_at_each_place() {
    for script in [
        "S: * BYE [UNAVAILABLE] later",
        "S: * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] ready\nC: v1 AUTHENTICATE*\nS: * BYE [UNAVAILABLE] later",
        "S: * OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2] ready\nC: v1 AUTHENTICATE*\nS: + \nC: d*\nS: * BYE [UNAVAILABLE] later",
        "S: * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] ready\nC: v1 AUTHENTICATE*\nS: v1 OK in\nC: v2 CAPABILITY\n\
         S: * BYE [UNAVAILABLE] later",
    ] {
        let (mut client, server) = play(script);
        let error = match client.greeting().await {
            Ok(_) => {
                let sasl = crate::client::Sasl::XOAuth2 { user: "u", token: "t" };
                client.authenticate(&sasl).await.expect_err("bye")
            }
            Err(error) => error,
        };
        assert!(matches!(error, ClientError::Bye(_)), "{script}: {error}");
        assert_eq!(error.code(), Some(&Code::Unavailable));
        drop((client, server));
    }
    // In a message, the words would be part of it; after its octets they are not.
    let (mut client, server) =
        play("C: v1 UID FETCH 5 (UID BODY.PEEK[])\nR: * 2 FETCH (UID 5 BODY[] {5}\\r\\n* BYE\nS: )\nS: * BYE now");
    let (mut sink, mut given) = (Vec::new(), 0);
    let error = client.message(Wanted { uid: 5, from: 0, limit: 99 }, &mut sink, &mut given).await.expect_err("bye");
    assert!(matches!(error, ClientError::Bye(_)), "{error}");
    assert_eq!(sink, b"* BYE");
    drop((client, server));
}

/// The message of another UID, or two of them, is not taken for the one asked for.
#[tokio::test]
async fn another_message() {
    for script in [
        "C: v1 UID FETCH*\nS: * 2 FETCH (UID 6 BODY[] \"x\")\nS: v1 OK done",
        "C: v1 UID FETCH*\nR: * 2 FETCH (UID 5 BODY[] {1}\\r\\nx)\\r\\n* 2 FETCH (UID 5 BODY[] {1}\\r\\nx)\\r\\nv1 OK done\\r\\n",
    ] {
        let (mut client, server) = play(script);
        let (mut sink, mut given) = (Vec::new(), 0);
        let error = client.message(Wanted { uid: 5, from: 0, limit: 99 }, &mut sink, &mut given).await;
        assert!(matches!(error, Err(ClientError::Protocol(_))), "{script}");
        drop((client, server));
    }
}

#[tokio::test]
async fn a_flood_before_a_continuation_is_bounded() {
    let (ours, mut theirs) = duplex(1 << 16);
    tokio::spawn(async move { while theirs.write_all(b"* 1 EXISTS\r\n").await.is_ok() {} });
    let mut client = Connection::new(ours, Patience::default());
    let command = crate::client::Command::new("UID SEARCH").text(" SUBJECT ").string("é");
    let error = client.run(&command, &mut |_| {}).await.expect_err("a flood");
    assert!(matches!(error, ClientError::TooMuch(_)), "{error}");
}

fn connector() -> Connector {
    let authority = pki::TestAuthority::generate("http://127.0.0.1:1", SystemClock::shared()).expect("OpenSSL works");
    let organization = pki::Organization::new("1750000001", "Alpha", "75");
    let issued = authority.issue(&pki::LeafRequest::server("a.test", &organization, &[], &[])).expect("a short name");
    let anchors = Anchors::from_pem(&issued.chain_pem().expect("OpenSSL works")).expect("certificates");
    Connector::new(ClientTls {
        identity: None,
        profile: Profile::ApiLps,
        tls13: Tls13::Allowed,
        tls10_until: None,
        anchors,
        revocation: std::sync::Arc::new(Revocation::none()),
        clock: SystemClock::shared(),
    })
    .expect("a connector")
}

/// LPS-NOPLAIN, seen from the client: without STARTTLS nothing more is said, and nothing said before TLS survives it.
#[tokio::test]
async fn starttls_or_nothing() {
    let connector = connector();
    for (script, wanted) in [
        ("* OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2] ready\r\n", "NoStartTls"),
        ("* PREAUTH [CAPABILITY IMAP4rev1 STARTTLS] welcome\r\n", "NoStartTls"),
        ("* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\nv1 NO not now\r\n", "NoStartTls"),
        ("* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\nv1 BAD what\r\n", "NoStartTls"),
        ("* OK ready\r\n* CAPABILITY IMAP4rev1\r\nv1 OK done\r\n", "NoStartTls"),
        ("* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\nv1 OK go\r\n* CAPABILITY AUTH=XOAUTH2\r\n", "Injected"),
        ("* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\nv1 OK go\r\nx", "Injected"),
        ("HTTP/1.1 400 Bad Request\r\n\r\n", "Protocol"),
        ("* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n", "Closed"),
    ] {
        let (ours, mut theirs) = duplex(1 << 16);
        theirs.write_all(script.as_bytes()).await.expect("room");
        let said = tokio::spawn(async move {
            let (mut reader, mut writer) = tokio::io::split(theirs);
            if wanted == "Closed" {
                writer.shutdown().await.expect("a pipe");
            }
            let mut said = Vec::new();
            let _ = reader.read_to_end(&mut said).await;
            String::from_utf8_lossy(&said).into_owned()
        });
        let error = open(ours, "a.test", &connector, short()).await.expect_err("no connection");
        assert!(format!("{error:?}").starts_with(wanted), "{script:?}: {error:?}");
        let said = said.await.expect("read");
        assert!(!said.to_ascii_uppercase().contains("AUTH") && !said.contains("LOGIN"), "{said}");
    }
}
