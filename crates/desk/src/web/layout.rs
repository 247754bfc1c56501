//! What all pages share: landmarks, navigation, the notice of what was done.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::form;
use super::guard::FORM_KEY;
use crate::Desk;
use crate::account::role::Role;
use crate::db::Session;
use crate::error::Refusal;
use crate::html;
use crate::html::Html;

/// A page.
#[derive(Default)]
pub(crate) struct Page<'a> {
    /// What the tab says, before the name of the application.
    pub title: &'a str,
    /// Who looks.
    pub session: Option<&'a Session>,
    /// The path of the entry of the navigation it belongs to.
    pub here: &'a str,
    /// More for the head.
    pub head: Html,
    /// What it holds; begins with its only `h1`.
    pub body: Html,
}

/// Whether somebody of that role, or nobody in particular, sees an entry.
type SeenBy = fn(Option<Role>) -> bool;

/// Entries of the navigation, and who sees them.
const ENTRIES: [(&str, &str, SeenBy); 12] = [
    ("/", "Accueil", |_| true),
    ("/tests", "Lancer un test", |role| role.is_some_and(Role::sees_results)),
    ("/campagnes", "Campagnes", |role| role.is_some_and(Role::sees_results)),
    ("/surveillance", "Surveillance", |role| role.is_some_and(super::watches::is_for)),
    ("/dossiers", "Dossiers", |role| role.is_some_and(super::submissions::is_for)),
    ("/pieges", "Boîtes pièges", |role| role.is_some_and(Role::sees_results)),
    ("/bouchon", "Bouchon PSC", |role| role.is_some_and(Role::sees_results)),
    ("/catalogue", "Catalogue", |_| true),
    ("/domaines", "Domaines", |role| role.is_some_and(super::domains::is_for)),
    ("/jetons", "Jetons d’API", |role| role.is_some_and(Role::may_have_tokens)),
    ("/comptes", "Comptes", |role| role.is_some_and(Role::may_manage)),
    ("/operateurs", "Opérateurs", |role| role == Some(Role::Administrateur)),
];

/// The whole document.
pub(crate) fn page(desk: &Desk, page: Page<'_>) -> Response {
    let role = page.session.map(|session| session.account.role);
    let entries: Html = ENTRIES
        .iter()
        .filter(|(_, _, is_seen)| is_seen(role))
        // Where nothing is to be proven, there is nothing to show.
        .filter(|(path, ..)| *path != "/domaines" || desk.settings().proof.is_some())
        .map(|(path, label, _)| {
            let mark = if *path == page.here { html!(" aria-current=\"page\"") } else { Html::empty() };
            html!("<li><a href=\"{}\"{}>{}</a></li>\n", path, mark, label)
        })
        .collect();
    let user = match page.session {
        Some(session) => html!(
            "<form method=\"post\" action=\"/deconnexion\" class=\"qui\"><input type=\"hidden\" name=\"{}\" value=\"{}\">\
             <a href=\"/compte\">{} <span class=\"pale\">({})</span></a> <button class=\"discret\">Se déconnecter</button></form>",
            FORM_KEY,
            session.form_key,
            session.account.login,
            session.account.role.label()
        ),
        None => html!("<p class=\"qui\"><a href=\"/connexion\">Se connecter</a></p>"),
    };
    let whole = html!(
        "<!DOCTYPE html>\n<html lang=\"fr\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{} — {}</title>\n<link rel=\"stylesheet\" href=\"/style.css\">\n\
         <link rel=\"icon\" href=\"/icone.svg\" type=\"image/svg+xml\">\n<script src=\"/desk.js\" defer></script>\n{}</head>\n<body>\n\
         <a class=\"saut\" href=\"#contenu\">Aller au contenu</a>\n<header>\n<p class=\"marque\"><a href=\"/\">Contrôle MSSanté</a> \
         <span class=\"pale\">{}</span></p>\n{}\n<nav aria-label=\"Navigation principale\"><ul>\n{}</ul></nav>\n</header>\n\
         <main id=\"contenu\" tabindex=\"-1\">\n{}</main>\n<footer><p><a href=\"/accessibilite\">Accessibilité : partiellement conforme</a> · \
         <a href=\"/api/openapi.json\">API REST</a> · Vaguemestre {}</p></footer>\n</body>\n</html>\n",
        page.title,
        desk.settings().title,
        page.head,
        desk.settings().title,
        user,
        entries,
        page.body,
        env!("CARGO_PKG_VERSION")
    );
    ([(axum::http::header::CONTENT_TYPE, "text/html; charset=utf-8")], whole.into_string()).into_response()
}

/// The key of the session's forms, for every form that is a POST.
pub(crate) fn key(session: &Session) -> Html {
    html!("<input type=\"hidden\" name=\"{}\" value=\"{}\">", FORM_KEY, session.form_key)
}

/// A form of one button.
pub(crate) fn button(session: &Session, action: &str, label: &str, class: &str) -> Html {
    html!(
        "<form method=\"post\" action=\"{}\" class=\"bouton\">{}<button class=\"{}\">{}</button></form>\n",
        action,
        key(session),
        class,
        label
    )
}

/// A form of one button, beside others of the same words: the name it is about is there for those who do not see the row.
pub(crate) fn named_button(session: &Session, action: &str, label: &str, name: &str) -> Html {
    html!(
        "<form method=\"post\" action=\"{}\" class=\"bouton\">{}<button class=\"discret\">{} <span class=\"cache\">de {}</span></button></form>\n",
        action,
        key(session),
        label,
        name
    )
}

/// What was just done: only texts of this program, named in the address.
pub(crate) fn notice(done: &str) -> Html {
    let text = match done {
        "job-cree" => "Le test est enregistré.",
        "job-supprime" => "Le test est supprimé ; ses campagnes restent.",
        "compte-cree" => "Le compte est créé.",
        "compte-change" => "Le compte est modifié.",
        "facteur-reinitialise" => {
            "Le second facteur est réinitialisé : ses sessions et jetons sont fermés, son titulaire en fera un autre à sa prochaine connexion."
        }
        "mot-de-passe" => "Le mot de passe est changé ; les autres sessions de ce compte sont fermées.",
        "jeton-revoque" => "Le jeton est révoqué.",
        "surveille" => "Le test est surveillé.",
        "plus-surveille" => "Le test n’est plus surveillé ; ses campagnes restent.",
        "reference" => "La dernière campagne est la référence : ce qui suit lui est comparé.",
        "soumise" => "La campagne est soumise : son rapport est figé.",
        "decision" => "La décision est enregistrée.",
        "domaine" => "Publiez l’enregistrement ci-dessous dans le DNS du domaine, puis vérifiez.",
        "domaine-retire" => "Le domaine est retiré.",
        "operateur" => "L’opérateur est enregistré.",
        "signe" => "La signature est bonne, et déposée.",
        "relie" => "Le compte est relié au fournisseur d’identité.",
        "delie" => "Le compte n’est plus relié ; les sessions ouvertes par le fournisseur sont fermées.",
        "relance" => "La campagne est relancée.",
        "arret" => "L’arrêt est demandé.",
        _ => return Html::empty(),
    };
    html!("<p class=\"avis bon\" role=\"status\">✓ {}</p>\n", text)
}

/// A page that says no.
pub(crate) fn refusal(desk: &Desk, session: Option<&Session>, refusal: &Refusal) -> Response {
    let title = match refusal.status() {
        StatusCode::NOT_FOUND => "Page introuvable",
        StatusCode::FORBIDDEN => "Refusé",
        StatusCode::INTERNAL_SERVER_ERROR => "Erreur",
        _ => "Impossible",
    };
    let body = html!(
        "<h1>{}</h1>\n<p class=\"avis mal\">✗ {}</p>\n{}<p><a href=\"/\">Retour à l’accueil</a></p>\n",
        title,
        refusal.to_string(),
        form::summary(refusal.mistakes())
    );
    let mut response = page(desk, Page { title, session, here: "", head: Html::empty(), body });
    *response.status_mut() = refusal.status();
    response
}
