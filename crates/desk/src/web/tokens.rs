//! API tokens: of an operator, of a signatory, of a regulator; shown once.

use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};

use super::form::{Field, Kind, field, summary};
use super::guard::{Asked, Failure, Posted, Signed};
use super::layout::{self, Page};
use crate::account::role::Role;
use crate::acts::LONGEST_NAME;
use crate::db::{AccountId, OrganisationId, Scope, TokenId};
use crate::error::{Mistake, Refusal};
use crate::html::Html;
use crate::{html, words};

/// Whose tokens somebody sees and makes.
struct Own {
    /// For which operator a token speaks; none: a regulator's.
    organisation: Option<OrganisationId>,
    /// Those of the whole operator, or of this account alone.
    scope: Scope,
    by: Option<AccountId>,
}

/// Those who write jobs manage the tokens of their operator; signatories and regulators their own.
fn own(signed: &Signed) -> Result<Own, Failure> {
    let who = signed.who();
    signed.or_fails(who.must(Role::may_have_tokens))?;
    let scope = signed.or_fails(who.scope())?;
    let by = (!who.role.may_write()).then_some(signed.session.account.id);
    Ok(Own { organisation: who.organisation, scope, by })
}

/// What a token of this role does.
fn purpose(role: Role) -> &'static str {
    if role.may_sign() {
        "Un jeton de signataire ne sert qu’à signer : voir les campagnes, lire rapport.json, déposer la signature."
    } else if role.sees_all() {
        "Un jeton fait d’un programme ce que vous êtes ici : voir tous les opérateurs, auditer, décider des dossiers."
    } else {
        "Un jeton fait d’un programme ce que vous êtes ici, pour votre opérateur seulement."
    }
}

pub(super) async fn list(signed: Signed, Asked(asked): Asked) -> Result<Response, Failure> {
    show(&signed, layout::notice(asked.get("fait")), &[]).await
}

async fn show(signed: &Signed, above: Html, mistakes: &[Mistake]) -> Result<Response, Failure> {
    let own = own(signed)?;
    let tokens = signed.or_fails(signed.desk.db().tokens(own.scope, own.by).await)?;
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
        "<h1>Jetons d’API</h1>\n{}{}<p>{} \
         L’<a href=\"/api/openapi.json\">API est décrite en OpenAPI</a> ; en-tête : <code>Authorization: Bearer …</code></p>\n\
         <div class=\"defile\" tabindex=\"0\" role=\"region\" aria-label=\"Jetons\"><table>\n<caption>{}</caption>\n<thead><tr><th scope=\"col\">Usage</th><th scope=\"col\">Créé par</th><th scope=\"col\">Le</th>\
         <th scope=\"col\">Dernier emploi</th><th scope=\"col\">Action</th></tr></thead>\n<tbody>\n{}</tbody></table></div>\n\
         <h2>Créer un jeton</h2>\n<form method=\"post\" action=\"/jetons\" class=\"etroit\">{}\n{}<p><button>Créer le jeton</button></p></form>\n",
        above,
        summary(mistakes),
        purpose(signed.session.account.role),
        if own.by.is_none() { "Jetons de votre opérateur" } else { "Vos jetons" },
        rows,
        layout::key(&signed.session),
        field(&one, mistakes)
    );
    let session = Some(&signed.session);
    Ok(layout::page(&signed.desk, Page { title: "Jetons d’API", session, here: "/jetons", body, ..Page::default() }))
}

pub(super) async fn add(Posted { signed, input }: Posted) -> Result<Response, Failure> {
    let organisation = own(&signed)?.organisation;
    let label = input.get("nom");
    if label.is_empty() || label.chars().count() > LONGEST_NAME {
        return show(&signed, Html::empty(), &[Mistake::of("nom", "De 1 à 120 caractères.")]).await;
    }
    let (account, now) = (&signed.session.account, signed.desk.now());
    let word = signed.or_fails(signed.desk.db().add_token(organisation, account.id, label, now).await)?;
    signed.or_fails(signed.desk.db().note(now, organisation, &account.login, format!("jeton créé : {label}")).await)?;
    let above = html!(
        "<div class=\"avis bon\" role=\"status\"><p>✓ Copiez ce jeton maintenant : il ne sera plus montré.</p><p><code id=\"jeton\">{}</code></p></div>\n",
        word
    );
    show(&signed, above, &[]).await
}

pub(super) async fn revoke(Path(id): Path<i64>, Posted { signed, .. }: Posted) -> Result<Response, Failure> {
    let own = own(&signed)?;
    let now = signed.desk.now();
    if !signed.or_fails(signed.desk.db().revoke_token(own.scope, own.by, TokenId(id), now).await)? {
        return Err(signed.fails(Refusal::NotFound));
    }
    let who = &signed.session.account.login;
    signed.or_fails(signed.desk.db().note(now, own.organisation, who, format!("jeton révoqué : {id}")).await)?;
    Ok(Redirect::to("/jetons?fait=jeton-revoque").into_response())
}
