//! The Annuaire Santé of the sandbox, asked from outside: as a plain HTTP program, and by the `directory` crate. DIR-READ

use directory::{ApiKey, Client, Extraction, Query, Settings, Source};
use mssante::MailboxKind;
use serde_json::Value;
use trust::SystemClock;

use crate::Outside;

/// Everything that is asked of it.
pub async fn answers(outside: &Outside<'_>) {
    by_hand(outside).await;
    refusals(outside).await;
    by_client(outside).await;
    offline(outside).await;
}

async fn get(outside: &Outside<'_>, path: &str) -> (u16, Value) {
    let own = &outside.description.directory;
    let url = if path.starts_with("https://") { path.to_owned() } else { format!("{}/{path}", own.url) };
    loop {
        let request = outside.http.get(&url).header("ESANTE-API-KEY", &own.api_key);
        let response = request.send().await.expect("answers");
        let status = response.status().as_u16();
        // Its seventeen calls a second count for these tests too.
        if status == 429 {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            continue;
        }
        return (status, response.json().await.unwrap_or_default());
    }
}

async fn by_hand(outside: &Outside<'_>) {
    let (status, page) = get(outside, "Practitioner?qualification-code=10&active=true").await;
    assert_eq!((status, page["resourceType"].as_str()), (200, Some("Bundle")));
    let (total, mut seen) = (page["total"].as_u64().expect("a number"), 0);
    assert!(total > 100);
    let mut page = page;
    loop {
        let entries = page["entry"].as_array().expect("entries");
        assert!(entries.len() <= 50, "fifty unless asked otherwise");
        seen += entries.len() as u64;
        let next = page["link"].as_array().into_iter().flatten().find(|link| link["relation"] == "next");
        let Some(next) = next.and_then(|link| link["url"].as_str()).map(str::to_owned) else { break };
        assert!(next.contains("/fhir/v2/_page?id=") && !next.contains("qualification"), "opaque: {next}");
        page = get(outside, &next).await.1;
    }
    assert_eq!(seen, total);

    let (_, page) = get(
        outside,
        "Practitioner?family=leroy&given:contains=OPHI&_revinclude=PractitionerRole:practitioner&_elements=telecom,name",
    )
    .await;
    let entries = page["entry"].as_array().expect("entries");
    let of = |kind: &str| entries.iter().find(|e| e["resource"]["resourceType"] == kind).expect(kind);
    assert_eq!(of("Practitioner")["search"]["mode"], "match");
    assert_eq!(of("PractitionerRole")["search"]["mode"], "include");
    assert_eq!(of("PractitionerRole")["resource"]["telecom"][0]["value"], "sophie.leroy@beta.formation.mssante.fr");
    assert!(of("Practitioner")["resource"].get("identifier").is_none(), "_elements");

    let own = &outside.description.directory;
    let form = [("name:contains", "alpha"), ("_count", "1")];
    let request = outside.http.post(format!("{}/Organization/_search", own.url));
    let found: Value = request
        .header("ESANTE-API-KEY", &own.api_key)
        .form(&form)
        .send()
        .await
        .expect("sent")
        .json()
        .await
        .expect("JSON");
    assert_eq!(
        (found["total"].as_u64(), found["entry"][0]["resource"]["name"].as_str()),
        (Some(1), Some("HOPITAL ALPHA"))
    );
    let telecoms = found["entry"][0]["resource"]["telecom"].as_array().expect("telecoms");
    assert!(telecoms.iter().any(|t| t["value"] == "labo@alpha.formation.mssante.fr"));
    assert!(telecoms.iter().any(|t| t["system"] == "email" && t.get("extension").is_none()), "ordinary e-mail too");
    assert_eq!(get(outside, "metadata").await.1["resourceType"], "CapabilityStatement");
    let id = found["entry"][0]["resource"]["id"].as_str().expect("an id");
    assert_eq!(get(outside, &format!("Organization/{id}")).await.0, 200);
}

async fn refusals(outside: &Outside<'_>) {
    let own = &outside.description.directory;
    for path in ["Practitioner?mailbox-mss-type=PER", "Practitioner?astrology=yes", "Practitioner?active:contains=t"] {
        let (status, outcome) = get(outside, path).await;
        assert_eq!((status, outcome["resourceType"].as_str()), (400, Some("OperationOutcome")), "{path}");
    }
    for path in ["Patient?name=x", "Practitioner/003-1", "x/y/z"] {
        assert_eq!(get(outside, path).await.0, 404, "{path}");
    }
    assert_eq!(get(outside, "_page?id=x").await.0, 410);
    let wrong =
        outside.http.get(format!("{}/metadata", own.url)).header("ESANTE-API-KEY", "x").send().await.expect("sent");
    assert_eq!(wrong.status(), 401);
    assert_eq!(outside.http.get(format!("{}/metadata", own.url)).send().await.expect("sent").status(), 401);
    // A new second, so that the calls before do not count.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    for request in [
        outside.http.put(format!("{}/Practitioner/1", own.url)),
        outside.http.delete(format!("{}/Practitioner/1", own.url)),
    ] {
        assert_eq!(request.header("ESANTE-API-KEY", &own.api_key).send().await.expect("sent").status(), 405);
    }
    let mut statuses = Vec::new();
    for _ in 0..40 {
        let request = outside.http.get(format!("{}/Device?_count=0", own.url)).header("ESANTE-API-KEY", &own.api_key);
        statuses.push(request.send().await.expect("sent").status().as_u16());
    }
    assert!(statuses.contains(&429), "forty calls at once: {statuses:?}");
}

async fn by_client(outside: &Outside<'_>) {
    let own = &outside.description.directory;
    let key = ApiKey::new(&own.api_key).expect("a key");
    let url = own.url.parse().expect("a URL");
    let client = Client::new(url, &key, Some(outside.anchors.certificates()), SystemClock::shared()).expect("a client");
    let find = async |query: Query| client.find(&query).await.expect("found");
    let addresses =
        |answer: &directory::Answer| answer.entries.iter().map(|e| e.address.to_string()).collect::<Vec<_>>();

    let sophie = find(Query::by_name("leroy")).await;
    assert!(sophie.complete);
    assert_eq!(addresses(&sophie)[0], "sophie.leroy@beta.formation.mssante.fr");
    let entry = &sophie.entries[0];
    assert_eq!(
        (entry.kind, entry.source, entry.structure()),
        (MailboxKind::Per, Source::Api, Some("MAISON DE SANTE BETA"))
    );
    assert_eq!(entry.rpps(), Some("99700000039"));

    let cardiologists =
        find(Query { speciality: Some("cardiologie".to_owned()), place: "Paris".parse().ok(), ..Query::default() })
            .await;
    assert!(addresses(&cardiologists).contains(&"marie.martin@alpha.formation.mssante.fr".to_owned()));
    let software =
        find(Query { structure: "1420000001".parse().ok(), kinds: vec![MailboxKind::App], ..Query::default() }).await;
    assert_eq!(addresses(&software), ["labo@beta.formation.mssante.fr"]);
    let everybody = find(Query { profession: Some("medecin".to_owned()), limit: 1000, ..Query::default() }).await;
    assert!(everybody.complete && everybody.entries.len() > 110, "{} physicians over pages", everybody.entries.len());
    assert!(find(Query::by_name("retraite")).await.entries.is_empty(), "inactive");
    assert!(find(Query::by_name("discrete")).await.entries.is_empty(), "liste rouge");
    let cabinet = find(Query { kinds: vec![MailboxKind::Cab], place: "74".parse().ok(), ..Query::default() }).await;
    assert!(!cabinet.entries.is_empty() && cabinet.entries.iter().all(|e| e.address.local() == "cabinet.du.port"));
    let exact = find(Query::by_address(&entry.address)).await;
    assert_eq!(exact.entries.len(), 1);
}

async fn offline(outside: &Outside<'_>) {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = Settings {
        extraction: Some(outside.description.directory.extraction.clone()),
        index: Some(folder.path().join("index")),
        ..Settings::default()
    };
    let extraction =
        Extraction::new(&settings, outside.anchors.certificates(), SystemClock::shared()).expect("settings");
    let taken = extraction.update(|_| {}).await.expect("taken in");
    assert!(matches!(&taken, directory::extraction::Update::Taken(facts) if facts.entries > 300 && facts.refused == 0));
    assert!(matches!(extraction.update(|_| {}).await, Ok(directory::extraction::Update::Unchanged(_))));
    let index = extraction.index().expect("there");
    let found = index.find(&Query { place: "42".parse().ok(), ..Query::by_name("leroy") }).expect("searched");
    // Words are found by their beginning: Chloé LEROYER of Saint-Étienne too.
    assert_eq!(found.entries.iter().map(|e| e.address.local()).collect::<Vec<_>>(), ["sophie.leroy", "chloe.leroyer"]);
    assert!(index.find(&Query::by_name("discrete")).expect("searched").entries.is_empty());
}
