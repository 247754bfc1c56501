//! The report of a campaign in its forms, as files to be kept.

use axum::http::header;
use axum::response::{IntoResponse, Response};
use control::engine;
use control::report;

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
    write: fn(&engine::Campaign) -> Result<Vec<u8>, Broken>,
}

/// All forms.
pub(crate) const FORMS: [Form; 5] = [
    Form {
        file: "rapport.html",
        label: "Rapport HTML (se lit hors ligne)",
        kind: "text/html; charset=utf-8",
        write: |campaign| Ok(report::html(campaign).into_bytes()),
    },
    Form {
        file: "rapport.pdf",
        label: "Rapport PDF/A (à archiver)",
        kind: "application/pdf",
        write: |campaign| report::pdf(campaign, None).map_err(|error| Broken::Report(error.into())),
    },
    Form {
        file: "rapport.json",
        label: "Rapport JSON (fait foi)",
        kind: "application/json",
        write: |campaign| Ok(serde_json::to_vec_pretty(&report::json(campaign))?),
    },
    Form {
        file: "rapport.xml",
        label: "JUnit XML (intégration continue)",
        kind: "application/xml",
        write: |campaign| Ok(report::junit(campaign).into_bytes()),
    },
    Form {
        file: "rapport.csv",
        label: "CSV (tableur)",
        kind: "text/csv; charset=utf-8",
        write: |campaign| Ok(report::csv(campaign).into_bytes()),
    },
];

/// The file.
pub(crate) async fn answer(desk: &Desk, who: &Who, campaign: &Campaign, form: &Form) -> Result<Response, Refusal> {
    if !campaign.state.is_over() {
        return Err(Refusal::Conflict("Le rapport n’existe qu’à la fin de la campagne."));
    }
    let whole = desk.whole(who.scope()?, &campaign.id).await?;
    let whole = whole.ok_or(Refusal::Conflict("Cette campagne a été interrompue : elle n’a pas de rapport."))?;
    let write = form.write;
    // Hundreds of kilobytes, some laid out: on a thread where that holds nobody else.
    let octets = tokio::task::spawn_blocking(move || write(&whole)).await.map_err(|_| Broken::Task)??;
    let name = format!("attachment; filename=\"campagne-{}-{}\"", campaign.id.as_str(), form.file);
    let headers = [
        (header::CONTENT_TYPE, form.kind.to_owned()),
        (header::CONTENT_DISPOSITION, name),
        // Opened here all the same, it runs nothing and knows nothing of the session.
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; sandbox".to_owned()),
    ];
    Ok((headers, octets).into_response())
}
