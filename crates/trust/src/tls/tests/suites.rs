//! Versions, suites and groups. // LPS-TLS, OPE-TLSVER, TLS-01..07

use std::time::{Duration, SystemTime};

use openssl::pkey::Id;
use openssl::ssl::SslVersion;

use super::*;
use crate::clock::ManualClock;

const SIX: [(&str, u16, &str); 6] = [
    ("ECDHE-RSA-AES256-GCM-SHA384", 0xC030, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"),
    ("ECDHE-RSA-AES128-GCM-SHA256", 0xC02F, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
    ("ECDHE-RSA-AES256-SHA384", 0xC028, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384"),
    ("ECDHE-RSA-AES128-SHA256", 0xC027, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256"),
    ("DHE-RSA-AES256-GCM-SHA384", 0x009F, "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384"),
    ("DHE-RSA-AES128-GCM-SHA256", 0x009E, "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256"),
];

fn old_client(version: SslVersion) -> SslContext {
    client(|context| {
        context.set_security_level(0);
        context.set_min_proto_version(Some(version)).expect("known");
        context.set_max_proto_version(Some(version)).expect("known");
        context.set_cipher_list("ALL:@SECLEVEL=0").expect("known");
    })
}

fn tls12(ciphers: &str) -> SslContext {
    client(|context| {
        context.set_security_level(0);
        context.set_max_proto_version(Some(SslVersion::TLS1_2)).expect("known");
        context.set_cipher_list(&format!("{ciphers}:@SECLEVEL=0")).expect("known");
    })
}

fn refused(outcome: Result<Seen, HandshakeError>) -> u8 {
    match outcome {
        Err(HandshakeError::PeerAlert(alert)) => alert,
        other => panic!("an alert expected, not {other:?}"),
    }
}

#[tokio::test]
async fn exactly_the_six_suites() {
    let (_authority, server) = authority_and_server();
    for profile in [Profile::ApiLps, Profile::Operator] {
        let mut running = Server::start(ServerTls::new(server.identity().expect("an identity"), profile)).await;
        for (openssl_name, code, name) in SIX {
            let seen = probe(running.addr, &tls12(openssl_name)).await.unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!((seen.version, seen.suite), (TlsVersion::Tls12, Suite { code, name }));
            let dhe = openssl_name.starts_with("DHE");
            // TLS-06, TLS-07
            assert!(
                if dhe { seen.exchange == (Id::DH, 2048) } else { seen.exchange.1 >= 253 },
                "{name}: {:?}",
                seen.exchange
            );
            let info = running.outcome().await.expect("accepted");
            assert!(info.suite.is_one_of_the_six() && info.peer.is_none());
        }
        // the server's order rules, not the client's
        let reversed = SIX.iter().rev().map(|s| s.0).collect::<Vec<_>>().join(":");
        assert_eq!(probe(running.addr, &tls12(&reversed)).await.expect("accepted").suite.code, 0xC030);
        // TLS-04: everything else at once, then TLS-05: the worst families one by one
        let others = format!("ALL:COMPLEMENTOFALL:!{}", SIX.map(|s| s.0).join(":!"));
        for ciphers in [
            &others,
            "kRSA",
            "aNULL",
            "eNULL",
            "ECDHE-RSA-AES256-SHA",
            "DHE-RSA-AES256-SHA256",
            "ECDHE-RSA-CHACHA20-POLY1305",
        ] {
            assert_eq!(refused(probe(running.addr, &tls12(ciphers)).await), 40, "{ciphers}");
        }
    }
}

#[tokio::test]
async fn old_versions_are_refused() {
    let (_authority, server) = authority_and_server();
    for profile in [Profile::ApiLps, Profile::Operator, Profile::Https] {
        let mut running = Server::start(ServerTls::new(server.identity().expect("an identity"), profile)).await;
        for version in [SslVersion::TLS1, SslVersion::TLS1_1] {
            assert_eq!(refused(probe(running.addr, &old_client(version)).await), 70, "protocol_version");
        }
        for _ in 0..2 {
            let outcome = running.outcome().await;
            assert!(matches!(outcome, Err(HandshakeError::NothingInCommon)), "{outcome:?}");
        }
    }
}

#[tokio::test]
async fn small_groups_are_refused() {
    let (_authority, server) = authority_and_server();
    let running = Server::start(ServerTls::new(server.identity().expect("an identity"), Profile::ApiLps)).await;
    let with_group = |group: &'static str| {
        client(move |context| {
            context.set_security_level(0);
            context.set_max_proto_version(Some(SslVersion::TLS1_2)).expect("known");
            context.set_cipher_list("ECDHE-RSA-AES256-GCM-SHA384:@SECLEVEL=0").expect("known");
            context.set_groups_list(group).expect("known");
        })
    };
    for group in ["secp224r1", "sect163k1", "secp192k1"] {
        assert_eq!(refused(probe(running.addr, &with_group(group)).await), 40, "{group}");
    }
    for group in ["X25519", "P-256", "P-384", "P-521"] {
        assert!(probe(running.addr, &with_group(group)).await.is_ok(), "{group}");
    }
}

// TLS-12
#[tokio::test]
async fn no_sha1_signature() {
    let (_authority, server) = authority_and_server();
    let identity = server.identity().expect("an identity");
    let running = Server::start(ServerTls::new(identity, Profile::ApiLps)).await;
    let signing = |algorithms: &'static str| {
        client(move |context| {
            context.set_security_level(0);
            context.set_max_proto_version(Some(SslVersion::TLS1_2)).expect("known");
            context.set_cipher_list("ECDHE-RSA-AES256-GCM-SHA384:@SECLEVEL=0").expect("known");
            context.set_sigalgs_list(algorithms).expect("known");
        })
    };
    assert_eq!(refused(probe(running.addr, &signing("RSA+SHA1")).await), 40);
    assert!(probe(running.addr, &signing("RSA+SHA256")).await.is_ok());
}

#[tokio::test]
async fn tls13_by_switch() {
    let (_authority, server) = authority_and_server();
    let mut settings = ServerTls::new(server.identity().expect("an identity"), Profile::ApiLps);
    let modern = client(|_| {});
    let running = Server::start(settings.clone()).await;
    assert_eq!(probe(running.addr, &modern).await.expect("accepted").version, TlsVersion::Tls13);
    settings.tls13 = Tls13::Refused;
    let running = Server::start(settings).await;
    let seen = probe(running.addr, &modern).await.expect("accepted");
    assert_eq!((seen.version, seen.suite.code), (TlsVersion::Tls12, 0xC030));
    let only13 = client(|context| context.set_min_proto_version(Some(SslVersion::TLS1_3)).expect("known"));
    assert_eq!(refused(probe(running.addr, &only13).await), 70);
}

// OPE-TLSVER
#[tokio::test]
async fn old_versions_are_tolerated_until_the_date() {
    let (_authority, server) = authority_and_server();
    let clock = ManualClock::at(SystemTime::now());
    let mut settings = ServerTls::new(server.identity().expect("an identity"), Profile::Operator);
    settings.tls10_until = Some(SystemTime::now() + Duration::from_secs(86_400));
    settings.clock = clock.shared();
    let running = Server::start(settings.clone()).await;
    for (version, expected) in [(SslVersion::TLS1, TlsVersion::Tls10), (SslVersion::TLS1_1, TlsVersion::Tls11)] {
        let seen = probe(running.addr, &old_client(version)).await.expect("tolerated");
        assert_eq!(seen.version, expected);
        assert!(seen.suite.name.contains("DHE_RSA_WITH_AES"), "forward secrecy: {}", seen.suite);
    }
    // what is tolerated of old clients is not opened to others
    assert_eq!(refused(probe(running.addr, &tls12("ECDHE-RSA-AES256-SHA")).await), 40);
    assert_eq!(probe(running.addr, &client(|_| {})).await.expect("accepted").version, TlsVersion::Tls13);
    clock.advance(Duration::from_secs(2 * 86_400));
    assert_eq!(refused(probe(running.addr, &old_client(SslVersion::TLS1)).await), 70);
    // the API LPS knows no tolerance
    clock.set(SystemTime::now());
    settings.profile = Profile::ApiLps;
    let running = Server::start(settings).await;
    assert_eq!(refused(probe(running.addr, &old_client(SslVersion::TLS1)).await), 70);
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_in_place() {
    let (authority, server) = authority_and_server();
    let acceptor =
        Acceptor::new(ServerTls::new(server.identity().expect("an identity"), Profile::ApiLps)).expect("settings");
    let running = Server::with(acceptor.clone()).await;
    let renewed = authority.certify(&server_request(), server.key().clone()).expect("a certificate");
    let shown = async || {
        let stream = TcpStream::connect(running.addr).await.expect("listening");
        let mut tls = SslStream::new(Ssl::new(&client(|_| {})).expect("OpenSSL"), stream).expect("OpenSSL");
        Pin::new(&mut tls).connect().await.expect("accepted");
        tls.ssl().peer_certificate().expect("shown").to_der().expect("DER")
    };
    assert_eq!(shown().await, server.certificate().to_der().expect("DER"));
    acceptor.reload(ServerTls::new(renewed.identity().expect("an identity"), Profile::ApiLps)).expect("settings");
    assert_eq!(shown().await, renewed.certificate().to_der().expect("DER"));
}

#[tokio::test]
async fn a_silent_client_is_not_waited_for() {
    let (_authority, server) = authority_and_server();
    let acceptor =
        Acceptor::new(ServerTls::new(server.identity().expect("an identity"), Profile::ApiLps)).expect("settings");
    let (ours, _silent) = tokio::io::duplex(1024);
    assert!(matches!(acceptor.accept_within(ours, Duration::from_millis(20)).await, Err(HandshakeError::TimedOut)));
}

#[test]
fn wrong_identities() {
    let (authority, server) = authority_and_server();
    let other = authority.issue(&server_request()).expect("a certificate");
    let chain = server.chain_pem().expect("PEM");
    assert!(matches!(Identity::from_pem(&chain, &other.key_pem().expect("PEM")), Err(TlsError::KeyMismatch)));
    assert!(matches!(Identity::from_pem(b"", &server.key_pem().expect("PEM")), Err(TlsError::NoCertificate)));
    assert!(matches!(Identity::from_pem(&chain, b"no key"), Err(TlsError::NoKey)));
    let encrypted =
        server.key().private_key_to_pem_pkcs8_passphrase(openssl::symm::Cipher::aes_128_cbc(), b"secret").expect("PEM");
    assert!(matches!(Identity::from_pem(&chain, &encrypted), Err(TlsError::NoKey)));
    let disorder = [server.certificate().to_pem().expect("PEM"), authority.root().to_pem().expect("PEM")].concat();
    assert!(matches!(
        Identity::from_pem(&disorder, &server.key_pem().expect("PEM")),
        Err(TlsError::BrokenChain { position: 1 })
    ));
    let mut settings = ServerTls::new(server.identity().expect("an identity"), Profile::Operator);
    settings.client_certificates = ClientCertificates::Required;
    assert!(matches!(Acceptor::new(settings), Err(TlsError::NoAnchor)));
    assert!(!format!("{:?}", server.identity()).contains("PRIVATE"));
}
