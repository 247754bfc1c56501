//! What the last pre-flight of a test found.

use control::engine::Preflight;

use super::sql::values;
use super::{Db, JobId};
use crate::error::Broken;

/// A pre-flight that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkup {
    /// When.
    pub at: i64,
    /// Whether nothing was wrong.
    pub is_good: bool,
    /// What was found; nothing of those that an earlier version made.
    pub findings: Vec<Preflight>,
}

impl Db {
    /// Keeps what a pre-flight found.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn put_checkup(&self, job: &JobId, made: &Checkup) -> Result<(), Broken> {
        let values = values![&job.0, made.at, made.is_good, serde_json::to_string(&made.findings)?].to_vec();
        self.change(move |db| {
            db.execute(
                "INSERT INTO checkup (job, at, is_good, findings) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (job) DO UPDATE SET at = ?2, is_good = ?3, findings = ?4",
                &values,
            )?;
            Ok(())
        })
        .await
    }

    /// The last pre-flight of a test.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn checkup(&self, job: &JobId) -> Result<Option<Checkup>, Broken> {
        let values = values![&job.0].to_vec();
        self.read(move |db| {
            db.row("SELECT at, is_good, findings FROM checkup WHERE job = ?1", &values, |row| {
                Ok(Checkup { at: row.get(0)?, is_good: row.get(1)?, findings: row.json(2)? })
            })
        })
        .await
    }
}
