//! Certificates for the tests, made once and kept for an hour: every test is its own process, and keys take time to make.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use trust::SystemClock;
use trust::pki::{Ca, LeafRequest, Organization, TestAuthority};
use trust::revocation::{Revocation, RevocationSettings};
use trust::tls::{Acceptor, Anchors, ClientCertificates, ClientTls, Connector, Identity, Profile, ServerTls};

/// The name in the server's certificate.
pub const HOST: &str = "smtp.alpha.formation.mssante.fr";

/// The folder of the certificates, made if need be. It is named after the hour and never changes: whoever reads it, reads one
/// authority.
pub fn dir() -> PathBuf {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let hour = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() / 3600;
        let dir = root.join(format!("smtp-pki-{hour}"));
        if dir.exists() {
            return dir;
        }
        let made = tempfile::tempdir_in(root).expect("a folder").keep();
        make(&made);
        // Another process may have been quicker.
        if fs::rename(&made, &dir).is_err() {
            fs::remove_dir_all(&made).expect("removed");
        }
        // Those of two hours ago serve nobody any more.
        for old in (2..50).map(|ago| root.join(format!("smtp-pki-{}", hour - ago))) {
            let _ = fs::remove_dir_all(old);
        }
        dir
    })
    .clone()
}

fn make(dir: &Path) {
    let authority = TestAuthority::generate("http://127.0.0.1:9", SystemClock::shared()).expect("an authority");
    let organization = Organization::new("1750000001", "OPERATEUR ALPHA", "Paris (75)");
    let server = LeafRequest::server(HOST, &organization, &["localhost"], &[[127, 0, 0, 1].into()]);
    let peer = LeafRequest::server("smtp.beta.formation.mssante.fr", &organization, &[], &[]);
    let revoked = LeafRequest::server("smtp.gamma.formation.mssante.fr", &organization, &[], &[]);
    let issued = authority.issue_all(&[server, peer, revoked]).expect("certificates");
    for (issued, name) in issued.iter().zip(["server", "peer", "revoked"]) {
        issued.save(dir, name).expect("written");
    }
    authority.revoke(&issued[2].serial().expect("a serial")).expect("revoked");
    fs::write(dir.join("ca.pem"), authority.ca_pem().expect("PEM")).expect("written");
    for (ca, name) in [(Ca::Root, "root.crl"), (Ca::Organizations, "organizations.crl")] {
        fs::write(dir.join(name), authority.crl_der(ca).expect("a list")).expect("written");
    }
}

fn identity(dir: &Path, name: &str) -> Identity {
    Identity::from_files(&dir.join(format!("{name}.pem")), &dir.join(format!("{name}.key"))).expect("an identity")
}

fn revocation(dir: &Path, anchors: &Anchors) -> Arc<Revocation> {
    let revocation = Revocation::new(RevocationSettings::required(anchors.clone(), Vec::new())).expect("a store");
    for name in ["root.crl", "organizations.crl"] {
        revocation.install(&fs::read(dir.join(name)).expect("a list")).expect("taken");
    }
    Arc::new(revocation)
}

/// A server's TLS that records client certificates, or asks for none.
pub fn acceptor(recorded: bool) -> Acceptor {
    let dir = dir();
    let mut settings = ServerTls::new(identity(&dir, "server"), Profile::Operator);
    settings.anchors = Anchors::from_file(&dir.join("ca.pem")).expect("anchors");
    if recorded {
        settings.client_certificates = ClientCertificates::Recorded;
        settings.revocation = revocation(&dir, &settings.anchors);
    }
    Acceptor::new(settings).expect("an acceptor")
}

/// A client's TLS that shows `peer`, `revoked` or nothing.
pub fn connector(shows: Option<&str>) -> Connector {
    let dir = dir();
    let anchors = Anchors::from_file(&dir.join("ca.pem")).expect("anchors");
    let revocation = revocation(&dir, &anchors);
    let mut settings = ClientTls::operator(identity(&dir, shows.unwrap_or("peer")), anchors, revocation);
    if shows.is_none() {
        settings.identity = None;
    }
    Connector::new(settings).expect("a connector")
}
