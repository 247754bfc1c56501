//! Pro Santé Connect as one client reaches it. Clones share everything.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use openssl::pkey::PKey;
use serde::Deserialize;
use trust::SharedClock;
use trust::http::LazyClient;
use trust::tls::Anchors;
use url::Url;
use zeroize::Zeroizing;

use super::endpoints::{Discovery, Endpoints, Given};
use super::settings::{self, Channel};
use super::wire::{self, Limits, MAX_ANSWER, Tokens};
use super::{Call, LoginError, OAuthCode, Settings, SettingsError};
use crate::config::is_safe;
use crate::{DEFAULT_SKEW, Secret};

/// Age from which discovery is made again: PSC announces a move long before.
const DISCOVERY_LIFE: Duration = Duration::from_secs(3600);

/// Pro Santé Connect, with the client that this software is.
#[derive(Clone)]
pub struct Provider(Arc<Inner>);

struct Inner {
    issuer: String,
    client_id: String,
    proof: Proof,
    scope: String,
    acr_values: String,
    channel: Channel,
    redirect_port: Option<u16>,
    http: LazyClient,
    limits: Limits,
    clock: SharedClock,
    discovery: Url,
    given: Given,
    found: tokio::sync::Mutex<Option<Found>>,
}

/// How the client proves who it is.
enum Proof {
    /// HTTP Basic (RFC 6749 §2.3.1).
    Secret(Secret),
    /// The certificate the HTTP client shows (RFC 8705 §2.1).
    Certificate,
}

struct Found {
    at: SystemTime,
    jwks: Option<Url>,
    endpoints: Arc<Endpoints>,
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider")
            .field("issuer", &self.0.issuer)
            .field("client_id", &self.0.client_id)
            .finish_non_exhaustive()
    }
}

impl Provider {
    /// PSC by these settings; file names are relative to `base`. Reads files, connects to nothing yet.
    ///
    /// # Errors
    /// [`SettingsError`] for settings no login could safely be made with.
    pub fn new(settings: &Settings, base: &Path, clock: SharedClock) -> Result<Provider, SettingsError> {
        for (name, value) in [("issuer", &settings.issuer), ("client_id", &settings.client_id)] {
            if value.trim().is_empty() {
                return Err(SettingsError::Empty(name));
            }
        }
        if !settings.scope.split(' ').any(|word| word == "openid") {
            return Err(SettingsError::Scope);
        }
        let discovery = match &settings.discovery {
            Some(url) => url.clone(),
            None => format!("{}/.well-known/wallet-openid-configuration", settings.issuer.trim_end_matches('/'))
                .parse()
                .map_err(|_| SettingsError::Insecure("issuer"))?,
        };
        let given = Given::of(settings);
        let named = given.named().into_iter().filter_map(|(name, url)| Some((name, url?)));
        if let Some((name, _)) = named.chain([("issuer", &discovery)]).find(|(_, url)| !is_safe(url)) {
            return Err(SettingsError::Insecure(name));
        }
        let anchors = match &settings.anchors {
            None => None,
            Some(path) => {
                let pem = settings::read(base, "anchors", path)?;
                let content = |_| SettingsError::Content {
                    key: "anchors",
                    path: base.join(path),
                    expected: "certificates in PEM form",
                };
                Some(Anchors::from_pem(&pem).map_err(content)?)
            }
        };
        let mut shown = None;
        let proof = match (&settings.client_secret_file, &settings.certificate, &settings.key) {
            (Some(path), None, None) => Proof::Secret(secret(base, path)?),
            (None, Some(certificate), Some(key)) => {
                shown = Some(identity(base, certificate, key)?);
                Proof::Certificate
            }
            _ => return Err(SettingsError::Authentication),
        };
        let http = LazyClient::new(move || {
            let builder = trust::http::builder(anchors.as_ref().map(Anchors::certificates))?;
            Ok(shown.iter().fold(builder, |builder, shown| builder.identity(shown.clone())).build()?)
        });
        Ok(Provider(Arc::new(Inner {
            issuer: settings.issuer.clone(),
            client_id: settings.client_id.clone(),
            proof,
            scope: settings.scope.clone(),
            acr_values: settings.acr_values.clone(),
            channel: settings.ciba_channel,
            redirect_port: settings.redirect_port,
            http,
            limits: Limits::default(),
            clock,
            discovery,
            given,
            found: tokio::sync::Mutex::new(None),
        })))
    }

    /// The exact issuer.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.0.issuer
    }

    /// The client declared to PSC.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.0.client_id
    }

    /// What CIBA logins are answered with unless said otherwise.
    #[must_use]
    pub fn channel(&self) -> Channel {
        self.0.channel
    }

    /// The port of the loopback address that is declared to PSC, when one is.
    #[must_use]
    pub fn redirect_port(&self) -> Option<u16> {
        self.0.redirect_port
    }

    /// Where a browser leaves the provider's own session, when it offers that (OpenID Connect RP-Initiated Logout 1.0).
    ///
    /// # Errors
    /// [`LoginError`] when the provider cannot be discovered.
    pub async fn end_session_endpoint(&self) -> Result<Option<Url>, LoginError> {
        Ok(self.endpoints().await?.end_session.clone())
    }

    pub(super) fn scope(&self) -> &str {
        &self.0.scope
    }

    pub(super) fn acr_values(&self) -> &str {
        &self.0.acr_values
    }

    pub(super) fn skew(&self) -> Duration {
        DEFAULT_SKEW
    }

    pub(super) fn now(&self) -> SystemTime {
        self.0.clock.now()
    }

    /// Where PSC is; discovered at the first need and every hour, by one caller at a time. An outage keeps what is known.
    pub(super) async fn endpoints(&self) -> Result<Arc<Endpoints>, LoginError> {
        let mut found = self.0.found.lock().await;
        let http = self.http(Call::Discovery)?;
        if found.is_none()
            && let Some(endpoints) = self.0.given.complete(http, &self.0.clock)
        {
            *found = Some(Found { at: self.now(), jwks: None, endpoints: Arc::new(endpoints) });
        }
        if let Some(known) = &*found {
            let age = self.now().duration_since(known.at).unwrap_or_default();
            if known.jwks.is_none() || age < DISCOVERY_LIFE {
                return Ok(Arc::clone(&known.endpoints));
            }
        }
        let discovery = Discovery {
            http,
            clock: &self.0.clock,
            limits: self.0.limits,
            url: &self.0.discovery,
            issuer: &self.0.issuer,
            by_certificate: matches!(self.0.proof, Proof::Certificate),
        };
        let before = found.as_ref().and_then(|known| Some((known.jwks.as_ref()?, known.endpoints.as_ref())));
        match (discovery.make(&self.0.given, before).await, &*found) {
            (Ok((jwks, endpoints)), _) => {
                let endpoints = Arc::new(endpoints);
                *found = Some(Found { at: self.now(), jwks: Some(jwks), endpoints: Arc::clone(&endpoints) });
                Ok(endpoints)
            }
            (Err(LoginError::Unreachable(_)), Some(known)) => Ok(Arc::clone(&known.endpoints)),
            (Err(error), _) => Err(error),
        }
    }

    /// Posts a form as the client. The answer is a `T`, or PSC's error code.
    pub(super) async fn post<T: for<'de> Deserialize<'de>>(
        &self,
        call: Call,
        url: &Url,
        fields: &[(&str, &str)],
    ) -> Result<Result<T, OAuthCode>, LoginError> {
        wire::read(&self.send(call, url, fields).await?, call)
    }

    /// The same where only success matters.
    pub(super) async fn tell(&self, call: Call, url: &Url, fields: &[(&str, &str)]) -> Result<(), LoginError> {
        let answer = self.send(call, url, fields).await?;
        if answer.status.is_success() {
            return Ok(());
        }
        match wire::read::<serde::de::IgnoredAny>(&answer, call)? {
            Ok(_) => Ok(()),
            Err(code) => Err(LoginError::of_code(code, call)),
        }
    }

    /// The client, made at the first need.
    fn http(&self, call: Call) -> Result<&reqwest::Client, LoginError> {
        self.0.http.get().map_err(|error| {
            tracing::warn!(%error, "no HTTP client for PSC");
            LoginError::Unreachable(call)
        })
    }

    async fn send(&self, call: Call, url: &Url, fields: &[(&str, &str)]) -> Result<wire::Answer, LoginError> {
        let request = self.http(call)?.post(url.clone());
        let request = match &self.0.proof {
            Proof::Secret(secret) => {
                // RFC 6749 §2.3.1: both are form-encoded before they are put together.
                let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
                let password = Zeroizing::new(encoded(secret.expose()));
                request.basic_auth(encoded(&self.0.client_id), Some(password.as_str())).form(fields)
            }
            Proof::Certificate => {
                let mut fields = fields.to_vec();
                fields.push(("client_id", &self.0.client_id));
                request.form(&fields)
            }
        };
        wire::exchange(request, call, MAX_ANSWER, self.0.limits).await
    }

    /// Asks the token endpoint.
    pub(super) async fn tokens(&self, fields: &[(&str, &str)]) -> Result<Result<Tokens, OAuthCode>, LoginError> {
        let endpoints = self.endpoints().await?;
        match self.post::<Tokens>(Call::Token, &endpoints.token, fields).await? {
            Ok(tokens) => tokens.check().map(Ok),
            Err(code) => Ok(Err(code)),
        }
    }
}

fn secret(base: &Path, path: &Path) -> Result<Secret, SettingsError> {
    let octets = Zeroizing::new(settings::read(base, "client_secret_file", path)?);
    let text = std::str::from_utf8(&octets).ok().map(str::trim).filter(|text| !text.is_empty());
    match text {
        Some(text) if !text.contains(char::is_control) => Ok(Secret::new(text)),
        _ => Err(SettingsError::Content {
            key: "client_secret_file",
            path: base.join(path),
            expected: "a secret alone on its line",
        }),
    }
}

/// The certificate the HTTP client shows.
fn identity(base: &Path, certificate: &Path, key: &Path) -> Result<reqwest::Identity, SettingsError> {
    let chain = settings::read(base, "certificate", certificate)?;
    let pem = Zeroizing::new(settings::read(base, "key", key)?);
    let of = |name: &'static str, path: &Path, expected| SettingsError::Content {
        key: name,
        path: base.join(path),
        expected,
    };
    // Checks that they fit and are strong enough; reqwest alone would fail at the first connection.
    trust::tls::Identity::from_pem(&chain, &pem)
        .map_err(|_| of("certificate", certificate, "a certificate with its chain that fits psc.key"))?;
    let private = PKey::private_key_from_pem_callback(&pem, |_| Ok(0)).map_err(|_| of("key", key, "a private key"))?;
    let pkcs8 = private.private_key_to_pem_pkcs8().map_err(|_| of("key", key, "a private key"))?;
    let pkcs8 = Zeroizing::new(pkcs8);
    reqwest::Identity::from_pkcs8_pem(&chain, &pkcs8)
        .map_err(|_| of("certificate", certificate, "a certificate with its chain"))
}
