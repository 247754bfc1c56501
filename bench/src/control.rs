//! The control application: a whole campaign against the operator of a sandbox, and the TLS of a server beside testssl.sh and sslyze, run
//! in turns so that what disturbs the machine disturbs all.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long the sandbox may take to start.
const START: Duration = Duration::from_secs(60);
/// Cases told: those that took longest.
const SLOWEST: usize = 6;

/// What is measured.
#[derive(clap::Args)]
pub struct Options {
    /// Runs of each measure; the median is printed.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Only these cases or groups of the plan; may be given again.
    #[arg(long, value_name = "CASE")]
    only: Vec<String>,
    /// No TLS enumeration beside the others.
    #[arg(long)]
    no_tls: bool,
    /// The program under test.
    #[arg(long, default_value = "target/release/vaguemestre")]
    binary: PathBuf,
    /// Where the sandbox keeps its data.
    #[arg(long, default_value = "target/bench/control")]
    folder: PathBuf,
}

struct Sandbox(Child);

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Runs a program to its end; the seconds it took, none when it is not there.
fn timed(command: &mut Command) -> Option<f64> {
    let began = Instant::now();
    // What it says and how it ends is not measured here.
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
    Some(began.elapsed().as_secs_f64())
}

/// Measures.
pub fn run(options: &Options) -> Result<(), String> {
    let folder = &options.folder;
    let _ = std::fs::remove_dir_all(folder);
    std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let child = Command::new(&options.binary)
        .args(["sandbox", "--no-self-check", "--dir"])
        .arg(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| format!("{}: {e}; build it: cargo build --release -p vaguemestre", options.binary.display()))?;
    let mut sandbox = Sandbox(child);
    let description = described(&mut sandbox.0, folder)?;
    campaigns(options, folder)?;
    if options.no_tls {
        return Ok(());
    }
    let operators = description["operators"].as_array().into_iter().flatten();
    let alpha = operators.clone().find(|o| o["name"] == "alpha").ok_or("sandbox.json has no operator alpha")?;
    let port = alpha["submission"]["port"].as_u64().ok_or("sandbox.json has no port for submission")?;
    enumerations(options, port)
}

fn described(child: &mut Child, folder: &Path) -> Result<Value, String> {
    let start = Instant::now();
    loop {
        if let Ok(text) = std::fs::read(folder.join("sandbox.json")) {
            return serde_json::from_slice(&text).map_err(|e| format!("sandbox.json: {e}"));
        }
        if let Ok(Some(status)) = child.try_wait() {
            return Err(format!("the sandbox stopped: {status}"));
        }
        if start.elapsed() > START {
            return Err("the sandbox does not start".into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whole campaigns, one after the other.
fn campaigns(options: &Options, folder: &Path) -> Result<(), String> {
    let report = folder.join("campaign.json");
    let mut times = Vec::new();
    let mut last = Value::Null;
    for _ in 0..options.runs {
        let mut command = Command::new(&options.binary);
        command.args(["control", "run"]).arg(folder.join("alpha/control.toml")).arg("--json").arg(&report);
        for case in &options.only {
            command.arg("--only").arg(case);
        }
        times.push(timed(&mut command).ok_or("the campaign cannot be run")?);
        let text = std::fs::read(&report).map_err(|e| format!("{}: {e}", report.display()))?;
        last = serde_json::from_slice(&text).map_err(|e| format!("the report: {e}"))?;
    }
    let mut cases: Vec<(&str, u64)> = last["cas"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|case| Some((case["id"].as_str()?, case["duree_ms"].as_u64()?)))
        .collect();
    cases.sort_by_key(|(_, took)| std::cmp::Reverse(*took));
    let slowest: Vec<String> =
        cases.iter().take(SLOWEST).map(|(id, took)| format!("{id} {:.1} s", *took as f64 / 1000.0)).collect();
    println!(
        "campaign api-lps: {:.1} s (median of {}), {} cases, {}; longest: {}",
        median(times),
        options.runs,
        cases.len(),
        last["comptes"],
        slowest.join(", ")
    );
    Ok(())
}

/// The TLS of one server, by each program that is there.
fn enumerations(options: &Options, port: u64) -> Result<(), String> {
    let place = format!("127.0.0.1:{port}");
    let ours = || {
        let mut command = Command::new(&options.binary);
        command.args(["control", "tls", &place, "--starttls", "smtp", "--json"]);
        command
    };
    let testssl = || {
        let mut command = Command::new("testssl");
        command.args(["--quiet", "--color", "0", "-t", "smtp", "-p", "-E", "-s", "-f", "-P", "-S", &place]);
        command
    };
    let sslyze = || {
        let mut command = Command::new("sslyze");
        command.args(["--starttls=smtp", "--mozilla_config=disable", &place]);
        command
    };
    let programs: [(&str, &dyn Fn() -> Command); 3] =
        [("vaguemestre control tls", &ours), ("testssl.sh", &testssl), ("sslyze", &sslyze)];
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..options.runs {
        for ((_, program), times) in programs.iter().zip(&mut times) {
            times.extend(timed(&mut program()));
        }
    }
    for ((name, _), times) in programs.iter().zip(times) {
        match times.is_empty() {
            true => println!("{name}: not there"),
            false => println!("{name}: {:.1} s (median of {})", median(times.clone()), times.len()),
        }
    }
    Ok(())
}
