//! Signatures of reports, with the octets that were signed. One for each campaign, never changed.

use control::report::seal::Seal;

use super::sql::values;
use super::{CampaignId, Db, Scope};
use crate::error::Broken;

/// A signature to be kept: it was checked.
#[derive(Debug, Clone)]
pub struct NewSignature {
    /// What was found in it.
    pub seal: Seal,
    /// The octets that were signed.
    pub report: Vec<u8>,
    /// The signature, as it was given.
    pub cms: Vec<u8>,
    /// Whose account gave it.
    pub author: String,
    /// Whether the organisation of its certificate was compared with the operator's declared identifiers, and is the same.
    pub is_bound: bool,
}

/// A signature that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// What was found in it.
    pub seal: Seal,
    /// The octets that were signed.
    pub report: Vec<u8>,
    /// The signature, as it was given.
    pub cms: Vec<u8>,
    /// Whose account gave it.
    pub author: String,
    /// When it was checked and kept.
    pub at: i64,
    /// Whether the organisation of its certificate was compared with the operator's declared identifiers, and is the same.
    pub is_bound: bool,
}

impl Db {
    /// Keeps the signature of a campaign of the scope; whether there was such a campaign, and none of it yet.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn add_signature(
        &self,
        scope: Scope,
        id: &CampaignId,
        new: NewSignature,
        now: i64,
    ) -> Result<bool, Broken> {
        let id = id.clone();
        self.change(move |db| {
            let NewSignature { seal, report, cms, author, is_bound } = new;
            let done = db.execute(
                "INSERT INTO signature (campaign, report, cms, signer, authority, serial, signed, sha256, author, at, organisation, identifiers, is_bound)
                 SELECT c.id, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14 FROM campaign c
                 WHERE c.id = ?1 AND (?2 IS NULL OR c.organisation = ?2) AND c.state = 'terminee' ON CONFLICT DO NOTHING",
                values![
                    id.as_str(),
                    scope.sql(),
                    report,
                    cms,
                    seal.signataire,
                    seal.autorite,
                    seal.serie,
                    seal.date,
                    seal.sha256,
                    author,
                    now,
                    seal.organisation,
                    serde_json::to_string(&seal.identifiants)?,
                    is_bound
                ],
            )?;
            Ok(done == 1)
        })
        .await
    }

    /// The signature of a campaign of the scope.
    ///
    /// # Errors
    /// [`Broken`].
    pub async fn signature(&self, scope: Scope, id: &CampaignId) -> Result<Option<Signature>, Broken> {
        let id = id.clone();
        self.read(move |db| {
            db.row(
                "SELECT s.report, s.cms, s.signer, s.authority, s.serial, s.signed, s.sha256, s.author, s.at, s.organisation, s.identifiers, s.is_bound
                 FROM signature s JOIN campaign c ON c.id = s.campaign
                 WHERE c.id = ?1 AND (?2 IS NULL OR c.organisation = ?2)",
                values![id.as_str(), scope.sql()],
                |row| {
                    Ok(Signature {
                        report: row.get(0)?,
                        cms: row.get(1)?,
                        seal: Seal {
                            signataire: row.get(2)?,
                            autorite: row.get(3)?,
                            serie: row.get(4)?,
                            date: row.get(5)?,
                            sha256: row.get(6)?,
                            organisation: row.get(9)?,
                            identifiants: row.json(10)?,
                        },
                        author: row.get(7)?,
                        at: row.get(8)?,
                        is_bound: row.get(11)?,
                    })
                },
            )
        })
        .await
    }
}
