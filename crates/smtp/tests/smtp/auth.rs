//! AUTH on a submission. SMA-01 to SMA-04, SMA-07, LPS-ERR.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use smtp::Role;

use crate::recorder::{GOOD, SLOW, Server};
use crate::talk::Talk;

const BAD: &[u8] = b"user=a@alpha.mssante.fr\x01auth=Bearer bad\x01\x01";

fn b64(octets: &[u8]) -> String {
    STANDARD.encode(octets)
}

async fn submission() -> (Server, Talk) {
    let server = Server::submission().await;
    let talk = Talk::secure(server.address, None).await;
    (server, talk)
}

async fn sends(talk: &mut Talk) {
    talk.envelope().await;
    talk.transact("354", "DATA").await;
    talk.transact("250 2.0.0", "x\r\n.").await;
}

// SMA-02
#[tokio::test]
async fn xoauth2_with_and_without_initial_response() {
    let (server, mut with) = submission().await;
    with.transact("235 2.7.0", &format!("AUTH XOAUTH2 {}", b64(GOOD))).await;
    with.transact("503 5.5.1", "AUTH XOAUTH2").await;
    let ehlo = with.transact("250", "EHLO again").await;
    assert!(!ehlo.contains("AUTH"));
    sends(&mut with).await;
    let mut without = Talk::secure(server.address, None).await;
    assert_eq!(without.transact("334", "auth xoauth2").await, "334 ");
    without.transact("235 2.7.0", &b64(GOOD)).await;
    sends(&mut without).await;
    assert_eq!(server.recorder.messages().len(), 2);
}

// SMA-03: challenge, any answer, 535; then MAIL is refused, and a good token is still accepted.
#[tokio::test]
async fn a_refused_token_gets_the_challenge_then_535() {
    for answer in ["", "*", "anything"] {
        let (_server, mut talk) = submission().await;
        let challenge = talk.transact("334 ", &format!("AUTH XOAUTH2 {}", b64(BAD))).await;
        let json = STANDARD.decode(&challenge[4..]).expect("base64");
        assert_eq!(json, br#"{"status":"401","schemes":"bearer","scope":"mail"}"#);
        talk.transact("535 5.7.8", answer).await;
        talk.transact("530 5.7.0", "MAIL FROM:<a@alpha.mssante.fr>").await;
        talk.transact("235", &format!("AUTH XOAUTH2 {}", b64(GOOD))).await;
        sends(&mut talk).await;
    }
}

// LPS-ERR: our trouble is never a refusal.
#[tokio::test]
async fn trouble_is_454() {
    let (_server, mut talk) = submission().await;
    talk.transact("454 4.7.0", &format!("AUTH XOAUTH2 {}", b64(SLOW))).await;
    talk.transact("235", &format!("AUTH XOAUTH2 {}", b64(GOOD))).await;
}

// SMA-04
#[tokio::test]
async fn without_auth_nothing_is_taken() {
    let (server, mut talk) = submission().await;
    talk.transact("530 5.7.0 Authentication required", "MAIL FROM:<a@alpha.mssante.fr>").await;
    talk.transact("503", "RCPT TO:<b@beta.mssante.fr>").await;
    talk.transact("503", "DATA").await;
    assert!(server.recorder.messages().is_empty());
}

#[tokio::test]
async fn bad_exchanges() {
    let (server, mut talk) = submission().await;
    talk.transact("504 5.5.4", "AUTH PLAIN AGEAYg==").await;
    talk.transact("504 5.5.4", "AUTH LOGIN").await;
    talk.transact("501", "AUTH").await;
    talk.transact("501 5.5.2", "AUTH XOAUTH2 not-base64!").await;
    talk.transact("334", "AUTH XOAUTH2").await;
    talk.transact("501 5.7.0", "*").await;
    talk.transact("334", "AUTH XOAUTH2").await;
    talk.transact("501 5.5.2", "%%%%").await;
    talk.transact("334", "AUTH XOAUTH2").await;
    talk.transact("500 5.5.6", &"A".repeat(12_287)).await;
    assert!(server.recorder.credentials.lock().expect("no panic").is_empty());
    // An empty initial response is one.
    talk.transact("334 ", "AUTH XOAUTH2 =").await;
    talk.transact("535", "").await;
    assert_eq!(*server.recorder.credentials.lock().expect("no panic"), [Vec::<u8>::new()]);
}

// SMA-07: RFC 4954 §4 wants 12,288 octets.
#[tokio::test]
async fn a_long_token_reaches_the_backend() {
    let (server, mut talk) = submission().await;
    for token in [8 * 1024, 9213] {
        let response = vec![b'x'; token];
        talk.transact("334 ", &format!("AUTH XOAUTH2 {}", b64(&response))).await;
        talk.transact("535", "").await;
        talk.transact("334 ", "AUTH XOAUTH2").await;
        talk.transact("334 ", &b64(&response)).await;
        if talk.transact("535", "").await.contains("Too many") {
            break;
        }
    }
    let credentials = server.recorder.credentials.lock().expect("no panic");
    assert_eq!(credentials.iter().map(Vec::len).collect::<Vec<_>>(), [8192, 8192, 9213, 9213]);
}

// LPS-APP
#[tokio::test]
async fn external() {
    let (_server, mut talk) = submission().await;
    talk.transact("535 5.7.8", &format!("AUTH EXTERNAL {}", b64(b"other@alpha.mssante.fr"))).await;
    talk.transact("535 5.7.8", "AUTH EXTERNAL =").await;
    talk.transact("501", &format!("AUTH EXTERNAL {}", b64(b"a\0b"))).await;
    talk.transact("334", "AUTH EXTERNAL").await;
    talk.transact("235", &b64(b"app@alpha.mssante.fr")).await;
    sends(&mut talk).await;
}

#[tokio::test]
async fn refusals_have_a_limit_and_the_last_is_still_said() {
    let server = Server::start(Role::Submission, |config| config.max_auth_failures = 2).await;
    let mut talk = Talk::secure(server.address, None).await;
    talk.transact("334", &format!("AUTH XOAUTH2 {}", b64(BAD))).await;
    talk.transact("535", "").await;
    talk.transact("334", &format!("AUTH XOAUTH2 {}", b64(BAD))).await;
    talk.transact("535", "").await;
    talk.expect("421").await;
    talk.closed().await;
}
