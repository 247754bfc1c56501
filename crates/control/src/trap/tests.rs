//! The traps, by ordinary SMTP dialogues.

use std::sync::Arc;
use std::time::Duration;

use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode, SslVersion};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use trust::SystemClock;
use trust::pki::{Issued, LeafRequest, Organization, TestAuthority};
use trust::revocation::{Revocation, RevocationSettings};

use super::record::{End, Session};
use patience::PATIENCE;

use super::serve::{Entrance, Settings, serve};
use super::{Archive, Door, MARK, Presented, Query};
use crate::wire::{Log, SmtpAnswer, Wire, WireError};

const DOMAIN: &str = "pieges.test";

struct Traps {
    archive: Arc<Archive>,
    addresses: Vec<(Door, std::net::SocketAddr)>,
    client: Issued,
    shutdown: CancellationToken,
    tasks: TaskTracker,
    folder: tempfile::TempDir,
}

/// A test authority and one certificate, made once: keys take their time.
fn issued() -> (&'static TestAuthority, Issued) {
    static MADE: std::sync::OnceLock<(TestAuthority, Issued)> = std::sync::OnceLock::new();
    let (authority, leaf) = MADE.get_or_init(|| {
        let authority = TestAuthority::generate("http://127.0.0.1:1", SystemClock::shared()).expect("an authority");
        let organization = Organization::new("1750000001", "HOPITAL ALPHA", "Paris (75)");
        let leaf = authority.issue(&LeafRequest::server("mx.pieges.test", &organization, &[], &[])).expect("a leaf");
        (authority, leaf)
    });
    (authority, leaf.clone())
}

impl Traps {
    async fn open(doors: &[Door]) -> Traps {
        let (authority, leaf) = issued();
        let folder = tempfile::tempdir().expect("a folder");
        let archive = Archive::open(folder.path()).expect("an archive");
        let revocation =
            Revocation::new(RevocationSettings::required(authority.anchors(), Vec::new())).expect("revocation");
        for ca in [trust::pki::Ca::Root, trust::pki::Ca::Organizations] {
            revocation.install(&authority.crl_der(ca).expect("a list")).expect("installed");
        }
        let settings = Settings {
            domain: DOMAIN.to_owned(),
            anchors: authority.anchors(),
            revocation: Arc::new(revocation),
            listed: Arc::new(|_| Some(vec!["alpha.test".to_owned()])),
            clock: SystemClock::shared(),
            route: Arc::new(|_| None),
            slow: Duration::from_millis(300),
            archive: archive.clone(),
        };
        let (mut entrances, mut addresses) = (Vec::new(), Vec::new());
        for door in doors {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            addresses.push((*door, listener.local_addr().expect("bound")));
            let presented =
                Presented::from_pem(&leaf.chain_pem().expect("PEM"), &leaf.key_pem().expect("PEM")).expect("PEM");
            entrances.push(Entrance { door: *door, host: "mx.pieges.test".to_owned(), presented, listener });
        }
        let shutdown = CancellationToken::new();
        let tasks = serve(entrances, settings, &shutdown).expect("opened");
        Traps { archive, addresses, client: leaf, shutdown, tasks, folder }
    }

    fn address(&self, door: Door) -> std::net::SocketAddr {
        self.addresses.iter().find(|(known, _)| *known == door).expect("open").1
    }

    /// Connected, inside TLS, greeted.
    async fn greeted(&self, door: Door) -> Wire {
        let mut wire = Wire::connect(self.address(door), PATIENCE, &Log::default()).await.expect("connected");
        assert_eq!(wire.smtp_answer().await.expect("a greeting").code, 220);
        let answer = wire.smtp("EHLO mx.alpha.test").await.expect("EHLO");
        assert!(answer.extension("STARTTLS").is_some());
        assert_eq!(wire.smtp("STARTTLS").await.expect("STARTTLS").code, 220);
        let mut wire = wire.tls("mx.pieges.test").await.expect("TLS");
        let answer = wire.smtp("EHLO mx.alpha.test").await.expect("EHLO");
        assert!(answer.extension("STARTTLS").is_none() && answer.extension("PIPELINING").is_some());
        wire
    }

    /// The session, once it is over.
    async fn over(&self, find: impl Fn(&Session) -> bool) -> Arc<Session> {
        loop {
            let version = self.archive.version();
            let found =
                self.archive.list(&Query::default(), 1000).into_iter().find(|one| one.end.is_some() && find(one));
            if let Some(found) = found {
                return found;
            }
            assert!(self.archive.changed_since(version, PATIENCE).await > version, "no such session");
        }
    }
}

async fn introduce(wire: &mut Wire, to: &str) -> SmtpAnswer {
    assert_eq!(wire.smtp("MAIL FROM:<marie@alpha.test> SIZE=100").await.expect("MAIL").code, 250);
    answer(wire, &format!("RCPT TO:<{to}>")).await
}

/// Any answer, 421 too.
async fn answer(wire: &mut Wire, line: &str) -> SmtpAnswer {
    wire.say(line).await.expect("said");
    wire.smtp_answer().await.expect("an answer")
}

async fn message(wire: &mut Wire, run: &str) -> SmtpAnswer {
    assert_eq!(wire.smtp("DATA").await.expect("DATA").code, 354);
    answer(wire, &format!("Subject: essai\r\n{MARK}: {run}\r\n\r\n..point\r\n.")).await
}

#[tokio::test]
async fn the_nominal_one_keeps_everything() {
    let traps = Traps::open(&[Door::Usual]).await;
    let mut wire = traps.greeted(Door::Usual).await;
    assert_eq!(introduce(&mut wire, "nominal+r1@pieges.test").await.code, 250);
    assert_eq!(message(&mut wire, "r1").await.code, 250);
    // Acknowledged: on disk, and shown, while the session goes on.
    let one = traps.archive.list(&Query::of_run("r1"), 10).remove(0);
    assert_eq!(one.end, None);
    let expected = format!("Subject: essai\r\n{MARK}: r1\r\n\r\n.point\r\n");
    assert_eq!(traps.archive.message(one.seq, 0).expect("kept"), expected.as_bytes());
    let again = Archive::open(traps.folder.path()).expect("opens");
    assert_eq!(again.list(&Query::of_run("r1"), 10).len(), 1);

    // Another in the same session, without our mark: nothing of its text is kept.
    assert_eq!(introduce(&mut wire, "nominal+r2@pieges.test").await.code, 250);
    wire.smtp("DATA").await.expect("DATA");
    assert_eq!(answer(&mut wire, "Subject: un secret\r\n\r\nx\r\n.").await.code, 250);
    wire.smtp("QUIT").await.expect("QUIT");
    let session = traps.over(|one| one.door == "nominal").await;
    assert_eq!(session.end, Some(End::Quit));
    let (first, second) = (&session.transactions[0], &session.transactions[1]);
    let message = first.message.as_ref().expect("a message");
    assert_eq!(message.sha256, crate::report::sha256(expected.as_bytes()));
    assert!(message.is_whole && message.is_taken && message.is_ours && message.kept == message.octets);
    let other = second.message.as_ref().expect("a message");
    assert!(!other.is_ours && other.kept == 0 && other.field("Subject") == Some(""));
    assert_eq!(traps.archive.message(session.seq, 1), None);
    let tls = session.tls.as_ref().expect("TLS");
    assert_eq!(tls.version.as_deref(), Some("TLS 1.2"));
    assert_eq!(tls.server_name.as_deref(), Some("mx.pieges.test"));
    assert!(tls.offered.contains(&0xC030) && tls.certificate.is_none());
    assert!(!serde_json::to_string(&*session).expect("JSON").contains("un secret"));

    traps.shutdown.cancel();
    tokio::time::timeout(PATIENCE, traps.tasks.wait()).await.expect("stops");
}

#[tokio::test]
async fn faults_are_counted_run_by_run() {
    let traps = Traps::open(&[Door::Usual]).await;
    let mut wire = traps.greeted(Door::Usual).await;
    for (run, codes) in [("r1", [451, 451, 250]), ("r2", [451, 451, 250])] {
        for code in codes {
            assert_eq!(introduce(&mut wire, &format!("liste-grise+{run}@pieges.test")).await.code, code);
            wire.smtp("RSET").await.expect("RSET");
        }
    }
    for (name, code) in [("refus", 550), ("plein", 552), ("inconnu", 550), ("expire", 550)] {
        assert_eq!(introduce(&mut wire, &format!("{name}+r1@pieges.test")).await.code, code, "{name}");
        assert_eq!(wire.smtp("DATA").await.expect("DATA").code, 554);
        wire.smtp("RSET").await.expect("RSET");
    }
    assert_eq!(introduce(&mut wire, "nominal+r1@ailleurs.test").await.code, 550);
    wire.smtp("RSET").await.expect("RSET");
    assert_eq!(introduce(&mut wire, "contenu+r1@pieges.test").await.code, 250);
    assert_eq!(message(&mut wire, "r1").await.code, 554);

    // Slow at RCPT, at DATA and at the end.
    let before = std::time::Instant::now();
    assert_eq!(introduce(&mut wire, "lent+r1@pieges.test").await.code, 250);
    assert_eq!(message(&mut wire, "r1").await.code, 250);
    assert!(before.elapsed() >= Duration::from_millis(900));

    assert_eq!(introduce(&mut wire, "421+r1@pieges.test").await.code, 421);
    assert_eq!(wire.smtp("NOOP").await, Err(WireError::Closed));
    let mut wire = traps.greeted(Door::Usual).await;
    assert_eq!(introduce(&mut wire, "421+r1@pieges.test").await.code, 250);
    wire.smtp("RSET").await.expect("RSET");

    // Cut once, then taken.
    introduce(&mut wire, "coupure-data+r1@pieges.test").await;
    assert_eq!(wire.smtp("DATA").await.expect("DATA").code, 354);
    wire.say("Subject: x").await.expect("said");
    assert_eq!(wire.smtp_answer().await, Err(WireError::Closed));
    let mut wire = traps.greeted(Door::Usual).await;
    introduce(&mut wire, "coupure-data+r1@pieges.test").await;
    assert_eq!(message(&mut wire, "r1").await.code, 250);
    drop(wire);
    let cut = traps.over(|one| one.transactions.iter().any(|t| t.message.as_ref().is_some_and(|m| !m.is_whole))).await;
    assert_eq!((cut.end, cut.taken("r1").count()), (Some(End::ClosedByTrap), 0));
    let whole = traps
        .over(|one| one.recipients().any(|to| to.trap.as_deref() == Some("coupure-data")) && one.seq > cut.seq)
        .await;
    assert_eq!((whole.end, whole.taken("r1").count()), (Some(End::ClosedByPeer), 1));
}

#[tokio::test]
async fn no_mail_in_clear_but_where_nothing_else_is_offered() {
    let traps = Traps::open(&[Door::Usual, Door::SansStarttls]).await;
    for (door, code) in [(Door::Usual, 530), (Door::SansStarttls, 250)] {
        let mut wire = Wire::connect(traps.address(door), PATIENCE, &Log::default()).await.expect("connected");
        wire.smtp_answer().await.expect("a greeting");
        let hello = wire.smtp("EHLO mx.alpha.test").await.expect("EHLO");
        assert_eq!(hello.extension("STARTTLS").is_some(), door == Door::Usual);
        assert_eq!(wire.smtp("MAIL FROM:<marie@alpha.test>").await.expect("MAIL").code, code);
    }
    // Nobody talks for ever.
    let mut wire = Wire::connect(traps.address(Door::Usual), PATIENCE, &Log::default()).await.expect("connected");
    let mut last = wire.smtp_answer().await.expect("a greeting");
    for _ in 0..30 {
        match wire.say("XXX").await {
            Ok(()) => match wire.smtp_answer().await {
                Ok(answer) => last = answer,
                Err(_) => break,
            },
            Err(_) => break,
        }
    }
    assert_eq!(last.code, 421);
    let mut wire = Wire::connect(traps.address(Door::Usual), PATIENCE, &Log::default()).await.expect("connected");
    wire.smtp_answer().await.expect("a greeting");
    let _ = wire.say(&"x".repeat(10_000)).await;
    traps.over(|one| one.end == Some(End::Limit) && one.dialogue.len() < 5).await;
}

#[tokio::test]
async fn an_injected_answer_tells_who_takes_it() {
    let traps = Traps::open(&[Door::Injection]).await;
    for is_taken_in in [false, true] {
        let mut wire =
            Wire::connect(traps.address(Door::Injection), PATIENCE, &Log::default()).await.expect("connected");
        wire.smtp_answer().await.expect("a greeting");
        wire.smtp("EHLO mx.alpha.test").await.expect("EHLO");
        assert_eq!(wire.smtp("STARTTLS").await.expect("STARTTLS").code, 220);
        // Our own client drops what was injected; one that keeps it goes on without waiting for the answer to EHLO.
        let mut wire = wire.tls("mx.pieges.test").await.expect("TLS");
        wire.say("EHLO mx.alpha.test").await.expect("said");
        if is_taken_in {
            wire.say("MAIL FROM:<marie@alpha.test>").await.expect("said");
        }
        let hello = wire.smtp_answer().await.expect("EHLO");
        assert!(hello.extension("X-INJECTE").is_none());
        drop(wire);
        traps.over(|one| one.taken_in == Some(is_taken_in)).await;
    }
}

/// Shakes hands as a client with that version, those suites and a certificate or none; the version agreed on.
async fn shake(
    traps: &Traps,
    door: Door,
    version: SslVersion,
    suites: &str,
    with_certificate: bool,
) -> Result<String, String> {
    let mut stream = tokio::net::TcpStream::connect(traps.address(door)).await.expect("connected");
    let mut said = Vec::new();
    let how = crate::tls::Starttls::Smtp;
    crate::tls::starttls::start(&mut stream, how, PATIENCE, &mut said).await.expect("STARTTLS");
    let mut connector = SslConnector::builder(SslMethod::tls_client()).expect("OpenSSL");
    connector.set_verify(SslVerifyMode::NONE);
    connector.set_security_level(0);
    connector.set_min_proto_version(Some(version)).expect("a version");
    connector.set_max_proto_version(Some(version)).expect("a version");
    connector.set_cipher_list(suites).expect("suites");
    if with_certificate {
        connector.set_certificate(traps.client.certificate()).expect("a certificate");
        connector.set_private_key(traps.client.key()).expect("a key");
        let above =
            openssl::x509::X509::stack_from_pem(&traps.client.chain_pem().expect("PEM")).expect("PEM").remove(1);
        connector.add_extra_chain_cert(above).expect("a chain");
    }
    let ssl =
        connector.build().configure().expect("OpenSSL").verify_hostname(false).into_ssl("x.test").expect("OpenSSL");
    let mut tls = tokio_openssl::SslStream::new(ssl, stream).expect("OpenSSL");
    std::pin::Pin::new(&mut tls).connect().await.map_err(|error| error.to_string())?;
    let bits = tls.ssl().peer_tmp_key().map_or(0, |key| key.bits());
    Ok(format!("{} {bits}", tls.ssl().version_str()))
}

#[tokio::test]
async fn weak_doors_are_weak_and_others_are_not() {
    let doors = [Door::Usual, Door::Tls10, Door::SuitesHorsListe, Door::Dh1024];
    let traps = Traps::open(&doors).await;
    let all = "ALL:@SECLEVEL=0";
    let shaken = |door, version, suites| shake(&traps, door, version, suites, false);
    assert_eq!(shaken(Door::Tls10, SslVersion::TLS1, all).await.as_deref(), Ok("TLSv1 253"));
    assert!(shaken(Door::Tls10, SslVersion::TLS1_2, all).await.is_err());
    assert_eq!(shaken(Door::Dh1024, SslVersion::TLS1_2, all).await.as_deref(), Ok("TLSv1.2 1024"));
    assert!(shaken(Door::SuitesHorsListe, SslVersion::TLS1_2, all).await.is_ok());
    let six = "ECDHE-RSA-AES256-GCM-SHA384:DHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-SHA256";
    assert!(shaken(Door::SuitesHorsListe, SslVersion::TLS1_2, six).await.is_err());
    assert!(shaken(Door::Usual, SslVersion::TLS1, all).await.is_err());
    assert!(shaken(Door::Usual, SslVersion::TLS1_2, "AES128-GCM-SHA256:ECDHE-RSA-CHACHA20-POLY1305").await.is_err());
    let failed = traps.over(|one| one.door == "nominal" && one.end == Some(End::Handshake)).await;
    assert!(failed.tls.as_ref().is_some_and(|tls| tls.error.is_some() && !tls.offered.is_empty()));
}

#[tokio::test]
async fn the_certificate_of_the_peer_is_judged() {
    let traps = Traps::open(&[Door::Usual]).await;
    let six = "ECDHE-RSA-AES256-GCM-SHA384";
    shake(&traps, Door::Usual, SslVersion::TLS1_2, six, true).await.expect("a handshake");
    let session = traps.over(|_| true).await;
    let shown = session.tls.as_ref().and_then(|tls| tls.certificate.as_ref()).expect("a certificate");
    assert_eq!((shown.fault.as_deref(), shown.is_unclear), (None, false));
    assert_eq!(shown.domains.as_deref(), Some(&["alpha.test".to_owned()][..]));
    assert!(shown.subject.contains("HOPITAL ALPHA") && shown.chain.len() == 1, "{shown:?}");
    assert!(shown.not_after.as_str() > session.at.as_str());
}
