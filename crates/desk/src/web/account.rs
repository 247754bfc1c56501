//! One's own account: password, second factor.

use axum::response::{IntoResponse, Redirect, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::form::{Field, Kind, field, summary};
use super::guard::{Asked, Completing, Entering, Failure, Posted, Signed};
use super::layout::{self, Page};
use super::sign_in::hexadecimal;
use super::{provider, qr};
use crate::account::secret::{LONGEST_PASSWORD, SHORTEST_PASSWORD, code, digest};
use crate::account::totp;
use crate::db::Session;
use crate::error::{Mistake, Refusal};
use crate::html::Html;
use crate::{Desk, html, words};

/// What is wrong with a password that is chosen.
pub(super) fn check_new_password(login: &str, password: &str) -> Vec<Mistake> {
    let wrong = |text: &str| vec![Mistake::of("mot_de_passe", text)];
    let length = password.chars().count();
    if length < SHORTEST_PASSWORD {
        return wrong("Douze caractères au moins.");
    }
    if password.len() > LONGEST_PASSWORD {
        return wrong("256 octets au plus.");
    }
    let mut different: Vec<char> = password.chars().collect();
    different.sort_unstable();
    different.dedup();
    if different.len() < 5 || (!login.is_empty() && password.to_lowercase().contains(&login.to_lowercase())) {
        return wrong("Trop facile à deviner : ni l’identifiant, ni un caractère répété.");
    }
    Vec::new()
}

pub(super) async fn show(signed: Signed, Asked(asked): Asked) -> Result<Response, Failure> {
    account_page(&signed, asked.get("fait"), &[]).await
}

async fn account_page(signed: &Signed, done: &str, mistakes: &[Mistake]) -> Result<Response, Failure> {
    let session = &signed.session;
    let fields = [
        Field { name: "ancien", label: "Mot de passe actuel", value: "", help: "", kind: Kind::Password },
        Field {
            name: "mot_de_passe",
            label: "Nouveau mot de passe",
            value: "",
            help: "Douze caractères au moins.",
            kind: Kind::NewPassword,
        },
    ];
    let factor = match &session.account.totp {
        Some(_) => html!(
            "<p>✓ Actif, {} codes de secours restants. <a href=\"/compte/facteur\">Changer de téléphone</a></p>",
            session.account.recovery.len()
        ),
        None => html!("<p>– Aucun. <a href=\"/compte/facteur\">Ajouter un second facteur</a></p>"),
    };
    let reset = session.account.factor_reset.as_ref().map(|(at, by)| {
        html!(
            "<p class=\"avis doute\">? Le second facteur de ce compte a été réinitialisé le {} par {}. Si vous ne l’aviez pas demandé, changez de mot de passe et prévenez votre administrateur.</p>\n",
            words::instant(*at),
            by
        )
    });
    let federation = signed.or_fails(provider::section(signed).await)?;
    let password = if session.account.password.is_empty() {
        html!("<p>– Aucun : le fournisseur d’identité ouvre ce compte.</p>\n")
    } else {
        html!(
            "<form method=\"post\" action=\"/compte/mot-de-passe\" class=\"etroit\">{}\n{}<p><button>Changer le mot de passe</button></p></form>\n",
            layout::key(session),
            fields.iter().map(|one| field(one, mistakes)).collect::<Html>()
        )
    };
    let body = html!(
        "<h1>Mon compte</h1>\n{}{}<p>{}, {}.</p>\n<h2>Second facteur</h2>\n{}{}\n{}<h2>Mot de passe</h2>\n{}",
        layout::notice(done),
        summary(mistakes),
        session.account.login,
        session.account.role.label(),
        reset,
        factor,
        federation,
        password
    );
    Ok(layout::page(&signed.desk, Page { title: "Mon compte", session: Some(session), body, ..Page::default() }))
}

pub(super) async fn password(Posted { signed, input }: Posted) -> Result<Response, Failure> {
    let (desk, account) = (&signed.desk, &signed.session.account);
    if account.password.is_empty() {
        return Err(
            signed.fails(Refusal::Conflict("Ce compte n’a pas de mot de passe : le fournisseur d’identité l’ouvre."))
        );
    }
    if !desk.0.attempts.may_try(&account.login, std::net::Ipv4Addr::UNSPECIFIED.into(), desk.settings().clock.now()) {
        return Err(signed.fails(Refusal::TooMany));
    }
    let first = |name: &str| input.all(name).first().cloned().unwrap_or_default();
    let is_right = desk.is_password(&first("ancien"), Some(account.password.clone())).await;
    let new = first("mot_de_passe");
    let mut mistakes = check_new_password(&account.login, &new);
    if !signed.or_fails(is_right)? {
        mistakes.push(Mistake::of("ancien", "Ce n’est pas le mot de passe actuel."));
    }
    if !mistakes.is_empty() {
        return account_page(&signed, "", &mistakes).await;
    }
    desk.0.attempts.forgive(&account.login, std::net::Ipv4Addr::UNSPECIFIED.into());
    let hash = signed.or_fails(desk.hash(&new).await)?;
    signed.or_fails(desk.db().set_password(account.id, hash, Some(signed.session.hash)).await)?;
    signed.or_fails(
        desk.db().note(desk.now(), account.organisation, &account.login, "mot de passe changé".to_owned()).await,
    )?;
    Ok(Redirect::to("/compte?fait=mot-de-passe").into_response())
}

/// Those who have a second factor and have not given it may not replace it.
fn may_set_factor(session: &Session) -> bool {
    session.is_whole
}

fn factor_form(desk: &Desk, session: &Session, secret: &[u8], mistakes: &[Mistake]) -> Response {
    let address = totp::address(&desk.settings().title, &session.account.login, secret);
    let grouped: Vec<String> =
        totp::base32(secret).as_bytes().chunks(4).map(|four| String::from_utf8_lossy(four).into_owned()).collect();
    let one = Field {
        name: "code",
        label: "Code affiché par l’application",
        value: "",
        help: "Six chiffres.",
        kind: Kind::Code,
    };
    let body = html!(
        "<h1>Second facteur</h1>\n{}<p>Dans une application de codes (FreeOTP, Aegis, Google Authenticator…), photographiez ce code :</p>\n{}\
         <p>Ou ajoutez un compte « basé sur le temps » avec cette clé, ou ouvrez <a id=\"otpauth\" href=\"{}\">ce lien</a> sur le téléphone :</p>\n<p class=\"cle\"><code>{}</code></p>\n\
         <form method=\"post\" action=\"/compte/facteur\" class=\"etroit\">{}<input type=\"hidden\" name=\"secret\" value=\"{}\">\n{}\
         <p><button>Activer</button></p></form>\n",
        summary(mistakes),
        qr::svg(&address, "Code QR de la clé, écrite en lettres ci-dessous"),
        address,
        grouped.join(" "),
        layout::key(session),
        URL_SAFE_NO_PAD.encode(secret),
        field(&one, mistakes)
    );
    layout::page(desk, Page { title: "Second facteur", session: Some(session), body, ..Page::default() })
}

pub(super) async fn factor(Entering { desk, session }: Entering) -> Result<Response, Failure> {
    if !may_set_factor(&session) {
        return Ok(Redirect::to("/connexion/code").into_response());
    }
    let signed = Signed { desk, session };
    let secret = signed.or_fails(totp::secret())?;
    Ok(factor_form(&signed.desk, &signed.session, &secret, &[]))
}

pub(super) async fn set_factor(Completing { desk, session, input }: Completing) -> Result<Response, Failure> {
    if !may_set_factor(&session) {
        return Ok(Redirect::to("/connexion/code").into_response());
    }
    let signed = Signed { desk, session };
    let (desk, account) = (&signed.desk, &signed.session.account);
    let secret = URL_SAFE_NO_PAD.decode(input.get("secret")).unwrap_or_default();
    // The key was ours, made a moment ago; a shorter one would be easier to guess, and an empty one is none.
    let step = match secret.len() == totp::SECRET {
        true => signed.or_fails(totp::check(&secret, input.get("code"), desk.now(), 0))?,
        false => None,
    };
    let Some(step) = step else {
        let mistake = Mistake::of("code", "Ce n’est pas le code de cette clé : vérifiez l’heure du téléphone.");
        let secret = if secret.len() == totp::SECRET { secret } else { signed.or_fails(totp::secret())?.to_vec() };
        return Ok(factor_form(desk, &signed.session, &secret, &[mistake]));
    };
    let mut codes = Vec::new();
    for _ in 0..totp::RECOVERY_CODES {
        codes.push(signed.or_fails(code())?);
    }
    let hashes = codes.iter().map(|code| hexadecimal(&digest(code))).collect();
    let sealed = signed.or_fails(desk.vault().seal(account.id, &secret))?;
    signed.or_fails(desk.db().set_totp(account.id, Some(sealed), hashes).await)?;
    signed.or_fails(desk.db().take_totp_step(account.id, step).await)?;
    signed.or_fails(
        desk.db().note(desk.now(), account.organisation, &account.login, "second facteur activé".to_owned()).await,
    )?;
    let list: Html = codes.iter().map(|code| html!("<li><code>{}</code></li>", code)).collect();
    let body = html!(
        "<h1>Second facteur actif</h1>\n<p class=\"avis bon\" role=\"status\">✓ Un code vous sera demandé à chaque connexion.</p>\n\
         <p>Gardez ces codes de secours : chacun remplace le téléphone une fois. Ils ne seront plus montrés.</p>\n<ul class=\"codes\">{}</ul>\n\
         <p><a class=\"action\" href=\"/\">Continuer</a></p>\n",
        list
    );
    Ok(layout::page(desk, Page { title: "Second facteur", session: Some(&signed.session), body, ..Page::default() }))
}
