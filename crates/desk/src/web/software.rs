//! A campaign about mail software while it runs: what to point it at, what to do now, what came of it.

use std::net::SocketAddr;

use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Redirect, Response};
use control::client::hands::Glimpse;
use control::client::{Act, Hands, Place, Word};

use super::guard::{Failure, Posted, Signed};
use super::layout;
use crate::Desk;
use crate::acts::Who;
use crate::db::Campaign;
use crate::error::Refusal;
use crate::html;
use crate::html::Html;
use crate::software::AUTHORITY;

/// The part of the page of a campaign under way.
pub(super) fn section(signed: &Signed, campaign: &Campaign) -> Html {
    let hands = signed.desk.hands(&campaign.id);
    let Some((hands, place)) = hands.and_then(|hands| hands.place().map(|place| (hands, place))) else {
        return html!(
            "<section id=\"banc\" data-acte=\"\" aria-labelledby=\"banc-titre\">\n<h2 id=\"banc-titre\">À faire maintenant</h2>\n\
             <p role=\"status\">Rien encore : l’opérateur scénarisé s’ouvre.</p></section>\n"
        );
    };
    let act = hands.act();
    let now = match &act {
        Some(act) => to_do(signed, campaign, act, &place),
        None => html!("<p role=\"status\">Un instant : ce qui est venu est examiné.</p>\n"),
    };
    let is_first = act.as_ref().is_some_and(|act| act.etape.is_none());
    html!(
        "<section id=\"banc\" data-acte=\"{}\" aria-labelledby=\"banc-titre\">\n<h2 id=\"banc-titre\">À faire maintenant</h2>\n{}\
         <h3>Vu du logiciel pendant cette action</h3>\n<ul id=\"vu\" class=\"lignes\">\n{}</ul>\n{}</section>\n",
        act.as_ref().map(|act| act.numero.to_string()).unwrap_or_default(),
        now,
        lines(&hands.glimpses()),
        preparation(signed, campaign, &place, is_first)
    )
}

fn lines(seen: &[Glimpse]) -> Html {
    if seen.is_empty() {
        return html!("<li>Rien pour l’instant.</li>\n");
    }
    seen.iter().map(|one| html!("<li>{}</li>\n", one.texte)).collect()
}

/// A place in words: the name that the certificate has, and where it is.
fn server(host: &str, place: &str) -> Html {
    let port = place.parse::<SocketAddr>().map(|place| place.port().to_string()).unwrap_or_default();
    html!("<code>{}</code>, port <code>{}</code>, STARTTLS (adresse <code>{}</code>)", host, port, place)
}

fn to_do(signed: &Signed, campaign: &Campaign, act: &Act, place: &Place) -> Html {
    let may = signed.who().role.may_run();
    let form = |buttons: Html| match may {
        true => html!(
            "<form method=\"post\" action=\"/campagnes/{}/banc\" class=\"bouton\">{}<input type=\"hidden\" name=\"numero\" value=\"{}\">{}</form>\n",
            campaign.id,
            layout::key(&signed.session),
            act.numero,
            buttons
        ),
        false => Html::empty(),
    };
    if act.etape.is_none() {
        return html!(
            "<p role=\"status\"><strong>Préparez le logiciel</strong> comme il est dit plus bas : rien n’est jugé avant que vous le disiez prêt.</p>\n{}",
            form(html!("<button name=\"quoi\" value=\"fait\">Le logiciel est prêt</button>"))
        );
    }
    let sends = if act.destinataire.is_empty() || act.etape.is_some_and(|step| !step.sends()) {
        Html::empty()
    } else {
        html!("<dt>Destinataire</dt><dd><code class=\"copier\">{}</code></dd>\n", act.destinataire)
    };
    html!(
        "<p role=\"status\"><strong>Action {} — {}</strong>, avec la BAL <code class=\"copier\" id=\"bal\">{}</code> (cas {})</p>\n<dl>\n{}\
         <dt>IMAP</dt><dd>{}</dd>\n<dt>SMTP</dt><dd>{}</dd>\n</dl>\n\
         <p>Faites-le dans le logiciel, jusqu’au bout ou jusqu’à ce qu’il renonce, puis dites-le. Ce qui compte est ce que l’opérateur scénarisé a vu.</p>\n{}",
        act.numero,
        act.action,
        act.adresse,
        act.cas,
        sends,
        server(&place.host, &act.imap),
        server(&place.host, &act.smtp),
        form(html!(
            "<button name=\"quoi\" value=\"fait\">C’est fait</button> <button name=\"quoi\" value=\"impossible\" class=\"discret\">Le logiciel ne sait pas le faire</button>"
        ))
    )
}

/// What to do once, and where each scenario is.
fn preparation(signed: &Signed, campaign: &Campaign, place: &Place, is_open: bool) -> Html {
    let resolver = signed.desk.settings().client.as_ref().and_then(|client| client.dns.or(client.resolver));
    let names = match resolver {
        Some(server) => html!(
            "le serveur de noms <code>{}</code> le dit ; sinon, dans le fichier <code>hosts</code>",
            server.to_string()
        ),
        None => html!("votre DNS doit le dire ; sinon, dans le fichier <code>hosts</code>"),
    };
    let rows: Html = place
        .scenarios
        .iter()
        .map(|one| {
            html!(
                "<tr><th scope=\"row\"><code>{}@{}</code></th><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                one.nom,
                place.domain,
                one.titre,
                one.imap,
                one.smtp
            )
        })
        .collect();
    html!(
        "<details{}><summary>Préparer le logiciel</summary>\n<ol>\n\
         <li>Faites-lui reconnaître l’autorité de test : <a href=\"/campagnes/{}/{}\">autorite.pem</a>. Elle seule, et pour ce contrôle seulement.</li>\n\
         <li><code>lps.{}</code> et <code>autoconfig.{}</code> mènent à <code>{}</code> : {}.</li>\n\
         <li>Autoconfiguration : <code class=\"copier\" id=\"autoconfig\">https://autoconfig.{}:{}/mail/config-v1.1.xml</code></li>\n\
         <li>Une BAL par scénario, ci-dessous ; l’authentification est XOAUTH2, et n’importe quel jeton est accepté : n’en employez jamais un vrai.</li>\n</ol>\n\
         <div class=\"defile\" tabindex=\"0\" role=\"region\" aria-label=\"Scénarios\"><table>\n<caption>Les BAL, et les ports de chacune sur {}</caption>\n<thead><tr><th scope=\"col\">BAL</th>\
         <th scope=\"col\">Ce que fait l’opérateur</th><th scope=\"col\">IMAP</th><th scope=\"col\">SMTP</th></tr></thead>\n<tbody>\n{}</tbody></table></div></details>\n",
        if is_open { html!(" open") } else { Html::empty() },
        campaign.id,
        AUTHORITY,
        place.domain,
        place.domain,
        place.address.to_string(),
        names,
        place.domain,
        place.autoconfig.port(),
        place.host,
        rows
    )
}

/// `POST /campagnes/{campaign}/banc`: what was done.
pub(super) async fn say(Path(id): Path<String>, Posted { signed, input }: Posted) -> Result<Response, Failure> {
    let who = signed.who();
    let campaign = signed.or_fails(signed.desk.campaign_of(&who, &id).await)?;
    let word = if input.get("quoi") == "impossible" { Word::Unable } else { Word::Done };
    // No number is that of no act.
    let number = input.get("numero").parse().unwrap_or(u64::MAX);
    signed.or_fails(signed.desk.say(&who, &campaign, number, word).await)?;
    Ok(Redirect::to(&format!("/campagnes/{}", campaign.id.as_str())).into_response())
}

/// The authority's file.
pub(crate) async fn authority(desk: &Desk, who: &Who, id: &str) -> Result<Response, Refusal> {
    let campaign = desk.campaign_of(who, id).await?;
    let octets = desk.software_authority(&campaign).await?;
    let name = format!("attachment; filename=\"{AUTHORITY}\"");
    Ok(([(header::CONTENT_TYPE, "application/x-pem-file".to_owned()), (header::CONTENT_DISPOSITION, name)], octets)
        .into_response())
}

/// What moved, for the stream: the act, and what was seen of it.
pub(crate) fn now(hands: &Hands) -> serde_json::Value {
    let seen: Vec<String> = hands.glimpses().into_iter().map(|one| one.texte).collect();
    serde_json::json!({ "numero": hands.act().map(|act| act.numero), "vu": seen })
}
