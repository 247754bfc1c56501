//! Introspection and userinfo: JWT-19, JWT-20.

use crate::support::*;
use psc::{Audience, ConfigError, Outage, Refusal, Secret, TokenError, Verifier};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

fn introspecting(psc: &Psc, answer: Value) -> Arc<Verifier> {
    *psc.scene.introspection.lock().unwrap() = Some(answer);
    let endpoint = psc.introspection();
    psc.verifier_with(|c| c.introspection = Some(endpoint))
}

fn informed(psc: &Psc, status: u16, kind: &'static str, body: String) -> Arc<Verifier> {
    *psc.scene.userinfo.lock().unwrap() = Some((status, kind, body));
    let url = psc.userinfo();
    psc.verifier_with(|c| c.userinfo = Some(url))
}

fn nobody(psc: &Psc) -> String {
    let sub = psc.claims()["sub"].as_str().unwrap().replace(A, "opaque");
    token(&with(
        &psc.claims(),
        json!({"SubjectNameID": null, "preferred_username": null, "otherIds": null, "sub": sub}),
    ))
}

// JWT-20
#[tokio::test]
async fn introspection() {
    let psc = Psc::start().await;
    let good = token(&psc.claims());
    let active = introspecting(&psc, with(&psc.claims(), json!({"active": true})));
    assert_eq!(active.verify(&good).await.unwrap().national_id.as_str(), A);
    assert_eq!(psc.scene.introspection_calls.load(Ordering::SeqCst), 1);
    assert_eq!(introspecting(&psc, json!({"active": true})).verify(&good).await.unwrap().national_id.as_str(), A);

    for (answer, expected) in [
        (json!({"active": false}), Refusal::Inactive),
        (json!({"active": "true"}), Refusal::BadAnswer),
        (json!({}), Refusal::BadAnswer),
        (json!({"active": true, "SubjectNameID": B}), Refusal::IdentityMismatch),
        (json!({"active": true, "sub": "autre"}), Refusal::IdentityMismatch),
        (json!({"active": true, "jti": "autre"}), Refusal::IdentityMismatch),
        (json!({"active": true, "SubjectNameID": [A]}), Refusal::BadIdentity),
    ] {
        assert_eq!(refusal(introspecting(&psc, answer.clone()).verify(&good).await), Some(expected), "{answer}");
    }

    // A bad token is never shown to PSC.
    let calls = psc.scene.introspection_calls.load(Ordering::SeqCst);
    let expired = token(&with(&psc.claims(), json!({"exp": psc.now() - 3600})));
    assert_eq!(refusal(active.verify(&expired).await), Some(Refusal::Expired));
    assert_eq!(psc.scene.introspection_calls.load(Ordering::SeqCst), calls);
}

#[tokio::test]
async fn introspection_unavailable_is_no_refusal() {
    let psc = Psc::start().await;
    let good = token(&psc.claims());
    let verifier = introspecting(&psc, json!({"active": true}));
    *psc.scene.introspection.lock().unwrap() = None;
    assert_eq!(verifier.verify(&good).await.unwrap_err(), TokenError::Unavailable(Outage::Introspection));
    // Our own credentials are wrong: nobody is refused for that.
    let mut endpoint = psc.introspection();
    endpoint.client_secret = Secret::new("faux");
    let misconfigured = psc.verifier_with(|c| c.introspection = Some(endpoint));
    assert_eq!(misconfigured.verify(&good).await.unwrap_err(), TokenError::Unavailable(Outage::Introspection));
}

// JWT-19
#[tokio::test]
async fn identity_from_psc_only() {
    let psc = Psc::start().await;
    let bare = nobody(&psc);
    assert_eq!(refusal(psc.verifier().verify(&bare).await), Some(Refusal::NoIdentity));
    let by_introspection = introspecting(&psc, json!({"active": true, "SubjectNameID": A}));
    assert_eq!(by_introspection.verify(&bare).await.unwrap().national_id.as_str(), A);

    let sub = psc.claims()["sub"].as_str().unwrap().replace(A, "opaque");
    let said = json!({"sub": sub, "preferred_username": A, "SubjectNameID": A}).to_string();
    let by_userinfo = informed(&psc, 200, "application/json;charset=UTF-8", said);
    assert_eq!(by_userinfo.verify(&bare).await.unwrap().national_id.as_str(), A);
    // A malformed claim in the token is settled by PSC.
    let malformed = token(&with(&psc.claims(), json!({"SubjectNameID": [A], "sub": sub})));
    assert_eq!(by_userinfo.verify(&malformed).await.unwrap().national_id.as_str(), A);
}

#[tokio::test]
async fn introspection_and_userinfo_must_agree() {
    let psc = Psc::start().await;
    let sub = psc.claims()["sub"].clone();
    *psc.scene.introspection.lock().unwrap() = Some(json!({"active": true, "SubjectNameID": A}));
    let (endpoint, url) = (psc.introspection(), psc.userinfo());
    let both = psc.verifier_with(|c| (c.introspection, c.userinfo) = (Some(endpoint), Some(url)));
    let good = token(&psc.claims());
    for (id, expected) in [(A, None), (B, Some(Refusal::IdentityMismatch))] {
        let body = json!({"sub": sub, "SubjectNameID": id}).to_string();
        *psc.scene.userinfo.lock().unwrap() = Some((200, "application/json", body));
        assert_eq!(refusal(both.verify(&good).await), expected);
    }
}

#[tokio::test]
async fn userinfo_as_json() {
    let psc = Psc::start().await;
    let good = token(&psc.claims());
    let sub = psc.claims()["sub"].clone();
    let json = "application/json";
    let said = |value: Value| value.to_string();
    let cases = [
        (200, said(json!({"sub": sub, "SubjectNameID": A})), None),
        (200, said(json!({"sub": sub})), None),
        (200, said(json!({"sub": "autre", "SubjectNameID": A})), Some(Refusal::IdentityMismatch)),
        (200, said(json!({"SubjectNameID": A})), Some(Refusal::BadAnswer)),
        (200, said(json!({"sub": sub, "SubjectNameID": B})), Some(Refusal::IdentityMismatch)),
        (401, String::new(), Some(Refusal::RefusedByUserinfo)),
    ];
    for (status, body, expected) in cases {
        assert_eq!(
            refusal(informed(&psc, status, json, body.clone()).verify(&good).await),
            expected,
            "{status} {body}"
        );
    }
    for (status, body) in [(500, "{}"), (403, "{}"), (302, ""), (200, "<html>"), (200, "[]")] {
        let outcome = informed(&psc, status, json, body.to_owned()).verify(&good).await;
        assert_eq!(outcome.unwrap_err(), TokenError::Unavailable(Outage::Userinfo), "{status} {body}");
    }
    assert_eq!(psc.scene.other_calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn userinfo_as_signed_jwt() {
    let psc = Psc::start().await;
    let good = token(&psc.claims());
    let sub = psc.claims()["sub"].clone();
    let header = r#"{"alg":"RS256","kid":"main"}"#;
    let of = |id: &str, iss: Value| with(&json!({"sub": sub, "SubjectNameID": id}), json!({"iss": iss})).to_string();
    let jwt = "application/jwt";
    for (body, expected) in [
        (raw_token(header, &of(A, Value::Null), "RS256", &keys().main), None),
        (raw_token(header, &of(A, json!(psc.issuer())), "RS256", &keys().main), None),
        (raw_token(header, &of(A, json!("autre")), "RS256", &keys().main), Some(Refusal::BadAnswer)),
        (raw_token(header, &of(B, Value::Null), "RS256", &keys().main), Some(Refusal::IdentityMismatch)),
        (raw_token(header, &of(A, Value::Null), "RS256", &keys().foreign), Some(Refusal::BadAnswer)),
        (
            raw_token(r#"{"alg":"none","kid":"main"}"#, &of(A, Value::Null), "RS256", &keys().main),
            Some(Refusal::BadAnswer),
        ),
        ("n'importe quoi".to_owned(), Some(Refusal::BadAnswer)),
    ] {
        assert_eq!(refusal(informed(&psc, 200, jwt, body.clone()).verify(&good).await), expected, "{body}");
    }
}

#[tokio::test]
async fn unsafe_configurations_are_refused() {
    let psc = Psc::start().await;
    let http = trust::http::client(&[]).unwrap();
    let error = |change: &dyn Fn(&mut psc::VerifierConfig)| {
        let mut config = psc.config();
        change(&mut config);
        Verifier::new(config, http.clone(), psc.clock.shared()).err()
    };
    assert_eq!(error(&|_| {}), None);
    assert_eq!(error(&|c| c.issuer.clear()), Some(ConfigError::NoIssuer));
    assert_eq!(error(&|c| c.algorithms.clear()), Some(ConfigError::NoAlgorithm));
    assert_eq!(error(&|c| c.skew = Duration::from_secs(61)), Some(ConfigError::Skew));
    assert_eq!(error(&|c| c.jwks_uri = "http://psc.exemple.fr/certs".parse().unwrap()), Some(ConfigError::Insecure));
    assert_eq!(error(&|c| c.userinfo = Some("ftp://127.0.0.1/".parse().unwrap())), Some(ConfigError::Insecure));
    assert_eq!(error(&|c| c.audience = Audience::In(["x".into()].into())), None);
    let shown = format!("{:?}", psc.introspection());
    assert!(!shown.contains("secret\""), "{shown}");
}
