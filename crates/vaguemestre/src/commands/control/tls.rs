//! `vaguemestre control tls`: the prober on one port, for people or as JSON.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use control::tls::{Settings, Starttls, Survey, Target, survey, text};
use tokio::net::lookup_host;
use trust::tls::Anchors;

use crate::commands::say;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::runtime;

/// Exit code when the API LPS's requirements were asked for and are not met, or could not be seen.
const NOT_MET: u8 = 3;

/// See the module.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "No library speaks TLS here: each connection carries a ClientHello made for one question and ends after the answer, so that \
    suites without encryption or groups of 512 bits are seen like any other. A 421, a BYE or silence is told as \"not known\", never as a refusal.\n\n\
    Examples:\n  vaguemestre control tls lps.exemple.mssante.fr:143 --starttls imap\n  \
    vaguemestre control tls 127.0.0.1:2525 --starttls smtp --name mx.exemple.test --ca ca.pem --json\n  \
    vaguemestre control tls www.exemple.fr:443 --pause 1s --budget 60\n\n\
    Exit codes: 0 looked at; 1 not looked at, or nothing answered; 3 with --require, the requirements are not met."
)]
pub struct Args {
    /// The server: a name or an address, and a port.
    #[arg(value_name = "HOST:PORT")]
    server: String,
    /// What stands before TLS.
    #[arg(long, value_enum, default_value = "none", value_name = "PROTOCOL")]
    starttls: Protocol,
    /// The name asked for and looked for in the certificate; HOST otherwise.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Authorities the certificate is judged by (PEM); without them it is described, not judged.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The survey as JSON, one document for each address of the server.
    #[arg(long)]
    json: bool,
    /// Between two connections; a second is polite in production.
    #[arg(long, default_value = "0ms", value_name = "DURATION", value_parser = duration)]
    pause: Duration,
    /// How long to wait for an answer.
    #[arg(long, default_value = "10s", value_name = "DURATION", value_parser = duration)]
    patience: Duration,
    /// Most connections for each address.
    #[arg(long, default_value_t = 400, value_name = "N")]
    budget: u32,
    /// Fails when what the API LPS asks of TLS (the six suites, nothing else, nothing older, strong groups) is not met.
    #[arg(long)]
    require: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Protocol {
    None,
    Imap,
    Smtp,
    Lmtp,
}

/// `500ms`, `10s`.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "give a number with ms or s: 500ms, 10s".to_owned();
    let (digits, unit) = match text.strip_suffix("ms") {
        Some(digits) => (digits, 1),
        None => (text.strip_suffix('s').ok_or_else(wrong)?, 1000),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    Ok(Duration::from_millis(number.saturating_mul(unit)))
}

/// Looks at each address of the server.
pub fn run(args: Args) -> Result<(), Failure> {
    let (host, _) = args
        .server
        .rsplit_once(':')
        .ok_or_else(|| Failure::new(format!("{}: give a host and a port, e.g. {0}:143", args.server)).with_code(2))?;
    let host = host.trim_matches(['[', ']']).to_owned();
    let anchors = match &args.ca {
        Some(path) => {
            let pem = std::fs::read(path).map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
            let wrong = |error| Failure::new(format!("{}: {error}: PEM certificates are expected", path.display()));
            Some(Anchors::from_pem(&pem).map_err(wrong)?)
        }
        None => None,
    };
    let surveys = runtime::block_on(async {
        let mut addresses: Vec<SocketAddr> = lookup_host(&args.server)
            .await
            .map_err(|error| Failure::new(format!("{}: {error}: is the name right?", args.server)))?
            .collect();
        addresses.sort();
        addresses.dedup();
        let mut surveys = Vec::new();
        for address in addresses {
            surveys.push(look(&args, address, &host, anchors.as_ref()).await);
        }
        Ok::<_, Failure>(surveys)
    })?;
    for survey in &surveys {
        match args.json {
            true => say(serde_json::to_string_pretty(survey)?),
            false => say(text::text(survey)),
        }
    }
    let is_seen =
        |survey: &Survey| survey.versions.iter().any(|sheet| sheet.state != control::tls::survey::State::Inconclusive);
    if let Some(unseen) = surveys.iter().find(|survey| !is_seen(survey)) {
        let why = unseen.versions.iter().find_map(|sheet| sheet.detail.clone()).unwrap_or_default();
        return Err(Failure::new(format!("{}: nothing could be seen: {why}", unseen.address)));
    }
    if args.require && !surveys.iter().all(|survey| survey.api_lps.is_met()) {
        return Err(Failure::new("what the API LPS asks of TLS is not met, or could not be seen").with_code(NOT_MET));
    }
    Ok(())
}

async fn look(args: &Args, address: SocketAddr, host: &str, anchors: Option<&Anchors>) -> Survey {
    let name = args.name.clone().or_else(|| host.parse::<IpAddr>().is_err().then(|| host.to_owned()));
    let starttls = match args.starttls {
        Protocol::None => Starttls::None,
        Protocol::Imap => Starttls::Imap,
        Protocol::Smtp => Starttls::Smtp,
        Protocol::Lmtp => Starttls::Lmtp,
    };
    let target = Target { address, server_name: name, starttls };
    let settings = Settings { patience: args.patience, pause: args.pause, budget: args.budget };
    let progress = Mutex::new(Progress::new("connections", None));
    let told = |_| {
        if let Ok(mut progress) = progress.lock() {
            progress.add(1);
        }
    };
    survey(target, settings, anchors, &told).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("10s"), Ok(Duration::from_secs(10)));
        for text in ["", "10", "s", "-1s", "1.5s", "ms"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
