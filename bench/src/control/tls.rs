//! The TLS of one server by our prober, testssl.sh and sslyze: protocols, suites, groups, what is chosen, the certificate.

use std::fmt::Write;
use std::process::{Command, Stdio};
use std::time::Instant;

use super::relay::Relay;
use super::{Options, median};
use crate::sandbox::Sandbox;

/// What of sslyze answers the same questions as our prober.
const SSLYZE: [&str; 12] = [
    "--sslv2",
    "--sslv3",
    "--tlsv1",
    "--tlsv1_1",
    "--tlsv1_2",
    "--tlsv1_3",
    "--certinfo",
    "--elliptic_curves",
    "--reneg",
    "--compression",
    "--fallback",
    "--ems",
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Program {
    Ours,
    Testssl,
    Sslyze,
}

impl Program {
    const ALL: [Program; 3] = [Program::Ours, Program::Testssl, Program::Sslyze];

    fn name(self) -> &'static str {
        match self {
            Program::Ours => "`vaguemestre control tls`",
            Program::Testssl => "testssl.sh `-p -E -s -f -P -S`",
            Program::Sslyze => "sslyze, the same questions",
        }
    }

    fn command(self, options: &Options, protocol: &str, place: &str) -> Command {
        match self {
            Program::Ours => {
                let mut command = Command::new(&options.binary);
                command.args(["control", "tls", place, "--starttls", protocol, "--json"]);
                command
            }
            Program::Testssl => {
                let mut command = Command::new("testssl");
                command.args(["--quiet", "--color", "0", "-t", protocol, "-p", "-E", "-s", "-f", "-P", "-S", place]);
                command
            }
            Program::Sslyze => {
                let mut command = Command::new("sslyze");
                command.args(["--mozilla_config=disable", &format!("--starttls={protocol}")]).args(SSLYZE).arg(place);
                command
            }
        }
    }
}

/// What one program took.
#[derive(Default, Clone)]
struct Figures {
    seconds: Vec<f64>,
    connections: Vec<f64>,
}

/// Time and connections of each, for submission and IMAP of the sandbox's operator alpha.
pub(super) fn measure(options: &Options, sandbox: &Sandbox) -> Result<String, String> {
    let mut out = format!(
        "The TLS of a server behind STARTTLS, by programs that ask the same in turns (testssl.sh: {} run of each); connections as a relay counts them:\n\n\
         | server | program | time | connections | ours is |\n|---|---|---|---|---|\n",
        options.testssl_runs
    );
    for (protocol, entrance) in [("smtp", "submission"), ("imap", "imap")] {
        let relay = Relay::to(port(sandbox, entrance)?)?;
        let place = relay.address.to_string();
        let mut figures = [const { Figures { seconds: Vec::new(), connections: Vec::new() } }; 3];
        for run in 0..options.runs {
            for (program, figures) in Program::ALL.into_iter().zip(&mut figures) {
                if program == Program::Testssl && run >= options.testssl_runs {
                    continue;
                }
                let mut command = program.command(options, protocol, &place);
                relay.taken();
                let began = Instant::now();
                // What it says is not measured here. One that is not there is left out.
                let done = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
                if done.is_err() {
                    continue;
                }
                figures.seconds.push(began.elapsed().as_secs_f64());
                figures.connections.push(relay.taken() as f64);
                let took = figures.seconds.last().copied().unwrap_or_default();
                eprintln!("{protocol} by {}: {took:.2} s", program.name());
            }
        }
        let of = |figures: &Figures| (median(figures.seconds.clone()), median(figures.connections.clone()));
        let ours = of(&figures[0]);
        for (program, figures) in Program::ALL.into_iter().zip(&figures) {
            if figures.seconds.is_empty() {
                let _ = writeln!(out, "| {entrance} | {} | not there | | |", program.name());
                continue;
            }
            let (seconds, connections) = of(figures);
            let ratio = match program {
                Program::Ours => String::new(),
                _ => format!("{:.3} × the time, {:.2} × the connections", ours.0 / seconds, ours.1 / connections),
            };
            let _ = writeln!(out, "| {entrance} | {} | {seconds:.2} s | {connections:.0} | {ratio} |", program.name());
        }
    }
    Ok(out)
}

/// A port of the sandbox's operator alpha.
fn port(sandbox: &Sandbox, entrance: &str) -> Result<u16, String> {
    let port = sandbox.operator("alpha")?[entrance]["port"].as_u64().and_then(|port| u16::try_from(port).ok());
    port.ok_or_else(|| format!("sandbox.json has no port for {entrance}"))
}
