//! One test: what it describes, « Vérifier la configuration », « Tout lancer », its campaigns.

use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Redirect, Response};
use control::catalogue::groups;
use control::engine::{Depth, Preflight};

use super::form::summary;
use super::guard::{Asked, Failure, Posted, Signed};
use super::layout::{self, Page};
use super::{campaigns, watches};
use crate::acts::Launch;
use crate::db::{Checkup, Filter, Job};
use crate::error::{Mistake, Refusal};
use crate::html;
use crate::html::Html;
use crate::question::{self, Question};
use crate::words::instant;

/// Campaigns shown.
const LAST: u32 = 20;

pub(super) async fn show(signed: Signed, Path(id): Path<String>, Asked(asked): Asked) -> Result<Response, Failure> {
    let job = signed.or_fails(signed.desk.job_of(&signed.who(), &id).await)?;
    let left_out = asked.get("laisse");
    let left_out = if left_out.is_empty() {
        Html::empty()
    } else {
        html!("<p class=\"avis doute\">Repris de l’espace de confiance, et non du fichier : {}.</p>\n", left_out)
    };
    page(&signed, &job, html!("{}{}", layout::notice(asked.get("fait")), left_out), &[]).await
}

async fn page(signed: &Signed, job: &Job, above: Html, mistakes: &[Mistake]) -> Result<Response, Failure> {
    let who = signed.who();
    let scope = signed.or_fails(who.scope())?;
    let filter = Filter { job: Some(job.id.clone()), most: LAST, ..Filter::default() };
    let found = signed.or_fails(signed.desk.db().campaigns(scope, filter).await)?;
    let watch = signed.or_fails(signed.desk.db().watch_of(scope, &job.id).await)?;
    let watch = match question::is_software(&job.plan) {
        true => Html::empty(),
        false => watches::on_job(signed, job, watch.as_ref()),
    };
    let checkup = signed.or_fails(signed.desk.db().checkup(&job.id).await)?;
    let is_bad = checkup.as_ref().is_some_and(|made| !made.is_good);
    let run = if who.role.may_run() { run_forms(signed, job, is_bad) } else { Html::empty() };
    let write = if who.role.may_write() {
        html!(
            "<p><a href=\"{}\">Modifier une copie</a></p>\n{}",
            html::link("/tests/nouveau", &[("depuis", job.id.as_str())]),
            layout::button(
                &signed.session,
                &format!("/tests/{}/supprimer", job.id.as_str()),
                "Supprimer ce test",
                "discret"
            )
        )
    } else {
        Html::empty()
    };
    let body = html!(
        "<h1>{}</h1>\n{}{}{}<p>{} — décrit par {} le {}.</p>\n{}{}<h2>Campagnes de ce test</h2>\n{}<h2>Description</h2>\n<pre tabindex=\"0\">{}</pre>\n\
         <p><a href=\"/tests/{}/job.toml\">Télécharger le fichier de job</a></p>\n{}",
        job.name,
        summary(mistakes),
        above,
        checkup.as_ref().map(checked),
        question::title(&job.plan),
        job.author,
        instant(job.created),
        run,
        watch,
        campaigns::table(&found, "Les dernières campagnes de ce test", false),
        job.text,
        job.id,
        write
    );
    let session = Some(&signed.session);
    Ok(layout::page(&signed.desk, Page { title: &job.name, session, here: "/tests", body, ..Page::default() }))
}

fn run_forms(signed: &Signed, job: &Job, is_bad: bool) -> Html {
    let is_software = question::is_software(&job.plan);
    let choices: Vec<(&str, &str)> = match Question::of_code(&job.plan) {
        // One group: its cases.
        Some(Question::Software) => {
            Question::Software.cases().map(|case| (case.id.as_str(), case.title.as_str())).collect()
        }
        question => groups()
            .into_iter()
            .filter(|(code, _)| question.into_iter().flat_map(Question::cases).any(|case| case.group() == *code))
            .collect(),
    };
    let groups: Html = choices
        .iter()
        .map(|(code, label)| {
            html!(
                "<p class=\"champ case\"><input type=\"checkbox\" id=\"cas-{}\" name=\"cas\" value=\"{}\"><label for=\"cas-{}\">{} — {}</label></p>\n",
                code,
                code,
                code,
                code,
                label
            )
        })
        .collect();
    let depth = if is_software {
        html!(
            "<p>L’opérateur scénarisé s’ouvre au lancement : la page de la campagne dit alors où faire pointer le logiciel et quoi lui faire faire, pas à pas.</p>\n"
        )
    } else {
        html!(
            "<fieldset><legend>Profondeur</legend>\n<p class=\"champ case\"><input type=\"radio\" id=\"complet\" name=\"profondeur\" value=\"complet\" checked>\
             <label for=\"complet\">Complète : tous les cas</label></p>\n<p class=\"champ case\"><input type=\"radio\" id=\"eclair\" name=\"profondeur\" value=\"eclair\">\
             <label for=\"eclair\">Éclair : ce qui peut être joué en production, sans jeton valide ni BAL réelle</label></p></fieldset>\n"
        )
    };
    let (part, attest) = match is_software {
        true => ("Certains cas seulement", "J’atteste être autorisé à contrôler ce logiciel"),
        false => ("Certains groupes de cas seulement", "J’atteste être autorisé à contrôler ces serveurs"),
    };
    let reason = if is_bad {
        html!(
            "<p class=\"avis doute\">? La vérification de la configuration a trouvé quelque chose à revoir.</p>\n\
             <p class=\"champ\"><label for=\"motif\">Pourquoi lancer quand même</label><input type=\"text\" id=\"motif\" name=\"motif\" maxlength=\"480\" aria-describedby=\"motif-aide\">\
             <span class=\"aide\" id=\"motif-aide\">Une phrase, montrée avec la campagne. Ou corrigez, puis vérifiez de nouveau.</span></p>\n"
        )
    } else {
        Html::empty()
    };
    html!(
        "<h2>Lancer</h2>\n{}<form method=\"post\" action=\"/tests/{}/lancer\">{}\n\
         {}<details><summary>{}</summary>\n<fieldset><legend>Tous si rien n’est coché</legend>\n{}</fieldset></details>\n\
         <p class=\"champ case\"><input type=\"checkbox\" id=\"autorise\" name=\"autorise\" value=\"oui\" required>\
         <label for=\"autorise\">{}</label></p>\n{}<p><button>Tout lancer</button></p></form>\n",
        layout::button(
            &signed.session,
            &format!("/tests/{}/verifier", job.id.as_str()),
            "Vérifier la configuration",
            ""
        ),
        job.id,
        layout::key(&signed.session),
        depth,
        part,
        groups,
        attest,
        reason
    )
}

pub(super) async fn file(signed: Signed, Path(id): Path<String>) -> Result<Response, Failure> {
    let job = signed.or_fails(signed.desk.job_of(&signed.who(), &id).await)?;
    let headers = [
        (header::CONTENT_TYPE, "application/toml; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"job.toml\""),
    ];
    Ok((headers, job.text).into_response())
}

pub(super) async fn check(Path(id): Path<String>, Posted { signed, .. }: Posted) -> Result<Response, Failure> {
    let who = signed.who();
    let job = signed.or_fails(signed.desk.job_of(&who, &id).await)?;
    signed.or_fails(signed.desk.check(&who, &job).await)?;
    page(&signed, &job, Html::empty(), &[]).await
}

/// What a pre-flight found, line by line.
pub(super) fn findings(found: &[Preflight]) -> Html {
    let items: Html = found
        .iter()
        .map(|check| {
            let (class, sign) = if check.bon { ("bon", "✓") } else { ("mal", "✗") };
            html!("<li><span class=\"{}\">{} {}</span> — {}</li>\n", class, sign, check.quoi, check.detail)
        })
        .collect();
    if found.is_empty() { Html::empty() } else { html!("<ul>{}</ul>", items) }
}

/// The last pre-flight. The words « non conforme » never stand here.
fn checked(made: &Checkup) -> Html {
    let (class, title) = match made.is_good {
        true => ("bon", "La configuration est bonne : la campagne peut être lancée."),
        false => ("doute", "La configuration est à revoir. Cela ne dit rien de la conformité de l’opérateur."),
    };
    html!(
        "<div class=\"avis {}\" role=\"status\" id=\"verification\"><p><strong>{}</strong> <span class=\"pale\">(vérifiée le {})</span></p>{}</div>\n",
        class,
        title,
        instant(made.at),
        findings(&made.findings)
    )
}

pub(super) async fn launch(Path(id): Path<String>, Posted { signed, input }: Posted) -> Result<Response, Failure> {
    let who = signed.who();
    let job = signed.or_fails(signed.desk.job_of(&who, &id).await)?;
    let launch = Launch {
        only: input.all("cas"),
        depth: if input.get("profondeur") == "eclair" { Depth::Eclair } else { Depth::Complet },
        is_authorised: input.is_on("autorise"),
        overridden: input.get("motif").to_owned(),
    };
    match signed.desk.launch(&who, job.clone(), launch).await {
        Ok(campaign) => Ok(Redirect::to(&format!("/campagnes/{}", campaign.as_str())).into_response()),
        Err(Refusal::Invalid(mut mistakes)) => {
            // The page shows the whole pre-flight.
            mistakes.retain(|mistake| mistake.field != "verification");
            page(&signed, &job, Html::empty(), &mistakes).await
        }
        Err(refusal) => Err(signed.fails(refusal)),
    }
}

/// The page again, with what is wrong in a form of it.
pub(super) async fn refused(signed: &Signed, job: &Job, mistakes: &[Mistake]) -> Result<Response, Failure> {
    page(signed, job, Html::empty(), mistakes).await
}

pub(super) async fn hide(Path(id): Path<String>, Posted { signed, .. }: Posted) -> Result<Response, Failure> {
    let who = signed.who();
    let job = signed.or_fails(signed.desk.job_of(&who, &id).await)?;
    signed.or_fails(signed.desk.hide_job(&who, &job.id).await)?;
    Ok(Redirect::to("/tests?fait=job-supprime").into_response())
}
