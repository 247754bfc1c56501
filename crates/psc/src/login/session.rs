//! A PSC session: access tokens for as long as it lives (client.md §3.3; ECO.1.2.5, ECO.1.2.6, ECO.1.2.7).
//!
//! Invariants:
//! * a token is given with some of its life left, or fresh from PSC; one refresh at a time, whoever asks meanwhile shares its outcome;
//! * a refresh that was begun is carried through even when its caller is gone: PSC may have rotated the refresh token;
//! * the session is over after [`SESSION_IDLE`] without a use, [`SESSION_MAX`] after the login, when PSC says so, or at
//!   [`PscSession::logout`]; its tokens are wiped at that moment and it never comes back;
//! * PSC being silent ends nothing: the error is temporary, and a token that is still good is given meanwhile.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use mssante::NationalId;
use url::Url;

use super::refresh::Given;
use super::{Call, Handover, LoginError, Over, Provider};
use crate::Secret;

/// A session that nobody used for this long is over.
pub const SESSION_IDLE: Duration = Duration::from_secs(15 * 60);
/// A session is over after this long.
pub const SESSION_MAX: Duration = Duration::from_secs(4 * 3600);
/// What a token given must still have to live: a TCP connection, a TLS handshake and a SASL exchange, on a slow line. Of tokens that
/// live shorter than twice that, half their life.
pub const MIN_LIFE: Duration = Duration::from_secs(20);

/// Somebody logged in. Clones are the same session; dropping the last one forgets it without telling PSC.
#[derive(Clone)]
pub struct PscSession(Arc<Inner>);

struct Inner {
    provider: Provider,
    person: NationalId,
    begun: SystemTime,
    state: Mutex<State>,
    /// Held during an exchange that changes the tokens.
    flight: tokio::sync::Mutex<()>,
}

pub(super) struct State {
    pub access: Option<Access>,
    pub refresh: Option<Secret>,
    pub refresh_until: Option<SystemTime>,
    pub id_token: Option<Secret>,
    pub last_used: SystemTime,
    over: Option<Over>,
    /// How many refreshes were made, and what became of the last when it gave nothing.
    rounds: u64,
    failed: Option<LoginError>,
}

pub(super) struct Access {
    pub token: Secret,
    pub until: SystemTime,
    pub life: Duration,
    /// Whether somebody it was for did not take it.
    pub refused: bool,
}

impl fmt::Debug for PscSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PscSession").field("provider", &self.0.provider).finish_non_exhaustive()
    }
}

impl PscSession {
    pub(super) fn begin(provider: Provider, given: Given, person: NationalId) -> PscSession {
        let begun = provider.now();
        let mut state = State {
            access: None,
            refresh: None,
            refresh_until: None,
            id_token: None,
            last_used: begun,
            over: None,
            rounds: 0,
            failed: None,
        };
        state.take(given);
        PscSession::of(provider, person, begun, state)
    }

    fn of(provider: Provider, person: NationalId, begun: SystemTime, state: State) -> PscSession {
        let (state, flight) = (Mutex::new(state), tokio::sync::Mutex::new(()));
        PscSession(Arc::new(Inner { provider, person, begun, state, flight }))
    }

    /// Who is logged in.
    #[must_use]
    pub fn person(&self) -> &NationalId {
        &self.0.person
    }

    /// PSC.
    #[must_use]
    pub fn provider(&self) -> &Provider {
        &self.0.provider
    }

    /// When the person logged in.
    #[must_use]
    pub fn begun(&self) -> SystemTime {
        self.0.begun
    }

    /// When the session will be over unless it is used before; past, when it is over.
    #[must_use]
    pub fn ends(&self) -> SystemTime {
        let state = self.0.state();
        match state.over {
            Some(_) => SystemTime::UNIX_EPOCH,
            None => (state.last_used + SESSION_IDLE).min(self.0.begun + SESSION_MAX),
        }
    }

    /// Why the session is over, if it is.
    #[must_use]
    pub fn over(&self) -> Option<Over> {
        let mut state = self.0.state();
        self.0.judge(&mut state).err()
    }

    /// An access token to be used now. Counts as a use of the session.
    ///
    /// # Errors
    /// [`LoginError::Over`]: a new login is needed. [`LoginError::Unreachable`]: PSC is silent. Others: PSC refuses.
    pub async fn access_token(&self) -> Result<Secret, LoginError> {
        let seen = {
            let mut state = self.0.state();
            if let Some(token) = self.0.ready(&mut state)? {
                return Ok(token);
            }
            state.rounds
        };
        let inner = Arc::clone(&self.0);
        // A task of its own: see the module's second invariant. It fails only when the runtime ends.
        tokio::spawn(async move { inner.renew(seen).await }).await.unwrap_or(Err(LoginError::Unreachable(Call::Token)))
    }

    /// A token was refused by whom it was for: it is not given again, when another can be had. Tells whether it was the one at hand.
    pub fn was_refused(&self, is_it: impl Fn(&Secret) -> bool) -> bool {
        let mut state = self.0.state();
        // Without a refresh token there will be no other.
        let has_more = state.refresh.is_some();
        match state.access.as_mut().filter(|access| has_more && is_it(&access.token)) {
            Some(access) => {
                access.refused = true;
                true
            }
            None => false,
        }
    }

    /// Ends the session here and at PSC (RFC 7009, RP-initiated logout). Here it is over whatever PSC answers.
    ///
    /// # Errors
    /// When PSC could not be told; its own limits then end the session there.
    pub async fn logout(&self) -> Result<(), LoginError> {
        let inner = Arc::clone(&self.0);
        tokio::spawn(async move { inner.logout().await }).await.unwrap_or(Err(LoginError::Unreachable(Call::Logout)))
    }

    /// Where a browser ends its own session at PSC, if PSC has such a page. The address holds the ID token: for the browser only.
    pub async fn logout_page(&self, back_to: Option<&Url>) -> Option<Secret> {
        let endpoints = self.0.provider.endpoints().await.ok()?;
        let mut url = endpoints.end_session.clone()?;
        let state = self.0.state();
        let id_token = state.id_token.as_ref()?;
        url.query_pairs_mut().append_pair("id_token_hint", id_token.expose());
        if let Some(back) = back_to {
            url.query_pairs_mut().append_pair("post_logout_redirect_uri", back.as_str());
        }
        Some(Secret::new(String::from(url)))
    }

    /// Takes the session out of this process: what is given back is all there is of it, and here it is over.
    ///
    /// # Errors
    /// [`LoginError::Over`].
    pub async fn hand_over(self) -> Result<Handover, LoginError> {
        let _alone = self.0.flight.lock().await;
        let mut state = self.0.state();
        self.0.judge(&mut state).map_err(LoginError::Over)?;
        let handover = Handover::of(&self.0.provider, &self.0.person, self.0.begun, &mut state);
        state.end(Over::LoggedOut);
        Ok(handover)
    }
}

impl Provider {
    /// Goes on with a session that another process handed over.
    ///
    /// # Errors
    /// [`LoginError::WrongIssuer`] when it is of another PSC or client; [`LoginError::Over`].
    pub fn take_over(&self, handover: Handover) -> Result<PscSession, LoginError> {
        let (person, begun, parts) = handover.open(self)?;
        let state = State {
            access: parts.access,
            refresh: parts.refresh,
            refresh_until: parts.refresh_until,
            id_token: parts.id_token,
            last_used: parts.last_used,
            over: None,
            rounds: 0,
            failed: None,
        };
        let session = PscSession::of(self.clone(), person, begun, state);
        session.over().map_or(Ok(()), |over| Err(LoginError::Over(over)))?;
        Ok(session)
    }
}

impl State {
    /// Keeps new tokens; a refresh token that is not given again goes on serving (RFC 6749 §6).
    fn take(&mut self, given: Given) {
        let (life, refresh_until) = (given.life(), given.refresh_until());
        self.access =
            Some(Access { until: given.asked + life, token: given.tokens.access_token, life, refused: false });
        if let Some(refresh) = given.tokens.refresh_token {
            self.refresh = Some(refresh);
            self.refresh_until = refresh_until;
        }
        if let Some(id_token) = given.tokens.id_token {
            self.id_token = Some(id_token);
        }
    }

    /// Over: every token is wiped.
    fn end(&mut self, why: Over) {
        self.over.get_or_insert(why);
        self.access = None;
        self.refresh = None;
        self.id_token = None;
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while holding it; a poisoned state would still be a whole one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the session lives, ending it when its time has come.
    fn judge(&self, state: &mut State) -> Result<(), Over> {
        if let Some(over) = state.over {
            return Err(over);
        }
        let now = self.provider.now();
        // A clock that goes back prolongs nothing beyond PSC's own limits.
        let since = |instant: SystemTime| now.duration_since(instant).unwrap_or_default();
        let useless = state.refresh_until.is_some_and(|until| now >= until)
            && state.access.as_ref().is_none_or(|access| now >= access.until);
        let over = if since(self.begun) >= SESSION_MAX {
            Over::Age
        } else if since(state.last_used) >= SESSION_IDLE || useless {
            Over::Idle
        } else {
            return Ok(());
        };
        state.end(over);
        Err(over)
    }

    /// The token held, when it will do.
    fn ready(&self, state: &mut State) -> Result<Option<Secret>, LoginError> {
        self.judge(state).map_err(LoginError::Over)?;
        let now = self.provider.now();
        let left = |access: &Access| access.until.duration_since(now).unwrap_or_default();
        let token = state
            .access
            .as_ref()
            .filter(|access| !access.refused && !access.life.is_zero() && left(access) >= MIN_LIFE.min(access.life / 2))
            .map(|access| access.token.clone());
        if token.is_some() {
            state.last_used = now;
        }
        Ok(token)
    }

    /// A token after a refresh, unless another was made since `seen`.
    async fn renew(&self, seen: u64) -> Result<Secret, LoginError> {
        let _alone = self.flight.lock().await;
        let refresh = {
            let mut state = self.state();
            if let Some(token) = self.ready(&mut state)? {
                return Ok(token);
            }
            if state.rounds != seen
                && let Some(error) = &state.failed
            {
                return Err(error.clone());
            }
            // A session without refresh token lasts as long as its token.
            match &state.refresh {
                Some(refresh) => refresh.clone(),
                None => {
                    state.end(Over::Refused);
                    return Err(LoginError::Over(Over::Refused));
                }
            }
        };
        let outcome = self.provider.refresh(&refresh, &self.person).await;
        let mut state = self.state();
        state.rounds += 1;
        state.failed = None;
        let now = self.provider.now();
        match outcome {
            Ok(given) => {
                let token = given.tokens.access_token.clone();
                state.take(given);
                state.last_used = now;
                Ok(token)
            }
            Err(error @ LoginError::Unreachable(_)) => {
                if let Some(access) = state.access.as_ref().filter(|access| now < access.until) {
                    return Ok(access.token.clone());
                }
                state.failed = Some(error.clone());
                Err(error)
            }
            Err(error) => {
                if matches!(error, LoginError::Over(_) | LoginError::OtherPerson | LoginError::IdToken(_)) {
                    state.end(Over::Refused);
                }
                state.failed = Some(error.clone());
                Err(error)
            }
        }
    }

    async fn logout(&self) -> Result<(), LoginError> {
        // After a refresh under way: what it brings is what must be revoked.
        let _alone = self.flight.lock().await;
        let (refresh, id_token) = {
            let mut state = self.state();
            let tokens = (state.refresh.take(), state.id_token.take());
            state.end(Over::LoggedOut);
            tokens
        };
        if refresh.is_none() && id_token.is_none() {
            return Ok(());
        }
        let endpoints = self.provider.endpoints().await?;
        let mut outcome = Ok(());
        if let (Some(url), Some(refresh)) = (&endpoints.revocation, &refresh) {
            let fields = [("token", refresh.expose()), ("token_type_hint", "refresh_token")];
            outcome = self.provider.tell(Call::Revocation, url, &fields).await;
        }
        if let Some(url) = &endpoints.end_session {
            let mut fields = Vec::new();
            fields.extend(id_token.as_ref().map(|token| ("id_token_hint", token.expose())));
            fields.extend(refresh.as_ref().map(|token| ("refresh_token", token.expose())));
            let told = self.provider.tell(Call::Logout, url, &fields).await;
            // Either of them ends the session at PSC.
            if endpoints.revocation.is_none() || outcome.is_err() {
                outcome = told;
            }
        }
        outcome
    }
}
