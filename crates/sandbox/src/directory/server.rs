//! The HTTPS service: the gateway (key, 17 calls a second), the interface behind it, and the extraction.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::memcmp;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::extraction::{self, Archive};
use super::register::{KINDS, Register};
use super::resources::outcome;
use super::search::{Search, is_kind};
use super::{EXTRACTION, FHIR, people};
use crate::SandboxError;
use trust::http::http_date;

/// Calls in a second, of one application.
const CALLS: usize = 17;
/// Longest `_page` id read.
const MAX_PAGE_ID: usize = 8 * 1024;

/// The directory.
#[derive(Clone)]
pub(crate) struct Directory(Arc<Inner>);

struct Inner {
    /// `https://host:port`.
    origin: String,
    key: String,
    register: Register,
    archive: Archive,
    modified: HeaderValue,
    etag: HeaderValue,
    /// When the last calls were.
    calls: Mutex<VecDeque<Instant>>,
}

impl Directory {
    /// On a port of 127.0.0.1, as it is `now`.
    pub fn new(port: u16, key: String, now: SystemTime) -> Result<Directory, SandboxError> {
        let content = people::content();
        let format = time::macros::format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].000+00:00");
        let updated = OffsetDateTime::from(now).format(&format).map_err(SandboxError::setup("directory"))?;
        let archive = extraction::archive(&content, now)?;
        let digest: String = openssl::sha::sha256(&archive.octets)[..16].iter().map(|b| format!("{b:02x}")).collect();
        let value = |text: String| HeaderValue::try_from(text).map_err(SandboxError::setup("directory"));
        Ok(Directory(Arc::new(Inner {
            origin: format!("https://127.0.0.1:{port}"),
            key,
            register: Register::new(&content, &updated),
            modified: value(http_date(now))?,
            etag: value(format!("\"{digest}\""))?,
            archive,
            calls: Mutex::default(),
        })))
    }

    /// The service.
    pub fn router(&self) -> Router {
        let interface = Router::new()
            .route("/metadata", get(metadata))
            .route("/_page", any(page))
            .route("/{kind}", any(search))
            .route("/{kind}/_search", any(search_form))
            .route("/{kind}/{id}", any(read))
            .fallback(|| async { fhir(StatusCode::NOT_FOUND, outcome("not-found", "HAPI-0000: Unknown request")) })
            .layer(from_fn_with_state(self.clone(), gateway));
        Router::new().nest(FHIR, interface).route(EXTRACTION, get(archive)).with_state(self.clone())
    }
}

/// The key, then the pace; before the interface is asked anything.
async fn gateway(State(directory): State<Directory>, request: Request, next: Next) -> Response {
    let inner = &directory.0;
    let given = request.headers().get("ESANTE-API-KEY").map(HeaderValue::as_bytes).unwrap_or_default();
    if given.len() != inner.key.len() || !memcmp::eq(given, inner.key.as_bytes()) {
        return refusal(StatusCode::UNAUTHORIZED, "Unauthorized");
    }
    let now = Instant::now();
    {
        let mut calls = inner.calls.lock().unwrap_or_else(PoisonError::into_inner);
        while calls.front().is_some_and(|first| now.duration_since(*first) >= Duration::from_secs(1)) {
            calls.pop_front();
        }
        if calls.len() >= CALLS {
            let mut response = refusal(
                StatusCode::TOO_MANY_REQUESTS,
                "Rate limit exceeded ! You reach the limit of 17 requests per 1 seconds",
            );
            let headers = response.headers_mut();
            headers.insert("x-rate-limit-limit", HeaderValue::from_static("17"));
            headers.insert("x-rate-limit-remaining", HeaderValue::from_static("0"));
            return response;
        }
        calls.push_back(now);
    }
    next.run(request).await
}

/// As Gravitee answers: no OperationOutcome.
fn refusal(status: StatusCode, message: &str) -> Response {
    (status, axum::Json(json!({ "message": message, "http_status_code": status.as_u16() }))).into_response()
}

fn fhir(status: StatusCode, body: Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/fhir+json;charset=UTF-8")], body.to_string()).into_response()
}

fn not_allowed() -> Response {
    fhir(StatusCode::METHOD_NOT_ALLOWED, outcome("not-supported", "Only GET and POST _search are allowed"))
}

fn parameters(text: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}

async fn search(State(directory): State<Directory>, Path(kind): Path<String>, method: Method, uri: Uri) -> Response {
    if method != Method::GET {
        return not_allowed();
    }
    directory.0.answer(&kind, parameters(uri.query().unwrap_or_default()), &uri)
}

async fn search_form(
    State(directory): State<Directory>,
    Path(kind): Path<String>,
    method: Method,
    uri: Uri,
    body: Bytes,
) -> Response {
    let mut given = parameters(uri.query().unwrap_or_default());
    if method == Method::POST {
        given.extend(parameters(&String::from_utf8_lossy(&body)));
    } else if method != Method::GET {
        return not_allowed();
    }
    directory.0.answer(&kind, given, &uri)
}

async fn read(
    State(directory): State<Directory>,
    Path((kind, id)): Path<(String, String)>,
    method: Method,
) -> Response {
    if method != Method::GET {
        return not_allowed();
    }
    match directory.0.register.read(&kind, &id) {
        Some(resource) => fhir(StatusCode::OK, resource.clone()),
        None if is_kind(&kind) => {
            fhir(StatusCode::NOT_FOUND, outcome("not-found", &format!("HAPI-2001: Resource {kind}/{id} is not known")))
        }
        None => fhir(StatusCode::NOT_FOUND, unknown_kind(&kind)),
    }
}

/// A following page: its id is the whole search, and means nothing to who follows it.
async fn page(State(directory): State<Directory>, method: Method, uri: Uri) -> Response {
    if method != Method::GET {
        return not_allowed();
    }
    let given = parameters(uri.query().unwrap_or_default());
    let id = given.iter().find(|(name, _)| name == "id").map_or("", |(_, value)| value);
    let read = Some(id).filter(|id| id.len() <= MAX_PAGE_ID).and_then(|id| URL_SAFE_NO_PAD.decode(id).ok());
    match read.and_then(|octets| serde_json::from_slice::<Search>(&octets).ok()) {
        Some(search) if is_kind(&search.kind) => fhir(StatusCode::OK, directory.0.bundle(&search, &uri)),
        _ => fhir(StatusCode::GONE, outcome("processing", "HAPI-0417: Search ID does not exist and may have expired")),
    }
}

fn unknown_kind(kind: &str) -> Value {
    outcome(
        "processing",
        &format!("HAPI-0302: Unknown resource type '{kind}' - Server knows how to handle: [{}]", KINDS.join(", ")),
    )
}

impl Inner {
    fn answer(&self, kind: &str, given: Vec<(String, String)>, uri: &Uri) -> Response {
        if !is_kind(kind) {
            return fhir(StatusCode::NOT_FOUND, unknown_kind(kind));
        }
        match Search::read(kind, given) {
            Ok(search) => fhir(StatusCode::OK, self.bundle(&search, uri)),
            Err(why) => fhir(StatusCode::BAD_REQUEST, outcome("processing", &why)),
        }
    }

    fn bundle(&self, search: &Search, uri: &Uri) -> Value {
        let (total, found) = search.run(&self.register);
        // The path as it was called: the nest took its beginning away.
        let mut links = vec![json!({ "relation": "self", "url": format!("{}{FHIR}{uri}", self.origin) })];
        let next = Search { offset: search.offset.saturating_add(search.count), ..search.clone() };
        if search.count > 0 && next.offset < total {
            // A Search is text and numbers.
            let id = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&next).unwrap_or_default());
            links.push(json!({ "relation": "next", "url": format!("{}{FHIR}/_page?id={id}", self.origin) }));
        }
        let entries: Vec<Value> = found
            .into_iter()
            .map(|(mode, resource)| {
                let (kind, id) = (resource["resourceType"].as_str(), resource["id"].as_str());
                json!({
                    "fullUrl": format!("{}{FHIR}/{}/{}", self.origin, kind.unwrap_or_default(), id.unwrap_or_default()),
                    "resource": search.shaped(resource),
                    "search": { "mode": mode },
                })
            })
            .collect();
        json!({ "resourceType": "Bundle", "type": "searchset", "total": total, "link": links, "entry": entries })
    }
}

async fn metadata(State(directory): State<Directory>) -> Response {
    let resources: Vec<Value> = KINDS
        .iter()
        .map(|kind| json!({ "type": kind, "interaction": [{ "code": "read" }, { "code": "search-type" }] }))
        .collect();
    fhir(
        StatusCode::OK,
        json!({
            "resourceType": "CapabilityStatement",
            "status": "active",
            "kind": "instance",
            "fhirVersion": "4.0.1",
            "format": ["application/fhir+json", "json"],
            "implementation": { "description": "Annuaire Santé of a sandbox", "url": format!("{}{FHIR}", directory.0.origin) },
            "rest": [{ "mode": "server", "resource": resources }],
        }),
    )
}

/// The archive: free, with the validators of a conditional GET.
async fn archive(State(directory): State<Directory>, headers: HeaderMap) -> Response {
    let inner = &directory.0;
    let validators = [(header::ETAG, inner.etag.clone()), (header::LAST_MODIFIED, inner.modified.clone())];
    // RFC 9110 §13.1.3: If-Modified-Since counts only without If-None-Match.
    let unchanged = match (headers.get(header::IF_NONE_MATCH), headers.get(header::IF_MODIFIED_SINCE)) {
        (Some(tag), _) => *tag == inner.etag,
        (None, date) => date.is_some_and(|date| *date == inner.modified),
    };
    if unchanged {
        return (StatusCode::NOT_MODIFIED, validators).into_response();
    }
    let name = format!("attachment; filename=\"{}\"", inner.archive.name);
    let kind = [(header::CONTENT_TYPE, "application/zip".to_owned()), (header::CONTENT_DISPOSITION, name)];
    (validators, kind, inner.archive.octets.clone()).into_response()
}
