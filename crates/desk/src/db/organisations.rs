//! Operators, and where their campaigns may go.

use std::net::IpAddr;

use rusqlite::{OptionalExtension, Row};
use serde::{Deserialize, Serialize};

use super::{Db, OrganisationId, json};
use crate::error::Broken;
use crate::reach::Range;

/// Where the campaigns of an operator may go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    /// Its mail domains, lower case.
    pub domains: Vec<String>,
    /// Ranges of addresses beside the public ones.
    pub ranges: Vec<Range>,
    /// Ports beside the usual ones.
    pub ports: Vec<u16>,
}

impl Reach {
    /// Whether an address may be connected to.
    #[must_use]
    pub fn has_address(&self, ip: IpAddr) -> bool {
        control::reach::is_public(ip) || self.ranges.iter().any(|range| range.has(ip))
    }
}

/// An operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organisation {
    /// Which.
    pub id: OrganisationId,
    /// Its name.
    pub name: String,
    /// Where its campaigns may go.
    pub reach: Reach,
}

const COLUMNS: &str = "id, name, domains, ranges, ports";

fn read(row: &Row<'_>) -> Result<Organisation, rusqlite::Error> {
    let text = |index: usize| row.get::<_, String>(index);
    Ok(Organisation {
        id: OrganisationId(row.get(0)?),
        name: row.get(1)?,
        reach: Reach { domains: json(&text(2)?)?, ranges: json(&text(3)?)?, ports: json(&text(4)?)? },
    })
}

impl Db {
    /// Every operator, by name.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn organisations(&self) -> Result<Vec<Organisation>, Broken> {
        self.run(|db| {
            let mut query = db.prepare_cached(&format!("SELECT {COLUMNS} FROM organisation ORDER BY name"))?;
            Ok(query.query_map([], read)?.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// One operator.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn organisation(&self, id: OrganisationId) -> Result<Option<Organisation>, Broken> {
        self.run(move |db| {
            let mut query = db.prepare_cached(&format!("SELECT {COLUMNS} FROM organisation WHERE id = ?1"))?;
            Ok(query.query_row([id.0], read).optional()?)
        })
        .await
    }

    /// Adds an operator, or changes where the one of that name may go.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn put_organisation(&self, name: &str, reach: Reach, now: i64) -> Result<OrganisationId, Broken> {
        let name = name.to_owned();
        self.run(move |db| {
            let id = db
                .prepare_cached(
                    "INSERT INTO organisation (name, domains, ranges, ports, created) VALUES (?1, ?2, ?3, ?4, ?5)
                     ON CONFLICT (name) DO UPDATE SET domains = ?2, ranges = ?3, ports = ?4 RETURNING id",
                )?
                .query_row(
                    (
                        name,
                        serde_json::to_string(&reach.domains)?,
                        serde_json::to_string(&reach.ranges)?,
                        serde_json::to_string(&reach.ports)?,
                        now,
                    ),
                    |row| row.get(0),
                )?;
            Ok(OrganisationId(id))
        })
        .await
    }
}
