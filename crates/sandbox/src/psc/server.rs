//! The HTTPS service: the paths of the realm `esante-wallet`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::{Extension, Form, FromRequestParts, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::{Value, json};
use trust::SharedClock;
use trust::dn::Dn;
use trust::tls::TlsInfo;
use url::Url;

use super::ciba::{self, Requests};
use super::claims::{self, Login, SESSION_IDLE};
use super::keys::{CLIENT_ID, Keys};
use super::sessions::Sessions;
use super::{login, phone};
use crate::pki::seconds;

/// The realm's path.
pub const REALM: &str = "/auth/realms/esante-wallet";
const CERTS: &str = "/protocol/openid-connect/certs";
const TOKEN: &str = "/protocol/openid-connect/token";
const INTROSPECT: &str = "/protocol/openid-connect/token/introspect";
const USERINFO: &str = "/protocol/openid-connect/userinfo";
const REVOKE: &str = "/protocol/openid-connect/revoke";
const LOGOUT: &str = "/protocol/openid-connect/logout";
const CIBA: &str = "/protocol/openid-connect/ext/ciba/auth";

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

    /// Logins by phone.
    pub fn ciba_endpoint(&self) -> String {
        format!("{}{CIBA}", self.issuer())
    }

    /// Revocation.
    pub fn revocation_endpoint(&self) -> String {
        format!("{}{REVOKE}", self.issuer())
    }

    /// Logout.
    pub fn end_session_endpoint(&self) -> String {
        format!("{}{LOGOUT}", self.issuer())
    }

    /// The phones.
    pub fn phone(&self) -> String {
        format!("{}/ciba", self.origin)
    }

    /// The service itself.
    pub fn router(&self, service: Service) -> Router {
        let shared = Shared(Arc::new(Inner {
            service,
            addresses: self.clone(),
            sessions: Mutex::new(Sessions::new()),
            requests: Mutex::default(),
        }));
        let realm = Router::new()
            .route("/.well-known/wallet-openid-configuration", get(discovery))
            .route("/.well-known/openid-configuration", get(discovery))
            .route(CERTS, get(certs))
            .route(TOKEN, post(token))
            .route(INTROSPECT, post(introspect))
            .route(USERINFO, get(userinfo).post(userinfo))
            .route(REVOKE, post(revoke))
            .route(LOGOUT, get(leave).post(log_out))
            .route(CIBA, post(ciba::ask));
        Router::new()
            .nest(REALM, realm)
            .route("/auth", get(login::page).post(login::choose))
            .route("/ciba", get(phone::page).post(phone::answer))
            .route("/ciba/phone", post(phone::set))
            .with_state(shared)
    }
}

/// What every request sees.
#[derive(Clone)]
pub(super) struct Shared(Arc<Inner>);

struct Inner {
    service: Service,
    addresses: Psc,
    sessions: Mutex<Sessions>,
    requests: Mutex<Requests>,
}

/// What the stand-in works with.
#[derive(Clone)]
pub struct Service {
    /// Its keys and its client's secret.
    pub keys: Arc<Keys>,
    /// Tells the time.
    pub clock: SharedClock,
    /// Life of the access tokens of logins.
    pub token_ttl: Duration,
    /// Whose certificate proves the client, instead of the secret.
    pub client: Dn,
}

/// What the other end of a connection showed.
pub(super) struct Peer(Option<Arc<TlsInfo>>);

impl<S: Send + Sync> FromRequestParts<S> for Peer {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut axum::http::request::Parts, state: &S) -> Result<Self, Self::Rejection> {
        let tls = Extension::<Arc<TlsInfo>>::from_request_parts(parts, state).await;
        Ok(Peer(tls.ok().map(|Extension(tls)| tls)))
    }
}

/// The client's name and secret in a form.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Credentials {
    client_id: String,
    client_secret: String,
}

impl Shared {
    pub(super) fn now(&self) -> i64 {
        seconds(self.0.service.clock.now())
    }

    /// The exact issuer.
    pub(super) fn issuer(&self) -> String {
        self.0.addresses.issuer()
    }

    /// As for the sessions.
    pub(super) fn requests(&self) -> MutexGuard<'_, Requests> {
        self.0.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every change of the sessions is one insertion or removal: consistent whatever panics.
    pub(super) fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.0.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The claims of a token of ours that is active now.
    fn active(&self, token: &str) -> Option<Value> {
        let claims = self.0.service.keys.signing.open(token)?;
        let text = |name: &str| claims[name].as_str().unwrap_or_default();
        let ended = self.sessions().is_ended(text("jti"), text("sid"));
        let alive = claims["exp"].as_i64().is_some_and(|exp| self.now() < exp);
        (alive && !ended && text("iss") == self.0.service.keys.issuer).then_some(claims)
    }

    /// Whether the request comes from the client: HTTP Basic, its id and secret in the form, or its id and its certificate (RFC 8705).
    pub(super) fn is_client(&self, headers: &HeaderMap, peer: &Peer, form: &Credentials) -> bool {
        let shown = peer.0.as_ref().and_then(|tls| tls.client().ok());
        let unsaid = form.client_secret.is_empty() && !headers.contains_key(header::AUTHORIZATION);
        if unsaid && form.client_id == CLIENT_ID && shown.is_some_and(|shown| shown.subject == self.0.service.client) {
            return true;
        }
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
        let ours = self.0.service.keys.client_secret.as_bytes();
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
        "revocation_endpoint": psc.revocation_endpoint(),
        "end_session_endpoint": psc.end_session_endpoint(),
        "backchannel_authentication_endpoint": psc.ciba_endpoint(),
        "backchannel_token_delivery_modes_supported": ["poll"],
        "jwks_uri": psc.jwks_uri(),
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", "refresh_token", CIBA_GRANT],
        "authorization_response_iss_parameter_supported": true,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "tls_client_auth"],
        "introspection_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "code_challenge_methods_supported": ["S256"],
        "acr_values_supported": [claims::ACR],
        "scopes_supported": ["openid", "scope_all", "identity"],
        "claims_supported": ["sub", "iss", "auth_time", "acr", "preferred_username", "SubjectNameID", "otherIds", "given_name", "family_name"],
    }))
}

async fn certs(State(shared): State<Shared>) -> Json<Value> {
    Json(json!({ "keys": [shared.0.service.keys.signing.jwk()] }))
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
    auth_req_id: String,
    id_token_hint: String,
    #[serde(flatten)]
    credentials: Credentials,
}

/// CIBA Core §10.1.
const CIBA_GRANT: &str = "urn:openid:params:grant-type:ciba";

/// RFC 6749 §5.2.
pub(super) fn error(status: StatusCode, code: &str, why: &str) -> Response {
    (status, [(header::CACHE_CONTROL, "no-store")], Json(json!({ "error": code, "error_description": why })))
        .into_response()
}

pub(super) fn unknown_client() -> Response {
    let mut response =
        error(StatusCode::UNAUTHORIZED, "invalid_client", "Invalid client or Invalid client credentials");
    response
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Basic realm=\"esante-wallet\""));
    response
}

async fn token(State(shared): State<Shared>, headers: HeaderMap, peer: Peer, Form(form): Form<TokenForm>) -> Response {
    if !shared.is_client(&headers, &peer, &form.credentials) {
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
        CIBA_GRANT => match ciba::grant(&shared, &form.auth_req_id, now) {
            Ok(login) => login,
            Err((code, why)) => return error(StatusCode::BAD_REQUEST, code, why),
        },
        _ => {
            return error(
                StatusCode::BAD_REQUEST,
                "unsupported_grant_type",
                "authorization_code, refresh_token or CIBA is expected",
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
    let Service { keys, token_ttl, .. } = &shared.0.service;
    Ok(json!({
        "access_token": keys.signing.sign(&claims::access(&keys.issuer, login, now, *token_ttl))?,
        "expires_in": token_ttl.as_secs(),
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
async fn introspect(
    State(shared): State<Shared>,
    headers: HeaderMap,
    peer: Peer,
    Form(form): Form<TokenForm>,
) -> Response {
    if !shared.is_client(&headers, &peer, &form.credentials) {
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
async fn revoke(State(shared): State<Shared>, headers: HeaderMap, peer: Peer, Form(form): Form<TokenForm>) -> Response {
    if !shared.is_client(&headers, &peer, &form.credentials) {
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

/// What a browser leaves with (OIDC RP-Initiated Logout §2).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Leaving {
    id_token_hint: String,
    post_logout_redirect_uri: String,
    state: String,
}

impl Shared {
    /// Ends the session of a token of ours, expired or not.
    fn end_session_of(&self, token: &str, kind: &str) -> bool {
        match self.0.service.keys.signing.open(token) {
            Some(claims) if claims["typ"] == kind => {
                self.sessions().end(claims["sid"].as_str().unwrap_or_default());
                true
            }
            _ => false,
        }
    }
}

/// Logout by the browser: back to an address on this machine, or to the login page.
async fn leave(State(shared): State<Shared>, Query(leaving): Query<Leaving>) -> Response {
    if !shared.end_session_of(&leaving.id_token_hint, "ID") {
        return (StatusCode::BAD_REQUEST, "id_token_hint manque ou n'est pas de nous\n").into_response();
    }
    match Url::parse(&leaving.post_logout_redirect_uri) {
        Ok(mut back) if login::is_home(&back) => {
            if !leaving.state.is_empty() {
                back.query_pairs_mut().append_pair("state", &leaving.state);
            }
            Redirect::to(back.as_str()).into_response()
        }
        _ => (StatusCode::OK, "Déconnecté.\n").into_response(),
    }
}

/// Logout by the client, as Keycloak has it: with the refresh token or the ID token.
async fn log_out(
    State(shared): State<Shared>,
    headers: HeaderMap,
    peer: Peer,
    Form(form): Form<TokenForm>,
) -> Response {
    if !shared.is_client(&headers, &peer, &form.credentials) {
        return unknown_client();
    }
    let by_refresh = shared.end_session_of(&form.refresh_token, "Refresh");
    if shared.end_session_of(&form.id_token_hint, "ID") || by_refresh {
        StatusCode::NO_CONTENT.into_response()
    } else {
        error(StatusCode::BAD_REQUEST, "invalid_request", "No refresh token and no id_token_hint")
    }
}
