//! STARTTLS, on both servers: offered, nothing before it, nothing carried over it.

use std::time::Duration;

use crate::catalogue::Case;
use crate::context::{Context, EHLO, Findings, Protocol};
use crate::tls::starttls::shown;
use crate::verdict::{Severity, Verdict};
use crate::wire::{Log, Wire, WireError};

/// What is run.
pub(super) const CASES: &[&str] = &["STL-01", "STL-02", "STL-03", "STL-04", "STL-05", "STL-06"];

/// How long nothing must come after TLS for an injected command to count as forgotten.
const QUIET: Duration = Duration::from_millis(700);
/// A response of XOAUTH2 that opens nothing: it goes in clear, before TLS.
const DUMMY: &str = "dXNlcj1lc3NhaUBleGVtcGxlLmludmFsaWQBYXV0aD1CZWFyZXIgZmF1eC1qZXRvbgEB";

/// What was seen: text and verdict. An error of the wire is inconclusive.
type Seen = Result<(String, Verdict), WireError>;

pub(super) async fn run(case: &Case, context: &Context, findings: &mut Findings) {
    for protocol in Protocol::BOTH {
        let log = Log::default();
        let seen = match case.id.as_str() {
            "STL-01" => offered(case, context, protocol, &log).await,
            "STL-02" => in_clear(case, context, protocol, &log).await,
            "STL-03" => announced_again(case, context, protocol, &log).await,
            "STL-04" => injected(case, context, protocol, &log).await,
            "STL-05" => misplaced(case, context, protocol, &log).await,
            _ => failed(case, context, protocol, &log).await,
        };
        let (observed, verdict) = seen.unwrap_or_else(|error| (error.to_string(), Verdict::unclear(error)));
        let proof = findings.keep(&log.lines());
        findings.tell(&context.server(protocol).name, Some(protocol), &case.expected, observed, verdict, Some(proof));
    }
}

/// Greeted in clear: the session, the greeting, and what is offered.
async fn greeted(context: &Context, protocol: Protocol, log: &Log) -> Result<(Wire, String, Vec<String>), WireError> {
    let mut wire = context.connect(protocol, log).await?;
    match protocol {
        Protocol::Imap => {
            let greeting = wire.imap_greeting().await?;
            let answer = wire.imap("CAPABILITY").await?;
            Ok((wire, greeting, answer.untagged))
        }
        Protocol::Smtp => {
            let greeting = wire.smtp_answer().await?;
            if greeting.code == 421 {
                return Err(WireError::Busy(shown(greeting.line())));
            }
            let offered = wire.smtp(EHLO).await?.lines;
            Ok((wire, greeting.line().to_owned(), offered))
        }
    }
}

/// Whether a line holds the word.
fn holds(lines: &[String], word: &str) -> bool {
    lines.iter().any(|line| {
        line.to_ascii_uppercase()
            .split([' ', '='])
            .flat_map(|part| [part, part.get(4..).unwrap_or("")])
            .any(|part| part == word)
    })
}

/// The verdict of what was found wrong.
fn judged(wrong: &[String], right: &str, level: Severity) -> (String, Verdict) {
    match wrong {
        [] => (right.to_owned(), Verdict::Conforme),
        wrong => (wrong.join(" ; "), Verdict::fault(level)),
    }
}

async fn offered(case: &Case, context: &Context, protocol: Protocol, log: &Log) -> Seen {
    let (_, _, offered) = greeted(context, protocol, log).await?;
    if !holds(&offered, "STARTTLS") {
        return Ok(("STARTTLS n'est pas annoncé".to_owned(), Verdict::fault(case.severity)));
    }
    match context.open(protocol, log).await {
        Ok(_) => Ok(("annoncé, TLS établi".to_owned(), Verdict::Conforme)),
        Err(WireError::Tls(why)) => {
            Ok((format!("annoncé, mais la poignée de main échoue : {why}"), Verdict::fault(case.severity)))
        }
        Err(WireError::Protocol(line)) => Ok((format!("annoncé, puis refusé : {line}"), Verdict::fault(case.severity))),
        Err(error) => Err(error),
    }
}

async fn in_clear(case: &Case, context: &Context, protocol: Protocol, log: &Log) -> Seen {
    let (mut wire, _, offered) = greeted(context, protocol, log).await?;
    let (mut grave, mut light) = (Vec::new(), Vec::new());
    if offered.iter().any(|line| ["AUTH=", "AUTH "].iter().any(|word| line.to_ascii_uppercase().contains(word))) {
        grave.push("une authentification est annoncée avant TLS".to_owned());
    }
    if protocol == Protocol::Imap && !holds(&offered, "LOGINDISABLED") {
        light.push("LOGINDISABLED n'est pas annoncé".to_owned());
    }
    let commands: &[&str] = match protocol {
        Protocol::Imap => &["LOGIN essai@exemple.invalid faux", "AUTHENTICATE XOAUTH2 ", "AUTHENTICATE PLAIN"],
        Protocol::Smtp => &["AUTH XOAUTH2 ", "AUTH PLAIN"],
    };
    for command in commands {
        let full = if command.ends_with(' ') { format!("{command}{DUMMY}") } else { (*command).to_owned() };
        let verb = command.split(' ').take(2).collect::<Vec<_>>().join(" ");
        let answered = match protocol {
            Protocol::Imap => wire.imap(&full).await.map(|answer| {
                // AUTHENTICATIONFAILED: the credential was read, in clear.
                (answer.is_ok() || answer.says("AUTHENTICATIONFAILED"), answer.line)
            }),
            Protocol::Smtp => wire
                .smtp(&full)
                .await
                .map(|answer| (!matches!(answer.code, 500..=504 | 530 | 538), shown(answer.line()))),
        };
        match answered {
            Ok((false, _)) => {}
            Ok((true, line)) => grave.push(format!("{verb} en clair : {line}")),
            Err(WireError::Protocol(line)) if line.starts_with('+') => {
                grave.push(format!("{verb} : le serveur demande les identifiants en clair"));
                break;
            }
            // Cut: refused all the same.
            Err(WireError::Closed) => break,
            Err(error) => return Err(error),
        }
    }
    let level = if grave.is_empty() { Severity::Minor } else { case.severity };
    grave.extend(light);
    Ok(judged(&grave, "rien n'est annoncé, tout est refusé", level))
}

async fn announced_again(case: &Case, context: &Context, protocol: Protocol, log: &Log) -> Seen {
    let mut wire = context.open(protocol, log).await?;
    let after = match protocol {
        Protocol::Imap => wire.imap("CAPABILITY").await?.untagged,
        Protocol::Smtp => wire.smtp(EHLO).await?.lines,
    };
    let mut wrong = Vec::new();
    if !holds(&after, "XOAUTH2") {
        wrong.push("XOAUTH2 n'est pas annoncé après TLS".to_owned());
    }
    if protocol == Protocol::Imap && !holds(&after, "SASL-IR") {
        wrong.push("SASL-IR n'est pas annoncé après TLS".to_owned());
    }
    if holds(&after, "STARTTLS") {
        wrong.push("STARTTLS est encore annoncé après TLS".to_owned());
    }
    Ok(judged(&wrong, "capacités annoncées de nouveau", case.severity))
}

async fn injected(case: &Case, context: &Context, protocol: Protocol, log: &Log) -> Seen {
    let (mut wire, ..) = greeted(context, protocol, log).await?;
    let refused = match protocol {
        Protocol::Imap => {
            wire.send(b"S1 STARTTLS\r\nS2 NOOP\r\n", "S1 STARTTLS, S2 NOOP, en un seul envoi").await?;
            let answer = wire.imap_answer("S1").await?;
            (!answer.is_ok()).then_some(answer.line)
        }
        Protocol::Smtp => {
            wire.send(b"STARTTLS\r\nNOOP\r\n", "STARTTLS, NOOP, en un seul envoi").await?;
            let answer = wire.smtp_answer().await?;
            if answer.code == 421 {
                return Err(WireError::Busy(shown(answer.line())));
            }
            (answer.code != 220).then(|| shown(answer.line()))
        }
    };
    if let Some(line) = refused {
        // Refused because of what follows: as good as forgotten.
        return Ok((format!("STARTTLS refusé : {line}"), Verdict::Conforme));
    }
    let mut wire = match wire.tls(&context.server(protocol).name).await {
        Ok(wire) => wire,
        // Closed or broken: nothing was carried over.
        Err(WireError::Tls(why)) => return Ok((format!("TLS n'aboutit pas : {why}"), Verdict::Conforme)),
        Err(error) => return Err(error),
    };
    if wire.is_quiet(QUIET).await {
        return Ok(("aucune réponse à la commande injectée".to_owned(), Verdict::Conforme));
    }
    match wire.line().await {
        Ok(line) => Ok((format!("réponse dans le tunnel : {}", shown(&line)), Verdict::fault(case.severity))),
        Err(WireError::Closed) => Ok(("connexion fermée".to_owned(), Verdict::Conforme)),
        Err(error) => Err(error),
    }
}

async fn misplaced(case: &Case, context: &Context, protocol: Protocol, log: &Log) -> Seen {
    let mut wrong = Vec::new();
    let (mut wire, greeting, _) = greeted(context, protocol, log).await?;
    if greeting.to_ascii_uppercase().starts_with("* PREAUTH") {
        wrong.push("accueil PREAUTH avant TLS".to_owned());
    }
    let with_parameter = match protocol {
        Protocol::Imap => wire.imap("STARTTLS x").await.map(|answer| (answer.status == "BAD", answer.line)),
        Protocol::Smtp => {
            wire.smtp("STARTTLS x").await.map(|answer| ((500..600).contains(&answer.code), shown(answer.line())))
        }
    };
    match with_parameter {
        Ok((true, _)) | Err(WireError::Closed) => {}
        Ok((false, line)) => wrong.push(format!("STARTTLS avec un paramètre : {line}")),
        Err(error) => return Err(error),
    }
    let mut wire = context.open(protocol, log).await?;
    let again = match protocol {
        Protocol::Imap => wire.imap("STARTTLS").await.map(|answer| (!answer.is_ok(), answer.line)),
        Protocol::Smtp => wire.smtp("STARTTLS").await.map(|answer| (answer.code >= 500, shown(answer.line()))),
    };
    match again {
        Ok((true, _)) | Err(WireError::Closed) => {}
        Ok((false, line)) => wrong.push(format!("second STARTTLS sous TLS : {line}")),
        Err(error) => return Err(error),
    }
    Ok(judged(&wrong, "pas de PREAUTH, paramètre et second STARTTLS refusés", case.severity))
}

async fn failed(case: &Case, context: &Context, protocol: Protocol, log: &Log) -> Seen {
    let (mut wire, ..) = greeted(context, protocol, log).await?;
    match protocol {
        Protocol::Imap => drop(wire.imap("STARTTLS").await?),
        Protocol::Smtp => drop(wire.smtp("STARTTLS").await?),
    }
    // A record that is none, then a command in clear: nobody may answer it.
    wire.send(b"\x16\x03\x01\x00\x05hello\r\nX1 NOOP\r\nNOOP\r\n", "ClientHello invalide, puis NOOP en clair").await?;
    let mut answered = None;
    for _ in 0..3 {
        match wire.line().await {
            Ok(line) if line.contains("X1 ") || line.starts_with("250") => answered = Some(shown(&line)),
            Ok(_) => {}
            Err(WireError::Closed) => break,
            Err(WireError::Silent) => {
                return Ok((
                    "la connexion reste ouverte après un échec de TLS".to_owned(),
                    Verdict::fault(Severity::Minor),
                ));
            }
            Err(error) => return Err(error),
        }
    }
    if let Some(line) = answered {
        return Ok((format!("retour au clair : {line}"), Verdict::fault(case.severity)));
    }
    match context.open(protocol, log).await {
        Ok(_) => Ok(("connexion fermée, service disponible ensuite".to_owned(), Verdict::Conforme)),
        Err(error) => Err(error),
    }
}
