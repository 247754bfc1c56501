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

/// The certificate is of the operator's own organisation, when it is known which that is.
#[tokio::test]
async fn of_the_operators_own_organisation() {
    let space = space().await;
    let (mut alpha, campaign) = space.campaign().await;
    let place = format!("/campagnes/{campaign}/signature");
    let mut signatory = space.stage.signed("alpha-signataire").await;
    let page = signatory.get(&place).await.text;
    assert!(page.contains("Aucun identifiant national"), "told before anything is signed: {page}");
    let report = signatory.get(&format!("/campagnes/{campaign}/rapport.json")).await.text.into_bytes();
    // Declared by the administrator; another organisation's certificate is refused, and named.
    let mut admin = space.stage.signed("admin").await;
    let declare = |ids: &'static str| {
        [("nom", "Alpha"), ("domaines", "alpha.test"), ("plages", "127.0.0.0/8"), ("identifiants", ids)]
    };
    for (wrong, said) in [("9750000001", "chiffre inconnu"), ("1750", "longueur"), ("318751275100021", "clé fausse")] {
        let answer = admin.post("/operateurs", &declare(wrong)).await;
        assert!(answer.text.contains(said), "{wrong}: {}", answer.text);
    }
    assert!(admin.post("/operateurs", &declare("1750000001 318751275100020")).await.to.ends_with("fait=operateur"));
    assert!(admin.get("/operateurs").await.text.contains("1750000001, 318751275100020"));
    assert!(signatory.get(&place).await.text.contains("1750000001 ou 318751275100020"));
    let other = space.authority.issue(&LeafRequest::sign("Controle", &space.whose)).expect("issued");
    let refused = signatory.give(&place, &signed(&report, &other)).await.text;
    assert!(refused.contains("celui d’une autre organisation") && refused.contains("10B0057881"), "{refused}");
    assert!(signatory.get(&place).await.text.contains("n’est pas signé"));
    // Its own: shown to be.
    let whose = Organization::new("318751275100020", "HOPITAL ALPHA", "Paris (75)");
    let own = space.authority.issue(&LeafRequest::sign("Qualite", &whose)).expect("issued");
    let answer = signatory.give(&place, &signed(&report, &own)).await;
    assert_eq!(answer.to, format!("{place}?fait=signe"), "{}", answer.text);
    let page = alpha.get(&place).await.text;
    assert!(page.contains("HOPITAL ALPHA") && page.contains("identifiant déclaré de l’opérateur"), "{page}");
    let html = alpha.get(&format!("/campagnes/{campaign}/rapport.html")).await.text;
    assert!(html.contains("HOPITAL ALPHA, 318751275100020"), "the report says whose it is");
    space.stage.shutdown.cancel();
}

/// A signatory's token signs, and does nothing else.
#[tokio::test]
async fn by_program_with_a_token_that_signs_and_no_more() {
    let space = space().await;
    let (mut alpha, campaign) = space.campaign().await;
    let mut signatory = space.stage.signed("alpha-signataire").await;
    let page = signatory.get("/jetons").await.text;
    assert!(page.contains("ne sert qu’à signer"), "{page}");
    let token = signatory.token().await;
    let mut program = space.stage.browser();
    let list = program.call("GET", "/api/v1/campagnes", &token, "").await;
    assert!(list.status == StatusCode::OK && list.text.contains(&campaign));
    let here = format!("/api/v1/campagnes/{campaign}");
    let report = program.call("GET", &format!("{here}/rapport.json"), &token, "").await;
    assert_eq!(report.status, StatusCode::OK);
    for path in
        ["/api/v1/jobs".to_owned(), format!("{here}/cas"), format!("{here}/rapport.html"), "/api/v1/bouchon".to_owned()]
    {
        assert_eq!(program.call("GET", &path, &token, "").await.status, StatusCode::FORBIDDEN, "{path}");
    }
    let refused = program.call("POST", &format!("{here}/soumission"), &token, "{}").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "it does not submit");
    // What is given is checked as on the page.
    let put = format!("{here}/signature");
    let wrong = program.call("PUT", &put, &token, "rien").await;
    assert!(wrong.status == StatusCode::UNPROCESSABLE_ENTITY && wrong.text.contains("signature CMS"), "{}", wrong.text);
    let cms = signed(report.text.as_bytes(), &space.signer());
    let pem = String::from_utf8(Pkcs7::from_der(&cms).expect("read").to_pem().expect("PEM")).expect("text");
    let testers = space.stage.signed("alpha-testeur").await.token().await;
    assert_eq!(program.call("PUT", &put, &testers, &pem).await.status, StatusCode::FORBIDDEN);
    let betas = space.stage.signed("beta-signataire").await.token().await;
    assert_eq!(program.call("PUT", &put, &betas, &pem).await.status, StatusCode::NOT_FOUND);
    let given = program.call("PUT", &put, &token, &pem).await;
    assert_eq!(given.status, StatusCode::CREATED, "{}", given.text);
    assert!(
        given.text.contains("10B0057881") && given.text.contains("\"identifiant_declare\":false"),
        "{}",
        given.text
    );
    assert!(alpha.get(&format!("/campagnes/{campaign}/signature")).await.text.contains("non comparé"));
    // Their own tokens, and those only; the operator's administrator sees and ends every one.
    assert!(signatory.get("/jetons").await.text.contains("Vos jetons"));
    alpha.token_of("d’alpha").await;
    assert!(!signatory.get("/jetons").await.text.contains("d’alpha"));
    let page = alpha.get("/jetons").await.text;
    let row = page.split("<tr>").find(|row| row.contains("alpha-signataire")).expect("a row");
    let number = row.split("/jetons/").nth(1).and_then(|rest| rest.split('/').next()).expect("a number");
    let own = page.split("<tr>").find(|row| row.contains("d’alpha")).expect("a row");
    let own = own.split("/jetons/").nth(1).and_then(|rest| rest.split('/').next()).expect("a number");
    assert_eq!(signatory.post(&format!("/jetons/{own}/revoquer"), &[]).await.status, StatusCode::NOT_FOUND);
    assert_eq!(signatory.post(&format!("/jetons/{number}/revoquer"), &[]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(program.call("GET", "/api/v1/campagnes", &token, "").await.status, StatusCode::UNAUTHORIZED);
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
