//! Handshakes whose certificates no list at hand speaks of: stapled answers, and clients asked about after the handshake.

use std::pin::Pin;
use std::sync::Arc;

use openssl::hash::{MessageDigest, hash};
use openssl::ssl::{Ssl, SslContext, SslMethod};
use openssl::x509::X509;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::net::TcpListener;
use tokio_openssl::SslStream;
use tokio_util::sync::CancellationToken;
use trust::SystemClock;
use trust::pki::{Ca, Issued, LeafRequest, OcspManner, Organization, TestAuthority};
use trust::revocation::{CrlSource, Online, Revocation, RevocationSettings};
use trust::tls::{
    Acceptor, CertificateFault, ClientCertificates, ClientTls, Connector, HandshakeError, Profile, ServerTls, Tls13,
};

const HOST: &str = "lps.alpha.mssante.fr";

fn authority(base: &str) -> Arc<TestAuthority> {
    Arc::new(TestAuthority::generate(base, SystemClock::shared()).expect("an authority"))
}

fn hospital() -> Organization {
    Organization::new("1750000001", "CH", "Paris (75)")
}

fn revocation(authority: &TestAuthority, sources: Vec<CrlSource>) -> Arc<Revocation> {
    let settings =
        RevocationSettings { online: Online::ALL, ..RevocationSettings::required(authority.anchors(), sources) };
    Arc::new(Revocation::new(settings).expect("a store"))
}

fn connector(authority: &TestAuthority, identity: Option<&Issued>, sources: Vec<CrlSource>) -> Connector {
    Connector::new(ClientTls {
        identity: identity.map(|issued| issued.identity().expect("a certificate")),
        profile: Profile::ApiLps,
        tls13: Tls13::Allowed,
        tls10_until: None,
        anchors: authority.anchors(),
        revocation: revocation(authority, sources),
        clock: SystemClock::shared(),
    })
    .expect("a connector")
}

/// One DER element.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    assert!(content.len() < 128, "short things only");
    [&[tag, content.len() as u8], content].concat()
}

/// The authority's answer about a certificate, to be stapled.
fn answer(authority: &TestAuthority, leaf: &X509) -> Vec<u8> {
    let issuer = authority.intermediate();
    let sha1 = |bytes: &[u8]| element(4, &hash(MessageDigest::sha1(), bytes).expect("a digest"));
    let key = issuer.public_key().and_then(|key| key.rsa()?.public_key_to_der_pkcs1()).expect("RSA");
    let mut serial = leaf.serial_number().to_bn().expect("a number").to_vec();
    if serial[0] & 0x80 != 0 {
        serial.insert(0, 0);
    }
    let algorithm = element(0x30, &[element(6, &[0x2B, 0x0E, 3, 2, 0x1A]), vec![5, 0]].concat());
    let name = sha1(&issuer.subject_name().to_der().expect("a name"));
    let id = element(0x30, &[algorithm, name, sha1(&key), element(2, &serial)].concat());
    let request = element(0x30, &element(0x30, &element(0x30, &element(0x30, &id))));
    authority.ocsp(&request, OcspManner::Honest).expect("an answer")
}

/// A handshake with a server that staples this, if anything.
async fn with_staple(
    authority: &TestAuthority,
    issued: &Issued,
    staple: Option<Vec<u8>>,
    sources: Vec<CrlSource>,
) -> Result<String, HandshakeError> {
    let mut context = SslContext::builder(SslMethod::tls_server()).expect("OpenSSL");
    context.set_certificate(issued.certificate()).expect("a certificate");
    context.add_extra_chain_cert(authority.intermediate().clone()).expect("a certificate");
    context.set_private_key(issued.key()).expect("a key");
    if let Some(staple) = staple {
        context
            .set_status_callback(move |ssl| {
                ssl.set_ocsp_status(&staple)?;
                Ok(true)
            })
            .expect("OpenSSL");
    }
    let context = context.build();
    let (ours, theirs) = duplex(64 * 1024);
    tokio::spawn(async move {
        let mut tls = SslStream::new(Ssl::new(&context).expect("OpenSSL"), theirs).expect("OpenSSL");
        if Pin::new(&mut tls).accept().await.is_ok() {
            let _ = tls.write_all(b"hello").await;
        }
    });
    let mut tls = connector(authority, None, sources).connect(HOST, ours).await?;
    let mut said = [0; 5];
    tls.read_exact(&mut said).await.expect("what the server says");
    Ok(String::from_utf8_lossy(&said).into_owned())
}

#[tokio::test]
async fn a_stapled_answer_lets_a_server_in_or_keeps_it_out() {
    // ECO.1.1.6. Nothing answers where its certificates point to.
    let authority = authority("http://127.0.0.1:9");
    let server = || authority.issue(&LeafRequest::server(HOST, &hospital(), &[], &[])).expect("a certificate");
    let (good, bad) = (server(), server());
    authority.revoke(&bad.serial().expect("a number")).expect("revoked");
    let told = |issued: &Issued| Some(answer(&authority, issued.certificate()));

    let refused = |result: Result<String, HandshakeError>| match result {
        Err(HandshakeError::Certificate(fault)) => fault,
        other => panic!("{other:?}"),
    };
    let none = Vec::new;
    assert_eq!(refused(with_staple(&authority, &bad, told(&bad), none()).await), CertificateFault::Revoked);
    assert_eq!(refused(with_staple(&authority, &good, None, none()).await), CertificateFault::CrlUnavailable);
    // Of its authority nothing is known either: the answer about the server alone is not enough.
    assert_eq!(refused(with_staple(&authority, &good, told(&good), none()).await), CertificateFault::CrlUnavailable);
    let folder = tempfile::tempdir().expect("a folder");
    let list = folder.path().join("root.crl");
    std::fs::write(&list, authority.crl_der(Ca::Root).expect("a list")).expect("written");
    let root = || vec![CrlSource::File(list.clone())];
    assert_eq!(with_staple(&authority, &good, told(&good), root()).await.expect("good"), "hello");
    // Somebody else's answer is none.
    assert_eq!(
        refused(with_staple(&authority, &good, told(&server()), root()).await),
        CertificateFault::CrlUnavailable
    );
}

#[tokio::test]
async fn clients_are_asked_about_after_the_handshake() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let authority = authority(&format!("http://{}", listener.local_addr().expect("bound")));
    let stop = CancellationToken::new();
    tokio::spawn(trust::http::serve(listener, None, trust::pki::router(Arc::clone(&authority)), stop.clone()));
    let server = authority.issue(&LeafRequest::server(HOST, &hospital(), &[], &[])).expect("a certificate");
    let labo = || authority.issue(&LeafRequest::auth_cli("LABO", &hospital())).expect("a certificate");
    let (good, bad) = (labo(), labo());
    authority.revoke(&bad.serial().expect("a number")).expect("revoked");
    for asked in [ClientCertificates::Required, ClientCertificates::Recorded] {
        for (client, expected) in [(&good, Ok(())), (&bad, Err(CertificateFault::Revoked))] {
            let acceptor = Acceptor::new(ServerTls {
                client_certificates: asked,
                anchors: authority.anchors(),
                revocation: revocation(&authority, Vec::new()),
                ..ServerTls::new(server.identity().expect("a certificate"), Profile::ApiLps)
            })
            .expect("an acceptor");
            let (ours, theirs) = duplex(64 * 1024);
            let accepting = tokio::spawn(async move { acceptor.accept(theirs).await });
            // With its own lists and answers: the server is good.
            let _client = connector(&authority, Some(client), Vec::new()).connect(HOST, ours).await;
            let verdict = match accepting.await.expect("no panic") {
                Ok(tls) => tls.info().client().map(|_| ()),
                Err(HandshakeError::Certificate(fault)) => Err(fault),
                Err(other) => panic!("{other}"),
            };
            assert_eq!(verdict, expected, "{asked:?}");
        }
    }
    stop.cancel();
}
