//! The client library: what mail software pays for it.

mod compose;

use clap::Subcommand;

/// What is measured.
#[derive(Subcommand)]
pub enum Options {
    /// Messages made per second with a document of 100 KB; memory while sending 25 MB.
    Compose(compose::Options),
}

/// Measures.
pub fn run(options: &Options) -> Result<(), String> {
    match options {
        Options::Compose(options) => compose::run(options),
    }
}
