//! Signing in at an OpenID provider: authorization code with PKCE, state, nonce and the issuer's name in its return ([`psc::login`] does that part),
//! and what its claims make of somebody here.
//!
//! Invariants:
//! * an account is found by (issuer, subject), never by a name or an address that a provider may give to somebody else one day;
//! * a return is taken once, from the browser that began ([`Pending`]);
//! * nobody gets an account by signing in unless the configuration says so, and then the first [`Grant`] that fits says which one: the application's
//!   administrator is never made so;
//! * the provider's second factor counts only when the configuration names how it is told (`acr`, `amr`), and the ID token says so.

mod grant;
mod pending;

use std::path::{Path, PathBuf};

use psc::login::{Claims, LoginError, Provider, SettingsError};
use serde::Deserialize;
use trust::SharedClock;
use url::Url;

pub use grant::{Grant, Granted};
pub(crate) use pending::{Pending, Purpose};

/// Where the provider sends browsers back to, under the application's address: to be declared to it.
pub const RETURN: &str = "/connexion/retour";
/// Where the provider tells of those who left (back-channel logout): to be declared to it.
pub const BACK_CHANNEL: &str = "/connexion/fin";

/// The section `[oidc]`. Unknown keys are refused; paths are relative to the file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcSettings {
    /// What it is called on the button: `ProConnect`.
    pub name: String,
    /// The exact issuer.
    pub issuer: String,
    /// The client that this application is there.
    pub client_id: String,
    /// File holding its secret, alone on its line.
    pub client_secret_file: PathBuf,
    /// Authorities (PEM) that the provider's servers are believed by; the machine's when absent.
    #[serde(default)]
    pub anchors: Option<PathBuf>,
    /// What is asked for.
    #[serde(default = "scopes")]
    pub scopes: String,
    /// The level asked for.
    #[serde(default)]
    pub acr_values: String,
    /// One of these must be the `acr` of the ID token: then no second factor of ours is asked for.
    #[serde(default)]
    pub required_acr: Vec<String>,
    /// Each of these must be in its `amr`: likewise.
    #[serde(default)]
    pub required_amr: Vec<String>,
    /// Whether those that a grant fits get an account when they come for the first time.
    #[serde(default)]
    pub create: bool,
    /// Who gets what; the first that fits.
    #[serde(default, rename = "grant")]
    pub grants: Vec<Grant>,
    /// Whether whoever leaves here is sent to leave the provider too, when it offers that.
    #[serde(default = "yes")]
    pub end_session: bool,
}

fn scopes() -> String {
    "openid".to_owned()
}

fn yes() -> bool {
    true
}

/// What no sign-in could safely be made with.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// A value that cannot be.
    #[error("[oidc] {0}")]
    Value(&'static str),
    /// The provider's part.
    #[error("[oidc] {0}")]
    Provider(#[from] SettingsError),
}

/// A provider.
pub struct Oidc {
    settings: OidcSettings,
    provider: Provider,
    redirect: Url,
    pub(crate) pending: Pending,
}

impl Oidc {
    /// By these settings, for an application at `url`. Reads files, connects to nothing yet.
    ///
    /// # Errors
    /// [`OidcError`].
    pub fn new(settings: OidcSettings, url: &str, clock: SharedClock) -> Result<Oidc, OidcError> {
        settings.check()?;
        let redirect =
            format!("{url}{RETURN}").parse().map_err(|_| OidcError::Value("url of the application: not an address"))?;
        let mut of =
            psc::login::Settings::of_issuer(&settings.issuer, &settings.client_id, settings.client_secret_file.clone());
        of.anchors.clone_from(&settings.anchors);
        of.scope.clone_from(&settings.scopes);
        of.acr_values.clone_from(&settings.acr_values);
        let provider = Provider::new(&of, Path::new(""), clock)?;
        Ok(Oidc { settings, provider, redirect, pending: Pending::default() })
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// The exact issuer.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.settings.issuer
    }

    /// Whether it makes accounts.
    pub(crate) fn creates(&self) -> bool {
        self.settings.create
    }

    /// Begins a sign-in.
    pub(crate) async fn begin(&self) -> Result<psc::login::RedirectLogin, LoginError> {
        self.provider.redirect(self.redirect.clone(), None).await
    }

    /// Checks a logout token.
    pub(crate) async fn logged_out(&self, token: &str) -> Result<psc::login::LoggedOut, LoginError> {
        self.provider.logged_out(token).await
    }

    /// Where a browser that left here leaves the provider, when that is wanted and offered; it comes back to `home`.
    pub(crate) async fn farewell(&self, home: &str) -> Option<Url> {
        if !self.settings.end_session {
            return None;
        }
        let mut url = self.provider.end_session_endpoint().await.ok()??;
        // OpenID Connect RP-Initiated Logout 1.0 §2: the client's name stands for an ID token, which is not kept here.
        url.query_pairs_mut()
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("post_logout_redirect_uri", home);
        Some(url)
    }

    /// Whether the second factor is the provider's business: then [`Oidc::has_factor`] must be so.
    pub(crate) fn asks_factor(&self) -> bool {
        !self.settings.required_acr.is_empty() || !self.settings.required_amr.is_empty()
    }

    /// Whether the claims tell of the level that the configuration asks for.
    pub(crate) fn has_factor(&self, claims: &Claims) -> bool {
        let OidcSettings { required_acr: acr, required_amr: amr, .. } = &self.settings;
        let has_acr = acr.is_empty() || claims.text("acr").is_some_and(|said| acr.iter().any(|one| one == said));
        has_acr && amr.iter().all(|one| claims.has("amr", one))
    }

    /// What the configuration makes of somebody.
    pub(crate) fn granted(&self, claims: &Claims) -> Option<Granted<'_>> {
        self.settings.grants.iter().find(|grant| grant.fits(claims)).map(Grant::granted)
    }
}

impl OidcSettings {
    fn check(&self) -> Result<(), OidcError> {
        let wrong = |text| Err(OidcError::Value(text));
        if self.name.trim().is_empty() || self.issuer.trim().is_empty() || self.client_id.trim().is_empty() {
            return wrong("name, issuer and client_id are needed");
        }
        if !self.scopes.split(' ').any(|word| word == "openid") {
            return wrong("scopes must hold openid");
        }
        if self.create && self.grants.is_empty() {
            return wrong("create needs at least one [[oidc.grant]]: who gets an account, and of which operator");
        }
        if !self.create && !self.grants.is_empty() {
            return wrong("[[oidc.grant]] is for accounts made at sign-in: say create = true, or take it away");
        }
        self.grants.iter().try_for_each(Grant::check)
    }
}

/// The login of an account made for somebody: what they are called there, and a mark that tells it from any name chosen here.
pub(crate) fn login(claims: &Claims, issuer: &str) -> String {
    const LONGEST: usize = 80;
    let said = ["preferred_username", "email"].into_iter().find_map(|name| claims.text(name)).unwrap_or("compte");
    let name: String =
        said.chars().filter(|c| c.is_ascii_alphanumeric() || "@._-".contains(*c)).take(LONGEST).collect();
    let mark = openssl::sha::sha256(format!("{issuer}\n{}", claims.subject()).as_bytes());
    let mark: String = mark[..5].iter().map(|octet| format!("{octet:02x}")).collect();
    format!("{}+{mark}", if name.is_empty() { "compte" } else { &name })
}

#[cfg(test)]
mod tests {
    use trust::SystemClock;

    use super::*;

    fn settings(text: &str) -> Result<Oidc, OidcError> {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("secret"), "s\n").expect("written");
        let whole = format!(
            "name = \"Essai\"\nclient_id = \"controle\"\nclient_secret_file = \"{}\"\n{text}",
            folder.path().join("secret").display()
        );
        let settings: OidcSettings = toml::from_str(&whole).expect("TOML");
        Oidc::new(settings, "https://controle.test", SystemClock::shared())
    }

    #[test]
    fn what_is_not_taken() {
        let good = "issuer = \"https://fournisseur.test\"\n";
        assert!(settings(good).is_ok());
        let grant = "[[grant]]\nclaim = \"groups\"\nvalue = \"a\"\norganisation = \"Alpha\"\n";
        assert!(settings(&format!("{good}create = true\n{grant}")).is_ok());
        for bad in [
            "issuer = \"http://fournisseur.test\"\n".to_owned(),
            "issuer = \"\"\n".to_owned(),
            format!("{good}scopes = \"profile\"\n"),
            format!("{good}create = true\n"),
            format!("{good}{grant}"),
            format!("{good}create = true\n{grant}role = \"administrateur\"\n"),
            format!("{good}create = true\n{grant}role = \"regulateur\"\n"),
            format!("{good}create = true\n[[grant]]\nclaim = \"groups\"\nvalue = \"a\"\n"),
            format!("{good}create = true\n[[grant]]\nclaim = \"\"\nvalue = \"a\"\norganisation = \"A\"\n"),
            format!("{good}anchors = \"/absent\"\n"),
        ] {
            assert!(settings(&bad).is_err(), "{bad}");
        }
    }
}
