//! The end of a session, by a browser or by the client.

use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use url::Url;

use crate::login;
use crate::provider::{TokenForm, error, unknown_client};
use crate::realm::{Peer, Realm};

/// What a browser leaves with (OIDC RP-Initiated Logout §2).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Leaving {
    id_token_hint: String,
    post_logout_redirect_uri: String,
    state: String,
}

impl Realm {
    /// Ends the session of a token of ours, expired or not.
    fn end_session_of(&self, token: &str, kind: &str) -> bool {
        match self.open(token) {
            Some(claims) if claims["typ"] == kind => {
                self.sessions().end(claims["sid"].as_str().unwrap_or_default());
                true
            }
            _ => false,
        }
    }
}

/// Logout by the browser: back to an address on this machine, or to the login page.
pub(crate) async fn leave(State(realm): State<Realm>, Query(leaving): Query<Leaving>) -> Response {
    if !realm.end_session_of(&leaving.id_token_hint, "ID") {
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
pub(crate) async fn log_out(
    State(realm): State<Realm>,
    headers: HeaderMap,
    peer: Peer,
    Form(form): Form<TokenForm>,
) -> Response {
    if !realm.is_client(&headers, &peer, &form.credentials) {
        return unknown_client();
    }
    let by_refresh = realm.end_session_of(&form.refresh_token, "Refresh");
    if realm.end_session_of(&form.id_token_hint, "ID") || by_refresh {
        StatusCode::NO_CONTENT.into_response()
    } else {
        error(StatusCode::BAD_REQUEST, "invalid_request", "No refresh token and no id_token_hint")
    }
}
