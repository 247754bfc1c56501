//! Reading an answer and deciding whether to believe it (RFC 6960 §3.2, §4.2).

use std::time::SystemTime;

use openssl::hash::MessageDigest;
use openssl::pkey::{Id, PKey, Public};
use openssl::sign::Verifier;
use openssl::x509::{X509, X509ExtendedKeyUsage, X509Ref, X509VerifyResult};
use time::{Date, Month, PrimitiveDateTime, Time};

use super::super::der::{Reader, tag};
use super::{Answer, CertId, OcspError, Status};
use crate::tls::system_time;

/// Largest answer: two or three KB with the responder's certificate.
pub(in super::super) const MAX_ANSWER: usize = 64 * 1024;
/// Most certificates of responders looked at, and most single answers.
const MAX_CERTIFICATES: usize = 4;
const MAX_SINGLE: usize = 16;
/// Smallest RSA key and elliptic curve of a responder.
const MIN_RSA_BITS: u32 = 2048;
const MIN_EC_BITS: u32 = 256;
/// id-pkix-ocsp-basic.
const BASIC: &[u8] = &[0x2B, 6, 1, 5, 5, 7, 0x30, 1, 1];
/// id-pkix-ocsp-nonce.
const NONCE: &[u8] = &[0x2B, 6, 1, 5, 5, 7, 0x30, 1, 2];

/// The answer about `id`, if it is to be believed at `now`. `nonce` is the one that was sent: if one comes back it must be that.
pub(in super::super) fn read(
    der: &[u8],
    id: &CertId,
    issuer: &X509Ref,
    nonce: Option<&[u8]>,
    now: SystemTime,
) -> Result<Answer, OcspError> {
    if der.len() > MAX_ANSWER {
        return Err(OcspError::Malformed);
    }
    let basic = match envelope(der).ok_or(OcspError::Malformed)? {
        Ok(basic) => basic,
        Err(status) => return Err(OcspError::Unsuccessful(status)),
    };
    let signed = Signed::read(basic).ok_or(OcspError::Malformed)?;
    // Before anything it says is looked at.
    signed.check(issuer, now)?;
    let data = Data::read(signed.data).ok_or(OcspError::Malformed)?;
    if let (Some(sent), Some(back)) = (nonce, data.nonce)
        && sent != back
    {
        return Err(OcspError::OtherNonce);
    }
    let mut found = None;
    let mut singles = Reader::new(data.singles);
    for _ in 0..MAX_SINGLE {
        if singles.is_at_end() {
            break;
        }
        let single = singles.take(tag::SEQUENCE).ok_or(OcspError::Malformed)?;
        if let Some(answer) = single_answer(single, id).ok_or(OcspError::Malformed)? {
            found = Some(answer);
            break;
        }
    }
    let answer = found.ok_or(OcspError::OtherCertificate)?;
    if answer.counts_at(now) { Ok(answer) } else { Err(OcspError::OutOfDate) }
}

/// Reads all of an answer that would be read of one that is believed: for the fuzzers, who cannot sign. How many single answers.
pub(in super::super) fn explore(der: &[u8], id: &CertId) -> Option<usize> {
    let signed = Signed::read(envelope(der.get(..MAX_ANSWER).unwrap_or(der))?.ok()?)?;
    let data = Data::read(signed.data)?;
    let mut singles = Reader::new(data.singles);
    let mut count = 0;
    while !singles.is_at_end() && count < MAX_SINGLE {
        single_answer(singles.take(tag::SEQUENCE)?, id)?;
        count += 1;
    }
    Some(count)
}

/// `OCSPResponse`: the basic answer in it, or the status that says there is none.
fn envelope(der: &[u8]) -> Option<Result<&[u8], u8>> {
    let mut outer = Reader::new(der);
    let mut fields = Reader::new(outer.take(tag::SEQUENCE)?);
    outer.end()?;
    let &[status] = fields.take(tag::ENUMERATED)? else { return None };
    if status != 0 {
        return Some(Err(status));
    }
    let mut bytes = Reader::new(Reader::new(fields.take(0xA0)?).take(tag::SEQUENCE)?);
    fields.end()?;
    if bytes.take(tag::OID)? != BASIC {
        return None;
    }
    let basic = bytes.take(tag::OCTET_STRING)?;
    bytes.end()?;
    Some(Ok(basic))
}

/// `BasicOCSPResponse`.
struct Signed<'a> {
    /// What is signed, whole.
    data: &'a [u8],
    digest: MessageDigest,
    key: Id,
    signature: &'a [u8],
    certificates: Vec<&'a [u8]>,
}

impl<'a> Signed<'a> {
    fn read(basic: &'a [u8]) -> Option<Signed<'a>> {
        let mut outer = Reader::new(basic);
        let mut fields = Reader::new(outer.take(tag::SEQUENCE)?);
        outer.end()?;
        let data = fields.whole()?;
        let algorithm = Reader::new(fields.take(tag::SEQUENCE)?).take(tag::OID)?;
        let (digest, key) = signature_algorithm(algorithm)?;
        let signature = fields.take(tag::BIT_STRING)?.strip_prefix(&[0])?;
        let mut certificates = Vec::new();
        if let Some(shown) = fields.take_if(0xA0) {
            let mut list = Reader::new(Reader::new(shown).take(tag::SEQUENCE)?);
            while !list.is_at_end() && certificates.len() < MAX_CERTIFICATES {
                certificates.push(list.whole()?);
            }
        }
        fields.end()?;
        Some(Signed { data, digest, key, signature, certificates })
    }

    /// The issuer itself signed, or one of the certificates shown did, which the issuer gave for that.
    fn check(&self, issuer: &X509Ref, now: SystemTime) -> Result<(), OcspError> {
        let issuer_key = issuer.public_key()?;
        if self.is_signed_by(&issuer_key) {
            return Ok(());
        }
        for der in &self.certificates {
            let Ok(certificate) = X509::from_der(der) else { continue };
            if is_responder(&certificate, issuer, &issuer_key, now) && self.is_signed_by(&certificate.public_key()?) {
                return Ok(());
            }
        }
        Err(OcspError::UnknownSigner)
    }

    fn is_signed_by(&self, key: &PKey<Public>) -> bool {
        let enough = match key.id() {
            Id::RSA => key.bits() >= MIN_RSA_BITS,
            Id::EC => key.bits() >= MIN_EC_BITS,
            _ => false,
        };
        let verified = || Verifier::new(self.digest, key)?.verify_oneshot(self.signature, self.data);
        enough && key.id() == self.key && verified().unwrap_or(false)
    }
}

/// Signatures of SHA-2 only.
fn signature_algorithm(oid: &[u8]) -> Option<(MessageDigest, Id)> {
    const RSA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1];
    const ECDSA: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 4, 3];
    match oid.split_last()? {
        (11, RSA) => Some((MessageDigest::sha256(), Id::RSA)),
        (12, RSA) => Some((MessageDigest::sha384(), Id::RSA)),
        (13, RSA) => Some((MessageDigest::sha512(), Id::RSA)),
        (2, ECDSA) => Some((MessageDigest::sha256(), Id::EC)),
        (3, ECDSA) => Some((MessageDigest::sha384(), Id::EC)),
        (4, ECDSA) => Some((MessageDigest::sha512(), Id::EC)),
        _ => None,
    }
}

/// Whether the issuer certified this one for answering in its place (RFC 6960 §4.2.2.2): issued by the issuer itself, for that use,
/// within its dates. Its own revocation is not asked: it would be the same service that answers.
fn is_responder(certificate: &X509Ref, issuer: &X509Ref, key: &PKey<Public>, now: SystemTime) -> bool {
    let meant = certificate.extended_key_usage().is_some_and(|usages| usages.contains(X509ExtendedKeyUsage::OCSP_SIGN));
    let within = system_time(certificate.not_before()).is_ok_and(|from| from <= now)
        && system_time(certificate.not_after()).is_ok_and(|to| now < to);
    meant
        && within
        && issuer.issued(certificate) == X509VerifyResult::OK
        && certificate.verify(key).unwrap_or(false)
        && super::super::strong_digest(certificate)
}

/// `ResponseData`.
struct Data<'a> {
    singles: &'a [u8],
    /// The value of the nonce extension.
    nonce: Option<&'a [u8]>,
}

impl<'a> Data<'a> {
    fn read(data: &'a [u8]) -> Option<Data<'a>> {
        let mut fields = Reader::new(Reader::new(data).take(tag::SEQUENCE)?);
        if let Some(version) = fields.take_if(0xA0)
            && version != [tag::INTEGER, 1, 0]
        {
            return None;
        }
        let (responder, _) = fields.any()?;
        if !matches!(responder, 0xA1 | 0xA2) {
            return None;
        }
        generalized_time(fields.take(tag::GENERALIZED_TIME)?)?;
        let singles = fields.take(tag::SEQUENCE)?;
        let nonce = match fields.take_if(0xA1) {
            Some(extensions) => read_extensions(extensions, Some(NONCE))?,
            None => None,
        };
        fields.end()?;
        Some(Data { singles, nonce })
    }
}

/// One `SingleResponse`, if it is about `id`.
fn single_answer(single: &[u8], id: &CertId) -> Option<Option<Answer>> {
    let mut fields = Reader::new(single);
    let cert_id = fields.take(tag::SEQUENCE)?;
    let status = match fields.any()? {
        (0x80, []) => Status::Good,
        (0xA1, _) => Status::Revoked,
        (0x82, []) => Status::Unknown,
        _ => return None,
    };
    let this_update = generalized_time(fields.take(tag::GENERALIZED_TIME)?)?;
    let next_update = match fields.take_if(0xA0) {
        Some(end) => Some(generalized_time(Reader::new(end).take(tag::GENERALIZED_TIME)?)?),
        None => None,
    };
    if let Some(extensions) = fields.take_if(0xA1) {
        read_extensions(extensions, None)?;
    }
    fields.end()?;
    // an answer that uses a digest we do not know is about something else
    let about = id.is(cert_id).unwrap_or(false);
    Some(about.then_some(Answer { status, this_update, next_update }))
}

/// The value of the extension `wanted`; None when an extension is critical and not that one.
fn read_extensions<'a>(explicit: &'a [u8], wanted: Option<&[u8]>) -> Option<Option<&'a [u8]>> {
    let mut list = Reader::new(Reader::new(explicit).take(tag::SEQUENCE)?);
    let mut found = None;
    while !list.is_at_end() {
        let mut extension = Reader::new(list.take(tag::SEQUENCE)?);
        let oid = extension.take(tag::OID)?;
        let critical = extension.take_if(tag::BOOLEAN).is_some_and(|value| value != [0]);
        let value = extension.take(tag::OCTET_STRING)?;
        extension.end()?;
        if Some(oid) == wanted {
            found = Some(value);
        } else if critical {
            return None;
        }
    }
    Some(found)
}

/// `YYYYMMDDHHMMSSZ`, the only form RFC 5280 leaves.
fn generalized_time(text: &[u8]) -> Option<SystemTime> {
    let digits = text.strip_suffix(b"Z")?;
    if digits.len() != 14 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number =
        |from: usize, to: usize| digits[from..to].iter().fold(0u16, |n, digit| n * 10 + u16::from(digit - b'0'));
    let small = |from: usize| u8::try_from(number(from, from + 2)).ok();
    let date = Date::from_calendar_date(number(0, 4).into(), Month::try_from(small(4)?).ok()?, small(6)?).ok()?;
    let time = Time::from_hms(small(8)?, small(10)?, small(12)?).ok()?;
    Some(PrimitiveDateTime::new(date, time).assume_utc().into())
}
