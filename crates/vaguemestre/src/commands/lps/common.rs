//! What every `lps` subcommand has in common: the options, the trust space, the mailbox, the traces.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use clap::ValueEnum;
use lps::explain::Language;
use lps::space::Space;
use lps::trace::{TraceFolder, Tracer};
use mssante::{Address, NationalId};

use super::error::{CommandError, Stop};
use super::out::Out;
use super::places::{self, Boxes};

/// Options of every subcommand.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Options of every lps command")]
pub struct Common {
    /// The settings of the software and its trust space; ~/.config/vaguemestre/lps.toml, else the one of a sandbox in this folder.
    #[arg(long, global = true, value_name = "FILE", env = places::VARIABLE)]
    space: Option<PathBuf>,
    /// The mailbox (BAL); the first of `lps boxes` when absent.
    #[arg(long, short, global = true, value_name = "ADDRESS", env = "VAGUEMESTRE_MAILBOX")]
    pub mailbox: Option<Address>,
    /// Who opens it, among those who are logged in: a national identifier (8 and the RPPS number).
    #[arg(long = "as", global = true, value_name = "IDNAT")]
    pub person: Option<NationalId>,
    /// Opens a BAL APP: the software's certificate, PEM.
    #[arg(long, global = true, value_name = "FILE")]
    pub certificate: Option<PathBuf>,
    /// The certificate's key, PEM without passphrase.
    #[arg(long, global = true, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Answer in JSON: one document, or one a line where answers keep coming.
    #[arg(long, global = true)]
    pub json: bool,
    /// The language of messages; by LC_ALL and LANG when absent, French when they say neither.
    #[arg(long, global = true, value_enum, value_name = "LANGUAGE")]
    language: Option<Tongue>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Tongue {
    Fr,
    En,
}

/// The language that the environment asks for.
fn language(named: impl Fn(&str) -> Option<String>) -> Language {
    let names = ["LC_ALL", "LC_MESSAGES", "LANG"];
    match names.into_iter().filter_map(named).find(|value| !value.is_empty()) {
        Some(value) if value.starts_with("en") => Language::English,
        _ => Language::French,
    }
}

/// One run of a subcommand.
pub struct Frame {
    /// Where the answer goes.
    pub out: Out,
    /// The options.
    pub options: Common,
    traces: OnceLock<Arc<TraceFolder>>,
}

impl Frame {
    /// For these options.
    pub fn new(options: Common) -> Frame {
        let language = match options.language {
            Some(Tongue::Fr) => Language::French,
            Some(Tongue::En) => Language::English,
            None => language(|name| std::env::var(name).ok()),
        };
        Frame { out: Out::new(options.json, language), options, traces: OnceLock::new() }
    }

    /// The settings file.
    pub fn settings(&self) -> Result<PathBuf, Stop> {
        let (path, sandbox) = places::settings(self.options.space.as_deref())?;
        if sandbox {
            let what = self.out.pick("Espace d'essai :", "Test space:");
            self.out.note(&format!("{what} {}", path.display()));
        }
        Ok(path)
    }

    /// The trust space, with traces kept.
    pub fn space(&self) -> Result<Arc<Space>, Stop> {
        let space = Space::load(&self.settings()?)?;
        let traces = Arc::new(TraceFolder::open(&trace_folder(&space), space.trace_days, space.clock.clone())?);
        let tracer: Arc<dyn Tracer> = self.traces.get_or_init(|| traces).clone();
        Ok(space.with_tracer(tracer))
    }

    /// The remembered mailboxes.
    pub fn boxes(&self) -> Result<Boxes, Stop> {
        let (path, _) = places::settings(self.options.space.as_deref())?;
        Boxes::load(&path)
    }

    /// The mailbox that is meant.
    pub fn mailbox(&self) -> Result<Address, Stop> {
        match &self.options.mailbox {
            Some(address) => Ok(address.clone()),
            None => {
                let boxes = self.boxes()?;
                Ok(boxes.all.into_iter().next().ok_or(CommandError::NoMailbox)?.address)
            }
        }
    }

    /// The end: traces are brought to the disk, and told of when they could not be kept.
    pub fn finish(&self) {
        if let Some(traces) = self.traces.get() {
            traces.flush();
            let lost = traces.lost();
            if lost > 0 {
                let what = self.out.pick("trace(s) n'ont pas pu être écrites", "trace(s) could not be written");
                self.out.note(&format!("vaguemestre: {lost} {what}"));
            }
        }
    }
}

/// Where the traces of a space are: where its settings say, else with what the person's programs remember.
pub fn trace_folder(space: &Space) -> PathBuf {
    space.traces.clone().unwrap_or_else(|| {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let state = set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local/state"))).unwrap_or_default();
        state.join("vaguemestre/lps-traces")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_the_environments() {
        let of = |pairs: &[(&str, &str)]| {
            language(|name| pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
        };
        assert_eq!(of(&[]), Language::French);
        assert_eq!(of(&[("LANG", "C.UTF-8")]), Language::French);
        assert_eq!(of(&[("LANG", "en_GB.UTF-8")]), Language::English);
        assert_eq!(of(&[("LC_ALL", "fr_FR.UTF-8"), ("LANG", "en_US")]), Language::French);
        assert_eq!(of(&[("LC_ALL", ""), ("LANG", "en_US")]), Language::English);
    }
}
