//! Autoconfiguration and the connection test, against the sandbox's operators and against played ones (ECO.1.1.9).

use lps::discover::{ProbeError, discover, discover_all, probe};
use lps::{Authentication, Endpoint, EntryPoints, Explain, Language};
use mssante::Address;
use patience::PATIENCE;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use trust::tls::Profile;

use crate::world::{ALPHA, World, serve};

fn address(text: &str) -> Address {
    text.parse().expect("an address")
}

fn marie() -> Address {
    address(&format!("marie.martin@{ALPHA}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_an_address_alone() {
    let world = World::start().await;
    let space = world.space();
    let (alpha, ports) = (&world.sandbox.description.operators[0], &world.sandbox.ports().operators[0]);
    let entry = discover(&space, &marie(), Authentication::Psc).await.expect("an entry point");
    assert_eq!((&entry.imap.host, entry.imap.port), (&alpha.imap.name, alpha.imap.port));
    assert_eq!((&entry.smtp.host, entry.smtp.port), (&alpha.submission.name, alpha.submission.port));
    let labo = discover(&space, &address(&format!("labo@{ALPHA}")), Authentication::Certificate).await.expect("one");
    assert_eq!((labo.imap.port, labo.smtp.port), (ports.imap_app, ports.submission_app));

    // The connection test, with its certificate.
    let report = probe(&space, &entry, None).await;
    let imap = report.imap.expect("IMAP");
    assert!(imap.before.iter().any(|word| word == "STARTTLS") && !imap.after.iter().any(|word| word == "STARTTLS"));
    assert!(imap.after.iter().any(|word| word == "AUTH=XOAUTH2"), "{:?}", imap.after);
    assert!(imap.names.contains(&alpha.imap.name) && imap.subject.to_string().contains("OU=1750000001"));
    assert!(imap.not_after > imap.not_before && imap.version.to_string().starts_with("TLSv1."));
    let smtp = report.smtp.expect("SMTP");
    assert!(smtp.after.iter().any(|line| line.starts_with("AUTH") && line.contains("XOAUTH2")), "{:?}", smtp.after);
    assert!(!smtp.before.iter().any(|line| line.starts_with("AUTH")), "no login in clear");
    let app = probe(&space, &labo, Some(&world.identity("labo"))).await;
    assert!(app.imap.expect("IMAP").after.iter().any(|word| word == "AUTH=EXTERNAL"));
    // A BAL APP without certificate: a refusal that says what to look at.
    let refused = probe(&space, &labo, None).await.imap.expect_err("refused");
    assert!(matches!(refused.code(), "tls.refused-by-server" | "probe.lost"), "{refused}");

    // Kept, also over a restart of the program, when the operator does not answer any more.
    let other = world.space_with(|text| text.replace(&format!("= {}", ports.autoconfig), "= 1"));
    assert_eq!(discover(&other, &marie(), Authentication::Psc).await.expect("kept"), entry);
    let fresh = world.space_asking(1);
    assert_eq!(
        discover(&fresh, &marie(), Authentication::Psc).await.expect_err("not kept").code(),
        "connect.unreachable"
    );

    for (wrong, code) in [
        ("a@mssante.fr.evil.com", "discover.outside-space"),
        ("a@xmssante.fr", "discover.outside-space"),
        ("a@xn--mssant-eva.fr", "discover.outside-space"),
        ("a@nulle-part.mssante.fr", "connect.dns-silent"),
        ("a@nulle-part.formation.mssante.fr", "connect.dns-silent"),
        ("255069999999934@patient.mssante.fr", "discover.patient"),
        (&format!("a@x.{ALPHA}"), "connect.no-such-host"),
    ] {
        let error = discover(&space, &address(wrong), Authentication::Psc).await.expect_err(wrong);
        assert_eq!(error.code(), code, "{wrong}: {error}");
        assert!(!error.message(Language::French).is_empty() && !error.remedy(Language::English).is_empty());
    }
    // Outside a sandbox the same names lead to a private address.
    let strict = world.space_with(|text| text.replace("private_addresses = true", "private_addresses = false"));
    let beta = address("a@beta.formation.mssante.fr");
    assert_eq!(discover_all(&strict, &beta).await.expect_err("loopback").code(), "connect.private-address");
    world.sandbox.stop().await;
}

fn answer(head: &str, body: &str) -> String {
    format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// A document with one server of each kind.
fn document(host: &str, socket: &str) -> String {
    let block = |element: &str, kind: &str| {
        format!(
            "<{element} type=\"{kind}\"><hostname>{host}</hostname><port>143</port><socketType>{socket}</socketType>\
             <username>%EMAILADDRESS%</username><authentication>OAuth2</authentication></{element}>"
        )
    };
    format!(
        "<clientConfig version=\"1.1\"><emailProvider id=\"{ALPHA}\">{}{}</emailProvider></clientConfig>",
        block("incomingServer", "imap"),
        block("outgoingServer", "smtp")
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn autoconfigurations_that_must_not_be_followed() {
    let world = World::start().await;
    let good = document(&format!("lps.{ALPHA}"), "STARTTLS");
    let elsewhere = "302 Found\r\nLocation: https://autoconfig.beta.formation.mssante.fr/mail/config-v1.1.xml";
    let huge = format!("HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n{}", " ".repeat(900_000));
    let endless_head = format!("HTTP/1.1 200 OK\r\nX-A: {}\r\n\r\n", "a".repeat(100_000));
    let entity =
        "<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]><clientConfig version=\"1.1\">&b;</clientConfig>";
    for (certificate, answer, code) in [
        ("alpha", answer("200 OK", &good), ""),
        ("alpha", answer(elsewhere, ""), "discover.redirected"),
        ("alpha", answer("301 Moved\r\nLocation: http://127.0.0.1/", ""), "discover.redirected"),
        ("alpha", answer("404 Not Found", ""), "discover.status"),
        ("alpha", answer("503 Busy", &good), "discover.status"),
        ("alpha", huge, "discover.document"),
        ("alpha", endless_head, "discover.http"),
        ("alpha", "SSH-2.0-OpenSSH_9.6\r\n".to_owned(), "discover.http"),
        ("alpha", "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n<client".to_owned(), "discover.http"),
        ("alpha", answer("200 OK", entity), "discover.document"),
        ("alpha", answer("200 OK", "<html/>"), "discover.document"),
        ("alpha", answer("200 OK", &document("192.168.0.10", "STARTTLS")), "discover.not-a-name"),
        ("alpha", answer("200 OK", &document("intranet.hopital.local", "STARTTLS")), "discover.server-outside-space"),
        ("alpha", answer("200 OK", &document("mssante.fr.evil.com", "STARTTLS")), "discover.server-outside-space"),
        ("alpha", answer("200 OK", &document(&format!("lps.{ALPHA}"), "SSL")), "discover.no-starttls"),
        ("alpha", answer("200 OK", &document(&format!("lps.{ALPHA}"), "plain")), "discover.no-starttls"),
        ("negative/expired", answer("200 OK", &good), "tls.certificate-expired"),
        ("negative/not-yet-valid", answer("200 OK", &good), "tls.certificate-not-yet-valid"),
        ("negative/revoked", answer("200 OK", &good), "tls.certificate-revoked"),
        ("negative/other-authority", answer("200 OK", &good), "tls.unknown-authority"),
        ("negative/unlisted", answer("200 OK", &good), "tls.wrong-name"),
    ] {
        let port = world.autoconfiguration(certificate, answer.clone()).await;
        let found = discover(&world.space_asking(port), &marie(), Authentication::Psc).await;
        let got = found.as_ref().map_or_else(Explain::code, |_| "");
        assert!(
            got == code || (certificate == "negative/other-authority" && got == "tls.bad-signature"),
            "{certificate} {}: {found:?}",
            answer.lines().next().unwrap_or_default()
        );
    }
    world.sandbox.stop().await;
}

/// What a played server does after the handshake of its certificate, and before.
#[derive(Clone, Copy)]
struct Play {
    certificate: &'static str,
    capabilities: &'static str,
    /// Said together with the answer to STARTTLS.
    injected: &'static str,
    /// What goes on the wire instead of a handshake.
    raw: Option<&'static [u8]>,
}

/// ServerHello of TLS 1.2 that picks TLS_RSA_WITH_RC4_128_SHA.
const RC4: &[u8] = &{
    let mut hello = [0x42; 5 + 4 + 38];
    let head = [0x16, 3, 3, 0, 42, 2, 0, 0, 38, 3, 3];
    let mut at = 0;
    while at < head.len() {
        hello[at] = head[at];
        at += 1;
    }
    let tail = [0, 0x00, 0x05, 0];
    let mut at = 0;
    while at < tail.len() {
        hello[5 + 4 + 34 + at] = tail[at];
        at += 1;
    }
    hello
};

/// ServerHello of TLS 1.1 that picks TLS_RSA_WITH_AES_128_CBC_SHA.
const TLS11: &[u8] = &{
    let mut hello = [0x42; 5 + 4 + 38];
    let head = [0x16, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2];
    let mut at = 0;
    while at < head.len() {
        hello[at] = head[at];
        at += 1;
    }
    let tail = [0, 0x00, 0x2F, 0];
    let mut at = 0;
    while at < tail.len() {
        hello[5 + 4 + 34 + at] = tail[at];
        at += 1;
    }
    hello
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_must_not_be_trusted() {
    let world = World::start().await;
    let space = world.space();
    let good = Play { certificate: "alpha", capabilities: "IMAP4rev1 STARTTLS", injected: "", raw: None };
    for (play, code) in [
        (good, ""),
        (Play { certificate: "negative/expired", ..good }, "tls.certificate-expired"),
        (Play { certificate: "negative/revoked", ..good }, "tls.certificate-revoked"),
        (Play { certificate: "negative/other-authority", ..good }, "tls.unknown-authority"),
        (Play { certificate: "beta", ..good }, "tls.wrong-name"),
        (Play { raw: Some(RC4), ..good }, "tls.nothing-in-common"),
        (Play { raw: Some(TLS11), ..good }, "tls.nothing-in-common"),
        // handshake_failure
        (Play { raw: Some(&[0x15, 3, 3, 0, 2, 2, 40]), ..good }, "tls.refused-by-server"),
        (Play { capabilities: "IMAP4rev1 AUTH=XOAUTH2", ..good }, "probe.no-starttls"),
        (Play { injected: "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n", ..good }, "probe.early-data"),
        (Play { raw: Some(b"HTTP/1.1 400 Bad Request\r\n\r\n"), ..good }, "tls.nothing-in-common"),
        (Play { raw: Some(b""), ..good }, "tls.connection-lost"),
    ] {
        let acceptor = world.acceptor(play.certificate, Profile::ApiLps);
        let port = serve(move |tcp| {
            let acceptor = acceptor.clone();
            async move {
                let mut tcp = BufReader::new(tcp);
                let greeting = "* OK ready\r\n";
                let _ = tcp.write_all(greeting.as_bytes()).await;
                let mut line = String::new();
                while tcp.read_line(&mut line).await.is_ok_and(|n| n > 0) {
                    let tls = line.contains("STARTTLS");
                    let said = match tls {
                        true => format!("a OK go on\r\n{}", play.injected),
                        false => format!("* CAPABILITY {}\r\na OK done\r\n", play.capabilities),
                    };
                    let _ = tcp.write_all(said.as_bytes()).await;
                    line.clear();
                    if tls {
                        break;
                    }
                }
                let mut tcp = tcp.into_inner();
                if let Some(raw) = play.raw {
                    // After the ClientHello, as a server does; then wait for the client to give up.
                    let _ = tcp.read(&mut [0; 4096]).await;
                    let _ = tcp.write_all(raw).await;
                    let _ = tcp.shutdown().await;
                    let _ = tcp.read_to_end(&mut Vec::new()).await;
                    return;
                }
                let Ok(tls) = acceptor.accept(tcp).await else { return };
                let mut tls = BufReader::new(tls);
                while tls.read_line(&mut line).await.is_ok_and(|n| n > 0) {
                    let _ = tls.write_all(b"* CAPABILITY IMAP4rev1\r\na OK done\r\n").await;
                    line.clear();
                }
            }
        })
        .await;
        let imap = Endpoint { host: format!("lps.{ALPHA}"), port };
        let entry = EntryPoints { smtp: imap.clone(), imap, authentication: Authentication::Psc };
        let looked = tokio::time::timeout(PATIENCE, probe(&space, &entry, None)).await.expect("never a hang");
        let got = looked.imap.as_ref().map_or_else(Explain::code, |_| "");
        assert_eq!(got, code, "{:?} {:?}", play.certificate, looked.imap);
        // An IMAP server where SMTP should be.
        assert!(matches!(looked.smtp, Err(ProbeError::Nonsense)), "{:?}", looked.smtp);
    }
    world.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revocation_without_any_list_configured() {
    // ECO.1.1.6, ECO.1.1.7
    let world = World::start().await;
    let bare = |text: String| {
        let from = text.find("crl = [").expect("there");
        let to = from + text[from..].find(']').expect("there") + 1;
        text.replace(&text[from..to], "crl = []").replace("cache = \"lps/cache\"\n", "")
    };
    let imap = &world.sandbox.description.operators[0].imap;
    let honest = Endpoint { host: imap.name.clone(), port: imap.port };
    let entry = |imap: Endpoint| EntryPoints { smtp: imap.clone(), imap, authentication: Authentication::Psc };
    // By the addresses in the certificates: lists, OCSP, or both.
    for ocsp in ["true", "false"] {
        let space = world.space_with(|text| bare(text).replace("ocsp = true", &format!("ocsp = {ocsp}")));
        probe(&space, &entry(honest.clone()), None).await.imap.expect("not revoked");
        let revoked = world.acceptor("negative/revoked", Profile::ApiLps);
        let port = serve(move |tcp| {
            let revoked = revoked.clone();
            async move {
                let mut tcp = BufReader::new(tcp);
                let _ = tcp.write_all(b"* OK ready\r\n").await;
                let mut line = String::new();
                for answer in ["* CAPABILITY IMAP4rev1 STARTTLS\r\na OK done\r\n", "a OK go on\r\n"] {
                    let _ = tcp.read_line(&mut line).await;
                    let _ = tcp.write_all(answer.as_bytes()).await;
                }
                let Ok(mut tls) = revoked.accept(tcp.into_inner()).await else { return };
                let mut said = Vec::new();
                let _ = tls.read_to_end(&mut said).await;
                assert!(said.is_empty(), "nothing is said to a server that is revoked");
            }
        })
        .await;
        let told = probe(&space, &entry(Endpoint { host: honest.host.clone(), port }), None).await.imap;
        assert_eq!(told.expect_err("refused").code(), "tls.certificate-revoked", "ocsp = {ocsp}");
    }
    world.sandbox.stop().await;
}
