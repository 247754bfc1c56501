//! Signature wrapping, and the forms of signature that are not ours but legitimate (XAdES, DSS's XPath).

use std::time::Duration;

use bergshamra::{DsigContext, KeysManager};

use super::super::{SignatureError, WhiteList};
use super::signing::fault;
use super::support::{ALPHA, dn, list, now, pki, policy, signed, signed_by};

/// The signed document cut in three: before, the signature, after.
fn parts(document: &str) -> (&str, &str, &str) {
    let begin = document.find("<ds:Signature").unwrap();
    let end = document.find("</ds:Signature>").unwrap() + "</ds:Signature>".len();
    (&document[..begin], &document[begin..end], &document[end..])
}

fn without_declaration(document: &str) -> &str {
    document.split_once("?>").unwrap().1.trim()
}

const EVIL: &str =
    "<Domaine><Nom>evil.mssante.fr</Nom><DNCertificatOperateur>CN=x,C=FR</DNCertificatOperateur></Domaine>";

#[test]
fn wrapped_lists_are_refused() {
    let good = signed();
    let (before, signature, after) = parts(&good);
    let evil = list(Duration::ZERO).replace("</ListeDomaines>", &format!("{EVIL}</ListeDomaines>"));
    let evil_body = evil.trim_end().trim_end_matches("</ListeBlancheMSSante>");
    let original = without_declaration(&good);
    let unsigned_original = format!("{}{after}", without_declaration(before));

    let in_object =
        signature.replace("</ds:Signature>", &format!("<ds:Object>{unsigned_original}</ds:Object></ds:Signature>"));
    let with_id = signature.replace("URI=\"\"", "URI=\"#original\"");
    let original_with_id =
        unsigned_original.replacen("<ListeBlancheMSSante ", "<ListeBlancheMSSante Id=\"original\" ", 1);
    let id_in_object =
        with_id.replace("</ds:Signature>", &format!("<ds:Object>{original_with_id}</ds:Object></ds:Signature>"));
    for (attack, wrapped) in [
        ("the whole signed list inside an evil one", format!("{evil_body}{original}</ListeBlancheMSSante>")),
        ("the original in an Object of its signature", format!("{evil_body}{in_object}</ListeBlancheMSSante>")),
        ("the original designated by an Id in the Object", format!("{evil_body}{id_in_object}</ListeBlancheMSSante>")),
        ("the original as a sibling", format!("{evil_body}{original_with_id}{with_id}</ListeBlancheMSSante>")),
        ("the bare signature on another list", format!("{evil_body}{signature}</ListeBlancheMSSante>")),
        (
            "the signature lower down",
            good.replace(signature, "").replacen("</ListeDomaines>", &format!("{signature}</ListeDomaines>"), 1),
        ),
        ("two signatures", format!("{before}{signature}{signature}{after}")),
        (
            "a signature within the signature",
            format!(
                "{before}{}{after}",
                signature.replacen("</ds:Signature>", &format!("<ds:Object>{signature}</ds:Object></ds:Signature>"), 1)
            ),
        ),
        ("another root", format!("<x xmlns=\"https://listeblanche.mssante.fr/schema\">{original}</x>")),
        (
            "evil hidden in the signature's own Object",
            good.replacen("</ds:Signature>", &format!("<ds:Object>{EVIL}</ds:Object></ds:Signature>"), 1),
        ),
    ] {
        match WhiteList::from_xml(wrapped.as_bytes(), &policy(), now()) {
            Err(_) => {}
            // What the signature covers may stand in odd company; it must be all that is read.
            Ok(read) => assert!(!read.is_listed("evil.mssante.fr"), "{attack}"),
        }
    }
}

#[test]
fn references_to_anything_but_the_document_are_refused() {
    let good = signed();
    for (from, to, expected) in [
        ("URI=\"\"", "URI=\"#x\"", SignatureError::Coverage),
        ("URI=\"\"", "URI=\"cid:x\"", SignatureError::Coverage),
        ("URI=\"\"", "URI=\"/etc/passwd\"", SignatureError::Coverage),
        ("<ds:Reference URI=\"\">", "<ds:Reference>", SignatureError::Coverage),
        ("xmldsig#enveloped-signature", "xmldsig#base64", SignatureError::Coverage),
        (
            "http://www.w3.org/2000/09/xmldsig#enveloped-signature\"/>",
            "http://www.w3.org/TR/1999/REC-xpath-19991116\"><ds:XPath>ancestor-or-self::x</ds:XPath></ds:Transform>",
            SignatureError::Coverage,
        ),
        (
            "<ds:Transforms>",
            "<ds:Transforms><ds:Transform Algorithm=\"http://www.w3.org/TR/1999/REC-xslt-19991116\"/>",
            SignatureError::Coverage,
        ),
        ("<ds:SignatureValue>", "<ds:SignatureValue/><ds:SignatureValue>", SignatureError::Malformed),
        ("</ds:Reference>", "</ds:Reference><ds:Reference URI=\"\"/>", SignatureError::Coverage),
        ("</ds:Reference>", "</ds:Reference><ds:Reference URI=\"http://127.0.0.1/x\"/>", SignatureError::Coverage),
        ("<ds:DigestValue>", "<ds:DigestValue>AAAA<!-- -->", SignatureError::Malformed),
    ] {
        assert!(good.contains(from), "{from}");
        assert_eq!(fault(&good.replacen(from, to, 1), &policy()), Some(expected), "{to}");
    }
}

#[test]
fn a_key_brought_by_the_document_is_never_used() {
    // Signed by the stranger's key, shown with the right signer's certificate.
    let by_stranger = signed_by(&pki().stranger, &list(Duration::ZERO));
    let certificate =
        |holder: &super::support::Holder| openssl::base64::encode_block(&holder.certificate.to_der().unwrap());
    let dressed = by_stranger.replace(&certificate(&pki().stranger), &certificate(&pki().ec_signer));
    assert_eq!(fault(&dressed, &policy()), Some(SignatureError::Invalid));
    // A raw key besides the right certificate.
    let with_key = by_stranger.replace(
        "<ds:KeyInfo>",
        "<ds:KeyInfo><ds:KeyValue><ds:RSAKeyValue><ds:Modulus>AQAB</ds:Modulus><ds:Exponent>AQAB</ds:Exponent></ds:RSAKeyValue></ds:KeyValue>",
    );
    assert_eq!(fault(&with_key, &policy()), Some(SignatureError::WrongSigner));
}

/// Signs a template made from our own by `change`, with the right signer's key.
fn signed_otherwise(change: impl Fn(String) -> String) -> String {
    resign(change(signed()))
}

fn resign(document: String) -> String {
    // Empty the two values, so that the library fills them again.
    let mut document = document;
    for name in ["DigestValue", "SignatureValue"] {
        let (open, close) = (format!("<ds:{name}>"), format!("</ds:{name}>"));
        let begin = document.find(&open).unwrap() + open.len();
        let end = document.find(&close).unwrap();
        document.replace_range(begin..end, "");
    }
    let pem = pki().signer.key.private_key_to_pem_pkcs8().unwrap();
    let mut keys = KeysManager::new();
    keys.add_key(bergshamra::keys::loader::load_pem_auto(&pem, None).unwrap());
    bergshamra::dsig::sign::sign_owned(&DsigContext::new(keys), document).unwrap()
}

#[test]
fn exclusive_canonicalisation_and_dss_xpath_are_accepted() {
    let exclusive = signed_otherwise(|d| {
        d.replace("http://www.w3.org/TR/2001/REC-xml-c14n-20010315", "http://www.w3.org/2001/10/xml-exc-c14n#")
    });
    assert_eq!(fault(&exclusive, &policy()), None);
    let xpath = signed_otherwise(|d| {
        d.replace(
            "http://www.w3.org/2000/09/xmldsig#enveloped-signature\"/>",
            "http://www.w3.org/TR/1999/REC-xpath-19991116\"><ds:XPath>not(ancestor-or-self::ds:Signature)</ds:XPath></ds:Transform>",
        )
    });
    assert_eq!(fault(&xpath, &policy()), None);
}

#[test]
fn xades_baseline_is_accepted() {
    let properties = "<ds:Object><xades:QualifyingProperties xmlns:xades=\"http://uri.etsi.org/01903/v1.3.2#\" Target=\"#s\">\
        <xades:SignedProperties Id=\"props\"><xades:SignedSignatureProperties><xades:SigningTime>2026-06-01T00:00:00Z</xades:SigningTime>\
        </xades:SignedSignatureProperties></xades:SignedProperties></xades:QualifyingProperties></ds:Object></ds:Signature>";
    let reference = "</ds:Reference><ds:Reference Type=\"http://uri.etsi.org/01903#SignedProperties\" URI=\"#props\"><ds:Transforms>\
        <ds:Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"/></ds:Transforms>\
        <ds:DigestMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha256\"/><ds:DigestValue></ds:DigestValue></ds:Reference>";
    let xades =
        signed_otherwise(|d| d.replace("</ds:Signature>", properties).replacen("</ds:Reference>", reference, 1));
    let read = WhiteList::from_xml(xades.as_bytes(), &policy(), now()).unwrap();
    assert!(read.allows("alpha.mssante.fr", &dn(ALPHA)));
    assert_eq!(fault(&xades.replace("00:00:00Z</xades", "00:00:01Z</xades"), &policy()), Some(SignatureError::Invalid));
    assert_eq!(
        fault(&xades.replace("#SignedProperties\" URI", "#Other\" URI"), &policy()),
        Some(SignatureError::Coverage)
    );
}
