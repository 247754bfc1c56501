//! Watching in production: tests that are run again and again, and what changed from one run to the next. control.md §6.
//!
//! * A run that is due is launched once, also by an application that was down meanwhile: then once, and not for each that was missed.
//! * A run that gives another verdict than the one before is a [`Drift`]: kept before the run is over, shown and told by an Atom feed.
//! * RES-06 compares with an earlier campaign of the same test: the latest whole one in which nothing had become worse. What became worse stays
//!   red until it is mended, or until somebody takes a later campaign for the reference.

use std::path::PathBuf;
use std::time::Duration;

use control::catalogue::Catalogue;
use control::engine::Depth;
use control::job::Plan;
use control::verdict::Verdict;

use crate::Desk;
use crate::account::role::Role;
use crate::acts::Who;
use crate::db::{Campaign, CampaignId, Drift, Filter, Job, Scope, State, Watch};
use crate::error::{Broken, Mistake, Refusal};
use crate::web::compare::{Change, differences};
use crate::words;

/// Shortest time from one run to the next, in hours.
pub const LEAST_HOURS: i64 = 1;
/// Longest: four weeks.
pub const MOST_HOURS: i64 = 24 * 28;
/// How often it is seen what is due.
const TURN: Duration = Duration::from_secs(20);
/// Campaigns among which the reference is sought.
const SOUGHT: u32 = 100;
/// The case that compares.
const DRIFT_CASE: &str = "RES-06";
/// Seconds of an hour.
const HOUR: i64 = 3600;

/// What is asked of a watch.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub every_hours: i64,
    /// `HH:MM` in Paris, or nothing.
    pub at: String,
    pub depth: Depth,
    /// « J'atteste être autorisé ».
    pub is_authorised: bool,
}

/// `HH:MM` as a minute of the day.
fn minute(text: &str) -> Option<i64> {
    let (hours, minutes) = text.split_once(':')?;
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    ((0..24).contains(&hours) && (0..60).contains(&minutes)).then_some(hours * 60 + minutes)
}

/// A minute of the day as `HH:MM`.
pub(crate) fn clock(minute: i64) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

/// When the first run is due.
fn first(now: i64, at_minute: Option<i64>) -> i64 {
    match at_minute {
        None => now,
        Some(minute) => {
            let today = words::at_minute_in_paris(now, minute);
            if today > now { today } else { words::at_minute_in_paris(now + 24 * HOUR, minute) }
        }
    }
}

/// When the run after the one that was due is: in the future, on the same beat; at the same time of day over a change of the clocks.
fn after(watch: &Watch, now: i64) -> i64 {
    let step = watch.every_hours.max(LEAST_HOURS) * HOUR;
    let missed = (now - watch.next).max(0) / step;
    let next = watch.next + (missed + 1) * step;
    match watch.at_minute {
        Some(minute) if watch.every_hours % 24 == 0 => words::at_minute_in_paris(next, minute),
        _ => next,
    }
}

impl Desk {
    /// Has a test run again and again.
    pub(crate) async fn watch_job(&self, who: &Who, job: &Job, asked: Asked) -> Result<Watch, Refusal> {
        who.must(Role::may_run)?;
        if crate::question::is_software(&job.plan) {
            return Err(Refusal::Conflict("Un logiciel ne se surveille pas : il faut quelqu’un pour le faire agir."));
        }
        let mut mistakes = Vec::new();
        if !(LEAST_HOURS..=MOST_HOURS).contains(&asked.every_hours) {
            mistakes.push(Mistake::of("heures", format!("De {LEAST_HOURS} à {MOST_HOURS} heures.")));
        }
        let at_minute = minute(&asked.at);
        if at_minute.is_none() && !asked.at.is_empty() {
            mistakes.push(Mistake::of("a", "Une heure de Paris : 03:30"));
        }
        if !asked.is_authorised {
            let text = "Cochez la case : une campagne se lance contre des serveurs que l'on est autorisé à contrôler.";
            mistakes.push(Mistake::of("autorise", text));
        }
        if !mistakes.is_empty() {
            return Err(Refusal::Invalid(mistakes));
        }
        let watch = Watch {
            job: job.id.clone(),
            organisation: job.organisation,
            name: job.name.clone(),
            every_hours: asked.every_hours,
            at_minute,
            depth: asked.depth,
            author: who.name.clone(),
            next: first(self.now(), at_minute),
            reference: None,
        };
        self.db().put_watch(watch.clone()).await?;
        let what = format!("surveillance : {}, toutes les {} h", job.id.as_str(), watch.every_hours);
        self.db().note(self.now(), Some(job.organisation), &who.name, what).await?;
        self.0.watch_due.notify_one();
        Ok(watch)
    }

    /// Has it run no more.
    pub(crate) async fn unwatch_job(&self, who: &Who, job: &Job) -> Result<(), Refusal> {
        who.must(Role::may_run)?;
        if !self.db().drop_watch(who.scope()?, &job.id).await? {
            return Err(Refusal::NotFound);
        }
        let what = format!("fin de surveillance : {}", job.id.as_str());
        self.db().note(self.now(), Some(job.organisation), &who.name, what).await?;
        Ok(())
    }

    /// Compares from now on with the last campaign of a test, whatever it found.
    pub(crate) async fn take_reference(&self, who: &Who, job: &Job) -> Result<CampaignId, Refusal> {
        who.must(Role::may_run)?;
        let last = self
            .whole_campaigns(&Filter { job: Some(job.id.clone()), before: None, most: SOUGHT })
            .await?
            .into_iter()
            .next();
        let last = last.ok_or(Refusal::Conflict("Aucune campagne complète et finie de ce test."))?;
        if !self.db().set_reference(who.scope()?, &job.id, &last.id).await? {
            return Err(Refusal::NotFound);
        }
        let what = format!("référence de {} : {}", job.id.as_str(), last.id.as_str());
        self.db().note(self.now(), Some(job.organisation), &who.name, what).await?;
        Ok(last.id)
    }

    /// The campaigns of a test that are over and whole, the newest first.
    async fn whole_campaigns(&self, filter: &Filter) -> Result<Vec<Campaign>, Broken> {
        let found = self.db().campaigns(Scope::All, filter.clone()).await?;
        Ok(found.into_iter().filter(|one| one.state == State::Terminee && one.only.is_empty()).collect())
    }

    /// Launches what is due, until the shutdown.
    pub(crate) async fn keep_watch(self) {
        loop {
            if let Err(error) = self.launch_due().await {
                tracing::warn!("what is due could not be launched: {error}");
            }
            tokio::select! {
                () = tokio::time::sleep(TURN) => {}
                () = self.0.watch_due.notified() => {}
                () = self.0.shutdown.cancelled() => break,
            }
        }
    }

    /// Launches what is due now; how many.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn launch_due(&self) -> Result<usize, Broken> {
        let (now, mut count) = (self.now(), 0);
        for watch in self.db().due(now).await? {
            let Some(job) = self.db().job(Scope::Of(watch.organisation), &watch.job).await? else { continue };
            if self.db().launch_due(&watch, job, after(&watch, now), self.milliseconds()).await?.is_some() {
                count += 1;
            }
        }
        if count > 0 {
            self.0.wake.notify_one();
        }
        Ok(count)
    }

    /// The report that RES-06 compares with, in a file; none for the first campaign of a test.
    ///
    /// # Errors
    /// [`Broken`].
    pub(crate) async fn reference(&self, campaign: &Campaign) -> Result<Option<ReferenceFile>, Broken> {
        let has_case = Plan::of_code(&campaign.plan)
            .zip(Catalogue::embedded().case(DRIFT_CASE))
            .is_some_and(|(plan, case)| plan.has(case));
        if !has_case {
            return Ok(None);
        }
        let before = Filter { job: Some(campaign.job.clone()), before: Some(campaign.id.clone()), most: SOUGHT };
        let watch = self.db().watch_of(Scope::All, &campaign.job).await?;
        let chosen = watch.and_then(|watch| watch.reference);
        for one in self.whole_campaigns(&before).await? {
            let is_chosen = chosen.as_ref() == Some(&one.id);
            let results = self.db().results(Scope::All, &one.id, 0).await?;
            let drift =
                results.into_iter().find(|(_, result)| result.id == DRIFT_CASE).map(|(_, result)| result.verdict);
            let is_good = matches!(drift, Some(Verdict::Conforme | Verdict::NonApplicable { .. }));
            if !is_good && !is_chosen {
                continue;
            }
            let Some(whole) = self.whole(Scope::All, &one.id).await? else { continue };
            let (folder, id) = (self.settings().folder.clone(), campaign.id.clone());
            let written = tokio::task::spawn_blocking(move || ReferenceFile::write(folder, &id, &whole));
            return written.await.map_err(|_| Broken::Task)?.map(Some);
        }
        Ok(None)
    }

    /// Keeps what a run of a watch changed, before it is over.
    ///
    /// # Errors
    /// [`Broken`].
    pub(crate) async fn note_drift(&self, campaign: &Campaign) -> Result<(), Broken> {
        if !campaign.is_watch {
            return Ok(());
        }
        let before = Filter { job: Some(campaign.job.clone()), before: Some(campaign.id.clone()), most: SOUGHT };
        let previous = self.whole_campaigns(&before).await?;
        let Some(previous) = previous.into_iter().find(|one| one.is_watch && one.depth == campaign.depth) else {
            return Ok(());
        };
        let of = |found: Vec<(i64, control::engine::CaseResult)>| found.into_iter().map(|(_, result)| result).collect();
        let (old, new) = (
            self.db().results(Scope::All, &previous.id, 0).await?,
            self.db().results(Scope::All, &campaign.id, 0).await?,
        );
        let changes = differences(of(old), of(new));
        if changes.is_empty() {
            return Ok(());
        }
        let worse = changes.iter().filter(|one| one.evolution == Change::Degrade).count();
        let drift = Drift {
            campaign: campaign.id.clone(),
            organisation: campaign.organisation,
            job: campaign.job.clone(),
            name: campaign.name.clone(),
            previous: previous.id,
            at: self.now(),
            worse: u32::try_from(worse).unwrap_or(u32::MAX),
            json: serde_json::to_string(&changes)?,
        };
        self.db().add_drift(&drift).await
    }
}

/// A report in a file, for as long as a campaign needs it.
pub(crate) struct ReferenceFile(pub PathBuf);

impl ReferenceFile {
    fn write(folder: PathBuf, id: &CampaignId, whole: &control::engine::Campaign) -> Result<ReferenceFile, Broken> {
        use std::io::Write;
        use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
        let folder = folder.join("references");
        let path = folder.join(format!("{}.json", id.as_str()));
        let text = control::report::json(whole).to_string();
        let written = (|| {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
            let mut file =
                std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
            file.write_all(text.as_bytes())
        })();
        written.map_err(|error| Broken::File(path.clone(), error))?;
        Ok(ReferenceFile(path))
    }
}

impl Drop for ReferenceFile {
    fn drop(&mut self) {
        // One that stays is written over when its campaign is taken up again.
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::{JobId, OrganisationId};

    fn watch(every_hours: i64, at_minute: Option<i64>, next: i64) -> Watch {
        Watch {
            job: JobId::new(0).expect("an id"),
            organisation: OrganisationId(1),
            name: String::new(),
            every_hours,
            at_minute,
            depth: Depth::Eclair,
            author: String::new(),
            next,
            reference: None,
        }
    }

    #[test]
    fn the_next_run_is_in_the_future_on_the_same_beat() {
        let watch = |hours| watch(hours, None, 1000 * HOUR);
        assert_eq!(after(&watch(6), 1000 * HOUR), 1006 * HOUR);
        assert_eq!(after(&watch(6), 1006 * HOUR - 1), 1006 * HOUR);
        assert_eq!(after(&watch(6), 1013 * HOUR), 1018 * HOUR, "once, not for each that was missed");
    }

    #[test]
    fn a_time_of_day_stays_over_the_change_of_the_clocks() {
        // 24 October 2026, 3:30 in Paris (summer): 1:30 UTC; the day after the clocks go back.
        let saturday = 1_792_805_400;
        let watch = watch(24, Some(210), saturday);
        assert_eq!(after(&watch, saturday + 60), saturday + 25 * HOUR);
        assert_eq!(first(saturday + 60, Some(210)), saturday + 25 * HOUR);
        assert_eq!(first(saturday - 60, Some(210)), saturday);
        assert_eq!(clock(210), "03:30");
        assert_eq!((minute("03:30"), minute("24:00"), minute("3h30"), minute("")), (Some(210), None, None, None));
    }
}
