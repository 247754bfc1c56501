//! Signatures of reports: made elsewhere, with a key that never comes here; checked here, and kept with the octets that were signed.
//!
//! Invariants: a signature is kept only when it is of the report as it is, by somebody under an authority of the configuration; what was signed is
//! served from then on, octet for octet, whatever a later version would write; the first one stays; where the operator's national identifiers are
//! declared, the certificate is of an organisation that has one of them.

use std::path::PathBuf;

use control::report::{self, seal, seal::Seal, seal::SealError};
use mssante::StructureId;
use serde::Deserialize;
use trust::revocation::{Revocation, RevocationSettings};
use trust::tls::Anchors;

use crate::Desk;
use crate::account::role::Role;
use crate::acts::Who;
use crate::db::{Campaign, NewSignature, Organisation, State};
use crate::error::{Broken, Mistake, Refusal};

/// The section `[signature]`: whose signatures are believed. Paths are relative to the file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignatureSettings {
    /// Authorities of those who may sign, PEM.
    pub anchors: PathBuf,
    /// Lists of revoked certificates, DER or PEM, one for each authority of the chain, read anew each time; revocation is not looked at without.
    #[serde(default)]
    pub crl: Vec<PathBuf>,
}

impl Desk {
    /// The report as it is signed: the octets kept when it is signed already.
    pub(crate) async fn to_be_signed(&self, who: &Who, campaign: &Campaign) -> Result<Vec<u8>, Refusal> {
        if let Some(signed) = self.db().signature(who.scope()?, &campaign.id).await? {
            return Ok(signed.report);
        }
        if campaign.state != State::Terminee {
            return Err(Refusal::Conflict("On ne signe que le rapport d’une campagne menée à son terme."));
        }
        let whole = self.whole(who.scope()?, &campaign.id).await?;
        let whole = whole.ok_or(Refusal::Conflict("Cette campagne n’a pas de rapport."))?;
        let written = tokio::task::spawn_blocking(move || serde_json::to_vec_pretty(&report::json(&whole)));
        Ok(written.await.map_err(|_| Broken::Task)?.map_err(Broken::from)?)
    }

    /// Keeps the signature of a report, by a signatory of its operator; and whether its organisation was compared with what is declared.
    pub(crate) async fn sign(&self, who: &Who, campaign: &Campaign, cms: Vec<u8>) -> Result<(Seal, bool), Refusal> {
        who.must(Role::may_sign)?;
        let Some(settings) = self.settings().signature.clone() else {
            return Err(Refusal::Conflict("Aucune autorité de signature n’est configurée ici ([signature])."));
        };
        let report = self.to_be_signed(who, campaign).await?;
        let (octets, now) = (report.clone(), self.settings().clock.now());
        let given = cms.clone();
        let checked = tokio::task::spawn_blocking(move || check(&octets, &given, &settings, now));
        let seal = checked.await.map_err(|_| Broken::Task)??;
        let operator = self.db().organisation(campaign.organisation).await?.ok_or(Refusal::NotFound)?;
        let is_bound = is_of(&seal, &operator).map_err(|text| Refusal::Invalid(vec![Mistake::of("fichier", text)]))?;
        let new = NewSignature { seal: seal.clone(), report, cms, author: who.name.clone(), is_bound };
        if !self.db().add_signature(who.scope()?, &campaign.id, new, self.now()).await? {
            return Err(Refusal::Conflict("Ce rapport est déjà signé."));
        }
        let bound = if is_bound { "" } else { ", sans identifiant déclaré à comparer" };
        let what = format!("rapport signé : {} par {}{bound}", campaign.id.as_str(), seal.signataire);
        self.db().note(self.now(), Some(campaign.organisation), &who.name, what).await?;
        Ok((seal, is_bound))
    }
}

/// Whether the certificate was compared with what is declared of the operator, and is its; where nothing is declared nothing is compared.
///
/// # Errors
/// It is another's, in words.
fn is_of(seal: &Seal, operator: &Organisation) -> Result<bool, String> {
    if operator.identifiers.is_empty() {
        return Ok(false);
    }
    if seal.identifiants.iter().any(|told| operator.identifiers.iter().any(|declared| declared.as_str() == told)) {
        return Ok(true);
    }
    let declared: Vec<&str> = operator.identifiers.iter().map(StructureId::as_str).collect();
    Err(format!(
        "Le certificat de {} est celui d’une autre organisation : {}, {} ; déclaré pour votre opérateur : {}.",
        seal.signataire,
        seal.organisation.as_deref().unwrap_or("sans nom"),
        match seal.identifiants.as_slice() {
            [] => "sans identifiant national".to_owned(),
            told => told.join(", "),
        },
        declared.join(", ")
    ))
}

/// Checks a signature against the authorities as they are on disk now.
fn check(report: &[u8], cms: &[u8], settings: &SignatureSettings, now: std::time::SystemTime) -> Result<Seal, Refusal> {
    let read = |path: &PathBuf| std::fs::read(path).map_err(|error| Broken::File(path.clone(), error));
    let ours = |error: Box<dyn std::error::Error + Send + Sync>| Broken::Report(error);
    let pem = read(&settings.anchors)?;
    let revocation = if settings.crl.is_empty() {
        Revocation::none()
    } else {
        let anchors = Anchors::from_pem(&pem).map_err(|error| ours(error.into()))?;
        let settled = RevocationSettings::required(anchors, Vec::new());
        let revocation = Revocation::new(settled).map_err(|error| ours(error.into()))?;
        for path in &settings.crl {
            revocation.install(&read(path)?).map_err(|error| ours(error.into()))?;
        }
        revocation
    };
    seal::check(report, cms, &pem, &revocation, None, now).map_err(|error| match error {
        SealError::Anchors | SealError::OpenSsl(_) | SealError::Chain(_) => ours(error.into()).into(),
        theirs => Refusal::Invalid(vec![Mistake::of("fichier", words(&theirs))]),
    })
}

/// What is wrong with a signature, for whoever gives it.
fn words(error: &SealError) -> String {
    match error {
        SealError::Unreadable => "Ce n’est pas une signature CMS détachée (.p7s, DER ou PEM).".to_owned(),
        SealError::Signers(count) => format!("La signature a {count} signataires au lieu d’un."),
        SealError::Weak => "La signature emploie SHA-1 ou MD5, qui ne sont plus admis.".to_owned(),
        SealError::Changed(signer) => format!(
            "Ce n’est pas ce rapport que {signer} a signé : téléchargez-le de nouveau, et signez ses octets tels quels (-binary)."
        ),
        SealError::Usage(signer) => format!("Le certificat de {signer} n’est pas fait pour signer (ORG SIGN attendu)."),
        SealError::Expired { signer, until } => format!("Le certificat de {signer} a expiré le {until}."),
        SealError::NotYet { signer, from } => format!("Le certificat de {signer} n’est valable qu’à partir du {from}."),
        SealError::Untrusted { signer, why } => {
            format!("Le certificat de {signer} n’est pas reconnu ici : {why}.")
        }
        other => other.to_string(),
    }
}
