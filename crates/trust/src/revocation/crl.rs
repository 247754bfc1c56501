//! One revocation list: what makes it believable, and what it says.

use std::time::{Duration, SystemTime};

use openssl::error::ErrorStack;
use openssl::hash::{MessageDigest, hash};
use openssl::x509::{CrlNumber, CrlStatus as Listed, X509, X509Crl, X509Ref};

use super::CrlStatus;
use super::der::element;
use crate::dn::Dn;
use crate::tls::system_time;

/// Clocks of authorities may be ahead of ours by this much.
const CLOCK_SKEW: Duration = Duration::from_secs(600);

/// Why a revocation list is not taken.
#[derive(Debug, thiserror::Error)]
pub enum CrlError {
    /// Neither PEM nor DER of a revocation list.
    #[error("not a revocation list")]
    Malformed,
    /// No known authority has signed it.
    #[error("not signed by a known authority")]
    UnknownIssuer,
    /// Issued in the future.
    #[error("revocation list from the future")]
    NotYetValid,
    /// Past its end.
    #[error("revocation list past its end")]
    Expired,
    /// Without an end: it could be replayed for ever.
    #[error("revocation list without an end")]
    NoNextUpdate,
    /// A delta, a partial list, or one with a critical extension we do not know.
    #[error("not a complete revocation list")]
    Incomplete,
    /// Older than the one at hand.
    #[error("older than the revocation list at hand")]
    Older,
    /// It could not be fetched.
    #[error("cannot fetch the revocation list: {0}")]
    Fetch(#[from] crate::http::HttpError),
    /// It could not be read.
    #[error("cannot read the revocation list: {0}")]
    File(#[from] std::io::Error),
    /// Larger than the limit.
    #[error("revocation list too large")]
    TooLarge,
    /// OpenSSL could not work.
    #[error("OpenSSL: {0}")]
    OpenSsl(#[from] ErrorStack),
}

/// An authority: its name and its key, hashed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct IssuerKey([u8; 32]);

impl IssuerKey {
    pub(super) fn of(issuer: &X509Ref) -> Result<IssuerKey, ErrorStack> {
        let mut identity = issuer.subject_name().to_der()?;
        identity.extend(issuer.public_key()?.public_key_to_der()?);
        let digest = hash(MessageDigest::sha256(), &identity)?;
        let mut key = [0; 32];
        key.copy_from_slice(&digest); // SHA-256 gives 32 bytes
        Ok(IssuerKey(key))
    }

    /// As a file name.
    pub(super) fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A list found believable.
pub(super) struct StoredCrl {
    crl: X509Crl,
    der: Vec<u8>,
    issuer: Dn,
    this_update: SystemTime,
    next_update: SystemTime,
    /// CRL number, big endian, without leading zeros.
    number: Vec<u8>,
    revoked: usize,
}

impl StoredCrl {
    /// Reads and checks a list: its authority is the one of `issuers` whose name it bears and whose key signed it.
    pub(super) fn read(bytes: &[u8], issuers: &[X509], now: SystemTime) -> Result<(IssuerKey, StoredCrl), CrlError> {
        let crl = if bytes.starts_with(b"-----") { X509Crl::from_pem(bytes) } else { X509Crl::from_der(bytes) };
        let crl = crl.map_err(|_| CrlError::Malformed)?;
        let der = crl.to_der()?;
        let name = crl.issuer_name().to_der()?;
        let issuer = issuers
            .iter()
            .filter(|issuer| issuer.subject_name().to_der().is_ok_and(|subject| subject == name))
            .find(|issuer| issuer.public_key().is_ok_and(|key| crl.verify(&key).unwrap_or(false)))
            .ok_or(CrlError::UnknownIssuer)?;
        if !is_complete(&der).ok_or(CrlError::Malformed)? {
            return Err(CrlError::Incomplete);
        }
        let this_update = system_time(crl.last_update())?;
        let next_update = system_time(crl.next_update().ok_or(CrlError::NoNextUpdate)?)?;
        if this_update > now + CLOCK_SKEW {
            return Err(CrlError::NotYetValid);
        }
        if next_update <= now {
            return Err(CrlError::Expired);
        }
        let number = match crl.extension::<CrlNumber>()? {
            Some((_, number)) => number.to_bn()?.to_vec(),
            None => Vec::new(),
        };
        let key = IssuerKey::of(issuer)?;
        let revoked = crl.get_revoked().map_or(0, |revoked| revoked.len());
        let issuer = Dn::from_x509(crl.issuer_name()).map_err(|_| CrlError::Malformed)?;
        Ok((key, StoredCrl { crl, der, issuer, this_update, next_update, number, revoked }))
    }

    pub(super) fn der(&self) -> &[u8] {
        &self.der
    }

    pub(super) fn status(&self) -> CrlStatus {
        CrlStatus {
            issuer: self.issuer.clone(),
            this_update: self.this_update,
            next_update: self.next_update,
            revoked: self.revoked,
        }
    }

    /// Whether `other` was issued after this one.
    pub(super) fn is_older_than(&self, other: &StoredCrl) -> bool {
        let rank = |list: &StoredCrl| (list.this_update, list.number.len(), list.number.clone());
        rank(self) < rank(other)
    }

    /// Whether the list counts at this date.
    pub(super) fn counts_at(&self, now: SystemTime) -> bool {
        self.this_update <= now + CLOCK_SKEW && now < self.next_update
    }

    /// Whether the list names this certificate.
    pub(super) fn names(&self, certificate: &X509Ref) -> bool {
        matches!(self.crl.get_by_serial(certificate.serial_number()), Listed::Revoked(_))
    }
}

impl std::fmt::Debug for StoredCrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredCrl").field("issuer", &self.issuer).field("next_update", &self.next_update).finish()
    }
}

/// Whether the list covers all certificates and all reasons: no delta indicator, no unknown critical extension, and if there is an
/// issuing distribution point, none that leaves out reasons or speaks for other authorities. None if the DER is not as it should be.
///
/// The binding gives no access to these extensions, and OpenSSL's flags neither; the path to them is short.
fn is_complete(der: &[u8]) -> Option<bool> {
    const SEQUENCE: u8 = 0x30;
    const EXTENSIONS: u8 = 0xA0;
    let (_, list, _) = element(der)?;
    let (_, mut tbs, _) = element(list)?;
    while !tbs.is_empty() {
        let (tag, content, rest) = element(tbs)?;
        tbs = rest;
        if tag != EXTENSIONS {
            continue;
        }
        let (_, mut extensions, _) = element(content)?;
        while !extensions.is_empty() {
            let (tag, extension, rest) = element(extensions)?;
            extensions = rest;
            if tag != SEQUENCE || !is_harmless(extension)? {
                return Some(false);
            }
        }
    }
    Some(true)
}

/// Judges one extension of a list: `SEQUENCE { OID, [BOOLEAN critical], OCTET STRING }`.
fn is_harmless(extension: &[u8]) -> Option<bool> {
    const BOOLEAN: u8 = 0x01;
    const DELTA_INDICATOR: &[u8] = &[0x55, 0x1D, 0x1B];
    const ISSUING_DISTRIBUTION_POINT: &[u8] = &[0x55, 0x1D, 0x1C];
    let (_, oid, rest) = element(extension)?;
    let (tag, first, after) = element(rest)?;
    let (critical, value) = if tag == BOOLEAN { (first != [0], element(after)?.1) } else { (false, first) };
    if oid == DELTA_INDICATOR {
        return Some(false);
    }
    if oid == ISSUING_DISTRIBUTION_POINT {
        let (_, mut fields, _) = element(value)?;
        while !fields.is_empty() {
            let (tag, _, rest) = element(fields)?;
            fields = rest;
            // [0] distributionPoint, [1] onlyContainsUserCerts, [2] onlyContainsCACerts: each authority of IGC-Santé issues
            // one sort only. [3] onlySomeReasons, [4] indirectCRL, [5] onlyContainsAttributeCerts: not a whole list.
            if !matches!(tag & 0x1F, 0..=2) {
                return Some(false);
            }
        }
        return Some(true);
    }
    Some(!critical)
}
