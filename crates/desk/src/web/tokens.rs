//! API tokens of an operator: shown once.

use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};

use super::form::{Field, Kind, field, summary};
use super::guard::{Asked, Failure, Posted, Signed};
use super::layout::{self, Page};
use crate::account::role::Role;
use crate::acts::LONGEST_NAME;
use crate::db::{OrganisationId, Scope, TokenId};
use crate::error::{Mistake, Refusal};
use crate::html::Html;
use crate::{html, words};

fn own(signed: &Signed) -> Result<OrganisationId, Failure> {
    let who = signed.who();
    signed.or_fails(who.must(Role::may_write))?;
    who.organisation.ok_or_else(|| signed.fails(Refusal::Forbidden))
}

pub(super) async fn list(signed: Signed, Asked(asked): Asked) -> Result<Response, Failure> {
    show(&signed, layout::notice(asked.get("fait")), &[]).await
}

async fn show(signed: &Signed, above: Html, mistakes: &[Mistake]) -> Result<Response, Failure> {
    let organisation = own(signed)?;
    let tokens = signed.or_fails(signed.desk.db().tokens(Scope::Of(organisation)).await)?;
    let rows: Html = tokens
        .iter()
        .map(|token| {
            let act = match token.revoked {
                Some(at) => html!("<span class=\"pale\">– révoqué le {}</span>", words::instant(at)),
                None => {
                    let label = format!("Révoquer « {} »", token.label);
                    layout::button(&signed.session, &format!("/jetons/{}/revoquer", token.id.0), &label, "discret")
                }
            };
            html!(
                "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                token.label,
                token.author,
                words::instant(token.created),
                token.used.map_or_else(|| "jamais".to_owned(), words::instant),
                act
            )
        })
        .collect();
    let one = Field {
        name: "nom",
        label: "Usage",
        value: "",
        help: "Par exemple : intégration continue.",
        kind: Kind::Needed,
    };
    let body = html!(
        "<h1>Jetons d’API</h1>\n{}{}<p>Un jeton fait d’un programme ce que vous êtes ici, pour votre opérateur seulement. \
         L’<a href=\"/api/openapi.json\">API est décrite en OpenAPI</a> ; en-tête : <code>Authorization: Bearer …</code></p>\n\
         <div class=\"defile\" tabindex=\"0\" role=\"region\" aria-label=\"Jetons\"><table>\n<caption>Jetons de votre opérateur</caption>\n<thead><tr><th scope=\"col\">Usage</th><th scope=\"col\">Créé par</th><th scope=\"col\">Le</th>\
         <th scope=\"col\">Dernier emploi</th><th scope=\"col\">Action</th></tr></thead>\n<tbody>\n{}</tbody></table></div>\n\
         <h2>Créer un jeton</h2>\n<form method=\"post\" action=\"/jetons\" class=\"etroit\">{}\n{}<p><button>Créer le jeton</button></p></form>\n",
        above,
        summary(mistakes),
        rows,
        layout::key(&signed.session),
        field(&one, mistakes)
    );
    let session = Some(&signed.session);
    Ok(layout::page(&signed.desk, Page { title: "Jetons d’API", session, here: "/jetons", body, ..Page::default() }))
}

pub(super) async fn add(Posted { signed, input }: Posted) -> Result<Response, Failure> {
    let organisation = own(&signed)?;
    let label = input.get("nom");
    if label.is_empty() || label.chars().count() > LONGEST_NAME {
        return show(&signed, Html::empty(), &[Mistake::of("nom", "De 1 à 120 caractères.")]).await;
    }
    let (account, now) = (&signed.session.account, signed.desk.now());
    let word = signed.or_fails(signed.desk.db().add_token(organisation, account.id, label, now).await)?;
    signed.or_fails(
        signed.desk.db().note(now, Some(organisation), &account.login, format!("jeton créé : {label}")).await,
    )?;
    let above = html!(
        "<div class=\"avis bon\" role=\"status\"><p>✓ Copiez ce jeton maintenant : il ne sera plus montré.</p><p><code id=\"jeton\">{}</code></p></div>\n",
        word
    );
    show(&signed, above, &[]).await
}

pub(super) async fn revoke(Path(id): Path<i64>, Posted { signed, .. }: Posted) -> Result<Response, Failure> {
    let organisation = own(&signed)?;
    let now = signed.desk.now();
    if !signed.or_fails(signed.desk.db().revoke_token(Scope::Of(organisation), TokenId(id), now).await)? {
        return Err(signed.fails(Refusal::NotFound));
    }
    let who = &signed.session.account.login;
    signed.or_fails(signed.desk.db().note(now, Some(organisation), who, format!("jeton révoqué : {id}")).await)?;
    Ok(Redirect::to("/jetons?fait=jeton-revoque").into_response())
}
