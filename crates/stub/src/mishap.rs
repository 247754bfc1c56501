//! What goes wrong to order, and the note of every call: a layer around all endpoints of a realm.

use std::net::SocketAddr;
use std::time::Instant;

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use trust::http::HangUp;

use crate::calls::{Call, Endpoint, Expectation};
use crate::realm::Realm;
use crate::scenario::{Behaviour, Scenario};

/// Size of a swollen answer: beyond what anybody should read.
const HUGE: usize = 10 * 1024 * 1024;
/// Longest answer of our own that is changed.
const MAX_OWN: usize = 1024 * 1024;
/// Name of the trap that redirections lead to.
pub const REDIRECTED: &str = "redirection";

/// Of which token a call is, found by the endpoint that read it. Travels as an extension of the response.
#[derive(Debug, Clone, Default)]
pub(crate) struct About {
    pub jti: Option<String>,
    pub kid: Option<String>,
}

impl About {
    /// What can be read of a token without believing any of it.
    pub fn token(token: &str) -> About {
        let mut parts = token.split('.').map(|part| {
            let octets = URL_SAFE_NO_PAD.decode(part).ok()?;
            serde_json::from_slice::<Value>(&octets).ok()
        });
        let mut text = |name: &str| Some(parts.next()??[name].as_str()?.to_owned());
        let kid = text("kid");
        About { kid, jti: text("jti") }
    }

    /// Put on a response.
    pub fn on(self, response: impl IntoResponse) -> Response {
        let mut response = response.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// The layer.
pub(crate) async fn watch(State(realm): State<Realm>, request: Request, next: Next) -> Response {
    let Some(endpoint) = Endpoint::of(request.uri().path()) else { return next.run(request).await };
    let began = Instant::now();
    let scenario = realm.scenario();
    let behaviour = scenario.of(endpoint).clone();
    let mut call = heard(&realm, &request, endpoint, &behaviour);
    if let Behaviour::Slow(wait) = behaviour {
        // Kept before it is answered: whoever gives up before has asked all the same.
        let about = text(&request, header::AUTHORIZATION).strip_prefix("Bearer ").map(About::token).unwrap_or_default();
        finish(&realm, &scenario, &mut call, about, StatusCode::OK, wait.as_millis());
        realm.note(call);
        tokio::time::sleep(wait).await;
        return next.run(request).await;
    }
    let trap = realm.addresses().trap(REDIRECTED);
    let right = next.run(request).await;
    let about = right.extensions().get::<About>().cloned().unwrap_or_default();
    let response = spoilt(&behaviour, endpoint, right, &trap).await;
    let status = match response.extensions().get::<HangUp>() {
        Some(HangUp) => None,
        None => Some(response.status()),
    };
    finish(&realm, &scenario, &mut call, about, status.unwrap_or(StatusCode::OK), began.elapsed().as_millis());
    if status.is_none() {
        call.status = 0;
    }
    realm.note(call);
    response
}

fn text(request: &Request, name: header::HeaderName) -> &str {
    request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// A call as it comes.
fn heard(realm: &Realm, request: &Request, endpoint: Endpoint, behaviour: &Behaviour) -> Call {
    let from = request.extensions().get::<ConnectInfo<SocketAddr>>();
    Call {
        seq: 0,
        at: OffsetDateTime::from(realm.service().clock.now()).format(&Rfc3339).unwrap_or_default(),
        from: from.map_or_else(String::new, |ConnectInfo(from)| from.ip().to_string()),
        agent: text(request, header::USER_AGENT).to_owned(),
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        endpoint,
        jti: None,
        kid: None,
        status: 0,
        ms: 0,
        behaviour: behaviour.to_string(),
        expectation: Expectation::Indifferent,
    }
}

fn finish(realm: &Realm, scenario: &Scenario, call: &mut Call, about: About, status: StatusCode, ms: u128) {
    call.status = status.as_u16();
    call.ms = u64::try_from(ms).unwrap_or(u64::MAX);
    call.expectation = match call.endpoint {
        Endpoint::Trap => Expectation::Interdit,
        endpoint if scenario.forbidden.contains(&endpoint) => Expectation::Interdit,
        endpoint if scenario.expected.contains(&endpoint) => Expectation::Attendu,
        _ => realm.expectation(about.jti.as_deref()),
    };
    (call.jti, call.kid) = (about.jti, about.kid);
}

/// The answer as it was told to be.
async fn spoilt(behaviour: &Behaviour, endpoint: Endpoint, right: Response, trap: &str) -> Response {
    let document = |text: String| ([(header::CONTENT_TYPE, "application/json")], text).into_response();
    match behaviour {
        // Those that endpoints see to themselves, and the slow, which came before.
        Behaviour::Normal | Behaviour::Slow(_) | Behaviour::Rotated | Behaviour::Inactive => right,
        Behaviour::Status(status) => {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
            (status, "Le bouchon est en panne sur demande.\n").into_response()
        }
        Behaviour::Empty if endpoint == Endpoint::Jwks => document(r#"{"keys":[]}"#.to_owned()),
        Behaviour::Empty => document("{}".to_owned()),
        Behaviour::Invalid => document("{\"keys\": [ ceci n'est pas du JSON".to_owned()),
        Behaviour::Redirect => Redirect::to(trap).into_response(),
        Behaviour::Refused => {
            let mut response = StatusCode::SERVICE_UNAVAILABLE.into_response();
            response.extensions_mut().insert(HangUp);
            response
        }
        Behaviour::Huge => changed(right, |document| document["rembourrage"] = json!("x".repeat(HUGE))).await,
        Behaviour::NoActive => {
            changed(right, |document| {
                if let Some(map) = document.as_object_mut() {
                    map.remove("active");
                }
            })
            .await
        }
        Behaviour::OtherIssuer => {
            changed(right, |document| document["issuer"] = json!(crate::keys::FOREIGN_ISSUER)).await
        }
    }
}

/// An answer of ours with its document changed; any other as it is.
async fn changed(right: Response, change: impl FnOnce(&mut Value)) -> Response {
    let (parts, body) = right.into_parts();
    let octets = match to_bytes(body, MAX_OWN).await {
        Ok(octets) => octets,
        Err(_) => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    };
    match serde_json::from_slice::<Value>(&octets) {
        Ok(mut document @ Value::Object(_)) => {
            change(&mut document);
            axum::Json(document).into_response()
        }
        _ => Response::from_parts(parts, Body::from(octets)),
    }
}
