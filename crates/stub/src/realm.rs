//! One issuer: what it works with, what it was told, what it is asked; and its paths.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Extension, FromRequestParts};
use axum::http::{HeaderMap, header};
use axum::middleware;
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;
use trust::SharedClock;
use trust::dn::Dn;
use trust::tls::TlsInfo;

use crate::address::{CERTS, CIBA, INTROSPECT, LOGOUT, REALM, REVOKE, TOKEN, TRAP, USERINFO};
use crate::calls::{Call, Calls, Expectation};
use crate::ciba::{self, Requests};
use crate::keys::{CLIENT_ID, Keys, PublicKey};
use crate::people::Person;
use crate::sessions::{Bounded, Sessions};
use crate::tokens::{MAX_NAME, Tokens};
use crate::trap::{self, MAX_BAIT, MAX_BAITS};
use crate::{Bait, Psc, Scenario, StubError, TokenRule, login, logout, mishap, phone, provider, seconds};

/// What a realm works with.
#[derive(Clone)]
pub struct Service {
    /// Its keys and its client's secret.
    pub keys: Arc<Keys>,
    /// Tells the time.
    pub clock: SharedClock,
    /// Life of the access tokens of logins.
    pub token_ttl: Duration,
    /// Whose certificate proves the client, instead of the secret.
    pub client: Option<Dn>,
    /// Who can log in.
    pub people: Arc<[Person]>,
}

/// One issuer. Cheap to clone.
#[derive(Clone)]
pub struct Realm(Arc<Inner>);

struct Inner {
    issuer: Arc<Issuer>,
    /// The realm it is a door of.
    whole: Option<Realm>,
    addresses: Psc,
    scenario: Mutex<Option<Played>>,
    baits: Mutex<Bounded<Bait>>,
    calls: Calls,
}

/// What all doors of a realm have in common.
struct Issuer {
    service: Service,
    addresses: Psc,
    sessions: Mutex<Sessions>,
    requests: Mutex<Requests>,
    tokens: Mutex<Tokens>,
}

/// A scenario and its end.
struct Played {
    scenario: Arc<Scenario>,
    until: Instant,
}

/// Whatever a panic left behind is consistent: every change is one insertion, removal or replacement.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Realm {
    /// A realm at these addresses; it serves nothing yet.
    #[must_use]
    pub fn new(addresses: Psc, service: Service) -> Realm {
        let issuer = Issuer {
            service,
            addresses: addresses.clone(),
            sessions: Mutex::new(Sessions::new()),
            requests: Mutex::default(),
            tokens: Mutex::new(Tokens::new()),
        };
        Realm::at(addresses, Arc::new(issuer), None)
    }

    fn at(addresses: Psc, issuer: Arc<Issuer>, whole: Option<Realm>) -> Realm {
        Realm(Arc::new(Inner {
            issuer,
            whole,
            addresses,
            scenario: Mutex::default(),
            baits: Mutex::new(Bounded::new(MAX_BAITS)),
            calls: Calls::default(),
        }))
    }

    /// Another door of the same issuer, at these addresses: the same keys, people, sessions and tokens; scenarios, baits and calls of its own. Its
    /// calls are the whole realm's too, and what is played there is played here when nothing else is.
    #[must_use]
    pub fn door(&self, addresses: Psc) -> Realm {
        Realm::at(addresses, Arc::clone(&self.0.issuer), Some(self.clone()))
    }

    /// Its paths, under [`Psc::origin`].
    pub fn router(&self) -> Router {
        let realm = Router::new()
            .route("/.well-known/wallet-openid-configuration", get(provider::discovery))
            .route("/.well-known/openid-configuration", get(provider::discovery))
            .route(CERTS, get(provider::certs))
            .route(TOKEN, post(provider::token))
            .route(INTROSPECT, post(provider::introspect))
            .route(USERINFO, get(provider::userinfo).post(provider::userinfo))
            .route(REVOKE, post(provider::revoke))
            .route(LOGOUT, get(logout::leave).post(logout::log_out))
            .route(CIBA, post(ciba::ask));
        Router::new()
            .nest(REALM, realm)
            .route("/auth", get(login::page).post(login::choose))
            .route("/ciba", get(phone::page).post(phone::answer))
            .route("/ciba/phone", post(phone::set))
            .route("/identites", get(login::identities))
            .route(&format!("{TRAP}/{{name}}"), get(trap::serve).post(trap::serve))
            .layer(middleware::from_fn_with_state(self.clone(), mishap::watch))
            .with_state(self.clone())
    }

    // --- what it is told ---------------------------------------------------------------------------------------------------------

    /// Plays a scenario for so long; the one before ends. It ends by itself, whatever becomes of who asked.
    ///
    /// # Errors
    /// A scenario that cannot be played.
    pub fn play(&self, scenario: Scenario, length: Duration) -> Result<(), StubError> {
        scenario.check()?;
        let until = Instant::now() + length;
        *lock(&self.0.scenario) = Some(Played { scenario: Arc::new(scenario), until });
        Ok(())
    }

    /// Ends the scenario now.
    pub fn behave(&self) {
        *lock(&self.0.scenario) = None;
    }

    /// What is played; nothing special when none is.
    pub fn scenario(&self) -> Arc<Scenario> {
        let mut played = lock(&self.0.scenario);
        if played.as_ref().is_some_and(|played| Instant::now() >= played.until) {
            *played = None;
        }
        match (played.as_ref(), &self.0.whole) {
            (Some(played), _) => Arc::clone(&played.scenario),
            (None, Some(whole)) => whole.scenario(),
            (None, None) => Arc::default(),
        }
    }

    /// Tells what is to be said of a token.
    ///
    /// # Errors
    /// A name or a note that is too long.
    pub fn tell(&self, jti: &str, rule: TokenRule) -> Result<(), StubError> {
        let idnat = rule.idnat.as_deref().unwrap_or_default();
        if jti.is_empty() || [jti, &rule.scenario, idnat].iter().any(|text| text.len() > MAX_NAME) {
            return Err(StubError::Scenario(format!("jti, idnat, scenario: 1 to {MAX_NAME} octets")));
        }
        lock(&self.0.issuer.tokens).put(jti, rule);
        Ok(())
    }

    /// What was told of a token.
    pub fn rule(&self, jti: &str) -> Option<TokenRule> {
        lock(&self.0.issuer.tokens).get(jti).cloned()
    }

    /// Lays a bait at a trap address ([`Psc::trap`]).
    ///
    /// # Errors
    /// A name that cannot stand in an address, a document that is too long, a type that cannot stand in a header.
    pub fn lay(&self, name: &str, bait: Bait) -> Result<(), StubError> {
        let is_name = |c: u8| c.is_ascii_alphanumeric() || b"-_.".contains(&c);
        if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(is_name) {
            return Err(StubError::Scenario("trap: letters, digits, - _ . in its name".to_owned()));
        }
        if bait.body.len() > MAX_BAIT || header::HeaderValue::from_str(&bait.media_type).is_err() {
            return Err(StubError::Scenario(format!("trap: a media type, and at most {MAX_BAIT} octets")));
        }
        lock(&self.0.baits).insert(name.to_owned(), bait);
        Ok(())
    }

    pub(crate) fn bait(&self, name: &str) -> Bait {
        lock(&self.0.baits).get(name).cloned().unwrap_or_default()
    }

    // --- what it is asked --------------------------------------------------------------------------------------------------------

    /// The number of the last call; 0 before the first.
    pub fn last_call(&self) -> u64 {
        self.0.calls.last()
    }

    /// The calls after a number, oldest first, at most [`crate::MAX_ANSWERED`].
    pub fn calls(&self, since: u64) -> Vec<Call> {
        self.0.calls.since(since)
    }

    pub(crate) fn note(&self, call: Call) {
        if let Some(whole) = &self.0.whole {
            whole.note(call.clone());
        }
        self.0.calls.add(call);
    }

    /// Whether a call about this token had to come.
    pub(crate) fn expectation(&self, jti: Option<&str>) -> Expectation {
        jti.and_then(|jti| lock(&self.0.issuer.tokens).get(jti).map(|rule| rule.expectation)).unwrap_or_default()
    }

    // --- what it knows -----------------------------------------------------------------------------------------------------------

    /// Where its endpoints are.
    pub fn addresses(&self) -> &Psc {
        &self.0.addresses
    }

    /// Keys, clock, people.
    pub fn service(&self) -> &Service {
        &self.0.issuer.service
    }

    pub(crate) fn person(&self, id: &str) -> Option<&Person> {
        self.0.issuer.service.people.iter().find(|person| person.id == id)
    }

    pub(crate) fn now(&self) -> i64 {
        seconds(self.0.issuer.service.clock.now())
    }

    /// The exact issuer: of all its doors.
    pub fn issuer(&self) -> String {
        self.0.issuer.addresses.issuer()
    }

    pub(crate) fn requests(&self) -> MutexGuard<'_, Requests> {
        lock(&self.0.issuer.requests)
    }

    pub(crate) fn sessions(&self) -> MutexGuard<'_, Sessions> {
        lock(&self.0.issuer.sessions)
    }

    /// The claims of a token signed by us, or by a key published with the scenario.
    pub(crate) fn open(&self, token: &str) -> Option<Value> {
        let ours = self.0.issuer.service.keys.signing.open(token);
        ours.or_else(|| {
            let scenario = self.scenario();
            let keys = scenario.keys.iter().filter_map(|key| PublicKey::read(key).ok());
            keys.into_iter().find_map(|key| key.open(token))
        })
    }

    /// The claims of a token of ours that is active now.
    pub(crate) fn active(&self, token: &str) -> Option<Value> {
        let claims = self.open(token)?;
        let text = |name: &str| claims[name].as_str().unwrap_or_default();
        let ended = self.sessions().is_ended(text("jti"), text("sid"));
        let told = self.rule(text("jti")).and_then(|rule| rule.active);
        let alive = crate::tokens::is_in_its_time(&claims, self.now()) && told != Some(false);
        (alive && !ended && text("iss") == self.0.issuer.service.keys.issuer).then_some(claims)
    }

    /// Whether the request comes from the client: HTTP Basic, its id and secret in the form, or its id and its certificate (RFC 8705).
    pub(crate) fn is_client(&self, headers: &HeaderMap, peer: &Peer, form: &Credentials) -> bool {
        let shown = peer.0.as_ref().and_then(|tls| tls.client().ok());
        let unsaid = form.client_secret.is_empty() && !headers.contains_key(header::AUTHORIZATION);
        let certificate = self.0.issuer.service.client.as_ref();
        if unsaid && form.client_id == CLIENT_ID && shown.is_some_and(|shown| Some(&shown.subject) == certificate) {
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
        let ours = self.0.issuer.service.keys.client_secret.as_bytes();
        let secret = secret.as_bytes();
        id == CLIENT_ID && secret.len() == ours.len() && openssl::memcmp::eq(secret, ours)
    }
}

/// What the other end of a connection showed.
pub(crate) struct Peer(Option<Arc<TlsInfo>>);

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
pub(crate) struct Credentials {
    pub client_id: String,
    pub client_secret: String,
}
