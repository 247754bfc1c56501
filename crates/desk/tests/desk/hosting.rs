//! The stub and the traps under `control serve`, on loopback: what operators reach, and what each sees of it.

use std::path::Path;
use std::time::Duration;

use axum::http::StatusCode;
use control::wire::{Log, Wire};
use desk::account::role::Role;
use desk::config::Config;
use desk::db::{Db, Reach};
use desk::hosting::{Hosting, Opened, records};
use desk::{Desk, Settings};
use patience::{PATIENCE, free_port};
use tokio_util::sync::CancellationToken;
use trust::SystemClock;
use trust::pki::{LeafRequest, Organization, TestAuthority};
use trust::tls::Identity;

use crate::{Browser, JOB, PASSWORD, settings};

/// Certificates and a configuration file; the ports of the stub and of the usual door.
fn prepared(folder: &Path) -> (Config, u16, u16) {
    let authority = TestAuthority::generate("http://127.0.0.1:1", SystemClock::shared()).expect("an authority");
    let organization = Organization::new("1750000001", "BOITES PIEGES", "Paris (75)");
    let request = LeafRequest::server("mx.pieges.test", &organization, &[], &["127.0.0.1".parse().expect("loopback")]);
    let leaf = authority.issue(&request).expect("a leaf");
    leaf.save(folder, "piege").expect("written");
    std::fs::write(folder.join("ca.pem"), authority.ca_pem().expect("PEM")).expect("written");
    std::fs::write(folder.join("t.toml"), "[limits]\npatience_seconds = 1\n").expect("written");
    let (stub, door) = (free_port(), free_port());
    let text = format!(
        "listen = \"127.0.0.1:0\"\nurl = \"https://controle.test\"\ncertificate = \"piege.pem\"\nkey = \"piege.key\"\ndata = \"data\"\n\
         [[template]]\nname = \"essai\"\ntitle = \"Essai\"\nfile = \"t.toml\"\n\
         [stub]\nlisten = \"127.0.0.1:{stub}\"\nurl = \"https://127.0.0.1:{stub}\"\n\
         [traps]\ndomain = \"pieges.test\"\nanchors = \"ca.pem\"\n\
         [[traps.door]]\nname = \"nominal\"\nlisten = \"127.0.0.1:{door}\"\ncertificate = \"piege.pem\"\nkey = \"piege.key\"\n\
         [[traps.door]]\nname = \"mx2\"\nlisten = \"127.0.0.1:{}\"\naddress = \"192.0.2.7\"\nclosed = \"192.0.2.8\"\ncertificate = \"piege.pem\"\nkey = \"piege.key\"\n",
        free_port()
    );
    let path = folder.join("controle.toml");
    std::fs::write(&path, text).expect("written");
    (Config::load(&path).expect("a configuration"), stub, door)
}

async fn signed(desk: &Desk, login: &str) -> Browser {
    let mut browser = Browser { router: desk.router(), cookie: String::new(), key: String::new() };
    browser.post("/connexion", &[("login", login), ("mot_de_passe", PASSWORD)]).await;
    browser.get("/compte").await;
    browser
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_reach_the_stub_and_the_traps() {
    let folder = tempfile::tempdir().expect("a folder");
    let (config, stub, door) = prepared(folder.path());
    let shutdown = CancellationToken::new();
    let open = async || {
        let opened = Opened {
            sections: config.sections(),
            identity: Identity::from_files(&config.certificate, &config.key).expect("a certificate"),
            folder: &config.data,
            clock: SystemClock::shared(),
        };
        Hosting::open(opened, &shutdown).await
    };
    let hosting = open().await.expect("opened");
    let taken = open().await.map(drop).expect_err("the ports are taken");
    assert!(taken.to_string().contains("CAP_NET_BIND_SERVICE"), "{taken}");
    let settings =
        Settings { hosting: Some(hosting.clone()), templates: config.settings().templates, ..settings(folder.path()) };
    let desk = Desk::with(Db::in_memory().expect("memory"), settings, CancellationToken::new()).await.expect("a desk");
    for (name, login, domain) in [("Alpha", "alpha", "alpha.test"), ("Beta", "beta", "beta.test")] {
        let reach = Reach {
            domains: vec![domain.to_owned()],
            ranges: vec!["127.0.0.0/8".parse().expect("a range")],
            ports: vec![],
        };
        let organisation = Some((name, reach));
        desk.provide(organisation, login, Role::AdministrateurOperateur, PASSWORD).await.expect("an account");
    }
    desk.provide(None, "regulateur", Role::Regulateur, PASSWORD).await.expect("an account");
    let (mut alpha, mut beta) = (signed(&desk, "alpha").await, signed(&desk, "beta").await);
    let mut all = signed(&desk, "regulateur").await;

    // An issuer for each, and each sees its own.
    let page = alpha.get("/bouchon").await.text;
    let issuer = |id: u8| format!("https://127.0.0.1:{stub}/b/o{id}/auth/realms/esante-wallet");
    assert!(page.contains(&issuer(1)) && !page.contains(&issuer(2)), "{page}");
    assert!(beta.get("/bouchon").await.text.contains(&issuer(2)));
    let anchors = trust::tls::Anchors::from_file(&folder.path().join("ca.pem")).expect("authorities");
    let http = trust::http::client(anchors.certificates()).expect("a client");
    let keys = http.get(format!("{}/protocol/openid-connect/certs", issuer(1))).send().await.expect("an answer");
    let keys = String::from_utf8(trust::http::read_limited(keys, 65_536).await.expect("a body")).expect("text");
    assert!(keys.contains("\"kid\""), "{keys}");
    let call = "GET /b/o1/auth/realms/esante-wallet/protocol/openid-connect/certs";
    let of = async |browser: &mut Browser| {
        let token = browser.token().await;
        browser.call("GET", "/api/v1/bouchon", &token, "").await.text
    };
    assert!(of(&mut alpha).await.contains("openid-connect/certs"), "{call}");
    assert!(!of(&mut beta).await.contains("openid-connect/certs"), "another's calls are not shown");

    // A job without [psc] nor [stand] has them: the good token of the pre-flight is one of the operator's own realm.
    let taken = alpha.post("/tests/importer", &[("modele", "essai"), ("fichier", JOB)]).await;
    assert_eq!(taken.status, StatusCode::SEE_OTHER, "{}", taken.text);
    assert!(alpha.get(&taken.to).await.text.contains("affaire d"), "it is there");

    // What alpha sends to the trap.
    let mut wire = Wire::connect(([127, 0, 0, 1], door).into(), PATIENCE, &Log::default()).await.expect("connected");
    assert_eq!(wire.smtp_answer().await.expect("a greeting").code, 220);
    assert_eq!(wire.smtp("EHLO mx.alpha.test").await.expect("EHLO").code, 250);
    assert_eq!(wire.smtp("STARTTLS").await.expect("STARTTLS").code, 220);
    let mut wire = wire.tls("mx.pieges.test").await.expect("TLS");
    for (command, code) in [
        ("EHLO mx.alpha.test", 250),
        ("MAIL FROM:<marie@alpha.test>", 250),
        ("RCPT TO:<nominal+essai@pieges.test>", 250),
        ("QUIT", 221),
    ] {
        assert_eq!(wire.smtp(command).await.expect(command).code, code, "{command}");
    }
    drop(wire);
    let seen = async |browser: &mut Browser| browser.get("/pieges").await.text.contains("marie@alpha.test");
    let shown = tokio::time::timeout(PATIENCE, async {
        while !seen(&mut alpha).await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    shown.await.expect("alpha sees what it sent");
    assert!(!seen(&mut beta).await, "and nobody else");
    assert!(seen(&mut all).await, "but the regulator");

    // The same issuer and the same key at the next start.
    let key = std::fs::read(config.data.join("bouchon/o1/signing.key")).expect("a key");
    shutdown.cancel();
    hosting.wait().await;
    assert_eq!(std::fs::read(config.data.join("bouchon/o1/signing.key")).expect("a key"), key);

    let text = records(config.sections());
    for line in [
        "pieges.test. 3600 IN MX 10 mx.pieges.test.",
        "mx2.pieges.test. 3600 IN MX 10 mx1.mx2.pieges.test.",
        "mx1.mx2.pieges.test. 3600 IN A 192.0.2.8",
        "mx2.pieges.test. 3600 IN MX 20 mx.mx2.pieges.test.",
        "mx.mx2.pieges.test. 3600 IN A 192.0.2.7",
    ] {
        assert!(text.lines().any(|one| one == line), "{line}:\n{text}");
    }
    assert!(text.contains(";   pieges.test : ") && text.contains("BOITES PIEGES"), "{text}");
}
