//! The control application: a whole campaign against the operator of a sandbox; the TLS of a server beside testssl.sh and sslyze, in turns so
//! that what disturbs the machine disturbs all; many campaigns at once, also through a kill.

mod campaign;
mod desk;
mod relay;
mod tls;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::report::{command, machine};

/// How long the sandbox may take to start.
const START: Duration = Duration::from_secs(60);

/// What is measured.
#[derive(clap::Args)]
pub struct Options {
    /// Runs of each measure; the median is printed.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Runs of testssl.sh, each of which takes about a minute.
    #[arg(long, default_value_t = 1)]
    testssl_runs: usize,
    /// Only these cases or groups of the whole campaign; may be given again.
    #[arg(long, value_name = "CASE")]
    only: Vec<String>,
    /// Campaigns at once.
    #[arg(long, default_value_t = 50)]
    campaigns: usize,
    /// No whole campaigns.
    #[arg(long)]
    no_campaign: bool,
    /// No TLS enumeration beside the others.
    #[arg(long)]
    no_tls: bool,
    /// No campaigns at once.
    #[arg(long)]
    no_desk: bool,
    /// The program under test.
    #[arg(long, default_value = "target/release/vaguemestre")]
    binary: PathBuf,
    /// Where the sandbox keeps its data.
    #[arg(long, default_value = "target/bench/control")]
    folder: PathBuf,
    /// Also write the tables to this Markdown file.
    #[arg(long)]
    markdown: Option<PathBuf>,
}

/// A program that ends with us.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The sandbox, and what it says of itself.
struct Sandbox {
    running: Running,
    folder: PathBuf,
    description: Value,
}

impl Sandbox {
    fn start(options: &Options) -> Result<Sandbox, String> {
        let folder = options.folder.clone();
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let child = Command::new(&options.binary)
            .args(["sandbox", "--no-self-check", "--dir"])
            .arg(&folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| {
                format!("{}: {e}; build it: cargo build --release -p vaguemestre", options.binary.display())
            })?;
        let mut running = Running(child);
        let description = described(&mut running.0, &folder)?;
        Ok(Sandbox { running, folder, description })
    }

    /// Where a campaign against its operator alpha is described.
    fn job(&self) -> PathBuf {
        self.folder.join("alpha/control.toml")
    }

    /// A port of its operator alpha.
    fn port(&self, entrance: &str) -> Result<u16, String> {
        let operators = self.description["operators"].as_array().into_iter().flatten();
        let alpha = operators.clone().find(|o| o["name"] == "alpha").ok_or("sandbox.json has no operator alpha")?;
        let port = alpha[entrance]["port"].as_u64().and_then(|port| u16::try_from(port).ok());
        port.ok_or_else(|| format!("sandbox.json has no port for {entrance}"))
    }
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

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Measures.
pub fn run(options: &Options) -> Result<(), String> {
    let sandbox = Sandbox::start(options)?;
    let mut text = format!(
        "Median of {} runs; {}; commit {}.\n",
        options.runs,
        machine(),
        command("git", &["rev-parse", "--short", "HEAD"])
    );
    let mut add = |part: String| {
        println!("{part}");
        text.push('\n');
        text.push_str(&part);
    };
    if !options.no_campaign {
        add(campaign::measure(options, &sandbox)?);
    }
    if !options.no_tls {
        add(tls::measure(options, &sandbox)?);
    }
    if !options.no_desk {
        add(desk::measure(options, &sandbox)?);
    }
    if let Some(path) = &options.markdown {
        std::fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(())
}
