//! The domains an operator proves to be its own: what to publish, what was found.

use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};

use super::form::{Field, Kind, field, summary};
use super::guard::{Asked, Failure, Posted, Signed};
use super::layout::{self, Page};
use crate::account::role::Role;
use crate::db::{Domain, Scope};
use crate::domains::{Finding, LIFE};
use crate::error::{Mistake, Refusal};
use crate::html::{Html, link};
use crate::{html, words};

pub(super) async fn list(signed: Signed, Asked(asked): Asked) -> Result<Response, Failure> {
    let found = Finding::from_code(asked.get("constat")).map(|finding| {
        let (class, sign) = if finding == Finding::Proven { ("bon", "✓") } else { ("doute", "?") };
        html!(
            "<p class=\"avis {}\" role=\"status\">{} {} : {}.</p>\n",
            class,
            sign,
            asked.get("domaine"),
            finding.text()
        )
    });
    show(&signed, html!("{}{}", layout::notice(asked.get("fait")), found), &[]).await
}

async fn show(signed: &Signed, above: Html, mistakes: &[Mistake]) -> Result<Response, Failure> {
    let who = signed.who();
    let scope = signed.or_fails(who.scope())?;
    let Scope::Of(organisation) = scope else { return Err(signed.fails(Refusal::Forbidden)) };
    let operator = signed.or_fails(signed.desk.db().organisation(organisation).await)?;
    let declared = operator.map(|operator| operator.reach.domains.join(", ")).unwrap_or_default();
    let asked = signed.or_fails(signed.desk.db().domains(scope).await)?;
    let rows: Html = asked.iter().map(|one| row(signed, one)).collect();
    let table = if asked.is_empty() {
        html!("<p>Aucun domaine à prouver.</p>\n")
    } else {
        html!(
            "<div class=\"defile\" tabindex=\"0\" role=\"region\" aria-label=\"Domaines\"><table>\n<caption>Domaines de votre opérateur</caption>\n<thead><tr><th scope=\"col\">Domaine</th>\
             <th scope=\"col\">Enregistrement TXT à publier</th><th scope=\"col\">État</th><th scope=\"col\">Dernière recherche</th><th scope=\"col\">Actions</th></tr></thead>\n\
             <tbody>\n{}</tbody></table></div>\n",
            rows
        )
    };
    let one = Field {
        name: "domaine",
        label: "Domaine",
        value: "",
        help: "exemple.mssante.fr : celui des adresses, ou celui des serveurs.",
        kind: Kind::Needed,
    };
    let add = if signed.desk.settings().proof.is_some() && who.role.may_write() {
        html!(
            "<h2>Prouver un domaine</h2>\n<form method=\"post\" action=\"/domaines\" class=\"etroit\">{}\n{}<p><button>Obtenir l’enregistrement à publier</button></p></form>\n",
            layout::key(&signed.session),
            field(&one, mistakes)
        )
    } else {
        Html::empty()
    };
    let body = html!(
        "<h1>Domaines</h1>\n{}{}<p class=\"chapeau\">Une campagne ne vise que vos domaines, et les adresses que le DNS donne à leurs serveurs. Un domaine est à vous quand son DNS \
         porte l’enregistrement donné ici : il vaut {} jours, et il est recherché chaque jour. Laissez-le publié.</p>\n\
         <p>Déclarés par l’administrateur, sans preuve à apporter : {}.</p>\n{}{}",
        above,
        summary(mistakes),
        LIFE / 86_400,
        if declared.is_empty() { "aucun".to_owned() } else { declared },
        table,
        add
    );
    let session = Some(&signed.session);
    Ok(layout::page(&signed.desk, Page { title: "Domaines", session, here: "/domaines", body, ..Page::default() }))
}

fn row(signed: &Signed, one: &Domain) -> Html {
    let now = signed.desk.now();
    let state = match one.until() {
        Some(until) if one.stands(now) => {
            html!("<span class=\"bon\">✓ prouvé jusqu’au {}</span>", words::instant(until))
        }
        Some(until) => html!("<span class=\"mal\">✗ expiré depuis le {}</span>", words::instant(until)),
        None => html!("<span class=\"doute\">? à prouver</span>"),
    };
    let finding = Finding::from_code(&one.finding).filter(|finding| *finding != Finding::Proven).map(Finding::text);
    let acts = if signed.who().role.may_write() {
        let act = |what: &str, label: &str, class: &str| {
            let path = format!("/domaines/{}/{what}", one.name);
            layout::button(&signed.session, &path, &format!("{label} « {} »", one.name), class)
        };
        html!("{}{}", act("verifier", "Vérifier", ""), act("retirer", "Retirer", "discret"))
    } else {
        Html::empty()
    };
    html!(
        "<tr><th scope=\"row\">{}</th><td><code class=\"copier\">{}</code> <code class=\"copier\">{}</code></td><td>{} {}</td><td>{}</td><td>{}</td></tr>\n",
        one.name,
        one.record(),
        one.token,
        state,
        finding,
        one.checked.map_or_else(|| "jamais".to_owned(), words::instant),
        acts
    )
}

pub(super) async fn ask(Posted { signed, input }: Posted) -> Result<Response, Failure> {
    match signed.desk.ask_domain(&signed.who(), input.get("domaine")).await {
        Ok(_) => Ok(Redirect::to("/domaines?fait=domaine").into_response()),
        Err(Refusal::Invalid(mistakes)) => show(&signed, Html::empty(), &mistakes).await,
        Err(refusal) => Err(signed.fails(refusal)),
    }
}

pub(super) async fn check(Path(name): Path<String>, Posted { signed, .. }: Posted) -> Result<Response, Failure> {
    let (domain, finding) = signed.or_fails(signed.desk.check_domain(&signed.who(), &name).await)?;
    let query = [("constat", finding.code()), ("domaine", domain.name.as_str())];
    Ok(Redirect::to(&link("/domaines", &query)).into_response())
}

pub(super) async fn leave(Path(name): Path<String>, Posted { signed, .. }: Posted) -> Result<Response, Failure> {
    signed.or_fails(signed.desk.drop_domain(&signed.who(), &name).await)?;
    Ok(Redirect::to("/domaines?fait=domaine-retire").into_response())
}

/// Who sees the page.
pub(super) fn is_for(role: Role) -> bool {
    role.is_of_operator()
}
