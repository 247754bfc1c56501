//! A small trust space in the test's own process: authority, name server, white list publisher, and a clock that stands still.

mod dns;
mod imap;
mod mailbox;
mod peer;

pub use imap::Imap;
pub use mailbox::{Labo, Letter, attempted, drained, send};
pub use peer::Peer;

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::routing::get;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use operator::{Config, Operator};
use patience::PATIENCE;
use tokio_util::sync::CancellationToken;
use trust::clock::{Clock, ManualClock};
use trust::pki::{Ca, Issued, LeafRequest, Organization, TestAuthority};
use trust::tls::{Acceptor, Anchors, ClientTls, Connector, Profile, ServerTls};
use trust::white_list::{Entry, WhiteListBuilder, sign};

/// The structure of an operator and of its software.
pub const STRUCTURES: [&str; 2] = ["1750000001", "1420000001"];

/// The space.
pub struct Space {
    /// Moves only when told to.
    pub clock: ManualClock,
    pub authority: TestAuthority,
    /// One key for all certificates: making keys is what takes time.
    key: PKey<Private>,
    folder: tempfile::TempDir,
    list: Arc<RwLock<String>>,
    list_url: String,
    dns: dns::Server,
    network: [u8; 2],
    /// The port of all operator interfaces.
    relay: u16,
    shutdown: CancellationToken,
}

impl Drop for Space {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

pub fn domain(name: &str) -> String {
    format!("{name}.formation.mssante.fr")
}

/// Operators by name: their number.
fn number(name: &str) -> usize {
    usize::from(name != "alpha")
}

impl Space {
    /// A space in which `alpha` and `beta` are listed.
    pub async fn new() -> Space {
        let clock = ManualClock::at(SystemTime::now());
        let authority = TestAuthority::generate("http://127.0.0.1:9", clock.shared()).expect("keys");
        let key = PKey::from_rsa(Rsa::generate(2048).expect("a key")).expect("a key");
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("ca.pem"), authority.ca_pem().expect("PEM")).expect("writable");
        for (ca, name) in [(Ca::Root, "root.crl"), (Ca::Organizations, "organizations.crl")] {
            let list = authority.crl(ca, Duration::from_secs(365 * 86_400)).expect("a list");
            std::fs::write(folder.path().join(name), list.to_der().expect("DER")).expect("writable");
        }
        let (network, relay) = free_network();
        let shutdown = CancellationToken::new();
        let list = Arc::new(RwLock::new(String::new()));
        let mut space = Space {
            dns: dns::Server::start(shutdown.clone()).await,
            clock,
            authority,
            key,
            folder,
            list,
            list_url: String::new(),
            network,
            relay,
            shutdown,
        };
        for name in ["alpha", "beta"] {
            space.dns.point(&domain(name), space.mx(name).ip());
        }
        space.publish(&["alpha", "beta"]);
        space.serve_list().await;
        space
    }

    async fn serve_list(&mut self) {
        let published = self.list.clone();
        let read = move || {
            let document = published.read().unwrap_or_else(PoisonError::into_inner).clone();
            async move { document }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        self.list_url = format!("https://{address}/list.xml");
        let tls = ServerTls {
            clock: self.clock.shared(),
            ..ServerTls::new(self.server("services.mssante.fr").identity().expect("an identity"), Profile::Https)
        };
        let acceptor = Acceptor::new(tls).expect("an acceptor");
        let router = Router::new().route("/list.xml", get(read));
        tokio::spawn(trust::http::serve(listener, Some(acceptor), router, self.shutdown.clone()));
    }

    /// A certificate by the space's one key.
    pub fn issue(&self, request: &LeafRequest) -> Issued {
        self.authority.certify(request, self.key.clone()).expect("a certificate")
    }

    /// The certificate of a service of the space on 127.0.0.1.
    pub fn server(&self, host: &str) -> Issued {
        let home = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let organization = Organization::new("1750000009", "ANS", "Paris (75)");
        self.issue(&LeafRequest::server(host, &organization, &[], &[home]))
    }

    /// The certificate of an operator's interface.
    pub fn operator_certificate(&self, name: &str) -> Issued {
        let organization = Organization::new(STRUCTURES[number(name)], name, "Paris (75)");
        let home = IpAddr::V4(Ipv4Addr::LOCALHOST);
        self.issue(&LeafRequest::server(&format!("mx.{}", domain(name)), &organization, &[], &[home]))
    }

    /// Publishes a list of these operators, dated now.
    pub fn publish(&self, names: &[&str]) {
        let mut list = WhiteListBuilder::new(self.clock.now());
        for name in names {
            list = list.with(Entry::new(domain(name), self.operator_certificate(name).dn().expect("a DN")));
        }
        let signer = self.signer();
        let signed = sign(&list.to_xml(), signer.key(), signer.certificate()).expect("signed");
        *self.list.write().unwrap_or_else(PoisonError::into_inner) = signed;
    }

    fn signer(&self) -> Issued {
        self.issue(&LeafRequest::sign("Liste Blanche", &Organization::new("1750000009", "ANS", "Paris (75)")))
    }

    /// Where an operator's interface is.
    pub fn mx(&self, name: &str) -> SocketAddr {
        let [x, y] = self.network;
        SocketAddr::from(([127, x, y, 1 + number(name) as u8], self.relay))
    }

    /// The name server's zone.
    pub fn dns(&self) -> &dns::Server {
        &self.dns
    }

    pub fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub fn now(&self) -> i64 {
        let since = self.clock.now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
        i64::try_from(since.as_secs()).expect("before the end of time")
    }

    /// Puts the clock at a moment, seconds since 1970.
    pub fn set(&self, seconds: i64) {
        let since = Duration::from_secs(u64::try_from(seconds).expect("after 1970"));
        self.clock.set(SystemTime::UNIX_EPOCH + since);
    }

    /// The text of an operator's configuration, its files written beside.
    pub fn configuration(&self, name: &str) -> String {
        let folder = self.folder_of(name);
        std::fs::create_dir_all(&folder).expect("writable");
        self.operator_certificate(name).save(&folder, "server").expect("writable");
        let (domain, list, mx, dns) = (domain(name), &self.list_url, self.mx(name), self.dns.address());
        let signer = self.signer().dn().expect("a DN");
        format!(
            "[operator]\nname = \"{name}\"\ndomains = [\"{domain}\"]\nhostname = \"mx.{domain}\"\ndata = \"data\"\n\
             [tls]\ncertificate = \"server.pem\"\nkey = \"server.key\"\n\
             [trust]\nanchors = \"../ca.pem\"\ncrl = [\"../root.crl\", \"../organizations.crl\"]\n\
             [white_list]\nurl = \"{list}\"\nsigner = \"{signer}\"\n\
             [psc]\nissuer = \"https://127.0.0.1:1/psc\"\njwks_uri = \"https://127.0.0.1:1/jwks\"\nanchors = \"../ca.pem\"\n\
             [listen]\nimap_app = \"127.0.0.1:0\"\nsubmission_app = \"127.0.0.1:0\"\nmx = \"{mx}\"\nautoconfig = \"127.0.0.1:0\"\n\
             [public]\nhost = \"lps.{domain}\"\nhost_app = \"app.{domain}\"\n\
             [relay]\nport = {}\nnameserver = \"{dns}\"\n",
            self.relay
        )
    }

    pub fn folder_of(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts an operator, with what it had if it ran before.
    pub async fn operator(&self, name: &str) -> Operator {
        let folder = self.folder_of(name);
        let config = Config::parse(&self.configuration(name), &folder.join("vaguemestre.toml"), &folder);
        Operator::start(config.expect("a good configuration"), self.clock.shared()).await.expect("it starts")
    }

    /// Starts an operator with more settings.
    pub async fn operator_with(&self, name: &str, settings: &str) -> Operator {
        let folder = self.folder_of(name);
        let text = format!("{}{settings}", self.configuration(name));
        let config = Config::parse(&text, &folder.join("vaguemestre.toml"), &folder);
        Operator::start(config.expect("a good configuration"), self.clock.shared()).await.expect("it starts")
    }

    /// TLS as a client, showing `identity`.
    pub fn connector(&self, identity: &Issued, profile: Profile) -> Connector {
        let tls = ClientTls {
            profile,
            clock: self.clock.shared(),
            ..ClientTls::operator(
                identity.identity().expect("an identity"),
                self.anchors(),
                Arc::new(trust::revocation::Revocation::none()),
            )
        };
        Connector::new(tls).expect("a connector")
    }

    pub fn anchors(&self) -> Anchors {
        self.authority.anchors()
    }
}

/// Loopback addresses of the test's own with a port free on both.
fn free_network() -> ([u8; 2], u16) {
    loop {
        let mut random = [0; 2];
        openssl::rand::rand_bytes(&mut random).expect("random numbers");
        let network = [64 + random[0] % 128, random[1]];
        let [x, y] = network;
        let Ok(first) = TcpListener::bind((Ipv4Addr::new(127, x, y, 1), 0)) else { continue };
        let port = first.local_addr().expect("bound").port();
        if TcpListener::bind((Ipv4Addr::new(127, x, y, 2), port)).is_ok() {
            return (network, port);
        }
    }
}

/// Asks until there is an answer.
pub async fn eventually<T, F>(what: &str, mut ask: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < end, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
