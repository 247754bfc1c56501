//! One line for each variant, for spreadsheets: `;` between cells, all quoted; nothing a spreadsheet would take for a formula.

use crate::engine::Campaign;

/// The report as CSV, UTF-8.
#[must_use]
pub fn csv(campaign: &Campaign) -> String {
    let mut out = line([
        "cas",
        "titre",
        "gravité",
        "verdict du cas",
        "variante",
        "protocole",
        "attendu",
        "observé",
        "verdict",
        "raison",
    ]);
    for case in &campaign.cas {
        for variant in &case.variantes {
            out += &line([
                case.id.as_str(),
                &case.titre,
                &case.gravite.to_string(),
                &case.verdict.label(),
                &variant.nom,
                variant.protocole.map_or("", |protocol| protocol.label()),
                &variant.attendu,
                &variant.observe,
                &variant.verdict.label(),
                variant.verdict.reason().unwrap_or_default(),
            ]);
        }
    }
    out
}

fn line<'a>(cells: impl IntoIterator<Item = &'a str>) -> String {
    let cell = |text: &str| {
        let text = text.replace('"', "\"\"").replace(['\r', '\n'], " ");
        let guard = if text.starts_with(['=', '+', '-', '@', '\t']) { "'" } else { "" };
        format!("\"{guard}{text}\"")
    };
    format!("{}\r\n", cells.into_iter().map(cell).collect::<Vec<_>>().join(";"))
}
