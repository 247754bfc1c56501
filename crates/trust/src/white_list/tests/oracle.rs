//! Debian's xmlsec1 as an independent judge of our signatures, and as a signer of lists we must accept.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::super::{SignatureError, WhiteList};
use super::signing::fault;
use super::support::{list, now, pki, policy, signed, signed_by};

/// Whether xmlsec1 is there; says so when it is not (`./test` installs it).
fn xmlsec1_is_there() -> bool {
    let there = Command::new("xmlsec1").arg("--version").output().is_ok_and(|output| output.status.success());
    if !there {
        eprintln!("SKIPPED: xmlsec1 is not installed");
    }
    there
}

fn xmlsec1(folder: &Path, arguments: &[&str]) -> bool {
    let output = Command::new("xmlsec1").current_dir(folder).args(arguments).output().unwrap();
    if !output.status.success() {
        eprintln!("xmlsec1 {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    output.status.success()
}

const TIME: &str = "2026-06-01 00:00:00";

#[test]
fn xmlsec1_accepts_what_we_sign() {
    if !xmlsec1_is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("root.pem"), pki().root.certificate.to_pem().unwrap()).unwrap();
    let verify = ["--verify", "--trusted-pem", "root.pem", "--verification-time", TIME, "list.xml"];
    for document in [signed(), signed_by(&pki().ec_signer, &list(Duration::ZERO))] {
        std::fs::write(folder.path().join("list.xml"), &document).unwrap();
        assert!(xmlsec1(folder.path(), &verify));
        std::fs::write(folder.path().join("list.xml"), document.replacen("alpha", "omega", 1)).unwrap();
        assert!(!xmlsec1(folder.path(), &verify), "the oracle accepts anything");
    }
}

#[test]
fn we_accept_what_xmlsec1_signs() {
    if !xmlsec1_is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let signer = &pki().signer;
    std::fs::write(folder.path().join("key.pem"), signer.key.private_key_to_pem_pkcs8().unwrap()).unwrap();
    std::fs::write(folder.path().join("signer.pem"), signer.certificate.to_pem().unwrap()).unwrap();
    let template = "<Signature xmlns=\"http://www.w3.org/2000/09/xmldsig#\"><SignedInfo>\
         <CanonicalizationMethod Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"/>\
         <SignatureMethod Algorithm=\"http://www.w3.org/2001/04/xmldsig-more#rsa-sha512\"/><Reference URI=\"\"><Transforms>\
         <Transform Algorithm=\"http://www.w3.org/2000/09/xmldsig#enveloped-signature\"/></Transforms>\
         <DigestMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha512\"/><DigestValue/></Reference></SignedInfo>\
         <SignatureValue/><KeyInfo><X509Data/></KeyInfo></Signature></ListeBlancheMSSante>";
    let document = list(Duration::ZERO).replace("</ListeBlancheMSSante>", template);
    std::fs::write(folder.path().join("template.xml"), document).unwrap();
    assert!(xmlsec1(
        folder.path(),
        &["--sign", "--privkey-pem", "key.pem,signer.pem", "--output", "list.xml", "template.xml"]
    ));
    let signed = std::fs::read_to_string(folder.path().join("list.xml")).unwrap();
    let read = WhiteList::from_xml(signed.as_bytes(), &policy(), now()).unwrap();
    assert_eq!(read.len(), 2);
    assert_eq!(fault(&signed.replacen("alpha", "omega", 1), &policy()), Some(SignatureError::Invalid));
}
