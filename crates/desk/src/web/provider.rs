//! Signing in at the OpenID provider, tying an account to it, and leaving it.
//!
//! Invariants: a browser leaves with a cookie (`SameSite=Lax`: the return comes from another site) without which its return is nobody's; pages in
//! between, and not redirections, so that the session's own cookie stays `SameSite=Strict` and forms go nowhere but here; what is wrong with a return
//! is told in the log, and to the person only as far as they can do something about it.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use psc::login::{Claims, LoginError};

use super::guard::{self, Asked, Failure, Posted, Sent, Visitor};
use super::layout::{self, Page};
use super::sign_in::back;
use crate::account::secret::same;
use crate::db::{AccountId, Federation, Known, NewAccount};
use crate::error::{Broken, Refusal};
use crate::html::Html;
use crate::oidc::{self, Granted, Oidc, Purpose};
use crate::{Desk, html};

/// Binds a return to the browser that left.
const COOKIE: &str = "__Host-controle-retour";
/// As long as a sign-in may last.
const COOKIE_LIFE: u64 = psc::login::LOGIN_LIFE.as_secs();

fn cookie(word: &str) -> HeaderValue {
    let text = format!("{COOKIE}={word}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={COOKIE_LIFE}");
    // The word is base64url: always a header value.
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

fn no_cookie() -> HeaderValue {
    HeaderValue::from_static("__Host-controle-retour=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0")
}

/// A page that leads on by itself: unlike a redirection it is a step of this site, and needs no leave of the policy on forms.
fn onward(desk: &Desk, title: &str, to: &str) -> Response {
    let head = html!("<meta http-equiv=\"refresh\" content=\"0; url={}\">\n", to);
    let body = html!("<h1>{}</h1>\n<p><a class=\"action\" href=\"{}\">Continuer</a></p>\n", title, to);
    layout::page(desk, Page { title, head, body, ..Page::default() })
}

/// The provider's button, on the page where people sign in.
pub(super) fn button(desk: &Desk, then: &str) -> Html {
    let Some(oidc) = desk.oidc() else { return Html::empty() };
    html!(
        "<h2>Avec {}</h2>\n<p><a class=\"action\" id=\"fournisseur\" href=\"{}\">Se connecter avec {}</a></p>\n",
        oidc.name(),
        html::link("/connexion/fournisseur", &[("suite", then)]),
        oidc.name()
    )
}

/// Why nobody came in, in words for them.
fn refused(desk: &Desk, status: StatusCode, text: &str) -> Response {
    let body = html!(
        "<h1>Connexion impossible</h1>\n<p class=\"avis mal\" role=\"alert\">✗ {}</p>\n<p><a href=\"/connexion\">Retour à la connexion</a></p>\n",
        text
    );
    let page = layout::page(desk, Page { title: "Connexion impossible", body, ..Page::default() });
    let mut response = ([(header::SET_COOKIE, no_cookie())], page).into_response();
    *response.status_mut() = status;
    response
}

/// What is said of a sign-in that the provider, or its return, spoilt.
fn failed(desk: &Desk, error: &LoginError) -> Response {
    tracing::warn!("sign-in at the provider: {error}");
    let (status, text) = match error {
        LoginError::Unreachable(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, "Le fournisseur d’identité ne répond pas. Réessayez dans un moment.")
        }
        LoginError::Denied => {
            (StatusCode::FORBIDDEN, "Vous avez refusé, ou le fournisseur d’identité l’a fait pour vous.")
        }
        LoginError::Expired => (StatusCode::FORBIDDEN, "Trop de temps a passé : recommencez."),
        _ => (
            StatusCode::FORBIDDEN,
            "La réponse du fournisseur d’identité n’est pas acceptée. La cause est au journal de l’application.",
        ),
    };
    refused(desk, status, text)
}

/// Sends a browser to the provider.
async fn depart(desk: &Desk, oidc: &Oidc, purpose: Purpose, peer: SocketAddr) -> Result<Response, Refusal> {
    let login = match oidc.begin().await {
        Ok(login) => login,
        Err(error) => return Ok(failed(desk, &error)),
    };
    let to = login.url().to_string();
    let word = oidc.pending.keep(login, purpose, peer.ip())?.ok_or(Refusal::TooMany)?;
    let title = format!("Vers {}", oidc.name());
    Ok(([(header::SET_COOKIE, cookie(&word))], onward(desk, &title, &to)).into_response())
}

/// `GET /connexion/fournisseur`.
pub(super) async fn enter(
    State(desk): State<Desk>,
    visitor: Visitor,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Asked(asked): Asked,
) -> Result<Response, Failure> {
    let then = back(asked.get("suite")).to_owned();
    if visitor.session.is_some() {
        return Ok(Redirect::to(&then).into_response());
    }
    let Some(oidc) = desk.oidc() else { return Err(visitor.fails(Refusal::NotFound)) };
    depart(&desk, oidc, Purpose::Enter(then), peer).await.map_err(|refusal| visitor.fails(refusal))
}

/// `POST /compte/fournisseur`: ties the account to an identity there.
pub(super) async fn tie(
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Posted { signed, .. }: Posted,
) -> Result<Response, Failure> {
    let session = &signed.session;
    let purpose = Purpose::Tie { account: session.account.id, session: session.hash };
    let Some(oidc) = signed.desk.oidc() else { return Err(signed.fails(Refusal::NotFound)) };
    signed.or_fails(depart(&signed.desk, oidc, purpose, peer).await)
}

/// `POST /compte/fournisseur/delier`.
pub(super) async fn untie(Posted { signed, .. }: Posted) -> Result<Response, Failure> {
    let (desk, account) = (&signed.desk, &signed.session.account);
    if !signed.or_fails(desk.db().untie(account.id).await)? {
        return Err(
            signed.fails(Refusal::Conflict("Ce compte n’a pas d’autre moyen de connexion, ou n’est pas relié."))
        );
    }
    let note =
        desk.db().note(desk.now(), account.organisation, &account.login, "fournisseur d’identité délié".to_owned());
    signed.or_fails(note.await)?;
    Ok(Redirect::to("/compte?fait=delie").into_response())
}

/// `GET /connexion/retour`: back from the provider.
pub(super) async fn come_back(
    State(desk): State<Desk>,
    headers: HeaderMap,
    visitor: Visitor,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let Some(oidc) = desk.oidc() else { return Err(visitor.fails(Refusal::NotFound)) };
    let begun = guard::cookie_named(&headers, COOKIE).and_then(|word| oidc.pending.take(word));
    let Some(begun) = begun else {
        let text = "Cette connexion n’a pas commencé dans ce navigateur, ou a déjà servi : recommencez.";
        return Ok(refused(&desk, StatusCode::FORBIDDEN, text));
    };
    let claims = match begun.login.check(&query.unwrap_or_default()) {
        Ok(returned) => begun.login.claims(returned).await,
        Err(error) => Err(error),
    };
    let claims = match claims {
        Ok(claims) => claims,
        Err(error) => return Ok(failed(&desk, &error)),
    };
    if oidc.asks_factor() && !oidc.has_factor(&claims) {
        tracing::warn!("sign-in at the provider: the ID token does not tell of the level that is required");
        let text = "Le fournisseur d’identité n’atteste pas le niveau d’authentification demandé (second facteur).";
        return Ok(refused(&desk, StatusCode::FORBIDDEN, text));
    }
    let outcome = match begun.purpose {
        Purpose::Enter(then) => come_in(&desk, oidc, &claims, &then).await,
        Purpose::Tie { account, session } => tied(&desk, oidc, &claims, account, session).await,
    };
    outcome.map_err(|error| visitor.fails(error.into()))
}

/// Whose account it is, made or brought up to date when the grants say so. None: nobody's here.
async fn account(desk: &Desk, oidc: &Oidc, claims: &Claims) -> Result<Option<Known>, Broken> {
    let now = desk.now();
    let known = desk.db().account_of_identity(oidc.issuer(), claims.subject()).await?;
    if known.as_ref().is_some_and(|known| !known.is_granted) {
        return Ok(known);
    }
    if !oidc.creates() {
        // Grants that were taken out of the configuration grant nothing any more.
        if let Some(known) = known {
            desk.db().end_access(known.account.id, now).await?;
        }
        return Ok(None);
    }
    let granted = match oidc.granted(claims) {
        Some(Granted { role, organisation: Some(name) }) => {
            let all = desk.db().organisations().await?;
            let found = all.iter().find(|one| one.name == name).map(|one| (role, Some(one.id)));
            if found.is_none() {
                tracing::warn!("[[oidc.grant]] names an operator that is not declared: {name}");
            }
            found
        }
        Some(Granted { role, organisation: None }) => Some((role, None)),
        None => None,
    };
    match (known, granted) {
        (Some(known), None) => {
            desk.db().end_access(known.account.id, now).await?;
            Ok(None)
        }
        (None, None) => Ok(None),
        (Some(known), Some((role, organisation))) => {
            if desk.db().follow_grant(known.account.id, role, organisation, now).await? {
                let what = format!("rôle suivi du fournisseur d’identité : {}", role.label());
                desk.db().note(now, organisation, &known.account.login, what).await?;
            }
            desk.db().account_of_identity(oidc.issuer(), claims.subject()).await
        }
        (None, Some((role, organisation))) => {
            let login = oidc::login(claims, oidc.issuer());
            let new = NewAccount { organisation, login: login.clone(), role, password: String::new() };
            if desk.db().add_granted_account(new, oidc.issuer(), claims.subject(), now).await?.is_some() {
                let what = format!("compte créé par le fournisseur d’identité ({})", role.label());
                desk.db().note(now, organisation, &login, what).await?;
            }
            // None when somebody took the name: then there is no account, and it is said.
            desk.db().account_of_identity(oidc.issuer(), claims.subject()).await
        }
    }
}

async fn come_in(desk: &Desk, oidc: &Oidc, claims: &Claims, then: &str) -> Result<Response, Broken> {
    let Some(known) = account(desk, oidc, claims).await?.filter(|known| known.account.is_open) else {
        let text = "Aucun compte d’ici n’est ouvert à cette identité. Si vous avez un mot de passe, connectez-vous avec lui et reliez votre compte \
                    (« Mon compte ») ; sinon, adressez-vous à l’administrateur de votre opérateur.";
        return Ok(refused(desk, StatusCode::FORBIDDEN, text));
    };
    let account = known.account;
    let is_strong = oidc.asks_factor();
    let is_whole = is_strong || account.totp.is_none();
    let federation = Federation { is_strong, session: claims.text("sid").map(ToOwned::to_owned) };
    let word = desk.db().begin_federated_session(account.id, is_whole, federation, desk.now()).await?;
    let next = if is_whole { then.to_owned() } else { html::link("/connexion/code", &[("suite", then)]) };
    let mut response = onward(desk, "Connecté", &next);
    let headers = response.headers_mut();
    headers.append(header::SET_COOKIE, guard::cookie(&word));
    headers.append(header::SET_COOKIE, no_cookie());
    Ok(response)
}

async fn tied(
    desk: &Desk,
    oidc: &Oidc,
    claims: &Claims,
    account: AccountId,
    session: [u8; 32],
) -> Result<Response, Broken> {
    // The session may have ended meanwhile: its browser, or somebody after it, ties nothing.
    let stands = desk.db().session_of(session, desk.now()).await?;
    let Some(stands) = stands.filter(|stands| stands.account.id == account && stands.is_whole) else {
        return Ok(refused(desk, StatusCode::FORBIDDEN, "Votre session a pris fin : reconnectez-vous et recommencez."));
    };
    if !desk.db().tie(account, oidc.issuer(), claims.subject(), desk.now()).await? {
        let text = "Cette identité ouvre déjà un compte d’ici, ou votre compte est déjà relié.";
        return Ok(refused(desk, StatusCode::CONFLICT, text));
    }
    let owner = &stands.account;
    desk.db().note(desk.now(), owner.organisation, &owner.login, format!("compte relié à {}", oidc.issuer())).await?;
    let mut response = onward(desk, "Compte relié", "/compte?fait=relie");
    response.headers_mut().append(header::SET_COOKIE, no_cookie());
    Ok(response)
}

/// `POST /connexion/fin`: the provider tells that somebody left (OpenID Connect Back-Channel Logout 1.0 §2.8).
pub(super) async fn back_channel(State(desk): State<Desk>, Sent { input, .. }: Sent) -> Response {
    let Some(oidc) = desk.oidc() else { return StatusCode::NOT_FOUND.into_response() };
    let left = match oidc.logged_out(input.get("logout_token")).await {
        Ok(left) => left,
        Err(error) => {
            tracing::warn!("a logout token is refused: {error}");
            return StatusCode::BAD_REQUEST.into_response();
        }
    };
    match desk.db().leave(oidc.issuer(), left.subject.as_deref(), left.session.as_deref()).await {
        Ok(_) => StatusCode::OK.into_response(),
        Err(error) => {
            tracing::error!("{error}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// The end of a session here, and where the browser goes: to leave the provider too, when it came from there.
pub(super) async fn farewell(desk: &Desk, is_federated: bool) -> Response {
    let home = format!("{}/", desk.settings().url);
    let url = match desk.oidc() {
        Some(oidc) if is_federated => oidc.farewell(&home).await,
        _ => None,
    };
    match url {
        Some(url) => onward(desk, "Déconnecté", url.as_str()),
        None => Redirect::to("/").into_response(),
    }
}

/// The account's part of its page.
pub(super) async fn section(signed: &super::guard::Signed) -> Result<Html, Broken> {
    let Some(oidc) = signed.desk.oidc() else { return Ok(Html::empty()) };
    let inside = match signed.desk.db().tie_of(signed.session.account.id).await? {
        None => html!(
            "<p>– Non relié.</p>\n{}",
            layout::button(&signed.session, "/compte/fournisseur", &format!("Relier à {}", oidc.name()), "")
        ),
        Some(tie) if tie.is_granted => {
            html!("<p>✓ Ce compte a été créé par {}, dont il suit les droits.</p>\n", oidc.name())
        }
        Some(tie) => html!(
            "<p>✓ Relié{}.</p>\n{}",
            if same(tie.issuer.as_bytes(), oidc.issuer().as_bytes()) { "" } else { " à un autre fournisseur" },
            layout::button(&signed.session, "/compte/fournisseur/delier", "Délier", "discret")
        ),
    };
    Ok(html!("<h2>{}</h2>\n{}", oidc.name(), inside))
}
