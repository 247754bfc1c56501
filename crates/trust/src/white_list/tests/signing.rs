//! The signature: who signed, with what, and that nothing else passes.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::super::{ListError, RequiredSigner, SignError, SignatureError, SignaturePolicy, WhiteList, sign, verify};
use super::support::{ALPHA, Holder, crl, dn, list, now, pki, policy, signed, signed_by};
use crate::clock::ManualClock;
use crate::revocation::{Revocation, RevocationPolicy, RevocationSettings};
use crate::tls::{Anchors, CertificateFault};

pub(super) fn fault(document: &str, policy: &SignaturePolicy) -> Option<SignatureError> {
    match WhiteList::from_xml(document.as_bytes(), policy, now()) {
        Ok(_) => None,
        Err(ListError::Signature(error)) => Some(error),
        Err(other) => panic!("another error than expected: {other}"),
    }
}

fn required(change: impl FnOnce(&mut RequiredSigner)) -> SignaturePolicy {
    let SignaturePolicy::Required(mut signer) = policy() else { unreachable!("the helper gives that one") };
    change(&mut signer);
    SignaturePolicy::Required(signer)
}

#[test]
fn the_expected_signer_is_accepted() {
    for holder in [&pki().signer, &pki().ec_signer] {
        let document = signed_by(holder, &list(Duration::ZERO));
        let read = WhiteList::from_xml(document.as_bytes(), &policy(), now()).unwrap();
        assert!(read.allows("alpha.mssante.fr", &dn(ALPHA)));
        assert_eq!(read.signer().unwrap().common_name(), Some("Liste Blanche MSSante"));
        let verified = verify(document.as_bytes(), &policy(), now()).unwrap();
        assert!(!verified.content.contains("Signature"));
    }
}

#[test]
fn every_other_signer_is_refused() {
    let cases: [(&Holder, SignatureError); 4] = [
        (&pki().stranger, SignatureError::WrongSigner),
        (&pki().server, SignatureError::Certificate(CertificateFault::WrongUsage)),
        (&pki().expired, SignatureError::Certificate(CertificateFault::Expired)),
        (&pki().impostor, SignatureError::Certificate(CertificateFault::UnknownAuthority)),
    ];
    for (holder, expected) in cases {
        let found = fault(&signed_by(holder, &list(Duration::ZERO)), &policy());
        // An authority with the name of ours and another key: OpenSSL may call it unknown or its signature wrong.
        let bad_chain = found == Some(SignatureError::Certificate(CertificateFault::BadSignature));
        assert!(
            found == Some(expected) || (bad_chain && std::ptr::eq(holder, &raw const pki().impostor)),
            "{found:?} {expected:?}"
        );
    }
    assert_eq!(fault(&list(Duration::ZERO), &policy()), Some(SignatureError::Missing));
}

#[test]
fn without_anybody_to_trust_nothing_is_accepted() {
    // bergshamra with an empty trust store would say "valid" (crates.md §5.4).
    assert_eq!(fault(&signed(), &required(|r| r.anchors = Anchors::none())), Some(SignatureError::NoTrust));
    assert_eq!(fault(&signed(), &required(|r| r.name = crate::Dn::default())), Some(SignatureError::NoTrust));
    assert_eq!(fault(&signed(), &SignaturePolicy::Pinned(Vec::new())), Some(SignatureError::NoTrust));
}

#[test]
fn pinned_certificates() {
    let pinned = |holders: &[&Holder]| SignaturePolicy::Pinned(holders.iter().map(|h| h.certificate.clone()).collect());
    assert_eq!(fault(&signed(), &pinned(&[&pki().signer])), None);
    assert_eq!(fault(&signed(), &pinned(&[&pki().stranger, &pki().signer])), None);
    assert_eq!(fault(&signed(), &pinned(&[&pki().ec_signer])), Some(SignatureError::WrongSigner));
    let by_expired = signed_by(&pki().expired, &list(Duration::ZERO));
    assert_eq!(fault(&by_expired, &pinned(&[&pki().expired])), Some(CertificateFault::Expired.into()));
    // No certificate in KeyInfo: the only pinned one is meant.
    let document = signed();
    let (head, rest) = document.split_once("<ds:KeyInfo>").unwrap();
    let (_, tail) = rest.split_once("</ds:KeyInfo>").unwrap();
    let bare = format!("{head}{tail}");
    assert_eq!(fault(&bare, &pinned(&[&pki().signer])), None);
    assert_eq!(fault(&bare, &pinned(&[&pki().ec_signer])), Some(SignatureError::Invalid));
    assert_eq!(fault(&bare, &policy()), Some(SignatureError::NoCertificate));
}

#[test]
fn revocation_of_the_signer() {
    let with_lists = |revoked: &[&openssl::x509::X509], installed: bool| {
        let issuers: Anchors = vec![pki().root.certificate.clone()].into();
        let settings = RevocationSettings {
            policy: RevocationPolicy::Required,
            clock: ManualClock::at(now()).shared(),
            ..RevocationSettings::required(issuers, Vec::new())
        };
        let revocation = Revocation::new(settings).unwrap();
        if installed {
            revocation.install(&crl(revoked).to_pem().unwrap()).unwrap();
        }
        required(|r| r.revocation = Arc::new(revocation))
    };
    assert_eq!(fault(&signed(), &with_lists(&[], true)), None);
    assert_eq!(fault(&signed(), &with_lists(&[], false)), Some(CertificateFault::CrlUnavailable.into()));
    let signer = &pki().signer.certificate;
    assert_eq!(fault(&signed(), &with_lists(&[signer], true)), Some(CertificateFault::Revoked.into()));
}

#[test]
fn any_change_of_the_content_is_seen() {
    for (from, to) in [
        ("alpha.mssante.fr", "alphb.mssante.fr"),
        ("smtp.alpha.fr", "smtp.omega.fr"),
        (
            "</ListeDomaines>",
            "<Domaine><Nom>evil.fr</Nom><DNCertificatOperateur>CN=x,C=FR</DNCertificatOperateur></Domaine></ListeDomaines>",
        ),
        ("<ListeBlancheMSSante ", "<ListeBlancheMSSante xmlns:x=\"urn:x\" "),
        ("<ListeBlancheMSSante ", "<ListeBlancheMSSante x=\"y\" "),
        ("<ListeDomaines>", "<ListeDomaines> "),
        ("</ListeBlancheMSSante>", " </ListeBlancheMSSante>"),
        ("<ListeBlancheMSSante ", "<?pi?><ListeBlancheMSSante "),
    ] {
        let document = signed();
        assert!(document.contains(from), "{from}");
        let changed = document.replacen(from, to, 1);
        assert_eq!(fault(&changed, &policy()), Some(SignatureError::Invalid), "{from} → {to}");
    }
    // Comments are not part of what is signed, and so not of what is read.
    let commented = signed().replacen("alpha.mssante.fr<", "alpha.<!-- x -->mssante.fr<", 1);
    let read = WhiteList::from_xml(commented.as_bytes(), &policy(), now()).unwrap();
    assert!(read.is_listed("alpha.mssante.fr"));
}

#[test]
fn weak_or_unexpected_algorithms_are_refused() {
    for (from, to) in [
        ("2001/04/xmldsig-more#rsa-sha256", "2000/09/xmldsig#rsa-sha1"),
        ("2001/04/xmldsig-more#rsa-sha256", "2000/09/xmldsig#hmac-sha1"),
        ("2001/04/xmldsig-more#rsa-sha256", "2001/04/xmldsig-more#hmac-sha256"),
        ("2001/04/xmlenc#sha256", "2000/09/xmldsig#sha1"),
        ("REC-xml-c14n-20010315\"/><ds:SignatureMethod", "REC-xml-c14n-20010315#WithComments\"/><ds:SignatureMethod"),
    ] {
        let document = signed();
        assert!(document.contains(from), "{from}");
        assert_eq!(fault(&document.replacen(from, to, 1), &policy()), Some(SignatureError::Algorithm), "{to}");
    }
}

#[test]
fn only_lists_are_signed_and_only_once() {
    let Holder { key, certificate } = &pki().signer;
    assert!(matches!(sign(&signed(), key, certificate), Err(SignError::NotAList)));
    assert!(matches!(sign("<a/>", key, certificate), Err(SignError::NotAList)));
    assert!(matches!(sign(&list(Duration::ZERO), key, &pki().stranger.certificate), Err(SignError::KeyMismatch)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever octet is changed, the document is refused or says exactly the same.
    #[test]
    fn one_changed_octet_changes_nothing_or_is_refused(at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let original = signed();
        let mut document = original.clone().into_bytes();
        let at = at.index(document.len());
        document[at] = to;
        if let Ok(verified) = verify(&document, &policy(), now()) {
            prop_assert_eq!(verified.content, verify(original.as_bytes(), &policy(), now()).unwrap().content);
        }
    }
}
