//! Reports submitted to the regulator: frozen, decided upon, seen by whom they concern.

use axum::http::StatusCode;

use crate::Stage;

#[tokio::test]
async fn a_report_is_submitted_and_decided_upon() {
    let stage = Stage::new().await;
    stage.run_campaigns();
    let mut alpha = stage.signed("alpha").await;
    let job = stage.job(&mut alpha).await;
    let campaign = stage.campaign(&mut alpha, &job).await;
    let part = alpha.post(&format!("/tests/{job}/lancer"), &[("autorise", "oui"), ("cas", "ANN-01")]).await.to;
    alpha.get(&format!("{part}/flux?depuis=0")).await;
    assert_eq!(alpha.post(&format!("{part}/soumettre"), &[]).await.status, StatusCode::CONFLICT, "a part is no report");
    let path = format!("/campagnes/{campaign}/soumettre");
    for (login, status) in [
        ("alpha-lecteur", StatusCode::FORBIDDEN),
        ("alpha-testeur", StatusCode::FORBIDDEN),
        ("beta", StatusCode::NOT_FOUND),
        ("regulateur", StatusCode::FORBIDDEN),
        ("admin", StatusCode::FORBIDDEN),
    ] {
        assert_eq!(stage.signed(login).await.post(&path, &[]).await.status, status, "{login}");
    }
    assert!(alpha.get(&format!("/campagnes/{campaign}")).await.text.contains("Soumettre au régulateur"));
    let done = alpha.post(&path, &[("note", "<b>pour</b> l'agrément")]).await;
    assert_eq!(done.to, format!("/dossiers/{campaign}?fait=soumise"));
    assert_eq!(alpha.post(&path, &[]).await.status, StatusCode::CONFLICT, "once");
    let page = alpha.get(&done.to).await.text;
    assert!(page.contains("&lt;b&gt;pour&lt;/b&gt;") && !page.contains("Ajouter une décision"), "{page}");
    // The report is the one whose hash is told, and holds together.
    let report = alpha.get(&format!("/dossiers/{campaign}/rapport.json")).await.text;
    assert!(page.contains(&control::report::sha256(report.as_bytes())));
    assert_eq!(control::report::read(&report).expect("whole").cas.len(), 8);

    let mut regulator = stage.signed("regulateur").await;
    let list = regulator.get("/dossiers").await.text;
    assert!(list.contains(&campaign) && list.contains("à instruire") && list.contains("Alpha"), "{list}");
    let decide = format!("/dossiers/{campaign}/decisions");
    regulator.get(&format!("/dossiers/{campaign}")).await;
    let wrong = regulator.post(&decide, &[("decision", "x"), ("texte", ""), ("echeance", "2027-02-30")]).await.text;
    assert!(
        wrong.contains("Choisissez une décision") && wrong.contains("caractères") && wrong.contains("Un jour"),
        "{wrong}"
    );
    let fields = [("decision", "complement"), ("texte", "Joindre <script>la preuve"), ("echeance", "2027-01-31")];
    assert!(regulator.post(&decide, &fields).await.to.ends_with("fait=decision"));
    let page = alpha.get(&format!("/dossiers/{campaign}")).await.text;
    assert!(
        page.contains("complément demandé") && page.contains("2027-01-31") && page.contains("&lt;script&gt;"),
        "{page}"
    );
    assert!(alpha.get("/dossiers").await.text.contains("échéance <strong>2027-01-31</strong>"));
    assert_eq!(alpha.post(&decide, &fields).await.status, StatusCode::FORBIDDEN, "the regulator decides");
    // Nobody else's.
    let mut beta = stage.signed("beta").await;
    assert!(!beta.get("/dossiers").await.text.contains(&campaign));
    for path in [format!("/dossiers/{campaign}"), format!("/dossiers/{campaign}/rapport.json")] {
        assert_eq!(beta.get(&path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(stage.signed("admin").await.get("/dossiers").await.status, StatusCode::FORBIDDEN);
}
