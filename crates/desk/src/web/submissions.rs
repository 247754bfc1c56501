//! What operators submitted to the regulator: to each its own file, to the regulator all of them; decisions and their deadlines.

use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Redirect, Response};

use super::form::{select, summary};
use super::guard::{Asked, Failure, Input, Posted, Signed};
use super::layout::{self, Page};
use super::verdicts;
use crate::account::role::Role;
use crate::db::{Campaign, Decision, DecisionKind, Submission};
use crate::error::{Mistake, Refusal};
use crate::html;
use crate::html::Html;
use crate::submissions::Dossier;
use crate::words::{instant, plural};

/// Submissions of one page.
const MOST: u32 = 500;

/// The verdict of a submitted campaign.
fn verdict(one: &Submission) -> Html {
    match one.verdict.as_deref().and_then(verdicts::campaign_verdict) {
        Some(verdict) => {
            let (class, sign) = verdicts::campaign_look(verdict);
            html!("<span class=\"{}\">{} {}</span>", class, sign, verdict.label())
        }
        None => html!("<span class=\"pale\">–</span>"),
    }
}

/// A deadline that has passed, in words.
fn overdue(dossier: &Dossier) -> Option<Html> {
    let days = dossier.overdue?;
    Some(html!(
        " <strong class=\"mal\">✗ échéance dépassée depuis {} jour{}</strong>",
        days,
        plural(days.unsigned_abs() as usize)
    ))
}

/// What was last decided: kind, and its deadline.
fn last(dossier: &Dossier) -> Html {
    match dossier.decisions.last() {
        None => html!("<span class=\"doute\">? à instruire</span>"),
        Some(Decision { kind, due, .. }) => {
            let (class, sign) = match kind {
                DecisionKind::Acceptee => ("bon", "✓"),
                DecisionKind::Refusee => ("mal", "✗"),
                DecisionKind::Note | DecisionKind::Complement => ("doute", "?"),
            };
            let due = due.as_ref().map(|due| html!(", échéance <strong>{}</strong>", due));
            html!("<span class=\"{}\">{} {}</span>{}{}", class, sign, kind.label(), due, overdue(dossier))
        }
    }
}

pub(super) async fn list(signed: Signed, Asked(asked): Asked) -> Result<Response, Failure> {
    let who = signed.who();
    let all = signed.or_fails(signed.desk.dossiers(&who, MOST).await)?;
    let late = all.iter().filter(|one| one.overdue.is_some()).count();
    let mut operators: Vec<(String, String)> =
        all.iter().map(|one| (one.submission.organisation.0.to_string(), one.submission.operator.clone())).collect();
    operators.sort_by(|a, b| a.1.cmp(&b.1));
    operators.dedup();
    operators.insert(0, (String::new(), "tous".to_owned()));
    let chosen = asked.get("operateur");
    let rows: Html = all
        .iter()
        .filter(|one| chosen.is_empty() || one.submission.organisation.0.to_string() == chosen)
        .map(|dossier| {
            let one = &dossier.submission;
            html!(
                "<tr><th scope=\"row\"><a href=\"/dossiers/{}\">{} — {}</a></th><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                one.campaign,
                one.operator,
                one.name,
                instant(one.at),
                verdict(one),
                last(dossier)
            )
        })
        .collect();
    let warning = match late {
        0 => Html::empty(),
        _ => html!("<p class=\"avis mal\">✗ {} dossier{} dont l’échéance est dépassée.</p>\n", late, plural(late)),
    };
    let filter = if who.role.sees_all() && operators.len() > 2 {
        html!(
            "<form method=\"get\" action=\"/dossiers\" class=\"filtres\">{}<p><button>Voir</button></p></form>\n",
            select("operateur", "Opérateur", chosen, &operators)
        )
    } else {
        Html::empty()
    };
    let table = if rows.is_empty() {
        html!("<p>Rien n’a été soumis.</p>\n")
    } else {
        html!(
            "<div class=\"defile\" tabindex=\"0\" role=\"region\" aria-label=\"Rapports soumis\"><table>\n<caption>Rapports soumis au régulateur : échéances dépassées d’abord, puis le plus récent</caption>\n<thead><tr>\
             <th scope=\"col\">Opérateur et campagne</th><th scope=\"col\">Soumis le</th><th scope=\"col\">Verdict</th><th scope=\"col\">Suite</th></tr></thead>\n<tbody>\n{}</tbody></table></div>\n",
            rows
        )
    };
    let body = html!(
        "<h1>Dossiers</h1>\n<p class=\"chapeau\">Ce qui a été soumis au régulateur est figé : le rapport est gardé tel qu’il était, avec son empreinte.</p>\n{}{}{}",
        warning,
        filter,
        table
    );
    let session = Some(&signed.session);
    Ok(layout::page(&signed.desk, Page { title: "Dossiers", session, here: "/dossiers", body, ..Page::default() }))
}

pub(super) async fn one(signed: Signed, Path(id): Path<String>, Asked(asked): Asked) -> Result<Response, Failure> {
    let dossier = signed.or_fails(signed.desk.dossier(&signed.who(), &id).await)?;
    show(&signed, &dossier, layout::notice(asked.get("fait")), &Input::default(), &[]).await
}

async fn show(
    signed: &Signed,
    dossier: &Dossier,
    above: Html,
    typed: &Input,
    mistakes: &[Mistake],
) -> Result<Response, Failure> {
    let who = signed.who();
    let Dossier { submission: one, decisions, .. } = dossier;
    let items: Html = decisions
        .iter()
        .map(|decision| {
            let due = decision.due.as_ref().map(|due| html!(" — échéance : <strong>{}</strong>", due));
            html!(
                "<li><strong>{}</strong> par {}, le {}{}<br>{}</li>\n",
                decision.kind.label(),
                decision.author,
                instant(decision.at),
                due,
                decision.text
            )
        })
        .collect();
    let items =
        if decisions.is_empty() { html!("<p>Aucune pour le moment.</p>\n") } else { html!("<ul>\n{}</ul>\n", items) };
    let form = if who.role.sees_all() {
        let kinds: Vec<(String, String)> =
            DecisionKind::ALL.into_iter().map(|kind| (kind.code().to_owned(), kind.label().to_owned())).collect();
        html!(
            "<h2>Ajouter une décision</h2>\n<form method=\"post\" action=\"/dossiers/{}/decisions\" class=\"etroit\">{}\n{}\
             <p class=\"champ\"><label for=\"texte\">Motif, que l’opérateur lira</label><textarea id=\"texte\" name=\"texte\" rows=\"5\" required>{}</textarea></p>\n\
             <p class=\"champ\"><label for=\"echeance\">Échéance <span class=\"pale\">(facultatif)</span></label><input type=\"date\" id=\"echeance\" name=\"echeance\" value=\"{}\"></p>\n\
             <p><button>Enregistrer la décision</button></p></form>\n",
            one.campaign,
            layout::key(&signed.session),
            select("decision", "Décision", typed.get("decision"), &kinds),
            typed.get("texte"),
            typed.get("echeance")
        )
    } else {
        Html::empty()
    };
    let body = html!(
        "<h1>{} — {}</h1>\n{}{}<p>{}{}</p>\n<dl>\n<dt>Soumis par</dt><dd>{}, le {}</dd>\n<dt>Empreinte SHA-256 du rapport</dt><dd><code class=\"copier\">{}</code></dd>\n\
         <dt>Message</dt><dd>{}</dd>\n</dl>\n<p><a href=\"/dossiers/{}/rapport.json\">Le rapport tel que soumis (JSON)</a> · <a href=\"/campagnes/{}\">la campagne</a></p>\n\
         <h2>Décisions</h2>\n{}{}",
        one.operator,
        one.name,
        above,
        summary(mistakes),
        verdict(one),
        overdue(dossier),
        one.author,
        instant(one.at),
        one.sha256,
        if one.note.is_empty() { "–" } else { &one.note },
        one.campaign,
        one.campaign,
        items,
        form
    );
    let session = Some(&signed.session);
    Ok(layout::page(&signed.desk, Page { title: "Dossier", session, here: "/dossiers", body, ..Page::default() }))
}

/// What the page of a campaign says of its submission.
pub(super) async fn on_campaign(signed: &Signed, campaign: &Campaign) -> Result<Html, Failure> {
    let scope = signed.or_fails(signed.who().scope())?;
    if let Some(one) = signed.or_fails(signed.desk.db().submission(scope, &campaign.id).await)? {
        return Ok(html!(
            "<p>Soumise au régulateur le {} par {} : <a href=\"/dossiers/{}\">voir le dossier</a>.</p>\n",
            instant(one.at),
            one.author,
            one.campaign
        ));
    }
    let is_whole = campaign.only.is_empty() && campaign.depth == control::engine::Depth::Complet;
    if !signed.who().role.may_submit() || campaign.state != crate::db::State::Terminee || !is_whole {
        return Ok(Html::empty());
    }
    Ok(html!(
        "<details><summary>Soumettre au régulateur</summary>\n<form method=\"post\" action=\"/campagnes/{}/soumettre\" class=\"etroit\">{}\n\
         <p class=\"champ\"><label for=\"note\">Message <span class=\"pale\">(facultatif)</span></label><textarea id=\"note\" name=\"note\" rows=\"3\"></textarea></p>\n\
         <p>Le rapport est figé tel qu’il est, avec son empreinte ; il ne peut plus être retiré.</p>\n<p><button>Soumettre</button></p></form></details>\n",
        campaign.id,
        layout::key(&signed.session)
    ))
}

pub(super) async fn submit(Path(id): Path<String>, Posted { signed, input }: Posted) -> Result<Response, Failure> {
    let id = signed.or_fails(signed.desk.submit(&signed.who(), &id, input.get("note")).await)?;
    Ok(Redirect::to(&format!("/dossiers/{}?fait=soumise", id.as_str())).into_response())
}

pub(super) async fn decide(Path(id): Path<String>, Posted { signed, input }: Posted) -> Result<Response, Failure> {
    let who = signed.who();
    let dossier = signed.or_fails(signed.desk.dossier(&who, &id).await)?;
    let submission = &dossier.submission;
    let (kind, text, due) = (input.get("decision"), input.get("texte"), input.get("echeance"));
    match signed.desk.decide(&who, submission, kind, text, due).await {
        Ok(()) => {
            Ok(Redirect::to(&format!("/dossiers/{}?fait=decision", submission.campaign.as_str())).into_response())
        }
        Err(Refusal::Invalid(mistakes)) => show(&signed, &dossier, Html::empty(), &input, &mistakes).await,
        Err(refusal) => Err(signed.fails(refusal)),
    }
}

pub(super) async fn report(signed: Signed, Path(id): Path<String>) -> Result<Response, Failure> {
    let who = signed.who();
    let submission = signed.or_fails(signed.desk.submission_of(&who, &id).await)?;
    let scope = signed.or_fails(who.scope())?;
    let text = signed.or_fails(signed.desk.db().submitted_report(scope, &submission.campaign).await)?;
    let text = text.ok_or_else(|| signed.fails(Refusal::NotFound))?;
    let name = format!("attachment; filename=\"soumission-{}.json\"", submission.campaign.as_str());
    let headers = [(header::CONTENT_TYPE, "application/json".to_owned()), (header::CONTENT_DISPOSITION, name)];
    Ok((headers, text).into_response())
}

/// Who sees the pages.
pub(super) fn is_for(role: Role) -> bool {
    role.sees_results()
}
