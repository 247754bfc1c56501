//! The stand-in of Pro Santé Connect: tokens made to order under the operators' own checks, and the whole login.

use std::time::{Duration, SystemTime};

use ::psc::{Introspection, Refusal, Secret, TokenError, Verifier, VerifierConfig};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mssante::NationalId;
use sandbox::PscEntry;
use sandbox::psc::{Flaw, Order, mint};
use serde_json::Value;
use trust::SystemClock;

use super::Outside;

const MARIE: &str = "899700000017";
/// Of a token of the sandbox.
const LIFE: Duration = Duration::from_secs(120);
const REDIRECT: &str = "http://127.0.0.1:1/retour";

fn verifier(outside: &Outside<'_>, ask: bool) -> Verifier {
    let psc = &outside.description.psc;
    let mut config = VerifierConfig::new(psc.issuer.clone(), psc.jwks_uri.parse().expect("a URL"));
    if ask {
        config.userinfo = Some(psc.userinfo_endpoint.parse().expect("a URL"));
        config.introspection = Some(Introspection {
            url: psc.introspection_endpoint.parse().expect("a URL"),
            client_id: psc.client_id.clone(),
            client_secret: Secret::new(psc.client_secret.as_str()),
        });
    }
    Verifier::new(config, outside.http.clone(), SystemClock::shared()).expect("a safe configuration")
}

/// LPS-TOKEN, JWT-01, JWT-02, JWT-09
pub async fn tokens(outside: &Outside<'_>) {
    let id: NationalId = MARIE.parse().expect("a national id");
    for ask in [false, true] {
        let verifier = verifier(outside, ask);
        for (flaw, refusal) in [
            (Flaw::None, None),
            (Flaw::Expired, Some(Refusal::Expired)),
            (Flaw::ForeignIssuer, Some(Refusal::BadIssuer)),
            (Flaw::BadSignature, Some(Refusal::BadSignature)),
        ] {
            let order = Order { flaw, ..Order::of(id.clone()) };
            let minted = SystemTime::now();
            let token = mint(outside.folder, &order, minted).expect("made");
            match (verifier.verify(&token).await, refusal) {
                (Ok(identity), None) => {
                    assert_eq!(identity.national_id, id);
                    let life = identity.expires_at.duration_since(minted).expect("in the future");
                    // Whole seconds, from when it was made.
                    assert!(
                        life >= LIFE - Duration::from_secs(1) && identity.expires_at <= SystemTime::now() + LIFE,
                        "{life:?}"
                    );
                }
                (Err(TokenError::Refused(found)), Some(expected)) => assert_eq!(found, expected),
                (other, _) => panic!("{flaw:?}: {other:?}"),
            }
        }
    }
    let elsewhere = tempfile::tempdir().expect("a folder");
    assert!(mint(elsewhere.path(), &Order::of(id), SystemTime::now()).is_err(), "no sandbox there");
}

/// The code flow with PKCE, refresh, introspection, userinfo, revocation.
pub async fn login(outside: &Outside<'_>) {
    let psc = &outside.description.psc;
    discovery(outside, psc).await;

    let (word, challenge) = ("a-verifier-of-at-least-forty-three-characters", |word: &str| {
        URL_SAFE_NO_PAD.encode(openssl::sha::sha256(word.as_bytes()))
    });
    let query = |hint: &str, redirect: &str| {
        let pairs = [
            ("response_type", "code"),
            ("client_id", psc.client_id.as_str()),
            ("redirect_uri", redirect),
            ("scope", "openid scope_all"),
            ("state", "é&<"),
            ("nonce", "n1"),
            ("code_challenge", &challenge(word)),
            ("code_challenge_method", "S256"),
            ("login_hint", hint),
        ];
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    let page =
        outside.http.get(&psc.authorization_endpoint).query(&query("", REDIRECT)).send().await.expect("an answer");
    assert_eq!(page.status(), 200);
    let page = page.text().await.expect("a page");
    assert!(page.contains("Marie MARTIN") && page.contains("value=\"é&amp;&lt;\""), "{page}");
    for outside_the_machine in ["https://example.com/", "javascript:alert(1)", "http://127.0.0.1.example.com/"] {
        let answer =
            outside.http.get(&psc.authorization_endpoint).query(&query(MARIE, outside_the_machine)).send().await;
        assert_eq!(answer.expect("an answer").status(), 400, "{outside_the_machine}");
    }

    let code = || async {
        let answer = outside
            .http
            .get(&psc.authorization_endpoint)
            .query(&query(MARIE, REDIRECT))
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 302);
        let back: url::Url = answer.headers()["location"].to_str().expect("text").parse().expect("a URL");
        let found = |name: &str| back.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        assert_eq!(found("state").as_deref(), Some("é&<"));
        found("code").expect("a code")
    };
    let exchange = |form: Vec<(&'static str, String)>| async move {
        let request =
            outside.http.post(&psc.token_endpoint).basic_auth(&psc.client_id, Some(&psc.client_secret)).form(&form);
        let answer = request.send().await.expect("an answer");
        (answer.status().as_u16(), answer.json::<Value>().await.expect("JSON"))
    };
    let form = |code: String, verifier: &str| {
        vec![
            ("grant_type", "authorization_code".to_owned()),
            ("code", code),
            ("redirect_uri", REDIRECT.to_owned()),
            ("code_verifier", verifier.to_owned()),
        ]
    };
    let (status, wrong) = exchange(form(code().await, "another verifier")).await;
    assert_eq!((status, &wrong["error"]), (400, &Value::from("invalid_grant")));
    let given = code().await;
    let (status, tokens) = exchange(form(given.clone(), word)).await;
    assert_eq!(status, 200, "{tokens}");
    assert_eq!((tokens["expires_in"].as_u64(), tokens["refresh_expires_in"].as_u64()), (Some(120), Some(900)));
    assert_eq!(exchange(form(given, word)).await.0, 400, "a code serves once");

    let verifier = verifier(outside, true);
    let access = text(&tokens, "access_token");
    assert_eq!(verifier.verify(&access).await.expect("a good token").national_id.as_str(), MARIE);
    for other in ["refresh_token", "id_token"] {
        // JWT-17
        let refused = verifier.verify(&text(&tokens, other)).await;
        assert!(matches!(refused, Err(TokenError::Refused(Refusal::BadType))), "{other}: {refused:?}");
    }
    let said = introspect(outside, psc, &access).await;
    assert_eq!((said["active"].as_bool(), said["SubjectNameID"].as_str()), (Some(true), Some(MARIE)));
    let said = introspect(outside, psc, &text(&tokens, "refresh_token")).await;
    assert_eq!((said["active"].as_bool(), said.get("SubjectNameID")), (Some(true), None));

    let refresh = |token: String| vec![("grant_type", "refresh_token".to_owned()), ("refresh_token", token)];
    let (status, fresh) = exchange(refresh(text(&tokens, "refresh_token"))).await;
    assert_eq!(status, 200, "{fresh}");
    let fresh_access = text(&fresh, "access_token");
    assert_ne!(fresh_access, access);
    let revoke = outside.http.post(format!("{}/protocol/openid-connect/revoke", psc.issuer));
    let form = [
        ("token", text(&fresh, "refresh_token")),
        ("client_id", psc.client_id.clone()),
        ("client_secret", psc.client_secret.clone()),
    ];
    assert_eq!(revoke.form(&form).send().await.expect("an answer").status(), 200);
    assert_eq!(introspect(outside, psc, &fresh_access).await["active"], false);
    let refused = verifier.verify(&fresh_access).await;
    assert!(matches!(refused, Err(TokenError::Refused(Refusal::Inactive))), "{refused:?}");
    assert_eq!(exchange(refresh(text(&fresh, "refresh_token"))).await.0, 400);

    let stranger = outside
        .http
        .post(&psc.introspection_endpoint)
        .basic_auth(&psc.client_id, Some("guess"))
        .form(&[("token", "x")]);
    assert_eq!(stranger.send().await.expect("an answer").status(), 401);
}

async fn discovery(outside: &Outside<'_>, psc: &PscEntry) {
    let standard = format!("{}/.well-known/openid-configuration", psc.issuer);
    let mut documents = Vec::new();
    for url in [&psc.discovery, &standard] {
        documents.push(outside.http.get(url).send().await.expect("an answer").json::<Value>().await.expect("JSON"));
    }
    assert_eq!(documents[0], documents[1]);
    assert_eq!(documents[0]["issuer"], psc.issuer.as_str());
    assert_eq!(documents[0]["jwks_uri"], psc.jwks_uri.as_str());
    assert_eq!(documents[0]["token_endpoint"], psc.token_endpoint.as_str());
}

async fn introspect(outside: &Outside<'_>, psc: &PscEntry, token: &str) -> Value {
    let request = outside.http.post(&psc.introspection_endpoint).basic_auth(&psc.client_id, Some(&psc.client_secret));
    request.form(&[("token", token)]).send().await.expect("an answer").json().await.expect("JSON")
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("{name}: {value}")).to_owned()
}
