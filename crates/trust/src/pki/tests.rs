use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use openssl::nid::Nid;

use super::*;
use crate::clock::SystemClock;

fn hospital() -> Organization {
    Organization::new("318751275100020", "AGENCE DU NUMERIQUE EN SANTE ET QUELQUE CHOSE", "Paris (75)")
}

fn authority() -> TestAuthority {
    TestAuthority::generate("http://127.0.0.1:8080", SystemClock::shared()).expect("an authority")
}

fn names(name: &openssl::x509::X509NameRef) -> Vec<String> {
    name.entries()
        .map(|e| format!("{}={}", e.object().nid().short_name().expect("known"), e.data().to_string().expect("text")))
        .collect()
}

// client.md §4: order of the attributes, double OU, texts of the extensions
#[test]
fn shaped_like_igc_sante_test() {
    let authority = authority();
    assert_eq!(
        names(authority.root().subject_name()),
        ["C=FR", "O=ASIP-SANTE", "OU=0002 187512751", "OU=IGC-SANTE TEST", "CN=TEST AC RACINE IGC-SANTE ELEMENTAIRE"]
    );
    let intermediate = authority.intermediate();
    assert_eq!(
        names(intermediate.subject_name()),
        [
            "C=FR",
            "O=ASIP-SANTE",
            "OU=0002 187512751",
            "OU=IGC-SANTE TEST",
            "CN=TEST AC IGC-SANTE ELEMENTAIRE ORGANISATIONS"
        ]
    );
    assert_eq!(intermediate.pathlen(), Some(0));
    assert_eq!(authority.root().pathlen(), None);
    let issued = authority.issue(&LeafRequest::sign("Liste Blanche MSSante", &hospital())).expect("a certificate");
    let leaf = issued.certificate();
    assert_eq!(
        names(leaf.subject_name()),
        [
            "C=FR",
            "ST=Paris (75)",
            "O=AGENCE DU NUMERIQUE EN SANTE ET QUELQUE",
            "OU=318751275100020",
            "CN=Liste Blanche MSSante"
        ]
    );
    assert_eq!(issued.dn().expect("a name").structure_id(), Some("318751275100020"));
    let country = leaf.subject_name().entries_by_nid(Nid::COUNTRYNAME).next().expect("present");
    assert_eq!(country.data().as_slice(), b"FR");
    let text = String::from_utf8(leaf.to_text().expect("text")).expect("UTF-8");
    for expected in [
        "Policy: 1.2.250.1.213.1.7.2.1.1.1.1",
        "1.2.250.1.71.1.2.5",
        "URI:http://127.0.0.1:8080/CRL/ACI-EL-ORG-TEST.crl",
        "OCSP - URI:http://127.0.0.1:8080/ocsp",
        "CA Issuers - URI:http://127.0.0.1:8080/AC%20TEST/ACI-EL-ORG-TEST.cer",
        "Digital Signature, Non Repudiation",
        "E-mail Protection",
    ] {
        assert!(text.contains(expected), "{expected} in {text}");
    }
    let text = String::from_utf8(intermediate.to_text().expect("text")).expect("UTF-8");
    assert!(text.contains("URI:http://127.0.0.1:8080/CRL/ACR-EL-TEST.crl"), "{text}");
}

/// Runs `openssl verify`, strict, with both lists; gives its verdict and text.
fn verify(dir: &std::path::Path, certificate: &str, purpose: &str) -> (bool, String) {
    let output = Command::new("openssl")
        .current_dir(dir)
        .args(["verify", "-x509_strict", "-crl_check_all", "-purpose", purpose, "-CAfile", "root.pem", "-untrusted"])
        .args(["organizations.pem", "-CRLfile", "lists.pem", certificate])
        .output()
        .expect("the openssl program is installed");
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[test]
fn the_openssl_program_accepts_all_of_it() {
    let authority = authority();
    let dir = tempfile::tempdir().expect("a folder");
    let dir = dir.path();
    authority.save(dir).expect("saved");
    let requests = [
        LeafRequest::server("smtp.exemple.fr", &hospital(), &["mx.exemple.fr"], &[[127, 0, 0, 1].into()]),
        LeafRequest::auth_cli("LABO", &hospital()),
        LeafRequest::sign("Liste", &hospital()),
        LeafRequest::auth_cli("LABO 2", &hospital()),
        LeafRequest::auth_cli("LABO 3", &hospital()).valid(Validity::Expired),
    ];
    let issued = authority.issue_all(&requests).expect("certificates");
    for (certificate, name) in issued.iter().zip(["server", "client", "sign", "revoked", "expired"]) {
        let (_, key) = certificate.save(dir, name).expect("saved");
        assert_eq!(std::fs::metadata(&key).expect("written").permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(std::fs::metadata(dir.join("root.key")).expect("written").permissions().mode() & 0o777, 0o600);
    authority.revoke(&issued[3].serial().expect("a number")).expect("a number");
    authority.revoke(&issued[3].serial().expect("a number").to_lowercase()).expect("twice is once");
    let lists = [Ca::Root, Ca::Organizations].map(|ca| authority.crl_pem(ca).expect("a list")).concat();
    std::fs::write(dir.join("lists.pem"), lists).expect("written");
    for (certificate, purpose) in [
        ("server.pem", "sslserver"),
        ("server.pem", "sslclient"),
        ("client.pem", "sslclient"),
        ("sign.pem", "smimesign"),
    ] {
        let (ok, text) = verify(dir, certificate, purpose);
        assert!(ok, "{certificate} {purpose}: {text}");
    }
    for (certificate, purpose, error) in [
        ("client.pem", "sslserver", "error 26"),
        ("sign.pem", "sslclient", "error 26"),
        ("revoked.pem", "sslclient", "error 23"),
        ("expired.pem", "sslclient", "error 10"),
    ] {
        let (ok, text) = verify(dir, certificate, purpose);
        assert!(!ok && text.contains(error), "{certificate} {purpose}: {text}");
    }
    assert!(matches!(authority.revoke("xyz"), Err(PkiError::BadSerial)));

    // the same authority, read back, goes on where it was
    let loaded = TestAuthority::load(dir, "http://127.0.0.1:8080", SystemClock::shared()).expect("loaded");
    assert_eq!(loaded.root().to_der().expect("DER"), authority.root().to_der().expect("DER"));
    let saved_before_revocation = loaded.crl(Ca::Organizations, std::time::Duration::from_secs(60)).expect("a list");
    assert!(saved_before_revocation.get_revoked().is_none());
    authority.save(dir).expect("saved again");
    let loaded = TestAuthority::load(dir, "http://127.0.0.1:8080", SystemClock::shared()).expect("loaded");
    let list = loaded.crl(Ca::Organizations, std::time::Duration::from_secs(60)).expect("a list");
    assert_eq!(list.get_revoked().map(|revoked| revoked.len()), Some(1));
    let key = loaded.intermediate().public_key().expect("a key");
    assert!(list.verify(&key).expect("OpenSSL works"));
    std::fs::write(dir.join("revoked.txt"), "number 1\norganizations zz").expect("written");
    let damaged = TestAuthority::load(dir, "http://127.0.0.1:8080", SystemClock::shared());
    assert!(matches!(damaged, Err(PkiError::RevokedList { line: 2, .. })));
}

#[test]
fn numbers_are_signed_in_der() {
    for (value, expected) in
        [(0, &[2, 1, 0][..]), (127, &[2, 1, 127]), (128, &[2, 2, 0, 128]), (u32::MAX, &[2, 5, 0, 255, 255, 255, 255])]
    {
        assert_eq!(der::integer(value), expected);
    }
    assert_eq!(der::element(4, &[7; 200])[..3], [4, 0x81, 200]);
    assert_eq!(der::element(4, &[7; 300])[..4], [4, 0x82, 1, 44]);
    assert_eq!(der::element(5, &[]), [5, 0]);
}
