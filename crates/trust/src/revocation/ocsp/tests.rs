//! Answers believed and not, judged beside the `openssl ocsp` program.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use openssl::x509::X509;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::super::online::{Judgement, Pending};
use super::super::{Ocsp, Online, Revocation, RevocationPolicy, RevocationSettings};
use super::*;
use crate::clock::{Clock, ManualClock};
use crate::pki::{Issued, Kind, LeafRequest, OcspManner, Organization, TestAuthority, Validity};
use crate::tls::CertificateFault;

const HOUR: Duration = Duration::from_secs(3600);

struct Scene {
    clock: ManualClock,
    authority: Arc<TestAuthority>,
}

impl Scene {
    /// An authority whose certificates point to `base`.
    fn at(base: &str) -> Scene {
        // whole seconds, as answers have
        let clock = ManualClock::at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000));
        let authority = TestAuthority::generate(base, clock.shared()).expect("an authority");
        Scene { clock, authority: Arc::new(authority) }
    }

    fn issue(&self, kind: Kind) -> Issued {
        self.issue_valid(kind, Validity::Usual)
    }

    fn issue_valid(&self, kind: Kind, validity: Validity) -> Issued {
        let organization = Organization::new("1750000001", "CH", "Paris (75)");
        self.authority.issue(&LeafRequest::new("LABO", &organization, kind).valid(validity)).expect("a certificate")
    }

    fn leaf(&self) -> X509 {
        self.issue(Kind::AuthCli).certificate().clone()
    }

    fn revoke(&self, leaf: &X509) {
        let serial = leaf.serial_number().to_bn().and_then(|n| n.to_hex_str()).expect("hex").to_string();
        self.authority.revoke(&serial).expect("a number");
    }

    fn pending(&self, leaf: &X509) -> Pending {
        Pending { certificate: leaf.clone(), issuer: self.authority.intermediate().clone() }
    }

    fn revocation(&self, online: Online) -> Arc<Revocation> {
        let mut settings = RevocationSettings::required(self.authority.anchors(), Vec::new());
        settings.clock = self.clock.shared();
        settings.online = online;
        Arc::new(Revocation::new(settings).expect("a store"))
    }

    /// What an answer in this manner comes to.
    fn asked(&self, leaf: &X509, manner: OcspManner<'_>) -> Result<Status, OcspError> {
        let issuer = self.authority.intermediate();
        let id = CertId::of(leaf, issuer).expect("a name");
        let question = Question::about(&id).expect("a question");
        let answer = self.authority.ocsp(&question.der, manner).expect("an answer");
        read(&answer, &id, issuer, Some(&question.nonce), self.clock.now()).map(|answer| answer.status)
    }
}

#[test]
fn answers_to_be_believed_and_others() {
    // ECO.1.1.6
    let scene = Scene::at("http://127.0.0.1:9");
    let leaf = scene.leaf();
    assert_eq!(scene.asked(&leaf, OcspManner::Honest).expect("an answer"), Status::Good);
    assert_eq!(scene.asked(&leaf, OcspManner::NoNonce).expect("made beforehand"), Status::Good);
    assert_eq!(scene.asked(&leaf, OcspManner::Unknown).expect("an answer"), Status::Unknown);
    assert_eq!(scene.asked(&leaf, OcspManner::WithoutEnd(HOUR / 2)).expect("fresh"), Status::Good);
    let responder = scene.issue(Kind::OcspSigner);
    assert_eq!(scene.asked(&leaf, OcspManner::SignedBy(&responder)).expect("delegated"), Status::Good);

    assert!(matches!(scene.asked(&leaf, OcspManner::Expired), Err(OcspError::OutOfDate)));
    assert!(matches!(scene.asked(&leaf, OcspManner::WithoutEnd(HOUR)), Err(OcspError::OutOfDate)));
    assert!(matches!(scene.asked(&leaf, OcspManner::OtherNonce), Err(OcspError::OtherNonce)));
    assert!(matches!(scene.asked(&leaf, OcspManner::OtherCertificate), Err(OcspError::OtherCertificate)));
    assert!(matches!(scene.asked(&leaf, OcspManner::Status(3)), Err(OcspError::Unsuccessful(3))));
    // Whoever has a certificate of the same authority, for another use, or one for this use that has ended, or of another authority.
    let homonym = Scene::at("http://127.0.0.1:9");
    for signer in [
        scene.issue(Kind::AuthCli),
        scene.issue(Kind::NoUsage),
        scene.issue_valid(Kind::OcspSigner, Validity::Expired),
        scene.issue_valid(Kind::OcspSigner, Validity::NotYet),
        homonym.issue(Kind::OcspSigner),
    ] {
        let told = scene.asked(&leaf, OcspManner::SignedBy(&signer));
        assert!(matches!(told, Err(OcspError::UnknownSigner)), "{told:?}");
    }
    // The homonymous authority's word, asked about its own certificate of the same number, counts for nothing here.
    let id = CertId::of(&leaf, scene.authority.intermediate()).expect("a name");
    let foreign = CertId::of(&leaf, homonym.authority.intermediate()).expect("a name");
    let question = Question::about(&foreign).expect("a question");
    let answer = homonym.authority.ocsp(&question.der, OcspManner::Honest).expect("an answer");
    let told = read(&answer, &id, scene.authority.intermediate(), None, scene.clock.now());
    assert!(matches!(told, Err(OcspError::UnknownSigner)));

    scene.revoke(&leaf);
    assert_eq!(scene.asked(&leaf, OcspManner::Honest).expect("an answer"), Status::Revoked);
}

#[test]
fn an_altered_answer_is_none() {
    let scene = Scene::at("http://127.0.0.1:9");
    let leaf = scene.leaf();
    scene.revoke(&leaf);
    let issuer = scene.authority.intermediate();
    let id = CertId::of(&leaf, issuer).expect("a name");
    let question = Question::about(&id).expect("a question");
    let answer = scene.authority.ocsp(&question.der, OcspManner::Honest).expect("an answer");
    let now = scene.clock.now();
    assert_eq!(read(&answer, &id, issuer, Some(&question.nonce), now).expect("revoked").status, Status::Revoked);
    for at in 0..answer.len() {
        for change in [0x01, 0x80] {
            let mut altered = answer.clone();
            altered[at] ^= change;
            if let Ok(told) = read(&altered, &id, issuer, Some(&question.nonce), now) {
                assert_eq!(told.status, Status::Revoked, "octet {at}"); // the NULL of the algorithm means nothing
            }
        }
        assert!(read(&answer[..at], &id, issuer, None, now).is_err(), "cut at {at}");
    }
}

/// A service at a port of its own; gives its address. `answer` gets the body of each request.
async fn service(
    answer: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + Sync + 'static,
) -> (TcpListener, String, Answering) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("bound"));
    (listener, base, Box::new(answer))
}

type Answering = Box<dyn Fn(&[u8]) -> Option<Vec<u8>> + Send + Sync>;

/// Plays one HTTP service: POST gets `answer`, silence when there is none; GET (lists) gets 404.
async fn play(listener: TcpListener, answer: Answering) {
    let answer = Arc::new(answer);
    while let Ok((mut tcp, _)) = listener.accept().await {
        let answer = Arc::clone(&answer);
        tokio::spawn(async move {
            let mut seen = Vec::new();
            let (head, length) = loop {
                if tcp.read_buf(&mut seen).await.unwrap_or(0) == 0 {
                    return;
                }
                if let Some(end) = seen.windows(4).position(|four| four == b"\r\n\r\n") {
                    let head = String::from_utf8_lossy(&seen[..end]).to_ascii_lowercase();
                    let length = head.lines().find_map(|l| l.strip_prefix("content-length: ")?.parse::<usize>().ok());
                    break (end + 4, length.unwrap_or(0));
                }
            };
            while seen.len() < head + length {
                if tcp.read_buf(&mut seen).await.unwrap_or(0) == 0 {
                    return;
                }
            }
            let said = if seen.starts_with(b"POST") {
                match answer(&seen[head..]) {
                    Some(body) => {
                        [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes(), body]
                            .concat()
                    }
                    None => {
                        let _ = tcp.read(&mut [0; 1]).await; // until the other side gives up
                        return;
                    }
                }
            } else {
                b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec()
            };
            let _ = tcp.write_all(&said).await;
        });
    }
}

#[tokio::test]
async fn asked_when_no_list_tells() {
    let (listener, base, _) = service(|_| None).await;
    let scene = Scene::at(&base);
    let authority = Arc::clone(&scene.authority);
    let count = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(play(
        listener,
        Box::new(move |request| {
            counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            Some(authority.ocsp(request, OcspManner::Honest).expect("an answer"))
        }),
    ));
    let asked = || count.load(std::sync::atomic::Ordering::SeqCst);
    let (good, bad) = (scene.leaf(), scene.leaf());
    scene.revoke(&bad);
    let revocation = scene.revocation(Online { lists: false, ocsp: Ocsp::WithoutList });
    revocation.settle(&[scene.pending(&good)], None).await.expect("good");
    assert_eq!(revocation.settle(&[scene.pending(&bad)], None).await, Err(CertificateFault::Revoked));
    assert_eq!(asked(), 2);
    // Kept: to the end of the answer, and for the checks that cannot wait.
    revocation.settle(&[scene.pending(&good)], None).await.expect("good");
    assert_eq!(asked(), 2);
    assert_eq!(revocation.check(&good, scene.authority.intermediate(), scene.clock.now()), Ok(()));
    scene.clock.advance(25 * HOUR);
    let late = revocation.check(&good, scene.authority.intermediate(), scene.clock.now());
    assert_eq!(late, Err(CertificateFault::CrlUnavailable));
    let late = revocation.check(&bad, scene.authority.intermediate(), scene.clock.now());
    assert_eq!(late, Err(CertificateFault::Revoked), "for ever");
    // With a valid list at hand it is not asked, unless the settings say so.
    let list = scene.authority.crl_der(crate::pki::Ca::Organizations).expect("a list");
    revocation.install(&list).expect("taken");
    revocation.settle(&[scene.pending(&good)], None).await.expect("good");
    assert_eq!(asked(), 2);
    let always = scene.revocation(Online { lists: false, ocsp: Ocsp::Always });
    always.install(&list).expect("taken");
    scene.revoke(&good);
    assert_eq!(
        always.settle(&[scene.pending(&good)], None).await,
        Err(CertificateFault::Revoked),
        "newer than the list"
    );
    assert_eq!(asked(), 3);
}

#[tokio::test]
async fn a_stapled_answer_spares_the_question() {
    let scene = Scene::at("http://127.0.0.1:9");
    let (good, bad) = (scene.leaf(), scene.leaf());
    scene.revoke(&bad);
    let staple = |leaf: &X509| {
        let id = CertId::of(leaf, scene.authority.intermediate()).expect("a name");
        scene.authority.ocsp(&Question::about(&id).expect("one").der, OcspManner::NoNonce).expect("an answer")
    };
    let revocation = scene.revocation(Online::ALL);
    revocation.settle(&[scene.pending(&good)], Some(&staple(&good))).await.expect("good");
    let told = revocation.settle(&[scene.pending(&bad)], Some(&staple(&bad))).await;
    assert_eq!(told, Err(CertificateFault::Revoked));
    // One about another certificate, or rubbish, helps nobody: port 9 answers nothing else.
    let other = scene.leaf();
    for stapled in [staple(&good), b"rubbish".to_vec(), Vec::new()] {
        let told = revocation.settle(&[scene.pending(&other)], Some(&stapled)).await;
        assert_eq!(told, Err(CertificateFault::CrlUnavailable));
    }
}

#[tokio::test]
async fn lists_are_fetched_where_the_certificate_says() {
    // ECO.1.1.7
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let scene = Scene::at(&format!("http://{}", listener.local_addr().expect("bound")));
    let stop = CancellationToken::new();
    let serving = tokio::spawn(crate::http::serve(
        listener,
        None,
        crate::pki::router(Arc::clone(&scene.authority)),
        stop.clone(),
    ));
    let (good, bad) = (scene.leaf(), scene.leaf());
    scene.revoke(&bad);
    let revocation = scene.revocation(Online { lists: true, ocsp: Ocsp::Never });
    let chain = [
        scene.pending(&good),
        Pending { certificate: scene.authority.intermediate().clone(), issuer: scene.authority.root().clone() },
    ];
    revocation.settle(&chain, None).await.expect("good");
    assert_eq!(revocation.status().len(), 2, "the root's list and the intermediate's");
    assert_eq!(revocation.settle(&[scene.pending(&bad)], None).await, Err(CertificateFault::Revoked));
    assert!(revocation.refresh().await.is_empty(), "the addresses are remembered");
    stop.cancel();
    serving.await.expect("it stops");
    assert_eq!(revocation.refresh().await.len(), 2);
    scene.clock.advance(24 * HOUR);
    revocation.settle(&chain, None).await.expect("kept to its end");
    scene.clock.advance(7 * 24 * HOUR);
    assert_eq!(revocation.settle(&chain, None).await, Err(CertificateFault::CrlUnavailable));
}

#[tokio::test]
async fn a_silent_service_holds_nobody_for_long() {
    let questions = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&questions);
    let (listener, base, silence) = service(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        None
    })
    .await;
    let scene = Scene::at(&base);
    tokio::spawn(play(listener, silence));
    let leaf = scene.leaf();
    let revocation = scene.revocation(Online::ALL);
    let pending = [scene.pending(&leaf)];
    let told = tokio::time::timeout(patience::PATIENCE, revocation.settle(&pending, None)).await.expect("not for ever");
    assert_eq!(told, Err(CertificateFault::CrlUnavailable));
    assert_eq!(questions.load(Ordering::Relaxed), 1);
    // The next one is not made to wait at all: nobody is asked.
    assert!(revocation.settle(&pending, None).await.is_err());
    assert_eq!(questions.load(Ordering::Relaxed), 1);
    // Nothing known: the tolerant policy goes on.
    let mut settings = RevocationSettings::required(scene.authority.anchors(), Vec::new());
    settings.clock = scene.clock.shared();
    settings.policy = RevocationPolicy::Tolerant;
    let tolerant = Arc::new(Revocation::new(settings).expect("a store"));
    tolerant.settle(&[scene.pending(&leaf)], None).await.expect("tolerated");
    assert_eq!(tolerant.judge(&leaf, scene.authority.intermediate(), scene.clock.now()), Judgement::Unknown);
}

#[tokio::test]
async fn the_openssl_program_agrees() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("bound"));
    // Its clock is the machine's.
    let authority = TestAuthority::generate(&base, crate::clock::SystemClock::shared()).expect("an authority");
    let authority = Arc::new(authority);
    let stop = CancellationToken::new();
    tokio::spawn(crate::http::serve(listener, None, crate::pki::router(Arc::clone(&authority)), stop.clone()));
    let dir = tempfile::tempdir().expect("a folder");
    authority.save(dir.path()).expect("saved");
    let organization = Organization::new("1750000001", "CH", "Paris (75)");
    for name in ["good", "bad"] {
        let issued = authority.issue(&LeafRequest::auth_cli(name, &organization)).expect("a certificate");
        issued.save(dir.path(), name).expect("saved");
        if name == "bad" {
            authority.revoke(&issued.serial().expect("a number")).expect("revoked");
        }
    }
    let url = format!("{base}{}", crate::pki::OCSP_PATH);
    for (certificate, issuer, more, expected) in [
        ("good.pem", "organizations.pem", &[][..], "good.pem: good"),
        ("bad.pem", "organizations.pem", &[], "bad.pem: revoked"),
        ("organizations.pem", "root.pem", &[], "organizations.pem: good"),
        ("good.pem", "organizations.pem", &["-no_nonce"], "good.pem: good"),
    ] {
        let mut command = tokio::process::Command::from(Command::new("openssl"));
        command.current_dir(dir.path()).args(["ocsp", "-CAfile", "ca.pem", "-issuer", issuer, "-cert", certificate]);
        let output = command.args(["-url", &url]).args(more).output().await.expect("the openssl program is installed");
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(text.contains("Response verify OK") && text.contains(expected), "{certificate}: {text}");
        assert!(!text.contains("WARNING: no nonce") || more.is_empty(), "{text}");
    }
    // By GET, as caches like it.
    let id = CertId::of(authority.intermediate(), authority.root()).expect("a name");
    let question = Question::about(&id).expect("a question");
    let encoded = openssl::base64::encode_block(&question.der).replace('/', "%2F").replace('+', "%2B");
    let client = crate::http::client(&[]).expect("a client");
    let body = crate::http::get_limited(&client, &format!("{url}/{encoded}"), 10_000).await.expect("an answer");
    let now = SystemTime::now();
    let answer = read(&body, &id, authority.root(), Some(&question.nonce), now).expect("believed");
    assert_eq!(answer.status, Status::Good);
    stop.cancel();
}
