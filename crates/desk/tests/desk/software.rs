//! Mail software under test, from the pages and by program: listeners that open with a campaign and close with it, acts and the word that they are
//! done, what was seen meanwhile. What the software must do is tested elsewhere (crates/control, tests/e2e/test_control_software.py).

use std::net::SocketAddr;
use std::time::Duration;

use axum::http::StatusCode;
use desk::software::ClientPlace;
use patience::PATIENCE;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::{Browser, Stage};

const TEXT: &str = "plan = \"client\"\nname = \"<i>logiciel</i> d'alpha\"\n[software]\nname = \"Essai\"\nversion = \"4\"\n\
    [client]\nquiet_seconds = 3600\nwait_seconds = 3600\ncommand = [\"rm\", \"-rf\", \"/\"]\n";

async fn stage(change: impl FnOnce(&mut ClientPlace)) -> Stage {
    let mut place = ClientPlace {
        listen: [127, 0, 0, 1].into(),
        domain: "logiciels.exemple.fr".to_owned(),
        first_port: None,
        autoconfig_port: None,
        revocation_port: None,
        dns: None,
        resolver: None,
    };
    change(&mut place);
    let stage = Stage::with(|_, settings| settings.client = Some(place)).await;
    stage.run_campaigns();
    stage
}

/// One who drives by program.
struct Program {
    browser: Browser,
    token: String,
}

impl Program {
    async fn of(stage: &Stage, login: &str) -> Program {
        let mut browser = stage.signed(login).await;
        let token = browser.token().await;
        Program { browser, token }
    }

    async fn call(&mut self, method: &str, path: &str, body: Value) -> (StatusCode, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = self.browser.call(method, path, &self.token, &body).await;
        (answer.status, serde_json::from_str(&answer.text).unwrap_or_default())
    }

    /// A campaign of some cases: its path.
    async fn launch(&mut self, cases: &[&str]) -> String {
        let (status, made) = self.call("POST", "/api/v1/jobs", json!({ "texte": TEXT })).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
        assert_eq!(made["laisse"], json!(["client.command"]), "nothing is run on this machine");
        let path = format!("/api/v1/jobs/{}/campagnes", made["id"].as_str().expect("an id"));
        let (status, begun) = self.call("POST", &path, json!({ "autorise": true, "cas": cases })).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{begun}");
        assert_eq!(begun["verification"][1]["bon"], true, "{begun}");
        format!("/api/v1/campagnes/{}", begun["id"].as_str().expect("an id"))
    }

    /// What is to be done, once that is so.
    async fn bench(&mut self, campaign: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let path = format!("{campaign}/banc");
        let mut last = Value::Null;
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                let (status, now) = self.call("GET", &path, Value::Null).await;
                assert_eq!(status, StatusCode::OK, "{now}");
                last = now;
                if is_so(&last) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        found.await.unwrap_or_else(|_| panic!("not so: {last}"));
        last
    }

    async fn say(&mut self, campaign: &str, number: &Value, is_done: bool) -> (StatusCode, Value) {
        self.call("POST", &format!("{campaign}/banc"), json!({ "numero": number, "fait": is_done })).await
    }

    /// To the end, by its stream.
    async fn over(&mut self, campaign: &str) -> Value {
        self.call("GET", &format!("{campaign}/flux"), Value::Null).await;
        self.call("GET", campaign, Value::Null).await.1
    }
}

fn has_act(now: &Value) -> bool {
    !now["action"].is_null()
}

fn place_of(now: &Value, key: &str) -> SocketAddr {
    now["action"][key].as_str().and_then(|text| text.parse().ok()).expect("a place")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_is_driven_step_by_step() {
    let stage = stage(|_| ()).await;
    let mut alpha = Program::of(&stage, "alpha-testeur").await;
    let campaign = alpha.launch(&["CLI-03", "CLI-04"]).await;
    let id = campaign.rsplit('/').next().expect("an id").to_owned();
    let ready = alpha.bench(&campaign, has_act).await;
    assert_eq!((&ready["action"]["numero"], &ready["action"]["etape"]), (&json!(0), &Value::Null));
    assert_eq!(ready["lieu"]["serveur"], "lps.logiciels.exemple.fr");
    assert!(ready["lieu"]["scenarios"].as_array().expect("all").len() > 30);
    // The page says the same, and where the authority is; it is not another's, and nobody who only reads says anything.
    let page = stage.signed("alpha-lecteur").await.get(&format!("/campagnes/{id}")).await.text;
    assert!(page.contains("Préparez le logiciel") && !page.contains("Le logiciel est prêt"), "{page}");
    assert!(page.contains("&lt;i&gt;logiciel") && page.contains("nominal@logiciels.exemple.fr"));
    for file in [format!("/campagnes/{id}/autorite.pem"), format!("{campaign}/autorite.pem")] {
        let answer = alpha.browser.call("GET", &file, &alpha.token, "").await;
        assert!(answer.text.starts_with("-----BEGIN CERTIFICATE") && !answer.text.contains("PRIVATE"), "{file}");
    }
    let mut beta = Program::of(&stage, "beta").await;
    for (method, path) in [("GET", "banc"), ("POST", "banc"), ("GET", "autorite.pem")] {
        let (status, _) = beta.call(method, &format!("{campaign}/{path}"), json!({ "numero": 0, "fait": true })).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{method} {path}");
    }
    let mut reader = stage.signed("alpha-lecteur").await;
    let refused = reader.post(&format!("/campagnes/{id}/banc"), &[("numero", "0"), ("quoi", "fait")]).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert_eq!(alpha.say(&campaign, &json!(7), true).await.0, StatusCode::CONFLICT, "not that one");
    assert_eq!(alpha.say(&campaign, &json!("x"), true).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    // Ready: the first act. What comes is seen while it lasts.
    let (status, now) = alpha.say(&campaign, &json!(0), true).await;
    assert_eq!((status, &now["action"]["numero"]), (StatusCode::OK, &json!(1)), "{now}");
    let imap = place_of(&now, "imap");
    let stream = TcpStream::connect(imap).await.expect("it listens");
    let seen = alpha.bench(&campaign, |now| !now["vu"].as_array().expect("a list").is_empty()).await;
    assert!(seen["vu"][0].as_str().expect("a line").starts_with("IMAP, nominal@"), "{seen}");
    let page = alpha.browser.get(&format!("/campagnes/{id}")).await.text;
    assert!(page.contains("Action 1 — ") && page.contains("IMAP, nominal@") && page.contains("C’est fait"), "{page}");
    drop(stream);
    // By the page, to the next; then to the end, the rest cannot be done.
    let next = alpha.browser.post(&format!("/campagnes/{id}/banc"), &[("numero", "1"), ("quoi", "fait")]).await;
    assert_eq!(next.to, format!("/campagnes/{id}"), "{}", next.text);
    let again = alpha.browser.post(&format!("/campagnes/{id}/banc"), &[("numero", "1"), ("quoi", "fait")]).await;
    assert_eq!(again.status, StatusCode::CONFLICT, "over");
    loop {
        let now = alpha.bench(&campaign, |now| has_act(now) || now["ouvert"] == false).await;
        if now["ouvert"] == false {
            break;
        }
        let (status, _) = alpha.say(&campaign, &now["action"]["numero"].clone(), false).await;
        assert!([StatusCode::OK, StatusCode::CONFLICT].contains(&status), "{status}");
    }
    let over = alpha.over(&campaign).await;
    assert_eq!((&over["etat"], &over["prevus"], &over["faits"]), (&json!("terminee"), &json!(2), &json!(2)), "{over}");
    let results = alpha.call("GET", &format!("{campaign}/cas"), Value::Null).await.1;
    // Somebody knocked and said nothing: that is not reading one's mail. The rest was not done.
    let text = results.to_string();
    assert!(text.contains("ne sait pas le faire") && !text.contains("\"etat\":\"conforme\""), "{text}");
    assert!(TcpStream::connect(imap).await.is_err(), "the listeners are closed");
    // The report is like any other, and its case is in the catalogue.
    let report = alpha.browser.get(&format!("/campagnes/{id}/rapport.json")).await.text;
    assert_eq!(control::report::read(&report).expect("whole").plan, "client");
    let page = alpha.browser.get(&format!("/campagnes/{id}/cas/CLI-03")).await;
    assert!(page.status == StatusCode::OK && page.text.contains("Le cas au catalogue"));
    assert_eq!(alpha.browser.get("/catalogue/CLI-03").await.status, StatusCode::OK);
    stage.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_it_closes_and_waits_its_turn_where_ports_are_fixed() {
    let held = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = held.local_addr().expect("bound").port();
    let stage = stage(|place| place.autoconfig_port = Some(port)).await;
    let (mut alpha, mut beta) = (Program::of(&stage, "alpha").await, Program::of(&stage, "beta").await);
    // The port is somebody else's: the pre-flight says so, and the campaign is not launched.
    let (_, made) = alpha.call("POST", "/api/v1/jobs", json!({ "texte": TEXT })).await;
    let path = format!("/api/v1/jobs/{}/campagnes", made["id"].as_str().expect("an id"));
    let (status, refused) = alpha.call("POST", &path, json!({ "autorise": true })).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{refused}");
    assert!(refused.to_string().contains(&port.to_string()), "{refused}");
    drop(held);
    let first = alpha.launch(&["CLI-03"]).await;
    let now = alpha.bench(&first, has_act).await;
    let imap = place_of(&now, "imap");
    // One campaign holds the listeners: the other operator's waits, and says why.
    let second = beta.launch(&["CLI-03"]).await;
    assert_eq!(beta.call("GET", &second, Value::Null).await.1["etat"], "en_file");
    assert_eq!(beta.bench(&second, |_| true).await["ouvert"], false);
    let page = beta.browser.get(&second.replace("/api/v1", "")).await.text;
    assert!(page.contains("ports de l’opérateur scénarisé"), "{page}");
    assert_eq!(alpha.call("POST", &format!("{first}/arret"), Value::Null).await.0, StatusCode::ACCEPTED);
    assert_eq!(alpha.over(&first).await["etat"], "annulee");
    assert!(TcpStream::connect(imap).await.is_err(), "closed");
    // Its turn.
    let now = beta.bench(&second, has_act).await;
    assert_eq!(now["lieu"]["autoconfiguration"], format!("127.0.0.1:{port}"));
    // The process ends: closed, and gone on with at the next start.
    let imap = place_of(&now, "imap");
    stage.shutdown.cancel();
    let closed = tokio::time::timeout(PATIENCE, async {
        while TcpStream::connect(imap).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    closed.await.expect("closed with the process");
    let state = beta.bench(&second, |_| true).await;
    assert_eq!(state["ouvert"], false);
}

#[tokio::test]
async fn described_by_a_form_and_offered_only_where_it_is_open() {
    let closed = Stage::new().await;
    let mut alpha = closed.signed("alpha").await;
    assert!(!alpha.get("/tests").await.text.contains("plan=client"));
    assert_eq!(alpha.get("/tests/nouveau?plan=client").await.status, StatusCode::CONFLICT);
    let refused = alpha.post("/tests/importer", &[("modele", "essai"), ("fichier", TEXT)]).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text);
    let stage = stage(|_| ()).await;
    let mut alpha = stage.signed("alpha").await;
    assert!(alpha.get("/tests").await.text.contains("plan=client"));
    let form = alpha.get("/tests/nouveau?plan=client").await.text;
    assert!(form.contains("name=\"logiciel\"") && form.contains("value=\"envoyer-document\" checked"), "{form}");
    let fields = [
        ("plan", "client"),
        ("nom", "v4"),
        ("logiciel", "Essai"),
        ("attente", "99999"),
        ("calme", "20"),
        ("etape", "relever"),
    ];
    let wrong = alpha.post("/tests", &fields).await.text;
    assert!(wrong.contains("De 1 à 3600 secondes") && wrong.contains("href=\"#attente\""), "{wrong}");
    let mut fields = fields.to_vec();
    fields[3].1 = "60";
    let made = alpha.post("/tests", &fields).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.text);
    let page = alpha.get(&made.to).await.text;
    assert!(page.contains("CLI-32") && !page.contains("Profondeur") && !page.contains("Surveiller :"), "{page}");
    // Nobody watches software by itself.
    let job = made.to.trim_start_matches("/tests/").split('?').next().expect("an id").to_owned();
    let watch = alpha.post(&format!("/tests/{job}/surveiller"), &[("autorise", "oui"), ("heures", "24")]).await;
    assert_eq!(watch.status, StatusCode::CONFLICT);
    let copy = alpha.get(&format!("/tests/nouveau?depuis={job}")).await.text;
    assert!(copy.contains("value=\"Essai\"") && !copy.contains("value=\"envoyer\" checked"), "{copy}");
}
