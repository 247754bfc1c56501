//! What the last pre-flight of a test found.

use super::sql::values;
use super::{Db, JobId};
use crate::error::Broken;

impl Db {
    /// Keeps what a pre-flight found.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn put_checkup(&self, job: &JobId, is_good: bool, now: i64) -> Result<(), Broken> {
        let values = values![&job.0, now, is_good].to_vec();
        self.change(move |db| {
            db.execute(
                "INSERT INTO checkup (job, at, is_good) VALUES (?1, ?2, ?3) ON CONFLICT (job) DO UPDATE SET at = ?2, is_good = ?3",
                &values,
            )?;
            Ok(())
        })
        .await
    }

    /// Whether the last pre-flight of a test found something wrong.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn is_checkup_bad(&self, job: &JobId) -> Result<bool, Broken> {
        let values = values![&job.0].to_vec();
        let found = self
            .read(move |db| db.row("SELECT is_good FROM checkup WHERE job = ?1", &values, |row| row.get::<bool>(0)))
            .await?;
        Ok(found == Some(false))
    }
}
