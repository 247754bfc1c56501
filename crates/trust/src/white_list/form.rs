//! The form of the list's signature: what [`super::signature`] accepts before any cryptography. Allow-lists only.
//!
//! XML-DSig 1.1 (W3C, 2013) §4, ETSI EN 319 132-1 (XAdES) for the second reference. The document digested with XPath
//! `not(ancestor-or-self::ds:Signature)` is what DSS, and so esignsante, writes for an enveloped signature; with a single signature
//! it is the enveloped-signature transform.

use std::ops::Range;

use bergshamra::c14n::C14nMode;
use roxmltree::{Document, Node};

use super::document::DSIG;
use super::signature::{Digest, SignatureError};

const XADES: &str = "http://uri.etsi.org/01903/v1.3.2#";
const SIGNED_PROPERTIES_TYPE: &str = "http://uri.etsi.org/01903#SignedProperties";
const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";
const XPATH: &str = "http://www.w3.org/TR/1999/REC-xpath-19991116";
const EXCLUSIVE: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";

/// Signature methods: RSA (PKCS#1 v1.5 and PSS) and ECDSA, SHA-2 only.
const SIGNATURE_METHODS: [&str; 9] = [
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha384",
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512",
    "http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-MGF1",
    "http://www.w3.org/2007/05/xmldsig-more#sha384-rsa-MGF1",
    "http://www.w3.org/2007/05/xmldsig-more#sha512-rsa-MGF1",
    "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256",
    "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384",
    "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512",
];

/// Most certificates read from `KeyInfo`: a signer and its chain.
const MAX_CERTIFICATES: usize = 8;

/// Longest base64 text read (certificates; the signature itself is bounded by the key).
const MAX_BASE64: usize = 64 * 1024;

/// What the signature says, once its form is found acceptable.
#[derive(Debug)]
pub(super) struct Form {
    /// Where the signature stands in the text.
    pub range: Range<usize>,
    /// The references' addresses, in order.
    pub uris: Vec<String>,
    /// How the document is canonicalised before its digest.
    pub canonical: C14nMode,
    /// Prefixes treated inclusively by exclusive canonicalisation.
    pub prefixes: Vec<String>,
    /// The document's digest algorithm.
    pub digest: Digest,
    /// The document's digest, as signed.
    pub digest_value: Vec<u8>,
    /// Certificates of `KeyInfo`, DER.
    pub certificates: Vec<Vec<u8>>,
}

/// Reads and judges the form.
pub(super) fn read(document: &Document<'_>) -> Result<Form, SignatureError> {
    let root = document.root_element();
    let mut signatures = document.descendants().filter(|node| node.has_tag_name((DSIG, "Signature")));
    let signature = signatures.next().ok_or(SignatureError::Missing)?;
    if signatures.next().is_some() || signature.parent() != Some(root) {
        return Err(SignatureError::Misplaced);
    }
    // The same names further down (in an Object) would be found by a reader that searches instead of walking.
    for name in ["SignedInfo", "SignatureValue", "KeyInfo"] {
        if document.descendants().filter(|node| node.has_tag_name((DSIG, name))).count() > 1 {
            return Err(SignatureError::Malformed);
        }
    }
    let signed_info = child(signature, "SignedInfo")?;
    child(signature, "SignatureValue")?;
    plain_canonicalisation(algorithm(child(signed_info, "CanonicalizationMethod")?)?)?;
    if !SIGNATURE_METHODS.contains(&algorithm(child(signed_info, "SignatureMethod")?)?) {
        return Err(SignatureError::Algorithm);
    }
    let references: Vec<_> = children(signed_info, "Reference").collect();
    let (document_references, others): (Vec<&Node<'_, '_>>, Vec<_>) =
        references.iter().partition(|reference| reference.attribute("URI") == Some(""));
    let [reference] = document_references[..] else {
        return Err(SignatureError::Coverage);
    };
    match others[..] {
        [] => {}
        [properties] => check_properties(*properties, signature)?,
        _ => return Err(SignatureError::Coverage),
    }
    let (canonical, prefixes) = transforms(*reference)?;
    Ok(Form {
        range: signature.range(),
        uris: references.iter().filter_map(|r| r.attribute("URI")).map(str::to_owned).collect(),
        canonical,
        prefixes,
        digest: digest(*reference)?,
        digest_value: base64(child(*reference, "DigestValue")?)?,
        certificates: certificates(signature)?,
    })
}

/// XAdES's reference to the properties of this very signature: it adds nothing to the list, and takes nothing out of it.
fn check_properties(reference: Node<'_, '_>, signature: Node<'_, '_>) -> Result<(), SignatureError> {
    let id = reference.attribute("URI").and_then(|uri| uri.strip_prefix('#')).ok_or(SignatureError::Coverage)?;
    let mut targets = signature.document().descendants().filter(|node| node.attribute("Id") == Some(id));
    let target = targets.next().ok_or(SignatureError::Coverage)?;
    let sound = targets.next().is_none()
        && reference.attribute("Type") == Some(SIGNED_PROPERTIES_TYPE)
        && target.has_tag_name((XADES, "SignedProperties"))
        && target.ancestors().any(|node| node == signature);
    if !sound {
        return Err(SignatureError::Coverage);
    }
    digest(reference)?;
    for transform in children(reference, "Transforms").flat_map(|list| children(list, "Transform")) {
        plain_canonicalisation(algorithm(transform)?)?;
    }
    Ok(())
}

/// The document reference's transforms: the signature taken out, then at most one canonicalisation.
fn transforms(reference: Node<'_, '_>) -> Result<(C14nMode, Vec<String>), SignatureError> {
    let list: Vec<_> = children(child(reference, "Transforms")?, "Transform").collect();
    let (first, second) = match list[..] {
        [first] => (first, None),
        [first, second] => (first, Some(second)),
        _ => return Err(SignatureError::Coverage),
    };
    match algorithm(first)? {
        ENVELOPED => {}
        XPATH if is_enveloped_xpath(first) => {}
        _ => return Err(SignatureError::Coverage),
    }
    match second {
        // XML-DSig §4.4.3.2: a node-set left over is canonicalised with C14N 1.0 without comments.
        None => Ok((C14nMode::Inclusive, Vec::new())),
        Some(second) => {
            let mode = plain_canonicalisation(algorithm(second)?)?;
            let inclusive = second.children().find(|node| node.has_tag_name((EXCLUSIVE, "InclusiveNamespaces")));
            let prefixes = inclusive.and_then(|node| node.attribute("PrefixList")).unwrap_or_default();
            Ok((mode, prefixes.split_ascii_whitespace().map(str::to_owned).collect()))
        }
    }
}

/// `not(ancestor-or-self::ds:Signature)`, whatever the prefix, and no other expression.
fn is_enveloped_xpath(transform: Node<'_, '_>) -> bool {
    let Ok(xpath) = child(transform, "XPath") else {
        return false;
    };
    let inner = xpath.text().map(str::trim).and_then(|text| text.strip_prefix("not(ancestor-or-self::"));
    let prefix = inner.and_then(|text| text.strip_suffix(":Signature)"));
    prefix.is_some_and(|prefix| xpath.lookup_namespace_uri(Some(prefix)) == Some(DSIG))
}

/// A canonicalisation without comments; others are refused, so that no comment is ever part of what was signed.
fn plain_canonicalisation(uri: &str) -> Result<C14nMode, SignatureError> {
    match C14nMode::from_uri(uri) {
        Some(mode) if !mode.with_comments() => Ok(mode),
        _ => Err(SignatureError::Algorithm),
    }
}

fn digest(reference: Node<'_, '_>) -> Result<Digest, SignatureError> {
    match algorithm(child(reference, "DigestMethod")?)? {
        "http://www.w3.org/2001/04/xmlenc#sha256" => Ok(Digest::Sha256),
        "http://www.w3.org/2001/04/xmldsig-more#sha384" => Ok(Digest::Sha384),
        "http://www.w3.org/2001/04/xmlenc#sha512" => Ok(Digest::Sha512),
        _ => Err(SignatureError::Algorithm),
    }
}

fn certificates(signature: Node<'_, '_>) -> Result<Vec<Vec<u8>>, SignatureError> {
    let found: Vec<_> = children(signature, "KeyInfo")
        .flat_map(|info| children(info, "X509Data"))
        .flat_map(|data| children(data, "X509Certificate"))
        .collect();
    if found.len() > MAX_CERTIFICATES {
        return Err(SignatureError::Malformed);
    }
    found.into_iter().map(base64).collect()
}

fn children<'a, 'i>(parent: Node<'a, 'i>, name: &'static str) -> impl Iterator<Item = Node<'a, 'i>> {
    parent.children().filter(move |node| node.has_tag_name((DSIG, name)))
}

/// The child of this name, when there is exactly one.
fn child<'a, 'i>(parent: Node<'a, 'i>, name: &'static str) -> Result<Node<'a, 'i>, SignatureError> {
    let mut found = children(parent, name);
    match (found.next(), found.next()) {
        (Some(child), None) => Ok(child),
        _ => Err(SignatureError::Malformed),
    }
}

fn algorithm<'a>(node: Node<'a, '_>) -> Result<&'a str, SignatureError> {
    node.attribute("Algorithm").ok_or(SignatureError::Malformed)
}

/// The octets of an element that holds one base64 text and nothing else (a comment inside would split it for some readers).
fn base64(element: Node<'_, '_>) -> Result<Vec<u8>, SignatureError> {
    let mut children = element.children();
    let (Some(text), None) = (children.next(), children.next()) else {
        return Err(SignatureError::Malformed);
    };
    let text = text.text().filter(|_| text.is_text()).ok_or(SignatureError::Malformed)?;
    if text.len() > MAX_BASE64 {
        return Err(SignatureError::Malformed);
    }
    let compact: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    openssl::base64::decode_block(&compact).map_err(|_| SignatureError::Malformed)
}
