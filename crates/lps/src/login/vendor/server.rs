//! The vendor's side: routes to be mounted on its server.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use axum::extract::{Form, Query, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use mssante::NationalId;
use psc::Secret;
use psc::login::{LoginError, Provider, PscSession, RedirectLogin};
use serde::Deserialize;
use serde_json::json;
use trust::SharedClock;
use url::Url;

use super::kept::{Begun, Kept, Program};
use crate::explain::Explain;
use crate::login::page;

/// Longest `etat` taken: it is given back.
const MAX_STATE: usize = 128;

/// A vendor's routes: `connexion`, `retour` (declared to PSC as `redirect_uri`), `session`, `jeton`, `deconnexion`.
#[derive(Clone)]
pub struct Vendor(Arc<Inner>);

struct Inner {
    provider: Provider,
    back: Url,
    clock: SharedClock,
    kept: Mutex<Kept>,
}

impl fmt::Debug for Vendor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vendor").field("provider", &self.0.provider).field("back", &self.0.back.as_str()).finish()
    }
}

impl Vendor {
    /// Routes that the browser reaches under `base`, which ends with `/`: `https://lps.editeur.fr/psc/`.
    ///
    /// # Errors
    /// [`LoginError::BadReturn`] for an address no browser could come back to.
    pub fn new(provider: Provider, base: &Url, clock: SharedClock) -> Result<Vendor, LoginError> {
        let back = base.join("retour").map_err(|_| LoginError::BadReturn)?;
        let kept = Mutex::new(Kept::new(clock.now()));
        Ok(Vendor(Arc::new(Inner { provider, back, clock, kept })))
    }

    /// The routes, relative: nest them where `base` says.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/connexion", get(begin))
            .route("/retour", get(back))
            .route("/session", post(redeem))
            .route("/jeton", post(token))
            .route("/deconnexion", post(leave))
            .with_state(self.clone())
    }

    /// What `redirect_uri` must be declared to PSC.
    #[must_use]
    pub fn redirect_uri(&self) -> &Url {
        &self.0.back
    }

    fn now(&self) -> SystemTime {
        self.0.clock.now()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Every change is one insertion or removal: whole whatever panics.
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.sweep(self.now());
        kept
    }
}

/// What a program sends the browser with.
#[derive(Deserialize)]
struct Asked {
    demande: String,
    port: u16,
    etat: String,
    personne: Option<NationalId>,
}

async fn begin(State(vendor): State<Vendor>, Query(asked): Query<Asked>) -> Response {
    let Some(challenge) = super::read_challenge(&asked.demande) else { return page::failed(&LoginError::BadReturn) };
    let plain = asked.etat.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if asked.port == 0 || asked.etat.is_empty() || asked.etat.len() > MAX_STATE || !plain {
        return page::failed(&LoginError::BadReturn);
    }
    match vendor.0.provider.redirect(vendor.0.back.clone(), asked.personne).await {
        Ok(login) => {
            let to = Redirect::to(login.url().as_str()).into_response();
            let program = Program { challenge, port: asked.port, state: asked.etat };
            vendor.kept().begin(Begun { login, program });
            page::guarded(to)
        }
        Err(error) => page::failed(&error),
    }
}

/// The `state` of a return; the login checks everything else.
fn state(query: &str) -> Option<Secret> {
    let mut found = url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "state");
    found.next().map(|(_, value)| Secret::new(value.into_owned()))
}

async fn back(State(vendor): State<Vendor>, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    if query.len() > psc::login::MAX_RETURN {
        return page::failed(&LoginError::BadReturn);
    }
    let Some(state) = state(&query) else { return page::failed(&LoginError::BadReturn) };
    let begun = vendor.kept().take_login(state.expose());
    let Some(Begun { login, program }) = begun else { return page::nothing_here() };
    // A task of its own: a browser that goes away does not leave a session half made.
    let finishing = tokio::spawn(async move { finish(&vendor, login, &query, &program).await });
    finishing.await.unwrap_or_else(|_| page::nothing_here())
}

async fn finish(vendor: &Vendor, login: RedirectLogin, query: &str, program: &Program) -> Response {
    let outcome = match login.check(query) {
        Ok(returned) => login.finish(returned).await,
        Err(error) => Err(error),
    };
    let told = match outcome {
        Ok(session) => match super::word() {
            Some(ticket) => {
                vendor.kept().issue(ticket.expose(), session, program.challenge, vendor.now());
                ("billet", ticket)
            }
            None => ("erreur", Secret::new(LoginError::Random.code())),
        },
        Err(error) => ("erreur", Secret::new(error.code())),
    };
    // Words of base64url and codes of ours: nothing to escape.
    let to = format!("http://127.0.0.1:{}/retour?etat={}&{}={}", program.port, program.state, told.0, told.1.expose());
    page::guarded(Redirect::to(&to).into_response())
}

#[derive(Deserialize)]
struct Redeeming {
    billet: Secret,
    secret: Secret,
}

async fn redeem(State(vendor): State<Vendor>, Form(form): Form<Redeeming>) -> Response {
    let mut kept = vendor.kept();
    let session = kept.redeem(form.billet.expose(), form.secret.expose(), vendor.now());
    let (Some(session), Some(handle)) = (session, super::word()) else { return refused(&LoginError::WrongState) };
    let person = session.person().as_str().to_owned();
    kept.keep(handle.expose(), session);
    answer(StatusCode::OK, &json!({ "session": handle.expose(), "person": person }))
}

/// The handle of a request.
fn handle(headers: &HeaderMap) -> Option<Secret> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    value.strip_prefix("Bearer ").map(Secret::new)
}

async fn token(State(vendor): State<Vendor>, headers: HeaderMap) -> Response {
    let session: Option<PscSession> = handle(&headers).and_then(|handle| vendor.kept().session(handle.expose()));
    let Some(session) = session else { return refused(&LoginError::Over(psc::login::Over::LoggedOut)) };
    match session.access_token().await {
        Ok(token) => answer(StatusCode::OK, &json!({ "token": token.expose() })),
        Err(error) => refused(&error),
    }
}

async fn leave(State(vendor): State<Vendor>, headers: HeaderMap) -> Response {
    let session = handle(&headers).and_then(|handle| vendor.kept().forget(handle.expose()));
    match session {
        None => StatusCode::NO_CONTENT.into_response(),
        Some(session) => match session.logout().await {
            Ok(()) => StatusCode::NO_CONTENT.into_response(),
            Err(error) => refused(&error),
        },
    }
}

fn answer(status: StatusCode, body: &serde_json::Value) -> Response {
    (status, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

/// The code of an error, with the status that says whose turn it is.
fn refused(error: &LoginError) -> Response {
    let status = match error {
        LoginError::Over(_) => StatusCode::UNAUTHORIZED,
        LoginError::WrongState => StatusCode::FORBIDDEN,
        LoginError::Unreachable(_) => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_GATEWAY,
    };
    answer(status, &json!({ "error": error.code() }))
}
