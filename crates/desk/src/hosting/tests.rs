//! The lists under `control serve`: to each operator its own, and the traps believe them.

use std::path::Path;
use std::time::{Duration, SystemTime};

use control::stand::Client;
use control::stand::revocation::{Lists as Crl, Ocsp, Play};
use control::stand::white_list::{self, List, Lists as Data};
use control::trap::Query;
use control::wire::{Log, Shown, Wire};
use trust::SystemClock;
use trust::pki::{INTERMEDIATE_CRL_PATH, LeafRequest, OCSP_PATH, Organization};
use trust::revocation::Revocation;
use trust::tls::Anchors;
use trust::white_list::{RequiredSigner, SignaturePolicy, WhiteList};

use super::*;
use crate::config::Config;

const MINUTE: Duration = Duration::from_secs(60);

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").and_then(|one| one.local_addr()).expect("a port").port()
}

struct Space {
    folder: tempfile::TempDir,
    hosting: Hosting,
    shutdown: CancellationToken,
    policy: SignaturePolicy,
    http: reqwest::Client,
    list: String,
    crl: String,
    door: u16,
}

impl Space {
    async fn open() -> Space {
        let folder = tempfile::tempdir().expect("a folder");
        let [list, crl, door] = [(); 3].map(|()| free_port());
        let base = format!("http://127.0.0.1:{crl}");
        let authority = trust::pki::TestAuthority::generate(&base, SystemClock::shared()).expect("an authority");
        let structure = Organization::new("1750000001", "ESSAI", "Paris (75)");
        let home = "127.0.0.1".parse().expect("loopback");
        let server = |name: &str| LeafRequest::server(name, &structure, &[], &[home]);
        let requests = [
            LeafRequest::sign("Liste", &structure),
            LeafRequest::sign("Autre", &structure),
            server("mx.alpha.test"),
            server("mx.beta.test"),
            server("mx.pieges.test"),
            server("mx.alpha.test"),
        ];
        let leaves = authority.issue_all(&requests).expect("leaves");
        for (leaf, name) in leaves.iter().zip(["liste", "autre", "alpha", "beta", "piege", "revoque"]) {
            leaf.save(folder.path(), name).expect("written");
        }
        authority.revoke(&leaves[5].serial().expect("a number")).expect("revoked");
        authority.save(&folder.path().join("igc")).expect("written");
        std::fs::write(folder.path().join("ca.pem"), authority.ca_pem().expect("PEM")).expect("written");
        let name = leaves[0].dn().expect("a name");
        let text = format!(
            "listen = \"127.0.0.1:0\"\nurl = \"https://controle.test\"\ncertificate = \"piege.pem\"\nkey = \"piege.key\"\ndata = \"data\"\n\
             [[template]]\nname = \"essai\"\ntitle = \"Essai\"\nfile = \"t.toml\"\n\
             [white_list]\nlisten = \"127.0.0.1:{list}\"\nurl = \"https://127.0.0.1:{list}\"\npeer = \"alpha.test\"\nother = \"beta.test\"\n\
             signer = {{ certificate = \"liste.pem\", key = \"liste.key\" }}\nother_signer = {{ certificate = \"autre.pem\", key = \"autre.key\" }}\n\
             [[white_list.domain]]\nname = \"alpha.test\"\ncertificate = \"alpha.pem\"\n[[white_list.domain]]\nname = \"beta.test\"\ncertificate = \"beta.pem\"\n\
             [revocation]\nlisten = \"127.0.0.1:{crl}\"\nurl = \"{base}\"\nauthority = \"igc\"\n\
             [traps]\ndomain = \"pieges.test\"\nanchors = \"ca.pem\"\ncrl = [\"{base}/CRL/ACI-EL-ORG-TEST.crl\", \"{base}/CRL/ACR-EL-TEST.crl\"]\n\
             white_list = {{ url = \"https://127.0.0.1:{list}{}\", signer = \"{name}\", anchors = \"ca.pem\" }}\n\
             [[traps.door]]\nname = \"nominal\"\nlisten = \"127.0.0.1:{door}\"\ncertificate = \"piege.pem\"\nkey = \"piege.key\"\n",
            white_list::PATH
        );
        let path = folder.path().join("controle.toml");
        std::fs::write(&path, text).expect("written");
        let config = Config::load(&path).expect("a configuration");
        let opened = Opened {
            sections: config.sections(),
            identity: Identity::from_files(&config.certificate, &config.key).expect("a certificate"),
            folder: &config.data,
            clock: SystemClock::shared(),
        };
        let shutdown = CancellationToken::new();
        let hosting = Hosting::open(opened, &shutdown).await.expect("opened");
        let anchors = Anchors::from_file(&folder.path().join("ca.pem")).expect("authorities");
        let http = trust::http::client(anchors.certificates()).expect("a client");
        let revocation = Arc::new(Revocation::none());
        let policy = SignaturePolicy::Required(RequiredSigner { anchors, name, revocation });
        let list = format!("https://127.0.0.1:{list}{}", white_list::PATH);
        Space { folder, hosting, shutdown, policy, http, list, crl: base, door }
    }

    /// An operator's stand, and the word it fetches with.
    fn stand(&self, operator: i64) -> (Client, String) {
        let mut job = Table::new();
        self.hosting.complete(&mut job, Some(OrganisationId(operator))).expect("a stand");
        let declared = self.hosting.declared(&job, OrganisationId(operator)).lists;
        let section: control::job::Stand = job["stand"].clone().try_into().expect("a section");
        assert!(declared.iter().all(|(_, place)| place.ends_with(&format!("?operateur={}", section.reader))));
        (Client::open(&section).expect("a client"), section.reader)
    }

    async fn list(&self, word: &str) -> WhiteList {
        let answer = self.http.get(format!("{}?operateur={word}", self.list)).send().await.expect("an answer");
        let xml = trust::http::read_limited(answer, 1 << 20).await.expect("a body");
        WhiteList::from_xml(&xml, &self.policy, SystemTime::now()).expect("a list")
    }

    async fn status(&self, path: &str, word: &str) -> u16 {
        let query = if word.is_empty() { String::new() } else { format!("?operateur={word}") };
        self.http.get(format!("{}{path}{query}", self.crl)).send().await.expect("an answer").status().as_u16()
    }

    /// Shows a certificate to the usual door, and leaves.
    async fn show(&self, name: &str) {
        let place = SocketAddr::from((Ipv4Addr::LOCALHOST, self.door));
        let path = |extension: &str| self.folder.path().join(format!("{name}.{extension}"));
        let pair = control::job::Pair { certificate: path("pem"), key: path("key") };
        let mut wire = Wire::connect(place, MINUTE, &Log::default()).await.expect("connected");
        assert_eq!(wire.smtp_answer().await.expect("a greeting").code, 220);
        assert_eq!(wire.smtp("EHLO mx.alpha.test").await.expect("EHLO").code, 250);
        assert_eq!(wire.smtp("STARTTLS").await.expect("STARTTLS").code, 220);
        let shown = Shown::read(&pair).expect("a pair");
        let Ok(mut wire) = wire.tls_as("mx.pieges.test", Some(&shown)).await else { panic!("the door takes anything") };
        assert_eq!(wire.smtp("EHLO mx.alpha.test").await.expect("EHLO").code, 250);
        assert_eq!(wire.smtp("QUIT").await.expect("QUIT").code, 221);
    }

    async fn close(self) {
        self.shutdown.cancel();
        self.hosting.wait().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_played_to_one_operator_reaches_no_other() {
    let space = Space::open().await;
    let ((one, first), (two, second)) = (space.stand(1), space.stand(2));
    assert_ne!(first, second);
    assert_eq!(space.stand(1).1, first, "the same word the next time");
    let witness = Data::embedded().temoin;
    let held = one.play_list(List::Temoin, &first, MINUTE * 10).await.expect("played");
    assert!(space.list(&first).await.is_listed(&witness));
    for word in [second.as_str(), "", "o1", "o1-0000000000000000"] {
        let list = space.list(word).await;
        assert!(!list.is_listed(&witness), "{word}");
        assert!(list.is_listed("beta.test") && list.is_listed("pieges.test"), "the usual one");
    }
    let served = async |stand: &Client| -> Vec<String> {
        let fetches = stand.list_fetches(0).await.expect("a log");
        fetches.into_iter().map(|fetch| fetch.servie).collect()
    };
    assert_eq!((served(&one).await, served(&two).await), (vec![List::Temoin.word()], vec!["usuelle".to_owned()]));
    // Each has leases of its own.
    let other = two.play_list(List::Sans, &second, MINUTE * 10).await.expect("free");
    two.give_back(other).await.expect("held");
    one.give_back(held).await.expect("held");
    assert!(!space.list(&first).await.is_listed(&witness));
    space.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_no_word_is_who_last_said_one_from_that_address() {
    let space = Space::open().await;
    let ((one, first), (_, second)) = (space.stand(1), space.stand(2));
    let play = Play { crl: Crl::Indisponible, ocsp: Ocsp::Indisponible, lecteur: first.clone(), ..Play::default() };
    let held = one.play_revocation(&play, MINUTE * 10).await.expect("played");
    let list = INTERMEDIATE_CRL_PATH;
    // Nobody knows who asks: the usual list, and a doubt that the campaign hears of.
    assert_eq!(space.status(list, "").await, 200);
    let fetches = one.revocation_fetches(0).await.expect("a log");
    assert!(fetches.iter().any(|fetch| fetch.lecteur.is_empty() && fetch.statut == 200), "{fetches:?}");
    assert_eq!((space.status(list, &first).await, space.status(list, "").await), (503, 503));
    assert_eq!(space.status(&format!("{OCSP_PATH}/x"), "").await, 503);
    assert_eq!((space.status(list, &second).await, space.status(list, "").await), (200, 200));
    assert_eq!(space.status(list, &first).await, 503);
    one.give_back(held).await.expect("held");
    assert_eq!((space.status(list, &first).await, space.status("/autre", &first).await), (200, 404));
    space.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_traps_believe_the_lists() {
    let space = Space::open().await;
    let archive = space.hosting.inner.traps.as_ref().expect("traps").0.clone();
    let seen = async |number: usize| loop {
        // The session is kept once it is over.
        let sessions = archive.list(&Query::default(), 100);
        let over = sessions.iter().filter(|session| session.end.is_some()).count();
        if over >= number {
            let certificate = |session: &control::trap::Session| session.tls.clone().and_then(|tls| tls.certificate);
            break sessions.first().and_then(|session| certificate(session)).expect("a certificate");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    // The lists are fetched behind: the first sessions may come before them.
    let mut number = 0;
    let good = loop {
        space.show("alpha").await;
        number += 1;
        let good = seen(number).await;
        if good.domains.is_some() && !good.is_unclear {
            break good;
        }
    };
    assert_eq!((good.fault, good.domains), (None, Some(vec!["alpha.test".to_owned()])));
    space.show("beta").await;
    assert_eq!(seen(number + 1).await.domains, Some(vec!["beta.test".to_owned()]));
    space.show("revoque").await;
    let revoked = seen(number + 2).await;
    assert!(revoked.fault.as_deref().is_some_and(|fault| fault.contains("révoqué")), "{revoked:?}");
    space.close().await;
}

#[test]
fn a_words_mark_cannot_be_told_from_the_number() {
    let key = |folder: &Path, name: &str| Key::at(&folder.join(name)).expect("a key");
    let folder = tempfile::tempdir().expect("a folder");
    let (one, other) = (key(folder.path(), "a"), key(folder.path(), "b"));
    assert_eq!(word("o1", &one), word("o1", &one));
    assert_ne!(word("o1", &one), word("o1", &other));
    assert!(word("o1", &one).len() > "o1-".len() + 12);
}
