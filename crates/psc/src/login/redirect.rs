//! The code flow: a browser goes to PSC and comes back with a code (OIDC Core §3.1, PKCE of RFC 7636, issuer of RFC 9207).
//!
//! A login is one value: it is made, its [`RedirectLogin::url`] is opened, what comes back is checked as often as anybody knocks
//! ([`RedirectLogin::check`], which changes nothing), and [`RedirectLogin::finish`] consumes it. A stranger's return is told from
//! ours by `state`, so it can neither finish a login nor spoil it.

use std::fmt;
use std::time::{Duration, SystemTime};

use mssante::NationalId;
use url::Url;

use super::refresh::Given;
use super::wire::Tokens;
use super::{Call, Claims, IdTokenFault, LoginError, OAuthCode, Provider, PscSession, id_token, random};
use crate::Secret;

/// Time a person has to log in: PSC's own page gives up sooner.
pub const LOGIN_LIFE: Duration = Duration::from_secs(10 * 60);

/// Longest query of a return, in octets: a code of Keycloak's has about 110, `state` and `session_state` about 80.
pub const MAX_RETURN: usize = 8 * 1024;

/// A login under way in a browser.
pub struct RedirectLogin {
    provider: Provider,
    url: Url,
    redirect_uri: Url,
    state: Secret,
    nonce: Secret,
    verifier: Secret,
    person: Option<NationalId>,
    names_issuer: bool,
    begun: SystemTime,
}

impl fmt::Debug for RedirectLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedirectLogin").field("redirect_uri", &self.redirect_uri.as_str()).finish_non_exhaustive()
    }
}

/// A return that belongs to the login it was checked by.
#[derive(Debug)]
pub struct Return(Result<Secret, OAuthCode>);

impl Provider {
    /// Begins a login whose browser will come back to `redirect_uri`, as it is declared to PSC. With `person`, PSC is told who is
    /// expected and nobody else is let in.
    ///
    /// # Errors
    /// [`LoginError`] when PSC cannot be discovered.
    pub async fn redirect(&self, redirect_uri: Url, person: Option<NationalId>) -> Result<RedirectLogin, LoginError> {
        let endpoints = self.endpoints().await?;
        let (state, nonce, verifier) = (random::word()?, random::word()?, random::word()?);
        let mut url = endpoints.authorization.clone();
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", self.client_id())
            .append_pair("redirect_uri", redirect_uri.as_str())
            .append_pair("scope", self.scope())
            .append_pair("state", state.expose())
            .append_pair("nonce", nonce.expose())
            .append_pair("code_challenge", &random::challenge(&verifier))
            .append_pair("code_challenge_method", "S256");
        if !self.acr_values().is_empty() {
            url.query_pairs_mut().append_pair("acr_values", self.acr_values());
        }
        if let Some(person) = &person {
            url.query_pairs_mut().append_pair("login_hint", person.as_str());
        }
        let names_issuer = endpoints.names_issuer;
        let (provider, begun) = (self.clone(), self.now());
        Ok(RedirectLogin { provider, url, redirect_uri, state, nonce, verifier, person, names_issuer, begun })
    }
}

impl RedirectLogin {
    /// Where the browser must go.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Where it comes back.
    #[must_use]
    pub fn redirect_uri(&self) -> &Url {
        &self.redirect_uri
    }

    /// What tells this login from others: the `state` of its return.
    #[must_use]
    pub fn state(&self) -> &Secret {
        &self.state
    }

    /// Whether too much time has passed for it to be finished.
    #[must_use]
    pub fn is_expired(&self) -> bool {
        self.provider.now().duration_since(self.begun).unwrap_or_default() > LOGIN_LIFE
    }

    /// Reads the query of a return (`code=…&state=…`, without `?`). Changes nothing: only a return of this very login is given back.
    ///
    /// # Errors
    /// [`LoginError::BadReturn`], [`LoginError::WrongState`], [`LoginError::WrongIssuer`], [`LoginError::Expired`].
    pub fn check(&self, query: &str) -> Result<Return, LoginError> {
        if self.is_expired() {
            return Err(LoginError::Expired);
        }
        let fields = Fields::read(query)?;
        let state = fields.state.as_ref().ok_or(LoginError::BadReturn)?;
        if !random::same(state.expose(), self.state.expose()) {
            return Err(LoginError::WrongState);
        }
        match &fields.iss {
            // RFC 9207 §2.4: simple string comparison, and none may be missing where PSC announces them.
            Some(iss) if iss != self.provider.issuer() => return Err(LoginError::WrongIssuer),
            None if self.names_issuer => return Err(LoginError::WrongIssuer),
            _ => {}
        }
        match (fields.code, fields.error) {
            (Some(code), None) if !code.expose().is_empty() => Ok(Return(Ok(code))),
            (None, Some(error)) => Ok(Return(Err(OAuthCode::of(&error)))),
            _ => Err(LoginError::BadReturn),
        }
    }

    /// Exchanges the code for a session.
    ///
    /// # Errors
    /// [`LoginError`]: the person said no, PSC refuses the code, the ID token is not believed, it is another person's.
    pub async fn finish(self, returned: Return) -> Result<PscSession, LoginError> {
        let asked = self.provider.now();
        let tokens = self.exchange(returned).await?;
        let person = self.provider.prove(&tokens, Some(&self.nonce)).await?;
        if self.person.as_ref().is_some_and(|expected| *expected != person) {
            return Err(LoginError::OtherPerson);
        }
        Ok(PscSession::begin(self.provider, Given { tokens, asked }, person))
    }

    /// Exchanges the code for what the ID token says; its tokens are forgotten. For whoever wants to know who somebody is and no more, of any
    /// OpenID provider.
    ///
    /// # Errors
    /// As [`RedirectLogin::finish`].
    pub async fn claims(self, returned: Return) -> Result<Claims, LoginError> {
        let tokens = self.exchange(returned).await?;
        let endpoints = self.provider.endpoints().await?;
        let expected = self.provider.expected(&tokens, Some(&self.nonce));
        let said = id_token::verified(tokens.id_token.as_ref(), &expected, &endpoints.keys).await?;
        Claims::new(said).ok_or_else(|| IdTokenFault::Person.into())
    }

    async fn exchange(&self, returned: Return) -> Result<Tokens, LoginError> {
        let code = returned.0.map_err(|code| LoginError::of_code(code, Call::Token))?;
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code.expose()),
            ("redirect_uri", self.redirect_uri.as_str()),
            ("code_verifier", self.verifier.expose()),
        ];
        self.provider.tokens(&fields).await?.map_err(|code| LoginError::of_code(code, Call::Token))
    }
}

#[derive(Default)]
struct Fields {
    code: Option<Secret>,
    state: Option<Secret>,
    error: Option<String>,
    iss: Option<String>,
}

impl Fields {
    /// RFC 6749 §3.1: no parameter stands twice; unknown ones are ignored.
    fn read(query: &str) -> Result<Fields, LoginError> {
        if query.len() > MAX_RETURN {
            return Err(LoginError::BadReturn);
        }
        let mut fields = Fields::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let once = match &*name {
                "code" => fields.code.replace(Secret::new(value.into_owned())).is_none(),
                "state" => fields.state.replace(Secret::new(value.into_owned())).is_none(),
                "error" => fields.error.replace(value.into_owned()).is_none(),
                "iss" => fields.iss.replace(value.into_owned()).is_none(),
                _ => true,
            };
            if !once {
                return Err(LoginError::BadReturn);
            }
        }
        Ok(fields)
    }
}
