//! Watching in production: what is run again and again, what changed; as a page and as an Atom feed (RFC 4287).

use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Redirect, Response};
use control::engine::Depth;
use control::verdict::Verdict;
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::guard::{Asked, Failure, Posted, Signed};
use super::layout::{self, Page};
use super::verdicts;
use crate::Desk;
use crate::account::role::Role;
use crate::acts::Who;
use crate::db::{Drift, Filter, Job, Watch};
use crate::error::{Broken, Refusal};
use crate::html;
use crate::html::{Html, link};
use crate::surveillance::{self, MOST_HOURS, clock};
use crate::words::{instant, plural};

/// Changes shown, and told by the feed.
const LAST: u32 = 50;

/// A case that changed, as it is kept.
#[derive(Debug, Deserialize)]
struct Changed {
    id: String,
    avant: Option<Verdict>,
    apres: Option<Verdict>,
}

impl Changed {
    fn text(&self) -> String {
        let label = |verdict: &Option<Verdict>| verdict.as_ref().map_or_else(|| "absent".to_owned(), Verdict::label);
        format!("{} : {} → {}", self.id, label(&self.avant), label(&self.apres))
    }
}

fn changed(drift: &Drift) -> Vec<Changed> {
    serde_json::from_str(&drift.json).unwrap_or_default()
}

fn title(drift: &Drift) -> String {
    let count = changed(drift).len();
    format!("{count} cas changé{}, {} dégradé{}", plural(count), drift.worse, plural(drift.worse as usize))
}

/// How often, in words.
fn beat(watch: &Watch) -> String {
    let every = match watch.every_hours {
        24 => "chaque jour".to_owned(),
        1 => "chaque heure".to_owned(),
        hours if hours % 24 == 0 => format!("tous les {} jours", hours / 24),
        hours => format!("toutes les {hours} heures"),
    };
    let at = watch.at_minute.map(|minute| format!(" à {}", clock(minute))).unwrap_or_default();
    let depth = if watch.depth == Depth::Eclair { ", éclair" } else { "" };
    format!("{every}{at}{depth}")
}

pub(super) async fn list(signed: Signed, Asked(asked): Asked) -> Result<Response, Failure> {
    let scope = signed.or_fails(signed.who().scope())?;
    let db = signed.desk.db();
    let watches = signed.or_fails(db.watches(scope).await)?;
    let mut rows = Html::empty();
    for watch in &watches {
        let last = Filter { job: Some(watch.job.clone()), before: None, most: 1 };
        let last = signed.or_fails(db.campaigns(scope, last).await)?;
        let last = last.first().map(|last| {
            html!("<a href=\"/campagnes/{}\">{}</a> {}", last.id, instant(last.queued), verdicts::state(last))
        });
        rows = html!(
            "{}<tr><th scope=\"row\"><a href=\"/tests/{}\">{}</a></th><td>{}</td><td>{}</td><td>{}</td></tr>\n",
            rows,
            watch.job,
            watch.name,
            beat(watch),
            instant(watch.next),
            last
        );
    }
    let table = if watches.is_empty() {
        html!("<p>Aucun test n’est surveillé : ouvrez un <a href=\"/tests\">test</a>, « Surveiller ».</p>\n")
    } else {
        html!(
            "<div class=\"defile\" tabindex=\"0\" role=\"region\" aria-label=\"Tests surveillés\"><table>\n<caption>Tests surveillés</caption>\n<thead><tr><th scope=\"col\">Test</th>\
             <th scope=\"col\">Rythme</th><th scope=\"col\">Prochain passage</th><th scope=\"col\">Dernier passage</th></tr></thead>\n<tbody>\n{}</tbody></table></div>\n",
            rows
        )
    };
    let drifts = signed.or_fails(db.drifts(scope, LAST).await)?;
    let changes: Html = drifts.iter().map(change).collect();
    let changes =
        if drifts.is_empty() { html!("<p>Rien n’a changé d’un passage à l’autre.</p>\n") } else { changes };
    let body = html!(
        "<h1>Surveillance</h1>\n{}<p class=\"chapeau\">Ce qui est repassé régulièrement, et ce qui change d’un passage à l’autre. Le même en \
         <a href=\"/surveillance/flux.atom\">flux Atom</a> ; par programme, <code>/api/v1/surveillance/flux.atom</code> avec un jeton.</p>\n{}<h2>Changements</h2>\n{}",
        layout::notice(asked.get("fait")),
        table,
        changes
    );
    let session = Some(&signed.session);
    let head = html!(
        "<link rel=\"alternate\" type=\"application/atom+xml\" title=\"Surveillance\" href=\"/surveillance/flux.atom\">\n"
    );
    Ok(layout::page(&signed.desk, Page { title: "Surveillance", session, here: "/surveillance", head, body }))
}

fn change(drift: &Drift) -> Html {
    let items: Html = changed(drift).iter().map(|one| html!("<li>{}</li>\n", one.text())).collect();
    let path = format!("/campagnes/{}/comparaison", drift.campaign.as_str());
    let (class, sign) = if drift.worse > 0 { ("mal", "✗") } else { ("doute", "?") };
    html!(
        "<section class=\"variante\"><h3><a href=\"{}\">{} — {}</a></h3>\n<p><span class=\"{}\">{} {}</span></p><ul class=\"lignes\">{}</ul></section>\n",
        link(&path, &[("autre", drift.previous.as_str())]),
        drift.name,
        instant(drift.at),
        class,
        sign,
        title(drift),
        items
    )
}

/// What the page of a test says of its watch, and the form that changes it.
pub(super) fn on_job(signed: &Signed, job: &Job, watch: Option<&Watch>) -> Html {
    if !signed.who().role.may_run() {
        return watch.map(|watch| html!("<p>Surveillé : {}.</p>\n", beat(watch))).unwrap_or_else(Html::empty);
    }
    let now = watch.map(|watch| {
        let act = |what: &str, label: &str| {
            layout::button(&signed.session, &format!("/tests/{}/{what}", job.id.as_str()), label, "discret")
        };
        html!(
            "<p>Surveillé : {} ; prochain passage le {}.</p>\n{}{}",
            beat(watch),
            instant(watch.next),
            act("ne-plus-surveiller", "Ne plus surveiller"),
            act("reference", "Prendre la dernière campagne pour référence")
        )
    });
    let hours = watch.map_or(24, |watch| watch.every_hours).to_string();
    let at = watch.and_then(|watch| watch.at_minute).map(clock).unwrap_or_default();
    html!(
        "{}<details><summary>Surveiller : repasser ce test régulièrement</summary>\n<form method=\"post\" action=\"/tests/{}/surveiller\" class=\"etroit\">{}\n\
         <p class=\"champ\"><label for=\"heures\">Toutes les (heures)</label><input type=\"number\" id=\"heures\" name=\"heures\" min=\"1\" max=\"{}\" value=\"{}\" required></p>\n\
         <p class=\"champ\"><label for=\"a\">À partir de (heure de Paris) <span class=\"pale\">(facultatif)</span></label><input type=\"time\" id=\"a\" name=\"a\" value=\"{}\"></p>\n\
         <p class=\"champ case\"><input type=\"checkbox\" id=\"surveille-eclair\" name=\"eclair\" value=\"oui\" checked><label for=\"surveille-eclair\">Éclair : sans jeton valide ni BAL réelle</label></p>\n\
         <p class=\"champ case\"><input type=\"checkbox\" id=\"surveille-autorise\" name=\"autorise\" value=\"oui\" required>\
         <label for=\"surveille-autorise\">J’atteste être autorisé à contrôler ces serveurs, à chaque passage</label></p>\n<p><button>Surveiller</button></p></form></details>\n",
        now,
        job.id,
        layout::key(&signed.session),
        MOST_HOURS,
        hours,
        at
    )
}

pub(super) async fn begin(Path(id): Path<String>, Posted { signed, input }: Posted) -> Result<Response, Failure> {
    let who = signed.who();
    let job = signed.or_fails(signed.desk.job_of(&who, &id).await)?;
    let asked = surveillance::Asked {
        every_hours: input.get("heures").parse().unwrap_or(0),
        at: input.get("a").to_owned(),
        depth: if input.is_on("eclair") { Depth::Eclair } else { Depth::Complet },
        is_authorised: input.is_on("autorise"),
    };
    match signed.desk.watch_job(&who, &job, asked).await {
        Ok(_) => Ok(Redirect::to("/surveillance?fait=surveille").into_response()),
        Err(Refusal::Invalid(mistakes)) => super::job::refused(&signed, &job, &mistakes).await,
        Err(refusal) => Err(signed.fails(refusal)),
    }
}

pub(super) async fn end(Path(id): Path<String>, Posted { signed, .. }: Posted) -> Result<Response, Failure> {
    let who = signed.who();
    let job = signed.or_fails(signed.desk.job_of(&who, &id).await)?;
    signed.or_fails(signed.desk.unwatch_job(&who, &job).await)?;
    Ok(Redirect::to("/surveillance?fait=plus-surveille").into_response())
}

pub(super) async fn reference(Path(id): Path<String>, Posted { signed, .. }: Posted) -> Result<Response, Failure> {
    let who = signed.who();
    let job = signed.or_fails(signed.desk.job_of(&who, &id).await)?;
    signed.or_fails(signed.desk.take_reference(&who, &job).await)?;
    Ok(Redirect::to(&format!("/tests/{}?fait=reference", job.id.as_str())).into_response())
}

pub(super) async fn atom(signed: Signed) -> Result<Response, Failure> {
    signed.or_fails(feed(&signed.desk, &signed.who()).await)
}

/// The feed of what somebody may see.
pub(crate) async fn feed(desk: &Desk, who: &Who) -> Result<Response, Refusal> {
    let drifts = desk.db().drifts(who.scope()?, LAST).await?;
    let date = |at: i64| {
        OffsetDateTime::from_unix_timestamp(at).ok().and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default()
    };
    let url = &desk.settings().url;
    let entries: Html = drifts
        .iter()
        .map(|drift| {
            let lines: Vec<String> = changed(drift).iter().map(Changed::text).collect();
            let place = format!(
                "{url}{}",
                link(
                    &format!("/campagnes/{}/comparaison", drift.campaign.as_str()),
                    &[("autre", drift.previous.as_str())]
                )
            );
            html!(
                "<entry><id>urn:vaguemestre:changement:{}</id><title>{} : {}</title><updated>{}</updated><author><name>{}</name></author>\
                 <link href=\"{}\"/><content type=\"text\">{}</content></entry>\n",
                drift.campaign,
                drift.name,
                title(drift),
                date(drift.at),
                desk.settings().title,
                place,
                lines.join("\n")
            )
        })
        .collect();
    let whose = who.organisation.map_or_else(|| "tous".to_owned(), |id| id.0.to_string());
    let updated = drifts.first().map_or(0, |drift| drift.at);
    let text = html!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<feed xmlns=\"http://www.w3.org/2005/Atom\"><id>urn:vaguemestre:surveillance:{}</id>\
         <title>{} — surveillance</title><updated>{}</updated><link href=\"{}/surveillance\"/>\n{}</feed>\n",
        whose,
        desk.settings().title,
        date(updated),
        url,
        entries
    );
    Ok(([(header::CONTENT_TYPE, "application/atom+xml; charset=utf-8")], text.into_string()).into_response())
}

/// What is kept of what changed, for programs.
pub(crate) fn cases(drift: &Drift) -> Result<serde_json::Value, Broken> {
    Ok(serde_json::from_str(&drift.json)?)
}

/// Who sees the page.
pub(super) fn is_for(role: Role) -> bool {
    role.sees_results()
}
