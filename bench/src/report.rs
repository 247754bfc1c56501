//! The table.

use std::fmt::Write;
use std::process::Command;

use crate::Delivery;
use crate::load::Measure;

/// A line of the table.
pub struct Row {
    pub server: &'static str,
    pub connections: usize,
    pub spread: bool,
    pub median: Measure,
}

/// The median of each figure by itself.
pub fn median(runs: Vec<Measure>) -> Measure {
    let of = |figure: fn(&Measure) -> f64| {
        let mut figures: Vec<f64> = runs.iter().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        figures[figures.len() / 2]
    };
    Measure {
        accepted_rate: of(|m| m.accepted_rate),
        delivered_rate: of(|m| m.delivered_rate),
        cpu_ms: of(|m| m.cpu_ms),
    }
}

/// Markdown, with the machine, the commit and the ratios.
pub fn table(rows: &[Row], options: &Delivery) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "Median of {} runs, {} octets a message, {} mailboxes when spread; {}; commit {}; Dovecot format {}.\n",
        options.runs,
        options.size,
        options.mailboxes,
        machine(),
        command("git", &["rev-parse", "--short", "HEAD"]),
        options.format,
    );
    out.push_str("| connections | into | server | 250 per s | in mailboxes per s | CPU ms per message | ratio |\n|---|---|---|---|---|---|---|\n");
    for row in rows {
        let same = |other: &&Row| other.connections == row.connections && other.spread == row.spread;
        let incumbent =
            rows.iter().filter(same).find(|other| other.server != "Vaguemestre" && row.server == "Vaguemestre");
        let ratio = incumbent.map_or(String::new(), |other| {
            format!(
                "{:.1} × the messages, {:.2} × the CPU",
                row.median.delivered_rate / other.median.delivered_rate,
                row.median.cpu_ms / other.median.cpu_ms
            )
        });
        let _ = writeln!(
            out,
            "| {} | {} | {} | {:.0} | {:.0} | {:.2} | {ratio} |",
            row.connections,
            if row.spread { "many" } else { "one" },
            row.server,
            row.median.accepted_rate,
            row.median.delivered_rate,
            row.median.cpu_ms,
        );
    }
    out
}

pub fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        info.lines().find_map(|l| l.strip_prefix("model name")).map_or("?", |l| l.trim_start_matches(['\t', ' ', ':']));
    let cores = info.lines().filter(|l| l.starts_with("processor")).count();
    format!("{cores} cores, {model}")
}

pub fn command(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or("?".into(), |o| String::from_utf8_lossy(&o.stdout).trim().to_owned())
}
