//! The stub asked by an ordinary HTTP client: several realms, scenarios, rules of tokens, traps, and the log of it all. CTL-PSC

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use serde_json::{Value, json};
use stub::keys::CLIENT_ID;
use stub::mint::{Order, with_keys};
use stub::{
    Alias, Bait, Behaviour, Endpoint, Expectation, Keys, Person, Psc, Realm, Realms, Scenario, Service, Structure,
    TokenRule,
};
use tokio_util::sync::{CancellationToken, DropGuard};
use trust::SystemClock;

const MARIE: &str = "899700000017";
const MINUTE: Duration = Duration::from_secs(60);

struct Served {
    realms: Realms,
    home: Realm,
    http: reqwest::Client,
    _folder: tempfile::TempDir,
    _stop: DropGuard,
}

fn service(folder: &std::path::Path, psc: &Psc) -> Service {
    let keys = Keys::open(folder, &psc.issuer()).expect("keys");
    let person = Person {
        id: MARIE.to_owned(),
        title: Some("Dr".to_owned()),
        given: "Marie".to_owned(),
        family: "<MARTIN>".to_owned(),
        profession: "10".to_owned(),
        mailboxes: vec!["marie@x.test".to_owned()],
        structure: Structure { id: "1750000001".to_owned(), name: "HOPITAL".to_owned() },
    };
    Service {
        keys: Arc::new(keys),
        clock: SystemClock::shared(),
        token_ttl: 2 * MINUTE,
        client: None,
        people: Arc::new([person]),
    }
}

async fn serve() -> Served {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let home = Psc { origin: format!("http://{}", listener.local_addr().expect("bound")) };
    let folder = tempfile::tempdir().expect("a folder");
    let realms = Realms::new(home.clone());
    let realm = realms.open(None, service(folder.path(), &home));
    let stop = CancellationToken::new();
    tokio::spawn(trust::http::serve(listener, None, realms.router(), stop.clone()));
    let http = trust::http::client(&[]).expect("a client");
    Served { realms, home: realm, http, _folder: folder, _stop: stop.drop_guard() }
}

impl Served {
    async fn get(&self, url: &str) -> (u16, String) {
        let answer = self.http.get(url).send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("text"))
    }

    async fn json(&self, url: &str) -> Value {
        let (status, text) = self.get(url).await;
        assert_eq!(status, 200, "{text}");
        serde_json::from_str(&text).expect("JSON")
    }

    async fn introspect(&self, realm: &Realm, token: &str) -> Value {
        let request = self
            .http
            .post(realm.addresses().introspection_endpoint())
            .basic_auth(CLIENT_ID, Some(&realm.service().keys.client_secret))
            .form(&[("token", token)]);
        request.send().await.expect("an answer").json().await.expect("JSON")
    }

    async fn userinfo(&self, realm: &Realm, token: &str) -> (u16, Value) {
        let answer = self.http.get(realm.addresses().userinfo_endpoint()).bearer_auth(token).send().await;
        let answer = answer.expect("an answer");
        (answer.status().as_u16(), answer.json().await.expect("JSON"))
    }
}

fn token(realm: &Realm) -> String {
    let order = Order::of(MARIE.parse().expect("an identifier"));
    with_keys(&realm.service().keys, &order, SystemTime::now()).expect("made")
}

/// The claims of a token of ours.
fn claims(token: &str) -> Value {
    use base64::Engine;
    let payload = token.split('.').nth(1).expect("a payload");
    let octets = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).expect("base64url");
    serde_json::from_slice(&octets).expect("JSON")
}

fn scenario(value: Value) -> Scenario {
    serde_json::from_value(value).expect("a scenario")
}

#[tokio::test]
async fn every_operator_has_its_own_issuer_that_stays() {
    let served = serve().await;
    let folder = tempfile::tempdir().expect("a folder");
    let alias = Alias::new("chu-7").expect("an alias");
    let psc = served.realms.addresses(Some(&alias));
    assert_eq!(served.get(&psc.discovery()).await.0, 404, "not open yet");
    let own = served.realms.open(Some(alias.clone()), service(folder.path(), &psc));
    let found = served.json(&psc.discovery()).await;
    assert_eq!(found["issuer"], psc.issuer());
    assert!(psc.issuer().contains("/b/chu-7/auth/realms/esante-wallet"), "{}", psc.issuer());
    let key = |document: &Value| document["keys"][0]["kid"].clone();
    let (ours, theirs) = (served.json(&served.home.addresses().jwks_uri()).await, served.json(&psc.jwks_uri()).await);
    assert_ne!(key(&ours), key(&theirs));
    // A token of one realm says nothing to the other, and an outage of one is not the other's.
    assert_eq!(served.introspect(&own, &token(&own)).await["active"], true);
    assert_eq!(served.introspect(&served.home, &token(&own)).await["active"], false);
    own.play(Scenario::all(&Behaviour::Status(503)), MINUTE).expect("a scenario");
    assert_eq!(served.get(&psc.jwks_uri()).await.0, 503);
    assert_eq!(served.get(&served.home.addresses().jwks_uri()).await.0, 200);
    // Opened anew from its folder: the same keys.
    let again = served.realms.open(Some(alias.clone()), service(folder.path(), &psc));
    assert_eq!(key(&served.json(&psc.jwks_uri()).await), key(&theirs));
    assert!(again.calls(0).iter().all(|call| call.path.ends_with("/certs")));
    let page = served.get(&format!("{}/identites", psc.origin)).await.1;
    assert!(page.contains(&psc.issuer()) && page.contains("&lt;MARTIN&gt;") && !page.contains("<MARTIN>"), "{page}");
    served.realms.close(&alias);
    assert_eq!(served.get(&psc.discovery()).await.0, 404);
    assert_eq!(served.get(&format!("{}/b/CHU/auth", served.home.addresses().origin)).await.0, 404);
}

#[tokio::test]
async fn every_misbehaviour_is_what_it_says_and_ends() {
    let served = serve().await;
    let realm = &served.home;
    let psc = realm.addresses().clone();
    let right = served.json(&psc.jwks_uri()).await;
    let play = |value: Value| realm.play(scenario(value), MINUTE).expect("a scenario");

    play(json!({ "jwks": "empty" }));
    assert_eq!(served.json(&psc.jwks_uri()).await, json!({ "keys": [] }));
    play(json!({ "jwks": "invalid" }));
    assert!(serde_json::from_str::<Value>(&served.get(&psc.jwks_uri()).await.1).is_err());
    play(json!({ "jwks": "huge" }));
    let (_, text) = served.get(&psc.jwks_uri()).await;
    assert!(text.len() > 10 * 1024 * 1024);
    assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON")["keys"], right["keys"], "right but for its size");
    play(json!({ "jwks": "redirect" }));
    let answer = served.http.get(psc.jwks_uri()).send().await.expect("an answer");
    assert_eq!(answer.headers()["location"].to_str().expect("text"), psc.trap(stub::REDIRECTED));
    play(json!({ "jwks": "refused" }));
    assert!(served.http.get(psc.jwks_uri()).send().await.is_err(), "closed without a word");
    play(json!({ "jwks": "slow:300ms" }));
    let began = std::time::Instant::now();
    assert_eq!(served.json(&psc.jwks_uri()).await, right);
    assert!(began.elapsed() >= Duration::from_millis(300));
    play(json!({ "discovery": "other_issuer" }));
    assert_ne!(served.json(&psc.discovery()).await["issuer"], psc.issuer());
    let good = token(realm);
    play(json!({ "introspection": "no_active" }));
    let said = served.introspect(realm, &good).await;
    assert!(said.get("active").is_none() && said["jti"] == claims(&good)["jti"], "{said}");
    play(json!({ "introspection": "inactive", "userinfo": "inactive" }));
    assert_eq!(served.introspect(realm, &good).await, json!({ "active": false }));
    assert_eq!(served.userinfo(realm, &good).await.0, 401);

    // It ends by itself…
    realm.play(scenario(json!({ "jwks": "503" })), Duration::from_millis(30)).expect("a scenario");
    tokio::time::sleep(Duration::from_millis(40)).await;
    assert_eq!(served.json(&psc.jwks_uri()).await, right);
    // …or when told.
    play(json!({ "jwks": "503" }));
    assert_eq!(served.get(&psc.jwks_uri()).await.0, 503);
    realm.behave();
    assert_eq!(served.json(&psc.jwks_uri()).await, right);
    assert!(realm.play(scenario(json!({ "userinfo": "rotated" })), MINUTE).is_err());
}

#[tokio::test]
async fn a_published_key_signs_as_well_as_ours_while_it_is_published() {
    use base64::Engine;
    let url = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let served = serve().await;
    let realm = &served.home;
    let rsa = Rsa::generate(2048).expect("a key");
    let jwk =
        json!({ "kid": "neuve", "kty": "RSA", "n": url.encode(rsa.n().to_vec()), "e": url.encode(rsa.e().to_vec()) });
    let key = PKey::from_rsa(rsa).expect("a key");
    let header = url.encode(json!({ "alg": "RS256", "kid": "neuve" }).to_string());
    let payload = url.encode(claims(&token(realm)).to_string());
    let mut signer = openssl::sign::Signer::new(openssl::hash::MessageDigest::sha256(), &key).expect("a signer");
    signer.update(format!("{header}.{payload}").as_bytes()).expect("fed");
    let token = format!("{header}.{payload}.{}", url.encode(signer.sign_to_vec().expect("signed")));
    assert_eq!(served.introspect(realm, &token).await["active"], false);
    realm.play(scenario(json!({ "keys": [jwk] })), MINUTE).expect("a scenario");
    assert_eq!(served.json(&realm.addresses().jwks_uri()).await["keys"].as_array().map(Vec::len), Some(2));
    assert_eq!(served.introspect(realm, &token).await["active"], true);
    realm.play(scenario(json!({ "jwks": "rotated", "keys": [jwk] })), MINUTE).expect("a scenario");
    let keys = served.json(&realm.addresses().jwks_uri()).await;
    assert_eq!((keys["keys"].as_array().map(Vec::len), &keys["keys"][0]["kid"]), (Some(1), &json!("neuve")));
    realm.behave();
    assert_eq!(served.introspect(realm, &token).await["active"], false);
}

#[tokio::test]
async fn what_is_said_of_a_token_goes_by_its_jti_and_every_call_is_kept() {
    let served = serve().await;
    let realm = &served.home;
    let (one, other) = (token(realm), token(realm));
    let jti = claims(&one)["jti"].as_str().expect("a jti").to_owned();
    let rule = TokenRule {
        active: Some(false),
        scenario: "JWT-20".to_owned(),
        expectation: Expectation::Attendu,
        ..TokenRule::default()
    };
    realm.tell(&jti, rule.clone()).expect("a rule");
    assert_eq!(realm.rule(&jti), Some(rule));
    let before = realm.last_call();
    assert_eq!(served.introspect(realm, &one).await["active"], false);
    assert_eq!(served.introspect(realm, &other).await["active"], true);
    assert_eq!(served.userinfo(realm, &one).await.0, 401);
    assert_eq!(served.userinfo(realm, &other).await.1["SubjectNameID"], MARIE);
    let refused =
        served.http.post(realm.addresses().introspection_endpoint()).form(&[("token", one.as_str())]).send().await;
    assert_eq!(refused.expect("an answer").status(), 401, "without the client's secret");
    let calls = realm.calls(before);
    assert_eq!(calls.iter().map(|call| call.seq).collect::<Vec<_>>(), (before + 1..=before + 5).collect::<Vec<_>>());
    let about: Vec<_> = calls.iter().filter(|call| call.jti.as_deref() == Some(&jti)).collect();
    assert_eq!(about.len(), 3);
    assert!(about.iter().all(|call| call.expectation == Expectation::Attendu));
    assert_eq!(about[0].kid.as_deref(), Some(realm.service().keys.signing.kid()));
    assert_eq!((calls[0].endpoint, calls[0].status, calls[4].status), (Endpoint::Introspection, 200, 401));
    let kept = serde_json::to_string(&calls).expect("JSON");
    assert!(
        !kept.contains(&one) && !kept.contains(&realm.service().keys.client_secret) && !kept.contains(MARIE),
        "{kept}"
    );

    // Whose a token is that does not say: by what was told.
    realm.tell(&jti, TokenRule { idnat: Some("899700000021".to_owned()), ..TokenRule::default() }).expect("a rule");
    assert_eq!(served.userinfo(realm, &one).await.1["SubjectNameID"], "899700000021");
    assert_eq!(served.userinfo(realm, &one).await.1["sub"], claims(&one)["sub"]);
    assert_eq!(served.introspect(realm, &one).await["SubjectNameID"], "899700000021");
    assert!(realm.tell("", TokenRule::default()).is_err());
    assert!(realm.tell(&"j".repeat(200), TokenRule::default()).is_err());
}

#[tokio::test]
async fn traps_serve_their_bait_and_are_never_expected() {
    let served = serve().await;
    let realm = &served.home;
    let url = realm.addresses().trap("a-1");
    assert_eq!(served.json(&url).await, json!({ "keys": [] }));
    realm.lay("a-1", Bait { media_type: "text/plain".to_owned(), body: "appât".to_owned() }).expect("laid");
    assert_eq!(served.get(&url).await, (200, "appât".to_owned()));
    let last = realm.calls(0).pop().expect("a call");
    assert_eq!((last.endpoint, last.expectation), (Endpoint::Trap, Expectation::Interdit));
    for (name, bait) in [
        ("a/b", Bait::default()),
        ("", Bait::default()),
        ("a", Bait { body: "x".repeat(20_000), ..Bait::default() }),
        ("a", Bait { media_type: "a\r\nb: c".to_owned(), ..Bait::default() }),
    ] {
        assert!(realm.lay(name, bait).is_err(), "{name:?}");
    }
    realm.play(scenario(json!({ "forbidden": ["jwks"] })), MINUTE).expect("a scenario");
    served.json(&realm.addresses().jwks_uri()).await;
    assert_eq!(realm.calls(0).pop().expect("a call").expectation, Expectation::Interdit);
}

#[tokio::test]
async fn two_doors_of_one_issuer_are_told_apart() {
    let served = serve().await;
    let [alpha, beta] =
        ["alpha", "beta"].map(|name| served.realms.open_door(Alias::new(name).expect("an alias"), &served.home));
    let get = async |url: String| served.http.get(url).send().await.expect("an answer").status().as_u16();
    assert_eq!(alpha.issuer(), served.home.issuer());
    let discovery = served.http.get(alpha.addresses().discovery()).send().await.expect("an answer");
    let document: Value = discovery.json().await.expect("JSON");
    assert_eq!(document["issuer"], json!(served.home.issuer()));
    assert_eq!(document["jwks_uri"], json!(alpha.addresses().jwks_uri()));
    assert_ne!(alpha.addresses().jwks_uri(), served.home.addresses().jwks_uri());
    // Its own calls, and no other's; the whole realm has them all.
    assert_eq!(get(alpha.addresses().jwks_uri()).await, 200);
    let endpoints = |realm: &Realm| realm.calls(0).iter().map(|call| call.endpoint).collect::<Vec<_>>();
    assert_eq!(endpoints(&alpha), [Endpoint::Discovery, Endpoint::Jwks]);
    assert!(endpoints(&beta).is_empty());
    assert_eq!(endpoints(&served.home), [Endpoint::Discovery, Endpoint::Jwks]);
    // Its own outage; one of the whole realm is everybody's.
    alpha.play(Scenario { jwks: Behaviour::Status(503), ..Scenario::default() }, MINUTE).expect("played");
    assert_eq!(get(alpha.addresses().jwks_uri()).await, 503);
    assert_eq!(get(beta.addresses().jwks_uri()).await, 200);
    alpha.behave();
    served.home.play(Scenario { jwks: Behaviour::Status(500), ..Scenario::default() }, MINUTE).expect("played");
    assert_eq!(get(alpha.addresses().jwks_uri()).await, 500);
    assert_eq!(get(beta.addresses().jwks_uri()).await, 500);
    served.home.behave();
    // One issuer: what is told of a token is true at every door; a trap is one door's.
    beta.tell("j", TokenRule { active: Some(false), ..TokenRule::default() }).expect("told");
    assert_eq!(alpha.rule("j").and_then(|rule| rule.active), Some(false));
    alpha.lay("appat", Bait { body: "a".to_owned(), ..Bait::default() }).expect("laid");
    assert_eq!(get(alpha.addresses().trap("appat")).await, 200);
    assert_eq!(endpoints(&alpha).last(), Some(&Endpoint::Trap));
    assert!(!endpoints(&beta).contains(&Endpoint::Trap));
}
