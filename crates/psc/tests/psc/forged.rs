//! One mutation at a time of a good token (control.md §7, JWT-01 to JWT-19, JWT-21).

use crate::support::*;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use psc::{Audience, MAX_TOKEN, Refusal, VerifierConfig};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

#[tokio::test]
async fn a_good_token_tells_who_it_is() {
    let psc = Psc::start().await;
    let identity = psc.verifier().verify(&token(&psc.claims())).await.unwrap();
    assert_eq!(identity.national_id.as_str(), A);
    assert_eq!(identity.acr.as_deref(), Some("eidas1"));
    assert_eq!(identity.azp.as_deref(), Some("editeur-lps-bas"));
    assert_eq!(identity.session.as_deref(), Some("8a75fe97-d88c-4487-a9f9-6099737344c2"));
    assert_eq!(identity.expires_at, SystemTime::UNIX_EPOCH + Duration::from_secs(START + 120));
}

#[tokio::test]
async fn every_allowed_algorithm_verifies() {
    let psc = Psc::start().await;
    let verifier = psc.verifier();
    for (alg, kid, key) in
        [("RS256", "main", &keys().main), ("PS256", "main", &keys().main), ("ES256", "ec", &keys().ec)]
    {
        for typ in [r#","typ":"JWT""#, "", r#","typ":"at+jwt""#, r#","typ":"jwt""#] {
            let header = format!(r#"{{"alg":"{alg}","kid":"{kid}"{typ}}}"#);
            let token = raw_token(&header, &psc.claims().to_string(), alg, key);
            assert_eq!(refusal(verifier.verify(&token).await), None, "{header}");
        }
    }
}

/// Runs claim changes that must each be refused for this reason.
async fn refused(psc: &Psc, change: impl FnOnce(&mut VerifierConfig), expected: Refusal, changes: &[Value]) {
    let verifier = psc.verifier_with(change);
    for changed in changes {
        let token = token(&with(&psc.claims(), changed.clone()));
        assert_eq!(refusal(verifier.verify(&token).await), Some(expected), "{changed}");
    }
}

// JWT-01
#[tokio::test]
async fn a_token_of_another_issuer() {
    let psc = Psc::start().await;
    let foreign = json!({"iss": "https://idp.exemple.fr/auth/realms/autre"});
    let header = r#"{"alg":"RS256","typ":"JWT","kid":"foreign"}"#;
    let whole = raw_token(header, &with(&psc.claims(), foreign).to_string(), "RS256", &keys().foreign);
    assert_eq!(refusal(psc.verifier().verify(&whole).await), Some(Refusal::BadIssuer));
    assert_eq!(psc.jwks_calls(), 0, "a foreign issuer is refused without asking anybody");
    let dressed = raw_token(header, &psc.claims().to_string(), "RS256", &keys().foreign);
    assert_eq!(refusal(psc.verifier().verify(&dressed).await), Some(Refusal::UnknownKey));
}

// JWT-02
#[tokio::test]
async fn expired() {
    let psc = Psc::start().await;
    let now = psc.now();
    refused(
        &psc,
        |_| {},
        Refusal::Expired,
        &[json!({"exp": now - 3600}), json!({"exp": now - 60}), json!({"exp": now - 30})],
    )
    .await;
    let late = token(&with(&psc.claims(), json!({"exp": now - 5})));
    assert_eq!(refusal(psc.verifier().verify(&late).await), None, "within the tolerance");
    assert_eq!(refusal(psc.verifier_with(|c| c.skew = Duration::ZERO).verify(&late).await), Some(Refusal::Expired));
}

// JWT-03
#[tokio::test]
async fn absurd_expiry() {
    let psc = Psc::start().await;
    let now = psc.now();
    let changes = [
        json!({"exp": null}),
        json!({"exp": (now + 60).to_string()}),
        json!({"exp": [now + 60]}),
        json!({"exp": true}),
        json!({"exp": now as f64 + 60.5}),
        json!({"exp": now as f64 + 60.0}),
        json!({"exp": -1}),
        json!({"exp": 0}),
        json!({"exp": i64::MIN}),
        json!({"exp": i64::MAX}),
        json!({"exp": u64::MAX}),
        json!({"exp": 1e300}),
        json!({"exp": now + 25 * 3600}),
    ];
    refused(&psc, |_| {}, Refusal::BadExpiry, &changes).await;
}

// JWT-04
#[tokio::test]
async fn not_valid_yet() {
    let psc = Psc::start().await;
    let now = psc.now();
    let changes = [
        json!({"nbf": now + 3600}),
        json!({"iat": now + 3600}),
        json!({"nbf": now + 31}),
        json!({"nbf": "demain"}),
        json!({"iat": now as f64 + 0.5}),
    ];
    refused(&psc, |_| {}, Refusal::NotYetValid, &changes).await;
    for fine in [json!({"nbf": 0}), json!({"nbf": now + 10}), json!({"iat": null}), json!({"iat": now + 10})] {
        assert_eq!(refusal(psc.verifier().verify(&token(&with(&psc.claims(), fine))).await), None);
    }
}

// JWT-05
#[tokio::test]
async fn audience() {
    let psc = Psc::start().await;
    let ours = || ["mssante.exemple.fr".to_owned()].into();
    let foreign = [
        json!({"aud": "autre"}),
        json!({"aud": ["a", "b"]}),
        json!({"aud": []}),
        json!({"aud": 1}),
        json!({"aud": ""}),
        json!({"aud": ["mssante.exemple.fr", 1]}),
    ];
    refused(&psc, |_| {}, Refusal::BadAudience, &foreign).await;
    refused(&psc, |c| c.audience = Audience::AbsentOrIn(ours()), Refusal::BadAudience, &foreign).await;
    refused(&psc, |c| c.audience = Audience::In(ours()), Refusal::BadAudience, &foreign).await;
    refused(&psc, |c| c.audience = Audience::In(ours()), Refusal::BadAudience, &[json!({"aud": null})]).await;
    let verifier = psc.verifier_with(|c| c.audience = Audience::In(ours()));
    for fine in [json!({"aud": "mssante.exemple.fr"}), json!({"aud": ["account", "mssante.exemple.fr"]})] {
        assert_eq!(refusal(verifier.verify(&token(&with(&psc.claims(), fine))).await), None);
    }
}

// JWT-06
#[tokio::test]
async fn client() {
    let psc = Psc::start().await;
    let unknown = json!({"azp": "inconnu"});
    assert_eq!(refusal(psc.verifier().verify(&token(&with(&psc.claims(), unknown.clone()))).await), None);
    let known = |c: &mut VerifierConfig| c.clients = Some(["editeur-lps-bas".to_owned()].into());
    refused(&psc, known, Refusal::BadClient, &[unknown, json!({"azp": null}), json!({"azp": ["editeur-lps-bas"]})])
        .await;
    assert_eq!(refusal(psc.verifier_with(known).verify(&token(&psc.claims())).await), None);
}

// JWT-07, JWT-08
#[tokio::test]
async fn issuers_that_resemble() {
    let psc = Psc::start().await;
    let issuer = psc.issuer();
    let changes = [
        json!({"iss": format!("{issuer}/")}),
        json!({"iss": format!("{issuer}x")}),
        json!({"iss": issuer.replace("http://", "https://")}),
        json!({"iss": issuer.to_uppercase()}),
        json!({"iss": issuer.replace("esante-wallet", "autre")}),
        json!({"iss": format!(" {issuer}")}),
        json!({"iss": [issuer]}),
        json!({"iss": null}),
        json!({"iss": "https://auth.esw.esante.gouv.fr/auth/realms/esante-wallet"}),
    ];
    refused(&psc, |_| {}, Refusal::BadIssuer, &changes).await;
}

// JWT-09
#[tokio::test]
async fn damaged_signatures() {
    let psc = Psc::start().await;
    let verifier = psc.verifier();
    let good = token(&psc.claims());
    let (input, signature) = good.rsplit_once('.').unwrap();
    let octets = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let mut flipped = octets.clone();
    flipped[100] ^= 1;
    for (damaged, expected) in [
        (b64(&flipped), Refusal::BadSignature),
        (b64(&octets[..octets.len() - 10]), Refusal::BadSignature),
        (b64([octets.as_slice(), &[0]].concat()), Refusal::BadSignature),
        (b64([0_u8; 256]), Refusal::BadSignature),
        (String::new(), Refusal::Unsigned),
    ] {
        assert_eq!(refusal(verifier.verify(&format!("{input}.{damaged}")).await), Some(expected));
    }
    // ECDSA: r = s = 0, and a DER signature where the raw form belongs.
    let input = format!("{}.{}", b64(r#"{"alg":"ES256","kid":"ec"}"#), b64(psc.claims().to_string()));
    let der = openssl::ecdsa::EcdsaSig::sign(&openssl::sha::sha256(input.as_bytes()), &keys().ec.ec_key().unwrap());
    for bad in [vec![0; 64], der.unwrap().to_der().unwrap()] {
        assert_eq!(refusal(verifier.verify(&format!("{input}.{}", b64(bad))).await), Some(Refusal::BadSignature));
    }
}

// JWT-10
#[tokio::test]
async fn algorithm_none() {
    let psc = Psc::start().await;
    let verifier = psc.verifier();
    for alg in [r#""none""#, r#""None""#, r#""NONE""#, r#""nOnE""#, "null", r#""""#] {
        let input = format!("{}.{}", b64(format!(r#"{{"alg":{alg},"kid":"main"}}"#)), b64(psc.claims().to_string()));
        for token in [input.clone(), format!("{input}."), format!("{input}.AAAA")] {
            assert!(refusal(verifier.verify(&token).await).is_some(), "{alg}");
        }
    }
    let input = format!("{}.{}", b64(r#"{"kid":"main"}"#), b64(psc.claims().to_string()));
    assert_eq!(refusal(verifier.verify(&format!("{input}.AAAA")).await), Some(Refusal::BadAlgorithm));
}

// JWT-11
#[tokio::test]
async fn symmetric_with_the_public_key() {
    let psc = Psc::start().await;
    let verifier = psc.verifier();
    let secrets = [
        keys().main.public_key_to_pem().unwrap(),
        keys().main.public_key_to_der().unwrap(),
        keys().main.rsa().unwrap().public_key_to_pem_pkcs1().unwrap(),
        jwk("main", &keys().main).to_string().into_bytes(),
        keys().main.rsa().unwrap().n().to_vec(),
    ];
    for secret in secrets {
        let input = format!("{}.{}", b64(r#"{"alg":"HS256","typ":"JWT","kid":"main"}"#), b64(psc.claims().to_string()));
        let key = PKey::hmac(&secret).unwrap();
        let mut signer = Signer::new(MessageDigest::sha256(), &key).unwrap();
        let mac = signer.sign_oneshot_to_vec(input.as_bytes()).unwrap();
        assert_eq!(refusal(verifier.verify(&format!("{input}.{}", b64(mac))).await), Some(Refusal::BadAlgorithm));
    }
}

// JWT-12, JWT-13
#[tokio::test]
async fn key_ids() {
    let psc = Psc::start().await;
    let verifier = psc.verifier();
    assert!(verifier.verify(&token(&psc.claims())).await.is_ok());
    let work = patience::Work::begin();
    for (kid, expected) in [
        (json!("main"), Refusal::BadSignature),
        (json!("inconnu"), Refusal::UnknownKey),
        (json!("../../../dev/null"), Refusal::UnknownKey),
        (json!("' OR 1=1 --"), Refusal::UnknownKey),
        (json!(format!("{}/piege", psc.base)), Refusal::UnknownKey),
        (json!("weak"), Refusal::UnknownKey),
        (json!("ec"), Refusal::UnknownKey),
        (json!(null), Refusal::BadKeyId),
        (json!(["main"]), Refusal::BadKeyId),
        (json!("k".repeat(4000)), Refusal::BadKeyId),
        (json!("k".repeat(65536)), Refusal::TooLong),
    ] {
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": kid}).to_string();
        let token = raw_token(&header, &psc.claims().to_string(), "RS256", &keys().foreign);
        assert_eq!(refusal(verifier.verify(&token).await), Some(expected), "{kid}");
    }
    let weak = raw_token(r#"{"alg":"RS256","kid":"weak"}"#, &psc.claims().to_string(), "RS256", &keys().weak);
    assert_eq!(refusal(verifier.verify(&weak).await), Some(Refusal::UnknownKey), "a key of 1024 bits");
    let absent = raw_token(r#"{"alg":"RS256"}"#, &psc.claims().to_string(), "RS256", &keys().main);
    assert_eq!(refusal(verifier.verify(&absent).await), Some(Refusal::BadKeyId));
    assert!(psc.jwks_calls() <= 2, "{} calls for one minute of unknown keys", psc.jwks_calls());
    assert_eq!(psc.scene.other_calls.load(Ordering::SeqCst), 0);
    assert!(work.spent() < Duration::from_secs(5));
}

// JWT-14
#[tokio::test]
async fn keys_brought_by_the_token() {
    let psc = Psc::start().await;
    let verifier = psc.verifier();
    let trap = format!("{}/piege/certs", psc.base);
    for kid in ["main", "mine"] {
        for (name, value) in
            [("jwk", jwk(kid, &keys().foreign)), ("jku", json!(trap)), ("x5u", json!(trap)), ("x5c", json!(["MIIB"]))]
        {
            let header = json!({"alg": "RS256", "typ": "JWT", "kid": kid, name: value}).to_string();
            let token = raw_token(&header, &psc.claims().to_string(), "RS256", &keys().foreign);
            assert!(refusal(verifier.verify(&token).await).is_some(), "{name}");
        }
    }
    assert_eq!(psc.scene.other_calls.load(Ordering::SeqCst), 0, "the token's address was followed");
}

// JWT-15
#[tokio::test]
async fn critical_extensions() {
    let psc = Psc::start().await;
    for header in
        [r#"{"alg":"RS256","kid":"main","crit":["exp"]}"#, r#"{"alg":"RS256","kid":"main","b64":false,"crit":["b64"]}"#]
    {
        let token = raw_token(header, &psc.claims().to_string(), "RS256", &keys().main);
        assert_eq!(refusal(psc.verifier().verify(&token).await), Some(Refusal::CriticalExtension));
    }
}

// JWT-16
#[tokio::test]
async fn a_changed_payload() {
    let psc = Psc::start().await;
    let good = token(&psc.claims());
    let parts: Vec<_> = good.split('.').collect();
    let other = with(&psc.claims(), json!({"SubjectNameID": B, "preferred_username": B, "sub": format!("f:u:{B}")}));
    let forged = format!("{}.{}.{}", parts[0], b64(other.to_string()), parts[2]);
    assert_eq!(refusal(psc.verifier().verify(&forged).await), Some(Refusal::BadSignature));
}

// JWT-17
#[tokio::test]
async fn other_kinds_of_tokens() {
    let psc = Psc::start().await;
    let kinds = ["ID", "Refresh", "Offline", "Logout", "bearer", "Bearer "].map(|kind| json!({"typ": kind}));
    refused(&psc, |_| {}, Refusal::BadType, &kinds).await;
    refused(&psc, |_| {}, Refusal::BadType, &[json!({"typ": null}), json!({"typ": ["Bearer"]})]).await;
    let verifier = psc.verifier();
    let logout = raw_token(
        r#"{"alg":"RS256","kid":"main","typ":"logout+jwt"}"#,
        &psc.claims().to_string(),
        "RS256",
        &keys().main,
    );
    assert_eq!(refusal(verifier.verify(&logout).await), Some(Refusal::BadType));
    let good = token(&psc.claims());
    for other in
        ["5f0c2b7e-2c05-4c3d", &good[..good.rfind('.').unwrap()], &format!("{good}.AAAA.AAAA"), "", ".", "..", "..."]
    {
        assert!(refusal(verifier.verify(other).await).is_some(), "{other}");
    }
    assert_eq!(refusal(verifier.verify(&format!("{good}{}", "A".repeat(MAX_TOKEN))).await), Some(Refusal::TooLong));
}

// JWT-18, JWT-19
#[tokio::test]
async fn identities() {
    let psc = Psc::start().await;
    let verifier = psc.verifier();
    let of_b =
        token(&with(&psc.claims(), json!({"SubjectNameID": B, "preferred_username": B, "sub": format!("f:u:{B}")})));
    assert_eq!(verifier.verify(&of_b).await.unwrap().national_id.as_str(), B);
    let no_name = token(&with(&psc.claims(), json!({"SubjectNameID": null})));
    assert_eq!(verifier.verify(&no_name).await.unwrap().national_id.as_str(), A);

    let malformed = [
        json!({"SubjectNameID": ""}),
        json!({"SubjectNameID": [A]}),
        json!({"SubjectNameID": format!("{A} ")}),
        json!({"SubjectNameID": format!("{A}\u{0}")}),
    ];
    refused(&psc, |_| {}, Refusal::BadIdentity, &malformed).await;
    refused(&psc, |_| {}, Refusal::IdentityMismatch, &[json!({"SubjectNameID": B}), json!({"preferred_username": B})])
        .await;
    let nobody = json!({"SubjectNameID": null, "preferred_username": null, "sub": "0d1f", "otherIds": null});
    refused(&psc, |_| {}, Refusal::NoIdentity, &[nobody]).await;
}

#[tokio::test]
async fn authentication_level() {
    let psc = Psc::start().await;
    let bad = [json!({"acr": "eidas0"}), json!({"acr": null}), json!({"acr": ["eidas1"]}), json!({"acr": "1"})];
    refused(&psc, |_| {}, Refusal::BadAcr, &bad).await;
    refused(&psc, |c| c.acr = ["eidas3".to_owned()].into(), Refusal::BadAcr, &[json!({"acr": "eidas1"})]).await;
    let free = psc.verifier_with(|c| c.acr.clear());
    assert_eq!(refusal(free.verify(&token(&with(&psc.claims(), json!({"acr": null})))).await), None);
}

// JWT-21
#[tokio::test]
async fn strict_reading() {
    let psc = Psc::start().await;
    let verifier = psc.verifier();
    let claims = psc.claims().to_string();
    let twice = format!(r#"{{"SubjectNameID":"{B}",{}"#, &claims[1..]);
    let token = raw_token(r#"{"alg":"RS256","kid":"main"}"#, &twice, "RS256", &keys().main);
    assert_eq!(refusal(verifier.verify(&token).await), Some(Refusal::BadJson));
    let header = raw_token(r#"{"alg":"RS256","kid":"main","kid":"main"}"#, &claims, "RS256", &keys().main);
    assert_eq!(refusal(verifier.verify(&header).await), Some(Refusal::BadJson));
    let cased = raw_token(r#"{"Alg":"RS256","kid":"main"}"#, &claims, "RS256", &keys().main);
    assert_eq!(refusal(verifier.verify(&cased).await), Some(Refusal::BadAlgorithm));
    let good = crate::support::token(&psc.claims());
    for bad in [
        format!("{good}=="),
        format!("{good} "),
        format!("{good}\r\n"),
        format!(" {good}"),
        good.replacen('.', ".\n", 1),
    ] {
        assert_eq!(refusal(verifier.verify(&bad).await), Some(Refusal::BadEncoding));
    }
}
