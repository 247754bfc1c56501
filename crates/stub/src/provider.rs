//! Discovery, keys, tokens, introspection, userinfo, revocation.

use axum::Json;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::claims::{self, Login, SESSION_IDLE};
use crate::keys::CLIENT_ID;
use crate::mishap::About;
use crate::realm::{Credentials, Peer, Realm, Service};
use crate::scenario::Behaviour;
use crate::{TokenRule, ciba};

pub(crate) async fn discovery(State(realm): State<Realm>) -> Json<Value> {
    let psc = realm.addresses();
    Json(json!({
        "issuer": realm.issuer(),
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

pub(crate) async fn certs(State(realm): State<Realm>) -> Json<Value> {
    let scenario = realm.scenario();
    let mut keys = scenario.keys.clone();
    if scenario.jwks != Behaviour::Rotated {
        keys.insert(0, realm.service().keys.signing.jwk());
    }
    Json(json!({ "keys": keys }))
}

/// The form of the token, introspection and revocation endpoints.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct TokenForm {
    grant_type: String,
    code: String,
    redirect_uri: String,
    code_verifier: String,
    pub refresh_token: String,
    token: String,
    auth_req_id: String,
    pub id_token_hint: String,
    #[serde(flatten)]
    pub credentials: Credentials,
}

/// CIBA Core §10.1.
const CIBA_GRANT: &str = "urn:openid:params:grant-type:ciba";

/// RFC 6749 §5.2.
pub(crate) fn error(status: StatusCode, code: &str, why: &str) -> Response {
    (status, [(header::CACHE_CONTROL, "no-store")], Json(json!({ "error": code, "error_description": why })))
        .into_response()
}

pub(crate) fn unknown_client() -> Response {
    let mut response =
        error(StatusCode::UNAUTHORIZED, "invalid_client", "Invalid client or Invalid client credentials");
    response
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Basic realm=\"esante-wallet\""));
    response
}

pub(crate) async fn token(
    State(realm): State<Realm>,
    headers: HeaderMap,
    peer: Peer,
    Form(form): Form<TokenForm>,
) -> Response {
    if !realm.is_client(&headers, &peer, &form.credentials) {
        return unknown_client();
    }
    let now = realm.now();
    let refused = |why| error(StatusCode::BAD_REQUEST, "invalid_grant", why);
    let login = match form.grant_type.as_str() {
        "authorization_code" => {
            let Some(code) = realm.sessions().take_code(&form.code, now) else { return refused("Code not valid") };
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
            realm.sessions().open(code.login.clone(), now);
            code.login
        }
        "refresh_token" => {
            let claims = realm.active(&form.refresh_token).filter(|claims| claims["typ"] == "Refresh");
            let Some(claims) = claims else { return refused("Invalid refresh token") };
            let sid = claims["sid"].as_str().unwrap_or_default();
            match realm.sessions().touch(sid, now) {
                Some(login) => login,
                None => return refused("Session not active"),
            }
        }
        CIBA_GRANT => match ciba::grant(&realm, &form.auth_req_id, now) {
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
    match tokens(&realm, &login, now) {
        Ok(body) => ([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response(),
        Err(problem) => {
            tracing::error!("a token could not be signed: {problem}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn tokens(realm: &Realm, login: &Login, now: i64) -> Result<Value, openssl::error::ErrorStack> {
    let Service { keys, token_ttl, .. } = realm.service();
    let access = claims::access(&keys.issuer, login, now, *token_ttl);
    let jti = access["jti"].as_str().unwrap_or_default();
    // Every token given is known by its jti, as those that campaigns make.
    if let Err(problem) = realm.tell(jti, TokenRule { scenario: "connexion".to_owned(), ..TokenRule::default() }) {
        tracing::warn!("a token given is not noted: {problem}");
    }
    Ok(json!({
        "access_token": keys.signing.sign(&access)?,
        "expires_in": token_ttl.as_secs(),
        "refresh_token": keys.signing.sign(&claims::refresh(&keys.issuer, login, now))?,
        "refresh_expires_in": SESSION_IDLE.as_secs(),
        "id_token": keys.signing.sign(&claims::id_token(&keys.issuer, login, realm.person(&login.id), now))?,
        "token_type": "Bearer",
        "not-before-policy": 0,
        "session_state": login.sid,
        "scope": login.scope,
    }))
}

/// RFC 7662. `SubjectNameID` is given for access tokens only, as PSC documents it.
pub(crate) async fn introspect(
    State(realm): State<Realm>,
    headers: HeaderMap,
    peer: Peer,
    Form(form): Form<TokenForm>,
) -> Response {
    let about = About::token(&form.token);
    if !realm.is_client(&headers, &peer, &form.credentials) {
        return about.on(unknown_client());
    }
    let active = realm.active(&form.token).filter(|_| realm.scenario().introspection != Behaviour::Inactive);
    let Some(mut claims) = active else { return about.on(Json(json!({ "active": false }))) };
    if claims["typ"] == "Bearer" {
        if let Some(id) = told_identity(&realm, &claims) {
            (claims["SubjectNameID"], claims["preferred_username"]) = (json!(id), json!(id));
        }
        if let Some(name) = claims.get("preferred_username").cloned() {
            claims["username"] = name;
        }
    } else if let Some(map) = claims.as_object_mut() {
        map.remove("SubjectNameID");
    }
    claims["active"] = json!(true);
    claims["client_id"] = json!(CLIENT_ID);
    about.on(Json(claims))
}

/// Whose a token is that does not say it itself, when that was told of its `jti`. // JWT-19
fn told_identity(realm: &Realm, claims: &Value) -> Option<String> {
    realm.rule(claims["jti"].as_str()?)?.idnat
}

/// OIDC Core §5.3.
pub(crate) async fn userinfo(State(realm): State<Realm>, headers: HeaderMap) -> Response {
    let bearer =
        headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).and_then(|v| v.strip_prefix("Bearer "));
    let about = bearer.map(|token| About::token(token.trim())).unwrap_or_default();
    let claims = bearer
        .and_then(|token| realm.active(token.trim()))
        .filter(|claims| claims["typ"] == "Bearer" && realm.scenario().userinfo != Behaviour::Inactive);
    let id = claims.as_ref().and_then(|claims| {
        told_identity(&realm, claims).or_else(|| claims["SubjectNameID"].as_str().map(ToOwned::to_owned))
    });
    let Some((claims, id)) = claims.zip(id) else {
        let mut response = error(StatusCode::UNAUTHORIZED, "invalid_token", "Token verification failed");
        let challenge = header::HeaderValue::from_static("Bearer realm=\"esante-wallet\", error=\"invalid_token\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        return about.on(response);
    };
    let mut said = claims::userinfo(&id, realm.person(&id));
    // OIDC Core §5.3.2: the token's.
    if let Some(sub) = claims.get("sub").filter(|sub| sub.is_string()) {
        said["sub"] = sub.clone();
    }
    about.on(Json(said))
}

/// RFC 7009: an access token is no longer active; a refresh token ends its session. Unknown tokens are answered the same.
pub(crate) async fn revoke(
    State(realm): State<Realm>,
    headers: HeaderMap,
    peer: Peer,
    Form(form): Form<TokenForm>,
) -> Response {
    if !realm.is_client(&headers, &peer, &form.credentials) {
        return unknown_client();
    }
    let about = About::token(&form.token);
    if let Some(claims) = realm.active(&form.token) {
        let text = |name: &str| claims[name].as_str().unwrap_or_default();
        if text("typ") == "Refresh" {
            realm.sessions().end(text("sid"));
        } else {
            realm.sessions().revoke(text("jti"));
        }
    }
    about.on(StatusCode::OK)
}
