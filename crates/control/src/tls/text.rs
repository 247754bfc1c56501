//! The survey for people, on a terminal: no colour, no control character of the server's.

use std::fmt::Write;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::survey::{Level, State, Survey};

/// Writes it.
#[must_use]
pub fn text(survey: &Survey) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write(survey, &mut out);
    out
}

fn write(survey: &Survey, out: &mut String) -> std::fmt::Result {
    let name = survey.server_name.as_deref().map(|name| format!(" ({name})")).unwrap_or_default();
    writeln!(out, "TLS of {}{name}\n\nVersions", survey.address)?;
    for sheet in &survey.versions {
        let state = match sheet.state {
            State::Accepted => "accepted",
            State::Refused => "refused",
            State::Inconclusive => "NOT KNOWN",
        };
        let detail = sheet.detail.as_deref().map(|detail| format!("  ({detail})")).unwrap_or_default();
        writeln!(out, "  {:<8} {state}{detail}", sheet.version.to_string())?;
    }
    for sheet in survey.versions.iter().filter(|sheet| !sheet.suites.is_empty() || !sheet.ssl2_ciphers.is_empty()) {
        let order = match sheet.server_prefers {
            Some(true) => ", the server's preference first",
            Some(false) => ", the client's preference decides",
            None => "",
        };
        writeln!(out, "\nSuites of {}{order}", sheet.version)?;
        for suite in &sheet.suites {
            let mut marks = Vec::new();
            if suite.is_one_of_the_six() {
                marks.push("API LPS");
            }
            if !suite.is_forward_secret() {
                marks.push("no forward secrecy");
            }
            let marks = if marks.is_empty() { String::new() } else { format!("  [{}]", marks.join(", ")) };
            writeln!(out, "  0x{:04X}  {}{marks}", suite.0, suite.name())?;
        }
        for cipher in &sheet.ssl2_ciphers {
            writeln!(out, "  {cipher}")?;
        }
    }
    let names = |groups: &[super::words::Group]| groups.iter().map(|group| group.name()).collect::<Vec<_>>().join(", ");
    writeln!(out, "\nGroups")?;
    if !survey.shares.is_empty() {
        writeln!(out, "  TLS 1.3          {}", names(&survey.shares))?;
    }
    if !survey.curves.is_empty() {
        writeln!(out, "  curves           {}", names(&survey.curves))?;
    }
    for (prime, asked) in survey.primes.iter().zip(["no group asked for", "RFC 7919 asked for"]) {
        writeln!(
            out,
            "  Diffie-Hellman   {} bits, {} ({asked})",
            prime.bits,
            prime.known.unwrap_or("a prime of its own")
        )?;
    }
    for chain in &survey.chains {
        writeln!(out, "\nCertificate")?;
        for (at, sheet) in chain.certificates.iter().enumerate() {
            let date = |seconds| {
                OffsetDateTime::from_unix_timestamp(seconds)
                    .ok()
                    .and_then(|date| date.format(&Rfc3339).ok())
                    .unwrap_or_default()
            };
            if at > 0 {
                writeln!(out, "  above it         {} (issuer {})", sheet.subject, sheet.issuer)?;
                continue;
            }
            writeln!(out, "  subject          {}", sheet.subject)?;
            writeln!(out, "  issuer           {}", sheet.issuer)?;
            writeln!(out, "  names            {}", sheet.names.join(", "))?;
            writeln!(
                out,
                "  valid            {} to {} ({} days left)",
                date(sheet.not_before),
                date(sheet.not_after),
                chain.days_left
            )?;
            writeln!(out, "  key, signature   {}, {}", sheet.key, sheet.signature)?;
            writeln!(out, "  usage            {}", sheet.usages.join(", "))?;
            writeln!(out, "  revocation       {}", [sheet.crl.as_slice(), sheet.ocsp.as_slice()].concat().join(", "))?;
            writeln!(out, "  SHA-256          {}", sheet.sha256)?;
        }
        match &chain.verdict {
            Some(verdict) if verdict.is_good => writeln!(out, "  chain            good")?,
            Some(verdict) => {
                writeln!(out, "  chain            refused: {}", verdict.fault.as_deref().unwrap_or_default())?
            }
            None => writeln!(out, "  chain            not judged: no authority was given")?,
        }
    }
    if let Some(authorities) = &survey.client_certificate {
        writeln!(out, "\nClient certificate asked for; authorities: {}", authorities.join(", "))?;
    }
    writeln!(out, "\nHardening")?;
    let answers = [
        ("compression", survey.compression),
        ("secure renegotiation", survey.secure_renegotiation),
        ("extended master secret", survey.extended_master_secret),
        ("older version refused at a second try", survey.fallback_refused),
        ("SHA-1 in key exchanges", survey.sha1_signature),
        ("OCSP answer stapled", survey.stapling),
        ("session tickets", survey.tickets),
    ];
    for (what, answer) in answers {
        let answer = match answer {
            Some(true) => "yes",
            Some(false) => "no",
            None => "not known",
        };
        writeln!(out, "  {what:<38} {answer}")?;
    }
    writeln!(out, "\nAPI LPS")?;
    let lacking = survey.api_lps.six_suites.iter().filter(|(_, is)| !is).count();
    writeln!(out, "  {:<38} {} of 6", "the six suites of TLS 1.2", 6 - lacking)?;
    for (what, answer) in [
        ("nothing older than TLS 1.2", survey.api_lps.nothing_older),
        ("no other suite of TLS 1.2", survey.api_lps.nothing_else),
        ("groups large enough", survey.api_lps.groups),
    ] {
        let answer = match answer {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "not known",
        };
        writeln!(out, "  {what:<38} {answer}")?;
    }
    writeln!(out, "\nFindings")?;
    if survey.findings.is_empty() {
        writeln!(out, "  none")?;
    }
    for finding in &survey.findings {
        let level = match finding.level {
            Level::Serious => "SERIOUS",
            Level::Warning => "warning",
            Level::Information => "note",
        };
        writeln!(out, "  {level:<8} {}", finding.text)?;
    }
    let complete = if survey.is_complete { "" } else { "; NOT everything could be seen" };
    writeln!(out, "\n{} connections, {} ms{complete}", survey.connections, survey.milliseconds)
}
