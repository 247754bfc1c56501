//! The OCSP service of the test authority (RFC 6960), and the ways it can go wrong.
//!
//! As many authorities do, it answers from its list of revoked certificates: a number it never gave is "good".

use std::time::Duration;

use openssl::hash::{MessageDigest, hash};
use openssl::pkey::{PKeyRef, Private};
use openssl::sign::Signer;
use openssl::x509::X509Ref;
use time::OffsetDateTime;

use super::crl::{Channel, Revoked};
use super::der::{element, oid, sequence};
use super::{Ca, Issued, PkiError, TestAuthority};
use crate::revocation::{Reader, key_bits, tag};

/// How long an answer counts.
const ANSWER_VALIDITY: Duration = Duration::from_secs(24 * 3600);
/// Largest request read; real ones have some hundred octets.
const MAX_REQUEST: usize = 16 * 1024;
/// Most certificates asked about at once.
const MAX_ASKED: usize = 16;
/// id-pkix-ocsp-nonce.
const NONCE: &[u8] = &[0x2B, 6, 1, 5, 5, 7, 0x30, 1, 2];

/// How the service answers: right, or wrong in one way.
#[derive(Clone, Copy)]
pub enum OcspManner<'a> {
    /// Signed by the certificate's authority.
    Honest,
    /// Signed by this certificate, which is sent along.
    SignedBy(&'a Issued),
    /// Knows nothing.
    Unknown,
    /// An answer that ended an hour ago.
    Expired,
    /// An answer without end, made this long ago.
    WithoutEnd(Duration),
    /// With another nonce than the one asked with.
    OtherNonce,
    /// Without the nonce asked with, as services have it that make their answers beforehand.
    NoNonce,
    /// About the certificate whose number is one more.
    OtherCertificate,
    /// A status instead of an answer (3: try later).
    Status(u8),
}

/// A request, as far as an answer needs it.
struct Request<'a> {
    /// Each `CertID`, whole.
    asked: Vec<&'a [u8]>,
    /// The nonce extension, whole.
    nonce: Option<&'a [u8]>,
}

impl<'a> Request<'a> {
    fn read(der: &'a [u8]) -> Option<Request<'a>> {
        let mut request = Reader::new(Reader::new(der).take(tag::SEQUENCE)?);
        let mut fields = Reader::new(request.take(tag::SEQUENCE)?);
        fields.take_if(0xA0);
        fields.take_if(0xA1);
        let mut list = Reader::new(fields.take(tag::SEQUENCE)?);
        let mut asked = Vec::new();
        while !list.is_at_end() && asked.len() < MAX_ASKED {
            asked.push(Reader::new(list.take(tag::SEQUENCE)?).whole()?);
        }
        let mut nonce = None;
        if let Some(extensions) = fields.take_if(0xA2) {
            let mut extensions = Reader::new(Reader::new(extensions).take(tag::SEQUENCE)?);
            while !extensions.is_at_end() {
                let whole = extensions.whole()?;
                let oid = Reader::new(Reader::new(whole).take(tag::SEQUENCE)?).take(tag::OID)?;
                if oid == NONCE {
                    nonce = Some(whole);
                }
            }
        }
        (!asked.is_empty()).then_some(Request { asked, nonce })
    }
}

impl TestAuthority {
    /// Answers a request (DER), in this manner.
    ///
    /// # Errors
    /// Only if OpenSSL cannot work: a wrong request has an answer too.
    pub fn ocsp(&self, request: &[u8], manner: OcspManner<'_>) -> Result<Vec<u8>, PkiError> {
        const MALFORMED: u8 = 1;
        const UNAUTHORIZED: u8 = 6;
        if let OcspManner::Status(status) = manner {
            return Ok(failure(status));
        }
        let Some(read) = (request.len() <= MAX_REQUEST).then(|| Request::read(request)).flatten() else {
            return Ok(failure(MALFORMED));
        };
        let mut ca = None;
        let mut singles = Vec::new();
        for cert_id in &read.asked {
            let Some((issuer, serial)) = self.named(cert_id) else { return Ok(failure(UNAUTHORIZED)) };
            // one signature for all: they must be of one authority
            if *ca.get_or_insert(issuer) != issuer {
                return Ok(failure(UNAUTHORIZED));
            }
            singles.push(self.single(cert_id, issuer, &serial, manner)?);
        }
        let Some(ca) = ca else { return Ok(failure(MALFORMED)) };
        let pair = self.pair(ca);
        let (certificate, key, shown): (&X509Ref, &PKeyRef<Private>, _) = match manner {
            OcspManner::SignedBy(issued) => (issued.certificate(), issued.key(), Some(issued.certificate().to_der()?)),
            _ => (&pair.certificate, &pair.key, None),
        };
        let now = self.clock.now();
        let mut data = vec![element(0xA1, &certificate.subject_name().to_der()?), time_of(now), sequence(&singles)];
        let nonce = match (manner, read.nonce) {
            (OcspManner::NoNonce, _) | (_, None) => None,
            (OcspManner::OtherNonce, Some(nonce)) => {
                let mut other = nonce.to_vec();
                // the last octet of the nonce itself
                other.last_mut().into_iter().for_each(|octet| *octet ^= 1);
                Some(other)
            }
            (_, Some(nonce)) => Some(nonce.to_vec()),
        };
        data.extend(nonce.map(|nonce| element(0xA1, &sequence(&[nonce]))));
        let data = sequence(&data);
        let signature = Signer::new(MessageDigest::sha256(), key)?.sign_oneshot_to_vec(&data)?;
        let mut basic = vec![
            data,
            sequence(&[oid("1.2.840.113549.1.1.11")?, vec![0x05, 0]]),
            element(0x03, &[&[0], &signature[..]].concat()),
        ];
        basic.extend(shown.map(|der| element(0xA0, &sequence(&[der]))));
        let bytes = sequence(&[oid("1.3.6.1.5.5.7.48.1.1")?, element(0x04, &sequence(&basic))]);
        Ok(sequence(&[element(0x0A, &[0]), element(0xA0, &bytes)]))
    }

    /// Whose certificate a `CertID` names, and its number.
    fn named(&self, cert_id: &[u8]) -> Option<(Ca, Vec<u8>)> {
        let mut fields = Reader::new(Reader::new(cert_id).take(tag::SEQUENCE)?);
        let algorithm = Reader::new(fields.take(tag::SEQUENCE)?).take(tag::OID)?;
        let digest = match algorithm {
            [0x2B, 0x0E, 0x03, 0x02, 0x1A] => MessageDigest::sha1(),
            [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01] => MessageDigest::sha256(),
            _ => return None,
        };
        let (name, key) = (fields.take(tag::OCTET_STRING)?, fields.take(tag::OCTET_STRING)?);
        let serial = fields.take(tag::INTEGER)?;
        let issuer = [Ca::Organizations, Ca::Root].into_iter().find(|ca| {
            let certificate = &self.pair(*ca).certificate;
            let is_name = certificate.subject_name().to_der().and_then(|own| hash(digest, &own));
            let own_key = certificate.public_key().and_then(|key| key.public_key_to_der()).unwrap_or_default();
            let is_key = key_bits(&own_key).map(|bits| hash(digest, bits));
            is_name.is_ok_and(|own| own[..] == *name) && matches!(is_key, Some(Ok(own)) if own[..] == *key)
        })?;
        Some((issuer, serial.strip_prefix(&[0]).unwrap_or(serial).to_vec()))
    }

    fn single(&self, cert_id: &[u8], ca: Ca, serial: &[u8], manner: OcspManner<'_>) -> Result<Vec<u8>, PkiError> {
        let hex: String = serial.iter().map(|byte| format!("{byte:02X}")).collect();
        let is_it = |r: &&Revoked| r.issuer == ca && r.serial == hex && r.told != Channel::List;
        let since = self.state().revoked.iter().find(is_it).map(|r| r.since);
        let now = self.clock.now();
        let hour = Duration::from_secs(3600);
        let status = match (manner, since) {
            (OcspManner::Unknown, _) => vec![0x82, 0],
            (_, Some(since)) => element(0xA1, &time_of(since)),
            (_, None) => vec![0x80, 0],
        };
        let (from, to) = match manner {
            OcspManner::Expired => (now - 2 * hour, Some(now - hour)),
            OcspManner::WithoutEnd(age) => (now - age, None),
            _ => (now, Some(now + ANSWER_VALIDITY)),
        };
        let mut cert_id = cert_id.to_vec();
        if let OcspManner::OtherCertificate = manner {
            // the last octet of the number
            cert_id.last_mut().into_iter().for_each(|octet| *octet = octet.wrapping_add(1));
        }
        let mut fields = vec![cert_id, status, time_of(from)];
        fields.extend(to.map(|to| element(0xA0, &time_of(to))));
        Ok(sequence(&fields))
    }
}

fn failure(status: u8) -> Vec<u8> {
    sequence(&[element(0x0A, &[status])])
}

/// GeneralizedTime in seconds.
fn time_of(instant: std::time::SystemTime) -> Vec<u8> {
    let at = OffsetDateTime::from(instant);
    let text = format!(
        "{:04}{:02}{:02}{:02}{:02}{:02}Z",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second()
    );
    element(0x18, text.as_bytes())
}
