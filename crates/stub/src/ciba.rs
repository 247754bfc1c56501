//! CIBA as PSC has it (client.md §3.2): poll mode only, a `binding_message` of exactly two digits, an activated client, PSC's own
//! parameter `channel`. What the phones answer is in [`crate::phone`].
//!
//! Pace and answers go by the machine's clock, which waits for nobody; expiry by the sandbox's.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use mssante::NationalId;
use serde::Deserialize;
use serde_json::json;

use crate::claims::Login;
use crate::keys::{random_uuid, random_word};
use crate::provider::{error, unknown_client};
use crate::realm::{Credentials, Peer, Realm};

/// Requests waiting at once; the oldest goes first.
const MAX_REQUESTS: usize = 1_000;
/// Phones that have been told how to answer.
const MAX_BEHAVIOURS: usize = 1_000;
/// Life of a request unless asked otherwise, in seconds (Keycloak's).
const USUAL_EXPIRY: i64 = 120;
/// Longest life asked for, in seconds.
const LONGEST_EXPIRY: i64 = 600;
/// Shortest time between two polls. Keycloak's usual one is 5 s; nobody wants to wait that long at each login of a test.
const INTERVAL: Duration = Duration::from_secs(1);
/// What a poll that came too early adds (CIBA Core §11).
const SLOWER: Duration = Duration::from_secs(5);
/// A poll this much too early is in time: clocks and networks are not that exact.
const TOLERANCE: Duration = Duration::from_millis(100);
/// Time a phone takes to approve by itself.
const APPROVES_AFTER: Duration = Duration::from_millis(700);

/// What was answered on a phone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Approved,
    Refused,
}

/// How a phone answers by itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Behaviour {
    /// What; nothing: somebody must answer on the page.
    pub verdict: Option<Verdict>,
    /// After how long.
    pub after: Duration,
    /// How many polls are first answered `slow_down`.
    pub slow_down: u32,
}

impl Default for Behaviour {
    fn default() -> Self {
        Behaviour { verdict: Some(Verdict::Approved), after: APPROVES_AFTER, slow_down: 0 }
    }
}

struct Request {
    number: u64,
    person: String,
    digits: String,
    channel: &'static str,
    scope: String,
    /// Seconds since 1970.
    until: i64,
    asked: Instant,
    behaviour: Behaviour,
    /// What was answered on the page.
    decided: Option<Verdict>,
    interval: Duration,
    polled: Option<Instant>,
}

impl Request {
    fn verdict(&self) -> Option<Verdict> {
        self.decided.or(self.behaviour.verdict.filter(|_| self.asked.elapsed() >= self.behaviour.after))
    }
}

/// A request as the page shows it.
pub(crate) struct Waiting {
    pub number: u64,
    pub person: String,
    pub digits: String,
    pub channel: &'static str,
    pub seconds_left: i64,
}

/// What a poll is answered.
#[derive(Debug)]
pub(crate) enum Polled {
    Unknown,
    Expired,
    Pending,
    TooSoon,
    Refused,
    /// Who, and for what scope.
    Approved(String, String),
}

/// The requests that wait, and how phones answer.
#[derive(Default)]
pub(crate) struct Requests {
    count: u64,
    waiting: BTreeMap<u64, (String, Request)>,
    behaviours: HashMap<String, Behaviour>,
    usual: Behaviour,
}

impl Requests {
    /// How a person's phone answers.
    pub fn behaviour(&self, person: Option<&str>) -> Behaviour {
        person.and_then(|person| self.behaviours.get(person)).copied().unwrap_or(self.usual)
    }

    /// Tells a person's phone, or every other, how to answer requests to come.
    pub fn set(&mut self, person: Option<&str>, behaviour: Behaviour) {
        match person {
            None => self.usual = behaviour,
            Some(person) => {
                if self.behaviours.len() >= MAX_BEHAVIOURS {
                    self.behaviours.clear();
                }
                self.behaviours.insert(person.to_owned(), behaviour);
            }
        }
    }

    /// What waits for an answer on the page.
    pub fn waiting(&mut self, now: i64) -> Vec<Waiting> {
        self.waiting.retain(|_, (_, request)| now < request.until);
        let open = self.waiting.values().map(|(_, request)| request).filter(|request| request.verdict().is_none());
        open.map(|request| Waiting {
            number: request.number,
            person: request.person.clone(),
            digits: request.digits.clone(),
            channel: request.channel,
            seconds_left: request.until - now,
        })
        .collect()
    }

    /// Answers one request, or all of a person; how many.
    pub fn decide(&mut self, number: Option<u64>, person: Option<&str>, verdict: Verdict, now: i64) -> usize {
        let meant = self.waiting.values_mut().map(|(_, request)| request).filter(|request| {
            now < request.until
                && request.decided.is_none()
                && number.is_none_or(|number| number == request.number)
                && person.is_none_or(|person| person == request.person)
        });
        meant.map(|request| request.decided = Some(verdict)).count()
    }

    fn add(&mut self, word: String, form: &Asking, person: &NationalId, channel: &'static str, now: i64) -> i64 {
        self.count += 1;
        let expiry = form.requested_expiry.unwrap_or(USUAL_EXPIRY).clamp(1, LONGEST_EXPIRY);
        let request = Request {
            number: self.count,
            person: person.as_str().to_owned(),
            digits: form.binding_message.clone(),
            channel,
            scope: form.scope.clone(),
            until: now + expiry,
            asked: Instant::now(),
            behaviour: self.behaviour(Some(person.as_str())),
            decided: None,
            interval: INTERVAL,
            polled: None,
        };
        self.waiting.insert(self.count, (word, request));
        while self.waiting.len() > MAX_REQUESTS {
            self.waiting.pop_first();
        }
        expiry
    }

    /// A poll of the token endpoint.
    pub fn poll(&mut self, word: &str, now: i64) -> Polled {
        let Some((number, request)) = self
            .waiting
            .iter_mut()
            .find_map(|(number, (known, request))| (known == word).then_some((*number, request)))
        else {
            return Polled::Unknown;
        };
        if now >= request.until {
            return Polled::Expired;
        }
        let early = request.polled.is_some_and(|last| last.elapsed() + TOLERANCE < request.interval);
        request.polled = Some(Instant::now());
        if early || request.behaviour.slow_down > 0 {
            request.behaviour.slow_down = request.behaviour.slow_down.saturating_sub(1);
            request.interval = request.interval.saturating_add(SLOWER);
            return Polled::TooSoon;
        }
        match request.verdict() {
            None => Polled::Pending,
            Some(verdict) => {
                // An answer is given once.
                let (_, request) = self.waiting.remove(&number).expect("it was found just now");
                match verdict {
                    Verdict::Refused => Polled::Refused,
                    Verdict::Approved => Polled::Approved(request.person, request.scope),
                }
            }
        }
    }
}

/// An authentication request (CIBA Core §7.1).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asking {
    #[serde(flatten)]
    credentials: Credentials,
    scope: String,
    login_hint: String,
    binding_message: String,
    channel: String,
    #[serde(deserialize_with = "number")]
    requested_expiry: Option<i64>,
}

/// A number of a form, which flattening gives as text.
fn number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

/// `POST …/ext/ciba/auth`.
pub(crate) async fn ask(
    State(realm): State<Realm>,
    headers: HeaderMap,
    peer: Peer,
    Form(form): Form<Asking>,
) -> Response {
    if !realm.is_client(&headers, &peer, &form.credentials) {
        return unknown_client();
    }
    let refused = |code, why| error(StatusCode::BAD_REQUEST, code, why);
    if !form.scope.split(' ').any(|word| word == "openid") {
        return refused("invalid_scope", "scope must hold openid");
    }
    if form.binding_message.len() != 2 || !form.binding_message.bytes().all(|b| b.is_ascii_digit()) {
        return refused("invalid_binding_message", "binding_message must be two digits");
    }
    let channel = match form.channel.as_str() {
        "" | "MOBILE" => "MOBILE",
        "CARD" => "CARD",
        _ => return refused("invalid_request", "channel must be MOBILE or CARD"),
    };
    let Ok(person) = form.login_hint.parse::<NationalId>() else {
        return refused("unknown_user_id", "login_hint is not a national identifier");
    };
    let word = random_word(32);
    let now = realm.now();
    let expires_in = realm.requests().add(word.clone(), &form, &person, channel, now);
    let body = json!({ "auth_req_id": word, "expires_in": expires_in, "interval": INTERVAL.as_secs() });
    ([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

/// The grant `urn:openid:params:grant-type:ciba` (CIBA Core §10.1, §11).
pub(crate) fn grant(realm: &Realm, word: &str, now: i64) -> Result<Login, (&'static str, &'static str)> {
    let polled = realm.requests().poll(word, now);
    match polled {
        Polled::Unknown => Err(("invalid_grant", "Invalid Auth Req ID")),
        Polled::Expired => Err(("expired_token", "authentication timed out")),
        Polled::Pending => Err((
            "authorization_pending",
            "The authorization request is still pending as the end-user hasn't yet been authenticated.",
        )),
        Polled::TooSoon => Err(("slow_down", "too early to access")),
        Polled::Refused => Err(("access_denied", "not authorized")),
        Polled::Approved(id, scope) => {
            let login = Login { id, sid: random_uuid(), at: now, scope, nonce: None };
            realm.sessions().open(login.clone(), now);
            Ok(login)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(requests: &mut Requests, person: &str) -> String {
        let word = random_word(8);
        let form = Asking { binding_message: "42".into(), scope: "openid".into(), ..Asking::default() };
        requests.add(word.clone(), &form, &person.parse().expect("an identifier"), "MOBILE", 0);
        word
    }

    fn phones(verdict: Option<Verdict>) -> Requests {
        let mut requests = Requests::default();
        requests.set(None, Behaviour { verdict, after: Duration::ZERO, slow_down: 0 });
        requests
    }

    #[test]
    fn an_answer_is_given_once() {
        let mut requests = phones(Some(Verdict::Approved));
        let word = asked(&mut requests, "899700000017");
        assert!(matches!(requests.poll("other", 0), Polled::Unknown));
        assert!(matches!(requests.poll(&word, 0), Polled::Approved(person, _) if person == "899700000017"));
        assert!(matches!(requests.poll(&word, 0), Polled::Unknown));
    }

    #[test]
    fn people_answer_on_the_page_in_time() {
        let mut requests = phones(None);
        let (first, second) = (asked(&mut requests, "899700000017"), asked(&mut requests, "899700000021"));
        assert!(matches!(requests.poll(&first, 0), Polled::Pending));
        assert!(matches!(requests.poll(&first, 0), Polled::TooSoon));
        assert_eq!(requests.waiting(0).len(), 2);
        assert_eq!(requests.decide(Some(2), None, Verdict::Refused, 0), 1);
        assert_eq!(requests.decide(Some(2), None, Verdict::Approved, 0), 0, "answered already");
        assert_eq!(requests.waiting(0).len(), 1);
        assert!(matches!(requests.poll(&second, 0), Polled::Refused));
        assert!(matches!(requests.poll(&first, USUAL_EXPIRY), Polled::Expired));
        assert_eq!(requests.decide(None, Some("899700000017"), Verdict::Approved, USUAL_EXPIRY), 0);
    }

    #[test]
    fn each_phone_its_own_way() {
        let mut requests = phones(Some(Verdict::Approved));
        requests.set(
            Some("899700000021"),
            Behaviour { verdict: Some(Verdict::Refused), after: Duration::ZERO, slow_down: 1 },
        );
        let (one, other) = (asked(&mut requests, "899700000017"), asked(&mut requests, "899700000021"));
        assert!(matches!(requests.poll(&one, 0), Polled::Approved(..)));
        assert!(matches!(requests.poll(&other, 0), Polled::TooSoon));
    }
}
