//! The JWKS cache: JWT-12 (calls), JWT-22 (rotation), PSC down (RES-*).

use crate::support::*;
use psc::{MAX_STALE, Outage, REFRESH_AFTER, RETRY_AFTER, RETRY_EMPTY_AFTER, Refusal, TokenError};
use std::time::Duration;
use tokio::task::JoinSet;

fn signed_with(psc: &Psc, kid: &str, key: &openssl::pkey::PKey<openssl::pkey::Private>) -> String {
    raw_token(&format!(r#"{{"alg":"RS256","kid":"{kid}"}}"#), &psc.claims().to_string(), "RS256", key)
}

#[tokio::test]
async fn fetched_lazily_and_once() {
    let psc = Psc::start().await;
    let verifier = psc.verifier();
    assert_eq!(psc.jwks_calls(), 0);
    let mut crowd = JoinSet::new();
    for _ in 0..50 {
        let (verifier, token) = (verifier.clone(), token(&psc.claims()));
        crowd.spawn(async move { verifier.verify(&token).await.is_ok() });
    }
    assert!(crowd.join_all().await.into_iter().all(|ok| ok));
    assert_eq!(psc.jwks_calls(), 1);
}

// JWT-12
#[tokio::test]
async fn an_unknown_key_costs_one_call_a_minute_and_many_cost_few() {
    let psc = Psc::start().await;
    let verifier = psc.verifier();
    assert!(verifier.verify(&token(&psc.claims())).await.is_ok());
    let mut crowd = JoinSet::new();
    for n in 0..50 {
        let (verifier, token) = (verifier.clone(), signed_with(&psc, &format!("inconnu{n}"), &keys().foreign));
        crowd.spawn(async move { refusal(verifier.verify(&token).await) });
    }
    assert!(crowd.join_all().await.into_iter().all(|refusal| refusal == Some(Refusal::UnknownKey)));
    assert_eq!(psc.jwks_calls(), 2);
    psc.clock.advance(RETRY_AFTER);
    for _ in 0..10 {
        let _ = verifier.verify(&signed_with(&psc, "encore", &keys().foreign)).await;
    }
    assert_eq!(psc.jwks_calls(), 3);
    // Another name some seconds later is looked for; the same one is not.
    psc.clock.advance(RETRY_EMPTY_AFTER);
    for (kid, calls) in [("encore", 3), ("autre", 4), ("encore", 4), ("troisieme", 4)] {
        let _ = verifier.verify(&signed_with(&psc, kid, &keys().foreign)).await;
        assert_eq!(psc.jwks_calls(), calls, "{kid}");
    }
}

// JWT-22
#[tokio::test]
async fn a_name_that_psc_did_not_have_does_not_delay_another() {
    let psc = Psc::start().await;
    let verifier = psc.verifier();
    assert!(verifier.verify(&token(&psc.claims())).await.is_ok());
    let early = signed_with(&psc, "inventee", &keys().foreign);
    assert_eq!(refusal(verifier.verify(&early).await), Some(Refusal::UnknownKey));
    psc.set_jwks(Some(jwks(&[jwk("main", &keys().main), jwk("second", &keys().second)])));
    psc.clock.advance(RETRY_EMPTY_AFTER);
    assert!(verifier.verify(&signed_with(&psc, "second", &keys().second)).await.is_ok());
}

// RES-02
#[tokio::test]
async fn whoever_waits_for_a_silent_psc_waits_once() {
    let psc = Psc::start().await;
    // Listens, and answers nothing until it is told to close.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let place = silent.local_addr().expect("bound");
    let verifier = psc.verifier_with(|c| {
        c.keys_retry = Duration::ZERO;
        c.jwks_uri = format!("http://{place}/certs").parse().expect("an address");
    });
    let (asked, mut was_asked) = tokio::sync::mpsc::unbounded_channel();
    let (close, closing) = tokio::sync::watch::channel(false);
    tokio::spawn(async move {
        while let Ok((stream, _)) = silent.accept().await {
            let _ = asked.send(());
            let mut closing = closing.clone();
            tokio::spawn(async move {
                let _ = closing.wait_for(|closing| *closing).await;
                drop(stream);
            });
        }
    });
    let mut crowd = JoinSet::new();
    let one = |crowd: &mut JoinSet<_>, kid: &str| {
        let (verifier, token) = (verifier.clone(), signed_with(&psc, kid, &keys().foreign));
        crowd.spawn(async move { verifier.verify(&token).await });
    };
    one(&mut crowd, "premiere");
    was_asked.recv().await.expect("asked");
    // The others come while the first waits: on this one thread each gets there the first time it runs.
    (0..5).for_each(|n| one(&mut crowd, &format!("autre{n}")));
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    close.send(true).expect("the server listens");
    for outcome in crowd.join_all().await {
        assert_eq!(outcome.unwrap_err(), TokenError::Unavailable(Outage::Jwks));
    }
    assert!(was_asked.try_recv().is_err(), "asked once for all of them");
    // Whoever comes after asks again.
    let late = signed_with(&psc, "tardive", &keys().foreign);
    assert_eq!(verifier.verify(&late).await.unwrap_err(), TokenError::Unavailable(Outage::Jwks));
    assert!(was_asked.try_recv().is_ok());
}

// JWT-22
#[tokio::test]
async fn rotation() {
    let psc = Psc::start().await;
    let verifier = psc.verifier();
    assert!(verifier.verify(&token(&psc.claims())).await.is_ok());
    // Both keys published: the new one is accepted at once, even right after the first fetch.
    psc.set_jwks(Some(jwks(&[jwk("main", &keys().main), jwk("second", &keys().second)])));
    assert!(verifier.verify(&signed_with(&psc, "second", &keys().second)).await.is_ok());
    assert!(verifier.verify(&token(&psc.claims())).await.is_ok());
    // The old one withdrawn: dead as soon as the set has been renewed, here by its age.
    psc.set_jwks(Some(jwks(&[jwk("second", &keys().second)])));
    psc.clock.advance(REFRESH_AFTER);
    let calls = psc.jwks_calls();
    assert!(verifier.verify(&signed_with(&psc, "second", &keys().second)).await.is_ok());
    eventually(|| psc.jwks_calls() > calls).await;
    let old = token(&psc.claims());
    // The answer is counted before it is taken in.
    tokio::time::timeout(patience::PATIENCE, async {
        while verifier.verify(&old).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("a withdrawn key is still accepted");
}

#[tokio::test]
async fn a_quiet_server_renews_before_it_believes() {
    let psc = Psc::start().await;
    let verifier = psc.verifier();
    assert!(verifier.verify(&token(&psc.claims())).await.is_ok());
    psc.set_jwks(Some(jwks(&[jwk("second", &keys().second)])));
    psc.clock.advance(Duration::from_secs(2 * 3600));
    assert_eq!(refusal(verifier.verify(&token(&psc.claims())).await), Some(Refusal::UnknownKey));
}

#[tokio::test]
async fn serves_on_when_psc_is_down() {
    let psc = Psc::start().await;
    let verifier = psc.verifier();
    assert!(verifier.verify(&token(&psc.claims())).await.is_ok());
    for broken in [None, Some("<html>".to_owned()), Some(r#"{"keys":[]}"#.to_owned())] {
        psc.set_jwks(broken);
        psc.clock.advance(Duration::from_secs(5 * 3600));
        assert!(verifier.verify(&token(&psc.claims())).await.is_ok());
        let unknown = signed_with(&psc, "inconnu", &keys().foreign);
        // PSC could have published that key since: our trouble, not the token's (LPS-ERR).
        assert_eq!(verifier.verify(&unknown).await.unwrap_err(), TokenError::Unavailable(Outage::Jwks));
    }
    psc.clock.advance(MAX_STALE - Duration::from_secs(15 * 3600));
    let outcome = verifier.verify(&token(&psc.claims())).await;
    assert_eq!(outcome.unwrap_err(), TokenError::Unavailable(Outage::Jwks));
    psc.set_jwks(Some(usual_jwks()));
    psc.clock.advance(RETRY_EMPTY_AFTER);
    assert!(verifier.verify(&token(&psc.claims())).await.is_ok());
}

#[tokio::test]
async fn nothing_held_and_psc_down_is_no_refusal() {
    let psc = Psc::start().await;
    let verifier = psc.verifier();
    psc.set_jwks(None);
    for _ in 0..5 {
        let outcome = verifier.verify(&token(&psc.claims())).await;
        assert_eq!(outcome.unwrap_err(), TokenError::Unavailable(Outage::Jwks));
    }
    assert_eq!(psc.jwks_calls(), 1);
    // What is wrong anyway is refused all the same.
    let foreign = token(&with(&psc.claims(), serde_json::json!({"iss": "autre"})));
    assert_eq!(refusal(verifier.verify(&foreign).await), Some(Refusal::BadIssuer));
    psc.set_jwks(Some(usual_jwks()));
    psc.clock.advance(RETRY_EMPTY_AFTER);
    assert!(verifier.verify(&token(&psc.claims())).await.is_ok());
    // Nobody listens at all.
    let gone = psc.verifier_with(|c| c.jwks_uri = "http://127.0.0.1:1/certs".parse().unwrap());
    let outcome = gone.verify(&token(&psc.claims())).await;
    assert_eq!(outcome.unwrap_err(), TokenError::Unavailable(Outage::Jwks));
}

#[tokio::test]
async fn an_endless_jwks_is_cut() {
    let psc = Psc::start().await;
    psc.set_jwks(Some(format!("{{\"keys\":[{}]}}", " ".repeat(10 * 1024 * 1024))));
    let outcome = psc.verifier().verify(&token(&psc.claims())).await;
    assert_eq!(outcome.unwrap_err(), TokenError::Unavailable(Outage::Jwks));
}
