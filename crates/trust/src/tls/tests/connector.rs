//! Our own connections: what we accept of a server. // OPE-MTLS, OPE-12, OPE-13

use std::time::{Duration, SystemTime};

use openssl::bn::BigNum;
use openssl::dh::Dh;
use openssl::ssl::SslVersion;

use super::*;
use crate::clock::ManualClock;
use crate::pki::{Ca, Kind, Validity};
use crate::revocation::{Revocation, RevocationSettings};

struct Scene {
    authority: TestAuthority,
    ours: Issued,
    revocation: Arc<Revocation>,
}

impl Scene {
    fn new() -> Scene {
        let (authority, ours) = authority_and_server();
        let revocation =
            Revocation::new(RevocationSettings::required(authority.anchors(), Vec::new())).expect("a store");
        let scene = Scene { authority, ours, revocation: Arc::new(revocation) };
        scene.publish();
        scene
    }

    fn publish(&self) {
        for ca in [Ca::Root, Ca::Organizations] {
            self.revocation.install(&self.authority.crl_der(ca).expect("a list")).expect("taken");
        }
    }

    fn settings(&self) -> ClientTls {
        let identity = self.ours.identity().expect("an identity");
        ClientTls::operator(identity, self.authority.anchors(), Arc::clone(&self.revocation))
    }

    fn server(&self, identity: Identity) -> ServerTls {
        let mut settings = ServerTls::new(identity, Profile::Operator);
        settings.client_certificates = ClientCertificates::Required;
        settings.anchors = self.authority.anchors();
        settings.revocation = Arc::clone(&self.revocation);
        settings
    }
}

async fn connect(settings: ClientTls, addr: SocketAddr, host: &str) -> Result<Arc<TlsInfo>, HandshakeError> {
    let connector = Connector::new(settings).expect("right settings");
    let stream = TcpStream::connect(addr).await.expect("listening");
    let mut tls = connector.connect(host, stream).await?;
    let mut greeting = [0; GREETING.len()];
    tls.read_exact(&mut greeting).await.map_err(HandshakeError::Io)?;
    let _ = tls.shutdown().await;
    Ok(tls.shared_info())
}

fn fault(outcome: Result<Arc<TlsInfo>, HandshakeError>) -> CertificateFault {
    match outcome {
        Err(HandshakeError::Certificate(fault)) => fault,
        other => panic!("a certificate fault expected, not {other:?}"),
    }
}

#[tokio::test]
async fn mutual_authentication() {
    let scene = Scene::new();
    let mut server = Server::start(scene.server(scene.ours.identity().expect("an identity"))).await;
    for host in ["smtp.exemple.fr", "SMTP.Exemple.fr.", "127.0.0.1"] {
        let info = connect(scene.settings(), server.addr, host).await.unwrap_or_else(|e| panic!("{host}: {e}"));
        assert_eq!(info.peer.as_ref().map(|peer| &peer.subject), scene.ours.dn().ok().as_ref());
        let theirs = server.outcome().await.expect("accepted");
        assert!(theirs.client().is_ok());
        let sent = (host != "127.0.0.1").then(|| host.trim_end_matches('.').to_owned());
        assert_eq!(theirs.server_name.as_ref().map(|n| n.to_lowercase()), sent.map(|n| n.to_lowercase()));
    }
    let mut six_only = scene.settings();
    six_only.tls13 = Tls13::Refused;
    let info = connect(six_only, server.addr, "smtp.exemple.fr").await.expect("accepted");
    assert!(info.version == TlsVersion::Tls12 && info.suite.is_one_of_the_six());
}

#[tokio::test]
async fn servers_with_a_defect() {
    use CertificateFault::*;
    let scene = Scene::new();
    let key = scene.ours.key();
    let issue = |authority: &TestAuthority, request: &LeafRequest| {
        authority.certify(request, key.clone()).expect("a certificate")
    };
    let homonym = authority();
    let app = LeafRequest::auth_cli("smtp.exemple.fr", &hospital());
    let cases = [
        (issue(&scene.authority, &server_request().valid(Validity::Expired)), Expired),
        (issue(&scene.authority, &server_request().valid(Validity::NotYet)), NotYetValid),
        (issue(&homonym, &server_request()), UnknownAuthority),
        (issue(&scene.authority, &LeafRequest::server("autre.exemple.fr", &hospital(), &[], &[])), WrongName),
        // the name in the CN only
        (issue(&scene.authority, &LeafRequest::new("smtp.exemple.fr", &hospital(), Kind::ServerOnly)), WrongName),
        (issue(&scene.authority, &app), WrongUsage),
        (issue(&scene.authority, &server_request()), Revoked),
    ];
    let serial = cases[6].0.serial().expect("a number");
    scene.authority.revoke(&serial).expect("a number");
    scene.publish();
    for (issued, expected) in cases {
        let server = Server::start(scene.server(issued.identity().expect("an identity"))).await;
        assert_eq!(fault(connect(scene.settings(), server.addr, "smtp.exemple.fr").await), expected);
    }
    let server = Server::start(scene.server(scene.ours.identity().expect("an identity"))).await;
    for host in ["exemple.fr", "mx.smtp.exemple.fr", "127.0.0.2"] {
        assert_eq!(fault(connect(scene.settings(), server.addr, host).await), WrongName, "{host}");
    }
    for host in ["", "smtp.exemple.fr\0.evil.fr"] {
        let outcome = connect(scene.settings(), server.addr, host).await;
        assert!(matches!(outcome, Err(HandshakeError::BadHostName)), "{outcome:?}");
    }
    let empty = Revocation::new(RevocationSettings::required(scene.authority.anchors(), Vec::new())).expect("a store");
    let settings = ClientTls { revocation: Arc::new(empty), ..scene.settings() };
    assert_eq!(fault(connect(settings, server.addr, "smtp.exemple.fr").await), CrlUnavailable);
}

#[tokio::test]
async fn a_server_that_refuses_us() {
    let scene = Scene::new();
    let server = Server::start(scene.server(scene.ours.identity().expect("an identity"))).await;
    let expired =
        scene.authority.certify(&server_request().valid(Validity::Expired), scene.ours.key().clone()).expect("one");
    let mut settings = scene.settings();
    settings.identity = Some(expired.identity().expect("an identity"));
    settings.tls13 = Tls13::Refused;
    let outcome = connect(settings, server.addr, "smtp.exemple.fr").await;
    assert!(matches!(outcome, Err(HandshakeError::PeerAlert(45))), "{outcome:?}");
}

/// A weak server, as the trap `tls10@`, `suites-hors-liste@` or `dh1024@`.
async fn weak_server(issued: &Issued, version: SslVersion, ciphers: &str, dh_bits: u32) -> SocketAddr {
    let mut context = SslContext::builder(SslMethod::tls_server()).expect("OpenSSL");
    context.set_security_level(0);
    context.set_min_proto_version(Some(SslVersion::TLS1)).expect("known");
    context.set_max_proto_version(Some(version)).expect("known");
    context.set_cipher_list(&format!("{ciphers}:@SECLEVEL=0")).expect("known");
    let prime = if dh_bits == 1024 { BigNum::get_rfc2409_prime_1024() } else { BigNum::get_rfc3526_prime_2048() };
    let generator = BigNum::from_u32(2).expect("OpenSSL");
    context.set_tmp_dh(&Dh::from_pqg(prime.expect("OpenSSL"), None, generator).expect("OpenSSL")).expect("OpenSSL");
    context.set_certificate(issued.certificate()).expect("OpenSSL");
    context.set_private_key(issued.key()).expect("OpenSSL");
    let context = context.build();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let ssl = Ssl::new(&context).expect("OpenSSL");
            let mut tls = SslStream::new(ssl, stream).expect("OpenSSL");
            tokio::spawn(async move {
                if Pin::new(&mut tls).accept().await.is_ok() {
                    let _ = tls.write_all(GREETING).await;
                    let _ = tokio::io::copy(&mut tls, &mut tokio::io::sink()).await;
                }
            });
        }
    });
    addr
}

#[tokio::test]
async fn servers_below_the_profile() {
    let scene = Scene::new();
    let clock = ManualClock::at(SystemTime::now());
    let strict = || scene.settings();
    let tolerant = || {
        let mut settings = scene.settings();
        settings.tls10_until = Some(SystemTime::now() + Duration::from_secs(3600));
        settings.clock = clock.shared();
        settings
    };
    let host = "smtp.exemple.fr";

    let tls10 = weak_server(&scene.ours, SslVersion::TLS1, "ALL", 2048).await;
    let outcome = connect(strict(), tls10, host).await;
    assert!(matches!(outcome, Err(HandshakeError::PeerAlert(70) | HandshakeError::NothingInCommon)), "{outcome:?}");
    assert_eq!(connect(tolerant(), tls10, host).await.expect("tolerated").version, TlsVersion::Tls10);

    let other_suite = weak_server(&scene.ours, SslVersion::TLS1_2, "ECDHE-RSA-AES256-SHA", 2048).await;
    let outcome = connect(strict(), other_suite, host).await;
    assert!(matches!(outcome, Err(HandshakeError::PeerAlert(40))), "{outcome:?}");
    // an old suite is tolerated with an old version only
    let outcome = connect(tolerant(), other_suite, host).await;
    assert!(matches!(outcome, Err(HandshakeError::BelowProfile(_))), "{outcome:?}");

    let dh1024 = weak_server(&scene.ours, SslVersion::TLS1_2, "DHE-RSA-AES256-GCM-SHA384", 1024).await;
    let outcome = connect(strict(), dh1024, host).await;
    assert!(matches!(outcome, Err(HandshakeError::NothingInCommon)), "{outcome:?}");
    let outcome = connect(tolerant(), dh1024, host).await;
    assert!(matches!(outcome, Err(HandshakeError::BelowProfile(_))), "{outcome:?}");

    clock.advance(Duration::from_secs(7200));
    assert!(connect(tolerant(), tls10, host).await.is_err(), "after the date");
}
