//! Any OpenID provider: what an ID token says of somebody, and logout tokens (OpenID Connect Back-Channel Logout 1.0).

use super::stage::{CLIENT, Reply, Stage, good_return};
use crate::support::{self, b64, keys, raw_token, with};
use psc::Refusal;
use psc::login::{IdTokenFault, LoggedOut, LoginError};
use serde_json::{Value, json};

#[tokio::test]
async fn the_claims_of_somebody_without_a_national_identifier() {
    let stage = Stage::set().await;
    let claims = async |change: Value| {
        let (login, nonce) = stage.begin(&stage.provider()).await;
        let mut answer = stage.tokens("0", None);
        answer["id_token"] = json!(support::token(&with(&stage.id_claims(Some(&nonce)), change)));
        stage.gives([Reply::ok(answer)]);
        let returned = login.check(&good_return(&login)).unwrap();
        login.claims(returned).await
    };
    let somebody = json!({"sub": "0d1f", "preferred_username": null, "groups": ["a", "b"]});
    let said = claims(somebody).await.unwrap();
    assert_eq!((said.subject(), said.text("acr")), ("0d1f", Some("eidas1")));
    assert!(said.has("groups", "b") && !said.has("groups", "c"));
    for (change, expected) in [
        (json!({"sub": null}), IdTokenFault::Person),
        (json!({"nonce": "autre"}), IdTokenFault::Nonce),
        (json!({"iss": "https://autre.invalid"}), IdTokenFault::Issuer),
        (json!({"aud": ["autre", CLIENT], "azp": "autre"}), IdTokenFault::Audience),
    ] {
        assert_eq!(claims(change).await.err(), Some(LoginError::IdToken(expected)));
    }
}

#[tokio::test]
async fn only_a_logout_token_for_us_is_believed() {
    let stage = Stage::set().await;
    let provider = stage.provider();
    let said = json!({
        "iss": stage.issuer(), "aud": CLIENT, "iat": stage.now(), "exp": stage.now() + 120, "jti": "j", "sub": "0d1f", "sid": "s1",
        "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
    });
    let tried = async |change: Value| provider.logged_out(&support::token(&with(&said, change))).await;
    let left = |subject: Option<&str>, session: Option<&str>| {
        Ok(LoggedOut { subject: subject.map(Into::into), session: session.map(Into::into) })
    };
    assert_eq!(tried(json!({})).await, left(Some("0d1f"), Some("s1")));
    assert_eq!(tried(json!({"sid": null})).await, left(Some("0d1f"), None));
    assert_eq!(tried(json!({"sub": null, "aud": ["autre", CLIENT]})).await, left(None, Some("s1")));
    for (change, expected) in [
        (json!({"iss": "https://autre.invalid"}), IdTokenFault::Issuer),
        (json!({"aud": "autre"}), IdTokenFault::Audience),
        (json!({"aud": null}), IdTokenFault::Audience),
        (json!({"exp": stage.now() - 31}), IdTokenFault::Time),
        (json!({"exp": null}), IdTokenFault::Time),
        (json!({"iat": stage.now() + 31}), IdTokenFault::Time),
        (json!({"nonce": "n"}), IdTokenFault::Nonce),
        (json!({"events": null}), IdTokenFault::Event),
        (json!({"events": {"http://schemas.openid.net/event/backchannel-logout": 1}}), IdTokenFault::Event),
        (json!({"events": ["http://schemas.openid.net/event/backchannel-logout"]}), IdTokenFault::Event),
        (json!({"sub": null, "sid": null}), IdTokenFault::Person),
    ] {
        assert_eq!(tried(change.clone()).await.err(), Some(LoginError::IdToken(expected)), "{change}");
    }
    // An ID token is no logout token.
    let id = support::token(&stage.id_claims(None));
    assert_eq!(provider.logged_out(&id).await.err(), Some(IdTokenFault::Event.into()));
    // Signatures, and other kinds of tokens.
    let signed =
        async |header: &str, key| provider.logged_out(&raw_token(header, &said.to_string(), "RS256", key)).await.err();
    let keys = keys();
    let fault = |refusal: Refusal| Some(LoginError::IdToken(IdTokenFault::Signature(refusal)));
    assert_eq!(signed(r#"{"alg":"RS256","typ":"logout+jwt","kid":"main"}"#, &keys.main).await, None);
    let other = signed(r#"{"alg":"RS256","typ":"at+jwt","kid":"main"}"#, &keys.main).await;
    assert_eq!(other, Some(IdTokenFault::Kind.into()));
    assert_eq!(signed(r#"{"alg":"RS256","kid":"main"}"#, &keys.foreign).await, fault(Refusal::BadSignature));
    let none = format!("{}.{}.", b64(r#"{"alg":"none"}"#), b64(said.to_string()));
    assert_eq!(provider.logged_out(&none).await.err(), fault(Refusal::Unsigned));
    assert_eq!(provider.logged_out("").await.err(), fault(Refusal::NotAJws));
}
