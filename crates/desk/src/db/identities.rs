//! Identities at an OpenID provider, and whose account each of them opens.
//!
//! Invariant: (issuer, subject) names one account at most, and is never given to another by signing in.

use super::sql::values;
use super::{Account, AccountId, Db, NewAccount, OrganisationId, accounts};
use crate::account::role::Role;
use crate::error::Broken;

/// An account that an identity opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Which.
    pub account: Account,
    /// Whether it was made by the configuration's grants, and follows them.
    pub is_granted: bool,
}

/// How an account is tied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tie {
    /// The provider.
    pub issuer: String,
    /// Since when.
    pub since: i64,
    /// Whether the account was made by the configuration's grants.
    pub is_granted: bool,
}

impl Db {
    /// The account of an identity, open or not.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn account_of_identity(&self, issuer: &str, subject: &str) -> Result<Option<Known>, Broken> {
        let (issuer, subject) = (issuer.to_owned(), subject.to_owned());
        self.read(move |db| {
            let found = db.row(
                "SELECT account, is_granted FROM identity WHERE issuer = ?1 AND subject = ?2",
                values![issuer, subject],
                |row| Ok((AccountId(row.get(0)?), row.get::<bool>(1)?)),
            )?;
            let Some((id, is_granted)) = found else { return Ok(None) };
            Ok(accounts::by_id(db, id)?.map(|account| Known { account, is_granted }))
        })
        .await
    }

    /// How an account is tied, when it is.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn tie_of(&self, account: AccountId) -> Result<Option<Tie>, Broken> {
        self.read(move |db| {
            db.row("SELECT issuer, since, is_granted FROM identity WHERE account = ?1", values![account.0], |row| {
                Ok(Tie { issuer: row.get(0)?, since: row.get(1)?, is_granted: row.get(2)? })
            })
        })
        .await
    }

    /// Ties an identity to an account; whether neither was tied before.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn tie(&self, account: AccountId, issuer: &str, subject: &str, now: i64) -> Result<bool, Broken> {
        let (issuer, subject) = (issuer.to_owned(), subject.to_owned());
        self.change(move |db| {
            let done = db.execute(
                "INSERT INTO identity (issuer, subject, account, is_granted, since) VALUES (?1, ?2, ?3, 0, ?4) ON CONFLICT DO NOTHING",
                values![issuer, subject, account.0, now],
            )?;
            Ok(done == 1)
        })
        .await
    }

    /// Unties an account, and ends the sessions that the provider opened; not one that has no other way in. Whether there was a tie.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn untie(&self, account: AccountId) -> Result<bool, Broken> {
        self.change(move |db| {
            let done = db.execute(
                "DELETE FROM identity WHERE account = ?1 AND is_granted = 0
                 AND EXISTS (SELECT 1 FROM account a WHERE a.id = ?1 AND a.password <> '')",
                values![account.0],
            )? == 1;
            if done {
                db.execute("DELETE FROM session WHERE account = ?1 AND is_federated = 1", values![account.0])?;
            }
            Ok(done)
        })
        .await
    }

    /// Makes an account for an identity; nothing when either is taken.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn add_granted_account(
        &self,
        account: NewAccount,
        issuer: &str,
        subject: &str,
        now: i64,
    ) -> Result<Option<AccountId>, Broken> {
        let (issuer, subject) = (issuer.to_owned(), subject.to_owned());
        self.change(move |db| {
            let is_known = db.row(
                "SELECT account FROM identity WHERE issuer = ?1 AND subject = ?2",
                values![&issuer, &subject],
                |row| row.get::<i64>(0),
            )?;
            if is_known.is_some() {
                return Ok(None);
            }
            let Some(id) = accounts::add(db, account, now)? else { return Ok(None) };
            db.execute(
                "INSERT INTO identity (issuer, subject, account, is_granted, since) VALUES (?1, ?2, ?3, 1, ?4)",
                values![issuer, subject, id.0, now],
            )?;
            Ok(Some(id))
        })
        .await
    }

    /// What the provider's claims make of an account today. When that changes its sessions end; its tokens too, since they were made for what it
    /// was. Whether it changed.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn follow_grant(
        &self,
        account: AccountId,
        role: Role,
        organisation: Option<OrganisationId>,
        now: i64,
    ) -> Result<bool, Broken> {
        self.change(move |db| {
            let before = accounts::by_id(db, account)?.map(|account| (account.role, account.organisation));
            if before.is_none_or(|before| before == (role, organisation)) {
                return Ok(false);
            }
            db.execute(
                "UPDATE account SET role = ?2, organisation = ?3 WHERE id = ?1",
                values![account.0, role.code(), organisation.map(|id| id.0)],
            )?;
            accounts::end_access(db, account, now)?;
            Ok(true)
        })
        .await
    }

    /// An account that nothing grants any more: its sessions and tokens end.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn end_access(&self, account: AccountId, now: i64) -> Result<(), Broken> {
        self.change(move |db| accounts::end_access(db, account, now)).await
    }

    /// Somebody left the provider: the sessions it opened for them end, one or all. How many did.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn leave(&self, issuer: &str, subject: Option<&str>, session: Option<&str>) -> Result<u64, Broken> {
        let (issuer, subject, session) =
            (issuer.to_owned(), subject.map(ToOwned::to_owned), session.map(ToOwned::to_owned));
        self.change(move |db| {
            db.execute(
                "DELETE FROM session WHERE is_federated = 1
                 AND (?3 IS NULL OR provider_session = ?3 OR provider_session IS NULL)
                 AND account IN (SELECT account FROM identity WHERE issuer = ?1 AND (?2 IS NULL OR subject = ?2))",
                values![issuer, subject, session],
            )
        })
        .await
    }
}
