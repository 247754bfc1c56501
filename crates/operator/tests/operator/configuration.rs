//! check-config: every check says what is wrong, on which line, and what to do.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use operator::Config;
use operator::config::Problem;

use crate::support::Space;

/// The problems of a text, and the text.
fn problems(space: &Space, text: &str) -> Vec<Problem> {
    let folder = space.folder_of("alpha");
    Config::parse(text, &folder.join("vaguemestre.toml"), &folder).err().unwrap_or_default()
}

/// The line, from 1, on which `needle` stands.
fn line_of(text: &str, needle: &str) -> usize {
    let at = text.find(needle).unwrap_or_else(|| panic!("{needle:?} is not in the text"));
    text[..at].lines().count().max(1) + usize::from(text[..at].ends_with('\n'))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mistake_is_told_with_its_line() {
    let space = Space::new().await;
    let good = space.configuration("alpha");
    assert_eq!(problems(&space, &good), []);
    let folder = space.folder_of("alpha");
    std::fs::write(folder.join("empty.pem"), "nothing\n").expect("writable");
    std::fs::write(folder.join("wrong.key"), std::fs::read(folder.join("server.pem")).expect("there"))
        .expect("writable");
    std::fs::set_permissions(folder.join("wrong.key"), PermissionsExt::from_mode(0o600)).expect("ours");
    let stranger = openssl::rsa::Rsa::generate(2048).expect("a key").private_key_to_pem().expect("PEM");
    std::fs::write(folder.join("stranger.key"), stranger).expect("writable");
    std::fs::set_permissions(folder.join("stranger.key"), PermissionsExt::from_mode(0o600)).expect("ours");
    std::fs::write(folder.join("open.key"), std::fs::read(folder.join("server.key")).expect("there"))
        .expect("writable");
    std::fs::set_permissions(folder.join("open.key"), PermissionsExt::from_mode(0o644)).expect("ours");

    // What is replaced, by what, and words of the answer. The problem stands on the line of the replacement.
    let cases = [
        ("domains = [\"alpha.formation.mssante.fr\"]", "domains = []", "no domain"),
        ("hostname = \"mx.alpha.formation.mssante.fr\"", "hostname = \"pas un nom\"", ""),
        ("certificate = \"server.pem\"", "certificate = \"missing.pem\"", "missing.pem"),
        ("certificate = \"server.pem\"", "certificate = \"empty.pem\"", "no PEM certificate"),
        ("key = \"server.key\"", "key = \"missing.key\"", "missing.key"),
        ("key = \"server.key\"", "key = \"wrong.key\"", "not a PEM private key"),
        ("key = \"server.key\"", "key = \"stranger.key\"", "the key is not the certificate's"),
        ("key = \"server.key\"", "key = \"open.key\"", "readable by everyone"),
        ("key = \"server.key\"", "key = \"server.key\"\ntls10_tolerated_until = \"bientôt\"", "not a day"),
        ("anchors = \"../ca.pem\"\ncrl", "anchors = \"missing.pem\"\ncrl", "missing.pem"),
        (
            "crl = [\"../root.crl\", \"../organizations.crl\"]",
            "crl = [\"../root.crl\", \"../missing.crl\"]",
            "no such file",
        ),
        ("crl = [\"../root.crl\", \"../organizations.crl\"]", "crl = [\"ldap://annuaire/crl\"]", "not an http address"),
        ("signer = \"", "signer = \"pas un DN ", "distinguished name"),
        ("url = \"https://", "url = \"http://", "white_list.url is not https"),
        ("url = \"https://", "refresh_minutes = 0\nurl = \"https://", "white_list.refresh_minutes is 0"),
        ("jwks_uri = \"https://", "jwks_uri = \"http://", "psc.jwks_uri is not https"),
        ("jwks_uri = \"https://", "jwks_uri = \"", "relative URL"),
        ("issuer = ", "skew_seconds = 61\nissuer = ", "psc.skew_seconds is 61"),
        ("port = ", "first_retry_seconds = 0\nport = ", "relay.first_retry_seconds is 0"),
        ("port = ", "expire_hours = 241\nport = ", "relay.expire_hours is 241"),
        ("port = ", "connections_per_domain = 0\nport = ", "relay.connections_per_domain is 0"),
        ("[relay]", "[limits]\nmessage_octets = 1000\n[relay]", "limits.message_octets is 1000"),
        ("[relay]", "[sessions]\nimap_idle_minutes = 29\n[relay]", "sessions.imap_idle_minutes is 29"),
        ("[relay]", "[relay]\nfirst_retry = 3", "unknown field"),
        ("[relay]", "[relai]\n[relay]", "unknown field"),
        ("port = ", "port = \"vingt-cinq\" # ", "invalid type"),
        ("[public]", "[public]]", ""),
        ("mx = \"127", "mx = \"pas une adresse 127", ""),
    ];
    for (from, to, words) in cases {
        assert_eq!(good.matches(from).count(), 1, "{from:?} must stand once");
        let text = good.replace(from, to);
        let found = problems(&space, &text);
        assert_eq!(found.len(), 1, "{to:?}: {found:?}");
        let problem = &found[0];
        assert!(problem.what.contains(words), "{to:?}: {problem:?}");
        assert!(!problem.remedy.is_empty());
        // The first line of the replacement that was not there before, a key rather than the title of its table.
        let new = || to.lines().filter(|line| !good.contains(line));
        let first = new().find(|line| !line.starts_with('[')).or_else(|| new().next()).unwrap_or(to);
        assert_eq!(problem.line, Some(line_of(&text, first)), "{to:?}: {problem}");
        let shown = problem.to_string();
        assert!(shown.contains(&format!("vaguemestre.toml:{}: ", problem.line.expect("a line"))), "{shown}");
        assert!(shown.contains("to do: "), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn introspection_is_checked() {
    let space = Space::new().await;
    let good = space.configuration("alpha");
    let secret = space.folder_of("alpha").join("secret");
    std::fs::write(&secret, "s3cret\n").expect("writable");
    std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).expect("ours");
    let with = |url: &str, file: &str| {
        let block = format!(
            "[psc.introspection]\nurl = \"{url}\"\nclient_id = \"mss\"\nclient_secret_file = \"{file}\"\n[listen]"
        );
        good.replace("[listen]", &block)
    };
    assert_eq!(problems(&space, &with("https://psc.test/introspect", "secret")), []);
    let text = with("http://psc.test/introspect", "secret");
    let found = problems(&space, &text);
    assert_eq!((found.len(), found[0].line), (1, Some(line_of(&text, "url = \"http://"))), "{found:?}");
    let text = with("https://psc.test/introspect", "missing");
    let found = problems(&space, &text);
    assert_eq!((found.len(), found[0].line), (1, Some(line_of(&text, "client_secret_file"))), "{found:?}");
    // A secret in the file itself is not a key there is.
    let text = with("https://psc.test/introspect", "secret")
        .replace("client_secret_file = \"secret\"", "client_secret = \"s3cret\"");
    let found = problems(&space, &text);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(!found[0].to_string().contains("s3cret"), "{}", found[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_mistakes_at_once_and_no_list_of_revocations() {
    let space = Space::new().await;
    let good = space.configuration("alpha");
    let none = good.replace("crl = [\"../root.crl\", \"../organizations.crl\"]", "crl = []");
    let found = problems(&space, &none);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].what.contains("no revocation list"), "{}", found[0]);
    assert_eq!(found[0].line, Some(line_of(&none, "anchors = \"../ca.pem\"\ncrl")));
    assert_eq!(problems(&space, &none.replace("crl = []", "crl = []\nrevocation = \"tolerant\"")), []);
    let three =
        none.replace("key = \"server.key\"", "key = \"missing\"").replace("issuer = ", "skew_seconds = 61\nissuer = ");
    assert_eq!(problems(&space, &three).len(), 3);
}

#[test]
fn a_file_that_is_not_there() {
    let found = Config::load(Path::new("/nowhere/vaguemestre.toml")).expect_err("nothing there");
    assert_eq!((found.len(), found[0].line), (1, None));
    assert!(found[0].to_string().starts_with("/nowhere/vaguemestre.toml: cannot be read"), "{}", found[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_told() {
    let space = Space::new().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let text = space.configuration("alpha").replace("imap_app = \"127.0.0.1:0\"", &format!("imap_app = \"{address}\""));
    let folder = space.folder_of("alpha");
    let config = Config::parse(&text, &folder.join("vaguemestre.toml"), &folder).expect("good");
    let error =
        operator::Operator::start(config, trust::clock::SystemClock::shared()).await.err().expect("taken").to_string();
    assert!(error.contains("listen.imap_app") && error.contains(&address), "{error}");
}
