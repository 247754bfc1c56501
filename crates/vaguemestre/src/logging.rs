//! The log: on standard error, as text or one JSON object a line. `RUST_LOG` chooses what it holds, else the configuration.

use std::io::IsTerminal;
use std::sync::OnceLock;

use operator::config::{LogFormat, LogLevel};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For programs: one JSON object a line.
    Json,
}

impl From<LogFormat> for Format {
    fn from(format: LogFormat) -> Self {
        match format {
            LogFormat::Text => Format::Text,
            LogFormat::Json => Format::Json,
        }
    }
}

/// The crates of ours whose level the configuration chooses. What others log at `debug` or `trace` may hold what nobody should read.
const OURS: &[&str] = &[
    "vaguemestre",
    "operator",
    "imap",
    "smtp",
    "store",
    "psc",
    "trust",
    "mail",
    "mssante",
    "sandbox",
    "search",
    "lps",
    "directory",
    "render",
    "trace",
];

static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// The filter of a level: our crates at that level, the others at most at `info`.
pub fn directives(level: LogLevel) -> String {
    let (own, others) = match level {
        LogLevel::Error => return "error".into(),
        LogLevel::Warn => return "warn".into(),
        LogLevel::Info => return "info".into(),
        LogLevel::Debug => ("debug", "info"),
        LogLevel::Trace => ("trace", "info"),
    };
    OURS.iter().fold(others.to_owned(), |text, name| format!("{text},{name}={own}"))
}

/// What `RUST_LOG` says, if it says something.
fn chosen() -> Option<String> {
    std::env::var("RUST_LOG").ok().filter(|chosen| !chosen.is_empty())
}

/// Starts the log; without `RUST_LOG` it holds what `otherwise` says.
pub fn start(format: Format, otherwise: &str) {
    let filter = match chosen() {
        Some(chosen) => EnvFilter::try_new(&chosen).unwrap_or_else(|error| {
            eprintln!("vaguemestre: RUST_LOG is not understood ({error}); \"{otherwise}\" is used");
            EnvFilter::new(otherwise)
        }),
        None => EnvFilter::new(otherwise),
    };
    let (filter, handle) = reload::Layer::new(filter);
    let log = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        // A log on a full disk loses lines. Told of that with `eprintln!`, which panics there, it would end whoever logs.
        .log_internal_errors(false);
    let log = match format {
        Format::Text => log.with_ansi(std::io::stderr().is_terminal()).boxed(),
        Format::Json => log.json().boxed(),
    };
    tracing_subscriber::registry().with(filter).with(log).init();
    // The log is started once.
    let _ = FILTER.set(handle);
}

/// Another level from now on, unless `RUST_LOG` chose.
pub fn set(level: LogLevel) {
    if chosen().is_some() {
        return;
    }
    let changed = FILTER.get().map(|handle| handle.reload(EnvFilter::new(directives(level))));
    if let Some(Err(error)) = changed {
        tracing::warn!("the level of the log stays as it was: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_understood_and_libraries_stay_quiet() {
        for level in [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug, LogLevel::Trace] {
            EnvFilter::try_new(directives(level)).expect("understood");
        }
        assert!(directives(LogLevel::Trace).starts_with("info,"));
    }
}
