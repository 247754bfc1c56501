//! The phones of the test trust space, all on one page: `GET /ciba` lists the logins that wait, with their two digits, and lets one
//! approve or refuse each. Programs ask for JSON, and tell with `POST /ciba/phone` how a person's phone answers by itself.

use std::time::Duration;

use axum::Json;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use mssante::NationalId;
use serde::Deserialize;
use serde_json::json;

use crate::ciba::{Behaviour, Verdict, Waiting};
use crate::login::{document, escape};
use crate::people::Person;
use crate::realm::Realm;

/// Longest time a phone may take to answer by itself: requests expire before.
const LONGEST: Duration = Duration::from_secs(600);

fn wants_json(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    accept.contains("application/json")
}

/// `GET /ciba`.
pub(crate) async fn page(State(realm): State<Realm>, headers: HeaderMap) -> Response {
    let now = realm.now();
    let (waiting, usual) = {
        let mut requests = realm.requests();
        (requests.waiting(now), requests.behaviour(None))
    };
    if wants_json(&headers) {
        let waiting: Vec<_> = waiting
            .iter()
            .map(|w| json!({ "number": w.number, "person": w.person, "digits": w.digits, "channel": w.channel, "seconds_left": w.seconds_left }))
            .collect();
        return Json(json!({ "waiting": waiting })).into_response();
    }
    let list = match waiting.is_empty() {
        true => "<p>Aucune demande n'attend. Cette page se recharge toute seule.</p>".to_owned(),
        false => waiting.iter().map(|waiting| entry(&realm, waiting)).collect(),
    };
    let base = realm.addresses().base();
    let by_hand = usual.verdict.is_none();
    let (answer, label) =
        if by_hand { ("approve", "Approuver de nouveau tout seul") } else { ("ignore", "Répondre à la main") };
    let mode = if by_hand { "attend que vous répondiez ici" } else { "répond tout seul au bout d'un instant" };
    Html(document(&format!(
        "<meta http-equiv=\"refresh\" content=\"2\"><h1>Téléphones <small>e-CPS du bac à sable</small></h1>\n\
         <p>Comparez les deux chiffres avec ceux que montre le logiciel.</p>\n{list}\
         <form method=\"post\" action=\"{base}/ciba/phone\"><p>Chaque téléphone {mode}. \
         <button name=\"answer\" value=\"{answer}\">{label}</button></p></form>"
    )))
    .into_response()
}

fn entry(realm: &Realm, waiting: &Waiting) -> String {
    let name = realm.person(&waiting.person).map_or_else(String::new, Person::name);
    format!(
        "<form method=\"post\" action=\"{}/ciba\"><input type=\"hidden\" name=\"number\" value=\"{}\">\
         <p><strong style=\"font-size:2em\">{}</strong> {} <span>{} · {} · {} s</span></p>\
         <button name=\"answer\" value=\"approve\">Approuver</button><button name=\"answer\" value=\"refuse\">Refuser</button></form>\n",
        realm.addresses().base(),
        waiting.number,
        waiting.digits,
        escape(&name),
        escape(&waiting.person),
        waiting.channel,
        waiting.seconds_left,
    )
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Approve,
    Refuse,
    /// Nothing: somebody answers on the page, or nobody does.
    Ignore,
}

impl Answer {
    fn verdict(self) -> Option<Verdict> {
        match self {
            Answer::Approve => Some(Verdict::Approved),
            Answer::Refuse => Some(Verdict::Refused),
            Answer::Ignore => None,
        }
    }
}

/// `POST /ciba`: the answer to one request, by its number on the page, or to all of a person's.
#[derive(Debug, Deserialize)]
pub(crate) struct Decision {
    number: Option<u64>,
    person: Option<NationalId>,
    answer: Answer,
}

pub(crate) async fn answer(State(realm): State<Realm>, headers: HeaderMap, Form(decision): Form<Decision>) -> Response {
    let Some(verdict) = decision.answer.verdict() else { return done(&realm, &headers) };
    let person = decision.person.as_ref().map(NationalId::as_str);
    if decision.number.is_none() && person.is_none() {
        return (StatusCode::BAD_REQUEST, "number ou person manque\n").into_response();
    }
    let now = realm.now();
    if realm.requests().decide(decision.number, person, verdict, now) == 0 {
        return (StatusCode::NOT_FOUND, "aucune demande n'attend\n").into_response();
    }
    done(&realm, &headers)
}

/// `POST /ciba/phone`: how a person's phone, or every other phone, answers the requests to come.
#[derive(Debug, Deserialize)]
pub(crate) struct Setting {
    person: Option<NationalId>,
    answer: Answer,
    /// After how many milliseconds.
    after_ms: Option<u64>,
    /// How many polls are first answered `slow_down`, whatever their pace.
    #[serde(default)]
    slow_down: u32,
}

pub(crate) async fn set(State(realm): State<Realm>, headers: HeaderMap, Form(setting): Form<Setting>) -> Response {
    let usual = Behaviour::default();
    let behaviour = Behaviour {
        verdict: setting.answer.verdict(),
        after: setting.after_ms.map_or(usual.after, Duration::from_millis).min(LONGEST),
        slow_down: setting.slow_down,
    };
    realm.requests().set(setting.person.as_ref().map(NationalId::as_str), behaviour);
    done(&realm, &headers)
}

/// Back to the page for people, nothing for programs.
fn done(realm: &Realm, headers: &HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if accept.contains("text/html") {
        Redirect::to(&realm.addresses().phone()).into_response()
    } else {
        StatusCode::NO_CONTENT.into_response()
    }
}
