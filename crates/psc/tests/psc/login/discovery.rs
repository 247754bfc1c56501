//! Where PSC says it is, and settings.

use super::stage::{Reply, Stage};
use crate::support::with;
use psc::login::{Call, Channel, LoginError, SettingsError};
use serde_json::json;
use std::time::Duration;

async fn outcome(stage: &Stage) -> Option<LoginError> {
    stage.provider().redirect("http://127.0.0.1:1/retour".parse().unwrap(), None).await.err()
}

#[tokio::test]
async fn only_the_issuers_own_whole_document() {
    let stage = Stage::set().await;
    assert_eq!(outcome(&stage).await, None);
    let bad = || Some(LoginError::BadAnswer(Call::Discovery));
    for (change, expected) in [
        (json!({ "issuer": format!("{}/", stage.issuer()) }), Some(LoginError::WrongIssuer)),
        (json!({ "issuer": "https://auth.autre-emetteur.invalid" }), Some(LoginError::WrongIssuer)),
        (json!({ "issuer": null }), Some(LoginError::WrongIssuer)),
        (json!({ "token_endpoint": null }), bad()),
        (json!({ "jwks_uri": null }), bad()),
        (json!({ "token_endpoint": "http://psc.example.org/token" }), bad()),
        (json!({ "authorization_endpoint": "javascript:alert(1)" }), bad()),
        (json!({ "authorization_endpoint": 1 }), bad()),
        (json!({ "revocation_endpoint": "http://psc.example.org/revoke" }), bad()),
        (json!({ "padding": "x".repeat(65 * 1024) }), bad()),
    ] {
        stage.discovers(with(&stage.document(), change.clone()));
        assert_eq!(outcome(&stage).await, expected, "{change}");
    }
    let twice = stage.document().to_string().replacen('{', &format!("{{\"issuer\":\"{}\",", stage.issuer()), 1);
    for (reply, expected) in [
        (Reply::text(200, twice), bad()),
        (Reply::text(200, "<html>"), bad()),
        (Reply::text(404, stage.document().to_string()), bad()),
        (Reply::text(302, ""), bad()),
        (Reply::text(500, ""), Some(LoginError::Unreachable(Call::Discovery))),
    ] {
        let what = reply.body.chars().take(20).collect::<String>();
        *stage.scene.discovery.lock().unwrap() = Some(reply);
        assert_eq!(outcome(&stage).await, expected, "{what}");
    }
}

#[tokio::test]
async fn kept_for_an_hour_and_through_outages() {
    let stage = Stage::set().await;
    let provider = stage.provider();
    let count = || *stage.scene.discoveries.lock().unwrap();
    for _ in 0..3 {
        stage.begin(&provider).await;
    }
    assert_eq!(count(), 1);
    stage.clock.advance(Duration::from_secs(3600));
    *stage.scene.discovery.lock().unwrap() = None;
    stage.begin(&provider).await;
    assert_eq!(count(), 2, "asked again, and what was known serves on");
    // But one that changed its mind about who it is is not believed.
    stage.discovers(with(&stage.document(), json!({ "issuer": "https://autre.invalid" })));
    let uri = "http://127.0.0.1:1/retour".parse().unwrap();
    assert_eq!(provider.redirect(uri, None).await.err(), Some(LoginError::WrongIssuer));
}

#[tokio::test]
async fn given_endpoints_need_no_discovery() {
    let stage = Stage::set().await;
    *stage.scene.discovery.lock().unwrap() = None;
    let base = &stage.base;
    let given = json!({
        "authorization_endpoint": format!("{base}/auth"), "token_endpoint": format!("{base}/token"), "jwks_uri": format!("{base}/certs"),
    });
    let provider = stage.try_provider(given).unwrap();
    stage.begin(&provider).await;
    assert_eq!(*stage.scene.discoveries.lock().unwrap(), 0);
    let asked = provider.ciba("899700000017".parse().unwrap(), Channel::Card).await;
    assert_eq!(asked.err(), Some(LoginError::NoCiba));
}

#[tokio::test]
async fn settings_that_could_not_be_safe() {
    let stage = Stage::set().await;
    let refused = |changes: serde_json::Value| stage.try_provider(changes).expect_err("refused");
    assert!(matches!(refused(json!({ "issuer": " " })), SettingsError::Empty("issuer")));
    assert!(matches!(refused(json!({ "client_id": "" })), SettingsError::Empty("client_id")));
    assert!(matches!(refused(json!({ "scope": "scope_all" })), SettingsError::Scope));
    assert!(matches!(refused(json!({ "issuer": "http://psc.example.org/realm" })), SettingsError::Insecure("issuer")));
    let insecure = refused(json!({ "ciba_endpoint": "http://psc.example.org/ciba" }));
    assert!(matches!(insecure, SettingsError::Insecure("ciba_endpoint")));
    assert!(matches!(refused(json!({ "client_secret_file": null })), SettingsError::Authentication));
    assert!(matches!(refused(json!({ "certificate": "a", "key": "b" })), SettingsError::Authentication));
    assert!(matches!(refused(json!({ "client_secret_file": "none" })), SettingsError::File { .. }));
    assert!(matches!(refused(json!({ "anchors": "secret" })), SettingsError::Content { key: "anchors", .. }));
    let certificate = json!({ "client_secret_file": null, "certificate": "secret", "key": "secret" });
    assert!(matches!(refused(certificate), SettingsError::Content { key: "certificate", .. }));
}
