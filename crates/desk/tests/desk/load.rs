//! More campaigns than may run at once: all are accepted, so many run, one of each operator, all end, none is lost.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use desk::Desk;
use desk::account::role::Role;
use desk::db::{Db, Filter, Reach, Scope, State};
use tokio_util::sync::CancellationToken;

use crate::{Browser, JOB, PASSWORD, settings};

const OPERATORS: usize = 12;
const EACH: usize = 3;
/// Of the plan of the job.
const CASES: u32 = 8;

#[tokio::test]
async fn all_are_accepted_and_all_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let (db, shutdown) = (Db::in_memory().expect("memory"), CancellationToken::new());
    let settings = desk::Settings { campaigns: 4, ..settings(folder.path()) };
    let desk = Desk::with(db.clone(), settings, shutdown.clone()).await.expect("a desk");
    let scheduler = tokio::spawn(desk.clone().schedule());
    let mut places = BTreeSet::new();
    for number in 0..OPERATORS {
        let (name, login) = (format!("Opérateur {number}"), format!("operateur-{number}"));
        let reach = Reach {
            domains: vec!["alpha.test".into()],
            ranges: vec!["127.0.0.0/8".parse().expect("a range")],
            ports: vec![],
        };
        let made = desk.provide(Some((&name, reach)), &login, Role::AdministrateurOperateur, PASSWORD).await;
        made.expect("an account");
        let mut browser = Browser { router: desk.router(), cookie: String::new(), key: String::new() };
        browser.post("/connexion", &[("login", &login), ("mot_de_passe", PASSWORD)]).await;
        browser.get("/compte").await;
        let token = browser.token().await;
        let body = serde_json::json!({ "modele": "essai", "texte": JOB }).to_string();
        let made = browser.call("POST", "/api/v1/jobs", &token, &body).await;
        let job: serde_json::Value = serde_json::from_str(&made.text).expect("JSON");
        let path = format!("/api/v1/jobs/{}/campagnes", job["id"].as_str().expect("an id"));
        for _ in 0..EACH {
            let begun = browser
                .call("POST", &path, &token, r#"{"autorise":true,"motif":"rien n'écoute, et c'est voulu"}"#)
                .await;
            assert_eq!(begun.status, StatusCode::ACCEPTED, "{}", begun.text);
            assert!(places.insert(begun.to), "a name of its own");
        }
    }
    // Those that run are looked at again and again until none waits any more.
    let most = Filter { most: 1000, ..Filter::default() };
    let over = tokio::time::timeout(patience::PATIENCE, async {
        loop {
            let all = db.campaigns(Scope::All, most.clone()).await.expect("read");
            let running: Vec<_> =
                all.iter().filter(|one| one.state == State::EnCours).map(|one| one.organisation).collect();
            assert!(running.len() <= 4, "{} at once", running.len());
            assert_eq!(running.iter().collect::<BTreeSet<_>>().len(), running.len(), "one of each operator");
            if all.iter().all(|one| one.state.is_over()) {
                break all;
            }
            tokio::task::yield_now().await;
        }
    });
    let over = over.await.expect("all of them end");
    assert_eq!(over.len(), OPERATORS * EACH);
    for campaign in &over {
        let seen = (campaign.state, campaign.planned, campaign.done);
        assert_eq!(seen, (State::Terminee, CASES, CASES), "{}", campaign.cause);
    }
    shutdown.cancel();
    scheduler.await.expect("it ends");
}
