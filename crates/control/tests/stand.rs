//! The stand over HTTP, driven by the campaign's client and by an ordinary one: keys, leases, scenarios, calls.

use std::sync::Arc;
use std::time::Duration;

use control::job;
use control::stand::psc::{Bait, Behaviour, PART, Scenario, TokenRule};
use control::stand::{self, Client, Key, Leases, StandError};
use control::verdict::Verdict;
use serde_json::{Value, json};
use stub::{Keys, Psc, Realm, Realms, Service};
use tokio_util::sync::{CancellationToken, DropGuard};
use trust::SystemClock;

const MINUTE: Duration = Duration::from_secs(60);

struct Served {
    realm: Realm,
    stand: String,
    key: Key,
    folder: tempfile::TempDir,
    _stop: DropGuard,
}

async fn listen() -> (tokio::net::TcpListener, String) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    (listener, url)
}

async fn serve() -> Served {
    let folder = tempfile::tempdir().expect("a folder");
    let (listener, origin) = listen().await;
    let psc = Psc { origin };
    let realms = Realms::new(psc.clone());
    let realm = realms.open(
        None,
        Service {
            keys: Arc::new(Keys::open(&folder.path().join("psc"), &psc.issuer()).expect("keys")),
            clock: SystemClock::shared(),
            token_ttl: MINUTE,
            client: None,
            people: Arc::new([]),
        },
    );
    let stop = CancellationToken::new();
    tokio::spawn(trust::http::serve(listener, None, realms.router(), stop.clone()));
    let (listener, stand) = listen().await;
    let key = Key::random().expect("random octets");
    let router = stand::router(key.clone(), [("/psc", stand::psc::part(realm.clone(), Leases::default()))]);
    tokio::spawn(trust::http::serve(listener, None, router, stop.clone()));
    std::fs::write(folder.path().join("key"), format!("{}\n", key.expose())).expect("written");
    Served { realm, stand, key, folder, _stop: stop.drop_guard() }
}

fn settings(url: &str, folder: &std::path::Path) -> job::Stand {
    serde_json::from_value(json!({ "url": url, "key_file": folder.join("key") })).expect("a section")
}

impl Served {
    fn client(&self) -> Client {
        let settings = settings(&self.stand, self.folder.path());
        Client::open(&settings).expect("a client")
    }

    async fn put(&self, path: &str, key: &str, body: &Value) -> (u16, Value) {
        let url = format!("{}/psc/{path}", self.stand);
        let answer = reqwest::Client::new().put(url).bearer_auth(key).json(body).send().await.expect("an answer");
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }
}

#[tokio::test]
async fn a_campaign_drives_the_stub_and_gives_it_back() {
    let served = serve().await;
    let client = served.client();
    let now = client.psc().await.expect("an answer");
    assert_eq!((now.issuer, now.scenario), (served.realm.addresses().issuer(), Scenario::default()));
    let outage = Scenario::all(&Behaviour::Status(503));
    let held = client.play(PART, &outage, MINUTE).await.expect("free");
    let now = client.psc().await.expect("an answer");
    assert_eq!(now.scenario, outage);
    assert!(now.lease_seconds.is_some_and(|left| left > 50));
    let jwks = served.realm.addresses().jwks_uri();
    assert_eq!(reqwest::get(&jwks).await.expect("an answer").status(), 503);
    client.give_back(held.clone()).await.expect("held");
    assert_eq!(reqwest::get(&jwks).await.expect("an answer").status(), 200);
    assert!(matches!(client.give_back(held).await, Err(StandError::Refused { status: 404, .. })), "given back already");
    let calls = client.psc_calls(0).await.expect("an answer");
    assert_eq!(calls.iter().map(|call| call.status).collect::<Vec<_>>(), [503, 200]);
    assert!(client.psc_calls(2).await.expect("an answer").is_empty());

    client.tell_token("j-1", &TokenRule { active: Some(false), ..TokenRule::default() }).await.expect("told");
    let rule: TokenRule = client.get("psc/tokens/j-1").await.expect("an answer");
    assert_eq!(rule.active, Some(false));
    assert!(matches!(client.get::<TokenRule>("psc/tokens/j-2").await, Err(StandError::Refused { status: 404, .. })));
    let bait = client.lay_bait("b-1", &Bait::default()).await.expect("laid");
    assert_eq!(bait, served.realm.addresses().trap("b-1"));
    let impossible = Scenario { userinfo: Behaviour::Rotated, ..Scenario::default() };
    assert!(matches!(client.play(PART, &impossible, MINUTE).await, Err(StandError::Refused { status: 422, .. })));
}

#[tokio::test]
async fn one_campaign_at_a_time_and_an_outage_ends_by_itself() {
    let served = serve().await;
    let key = served.key.expose();
    let short = json!({ "jwks": "503", "lease_seconds": 1 });
    let (status, leased) = served.put("scenario", key, &short).await;
    assert_eq!((status, &leased["lease_seconds"]), (200, &json!(1)));
    // Whoever says no name is somebody else each time.
    let (status, problem) = served.put("scenario", key, &json!({ "jwks": "empty" })).await;
    assert_eq!((status, &problem["error"]), (423, &json!("busy")));
    // A campaign waits for its turn, which comes although nobody gave anything back.
    let client = served.client();
    let held = client.play(PART, &Scenario::default(), MINUTE).await.expect("its turn");
    let jwks = served.realm.addresses().jwks_uri();
    assert_eq!(reqwest::get(&jwks).await.expect("an answer").status(), 200);
    // The same campaign changes its mind.
    let again = client.play(PART, &Scenario::all(&Behaviour::Status(500)), MINUTE).await.expect("its own");
    assert!(client.give_back(held).await.is_err(), "another one took its place");
    assert_eq!(reqwest::get(&jwks).await.expect("an answer").status(), 500);
    client.give_back(again).await.expect("held");
    let late = format!("{}/psc/scenario/{}", served.stand, leased["lease"].as_str().expect("a lease"));
    let late = reqwest::Client::new().delete(late).bearer_auth(key).send().await.expect("an answer");
    assert_eq!(late.status(), 404, "it ended by itself");
}

#[tokio::test]
async fn nobody_without_the_key_and_nothing_that_makes_no_sense() {
    let served = serve().await;
    let key = served.key.expose();
    let nothing = json!({});
    for wrong in ["", "x", &key[1..], &format!("{key}x"), &key.to_uppercase()] {
        assert_eq!(served.put("scenario", wrong, &nothing).await.0, 401, "{wrong}");
    }
    assert_eq!(reqwest::get(format!("{}/psc/calls", served.stand)).await.expect("an answer").status(), 401);
    assert_eq!(reqwest::get(format!("{}/autre", served.stand)).await.expect("an answer").status(), 401);
    for bad in
        [json!({ "jwks": "cassé" }), json!({ "jwk": "503" }), json!({ "jwks": "rotated" }), json!({ "keys": [1] })]
    {
        let (status, problem) = served.put("scenario", key, &bad).await;
        assert_eq!((status, &problem["error"]), (422, &json!("value")), "{bad}");
    }
    let (status, _) = served.put("trap/x", key, &json!({ "body": "x".repeat(100_000) })).await;
    assert_eq!(status, 413);
    assert_eq!(served.realm.scenario().as_ref(), &Scenario::default());

    // A key that is another's: said as such, and never a non-conformity.
    std::fs::write(served.folder.path().join("key"), Key::random().expect("random octets").expose()).expect("written");
    let stranger = served.client();
    assert_eq!(stranger.psc().await, Err(StandError::Key));
    assert_eq!(Verdict::from(StandError::Key).code(), "inconclusif");
    assert!(!format!("{stranger:?}").contains(key), "keys are not printed");
    let far = settings("http://192.0.2.1:1", served.folder.path());
    assert!(matches!(Client::open(&far), Err(StandError::Settings(_))), "the key would travel in clear");
}
