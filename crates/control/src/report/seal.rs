//! The detached signature of a report by an organisation certificate: PKCS#7 (CMS) SignedData over the octets of the JSON file, SHA-256, with
//! the signer's time; `openssl cms -verify` reads it. CTL-REPORT; control.md §5.7.
//!
//! Invariants: one signer; no SHA-1 or MD5 anywhere; the certificate is for signing, within its dates, and under an authority that whoever
//! checks has named. The time is the signer's own word: nobody else vouches for it.

use std::time::SystemTime;

use mssante::StructureId;
use openssl::error::ErrorStack;
use openssl::pkcs7::{Pkcs7, Pkcs7Flags};
use openssl::pkey::{PKey, Private};
use openssl::stack::Stack;
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::verify::{X509VerifyFlags, X509VerifyParam};
use openssl::x509::{X509, X509PurposeId, X509Ref, X509StoreContext};
use serde::Serialize;
use trust::dn::{AttributeType, Dn};
use trust::revocation::Revocation;
use trust::tls::{Anchors, CertificateFault, Usage, verify_chain};

/// Largest signature read: a few certificates and some hundred octets.
const MAX_SIGNATURE: usize = 256 * 1024;

/// Why a report is not signed, or its signature not taken.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The certificate's file.
    #[error("the certificate is not readable PEM")]
    Certificate,
    /// The key's file.
    #[error("the key is not readable PEM without passphrase")]
    Key,
    /// Two files that do not go together.
    #[error("the key is not the certificate's")]
    KeyMismatch,
    /// Of a server, for example.
    #[error(
        "the certificate of {0} is not made for signing documents (ORG SIGN: digital signature, e-mail protection)"
    )]
    Usage(String),
    /// Its time is over.
    #[error("the certificate of {signer} has expired on {until}")]
    Expired {
        /// Whose.
        signer: String,
        /// Since.
        until: String,
    },
    /// Its time has not come.
    #[error("the certificate of {signer} is valid from {from} only")]
    NotYet {
        /// Whose.
        signer: String,
        /// When.
        from: String,
    },
    /// The authorities' file.
    #[error("the authorities are not readable PEM")]
    Anchors,
    /// Not PKCS#7 SignedData, DER or PEM.
    #[error("this is not a detached CMS signature")]
    Unreadable,
    /// None or several.
    #[error("the signature has {0} signers instead of one")]
    Signers(usize),
    /// SHA-1 or MD5.
    #[error("the signature uses a digest that is not accepted any more (SHA-1, MD5)")]
    Weak,
    /// The octets signed are others.
    #[error("the report is not the one that {0} signed: it was changed, or the signature is of another report")]
    Changed(String),
    /// Under none of the authorities, revoked…
    #[error("signed by {signer}, whose certificate is not to be believed: {why}")]
    Untrusted {
        /// Who.
        signer: String,
        /// What is wrong.
        why: CertificateFault,
    },
    /// Somebody else than expected.
    #[error("signed by {0}, who is not the expected signer")]
    OtherSigner(String),
    /// The library.
    #[error("OpenSSL: {0}")]
    OpenSsl(#[from] ErrorStack),
    /// The library, or the authorities.
    #[error(transparent)]
    Chain(#[from] trust::tls::TlsError),
}

/// A signature that was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Seal {
    /// The signer, as the certificate names it.
    pub signataire: String,
    /// Its organisation, by the certificate.
    pub organisation: Option<String>,
    /// The national identifiers of that organisation, type digit first: `1` FINESS, `2` SIREN, `3` SIRET.
    pub identifiants: Vec<String>,
    /// Who gave the certificate.
    pub autorite: String,
    /// Its serial number, hexadecimal.
    pub serie: String,
    /// When, in the signer's own word: `2026-11-22T10:00:00Z`.
    pub date: Option<String>,
    /// SHA-256 of the report's file.
    pub sha256: String,
}

/// Signs the octets of a report. `certificate`: PEM, what stands above it may follow; `key`: PEM.
///
/// # Errors
/// [`SealError`].
pub fn sign(report: &[u8], certificate: &[u8], key: &[u8], now: SystemTime) -> Result<Vec<u8>, SealError> {
    let chain = X509::stack_from_pem(certificate).map_err(|_| SealError::Certificate)?;
    let (leaf, above) = chain.split_first().ok_or(SealError::Certificate)?;
    // A callback that gives no passphrase: otherwise OpenSSL would ask on the terminal.
    let key: PKey<Private> = PKey::private_key_from_pem_callback(key, |_| Ok(0)).map_err(|_| SealError::Key)?;
    if !leaf.public_key()?.public_eq(&key) {
        return Err(SealError::KeyMismatch);
    }
    may_sign(leaf, now)?;
    let mut others = Stack::new()?;
    for certificate in above {
        others.push(certificate.clone())?;
    }
    let signed = Pkcs7::sign(leaf, &key, &others, report, Pkcs7Flags::DETACHED | Pkcs7Flags::BINARY)?;
    Ok(signed.to_der()?)
}

/// Checks a signature (DER or PEM) of the octets of a report. `anchors`: PEM of the authorities believed; `expected`: what the signer's name
/// must hold; `revocation`: the lists to look at, or none.
///
/// # Errors
/// [`SealError`], the report's change before the signer's faults.
pub fn check(
    report: &[u8],
    signature: &[u8],
    anchors: &[u8],
    revocation: &Revocation,
    expected: Option<&str>,
    now: SystemTime,
) -> Result<Seal, SealError> {
    if signature.len() > MAX_SIGNATURE {
        return Err(SealError::Unreadable);
    }
    let read =
        if signature.starts_with(b"-----BEGIN") { Pkcs7::from_pem(signature) } else { Pkcs7::from_der(signature) };
    let signed = read.map_err(|_| SealError::Unreadable)?;
    if signed.signed().is_none() {
        return Err(SealError::Unreadable);
    }
    let der = signed.to_der()?;
    let none = Stack::new()?;
    let signers = signed.signers(&none, Pkcs7Flags::empty()).map_err(|_| SealError::Signers(0))?;
    if signers.len() != 1 {
        return Err(SealError::Signers(signers.len()));
    }
    let leaf: X509 = signers.get(0).ok_or(SealError::Signers(0))?.to_owned();
    if has_weak_digest(&der) {
        return Err(SealError::Weak);
    }
    let signer = name(&leaf);
    let empty = X509StoreBuilder::new()?.build();
    let flags = Pkcs7Flags::DETACHED | Pkcs7Flags::BINARY | Pkcs7Flags::NOVERIFY;
    if signed.verify(&none, &empty, Some(report), None, flags).is_err() {
        return Err(SealError::Changed(signer));
    }
    let anchors = Anchors::from_pem(anchors).map_err(|_| SealError::Anchors)?;
    let shown: Vec<X509> =
        signed.signed().and_then(|inner| inner.certificates()).into_iter().flatten().map(ToOwned::to_owned).collect();
    verify_chain(&leaf, &shown, &anchors, Usage::Signature, now, revocation)?.map_err(|why| fault(&leaf, why))?;
    if expected.is_some_and(|expected| !signer.to_lowercase().contains(&expected.to_lowercase())) {
        return Err(SealError::OtherSigner(signer));
    }
    let dn = Dn::from_x509(leaf.subject_name()).unwrap_or_default();
    Ok(Seal {
        signataire: signer,
        organisation: dn.organization().map(crate::tls::starttls::shown),
        identifiants: identifiers(&dn),
        autorite: Dn::from_x509(leaf.issuer_name()).map(|dn| dn.to_string()).unwrap_or_default(),
        serie: leaf.serial_number().to_bn()?.to_hex_str()?.to_string(),
        date: signing_time(&der),
        sha256: super::sha256(report),
    })
}

/// The national identifiers of the organisation that a name is of: `OU` as IGC-Santé has it (`1` and a FINESS, `3` and a SIRET) or as the RGS has it
/// (`0002` and a SIREN or SIRET), and `organizationIdentifier` (ETSI EN 319 412-1: `NTRFR-` and a SIREN or SIRET).
fn identifiers(dn: &Dn) -> Vec<String> {
    let national = |number: &str| match number.len() {
        9 => Some(format!("2{number}")),
        14 => Some(format!("3{number}")),
        _ => None,
    };
    let of_unit = |text: &str| match text.strip_prefix("0002 ") {
        Some(number) => national(number.trim()),
        None => Some(text.to_owned()),
    };
    let of_identifier = |text: &str| match text.strip_prefix("NTRFR-").or_else(|| text.strip_prefix("SI:FR-")) {
        Some(number) => national(number),
        None => Some(text.to_owned()),
    };
    let mut found: Vec<String> = dn
        .attributes()
        .iter()
        .filter_map(|attribute| {
            let text = attribute.value.trim().to_ascii_uppercase();
            let told = match (&attribute.kind, attribute.kind.name()) {
                (AttributeType::OrganizationalUnit, _) => of_unit(&text),
                (_, "organizationIdentifier") => of_identifier(&text),
                _ => None,
            };
            // Check digits are not looked at: it is compared with what is declared.
            told.and_then(|text| StructureId::lenient(&text).ok()).map(|id| id.as_str().to_owned())
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn name(certificate: &X509Ref) -> String {
    match Dn::from_x509(certificate.subject_name()) {
        Ok(dn) => crate::tls::starttls::shown(&dn.to_string()),
        Err(_) => "un signataire au nom illisible".to_owned(),
    }
}

/// Dates and usages, whoever gave the certificate: what is known when one signs.
fn may_sign(certificate: &X509Ref, now: SystemTime) -> Result<(), SealError> {
    let mut param = X509VerifyParam::new()?;
    param.set_flags(X509VerifyFlags::PARTIAL_CHAIN)?;
    param.set_time(seconds(now));
    param.set_purpose(X509PurposeId::SMIME_SIGN)?;
    let mut store = X509StoreBuilder::new()?;
    store.add_cert(certificate.to_owned())?;
    store.set_param(&param)?;
    let mut context = X509StoreContext::new()?;
    let none: Stack<X509> = Stack::new()?;
    let verdict = context.init(&store.build(), certificate, &none, |context| {
        Ok(if context.verify_cert()? { Ok(()) } else { Err(context.error().as_raw()) })
    })?;
    verdict.map_err(|code| match code {
        EXPIRED => fault(certificate, CertificateFault::Expired),
        NOT_YET => fault(certificate, CertificateFault::NotYetValid),
        _ => fault(certificate, CertificateFault::WrongUsage),
    })
}

/// `X509_V_ERR_CERT_HAS_EXPIRED`.
const EXPIRED: i32 = 10;
/// `X509_V_ERR_CERT_NOT_YET_VALID`.
const NOT_YET: i32 = 9;

fn seconds(now: SystemTime) -> i64 {
    let elapsed = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX)
}

/// What is wrong with a certificate, in words that name its holder.
fn fault(certificate: &X509Ref, why: CertificateFault) -> SealError {
    let signer = name(certificate);
    match why {
        CertificateFault::Expired => SealError::Expired { signer, until: certificate.not_after().to_string() },
        CertificateFault::NotYetValid => SealError::NotYet { signer, from: certificate.not_before().to_string() },
        CertificateFault::WrongUsage => SealError::Usage(signer),
        why => SealError::Untrusted { signer, why },
    }
}

/// Whether the octets name SHA-1 or MD5 as an algorithm anywhere: strict, and such a signature is old in any case.
fn has_weak_digest(der: &[u8]) -> bool {
    const SHA1: &[u8] = &[0x06, 0x05, 0x2B, 0x0E, 0x03, 0x02, 0x1A];
    const MD5: &[u8] = &[0x06, 0x08, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x02, 0x05];
    [SHA1, MD5].iter().any(|oid| der.windows(oid.len()).any(|window| window == *oid))
}

/// The signed attribute `signingTime` (PKCS#9): UTCTime or GeneralizedTime in UTC.
fn signing_time(der: &[u8]) -> Option<String> {
    const OID: &[u8] = &[0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x09, 0x05];
    let at = der.windows(OID.len()).position(|window| window == OID)? + OID.len();
    // SET, its length, the time, its length.
    let [0x31, _, kind, length, rest @ ..] = der.get(at..)? else { return None };
    let text = std::str::from_utf8(rest.get(..usize::from(*length))?).ok()?.strip_suffix('Z')?;
    let full = match kind {
        0x17 if text.len() == 12 => format!("20{text}"),
        0x18 if text.len() == 14 => text.to_owned(),
        _ => return None,
    };
    if !full.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(format!(
        "{}-{}-{}T{}:{}:{}Z",
        &full[..4],
        &full[4..6],
        &full[6..8],
        &full[8..10],
        &full[10..12],
        &full[12..14]
    ))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use trust::clock::SystemClock;
    use trust::pki::{Issued, LeafRequest, Organization, TestAuthority, Validity};

    use super::*;

    const REPORT: &[u8] = b"{\"schema\": \"essai\"}\r\n";

    struct Space {
        authority: TestAuthority,
        anchors: Vec<u8>,
        whose: Organization,
    }

    fn space() -> Space {
        let authority = TestAuthority::generate("http://127.0.0.1:9", SystemClock::shared()).expect("an authority");
        let anchors = authority.ca_pem().expect("PEM");
        Space { authority, anchors, whose: Organization::new("10B0057881", "ORGANISME DE CONTROLE", "Paris (75)") }
    }

    fn of(issued: &Issued, now: SystemTime) -> Result<Vec<u8>, SealError> {
        sign(REPORT, &issued.chain_pem().expect("PEM"), &issued.key_pem().expect("PEM"), now)
    }

    #[test]
    fn whose_a_certificate_is() {
        let of = |text: &str| identifiers(&text.parse().expect("a name"));
        assert_eq!(of("CN=a,OU=1750000001,O=HOPITAL,C=FR"), ["1750000001"]);
        assert_eq!(of("CN=a,OU=318751275100020,O=ANS,C=FR"), ["318751275100020"]);
        // The RGS and ETSI write the same organisation otherwise; once each.
        assert_eq!(of("CN=a,OU=0002 187512751,2.5.4.97=NTRFR-187512751,O=ANS,C=FR"), ["2187512751"]);
        assert_eq!(of("CN=a,2.5.4.97=NTRFR-18751275100020,O=ANS,C=FR"), ["318751275100020"]);
        assert_eq!(of("CN=a,OU=10b0057881,OU=Service qualite,O=X,C=FR"), ["10B0057881"]);
        assert!(of("CN=1750000001,O=1750000001,OU=0002 12,OU=1750,2.5.4.97=VATFR-12345678901,C=FR").is_empty());
    }

    #[test]
    fn a_report_signed_and_checked() {
        let Space { authority, anchors, whose } = space();
        let now = SystemTime::now();
        let good = authority.issue(&LeafRequest::sign("Controle", &whose)).expect("issued");
        let signature = of(&good, now).expect("signed");
        let seal =
            check(REPORT, &signature, &anchors, &Revocation::none(), Some("organisme de controle"), now).expect("good");
        assert!(seal.signataire.contains("ORGANISME DE CONTROLE") && seal.date.is_some(), "{seal:?}");
        assert_eq!(seal.sha256, super::super::sha256(REPORT));
        // Line ends are octets too.
        let changed = b"{\"schema\": \"essai\"}\n";
        assert!(matches!(
            check(changed, &signature, &anchors, &Revocation::none(), None, now),
            Err(SealError::Changed(_))
        ));
        assert!(matches!(
            check(REPORT, &signature, &anchors, &Revocation::none(), Some("autre"), now),
            Err(SealError::OtherSigner(_))
        ));
        let foreign = space();
        assert!(matches!(
            check(REPORT, &signature, &foreign.anchors, &Revocation::none(), None, now),
            Err(SealError::Untrusted { .. })
        ));
        let later = now + Duration::from_secs(4 * 365 * 86_400);
        assert!(matches!(
            check(REPORT, &signature, &anchors, &Revocation::none(), None, later),
            Err(SealError::Expired { .. })
        ));
        assert!(matches!(check(REPORT, &signature, b"x", &Revocation::none(), None, now), Err(SealError::Anchors)));
        for spoiled in [&b""[..], b"abc", &signature[..signature.len() / 2]] {
            assert!(matches!(
                check(REPORT, spoiled, &anchors, &Revocation::none(), None, now),
                Err(SealError::Unreadable)
            ));
        }
    }

    #[test]
    fn who_may_not_sign() {
        let Space { authority, whose, .. } = space();
        let now = SystemTime::now();
        let expired = authority.issue(&LeafRequest::sign("Controle", &whose).valid(Validity::Expired)).expect("issued");
        assert!(matches!(of(&expired, now), Err(SealError::Expired { .. })));
        let server = authority.issue(&LeafRequest::server("a.fr", &whose, &[], &[])).expect("issued");
        assert!(matches!(of(&server, now), Err(SealError::Usage(_))));
        let other = authority.issue(&LeafRequest::sign("Autre", &whose)).expect("issued");
        let mixed = sign(REPORT, &other.chain_pem().expect("PEM"), &server.key_pem().expect("PEM"), now);
        assert!(matches!(mixed, Err(SealError::KeyMismatch)));
        assert!(matches!(sign(REPORT, b"", b"", now), Err(SealError::Certificate)));
    }

    #[test]
    fn sha_1_is_not_taken() {
        assert!(has_weak_digest(&[0, 0x06, 0x05, 0x2B, 0x0E, 0x03, 0x02, 0x1A, 5, 0]));
        assert_eq!(
            signing_time(&[0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x09, 0x05, 0x31, 0x0F, 0x17, 0x0D]),
            None
        );
    }
}
