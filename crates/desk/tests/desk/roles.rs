//! Every route and who may take it: a table. A route that is not in it fails the test, and so does one that lets somebody in whom the table does not
//! name, or keeps out somebody whom it does.
//!
//! *Let in* means: neither sent to sign in, nor refused (403), nor told that there is nothing (404). What is then wrong with an empty form is another
//! matter.

use std::collections::BTreeMap;
use std::path::Path;

use axum::http::StatusCode;

use crate::{Answer, Browser, PASSWORD, Stage};

/// Who may take a route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Who {
    /// Anybody, signed in or not.
    Anybody,
    /// Whoever is signed in.
    Signed,
    /// Whoever sees results: operators see their own, regulators all.
    Reads,
    /// Who launches and stops.
    Runs,
    /// Who writes jobs and has tokens.
    Writes,
    /// Who has API tokens: those who write jobs, signatories (for signing alone) and regulators.
    Holds,
    /// By a call, whatever token it is of: a signatory's too, which serves for nothing else.
    AnyToken,
    /// Who gives signatures.
    Signs,
    /// Who submits reports to the regulator.
    Submits,
    /// Who decides upon what is submitted.
    Decides,
    /// Who manages accounts.
    Manages,
    /// The application's administrator.
    Rules,
    /// Those of an operator, whatever they may do.
    Operator,
    /// Served only in a state that is not this one's (no account yet, half a session, no OpenID provider): tested elsewhere.
    Elsewhere,
}
use Who::*;

const ROLES: [&str; 8] =
    ["", "alpha", "alpha-testeur", "alpha-lecteur", "alpha-signataire", "regulateur", "instructeur", "admin"];

impl Who {
    fn has(self, login: &str) -> bool {
        match self {
            Anybody | Elsewhere => true,
            Signed => !login.is_empty(),
            Reads => !matches!(login, "" | "admin"),
            Runs => matches!(login, "alpha" | "alpha-testeur" | "regulateur" | "instructeur"),
            Writes => matches!(login, "alpha" | "alpha-testeur"),
            Holds => matches!(login, "alpha" | "alpha-testeur" | "alpha-signataire" | "regulateur" | "instructeur"),
            AnyToken => !login.is_empty(),
            Signs => login == "alpha-signataire",
            Submits => matches!(login, "alpha" | "alpha-signataire"),
            Decides => matches!(login, "regulateur" | "instructeur"),
            Manages => matches!(login, "alpha" | "admin"),
            Rules => login == "admin",
            Operator => login.starts_with("alpha"),
        }
    }

    /// Whether a token of that account may make a call.
    fn has_by_token(self, login: &str) -> bool {
        match login {
            "alpha-signataire" => matches!(self, Anybody | AnyToken | Signs),
            _ => self.has(login),
        }
    }
}

/// The pages. A POST that takes something away comes after those that need it.
const PAGES: &[(&str, &str, Who)] = &[
    ("GET", "/", Anybody),
    ("GET", "/premier-compte", Elsewhere),
    ("POST", "/premier-compte", Elsewhere),
    ("GET", "/connexion", Anybody),
    ("POST", "/connexion", Anybody),
    ("GET", "/connexion/code", Elsewhere),
    ("POST", "/connexion/code", Elsewhere),
    ("GET", "/connexion/fournisseur", Elsewhere),
    ("GET", "/connexion/retour", Elsewhere),
    ("POST", "/connexion/fin", Elsewhere),
    ("POST", "/compte/fournisseur", Elsewhere),
    ("POST", "/compte/fournisseur/delier", Elsewhere),
    ("GET", "/catalogue", Anybody),
    ("GET", "/catalogue/{case}", Anybody),
    ("GET", "/accessibilite", Anybody),
    ("GET", "/style.css", Anybody),
    ("GET", "/desk.js", Anybody),
    ("GET", "/icone.svg", Anybody),
    ("GET", "/tests", Reads),
    ("POST", "/tests", Writes),
    ("GET", "/tests/nouveau", Writes),
    ("GET", "/tests/importer", Writes),
    ("POST", "/tests/importer", Writes),
    ("GET", "/tests/{job}", Reads),
    ("GET", "/tests/{job}/job.toml", Reads),
    ("POST", "/tests/{job}/verifier", Runs),
    ("POST", "/tests/{job}/lancer", Runs),
    ("POST", "/tests/{job}/surveiller", Runs),
    ("POST", "/tests/{job}/reference", Runs),
    ("POST", "/tests/{job}/ne-plus-surveiller", Runs),
    ("GET", "/surveillance", Reads),
    ("GET", "/surveillance/flux.atom", Reads),
    ("GET", "/dossiers", Reads),
    ("GET", "/dossiers/{campaign}", Reads),
    ("GET", "/dossiers/{campaign}/rapport.json", Reads),
    ("POST", "/dossiers/{campaign}/decisions", Decides),
    ("POST", "/campagnes/{campaign}/soumettre", Submits),
    ("GET", "/campagnes", Reads),
    ("GET", "/campagnes/{campaign}", Reads),
    ("GET", "/campagnes/{campaign}/flux", Reads),
    ("GET", "/campagnes/{campaign}/comparaison", Reads),
    ("GET", "/campagnes/{campaign}/cas/{case}", Reads),
    ("GET", "/campagnes/{campaign}/signature", Reads),
    ("POST", "/campagnes/{campaign}/signature", Signs),
    ("GET", "/campagnes/{campaign}/{file}", Reads),
    ("POST", "/campagnes/{campaign}/relancer", Runs),
    ("POST", "/campagnes/{campaign}/banc", Runs),
    ("POST", "/campagnes/{campaign}/arreter", Runs),
    ("GET", "/pieges", Reads),
    ("GET", "/pieges/{session}", Elsewhere),
    ("GET", "/pieges/{session}/messages/{index}", Elsewhere),
    ("GET", "/bouchon", Reads),
    ("GET", "/compte", Signed),
    ("POST", "/compte/mot-de-passe", Signed),
    ("GET", "/compte/facteur", Signed),
    ("POST", "/compte/facteur", Signed),
    ("GET", "/comptes", Manages),
    ("POST", "/comptes", Manages),
    ("POST", "/comptes/{account}/etat", Manages),
    ("POST", "/comptes/{account}/facteur", Manages),
    // Where nothing is to be proven, as here, whoever may is told so.
    ("GET", "/domaines", Operator),
    ("POST", "/domaines", Writes),
    ("POST", "/domaines/{domain}/verifier", Writes),
    ("POST", "/domaines/{domain}/retirer", Writes),
    ("GET", "/operateurs", Rules),
    ("POST", "/operateurs", Rules),
    ("GET", "/jetons", Holds),
    ("POST", "/jetons", Holds),
    // Alpha's: signatories and regulators end their own only (`a_token_of_ones_own`).
    ("POST", "/jetons/{token}/revoquer", Writes),
    ("POST", "/tests/{job}/supprimer", Writes),
    ("POST", "/deconnexion", Signed),
];

/// The API, by a token of whoever may have one.
const CALLS: &[(&str, &str, Who)] = &[
    ("GET", "/api/openapi.json", Anybody),
    ("GET", "/api/v1/catalogue", Anybody),
    ("GET", "/api/v1/catalogue/{case}", Anybody),
    ("GET", "/api/v1/modeles", Operator),
    ("GET", "/api/v1/jobs", Reads),
    ("POST", "/api/v1/jobs", Writes),
    ("GET", "/api/v1/jobs/{job}", Reads),
    ("POST", "/api/v1/jobs/{job}/verification", Runs),
    ("POST", "/api/v1/jobs/{job}/campagnes", Runs),
    ("PUT", "/api/v1/jobs/{job}/surveillance", Runs),
    ("DELETE", "/api/v1/jobs/{job}/surveillance", Runs),
    ("GET", "/api/v1/surveillance", Reads),
    ("GET", "/api/v1/surveillance/flux.atom", Reads),
    ("GET", "/api/v1/campagnes", AnyToken),
    ("GET", "/api/v1/campagnes/{campaign}", AnyToken),
    ("GET", "/api/v1/campagnes/{campaign}/cas", Reads),
    ("GET", "/api/v1/campagnes/{campaign}/cas/{case}", Reads),
    ("GET", "/api/v1/campagnes/{campaign}/flux", Reads),
    // Of a campaign about mail software: this one is not (tests/desk/software.rs).
    ("GET", "/api/v1/campagnes/{campaign}/banc", Elsewhere),
    ("POST", "/api/v1/campagnes/{campaign}/banc", Runs),
    ("PUT", "/api/v1/campagnes/{campaign}/signature", Signs),
    // Submitted already, and so a conflict for whoever may.
    ("POST", "/api/v1/campagnes/{campaign}/soumission", Submits),
    ("GET", "/api/v1/dossiers", Reads),
    ("GET", "/api/v1/dossiers/{campaign}", Reads),
    ("GET", "/api/v1/dossiers/{campaign}/rapport.json", Reads),
    ("POST", "/api/v1/dossiers/{campaign}/decisions", Decides),
    ("POST", "/api/v1/campagnes/{campaign}/arret", Runs),
    ("POST", "/api/v1/campagnes/{campaign}/relance", Runs),
    ("GET", "/api/v1/campagnes/{campaign}/comparaison/{other}", Reads),
    // A signatory's token reads what is signed, and no other form (`a_signatorys_token_serves_for_signing`).
    ("GET", "/api/v1/campagnes/{campaign}/{file}", Reads),
    ("GET", "/api/v1/domaines", Reads),
    ("POST", "/api/v1/domaines", Writes),
    ("DELETE", "/api/v1/domaines/{domaine}", Writes),
    ("POST", "/api/v1/domaines/{domaine}/verification", Writes),
    ("GET", "/api/v1/pieges", Elsewhere),
    ("GET", "/api/v1/pieges/{session}", Elsewhere),
    ("GET", "/api/v1/bouchon", Elsewhere),
    ("PUT", "/api/v1/bouchon/scenario", Elsewhere),
    ("DELETE", "/api/v1/bouchon/scenario/{lease}", Elsewhere),
    ("DELETE", "/api/v1/jobs/{job}", Writes),
];

/// Every route of the sources, whatever file it stands in.
pub fn routes() -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<(String, String)>) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let source = std::fs::read_to_string(&path).expect("text");
                // What is nested elsewhere are stands, behind a key of their own.
                let is_ours =
                    path.components().any(|one| ["web", "api"].contains(&one.as_os_str().to_str().unwrap_or_default()));
                assert!(
                    !(is_ours && source.contains(".nest(")),
                    "{}: routes that this test does not see",
                    path.display()
                );
                for (index, _) in source.match_indices(".route(") {
                    let rest = source[index + 7..].trim_start();
                    let rest = rest
                        .strip_prefix('"')
                        .unwrap_or_else(|| panic!("{}: a route whose path is not written out", path.display()));
                    let (place, handlers) = rest.split_once('"').expect("a path");
                    let handlers = handlers.split(".route(").next().unwrap_or(handlers);
                    let handlers = handlers.lines().next().unwrap_or_default();
                    for method in ["get", "post", "put", "delete", "patch", "any"] {
                        if handlers.contains(&format!(" {method}(")) || handlers.contains(&format!(").{method}(")) {
                            found.push((method.to_uppercase(), place.to_owned()));
                        }
                    }
                }
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    found.sort();
    found
}

#[test]
fn every_route_has_its_roles() {
    let mut told: Vec<(String, String)> =
        PAGES.iter().chain(CALLS).map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned())).collect();
    told.sort();
    let there = routes();
    for route in &there {
        assert!(told.contains(route), "{route:?} is in no table of tests/desk/roles.rs: say who may take it");
    }
    assert_eq!(told, there, "a table of tests/desk/roles.rs names a route that is not there, or twice");
}

fn filled(path: &str, ids: &BTreeMap<&str, String>) -> String {
    ids.iter().fold(path.to_owned(), |path, (name, value)| path.replace(&format!("{{{name}}}"), value))
}

fn is_let_in(answer: &Answer) -> bool {
    !matches!(answer.status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::UNAUTHORIZED)
        && !answer.to.starts_with("/connexion")
}

/// What somebody else than the operator of these ids finds.
struct Scene {
    stage: Stage,
    ids: BTreeMap<&'static str, String>,
}

async fn scene() -> Scene {
    let stage = Stage::new().await;
    stage.run_campaigns();
    let mut alpha = stage.signed("alpha").await;
    let job = stage.job(&mut alpha).await;
    let campaign = stage.campaign(&mut alpha, &job).await;
    let submitted = alpha.post(&format!("/campagnes/{campaign}/soumettre"), &[]).await;
    assert!(submitted.to.starts_with("/dossiers/"), "{}", submitted.text);
    alpha.token().await;
    let page = alpha.get("/comptes").await.text;
    let row = page.split("<tr>").find(|row| row.contains(">alpha-lecteur<")).expect("a row");
    let reader = row.split("/comptes/").nth(1).and_then(|rest| rest.split('/').next()).expect("a number").to_owned();
    let ids = BTreeMap::from([
        ("job", job),
        ("other", campaign.clone()),
        ("campaign", campaign),
        ("case", "ANN-01".to_owned()),
        ("file", "rapport.csv".to_owned()),
        ("token", "1".to_owned()),
        ("account", reader),
        ("session", "1".to_owned()),
        ("index", "0".to_owned()),
        ("lease", "1-a".to_owned()),
        ("domain", "alpha.test".to_owned()),
        ("domaine", "alpha.test".to_owned()),
    ]);
    Scene { stage, ids }
}

async fn page(browser: &mut Browser, method: &str, place: &str) -> Answer {
    match (method, place) {
        ("GET", place) => browser.get(place).await,
        (_, place) if place.ends_with("/signature") => browser.give(place, b"rien").await,
        (_, "/connexion") => browser.post(place, &[("login", "personne"), ("mot_de_passe", "x")]).await,
        (_, place) => {
            browser
                .post(
                    place,
                    &[("autorise", "oui"), ("quoi", "tout"), ("nom", "n"), ("ouvert", "oui"), ("heures", "24")],
                )
                .await
        }
    }
}

#[tokio::test]
async fn every_page_lets_in_whom_it_should() {
    for login in ROLES {
        let Scene { stage, ids } = scene().await;
        let mut browser = if login.is_empty() { stage.browser() } else { stage.signed(login).await };
        for (method, path, who) in PAGES {
            if *who == Elsewhere {
                continue;
            }
            let answer = page(&mut browser, method, &filled(path, &ids)).await;
            assert!(!answer.status.is_server_error(), "{login} {method} {path}: {}", answer.text);
            // Nothing runs any more: there is nothing to stop.
            let is_let_in = is_let_in(&answer) || (path.ends_with("/arreter") && answer.status == StatusCode::CONFLICT);
            assert_eq!(is_let_in, who.has(login), "{login:?} {method} {path}: {} {}", answer.status, answer.to);
        }
        stage.shutdown.cancel();
    }
}

#[tokio::test]
async fn every_call_lets_in_whom_it_should() {
    for login in ["", "alpha", "alpha-testeur", "alpha-signataire", "regulateur", "instructeur"] {
        let Scene { stage, ids } = scene().await;
        let mut browser = stage.browser();
        let token = if login.is_empty() { String::new() } else { stage.signed(login).await.token().await };
        for (method, path, who) in CALLS {
            if *who == Elsewhere {
                continue;
            }
            let body = match *path {
                path if path.ends_with("/campagnes") => r#"{"autorise":true,"motif":"c'est voulu"}"#,
                path if path.ends_with("/soumission") => "{}",
                path if path.ends_with("/banc") => r#"{"numero":0,"fait":true}"#,
                path if path.ends_with("/decisions") => r#"{"decision":"note","texte":"vu"}"#,
                path if path.ends_with("/surveillance") => r#"{"heures":24,"autorise":true}"#,
                path if path.ends_with("relance") => r#"{"quoi":"tout"}"#,
                path if path.contains("/domaines") => r#"{"domaine":"alpha.test"}"#,
                _ => r#"{"modele":"essai","texte":""}"#,
            };
            let answer = browser.call(method, &filled(path, &ids), &token, body).await;
            assert!(!answer.status.is_server_error(), "{login} {method} {path}: {}", answer.text);
            assert_eq!(is_let_in(&answer), who.has_by_token(login), "{login:?} {method} {path}: {}", answer.status);
        }
        stage.shutdown.cancel();
    }
}

/// Somebody who was more when they made their token.
#[tokio::test]
async fn a_token_is_never_more_than_its_account() {
    let Scene { stage, ids } = scene().await;
    let mut tester = stage.signed("alpha-testeur").await;
    let token = tester.token().await;
    let job = filled("/api/v1/jobs/{job}", &ids);
    assert_eq!(tester.call("GET", &job, &token, "").await.status, StatusCode::OK);
    let mut alpha = stage.signed("alpha").await;
    let page = alpha.get("/comptes").await.text;
    let row = page.split("<tr>").find(|row| row.contains(">alpha-testeur<")).expect("a row");
    let number = row.split("/comptes/").nth(1).and_then(|rest| rest.split('/').next()).expect("a number");
    assert_eq!(alpha.post(&format!("/comptes/{number}/etat"), &[("ouvert", "")]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(tester.call("GET", &job, &token, "").await.status, StatusCode::UNAUTHORIZED);
    let mut again = stage.browser();
    let refused = again.post("/connexion", &[("login", "alpha-testeur"), ("mot_de_passe", PASSWORD)]).await;
    assert!(refused.text.contains("inconnu"));
}

/// Every role of the other operator, and the application's administrator, on every id of alpha's.
#[tokio::test]
async fn nobody_of_another_operator_is_let_in() {
    let Scene { stage, ids } = scene().await;
    let is_alphas = |path: &str| ["{job}", "{campaign}", "{token}"].iter().any(|id| path.contains(id));
    for login in ["beta", "beta-testeur", "beta-lecteur", "beta-signataire", "admin"] {
        let mut browser = stage.signed(login).await;
        for (method, path, _) in PAGES.iter().filter(|(_, path, _)| is_alphas(path)) {
            let answer = page(&mut browser, method, &filled(path, &ids)).await;
            assert!(!is_let_in(&answer), "{login} {method} {path}: {}", answer.status);
            assert!(!answer.text.contains("affaire d"), "{login} {method} {path}");
        }
        if login != "admin" {
            let answer = browser.post(&filled("/comptes/{account}/etat", &ids), &[("ouvert", "")]).await;
            assert!(!is_let_in(&answer), "{login}: another's account");
        }
    }
    // What was tried changed nothing.
    let mut alpha = stage.signed("alpha").await;
    assert!(alpha.get("/jetons").await.text.contains("Révoquer"));
    assert_eq!(alpha.get(&filled("/tests/{job}", &ids)).await.status, StatusCode::OK);
    assert!(alpha.get(&filled("/campagnes/{campaign}/signature", &ids)).await.text.contains("n’est pas signé"));
}
