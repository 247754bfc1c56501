//! A PSC on a port of the machine, the keys to sign with, and tokens made by hand (no JWT library would make the bad ones).

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::{EcGroup, EcKey};
use openssl::ecdsa::EcdsaSig;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::{Padding, Rsa};
use openssl::sign::{RsaPssSaltlen, Signer};
use psc::{Identity, Introspection, Refusal, Secret, TokenError, Verifier, VerifierConfig};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, SystemTime};
use trust::{Clock, ManualClock};

/// 2026-06-01 00:00 UTC.
pub const START: u64 = 1_780_272_000;
pub const A: &str = "899700000017";
pub const B: &str = "899700218896";

pub fn b64(octets: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

type Key = LazyLock<PKey<Private>>;

/// The keys of the tests, each made at its first use: making an RSA key is the slowest thing here.
pub struct Keys {
    pub main: Key,
    pub second: Key,
    pub ec: Key,
    pub foreign: Key,
    pub weak: Key,
}

fn rsa(bits: u32) -> PKey<Private> {
    PKey::from_rsa(Rsa::generate(bits).unwrap()).unwrap()
}

pub fn keys() -> &'static Keys {
    static KEYS: Keys = Keys {
        main: LazyLock::new(|| rsa(2048)),
        second: LazyLock::new(|| rsa(2048)),
        ec: LazyLock::new(|| {
            let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
            PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
        }),
        foreign: LazyLock::new(|| rsa(2048)),
        weak: LazyLock::new(|| rsa(1024)),
    };
    &KEYS
}

pub fn jwk(kid: &str, key: &PKey<Private>) -> Value {
    match key.rsa() {
        Ok(rsa) => json!({"kty":"RSA","use":"sig","kid":kid,"n":b64(rsa.n().to_vec()),"e":b64(rsa.e().to_vec())}),
        Err(_) => {
            let ec = key.ec_key().unwrap();
            let (mut x, mut y) = (BigNum::new().unwrap(), BigNum::new().unwrap());
            let mut context = BigNumContext::new().unwrap();
            ec.public_key().affine_coordinates(ec.group(), &mut x, &mut y, &mut context).unwrap();
            let pad = |n: BigNum| b64(n.to_vec_padded(32).unwrap());
            json!({"kty":"EC","use":"sig","crv":"P-256","kid":kid,"x":pad(x),"y":pad(y)})
        }
    }
}

pub fn jwks(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

/// The set PSC publishes at the start.
pub fn usual_jwks() -> String {
    jwks(&[jwk("main", &keys().main), jwk("ec", &keys().ec), jwk("weak", &keys().weak)])
}

/// Signs `input` as `alg` says.
pub fn signature(alg: &str, input: &str, key: &PKey<Private>) -> Vec<u8> {
    let mut signer = Signer::new(MessageDigest::sha256(), key).unwrap();
    match alg {
        "ES256" => {
            let digest = openssl::sha::sha256(input.as_bytes());
            let sig = EcdsaSig::sign(&digest, &key.ec_key().unwrap()).unwrap();
            return [sig.r().to_vec_padded(32).unwrap(), sig.s().to_vec_padded(32).unwrap()].concat();
        }
        "PS256" => {
            signer.set_rsa_padding(Padding::PKCS1_PSS).unwrap();
            signer.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH).unwrap();
        }
        _ => {}
    }
    signer.sign_oneshot_to_vec(input.as_bytes()).unwrap()
}

/// A token whose header and payload are these texts, to the octet.
pub fn raw_token(header: &str, payload: &str, alg: &str, key: &PKey<Private>) -> String {
    let input = format!("{}.{}", b64(header), b64(payload));
    let signature = b64(signature(alg, &input, key));
    format!("{input}.{signature}")
}

/// A token signed with the main key.
pub fn token(payload: &Value) -> String {
    raw_token(r#"{"alg":"RS256","typ":"JWT","kid":"main"}"#, &payload.to_string(), "RS256", &keys().main)
}

/// `base` with some claims replaced (`null` removes).
pub fn with(base: &Value, changes: Value) -> Value {
    let mut claims = base.clone();
    let object = claims.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            object.remove(name);
        } else {
            object.insert(name.clone(), value.clone());
        }
    }
    claims
}

/// What the running PSC answers, and how often it was asked.
#[derive(Default)]
pub struct Scene {
    /// `None`: 503.
    pub jwks: Mutex<Option<String>>,
    pub introspection: Mutex<Option<Value>>,
    /// Status, media type, body.
    pub userinfo: Mutex<Option<(u16, &'static str, String)>>,
    pub jwks_calls: AtomicUsize,
    pub introspection_calls: AtomicUsize,
    pub userinfo_calls: AtomicUsize,
    pub other_calls: AtomicUsize,
}

pub struct Psc {
    pub scene: Arc<Scene>,
    pub base: String,
    pub clock: ManualClock,
}

impl Psc {
    pub async fn start() -> Self {
        let scene = Arc::new(Scene { jwks: Mutex::new(Some(usual_jwks())), ..Scene::default() });
        let app = Router::new()
            .route("/certs", get(certs))
            .route("/introspect", post(introspect))
            .route("/userinfo", get(userinfo))
            .fallback(trap)
            .with_state(scene.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        let clock = ManualClock::at(SystemTime::UNIX_EPOCH + Duration::from_secs(START));
        Self { scene, base, clock }
    }

    pub fn issuer(&self) -> String {
        format!("{}/auth/realms/esante-wallet", self.base)
    }

    pub fn config(&self) -> VerifierConfig {
        VerifierConfig::new(self.issuer(), format!("{}/certs", self.base).parse().unwrap())
    }

    pub fn verifier_with(&self, change: impl FnOnce(&mut VerifierConfig)) -> Arc<Verifier> {
        let mut config = self.config();
        change(&mut config);
        let http = trust::http::client(&[]).unwrap();
        Arc::new(Verifier::new(config, http, self.clock.shared()).unwrap())
    }

    pub fn verifier(&self) -> Arc<Verifier> {
        self.verifier_with(|_| {})
    }

    pub fn introspection(&self) -> Introspection {
        Introspection {
            url: format!("{}/introspect", self.base).parse().unwrap(),
            client_id: "operateur".into(),
            client_secret: Secret::new("secret"),
        }
    }

    pub fn userinfo(&self) -> url::Url {
        format!("{}/userinfo", self.base).parse().unwrap()
    }

    pub fn now(&self) -> i64 {
        let elapsed = self.clock.now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        elapsed.as_secs().cast_signed()
    }

    /// The claims of a real PSC token of A (client.md §3.3), valid two minutes from now.
    pub fn claims(&self) -> Value {
        json!({
            "exp": self.now() + 120, "iat": self.now(), "auth_time": self.now() - 300,
            "jti": "5f0c2b7e-2c05-4c3d-9f93-72a96b2867a4", "iss": self.issuer(),
            "sub": format!("f:550dc1c8-d97b-4b1e-ac8c-8eb4471cf9dd:{A}"),
            "typ": "Bearer", "azp": "editeur-lps-bas", "nonce": "b1d0",
            "session_state": "8a75fe97-d88c-4487-a9f9-6099737344c2", "sid": "8a75fe97-d88c-4487-a9f9-6099737344c2",
            "acr": "eidas1", "scope": "openid scope_all identity", "authMode": "MOBILE",
            "otherIds": [{"identifiant": A, "origine": "RPPS", "qualite": 1}],
            "preferred_username": A, "SubjectNameID": A
        })
    }

    pub fn set_jwks(&self, document: Option<String>) {
        *self.scene.jwks.lock().unwrap() = document;
    }

    pub fn jwks_calls(&self) -> usize {
        self.scene.jwks_calls.load(Ordering::SeqCst)
    }
}

async fn certs(State(scene): State<Arc<Scene>>) -> Response {
    scene.jwks_calls.fetch_add(1, Ordering::SeqCst);
    match scene.jwks.lock().unwrap().clone() {
        Some(document) => document.into_response(),
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

async fn introspect(State(scene): State<Arc<Scene>>, headers: HeaderMap, body: Bytes) -> Response {
    scene.introspection_calls.fetch_add(1, Ordering::SeqCst);
    // operateur:secret
    if headers.get(header::AUTHORIZATION).is_none_or(|sent| sent != "Basic b3BlcmF0ZXVyOnNlY3JldA==") {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    assert!(body.starts_with(b"token=eyJ"), "the token is not in the form");
    match scene.introspection.lock().unwrap().clone() {
        Some(answer) => answer.to_string().into_response(),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn userinfo(State(scene): State<Arc<Scene>>, headers: HeaderMap) -> Response {
    scene.userinfo_calls.fetch_add(1, Ordering::SeqCst);
    let bearer = headers.get(header::AUTHORIZATION).and_then(|sent| sent.to_str().ok()).unwrap_or_default();
    assert!(bearer.starts_with("Bearer eyJ"), "the token is not sent as a bearer");
    match scene.userinfo.lock().unwrap().clone() {
        Some((status, kind, body)) => {
            let status = StatusCode::from_u16(status).unwrap();
            (status, [(header::CONTENT_TYPE, kind)], body).into_response()
        }
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// Where a token would like to lead us (JWT-14).
async fn trap(State(scene): State<Arc<Scene>>) -> StatusCode {
    scene.other_calls.fetch_add(1, Ordering::SeqCst);
    StatusCode::NOT_FOUND
}

pub fn refusal(outcome: Result<Identity, TokenError>) -> Option<Refusal> {
    match outcome {
        Ok(_) => None,
        Err(TokenError::Refused(refusal)) => Some(refusal),
        Err(TokenError::Unavailable(outage)) => panic!("unavailable: {outage}"),
    }
}

/// Waits for something another task is about to do.
pub async fn eventually(condition: impl Fn() -> bool) {
    let waited = tokio::time::timeout(patience::PATIENCE, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    waited.await.expect("it never happened");
}
