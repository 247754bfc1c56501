//! TLS-13: every address behind a name, and every server of the operator interface, gives the same TLS.

use std::net::SocketAddr;

use crate::catalogue::Case;
use crate::context::{Context, Findings, Protocol};
use crate::job::Server;
use crate::names::{NameError, Names};
use crate::reach;
use crate::tls::survey::State;
use crate::tls::words::Version;
use crate::tls::{Starttls, Survey};
use crate::verdict::{Severity, Verdict};

/// Most addresses of one name looked at: each costs a whole survey.
const MAX_NODES: usize = 8;

pub(super) async fn run(case: &Case, context: &Context, findings: &mut Findings) {
    for protocol in Protocol::BOTH {
        let starttls = match protocol {
            Protocol::Imap => Starttls::Imap,
            Protocol::Smtp => Starttls::Smtp,
        };
        let first = context.survey(protocol).await;
        one(case, context, context.server(protocol), starttls, Some(protocol), first, findings).await;
    }
    let servers = context.job.operator_interface.as_ref().map_or(&[][..], |interface| &interface.mx);
    for (index, server) in servers.iter().enumerate() {
        let first = context.mx_survey(index).await;
        one(case, context, server, Starttls::Smtp, None, first, findings).await;
    }
}

async fn one(
    case: &Case,
    context: &Context,
    server: &Server,
    starttls: Starttls,
    protocol: Option<Protocol>,
    first: &Survey,
    findings: &mut Findings,
) {
    let sheet = first.versions.iter().find(|sheet| sheet.version == Version::Tls13);
    let tls13 = match sheet.map(|sheet| sheet.state) {
        Some(State::Accepted) => "accepté",
        Some(State::Refused) => "refusé",
        _ => "inconnu",
    };
    let tell = |findings: &mut Findings, observed: String, verdict, proof| {
        let observed = format!("TLS 1.3 : {tls13} (constat) ; {observed}");
        findings.tell(&server.name, protocol, &case.expected, observed, verdict, Some(proof));
    };
    let found = match Names::new(context.job.dns.server) {
        Ok(names) => names.addresses(&server.name).await,
        Err(error) => Err(error),
    };
    let proof = findings.keep(first);
    if print(first).is_none() {
        let why = "le serveur n'a pas pu être vu en entier".to_owned();
        return tell(findings, why.clone(), Verdict::unclear(why), proof);
    }
    let found = match found {
        Ok(found) => found,
        Err(error @ NameError::Absent(_)) => {
            // The job says where it is: what was seen there stands, and the name is somebody else's matter (ACF-07).
            let verdict = Verdict::fault(Severity::Information);
            return tell(findings, format!("{error} : seule l'adresse du job est vue"), verdict, proof);
        }
        Err(error) => return tell(findings, error.to_string(), Verdict::unclear(&error), proof),
    };
    let is_allowed = |ip: &std::net::IpAddr| context.job.api_lps.private_addresses || reach::is_public(*ip);
    let others: Vec<SocketAddr> = found
        .iter()
        .filter(|ip| **ip != server.address.ip() && is_allowed(ip))
        .map(|ip| SocketAddr::new(*ip, server.address.port()))
        .take(MAX_NODES)
        .collect();
    let mut differing = Vec::new();
    for address in &others {
        let survey = context.look(&Server { address: *address, name: server.name.clone() }, starttls).await;
        let (ours, theirs) = (print(first), print(&survey));
        match (ours, theirs) {
            (Some(ours), Some(theirs)) if ours == theirs => {}
            (Some(_), Some(_)) => differing.push(address.to_string()),
            _ => {
                let why = format!("{address} n'a pas pu être vu en entier");
                return tell(findings, why.clone(), Verdict::unclear(why), proof);
            }
        }
    }
    let all: Vec<String> = found.iter().map(ToString::to_string).collect();
    match differing.as_slice() {
        [] => tell(findings, format!("mêmes résultats sur {}", all.join(", ")), Verdict::Conforme, proof),
        differing => {
            let told = format!("résultats différents sur {}", differing.join(", "));
            tell(findings, told, Verdict::fault(case.severity), proof);
        }
    }
}

/// What must be alike: versions, suites, groups, sizes. None when it was not seen in full.
fn print(survey: &Survey) -> Option<String> {
    if survey.versions.is_empty() || survey.versions.iter().any(|sheet| sheet.state == State::Inconclusive) {
        return None;
    }
    let versions: Vec<String> = survey
        .versions
        .iter()
        .map(|sheet| {
            let mut suites: Vec<String> = sheet.suites.iter().map(|suite| suite.name()).collect();
            suites.sort_unstable();
            format!("{} {:?} {}", sheet.version, sheet.state, suites.join(","))
        })
        .collect();
    let mut curves: Vec<String> = survey.curves.iter().map(|group| group.name()).collect();
    curves.sort();
    let primes: Vec<u32> = survey.primes.iter().map(|prime| prime.bits).collect();
    Some(format!("{versions:?} {curves:?} {primes:?}"))
}
