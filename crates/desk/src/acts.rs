//! What may be done, whoever asks: a page or a program. Each act asks who does it, and is noted.

use control::engine::{self, Depth, Preflight};
use tokio::time::{Duration, timeout};

use crate::Desk;
use crate::account::role::Role;
use crate::compose;
use crate::db::{
    Bearer, Campaign, CampaignId, Checkup, Job, JobId, NewCampaign, NewJob, Organisation, OrganisationId, Scope,
    Session,
};
use crate::error::{Broken, Mistake, Refusal};
use crate::question::{self, Question};
use crate::software;
use crate::web::verdicts::is_open;

/// Longest wait for a pre-flight: four connections, each as patient as a job may be.
const PREFLIGHT: Duration = Duration::from_secs(120);
/// Shortest reason for a campaign against the pre-flight: a word is none.
const SHORTEST_REASON: usize = 10;
/// Longest name of anything.
pub(crate) const LONGEST_NAME: usize = 120;

/// Who does something.
#[derive(Debug, Clone)]
pub(crate) struct Who {
    pub organisation: Option<OrganisationId>,
    pub role: Role,
    pub name: String,
    /// By a token.
    pub is_program: bool,
}

impl From<&Session> for Who {
    fn from(session: &Session) -> Who {
        let account = &session.account;
        Who { organisation: account.organisation, role: account.role, name: account.login.clone(), is_program: false }
    }
}

impl From<Bearer> for Who {
    fn from(bearer: Bearer) -> Who {
        Who { organisation: bearer.organisation, role: bearer.role, name: bearer.name, is_program: true }
    }
}

impl Who {
    /// Whose jobs and results they see.
    pub fn scope(&self) -> Result<Scope, Refusal> {
        match self.organisation {
            Some(id) if self.role.is_of_operator() => Ok(Scope::Of(id)),
            _ if self.role.sees_all() => Ok(Scope::All),
            _ => Err(Refusal::Forbidden),
        }
    }

    /// Their operator, when they may do that for it.
    fn own(&self, may: fn(Role) -> bool) -> Result<OrganisationId, Refusal> {
        match self.organisation {
            Some(id) if may(self.role) => Ok(id),
            _ => Err(Refusal::Forbidden),
        }
    }

    /// Whether they speak by a token that serves for signing alone: a signatory's.
    pub fn only_signs(&self) -> bool {
        self.is_program && self.role.may_sign()
    }

    /// Whether their role allows it.
    pub fn must(&self, may: fn(Role) -> bool) -> Result<(), Refusal> {
        if may(self.role) { Ok(()) } else { Err(Refusal::Forbidden) }
    }
}

/// A job that was taken.
pub(crate) struct Taken {
    pub id: JobId,
    /// Keys that were in the text and are the administrator's.
    pub left_out: Vec<String>,
}

/// A launch.
pub(crate) struct Launch {
    pub only: Vec<String>,
    pub depth: Depth,
    /// « J'atteste être autorisé »: control.md §8, 16.
    pub is_authorised: bool,
    /// Why, although the last pre-flight found something wrong.
    pub overridden: String,
}

/// What is run again.
pub(crate) enum Again {
    /// All of it.
    Whole,
    /// What is not conforming, or open.
    Failures,
    /// One case.
    Case(String),
}

impl Desk {
    /// The operator of somebody.
    pub(crate) async fn operator_of(&self, who: &Who) -> Result<Option<Organisation>, Broken> {
        let found = match who.organisation {
            Some(id) => self.db().organisation(id).await?,
            None => None,
        };
        match found {
            Some(operator) => self.with_proven(operator).await.map(Some),
            None => Ok(None),
        }
    }

    /// Keeps a job.
    pub(crate) async fn save_job(&self, who: &Who, template: &str, name: &str, text: &str) -> Result<Taken, Refusal> {
        let organisation = who.own(Role::may_write)?;
        let operator = self.db().organisation(organisation).await?.ok_or(Refusal::NotFound)?;
        let mut written = compose::read(text);
        if let (Ok(written), false) = (&mut written, name.is_empty()) {
            written.table.insert("name".to_owned(), toml::Value::String(name.to_owned()));
        }
        let is_software = written.as_ref().is_ok_and(|written| software::is_one(&written.table));
        let known = self.templates(&operator.name).find(|known| known.name == template);
        let (written, names, plan, template) = match known {
            // It brings what it needs.
            _ if is_software => {
                let written = written.map_err(Refusal::Invalid)?;
                let job = self.software_job(organisation, &written.table)?;
                (written, [job.name, job.software.name], Question::Software.code(), String::new())
            }
            Some(known) => {
                let written = written.map_err(Refusal::Invalid)?;
                let bounds = self.bounds(&operator, &written.table).await?;
                let base = self.base(known, Some(organisation)).await?;
                let job = compose::job(base, &known.path, &written.table, &bounds).map_err(Refusal::Invalid)?;
                (written, [job.name, job.operator.name], job.plan.code(), known.name.clone())
            }
            None => {
                return Err(Refusal::Invalid(vec![Mistake::of("modele", "Ce modèle n'est pas proposé.")]));
            }
        };
        let name = names.into_iter().find(|name| !name.is_empty()).unwrap_or_default();
        if name.chars().count() > LONGEST_NAME {
            return Err(Refusal::Invalid(vec![Mistake::of("nom", format!("{LONGEST_NAME} caractères au plus."))]));
        }
        let kept = toml::to_string(&written.table)
            .map_err(|error| Refusal::Invalid(vec![Mistake::of("fichier", error.to_string())]))?;
        let new = NewJob { organisation, name, plan: plan.to_owned(), template, text: kept, author: who.name.clone() };
        let id = self.db().add_job(new, self.milliseconds()).await?;
        let id = id.ok_or(Refusal::Conflict("Trop de jobs : supprimez-en."))?;
        self.db().note(self.now(), Some(organisation), &who.name, format!("job créé : {}", id.as_str())).await?;
        Ok(Taken { id, left_out: written.left_out })
    }

    /// Takes a job out of the lists.
    pub(crate) async fn hide_job(&self, who: &Who, id: &JobId) -> Result<(), Refusal> {
        let organisation = who.own(Role::may_write)?;
        if !self.db().hide_job(Scope::Of(organisation), id).await? {
            return Err(Refusal::NotFound);
        }
        self.db().note(self.now(), Some(organisation), &who.name, format!("job supprimé : {}", id.as_str())).await?;
        Ok(())
    }

    /// One job they may see.
    pub(crate) async fn job_of(&self, who: &Who, id: &str) -> Result<Job, Refusal> {
        let id = JobId::read(id).ok_or(Refusal::NotFound)?;
        self.db().job(who.scope()?, &id).await?.ok_or(Refusal::NotFound)
    }

    /// One campaign they may see.
    pub(crate) async fn campaign_of(&self, who: &Who, id: &str) -> Result<Campaign, Refusal> {
        let id = CampaignId::read(id).ok_or(Refusal::NotFound)?;
        self.db().campaign(who.scope()?, &id).await?.ok_or(Refusal::NotFound)
    }

    /// « Vérifier la configuration »: never a non-conformity.
    pub(crate) async fn check(&self, who: &Who, job: &Job) -> Result<Checkup, Refusal> {
        who.must(Role::may_run)?;
        // Waited for as long as one takes: whoever launches fifty campaigns is not told to come back.
        let place = timeout(PREFLIGHT, self.0.checking.acquire()).await;
        let Ok(Ok(_place)) = place else {
            return Err(Refusal::Conflict("Trop de vérifications en même temps : réessayez dans une minute."));
        };
        let findings = self.preflight(job).await;
        let made = Checkup { at: self.now(), is_good: findings.iter().all(|check| check.bon), findings };
        self.db().put_checkup(&job.id, &made).await?;
        Ok(made)
    }

    async fn preflight(&self, job: &Job) -> Vec<Preflight> {
        if question::is_software(&job.plan) {
            return self.check_software(job.organisation, &job.text).await;
        }
        let failed = |text: String| vec![Preflight { quoi: "Préparation".to_owned(), bon: false, detail: text }];
        let context = match self.context(job.organisation, &job.template, &job.text, None).await {
            Ok(context) => context,
            Err(cause) => return failed(cause),
        };
        match timeout(PREFLIGHT, engine::preflight(&context)).await {
            Ok(found) => found,
            Err(_) => failed("Les serveurs ne répondent pas dans le délai.".to_owned()),
        }
    }

    /// Puts a campaign into the queue. A test that was never looked at is looked at first.
    pub(crate) async fn launch(&self, who: &Who, job: Job, launch: Launch) -> Result<CampaignId, Refusal> {
        who.must(Role::may_run)?;
        let mut mistakes = Vec::new();
        if !launch.is_authorised {
            let text = "Cochez la case : une campagne se lance contre des serveurs que l'on est autorisé à contrôler.";
            mistakes.push(Mistake::of("autorise", text));
        }
        let overridden = launch.overridden.trim().to_owned();
        if overridden.chars().count() > LONGEST_NAME * 4 {
            mistakes.push(Mistake::of("motif", format!("{} caractères au plus.", LONGEST_NAME * 4)));
        }
        let question = Question::of_code(&job.plan);
        for name in &launch.only {
            let is_known = question
                .into_iter()
                .flat_map(Question::cases)
                .any(|case| case.id.eq_ignore_ascii_case(name) || case.group().eq_ignore_ascii_case(name));
            if !is_known {
                mistakes.push(Mistake::of("cas", format!("« {name} » n'est ni un cas ni un groupe du plan.")));
            }
        }
        if !mistakes.is_empty() {
            return Err(Refusal::Invalid(mistakes));
        }
        let checkup = match self.db().checkup(&job.id).await? {
            Some(made) => made,
            None => self.check(who, &job).await?,
        };
        if !checkup.is_good && overridden.chars().count() < SHORTEST_REASON {
            let text = "La vérification de la configuration a trouvé quelque chose à revoir : corrigez et vérifiez de nouveau, ou dites en une phrase \
                pourquoi la campagne est lancée quand même.";
            let wrong = checkup.findings.iter().filter(|finding| !finding.bon);
            let wrong = wrong.map(|one| Mistake::of("verification", format!("{} : {}", one.quoi, one.detail)));
            return Err(Refusal::Invalid(std::iter::once(Mistake::of("motif", text)).chain(wrong).collect()));
        }
        self.queue(
            who,
            NewCampaign {
                job,
                only: launch.only,
                // Nothing of software is quick.
                depth: if question == Some(Question::Software) { Depth::Complet } else { launch.depth },
                parent: None,
                author: who.name.clone(),
                // Nothing is overridden where nothing was wrong.
                overridden: if checkup.is_good { String::new() } else { overridden },
                checkup: checkup.findings,
                is_watch: false,
            },
        )
        .await
    }

    /// Runs a campaign again, or some cases of it.
    pub(crate) async fn rerun(&self, who: &Who, before: Campaign, again: Again) -> Result<CampaignId, Refusal> {
        who.must(Role::may_run)?;
        let only = match again {
            Again::Whole => before.only.clone(),
            Again::Failures => {
                let results = self.db().results(who.scope()?, &before.id, 0).await?;
                let failed: Vec<String> = results
                    .into_iter()
                    .filter(|(_, result)| is_open(&result.verdict))
                    .map(|(_, result)| result.id)
                    .collect();
                if failed.is_empty() {
                    return Err(Refusal::Conflict("Aucun cas en échec ni inconclusif : rien à relancer."));
                }
                failed
            }
            Again::Case(id) => {
                let case = question::case(&id).ok_or(Refusal::NotFound)?;
                vec![case.id.clone()]
            }
        };
        let job = Job {
            id: before.job,
            organisation: before.organisation,
            name: before.name,
            plan: before.plan,
            template: before.template,
            text: before.text,
            author: before.author,
            created: before.queued,
        };
        let (depth, parent) = (before.depth, Some(before.id));
        self.queue(
            who,
            NewCampaign {
                job,
                only,
                depth,
                parent,
                author: who.name.clone(),
                overridden: before.overridden,
                checkup: before.checkup,
                is_watch: false,
            },
        )
        .await
    }

    async fn queue(&self, who: &Who, new: NewCampaign) -> Result<CampaignId, Refusal> {
        let organisation = new.job.organisation;
        let id = self.db().add_campaign(new, self.milliseconds()).await?;
        let id = id.ok_or(Refusal::Conflict("50 campagnes attendent déjà : laissez-les passer."))?;
        self.db().note(self.now(), Some(organisation), &who.name, format!("campagne lancée : {}", id.as_str())).await?;
        self.0.wake.notify_one();
        Ok(id)
    }

    /// Stops a campaign.
    pub(crate) async fn cancel(&self, who: &Who, campaign: &Campaign) -> Result<(), Refusal> {
        who.must(Role::may_run)?;
        self.stop(who.scope()?, &campaign.id).await?;
        let what = format!("campagne arrêtée : {}", campaign.id.as_str());
        self.db().note(self.now(), Some(campaign.organisation), &who.name, what).await?;
        Ok(())
    }
}
