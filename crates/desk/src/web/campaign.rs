//! One campaign: its progress while it runs, its results when it is over.

use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use control::catalogue::advice;
use control::context::VariantResult;
use control::engine::CaseResult;
use control::verdict::Severity;

use super::form;
use super::guard::{Asked, Failure, Input, Posted, Signed};
use super::layout::{self, Page};
use super::{job, reports, software, stream, submissions, verdicts};
use crate::acts::Again;
use crate::db::{Campaign, CampaignId, State};
use crate::error::Refusal;
use crate::html;
use crate::html::{Html, link};
use crate::question;
use crate::running::in_order;
use crate::software::AUTHORITY;
use crate::words::{duration, instant, plural};

pub(super) async fn show(signed: Signed, Path(id): Path<String>, Asked(asked): Asked) -> Result<Response, Failure> {
    let who = signed.who();
    let campaign = signed.or_fails(signed.desk.campaign_of(&who, &id).await)?;
    let scope = signed.or_fails(who.scope())?;
    let results = signed.or_fails(signed.desk.db().results(scope, &campaign.id, 0).await)?;
    let results: Vec<CaseResult> = results.into_iter().map(|(_, result)| result).collect();
    let (head, below) = if campaign.state.is_over() {
        let submitted = submissions::on_campaign(&signed, &campaign).await?;
        (Html::empty(), html!("{}{}", submitted, over(&signed, &campaign, in_order(results), &asked)))
    } else {
        // Without the script the page is asked for again.
        (
            html!("<noscript><meta http-equiv=\"refresh\" content=\"4\"></noscript>\n"),
            going(&signed, &campaign, &results),
        )
    };
    let part =
        if campaign.only.is_empty() { String::new() } else { format!(" — partielle : {}", campaign.only.join(", ")) };
    let overridden = if campaign.overridden.is_empty() {
        Html::empty()
    } else {
        html!(
            "<p class=\"avis doute\">? Lancée malgré une vérification de la configuration à revoir : {}</p>\n",
            campaign.overridden
        )
    };
    let checkup = if campaign.checkup.is_empty() {
        Html::empty()
    } else {
        html!(
            "<details><summary>La vérification de la configuration, avant le lancement</summary>\n{}</details>\n",
            job::findings(&campaign.checkup)
        )
    };
    let body = html!(
        "<h1>{}</h1>\n{}{}{}<p>{}{}. Lancée par {} le {}{}.</p>\n{}",
        campaign.name,
        layout::notice(asked.get("fait")),
        overridden,
        checkup,
        question::title(&campaign.plan),
        part,
        campaign.author,
        instant(campaign.queued),
        match (campaign.begun, campaign.ended) {
            (Some(begun), Some(ended)) => format!(", durée {}", duration(ended - begun)),
            _ => String::new(),
        },
        below
    );
    let session = Some(&signed.session);
    Ok(layout::page(&signed.desk, Page { title: &campaign.name, session, here: "/campagnes", head, body }))
}

/// A line of the list of results that grows.
fn line(result: &CaseResult) -> Html {
    html!("<li>{} {} — {}</li>\n", verdicts::mark(&result.verdict), result.id, result.titre)
}

fn going(signed: &Signed, campaign: &Campaign, results: &[CaseResult]) -> Html {
    let lines: Html = results.iter().rev().map(line).collect();
    let current: Vec<String> = signed
        .desk
        .current(&campaign.id)
        .into_iter()
        .map(|(case, waits)| waits.map_or(case.clone(), |what| format!("{case} ({what})")))
        .collect();
    let stop = if signed.session.account.role.may_run() {
        layout::button(
            &signed.session,
            &format!("/campagnes/{}/arreter", campaign.id.as_str()),
            "Arrêter la campagne",
            "",
        )
    } else {
        Html::empty()
    };
    let text = match campaign.state {
        State::EnFile if question::is_software(&campaign.plan) => {
            "En file : les ports de l’opérateur scénarisé, ou la place, sont à une autre campagne.".to_owned()
        }
        State::EnFile => "En file : d’autres campagnes passent avant.".to_owned(),
        _ => format!("{} cas sur {}.", campaign.done, campaign.planned),
    };
    let software = match (question::is_software(&campaign.plan), campaign.state) {
        (true, State::EnCours) => software::section(signed, campaign),
        _ => Html::empty(),
    };
    html!(
        "{}<section aria-labelledby=\"avancement\" data-flux=\"/campagnes/{}/flux?depuis={}\">\n<h2 id=\"avancement\">Avancement</h2>\n\
         <p><progress id=\"barre\" max=\"{}\" value=\"{}\" aria-labelledby=\"avancement\"></progress></p>\n<p id=\"etat\" role=\"status\">{}</p>\n\
         <p>En cours : <span id=\"courants\">{}</span></p>\n{}</section>\n<h2>Résultats</h2>\n<ul id=\"faits\" class=\"lignes\">\n{}</ul>\n",
        software,
        campaign.id,
        results.len(),
        campaign.planned.max(1),
        campaign.done,
        text,
        if current.is_empty() { "–".to_owned() } else { current.join(", ") },
        stop,
        lines
    )
}

/// Whether a result is asked for by the filters.
fn is_shown(result: &CaseResult, asked: &Input) -> bool {
    let (level, group, verdict) = (asked.get("niveau"), asked.get("groupe"), asked.get("verdict"));
    (level.is_empty() || result.gravite.to_string() == level)
        && (group.is_empty() || result.id.split('-').next() == Some(group))
        && (verdict.is_empty()
            || result.verdict.code() == verdict
            || (verdict == "ouvert" && verdicts::is_open(&result.verdict)))
}

fn over(signed: &Signed, campaign: &Campaign, results: Vec<CaseResult>, asked: &Input) -> Html {
    let banner = match campaign.verdict.as_deref().and_then(verdicts::campaign_verdict) {
        Some(verdict) => {
            let (class, sign) = verdicts::campaign_look(verdict);
            html!(
                "<p class=\"verdict {}\"><strong>{} {}</strong> — {}</p>\n",
                class,
                sign,
                verdict.label(),
                counts(&results)
            )
        }
        None => html!(
            "<p class=\"verdict pale\"><strong>– Campagne {}</strong> — {} {}</p>\n",
            campaign.state.label(),
            counts(&results),
            campaign.cause
        ),
    };
    let partial = if campaign.only.is_empty() && campaign.depth == control::engine::Depth::Complet {
        Html::empty()
    } else {
        html!("<p class=\"avis doute\">Campagne partielle : elle ne vaut pas rapport de conformité.</p>\n")
    };
    let id = campaign.id.as_str();
    let downloads: Html = reports::FORMS
        .iter()
        .filter(|_| campaign.state != State::Interrompue)
        .map(|form| html!("<li><a href=\"/campagnes/{}/{}\">{}</a></li>\n", id, form.file, form.label))
        .collect();
    let again = if signed.session.account.role.may_run() {
        let one = |what: &str, label: &str| {
            html!(
                "<form method=\"post\" action=\"/campagnes/{}/relancer\" class=\"bouton\">{}<input type=\"hidden\" name=\"quoi\" value=\"{}\"><button>{}</button></form>\n",
                id,
                layout::key(&signed.session),
                what,
                label
            )
        };
        let failures = if results.iter().any(|result| verdicts::is_open(&result.verdict)) {
            one("echecs", "Relancer les échecs et inconclusifs")
        } else {
            Html::empty()
        };
        html!("{}{}", failures, one("tout", "Relancer tout"))
    } else {
        Html::empty()
    };
    let shown: Vec<&CaseResult> = results.iter().filter(|result| is_shown(result, asked)).collect();
    // What is wrong or open first, in full; the rest folded.
    let (wrong, right): (Vec<&CaseResult>, Vec<&CaseResult>) =
        shown.iter().partition(|result| verdicts::is_open(&result.verdict));
    let wrong_articles: Html = wrong.iter().map(|result| article(signed, campaign, result)).collect();
    let right_articles: Html = right.iter().map(|result| article(signed, campaign, result)).collect();
    html!(
        "{}{}<div class=\"actions\">\n<ul class=\"telecharger\">{}</ul>\n{}<p><a href=\"/campagnes/{}/signature\">Signature du rapport</a></p>\n<p><a href=\"/campagnes/{}/comparaison\">Comparer avec une autre campagne</a></p></div>\n\
         <h2>Résultats</h2>\n{}<p role=\"status\">{} cas affiché{} sur {}.</p>\n\
         <section aria-labelledby=\"ouverts\"><h3 id=\"ouverts\">À corriger ou à établir ({})</h3>\n{}</section>\n\
         <section aria-labelledby=\"bons\"><h3 id=\"bons\">Conformes ou non applicables ({})</h3>\n{}</section>\n",
        banner,
        partial,
        downloads,
        again,
        id,
        id,
        filters(id, &results, asked),
        shown.len(),
        plural(shown.len()),
        results.len(),
        wrong.len(),
        wrong_articles,
        right.len(),
        right_articles
    )
}

/// `62 conforme, 1 non conforme (majeure)…`
fn counts(results: &[CaseResult]) -> String {
    let mut counts = std::collections::BTreeMap::new();
    for result in results {
        *counts.entry(result.verdict.label()).or_insert(0) += 1;
    }
    let counts: Vec<String> = counts.iter().map(|(label, count)| format!("{count} {label}")).collect();
    format!("{} cas : {}.", results.len(), counts.join(", "))
}

fn filters(id: &str, results: &[CaseResult], asked: &Input) -> Html {
    let pair = |value: &str, label: &str| (value.to_owned(), label.to_owned());
    let levels: Vec<(String, String)> = std::iter::once(pair("", "tous"))
        .chain(
            [Severity::Blocking, Severity::Major, Severity::Minor, Severity::Information]
                .map(|s| pair(&s.to_string(), &s.to_string())),
        )
        .collect();
    let mut groups: Vec<&str> = results.iter().filter_map(|result| result.id.split('-').next()).collect();
    groups.dedup();
    let groups: Vec<(String, String)> =
        std::iter::once(pair("", "tous")).chain(groups.iter().map(|g| pair(g, g))).collect();
    let states = [
        pair("", "tous"),
        pair("ouvert", "à corriger ou à établir"),
        pair("non_conforme", "non conforme"),
        pair("inconclusif", "inconclusif"),
        pair("non_execute", "non exécuté"),
        pair("a_examiner", "à examiner"),
        pair("conforme", "conforme"),
        pair("non_applicable", "non applicable"),
    ];
    html!(
        "<form method=\"get\" action=\"/campagnes/{}\" class=\"filtres\">\n{}{}{}<p><button>Filtrer</button></p></form>\n",
        id,
        form::select("niveau", "Gravité", asked.get("niveau"), &levels),
        form::select("groupe", "Groupe", asked.get("groupe"), &groups),
        form::select("verdict", "Verdict", asked.get("verdict"), &states)
    )
}

/// One case: *Attendu / Observé / Pourquoi / Que faire*, and the way to its proof.
fn article(signed: &Signed, campaign: &Campaign, result: &CaseResult) -> Html {
    let is_wrong = verdicts::is_open(&result.verdict);
    let variants: Html = result
        .variantes
        .iter()
        .filter(|variant| !is_wrong || verdicts::is_open(&variant.verdict))
        .map(|variant| row(campaign, result, variant))
        .collect();
    let table = html!(
        "<div class=\"defile\" tabindex=\"0\" role=\"region\" aria-label=\"Variantes de {}\"><table>\n<caption>{}</caption>\n<thead><tr><th scope=\"col\">Variante</th><th scope=\"col\">Attendu</th>\
         <th scope=\"col\">Observé</th><th scope=\"col\">Verdict</th></tr></thead>\n<tbody>\n{}</tbody></table></div>\n",
        result.id,
        if is_wrong { "Ce qui n’est pas conforme ou pas établi" } else { "Variantes" },
        variants
    );
    let words = match advice(&result.id) {
        Some(advice) if is_wrong => html!(
            "<p><strong>Pourquoi c’est important</strong> — {}</p>\n<p><strong>Que faire</strong> — {}</p>\n",
            advice.pourquoi,
            advice.que_faire
        ),
        Some(advice) => html!("<p><strong>Pourquoi</strong> — {}</p>\n", advice.pourquoi),
        None => Html::empty(),
    };
    let reason = result.verdict.reason().map(|reason| html!("<p>{}</p>\n", reason));
    let again = if is_wrong && signed.session.account.role.may_run() {
        html!(
            "<form method=\"post\" action=\"/campagnes/{}/relancer\" class=\"bouton\">{}<input type=\"hidden\" name=\"quoi\" value=\"{}\">\
             <button class=\"discret\">Relancer {}</button></form>\n",
            campaign.id,
            layout::key(&signed.session),
            result.id,
            result.id
        )
    } else {
        Html::empty()
    };
    let inside = html!(
        "{}{}{}<p><a href=\"/campagnes/{}/cas/{}\">Preuves de {}</a> · <a href=\"/catalogue/{}\">le cas au catalogue</a></p>\n{}",
        reason,
        words,
        table,
        campaign.id,
        result.id,
        result.id,
        result.id,
        again
    );
    let title = html!(
        "{} — {} {} <span class=\"pale\">({} ; gravité : {})</span>",
        result.id,
        result.titre,
        verdicts::mark(&result.verdict),
        result.exigences,
        result.gravite.to_string()
    );
    if is_wrong {
        html!("<article id=\"{}\">\n<h4>{}</h4>\n{}</article>\n", result.id, title, inside)
    } else {
        html!("<details id=\"{}\" class=\"cas\"><summary>{}</summary>\n{}</details>\n", result.id, title, inside)
    }
}

/// One variant; what was seen leads to the line of its proof.
fn row(campaign: &Campaign, result: &CaseResult, variant: &VariantResult) -> Html {
    let protocol = variant.protocole.map(|protocol| format!(" ({})", protocol.label())).unwrap_or_default();
    let proof = variant.preuves.first().map(|proof| {
        html!(
            " <a href=\"/campagnes/{}/cas/{}#p-{}\">preuve<span class=\"cache\"> de {}{}</span></a>",
            campaign.id,
            result.id,
            proof.get(..12).unwrap_or(proof).to_owned(),
            variant.nom,
            protocol
        )
    });
    html!(
        "<tr><th scope=\"row\">{}{}</th><td>{}</td><td>{}{}</td><td>{}{}</td></tr>\n",
        variant.nom,
        protocol,
        variant.attendu,
        variant.observe,
        proof,
        verdicts::mark(&variant.verdict),
        variant.verdict.reason().map(|reason| html!("<br>{}", reason))
    )
}

pub(super) async fn stream(signed: Signed, Path(id): Path<String>, Asked(asked): Asked) -> Result<Response, Failure> {
    let who = signed.who();
    let campaign = signed.or_fails(signed.desk.campaign_of(&who, &id).await)?;
    let after = asked.get("depuis").parse().unwrap_or(0);
    signed.or_fails(stream::of(&signed.desk, who.scope(), campaign.id, after))
}

pub(super) async fn stop(Path(id): Path<String>, Posted { signed, .. }: Posted) -> Result<Response, Failure> {
    let who = signed.who();
    let campaign = signed.or_fails(signed.desk.campaign_of(&who, &id).await)?;
    signed.or_fails(signed.desk.cancel(&who, &campaign).await)?;
    Ok(to(&campaign.id, "arret"))
}

pub(super) async fn rerun(Path(id): Path<String>, Posted { signed, input }: Posted) -> Result<Response, Failure> {
    let who = signed.who();
    let campaign = signed.or_fails(signed.desk.campaign_of(&who, &id).await)?;
    let again = match input.get("quoi") {
        "tout" => Again::Whole,
        "echecs" => Again::Failures,
        case => Again::Case(case.to_owned()),
    };
    let new = signed.or_fails(signed.desk.rerun(&who, campaign, again).await)?;
    Ok(to(&new, "relance"))
}

fn to(id: &CampaignId, done: &str) -> Response {
    Redirect::to(&link(&format!("/campagnes/{}", id.as_str()), &[("fait", done)])).into_response()
}

pub(super) async fn report(signed: Signed, Path((id, file)): Path<(String, String)>) -> Result<Response, Failure> {
    if file == reports::SIGNATURE {
        let who = signed.who();
        let campaign = signed.or_fails(signed.desk.campaign_of(&who, &id).await)?;
        return signed.or_fails(reports::signature(&signed.desk, &who, &campaign).await);
    }
    if file == AUTHORITY {
        return signed.or_fails(software::authority(&signed.desk, &signed.who(), &id).await);
    }
    let Some(form) = reports::FORMS.iter().find(|form| form.file == file) else {
        return Err(signed.fails(Refusal::NotFound));
    };
    let who = signed.who();
    let campaign = signed.or_fails(signed.desk.campaign_of(&who, &id).await)?;
    signed.or_fails(reports::answer(&signed.desk, &who, &campaign, form).await)
}
