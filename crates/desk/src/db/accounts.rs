//! Accounts.

use rusqlite::{OptionalExtension, Row};

use super::{AccountId, Db, OrganisationId, Scope, json};
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

const COLUMNS: &str = "id, organisation, login, role, password, totp, totp_step, recovery, is_open";

fn read(row: &Row<'_>) -> Result<Account, rusqlite::Error> {
    let role: String = row.get(3)?;
    Ok(Account {
        id: AccountId(row.get(0)?),
        organisation: row.get::<_, Option<i64>>(1)?.map(OrganisationId),
        login: row.get(2)?,
        // A role that this version does not know reads and no more.
        role: Role::from_code(&role).unwrap_or(Role::Lecteur),
        password: row.get(4)?,
        totp: row.get(5)?,
        totp_step: row.get(6)?,
        recovery: json(&row.get::<_, String>(7)?)?,
        is_open: row.get(8)?,
    })
}

impl Db {
    /// Whether there is any account.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn has_accounts(&self) -> Result<bool, Broken> {
        self.run(|db| Ok(db.query_row("SELECT EXISTS (SELECT 1 FROM account)", [], |row| row.get(0))?)).await
    }

    /// The account of a login.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn account_named(&self, login: &str) -> Result<Option<Account>, Broken> {
        let login = login.to_owned();
        self.run(move |db| {
            let mut query = db.prepare_cached(&format!("SELECT {COLUMNS} FROM account WHERE login = ?1"))?;
            Ok(query.query_row([login], read).optional()?)
        })
        .await
    }

    /// The accounts of an operator, or all.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn accounts(&self, scope: Scope) -> Result<Vec<Account>, Broken> {
        self.run(move |db| {
            let mut query = db.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM account WHERE (?1 IS NULL OR organisation = ?1) ORDER BY login"
            ))?;
            Ok(query.query_map([scope.sql()], read)?.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Makes an account; nothing when the login is taken.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn add_account(&self, account: NewAccount, now: i64) -> Result<Option<AccountId>, Broken> {
        self.run(move |db| {
            let mut query = db.prepare_cached(
                "INSERT INTO account (organisation, login, role, password, created) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (login) DO NOTHING RETURNING id",
            )?;
            let values =
                (account.organisation.map(|id| id.0), account.login, account.role.code(), account.password, now);
            Ok(query.query_row(values, |row| row.get(0)).optional()?.map(AccountId))
        })
        .await
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
        let login = login.to_owned();
        self.run(move |db| {
            let mut query = db.prepare_cached(
                "INSERT INTO account (login, role, password, created)
                 SELECT ?1, ?2, ?3, ?4 WHERE NOT EXISTS (SELECT 1 FROM account) RETURNING id",
            )?;
            let values = (login, Role::Administrateur.code(), password, now);
            Ok(query.query_row(values, |row| row.get(0)).optional()?.map(AccountId))
        })
        .await
    }

    /// Opens or closes an account of the scope; its sessions and tokens end. Whether there was one.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn set_account_open(&self, scope: Scope, id: AccountId, is_open: bool, now: i64) -> Result<bool, Broken> {
        self.run(move |db| {
            let change = db.transaction()?;
            let done = change.execute(
                "UPDATE account SET is_open = ?3 WHERE id = ?1 AND (?2 IS NULL OR organisation = ?2)",
                (id.0, scope.sql(), is_open),
            )? == 1;
            if done && !is_open {
                change.execute("DELETE FROM session WHERE account = ?1", [id.0])?;
                change.execute("UPDATE token SET revoked = ?2 WHERE account = ?1 AND revoked IS NULL", (id.0, now))?;
            }
            change.commit()?;
            Ok(done)
        })
        .await
    }

    /// Changes a password; every other session of the account ends.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn set_password(&self, id: AccountId, password: String, but: Option<[u8; 32]>) -> Result<(), Broken> {
        self.run(move |db| {
            let change = db.transaction()?;
            change.execute("UPDATE account SET password = ?2 WHERE id = ?1", (id.0, password))?;
            change.execute("DELETE FROM session WHERE account = ?1 AND (?2 IS NULL OR hash <> ?2)", (id.0, but))?;
            change.commit()?;
            Ok(())
        })
        .await
    }

    /// Sets, or takes away, the second factor.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn set_totp(&self, id: AccountId, secret: Option<Vec<u8>>, recovery: Vec<String>) -> Result<(), Broken> {
        self.run(move |db| {
            db.execute(
                "UPDATE account SET totp = ?2, totp_step = 0, recovery = ?3 WHERE id = ?1",
                (id.0, secret, serde_json::to_string(&recovery)?),
            )?;
            Ok(())
        })
        .await
    }

    /// Takes a step of the second factor; whether nobody took it before.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn take_totp_step(&self, id: AccountId, step: i64) -> Result<bool, Broken> {
        self.run(move |db| {
            let done =
                db.execute("UPDATE account SET totp_step = ?2 WHERE id = ?1 AND totp_step < ?2", (id.0, step))?;
            Ok(done == 1)
        })
        .await
    }

    /// Takes a recovery code; whether there was one.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn take_recovery(&self, id: AccountId, hash: String) -> Result<bool, Broken> {
        self.run(move |db| {
            let change = db.transaction()?;
            let kept: Option<String> =
                change.query_row("SELECT recovery FROM account WHERE id = ?1", [id.0], |row| row.get(0)).optional()?;
            let mut codes: Vec<String> = serde_json::from_str(kept.as_deref().unwrap_or("[]"))?;
            let before = codes.len();
            codes.retain(|code| *code != hash);
            let done = codes.len() < before;
            change.execute("UPDATE account SET recovery = ?2 WHERE id = ?1", (id.0, serde_json::to_string(&codes)?))?;
            change.commit()?;
            Ok(done)
        })
        .await
    }
}
