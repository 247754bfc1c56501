//! A second factor that was lost: taken away by an administrator, of their own operator or of the application; never by oneself.

use axum::http::StatusCode;

use crate::sign_in::enrol;
use crate::{Browser, PASSWORD, Stage};

/// The number of an account, as the page of accounts has it.
async fn number(admin: &mut Browser, login: &str) -> String {
    let page = admin.get("/comptes").await.text;
    let row = page.split("<tr>").find(|row| row.contains(&format!(">{login}<"))).expect("a row");
    match row.split("/comptes/").nth(1) {
        Some(rest) => rest.split('/').next().expect("a number").to_owned(),
        None => String::new(),
    }
}

#[tokio::test]
async fn a_lost_factor_is_taken_away_and_made_anew() {
    let stage = Stage::new().await;
    let mut tester = stage.signed("alpha-testeur").await;
    let token = tester.token().await;
    let (_, recovery) = enrol(&mut tester).await;
    let mut alpha = stage.signed("alpha").await;
    let place = format!("/comptes/{}/facteur", number(&mut alpha, "alpha-testeur").await);
    assert!(alpha.get("/comptes").await.text.contains("Réinitialiser le second facteur"));
    // Of one's own operator, by its administrator or the application's; by nobody else.
    for (login, status) in [
        ("beta", StatusCode::NOT_FOUND),
        ("alpha-lecteur", StatusCode::FORBIDDEN),
        ("alpha-signataire", StatusCode::FORBIDDEN),
        ("regulateur", StatusCode::FORBIDDEN),
    ] {
        let mut other = stage.signed(login).await;
        assert_eq!(other.post(&place, &[]).await.status, status, "{login}");
    }
    let key = std::mem::replace(&mut alpha.key, "autre".to_owned());
    assert_eq!(alpha.post(&place, &[]).await.status, StatusCode::FORBIDDEN, "a form of ours");
    alpha.key = key;
    assert_eq!(tester.get("/tests").await.status, StatusCode::OK, "nothing of it happened");
    assert_eq!(alpha.post(&place, &[]).await.to, "/comptes?fait=facteur-reinitialise");
    assert_eq!(alpha.post(&place, &[]).await.status, StatusCode::CONFLICT, "there is none any more");
    // What was open is closed: sessions, tokens, recovery codes.
    assert!(tester.get("/tests").await.to.starts_with("/connexion"));
    assert_eq!(stage.browser().call("GET", "/api/v1/jobs", &token, "").await.status, StatusCode::UNAUTHORIZED);
    let page = alpha.get("/comptes").await.text;
    assert!(page.contains("second facteur réinitialisé : alpha-testeur") && page.contains("non, à refaire"), "{page}");
    // The password leads to a new factor and nowhere else, although nobody here must have one.
    let mut again = stage.browser();
    again.post("/connexion", &[("login", "alpha-testeur"), ("mot_de_passe", PASSWORD)]).await;
    for path in ["/tests", "/compte", "/campagnes", "/jetons"] {
        assert_eq!(again.get(path).await.to, "/compte/facteur", "{path}");
    }
    let (_, fresh) = enrol(&mut again).await;
    assert!(!fresh.iter().any(|code| recovery.contains(code)));
    let page = again.get("/compte").await.text;
    assert!(page.contains("réinitialisé le") && page.contains("par alpha.") && page.contains("✓ Actif"), "{page}");
    let mut old = stage.browser();
    old.post("/connexion", &[("login", "alpha-testeur"), ("mot_de_passe", PASSWORD)]).await;
    old.get("/connexion/code").await;
    assert!(old.post("/connexion/code", &[("code", &recovery[0])]).await.text.contains("pas bon"));
}

#[tokio::test]
async fn the_applications_administrator_does_it_for_all_and_nobody_for_themselves() {
    let stage = Stage::new().await;
    let mut alpha = stage.signed("alpha").await;
    enrol(&mut alpha).await;
    let mut admin = stage.signed("admin").await;
    let alphas = number(&mut admin, "alpha").await;
    let own = alpha.post(&format!("/comptes/{alphas}/facteur"), &[]).await;
    assert!(own.status == StatusCode::CONFLICT && own.text.contains("pas son propre"), "{}", own.text);
    assert_eq!(alpha.get("/tests").await.status, StatusCode::OK, "still there");
    enrol(&mut admin).await;
    // The administrator of the application is nobody's of an operator: what alpha guesses is not there.
    for number in 1..=20 {
        let answer = alpha.post(&format!("/comptes/{number}/facteur"), &[]).await;
        assert_ne!(answer.status, StatusCode::SEE_OTHER, "{number}");
    }
    assert_eq!(admin.get("/operateurs").await.status, StatusCode::OK, "the administrator's stands");
    assert_eq!(admin.post(&format!("/comptes/{alphas}/facteur"), &[]).await.status, StatusCode::SEE_OTHER);
    assert!(alpha.get("/tests").await.to.starts_with("/connexion"));
    // Told in the journal of the operator whose account it is.
    let mut other = stage.signed("alpha").await;
    assert_eq!(other.get("/comptes").await.to, "/compte/facteur");
    enrol(&mut other).await;
    assert!(other.get("/comptes").await.text.contains("second facteur réinitialisé : alpha"));
}
