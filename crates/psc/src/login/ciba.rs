//! CIBA: the software asks, the person answers on their phone or card, the software polls (OpenID CIBA Core 1.0; client.md §3.2).
//!
//! PSC offers the poll mode only, and wants a `binding_message` of exactly two digits: they are shown here and on the phone, and the
//! person compares them, which is what keeps somebody else's request from being approved by habit.

use std::fmt;
use std::time::Duration;

use mssante::NationalId;
use tokio::time::Instant;

use super::refresh::Given;
use super::wire::{self, Asked};
use super::{Call, Channel, LoginError, OAuthCode, Provider, PscSession, random};
use crate::Secret;

/// Pause between two polls when PSC names none (CIBA Core §7.3).
const USUAL_INTERVAL: Duration = Duration::from_secs(5);
/// Shortest pause, whatever PSC says.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);
/// Longest pause, whatever PSC says: somebody is waiting.
const LONGEST_INTERVAL: Duration = Duration::from_secs(60);
/// What `slow_down` adds (CIBA Core §11).
const SLOWER: Duration = Duration::from_secs(5);
/// Longest wait, whatever PSC says.
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);

/// The two digits that the person compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BindingMessage(u8);

impl fmt::Display for BindingMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}", self.0)
    }
}

/// A login that waits for its person. Dropped, it is given up; PSC lets it expire.
pub struct CibaLogin {
    provider: Provider,
    request: Secret,
    binding: BindingMessage,
    channel: Channel,
    person: NationalId,
    interval: Duration,
    deadline: Instant,
    /// Tokens that PSC gave, to be believed once its keys can be had: it gives them once.
    given: Option<Given>,
}

impl fmt::Debug for CibaLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CibaLogin")
            .field("channel", &self.channel)
            .field("interval", &self.interval)
            .finish_non_exhaustive()
    }
}

impl Provider {
    /// Asks PSC to have `person` answer. Show [`CibaLogin::binding_message`], then [`CibaLogin::wait`].
    ///
    /// # Errors
    /// [`LoginError::NoCiba`], [`LoginError::UnknownPerson`], [`LoginError::Client`] when CIBA is not activated for this client…
    pub async fn ciba(&self, person: NationalId, channel: Channel) -> Result<CibaLogin, LoginError> {
        let endpoints = self.endpoints().await?;
        let url = endpoints.ciba.as_ref().ok_or(LoginError::NoCiba)?;
        let binding = BindingMessage(random::below_hundred()?);
        let digits = binding.to_string();
        let fields = [
            ("scope", self.scope()),
            ("acr_values", self.acr_values()),
            ("login_hint", person.as_str()),
            ("binding_message", &digits),
            ("channel", channel.code()),
        ];
        let begun = Instant::now();
        let asked = self.post::<Asked>(Call::Ciba, url, &fields).await?;
        let asked = asked.map_err(|code| LoginError::of_code(code, Call::Ciba))?;
        if !wire::is_token(&asked.auth_req_id) {
            return Err(LoginError::BadAnswer(Call::Ciba));
        }
        let interval = asked.interval.map_or(USUAL_INTERVAL, Duration::from_secs);
        Ok(CibaLogin {
            provider: self.clone(),
            request: asked.auth_req_id,
            binding,
            channel,
            person,
            interval: interval.clamp(SHORTEST_INTERVAL, LONGEST_INTERVAL),
            deadline: begun + Duration::from_secs(asked.expires_in).min(LONGEST_WAIT),
            given: None,
        })
    }
}

impl CibaLogin {
    /// The two digits to show; the person's phone shows the same.
    #[must_use]
    pub fn binding_message(&self) -> BindingMessage {
        self.binding
    }

    /// What the person answers with.
    #[must_use]
    pub fn channel(&self) -> Channel {
        self.channel
    }

    /// Time left to answer.
    #[must_use]
    pub fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Polls until there is an answer. Can be dropped at any time.
    ///
    /// # Errors
    /// [`LoginError::Denied`], [`LoginError::Expired`], [`LoginError::OtherPerson`], or what else PSC says. A PSC that cannot be
    /// reached for a while is asked again until the time is up.
    pub async fn wait(mut self) -> Result<PscSession, LoginError> {
        let mut last = LoginError::Expired;
        loop {
            tokio::time::sleep_until((Instant::now() + self.interval).min(self.deadline)).await;
            match self.poll().await {
                Ok(session) => return Ok(session),
                Err(LoginError::Refused(OAuthCode::AuthorizationPending)) => last = LoginError::Expired,
                Err(LoginError::Refused(OAuthCode::SlowDown)) => self.interval = self.interval.saturating_add(SLOWER),
                Err(error) if error.is_temporary() => last = error,
                Err(error) => return Err(error),
            }
            if Instant::now() >= self.deadline {
                return Err(last);
            }
        }
    }

    async fn poll(&mut self) -> Result<PscSession, LoginError> {
        if self.given.is_none() {
            let asked = self.provider.now();
            let fields = [("grant_type", "urn:openid:params:grant-type:ciba"), ("auth_req_id", self.request.expose())];
            let tokens = self.provider.tokens(&fields).await?.map_err(|code| LoginError::of_code(code, Call::Token))?;
            self.given = Some(Given { tokens, asked });
        }
        let Some(given) = &self.given else { return Err(LoginError::BadAnswer(Call::Token)) };
        let person = self.provider.prove(&given.tokens, None).await?;
        // Whoever else approved, their mail is not what was asked for.
        if person != self.person {
            return Err(LoginError::OtherPerson);
        }
        let given = self.given.take().ok_or(LoginError::BadAnswer(Call::Token))?;
        Ok(PscSession::begin(self.provider.clone(), given, person))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn always_two_digits() {
        assert_eq!([0, 7, 42, 99].map(|n| BindingMessage(n).to_string()), ["00", "07", "42", "99"]);
    }
}
