//! Two campaigns side by side: what became worse, better, or other.

use std::collections::BTreeMap;

use axum::extract::Path;
use axum::response::Response;
use control::engine::CaseResult;
use control::verdict::Verdict;
use serde::Serialize;

use super::form;
use super::guard::{Asked, Failure, Signed};
use super::layout::{self, Page};
use super::verdicts;
use crate::Desk;
use crate::acts::Who;
use crate::db::{Campaign, Filter};
use crate::error::Refusal;
use crate::html;
use crate::html::Html;
use crate::running::in_order;
use crate::words::{instant, plural};

/// Campaigns offered.
const OFFERED: u32 = 100;

/// What became of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Change {
    /// It was right, or less heavy.
    Degrade,
    /// It is right, or less heavy.
    Ameliore,
    /// Neither.
    Autre,
}

/// A case whose verdict is another.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Difference {
    pub id: String,
    pub avant: Option<Verdict>,
    pub apres: Option<Verdict>,
    pub evolution: Change,
}

/// How bad: what is open is between right and wrong.
fn weight(verdict: &Verdict) -> Option<u8> {
    match verdict {
        Verdict::Conforme | Verdict::NonApplicable { .. } => Some(0),
        Verdict::NonConforme { niveau } => Some(2 + *niveau as u8),
        Verdict::Inconclusif { .. } | Verdict::AExaminer { .. } => Some(1),
        Verdict::NonExecute { .. } => None,
    }
}

/// The cases whose verdict is another, in the catalogue's order.
pub(crate) fn differences(before: Vec<CaseResult>, after: Vec<CaseResult>) -> Vec<Difference> {
    let old: BTreeMap<String, CaseResult> = before.into_iter().map(|result| (result.id.clone(), result)).collect();
    let new: BTreeMap<String, CaseResult> = after.into_iter().map(|result| (result.id.clone(), result)).collect();
    let mut all: BTreeMap<&String, &CaseResult> = old.iter().collect();
    all.extend(&new);
    in_order(all.into_values().cloned().collect())
        .into_iter()
        .filter_map(|result| {
            let verdict =
                |side: &BTreeMap<String, CaseResult>| side.get(&result.id).map(|result| result.verdict.clone());
            let (before, after) = (verdict(&old), verdict(&new));
            let label = |verdict: &Option<Verdict>| verdict.as_ref().map(Verdict::label);
            if label(&before) == label(&after) {
                return None;
            }
            let evolution = match (before.as_ref().and_then(weight), after.as_ref().and_then(weight)) {
                (Some(old), Some(new)) if new > old => Change::Degrade,
                (Some(old), Some(new)) if new < old => Change::Ameliore,
                _ => Change::Autre,
            };
            Some(Difference { id: result.id, avant: before, apres: after, evolution })
        })
        .collect()
}

/// Two campaigns of one operator, compared.
pub(crate) async fn compare(
    desk: &Desk,
    who: &Who,
    before: &Campaign,
    after: &Campaign,
) -> Result<Vec<Difference>, Refusal> {
    if before.organisation != after.organisation {
        return Err(Refusal::Conflict("Ces campagnes ne sont pas du même opérateur."));
    }
    let scope = who.scope()?;
    let results = |id| async move {
        let found = desk.db().results(scope, id, 0).await?;
        Ok::<_, Refusal>(found.into_iter().map(|(_, result)| result).collect::<Vec<_>>())
    };
    Ok(differences(results(&before.id).await?, results(&after.id).await?))
}

pub(super) async fn show(signed: Signed, Path(id): Path<String>, Asked(asked): Asked) -> Result<Response, Failure> {
    let who = signed.who();
    let this = signed.or_fails(signed.desk.campaign_of(&who, &id).await)?;
    let scope = signed.or_fails(who.scope())?;
    let others =
        signed.or_fails(signed.desk.db().campaigns(scope, Filter { most: OFFERED, ..Filter::default() }).await)?;
    let choices: Vec<(String, String)> = others
        .iter()
        .filter(|other| other.id != this.id && other.organisation == this.organisation && other.state.is_over())
        .map(|other| (other.id.as_str().to_owned(), format!("{} — {}", other.name, instant(other.queued))))
        .collect();
    let parent = this.parent.as_ref().map(|parent| parent.as_str().to_owned()).unwrap_or_default();
    let chosen = if asked.get("autre").is_empty() { parent.as_str() } else { asked.get("autre") };
    let found = if asked.get("autre").is_empty() {
        Html::empty()
    } else {
        let other = signed.or_fails(signed.desk.campaign_of(&who, asked.get("autre")).await)?;
        let (before, after) = if other.id < this.id { (&other, &this) } else { (&this, &other) };
        let differences = signed.or_fails(compare(&signed.desk, &who, before, after).await)?;
        table(before, after, &differences)
    };
    let form = if choices.is_empty() {
        html!("<p>Aucune autre campagne finie de cet opérateur.</p>\n")
    } else {
        html!(
            "<form method=\"get\" action=\"/campagnes/{}/comparaison\" class=\"filtres\">\n{}<p><button>Comparer</button></p></form>\n",
            this.id,
            form::select("autre", "Avec la campagne", chosen, &choices)
        )
    };
    let body = html!(
        "<h1>Comparer</h1>\n<p><a href=\"/campagnes/{}\">{} — {}</a></p>\n{}{}",
        this.id,
        this.name,
        instant(this.queued),
        form,
        found
    );
    let session = Some(&signed.session);
    Ok(layout::page(&signed.desk, Page { title: "Comparer", session, here: "/campagnes", body, ..Page::default() }))
}

fn table(before: &Campaign, after: &Campaign, differences: &[Difference]) -> Html {
    if differences.is_empty() {
        return html!("<p class=\"avis bon\" role=\"status\">✓ Aucun verdict n’a changé.</p>\n");
    }
    let verdict = |verdict: &Option<Verdict>| match verdict {
        Some(verdict) => verdicts::mark(verdict),
        None => html!("<span class=\"pale\">– absent</span>"),
    };
    let rows: Html = differences
        .iter()
        .map(|one| {
            let (class, text) = match one.evolution {
                Change::Degrade => ("mal", "✗ dégradé"),
                Change::Ameliore => ("bon", "✓ amélioré"),
                Change::Autre => ("pale", "– autre"),
            };
            html!(
                "<tr><th scope=\"row\"><a href=\"/catalogue/{}\">{}</a></th><td>{}</td><td>{}</td><td class=\"{}\">{}</td></tr>\n",
                one.id,
                one.id,
                verdict(&one.avant),
                verdict(&one.apres),
                class,
                text
            )
        })
        .collect();
    let worse = differences.iter().filter(|one| one.evolution == Change::Degrade).count();
    html!(
        "<p class=\"verdict\" role=\"status\">{} cas changé{}, {} dégradé{}.</p>\n<div class=\"defile\" tabindex=\"0\" role=\"region\" aria-label=\"Différences\"><table>\n<caption>Du {} au {}</caption>\n<thead><tr>\
         <th scope=\"col\">Cas</th><th scope=\"col\">Avant</th><th scope=\"col\">Après</th><th scope=\"col\">Évolution</th></tr></thead>\n<tbody>\n{}</tbody></table></div>\n",
        differences.len(),
        plural(differences.len()),
        worse,
        plural(worse),
        instant(before.queued),
        instant(after.queued),
        rows
    )
}

#[cfg(test)]
mod tests {
    use control::verdict::Severity;

    use super::*;

    fn result(id: &str, verdict: Verdict) -> CaseResult {
        CaseResult {
            id: id.into(),
            titre: String::new(),
            exigences: String::new(),
            gravite: Severity::Major,
            verdict,
            variantes: Vec::new(),
            duree_ms: 0,
        }
    }

    #[test]
    fn worse_better_other() {
        let fault = Verdict::fault;
        let before = vec![
            result("TLS-01", Verdict::Conforme),
            result("TLS-02", fault(Severity::Major)),
            result("TLS-03", fault(Severity::Minor)),
            result("JWT-01", Verdict::Conforme),
            result("IMA-01", Verdict::Conforme),
        ];
        let after = vec![
            result("TLS-01", Verdict::unclear("421")),
            result("TLS-02", Verdict::Conforme),
            result("TLS-03", fault(Severity::Blocking)),
            result("JWT-01", Verdict::NonExecute { cause: String::new() }),
            result("IMA-01", Verdict::Conforme),
            result("SMA-01", Verdict::Conforme),
        ];
        let found: Vec<(String, Change)> =
            differences(before, after).into_iter().map(|one| (one.id, one.evolution)).collect();
        let expected = [
            ("TLS-01", Change::Degrade),
            ("TLS-02", Change::Ameliore),
            ("TLS-03", Change::Degrade),
            ("SMA-01", Change::Autre),
            ("JWT-01", Change::Autre),
        ];
        assert_eq!(found, expected.map(|(id, change)| (id.to_owned(), change)));
    }
}
