//! One campaign: the job composed again, the engine, and every result on disk before anybody hears of it.

use control::client::ClientJob;
use control::context::Context;
use control::engine::{self, Asked, Progress};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::Desk;
use crate::compose;
use crate::db::{Campaign, CampaignId, Scope, State};
use crate::desk::lasting;
use crate::error::Broken;
use crate::question;
use crate::surveillance::ReferenceFile;

/// What a campaign is run with.
enum Prepared {
    Operator(Box<Context>),
    Software(Box<ClientJob>),
}

/// What the engine told, on its way to the disk.
enum Note {
    Planned(usize),
    Begun(String),
    Waiting(String, String),
    Done { case: String, result: String, proofs: Vec<(String, String)> },
}

impl Note {
    fn of(progress: Progress<'_>) -> Result<Note, serde_json::Error> {
        Ok(match progress {
            Progress::Planned(count) => Note::Planned(count),
            Progress::Begun(case) => Note::Begun(case.id.clone()),
            Progress::Waiting { case, what } => Note::Waiting(case.id.clone(), what.to_owned()),
            Progress::Done { result, evidence } => Note::Done {
                case: result.id.clone(),
                result: serde_json::to_string(result)?,
                proofs: evidence.iter().map(|(hash, proof)| (hash.clone(), proof.to_string())).collect(),
            },
        })
    }
}

impl Desk {
    /// The job of a campaign, made again from what its user wrote.
    ///
    /// # Errors
    /// Why it cannot be, for people.
    pub(crate) async fn context(
        &self,
        organisation: crate::db::OrganisationId,
        template: &str,
        text: &str,
        reference: Option<&ReferenceFile>,
    ) -> Result<Context, String> {
        let told = |error: Broken| {
            tracing::error!("a campaign cannot be set up: {error}");
            "l'application ne peut pas préparer la campagne : la raison est à son journal".to_owned()
        };
        let operator = lasting!(self, self.db().organisation(organisation));
        let operator = operator.map_err(told)?.ok_or("opérateur inconnu")?;
        let template = self
            .templates(&operator.name)
            .find(|known| known.name == template)
            .ok_or("le modèle de job n'est plus proposé par l'administrateur")?;
        let mut base = self.base(template, Some(organisation)).await.map_err(told)?;
        if let Some(file) = reference {
            let path = toml::Value::String(file.0.display().to_string());
            let section = toml::Table::from_iter([("report".to_owned(), path)]);
            base.entry("reference").or_insert(toml::Value::Table(section));
        }
        let wrong = |mistakes: Vec<crate::error::Mistake>| {
            mistakes.iter().map(|m| format!("{} : {}", m.field, m.text)).collect::<Vec<_>>().join(" ; ")
        };
        let written = compose::read(text).map_err(wrong)?;
        let bounds = lasting!(self, self.bounds(&operator, &written.table)).map_err(told)?;
        let job = compose::job(base, &template.path, &written.table, &bounds).map_err(wrong)?;
        if let Some(hosting) = &self.settings().hosting {
            hosting.learn(&job);
        }
        Context::new(job).map_err(|error| {
            // It may name files of this machine.
            tracing::error!("a campaign cannot be set up: {error}");
            "le modèle de job de l'administrateur ne peut pas être utilisé : la raison est au journal".to_owned()
        })
    }

    /// Runs a campaign to its end, or to the shutdown.
    ///
    /// # Errors
    /// Why it is interrupted, for people.
    pub(crate) async fn run(&self, campaign: Campaign, stop: CancellationToken) -> Result<(), String> {
        let id = campaign.id.clone();
        let kept = |error: Broken| {
            tracing::error!("results cannot be kept: {error}");
            "les résultats ne peuvent pas être enregistrés : la raison est au journal".to_owned()
        };
        let reference = lasting!(self, self.reference(&campaign)).map_err(kept)?;
        let prepared = match question::is_software(&campaign.plan) {
            true => Prepared::Software(Box::new(self.software_job_of(campaign.organisation, &campaign.text)?)),
            false => {
                let (organisation, template, text) = (campaign.organisation, &campaign.template, &campaign.text);
                Prepared::Operator(Box::new(self.context(organisation, template, text, reference.as_ref()).await?))
            }
        };
        let done = lasting!(self, self.db().results(Scope::All, &id, 0)).map_err(kept)?;
        let proofs = lasting!(self, self.db().proofs(Scope::All, &id, None)).map_err(kept)?;
        let asked = Asked {
            only: campaign.only.clone(),
            depth: campaign.depth,
            done: done.iter().map(|(_, result)| result.clone()).collect(),
            proofs,
            stop: stop.clone(),
            parallel: match &prepared {
                Prepared::Operator(context) => context.job.limits.parallel,
                Prepared::Software(_) => 1,
            },
        };
        let (sender, receiver) = mpsc::unbounded_channel();
        // Bounded by the plan: some notes for each of its cases.
        let told = |progress: Progress<'_>| match Note::of(progress) {
            Ok(note) => drop(sender.send(note)),
            Err(error) => tracing::error!("a result cannot be written: {error}"),
        };
        let keeping = tokio::spawn(self.clone().keep(id.clone(), done.len(), receiver, stop.clone()));
        let over = match prepared {
            Prepared::Operator(context) => Ok(engine::run(&context, asked, &told).await),
            Prepared::Software(job) => self.run_software(&campaign, *job, asked, &told).await,
        };
        drop(sender);
        keeping.await.map_err(|_| "une tâche interne s'est arrêtée".to_owned())?.map_err(kept)?;
        let mut over = over?;
        let is_cancelled = self.with_live(|live| live.get(&id).is_some_and(|one| one.is_cancelled));
        if stop.is_cancelled() && !is_cancelled {
            // The process ends: it waits for the next start, and this one does not count.
            return lasting!(self, self.db().requeue(&id)).map_err(kept);
        }
        if let Some(begun) = campaign.begun.and_then(|at| time::OffsetDateTime::from_unix_timestamp(at).ok()) {
            // Taken up again: it began before.
            over.debut = begun.format(&time::format_description::well_known::Rfc3339).unwrap_or(over.debut);
        }
        let (state, verdict) = if is_cancelled {
            over.partielle = true;
            // What was not run is said to be so in the report.
            for case in &over.cas {
                let result = serde_json::to_string(case).map_err(|error| kept(error.into()))?;
                let kept_one = lasting!(self, self.db().add_result(&id, case.id.clone(), result.clone(), Vec::new()));
                kept_one.map_err(kept)?;
            }
            (State::Annulee, None)
        } else {
            (State::Terminee, Some(over.verdict.code()))
        };
        if state == State::Terminee {
            lasting!(self, self.note_drift(&campaign)).map_err(kept)?;
        }
        (over.cas, over.preuves) = Default::default();
        let head = serde_json::to_string(&over).map_err(|error| kept(error.into()))?;
        let now = self.now();
        lasting!(self, self.db().end_campaign(&id, state, "", verdict, Some(head.clone()), now)).map_err(kept)
    }

    /// Keeps what the engine tells, in order. When the disk fails the campaign stops: nothing goes on that cannot be kept. While PostgreSQL is
    /// away what is told waits for it.
    async fn keep(
        self,
        id: CampaignId,
        before: usize,
        mut notes: mpsc::UnboundedReceiver<Note>,
        stop: CancellationToken,
    ) -> Result<(), Broken> {
        while let Some(note) = notes.recv().await {
            let kept = match note {
                Note::Planned(count) => lasting!(self, self.db().set_planned(&id, before + count)),
                Note::Begun(case) => {
                    self.with_live(|live| live.get_mut(&id).map(|one| one.current.insert(case, None)));
                    Ok(())
                }
                Note::Waiting(case, what) => {
                    self.with_live(|live| live.get_mut(&id).map(|one| one.current.insert(case, Some(what))));
                    Ok(())
                }
                Note::Done { case, result, proofs } => {
                    self.with_live(|live| live.get_mut(&id).map(|one| one.current.remove(&case)));
                    lasting!(self, self.db().add_result(&id, case.clone(), result.clone(), proofs.clone()))
                }
            };
            if let Err(error) = kept {
                stop.cancel();
                return Err(error);
            }
            self.changed(&id);
        }
        Ok(())
    }

    /// The whole of a campaign that is over, as the engine gave it; none when it never came to an end.
    ///
    /// # Errors
    /// [`Broken`].
    pub(crate) async fn whole(&self, scope: Scope, id: &CampaignId) -> Result<Option<engine::Campaign>, Broken> {
        let Some(head) = self.db().head(scope, id).await? else { return Ok(None) };
        let mut whole: engine::Campaign = serde_json::from_str(&head)?;
        let results = self.db().results(scope, id, 0).await?;
        whole.cas = in_order(results.into_iter().map(|(_, result)| result).collect());
        whole.preuves = self.db().proofs(scope, id, None).await?;
        Ok(Some(whole))
    }
}

/// In the catalogue's order.
pub(crate) fn in_order(mut results: Vec<engine::CaseResult>) -> Vec<engine::CaseResult> {
    results.sort_by_key(|result| control::catalogue::all_cases().position(|case| case.id == result.id));
    results
}
