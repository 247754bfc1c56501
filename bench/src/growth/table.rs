//! Tables and the file of figures.

use std::fmt::Write;

use super::{Chart, Figures, Options};
use crate::report::{command, machine};

/// Writes the files asked for.
pub fn write(figures: &Figures, options: &Options) -> Result<(), String> {
    let mut tsv = String::new();
    for point in &figures.0 {
        let _ = writeln!(
            tsv,
            "{}\t{}\t{}\t{:.4}\t{:.4}",
            point.chart.name(),
            point.series,
            point.count,
            point.best,
            point.median
        );
    }
    std::fs::write(&options.tsv, tsv).map_err(|e| format!("{}: {e}", options.tsv.display()))?;
    match &options.markdown {
        Some(path) => std::fs::write(path, markdown(figures)).map_err(|e| format!("{}: {e}", path.display())),
        None => Ok(()),
    }
}

/// A table for each picture: `median (best)`.
pub fn markdown(figures: &Figures) -> String {
    let mut out = format!("{}; commit {}.\n", machine(), command("git", &["rev-parse", "--short", "HEAD"]));
    for chart in [Chart::Messages, Chart::Changes, Chart::All, Chart::Mailboxes, Chart::Memory] {
        let points: Vec<_> = figures.0.iter().filter(|p| p.chart == chart).collect();
        let mut counts: Vec<u64> = points.iter().map(|p| p.count).collect();
        counts.sort_unstable();
        counts.dedup();
        if counts.is_empty() {
            continue;
        }
        let head: Vec<String> = counts.iter().map(u64::to_string).collect();
        let unit = if chart == Chart::Memory { "MB" } else { "ms, median (best)" };
        let _ =
            writeln!(out, "\n| {}, {unit} | {} |\n|---|{}", chart.name(), head.join(" | "), "---|".repeat(head.len()));
        let mut seen: Vec<&str> = Vec::new();
        for point in &points {
            if seen.contains(&point.series) {
                continue;
            }
            seen.push(point.series);
            let _ = write!(out, "| {} |", point.series);
            for count in &counts {
                let _ = match points.iter().find(|p| p.series == point.series && p.count == *count) {
                    Some(p) if chart == Chart::Memory => write!(out, " {} |", number(p.median)),
                    Some(p) => write!(out, " {} ({}) |", number(p.median), number(p.best)),
                    None => write!(out, " |"),
                };
            }
            out.push('\n');
        }
    }
    out
}

fn number(value: f64) -> String {
    match value {
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}
