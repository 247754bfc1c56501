//! The data against the schemas that describe it. The part of JSON Schema that they use, and no more: an unknown word fails.

use serde_json::Value;

/// What is wrong, with where.
fn faults(value: &Value, schema: &Value, at: &str, out: &mut Vec<String>) {
    let Some(rules) = schema.as_object() else { return out.push(format!("{at}: not a schema")) };
    for (word, rule) in rules {
        let mut fault = |what: String| out.push(format!("{at}: {what}"));
        match word.as_str() {
            "$schema" | "title" | "description" => {}
            "type" => {
                let is = match rule.as_str().unwrap_or_default() {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "boolean" => value.is_boolean(),
                    "integer" => value.is_i64() || value.is_u64(),
                    _ => false,
                };
                if !is {
                    fault(format!("not a {rule}"));
                }
            }
            "enum" => {
                if !rule.as_array().is_some_and(|all| all.contains(value)) {
                    fault(format!("{value} is none of {rule}"));
                }
            }
            "required" => {
                for name in rule.as_array().into_iter().flatten().filter_map(Value::as_str) {
                    if value.get(name).is_none() {
                        fault(format!("{name} is missing"));
                    }
                }
            }
            "properties" => {
                for (name, inner) in value.as_object().into_iter().flatten() {
                    if let Some(schema) = rule.get(name) {
                        faults(inner, schema, &format!("{at}/{name}"), out);
                    }
                }
            }
            "additionalProperties" => {
                for (name, inner) in value.as_object().into_iter().flatten() {
                    let is_known = schema["properties"].get(name).is_some();
                    match rule {
                        _ if is_known => {}
                        Value::Bool(true) => {}
                        Value::Bool(false) => out.push(format!("{at}: {name} is unknown")),
                        rule => faults(inner, rule, &format!("{at}/{name}"), out),
                    }
                }
            }
            "items" => {
                for (rank, inner) in value.as_array().into_iter().flatten().enumerate() {
                    faults(inner, rule, &format!("{at}/{rank}"), out);
                }
            }
            "minItems" => {
                if (value.as_array().map_or(0, Vec::len) as u64) < rule.as_u64().unwrap_or(0) {
                    fault("too few".to_owned());
                }
            }
            "minLength" => {
                if (value.as_str().map_or(0, str::len) as u64) < rule.as_u64().unwrap_or(0) {
                    fault("empty".to_owned());
                }
            }
            "minimum" => {
                if value.as_u64().is_none_or(|value| value < rule.as_u64().unwrap_or(0)) {
                    fault("too small".to_owned());
                }
            }
            "pattern" => {
                if !matches(value.as_str().unwrap_or_default(), rule.as_str().unwrap_or_default()) {
                    fault(format!("{value} is not {rule}"));
                }
            }
            other => fault(format!("the test does not know {other}")),
        }
    }
}

/// The patterns that the schemas use.
fn matches(text: &str, pattern: &str) -> bool {
    let is_case = |group: fn(&str) -> bool| {
        text.split_once('-').is_some_and(|(name, number)| {
            group(name) && number.len() == 2 && number.bytes().all(|b| b.is_ascii_digit())
        })
    };
    match pattern {
        "^[a-z0-9-]+$" => {
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        }
        "^[A-Z]{3}-[0-9]{2}$" => is_case(|name| name.len() == 3 && name.bytes().all(|b| b.is_ascii_uppercase())),
        "^CLI-[0-9]{2}$" => is_case(|name| name == "CLI"),
        _ => false,
    }
}

fn check(data: &str, schema: &str) -> Vec<String> {
    let (data, schema) = (serde_json::from_str(data).expect("JSON"), serde_json::from_str(schema).expect("JSON"));
    let mut out = Vec::new();
    faults(&data, &schema, "", &mut out);
    out
}

macro_rules! data {
    ($name:literal) => {
        (
            include_str!(concat!("../catalogue/", $name, ".json")),
            include_str!(concat!("../catalogue/", $name, ".schema.json")),
        )
    };
}

#[test]
fn the_data_are_as_their_schemas_say() {
    for (data, schema) in [data!("cas"), data!("conseils"), data!("clients"), data!("scenarios"), data!("profil")] {
        assert_eq!(check(data, schema), Vec::<String>::new());
    }
}

#[test]
fn the_schemas_are_not_yes_men() {
    let (data, schema) = data!("profil");
    for (old, new) in [
        ("\"version\": \"1\"", "\"version\": 1"),
        ("\"id\": \"controle-2022\"", "\"id\": \"É\""),
        ("\"TLS-07\"", "\"x\""),
        ("\"lecture\":", "\"autre\":"),
    ] {
        let changed = data.replacen(old, new, 1);
        assert_ne!(changed, data);
        assert!(!check(&changed, schema).is_empty(), "{new}");
    }
    let (data, schema) = data!("clients");
    assert!(!check(&data.replacen("bloquante", "grave", 1), schema).is_empty());
}

#[test]
fn the_profile_speaks_of_cases_that_there_are() {
    for id in crate::report::Profile::embedded().lectures.iter().flat_map(|reading| &reading.cas) {
        assert!(crate::catalogue::all_cases().any(|case| case.id == *id), "{id}");
    }
}
