//! The session after a login: lifetimes, one refresh at a time, its end (ECO-TOKEN; ECO.1.2.5 to ECO.1.2.7).

use super::stage::{Reply, Stage};
use crate::support::{self, B, with};
use psc::login::{Call, Handover, LoginError, OAuthCode, Over, PscSession, SESSION_IDLE, SESSION_MAX};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;

const SECOND: Duration = Duration::from_secs(1);

async fn token(session: &PscSession) -> Result<String, LoginError> {
    session.access_token().await.map(|token| token.expose().to_owned())
}

/// An honest answer to a refresh, without ID token.
fn fresh(stage: &Stage, name: &str, changes: Value) -> Reply {
    let tokens = with(&stage.tokens(name, None), json!({ "id_token": null }));
    Reply::ok(with(&tokens, changes))
}

fn refreshes(stage: &Stage) -> Vec<String> {
    let sent = stage.sent("token").into_iter();
    sent.filter_map(|sent| sent.fields.get("refresh_token").cloned()).collect()
}

#[tokio::test]
async fn refreshed_just_before_use() {
    let stage = Stage::set().await;
    let session = stage.session().await;
    stage.gives([fresh(&stage, "1", json!({})), fresh(&stage, "2", json!({}))]);
    stage.clock.advance(100 * SECOND);
    assert_eq!(token(&session).await.unwrap(), "access-0", "20 seconds left");
    assert!(refreshes(&stage).is_empty());
    stage.clock.advance(SECOND);
    assert_eq!(token(&session).await.unwrap(), "access-1");
    stage.clock.advance(110 * SECOND);
    assert_eq!(token(&session).await.unwrap(), "access-2");
    assert_eq!(refreshes(&stage), ["refresh-0", "refresh-1"], "the refresh token is rotated");
}

#[tokio::test]
async fn short_lives_and_unsaid_ones() {
    let stage = Stage::set().await;
    let session = stage.session().await;
    stage.clock.advance(110 * SECOND);
    let short = |name: &str| fresh(&stage, name, json!({ "expires_in": 10, "refresh_token": null }));
    stage.gives([
        short("1"),
        short("2"),
        fresh(&stage, "3", json!({ "expires_in": null })),
        fresh(&stage, "4", json!({})),
    ]);
    assert_eq!(token(&session).await.unwrap(), "access-1");
    stage.clock.advance(5 * SECOND);
    assert_eq!(token(&session).await.unwrap(), "access-1", "half its life is left");
    stage.clock.advance(SECOND);
    assert_eq!(token(&session).await.unwrap(), "access-2");
    stage.clock.advance(6 * SECOND);
    assert_eq!(token(&session).await.unwrap(), "access-3");
    assert_eq!(token(&session).await.unwrap(), "access-4", "nobody knows how long the one before lived");
    assert_eq!(refreshes(&stage), ["refresh-0", "refresh-0", "refresh-0", "refresh-3"], "kept when none is given");
}

#[tokio::test]
async fn one_refresh_whoever_asks() {
    let stage = Stage::set().await;
    let session = stage.session().await;
    let gate = Arc::new(Notify::new());
    stage.gives([fresh(&stage, "1", json!({})).held(&gate), fresh(&stage, "2", json!({}))]);
    stage.clock.advance(110 * SECOND);
    let mut crowd = JoinSet::new();
    for _ in 0..50 {
        let session = session.clone();
        crowd.spawn(async move { token(&session).await.unwrap() });
    }
    support::eventually(|| refreshes(&stage).len() == 1).await;
    gate.notify_one();
    assert!(crowd.join_all().await.iter().all(|token| token == "access-1"));
    assert_eq!(refreshes(&stage).len(), 1);
}

/// PSC has rotated the refresh token: losing the answer would end the session.
#[tokio::test]
async fn a_refresh_goes_on_without_its_caller() {
    let stage = Stage::set().await;
    let session = stage.session().await;
    let gate = Arc::new(Notify::new());
    stage.gives([fresh(&stage, "1", json!({})).held(&gate), fresh(&stage, "2", json!({}))]);
    stage.clock.advance(110 * SECOND);
    let caller = {
        let session = session.clone();
        tokio::spawn(async move { token(&session).await })
    };
    support::eventually(|| refreshes(&stage).len() == 1).await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    gate.notify_one();
    assert_eq!(token(&session).await.unwrap(), "access-1");
    assert_eq!(refreshes(&stage).len(), 1);
}

// ECO.1.2.6
#[tokio::test]
async fn over_after_idle_minutes_or_four_hours() {
    let stage = Stage::set().await;
    let session = stage.session().await;
    stage.clock.advance(SESSION_IDLE);
    assert_eq!(token(&session).await, Err(LoginError::Over(Over::Idle)));
    assert!(refreshes(&stage).is_empty(), "PSC need not be asked");
    assert_eq!(session.over(), Some(Over::Idle));
    assert!(session.ends() < std::time::SystemTime::UNIX_EPOCH + SECOND);

    let session = stage.session().await;
    let begun = session.begun();
    let step = SESSION_IDLE - SECOND;
    stage.gives([fresh(&stage, "n", json!({}))]);
    let mut lived = Duration::ZERO;
    while lived + step < SESSION_MAX {
        stage.clock.advance(step);
        lived += step;
        token(&session).await.expect("used in time");
        assert!(session.ends() <= begun + SESSION_MAX);
    }
    stage.clock.advance(SESSION_MAX - lived);
    assert_eq!(token(&session).await, Err(LoginError::Over(Over::Age)));
}

#[tokio::test]
async fn over_when_psc_says_so_and_for_good() {
    let stage = Stage::set().await;
    let session = stage.session().await;
    stage.gives([Reply::error("invalid_grant"), fresh(&stage, "1", json!({}))]);
    stage.clock.advance(110 * SECOND);
    for _ in 0..2 {
        assert_eq!(token(&session).await, Err(LoginError::Over(Over::Refused)));
    }
    assert_eq!(refreshes(&stage).len(), 1);

    // Another person's tokens: PSC mixed something up, and nobody's mail is shown to somebody else.
    let session = stage.session().await;
    stage.clock.advance(110 * SECOND);
    let other = json!({ "preferred_username": B, "sub": format!("f:x:{B}") });
    let other = support::token(&with(&stage.id_claims(None), other));
    stage.gives([fresh(&stage, "1", json!({ "id_token": other }))]);
    assert_eq!(token(&session).await, Err(LoginError::OtherPerson));
    assert_eq!(session.over(), Some(Over::Refused));
}

#[tokio::test]
async fn an_outage_ends_nothing() {
    let stage = Stage::set().await;
    let session = stage.session().await;
    stage.gives([Reply::text(503, "")]);
    stage.clock.advance(110 * SECOND);
    assert_eq!(token(&session).await.unwrap(), "access-0", "ten seconds are better than nothing");
    stage.clock.advance(20 * SECOND);
    assert_eq!(token(&session).await, Err(LoginError::Unreachable(Call::Token)));
    stage.gives([Reply::error("invalid_client")]);
    assert_eq!(token(&session).await, Err(LoginError::Client(OAuthCode::InvalidClient)));
    stage.gives([fresh(&stage, "1", json!({}))]);
    assert_eq!(token(&session).await.unwrap(), "access-1");
}

#[tokio::test]
async fn a_crowd_shares_a_failure() {
    let stage = Stage::set().await;
    let session = stage.session().await;
    let gate = Arc::new(Notify::new());
    stage.gives([Reply::text(503, "").held(&gate), fresh(&stage, "1", json!({}))]);
    stage.clock.advance(130 * SECOND);
    let mut crowd = JoinSet::new();
    for _ in 0..20 {
        let session = session.clone();
        crowd.spawn(async move { token(&session).await });
    }
    support::eventually(|| refreshes(&stage).len() == 1).await;
    // Everybody waits for the one refresh by now, or asks after it and is answered by PSC's return.
    gate.notify_one();
    let outcomes = crowd.join_all().await;
    assert!(outcomes.contains(&Err(LoginError::Unreachable(Call::Token))));
    assert!(refreshes(&stage).len() <= 2, "{}", refreshes(&stage).len());
    assert_eq!(token(&session).await.unwrap(), "access-1");
}

#[tokio::test]
async fn without_refresh_token_it_lasts_as_long_as_its_token() {
    let stage = Stage::set().await;
    let alone = json!({ "refresh_token": null, "refresh_expires_in": null });
    let session = stage.outcome(|nonce| Reply::ok(with(&stage.tokens("0", Some(nonce)), alone))).await.unwrap();
    assert_eq!(token(&session).await.unwrap(), "access-0");
    stage.clock.advance(110 * SECOND);
    assert_eq!(token(&session).await, Err(LoginError::Over(Over::Refused)));
}

#[tokio::test]
async fn a_refresh_token_that_ended_is_not_sent() {
    let stage = Stage::set().await;
    let short = json!({ "refresh_expires_in": 300 });
    let session = stage.outcome(|nonce| Reply::ok(with(&stage.tokens("0", Some(nonce)), short))).await.unwrap();
    stage.clock.advance(300 * SECOND);
    assert_eq!(token(&session).await, Err(LoginError::Over(Over::Idle)));
    assert!(refreshes(&stage).is_empty());
}

#[tokio::test]
async fn logout_revokes_and_is_over_whatever_psc_says() {
    let stage = Stage::set().await;
    let session = stage.session().await;
    assert_eq!(session.logout().await, Ok(()));
    let revoked = stage.sent("revoke");
    assert_eq!(revoked.len(), 1);
    assert_eq!(revoked[0].fields["token"], "refresh-0");
    assert!(revoked[0].authorization.is_some());
    assert_eq!(token(&session).await, Err(LoginError::Over(Over::LoggedOut)));
    assert_eq!(session.logout().await, Ok(()), "twice does nothing");
    assert_eq!(stage.sent("revoke").len(), 1);

    let session = stage.session().await;
    *stage.scene.revocation.lock().unwrap() = None;
    assert_eq!(session.logout().await, Err(LoginError::Unreachable(Call::Revocation)));
    assert_eq!(token(&session).await, Err(LoginError::Over(Over::LoggedOut)));
}

#[tokio::test]
async fn logout_during_a_refresh_revokes_what_it_brings() {
    let stage = Stage::set().await;
    let session = stage.session().await;
    let gate = Arc::new(Notify::new());
    stage.gives([fresh(&stage, "1", json!({})).held(&gate)]);
    stage.clock.advance(110 * SECOND);
    let asking = {
        let session = session.clone();
        tokio::spawn(async move { token(&session).await })
    };
    support::eventually(|| refreshes(&stage).len() == 1).await;
    let leaving = {
        let session = session.clone();
        tokio::spawn(async move { session.logout().await })
    };
    gate.notify_one();
    assert_eq!(asking.await.unwrap().unwrap(), "access-1");
    assert_eq!(leaving.await.unwrap(), Ok(()));
    assert_eq!(stage.sent("revoke")[0].fields["token"], "refresh-1");
}

#[tokio::test]
async fn handed_from_one_process_to_another() {
    let stage = Stage::set().await;
    let session = stage.session().await;
    let (begun, kept) = (session.begun(), session.clone());
    stage.clock.advance(60 * SECOND);
    let handover = session.hand_over().await.unwrap();
    assert_eq!(token(&kept).await, Err(LoginError::Over(Over::LoggedOut)), "nothing stays behind");
    assert!(stage.sent("revoke").is_empty(), "and PSC's session goes on");
    let octets = handover.to_json().unwrap();
    let provider = stage.provider();
    let taken = provider.take_over(Handover::from_json(&octets).unwrap()).unwrap();
    assert_eq!((taken.begun(), taken.person()), (begun, kept.person()));
    assert_eq!(token(&taken).await.unwrap(), "access-0");
    stage.gives([fresh(&stage, "1", json!({}))]);
    stage.clock.advance(60 * SECOND);
    assert_eq!(token(&taken).await.unwrap(), "access-1");
    assert_eq!(refreshes(&stage), ["refresh-0"]);

    let other = stage.try_provider(json!({ "client_id": "autre" })).unwrap();
    let again = Handover::from_json(&octets).unwrap();
    assert_eq!(other.take_over(again).err(), Some(LoginError::WrongIssuer));
    // What was handed over does not become younger on the way.
    stage.clock.advance(SESSION_IDLE);
    let late = Handover::from_json(&octets).unwrap();
    assert_eq!(provider.take_over(late).err(), Some(LoginError::Over(Over::Idle)));
    let shown = format!("{:?}", Handover::from_json(&octets).unwrap());
    assert!(!shown.contains("access") && !shown.contains("refresh"), "{shown}");
}
