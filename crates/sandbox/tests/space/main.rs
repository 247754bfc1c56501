//! A sandbox started, looked at from outside as a program would, stopped and started again.

mod ciba;
mod directory_stand_in;
mod mes;
mod names;
mod psc;

use std::path::Path;
use std::sync::Arc;

use sandbox::{Description, Options, Sandbox, SandboxError, self_check};
use trust::SystemClock;
use trust::revocation::{CrlSource, Revocation, RevocationSettings};
use trust::tls::Anchors;
use trust::white_list::{Keeper, KeeperConfig, RequiredSigner, SignaturePolicy};

/// What a program makes of `sandbox.json` and the folder.
struct Outside<'a> {
    folder: &'a Path,
    description: Description,
    anchors: Anchors,
    revocation: Arc<Revocation>,
    http: reqwest::Client,
}

impl<'a> Outside<'a> {
    async fn look(folder: &'a Path) -> Outside<'a> {
        let description = Description::read(folder).expect("sandbox.json is there");
        let anchors = Anchors::from_file(&folder.join(&description.pki.ca)).expect("pki.ca");
        let urls = [&description.pki.crl_url, &description.pki.root_crl_url];
        let sources = urls.map(|url| CrlSource::Url(url.clone())).into();
        let settings = RevocationSettings::required(anchors.clone(), sources);
        let revocation = Arc::new(Revocation::new(settings).expect("revocation lists"));
        assert!(revocation.refresh().await.is_empty(), "both lists are served and right");
        let http = trust::http::client(anchors.certificates()).expect("a client");
        Outside { folder, description, anchors, revocation, http }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_space() {
    // SBX
    let temporary = tempfile::tempdir().expect("a folder");
    let folder = temporary.path();
    let sandbox = Sandbox::start(Options::new(folder)).await.expect("starts");
    let outside = Outside::look(folder).await;
    assert_eq!(outside.description, sandbox.description);

    contract(folder, &outside.description);
    names::resolve(&outside.description).await;
    white_list(&outside).await;
    directory_stand_in::answers(&outside).await;
    psc::tokens(&outside).await;
    psc::login(&outside).await;
    ciba::logins_by_phone(&outside).await;
    mes::receives(&outside).await;
    let exchange = self_check::run(folder, &outside.description).await.expect("the exchange");
    assert!(exchange.sender_dn.contains("mx.alpha.formation.mssante.fr"), "{exchange}");
    assert!(exchange.relay_tls.starts_with("TLSv1."), "{exchange}");

    let second = Sandbox::start(Options::new(folder)).await.err().expect("the folder is taken");
    assert!(matches!(second, SandboxError::Busy { .. }), "{second}");
    sandbox.stop().await;
    assert!(matches!(Description::read(folder), Err(SandboxError::NotRunning { .. })));

    // Everything is found again: ports, keys, secret, mailboxes (or their creation would have failed).
    let again = Sandbox::start(Options::new(folder)).await.expect("starts again");
    let mut before = outside.description.clone();
    before.pid = again.description.pid;
    assert_eq!(again.description, before);
    self_check::run(folder, &again.description).await.expect("the exchange");
    again.stop().await;
}

/// The shape that the issue fixes, read as a script would: by name, without our types.
fn contract(folder: &Path, description: &Description) {
    let text = std::fs::read_to_string(folder.join("sandbox.json")).expect("there");
    let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(json["version"], 1);
    for pointer in [
        "/pki/ca",
        "/pki/crl_url",
        "/pki/ocsp_url",
        "/dns/host",
        "/psc/issuer",
        "/psc/discovery",
        "/psc/jwks_uri",
        "/psc/token_endpoint",
        "/psc/introspection_endpoint",
        "/psc/userinfo_endpoint",
        "/psc/client_id",
        "/psc/client_secret",
        "/psc/ciba_endpoint",
        "/psc/phone",
        "/psc/client_certificate",
        "/white_list",
        "/lps",
        "/operators/0/name",
        "/operators/1/domain",
        "/operators/0/imap/host",
        "/operators/0/autoconfig",
        "/people/0/id",
        "/people/0/name",
        "/people/0/operator",
        "/people/0/mailbox",
        "/people/0/kind",
        "/applications/0/operator",
        "/applications/0/mailbox",
        "/applications/0/kind",
        "/applications/0/structure",
        "/applications/0/certificate",
        "/applications/0/key",
    ] {
        assert!(json.pointer(pointer).is_some_and(serde_json::Value::is_string), "{pointer}");
    }
    for operator in 0..2 {
        for entry in ["imap", "submission", "imap_app", "submission_app", "mx"] {
            let port = json.pointer(&format!("/operators/{operator}/{entry}/port")).and_then(serde_json::Value::as_u64);
            assert!(port.is_some_and(|port| port > 0), "{entry}");
        }
    }
    assert_eq!(json["people"][0]["mailbox"], "marie.martin@alpha.formation.mssante.fr");
    assert_eq!(json["applications"][0]["certificate"], "pki/labo.pem");
    assert_eq!(json["applications"][0]["structure"], "1750000001");
    assert!(description.people.iter().any(|person| person.mailbox.is_none()), "somebody with nothing");
    let files = description.applications.iter().flat_map(|a| [&a.certificate, &a.key]);
    let files = files.chain(description.negative.values().flat_map(|n| [&n.certificate, &n.key]));
    let files = files.chain(description.operators.iter().flat_map(|o| [&o.certificate, &o.key, &o.config]));
    for file in files {
        assert!(folder.join(file).is_file(), "{file}");
    }
    for operator in &description.operators {
        operator::Config::load(&folder.join(&operator.config)).expect("what `vaguemestre serve` takes");
    }
}

async fn white_list(outside: &Outside<'_>) {
    // OPE-LIST
    let Outside { description, .. } = outside;
    let config = KeeperConfig {
        url: description.white_list.parse().expect("a URL"),
        policy: SignaturePolicy::Required(RequiredSigner {
            anchors: outside.anchors.clone(),
            name: description.white_list_signer.parse().expect("a DN"),
            revocation: outside.revocation.clone(),
        }),
        path: outside.folder.join("test-list.xml"),
        refresh_every: std::time::Duration::from_secs(3600),
    };
    let keeper = Keeper::open(config, outside.http.clone(), SystemClock::shared());
    assert!(keeper.refresh().await.expect("signed as it must be"), "a first list");
    // Not modified: ETag and Last-Modified are honoured.
    assert!(!keeper.refresh().await.expect("unchanged"), "the same list");
    let list = keeper.current().expect("a list");
    for operator in &description.operators {
        assert!(list.allows(&operator.domain, &operator.dn.parse().expect("a DN")), "{}", operator.name);
    }
    assert!(list.allows("patient.mssante.fr", &description.mes.dn.parse().expect("a DN")));
    assert!(!list.is_listed("horsliste.formation.mssante.fr"));
    // The operator that the control application plays.
    assert!(list.is_listed("controle.formation.mssante.fr"));
}
