//! Domains are proven by their DNS: a stub of ours answers.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::http::StatusCode;
use desk::account::role::Role;
use desk::db::{Db, Reach};
use desk::domains::{LIFE, Proof};
use desk::{Desk, Settings};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use trust::ManualClock;

use crate::names::Names;
use crate::{Browser, JOB, PASSWORD, settings};

struct Hosted {
    desk: Desk,
    names: Names,
    clock: Arc<ManualClock>,
    _folder: tempfile::TempDir,
}

impl Hosted {
    async fn new() -> Hosted {
        let folder = tempfile::tempdir().expect("a folder");
        let names = Names::start().await;
        let clock = Arc::new(ManualClock::at(SystemTime::now()));
        let proof = Some(Proof { resolver: Some(names.address) });
        let settings = Settings { proof, clock: clock.clone(), ..settings(folder.path()) };
        let db = Db::in_memory().expect("memory");
        let desk = Desk::with(db, settings, CancellationToken::new()).await.expect("a desk");
        for (name, login) in [("Alpha", "alpha"), ("Beta", "beta")] {
            let organisation = Some((name, Reach::default()));
            desk.provide(organisation, login, Role::AdministrateurOperateur, PASSWORD).await.expect("an account");
        }
        Hosted { desk, names, clock, _folder: folder }
    }

    async fn signed(&self, login: &str) -> Browser {
        let mut browser = Browser { router: self.desk.router(), cookie: String::new(), key: String::new() };
        browser.post("/connexion", &[("login", login), ("mot_de_passe", PASSWORD)]).await;
        browser.get("/compte").await;
        browser
    }
}

/// Says that a domain is its own; the value to publish.
async fn ask(browser: &mut Browser, token: &str, domain: &str) -> String {
    let answer = browser.call("POST", "/api/v1/domaines", token, &format!("{{\"domaine\":\"{domain}\"}}")).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    let answer: Value = serde_json::from_str(&answer.text).expect("JSON");
    assert_eq!(answer["enregistrement"], format!("_vaguemestre-controle.{domain}"));
    answer["valeur"].as_str().expect("a value").to_owned()
}

async fn verify(browser: &mut Browser, token: &str, domain: &str) -> (bool, String) {
    let answer = browser.call("POST", &format!("/api/v1/domaines/{domain}/verification"), token, "").await;
    let answer: Value = serde_json::from_str(&answer.text).expect("JSON");
    (answer["prouve"] == true, answer["constat"].as_str().unwrap_or_default().to_owned())
}

const RECORD: &str = "_vaguemestre-controle.alpha.test";

#[tokio::test]
async fn only_the_token_of_this_operator_and_this_domain_proves_it() {
    let hosted = Hosted::new().await;
    let (mut alpha, mut beta) = (hosted.signed("alpha").await, hosted.signed("beta").await);
    let (a, b) = (alpha.token().await, beta.token().await);
    let ours = ask(&mut alpha, &a, "alpha.test").await;
    assert_eq!(
        ask(&mut alpha, &a, "Alpha.test.".trim_end_matches('.').to_lowercase().as_str()).await,
        ours,
        "it stays"
    );
    let theirs = ask(&mut beta, &b, "alpha.test").await;
    let other = ask(&mut alpha, &a, "autre.test").await;
    assert!(ours != theirs && ours != other);
    assert_eq!(verify(&mut alpha, &a, "alpha.test").await, (false, "absent".to_owned()));
    // Another operator's, another domain's, one that has it within: none is it.
    for wrong in [theirs.clone(), other, format!("{ours}x"), String::new()] {
        hosted.names.text(RECORD, &wrong).await;
    }
    assert_eq!(verify(&mut alpha, &a, "alpha.test").await, (false, "autre_valeur".to_owned()));
    assert_eq!(
        verify(&mut beta, &b, "alpha.test").await,
        (true, "prouve".to_owned()),
        "theirs is there, and counts for them"
    );
    hosted.names.remove(RECORD).await;
    // An alias, to where the right text is.
    hosted.names.text("ailleurs.test", &ours).await;
    hosted.names.alias(RECORD, "ailleurs.test").await;
    assert_eq!(verify(&mut alpha, &a, "alpha.test").await, (false, "alias".to_owned()));
    hosted.names.remove(RECORD).await;
    hosted.names.text(RECORD, &theirs).await;
    hosted.names.text(RECORD, &ours).await;
    assert_eq!(verify(&mut alpha, &a, "alpha.test").await, (true, "prouve".to_owned()));
    let page = alpha.get("/domaines").await.text;
    assert!(page.contains("✓ prouvé jusqu’au") && page.contains(&ours) && !page.contains(&theirs), "{page}");
    // Nobody else's to look for or to take away.
    let unknown = beta.call("DELETE", "/api/v1/domaines/autre.test", &b, "").await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    assert_eq!(alpha.call("DELETE", "/api/v1/domaines/autre.test", &a, "").await.status, StatusCode::NO_CONTENT);
    let wrong = alpha.call("POST", "/api/v1/domaines", &a, "{\"domaine\":\"alpha\"}").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn campaigns_go_to_proven_domains_and_where_their_names_lead() {
    let hosted = Hosted::new().await;
    let mut alpha = hosted.signed("alpha").await;
    let token = alpha.token().await;
    // Documentation addresses are no public ones: 8.8.x.x stands for a server of the world; nothing is sent there.
    let job = JOB.replace("127.0.0.1", "8.8.8.77");
    let import = async |browser: &mut Browser, job: &str| {
        browser.post("/tests/importer", &[("modele", "essai"), ("fichier", job)]).await
    };
    hosted.names.address("lps.alpha.test", "8.8.8.77").await;
    let refused = import(&mut alpha, &job).await;
    assert!(refused.text.contains("ni prouvé") && refused.text.contains("page « Domaines »"), "{}", refused.text);
    assert!(
        refused.text.contains("8.8.8.77 n&#39;est pas l&#39;adresse"),
        "not even a public address: {}",
        refused.text
    );
    let ours = ask(&mut alpha, &token, "alpha.test").await;
    hosted.names.text(RECORD, &ours).await;
    let checked = alpha.post("/domaines/alpha.test/verifier", &[]).await;
    assert!(checked.to.contains("constat=prouve"), "{}", checked.to);
    let taken = import(&mut alpha, &job).await;
    assert_eq!(taken.status, StatusCode::SEE_OTHER, "{}", taken.text);
    // Somebody else's address, somebody else's name, a private address by one's own name service.
    let refused = import(&mut alpha, &job.replace("8.8.8.77", "8.8.4.4")).await;
    assert!(refused.text.contains("8.8.4.4 n&#39;est pas"), "{}", refused.text);
    hosted.names.address("lps.beta.test", "8.8.8.78").await;
    let refused =
        import(&mut alpha, &job.replace("8.8.8.77", "8.8.8.78").replace("lps.alpha.test", "lps.beta.test")).await;
    assert!(refused.text.contains("8.8.8.78 n&#39;est pas"), "{}", refused.text);
    hosted.names.address("interne.alpha.test", "127.0.0.1").await;
    let refused = import(&mut alpha, &job.replace("8.8.8.77", "127.0.0.1").replace("lps.alpha", "interne.alpha")).await;
    assert!(refused.text.contains("127.0.0.1 n&#39;est pas"), "{}", refused.text);
    // It ends; and is looked for again before that.
    let id = taken.to.trim_start_matches("/tests/").split('?').next().expect("an id").to_owned();
    hosted.clock.advance(Duration::from_secs(86_400 * 20));
    hosted.desk.look_again().await.expect("looked");
    hosted.clock.advance(Duration::from_secs(86_400 * 20));
    let mut alpha = hosted.signed("alpha").await;
    let again = alpha.get("/domaines").await.text;
    assert!(again.contains("✓ prouvé"), "seen on the twentieth day: {again}");
    hosted.names.remove(RECORD).await;
    hosted.desk.look_again().await.expect("looked");
    assert!(
        alpha.get("/domaines").await.text.contains("aucun enregistrement TXT"),
        "told, and it stands until its end"
    );
    hosted.clock.advance(Duration::from_secs(LIFE.unsigned_abs()));
    let mut alpha = hosted.signed("alpha").await;
    assert!(alpha.get("/domaines").await.text.contains("✗ expiré"));
    let checked = alpha.post(&format!("/tests/{id}/verifier"), &[]).await.text;
    assert!(checked.contains("ni prouvé"), "a job that was taken is refused when it is run: {checked}");
}
