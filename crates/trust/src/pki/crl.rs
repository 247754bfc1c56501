//! Revoking, and the lists that say so.

use std::time::{Duration, SystemTime};

use openssl::asn1::{Asn1Integer, Asn1Time};
use openssl::bn::BigNum;
use openssl::hash::MessageDigest;
use openssl::x509::{X509Crl, X509CrlBuilder, X509RevokedBuilder};

use super::authority::key_id;
use super::{Ca, PkiError, TestAuthority, der};
use crate::tls::unix;

/// How long a list counts. IGC-Santé's are renewed every day and count for a week.
const CRL_VALIDITY: Duration = Duration::from_secs(7 * 86_400);

/// Where a revocation is told: an authority whose services disagree is a thing to test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Channel {
    /// Everywhere.
    #[default]
    Both,
    /// In the list alone.
    List,
    /// By OCSP alone.
    Ocsp,
}

/// A certificate revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Revoked {
    pub(super) issuer: Ca,
    /// Hexadecimal.
    pub(super) serial: String,
    pub(super) since: SystemTime,
    pub(super) told: Channel,
}

impl TestAuthority {
    /// Revokes a certificate of an organisation, given by its serial number in hexadecimal. The next list says so; doing it twice
    /// changes nothing.
    ///
    /// # Errors
    /// Not a serial number.
    pub fn revoke(&self, serial: &str) -> Result<(), PkiError> {
        self.revoke_from(Ca::Organizations, serial, Channel::Both)
    }

    /// The same, told in one place only.
    ///
    /// # Errors
    /// Not a serial number.
    pub fn revoke_in(&self, serial: &str, told: Channel) -> Result<(), PkiError> {
        self.revoke_from(Ca::Organizations, serial, told)
    }

    /// Revokes the authority of organisations itself.
    ///
    /// # Errors
    /// Only if OpenSSL cannot work.
    pub fn revoke_intermediate(&self) -> Result<(), PkiError> {
        let serial = self.intermediate().serial_number().to_bn()?.to_hex_str()?.to_string();
        self.revoke_from(Ca::Root, &serial, Channel::Both)
    }

    fn revoke_from(&self, issuer: Ca, serial: &str, told: Channel) -> Result<(), PkiError> {
        if serial.is_empty() || serial.len() > 40 || !serial.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(PkiError::BadSerial);
        }
        let serial = BigNum::from_hex_str(serial)?.to_hex_str()?.to_string();
        let mut state = self.state();
        if !state.revoked.iter().any(|revoked| revoked.issuer == issuer && revoked.serial == serial) {
            state.revoked.push(Revoked { issuer, serial, since: self.clock.now(), told });
        }
        Ok(())
    }

    /// A new list of one authority, DER.
    ///
    /// # Errors
    /// Only if OpenSSL cannot work.
    pub fn crl_der(&self, ca: Ca) -> Result<Vec<u8>, PkiError> {
        Ok(self.crl(ca, CRL_VALIDITY)?.to_der()?)
    }

    /// A new list of one authority, PEM.
    ///
    /// # Errors
    /// Only if OpenSSL cannot work.
    pub fn crl_pem(&self, ca: Ca) -> Result<Vec<u8>, PkiError> {
        Ok(self.crl(ca, CRL_VALIDITY)?.to_pem()?)
    }

    /// A new list that counts for `validity` from now.
    ///
    /// # Errors
    /// Only if OpenSSL cannot work.
    pub fn crl(&self, ca: Ca, validity: Duration) -> Result<X509Crl, PkiError> {
        self.crl_from(ca, self.clock.now(), validity)
    }

    /// A new list that counts for `validity` from some other time.
    ///
    /// # Errors
    /// Only if OpenSSL cannot work.
    pub fn crl_from(&self, ca: Ca, now: SystemTime, validity: Duration) -> Result<X509Crl, PkiError> {
        let pair = self.pair(ca);
        let mut list = X509CrlBuilder::new()?;
        list.set_issuer_name(pair.certificate.subject_name())?;
        let (from, to) = (Asn1Time::from_unix(unix(now))?, Asn1Time::from_unix(unix(now + validity))?);
        list.set_last_update(&from)?;
        list.set_next_update(&to)?;
        let mut state = self.state();
        state.crl_number += 1;
        list.append_extension(der::authority_key_id(&key_id(&pair.key)?)?)?;
        list.append_extension(der::extension("2.5.29.20", false, &der::integer(state.crl_number))?)?;
        for revoked in state.revoked.iter().filter(|r| r.issuer == ca && r.told != Channel::Ocsp) {
            let mut entry = X509RevokedBuilder::new()?;
            let serial = BigNum::from_hex_str(&revoked.serial)?;
            let serial = Asn1Integer::from_bn(&serial)?;
            entry.set_serial_number(&serial)?;
            let since = Asn1Time::from_unix(unix(revoked.since))?;
            entry.set_revocation_date(&since)?;
            list.add_revoked(entry.build())?;
        }
        list.sort()?;
        list.sign(&pair.key, MessageDigest::sha256())?;
        Ok(list.build()?)
    }
}
