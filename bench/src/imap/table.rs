//! The table: medians and ratios.

use std::fmt::Write;

use super::Options;
use super::measures::{Figure, Unit};
use crate::report::{command, machine};

/// Markdown; `rows` are figures of the server of that place in `names`, ours first, one set up for a single measure last.
pub fn markdown(names: &[&str], rows: &[(usize, Figure)], options: &Options) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "Median of {} runs (first times: one); {}; commit {}; Dovecot 2.3, sdbox.\n",
        options.runs,
        machine(),
        command("git", &["rev-parse", "--short", "HEAD"]),
    );
    let _ =
        writeln!(out, "| what | unit | {} | ratio |\n|---|---|{}---|", names.join(" | "), "---|".repeat(names.len()));
    let mut seen: Vec<&str> = Vec::new();
    for (_, first) in rows {
        if seen.contains(&first.what.as_str()) {
            continue;
        }
        seen.push(&first.what);
        let medians: Vec<Option<f64>> = (0..names.len()).map(|place| median(rows, place, &first.what)).collect();
        let _ = write!(out, "| {} | {} |", first.what, first.unit.name());
        for value in &medians {
            let _ = match value {
                Some(value) => write!(out, " {} |", number(*value)),
                None => write!(out, " |"),
            };
        }
        // To the last that has the figure: to the one set up for this measure, when there is one.
        let incumbent = medians.iter().skip(1).copied().flatten().last();
        let ratio = medians.first().copied().flatten().zip(incumbent).map(|(a, b)| a / b);
        let _ = match ratio {
            Some(ratio) => writeln!(
                out,
                " {} × {} |",
                if ratio < 0.1 { format!("{ratio:.4}") } else { format!("{ratio:.2}") },
                of(first.unit)
            ),
            None => writeln!(out, " |"),
        };
    }
    out
}

fn of(unit: Unit) -> &'static str {
    match unit {
        Unit::Ms | Unit::Seconds => "the time",
        Unit::PerSecond | Unit::MbPerSecond => "as many",
        Unit::CpuMsPerMb => "the processor",
        Unit::Kb | Unit::Mb => "the memory",
        Unit::Share => "the share",
    }
}

fn number(value: f64) -> String {
    match value {
        100.0.. => format!("{value:.0}"),
        1.0.. => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

fn median(rows: &[(usize, Figure)], place: usize, what: &str) -> Option<f64> {
    let mut values: Vec<f64> =
        rows.iter().filter(|(p, f)| *p == place && f.what == what).map(|(_, f)| f.value).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
