//! The operator interface: who the peer is comes from its certificate. OPE-03, OPE-04.

use std::sync::atomic::Ordering;

use crate::recorder::Server;
use crate::talk::Talk;

#[tokio::test]
async fn without_a_good_certificate_mail_is_refused_with_the_reason() {
    for (shows, reason) in [
        (None, "550 5.7.1 No client certificate"),
        (Some("revoked"), "550 5.7.1 Client certificate refused: certificate revoked"),
    ] {
        let server = Server::mx().await;
        let mut talk = Talk::secure(server.address, shows).await;
        talk.transact(reason, "MAIL FROM:<a@alpha.mssante.fr>").await;
        talk.transact(reason, "MAIL FROM:<>").await;
        talk.transact("503", "RCPT TO:<b@beta.mssante.fr>").await;
        talk.transact("503", "DATA").await;
        talk.transact("221", "QUIT").await;
        assert_eq!(server.recorder.identified.load(Ordering::SeqCst), 1, "asked once");
        assert!(server.recorder.messages().is_empty());
    }
}

#[tokio::test]
async fn a_good_certificate_is_asked_about_once() {
    let server = Server::mx().await;
    let mut talk = Talk::secure(server.address, Some("peer")).await;
    for _ in 0..3 {
        talk.envelope().await;
        talk.transact("250", "RSET").await;
    }
    assert_eq!(server.recorder.identified.load(Ordering::SeqCst), 1);
}
