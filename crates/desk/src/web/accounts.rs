//! The accounts of an operator, for its administrator; all, for the application's.

use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};

use super::account::check_new_password;
use super::form::{Field, Kind, field, select, summary};
use super::guard::{Asked, Failure, Input, Posted, Signed};
use super::layout::{self, Page};
use crate::account::role::Role;
use crate::acts::LONGEST_NAME;
use crate::db::{AccountId, NewAccount, OrganisationId, Scope};
use crate::error::{Mistake, Refusal};
use crate::html;
use crate::html::Html;
use crate::words;

/// What is wrong with a login that is chosen.
pub(super) fn check_login(login: &str) -> Option<Mistake> {
    let is_good = (3..=LONGEST_NAME).contains(&login.chars().count())
        && login.chars().all(|c| c.is_ascii_alphanumeric() || "@._+-".contains(c));
    (!is_good).then(|| Mistake::of("login", "De 3 à 120 lettres, chiffres, @ . _ + ou -."))
}

/// Whose accounts they manage.
fn scope(signed: &Signed) -> Result<Scope, Refusal> {
    let account = &signed.session.account;
    match (account.role, account.organisation) {
        (Role::Administrateur, _) => Ok(Scope::All),
        (Role::AdministrateurOperateur, Some(id)) => Ok(Scope::Of(id)),
        _ => Err(Refusal::Forbidden),
    }
}

/// The roles they may give.
fn roles(scope: Scope) -> impl Iterator<Item = Role> {
    Role::ALL.into_iter().filter(move |role| scope == Scope::All || role.is_of_operator())
}

pub(super) async fn list(signed: Signed, Asked(asked): Asked) -> Result<Response, Failure> {
    show(&signed, asked.get("fait"), &Input::default(), &[]).await
}

async fn show(signed: &Signed, done: &str, typed: &Input, mistakes: &[Mistake]) -> Result<Response, Failure> {
    let scope = signed.or_fails(scope(signed))?;
    let accounts = signed.or_fails(signed.desk.db().accounts(scope).await)?;
    let operators = signed.or_fails(signed.desk.db().organisations().await)?;
    let name = |id: Option<OrganisationId>| {
        operators.iter().find(|one| Some(one.id) == id).map_or("–", |one| one.name.as_str())
    };
    let rows: Html = accounts
        .iter()
        .map(|account| {
            let (label, class, state) = if account.is_open {
                ("Fermer", "discret", html!("<span class=\"bon\">✓ ouvert</span>"))
            } else {
                ("Rouvrir", "discret", html!("<span class=\"pale\">– fermé</span>"))
            };
            let act = if account.id == signed.session.account.id {
                html!("vous")
            } else {
                let action = format!("/comptes/{}/etat", account.id.0);
                let reset = match account.totp {
                    Some(_) => layout::named_button(
                        &signed.session,
                        &format!("/comptes/{}/facteur", account.id.0),
                        "Réinitialiser le second facteur",
                        &account.login,
                    ),
                    None => Html::empty(),
                };
                html!(
                    "<form method=\"post\" action=\"{}\" class=\"bouton\">{}<input type=\"hidden\" name=\"ouvert\" value=\"{}\">\
                     <button class=\"{}\">{} <span class=\"cache\">{}</span></button></form>{}",
                    action,
                    layout::key(&signed.session),
                    if account.is_open { "" } else { "oui" },
                    class,
                    label,
                    account.login,
                    reset
                )
            };
            html!(
                "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                account.login,
                account.role.label(),
                name(account.organisation),
                match (&account.totp, &account.factor_reset) {
                    (Some(_), _) => "oui",
                    (None, Some(_)) => "non, à refaire",
                    (None, None) => "non",
                },
                state,
                act
            )
        })
        .collect();
    let role_choices: Vec<(String, String)> =
        roles(scope).map(|role| (role.code().to_owned(), role.label().to_owned())).collect();
    let operator_choice = if scope == Scope::All {
        let choices: Vec<(String, String)> =
            std::iter::once((String::new(), "aucun (régulateur, administrateur)".to_owned()))
                .chain(operators.iter().map(|one| (one.id.0.to_string(), one.name.clone())))
                .collect();
        select("operateur", "Opérateur", typed.get("operateur"), &choices)
    } else {
        Html::empty()
    };
    let fields = [
        Field {
            name: "login",
            label: "Identifiant",
            value: typed.get("login"),
            help: "Une adresse ou un nom.",
            kind: Kind::Needed,
        },
        Field {
            name: "mot_de_passe",
            label: "Mot de passe provisoire",
            value: "",
            help: "Douze caractères au moins. À remettre à la personne, qui le changera.",
            kind: Kind::NewPassword,
        },
    ];
    let acts = signed.or_fails(signed.desk.db().acts(scope, 30).await)?;
    let journal: Html = acts
        .iter()
        .map(|(at, who, what)| html!("<tr><td>{}</td><td>{}</td><td>{}</td></tr>\n", words::instant(*at), who, what))
        .collect();
    let body = html!(
        "<h1>Comptes</h1>\n{}{}<div class=\"defile\" tabindex=\"0\" role=\"region\" aria-label=\"Comptes\"><table>\n<caption>Comptes</caption>\n<thead><tr><th scope=\"col\">Identifiant</th>\
         <th scope=\"col\">Rôle</th><th scope=\"col\">Opérateur</th><th scope=\"col\">Second facteur</th><th scope=\"col\">État</th>\
         <th scope=\"col\">Action</th></tr></thead>\n<tbody>\n{}</tbody></table></div>\n<h2>Créer un compte</h2>\n\
         <form method=\"post\" action=\"/comptes\" class=\"etroit\">{}\n{}{}{}<p><button>Créer le compte</button></p></form>\n\
         <h2>Journal</h2>\n<div class=\"defile\" tabindex=\"0\" role=\"region\" aria-label=\"Journal\"><table>\n<caption>Les derniers actes</caption>\n<thead><tr><th scope=\"col\">Quand</th><th scope=\"col\">Qui</th>\
         <th scope=\"col\">Quoi</th></tr></thead>\n<tbody>\n{}</tbody></table></div>\n",
        layout::notice(done),
        summary(mistakes),
        rows,
        layout::key(&signed.session),
        fields.iter().map(|one| field(one, mistakes)).collect::<Html>(),
        select("role", "Rôle", typed.get("role"), &role_choices),
        operator_choice,
        journal
    );
    let session = Some(&signed.session);
    Ok(layout::page(&signed.desk, Page { title: "Comptes", session, here: "/comptes", body, ..Page::default() }))
}

pub(super) async fn add(Posted { signed, input }: Posted) -> Result<Response, Failure> {
    let scope = signed.or_fails(scope(&signed))?;
    let login = input.get("login");
    let password = input.all("mot_de_passe").first().cloned().unwrap_or_default();
    let mut mistakes = check_new_password(login, &password);
    mistakes.extend(check_login(login));
    let role = Role::from_code(input.get("role")).filter(|role| roles(scope).any(|allowed| allowed == *role));
    if role.is_none() {
        mistakes.push(Mistake::of("role", "Choisissez un rôle."));
    }
    let role = role.unwrap_or(Role::Lecteur);
    let organisation = match scope {
        Scope::Of(id) => Some(id),
        Scope::All => input.get("operateur").parse().ok().map(OrganisationId),
    };
    let known = signed.or_fails(signed.desk.db().organisations().await)?;
    if role.is_of_operator() != organisation.is_some_and(|id| known.iter().any(|one| one.id == id)) {
        let text = "Un compte d’opérateur a un opérateur ; un régulateur ou un administrateur n’en a pas.";
        mistakes.push(Mistake::of("operateur", text));
    }
    if mistakes.is_empty() {
        let hash = signed.or_fails(signed.desk.hash(&password).await)?;
        let account = NewAccount { organisation, login: login.to_owned(), role, password: hash };
        let now = signed.desk.now();
        if signed.or_fails(signed.desk.db().add_account(account, now).await)?.is_some() {
            let what = format!("compte créé : {login} ({})", role.label());
            let who = &signed.session.account.login;
            signed.or_fails(signed.desk.db().note(now, organisation, who, what).await)?;
            return Ok(Redirect::to("/comptes?fait=compte-cree").into_response());
        }
        mistakes.push(Mistake::of("login", "Cet identifiant est pris."));
    }
    show(&signed, "", &input, &mistakes).await
}

pub(super) async fn set_open(Path(id): Path<i64>, Posted { signed, input }: Posted) -> Result<Response, Failure> {
    let scope = signed.or_fails(scope(&signed))?;
    let own = &signed.session.account;
    if id == own.id.0 {
        return Err(signed.fails(Refusal::Conflict("On ne ferme pas son propre compte.")));
    }
    let (is_open, now) = (input.is_on("ouvert"), signed.desk.now());
    if !signed.or_fails(signed.desk.db().set_account_open(scope, AccountId(id), is_open, now).await)? {
        return Err(signed.fails(Refusal::NotFound));
    }
    let what = format!("compte {} {}", id, if is_open { "rouvert" } else { "fermé" });
    signed.or_fails(signed.desk.db().note(now, own.organisation, &own.login, what).await)?;
    Ok(Redirect::to("/comptes?fait=compte-change").into_response())
}

/// Takes a lost second factor away: never one's own, whose owner changes it on « Mon compte » or asks somebody else.
pub(super) async fn reset_factor(Path(id): Path<i64>, Posted { signed, .. }: Posted) -> Result<Response, Failure> {
    let scope = signed.or_fails(scope(&signed))?;
    let id = AccountId(id);
    if id == signed.session.account.id {
        return Err(signed.fails(Refusal::Conflict(
            "On ne réinitialise pas son propre second facteur : changez de téléphone sur « Mon compte », ou demandez à un autre administrateur.",
        )));
    }
    let (desk, who) = (&signed.desk, &signed.session.account.login);
    let account = signed.or_fails(desk.db().account_of(scope, id).await)?;
    let account = account.ok_or_else(|| signed.fails(Refusal::NotFound))?;
    let now = desk.now();
    if !signed.or_fails(desk.db().reset_totp(scope, id, who, now).await)? {
        return Err(signed.fails(Refusal::Conflict("Ce compte n’a pas de second facteur ici.")));
    }
    let what = format!("second facteur réinitialisé : {}", account.login);
    signed.or_fails(desk.db().note(now, account.organisation, who, what).await)?;
    Ok(Redirect::to("/comptes?fait=facteur-reinitialise").into_response())
}
