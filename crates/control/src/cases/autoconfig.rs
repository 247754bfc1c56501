//! Autoconfiguration: `https://autoconfig.<domaine>/mail/config-v1.1.xml` of each domain of the operator.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use roxmltree::Document;
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use crate::catalogue::Case;
use crate::context::{Context, Findings, judge};
use crate::reach::is_public;
use crate::tls::certificate;
use crate::tls::starttls::shown;
use crate::verdict::{Severity, Verdict};
use crate::wire::connector;

/// What is run.
pub(super) const CASES: &[&str] = &["ACF-01", "ACF-02", "ACF-03", "ACF-04", "ACF-05", "ACF-06", "ACF-07"];

/// Largest answer read.
const MAX_ANSWER: usize = 256 * 1024;
/// Longest answer that is not too slow.
const SLOW: Duration = Duration::from_secs(5);

/// What one domain answers.
#[derive(Debug, Clone, Serialize)]
struct Answer {
    url: String,
    address: String,
    status: u16,
    head: String,
    body: String,
    milliseconds: u64,
    #[serde(skip)]
    chain: Vec<Vec<u8>>,
}

/// An entry of the document.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    kind: String,
    host: String,
    port: String,
    socket: String,
    username: String,
    authentications: Vec<String>,
}

pub(super) async fn run(case: &Case, context: &Context, findings: &mut Findings) {
    for domain in &context.job.operator.domains {
        let answer = match ask(context, domain).await {
            Ok(answer) => answer,
            Err(Unseen { text, is_absent }) => {
                // A name that does not resolve, a time-out: nothing can be concluded. A refused connection is an absence.
                let verdict = if is_absent { Verdict::fault(case.severity) } else { Verdict::unclear(&text) };
                findings.tell(domain, None, &case.expected, text, verdict, None);
                continue;
            }
        };
        let proof = findings.keep(&answer);
        let (observed, verdict) = look(case, context, domain, &answer).await;
        findings.tell(domain, None, &case.expected, observed, verdict, Some(proof));
    }
}

/// Why there is no answer.
struct Unseen {
    text: String,
    is_absent: bool,
}

fn unseen(text: impl ToString) -> Unseen {
    Unseen { text: text.to_string(), is_absent: false }
}

async fn ask(context: &Context, domain: &str) -> Result<Answer, Unseen> {
    let host = format!("autoconfig.{domain}");
    let patience = context.job.limits.patience();
    let address: SocketAddr = match context.job.api_lps.autoconfig {
        Some(address) => address,
        None => {
            let found = timeout(patience, lookup_host((host.as_str(), 443)))
                .await
                .map_err(|_| unseen("la résolution de nom ne répond pas"))?;
            let mut found = found.map_err(|error| unseen(format!("{host} ne se résout pas : {error}")))?;
            found.next().ok_or_else(|| unseen(format!("{host} n'a pas d'adresse")))?
        }
    };
    let started = Instant::now();
    let exchange = async {
        let stream = TcpStream::connect(address).await.map_err(|error| Unseen {
            is_absent: error.kind() == std::io::ErrorKind::ConnectionRefused,
            text: format!("{address} : {}", error.kind()),
        })?;
        let ssl = connector().and_then(|connector| connector.configure()?.verify_hostname(false).into_ssl(&host));
        let ssl = ssl.map_err(unseen)?;
        let mut tls = tokio_openssl::SslStream::new(ssl, stream).map_err(unseen)?;
        std::pin::Pin::new(&mut tls)
            .connect()
            .await
            .map_err(|error| unseen(format!("TLS : {}", shown(&error.to_string()))))?;
        let chain = tls
            .ssl()
            .peer_cert_chain()
            .map(|chain| chain.iter().filter_map(|c| c.to_der().ok()).collect())
            .unwrap_or_default();
        let request =
            format!("GET /mail/config-v1.1.xml HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\nConnection: close\r\n\r\n");
        tls.write_all(request.as_bytes()).await.map_err(unseen)?;
        let mut octets = Vec::new();
        // The end of TLS is often missing; what came is what is looked at.
        let mut limited = (&mut tls).take(MAX_ANSWER as u64);
        let _ = limited.read_to_end(&mut octets).await;
        Ok((octets, chain))
    };
    let (octets, chain) = timeout(patience, exchange).await.map_err(|_| unseen("le serveur se tait"))??;
    let text = String::from_utf8_lossy(&octets).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(|| unseen("ce n'est pas une réponse HTTP"))?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .ok_or_else(|| unseen("ce n'est pas une réponse HTTP"))?;
    let is_chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    Ok(Answer {
        url: format!("https://{host}/mail/config-v1.1.xml"),
        address: address.to_string(),
        status,
        head: head.lines().map(shown).collect::<Vec<_>>().join("\n"),
        body: if is_chunked { dechunk(body) } else { body.to_owned() },
        milliseconds: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        chain,
    })
}

/// RFC 9112 §7.1, without trailers.
fn dechunk(mut rest: &str) -> String {
    let mut whole = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = size.split(';').next().and_then(|size| usize::from_str_radix(size.trim(), 16).ok()).unwrap_or(0);
        match after.get(..size) {
            Some(chunk) if size > 0 => whole.push_str(chunk),
            _ => break,
        }
        rest = after.get(size + 2..).unwrap_or("");
    }
    whole
}

async fn look(case: &Case, context: &Context, domain: &str, answer: &Answer) -> (String, Verdict) {
    match case.id.as_str() {
        "ACF-01" => {
            let told = format!("statut {}, {} ms", answer.status, answer.milliseconds);
            let is_slow = Duration::from_millis(answer.milliseconds) > SLOW;
            let verdict = match answer.status {
                200 if is_slow => Verdict::fault(Severity::Minor),
                200 => judge(answer.body.contains("<clientConfig"), case),
                500..600 => Verdict::unclear(&told),
                _ => Verdict::fault(case.severity),
            };
            (told, verdict)
        }
        "ACF-02" => {
            let host = format!("autoconfig.{domain}");
            let chain =
                certificate::read(&answer.chain, Some(&host), context.anchors.as_ref(), std::time::SystemTime::now());
            let Some(leaf) = chain.certificates.first() else {
                return (String::new(), Verdict::unclear("aucun certificat vu"));
            };
            let told = format!(
                "noms : {} ; {} jours restants ; émetteur {}",
                leaf.names.join(", "),
                chain.days_left,
                leaf.issuer
            );
            match &chain.verdict {
                Some(verdict) => {
                    let fault = verdict.fault.clone().map(|fault| format!(" ; refusée : {fault}")).unwrap_or_default();
                    (format!("{told}{fault}"), judge(verdict.is_good && chain.name_matches == Some(true), case))
                }
                None => {
                    (told, Verdict::NonExecute { cause: "le job ne nomme pas d'autorités (trust.anchors)".to_owned() })
                }
            }
        }
        id => {
            let document = match parse(&answer.body) {
                Ok(document) => document,
                Err(wrong) if id == "ACF-03" => return (wrong, Verdict::fault(case.severity)),
                Err(wrong) => {
                    return (
                        wrong.clone(),
                        Verdict::unclear(format!("le document n'est pas lisible (voir ACF-03) : {wrong}")),
                    );
                }
            };
            entries(id, case, context, domain, &document).await
        }
    }
}

/// What the document says.
struct Read {
    domains: Vec<String>,
    entries: Vec<Entry>,
}

fn parse(body: &str) -> Result<Read, String> {
    let document = Document::parse(body.trim()).map_err(|error| format!("XML : {}", shown(&error.to_string())))?;
    let root = document.root_element();
    if root.tag_name().name() != "clientConfig" {
        return Err(format!("racine {} au lieu de clientConfig", shown(root.tag_name().name())));
    }
    if root.attribute("version") != Some("1.1") {
        return Err("clientConfig sans version=\"1.1\"".to_owned());
    }
    let child = |node: roxmltree::Node<'_, '_>, name: &str| {
        node.children()
            .find(|child| child.has_tag_name(name))
            .and_then(|child| child.text())
            .map(|text| shown(text.trim()))
    };
    let provider = root.children().find(|node| node.has_tag_name("emailProvider")).ok_or("sans emailProvider")?;
    if provider.attribute("id").is_none() {
        return Err("emailProvider sans id".to_owned());
    }
    let mut entries = Vec::new();
    for node in provider.children().filter(|node| matches!(node.tag_name().name(), "incomingServer" | "outgoingServer"))
    {
        let place = document.text_pos_at(node.range().start);
        let need = |name: &str| {
            child(node, name).ok_or_else(|| format!("ligne {}, colonne {} : sans {name}", place.row, place.col))
        };
        let authentications: Vec<String> = node
            .children()
            .filter(|child| child.has_tag_name("authentication"))
            .filter_map(|child| child.text().map(|text| shown(text.trim())))
            .collect();
        if authentications.is_empty() {
            return Err(format!("ligne {}, colonne {} : sans authentication", place.row, place.col));
        }
        entries.push(Entry {
            kind: node.attribute("type").map(shown).ok_or_else(|| format!("ligne {} : sans type", place.row))?,
            host: need("hostname")?,
            port: need("port")?,
            socket: need("socketType")?,
            username: need("username")?,
            authentications,
        });
    }
    let domains = provider.children().filter(|node| node.has_tag_name("domain"));
    let domains = domains.filter_map(|node| node.text()).map(|text| shown(text.trim())).collect();
    Ok(Read { domains, entries })
}

async fn entries(id: &str, case: &Case, context: &Context, domain: &str, read: &Read) -> (String, Verdict) {
    let with = |kind: &str, words: &[&str]| {
        read.entries.iter().find(|entry| {
            entry.kind == kind
                && entry.socket == "STARTTLS"
                && entry.authentications.iter().any(|word| words.iter().any(|w| word.eq_ignore_ascii_case(w)))
        })
    };
    let told = |entry: Option<&Entry>| entry.map_or_else(|| "absente".to_owned(), |e| format!("{}:{}", e.host, e.port));
    match id {
        "ACF-03" => {
            let is_named = read.domains.iter().any(|named| named.eq_ignore_ascii_case(domain));
            let text = format!("{} serveurs ; domaines : {}", read.entries.len(), read.domains.join(", "));
            (text, judge(is_named && !read.entries.is_empty(), case))
        }
        "ACF-04" => {
            let (imap, smtp) = (with("imap", &["OAuth2", "OAuth"]), with("smtp", &["OAuth2", "OAuth"]));
            let is_address = [imap, smtp].into_iter().flatten().all(|entry| entry.username == "%EMAILADDRESS%");
            let text = format!("imap {} ; smtp {}", told(imap), told(smtp));
            (text, judge(imap.is_some() && smtp.is_some() && is_address, case))
        }
        "ACF-05" => {
            if !context.job.operator.has_app {
                return (
                    String::new(),
                    Verdict::NonApplicable {
                        raison: "l'opérateur ne propose pas de BAL APP (operator.has_app)".to_owned(),
                    },
                );
            }
            let (imap, smtp) = (with("imap", &["TLS-client-cert"]), with("smtp", &["TLS-client-cert"]));
            (format!("imap {} ; smtp {}", told(imap), told(smtp)), judge(imap.is_some() && smtp.is_some(), case))
        }
        "ACF-06" => hosts(case, context, read).await,
        _ => {
            let tested = [
                (&context.job.api_lps.imap, with("imap", &["OAuth2", "OAuth"])),
                (&context.job.api_lps.smtp, with("smtp", &["OAuth2", "OAuth"])),
            ];
            let is_same = tested.iter().all(|(server, entry)| {
                entry.is_some_and(|e| {
                    e.host.eq_ignore_ascii_case(&server.name) && e.port == server.address.port().to_string()
                })
            });
            let text = tested.iter().map(|(server, entry)| {
                format!("testé {}:{}, déclaré {}", server.name, server.address.port(), told(*entry))
            });
            (text.collect::<Vec<_>>().join(" ; "), judge(is_same, case))
        }
    }
}

/// Names, not addresses; public ones; and something that answers.
async fn hosts(case: &Case, context: &Context, read: &Read) -> (String, Verdict) {
    let mut seen = Vec::new();
    let mut doubt = None;
    for entry in &read.entries {
        let place = format!("{}:{}", entry.host, entry.port);
        let Ok(port) = entry.port.parse::<u16>() else {
            return (format!("port {}", entry.port), Verdict::fault(case.severity));
        };
        if entry.host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() || !entry.host.contains('.') {
            return (format!("{place} : une adresse au lieu d'un nom"), Verdict::fault(case.severity));
        }
        let known = [&context.job.api_lps.imap, &context.job.api_lps.smtp]
            .into_iter()
            .find(|s| s.name.eq_ignore_ascii_case(&entry.host));
        let address = match known {
            Some(server) => SocketAddr::new(server.address.ip(), port),
            None => match timeout(context.job.limits.patience(), lookup_host((entry.host.as_str(), port))).await {
                Ok(Ok(mut found)) => match found.next() {
                    Some(address) => address,
                    None => return (format!("{place} : sans adresse"), Verdict::fault(case.severity)),
                },
                // In a sandbox names of the APP entries are in its own name service only.
                _ if context.job.api_lps.private_addresses => continue,
                _ => {
                    doubt = Some(format!("{place} ne se résout pas"));
                    continue;
                }
            },
        };
        if !context.job.api_lps.private_addresses && !is_public(address.ip()) {
            return (
                format!("{place} : {} n'est pas une adresse publique", address.ip()),
                Verdict::fault(case.severity),
            );
        }
        match timeout(context.job.limits.patience(), TcpStream::connect(address)).await {
            Ok(Ok(_)) => seen.push(place),
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                return (format!("{place} : connexion refusée"), Verdict::fault(case.severity));
            }
            _ => doubt = Some(format!("{place} ne répond pas")),
        }
    }
    match doubt {
        Some(doubt) => (doubt.clone(), Verdict::unclear(doubt)),
        None => (format!("joignables : {}", seen.join(", ")), Verdict::Conforme),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents() {
        let server = |kind: &str, auth: &str| {
            format!(
                "<{kind}Server type=\"imap\"><hostname>h.test</hostname><port>143</port><socketType>STARTTLS</socketType>\
                     <username>%EMAILADDRESS%</username>{auth}</{kind}Server>"
            )
        };
        let whole = |inside: &str| {
            format!(
                "<clientConfig version=\"1.1\"><emailProvider id=\"a\"><domain>a.test</domain>{inside}</emailProvider></clientConfig>"
            )
        };
        let good = parse(&whole(&server("incoming", "<authentication>OAuth2</authentication>"))).expect("read");
        assert_eq!((good.entries.len(), good.domains.as_slice()), (1, &["a.test".to_owned()][..]));
        assert!(parse(&whole(&server("incoming", ""))).is_err_and(|wrong| wrong.contains("authentication")));
        assert!(
            parse("<html/>").is_err() && parse("not xml").is_err() && parse("<clientConfig version=\"1.1\"/>").is_err()
        );
        assert_eq!(dechunk("3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"), "abcde");
        assert_eq!(dechunk("zz\r\nabc"), "");
    }
}
