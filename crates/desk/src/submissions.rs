//! Submitting a report to the regulator, and its decisions. control.md §5.9.
//!
//! Invariant: what is submitted is the JSON of the report as it was then, kept octet for octet beside its SHA-256, whatever later versions of
//! the program would make of the same campaign; nothing of a submission or a decision is ever changed.

use std::collections::HashMap;

use control::engine::Depth;
use control::report;

use crate::Desk;
use crate::account::role::Role;
use crate::acts::Who;
use crate::db::{CampaignId, Decision, DecisionKind, State, Submission};
use crate::error::{Broken, Mistake, Refusal};
use crate::words;

/// Longest note or decision, in characters.
const LONGEST: usize = 4000;

/// A day written `AAAA-MM-JJ`.
fn day(text: &str) -> Option<time::Date> {
    let format = time::macros::format_description!("[year]-[month]-[day]");
    time::Date::parse(text, &format).ok()
}

/// A submission and what became of it.
pub(crate) struct Dossier {
    pub submission: Submission,
    /// In the order in which they came.
    pub decisions: Vec<Decision>,
    /// Days since the deadline of the last decision passed; none: no deadline, or not passed.
    pub overdue: Option<i64>,
}

impl Dossier {
    fn new(submission: Submission, decisions: Vec<Decision>, now: i64) -> Dossier {
        // The last word counts: whatever was asked for before it, it came after.
        let due = decisions.last().and_then(|decision| day(decision.due.as_deref()?));
        let overdue = due.map(|due| (words::day_in_paris(now) - due).whole_days()).filter(|days| *days > 0);
        Dossier { submission, decisions, overdue }
    }
}

impl Desk {
    /// What was submitted, what is overdue first (the longest before), then the newest.
    pub(crate) async fn dossiers(&self, who: &Who, most: u32) -> Result<Vec<Dossier>, Refusal> {
        let scope = who.scope()?;
        let submissions = self.db().submissions(scope, most).await?;
        let mut decisions: HashMap<CampaignId, Vec<Decision>> = HashMap::new();
        for decision in self.db().decisions(scope, None).await? {
            decisions.entry(decision.campaign.clone()).or_default().push(decision);
        }
        let now = self.now();
        let mut all: Vec<Dossier> = submissions
            .into_iter()
            .map(|one| {
                let of_it = decisions.remove(&one.campaign).unwrap_or_default();
                Dossier::new(one, of_it, now)
            })
            .collect();
        // Stable: those of the same delay stay the newest first.
        all.sort_by_key(|one| std::cmp::Reverse(one.overdue.unwrap_or(0)));
        Ok(all)
    }

    /// One of them.
    pub(crate) async fn dossier(&self, who: &Who, id: &str) -> Result<Dossier, Refusal> {
        let submission = self.submission_of(who, id).await?;
        let decisions = self.db().decisions(who.scope()?, Some(&submission.campaign)).await?;
        Ok(Dossier::new(submission, decisions, self.now()))
    }

    /// Submits the report of a campaign that is over, whole and complete.
    pub(crate) async fn submit(&self, who: &Who, id: &str, note: &str) -> Result<CampaignId, Refusal> {
        who.must(Role::may_submit)?;
        let campaign = self.campaign_of(who, id).await?;
        if campaign.state != State::Terminee || !campaign.only.is_empty() || campaign.depth != Depth::Complet {
            return Err(Refusal::Conflict(
                "Seule une campagne complète et finie est soumise : tous les cas du plan, à la profondeur complète.",
            ));
        }
        if note.chars().count() > LONGEST {
            return Err(Refusal::Invalid(vec![Mistake::of("note", format!("{LONGEST} caractères au plus."))]));
        }
        let whole = self.whole(who.scope()?, &campaign.id).await?.ok_or(Refusal::NotFound)?;
        let written = tokio::task::spawn_blocking(move || serde_json::to_string_pretty(&report::json(&whole)));
        let text = written.await.map_err(|_| Broken::Task)?.map_err(Broken::from)?;
        let submission = Submission {
            campaign: campaign.id.clone(),
            organisation: campaign.organisation,
            operator: campaign.operator,
            name: campaign.name,
            verdict: campaign.verdict,
            at: self.now(),
            author: who.name.clone(),
            note: note.to_owned(),
            sha256: report::sha256(text.as_bytes()),
        };
        if !self.db().submit(&submission, text).await? {
            return Err(Refusal::Conflict("Cette campagne est déjà soumise."));
        }
        let what = format!("campagne soumise au régulateur : {}, sha256 {}", campaign.id.as_str(), submission.sha256);
        self.db().note(self.now(), Some(campaign.organisation), &who.name, what).await?;
        Ok(campaign.id)
    }

    /// One submission they may see.
    pub(crate) async fn submission_of(&self, who: &Who, id: &str) -> Result<Submission, Refusal> {
        let id = CampaignId::read(id).ok_or(Refusal::NotFound)?;
        self.db().submission(who.scope()?, &id).await?.ok_or(Refusal::NotFound)
    }

    /// Adds a decision.
    pub(crate) async fn decide(
        &self,
        who: &Who,
        submission: &Submission,
        kind: &str,
        text: &str,
        due: &str,
    ) -> Result<(), Refusal> {
        who.must(Role::sees_all)?;
        let mut mistakes = Vec::new();
        let kind = DecisionKind::from_code(kind);
        if kind.is_none() {
            mistakes.push(Mistake::of("decision", "Choisissez une décision."));
        }
        if text.is_empty() || text.chars().count() > LONGEST {
            mistakes.push(Mistake::of("texte", format!("De 1 à {LONGEST} caractères : l'opérateur la lira.")));
        }
        if !due.is_empty() && day(due).is_none() {
            mistakes.push(Mistake::of("echeance", "Un jour : 2027-01-31"));
        }
        let (Some(kind), true) = (kind, mistakes.is_empty()) else { return Err(Refusal::Invalid(mistakes)) };
        let decision = Decision {
            campaign: submission.campaign.clone(),
            at: self.now(),
            author: who.name.clone(),
            kind,
            text: text.to_owned(),
            due: (!due.is_empty()).then(|| due.to_owned()),
        };
        if !self.db().decide(who.scope()?, &decision).await? {
            return Err(Refusal::NotFound);
        }
        let what = format!("décision : {}, {}", submission.campaign.as_str(), kind.code());
        self.db().note(self.now(), Some(submission.organisation), &who.name, what).await?;
        Ok(())
    }
}
