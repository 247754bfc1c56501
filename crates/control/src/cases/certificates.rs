//! BAL APP: opened by the certificate of an application of the structure, and by nothing else. AUTH_CLI, LPS-APP.

use crate::cases::presented::{Place, Wardrobe, sandwich};
use crate::cases::revocation;
use crate::catalogue::Case;
use crate::context::{Context, Findings, Protocol, judge};
use crate::job::Certificates;
use crate::peer::Attempt;
use crate::tls::{Starttls, Survey};
use crate::verdict::{Severity, Verdict};
use crate::wire::{Log, Shown};

/// What is run.
pub(super) const CASES: &[&str] =
    &["CER-01", "CER-02", "CER-03", "CER-04", "CER-05", "CER-06", "CER-07", "CER-08", "CER-09", "CER-10"];

pub(super) async fn run(case: &Case, context: &Context, findings: &mut Findings) {
    let section = match context.application() {
        Ok(section) => section,
        Err(verdict) => return findings.tell("cas", None, &case.expected, "", verdict, None),
    };
    if case.id == "CER-01" {
        return asked(case, context, section, findings).await;
    }
    let nominal = match Shown::read(&section.nominal) {
        Ok(nominal) => nominal,
        Err(error) => {
            let cause = format!("certificates.nominal : {error}");
            return findings.tell("cas", None, &case.expected, "", Verdict::NonExecute { cause }, None);
        }
    };
    if case.id == "CER-02" {
        return opened(case, context, section, &nominal, findings).await;
    }
    if case.id == "CER-10" {
        return revocation::run(case, context, section, &nominal, findings).await;
    }
    let wardrobe = Wardrobe { nominal, others: &section.refused, revocation: section.revocation };
    for protocol in Protocol::BOTH {
        sandwich(case, context, &wardrobe, &Place::App { section, protocol }, findings).await;
    }
}

/// CER-01: what the server says of the certificates it wants.
async fn asked(case: &Case, context: &Context, section: &Certificates, findings: &mut Findings) {
    for protocol in Protocol::BOTH {
        let (server, starttls) = match protocol {
            Protocol::Imap => (&section.imap, Starttls::Imap),
            Protocol::Smtp => (&section.smtp, Starttls::Smtp),
        };
        let survey = context.look(server, starttls).await;
        let (observed, verdict) = request(case, context, &survey);
        let proof = findings.keep(&survey);
        findings.tell(&server.name, Some(protocol), &case.expected, observed, verdict, Some(proof));
    }
}

fn request(case: &Case, context: &Context, survey: &Survey) -> (String, Verdict) {
    match &survey.client_certificate {
        None if survey.chains.is_empty() => {
            let why = survey.versions.iter().find_map(|sheet| sheet.detail.clone()).unwrap_or_default();
            (why.clone(), Verdict::unclear(format!("la poignée de main n'a pas été vue : {why}")))
        }
        // The request of TLS 1.3 is encrypted.
        None if !survey.shows_requests() => {
            let why = "seul TLS 1.3 répond, où la demande ne se voit pas : voyez TLS-01";
            (why.to_owned(), Verdict::unclear(why))
        }
        None => ("aucun certificat n'est demandé".to_owned(), Verdict::fault(case.severity)),
        Some(names) if names.is_empty() => {
            ("demandé, sans liste d'autorités".to_owned(), Verdict::fault(Severity::Minor))
        }
        Some(names) => {
            let told = format!("demandé ; autorités : {}", names.join(" | "));
            let Some(anchors) = &context.anchors else { return (told, Verdict::Conforme) };
            let ours: Vec<String> =
                anchors.certificates().iter().map(|c| crate::tls::certificate::subject(c)).collect();
            // The survey has common names.
            let is_ours = names.iter().any(|name| {
                let common_name = format!("CN={name}");
                ours.iter().any(|subject| subject.split([',', ';']).any(|part| part.trim() == common_name))
            });
            (told, if is_ours { Verdict::Conforme } else { Verdict::fault(Severity::Minor) })
        }
    }
}

/// CER-02: what must be open.
async fn opened(case: &Case, context: &Context, section: &Certificates, nominal: &Shown, findings: &mut Findings) {
    for protocol in Protocol::BOTH {
        let log = Log::default();
        let attempt = context.open_app(section, protocol, Some(nominal), &log).await;
        let verdict = match &attempt {
            Attempt::Unclear(line) | Attempt::Postponed(line) => Verdict::unclear(line),
            other => judge(other.is_accepted(), case),
        };
        let serial = nominal.certificate().serial_number().to_bn().and_then(|number| number.to_hex_str());
        let serial = serial.map(|text| text.to_string()).unwrap_or_default();
        let subject = crate::tls::certificate::subject(nominal.certificate());
        let observed = format!("{} ; {subject}, n° {serial}", attempt.line());
        let proof = findings.keep(&log.lines());
        findings.tell("certificat nominal", Some(protocol), &case.expected, observed, verdict, Some(proof));
    }
}
