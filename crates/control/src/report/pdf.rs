//! The report on paper: PDF/A-1b with the same content as the HTML, proofs apart, which are named by their SHA-256 and stand in the JSON.

use render::RenderError;
use render::sheet::{Piece, Sheet};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::matrix::matrix;
use super::seal::Seal;
use super::words;
use crate::catalogue::advice;
use crate::engine::{Campaign, CaseResult};
use crate::verdict::{Severity, Verdict};

/// The report as PDF/A-1b; `seal`: the signature of its JSON, checked.
///
/// # Errors
/// [`RenderError`]: too large, or an error of the writer.
pub fn pdf(campaign: &Campaign, seal: Option<&Seal>) -> Result<Vec<u8>, RenderError> {
    let title = format!("Rapport de contrôle MSSanté — {}", campaign.operateur);
    let mut pieces = vec![
        Piece::Strong(campaign.verdict.label().to_owned()),
        Piece::Paragraph(words::counts(campaign)),
        Piece::Heading(1, "Périmètre".to_owned()),
        Piece::Facts(words::scope(campaign)),
        Piece::Heading(1, "Signature".to_owned()),
    ];
    pieces.extend(words::signature(seal).into_iter().map(Piece::Paragraph));
    pieces.push(Piece::Heading(1, "Non-conformités".to_owned()));
    pieces.push(faults(campaign));
    pieces.push(Piece::Heading(1, "Exigences et cas".to_owned()));
    let row = |row: super::matrix::Row<'_>| vec![row.requirement.to_owned(), row.case.to_owned(), row.words()];
    pieces.push(Piece::Table {
        caption: "Chaque exigence, les cas qui la contrôlent, leur verdict".to_owned(),
        head: ["Exigence", "Cas", "Verdict"].map(str::to_owned).to_vec(),
        rows: matrix(campaign).into_iter().map(row).collect(),
    });
    pieces.push(Piece::Heading(1, "Résultats, cas par cas".to_owned()));
    for case in &campaign.cas {
        article(case, &mut pieces);
    }
    pieces.push(Piece::Paragraph(format!("Chaîne des preuves : {}", super::chain(campaign))));
    let sheet = Sheet {
        title,
        subject: format!("{} {}", campaign.solution, campaign.version_solution),
        foot: format!("Campagne du {}", campaign.debut.get(..10).unwrap_or_default()),
        author: format!("vaguemestre {}", env!("CARGO_PKG_VERSION")),
        // A report whose date cannot be read is dated of its printing.
        date: OffsetDateTime::parse(&campaign.fin, &Rfc3339).unwrap_or_else(|_| OffsetDateTime::now_utc()),
        pieces,
    };
    sheet.pdf()
}

fn faults(campaign: &Campaign) -> Piece {
    let wrong = words::faults(campaign);
    if wrong.is_empty() {
        return Piece::Paragraph("Aucune.".to_owned());
    }
    let row = |(level, case): (Severity, &CaseResult)| {
        let what = advice(&case.id).map(|advice| advice.que_faire.clone()).unwrap_or_default();
        vec![level.to_string(), format!("{} {}\n({})", case.id, case.titre, case.exigences), words::seen(case), what]
    };
    Piece::Table {
        caption: "Par niveau, la plus lourde d'abord".to_owned(),
        head: ["Niveau", "Cas", "Observé", "Que faire"].map(str::to_owned).to_vec(),
        rows: wrong.into_iter().map(row).collect(),
    }
}

fn article(case: &CaseResult, pieces: &mut Vec<Piece>) {
    pieces.push(Piece::Heading(2, format!("{} — {}", case.id, case.titre)));
    pieces.push(Piece::Strong(format!("{} ({} ; gravité : {})", case.verdict.label(), case.exigences, case.gravite)));
    if let Some(advice) = advice(&case.id) {
        pieces.push(Piece::Paragraph(format!("Pourquoi — {}", advice.pourquoi)));
        if case.verdict != Verdict::Conforme {
            pieces.push(Piece::Paragraph(format!("Que faire — {}", advice.que_faire)));
        }
    }
    let rows = case.variantes.iter().map(|variant| {
        let protocol = variant.protocole.map(|protocol| format!(" ({})", protocol.label())).unwrap_or_default();
        let reason = variant.verdict.reason().map(|reason| format!("\n{reason}")).unwrap_or_default();
        let proofs: Vec<&str> = variant.preuves.iter().map(|key| key.get(..12).unwrap_or(key)).collect();
        vec![
            format!("{}{protocol}", variant.nom),
            variant.attendu.clone(),
            variant.observe.clone(),
            format!("{}{reason}", variant.verdict.label()),
            proofs.join("\n"),
        ]
    });
    pieces.push(Piece::Table {
        caption: String::new(),
        head: ["Variante", "Attendu", "Observé", "Verdict", "Preuve"].map(str::to_owned).to_vec(),
        rows: rows.collect(),
    });
}
