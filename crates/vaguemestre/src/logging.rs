//! The log: on standard error, as text or one JSON object a line, filtered by `RUST_LOG`.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For programs: one JSON object a line.
    Json,
}

/// Starts the log; without `RUST_LOG` it holds what is at least as serious as `otherwise`.
pub fn start(format: Format, otherwise: &str) {
    let filter = match std::env::var("RUST_LOG") {
        Ok(chosen) if !chosen.is_empty() => EnvFilter::try_new(&chosen).unwrap_or_else(|error| {
            eprintln!("vaguemestre: RUST_LOG is not understood ({error}); \"{otherwise}\" is used");
            EnvFilter::new(otherwise)
        }),
        _ => EnvFilter::new(otherwise),
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // A log on a full disk loses lines. Told of that with `eprintln!`, which panics there, it would end whoever logs.
        .log_internal_errors(false);
    match format {
        Format::Text => log.with_ansi(std::io::stderr().is_terminal()).init(),
        Format::Json => log.json().init(),
    }
}
