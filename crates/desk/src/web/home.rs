//! Home: what this is, three steps, the last campaigns.

use axum::extract::State;
use axum::response::Response;

use super::campaigns;
use super::guard::{Asked, Failure, Visitor};
use super::layout::{self, Page};
use crate::Desk;
use crate::acts::Who;
use crate::db::Filter;
use crate::html;
use crate::html::Html;

const LAST: u32 = 8;

pub(super) async fn show(State(desk): State<Desk>, visitor: Visitor, Asked(asked): Asked) -> Result<Response, Failure> {
    let last = match &visitor.session {
        Some(session) if session.account.role.sees_results() => {
            let who = Who::from(session);
            let found = async {
                let scope = who.scope()?;
                Ok(desk.db().campaigns(scope, Filter { most: LAST, ..Filter::default() }).await?)
            };
            match found.await {
                Ok(found) => html!(
                    "<h2>Dernières campagnes</h2>\n{}<p><a href=\"/campagnes\">Toutes les campagnes</a></p>\n",
                    campaigns::table(&found, "Les dernières campagnes", who.role.sees_all())
                ),
                Err(refusal) => return Err(visitor.fails(refusal)),
            }
        }
        _ => Html::empty(),
    };
    let first = if desk.first_code().is_some() {
        html!(
            "<p class=\"avis doute\">Cette application n’a encore aucun compte : <a href=\"/premier-compte\">créez le premier</a>.</p>\n"
        )
    } else {
        Html::empty()
    };
    let begin = match &visitor.session {
        Some(session) if session.account.role.may_write() => {
            html!("<p><a class=\"action\" href=\"/tests\">Lancer un test</a></p>\n")
        }
        Some(session) if !session.account.role.sees_results() => html!(
            "<p><a class=\"action\" href=\"/operateurs\">Gérer les opérateurs</a> <a class=\"action\" href=\"/comptes\">Gérer les comptes</a></p>\n"
        ),
        Some(_) => html!("<p><a class=\"action\" href=\"/campagnes\">Voir les campagnes</a></p>\n"),
        None => html!("<p><a class=\"action\" href=\"/connexion\">Se connecter</a></p>\n"),
    };
    let body = html!(
        "<h1>Test et contrôle des opérateurs MSSanté</h1>\n{}{}<p class=\"chapeau\">Cette application éprouve la messagerie d’un opérateur comme le ferait \
         un logiciel, un autre opérateur ou un attaquant, et dit, preuves à l’appui, ce qui est conforme et ce qui ne l’est pas.</p>\n\
         <ol class=\"etapes\">\n<li><strong>Décrivez</strong> ce qui est à contrôler : serveurs, domaines, une BAL d’essai.</li>\n\
         <li><strong>Vérifiez la configuration</strong> : une erreur de saisie n’est jamais une non-conformité.</li>\n\
         <li><strong>Lancez</strong>, suivez l’avancement, lisez le rapport, corrigez, relancez les échecs.</li>\n</ol>\n{}{}",
        layout::notice(asked.get("fait")),
        first,
        begin,
        last
    );
    Ok(layout::page(
        &desk,
        Page { title: "Accueil", session: visitor.session.as_ref(), here: "/", body, ..Page::default() },
    ))
}
