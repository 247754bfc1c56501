//! The cases, a file for each group. What is not here is told as « non exécuté », with its reason, never left out.

mod autoconfig;
mod bearing;
mod certificates;
mod directory;
mod fetching;
mod headers;
mod imap;
mod insist;
mod lifetime;
mod lockout;
mod nodes;
mod observed;
mod presented;
mod receiving;
mod resilience;
mod revocation;
mod revoked;
mod rotation;
mod sending;
mod sessions;
mod smtp;
mod starttls;
mod tls;
mod tokens;
mod watch;
mod white_list;

pub use bearing::{Bearing, Things};
pub(crate) use headers::DATA as HEADERS;
pub(crate) use presented::DATA as CERTIFICATES;
pub(crate) use receiving::DATA as SMTP_VARIANTS;
pub(crate) use resilience::Performance;

use crate::catalogue::Case;
use crate::context::{Context, Findings};
use crate::verdict::Verdict;

/// Every case this program runs.
pub fn implemented() -> impl Iterator<Item = &'static str> {
    [
        tls::CASES,
        starttls::CASES,
        autoconfig::CASES,
        imap::CASES,
        smtp::CASES,
        tokens::CASES,
        &["JWT-20", "JWT-22"],
        sessions::CASES,
        lifetime::CASES,
        resilience::CASES,
        lockout::CASES,
        certificates::CASES,
        receiving::CASES,
        white_list::CASES,
        headers::CASES,
        directory::CASES,
        watch::CASES,
        sending::CASES,
    ]
    .into_iter()
    .flatten()
    .copied()
}

/// Whether this program runs it.
#[must_use]
pub fn is_implemented(id: &str) -> bool {
    implemented().any(|known| known == id)
}

/// Why a case is not run.
fn absent(id: &str) -> &'static str {
    match id {
        id if id.starts_with("ANN-") => {
            "demande que l'opérateur crée des BAL à la demande et les publie dans l'annuaire du banc"
        }
        _ => "n'est pas encore réalisé dans cette version de l'application",
    }
}

/// Runs one.
pub async fn run(case: &Case, context: &Context) -> Findings {
    let mut findings = Findings::default();
    if !is_implemented(&case.id) {
        let cause = absent(&case.id).to_owned();
        findings.tell("cas", None, &case.expected, "", Verdict::NonExecute { cause }, None);
        return findings;
    }
    if sending::CASES.contains(&case.id.as_str()) {
        sending::run(case, context, &mut findings).await;
        return findings;
    }
    match case.group() {
        "TLS" => tls::run(case, context, &mut findings).await,
        "STL" => starttls::run(case, context, &mut findings).await,
        "ACF" => autoconfig::run(case, context, &mut findings).await,
        "IMA" => imap::run(case, context, &mut findings).await,
        "SMA" => smtp::run(case, context, &mut findings).await,
        _ if case.id == "JWT-20" => revoked::run(case, context, &mut findings).await,
        _ if case.id == "JWT-22" => rotation::run(case, context, &mut findings).await,
        _ if lifetime::CASES.contains(&case.id.as_str()) => lifetime::run(case, context, &mut findings).await,
        "JWT" => tokens::run(case, context, &mut findings).await,
        "OPE" => receiving::run(case, context, &mut findings).await,
        "LBL" => white_list::run(case, context, &mut findings).await,
        "ENT" => headers::run(case, context, &mut findings).await,
        "ANN" => directory::run(case, context, &mut findings).await,
        "RES" if watch::CASES.contains(&&*case.id) => watch::run(case, context, &mut findings).await,
        "CER" => certificates::run(case, context, &mut findings).await,
        "SES" => sessions::run(case, context, &mut findings).await,
        _ if lockout::CASES.contains(&case.id.as_str()) => lockout::run(case, context, &mut findings).await,
        "RES" => resilience::run(case, context, &mut findings).await,
        // `is_implemented` knows these groups only.
        _ => {}
    }
    findings
}
