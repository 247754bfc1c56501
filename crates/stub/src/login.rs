//! The login page: choose a person, be sent back with a code. `login_hint=<id>` goes straight back, for programs.

use axum::extract::{Form, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use mssante::NationalId;
use serde::Deserialize;
use url::Url;

use crate::claims::Login;
use crate::keys::{CLIENT_ID, random_uuid, random_word};
use crate::people::Person;
use crate::realm::Realm;
use crate::sessions::Code;

/// Longest `state`, `nonce` and `scope` taken: they are given back.
const MAX_PARAMETER: usize = 2_000;
/// Length of an S256 challenge (RFC 7636 §4.2).
const CHALLENGE: usize = 43;

/// An authorization request (OIDC Core §3.1.2.1).
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Request {
    #[serde(default)]
    response_type: String,
    #[serde(default)]
    client_id: String,
    #[serde(default)]
    redirect_uri: String,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    nonce: String,
    #[serde(default)]
    code_challenge: String,
    #[serde(default)]
    code_challenge_method: String,
    #[serde(default)]
    acr_values: String,
    /// Whoever is to be logged in: a program's choice.
    #[serde(default)]
    login_hint: String,
    /// The choice made on the page.
    #[serde(default)]
    personne: String,
}

/// `GET /auth`.
pub(crate) async fn page(State(realm): State<Realm>, Query(request): Query<Request>) -> Response {
    let redirect = match check(&request) {
        Ok(redirect) => redirect,
        Err(why) => return refused(why),
    };
    if request.login_hint.is_empty() {
        return Html(choices(&realm, &request)).into_response();
    }
    let chosen = request.login_hint.clone();
    answer(&realm, &request, redirect, &chosen)
}

/// `POST /auth`: somebody was chosen on the page.
pub(crate) async fn choose(State(realm): State<Realm>, Form(request): Form<Request>) -> Response {
    match check(&request) {
        Ok(redirect) => {
            let chosen = request.personne.clone();
            answer(&realm, &request, redirect, &chosen)
        }
        Err(why) => refused(why),
    }
}

/// Where to send the browser back; whatever is wrong before that is known is told on a page (RFC 6749 §4.1.2.1).
fn check(request: &Request) -> Result<Url, &'static str> {
    if request.client_id != CLIENT_ID {
        return Err("client_id inconnu : voir psc.client_id dans sandbox.json");
    }
    let url = Url::parse(&request.redirect_uri).map_err(|_| "redirect_uri n'est pas une adresse absolue")?;
    if !is_home(&url) {
        return Err("redirect_uri doit être http(s)://127.0.0.1 ou http(s)://localhost, sans fragment");
    }
    let long = [&request.state, &request.nonce, &request.scope, &request.acr_values]
        .into_iter()
        .any(|p| p.len() > MAX_PARAMETER);
    if long {
        return Err("un paramètre est trop long");
    }
    Ok(url)
}

/// Nothing in the sandbox sends anybody outside the machine.
pub(crate) fn is_home(url: &Url) -> bool {
    let home = match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    };
    matches!(url.scheme(), "http" | "https") && home && url.fragment().is_none()
}

fn answer(realm: &Realm, request: &Request, redirect: Url, chosen: &str) -> Response {
    let challenge = match (request.code_challenge.as_str(), request.code_challenge_method.as_str()) {
        ("", "") => Ok(None),
        (challenge, "S256") if challenge.len() == CHALLENGE => Ok(Some(challenge.to_owned())),
        _ => Err(("invalid_request", "code_challenge_method must be S256")),
    };
    let checked = challenge.and_then(|challenge| match () {
        () if request.response_type != "code" => Err(("unsupported_response_type", "response_type must be code")),
        () if !request.scope.split(' ').any(|word| word == "openid") => {
            Err(("invalid_scope", "scope must hold openid"))
        }
        () if chosen.parse::<NationalId>().is_err() => Err(("access_denied", "not a national identifier")),
        () => Ok(challenge),
    });
    let mut back = redirect.clone();
    match checked {
        Err((error, why)) => {
            back.query_pairs_mut().append_pair("error", error).append_pair("error_description", why);
        }
        Ok(challenge) => {
            let now = realm.now();
            let login = Login {
                id: chosen.to_owned(),
                sid: random_uuid(),
                at: now,
                scope: request.scope.clone(),
                nonce: (!request.nonce.is_empty()).then(|| request.nonce.clone()),
            };
            let (word, sid) = (random_word(32), login.sid.clone());
            let code = Code { login, redirect_uri: request.redirect_uri.clone(), challenge };
            realm.sessions().add_code(word.clone(), code, now);
            back.query_pairs_mut().append_pair("code", &word).append_pair("session_state", &sid);
        }
    }
    if !request.state.is_empty() {
        back.query_pairs_mut().append_pair("state", &request.state);
    }
    // RFC 9207
    back.query_pairs_mut().append_pair("iss", &realm.issuer());
    (StatusCode::FOUND, [(header::LOCATION, back.to_string()), (header::CACHE_CONTROL, "no-store".to_owned())])
        .into_response()
}

fn refused(why: &str) -> Response {
    let body = format!("<h1>Demande refusée</h1><p>{}</p>", escape(why));
    (StatusCode::BAD_REQUEST, Html(document(&body))).into_response()
}

fn choices(realm: &Realm, request: &Request) -> String {
    let parameters = [
        ("response_type", &request.response_type),
        ("client_id", &request.client_id),
        ("redirect_uri", &request.redirect_uri),
        ("scope", &request.scope),
        ("state", &request.state),
        ("nonce", &request.nonce),
        ("code_challenge", &request.code_challenge),
        ("code_challenge_method", &request.code_challenge_method),
        ("acr_values", &request.acr_values),
    ];
    let hidden: String = parameters
        .iter()
        .map(|(name, value)| format!("<input type=\"hidden\" name=\"{name}\" value=\"{}\">\n", escape(value)))
        .collect();
    let people: String = realm
        .service()
        .people
        .iter()
        .map(|person| {
            let id = escape(&person.id);
            format!("<li><button name=\"personne\" value=\"{id}\">{}</button></li>\n", described(person))
        })
        .collect();
    document(&format!(
        "<h1>Pro Santé Connect <small>bac à sable</small></h1>\n<p>Choisissez la personne qui se connecte. Aucune n'existe.</p>\n\
         <form method=\"post\" action=\"{base}/auth\">\n{hidden}<ul>\n{people}</ul>\n</form>",
        base = realm.addresses().base(),
    ))
}

/// A person on a page.
fn described(person: &Person) -> String {
    let mailboxes = match person.mailboxes.is_empty() {
        true => "aucune boîte aux lettres".to_owned(),
        false => person.mailboxes.join(", "),
    };
    let [name, id, mailboxes] = [&person.name(), &person.id, &mailboxes].map(|text| escape(text));
    format!("<strong>{name}</strong> <span>{id}</span><br>{mailboxes}")
}

/// `GET /identites`: what an operator copies into its configuration, and who can log in. All of it fictional and public.
pub(crate) async fn identities(State(realm): State<Realm>) -> Html<String> {
    let psc = realm.addresses();
    let row = |what: &str, value: &str| {
        format!("<tr><th scope=\"row\">{what}</th><td><code>{}</code></td></tr>\n", escape(value))
    };
    let addresses = [
        ("Émetteur (iss), à recopier exactement", realm.issuer()),
        ("Découverte", psc.discovery()),
        ("Clés (JWKS)", psc.jwks_uri()),
        ("Introspection", psc.introspection_endpoint()),
        ("UserInfo", psc.userinfo_endpoint()),
        ("Jetons", psc.token_endpoint()),
        ("Connexion", psc.authorization_endpoint()),
        ("CIBA", psc.ciba_endpoint()),
        ("Identifiant de client", CLIENT_ID.to_owned()),
    ];
    let addresses: String = addresses.iter().map(|(what, value)| row(what, value)).collect();
    let people: String =
        realm.service().people.iter().map(|person| format!("<li>{}</li>\n", described(person))).collect();
    Html(document(&format!(
        "<h1>Bouchon Pro Santé Connect</h1>\n<h2>Adresses</h2>\n<table>\n{addresses}</table>\n<h2>Identités de test</h2>\n\
         <p>Aucune de ces personnes n'existe.</p>\n<ul>\n{people}</ul>"
    )))
}

pub(crate) fn document(body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"fr\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>Pro Santé Connect (bac à sable)</title><style>body{{font:16px/1.5 sans-serif;max-width:40em;margin:2em auto;padding:0 1em}}\
         small,span{{color:#555;font-weight:normal}}ul{{list-style:none;padding:0}}button{{width:100%;text-align:left;font:inherit;\
         padding:.6em 1em;margin:.2em 0;cursor:pointer}}</style></head>\n<body>\n{body}\n</body></html>\n"
    )
}

/// For text and attribute values of HTML.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
