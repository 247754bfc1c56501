//! What a query is given and gives, whatever engine runs it.
//!
//! Queries are written once, in what SQLite and PostgreSQL have in common, with numbered values (`?1`). A value says its type even when it is
//! null, so that no engine has to guess one; booleans are 0 and 1 in `INTEGER` columns.

use rusqlite::types::{ToSqlOutput, ValueRef};

use super::postgres::Talk;
use crate::error::Broken;

/// A value of a query, or a column of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// `INTEGER`.
    Int(Option<i64>),
    /// `TEXT`.
    Text(Option<String>),
    /// `BLOB`.
    Bytes(Option<Vec<u8>>),
}

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Int(Some(number)) => ValueRef::Integer(*number),
            Value::Text(Some(text)) => ValueRef::Text(text.as_bytes()),
            Value::Bytes(Some(octets)) => ValueRef::Blob(octets),
            Value::Int(None) | Value::Text(None) | Value::Bytes(None) => ValueRef::Null,
        }))
    }
}

macro_rules! bound {
    ($($from:ty => $kind:ident, |$value:ident| $put:expr;)*) => { $(
        impl From<$from> for Value {
            fn from($value: $from) -> Value {
                Value::$kind(Some($put))
            }
        }
        impl From<Option<$from>> for Value {
            fn from(value: Option<$from>) -> Value {
                Value::$kind(value.map(|$value| $put))
            }
        }
    )* };
}
bound! {
    i64 => Int, |value| value;
    u32 => Int, |value| value.into();
    bool => Int, |value| value.into();
    &str => Text, |value| plain(value.to_owned());
    &String => Text, |value| plain(value.clone());
    String => Text, |value| plain(value);
    [u8; 32] => Bytes, |value| value.to_vec();
    Vec<u8> => Bytes, |value| value;
}

/// PostgreSQL keeps no NUL in a text: it becomes U+FFFD, on both engines.
fn plain(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

/// The values of a query, in their order.
macro_rules! values {
    ($($value:expr),* $(,)?) => { &[$($crate::db::sql::Value::from($value)),*] };
}
pub(super) use values;

/// What a column is read as.
pub(super) trait Column: Sized {
    /// None: the column holds something else.
    fn read(value: &Value) -> Option<Self>;
}

impl Column for i64 {
    fn read(value: &Value) -> Option<i64> {
        if let Value::Int(number) = value { *number } else { None }
    }
}

impl Column for u32 {
    fn read(value: &Value) -> Option<u32> {
        i64::read(value)?.try_into().ok()
    }
}

impl Column for bool {
    fn read(value: &Value) -> Option<bool> {
        Some(i64::read(value)? != 0)
    }
}

impl Column for String {
    fn read(value: &Value) -> Option<String> {
        if let Value::Text(text) = value { text.clone() } else { None }
    }
}

impl Column for Vec<u8> {
    fn read(value: &Value) -> Option<Vec<u8>> {
        if let Value::Bytes(octets) = value { octets.clone() } else { None }
    }
}

impl<T: Column> Column for Option<T> {
    fn read(value: &Value) -> Option<Option<T>> {
        match value {
            Value::Int(None) | Value::Text(None) | Value::Bytes(None) => Some(None),
            value => T::read(value).map(Some),
        }
    }
}

/// A row.
#[derive(Debug)]
pub(super) struct Row(pub Vec<Value>);

impl Row {
    /// A column, from 0.
    pub fn get<T: Column>(&self, index: usize) -> Result<T, Broken> {
        self.0.get(index).and_then(T::read).ok_or(Broken::Column(index))
    }

    /// A column that holds JSON.
    pub fn json<T: serde::de::DeserializeOwned>(&self, index: usize) -> Result<T, Broken> {
        Ok(serde_json::from_str(&self.get::<String>(index)?)?)
    }
}

/// What runs queries, within one piece of work.
pub(super) enum Sql<'c> {
    Sqlite(&'c rusqlite::Connection),
    Postgres(Talk<'c>),
}

impl Sql<'_> {
    /// Changes rows; how many.
    pub fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, Broken> {
        match self {
            Sql::Sqlite(db) => {
                let done = db.prepare_cached(sql)?.execute(rusqlite::params_from_iter(values))?;
                Ok(u64::try_from(done).unwrap_or(u64::MAX))
            }
            Sql::Postgres(talk) => talk.execute(sql, values),
        }
    }

    /// Runs several statements: a step of the schema.
    pub fn batch(&mut self, text: &str) -> Result<(), Broken> {
        match self {
            Sql::Sqlite(db) => Ok(db.execute_batch(text)?),
            Sql::Postgres(talk) => talk.batch(text),
        }
    }

    /// Every row.
    pub fn rows<T>(
        &mut self,
        sql: &str,
        values: &[Value],
        read: impl Fn(&Row) -> Result<T, Broken>,
    ) -> Result<Vec<T>, Broken> {
        match self {
            Sql::Sqlite(db) => {
                let mut query = db.prepare_cached(sql)?;
                let width = query.column_count();
                let mut found = query.query(rusqlite::params_from_iter(values))?;
                let mut out = Vec::new();
                while let Some(row) = found.next()? {
                    let columns = (0..width).map(|index| row.get_ref(index).map(of_sqlite));
                    out.push(read(&Row(columns.collect::<Result<_, _>>()?))?);
                }
                Ok(out)
            }
            Sql::Postgres(talk) => talk.rows(sql, values)?.iter().map(read).collect(),
        }
    }

    /// The first row, when there is one.
    pub fn row<T>(
        &mut self,
        sql: &str,
        values: &[Value],
        read: impl Fn(&Row) -> Result<T, Broken>,
    ) -> Result<Option<T>, Broken> {
        Ok(self.rows(sql, values, read)?.into_iter().next())
    }
}

fn of_sqlite(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Int(None),
        ValueRef::Integer(number) => Value::Int(Some(number)),
        // No table has such a column: what reads it says so.
        ValueRef::Real(_) => Value::Bytes(Some(Vec::new())),
        ValueRef::Text(octets) => Value::Text(Some(String::from_utf8_lossy(octets).into_owned())),
        ValueRef::Blob(octets) => Value::Bytes(Some(octets.to_vec())),
    }
}
