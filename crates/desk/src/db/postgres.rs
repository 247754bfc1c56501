//! PostgreSQL: one connection, which holds the lock of the database.
//!
//! Invariants:
//! * one application at a time on a database: the connection that writes is the one that holds the advisory lock, so an application that lost its
//!   connection writes nothing before it has the lock again;
//! * a change is one transaction, and answered when PostgreSQL has it on disk (`synchronous_commit = on`, whatever the server's default);
//! * a database that goes away is [`Broken::Away`], told at once for [`PAUSE`]; the next question connects again;
//! * off this machine it is TLS with a certificate that is checked, name and authority; the password is in no message.

use std::collections::HashMap;
use std::fmt::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use openssl::ssl::{SslConnector, SslMethod};
use postgres_openssl::MakeTlsConnector;
use tokio::runtime::Handle;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Config, Statement};

use super::migrations::{self, for_postgres, numbered};
use super::sql::{Row, Sql, Value};
use crate::error::Broken;

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// Longest wait for an answer: above the server's own limit ([`SESSION`]), reached when the network swallows everything.
const ANSWER: Duration = Duration::from_secs(40);
/// After a connection that failed the next one is not tried at once: whoever asks meanwhile is told, and waits for nothing.
const PAUSE: Duration = Duration::from_secs(1);
/// How often the lock is asked for: an application that was killed a moment ago still has it, until PostgreSQL sees its socket closed.
const LOCK_TRIES: u32 = 20;
/// Between two of these.
const LOCK_PAUSE: Duration = Duration::from_millis(250);
/// The lock: any number, the same for ever.
const LOCK: i64 = 0x7661_6775_6374_6c31;
/// How a connection is set up.
const SESSION: &str = "SET synchronous_commit = on; SET statement_timeout = '30s'; SET lock_timeout = '10s'; \
    SET idle_in_transaction_session_timeout = '60s'; SET standard_conforming_strings = on; SET client_min_messages = warning";

/// Where the database is.
#[derive(Debug, Clone)]
pub struct Settings {
    config: Config,
    anchors: Option<PathBuf>,
    patience: Duration,
}

/// Why an address is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// No address of a PostgreSQL.
    #[error("it is not an address like postgres://user@host:5432/name ({0})")]
    Syntax(String),
    /// A file of settings is read by more people than a password should be.
    #[error("no password stands in it: name a file in database_password_file, or set VAGUEMESTRE_DATABASE_PASSWORD")]
    Password,
    /// In clear through a network.
    #[error("sslmode=disable is for this machine only: {0} is another")]
    Clear(String),
}

impl Settings {
    /// Reads `postgres://user@host:port/name`; `password` is not in it. `anchors`: the authorities of its certificate, PEM; the system's when none.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn new(url: &str, password: Option<&str>, anchors: Option<&Path>) -> Result<Settings, SettingsError> {
        // What PostgreSQL's own programs call a checked certificate; here it always is.
        let url = url.replace("sslmode=verify-full", "sslmode=require").replace("sslmode=verify-ca", "sslmode=require");
        let mut config: Config =
            url.parse().map_err(|error: tokio_postgres::Error| SettingsError::Syntax(chain(&error)))?;
        if config.get_password().is_some() {
            return Err(SettingsError::Password);
        }
        if config.get_hosts().is_empty() {
            return Err(SettingsError::Syntax("no host".to_owned()));
        }
        let away = config.get_hosts().iter().find_map(|host| match host {
            Host::Tcp(name) if name != "localhost" && name.parse::<IpAddr>().map_or(true, |ip| !ip.is_loopback()) => {
                Some(name.clone())
            }
            _ => None,
        });
        if let Some(name) = away {
            if config.get_ssl_mode() == SslMode::Disable {
                return Err(SettingsError::Clear(name));
            }
            config.ssl_mode(SslMode::Require);
        }
        if let Some(password) = password {
            config.password(password);
        }
        config.connect_timeout(CONNECT).tcp_user_timeout(ANSWER).keepalives_idle(ANSWER);
        config.application_name("vaguemestre control");
        Ok(Settings { config, anchors: anchors.map(Path::to_owned), patience: Duration::ZERO })
    }

    /// How long a database that is away is waited for at the start: a machine that starts may start the application first.
    #[must_use]
    pub fn waiting(self, patience: Duration) -> Settings {
        Settings { patience, ..self }
    }

    pub(super) fn patience(&self) -> Duration {
        self.patience
    }
}

/// The connection.
struct Live {
    client: Client,
    statements: HashMap<String, Statement>,
    /// A piece of work began and did not say how it ended: a transaction may be open.
    is_dirty: bool,
}

/// The database.
pub(super) struct Postgres {
    settings: Settings,
    tls: MakeTlsConnector,
    handle: Handle,
    live: Option<Live>,
    failed: Option<Instant>,
}

/// An error, with what is below it. Never the detail of PostgreSQL's: it cites rows.
fn chain(error: &tokio_postgres::Error) -> String {
    if let Some(told) = error.as_db_error() {
        return format!("{} (SQLSTATE {})", told.message(), told.code().code());
    }
    let mut out = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(inner) = next {
        // Writing to a String cannot fail.
        let _ = write!(out, ": {inner}");
        next = inner.source();
    }
    out
}

/// Whether it says that the database is not there, rather than that the question is wrong.
fn is_away(error: &tokio_postgres::Error) -> bool {
    let is_io = std::error::Error::source(error).is_some_and(|inner| inner.is::<std::io::Error>());
    let stops = [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN, SqlState::CANNOT_CONNECT_NOW];
    error.is_closed() || is_io || error.code().is_some_and(|code| stops.contains(code) || code.code().starts_with("08"))
}

fn broken(error: &tokio_postgres::Error) -> Broken {
    if is_away(error) { Broken::Away(chain(error)) } else { Broken::Postgres(chain(error)) }
}

/// Waits for an answer, on a thread that may wait.
fn wait<T>(handle: &Handle, asked: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, Broken> {
    match handle.block_on(async { tokio::time::timeout(ANSWER, asked).await }) {
        Ok(answer) => answer.map_err(|error| broken(&error)),
        Err(_) => Err(Broken::Away("no answer".to_owned())),
    }
}

impl Postgres {
    /// Connects, and brings the schema to this version. On a thread that may wait.
    pub fn open(settings: Settings, handle: Handle) -> Result<Postgres, Broken> {
        let mut builder = SslConnector::builder(SslMethod::tls_client())?;
        if let Some(anchors) = &settings.anchors {
            builder.set_ca_file(anchors)?;
        }
        let tls = MakeTlsConnector::new(builder.build());
        let mut db = Postgres { settings, tls, handle, live: None, failed: None };
        db.change(|sql| {
            sql.execute("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)", &[])?;
            let found: Option<i64> = sql.row("SELECT version FROM schema_version", &[], |row| row.get(0))?;
            let (found, known) = (found.unwrap_or(0), super::version());
            let had = usize::try_from(found).ok().filter(|had| *had <= migrations::ALL.len());
            let had = had.ok_or(Broken::Version(found, known))?;
            if had == migrations::ALL.len() {
                return Ok(());
            }
            for step in &migrations::ALL[had..] {
                sql.batch(&for_postgres(step))?;
            }
            sql.execute("DELETE FROM schema_version", &[])?;
            sql.execute("INSERT INTO schema_version (version) VALUES (?1)", &[known.into()])?;
            Ok(())
        })?;
        Ok(db)
    }

    fn connect(&self) -> Result<Live, Broken> {
        let (config, tls) = (self.settings.config.clone(), self.tls.clone());
        let (client, connection) = wait(&self.handle, async move { config.connect(tls).await })?;
        self.handle.spawn(async move {
            // What becomes of it is told to whoever asks next.
            let _ = connection.await;
        });
        wait(&self.handle, client.batch_execute(SESSION))?;
        for _ in 0..LOCK_TRIES {
            let row = wait(&self.handle, client.query_one("SELECT pg_try_advisory_lock($1)", &[&LOCK]))?;
            if row.try_get::<_, bool>(0).map_err(|error| broken(&error))? {
                return Ok(Live { client, statements: HashMap::new(), is_dirty: false });
            }
            std::thread::sleep(LOCK_PAUSE);
        }
        Err(Broken::Taken)
    }

    /// The connection, made again when it was lost.
    fn live(&mut self) -> Result<&mut Live, Broken> {
        let is_good = self.live.as_ref().is_some_and(|live| !live.is_dirty && !live.client.is_closed());
        if !is_good {
            self.live = None;
            if self.failed.is_some_and(|at| at.elapsed() < PAUSE) {
                return Err(Broken::Away("it did not answer a moment ago".to_owned()));
            }
            match self.connect() {
                Ok(live) => self.live = Some(live),
                Err(error) => {
                    self.failed = Some(Instant::now());
                    return Err(error);
                }
            }
            self.failed = None;
        }
        self.live.as_mut().ok_or(Broken::Task)
    }

    /// Does a piece of work that changes nothing.
    pub fn read<T>(&mut self, work: impl FnOnce(&mut Sql<'_>) -> Result<T, Broken>) -> Result<T, Broken> {
        let handle = self.handle.clone();
        let live = self.live()?;
        live.is_dirty = true;
        let done = work(&mut Sql::Postgres(Talk { live, handle: &handle }));
        live.is_dirty = matches!(done, Err(Broken::Away(_)));
        done
    }

    /// Does a piece of work, whole or not at all. When the connection is lost at its end nobody knows which: what is done again does no harm.
    pub fn change<T>(&mut self, work: impl FnOnce(&mut Sql<'_>) -> Result<T, Broken>) -> Result<T, Broken> {
        let handle = self.handle.clone();
        let live = self.live()?;
        wait(&handle, live.client.batch_execute("BEGIN"))?;
        live.is_dirty = true;
        let done = work(&mut Sql::Postgres(Talk { live: &mut *live, handle: &handle }));
        let end = if done.is_ok() { "COMMIT" } else { "ROLLBACK" };
        let ended = wait(&handle, live.client.batch_execute(end));
        live.is_dirty = ended.is_err();
        match (done, ended) {
            (Ok(_), Err(error)) => Err(error),
            (done, _) => done,
        }
    }
}

/// The connection, within one piece of work.
pub(super) struct Talk<'c> {
    live: &'c mut Live,
    handle: &'c Handle,
}

impl Value {
    fn kind(&self) -> Type {
        match self {
            Value::Int(_) => Type::INT8,
            Value::Text(_) => Type::TEXT,
            Value::Bytes(_) => Type::BYTEA,
        }
    }
}

impl ToSql for Value {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Value::Int(number) => number.to_sql(kind, out),
            Value::Text(text) => text.to_sql(kind, out),
            Value::Bytes(octets) => octets.to_sql(kind, out),
        }
    }

    fn accepts(kind: &Type) -> bool {
        [Type::INT8, Type::TEXT, Type::BYTEA].contains(kind)
    }

    to_sql_checked!();
}

impl Talk<'_> {
    fn statement(&mut self, sql: &str, values: &[Value]) -> Result<Statement, Broken> {
        if let Some(known) = self.live.statements.get(sql) {
            return Ok(known.clone());
        }
        let kinds: Vec<Type> = values.iter().map(Value::kind).collect();
        let made = wait(self.handle, self.live.client.prepare_typed(&numbered(sql), &kinds))?;
        if self.live.statements.len() >= super::STATEMENTS {
            // Queries with lists have many forms.
            self.live.statements.clear();
        }
        self.live.statements.insert(sql.to_owned(), made.clone());
        Ok(made)
    }

    pub fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, Broken> {
        let statement = self.statement(sql, values)?;
        wait(self.handle, self.live.client.execute_raw(&statement, values))
    }

    pub fn rows(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>, Broken> {
        let statement = self.statement(sql, values)?;
        let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| value as _).collect();
        let found = wait(self.handle, self.live.client.query(&statement, &values))?;
        found.iter().map(of_postgres).collect()
    }

    pub fn batch(&mut self, text: &str) -> Result<(), Broken> {
        wait(self.handle, self.live.client.batch_execute(text))
    }
}

fn of_postgres(row: &tokio_postgres::Row) -> Result<Row, Broken> {
    let column = |(index, column): (usize, &tokio_postgres::Column)| {
        let wrong = |error: tokio_postgres::Error| Broken::Postgres(chain(&error));
        Ok(match column.type_() {
            kind if *kind == Type::INT8 => Value::Int(row.try_get(index).map_err(wrong)?),
            kind if *kind == Type::INT4 => {
                Value::Int(row.try_get::<_, Option<i32>>(index).map_err(wrong)?.map(i64::from))
            }
            kind if *kind == Type::BOOL => {
                Value::Int(row.try_get::<_, Option<bool>>(index).map_err(wrong)?.map(i64::from))
            }
            kind if *kind == Type::TEXT => Value::Text(row.try_get(index).map_err(wrong)?),
            kind if *kind == Type::BYTEA => Value::Bytes(row.try_get(index).map_err(wrong)?),
            _ => return Err(Broken::Column(index)),
        })
    };
    Ok(Row(row.columns().iter().enumerate().map(column).collect::<Result<_, _>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let new = |url: &str| Settings::new(url, Some("secret-mot"), None);
        let far = new("postgres://controle@db.exemple.fr/controle").expect("an address");
        assert_eq!(far.config.get_ssl_mode(), SslMode::Require);
        assert!(!format!("{far:?}").contains("secret-mot"), "{far:?}");
        assert!(new("postgres://c@db.exemple.fr/c?sslmode=verify-full").is_ok());
        assert!(new("postgres://c@localhost/c?sslmode=disable").is_ok() && new("postgres://c@127.0.0.1/c").is_ok());
        assert!(new("postgres://c@%2Frun%2Fpostgresql/c").is_ok());
        assert_eq!(
            new("postgres://c@10.0.0.1/c?sslmode=disable").map(drop),
            Err(SettingsError::Clear("10.0.0.1".to_owned()))
        );
        assert_eq!(new("postgres://c:mot@localhost/c").map(drop), Err(SettingsError::Password));
        assert!(matches!(new("postgres://c@localhost/c?x=y"), Err(SettingsError::Syntax(_))));
        assert!(matches!(new("dbname=c"), Err(SettingsError::Syntax(_))));
    }
}
