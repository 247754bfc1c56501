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
}

impl Db {
    /// Begins a session; what the cookie holds.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn begin_session(&self, account: AccountId, is_whole: bool, now: i64) -> Result<String, Broken> {
        let (word, form_key) = (secret::word()?, secret::word()?);
        let values = values![secret::digest(&word), account.0, form_key, is_whole, now].to_vec();
        self.change(move |db| {
            db.execute("DELETE FROM session WHERE created < ?1 OR seen < ?2", values![now - LIFE, now - IDLE])?;
            db.execute(
                "INSERT INTO session (hash, account, form_key, is_whole, created, seen) VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
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
        let hash = secret::digest(word);
        let found = self
            .read(move |db| {
                db.row(
                    "SELECT s.form_key, s.is_whole, s.created, s.seen, a.login FROM session s JOIN account a ON a.id = s.account
                     WHERE s.hash = ?1 AND a.is_open = 1",
                    values![hash],
                    |row| {
                        let (created, seen): (i64, i64) = (row.get(2)?, row.get(3)?);
                        Ok((row.get::<String>(0)?, row.get::<bool>(1)?, created, seen, row.get::<String>(4)?))
                    },
                )
            })
            .await?;
        let Some((form_key, is_whole, created, seen, login)) = found else { return Ok(None) };
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
        Ok(account.map(|account| Session { hash, account, form_key, is_whole }))
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
