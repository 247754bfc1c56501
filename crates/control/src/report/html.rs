//! The report as one HTML file that reads offline: no script, nothing fetched, light and dark, printable. French, as reports are.

use super::profile::Profile;
use super::seal::Seal;
use super::words;
use super::{chain, escaped};
use crate::catalogue::advice;
use crate::engine::{Campaign, CaseResult};
use crate::verdict::{CampaignVerdict, Severity, Verdict};

const STYLE: &str = "\
:root{--fond:#fff;--texte:#1b1f24;--pale:#57606a;--trait:#d0d7de;--carte:#f6f8fa;--bon:#116329;--mal:#a40e26;--doute:#7d4e00;--lien:#0550ae}\
@media(prefers-color-scheme:dark){:root{--fond:#0d1117;--texte:#e6edf3;--pale:#9198a1;--trait:#3d444d;--carte:#151b23;--bon:#56d364;--mal:#ff8182;--doute:#e3b341;--lien:#79c0ff}}\
body{font:16px/1.5 system-ui,sans-serif;background:var(--fond);color:var(--texte);max-width:72rem;margin:0 auto;padding:1rem 1.5rem}\
a{color:var(--lien)}h1{font-size:1.7rem}h2{margin-top:2.5rem;border-bottom:1px solid var(--trait)}table{border-collapse:collapse;width:100%;margin:1rem 0}\
caption{text-align:left;color:var(--pale);padding:.3rem 0}th,td{border:1px solid var(--trait);padding:.4rem .6rem;text-align:left;vertical-align:top}\
th{background:var(--carte)}.verdict{font-size:1.3rem;border-left:.5rem solid;padding:.6rem 1rem;background:var(--carte)}\
.bon{color:var(--bon)}.mal{color:var(--mal)}.doute{color:var(--doute)}.pale{color:var(--pale)}\
article{border:1px solid var(--trait);border-radius:.4rem;padding:.2rem 1rem 1rem;margin:1rem 0}article h3{margin-bottom:.3rem}\
pre{overflow:auto;background:var(--carte);padding:.6rem;font-size:.85rem;max-height:28rem}summary{cursor:pointer}\
.saut{position:absolute;left:-99rem}.saut:focus{left:1rem}code{overflow-wrap:anywhere}\
@media print{article{break-inside:avoid}pre{max-height:none}}";

/// The report.
#[must_use]
pub fn html(campaign: &Campaign) -> String {
    html_sealed(campaign, None)
}

/// The report of a campaign whose JSON is signed.
#[must_use]
pub fn html_sealed(campaign: &Campaign, seal: Option<&Seal>) -> String {
    let verdict_class = match campaign.verdict {
        CampaignVerdict::Conforme => "bon",
        CampaignVerdict::NonEtabli => "doute",
        _ => "mal",
    };
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"fr\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>Rapport de contrôle — {operator}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <a class=\"saut\" href=\"#resultats\">Aller aux résultats</a>\n<header>\n<h1>Rapport de contrôle MSSanté — {operator}</h1>\n\
         <p class=\"verdict {verdict_class}\" role=\"status\"><strong>{verdict}</strong>{counts}</p>\n</header>\n<main>\n",
        operator = escaped(&campaign.operateur),
        verdict = campaign.verdict.label(),
        counts = escaped(&format!(" — {}", words::counts(campaign))),
    );
    out += &scope(campaign);
    out += &signature(seal);
    out += &faults(campaign);
    out += &matrix(campaign);
    out += "<h2 id=\"resultats\">Résultats, cas par cas</h2>\n";
    for case in &campaign.cas {
        out += &article(case, campaign);
    }
    out += &readings();
    out += &format!(
        "</main>\n<footer class=\"pale\"><p>Chaîne des preuves : <code>{}</code>. Établi par vaguemestre {}.</p></footer>\n</body>\n</html>\n",
        chain(campaign),
        env!("CARGO_PKG_VERSION")
    );
    out
}

fn scope(campaign: &Campaign) -> String {
    let rows: String = words::scope(campaign)
        .iter()
        .map(|(name, value)| format!("<tr><th scope=\"row\">{name}</th><td>{}</td></tr>\n", escaped(value)))
        .collect();
    format!("<h2>Périmètre</h2>\n<table>\n<caption>Ce qui a été contrôlé, quand, avec quoi</caption>\n{rows}</table>\n")
}

fn signature(seal: Option<&Seal>) -> String {
    let words: String = words::signature(seal).iter().map(|words| format!("<p>{}</p>\n", escaped(words))).collect();
    format!("<h2>Signature</h2>\n{words}")
}

fn faults(campaign: &Campaign) -> String {
    let wrong = words::faults(campaign);
    if wrong.is_empty() {
        return "<h2>Non-conformités</h2>\n<p>Aucune.</p>\n".to_owned();
    }
    let rows: String = wrong
        .iter()
        .map(|(level, case)| {
            let what = advice(&case.id).map(|advice| advice.que_faire.as_str()).unwrap_or_default();
            format!(
                "<tr><td class=\"mal\">{level}</td><th scope=\"row\"><a href=\"#{id}\">{id}</a> {title}</th><td>{req}</td><td>{seen}</td><td>{what}</td></tr>\n",
                id = escaped(&case.id),
                title = escaped(&case.titre),
                req = escaped(&case.exigences),
                seen = escaped(&words::seen(case)).replace('\n', "<br>"),
                what = escaped(what),
            )
        })
        .collect();
    format!(
        "<h2>Non-conformités</h2>\n<table>\n<caption>Par niveau, la plus lourde d'abord</caption>\n<thead><tr><th scope=\"col\">Niveau</th>\
         <th scope=\"col\">Cas</th><th scope=\"col\">Exigence</th><th scope=\"col\">Observé</th><th scope=\"col\">Que faire</th></tr></thead>\n<tbody>\n{rows}</tbody></table>\n"
    )
}

/// Requirement by case, with those of the plan that were not run.
fn matrix(campaign: &Campaign) -> String {
    let mut out = "<h2>Exigences et cas</h2>\n<table>\n<caption>Chaque exigence, les cas qui la contrôlent, leur verdict ou pourquoi ils n'ont \
                   pas été joués</caption>\n<thead><tr><th scope=\"col\">Exigence</th><th scope=\"col\">Cas</th><th scope=\"col\">Verdict</th></tr></thead>\n<tbody>\n"
        .to_owned();
    let rows = super::matrix::matrix(campaign);
    let mut before = "";
    for row in &rows {
        if row.requirement != before {
            let span = rows.iter().filter(|other| other.requirement == row.requirement).count();
            out += &format!("<tr><th scope=\"rowgroup\" rowspan=\"{span}\">{}</th>", escaped(row.requirement));
            before = row.requirement;
        } else {
            out += "<tr>";
        }
        let id = escaped(row.case);
        let (link, class, icon) = match row.result {
            Some(result) => (format!("<a href=\"#{id}\">{id}</a>"), class(&result.verdict), icon(&result.verdict)),
            None => (id, "pale", "–"),
        };
        out += &format!("<td>{link}</td><td class=\"{class}\">{icon} {}</td></tr>\n", escaped(&row.words()));
    }
    out + "</tbody></table>\n"
}

/// How what the texts leave open was read.
fn readings() -> String {
    let rows: String = Profile::embedded()
        .lectures
        .iter()
        .map(|reading| {
            format!(
                "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td></tr>\n",
                escaped(&reading.sujet),
                escaped(&reading.lecture),
                escaped(&reading.cas.join(", "))
            )
        })
        .collect();
    format!(
        "<h2>Lectures retenues</h2>\n<table>\n<caption>Ce que les textes laissent ouvert, et comment ce profil le lit</caption>\n<thead><tr>\
         <th scope=\"col\">Sujet</th><th scope=\"col\">Lecture</th><th scope=\"col\">Cas</th></tr></thead>\n<tbody>\n{rows}</tbody></table>\n"
    )
}

fn class(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Conforme => "bon",
        Verdict::NonConforme { niveau } if *niveau > Severity::Information => "mal",
        Verdict::Inconclusif { .. } | Verdict::AExaminer { .. } => "doute",
        _ => "pale",
    }
}

/// Never colour alone.
fn icon(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Conforme => "✓",
        Verdict::NonConforme { niveau } if *niveau > Severity::Information => "✗",
        Verdict::Inconclusif { .. } | Verdict::AExaminer { .. } => "?",
        _ => "–",
    }
}

fn article(case: &CaseResult, campaign: &Campaign) -> String {
    let advice = advice(&case.id);
    let mut out = format!(
        "<article id=\"{id}\">\n<h3>{id} — {title}</h3>\n<p class=\"{class}\">{icon} {label} <span class=\"pale\">({exigences} ; gravité : {gravite} ; {ms} ms)</span></p>\n",
        id = escaped(&case.id),
        title = escaped(&case.titre),
        class = class(&case.verdict),
        icon = icon(&case.verdict),
        label = escaped(&case.verdict.label()),
        exigences = escaped(&case.exigences),
        gravite = case.gravite,
        ms = case.duree_ms,
    );
    if let Some(advice) = advice {
        out += &format!("<p><strong>Pourquoi</strong> — {}</p>\n", escaped(&advice.pourquoi));
        if case.verdict != Verdict::Conforme {
            out += &format!("<p><strong>Que faire</strong> — {}</p>\n", escaped(&advice.que_faire));
        }
    }
    out += "<table>\n<caption>Variantes</caption>\n<thead><tr><th scope=\"col\">Variante</th><th scope=\"col\">Attendu</th><th scope=\"col\">Observé</th><th scope=\"col\">Verdict</th></tr></thead>\n<tbody>\n";
    for variant in &case.variantes {
        let protocol = variant.protocole.map(|protocol| format!(" ({})", protocol.label())).unwrap_or_default();
        out += &format!(
            "<tr><th scope=\"row\">{}{protocol}</th><td>{}</td><td>{}</td><td class=\"{}\">{} {}{}</td></tr>\n",
            escaped(&variant.nom),
            escaped(&variant.attendu),
            escaped(&variant.observe),
            class(&variant.verdict),
            icon(&variant.verdict),
            escaped(&variant.verdict.label()),
            variant.verdict.reason().map(|reason| format!("<br>{}", escaped(reason))).unwrap_or_default(),
        );
    }
    out += "</tbody></table>\n";
    let mut shown = std::collections::BTreeSet::new();
    for key in case.variantes.iter().flat_map(|variant| &variant.preuves).filter(|key| shown.insert(key.as_str())) {
        let Some(proof) = campaign.preuves.get(key) else { continue };
        out += &format!(
            "<details><summary>Preuve <code>{}…</code></summary><pre>{}</pre></details>\n",
            escaped(&key[..12.min(key.len())]),
            proof_text(proof)
        );
    }
    out + "</article>\n"
}

/// A transcript line by line; anything else as JSON.
fn proof_text(proof: &serde_json::Value) -> String {
    let line = |line: &serde_json::Value| {
        Some(format!("{:>6} ms {} {}", line["ms"].as_u64()?, line["from"].as_str()?, line["text"].as_str()?))
    };
    let lines: Option<Vec<String>> = proof.as_array().and_then(|lines| lines.iter().map(line).collect());
    let text = match lines {
        Some(lines) if !lines.is_empty() => lines.join("\n"),
        _ => serde_json::to_string_pretty(proof).unwrap_or_default(),
    };
    escaped(&text)
}
