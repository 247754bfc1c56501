//! Accounts.

use super::sql::{Row, Sql, values};
use super::{AccountId, Db, OrganisationId, Scope};
use crate::account::role::Role;
use crate::error::Broken;

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Which.
    pub id: AccountId,
    /// Its operator; none for those above them.
    pub organisation: Option<OrganisationId>,
    /// What is typed to sign in.
    pub login: String,
    /// What it may do.
    pub role: Role,
    /// The hash of its password.
    pub password: String,
    /// The secret of its second factor.
    pub totp: Option<Vec<u8>>,
    /// The last step taken.
    pub totp_step: i64,
    /// SHA-256 of its recovery codes, hexadecimal.
    pub recovery: Vec<String>,
    /// Whether it may sign in.
    pub is_open: bool,
    /// When somebody else took its second factor away, and who.
    pub factor_reset: Option<(i64, String)>,
}

impl Account {
    /// Whether a second factor must be set up before anything else, whatever the application asks of others: the one before was taken away.
    #[must_use]
    pub fn must_enrol(&self) -> bool {
        self.factor_reset.is_some() && self.totp.is_none()
    }
}

/// An account to be made.
#[derive(Debug, Clone)]
pub struct NewAccount {
    /// Its operator.
    pub organisation: Option<OrganisationId>,
    /// What is typed to sign in.
    pub login: String,
    /// What it may do.
    pub role: Role,
    /// The hash of its password.
    pub password: String,
}

const COLUMNS: &str =
    "id, organisation, login, role, password, totp, totp_step, recovery, is_open, factor_reset, factor_reset_by";

fn read(row: &Row) -> Result<Account, Broken> {
    let role: String = row.get(3)?;
    Ok(Account {
        id: AccountId(row.get(0)?),
        organisation: row.get::<Option<i64>>(1)?.map(OrganisationId),
        login: row.get(2)?,
        // A role that this version does not know reads and no more.
        role: Role::from_code(&role).unwrap_or(Role::Lecteur),
        password: row.get(4)?,
        totp: row.get(5)?,
        totp_step: row.get(6)?,
        recovery: row.json(7)?,
        is_open: row.get(8)?,
        factor_reset: row.get::<Option<i64>>(9)?.map(|at| Ok::<_, Broken>((at, row.get(10)?))).transpose()?,
    })
}

/// An account by its number.
pub(super) fn by_id(db: &mut Sql<'_>, id: AccountId) -> Result<Option<Account>, Broken> {
    db.row(&format!("SELECT {COLUMNS} FROM account WHERE id = ?1"), values![id.0], read)
}

/// Makes an account; nothing when the login is taken.
pub(super) fn add(db: &mut Sql<'_>, account: NewAccount, now: i64) -> Result<Option<AccountId>, Broken> {
    let organisation = account.organisation.map(|id| id.0);
    let id = db.row(
        "INSERT INTO account (organisation, login, role, password, created) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT DO NOTHING RETURNING id",
        values![organisation, account.login, account.role.code(), account.password, now],
        |row| row.get(0),
    )?;
    Ok(id.map(AccountId))
}

/// Ends the sessions and tokens of an account.
pub(super) fn end_access(db: &mut Sql<'_>, id: AccountId, now: i64) -> Result<(), Broken> {
    db.execute("DELETE FROM session WHERE account = ?1", values![id.0])?;
    db.execute("UPDATE token SET revoked = ?2 WHERE account = ?1 AND revoked IS NULL", values![id.0, now])?;
    Ok(())
}

impl Db {
    /// Whether there is any account.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn has_accounts(&self) -> Result<bool, Broken> {
        let found = self.read(|db| db.row("SELECT id FROM account LIMIT 1", &[], |row| row.get::<i64>(0))).await?;
        Ok(found.is_some())
    }

    /// The account of a login.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn account_named(&self, login: &str) -> Result<Option<Account>, Broken> {
        let login = login.to_owned();
        let query = format!("SELECT {COLUMNS} FROM account WHERE lower(login) = lower(?1)");
        self.read(move |db| db.row(&query, values![login], read)).await
    }

    /// The accounts of an operator, or all.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn accounts(&self, scope: Scope) -> Result<Vec<Account>, Broken> {
        let query =
            format!("SELECT {COLUMNS} FROM account WHERE (?1 IS NULL OR organisation = ?1) ORDER BY lower(login)");
        self.read(move |db| db.rows(&query, values![scope.sql()], read)).await
    }

    /// One account of the scope.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn account_of(&self, scope: Scope, id: AccountId) -> Result<Option<Account>, Broken> {
        let found = self.read(move |db| by_id(db, id)).await?;
        Ok(found.filter(|account| match scope {
            Scope::All => true,
            Scope::Of(organisation) => account.organisation == Some(organisation),
        }))
    }

    /// Makes an account; nothing when the login is taken.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn add_account(&self, account: NewAccount, now: i64) -> Result<Option<AccountId>, Broken> {
        self.change(move |db| add(db, account, now)).await
    }

    /// Makes the first account; nothing when there is one.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn add_first_account(
        &self,
        login: &str,
        password: String,
        now: i64,
    ) -> Result<Option<AccountId>, Broken> {
        let values = values![login, Role::Administrateur.code(), password, now].to_vec();
        self.change(move |db| {
            let id = db.row(
                "INSERT INTO account (login, role, password, created)
                 SELECT ?1, ?2, ?3, ?4 WHERE NOT EXISTS (SELECT 1 FROM account) RETURNING id",
                &values,
                |row| row.get(0),
            )?;
            Ok(id.map(AccountId))
        })
        .await
    }

    /// Opens or closes an account of the scope; its sessions and tokens end. Whether there was one.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn set_account_open(&self, scope: Scope, id: AccountId, is_open: bool, now: i64) -> Result<bool, Broken> {
        self.change(move |db| {
            let done = db.execute(
                "UPDATE account SET is_open = ?3 WHERE id = ?1 AND (?2 IS NULL OR organisation = ?2)",
                values![id.0, scope.sql(), is_open],
            )? == 1;
            if done && !is_open {
                end_access(db, id, now)?;
            }
            Ok(done)
        })
        .await
    }

    /// Changes a password; every other session of the account ends.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn set_password(&self, id: AccountId, password: String, but: Option<[u8; 32]>) -> Result<(), Broken> {
        self.change(move |db| {
            db.execute("UPDATE account SET password = ?2 WHERE id = ?1", values![id.0, password])?;
            db.execute("DELETE FROM session WHERE account = ?1 AND (?2 IS NULL OR hash <> ?2)", values![id.0, but])?;
            Ok(())
        })
        .await
    }

    /// Sets, or takes away, the second factor.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn set_totp(&self, id: AccountId, secret: Option<Vec<u8>>, recovery: Vec<String>) -> Result<(), Broken> {
        self.change(move |db| {
            db.execute(
                "UPDATE account SET totp = ?2, totp_step = 0, recovery = ?3 WHERE id = ?1",
                values![id.0, secret, serde_json::to_string(&recovery)?],
            )?;
            Ok(())
        })
        .await
    }

    /// Takes the second factor of an account of the scope away: it must enrol anew; its recovery codes, sessions and tokens end with it. Whether
    /// there was one.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn reset_totp(&self, scope: Scope, id: AccountId, by: &str, now: i64) -> Result<bool, Broken> {
        let values = values![id.0, scope.sql(), now, by].to_vec();
        self.change(move |db| {
            let done = db.execute(
                "UPDATE account SET totp = NULL, totp_step = 0, recovery = '[]', factor_reset = ?3, factor_reset_by = ?4
                 WHERE id = ?1 AND (?2 IS NULL OR organisation = ?2) AND totp IS NOT NULL",
                &values,
            )? == 1;
            if done {
                end_access(db, id, now)?;
            }
            Ok(done)
        })
        .await
    }

    /// Keeps a second factor in another form, when it is still as it was: nothing else of it changes.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn replace_totp(&self, id: AccountId, before: Vec<u8>, after: Vec<u8>) -> Result<(), Broken> {
        self.change(move |db| {
            db.execute("UPDATE account SET totp = ?3 WHERE id = ?1 AND totp = ?2", values![id.0, before, after])?;
            Ok(())
        })
        .await
    }

    /// Takes a step of the second factor; whether nobody took it before.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn take_totp_step(&self, id: AccountId, step: i64) -> Result<bool, Broken> {
        self.change(move |db| {
            let done =
                db.execute("UPDATE account SET totp_step = ?2 WHERE id = ?1 AND totp_step < ?2", values![id.0, step])?;
            Ok(done == 1)
        })
        .await
    }

    /// Takes a recovery code; whether there was one.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn take_recovery(&self, id: AccountId, hash: String) -> Result<bool, Broken> {
        self.change(move |db| {
            // One connection: nobody else takes the same code in between.
            let kept: Option<String> =
                db.row("SELECT recovery FROM account WHERE id = ?1", values![id.0], |row| row.get(0))?;
            let mut codes: Vec<String> = serde_json::from_str(kept.as_deref().unwrap_or("[]"))?;
            let before = codes.len();
            codes.retain(|code| *code != hash);
            let done = codes.len() < before;
            db.execute(
                "UPDATE account SET recovery = ?2 WHERE id = ?1",
                values![id.0, serde_json::to_string(&codes)?],
            )?;
            Ok(done)
        })
        .await
    }
}
