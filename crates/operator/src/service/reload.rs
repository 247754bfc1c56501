//! Reading the configuration again (SIGHUP, `vaguemestre reload`).
//!
//! Invariants: a configuration with a mistake changes nothing, and every mistake is told; sessions go on with what they had; a new white
//! list's settings that give no list do not replace a list that is held.

use std::collections::BTreeSet;
use std::sync::Arc;

use toml::{Table, Value};

use super::generation::Generation;
use super::{Running, StartError, postmaster};
use crate::config::{Config, Problem};

/// Keys and sections that a reload applies; any other needs a restart.
const APPLIED: &[&str] = &[
    "operator.name",
    "operator.domains",
    "operator.hostname",
    "operator.postmaster",
    "tls",
    "trust",
    "white_list",
    "psc",
    "public",
    "mx",
    "relay",
    "limits",
    "sessions",
    "rates",
    "stop",
    "monitoring.least_free_mib",
    "log.level",
];

/// What a reload did.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Reloaded {
    /// Keys that are other than before and in force now. Files they name (certificates, keys, authorities) were read again in any case.
    pub applied: Vec<String>,
    /// Keys that are other than before and need a restart.
    pub restart: Vec<String>,
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The configuration has mistakes.
    #[error("{} problem(s) in the configuration:\n{}", .0.len(), .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Problems(Vec<Problem>),
    /// What it names cannot be used.
    #[error("{0}")]
    Setting(#[from] StartError),
    /// It would leave the server without a white list.
    #[error("white_list: no white list can be had with these settings: {0}")]
    NoWhiteList(String),
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopping,
}

impl Running {
    /// Reads the configuration file again and puts it in force.
    ///
    /// # Errors
    /// [`ReloadError`]; nothing is changed then.
    pub(crate) async fn reload(&self) -> Result<Reloaded, ReloadError> {
        let _one_at_a_time = self.reloading.lock().await;
        let outcome = self.try_reload().await;
        self.meter.reloaded(outcome.is_ok());
        match &outcome {
            Ok(done) => {
                tracing::info!(applied = %done.applied.join(" "), "configuration read again");
                if !done.restart.is_empty() {
                    tracing::warn!(keys = %done.restart.join(" "), "these changes need a restart");
                }
            }
            Err(error) => tracing::error!("the configuration stays as it was: {error}"),
        }
        outcome
    }

    async fn try_reload(&self) -> Result<Reloaded, ReloadError> {
        if self.drain.is_cancelled() {
            return Err(ReloadError::Stopping);
        }
        let old = self.config();
        let file = old.source.file.clone();
        let read = tokio::task::spawn_blocking(move || Config::load(&file)).await;
        let new = match read {
            Ok(read) => read.map_err(ReloadError::Problems)?,
            // The task only fails with the process.
            Err(_) => return Err(ReloadError::Stopping),
        };
        let generation = Generation::make(&new, self).await?;
        let list = &generation.trusted.white_list;
        if list.current().is_none() && self.trusted().white_list.current().is_some() {
            let why = list.status().last_error.unwrap_or_else(|| "the publisher does not answer".to_owned());
            return Err(ReloadError::NoWhiteList(why));
        }
        let done = compare(&old.source.keys, &new.source.keys);
        self.take(generation, &new)?;
        postmaster::look(&*self.store, &new).await;
        self.configs.send_replace(Arc::new(new));
        Ok(done)
    }
}

/// Which keys are not the same in both.
fn compare(old: &Table, new: &Table) -> Reloaded {
    let mut changed = BTreeSet::new();
    differences("", old, new, &mut changed);
    let applies = |key: &String| {
        APPLIED.iter().any(|known| key == known || key.strip_prefix(known).is_some_and(|rest| rest.starts_with('.')))
    };
    let (applied, restart) = changed.into_iter().partition(applies);
    Reloaded { applied, restart }
}

fn differences(prefix: &str, old: &Table, new: &Table, changed: &mut BTreeSet<String>) {
    for key in old.keys().chain(new.keys()) {
        let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match (old.get(key), new.get(key)) {
            (Some(Value::Table(old)), Some(Value::Table(new))) => differences(&name, old, new, changed),
            (Some(Value::Table(only)), None) | (None, Some(Value::Table(only))) => {
                differences(&name, only, &Table::new(), changed);
            }
            (old, new) if old != new => {
                changed.insert(name);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_a_restart_is_told() {
        let old =
            "[operator]\nname = \"a\"\ndata = \"x\"\n[listen]\nimap = \"127.0.0.1:1\"\n[limits]\nrecipients = 1\n";
        let new = "[operator]\nname = \"b\"\ndata = \"y\"\n[listen]\nimap = \"127.0.0.1:1\"\nmx = \"127.0.0.1:2\"\n\
                   [limits]\nrecipients = 1\n[rates]\nmessages_per_hour = 5\n[unknown]\nkey = 1\n";
        let read = |text: &str| text.parse::<Table>().expect("TOML");
        let done = compare(&read(old), &read(new));
        assert_eq!(done.applied, ["operator.name", "rates.messages_per_hour"]);
        assert_eq!(done.restart, ["listen.mx", "operator.data", "unknown.key"]);
        assert_eq!(compare(&read(new), &read(new)), Reloaded::default());
    }
}
