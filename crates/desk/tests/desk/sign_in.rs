//! Passwords, second factor, the first account.

use axum::http::StatusCode;
use desk::Desk;
use desk::db::Db;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use tokio_util::sync::CancellationToken;

use crate::{Browser, PASSWORD, Stage, settings};

#[tokio::test]
async fn passwords_are_asked_for_and_tries_are_counted() {
    let stage = Stage::new().await;
    let mut browser = stage.browser();
    let unknown = browser.post("/connexion", &[("login", "personne"), ("mot_de_passe", "x")]).await;
    let wrong = browser.post("/connexion", &[("login", "alpha"), ("mot_de_passe", "x")]).await;
    assert_eq!(unknown.text.replace("personne", "alpha"), wrong.text, "nothing tells whether there is such an account");
    for _ in 0..5 {
        browser.post("/connexion", &[("login", "alpha"), ("mot_de_passe", "x")]).await;
    }
    let blocked = browser.post("/connexion", &[("login", "alpha"), ("mot_de_passe", PASSWORD)]).await;
    assert_eq!(blocked.status, StatusCode::TOO_MANY_REQUESTS);
    let answer = browser
        .post("/connexion", &[("login", "beta"), ("mot_de_passe", PASSWORD), ("suite", "//ailleurs.test")])
        .await;
    assert_eq!(answer.to, "/");
    let cookie = answer.headers["set-cookie"].to_str().expect("text").to_owned();
    for part in ["__Host-", "Secure", "HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
}

/// The code of a telephone, made independently of the program's.
pub fn code(base32: &str, seconds: i64) -> String {
    let (mut bits, mut held, mut secret) = (0u32, 0, Vec::new());
    for letter in base32.bytes().filter(u8::is_ascii_alphanumeric) {
        let value = if letter.is_ascii_digit() { letter - b'2' + 26 } else { letter - b'A' };
        bits = bits << 5 | u32::from(value);
        held += 5;
        if held >= 8 {
            held -= 8;
            secret.push((bits >> held) as u8);
        }
    }
    let key = PKey::hmac(&secret).expect("a key");
    let mut signer = Signer::new(MessageDigest::sha1(), &key).expect("HMAC");
    let mac = signer.sign_oneshot_to_vec(&(seconds / 30).to_be_bytes()).expect("HMAC");
    let at = usize::from(mac[19] & 15);
    let number = u32::from_be_bytes(mac[at..at + 4].try_into().expect("four")) & 0x7FFF_FFFF;
    format!("{:06}", number % 1_000_000)
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let at = text.find(before).unwrap_or_else(|| panic!("{before} in {text}")) + before.len();
    text[at..].split(after).next().expect("text")
}

pub fn now() -> i64 {
    time::OffsetDateTime::now_utc().unix_timestamp()
}

pub async fn enrol(browser: &mut Browser) -> (String, Vec<String>) {
    let page = browser.get("/compte/facteur").await.text;
    let shown = between(&page, "class=\"cle\"><code>", "<").to_owned();
    let secret = between(&page, "name=\"secret\" value=\"", "\"").to_owned();
    let wrong = browser.post("/compte/facteur", &[("secret", &secret), ("code", "000000")]).await;
    assert!(wrong.text.contains("le code de cette clé"));
    // A key that is none, or not one of ours.
    for other in ["", "AAAA", "é"] {
        let wrong = browser.post("/compte/facteur", &[("secret", other), ("code", "000000")]).await;
        assert!(wrong.text.contains("le code de cette clé"), "{other}");
    }
    assert!(page.contains("<svg class=\"qr\""));
    let done = browser.post("/compte/facteur", &[("secret", &secret), ("code", &code(&shown, now()))]).await;
    let codes =
        done.text.split("<li><code>").skip(1).map(|rest| rest.split('<').next().expect("a code").to_owned()).collect();
    (shown, codes)
}

#[tokio::test]
async fn the_second_factor() {
    let stage = Stage::new().await;
    let mut alpha = stage.signed("alpha").await;
    let (secret, recovery) = enrol(&mut alpha).await;
    assert_eq!(recovery.len(), 8);
    let mut again = stage.browser();
    let answer = again.post("/connexion", &[("login", "alpha"), ("mot_de_passe", PASSWORD)]).await;
    assert!(answer.to.starts_with("/connexion/code"));
    // The password alone opens nothing, and does not replace the factor.
    assert_eq!(again.get("/tests").await.to, "/connexion/code");
    assert_eq!(again.get("/compte/facteur").await.to, "/connexion/code");
    let half = again.cookie.clone();
    again.get("/connexion/code").await;
    assert!(again.post("/connexion/code", &[("code", "123456")]).await.text.contains("pas bon"));
    // The next step: the present one was taken when it was set up.
    let answer = again.post("/connexion/code", &[("code", &code(&secret, now() + 30))]).await;
    assert_eq!((answer.status, answer.to.as_str()), (StatusCode::SEE_OTHER, "/"));
    assert_eq!(again.get("/tests").await.status, StatusCode::OK);
    assert_ne!(again.cookie, half);
    // Once: neither the code nor the recovery code serves twice.
    for (code, is_good) in
        [(recovery[0].clone(), true), (recovery[0].clone(), false), (code(&secret, now() + 30), false)]
    {
        let mut other = stage.browser();
        other.post("/connexion", &[("login", "alpha"), ("mot_de_passe", PASSWORD)]).await;
        other.get("/connexion/code").await;
        let answer = other.post("/connexion/code", &[("code", &code)]).await;
        assert_eq!(answer.status == StatusCode::SEE_OTHER, is_good, "{}", answer.text);
    }
}

#[tokio::test]
async fn codes_are_not_tried_for_ever() {
    let stage = Stage::new().await;
    let (secret, recovery) = enrol(&mut stage.signed("alpha").await).await;
    let mut browser = stage.browser();
    browser.post("/connexion", &[("login", "alpha"), ("mot_de_passe", PASSWORD)]).await;
    browser.get("/connexion/code").await;
    let mut answer = browser.post("/connexion/code", &[("code", "000000")]).await;
    for _ in 0..5 {
        answer = browser.post("/connexion/code", &[("code", "000000")]).await;
    }
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    // Not the right one either, of either kind, until the pause is over.
    for good in [code(&secret, now() + 30), recovery[0].clone()] {
        let answer = browser.post("/connexion/code", &[("code", &good)]).await;
        assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    }
    // Nor by the password again.
    let again = stage.browser().post("/connexion", &[("login", "alpha"), ("mot_de_passe", PASSWORD)]).await;
    assert_eq!(again.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn the_first_account_and_a_factor_for_everybody() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut settings = settings(folder.path());
    settings.second_factor = true;
    let desk = Desk::with(Db::in_memory().expect("memory"), settings, CancellationToken::new()).await.expect("a desk");
    let code = desk.first_code().expect("no account yet");
    let mut browser = Browser { router: desk.router(), cookie: String::new(), key: String::new() };
    assert!(browser.get("/").await.text.contains("/premier-compte"));
    let fields = |code: &str| {
        [("login", "chef"), ("mot_de_passe", "douze lettres et plus"), ("code", code)].map(|(a, b)| (a, b.to_owned()))
    };
    let post = async |browser: &mut Browser, code: &str| {
        let fields = fields(code);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        browser.post("/premier-compte", &fields).await
    };
    assert!(post(&mut browser, "faux").await.text.contains("pas le code"));
    assert_eq!(post(&mut browser, &code).await.to, "/connexion");
    assert_eq!(post(&mut browser, &code).await.status, StatusCode::NOT_FOUND, "once");
    let answer = browser.post("/connexion", &[("login", "chef"), ("mot_de_passe", "douze lettres et plus")]).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(browser.get("/operateurs").await.to, "/compte/facteur");
    enrol(&mut browser).await;
    assert_eq!(browser.get("/operateurs").await.status, StatusCode::OK);
    // What an operator may reach is declared here.
    let bad = [("nom", "O"), ("domaines", "exemple"), ("plages", "10.0.0.0/99"), ("ports", "0")];
    let answer = browser.post("/operateurs", &bad).await;
    assert_eq!(answer.text.matches("class=\"faute\"").count(), 3, "{}", answer.text);
    let good = [("nom", "O"), ("domaines", "Exemple.TEST"), ("plages", "10.0.0.0/8"), ("ports", "1143")];
    assert_eq!(browser.post("/operateurs", &good).await.status, StatusCode::SEE_OTHER);
    let page = browser.get("/operateurs").await.text;
    assert!(page.contains("exemple.test") && page.contains("10.0.0.0/8") && page.contains("1143"));
}

#[tokio::test]
async fn a_closed_account_and_a_changed_password() {
    let stage = Stage::new().await;
    let (mut alpha, mut tester) = (stage.signed("alpha").await, stage.signed("alpha-testeur").await);
    let token = tester.token().await;
    assert_eq!(tester.call("GET", "/api/v1/jobs", &token, "").await.status, StatusCode::OK);
    let page = alpha.get("/comptes").await.text;
    let row = page.split("<tr>").find(|row| row.contains(">alpha-testeur<")).expect("a row");
    let place = between(row, "action=\"", "\"").to_owned();
    assert_eq!(alpha.post(&place, &[("ouvert", "")]).await.status, StatusCode::SEE_OTHER);
    assert!(tester.get("/tests").await.to.starts_with("/connexion"));
    assert_eq!(tester.call("GET", "/api/v1/jobs", &token, "").await.status, StatusCode::UNAUTHORIZED);
    let mut other = stage.signed("alpha").await;
    let short = alpha.post("/compte/mot-de-passe", &[("ancien", PASSWORD), ("mot_de_passe", "court")]).await;
    assert!(short.text.contains("Douze caractères"));
    let answer =
        alpha.post("/compte/mot-de-passe", &[("ancien", PASSWORD), ("mot_de_passe", "un tout autre secret")]).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(alpha.get("/tests").await.status, StatusCode::OK);
    assert!(other.get("/tests").await.to.starts_with("/connexion"), "the other sessions end");
}
