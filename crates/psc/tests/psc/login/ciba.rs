//! CIBA in poll mode: what is asked, the pace, every way it ends. Polls are a second apart at least: these tests take some seconds.

use super::stage::{Reply, Stage};
use crate::support::{self, A, B, with};
use patience::PATIENCE;
use psc::login::{Call, Channel, CibaLogin, LoginError, OAuthCode};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn asks(stage: &Stage, changes: Value) {
    let answer = json!({ "auth_req_id": "r3q", "expires_in": 120, "interval": 1 });
    *stage.scene.ciba.lock().unwrap() = [Reply::ok(with(&answer, changes))].into();
}

async fn ask(stage: &Stage) -> Result<CibaLogin, LoginError> {
    stage.provider().ciba(A.parse().unwrap(), Channel::Mobile).await
}

#[tokio::test]
async fn answered_after_a_while() {
    let stage = Stage::set().await;
    asks(&stage, json!({}));
    let login = ask(&stage).await.unwrap();
    let digits = login.binding_message().to_string();
    assert!(digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit()), "{digits}");
    let sent = &stage.sent("ciba")[0];
    for (name, value) in [
        ("scope", "openid scope_all"),
        ("acr_values", "eidas1"),
        ("login_hint", A),
        ("binding_message", &digits),
        ("channel", "MOBILE"),
    ] {
        assert_eq!(sent.fields[name], value);
    }
    assert!(sent.authorization.is_some());
    // An outage on the way is no end.
    let pending = Reply::error("authorization_pending");
    stage.gives([pending, Reply::text(503, ""), Reply::ok(stage.tokens("0", None))]);
    let begun = Instant::now();
    let session = login.wait().await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(3), "one second before each poll");
    assert_eq!(session.person().as_str(), A);
    assert_eq!(session.access_token().await.unwrap().expose(), "access-0");
    let polls = stage.sent("token");
    assert_eq!(polls.len(), 3);
    assert_eq!(polls[0].fields["grant_type"], "urn:openid:params:grant-type:ciba");
    assert_eq!(polls[0].fields["auth_req_id"], "r3q");
}

// CIBA Core §11
#[tokio::test]
async fn slow_down_is_obeyed() {
    let stage = Stage::set().await;
    asks(&stage, json!({}));
    let login = ask(&stage).await.unwrap();
    stage.gives([Reply::error("slow_down"), Reply::ok(stage.tokens("0", None))]);
    let begun = Instant::now();
    assert!(login.wait().await.is_ok());
    assert!(begun.elapsed() >= Duration::from_secs(7), "one second, then six");
}

#[tokio::test]
async fn every_refusal_has_its_name() {
    for (code, expected) in [
        ("access_denied", LoginError::Denied),
        ("expired_token", LoginError::Expired),
        ("invalid_grant", LoginError::Refused(OAuthCode::InvalidGrant)),
        ("invalid_client", LoginError::Client(OAuthCode::InvalidClient)),
    ] {
        let stage = Stage::set().await;
        asks(&stage, json!({}));
        let login = ask(&stage).await.unwrap();
        stage.gives([Reply::error(code)]);
        assert_eq!(login.wait().await.err(), Some(expected), "{code}");
    }
    let stage = Stage::set().await;
    let denied = |code: &str, expected: LoginError| (Reply::error(code), expected);
    for (reply, expected) in [
        denied("unknown_user_id", LoginError::UnknownPerson),
        denied("unauthorized_client", LoginError::Client(OAuthCode::UnauthorizedClient)),
        denied("invalid_binding_message", LoginError::Refused(OAuthCode::InvalidBindingMessage)),
        (Reply::text(503, ""), LoginError::Unreachable(Call::Ciba)),
        (Reply::text(200, "{}"), LoginError::BadAnswer(Call::Ciba)),
        (Reply::text(200, "x".repeat(70_000)), LoginError::BadAnswer(Call::Ciba)),
        (Reply::ok(json!({ "auth_req_id": "a b", "expires_in": 1 })), LoginError::BadAnswer(Call::Ciba)),
    ] {
        *stage.scene.ciba.lock().unwrap() = [reply].into();
        assert_eq!(ask(&stage).await.err(), Some(expected));
    }
    stage.discovers(with(&stage.document(), json!({ "backchannel_authentication_endpoint": null })));
    assert_eq!(ask(&stage).await.err(), Some(LoginError::NoCiba));
}

#[tokio::test]
async fn nobody_answers() {
    let stage = Stage::set().await;
    // Whatever pace PSC asks for, the last poll is when the time is up.
    asks(&stage, json!({ "expires_in": 2, "interval": 5_000 }));
    let login = ask(&stage).await.unwrap();
    assert!(login.time_left() <= Duration::from_secs(2));
    stage.gives([Reply::error("authorization_pending")]);
    let waited = tokio::time::timeout(PATIENCE, login.wait()).await.expect("the time was up long before");
    assert_eq!(waited.err(), Some(LoginError::Expired));
    asks(&stage, json!({ "expires_in": 1 }));
    let login = ask(&stage).await.unwrap();
    stage.gives([Reply::text(503, "")]);
    assert_eq!(login.wait().await.err(), Some(LoginError::Unreachable(Call::Token)));
}

#[tokio::test]
async fn another_person_approved() {
    let stage = Stage::set().await;
    asks(&stage, json!({}));
    let login = ask(&stage).await.unwrap();
    let other = with(&stage.id_claims(None), json!({ "preferred_username": B, "sub": format!("f:x:{B}") }));
    stage.gives([Reply::ok(with(&stage.tokens("0", None), json!({ "id_token": support::token(&other) })))]);
    assert_eq!(login.wait().await.err(), Some(LoginError::OtherPerson));
}
