//! Signing in at an OpenID provider that does what the test tells it, honest or not; what becomes of accounts, sessions and tokens.

use std::sync::{Arc, Mutex, OnceLock};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use desk::oidc::OidcSettings;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::sign::Signer;
use serde_json::{Value, json};

use crate::{Answer, Browser, PASSWORD, Stage};

const CLIENT: &str = "controle";

fn key() -> &'static PKey<Private> {
    static KEY: OnceLock<PKey<Private>> = OnceLock::new();
    KEY.get_or_init(|| PKey::from_rsa(Rsa::generate(2048).expect("a key")).expect("a key"))
}

fn encode(octets: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

fn signed(claims: &Value) -> String {
    let input = format!("{}.{}", encode(r#"{"alg":"RS256","kid":"k"}"#), encode(claims.to_string()));
    let mut signer = Signer::new(MessageDigest::sha256(), key()).expect("a signer");
    signer.update(input.as_bytes()).expect("signed");
    format!("{input}.{}", encode(signer.sign_to_vec().expect("signed")))
}

/// What the provider answers.
#[derive(Default)]
struct Scene {
    token: Mutex<String>,
    /// What it was asked at its token endpoint.
    asked: Mutex<Vec<String>>,
    is_down: Mutex<bool>,
}

struct Fake {
    scene: Arc<Scene>,
    base: String,
}

impl Fake {
    async fn set() -> Fake {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("bound"));
        let scene = Arc::new(Scene::default());
        let document = json!({
            "issuer": base, "authorization_endpoint": format!("{base}/auth"), "token_endpoint": format!("{base}/token"),
            "jwks_uri": format!("{base}/keys"), "end_session_endpoint": format!("{base}/leave"),
            "authorization_response_iss_parameter_supported": true,
        });
        let rsa = key().rsa().expect("RSA");
        let keys = json!({ "keys": [{
            "kty": "RSA", "kid": "k", "use": "sig", "alg": "RS256", "n": encode(rsa.n().to_vec()), "e": encode(rsa.e().to_vec()),
        }]});
        let app = Router::new()
            .route("/.well-known/openid-configuration", get(async move || document.to_string()))
            .route("/keys", get(async move || keys.to_string()))
            .route("/token", post(token))
            .with_state(scene.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Fake { scene, base }
    }

    /// The claims of an honest ID token of somebody.
    fn claims(&self, subject: &str, nonce: &str) -> Value {
        let now = time::OffsetDateTime::now_utc().unix_timestamp();
        json!({ "iss": self.base, "aud": CLIENT, "sub": subject, "iat": now, "exp": now + 60, "nonce": nonce, "sid": "session-1" })
    }
}

async fn token(State(scene): State<Arc<Scene>>, body: String) -> (StatusCode, String) {
    scene.asked.lock().expect("whole").push(body);
    if *scene.is_down.lock().expect("whole") {
        return (StatusCode::SERVICE_UNAVAILABLE, String::new());
    }
    let id_token = scene.token.lock().expect("whole").clone();
    (
        StatusCode::OK,
        json!({ "access_token": "a", "token_type": "Bearer", "expires_in": 60, "id_token": id_token }).to_string(),
    )
}

async fn stage(fake: &Fake, more: &str) -> Stage {
    Stage::with(|folder, settings| {
        std::fs::write(folder.join("secret"), "s3cret").expect("written");
        let text = format!(
            "name = \"Essai\"\nissuer = \"{}\"\nclient_id = \"{CLIENT}\"\nclient_secret_file = \"{}\"\n{more}",
            fake.base,
            folder.join("secret").display()
        );
        settings.oidc = Some(toml::from_str::<OidcSettings>(&text).expect("a section"));
    })
    .await
}

/// The address of the provider that a page leads to, and its parameters.
fn departure(answer: &Answer) -> url::Url {
    let at = answer.text.find("content=\"0; url=").unwrap_or_else(|| panic!("no departure: {}", answer.text)) + 16;
    answer.text[at..].split('"').next().expect("an address").replace("&amp;", "&").parse().expect("an address")
}

fn parameter(url: &url::Url, name: &str) -> String {
    url.query_pairs().find(|(key, _)| key == name).unwrap_or_else(|| panic!("no {name}")).1.into_owned()
}

impl Fake {
    /// A browser goes there as `subject`, and comes back; `change` spoils the claims.
    async fn visit(&self, browser: &mut Browser, subject: &str, change: impl FnOnce(&mut Value)) -> Answer {
        let left = browser.get("/connexion/fournisseur?suite=/campagnes").await;
        self.back(browser, &left, subject, change).await
    }

    async fn back(
        &self,
        browser: &mut Browser,
        left: &Answer,
        subject: &str,
        change: impl FnOnce(&mut Value),
    ) -> Answer {
        let url = departure(left);
        let mut claims = self.claims(subject, &parameter(&url, "nonce"));
        change(&mut claims);
        *self.scene.token.lock().expect("whole") = signed(&claims);
        browser.get(&self.good_return(&url)).await
    }

    fn good_return(&self, url: &url::Url) -> String {
        let state = parameter(url, "state");
        format!("/connexion/retour?code=c0de&state={state}&iss={}", self.base)
    }
}

async fn is_in(browser: &mut Browser) -> bool {
    browser.get("/compte").await.status == StatusCode::OK
}

#[tokio::test]
async fn an_account_is_tied_and_opened() {
    let fake = Fake::set().await;
    let stage = stage(&fake, "").await;
    // Nobody's identity opens nothing, and makes nothing.
    let mut browser = stage.browser();
    let answer = fake.visit(&mut browser, "marie", |_| ()).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(answer.text.contains("Aucun compte d’ici") && !is_in(&mut browser).await);
    // Tied by whoever is signed in.
    let mut alpha = stage.signed("alpha").await;
    let left = alpha.post("/compte/fournisseur", &[]).await;
    let url = departure(&left);
    assert_eq!((parameter(&url, "response_type"), parameter(&url, "client_id")), ("code".into(), CLIENT.into()));
    assert_eq!(parameter(&url, "redirect_uri"), "https://controle.test/connexion/retour");
    assert_eq!((parameter(&url, "scope"), parameter(&url, "code_challenge_method")), ("openid".into(), "S256".into()));
    let cookies: Vec<&str> = left.headers.get_all("set-cookie").iter().map(|one| one.to_str().expect("text")).collect();
    assert!(
        cookies[0].contains("SameSite=Lax") && cookies[0].contains("HttpOnly") && cookies[0].contains("Secure"),
        "{cookies:?}"
    );
    // The session's own cookie does not come with a return from elsewhere.
    let session =
        alpha.cookie.split("; ").find(|one| one.starts_with("__Host-controle=")).expect("a session").to_owned();
    alpha.cookie = alpha.cookie.replace(&session, "").trim_matches([';', ' ']).to_owned();
    let answer = fake.back(&mut alpha, &left, "marie", |_| ()).await;
    assert!(answer.text.contains("Compte relié"), "{}", answer.text);
    alpha.cookie = session;
    assert!(alpha.get("/compte").await.text.contains("✓ Relié"));
    // PKCE and the secret went with the code.
    let asked = fake.scene.asked.lock().expect("whole").last().expect("asked").clone();
    assert!(asked.contains("code_verifier=") && asked.contains("code=c0de"), "{asked}");
    // Opened by it, from another browser.
    let answer = fake.visit(&mut browser, "marie", |_| ()).await;
    assert!(answer.text.contains("content=\"0; url=/campagnes\""), "{}", answer.text);
    let cookie = answer
        .headers
        .get_all("set-cookie")
        .iter()
        .find(|one| one.to_str().expect("text").starts_with("__Host-controle="));
    assert!(cookie.expect("a session").to_str().expect("text").contains("SameSite=Strict"));
    assert!(is_in(&mut browser).await);
    // An identity opens one account, and an account is tied once.
    let mut beta = stage.signed("beta").await;
    let left = beta.post("/compte/fournisseur", &[]).await;
    assert_eq!(fake.back(&mut beta, &left, "marie", |_| ()).await.status, StatusCode::CONFLICT);
    let left = alpha.post("/compte/fournisseur", &[]).await;
    assert_eq!(fake.back(&mut alpha, &left, "paul", |_| ()).await.status, StatusCode::CONFLICT);
    // Leaving ends the session here, and leads to leave there.
    let key = browser.get("/compte").await;
    assert_eq!(key.status, StatusCode::OK);
    let answer = browser.post("/deconnexion", &[]).await;
    let url = departure(&answer);
    assert!(url.as_str().starts_with(&format!("{}/leave?", fake.base)), "{url}");
    assert_eq!(parameter(&url, "post_logout_redirect_uri"), "https://controle.test/");
    assert!(!is_in(&mut browser).await);
    // Untied: it opens nothing any more, and the sessions it opened end.
    fake.visit(&mut browser, "marie", |_| ()).await;
    assert!(is_in(&mut browser).await);
    assert_eq!(alpha.post("/compte/fournisseur/delier", &[]).await.status, StatusCode::SEE_OTHER);
    assert!(!is_in(&mut browser).await && is_in(&mut alpha).await);
    assert_eq!(fake.visit(&mut browser, "marie", |_| ()).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn forged_returns_and_tokens_sign_nobody_in() {
    let fake = Fake::set().await;
    let stage = stage(&fake, "").await;
    let mut alpha = stage.signed("alpha").await;
    let left = alpha.post("/compte/fournisseur", &[]).await;
    fake.back(&mut alpha, &left, "marie", |_| ()).await;
    let mut browser = stage.browser();
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    for (name, value) in [
        ("iss", json!("https://autre.test")),
        ("aud", json!("autre")),
        ("aud", json!(["autre", CLIENT])),
        ("azp", json!("autre")),
        ("exp", json!(now - 100)),
        ("exp", Value::Null),
        ("iat", json!(now + 1000)),
        ("nonce", json!("autre")),
        ("nonce", Value::Null),
        ("sub", Value::Null),
        ("at_hash", json!("AAAAAAAAAAAAAAAAAAAAAA")),
    ] {
        let answer = fake.visit(&mut browser, "marie", |claims| claims[name] = value.clone()).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{name} {value}");
        assert!(!is_in(&mut browser).await, "{name} {value}");
    }
    // Signed by nobody, or by another.
    let left = browser.get("/connexion/fournisseur").await;
    let url = departure(&left);
    let claims = fake.claims("marie", &parameter(&url, "nonce")).to_string();
    *fake.scene.token.lock().expect("whole") = format!("{}.{}.", encode(r#"{"alg":"none"}"#), encode(&claims));
    assert_eq!(browser.get(&fake.good_return(&url)).await.status, StatusCode::FORBIDDEN);
    let left = browser.get("/connexion/fournisseur").await;
    let url = departure(&left);
    let good = signed(&fake.claims("marie", &parameter(&url, "nonce")));
    let (head, signature) = good.rsplit_once('.').expect("three parts");
    let first = if signature.starts_with('A') { "B" } else { "A" };
    let spoilt = format!("{first}{}", &signature[1..]);
    *fake.scene.token.lock().expect("whole") = format!("{head}.{spoilt}");
    assert_eq!(browser.get(&fake.good_return(&url)).await.status, StatusCode::FORBIDDEN);
    // Returns: another issuer's (mix-up), none named, another state, none.
    for change in [
        |back: &str, base: &str| back.replace(&format!("iss={base}"), "iss=https://autre.test"),
        |back: &str, base: &str| back.replace(&format!("&iss={base}"), ""),
        |back: &str, _: &str| back.replace("state=", "state=x"),
        |back: &str, _: &str| back.replace("&state=", "&etat="),
        |back: &str, _: &str| back.replace("code=c0de", "error=access_denied"),
        |back: &str, _: &str| format!("{back}&code=autre"),
    ] {
        let left = browser.get("/connexion/fournisseur").await;
        let url = departure(&left);
        *fake.scene.token.lock().expect("whole") = signed(&fake.claims("marie", &parameter(&url, "nonce")));
        let back = change(&fake.good_return(&url), &fake.base);
        assert_eq!(browser.get(&back).await.status, StatusCode::FORBIDDEN, "{back}");
        // It was taken: the good one comes too late.
        assert_eq!(browser.get(&fake.good_return(&url)).await.status, StatusCode::FORBIDDEN);
        assert!(!is_in(&mut browser).await);
    }
    // Login CSRF: somebody else's return, in a browser that began nothing, or began another.
    let mut attacker = stage.browser();
    let url = departure(&attacker.get("/connexion/fournisseur").await);
    *fake.scene.token.lock().expect("whole") = signed(&fake.claims("marie", &parameter(&url, "nonce")));
    let mut victim = stage.browser();
    assert_eq!(victim.get(&fake.good_return(&url)).await.status, StatusCode::FORBIDDEN);
    victim.get("/connexion/fournisseur").await;
    assert_eq!(victim.get(&fake.good_return(&url)).await.status, StatusCode::FORBIDDEN);
    assert!(!is_in(&mut victim).await);
    // The same return twice.
    assert_eq!(attacker.get(&fake.good_return(&url)).await.status, StatusCode::OK);
    assert_eq!(stage.browser().get(&fake.good_return(&url)).await.status, StatusCode::FORBIDDEN);
    // A provider that is away is nobody's refusal.
    *fake.scene.is_down.lock().expect("whole") = true;
    assert_eq!(fake.visit(&mut browser, "marie", |_| ()).await.status, StatusCode::SERVICE_UNAVAILABLE);
    // Only paths of ours are gone on to.
    *fake.scene.is_down.lock().expect("whole") = false;
    let left = browser.get("/connexion/fournisseur?suite=//ailleurs.test").await;
    let answer = fake.back(&mut browser, &left, "marie", |_| ()).await;
    assert!(answer.text.contains("content=\"0; url=/\""), "{}", answer.text);
}

#[tokio::test]
async fn tying_needs_the_session_that_asked() {
    let fake = Fake::set().await;
    let stage = stage(&fake, "").await;
    let mut alpha = stage.signed("alpha").await;
    // Not by a link on another site: a form of ours, with its key.
    assert_eq!(alpha.get("/compte/fournisseur").await.status, StatusCode::METHOD_NOT_ALLOWED);
    let key = std::mem::take(&mut alpha.key);
    assert_eq!(alpha.post("/compte/fournisseur", &[]).await.status, StatusCode::FORBIDDEN);
    alpha.key = key;
    let left = alpha.post("/compte/fournisseur", &[]).await;
    let cookie = alpha.cookie.clone();
    assert_eq!(alpha.post("/deconnexion", &[]).await.to, "/");
    alpha.cookie = cookie;
    let answer = fake.back(&mut alpha, &left, "marie", |_| ()).await;
    assert!(answer.text.contains("Votre session a pris fin"), "{}", answer.text);
    assert_eq!(fake.visit(&mut alpha, "marie", |_| ()).await.status, StatusCode::FORBIDDEN);
}

const GRANTS: &str = "create = true\n[[grant]]\nclaim = \"groups\"\nvalue = \"testeurs\"\nrole = \"testeur\"\norganisation = \"Alpha\"\n\
    [[grant]]\nclaim = \"groups\"\nvalue = \"lecteurs\"\norganisation = \"Alpha\"\n\
    [[grant]]\nclaim = \"groups\"\nvalue = \"beta\"\nrole = \"testeur\"\norganisation = \"Beta\"\n\
    [[grant]]\nclaim = \"groups\"\nvalue = \"gamma\"\norganisation = \"Gamma\"\n";

#[tokio::test]
async fn accounts_are_made_by_grants_and_follow_them() {
    let fake = Fake::set().await;
    let stage = stage(&fake, GRANTS).await;
    let mut browser = stage.browser();
    let groups = |groups: Value| {
        move |claims: &mut Value| {
            claims["groups"] = groups;
            // An address that is somebody's here opens nothing of theirs.
            claims["preferred_username"] = json!("alpha");
            claims["email"] = json!("alpha");
        }
    };
    for nothing in [json!([]), json!("autres"), json!(["gamma"]), json!("testeurs-bis"), Value::Null] {
        assert_eq!(
            fake.visit(&mut browser, "zoe", groups(nothing.clone())).await.status,
            StatusCode::FORBIDDEN,
            "{nothing}"
        );
    }
    assert_eq!(fake.visit(&mut browser, "zoe", groups(json!(["x", "lecteurs"]))).await.status, StatusCode::OK);
    let page = browser.get("/compte").await.text;
    assert!(page.contains("alpha+") && page.contains("lecteur") && page.contains("dont il suit les droits"), "{page}");
    assert!(page.contains("Aucun : le fournisseur"), "no password to be changed");
    assert_eq!(
        browser.post("/tests/importer", &[("modele", "essai"), ("fichier", crate::JOB)]).await.status,
        StatusCode::FORBIDDEN
    );
    // No password opens it, the empty one neither.
    let login =
        page.split("href=\"/compte\">").nth(1).and_then(|rest| rest.split(' ').next()).expect("a login").to_owned();
    for password in ["", " ", PASSWORD] {
        let answer = stage.browser().post("/connexion", &[("login", &login), ("mot_de_passe", password)]).await;
        assert!(answer.text.contains("inconnu"), "{login}");
    }
    // Another group: another role. The sessions of before end.
    let mut other = stage.browser();
    assert_eq!(fake.visit(&mut other, "zoe", groups(json!(["testeurs"]))).await.status, StatusCode::OK);
    assert!(!is_in(&mut browser).await && is_in(&mut other).await);
    let token = other.token().await;
    assert_eq!(other.call("GET", "/api/v1/jobs", &token, "").await.status, StatusCode::OK);
    // Untying it would leave it without any way in.
    assert_eq!(other.post("/compte/fournisseur/delier", &[]).await.status, StatusCode::CONFLICT);
    // Another operator: nothing of the first one's is kept, the token neither.
    assert_eq!(fake.visit(&mut browser, "zoe", groups(json!("beta"))).await.status, StatusCode::OK);
    assert_eq!(other.call("GET", "/api/v1/jobs", &token, "").await.status, StatusCode::UNAUTHORIZED);
    assert!(!is_in(&mut other).await);
    let token = browser.token().await;
    // Nothing grants it any more: out, with its sessions and tokens.
    assert_eq!(fake.visit(&mut other, "zoe", groups(json!([]))).await.status, StatusCode::FORBIDDEN);
    assert!(!is_in(&mut browser).await);
    assert_eq!(browser.call("GET", "/api/v1/jobs", &token, "").await.status, StatusCode::UNAUTHORIZED);
    // Closed by its administrator: a grant does not open it again.
    assert_eq!(fake.visit(&mut browser, "zoe", groups(json!("testeurs"))).await.status, StatusCode::OK);
    let mut alpha = stage.signed("alpha").await;
    let page = alpha.get("/comptes").await.text;
    let row = page.split("<tr>").find(|row| row.contains(&format!(">{login}<"))).expect("a row");
    let number = row.split("/comptes/").nth(1).and_then(|rest| rest.split('/').next()).expect("a number");
    alpha.post(&format!("/comptes/{number}/etat"), &[("ouvert", "")]).await;
    assert!(!is_in(&mut browser).await);
    assert_eq!(fake.visit(&mut browser, "zoe", groups(json!("testeurs"))).await.status, StatusCode::FORBIDDEN);
    // An account of here that was tied by hand keeps what it is here.
    let left = alpha.post("/compte/fournisseur", &[]).await;
    fake.back(&mut alpha, &left, "marie", |_| ()).await;
    let mut marie = stage.browser();
    assert_eq!(fake.visit(&mut marie, "marie", groups(json!("lecteurs"))).await.status, StatusCode::OK);
    assert_eq!(marie.get("/comptes").await.status, StatusCode::OK, "still its operator's administrator");
}

#[tokio::test]
async fn the_second_factor_of_the_provider() {
    let fake = Fake::set().await;
    // Asked for and attested: ours is not asked for.
    let level = "required_acr = [\"eidas2\", \"eidas3\"]\nrequired_amr = [\"otp\"]\nacr_values = \"eidas2\"\n";
    let stage = Stage::with(|folder, settings| {
        std::fs::write(folder.join("secret"), "s3cret").expect("written");
        let text = format!(
            "name = \"Essai\"\nissuer = \"{}\"\nclient_id = \"{CLIENT}\"\nclient_secret_file = \"{}\"\n{level}{GRANTS}",
            fake.base,
            folder.join("secret").display()
        );
        settings.oidc = Some(toml::from_str(&text).expect("a section"));
        settings.second_factor = true;
    })
    .await;
    let mut browser = stage.browser();
    let with = |acr: Value, amr: Value| {
        move |claims: &mut Value| {
            (claims["acr"], claims["amr"], claims["groups"]) = (acr, amr, json!("lecteurs"));
        }
    };
    for (acr, amr) in [
        (Value::Null, json!(["otp"])),
        (json!("eidas1"), json!(["otp"])),
        (json!(["eidas2"]), json!(["otp"])),
        (json!("eidas2"), json!(["pwd"])),
        (json!("eidas2"), Value::Null),
    ] {
        let answer = fake.visit(&mut browser, "zoe", with(acr.clone(), amr.clone())).await;
        assert!(answer.text.contains("n’atteste pas"), "{acr} {amr}");
    }
    assert_eq!(parameter(&departure(&browser.get("/connexion/fournisseur").await), "acr_values"), "eidas2");
    assert_eq!(
        fake.visit(&mut browser, "zoe", with(json!("eidas3"), json!(["pwd", "otp"]))).await.status,
        StatusCode::OK
    );
    assert_eq!(browser.get("/campagnes").await.status, StatusCode::OK);
    // Not asked for: ours is.
    let plain = Stage::with(|folder, settings| {
        std::fs::write(folder.join("secret"), "s3cret").expect("written");
        let text = format!(
            "name = \"Essai\"\nissuer = \"{}\"\nclient_id = \"{CLIENT}\"\nclient_secret_file = \"{}\"\n{GRANTS}",
            fake.base,
            folder.join("secret").display()
        );
        settings.oidc = Some(toml::from_str(&text).expect("a section"));
        settings.second_factor = true;
    })
    .await;
    let mut browser = plain.browser();
    assert_eq!(fake.visit(&mut browser, "zoe", with(json!("eidas3"), json!(["otp"]))).await.status, StatusCode::OK);
    assert_eq!(browser.get("/campagnes").await.to, "/compte/facteur");
    let (secret, recovery) = crate::sign_in::enrol(&mut browser).await;
    assert_eq!(browser.get("/campagnes").await.status, StatusCode::OK);
    let mut again = plain.browser();
    let answer = fake.visit(&mut again, "zoe", with(Value::Null, Value::Null)).await;
    assert!(answer.text.contains("/connexion/code"), "{}", answer.text);
    assert_eq!(again.get("/campagnes").await.to, "/connexion/code");
    again.get("/connexion/code").await;
    assert_eq!(again.post("/connexion/code", &[("code", &recovery[0])]).await.status, StatusCode::SEE_OTHER);
    assert!(is_in(&mut again).await && !secret.is_empty());
    // Still a session of the provider's: leaving leads there.
    assert!(again.post("/deconnexion", &[]).await.text.contains("/leave?"));
}

#[tokio::test]
async fn the_provider_tells_that_somebody_left() {
    let fake = Fake::set().await;
    let stage = stage(&fake, GRANTS).await;
    let group = |claims: &mut Value| claims["groups"] = json!("lecteurs");
    let (mut one, mut two, mut other) = (stage.browser(), stage.browser(), stage.browser());
    fake.visit(&mut one, "zoe", group).await;
    fake.visit(&mut two, "zoe", |claims| {
        group(claims);
        claims["sid"] = json!("session-2");
    })
    .await;
    fake.visit(&mut other, "yves", |claims| {
        group(claims);
        claims["sid"] = json!("session-3");
    })
    .await;
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    let tell = async |change: Value| {
        let mut said = json!({
            "iss": fake.base, "aud": CLIENT, "iat": now, "exp": now + 60, "jti": "j",
            "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
        });
        for (name, value) in change.as_object().expect("an object") {
            said[name] = value.clone();
        }
        stage.browser().post("/connexion/fin", &[("logout_token", &signed(&said))]).await.status
    };
    assert_eq!(tell(json!({"sub": "zoe", "aud": "autre"})).await, StatusCode::BAD_REQUEST);
    assert_eq!(tell(json!({"sub": "zoe", "nonce": "n"})).await, StatusCode::BAD_REQUEST);
    assert!(is_in(&mut one).await);
    assert_eq!(tell(json!({"sub": "zoe", "sid": "session-1"})).await, StatusCode::OK);
    assert!(!is_in(&mut one).await && is_in(&mut two).await && is_in(&mut other).await);
    assert_eq!(tell(json!({"sub": "zoe"})).await, StatusCode::OK);
    assert!(!is_in(&mut two).await && is_in(&mut other).await);
    assert_eq!(tell(json!({"sid": "session-3"})).await, StatusCode::OK);
    assert!(!is_in(&mut other).await);
    assert_eq!(stage.browser().post("/connexion/fin", &[]).await.status, StatusCode::BAD_REQUEST);
}

/// Without a provider none of it is there.
#[tokio::test]
async fn without_the_section_there_is_nothing() {
    let stage = Stage::new().await;
    let mut browser = stage.browser();
    assert!(!browser.get("/connexion").await.text.contains("fournisseur"));
    for place in ["/connexion/fournisseur", "/connexion/retour?code=a&state=b"] {
        assert_eq!(browser.get(place).await.status, StatusCode::NOT_FOUND, "{place}");
    }
    assert_eq!(browser.post("/connexion/fin", &[("logout_token", "a.b.c")]).await.status, StatusCode::NOT_FOUND);
    let mut alpha = stage.signed("alpha").await;
    assert_eq!(alpha.post("/compte/fournisseur", &[]).await.status, StatusCode::NOT_FOUND);
    assert_eq!(alpha.post("/compte/fournisseur/delier", &[]).await.status, StatusCode::CONFLICT);
}
