//! PostgreSQL killed in the middle of a campaign: the campaign goes on when it is back, and nothing that was shown is lost.

use std::time::Duration;

use axum::http::StatusCode;
use control::engine::CaseResult;
use desk::Desk;
use desk::account::role::Role;
use desk::db::{Db, Filter, Reach, Scope, State};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::postgres::Server;
use crate::{Browser, JOB, PASSWORD, settings};

/// As JSON, to be compared.
fn text(results: &[(i64, CaseResult)]) -> Vec<String> {
    results.iter().map(|(at, result)| format!("{at} {}", serde_json::to_string(result).expect("JSON"))).collect()
}

/// Asks again while the database is away.
async fn again<T>(ask: impl AsyncFn() -> Option<T>) -> T {
    let asked = tokio::time::timeout(patience::PATIENCE, async {
        loop {
            if let Some(found) = ask().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    asked.await.expect("in time")
}

async fn results(db: &Db, least: usize) -> Vec<(i64, CaseResult)> {
    again(async || {
        let found = db.campaigns(Scope::All, Filter { most: 1, ..Filter::default() }).await.ok()?;
        let found = db.results(Scope::All, &found.first()?.id, 0).await.ok()?;
        (found.len() >= least).then_some(found)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_survives_its_database() {
    let mut server = Server::start().await;
    let db = server.connect().await;
    let (folder, shutdown) = (tempfile::tempdir().expect("a folder"), CancellationToken::new());
    let desk = Desk::with(db.clone(), settings(folder.path()), shutdown.clone()).await.expect("a desk");
    // Takes connections and says nothing: each case ends after a second.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = silent.local_addr().expect("an address").port();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok(one) = silent.accept().await {
            held.push(one);
        }
    });
    let reach = Reach {
        domains: vec!["alpha.test".into()],
        ranges: vec!["127.0.0.0/8".parse().expect("a range")],
        ports: vec![port],
    };
    desk.provide(Some(("Alpha", reach)), "alpha", Role::AdministrateurOperateur, PASSWORD).await.expect("an account");
    let mut alpha = Browser { router: desk.router(), cookie: String::new(), key: String::new() };
    alpha.post("/connexion", &[("login", "alpha"), ("mot_de_passe", PASSWORD)]).await;
    alpha.get("/compte").await;
    let job =
        JOB.replace("annuaire", "api-lps").replace(":143", &format!(":{port}")).replace(":587", &format!(":{port}"));
    let answer = alpha.post("/tests/importer", &[("modele", "essai"), ("fichier", &job)]).await;
    let job = answer.to.trim_start_matches("/tests/").split('?').next().expect("an id").to_owned();
    let place = alpha
        .post(&format!("/tests/{job}/lancer"), &[("autorise", "oui"), ("cas", "STL"), ("motif", crate::REASON)])
        .await
        .to;
    assert!(place.starts_with("/campagnes/"), "{place}");
    let scheduler = tokio::spawn(desk.clone().schedule());
    let shown = results(&db, 1).await;
    server.kill();
    let page = alpha.get(&place).await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE, "{}", page.text);
    assert!(page.text.contains("La base de données ne répond pas"), "{}", page.text);
    // Long enough for results that have to wait.
    tokio::time::sleep(Duration::from_secs(2)).await;
    server.run();
    let over = again(async || {
        let found = db.campaigns(Scope::All, Filter { most: 1, ..Filter::default() }).await.ok()?;
        found.into_iter().next().filter(|campaign| campaign.state.is_over())
    });
    let over = over.await;
    assert_eq!((over.state, over.cause.as_str()), (State::Terminee, ""));
    let after = results(&db, shown.len()).await;
    assert_eq!(text(&after)[..shown.len()], text(&shown), "what was shown is as it was");
    assert_eq!(after.len(), over.planned as usize, "and every other case is there");
    assert!(alpha.get(&place).await.text.contains("Verdict non établi"));
    shutdown.cancel();
    scheduler.await.expect("it ends");
}
