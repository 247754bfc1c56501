//! The database: SQLite, one connection, every change on disk before it is answered. All SQL of the application is in this folder, so that
//! another engine (PostgreSQL) is another folder.
//!
//! Invariant: what belongs to an operator is asked for with a [`Scope`], and every query names the organisation: whoever has another's id gets
//! nothing, whatever page asked.

mod accounts;
mod campaigns;
mod jobs;
mod organisations;
mod sessions;
mod tokens;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OpenFlags};
use serde::{Deserialize, Serialize};

pub use accounts::{Account, NewAccount};
pub use campaigns::{Campaign, Filter, NewCampaign, State};
pub use jobs::{Job, NewJob};
pub use organisations::{Organisation, Reach};
pub use sessions::Session;
pub use tokens::{Bearer, Token};

use crate::account::secret::random;
use crate::error::Broken;

/// Version of the schema.
const VERSION: i64 = 1;

/// Whose data may be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// One operator's.
    Of(OrganisationId),
    /// Everybody's: the regulator.
    All,
}

impl Scope {
    /// For `(?n IS NULL OR organisation = ?n)`.
    fn sql(self) -> Option<i64> {
        match self {
            Scope::Of(id) => Some(id.0),
            Scope::All => None,
        }
    }
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);
    };
}
number!(/** An operator. */ OrganisationId);
number!(/** An account. */ AccountId);
number!(/** An API token. */ TokenId);

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// A new one: later ones sort after earlier ones.
            ///
            /// # Errors
            /// OpenSSL has no random numbers.
            pub fn new(milliseconds: i64) -> Result<$name, Broken> {
                let tail = random::<6>()?.map(|octet| format!("{octet:02x}")).concat();
                Ok($name(format!("{milliseconds:012x}{tail}")))
            }

            /// As text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Reads one; text of another form names nothing.
            #[must_use]
            pub fn read(text: &str) -> Option<$name> {
                let is_one = text.len() == 24 && text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
                is_one.then(|| $name(text.to_owned()))
            }
        }

        impl $crate::html::Show for $name {
            fn show(&self, out: &mut String) {
                out.push_str(&self.0);
            }
        }
    };
}
name!(/** A job. */ JobId);
name!(/** A campaign. */ CampaignId);

/// The database.
#[derive(Clone)]
pub struct Db(Arc<Mutex<Connection>>);

impl Db {
    /// Opens it, made on first use.
    ///
    /// # Errors
    /// [`Broken`]: the file, or one of a later version.
    pub fn open(path: &Path) -> Result<Db, Broken> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        make_private(path).map_err(|error| Broken::File(path.to_owned(), error))?;
        Db::prepare(Connection::open_with_flags(path, flags)?)
    }

    /// One in memory, for tests.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn in_memory() -> Result<Db, Broken> {
        Db::prepare(Connection::open_in_memory()?)
    }

    fn prepare(mut connection: Connection) -> Result<Db, Broken> {
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;",
        )?;
        let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        match found {
            0 => {
                let change = connection.transaction()?;
                change.execute_batch(include_str!("schema.sql"))?;
                change.execute_batch(&format!("PRAGMA user_version = {VERSION}"))?;
                change.commit()?;
            }
            VERSION => {}
            other => return Err(Broken::Version(other, VERSION)),
        }
        Ok(Db(Arc::new(Mutex::new(connection))))
    }

    /// Runs on a thread where waiting for the disk holds nobody else.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, Broken> + Send + 'static,
    ) -> Result<T, Broken> {
        let connection = self.0.clone();
        let done = tokio::task::spawn_blocking(move || {
            // A change that panicked was rolled back: the connection is whole.
            work(&mut connection.lock().unwrap_or_else(PoisonError::into_inner))
        });
        done.await.map_err(|_| Broken::Task)?
    }

    /// Notes who did what.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn note(
        &self,
        at: i64,
        organisation: Option<OrganisationId>,
        who: &str,
        what: String,
    ) -> Result<(), Broken> {
        let who = who.to_owned();
        self.run(move |db| {
            db.prepare_cached("INSERT INTO act (at, organisation, who, what) VALUES (?1, ?2, ?3, ?4)")?.execute((
                at,
                organisation.map(|id| id.0),
                who,
                what,
            ))?;
            Ok(())
        })
        .await
    }

    /// The last acts: when, who, what.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn acts(&self, scope: Scope, most: u32) -> Result<Vec<(i64, String, String)>, Broken> {
        self.run(move |db| {
            let mut query = db.prepare_cached(
                "SELECT at, who, what FROM act WHERE (?1 IS NULL OR organisation = ?1) ORDER BY id DESC LIMIT ?2",
            )?;
            let rows = query.query_map((scope.sql(), most), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }
}

/// Made readable by its owner only, before anything is in it.
fn make_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path).map(drop)
}

/// What is stored as JSON in a column.
fn json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, rusqlite::Error> {
    serde_json::from_str(text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error)))
}
