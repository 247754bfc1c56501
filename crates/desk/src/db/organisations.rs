//! Operators, and where their campaigns may go.

use std::net::IpAddr;

use mssante::StructureId;
use serde::{Deserialize, Serialize};

use super::sql::{Row, values};
use super::{Db, OrganisationId};
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
        control::reach::is_public(ip) || self.is_declared(ip)
    }

    /// Whether it is in a declared range.
    #[must_use]
    pub fn is_declared(&self, ip: IpAddr) -> bool {
        self.ranges.iter().any(|range| range.has(ip))
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
    /// Its national identifiers (FINESS, SIRET), as its certificates have them; none: not declared.
    pub identifiers: Vec<StructureId>,
}

const COLUMNS: &str = "id, name, domains, ranges, ports, identifiers";

fn read(row: &Row) -> Result<Organisation, Broken> {
    Ok(Organisation {
        id: OrganisationId(row.get(0)?),
        name: row.get(1)?,
        reach: Reach { domains: row.json(2)?, ranges: row.json(3)?, ports: row.json(4)? },
        identifiers: row.json(5)?,
    })
}

impl Db {
    /// Every operator, by name.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn organisations(&self) -> Result<Vec<Organisation>, Broken> {
        self.read(|db| db.rows(&format!("SELECT {COLUMNS} FROM organisation ORDER BY name"), &[], read)).await
    }

    /// One operator.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn organisation(&self, id: OrganisationId) -> Result<Option<Organisation>, Broken> {
        let query = format!("SELECT {COLUMNS} FROM organisation WHERE id = ?1");
        self.read(move |db| db.row(&query, values![id.0], read)).await
    }

    /// Declares who an operator is: its national identifiers, in the place of those before.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn identify(&self, id: OrganisationId, identifiers: &[StructureId]) -> Result<(), Broken> {
        let values = values![id.0, serde_json::to_string(identifiers)?].to_vec();
        self.change(move |db| {
            db.execute("UPDATE organisation SET identifiers = ?2 WHERE id = ?1", &values)?;
            Ok(())
        })
        .await
    }

    /// Adds an operator, or changes where the one of that name may go.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn put_organisation(&self, name: &str, reach: Reach, now: i64) -> Result<OrganisationId, Broken> {
        let values = values![
            name,
            serde_json::to_string(&reach.domains)?,
            serde_json::to_string(&reach.ranges)?,
            serde_json::to_string(&reach.ports)?,
            now
        ]
        .to_vec();
        self.change(move |db| {
            let id = db.row(
                "INSERT INTO organisation (name, domains, ranges, ports, created) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (name) DO UPDATE SET domains = ?2, ranges = ?3, ports = ?4 RETURNING id",
                &values,
                |row| row.get(0),
            )?;
            id.map(OrganisationId).ok_or(Broken::Column(0))
        })
        .await
    }
}
