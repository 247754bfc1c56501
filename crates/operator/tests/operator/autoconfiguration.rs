//! What mail software is told (LPS-AUTOCONF; client.md §7), read back as mail software reads it.

use operator::Config;
use operator::autoconfig::document;
use roxmltree::{Document, Node};

use crate::support::Space;

fn text<'a>(node: Node<'a, '_>, name: &str) -> &'a str {
    let mut found = node.children().filter(|child| child.has_tag_name(name));
    let first = found.next().unwrap_or_else(|| panic!("no {name}"));
    assert!(found.next().is_none(), "{name} stands twice");
    first.text().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_entry_points_in_the_order_of_preference() {
    let space = Space::new().await;
    let folder = space.folder_of("alpha");
    let configured = space
        .configuration("alpha")
        .replace("name = \"alpha\"", "name = \"Hôpital <Alpha> & Cie\"")
        .replace("domains = [", "domains = [\"premier.mssante.fr\", ")
        .replace("[public]", "[public]\nimap_port = 1143\nsubmission_app_port = 1587");
    let config = Config::parse(&configured, &folder.join("vaguemestre.toml"), &folder).expect("good");
    let xml = document(&config);
    assert!(xml.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>"), "{xml}");
    let parsed = Document::parse(&xml).expect("well-formed");
    let root = parsed.root_element();
    assert_eq!((root.tag_name().name(), root.attribute("version")), ("clientConfig", Some("1.1")));
    let provider = root.children().find(|n| n.has_tag_name("emailProvider")).expect("emailProvider");
    assert_eq!(provider.attribute("id"), Some("premier.mssante.fr"));
    let domains: Vec<_> = provider.children().filter(|n| n.has_tag_name("domain")).filter_map(|n| n.text()).collect();
    assert_eq!(domains, ["premier.mssante.fr", "alpha.formation.mssante.fr"]);
    assert_eq!(text(provider, "displayName"), "Hôpital <Alpha> & Cie");
    let servers: Vec<_> = provider
        .children()
        .filter(|n| n.has_tag_name("incomingServer") || n.has_tag_name("outgoingServer"))
        .map(|n| {
            assert_eq!((text(n, "socketType"), text(n, "username")), ("STARTTLS", "%EMAILADDRESS%"));
            let port: u16 = text(n, "port").parse().expect("a port");
            (
                n.tag_name().name(),
                n.attribute("type").expect("a type"),
                text(n, "hostname"),
                port,
                text(n, "authentication"),
            )
        })
        .collect();
    let (lps, app) = ("lps.alpha.formation.mssante.fr", "app.alpha.formation.mssante.fr");
    assert_eq!(
        servers,
        [
            ("incomingServer", "imap", lps, 1143, "OAuth2"),
            ("incomingServer", "imap", app, 143, "TLS-client-cert"),
            ("outgoingServer", "smtp", lps, 587, "OAuth2"),
            ("outgoingServer", "smtp", app, 1587, "TLS-client-cert"),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_for_everybody_over_https() {
    let space = Space::new().await;
    let alpha = space.operator("alpha").await;
    let address = alpha.addresses.autoconfig.expect("an entry point");
    let http = trust::http::client(space.anchors().certificates()).expect("a client");
    let mut answers = Vec::new();
    for path in [
        "/mail/config-v1.1.xml",
        "/mail/config-v1.1.xml?emailaddress=labo@alpha.formation.mssante.fr",
        "/mail/config-v1.1.xml?emailaddress=personne@ailleurs.fr",
        "/.well-known/autoconfig/mail/config-v1.1.xml",
    ] {
        let url: url::Url = format!("https://{address}{path}").parse().expect("a URL");
        let response = http.get(url).send().await.expect("answered");
        assert_eq!(response.status(), 200);
        let kind = response.headers().get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        assert!(kind.starts_with("text/xml"), "{kind}");
        answers.push(response.text().await.expect("text"));
    }
    assert!(Document::parse(&answers[0]).is_ok());
    assert!(answers.iter().all(|answer| *answer == answers[0]), "nothing tells who exists");
    alpha.stop().await;
}
