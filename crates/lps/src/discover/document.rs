//! Reading a `config-v1.1.xml` (Mozilla's ConfigFileFormat; client.md §7) that may have been written by anybody.
//!
//! What is kept of it: the first IMAP and the first SMTP server for each of the two profiles, if they are acceptable. A server is when
//! it asks for STARTTLS, has a DNS name in an allowed domain (never an IP address), a port, and the address itself as user name.
//! When a server is not, the next one of its kind is looked at, and the fault of the first is told if none is.

use mssante::{Address, Domain};
use roxmltree::{Document, Node, ParsingOptions};

use crate::account::{Authentication, Endpoint, EntryPoints};

/// Largest document: real ones have one or two KB.
pub(super) const MAX_DOCUMENT: usize = 64 * 1024;
/// Most nodes of its tree, which bounds the time and memory of reading it.
const MAX_NODES: u32 = 4_000;
/// Most servers looked at.
const MAX_SERVERS: usize = 64;
/// Longest value quoted in an error.
const MAX_QUOTED: usize = 80;

/// A document that is not an autoconfiguration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Larger than any honest one.
    #[error("larger than {MAX_DOCUMENT} octets or with too many elements")]
    TooLarge,
    /// Not UTF-8.
    #[error("not in UTF-8")]
    Encoding,
    /// A document type declaration: the door of entity attacks.
    #[error("has a DOCTYPE, which is refused")]
    Doctype,
    /// Not well-formed XML.
    #[error("not well-formed XML")]
    Malformed,
    /// XML of something else.
    #[error("not a clientConfig of version 1.1 with an emailProvider")]
    NotAutoconfiguration,
}

/// Why there is no entry point of a profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryFault {
    /// No server asks for this authentication.
    #[error("no {protocol} server for this way of logging in")]
    Absent {
        /// `IMAP` or `SMTP`.
        protocol: &'static str,
    },
    /// In clear or with implicit TLS: the référentiel asks for STARTTLS.
    #[error("the {protocol} server is offered with {socket:?} instead of STARTTLS")]
    NotStartTls {
        /// `IMAP` or `SMTP`.
        protocol: &'static str,
        /// What is offered.
        socket: String,
    },
    /// An IP address, or no name at all.
    #[error("{host:?} is not the DNS name of a server")]
    NotAName {
        /// What is given.
        host: String,
    },
    /// A server outside the trust space.
    #[error("the server {host} is outside the trust space")]
    OutsideSpace {
        /// Its name.
        host: String,
    },
    /// No port, or none that can be.
    #[error("{port:?} is not a port")]
    BadPort {
        /// What is given.
        port: String,
    },
    /// A user name other than the address.
    #[error("the user name {username:?} is not the mailbox's address")]
    UserName {
        /// The pattern given.
        username: String,
    },
}

/// What an operator offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovery {
    /// For BAL PER, ORG and CAB.
    pub psc: Result<EntryPoints, EntryFault>,
    /// For BAL APP.
    pub certificate: Result<EntryPoints, EntryFault>,
}

impl Discovery {
    /// One of both.
    ///
    /// # Errors
    /// Why there is none.
    pub fn of(&self, authentication: Authentication) -> Result<&EntryPoints, &EntryFault> {
        match authentication {
            Authentication::Psc => self.psc.as_ref(),
            Authentication::Certificate => self.certificate.as_ref(),
        }
    }
}

/// Reads a document for an address; `allows` tells which domains are of the trust space.
pub(super) fn read(
    bytes: &[u8],
    address: &Address,
    allows: &dyn Fn(&Domain) -> bool,
) -> Result<Discovery, DocumentError> {
    if bytes.len() > MAX_DOCUMENT {
        return Err(DocumentError::TooLarge);
    }
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|_| DocumentError::Encoding)?;
    let options = ParsingOptions { allow_dtd: false, nodes_limit: MAX_NODES, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options).map_err(|error| match error {
        roxmltree::Error::DtdDetected => DocumentError::Doctype,
        roxmltree::Error::NodesLimitReached
        | roxmltree::Error::AttributesLimitReached
        | roxmltree::Error::NamespacesLimitReached => DocumentError::TooLarge,
        _ => DocumentError::Malformed,
    })?;
    let root = document.root_element();
    let known = root.has_tag_name("clientConfig") && root.attribute("version") == Some("1.1");
    let provider = root.children().find(|node| known && node.has_tag_name("emailProvider"));
    let provider = provider.ok_or(DocumentError::NotAutoconfiguration)?;
    let reader = Reader { provider, address, allows };
    Ok(Discovery { psc: reader.entry(Authentication::Psc), certificate: reader.entry(Authentication::Certificate) })
}

struct Reader<'a, 'input> {
    provider: Node<'a, 'input>,
    address: &'a Address,
    allows: &'a dyn Fn(&Domain) -> bool,
}

impl Reader<'_, '_> {
    fn entry(&self, authentication: Authentication) -> Result<EntryPoints, EntryFault> {
        Ok(EntryPoints {
            imap: self.endpoint("incomingServer", "imap", "IMAP", authentication)?,
            smtp: self.endpoint("outgoingServer", "smtp", "SMTP", authentication)?,
            authentication,
        })
    }

    /// The first acceptable server of a kind; the fault of the first one when there is none.
    fn endpoint(
        &self,
        element: &str,
        kind: &str,
        protocol: &'static str,
        authentication: Authentication,
    ) -> Result<Endpoint, EntryFault> {
        let servers = self.provider.children().filter(|node| node.has_tag_name(element));
        let servers = servers.filter(|node| node.attribute("type") == Some(kind)).take(MAX_SERVERS);
        let mut first = None;
        for server in servers.filter(|server| asks_for(*server, authentication)) {
            match self.server(server, protocol) {
                Ok(endpoint) => return Ok(endpoint),
                Err(fault) => first = first.or(Some(fault)),
            }
        }
        Err(first.unwrap_or(EntryFault::Absent { protocol }))
    }

    fn server(&self, server: Node<'_, '_>, protocol: &'static str) -> Result<Endpoint, EntryFault> {
        let socket = text(server, "socketType");
        if socket != "STARTTLS" {
            return Err(EntryFault::NotStartTls { protocol, socket: quoted(socket) });
        }
        let username = text(server, "username");
        // XOAUTH2's user must be the address (LPS-XOAUTH2), and a certificate opens the mailbox that is named.
        if !username.is_empty() && !self.expand(username).eq_ignore_ascii_case(&self.address.to_string()) {
            return Err(EntryFault::UserName { username: quoted(username) });
        }
        let host = text(server, "hostname").replace("%EMAILDOMAIN%", self.address.domain().as_str());
        // Two labels at least, the last one no number: an IP address in no notation is one.
        let name: Domain = host.parse().map_err(|_| EntryFault::NotAName { host: quoted(&host) })?;
        if !(self.allows)(&name) {
            return Err(EntryFault::OutsideSpace { host: name.to_string() });
        }
        let port = text(server, "port");
        match port.parse::<u16>() {
            Ok(number) if number > 0 => Ok(Endpoint { host: name.to_string(), port: number }),
            _ => Err(EntryFault::BadPort { port: quoted(port) }),
        }
    }

    fn expand(&self, pattern: &str) -> String {
        pattern
            .replace("%EMAILADDRESS%", &self.address.to_string())
            .replace("%EMAILLOCALPART%", self.address.local())
            .replace("%EMAILDOMAIN%", self.address.domain().as_str())
    }
}

/// Whether a server offers this way of logging in, among others maybe.
fn asks_for(server: Node<'_, '_>, authentication: Authentication) -> bool {
    let mut offered = server.children().filter(|node| node.has_tag_name("authentication")).filter_map(|n| n.text());
    offered.any(|keyword| match (authentication, keyword.trim()) {
        (Authentication::Psc, keyword) => matches!(keyword, "OAuth2" | "OAuth"),
        (Authentication::Certificate, keyword) => keyword == "TLS-client-cert",
    })
}

/// The text of the first child of this name; empty when there is none.
fn text<'a>(node: Node<'a, '_>, name: &str) -> &'a str {
    node.children().find(|child| child.has_tag_name(name)).and_then(|child| child.text()).unwrap_or_default().trim()
}

fn quoted(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_QUOTED).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(element: &str, kind: &str, host: &str, port: &str, socket: &str, user: &str, auth: &[&str]) -> String {
        let auth: String = auth.iter().map(|a| format!("<authentication>{a}</authentication>")).collect();
        format!(
            "<{element} type=\"{kind}\"><hostname>{host}</hostname><port>{port}</port><socketType>{socket}</socketType>\
             <username>{user}</username>{auth}</{element}>"
        )
    }

    fn imap(host: &str, port: &str, socket: &str, user: &str, auth: &[&str]) -> String {
        block("incomingServer", "imap", host, port, socket, user, auth)
    }

    fn smtp(auth: &str) -> String {
        block("outgoingServer", "smtp", "smtp.a.mssante.fr", "587", "STARTTLS", "%EMAILADDRESS%", &[auth])
    }

    fn whole(blocks: &[String]) -> String {
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<clientConfig version=\"1.1\"><emailProvider id=\"a.mssante.fr\">\
             <domain>a.mssante.fr</domain>{}</emailProvider></clientConfig>",
            blocks.concat()
        )
    }

    fn parse(document: &str) -> Result<Discovery, DocumentError> {
        let address = "Jean.Dupont@a.mssante.fr".parse().expect("an address");
        read(document.as_bytes(), &address, &|name| name.as_str().ends_with(".mssante.fr"))
    }

    fn psc(blocks: &[String]) -> Result<EntryPoints, EntryFault> {
        parse(&whole(blocks)).expect("a document").psc
    }

    #[test]
    fn both_entry_points_in_order_of_preference() {
        let blocks = [
            imap("imap.a.mssante.fr", "993", "SSL", "%EMAILADDRESS%", &["OAuth2"]),
            imap(
                "lps.%EMAILDOMAIN%",
                "143",
                "STARTTLS",
                "%EMAILLOCALPART%@%EMAILDOMAIN%",
                &["password-cleartext", "OAuth"],
            ),
            imap("second.a.mssante.fr", "143", "STARTTLS", "%EMAILADDRESS%", &["OAuth2"]),
            imap("app.a.mssante.fr", "1143", "STARTTLS", "", &["TLS-client-cert"]),
            smtp("OAuth2"),
            smtp("TLS-client-cert"),
        ];
        let found = parse(&whole(&blocks)).expect("a document");
        let psc = found.psc.expect("for people");
        assert_eq!((psc.imap.host.as_str(), psc.imap.port), ("lps.a.mssante.fr", 143));
        assert_eq!((psc.smtp.host.as_str(), psc.smtp.port), ("smtp.a.mssante.fr", 587));
        let certificate = found.certificate.expect("for software");
        assert_eq!((certificate.imap.port, certificate.authentication), (1143, Authentication::Certificate));
    }

    #[test]
    fn servers_that_are_not_acceptable() {
        // ECO-AUTOCONF, ECO.1.1.9
        let user = "%EMAILADDRESS%";
        let one = |host: &str, port: &str, socket: &str, user: &str| {
            psc(&[imap(host, port, socket, user, &["OAuth2"]), smtp("OAuth2")]).expect_err("refused")
        };
        for socket in ["plain", "SSL", "", "starttls", "STARTTLS, plain"] {
            let fault = one("lps.a.mssante.fr", "143", socket, user);
            assert!(matches!(fault, EntryFault::NotStartTls { protocol: "IMAP", .. }), "{socket}: {fault}");
        }
        for host in [
            "127.0.0.1",
            "10.0.0.1",
            "[::1]",
            "::1",
            "2130706433",
            "0x7f000001",
            "127.1",
            "localhost",
            "",
            "a b.mssante.fr",
            "lps.a.mssante.fr.",
            "%EMAILADDRESS%",
            "émssante.fr",
            "lps.mssante.fr/../x",
            "user@lps.mssante.fr",
            "lps.mssante.fr:143",
        ] {
            assert!(matches!(one(host, "143", "STARTTLS", user), EntryFault::NotAName { .. }), "{host}");
        }
        for host in ["mssante.fr.evil.com", "lps.xmssante.fr", "lps.mssante.com", "xn--mssant-eva.fr"] {
            assert!(matches!(one(host, "143", "STARTTLS", user), EntryFault::OutsideSpace { .. }), "{host}");
        }
        for port in ["0", "65536", "-1", "", "abc"] {
            assert!(matches!(one("lps.a.mssante.fr", port, "STARTTLS", user), EntryFault::BadPort { .. }), "{port}");
        }
        for user in ["%EMAILLOCALPART%", "somebody", "autre@a.mssante.fr"] {
            assert!(matches!(one("lps.a.mssante.fr", "143", "STARTTLS", user), EntryFault::UserName { .. }), "{user}");
        }
        assert_eq!(psc(&[smtp("OAuth2")]), Err(EntryFault::Absent { protocol: "IMAP" }));
        let pop = block("incomingServer", "pop3", "lps.a.mssante.fr", "110", "STARTTLS", user, &["OAuth2"]);
        assert_eq!(psc(&[pop, smtp("OAuth2")]), Err(EntryFault::Absent { protocol: "IMAP" }));
        let no_smtp = psc(&[imap("lps.a.mssante.fr", "143", "STARTTLS", user, &["OAuth2"]), smtp("none")]);
        assert_eq!(no_smtp, Err(EntryFault::Absent { protocol: "SMTP" }));
    }

    #[test]
    fn documents_that_are_not_taken() {
        assert_eq!(parse(""), Err(DocumentError::Malformed));
        assert_eq!(parse("<html><body>404</body></html>"), Err(DocumentError::NotAutoconfiguration));
        assert_eq!(
            parse("<clientConfig version=\"2.0\"><emailProvider/></clientConfig>"),
            Err(DocumentError::NotAutoconfiguration)
        );
        assert_eq!(parse("<clientConfig version=\"1.1\"/>"), Err(DocumentError::NotAutoconfiguration));
        let entity =
            "<!DOCTYPE x [<!ENTITY e SYSTEM \"file:///etc/passwd\">]><clientConfig version=\"1.1\">&e;</clientConfig>";
        assert_eq!(parse(entity), Err(DocumentError::Doctype));
        assert_eq!(parse(&format!("<a>{}</a>", "<b/>".repeat(10_000))), Err(DocumentError::TooLarge));
        assert_eq!(parse(&" ".repeat(MAX_DOCUMENT + 1)), Err(DocumentError::TooLarge));
        let address = "a@a.mssante.fr".parse().expect("an address");
        assert_eq!(read(b"<a>\xE9</a>", &address, &|_| true), Err(DocumentError::Encoding));
    }

    proptest::proptest! {
        /// Whatever stands in it: no panic, and what comes out is where it must be.
        #[test]
        fn only_servers_of_the_space_come_out(
            hosts in proptest::collection::vec("[a-z0-9.%:\\[\\]é-]{0,24}(\\.mssante\\.fr)?(\\.evil\\.com)?", 1..5),
            ports in proptest::collection::vec("[0-9-]{0,6}", 1..5),
            socket in "(STARTTLS|SSL|plain|.{0,8})",
            noise in ".{0,40}",
        ) {
            let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;");
            let blocks: Vec<String> = hosts.iter().zip(&ports).flat_map(|(host, port)| {
                let socket = escaped(&socket);
                [
                    imap(host, port, &socket, "%EMAILADDRESS%", &["OAuth2"]),
                    block("outgoingServer", "smtp", host, port, &socket, "", &["OAuth2", &escaped(&noise)]),
                ]
            }).collect();
            if let Ok(Discovery { psc: Ok(entry), .. }) = parse(&whole(&blocks)) {
                for endpoint in [entry.imap, entry.smtp] {
                    proptest::prop_assert!(endpoint.host.ends_with(".mssante.fr") && endpoint.port > 0);
                    proptest::prop_assert!(socket == "STARTTLS");
                }
            }
            let _ = parse(&noise);
        }
    }
}
