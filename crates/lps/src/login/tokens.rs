//! A PSC session in this process, as what opens a BAL.

use async_trait::async_trait;
use psc::Secret;
use psc::login::{LoginError, PscSession};

use crate::account::{TokenError, TokenSource};

/// Access tokens of a session held in this process.
#[derive(Debug, Clone)]
pub struct PscTokens(PscSession);

impl PscTokens {
    /// Those of this session.
    #[must_use]
    pub fn new(session: PscSession) -> PscTokens {
        PscTokens(session)
    }

    /// The session.
    #[must_use]
    pub fn session(&self) -> &PscSession {
        &self.0
    }
}

#[async_trait]
impl TokenSource for PscTokens {
    async fn token(&self) -> Result<Secret, TokenError> {
        self.0.access_token().await.map_err(TokenError::from)
    }

    async fn refused(&self, token: &Secret) {
        self.0.was_refused(|own| own.expose() == token.expose());
    }

    fn author(&self) -> Option<String> {
        Some(self.0.person().as_str().to_owned())
    }
}

impl From<LoginError> for TokenError {
    fn from(error: LoginError) -> TokenError {
        match error {
            LoginError::Over(_) | LoginError::OtherPerson | LoginError::IdToken(_) => TokenError::LoginNeeded,
            LoginError::Client(code) | LoginError::Refused(code) => TokenError::Refused(code.to_string()),
            LoginError::Unreachable(call) | LoginError::BadAnswer(call) => TokenError::Unreachable(call.to_string()),
            // Errors of logins, which asking for a token does not make.
            other => TokenError::Refused(other.to_string()),
        }
    }
}
