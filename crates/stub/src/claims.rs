//! What tokens and userinfo say: the shape of the real ones (client.md §3.3).

use std::time::Duration;

use serde_json::{Value, json};

use crate::keys::{CLIENT_ID, random_uuid};
use crate::people::Person;

/// Life of an access token, as observed.
pub const ACCESS_TTL: Duration = Duration::from_secs(120);
/// A PSC session ends after this much inactivity; also the life of a refresh token.
pub const SESSION_IDLE: Duration = Duration::from_secs(15 * 60);
/// And after this long whatever happens.
pub const SESSION_MAX: Duration = Duration::from_secs(4 * 3600);
/// The user federation's number in `sub`: constant in all samples seen.
const FEDERATION: &str = "550dc1c8-d97b-4b1e-ac8c-8eb4471cf9dd";
/// The level given, whatever was asked.
pub const ACR: &str = "eidas1";

/// Who logged in, when, in which session.
#[derive(Debug, Clone)]
pub struct Login {
    /// National identifier.
    pub id: String,
    /// Session number.
    pub sid: String,
    /// When, seconds since 1970.
    pub at: i64,
    /// What was granted.
    pub scope: String,
    /// The nonce of the request.
    pub nonce: Option<String>,
}

impl Login {
    /// A login of its own, outside any server.
    pub fn alone(id: &str, at: i64) -> Login {
        Login {
            id: id.to_owned(),
            sid: random_uuid(),
            at,
            scope: "openid scope_all identity".to_owned(),
            nonce: Some(random_uuid()),
        }
    }
}

fn subject(id: &str) -> String {
    format!("f:{FEDERATION}:{id}")
}

/// Where an identifier comes from, for `otherIds`.
fn origin(id: &str) -> (&'static str, &str) {
    match id.as_bytes().first() {
        Some(b'8') => ("RPPS", id),
        Some(b'0') => ("ADELI", id),
        _ => ("EDIT", id),
    }
}

fn other_ids(id: &str) -> Value {
    let (origin, value) = origin(id);
    json!([{ "identifiant": value, "origine": origin, "qualite": 1 }])
}

/// An access token's claims, issued at `now`.
pub fn access(issuer: &str, login: &Login, now: i64, ttl: Duration) -> Value {
    let mut claims = common(issuer, login, now, ttl);
    claims["typ"] = json!("Bearer");
    claims["scope"] = json!(login.scope);
    claims["authMode"] = json!("MOBILE");
    claims["otherIds"] = other_ids(&login.id);
    claims["preferred_username"] = json!(login.id);
    claims["SubjectNameID"] = json!(login.id);
    claims
}

/// A refresh token's claims: no identity beyond `sub`.
pub fn refresh(issuer: &str, login: &Login, now: i64) -> Value {
    let mut claims = common(issuer, login, now, SESSION_IDLE);
    claims["typ"] = json!("Refresh");
    claims["aud"] = json!(issuer);
    claims["scope"] = json!(login.scope);
    claims
}

/// An ID token's claims.
pub fn id_token(issuer: &str, login: &Login, person: Option<&Person>, now: i64) -> Value {
    let mut claims = common(issuer, login, now, ACCESS_TTL);
    claims["typ"] = json!("ID");
    claims["aud"] = json!(CLIENT_ID);
    claims["authMode"] = json!("MOBILE");
    claims["preferred_username"] = json!(login.id);
    if let Some(person) = person {
        claims["given_name"] = json!(person.given);
        claims["family_name"] = json!(person.family);
    }
    claims
}

fn common(issuer: &str, login: &Login, now: i64, ttl: Duration) -> Value {
    let ttl = i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX);
    let mut claims = json!({
        "exp": now.saturating_add(ttl),
        "iat": now,
        "auth_time": login.at,
        "jti": random_uuid(),
        "iss": issuer,
        "sub": subject(&login.id),
        "azp": CLIENT_ID,
        "session_state": login.sid,
        "sid": login.sid,
        "acr": ACR,
    });
    if let Some(nonce) = &login.nonce {
        claims["nonce"] = json!(nonce);
    }
    claims
}

/// What userinfo says of somebody: PSC's *UserInfo*, shortened to one activity.
pub fn userinfo(id: &str, person: Option<&Person>) -> Value {
    let (given, family) = person.map_or(("Prénom", "INCONNU"), |p| (p.given.as_str(), p.family.as_str()));
    let profession = person.map_or("10", |p| p.profession.as_str());
    let structure = person.map_or(("", ""), |p| (p.structure.id.as_str(), p.structure.name.as_str()));
    json!({
        "sub": subject(id),
        "SubjectNameID": id,
        "preferred_username": id,
        "given_name": given,
        "family_name": family,
        "authMode": "MOBILE",
        "otherIds": other_ids(id),
        "Secteur_Activite": "SA07^1.2.250.1.71.4.2.4",
        "SubjectOrganization": structure.1,
        "SubjectOrganizationID": structure.0,
        "SubjectRole": [format!("{profession}^1.2.250.1.213.1.1.5.5")],
        "Mode_Acces_Raison": "",
        "Acces_Regulation_Medicale": "FAUX",
        "UITVersion": "1.0",
        "Palier_Authentification": "APPPRIP3^1.2.250.1.213.1.5.1.1.1",
        "PSI_Locale": "1.2.250.1.213.1.3.1.1",
        "SubjectRefPro": {
            "codeCivilite": "",
            "exercices": [{
                "codeProfession": profession,
                "codeCategorieProfessionnelle": "C",
                "codeCiviliteDexercice": person.and_then(|p| p.title.as_deref()).unwrap_or("").to_uppercase(),
                "nomDexercice": family,
                "prenomDexercice": given,
                "codeTypeSavoirFaire": "",
                "codeSavoirFaire": "",
                "activities": [{
                    "codeModeExercice": "S",
                    "codeSecteurDactivite": "SA07",
                    "codeSectionPharmacien": "",
                    "codeRole": "",
                    "numeroFinessSite": structure.0.get(1..).unwrap_or(""),
                    "raisonSocialeSite": structure.1,
                }],
            }],
        },
    })
}
