//! Naming a certificate, and asking about it (RFC 6960 §4.1, RFC 9654 for the nonce).

use openssl::error::ErrorStack;
use openssl::hash::{MessageDigest, hash};
use openssl::x509::X509Ref;

use super::super::der::{Reader, tag};
use super::OcspError;
use crate::pki::der::{element, oid, sequence};

/// RFC 9654 §2.1: between 32 and 128 octets are accepted by every responder; 32 are recommended.
const NONCE: usize = 32;
/// id-pkix-ocsp-nonce.
pub(super) const NONCE_OID: &str = "1.3.6.1.5.5.7.48.1.2";

/// A certificate, by its number and by name and key of its issuer.
#[derive(Debug, Clone)]
pub(crate) struct CertId {
    issuer_name: Vec<u8>,
    issuer_key: Vec<u8>,
    /// Big endian, without leading zeros.
    serial: Vec<u8>,
}

impl CertId {
    /// The name of a certificate of this issuer.
    pub(crate) fn of(certificate: &X509Ref, issuer: &X509Ref) -> Result<CertId, OcspError> {
        let key = issuer.public_key()?.public_key_to_der()?;
        let bits = key_bits(&key).ok_or(OcspError::Malformed)?;
        Ok(CertId {
            issuer_name: issuer.subject_name().to_der()?,
            issuer_key: bits.to_vec(),
            serial: certificate.serial_number().to_bn()?.to_vec(),
        })
    }

    /// As a key of a map.
    pub(crate) fn digest(&self) -> Result<[u8; 32], ErrorStack> {
        let mut text = Vec::new();
        for part in [&self.issuer_name, &self.issuer_key, &self.serial] {
            text.extend((part.len() as u64).to_be_bytes());
            text.extend(part);
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(&hash(MessageDigest::sha256(), &text)?); // SHA-256 gives 32 bytes
        Ok(digest)
    }

    /// Whether a `CertID` of an answer, under whatever digest it uses, names this certificate.
    pub(super) fn is(&self, cert_id: &[u8]) -> Option<bool> {
        let mut fields = Reader::new(cert_id);
        let algorithm = Reader::new(fields.take(tag::SEQUENCE)?).take(tag::OID)?;
        let (name, key) = (fields.take(tag::OCTET_STRING)?, fields.take(tag::OCTET_STRING)?);
        let serial = fields.take(tag::INTEGER)?;
        fields.end()?;
        let digest = digest_of(algorithm)?;
        let same = |ours: &[u8], theirs: &[u8]| hash(digest, ours).is_ok_and(|ours| ours[..] == *theirs);
        let serial = serial.strip_prefix(&[0]).unwrap_or(serial);
        Some(serial == self.serial && same(&self.issuer_name, name) && same(&self.issuer_key, key))
    }

    /// `CertID` under SHA-1: the one every responder understands (a name, not a protection).
    fn to_der(&self) -> Result<Vec<u8>, ErrorStack> {
        let digest = |bytes: &[u8]| Ok::<_, ErrorStack>(element(0x04, &hash(MessageDigest::sha1(), bytes)?));
        let mut serial = self.serial.clone();
        if serial.first().is_none_or(|first| first & 0x80 != 0) {
            serial.insert(0, 0);
        }
        Ok(sequence(&[
            sequence(&[oid("1.3.14.3.2.26")?, vec![0x05, 0]]),
            digest(&self.issuer_name)?,
            digest(&self.issuer_key)?,
            element(0x02, &serial),
        ]))
    }
}

/// The BIT STRING of a public key in its usual DER.
pub(crate) fn key_bits(key: &[u8]) -> Option<&[u8]> {
    let mut fields = Reader::new(Reader::new(key).take(tag::SEQUENCE)?);
    fields.take(tag::SEQUENCE)?;
    // the first octet tells how many bits of the last one are not used: none
    fields.take(tag::BIT_STRING)?.strip_prefix(&[0])
}

/// The digest of a `CertID`.
fn digest_of(algorithm: &[u8]) -> Option<MessageDigest> {
    const SHA1: &[u8] = &[0x2B, 0x0E, 0x03, 0x02, 0x1A];
    const SHA2: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02];
    match (algorithm, algorithm.split_last()) {
        (SHA1, _) => Some(MessageDigest::sha1()),
        (_, Some((1, SHA2))) => Some(MessageDigest::sha256()),
        (_, Some((2, SHA2))) => Some(MessageDigest::sha384()),
        (_, Some((3, SHA2))) => Some(MessageDigest::sha512()),
        _ => None,
    }
}

/// What is sent to a responder.
pub(crate) struct Question {
    /// The request, DER.
    pub(crate) der: Vec<u8>,
    /// The nonce extension's value, as it must come back if it does.
    pub(crate) nonce: Vec<u8>,
}

impl Question {
    /// A question about one certificate.
    pub(crate) fn about(id: &CertId) -> Result<Question, OcspError> {
        let mut nonce = [0; NONCE];
        openssl::rand::rand_bytes(&mut nonce)?;
        let nonce = element(0x04, &nonce);
        let extension = sequence(&[oid(NONCE_OID)?, element(0x04, &nonce)]);
        let list = sequence(&[sequence(&[id.to_der()?])]);
        let der = sequence(&[sequence(&[list, element(0xA2, &sequence(&[extension]))])]);
        Ok(Question { der, nonce })
    }
}
