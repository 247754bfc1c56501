//! `vaguemestre check-config`: every problem of a configuration at once, or a summary of what it says.

use std::fmt::Write;
use std::path::PathBuf;

use operator::Config;
use operator::config::Revocation;

use super::{load, say};
use crate::failure::Failure;

/// See the module.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Needs no network: certificates, keys and secrets are looked at where the file says they are. Every problem \
    is told with file, line and what to do; the exit code is then 1.\n\nExample:\n  vaguemestre check-config /etc/vaguemestre/vaguemestre.toml"
)]
pub struct Args {
    /// The configuration file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Checks and tells.
pub fn run(args: Args) -> Result<(), Failure> {
    let config = load(&args.file)?;
    say(summary(&config).trim_end());
    Ok(())
}

/// What the configuration says, in a few lines.
fn summary(config: &Config) -> String {
    let mut text = String::new();
    let mut line = |key: &str, value: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{key:<16} {value}");
    };
    let domains: Vec<&str> = config.domains().iter().map(|domain| domain.as_str()).collect();
    line("operator", config.operator.name.clone());
    line("domains", domains.join(", "));
    line("hostname", config.hostname().to_owned());
    line("data", config.operator.data.display().to_string());
    let listen = &config.listen;
    let entries = [
        ("imap", listen.imap),
        ("submission", listen.submission),
        ("imap_app", listen.imap_app),
        ("submission_app", listen.submission_app),
        ("mx", listen.mx),
        ("autoconfig", listen.autoconfig),
        ("monitoring", config.monitoring.listen),
    ];
    for (entry, address) in entries {
        line(entry, address.map_or_else(|| "not offered".to_owned(), |address| address.to_string()));
    }
    let tls = match (config.tls.tls13, &config.tls.tls10_tolerated_until) {
        (true, None) => "1.2 (six suites) and 1.3".to_owned(),
        (false, None) => "1.2 (six suites) only".to_owned(),
        (_, Some(day)) => format!("1.2 (six suites); operator interface tolerates 1.0 until {}", day.get_ref()),
    };
    line("TLS", tls);
    line("white list", format!("{} signed by {}", config.white_list.url.get_ref(), config.white_list.signer.get_ref()));
    let revocation = match config.trust.revocation {
        Revocation::Required => "required",
        Revocation::Tolerant => "tolerant: peers whose authority has no valid list are ACCEPTED",
    };
    let ocsp = if config.trust.ocsp { " and OCSP" } else { "" };
    line("revocation", format!("{} list(s){ocsp}, {revocation}", config.trust.crl.len()));
    let mut asks = vec!["JWKS"];
    asks.extend(config.psc.introspection.as_ref().map(|_| "introspection"));
    asks.extend(config.psc.userinfo.as_ref().map(|_| "userinfo"));
    line("PSC", format!("{} by {}", config.psc.issuer, asks.join(", ")));
    line("", "no problem found".to_owned());
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const SAMPLE: &str = include_str!("../../../../docs/vaguemestre.toml");
    const SOURCE: &str = concat!(
        include_str!("../../../operator/src/config/mod.rs"),
        include_str!("../../../operator/src/config/operations.rs")
    );

    #[test]
    fn the_documented_sample_is_right_but_for_its_files() {
        let problems =
            Config::parse(SAMPLE, Path::new("docs/vaguemestre.toml"), Path::new(".")).expect_err("files are missing");
        for problem in &problems {
            assert!(problem.what.contains("/etc/vaguemestre/"), "{problem}");
        }
    }

    #[test]
    fn the_documented_sample_has_every_key() {
        let keys =
            SOURCE.lines().filter_map(|line| line.strip_prefix("    pub ")?.split_once(": ")).map(|(key, _)| key);
        let mut found = 0;
        for key in keys.filter(|key| key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')) {
            let starts = |line: &str| {
                let line = line.trim_start_matches('#');
                line.starts_with(&format!("{key} = ")) || line == format!("[{key}]") || line == format!("[psc.{key}]")
            };
            assert!(SAMPLE.lines().any(starts), "{key} is not in docs/vaguemestre.toml");
            found += 1;
        }
        assert!(found > 40, "only {found} keys were looked for: has the source another form?");
    }
}
