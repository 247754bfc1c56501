//! What the API says of a job and of a campaign: the shapes of `openapi.json`.

use control::engine::{Depth, Preflight};
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::db::{Campaign, CampaignId, Job, JobId, State};

/// RFC 3339, from seconds since 1970.
pub(super) fn date(seconds: i64) -> String {
    OffsetDateTime::from_unix_timestamp(seconds).ok().and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default()
}

/// A job.
#[derive(Debug, Serialize)]
pub(super) struct JobAnswer {
    id: JobId,
    nom: String,
    plan: String,
    modele: String,
    texte: String,
    auteur: String,
    cree: String,
}

impl From<Job> for JobAnswer {
    fn from(job: Job) -> JobAnswer {
        JobAnswer {
            id: job.id,
            nom: job.name,
            plan: job.plan,
            modele: job.template,
            texte: job.text,
            auteur: job.author,
            cree: date(job.created),
        }
    }
}

/// A campaign.
#[derive(Debug, Serialize)]
pub(super) struct CampaignAnswer {
    id: CampaignId,
    operateur: String,
    job: JobId,
    nom: String,
    plan: String,
    cas: Vec<String>,
    profondeur: Depth,
    relance_de: Option<CampaignId>,
    auteur: String,
    etat: State,
    cause: String,
    lancee: String,
    debut: Option<String>,
    fin: Option<String>,
    prevus: u32,
    faits: u32,
    verdict: Option<String>,
    /// The pre-flight before the launch.
    verification: Vec<Preflight>,
    /// Why it was launched in spite of that.
    motif: String,
}

impl From<Campaign> for CampaignAnswer {
    fn from(campaign: Campaign) -> CampaignAnswer {
        CampaignAnswer {
            id: campaign.id,
            operateur: campaign.operator,
            job: campaign.job,
            nom: campaign.name,
            plan: campaign.plan,
            cas: campaign.only,
            profondeur: campaign.depth,
            relance_de: campaign.parent,
            auteur: campaign.author,
            etat: campaign.state,
            cause: campaign.cause,
            lancee: date(campaign.queued),
            debut: campaign.begun.map(date),
            fin: campaign.ended.map(date),
            prevus: campaign.planned,
            faits: campaign.done,
            verdict: campaign.verdict,
            verification: campaign.checkup,
            motif: campaign.overridden,
        }
    }
}
