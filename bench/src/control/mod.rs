//! The control application: a whole campaign against the operator of a sandbox; the TLS of a server beside testssl.sh and sslyze, in turns so
//! that what disturbs the machine disturbs all; many campaigns at once, also through a kill.

mod campaign;
mod desk;
mod relay;
mod tls;

use std::path::PathBuf;
use std::process::Child;

use crate::report::{command, machine};
use crate::sandbox::Sandbox;

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

/// Where a campaign against the sandbox's operator alpha is described.
fn job(sandbox: &Sandbox) -> PathBuf {
    sandbox.folder.join("alpha/control.toml")
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Measures.
pub fn run(options: &Options) -> Result<(), String> {
    let sandbox = Sandbox::start(&options.binary, &options.folder)?;
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
