//! CIBA and its phones, as a program without our library sees them (client.md §3.2).

use std::time::{Duration, Instant};

use serde_json::Value;

use super::Outside;

const GRANT: &str = "urn:openid:params:grant-type:ciba";
const PAUL: &str = "899700000021";
const JULIEN: &str = "899700000047";

struct Client<'a>(&'a Outside<'a>);

impl Client<'_> {
    async fn post(&self, url: &str, form: &[(&str, &str)]) -> (u16, Value) {
        let psc = &self.0.description.psc;
        let request = self.0.http.post(url).basic_auth(&psc.client_id, Some(&psc.client_secret)).form(form);
        let answer = request.send().await.expect("an answer");
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    async fn ask(&self, changes: &[(&'static str, &'static str)]) -> (u16, Value) {
        let mut form = vec![
            ("scope", "openid scope_all"),
            ("acr_values", "eidas1"),
            ("login_hint", PAUL),
            ("binding_message", "07"),
            ("channel", "MOBILE"),
        ];
        form.retain(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
        form.extend(changes);
        self.post(&self.0.description.psc.ciba_endpoint, &form).await
    }

    async fn poll(&self, asked: &Value) -> (u16, Value) {
        let word = asked["auth_req_id"].as_str().expect("a request");
        self.post(&self.0.description.psc.token_endpoint, &[("grant_type", GRANT), ("auth_req_id", word)]).await
    }

    /// How a phone answers from now on.
    async fn phone(&self, form: &[(&str, &str)]) {
        let url = format!("{}/phone", self.0.description.psc.phone);
        assert_eq!(self.post(&url, form).await.0, 204);
    }
}

fn error(answer: &(u16, Value)) -> &str {
    assert_eq!(answer.0, 400, "{answer:?}");
    answer.1["error"].as_str().expect("a code")
}

pub async fn logins_by_phone(outside: &Outside<'_>) {
    let client = Client(outside);
    for (changes, code) in [
        ([("binding_message", "7")], "invalid_binding_message"),
        ([("binding_message", "123")], "invalid_binding_message"),
        ([("binding_message", "ab")], "invalid_binding_message"),
        ([("binding_message", "")], "invalid_binding_message"),
        ([("channel", "SMS")], "invalid_request"),
        ([("login_hint", "Paul")], "unknown_user_id"),
        ([("scope", "scope_all")], "invalid_scope"),
    ] {
        assert_eq!(error(&client.ask(&changes).await), code, "{changes:?}");
    }
    let psc = &outside.description.psc;
    let stranger = outside.http.post(&psc.ciba_endpoint).basic_auth(&psc.client_id, Some("guess"));
    assert_eq!(stranger.form(&[("scope", "openid")]).send().await.expect("an answer").status(), 401);

    // By hand: the page shows the digits, and what is answered there counts.
    client.phone(&[("person", PAUL), ("answer", "ignore")]).await;
    let (status, asked) = client.ask(&[]).await;
    assert_eq!((status, asked["interval"].as_u64()), (200, Some(1)), "{asked}");
    // Two polls within a second are one too many; on a machine where they do not come so close, both are in time.
    let mut too_soon = false;
    for _ in 0..10 {
        let begun = Instant::now();
        assert_eq!(error(&client.poll(&asked).await), "authorization_pending");
        let again = error(&client.poll(&asked).await).to_owned();
        if again == "slow_down" {
            too_soon = true;
            break;
        }
        assert_eq!(again, "authorization_pending");
        assert!(begun.elapsed() > Duration::from_secs(1), "too soon, and not told so");
        tokio::time::sleep(Duration::from_millis(1100)).await;
    }
    assert!(too_soon, "never two polls within a second");
    let page = outside.http.get(&psc.phone).send().await.expect("an answer").text().await.expect("a page");
    assert!(page.contains(">07<") && page.contains("Paul DURAND"), "{page}");
    let list = outside.http.get(&psc.phone).header("accept", "application/json").send().await.expect("an answer");
    let list: Value = list.json().await.expect("JSON");
    assert_eq!((&list["waiting"][0]["person"], &list["waiting"][0]["digits"]), (&PAUL.into(), &"07".into()));
    let number = list["waiting"][0]["number"].to_string();
    assert_eq!(client.post(&psc.phone, &[("number", &number), ("answer", "refuse")]).await.0, 204);
    // The pace is six seconds now; a new request has its own.
    let (_, refused) = client.ask(&[("channel", "CARD")]).await;
    assert_eq!(client.post(&psc.phone, &[("person", PAUL), ("answer", "refuse")]).await.0, 204);
    assert_eq!(error(&client.poll(&refused).await), "access_denied");
    assert_eq!(error(&client.poll(&refused).await), "invalid_grant");

    // By itself.
    client.phone(&[("person", JULIEN), ("answer", "approve"), ("after_ms", "0")]).await;
    let (_, asked) = client.ask(&[("login_hint", JULIEN)]).await;
    let (status, tokens) = client.poll(&asked).await;
    assert_eq!(status, 200, "{tokens}");
    assert!(tokens["refresh_token"].is_string() && tokens["id_token"].is_string());
    assert_eq!(error(&client.poll(&asked).await), "invalid_grant", "it serves once");

    // In time, or not at all.
    let (_, asked) = client.ask(&[("requested_expiry", "1")]).await;
    assert_eq!(asked["expires_in"], 1);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(error(&client.poll(&asked).await), "expired_token");

    // Logout: the session's tokens are no longer good for anything.
    let refresh = tokens["refresh_token"].as_str().expect("a token");
    assert_eq!(client.post(&psc.end_session_endpoint, &[("refresh_token", refresh)]).await.0, 204);
    let again = client.post(&psc.token_endpoint, &[("grant_type", "refresh_token"), ("refresh_token", refresh)]).await;
    assert_eq!(error(&again), "invalid_grant");
}
