//! Reports submitted to the regulator: frozen, decided upon, seen by whom they concern.

use axum::http::StatusCode;

use std::time::Duration;

use serde_json::{Value, json};
use trust::clock::ManualClock;

use crate::Stage;

#[tokio::test]
async fn a_report_is_submitted_and_decided_upon() {
    let stage = Stage::new().await;
    stage.run_campaigns();
    let mut alpha = stage.signed("alpha").await;
    let job = stage.job(&mut alpha).await;
    let campaign = stage.campaign(&mut alpha, &job).await;
    let part = alpha
        .post(&format!("/tests/{job}/lancer"), &[("autorise", "oui"), ("cas", "ANN-01"), ("motif", crate::REASON)])
        .await
        .to;
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

/// What is decided by program, and deadlines that pass.
#[tokio::test]
async fn by_program_and_what_is_overdue_comes_first() {
    // 10 January 2027 at noon: no day ends meanwhile, here or in Paris.
    let clock = ManualClock::at(std::time::UNIX_EPOCH + Duration::from_secs(1_799_582_400));
    let stage = Stage::with(|_, settings| settings.clock = clock.shared()).await;
    stage.run_campaigns();
    let mut alpha = stage.signed("alpha").await;
    let job = stage.job(&mut alpha).await;
    let first = stage.campaign(&mut alpha, &job).await;
    clock.advance(Duration::from_secs(5));
    let second = stage.campaign(&mut alpha, &job).await;
    let (tester, own) = (stage.signed("alpha-testeur").await.token().await, alpha.token().await);
    let mut regulator = stage.signed("regulateur").await;
    let token = regulator.token().await;
    assert!(regulator.get("/jetons").await.text.contains("Vos jetons"));
    let mut program = stage.browser();
    for campaign in [&first, &second] {
        let path = format!("/api/v1/campagnes/{campaign}/soumission");
        for token in [&tester, &token] {
            assert_eq!(program.call("POST", &path, token, "{}").await.status, StatusCode::FORBIDDEN);
        }
        let made = program.call("POST", &path, &own, r#"{"note":"pour l'agrément"}"#).await;
        assert_eq!(
            (made.status, made.to),
            (StatusCode::CREATED, format!("/api/v1/dossiers/{campaign}")),
            "{}",
            made.text
        );
        assert_eq!(program.call("POST", &path, &own, "{}").await.status, StatusCode::CONFLICT, "once");
        clock.advance(Duration::from_secs(5));
    }
    let read = |text: &str| -> Value { serde_json::from_str(text).expect("JSON") };
    let list = async |program: &mut crate::Browser, token: &str| {
        let found = read(&program.call("GET", "/api/v1/dossiers", token, "").await.text);
        let all = found["dossiers"].as_array().expect("a list").clone();
        all.into_iter().map(|one| (one["campagne"].clone(), one["echeance_depassee_jours"].clone())).collect::<Vec<_>>()
    };
    let newest = [(json!(second), Value::Null), (json!(first), Value::Null)];
    assert_eq!(list(&mut program, &token).await, newest);
    assert_eq!(list(&mut program, &own).await, newest);
    let beta = stage.signed("beta").await.token().await;
    assert_eq!(list(&mut program, &beta).await, []);
    let path = format!("/api/v1/dossiers/{first}");
    assert_eq!(program.call("GET", &path, &beta, "").await.status, StatusCode::NOT_FOUND);
    let report = program.call("GET", &format!("{path}/rapport.json"), &token, "").await.text;
    let told = read(&program.call("GET", &path, &token, "").await.text);
    assert_eq!(told["sha256"], control::report::sha256(report.as_bytes()));
    // A decision, with a deadline of tomorrow.
    let decide = format!("{path}/decisions");
    let body = json!({ "decision": "complement", "texte": "Joindre la preuve", "echeance": "2027-01-11" }).to_string();
    assert_eq!(program.call("POST", &decide, &own, &body).await.status, StatusCode::FORBIDDEN, "the regulator decides");
    assert_eq!(program.call("POST", &decide, &beta, &body).await.status, StatusCode::NOT_FOUND);
    let wrong = program.call("POST", &decide, &token, r#"{"decision":"x","texte":"","echeance":"demain"}"#).await;
    let wrong = read(&wrong.text);
    assert_eq!(wrong["erreur"]["champs"].as_array().expect("mistakes").len(), 3);
    let made = program.call("POST", &decide, &token, &body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    assert_eq!(read(&made.text)["decisions"][0]["texte"], "Joindre la preuve");
    assert!(alpha.get(&format!("/dossiers/{first}")).await.text.contains("Joindre la preuve"));
    assert_eq!(list(&mut program, &token).await, newest, "not overdue yet");
    assert!(!regulator.get("/dossiers").await.text.contains("échéance dépassée"));
    // Some days later (everybody signs in again): first, and in words.
    clock.advance(Duration::from_secs(4 * 86_400));
    let found = list(&mut program, &token).await;
    assert_eq!(found, [(json!(first), json!(3)), (json!(second), Value::Null)]);
    let mut regulator = stage.signed("regulateur").await;
    let page = regulator.get("/dossiers").await.text;
    assert!(page.contains("✗ échéance dépassée depuis 3 jours") && page.contains("1 dossier dont"), "{page}");
    assert!(page.find(&format!("/dossiers/{first}")) < page.find(&format!("/dossiers/{second}")), "{page}");
    assert!(stage.signed("alpha").await.get(&format!("/dossiers/{first}")).await.text.contains("échéance dépassée"));
    // Decided again: nothing is overdue any more.
    let body = json!({ "decision": "acceptee", "texte": "Reçu" }).to_string();
    assert_eq!(program.call("POST", &decide, &token, &body).await.status, StatusCode::CREATED);
    assert_eq!(list(&mut program, &token).await, newest);
    // A closed account decides nothing.
    let mut admin = stage.signed("admin").await;
    let page = admin.get("/comptes").await.text;
    let row = page.split("<tr>").find(|row| row.contains(">regulateur<")).expect("a row");
    let number = row.split("/comptes/").nth(1).and_then(|rest| rest.split('/').next()).expect("a number");
    assert_eq!(admin.post(&format!("/comptes/{number}/etat"), &[("ouvert", "")]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(program.call("POST", &decide, &token, &body).await.status, StatusCode::UNAUTHORIZED);
    stage.shutdown.cancel();
}
