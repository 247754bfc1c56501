//! The scripted operator's HTTP: autoconfiguration over TLS, the place a redirection leads to, and the lists of revoked certificates with
//! OCSP. One request for each connection, small and bounded.

use std::sync::{Arc, Mutex, PoisonError};

use openssl::ssl::SslContext;
use trust::pki::{Ca, INTERMEDIATE_CRL_PATH, OCSP_PATH, OcspManner, ROOT_CRL_PATH, TestAuthority};

use super::data::{Autoconfig, Scenario, scenarios};
use super::talk::{End, Talk, harmless};

/// Lines of a request's head.
const MAX_HEAD: usize = 64;
/// Octets of a request's body: OCSP asks in some hundred.
const MAX_BODY: usize = 16 * 1024;

/// Ports of each scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// Reading.
    pub imap: u16,
    /// Sending.
    pub smtp: u16,
}

/// What autoconfiguration tells.
pub struct Autoconfiguration {
    /// How TLS is made.
    pub tls: SslContext,
    /// The domain of the BAL.
    pub domain: String,
    /// The servers' name.
    pub host: String,
    /// The servers' address.
    pub address: std::net::IpAddr,
    /// Ports, scenario by scenario.
    pub ports: Vec<Ports>,
    /// Where a redirection leads.
    pub elsewhere: String,
    /// The scenario under way, for software that does not tell the address.
    pub current: Mutex<usize>,
}

impl Autoconfiguration {
    /// The scenario of a request: the BAL it names, else the one under way.
    fn scenario(&self, target: &str) -> (usize, &'static Scenario) {
        let all = scenarios();
        let named = target.split_once("emailaddress=").and_then(|(_, rest)| {
            let local = rest.split(['@', '%', '&']).next()?;
            all.iter().position(|scenario| scenario.nom.eq_ignore_ascii_case(local))
        });
        let at = named.unwrap_or_else(|| *self.current.lock().unwrap_or_else(PoisonError::into_inner));
        (at, &all[at])
    }

    /// The document.
    fn document(&self, at: usize, kind: Autoconfig) -> String {
        let Ports { imap, smtp } = self.ports[at];
        let (host, socket) = match kind {
            Autoconfig::Intranet => ("serveur.intranet".to_owned(), "STARTTLS"),
            Autoconfig::LitteralIp => (self.address.to_string(), "STARTTLS"),
            Autoconfig::EnClair => (self.host.clone(), "plain"),
            _ => (self.host.clone(), "STARTTLS"),
        };
        let end = if kind == Autoconfig::XmlInvalide {
            "</emailProvider><clientConfig>"
        } else {
            "</emailProvider>\n</clientConfig>\n"
        };
        let server = |element: &str, kind: &str, port: u16| {
            format!(
                "<{element} type=\"{kind}\"><hostname>{host}</hostname><port>{port}</port><socketType>{socket}</socketType>\
                 <username>%EMAILADDRESS%</username><authentication>OAuth2</authentication></{element}>\n"
            )
        };
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<clientConfig version=\"1.1\">\n<emailProvider id=\"{domain}\">\n<domain>{domain}</domain>\n\
             <displayName>Contrôle</displayName>\n{}{}{end}",
            server("incomingServer", "imap", imap),
            server("outgoingServer", "smtp", smtp),
            domain = self.domain,
        )
    }
}

/// Autoconfiguration, after the handshake.
///
/// # Errors
/// [`End`].
pub async fn autoconfig(talk: Talk, what: Arc<Autoconfiguration>) -> Result<(), End> {
    let mut talk = talk.tls(&what.tls).await?;
    let request = request(&mut talk).await?;
    let (path, _) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let (at, scenario) = what.scenario(&request.target);
    talk.handle.with(|session| scenario.nom.clone_into(&mut session.scenario));
    let answer = match (request.method.as_str(), path, scenario.autoconfig) {
        ("GET" | "HEAD", "/mail/config-v1.1.xml", Autoconfig::Redirection) => {
            format!(
                "HTTP/1.1 302 Found\r\nLocation: {}/mail/config-v1.1.xml\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                what.elsewhere
            )
        }
        ("GET" | "HEAD", "/mail/config-v1.1.xml", kind) => {
            let document = what.document(at, kind);
            let body = if request.method == "HEAD" { "" } else { &document };
            format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/xml; charset=utf-8\r\nCache-Control: no-store\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                document.len()
            )
        }
        _ => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned(),
    };
    talk.handle.line('<', answer.lines().next().unwrap_or_default().to_owned());
    talk.handle.with(|session| session.abouti = answer.starts_with("HTTP/1.1 200"));
    talk.raw(answer.as_bytes()).await?;
    talk.close().await;
    Ok(())
}

/// Where a redirection leads: whoever comes is noted.
///
/// # Errors
/// [`End`].
pub async fn elsewhere(mut talk: Talk) -> Result<(), End> {
    request(&mut talk).await?;
    talk.raw(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await?;
    talk.close().await;
    Ok(())
}

/// Lists and OCSP.
///
/// # Errors
/// [`End`].
pub async fn revocation(mut talk: Talk, authority: Arc<TestAuthority>) -> Result<(), End> {
    let request = request(&mut talk).await?;
    let path = request.target.as_str();
    let inline = path.strip_prefix(OCSP_PATH).and_then(|rest| rest.strip_prefix('/'));
    let found = match path {
        INTERMEDIATE_CRL_PATH => Some(("application/pkix-crl", authority.crl_der(Ca::Organizations))),
        ROOT_CRL_PATH => Some(("application/pkix-crl", authority.crl_der(Ca::Root))),
        OCSP_PATH => Some(("application/ocsp-response", authority.ocsp(&request.body, OcspManner::Honest))),
        _ => inline.map(|text| {
            let asked = openssl::base64::decode_block(text).unwrap_or_default();
            ("application/ocsp-response", authority.ocsp(&asked, OcspManner::Honest))
        }),
    };
    let (head, body) = match found {
        Some((kind, Ok(body))) => (format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n"), body),
        _ => ("HTTP/1.1 404 Not Found\r\n".to_owned(), Vec::new()),
    };
    let head = format!("{head}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    talk.handle.line('<', head.lines().next().unwrap_or_default().to_owned());
    talk.raw(&[head.as_bytes(), &body].concat()).await?;
    talk.close().await;
    Ok(())
}

struct Request {
    method: String,
    target: String,
    body: Vec<u8>,
}

async fn request(talk: &mut Talk) -> Result<Request, End> {
    let line = talk.line().await?;
    talk.handle.line('>', harmless(&line));
    let text = String::from_utf8_lossy(&line).into_owned();
    let mut words = text.split(' ');
    let (method, target) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let mut length = 0usize;
    let mut host = String::new();
    for _ in 0..MAX_HEAD {
        let line = talk.line().await?;
        if line.is_empty() {
            if length > MAX_BODY {
                return Err(End::TooMuch);
            }
            let body = talk.exactly(length).await?;
            let told = format!("{} (Host: {host})", harmless(text.as_bytes()));
            talk.handle.with(|session| session.requete = Some(told));
            return Ok(Request { method, target, body });
        }
        let line = String::from_utf8_lossy(&line);
        let Some((name, value)) = line.split_once(':') else { continue };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().map_err(|_| End::TooMuch)?,
            "host" => host = harmless(value.trim().as_bytes()),
            _ => {}
        }
    }
    Err(End::TooMuch)
}
