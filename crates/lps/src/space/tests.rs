use std::path::Path;

use trust::pki::TestAuthority;

use super::*;
use crate::account::Endpoint;
use crate::explain::{Explain, Language};

const SOFTWARE: &str =
    "[software]\nnil = \"3734\"\nname = \"n\"\nversion = \"1\"\nvendor = \"v\"\nsource_id = \"1.2.250.1\"\n";

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = TestAuthority::generate("http://127.0.0.1:9", SystemClock::shared()).expect("an authority");
    std::fs::write(folder.path().join("ca.pem"), authority.ca_pem().expect("PEM")).expect("written");
    folder
}

fn parse(folder: &Path, more: &str) -> Result<Arc<Space>, SpaceError> {
    let text = format!("{SOFTWARE}[trust]\nanchors = \"ca.pem\"\n{more}");
    Space::parse(&text, Path::new("lps.toml"), folder.to_owned(), SystemClock::shared())
}

#[test]
fn mistakes_are_told_with_their_place() {
    let folder = folder();
    let error = |more: &str| parse(folder.path(), more).expect_err("refused");
    let unknown = error("[network]\nprivate_adresses = true\n");
    assert_eq!(unknown.code(), "space.syntax");
    assert!(unknown.to_string().starts_with("lps.toml:10: unknown field"), "{unknown}");
    assert!(unknown.message(Language::French).starts_with("lps.toml, ligne 10"), "{unknown}");
    for more in ["[network]\ndomains = [\"hôpital.fr\"]", "[network]\nautoconfig_ports = { \"a b\" = 1 }"] {
        assert_eq!(error(more).code(), "space.value", "{more}");
    }
    let missing = Space::load(&folder.path().join("nothing.toml")).expect_err("not there");
    assert_eq!(missing.code(), "space.unreadable");
    let bad = SOFTWARE.replace("1.2.250.1", "1..2");
    let text = format!("{bad}[trust]\nanchors = \"ca.pem\"\n");
    let bad = Space::parse(&text, Path::new("f"), folder.path().to_owned(), SystemClock::shared()).expect_err("no OID");
    assert!(bad.to_string().contains("source_id"), "{bad}");
    let text = format!("{SOFTWARE}[trust]\nanchors = \"none.pem\"\n");
    let none =
        Space::parse(&text, Path::new("f"), folder.path().to_owned(), SystemClock::shared()).expect_err("no file");
    assert_eq!(none.code(), "space.certificates");
}

#[tokio::test]
async fn where_connections_may_go() {
    // ECO-AUTOCONF
    let folder = folder();
    let space = parse(folder.path(), "[network]\ndomains = [\"hopital.example.org\"]\n").expect("good");
    let allowed = |name: &str| space.allows(&name.parse().expect("a name"));
    for name in
        ["alpha.mssante.fr", "a.b.mssante.fr", "hopital.example.org", "imap.hopital.example.org", "LPS.MSSANTE.FR"]
    {
        assert!(allowed(name), "{name}");
    }
    for name in
        ["mssante.fr.evil.com", "xmssante.fr", "mssante.fr.org", "example.org", "xhopital.example.org", "mssante.com"]
    {
        assert!(!allowed(name), "{name}");
    }
    let dial = async |host: &str| {
        space.dial(&Endpoint { host: host.to_owned(), port: 143 }).await.expect_err("refused").code()
    };
    assert_eq!(dial("mssante.fr.evil.com").await, "connect.outside-space");
    for host in
        ["127.0.0.1", "[::1]", "::1", "alpha.mssante.fr.", "mssanté.fr", "a b.mssante.fr", "", "2130706433", "0x7f.1"]
    {
        assert_eq!(dial(host).await, "connect.not-a-name", "{host}");
    }
}
