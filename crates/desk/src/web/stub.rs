//! The PSC stub: addresses to copy, identities of the tests, the calls it got, what it plays now.

use axum::response::Response;
use control::stand::psc::{Call, Expectation, Now};
use toml::Value;

use super::guard::{Asked, Failure, Signed};
use super::layout::{self, Page};
use super::stands::{Seen, absent, seen};
use crate::html;
use crate::html::Html;

/// Calls shown: the last ones.
const LAST: u64 = 200;
/// Below the issuer: what each address is.
const ADDRESSES: [(&str, &str); 6] = [
    ("Découverte", "/.well-known/openid-configuration"),
    ("Découverte (portefeuille)", "/.well-known/wallet-openid-configuration"),
    ("Clés (JWKS)", "/protocol/openid-connect/certs"),
    ("Jetons", "/protocol/openid-connect/token"),
    ("Introspection", "/protocol/openid-connect/token/introspect"),
    ("UserInfo", "/protocol/openid-connect/userinfo"),
];

pub(super) async fn show(signed: Signed, Asked(asked): Asked) -> Result<Response, Failure> {
    let (Seen { stand, template, declared, .. }, choice) = seen(&signed, "/bouchon", asked.get("modele")).await?;
    let inside = match stand {
        None => absent("Cet espace n’a pas de banc : ses campagnes ne pilotent aucun bouchon Pro Santé Connect."),
        Some(stand) => match stand.psc().await {
            Err(error) => absent(&error.to_string()),
            Ok(now) => match stand.psc_calls(now.last.saturating_sub(LAST)).await {
                Err(error) => absent(&error.to_string()),
                Ok(calls) => html!("{}{}", addresses(&now), table(&calls)),
            },
        },
    };
    let lists = (!declared.lists.is_empty()).then(|| fetched(&declared.lists));
    // Whoever only reads needs no secret.
    let client = declared.secret.filter(|_| signed.session.account.role.may_run()).map(|secret| client(&secret));
    let identities = signed.or_fails(template.table())?.get("mailbox").map(identities);
    let body = html!(
        "<h1>Bouchon Pro Santé Connect</h1>\n{}<p class=\"chapeau\">Pour qu’une campagne éprouve vos serveurs avec des jetons bons et mauvais, ils doivent croire cet \
         émetteur. Déclarez-le une fois : il ne change pas d’une campagne à l’autre.</p>\n{}{}{}{}",
        choice,
        inside,
        client,
        lists,
        identities
    );
    let session = Some(&signed.session);
    Ok(layout::page(&signed.desk, Page { title: "Bouchon PSC", session, here: "/bouchon", body, ..Page::default() }))
}

fn addresses(now: &Now) -> Html {
    let rows: Html = ADDRESSES
        .iter()
        .map(|(label, path)| {
            let place = format!("{}{path}", now.endpoints.as_ref().unwrap_or(&now.issuer));
            html!("<dt>{}</dt><dd><code class=\"copier\">{}</code></dd>\n", label, place)
        })
        .collect();
    let scenario = serde_json::to_value(&now.scenario).unwrap_or_default();
    let unusual: Vec<String> = scenario
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name, value.as_str()?)))
        .filter(|(_, behaviour)| *behaviour != "normal")
        .map(|(name, behaviour)| format!("{name} : {behaviour}"))
        .collect();
    let played = match (unusual.is_empty(), now.lease_seconds) {
        (true, None) => html!("<p><span class=\"bon\">✓ Tout répond comme il faut.</span></p>\n"),
        (_, left) => html!(
            "<p class=\"avis doute\">? Une campagne joue un scénario : {}. Il s’arrêtera de lui-même dans {} s au plus.</p>\n",
            if unusual.is_empty() { "–".to_owned() } else { unusual.join(", ") },
            left.unwrap_or(0)
        ),
    };
    html!(
        "<h2>Adresses à déclarer</h2>\n<dl>\n<dt>Émetteur (iss)</dt><dd><code class=\"copier\">{}</code></dd>\n{}</dl>\n<h2>Scénario en cours</h2>\n{}",
        now.issuer,
        rows,
        played
    )
}

/// For an operator that asks the stub about tokens (introspection).
fn client(secret: &str) -> Html {
    html!(
        "<h2>Client de l’introspection</h2>\n<dl>\n<dt>Identifiant de client</dt><dd><code class=\"copier\">{}</code></dd>\n\
         <dt>Secret de client</dt><dd><code class=\"copier\">{}</code></dd>\n</dl>\n",
        stub::keys::CLIENT_ID,
        secret
    )
}

/// The lists that campaigns change for this operator alone, by the word at the end of the address.
fn fetched(lists: &[(&'static str, String)]) -> Html {
    let rows: Html = lists
        .iter()
        .map(|(label, place)| html!("<dt>{}</dt><dd><code class=\"copier\">{}</code></dd>\n", label, place))
        .collect();
    html!(
        "<h2>Listes à relever</h2>\n<p>Le mot à la fin de l’adresse est celui de votre organisation : une campagne change ces listes pour vous seul.</p>\n<dl>\n{}</dl>\n",
        rows
    )
}

fn identities(mailbox: &Value) -> Html {
    let text = |key: &str| mailbox.get(key).and_then(Value::as_str).unwrap_or("–").to_owned();
    html!(
        "<h2>Identités des essais</h2>\n<dl>\n<dt>{}</dt><dd>titulaire : <code>{}</code></dd>\n<dt>{}</dt><dd>titulaire : <code>{}</code></dd>\n</dl>\n",
        text("address"),
        text("idnat"),
        text("other_address"),
        text("other_idnat")
    )
}

fn table(calls: &[Call]) -> Html {
    if calls.is_empty() {
        return html!("<h2>Appels reçus</h2>\n<p>Aucun : l’opérateur n’a encore rien demandé à ce bouchon.</p>\n");
    }
    let rows: Html = calls
        .iter()
        .rev()
        .map(|call| {
            let (class, label) = match call.expectation {
                Expectation::Attendu => ("bon", "✓ attendu"),
                Expectation::Interdit => ("mal", "✗ interdit"),
                Expectation::Indifferent => ("pale", "– indifférent"),
            };
            html!(
                "<tr><td>{}</td><td>{}</td><td>{} {}</td><td>{}</td><td>{} en {} ms</td><td>{}</td><td class=\"{}\">{}</td></tr>\n",
                call.seq,
                call.at,
                call.method,
                call.path,
                call.jti,
                call.status,
                call.ms,
                call.behaviour,
                class,
                label
            )
        })
        .collect();
    html!(
        "<h2>Appels reçus</h2>\n<div class=\"defile\" tabindex=\"0\" role=\"region\" aria-label=\"Appels\"><table>\n<caption>Les {} derniers appels, le plus récent d’abord</caption>\n<thead><tr>\
         <th scope=\"col\">N°</th><th scope=\"col\">Quand</th><th scope=\"col\">Quoi</th><th scope=\"col\">Jeton (jti)</th><th scope=\"col\">Réponse</th>\
         <th scope=\"col\">Comportement</th><th scope=\"col\">Attente</th></tr></thead>\n<tbody>\n{}</tbody></table></div>\n",
        calls.len(),
        rows
    )
}
