use std::time::SystemTime;

use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::x509::X509CrlBuilder;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::clock::{Clock, ManualClock};
use crate::pki::{Ca, INTERMEDIATE_CRL_PATH, LeafRequest, Organization, ROOT_CRL_PATH, TestAuthority};

const DAY: Duration = Duration::from_secs(86_400);

struct Scene {
    clock: ManualClock,
    authority: Arc<TestAuthority>,
    settings: RevocationSettings,
}

impl Scene {
    fn new() -> Scene {
        // whole seconds, as lists have
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000);
        let clock = ManualClock::at(now);
        let authority = Arc::new(TestAuthority::generate("http://127.0.0.1:9", clock.shared()).expect("an authority"));
        let mut settings = RevocationSettings::required(authority.anchors(), Vec::new());
        settings.clock = clock.shared();
        Scene { clock, authority, settings }
    }

    fn store(&self) -> Revocation {
        Revocation::new(self.settings.clone()).expect("a store")
    }

    fn crl(&self, validity: Duration) -> Vec<u8> {
        self.authority.crl(Ca::Organizations, validity).and_then(|crl| Ok(crl.to_der()?)).expect("a list")
    }

    /// The judgement on a new certificate; `revoked` tells whether to revoke it first.
    fn leaf(&self) -> openssl::x509::X509 {
        let request = LeafRequest::auth_cli("LABO", &Organization::new("1750000001", "CH", "Paris (75)"));
        self.authority.issue(&request).expect("a certificate").certificate().clone()
    }

    fn check(&self, store: &Revocation, leaf: &openssl::x509::X509) -> Result<(), CertificateFault> {
        store.check(leaf, self.authority.intermediate(), self.clock.now())
    }

    fn revoke(&self, leaf: &openssl::x509::X509) {
        let serial = leaf.serial_number().to_bn().and_then(|n| n.to_hex_str()).expect("hex").to_string();
        self.authority.revoke(&serial).expect("a number");
    }
}

// CER-10, SC.MSS/CONF.22
#[test]
fn a_list_counts_to_its_end() {
    let mut scene = Scene::new();
    let leaf = scene.leaf();
    let store = scene.store();
    assert_eq!(scene.check(&store, &leaf), Err(CertificateFault::CrlUnavailable), "no list yet");
    let status = store.install(&scene.crl(DAY)).expect("taken");
    assert_eq!((status.revoked, status.next_update), (0, scene.clock.now() + DAY));
    assert!(status.issuer.to_string().starts_with("CN=TEST AC IGC-SANTE ELEMENTAIRE ORGANISATIONS,"));
    assert_eq!(scene.check(&store, &leaf), Ok(()));
    scene.clock.advance(DAY - Duration::from_secs(1));
    assert_eq!(scene.check(&store, &leaf), Ok(()));
    scene.clock.advance(Duration::from_secs(1));
    assert_eq!(scene.check(&store, &leaf), Err(CertificateFault::CrlUnavailable));
    // the tolerant policy goes on, but what was revoked stays so
    scene.settings.policy = RevocationPolicy::Tolerant;
    let tolerant = scene.store();
    assert_eq!(scene.check(&tolerant, &leaf), Ok(()));
    scene.revoke(&leaf);
    tolerant.install(&scene.authority.crl_pem(Ca::Organizations).expect("a list")).expect("PEM is taken too");
    assert_eq!(scene.check(&tolerant, &leaf), Err(CertificateFault::Revoked));
    scene.clock.advance(100 * DAY);
    assert_eq!(scene.check(&tolerant, &leaf), Err(CertificateFault::Revoked));
}

#[test]
fn lists_that_must_not_be_believed() {
    let scene = Scene::new();
    let store = scene.store();
    let homonym = TestAuthority::generate("http://127.0.0.1:9", scene.clock.shared()).expect("an authority");
    let foreign = homonym.crl_der(Ca::Organizations).expect("a list");
    assert!(matches!(store.install(&foreign), Err(CrlError::UnknownIssuer)), "same name, other key");
    // nor does a believed list speak for the homonym's certificates
    store.install(&scene.crl(DAY)).expect("taken");
    let leaf = scene.leaf();
    let verdict = store.check(&leaf, homonym.intermediate(), scene.clock.now());
    assert_eq!(verdict, Err(CertificateFault::CrlUnavailable));

    assert!(matches!(store.install(b""), Err(CrlError::Malformed)));
    assert!(matches!(store.install(b"-----BEGIN X509 CRL-----"), Err(CrlError::Malformed)));
    let mut altered = scene.crl(DAY);
    let middle = altered.len() / 2;
    altered[middle] ^= 1;
    assert!(store.install(&altered).is_err());

    let early = scene.crl(DAY);
    scene.clock.advance(Duration::from_secs(60));
    store.install(&scene.crl(DAY)).expect("taken");
    assert!(matches!(store.install(&early), Err(CrlError::Older)), "no way back to before a revocation");
    let twice = scene.crl(DAY);
    store.install(&twice).expect("a higher number at the same date");
    store.install(&twice).expect("the same again");

    let ended = scene.crl(DAY);
    scene.clock.advance(2 * DAY);
    assert!(matches!(store.install(&ended), Err(CrlError::Expired)));
    let now = scene.clock.now();
    let future = scene.crl(10 * DAY);
    scene.clock.set(now - DAY);
    assert!(matches!(store.install(&future), Err(CrlError::NotYetValid)));
}

/// A list with one more extension, signed by the authority's own key.
fn extended(scene: &Scene, dir: &std::path::Path, oid: &str, critical: bool, der: &[u8]) -> Vec<u8> {
    use openssl::asn1::{Asn1Object, Asn1OctetString};
    scene.authority.save(dir).expect("saved");
    let pem = std::fs::read(dir.join("organizations.key")).expect("saved");
    let key = openssl::pkey::PKey::private_key_from_pem(&pem).expect("a key");
    let now = crate::tls::unix(scene.clock.now());
    let mut list = X509CrlBuilder::new().expect("OpenSSL");
    list.set_issuer_name(scene.authority.intermediate().subject_name()).expect("a name");
    list.set_last_update(&Asn1Time::from_unix(now).expect("a date")).expect("a date");
    list.set_next_update(&Asn1Time::from_unix(now + 86_400).expect("a date")).expect("a date");
    let mut add = |oid: &str, critical, der: &[u8]| {
        let oid = Asn1Object::from_str(oid).expect("an OID");
        let value = Asn1OctetString::new_from_bytes(der).expect("OpenSSL");
        list.append_extension(openssl::x509::X509Extension::new_from_der(&oid, critical, &value).expect("one"))
            .expect("one");
    };
    // the builder wants the authority key identifier and the number
    let key_id = scene.authority.intermediate().subject_key_id().expect("present").as_slice();
    add("2.5.29.35", false, &[&[0x30, 22, 0x80, 20], key_id].concat());
    add("2.5.29.20", false, &[2, 1, 9]);
    add(oid, critical, der);
    list.sign(&key, MessageDigest::sha256()).expect("a signature");
    list.build().and_then(|crl| crl.to_der()).expect("a list")
}

#[test]
fn only_complete_lists() {
    let scene = Scene::new();
    let dir = tempfile::tempdir().expect("a folder");
    let point = |field: &[u8]| [&[0x30, field.len() as u8], field].concat();
    for (oid, critical, der, complete) in [
        ("2.5.29.27", true, vec![0x02, 1, 1], false),           // delta
        ("2.5.29.27", false, vec![0x02, 1, 1], false),          // delta, marked badly
        ("2.5.29.28", true, point(&[0x83, 2, 1, 0x40]), false), // some reasons only
        ("2.5.29.28", true, point(&[0x84, 1, 0xFF]), false),    // for other authorities
        ("2.5.29.28", true, point(&[0x85, 1, 0xFF]), false),    // attribute certificates
        ("2.5.29.28", true, point(&[0x81, 1, 0xFF]), true),     // all this authority issues
        ("1.2.3.4.5", true, vec![5, 0], false),
        ("1.2.3.4.5", false, vec![5, 0], true),
    ] {
        let list = extended(&scene, dir.path(), oid, critical, &der);
        match scene.store().install(&list) {
            Ok(_) => assert!(complete, "{oid} {der:?}"),
            Err(CrlError::Incomplete) => assert!(!complete, "{oid} {der:?}"),
            Err(other) => panic!("{oid}: {other}"),
        }
    }
}

#[tokio::test]
async fn fetched_kept_and_found_again_after_a_restart() {
    let mut scene = Scene::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("bound"));
    let stop = CancellationToken::new();
    let serving = tokio::spawn(crate::http::serve(
        listener,
        None,
        crate::pki::router(Arc::clone(&scene.authority)),
        stop.clone(),
    ));
    let dir = tempfile::tempdir().expect("a folder");
    scene.settings.cache_dir = Some(dir.path().join("crl"));
    scene.settings.sources = vec![
        CrlSource::Url(format!("{base}{INTERMEDIATE_CRL_PATH}")),
        CrlSource::Url(format!("{base}{ROOT_CRL_PATH}")),
        CrlSource::Url(format!("{base}/nothing")),
        CrlSource::File(dir.path().join("nothing")),
    ];
    let (good, bad) = (scene.leaf(), scene.leaf());
    scene.revoke(&bad);
    let store = Arc::new(scene.store());
    let failures: Vec<_> = store.refresh().await.into_iter().map(|(source, _)| source).collect();
    assert_eq!(failures, scene.settings.sources[2..]);
    assert_eq!(store.status().len(), 2);
    assert_eq!(scene.check(&store, &good), Ok(()));
    assert_eq!(scene.check(&store, &bad), Err(CertificateFault::Revoked));

    // the distribution point goes away
    stop.cancel();
    serving.await.expect("it stops");
    scene.clock.advance(DAY);
    assert_eq!(store.refresh().await.len(), 4);
    assert_eq!(scene.check(&store, &good), Ok(()), "the last list is kept");
    let restarted = scene.store();
    assert_eq!(scene.check(&restarted, &good), Ok(()), "also after a restart");
    assert_eq!(scene.check(&restarted, &bad), Err(CertificateFault::Revoked));
    scene.clock.advance(30 * DAY);
    assert_eq!(scene.check(&scene.store(), &good), Err(CertificateFault::CrlUnavailable), "to its end only");
    // a damaged file is not fatal
    for entry in std::fs::read_dir(dir.path().join("crl")).expect("a folder") {
        std::fs::write(entry.expect("a file").path(), b"damaged").expect("written");
    }
    assert!(scene.store().status().is_empty());
}

#[tokio::test]
async fn refreshed_in_the_background() {
    let mut scene = Scene::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("bound"));
    let stop = CancellationToken::new();
    tokio::spawn(crate::http::serve(listener, None, crate::pki::router(Arc::clone(&scene.authority)), stop.clone()));
    scene.settings.sources = vec![CrlSource::Url(format!("{base}{INTERMEDIATE_CRL_PATH}"))];
    scene.settings.refresh_every = Duration::from_millis(10);
    let leaf = scene.leaf();
    let store = Arc::new(scene.store());
    let task = store.spawn_refresh(stop.clone());
    let becomes = async |expected| {
        let attempts = async {
            while scene.check(&store, &leaf) != expected {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(patience::PATIENCE, attempts).await.expect("the list arrives");
    };
    becomes(Ok(())).await;
    scene.revoke(&leaf);
    becomes(Err(CertificateFault::Revoked)).await;
    stop.cancel();
    task.await.expect("it stops");
}
