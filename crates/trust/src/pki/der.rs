//! Writing the little DER that the certificate extensions need and the OpenSSL binding has no builder for.

use openssl::asn1::{Asn1Object, Asn1OctetString};
use openssl::error::ErrorStack;
use openssl::x509::X509Extension;

/// One element.
pub(crate) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut der = vec![tag];
    let length = content.len().to_be_bytes();
    let significant = &length[length.iter().position(|b| *b != 0).unwrap_or(length.len() - 1)..];
    if content.len() >= 0x80 {
        // at most 8 bytes of length
        der.push(0x80 | significant.len() as u8);
    }
    der.extend(significant);
    der.extend(content);
    der
}

/// A SEQUENCE of elements.
pub(crate) fn sequence(elements: &[Vec<u8>]) -> Vec<u8> {
    element(0x30, &elements.concat())
}

/// An OBJECT IDENTIFIER, from its dotted form.
pub(crate) fn oid(dotted: &str) -> Result<Vec<u8>, ErrorStack> {
    Ok(element(0x06, Asn1Object::from_str(dotted)?.as_slice()))
}

/// An INTEGER.
pub(crate) fn integer(value: u32) -> Vec<u8> {
    // one zero byte before: INTEGER is signed, and this one is not; then no more zeros than needed
    let bytes = u64::from(value).to_be_bytes();
    let spare = bytes.windows(2).take_while(|pair| pair[0] == 0 && pair[1] & 0x80 == 0).count();
    element(0x02, &bytes[spare..])
}

/// A URI as a GeneralName.
pub(crate) fn uri(uri: &str) -> Vec<u8> {
    element(0x86, uri.as_bytes())
}

/// An extension.
pub(crate) fn extension(oid: &str, critical: bool, der: &[u8]) -> Result<X509Extension, ErrorStack> {
    let (oid, value) = (Asn1Object::from_str(oid)?, Asn1OctetString::new_from_bytes(der)?);
    X509Extension::new_from_der(&oid, critical, &value)
}

/// Subject key identifier extension.
pub(crate) fn subject_key_id(id: &[u8]) -> Result<X509Extension, ErrorStack> {
    extension("2.5.29.14", false, &element(0x04, id))
}

/// Authority key identifier extension.
pub(crate) fn authority_key_id(id: &[u8]) -> Result<X509Extension, ErrorStack> {
    extension("2.5.29.35", false, &sequence(&[element(0x80, id)]))
}
