//! The client library: what mail software pays for it.

mod compose;
mod documents;
mod dovecot;
mod open;
mod sync;

use clap::Subcommand;

/// What is measured.
#[derive(Subcommand)]
pub enum Options {
    /// Messages made per second with a document of 100 KB; memory while sending 25 MB.
    Compose(compose::Options),
    /// Messages with documents opened per second; conversations made.
    Open(open::Options),
    /// Archives built and opened, PDF copies and pages drawn per second, with a CDA of 100 KB.
    Documents,
    /// A full synchronisation of 50,000 messages, beside mbsync.
    Sync(sync::Options),
}

/// Measures.
pub fn run(options: &Options) -> Result<(), String> {
    match options {
        Options::Compose(options) => compose::run(options),
        Options::Open(options) => open::run(options),
        Options::Documents => documents::run(),
        Options::Sync(options) => sync::run(options),
    }
}
