//! Client certificates: each fault, its alert when they are required, its verdict when they are recorded.
//! // LPS-APP, OPE-MTLS, CER-01..10

use std::time::{Duration, SystemTime};

use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::ssl::SslVersion;
use openssl::x509::{X509Builder, X509NameBuilder};

use super::*;
use crate::clock::ManualClock;
use crate::pki::{Ca, Kind, Validity};
use crate::revocation::{Revocation, RevocationSettings};

struct Scene {
    authority: TestAuthority,
    server: Issued,
    clock: ManualClock,
    revocation: Arc<Revocation>,
}

impl Scene {
    fn new() -> Scene {
        let clock = ManualClock::at(SystemTime::now());
        let authority = TestAuthority::generate("http://127.0.0.1:9", clock.shared()).expect("an authority");
        let server = authority.issue(&server_request()).expect("a certificate");
        let mut settings = RevocationSettings::required(authority.anchors(), Vec::new());
        settings.clock = clock.shared();
        let revocation = Arc::new(Revocation::new(settings).expect("a store"));
        let scene = Scene { authority, server, clock, revocation };
        scene.publish();
        scene
    }

    fn publish(&self) {
        for ca in [Ca::Root, Ca::Organizations] {
            self.revocation.install(&self.authority.crl_der(ca).expect("a list")).expect("taken");
        }
    }

    async fn start(&self, asked: ClientCertificates) -> Server {
        let mut settings = ServerTls::new(self.server.identity().expect("an identity"), Profile::Operator);
        settings.client_certificates = asked;
        settings.anchors = self.authority.anchors();
        settings.revocation = Arc::clone(&self.revocation);
        settings.clock = self.clock.shared();
        Server::start(settings).await
    }

    /// The chain of a certificate with the server's key (making keys takes time).
    fn chain(&self, request: &LeafRequest) -> Vec<X509> {
        chain_of(&self.authority, request, self.server.key())
    }

    /// What becomes of this chain: the verdict recorded, and the alert when required, the same with TLS 1.2 and 1.3.
    async fn judge(&self, chain: &[X509]) -> (Result<(), CertificateFault>, Option<u8>) {
        let mut recording = self.start(ClientCertificates::Recorded).await;
        let mut requiring = self.start(ClientCertificates::Required).await;
        let mut found = Vec::new();
        for version in [SslVersion::TLS1_2, SslVersion::TLS1_3] {
            let context = client_showing(chain, self.server.key(), version);
            probe(recording.addr, &context).await.expect("completed whatever the certificate");
            let info = recording.outcome().await.expect("completed whatever the certificate");
            let verdict = info.client().map(drop);
            let alert = match probe(requiring.addr, &context).await {
                Ok(_) => None,
                Err(HandshakeError::PeerAlert(alert)) => Some(alert),
                Err(other) => panic!("neither accepted nor an alert: {other:?}"),
            };
            match (requiring.outcome().await, verdict) {
                (Ok(info), Ok(())) => assert_eq!(info.client().map(drop), Ok(())),
                (Err(HandshakeError::Certificate(fault)), Err(recorded)) => assert_eq!(fault, recorded),
                other => panic!("required and recorded disagree: {other:?}"),
            }
            found.push((verdict, alert));
        }
        let (first, second) = (found[0], found[1]);
        // TLS 1.3 has an alert of its own for a missing certificate
        assert!(
            first == second || (first.0 == second.0 && (first.1, second.1) == (Some(40), Some(116))),
            "{first:?} {second:?}"
        );
        first
    }
}

fn chain_of(authority: &TestAuthority, request: &LeafRequest, key: &PKey<Private>) -> Vec<X509> {
    let issued = authority.certify(request, key.clone()).expect("a certificate");
    vec![issued.certificate().clone(), authority.intermediate().clone()]
}

fn self_signed(key: &PKey<Private>) -> X509 {
    let mut name = X509NameBuilder::new().expect("OpenSSL");
    name.append_entry_by_text("CN", "smtp.exemple.fr").expect("an entry");
    let name = name.build();
    let mut certificate = X509Builder::new().expect("OpenSSL");
    certificate.set_subject_name(&name).expect("a name");
    certificate.set_issuer_name(&name).expect("a name");
    certificate.set_pubkey(key).expect("a key");
    certificate.set_not_before(&Asn1Time::days_from_now(0).expect("a date")).expect("a date");
    certificate.set_not_after(&Asn1Time::days_from_now(9).expect("a date")).expect("a date");
    certificate.sign(key, MessageDigest::sha256()).expect("a signature");
    certificate.build()
}

#[tokio::test]
async fn every_fault_has_its_verdict_and_its_alert() {
    use CertificateFault::*;
    let scene = Scene::new();
    let key = scene.server.key();
    let app = LeafRequest::auth_cli("LABO", &hospital());

    assert_eq!(scene.judge(&scene.chain(&app)).await, (Ok(()), None), "AUTH_CLI");
    assert_eq!(scene.judge(&scene.chain(&server_request())).await, (Ok(()), None), "SERV SSL");
    // the intermediate is among our anchors: a client that forgets it is known all the same
    assert_eq!(scene.judge(&scene.chain(&app)[..1]).await, (Ok(()), None), "leaf alone");

    assert_eq!(scene.judge(&[]).await, (Err(Missing), Some(40)), "none"); // CER-03
    let expired = scene.chain(&app.clone().valid(Validity::Expired));
    assert_eq!(scene.judge(&expired).await, (Err(Expired), Some(45)), "expired"); // CER-04
    let early = scene.chain(&app.clone().valid(Validity::NotYet));
    assert_eq!(scene.judge(&early).await, (Err(NotYetValid), Some(42)), "not yet valid");

    // CER-06: an authority with the same names and another key, self-signed
    let homonym = authority();
    let mut foreign = chain_of(&homonym, &app, key);
    assert_eq!(scene.judge(&foreign).await, (Err(UnknownAuthority), Some(48)), "homonym");
    foreign.push(homonym.root().clone());
    assert_eq!(scene.judge(&foreign).await, (Err(UnknownAuthority), Some(48)), "homonym with its root");
    let mixed = [foreign[0].clone(), scene.authority.intermediate().clone()];
    assert_eq!(scene.judge(&mixed).await, (Err(UnknownAuthority), Some(48)), "homonym under our intermediate");
    assert_eq!(scene.judge(&[self_signed(key)]).await, (Err(UnknownAuthority), Some(48)), "self-signed");

    // CER-07
    for kind in [Kind::Sign, Kind::ServerOnly, Kind::NoUsage] {
        let chain = scene.chain(&LeafRequest::new("LABO", &hospital(), kind.clone()));
        assert_eq!(scene.judge(&chain).await, (Err(WrongUsage), Some(43)), "{kind:?}");
    }

    // CER-09: a certificate altered after its signature
    let good = scene.chain(&app);
    let mut der = good[0].to_der().expect("DER");
    *der.last_mut().expect("not empty") ^= 1;
    let altered = [X509::from_der(&der).expect("DER"), good[1].clone()];
    assert_eq!(scene.judge(&altered).await, (Err(BadSignature), Some(51)), "altered");

    // CER-05
    let serial = good[0].serial_number().to_bn().and_then(|n| n.to_hex_str()).expect("a number").to_string();
    scene.authority.revoke(&serial).expect("a number");
    assert_eq!(scene.judge(&good).await, (Ok(()), None), "revoked, but the list is not out yet");
    scene.publish();
    assert_eq!(scene.judge(&good).await, (Err(Revoked), Some(44)), "revoked");
    assert_eq!(scene.judge(&scene.chain(&app)).await, (Ok(()), None), "another one of the same");

    // CER-10: the list counts to its end, then nobody can be judged
    let other = scene.chain(&app);
    scene.clock.advance(Duration::from_secs(7 * 86_400 - 60));
    assert_eq!(scene.judge(&other).await, (Ok(()), None), "just before the end of the list");
    scene.clock.advance(Duration::from_secs(61));
    assert_eq!(scene.judge(&other).await, (Err(CrlUnavailable), Some(48)), "after the end of the list");
    assert_eq!(scene.judge(&good).await, (Err(Revoked), Some(44)), "still revoked");
    scene.publish();
    assert_eq!(scene.judge(&other).await, (Ok(()), None), "a new list");

    scene.authority.revoke_intermediate().expect("OpenSSL");
    scene.publish();
    assert_eq!(scene.judge(&other).await, (Err(Revoked), Some(44)), "its authority revoked");
}

#[tokio::test]
async fn the_certificate_is_described() {
    let scene = Scene::new();
    let mut server = scene.start(ClientCertificates::Recorded).await;
    let chain = scene.chain(&server_request());
    probe(server.addr, &client_showing(&chain, scene.server.key(), SslVersion::TLS1_3)).await.expect("accepted");
    let info = server.outcome().await.expect("accepted");
    let peer = info.client().expect("good");
    assert_eq!(
        peer.subject.to_string(),
        "CN=smtp.exemple.fr,OU=1750000001,O=CENTRE HOSPITALIER EXEMPLE,ST=Paris (75),C=FR"
    );
    assert_eq!(
        peer.issuer.to_string(),
        "CN=TEST AC IGC-SANTE ELEMENTAIRE ORGANISATIONS,OU=IGC-SANTE TEST,OU=0002 187512751,O=ASIP-SANTE,C=FR"
    );
    assert_eq!(peer.dns_names, ["smtp.exemple.fr", "localhost"]);
    assert_eq!(peer.usages, Usages { client_auth: true, server_auth: true, email_protection: false });
    assert_eq!(peer.der, chain[0].to_der().expect("DER"));
    assert_eq!(peer.serial, chain[0].serial_number().to_bn().and_then(|n| n.to_hex_str()).expect("hex").to_string());
    let years = peer.not_after.duration_since(peer.not_before).expect("in order").as_secs() / 86_400 / 365;
    assert_eq!(years, 3);
}

// CER-01: the authorities are announced; no session is resumed where certificates count
#[tokio::test]
async fn authorities_announced_and_no_resumption() {
    let scene = Scene::new();
    let chain = scene.chain(&server_request());
    for asked in [ClientCertificates::Required, ClientCertificates::Recorded] {
        let server = scene.start(asked).await;
        for version in [SslVersion::TLS1_2, SslVersion::TLS1_3] {
            let context = client_showing(&chain, scene.server.key(), version);
            let first = probe(server.addr, &context).await.expect("accepted");
            let mut again = Ssl::new(&context).expect("OpenSSL");
            // SAFETY: the session comes from a connection of the same context.
            unsafe { again.set_session(&first.session) }.expect("OpenSSL");
            assert!(!probe_with(server.addr, again).await.expect("accepted").resumed);
        }
    }
    let names = scene.authority.anchors().names().expect("names");
    assert_eq!(names.len(), 2);
}
