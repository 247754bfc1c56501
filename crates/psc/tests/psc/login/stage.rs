//! A PSC whose every answer is written by the test, and which keeps what it was sent.

use crate::support::{self, A, START};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use psc::login::{LoginError, Provider, PscSession, RedirectLogin, Settings, SettingsError};
use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::sync::Notify;
use trust::{Clock, ManualClock};

/// One answer.
#[derive(Clone)]
pub struct Reply {
    pub status: u16,
    pub body: String,
    /// Waits to be let go.
    pub held: Option<Arc<Notify>>,
}

impl Reply {
    pub fn ok(body: Value) -> Reply {
        Reply { status: 200, body: body.to_string(), held: None }
    }

    pub fn text(status: u16, body: impl Into<String>) -> Reply {
        Reply { status, body: body.into(), held: None }
    }

    pub fn error(code: &str) -> Reply {
        Reply::text(400, json!({ "error": code, "error_description": "<script>" }).to_string())
    }

    pub fn held(self, by: &Arc<Notify>) -> Reply {
        Reply { held: Some(by.clone()), ..self }
    }
}

/// A form PSC was sent.
#[derive(Clone, Debug)]
pub struct Sent {
    pub path: &'static str,
    pub fields: HashMap<String, String>,
    pub authorization: Option<String>,
}

#[derive(Default)]
pub struct Scene {
    pub discovery: Mutex<Option<Reply>>,
    pub discoveries: Mutex<usize>,
    /// Taken in order; the last one stays.
    pub tokens: Mutex<VecDeque<Reply>>,
    pub ciba: Mutex<VecDeque<Reply>>,
    pub revocation: Mutex<Option<Reply>>,
    pub sent: Mutex<Vec<Sent>>,
}

pub struct Stage {
    pub scene: Arc<Scene>,
    pub base: String,
    pub clock: ManualClock,
    folder: tempfile::TempDir,
}

pub const CLIENT: &str = "editeur lps";

impl Stage {
    pub async fn set() -> Stage {
        let scene = Arc::new(Scene::default());
        let app = Router::new()
            .route("/realm/.well-known/wallet-openid-configuration", get(discovery))
            .route("/certs", get(async || support::usual_jwks()))
            .route("/token", post(async |scene, headers, body| answer("token", scene, headers, body).await))
            .route("/ciba", post(async |scene, headers, body| answer("ciba", scene, headers, body).await))
            .route("/revoke", post(async |scene, headers, body| answer("revoke", scene, headers, body).await))
            .with_state(scene.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("secret"), "s€cret\n").unwrap();
        let clock = ManualClock::at(SystemTime::UNIX_EPOCH + Duration::from_secs(START));
        let stage = Stage { scene, base, clock, folder };
        stage.discovers(stage.document());
        *stage.scene.revocation.lock().unwrap() = Some(Reply::text(200, ""));
        stage
    }

    pub fn issuer(&self) -> String {
        format!("{}/realm", self.base)
    }

    /// What an honest PSC publishes.
    pub fn document(&self) -> Value {
        json!({
            "issuer": self.issuer(),
            "authorization_endpoint": format!("{}/auth", self.base),
            "token_endpoint": format!("{}/token", self.base),
            "jwks_uri": format!("{}/certs", self.base),
            "revocation_endpoint": format!("{}/revoke", self.base),
            "backchannel_authentication_endpoint": format!("{}/ciba", self.base),
        })
    }

    pub fn discovers(&self, document: Value) {
        *self.scene.discovery.lock().unwrap() = Some(Reply::ok(document));
    }

    pub fn settings(&self, changes: Value) -> Settings {
        let settings = json!({ "issuer": self.issuer(), "client_id": CLIENT, "client_secret_file": "secret" });
        serde_json::from_value(support::with(&settings, changes)).unwrap()
    }

    pub fn try_provider(&self, changes: Value) -> Result<Provider, SettingsError> {
        Provider::new(&self.settings(changes), self.folder.path(), self.clock.shared())
    }

    pub fn provider(&self) -> Provider {
        self.try_provider(json!({})).unwrap()
    }

    /// What the token endpoint will answer, in order.
    pub fn gives(&self, replies: impl IntoIterator<Item = Reply>) {
        *self.scene.tokens.lock().unwrap() = replies.into_iter().collect();
    }

    pub fn now(&self) -> u64 {
        self.clock.now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
    }

    /// The claims of an honest ID token of A.
    pub fn id_claims(&self, nonce: Option<&str>) -> Value {
        let mut claims = json!({
            "typ": "ID", "iss": self.issuer(), "aud": CLIENT, "azp": CLIENT, "exp": self.now() + 60, "iat": self.now(),
            "sub": format!("f:550dc1c8-d97b-4b1e-ac8c-8eb4471cf9dd:{A}"), "preferred_username": A, "acr": "eidas1",
        });
        if let Some(nonce) = nonce {
            claims["nonce"] = json!(nonce);
        }
        claims
    }

    /// An honest answer of the token endpoint: access token `access`, refresh token `refresh`.
    pub fn tokens(&self, name: &str, nonce: Option<&str>) -> Value {
        json!({
            "access_token": format!("access-{name}"), "token_type": "Bearer", "expires_in": 120,
            "refresh_token": format!("refresh-{name}"), "refresh_expires_in": 900,
            "id_token": support::token(&self.id_claims(nonce)),
        })
    }

    /// A login under way and its nonce.
    pub async fn begin(&self, provider: &Provider) -> (RedirectLogin, String) {
        let uri = "http://127.0.0.1:1/retour".parse().unwrap();
        let login = provider.redirect(uri, None).await.unwrap();
        let nonce = parameter(&login, "nonce");
        (login, nonce)
    }

    /// What becomes of a login when the token endpoint answers this.
    pub async fn outcome(&self, answer: impl FnOnce(&str) -> Reply) -> Result<PscSession, LoginError> {
        let (login, nonce) = self.begin(&self.provider()).await;
        self.gives([answer(&nonce)]);
        let returned = login.check(&good_return(&login)).unwrap();
        login.finish(returned).await
    }

    /// Somebody logged in.
    pub async fn session(&self) -> PscSession {
        self.outcome(|nonce| Reply::ok(self.tokens("0", Some(nonce)))).await.unwrap()
    }

    pub fn sent(&self, path: &str) -> Vec<Sent> {
        self.scene.sent.lock().unwrap().iter().filter(|sent| sent.path == path).cloned().collect()
    }
}

pub fn parameter(login: &RedirectLogin, name: &str) -> String {
    login.url().query_pairs().find(|(key, _)| key == name).unwrap_or_else(|| panic!("no {name}")).1.into_owned()
}

pub fn good_return(login: &RedirectLogin) -> String {
    format!("session_state=x&state={}&code=c0de", login.state().expose())
}

async fn discovery(State(scene): State<Arc<Scene>>) -> Response {
    *scene.discoveries.lock().unwrap() += 1;
    let reply = scene.discovery.lock().unwrap().clone();
    match reply {
        Some(reply) => give(reply).await,
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

async fn answer(path: &'static str, State(scene): State<Arc<Scene>>, headers: HeaderMap, body: Bytes) -> Response {
    let fields = url::form_urlencoded::parse(&body).into_owned().collect();
    let authorization = headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
    scene.sent.lock().unwrap().push(Sent { path, fields, authorization });
    let next = |replies: &Mutex<VecDeque<Reply>>| {
        let mut replies = replies.lock().unwrap();
        if replies.len() > 1 { replies.pop_front() } else { replies.front().cloned() }
    };
    let reply = match path {
        "token" => next(&scene.tokens),
        "ciba" => next(&scene.ciba),
        _ => scene.revocation.lock().unwrap().clone(),
    };
    match reply {
        Some(reply) => give(reply).await,
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

async fn give(reply: Reply) -> Response {
    if let Some(held) = &reply.held {
        held.notified().await;
    }
    (StatusCode::from_u16(reply.status).unwrap(), reply.body).into_response()
}
