//! `vaguemestre lps discover`: from an address to its servers, and whether they are to be trusted (ECO-AUTOCONF, ECO-CONN).

use std::time::SystemTime;

use lps::account::{Authentication, EntryPoints};
use lps::discover::{Discovery, EntryFault, ProbeError, ProbeReport, ServerReport, discover_all, probe};
use lps::explain::Explain;
use mssante::Address;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::common::Frame;
use super::error::{self, Stop};
use super::local;
use super::out::{Cell, Style};

/// See the module.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Reads https://autoconfig.DOMAIN/mail/config-v1.1.xml, believing IGC-Santé only, then greets each server, brings it to TLS and \
    leaves; nobody logs in. The servers for BAL APP are tried when there is a certificate (--certificate, or remembered). BAL PER, ORG and CAB are opened with Pro Santé Connect, BAL APP with a certificate.\n\nExamples:\n  \
    vaguemestre lps discover marie.martin@hopital.mssante.fr\n  vaguemestre lps discover labo@hopital.mssante.fr --json"
)]
pub struct Args {
    /// Any address of the domain.
    address: Address,
    /// Only read the autoconfiguration, connect to no mail server.
    #[arg(long)]
    no_probe: bool,
}

/// Finds out, and tells.
pub async fn run(args: Args, frame: &Frame) -> Result<(), Stop> {
    let space = frame.space()?;
    let found = discover_all(&space, &args.address).await?;
    let identity = frame.identity(&args.address)?;
    let mut seen = Vec::new();
    for (name, authentication) in [("psc", Authentication::Psc), ("certificate", Authentication::Certificate)] {
        let certificate = authentication == Authentication::Certificate;
        let report = match found.of(authentication) {
            // Without its certificate the servers of a BAL APP hang up: that would tell nothing.
            Ok(entry) if !args.no_probe && (!certificate || identity.is_some()) => {
                let work = probe(&space, entry, identity.as_ref().filter(|_| certificate));
                Some(frame.busy(frame.out.pick("Essai des serveurs", "Trying the servers"), work).await)
            }
            _ => None,
        };
        seen.push((name, authentication, report));
    }
    if frame.out.json {
        frame.out.document(&document(&args.address, &found, &seen, frame))?;
    } else {
        for (_, authentication, report) in &seen {
            show(*authentication, found.of(*authentication), report.as_ref(), frame)?;
        }
    }
    // One server that is not to be trusted is the outcome, whatever the others are.
    let worst =
        seen.iter().filter_map(|(_, _, report)| report.as_ref()).flat_map(|report| [&report.imap, &report.smtp]);
    match worst.filter_map(|server| server.as_ref().err()).map(|error| error::code(error)).max() {
        Some(code) => Err(Stop::Told(code)),
        None => Ok(()),
    }
}

fn show(
    authentication: Authentication,
    entry: Result<&EntryPoints, &EntryFault>,
    report: Option<&ProbeReport>,
    frame: &Frame,
) -> Result<(), Stop> {
    let out = &frame.out;
    let title = match authentication {
        Authentication::Psc => {
            out.pick("Pro Santé Connect (BAL PER, ORG, CAB)", "Pro Santé Connect (BAL PER, ORG, CAB)")
        }
        Authentication::Certificate => out.pick("Certificat (BAL APP)", "Certificate (BAL APP)"),
    };
    let untried = match report {
        None => out.pick("  (non essayé)", "  (not tried)"),
        Some(_) => "",
    };
    out.line([Cell(Style::Strong, title.into()), Cell(Style::Faint, untried.into())])?;
    let entry = match entry {
        Ok(entry) => entry,
        Err(fault) => return out.line([Cell(Style::Faint, format!("  {fault}"))]),
    };
    for (name, endpoint, server) in [
        ("IMAP", &entry.imap, report.map(|report| &report.imap)),
        ("SMTP", &entry.smtp, report.map(|report| &report.smtp)),
    ] {
        let place = format!("  {name}  {}:{}", endpoint.host, endpoint.port);
        match server {
            None => out.say(place)?,
            Some(Ok(server)) => {
                out.line([Cell(Style::Plain, place), Cell(Style::Good, "  ✓".into())])?;
                details(server, frame)?;
            }
            Some(Err(error)) => {
                out.line([
                    Cell(Style::Plain, place),
                    Cell(Style::Bad, format!("  ✗ {}", error.message(out.language))),
                ])?;
                out.line([Cell(Style::Faint, format!("        {} [{}]", error.remedy(out.language), error.code()))])?;
            }
        }
    }
    Ok(())
}

fn details(server: &ServerReport, frame: &Frame) -> Result<(), Stop> {
    let out = &frame.out;
    let title = |text: &str| Cell(Style::Faint, format!("        {text} "));
    out.line([title("TLS"), format!("{} {}, {} ms", server.version, server.suite, server.took.as_millis()).into()])?;
    let until = local::minute(OffsetDateTime::from(server.not_after));
    out.line([title(out.pick("certificat", "certificate")), server.subject.to_string().into()])?;
    out.line([title(out.pick("valable jusqu'au", "valid until")), until.into()])?;
    out.line([title(out.pick("offre", "offers")), server.after.join(" ").into()])
}

fn document(
    address: &Address,
    found: &Discovery,
    seen: &[(&str, Authentication, Option<ProbeReport>)],
    frame: &Frame,
) -> Value {
    let mut document = json!({ "address": address.to_string() });
    for (name, authentication, report) in seen {
        document[*name] = match found.of(*authentication) {
            Err(fault) => json!({ "fault": fault.to_string() }),
            Ok(entry) => json!({
                "imap": server(&entry.imap.host, entry.imap.port, report.as_ref().map(|report| &report.imap), frame),
                "smtp": server(&entry.smtp.host, entry.smtp.port, report.as_ref().map(|report| &report.smtp), frame),
            }),
        };
    }
    document
}

fn server(host: &str, port: u16, report: Option<&Result<ServerReport, ProbeError>>, frame: &Frame) -> Value {
    let mut value = json!({ "host": host, "port": port });
    let instant = |at: SystemTime| local::rfc3339(OffsetDateTime::from(at));
    match report {
        None => {}
        Some(Err(error)) => value["error"] = error::json(error, frame.out.language),
        Some(Ok(report)) => {
            value["tls"] = json!({ "version": report.version.to_string(), "suite": report.suite.name });
            value["certificate"] = json!({
                "subject": report.subject.to_string(),
                "issuer": report.issuer.to_string(),
                "serial": report.serial,
                "names": report.names,
                "not_before": instant(report.not_before),
                "not_after": instant(report.not_after),
            });
            value["before_tls"] = json!(report.before);
            value["capabilities"] = json!(report.after);
            value["took_ms"] = json!(u64::try_from(report.took.as_millis()).unwrap_or(u64::MAX));
        }
    }
    value
}
