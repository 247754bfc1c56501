//! Sessions of browsers. Only the hash of what the cookie holds is kept.

use super::sql::values;
use super::{Account, AccountId, Db};
use crate::account::secret;
use crate::error::Broken;

/// Longest life of a session, in seconds: a working day.
pub const LIFE: i64 = 10 * 3600;
/// Longest silence, in seconds.
pub const IDLE: i64 = 2 * 3600;
/// How long the second factor may be waited for, in seconds.
const HALF: i64 = 600;
/// A session is marked as seen once in so many seconds: not a write for each page.
const SEEN_EVERY: i64 = 60;

/// A session.
#[derive(Debug, Clone)]
pub struct Session {
    /// The hash of what its cookie holds.
    pub hash: [u8; 32],
    /// Whose.
    pub account: Account,
    /// Must come with every form.
    pub form_key: String,
    /// Whether the second factor was given, or is not asked for.
    pub is_whole: bool,
    /// How the OpenID provider opened it, when it did.
    pub federation: Option<Federation>,
}

/// A session that an OpenID provider opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Federation {
    /// Whether the provider's second factor stands for ours.
    pub is_strong: bool,
    /// The provider's own name for its session (`sid`).
    pub session: Option<String>,
}

impl Db {
    /// Begins a session; what the cookie holds.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn begin_session(&self, account: AccountId, is_whole: bool, now: i64) -> Result<String, Broken> {
        self.begin(account, is_whole, None, now).await
    }

    /// Begins one that the provider opened.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn begin_federated_session(
        &self,
        account: AccountId,
        is_whole: bool,
        federation: Federation,
        now: i64,
    ) -> Result<String, Broken> {
        self.begin(account, is_whole, Some(federation), now).await
    }

    async fn begin(
        &self,
        account: AccountId,
        is_whole: bool,
        federation: Option<Federation>,
        now: i64,
    ) -> Result<String, Broken> {
        let (word, form_key) = (secret::word()?, secret::word()?);
        let is_federated = federation.is_some();
        let (is_strong, session) = federation.map_or((false, None), |one| (one.is_strong, one.session));
        let hash = secret::digest(&word);
        let values = values![hash, account.0, form_key, is_whole, now, is_federated, is_strong, session].to_vec();
        self.change(move |db| {
            db.execute("DELETE FROM session WHERE created < ?1 OR seen < ?2", values![now - LIFE, now - IDLE])?;
            db.execute(
                "INSERT INTO session (hash, account, form_key, is_whole, created, seen, is_federated, is_strong, provider_session)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7, ?8)",
                &values,
            )
        })
        .await?;
        Ok(word)
    }

    /// The session of a cookie, when it still stands and its account is open.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn session(&self, word: &str, now: i64) -> Result<Option<Session>, Broken> {
        self.session_of(secret::digest(word), now).await
    }

    /// The same, by the hash of what the cookie holds.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn session_of(&self, hash: [u8; 32], now: i64) -> Result<Option<Session>, Broken> {
        let found = self
            .read(move |db| {
                db.row(
                    "SELECT s.form_key, s.is_whole, s.created, s.seen, a.login, s.is_federated, s.is_strong, s.provider_session
                     FROM session s JOIN account a ON a.id = s.account WHERE s.hash = ?1 AND a.is_open = 1",
                    values![hash],
                    |row| {
                        let (created, seen): (i64, i64) = (row.get(2)?, row.get(3)?);
                        let federation = match row.get::<bool>(5)? {
                            true => Some(Federation { is_strong: row.get(6)?, session: row.get(7)? }),
                            false => None,
                        };
                        let (form_key, is_whole): (String, bool) = (row.get(0)?, row.get(1)?);
                        Ok((form_key, is_whole, created, seen, row.get::<String>(4)?, federation))
                    },
                )
            })
            .await?;
        let Some((form_key, is_whole, created, seen, login, federation)) = found else { return Ok(None) };
        let life = if is_whole { LIFE } else { HALF };
        if now - created > life || now - seen > IDLE {
            self.end_session(hash).await?;
            return Ok(None);
        }
        if now - seen >= SEEN_EVERY {
            self.change(move |db| db.execute("UPDATE session SET seen = ?2 WHERE hash = ?1", values![hash, now]))
                .await?;
        }
        let account = self.account_named(&login).await?;
        Ok(account.map(|account| Session { hash, account, form_key, is_whole, federation }))
    }

    /// Ends a session.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn end_session(&self, hash: [u8; 32]) -> Result<(), Broken> {
        self.change(move |db| {
            db.execute("DELETE FROM session WHERE hash = ?1", values![hash])?;
            Ok(())
        })
        .await
    }
}
