//! Campaigns: queue, results, comparison, and a process that ends in the middle.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use desk::Desk;
use desk::account::role::Role;
use desk::db::{Db, Filter, Reach, Scope, State};
use tokio_util::sync::CancellationToken;

use crate::{Browser, JOB, PASSWORD, REASON, Stage, settings};

#[tokio::test]
async fn from_a_form_to_a_report() {
    let stage = Stage::new().await;
    stage.run_campaigns();
    let mut alpha = stage.signed("alpha").await;
    let form = alpha.get("/tests/nouveau?plan=annuaire").await.text;
    assert!(form.contains("<option value=\"annuaire\" selected>"));
    let mut fields = vec![
        ("plan", "annuaire"),
        ("modele", "essai"),
        ("nom", "<b>recette</b>"),
        ("operateur", "Alpha"),
        ("domaines", "beta.test"),
        ("imap", "lps.alpha.test:143"),
        ("imap_adresse", "8.8.8.8:22"),
        ("smtp", "lps.alpha.test:587"),
        ("smtp_adresse", "10.0.0.1:587"),
    ];
    let wrong = alpha.post("/tests", &fields).await.text;
    assert!(wrong.contains("Le port 22") && wrong.contains("10.0.0.1 n&#39;est ni une adresse publique"), "{wrong}");
    fields[6].1 = "127.0.0.1:143";
    fields[8].1 = "127.0.0.1:587";
    let wrong = alpha.post("/tests", &fields).await.text;
    assert!(wrong.contains("« beta.test » n&#39;est pas déclaré"), "{wrong}");
    fields[4].1 = "alpha.test";
    let answer = alpha.post("/tests", &fields).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    let job = answer.to.trim_start_matches("/tests/").split('?').next().expect("an id").to_owned();
    assert!(alpha.get(&answer.to).await.text.contains("&lt;b&gt;recette"));
    // Nobody looked at it: that is done first, and what it finds is shown.
    let first = alpha.post(&format!("/tests/{job}/lancer"), &[("autorise", "oui"), ("cas", "ANN-01")]).await;
    assert!(first.to.is_empty() && first.text.contains("La configuration est à revoir"), "{}", first.text);
    assert!(first.text.contains("Pourquoi lancer quand même") && first.text.contains("✗ IMAP"), "{}", first.text);
    let checked = alpha.post(&format!("/tests/{job}/verifier"), &[]).await.text;
    assert!(checked.contains("La configuration est à revoir") && !checked.contains("non conforme"), "{checked}");
    let refused = alpha.post(&format!("/tests/{job}/lancer"), &[]).await;
    assert!(refused.text.contains("autorisé à contrôler"), "the box must be ticked");
    assert!(
        alpha
            .post(&format!("/tests/{job}/lancer"), &[("autorise", "oui"), ("cas", "TLS")])
            .await
            .text
            .contains("ni un cas ni un groupe")
    );
    // What the pre-flight found stands in the way, until somebody says why it should not.
    let lancer = format!("/tests/{job}/lancer");
    let refused = alpha.post(&lancer, &[("autorise", "oui"), ("motif", "parce que")]).await.text;
    assert!(
        refused.contains("dites en une phrase pourquoi") && refused.contains("Pourquoi lancer quand même"),
        "{refused}"
    );
    let place = alpha.post(&lancer, &[("autorise", "oui"), ("motif", "<i>rien n'écoute, c'est voulu</i>")]).await.to;
    alpha.get(&format!("{place}/flux?depuis=0")).await;
    let campaign = place.trim_start_matches("/campagnes/").to_owned();
    let page = alpha.get(&format!("/campagnes/{campaign}")).await.text;
    assert!(page.contains("avant le lancement") && page.contains("✗ IMAP"), "what was found is shown: {page}");
    assert!(page.contains("Lancée malgré") && page.contains("&lt;i&gt;rien n&#39;écoute"), "{page}");
    assert!(
        page.contains("Verdict non établi")
            && page.contains("8 cas : ")
            && page.contains("non exécuté")
            && page.contains("ANN-08"),
        "{page}"
    );
    let only = alpha.get(&format!("/campagnes/{campaign}?niveau=mineure")).await.text;
    assert!(only.contains("id=\"ANN-05\"") && !only.contains("id=\"ANN-01\""));
    let case = alpha.get(&format!("/campagnes/{campaign}/cas/ANN-01")).await;
    assert!(case.status.is_success() && case.text.contains("Attendu"));
    for (file, sign) in [
        ("rapport.html", "<!DOCTYPE html>"),
        ("rapport.pdf", "%PDF-1.4"),
        ("rapport.json", "\"schema\""),
        ("rapport.xml", "<testsuite"),
        ("rapport.csv", "ANN-01"),
    ] {
        let answer = alpha.get(&format!("/campagnes/{campaign}/{file}")).await;
        assert!(answer.text.contains(sign), "{file}");
        assert!(answer.headers["content-disposition"].to_str().expect("text").starts_with("attachment"));
        assert!(answer.headers["content-security-policy"].to_str().expect("text").contains("sandbox"));
    }
    // The report that is downloaded is the one that was made: its chain holds.
    let json = alpha.get(&format!("/campagnes/{campaign}/rapport.json")).await.text;
    assert_eq!(control::report::read(&json).expect("whole").cas.len(), 8);
    let again = alpha.post(&format!("/campagnes/{campaign}/relancer"), &[("quoi", "ANN-03")]).await;
    assert!(again.to.ends_with("fait=relance"));
    let second = again.to.trim_start_matches("/campagnes/").split('?').next().expect("an id").to_owned();
    alpha.get(&format!("/campagnes/{second}/flux?depuis=0")).await;
    let page = alpha.get(&format!("/campagnes/{second}")).await.text;
    assert!(page.contains("partielle : ANN-03") && page.contains("1 cas :"), "{page}");
    let compared = alpha.get(&format!("/campagnes/{second}/comparaison?autre={campaign}")).await.text;
    assert!(compared.contains("7 cas changés, 0 dégradé"), "{compared}");
}

#[tokio::test]
async fn fifty_at_once_one_at_a_time_for_each_operator() {
    let stage = Stage::new().await;
    let mut alpha = stage.signed("alpha").await;
    let job = stage.job(&mut alpha).await;
    let mut ids = BTreeSet::new();
    for _ in 0..50 {
        let answer = alpha.post(&format!("/tests/{job}/lancer"), &[("autorise", "oui"), ("motif", REASON)]).await;
        ids.insert(answer.to.clone());
    }
    assert_eq!(ids.len(), 50);
    let answer = alpha.post(&format!("/tests/{job}/lancer"), &[("autorise", "oui"), ("motif", REASON)]).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    // One that waits is taken out without having run.
    let last = ids.last().expect("fifty").clone();
    assert_eq!(alpha.post(&format!("{last}/arreter"), &[]).await.status, StatusCode::SEE_OTHER);
    assert!(alpha.get(&last).await.text.contains("Campagne annulée"));
    stage.run_campaigns();
    for id in &ids {
        let stream = alpha.get(&format!("{id}/flux")).await.text;
        assert!(stream.contains("event: fin"));
        assert!(*id == last || stream.contains("\"non_etabli\""), "{stream}");
    }
}

/// A desk on a file.
async fn on_disk(folder: &std::path::Path) -> (Desk, CancellationToken, Browser) {
    let shutdown = CancellationToken::new();
    let desk = Desk::open(settings(folder), shutdown.clone()).await.expect("a desk");
    let reach = Reach {
        domains: vec!["alpha.test".into()],
        ranges: vec!["127.0.0.0/8".parse().expect("a range")],
        ports: vec![],
    };
    desk.provide(Some(("Alpha", reach)), "alpha", Role::AdministrateurOperateur, PASSWORD).await.expect("an account");
    let mut browser = Browser { router: desk.router(), cookie: String::new(), key: String::new() };
    browser.post("/connexion", &[("login", "alpha"), ("mot_de_passe", PASSWORD)]).await;
    browser.get("/compte").await;
    (desk, shutdown, browser)
}

#[tokio::test]
async fn a_process_that_ends_goes_on_at_the_next_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let (desk, shutdown, mut alpha) = on_disk(folder.path()).await;
    let answer = alpha.post("/tests/importer", &[("modele", "essai"), ("fichier", JOB)]).await;
    let job = answer.to.trim_start_matches("/tests/").split('?').next().expect("an id").to_owned();
    let place = alpha.post(&format!("/tests/{job}/lancer"), &[("autorise", "oui"), ("motif", REASON)]).await.to;
    drop((desk, alpha));
    shutdown.cancel();
    // As if the process had been killed after three results.
    let db = Db::open(&folder.path().join("controle.db")).expect("the same file");
    let found = db.campaigns(Scope::All, Filter { most: 1, ..Filter::default() }).await.expect("read");
    let id = found[0].id.clone();
    assert!(db.begin_campaign(&id, 1).await.expect("begun"));
    for case in ["ANN-01", "ANN-02", "ANN-03"] {
        let result = format!(
            r#"{{"id":"{case}","titre":"gardé","exigences":"","gravite":"majeure","etat":"conforme","variantes":[],"duree_ms":7}}"#
        );
        db.add_result(&id, case.to_owned(), result, vec![(format!("h{case}"), "[1]".to_owned())]).await.expect("kept");
    }
    drop(db);
    let (desk, shutdown, mut alpha) = on_disk(folder.path()).await;
    assert!(alpha.get(&place).await.text.contains("ANN-02 — gardé"), "shown as it was");
    let scheduler = tokio::spawn(desk.clone().schedule());
    let stream = alpha.get(&format!("{place}/flux?depuis=3")).await.text;
    assert_eq!(stream.matches("event: cas").count(), 5, "only what was missing is run: {stream}");
    let json = alpha.get(&format!("{place}/rapport.json")).await.text;
    let report: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(report["cas"].as_array().expect("cases").len(), 8);
    assert_eq!(report["cas"][1]["titre"], "gardé");
    assert_eq!(report["preuves"].as_object().expect("proofs").len(), 3, "no proof is lost");
    shutdown.cancel();
    scheduler.await.expect("it ends");
}

#[tokio::test]
async fn a_process_that_keeps_dying_under_a_campaign_leaves_it() {
    let db = Db::in_memory().expect("memory");
    let folder = tempfile::tempdir().expect("a folder");
    let desk = Desk::with(db.clone(), settings(folder.path()), CancellationToken::new()).await.expect("a desk");
    let reach = Reach {
        domains: vec!["alpha.test".into()],
        ranges: vec!["127.0.0.0/8".parse().expect("a range")],
        ports: vec![],
    };
    desk.provide(Some(("Alpha", reach)), "alpha", Role::AdministrateurOperateur, PASSWORD).await.expect("an account");
    let mut alpha = Browser { router: desk.router(), cookie: String::new(), key: String::new() };
    alpha.post("/connexion", &[("login", "alpha"), ("mot_de_passe", PASSWORD)]).await;
    alpha.get("/compte").await;
    let answer = alpha.post("/tests/importer", &[("modele", "essai"), ("fichier", JOB)]).await;
    let job = answer.to.trim_start_matches("/tests/").split('?').next().expect("an id").to_owned();
    let place = alpha.post(&format!("/tests/{job}/lancer"), &[("autorise", "oui"), ("motif", REASON)]).await.to;
    let all = Filter { most: 1, ..Filter::default() };
    for round in 1..=3 {
        let id = db.campaigns(Scope::All, all.clone()).await.expect("read")[0].id.clone();
        assert!(db.begin_campaign(&id, round).await.expect("begun"));
        db.recover(round).await.expect("recovered");
    }
    let left = db.campaigns(Scope::All, all).await.expect("read").remove(0);
    assert_eq!(left.state, State::Interrompue);
    assert!(alpha.get(&place).await.text.contains("arrêtée plusieurs fois"));
    assert_eq!(alpha.get(&format!("{place}/rapport.json")).await.status, StatusCode::CONFLICT);
}
