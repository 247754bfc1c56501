//! A BAL and how it is opened. One profile or the other: Pro Santé Connect for BAL PER, ORG and CAB, a certificate ORG AUTH_CLI for
//! BAL APP (client.md §1.1). ECO-MULTI: a program holds as many accounts as it likes.

use std::sync::Arc;

use async_trait::async_trait;
use mssante::Address;
use psc::Secret;
use trust::tls::Identity;

use crate::explain::{Explain, Fault, Told};

/// A server of an operator's API LPS.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Its DNS name, which its certificate must hold.
    pub host: String,
    /// Its port; STARTTLS.
    pub port: u16,
}

/// How a BAL is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Authentication {
    /// SASL XOAUTH2 with an access token of Pro Santé Connect.
    Psc,
    /// TLS with a client certificate, SASL EXTERNAL.
    Certificate,
}

/// Where a BAL is read and where its mail is handed over.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EntryPoints {
    /// Reading.
    pub imap: Endpoint,
    /// Sending.
    pub smtp: Endpoint,
    /// What both ask for.
    pub authentication: Authentication,
}

/// Why there is no access token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Nobody is logged in, or the PSC session is over (15 minutes idle, 4 hours): the user must log in again. ECO.1.2.6, ECO.1.2.7
    #[error("the Pro Santé Connect session is over: log in again")]
    LoginNeeded,
    /// PSC could not be asked now.
    #[error("Pro Santé Connect cannot be reached: {0}")]
    Unreachable(String),
    /// PSC refuses this software. Holds the OAuth error code.
    #[error("Pro Santé Connect refuses: {0}")]
    Refused(String),
}

impl Explain for TokenError {
    fn told(&self) -> Told {
        match self {
            TokenError::LoginNeeded => Told::new(
                "login.needed",
                Fault::User,
                "la session Pro Santé Connect est terminée",
                ("Identifiez-vous de nouveau.", "Log in again."),
            ),
            TokenError::Unreachable(why) => Told::new(
                "login.unreachable",
                Fault::Psc,
                format!("Pro Santé Connect est injoignable : {why}"),
                ("Réessayez dans un instant.", "Try again in a moment."),
            )
            .passing(),
            TokenError::Refused(why) => Told::new(
                "login.refused",
                Fault::Host,
                format!("Pro Santé Connect refuse : {why}"),
                (
                    "Vérifiez l'identifiant et le secret du client déclaré à Pro Santé Connect.",
                    "Check the identifier and the secret of the client declared to Pro Santé Connect.",
                ),
            ),
        }
    }
}

/// Gives access tokens. Asked each time a session is opened, never before: tokens live one or two minutes. ECO-TOKEN
#[async_trait]
pub trait TokenSource: Send + Sync {
    /// A token that has still some seconds to live, refreshed when it has not.
    ///
    /// # Errors
    /// [`TokenError`].
    async fn token(&self) -> Result<Secret, TokenError>;

    /// An operator refused this token: the next one should be another, when there can be one (ECO.1.2.7). Nothing by default.
    async fn refused(&self, token: &Secret) {
        let _ = token;
    }

    /// National identifier of who is logged in, for traces; none before a login.
    fn author(&self) -> Option<String>;
}

/// What opens a BAL.
#[derive(Clone)]
pub enum Credentials {
    /// Somebody logged in through Pro Santé Connect.
    Psc(Arc<dyn TokenSource>),
    /// The certificate of an application.
    Certificate(Identity),
}

/// A BAL that can be opened.
#[derive(Clone)]
pub struct Account {
    /// Its address.
    pub address: Address,
    /// Where.
    pub entry: EntryPoints,
    /// With what; fits [`EntryPoints::authentication`].
    pub credentials: Credentials,
}

impl Account {
    /// Who acts, for traces: the national identifier of the person, or the certificate's common name. ECO.4.1.2
    #[must_use]
    pub fn author(&self) -> String {
        match &self.credentials {
            Credentials::Psc(source) => source.author().unwrap_or_default(),
            Credentials::Certificate(identity) => identity.subject().map(|name| name.to_string()).unwrap_or_default(),
        }
    }
}
