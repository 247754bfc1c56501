//! The publisher's signature: enveloped, RSA or ECDSA with SHA-2, C14N 1.0, the signer's certificate in `KeyInfo`.
//! For the sandbox's publisher; Debian's `xmlsec1` accepts it (tests).

use bergshamra::{DsigContext, KeysManager};
use openssl::error::ErrorStack;
use openssl::nid::Nid;
use openssl::pkey::{Id, PKeyRef, Private};
use openssl::x509::X509Ref;

use super::document::{self, DSIG, NAMESPACE};

/// Why a list was not signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// Not a white list, or one that is signed already.
    #[error("not an unsigned white list")]
    NotAList,
    /// The certificate is not that of the key.
    #[error("the certificate is not that of the key")]
    KeyMismatch,
    /// Neither RSA nor ECDSA on P-256 or P-384.
    #[error("this kind of key cannot sign a list")]
    KeyKind,
    /// OpenSSL failed.
    #[error("OpenSSL: {0}")]
    OpenSsl(#[from] ErrorStack),
    /// The signature library failed.
    #[error("XML signature: {0}")]
    Library(#[from] bergshamra::Error),
}

/// Signs the list `xml` (see [`super::WhiteListBuilder`]) and returns the whole signed document.
///
/// # Errors
/// [`SignError`].
pub fn sign(xml: &str, key: &PKeyRef<Private>, certificate: &X509Ref) -> Result<String, SignError> {
    if !certificate.public_key()?.public_eq(key) {
        return Err(SignError::KeyMismatch);
    }
    let at = insertion_point(xml)?;
    let certificate = openssl::base64::encode_block(&certificate.to_der()?);
    let template = template(method(key)?, &certificate);
    let mut document = String::with_capacity(xml.len() + template.len());
    document.push_str(&xml[..at]);
    document.push_str(&template);
    document.push_str(&xml[at..]);

    let pem = key.private_key_to_pem_pkcs8()?;
    let mut keys = KeysManager::new();
    keys.add_key(bergshamra::keys::loader::load_pem_auto(&pem, None)?);
    Ok(bergshamra::dsig::sign::sign_owned(&DsigContext::new(keys), document)?)
}

/// Just before the end tag of the document element.
fn insertion_point(xml: &str) -> Result<usize, SignError> {
    let document = document::open(xml).map_err(|_| SignError::NotAList)?;
    let root = document.root_element();
    let signed = document.descendants().any(|node| node.has_tag_name((DSIG, "Signature")));
    if signed || !root.has_tag_name((NAMESPACE, "ListeBlancheMSSante")) || !root.has_children() {
        return Err(SignError::NotAList);
    }
    // An element with children has an end tag, and it is the last thing in its range.
    xml[..root.range().end].rfind("</").ok_or(SignError::NotAList)
}

fn method(key: &PKeyRef<Private>) -> Result<&'static str, SignError> {
    let curve = || key.ec_key().ok().and_then(|key| key.group().curve_name());
    match key.id() {
        Id::RSA => Ok("http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"),
        Id::EC if curve() == Some(Nid::X9_62_PRIME256V1) => Ok("http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"),
        Id::EC if curve() == Some(Nid::SECP384R1) => Ok("http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384"),
        _ => Err(SignError::KeyKind),
    }
}

fn template(method: &str, certificate: &str) -> String {
    format!(
        concat!(
            r#"<ds:Signature xmlns:ds="{dsig}"><ds:SignedInfo>"#,
            r#"<ds:CanonicalizationMethod Algorithm="http://www.w3.org/TR/2001/REC-xml-c14n-20010315"/>"#,
            r#"<ds:SignatureMethod Algorithm="{method}"/>"#,
            r#"<ds:Reference URI=""><ds:Transforms>"#,
            r#"<ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"/>"#,
            r#"<ds:Transform Algorithm="http://www.w3.org/TR/2001/REC-xml-c14n-20010315"/>"#,
            r#"</ds:Transforms><ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/>"#,
            r#"<ds:DigestValue></ds:DigestValue></ds:Reference></ds:SignedInfo>"#,
            r#"<ds:SignatureValue></ds:SignatureValue>"#,
            r#"<ds:KeyInfo><ds:X509Data><ds:X509Certificate>{certificate}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>"#,
            r#"</ds:Signature>"#
        ),
        dsig = DSIG,
        method = method,
        certificate = certificate
    )
}
