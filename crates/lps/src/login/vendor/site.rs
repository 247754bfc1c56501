//! The program's side.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use openssl::x509::X509;
use psc::Secret;
use reqwest::{Client, RequestBuilder, StatusCode};
use serde::Deserialize;
use url::Url;
use zeroize::Zeroizing;

use crate::account::{TokenError, TokenSource};
use crate::explain::{Explain, Fault, Remedy, Told};
use crate::login::browser::Browser;
use crate::login::loopback::{self, Awaited, Knock, Loopback};

/// Largest answer read: a token and little more.
const MAX_ANSWER: usize = psc::MAX_TOKEN + 4096;
/// Longest exchange: the vendor's with PSC takes ten seconds at most.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(20);
/// Longest return of a browser.
const MAX_RETURN: usize = 1024;

/// Why the vendor's server logs nobody in.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// The address is neither HTTPS nor on this machine, or the authorities cannot be used.
    #[error("the address or the authorities of the vendor's server cannot be used")]
    Settings,
    /// No port of this machine can be listened on.
    #[error("cannot listen on 127.0.0.1: {0}")]
    Listen(std::io::Error),
    /// It does not answer.
    #[error("the vendor's server does not answer")]
    Unreachable,
    /// It answers something else than it should.
    #[error("the vendor's server gave an unusable answer")]
    BadAnswer,
    /// A return that belongs to no login here.
    #[error("the return belongs to another login")]
    WrongState,
    /// The login failed there. Holds the code of its error.
    #[error("the login failed ({0})")]
    Failed(String),
    /// Nobody came back in time.
    #[error("the login was not answered in time")]
    Expired,
    /// The session is over.
    #[error("the Pro Santé Connect session is over: log in again")]
    Over,
    /// The machine gives no random numbers.
    #[error("no random numbers")]
    Random,
}

impl Explain for SiteError {
    fn told(&self) -> Told {
        const ADDRESS: Remedy = (
            "Vérifiez l'adresse du serveur de l'éditeur et ses autorités.",
            "Check the address of the vendor's server and its authorities.",
        );
        const LOG_IN: Remedy = ("Identifiez-vous de nouveau.", "Log in again.");
        match self {
            SiteError::Settings => Told::new(
                "vendor.settings",
                Fault::Host,
                "l'adresse ou les autorités du serveur de l'éditeur sont inutilisables",
                ADDRESS,
            ),
            SiteError::Listen(error) => Told::new(
                "vendor.port-taken",
                Fault::Host,
                format!("impossible d'écouter sur 127.0.0.1 : {error}"),
                ("Fermez le programme qui utilise ce port.", "Close the program that uses this port."),
            ),
            SiteError::Unreachable => Told::new(
                "vendor.unreachable",
                Fault::Network,
                "le serveur de l'éditeur ne répond pas",
                ("Réessayez dans un instant.", "Try again in a moment."),
            )
            .passing(),
            SiteError::BadAnswer => Told::new(
                "vendor.bad-answer",
                Fault::Host,
                "le serveur de l'éditeur a donné une réponse inutilisable",
                ADDRESS,
            ),
            SiteError::WrongState => Told::new(
                "vendor.wrong-state",
                Fault::User,
                "ce retour est celui d'une autre connexion",
                (
                    "Recommencez depuis ce logiciel, et n'ouvrez pas d'adresse reçue d'ailleurs.",
                    "Try again from this program, and open no address received from elsewhere.",
                ),
            ),
            SiteError::Failed(code) => {
                Told::new("vendor.login-failed", Fault::User, format!("la connexion a échoué ({code})"), LOG_IN)
            }
            SiteError::Expired => Told::new(
                "vendor.expired",
                Fault::User,
                "personne n'a répondu à temps à la demande de connexion",
                LOG_IN,
            ),
            SiteError::Over => {
                Told::new("vendor.session-over", Fault::User, "la session Pro Santé Connect est terminée", LOG_IN)
            }
            SiteError::Random => Told::new(
                "vendor.no-randomness",
                Fault::Host,
                "ce poste ne donne pas de nombres aléatoires",
                ("Redémarrez ce poste.", "Restart this machine."),
            ),
        }
    }
}

impl From<SiteError> for TokenError {
    fn from(error: SiteError) -> TokenError {
        match error {
            SiteError::Over => TokenError::LoginNeeded,
            SiteError::Unreachable | SiteError::BadAnswer => TokenError::Unreachable(error.to_string()),
            other => TokenError::Refused(other.to_string()),
        }
    }
}

/// The vendor's server as a program reaches it.
#[derive(Debug, Clone)]
pub struct Site {
    base: Url,
    http: Client,
}

impl Site {
    /// The server whose [`Vendor`](super::Vendor) routes are under `base`, which ends with `/`. Without `anchors` the machine's authorities are believed.
    ///
    /// # Errors
    /// [`SiteError::Settings`].
    pub fn new(base: Url, anchors: Option<&[X509]>) -> Result<Site, SiteError> {
        let here = match base.host() {
            Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
            Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
            Some(url::Host::Domain(name)) => name == "localhost",
            None => false,
        };
        if base.cannot_be_a_base() || !(base.scheme() == "https" || (base.scheme() == "http" && here)) {
            return Err(SiteError::Settings);
        }
        let http = trust::http::builder(anchors).and_then(|builder| Ok(builder.build()?));
        Ok(Site { base, http: http.map_err(|_| SiteError::Settings)? })
    }

    /// Logs somebody in with the browser. `announce` is given the address to open. Can be dropped at any time.
    ///
    /// # Errors
    /// [`SiteError`].
    pub async fn log_in(&self, how: Browser, announce: impl FnOnce(&Url)) -> Result<VendorTokens, SiteError> {
        let (secret, state) = super::word().zip(super::word()).ok_or(SiteError::Random)?;
        let loopback = Loopback::bind(how.port.unwrap_or(0)).await.map_err(SiteError::Listen)?;
        let mut url = self.base.join("connexion").map_err(|_| SiteError::Settings)?;
        url.query_pairs_mut()
            .append_pair("demande", &super::challenge(&secret))
            .append_pair("port", &loopback.port().to_string())
            .append_pair("etat", state.expose());
        if let Some(person) = &how.person {
            url.query_pairs_mut().append_pair("personne", person.as_str());
        }
        announce(&url);
        if how.open {
            loopback::open(&url);
        }
        let login = SiteLogin { site: self.clone(), secret, state };
        loopback.wait(login).await.unwrap_or(Err(SiteError::Expired))
    }

    fn post(&self, path: &str) -> Result<RequestBuilder, SiteError> {
        Ok(self.http.post(self.base.join(path).map_err(|_| SiteError::Settings)?))
    }
}

struct SiteLogin {
    site: Site,
    secret: Secret,
    state: Secret,
}

impl Awaited for SiteLogin {
    type Return = Secret;
    type Session = VendorTokens;
    type Error = SiteError;

    fn check(&self, query: &str) -> Knock<Secret, SiteError> {
        if query.len() > MAX_RETURN {
            return Knock::Stranger(SiteError::WrongState);
        }
        let (mut state, mut ticket, mut error) = (None, None, None);
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let field = match &*name {
                "etat" => &mut state,
                "billet" => &mut ticket,
                "erreur" => &mut error,
                _ => continue,
            };
            if field.replace(Secret::new(value.into_owned())).is_some() {
                return Knock::Stranger(SiteError::WrongState);
            }
        }
        let ours = state.is_some_and(|state: Secret| {
            let (said, known) = (state.expose().as_bytes(), self.state.expose().as_bytes());
            said.len() == known.len() && openssl::memcmp::eq(said, known)
        });
        match (ours, ticket, error) {
            (false, _, _) => Knock::Stranger(SiteError::WrongState),
            (true, Some(ticket), None) => Knock::Ours(ticket),
            (true, None, Some(error)) => Knock::Fatal(SiteError::Failed(code(error.expose()))),
            _ => Knock::Stranger(SiteError::WrongState),
        }
    }

    async fn finish(self, ticket: Secret) -> Result<VendorTokens, SiteError> {
        #[derive(Deserialize)]
        struct Opened {
            session: Secret,
            person: String,
        }
        let form = [("billet", ticket.expose()), ("secret", self.secret.expose())];
        let opened: Opened = read(self.site.post("session")?.form(&form)).await?;
        Ok(VendorTokens { site: self.site, handle: opened.session, person: opened.person })
    }
}

/// Access tokens of a session that the vendor's server holds. Nothing of PSC's stays in this program but the token in use.
#[derive(Clone)]
pub struct VendorTokens {
    site: Site,
    handle: Secret,
    person: String,
}

impl fmt::Debug for VendorTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VendorTokens").field("site", &self.site.base.as_str()).finish_non_exhaustive()
    }
}

impl VendorTokens {
    /// Ends the session, at the vendor's and at PSC.
    ///
    /// # Errors
    /// [`SiteError`] when that is not certain.
    pub async fn logout(&self) -> Result<(), SiteError> {
        let answer = self.site.post("deconnexion")?.bearer_auth(self.handle.expose()).timeout(EXCHANGE_TIMEOUT).send();
        let answer = answer.await.map_err(|_| SiteError::Unreachable)?;
        if answer.status() == StatusCode::NO_CONTENT { Ok(()) } else { Err(SiteError::BadAnswer) }
    }
}

#[async_trait]
impl TokenSource for VendorTokens {
    async fn token(&self) -> Result<Secret, TokenError> {
        #[derive(Deserialize)]
        struct Given {
            token: Secret,
        }
        let given: Given = read(self.site.post("jeton")?.bearer_auth(self.handle.expose())).await?;
        Ok(given.token)
    }

    fn author(&self) -> Option<String> {
        Some(self.person.clone())
    }
}

/// A code of ours in an answer, cut to what one may hold.
fn code(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-')).take(64).collect()
}

/// Sends a request and reads its answer, bounded, into memory that is wiped.
async fn read<T: for<'de> Deserialize<'de>>(request: RequestBuilder) -> Result<T, SiteError> {
    let mut response = request.timeout(EXCHANGE_TIMEOUT).send().await.map_err(|_| SiteError::Unreachable)?;
    let mut body = Zeroizing::new(Vec::with_capacity(MAX_ANSWER));
    while let Some(chunk) = response.chunk().await.map_err(|_| SiteError::Unreachable)? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(SiteError::BadAnswer);
        }
        body.extend_from_slice(&chunk);
    }
    match response.status() {
        StatusCode::OK => serde_json::from_slice(&body).map_err(|_| SiteError::BadAnswer),
        StatusCode::UNAUTHORIZED => Err(SiteError::Over),
        StatusCode::FORBIDDEN => Err(SiteError::WrongState),
        StatusCode::SERVICE_UNAVAILABLE => Err(SiteError::Unreachable),
        _ => {
            #[derive(Deserialize)]
            struct Problem {
                error: String,
            }
            let problem: Problem = serde_json::from_slice(&body).map_err(|_| SiteError::BadAnswer)?;
            Err(SiteError::Failed(code(&problem.error)))
        }
    }
}
