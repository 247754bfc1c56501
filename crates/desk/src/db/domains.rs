//! Domains that operators say are their own, and their proofs.

use super::sql::{Row, values};
use super::{Db, OrganisationId, Scope};
use crate::error::Broken;

/// Domains of one operator: those it runs, and those it runs for others.
pub const MOST: i64 = 50;

/// A domain somebody says is theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// Whose, as they say.
    pub organisation: OrganisationId,
    /// Which, lower case.
    pub name: String,
    /// What is to be published.
    pub token: String,
    /// When it was asked for.
    pub asked: i64,
    /// When it was last looked for.
    pub checked: Option<i64>,
    /// When it was last seen.
    pub proven: Option<i64>,
    /// The code of what was found last.
    pub finding: String,
}

const COLUMNS: &str = "organisation, domain, token, asked, checked, proven, finding";

fn read(row: &Row) -> Result<Domain, Broken> {
    Ok(Domain {
        organisation: OrganisationId(row.get(0)?),
        name: row.get(1)?,
        token: row.get(2)?,
        asked: row.get(3)?,
        checked: row.get(4)?,
        proven: row.get(5)?,
        finding: row.get(6)?,
    })
}

impl Db {
    /// Notes that an operator says a domain is its own; one it said before keeps its token. Whether it is there now: not when there are too many.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn ask_domain(&self, whose: OrganisationId, name: &str, token: &str, now: i64) -> Result<bool, Broken> {
        let values = values![whose.0, name, token, now, MOST].to_vec();
        self.change(move |db| {
            db.execute(
                "INSERT INTO domain (organisation, domain, token, asked) SELECT ?1, ?2, ?3, ?4
                 WHERE (SELECT count(*) FROM domain WHERE organisation = ?1) < ?5 ON CONFLICT DO NOTHING",
                &values,
            )?;
            let there =
                db.row("SELECT asked FROM domain WHERE organisation = ?1 AND domain = ?2", &values[..2], |row| {
                    row.get::<i64>(0)
                })?;
            Ok(there.is_some())
        })
        .await
    }

    /// The domains of the scope, by name.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn domains(&self, scope: Scope) -> Result<Vec<Domain>, Broken> {
        let query = format!("SELECT {COLUMNS} FROM domain WHERE (?1 IS NULL OR organisation = ?1) ORDER BY domain");
        self.read(move |db| db.rows(&query, values![scope.sql()], read)).await
    }

    /// One of them.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn domain(&self, whose: OrganisationId, name: &str) -> Result<Option<Domain>, Broken> {
        let values = values![whose.0, name].to_vec();
        let query = format!("SELECT {COLUMNS} FROM domain WHERE organisation = ?1 AND domain = ?2");
        self.read(move |db| db.row(&query, &values, read)).await
    }

    /// Keeps what was found of a domain.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn checked_domain(
        &self,
        domain: &Domain,
        is_proven: bool,
        finding: &str,
        now: i64,
    ) -> Result<(), Broken> {
        let values = values![domain.organisation.0, &domain.name, now, is_proven.then_some(now), finding].to_vec();
        self.change(move |db| {
            db.execute(
                "UPDATE domain SET checked = ?3, proven = coalesce(?4, proven), finding = ?5
                 WHERE organisation = ?1 AND domain = ?2",
                &values,
            )?;
            Ok(())
        })
        .await
    }

    /// Forgets a domain; whether it was there.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn drop_domain(&self, whose: OrganisationId, name: &str) -> Result<bool, Broken> {
        let values = values![whose.0, name].to_vec();
        self.change(move |db| {
            Ok(db.execute("DELETE FROM domain WHERE organisation = ?1 AND domain = ?2", &values)? == 1)
        })
        .await
    }
}
