//! Reports submitted to the regulator, and its decisions. Nothing of it is ever changed: decisions are added.

use super::sql::{Row, values};
use super::{CampaignId, Db, OrganisationId, Scope};
use crate::error::Broken;

/// What a regulator says of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecisionKind {
    /// It is being looked at, or something is noted.
    Note,
    /// Something more is asked for.
    Complement,
    /// It is accepted.
    Acceptee,
    /// It is refused.
    Refusee,
}

impl DecisionKind {
    /// All.
    pub const ALL: [DecisionKind; 4] =
        [DecisionKind::Note, DecisionKind::Complement, DecisionKind::Acceptee, DecisionKind::Refusee];

    /// Stable.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            DecisionKind::Note => "note",
            DecisionKind::Complement => "complement",
            DecisionKind::Acceptee => "acceptee",
            DecisionKind::Refusee => "refusee",
        }
    }

    /// From its code.
    #[must_use]
    pub fn from_code(code: &str) -> Option<DecisionKind> {
        DecisionKind::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// For people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            DecisionKind::Note => "note d’instruction",
            DecisionKind::Complement => "complément demandé",
            DecisionKind::Acceptee => "acceptée",
            DecisionKind::Refusee => "refusée",
        }
    }
}

/// A report that was submitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// Which campaign.
    pub campaign: CampaignId,
    /// Whose.
    pub organisation: OrganisationId,
    /// Its name.
    pub operator: String,
    /// The name of the campaign.
    pub name: String,
    /// The code of its verdict.
    pub verdict: Option<String>,
    /// When.
    pub at: i64,
    /// Who submitted it.
    pub author: String,
    /// What they say of it.
    pub note: String,
    /// SHA-256 of the report, hexadecimal.
    pub sha256: String,
}

/// A decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Of which submission.
    pub campaign: CampaignId,
    /// When.
    pub at: i64,
    /// Who decided.
    pub author: String,
    /// What.
    pub kind: DecisionKind,
    /// Why.
    pub text: String,
    /// Until when something is asked of the operator, `AAAA-MM-JJ`.
    pub due: Option<String>,
}

const COLUMNS: &str = "s.campaign, s.organisation, o.name, c.name, c.verdict, s.at, s.author, s.note, s.sha256
    FROM submission s JOIN organisation o ON o.id = s.organisation JOIN campaign c ON c.id = s.campaign";

fn read(row: &Row) -> Result<Submission, Broken> {
    Ok(Submission {
        campaign: CampaignId(row.get(0)?),
        organisation: OrganisationId(row.get(1)?),
        operator: row.get(2)?,
        name: row.get(3)?,
        verdict: row.get(4)?,
        at: row.get(5)?,
        author: row.get(6)?,
        note: row.get(7)?,
        sha256: row.get(8)?,
    })
}

impl Db {
    /// Submits a report, as it is; whether it was not yet.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn submit(&self, submission: &Submission, report: String) -> Result<bool, Broken> {
        let values = values![
            &submission.campaign.0,
            submission.organisation.0,
            submission.at,
            &submission.author,
            &submission.note,
            &submission.sha256,
            report
        ]
        .to_vec();
        self.change(move |db| {
            let done = db.execute(
                "INSERT INTO submission (campaign, organisation, at, author, note, sha256, report) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT DO NOTHING",
                &values,
            )?;
            Ok(done == 1)
        })
        .await
    }

    /// The submissions of the scope, the newest first.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn submissions(&self, scope: Scope, most: u32) -> Result<Vec<Submission>, Broken> {
        let query = format!(
            "SELECT {COLUMNS} WHERE (?1 IS NULL OR s.organisation = ?1) ORDER BY s.at DESC, s.campaign DESC LIMIT ?2"
        );
        self.read(move |db| db.rows(&query, values![scope.sql(), most], read)).await
    }

    /// One of them.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn submission(&self, scope: Scope, id: &CampaignId) -> Result<Option<Submission>, Broken> {
        let values = values![&id.0, scope.sql()].to_vec();
        let query = format!("SELECT {COLUMNS} WHERE s.campaign = ?1 AND (?2 IS NULL OR s.organisation = ?2)");
        self.read(move |db| db.row(&query, &values, read)).await
    }

    /// Its report, octet for octet.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn submitted_report(&self, scope: Scope, id: &CampaignId) -> Result<Option<String>, Broken> {
        let values = values![&id.0, scope.sql()].to_vec();
        self.read(move |db| {
            db.row(
                "SELECT report FROM submission WHERE campaign = ?1 AND (?2 IS NULL OR organisation = ?2)",
                &values,
                |row| row.get(0),
            )
        })
        .await
    }

    /// Adds a decision to a submission of the scope; whether there is one.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn decide(&self, scope: Scope, decision: &Decision) -> Result<bool, Broken> {
        let values = values![
            &decision.campaign.0,
            scope.sql(),
            decision.at,
            &decision.author,
            decision.kind.code(),
            &decision.text,
            decision.due.clone()
        ]
        .to_vec();
        self.change(move |db| {
            let done = db.execute(
                "INSERT INTO decision (campaign, organisation, at, author, kind, text, due)
                 SELECT campaign, organisation, ?3, ?4, ?5, ?6, ?7 FROM submission
                 WHERE campaign = ?1 AND (?2 IS NULL OR organisation = ?2)",
                &values,
            )?;
            Ok(done == 1)
        })
        .await
    }

    /// The decisions of the scope, or of one submission, in the order in which they came.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn decisions(&self, scope: Scope, id: Option<&CampaignId>) -> Result<Vec<Decision>, Broken> {
        let values = values![scope.sql(), id.map(|id| id.0.clone())].to_vec();
        self.read(move |db| {
            db.rows(
                "SELECT campaign, at, author, kind, text, due FROM decision
                 WHERE (?1 IS NULL OR organisation = ?1) AND (?2 IS NULL OR campaign = ?2) ORDER BY id",
                &values,
                |row| {
                    Ok(Decision {
                        campaign: CampaignId(row.get(0)?),
                        at: row.get(1)?,
                        author: row.get(2)?,
                        kind: DecisionKind::from_code(&row.get::<String>(3)?).unwrap_or(DecisionKind::Note),
                        text: row.get(4)?,
                        due: row.get(5)?,
                    })
                },
            )
        })
        .await
    }
}
