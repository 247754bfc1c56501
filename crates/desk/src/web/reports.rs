//! The report of a campaign in its forms, as files to be kept.

use axum::http::header;
use axum::response::{IntoResponse, Response};
use control::engine;
use control::report::{self, seal::Seal};

use crate::Desk;
use crate::acts::Who;
use crate::db::Campaign;
use crate::error::{Broken, Refusal};

/// A form of a report.
pub(crate) struct Form {
    /// The name of its address.
    pub file: &'static str,
    /// For people.
    pub label: &'static str,
    kind: &'static str,
    write: fn(&engine::Campaign, Option<&Seal>) -> Result<Vec<u8>, Broken>,
}

/// The form that is signed.
pub(crate) const SIGNED: &str = "rapport.json";
/// The name of the address of its signature.
pub(crate) const SIGNATURE: &str = "rapport.json.p7s";

/// All forms.
pub(crate) const FORMS: [Form; 5] = [
    Form {
        file: "rapport.html",
        label: "Rapport HTML (se lit hors ligne)",
        kind: "text/html; charset=utf-8",
        write: |campaign, seal| Ok(report::html_sealed(campaign, seal).into_bytes()),
    },
    Form {
        file: "rapport.pdf",
        label: "Rapport PDF/A (à archiver)",
        kind: "application/pdf",
        write: |campaign, seal| report::pdf(campaign, seal).map_err(|error| Broken::Report(error.into())),
    },
    Form {
        file: "rapport.json",
        label: "Rapport JSON (fait foi)",
        kind: "application/json",
        write: |campaign, _| Ok(serde_json::to_vec_pretty(&report::json(campaign))?),
    },
    Form {
        file: "rapport.xml",
        label: "JUnit XML (intégration continue)",
        kind: "application/xml",
        write: |campaign, _| Ok(report::junit(campaign).into_bytes()),
    },
    Form {
        file: "rapport.csv",
        label: "CSV (tableur)",
        kind: "text/csv; charset=utf-8",
        write: |campaign, _| Ok(report::csv(campaign).into_bytes()),
    },
];

/// The file.
pub(crate) async fn answer(desk: &Desk, who: &Who, campaign: &Campaign, form: &Form) -> Result<Response, Refusal> {
    if !campaign.state.is_over() {
        return Err(Refusal::Conflict("Le rapport n’existe qu’à la fin de la campagne."));
    }
    // Once it is signed it is the octets that were.
    let signature = desk.db().signature(who.scope()?, &campaign.id).await?;
    if let Some(signature) = &signature
        && form.file == SIGNED
    {
        return Ok(download(campaign, form.file, form.kind, signature.report.clone()));
    }
    let whole = desk.whole(who.scope()?, &campaign.id).await?;
    let whole = whole.ok_or(Refusal::Conflict("Cette campagne a été interrompue : elle n’a pas de rapport."))?;
    let write = form.write;
    // Hundreds of kilobytes, some laid out: on a thread where that holds nobody else.
    let seal = signature.map(|signature| signature.seal);
    let written = tokio::task::spawn_blocking(move || write(&whole, seal.as_ref()));
    Ok(download(campaign, form.file, form.kind, written.await.map_err(|_| Broken::Task)??))
}

/// The signature of the report, as it was given.
pub(crate) async fn signature(desk: &Desk, who: &Who, campaign: &Campaign) -> Result<Response, Refusal> {
    let signature = desk.db().signature(who.scope()?, &campaign.id).await?.ok_or(Refusal::NotFound)?;
    Ok(download(campaign, SIGNATURE, "application/pkcs7-signature", signature.cms))
}

/// A file to be kept.
fn download(campaign: &Campaign, file: &str, kind: &str, octets: Vec<u8>) -> Response {
    let name = format!("attachment; filename=\"campagne-{}-{file}\"", campaign.id.as_str());
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CONTENT_DISPOSITION, name),
        // Opened here all the same, it runs nothing and knows nothing of the session.
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; sandbox".to_owned()),
    ];
    (headers, octets).into_response()
}
