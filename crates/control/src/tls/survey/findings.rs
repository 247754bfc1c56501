//! What to think of what was seen: each finding with a stable name and a level. What was not seen is no finding.

use serde::Serialize;

use super::{ApiLps, Work};
use crate::tls::certificate::Chain;
use crate::tls::words::{Suite, Version};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Worth knowing.
    Information,
    /// Weak.
    Warning,
    /// Somebody can read or change what is said.
    Serious,
}

/// Something to tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Stable, e.g. `rc4`.
    pub id: &'static str,
    /// How bad.
    pub level: Level,
    /// One sentence.
    pub text: String,
}

/// A family of suites: name of the finding, level, what they are, which they are.
type Family = (&'static str, Level, &'static str, fn(Suite) -> bool);

/// What there is to tell, worst first.
pub(super) fn findings(work: &Work, chains: &[Chain], api: &ApiLps) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut tell = |id, level, text: String| found.push(Finding { id, level, text });
    let spoken: Vec<(Version, &Suite)> = work
        .versions
        .iter()
        .flat_map(|(version, accepted, _)| accepted.suites.iter().map(|suite| (*version, suite)))
        .collect();
    let family = |is: fn(Suite) -> bool| {
        let mut names: Vec<String> =
            spoken.iter().filter(|(_, suite)| is(**suite)).map(|(_, suite)| suite.name()).collect();
        names.sort();
        names.dedup();
        names
    };
    let families: [Family; 8] = [
        ("null", Level::Serious, "suites without encryption", Suite::is_null),
        ("anonymous", Level::Serious, "suites without authentication", Suite::is_anonymous),
        ("export", Level::Serious, "suites weakened for export (FREAK, LOGJAM)", Suite::is_export),
        ("rc4", Level::Serious, "RC4", Suite::is_rc4),
        ("old-cipher", Level::Serious, "ciphers long broken", |suite| suite.is_old() && !suite.is_export()),
        ("3des", Level::Warning, "triple DES, blocks of 64 bits (SWEET32)", Suite::is_3des),
        ("no-forward-secrecy", Level::Warning, "suites without forward secrecy", |suite| {
            !suite.is_forward_secret() && !suite.is_anonymous()
        }),
        ("cbc", Level::Information, "suites with chained blocks (CBC)", Suite::is_cbc),
    ];
    for (id, level, what, is) in families {
        let names = family(is);
        if !names.is_empty() {
            tell(id, level, format!("accepts {what}: {}", names.join(", ")));
        }
    }
    for (version, accepted, _) in &work.versions {
        let (id, level) = match version {
            Version::Ssl3 => ("ssl3", Level::Serious),
            Version::Tls10 => ("tls10", Level::Warning),
            Version::Tls11 => ("tls11", Level::Warning),
            _ => continue,
        };
        if accepted.is_spoken() {
            tell(id, level, format!("accepts {version}, which is withdrawn"));
        }
    }
    if !work.ssl2.is_empty() {
        tell("ssl2", Level::Serious, format!("accepts SSL 2 (DROWN): {}", work.ssl2.join(", ")));
    }
    if let Some(least) = work.primes.iter().map(|prime| prime.bits).min().filter(|bits| *bits < 2048) {
        let level = if least <= 1024 { Level::Serious } else { Level::Warning };
        tell("weak-dh", level, format!("Diffie-Hellman with a prime of {least} bits only"));
    }
    let weak: Vec<String> = work.curves.iter().filter(|group| !group.is_enough()).map(|group| group.name()).collect();
    if !weak.is_empty() {
        tell("weak-curve", Level::Warning, format!("curves below 256 bits: {}", weak.join(", ")));
    }
    if work.is_explicit {
        tell("explicit-curve", Level::Serious, "gives curves by explicit parameters".to_owned());
    }
    if work.compression == Some(true) {
        tell("compression", Level::Serious, "compresses inside TLS (CRIME)".to_owned());
    }
    if work.secure_renegotiation == Some(false) {
        tell("renegotiation", Level::Serious, "knows no secure renegotiation (RFC 5746)".to_owned());
    }
    if work.extended_master_secret == Some(false) {
        tell("master-secret", Level::Information, "knows no extended master secret (RFC 7627)".to_owned());
    }
    if work.fallback_refused == Some(false) {
        tell(
            "fallback",
            Level::Information,
            "does not refuse a second try with an older version (RFC 7507)".to_owned(),
        );
    }
    if work.sha1_signature == Some(true) {
        tell("sha1", Level::Warning, "signs key exchanges with SHA-1 for a client that knows nothing else".to_owned());
    }
    if let Some(violation) = work.versions.iter().find_map(|(_, accepted, _)| accepted.violation) {
        tell("not-offered", Level::Serious, format!("chose a suite that was not offered: {violation}"));
    }
    for chain in chains {
        certificate_findings(chain, &mut tell);
    }
    let missing: Vec<String> = api.six_suites.iter().filter(|(_, is)| !is).map(|(suite, _)| suite.name()).collect();
    if !missing.is_empty() && missing.len() < 6 {
        tell(
            "six-suites",
            Level::Information,
            format!("of the six suites of the API LPS it lacks {}", missing.join(", ")),
        );
    }
    found.sort_by_key(|finding| std::cmp::Reverse(finding.level));
    found
}

fn certificate_findings(chain: &Chain, tell: &mut impl FnMut(&'static str, Level, String)) {
    let Some(leaf) = chain.certificates.first() else { return };
    if chain.days_left < 0 {
        tell("expired", Level::Serious, format!("the certificate is over since {} days", -chain.days_left));
    } else if chain.days_left < 30 {
        tell("soon-over", Level::Warning, format!("the certificate ends in {} days", chain.days_left));
    }
    if chain.name_matches == Some(false) {
        tell("name", Level::Serious, format!("the certificate is for {}", leaf.names.join(", ")));
    }
    if leaf.is_self_signed {
        tell("self-signed", Level::Warning, "the certificate is signed by itself".to_owned());
    }
    if !chain.is_ordered {
        tell("chain-order", Level::Warning, "the chain is out of order".to_owned());
    }
    if leaf.key.starts_with("RSA") && leaf.key_bits < 2048 {
        tell("weak-key", Level::Serious, format!("the certificate's key is weak: {}", leaf.key));
    }
    if leaf.signature.contains("sha1") || leaf.signature.contains("md5") {
        tell("weak-signature", Level::Serious, format!("the certificate is signed by {}", leaf.signature));
    }
    if let Some(fault) = chain.verdict.as_ref().and_then(|verdict| verdict.fault.as_ref()) {
        tell("chain", Level::Serious, format!("the chain is refused: {fault}"));
    }
}
