//! Signing in: password, then second factor when the account has one. The answers do not tell whether an account exists.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, State};
use axum::http::header;
use axum::response::{IntoResponse, Redirect, Response};

use super::form::{Field, Kind, field, summary};
use super::guard::{self, Asked, Completing, Entering, Failure, Posted, Sent, Visitor};
use super::layout::{self, Page};
use super::provider;
use crate::Desk;
use crate::account::secret::digest;
use crate::account::totp;
use crate::error::{Broken, Mistake, Refusal};
use crate::html;

/// A path of ours to go to after signing in; the home page for anything else.
pub(super) fn back(asked: &str) -> &str {
    let is_ours = asked.starts_with('/') && !asked.starts_with("//") && !asked.contains(['\\', '\r', '\n']);
    if is_ours { asked } else { "/" }
}

fn form(desk: &Desk, login: &str, then: &str, mistakes: &[Mistake]) -> Response {
    let fields = [
        Field { name: "login", label: "Identifiant", value: login, help: "", kind: Kind::Login },
        Field { name: "mot_de_passe", label: "Mot de passe", value: "", help: "", kind: Kind::Password },
    ];
    let body = html!(
        "<h1>Se connecter</h1>\n{}<form method=\"post\" action=\"/connexion\" class=\"etroit\">\n<input type=\"hidden\" name=\"suite\" value=\"{}\">\n{}\
         <p><button>Se connecter</button></p></form>\n{}<p>Le <a href=\"/catalogue\">catalogue des cas</a> se lit sans compte.</p>\n",
        summary(mistakes),
        then,
        fields.iter().map(|one| field(one, mistakes)).collect::<crate::html::Html>(),
        provider::button(desk, then)
    );
    layout::page(desk, Page { title: "Se connecter", body, ..Page::default() })
}

pub(super) async fn show(State(desk): State<Desk>, visitor: Visitor, Asked(asked): Asked) -> Response {
    if visitor.session.is_some() {
        return Redirect::to(back(asked.get("suite"))).into_response();
    }
    form(&desk, "", back(asked.get("suite")), &[])
}

pub(super) async fn enter(
    visitor: Visitor,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Sent { desk, input }: Sent,
) -> Result<Response, Failure> {
    let (login, then) = (input.get("login"), back(input.get("suite")));
    if !desk.0.attempts.may_try(login, peer.ip(), desk.settings().clock.now()) {
        return Err(visitor.fails(Refusal::TooMany));
    }
    let entered = async {
        let account = desk.db().account_named(login).await?.filter(|account| account.is_open);
        // An account that the provider alone opens has none, and takes as long to refuse.
        let kept = account.as_ref().map(|account| account.password.clone()).filter(|kept| !kept.is_empty());
        // Not trimmed: spaces belong to a password.
        if !desk.is_password(input.all("mot_de_passe").first().map_or("", String::as_str), kept).await? {
            return Ok(None);
        }
        let Some(account) = account else { return Ok(None) };
        let is_whole = account.totp.is_none();
        let word = desk.db().begin_session(account.id, is_whole, desk.now()).await?;
        Ok::<_, Broken>(Some((word, is_whole)))
    };
    match entered.await {
        Ok(Some((word, is_whole))) => {
            if is_whole {
                desk.0.attempts.forgive(login, peer.ip());
            }
            let next = if is_whole { then.to_owned() } else { html::link("/connexion/code", &[("suite", then)]) };
            Ok(([(header::SET_COOKIE, guard::cookie(&word))], Redirect::to(&next)).into_response())
        }
        Ok(None) => {
            let mistake = Mistake::of("login", "Identifiant ou mot de passe inconnu.");
            Ok(form(&desk, login, then, &[mistake]))
        }
        Err(error) => Err(visitor.fails(error.into())),
    }
}

fn code_form(desk: &Desk, session: &crate::db::Session, then: &str, mistakes: &[Mistake]) -> Response {
    let one = Field {
        name: "code",
        label: "Code",
        value: "",
        help: "Les six chiffres de votre téléphone, ou un code de secours.",
        kind: Kind::Code,
    };
    let body = html!(
        "<h1>Second facteur</h1>\n{}<form method=\"post\" action=\"/connexion/code\" class=\"etroit\">{}\
         <input type=\"hidden\" name=\"suite\" value=\"{}\">\n{}<p><button>Continuer</button></p></form>\n",
        summary(mistakes),
        layout::key(session),
        then,
        field(&one, mistakes)
    );
    layout::page(desk, Page { title: "Second facteur", body, ..Page::default() })
}

pub(super) async fn code(Entering { desk, session }: Entering, Asked(asked): Asked) -> Response {
    if session.is_whole {
        return Redirect::to("/").into_response();
    }
    code_form(&desk, &session, back(asked.get("suite")), &[])
}

pub(super) async fn check_code(
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    visitor: Visitor,
    Completing { desk, session, input }: Completing,
) -> Result<Response, Failure> {
    let account = &session.account;
    if !desk.0.attempts.may_try(&account.login, peer.ip(), desk.settings().clock.now()) {
        return Err(visitor.fails(Refusal::TooMany));
    }
    let checked = async {
        let typed = input.get("code");
        if let Some(sealed) = &account.totp {
            let secret = desk.vault().unseal(account.id, sealed)?;
            if let Some(step) = totp::check(&secret, typed, desk.now(), account.totp_step)? {
                return desk.db().take_totp_step(account.id, step).await;
            }
        }
        let hash = hexadecimal(&digest(&typed.to_lowercase()));
        desk.db().take_recovery(account.id, hash).await
    };
    match checked.await {
        Ok(true) => {}
        Ok(false) => {
            let mistake = Mistake::of("code", "Ce code n’est pas bon, ou a déjà servi.");
            return Ok(code_form(&desk, &session, back(input.get("suite")), &[mistake]));
        }
        Err(error) => return Err(visitor.fails(error.into())),
    }
    desk.0.attempts.forgive(&account.login, peer.ip());
    // Another cookie: the one of the first step opens nothing any more.
    let changed = async {
        desk.db().end_session(session.hash).await?;
        match session.federation.clone() {
            Some(federation) => desk.db().begin_federated_session(account.id, true, federation, desk.now()).await,
            None => desk.db().begin_session(account.id, true, desk.now()).await,
        }
    };
    match changed.await {
        Ok(word) => {
            let then = back(input.get("suite"));
            Ok(([(header::SET_COOKIE, guard::cookie(&word))], Redirect::to(then)).into_response())
        }
        Err(error) => Err(visitor.fails(error.into())),
    }
}

pub(super) fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

pub(super) async fn leave(Posted { signed, .. }: Posted) -> Result<Response, Failure> {
    signed.or_fails(signed.desk.db().end_session(signed.session.hash).await)?;
    let onward = provider::farewell(&signed.desk, signed.session.federation.is_some()).await;
    Ok(([(header::SET_COOKIE, guard::no_cookie())], onward).into_response())
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_paths_of_ours_are_gone_back_to() {
        for foreign in ["//evil.test", "https://evil.test", "/\\evil.test", "", "javascript:x"] {
            assert_eq!(super::back(foreign), "/", "{foreign}");
        }
        assert_eq!(super::back("/campagnes?x=1"), "/campagnes?x=1");
    }
}
