//! Tests that are run again and again, and what changed from one run to the next.

use control::engine::Depth;

use super::campaigns::{self, NewCampaign, depth_code, depth_of};
use super::sql::{Row, Sql, values};
use super::{CampaignId, Db, Job, JobId, OrganisationId, Scope};
use crate::error::Broken;

/// A test that is run again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// Which test.
    pub job: JobId,
    /// Whose.
    pub organisation: OrganisationId,
    /// The name of the test.
    pub name: String,
    /// Hours from one run to the next.
    pub every_hours: i64,
    /// The minute of the day in Paris, when it is at a time.
    pub at_minute: Option<i64>,
    /// How deep.
    pub depth: Depth,
    /// Who asked for it.
    pub author: String,
    /// When the next run is due.
    pub next: i64,
    /// The oldest run that later ones are compared with.
    pub reference: Option<CampaignId>,
}

/// What changed from one run to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// The run.
    pub campaign: CampaignId,
    /// Whose.
    pub organisation: OrganisationId,
    /// Of which test.
    pub job: JobId,
    /// Its name.
    pub name: String,
    /// The run before.
    pub previous: CampaignId,
    /// When it was seen.
    pub at: i64,
    /// How many cases are worse.
    pub worse: u32,
    /// The cases, JSON.
    pub json: String,
}

const WATCH: &str = "w.job, w.organisation, j.name, w.every_hours, w.at_minute, w.depth, w.author, w.next, w.reference
    FROM watch w JOIN job j ON j.id = w.job";

fn read_watch(row: &Row) -> Result<Watch, Broken> {
    Ok(Watch {
        job: JobId(row.get(0)?),
        organisation: OrganisationId(row.get(1)?),
        name: row.get(2)?,
        every_hours: row.get(3)?,
        at_minute: row.get(4)?,
        depth: depth_of(&row.get::<String>(5)?),
        author: row.get(6)?,
        next: row.get(7)?,
        reference: row.get::<Option<String>>(8)?.map(CampaignId),
    })
}

fn read_drift(row: &Row) -> Result<Drift, Broken> {
    Ok(Drift {
        campaign: CampaignId(row.get(0)?),
        organisation: OrganisationId(row.get(1)?),
        job: JobId(row.get(2)?),
        name: row.get(3)?,
        previous: CampaignId(row.get(4)?),
        at: row.get(5)?,
        worse: row.get(6)?,
        json: row.get(7)?,
    })
}

impl Db {
    /// Has a test run again and again, or otherwise than before.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn put_watch(&self, watch: Watch) -> Result<(), Broken> {
        let values = values![
            watch.job.0,
            watch.organisation.0,
            watch.every_hours,
            watch.at_minute,
            depth_code(watch.depth),
            watch.author,
            watch.next
        ]
        .to_vec();
        self.change(move |db| {
            db.execute(
                "INSERT INTO watch (job, organisation, every_hours, at_minute, depth, author, next) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT (job) DO UPDATE SET every_hours = ?3, at_minute = ?4, depth = ?5, author = ?6, next = ?7",
                &values,
            )?;
            Ok(())
        })
        .await
    }

    /// Has it run no more; whether it was.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn drop_watch(&self, scope: Scope, job: &JobId) -> Result<bool, Broken> {
        let values = values![&job.0, scope.sql()].to_vec();
        self.change(move |db| {
            Ok(db.execute("DELETE FROM watch WHERE job = ?1 AND (?2 IS NULL OR organisation = ?2)", &values)? == 1)
        })
        .await
    }

    /// What is run again and again, by name; tests that were taken away are not.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn watches(&self, scope: Scope) -> Result<Vec<Watch>, Broken> {
        let query = format!(
            "SELECT {WATCH} WHERE (?1 IS NULL OR w.organisation = ?1) AND j.is_hidden = 0 ORDER BY j.name, w.job"
        );
        self.read(move |db| db.rows(&query, values![scope.sql()], read_watch)).await
    }

    /// One of them.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn watch_of(&self, scope: Scope, job: &JobId) -> Result<Option<Watch>, Broken> {
        let values = values![&job.0, scope.sql()].to_vec();
        let query =
            format!("SELECT {WATCH} WHERE w.job = ?1 AND (?2 IS NULL OR w.organisation = ?2) AND j.is_hidden = 0");
        self.read(move |db| db.row(&query, &values, read_watch)).await
    }

    /// Those that are due.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn due(&self, now: i64) -> Result<Vec<Watch>, Broken> {
        let query = format!("SELECT {WATCH} WHERE w.next <= ?1 AND j.is_hidden = 0 ORDER BY w.next");
        self.read(move |db| db.rows(&query, values![now], read_watch)).await
    }

    /// Launches a run that is due and notes when the next one is, both or neither; nothing when it was launched already. A run is left out when
    /// the one before still waits or runs.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn launch_due(
        &self,
        watch: &Watch,
        job: Job,
        next: i64,
        milliseconds: i64,
    ) -> Result<Option<CampaignId>, Broken> {
        let (id, watch) = (CampaignId::new(milliseconds)?, watch.clone());
        self.change(move |db| {
            let moved = db.execute(
                "UPDATE watch SET next = ?3 WHERE job = ?1 AND next = ?2",
                values![&watch.job.0, watch.next, next],
            )?;
            if moved == 0 || has_open(db, &watch.job)? {
                return Ok(None);
            }
            let new = NewCampaign {
                job,
                only: Vec::new(),
                depth: watch.depth,
                parent: None,
                author: format!("surveillance ({})", watch.author),
                overridden: String::new(),
                checkup: Vec::new(),
                is_watch: true,
            };
            Ok(campaigns::insert(db, &id, new, milliseconds)?.then_some(id))
        })
        .await
    }

    /// Compares later runs with this one and those after it.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn set_reference(&self, scope: Scope, job: &JobId, campaign: &CampaignId) -> Result<bool, Broken> {
        let values = values![&job.0, scope.sql(), &campaign.0].to_vec();
        self.change(move |db| {
            let done = db.execute(
                "UPDATE watch SET reference = ?3 WHERE job = ?1 AND (?2 IS NULL OR organisation = ?2)",
                &values,
            )?;
            Ok(done == 1)
        })
        .await
    }

    /// Keeps what changed in a run; once.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn add_drift(&self, drift: &Drift) -> Result<(), Broken> {
        let values = values![
            &drift.campaign.0,
            drift.organisation.0,
            &drift.job.0,
            &drift.previous.0,
            drift.at,
            drift.worse,
            &drift.json
        ]
        .to_vec();
        self.change(move |db| {
            db.execute(
                "INSERT INTO drift (campaign, organisation, job, previous, at, worse, json) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT DO NOTHING",
                &values,
            )?;
            Ok(())
        })
        .await
    }

    /// What changed, the newest first.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn drifts(&self, scope: Scope, most: u32) -> Result<Vec<Drift>, Broken> {
        self.read(move |db| {
            db.rows(
                "SELECT d.campaign, d.organisation, d.job, j.name, d.previous, d.at, d.worse, d.json
                 FROM drift d JOIN job j ON j.id = d.job
                 WHERE (?1 IS NULL OR d.organisation = ?1) ORDER BY d.campaign DESC LIMIT ?2",
                values![scope.sql(), most],
                read_drift,
            )
        })
        .await
    }
}

fn has_open(db: &mut Sql<'_>, job: &JobId) -> Result<bool, Broken> {
    let open = db.row(
        "SELECT id FROM campaign WHERE job = ?1 AND state IN ('en_file', 'en_cours') LIMIT 1",
        values![&job.0],
        |row| row.get::<String>(0),
    )?;
    Ok(open.is_some())
}
