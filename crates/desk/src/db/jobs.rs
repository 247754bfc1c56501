//! Jobs: what is to be controlled, as their users wrote it.

use super::sql::{Row, values};
use super::{Db, JobId, OrganisationId, Scope};
use crate::error::Broken;

/// Jobs of an operator; more are not taken.
pub const MOST: i64 = 500;

/// A job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Which.
    pub id: JobId,
    /// Whose.
    pub organisation: OrganisationId,
    /// How its user calls it.
    pub name: String,
    /// The code of its plan.
    pub plan: String,
    /// The name of the template that completes it.
    pub template: String,
    /// What its user wrote, TOML.
    pub text: String,
    /// Who.
    pub author: String,
    /// When.
    pub created: i64,
}

/// A job to be kept.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Whose.
    pub organisation: OrganisationId,
    /// How its user calls it.
    pub name: String,
    /// The code of its plan.
    pub plan: String,
    /// The name of the template that completes it.
    pub template: String,
    /// What its user wrote, TOML.
    pub text: String,
    /// Who.
    pub author: String,
}

const COLUMNS: &str = "id, organisation, name, plan, template, text, author, created";

fn read(row: &Row) -> Result<Job, Broken> {
    Ok(Job {
        id: JobId(row.get(0)?),
        organisation: OrganisationId(row.get(1)?),
        name: row.get(2)?,
        plan: row.get(3)?,
        template: row.get(4)?,
        text: row.get(5)?,
        author: row.get(6)?,
        created: row.get(7)?,
    })
}

impl Db {
    /// Keeps a job; nothing when there are too many.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn add_job(&self, job: NewJob, milliseconds: i64) -> Result<Option<JobId>, Broken> {
        let id = JobId::new(milliseconds)?;
        let values = values![
            &id.0,
            job.organisation.0,
            job.name,
            job.plan,
            job.template,
            job.text,
            job.author,
            milliseconds / 1000,
            MOST
        ]
        .to_vec();
        self.change(move |db| {
            let done = db.execute(
                "INSERT INTO job (id, organisation, name, plan, template, text, author, created)
                 SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8
                 WHERE (SELECT count(*) FROM job WHERE organisation = ?2 AND is_hidden = 0) < ?9",
                &values,
            )?;
            Ok((done == 1).then_some(id))
        })
        .await
    }

    /// The jobs of the scope, the newest first.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn jobs(&self, scope: Scope) -> Result<Vec<Job>, Broken> {
        self.read(move |db| {
            let query = format!(
                "SELECT {COLUMNS} FROM job WHERE (?1 IS NULL OR organisation = ?1) AND is_hidden = 0 ORDER BY id DESC"
            );
            db.rows(&query, values![scope.sql()], read)
        })
        .await
    }

    /// One job of the scope.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn job(&self, scope: Scope, id: &JobId) -> Result<Option<Job>, Broken> {
        let id = id.clone();
        self.read(move |db| {
            let query = format!(
                "SELECT {COLUMNS} FROM job WHERE id = ?1 AND (?2 IS NULL OR organisation = ?2) AND is_hidden = 0"
            );
            db.row(&query, values![id.0, scope.sql()], read)
        })
        .await
    }

    /// Takes a job out of the lists; its campaigns stay. Whether there was one.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn hide_job(&self, scope: Scope, id: &JobId) -> Result<bool, Broken> {
        let id = id.clone();
        self.change(move |db| {
            let done = db.execute(
                "UPDATE job SET is_hidden = 1 WHERE id = ?1 AND (?2 IS NULL OR organisation = ?2) AND is_hidden = 0",
                values![id.0, scope.sql()],
            )?;
            Ok(done == 1)
        })
        .await
    }
}
