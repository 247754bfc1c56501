//! The proofs of one case: what was said, line by line; the line that decides is marked.

use axum::extract::Path;
use axum::response::Response;
use control::catalogue::advice;
use control::context::VariantResult;
use serde_json::Value;

use super::catalogue::sheet;
use super::guard::{Failure, Signed};
use super::layout::{self, Page};
use super::verdicts;
use crate::error::Refusal;
use crate::html;
use crate::html::Html;

pub(super) async fn show(signed: Signed, Path((id, case)): Path<(String, String)>) -> Result<Response, Failure> {
    let who = signed.who();
    let campaign = signed.or_fails(signed.desk.campaign_of(&who, &id).await)?;
    let scope = signed.or_fails(who.scope())?;
    let results = signed.or_fails(signed.desk.db().results(scope, &campaign.id, 0).await)?;
    let Some((_, result)) = results.into_iter().find(|(_, result)| result.id.eq_ignore_ascii_case(&case)) else {
        return Err(signed.fails(Refusal::NotFound));
    };
    let hashes: Vec<String> = result.variantes.iter().flat_map(|variant| variant.preuves.clone()).collect();
    let proofs = signed.or_fails(signed.desk.db().proofs(scope, &campaign.id, Some(hashes)).await)?;
    let mut shown = std::collections::BTreeSet::new();
    let sections: Html = result
        .variantes
        .iter()
        .map(|variant| {
            let proofs: Html = variant
                .preuves
                .iter()
                .filter_map(|hash| Some((hash, proofs.get(hash)?)))
                .map(|(hash, proof)| match shown.insert(hash.clone()) {
                    true => section(hash, proof, variant),
                    false => html!("<p>Preuve <a href=\"#p-{}\">déjà montrée plus haut</a>.</p>\n", short(hash)),
                })
                .collect();
            variant_section(variant, proofs)
        })
        .collect();
    let words = advice(&result.id).map(|advice| {
        html!(
            "<p><strong>Pourquoi c’est important</strong> — {}</p>\n<p><strong>Que faire en cas d’écart</strong> — {}</p>\n",
            advice.pourquoi,
            advice.que_faire
        )
    });
    let sheet = crate::question::case(&result.id)
        .map(|case| html!("<details><summary>Le cas au catalogue</summary>\n{}</details>\n", sheet(case)));
    let body = html!(
        "<h1>{} — {}</h1>\n<p class=\"verdict\">{}</p>\n<p><a href=\"/campagnes/{}#{}\">Retour à la campagne « {} »</a></p>\n{}{}{}",
        result.id,
        result.titre,
        verdicts::mark(&result.verdict),
        campaign.id,
        result.id,
        campaign.name,
        words,
        sheet,
        sections
    );
    let session = Some(&signed.session);
    Ok(layout::page(&signed.desk, Page { title: &result.id, session, here: "/campagnes", body, ..Page::default() }))
}

fn short(hash: &str) -> String {
    hash.get(..12).unwrap_or(hash).to_owned()
}

fn variant_section(variant: &VariantResult, proofs: Html) -> Html {
    let protocol = variant.protocole.map(|protocol| format!(" ({})", protocol.label())).unwrap_or_default();
    let control = |label: &'static str, seen: Option<bool>| {
        seen.map(|seen| {
            let text = if seen { "✓ accepté" } else { "✗ refusé : rien n’est conclu" };
            html!("<dt>{}</dt><dd>{}</dd>\n", label, text)
        })
    };
    html!(
        "<section class=\"variante\"><h2>{}{}</h2>\n<dl>\n<dt>Attendu</dt><dd>{}</dd>\n<dt>Observé</dt><dd>{}</dd>\n<dt>Verdict</dt><dd>{} {}</dd>\n{}{}</dl>\n{}</section>\n",
        variant.nom,
        protocol,
        variant.attendu,
        variant.observe,
        verdicts::mark(&variant.verdict),
        variant.verdict.reason().map(str::to_owned),
        control("Jeton nominal, juste avant", variant.controle_avant),
        control("Jeton nominal, juste après", variant.controle_apres),
        proofs
    )
}

/// One proof: a dialogue line by line, anything else as JSON.
fn section(hash: &str, proof: &Value, variant: &VariantResult) -> Html {
    let lines: Option<Vec<(u64, &str, &str)>> = proof
        .as_array()
        .map(|lines| {
            lines
                .iter()
                .map(|line| Some((line["ms"].as_u64()?, line["from"].as_str()?, line["text"].as_str()?)))
                .collect()
        })
        .unwrap_or_default();
    let inside = match lines.filter(|lines| !lines.is_empty()) {
        Some(lines) => dialogue(hash, &lines, variant),
        None => html!("<pre tabindex=\"0\">{}</pre>\n", serde_json::to_string_pretty(proof).unwrap_or_default()),
    };
    html!("<div class=\"preuve\" id=\"p-{}\"><h3>Preuve <code>{}</code></h3>\n{}</div>\n", short(hash), hash, inside)
}

/// The line that decides: the one that was observed, whole or without its tag; of several the longest, then the last.
fn decides(lines: &[(u64, &str, &str)], observed: &str) -> Option<usize> {
    /// Shorter texts (`OK`) stand in too many lines.
    const TELLING: usize = 6;
    let observed = observed.trim();
    let shared = |text: &str| {
        let text = text.trim();
        let untagged = text.split_once(' ').map_or("", |(_, rest)| rest);
        let parts = [text, untagged].into_iter().filter(|part| part.len() >= TELLING && observed.contains(part));
        let longest = parts.map(str::len).max();
        longest.or_else(|| (observed.len() >= TELLING && text.contains(observed)).then_some(observed.len()))
    };
    let found = lines.iter().enumerate().filter_map(|(index, (_, _, text))| Some((shared(text)?, index)));
    found.max().map(|(_, index)| index)
}

fn dialogue(hash: &str, lines: &[(u64, &str, &str)], variant: &VariantResult) -> Html {
    let decisive = decides(lines, &variant.observe);
    let rows: Html = lines
        .iter()
        .enumerate()
        .map(|(index, (ms, from, text))| {
            let text = match decisive == Some(index) {
                true => html!("<mark>{}</mark>", text),
                false => html!("{}", text),
            };
            html!(
                "<tr id=\"p-{}-{}\"><td>{} ms</td><td>{}</td><td><code>{}</code></td></tr>\n",
                short(hash),
                index + 1,
                ms,
                from,
                text
            )
        })
        .collect();
    let jump = decisive
        .map(|index| html!("<p><a href=\"#p-{}-{}\">Aller à la ligne qui décide</a></p>\n", short(hash), index + 1));
    html!(
        "{}<div class=\"defile\" tabindex=\"0\" role=\"region\" aria-label=\"Dialogue\"><table class=\"dialogue\">\n<caption>Dialogue : « &gt; » l’application, « &lt; » le serveur, « = » une remarque</caption>\n<thead><tr><th scope=\"col\">Temps</th>\
         <th scope=\"col\">Qui</th><th scope=\"col\">Texte</th></tr></thead>\n<tbody>\n{}</tbody></table></div>\n",
        jump,
        rows
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_decides() {
        let lines = [
            (1, "<", "* OK ready"),
            (2, ">", "a AUTHENTICATE"),
            (3, "<", "a NO [AUTHENTICATIONFAILED] no"),
            (4, "<", "* BYE"),
        ];
        assert_eq!(decides(&lines, "NO [AUTHENTICATIONFAILED] no ; défi : x"), Some(2));
        assert_eq!(decides(&lines, "[AUTHENTICATIONFAILED]"), Some(2));
        assert_eq!(decides(&lines, ""), None);
        assert_eq!(decides(&lines, "something else"), None);
    }
}
