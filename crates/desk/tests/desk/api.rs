//! The REST API: what `openapi.json` says is what there is.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::{JOB, Stage};

#[test]
fn the_description_and_the_routes_agree() {
    let description: Value = serde_json::from_str(include_str!("../../src/api/openapi.json")).expect("JSON");
    let mut told = BTreeSet::new();
    for (path, methods) in description["paths"].as_object().expect("paths") {
        for method in methods.as_object().expect("methods").keys() {
            told.insert(format!("{method} {path}"));
        }
    }
    let mut there = BTreeSet::new();
    for line in include_str!("../../src/api/mod.rs").lines() {
        let Some(rest) = line.trim().strip_prefix(".route(\"") else { continue };
        let (path, handlers) = rest.split_once('"').expect("a path");
        for method in ["get", "post", "delete", "put"] {
            if handlers.contains(&format!("{method}(")) {
                there.insert(format!("{method} {path}"));
            }
        }
    }
    assert_eq!(told, there);
}

/// A value against a schema of the description: types, required keys, no key that is not told.
fn check(description: &Value, schema: &Value, value: &Value, at: &str) {
    if let Some(name) = schema["$ref"].as_str() {
        let schema = &description["components"]["schemas"][name.rsplit('/').next().expect("a name")];
        return check(description, schema, value, at);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let choice = if value.is_null() { &choices[1] } else { &choices[0] };
        return check(description, choice, value, at);
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        kind => vec![kind.as_str().unwrap_or_else(|| panic!("{at}: no type"))],
    };
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    assert!(kinds.contains(&kind), "{at}: {value}");
    if let Some(values) = schema["enum"].as_array() {
        assert!(values.contains(value), "{at}: {value}");
    }
    match value {
        Value::Array(items) => {
            items.iter().for_each(|item| check(description, &schema["items"], item, &format!("{at}[]")))
        }
        Value::Object(object) => {
            for key in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                assert!(object.contains_key(key), "{at}: {key} is missing");
            }
            for (key, value) in object {
                let at = format!("{at}.{key}");
                match (schema["properties"].get(key), schema.get("additionalProperties")) {
                    (Some(schema), _) => check(description, schema, value, &at),
                    (None, Some(Value::Object(_))) => check(description, &schema["additionalProperties"], value, &at),
                    (None, Some(Value::Bool(true))) => {}
                    _ => panic!("{at}: not told"),
                }
            }
        }
        _ => {}
    }
}

#[tokio::test]
async fn a_campaign_by_program() {
    let stage = Stage::new().await;
    stage.run_campaigns();
    let mut alpha = stage.signed("alpha").await;
    let token = alpha.token().await;
    let mut program = stage.browser();
    let description: Value = serde_json::from_str(&program.get("/api/openapi.json").await.text).expect("JSON");
    let call = async |program: &mut crate::Browser, method: &str, path: &str, told: &str, body: Value, status: u16| {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = program.call(&method.to_uppercase(), path, &token, &body).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {path}: {}", answer.text);
        let responses = &description["paths"][told][method]["responses"];
        let schema = &responses[status.to_string()]["content"]["application/json"]["schema"];
        if schema.is_null() {
            assert!(responses.get(status.to_string()).is_some(), "{method} {told} {status} is not told");
            return Value::Null;
        }
        let value: Value = serde_json::from_str(&answer.text).expect("JSON");
        check(&description, schema, &value, told);
        value
    };
    let none = Value::Null;
    call(&mut program, "get", "/api/v1/catalogue", "/api/v1/catalogue", none.clone(), 200).await;
    call(&mut program, "get", "/api/v1/catalogue/TLS-01", "/api/v1/catalogue/{case}", none.clone(), 200).await;
    call(&mut program, "get", "/api/v1/catalogue/TLS-99", "/api/v1/catalogue/{case}", none.clone(), 404).await;
    let templates = call(&mut program, "get", "/api/v1/modeles", "/api/v1/modeles", none.clone(), 200).await;
    assert_eq!(templates["modeles"][0]["nom"], "essai");
    let text = format!("{JOB}[trust]\nanchors = \"/etc/passwd\"\n");
    let jobs = "/api/v1/jobs";
    let made = call(&mut program, "post", jobs, jobs, json!({ "modele": "essai", "texte": text }), 201).await;
    assert_eq!(made["laisse"], json!(["trust"]));
    let wrong = json!({ "modele": "essai", "texte": JOB.replace("127.0.0.1:143", "10.0.0.1:143") });
    let wrong = call(&mut program, "post", jobs, jobs, wrong, 422).await;
    assert_eq!(wrong["erreur"]["champs"][0]["champ"], "api_lps.imap.address");
    call(&mut program, "post", jobs, jobs, json!({ "texte": JOB, "inconnu": 1 }), 422).await;
    call(&mut program, "get", jobs, jobs, none.clone(), 200).await;
    let job = format!("{jobs}/{}", made["id"].as_str().expect("an id"));
    call(&mut program, "get", &job, "/api/v1/jobs/{job}", none.clone(), 200).await;
    // Launched before anybody looked: looked at first, and what is wrong is told.
    let body = json!({ "autorise": true, "cas": ["ANN-01"] });
    let refused =
        call(&mut program, "post", &format!("{job}/campagnes"), "/api/v1/jobs/{job}/campagnes", body, 422).await;
    let fields: Vec<&str> = refused["erreur"]["champs"]
        .as_array()
        .expect("fields")
        .iter()
        .filter_map(|one| one["champ"].as_str())
        .collect();
    assert!(fields.contains(&"motif") && fields.contains(&"verification"), "{refused}");
    let found = call(
        &mut program,
        "post",
        &format!("{job}/verification"),
        "/api/v1/jobs/{job}/verification",
        none.clone(),
        200,
    )
    .await;
    assert_eq!(found["bon"], false);
    let (launch, told) = (format!("{job}/campagnes"), "/api/v1/jobs/{job}/campagnes");
    call(&mut program, "post", &launch, told, json!({ "autorise": false }), 422).await;
    call(&mut program, "post", &launch, told, json!({ "autorise": true, "cas": ["XXX"] }), 422).await;
    let body = json!({ "autorise": true, "cas": ["ANN-01", "ANN-02"] });
    call(&mut program, "post", &launch, told, body, 422).await;
    // The pre-flight found something: a reason is needed.
    let body = json!({ "autorise": true, "cas": ["ANN-01", "ANN-02"], "motif": "personne n'écoute, et c'est voulu" });
    let begun = call(&mut program, "post", &launch, told, body, 202).await;
    let campaign = format!("/api/v1/campagnes/{}", begun["id"].as_str().expect("an id"));
    let stream = program.call("GET", &format!("{campaign}/flux"), &token, "").await;
    assert!(stream.headers["content-type"].to_str().expect("text").starts_with("text/event-stream"));
    assert_eq!(stream.text.matches("event: cas").count(), 2, "{}", stream.text);
    let told = "/api/v1/campagnes/{campaign}";
    let over = call(&mut program, "get", &campaign, told, none.clone(), 200).await;
    assert_eq!(over["motif"], "personne n'écoute, et c'est voulu");
    assert_eq!(over["verification"][0]["bon"], false);
    assert_eq!(
        (&over["etat"], &over["faits"], &over["verdict"]),
        (&json!("terminee"), &json!(2), &json!("non_etabli"))
    );
    call(&mut program, "get", "/api/v1/campagnes", "/api/v1/campagnes", none.clone(), 200).await;
    call(&mut program, "get", &format!("{campaign}/cas"), &format!("{told}/cas"), none.clone(), 200).await;
    call(&mut program, "get", &format!("{campaign}/cas/ann-01"), &format!("{told}/cas/{{case}}"), none.clone(), 200)
        .await;
    call(&mut program, "post", &format!("{campaign}/arret"), &format!("{told}/arret"), none.clone(), 409).await;
    let again = call(
        &mut program,
        "post",
        &format!("{campaign}/relance"),
        &format!("{told}/relance"),
        json!({ "quoi": "echecs" }),
        202,
    )
    .await;
    assert_eq!(again["cas"], json!(["ANN-01", "ANN-02"]));
    let second = format!("/api/v1/campagnes/{}", again["id"].as_str().expect("an id"));
    program.call("GET", &format!("{second}/flux"), &token, "").await;
    let compare = format!("{second}/comparaison/{}", begun["id"].as_str().expect("an id"));
    let same = call(&mut program, "get", &compare, &format!("{told}/comparaison/{{other}}"), none.clone(), 200).await;
    assert_eq!(same["differences"], json!([]));
    for file in ["rapport.html", "rapport.json", "rapport.xml", "rapport.csv"] {
        let answer = program.call("GET", &format!("{campaign}/{file}"), &token, "").await;
        let kind = answer.headers["content-type"].to_str().expect("text").split(';').next().expect("a kind").to_owned();
        let told = &description["paths"][format!("{told}/{{file}}")]["get"]["responses"]["200"]["content"];
        assert!(answer.status == StatusCode::OK && told.get(&kind).is_some(), "{file}: {kind}");
    }
    call(&mut program, "get", &format!("{campaign}/rapport.exe"), &format!("{told}/{{file}}"), none.clone(), 404).await;
    let (watch, told) = (format!("{job}/surveillance"), "/api/v1/jobs/{job}/surveillance");
    call(&mut program, "put", &watch, told, json!({ "heures": 0, "autorise": true }), 422).await;
    let body = json!({ "heures": 672, "a": "03:30", "profondeur": "complet", "autorise": true });
    assert_eq!(call(&mut program, "put", &watch, told, body, 200).await["a"], "03:30");
    call(&mut program, "get", "/api/v1/surveillance", "/api/v1/surveillance", none.clone(), 200).await;
    call(&mut program, "delete", &watch, told, none.clone(), 204).await;
    call(&mut program, "get", "/api/v1/domaines", "/api/v1/domaines", none.clone(), 200).await;
    let body = json!({ "domaine": "alpha.test" });
    call(&mut program, "post", "/api/v1/domaines", "/api/v1/domaines", body, 409).await;
    call(&mut program, "delete", &job, "/api/v1/jobs/{job}", none.clone(), 204).await;
    call(&mut program, "get", &job, "/api/v1/jobs/{job}", none, 404).await;
    // A token that is revoked, or none, is nobody.
    let revoked = alpha.post("/jetons/1/revoquer", &[]).await;
    assert_eq!(revoked.status, StatusCode::SEE_OTHER);
    let answer = program.call("GET", jobs, &token, "").await;
    assert_eq!((answer.status, answer.headers.contains_key("www-authenticate")), (StatusCode::UNAUTHORIZED, true));
    // A cookie does nothing here.
    assert_eq!(alpha.get(jobs).await.status, StatusCode::UNAUTHORIZED);
}
