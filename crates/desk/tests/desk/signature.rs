//! The signature of a report: made elsewhere, given by a signatory, checked, and then part of the report.

use axum::http::StatusCode;
use control::report::seal;
use desk::signing::SignatureSettings;
use openssl::pkcs7::{Pkcs7, Pkcs7Flags};
use openssl::stack::Stack;
use trust::SystemClock;
use trust::pki::{Issued, LeafRequest, Organization, TestAuthority, Validity};

use crate::{Browser, Stage};

struct Space {
    stage: Stage,
    authority: TestAuthority,
    whose: Organization,
}

async fn space() -> Space {
    let authority = TestAuthority::generate("http://127.0.0.1:9", SystemClock::shared()).expect("an authority");
    let pem = authority.ca_pem().expect("PEM");
    let stage = Stage::with(|folder, settings| {
        std::fs::write(folder.join("autorites.pem"), pem).expect("written");
        settings.signature = Some(SignatureSettings { anchors: folder.join("autorites.pem"), crl: Vec::new() });
    })
    .await;
    stage.run_campaigns();
    Space { stage, authority, whose: Organization::new("10B0057881", "ORGANISME DE CONTROLE", "Paris (75)") }
}

impl Space {
    async fn campaign(&self) -> (Browser, String) {
        let mut alpha = self.stage.signed("alpha").await;
        let job = self.stage.job(&mut alpha).await;
        let campaign = self.stage.campaign(&mut alpha, &job).await;
        (alpha, campaign)
    }

    fn signer(&self) -> Issued {
        self.authority.issue(&LeafRequest::sign("Controle", &self.whose)).expect("issued")
    }
}

fn signed(report: &[u8], by: &Issued) -> Vec<u8> {
    let (chain, key) = (by.chain_pem().expect("PEM"), by.key_pem().expect("PEM"));
    seal::sign(report, &chain, &key, std::time::SystemTime::now()).expect("signed")
}

#[tokio::test]
async fn given_checked_and_shown() {
    let space = space().await;
    let (mut alpha, campaign) = space.campaign().await;
    let place = format!("/campagnes/{campaign}/signature");
    let mut signatory = space.stage.signed("alpha-signataire").await;
    let page = signatory.get(&place).await.text;
    assert!(page.contains("n’est pas signé") && page.contains("type=\"file\""), "{page}");
    let report = signatory.get(&format!("/campagnes/{campaign}/rapport.json")).await.text;
    assert!(page.contains(&control::report::sha256(report.as_bytes())), "the digest is that of the file");
    assert_eq!(signatory.get(&format!("/campagnes/{campaign}/rapport.json.p7s")).await.status, StatusCode::NOT_FOUND);
    let cms = signed(report.as_bytes(), &space.signer());
    // Only a signatory gives it, by a form of ours.
    assert_eq!(alpha.give(&place, &cms).await.status, StatusCode::FORBIDDEN);
    let key = std::mem::replace(&mut signatory.key, "autre".to_owned());
    assert_eq!(signatory.give(&place, &cms).await.status, StatusCode::FORBIDDEN);
    signatory.key = key;
    let answer = signatory.give(&place, &cms).await;
    assert_eq!(answer.to, format!("{place}?fait=signe"), "{}", answer.text);
    let page = alpha.get(&place).await.text;
    assert!(page.contains("ORGANISME DE CONTROLE") && page.contains("alpha-signataire"), "{page}");
    // The report says it, its JSON is what was signed, and anybody can check it.
    assert_eq!(alpha.get(&format!("/campagnes/{campaign}/rapport.json")).await.text, report);
    let html = alpha.get(&format!("/campagnes/{campaign}/rapport.html")).await.text;
    assert!(html.contains("ORGANISME DE CONTROLE"), "the report names its signer");
    assert_eq!(alpha.get(&format!("/campagnes/{campaign}/rapport.pdf")).await.status, StatusCode::OK);
    let token = alpha.token().await;
    let call = format!("/api/v1/campagnes/{campaign}/rapport.json.p7s");
    let answer = alpha.call("GET", &call, &token, "").await;
    assert_eq!(
        (answer.status, answer.headers["content-type"].to_str().expect("text")),
        (StatusCode::OK, "application/pkcs7-signature")
    );
    // The first one stays.
    let again = signed(report.as_bytes(), &space.signer());
    assert_eq!(signatory.give(&place, &again).await.status, StatusCode::CONFLICT);
    // Nothing of it is another operator's.
    let mut beta = space.stage.signed("beta-signataire").await;
    for file in ["signature", "rapport.json.p7s", "rapport.json"] {
        assert_eq!(beta.get(&format!("/campagnes/{campaign}/{file}")).await.status, StatusCode::NOT_FOUND, "{file}");
    }
    assert_eq!(beta.give(&place, &cms).await.status, StatusCode::NOT_FOUND);
    space.stage.shutdown.cancel();
}

#[tokio::test]
async fn what_is_no_signature_of_it_is_refused() {
    let space = space().await;
    let (_, campaign) = space.campaign().await;
    let place = format!("/campagnes/{campaign}/signature");
    let mut signatory = space.stage.signed("alpha-signataire").await;
    signatory.get(&place).await;
    let report = signatory.get(&format!("/campagnes/{campaign}/rapport.json")).await.text.into_bytes();
    let good = signed(&report, &space.signer());
    let stranger = TestAuthority::generate("http://127.0.0.1:9", SystemClock::shared()).expect("an authority");
    let foreign = stranger.issue(&LeafRequest::sign("Controle", &space.whose)).expect("issued");
    let server = space.authority.issue(&LeafRequest::server("a.fr", &space.whose, &[], &[])).expect("issued");
    let expired =
        space.authority.issue(&LeafRequest::sign("C", &space.whose).valid(Validity::Expired)).expect("issued");
    // Those that our own tool refuses to make.
    let forced = |by: &Issued| {
        let chain = openssl::x509::X509::stack_from_pem(&by.chain_pem().expect("PEM")).expect("a chain");
        let key = openssl::pkey::PKey::private_key_from_pem(&by.key_pem().expect("PEM")).expect("a key");
        let mut above = Stack::new().expect("a stack");
        for one in &chain[1..] {
            above.push(one.clone()).expect("pushed");
        }
        let flags = Pkcs7Flags::DETACHED | Pkcs7Flags::BINARY;
        Pkcs7::sign(&chain[0], &key, &above, &report, flags).expect("signed").to_der().expect("DER")
    };
    let mut longer = report.clone();
    longer.push(b'\n');
    for (what, octets, said) in [
        ("nothing", Vec::new(), "pas une signature CMS"),
        ("text", b"bonjour".to_vec(), "pas une signature CMS"),
        ("cut", good[..good.len() / 2].to_vec(), "pas une signature CMS"),
        ("other octets", signed(&longer, &space.signer()), "pas ce rapport"),
        ("a stranger", signed(&report, &foreign), "pas reconnu ici"),
        ("a server", forced(&server), "pas fait pour signer"),
        ("expired", forced(&expired), "a expiré"),
    ] {
        let answer = signatory.give(&place, &octets).await;
        assert!(answer.text.contains(said), "{what}: {}", answer.text);
        assert!(signatory.get(&place).await.text.contains("n’est pas signé"), "{what}");
    }
    let too_large = signatory.give(&place, &vec![0x30; 301 * 1024]).await;
    assert_eq!(too_large.status, StatusCode::CONFLICT);
    // A form without a file, and what is no form.
    assert_eq!(signatory.post(&place, &[("fichier", "x")]).await.status, StatusCode::CONFLICT);
    // PEM is as good.
    let pem = Pkcs7::from_der(&good).expect("read").to_pem().expect("PEM");
    assert_eq!(signatory.give(&place, &pem).await.status, StatusCode::SEE_OTHER);
    space.stage.shutdown.cancel();
}
