//! Who the bearer is (LPS-IDENT; JWT-18, JWT-19).
//!
//! The national identifier is taken from `SubjectNameID`, else `preferred_username`, else the last segment of `sub`, else
//! `otherIds`. A source that is *there* and malformed (empty, array, spaces around) is never skipped for the next one: that
//! would let a damaged claim hide behind a better one. Two of the first three that name different persons: refused.

use crate::Refusal;
use mssante::NationalId;
use serde_json::{Map, Value};
use std::fmt;
use std::time::SystemTime;

/// A professional authenticated by PSC.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// The national identifier; what rights on BALs are decided on, by exact comparison.
    pub national_id: NationalId,
    /// Authentication level (`eidas1`…), when the token says it.
    pub acr: Option<String>,
    /// The PSC client the token was issued to: the LPS. For traces.
    pub azp: Option<String>,
    /// PSC's session id. For traces.
    pub session: Option<String>,
    /// When the token expires.
    pub expires_at: SystemTime,
}

impl fmt::Debug for Identity {
    /// Without the identifier and the session: an identity is printed in traces by those who may.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("acr", &self.acr)
            .field("azp", &self.azp)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// What one document (token, introspection answer, userinfo) says of the person.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Claimed {
    Person(NationalId),
    Nobody,
    Malformed,
}

/// Reads the identity claims of one document.
pub(crate) fn read(claims: &Map<String, Value>) -> Result<Claimed, Refusal> {
    let mut person: Option<NationalId> = None;
    for name in ["SubjectNameID", "preferred_username"] {
        match claims.get(name) {
            None => {}
            Some(value) => match value.as_str().and_then(|text| text.parse().ok()) {
                Some(id) => agree(&mut person, id)?,
                None => return Ok(Claimed::Malformed),
            },
        }
    }
    match claims.get("sub") {
        None => {}
        Some(Value::String(sub)) => {
            // `f:<uuid>:<id>`; a `sub` that ends otherwise is an opaque identifier and says nothing.
            let last = sub.rsplit(':').next().unwrap_or(sub);
            if let Ok(id) = last.parse() {
                agree(&mut person, id)?;
            }
        }
        Some(_) => return Ok(Claimed::Malformed),
    }
    match person {
        Some(id) => Ok(Claimed::Person(id)),
        None => other_ids(claims),
    }
}

/// Origins of `otherIds` whose identifiers are national ones, best first. `otherIDs` is the older spelling.
const ORIGINS: [&str; 3] = ["RPPS", "ADELI", "EDIT"];

fn other_ids(claims: &Map<String, Value>) -> Result<Claimed, Refusal> {
    let Some(list) = claims.get("otherIds").or_else(|| claims.get("otherIDs")) else {
        return Ok(Claimed::Nobody);
    };
    let Value::Array(list) = list else {
        return Ok(Claimed::Malformed);
    };
    for origin in ORIGINS {
        let mut person = None;
        for entry in list.iter().filter(|entry| entry.get("origine").and_then(Value::as_str) == Some(origin)) {
            match entry.get("identifiant").and_then(Value::as_str).and_then(|text| text.parse().ok()) {
                Some(id) => agree(&mut person, id)?,
                None => return Ok(Claimed::Malformed),
            }
        }
        if let Some(id) = person {
            return Ok(Claimed::Person(id));
        }
    }
    Ok(Claimed::Nobody)
}

fn agree(person: &mut Option<NationalId>, id: NationalId) -> Result<(), Refusal> {
    match person {
        Some(known) if *known != id => Err(Refusal::IdentityMismatch),
        Some(_) => Ok(()),
        None => {
            *person = Some(id);
            Ok(())
        }
    }
}

/// Joins what the token says with what PSC answered: all those that name a person must name the same.
///
/// A token without identity, or with a malformed one, is saved by PSC's answer; a malformed answer of PSC is not.
pub(crate) fn join(token: Claimed, answers: Vec<Claimed>) -> Result<NationalId, Refusal> {
    let mut person = None;
    for answer in answers {
        match answer {
            Claimed::Person(id) => agree(&mut person, id)?,
            Claimed::Nobody => {}
            Claimed::Malformed => return Err(Refusal::BadIdentity),
        }
    }
    match token {
        Claimed::Person(id) => agree(&mut person, id)?,
        Claimed::Nobody => {}
        Claimed::Malformed if person.is_none() => return Err(Refusal::BadIdentity),
        Claimed::Malformed => {}
    }
    person.ok_or(Refusal::NoIdentity)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(value: Value) -> Result<Claimed, Refusal> {
        read(value.as_object().expect("the test gives an object"))
    }

    fn person(id: &str) -> Result<Claimed, Refusal> {
        Ok(Claimed::Person(id.parse().expect("a valid id")))
    }

    const A: &str = "899700000017";
    const B: &str = "899700218896";

    // LPS-IDENT
    #[test]
    fn order_of_sources() {
        assert_eq!(of(json!({"SubjectNameID": A})), person(A));
        assert_eq!(of(json!({"preferred_username": A})), person(A));
        assert_eq!(of(json!({"sub": format!("f:550dc1c8-d97b-4b1e-ac8c-8eb4471cf9dd:{A}")})), person(A));
        assert_eq!(
            of(json!({"sub": "0d1f", "otherIds": [{"identifiant": A, "origine": "RPPS", "qualite": 1}]})),
            person(A)
        );
        assert_eq!(
            of(json!({"otherIds": [{"identifiant": "ANS20210107161422", "origine": "EDIT"}]})),
            person("ANS20210107161422")
        );
        // Another register's number of the same person is no disagreement.
        assert_eq!(
            of(json!({"SubjectNameID": A, "otherIds": [{"identifiant": "0012345678", "origine": "ADELI"}]})),
            person(A)
        );
        assert_eq!(of(json!({"sub": "0d1f"})), Ok(Claimed::Nobody));
        assert_eq!(of(json!({"otherIds": [{"identifiant": "x", "origine": "Autre"}]})), Ok(Claimed::Nobody));
    }

    // JWT-18, JWT-19
    #[test]
    fn malformed_or_contradictory() {
        for bad in [
            json!(""),
            json!([A]),
            json!(format!(" {A}")),
            json!(format!("{A} ")),
            json!(899700000017_u64),
            json!(null),
            json!("8997000000"),
            json!("899700000017\n"),
        ] {
            assert_eq!(of(json!({"SubjectNameID": bad, "preferred_username": A})), Ok(Claimed::Malformed), "{bad}");
            assert_eq!(of(json!({"preferred_username": bad})), Ok(Claimed::Malformed), "{bad}");
        }
        assert_eq!(of(json!({"sub": [A]})), Ok(Claimed::Malformed));
        assert_eq!(of(json!({"SubjectNameID": A, "preferred_username": B})), Err(Refusal::IdentityMismatch));
        assert_eq!(of(json!({"SubjectNameID": A, "sub": format!("f:u:{B}")})), Err(Refusal::IdentityMismatch));
    }

    #[test]
    fn joining_with_psc() {
        let p = |id: &str| Claimed::Person(id.parse().expect("a valid id"));
        assert!(join(p(A), vec![]).is_ok());
        assert!(join(p(A), vec![p(A), Claimed::Nobody]).is_ok());
        assert!(join(Claimed::Nobody, vec![p(A)]).is_ok());
        assert!(join(Claimed::Malformed, vec![p(A)]).is_ok());
        assert_eq!(join(p(A), vec![p(B)]), Err(Refusal::IdentityMismatch));
        assert_eq!(join(Claimed::Nobody, vec![p(A), p(B)]), Err(Refusal::IdentityMismatch));
        assert_eq!(join(p(A), vec![Claimed::Malformed]), Err(Refusal::BadIdentity));
        assert_eq!(join(Claimed::Malformed, vec![Claimed::Nobody]), Err(Refusal::BadIdentity));
        assert_eq!(join(Claimed::Nobody, vec![]), Err(Refusal::NoIdentity));
    }

    #[test]
    fn identity_does_not_print_the_person() {
        let identity = Identity {
            national_id: A.parse().expect("a valid id"),
            acr: Some("eidas1".into()),
            azp: None,
            session: Some("8a75fe97".into()),
            expires_at: SystemTime::UNIX_EPOCH,
        };
        let shown = format!("{identity:?}");
        assert!(!shown.contains("8997") && !shown.contains("8a75"), "{shown}");
    }
}
