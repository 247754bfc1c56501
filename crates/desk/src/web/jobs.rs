//! « Lancer un test »: a card for each plan, and the tests already described.

use axum::response::Response;

use super::guard::{Asked, Failure, Signed};
use super::layout::{self, Page};
use crate::html;
use crate::html::{Html, link};
use crate::question::{self, Question};
use crate::words::{instant, plural};

pub(super) async fn list(signed: Signed, Asked(asked): Asked) -> Result<Response, Failure> {
    let who = signed.who();
    let scope = signed.or_fails(who.scope())?;
    let jobs = signed.or_fails(signed.desk.db().jobs(scope).await)?;
    let rows: Html = jobs
        .iter()
        .map(|job| {
            html!(
                "<tr><th scope=\"row\"><a href=\"/tests/{}\">{}</a></th><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                job.id,
                job.name,
                question::title(&job.plan),
                job.author,
                instant(job.created)
            )
        })
        .collect();
    let known = if jobs.is_empty() {
        html!("<p>Aucun pour l’instant.</p>\n")
    } else {
        html!(
            "<div class=\"defile\" tabindex=\"0\" role=\"region\" aria-label=\"Tests\"><table>\n<caption>{} test{}</caption>\n<thead><tr><th scope=\"col\">Nom</th>\
             <th scope=\"col\">Plan</th><th scope=\"col\">Par</th><th scope=\"col\">Le</th></tr></thead>\n<tbody>\n{}</tbody></table></div>\n",
            jobs.len(),
            plural(jobs.len()),
            rows
        )
    };
    let cards = if who.role.may_write() {
        let is_open = signed.desk.settings().client.is_some();
        let cards: Html = Question::all()
            .filter(|question| is_open || *question != Question::Software)
            .map(|plan| {
                let count = plan.cases().count();
                html!(
                    "<li class=\"carte\"><h3>{}</h3><p class=\"pale\">{} cas</p><p><a class=\"action\" href=\"{}\">Décrire ce test \
                     <span class=\"cache\">: {}</span></a></p></li>\n",
                    plan.title(),
                    count,
                    link("/tests/nouveau", &[("plan", plan.code())]),
                    plan.title()
                )
            })
            .collect();
        html!(
            "<h2>Que voulez-vous savoir ?</h2>\n<ul class=\"cartes\">\n{}</ul>\n<p>Vous avez déjà un fichier de job ? <a href=\"/tests/importer\">Importez-le</a>.</p>\n",
            cards
        )
    } else {
        Html::empty()
    };
    let body = html!(
        "<h1>Lancer un test</h1>\n{}{}<h2>Tests décrits</h2>\n{}",
        layout::notice(asked.get("fait")),
        cards,
        known
    );
    let session = Some(&signed.session);
    Ok(layout::page(&signed.desk, Page { title: "Lancer un test", session, here: "/tests", body, ..Page::default() }))
}
