//! Who is at the other end: the certificate, read once at the handshake, and what is wrong with it.

use std::time::{Duration, SystemTime};

use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::error::ErrorStack;
use openssl::x509::{X509ExtendedKeyUsage, X509Ref};

use crate::dn::Dn;

/// Most names of a certificate that are read; real ones have one or a few.
const MAX_NAMES: usize = 100;

/// Why a certificate is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum CertificateFault {
    /// None was shown.
    #[error("no certificate")]
    Missing,
    /// Past its end, or an authority of its chain is.
    #[error("certificate expired")]
    Expired,
    /// Before its beginning.
    #[error("certificate not yet valid")]
    NotYetValid,
    /// No chain to an authority of ours (other authority, self-signed, authority of the same name and another key).
    #[error("unknown certificate authority")]
    UnknownAuthority,
    /// A signature of the chain is wrong.
    #[error("wrong signature in the certificate chain")]
    BadSignature,
    /// On its authority's revocation list, or an authority of its chain is.
    #[error("certificate revoked")]
    Revoked,
    /// No valid revocation list of its authority at hand, and the policy requires one.
    #[error("no valid revocation list for this authority")]
    CrlUnavailable,
    /// Not made for this use (client, server, signature), or an authority that may not issue it.
    #[error("certificate not meant for this use")]
    WrongUsage,
    /// Not a certificate of the expected host.
    #[error("certificate of another host")]
    WrongName,
    /// A key or a digest too weak.
    #[error("certificate with a weak key or digest")]
    Weak,
    /// Malformed, or refused for another reason.
    #[error("certificate not acceptable (OpenSSL code {0})")]
    Other(i32),
}

/// The codes of `openssl/x509_vfy.h` that this crate tells apart.
pub(super) mod code {
    pub const UNABLE_TO_GET_ISSUER: i32 = 2;
    pub const UNABLE_TO_GET_CRL: i32 = 3;
    pub const SIGNATURE_FAILURE: i32 = 7;
    pub const NOT_YET_VALID: i32 = 9;
    pub const HAS_EXPIRED: i32 = 10;
    pub const DEPTH_ZERO_SELF_SIGNED: i32 = 18;
    pub const SELF_SIGNED_IN_CHAIN: i32 = 19;
    pub const UNABLE_TO_GET_ISSUER_LOCALLY: i32 = 20;
    pub const UNABLE_TO_VERIFY_LEAF: i32 = 21;
    pub const REVOKED: i32 = 23;
    pub const PATH_LENGTH_EXCEEDED: i32 = 25;
    pub const INVALID_PURPOSE: i32 = 26;
    pub const UNTRUSTED: i32 = 27;
    pub const KEYUSAGE_NO_CERTSIGN: i32 = 32;
    pub const UNSPECIFIED: i32 = 1;
    pub const HOSTNAME_MISMATCH: i32 = 62;
    pub const IP_MISMATCH: i32 = 64;
    pub const EE_KEY_TOO_SMALL: i32 = 66;
    pub const CA_KEY_TOO_SMALL: i32 = 67;
    pub const CA_MD_TOO_WEAK: i32 = 68;
    pub const INVALID_CA: i32 = 79;
}

impl CertificateFault {
    /// From OpenSSL's verification code.
    pub(super) fn from_code(code: i32) -> CertificateFault {
        match code {
            code::HAS_EXPIRED => CertificateFault::Expired,
            code::NOT_YET_VALID => CertificateFault::NotYetValid,
            code::UNABLE_TO_GET_ISSUER
            | code::DEPTH_ZERO_SELF_SIGNED
            | code::SELF_SIGNED_IN_CHAIN
            | code::UNABLE_TO_GET_ISSUER_LOCALLY
            | code::UNABLE_TO_VERIFY_LEAF
            | code::UNTRUSTED => CertificateFault::UnknownAuthority,
            code::SIGNATURE_FAILURE => CertificateFault::BadSignature,
            code::REVOKED => CertificateFault::Revoked,
            code::UNABLE_TO_GET_CRL => CertificateFault::CrlUnavailable,
            code::INVALID_PURPOSE | code::INVALID_CA | code::PATH_LENGTH_EXCEEDED | code::KEYUSAGE_NO_CERTSIGN => {
                CertificateFault::WrongUsage
            }
            code::HOSTNAME_MISMATCH | code::IP_MISMATCH => CertificateFault::WrongName,
            code::EE_KEY_TOO_SMALL | code::CA_KEY_TOO_SMALL | code::CA_MD_TOO_WEAK => CertificateFault::Weak,
            other => CertificateFault::Other(other),
        }
    }

    /// The OpenSSL code, from which the alert sent to the peer follows (revoked 44, expired 45, unknown authority 48…).
    pub(super) fn to_code(self) -> i32 {
        match self {
            CertificateFault::Missing | CertificateFault::Other(0) => code::UNSPECIFIED,
            CertificateFault::Expired => code::HAS_EXPIRED,
            CertificateFault::NotYetValid => code::NOT_YET_VALID,
            CertificateFault::UnknownAuthority => code::UNABLE_TO_GET_ISSUER_LOCALLY,
            CertificateFault::BadSignature => code::SIGNATURE_FAILURE,
            CertificateFault::Revoked => code::REVOKED,
            CertificateFault::CrlUnavailable => code::UNABLE_TO_GET_CRL,
            CertificateFault::WrongUsage => code::INVALID_PURPOSE,
            CertificateFault::WrongName => code::HOSTNAME_MISMATCH,
            CertificateFault::Weak => code::EE_KEY_TOO_SMALL,
            CertificateFault::Other(code) => code,
        }
    }
}

/// What a certificate says it may be used for (extended key usage).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usages {
    /// TLS client (`ORG AUTH_CLI`, `SERV SSL`).
    pub client_auth: bool,
    /// TLS server (`SERV SSL`).
    pub server_auth: bool,
    /// Signature (`ORG SIGN`).
    pub email_protection: bool,
}

/// The peer's certificate and our verdict on it.
#[derive(Debug, Clone)]
pub struct PeerCertificate {
    /// Whom it names; empty when its subject is not a proper name (the verdict is then a fault).
    pub subject: Dn,
    /// Who issued it.
    pub issuer: Dn,
    /// Serial number, upper case hexadecimal.
    pub serial: String,
    /// Beginning of its validity.
    pub not_before: SystemTime,
    /// End of its validity.
    pub not_after: SystemTime,
    /// DNS names (subjectAltName).
    pub dns_names: Vec<String>,
    /// Extended key usages.
    pub usages: Usages,
    /// The certificate itself.
    pub der: Vec<u8>,
    /// Whether it is accepted: chain, dates, usage, name (of a server) and revocation.
    pub verdict: Result<(), CertificateFault>,
}

impl PeerCertificate {
    /// Reads a certificate; `verdict` is what the verification found.
    pub(super) fn read(
        certificate: &X509Ref,
        verdict: Result<(), CertificateFault>,
    ) -> Result<PeerCertificate, ErrorStack> {
        let subject = Dn::from_x509(certificate.subject_name());
        let issuer = Dn::from_x509(certificate.issuer_name());
        // A name we cannot read must not pass for an acceptable one (embedded NUL, hundreds of attributes).
        let verdict = if subject.is_err() || issuer.is_err() {
            verdict.and(Err(CertificateFault::Other(super::peer::code::UNSPECIFIED)))
        } else {
            verdict
        };
        let dns_names = certificate.subject_alt_names().map_or_else(Vec::new, |names| {
            names.iter().filter_map(|n| n.dnsname()).take(MAX_NAMES).map(str::to_owned).collect()
        });
        Ok(PeerCertificate {
            subject: subject.unwrap_or_default(),
            issuer: issuer.unwrap_or_default(),
            serial: certificate.serial_number().to_bn()?.to_hex_str()?.to_string(),
            not_before: system_time(certificate.not_before())?,
            not_after: system_time(certificate.not_after())?,
            dns_names,
            usages: usages(certificate),
            der: certificate.to_der()?,
            verdict,
        })
    }
}

/// The extended key usages; none when the extension is absent.
pub(super) fn usages(certificate: &X509Ref) -> Usages {
    certificate.extended_key_usage().map_or_else(Usages::default, |eku| Usages {
        client_auth: eku.contains(X509ExtendedKeyUsage::SSL_CLIENT),
        server_auth: eku.contains(X509ExtendedKeyUsage::SSL_SERVER),
        email_protection: eku.contains(X509ExtendedKeyUsage::SMIME),
    })
}

/// An ASN.1 date as an instant.
pub fn system_time(date: &Asn1TimeRef) -> Result<SystemTime, ErrorStack> {
    let since = Asn1Time::from_unix(0)?.diff(date)?;
    let seconds = i64::from(since.days) * 86_400 + i64::from(since.secs);
    let distance = Duration::from_secs(seconds.unsigned_abs());
    Ok(if seconds < 0 { SystemTime::UNIX_EPOCH - distance } else { SystemTime::UNIX_EPOCH + distance })
}

/// An instant as seconds since 1970, as OpenSSL wants it.
pub(crate) fn unix(date: SystemTime) -> i64 {
    match date.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_secs()).unwrap_or(i64::MAX),
    }
}
