//! Whole campaigns, one after the other.

use std::fmt::Write;
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use super::{Options, job, median};
use crate::sandbox::Sandbox;

/// Cases told: those that took longest.
const SLOWEST: usize = 10;

/// The time of the plan api-lps, what it found, and its longest cases.
pub(super) fn measure(options: &Options, sandbox: &Sandbox) -> Result<String, String> {
    let report = sandbox.folder.join("campaign.json");
    let mut times = Vec::new();
    let mut last = Value::Null;
    for run in 0..options.runs {
        let _ = std::fs::remove_file(&report);
        let mut command = Command::new(&options.binary);
        command.args(["control", "run"]).arg(job(sandbox)).arg("--json").arg(&report);
        for case in &options.only {
            command.args(["--only", case]);
        }
        let began = Instant::now();
        // How it ends is told by its report.
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().map_err(|e| format!("the campaign: {e}"))?;
        times.push(began.elapsed().as_secs_f64());
        let text = std::fs::read(&report).map_err(|e| format!("{}: {e}", report.display()))?;
        last = serde_json::from_slice(&text).map_err(|e| format!("the report: {e}"))?;
        eprintln!("campaign {}: {:.1} s, {} {}", run + 1, times[run], last["verdict"], last["comptes"]);
    }
    let mut cases: Vec<(&str, u64)> = last["cas"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|case| Some((case["id"].as_str()?, case["duree_ms"].as_u64()?)))
        .collect();
    let sum = cases.iter().map(|(_, took)| *took as f64 / 1000.0).sum::<f64>();
    cases.sort_by_key(|(_, took)| std::cmp::Reverse(*took));
    let each: Vec<String> = times.iter().map(|time| format!("{time:.1}")).collect();
    let counts: Vec<String> =
        last["comptes"].as_object().into_iter().flatten().map(|(state, count)| format!("{count} {state}")).collect();
    let mut out =
        String::from("A whole campaign `api-lps` against the sandbox's operator alpha, by `control run`:\n\n");
    let _ = writeln!(
        out,
        "| time, median (each) | cases | their times added | verdict | of which |\n|---|---|---|---|---|"
    );
    let _ = writeln!(
        out,
        "| **{:.1} s** ({}) | {} | {sum:.0} s | {} | {} |\n",
        median(times.clone()),
        each.join(", "),
        cases.len(),
        last["verdict"].as_str().unwrap_or("?"),
        counts.join(", "),
    );
    let slowest: Vec<String> =
        cases.iter().take(SLOWEST).map(|(id, took)| format!("{id} {:.1}", *took as f64 / 1000.0)).collect();
    let _ = writeln!(out, "The longest, in seconds: {}.", slowest.join(", "));
    Ok(out)
}
