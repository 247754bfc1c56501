//! A small authority made by hand, so that these tests depend on no other module's idea of a certificate.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use openssl::asn1::{Asn1Integer, Asn1Object, Asn1OctetString, Asn1Time};
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::extension::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectKeyIdentifier,
};
use openssl::x509::{X509, X509Builder, X509Crl, X509CrlBuilder, X509Extension, X509Name, X509RevokedBuilder};

use super::super::{Entry, RequiredSigner, SignaturePolicy, WhiteListBuilder, sign};
use crate::dn::Dn;
use crate::revocation::Revocation;

/// 2026-06-01 00:00 UTC.
pub(super) const NOW: u64 = 1_780_272_000;
const DAY: u64 = 86_400;

pub(super) const SIGNER: &str = "CN=Liste Blanche MSSante,OU=318751275100020,O=ANS,ST=Paris (75),C=FR";

pub(super) fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW)
}

/// A certificate and its key.
#[derive(Clone)]
pub(super) struct Holder {
    pub certificate: X509,
    pub key: PKey<Private>,
}

pub(super) struct Pki {
    pub root: Holder,
    pub signer: Holder,
    pub ec_signer: Holder,
    /// Right name, wrong extended key usage.
    pub server: Holder,
    /// Same authority, another name.
    pub stranger: Holder,
    pub expired: Holder,
    /// Another authority that bears the same name, and its signer that bears the right name.
    pub impostor: Holder,
}

/// The authority, made once for all tests of the process.
pub(super) fn pki() -> &'static Pki {
    static PKI: OnceLock<Pki> = OnceLock::new();
    PKI.get_or_init(|| {
        let root = authority();
        let other_root = authority();
        Pki {
            signer: issue(&root, SIGNER, rsa(), Kind::Sign, (NOW - DAY, NOW + 365 * DAY), 10),
            ec_signer: issue(&root, SIGNER, ec(), Kind::Sign, (NOW - DAY, NOW + 365 * DAY), 11),
            server: issue(&root, SIGNER, ec(), Kind::Server, (NOW - DAY, NOW + 365 * DAY), 12),
            stranger: issue(
                &root,
                "CN=Un autre,OU=318751275100020,O=ANS,ST=Paris (75),C=FR",
                ec(),
                Kind::Sign,
                (NOW - DAY, NOW + 365 * DAY),
                13,
            ),
            expired: issue(&root, SIGNER, ec(), Kind::Sign, (NOW - 30 * DAY, NOW - DAY), 14),
            impostor: issue(&other_root, SIGNER, ec(), Kind::Sign, (NOW - DAY, NOW + 365 * DAY), 10),
            root,
        }
    })
}

enum Kind {
    Sign,
    Server,
}

fn ec() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

fn rsa() -> PKey<Private> {
    PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap()
}

fn name(text: &str) -> X509Name {
    let dn: Dn = text.parse().unwrap();
    let mut name = X509Name::builder().unwrap();
    for attribute in dn.attributes().iter().rev() {
        name.append_entry_by_text(attribute.kind.name(), &attribute.value).unwrap();
    }
    name.build()
}

fn builder(subject: &X509Name, issuer: &X509Name, key: &PKey<Private>, dates: (u64, u64), serial: u32) -> X509Builder {
    let mut builder = X509Builder::new().unwrap();
    builder.set_version(2).unwrap();
    builder.set_serial_number(&Asn1Integer::from_bn(&BigNum::from_u32(serial).unwrap()).unwrap()).unwrap();
    builder.set_subject_name(subject).unwrap();
    builder.set_issuer_name(issuer).unwrap();
    builder.set_pubkey(key).unwrap();
    builder.set_not_before(&Asn1Time::from_unix(dates.0.cast_signed()).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::from_unix(dates.1.cast_signed()).unwrap()).unwrap();
    builder
}

fn authority() -> Holder {
    let key = ec();
    let subject = name("CN=TEST AC,OU=0002 187512751,O=ASIP-SANTE,C=FR");
    let mut builder = builder(&subject, &subject, &key, (NOW - 100 * DAY, NOW + 3650 * DAY), 1);
    builder.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
    builder.append_extension(KeyUsage::new().critical().key_cert_sign().crl_sign().build().unwrap()).unwrap();
    let identifier = SubjectKeyIdentifier::new().build(&builder.x509v3_context(None, None)).unwrap();
    builder.append_extension(identifier).unwrap();
    builder.sign(&key, MessageDigest::sha256()).unwrap();
    Holder { certificate: builder.build(), key }
}

fn issue(root: &Holder, subject: &str, key: PKey<Private>, kind: Kind, dates: (u64, u64), serial: u32) -> Holder {
    let issuer = root.certificate.subject_name().to_owned().unwrap();
    let mut builder = builder(&name(subject), &issuer, &key, dates, serial);
    builder
        .append_extension(KeyUsage::new().critical().digital_signature().non_repudiation().build().unwrap())
        .unwrap();
    let usage = match kind {
        Kind::Sign => ExtendedKeyUsage::new().email_protection().build(),
        Kind::Server => ExtendedKeyUsage::new().server_auth().build(),
    };
    builder.append_extension(usage.unwrap()).unwrap();
    builder.sign(&root.key, MessageDigest::sha256()).unwrap();
    Holder { certificate: builder.build(), key }
}

/// A revocation list of the authority naming these certificates.
pub(super) fn crl(revoked: &[&X509]) -> X509Crl {
    let root = &pki().root;
    let mut builder = X509CrlBuilder::new().unwrap();
    builder.set_issuer_name(root.certificate.subject_name()).unwrap();
    builder.set_last_update(&Asn1Time::from_unix((NOW - DAY).cast_signed()).unwrap()).unwrap();
    builder.set_next_update(&Asn1Time::from_unix((NOW + 7 * DAY).cast_signed()).unwrap()).unwrap();
    for certificate in revoked {
        let mut entry = X509RevokedBuilder::new().unwrap();
        entry.set_serial_number(certificate.serial_number()).unwrap();
        entry.set_revocation_date(&Asn1Time::from_unix((NOW - DAY).cast_signed()).unwrap()).unwrap();
        builder.add_revoked(entry.build()).unwrap();
    }
    let scratch = X509Builder::new().unwrap();
    let context = scratch.x509v3_context(Some(&root.certificate), None);
    builder.append_extension(AuthorityKeyIdentifier::new().keyid(true).build(&context).unwrap()).unwrap();
    // CRL number 1: OID, then INTEGER 1.
    let number = Asn1OctetString::new_from_bytes(&[2, 1, 1]).unwrap();
    let number = X509Extension::new_from_der(&Asn1Object::from_str("2.5.29.20").unwrap(), false, &number).unwrap();
    builder.append_extension(number).unwrap();
    builder.sign(&root.key, MessageDigest::sha256()).unwrap();
    builder.build().unwrap()
}

/// The production policy, without revocation check.
pub(super) fn policy() -> SignaturePolicy {
    SignaturePolicy::Required(RequiredSigner {
        anchors: vec![pki().root.certificate.clone()].into(),
        // Written otherwise than in the certificate, on purpose.
        name: "cn=LISTE BLANCHE  MSSante, C=FR, L=Paris (75), O=ans, OU=318751275100020".parse().unwrap(),
        revocation: Arc::new(Revocation::none()),
    })
}

pub(super) fn dn(text: &str) -> Dn {
    text.parse().unwrap()
}

pub(super) const ALPHA: &str = "CN=smtp.alpha.fr,OU=1750000001,O=ALPHA,ST=Paris (75),C=FR";
pub(super) const BETA: &str = "CN=smtp.beta.fr,OU=1750000002,O=BETA,ST=Paris (75),C=FR";

/// A list of two domains dated `age` before now.
pub(super) fn list(age: Duration) -> String {
    WhiteListBuilder::new(now() - age)
        .with(Entry::new("alpha.mssante.fr", dn(ALPHA)))
        .with(Entry::new("beta.mssante.fr", dn(BETA)))
        .to_xml()
}

pub(super) fn signed_by(holder: &Holder, xml: &str) -> String {
    sign(xml, &holder.key, &holder.certificate).unwrap()
}

/// The list of two domains, one hour old, signed by the right signer.
pub(super) fn signed() -> String {
    signed_by(&pki().signer, &list(Duration::from_secs(3600)))
}
