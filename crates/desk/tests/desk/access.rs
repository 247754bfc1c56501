//! An operator never sees another's data: every route is tried with another's account, with every role, and with nobody's.

use std::collections::BTreeSet;

use axum::http::StatusCode;

use crate::{Browser, Stage};

/// The routes as the source has them: one that is added is tried too.
fn routes(source: &str) -> Vec<(String, bool)> {
    source
        .lines()
        .filter_map(|line| {
            let rest = line.trim().strip_prefix(".route(\"")?;
            let (path, handler) = rest.split_once('"')?;
            Some((path.to_owned(), handler.contains("post(")))
        })
        .collect()
}

fn filled(path: &str, names: &[(&str, &str)]) -> String {
    names.iter().fold(path.to_owned(), |path, (name, value)| path.replace(&format!("{{{name}}}"), value))
}

async fn alphas(stage: &Stage) -> (Browser, String, String) {
    stage.run_campaigns();
    let mut alpha = stage.signed("alpha").await;
    let job = stage.job(&mut alpha).await;
    let campaign = stage.campaign(&mut alpha, &job).await;
    (alpha, job, campaign)
}

#[tokio::test]
async fn nobody_sees_what_is_another_operators() {
    let stage = Stage::new().await;
    let (mut alpha, job, campaign) = alphas(&stage).await;
    let token = alpha.token().await;
    // Numbers of accounts and tokens are small: beta knows alpha's without being told.
    let names = [
        ("job", job.as_str()),
        ("campaign", &campaign),
        ("other", &campaign),
        ("case", "ANN-01"),
        ("file", "rapport.json"),
        ("token", "1"),
        ("account", "1"),
        ("session", "1"),
        ("index", "0"),
        ("lease", "1-a"),
    ];
    let pages = routes(include_str!("../../src/web/mod.rs"));
    assert!(pages.len() > 30);
    let mut tried = BTreeSet::new();
    for login in ["beta", "beta-testeur", "beta-lecteur", "admin"] {
        let mut other = stage.signed(login).await;
        for (path, is_post) in &pages {
            let is_alphas = path.contains("{job}")
                || path.contains("{campaign}")
                || path.contains("{token}")
                || (path.contains("{account}") && login != "admin");
            let place = filled(path, &names);
            let answers = [
                Some(other.get(&place).await),
                if *is_post && is_alphas {
                    Some(other.post(&place, &[("quoi", "tout"), ("autorise", "oui")]).await)
                } else {
                    None
                },
            ];
            for answer in answers.into_iter().flatten() {
                assert!(!answer.text.contains("affaire d"), "{login} {place}: alpha's job is shown");
                assert!(!answer.status.is_server_error(), "{login} {place}: {}", answer.status);
                if is_alphas {
                    tried.insert(place.clone());
                    let expected = [StatusCode::NOT_FOUND, StatusCode::FORBIDDEN, StatusCode::METHOD_NOT_ALLOWED];
                    assert!(expected.contains(&answer.status), "{login} {place}: {}", answer.status);
                }
            }
        }
    }
    assert!(tried.len() >= 12, "{tried:?}");
    // Nothing of it happened.
    let list = alpha.get("/campagnes").await.text;
    assert_eq!(list.matches("<th scope=\"row\"><a href=\"/campagnes/").count(), 1);
    assert!(alpha.get("/jetons").await.text.contains("Révoquer"));
    // The same by the API.
    let mut beta = stage.signed("beta").await;
    let betas = beta.token().await;
    let calls = routes(include_str!("../../src/api/mod.rs"));
    assert!(calls.len() > 12);
    for (path, _) in &calls {
        let place = filled(path, &names);
        for method in ["GET", "POST", "DELETE"] {
            let body = r#"{"quoi":"tout","autorise":true,"modele":"essai","texte":""}"#;
            let body = if path.ends_with("/campagnes") {
                r#"{"autorise":true}"#
            } else if path.ends_with("relance") {
                r#"{"quoi":"tout"}"#
            } else {
                body
            };
            let answer = beta.call(method, &place, &betas, body).await;
            assert!(!answer.text.contains("affaire d"), "{method} {place}");
            if path.contains("{job}") || path.contains("{campaign}") {
                assert!(
                    [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED].contains(&answer.status),
                    "{method} {place}: {}",
                    answer.status
                );
            }
        }
    }
    assert!(alpha.call("GET", &format!("/api/v1/jobs/{job}"), &token, "").await.text.contains("affaire d"));
    // The regulator sees it.
    let mut regulator = stage.signed("regulateur").await;
    assert!(regulator.get(&format!("/campagnes/{campaign}")).await.text.contains("affaire d"));
}

#[tokio::test]
async fn without_a_session_there_is_nothing_but_the_public_pages() {
    let stage = Stage::new().await;
    let public = [
        "/",
        "/connexion",
        "/catalogue",
        "/catalogue/{case}",
        "/accessibilite",
        "/style.css",
        "/desk.js",
        "/icone.svg",
        "/premier-compte",
    ];
    let names = [
        ("case", "TLS-01"),
        ("job", "0"),
        ("campaign", "0"),
        ("file", "rapport.json"),
        ("token", "1"),
        ("account", "1"),
    ];
    for (path, is_post) in routes(include_str!("../../src/web/mod.rs")) {
        // There without a session, and without a provider not there: tests/desk/provider.rs.
        if ["/connexion/fournisseur", "/connexion/retour", "/connexion/fin"].contains(&path.as_str()) {
            continue;
        }
        let place = filled(&path, &names);
        let answer = stage.browser().get(&place).await;
        if public.contains(&path.as_str()) {
            assert!(answer.status.is_success() || path == "/premier-compte", "{place}: {}", answer.status);
        } else {
            assert!(
                answer.to.starts_with("/connexion") || answer.status == StatusCode::METHOD_NOT_ALLOWED,
                "{place}: {} {}",
                answer.status,
                answer.to
            );
        }
        if is_post && !path.starts_with("/connexion") && path != "/premier-compte" {
            let answer = stage.browser().post(&place, &[]).await;
            assert!(answer.to.starts_with("/connexion"), "{place}: {}", answer.status);
        }
    }
    for (path, _) in routes(include_str!("../../src/api/mod.rs")) {
        let place = filled(
            &path,
            &[("job", "0"), ("campaign", "0"), ("other", "0"), ("file", "rapport.json"), ("case", "TLS-01")],
        );
        let answer = stage.browser().get(&place).await;
        let is_public = path.contains("catalogue") || path.ends_with("openapi.json");
        let expected = if is_public { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
        assert!(
            answer.status == expected || answer.status == StatusCode::METHOD_NOT_ALLOWED,
            "{place}: {}",
            answer.status
        );
    }
}

#[tokio::test]
async fn roles_allow_what_they_say() {
    let stage = Stage::new().await;
    let (_, job, campaign) = alphas(&stage).await;
    let launch = format!("/tests/{job}/lancer");
    let mut reader = stage.signed("alpha-lecteur").await;
    assert_eq!(reader.get(&format!("/campagnes/{campaign}")).await.status, StatusCode::OK);
    for place in [
        launch.as_str(),
        &format!("/tests/{job}/supprimer"),
        &format!("/campagnes/{campaign}/relancer"),
        "/jetons",
        "/comptes",
        "/tests",
    ] {
        let answer = reader.post(place, &[("autorise", "oui"), ("quoi", "tout")]).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{place}");
    }
    let page = reader.get(&format!("/campagnes/{campaign}")).await.text;
    assert!(!page.contains("Relancer") && page.contains("rapport.html"));
    let mut tester = stage.signed("alpha-testeur").await;
    assert_eq!(tester.get("/comptes").await.status, StatusCode::FORBIDDEN);
    assert_eq!(
        tester.post(&launch, &[("autorise", "oui"), ("motif", crate::REASON)]).await.status,
        StatusCode::SEE_OTHER
    );
    let mut regulator = stage.signed("regulateur").await;
    assert_eq!(
        regulator.post(&launch, &[("autorise", "oui"), ("motif", crate::REASON)]).await.status,
        StatusCode::SEE_OTHER,
        "an audit"
    );
    assert_eq!(regulator.get("/comptes").await.status, StatusCode::FORBIDDEN);
    // An operator's administrator makes no account above their own, and none elsewhere.
    let mut alpha = stage.signed("alpha").await;
    let new = |login: &'static str, role: &'static str| {
        [("login", login), ("mot_de_passe", "douze lettres et plus"), ("role", role), ("operateur", "2")]
    };
    assert!(alpha.post("/comptes", &new("chef", "administrateur")).await.text.contains("Choisissez un rôle"));
    assert!(alpha.post("/comptes", &new("chef", "regulateur")).await.text.contains("Choisissez un rôle"));
    assert_eq!(alpha.post("/comptes", &new("claire", "lecteur")).await.status, StatusCode::SEE_OTHER);
    assert!(alpha.get("/comptes").await.text.contains("claire"));
    assert!(!stage.signed("beta").await.get("/comptes").await.text.contains("claire"));
}

#[tokio::test]
async fn forms_are_ours() {
    let stage = Stage::new().await;
    let mut alpha = stage.signed("alpha").await;
    let key = std::mem::replace(&mut alpha.key, "autre".to_owned());
    assert_eq!(alpha.post("/deconnexion", &[]).await.status, StatusCode::FORBIDDEN);
    alpha.key = stage.signed("alpha").await.key;
    assert_eq!(alpha.post("/deconnexion", &[]).await.status, StatusCode::FORBIDDEN, "the key of another session");
    for (name, value) in [("sec-fetch-site", "cross-site"), ("origin", "https://ailleurs.test")] {
        let request = axum::http::Request::post("/deconnexion").header(name, value).header("host", "controle.test");
        let answer = alpha.send(request.body(format!("cle={key}").into()).expect("a request")).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{name}");
    }
    alpha.key = key;
    assert_eq!(alpha.post("/deconnexion", &[]).await.status, StatusCode::SEE_OTHER);
    assert!(alpha.get("/tests").await.to.starts_with("/connexion"));
    // Pages hold no script and no style of their own.
    let mut beta = stage.signed("beta").await;
    for place in [
        "/",
        "/tests",
        "/tests/nouveau?plan=api-lps",
        "/catalogue",
        "/comptes",
        "/compte",
        "/compte/facteur",
        "/jetons",
    ] {
        let answer = beta.get(place).await;
        let policy = answer.headers["content-security-policy"].to_str().expect("text").to_owned();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{place}");
        assert!(
            !answer.text.contains(" style=") && !answer.text.contains("<style") && !answer.text.contains(" onclick"),
            "{place}"
        );
        assert_eq!(answer.text.matches("<script").count(), 1, "{place}");
        assert_eq!(answer.text.matches("<h1").count(), 1, "{place}");
    }
}
