//! The first account, an administrator's, made by whoever started the process: the code stands on its terminal and nowhere else.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, State};
use axum::response::{IntoResponse, Redirect, Response};

use super::account::check_new_password;
use super::form::{Field, Kind, field, summary};
use super::guard::{Failure, Sent, Visitor};
use super::layout::{self, Page};
use crate::Desk;
use crate::account::secret::same;
use crate::error::{Mistake, Refusal};
use crate::html;

fn form(desk: &Desk, login: &str, mistakes: &[Mistake]) -> Response {
    let fields = [
        Field {
            name: "code",
            label: "Code",
            value: "",
            help: "Écrit par le programme à son démarrage.",
            kind: Kind::Code,
        },
        Field { name: "login", label: "Identifiant", value: login, help: "Une adresse ou un nom.", kind: Kind::Login },
        Field {
            name: "mot_de_passe",
            label: "Mot de passe",
            value: "",
            help: "Douze caractères au moins.",
            kind: Kind::NewPassword,
        },
    ];
    let body = html!(
        "<h1>Premier compte</h1>\n{}<p>Ce compte administre l’application : il crée les opérateurs et leurs comptes.</p>\n\
         <form method=\"post\" action=\"/premier-compte\">\n{}<p><button>Créer le compte</button></p></form>\n",
        summary(mistakes),
        fields.iter().map(|one| field(one, mistakes)).collect::<crate::html::Html>()
    );
    layout::page(desk, Page { title: "Premier compte", body, ..Page::default() })
}

pub(super) async fn show(State(desk): State<Desk>, visitor: Visitor) -> Result<Response, Failure> {
    if desk.first_code().is_none() {
        return Err(visitor.fails(Refusal::NotFound));
    }
    Ok(form(&desk, "", &[]))
}

pub(super) async fn make(
    visitor: Visitor,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Sent { desk, input }: Sent,
) -> Result<Response, Failure> {
    let Some(code) = desk.first_code() else { return Err(visitor.fails(Refusal::NotFound)) };
    if !desk.0.attempts.may_try("\0premier compte", peer.ip(), desk.settings().clock.now()) {
        return Err(visitor.fails(Refusal::TooMany));
    }
    let (login, password) = (input.get("login"), input.get("mot_de_passe"));
    let mut mistakes = check_new_password(login, password);
    if !same(input.get("code").as_bytes(), code.as_bytes()) {
        mistakes.push(Mistake::of("code", "Ce n’est pas le code."));
    }
    mistakes.extend(super::accounts::check_login(login));
    if !mistakes.is_empty() {
        return Ok(form(&desk, login, &mistakes));
    }
    let made = async {
        let hash = desk.hash(password).await?;
        desk.db().add_first_account(login, hash, desk.now()).await
    };
    match made.await {
        Ok(Some(_)) => {
            *desk.0.first_code.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = None;
            Ok(Redirect::to("/connexion").into_response())
        }
        Ok(None) => Err(visitor.fails(Refusal::NotFound)),
        Err(error) => Err(visitor.fails(error.into())),
    }
}
