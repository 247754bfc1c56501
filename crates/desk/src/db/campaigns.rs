//! Campaigns, their results and proofs.
//!
//! Invariants: a result and its proofs are written in one transaction, before anybody is told of them; a result is never changed;
//! a campaign goes from *en file* to *en cours* to one of the ends, or back to *en file* when the process ended under it.

use std::collections::BTreeMap;

use control::engine::{CaseResult, Depth, Preflight};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::sql::{Row, Sql, Value as Bound, values};
use super::{CampaignId, Db, Job, JobId, OrganisationId, Scope};
use crate::error::Broken;

/// Campaigns of one operator that may wait.
pub const MOST_WAITING: i64 = 50;
/// Starts after which a campaign that the process does not survive is left.
pub const MOST_STARTS: i64 = 3;

/// Where a campaign is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Waits for its turn.
    EnFile,
    /// Runs.
    EnCours,
    /// Over, with its report.
    Terminee,
    /// Could not be run to its end; the cause says why.
    Interrompue,
    /// Stopped by somebody.
    Annulee,
}

impl State {
    /// Stable.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            State::EnFile => "en_file",
            State::EnCours => "en_cours",
            State::Terminee => "terminee",
            State::Interrompue => "interrompue",
            State::Annulee => "annulee",
        }
    }

    /// For people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            State::EnFile => "en file",
            State::EnCours => "en cours",
            State::Terminee => "terminée",
            State::Interrompue => "interrompue",
            State::Annulee => "annulée",
        }
    }

    /// Whether nothing more comes.
    #[must_use]
    pub fn is_over(self) -> bool {
        !matches!(self, State::EnFile | State::EnCours)
    }

    fn read(code: &str) -> State {
        match code {
            "en_file" => State::EnFile,
            "en_cours" => State::EnCours,
            "terminee" => State::Terminee,
            "annulee" => State::Annulee,
            _ => State::Interrompue,
        }
    }
}

/// A campaign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Campaign {
    /// Which.
    pub id: CampaignId,
    /// Whose.
    pub organisation: OrganisationId,
    /// Its name.
    pub operator: String,
    /// Of which job.
    pub job: JobId,
    /// How it is called.
    pub name: String,
    /// The code of its plan.
    pub plan: String,
    /// The template that completes the job.
    pub template: String,
    /// The job as it was, TOML.
    pub text: String,
    /// Only these cases or groups; all when empty.
    pub only: Vec<String>,
    /// How deep.
    pub depth: Depth,
    /// The campaign of which it runs some cases again.
    pub parent: Option<CampaignId>,
    /// Who launched it.
    pub author: String,
    /// Where it is.
    pub state: State,
    /// Why it was interrupted.
    pub cause: String,
    /// When it was launched.
    pub queued: i64,
    /// When it began.
    pub begun: Option<i64>,
    /// When it ended.
    pub ended: Option<i64>,
    /// How many cases it has; 0 before it begins.
    pub planned: u32,
    /// How many are done.
    pub done: u32,
    /// How often it was begun.
    pub starts: i64,
    /// The code of its verdict.
    pub verdict: Option<String>,
    /// Whether it is a run of a watch.
    pub is_watch: bool,
    /// Why it was launched although the pre-flight found something wrong.
    pub overridden: String,
    /// What the pre-flight before it found; nothing when it is a run of a watch, or one of an earlier version.
    pub checkup: Vec<Preflight>,
}

/// A campaign to be launched.
#[derive(Debug, Clone)]
pub struct NewCampaign {
    /// Of which job.
    pub job: Job,
    /// Only these.
    pub only: Vec<String>,
    /// How deep.
    pub depth: Depth,
    /// The campaign of which it runs some cases again.
    pub parent: Option<CampaignId>,
    /// Who launches it.
    pub author: String,
    /// Why, although the pre-flight found something wrong.
    pub overridden: String,
    /// What that found.
    pub checkup: Vec<Preflight>,
    /// Whether it is a run of a watch.
    pub is_watch: bool,
}

/// Which campaigns are listed.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this job only.
    pub job: Option<JobId>,
    /// Older than this one.
    pub before: Option<CampaignId>,
    /// At most so many.
    pub most: u32,
}

const COLUMNS: &str = "c.id, c.organisation, o.name, c.job, c.name, c.plan, c.template, c.text, c.only_cases, c.depth, c.parent, c.author,
    c.state, c.cause, c.queued, c.begun, c.ended, c.planned, (SELECT count(*) FROM result r WHERE r.campaign = c.id), c.starts, c.verdict, c.is_watch, c.override, c.checkup";
const FROM: &str = "FROM campaign c JOIN organisation o ON o.id = c.organisation";

pub(super) fn depth_code(depth: Depth) -> &'static str {
    match depth {
        Depth::Eclair => "eclair",
        Depth::Complet => "complet",
    }
}

/// From its code.
pub(super) fn depth_of(code: &str) -> Depth {
    if code == "eclair" { Depth::Eclair } else { Depth::Complet }
}

fn read(row: &Row) -> Result<Campaign, Broken> {
    let text = |index: usize| row.get::<String>(index);
    Ok(Campaign {
        id: CampaignId(row.get(0)?),
        organisation: OrganisationId(row.get(1)?),
        operator: row.get(2)?,
        job: JobId(row.get(3)?),
        name: row.get(4)?,
        plan: row.get(5)?,
        template: row.get(6)?,
        text: row.get(7)?,
        only: row.json(8)?,
        depth: depth_of(&text(9)?),
        parent: row.get::<Option<String>>(10)?.map(CampaignId),
        author: row.get(11)?,
        state: State::read(&text(12)?),
        cause: row.get(13)?,
        queued: row.get(14)?,
        begun: row.get(15)?,
        ended: row.get(16)?,
        planned: row.get(17)?,
        done: row.get(18)?,
        starts: row.get(19)?,
        verdict: row.get(20)?,
        is_watch: row.get(21)?,
        overridden: row.get(22)?,
        checkup: row.json(23)?,
    })
}

/// Puts a campaign into the queue; not when too many of its operator wait, but for the run of a watch, of which each test has one at most.
/// Whether it is there.
pub(super) fn insert(db: &mut Sql<'_>, id: &CampaignId, new: NewCampaign, milliseconds: i64) -> Result<bool, Broken> {
    let job = new.job;
    let most = if new.is_watch { i64::MAX } else { MOST_WAITING };
    let done = db.execute(
        "INSERT INTO campaign (id, organisation, job, name, plan, template, text, only_cases, depth, parent, author, state, queued, override, checkup, is_watch)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 'en_file', ?12, ?14, ?15, ?16
         WHERE (SELECT count(*) FROM campaign WHERE organisation = ?2 AND state = 'en_file') < ?13",
        values![
            &id.0,
            job.organisation.0,
            job.id.0,
            job.name,
            job.plan,
            job.template,
            job.text,
            serde_json::to_string(&new.only)?,
            depth_code(new.depth),
            new.parent.map(|parent| parent.0),
            new.author,
            milliseconds / 1000,
            most,
            new.overridden,
            serde_json::to_string(&new.checkup)?,
            new.is_watch
        ],
    )?;
    Ok(done == 1)
}

impl Db {
    /// Launches a campaign; nothing when too many of its operator wait.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn add_campaign(&self, new: NewCampaign, milliseconds: i64) -> Result<Option<CampaignId>, Broken> {
        let id = CampaignId::new(milliseconds)?;
        self.change(move |db| Ok(insert(db, &id, new, milliseconds)?.then_some(id))).await
    }

    /// The campaigns of the scope, the newest first.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn campaigns(&self, scope: Scope, filter: Filter) -> Result<Vec<Campaign>, Broken> {
        self.read(move |db| {
            let query = format!(
                "SELECT {COLUMNS} {FROM} WHERE (?1 IS NULL OR c.organisation = ?1) AND (?2 IS NULL OR c.job = ?2)
                 AND (?3 IS NULL OR c.id < ?3) ORDER BY c.id DESC LIMIT ?4"
            );
            let (job, before) = (filter.job.map(|job| job.0), filter.before.map(|id| id.0));
            db.rows(&query, values![scope.sql(), job, before, filter.most], read)
        })
        .await
    }

    /// One campaign of the scope.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn campaign(&self, scope: Scope, id: &CampaignId) -> Result<Option<Campaign>, Broken> {
        let id = id.clone();
        self.read(move |db| {
            let query = format!("SELECT {COLUMNS} {FROM} WHERE c.id = ?1 AND (?2 IS NULL OR c.organisation = ?2)");
            db.row(&query, values![id.0, scope.sql()], read)
        })
        .await
    }

    /// Those that wait, the oldest first.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn waiting(&self) -> Result<Vec<Campaign>, Broken> {
        let query = format!("SELECT {COLUMNS} {FROM} WHERE c.state = 'en_file' ORDER BY c.id");
        self.read(move |db| db.rows(&query, &[], read)).await
    }

    /// Those that run, as far as the database knows.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn running(&self) -> Result<Vec<CampaignId>, Broken> {
        self.read(|db| {
            db.rows("SELECT id FROM campaign WHERE state = 'en_cours'", &[], |row| Ok(CampaignId(row.get(0)?)))
        })
        .await
    }

    /// Those that ran when the process ended wait again, or are left when that happened too often.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn recover(&self, now: i64) -> Result<(), Broken> {
        self.change(move |db| {
            db.execute(
                "UPDATE campaign SET state = 'interrompue', ended = ?2,
                 cause = 'l''application s''est arrêtée plusieurs fois pendant cette campagne'
                 WHERE state = 'en_cours' AND starts >= ?1",
                values![MOST_STARTS, now],
            )?;
            db.execute("UPDATE campaign SET state = 'en_file' WHERE state = 'en_cours'", &[])?;
            Ok(())
        })
        .await
    }

    /// A campaign begins; whether it still waited.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn begin_campaign(&self, id: &CampaignId, now: i64) -> Result<bool, Broken> {
        let id = id.clone();
        self.change(move |db| {
            let done = db.execute(
                "UPDATE campaign SET state = 'en_cours', starts = starts + 1, begun = coalesce(begun, ?2)
                 WHERE id = ?1 AND state = 'en_file'",
                values![&id.0, now],
            )?;
            Ok(done == 1)
        })
        .await
    }

    /// A campaign that runs waits again, as if it had not begun: the process ends.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn requeue(&self, id: &CampaignId) -> Result<(), Broken> {
        let id = id.clone();
        self.change(move |db| {
            db.execute(
                "UPDATE campaign SET state = 'en_file', starts = starts - 1 WHERE id = ?1 AND state = 'en_cours'",
                values![&id.0],
            )?;
            Ok(())
        })
        .await
    }

    /// How many cases it has.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn set_planned(&self, id: &CampaignId, planned: usize) -> Result<(), Broken> {
        let id = id.clone();
        self.change(move |db| {
            db.execute(
                "UPDATE campaign SET planned = ?2 WHERE id = ?1",
                values![&id.0, u32::try_from(planned).unwrap_or(u32::MAX)],
            )?;
            Ok(())
        })
        .await
    }

    /// Keeps a result and its proofs. One that is there already stays as it was.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn add_result(
        &self,
        id: &CampaignId,
        case: String,
        result: String,
        proofs: Vec<(String, String)>,
    ) -> Result<(), Broken> {
        let id = id.clone();
        self.change(move |db| {
            for (hash, proof) in proofs {
                db.execute(
                    "INSERT INTO proof (campaign, hash, json) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
                    values![&id.0, hash, proof],
                )?;
            }
            db.execute(
                "INSERT INTO result (campaign, position, case_id, json)
                 SELECT ?1, coalesce((SELECT max(position) FROM result WHERE campaign = ?1), 0) + 1, ?2, ?3
                 WHERE true ON CONFLICT (campaign, case_id) DO NOTHING",
                values![&id.0, case, result],
            )?;
            Ok(())
        })
        .await
    }

    /// A campaign is over.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn end_campaign(
        &self,
        id: &CampaignId,
        state: State,
        cause: &str,
        verdict: Option<&'static str>,
        head: Option<String>,
        now: i64,
    ) -> Result<(), Broken> {
        let (id, cause) = (id.clone(), cause.to_owned());
        self.change(move |db| {
            db.execute(
                "UPDATE campaign SET state = ?2, cause = ?3, verdict = ?4, head = ?5, ended = ?6
                 WHERE id = ?1 AND state IN ('en_file', 'en_cours')",
                values![&id.0, state.code(), cause, verdict, head, now],
            )?;
            Ok(())
        })
        .await
    }

    /// Takes one that waits out of the queue; whether it waited.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn cancel_waiting(&self, scope: Scope, id: &CampaignId, now: i64) -> Result<bool, Broken> {
        let id = id.clone();
        self.change(move |db| {
            let done = db.execute(
                "UPDATE campaign SET state = 'annulee', ended = ?3
                 WHERE id = ?1 AND (?2 IS NULL OR organisation = ?2) AND state = 'en_file'",
                values![&id.0, scope.sql(), now],
            )?;
            Ok(done == 1)
        })
        .await
    }

    /// The results after a position, in the order in which they ended.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn results(&self, scope: Scope, id: &CampaignId, after: i64) -> Result<Vec<(i64, CaseResult)>, Broken> {
        let id = id.clone();
        self.read(move |db| {
            db.rows(
                "SELECT r.position, r.json FROM result r JOIN campaign c ON c.id = r.campaign
                 WHERE c.id = ?1 AND (?2 IS NULL OR c.organisation = ?2) AND r.position > ?3 ORDER BY r.position",
                values![id.0, scope.sql(), after],
                |row| Ok((row.get(0)?, row.json(1)?)),
            )
        })
        .await
    }

    /// Proofs by their hash: those asked for, or all.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn proofs(
        &self,
        scope: Scope,
        id: &CampaignId,
        only: Option<Vec<String>>,
    ) -> Result<BTreeMap<String, Value>, Broken> {
        let id = id.clone();
        self.read(move |db| {
            let mut query = "SELECT p.hash, p.json FROM proof p JOIN campaign c ON c.id = p.campaign
                 WHERE c.id = ?1 AND (?2 IS NULL OR c.organisation = ?2)"
                .to_owned();
            let mut bound = values![id.0, scope.sql()].to_vec();
            let Some(hashes) = only else {
                return Ok(db.rows(&query, &bound, |row| Ok((row.get(0)?, row.json(1)?)))?.into_iter().collect());
            };
            let places: Vec<String> = (0..hashes.len()).map(|index| format!("?{}", index + 3)).collect();
            if places.is_empty() {
                return Ok(BTreeMap::new());
            }
            query.push_str(&format!(" AND p.hash IN ({})", places.join(", ")));
            bound.extend(hashes.into_iter().map(Bound::from));
            Ok(db.rows(&query, &bound, |row| Ok((row.get(0)?, row.json(1)?)))?.into_iter().collect())
        })
        .await
    }

    /// The campaign as it ended, without its cases and proofs.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn head(&self, scope: Scope, id: &CampaignId) -> Result<Option<String>, Broken> {
        let id = id.clone();
        self.read(move |db| {
            let found = db.row(
                "SELECT head FROM campaign WHERE id = ?1 AND (?2 IS NULL OR organisation = ?2)",
                values![id.0, scope.sql()],
                |row| row.get(0),
            )?;
            Ok(found.flatten())
        })
        .await
    }
}
