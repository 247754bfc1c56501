//! The database: SQLite, or PostgreSQL. All SQL of the application is in this folder, written once for both ([`sql`]).
//!
//! * [`sql`]: values, rows, queries; [`migrations`]: the schema, and how to add to it; [`sqlite`], [`postgres`]: the engines.
//!
//! Invariants:
//! * what belongs to an operator is asked for with a [`Scope`], and every query names the organisation: whoever has another's id gets nothing,
//!   whatever page asked;
//! * a piece of work that changes something ([`Db::change`]) is one transaction, on disk before it is answered.

mod accounts;
mod campaigns;
mod checkups;
mod domains;
mod identities;
mod jobs;
mod migrations;
mod organisations;
pub mod postgres;
mod sessions;
mod signatures;
mod sql;
mod sqlite;
mod submissions;
mod tokens;
mod watches;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

pub use accounts::{Account, NewAccount};
pub use campaigns::{Campaign, Filter, NewCampaign, State};
pub use checkups::Checkup;
pub use domains::{Domain, MOST as MOST_DOMAINS};
pub use identities::{Known, Tie};
pub use jobs::{Job, NewJob};
pub use organisations::{Organisation, Reach};
pub use sessions::{Federation, Session};
pub use signatures::{NewSignature, Signature};
pub use submissions::{Decision, DecisionKind, Submission};
pub use tokens::{Bearer, Token};
pub use watches::{Drift, Watch};

use crate::account::secret::random;
use crate::error::Broken;
use postgres::Postgres;
use sql::{Sql, values};

/// Queries kept prepared: every one of ours, and some with lists.
const STATEMENTS: usize = 200;

/// Between two tries of a database that is away at the start.
const WAIT: Duration = Duration::from_secs(1);
/// Between two times that this is told.
const TOLD_EVERY: Duration = Duration::from_secs(15);

/// Version of the schema.
fn version() -> i64 {
    // A handful.
    i64::try_from(migrations::ALL.len()).unwrap_or(i64::MAX)
}

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
pub struct Db(Engine);

#[derive(Clone)]
enum Engine {
    Sqlite(Arc<Mutex<Connection>>),
    Postgres(Arc<Mutex<Postgres>>),
}

impl Db {
    /// Opens a file, made on first use.
    ///
    /// # Errors
    /// [`Broken`]: the file, or one of a later version.
    pub fn open(path: &Path) -> Result<Db, Broken> {
        Ok(Db(Engine::Sqlite(Arc::new(Mutex::new(sqlite::open(path)?)))))
    }

    /// One in memory, for tests.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn in_memory() -> Result<Db, Broken> {
        Ok(Db(Engine::Sqlite(Arc::new(Mutex::new(sqlite::in_memory()?)))))
    }

    /// Connects to a PostgreSQL, and waits for one that is away as long as its settings say. Its database is made beforehand, its tables on first use.
    ///
    /// # Errors
    /// [`Broken`]: it is not there, refuses, is of a later version, or another application uses it.
    pub async fn connect(settings: postgres::Settings) -> Result<Db, Broken> {
        let (until, mut told) = (Instant::now() + settings.patience(), None::<Instant>);
        loop {
            let (settings, handle) = (settings.clone(), Handle::current());
            let opened = tokio::task::spawn_blocking(move || Postgres::open(settings, handle)).await;
            match opened.map_err(|_| Broken::Task)? {
                Ok(db) => return Ok(Db(Engine::Postgres(Arc::new(Mutex::new(db))))),
                Err(Broken::Away(cause)) if Instant::now() < until => {
                    if told.is_none_or(|at| at.elapsed() >= TOLD_EVERY) {
                        told = Some(Instant::now());
                        let rest = until.saturating_duration_since(Instant::now()).as_secs() + 1;
                        tracing::warn!("the database does not answer, it is waited for, {rest} s at most: {cause}");
                    }
                    tokio::time::sleep(WAIT).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Work that changes nothing.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Sql<'_>) -> Result<T, Broken> + Send + 'static,
    ) -> Result<T, Broken> {
        match self.0.clone() {
            Engine::Sqlite(db) => on_a_thread(db, |db| sqlite::run(db, work)).await,
            Engine::Postgres(db) => on_a_thread(db, |db| db.read(work)).await,
        }
    }

    /// Work done whole, or not at all: one transaction.
    async fn change<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Sql<'_>) -> Result<T, Broken> + Send + 'static,
    ) -> Result<T, Broken> {
        match self.0.clone() {
            Engine::Sqlite(db) => on_a_thread(db, |db| sqlite::run(db, work)).await,
            Engine::Postgres(db) => on_a_thread(db, |db| db.change(work)).await,
        }
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
        let values = values![at, organisation.map(|id| id.0), who, what].to_vec();
        self.change(move |db| {
            db.execute("INSERT INTO act (at, organisation, who, what) VALUES (?1, ?2, ?3, ?4)", &values)?;
            Ok(())
        })
        .await
    }

    /// The last acts: when, who, what.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn acts(&self, scope: Scope, most: u32) -> Result<Vec<(i64, String, String)>, Broken> {
        self.read(move |db| {
            db.rows(
                "SELECT at, who, what FROM act WHERE (?1 IS NULL OR organisation = ?1) ORDER BY id DESC LIMIT ?2",
                values![scope.sql(), most],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )
        })
        .await
    }
}

/// Runs where waiting for the disk holds nobody else.
async fn on_a_thread<E: Send + 'static, T: Send + 'static>(
    engine: Arc<Mutex<E>>,
    work: impl FnOnce(&mut E) -> Result<T, Broken> + Send + 'static,
) -> Result<T, Broken> {
    let done = tokio::task::spawn_blocking(move || {
        // A change that panicked was rolled back, or its connection is not used again: the engine is whole.
        work(&mut engine.lock().unwrap_or_else(PoisonError::into_inner))
    });
    done.await.map_err(|_| Broken::Task)?
}
