//! The client against servers that are kind, strange, slow and hostile. DIR-READ

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use mssante::MailboxKind;
use patience::PATIENCE;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use trust::SystemClock;

use super::pace::CALLS;
use super::{ApiError, Client, MAX_CALLS, MAX_PAGE, entries_of_page};
use crate::{ApiKey, Query, Source};

type Answers = Arc<dyn Fn(usize, &str) -> Response + Send + Sync>;

/// A server whose answers are a function of how many calls came before and of the path and query.
struct Fake {
    base: String,
    calls: Arc<AtomicUsize>,
    when: Arc<Mutex<Vec<Instant>>>,
    _stop: tokio_util::sync::DropGuard,
}

#[derive(Clone)]
struct Behind {
    answers: Answers,
    calls: Arc<AtomicUsize>,
    when: Arc<Mutex<Vec<Instant>>>,
}

async fn answer(State(behind): State<Behind>, uri: axum::http::Uri, headers: HeaderMap) -> Response {
    behind.when.lock().expect("no panic").push(Instant::now());
    let number = behind.calls.fetch_add(1, Ordering::SeqCst);
    if headers.get("ESANTE-API-KEY").is_none_or(|key| key != "secret-key") {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    (behind.answers)(number, &uri.to_string())
}

impl Fake {
    async fn start(answers: impl Fn(usize, &str) -> Response + Send + Sync + 'static) -> Fake {
        let behind = Behind { answers: Arc::new(answers), calls: Arc::default(), when: Arc::default() };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}/fhir/v2", listener.local_addr().expect("bound"));
        let stop = CancellationToken::new();
        let (calls, when) = (behind.calls.clone(), behind.when.clone());
        let router = Router::new().fallback(answer).with_state(behind);
        tokio::spawn(trust::http::serve(listener, None, router, stop.clone()));
        Fake { base, calls, when, _stop: stop.drop_guard() }
    }

    fn client(&self) -> Client {
        let key = ApiKey::new("secret-key").expect("printable");
        Client::new(self.base.parse().expect("a URL"), &key, Some(&[]), SystemClock::shared()).expect("a client")
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

fn page(resources: &[Value], next: Option<&str>) -> Response {
    axum::Json(bundle(resources, next)).into_response()
}

fn bundle(resources: &[Value], next: Option<&str>) -> Value {
    let entries: Vec<Value> = resources.iter().map(|resource| json!({ "resource": resource })).collect();
    let mut links = vec![json!({ "relation": "self", "url": "http://x/" })];
    links.extend(next.map(|url| json!({ "relation": "next", "url": url })));
    json!({ "resourceType": "Bundle", "type": "searchset", "link": links, "entry": entries })
}

/// A mailbox as the interface has it.
fn telecom(address: &str, kind: &str, red: bool) -> Value {
    let base = "https://interop.esante.gouv.fr/ig/fhir/annuaire/StructureDefinition";
    json!({ "system": "email", "value": address, "extension": [
        { "url": "https://hl7.fr/ig/fhir/core/StructureDefinition/fr-core-contact-point-email-type",
          "valueCoding": { "system": "x", "code": "MSSANTE" } },
        { "url": format!("{base}/as-ext-mailbox-mss-metadata"), "extension": [
            { "url": "type", "valueCodeableConcept": { "coding": [{ "system": "R256 by mistake", "code": kind }] } },
            { "url": "digitization", "valueBoolean": true },
            { "url": "service", "valueString": " Soins \n intensifs " },
            { "url": "listeRouge", "valueBoolean": red } ] } ] })
}

fn practitioner(id: &str, family: &str, telecoms: Vec<Value>) -> Value {
    json!({ "resourceType": "Practitioner", "id": id, "active": true, "telecom": telecoms,
        "identifier": [{ "system": "urn:oid:1.2.250.1.71.4.2.1", "value": "899700000088" }],
        "name": [{ "family": family, "given": ["Émilie"], "prefix": ["MME"], "suffix": ["DR"] }],
        "qualification": [
            { "code": { "coding": [{ "system": "https://mos.esante.gouv.fr/NOS/TRE_G15-ProfessionSante/FHIR/TRE-G15-ProfessionSante", "code": "10" }] } },
            { "code": { "coding": [{ "system": "https://mos.esante.gouv.fr/NOS/TRE_R38-SpecialiteOrdinale/FHIR/TRE-R38-SpecialiteOrdinale", "code": "SM04" }] } } ] })
}

fn organization(id: &str, telecoms: Vec<Value>) -> Value {
    json!({ "resourceType": "Organization", "id": id, "active": true, "name": "HOPITAL DE L'ETANG", "telecom": telecoms,
        "identifier": [{ "system": "https://finess.esante.gouv.fr", "value": "420000001" }],
        "address": [{ "city": "ST ETIENNE", "postalCode": "42000", "country": "FR" }] })
}

fn role(id: &str, practitioner: &str, organization: &str, telecoms: Vec<Value>) -> Value {
    json!({ "resourceType": "PractitionerRole", "id": id, "active": true, "telecom": telecoms,
        "practitioner": { "reference": format!("Practitioner/{practitioner}") },
        "organization": { "reference": format!("https://gateway/fhir/v1/Organization/{organization}") } })
}

fn entries(resources: &[Value]) -> Vec<crate::Entry> {
    let text = serde_json::to_vec(&bundle(resources, None)).expect("JSON");
    entries_of_page(&text, SystemTime::now()).expect("a page")
}

#[test]
fn a_person_a_role_and_a_structure_become_entries() {
    let found = entries(&[
        practitioner("p", "TOUR", vec![telecom("e.tour@medecin.mssante.fr", "CAB", false)]),
        role("r", "p", "o", vec![telecom("e.tour@chu.mssante.fr", "PER", false)]),
        organization(
            "o",
            vec![
                telecom("labo@chu.mssante.fr", "APP", false),
                json!({ "system": "email", "value": "contact@chu-etang.fr" }),
                json!({ "system": "email", "value": "accueil@chu.mssante.fr" }),
                json!({ "system": "phone", "value": "0400000000" }),
            ],
        ),
    ]);
    let of = |address: &str| found.iter().find(|e| e.address.to_string() == address).expect("found");
    assert_eq!(found.len(), 3, "ordinary e-mail never: {found:?}");
    let own = of("e.tour@medecin.mssante.fr");
    assert_eq!((own.kind, own.name().as_str(), own.rpps()), (MailboxKind::Cab, "DR Émilie TOUR", Some("99700000088")));
    assert_eq!(own.profession().map(|p| p.label.as_str()), Some("Médecin"));
    assert_eq!(own.speciality().map(|s| s.code.as_str()), Some("SM04"));
    assert_eq!((own.structure(), own.place().as_deref()), (Some("HOPITAL DE L'ETANG"), Some("42000 ST ETIENNE")));
    assert_eq!((own.source, own.paperless), (Source::Api, Some(true)));
    let there = of("e.tour@chu.mssante.fr");
    assert_eq!(there.site().map(|s| (s.service.as_str(), s.department.as_str())), Some(("Soins intensifs", "42")));
    let labo = of("labo@chu.mssante.fr");
    assert_eq!(
        (labo.kind, labo.person.is_none(), labo.sites[0].structure_id.as_str()),
        (MailboxKind::App, true, "420000001")
    );
}

#[test]
fn nobody_inactive_and_nothing_outside_the_trust_space() {
    let mut closed = practitioner("p", "TOUR", vec![telecom("a@chu.mssante.fr", "PER", false)]);
    closed["active"] = json!(false);
    let of_closed = role("r", "p", "o", vec![telecom("b@chu.mssante.fr", "PER", false)]);
    let mut past = role("r2", "q", "o", vec![telecom("c@chu.mssante.fr", "PER", false)]);
    past["period"] = json!({ "start": "2019-01-01", "end": "2020-12-31" });
    let mut structure = organization("o2", vec![telecom("d@chu.mssante.fr", "ORG", false)]);
    structure["active"] = json!("false");
    let there = role("r3", "q", "o2", vec![telecom("e@chu.mssante.fr", "PER", false)]);
    let mut over = telecom("f@chu.mssante.fr", "PER", false);
    over["period"] = json!({ "end": "2020-01-01T00:00:00Z" });
    let good = practitioner(
        "q",
        "BON",
        vec![
            over,
            telecom("g@gmail.com", "PER", false),
            telecom("255069999999934@patient.mssante.fr", "PER", false),
            telecom("not an address", "PER", false),
            telecom("h@chu.mssante.fr", "XYZ", false),
        ],
    );
    let found = entries(&[closed, of_closed, past, structure, there, good]);
    assert_eq!(
        found.iter().map(|e| (e.address.to_string(), e.kind)).collect::<Vec<_>>(),
        [("h@chu.mssante.fr".to_owned(), MailboxKind::Per)]
    );
}

#[test]
fn wrong_types_cost_what_they_stand_in_and_no_more() {
    let good = practitioner("p", "TOUR", vec![telecom("a@chu.mssante.fr", "PER", false)]);
    for broken in [
        json!(null),
        json!(3),
        json!("text"),
        json!([]),
        json!({}),
        json!([[], {}, 1, "x", null]),
        json!({"a": {"b": []}}),
        json!(true),
        json!(-1.5e300),
    ] {
        let mut resources = vec![broken.clone()];
        for field in [
            "active",
            "name",
            "telecom",
            "identifier",
            "qualification",
            "period",
            "id",
            "resourceType",
            "address",
            "practitioner",
            "organization",
            "alias",
            "code",
        ] {
            for mut resource in [practitioner("x", "X", vec![]), organization("y", vec![]), role("z", "x", "y", vec![])]
            {
                resource[field] = broken.clone();
                resources.push(resource);
            }
        }
        for field in ["url", "extension", "valueCoding", "valueBoolean", "valueCodeableConcept"] {
            let mut telecom = telecom("b@chu.mssante.fr", "PER", false);
            telecom["extension"][1]["extension"][0][field] = broken.clone();
            telecom["extension"][0][field] = broken.clone();
            resources.push(practitioner("w", "W", vec![telecom, broken.clone()]));
        }
        resources.push(good.clone());
        let found = entries(&resources);
        assert!(found.iter().any(|e| e.address.to_string() == "a@chu.mssante.fr"), "{broken}");
        // An envelope of the wrong shape is an empty page, not a panic.
        for field in ["entry", "link", "issue"] {
            let mut page = bundle(std::slice::from_ref(&good), None);
            page[field] = broken.clone();
            let text = serde_json::to_vec(&page).expect("JSON");
            assert!(entries_of_page(&text, SystemTime::now()).is_some(), "{field}: {broken}");
        }
    }
}

#[tokio::test]
async fn pages_are_followed_verbatim_and_structures_fetched() {
    let server = Fake::start(|_, uri| {
        if uri.starts_with("/fhir/v2/Practitioner?") && uri.contains("family%3Acontains=tour") {
            page(
                &[
                    practitioner("p", "TOUR", vec![]),
                    role("r", "p", "o", vec![telecom("a@chu.mssante.fr", "PER", false)]),
                ],
                Some("/fhir/v2/_page?id=%7Eopaque+1"),
            )
        } else if uri == "/fhir/v2/_page?id=%7Eopaque+1" {
            page(&[practitioner("q", "TOURNIER", vec![telecom("b@chu.mssante.fr", "PER", false)])], None)
        } else if uri.starts_with("/fhir/v2/Organization?_id=o&") {
            page(&[organization("o", vec![telecom("c@chu.mssante.fr", "ORG", false)])], None)
        } else {
            StatusCode::IM_A_TEAPOT.into_response()
        }
    })
    .await;
    let answer = server.client().find(&Query::by_name("Tour")).await.expect("found");
    let found: Vec<String> = answer.entries.iter().map(|e| e.address.to_string()).collect();
    assert_eq!(found, ["a@chu.mssante.fr", "b@chu.mssante.fr"], "and not the mailbox of the structure");
    assert_eq!((answer.complete, server.calls()), (true, 3));
    assert_eq!(answer.entries[0].place().as_deref(), Some("42000 ST ETIENNE"));
    let one = server.client().find(&Query { limit: 1, ..Query::by_name("Tour") }).await.expect("found");
    assert_eq!((one.entries.len(), one.complete), (1, false));
}

#[tokio::test]
async fn a_place_leads_to_structures_and_to_who_practises_there() {
    let server = Fake::start(|_, uri| {
        if uri.starts_with("/fhir/v2/Organization?active=true&address-postalcode=42&") {
            page(&[organization("o", vec![telecom("c@chu.mssante.fr", "ORG", false)])], None)
        } else if uri.starts_with("/fhir/v2/PractitionerRole?active=true&organization=o&_include=") {
            page(
                &[
                    role("r", "p", "o", vec![telecom("a@chu.mssante.fr", "PER", false)]),
                    practitioner("p", "TOUR", vec![]),
                ],
                None,
            )
        } else {
            StatusCode::IM_A_TEAPOT.into_response()
        }
    })
    .await;
    let place = Query { place: "42".parse().ok(), ..Query::default() };
    let answer = server.client().find(&place).await.expect("found");
    assert_eq!(answer.entries.iter().map(|e| e.kind).collect::<Vec<_>>(), [MailboxKind::Org, MailboxKind::Per]);
    let cardiologists = Query { speciality: Some("cardio".to_owned()), ..place };
    assert_eq!(server.client().find(&cardiologists).await.expect("found").entries.len(), 1);
}

#[tokio::test]
async fn the_red_list_comes_out_for_its_exact_address_only() {
    let server = Fake::start(|_, uri| match uri.contains("/Practitioner?") {
        true => page(&[practitioner("p", "TOUR", vec![telecom("Rouge@chu.mssante.fr", "PER", true)])], None),
        false => page(&[], None),
    })
    .await;
    let find = async |query: Query| server.client().find(&query).await.expect("asked").entries.len();
    assert_eq!(find(Query::by_name("tour")).await, 0);
    assert_eq!(find(Query { address: Some("rouge@chu".to_owned()), ..Query::default() }).await, 0);
    assert_eq!(find(Query { address: Some("rouge@CHU.mssante.fr".to_owned()), ..Query::default() }).await, 1);
}

#[tokio::test]
async fn hostile_pages() {
    let same = Fake::start(|_, _| page(&[], Some("/fhir/v2/_page?id=1"))).await;
    assert!(matches!(same.client().find(&Query::by_name("a b")).await, Err(ApiError::Circle)));
    assert_eq!(same.calls(), 2);

    let elsewhere = Fake::start(|_, _| page(&[], None)).await;
    let there = format!("{}/_page?id=1", elsewhere.base);
    let away = Fake::start(move |_, _| page(&[], Some(&there))).await;
    assert!(matches!(away.client().find(&Query::by_name("aaa")).await, Err(ApiError::OtherOrigin)));
    assert_eq!(elsewhere.calls(), 0, "the key went nowhere else");

    let redirect =
        Fake::start(|_, _| (StatusCode::FOUND, [("location", "https://example.com/")]).into_response()).await;
    assert!(matches!(redirect.client().find(&Query::by_name("aaa")).await, Err(ApiError::Broken(302))));

    let large = Fake::start(|_, _| {
        let chunk = bytes(1 << 20);
        let body = axum::body::Body::from_stream(Endless(chunk, 100));
        body.into_response()
    })
    .await;
    assert!(matches!(large.client().find(&Query::by_name("aaa")).await, Err(ApiError::TooLarge(MAX_PAGE))));

    let deep = Fake::start(|_, _| "[".repeat(100_000).into_response()).await;
    assert!(matches!(deep.client().find(&Query::by_name("aaa")).await, Err(ApiError::NotFhir(_))));
    let other = Fake::start(|_, _| axum::Json(json!({ "resourceType": "Patient" })).into_response()).await;
    assert!(matches!(other.client().find(&Query::by_name("aaa")).await, Err(ApiError::NotFhir(_))));
}

fn bytes(size: usize) -> Vec<u8> {
    vec![b' '; size]
}

/// So many times the same chunk.
struct Endless(Vec<u8>, usize);

impl futures_core::Stream for Endless {
    type Item = Result<Vec<u8>, std::io::Error>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.1 = self.1.saturating_sub(1);
        std::task::Poll::Ready((self.1 > 0).then(|| Ok(self.0.clone())))
    }
}

#[tokio::test]
async fn endless_pages_end_and_the_answer_says_so() {
    let server = Fake::start(|number, _| {
        let next = format!("/fhir/v2/_page?id={}", number + 1);
        page(&[practitioner("p", "TOUR", vec![telecom("a@chu.mssante.fr", "PER", false)])], Some(&next))
    })
    .await;
    let answer = server.client().find(&Query::by_name("tour")).await.expect("found");
    assert_eq!((answer.entries.len(), answer.complete, server.calls()), (1, false, MAX_CALLS));
}

#[tokio::test]
async fn seventeen_calls_a_second_whoever_asks() {
    let server = Fake::start(|_, _| page(&[], None)).await;
    let client = server.client();
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..45 {
        let client = client.clone();
        asking.spawn(async move { client.find(&Query::by_name("tour")).await.map(|answer| answer.complete) });
    }
    while let Some(done) = asking.join_next().await {
        assert!(done.expect("no panic").expect("answered"));
    }
    let mut when = server.when.lock().expect("no panic").clone();
    when.sort();
    assert_eq!(when.len(), 45);
    let closest = when.windows(CALLS + 1).map(|w| w[CALLS] - w[0]).min().expect("windows");
    assert!(closest >= Duration::from_secs(1), "eighteen calls within {closest:?}");
}

#[tokio::test]
async fn trouble_that_passes_is_waited_for() {
    let start = Instant::now();
    let server = Fake::start(|number, _| match number {
        0 => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "1")]).into_response(),
        1 => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        _ => page(&[], None),
    })
    .await;
    assert!(server.client().find(&Query::by_name("tour")).await.expect("at last").complete);
    assert!(start.elapsed() >= Duration::from_secs(1), "Retry-After was kept");
    assert_eq!(server.calls(), 3);

    // Longer than anybody waits: said at once.
    let far = Fake::start(|_, _| (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "3600")]).into_response()).await;
    let client = far.client();
    for _everybody in 0..2 {
        let said = tokio::time::timeout(PATIENCE, client.find(&Query::by_name("tour"))).await.expect("not an hour");
        assert!(matches!(said, Err(ApiError::TooMany)));
    }
    assert_eq!(far.calls(), 1);
}

#[tokio::test]
async fn trouble_that_does_not_pass_is_told() {
    let of = async |status: u16, body: Value| {
        let server = Fake::start(move |_, _| {
            (StatusCode::from_u16(status).expect("a status"), axum::Json(body.clone())).into_response()
        })
        .await;
        let result = server.client().find(&Query::by_name("tour")).await;
        (result.expect_err("refused"), server.calls())
    };
    let outcome = json!({ "resourceType": "OperationOutcome", "issue": [
        { "severity": "error", "code": "processing", "diagnostics": "HAPI-0524:\n unknown parameter" }] });
    let (error, calls) = of(400, outcome.clone()).await;
    assert!(matches!(error, ApiError::Refused { status: 400, ref said } if said == "HAPI-0524: unknown parameter"));
    assert_eq!(calls, 1, "it would be refused again");
    assert!(matches!(of(200, outcome).await.0, ApiError::Refused { status: 200, .. }));
    assert!(matches!(of(403, json!({})).await.0, ApiError::Key(403)));
    assert!(matches!(of(500, json!({})).await, (ApiError::Broken(500), 1)));

    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}/fhir/v2", silent.local_addr().expect("bound")).parse().expect("a URL");
    let key = ApiKey::new("secret-key").expect("printable");
    let client = Client::new(base, &key, Some(&[]), SystemClock::shared()).expect("a client");
    let client = client.with_deadline(Duration::from_millis(300));
    let error = client.find(&Query::by_name("tour")).await.expect_err("silence");
    assert!(matches!(error, ApiError::TimeOut(_)) && error.is_temporary());

    drop(silent);
    let error = client.find(&Query::by_name("secretname")).await.expect_err("nobody there");
    assert!(!error.to_string().contains("secretname"), "{error}");
}

#[tokio::test]
async fn a_search_that_is_dropped_leaves_the_client_usable() {
    let server = Fake::start(|number, _| match number {
        0 => (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "0")]).into_response(),
        _ => page(&[], None),
    })
    .await;
    let client = server.client();
    let dropped = tokio::time::timeout(Duration::from_millis(1), client.find(&Query::by_name("tour"))).await;
    drop(dropped);
    assert!(client.find(&Query::by_name("tour")).await.is_ok());
}
