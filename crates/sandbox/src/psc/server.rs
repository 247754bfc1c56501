//! The HTTPS service: the paths of the realm `esante-wallet`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::{Value, json};
use trust::SharedClock;

use super::claims::{self, ACCESS_TTL, Login, SESSION_IDLE};
use super::keys::{CLIENT_ID, Keys};
use super::login;
use super::sessions::Sessions;
use crate::pki::seconds;

/// The realm's path.
pub const REALM: &str = "/auth/realms/esante-wallet";
const CERTS: &str = "/protocol/openid-connect/certs";
const TOKEN: &str = "/protocol/openid-connect/token";
const INTROSPECT: &str = "/protocol/openid-connect/token/introspect";
const USERINFO: &str = "/protocol/openid-connect/userinfo";
const REVOKE: &str = "/protocol/openid-connect/revoke";

/// Addresses of the stand-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Psc {
    /// `https://host:port`.
    pub origin: String,
}

impl Psc {
    /// On a port of 127.0.0.1.
    pub fn on(port: u16) -> Psc {
        Psc { origin: format!("https://127.0.0.1:{port}") }
    }

    /// The exact issuer.
    pub fn issuer(&self) -> String {
        format!("{}{REALM}", self.origin)
    }

    /// Discovery, at PSC's own path.
    pub fn discovery(&self) -> String {
        format!("{}/.well-known/wallet-openid-configuration", self.issuer())
    }

    /// Keys.
    pub fn jwks_uri(&self) -> String {
        format!("{}{CERTS}", self.issuer())
    }

    /// The login page.
    pub fn authorization_endpoint(&self) -> String {
        format!("{}/auth", self.origin)
    }

    /// Tokens.
    pub fn token_endpoint(&self) -> String {
        format!("{}{TOKEN}", self.issuer())
    }

    /// Whether a token is active.
    pub fn introspection_endpoint(&self) -> String {
        format!("{}{INTROSPECT}", self.issuer())
    }

    /// Who a token's bearer is.
    pub fn userinfo_endpoint(&self) -> String {
        format!("{}{USERINFO}", self.issuer())
    }

    /// The service itself.
    pub fn router(&self, keys: Arc<Keys>, clock: SharedClock) -> Router {
        let shared =
            Shared(Arc::new(Inner { keys, clock, addresses: self.clone(), sessions: Mutex::new(Sessions::new()) }));
        let realm = Router::new()
            .route("/.well-known/wallet-openid-configuration", get(discovery))
            .route("/.well-known/openid-configuration", get(discovery))
            .route(CERTS, get(certs))
            .route(TOKEN, post(token))
            .route(INTROSPECT, post(introspect))
            .route(USERINFO, get(userinfo).post(userinfo))
            .route(REVOKE, post(revoke));
        Router::new().nest(REALM, realm).route("/auth", get(login::page).post(login::choose)).with_state(shared)
    }
}

/// What every request sees.
#[derive(Clone)]
pub(super) struct Shared(Arc<Inner>);

struct Inner {
    keys: Arc<Keys>,
    clock: SharedClock,
    addresses: Psc,
    sessions: Mutex<Sessions>,
}

impl Shared {
    pub(super) fn now(&self) -> i64 {
        seconds(self.0.clock.now())
    }

    /// Every change of the sessions is one insertion or removal: consistent whatever panics.
    pub(super) fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.0.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The claims of a token of ours that is active now.
    fn active(&self, token: &str) -> Option<Value> {
        let claims = self.0.keys.signing.open(token)?;
        let text = |name: &str| claims[name].as_str().unwrap_or_default();
        let ended = self.sessions().is_ended(text("jti"), text("sid"));
        let alive = claims["exp"].as_i64().is_some_and(|exp| self.now() < exp);
        (alive && !ended && text("iss") == self.0.keys.issuer).then_some(claims)
    }

    /// Whether the request comes from the client: HTTP Basic, or its id and secret in the form.
    fn is_client(&self, headers: &HeaderMap, form: &TokenForm) -> bool {
        let basic = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Basic "))
            .and_then(|value| STANDARD.decode(value.trim()).ok())
            .and_then(|octets| String::from_utf8(octets).ok());
        let (id, secret) = match &basic {
            Some(pair) => pair.split_once(':').unwrap_or((pair, "")),
            None => (form.client_id.as_str(), form.client_secret.as_str()),
        };
        let ours = self.0.keys.client_secret.as_bytes();
        let secret = secret.as_bytes();
        id == CLIENT_ID && secret.len() == ours.len() && openssl::memcmp::eq(secret, ours)
    }
}

async fn discovery(State(shared): State<Shared>) -> Json<Value> {
    let psc = &shared.0.addresses;
    Json(json!({
        "issuer": psc.issuer(),
        "authorization_endpoint": psc.authorization_endpoint(),
        "token_endpoint": psc.token_endpoint(),
        "introspection_endpoint": psc.introspection_endpoint(),
        "userinfo_endpoint": psc.userinfo_endpoint(),
        "revocation_endpoint": format!("{}{REVOKE}", psc.issuer()),
        "jwks_uri": psc.jwks_uri(),
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "introspection_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "code_challenge_methods_supported": ["S256"],
        "acr_values_supported": [claims::ACR],
        "scopes_supported": ["openid", "scope_all", "identity"],
        "claims_supported": ["sub", "iss", "auth_time", "acr", "preferred_username", "SubjectNameID", "otherIds", "given_name", "family_name"],
    }))
}

async fn certs(State(shared): State<Shared>) -> Json<Value> {
    Json(json!({ "keys": [shared.0.keys.signing.jwk()] }))
}

/// The form of the token, introspection and revocation endpoints.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct TokenForm {
    grant_type: String,
    code: String,
    redirect_uri: String,
    code_verifier: String,
    refresh_token: String,
    token: String,
    client_id: String,
    client_secret: String,
}

/// RFC 6749 §5.2.
fn error(status: StatusCode, code: &str, why: &str) -> Response {
    (status, [(header::CACHE_CONTROL, "no-store")], Json(json!({ "error": code, "error_description": why })))
        .into_response()
}

fn unknown_client() -> Response {
    let mut response =
        error(StatusCode::UNAUTHORIZED, "invalid_client", "Invalid client or Invalid client credentials");
    response
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Basic realm=\"esante-wallet\""));
    response
}

async fn token(State(shared): State<Shared>, headers: HeaderMap, Form(form): Form<TokenForm>) -> Response {
    if !shared.is_client(&headers, &form) {
        return unknown_client();
    }
    let now = shared.now();
    let refused = |why| error(StatusCode::BAD_REQUEST, "invalid_grant", why);
    let login = match form.grant_type.as_str() {
        "authorization_code" => {
            let Some(code) = shared.sessions().take_code(&form.code, now) else { return refused("Code not valid") };
            if code.redirect_uri != form.redirect_uri {
                return refused("Incorrect redirect_uri");
            }
            if let Some(challenge) = &code.challenge {
                // RFC 7636 §4.6
                let said = URL_SAFE_NO_PAD.encode(openssl::sha::sha256(form.code_verifier.as_bytes()));
                if said != *challenge {
                    return refused("PKCE verification failed");
                }
            }
            shared.sessions().open(code.login.clone(), now);
            code.login
        }
        "refresh_token" => {
            let claims = shared.active(&form.refresh_token).filter(|claims| claims["typ"] == "Refresh");
            let Some(claims) = claims else { return refused("Invalid refresh token") };
            let sid = claims["sid"].as_str().unwrap_or_default();
            match shared.sessions().touch(sid, now) {
                Some(login) => login,
                None => return refused("Session not active"),
            }
        }
        _ => {
            return error(
                StatusCode::BAD_REQUEST,
                "unsupported_grant_type",
                "authorization_code or refresh_token is expected",
            );
        }
    };
    match tokens(&shared, &login, now) {
        Ok(body) => ([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response(),
        Err(problem) => {
            tracing::error!("a token could not be signed: {problem}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn tokens(shared: &Shared, login: &Login, now: i64) -> Result<Value, openssl::error::ErrorStack> {
    let keys = &shared.0.keys;
    Ok(json!({
        "access_token": keys.signing.sign(&claims::access(&keys.issuer, login, now, ACCESS_TTL))?,
        "expires_in": ACCESS_TTL.as_secs(),
        "refresh_token": keys.signing.sign(&claims::refresh(&keys.issuer, login, now))?,
        "refresh_expires_in": SESSION_IDLE.as_secs(),
        "id_token": keys.signing.sign(&claims::id_token(&keys.issuer, login, now))?,
        "token_type": "Bearer",
        "not-before-policy": 0,
        "session_state": login.sid,
        "scope": login.scope,
    }))
}

/// RFC 7662. `SubjectNameID` is given for access tokens only, as PSC documents it.
async fn introspect(State(shared): State<Shared>, headers: HeaderMap, Form(form): Form<TokenForm>) -> Response {
    if !shared.is_client(&headers, &form) {
        return unknown_client();
    }
    let Some(mut claims) = shared.active(&form.token) else { return Json(json!({ "active": false })).into_response() };
    if claims["typ"] == "Bearer" {
        claims["username"] = claims["preferred_username"].clone();
    } else if let Some(map) = claims.as_object_mut() {
        map.remove("SubjectNameID");
    }
    claims["active"] = json!(true);
    claims["client_id"] = json!(CLIENT_ID);
    Json(claims).into_response()
}

/// OIDC Core §5.3.
async fn userinfo(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let bearer =
        headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).and_then(|v| v.strip_prefix("Bearer "));
    let claims = bearer.and_then(|token| shared.active(token.trim())).filter(|claims| claims["typ"] == "Bearer");
    match claims.as_ref().and_then(|claims| claims["SubjectNameID"].as_str()) {
        Some(id) => Json(claims::userinfo(id)).into_response(),
        None => {
            let mut response = error(StatusCode::UNAUTHORIZED, "invalid_token", "Token verification failed");
            let challenge = header::HeaderValue::from_static("Bearer realm=\"esante-wallet\", error=\"invalid_token\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
            response
        }
    }
}

/// RFC 7009: an access token is no longer active; a refresh token ends its session. Unknown tokens are answered the same.
async fn revoke(State(shared): State<Shared>, headers: HeaderMap, Form(form): Form<TokenForm>) -> Response {
    if !shared.is_client(&headers, &form) {
        return unknown_client();
    }
    if let Some(claims) = shared.active(&form.token) {
        let text = |name: &str| claims[name].as_str().unwrap_or_default();
        if text("typ") == "Refresh" {
            shared.sessions().end(text("sid"));
        } else {
            shared.sessions().revoke(text("jti"));
        }
    }
    StatusCode::OK.into_response()
}
