//! The code flow: what goes out, what may come back, which ID tokens are believed.

use super::stage::{CLIENT, Reply, Stage, good_return, parameter};
use crate::support::{self, A, B, b64, keys, raw_token, with};
use base64::{Engine, engine::general_purpose::STANDARD};
use patience::PATIENCE;
use psc::Refusal;
use psc::login::{Call, IdTokenFault, LOGIN_LIFE, LoginError, MAX_RETURN, OAuthCode};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

// RFC 7636, RFC 6749 §4.1
#[tokio::test]
async fn a_whole_login() {
    let stage = Stage::set().await;
    let (login, nonce) = stage.begin(&stage.provider()).await;
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", CLIENT),
        ("redirect_uri", "http://127.0.0.1:1/retour"),
        ("scope", "openid scope_all"),
        ("acr_values", "eidas1"),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(parameter(&login, name), value);
    }
    let (challenge, state) = (parameter(&login, "code_challenge"), parameter(&login, "state"));
    assert_eq!([nonce.len(), challenge.len(), state.len()], [43; 3]);
    stage.gives([Reply::ok(stage.tokens("0", Some(&nonce)))]);
    let returned = login.check(&good_return(&login)).unwrap();
    let session = login.finish(returned).await.unwrap();
    assert_eq!(session.person().as_str(), A);
    assert_eq!(session.access_token().await.unwrap().expose(), "access-0");

    let sent = stage.sent("token");
    assert_eq!(sent.len(), 1);
    let field = |name: &str| sent[0].fields[name].clone();
    assert_eq!(field("grant_type"), "authorization_code");
    assert_eq!((field("code"), field("redirect_uri")), ("c0de".into(), "http://127.0.0.1:1/retour".into()));
    assert_eq!(b64(openssl::sha::sha256(field("code_verifier").as_bytes())), challenge);
    // RFC 6749 §2.3.1: form-encoded, then Basic.
    let basic = STANDARD.encode("editeur+lps:s%E2%82%ACcret");
    assert_eq!(sent[0].authorization.as_deref(), Some(format!("Basic {basic}").as_str()));
    let shown = format!("{session:?}");
    assert!(!shown.contains("access-0") && !shown.contains(A) && !shown.contains("refresh"), "{shown}");
}

#[tokio::test]
async fn another_logins_return_neither_finishes_nor_spoils() {
    let stage = Stage::set().await;
    let provider = stage.provider();
    let ((login, nonce), (other, _)) = (stage.begin(&provider).await, stage.begin(&provider).await);
    assert_ne!(login.state().expose(), other.state().expose());
    let state = login.state().expose().to_owned();
    for (query, expected) in [
        (good_return(&other), LoginError::WrongState),
        ("code=c&state=x".into(), LoginError::WrongState),
        (format!("code=c&state={}", &state[1..]), LoginError::WrongState),
        ("error=access_denied&state=x".into(), LoginError::WrongState),
        ("code=c".into(), LoginError::BadReturn),
        (String::new(), LoginError::BadReturn),
        (format!("state={state}"), LoginError::BadReturn),
        (format!("state={state}&code="), LoginError::BadReturn),
        (format!("state={state}&code=a&code=b"), LoginError::BadReturn),
        (format!("state={state}&state={state}&code=a"), LoginError::BadReturn),
        (format!("state={state}&code=a&error=access_denied"), LoginError::BadReturn),
        (format!("state={state}&code={}", "x".repeat(MAX_RETURN)), LoginError::BadReturn),
        (format!("state={state}&code=a&iss=https%3A%2F%2Fautre.invalid"), LoginError::WrongIssuer),
    ] {
        assert_eq!(login.check(&query).err(), Some(expected), "{query}");
    }
    // Nobody asked PSC anything, and the login is as good as before.
    assert!(stage.sent("token").is_empty());
    stage.gives([Reply::ok(stage.tokens("0", Some(&nonce)))]);
    let returned = login.check(&good_return(&login)).unwrap();
    assert!(login.finish(returned).await.is_ok());
}

// RFC 9207
#[tokio::test]
async fn a_psc_that_names_its_issuer_always_does() {
    let stage = Stage::set().await;
    stage.discovers(with(&stage.document(), json!({ "authorization_response_iss_parameter_supported": true })));
    let (login, _) = stage.begin(&stage.provider()).await;
    assert_eq!(login.check(&good_return(&login)).err(), Some(LoginError::WrongIssuer));
    let named = format!("{}&iss={}", good_return(&login), stage.issuer());
    assert!(login.check(&named).is_ok());
}

#[tokio::test]
async fn a_login_not_finished_in_time_is_over() {
    let stage = Stage::set().await;
    let (login, _) = stage.begin(&stage.provider()).await;
    stage.clock.advance(LOGIN_LIFE);
    assert!(login.check(&good_return(&login)).is_ok());
    stage.clock.advance(Duration::from_secs(1));
    assert_eq!(login.check(&good_return(&login)).err(), Some(LoginError::Expired));
}

#[tokio::test]
async fn refusals_of_psc() {
    let stage = Stage::set().await;
    for (code, expected) in [
        ("access_denied", LoginError::Denied),
        ("unauthorized_client", LoginError::Client(OAuthCode::UnauthorizedClient)),
        ("invalid_scope", LoginError::Refused(OAuthCode::InvalidScope)),
        ("temporarily_unavailable", LoginError::Unreachable(Call::Token)),
        ("login_required", LoginError::Refused(OAuthCode::Other("login_required".into()))),
    ] {
        let (login, _) = stage.begin(&stage.provider()).await;
        let returned = login.check(&format!("error={code}&state={}", login.state().expose())).unwrap();
        assert_eq!(login.finish(returned).await.err(), Some(expected), "{code}");
    }
    let huge = format!("{{\"x\":\"{}\"}}", "x".repeat(70_000));
    for (reply, expected) in [
        (Reply::error("invalid_grant"), LoginError::Refused(OAuthCode::InvalidGrant)),
        (Reply::error("invalid_client"), LoginError::Client(OAuthCode::InvalidClient)),
        (Reply::text(401, r#"{"error":"invalid_client"}"#), LoginError::Client(OAuthCode::InvalidClient)),
        (Reply::text(400, "<html>"), LoginError::BadAnswer(Call::Token)),
        (Reply::text(200, "<html>"), LoginError::BadAnswer(Call::Token)),
        (Reply::text(200, huge), LoginError::BadAnswer(Call::Token)),
        (Reply::text(307, ""), LoginError::BadAnswer(Call::Token)),
        (Reply::text(503, ""), LoginError::Unreachable(Call::Token)),
    ] {
        let what = reply.body.chars().take(30).collect::<String>();
        assert_eq!(stage.outcome(|_| reply).await.err(), Some(expected), "{what}");
    }
}

/// Ten seconds, in which the machine has nothing to do.
#[tokio::test]
async fn a_psc_that_says_nothing_is_waited_for_ten_seconds() {
    let stage = Stage::set().await;
    let never = Arc::new(Notify::new());
    let outcome = stage.outcome(|nonce| Reply::ok(stage.tokens("0", Some(nonce))).held(&never));
    let outcome = tokio::time::timeout(PATIENCE, outcome).await.expect("not for ever");
    assert_eq!(outcome.err(), Some(LoginError::Unreachable(Call::Token)));
}

#[tokio::test]
async fn only_an_id_token_for_this_login_is_believed() {
    let stage = Stage::set().await;
    let rs256 = r#"{"alg":"RS256","typ":"JWT","kid":"main"}"#;
    let refused = async |make: &dyn Fn(Value) -> Value| {
        let outcome = stage.outcome(|nonce| {
            let mut answer = stage.tokens("0", None);
            answer["id_token"] = make(stage.id_claims(Some(nonce)));
            Reply::ok(answer)
        });
        match outcome.await {
            Err(LoginError::IdToken(fault)) => Some(fault),
            Err(other) => panic!("{other:?}"),
            Ok(_) => None,
        }
    };
    let sign = |claims: &Value| json!(support::token(claims));
    assert_eq!(refused(&|claims| sign(&claims)).await, None);
    let changed = async |change: Value| refused(&|claims| sign(&with(&claims, change.clone()))).await;
    assert_eq!(changed(json!({ "iss": "https://autre.invalid" })).await, Some(IdTokenFault::Issuer));
    assert_eq!(changed(json!({ "aud": "autre" })).await, Some(IdTokenFault::Audience));
    assert_eq!(changed(json!({ "nonce": "autre" })).await, Some(IdTokenFault::Nonce));
    assert_eq!(changed(json!({ "nonce": null })).await, Some(IdTokenFault::Nonce));
    assert_eq!(changed(json!({ "exp": stage.now() - 31 })).await, Some(IdTokenFault::Time));
    assert_eq!(changed(json!({ "typ": "Bearer" })).await, Some(IdTokenFault::Kind));
    assert_eq!(changed(json!({ "at_hash": "AAAAAAAAAAAAAAAAAAAAAA" })).await, Some(IdTokenFault::AccessToken));
    let nobody = json!({ "sub": "0d1f", "preferred_username": null });
    assert_eq!(changed(nobody).await, Some(IdTokenFault::Person));
    let two = json!({ "preferred_username": B });
    assert_eq!(changed(two).await, Some(IdTokenFault::Person));

    let signature = |refusal| Some(IdTokenFault::Signature(refusal));
    let none = async |header: &'static str, tail: &'static str| {
        refused(&|claims| json!(format!("{}.{}.{tail}", b64(header), b64(claims.to_string())))).await
    };
    assert_eq!(none(r#"{"alg":"none"}"#, "").await, signature(Refusal::Unsigned));
    assert_eq!(none(r#"{"alg":"none","kid":"main"}"#, "eA").await, signature(Refusal::BadAlgorithm));
    assert_eq!(none(r#"{"alg":"HS256","kid":"main"}"#, "eA").await, signature(Refusal::BadAlgorithm));
    let foreign = refused(&|claims| json!(raw_token(rs256, &claims.to_string(), "RS256", &keys().foreign))).await;
    assert_eq!(foreign, signature(Refusal::BadSignature));
    let unknown = rs256.replace("main", "inconnue");
    let unknown = refused(&|claims| json!(raw_token(&unknown, &claims.to_string(), "RS256", &keys().foreign))).await;
    assert_eq!(unknown, signature(Refusal::UnknownKey));
    assert_eq!(refused(&|_| Value::Null).await, Some(IdTokenFault::Missing));
    let mangled = refused(&|claims| json!(support::token(&claims).replace('.', "~"))).await;
    assert_eq!(mangled, signature(Refusal::NotAJws));

    // An ID token of another login of the same person: a replay.
    let first = support::token(&stage.id_claims(Some("nonce-of-before")));
    assert_eq!(refused(&|_| json!(first.clone())).await, Some(IdTokenFault::Nonce));
}

#[tokio::test]
async fn somebody_else_than_expected_is_not_let_in() {
    let stage = Stage::set().await;
    let provider = stage.provider();
    for (expected, ok) in [(A, true), (B, false)] {
        let uri = "http://127.0.0.1:1/retour".parse().unwrap();
        let login = provider.redirect(uri, Some(expected.parse().unwrap())).await.unwrap();
        assert_eq!(parameter(&login, "login_hint"), expected);
        let nonce = parameter(&login, "nonce");
        stage.gives([Reply::ok(stage.tokens("0", Some(&nonce)))]);
        let returned = login.check(&good_return(&login)).unwrap();
        let outcome = login.finish(returned).await;
        assert_eq!(outcome.err(), (!ok).then_some(LoginError::OtherPerson));
    }
}
