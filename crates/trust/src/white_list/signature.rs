//! The list's enveloped XML signature (operator.md §2.5), and nothing read but what it covers.
//!
//! The order of the checks:
//! 1. the form, on the document as parsed once: exactly one `Signature`, child of the document element; algorithms of the
//!    allow-list (no SHA-1, no HMAC); exactly one reference to the whole document, whose only transforms take the signature out and
//!    canonicalise; besides it at most XAdES's reference to its own `SignedProperties`;
//! 2. the signer: the certificate of `KeyInfo` bearing the expected name, judged by [`crate::tls::verify_chain`], or a pinned one;
//! 3. the signature, by `bergshamra` with that key and no other (an empty trust store would make it accept anything: it is
//!    never given one to look at; `trusted_keys_only`);
//! 4. the content: the document without its signature is canonicalised again here, its digest compared with the signed one, and
//!    *those octets* are what the caller parses. Whatever an attacker wraps or moves is either in them or out of reach.

use std::sync::Arc;
use std::time::SystemTime;

use bergshamra::{DsigContext, KeysManager, VerifyResult};
use openssl::hash::{MessageDigest, hash};
use openssl::x509::X509;

use super::document;
use super::form::{self, Form};
use super::parse::{ListError, MAX_DOCUMENT};
use crate::dn::Dn;
use crate::revocation::Revocation;
use crate::tls::{Anchors, CertificateFault, TlsError, Usage, verify_chain};

/// What is required of the signature.
#[derive(Debug, Clone)]
pub enum SignaturePolicy {
    /// Signed by the holder of a certificate of this authority and name: production.
    Required(RequiredSigner),
    /// Signed with the key of one of these certificates, whoever issued them; their dates are checked.
    Pinned(Vec<X509>),
    /// Not looked at, even when there is one. For importing a copy by hand and for tests; never for a list fetched.
    Unsigned,
}

/// The signer that [`SignaturePolicy::Required`] asks for.
#[derive(Debug, Clone)]
pub struct RequiredSigner {
    /// Authorities its chain must end at. None: every list is refused.
    pub anchors: Anchors,
    /// Its name (for the sister list DRIM-M: `CN=Liste Blanche DRIM-M,OU=318751275100020,…`), compared attribute by attribute.
    pub name: Dn,
    /// The revocation lists its chain is checked against.
    pub revocation: Arc<Revocation>,
}

/// What was signed, and by whom.
#[derive(Debug, Clone)]
pub struct Verified {
    /// The document without its signature, in canonical form: the octets that the signature covers.
    pub content: String,
    /// The signer; `None` for [`SignaturePolicy::Unsigned`].
    pub signer: Option<Dn>,
}

/// Why a signature is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// There is none.
    #[error("the document is not signed")]
    Missing,
    /// Several, or not directly under the document element.
    #[error("exactly one signature must stand, under the document element")]
    Misplaced,
    /// A part is missing, repeated or malformed.
    #[error("the signature is malformed")]
    Malformed,
    /// An algorithm that is not on the allow-list.
    #[error("the signature uses an algorithm that is not accepted")]
    Algorithm,
    /// Something else than the whole document is signed, or too much is taken out of it first.
    #[error("the signature does not cover the whole document and nothing else")]
    Coverage,
    /// `KeyInfo` brings no certificate, or one that cannot be read.
    #[error("the signature brings no readable certificate")]
    NoCertificate,
    /// No anchor, no name or no pinned certificate is configured: nobody could be recognised.
    #[error("no acceptable signer is configured")]
    NoTrust,
    /// Signed by somebody else.
    #[error("signed by somebody else than the expected signer")]
    WrongSigner,
    /// The right name, and a certificate that is not acceptable.
    #[error("certificate of the signer: {0}")]
    Certificate(#[from] CertificateFault),
    /// The signature or a digest does not verify.
    #[error("the signature is wrong")]
    Invalid,
    /// The cryptographic library could not work.
    #[error("the cryptographic library failed")]
    Library,
}

impl From<TlsError> for SignatureError {
    fn from(_: TlsError) -> Self {
        SignatureError::Library
    }
}

/// Checks a document as `policy` says, at the date `now`.
///
/// # Errors
/// [`ListError::Signature`], or what prevents the document from being read at all.
pub fn verify(document: &[u8], policy: &SignaturePolicy, now: SystemTime) -> Result<Verified, ListError> {
    if document.len() > MAX_DOCUMENT {
        return Err(ListError::TooLarge);
    }
    let text = std::str::from_utf8(document).map_err(|_| ListError::NotUtf8)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if matches!(policy, SignaturePolicy::Unsigned) {
        return Ok(Verified { content: text.to_owned(), signer: None });
    }
    if faults::is_on(faults::Fault::UnsignedList) {
        return Ok(Verified { content: text.to_owned(), signer: None });
    }
    let form = form::read(&document::open(text)?)?;
    let signer = signer(&form.certificates, policy, now)?;
    check_signature(text, &form, &signer)?;
    let content = signed_content(text, &form)?;
    let name = Dn::from_x509(signer.subject_name()).map_err(|_| SignatureError::NoCertificate)?;
    Ok(Verified { content, signer: Some(name) })
}

/// The certificate whose key must have made the signature.
fn signer(shown: &[Vec<u8>], policy: &SignaturePolicy, now: SystemTime) -> Result<X509, SignatureError> {
    let shown = || -> Result<Vec<X509>, SignatureError> {
        shown.iter().map(|der| X509::from_der(der).map_err(|_| SignatureError::NoCertificate)).collect()
    };
    match policy {
        SignaturePolicy::Unsigned => Err(SignatureError::NoTrust),
        SignaturePolicy::Pinned(pinned) => pinned_signer(&shown()?, pinned, now),
        SignaturePolicy::Required(required) => required_signer(&shown()?, required, now),
    }
}

fn required_signer(shown: &[X509], required: &RequiredSigner, now: SystemTime) -> Result<X509, SignatureError> {
    if required.anchors.is_empty() || required.name.is_empty() {
        return Err(SignatureError::NoTrust);
    }
    if shown.is_empty() {
        return Err(SignatureError::NoCertificate);
    }
    let bears_name = |certificate: &&X509| {
        Dn::from_x509(certificate.subject_name()).is_ok_and(|name| name.same_entity(&required.name))
    };
    let mut fault = SignatureError::WrongSigner;
    for certificate in shown.iter().filter(bears_name) {
        let RequiredSigner { anchors, revocation, .. } = required;
        match verify_chain(certificate, shown, anchors, Usage::Signature, now, revocation)? {
            Ok(()) => return Ok(certificate.clone()),
            Err(found) => fault = SignatureError::Certificate(found),
        }
    }
    Err(fault)
}

/// The pinned certificate that the document shows, or the only one when it shows none.
fn pinned_signer(shown: &[X509], pinned: &[X509], now: SystemTime) -> Result<X509, SignatureError> {
    let found = match (pinned, shown) {
        ([], _) => return Err(SignatureError::NoTrust),
        ([only], []) => only,
        _ => pinned.iter().find(|pin| shown.contains(pin)).ok_or(SignatureError::WrongSigner)?,
    };
    let now = openssl::asn1::Asn1Time::from_unix(seconds(now)).map_err(|_| SignatureError::Library)?;
    if found.not_before() > now {
        return Err(CertificateFault::NotYetValid.into());
    }
    if found.not_after() < now {
        return Err(CertificateFault::Expired.into());
    }
    Ok(found.clone())
}

fn seconds(instant: SystemTime) -> i64 {
    let elapsed = instant.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX)
}

/// The signature value and every reference digest, with the signer's key alone.
fn check_signature(text: &str, form: &Form, signer: &X509) -> Result<(), SignatureError> {
    let der = signer.to_der().map_err(|_| SignatureError::Library)?;
    let key = bergshamra::keys::loader::load_x509_cert_der(&der).map_err(|_| SignatureError::NoCertificate)?;
    let mut keys = KeysManager::new();
    keys.add_key(key);
    // `new` means: this key only, never one that the document brings. Its positional rule would refuse XAdES's own reference
    // (inside the signature); the form already read is stricter on everything else.
    let context = DsigContext::new(keys).with_strict_verification(false);
    match bergshamra::verify(&context, text) {
        Ok(VerifyResult::Valid { references, .. }) => {
            let same =
                references.iter().map(|reference| reference.uri.as_str()).eq(form.uris.iter().map(String::as_str));
            let verified = references.iter().all(|reference| reference.digest_verified);
            if same && verified { Ok(()) } else { Err(SignatureError::Coverage) }
        }
        Ok(VerifyResult::Invalid { .. }) | Err(_) => Err(SignatureError::Invalid),
    }
}

/// The octets the document reference covers, computed again from the text and compared with the signed digest.
fn signed_content(text: &str, form: &Form) -> Result<String, SignatureError> {
    let mut rest = String::with_capacity(text.len());
    rest.push_str(&text[..form.range.start]);
    rest.push_str(&text[form.range.end..]);
    let octets = bergshamra::c14n::canonicalize(&rest, form.canonical, None, &form.prefixes)
        .map_err(|_| SignatureError::Malformed)?;
    let digest = hash(form.digest.openssl(), &octets).map_err(|_| SignatureError::Library)?;
    if *digest != *form.digest_value {
        return Err(SignatureError::Invalid);
    }
    String::from_utf8(octets).map_err(|_| SignatureError::Malformed)
}

/// The digests accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Digest {
    Sha256,
    Sha384,
    Sha512,
}

impl Digest {
    fn openssl(self) -> MessageDigest {
        match self {
            Digest::Sha256 => MessageDigest::sha256(),
            Digest::Sha384 => MessageDigest::sha384(),
            Digest::Sha512 => MessageDigest::sha512(),
        }
    }
}
