//! API tokens: shown once, kept as hashes, each of one operator, or of a regulator.

use super::sql::values;
use super::{AccountId, Db, OrganisationId, Scope, TokenId};
use crate::account::role::Role;
use crate::account::secret;
use crate::error::Broken;

/// What a token begins with, so that one that leaks is recognised.
const PREFIX: &str = "vgc_";
/// A token is marked as used once in so many seconds: not a write for each call.
const SEEN_EVERY: i64 = 60;

/// A token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Which.
    pub id: TokenId,
    /// What it is for.
    pub label: String,
    /// Who made it.
    pub author: String,
    /// When.
    pub created: i64,
    /// When it was last used, within a minute.
    pub used: Option<i64>,
    /// Since when it is of no use.
    pub revoked: Option<i64>,
}

/// Who speaks by a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bearer {
    /// For which operator; none: a regulator's.
    pub organisation: Option<OrganisationId>,
    /// The role of the account that made it.
    pub role: Role,
    /// For the journal: `login (label)`.
    pub name: String,
}

impl Db {
    /// Makes a token; its text, never shown again.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn add_token(
        &self,
        organisation: Option<OrganisationId>,
        account: AccountId,
        label: &str,
        now: i64,
    ) -> Result<String, Broken> {
        let word = format!("{PREFIX}{}", secret::word()?);
        let values = values![organisation.map(|id| id.0), account.0, label, secret::digest(&word), now].to_vec();
        self.change(move |db| {
            db.execute(
                "INSERT INTO token (organisation, account, label, hash, created) VALUES (?1, ?2, ?3, ?4, ?5)",
                &values,
            )?;
            Ok(())
        })
        .await?;
        Ok(word)
    }

    /// The tokens of an operator, or those that one account made.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn tokens(&self, scope: Scope, by: Option<AccountId>) -> Result<Vec<Token>, Broken> {
        self.read(move |db| {
            db.rows(
                "SELECT t.id, t.label, a.login, t.created, t.used, t.revoked FROM token t JOIN account a ON a.id = t.account
                 WHERE (?1 IS NULL OR t.organisation = ?1) AND (?2 IS NULL OR t.account = ?2) ORDER BY t.id DESC",
                values![scope.sql(), by.map(|id| id.0)],
                |row| {
                    Ok(Token {
                        id: TokenId(row.get(0)?),
                        label: row.get(1)?,
                        author: row.get(2)?,
                        created: row.get(3)?,
                        used: row.get(4)?,
                        revoked: row.get(5)?,
                    })
                },
            )
        })
        .await
    }

    /// Makes a token of an operator, or one that an account made, useless; whether there was one.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn revoke_token(
        &self,
        scope: Scope,
        by: Option<AccountId>,
        id: TokenId,
        now: i64,
    ) -> Result<bool, Broken> {
        self.change(move |db| {
            let done = db.execute(
                "UPDATE token SET revoked = ?3 WHERE id = ?1 AND (?2 IS NULL OR organisation = ?2) AND revoked IS NULL
                 AND (?4 IS NULL OR account = ?4)",
                values![id.0, scope.sql(), now, by.map(|id| id.0)],
            )?;
            Ok(done == 1)
        })
        .await
    }

    /// Who speaks by this token. A closed account's tokens are of no use.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn bearer(&self, word: &str, now: i64) -> Result<Option<Bearer>, Broken> {
        let hash = secret::digest(word);
        let found = self
            .read(move |db| {
                db.row(
                    "SELECT t.id, t.organisation, a.role, a.login, t.label, t.used FROM token t JOIN account a ON a.id = t.account
                     WHERE t.hash = ?1 AND t.revoked IS NULL AND a.is_open = 1
                     AND (a.organisation = t.organisation OR (a.organisation IS NULL AND t.organisation IS NULL))",
                    values![hash],
                    |row| {
                        let (role, login, label): (String, String, String) = (row.get(2)?, row.get(3)?, row.get(4)?);
                        let bearer = Bearer {
                            organisation: row.get::<Option<i64>>(1)?.map(OrganisationId),
                            role: Role::from_code(&role).unwrap_or(Role::Lecteur),
                            name: format!("{login} ({label})"),
                        };
                        Ok((row.get::<i64>(0)?, row.get::<Option<i64>>(5)?, bearer))
                    },
                )
            })
            .await?;
        let Some((id, used, bearer)) = found else { return Ok(None) };
        if used.is_none_or(|used| now - used >= SEEN_EVERY) {
            self.change(move |db| db.execute("UPDATE token SET used = ?2 WHERE id = ?1", values![id, now])).await?;
        }
        Ok(Some(bearer))
    }
}
