//! Tests that are run again and again: due once, compared, told.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::http::StatusCode;
use desk::account::role::Role;
use desk::db::{Db, Reach};
use desk::{Desk, Settings};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use trust::ManualClock;

use crate::{Browser, JOB, PASSWORD, settings};

async fn signed(desk: &Desk, login: &str) -> Browser {
    let mut browser = Browser { router: desk.router(), cookie: String::new(), key: String::new() };
    browser.post("/connexion", &[("login", login), ("mot_de_passe", PASSWORD)]).await;
    browser.get("/compte").await;
    browser
}

async fn json(browser: &mut Browser, token: &str, method: &str, path: &str, body: &str) -> Value {
    let answer = browser.call(method, path, token, body).await;
    assert!(answer.status.is_success(), "{path}: {}", answer.text);
    serde_json::from_str(&answer.text).expect("JSON")
}

/// The last campaign, once it is over: its id, and what its case says.
async fn over(browser: &mut Browser, token: &str) -> (String, Value) {
    let found = json(browser, token, "GET", "/api/v1/campagnes", "").await;
    let id = found["campagnes"][0]["id"].as_str().expect("an id").to_owned();
    let stream = browser.call("GET", &format!("/api/v1/campagnes/{id}/flux"), token, "").await.text;
    assert!(stream.contains("event: fin"), "{stream}");
    let case = json(browser, token, "GET", &format!("/api/v1/campagnes/{id}/cas/RES-06"), "").await;
    (id, case)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_when_it_is_due_and_what_it_changed() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(ManualClock::at(SystemTime::now()));
    let shutdown = CancellationToken::new();
    let settings = Settings { clock: clock.clone(), ..settings(folder.path()) };
    std::fs::write(folder.path().join("modele.toml"), "[limits]\npatience_seconds = 1\nparallel = 8\n")
        .expect("written");
    let desk = Desk::with(Db::in_memory().expect("memory"), settings, shutdown.clone()).await.expect("a desk");
    // Nobody listens there at first.
    let place = std::net::SocketAddr::from(([127, 0, 0, 1], patience::free_port()));
    for (name, login, domain) in [("Alpha", "alpha", "alpha.test"), ("Beta", "beta", "beta.test")] {
        let ranges = vec!["127.0.0.0/8".parse().expect("a range")];
        let reach = Reach { domains: vec![domain.to_owned()], ranges, ports: vec![place.port()] };
        let organisation = Some((name, reach));
        desk.provide(organisation, login, Role::AdministrateurOperateur, PASSWORD).await.expect("an account");
    }
    let scheduler = tokio::spawn(desk.clone().schedule());
    let (mut alpha, mut beta) = (signed(&desk, "alpha").await, signed(&desk, "beta").await);
    let (a, b) = (alpha.token().await, beta.token().await);
    let text = JOB
        .replace("annuaire", "surveillance")
        .replace("127.0.0.1:143", &place.to_string())
        .replace("127.0.0.1:587", &place.to_string());
    let taken = alpha.post("/tests/importer", &[("modele", "essai"), ("fichier", &text)]).await;
    let job = taken.to.trim_start_matches("/tests/").split('?').next().expect("an id").to_owned();
    let refused = alpha.post(&format!("/tests/{job}/surveiller"), &[("heures", "0"), ("a", "25:00")]).await.text;
    assert!(
        refused.contains("De 1 à 672 heures")
            && refused.contains("Une heure de Paris")
            && refused.contains("Cochez la case")
    );
    let others =
        beta.call("PUT", &format!("/api/v1/jobs/{job}/surveillance"), &b, "{\"heures\":1,\"autorise\":true}").await;
    assert_eq!(others.status, StatusCode::NOT_FOUND, "not theirs");
    let watch =
        json(&mut alpha, &a, "PUT", &format!("/api/v1/jobs/{job}/surveillance"), "{\"heures\":24,\"autorise\":true}")
            .await;
    assert_eq!((watch["heures"].as_i64(), watch["profondeur"].as_str()), (Some(24), Some("eclair")));

    // The first one is due at once: by the scheduler that was told of it, or by us; once.
    desk.launch_due().await.expect("launched");
    assert_eq!(desk.launch_due().await.expect("read"), 0);
    let (first, case) = over(&mut alpha, &a).await;
    assert_eq!(case["etat"], "non_applicable", "it establishes the reference: {case}");
    assert!(case["raison"].as_str().is_some_and(|why| why.contains("établit la référence")), "{case}");
    assert!(alpha.get("/surveillance").await.text.contains("Rien n’a changé"));

    // Somebody listens now, and offers no TLS.
    let listener = TcpListener::bind(place).await.expect("the port is still free");
    tokio::spawn(async move {
        while let Ok((mut one, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = one.write_all(b"* OK [CAPABILITY IMAP4rev1] pret\r\n").await;
                // As long as the client likes.
                let _ = one.read_to_end(&mut Vec::new()).await;
            });
        }
    });
    clock.advance(Duration::from_secs(3 * 86_400));
    desk.launch_due().await.expect("launched");
    assert_eq!(desk.launch_due().await.expect("read"), 0, "once, not for each day that was missed");
    let (second, case) = over(&mut alpha, &a).await;
    assert_ne!(first, second);
    assert!(!case["cause"].as_str().unwrap_or_default().contains("ne nomme pas"), "{case}");
    assert_ne!(case["etat"], "non_applicable", "it has a reference now: {case}");
    let left = std::fs::read_dir(folder.path().join("references")).expect("made").count();
    assert_eq!(left, 0, "the file of the reference goes with its campaign");

    let told = json(&mut alpha, &a, "GET", "/api/v1/surveillance", "").await;
    let change = &told["changements"][0];
    assert_eq!((change["campagne"].as_str(), change["precedente"].as_str()), (Some(&*second), Some(&*first)));
    assert!(change["cas"].as_array().is_some_and(|cases| !cases.is_empty()), "{change}");
    let mut alpha = signed(&desk, "alpha").await;
    let page = alpha.get("/surveillance").await.text;
    assert!(page.contains("chaque jour, éclair") && page.contains("cas changé") && page.contains(&second), "{page}");
    let feed = alpha.get("/surveillance/flux.atom").await;
    assert_eq!(feed.headers["content-type"], "application/atom+xml; charset=utf-8");
    assert!(feed.text.contains(&format!("urn:vaguemestre:changement:{second}")) && feed.text.contains("affaire d"));
    // Nobody else is told.
    let mut beta = signed(&desk, "beta").await;
    for path in ["/surveillance", "/surveillance/flux.atom"] {
        let seen = beta.get(path).await.text;
        assert!(!seen.contains(&second) && !seen.contains("affaire d"), "{path}: {seen}");
    }
    let seen = json(&mut beta, &b, "GET", "/api/v1/surveillance", "").await;
    assert_eq!(
        (seen["surveillances"].as_array().map(Vec::len), seen["changements"].as_array().map(Vec::len)),
        (Some(0), Some(0))
    );

    assert!(alpha.post(&format!("/tests/{job}/reference"), &[]).await.to.ends_with("fait=reference"));
    let told = json(&mut alpha, &a, "GET", "/api/v1/surveillance", "").await;
    assert_eq!(told["surveillances"][0]["reference"], second.as_str());
    assert_eq!(beta.post(&format!("/tests/{job}/ne-plus-surveiller"), &[]).await.status, StatusCode::NOT_FOUND);
    alpha.post(&format!("/tests/{job}/ne-plus-surveiller"), &[]).await;
    clock.advance(Duration::from_secs(3 * 86_400));
    assert_eq!(desk.launch_due().await.expect("read"), 0);
    shutdown.cancel();
    scheduler.await.expect("it ends");
}
